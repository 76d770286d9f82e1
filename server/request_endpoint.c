/* What a request asks for. The health endpoints answer here: open, cheap, without details. */
#include "answer.h"
#include "segment.h"

/* Ready: this gateway would serve a request now. A worker that answers at all is alive; what else can be in
 * the way of every request is a full usage store whose policy is to refuse. */
static enum step answer_ready(struct request *r)
{
    const struct worker *w = r->worker;
    bool full = atomic_load_explicit(&w->segment.header->store_full, memory_order_relaxed) != 0;
    if (w->draining || (full && !w->config->ledger.serve_when_full))
        return answer_whole(r, 503, "application/json", STR("{\"status\":\"not ready\"}\n"));
    return answer_whole(r, 200, "application/json", STR("{\"status\":\"ready\"}\n"));
}

static enum step answer_unknown(struct request *r)
{
    if (r->match.wrong_method) {
        answer_header(r, "allow", str_of(r->match.allow));
        return answer_error(r, 405, "method_not_allowed", "The method " STR_FMT " is not allowed here.",
                            STR_ARG(r->head->method));
    }
    return answer_error(r, 404, "unknown_url", "There is nothing at " STR_FMT " " STR_FMT ".",
                        STR_ARG(r->head->method), STR_ARG(r->head->path));
}

/* Whose SDK it is, by what only that vendor's send. */
static enum dialect dialect_of_headers(const struct http_head *head)
{
    struct str value;
    if (http_find(head, "anthropic-version", &value))
        return DIALECT_ANTHROPIC;
    if (http_find(head, "x-goog-api-key", &value) || http_find(head, "x-goog-api-client", &value))
        return DIALECT_GOOGLE;
    return DIALECT_OPENAI;
}

/* The path tells, but for what several vendors have under one path (/v1/models, /v1/files) and what is
 * nowhere. */
static bool path_tells(const struct request *r)
{
    const struct endpoint_match *m = &r->match;
    if (m->dialect != DIALECT_OPENAI)
        return true;
    switch (m->endpoint) {
    case EP_NONE:
    case EP_MODELS:
    case EP_MODEL:
    case EP_FILES:
    case EP_BATCHES:
        return false;
    case EP_NATIVE:
        return config_provider(r->worker->config, m->provider) != NULL;
    default:
        return true;
    }
}

/* Files and batches go to OpenAI's API: what another vendor's SDK uploads is not meant for it. */
static enum step answer_others_files(struct request *r)
{
    return answer_error(r, 404, "unknown_url",
                        STR_FMT " is OpenAI's here. Your vendor's own is behind the name of its provider: "
                                "/PROVIDER" STR_FMT ".",
                        STR_ARG(r->head->path), STR_ARG(r->head->path));
}

enum step request_endpoint(struct request *r)
{
    r->match = endpoint_match(r->head->method, r->head->path);
    r->dialect = path_tells(r) ? r->match.dialect : dialect_of_headers(r->head);
    switch (r->match.endpoint) {
    case EP_FILES:
    case EP_BATCHES:
        return r->dialect == DIALECT_OPENAI ? STEP_NEXT : answer_others_files(r);
    case EP_NONE:
        return answer_unknown(r);
    case EP_HEALTHZ:
        return answer_whole(r, 200, "application/json", STR("{\"status\":\"ok\"}\n"));
    case EP_READYZ:
        return answer_ready(r);
    default:
        return STEP_NEXT;
    }
}

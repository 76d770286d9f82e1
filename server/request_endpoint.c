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

enum step request_endpoint(struct request *r)
{
    r->match = endpoint_match(r->head->method, r->head->path);
    r->dialect = r->match.dialect;
    struct str version;
    if ((r->match.endpoint == EP_MODELS || r->match.endpoint == EP_MODEL) && r->dialect == DIALECT_OPENAI &&
        http_find(r->head, "anthropic-version", &version))
        r->dialect = DIALECT_ANTHROPIC; /* both vendors have /v1/models */
    switch (r->match.endpoint) {
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

/* Cohere's API, version 2: chat and embeddings are translated, reranking has no other vendor's form and
 * passes, as native calls do. Run by workers. */
#include "cohere.h"

#include "upstream_url.h"

#include <math.h>

/* ---- calls */

int cohere_path(struct arena *a, const struct conf_provider *p, const char *method, struct str *path)
{
    static const struct str version = STR("/v2");
    struct upstream_url url;
    if (upstream_url_parse(str_of(p->base_url), &url, NULL) != 0)
        return -1;
    if (str_ends(url.path, version))
        url.path.n -= version.n;
    *path = arena_printf(a, STR_FMT "/v2/%s", STR_ARG(url.path), method);
    return upstream_path_ok(*path) ? 0 : -1;
}

int cohere_settle_call(struct chat_call *c, const char *method)
{
    if (cohere_path(c->arena, c->conf, method, &c->call->path) != 0)
        return chat_refuse(c, NULL, "The provider's base URL can't be used.");
    c->call->headers =
        STR("content-type: application/json\r\naccept: application/json, text/event-stream\r\n");
    c->call->body = buf_str(&c->call->room);
    return 0;
}

static bool passes(const struct request *r, const struct conf_provider *p, struct str model)
{
    (void)p, (void)model;
    return r->match.endpoint == EP_NATIVE || r->match.endpoint == EP_RERANK;
}

/* As OpenAI's, only that the path of reranking is Cohere's own. */
static int build(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f)
{
    if (provider_openai.build(r, p, model, call, f) != 0)
        return -1;
    if (r->match.endpoint == EP_RERANK && cohere_path(r->arena, p, "rerank", &call->path) != 0) {
        *f = (struct failure){
            .status = 400, .code = "invalid_path", .message = STR("The request's path can't be passed on.")};
        return -1;
    }
    return 0;
}

/* ---- usage */

bool cohere_count(struct json_value v, uint64_t *out)
{
    double d;
    if (v.type != JSON_NUMBER || json_double(v, &d) != 0 || d < 0 || d > INT32_MAX || floor(d) != d)
        return false;
    *out = (uint64_t)d;
    return true;
}

bool cohere_usage(struct json_value usage, struct usage_tokens *out)
{
    static const char *const paths[] = {"tokens.input_tokens",       "tokens.output_tokens",
                                        "billed_units.input_tokens", "billed_units.output_tokens",
                                        "tokens.reasoning_tokens",   "cached_tokens"};
    enum { INPUT, OUTPUT, BILLED_INPUT, BILLED_OUTPUT, REASONING, CACHED, COUNT };
    struct json_value v[COUNT];
    struct usage_tokens u = {0};
    if (usage.type != JSON_OBJECT || json_scan(usage.raw, paths, COUNT, v, NULL) != 0)
        return false;
    bool input = cohere_count(v[INPUT], &u.input), output = cohere_count(v[OUTPUT], &u.output);
    if (!input && !output) {
        input = cohere_count(v[BILLED_INPUT], &u.input);
        output = cohere_count(v[BILLED_OUTPUT], &u.output);
    }
    cohere_count(v[REASONING], &u.reasoning);
    cohere_count(v[CACHED], &u.cached);
    u.cached = u.cached < u.input ? u.cached : u.input;
    u.reasoning = u.reasoning < u.output ? u.reasoning : u.output;
    if (input || output)
        *out = u;
    return input || output;
}

/* ---- what passes */

static void note_usage(struct request *r, struct json_value usage)
{
    if (cohere_usage(usage, &r->tokens))
        r->tokens_known = true;
}

/* Reranking is counted in searches: it tells no tokens. */
static int read_answer(struct request *r, struct str answer, struct failure *f)
{
    static const char *const paths[] = {"usage", "meta", "message"};
    enum { USAGE, META, MESSAGE, COUNT };
    struct json_value v[COUNT];
    if (json_scan(answer, paths, COUNT, v, NULL) != 0) {
        *f = (struct failure){.status = 502,
                              .type = "server_error",
                              .code = "upstream_malformed",
                              .message = STR("The provider's answer is no valid JSON object.")};
        return -1;
    }
    if (v[MESSAGE].type == JSON_STRING) {
        cohere_read_error(r, 502, NULL, answer, f);
        return -1;
    }
    note_usage(r, v[USAGE].type == JSON_OBJECT ? v[USAGE] : v[META]);
    return 0;
}

static struct stream_event read_event(struct request *r, const struct sse_event *ev)
{
    static const char *const paths[] = {"type", "delta.usage", "delta.message.content.text",
                                        "delta.message.content.thinking", "delta.message.tool_plan"};
    enum { TYPE, USAGE, TEXT, THINKING, PLAN, COUNT };
    struct stream_event e = {0};
    struct json_value v[COUNT];
    if (!ev->has_data)
        return e;
    e.last = str_eq(ev->data, STR("[DONE]"));
    if (e.last || json_scan(ev->data, paths, COUNT, v, NULL) != 0)
        return e;
    for (int i = TEXT; i <= PLAN; i++)
        e.text_bytes += v[i].type == JSON_STRING ? (uint32_t)v[i].raw.n - 2 : 0;
    e.begun = str_eq(v[TYPE].raw, STR("\"message-start\""));
    e.error = str_eq(v[TYPE].raw, STR("\"error\"")) || str_eq(ev->name, STR("error"));
    e.finished = str_eq(v[TYPE].raw, STR("\"message-end\""));
    if (e.finished && cohere_usage(v[USAGE], &r->tokens)) {
        e.usage = true;
        r->tokens_known = true;
    }
    return e;
}

/* ---- errors */

/* 498: something in the text is on a list of what must not be; 499: the call was given up at their side. */
static int openai_status(int status)
{
    return status == 422 || status == 498 ? 400 : status == 499 ? 504 : status;
}

void cohere_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f)
{
    static const char *const paths[] = {"message", "error", "error_type", "error.message", "delta.error"};
    enum { MESSAGE, ERROR, TYPE, INNER, DELTA, COUNT };
    static const int order[] = {MESSAGE, INNER, ERROR, DELTA};
    struct json_value v[COUNT];
    struct str type = STR_NULL;
    (void)headers;
    *f = (struct failure){.status = openai_status(status)};
    if (json_scan(body, paths, COUNT, v, NULL) == 0) {
        for (size_t i = 0; i < 4 && f->message.n == 0; i++)
            f->message = json_text(v[order[i]], r->arena);
        type = json_text(v[TYPE], r->arena);
    }
    if (status == 498)
        f->code = "content_filter";
    else if (str_eq(type, STR("TOO_MANY_TOKENS")) || str_has(f->message, "too many tokens"))
        f->code = "context_length_exceeded";
    if (f->message.n == 0)
        f->message = arena_printf(r->arena, "The provider answered with status %d.", status);
}

int cohere_malformed(struct chat_reader *rd, const char *message)
{
    *rd->f = (struct failure){.status = 502,
                              .type = "server_error",
                              .code = "upstream_malformed",
                              .message = arena_copy(rd->arena, str_of(message))};
    return -1;
}

const struct provider provider_cohere = {
    .type = "cohere",
    .passes = passes,
    .build = build,
    .read_answer = read_answer,
    .read_event = read_event,
    .read_error = cohere_read_error,
    .write_chat = cohere_write_chat,
    .read_chat = cohere_read_chat,
    .framing = FRAMES_SSE,
    .read_frame = cohere_read_frame,
    .whole = cohere_whole,
    .write_embed = cohere_write_embed,
    .read_embed = cohere_read_embed,
};

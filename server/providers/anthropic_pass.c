/* Claude's errors, and what metering needs of answers that pass. Run by workers only. */
#include "answer.h"
#include "anthropic_answer.h"

#include <string.h>

/* ---- errors */

static const struct error_kind {
    const char *type;
    int status;
    const char *code; /* OpenAI's */
} error_kinds[] = {
    {"invalid_request_error", 400, NULL},
    {"authentication_error", 401, "invalid_api_key"},
    {"billing_error", 402, "insufficient_quota"},
    {"permission_error", 403, NULL},
    {"not_found_error", 404, NULL},
    {"request_too_large", 413, NULL},
    {"rate_limit_error", 429, "rate_limit_exceeded"},
    {"api_error", 500, NULL},
    {"overloaded_error", 503, NULL},
    {"timeout_error", 504, NULL},
};

/* What OpenAI has a code for, by its words. */
static const char *code_of(int status, struct str message)
{
    if (status == 404 && str_starts(message, STR("model")))
        return "model_not_found";
    if (status != 400 && status != 413)
        return NULL;
    if (str_has(message, "prompt is too long") || str_has(message, "context limit") ||
        str_has(message, "context window"))
        return "context_length_exceeded";
    return str_has(message, "content filtering policy") ? "content_filter" : NULL;
}

static void put_kind(struct failure *f, struct json_value type, bool by_type)
{
    for (size_t i = 0; i < sizeof(error_kinds) / sizeof(error_kinds[0]); i++)
        if (anthropic_word_is(type, error_kinds[i].type)) {
            if (by_type)
                f->status = error_kinds[i].status;
            f->code = error_kinds[i].code;
        }
    if (f->status == 529)
        f->status = 503; /* Anthropic's callers get their 529 again (dialect.c) */
    const char *code = code_of(f->status, f->message);
    if (code)
        f->code = code;
}

void anthropic_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                          struct failure *f)
{
    static const char *const paths[] = {"error.type", "error.message", "error", "message", "detail"};
    struct json_value v[5] = {{.type = JSON_ABSENT}};
    *f = (struct failure){.status = status};
    if (json_scan(body, paths, 5, v, NULL) == 0)
        for (size_t i = 1; i < 5 && f->message.n == 0; i++)
            f->message = json_text(v[i], r->arena);
    else
        v[0].type = JSON_ABSENT;
    if (f->message.n > 0)
        f->message = arena_copy(r->arena, f->message);
    else if (status == 413) /* a page of HTML, from the proxy in front of the API */
        f->message = STR("The request is larger than the provider takes.");
    else
        f->message = arena_printf(r->arena, "The provider answered with status %d.", status);
    put_kind(f, v[0], !headers);
}

/* ---- usage of what passes */

/* The other way: of what was kept from message_start. */
static struct anthropic_told told_of(const struct usage_tokens *u)
{
    return (struct anthropic_told){.input = u->input - u->cached - u->cache_write,
                                   .cache_write = u->cache_write,
                                   .cache_read = u->cached,
                                   .output = u->output,
                                   .thinking = u->reasoning};
}

int anthropic_read_answer(struct request *r, struct str answer, struct failure *f)
{
    static const char *const paths[] = {"type", "usage", "error", "input_tokens"};
    struct json_value v[4];
    struct anthropic_told told = {0};
    if (json_scan(answer, paths, 4, v, NULL) != 0)
        return anthropic_malformed(f, "The provider's answer is no valid JSON object.");
    if (anthropic_word_is(v[0], "error") || (v[0].type == JSON_ABSENT && v[2].type == JSON_OBJECT)) {
        anthropic_read_error(r, 502, NULL, answer, f);
        return -1;
    }
    anthropic_take_usage(&told, v[1]);
    if (told.any) {
        r->tokens = anthropic_tokens(&told);
        r->tokens_known = true;
    }
    return 0;
}

/* Bytes of the string that a delta carries. */
static uint32_t delta_bytes(struct str data)
{
    static const struct str names[] = {STR("\"text\":"), STR("\"partial_json\":"), STR("\"thinking\":")};
    const char *end = data.p + data.n;
    for (size_t i = 0; data.n > 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        const char *p = memmem(data.p, data.n, names[i].p, names[i].n);
        for (p = p ? p + names[i].n : end; p < end && *p == ' ';)
            p++;
        if (p == end || *p != '"')
            continue;
        const char *at = ++p;
        while (at < end && *at != '"')
            at += *at == '\\' ? 2 : 1;
        return (uint32_t)((at < end ? at : end) - p);
    }
    return 0;
}

/* A relay may send a message's start twice, which SDKs take for a mistake; the start of another message in
 * the middle of one means that two answers were mixed. */
static void take_another_start(struct request *r, struct str id, struct stream_event *e)
{
    static const struct failure mixed = {
        .status = 502,
        .code = "upstream_malformed",
        .message = STR("The provider began another answer in the middle of this one.")};
    if (str_eq(id, r->message_id)) {
        e->instead = STR("event: ping\ndata: {\"type\": \"ping\"}\n\n");
        return;
    }
    e->error = true;
    e->instead = dialect_error_event(DIALECT_ANTHROPIC, &mixed, r->arena);
}

static void take_start(struct request *r, struct str data, struct stream_event *e)
{
    static const char *const paths[] = {"message.id", "message.usage"};
    struct json_value v[2];
    struct anthropic_told told = {0};
    if (json_scan(data, paths, 2, v, NULL) != 0)
        return;
    if (v[0].type == JSON_STRING && r->message_id.n > 0 && r->match.endpoint != EP_NATIVE) {
        take_another_start(r, v[0].raw, e);
        return;
    }
    if (r->told.input > 0)
        return;
    if (v[0].type == JSON_STRING)
        r->message_id = arena_copy(r->arena, v[0].raw);
    anthropic_take_usage(&told, v[1]);
    if (told.any)
        r->told = anthropic_tokens(&told);
}

static bool meter_end(struct request *r, struct str data)
{
    static const char *const paths[] = {"usage"};
    struct json_value v[1];
    struct anthropic_told told = told_of(&r->told);
    if (json_scan(data, paths, 1, v, NULL) != 0)
        return false;
    anthropic_take_usage(&told, v[0]);
    if (!told.any)
        return false;
    r->tokens = anthropic_tokens(&told);
    r->tokens_known = true;
    return true;
}

/* The event's name, or where a relay has left it out, what its data says: a slice without quotes. */
static struct str event_type(const struct sse_event *ev)
{
    static const char *const paths[] = {"type"};
    struct json_value v[1];
    if (ev->name.n > 0)
        return ev->name;
    if (json_scan(ev->data, paths, 1, v, NULL) != 0 || v[0].type != JSON_STRING)
        return STR_NULL;
    return (struct str){v[0].raw.p + 1, v[0].raw.n - 2};
}

/* SDKs go by the names. */
static void give_name(const struct request *r, const struct sse_event *ev, struct str type,
                      struct stream_event *e)
{
    if (ev->name.n == 0 && type.n > 0 && type.n < 64 && e->instead.n == 0 && r->match.endpoint != EP_NATIVE)
        e->instead = arena_printf(request_scratch(r), "event: " STR_FMT "\ndata: " STR_FMT "\n\n",
                                  STR_ARG(type), STR_ARG(chat_one_line(ev->data, request_scratch(r))));
}

struct stream_event anthropic_read_event(struct request *r, const struct sse_event *ev)
{
    struct stream_event e = {0};
    if (!ev->has_data)
        return e;
    struct str type = event_type(ev);
    if (str_eq(type, STR("content_block_delta")) || str_eq(type, STR("content_block_start")))
        e.text_bytes = delta_bytes(ev->data);
    else if (str_eq(type, STR("message_start"))) {
        take_start(r, ev->data, &e);
        e.begun = true;
    } else if (str_eq(type, STR("message_delta")))
        e.usage = meter_end(r, ev->data);
    else if (str_eq(type, STR("message_stop")))
        e.last = true;
    else
        e.error = str_eq(type, STR("error"));
    give_name(r, ev, type, &e);
    return e;
}

bool anthropic_body_passes(struct str body)
{
    static const char *const foreign[] = {
        "\"extra_content\"",        "\"signature\":\"\"",       "\"signature\": \"\"",
        "\"signature\":\"openai:",  "\"signature\": \"openai:", "\"signature\":\"google:",
        "\"signature\": \"google:", "\"data\":\"openai:",       "\"data\": \"openai:",
    };
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if (str_has(body, foreign[i]))
            return false;
    return true;
}

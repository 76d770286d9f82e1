/* OpenAI's dialect towards a provider, and everybody who speaks it. Run by workers.
 *
 * The caller speaks it too, so a body passes as it is; only what has to be another is set in it: the model's
 * name where the provider calls it otherwise, and stream_options.include_usage, without which a stream does
 * not tell what it cost. Unknown members survive both ways.
 *
 * A stream's events are many and small: a search for a few names decides whether one is looked at closely. */
#include "provider.h"

#include "json_out.h"
#include "json_scan.h"
#include "upstream_url.h"

#include <string.h>

/* ---- the request */

/* Of the client's headers only these reach a provider. */
static const char *const passed_on[] = {"accept", "idempotency-key", "openai-beta"};

static bool streams_usage(const struct request *r)
{
    return r->stream && !r->wants_usage &&
           (r->match.endpoint == EP_CHAT || r->match.endpoint == EP_COMPLETIONS);
}

static bool holds(struct str text, const char *what)
{
    return text.n > 0 && memmem(text.p, text.n, what, strlen(what)) != NULL;
}

/* Sets a member of *body, in the arena's memory. */
static int set_member(struct request *r, struct str *body, const char *name, struct str value)
{
    size_t max = body->n + value.n + strlen(name) + 16;
    struct buf b = {.p = arena_alloc(r->arena, max), .cap = max, .max = max};
    if (json_set_member(&b, *body, name, value) != 0)
        return -1;
    *body = buf_str(&b);
    return 0;
}

static int set_model(struct request *r, struct str *body, struct str model)
{
    size_t max = 6 * model.n + 2;
    struct buf b = {.p = arena_alloc(r->arena, max), .cap = max, .max = max};
    return json_put_string(&b, model) == 0 ? set_member(r, body, "model", buf_str(&b)) : -1;
}

/* Other members of stream_options stay. */
static int ask_for_usage(struct request *r, struct str *body)
{
    static const char *const paths[] = {"stream_options"};
    struct json_value v = {.type = JSON_ABSENT};
    struct str options = STR("{\"include_usage\":true}");
    if (holds(*body, "stream") && json_scan(*body, paths, 1, &v, NULL) != 0)
        return -1;
    if (v.type == JSON_OBJECT && v.count > 0) {
        options = v.raw;
        if (set_member(r, &options, "include_usage", STR("true")) != 0)
            return -1;
    }
    return set_member(r, body, "stream_options", options);
}

static bool is_object(struct str body)
{
    while (body.n > 0 && strchr(" \t\r\n", body.p[0]) && body.p[0])
        body.p++, body.n--;
    return body.n > 0 && body.p[0] == '{';
}

static int build_body(struct request *r, struct str model, struct provider_call *call)
{
    call->body = r->body;
    bool rename = model.n > 0 && r->model.n > 0 && !str_eq(model, r->model);
    if (rename && !is_object(r->body))
        return -1; /* a form's fields are not rewritten */
    if (rename && set_model(r, &call->body, model) != 0)
        return -1;
    if (!streams_usage(r))
        return 0;
    call->usage_added = true;
    return ask_for_usage(r, &call->body);
}

/* A native call's path stands behind the host: what the base URL says beyond it belongs to our own endpoints.
 */
static int build_path(struct request *r, const struct upstream_url *url, struct str *path)
{
    struct str base = r->match.endpoint == EP_NATIVE ? STR_NULL : url->path;
    size_t max = base.n + r->match.rest.n + 1 + r->head->query.n;
    struct buf b = {.p = arena_alloc(r->arena, max), .cap = max, .max = max};
    buf_add(&b, base);
    buf_add(&b, r->match.rest);
    if (r->head->query.n > 0) {
        buf_add_byte(&b, '?');
        buf_add(&b, r->head->query);
    }
    *path = buf_str(&b);
    return upstream_path_ok(*path) ? 0 : -1;
}

static void add_line(struct buf *b, struct str name, struct str value)
{
    if (!http_value_ok(value))
        return;
    buf_add(b, name);
    buf_add(b, STR(": "));
    buf_add(b, value);
    buf_add(b, STR("\r\n"));
}

static struct str build_headers(struct request *r)
{
    enum { ROOM = 2048 };
    struct buf b = {.p = arena_alloc(r->arena, ROOM), .cap = ROOM, .max = ROOM};
    struct str value;
    if (http_find(r->head, "content-type", &value) && value.n <= 256)
        add_line(&b, STR("content-type"), value);
    else if (is_object(r->body))
        add_line(&b, STR("content-type"), STR("application/json"));
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        if (http_find(r->head, passed_on[i], &value) && value.n <= 512)
            add_line(&b, str_of(passed_on[i]), value);
    return buf_str(&b);
}

static int refuse(struct request *r, struct failure *f, const char *code, const char *message)
{
    *f = (struct failure){.status = 400, .code = code, .message = arena_copy(r->arena, str_of(message))};
    return -1;
}

static int build(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f)
{
    struct upstream_url url;
    *call = (struct provider_call){0};
    if (upstream_url_parse(str_of(p->base_url), &url, NULL) != 0 || build_path(r, &url, &call->path) != 0)
        return refuse(r, f, "invalid_path", "The request's path can't be passed on.");
    if (build_body(r, model, call) != 0)
        return refuse(
            r, f, "invalid_body",
            "The model goes by another name at its provider, and can't be renamed in a body like this.");
    call->headers = build_headers(r);
    return 0;
}

/* ---- usage */

enum usage_member {
    PROMPT,
    INPUT,
    COMPLETION,
    OUTPUT,
    PROMPT_CACHED,
    INPUT_CACHED,
    PROMPT_WRITE,
    INPUT_WRITE,
    COMPLETION_REASONING,
    OUTPUT_REASONING,
    HIT, /* DeepSeek's name for cached ones */
    USAGE_MEMBERS
};

static const char *const usage_paths[USAGE_MEMBERS] = {
    [PROMPT] = "prompt_tokens",
    [INPUT] = "input_tokens",
    [COMPLETION] = "completion_tokens",
    [OUTPUT] = "output_tokens",
    [PROMPT_CACHED] = "prompt_tokens_details.cached_tokens",
    [INPUT_CACHED] = "input_tokens_details.cached_tokens",
    [PROMPT_WRITE] = "prompt_tokens_details.cache_write_tokens",
    [INPUT_WRITE] = "input_tokens_details.cache_write_tokens",
    [COMPLETION_REASONING] = "completion_tokens_details.reasoning_tokens",
    [OUTPUT_REASONING] = "output_tokens_details.reasoning_tokens",
    [HIT] = "prompt_cache_hit_tokens",
};

/* The first of them that is a count. What no model can have used is no count: it would spoil every sum that
 * it enters. */
static bool count_of(const struct json_value v[], const enum usage_member names[], size_t n, uint64_t *out)
{
    int64_t count;
    for (size_t i = 0; i < n; i++)
        if (v[names[i]].type == JSON_NUMBER && json_int(v[names[i]], &count) == 0 && count >= 0 &&
            count <= INT32_MAX) {
            *out = (uint64_t)count;
            return true;
        }
    return false;
}

#define COUNT_OF(v, out, ...)                             \
    count_of(v, (const enum usage_member[]){__VA_ARGS__}, \
             sizeof((const enum usage_member[]){__VA_ARGS__}) / sizeof(enum usage_member), out)

static bool read_usage(struct request *r, struct json_value usage)
{
    struct json_value v[USAGE_MEMBERS];
    struct usage_tokens u = {0};
    if (usage.type != JSON_OBJECT || json_scan(usage.raw, usage_paths, USAGE_MEMBERS, v, NULL) != 0)
        return false;
    bool told = COUNT_OF(v, &u.input, PROMPT, INPUT);
    told |= COUNT_OF(v, &u.output, COMPLETION, OUTPUT);
    COUNT_OF(v, &u.cached, PROMPT_CACHED, INPUT_CACHED, HIT);
    COUNT_OF(v, &u.cache_write, PROMPT_WRITE, INPUT_WRITE);
    COUNT_OF(v, &u.reasoning, COMPLETION_REASONING, OUTPUT_REASONING);
    if (!told)
        return false;
    r->tokens = u;
    r->tokens_known = true;
    return true;
}

/* ---- whole answers */

static void bad_answer(struct request *r, struct failure *f, const char *message)
{
    *f = (struct failure){.status = 502,
                          .type = "server_error",
                          .code = "upstream_malformed",
                          .message = arena_copy(r->arena, str_of(message))};
}

static bool is_error(struct json_value v)
{
    return v.type == JSON_OBJECT || v.type == JSON_STRING;
}

static void read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f);

static int read_answer(struct request *r, struct str answer, struct failure *f)
{
    static const char *const paths[] = {"usage", "error", "choices", "object"};
    enum { V_USAGE, V_ERROR, V_CHOICES, V_OBJECT };
    struct json_value v[4];
    struct error err;
    if (json_scan(answer, paths, 4, v, &err) != 0) {
        bad_answer(r, f, "The provider's answer is no valid JSON object.");
        return -1;
    }
    /* an object that has an "error" beside its content (responses have one, null or not) is an answer */
    if (is_error(v[V_ERROR]) && v[V_CHOICES].type == JSON_ABSENT && v[V_OBJECT].type == JSON_ABSENT) {
        read_error(r, 502, NULL, answer, f);
        return -1;
    }
    read_usage(r, v[V_USAGE]);
    return 0;
}

/* ---- streams */

/* The members of an event that decide whether it is looked at closely, found in one pass without parsing: a
 * name inside of a string has its quotes escaped, so what is found is a member (or a string that equals its
 * name, and then no colon follows). */
enum mark { CONTENT, TEXT, ARGUMENTS, REASONING, DELTA, USAGE, ERROR, MARKS };

static const struct str mark_names[MARKS] = {
    [CONTENT] = STR("\"content\""),     [TEXT] = STR("\"text\""),
    [ARGUMENTS] = STR("\"arguments\""), [REASONING] = STR("\"reasoning_content\""),
    [DELTA] = STR("\"delta\""),         [USAGE] = STR("\"usage\""),
    [ERROR] = STR("\"error\""),
};

struct marks {
    const char *name[MARKS]; /* where its first quote is; NULL: not there */
    const char *value[MARKS];
};

static const char *skip_spaces(const char *p, const char *end)
{
    while (p < end && *p == ' ')
        p++;
    return p;
}

static int mark_at(const char *p, const char *end)
{
    int m = p[1] == 'c'   ? CONTENT
            : p[1] == 't' ? TEXT
            : p[1] == 'a' ? ARGUMENTS
            : p[1] == 'r' ? REASONING
            : p[1] == 'd' ? DELTA
            : p[1] == 'u' ? USAGE
            : p[1] == 'e' ? ERROR
                          : -1;
    return m >= 0 && str_starts((struct str){p, (size_t)(end - p)}, mark_names[m]) ? m : -1;
}

/* The first of each name, but the last "usage" (choices may have one of their own, in front of the answer's);
 * of "delta" the one that is a text (responses), not the object around one (chat). */
static void find_marks(struct str data, struct marks *out)
{
    const char *end = data.p + data.n, *p = data.p;
    *out = (struct marks){0};
    while (end - p > 2 && (p = memchr(p, '"', (size_t)(end - p) - 2)) != NULL) {
        int m = mark_at(p, end);
        const char *value = m < 0 ? p + 1 : skip_spaces(p + mark_names[m].n, end);
        if (m >= 0 && value < end && *value == ':' && (!out->name[m] || m == USAGE)) {
            out->name[m] = p;
            out->value[m] = skip_spaces(value + 1, end);
        }
        p = value;
    }
}

/* Bytes of the JSON string at p; 0: it is no string. */
static size_t string_bytes(const char *p, const char *end)
{
    if (!p || p >= end || *p != '"')
        return 0;
    const char *at = ++p;
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return (size_t)((at < end ? at : end) - p);
}

/* Generated text, about: what stands in the members that hold any. */
static uint32_t text_bytes(const struct marks *m, const char *end)
{
    size_t n = 0;
    for (int i = CONTENT; i <= DELTA; i++)
        n += string_bytes(m->value[i], end);
    return (uint32_t)n;
}

/* `"usage":null`, with the comma that goes with it; empty when it is not there, or is all there is. */
static struct str null_usage(const struct marks *m, struct str data)
{
    const char *end = data.p + data.n, *value = m->value[USAGE], *front = m->name[USAGE];
    if (!value || end - value < 4 || memcmp(value, "null", 4) != 0)
        return STR_NULL;
    const char *behind = skip_spaces(value + 4, end);
    if (behind < end && *behind == ',')
        return (struct str){front, (size_t)(behind + 1 - front)};
    while (front > data.p && front[-1] == ' ')
        front--;
    if (front == data.p || front[-1] != ',')
        return STR_NULL;
    return (struct str){front - 1, (size_t)(value + 4 - front + 1)};
}

/* A null that is the last member of all is the outermost object's own, without a closer look. */
static bool ends_data(struct str member, struct str data)
{
    const char *end = data.p + data.n, *behind = member.p + member.n;
    return member.n > 0 && end - behind == 1 && member.p[0] == ',';
}

/* Of the Responses endpoint's events, which all tell their type, these are worth a look. */
static bool may_be_terminal(struct str data)
{
    return holds(data, "\"response.completed\"") || holds(data, "\"response.incomplete\"") ||
           holds(data, "\"response.failed\"") || holds(data, "\"error\"");
}

static bool is_terminal(const struct request *r, struct json_value type)
{
    if (r->match.endpoint != EP_RESPONSES || type.type != JSON_STRING)
        return false;
    return str_eq(type.raw, STR("\"response.completed\"")) ||
           str_eq(type.raw, STR("\"response.incomplete\"")) || str_eq(type.raw, STR("\"response.failed\""));
}

static struct stream_event read_event(struct request *r, const struct sse_event *ev)
{
    static const char *const paths[] = {"usage", "response.usage", "choices", "error", "type"};
    enum { V_USAGE, V_RESPONSE_USAGE, V_CHOICES, V_ERROR, V_TYPE };
    struct stream_event e = {0};
    struct json_value v[5];
    struct marks m;
    if (!ev->has_data)
        return e;
    if (str_eq(ev->data, STR("[DONE]"))) {
        e.last = true;
        return e;
    }
    find_marks(ev->data, &m);
    e.text_bytes = text_bytes(&m, ev->data.p + ev->data.n);
    e.null_usage = null_usage(&m, ev->data);
    bool terminal = r->match.endpoint == EP_RESPONSES && may_be_terminal(ev->data);
    bool failed = m.value[ERROR] || str_eq(ev->name, STR("error"));
    bool usage = m.value[USAGE] && !ends_data(e.null_usage, ev->data);
    if (!terminal && !failed && !usage)
        return e;
    bool valid = json_scan(ev->data, paths, 5, v, NULL) == 0;
    if (!valid || v[V_USAGE].type != JSON_NULL || v[V_USAGE].raw.p != m.value[USAGE])
        e.null_usage = STR_NULL; /* another object's */
    if (!valid)
        return e;
    e.usage = read_usage(r, v[V_USAGE].type == JSON_OBJECT ? v[V_USAGE] : v[V_RESPONSE_USAGE]);
    e.usage_only = e.usage && v[V_CHOICES].type == JSON_ARRAY && v[V_CHOICES].count == 0;
    e.error =
        is_error(v[V_ERROR]) || str_eq(ev->name, STR("error")) || str_eq(v[V_TYPE].raw, STR("\"error\""));
    e.last = !e.error && is_terminal(r, v[V_TYPE]);
    return e;
}

/* ---- errors */

static const char *text_or_null(struct request *r, struct json_value v)
{
    if (v.type == JSON_NUMBER)
        return arena_copy(r->arena, v.raw).p;
    if (v.type != JSON_STRING)
        return NULL;
    struct str s = json_text(v, r->arena);
    return memchr(s.p ? s.p : "", '\0', s.n) ? NULL : arena_copy(r->arena, s).p;
}

/* {"error":{…}}, {"error":"…"}, {"message":"…"}, {"detail":"…"}; anything else has no message of use. */
static void read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f)
{
    static const char *const paths[] = {"error.message", "error.type", "error.code", "error.param",
                                        "error",         "message",    "detail"};
    enum { MESSAGE, TYPE, CODE, PARAM, PLAIN, TOP, DETAIL, COUNT };
    struct json_value v[COUNT];
    (void)headers;
    *f = (struct failure){.status = status};
    if (json_scan(body, paths, COUNT, v, NULL) == 0) {
        static const int order[] = {MESSAGE, PLAIN, TOP, DETAIL};
        for (size_t i = 0; i < 4 && f->message.n == 0; i++)
            if (v[order[i]].type == JSON_STRING)
                f->message = json_text(v[order[i]], r->arena);
        f->type = text_or_null(r, v[TYPE]);
        f->code = text_or_null(r, v[CODE]);
        f->param = text_or_null(r, v[PARAM]);
    }
    if (f->message.n == 0)
        f->message = arena_printf(r->arena, "The provider answered with status %d.", status);
}

const struct provider provider_openai = {
    .type = "openai",
    .build = build,
    .read_answer = read_answer,
    .read_event = read_event,
    .read_error = read_error,
};

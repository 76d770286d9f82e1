/* Calls that pass to OpenAI, and to everybody who speaks its dialect. Run by workers.
 *
 * The caller speaks it too, so a body passes as it is; only what has to be another is set in it: the model's
 * name where the provider calls it otherwise, and stream_options.include_usage, without which a stream does
 * not tell what it cost. Unknown members survive both ways.
 *
 * A stream's events are many and small: a search for a few names decides whether one is looked at closely. */
#include "openai_mend.h"

#include "answer.h"
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

static int set_model(struct request *r, struct str *body, struct str model)
{
    size_t max = 6 * model.n + 2;
    struct buf b = arena_buf(r->arena, max);
    return json_put_string(&b, model) == 0 ? json_set_member_in(r->arena, body, "model", buf_str(&b)) : -1;
}

/* Other members of stream_options stay. */
static int ask_for_usage(struct request *r, struct str *body)
{
    static const char *const paths[] = {"stream_options"};
    struct json_value v = {.type = JSON_ABSENT};
    struct str options = STR("{\"include_usage\":true}");
    if (str_has(*body, "stream") && json_scan(*body, paths, 1, &v, NULL) != 0)
        return -1;
    if (v.type == JSON_OBJECT && v.count > 0) {
        options = v.raw;
        if (json_set_member_in(r->arena, &options, "include_usage", STR("true")) != 0)
            return -1;
    }
    return json_set_member_in(r->arena, body, "stream_options", options);
}

static bool is_object(struct str body)
{
    while (body.n > 0 && strchr(" \t\r\n", body.p[0]) && body.p[0])
        body.p++, body.n--;
    return body.n > 0 && body.p[0] == '{';
}

/* There may be something in it that this provider refuses, or does not know. */
static bool needs_mending(const struct conf_provider *p, unsigned deviations, struct str body)
{
    if (deviations & PROVIDER_RANDOM_SEED)
        return true;
    return ((deviations & PROVIDER_MAX_TOKENS) && str_has(body, "\"max_completion_tokens\"")) ||
           ((deviations & PROVIDER_NO_STREAM_OPTIONS) && str_has(body, "\"stream_options\"")) ||
           (!openai_knows_developers(p) && str_has(body, "\"developer\""));
}

/* What a chat call's answer will need, and its body in the provider's words. */
static int prepare_chat(struct request *r, const struct conf_provider *p, struct provider_call *call)
{
    struct openai_pass *pass = arena_alloc(r->arena, sizeof(*pass));
    *pass = (struct openai_pass){.deviations = openai_deviations(p), .many = r->several};
    r->pass = pass;
    return needs_mending(p, pass->deviations, call->body) ? openai_mend_request(r, p, &call->body, call) : 0;
}

static int build_body(struct request *r, const struct conf_provider *p, struct str model, bool in_path,
                      struct provider_call *call)
{
    call->body = r->body;
    bool rename = model.n > 0 && r->model.n > 0 && !str_eq(model, r->model);
    bool object = is_object(r->body);
    if (rename && !object && !in_path)
        return -1; /* a form's fields are not rewritten */
    if (rename && object && set_model(r, &call->body, model) != 0)
        return -1;
    if (r->match.endpoint == EP_CHAT && prepare_chat(r, p, call) != 0)
        return -1;
    if (!streams_usage(r) || (openai_deviations(p) & PROVIDER_NO_STREAM_OPTIONS))
        return 0;
    call->usage_added = true;
    return ask_for_usage(r, &call->body);
}

int openai_path(struct arena *a, const struct conf_provider *p, struct str rest, struct str *path)
{
    struct upstream_url url;
    if (upstream_url_parse(str_of(p->base_url), &url, NULL) != 0)
        return -1;
    *path = arena_printf(a, STR_FMT STR_FMT, STR_ARG(url.path), STR_ARG(rest));
    return upstream_path_ok(*path) ? 0 : -1;
}

/* A native call's path stands behind the host: what the base URL says beyond it belongs to our own endpoints.
 */
static int build_path(struct request *r, const struct conf_provider *p, struct str *path)
{
    struct upstream_url url;
    if (upstream_url_parse(str_of(p->base_url), &url, NULL) != 0)
        return -1;
    struct str base = r->match.endpoint == EP_NATIVE ? STR_NULL : url.path;
    size_t max = base.n + r->match.rest.n + 1 + r->head->query.n;
    struct buf b = arena_buf(r->arena, max);
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
    struct buf b = arena_buf(r->arena, ROOM);
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

int openai_build(struct request *r, const struct conf_provider *p, struct str model, struct str path,
                 bool in_path, struct provider_call *call, struct failure *f)
{
    *call = (struct provider_call){.path = path};
    r->pass = NULL;
    if (build_body(r, p, model, in_path, call) != 0)
        return refuse(
            r, f, "invalid_body",
            "The model goes by another name at its provider, and can't be renamed in a body like this.");
    call->headers = build_headers(r);
    return 0;
}

static int build(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f)
{
    struct str path;
    if (build_path(r, p, &path) != 0)
        return refuse(r, f, "invalid_path", "The request's path can't be passed on.");
    return openai_build(r, p, model, path, false, call, f);
}

unsigned openai_deviations(const struct conf_provider *p)
{
    const struct provider_type *t = provider_type(p->type);
    return t ? t->deviations : 0;
}

/* One of its tools is a custom one. Few bodies have the word at all, so few are searched. */
static bool has_custom_tools(struct str body)
{
    struct json_value tools, tool;
    if (!str_has(body, "\"custom\""))
        return false;
    tools = json_member(json_root(body), "tools");
    for (size_t at = 0; tools.type == JSON_ARRAY && json_next(tools.raw, &at, NULL, &tool) == 1;)
        if (str_eq(json_member(tool, "type").raw, STR("\"custom\"")))
            return true;
    return false;
}

static bool passes(const struct request *r, const struct conf_provider *p, struct str model)
{
    (void)model;
    switch (r->match.endpoint) {
    case EP_CHAT:
        return (openai_deviations(p) & PROVIDER_CUSTOM_TOOLS) || !has_custom_tools(r->body);
    case EP_RESPONSES:
        return p->responses == RESPONSES_TRUE ||
               (p->responses == RESPONSES_AUTO && (openai_deviations(p) & PROVIDER_RESPONSES));
    case EP_MESSAGES:
    case EP_COUNT_TOKENS:
    case EP_GENERATE:
    case EP_COUNT_CONTENT:
    case EP_EMBED_CONTENT:
        return false;
    default:
        return true;
    }
}

static bool read_usage(struct request *r, struct json_value usage)
{
    struct usage_tokens u;
    if (!openai_usage(usage, &u))
        return false;
    r->tokens = u;
    r->tokens_known = true;
    return true;
}

/* ---- whole answers */

/* An object that has an "error" beside its content (a response has one, null or not) is an answer; a chat
 * completion is none, whatever else is in it. */
static bool is_failure(const struct request *r, struct json_value error, struct json_value choices,
                       struct json_value object)
{
    if (!openai_is_error(error))
        return false;
    return r->match.endpoint == EP_CHAT ||
           (choices.type == JSON_ABSENT && object.type == JSON_ABSENT && error.type != JSON_ARRAY);
}

/* The choice that says why it broke off (OpenRouter's do), or the whole. */
static struct str culprit(struct str text, struct json_value choices)
{
    struct json_value choice;
    size_t next = 0;
    while (choices.type == JSON_ARRAY && json_next(choices.raw, &next, NULL, &choice) == 1)
        if (openai_is_error(json_member(choice, "error")))
            return choice.raw;
    return text;
}

int openai_read_answer(struct request *r, struct str answer, struct failure *f)
{
    static const char *const paths[] = {"usage", "error", "choices", "object", "x_groq.usage"};
    enum { V_USAGE, V_ERROR, V_CHOICES, V_OBJECT, V_GROQ };
    struct json_value v[5];
    struct error err;
    if (json_scan(answer, paths, 5, v, &err) != 0) {
        openai_bad_answer(r, f, "The provider's answer is no valid JSON object.");
        return -1;
    }
    if (is_failure(r, v[V_ERROR], v[V_CHOICES], v[V_OBJECT])) {
        openai_read_error(r, 502, NULL, answer, f);
        return -1;
    }
    struct str broken =
        r->pass && str_has(v[V_CHOICES].raw, "\"error\"") ? culprit(STR_NULL, v[V_CHOICES]) : STR_NULL;
    if (broken.n > 0) {
        openai_read_error(r, 502, NULL, broken, f);
        return -1;
    }
    if (!read_usage(r, v[V_USAGE]))
        read_usage(r, v[V_GROQ]);
    return 0;
}

/* ---- streams */

static const char *skip_spaces(const char *p, const char *end)
{
    while (p < end && *p == ' ')
        p++;
    return p;
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

/* Generated text, about: what stands in the members that hold any. Of thinking under two names one counts. */
static uint32_t text_bytes(const struct openai_marks *m, const char *end)
{
    static const enum openai_mark texts[] = {MARK_CONTENT, MARK_TEXT, MARK_ARGUMENTS, MARK_DELTA};
    static const enum openai_mark thoughts[] = {MARK_REASONING, MARK_REASONING_SHORT, MARK_THINKING};
    size_t n = 0, thought = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        n += string_bytes(m->value[texts[i]], end);
    for (size_t i = 0; i < sizeof(thoughts) / sizeof(thoughts[0]) && thought == 0; i++)
        thought = string_bytes(m->value[thoughts[i]], end);
    return (uint32_t)(n + thought);
}

/* `"usage":null`, with the comma that goes with it; empty when it is not there, or is all there is. */
static struct str null_usage(const struct openai_marks *m, struct str data)
{
    const char *end = data.p + data.n, *value = m->value[MARK_USAGE], *front = m->usage;
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

/* One brace behind a null closes one object only: it is the outermost's own, without a closer look. (OpenAI
 * has padding behind it.) */
static bool is_outermost(struct str member, struct str data)
{
    if (member.n == 0)
        return false;
    const char *end = data.p + data.n, *behind = member.p + member.n;
    return memchr(behind, '}', (size_t)(end - behind)) == end - 1;
}

/* Of the Responses endpoint's events, which all tell their type, these are worth a look. */
static bool may_be_terminal(struct str data)
{
    return str_has(data, "\"response.completed\"") || str_has(data, "\"response.incomplete\"") ||
           str_has(data, "\"response.failed\"") || str_has(data, "\"error\"");
}

static bool is_terminal(const struct request *r, struct json_value type)
{
    if (r->match.endpoint != EP_RESPONSES || type.type != JSON_STRING)
        return false;
    return str_eq(type.raw, STR("\"response.completed\"")) ||
           str_eq(type.raw, STR("\"response.incomplete\"")) || str_eq(type.raw, STR("\"response.failed\""));
}

/* What the close look at an event found: usage, errors, the end. False: it is no JSON object. */
static bool look_at(struct request *r, const struct sse_event *ev, const char *usage, struct stream_event *e)
{
    static const char *const paths[] = {"usage", "response.usage", "choices",
                                        "error", "type",           "x_groq.usage"};
    enum { V_USAGE, V_RESPONSE_USAGE, V_CHOICES, V_ERROR, V_TYPE, V_GROQ };
    struct json_value v[6];
    bool valid = json_scan(ev->data, paths, 6, v, NULL) == 0;
    if (!valid || v[V_USAGE].type != JSON_NULL || v[V_USAGE].raw.p != usage)
        e->null_usage = STR_NULL; /* another object's */
    if (!valid)
        return false;
    e->usage = read_usage(r, v[V_USAGE]) || read_usage(r, v[V_RESPONSE_USAGE]) || read_usage(r, v[V_GROQ]);
    e->usage_only = e->usage && v[V_CHOICES].type == JSON_ARRAY && v[V_CHOICES].count == 0;
    e->error = openai_is_error(v[V_ERROR]) || str_eq(ev->name, STR("error")) ||
               str_eq(v[V_TYPE].raw, STR("\"error\""));
    e->last = !e->error && is_terminal(r, v[V_TYPE]);
    return true;
}

/* An error that the caller's SDK would not take for one. */
static void tell_error(struct request *r, struct str data, bool no_object, struct stream_event *e)
{
    struct failure f;
    e->error = true;
    if (!no_object)
        return;
    openai_read_error(r, 502, NULL, data, &f);
    e->instead = dialect_error_event(DIALECT_OPENAI, &f, r->arena);
}

static bool begins(const char *value, const char *end, char with)
{
    return value && value < end && *value == with;
}

/* Of a chat's event, what only a provider that is not quite OpenAI says. */
static void mend(struct request *r, const struct sse_event *ev, const struct openai_marks *m,
                 struct stream_event *e)
{
    struct openai_pass *pass = r->pass;
    const char *end = ev->data.p + ev->data.n;
    bool broke_off = false;
    if (begins(m->value[MARK_FINISH], end, '"') && (pass->deviations & PROVIDER_NO_DONE))
        e->finished = true;
    if (e->error) {
        tell_error(r, ev->data, !begins(m->value[MARK_ERROR], end, '{'), e);
        return;
    }
    bool hidden_usage = e->usage && str_has(ev->data, "\"x_groq\"");
    if (!openai_is_suspicious(pass, m, false, end) && !hidden_usage)
        return;
    struct str mended = openai_mend(r, pass, ev->data, false, &broke_off);
    if (broke_off)
        tell_error(r, culprit(ev->data, json_member(json_root(ev->data), "choices")), true, e);
    else if (mended.n > 0)
        e->instead = openai_event(r, mended);
}

/* vLLM's and Mistral's, which no SDK takes for an error. */
static bool is_error_object(const struct request *r, struct str data)
{
    return (str_starts(data, STR("{\"object\":\"error\"")) ||
            str_starts(data, STR("{\"object\": \"error\""))) &&
           r->match.endpoint != EP_NATIVE;
}

struct stream_event openai_read_event(struct request *r, const struct sse_event *ev)
{
    struct stream_event e = {0};
    struct openai_marks m;
    if (!ev->has_data)
        return e;
    if (str_eq(ev->data, STR("[DONE]"))) {
        e.last = true;
        return e;
    }
    if (is_error_object(r, ev->data)) {
        tell_error(r, ev->data, true, &e);
        return e;
    }
    openai_find_marks(ev->data, &m);
    e.text_bytes = text_bytes(&m, ev->data.p + ev->data.n);
    e.null_usage = null_usage(&m, ev->data);
    bool terminal = r->match.endpoint == EP_RESPONSES && may_be_terminal(ev->data);
    bool failed = m.value[MARK_ERROR] || str_eq(ev->name, STR("error"));
    bool usage = m.value[MARK_USAGE] && !is_outermost(e.null_usage, ev->data);
    if ((terminal || failed || usage) && !look_at(r, ev, m.value[MARK_USAGE], &e))
        return e;
    if (r->pass)
        mend(r, ev, &m, &e);
    return e;
}

/* As with events: the marks decide. */
struct str openai_mend_answer(struct request *r, struct str answer)
{
    struct openai_marks m;
    bool broke_off;
    if (!r->pass || answer.n < 4)
        return STR_NULL;
    openai_find_marks(answer, &m);
    if (!openai_is_suspicious(r->pass, &m, true, answer.p + answer.n))
        return STR_NULL;
    return openai_mend(r, r->pass, answer, true, &broke_off);
}

const struct provider provider_openai = {
    .type = "openai",
    .passes = passes,
    .build = build,
    .read_answer = openai_read_answer,
    .mend_answer = openai_mend_answer,
    .read_event = openai_read_event,
    .read_error = openai_read_error,
    .write_chat = openai_write_chat,
    .read_chat = openai_read_chat,
    .framing = FRAMES_SSE,
    .read_frame = openai_read_frame,
    .whole = openai_whole,
    .write_embed = openai_write_embed,
    .read_embed = openai_read_embed,
};

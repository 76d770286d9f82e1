/* Errors of OpenAI and of those who speak its dialect, who agree on little in them: {"error":{…}},
 * {"error":"text"}, {"message":…}, {"detail":…}, [{"error":…}], texts and pages of a server in between.
 * Run by workers. */
#include "openai.h"

#include <string.h>

enum {
    E_ERROR,
    E_MESSAGE,
    E_TYPE,
    E_CODE,
    E_PARAM,
    E_INNER, /* Azure */
    E_RAW,   /* OpenRouter: what its provider said */
    E_TOP,
    E_TOP_CODE,
    E_DETAIL,
    E_MESSAGE_DETAIL, /* Mistral */
    E_ERRORS,
    E_STATUS_CODE, /* Groq */
    E_STATUS,
    E_MEMBERS
};

static const char *const paths[E_MEMBERS] = {
    [E_ERROR] = "error",
    [E_MESSAGE] = "error.message",
    [E_TYPE] = "error.type",
    [E_CODE] = "error.code",
    [E_PARAM] = "error.param",
    [E_INNER] = "error.innererror.code",
    [E_RAW] = "error.metadata.raw",
    [E_TOP] = "message",
    [E_TOP_CODE] = "code",
    [E_DETAIL] = "detail",
    [E_MESSAGE_DETAIL] = "message.detail",
    [E_ERRORS] = "errors",
    [E_STATUS_CODE] = "error.status_code",
    [E_STATUS] = "error.status",
};

bool openai_is_error(struct json_value v)
{
    switch (v.type) {
    case JSON_STRING:
        return v.raw.n > 2;
    case JSON_OBJECT:
    case JSON_ARRAY:
        return v.count > 0;
    case JSON_TRUE:
        return true;
    default:
        return false;
    }
}

/* ---- its words */

static bool contains(struct str text, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= text.n; i++)
        if (str_ieq((struct str){text.p + i, n}, (struct str){what, n}))
            return true;
    return false;
}

/* Texts and numbers, without NUL bytes. */
static const char *word_of(struct request *r, struct json_value v)
{
    if (v.type == JSON_NUMBER)
        return arena_copy(r->arena, v.raw).p;
    if (v.type != JSON_STRING || v.raw.n <= 2)
        return NULL;
    struct str s = json_text(v, r->arena);
    return memchr(s.p, '\0', s.n) ? NULL : arena_copy(r->arena, s).p;
}

/* A text; of an array its first element's; of an object its message: "msg" and "loc" are pydantic's. */
static struct str words_of(struct request *r, struct json_value v, int depth)
{
    static const char *const names[] = {"message", "msg", "detail", "error"};
    struct json_value first;
    size_t next = 0;
    if (v.type == JSON_STRING)
        return json_text(v, r->arena);
    if (v.type == JSON_ARRAY && depth < 4 && json_next(v.raw, &next, NULL, &first) == 1)
        return words_of(r, first, depth + 1);
    if (v.type != JSON_OBJECT || depth >= 4)
        return STR_NULL;
    struct str found = STR_NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && found.n == 0; i++)
        found = words_of(r, json_member(v, names[i]), depth + 1);
    struct json_value where = json_member(v, "loc");
    if (found.n > 0 && where.type == JSON_ARRAY)
        found = arena_printf(r->arena, STR_FMT ": " STR_FMT, STR_ARG(where.raw), STR_ARG(found));
    return found;
}

static struct str message_of(struct request *r, const struct json_value v[])
{
    static const int order[] = {E_MESSAGE, E_ERROR, E_MESSAGE_DETAIL, E_TOP, E_DETAIL, E_ERRORS};
    struct str message = STR_NULL;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && message.n == 0; i++)
        message = words_of(r, v[order[i]], 0);
    if (v[E_RAW].type != JSON_STRING)
        return message;
    struct str raw = json_text(v[E_RAW], r->arena);
    if (raw.n > 1000)
        raw.n = 1000;
    return message.n > 0 ? arena_printf(r->arena, STR_FMT ": " STR_FMT, STR_ARG(message), STR_ARG(raw)) : raw;
}

/* ---- what it means */

static bool is_number(const char *code)
{
    return code && code[0] >= '0' && code[0] <= '9';
}

static bool too_long(struct str message)
{
    static const char *const words[] = {"maximum context length",  "context length",
                                        "context window",          "prompt is too long",
                                        "prompt too long",         "too many tokens",
                                        "input is too long",       "exceeds the maximum number of tokens",
                                        "larger than the maximum", "reduce the length"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (contains(message, words[i]))
            return true;
    return false;
}

/* OpenAI's word for what others have another one for, or a number. */
static const char *code_of(struct request *r, const struct json_value v[], int status, struct str message)
{
    const char *code = word_of(r, v[v[E_CODE].type == JSON_ABSENT ? E_TOP_CODE : E_CODE]);
    const char *inner = word_of(r, v[E_INNER]);
    if (inner && strcmp(inner, "ResponsibleAIPolicyViolation") == 0)
        return "content_filter";
    if (code && strcmp(code, "DeploymentNotFound") == 0)
        return "model_not_found";
    if (code && (strcmp(code, "RateLimitReached") == 0 || strcmp(code, "rate_limited") == 0))
        return "rate_limit_exceeded";
    bool plain = !code || is_number(code) || strcmp(code, "invalid_request_error") == 0;
    if (plain && (status == 400 || status == 413 || status == 422) && too_long(message))
        return "context_length_exceeded";
    if (code && !is_number(code))
        return code;
    switch (status) {
    case 401:
        return "invalid_api_key";
    case 404:
        return contains(message, "model") ? "model_not_found" : code;
    case 429:
        return "rate_limit_exceeded";
    default:
        return code;
    }
}

static int number_of(struct request *r, struct json_value v)
{
    uint64_t n;
    const char *text = word_of(r, v);
    return text && str_u64(str_of(text), &n) == 0 && n >= 400 && n <= 599 ? (int)n : 0;
}

/* An error inside of an answer that began well has no status of its own but what it says: ours then tells
 * what happened. What the provider holds against the gateway (401 …) stays a 502. */
static int status_of(struct request *r, int status, const struct http_head *headers,
                     const struct json_value v[])
{
    if (headers || status != 502)
        return status == 422 ? 400 : status;
    static const int order[] = {E_STATUS_CODE, E_STATUS, E_CODE, E_TOP_CODE};
    int own = 0;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && own == 0; i++)
        own = number_of(r, v[order[i]]);
    if (own == 422)
        own = 400;
    return own == 0 || (own >= 401 && own <= 403) || own == 407 ? 502 : own;
}

static struct str first_of(struct str body)
{
    struct json_value root = json_root(body), first;
    size_t next = 0;
    if (root.type == JSON_ARRAY && json_next(root.raw, &next, NULL, &first) == 1)
        return first.raw;
    return body;
}

/* A short plain text may be the message; a page of HTML is none. */
static struct str plain_text(struct request *r, struct str body)
{
    while (body.n > 0 && (body.p[body.n - 1] == '\n' || body.p[body.n - 1] == '\r'))
        body.n--;
    bool plain = body.n > 0 && body.n <= 300;
    for (size_t i = 0; plain && i < body.n; i++)
        plain = (unsigned char)body.p[i] >= 0x20 && body.p[i] != '<' && body.p[i] != '{' && body.p[i] != '[';
    return plain ? arena_copy(r->arena, body) : STR_NULL;
}

void openai_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f)
{
    struct json_value v[E_MEMBERS];
    *f = (struct failure){.status = status};
    if (json_scan(first_of(body), paths, E_MEMBERS, v, NULL) == 0) {
        f->message = arena_copy(r->arena, message_of(r, v)); /* the body may not last as long */
        f->status = status_of(r, status, headers, v);
        f->type = word_of(r, v[E_TYPE]);
        f->code = code_of(r, v, f->status, f->message);
        f->param = word_of(r, v[E_PARAM]);
    } else {
        f->message = plain_text(r, body);
    }
    if (f->message.n == 0)
        f->message = arena_printf(r->arena, "The provider answered with status %d.", status);
}

void openai_bad_answer(struct request *r, struct failure *f, const char *message)
{
    *f = (struct failure){.status = 502,
                          .type = "server_error",
                          .code = "upstream_malformed",
                          .message = arena_copy(r->arena, str_of(message))};
}

/* Errors as OpenAI, Anthropic and Google write them, so that each vendor's SDK raises its proper exception.
 * Our own words in the message, the vendor's in type, code and status. Run by workers only. */
#include "answer.h"
#include "json_out.h"

enum { MAX_MESSAGE = 4096 };

struct kind {
    int status;
    const char *openai, *anthropic, *google;
    int anthropic_status, google_status; /* 0: the same */
};

/* The last line is for every status that has no other. */
static const struct kind kinds[] = {
    {400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT", 0, 0},
    /* Google answers a bad API key with 400 and the reason API_KEY_INVALID */
    {401, "invalid_request_error", "authentication_error", "INVALID_ARGUMENT", 0, 400},
    {402, "insufficient_quota", "billing_error", "FAILED_PRECONDITION", 0, 400},
    {403, "invalid_request_error", "permission_error", "PERMISSION_DENIED", 0, 0},
    {404, "invalid_request_error", "not_found_error", "NOT_FOUND", 0, 0},
    {405, "invalid_request_error", "invalid_request_error", "UNIMPLEMENTED", 0, 0},
    {408, "timeout", "timeout_error", "DEADLINE_EXCEEDED", 0, 0},
    {409, "invalid_request_error", "invalid_request_error", "ABORTED", 0, 0},
    {413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT", 0, 0},
    {422, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT", 0, 0},
    {429, "requests", "rate_limit_error", "RESOURCE_EXHAUSTED", 0, 0},
    {500, "server_error", "api_error", "INTERNAL", 0, 0},
    {502, "server_error", "api_error", "UNAVAILABLE", 0, 0},
    {503, "server_error", "overloaded_error", "UNAVAILABLE", 529, 0},
    {504, "timeout", "timeout_error", "DEADLINE_EXCEEDED", 0, 0},
    {529, "server_error", "overloaded_error", "UNAVAILABLE", 529, 503},
    {0, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT", 0, 0},
};
static const struct kind other_5xx = {500, "server_error", "api_error", "INTERNAL", 0, 0};

static const struct kind *kind_of(int status)
{
    const struct kind *k = kinds;
    while (k->status != 0 && k->status != status)
        k++;
    return k->status == 0 && status >= 500 ? &other_5xx : k;
}

/* The credential that a provider refuses is not the caller's API key. */
static bool is_providers_401(const struct failure *f)
{
    return f->at_provider && f->status == 401;
}

int dialect_status(enum dialect d, const struct failure *f)
{
    const struct kind *k = kind_of(f->status);
    if (d == DIALECT_GOOGLE && is_providers_401(f))
        return f->status;
    if (d == DIALECT_ANTHROPIC && k->anthropic_status)
        return k->anthropic_status;
    if (d == DIALECT_GOOGLE && k->google_status)
        return k->google_status;
    return f->status;
}

/* "name":"value" or "name":null */
static void put_member(struct buf *b, const char *name, const char *value)
{
    json_put_string(b, str_of(name));
    buf_add_byte(b, ':');
    if (value)
        json_put_string(b, str_of(value));
    else
        buf_add(b, STR("null"));
}

static void put_message(struct buf *b, const struct failure *f)
{
    struct str m = f->message;
    if (m.n > MAX_MESSAGE)
        m.n = MAX_MESSAGE; /* a UTF-8 sequence cut here becomes U+FFFD */
    buf_add(b, STR("\"message\":"));
    json_put_string(b, m);
}

static void put_openai(struct buf *b, const struct failure *f)
{
    buf_add(b, STR("{\"error\":{"));
    put_message(b, f);
    buf_add_byte(b, ',');
    put_member(b, "type", f->type ? f->type : kind_of(f->status)->openai);
    buf_add_byte(b, ',');
    put_member(b, "param", f->param);
    buf_add_byte(b, ',');
    put_member(b, "code", f->code);
    buf_add(b, STR("}}"));
}

static void put_anthropic(struct buf *b, const struct failure *f)
{
    buf_add(b, STR("{\"type\":\"error\",\"error\":{"));
    put_member(b, "type", kind_of(f->status)->anthropic);
    buf_add_byte(b, ',');
    put_message(b, f);
    if (str_eq(str_of(f->code), STR("thread_unsupported_request")))
        buf_add(b, STR(",\"details\":{\"error_code\":\"thread_unsupported_request\"}"));
    buf_add_byte(b, '}');
    if (f->request_id) {
        buf_add_byte(b, ',');
        put_member(b, "request_id", f->request_id);
    }
    buf_add_byte(b, '}');
}

static void put_google(struct buf *b, const struct failure *f)
{
    buf_printf(b, "{\"error\":{\"code\":%d,", dialect_status(DIALECT_GOOGLE, f));
    put_message(b, f);
    buf_add_byte(b, ',');
    put_member(b, "status", is_providers_401(f) ? "UNAUTHENTICATED" : kind_of(f->status)->google);
    if (f->status == 401 && !f->at_provider)
        buf_add(b, STR(",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
                       "\"reason\":\"API_KEY_INVALID\"}]"));
    if (f->status == 429 && f->retry_after_ms > 0)
        buf_printf(b,
                   ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
                   "\"retryDelay\":\"%llds\"}]",
                   (long long)(f->retry_after_ms + 999) / 1000);
    buf_add(b, STR("}}"));
}

/* Room for the object with every byte of the message escaped. */
static struct buf room_for(const struct failure *f, struct arena *a)
{
    size_t n = f->message.n < MAX_MESSAGE ? f->message.n : MAX_MESSAGE;
    n += str_of(f->type).n + str_of(f->code).n + str_of(f->param).n + str_of(f->request_id).n;
    n = 512 + 12 * n; /* the Responses endpoint's holds it twice */
    return arena_buf(a, n);
}

static void put_object(struct buf *b, enum dialect d, const struct failure *f)
{
    if (d == DIALECT_ANTHROPIC)
        put_anthropic(b, f);
    else if (d == DIALECT_GOOGLE)
        put_google(b, f);
    else
        put_openai(b, f);
}

struct str dialect_error(enum dialect d, const struct failure *f, struct arena *a)
{
    struct buf b = room_for(f, a);
    put_object(&b, d, f);
    return buf_str(&b);
}

struct str dialect_error_event(enum dialect d, const struct failure *f, struct arena *a)
{
    struct buf b = room_for(f, a);
    if (d == DIALECT_ANTHROPIC)
        buf_add(&b, STR("event: error\n"));
    buf_add(&b, STR("data: "));
    put_object(&b, d, f);
    buf_add(&b, STR("\n\n"));
    return buf_str(&b);
}

/* Both forms that there are: the members at the top, as it is documented, and within "error", as it is really
 * sent and as SDKs raise it. */
struct str dialect_responses_error_event(const struct failure *f, uint32_t events, struct arena *a)
{
    struct buf b = room_for(f, a);
    const char *type = f->type ? f->type : kind_of(f->status)->openai;
    buf_printf(&b, "event: error\ndata: {\"type\":\"error\",\"sequence_number\":%u,", events);
    put_member(&b, "code", f->code ? f->code : type);
    buf_add(&b, STR(",\"param\":null,"));
    put_message(&b, f);
    buf_add(&b, STR(",\"error\":{"));
    put_member(&b, "type", type);
    buf_add_byte(&b, ',');
    put_member(&b, "code", f->code ? f->code : type);
    buf_add(&b, STR(",\"param\":null,"));
    put_message(&b, f);
    buf_add(&b, STR("}}\n\n"));
    return buf_str(&b);
}

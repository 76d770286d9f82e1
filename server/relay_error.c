/* Tells a provider's error to the caller: the provider's own words, its status in the caller's terms, and our
 * credential, should it stand there, taken out. Run by workers. */
#include "relay.h"

#include "answer.h"
#include "json_scan.h"
#include "log.h"
#include "secret.h"

#include <string.h>

enum {
    MAX_ERROR = 1024 * 1024, /* of an error's body */
    MASKED_PREFIX = 8, /* so much of a credential is recognised; what is shorter is a word like others */
};

/* The status that the client gets for the provider's, in OpenAI's terms; dialect.c tells it in the caller's.
 */
static int status_for(int status)
{
    if (status < 400 || status == 407)
        return 502; /* a redirect: not followed; a proxy in between: ours */
    if (status == 424)
        return 502; /* Bedrock: the model failed */
    if (status == 529)
        return 503;
    if (status < 500 || status == 500 || (status >= 502 && status <= 504))
        return status;
    return 502;
}

static const char *const secret_parts[] = {"", "access", "secret", "session"};

static struct str secret_part(const struct attempt *a, size_t i)
{
    char name[128];
    if (i == 0)
        return secret_get(a->conf->name);
    secret_name(name, sizeof(name), a->conf->name, secret_parts[i]);
    return secret_get(name);
}

/* What was fetched (a token of Vertex's, the session of an instance's role) stands in no configuration, only
 * in the request that was sent: "authorization: Bearer TOKEN", "x-amz-security-token: TOKEN". Takes one off
 * *lines; false: there is none. */
static bool sent_secret(struct str *lines, struct str *out)
{
    static const struct str names[] = {STR("authorization: Bearer "), STR("x-amz-security-token: ")};
    struct str line;
    while (str_split(lines, '\n', &line))
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (str_starts(line, names[i])) {
                *out = str_trim((struct str){line.p + names[i].n, line.n - names[i].n - 1});
                return true;
            }
    return false;
}

static bool shows(struct str text, struct str secret)
{
    return secret.n >= MASKED_PREFIX && text.n >= MASKED_PREFIX &&
           memmem(text.p, text.n, secret.p, MASKED_PREFIX);
}

/* A vendor's message may quote the credential whole, or its beginning with stars behind. */
bool relay_shows_secret(const struct attempt *a, struct str text)
{
    struct str lines = upstream_credential(a->r->worker->upstreams), sent;
    for (size_t i = 0; i < sizeof(secret_parts) / sizeof(secret_parts[0]); i++)
        if (shows(text, secret_part(a, i)))
            return true;
    while (sent_secret(&lines, &sent))
        if (shows(text, sent))
            return true;
    return false;
}

/* The word that begins at p. */
static size_t word(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && (unsigned char)*p > ' ' && !strchr("\"'<>(),", *p))
        p++;
    return (size_t)(p - from);
}

static struct str without(struct arena *a, struct str text, struct str secret)
{
    struct str begin = {secret.p, MASKED_PREFIX};
    struct str mask = STR("[redacted]");
    if (!shows(text, secret))
        return text;
    size_t max = text.n / begin.n * mask.n + text.n; /* each byte may be a credential's */
    struct buf b = arena_buf(a, max);
    for (const char *at; text.n >= begin.n && (at = memmem(text.p, text.n, begin.p, begin.n)) != NULL;) {
        size_t before = (size_t)(at - text.p), n = word(at, text.p + text.n);
        n = n > begin.n ? n : begin.n;
        buf_add(&b, (struct str){text.p, before});
        buf_add(&b, mask);
        text = (struct str){at + n, text.n - before - n};
    }
    buf_add(&b, text);
    return buf_str(&b);
}

void relay_mask(const struct attempt *a, struct failure *f)
{
    for (size_t i = 0; i < sizeof(secret_parts) / sizeof(secret_parts[0]); i++)
        f->message = without(a->r->arena, f->message, secret_part(a, i));
    struct str lines = upstream_credential(a->r->worker->upstreams), sent;
    while (sent_secret(&lines, &sent))
        f->message = without(a->r->arena, f->message, sent);
}

static int64_t retry_after_ms(const struct attempt *a)
{
    struct str value;
    uint64_t n;
    if (http_find(a->head, "retry-after-ms", &value) && str_u64(value, &n) == 0 && n <= 86400000)
        return (int64_t)n;
    if (http_find(a->head, "retry-after", &value) && str_u64(value, &n) == 0 && n <= 86400)
        return (int64_t)n * 1000;
    return 0;
}

/* True: the body is the error object of the dialect that the client speaks, and may be shown. A native call's
 * client speaks its provider's, whatever its errors look like. */
static bool passable(const struct attempt *a, struct str body)
{
    static const char *const paths[] = {"error"};
    struct json_value v;
    if (a->translates || a->head->status < 400 || relay_shows_secret(a, body))
        return false;
    if (a->r->match.endpoint == EP_NATIVE)
        return json_validate(body, NULL) == 0;
    return json_scan(body, paths, 1, &v, NULL) == 0 && v.type == JSON_OBJECT;
}

/* AWS names the kind of its errors here only. */
static void pass_error_type(const struct attempt *a)
{
    struct str type;
    if (http_find(a->head, "x-amzn-errortype", &type) && type.n <= 200)
        answer_header(a->r, "x-amzn-errortype", type);
}

static void headers_of_retry(struct request *r, int64_t ms)
{
    answer_header_u64(r, "retry-after", (uint64_t)(ms + 999) / 1000);
    answer_header_u64(r, "retry-after-ms", (uint64_t)ms);
}

static bool mentions(struct str text, const char *const words[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text.n > 0 && strcasestr(text.p, words[i]))
            return true;
    return false;
}

/* OpenAI's code where the provider has none of its own, by what its message says. */
static const char *code_for(int status, struct str message)
{
    static const char *const too_long[] = {"context length",    "context window",
                                           "too long",          "too many tokens",
                                           "maximum context",   "exceeds the maximum number of tokens",
                                           "input token count", "reduce the length"};
    static const char *const filtered[] = {"content policy", "content_policy", "content management policy",
                                           "content filter", "safety system",  "usage policies"};
    switch (status) {
    case 400:
        return mentions(message, too_long, sizeof(too_long) / sizeof(too_long[0])) ? "context_length_exceeded"
               : mentions(message, filtered, sizeof(filtered) / sizeof(filtered[0]))
                   ? "content_policy_violation"
                   : NULL;
    case 401:
        return "invalid_api_key";
    case 404:
        return "model_not_found";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_exceeded";
    default:
        return NULL;
    }
}

enum step relay_tell_failure(struct attempt *a, struct failure *f)
{
    struct request *r = a->r;
    f->message = arena_copy(r->arena, f->message); /* NUL behind it */
    relay_mask(a, f);
    f->at_provider = true;
    if (f->status < 400 || f->status > 599)
        f->status = 502;
    if (f->retry_after_ms == 0)
        f->retry_after_ms = retry_after_ms(a);
    if (!f->code)
        f->code = code_for(f->status, arena_copy(r->arena, f->message));
    return answer_failure(r, f);
}

static enum step tell_redirect(struct attempt *a)
{
    struct failure f = {.status = 502,
                        .type = "server_error",
                        .code = "upstream_redirect",
                        .message = arena_printf(a->r->arena, "The provider %s answered with a redirect (%d).",
                                                a->conf->name, a->head->status)};
    return answer_failure(a->r, &f);
}

/* The status of an error whose body passes: the caller's vendor's own, so only what is none is changed. */
static int passed_status(int status)
{
    return status > 599 ? 502 : status;
}

static enum step tell_error(struct attempt *a, struct str body)
{
    struct request *r = a->r;
    struct failure f;
    if (a->head->status < 400)
        return tell_redirect(a);
    if (passable(a, body)) {
        a->dialect->read_error(r, a->head->status, a->head, body, &f); /* some tell it in the body */
        int64_t ms = f.retry_after_ms > 0 ? f.retry_after_ms : retry_after_ms(a);
        bool mapped = r->dialect == DIALECT_OPENAI && r->match.endpoint != EP_NATIVE;
        int status = mapped ? status_for(a->head->status) : passed_status(a->head->status);
        if (r->match.endpoint == EP_NATIVE)
            pass_error_type(a);
        if (ms > 0 || status == 429 || status == 503)
            headers_of_retry(r, ms > 0 ? ms : 1000);
        return answer_whole(r, status, "application/json", body);
    }
    a->dialect->read_error(r, a->head->status, a->head, body, &f);
    f.status = status_for(f.status);
    return relay_tell_failure(a, &f);
}

enum step relay_error(struct attempt *a)
{
    struct request *r = a->r;
    struct buf b;
    struct str body;
    struct error err = {""};
    METRIC_INC(r->worker->metrics, upstream_error_total);
    enum upstream_result res = relay_gather(a, &b, STR_NULL, MAX_ERROR, &body, &err);
    relay_note_wait(a);
    if (a->head->status == 401 || a->head->status == 402 || a->head->status == 403)
        log_error("request %s: provider %s refuses the gateway's credential or account (status %d)", r->id,
                  a->conf->name, a->head->status);
    else
        log_info("request %s: provider %s answered with status %d", r->id, a->conf->name, a->head->status);
    r->tokens_known = true; /* an error costs nothing */
    enum step step = STEP_DONE;
    if (res == UPSTREAM_CLIENT_GONE)
        step = relay_client_gone(a, 0);
    else
        step = tell_error(a, res == UPSTREAM_END ? body : STR(""));
    buf_free(&b);
    return step;
}

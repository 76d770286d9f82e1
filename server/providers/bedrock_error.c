/* AWS tells an error's kind in a header or in the body, its reason in the body, and both under several names;
 * inside of a stream as an exception frame. Run by workers. */
#include "bedrock.h"

#include "credential.h"

#include <string.h>

static const struct {
    const char *kind;
    int status; /* where the answer's own says nothing: inside of a stream, or of a 200 */
    const char *code;
} kinds[] = {
    {"ThrottlingException", 429, "rate_limit_exceeded"},
    {"TooManyRequestsException", 429, "rate_limit_exceeded"},
    {"ServiceQuotaExceededException", 400, "insufficient_quota"},
    {"ModelNotReadyException", 429, "model_not_ready"},
    {"ValidationException", 400, NULL},
    {"ConflictException", 400, NULL},
    {"ResourceNotFoundException", 404, "model_not_found"},
    {"AccessDeniedException", 403, NULL},
    {"UnrecognizedClientException", 403, "invalid_api_key"},
    {"InvalidSignatureException", 403, "invalid_api_key"},
    {"SignatureDoesNotMatch", 403, "invalid_api_key"},
    {"IncompleteSignatureException", 403, "invalid_api_key"},
    {"MissingAuthenticationTokenException", 403, "invalid_api_key"},
    {"ExpiredTokenException", 403, "invalid_api_key"},
    {"ExpiredToken", 403, "invalid_api_key"},
    {"InvalidClientTokenId", 403, "invalid_api_key"},
    {"ModelTimeoutException", 408, NULL},
    {"ModelErrorException", 502, NULL},
    {"ModelStreamErrorException", 502, NULL},
    {"InternalServerException", 500, NULL},
    {"InternalServerError", 500, NULL},
    {"InternalFailure", 500, NULL},
    {"ServiceUnavailableException", 503, NULL},
    {"ServiceUnavailable", 503, NULL},
};

/* "com.amazon.coral.service#ThrottlingException:http://…" → "ThrottlingException" */
static struct str bare_kind(struct str kind)
{
    struct str head = kind;
    const char *hash = kind.n > 0 ? memchr(kind.p, '#', kind.n) : NULL;
    if (hash)
        kind = (struct str){hash + 1, kind.n - (size_t)(hash + 1 - kind.p)};
    return str_split(&kind, ':', &head) ? str_trim(head) : head;
}

static void classify(struct failure *f, struct str kind, bool told)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_ieq(kind, str_of(kinds[i].kind))) { /* frames write the first letter small */
            f->status = told ? f->status : kinds[i].status;
            f->code = kinds[i].code;
        }
    if (f->status == 424) /* the model behind Bedrock failed */
        f->status = 502;
}

/* Some of what is told in the message only. */
static void read_message(struct request *r, struct failure *f)
{
    if (f->status == 400 &&
        (str_has(f->message, "too long") || str_has(f->message, "too many input tokens") ||
         str_has(f->message, "maximum context") || str_has(f->message, "context length")))
        f->code = "context_length_exceeded";
    if (str_has(f->message, "model identifier is invalid"))
        f->code = "model_not_found";
    if (f->status == 403 && str_has(f->message, "security token"))
        f->code = "invalid_api_key";
    if (str_has(f->message, "Signature expired") || str_has(f->message, "Signature not yet current")) {
        f->code = "invalid_api_key";
        f->message = arena_printf(r->arena, STR_FMT " (Is the gateway's clock right?)", STR_ARG(f->message));
    }
}

static void read_body(struct request *r, struct str body, struct str *kind, struct failure *f)
{
    static const char *const paths[] = {"message", "Message", "error.message", "errorMessage",
                                        "__type",  "code",    "Output.__type"};
    enum { MESSAGES = 4, COUNT = 7 };
    struct json_value v[COUNT];
    if (json_scan(body, paths, COUNT, v, NULL) != 0)
        return;
    for (int i = 0; i < MESSAGES && f->message.n == 0; i++)
        if (v[i].type == JSON_STRING)
            f->message = json_text(v[i], r->arena);
    for (int i = MESSAGES; i < COUNT && kind->n == 0; i++)
        if (v[i].type == JSON_STRING)
            *kind = bare_kind(json_text(v[i], r->arena));
}

static bool is_plain_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || (unsigned char)s.p[i] > '~')
            return false;
    return s.n > 0 && s.n <= 1024 && s.p[0] != '{' && s.p[0] != '<';
}

static void finish(struct request *r, struct str kind, bool told, struct failure *f)
{
    classify(f, kind, told);
    read_message(r, f);
    if (f->message.n == 0)
        f->message = kind.n > 0 && is_plain_text(kind)
                         ? arena_printf(r->arena, "The provider answered with " STR_FMT ".", STR_ARG(kind))
                         : arena_printf(r->arena, "The provider answered with status %d.", f->status);
}

void bedrock_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                        struct failure *f)
{
    struct str kind = STR_NULL;
    *f = (struct failure){.status = status};
    if (headers && http_find(headers, "x-amzn-errortype", &kind))
        kind = bare_kind(kind);
    read_body(r, body, &kind, f);
    finish(r, kind, headers != NULL, f);
    bool refused = f->code && strcmp(f->code, "invalid_api_key") == 0;
    if (refused && headers && r->provider >= 0) /* a role's keys may have been taken back */
        credential_refused(&r->worker->config->providers[r->provider]);
}

void bedrock_read_exception(struct request *r, struct str name, struct str payload, struct failure *f)
{
    struct str kind = bare_kind(name), unused = STR("-");
    *f = (struct failure){.status = 502};
    read_body(r, payload, &unused, f);
    if (f->message.n == 0 && is_plain_text(payload)) /* of type "error": no body, only a text */
        f->message = arena_copy(r->arena, payload);
    finish(r, kind.n > 0 ? arena_copy(r->arena, kind) : kind, false, f);
}

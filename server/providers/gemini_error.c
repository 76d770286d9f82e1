/* Google's errors, of the Gemini API and of Vertex alike. Run by workers. */
#include "gemini_chat.h"

#include "google_json.h"

#include <string.h>

/* "34.4s" in milliseconds. */
static int64_t milliseconds_of(struct str duration)
{
    struct str whole;
    uint64_t s, fraction = 0;
    if (!str_ends(duration, STR("s")))
        return 0;
    duration.n--;
    if (!str_split(&duration, '.', &whole) || str_u64(whole, &s) != 0 || s > 1000000)
        return 0;
    if (duration.n > 3)
        duration.n = 3;
    if (duration.n > 0 && str_u64(duration, &fraction) != 0)
        return 0;
    for (size_t i = duration.n; i < 3; i++)
        fraction *= 10;
    return (int64_t)(s * 1000 + fraction);
}

static void read_details(struct json_value details, struct failure *f, struct arena *a)
{
    struct json_value v;
    for (size_t at = 0; google_next(details, &at, &v) == 1;) {
        if (str_eq(json_text(google_field(v, "reason"), a), STR("API_KEY_INVALID"))) {
            f->status = 401;
            f->code = "invalid_api_key";
        }
        struct str delay = json_text(google_field(v, "retryDelay"), a);
        if (delay.n > 0)
            f->retry_after_ms = milliseconds_of(delay);
    }
}

/* OpenAI's code, where Google has but a status. */
static const char *code_of(const struct failure *f)
{
    switch (f->status) {
    case 400:
        return str_has(f->message, "exceeds the maximum number of tokens") ? "context_length_exceeded" : NULL;
    case 404:
        return "model_not_found";
    case 429:
        return "rate_limit_exceeded";
    default:
        return NULL;
    }
}

void gemini_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f)
{
    if (str_starts(body, STR("data:"))) { /* an event of a stream that never began */
        body.p += strlen("data:");
        body.n -= strlen("data:");
    }
    struct json_value root = json_root(body), first;
    size_t at = 0;
    *f = (struct failure){.status = status};
    if (root.type == JSON_ARRAY && json_next(root.raw, &at, NULL, &first) == 1)
        root = first;
    struct json_value error = google_field(root, "error"), code = google_field(error, "code");
    int64_t n;
    if (!headers && json_int(code, &n) == 0 && n >= 400 && n < 600)
        f->status = (int)n;
    struct json_value message = error.type == JSON_STRING ? error : google_field(error, "message");
    f->message = arena_copy(r->arena, json_text(message, r->arena)); /* a frame's bytes go */
    read_details(google_field(error, "details"), f, r->arena);
    if (f->message.n == 0)
        f->message = arena_printf(r->arena, "The provider answered with status %d.", f->status);
    if (!f->code)
        f->code = code_of(f);
}

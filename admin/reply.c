/* Answers and their one form of error. */
#include "reply.h"

#include "http.h"
#include "limits.h"

#include <stdarg.h>
#include <time.h>

enum { MAX_REPLY = MAX_ANSWER, KEEP_BODY = 256 * 1024 };

void reply_init(struct reply *r)
{
    *r = (struct reply){.type = "application/json"};
    buf_init(&r->headers, 4096);
    buf_init(&r->body, MAX_REPLY);
}

void reply_reset(struct reply *r)
{
    r->status = 0;
    r->type = "application/json";
    buf_reset(&r->headers);
    if (r->body.cap > KEEP_BODY)
        buf_free(&r->body);
    buf_reset(&r->body);
}

void reply_fini(struct reply *r)
{
    buf_free(&r->headers);
    buf_free(&r->body);
}

struct json_writer reply_json(struct reply *r, int status)
{
    r->status = status;
    r->type = "application/json";
    buf_reset(&r->body);
    return json_writer(&r->body);
}

static const char *error_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 409:
        return "conflict_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

int reply_error(struct reply *r, int status, const char *code, const char *param, const char *fmt, ...)
{
    char message[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    struct json_writer w = reply_json(r, status);
    json_open(&w, '{');
    json_member_open(&w, "error", '{');
    json_member_strz(&w, "message", message);
    json_member_strz(&w, "type", error_type(status));
    json_member_strz(&w, "param", param);
    json_member_strz(&w, "code", code);
    json_close(&w, '}');
    json_close(&w, '}');
    return -1;
}

void reply_header(struct reply *r, const char *name, const char *value)
{
    buf_printf(&r->headers, "%s: %s\r\n", name, value);
}

int reply_serialize(const struct reply *r, bool with_body, bool keep_alive, int64_t wall_s, struct buf *out)
{
    char date[64] = "";
    time_t t = (time_t)wall_s;
    struct tm tm;
    if (gmtime_r(&t, &tm))
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_printf(out,
               "HTTP/1.1 %d %s\r\ndate: %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n"
               "cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: %s\r\n",
               r->status, http_reason(r->status), date, r->type, r->body.n,
               keep_alive ? "keep-alive" : "close");
    buf_add(out, buf_str(&r->headers));
    buf_add(out, STR("\r\n"));
    if (with_body)
        buf_add(out, buf_str(&r->body));
    return out->full ? -1 : 0;
}

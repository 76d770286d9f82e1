/* Writing the answer of a request. Run by workers only.
 *
 * Invariants: head and first body bytes leave in one write, so do the last bytes and the final chunk. The
 * usage row is published before the client can see the end. An answer that was cut never gets its proper end
 * (no final chunk), so it can't be taken for a complete one. An answer to a request whose body was not read
 * whole closes the connection. */
#include "answer.h"

#include "answer_head.h"
#include "clock.h"
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static struct iovec piece(struct str s)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)s.p, .iov_len = s.n};
}

void answer_header(struct request *r, const char *name, struct str value)
{
    struct str n = str_of(name);
    size_t need = n.n + value.n + 4;
    if (!http_token_ok(n) || !http_value_ok(value) || need > r->extra.max - r->extra.n) {
        log_warn("answer header %s dropped: not sendable", name);
        return;
    }
    buf_add(&r->extra, n);
    buf_add(&r->extra, STR(": "));
    buf_add(&r->extra, value);
    buf_add(&r->extra, STR("\r\n"));
}

void answer_header_u64(struct request *r, const char *name, uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    answer_header(r, name, (struct str){digits, (size_t)n});
}

static void note_first_byte(struct request *r)
{
    if (r->first_byte_ns == 0)
        r->first_byte_ns = clock_mono_ns();
}

/* What must have happened before the client can see the answer's end: its next request finds its places free,
 * and no answer is complete without its row. */
static void finish(struct request *r)
{
    request_settle(r);
    request_record_publish(r);
}

static bool status_bodiless(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static bool is_head(const struct request *r)
{
    return r->head && str_eq(r->head->method, STR("HEAD"));
}

static void add_cost(struct request *r)
{
    if (!r->row || (r->flags & USAGE_COST_UNKNOWN))
        return;
    char text[40];
    struct buf b = {.p = text, .cap = sizeof(text), .max = sizeof(text)};
    answer_put_usd(&b, r->cost_pico);
    answer_header(r, "x-aigw-cost-usd", buf_str(&b));
}

enum step answer_whole(struct request *r, int status, const char *content_type, struct str body)
{
    if (r->head_sent)
        return STEP_DONE;
    r->status = status;
    note_first_byte(r);
    finish(r);
    add_cost(r);
    bool none = status_bodiless(status);
    struct str head = answer_head(r, status, str_of(content_type), none ? FRAME_NONE : FRAME_LENGTH, body.n);
    r->head_sent = true;
    client_write(r->client, head, none || is_head(r) ? STR_NULL : body);
    return STEP_DONE;
}

static void add_retry_after(struct request *r, const struct failure *f)
{
    if (f->status != 429 && f->status != 503)
        return;
    int64_t ms = f->retry_after_ms > 0 ? f->retry_after_ms : 1000;
    answer_header_u64(r, "retry-after", (uint64_t)(ms + 999) / 1000);
    answer_header_u64(r, "retry-after-ms", (uint64_t)ms);
}

enum step answer_failure(struct request *r, const struct failure *f)
{
    struct failure g = *f;
    g.request_id = r->id;
    if (g.status < 400 || g.status > 599)
        g.status = 500;
    if (r->head_sent) {
        answer_break(r, &g, STR_NULL);
        return STEP_DONE;
    }
    add_retry_after(r, &g);
    if (g.status == 401)
        answer_header(r, "www-authenticate", STR("Bearer"));
    return answer_whole(r, dialect_status(r->dialect, &g), "application/json",
                        dialect_error(r->dialect, &g, r->arena));
}

enum step answer_error(struct request *r, int status, const char *code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct failure f = {.status = status, .code = code, .message = arena_copy(r->arena, str_of(text))};
    return answer_failure(r, &f);
}

void answer_begin(struct request *r, int status, struct str content_type)
{
    enum framing framing = FRAME_CHUNKED;
    r->status = status;
    r->bodiless = status_bodiless(status) || is_head(r);
    if (status_bodiless(status))
        framing = FRAME_NONE;
    else if (r->head->minor == 0)
        framing = FRAME_CLOSE;
    r->chunked = framing == FRAME_CHUNKED;
    r->extra_before = r->extra.n;
    if (str_starts(content_type, STR("text/event-stream"))) {
        content_type = STR("text/event-stream; charset=utf-8");
        answer_header(r, "cache-control", STR("no-cache"));
        answer_header(r, "x-accel-buffering", STR("no"));
    }
    r->head_out = answer_head(r, status, content_type, framing, 0);
}

/* "1f4\r\n" into room[20]. */
static struct str chunk_size(char room[20], size_t n)
{
    size_t at = 20;
    room[--at] = '\n';
    room[--at] = '\r';
    do
        room[--at] = "0123456789abcdef"[n & 15];
    while ((n >>= 4) > 0);
    return (struct str){room + at, 20 - at};
}

/* Head (if it is still to go), bytes as a chunk, the stream's end: whatever of it there is, in one write. */
static int send_pieces(struct request *r, struct str bytes, bool end)
{
    char room[20];
    struct iovec iov[5];
    int n = 0;
    note_first_byte(r);
    if (r->head_out.n > 0)
        iov[n++] = piece(r->head_out);
    r->head_out = STR_NULL;
    r->head_sent = true;
    if (bytes.n > 0 && !r->bodiless) {
        if (r->chunked)
            iov[n++] = piece(chunk_size(room, bytes.n));
        iov[n++] = piece(bytes);
        if (r->chunked)
            iov[n++] = piece(STR("\r\n"));
    }
    if (end && r->chunked && !r->bodiless)
        iov[n++] = piece(STR("0\r\n\r\n"));
    return client_writev(r->client, iov, n);
}

int answer_piece(struct request *r, struct str bytes)
{
    if (bytes.n == 0)
        return r->client->gone ? -1 : 0;
    return send_pieces(r, bytes, false);
}

int answer_end(struct request *r, struct str last)
{
    finish(r);
    return send_pieces(r, last, true);
}

int answer_at_once(struct request *r, int status, struct str content_type, struct str bytes)
{
    r->status = status;
    note_first_byte(r);
    finish(r);
    add_cost(r);
    answer_begin(r, status, content_type);
    return send_pieces(r, bytes, true);
}

struct str answer_error_event(struct request *r, const struct failure *f)
{
    struct failure g = *f;
    g.request_id = r->id;
    return r->match.endpoint == EP_RESPONSES ? dialect_responses_error_event(&g, r->stream_events, r->arena)
                                             : dialect_error_event(r->dialect, &g, r->arena);
}

void answer_break(struct request *r, const struct failure *f, struct str last)
{
    if (!r->head_sent) {
        /* nothing has been sent: the client can still be told properly */
        r->head_out = STR_NULL;
        r->extra.n = r->extra_before;
        answer_failure(r, f);
        return;
    }
    r->failed_midway = true;
    r->closes = true;
    if (!r->client->gone)
        r->flags |= USAGE_CUT;
    finish(r);
    if (last.n > 0)
        send_pieces(r, last, false);
}

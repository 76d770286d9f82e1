/* Composes the head of an answer: one pass into the arena, numbers written by hand, the date cached for its
 * second, because every request goes through here. Run by workers only. */
#include "answer_head.h"

#include "clock.h"

#include <stdio.h>
#include <time.h>

enum { HEAD_ROOM = 2048 /* our own lines, whatever their values (each is bounded) */ };

static void put(struct buf *b, struct str s)
{
    buf_add(b, s);
}

static void put_line(struct buf *b, struct str name, struct str value)
{
    put(b, name);
    put(b, STR(": "));
    put(b, value);
    put(b, STR("\r\n"));
}

void answer_put_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    put(b, (struct str){digits + at, sizeof(digits) - at});
}

static void put_line_u64(struct buf *b, struct str name, uint64_t value)
{
    put(b, name);
    put(b, STR(": "));
    answer_put_u64(b, value);
    put(b, STR("\r\n"));
}

void answer_put_duration(struct buf *b, int64_t ns)
{
    if (ns <= 0) {
        put(b, STR("0s"));
        return;
    }
    uint64_t ms = ((uint64_t)ns + NS_PER_MS - 1) / NS_PER_MS;
    if (ms < 1000) {
        answer_put_u64(b, ms);
        put(b, STR("ms"));
        return;
    }
    uint64_t s = (ms + 999) / 1000;
    if (s >= 3600) {
        answer_put_u64(b, s / 3600);
        put(b, STR("h"));
    }
    if (s >= 60) {
        answer_put_u64(b, s / 60 % 60);
        put(b, STR("m"));
    }
    answer_put_u64(b, s % 60);
    put(b, STR("s"));
}

void answer_put_usd(struct buf *b, uint64_t pico)
{
    const uint64_t one = UINT64_C(1000000000000);
    answer_put_u64(b, pico / one);
    uint64_t rest = pico % one;
    if (rest == 0)
        return;
    char digits[12];
    size_t n = sizeof(digits);
    for (size_t i = n; i-- > 0; rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    while (digits[n - 1] == '0')
        n--;
    put(b, STR("."));
    put(b, (struct str){digits, n});
}

/* One worker serves one request at a time and has no threads: statics need no lock. */
static struct str http_date(void)
{
    static char text[40];
    static time_t of;
    static size_t n;
    time_t now = (time_t)(clock_wall_us() / 1000000);
    if (now != of || n == 0) {
        struct tm tm;
        gmtime_r(&now, &tm);
        n = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        of = now;
    }
    return (struct str){text, n};
}

/* The limit of key or team that will stop the caller first. */
static void tighter(const struct limit_result *seen, uint64_t limit, const struct limit_result **out,
                    uint64_t *out_limit)
{
    if (limit == 0)
        return;
    if (!*out || seen->remaining < (*out)->remaining) {
        *out = seen;
        *out_limit = limit;
    }
}

static void put_limit(struct buf *b, const char *what, const struct limit_result *seen, uint64_t limit)
{
    struct str kind = str_of(what);
    if (!seen)
        return;
    put(b, STR("x-ratelimit-limit-"));
    put_line_u64(b, kind, limit);
    put(b, STR("x-ratelimit-remaining-"));
    put_line_u64(b, kind, seen->remaining);
    put(b, STR("x-ratelimit-reset-"));
    put(b, kind);
    put(b, STR(": "));
    answer_put_duration(b, seen->reset_ns);
    put(b, STR("\r\n"));
}

static void put_limits(struct buf *b, const struct request *r)
{
    const struct admission *both[] = {&r->by_key, &r->by_team};
    const struct key_limits *limits[] = {&r->key.limits, &r->team.limits};
    const struct limit_result *requests = NULL, *tokens = NULL;
    uint64_t request_limit = 0, token_limit = 0;
    for (size_t i = 0; i < 2; i++) {
        if (!both[i]->slot)
            continue;
        tighter(&both[i]->rpm_seen, limits[i]->rpm, &requests, &request_limit);
        tighter(&both[i]->rpd_seen, limits[i]->rpd, &requests, &request_limit);
        tighter(&both[i]->tpm_seen, limits[i]->tpm, &tokens, &token_limit);
    }
    put_limit(b, "requests", requests, request_limit);
    put_limit(b, "tokens", tokens, token_limit);
}

static void put_cache(struct buf *b, const struct request *r)
{
    static const struct str verdicts[] = {
        [CACHE_HIT] = STR("hit"), [CACHE_MISS] = STR("miss"), [CACHE_BYPASS] = STR("bypass")};
    if (r->cache != CACHE_NOT_ASKED)
        put_line(b, STR("x-aigw-cache"), verdicts[r->cache]);
}

static void put_ours(struct buf *b, const struct request *r)
{
    put_line(b, STR("x-request-id"), str_of(r->id));
    if (r->provider >= 0)
        put_line(b, STR("x-aigw-provider"), str_of(r->worker->config->providers[r->provider].name));
    if (r->target_model.n > 0 && r->target_model.n < MAX_NAME && http_value_ok(r->target_model))
        put_line(b, STR("x-aigw-model"), r->target_model);
    if (r->attempts > 0)
        put_line_u64(b, STR("x-aigw-attempts"), r->attempts);
    put_cache(b, r);
    put_limits(b, r);
}

static void put_framing(struct buf *b, enum framing framing, size_t length)
{
    if (framing == FRAME_LENGTH)
        put_line_u64(b, STR("content-length"), length);
    else if (framing == FRAME_CHUNKED)
        put(b, STR("transfer-encoding: chunked\r\n"));
}

bool answer_keeps(const struct request *r)
{
    const struct client *c = r->client;
    return r->head && r->head->keep_alive && !r->closes && !c->conn.close_after && !c->must_close &&
           !c->gone && !r->failed_midway && c->body_left == 0 && !r->worker->draining;
}

static void put_status_line(struct buf *b, int status)
{
    put(b, STR("HTTP/1.1 "));
    answer_put_u64(b, (uint64_t)status);
    put(b, STR(" "));
    put(b, str_of(http_reason(status)));
    put(b, STR("\r\n"));
}

struct str answer_head(struct request *r, int status, struct str content_type, enum framing framing,
                       size_t length)
{
    if (content_type.n > 256 || !http_value_ok(content_type))
        content_type = STR("application/octet-stream");
    size_t room = HEAD_ROOM + r->extra.n + content_type.n;
    struct buf b = arena_buf(r->arena, room);
    if (framing == FRAME_CLOSE)
        r->closes = true;

    put_status_line(&b, status);
    put_line(&b, STR("date"), http_date());
    if (framing != FRAME_NONE && content_type.n > 0)
        put_line(&b, STR("content-type"), content_type);
    put_framing(&b, framing, length);
    put_ours(&b, r);
    put(&b, buf_str(&r->extra));
    if (!answer_keeps(r)) {
        r->closes = true;
        put(&b, STR("connection: close\r\n"));
    } else if (r->head->minor == 0) {
        put(&b, STR("connection: keep-alive\r\n"));
    }
    put(&b, STR("\r\n"));
    return buf_str(&b);
}

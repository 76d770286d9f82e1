/* One exchange with a provider, in HTTP/1.1 of our own over a transport: sending, and reading head and body.
 * Run by workers.
 *
 * - The usual call costs three system calls here: send, poll, recv. A full buffer is read again before
 * polling.
 * - Each wait has a reason of its own when it is too long: first byte, idle, total.
 * - While a large body is being sent the provider may already answer (413): it is listened to.
 * - The head's bytes stay where they are until the end, because the head's slices point into them; what came
 *   behind them is delivered from there, later pieces from a second buffer. Chunks are decoded in place, so
 * that all that one read brought is one run of bytes again. */
#include "upstream_exchange.h"

#include "clock.h"

#include <string.h>

enum { MAX_INTERIM = 16 /* 1xx heads before the real one */ };

static struct str rest_of(struct str s, size_t done)
{
    return done < s.n ? (struct str){s.p + done, s.n - done} : STR_NULL;
}

void exchange_reset(struct upstream *up)
{
    buf_reset(&up->in);
    up->unread = STR_NULL;
    up->chunked = (struct http_chunked){0};
    up->any = up->ended = up->last_seen = false;
    up->interim = 0;
    up->silent_ns = up->beat_ns = 0;
    up->keep = true;
}

/* ---- waiting */

struct conf_timeouts upstream_timeouts(const struct upstreams *u, uint16_t provider)
{
    struct conf_timeouts t = u->worker->config->providers[provider].timeouts;
    const struct conf_timeouts *common = &u->worker->config->timeouts;
    t.connect = t.connect ? t.connect : common->connect;
    t.first_byte = t.first_byte ? t.first_byte : common->first_byte;
    t.idle = t.idle ? t.idle : common->idle;
    t.total = t.total ? t.total : common->total;
    return t;
}

void upstream_phase(struct upstreams *u, enum request_phase p)
{
    atomic_store_explicit(&u->worker->line->phase, p, memory_order_relaxed); /* for people: no order needed */
}

/* UPSTREAM_OK: it is worth trying again. `late` is the result when deadline_ns passes. */
static enum upstream_result wait_for(struct upstream *up, short events, int64_t deadline_ns,
                                     enum upstream_result late)
{
    if (up->deadline_ns && up->deadline_ns < deadline_ns) {
        deadline_ns = up->deadline_ns;
        late = UPSTREAM_TOTAL_TIMEOUT;
    }
    int64_t began = clock_mono_ns();
    unsigned ev = worker_wait(up->owner->worker, up->client, up->transport->fd, events, deadline_ns);
    int64_t now = clock_mono_ns();
    up->waited_ns += now - began;
    up->heard_ns = now;
    if (ev & WORKER_CLIENT_GONE)
        return UPSTREAM_CLIENT_GONE;
    if (ev & WORKER_READY)
        up->transport->eager = true;
    else if (now >= deadline_ns)
        return late;
    return UPSTREAM_OK;
}

/* Whether the next wait may be a nap in the kernel: where the provider was quick the last time, not for so
 * long that a leaver or the acceptor would wait for us, and never past a deadline. */
static bool may_nap(const struct upstream *up, int64_t now, int64_t deadline_ns)
{
    if (up->deadline_ns && up->deadline_ns < deadline_ns)
        deadline_ns = up->deadline_ns;
    return up->quick && up->transport->ops->recv_nap && now - up->heard_ns < TRANSPORT_NAP_NS &&
           now + TRANSPORT_NAP_NS < deadline_ns;
}

static ssize_t nap(struct upstream *up, char *p, size_t n, int64_t now)
{
    ssize_t k = up->transport->ops->recv_nap(up->transport, p, n);
    up->waited_ns += clock_mono_ns() - now;
    return k;
}

/* What a read brought; UPSTREAM_OK when that ends the wait, *again otherwise. */
static enum upstream_result judge_read(struct upstream *up, ssize_t k, size_t *got, bool *again)
{
    *again = k == TRANSPORT_AGAIN;
    if (k == TRANSPORT_BROKEN)
        return UPSTREAM_CUT;
    if (k >= 0) {
        up->any |= k > 0;
        *got = (size_t)k;
    }
    return UPSTREAM_OK;
}

/* Reads what is here, without waiting: UPSTREAM_IDLE_TIMEOUT when that is nothing. */
static enum upstream_result read_now(struct upstream *up, char *p, size_t n, size_t *got)
{
    bool again;
    enum upstream_result res = judge_read(up, up->transport->ops->recv(up->transport, p, n), got, &again);
    if (again)
        up->transport->eager = false;
    return again ? UPSTREAM_IDLE_TIMEOUT : res;
}

/* Reads what is here, waiting until something is. *got 0: properly ended by the peer. */
static enum upstream_result read_some(struct upstream *up, char *p, size_t n, size_t *got,
                                      uint32_t patience_ms, enum upstream_result late)
{
    int64_t began = clock_mono_ns(), now = began;
    if (up->silent_ns == 0)
        up->silent_ns = began;
    int64_t deadline = up->silent_ns + patience_ms * NS_PER_MS;
    if (up->beat_ns && began + up->beat_ns < deadline) {
        deadline = began + up->beat_ns;
        late = UPSTREAM_QUIET;
    }
    for (;;) {
        ssize_t k = TRANSPORT_AGAIN;
        bool again;
        if (up->transport->eager)
            k = up->transport->ops->recv(up->transport, p, n);
        if (k == TRANSPORT_AGAIN && may_nap(up, now, deadline))
            k = nap(up, p, n, now);
        enum upstream_result res = judge_read(up, k, got, &again);
        if (!again) {
            up->quick = clock_mono_ns() - began < TRANSPORT_NAP_NS;
            up->silent_ns = 0;
            return res;
        }
        up->transport->eager = false;
        res = wait_for(up, POLLIN, deadline, late);
        if (res != UPSTREAM_OK)
            return res;
        now = up->heard_ns;
    }
}

/* ---- the request */

static int parse_head(struct upstream *up, bool was_head, struct error *err);

/* A send that can't go on: does the provider say something already? UPSTREAM_OK: its answer has begun;
 * UPSTREAM_IDLE_TIMEOUT: not yet (interim answers, and the beginning of a head, do not end the sending). */
static enum upstream_result listen_early(struct upstream *up)
{
    struct error ignored;
    size_t got = 0, room = buf_reserve(&up->in, UPSTREAM_READ_FIRST);
    enum upstream_result res = read_now(up, up->in.p + up->in.n, room, &got);
    if (res != UPSTREAM_OK)
        return res;
    if (got == 0)
        return UPSTREAM_CUT;
    up->in.n += got;
    if (parse_head(up, false, &ignored) == 0)
        return UPSTREAM_IDLE_TIMEOUT;
    up->keep = false; /* it has not read our request to its end */
    return UPSTREAM_OK;
}

enum upstream_result exchange_send(struct upstream *up, struct str head, struct str body)
{
    uint32_t idle_ms = upstream_timeouts(up->owner, up->provider).idle;
    const struct transport_ops *ops = up->transport->ops;
    for (size_t done = 0; done < head.n + body.n;) {
        ssize_t k =
            ops->send(up->transport, rest_of(head, done), rest_of(body, done > head.n ? done - head.n : 0));
        if (k >= 0) {
            done += (size_t)k;
            continue;
        }
        enum upstream_result res = listen_early(up);
        if (res != UPSTREAM_IDLE_TIMEOUT)
            return res;
        if (k == TRANSPORT_BROKEN)
            return up->in.n > 0 ? UPSTREAM_OK : UPSTREAM_CUT;
        res = wait_for(up, POLLIN | POLLOUT, clock_mono_ns() + idle_ms * NS_PER_MS, UPSTREAM_IDLE_TIMEOUT);
        if (res != UPSTREAM_OK)
            return res;
    }
    return UPSTREAM_OK;
}
/* ---- the answer's head */

/* 1: up->head is the answer's. 0: more bytes are needed. -1: *err is filled. */
static int parse_head(struct upstream *up, bool was_head, struct error *err)
{
    struct http_refusal why = {0};
    while (up->in.n > 0) {
        int rc = http_parse_response(buf_str(&up->in), was_head, &up->head, &why);
        if (rc < 0)
            return error_set(err, "malformed answer: %s", why.reason);
        if (rc == 0)
            return up->in.n >= MAX_HEAD ? error_set(err, "answer's head is larger than %d bytes", MAX_HEAD)
                                        : 0;
        if (up->head.status >= 200)
            return 1;
        if (up->head.status == 101 || ++up->interim > MAX_INTERIM)
            return error_set(err, "unexpected interim answer %d", up->head.status);
        buf_consume(&up->in, up->head.length);
    }
    return 0;
}

static int check_head(struct upstream *up, struct error *err)
{
    struct str coding;
    if (http_find(&up->head, "content-encoding", &coding) && coding.n > 0 &&
        !str_ieq(coding, STR("identity")))
        return error_set(err, "answer is encoded (" STR_FMT "), which was not asked for", STR_ARG(coding));
    up->unread = rest_of(buf_str(&up->in), up->head.length);
    up->left = up->head.content_length;
    up->ended = up->head.body == HTTP_BODY_NONE || (up->head.body == HTTP_BODY_LENGTH && up->left == 0);
    if (!up->head.keep_alive || up->head.body == HTTP_BODY_UNTIL_CLOSE || (up->ended && up->unread.n > 0))
        up->keep = false;
    return 0;
}

enum upstream_result exchange_read_head(struct upstream *up, bool was_head, struct error *err)
{
    struct conf_timeouts t = upstream_timeouts(up->owner, up->provider);
    for (;;) {
        int rc = parse_head(up, was_head, err);
        if (rc != 0)
            return rc > 0 && check_head(up, err) == 0 ? UPSTREAM_OK : UPSTREAM_MALFORMED;
        size_t room = buf_reserve(&up->in, up->in.n ? up->in.n : UPSTREAM_READ_FIRST), got = 0;
        enum upstream_result res =
            read_some(up, up->in.p + up->in.n, room, &got, up->any ? t.idle : t.first_byte,
                      up->any ? UPSTREAM_IDLE_TIMEOUT : UPSTREAM_FIRST_BYTE_TIMEOUT);
        if (res != UPSTREAM_OK)
            return res;
        if (got == 0)
            return UPSTREAM_CUT;
        up->in.n += got;
    }
}

/* ---- the answer's body */

/* Decodes chunked bytes where they stand: *data is one run again. */
static int unchunk(struct upstream *up, struct str raw, struct str *data)
{
    char *base = NULL;
    size_t n = 0;
    while (raw.n > 0 && !up->chunked.done) {
        struct str run = STR_NULL;
        ssize_t k = http_chunked_read(&up->chunked, raw, &run);
        if (k <= 0)
            return -1;
        if (run.n > 0) {
            if (!base)
                base = (char *)(uintptr_t)run.p; /* our own buffer */
            else
                memmove(base + n, run.p, run.n);
            n += run.n;
        }
        raw = rest_of(raw, (size_t)k);
    }
    up->ended = up->chunked.done;
    if (raw.n > 0)
        up->keep = false;
    *data = (struct str){base, n};
    return 0;
}

static int decode(struct upstream *up, struct str raw, struct str *data)
{
    if (up->head.body == HTTP_BODY_CHUNKED)
        return unchunk(up, raw, data);
    *data = raw;
    if (up->head.body != HTTP_BODY_LENGTH)
        return 0;
    if (raw.n > up->left) {
        data->n = (size_t)up->left;
        up->keep = false;
    }
    up->left -= data->n;
    up->ended = up->left == 0;
    return 0;
}

enum upstream_result exchange_read_body(struct upstream *up, struct str *data, bool wait, struct error *err)
{
    uint32_t idle = upstream_timeouts(up->owner, up->provider).idle;
    *data = STR_NULL;
    while (!up->ended) {
        struct str raw = up->unread;
        up->unread = STR_NULL;
        if (raw.n == 0) {
            buf_reset(&up->more);
            size_t got = 0, room = buf_reserve(&up->more, UPSTREAM_READ_MORE);
            enum upstream_result res =
                wait ? read_some(up, up->more.p, room, &got, idle, UPSTREAM_IDLE_TIMEOUT)
                     : read_now(up, up->more.p, room, &got);
            if (res != UPSTREAM_OK)
                return res;
            if (got == 0 && up->head.body == HTTP_BODY_UNTIL_CLOSE)
                up->ended = true;
            else if (got == 0)
                return error_set(err, "connection closed inside of the answer's body"), UPSTREAM_CUT;
            raw = (struct str){up->more.p, got};
        }
        if (decode(up, raw, data) != 0)
            return error_set(err, "malformed chunked body"), UPSTREAM_MALFORMED;
        if (data->n > 0)
            return UPSTREAM_OK;
    }
    return UPSTREAM_END;
}

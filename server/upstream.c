/* One exchange with a provider: the request is built and sent here, the answer's head and body are read here,
 * in HTTP/1.1 of our own; what carries the bytes is a transport (upstream_transport.h). Run by workers.
 *
 * - The usual call costs four system calls: a look whether the kept connection is still quiet, send, poll,
 *   recv. A small body is sent together with its head.
 * - A worker serves one request at a time, so one kept connection a provider is all that it needs. It is kept
 *   only after an exchange that ended cleanly, and before its next use it must hold no byte and no end:
 *   else an answer could reach the wrong caller.
 * - Only bytes that were checked go into the head: method, path and header lines are checked here once more,
 *   whoever built them, because everything behind this point is one text.
 * - Each wait has a reason of its own when it is too long: first byte, idle, total; connecting has its own.
 * - While a large body is being sent the provider may already answer (413): it is listened to. */
#include "upstream_transport.h"

#include "clock.h"
#include "mem.h"
#include "scoreboard.h"
#include "secret.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_FIRST = 16 * 1024,   /* room for a head and, mostly, the whole answer */
    READ_MORE = 64 * 1024,    /* … for each further piece of a body */
    SEND_TOGETHER = 8 * 1024, /* a body up to this is copied behind its head */
    MAX_INTERIM = 16,         /* 1xx heads before the real one */
};

#define IDLE_NS (60 * NS_PER_SEC)

struct upstream {
    struct upstreams *owner;
    uint16_t provider;
    struct transport *transport;
    bool open, busy;
    int64_t idle_since_ns;

    /* the exchange */
    const struct client *client;
    int64_t deadline_ns, waited_ns;
    struct buf in;   /* the head, and what came with it: stays in place until the end */
    struct buf more; /* later pieces of the body */
    struct http_head head;
    struct str unread; /* bytes behind the head not delivered yet; in `in` */
    struct http_chunked chunked;
    uint64_t left;  /* of a body with a length */
    bool any;       /* a byte of the answer has come */
    bool ended;     /* the body is complete */
    bool last_seen; /* upstream_last_seen */
    bool keep;      /* nothing happened that forbids using the connection again */
};

struct side {
    struct upstream_url url;
    struct upstream *kept; /* the provider's connection; may be closed or busy */
};

struct upstreams {
    struct worker *worker;
    struct curl_side *curl;
    struct buf out; /* the request being sent */
    size_t n;
    struct side sides[];
};

/* ---- a worker's providers */

struct upstreams *upstreams_new(struct worker *w)
{
    /* OpenSSL writes with write(2); a provider that closed must not kill us */
    signal(SIGPIPE, SIG_IGN);
    size_t n = w->config->n_providers;
    struct upstreams *u = mem_alloc(sizeof(*u) + n * sizeof(u->sides[0]));
    u->worker = w;
    u->curl = curl_side_new(w);
    u->n = n;
    buf_init(&u->out, 2 * MAX_HEAD);
    for (size_t i = 0; i < n; i++)
        if (upstream_url_parse(str_of(w->config->providers[i].base_url), &u->sides[i].url, NULL) != 0)
            u->sides[i].url.authority = STR_NULL; /* refused at its first use */
    return u;
}

static void connection_close(struct upstream *up)
{
    if (up->open)
        up->transport->ops->close(up->transport);
    up->open = false;
}

static void connection_free(struct upstream *up)
{
    connection_close(up);
    up->transport->ops->free(up->transport);
    buf_free(&up->in);
    buf_free(&up->more);
    free(up);
}

void upstreams_free(struct upstreams **u)
{
    if (!*u)
        return;
    for (size_t i = 0; i < (*u)->n; i++)
        if ((*u)->sides[i].kept)
            connection_free((*u)->sides[i].kept);
    curl_side_free(&(*u)->curl);
    buf_free(&(*u)->out);
    free(*u);
    *u = NULL;
}

void upstreams_tidy(struct upstreams *u, int64_t now_ns)
{
    for (size_t i = 0; i < u->n; i++) {
        struct upstream *up = u->sides[i].kept;
        if (up && up->open && !up->busy && now_ns - up->idle_since_ns > IDLE_NS)
            connection_close(up);
    }
}

static struct upstream *connection_new(struct upstreams *u, uint16_t provider)
{
    const struct conf_provider *p = &u->worker->config->providers[provider];
    struct transport *t = strcmp(p->type, "virtual") == 0
                              ? virtual_transport_new(p)
                              : curl_transport_new(u->curl, p, &u->sides[provider].url);
    if (!t)
        return NULL;
    struct upstream *up = mem_alloc(sizeof(*up));
    up->owner = u;
    up->provider = provider;
    up->transport = t;
    buf_init(&up->in, MAX_HEAD);
    buf_init(&up->more, READ_MORE);
    return up;
}

/* The provider's connection, or a further one when that one is in use. */
static struct upstream *connection_take(struct upstreams *u, uint16_t provider)
{
    struct side *s = &u->sides[provider];
    struct upstream *up = s->kept;
    if (!up || up->busy) {
        up = connection_new(u, provider);
        if (!up)
            return NULL;
        if (!s->kept)
            s->kept = up;
    }
    up->busy = true;
    return up;
}

/* ---- waiting */

static uint32_t timeout_ms(uint32_t own, uint32_t common)
{
    return own ? own : common;
}

static void phase(struct upstreams *u, enum request_phase p)
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
    if (ev & WORKER_CLIENT_GONE)
        return UPSTREAM_CLIENT_GONE;
    if (ev & WORKER_READY)
        up->transport->eager = true;
    else if (now >= deadline_ns)
        return late;
    return UPSTREAM_OK;
}

/* Reads what is here, waiting until something is. *got 0: properly ended by the peer. */
static enum upstream_result read_some(struct upstream *up, char *p, size_t n, size_t *got, bool wait,
                                      uint32_t patience_ms, enum upstream_result late)
{
    int64_t deadline = 0;
    for (;;) {
        if (up->transport->eager || !wait) {
            ssize_t k = up->transport->ops->recv(up->transport, p, n);
            if (k >= 0) {
                up->any |= k > 0;
                *got = (size_t)k;
                return UPSTREAM_OK;
            }
            if (k == TRANSPORT_BROKEN)
                return UPSTREAM_CUT;
            up->transport->eager = false;
            if (!wait)
                return UPSTREAM_IDLE_TIMEOUT;
        }
        if (!deadline)
            deadline = clock_mono_ns() + patience_ms * NS_PER_MS;
        enum upstream_result res = wait_for(up, POLLIN, deadline, late);
        if (res != UPSTREAM_OK)
            return res;
    }
}

/* ---- the request */

static bool lines_ok(struct str lines)
{
    while (lines.n > 0) {
        const char *end = memmem(lines.p, lines.n, "\r\n", 2);
        if (!end)
            return false;
        struct str line = {lines.p, (size_t)(end - lines.p)}, name;
        lines.p = end + 2;
        lines.n -= line.n + 2;
        bool colon = line.n > 0 && memchr(line.p, ':', line.n);
        if (!colon || !str_split(&line, ':', &name) || !http_token_ok(name) || !http_value_ok(line))
            return false;
    }
    return true;
}

static void put_line(struct buf *b, const char *name, struct str value)
{
    buf_add(b, str_of(name));
    buf_add(b, STR(": "));
    buf_add(b, value);
    buf_add(b, STR("\r\n"));
}

static int put_configured(struct buf *b, const struct conf_provider *p, struct error *err)
{
    for (size_t i = 0; i < p->n_headers; i++) {
        struct str value = str_of(p->headers[i].value);
        if (!http_token_ok(str_of(p->headers[i].name)) || !http_value_ok(value))
            return error_set(err, "provider %s: header %zu holds bytes that may not be sent", p->name, i + 1);
        put_line(b, p->headers[i].name, value);
    }
    struct str secret = secret_get(p->name);
    if (secret.n == 0)
        return 0;
    if (!http_value_ok(secret))
        return error_set(err, "provider %s: its credential holds bytes that may not be sent", p->name);
    buf_add(b, STR("authorization: Bearer "));
    buf_add(b, secret);
    return buf_add(b, STR("\r\n"));
}

static bool takes_body(struct str method)
{
    return str_eq(method, STR("POST")) || str_eq(method, STR("PUT")) || str_eq(method, STR("PATCH"));
}

/* Fills u->out with the head, and with a small body; *body is what has to be sent behind it. */
static int build(struct upstreams *u, const struct upstream_call *call, struct str *body, struct error *err)
{
    struct buf *b = &u->out;
    const struct conf_provider *p = &u->worker->config->providers[call->provider];
    if (u->sides[call->provider].url.authority.n == 0)
        return error_set(err, "provider %s: base_url can't be used", p->name);
    if (!http_token_ok(call->method) || !upstream_path_ok(call->path) || !lines_ok(call->headers))
        return error_set(err, "provider %s: request line or header lines hold bytes that may not be sent",
                         p->name);
    buf_reset(b);
    buf_add(b, call->method);
    buf_add_byte(b, ' ');
    buf_add(b, call->path);
    buf_add(b, STR(" HTTP/1.1\r\n"));
    put_line(b, "host", u->sides[call->provider].url.authority);
    if (put_configured(b, p, err) != 0)
        return -1;
    buf_add(b, call->headers);
    buf_add(b, STR("accept-encoding: identity\r\nuser-agent: aigw/" AIGW_VERSION "\r\n"));
    if (call->body.n > 0 || takes_body(call->method)) {
        char digits[20];
        size_t at = sizeof(digits), n = call->body.n;
        do
            digits[--at] = (char)('0' + n % 10);
        while ((n /= 10) > 0);
        put_line(b, "content-length", (struct str){digits + at, sizeof(digits) - at});
    }
    buf_add(b, STR("\r\n"));
    *body = call->body;
    if (body->n > 0 && body->n <= SEND_TOGETHER && buf_add(b, *body) == 0)
        *body = STR_NULL;
    return b->full && body->n == 0 ? error_set(err, "provider %s: head too large", p->name) : 0;
}

static struct str rest_of(struct str s, size_t done)
{
    return done < s.n ? (struct str){s.p + done, s.n - done} : STR_NULL;
}

/* A send that can't go on: does the provider say something already? */
static bool answered_early(struct upstream *up)
{
    size_t got = 0, room = buf_reserve(&up->in, READ_FIRST);
    if (read_some(up, up->in.p + up->in.n, room, &got, false, 0, UPSTREAM_OK) != UPSTREAM_OK || got == 0)
        return false;
    up->in.n += got;
    up->keep = false; /* it has not read our request to its end */
    return true;
}

static enum upstream_result send_request(struct upstream *up, struct str head, struct str body,
                                         uint32_t idle_ms)
{
    const struct transport_ops *ops = up->transport->ops;
    for (size_t done = 0; done < head.n + body.n;) {
        ssize_t k =
            ops->send(up->transport, rest_of(head, done), rest_of(body, done > head.n ? done - head.n : 0));
        if (k >= 0) {
            done += (size_t)k;
            continue;
        }
        if (answered_early(up))
            return UPSTREAM_OK;
        if (k == TRANSPORT_BROKEN)
            return UPSTREAM_CUT;
        enum upstream_result res =
            wait_for(up, POLLIN | POLLOUT, clock_mono_ns() + idle_ms * NS_PER_MS, UPSTREAM_IDLE_TIMEOUT);
        if (res != UPSTREAM_OK)
            return res;
    }
    return UPSTREAM_OK;
}

/* ---- the answer's head */

/* 1: up->head is the answer's. 0: more bytes are needed. -1: *err is filled. */
static int parse_head(struct upstream *up, bool was_head, unsigned *interim, struct error *err)
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
        if (up->head.status == 101 || ++*interim > MAX_INTERIM)
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

static enum upstream_result read_head(struct upstream *up, bool was_head, struct error *err)
{
    const struct config *c = up->owner->worker->config;
    const struct conf_timeouts *own = &c->providers[up->provider].timeouts;
    unsigned interim = 0;
    for (;;) {
        int rc = parse_head(up, was_head, &interim, err);
        if (rc != 0)
            return rc > 0 && check_head(up, err) == 0 ? UPSTREAM_OK : UPSTREAM_MALFORMED;
        size_t room = buf_reserve(&up->in, up->in.n ? up->in.n : READ_FIRST), got = 0;
        enum upstream_result res =
            up->any
                ? read_some(up, up->in.p + up->in.n, room, &got, true,
                            timeout_ms(own->idle, c->timeouts.idle), UPSTREAM_IDLE_TIMEOUT)
                : read_some(up, up->in.p + up->in.n, room, &got, true,
                            timeout_ms(own->first_byte, c->timeouts.first_byte), UPSTREAM_FIRST_BYTE_TIMEOUT);
        if (res != UPSTREAM_OK)
            return res;
        if (got == 0)
            return UPSTREAM_CUT;
        up->in.n += got;
    }
}

/* ---- one exchange */

static void exchange_reset(struct upstream *up)
{
    buf_reset(&up->in);
    up->unread = STR_NULL;
    up->chunked = (struct http_chunked){0};
    up->any = up->ended = up->last_seen = false;
    up->keep = true;
}

/* Whether a kept connection is still quiet: neither closed nor holding bytes that nobody asked for. Also
 * finishes a chunked answer whose end was not awaited. */
static bool still_good(struct upstream *up)
{
    if (!up->open)
        return false;
    struct error ignored;
    struct str data;
    if (clock_mono_ns() - up->idle_since_ns > IDLE_NS)
        return false;
    if (!up->ended && (upstream_poll(up, &data, &ignored) != UPSTREAM_END || !up->keep))
        return false;
    char byte;
    return up->transport->ops->recv(up->transport, &byte, 1) == TRANSPORT_AGAIN;
}

static enum upstream_result connect_to(struct upstream *up, struct error *err)
{
    struct upstreams *u = up->owner;
    const struct config *c = u->worker->config;
    uint32_t ms = timeout_ms(c->providers[up->provider].timeouts.connect, c->timeouts.connect);
    int64_t began = clock_mono_ns(), deadline = began + ms * NS_PER_MS;
    enum upstream_result late = UPSTREAM_CONNECT_TIMEOUT;
    if (up->deadline_ns && up->deadline_ns < deadline) {
        deadline = up->deadline_ns;
        late = UPSTREAM_TOTAL_TIMEOUT;
    }
    phase(u, PHASE_CONNECT);
    enum upstream_result res = up->transport->ops->open(up->transport, up->client, deadline, err);
    up->waited_ns += clock_mono_ns() - began;
    up->open = res == UPSTREAM_OK;
    if (up->open)
        METRIC_INC(u->worker->metrics, upstream_connects_total);
    return res == UPSTREAM_CONNECT_TIMEOUT ? late : res;
}

/* Sends and reads the head, on the kept connection or a new one; *stale: the kept one had been closed. */
static enum upstream_result try_once(struct upstream *up, const struct upstream_call *call, struct str body,
                                     bool *stale, struct error *err)
{
    struct upstreams *u = up->owner;
    const struct config *c = u->worker->config;
    bool reused = still_good(up);
    if (!reused)
        connection_close(up);
    exchange_reset(up);
    if (!reused) {
        enum upstream_result res = connect_to(up, err);
        if (res != UPSTREAM_OK)
            return res;
    }
    if (call->sent)
        *call->sent = true;
    phase(u, PHASE_SEND);
    enum upstream_result res = send_request(
        up, buf_str(&u->out), body, timeout_ms(c->providers[up->provider].timeouts.idle, c->timeouts.idle));
    if (res == UPSTREAM_OK) {
        phase(u, PHASE_WAIT);
        res = read_head(up, str_eq(call->method, STR("HEAD")), err);
    }
    if (res == UPSTREAM_CUT)
        error_set(err, "connection closed %s", up->any ? "inside of the answer's head" : "before any answer");
    *stale = reused && res == UPSTREAM_CUT && !up->any;
    return res;
}

enum upstream_result upstream_start(struct upstreams *u, const struct upstream_call *call,
                                    struct client *client, struct upstream **out,
                                    const struct http_head **head, struct error *err)
{
    *out = NULL;
    err->text[0] = '\0';
    struct str body;
    if (build(u, call, &body, err) != 0)
        return UPSTREAM_CONNECT_FAILED;
    struct upstream *up = connection_take(u, call->provider);
    if (!up)
        return error_set(err, "no memory for a connection"), UPSTREAM_CONNECT_FAILED;
    up->client = client;
    up->deadline_ns = call->deadline_ns;
    up->waited_ns = 0;
    bool stale = false;
    enum upstream_result res = try_once(up, call, body, &stale, err);
    if (stale) {
        connection_close(up); /* closed by the provider while it was idle, just as we used it */
        res = try_once(up, call, body, &stale, err);
    }
    if (res == UPSTREAM_OK) {
        *head = &up->head;
    } else {
        up->keep = false;
        connection_close(up);
    }
    *out = up;
    return res;
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

static enum upstream_result read_body(struct upstream *up, struct str *data, bool wait, struct error *err)
{
    const struct config *c = up->owner->worker->config;
    uint32_t idle = timeout_ms(c->providers[up->provider].timeouts.idle, c->timeouts.idle);
    *data = STR_NULL;
    while (!up->ended) {
        struct str raw = up->unread;
        up->unread = STR_NULL;
        if (raw.n == 0) {
            buf_reset(&up->more);
            size_t got = 0, room = buf_reserve(&up->more, READ_MORE);
            enum upstream_result res =
                read_some(up, up->more.p, room, &got, wait, idle, UPSTREAM_IDLE_TIMEOUT);
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

enum upstream_result upstream_read(struct upstream *up, struct str *data, struct error *err)
{
    enum upstream_result res = read_body(up, data, true, err);
    if (res != UPSTREAM_OK && res != UPSTREAM_END)
        up->keep = false;
    return res;
}

enum upstream_result upstream_poll(struct upstream *up, struct str *data, struct error *err)
{
    enum upstream_result res = read_body(up, data, false, err);
    if (res == UPSTREAM_IDLE_TIMEOUT)
        return UPSTREAM_OK;
    if (res != UPSTREAM_OK && res != UPSTREAM_END)
        up->keep = false;
    return res;
}

void upstream_last_seen(struct upstream *up)
{
    up->last_seen = true;
}

int64_t upstream_waited_ns(const struct upstream *up)
{
    return up->waited_ns;
}

int64_t upstream_end(struct upstream **upp)
{
    struct upstream *up = *upp;
    *upp = NULL;
    if (!up)
        return 0;
    int64_t waited = up->waited_ns;
    bool complete = up->ended || (up->last_seen && up->head.body == HTTP_BODY_CHUNKED);
    struct upstream *kept = up->owner->sides[up->provider].kept;
    if (!up->keep || !complete || up != kept)
        connection_close(up);
    up->busy = false;
    up->client = NULL;
    up->idle_since_ns = clock_mono_ns();
    buf_free(&up->more);
    if (up->in.cap > READ_FIRST)
        buf_free(&up->in);
    if (up != kept)
        connection_free(up);
    return waited;
}

const char *upstream_result_name(enum upstream_result r)
{
    static const char *const names[] = {
        [UPSTREAM_OK] = "ok",
        [UPSTREAM_END] = "end",
        [UPSTREAM_CLIENT_GONE] = "client_gone",
        [UPSTREAM_CONNECT_FAILED] = "connect_failed",
        [UPSTREAM_CONNECT_TIMEOUT] = "connect_timeout",
        [UPSTREAM_FIRST_BYTE_TIMEOUT] = "first_byte_timeout",
        [UPSTREAM_IDLE_TIMEOUT] = "idle_timeout",
        [UPSTREAM_TOTAL_TIMEOUT] = "total_timeout",
        [UPSTREAM_CUT] = "cut",
        [UPSTREAM_MALFORMED] = "malformed",
    };
    return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "unknown";
}

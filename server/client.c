/* The client's side of a worker. Run by workers only.
 *
 * Invariants: a connection's bytes are either still in the socket, in c->in or in the spool, never in two of
 * them; c->in starts with the present request. A worker waits for one client at most 100 ms while a request
 * is not whole (then the acceptor waits on, which costs no worker), and waits for a spooled one, or for a
 * client to take its answer, only as long as a minimum rate allows. Deadlines are totals: a byte a second
 * does not move them. */
#include "client.h"

#include "clock.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    FIRST_READ = 16 * 1024, /* room for a head and a small body */
    KEEP_IN = 256 * 1024,   /* a larger buffer is given back after its request */
};
#define PATIENCE_NS (100 * NS_PER_MS)

void client_init(struct client *c, struct worker *w)
{
    const struct config *conf = w->config;
    *c = (struct client){.worker = w, .fd = -1, .spool_fd = -1, .backlog_fd = -1};
    buf_init(&c->in, (size_t)conf->http.max_head + conf->http.max_body + MAX_CHUNK_OVERHEAD + FIRST_READ);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void client_take(struct client *c, const struct handover *m)
{
    struct worker *w = c->worker;
    struct buf in = c->in;
    close_fd(&c->fd);
    close_fd(&c->spool_fd);
    close_fd(&c->backlog_fd);
    buf_reset(&in);
    *c = (struct client){
        .worker = w, .fd = m->fd, .conn = m->conn, .spool_fd = m->spool_fd, .backlog_fd = -1, .in = in};
    c->spooled = c->spool_fd >= 0;
}

void client_free(struct client *c)
{
    close_fd(&c->fd);
    close_fd(&c->spool_fd);
    close_fd(&c->backlog_fd);
    buf_free(&c->in);
}

/* ---- reading ---- */

enum fill { FILL_SOME, FILL_NOTHING /* now */, FILL_END, FILL_FULL };

/* The descriptor is shared with the acceptor, and so is its offset: hence pread. */
static ssize_t read_spool(struct client *c, char *p, size_t room)
{
    ssize_t n = pread(c->spool_fd, p, room, (off_t)c->spool_at);
    if (n > 0)
        c->spool_at += (uint64_t)n;
    else
        close_fd(&c->spool_fd); /* at its end; an unreadable one leaves the request cut short */
    return n;
}

static enum fill fill(struct client *c, size_t want)
{
    if (c->in.cap - c->in.n < want)
        buf_reserve(&c->in, want);
    size_t room = c->in.cap - c->in.n;
    if (room == 0)
        return FILL_FULL;
    ssize_t n = 0;
    if (c->spool_fd >= 0)
        n = read_spool(c, c->in.p + c->in.n, room);
    while (n <= 0) {
        n = recv(c->fd, c->in.p + c->in.n, room, MSG_DONTWAIT);
        if (n > 0)
            break;
        if (n == 0)
            return FILL_END;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return FILL_NOTHING;
        if (errno != EINTR) {
            c->gone = true;
            return FILL_END;
        }
    }
    c->in.n += (size_t)n;
    return FILL_SOME;
}

int client_nap(struct client *c)
{
    if (!c->naps) { /* every other call on the socket, also the acceptor's, says MSG_DONTWAIT */
        const struct timeval nap = {.tv_usec = CLIENT_NAP_MS * 1000};
        fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) & ~O_NONBLOCK);
        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &nap, sizeof(nap));
        c->naps = true;
    }
    size_t room = buf_reserve(&c->in, FIRST_READ);
    ssize_t n = recv(c->fd, c->in.p + c->in.n, room, 0);
    if (n > 0) {
        c->in.n += (size_t)n;
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    c->gone = true;
    return -1;
}

/* Waits until the socket may have more: CLIENT_OK, also when nothing came before `until`. */
static void wait_readable(struct client *c, int64_t until)
{
    worker_wait(c->worker, NULL, c->fd, POLLIN, until);
}

/* A head is not whole, and the socket is empty. */
static enum client_result await_head(struct client *c)
{
    const struct worker *w = c->worker;
    int64_t now = clock_mono_ns();
    int64_t began = c->conn.request_ns ? c->conn.request_ns : now;
    int64_t deadline = began + (int64_t)w->config->http.head_timeout_ms * NS_PER_MS;
    if (now >= deadline) {
        METRIC_INC(w->metrics, deadline_head_total);
        return CLIENT_TOO_SLOW;
    }
    int64_t patience = began + PATIENCE_NS;
    if (now >= patience || w->draining) {
        c->conn.want = c->in.n + 1;
        return CLIENT_WAITS;
    }
    wait_readable(c, patience < deadline ? patience : deadline);
    return CLIENT_OK;
}

/* What the head says about its body, and how much of that is here. */
static void begin_body(struct client *c, const struct http_head *head)
{
    uint64_t here = c->in.n - head->length;
    c->used = head->length;
    c->body_left = 0;
    if (head->body == HTTP_BODY_CHUNKED) {
        c->body_left = UINT64_MAX;
    } else if (head->body == HTTP_BODY_LENGTH) {
        if (head->content_length > here)
            c->body_left = head->content_length - here;
        else
            c->used += (size_t)head->content_length;
    }
}

enum client_result client_read_head(struct client *c, struct http_head *head, struct http_refusal *why)
{
    const struct config *conf = c->worker->config;
    bool waited = false;
    for (;;) {
        if (c->in.n > 0) {
            if (!c->conn.request_ns)
                c->conn.request_ns = clock_mono_ns();
            int got = http_parse_request(buf_str(&c->in), conf->http.max_head, head, why);
            if (got < 0)
                return CLIENT_REFUSED;
            if (got > 0 && head->n > conf->http.max_headers) {
                *why = (struct http_refusal){431, "too many header lines"};
                return CLIENT_REFUSED;
            }
            if (got > 0) {
                begin_body(c, head);
                return CLIENT_OK;
            }
        }
        enum fill f = fill(c, FIRST_READ);
        if (f == FILL_END || f == FILL_FULL)
            return CLIENT_CLOSED;
        if (f == FILL_NOTHING) {
            if (waited && c->in.n == 0)
                return CLIENT_WAITS; /* a quiet connection: it goes back as it is */
            enum client_result r = await_head(c);
            if (r != CLIENT_OK)
                return r;
            waited = true;
        }
    }
}

/* The body is not whole, and the socket is empty. `want`: bytes of the whole request, UINT64_MAX when
 * chunked.
 */
static enum client_result await_body(struct client *c, uint64_t want)
{
    const struct worker *w = c->worker;
    int64_t now = clock_mono_ns();
    int64_t allowed = (int64_t)w->config->http.body_timeout_ms * NS_PER_MS;
    if (w->config->http.min_rate > 0)
        allowed += (int64_t)((double)c->in.n * 1e9 / w->config->http.min_rate);
    int64_t deadline = c->conn.request_ns + allowed;
    if (now >= deadline) {
        METRIC_INC(w->metrics, deadline_body_total);
        return CLIENT_TOO_SLOW;
    }
    if (!c->spooled) {
        if (c->wait_ns >= PATIENCE_NS) {
            c->conn.want = want;
            return CLIENT_WAITS;
        }
        if (deadline > now + PATIENCE_NS - c->wait_ns)
            deadline = now + PATIENCE_NS - c->wait_ns;
    }
    wait_readable(c, deadline);
    c->wait_ns += clock_mono_ns() - now;
    return CLIENT_OK;
}

/* One step towards the whole body. */
static enum client_result more_body(struct client *c, size_t at_once, uint64_t want)
{
    switch (fill(c, at_once)) {
    case FILL_SOME:
        return CLIENT_OK;
    case FILL_NOTHING:
        return await_body(c, want);
    case FILL_END:
        return CLIENT_CLOSED;
    case FILL_FULL:
        break;
    }
    return CLIENT_REFUSED;
}

static enum client_result too_large(struct http_refusal *why)
{
    *why = (struct http_refusal){413, "The request's body is larger than this gateway accepts."};
    return CLIENT_REFUSED;
}

/* The slices of a head point into c->in, which may have moved, also where the body was refused. */
static enum client_result reparse(struct client *c, const char *before, struct http_head *head,
                                  struct http_refusal *why)
{
    if (c->in.p == before)
        return CLIENT_OK;
    struct str bytes = {c->in.p, head->length};
    return http_parse_request(bytes, c->worker->config->http.max_head, head, why) == 1 ? CLIENT_OK
                                                                                       : CLIENT_REFUSED;
}

static enum client_result read_length(struct client *c, const struct http_head *head, struct str *body,
                                      struct http_refusal *why)
{
    uint64_t want = head->length + head->content_length;
    while (c->in.n < want) {
        /* the first round makes room for all of it, so that nothing is copied again */
        enum client_result r = more_body(c, (size_t)want - c->in.n, want);
        if (r == CLIENT_REFUSED)
            return too_large(why);
        if (r != CLIENT_OK)
            return r;
    }
    *body = (struct str){c->in.p + head->length, (size_t)head->content_length};
    c->used = (size_t)want;
    return CLIENT_OK;
}

/* 1: the body's end is reached; 0: more is needed; -1: refused. */
static int decode(struct client *c, struct http_chunked *state, size_t *at, struct buf *decoded,
                  struct http_refusal *why)
{
    while (*at < c->in.n && !state->done) {
        struct str data = STR_NULL;
        ssize_t n = http_chunked_read(state, (struct str){c->in.p + *at, c->in.n - *at}, &data);
        if (n < 0) {
            *why = (struct http_refusal){400, "The chunked body is malformed."};
            return -1;
        }
        if (buf_add(decoded, data) < 0) {
            too_large(why);
            return -1;
        }
        *at += (size_t)n;
        if (n == 0)
            break;
    }
    return state->done;
}

/* The chunks stay in c->in as they came until the last one is there, so that they can be spooled. */
static enum client_result read_chunked(struct client *c, const struct http_head *head, struct buf *decoded,
                                       struct str *body, struct http_refusal *why)
{
    struct http_chunked state = {0};
    size_t at = head->length;
    int done;
    buf_reset(decoded);
    while ((done = decode(c, &state, &at, decoded, why)) == 0) {
        enum client_result r = more_body(c, c->in.n < KEEP_IN ? FIRST_READ : KEEP_IN, UINT64_MAX);
        if (r == CLIENT_REFUSED)
            return too_large(why);
        if (r != CLIENT_OK)
            return r;
    }
    if (done < 0)
        return CLIENT_REFUSED;
    *body = buf_str(decoded);
    c->used = at;
    return CLIENT_OK;
}

static void send_continue(struct client *c, const struct http_head *head)
{
    if (!head->expect_continue || c->conn.expect_sent || c->body_left == 0)
        return;
    c->conn.expect_sent = true;
    client_write(c, STR("HTTP/1.1 100 Continue\r\n\r\n"), STR_NULL);
}

enum client_result client_read_body(struct client *c, struct http_head *head, struct buf *decoded,
                                    struct str *body, struct http_refusal *why)
{
    enum client_result r = CLIENT_OK;
    const char *before = c->in.p;
    *body = STR_NULL;
    if (head->body == HTTP_BODY_NONE || head->body == HTTP_BODY_UNTIL_CLOSE)
        return CLIENT_OK;
    if (head->body == HTTP_BODY_LENGTH && head->content_length > c->worker->config->http.max_body)
        return too_large(why);
    send_continue(c, head);
    if (c->gone)
        return CLIENT_CLOSED;
    if (head->body == HTTP_BODY_LENGTH)
        r = read_length(c, head, body, why);
    else
        r = read_chunked(c, head, decoded, body, why);
    if (r == CLIENT_OK)
        c->body_left = 0;
    enum client_result again = reparse(c, before, head, why);
    return again == CLIENT_OK ? r : again;
}

void client_next(struct client *c)
{
    struct stat st;
    buf_consume(&c->in, c->used < c->in.n ? c->used : c->in.n);
    if (c->in.n == 0 && c->in.cap > KEEP_IN)
        buf_free(&c->in);
    /* an empty spool is of no use; one with more in it holds the next request */
    if (c->spool_fd >= 0 && (fstat(c->spool_fd, &st) < 0 || (uint64_t)st.st_size <= c->spool_at))
        close_fd(&c->spool_fd);
    c->used = 0;
    c->spooled = c->spool_fd >= 0;
    c->wait_ns = c->blocked_ns = 0;
    c->blocked_bytes = 0;
    c->blocked = false;
    c->conn.request_ns = 0;
    c->conn.want = 0;
    c->conn.expect_sent = false;
    c->conn.requests++;
}

bool client_has_more(const struct client *c)
{
    return c->in.n > 0 || c->spool_fd >= 0;
}

/* ---- handing back ---- */

static int write_all(int fd, struct str s, struct error *err)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_errno(err, "spool");
        s = (struct str){s.p + n, s.n - (size_t)n};
    }
    return 0;
}

int client_spool(struct client *c, struct error *err)
{
    c->waits = false;
    if (c->in.n == 0 && c->spool_fd < 0) {
        c->conn.wait = WAIT_REQUEST;
        c->conn.want = 0;
        c->conn.request_ns = 0;
        return 0;
    }
    c->conn.wait = WAIT_BODY;
    int fd = memfd_create("aigw-spool", MFD_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "memfd_create");
    if (write_all(fd, buf_str(&c->in), err) < 0) {
        close(fd);
        return -1;
    }
    close_fd(&c->spool_fd);
    c->spool_fd = fd;
    buf_reset(&c->in);
    if (c->in.cap > KEEP_IN)
        buf_free(&c->in);
    return 0;
}

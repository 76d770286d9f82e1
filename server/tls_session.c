/* One TLS connection: handshake, then a relay between the client's socket and a socket pair whose other end
 * the acceptor treats like any plain connection. Everything is non-blocking. Each direction holds at most one
 * piece that the other side did not take, and reads on only when it is gone, so a slow side slows the other
 * down and an idle connection owns no buffer. The end of a direction is passed on as such: the client's FIN
 * becomes a FIN on the pair (the worker sees its client leave), the gateway's becomes close_notify. */
#include "tls_session.h"
#include "clock.h"
#include "fdpass.h"
#include "handover.h"
#include "log.h"
#include "mem.h"
#include "proxy_v2.h"
#include "tls_server.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 16 * 1024, PIECES_A_ROUND = 16 };
#define RETRY_NS (5 * NS_PER_MS)
#define CLOSE_NS (2 * NS_PER_SEC)

static char scratch[PIECE]; /* one thread: a piece between two calls */

/* ---- polling ---- */

/* 0 takes the descriptor out of the set altogether: a hang-up would be reported whatever was asked for. */
static void ask_for(struct tls_process *t, struct tls_side *side, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = side};
    if (side->fd < 0 || side->events == events)
        return;
    int op = events == 0 ? EPOLL_CTL_DEL : side->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(t->epoll_fd, op, side->fd, &ev) == 0)
        side->events = events;
}

static void ask_again(struct tls_process *t, struct tls_session *s)
{
    uint32_t client = 0, plain = 0;
    if (!s->client_ended && s->up.n == 0)
        client |= EPOLLIN;
    if (s->down.n > 0 || s->wants_write)
        client |= EPOLLOUT;
    if (!s->plain_ended && s->down.n == 0)
        plain |= EPOLLIN;
    if (s->up.n > 0)
        plain |= EPOLLOUT;
    ask_for(t, &s->client, client);
    ask_for(t, &s->plain, plain);
}

/* ---- life ---- */

static void close_side(struct tls_process *t, struct tls_side *side)
{
    ask_for(t, side, 0);
    if (side->fd >= 0)
        close(side->fd);
    side->fd = -1;
}

static void end(struct tls_process *t, struct tls_session *s)
{
    if (s->state == TLS_GONE)
        return;
    s->state = TLS_GONE;
    deadline_clear(&t->deadlines, &s->due);
    SSL_free(s->ssl);
    close_side(t, &s->client);
    close_side(t, &s->plain);
    if (s->far_end >= 0)
        close(s->far_end);
    free(s->up.p);
    free(s->down.p);
    s->next_gone = t->gone;
    t->gone = s;
    t->n_sessions--;
}

void session_free_gone(struct tls_process *t)
{
    while (t->gone) {
        struct tls_session *s = t->gone;
        t->gone = s->next_gone;
        free(s);
    }
}

/* A client that speaks plain HTTP here is told, as far as it listens; what it has sent is taken first,
 * because a close with bytes unread would have the kernel throw the answer away. */
static void answer_plain_http(int fd)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\n"
        "content-type: application/json\r\n"
        "connection: close\r\n\r\n"
        "{\"error\":{\"message\":\"This port speaks TLS: begin the URL with https://.\","
        "\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}";
    for (int i = 0; i < PIECES_A_ROUND && recv(fd, scratch, sizeof scratch, MSG_DONTWAIT) > 0; i++)
        ;
    send(fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void fail_handshake(struct tls_process *t, struct tls_session *s)
{
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
        answer_plain_http(s->client.fd);
    ERR_clear_error();
    METRIC_INC(t->metrics, tls_failed_total);
    end(t, s);
}

/* ---- handing over ---- */

static void hand_over(struct tls_process *t, struct tls_session *s)
{
    struct tls_handover m = {.listener = s->listener};
    struct sockaddr_storage local;
    socklen_t n = sizeof local;
    char subject[128];
    memset(&local, 0, sizeof local);
    if (getsockname(s->client.fd, (struct sockaddr *)&local, &n) || local.ss_family != s->peer.ss_family)
        local = s->peer; /* behind a balancer the families may differ; nobody reads it here */
    tls_server_subject(s->ssl, subject, sizeof subject);
    ssize_t length = proxy_v2_build(m.header, sizeof m.header, &s->peer, &local, subject);
    if (length < 0) {
        fail_handshake(t, s);
        return;
    }
    m.n = (uint16_t)length;
    if (fdpass_send(t->heritage->acceptor_fd, &m, offsetof(struct tls_handover, header) + (size_t)length,
                    &s->far_end, 1)) {
        s->state = TLS_HANDING;
        deadline_set(&t->deadlines, &s->due, t->now + RETRY_NS);
        ask_for(t, &s->client, 0);
        return;
    }
    close(s->far_end);
    s->far_end = -1;
    s->state = TLS_RELAY;
    deadline_clear(&t->deadlines, &s->due);
    ask_again(t, s);
}

static void make_pair(struct tls_process *t, struct tls_session *s)
{
    int pair[2];
    METRIC_INC(t->metrics, tls_handshakes_total);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) {
        log_warn("no socket pair for a TLS connection: %s", strerror(errno));
        end(t, s);
        return;
    }
    s->plain.fd = pair[0];
    s->far_end = pair[1];
    hand_over(t, s);
}

static void handshake(struct tls_process *t, struct tls_session *s)
{
    ERR_clear_error();
    int rc = SSL_accept(s->ssl);
    if (rc == 1) {
        make_pair(t, s);
        return;
    }
    int why = SSL_get_error(s->ssl, rc);
    if (why == SSL_ERROR_WANT_READ)
        ask_for(t, &s->client, EPOLLIN);
    else if (why == SSL_ERROR_WANT_WRITE)
        ask_for(t, &s->client, EPOLLOUT);
    else
        fail_handshake(t, s);
}

static void begin_handshake(struct tls_process *t, struct tls_session *s)
{
    s->state = TLS_HANDSHAKE;
    s->ssl = SSL_new(t->contexts[s->listener]);
    if (!s->ssl || SSL_set_fd(s->ssl, s->client.fd) != 1) {
        fail_handshake(t, s);
        return;
    }
    handshake(t, s);
}

static void read_proxy(struct tls_process *t, struct tls_session *s)
{
    struct proxy_v2 p;
    ssize_t n = recv(s->client.fd, scratch, MAX_PROXY_V2, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    int rc = n <= 0 ? -1 : proxy_v2_parse((struct str){scratch, (size_t)n}, &p);
    if (rc == 0) { /* edge-triggered while it is incomplete: the bytes stay in the socket */
        ask_for(t, &s->client, EPOLLIN | EPOLLRDHUP | EPOLLET);
        return;
    }
    if (rc < 0 || recv(s->client.fd, scratch, p.length, MSG_DONTWAIT) != (ssize_t)p.length) {
        METRIC_INC(t->metrics, malformed_total);
        end(t, s);
        return;
    }
    if (!p.local && p.src.ss_family != AF_UNSPEC)
        s->peer = p.src;
    ask_for(t, &s->client, 0);
    begin_handshake(t, s);
}

void session_new(struct tls_process *t, uint16_t listener, int fd, const struct sockaddr_storage *peer,
                 bool from_balancer)
{
    struct tls_session *s = mem_alloc(sizeof *s);
    s->client = (struct tls_side){.source = TLS_FROM_CLIENT, .fd = fd, .session = s};
    s->plain = (struct tls_side){.source = TLS_FROM_PLAIN, .fd = -1, .session = s};
    s->far_end = -1;
    s->listener = listener;
    s->peer = *peer;
    s->began_ns = t->now;
    t->n_sessions++;
    deadline_set(&t->deadlines, &s->due, t->now + (int64_t)t->config->http.head_timeout_ms * NS_PER_MS);
    if (from_balancer) {
        s->state = TLS_PROXY;
        ask_for(t, &s->client, EPOLLIN | EPOLLRDHUP | EPOLLET);
    } else {
        begin_handshake(t, s);
    }
}

/* ---- relaying ---- */

static void keep(struct leftover *l, const char *p, size_t n)
{
    l->p = mem_alloc(n);
    memcpy(l->p, p, n);
    l->n = n;
    l->at = 0;
}

static void used(struct leftover *l, size_t n)
{
    l->at += n;
    if (l->at < l->n)
        return;
    free(l->p);
    *l = (struct leftover){NULL, 0, 0};
}

/* Bytes the pair took, 0: none now; -1: the gateway has let go of the connection. */
static ssize_t to_plain(struct tls_session *s, const char *p, size_t n)
{
    ssize_t sent;
    do
        sent = send(s->plain.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    return sent;
}

/* Bytes the TLS layer took, 0: none now; -1: broken. */
static ssize_t to_client(struct tls_session *s, const char *p, size_t n)
{
    ERR_clear_error();
    size_t sent = 0;
    if (SSL_write_ex(s->ssl, p, n, &sent) == 1) {
        s->taken += sent;
        return (ssize_t)sent;
    }
    int why = SSL_get_error(s->ssl, 0);
    return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* What the last call left over goes first. */
static void flush_up(struct tls_session *s)
{
    while (s->up.n > 0) {
        ssize_t n = to_plain(s, s->up.p + s->up.at, s->up.n - s->up.at);
        if (n < 0) { /* nobody reads any more: the client may still be reading the answer */
            used(&s->up, s->up.n);
            s->client_ended = true;
            return;
        }
        if (n == 0)
            return;
        used(&s->up, (size_t)n);
    }
}

/* False: the connection broke. */
static bool flush_down(struct tls_session *s)
{
    while (s->down.n > 0) {
        ssize_t n = to_client(s, s->down.p + s->down.at, s->down.n - s->down.at);
        if (n <= 0)
            return n == 0;
        used(&s->down, (size_t)n);
    }
    return true;
}

static bool relay_up(struct tls_session *s)
{
    flush_up(s);
    while (s->up.n == 0 && !s->client_ended) {
        size_t n = 0;
        ERR_clear_error();
        if (SSL_read_ex(s->ssl, scratch, sizeof scratch, &n) == 1) {
            ssize_t sent = to_plain(s, scratch, n);
            if (sent < 0)
                s->client_ended = true;
            else if ((size_t)sent < n)
                keep(&s->up, scratch + sent, n - (size_t)sent);
            continue;
        }
        int why = SSL_get_error(s->ssl, 0);
        s->wants_write = why == SSL_ERROR_WANT_WRITE;
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
            return true;
        if (why != SSL_ERROR_ZERO_RETURN)
            return false;
        s->client_ended = true;
        shutdown(s->plain.fd, SHUT_WR);
    }
    return true;
}

static bool relay_down(struct tls_session *s)
{
    if (!flush_down(s))
        return false;
    for (int i = 0; i < PIECES_A_ROUND && s->down.n == 0 && !s->plain_ended; i++) {
        ssize_t n = recv(s->plain.fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            s->stalled_ns = 0; /* the client is up to date */
            return true;
        }
        if (n <= 0) {
            s->plain_ended = true;
            return true;
        }
        ssize_t sent = to_client(s, scratch, (size_t)n);
        if (sent < 0)
            return false;
        if (sent < n)
            keep(&s->down, scratch + sent, (size_t)(n - sent));
    }
    return true;
}

/* The gateway's last byte is with TLS: say so, and give the client time to read it. */
static void say_goodbye(struct tls_process *t, struct tls_session *s)
{
    ERR_clear_error();
    SSL_shutdown(s->ssl); /* best effort: the alert is 31 bytes into a socket that just took everything */
    shutdown(s->client.fd, SHUT_WR);
    close_side(t, &s->plain);
    s->state = TLS_CLOSING;
    deadline_set(&t->deadlines, &s->due, t->now + CLOSE_NS);
    ask_for(t, &s->client, EPOLLIN);
}

static int64_t stall_deadline(const struct tls_process *t, const struct tls_session *s)
{
    int64_t allowed = (int64_t)t->config->http.write_timeout_ms * NS_PER_MS;
    if (t->config->http.min_rate > 0)
        allowed += (int64_t)((double)s->taken * 1e9 / t->config->http.min_rate);
    return s->stalled_ns + allowed;
}

static void relay(struct tls_process *t, struct tls_session *s)
{
    if (!relay_up(s) || !relay_down(s)) {
        end(t, s);
        return;
    }
    if (s->plain_ended && s->down.n == 0) {
        say_goodbye(t, s);
        return;
    }
    if (s->down.n > 0 && s->stalled_ns == 0) {
        s->stalled_ns = t->now;
        s->taken = 0;
    }
    if (s->stalled_ns != 0)
        deadline_set(&t->deadlines, &s->due, stall_deadline(t, s));
    else
        deadline_clear(&t->deadlines, &s->due);
    ask_again(t, s);
}

static void drop_rest(struct tls_process *t, struct tls_session *s)
{
    ssize_t n = recv(s->client.fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end(t, s);
}

/* ---- events ---- */

void session_event(struct tls_process *t, struct tls_side *side, uint32_t events)
{
    struct tls_session *s = side->session;
    (void)events; /* whatever happened, the next call tells */
    switch ((enum tls_state)s->state) {
    case TLS_PROXY:
        read_proxy(t, s);
        break;
    case TLS_HANDSHAKE:
        handshake(t, s);
        break;
    case TLS_RELAY:
        relay(t, s);
        break;
    case TLS_CLOSING:
        drop_rest(t, s);
        break;
    case TLS_HANDING:
    case TLS_GONE:
        break;
    }
}

void session_due(struct tls_process *t, struct tls_session *s)
{
    int64_t handshake_end = s->began_ns + (int64_t)t->config->http.head_timeout_ms * NS_PER_MS;
    deadline_clear(&t->deadlines, &s->due);
    switch ((enum tls_state)s->state) {
    case TLS_PROXY:
    case TLS_HANDSHAKE:
        METRIC_INC(t->metrics, deadline_head_total);
        fail_handshake(t, s);
        break;
    case TLS_HANDING:
        if (t->now < handshake_end)
            hand_over(t, s);
        else
            end(t, s);
        break;
    case TLS_RELAY:
        METRIC_INC(t->metrics, deadline_write_total);
        end(t, s);
        break;
    case TLS_CLOSING:
        end(t, s);
        break;
    case TLS_GONE:
        break;
    }
}

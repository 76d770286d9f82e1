/* An epoll loop over a listener, some watched descriptors and at most MAX_CONNECTIONS connections.
 *
 * When the connections are used up, the one that has waited longest for a request gives way, so that a
 * client that opens many and sends nothing can't keep an operator out. */
#include "http_server.h"

#include "clock.h"
#include "log.h"
#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 256, MAX_WATCHED = 2, ACCEPT_BATCH = 32 };

struct watched {
    int fd;
    void (*ready)(void *arg);
    void *arg;
};

struct http_server {
    int epoll, listen_fd;
    SSL_CTX *tls;
    struct handler handler;
    struct watched watched[MAX_WATCHED];
    size_t n_watched;
    struct connection *connections[MAX_CONNECTIONS];
    uint32_t events[MAX_CONNECTIONS]; /* that epoll knows of */
    size_t n;
    uint64_t next_id; /* high half of a connection's id; the low one is its index */
    bool accepting, draining;
    int64_t drain_until_ns;
};

/* epoll's data: connections carry their id; the others small numbers above every index. */
enum { DATA_LISTENER = MAX_CONNECTIONS, DATA_WATCHED };
#define INDEX_OF(id) ((size_t)((id)&0xffff))

static int control(struct http_server *s, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event ev = {.events = events, .data.u64 = data};
    return epoll_ctl(s->epoll, op, fd, &ev);
}

static void accepting(struct http_server *s, bool on)
{
    if (s->accepting == on)
        return;
    if (!control(s, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, s->listen_fd, EPOLLIN, DATA_LISTENER))
        s->accepting = on;
}

struct http_server *http_server_new(int listen_fd, SSL_CTX *tls, const struct handler *h, struct error *err)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) {
        error_errno(err, "epoll_create1");
        return NULL;
    }
    struct http_server *s = mem_alloc(sizeof *s);
    s->epoll = epoll;
    s->listen_fd = listen_fd;
    s->handler = *h;
    http_server_set_tls(s, tls);
    accepting(s, true);
    return s;
}

void http_server_free(struct http_server **sp)
{
    struct http_server *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        connection_free(&s->connections[i]);
    SSL_CTX_free(s->tls);
    close(s->epoll);
    free(s);
}

void http_server_set_tls(struct http_server *s, SSL_CTX *tls)
{
    if (tls)
        SSL_CTX_up_ref(tls);
    SSL_CTX_free(s->tls);
    s->tls = tls;
}

int http_server_watch(struct http_server *s, int fd, void (*ready)(void *arg), void *arg, struct error *err)
{
    if (s->n_watched == MAX_WATCHED)
        return error_set(err, "no more than %d descriptors can be watched", MAX_WATCHED);
    if (control(s, EPOLL_CTL_ADD, fd, EPOLLIN, DATA_WATCHED + s->n_watched))
        return error_errno(err, "epoll_ctl");
    s->watched[s->n_watched++] = (struct watched){fd, ready, arg};
    return 0;
}

static void drop(struct http_server *s, size_t i)
{
    connection_free(&s->connections[i]); /* the close takes it out of the epoll set */
    s->n--;
    if (!s->draining)
        accepting(s, true);
}

/* After anything was done with connection i: epoll learns what it waits for, or it goes. */
static void update(struct http_server *s, size_t i)
{
    struct connection *c = s->connections[i];
    if (c->state == CONN_CLOSED) {
        drop(s, i);
        return;
    }
    uint32_t events = connection_events(c);
    if (events != s->events[i] && control(s, EPOLL_CTL_MOD, c->io.fd, events, c->id)) {
        drop(s, i);
        return;
    }
    s->events[i] = events;
}

static bool gives_way(const struct connection *c)
{
    return connection_idle(c) || c->state == CONN_HEAD || c->state == CONN_LINGER;
}

/* Makes room for one more: true when there is some. */
static bool make_room(struct http_server *s)
{
    if (s->n < MAX_CONNECTIONS)
        return true;
    struct connection *oldest = NULL;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        struct connection *c = s->connections[i];
        if (c && gives_way(c) && (!oldest || c->since_ns < oldest->since_ns))
            oldest = c;
    }
    if (!oldest)
        return false;
    drop(s, INDEX_OF(oldest->id));
    return true;
}

static void peer_name(const struct sockaddr_storage *peer, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)peer;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, size, "%s:%u", host, ntohs(in->sin_port));
    } else if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)peer;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(out, size, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        snprintf(out, size, "unix");
    }
}

static void add(struct http_server *s, int fd, const struct sockaddr_storage *peer, int64_t now_ns)
{
    size_t i = 0;
    while (s->connections[i])
        i++;
    char name[64];
    peer_name(peer, name, sizeof name);
    int on = 1;
    if (peer->ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = connection_new(++s->next_id << 16 | i, fd, s->tls, name, now_ns);
    if (!c)
        return;
    s->connections[i] = c;
    s->n++;
    s->events[i] = EPOLLIN;
    if (control(s, EPOLL_CTL_ADD, fd, EPOLLIN, c->id)) {
        drop(s, i);
        return;
    }
    connection_run(c, &s->handler, now_ns);
    update(s, i);
}

static void accept_some(struct http_server *s, int64_t now_ns)
{
    for (int k = 0; k < ACCEPT_BATCH; k++) {
        if (!make_room(s)) {
            accepting(s, false);
            return;
        }
        struct sockaddr_storage peer = {0};
        socklen_t size = sizeof peer;
        int fd = accept4(s->listen_fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
                log_warn("accept: %s", strerror(errno));
            return;
        }
        add(s, fd, &peer, now_ns);
    }
}

static struct connection *by_id(const struct http_server *s, uint64_t id)
{
    size_t i = INDEX_OF(id);
    struct connection *c = i < MAX_CONNECTIONS ? s->connections[i] : NULL;
    return c && c->id == id ? c : NULL;
}

static void connection_event(struct http_server *s, uint64_t id, uint32_t events, int64_t now_ns)
{
    struct connection *c = by_id(s, id);
    if (!c) /* gone earlier in this round */
        return;
    if (c->state == CONN_PARKED && (events & (EPOLLHUP | EPOLLERR)))
        c->state = CONN_CLOSED;
    else
        connection_run(c, &s->handler, now_ns);
    update(s, INDEX_OF(id));
}

static void dispatch(struct http_server *s, const struct epoll_event *ev, int64_t now_ns)
{
    uint64_t data = ev->data.u64;
    if (data >> 16)
        connection_event(s, data, ev->events, now_ns);
    else if (data == DATA_LISTENER)
        accept_some(s, now_ns);
    else if (data - DATA_WATCHED < s->n_watched)
        s->watched[data - DATA_WATCHED].ready(s->watched[data - DATA_WATCHED].arg);
}

/* Connections whose time is over, and those that have more to do at once. */
static void go_over(struct http_server *s, int64_t now_ns)
{
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        struct connection *c = s->connections[i];
        if (!c)
            continue;
        if (now_ns >= c->deadline_ns)
            connection_timeout(c, &s->handler, now_ns);
        else if (c->again)
            connection_run(c, &s->handler, now_ns);
        else
            continue;
        update(s, i);
    }
}

/* ms until something has to be done without an event; -1: nothing. */
static int wait_ms(const struct http_server *s, int64_t now_ns)
{
    int64_t next = s->draining ? s->drain_until_ns : INT64_MAX;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        const struct connection *c = s->connections[i];
        if (!c)
            continue;
        if (c->again)
            return 0;
        if (c->deadline_ns < next)
            next = c->deadline_ns;
    }
    if (next == INT64_MAX)
        return -1;
    return next <= now_ns ? 0 : (int)((next - now_ns) / NS_PER_MS) + 1;
}

void http_server_run(struct http_server *s)
{
    struct epoll_event ev[64];
    for (;;) {
        int64_t now_ns = clock_mono_ns();
        if (s->draining && (!s->n || now_ns >= s->drain_until_ns))
            return;
        int n = epoll_wait(s->epoll, ev, sizeof ev / sizeof *ev, wait_ms(s, now_ns));
        now_ns = clock_mono_ns();
        for (int i = 0; i < n; i++)
            dispatch(s, &ev[i], now_ns);
        go_over(s, now_ns);
    }
}

void http_server_drain(struct http_server *s, int64_t at_most_ns)
{
    accepting(s, false);
    s->draining = true;
    s->drain_until_ns = clock_mono_ns() + at_most_ns;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (s->connections[i]) {
            connection_drain(s->connections[i]);
            update(s, i);
        }
}

bool http_server_parked(struct http_server *s, uint64_t connection, struct exchange *x)
{
    struct connection *c = by_id(s, connection);
    if (!c || c->state != CONN_PARKED)
        return false;
    *x = (struct exchange){
        .head = &c->head, .peer = c->peer, .connection = c->id, .arena = &c->arena, .reply = &c->reply};
    return true;
}

void http_server_answer(struct http_server *s, uint64_t connection)
{
    struct connection *c = by_id(s, connection);
    if (!c || c->state != CONN_PARKED)
        return;
    connection_answered(c, &s->handler, clock_mono_ns());
    update(s, INDEX_OF(connection));
}

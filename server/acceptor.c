/* The acceptor: one process, one thread, epoll. It accepts, and holds every connection that is only waiting,
 * so that ten thousand idle, slow or hostile clients cost no worker. It never reads a request (bodies of slow
 * uploads go into memfds unread but for their framing) and holds no secret.
 *
 * If it is killed the waiting connections are lost and a new one goes on: listeners and the workers' channels
 * live in the master too, and what workers said meanwhile is still in their channels. */
#include "acceptor.h"
#include "clock.h"
#include "control.h"
#include "fdpass.h"
#include "listener.h"
#include "log.h"
#include "mem.h"
#include "process.h"
#include "proxy_v2.h"
#include "scoreboard.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, ACCEPTS_A_ROUND = 64, TICK_MS = 1000 };
#define PAUSE_NS (50 * NS_PER_MS)

static void watch(struct acceptor *a, int fd, void *source, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = source};
    if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
        log_error("epoll: %s", strerror(errno));
}

/* ---- accepting ---- */

/* Full: somebody who waits for nothing makes room, else the newcomer is told. */
static bool has_room(struct acceptor *a, struct held *h)
{
    if (a->n_held + a->pool.n_busy <= a->most || held_shed(a))
        return true;
    METRIC_INC(a->metrics, connections_refused_total);
    held_refuse(a, h, 503, "Too many connections.");
    return false;
}

static void accepted(struct acceptor *a, int fd, uint16_t index, const struct sockaddr_storage *peer)
{
    const struct conf_listen *l = &a->config->listen[index];
    struct held *h = held_new(a, fd, index, peer);
    METRIC_INC(a->metrics, connections_total);
    if (!has_room(a, h))
        return;
    if (cidr_match_any(l->proxy_from, l->n_proxy_from, peer)) /* a balancer */
        held_wait_proxy(a, h);
    else
        held_wait_request(a, h);
}

static void pause_listeners(struct acceptor *a, bool on)
{
    a->paused = on;
    a->paused_until_ns = a->now + PAUSE_NS;
    for (size_t i = 0; i < MAX_LISTENERS; i++) {
        struct epoll_event ev = {.events = on ? 0 : EPOLLIN, .data.ptr = &a->listening[i]};
        if (a->listening[i].fd >= 0)
            epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, a->listening[i].fd, &ev);
    }
}

bool acceptor_accept(struct acceptor *a, const struct listening *l)
{
    for (int i = 0; i < ACCEPTS_A_ROUND && l->fd >= 0; i++) {
        struct sockaddr_storage peer;
        int fd = listener_accept(l->fd, &peer, a->config->http.write_timeout_ms);
        if (fd >= 0) {
            accepted(a, fd, l->index, &peer);
            continue;
        }
        bool no_room = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (no_room && !held_shed(a))
            pause_listeners(a, true);
        if (!no_room || a->paused)
            return false;
    }
    return l->fd >= 0;
}

/* A connection whose TLS ends in another process of ours. */
static void accept_from_tls(struct acceptor *a)
{
    struct tls_handover m;
    int fds[FDPASS_MAX];
    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        ssize_t n = fdpass_recv(a->heritage->acceptor_fd, &m, sizeof m, fds, false);
        if (n <= 0 && (n == 0 || errno == EAGAIN))
            return;
        struct proxy_v2 p;
        size_t head = offsetof(struct tls_handover, header);
        bool sound = n >= (ssize_t)head && m.n <= sizeof m.header && head + m.n <= (size_t)n && fds[0] >= 0 &&
                     m.listener < MAX_LISTENERS && proxy_v2_parse((struct str){m.header, m.n}, &p) == 1;
        if (!sound) {
            for (size_t k = 0; k < FDPASS_MAX; k++)
                if (fds[k] >= 0)
                    close(fds[k]);
            continue;
        }
        struct held *h = held_new(a, fds[0], m.listener, &p.src);
        h->tls = true;
        if (p.tls_subject[0])
            h->tls_subject = mem_strdup(str_of(p.tls_subject));
        METRIC_INC(a->metrics, connections_total);
        if (has_room(a, h))
            held_wait_request(a, h);
    }
}

void acceptor_listen(struct acceptor *a, uint16_t index, int fd)
{
    struct listening *l = &a->listening[index];
    *l = (struct listening){.source = FROM_LISTENER, .index = index, .fd = fd};
    if (fd >= 0) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        watch(a, fd, l, EPOLLIN);
    }
}

void acceptor_stop_listening(struct acceptor *a)
{
    for (size_t i = 0; i < MAX_LISTENERS; i++) {
        struct listening *l = &a->listening[i];
        if (l->fd < 0)
            continue;
        epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
        close(l->fd);
        l->fd = -1;
    }
}

/* ---- the loop ---- */

static void dispatch(struct acceptor *a, const struct epoll_event *ev)
{
    void *p = ev->data.ptr;
    switch ((enum source) * (uint8_t *)p) {
    case FROM_MASTER:
        acceptor_hear(a);
        break;
    case FROM_TLS:
        accept_from_tls(a);
        break;
    case FROM_LISTENER:
        acceptor_accept(a, p);
        break;
    case FROM_WORKER:
        pool_event(a, p);
        break;
    case FROM_CLIENT:
        held_event(a, p, ev->events);
        break;
    case FROM_NOBODY:
        break;
    }
}

static struct held *held_of(struct deadline *d)
{
    return (struct held *)((char *)d - offsetof(struct held, due));
}

static void free_gone(struct acceptor *a)
{
    while (a->gone.first) {
        struct held *h = a->gone.first;
        held_remove(&a->gone, h);
        free(h);
    }
    pool_free_gone(a);
}

static void tell_ready(struct acceptor *a)
{
    struct control m = {.kind = CTL_READY, .fd = -1};
    if (a->told_ready || a->pool.n_free == 0 || control_send(a->heritage->control_fd, &m))
        return;
    a->told_ready = true;
}

/* Everything was served: the workers may go, and so do we when they have. */
static void leave(struct acceptor *a)
{
    if (a->n_held > 0)
        return;
    if (a->pool.n_known == 0)
        exit(0);
    if (a->pool.n_busy == 0)
        pool_drain_all(a);
}

static void round_end(struct acceptor *a)
{
    struct deadline *d;
    while ((d = deadline_due(&a->deadlines, a->now)) != NULL)
        held_due(a, held_of(d));
    if (a->paused && a->now >= a->paused_until_ns)
        pause_listeners(a, false);
    pool_tend(a);
    pool_publish(a);
    tell_ready(a);
    free_gone(a);
    if (a->draining)
        leave(a);
}

static void run(struct acceptor *a)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int most = a->paused || a->draining || a->pool.drain_old_ns ? 20 : TICK_MS;
        int n = epoll_wait(a->epoll_fd, events, EVENTS, deadlines_wait_ms(&a->deadlines, a->now, most));
        a->now = clock_mono_ns();
        for (int i = 0; i < n; i++)
            dispatch(a, &events[i]);
        round_end(a);
    }
}

/* ---- birth ---- */

/* Descriptors left over for connections: each waiting one needs one, a spooled one two; each worker's channel
 * one. */
static size_t room_for(const struct config *c)
{
    struct rlimit r;
    size_t most = c->http.max_connections;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur == RLIM_INFINITY)
        return most;
    size_t others = MAX_LISTENERS + 32 + 2 * (size_t)c->workers.max;
    size_t left = r.rlim_cur > 2 * others ? r.rlim_cur - others : r.rlim_cur / 2;
    return left < most ? left : most;
}

void acceptor_configure(struct acceptor *a, const struct config *c)
{
    a->config = c;
    a->most = room_for(c);
}

static void set_up(struct acceptor *a, const struct heritage *h)
{
    a->heritage = h;
    a->segment = h->segment;
    a->shared = h->segment.header;
    a->metrics = segment_metrics(&h->segment, h->slot);
    a->now = clock_mono_ns();
    a->scratch = mem_alloc(SCRATCH);
    a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    a->pool.generation = h->generation;
    acceptor_configure(a, h->config);
    deadlines_init(&a->deadlines);
    a->from_master = FROM_MASTER;
    a->from_tls = FROM_TLS;
    fcntl(h->control_fd, F_SETFL, O_NONBLOCK);
    watch(a, h->control_fd, &a->from_master, EPOLLIN);
    if (h->acceptor_fd >= 0)
        watch(a, h->acceptor_fd, &a->from_tls, EPOLLIN);
    for (uint16_t i = 0; i < MAX_LISTENERS; i++) {
        a->next_fds[i] = -1;
        acceptor_listen(a, i, h->listen_fds[i]);
    }
}

void acceptor_main(const struct heritage *h)
{
    static struct acceptor a;
    process_enter(h, "acceptor");
    set_up(&a, h);
    scoreboard_state(segment_line(&h->segment, h->slot), LINE_BUSY, a.now);
    run(&a);
    exit(0);
}

/* A tls process: ends TLS for everybody, so that an idle or slow TLS client costs no worker and the private
 * keys are in no process that reads requests or talks to providers. Keys are read before privileges are
 * dropped. Several such processes share the listeners; a reload starts new ones with the new certificates,
 * and the old ones live on until their last connection ends. */
#include "clock.h"
#include "control.h"
#include "listener.h"
#include "log.h"
#include "process.h"
#include "scoreboard.h"
#include "tls_server.h"
#include "tls_session.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EVENTS = 128, ACCEPTS_A_ROUND = 16, TICK_MS = 1000 };

static void accept_some(struct tls_process *t, const struct tls_side *side)
{
    uint16_t index = (uint16_t)(side - t->listening);
    const struct conf_listen *l = &t->config->listen[index];
    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        struct sockaddr_storage peer;
        int fd = listener_accept(side->fd, &peer, t->config->http.write_timeout_ms);
        if (fd < 0)
            return;
        if (t->n_sessions >= t->most) {
            METRIC_INC(t->metrics, connections_refused_total);
            close(fd);
            continue;
        }
        bool from_balancer = cidr_match_any(l->proxy_from, l->n_proxy_from, &peer);
        session_new(t, index, fd, &peer, from_balancer);
    }
}

static void stop_listening(struct tls_process *t)
{
    for (size_t i = 0; i < MAX_LISTENERS; i++) {
        struct tls_side *l = &t->listening[i];
        if (l->fd < 0)
            continue;
        epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
        close(l->fd);
        l->fd = -1;
    }
    t->draining = true;
}

static void hear(struct tls_process *t)
{
    struct control m;
    int rc;
    while ((rc = control_recv(t->heritage->control_fd, &m)) == 1) {
        if (m.kind == CTL_DRAIN)
            stop_listening(t);
        if (m.fd >= 0)
            close(m.fd);
    }
    if (rc == 0)
        exit(0); /* the master is gone */
}

static void dispatch(struct tls_process *t, const struct epoll_event *ev)
{
    struct tls_side *side = ev->data.ptr;
    switch ((enum tls_source)side->source) {
    case TLS_FROM_MASTER:
        hear(t);
        break;
    case TLS_FROM_LISTENER:
        if (side->fd >= 0)
            accept_some(t, side);
        break;
    case TLS_FROM_CLIENT:
    case TLS_FROM_PLAIN:
        session_event(t, side, ev->events);
        break;
    }
}

static struct tls_session *session_of(struct deadline *d)
{
    return (struct tls_session *)((char *)d - offsetof(struct tls_session, due));
}

static void run(struct tls_process *t)
{
    struct epoll_event events[EVENTS];
    struct deadline *d;
    while (!t->draining || t->n_sessions > 0) {
        int n = epoll_wait(t->epoll_fd, events, EVENTS, deadlines_wait_ms(&t->deadlines, t->now, TICK_MS));
        t->now = clock_mono_ns();
        for (int i = 0; i < n; i++)
            dispatch(t, &events[i]);
        while ((d = deadline_due(&t->deadlines, t->now)) != NULL)
            session_due(t, session_of(d));
        session_free_gone(t);
    }
}

static void read_keys(struct tls_process *t, const struct config *c)
{
    struct error err;
    for (size_t i = 0; i < c->n_listen; i++) {
        if (!c->listen[i].tls.on)
            continue;
        t->contexts[i] = tls_server_new(&c->listen[i].tls, &err);
        if (!t->contexts[i]) {
            log_error("%s", err.text);
            _exit(1);
        }
    }
}

static void watch(struct tls_process *t, struct tls_side *side, enum tls_source source, int fd,
                  uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = side};
    *side = (struct tls_side){.source = (uint8_t)source, .fd = fd};
    if (fd >= 0 && epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
        log_error("epoll: %s", strerror(errno));
}

static void set_up(struct tls_process *t, const struct heritage *h)
{
    struct rlimit r;
    t->heritage = h;
    t->config = h->config;
    t->metrics = segment_metrics(&h->segment, h->slot);
    t->now = clock_mono_ns();
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    t->most = h->config->http.max_connections;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur != RLIM_INFINITY && r.rlim_cur / 3 < t->most)
        t->most = r.rlim_cur / 3; /* two a connection, a third while it is handed over */
    deadlines_init(&t->deadlines);
    fcntl(h->control_fd, F_SETFL, O_NONBLOCK);
    watch(t, &t->master, TLS_FROM_MASTER, h->control_fd, EPOLLIN);
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        watch(t, &t->listening[i], TLS_FROM_LISTENER, h->listen_fds[i], EPOLLIN | EPOLLEXCLUSIVE);
}

void tls_main(const struct heritage *h)
{
    static struct tls_process t;
    log_role("tls");
    read_keys(&t, h->config);
    process_enter(h, "tls");
    set_up(&t, h);
    scoreboard_state(segment_line(&h->segment, h->slot), LINE_BUSY, t.now);
    run(&t);
    exit(0);
}

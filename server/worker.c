/* A worker: takes one ready connection at a time from the acceptor, serves what comes on it, gives it back
 * when it falls quiet. Blocking style; every wait goes through worker_wait, which never stops listening to
 * the acceptor.
 *
 * A kept-alive connection whose client asks again at once stays here (lingering) as long as other workers are
 * free: the way over the acceptor would cost more than the request. The master keeps a descriptor of the
 * acceptor's end of our channel, so its end of file means that the master is gone, never that only the
 * acceptor is: then messages wait in the channel for the next acceptor. */
#include "worker.h"
#include "clock.h"
#include "log.h"
#include "process.h"
#include "request.h"
#include "response_cache.h"
#include "scoreboard.h"
#include "upstream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KEPT_PIECE = 1024 * 1024, /* of freed memory, kept for what comes next */
    UNSENT_MOST = 64 * 1024,  /* more than this still to be sent: the acceptor watches it go */
    TIDY_S = 20               /* an idle worker looks after its provider connections this often */
};
#define LINGER_NS    (500 * NS_PER_MS)
#define HAND_BACK_NS (2 * NS_PER_SEC)

/* ---- talking to the acceptor ---- */

/* A full channel empties as soon as the acceptor runs again; nothing is dropped for want of a moment. */
static int tell(const struct worker *w, const struct handover *m)
{
    int64_t until = clock_mono_ns() + HAND_BACK_NS;
    while (handover_send(w->heritage->control_fd, m)) {
        if (errno != EAGAIN || clock_mono_ns() > until)
            return -1;
        struct pollfd p = {.fd = w->heritage->control_fd, .events = POLLOUT};
        poll(&p, 1, 100);
    }
    return 0;
}

static void say(const struct worker *w, enum handover_kind kind)
{
    struct handover m = {.kind = (uint8_t)kind, .fd = -1, .spool_fd = -1};
    tell(w, &m);
}

/* A connection while we have one: an acceptor never sends it, but nobody's request is dropped for a bug. */
static void return_unasked(const struct worker *w, struct handover *m)
{
    m->kind = HAND_BACK;
    m->conn.wait = m->spool_fd >= 0 ? WAIT_BODY : WAIT_REQUEST;
    tell(w, m);
    say(w, HAND_BUSY);
    close(m->fd);
    if (m->spool_fd >= 0)
        close(m->spool_fd);
}

/* All messages that are here, while a connection is being served. */
static void hear(struct worker *w)
{
    struct handover m;
    int rc;
    while ((rc = handover_recv(w->heritage->control_fd, &m)) == 1) {
        if (m.kind == HAND_DRAIN)
            w->draining = true;
        else if (m.kind == HAND_STOP_LINGERING)
            w->stop_lingering = true;
        else if (m.kind == HAND_ASK)
            say(w, HAND_BUSY);
        else if (m.kind == HAND_GIVE)
            return_unasked(w, &m);
    }
    if (rc == 0)
        _exit(0); /* the master is gone */
}

/* ---- waiting ---- */

static int poll_until(struct pollfd *p, nfds_t n, int64_t deadline_ns)
{
    int64_t left = deadline_ns - clock_mono_ns();
    if (left < 0)
        left = 0;
    struct timespec ts = {.tv_sec = left / NS_PER_SEC, .tv_nsec = left % NS_PER_SEC};
    int rc = ppoll(p, n, &ts, NULL);
    return rc < 0 ? 0 : rc; /* EINTR: nothing yet */
}

static unsigned events_of(const struct pollfd *fd, const struct pollfd *client, short events)
{
    const short gone = POLLRDHUP | POLLHUP | POLLERR;
    unsigned seen = 0;
    if (fd->revents & (events | POLLERR | POLLHUP | POLLNVAL))
        seen |= WORKER_READY;
    if (client && (client->revents & gone))
        seen |= WORKER_CLIENT_GONE;
    return seen;
}

unsigned worker_wait(struct worker *w, const struct client *c, int fd, short events, int64_t deadline_ns)
{
    bool same = c && c->fd == fd;
    struct pollfd p[3] = {
        {.fd = w->heritage->control_fd, .events = POLLIN},
        {.fd = fd, .events = (short)(events | (same ? POLLRDHUP : 0))},
        {.fd = c && !same ? c->fd : -1, .events = POLLRDHUP},
    };
    const struct pollfd *client = !c ? NULL : same ? &p[1] : &p[2];
    for (;;) {
        int rc = poll_until(p, 3, deadline_ns);
        if (rc > 0) {
            if (p[0].revents)
                hear(w);
            unsigned seen = events_of(&p[1], client, events);
            if (seen)
                return seen;
        }
        if (clock_mono_ns() >= deadline_ns)
            return WORKER_TIMEOUT;
    }
}

/* ---- lingering ---- */

/* Sequentially consistent on both sides: we show PHASE_LINGER, then look whether somebody waits; the acceptor
 * counts up `waiting`, then looks who lingers. So one of the two always sees the other. */
static bool others_are_free(const struct worker *w)
{
    const struct shm_header *h = w->segment.header;
    uint32_t enough = w->config->workers.spare / 2;
    atomic_store(&w->line->phase, PHASE_LINGER);
    return atomic_load(&h->waiting) == 0 && atomic_load(&h->free_workers) >= (enough ? enough : 1);
}

static bool may_linger(const struct worker *w, const struct client *c)
{
    return !w->draining && !w->stop_lingering && !c->gone && others_are_free(w);
}

/* True: bytes of a next request are here. A client that asked again at once the last time is slept on first;
 * the acceptor is heard after that. */
static bool linger(struct worker *w, struct client *c)
{
    int64_t began = clock_mono_ns(), until = began + LINGER_NS;
    bool more = false;
    scoreboard_state(w->line, LINE_IDLE, began);
    if (c->quick && may_linger(w, c))
        more = client_nap(c) == 1;
    while (!more && may_linger(w, c)) {
        struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN | POLLRDHUP},
                              {.fd = w->heritage->control_fd, .events = POLLIN}};
        if (poll_until(p, 2, until) == 0 && clock_mono_ns() >= until)
            break;
        if (p[1].revents)
            hear(w);
        more = p[0].revents & POLLIN;
        c->gone = p[0].revents & (POLLRDHUP | POLLHUP | POLLERR);
    }
    c->quick = more && clock_mono_ns() - began < CLIENT_NAP_MS * NS_PER_MS;
    atomic_store(&w->line->phase, PHASE_NONE);
    return more && !c->gone;
}

/* Whether a next request is to be served here. Bytes that are in our buffer already are served in any case:
 * they can't go back to the socket. */
static bool next_is_here(struct worker *w, struct client *c)
{
    if (client_has_more(c))
        return true;
    if (c->backlog_fd >= 0)
        return false;            /* the acceptor has the time to let it read */
    if (c->sent > UNSENT_MOST) { /* less can't be waiting: not worth a system call */
        int unsent = 0;
        if (ioctl(c->fd, SIOCOUTQ, &unsent) == 0 && unsent > UNSENT_MOST)
            return false;
        c->sent = (uint64_t)unsent;
    }
    return linger(w, c);
}

/* ---- a connection ---- */

static void hand_back(struct worker *w, struct client *c, enum handover_wait wait, bool close_after)
{
    struct handover m = {.kind = HAND_BACK, .conn = c->conn, .fd = c->fd, .spool_fd = c->spool_fd};
    m.conn.wait = (uint8_t)wait;
    if (wait == WAIT_DRAIN) {
        m.spool_fd = c->backlog_fd;
        m.conn.want = c->backlog_at;
    }
    m.conn.close_after = close_after;
    METRIC_INC(w->metrics, handbacks_total);
    if (tell(w, &m) == 0)
        return;
    log_warn("the acceptor takes nothing back: a connection is closed");
    say(w, HAND_FREE);
}

/* After the last answer: closed here where nothing can be lost by that, else by the acceptor, which has the
 * time to let the client read. True: it went there. */
static bool part_with(struct worker *w, struct client *c)
{
    int unsent = 0, unread = 0;
    if (c->gone)
        return false;
    ioctl(c->fd, SIOCOUTQ, &unsent);
    ioctl(c->fd, FIONREAD, &unread);
    bool to_drop = c->must_close || c->body_left > 0 || unread > 0 || client_has_more(c);
    if (!to_drop && unsent <= UNSENT_MOST && c->backlog_fd < 0)
        return false;
    if (c->spool_fd >= 0)
        close(c->spool_fd); /* a request that nobody will serve */
    c->spool_fd = -1;
    hand_back(w, c, to_drop && c->backlog_fd < 0 ? WAIT_CLOSE : WAIT_DRAIN, true);
    return true;
}

/* True: the acceptor has it back (and knows that we are free). */
static bool end_connection(struct worker *w, struct client *c, bool may_go_on)
{
    struct error err;
    int unsent = 0;
    if (c->gone)
        return false;
    if (c->waits) {
        if (client_flush(c) < 0) /* one memfd travels: the answers before this request go out first */
            return false;
        if (client_spool(c, &err)) {
            log_warn("a waiting request can't be spooled: %s", err.text);
            return false;
        }
        hand_back(w, c, (enum handover_wait)c->conn.wait, false);
        return true;
    }
    if (!may_go_on)
        return part_with(w, c);
    ioctl(c->fd, SIOCOUTQ, &unsent);
    hand_back(w, c, unsent > UNSENT_MOST || c->backlog_fd >= 0 ? WAIT_DRAIN : WAIT_REQUEST, false);
    return true;
}

static void serve(struct worker *w, struct client *c, const struct handover *m)
{
    say(w, HAND_TAKEN);
    w->stop_lingering = false;
    client_take(c, m);
    bool may_go_on;
    do {
        scoreboard_state(w->line, w->draining ? LINE_DRAINING : LINE_BUSY, clock_mono_ns());
        may_go_on = request_serve(w, c);
    } while (may_go_on && next_is_here(w, c));
    bool told = end_connection(w, c, may_go_on);
    client_free(c);
    scoreboard_state(w->line, LINE_IDLE, clock_mono_ns());
    if (!told && !w->draining)
        say(w, HAND_FREE);
}

/* ---- life ---- */

static void set_up(struct worker *w, const struct heritage *h)
{
    struct error err;
    const struct timeval tidy_each = {.tv_sec = TIDY_S};
    setsockopt(h->control_fd, SOL_SOCKET, SO_RCVTIMEO, &tidy_each, sizeof tidy_each);
    *w = (struct worker){.config = h->config, .heritage = h, .segment = h->segment, .slot = h->slot};
    w->line = segment_line(&h->segment, h->slot);
    w->metrics = segment_metrics(&h->segment, h->slot);
    arena_init(&w->arena);
    w->keys = keystore_open(h->config->state_dir, false, &err);
    if (!w->keys) {
        log_error("the store of keys can't be read: %s", err.text);
        exit(1);
    }
    w->cache = cache_open(h->config);
    w->upstreams = upstreams_new(w);
}

static void tear_down(struct worker *w, struct client *c)
{
    scoreboard_state(w->line, LINE_DRAINING, clock_mono_ns());
    client_free(c);
    upstreams_free(&w->upstreams);
    cache_close(&w->cache);
    keystore_close(&w->keys);
    arena_fini(&w->arena);
}

void worker_main(const struct heritage *h)
{
    static struct worker w;
    static struct client c;
    process_enter(h, "worker");
    /* what a large request took goes back to the system: left alone, malloc learns to keep such sizes */
    mallopt(M_MMAP_THRESHOLD, KEPT_PIECE);
    mallopt(M_TRIM_THRESHOLD, 2 * KEPT_PIECE);
    set_up(&w, h);
    client_init(&c, &w);
    scoreboard_state(w.line, LINE_IDLE, clock_mono_ns());
    say(&w, HAND_FREE);
    while (!w.draining) {
        struct handover m;
        int rc = handover_wait(h->control_fd, &m);
        if (rc == 0)
            break; /* the master is gone */
        if (rc < 0) {
            upstreams_tidy(w.upstreams, clock_mono_ns());
            continue;
        }
        if (m.kind == HAND_GIVE)
            serve(&w, &c, &m);
        else if (m.kind == HAND_ASK)
            say(&w, HAND_FREE);
        else if (m.kind == HAND_DRAIN)
            w.draining = true;
    }
    tear_down(&w, &c);
    process_exit(0);
}

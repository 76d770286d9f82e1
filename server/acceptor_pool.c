/* The workers as the acceptor sees them: who is free, who gets the next connection, how many there should be.
 *
 * The most recently freed worker of the newest generation is asked first: its caches and its provider
 * connection are warm, and the ones at the other end of the list stay idle, are noticed as surplus and sent
 * home. A connection is out with one worker at a time, and our copy of it is kept until the worker says
 * "taken": if it dies before, nothing has been read, and the connection goes to another. A worker that dies
 * is noticed by the end of its channel, after every message it still sent has been read. */
#include "acceptor.h"
#include "clock.h"
#include "control.h"
#include "log.h"
#include "mem.h"
#include "scoreboard.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum worker_state { WORKER_NEW /* not heard of yet */, WORKER_FREE, WORKER_GIVEN, WORKER_BUSY, WORKER_GONE };

struct pool_worker {
    uint8_t source, state;
    bool draining;     /* told to */
    bool told_to_move; /* "stop lingering" was sent since it was given its connection */
    uint32_t slot, generation;
    int fd;
    struct held *given;
    struct pool_worker *prev, *next; /* of the free list */
};

#define PLENTY_NS  (10 * NS_PER_SEC) /* surplus workers are kept this long */
#define TRIM_NS    NS_PER_SEC
#define ASK_NS     (2 * NS_PER_SEC) /* then the master is asked again */
#define OVERLAP_NS (2 * NS_PER_SEC) /* old workers go on until a new one is free, at most so long */

/* ---- counting ---- */

static bool counts(const struct pool *p, const struct pool_worker *w)
{
    return !w->draining && w->generation == p->generation;
}

static void publish_waiting(struct acceptor *a)
{
    atomic_store(&a->shared->waiting, (uint32_t)a->queue.n); /* seq_cst: see others_are_free in worker.c */
}

void pool_publish(struct acceptor *a)
{
    atomic_store_explicit(&a->shared->free_workers, a->pool.n_free, memory_order_relaxed);
    atomic_store_explicit(&a->shared->connections, (uint32_t)a->n_held, memory_order_relaxed);
    publish_waiting(a);
}

static void list_free(struct pool *p, struct pool_worker *w)
{
    bool front = w->generation == p->generation;
    w->prev = front ? NULL : p->free_last;
    w->next = front ? p->free_first : NULL;
    if (w->prev)
        w->prev->next = w;
    else
        p->free_first = w;
    if (w->next)
        w->next->prev = w;
    else
        p->free_last = w;
}

static void unlist_free(struct pool *p, struct pool_worker *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        p->free_first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        p->free_last = w->prev;
    w->prev = w->next = NULL;
}

/* The one place where a worker's state changes, so that the counters can't drift. */
static void set_state(struct acceptor *a, struct pool_worker *w, enum worker_state state)
{
    struct pool *p = &a->pool;
    if (w->state == WORKER_FREE) {
        p->n_free--;
        unlist_free(p, w);
    }
    p->n_new -= w->state == WORKER_NEW && counts(p, w);
    p->n_busy -= w->state == WORKER_GIVEN || w->state == WORKER_BUSY;
    w->state = (uint8_t)state;
    p->n_busy += state == WORKER_GIVEN || state == WORKER_BUSY;
    if (state == WORKER_FREE) {
        p->n_free++;
        list_free(p, w);
    }
    atomic_store_explicit(&a->shared->free_workers, p->n_free, memory_order_relaxed);
}

/* ---- messages ---- */

static int tell(const struct pool_worker *w, enum handover_kind kind)
{
    struct handover m = {.kind = (uint8_t)kind, .fd = -1, .spool_fd = -1};
    return handover_send(w->fd, &m);
}

static void drain(struct acceptor *a, struct pool_worker *w)
{
    if (w->draining || tell(w, HAND_DRAIN))
        return;
    if (counts(&a->pool, w)) {
        a->pool.n_total--;
        a->pool.n_new -= w->state == WORKER_NEW;
    }
    w->draining = true;
    if (w->state == WORKER_FREE)
        set_state(a, w, WORKER_BUSY); /* on its way out */
}

/* ---- passing connections on ---- */

static bool give(struct acceptor *a, struct pool_worker *w, struct held *h)
{
    struct handover m = {.kind = HAND_GIVE, .fd = h->fd, .spool_fd = h->spool_fd};
    held_to_conn(h, &m.conn);
    m.conn.close_after = a->draining || (h->tls && h->accepted_ns < a->reloaded_ns);
    if (handover_send(w->fd, &m))
        return false;
    METRIC_INC(a->metrics, handovers_total);
    held_state(a, h, HELD_GIVEN);
    w->given = h;
    w->told_to_move = false;
    set_state(a, w, WORKER_GIVEN);
    if (a->draining)
        drain(a, w); /* its answer says "connection: close" */
    return true;
}

static bool give_to_any(struct acceptor *a, struct held *h)
{
    struct pool_worker *w;
    while ((w = a->pool.free_first) != NULL) {
        if (give(a, w, h))
            return true;
        log_warn("worker %u takes nothing: %s", w->slot - SLOT_WORKER0, strerror(errno));
        set_state(a, w, WORKER_BUSY); /* until it speaks, or its channel ends */
    }
    return false;
}

/* Workers that wait for the next request of a quiet connection are wanted elsewhere. */
static void call_in_lingering(struct acceptor *a)
{
    size_t wanted = a->queue.n;
    uint32_t used = atomic_load_explicit(&a->shared->slots_used, memory_order_relaxed);
    for (uint32_t i = SLOT_WORKER0; i < MAX_SLOTS && i < used && wanted > 0; i++) {
        struct pool_worker *w = a->pool.by_slot[i];
        if (!w || w->state != WORKER_BUSY || w->told_to_move)
            continue;
        const struct shm_line *line = segment_line(&a->segment, i);
        if (atomic_load(&line->phase) == PHASE_LINGER && tell(w, HAND_STOP_LINGERING) == 0) {
            w->told_to_move = true;
            wanted--;
        }
    }
}

void pool_dispatch(struct acceptor *a, struct held *h)
{
    if (a->queue.n == 0 && give_to_any(a, h))
        return;
    held_state(a, h, HELD_QUEUED);
    held_append(&a->queue, h);
    publish_waiting(a);
    call_in_lingering(a);
}

static bool left_while_queued(const struct held *h)
{
    struct pollfd p = {.fd = h->fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

static void serve_queue(struct acceptor *a)
{
    while (a->queue.first && a->pool.free_first) {
        struct held *h = a->queue.first;
        held_remove(&a->queue, h);
        publish_waiting(a);
        if (left_while_queued(h)) {
            held_close(a, h);
        } else if (!give_to_any(a, h)) {
            held_prepend(&a->queue, h);
            publish_waiting(a);
        }
    }
}

/* ---- what workers say ---- */

static void taken(struct acceptor *a, struct pool_worker *w)
{
    if (w->given) {
        struct held *h = w->given;
        w->given = NULL;
        held_close(a, h); /* our copy */
    }
    set_state(a, w, WORKER_BUSY);
}

static void became_free(struct acceptor *a, struct pool_worker *w)
{
    if (w->state == WORKER_GIVEN || w->draining) /* said before it saw what we sent */
        return;
    if (w->state != WORKER_FREE)
        set_state(a, w, WORKER_FREE);
}

static void heard(struct acceptor *a, struct pool_worker *w, struct handover *m)
{
    switch ((enum handover_kind)m->kind) {
    case HAND_TAKEN:
        taken(a, w);
        break;
    case HAND_FREE:
        became_free(a, w);
        break;
    case HAND_BACK:
        became_free(a, w); /* first: the connection may be ready, and he is the warmest */
        held_from_worker(a, m);
        break;
    case HAND_BUSY:
        if (w->state != WORKER_GIVEN)
            set_state(a, w, WORKER_BUSY);
        break;
    case HAND_GIVE:
    case HAND_STOP_LINGERING:
    case HAND_DRAIN:
    case HAND_ASK:
        break;
    }
}

static void remove_worker(struct acceptor *a, struct pool_worker *w)
{
    struct held *h = w->given;
    set_state(a, w, WORKER_GONE);
    a->pool.n_total -= counts(&a->pool, w);
    a->pool.by_slot[w->slot] = NULL;
    a->pool.n_known--;
    epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    close(w->fd);
    w->source = FROM_NOBODY;
    w->next = a->pool.gone;
    a->pool.gone = w;
    if (h) { /* it died before it took it */
        if (!give_to_any(a, h)) {
            held_state(a, h, HELD_QUEUED);
            held_prepend(&a->queue, h);
            publish_waiting(a);
        }
    }
}

void pool_event(struct acceptor *a, struct pool_worker *w)
{
    struct handover m;
    int rc;
    while ((rc = handover_recv(w->fd, &m)) == 1)
        heard(a, w, &m);
    if (rc < 0 && errno == EPROTO) /* a connection came that no descriptor was left for */
        tell(w, HAND_ASK);
    else if (rc == 0 || errno != EAGAIN)
        remove_worker(a, w);
    serve_queue(a);
}

/* ---- comings and goings ---- */

void pool_add(struct acceptor *a, uint32_t slot, uint32_t generation, int fd, bool is_old)
{
    struct pool *p = &a->pool;
    if (fd < 0 || slot >= MAX_SLOTS)
        return;
    pool_gone(a, slot);
    struct pool_worker *w = mem_alloc(sizeof *w);
    *w = (struct pool_worker){.source = FROM_WORKER, .state = WORKER_NEW, .slot = slot, .fd = fd};
    w->generation = generation;
    p->by_slot[slot] = w;
    p->n_known++;
    if (counts(p, w)) {
        p->n_total++;
        p->n_new++;
        p->asked_for -= p->asked_for > 0;
    }
    if (is_old)
        tell(w, HAND_ASK);
    if (generation < p->generation &&
        p->drain_old_ns == 0) /* our predecessor died before it could tell them */
        p->drain_old_ns = a->now + OVERLAP_NS;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = w};
    epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* The master may know of an end before we have read what the worker said last: connections that it gave back.
 */
void pool_gone(struct acceptor *a, uint32_t slot)
{
    struct pool_worker *w = slot < MAX_SLOTS ? a->pool.by_slot[slot] : NULL;
    if (w)
        pool_event(a, w);
    if (w && a->pool.by_slot[slot] == w)
        remove_worker(a, w);
}

/* Old workers serve on until a new one is free: a reload makes nobody wait for a fork. */
void pool_generation(struct acceptor *a, uint32_t generation)
{
    struct pool *p = &a->pool;
    p->generation = generation;
    p->n_total = p->n_new = p->asked_for = 0;
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        const struct pool_worker *w = p->by_slot[i];
        p->n_total += w && counts(p, w);
        p->n_new += w && counts(p, w) && w->state == WORKER_NEW;
    }
    struct pool_worker *w = p->free_first; /* the new ones to the front */
    p->free_first = p->free_last = NULL;
    while (w) {
        struct pool_worker *next = w->next;
        list_free(p, w);
        w = next;
    }
    p->drain_old_ns = a->now + OVERLAP_NS;
}

static void drain_old(struct acceptor *a)
{
    struct pool *p = &a->pool;
    if (p->drain_old_ns == 0)
        return;
    bool new_is_free = p->free_first && p->free_first->generation == p->generation;
    if (!new_is_free && a->now < p->drain_old_ns)
        return;
    p->drain_old_ns = 0;
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        struct pool_worker *w = p->by_slot[i];
        if (w && w->generation < p->generation)
            drain(a, w);
    }
}

void pool_drain_all(struct acceptor *a)
{
    for (uint32_t i = 0; i < MAX_SLOTS; i++)
        if (a->pool.by_slot[i])
            drain(a, a->pool.by_slot[i]);
}

void pool_drain_busy(struct acceptor *a)
{
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        struct pool_worker *w = a->pool.by_slot[i];
        if (w && w->state != WORKER_FREE && w->state != WORKER_NEW)
            drain(a, w);
    }
}

/* How many more there should be now. Under pressure it doubles: a fork is cheaper than a wait. */
static uint32_t missing(const struct acceptor *a)
{
    const struct pool *p = &a->pool;
    uint32_t max = a->config->workers.max, spare = a->config->workers.spare;
    uint32_t coming = p->n_new + p->asked_for, have = p->n_total + p->asked_for;
    uint32_t want = spare + (uint32_t)a->queue.n;
    if (a->queue.n > 0 && want < p->n_total)
        want = p->n_total;
    uint32_t ready_or_coming = p->n_free + coming;
    if (a->draining)
        return a->queue.n > 0 && ready_or_coming == 0 ? 1 : 0;
    if (want <= ready_or_coming || have >= max)
        return 0;
    want -= ready_or_coming;
    return want < max - have ? want : max - have;
}

static void ask_for_more(struct acceptor *a)
{
    struct pool *p = &a->pool;
    if (p->asked_for > 0 && a->now - p->asked_ns > ASK_NS)
        p->asked_for = 0; /* the master could not */
    uint32_t n = missing(a);
    if (n == 0)
        return;
    struct control m = {.kind = CTL_WANT_WORKERS, .number = n, .fd = -1};
    if (control_send(a->heritage->control_fd, &m))
        return;
    p->asked_for += n;
    p->asked_ns = a->now;
}

/* A pool that grew for a rush shrinks again, the coldest first. */
static void trim(struct acceptor *a)
{
    struct pool *p = &a->pool;
    uint32_t keep = 2 * a->config->workers.spare + 2, min = a->config->workers.min;
    if (p->n_free <= keep || p->n_total <= min || a->draining) {
        p->plenty_since_ns = 0;
        return;
    }
    if (p->plenty_since_ns == 0)
        p->plenty_since_ns = a->now;
    if (a->now - p->plenty_since_ns < PLENTY_NS || a->now - p->trimmed_ns < TRIM_NS)
        return;
    p->trimmed_ns = a->now;
    for (uint32_t n = (p->n_free - keep) / 8 + 1; n > 0 && p->n_total > min && p->free_last; n--) {
        struct pool_worker *w = p->free_last;
        drain(a, w);
        if (!w->draining)
            return;
    }
}

void pool_tend(struct acceptor *a)
{
    drain_old(a);
    ask_for_more(a);
    trim(a);
}

void pool_free_gone(struct acceptor *a)
{
    while (a->pool.gone) {
        struct pool_worker *w = a->pool.gone;
        a->pool.gone = w->next;
        free(w);
    }
}

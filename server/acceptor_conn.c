/* A waiting connection's way through its states. Nothing here costs a worker, and everything here has a
 * deadline:
 *
 *   PROXY ──▶ REQUEST ──▶ (QUEUED ──▶) GIVEN ──▶ a worker ──▶ REQUEST │ SPOOL │ DRAIN │ CLOSE
 *                └ SPOOL ─┘
 *
 * A connection in REQUEST is polled edge-triggered, because its bytes stay in the socket until a worker reads
 * them. It leaves the epoll set before it is passed on: the set knows descriptions, not descriptors, and
 * would go on reporting a connection that a worker holds. Closed connections are freed at the end of a round,
 * since the round's events may still name them. */
#include "acceptor.h"
#include "clock.h"
#include "http.h"
#include "mem.h"
#include "proxy_v2.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLOSE_NS   (2 * NS_PER_SEC)  /* what a client may still send after our last word is dropped so long */
#define PAIR_NS    (100 * NS_PER_MS) /* a request waits so long in the pair of sockets to a tls process */
#define PARTING_NS (100 * NS_PER_MS) /* for a request that was on its way when the gateway began to stop */

/* ---- lists ---- */

void held_append(struct held_list *l, struct held *h)
{
    h->next = NULL;
    h->prev = l->last;
    if (l->last)
        l->last->next = h;
    else
        l->first = h;
    l->last = h;
    l->n++;
}

void held_prepend(struct held_list *l, struct held *h)
{
    h->prev = NULL;
    h->next = l->first;
    if (l->first)
        l->first->prev = h;
    else
        l->last = h;
    l->first = h;
    l->n++;
}

void held_remove(struct held_list *l, struct held *h)
{
    if (h->prev)
        h->prev->next = h->next;
    else
        l->first = h->next;
    if (h->next)
        h->next->prev = h->prev;
    else
        l->last = h->prev;
    h->prev = h->next = NULL;
    l->n--;
}

/* ---- polling ---- */

void held_poll(struct acceptor *a, struct held *h, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = h};
    if (h->polled)
        return; /* as it is: see repoll */
    if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, h->fd, &ev) == 0)
        h->polled = true;
}

void held_unpoll(struct acceptor *a, struct held *h)
{
    if (h->polled)
        epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, h->fd, NULL);
    h->polled = false;
}

static void repoll(struct acceptor *a, struct held *h, uint32_t events)
{
    held_unpoll(a, h);
    held_poll(a, h, events);
}

void held_state(struct acceptor *a, struct held *h, enum held_state state)
{
    if (h->state == HELD_REQUEST && h->request_ns == 0)
        held_remove(&a->idle, h);
    h->state = (uint8_t)state;
    h->since_ns = a->now;
    if (state == HELD_REQUEST && h->request_ns == 0)
        held_append(&a->idle, h);
}

/* ---- birth and death ---- */

struct held *held_new(struct acceptor *a, int fd, uint16_t listener, const struct sockaddr_storage *peer)
{
    struct held *h = mem_alloc(sizeof *h);
    *h = (struct held){.source = FROM_CLIENT, .state = HELD_CLOSE, .fd = fd, .spool_fd = -1};
    h->listener = listener;
    h->id = ++a->last_id;
    h->accepted_ns = a->now;
    memcpy(&h->peer, peer, sizeof h->peer);
    a->n_held++;
    return h;
}

void held_close(struct acceptor *a, struct held *h)
{
    if (h->state == HELD_GONE)
        return;
    held_state(a, h, HELD_GONE);
    deadline_clear(&a->deadlines, &h->due);
    held_unpoll(a, h); /* close alone would not do while a worker has not closed its copy yet */
    close(h->fd);
    spool_free(a, h);
    free(h->tls_subject);
    h->tls_subject = NULL;
    a->n_held--;
    held_append(&a->gone, h);
}

void held_abort(struct acceptor *a, struct held *h)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(h->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    held_close(a, h);
}

bool held_shed(struct acceptor *a)
{
    int waiting = 0;
    struct held *h = a->idle.first;
    if (!h || (ioctl(h->fd, FIONREAD, &waiting) == 0 && waiting > 0))
        return false;
    METRIC_INC(a->metrics, idle_closed_total);
    held_close(a, h);
    return true;
}

void held_last_words(struct acceptor *a, struct held *h)
{
    held_state(a, h, HELD_CLOSE);
    shutdown(h->fd, SHUT_WR);
    deadline_set(&a->deadlines, &h->due, a->now + CLOSE_NS);
    repoll(a, h, EPOLLIN | EPOLLRDHUP);
}

/* ---- waiting for a request ---- */

static void ready(struct acceptor *a, struct held *h)
{
    deadline_clear(&a->deadlines, &h->due);
    held_unpoll(a, h);
    if (h->low_water) {
        int one = 1;
        setsockopt(h->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
        h->low_water = false;
    }
    pool_dispatch(a, h);
}

/* The pair of sockets to a tls process holds a few hundred pieces, however small they are: a request that
 * comes in many small TLS records would never be whole in it. So one that is not here at once is spooled. */
static void empty_pair(struct acceptor *a, struct held *h)
{
    int64_t until = h->request_ns + PAIR_NS;
    if (a->now < until) {
        if (h->due.at_ns > until)
            deadline_set(&a->deadlines, &h->due, until);
        return;
    }
    int fd = memfd_create("aigw-spool", MFD_CLOEXEC);
    if (fd < 0)
        return; /* it goes on waiting as it is */
    held_unpoll(a, h);
    h->spool_fd = fd;
    h->awaits_body = false;
    h->want = 0;
    spool_begin(a, h);
}

static void look(struct acceptor *a, struct held *h)
{
    enum readiness r = ready_in_socket(a, h);
    if (r == READY_YES)
        ready(a, h);
    else if (r == READY_CLOSED)
        held_close(a, h);
    else if (h->tls && h->request_ns != 0)
        empty_pair(a, h);
}

void held_wait_request(struct acceptor *a, struct held *h)
{
    const struct config *c = a->config;
    uint32_t ms = h->requests > 0 ? c->http.idle_timeout_ms : c->http.head_timeout_ms;
    int64_t patience = (int64_t)ms * NS_PER_MS;
    h->request_ns = 0;
    h->looks = 0;
    h->awaits_body = false;
    h->have = h->want = 0;
    held_state(a, h, HELD_REQUEST);
    if (a->draining)
        patience = PARTING_NS;
    deadline_set(&a->deadlines, &h->due, a->now + patience);
    look(a, h);
}

void held_wait_proxy(struct acceptor *a, struct held *h)
{
    held_state(a, h, HELD_PROXY);
    deadline_set(&a->deadlines, &h->due, a->now + (int64_t)a->config->http.head_timeout_ms * NS_PER_MS);
    held_poll(a, h, EPOLLIN | EPOLLRDHUP | EPOLLET);
}

static void read_proxy(struct acceptor *a, struct held *h)
{
    struct proxy_v2 p;
    ssize_t n = recv(h->fd, a->scratch, MAX_PROXY_V2, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    int rc = n <= 0 ? -1 : proxy_v2_parse((struct str){a->scratch, (size_t)n}, &p);
    if (rc == 0 && !h->half_closed)
        return;
    if (rc <= 0 || recv(h->fd, a->scratch, p.length, MSG_DONTWAIT) != (ssize_t)p.length) {
        METRIC_INC(a->metrics, malformed_total);
        held_last_words(a, h);
        return;
    }
    if (!p.local && p.src.ss_family != AF_UNSPEC)
        memcpy(&h->peer, &p.src, sizeof h->peer);
    if (p.tls_subject[0])
        h->tls_subject = mem_strdup(str_of(p.tls_subject));
    held_wait_request(a, h);
}

/* ---- the way out ---- */

void held_refuse(struct acceptor *a, struct held *h, int status, const char *text)
{
    char body[256], answer[640];
    int n = snprintf(body, sizeof body,
                     "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":null}}", text,
                     status < 500 ? "invalid_request_error" : "server_error");
    n = snprintf(answer, sizeof answer,
                 "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s"
                 "connection: close\r\n\r\n%s",
                 status, http_reason(status), n, status == 503 ? "retry-after: 1\r\n" : "", body);
    spool_free(a, h);
    if (send(h->fd, answer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
        held_close(a, h);
    else
        held_last_words(a, h);
}

static void drop_rest(struct acceptor *a, struct held *h)
{
    for (int i = 0; i < 4; i++) {
        ssize_t n = recv(h->fd, a->scratch, SCRATCH, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            held_close(a, h);
            return;
        }
        if (n < 0)
            return;
    }
}

/* ---- from and to workers ---- */

void held_to_conn(const struct held *h, struct conn *c)
{
    memset(c, 0, sizeof *c);
    c->id = h->id;
    c->listener = h->listener;
    c->tls = h->tls;
    c->expect_sent = h->expect_sent;
    memcpy(&c->peer, &h->peer, sizeof h->peer);
    if (h->tls_subject)
        str_copy_cut(c->tls_subject, sizeof c->tls_subject, str_of(h->tls_subject));
    c->accepted_ns = h->accepted_ns;
    c->request_ns = h->request_ns;
    c->requests = h->requests;
}

static struct held *from_conn(struct acceptor *a, int fd, const struct conn *c)
{
    struct held *h = held_new(a, fd, c->listener, &c->peer);
    h->id = c->id;
    h->tls = c->tls;
    h->close_after = c->close_after;
    h->expect_sent = c->expect_sent;
    if (c->tls_subject[0])
        h->tls_subject = mem_strdup(str_of(c->tls_subject));
    h->accepted_ns = c->accepted_ns;
    h->request_ns = c->request_ns < a->now ? c->request_ns : a->now;
    h->requests = c->requests;
    return h;
}

void held_from_worker(struct acceptor *a, struct handover *m)
{
    struct held *h = from_conn(a, m->fd, &m->conn);
    h->spool_fd = m->spool_fd;
    if (m->conn.wait == WAIT_DRAIN) {
        drain_begin(a, h, m->conn.want);
    } else if (m->conn.wait == WAIT_CLOSE) {
        held_last_words(a, h);
    } else if (h->spool_fd >= 0) {
        spool_begin(a, h);
    } else {
        held_wait_request(a, h);
    }
}

/* ---- events ---- */

/* An incomplete head is read whole at each look, so it is not looked at for each byte. */
static void nap(struct acceptor *a, struct held *h)
{
    int64_t until = a->now + ((int64_t)4 << h->looks) * NS_PER_MS;
    if (h->looks < 6)
        h->looks++;
    held_unpoll(a, h);
    if (until < ready_deadline(a, h))
        deadline_set(&a->deadlines, &h->due, until);
    else
        deadline_set(&a->deadlines, &h->due, ready_deadline(a, h));
}

static void read_spool(struct acceptor *a, struct held *h)
{
    enum readiness r = spool_read(a, h);
    if (r == READY_YES)
        ready(a, h);
    else if (r == READY_NOT && !h->awaits_body)
        nap(a, h);
    else if (r == READY_NOT) {
        held_poll(a, h, EPOLLIN | EPOLLRDHUP);
        if (h->due.place == 0)
            deadline_set(&a->deadlines, &h->due, ready_deadline(a, h));
    }
}

void held_event(struct acceptor *a, struct held *h, uint32_t events)
{
    if (events & EPOLLRDHUP)
        h->half_closed = true;
    if ((events & EPOLLERR) && h->state != HELD_GONE) {
        held_close(a, h);
        return;
    }
    switch ((enum held_state)h->state) {
    case HELD_PROXY:
        read_proxy(a, h);
        break;
    case HELD_REQUEST:
        look(a, h);
        break;
    case HELD_SPOOL:
        read_spool(a, h);
        break;
    case HELD_DRAIN:
        drain_event(a, h, events);
        break;
    case HELD_CLOSE:
        drop_rest(a, h);
        break;
    case HELD_QUEUED:
    case HELD_GIVEN:
    case HELD_GONE:
        break;
    }
}

/* ---- deadlines ---- */

static void request_due(struct acceptor *a, struct held *h)
{
    int waiting = 0;
    if (h->request_ns == 0) {
        ioctl(h->fd, FIONREAD, &waiting);
        if (waiting > 0) {
            look(a, h);
            return;
        }
        if (h->requests > 0)
            METRIC_INC(a->metrics, idle_closed_total);
        else
            METRIC_INC(a->metrics, deadline_head_total);
        held_close(a, h);
        return;
    }
    look(a, h); /* brings h->have up to date, and may find it ready at the last moment */
    if (h->state != HELD_REQUEST || a->now < ready_deadline(a, h))
        return;
    if (h->awaits_body) {
        METRIC_INC(a->metrics, deadline_body_total);
        held_refuse(a, h, 408, "The request's body did not arrive in time.");
    } else {
        METRIC_INC(a->metrics, deadline_head_total);
        held_refuse(a, h, 408, "The request's head did not arrive in time.");
    }
}

static void spool_due(struct acceptor *a, struct held *h)
{
    if (a->now < ready_deadline(a, h)) {
        read_spool(a, h);
        return;
    }
    METRIC_INC(a->metrics, deadline_body_total);
    held_refuse(a, h, 408, "The request's body did not arrive in time.");
}

void held_due(struct acceptor *a, struct held *h)
{
    deadline_clear(&a->deadlines, &h->due);
    switch ((enum held_state)h->state) {
    case HELD_PROXY:
        METRIC_INC(a->metrics, deadline_head_total);
        held_close(a, h);
        break;
    case HELD_REQUEST:
        request_due(a, h);
        break;
    case HELD_SPOOL:
        spool_due(a, h);
        break;
    case HELD_DRAIN:
        drain_due(a, h);
        break;
    case HELD_CLOSE:
        held_close(a, h);
        break;
    case HELD_QUEUED:
    case HELD_GIVEN:
    case HELD_GONE:
        break;
    }
}

void held_drain(struct acceptor *a)
{
    for (struct held *h = a->idle.first; h; h = h->next)
        if (h->due.at_ns > a->now + PARTING_NS)
            deadline_set(&a->deadlines, &h->due, a->now + PARTING_NS);
}

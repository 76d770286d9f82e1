/* Answers that their clients have not read yet: a worker wrote them, and has gone on to somebody else. What
 * the kernel did not take is in a memfd (it counts against http.spool_bytes, like slow uploads) and is sent
 * on here as the client makes room; the rest is in the kernel's buffer, which is watched going down.
 *
 * A client that takes nothing for http.write_timeout_ms, or falls below http.min_rate, is dropped. */
#include "acceptor.h"
#include "clock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_NS (250 * NS_PER_MS) /* how often a slow reader is looked at */

/* While there is a rest: level-triggered, so that a client that makes much room is sent on to in the next
 * round, too; and nothing but room, because a further request would be told again and again. Then only that
 * request counts. */
static uint32_t events_for(const struct held *h)
{
    return h->rest_at < h->rest_end ? EPOLLOUT : EPOLLIN | EPOLLRDHUP | EPOLLET;
}

enum { PIECE = 64 * 1024, PIECES_A_ROUND = 16 };

static uint64_t unread(const struct held *h)
{
    int n = 0;
    uint64_t in_kernel = ioctl(h->fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint64_t)n : 0;
    return in_kernel + (h->rest_end - h->rest_at);
}

static void drained(struct acceptor *a, struct held *h)
{
    deadline_clear(&a->deadlines, &h->due);
    spool_free(a, h);
    if (h->close_after) {
        held_last_words(a, h);
        return;
    }
    held_unpoll(a, h);
    held_wait_request(a, h);
}

static void drop(struct acceptor *a, struct held *h)
{
    METRIC_INC(a->metrics, deadline_write_total);
    held_abort(a, h);
}

/* The client must take something within write_timeout, and from then on keep up min_rate. */
static bool reads_too_slowly(const struct acceptor *a, const struct held *h)
{
    int64_t grace = (int64_t)a->config->http.write_timeout_ms * NS_PER_MS;
    if (a->now - h->progress_ns >= grace)
        return true;
    if (a->config->http.min_rate == 0)
        return false;
    int64_t earned = (int64_t)((double)(h->want - h->have) * 1e9 / a->config->http.min_rate);
    return a->now - h->since_ns >= grace + earned;
}

/* Sends what the kernel takes now. False: the connection broke. */
static bool send_rest(struct acceptor *a, struct held *h)
{
    for (int i = 0; i < PIECES_A_ROUND && h->rest_at < h->rest_end; i++) {
        ssize_t n = pread(h->spool_fd, a->scratch, PIECE, (off_t)h->rest_at);
        if (n <= 0)
            return false; /* our own memory file: can't be, and nothing complete could follow */
        ssize_t sent = send(h->fd, a->scratch, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        h->rest_at += (uint64_t)sent;
    }
    return true;
}

void drain_due(struct acceptor *a, struct held *h)
{
    bool had_rest = h->rest_at < h->rest_end;
    if (!send_rest(a, h)) {
        held_close(a, h);
        return;
    }
    if (had_rest && h->rest_at == h->rest_end) {
        held_unpoll(a, h);
        held_poll(a, h, events_for(h));
    }
    uint64_t left = unread(h);
    if (left == 0) {
        drained(a, h);
        return;
    }
    if (left < h->have) {
        h->have = left;
        h->progress_ns = a->now;
    }
    if (reads_too_slowly(a, h))
        drop(a, h);
    else
        deadline_set(&a->deadlines, &h->due, a->now + LOOK_NS);
}

/* Takes the spool into account. False: there is no room for it. */
static bool take_rest(struct acceptor *a, struct held *h, uint64_t from)
{
    struct stat st;
    h->rest_at = h->rest_end = 0;
    if (h->spool_fd < 0)
        return true;
    if (fstat(h->spool_fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size < from)
        return false;
    h->rest_at = from;
    h->rest_end = (uint64_t)st.st_size;
    spool_account(a, h, st.st_size);
    return a->spooled <= a->config->http.spool_bytes;
}

void drain_begin(struct acceptor *a, struct held *h, uint64_t from)
{
    held_state(a, h, HELD_DRAIN);
    if (!take_rest(a, h, from)) {
        drop(a, h);
        return;
    }
    h->have = h->want = unread(h);
    h->progress_ns = a->now;
    held_poll(a, h, events_for(h));
    deadline_set(&a->deadlines, &h->due, a->now + LOOK_NS);
}

void drain_event(struct acceptor *a, struct held *h, uint32_t events)
{
    if (events & EPOLLHUP)
        held_close(a, h);
    else if (h->rest_at < h->rest_end)
        drain_due(a, h);
    else if (!h->close_after && (events & EPOLLIN)) /* its next request: so it has read this answer */
        drained(a, h);
}

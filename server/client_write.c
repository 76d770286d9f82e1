/* Writing to a worker's client: first without waiting; then for a moment (PATIENCE); then what it does not
 * take goes into its backlog, a memfd, so that a slow reader holds no worker: the backlog is sent on by the
 * next write, and after the answer by the acceptor. Only what is more than a client's share of
 * http.spool_bytes is waited for, as long as the minimum rate allows. Run by workers only.
 *
 * A client that is given up is `gone`: nothing is written to it any more, and whoever produces its answer
 * stops. */
#include "client.h"

#include "clock.h"
#include "log.h"
#include "worker.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 16 * 1024, SHARE_MIN = 1024 * 1024, SHARES = 16 };
#define PATIENCE_NS (100 * NS_PER_MS)

static int64_t stall_ns(const struct client *c)
{
    return (int64_t)c->worker->config->http.write_timeout_ms * NS_PER_MS;
}

static int give_up(struct client *c)
{
    METRIC_INC(c->worker->metrics, deadline_write_total);
    c->gone = true;
    return -1;
}

/* ---- waiting */

/* How long the client may still keep us waiting: a fixed time, and what it takes at the minimum rate. Its own
 * kernel's buffers took the first part at once, so that only counts from when it first kept us waiting. */
static int64_t write_budget_ns(const struct client *c)
{
    const struct config *conf = c->worker->config;
    int64_t budget = stall_ns(c) - c->blocked_ns;
    if (conf->http.min_rate > 0)
        budget += (int64_t)((double)c->blocked_bytes * 1e9 / conf->http.min_rate);
    return budget < stall_ns(c) ? budget : stall_ns(c);
}

/* Waits until the socket takes more, at most `most` ns. 0: perhaps it does; -1: too slow, and given up. */
static int await_writable(struct client *c, int64_t most)
{
    int64_t began = clock_mono_ns(), now = began, budget = write_budget_ns(c);
    int64_t until = began + (budget < most ? budget : most);
    unsigned got = 0;
    c->blocked = true;
    while (now < until && !(got & (WORKER_READY | WORKER_CLIENT_GONE))) {
        got = worker_wait(c->worker, NULL, c->fd, POLLOUT, until);
        now = clock_mono_ns();
    }
    c->blocked_ns += now - began;
    if ((got & WORKER_READY) || (now - began < budget && !(got & WORKER_CLIENT_GONE)))
        return 0;
    return give_up(c);
}

/* Bytes that the kernel took, 0: none now; -1: gone. */
static ssize_t send_now(struct client *c, struct iovec *iov, int n)
{
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    if (c->gone)
        return -1;
    for (;;) {
        ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            c->sent += (uint64_t)sent;
            if (c->blocked)
                c->blocked_bytes += (uint64_t)sent;
            return sent;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR) {
            c->gone = true;
            return -1;
        }
    }
}

/* ---- the backlog */

static void backlog_close(struct client *c)
{
    close(c->backlog_fd);
    c->backlog_fd = -1;
    c->backlog_at = c->backlog_end = 0;
}

/* Sends on what the kernel takes now. -1: gone, or it has taken nothing for too long. */
static int backlog_send(struct client *c)
{
    char piece[PIECE];
    while (c->backlog_at < c->backlog_end) {
        ssize_t n = pread(c->backlog_fd, piece, sizeof(piece), (off_t)c->backlog_at);
        if (n <= 0)
            return give_up(c); /* our own memory file: can't be, and nothing complete could follow */
        struct iovec iov = {.iov_base = piece, .iov_len = (size_t)n};
        ssize_t sent = send_now(c, &iov, 1);
        if (sent < 0)
            return -1;
        int64_t now = clock_mono_ns();
        if (sent > 0)
            c->taken_ns = now;
        else
            return now - c->taken_ns > stall_ns(c) ? give_up(c) : 0;
        c->backlog_at += (uint64_t)sent;
    }
    backlog_close(c);
    return 0;
}

static size_t length_of(const struct iovec *iov, int n)
{
    size_t total = 0;
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    return total;
}

static bool backlog_fits(const struct client *c, size_t more)
{
    uint64_t share = c->worker->config->http.spool_bytes / SHARES;
    uint64_t most = share > SHARE_MIN ? share : SHARE_MIN;
    return c->backlog_end - c->backlog_at + more <= most;
}

/* 0: taken over. 1: it could not be kept; nothing was. */
static int backlog_add(struct client *c, const struct iovec *iov, int n)
{
    if (c->backlog_fd < 0) {
        c->backlog_fd = memfd_create("aigw-backlog", MFD_CLOEXEC);
        c->taken_ns = clock_mono_ns();
    }
    size_t want = length_of(iov, n);
    if (c->backlog_fd < 0 || pwritev(c->backlog_fd, iov, n, (off_t)c->backlog_end) != (ssize_t)want) {
        log_warn("a slow client's answer can't be kept (%s): its worker waits", strerror(errno));
        if (c->backlog_fd >= 0 && c->backlog_at == c->backlog_end)
            backlog_close(c);
        return 1;
    }
    c->backlog_end += want;
    return 0;
}

int client_flush(struct client *c)
{
    while (c->backlog_fd >= 0) {
        if (backlog_send(c) < 0)
            return -1;
        if (c->backlog_fd >= 0 && await_writable(c, stall_ns(c)) < 0)
            return -1;
    }
    return c->gone ? -1 : 0;
}

/* ---- writing */

static void advance(struct iovec **iov, int *n, size_t sent)
{
    while (*n > 0 && sent >= (*iov)->iov_len) {
        sent -= (*iov)->iov_len;
        (*iov)++, (*n)--;
    }
    if (*n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + sent;
        (*iov)->iov_len -= sent;
    }
}

/* The socket takes nothing now. 0: try again; 1: the rest is in the backlog; -1: gone. */
static int hold(struct client *c, struct iovec *iov, int n)
{
    if (backlog_fits(c, length_of(iov, n))) {
        if (c->blocked_ns < PATIENCE_NS && c->backlog_fd < 0)
            return await_writable(c, PATIENCE_NS - c->blocked_ns);
        if (backlog_add(c, iov, n) == 0)
            return 1;
    }
    return await_writable(c, stall_ns(c));
}

int client_writev(struct client *c, struct iovec *iov, int n)
{
    advance(&iov, &n, 0);
    while (n > 0) {
        if (c->backlog_fd >= 0 && backlog_send(c) < 0)
            return -1;
        ssize_t sent = c->backlog_fd >= 0 ? 0 : send_now(c, iov, n);
        if (sent < 0)
            return -1;
        advance(&iov, &n, (size_t)sent);
        int held = sent == 0 ? hold(c, iov, n) : 0;
        if (held != 0)
            return held > 0 ? 0 : -1;
    }
    return 0;
}

/* sendmsg does not write through it; struct iovec merely has no const. */
static struct iovec iovec_of(struct str s)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)s.p, .iov_len = s.n};
}

int client_write(struct client *c, struct str head, struct str body)
{
    struct iovec iov[2] = {iovec_of(head), iovec_of(body)};
    return client_writev(c, iov, 2);
}

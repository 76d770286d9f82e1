/* Writing to a worker's client: first without waiting; then, while it does not take more, for as long as the
 * minimum rate allows. Run by workers only.
 *
 * A client that is given up is `gone`: nothing is written to it any more, and whoever produces its answer
 * stops. */
#include "client.h"

#include "clock.h"
#include "worker.h"

#include <errno.h>
#include <sys/socket.h>

/* How long the client may still keep us waiting: a fixed time, and what it takes at the minimum rate. Its own
 * kernel's buffers took the first part at once, so that only counts from when it first kept us waiting. */
static int64_t write_budget_ns(const struct client *c)
{
    const struct config *conf = c->worker->config;
    int64_t budget = (int64_t)conf->http.write_timeout_ms * NS_PER_MS - c->blocked_ns;
    if (conf->http.min_rate > 0)
        budget += (int64_t)((double)c->blocked_bytes * 1e9 / conf->http.min_rate);
    return budget;
}

/* Waits until the socket takes more. -1: too slow, and given up. */
static int await_writable(struct client *c)
{
    struct worker *w = c->worker;
    int64_t began = clock_mono_ns(), now = began, budget = write_budget_ns(c);
    int64_t stall = (int64_t)w->config->http.write_timeout_ms * NS_PER_MS;
    int64_t until = began + (budget < stall ? budget : stall);
    unsigned got = 0;
    c->blocked = true;
    while (now < until && !(got & (WORKER_READY | WORKER_CLIENT_GONE))) {
        got = worker_wait(w, NULL, c->fd, POLLOUT, until);
        now = clock_mono_ns();
    }
    c->blocked_ns += now - began;
    if (got & WORKER_READY)
        return 0;
    METRIC_INC(w->metrics, deadline_write_total);
    c->gone = true;
    return -1;
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

int client_writev(struct client *c, struct iovec *iov, int n)
{
    while (n > 0 && iov->iov_len == 0)
        iov++, n--;
    while (n > 0) {
        ssize_t sent = send_now(c, iov, n);
        if (sent < 0 || (sent == 0 && await_writable(c) < 0))
            return -1;
        while (n > 0 && (size_t)sent >= iov->iov_len) {
            sent -= (ssize_t)iov->iov_len;
            iov++, n--;
        }
        if (n > 0) {
            iov->iov_base = (char *)iov->iov_base + sent;
            iov->iov_len -= (size_t)sent;
        }
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

ssize_t client_write_some(struct client *c, struct str bytes)
{
    struct iovec iov = iovec_of(bytes);
    return send_now(c, &iov, 1);
}

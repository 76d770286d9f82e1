/* One message is one datagram: the kind, which descriptors are beside it, and for GIVE and BACK the
 * connection. Both ends are forks of one program, so structs travel as they lie in memory; what a worker
 * sends is checked all the same, because a worker reads bytes from the world and the acceptor holds
 * everybody's connections. */
#include "handover.h"
#include "fdpass.h"
#include "limits.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { HAS_FD = 1, HAS_SPOOL = 2 };

struct wire {
    uint8_t kind, has;
    struct conn conn; /* GIVE and BACK only */
};

static bool carries_conn(uint8_t kind)
{
    return kind == HAND_GIVE || kind == HAND_BACK;
}

static size_t wire_size(uint8_t kind)
{
    return carries_conn(kind) ? sizeof(struct wire) : offsetof(struct wire, conn);
}

int handover_send(int sock, const struct handover *m)
{
    struct wire w;
    int fds[FDPASS_MAX];
    size_t n = 0;
    memset(&w, 0, sizeof w); /* padding must not carry what was on the stack */
    w.kind = m->kind;
    if (carries_conn(m->kind)) {
        w.conn = m->conn;
        if (m->fd >= 0) {
            w.has |= HAS_FD;
            fds[n++] = m->fd;
        }
        if (m->spool_fd >= 0) {
            w.has |= HAS_SPOOL;
            fds[n++] = m->spool_fd;
        }
    }
    return fdpass_send(sock, &w, wire_size(m->kind), fds, n);
}

static bool is_sound(const struct wire *w, ssize_t n, size_t n_fds)
{
    size_t want = (size_t)((w->has & HAS_FD) != 0) + ((w->has & HAS_SPOOL) != 0);
    if (w->kind < HAND_GIVE || w->kind > HAND_BUSY || (size_t)n != wire_size(w->kind) || n_fds != want)
        return false;
    if (!carries_conn(w->kind))
        return n_fds == 0;
    return (w->has & HAS_FD) && w->conn.wait <= WAIT_CLOSE && w->conn.listener < MAX_LISTENERS;
}

static int receive(int sock, struct handover *m, bool wait)
{
    struct wire w;
    int fds[FDPASS_MAX];
    size_t n_fds = 0, next = 0;
    memset(&w, 0, sizeof w);
    ssize_t n = fdpass_recv(sock, &w, sizeof w, fds, wait);
    if (n <= 0)
        return (int)n;
    while (n_fds < FDPASS_MAX && fds[n_fds] >= 0)
        n_fds++;
    if ((size_t)n < offsetof(struct wire, conn) || !is_sound(&w, n, n_fds)) {
        while (n_fds > 0)
            close(fds[--n_fds]);
        errno = EPROTO;
        return -1;
    }
    m->kind = w.kind;
    m->conn = w.conn;
    m->conn.tls_subject[sizeof m->conn.tls_subject - 1] = '\0';
    m->fd = (w.has & HAS_FD) ? fds[next++] : -1;
    m->spool_fd = (w.has & HAS_SPOOL) ? fds[next] : -1;
    return 1;
}

int handover_recv(int sock, struct handover *m)
{
    return receive(sock, m, false);
}

int handover_wait(int sock, struct handover *m)
{
    return receive(sock, m, true);
}

/* The sockets that clients come to. The master binds them all, for every role, so that they outlive any
 * child, a reload and the acceptor's death: a connection that nobody accepts right now waits in the backlog.
 */
#include "listener.h"
#include "log.h"
#include "master.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool same_address(const char *a, uint16_t a_port, const char *b, uint16_t b_port)
{
    return strcmp(a, b) == 0 && (a_port == b_port || strncmp(a, "unix:", 5) == 0);
}

static int held_already(const struct master *m, const struct conf_listen *l)
{
    for (size_t i = 0; m->config && i < m->config->n_listen; i++)
        if (m->listen_fds[i] >= 0 &&
            same_address(m->config->listen[i].address, m->config->listen[i].port, l->address, l->port))
            return m->listen_fds[i];
    return -1;
}

static bool is_in(int fd, const int fds[MAX_LISTENERS])
{
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        if (fds[i] == fd)
            return true;
    return false;
}

/* Closes those of fds[] that m does not have. */
static void close_new(const struct master *m, const int fds[MAX_LISTENERS])
{
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        if (fds[i] >= 0 && !is_in(fds[i], m->listen_fds))
            close(fds[i]);
}

int listeners_open(const struct master *m, const struct config *c, int fds[MAX_LISTENERS], int *admin_fd,
                   struct error *err)
{
    const struct config *old = m->config;
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        fds[i] = -1;
    for (size_t i = 0; i < c->n_listen; i++) {
        fds[i] = held_already(m, &c->listen[i]);
        if (fds[i] < 0)
            fds[i] = listener_open(c->listen[i].address, c->listen[i].port, err);
        if (fds[i] < 0) {
            close_new(m, fds);
            return -1;
        }
    }
    if (m->admin_fd >= 0 &&
        (!old || same_address(old->admin.address, old->admin.port, c->admin.address, c->admin.port)))
        *admin_fd = m->admin_fd;
    else
        *admin_fd = listener_open(c->admin.address, c->admin.port, err);
    if (*admin_fd < 0) {
        close_new(m, fds);
        return -1;
    }
    return 0;
}

void listeners_replace(struct master *m, const int fds[MAX_LISTENERS], int admin_fd)
{
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        if (m->listen_fds[i] >= 0 && !is_in(m->listen_fds[i], fds))
            close(m->listen_fds[i]);
    memcpy(m->listen_fds, fds, sizeof m->listen_fds);
    if (m->admin_fd >= 0 && m->admin_fd != admin_fd)
        close(m->admin_fd);
    m->admin_fd = admin_fd;
}

static bool is_listening(int fd)
{
    int on = 0;
    socklen_t n = sizeof on;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 && on;
}

/* The place of fd: that of the listener, or of the admin API, whose address it has. */
static int *place_of(struct master *m, int fd)
{
    const struct config *c = m->config;
    for (size_t i = 0; i < c->n_listen; i++)
        if (m->listen_fds[i] < 0 && listener_is_at(fd, c->listen[i].address, c->listen[i].port))
            return &m->listen_fds[i];
    return m->admin_fd < 0 && listener_is_at(fd, c->admin.address, c->admin.port) ? &m->admin_fd : NULL;
}

/* By address, never by order: a socket taken for the wrong listener would speak plain where TLS was asked
 * for. */
int listeners_adopt(struct master *m, int n_passed, struct error *err)
{
    for (int i = 0; i < n_passed; i++) {
        int fd = 3 + i, *place = place_of(m, fd);
        char name[160];
        listener_name(fd, name, sizeof name);
        if (!is_listening(fd)) {
            log_warn("descriptor %d (%s) that was passed to us does not listen", fd, name);
            close(fd);
        } else if (place) {
            *place = fd;
        } else {
            return error_set(
                err,
                "%s was passed to us (by aigw.socket?), but no entry of listen has that address; "
                "make them agree",
                name);
        }
    }
    return 0;
}

void listeners_close(struct master *m)
{
    for (size_t i = 0; i < MAX_LISTENERS; i++) {
        if (m->listen_fds[i] >= 0)
            close(m->listen_fds[i]);
        m->listen_fds[i] = -1;
    }
}

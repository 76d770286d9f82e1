/* The master never waits for the acceptor: what its channel does not take now waits here, in order, with
 * descriptors of its own (a worker may be gone before its announcement is sent). */
#include "master.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void close_fd(struct control *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void put_off(struct outbox *o, const struct control *message)
{
    if (o->n == o->room) {
        o->room = o->room ? 2 * o->room : 16;
        o->messages = mem_resize(o->messages, o->room * sizeof o->messages[0]);
    }
    struct control *copy = &o->messages[o->n++];
    *copy = *message;
    if (message->fd >= 0)
        copy->fd = fcntl(message->fd, F_DUPFD_CLOEXEC, 3);
}

/* There is one at most; also while it is leaving. */
static const struct child *the_acceptor(const struct master *m)
{
    for (size_t i = 0; i < m->n_children; i++)
        if (m->children[i].role == ROLE_ACCEPTOR)
            return &m->children[i];
    return NULL;
}

void outbox_send(struct master *m, const struct control *message)
{
    const struct child *acceptor = the_acceptor(m);
    if (!acceptor)
        return; /* a new one is told everything when it starts */
    if (m->outbox.n > 0 || (control_send(acceptor->channel, message) && errno == EAGAIN))
        put_off(&m->outbox, message);
}

void outbox_flush(struct master *m)
{
    struct outbox *o = &m->outbox;
    const struct child *acceptor = the_acceptor(m);
    size_t sent = 0;
    while (acceptor && sent < o->n) {
        if (control_send(acceptor->channel, &o->messages[sent]) && errno == EAGAIN)
            break;
        close_fd(&o->messages[sent++]);
    }
    o->n -= sent;
    if (sent > 0 && o->n > 0)
        memmove(o->messages, o->messages + sent, o->n * sizeof o->messages[0]);
}

void outbox_clear(struct master *m)
{
    for (size_t i = 0; i < m->outbox.n; i++)
        close_fd(&m->outbox.messages[i]);
    m->outbox.n = 0;
}

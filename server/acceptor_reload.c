/* What the master says to the acceptor: workers that came and went, a new configuration piece by piece (its
 * text, its listeners, then the generation that brings both into force at once), and the end. */
#include "acceptor.h"
#include "control.h"
#include "log.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_ROUNDS = 100 }; /* of accepting: more than a backlog holds */

/* The text was checked by the master; here it is read without credentials, for its listeners and limits. */
static void take_config(struct acceptor *a, const struct control *m)
{
    struct stat st;
    struct error err = {"it is empty"};
    config_free(&a->next);
    if (m->fd < 0 || fstat(m->fd, &st) || st.st_size <= 0)
        return;
    void *text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, m->fd, 0);
    if (text == MAP_FAILED)
        return;
    a->next = config_parse((struct str){text, (size_t)st.st_size}, m->text, false, &err);
    munmap(text, (size_t)st.st_size);
    if (!a->next)
        log_error("the new configuration can't be read here: %s", err.text);
}

static void take_listener(struct acceptor *a, struct control *m)
{
    if (m->fd < 0 || m->number >= MAX_LISTENERS)
        return;
    if (a->next_fds[m->number] >= 0)
        close(a->next_fds[m->number]);
    a->next_fds[m->number] = m->fd;
    m->fd = -1;
}

/* What waits on the listeners is taken in before they go. */
static void accept_all(struct acceptor *a)
{
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        for (int round = 0; round < MOST_ROUNDS && acceptor_accept(a, &a->listening[i]); round++)
            ;
}

/* A listener that stays is the same socket under another descriptor; what waits on one that goes is taken in
 * first. */
static void change_over(struct acceptor *a, uint32_t generation)
{
    accept_all(a);
    acceptor_stop_listening(a);
    if (a->next) {
        acceptor_configure(a, a->next);
        config_free(&a->owned);
        a->owned = a->next;
        a->next = NULL;
    }
    for (uint16_t i = 0; i < MAX_LISTENERS; i++) {
        acceptor_listen(a, i, a->next_fds[i]);
        a->next_fds[i] = -1;
    }
    a->reloaded_ns = a->now;
    pool_generation(a, generation);
}

static void stop(struct acceptor *a)
{
    accept_all(a);
    acceptor_stop_listening(a);
    a->draining = true;
    held_drain(a);
    pool_drain_busy(a);
}

static void obey(struct acceptor *a, struct control *m)
{
    switch ((enum control_kind)m->kind) {
    case CTL_WORKER:
        pool_add(a, m->slot, m->generation, m->fd, m->number == 1);
        m->fd = -1;
        break;
    case CTL_WORKER_GONE:
        pool_gone(a, m->slot);
        break;
    case CTL_CONFIG:
        take_config(a, m);
        break;
    case CTL_LISTENER:
        take_listener(a, m);
        break;
    case CTL_GENERATION:
        change_over(a, m->generation);
        break;
    case CTL_DRAIN:
        stop(a);
        break;
    default:
        break;
    }
    if (m->fd >= 0)
        close(m->fd);
}

void acceptor_hear(struct acceptor *a)
{
    struct control m;
    int rc;
    while ((rc = control_recv(a->heritage->control_fd, &m)) == 1)
        obey(a, &m);
    if (rc == 0)
        exit(0); /* the master is gone */
}

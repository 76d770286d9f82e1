/* What crosses the fork: filled by the master before it forks a child, only read by the child. */
#ifndef SERVER_HERITAGE_H
#define SERVER_HERITAGE_H

#include "config.h"
#include "segment.h"

struct heritage {
    const struct config *config;
    struct segment segment;
    uint32_t generation; /* of the configuration; counts reloads */
    uint32_t slot;       /* the child's scoreboard line */
    int control_fd;  /* the child's end of its own channel: a worker's to the acceptor (handover.h), any other
                        role's to the master (control.h) */
    int cache_fd;    /* mailbox of the cache process: workers and admin write, the cache process reads */
    int acceptor_fd; /* tls processes: where plaintext connections go */
    int listen_fds[MAX_LISTENERS]; /* by index of config->listen; -1 where the role has no use for it */
};

/* The roles' main functions; none returns. */
void worker_main(const struct heritage *h) __attribute__((noreturn));
void acceptor_main(const struct heritage *h) __attribute__((noreturn));
void tls_main(const struct heritage *h) __attribute__((noreturn));
void cache_main(const struct heritage *h) __attribute__((noreturn));
void ledger_main(const struct heritage *h) __attribute__((noreturn));

#endif

/* Messages between the master and its children on their control channels (SOCK_SEQPACKET).
 *
 * acceptor → master: WANT_WORKERS n. master → acceptor: WORKER (slot, generation, its socket), WORKER_GONE,
 * LISTENER (index, socket), GENERATION (drain the older ones), DRAIN. admin → master: RELOAD; master → admin:
 * RELOADED (text: "" or the error). master → ledger: DIED (reap readers, settle rows). */
#ifndef SERVER_CONTROL_H
#define SERVER_CONTROL_H

#include <stdint.h>

enum control_kind {
    CTL_WANT_WORKERS = 1,
    CTL_WORKER,
    CTL_WORKER_GONE,
    CTL_LISTENER,
    CTL_GENERATION,
    CTL_DRAIN,
    CTL_RELOAD,
    CTL_RELOADED,
    CTL_DIED,
    CTL_CONFIG
};

struct control {
    uint8_t kind;
    uint32_t slot, generation, number;
    int fd; /* -1: none */
    char text[512];
};

/* As handover_send and handover_recv. */
int control_send(int sock, const struct control *m);
int control_recv(int sock, struct control *m);

#endif

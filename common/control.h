/* Messages between the master and its children on their control channels (SOCK_SEQPACKET).
 *
 * acceptor → master: WANT_WORKERS n, READY (a worker is free for the first time). master → acceptor: WORKER
 * (slot, generation, its socket; number 1: it is older than this acceptor), WORKER_GONE, CONFIG (a descriptor
 * of the new text, text: its file's name), LISTENER (number: index, socket), GENERATION (both come into
 * force; drain the older workers), DRAIN. admin → master: RELOAD; master → admin: RELOADED (generation, text:
 * "" or the error) and, before it when the configuration changed, CONFIG (generation, a descriptor of the new
 * text). master → ledger: DIED (reap readers, settle rows). */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

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
    CTL_CONFIG,
    CTL_READY
};

struct control {
    uint8_t kind;
    uint32_t slot, generation, number;
    int fd; /* goes with the message; -1: none */
    char text[512];
};

/* Sends one message; does not close its descriptor. 0; -1 with errno (EAGAIN on a full socket, EPIPE: peer
 * gone). */
int control_send(int sock, const struct control *m);
/* 1: *m is filled, its descriptor is the caller's (close-on-exec). 0: peer gone. -1: errno (EAGAIN: none now;
 * EPROTO: not a message of ours). */
int control_recv(int sock, struct control *m);

#endif

/* How connections travel: messages on SOCK_SEQPACKET pairs between acceptor and worker, one pair a worker,
 * A descriptor goes with a message as SCM_RIGHTS. (A tls process speaks to the acceptor in its own way: one
 * datagram a connection, struct tls_handover.)
 *
 * acceptor → worker: GIVE (a connection, one outstanding), STOP_LINGERING, DRAIN, ASK (a new acceptor wants
 * to know). worker → acceptor: TAKEN, FREE, BACK (a connection, quiet or still waiting for the client), BUSY
 * (answer to ASK). BACK says FREE too, unless the worker was told to drain. The acceptor keeps its own copy
 * of a given connection until TAKEN, and gives it to another worker when that one dies. */
#ifndef SERVER_HANDOVER_H
#define SERVER_HANDOVER_H

#include "error.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum handover_kind {
    HAND_GIVE = 1,
    HAND_STOP_LINGERING,
    HAND_DRAIN,
    HAND_ASK,
    HAND_TAKEN,
    HAND_FREE,
    HAND_BACK,
    HAND_BUSY
};

/* Why a worker hands a connection back. */
enum handover_wait {
    WAIT_REQUEST, /* quiet: the next request */
    WAIT_BODY,  /* the client keeps a large body waiting: spool it (conn.spool_fd holds head and body so far)
                 */
    WAIT_DRAIN, /* the answer is in the kernel's buffer, and what it did not take in spool_fd from conn.want
                   on: see that it goes, then as close_after says */
    WAIT_CLOSE, /* answered without reading the whole body: shut down sending, read and drop for a while,
                   close */
};

/* A connection as it travels; the descriptor is beside it. */
struct conn {
    uint64_t id;       /* unique in this acceptor's life */
    uint16_t listener; /* index of config->listen */
    bool tls;          /* ended by a tls process; fd is then a plaintext socketpair */
    bool close_after;  /* BACK: no further request on it; GIVE: the answer is to say "connection: close" */
    uint8_t wait;      /* enum handover_wait, in BACK */
    bool expect_sent;  /* 100 Continue has been answered */
    struct sockaddr_storage peer; /* the client's address (from PROXY v2 where there is one) */
    char tls_subject[128];        /* of a verified client certificate; empty: none */
    int64_t accepted_ns;          /* monotonic */
    int64_t request_ns;           /* … first byte of the request being waited for; 0: none yet */
    uint64_t want; /* WAIT_BODY: bytes (head + body) the spool must hold; UINT64_MAX: chunked, until complete;
                      0: not even the head is complete, the acceptor finds out */
    uint32_t requests; /* served on it so far */
};

struct handover {
    uint8_t kind;
    struct conn conn;
    int fd;       /* of GIVE and BACK; -1: none */
    int spool_fd; /* memfd: GIVE: the request's bytes from its start; BACK: see enum handover_wait; -1: none
                   */
};

/* Sends one message; does not close the descriptors. 0; -1 with errno (EAGAIN on a full socket, EPIPE: peer
 * gone). */
int handover_send(int sock, const struct handover *m);
/* 1: *m is filled, its descriptors are the caller's (close-on-exec). 0: peer gone. -1: errno (EAGAIN: none
 * now). */
int handover_recv(int sock, struct handover *m);
/* The same, but waits for a message (on a blocking socket). */
int handover_wait(int sock, struct handover *m);

/* From a tls process: a connection whose TLS it ends, with the plaintext end beside it. */
struct tls_handover {
    uint16_t listener; /* index of config->listen */
    uint16_t n;        /* bytes of `header` that follow: a PROXY v2 header of the client */
    char header[1024];
};

#endif

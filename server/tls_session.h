/* A TLS connection and the plaintext socket pair behind it. Private to server/tls*.c. */
#ifndef SERVER_TLS_SESSION_H
#define SERVER_TLS_SESSION_H

#include "deadlines.h"
#include "heritage.h"
#include "metrics.h"

#include <openssl/ssl.h>

enum tls_source { TLS_FROM_MASTER, TLS_FROM_LISTENER, TLS_FROM_CLIENT, TLS_FROM_PLAIN };

struct tls_session;

struct tls_side { /* what an epoll event points to */
    uint8_t source;
    int fd;
    uint32_t events; /* asked for; 0: not in the set */
    struct tls_session *session;
};

enum tls_state {
    TLS_PROXY,     /* waits for a balancer's header */
    TLS_HANDSHAKE, /* … */
    TLS_HANDING,   /* the acceptor's channel is full */
    TLS_RELAY,
    TLS_CLOSING, /* all was said: what still comes is dropped for a while */
    TLS_GONE     /* freed at the end of the round */
};

struct leftover { /* what the other side did not take yet */
    char *p;
    size_t n, at;
};

struct tls_session {
    struct tls_side client, plain; /* plain: our end of the pair */
    int far_end;                   /* the acceptor's end, until it is sent */
    uint8_t state;
    uint16_t listener;
    bool client_ended, plain_ended, wants_write;
    SSL *ssl;
    struct leftover up, down; /* client → plain, plain → client */
    struct deadline due;
    int64_t began_ns;
    int64_t stalled_ns; /* since when the client keeps `down` waiting; 0: it does not */
    uint64_t taken;     /* bytes since then */
    struct sockaddr_storage peer;
    struct tls_session *next_gone;
};

struct tls_process {
    const struct heritage *heritage;
    const struct config *config;
    struct shm_metrics *metrics;
    int epoll_fd;
    int64_t now;
    struct deadlines deadlines;
    struct tls_session *gone;
    size_t n_sessions, most;
    bool draining;
    struct tls_side master, listening[MAX_LISTENERS];
    SSL_CTX *contexts[MAX_LISTENERS];
};

/* Takes fd over. */
void session_new(struct tls_process *t, uint16_t listener, int fd, const struct sockaddr_storage *peer,
                 bool from_balancer);
void session_event(struct tls_process *t, struct tls_side *side, uint32_t events);
void session_due(struct tls_process *t, struct tls_session *s);
void session_free_gone(struct tls_process *t);

#endif

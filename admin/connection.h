/* One admin connection: a state machine that never waits. */
#ifndef ADMIN_CONNECTION_H
#define ADMIN_CONNECTION_H

#include "arena.h"
#include "http.h"
#include "reply.h"
#include "transport.h"

enum { ADMIN_MAX_HEAD = 16 * 1024, ADMIN_MAX_BODY = 1024 * 1024 };

/* A request and its answer, as a handler sees them. */
struct exchange {
    const struct http_head *head;
    struct str body;
    const char *peer;    /* "127.0.0.1:5000" or "unix" */
    uint64_t connection; /* for a late answer */
    struct arena *arena; /* lives as long as the exchange */
    struct reply *reply;
};

struct handler {
    /* The head has been read. False: the reply is filled, the body is of no interest. */
    bool (*admit)(struct exchange *x, void *arg);
    /* The body has been read. False: the reply comes later (connection_answered). */
    bool (*serve)(struct exchange *x, void *arg);
    /* A later reply did not come in time: fill one. */
    void (*late)(struct exchange *x, void *arg);
    void *arg;
};

enum connection_state {
    CONN_HANDSHAKE,
    CONN_HEAD,   /* waits for a request, or for the rest of its head */
    CONN_BODY,   /* … of its body */
    CONN_PARKED, /* the reply comes later */
    CONN_WRITE,
    CONN_LINGER, /* answered without reading the whole body: what still comes is dropped for a while */
    CONN_CLOSED
};

struct connection {
    uint64_t id;
    enum connection_state state;
    struct transport io;
    int64_t deadline_ns; /* monotonic; of the present state, never extended by a byte more */
    int64_t since_ns;
    bool keep_alive; /* after the present answer */
    bool draining;   /* no further request */
    bool again;      /* more can be done at once: call connection_run without waiting */
    char peer[64];
    struct buf in;   /* read and not yet used */
    struct buf body; /* decoded from chunks */
    struct http_chunked chunked;
    struct buf out;
    size_t written;
    struct http_head head; /* slices of the copy in the arena */
    struct arena arena;
    struct reply reply;
};

/* Takes the descriptor. NULL when TLS can't begin. */
struct connection *connection_new(uint64_t id, int take_fd, SSL_CTX *tls, const char *peer, int64_t now_ns);
void connection_free(struct connection **c);
/* Goes on as far as it gets without waiting; at most one request is answered by a call. Afterwards c->state
 * may be CONN_CLOSED: free it. */
void connection_run(struct connection *c, const struct handler *h, int64_t now_ns);
/* Its deadline has passed. */
void connection_timeout(struct connection *c, const struct handler *h, int64_t now_ns);
/* The reply of a parked exchange has been filled. */
void connection_answered(struct connection *c, const struct handler *h, int64_t now_ns);
/* Finish the request that has begun, if any, then close. */
void connection_drain(struct connection *c);
/* EPOLLIN, EPOLLOUT or 0: what it waits for. */
uint32_t connection_events(const struct connection *c);
/* Nothing of a request has arrived yet. */
bool connection_idle(const struct connection *c);

#endif

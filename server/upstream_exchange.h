/* A worker's exchanges, inside of the upstream*.c files: what upstream.c keeps and upstream_exchange.c works
 * on. */
#ifndef SERVER_UPSTREAM_EXCHANGE_H
#define SERVER_UPSTREAM_EXCHANGE_H

#include "scoreboard.h"
#include "upstream_transport.h"

enum {
    UPSTREAM_READ_FIRST = 16 * 1024, /* room for a head and, mostly, the whole answer */
    UPSTREAM_READ_MORE = 64 * 1024,  /* … for each further piece of a body */
};

struct upstream {
    struct upstreams *owner;
    uint16_t provider;
    struct transport *transport;
    bool open, busy;
    int64_t idle_since_ns;

    /* the exchange */
    const struct client *client;
    int64_t deadline_ns, waited_ns;
    bool quick;        /* the last wait was shorter than a nap: the next one may be, too */
    int64_t silent_ns; /* since when nothing has come; 0: something has */
    int64_t beat_ns;   /* upstream_heartbeat; 0: none */
    int64_t heard_ns;  /* when we last listened to the client and the acceptor */
    struct buf in;     /* the head, and what came with it: stays in place until the end */
    struct buf more;   /* later pieces of the body */
    struct http_head head;
    unsigned interim;  /* 1xx heads before it */
    struct str unread; /* bytes behind the head not delivered yet; in `in` */
    struct http_chunked chunked;
    uint64_t left;  /* of a body with a length */
    bool any;       /* a byte of the answer has come */
    bool ended;     /* the body is complete */
    bool last_seen; /* upstream_last_seen */
    bool keep;      /* nothing happened that forbids using the connection again */
};

struct side {
    struct upstream_url url;
    struct upstream *kept; /* the provider's connection; may be closed or busy */
};

struct upstreams {
    struct worker *worker;
    struct curl_side *curl;
    struct buf out;                     /* the request being sent */
    size_t credential_at, credential_n; /* the credential's lines in it */
    size_t n;
    struct side sides[];
};

/* The provider's own timeouts, the common ones where it has none. */
struct conf_timeouts upstream_timeouts(const struct upstreams *u, uint16_t provider);
/* For people who look at the scoreboard. */
void upstream_phase(struct upstreams *u, enum request_phase p);

/* upstream_request.c: fills u->out with the request's head, and with its body where that is small; *body is
 * what has to be sent behind it. -1: it holds bytes that may not be sent. */
int upstream_build(struct upstreams *u, const struct upstream_call *call, struct str *body,
                   struct error *err);

/* upstream_exchange.c */
void exchange_reset(struct upstream *up);
/* UPSTREAM_OK also when the provider answers before it has taken everything. */
enum upstream_result exchange_send(struct upstream *up, struct str head, struct str body);
/* up->head is the answer's, interim ones skipped. */
enum upstream_result exchange_read_head(struct upstream *up, bool was_head, struct error *err);
/* The next run of the body. Without `wait`: UPSTREAM_IDLE_TIMEOUT when nothing is here. */
enum upstream_result exchange_read_body(struct upstream *up, struct str *data, bool wait, struct error *err);

#endif

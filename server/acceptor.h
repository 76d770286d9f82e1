/* The acceptor's parts: what they share. Private to server/acceptor*.c. */
#ifndef SERVER_ACCEPTOR_H
#define SERVER_ACCEPTOR_H

#include "deadlines.h"
#include "handover.h"
#include "heritage.h"
#include "http.h"
#include "metrics.h"

#include <sys/epoll.h>

struct pool_worker;

/* What an epoll event points to; the first member of each such thing. */
enum source { FROM_MASTER, FROM_TLS, FROM_LISTENER, FROM_WORKER, FROM_CLIENT, FROM_NOBODY };

enum held_state {
    HELD_PROXY,   /* waits for a balancer's PROXY header */
    HELD_REQUEST, /* waits for a whole request, which stays in the socket */
    HELD_SPOOL,   /* waits for a whole request, read into a memfd */
    HELD_QUEUED,  /* ready, no worker is free */
    HELD_GIVEN,   /* sent to a worker that has not said "taken" yet */
    HELD_DRAIN,   /* its answer is in the spool or the kernel's buffer, and has to be read */
    HELD_CLOSE,   /* we have said all: what still comes is dropped for a while */
    HELD_GONE     /* closed; freed at the end of the round */
};

/* A connection that waits. Small on purpose: there are ten thousand of them. */
struct held {
    uint8_t source, state;
    bool polled;      /* in the epoll set */
    bool low_water;   /* SO_RCVLOWAT was raised */
    bool awaits_body; /* the head is whole */
    bool half_closed; /* the client sends no more */
    bool tls, close_after, expect_sent;
    uint8_t looks; /* at an incomplete head */
    uint16_t listener;
    int fd, spool_fd;
    uint32_t requests;
    struct deadline due;
    uint64_t id;
    int64_t accepted_ns, request_ns;
    int64_t since_ns;    /* of the present state */
    int64_t progress_ns; /* DRAIN: when the client last took something */
    uint64_t have;       /* bytes of the request that are here; DRAIN: bytes still to be read by the client */
    uint64_t want;       /* bytes of the whole request once known; DRAIN: as `have`, at the start */
    uint64_t spooled;    /* bytes of the spool that count against http.spool_bytes */
    uint64_t rest_at;    /* DRAIN: bytes of the spool sent */
    uint64_t rest_end;   /* DRAIN: bytes of the spool */
    struct http_chunked *chunked; /* SPOOL of a chunked body */
    char *tls_subject;            /* NULL: none */
    struct sockaddr_in6 peer;     /* or what of another family fits */
    struct held *prev, *next;     /* of the idle list or the queue */
};

struct held_list {
    struct held *first, *last;
    size_t n;
};

/* A connection is in one list at most; held_remove: of the one that it is in. */
void held_append(struct held_list *l, struct held *h);
void held_prepend(struct held_list *l, struct held *h);
void held_remove(struct held_list *l, struct held *h);

struct listening {
    uint8_t source;
    uint16_t index;
    int fd; /* -1: none */
};

struct pool {
    struct pool_worker *by_slot[MAX_SLOTS];
    struct pool_worker *free_first, *free_last; /* first: the most recently freed of the newest generation */
    struct pool_worker *gone;                   /* freed at the end of the round */
    uint32_t generation;                        /* older ones drain */
    uint32_t n_free, n_total;                   /* of those not draining */
    uint32_t n_new;                             /* of them: not heard of yet */
    uint32_t n_busy;                            /* with a connection, draining ones too */
    uint32_t n_known;                           /* all */
    uint32_t asked_for;                         /* of the master, and not come yet */
    int64_t asked_ns, plenty_since_ns, trimmed_ns;
    int64_t drain_old_ns; /* older ones drain then at the latest; 0: done */
};

struct acceptor {
    const struct config *config;
    struct config *owned; /* … when it came by a reload */
    struct config *next;  /* sent, not yet in force */
    int next_fds[MAX_LISTENERS];
    const struct heritage *heritage;
    struct shm_header *shared;
    struct shm_metrics *metrics;
    struct segment segment;
    int epoll_fd;
    uint8_t from_master, from_tls; /* sources */
    struct listening listening[MAX_LISTENERS];
    bool paused; /* no descriptors are left: listeners rest */
    int64_t paused_until_ns;
    bool draining, told_ready;
    int64_t reloaded_ns; /* older TLS connections belong to tls processes that want to end */
    struct deadlines deadlines;
    struct held_list idle;  /* HELD_REQUEST without a byte, longest first */
    struct held_list queue; /* HELD_QUEUED */
    struct held_list gone;
    size_t n_held, most; /* connections here; that may be open */
    uint64_t last_id, spooled;
    int64_t now;
    struct pool pool;
    char *scratch; /* SCRATCH bytes */
};

enum { SCRATCH = MAX_HEAD + MAX_READY_BODY + MAX_CHUNK_OVERHEAD };

/* acceptor_conn.c: a connection's way through its states. */
/* Takes fd over. peer: AF_UNSPEC where it is not known. */
struct held *held_new(struct acceptor *a, int fd, uint16_t listener, const struct sockaddr_storage *peer);
void held_from_worker(struct acceptor *a, struct handover *m); /* takes the descriptors over */
void held_to_conn(const struct held *h, struct conn *c);
void held_state(struct acceptor *a, struct held *h, enum held_state state);
void held_poll(struct acceptor *a, struct held *h, uint32_t events);
void held_unpoll(struct acceptor *a, struct held *h);
void held_wait_proxy(struct acceptor *a, struct held *h);
void held_wait_request(struct acceptor *a, struct held *h);
void held_event(struct acceptor *a, struct held *h, uint32_t events);
void held_due(struct acceptor *a, struct held *h);
void held_close(struct acceptor *a, struct held *h);
/* The kernel forgets what the client has not taken, and tells it so. */
void held_abort(struct acceptor *a, struct held *h);
/* We have said all: the client gets time to read it, and what it still sends is dropped. */
void held_last_words(struct acceptor *a, struct held *h);
/* A short answer of our own (408, 503), then HELD_CLOSE. */
void held_refuse(struct acceptor *a, struct held *h, int status, const char *text);
/* Everything that is quiet goes soon: the gateway stops. */
void held_drain(struct acceptor *a);
/* Closes the connection that has been idle longest; false: there is none. */
bool held_shed(struct acceptor *a);

/* acceptor_ready.c: is the whole request here? */
enum readiness { READY_NOT, READY_YES, READY_CLOSED, READY_UNSEEN /* inside acceptor_ready.c only */ };
/* Looks at what is in the socket without taking it. */
enum readiness ready_in_socket(struct acceptor *a, struct held *h);
/* When a client that is this slow is to be told so. */
int64_t ready_deadline(const struct acceptor *a, const struct held *h);

/* acceptor_spool.c */
void spool_begin(struct acceptor *a, struct held *h);
/* Reads what has come. READY_CLOSED: closed or refused already. */
enum readiness spool_read(struct acceptor *a, struct held *h);
void spool_free(struct acceptor *a, struct held *h);
/* Counts bytes (less than 0: given back) against http.spool_bytes. */
void spool_account(struct acceptor *a, struct held *h, int64_t bytes);

/* acceptor_drain.c: answers that their clients have not read yet. from: bytes of the spool that are sent
 * already. */
void drain_begin(struct acceptor *a, struct held *h, uint64_t from);
void drain_event(struct acceptor *a, struct held *h, uint32_t events);
void drain_due(struct acceptor *a, struct held *h);

/* acceptor_pool.c: the workers. */
/* A ready connection goes to a free worker, or into the queue. */
void pool_dispatch(struct acceptor *a, struct held *h);
void pool_add(struct acceptor *a, uint32_t slot, uint32_t generation, int fd, bool is_old);
void pool_gone(struct acceptor *a, uint32_t slot);
void pool_event(struct acceptor *a, struct pool_worker *w);
/* Once a round: wants workers, trims them, drains old ones. */
void pool_tend(struct acceptor *a);
void pool_generation(struct acceptor *a, uint32_t generation);
void pool_drain_all(struct acceptor *a);
/* Those that serve somebody: their answers say "connection: close". */
void pool_drain_busy(struct acceptor *a);
void pool_publish(struct acceptor *a);
void pool_free_gone(struct acceptor *a);

/* acceptor_reload.c: what the master says. */
void acceptor_hear(struct acceptor *a);
/* acceptor.c */
void acceptor_configure(struct acceptor *a, const struct config *c);
void acceptor_listen(struct acceptor *a, uint16_t index, int fd);
void acceptor_stop_listening(struct acceptor *a);
/* Connections that wait on the listener. True: there may be more. */
bool acceptor_accept(struct acceptor *a, const struct listening *l);

#endif

/* The client's side of a worker: reads requests and writes answers on one connection, with total deadlines
 * and minimum rates, so that a byte a second does not hold a worker. */
#ifndef SERVER_CLIENT_H
#define SERVER_CLIENT_H

#include "buf.h"
#include "handover.h"
#include "http.h"

#include <sys/uio.h>

enum { CLIENT_NAP_MS = 10 }; /* the acceptor is not heard for so long */

struct worker;

struct client {
    struct worker *worker;
    int fd;
    struct conn conn;
    int spool_fd;  /* read from here first; -1: none */
    struct buf in; /* bytes read and not yet used (pipelined requests stay here) */
    size_t used;   /* bytes at the front of `in` that the present request covers */
    uint64_t
        body_left;   /* of the present request: bytes not read yet; UINT64_MAX: chunked and not at its end */
    bool gone;       /* the client left: nothing can be written */
    bool must_close; /* after the present answer, and what the client still sends is to be dropped */
    bool waits;      /* the request is not here yet and the client keeps us waiting: request_serve returned
                        false without an answer; client_spool, then hand back as conn.wait says */
    bool spooled;    /* the present request came with a spool: it is not handed back a second time */
    uint64_t spool_at;      /* bytes of the spool read */
    int64_t wait_ns;        /* waited for the present body */
    int64_t blocked_ns;     /* waited for the client to take the present answer, … */
    uint64_t blocked_bytes; /* … and what it took since it first kept us waiting */
    bool blocked;
    int backlog_fd;                   /* memfd: what the client has not taken yet; -1: nothing */
    uint64_t backlog_at, backlog_end; /* … sent of it, written to it */
    int64_t taken_ns;                 /* … when the client last took something */
    bool naps;                        /* its socket may be slept on (client_nap) */
    bool quick;                       /* its last request came within a nap's time: the next one may, too */
    uint64_t sent;                    /* since the socket was last known to hold nothing unsent */
};

enum client_result {
    CLIENT_OK,
    CLIENT_CLOSED,   /* it closed (between requests: no fault), or left midway */
    CLIENT_TOO_SLOW, /* the deadline passed or the rate was too low */
    CLIENT_WAITS,    /* head or body not here after 100 ms of waiting: hand the connection back */
    CLIENT_REFUSED,  /* malformed or too large: *why says how to answer */
};

/* One of a worker, for all its connections. Takes no memory yet. */
void client_init(struct client *c, struct worker *w);
/* Takes the connection (and its spool) over; what an earlier connection left is dropped. */
void client_take(struct client *c, const struct handover *m);
/* Prepares a hand-back of a connection that waits: what has come of the request goes into a memfd
 * (c->spool_fd, none when nothing has come), conn.wait and conn.want are set, c->in is empty. */
int client_spool(struct client *c, struct error *err);
/* Closes descriptors that are still open here, gives the buffer back. */
void client_free(struct client *c);

/* Reads until the head of the next request is whole. The head's slices point into c->in and stay valid until
 * client_next. */
enum client_result client_read_head(struct client *c, struct http_head *head, struct http_refusal *why);
/* Reads the whole body (decoded) after the head: a slice of c->in, or of `decoded` for a chunked one. Answers
 * Expect: 100-continue first. May move c->in: head is re-parsed into *head. */
enum client_result client_read_body(struct client *c, struct http_head *head, struct buf *decoded,
                                    struct str *body, struct http_refusal *why);
/* Between requests: sleeps in the kernel for up to CLIENT_NAP_MS until bytes of the next one are here: one
 * system call instead of two where the client asks again at once. 1: they are, 0: not in time, -1: it closed
 * (c->gone). */
int client_nap(struct client *c);
/* Done with the present request: drops its bytes from c->in. */
void client_next(struct client *c);
/* Whether bytes of a further (pipelined) request are here already. */
bool client_has_more(const struct client *c);

/* Writes all of it (gathered in one writev where it fits). A client that does not take it within 100 ms keeps
 * nobody waiting: the rest goes into its backlog, which is sent on by later writes and, after the answer, by
 * the acceptor. What is more than its share waits under the write deadline and minimum rate. 0, or -1 when
 * the client is gone or too slow (c->gone is then set). */
int client_write(struct client *c, struct str head, struct str body);
/* The same for pieces; alters iov. */
int client_writev(struct client *c, struct iovec *iov, int n);
/* Waits until the backlog is sent, under the write deadline. 0, or -1 as above. */
int client_flush(struct client *c);

#endif

/* One worker: one ready connection at a time, blocking style, yet always listening: every wait goes through
 * worker_wait, which also sees the client leave and the acceptor's messages. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "arena.h"
#include "client.h"
#include "heritage.h"
#include "keystore.h"
#include "metrics.h"

#include <poll.h>

struct cache_reader;
struct upstreams;

struct worker {
    const struct config *config;
    const struct heritage *heritage;
    struct segment segment;
    uint32_t slot;
    struct shm_line *line;
    struct shm_metrics *metrics;
    struct keystore *keys;
    struct cache_reader *cache;  /* NULL: caching is off or broken */
    struct upstreams *upstreams; /* kept-alive provider connections (upstream.h) */
    struct arena arena;          /* of the present request */
    bool draining;               /* finish the present request, then exit */
    bool stop_lingering;         /* the acceptor is short of workers */
};

enum worker_event { WORKER_TIMEOUT = 0, WORKER_READY = 1 /* fd has events */, WORKER_CLIENT_GONE = 2 };

/* Waits for `events` on fd (-1: only time passes) until the monotonic deadline, while watching that the
 * client `c` (NULL: none) is still there and handling the acceptor's messages. Returns a set of enum
 * worker_event. */
unsigned worker_wait(struct worker *w, const struct client *c, int fd, short events, int64_t deadline_ns);

#endif

/* How long something outside of the request path is waited for, and whether anybody still wants it. */
#ifndef SERVER_PATIENCE_H
#define SERVER_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct request;

enum { PATIENCE_LOOK_MS = 20 }; /* go_on is asked at least so often */

struct patience {
    int64_t deadline_ns;      /* monotonic */
    bool (*go_on)(void *arg); /* NULL: always */
    void *arg;
};

/* Until then, and while the request's client is there. */
struct patience patience_for(struct request *r, int64_t deadline_ns);
/* go_on says no. */
bool patience_gone(const struct patience *p);

#endif

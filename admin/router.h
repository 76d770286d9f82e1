/* The API's table of endpoints, and the way of a call through it. */
#ifndef ADMIN_ROUTER_H
#define ADMIN_ROUTER_H

#include "call.h"

struct route {
    const char *method;
    const char *path; /* one segment may be {…}: it becomes call.object */
    void (*handle)(struct call *c);
    const char *query; /* parameters it knows, comma-separated */
    bool open;         /* needs no token */
};
extern const struct route admin_routes[];
extern const size_t admin_route_count;

/* The handler of http_server.h; its arg is the struct admin. */
struct handler router_handler(struct admin *a);

#endif

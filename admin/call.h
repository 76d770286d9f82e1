/* One call of the API, as its handler sees it. */
#ifndef ADMIN_CALL_H
#define ADMIN_CALL_H

#include "admin.h"
#include "connection.h"

struct call {
    struct admin *admin;
    struct exchange *x;
    const char *object; /* what the path names ("key_…", a team), decoded; "": it names nothing */
    bool park;          /* the handler's word: the answer comes later */
};

/* A parameter of the query, decoded; STR_NULL when it is absent. */
struct str call_query(const struct call *c, const char *name);
/* A whole number of the query: 0, or -1 with the error answered. *out stays when it is absent. */
int call_query_u64(const struct call *c, const char *name, uint64_t max, uint64_t *out);
/* The query holds nothing but the parameters named in `allowed` (comma-separated), each once: 0, else -1,
 * answered. */
int call_check_query(const struct call *c, const char *allowed);
/* Decodes %xx (and "+" when plus) into the arena. -1: malformed, or a NUL byte. */
int call_decode(struct arena *a, struct str s, bool plus, struct str *out);

/* Logs the reason and answers 500, without the reason's details. Returns -1. */
int call_failed(const struct call *c, const char *what, const struct error *err);

#endif

/* A function call's arguments that come piece by piece (Vertex's streamFunctionCallArguments): values at JSON
 * paths, strings in pieces of their own. Put together here, and written as one JSON object. */
#ifndef SERVER_GOOGLE_ARGS_H
#define SERVER_GOOGLE_ARGS_H

#include "arena.h"
#include "json_scan.h"

enum {
    MAX_ARGS_NODES = 10000,
    MAX_ARGS_INDEX = 4096, /* of an array's element */
    MAX_ARGS_BYTES = 8 * 1024 * 1024,
};

struct google_args;

/* Memory of a, like all that is added. */
struct google_args *google_args_new(struct arena *a);
/* One element of partialArgs: {"jsonPath":"$.a.b[0]","stringValue":…}. What is no such thing, or passes the
 * maxima, is left out. */
void google_args_add(struct google_args *g, struct json_value partial);
/* The object so far. */
struct str google_args_text(const struct google_args *g);
/* Bytes of memory that it holds, about. */
size_t google_args_size(const struct google_args *g);

#endif

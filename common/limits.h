/* Every maximum that bytes from outside can run into, in one place. Sizes in bytes. */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

enum {
    MAX_HEAD = 64 * 1024,           /* hard bound of a request or response head; http.max_head is below it */
    MAX_HEADERS = 128,              /* header lines of a head */
    MAX_TARGET = 8 * 1024,          /* request-target */
    MAX_CHUNK_OVERHEAD = 16 * 1024, /* chunk extensions and trailers of one body, together */
    MAX_BODY = 512 * 1024 * 1024,   /* hard bound of http.max_body */
    MAX_READY_BODY = 64 * 1024,     /* a body up to this is awaited by the acceptor, in the socket */
    MAX_JSON_DEPTH = 128,           /* schemas and tools' arguments are nested deeper than one would think */
    MAX_SSE_EVENT = 16 * 1024 * 1024,           /* a picture comes whole in one */
    MAX_STREAM_READ = 1024 * 1024,              /* of a stream, taken in at once */
    MAX_EVENTSTREAM_MESSAGE = 16 * 1024 * 1024, /* AWS's own bound of one; an image comes whole in one */
    MAX_ARRAY_ELEMENT = 16 * 1024 * 1024,       /* of a streamed JSON array; a picture comes whole in one */
    MAX_ANSWER = 64 * 1024 * 1024, /* an answer that has to be held whole (never a passed-through one) */
    MAX_SLOTS = 2048,              /* scoreboard lines, hence processes of all roles and generations */
    MAX_WORKERS = 1536, /* workers.max; the other slots are for roles and for draining generations */
    MAX_PROVIDERS = 64,
    MAX_MODELS = 1024,
    MAX_TARGETS = 16, /* of one model */
    MAX_LISTENERS = 16,
    MAX_NAME = 64, /* names of models, providers, teams, departments, keys, with NUL */
    MAX_KEY = 256, /* a presented credential */
};

#endif

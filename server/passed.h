/* A stream that passes, taken apart into events whose bytes go on as they are, whatever its framing. */
#ifndef SERVER_PASSED_H
#define SERVER_PASSED_H

#include "eventstream.h"
#include "json_array.h"
#include "sse.h"

enum passed_kind {
    PASSED_SSE,
    PASSED_ARRAY,   /* Google's, without alt=sse */
    PASSED_MESSAGES /* AWS's */
};

struct passed_event {
    struct sse_event sse; /* of messages: name and payload; of elements: the object */
    bool exception;       /* AWS's */
    bool closes;          /* the array's end */
};

struct passed {
    enum passed_kind kind;
    struct sse_reader sse;
    struct json_array_reader array;
    struct eventstream_reader messages;
};

void passed_init(struct passed *p, enum passed_kind kind);
void passed_free(struct passed *p);
/* What one read brought (at most MAX_STREAM_READ), once passed_next has returned 0. -1: as passed_next. */
int passed_feed(struct passed *p, struct str bytes);
/* 1: *e is the next event, valid until the next feed (of SSE: until the next call; its raw bytes until the
 * next feed). 0: more bytes are needed. -1: they are no such stream, or an event is too large. */
int passed_next(struct passed *p, struct passed_event *e);
/* Bytes that no event has covered: not 0 at the end means it was cut. */
size_t passed_pending(const struct passed *p);
/* Why it returned -1. */
const char *passed_broken(const struct passed *p);

#endif

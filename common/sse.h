/* Reads a text/event-stream (WHATWG HTML, "server-sent events") event by event, however its bytes are cut.
 * Lines end with LF, CRLF or CR. */
#ifndef COMMON_SSE_H
#define COMMON_SSE_H

#include "buf.h"
#include "str.h"

struct sse_reader {
    struct buf in; /* bytes not yet returned; bounded by MAX_SSE_EVENT */
    struct buf data;
    size_t seen;    /* bytes at the front of `in` that the last event covered, dropped by the next call */
    size_t scanned; /* bytes of `in` already searched for the event's end */
};

struct sse_event {
    struct str raw;  /* all of its bytes, the ending empty line included: what a pass-through sends on */
    struct str name; /* "event:"; empty when there is none */
    struct str data; /* the "data:" lines joined with LF */
    bool has_data;   /* false: only comments or unknown fields (a heartbeat) */
};

void sse_init(struct sse_reader *r);
void sse_free(struct sse_reader *r);
/* Takes over a copy of the bytes. -1: an event is larger than MAX_SSE_EVENT. */
int sse_feed(struct sse_reader *r, struct str bytes);
/* 1: *ev is the next event, valid until the next call. 0: more bytes are needed. */
int sse_next(struct sse_reader *r, struct sse_event *ev);
/* Bytes fed that no complete event has covered: not 0 at the end of a stream means it was cut. */
size_t sse_pending(const struct sse_reader *r);

#endif

/* Reads a text/event-stream (WHATWG HTML, "server-sent events") event by event, however its bytes are cut.
 * Lines end with LF, CRLF or CR. */
#ifndef COMMON_SSE_H
#define COMMON_SSE_H

#include "buf.h"
#include "str.h"

struct sse_reader {
    struct buf in; /* bytes fed; bounded by MAX_SSE_EVENT + MAX_STREAM_READ */
    struct buf data;
    size_t seen;    /* bytes at the front of `in` that returned events cover, dropped by the next feed */
    size_t scanned; /* bytes of `in` already searched for the present event's end */
    uint8_t place;  /* where in the event `scanned` is */
    bool lone_cr;   /* the event's last line ended with a CR that no LF follows */
    bool begun;     /* an event was returned: a byte order mark can't come any more */
    bool too_large;
};

struct sse_event {
    struct str raw;  /* all of its bytes, the ending empty line and empty lines before it included: what a
                        pass-through sends on; those of all events together are the stream */
    struct str name; /* "event:"; empty when there is none */
    struct str data; /* the "data:" lines joined with LF */
    bool has_data;   /* false: only comments or unknown fields (a heartbeat) */
};

void sse_init(struct sse_reader *r);
void sse_free(struct sse_reader *r);
/* Takes over a copy of the bytes, at most MAX_STREAM_READ at a time, once sse_next has returned 0. -1: an
 * event is larger than MAX_SSE_EVENT; that stays so, and counts as pending. */
int sse_feed(struct sse_reader *r, struct str bytes);
/* 1: *ev is the next event, valid until the next call. 0: more bytes are needed. */
int sse_next(struct sse_reader *r, struct sse_event *ev);
/* Bytes fed that no complete event has covered, to be asked once sse_next has returned 0: not 0 at the end of
 * a stream means it was cut. Empty lines behind the last event do not count. */
size_t sse_pending(const struct sse_reader *r);
/* Those bytes themselves, valid until the next call. */
struct str sse_rest(const struct sse_reader *r);

#endif

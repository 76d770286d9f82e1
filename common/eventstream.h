/* Reads (and, for exceptions, writes) application/vnd.amazon.eventstream, AWS's binary framing of a streamed
 * answer, message by message, however its bytes are cut. Both checksums of each message are checked; a
 * message that fails them, or whose lengths don't fit together, breaks the stream for good: where the next
 * one begins can't be known any more. */
#ifndef COMMON_EVENTSTREAM_H
#define COMMON_EVENTSTREAM_H

#include "buf.h"
#include "str.h"

struct eventstream_reader {
    struct buf in;      /* bytes fed; bounded by twice MAX_EVENTSTREAM_MESSAGE, grows only with what came */
    size_t seen;        /* bytes at the front of `in` that returned messages cover */
    const char *broken; /* why; NULL: it is not */
};

struct eventstream_message {
    struct str type;          /* :message-type: "event", "exception", "error"; empty: it has none */
    struct str name;          /* :event-type, :exception-type or :error-code, whichever its type goes with */
    bool exception;           /* its type is exception or error: the call has failed */
    struct str error_message; /* :error-message */
    struct str content_type;  /* :content-type */
    struct str payload;
    struct str raw; /* all of its bytes: those of all messages together are the stream */
};

void eventstream_init(struct eventstream_reader *r);
void eventstream_free(struct eventstream_reader *r);
/* Takes over a copy of the bytes, at most MAX_EVENTSTREAM_MESSAGE at a time, once eventstream_next has
 * returned 0. -1: it is broken. */
int eventstream_feed(struct eventstream_reader *r, struct str bytes);
/* 1: *m is the next message, valid until the next feed. 0: more bytes are needed. -1: it is broken (r->broken
 * says why), which stays so. */
int eventstream_next(struct eventstream_reader *r, struct eventstream_message *m);
/* Bytes fed that no whole message has covered: not 0 at the end of a stream means it was cut. */
size_t eventstream_pending(const struct eventstream_reader *r);

/* Adds a message of type "exception" with a JSON payload. -1: the buf is full. */
int eventstream_put_exception(struct buf *b, struct str name, struct str payload);

#endif

/* A provider's stream as frames, whatever their framing. */
#ifndef SERVER_FRAMES_H
#define SERVER_FRAMES_H

#include "eventstream.h"
#include "provider.h"
#include "sse.h"

struct frames {
    enum framing_kind kind;
    struct sse_reader sse;
    struct eventstream_reader messages;
};

/* Takes no memory yet; frames_free gives back what reading takes. */
void frames_init(struct frames *f, enum framing_kind kind);
void frames_free(struct frames *f);
/* At most MAX_STREAM_READ bytes at a time, once frames_next has returned 0. -1: a frame is too large. */
int frames_feed(struct frames *f, struct str bytes);
/* 1: *out is the next frame, valid until the next call; 0: more bytes are needed; -1: what came is no frame.
 */
int frames_next(struct frames *f, struct chat_frame *out);
/* The stream has ended: what came of an event that only misses its empty line counts as one. 1, 0. */
int frames_last(struct frames *f, struct chat_frame *out);

#endif

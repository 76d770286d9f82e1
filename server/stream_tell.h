/* The way back from stream_join.h: a whole answer in a caller's dialect, told as the stream that its vendor
 * would have sent, so that a cached answer can serve a streaming request. Nothing of the answer is lost:
 * putting the events together again gives the same one. */
#ifndef SERVER_STREAM_TELL_H
#define SERVER_STREAM_TELL_H

#include "arena.h"
#include "buf.h"
#include "endpoint.h"
#include "str.h"

struct stream_tell {
    enum endpoint endpoint;
    bool with_usage; /* OpenAI chat, completions: the chunk that tells the usage is asked for */
    bool array;      /* Google: as one JSON array */
};

/* Adds the stream's bytes, its proper end included, to out. How many events it has; -1 when `answer` is none
 * that can be told so, or does not fit into out: then out holds nothing of use. */
int stream_tell(const struct stream_tell *how, struct str answer, struct arena *a, struct buf *out);

#endif

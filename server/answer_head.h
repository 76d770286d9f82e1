/* The head of an answer, composed in the request's arena. */
#ifndef SERVER_ANSWER_HEAD_H
#define SERVER_ANSWER_HEAD_H

#include "request.h"

enum framing {
    FRAME_NONE,   /* no body can follow (204, 304) */
    FRAME_LENGTH, /* content-length */
    FRAME_CHUNKED,
    FRAME_CLOSE /* until the connection's end */
};

/* Status line to empty line, with everything in r->extra. Decides whether the connection is kept
 * (answer_keeps). `length` matters for FRAME_LENGTH only. */
struct str answer_head(struct request *r, int status, struct str content_type, enum framing framing,
                       size_t length);
/* Whether the connection may carry another request after this answer. */
bool answer_keeps(const struct request *r);

/* A duration as OpenAI writes it: "0s", "120ms", "59s", "6m0s", "1h0m0s"; rounded up. */
void answer_put_duration(struct buf *b, int64_t ns);
/* USD with up to 12 decimals and no trailing zeros. */
void answer_put_usd(struct buf *b, uint64_t pico);
void answer_put_u64(struct buf *b, uint64_t v);

#endif

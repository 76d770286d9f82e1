/* A caller's dialect where a translation is needed: reads its requests into the neutral form (chat.h), writes
 * the neutral answer and stream as that vendor's own API would. One file a dialect. */
#ifndef SERVER_CHAT_DIALECT_H
#define SERVER_CHAT_DIALECT_H

#include "buf.h"
#include "chat.h"
#include "request.h"

/* What an answer is written with. One of each, of the request's arena. */
struct chat_writer {
    struct request *r;             /* id, arena, dialect; r->start_us for "created" */
    const struct chat_request *in; /* what was asked */
    const struct chat_dialect *dialect;
    struct str model;          /* to be shown where the answer names none: the target's */
    struct usage_tokens usage; /* at end(): the final counts, told or estimated */
    bool usage_known;          /* told by the provider */
    void *state;               /* the dialect's own: begin() makes it */
    struct arena *scratch;     /* emptied after each frame of a stream; NULL: the request's will do */
};

/* For what is written at once. A stream may have no end, so of the request's arena a writer takes only what
 * it keeps. */
static inline struct arena *chat_scratch(const struct chat_writer *w)
{
    return w->scratch ? w->scratch : w->r->arena;
}

struct chat_dialect {
    const char *name; /* "chat", "responses", "messages", "generate_content" */
    /* r->body (validated JSON) → *out (zeroed before). The endpoint is r->match.endpoint; Google names model
     * and method in the path: r->model and r->stream are set. -1: *f says what is wrong, as that vendor would
     * (status 400, param, message): a wrong type, an unknown role, something that can't be translated
     * (hosted tools, stored state). Members without a place: chat_add_extra. */
    int (*read)(struct request *r, struct chat_request *out, struct failure *f);
    /* A whole answer as JSON. */
    void (*write)(struct chat_writer *w, const struct chat_answer *a, struct buf *out);
    /* The stream, as text/event-stream bytes added to *out. Each call adds whole events, or nothing.
     * begin: before the first delta. */
    void (*begin)(struct chat_writer *w, struct buf *out);
    void (*delta)(struct chat_writer *w, const struct chat_delta *d, struct buf *out);
    /* The proper end: every choice has had its FINISH; w->usage is set. */
    void (*end)(struct chat_writer *w, struct buf *out);
    /* The improper one: the vendor's in-band error. */
    void (*fail)(struct chat_writer *w, const struct failure *f, struct buf *out);
    /* The usage as JSON, where a stream tells it only to who asks for it: what is cached has it anyway. NULL:
     * a stream always does. */
    void (*usage)(const struct chat_writer *w, struct buf *out);
    const char *stream_type; /* content type of the stream; NULL: text/event-stream */
    /* … where it depends on the request (Google's without alt=sse is one JSON array); NULL: stream_type */
    const char *(*stream_type_of)(const struct request *r);
};

extern const struct chat_dialect dialect_chat;      /* OpenAI /v1/chat/completions */
extern const struct chat_dialect dialect_responses; /* OpenAI /v1/responses */
extern const struct chat_dialect dialect_messages;  /* Anthropic /v1/messages */
extern const struct chat_dialect
    dialect_generate_content; /* Google …:generateContent, …:streamGenerateContent */

/* The dialect of an endpoint; NULL: its requests are not translated. */
const struct chat_dialect *chat_dialect_of(enum endpoint e);
/* Reads the request once (r->chat keeps it) and settles it. -1: *f. */
int chat_read(struct request *r, struct failure *f);

#endif

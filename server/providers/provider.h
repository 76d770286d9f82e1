/* A provider dialect: one small table of functions, one file a dialect. Adding one is that file, a line in
 * provider.c's list, and a line in common/provider_types.c that names the type in the configuration.
 *
 * A call goes one of two ways:
 * - it passes: the caller speaks the provider's own dialect. `build` alters as little of it as must be, the
 *   answer's bytes go back as they come, and read_answer and read_event only look for what metering needs.
 *   (Deviations that the vendor's own SDK could not read are mended event by event: openai_mend.c.)
 * - it is translated: write_chat makes the provider's request of the neutral form (chat.h); read_chat and
 *   read_frame read its answer back into it. */
#ifndef SERVER_PROVIDERS_PROVIDER_H
#define SERVER_PROVIDERS_PROVIDER_H

#include "chat.h"
#include "embed_dialect.h"
#include "patience.h"
#include "request.h"
#include "sse.h"

struct provider_call {
    struct str path;    /* with query, behind the host */
    struct str headers; /* lines "name: value\r\n" beside host, length and the credential */
    struct str body;
    struct buf room;    /* may back the body; freed with the attempt */
    struct str dropped; /* passing: members that the provider would refuse and that were taken out, "a, b" */
    bool usage_added;   /* passing: the stream was asked to tell its usage, which the caller had not done */
};

/* ---- passing */

struct stream_event {
    bool last;             /* the terminal event ([DONE], message_stop) */
    bool usage;            /* r->tokens was set from it */
    bool usage_only;       /* nothing else is in it: kept from a client that did not ask for usage */
    bool error;            /* an error event midway */
    bool begun;            /* from here on it is whole only once it has finished, a native call's, too */
    bool finished;         /* the answer is whole though no terminal event came: the end may come now */
    struct str null_usage; /* the member "usage":null and its comma, within the event's data; empty: none */
    struct str instead;    /* whole event (arena memory) to be sent in its place; empty: as it is */
    uint32_t text_bytes;   /* of generated text in it, for estimates when the stream is cut */
};

/* ---- translating */

/* A provider's request in the making. */
struct chat_call {
    struct request *r;
    struct arena *arena;
    const struct conf_provider *conf;
    const struct chat_request *in; /* NULL for embeddings */
    struct str model;              /* as the provider calls it */
    uint32_t max_output;           /* the model's, as known; 0: not known */
    uint32_t taken, adjusted;      /* bits of enum chat_param */
    struct provider_call *call; /* path, headers ("content-type: …" too), body are to be set; call->room is
                                   an empty buf for the body */
    struct failure *f;
};

/* The parameter's JSON value, and notes that it is honoured. Empty: not given. */
struct str chat_take(struct chat_call *c, enum chat_param p);
bool chat_given(const struct chat_call *c, enum chat_param p);
/* Honoured with another value than the caller's: told like a dropped one. */
void chat_adjust(struct chat_call *c, enum chat_param p);
/* -1, *f set: what was asked would change its meaning here. param: as the caller's dialect calls it, or NULL.
 */
int chat_refuse(struct chat_call *c, const char *param, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A provider's answer being read. */
struct chat_reader {
    struct request *r;
    const struct conf_provider *conf;
    const struct chat_request *in;
    struct arena *arena;    /* the request's: for what outlives a frame */
    struct arena *scratch;  /* emptied after each frame; read_chat: the request's, too */
    struct failure *f;      /* to be set where -1 is returned */
    void *state;            /* the reader's own, made at its first frame */
    struct chat_sink *sink; /* the machinery's (chat_stream.c) */
};

/* Hands a delta on. Strings may lie in scratch. */
void chat_emit(struct chat_reader *rd, const struct chat_delta *d);

enum framing_kind { FRAMES_SSE, FRAMES_EVENTSTREAM /* AWS */, FRAMES_NDJSON };

struct chat_frame {
    struct str name; /* SSE's event, AWS's :event-type or :exception-type */
    struct str data;
    bool exception; /* AWS: :message-type is exception or error */
};

enum frame_result { FRAME_ERROR = -1 /* *rd->f */, FRAME_MORE, FRAME_LAST };

/* What the credential's header lines may depend on. */
struct signing {
    struct str method, path /* with query, as sent */, host /* authority, as sent */;
    struct str headers; /* the lines of provider_call */
    struct str body;
};

struct provider {
    const char *type; /* in the configuration; presets share one */

    /* Whether a call to this endpoint passes. EP_NATIVE always does. NULL: OpenAI's endpoints pass */
    bool (*passes)(const struct request *r, const struct conf_provider *p, struct str model);
    /* The call for this request where it passes (memory of r->arena). -1: it can't be expressed (*f says why,
     * a 400). */
    int (*build)(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f);
    /* A whole successful answer that should be JSON: sets r->tokens and r->tokens_known where it tells them.
     * -1: it is no JSON object, or an error in disguise (*f says so). */
    int (*read_answer)(struct request *r, struct str answer, struct failure *f);
    /* A whole answer that read_answer has found good, mended where the caller's SDK could not read it (memory
     * of r->arena); empty: it goes as it is. NULL: always. */
    struct str (*mend_answer)(struct request *r, struct str answer);
    /* One event of a streamed answer. */
    struct stream_event (*read_event)(struct request *r, const struct sse_event *ev);

    /* The same of one in AWS's framing; `error`: *f is set. NULL, as the two below: the provider has none
     * such.
     */
    struct stream_event (*read_message)(struct request *r, const struct chat_frame *message,
                                        struct failure *f);
    /* An error as a stream in that framing tells it (memory of r->arena). */
    struct str (*write_exception)(struct request *r, const struct failure *f);
    /* Usage that is told in an answer's head, where read_answer has found none. */
    void (*read_head)(struct request *r, const struct http_head *head);

    /* The provider's error body as a failure (message kept, in memory of r->arena). The status is the
     * provider's own; where its vendor uses an odd one for something (Google's 400 for a bad key), f->status
     * becomes the one that OpenAI would use. headers: for what is only told there (x-amzn-errortype); NULL:
     * an error inside of a stream or of a 200. */
    void (*read_error)(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f);

    /* 0, or -1 with *c->f. */
    int (*write_chat)(struct chat_call *c);
    /* body: any bytes. 0, or -1 with *rd->f: no JSON, or an error in disguise. */
    int (*read_chat)(struct chat_reader *rd, struct str body, struct chat_answer *out);
    enum framing_kind framing;
    enum frame_result (*read_frame)(struct chat_reader *rd, const struct chat_frame *frame);
    /* The connection has ended without FRAME_LAST: true when the answer is whole all the same. NULL: never.
     */
    bool (*whole)(struct chat_reader *rd);

    /* Embeddings where they don't pass; NULL: the provider has none. */
    int (*write_embed)(struct chat_call *c, const struct embed_request *in);
    int (*read_embed)(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out);

    /* Token counting for Anthropic's and Google's callers where it does not pass; NULL: estimated here. */
    int (*write_count)(struct chat_call *c);
    int (*read_count)(struct chat_reader *rd, struct str body, uint64_t *tokens);

    /* Gets what authorize needs (a token). NULL: nothing. -1: *err. */
    int (*prepare)(struct request *r, const struct conf_provider *p, const struct patience *patience,
                   struct error *err);
    /* Adds the credential's header lines. NULL: "authorization: Bearer " and the provider's key, if it has
     * one.
     */
    int (*authorize)(const struct conf_provider *p, const struct signing *s, struct buf *head,
                     struct error *err);
};

const struct provider *provider_find(const char *type);
extern const struct provider provider_openai, provider_azure, provider_anthropic, provider_gemini,
    provider_vertex, provider_bedrock, provider_cohere;

#endif

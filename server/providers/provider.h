/* A provider dialect: one small table of functions, one file a dialect. Adding one is that file and a line in
 * provider.c's list. */
#ifndef SERVER_PROVIDERS_PROVIDER_H
#define SERVER_PROVIDERS_PROVIDER_H

#include "request.h"
#include "sse.h"

struct provider_call {
    struct str path;    /* with query, behind the host */
    struct str headers; /* lines "name: value\r\n" */
    struct str body;
    bool usage_added; /* the stream was asked to tell its usage, which the caller had not done */
};

struct stream_event {
    bool last;             /* the terminal event ([DONE]) */
    bool usage;            /* r->tokens was set from it */
    bool usage_only;       /* nothing else is in it: kept from a client that did not ask for usage */
    bool error;            /* an error event midway */
    struct str null_usage; /* the member "usage":null and its comma, within the event's data; empty: none */
    uint32_t text_bytes;   /* of generated text in it, for estimates when the stream is cut */
};

struct provider {
    const char *type; /* in the configuration */
    /* The call for this request in the provider's dialect (memory of r->arena). -1: it can't be expressed (*f
     * says why, a 400). */
    int (*build)(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f);
    /* A whole successful answer that should be JSON: sets r->tokens and r->tokens_known where it tells them.
     * -1: it is no JSON object, or an error in disguise (*f says so). */
    int (*read_answer)(struct request *r, struct str answer, struct failure *f);
    /* One event of a streamed answer. */
    struct stream_event (*read_event)(struct request *r, const struct sse_event *ev);
    /* The provider's error body as a failure (message kept, in memory of r->arena). */
    void (*read_error)(struct request *r, int status, struct str body, struct failure *f);
};

const struct provider *provider_find(const char *type);
extern const struct provider provider_openai;

#endif

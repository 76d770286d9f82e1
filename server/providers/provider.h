/* A provider dialect: one small table of functions, one file a dialect. Adding one is that file and a line in
 * provider.c's list. */
#ifndef SERVER_PROVIDERS_PROVIDER_H
#define SERVER_PROVIDERS_PROVIDER_H

#include "request.h"

struct provider {
    const char *type; /* in the configuration */
    /* The call for this request: path, header lines and body in the provider's dialect (memory of r->arena).
     * -1: it can't be expressed (*f says why, a 400). */
    int (*build)(struct request *r, const struct conf_provider *p, struct str model, struct str *path,
                 struct str *headers, struct str *body, struct failure *f);
    /* Token counts of a whole answer; false: it tells none. */
    bool (*read_usage)(struct request *r, struct str answer, struct usage_tokens *u);
    /* One event's data of a streamed answer. */
    struct stream_event (*read_event)(struct request *r, struct str data);
    /* The provider's error body as a failure (message kept, credential never echoed). */
    void (*read_error)(struct request *r, int status, struct str body, struct failure *f);
};

struct stream_event {
    bool last;           /* the terminal event ([DONE]) */
    bool usage;          /* r->tokens was set from it */
    bool usage_only;     /* nothing else is in it: kept from a client that did not ask for usage */
    bool error;          /* an error event midway */
    uint32_t text_bytes; /* of generated text in it, for estimates when the stream is cut */
};

const struct provider *provider_find(const char *type);
extern const struct provider provider_openai;

#endif

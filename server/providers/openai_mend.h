/* Mending of passing chat calls: what a vendor who speaks OpenAI's dialect says in a way that OpenAI's own
 * SDKs could not read, or would read wrongly, and what he would refuse to be asked. Everything else stays
 * byte for byte. For openai*.c and azure.c. */
#ifndef SERVER_PROVIDERS_OPENAI_MEND_H
#define SERVER_PROVIDERS_OPENAI_MEND_H

#include "openai.h"
#include "openai_marks.h"

/* A tool call of a stream, as the provider and as the caller know it. */
struct passed_call {
    uint32_t choice, index;
    int64_t told; /* the provider's index; -1: none */
    bool named;
    struct str id;
};

/* What is kept of a passing chat call (r->pass). */
struct openai_pass {
    unsigned deviations;
    bool any_call;  /* a tool call has been seen */
    bool renumbers; /* the provider's indices are not the caller's */
    bool any_role;  /* a chunk has named the role, as it should */
    bool no_roles;  /* chunks come that have not */
    bool many;      /* several choices may have been asked for */
    uint64_t begun; /* of the first choices: the role has been told */
    struct passed_call *calls;
    uint32_t n_calls;
    uint32_t listed[2][4]; /* annotations and images so far, of the first choices */
};

/* By the marks alone: it may need mending. Notes in p what later events have to know. */
bool openai_is_suspicious(struct openai_pass *p, const struct openai_marks *m, bool whole, const char *end);
/* A stream's event (its data) or a whole answer, a valid JSON object: mended, or empty when nothing is wrong.
 * *broke_off: it says that the answer is not whole, though it carries no error. */
struct str openai_mend(struct request *r, struct openai_pass *p, struct str text, bool whole,
                       bool *broke_off);
/* … as an event of a stream. */
struct str openai_event(struct request *r, struct str data);

/* Has heard of the role "developer". */
bool openai_knows_developers(const struct conf_provider *conf);
/* A request's body without what this provider would refuse, and with its own names for what it would not
 * know. 0, or -1: it is no JSON object. */
int openai_mend_request(struct request *r, const struct conf_provider *conf, struct str *body,
                        struct provider_call *call);

#endif

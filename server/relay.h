/* From the provider's answer to the client's, inside of request_attempt.c and relay*.c. */
#ifndef SERVER_RELAY_H
#define SERVER_RELAY_H

#include "passed.h"
#include "provider.h"
#include "stream_join.h"
#include "upstream.h"

struct attempt {
    struct request *r;
    size_t target; /* index in r->targets */
    const struct provider *dialect;
    const struct conf_provider *conf;
    struct provider_call call;
    struct upstream *up;
    const struct http_head *head; /* of the provider's answer */
    int64_t waited_before_ns;     /* in earlier attempts */

    /* where the call is translated */
    bool translates;
    bool avoids_responses;             /* the provider has just said that it has no such endpoint */
    const struct embed_request *embed; /* … of embeddings */
    struct str dropped;                /* parameters that were left out, by name, for the caller */
    bool counted;                      /* tokens were to be counted, and `count` is our own estimate */
    uint64_t count;
};

/* A successful answer: whole, in pieces, or as a stream of events, as it is. */
enum step relay_answer(struct attempt *a);
enum step relay_stream(struct attempt *a);
/* A stream in this framing, of which `held` has come. */
enum step relay_stream_of(struct attempt *a, enum passed_kind kind, struct str held);
/* The provider's error status: passed on, or told as a failure of ours. */
enum step relay_error(struct attempt *a);

/* Reads the body, of which `held` has come, until its end (UPSTREAM_END) or until `most` bytes are held
 * (UPSTREAM_OK). *body is the upstream's own memory where it came in one piece, else that of `b`. */
enum upstream_result relay_gather(struct attempt *a, struct buf *b, struct str held, size_t most,
                                  struct str *body, struct error *err);
/* How an exchange that ended so is told to the client; counted and logged. */
void relay_failure_of(struct attempt *a, enum upstream_result res, const struct error *err,
                      struct failure *f);
/* Reads it whole: STEP_NEXT with *body as relay_gather gives it, or it broke and was told so. free b anyway.
 */
enum step relay_gather_whole(struct attempt *a, struct buf *b, struct str held, struct str *body);
/* An error that the provider told with a successful status, or in a translated form: told to the caller. */
enum step relay_tell_failure(struct attempt *a, struct failure *f);
/* Takes our credential out of a message, should the provider have put it there. */
void relay_mask(const struct attempt *a, struct failure *f);
/* Some of it stands in the text. */
bool relay_shows_secret(const struct attempt *a, struct str text);
/* The bytes that tell a silent stream's reader that we are still there. */
struct str relay_heartbeat(const struct request *r);
/* Notes what is known about the cost of a call that ended early: estimates where nothing was told. */
void relay_estimate(struct request *r, uint64_t text_bytes);
/* The counts as they are known or estimated so far. */
struct usage_tokens relay_tokens_so_far(const struct request *r, uint64_t text_bytes);
void relay_note_wait(struct attempt *a);
/* A stream that is to be cached, and has ended properly. */
void relay_store_stream(struct request *r, struct stream_join *join);
/* The client has left: nothing to answer. */
enum step relay_client_gone(struct attempt *a, uint64_t text_bytes);

#endif

/* One request on its way through the gateway. The stages are files in the order they happen; request.c lists
 * them. */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "arena.h"
#include "client.h"
#include "config.h"
#include "endpoint.h"
#include "http.h"
#include "json_scan.h"
#include "keystore.h"
#include "limiter.h"
#include "usage.h"
#include "worker.h"

enum step { STEP_NEXT, STEP_DONE /* answered, or nobody is left to answer */ };

/* An error on its way to the client; each dialect writes it in its own shape (dialect.c). */
struct failure {
    int status;
    const char *type;  /* OpenAI's error.type; NULL: by status */
    const char *code;  /* OpenAI's error.code; NULL: null */
    const char *param; /* NULL: null */
    struct str message;
    int64_t retry_after_ms; /* 0: one second, where the status calls for a retry-after header */
    const char *request_id; /* Anthropic's request_id; NULL: left out. answer.c fills it */
    bool at_provider;       /* what failed is its provider's call, not the caller's */
};

/* What was reserved on one limit word, to be settled. */
struct reservation {
    _Atomic uint64_t *word; /* NULL: nothing */
    struct limit limit;
    uint64_t amount, tat;
};

/* A principal's slot in the shared table and what is held there. */
struct admission {
    struct shm_slot *slot; /* NULL: not taken part in */
    struct reservation rpm, tpm, rpd;
    struct limit_result rpm_seen, tpm_seen, rpd_seen; /* for x-ratelimit-* */
};

enum cache_verdict { CACHE_NOT_ASKED, CACHE_HIT, CACHE_MISS, CACHE_BYPASS };

struct request {
    struct worker *worker;
    struct client *client;
    struct arena *arena;   /* all below that is made for this request */
    struct arena *scratch; /* a stream that passes: until what came at once is sent; NULL: arena */
    int64_t start_ns;      /* monotonic, head complete */
    int64_t start_us;      /* wall clock */
    int64_t deadline_ns;   /* total (x-aigw-timeout-ms or the provider's); 0: none yet */
    char id[40];           /* x-request-id: the client's when well-formed, else ours */

    struct http_head *head;
    struct endpoint_match match;
    enum dialect dialect;

    bool authenticated;
    struct team_record team;

    struct str body;    /* whole and decoded; valid JSON where the endpoint takes JSON */
    struct buf decoded; /* backs a chunked body */
    struct str model;   /* as the caller named it; empty where the endpoint names none */
    bool stream;
    bool several;             /* more than one choice was asked for */
    bool wants_usage;         /* stream_options.include_usage was asked for */
    uint64_t prompt_estimate; /* tokens */
    uint64_t output_estimate;

    void *pass; /* a passing call's provider: what it keeps of it (openai_mend.h); made by its build */
    struct chat_request *chat;      /* the neutral form, once a translation was needed (chat_dialect.h) */
    struct fetched_media *media;    /* what was fetched by URL for it (media_fetch.c) */
    const struct conf_model *route; /* NULL: an endpoint without a model */
    struct {
        uint16_t provider;
        struct str model;
    } targets[MAX_TARGETS];
    size_t n_targets;

    struct admission by_key, by_team;
    bool admitted;                  /* there may be something to settle */
    bool holds_provider;            /* a place among a provider's calls (admit_provider) */
    struct shm_slot *provider_slot; /* the last admitted provider's, for its health */
    bool upstream_called;   /* a provider may have done work: the reservation is settled, not returned */
    uint32_t stream_events; /* passed on so far */
    bool upstream_answered; /* with a status: what a failure gives back depends on it */

    enum cache_verdict cache;
    uint8_t cache_key[32];
    int64_t cache_ttl_s;
    char cache_scope[64]; /* whose entry it is: "key:ID", "team:NAME", "global" */
    bool cache_store;   /* a complete successful answer is to be handed to request_cache_store (a streamed one
                           put together first: stream_join.h) */
    struct str dropped; /* parameters that the answering target did not honour (x-aigw-dropped-params) */

    /* the answer */
    int status; /* sent to the client; 0: none yet */
    bool head_sent;
    bool chunked;          /* the answer's framing */
    bool closes;           /* the connection ends with this answer */
    bool failed_midway;    /* cut: the connection must not be reused */
    bool bodiless;         /* the answer has no body (HEAD, 204, 304) */
    struct str head_out;   /* composed and not sent yet: goes out with the first piece */
    struct buf extra;      /* header lines to add to the answer ("name: value\r\n"…); memory of the arena */
    size_t extra_before;   /* … of it before answer_begin added its own: what an error keeps */
    int64_t first_byte_ns; /* … of the answer */
    int64_t upstream_ns;   /* spent waiting for the provider */
    uint16_t attempts;
    int provider; /* index of the one that answered; -1: none */
    struct str target_model;

    struct usage_tokens tokens; /* as the provider told, or estimated */
    bool tokens_known;
    struct usage_tokens told; /* what a stream has told so far of what it will tell whole at its end: counts
                                 for nothing until then, but is known better than an estimate */
    struct str message_id;    /* of a passing stream of Anthropic's: JSON */
    uint16_t flags;           /* enum usage_flag */
    struct price price;
    uint64_t cost_pico, saved_pico;
    struct usage_row *row; /* the ring's entry, once begun */
    bool row_spills;       /* row is not the ring's (it is full) and goes to the spill file */
    bool recorded;         /* the row is published, or there is none to publish */

    /* The principal. Last, because most of it is lists that are mostly empty: request_serve does not clear
     * what lies behind their counts. */
    struct key_record key;
};

/* For what a passing stream's event is mended with, which may have no end. */
static inline struct arena *request_scratch(const struct request *r)
{
    return r->scratch ? r->scratch : r->arena;
}

/* Serves the next request of the connection. True: the connection may carry another one. False: close it
 * (with c->must_close or c->body_left bytes that nobody will read: hand back as WAIT_CLOSE), or, when
 * c->waits is set, client_spool and hand it back; served again from its start later. */
bool request_serve(struct worker *w, struct client *c);

/* The stages, in their order. */
enum step
request_endpoint(struct request *r); /* request_endpoint.c: what is asked for; health answers here */
enum step request_authenticate(
    struct request *r); /* request_authenticate.c: key → principal, before the body is read */
enum step request_read_body(struct request *r); /* request_body.c: body, JSON scan, model, estimates */
enum step
request_plan(struct request *r); /* request_plan.c: which targets; the models endpoints answer here */
enum step request_admit(struct request *r);   /* request_admit.c: limits and places: reserve */
enum step request_cache(struct request *r);   /* request_cache.c: answers a hit */
enum step request_attempt(struct request *r); /* request_attempt.c: provider call, answer relayed */
/* The end of every request, answered or not. */
void request_settle(struct request *r); /* request_admit.c: limits and places: settle; idempotent, also called
                                           by answer.c before the client can see the answer's end */
void request_record(struct request *r); /* request_record.c: usage row, metrics, access log */

/* request_record.c, for request_attempt: fills and begins the ring's row before the provider is called;
 * STEP_DONE: the store is full and the policy is to refuse (answered). */
enum step request_record_begin(struct request *r);
/* Publishes the finished row; called before the client can see the end of the answer. Idempotent. */
void request_record_publish(struct request *r);

/* Shows the running usage in the worker's line, for the row that is written if the worker dies. */
void request_record_progress(struct request *r);

/* request_admit.c, for request_attempt: takes a place among the calls that a provider may have under way
 * (max_in_flight; by default half of the workers that the other providers leave, so that a hanging one can't
 * hold them all). False: it is full, or the table is. */
bool admit_provider(struct request *r, uint16_t provider);
void admit_provider_done(struct request *r);

/* request_cache.c, for request_attempt: the complete successful JSON answer of a request with cache_store set
 * (else nothing happens). r->tokens and r->cost_pico are known by then. */
void request_cache_store(struct request *r, struct str answer);

#endif

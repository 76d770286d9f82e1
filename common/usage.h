/* The usage row: what one request was, did and cost. Written by a worker into its ring (shm/ring.h), moved by
 * the ledger into LMDB, read by the admin process. One fixed layout of 512 bytes serves all three. */
#ifndef COMMON_USAGE_H
#define COMMON_USAGE_H

#include "limits.h"
#include <assert.h>
#include <stdint.h>

enum usage_flag {
    USAGE_STREAMED = 1 << 0,
    USAGE_CACHE_HIT = 1 << 1,    /* answered from the response cache: no provider call, no cost */
    USAGE_KILLED = 1 << 2,       /* its worker died; the row was written from the scoreboard */
    USAGE_CLIENT_GONE = 1 << 3,  /* the client left before the end of the answer */
    USAGE_CUT = 1 << 4,          /* the provider's answer ended before its end, or carried an error midway */
    USAGE_ESTIMATED = 1 << 5,    /* the provider told no token counts: ours are estimates */
    USAGE_COST_UNKNOWN = 1 << 6, /* no price for this model: cost is not known, which is not 0 */
    USAGE_NATIVE =
        1 << 7, /* passed through under /{provider}/… or an endpoint that is not metered by token */
};

/* Token classes as the ledger counts them, whatever the provider's way. */
struct usage_tokens {
    uint64_t input;       /* all of the prompt, cached and cache-written included */
    uint64_t cached;      /* the part of input read from the provider's prompt cache */
    uint64_t cache_write; /* the part of input written to it */
    uint64_t output;      /* all of the completion, reasoning included */
    uint64_t reasoning;   /* the part of output that was reasoning */
};

struct usage_row {
    int64_t time_us;      /* wall clock at the request's start */
    uint32_t latency_us;  /* head read → last byte handed to the kernel; saturating */
    uint32_t ttft_us;     /* head read → first byte of the answer; 0: there was none */
    uint32_t upstream_us; /* of latency_us, spent waiting for the provider */
    uint16_t status;      /* HTTP status the client got; 0: none (killed, or gone before) */
    uint16_t flags;       /* enum usage_flag */
    uint16_t attempts;
    uint8_t endpoint; /* enum endpoint */
    uint8_t reserved0;
    uint32_t reserved1;
    struct usage_tokens tokens;
    uint64_t cost_pico;  /* 1e-12 USD; meaningless with USAGE_COST_UNKNOWN */
    uint64_t saved_pico; /* what a cache hit would have cost */
    char request_id[40];
    char key_id[32];
    char team[48];
    char department[48];
    char model[MAX_NAME];  /* as the caller named it */
    char target[MAX_NAME]; /* as the provider names it */
    char provider[32];
    uint8_t reserved2[96]; /* tags come here */
};
static_assert(sizeof(struct usage_row) == 512, "the ring's entries and the stored rows are 512 bytes");

#endif

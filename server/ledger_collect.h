/* The ledger's first step, without its process: rows from the rings into the stage. */
#ifndef SERVER_LEDGER_COLLECT_H
#define SERVER_LEDGER_COLLECT_H

#include "error.h"
#include "segment.h"
#include "usage_store.h"

struct collector {
    const struct segment *segment;
    uint64_t next[MAX_SLOTS]; /* first row of each ring that is neither staged nor stored */
};

struct collected {
    uint64_t rows, killed; /* staged by this pass; of these, from lines whose worker had died */
    uint64_t most;         /* rows from the ring that had most */
    bool full;             /* the stage has no more room: rows wait in their rings */
};

/* Learns from the store and from the stage where a former ledger was. */
int collector_init(struct collector *c, const struct segment *segment, struct usage_store *store,
                   struct error *err);
/* One pass over all rings; waits for nothing. The rings' tails move, settled lines become free. */
struct collected collector_pass(struct collector *c);

#endif

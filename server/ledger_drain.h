/* The ledger's work without its process: rows from the rings into the store. */
#ifndef SERVER_LEDGER_DRAIN_H
#define SERVER_LEDGER_DRAIN_H

#include "error.h"
#include "segment.h"
#include "usage_store.h"

struct drain {
    const struct segment *segment;
    struct usage_store *store;
    uint64_t next[MAX_SLOTS]; /* first row of each ring that is not in the store */
    bool known[MAX_SLOTS];    /* next[] has been read from the store */
};

enum drain_result {
    DRAIN_NOTHING, /* all that is published is stored */
    DRAIN_STORED,
    DRAIN_FULL,   /* the store takes no more; the rows stay in their rings */
    DRAIN_FAILED, /* likewise, for another reason (err) */
};

struct drained {
    uint64_t rows, killed; /* stored by this pass; of these, from lines whose worker had died */
};

/* One pass over all rings: one transaction at most. Then the rings' tails move, and settled lines become
 * free. */
enum drain_result drain_pass(struct drain *d, struct drained *done, struct error *err);
/* Rows waiting in the fullest ring. */
uint64_t drain_fullest(struct drain *d);

#endif

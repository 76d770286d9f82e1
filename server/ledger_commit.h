/* The ledger's second step, without its process: rows from the stage into the store. */
#ifndef SERVER_LEDGER_COMMIT_H
#define SERVER_LEDGER_COMMIT_H

#include "error.h"
#include "segment.h"
#include "usage_store.h"

struct committer {
    const struct segment *segment;
    struct usage_store *store;
    uint64_t next[MAX_SLOTS]; /* the position of each slot in the store, for this segment */
    bool known[MAX_SLOTS];    /* next[] has been read from the store */
};

enum commit_result {
    COMMIT_NOTHING, /* nothing is staged */
    COMMIT_STORED,
    COMMIT_FULL,   /* the store takes no more; the rows stay staged */
    COMMIT_FAILED, /* likewise, for another reason (err) */
};

/* One transaction with all that is staged. *rows: new ones that it stored. */
enum commit_result committer_pass(struct committer *c, uint64_t *rows, struct error *err);

#endif

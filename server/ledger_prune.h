/* The ledger's third task, without its process: rows that are older than ledger.keep_days leave the store. */
#ifndef SERVER_LEDGER_PRUNE_H
#define SERVER_LEDGER_PRUNE_H

#include "error.h"
#include "usage_store.h"

struct pruner {
    struct usage_store *store;
    uint32_t keep_days; /* 0: for ever */
    int64_t due_ns;     /* monotonic: nothing is done before */
};

/* ns until there is something to do: 0, now. */
int64_t pruner_due_in(const struct pruner *p, int64_t now_ns);
/* One small transaction, where it is due. *rows: removed. -1: it failed, and is tried again later. */
int pruner_pass(struct pruner *p, int64_t now_ns, int64_t wall_us, uint64_t *rows, struct error *err);

#endif

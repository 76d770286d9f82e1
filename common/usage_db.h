/* What usage_store.c (opening, the ledger's batch), usage_prune.c and usage_query.c (reading) share. Nobody
 * else includes it. The three databases, numbers being big-endian and texts NUL-terminated:
 *
 * - rows: time in µs, number → usage row
 * - sums: day, department, team, key, model, provider → usage sum
 * - state: "n" → rows ever; 'p', slot → usage_position; 'm', name → a mark */
#ifndef COMMON_USAGE_DB_H
#define COMMON_USAGE_DB_H

#include "lmdb_env.h"
#include "usage_groups.h"
#include "usage_store.h"

#define US_PER_DAY INT64_C(86400000000)

struct usage_store {
    struct lmdb_env env;
    MDB_dbi rows, sums, state;
    uint64_t max_bytes;

    /* the batch; txn NULL: none */
    MDB_txn *txn;
    int failed; /* LMDB's code of the first step that failed: commit gives up */
    struct usage_row *pending;
    size_t n_pending, cap_pending;
    struct usage_groups groups;
};

#endif

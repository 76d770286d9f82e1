/* Rows go oldest first, some at a time, and between two such transactions the committing thread does its
 * work: a year's rows may become too old at once (the setting was changed, the gateway was off), and new ones
 * must not wait for that. A transaction is done or not done, so it does not matter when the ledger is killed;
 * the sums, which all totals are made of, are not touched.
 *
 * A store that is full has hardly a page left to write changes on: then few rows go at a time. The pages that
 * they were on make room for more. */
#include "ledger_prune.h"

#include "clock.h"

enum { MANY_ROWS = 1000, FEW_ROWS = 16 };

#define PAUSE       (20 * NS_PER_MS)  /* between two transactions */
#define LOOK_EVERY  (60 * NS_PER_SEC) /* when none is too old */
#define RETRY_AFTER (10 * NS_PER_SEC)
#define US_PER_DAY  INT64_C(86400000000)

int64_t pruner_due_in(const struct pruner *p, int64_t now_ns)
{
    if (p->keep_days == 0)
        return LOOK_EVERY;
    return p->due_ns > now_ns ? p->due_ns - now_ns : 0;
}

int pruner_pass(struct pruner *p, int64_t now_ns, int64_t wall_us, uint64_t *rows, struct error *err)
{
    const int64_t before_us = wall_us - p->keep_days * US_PER_DAY;
    size_t removed, most = MANY_ROWS;
    bool full;
    *rows = 0;
    if (pruner_due_in(p, now_ns) > 0)
        return 0;
    int rc = usage_store_prune(p->store, before_us, most, &removed, &full, err);
    if (rc != 0 && full) {
        most = FEW_ROWS;
        rc = usage_store_prune(p->store, before_us, most, &removed, &full, err);
    }
    *rows = removed;
    p->due_ns = now_ns + (rc != 0 ? RETRY_AFTER : removed == most ? PAUSE : LOOK_EVERY);
    return rc;
}

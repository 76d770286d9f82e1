/* Exact limits: GCRA (the virtual scheduling algorithm of ITU-T I.371, a token bucket) on one 64-bit word.
 *
 * The word is the theoretical arrival time (TAT) in monotonic ns. A cost of c units against `limit` units per
 * period advances it by ceil(c * period / limit), computed in 128 bits and saturating; it is admitted when
 * the result lies at most the burst tolerance ahead of now. One CAS decides: never more is admitted than GCRA
 * allows, whoever is killed when. Time is a parameter, so tests need no clock. */
#ifndef SHM_LIMITER_H
#define SHM_LIMITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct limit {
    uint64_t limit; /* units per period; 0: unlimited */
    uint64_t burst; /* units that may come at once after a rest; 0: limit */
    int64_t period_ns;
};

struct limit_result {
    bool ok;
    bool never;         /* the cost exceeds the burst: waiting would not help */
    int64_t retry_ns;   /* when refused: how long until the same cost could pass */
    uint64_t remaining; /* whole units that would pass now, after this decision */
    int64_t reset_ns;   /* until the bucket is full again */
    uint64_t tat;       /* what the CAS wrote: "b" of a later settlement */
};

/* Looks without taking. */
struct limit_result limit_check(const _Atomic uint64_t *word, const struct limit *l, uint64_t cost,
                                int64_t now_ns);
/* Takes `cost` units or refuses; cost 0 always passes. */
struct limit_result limit_take(_Atomic uint64_t *word, const struct limit *l, uint64_t cost, int64_t now_ns);
/* Gives back part of what a take reserved, bounded so that it never frees more than what is still owed:
 * min(amount, max(0, b - now)), b being the take's tat. Also the roll-back of a take (amount = its cost). */
void limit_refund(_Atomic uint64_t *word, const struct limit *l, uint64_t amount, uint64_t b, int64_t now_ns);
/* Charges more than was reserved: TAT = max(TAT, now) + cost. May push beyond the burst; later requests wait.
 */
void limit_debit(_Atomic uint64_t *word, const struct limit *l, uint64_t amount, int64_t now_ns);

#endif

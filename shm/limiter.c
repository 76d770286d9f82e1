/* GCRA on one 64-bit word (limiter.h). Workers run this; every function is one CAS loop, so a kill at any
 * instruction leaves the word as it was or as it was to become.
 *
 * Cost in time: where a unit lasts a millisecond or more (request limits), every unit costs the same whole
 * number of ns, rounded up once, so that `burst` single requests fit into the tolerance exactly and
 * `remaining` counts down by one. Where units are finer (token limits), that rounding would change the rate,
 * so the whole cost is rounded up instead. Both never admit more than the limit says.
 *
 * The bounded refund. A take wrote b: the time at which its reservation will have been paid off, by then as
 * by every other one before it. At `now` only b - now of it can still be owed, the rest has been paid by
 * waiting. Subtracting the whole amount would make credit out of time that has gone by: reserve 100, wait
 * until it is paid off, give back 100, and 100 more than the limit pass. The word is also never set before
 * now, which would be the same credit for a reader whose clock reading is a little older.
 *
 * Memory order: the word is the whole state and guards no other memory, so relaxed is enough everywhere. */
#include "limiter.h"

#include "clock.h"

enum { TRIES = 1000 }; /* each failed CAS means that another one went through */

#define TAT_MAX ((uint64_t)INT64_MAX / 2) /* 146 years: sums of two such values don't overflow */

typedef unsigned __int128 u128;

static uint64_t saturate(u128 v)
{
    return v > TAT_MAX ? TAT_MAX : (uint64_t)v;
}

static uint64_t period(const struct limit *l)
{
    return l->period_ns > 0 ? (uint64_t)l->period_ns : 1;
}

/* Whole ns of one unit where units are long; 0: they are fine. */
static uint64_t unit_ns(const struct limit *l)
{
    uint64_t ns = period(l) / l->limit + (period(l) % l->limit != 0);
    return ns >= (uint64_t)NS_PER_MS ? ns : 0;
}

static uint64_t cost_ns(const struct limit *l, uint64_t units)
{
    uint64_t unit = unit_ns(l);
    if (unit)
        return saturate((u128)units * unit);
    return saturate(((u128)units * period(l) + l->limit - 1) / l->limit);
}

/* Whole units that ns are worth. */
static uint64_t units_of(const struct limit *l, uint64_t ns)
{
    uint64_t unit = unit_ns(l);
    if (unit)
        return ns / unit;
    u128 units = (u128)ns * l->limit / period(l);
    return units > UINT64_MAX ? UINT64_MAX : (uint64_t)units;
}

static uint64_t burst(const struct limit *l)
{
    return l->burst ? l->burst : l->limit;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t reading(int64_t now_ns)
{
    return now_ns > 0 ? (uint64_t)now_ns : 0;
}

static struct limit_result unlimited(void)
{
    return (struct limit_result){.ok = true, .remaining = UINT64_MAX};
}

/* What a client may know about a bucket whose word is tat. */
static void describe(struct limit_result *r, const struct limit *l, uint64_t tat, uint64_t tolerance,
                     uint64_t now)
{
    uint64_t owed = later(tat, now) - now;
    uint64_t left = owed < tolerance ? units_of(l, tolerance - owed) : 0;

    r->remaining = left < burst(l) ? left : burst(l);
    r->reset_ns = (int64_t)owed;
}

/* The decision on a word that is tat; r->tat is what has to be written when it is admitted. */
static struct limit_result decide(const struct limit *l, uint64_t cost, uint64_t tat, uint64_t now)
{
    uint64_t tolerance = cost_ns(l, burst(l)), inc = cost_ns(l, cost);
    uint64_t after = saturate((u128)later(tat, now) + inc);
    struct limit_result r = {.tat = tat};

    if (cost == 0) {
        r.ok = true;
    } else if (inc > tolerance) {
        r.never = true;
    } else if (after - now > tolerance) {
        r.retry_ns = (int64_t)(after - now - tolerance);
    } else {
        r.ok = true;
        r.tat = after;
    }
    return r;
}

struct limit_result limit_check(const _Atomic uint64_t *word, const struct limit *l, uint64_t cost,
                                int64_t now_ns)
{
    if (l->limit == 0)
        return unlimited();
    uint64_t tat = atomic_load_explicit(word, memory_order_relaxed), now = reading(now_ns);
    struct limit_result r = decide(l, cost, saturate(tat), now);
    describe(&r, l, saturate(tat), cost_ns(l, burst(l)), now);
    r.tat = tat;
    return r;
}

struct limit_result limit_take(_Atomic uint64_t *word, const struct limit *l, uint64_t cost, int64_t now_ns)
{
    if (l->limit == 0)
        return unlimited();
    uint64_t now = reading(now_ns), tolerance = cost_ns(l, burst(l));
    uint64_t tat = atomic_load_explicit(word, memory_order_relaxed);
    struct limit_result r = {0};

    for (int i = 0; i < TRIES; i++) {
        r = decide(l, cost, saturate(tat), now);
        if (!r.ok || cost == 0 ||
            atomic_compare_exchange_weak_explicit(word, &tat, r.tat, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            describe(&r, l, r.tat, tolerance, now);
            return r;
        }
    }
    r = (struct limit_result){.retry_ns = NS_PER_MS, .tat = tat}; /* refused rather than waited for */
    describe(&r, l, saturate(tat), tolerance, now);
    return r;
}

/* Rounded down, so that never more comes back than was charged. */
static uint64_t refund_ns(const struct limit *l, uint64_t units)
{
    uint64_t unit = unit_ns(l);
    return unit ? saturate((u128)units * unit) : saturate((u128)units * period(l) / l->limit);
}

void limit_refund(_Atomic uint64_t *word, const struct limit *l, uint64_t amount, uint64_t b, int64_t now_ns)
{
    uint64_t now = reading(now_ns);
    if (l->limit == 0 || amount == 0 || b <= now)
        return;
    uint64_t back = refund_ns(l, amount);
    if (back > b - now)
        back = b - now;
    uint64_t tat = atomic_load_explicit(word, memory_order_relaxed);
    for (int i = 0; i < TRIES && tat > now; i++) {
        uint64_t to = tat - now > back ? tat - back : now;
        if (atomic_compare_exchange_weak_explicit(word, &tat, to, memory_order_relaxed, memory_order_relaxed))
            return;
    }
}

void limit_debit(_Atomic uint64_t *word, const struct limit *l, uint64_t amount, int64_t now_ns)
{
    if (l->limit == 0 || amount == 0)
        return;
    uint64_t inc = cost_ns(l, amount), now = reading(now_ns);
    uint64_t tat = atomic_load_explicit(word, memory_order_relaxed);
    for (int i = 0; i < TRIES; i++) {
        uint64_t to = saturate((u128)later(saturate(tat), now) + inc);
        if (atomic_compare_exchange_weak_explicit(word, &tat, to, memory_order_relaxed, memory_order_relaxed))
            return;
    }
    atomic_fetch_add_explicit(word, inc, memory_order_relaxed); /* a debit is not to be lost */
}

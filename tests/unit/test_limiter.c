/* Limits: GCRA's arithmetic by tables, its promise by comparing random histories with the promise itself. */
#include "clock.h"
#include "limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MIN (60 * NS_PER_SEC)
#define DAY (86400 * NS_PER_SEC)
#define T0  (1000 * NS_PER_SEC)

/* How many of `cost` pass one after the other at one instant. */
static uint64_t how_many(_Atomic uint64_t *word, const struct limit *l, uint64_t cost, int64_t now)
{
    uint64_t n = 0;
    while (n < 1000000 && limit_take(word, l, cost, now).ok)
        n++;
    return n;
}

static void burst_is_exact(void **state)
{
    (void)state;
    static const struct {
        struct limit l;
        uint64_t cost, fits;
    } cases[] = {
        {{100, 0, MIN}, 1, 100},        {{7, 0, MIN}, 1, 7},           {{1, 0, MIN}, 1, 1},
        {{60, 10, MIN}, 1, 10},         {{60, 120, MIN}, 1, 120},      {{13, 0, DAY}, 1, 13},
        {{997, 0, MIN}, 1, 997},        {{100, 0, MIN}, 3, 33},        {{1000000, 0, MIN}, 1000, 1000},
        {{1000000, 0, MIN}, 7, 142857}, {{999983, 0, MIN}, 999983, 1}, {{3, 2, NS_PER_SEC}, 1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        _Atomic uint64_t word = 0;
        uint64_t n = how_many(&word, &cases[i].l, cases[i].cost, T0);
        if (n != cases[i].fits)
            fail_msg("case %zu: %llu passed, not %llu", i, (unsigned long long)n,
                     (unsigned long long)cases[i].fits);
    }
}

static void remaining_counts_down_by_one(void **state)
{
    (void)state;
    static const uint64_t limits[] = {1, 3, 7, 60, 100, 997, 9999};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct limit l = {limits[i], 0, MIN};
        _Atomic uint64_t word = 0;
        assert_int_equal(limit_check(&word, &l, 1, T0).remaining, limits[i]);
        for (uint64_t left = limits[i]; left-- > 0;) {
            struct limit_result r = limit_take(&word, &l, 1, T0);
            assert_true(r.ok);
            assert_int_equal(r.remaining, left);
        }
        assert_false(limit_take(&word, &l, 1, T0).ok);
    }
}

static void retry_is_the_first_moment(void **state)
{
    (void)state;
    static const struct limit limits[] = {{100, 0, MIN}, {7, 0, MIN}, {1000000, 0, MIN}, {7654321, 0, MIN}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        _Atomic uint64_t word = 0;
        uint64_t cost = limits[i].limit / 4 + 1;
        while (limit_take(&word, &limits[i], cost, T0).ok)
            ;
        struct limit_result r = limit_check(&word, &limits[i], cost, T0);
        assert_false(r.ok);
        assert_false(r.never);
        assert_true(r.retry_ns > 0);
        assert_false(limit_check(&word, &limits[i], cost, T0 + r.retry_ns - 1).ok);
        assert_true(limit_take(&word, &limits[i], cost, T0 + r.retry_ns).ok);
    }
}

static void rate_after_the_burst(void **state)
{
    (void)state;
    struct limit l = {100, 0, MIN};
    _Atomic uint64_t word = 0;
    uint64_t passed = 0;
    for (int64_t t = 0; t <= 10 * MIN; t += NS_PER_MS * 5)
        passed += limit_take(&word, &l, 1, T0 + t).ok;
    assert_int_equal(passed, 100 + 10 * 100);
}

/* Units of less than 2 ns: rounding in the wrong direction would show as two thirds too many. */
static void fine_units_are_rounded_up(void **state)
{
    (void)state;
    struct limit l = {600000000, 1000, NS_PER_SEC};
    _Atomic uint64_t word = 0;
    uint64_t passed = 0;
    for (int64_t t = 0; t <= 10000; t++)
        passed += how_many(&word, &l, 1, T0 + t);
    assert_true(passed <= 1000 + 6000);
    passed = 0;
    for (int64_t t = 20000; t <= 30000; t++)
        passed += 3 * how_many(&word, &l, 3, T0 + t);
    assert_true(passed <= 1000 + 6000 && passed >= 6000);
}

static void what_never_fits_says_so(void **state)
{
    (void)state;
    struct limit l = {1000, 100, MIN};
    _Atomic uint64_t word = 0;
    struct limit_result r = limit_take(&word, &l, 101, T0);
    assert_false(r.ok);
    assert_true(r.never);
    assert_int_equal(word, 0);
    r = limit_take(&word, &l, 100, T0);
    assert_true(r.ok);
    assert_false(limit_check(&word, &l, 100, T0).never);
    assert_true(limit_check(&word, &l, UINT64_MAX, T0).never);
}

static void no_limit_and_no_cost(void **state)
{
    (void)state;
    struct limit none = {0, 0, MIN}, one = {1, 0, MIN};
    _Atomic uint64_t word = 42;
    assert_true(limit_take(&word, &none, UINT64_MAX, T0).ok);
    limit_debit(&word, &none, 5, T0);
    limit_refund(&word, &none, 5, UINT64_MAX, T0);
    assert_int_equal(word, 42);
    word = 0;
    assert_true(limit_take(&word, &one, 1, T0).ok);
    uint64_t before = word;
    struct limit_result r = limit_take(&word, &one, 0, T0);
    assert_true(r.ok);
    assert_int_equal(word, before);
    assert_int_equal(r.remaining, 0);
    assert_int_equal(r.reset_ns, MIN);
}

static void extremes_saturate(void **state)
{
    (void)state;
    static const uint64_t values[] = {1, 2, 1000, UINT32_MAX, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
    static const int64_t periods[] = {1, NS_PER_SEC, DAY, INT64_MAX, 0, -1};
    enum { N = sizeof values / sizeof values[0], P = sizeof periods / sizeof periods[0] };
    for (size_t i = 0; i < N * N * N * P; i++) {
        struct limit l = {values[i % N], values[i / N % N], periods[i / N / N / N]};
        uint64_t cost = values[i / N / N % N];
        _Atomic uint64_t word = 0;
        struct limit_result r = limit_take(&word, &l, cost, T0);
        assert_true(r.remaining <= l.burst);
        assert_true(r.reset_ns >= 0 && r.retry_ns >= 0);
        if (r.ok)
            assert_int_equal(word, r.tat);
        else
            assert_int_equal(word, 0);
        limit_debit(&word, &l, cost, T0);
        assert_true(word >= (uint64_t)T0);
        limit_refund(&word, &l, UINT64_MAX, UINT64_MAX, T0);
        assert_true(word >= (uint64_t)T0);
        word = UINT64_MAX; /* never written by us */
        limit_take(&word, &l, cost, T0);
        limit_debit(&word, &l, cost, T0);
    }
}

static void refund_is_bounded(void **state)
{
    (void)state;
    struct limit l = {6000, 0, MIN}; /* 10 ms each */
    static const struct {
        uint64_t cost, back;
        int64_t after_ms;
        uint64_t then; /* units that pass after it */
    } cases[] = {
        {6000, 6000, 0, 6000}, /* a roll-back restores all */
        {6000, 5000, 0, 5000},
        {6000, 6000, 30000, 6000}, /* half is paid off: the rest comes back, no more */
        {6000, 6000, 60000, 6000},
        {6000, 6000, 600000, 6000}, /* all was paid: nothing to give back */
        {100, 6000, 0, 6000},
        {3000, 1000, 10000, 5000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        _Atomic uint64_t word = 0;
        struct limit_result r = limit_take(&word, &l, cases[i].cost, T0);
        int64_t now = T0 + cases[i].after_ms * NS_PER_MS;
        assert_true(r.ok);
        limit_refund(&word, &l, cases[i].back, r.tat, now);
        assert_true(word >= (uint64_t)now || word == r.tat);
        if (how_many(&word, &l, 1, now) != cases[i].then)
            fail_msg("case %zu", i);
    }
}

static void debit_makes_later_ones_wait(void **state)
{
    (void)state;
    struct limit l = {6000, 0, MIN};
    _Atomic uint64_t word = 0;
    limit_take(&word, &l, 100, T0);
    limit_debit(&word, &l, 11900, T0);
    struct limit_result r = limit_take(&word, &l, 1, T0);
    assert_false(r.ok);
    assert_int_equal(r.remaining, 0);
    assert_int_equal(r.retry_ns, MIN + 10 * NS_PER_MS);
    assert_int_equal(r.reset_ns, 2 * MIN);
    assert_true(limit_take(&word, &l, 1, T0 + r.retry_ns).ok);
}

/* ---- the promise: in any span of time, net use <= burst + limit * span / period ---- */

enum { EVENTS = 400 };

struct event {
    int64_t at;
    uint64_t net; /* reserved, less what was not used */
    uint64_t back, tat;
    int64_t settle_at;
    int settled;
};

static uint64_t rnd;

static uint64_t random_below(uint64_t n)
{
    rnd ^= rnd << 13, rnd ^= rnd >> 7, rnd ^= rnd << 17;
    return rnd % n;
}

static void settle_due(struct event *e, size_t n, _Atomic uint64_t *word, const struct limit *l, int64_t now)
{
    for (size_t i = 0; i < n; i++)
        if (!e[i].settled && e[i].settle_at <= now) {
            limit_refund(word, l, e[i].back, e[i].tat, now);
            e[i].settled = 1;
        }
}

static size_t random_history(struct event *e, const struct limit *l, int64_t mean_gap)
{
    _Atomic uint64_t word = 0;
    int64_t now = T0;
    size_t n = 0;
    for (int tries = 0; tries < 4 * EVENTS && n < EVENTS; tries++) {
        now += (int64_t)random_below((uint64_t)(2 * mean_gap));
        if (random_below(40) == 0)
            now += l->period_ns * (int64_t)random_below(3) / 2; /* a rest */
        settle_due(e, n, &word, l, now);
        uint64_t cost = 1 + random_below(random_below(3) ? l->limit / 20 + 1 : l->limit);
        struct limit_result r = limit_take(&word, l, cost, now);
        if (!r.ok)
            continue;
        uint64_t back = random_below(2) ? random_below(cost + 1) : 0;
        e[n++] = (struct event){.at = now,
                                .net = cost - back,
                                .back = back,
                                .tat = r.tat,
                                .settle_at = now + (int64_t)random_below((uint64_t)l->period_ns)};
    }
    return n;
}

static void assert_promise(const struct event *e, size_t n, const struct limit *l)
{
    uint64_t most = l->burst ? l->burst : l->limit;
    for (size_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        for (size_t j = i; j < n; j++) {
            sum += e[j].net;
            unsigned __int128 span = (unsigned __int128)(e[j].at - e[i].at) * l->limit;
            if (sum > most && (unsigned __int128)(sum - most) * (uint64_t)l->period_ns > span)
                fail_msg("limit %llu: %llu units in %lld ns", (unsigned long long)l->limit,
                         (unsigned long long)sum, (long long)(e[j].at - e[i].at));
        }
    }
}

static void random_histories_keep_the_promise(void **state)
{
    (void)state;
    static const struct limit limits[] = {
        {100, 0, MIN}, {7, 3, MIN}, {1000000, 0, MIN}, {7654321, 1234567, MIN}, {5000, 10000, DAY}};
    static struct event e[EVENTS];
    rnd = 1;
    for (int round = 0; round < 40; round++) {
        const struct limit *l = &limits[round % 5];
        size_t n = random_history(e, l, l->period_ns / (1 + (int64_t)random_below(60)));
        assert_true(n > 20);
        assert_promise(e, n, l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_is_exact),
        cmocka_unit_test(remaining_counts_down_by_one),
        cmocka_unit_test(retry_is_the_first_moment),
        cmocka_unit_test(rate_after_the_burst),
        cmocka_unit_test(fine_units_are_rounded_up),
        cmocka_unit_test(what_never_fits_says_so),
        cmocka_unit_test(no_limit_and_no_cost),
        cmocka_unit_test(extremes_saturate),
        cmocka_unit_test(refund_is_bounded),
        cmocka_unit_test(debit_makes_later_ones_wait),
        cmocka_unit_test(random_histories_keep_the_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

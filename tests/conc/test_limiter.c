/* Limits under contention and kills: never more than GCRA allows, and at most the killed operations fewer.
 *
 * Time is a counter that the operations themselves move, slower than they take, so that the bucket is never
 * full again and the word alone says how much was charged in all: (TAT at the end - TAT at the start) / unit.
 * Each actor counts what it was admitted after the take, so a kill loses at most one operation's count. */
#include "limiter.h"
#include "storm.h"

#define UNIT (10 * NS_PER_MS)
#define T0   (1000 * NS_PER_SEC)
enum { BURST = 200, MOST = 3 };
static const struct limit limit = {.limit = 100, .burst = BURST, .period_ns = NS_PER_SEC};

struct shared {
    _Atomic uint64_t word;
    _Atomic int64_t now;
    _Atomic uint64_t takes;
    struct {
        _Atomic uint64_t kept_ns, tries;
        char pad[48];
    } actor[STORM_ACTORS];
};

static int64_t tick(struct shared *sh, struct actor *a)
{
    return atomic_fetch_add(&sh->now, (int64_t)actor_random(a, UNIT)) + UNIT / 2;
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store(counter, atomic_load(counter) + n);
}

static void take(struct actor *a)
{
    struct shared *sh = a->shared;
    uint64_t cost = 1 + actor_random(a, MOST);
    int64_t now = tick(sh, a);
    struct limit_result r = limit_take(&sh->word, &limit, cost, now);

    if (!r.ok) {
        ACTOR_ASSERT(r.retry_ns > 0 && !r.never);
        return;
    }
    add(&sh->actor[a->number].kept_ns, cost * UNIT);
    ACTOR_ASSERT(r.tat - (uint64_t)now <= BURST * UNIT);
}

/* Reserves and gives part or all of it back: what does not come back counts as kept. */
static void take_and_give_back(struct actor *a)
{
    struct shared *sh = a->shared;
    uint64_t cost = 1 + actor_random(a, MOST), back = 1 + actor_random(a, cost);
    struct limit_result r = limit_take(&sh->word, &limit, cost, tick(sh, a));

    if (!r.ok)
        return;
    int64_t now = atomic_load(&sh->now);
    uint64_t owed = r.tat > (uint64_t)now ? r.tat - (uint64_t)now : 0;
    limit_refund(&sh->word, &limit, back, r.tat, now);
    add(&sh->actor[a->number].kept_ns, cost * UNIT - (back * UNIT < owed ? back * UNIT : owed));
}

static void debit(struct actor *a)
{
    struct shared *sh = a->shared;
    limit_debit(&sh->word, &limit, 1, tick(sh, a));
    add(&sh->actor[a->number].kept_ns, UNIT);
}

static void op(struct actor *a)
{
    struct shared *sh = a->shared;
    add(&sh->actor[a->number].tries, 1);
    switch (actor_random(a, 16)) {
    case 0:
        debit(a);
        break;
    case 1:
    case 2:
    case 3:
        take_and_give_back(a);
        break;
    default:
        take(a);
    }
}

static void run(void (*drive)(struct storm *))
{
    struct storm t = {.op = op};
    storm_open(&t, 64, sizeof(struct shared));
    struct shared *sh = t.shared;
    /* the burst is used up at the start: from there on only what time brings is admitted */
    const uint64_t start = T0 + BURST * UNIT;
    sh->now = T0;
    sh->word = start;
    drive(&t);
    uint64_t charged = sh->word - start, kept = 0, tries = 0;
    for (unsigned i = 0; i < STORM_ACTORS; i++) {
        kept += sh->actor[i].kept_ns;
        tries += sh->actor[i].tries;
    }
    printf("%llu operations, %llu units admitted\n", (unsigned long long)tries,
           (unsigned long long)(kept / UNIT));
    assert_true(kept / UNIT > 1000);
    assert_true(kept <= charged);
    assert_true(charged - kept <= (uint64_t)t.kills * MOST * UNIT);
    if (t.kills == 0)
        assert_int_equal(charged, kept);
    storm_close(&t);
}

static void threads(void **state)
{
    (void)state;
    run(storm_threads);
}

static void processes(void **state)
{
    (void)state;
    if (!STORM_FORKS)
        skip();
    run(storm_forks);
}

/* All at one instant: exactly the burst, whatever the number of takers. */
enum { RUSH = 500 };

static void rush_op(struct actor *a)
{
    struct shared *sh = a->shared;
    struct limit l = {.limit = RUSH, .period_ns = 60 * NS_PER_SEC};
    if (limit_take(&sh->word, &l, 1, T0).ok)
        atomic_fetch_add(&sh->takes, 1);
}

static void rush(void **state)
{
    (void)state;
    struct storm t = {.op = rush_op};
    storm_open(&t, 64, sizeof(struct shared));
    storm_threads(&t);
    assert_int_equal(((struct shared *)t.shared)->takes, RUSH);
    storm_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads),
        cmocka_unit_test(processes),
        cmocka_unit_test(rush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

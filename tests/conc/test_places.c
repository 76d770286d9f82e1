/* Concurrency places: never more than the limit at once, and after any number of kills all of them back. */
#include "dump.h"
#include "places.h"
#include "storm.h"
#include "table.h"

enum { WORDS = 4 };
static const uint32_t limits[WORDS] = {1, 2, 5, 0 /* unlimited, counted */};

struct shared {
    uint32_t slot[WORDS];
    /* bit (actor * LINE_PLACES + k): set after the take, cleared before the giving back, so that at every
     * instant there are at most as many bits as places taken */
    _Atomic uint64_t inside[WORDS];
    _Atomic uint64_t takes[STORM_ACTORS], refusals[STORM_ACTORS];
    _Atomic uint32_t word_of[STORM_ACTORS][LINE_PLACES]; /* + 1, of what is held */
};
static_assert(STORM_ACTORS * LINE_PLACES <= 64, "a bit for each place that an actor can hold");

static uint64_t bit_of(unsigned actor, unsigned k)
{
    return UINT64_C(1) << (actor * LINE_PLACES + k);
}

static void take(struct actor *a, unsigned k)
{
    struct shared *sh = a->shared;
    unsigned w = (unsigned)actor_random(a, WORDS);
    struct shm_slot *slot = &segment_slots(a->s)[sh->slot[w]];

    if (places_take(a->s, a->slot, k, slot, limits[w]) == 0) {
        atomic_fetch_add(&sh->refusals[a->number], 1);
        ACTOR_ASSERT(limits[w] > 0);
        return;
    }
    atomic_store(&sh->word_of[a->number][k], w + 1);
    uint64_t now_inside = atomic_fetch_or(&sh->inside[w], bit_of(a->number, k)) | bit_of(a->number, k);
    ACTOR_ASSERT(limits[w] == 0 || (uint32_t)__builtin_popcountll(now_inside) <= limits[w]);
    atomic_fetch_add(&sh->takes[a->number], 1);
}

static void give(struct actor *a, unsigned k)
{
    struct shared *sh = a->shared;
    unsigned w = atomic_load(&sh->word_of[a->number][k]) - 1;

    atomic_fetch_and(&sh->inside[w], ~bit_of(a->number, k));
    atomic_store(&sh->word_of[a->number][k], 0);
    places_give(a->s, a->slot, k);
}

static void op(struct actor *a)
{
    struct shared *sh = a->shared;
    unsigned k = (unsigned)actor_random(a, LINE_PLACES);

    if (atomic_load(&sh->word_of[a->number][k]) == 0)
        take(a, k);
    else
        give(a, k);
}

static void died(struct storm *t, unsigned number, uint32_t slot)
{
    struct shared *sh = t->shared;
    (void)slot;
    for (unsigned w = 0; w < WORDS; w++)
        for (unsigned k = 0; k < LINE_PLACES; k++)
            atomic_fetch_and(&sh->inside[w], ~bit_of(number, k));
    for (unsigned k = 0; k < LINE_PLACES; k++)
        atomic_store(&sh->word_of[number][k], 0);
}

static void assert_all_back(struct storm *t)
{
    struct shared *sh = t->shared;
    for (unsigned w = 0; w < WORDS; w++) {
        struct shm_slot *slot = &segment_slots(&t->s)[sh->slot[w]];
        assert_int_equal(places_count(&slot->limit.places), 0);
        for (uint32_t i = 0; i < limits[w]; i++)
            assert_int_equal(places_take(&t->s, 100 + i, w, slot, limits[w]), 1);
        if (limits[w] > 0)
            assert_int_equal(places_take(&t->s, 200, w, slot, limits[w]), 0);
    }
}

static void run(void (*drive)(struct storm *))
{
    struct storm t = {.op = op, .died = died};
    storm_open(&t, 64, sizeof(struct shared));
    struct shared *sh = t.shared;
    for (unsigned w = 0; w < WORDS; w++) {
        char name[] = {(char)('a' + w), 0};
        struct shm_line *l = segment_line(&t.s, SLOT_MASTER);
        sh->slot[w] = table_index(&t.s, table_get(&t.s, l, w, table_id(&t.s, TABLE_KEY, str_of(name))));
    }
    drive(&t);
    uint64_t takes = 0, refusals = 0;
    for (unsigned i = 0; i < STORM_ACTORS; i++)
        takes += sh->takes[i], refusals += sh->refusals[i];
    printf("%llu taken, %llu refused\n", (unsigned long long)takes, (unsigned long long)refusals);
    assert_true(takes > 1000 && refusals > 1000);
    assert_int_equal(dump_check(stdout, &t.s, &t.s), 0);
    assert_all_back(&t);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads), cmocka_unit_test(processes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

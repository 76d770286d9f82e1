/* The table while it is filled, searched and evicted at once: one slot an identity, never taken away from
 * under a reference nor while it owes something, zero words when it is new. */
#include "dump.h"
#include "storm.h"
#include "table.h"

enum { TABLE = 256, IDS = 120, HOMES = 5 };
#define SPENT_NS (1 * NS_PER_MS)

struct shared {
    /* where each actor has each identity while it refers to it; + 1 */
    _Atomic uint32_t at[IDS][STORM_ACTORS];
    _Atomic uint64_t found[STORM_ACTORS], refused[STORM_ACTORS];
    uint64_t evicted;
};

/* Few homes, so that chains are long and full of what was evicted. */
static unsigned __int128 id_of(unsigned n)
{
    return (unsigned __int128)(n % HOMES * 7) << 64 | (uint64_t)(n + 1) << 8 | TABLE_KEY;
}

static void assert_nobody_has_it_elsewhere(struct actor *a, unsigned n, uint32_t index)
{
    struct shared *sh = a->shared;
    for (unsigned i = 0; i < STORM_ACTORS; i++) {
        uint32_t other = atomic_load(&sh->at[n][i]);
        ACTOR_ASSERT(other == 0 || other == index + 1);
    }
}

/* An eviction that passes may mark it for a moment, and then finds the reference and takes that back. */
static void assert_it_stays(const struct shm_slot *slot, unsigned __int128 id)
{
    int64_t patience = 0;

    while (atomic_load(&slot->half[0]) != (uint64_t)id ||
           atomic_load(&slot->half[1]) != (uint64_t)(id >> 64)) {
        uint64_t low = atomic_load(&slot->half[0]);
        ACTOR_ASSERT(low == (uint64_t)id || low == (uint64_t)SHM_ID_EVICTED);
        if (patience == 0)
            patience = clock_mono_ns() + 10 * NS_PER_SEC;
        ACTOR_ASSERT(clock_mono_ns() < patience);
    }
}

static void raise_to(_Atomic uint64_t *word, uint64_t to)
{
    uint64_t seen = atomic_load(word);
    while (seen < to && !atomic_compare_exchange_weak(word, &seen, to))
        ;
}

/* What was taken from a limiter counts on after it was let go, whatever an eviction saw before. */
static void spend(const struct actor *a, struct shm_line *l, unsigned n)
{
    struct shm_slot *slot = table_get(a->s, l, 0, id_of(n));
    if (!slot)
        return;
    nanosleep(&(struct timespec){.tv_nsec = 1}, NULL); /* so that evictions come in between */
    uint64_t until = (uint64_t)clock_mono_ns() + SPENT_NS;
    raise_to(&slot->limit.rpm_tat, until);
    table_release(l, 0);
    slot = table_get(a->s, l, 0, id_of(n)); /* waits for an eviction that is under way */
    ACTOR_ASSERT(!slot || atomic_load(&slot->limit.rpm_tat) >= until || (uint64_t)clock_mono_ns() >= until);
    table_release(l, 0);
}

static void op(struct actor *a)
{
    struct shared *sh = a->shared;
    struct shm_line *l = segment_line(a->s, a->slot);
    if (actor_random(a, 64) == 0)
        spend(a, l, (unsigned)actor_random(a, IDS));
    unsigned n = (unsigned)actor_random(a, IDS), ref = (unsigned)actor_random(a, LINE_REFS);
    struct shm_slot *slot = table_get(a->s, l, ref, id_of(n));

    if (!slot) {
        atomic_fetch_add(&sh->refused[a->number], 1);
        return;
    }
    /* stored after the reference and cleared before it goes: two that have one identity at two places must
     * see each other */
    atomic_store(&sh->at[n][a->number], table_index(a->s, slot) + 1);
    assert_nobody_has_it_elsewhere(a, n, table_index(a->s, slot));
    uint64_t cookie = 0, mine = n + 1;
    if (!atomic_compare_exchange_strong(&slot->limit.refused, &cookie, mine))
        ACTOR_ASSERT(cookie == mine); /* 0 when new; another's would have survived an eviction */
    for (uint64_t i = actor_random(a, 20); i > 0; i--)
        assert_it_stays(slot, id_of(n));
    ACTOR_ASSERT(atomic_load(&slot->limit.refused) == mine);
    atomic_store(&sh->at[n][a->number], 0);
    table_release(l, ref);
    atomic_fetch_add(&sh->found[a->number], 1);
}

static void died(struct storm *t, unsigned number, uint32_t slot)
{
    struct shared *sh = t->shared;
    (void)slot;
    for (unsigned n = 0; n < IDS; n++)
        atomic_store(&sh->at[n][number], 0);
}

static void master(struct storm *t, uint64_t *rnd)
{
    struct shared *sh = t->shared;
    if (storm_random(rnd) % 4 == 0)
        sh->evicted += table_evict_idle(&t->s, clock_mono_ns(), 0);
}

static void run(void (*drive)(struct storm *))
{
    struct storm t = {.op = op, .died = died, .master = master};
    storm_open(&t, TABLE, sizeof(struct shared));
    struct shared *sh = t.shared;
    drive(&t);
    uint64_t found = 0, refused = 0;
    for (unsigned i = 0; i < STORM_ACTORS; i++)
        found += sh->found[i], refused += sh->refused[i];
    printf("%llu found or claimed, %llu refused, %llu evicted\n", (unsigned long long)found,
           (unsigned long long)refused, (unsigned long long)sh->evicted);
    assert_true(found > 1000);
    assert_true(sh->evicted > IDS);
    table_recount(&t.s);
    assert_int_equal(dump_check(stdout, &t.s, &t.s), 0);
    /* nothing is left over that could not be given up */
    table_evict_idle(&t.s, clock_mono_ns() + SPENT_NS, 0);
    assert_int_equal(t.s.header->table_used, 0);
    for (uint32_t i = 0; i < TABLE; i++)
        assert_true(segment_slots(&t.s)[i].id == SHM_ID_EMPTY || segment_slots(&t.s)[i].id == SHM_ID_EVICTED);
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

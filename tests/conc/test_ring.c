/* Usage rows while workers and the ledger are killed: exactly one stored row for each that was published or
 * begun, none for what was cancelled.
 *
 * The ledger here stores into a log per line whose length is its position, so that one store commits a row
 * and the position together, as the real one's transaction does. Each worker keeps a journal of how far it
 * got with each row; it is written so that what it says is true at every instant. Actor 0 is the ledger. */
#include "ring.h"
#include "storm.h"

enum { LINES = SLOT_WORKER0 + 4 * STORM_ACTORS, ROWS = 1 << 17, KILLED = 1 << 30 };

enum journal { NOTHING, BEGINNING, BEGUN, CANCELLING, CANCELLED, PUBLISHED };

struct shared {
    _Atomic uint64_t stored[LINES]; /* the position: rows of this line below it are in the log */
    uint32_t log[LINES][ROWS];
    _Atomic uint32_t numbers[LINES]; /* of the line's rows, used up */
    _Atomic uint8_t journal[LINES][ROWS];
    _Atomic uint64_t published, killed;
};

/* ---- a worker ---- */

/* A request takes its time; here, so that the journals last for the whole storm. */
static void dawdle(struct actor *a)
{
    if (actor_random(a, 4) == 0)
        storm_nap((int64_t)actor_random(a, 400 * NS_PER_US));
}

static void write_row(struct actor *a, struct usage_row *row, uint32_t n)
{
    struct shared *sh = a->shared;
    _Atomic uint8_t *j = &sh->journal[a->slot][n];

    *row = (struct usage_row){.time_us = clock_wall_us(), .cost_pico = n, .saved_pico = ~(uint64_t)n};
    bool begin = actor_random(a, 8) != 0;
    if (begin) {
        atomic_store(j, BEGINNING);
        ring_begin(a->s, a->slot);
        atomic_store(j, BEGUN);
        dawdle(a);
    }
    row->latency_us = n + 1; /* what is written after it was begun */
    if (begin && actor_random(a, 8) == 0) {
        atomic_store(j, CANCELLING);
        ring_cancel(a->s, a->slot);
        atomic_store(j, CANCELLED);
        return;
    }
    if (!begin)
        atomic_store(j, BEGINNING);
    ring_publish(a->s, a->slot);
    atomic_store(j, PUBLISHED);
    atomic_fetch_add(&sh->published, 1);
}

static void worker(struct actor *a)
{
    struct shared *sh = a->shared;
    struct usage_row *row = ring_entry(a->s, a->slot);
    uint32_t n = atomic_load(&sh->numbers[a->slot]);

    if (!row) {
        ring_wait(a->s, a->slot, 1);
        return;
    }
    if (n >= ROWS) { /* the journal is full */
        storm_nap(NS_PER_MS);
        return;
    }
    dawdle(a);
    atomic_store(&sh->numbers[a->slot], n + 1);
    write_row(a, row, n);
}

/* ---- the ledger ---- */

static void store(struct shared *sh, uint32_t slot, uint64_t seq, uint32_t what)
{
    ACTOR_ASSERT(seq < ROWS);
    sh->log[slot][seq] = what;
    atomic_store(&sh->stored[slot], seq + 1);
}

static void drain_line(const struct segment *s, struct shared *sh, uint32_t slot)
{
    uint64_t next = atomic_load(&sh->stored[slot]), seq = 0;
    struct usage_row copy;

    for (const struct usage_row *row; (row = ring_peek(s, slot, next)) != NULL; next++) {
        ACTOR_ASSERT(row->saved_pico == ~row->cost_pico && row->latency_us == row->cost_pico + 1);
        store(sh, slot, next, (uint32_t)row->cost_pico);
    }
    if (ring_tail(s, slot) < next)
        ring_set_tail(s, slot, next);
    if (ring_open_row(s, slot, &copy, &seq)) {
        ACTOR_ASSERT(copy.saved_pico == ~copy.cost_pico && (copy.flags & USAGE_KILLED));
        if (seq >= next) {
            store(sh, slot, seq, (uint32_t)copy.cost_pico | KILLED);
            atomic_fetch_add(&sh->killed, 1);
        }
        ring_close_open(s, slot);
        scoreboard_free(s, slot);
    } else if (atomic_load(&segment_line(s, slot)->state) == LINE_SETTLED) {
        scoreboard_free(s, slot); /* the former ledger was killed between the two */
    }
}

static void drain(const struct segment *s, struct shared *sh)
{
    for (uint32_t i = SLOT_WORKER0; i < segment_slots_used(s) && i < LINES; i++)
        drain_line(s, sh, i);
}

static void op(struct actor *a)
{
    if (a->number == 0) {
        ring_ledger_sleep(a->s, 5);
        drain(a->s, a->shared);
    } else {
        worker(a);
    }
}

/* ---- */

static void assert_line(struct shared *sh, uint32_t line, uint64_t totals[2])
{
    static uint8_t times[ROWS];
    uint64_t stored = sh->stored[line];

    memset(times, 0, sizeof times);
    for (uint64_t i = 0; i < stored; i++)
        times[sh->log[line][i] & (KILLED - 1)]++;
    for (uint32_t n = 0; n < ROWS; n++) {
        enum journal j = sh->journal[line][n];
        unsigned least = j == BEGUN || j == PUBLISHED, most = j != NOTHING && j != CANCELLED;
        if (times[n] < least || times[n] > most)
            fail_msg("line %u, row %u: journal %d, stored %u times", line, n, (int)j, times[n]);
        totals[0] += times[n];
    }
    totals[1] += stored;
}

static void run(void (*drive)(struct storm *))
{
    struct storm t = {.op = op};
    storm_open(&t, 64, sizeof(struct shared));
    struct shared *sh = t.shared;
    drive(&t);
    drain(&t.s, sh);
    drain(&t.s, sh);
    uint64_t totals[2] = {0, 0};
    for (uint32_t i = SLOT_WORKER0; i < LINES; i++) {
        assert_line(sh, i, totals);
        assert_int_equal(ring_head(&t.s, i), sh->stored[i]);
        assert_int_equal(segment_line(&t.s, i)->state, LINE_FREE);
    }
    printf("%llu published, %llu of killed workers, %llu stored\n", (unsigned long long)sh->published,
           (unsigned long long)sh->killed, (unsigned long long)totals[1]);
    assert_int_equal(totals[0], totals[1]);
    assert_true(totals[0] > 1000);
    if (t.kills > 0)
        assert_true(sh->killed > 0);
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

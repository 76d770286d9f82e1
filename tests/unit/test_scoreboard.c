/* Lines: claimed, entered, reaped in every condition, freed; and places without concurrency. */
#include "metrics.h"
#include "places.h"
#include "ring.h"
#include "scoreboard.h"
#include "shm_fixture.h"
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct shm_slot *slot_of(const struct segment *s, const char *name)
{
    struct shm_line *l = segment_line(s, SLOT_ADMIN);
    struct shm_slot *slot = table_get(s, l, 0, table_id(s, TABLE_KEY, str_of(name)));
    table_release(l, 0);
    return slot;
}

static void claimed_from_the_start(void **state)
{
    const struct shm_fixture *f = *state;
    for (int i = SLOT_WORKER0; i < MAX_SLOTS; i++) {
        assert_int_equal(scoreboard_claim_worker(&f->s), i);
        assert_int_equal(segment_line(&f->s, (uint32_t)i)->state, LINE_STARTING);
        assert_int_equal(segment_slots_used(&f->s), i + 1);
    }
    assert_int_equal(scoreboard_claim_worker(&f->s), -1);
    scoreboard_free(&f->s, 500);
    scoreboard_free(&f->s, 30);
    assert_int_equal(scoreboard_claim_worker(&f->s), 30);
    assert_int_equal(scoreboard_claim_worker(&f->s), 500);
}

static void entering_starts_anew(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_line *l = segment_line(&f->s, 16);
    memset(l->model, 'x', sizeof l->model);
    l->requests = 5;
    l->held[1] = l->refs[1] = 3;
    l->place_seq = 77;
    scoreboard_enter(&f->s, 16, "a role with a name too long for it", 4, 1000);
    assert_int_equal(l->pid, getpid());
    assert_int_equal(l->state, LINE_IDLE);
    assert_int_equal(l->generation, 4);
    assert_int_equal(l->started_ns, 1000);
    assert_int_equal(l->since_ns, 1000);
    assert_int_equal(l->requests + l->held[1] + l->refs[1] + (unsigned)l->model[0], 0);
    assert_int_equal(l->place_seq, 77); /* numbers are used once */
    assert_int_equal(strlen(l->role), sizeof l->role - 1);
    scoreboard_state(l, LINE_BUSY, 2000);
    assert_int_equal(l->since_ns, 2000);
    assert_string_equal(line_state_name(l->state), "busy");
    assert_string_equal(line_state_name(77), "invalid");
    assert_string_equal(request_phase_name(PHASE_LINGER), "linger");
    assert_string_equal(request_phase_name(77), "invalid");
}

static void reaped_without_an_open_row(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_slot *key = slot_of(&f->s, "k");
    int slot = scoreboard_claim_worker(&f->s);
    scoreboard_enter(&f->s, (uint32_t)slot, "worker", 1, 1);
    struct shm_line *l = segment_line(&f->s, (uint32_t)slot);
    assert_int_equal(places_take(&f->s, (uint32_t)slot, 0, key, 1), 1);
    assert_int_equal(places_take(&f->s, (uint32_t)slot, 1, key, 1), 0);
    l->refs[0] = 1;
    scoreboard_reaped(&f->s, (uint32_t)slot);
    assert_int_equal(l->state, LINE_FREE);
    assert_int_equal(l->refs[0] + l->pid + l->held[0], 0);
    assert_int_equal(places_count(&key->limit.places), 0);
    assert_int_equal(metrics_sum(&f->s, offsetof(struct shm_metrics, places_recovered_total)), 1);
    scoreboard_reaped(&f->s, (uint32_t)slot); /* again: nothing */
    scoreboard_reaped(&f->s, MAX_SLOTS);
    assert_int_equal(places_count(&key->limit.places), 0);
}

static void reaped_with_an_open_row(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_line *l = segment_line(&f->s, 16);
    scoreboard_enter(&f->s, 16, "worker", 1, 1);
    assert_non_null(ring_entry(&f->s, 16));
    ring_begin(&f->s, 16);
    scoreboard_reaped(&f->s, 16);
    assert_int_equal(l->state, LINE_SETTLED);
    assert_int_equal(scoreboard_claim_worker(&f->s), 17); /* not to be used before the row is stored */
    ring_close_open(&f->s, 16);
    scoreboard_free(&f->s, 16);
    assert_int_equal(scoreboard_claim_worker(&f->s), 16);
}

static void reaped_while_inserting(void **state)
{
    const struct shm_fixture *f = *state;
    scoreboard_enter(&f->s, 16, "worker", 1, 1);
    slot_of(&f->s, "a");
    segment_line(&f->s, 16)->inserting = 1; /* killed between the claim and the count */
    f->s.header->table_used = 0;
    scoreboard_reaped(&f->s, 16);
    assert_int_equal(f->s.header->table_used, 1);
    assert_int_equal(f->s.header->insert_gate, 0);
    assert_int_equal(table_evict_idle(&f->s, 10000, 1), 1);
}

static void places_up_to_the_limit(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_slot *key = slot_of(&f->s, "k");
    for (uint32_t limit = 1; limit <= 5; limit++) {
        for (uint32_t i = 0; i < limit; i++)
            assert_int_equal(places_take(&f->s, 20 + i, 1, key, limit), 1);
        assert_int_equal(places_take(&f->s, 40, 1, key, limit), 0);
        assert_int_equal(segment_line(&f->s, 40)->place_intent, 0);
        places_give(&f->s, 20, 1);
        assert_int_equal(places_take(&f->s, 40, 1, key, limit), 1);
        places_give(&f->s, 40, 1);
        for (uint32_t i = 0; i < limit; i++)
            places_give(&f->s, 20 + i, 1); /* the first one's second time: nothing */
        assert_int_equal(places_count(&key->limit.places), 0);
    }
    /* unlimited ones count as well; a k that is in use takes no second place; wrong arguments take none */
    assert_int_equal(places_take(&f->s, 20, 0, key, 0), 1);
    assert_int_equal(places_take(&f->s, 20, 0, key, 0), 0);
    assert_int_equal(places_take(&f->s, 20, LINE_PLACES, key, 0), 0);
    assert_int_equal(places_take(&f->s, MAX_SLOTS, 0, key, 0), 0);
    places_give(&f->s, MAX_SLOTS, 0);
    assert_int_equal(places_count(&key->limit.places), 1);
}

/* The line as a kill left it at each step of an operation, with and without another one's change after it. */
static void recovered_from_every_step(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_slot *key = slot_of(&f->s, "k");
    struct shm_line *l = segment_line(&f->s, 20);
    for (int other = 0; other < 2; other++) {
        for (int step = 0; step < 8; step++) {
            key->limit.places = 0;
            assert_int_equal(places_take(&f->s, 30, 0, key, 0), 1); /* somebody else's */
            uint64_t before = key->limit.places;
            assert_int_equal(places_take(&f->s, 20, 2, key, 0), 1);
            uint64_t seq = l->place_seq, index = table_index(&f->s, key), word = key->limit.places;
            if (step < 4) { /* a take: intent stored; word changed; held stored; intent cleared */
                l->place_intent = step < 3 ? index << 44 | UINT64_C(2) << 42 | UINT64_C(1) << 40 | seq : 0;
                l->held[2] = step >= 2 ? (uint32_t)index + 1 : 0;
                key->limit.places = step >= 1 ? word : before;
            } else { /* a give */
                uint64_t taken = word;
                places_give(&f->s, 20, 2);
                seq = l->place_seq, word = key->limit.places;
                l->place_intent = step < 7 ? index << 44 | UINT64_C(2) << 42 | UINT64_C(2) << 40 | seq : 0;
                l->held[2] = step < 6 ? (uint32_t)index + 1 : 0;
                key->limit.places = step >= 5 ? word : taken;
            }
            if (other)
                assert_int_equal(places_take(&f->s, 31, 0, key, 0), 1);
            places_recover(&f->s, 20);
            if (places_count(&key->limit.places) != 1 + (unsigned)other)
                fail_msg("step %d, other %d: %u", step, other, places_count(&key->limit.places));
            assert_int_equal(l->held[2] + l->place_intent, 0);
            assert_int_equal(places_recover(&f->s, 20), 0);
            places_give(&f->s, 30, 0);
            places_give(&f->s, 31, 0);
        }
    }
}

static void nonsense_in_a_line_does_no_harm(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_line *l = segment_line(&f->s, 20);
    l->place_intent = UINT64_MAX;
    l->held[0] = UINT32_MAX;
    l->held[1] = FIXTURE_TABLE + 1;
    l->held[2] = 1;
    assert_int_equal(places_recover(&f->s, 20), 1); /* of a word that is 0: it stays 0 */
    assert_int_equal(places_count(&segment_slots(&f->s)[0].limit.places), 0);
    assert_int_equal(places_recover(&f->s, MAX_SLOTS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(claimed_from_the_start),     SHM_TEST(entering_starts_anew),
        SHM_TEST(reaped_without_an_open_row), SHM_TEST(reaped_with_an_open_row),
        SHM_TEST(reaped_while_inserting),     SHM_TEST(places_up_to_the_limit),
        SHM_TEST(recovered_from_every_step),  SHM_TEST(nonsense_in_a_line_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

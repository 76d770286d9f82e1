/* Usage rings: in order, bounded, open rows in every condition, waiting. */
#include "clock.h"
#include "ring.h"
#include "scoreboard.h"
#include "shm_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { W = 16 };

static void publish(const struct segment *s, uint64_t mark)
{
    struct usage_row *row = ring_entry(s, W);
    assert_non_null(row);
    memset(row, 0, sizeof *row);
    row->cost_pico = mark;
    ring_publish(s, W);
}

static void in_order_and_bounded(void **state)
{
    const struct shm_fixture *f = *state;
    uint64_t next = 0, mark = 0;
    scoreboard_enter(&f->s, W, "worker", 1, 1);
    assert_null(ring_peek(&f->s, W, 0));
    for (int round = 0; round < 20; round++) {
        unsigned n = 1 + (unsigned)round % SHM_RING_ROWS;
        for (unsigned i = 0; i < n; i++)
            publish(&f->s, ++mark);
        if (n == SHM_RING_ROWS)
            assert_null(ring_entry(&f->s, W));
        for (unsigned i = 0; i < n; i++, next++) {
            const struct usage_row *row = ring_peek(&f->s, W, next);
            assert_non_null(row);
            assert_int_equal(row->cost_pico, next + 1);
        }
        assert_null(ring_peek(&f->s, W, next));
        assert_int_equal(ring_head(&f->s, W), next);
        ring_set_tail(&f->s, W, next);
        assert_int_equal(ring_tail(&f->s, W), next);
    }
    assert_null(ring_peek(&f->s, W, next - SHM_RING_ROWS - 1));
    assert_null(ring_peek(&f->s, W, UINT64_MAX));
    assert_null(ring_peek(&f->s, MAX_SLOTS, 0));
    assert_null(ring_entry(&f->s, MAX_SLOTS));
}

static void open_rows(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_line *l = segment_line(&f->s, W);
    struct usage_row row;
    uint64_t seq = 99;
    scoreboard_enter(&f->s, W, "worker", 1, 1);
    publish(&f->s, 1);

    /* begun, then published */
    ring_begin(&f->s, W);
    assert_true(ring_is_open(&f->s, W));
    publish(&f->s, 2);
    assert_false(ring_is_open(&f->s, W));
    /* begun, then dropped */
    ring_begin(&f->s, W);
    ring_cancel(&f->s, W);
    assert_false(ring_is_open(&f->s, W));
    /* begun, and the line's process is alive: not the ledger's */
    struct usage_row *e = ring_entry(&f->s, W);
    *e = (struct usage_row){.time_us = clock_wall_us() - 5000000, .tokens = {.input = 7}, .status = 200};
    ring_begin(&f->s, W);
    l->run_input = 3;
    l->run_output = 11;
    scoreboard_state(l, LINE_BUSY, clock_mono_ns());
    assert_int_equal(ring_open_row(&f->s, W, &row, &seq), 0);
    /* … and dead */
    scoreboard_reaped(&f->s, W);
    assert_int_equal(ring_open_row(&f->s, W, &row, &seq), 1);
    assert_int_equal(seq, 2);
    assert_true(row.flags & USAGE_KILLED);
    assert_int_equal(row.tokens.input, 7); /* the larger of what the row and the line say */
    assert_int_equal(row.tokens.output, 11);
    assert_true(row.latency_us >= 4900000 && row.latency_us < 20000000);
    assert_false(e->flags & USAGE_KILLED); /* the ring's own is not changed */
    /* asking again gives the same; closing counts it, twice or once */
    assert_int_equal(ring_open_row(&f->s, W, &row, &seq), 1);
    ring_close_open(&f->s, W);
    assert_int_equal(ring_head(&f->s, W), 3);
    assert_int_equal(ring_tail(&f->s, W), 3);
    ring_close_open(&f->s, W);
    assert_int_equal(ring_head(&f->s, W), 3);
    assert_int_equal(ring_open_row(&f->s, W, &row, &seq), 0);
    /* the next owner goes on */
    scoreboard_free(&f->s, W);
    scoreboard_enter(&f->s, W, "worker", 1, 1);
    publish(&f->s, 4);
    assert_int_equal(ring_peek(&f->s, W, 3)->cost_pico, 4);
}

static void killed_while_publishing(void **state)
{
    const struct shm_fixture *f = *state;
    struct usage_row row;
    uint64_t seq;
    scoreboard_enter(&f->s, W, "worker", 1, 1);
    ring_begin(&f->s, W);
    segment_ring(&f->s, W)->head = 1; /* published; open_row not cleared yet */
    scoreboard_reaped(&f->s, W);
    assert_int_equal(segment_line(&f->s, W)->state, LINE_FREE);
    assert_int_equal(ring_open_row(&f->s, W, &row, &seq), 0);
    assert_non_null(ring_peek(&f->s, W, 0));
}

static void nonsense_is_no_open_row(void **state)
{
    const struct shm_fixture *f = *state;
    static const uint64_t values[] = {2, 9, UINT64_MAX};
    struct usage_row row;
    uint64_t seq;
    segment_line(&f->s, W)->state = LINE_SETTLED;
    for (size_t i = 0; i < 3; i++) {
        segment_line(&f->s, W)->open_row = values[i];
        assert_int_equal(ring_open_row(&f->s, W, &row, &seq), 0);
    }
    assert_int_equal(ring_open_row(&f->s, MAX_SLOTS, &row, &seq), 0);
    /* a start in the future, as clocks are set: no negative latency */
    segment_line(&f->s, W)->open_row = 1;
    segment_ring(&f->s, W)->rows[0].time_us = INT64_MAX / 4;
    assert_int_equal(ring_open_row(&f->s, W, &row, &seq), 1);
    assert_int_equal(row.latency_us, 0);
    segment_ring(&f->s, W)->rows[0].time_us = 0;
    assert_int_equal(ring_open_row(&f->s, W, &row, &seq), 1);
    assert_int_equal(row.latency_us, UINT32_MAX);
}

static void waiting(void **state)
{
    const struct shm_fixture *f = *state;
    scoreboard_enter(&f->s, W, "worker", 1, 1);
    assert_true(ring_wait(&f->s, W, 0));
    for (unsigned i = 0; i < SHM_RING_ROWS; i++)
        publish(&f->s, i);
    assert_false(ring_wait(&f->s, W, 0));
    assert_false(ring_wait(&f->s, W, 1));
    ring_set_tail(&f->s, W, 1);
    assert_true(ring_wait(&f->s, W, 0));
    assert_int_equal(segment_ring(&f->s, W)->producer_waits, 0);

    /* the first sleep only arms; news since then end the next one at once */
    int64_t start = clock_mono_ns();
    ring_ledger_sleep(&f->s, 100000);
    assert_int_equal(f->s.header->ledger_asleep, 1);
    publish(&f->s, 9);
    assert_int_equal(f->s.header->ledger_asleep, 0);
    ring_ledger_sleep(&f->s, 100000);
    ring_wake_ledger(&f->s);
    ring_ledger_sleep(&f->s, 100000);
    assert_true(clock_mono_ns() - start < 50 * NS_PER_SEC);
    ring_ledger_sleep(&f->s, 1); /* nothing new: the time passes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(in_order_and_bounded),    SHM_TEST(open_rows), SHM_TEST(killed_while_publishing),
        SHM_TEST(nonsense_is_no_open_row), SHM_TEST(waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

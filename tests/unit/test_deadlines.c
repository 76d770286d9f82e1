/* The heap of deadlines against a plain list that is searched each time. */
#include "clock.h"
#include "deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { THINGS = 200, STEPS = 20000 };

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static const struct deadline *earliest(const struct deadline things[THINGS], int64_t now)
{
    const struct deadline *best = NULL;
    for (int i = 0; i < THINGS; i++)
        if (things[i].place && things[i].at_ns <= now && (!best || things[i].at_ns < best->at_ns))
            best = &things[i];
    return best;
}

static void test_against_a_list(void **state)
{
    (void)state;
    struct deadlines d;
    struct deadline things[THINGS] = {{0, 0}};
    uint64_t x = 88172645463325252U;
    size_t in = 0;
    deadlines_init(&d);
    for (int step = 0; step < STEPS; step++) {
        struct deadline *t = &things[next_random(&x) % THINGS];
        if (next_random(&x) % 3) {
            in += t->place == 0;
            deadline_set(&d, t, (int64_t)(next_random(&x) % 1000));
        } else {
            in -= t->place != 0;
            deadline_clear(&d, t);
            assert_int_equal(t->place, 0);
        }
        assert_int_equal(d.n, in);
        int64_t now = (int64_t)(next_random(&x) % 1000);
        const struct deadline *due = deadline_due(&d, now), *want = earliest(things, now);
        assert_int_equal(due != NULL, want != NULL);
        if (due)
            assert_int_equal(due->at_ns, want->at_ns);
    }
    deadlines_fini(&d);
}

static void test_waiting(void **state)
{
    (void)state;
    struct deadlines d;
    struct deadline a = {0, 0};
    deadlines_init(&d);
    assert_int_equal(deadlines_wait_ms(&d, 0, 500), 500);
    assert_null(deadline_due(&d, INT64_MAX));
    deadline_set(&d, &a, 10 * NS_PER_MS + 1);
    assert_int_equal(deadlines_wait_ms(&d, 0, 500), 11); /* rounded up: never awake for nothing */
    assert_int_equal(deadlines_wait_ms(&d, 0, 5), 5);
    assert_int_equal(deadlines_wait_ms(&d, 20 * NS_PER_MS, 500), 0);
    deadline_clear(&d, &a);
    deadline_clear(&d, &a); /* twice does no harm */
    assert_int_equal(d.n, 0);
    deadlines_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

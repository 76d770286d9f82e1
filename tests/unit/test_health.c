/* A provider's health as its calls show it. */
#include "clock.h"
#include "health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_failures_count_until_an_answer(void **state)
{
    (void)state;
    struct shm_slot s = {0};
    health_failed(&s, 5);
    health_failed(&s, 7);
    assert_int_equal(s.health.failures, 2);
    assert_int_equal(s.health.last_fail_ns, 7);
    health_ok(&s, NS_PER_SEC, 100);
    assert_int_equal(s.health.failures, 0);
    assert_int_equal(s.health.last_ok_ns, NS_PER_SEC);
    assert_int_equal(s.health.last_fail_ns, 7);
}

static void test_an_answer_clears_failures_at_once(void **state)
{
    (void)state;
    struct shm_slot s = {0};
    health_ok(&s, NS_PER_SEC, 100);
    health_failed(&s, NS_PER_SEC + 1);
    health_ok(&s, NS_PER_SEC + 2, 100); /* within the 10 ms in which nothing else is noted */
    assert_int_equal(s.health.failures, 0);
    assert_int_equal(s.health.last_ok_ns, NS_PER_SEC);
}

static void test_latency_follows(void **state)
{
    (void)state;
    struct shm_slot s = {0};
    int64_t now = NS_PER_SEC;
    health_ok(&s, now, 800);
    assert_int_equal(s.health.latency_ewma_us, 800);
    health_ok(&s, now += 20 * NS_PER_MS, 1600);
    assert_int_equal(s.health.latency_ewma_us, 900);
    for (int i = 0; i < 200; i++)
        health_ok(&s, now += 20 * NS_PER_MS, 4000);
    assert_in_range(s.health.latency_ewma_us, 3900, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_count_until_an_answer),
        cmocka_unit_test(test_an_answer_clears_failures_at_once),
        cmocka_unit_test(test_latency_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

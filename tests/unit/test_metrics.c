/* Counters and histograms. */
#include "metrics.h"
#include "shm_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

static void the_list_matches_the_struct(void **state)
{
    (void)state;
    assert_true(metric_count > 50);
    for (size_t i = 0; i < metric_count; i++) {
        assert_int_equal(metric_list[i].offset, i * sizeof(uint64_t));
        assert_true(strcmp(metric_list[i].type, "counter") == 0 || strcmp(metric_list[i].type, "gauge") == 0);
        assert_true(strlen(metric_list[i].help) > 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(metric_list[i].name, metric_list[k].name);
    }
}

static void sums_over_all_slots_in_use(void **state)
{
    const struct shm_fixture *f = *state;
    size_t offset = offsetof(struct shm_metrics, requests_total);
    f->s.header->slots_used = 40;
    for (uint32_t i = 0; i < 40; i++)
        metric_add(&segment_metrics(&f->s, i)->requests_total, i);
    METRIC_INC(segment_metrics(&f->s, 7), requests_total);
    assert_int_equal(metrics_sum(&f->s, offset), 39 * 40 / 2 + 1);
    assert_int_equal(metrics_sum(&f->s, offsetof(struct shm_metrics, auth_failed_total)), 0);
    assert_int_equal(metrics_sum(&f->s, sizeof(struct shm_metrics)), 0);
    assert_null(segment_metrics(&f->s, MAX_SLOTS));
}

static void values_fall_into_the_smallest_bucket_that_holds_them(void **state)
{
    const struct shm_fixture *f = *state;
    static const struct {
        int64_t us;
        unsigned bucket; /* HISTOGRAM_BUCKETS: above all */
    } cases[] = {
        {-5, 0},
        {0, 0},
        {1, 0},
        {100, 0},
        {101, 1},
        {200, 1},
        {201, 2},
        {400, 2},
        {401, 3},
        {800, 3},
        {1600, 4},
        {1601, 5},
        {INT64_C(100) << 22, 22},
        {(INT64_C(100) << 22) + 1, 23},
        {INT64_C(100) << 23, 23},
        {(INT64_C(100) << 23) + 1, HISTOGRAM_BUCKETS},
        {INT64_MAX / 100, HISTOGRAM_BUCKETS},
    };
    f->s.header->slots_used = 20;
    struct shm_histogram *h = &segment_metrics(&f->s, 17)->ttft;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(h, 0, sizeof *h);
        histogram_add(h, cases[i].us);
        uint64_t bucket[HISTOGRAM_BUCKETS], count, sum;
        metrics_sum_histogram(&f->s, offsetof(struct shm_metrics, ttft), bucket, &count, &sum);
        assert_int_equal(count, 1);
        assert_int_equal(sum, cases[i].us > 0 ? cases[i].us : 0);
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            if (bucket[b] != (b == cases[i].bucket))
                fail_msg("%lld us: bucket %u", (long long)cases[i].us, b);
        if (cases[i].bucket < HISTOGRAM_BUCKETS)
            assert_true((double)cases[i].us / 1e6 <= histogram_bound_s(cases[i].bucket));
        if (cases[i].bucket > 0)
            assert_true((double)cases[i].us / 1e6 > histogram_bound_s(cases[i].bucket - 1));
    }
    assert_true(fabs(histogram_bound_s(0) - 0.0001) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_matches_the_struct),
        SHM_TEST(sums_over_all_slots_in_use),
        SHM_TEST(values_fall_into_the_smallest_bucket_that_holds_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Counters and histograms (metrics.h): the owner of a slab adds, anyone sums. */
#include "metrics.h"

const struct metric_info metric_list[] = {
#define METRIC(name, type, help) {#name, #type, help, offsetof(struct shm_metrics, name)},
#include "metrics.def"
};
const size_t metric_count = sizeof metric_list / sizeof metric_list[0];

/* The smallest i with us <= 100 << i; HISTOGRAM_BUCKETS when none is. */
static unsigned bucket_of(uint64_t us)
{
    if (us <= 100)
        return 0;
    uint64_t hundreds = (us - 1) / 100; /* > 0; us <= 100 << i exactly when hundreds < 1 << i */
    unsigned i = 64 - (unsigned)__builtin_clzll(hundreds);
    return i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS;
}

void histogram_add(struct shm_histogram *h, int64_t us)
{
    uint64_t v = us > 0 ? (uint64_t)us : 0;
    unsigned i = bucket_of(v);

    if (i < HISTOGRAM_BUCKETS)
        metric_add(&h->bucket[i], 1);
    metric_add(&h->sum_us, v);
    metric_add(&h->count, 1);
}

double histogram_bound_s(unsigned bucket)
{
    return (double)(UINT64_C(100) << (bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS)) / 1e6;
}

static uint64_t sum_at(const struct segment *s, size_t offset)
{
    uint32_t slots = segment_slots_used(s);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < slots; i++) {
        const char *slab = (const char *)segment_metrics(s, i);
        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(slab + offset),
                                    memory_order_relaxed);
    }
    return sum;
}

uint64_t metrics_sum(const struct segment *s, size_t offset)
{
    return offset % sizeof(uint64_t) == 0 && offset < sizeof(struct shm_metrics) ? sum_at(s, offset) : 0;
}

void metrics_sum_histogram(const struct segment *s, size_t offset, uint64_t bucket[HISTOGRAM_BUCKETS],
                           uint64_t *count, uint64_t *sum_us)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        bucket[i] = metrics_sum(s, offset + offsetof(struct shm_histogram, bucket) + i * sizeof(uint64_t));
    *count = metrics_sum(s, offset + offsetof(struct shm_histogram, count));
    *sum_us = metrics_sum(s, offset + offsetof(struct shm_histogram, sum_us));
}

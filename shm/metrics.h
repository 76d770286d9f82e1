/* Per-process counters and histograms: each slot has a slab of its own that only its owner adds to (relaxed),
 * a reader sums them all. A slab goes on over its slot's owners, so sums never go down. */
#ifndef SHM_METRICS_H
#define SHM_METRICS_H

#include "segment.h"

enum { HISTOGRAM_BUCKETS = 24 };
/* Bucket i counts values <= 2^i * 100 µs (100 µs … 14 min); what is above counts in sum and count only. */
struct shm_histogram {
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS], count, sum_us;
};

struct shm_metrics {
#define METRIC(name, type, help) _Atomic uint64_t name;
#include "metrics.def"
    struct shm_histogram duration, ttft, overhead; /* whole request; to the first byte; gateway's own part */
};

/* Counter names, types and helps in the order of the struct, for the dump and for Prometheus. */
struct metric_info {
    const char *name, *type, *help;
    size_t offset; /* in struct shm_metrics */
};
extern const struct metric_info metric_list[];
extern const size_t metric_count;

static inline void metric_add(_Atomic uint64_t *counter, uint64_t n)
{
    /* one writer: a plain add would do, the atomic store keeps readers from seeing half a value */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
#define METRIC_INC(m, name) metric_add(&(m)->name, 1)

/* By the slot's owner only, as metric_add; a negative duration counts as 0. */
void histogram_add(struct shm_histogram *h, int64_t us);
/* The longest duration, in seconds, of that bucket; what is longer than the last one's is in none. */
double histogram_bound_s(unsigned bucket);
/* Sum over all slots. */
uint64_t metrics_sum(const struct segment *s, size_t offset);
void metrics_sum_histogram(const struct segment *s, size_t offset, uint64_t bucket[HISTOGRAM_BUCKETS],
                           uint64_t *count, uint64_t *sum_us);

#endif

/* A provider's health as its calls show it (health.h). Run by workers.
 *
 * The moving average may lose a sample when two workers write at once: it is a picture, nothing is decided on
 * its last digit. Memory order: relaxed, the words guard nothing and need no order among each other. */
#include "health.h"

#include "clock.h"

enum { EWMA_SHARE = 8 }; /* a sample moves the average by an eighth of the difference */
#define NOTE_EACH_NS (10 * NS_PER_MS)

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(_Atomic uint64_t *word, uint64_t v)
{
    atomic_store_explicit(word, v, memory_order_relaxed);
}

void health_ok(struct shm_slot *provider, int64_t now_ns, int64_t latency_us)
{
    uint64_t now = (uint64_t)now_ns, sample = latency_us > 0 ? (uint64_t)latency_us : 0;
    uint64_t last = get(&provider->health.last_ok_ns);

    if (get(&provider->health.failures) != 0)
        set(&provider->health.failures, 0);
    if (now < last + (uint64_t)NOTE_EACH_NS)
        return;
    uint64_t average = get(&provider->health.latency_ewma_us);
    set(&provider->health.last_ok_ns, now);
    set(&provider->health.latency_ewma_us,
        average == 0 ? sample : average + sample / EWMA_SHARE - average / EWMA_SHARE);
}

void health_failed(struct shm_slot *provider, int64_t now_ns)
{
    atomic_fetch_add_explicit(&provider->health.failures, 1, memory_order_relaxed);
    set(&provider->health.last_fail_ns, (uint64_t)now_ns);
}

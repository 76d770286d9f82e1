#include "stage.h"

struct shm_staged *stage_entry(const struct segment *s, uint64_t n)
{
    struct shm_stage *st = segment_stage(s);
    uint64_t head = atomic_load_explicit(&st->head, memory_order_relaxed); /* our own */
    /* acquire: the storing thread has read the rows whose places we reuse */
    uint64_t tail = atomic_load_explicit(&st->tail, memory_order_acquire);
    if (head + n - tail >= SHM_STAGE_ROWS)
        return NULL;
    return &st->rows[(head + n) % SHM_STAGE_ROWS];
}

void stage_publish(const struct segment *s, uint64_t n)
{
    struct shm_stage *st = segment_stage(s);
    /* release: the entries are whole */
    atomic_store_explicit(&st->head, atomic_load_explicit(&st->head, memory_order_relaxed) + n,
                          memory_order_release);
}

const struct shm_staged *stage_peek(const struct segment *s, uint64_t n)
{
    struct shm_stage *st = segment_stage(s);
    uint64_t tail = atomic_load_explicit(&st->tail, memory_order_relaxed); /* our own */
    /* acquire: pairs with stage_publish */
    uint64_t staged = atomic_load_explicit(&st->head, memory_order_acquire) - tail;
    if (n >= staged || staged > SHM_STAGE_ROWS)
        return NULL;
    return &st->rows[(tail + n) % SHM_STAGE_ROWS];
}

void stage_consume(const struct segment *s, uint64_t n)
{
    struct shm_stage *st = segment_stage(s);
    /* release: we have read the rows */
    atomic_store_explicit(&st->tail, atomic_load_explicit(&st->tail, memory_order_relaxed) + n,
                          memory_order_release);
}

uint64_t stage_waiting(const struct segment *s)
{
    const struct shm_stage *st = segment_stage(s);
    uint64_t tail = atomic_load_explicit(&st->tail, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&st->head, memory_order_acquire);
    return head > tail && head - tail <= SHM_STAGE_ROWS ? head - tail : 0;
}

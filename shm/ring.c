/* Usage rings (ring.h): a worker produces, the ledger consumes, each line's ring goes on over its owners.
 *
 * Every row has a sequence number, that of `head` when it was begun. The number decides everything:
 *   number < head                  published
 *   open_row == number + 1 > head  begun; if its worker is dead, the ledger writes it, marked killed
 *   number < position in the store stored, whatever head and tail say
 * Publishing is the one store to head; a kill between it and the clearing of open_row leaves
 * open_row <= head, which says published. If the ledger dies between its commit and ring_close_open, the new
 * one finds the open row with a number below its stored position: it must not add it again, only close it.
 *
 * Waking. The ledger arms `ledger_asleep` before it drains, and sleeps only while it is still armed; a
 * producer publishes and then disarms. In the single order of these four seq_cst accesses either the drain
 * sees the row or the producer sees the flag. The same for a producer that waits for room (producer_waits).
 * The mapping is shared, so the futex calls are not the private ones. */
#include "ring.h"

#include "clock.h"
#include "scoreboard.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void futex_wait(_Atomic uint32_t *word, uint32_t value, int timeout_ms)
{
    int64_t ms = timeout_ms > 0 ? timeout_ms : 0;
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

/* Wakes the one waiter behind a flag, once; costs a load when nobody waits. */
static void wake(_Atomic uint32_t *flag)
{
    uint32_t armed = 1;
    if (atomic_load(flag) == 1 && atomic_compare_exchange_strong(flag, &armed, 0))
        syscall(SYS_futex, flag, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static struct usage_row *row_at(struct shm_ring *r, uint64_t seq)
{
    return &r->rows[seq % SHM_RING_ROWS];
}

static bool has_room(const struct shm_ring *r)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed); /* our own, when we produce */
    /* the ledger moved tail after it had copied the rows: seq_cst includes the acquire for reusing them */
    return head - atomic_load(&r->tail) < SHM_RING_ROWS;
}

struct usage_row *ring_entry(const struct segment *s, uint32_t slot)
{
    struct shm_ring *r = segment_ring(s, slot);
    if (!r || !has_room(r))
        return NULL;
    return row_at(r, atomic_load_explicit(&r->head, memory_order_relaxed));
}

void ring_begin(const struct segment *s, uint32_t slot)
{
    struct shm_line *l = segment_line(s, slot);
    struct shm_ring *r = segment_ring(s, slot);

    atomic_store_explicit(&l->run_input, 0, memory_order_relaxed);
    atomic_store_explicit(&l->run_output, 0, memory_order_relaxed);
    /* release: an open row's static fields are whole */
    atomic_store_explicit(&l->open_row, atomic_load_explicit(&r->head, memory_order_relaxed) + 1,
                          memory_order_release);
}

void ring_publish(const struct segment *s, uint32_t slot)
{
    struct shm_line *l = segment_line(s, slot);
    struct shm_ring *r = segment_ring(s, slot);

    atomic_store(&r->head, atomic_load_explicit(&r->head, memory_order_relaxed) + 1);
    atomic_store_explicit(&l->open_row, 0, memory_order_release);
    ring_wake_ledger(s);
}

void ring_cancel(const struct segment *s, uint32_t slot)
{
    atomic_store_explicit(&segment_line(s, slot)->open_row, 0, memory_order_release);
}

bool ring_wait(const struct segment *s, uint32_t slot, int timeout_ms)
{
    struct shm_ring *r = segment_ring(s, slot);
    int64_t deadline = clock_mono_ns() + timeout_ms * NS_PER_MS;

    while (!has_room(r)) {
        int64_t left = deadline - clock_mono_ns();
        if (left <= 0)
            return false;
        atomic_store(&r->producer_waits, 1);
        if (has_room(r))
            break;
        futex_wait(&r->producer_waits, 1, (int)(left / NS_PER_MS) + 1);
    }
    atomic_store_explicit(&r->producer_waits, 0, memory_order_relaxed);
    return true;
}

const struct usage_row *ring_peek(const struct segment *s, uint32_t slot, uint64_t next)
{
    struct shm_ring *r = segment_ring(s, slot);
    if (!r)
        return NULL;
    uint64_t head = atomic_load(&r->head); /* pairs with ring_publish: the row is whole */
    return next < head && head - next <= SHM_RING_ROWS ? row_at(r, next) : NULL;
}

uint64_t ring_head(const struct segment *s, uint32_t slot)
{
    return atomic_load(&segment_ring(s, slot)->head);
}

uint64_t ring_tail(const struct segment *s, uint32_t slot)
{
    return atomic_load(&segment_ring(s, slot)->tail);
}

void ring_set_tail(const struct segment *s, uint32_t slot, uint64_t tail)
{
    struct shm_ring *r = segment_ring(s, slot);
    atomic_store(&r->tail, tail);
    wake(&r->producer_waits);
}

bool ring_is_open(const struct segment *s, uint32_t slot)
{
    return atomic_load_explicit(&segment_line(s, slot)->open_row, memory_order_acquire) ==
           atomic_load(&segment_ring(s, slot)->head) + 1;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* From the request's start, which the row has in wall time, to the death, which the line has in monotonic. */
static uint32_t latency_us(const struct shm_line *l, const struct usage_row *row)
{
    int64_t died_us = clock_wall_us() - (clock_mono_ns() - atomic_load(&l->since_ns)) / NS_PER_US;
    int64_t us = died_us - row->time_us;
    if (us < 0)
        return 0;
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

int ring_open_row(const struct segment *s, uint32_t slot, struct usage_row *row, uint64_t *seq)
{
    const struct shm_line *l = segment_line(s, slot);

    /* acquire: the master's settling, and before it all that the dead process wrote */
    if (!l || atomic_load_explicit(&l->state, memory_order_acquire) != LINE_SETTLED || !ring_is_open(s, slot))
        return 0;
    *seq = ring_head(s, slot);
    *row = *row_at(segment_ring(s, slot), *seq);
    row->flags |= USAGE_KILLED;
    row->tokens.input = larger(row->tokens.input, atomic_load(&l->run_input));
    row->tokens.output = larger(row->tokens.output, atomic_load(&l->run_output));
    row->latency_us = latency_us(l, row);
    return 1;
}

void ring_close_open(const struct segment *s, uint32_t slot)
{
    struct shm_line *l = segment_line(s, slot);
    struct shm_ring *r = segment_ring(s, slot);

    if (ring_is_open(s, slot)) {
        uint64_t next = atomic_load(&r->head) + 1;
        atomic_store(&r->head, next); /* head before tail: tail never passes it */
        atomic_store(&r->tail, next);
    }
    atomic_store_explicit(&l->open_row, 0, memory_order_release);
}

void ring_wake_ledger(const struct segment *s)
{
    wake(&s->header->ledger_asleep);
}

void ring_ledger_sleep(const struct segment *s, int timeout_ms)
{
    _Atomic uint32_t *asleep = &s->header->ledger_asleep;

    if (atomic_load(asleep) == 1)
        futex_wait(asleep, 1, timeout_ms);
    atomic_store(asleep, 1); /* armed for the drain that the caller does now */
}

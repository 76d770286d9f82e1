/* The scoreboard: who may use a line, and what becomes of it after a death.
 *
 *   FREE → STARTING (master, before the fork) → IDLE ⇄ BUSY → DRAINING   by the line's process
 *   any of these → DEAD (master, after waitpid) → SETTLED → FREE (ledger, when the open row is stored)
 *                                               ↘ FREE (master, when there is no open row)
 * A line's ring, slab and operation numbers go on over its owners; everything else starts anew. */
#include "scoreboard.h"

#include "clock.h"
#include "metrics.h"
#include "places.h"
#include "ring.h"
#include "table.h"

#include <unistd.h>

/* Raises the mark that scans end at; before the line is used. */
static void use_slot(const struct segment *s, uint32_t slot)
{
    _Atomic uint32_t *used = &s->header->slots_used;
    uint32_t seen = atomic_load(used);
    while (seen < slot + 1 && !atomic_compare_exchange_weak(used, &seen, slot + 1))
        ;
}

static void clear_line(struct shm_line *l)
{
    atomic_store_explicit(&l->pid, 0, memory_order_relaxed);
    atomic_store_explicit(&l->open_row, 0, memory_order_relaxed);
    atomic_store_explicit(&l->place_intent, 0, memory_order_relaxed);
    for (unsigned k = 0; k < LINE_PLACES; k++)
        atomic_store_explicit(&l->held[k], 0, memory_order_relaxed);
    for (unsigned k = 0; k < LINE_REFS; k++)
        atomic_store_explicit(&l->refs[k], 0, memory_order_relaxed);
    atomic_store_explicit(&l->inserting, 0, memory_order_relaxed);
    atomic_store_explicit(&l->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&l->run_input, 0, memory_order_relaxed);
    atomic_store_explicit(&l->run_output, 0, memory_order_relaxed);
    atomic_store_explicit(&l->phase, PHASE_NONE, memory_order_relaxed);
    atomic_store_explicit(&l->provider, 0, memory_order_relaxed);
    memset(l->role, 0, sizeof l->role);
    memset(l->model, 0, sizeof l->model);
    l->generation = 0;
}

void scoreboard_state(struct shm_line *l, enum line_state state, int64_t now_ns)
{
    atomic_store_explicit(&l->since_ns, now_ns, memory_order_relaxed);
    /* release: whoever sees the state sees what was written for it */
    atomic_store_explicit(&l->state, state, memory_order_release);
}

/* A scan from the start keeps few lines in use, so few pages; 1,500 lines take 20 µs, a fork ten times that.
 */
int scoreboard_claim_worker(const struct segment *s)
{
    for (uint32_t i = SLOT_WORKER0; i < MAX_SLOTS; i++) {
        struct shm_line *l = segment_line(s, i);
        if (atomic_load_explicit(&l->state, memory_order_acquire) != LINE_FREE)
            continue;
        use_slot(s, i);
        clear_line(l);
        scoreboard_state(l, LINE_STARTING, clock_mono_ns());
        return (int)i;
    }
    return -1;
}

void scoreboard_enter(const struct segment *s, uint32_t slot, const char *role, uint32_t generation,
                      int64_t now_ns)
{
    struct shm_line *l = segment_line(s, slot);
    if (!l)
        return;
    use_slot(s, slot);
    clear_line(l);
    str_copy_cut(l->role, sizeof l->role, str_of(role));
    l->generation = generation;
    atomic_store(&l->started_ns, now_ns);
    atomic_store(&l->pid, (uint32_t)getpid());
    scoreboard_state(l, LINE_IDLE, now_ns);
}

void scoreboard_free(const struct segment *s, uint32_t slot)
{
    struct shm_line *l = segment_line(s, slot);
    if (!l)
        return;
    clear_line(l);
    scoreboard_state(l, LINE_FREE, clock_mono_ns());
}

void scoreboard_settle(const struct segment *s, uint32_t slot)
{
    struct shm_line *l = segment_line(s, slot);
    bool was_inserting = atomic_load(&l->inserting) != 0;

    for (unsigned k = 0; k < LINE_REFS; k++)
        atomic_store(&l->refs[k], 0);
    atomic_store(&l->inserting, 0);
    if (was_inserting)
        table_recount(s);
    if (ring_is_open(s, slot)) {
        /* since_ns stays the time of death: the row's latency ends there */
        atomic_store_explicit(&l->state, LINE_SETTLED, memory_order_release);
        ring_wake_ledger(s);
    } else {
        scoreboard_free(s, slot);
    }
}

void scoreboard_reaped(const struct segment *s, uint32_t slot)
{
    struct shm_line *l = segment_line(s, slot);
    if (!l || atomic_load(&l->state) == LINE_FREE || atomic_load(&l->state) == LINE_SETTLED)
        return;
    scoreboard_state(l, LINE_DEAD, clock_mono_ns());
    metric_add(&segment_metrics(s, SLOT_MASTER)->places_recovered_total, places_recover(s, slot));
    scoreboard_settle(s, slot);
}

const char *line_state_name(uint32_t state)
{
    static const char *const names[] = {
        [LINE_FREE] = "free",       [LINE_STARTING] = "starting", [LINE_IDLE] = "idle",
        [LINE_BUSY] = "busy",       [LINE_DRAINING] = "draining", [LINE_DEAD] = "dead",
        [LINE_SETTLED] = "settled",
    };
    return state < sizeof names / sizeof names[0] ? names[state] : "invalid";
}

const char *request_phase_name(uint32_t phase)
{
    static const char *const names[] = {
        [PHASE_NONE] = "none",     [PHASE_READ] = "read",       [PHASE_ADMIT] = "admit",
        [PHASE_CACHE] = "cache",   [PHASE_CONNECT] = "connect", [PHASE_SEND] = "send",
        [PHASE_WAIT] = "wait",     [PHASE_STREAM] = "stream",   [PHASE_RECORD] = "record",
        [PHASE_LINGER] = "linger",
    };
    return phase < sizeof names / sizeof names[0] ? names[phase] : "invalid";
}

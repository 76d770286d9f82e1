/* Reads the segment's header, lines and rings. Nothing here is a moment in time for all of it: each number is
 * right by itself. */
#include "snapshot.h"

#include "ring.h"
#include "stage.h"
#include "table.h"

static uint32_t word(const _Atomic uint32_t *w)
{
    return atomic_load_explicit(w, memory_order_relaxed);
}

static void count_lines(const struct segment *s, struct snapshot *out)
{
    uint32_t slots = segment_slots_used(s);
    out->lag_rows += stage_waiting(s);
    for (uint32_t i = 0; i < slots; i++) {
        /* the rows of a dead worker wait in its ring, too */
        uint64_t head = ring_head(s, i), tail = ring_tail(s, i);
        out->lag_rows += head > tail ? head - tail : 0;
        const struct shm_line *l = segment_line(s, i);
        uint32_t state = l ? word(&l->state) : LINE_FREE;
        if (state == LINE_FREE || state > LINE_SETTLED)
            continue;
        out->processes++;
        if (i >= SLOT_WORKER0)
            out->workers[state]++;
    }
}

void snapshot_take(const struct segment *s, int64_t mono_ns, struct snapshot *out)
{
    const struct shm_header *h = s->header;
    *out = (struct snapshot){.generation = word(&h->generation),
                             .workers_max = word(&h->workers_max),
                             .free_workers = word(&h->free_workers),
                             .waiting = word(&h->waiting),
                             .connections = word(&h->connections),
                             .spooled_kb = word(&h->spooled_kb),
                             .table_used = word(&h->table_used),
                             .table_slots = h->table_slots,
                             .reloads = word(&h->reloads),
                             .reloads_refused = word(&h->reloads_refused),
                             .store_full = word(&h->store_full) != 0};
    count_lines(s, out);
    const struct shm_line *master = segment_line(s, SLOT_MASTER);
    int64_t started = master ? atomic_load_explicit(&master->started_ns, memory_order_relaxed) : 0;
    out->uptime_ns = started > 0 && mono_ns > started ? (uint64_t)(mono_ns - started) : 0;
}

const struct shm_slot *snapshot_provider(const struct segment *s, const char *name)
{
    return table_peek(s, table_id(s, TABLE_PROVIDER, str_of(name)));
}

const struct shm_slot *snapshot_series(const struct segment *s, const char *provider, const char *model)
{
    char name[2 * MAX_NAME + 2];
    int n = snprintf(name, sizeof name, "%s\n%s", provider, model);
    if (n < 0 || n >= (int)sizeof name)
        return NULL;
    return table_peek(s, table_id(s, TABLE_SERIES, (struct str){name, (size_t)n}));
}

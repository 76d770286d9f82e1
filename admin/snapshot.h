/* What the segment says of the gateway at this moment, gathered for /metrics and /v1/stats alike. */
#ifndef ADMIN_SNAPSHOT_H
#define ADMIN_SNAPSHOT_H

#include "admin.h"
#include "layout.h"

struct snapshot {
    uint32_t generation, workers_max, free_workers, waiting, connections, spooled_kb;
    uint32_t table_used, table_slots, reloads, reloads_refused, processes;
    bool store_full;
    uint32_t workers[LINE_SETTLED + 1]; /* by enum line_state */
    uint64_t lag_rows;                  /* published and not yet in the usage store */
    uint64_t uptime_ns;                 /* of the master */
};

/* Read without locks, line by line: the numbers need not be of one instant. */
void snapshot_take(const struct segment *s, int64_t mono_ns, struct snapshot *out);

/* The slots of what the configuration names; NULL: not used yet. */
const struct shm_slot *snapshot_provider(const struct segment *s, const char *name);
const struct shm_slot *snapshot_series(const struct segment *s, const char *provider, const char *model);
static inline uint64_t snapshot_word(const _Atomic uint64_t *w)
{
    return atomic_load_explicit(w, memory_order_relaxed);
}

#endif

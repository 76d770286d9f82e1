/* What calls tell about a provider: words of its table slot, for people, dashboards and (with routing) the
 * planner. Each word is written whole by whoever knows something newer; readers take them one by one. */
#ifndef SHM_HEALTH_H
#define SHM_HEALTH_H

#include "layout.h"

/* An answer came, latency_us from the call's start to its first byte. Looks only, unless something changed or
 * the last note is 10 ms old: the slot's cache line is shared by all workers. */
void health_ok(struct shm_slot *provider, int64_t now_ns, int64_t latency_us);
/* No answer, a broken one, or a status that says the provider is ill; raises `failures`, which counts them
 * since the last good answer. */
void health_failed(struct shm_slot *provider, int64_t now_ns);

#endif

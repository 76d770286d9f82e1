/* Owned concurrency places: at most `limit` at once, exact under SIGKILL at any instruction.
 *
 * A word is {sequence:40, owner:12, count:12}. Each operation (take or give back) is one CAS that also writes
 * who did it and as which of his operations. Whoever changes a word next first notes that operation as done
 * in its owner's line ("helping"), so for a dead owner it can always be told whether his last operation
 * happened: either the word still names it, or the line says done, or it never happened. A line has at most
 * one operation under way and LINE_PLACES held places. */
#ifndef SHM_PLACES_H
#define SHM_PLACES_H

#include "segment.h"

/* Takes a place of table slot `slot` (limit.places and health.places stand at the same offset) for line
 * number self_slot, remembering it as held[k]. 1 taken, 0 refused: `limit` are taken already. limit 0 is
 * unlimited and still counts. The slot must be referenced (table_get) while it is called; a held place by
 * itself keeps the slot from being evicted. */
int places_take(const struct segment *s, uint32_t self_slot, unsigned k, struct shm_slot *slot,
                uint32_t limit);
/* Gives held[k] back; nothing when none is held. */
void places_give(const struct segment *s, uint32_t self_slot, unsigned k);
uint32_t places_count(const _Atomic uint64_t *word);

/* The master's, for a line in state DEAD: finishes or discounts its operation under way, gives back what it
 * held. Returns how many places were given back. */
unsigned places_recover(const struct segment *s, uint32_t dead_slot);

#endif

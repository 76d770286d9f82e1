/* Usage rows between the rings and the store. A commit waits for the disk, two times some milliseconds; a
 * ring holds eight rows. So the ledger's one thread takes rows from the rings into the stage, at the speed of
 * memory and without waiting for anything, and lets the rings go on; its other thread commits what is staged.
 * Both lie in the segment: a killed ledger's successor finds what was staged.
 *
 * Exactly once: each staged row carries its ring's slot and number. Whoever was killed when, a row is stored
 * only if its number is not below the position that the store has for its slot. */
#ifndef SHM_STAGE_H
#define SHM_STAGE_H

#include "segment.h"

/* The collecting thread's. The n-th entry behind the head, to be filled; NULL: the stage is full. */
struct shm_staged *stage_entry(const struct segment *s, uint64_t n);
/* Makes the next n filled entries part of the stage. */
void stage_publish(const struct segment *s, uint64_t n);

/* The storing thread's. The n-th row that is staged; NULL: there are not so many. */
const struct shm_staged *stage_peek(const struct segment *s, uint64_t n);
/* The first n rows are in the store: their places may be used again. */
void stage_consume(const struct segment *s, uint64_t n);

/* Rows staged and not in the store; for everybody. */
uint64_t stage_waiting(const struct segment *s);

#endif

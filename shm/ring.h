/* Usage rows on their way from a worker to the ledger: never lost, never doubled, whoever is killed.
 *
 * The producer fills the entry at `head` in place, begins it (open_row = head + 1: from now on a death of the
 * worker makes the ledger write it, marked killed), changes it as the answer goes on, and publishes it with
 * one release store to head. The ledger commits rows and the consumed position in one transaction and then
 * moves tail. */
#ifndef SHM_RING_H
#define SHM_RING_H

#include "segment.h"

/* The entry to fill; NULL while the ring is full (the ledger is behind): wait with ring_wait or spill. */
struct usage_row *ring_entry(const struct segment *s, uint32_t slot);
/* The entry's static fields are filled and the provider is about to be called. */
void ring_begin(const struct segment *s, uint32_t slot);
/* The row is complete; wakes the ledger when it sleeps. Also without a begin. */
void ring_publish(const struct segment *s, uint32_t slot);
/* Drops a begun row that must not be recorded (nothing was sent to the provider). */
void ring_cancel(const struct segment *s, uint32_t slot);
/* Waits until there is room or timeout_ms passed; true: there is room. */
bool ring_wait(const struct segment *s, uint32_t slot, int timeout_ms);

/* The ledger's: rows from `next` on, published; NULL: no more. *next must lie within (head - SHM_RING_ROWS,
 * head]. */
const struct usage_row *ring_peek(const struct segment *s, uint32_t slot, uint64_t next);
uint64_t ring_head(const struct segment *s, uint32_t slot);
uint64_t ring_tail(const struct segment *s, uint32_t slot);
void ring_set_tail(const struct segment *s, uint32_t slot, uint64_t tail);
/* The open row of a line in state SETTLED: 1 and a copy completed from the line's running usage; 0: none. The
 * row's sequence is *seq; when that is below the stored position it has been stored already. After it is
 * stored call ring_close_open, which makes it count as published and taken over, then scoreboard_free. */
int ring_open_row(const struct segment *s, uint32_t slot, struct usage_row *row, uint64_t *seq);
void ring_close_open(const struct segment *s, uint32_t slot);
/* Whether the line has a begun row that is not published. */
bool ring_is_open(const struct segment *s, uint32_t slot);
/* Makes the ledger look: for the master (a settled line) and for whoever has other news for it. */
void ring_wake_ledger(const struct segment *s);
/* Sleeps until a row was published since the last call, or timeout_ms passed. The loop is: sleep, then drain
 * all rings. The first call returns at once; rows that could not be stored don't cut it short. */
void ring_ledger_sleep(const struct segment *s, int timeout_ms);

#endif

/* The one lock-free hash table: open addressing, 64-byte slots, linear probing over at most SHM_PROBES of
 * them.
 *
 * Invariant: at most one slot holds an identity. An identity is claimed by one 16-byte CAS from 0, so there
 * is no half-claimed slot, and slots are only ever freed by the master, behind the insert gate, when no line
 * refers to them. The words of a claimed slot start as zero. */
#ifndef SHM_TABLE_H
#define SHM_TABLE_H

#include "segment.h"
#include "str.h"

/* The 128-bit identity of a named thing, keyed with the segment's secret (SipHash-2-4-128); never 0. */
unsigned __int128 table_id(const struct segment *s, enum table_kind kind, struct str name);

/* Finds the slot, or claims one (a limiter's user then stores limit.used_ns now and then: the time is his).
 * `self` is the caller's line: the slot is put into refs[ref] (a hazard reference) until table_release, so
 * that it isn't evicted. NULL when the table is more than half full or the probes are exhausted: refuse. */
struct shm_slot *table_get(const struct segment *s, struct shm_line *self, unsigned ref,
                           unsigned __int128 id);
/* Without claiming or referencing; for readers. NULL: not there (or, for a moment, being looked at by an
 * eviction). */
const struct shm_slot *table_peek(const struct segment *s, unsigned __int128 id);
void table_release(struct shm_line *self, unsigned ref);
uint32_t table_index(const struct segment *s, const struct shm_slot *slot);
/* Where the chain of an identity starts. */
uint32_t table_home(const struct segment *s, unsigned __int128 id);

/* The master's: frees limiter slots that are idle (no tokens owed, no place held, unused for idle_ns, not
 * referred to). Returns how many; 0 also when inserters did not pause in time. */
uint32_t table_evict_idle(const struct segment *s, int64_t now_ns, int64_t idle_ns);
/* The master's, after a process died while inserting: makes table_used exact again. */
void table_recount(const struct segment *s);
/* The master's, before any child exists: zeroes places, and what a dead eviction left behind. */
void table_take_over(const struct segment *s);

#endif

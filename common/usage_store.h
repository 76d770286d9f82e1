/* Usage rows and their roll-ups in LMDB (state_dir/store/usage). The ledger writes, the admin process reads.
 */
#ifndef COMMON_USAGE_STORE_H
#define COMMON_USAGE_STORE_H

#include "error.h"
#include "str.h"
#include "usage.h"

struct usage_store;

/* How far a slot's ring has been taken over: rows with seq < next are in the store. */
struct usage_position {
    uint64_t segment; /* shm segment id: positions of another segment mean nothing */
    uint64_t next;
};

/* One per process, opened after fork. max_bytes is the writer's. A reader waits up to 5 s for the writer's
 * first start. NULL and err. */
struct usage_store *usage_store_open(const char *state_dir, bool writer, uint64_t max_bytes,
                                     struct error *err);
void usage_store_close(struct usage_store **s);

/* The ledger's batch: one transaction with rows, roll-ups, positions and marks, durable when commit returns
 * 0. */
int usage_store_begin(struct usage_store *s, struct error *err);
/* 1 found, 0 none yet (*out is zero), -1 err; inside a batch or outside. */
int usage_store_position(struct usage_store *s, uint32_t slot, struct usage_position *out, struct error *err);
int usage_store_set_position(struct usage_store *s, uint32_t slot, struct usage_position pos,
                             struct error *err);
/* How far a named source (a spill file) has been taken over; the same rules. Names are at most 63 bytes. */
int usage_store_mark(struct usage_store *s, const char *name, uint64_t *out, struct error *err);
int usage_store_set_mark(struct usage_store *s, const char *name, uint64_t value, struct error *err);
int usage_store_clear_mark(struct usage_store *s, const char *name, struct error *err);
/* Keeps a copy until the commit; any number of rows. */
int usage_store_add(struct usage_store *s, const struct usage_row *row, struct error *err);
/* -1 (also when any call since begin has failed) leaves the store as it was before begin; *full tells whether
 * that is because it (or the disk) is full. Ends the batch in either case. */
int usage_store_commit(struct usage_store *s, bool *full, struct error *err);
void usage_store_abort(struct usage_store *s);
/* Removes the oldest rows that began before that time, at most `most`, in one transaction of its own (not
 * inside a batch); the sums stay as they are. *removed < most: there are no more of them. -1: nothing was
 * removed; *full as in usage_store_commit. */
int usage_store_prune(struct usage_store *s, int64_t before_us, size_t most, size_t *removed, bool *full,
                      struct error *err);
/* Pages in use of the file, and its limit; of the last commit. */
int usage_store_size(struct usage_store *s, uint64_t *used_bytes, uint64_t *max_bytes, struct error *err);

/* One group of a roll-up. */
struct usage_sum {
    uint64_t requests, errors /* status >= 400 or 0 */, cache_hits, killed, cost_unknown;
    struct usage_tokens tokens;
    uint64_t cost_pico, saved_pico;
    uint64_t latency_us_total, ttft_us_total, ttft_count;
};

enum usage_dimension { BY_DAY, BY_DEPARTMENT, BY_TEAM, BY_KEY, BY_MODEL, BY_PROVIDER, USAGE_DIMENSIONS };

/* Sums the days from..to ("YYYY-MM-DD" UTC, inclusive; NULL: open) by the given dimensions, in their order,
 * and calls each() with the values of those dimensions until it returns non-zero. Sorted by them; no
 * dimension: one group, the total. -1 also for a malformed date and for more than 200,000 groups. */
int usage_store_query(struct usage_store *s, const enum usage_dimension by[], size_t n, const char *from,
                      const char *to,
                      int (*each)(const char *const values[], const struct usage_sum *, void *), void *arg,
                      struct error *err);
/* Rows in time order, newest last, of key_id (NULL: all), from time_us on, at most `limit`. */
int usage_store_rows(struct usage_store *s, int64_t from_us, const char *key_id, size_t limit,
                     int (*each)(const struct usage_row *, void *), void *arg, struct error *err);
void usage_store_reap_readers(struct usage_store *s);

#endif

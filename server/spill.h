/* Where usage rows go when a worker's ring stays full (the ledger is down or behind): appended to files in
 * state_dir/store/spill, which the ledger takes over exactly once. */
#ifndef SERVER_SPILL_H
#define SERVER_SPILL_H

#include "error.h"
#include "usage.h"

#include <stdbool.h>

struct usage_store;

/* The worker's: appends one row with one write. Safe against SIGKILL at any point: the row is in whole or not
 * at all. -1: it could not be written (the row is lost unless the caller tries again). Never waits for
 * another process. */
int spill_append(const char *state_dir, uint32_t slot, const struct usage_row *row, struct error *err);

/* The ledger's: takes all spilled rows into the store, in batches of its own, and removes the files that will
 * get no more. *rows is how many were taken. -1: what is left stays for the next time; *full as in
 * usage_store_commit. */
int spill_take(struct usage_store *store, const char *state_dir, uint64_t *rows, bool *full,
               struct error *err);

#endif

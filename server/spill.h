/* Where usage rows go when a worker's ring stays full (the ledger is down or behind): appended to files in
 * state_dir/store/spill, which the ledger takes over exactly once. */
#ifndef SERVER_SPILL_H
#define SERVER_SPILL_H

#include "error.h"
#include "usage.h"

struct usage_store;

/* The worker's: appends one row with one write. Safe against SIGKILL at any point: the row is in whole or not
 * at all. -1: it could not be written (the row is lost unless the caller tries again). Never waits for
 * another process. */
int spill_append(const char *state_dir, uint32_t slot, const struct usage_row *row, struct error *err);

#endif

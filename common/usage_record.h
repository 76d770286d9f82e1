/* How usage rows and sums are written in the usage store. */
#ifndef COMMON_USAGE_RECORD_H
#define COMMON_USAGE_RECORD_H

#include "str.h"
#include "usage.h"
#include "usage_store.h"

/* No encoded row or sum is longer. */
enum { USAGE_RECORD_MAX = sizeof(struct usage_row) + 256 };

size_t usage_row_encode(const struct usage_row *row, uint8_t out[USAGE_RECORD_MAX]);
size_t usage_sum_encode(const struct usage_sum *sum, uint8_t out[USAGE_RECORD_MAX]);
/* 0; -1: cut short or of another version. */
int usage_row_decode(struct str bytes, struct usage_row *row);
int usage_sum_decode(struct str bytes, struct usage_sum *sum);

#endif

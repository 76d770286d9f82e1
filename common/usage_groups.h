/* Sums by group, in memory: what a batch of the ledger adds up before it writes, and what a query adds up
 * before it answers. A group's name is any byte string up to USAGE_GROUP_MAX. */
#ifndef COMMON_USAGE_GROUPS_H
#define COMMON_USAGE_GROUPS_H

#include "str.h"
#include "usage_store.h"

enum { USAGE_GROUP_MAX = 320 };

struct usage_group {
    struct usage_sum sum;
    uint16_t name_n;
    uint8_t name[USAGE_GROUP_MAX];
};

struct usage_groups {
    struct usage_group **list; /* n of them, in the order they came */
    size_t n, cap;
    uint32_t *index; /* 2 * cap: open addressing, position in list + 1 */
};

/* The sum of that group, zero when it is new. NULL: the name is too long. */
struct usage_sum *usage_groups_get(struct usage_groups *g, struct str name);
/* Orders the list by name, bytewise. No usage_groups_get after this. */
void usage_groups_sort(struct usage_groups *g);
/* Empties it; all zero is empty too. */
void usage_groups_reset(struct usage_groups *g);

void usage_sum_add_row(struct usage_sum *sum, const struct usage_row *row);
void usage_sum_add(struct usage_sum *sum, const struct usage_sum *more);

#endif

/* Places bytes right in front of (or behind) memory that can't be touched, so that reading one byte too many
 * ends the test instead of going unnoticed. */
#ifndef TESTS_UNIT_GUARD_H
#define TESTS_UNIT_GUARD_H

#include "str.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

struct guard {
    char *map, *end;
    size_t size;
};

static inline struct guard guard_new(size_t n)
{
    size_t page = 4096, size = (n + page - 1) / page * page;
    char *map = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(map != MAP_FAILED);
    assert(mprotect(map + page, size, PROT_READ | PROT_WRITE) == 0);
    return (struct guard){map, map + page + size, size};
}

/* A copy of s whose last byte is the last one that may be read. Overwrites the one before. */
static inline struct str guard_at_end(struct guard *g, struct str s)
{
    assert(s.n <= g->size);
    char *p = g->end - s.n;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return (struct str){p, s.n};
}

/* … whose first byte is the first one that may be read. */
static inline struct str guard_at_start(struct guard *g, struct str s)
{
    assert(s.n <= g->size);
    char *p = g->end - g->size;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return (struct str){p, s.n};
}

static inline void guard_free(struct guard *g)
{
    munmap(g->map, g->size + 2 * 4096);
}

#endif

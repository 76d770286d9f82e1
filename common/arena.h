/* Memory of one request: allocated piece by piece, given back all at once by arena_reset. Never NULL (mem.h).
 */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "buf.h"
#include "str.h"

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* bytes handed out since the last reset */
};

void arena_init(struct arena *a);
/* Keeps one small block for the next request, frees the others. */
void arena_reset(struct arena *a);
void arena_fini(struct arena *a);

/* Not zeroed; aligned for any type. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
/* A copy of s with a NUL behind it (not counted in the slice's length). */
struct str arena_copy(struct arena *a, struct str s);
/* A buffer that holds up to max bytes, all of them allocated at once; not to be freed. */
struct buf arena_buf(struct arena *a, size_t max);
/* A formatted string with a NUL behind it. */
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

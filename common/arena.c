#include "arena.h"
#include "mem.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

static struct arena_block *block_new(size_t size)
{
    /* not zeroed by us: calloc of a large block is zero pages anyway, and a small one is reused */
    struct arena_block *b = mem_resize(NULL, sizeof(*b) + size);
    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;
    while (a->blocks) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        struct arena_block *other = b;
        if (b->size == BLOCK) { /* the oldest: a newer one would pin the heap behind what is freed */
            other = keep;
            keep = b;
        }
        free(other);
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->blocks = keep;
    a->used = 0;
}

void arena_fini(struct arena *a)
{
    arena_reset(a);
    free(a->blocks);
    a->blocks = NULL;
}

void *arena_alloc(struct arena *a, size_t n)
{
    n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *b = a->blocks;
    if (!b || b->size - b->used < n) {
        b = block_new(n > BLOCK ? n : BLOCK);
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = b->bytes + b->used;
    b->used += n;
    a->used += n;
    return p;
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

struct buf arena_buf(struct arena *a, size_t max)
{
    return (struct buf){.p = arena_alloc(a, max), .cap = max, .max = max};
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort(); /* only a broken format does this */
    char *p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (struct str){p, (size_t)n};
}

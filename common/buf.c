#include "buf.h"
#include "mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->full = false;
}

void buf_free(struct buf *b)
{
    free(b->p);
    buf_init(b, b->max);
}

size_t buf_reserve(struct buf *b, size_t want)
{
    size_t room = b->max - b->n;
    if (want > room)
        want = room;
    if (b->cap - b->n < want) {
        size_t cap = b->cap ? b->cap : 512;
        while (cap - b->n < want)
            cap *= 2; /* never wraps: want is bounded by max, and no maximum of ours is near SIZE_MAX / 2 */
        if (cap > b->max)
            cap = b->max;
        b->p = mem_resize(b->p, cap);
        b->cap = cap;
    }
    return want;
}

int buf_add(struct buf *b, struct str s)
{
    if (s.n > b->max - b->n) {
        b->full = true;
        return -1;
    }
    if (s.n == 0)
        return 0;
    buf_reserve(b, s.n);
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    return 0;
}

int buf_add_byte(struct buf *b, char c)
{
    return buf_add(b, (struct str){&c, 1});
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    /* one byte more than the text, for vsnprintf's NUL, which is then outside of n */
    if (n < 0 || buf_reserve(b, (size_t)n + 1) < (size_t)n + 1) {
        b->full = true;
        return -1;
    }
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->n);
    b->n -= n;
    if (b->n > 0)
        memmove(b->p, b->p + n, b->n);
}

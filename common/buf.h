/* A growable buffer that cannot be made without a maximum. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "str.h"

struct buf {
    char *p;
    size_t n;   /* bytes held */
    size_t cap; /* bytes allocated */
    size_t max; /* bytes it may ever hold */
    bool full;  /* an addition was refused: what is held is incomplete; stays until buf_reset */
};

/* Allocates nothing yet. */
void buf_init(struct buf *b, size_t max);
/* Empties it and keeps the memory. */
void buf_reset(struct buf *b);
/* Gives the memory back; the maximum stays, so that it may be used again. */
void buf_free(struct buf *b);

/* Adds all of s, or nothing and -1 when that would pass the maximum. */
int buf_add(struct buf *b, struct str s);
int buf_add_byte(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for `want` more bytes at b->p + b->n (the caller then raises b->n), less when the maximum is near:
 * returns how many fit, 0 when it is full. */
size_t buf_reserve(struct buf *b, size_t want);
/* Drops the first n bytes; n must not exceed b->n. */
void buf_consume(struct buf *b, size_t n);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

#endif

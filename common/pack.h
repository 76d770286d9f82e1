/* A compact encoding for records in LMDB and in mailboxes: numbers as LEB128 (7 bits a byte, lowest first),
 * strings with their length before them. Reading is bounds-checked throughout: a record cut short or made up
 * by somebody else turns `bad` on and yields zeros, never an access outside of it. */
#ifndef COMMON_PACK_H
#define COMMON_PACK_H

#include "str.h"

struct pack {
    uint8_t *p; /* the caller's memory */
    size_t n, cap;
    bool full; /* something did not fit: what is here is useless */
};

struct unpack {
    const uint8_t *p; /* what is left */
    size_t n;
    bool bad;
};

/* What does not fit is left out, and sets full. */
void pack_num(struct pack *k, uint64_t v);
void pack_str(struct pack *k, struct str s);
void pack_bytes(struct pack *k, const void *p, size_t n); /* without a length: the reader knows it */

/* 0, with bad set, where there is no number. */
uint64_t unpack_num(struct unpack *u);
/* A slice of the record itself. */
struct str unpack_str(struct unpack *u);
/* The same as a C string; bad when it does not fit with its NUL. */
void unpack_z(struct unpack *u, char *dst, size_t size);
void unpack_bytes(struct unpack *u, void *dst, size_t n);

/* Big-endian, so that LMDB's byte order of keys is the numbers' order. */
void pack_be64(uint8_t out[8], uint64_t v);
void pack_be32(uint8_t out[4], uint32_t v);
uint64_t unpack_be64(const uint8_t in[8]);
uint32_t unpack_be32(const uint8_t in[4]);

#endif

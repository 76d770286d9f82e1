/* What messages of AWS's event streams are made of, for tests that make their own. */
#ifndef TESTS_UNIT_EVENTSTREAM_BYTES_H
#define TESTS_UNIT_EVENTSTREAM_BYTES_H

#include "buf.h"

#include <stdint.h>

/* CRC-32 bit by bit, as it is defined: not the reader's way of getting it. */
static inline uint32_t crc_of(const char *p, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        c ^= (unsigned char)p[i];
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? (c >> 1) ^ 0xedb88320 : c >> 1;
    }
    return ~c;
}

static inline void add_u32(struct buf *b, uint32_t v)
{
    char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    buf_add(b, (struct str){bytes, 4});
}

#endif

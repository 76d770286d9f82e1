/* What the fuzz targets share: a check that stays when NDEBUG is set, and cuts taken from the input itself.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "str.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(what)                                                                   \
    do {                                                                              \
        if (!(what)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

static inline struct str fuzz_str(const uint8_t *data, size_t size)
{
    return (struct str){(const char *)data, size};
}

/* How long the next piece of a message is to be, when it arrives in pieces: a number from 1 to 64 that
 * follows from the bytes before, so that a finding can be reproduced. */
static inline size_t fuzz_piece(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return 1 + (*seed >> 26);
}

static inline uint32_t fuzz_seed(struct str in)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < in.n; i++)
        h = (h ^ (unsigned char)in.p[i]) * 16777619u;
    return h;
}

/* Whether part lies within whole. */
static inline bool fuzz_within(struct str part, struct str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

#endif

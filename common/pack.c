#include "pack.h"

#include <endian.h>
#include <string.h>

void pack_bytes(struct pack *k, const void *p, size_t n)
{
    if (k->full || n > k->cap - k->n) {
        k->full = true;
        return;
    }
    if (n > 0)
        memcpy(k->p + k->n, p, n);
    k->n += n;
}

void pack_num(struct pack *k, uint64_t v)
{
    uint8_t tmp[10];
    size_t n = 0;
    while (v >= 0x80) {
        tmp[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    tmp[n++] = (uint8_t)v;
    pack_bytes(k, tmp, n);
}

void pack_str(struct pack *k, struct str s)
{
    pack_num(k, s.n);
    pack_bytes(k, s.p, s.n);
}

uint64_t unpack_num(struct unpack *u)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && u->n > 0; shift += 7) {
        uint8_t byte = *u->p++;
        u->n--;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    u->bad = true;
    u->n = 0;
    return 0;
}

struct str unpack_str(struct unpack *u)
{
    uint64_t n = unpack_num(u);
    if (n > u->n) {
        u->bad = true;
        u->n = 0;
        return STR_NULL;
    }
    struct str s = {(const char *)u->p, (size_t)n};
    u->p += n;
    u->n -= (size_t)n;
    return s;
}

void unpack_z(struct unpack *u, char *dst, size_t size)
{
    if (str_copy(dst, size, unpack_str(u)) < 0)
        u->bad = true;
}

void unpack_bytes(struct unpack *u, void *dst, size_t n)
{
    if (n > u->n) {
        u->bad = true;
        u->n = 0;
        memset(dst, 0, n);
        return;
    }
    memcpy(dst, u->p, n);
    u->p += n;
    u->n -= n;
}

void pack_be64(uint8_t out[8], uint64_t v)
{
    v = htobe64(v);
    memcpy(out, &v, sizeof v);
}

void pack_be32(uint8_t out[4], uint32_t v)
{
    v = htobe32(v);
    memcpy(out, &v, sizeof v);
}

uint64_t unpack_be64(const uint8_t in[8])
{
    uint64_t v;
    memcpy(&v, in, sizeof v);
    return be64toh(v);
}

uint32_t unpack_be32(const uint8_t in[4])
{
    uint32_t v;
    memcpy(&v, in, sizeof v);
    return be32toh(v);
}

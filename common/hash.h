/* Hashes and random bytes: SipHash-2-4 where a secret key keeps callers from choosing collisions (the table's
 * identities), SHA-256 where the digest itself is the proof (stored credentials, cache keys). */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-2-4 with the 128-bit result; key[0] and out[0] are the low halves (little-endian, as in the
 * reference vectors). p may be NULL when n is 0. */
void siphash128(const uint64_t key[2], const void *p, size_t n, uint64_t out[2]);

/* One shot. */
void sha256(const void *p, size_t n, uint8_t out[32]);

/* n bytes from the kernel's generator: 0, or -1 with errno (p is then not usable). */
int random_bytes(void *p, size_t n);

#endif

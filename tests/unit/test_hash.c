#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"
#include "hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* The reference's own: key 00 01 … 0f, messages 00 01 02 … of growing length. */
static void siphash_vectors(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        uint8_t digest[16];
    } cases[] = {
        {0, "\xa3\x81\x7f\x04\xba\x25\xa8\xe6\x6d\xf6\x72\x14\xc7\x55\x02\x93"},
        {1, "\xda\x87\xc1\xd8\x6b\x99\xaf\x44\x34\x76\x59\x11\x9b\x22\xfc\x45"},
        {7, "\xa1\xf1\xeb\xbe\xd8\xdb\xc1\x53\xc0\xb8\x4a\xa6\x1f\xf0\x82\x39"},
        {8, "\x3b\x62\xa9\xba\x62\x58\xf5\x61\x0f\x83\xe2\x64\xf3\x14\x97\xb4"},
        {15, "\x54\x93\xe9\x99\x33\xb0\xa8\x11\x7e\x08\xec\x0f\x97\xcf\xc3\xd9"},
        {63, "\x51\x50\xd1\x77\x2f\x50\x83\x4a\x50\x3e\x06\x9a\x97\x3f\xbd\x7c"},
    };
    uint64_t key[2], out[2];
    uint8_t message[64];
    memcpy(key, key_bytes, 16);
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    for (size_t i = 0; i < COUNT(cases); i++) {
        siphash128(key, message, cases[i].n, out);
        assert_memory_equal(out, cases[i].digest, 16);
    }
    siphash128(key, NULL, 0, out);
    assert_memory_equal(out, cases[0].digest, 16);
}

/* Against OpenSSL's, for every length up to a few blocks, at the edge of readable memory. */
static void siphash_agrees_with_openssl(void **state)
{
    (void)state;
    struct guard g = guard_new(200);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    assert_non_null(mac);
    for (size_t n = 0; n <= 200; n++) {
        uint8_t random[200], theirs[16], key_raw[16];
        uint64_t key[2], ours[2];
        size_t written = 0;
        assert_int_equal(random_bytes(random, n), 0);
        assert_int_equal(random_bytes(key_raw, sizeof(key_raw)), 0);
        memcpy(key, key_raw, sizeof(key));
        EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
        assert_int_equal(EVP_MAC_init(ctx, key_raw, sizeof(key_raw), NULL), 1);
        assert_int_equal(EVP_MAC_update(ctx, random, n), 1);
        assert_int_equal(EVP_MAC_final(ctx, theirs, &written, sizeof(theirs)), 1);
        EVP_MAC_CTX_free(ctx);
        assert_int_equal(written, 16);
        struct str at = guard_at_end(&g, (struct str){(const char *)random, n});
        siphash128(key, at.p, n, ours);
        assert_memory_equal(ours, theirs, 16);
    }
    EVP_MAC_free(mac);
    guard_free(&g);
}

static void sha256_vectors(void **state)
{
    (void)state;
    uint8_t out[32];
    sha256(NULL, 0, out);
    assert_memory_equal(out,
                        "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24"
                        "\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55",
                        32);
    sha256("abc", 3, out);
    assert_memory_equal(out,
                        "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
                        "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad",
                        32);
}

static void random_fills_all(void **state)
{
    (void)state;
    static uint8_t a[1000], b[1000];
    assert_int_equal(random_bytes(a, 0), 0);
    assert_int_equal(random_bytes(a, sizeof(a)), 0);
    assert_int_equal(random_bytes(b, sizeof(b)), 0);
    assert_memory_not_equal(a, b, sizeof(a));
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof(a); i++)
        zeros += a[i] == 0;
    assert_true(zeros < 100); /* 4 are expected */
    assert_memory_not_equal(a + 980, b + 980, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_vectors),
        cmocka_unit_test(siphash_agrees_with_openssl),
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(random_fills_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

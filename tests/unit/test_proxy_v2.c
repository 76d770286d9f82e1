#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"
#include "proxy_v2.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SIG      "\r\n\r\n\0\r\nQUIT\n"
#define ADDR4    "\x0a\x00\x00\x01\x0a\x00\x00\x02\x1f\x90\x00\x50" /* 10.0.0.1:8080 to 10.0.0.2:80 */

static struct sockaddr_storage inet4(const char *address, uint16_t port)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in *in = (void *)&s;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    assert_int_equal(inet_pton(AF_INET, address, &in->sin_addr), 1);
    return s;
}

static struct sockaddr_storage inet6(const char *address, uint16_t port)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in6 *in = (void *)&s;
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    assert_int_equal(inet_pton(AF_INET6, address, &in->sin6_addr), 1);
    return s;
}

static struct sockaddr_storage local(const char *path)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_un *un = (void *)&s;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    return s;
}

/* Whole at the edge of readable memory, and byte by byte: 0 until all is there. */
static int parse(struct guard *g, struct str in, struct proxy_v2 *out)
{
    int whole = proxy_v2_parse(guard_at_end(g, in), out), slow = 0;
    struct proxy_v2 again;
    size_t n = 0;
    for (; n <= in.n && !slow; n++)
        slow = proxy_v2_parse(guard_at_end(g, (struct str){in.p, n}), &again);
    assert_int_equal(slow, whole);
    if (whole == 1) {
        assert_int_equal(n - 1, out->length);
        assert_memory_equal(&again, out, sizeof(*out));
    }
    return whole;
}

static void reads_what_it_builds(void **state)
{
    (void)state;
    const struct {
        struct sockaddr_storage src, dst;
    } pairs[] = {
        {inet4("192.0.2.1", 4711), inet4("198.51.100.7", 443)},
        {inet6("2001:db8::1", 65535), inet6("::1", 1)},
        {local("/run/a"), local("/run/b")},
        {inet4("192.0.2.1", 1), inet6("::1", 1)}, /* not a pair */
        {{0}, {0}},
    };
    static const char *const subjects[] = {NULL, "", "client.example", "J\xc3\xbcrgen"};
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(pairs); i++)
        for (size_t j = 0; j < COUNT(subjects); j++) {
            char out[MAX_PROXY_V2 + 4] = {0};
            struct proxy_v2 p;
            ssize_t n = proxy_v2_build(out, sizeof(out), &pairs[i].src, &pairs[i].dst, subjects[j]);
            assert_true(n > 0);
            assert_int_equal(proxy_v2_build(out, (size_t)n - 1, &pairs[i].src, &pairs[i].dst, subjects[j]),
                             -1);
            assert_int_equal(proxy_v2_build(out, (size_t)n, &pairs[i].src, &pairs[i].dst, subjects[j]), n);
            memcpy(out + n, "GET", 3);
            assert_int_equal(parse(&g, (struct str){out, (size_t)n + 3}, &p), 1);
            assert_int_equal(p.length, n);
            assert_false(p.local);
            assert_int_equal(p.has_tls, subjects[j] != NULL);
            assert_int_equal(p.tls_verified, subjects[j] && subjects[j][0]);
            assert_string_equal(p.tls_subject, subjects[j] ? subjects[j] : "");
            bool told = pairs[i].src.ss_family == pairs[i].dst.ss_family;
            struct sockaddr_storage none = {0};
            assert_memory_equal(&p.src, told ? &pairs[i].src : &none, sizeof(none));
            assert_memory_equal(&p.dst, told ? &pairs[i].dst : &none, sizeof(none));
        }
    guard_free(&g);
}

static void bounds_the_subject(void **state)
{
    (void)state;
    char out[MAX_PROXY_V2], subject[129];
    struct sockaddr_storage a = inet4("192.0.2.1", 1);
    struct proxy_v2 p;
    memset(subject, 's', sizeof(subject));
    subject[128] = '\0';
    assert_int_equal(proxy_v2_build(out, sizeof(out), &a, &a, subject), -1);
    subject[127] = '\0';
    ssize_t n = proxy_v2_build(out, sizeof(out), &a, &a, subject);
    assert_true(n > 0);
    assert_int_equal(proxy_v2_parse((struct str){out, (size_t)n}, &p), 1);
    assert_string_equal(p.tls_subject, subject);
}

/* Bytes as the specification lays them out, not as our builder does. */
static void reads_headers(void **state)
{
    (void)state;
    struct guard g = guard_new(4096);
    struct proxy_v2 p;
    assert_int_equal(parse(&g, STR(SIG "\x21\x11\x00\x0c" ADDR4), &p), 1);
    struct sockaddr_storage src = inet4("10.0.0.1", 8080), dst = inet4("10.0.0.2", 80);
    assert_memory_equal(&p.src, &src, sizeof(src));
    assert_memory_equal(&p.dst, &dst, sizeof(dst));
    assert_false(p.has_tls);

    /* a health check of the balancer's own, with and without bytes that mean nothing */
    assert_int_equal(parse(&g, STR(SIG "\x20\x00\x00\x00"), &p), 1);
    assert_true(p.local);
    assert_int_equal(parse(&g,
                           STR(SIG "\x20\x55\x00\x05"
                                   "abcde"),
                           &p),
                     1);
    assert_true(p.local);
    assert_int_equal(p.length, 21);
    /* not told; with bytes behind that are records */
    assert_int_equal(parse(&g, STR(SIG "\x21\x00\x00\x00"), &p), 1);
    assert_int_equal(p.src.ss_family, AF_UNSPEC);
    /* records that we have no use for: NOOP, ALPN, one of a vendor's */
    assert_int_equal(
        parse(&g, STR(SIG "\x21\x11\x00\x19" ADDR4 "\x04\x00\x00\x01\x00\x02h2\xea\x00\x02\x01x"), &p), 1);

    /* TLS: CN among other sub-records */
    assert_int_equal(parse(&g,
                           STR(SIG "\x21\x11\x00\x22" ADDR4 "\x20\x00\x13\x07\0\0\0\0\x21\x00\x05"
                                   "TLSv1\x22\x00\x03"
                                   "abc"),
                           &p),
                     1);
    assert_true(p.has_tls && p.tls_verified);
    assert_string_equal(p.tls_subject, "abc");
    /* not verified: whose name it claims to be is not passed on */
    assert_int_equal(parse(&g,
                           STR(SIG "\x21\x11\x00\x1a" ADDR4 "\x20\x00\x0b\x07\0\0\0\x01\x22\x00\x03"
                                   "abc"),
                           &p),
                     1);
    assert_true(p.has_tls && !p.tls_verified);
    assert_string_equal(p.tls_subject, "");
    /* no certificate; no TLS at all */
    assert_int_equal(parse(&g,
                           STR(SIG "\x21\x11\x00\x1a" ADDR4 "\x20\x00\x0b\x01\0\0\0\0\x22\x00\x03"
                                   "abc"),
                           &p),
                     1);
    assert_true(p.has_tls && !p.tls_verified);
    assert_string_equal(p.tls_subject, "");
    assert_int_equal(parse(&g,
                           STR(SIG "\x21\x11\x00\x1a" ADDR4 "\x20\x00\x0b\x06\0\0\0\0\x22\x00\x03"
                                   "abc"),
                           &p),
                     1);
    assert_false(p.has_tls || p.tls_verified);
    guard_free(&g);
}

static void refuses(void **state)
{
    (void)state;
    static const struct str bad[] = {
        STR("GET / HTTP/1.1\r\n"),
        STR("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
        STR("\r\n\r\n\0\r\nQUIX\n"),
        STR("\r\n\r\nX"),
        STR(SIG "\x11\x11\x00\x0c" ADDR4),                          /* version 1 */
        STR(SIG "\x31\x11\x00\x0c" ADDR4),                          /* version 3 */
        STR(SIG "\x22\x11\x00\x0c" ADDR4),                          /* an unknown command */
        STR(SIG "\x21\x12\x00\x0c" ADDR4),                          /* UDP */
        STR(SIG "\x21\x10\x00\x0c" ADDR4),                          /* no transport */
        STR(SIG "\x21\x41\x00\x0c" ADDR4),                          /* no such family */
        STR(SIG "\x21\x11\x00\x0b" ADDR4),                          /* too short for its addresses */
        STR(SIG "\x21\x21\x00\x0c" ADDR4),                          /* … */
        STR(SIG "\x21\x31\x00\x0c" ADDR4),                          /* … */
        STR(SIG "\x21\x11\x04\x00" ADDR4),                          /* too long */
        STR(SIG "\x21\x11\xff\xff" ADDR4),                          /* … */
        STR(SIG "\x20\x00\xff\xff"),                                /* … */
        STR(SIG "\x21\x11\x00\x0d" ADDR4 "\x04"),                   /* half a record */
        STR(SIG "\x21\x11\x00\x0e" ADDR4 "\x04\x00"),               /* … */
        STR(SIG "\x21\x11\x00\x0f" ADDR4 "\x04\x00\x01"),           /* … */
        STR(SIG "\x21\x11\x00\x10" ADDR4 "\x04\xff\xff\x00"),       /* … */
        STR(SIG "\x21\x11\x00\x13" ADDR4 "\x20\x00\x04\x01\0\0\0"), /* TLS too short */
        STR(SIG "\x21\x11\x00\x16" ADDR4 "\x20\x00\x07\x07\0\0\0\0\x22\x00"), /* half a sub-record */
        STR(SIG "\x21\x11\x00\x1a" ADDR4 "\x20\x00\x0b\x07\0\0\0\0\x22\x00\x04"
                "abc"),
        STR(SIG "\x21\x11\x00\x1a" ADDR4 "\x20\x00\x0b\x07\0\0\0\0\x22\x00\x03"
                "a\nc"),
        STR(SIG "\x21\x11\x00\x1a" ADDR4 "\x20\x00\x0b\x07\0\0\0\0\x22\x00\x03"
                "a\0c"),
        STR(SIG "\x21\x11\x00\x1a" ADDR4 "\x20\x00\x0b\x07\0\0\0\0\x22\x00\x03"
                "a\x7f"
                "c"),
        STR(SIG "\x21\x11\x00\x1a" ADDR4 "\x20\x00\x0b\x07\0\0\0\0\x22\x00\x03"
                "a\xff"
                "c"),
        STR(SIG "\x21\x11\x00\x1c" ADDR4 "\x20\x00\x0d\x07\0\0\0\0\x22\x00\x01"
                "a\x22\x00\x01"
                "b"),                                                                         /* two names */
        STR(SIG "\x21\x11\x00\x1c" ADDR4 "\x20\x00\x05\x01\0\0\0\0\x20\x00\x05\x01\0\0\0\0"), /* twice TLS */
        STR(SIG "\x21\x11\x00\x13" ADDR4 "\x03\x00\x04\0\0\0\0"), /* a wrong checksum */
        STR(SIG "\x21\x11\x00\x12" ADDR4 "\x03\x00\x03\0\0\0"),   /* … of a wrong size */
    };
    struct guard g = guard_new(4096);
    struct proxy_v2 p;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (parse(&g, bad[i], &p) != -1)
            fail_msg("case %zu was not refused", i);
    guard_free(&g);
}

/* CRC-32C worked out another way than ours: bit by bit over a header whose field is still zero. */
static void checks_the_checksum(void **state)
{
    (void)state;
    char header[] = SIG "\x21\x11\x00\x13" ADDR4 "\x03\x00\x04\0\0\0\0";
    size_t n = sizeof(header) - 1;
    uint64_t crc = 0xffffffff;
    for (size_t i = 0; i < n * 8; i++) {
        crc ^= (uint64_t)((unsigned char)header[i / 8] >> i % 8 & 1);
        crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
    }
    uint32_t field = htonl(~(uint32_t)crc);
    memcpy(header + n - 4, &field, 4);
    struct proxy_v2 p;
    assert_int_equal(proxy_v2_parse((struct str){header, n}, &p), 1);
    for (size_t bit = 16 * 8; bit < 28 * 8; bit++) { /* any bit of the addresses */
        header[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(proxy_v2_parse((struct str){header, n}, &p), -1);
        header[bit / 8] ^= (char)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_builds), cmocka_unit_test(bounds_the_subject),
        cmocka_unit_test(reads_headers),        cmocka_unit_test(refuses),
        cmocka_unit_test(checks_the_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

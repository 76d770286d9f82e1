#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sigv4.h"

#include <stdlib.h>
#include <string.h>

static const struct sigv4_keys keys = {STR("AKIDEXAMPLE"), STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                       STR_NULL};

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* ---- the canonical request */

static void check_canonical(const struct sigv4_request *rq, const char *expected, const char *expected_names)
{
    struct buf text, names;
    struct error err;
    buf_init(&text, 1 << 20);
    buf_init(&names, 1 << 16);
    assert_int_equal(sigv4_canonical_request(rq, &text, &names, &err), 0);
    if (!str_eq(buf_str(&text), str_of(expected)))
        fail_msg("got\n" STR_FMT "\nexpected\n%s", STR_ARG(buf_str(&text)), expected);
    if (expected_names)
        assert_true(str_eq(buf_str(&names), str_of(expected_names)));
    buf_free(&text);
    buf_free(&names);
}

static void check_path(const char *path, bool as_is, const char *expected)
{
    struct http_header host = {STR("Host"), STR("h")};
    struct sigv4_request rq = {
        .method = STR("GET"), .path = str_of(path), .headers = &host, .n_headers = 1, .path_as_is = as_is};
    char text[512];
    snprintf(text, sizeof(text), "GET\n%s\n\nhost:h\n\nhost\n" EMPTY_HASH, expected);
    check_canonical(&rq, text, "host");
}

static void test_path(void **state)
{
    (void)state;
    check_path("", false, "/");
    check_path("/", false, "/");
    check_path("/model/amazon.nova-micro-v1%3A0/converse", false,
               "/model/amazon.nova-micro-v1%253A0/converse");
    check_path("/model/a:b/converse", false, "/model/a%3Ab/converse");
    check_path("/A-Z_a.z~09", false, "/A-Z_a.z~09");
    check_path("/two words/gr\xc3\xbc\xc3\x9f", false, "/two%20words/gr%C3%BC%C3%9F");
    check_path("/a/./b/../c", false, "/a/c");
    check_path("/a/./b/../c", true, "/a/./b/../c");
    check_path("/a//b///", false, "/a/b/");
    check_path("/a//b///", true, "/a//b///");
    check_path("/..", false, "/");
    check_path("/../../up", false, "/up");
    check_path("/a/b/..", false, "/a/");
    check_path("/a/.", false, "/a/");
    check_path("/a/..b/c.", false, "/a/..b/c.");
}

static void check_query(const char *query, const char *expected)
{
    struct http_header host = {STR("host"), STR("h")};
    struct sigv4_request rq = {
        .method = STR("GET"), .path = STR("/"), .query = str_of(query), .headers = &host, .n_headers = 1};
    char text[512];
    snprintf(text, sizeof(text), "GET\n/\n%s\nhost:h\n\nhost\n" EMPTY_HASH, expected);
    check_canonical(&rq, text, NULL);
}

static void test_query(void **state)
{
    (void)state;
    check_query("", "");
    check_query("b=2&a=1", "a=1&b=2");
    check_query("a=2&a=1&a=10", "a=1&a=10&a=2");
    check_query("ab=1&a=2", "a=2&ab=1");
    check_query("key", "key=");
    check_query("key=", "key=");
    check_query("a=b=c", "a=b%3Dc");
    check_query("X=%2f&y=%zz&z=%", "X=%2F&y=%25zz&z=%25");
    check_query("&a=1&&", "a=1");
    check_query("\xc3\xbc=%C3%BC", "%C3%BC=%C3%BC");
}

static void test_query_too_long(void **state)
{
    (void)state;
    struct buf query, text, names;
    struct error err;
    buf_init(&query, 1 << 16);
    buf_init(&text, 1 << 20);
    buf_init(&names, 1 << 16);
    for (int i = 0; i < MAX_SIGNED_PARAMETERS + 1; i++)
        buf_printf(&query, "&p%d=x", i);
    struct sigv4_request rq = {.method = STR("GET"), .path = STR("/"), .query = buf_str(&query)};
    assert_int_equal(sigv4_canonical_request(&rq, &text, &names, &err), -1);
    buf_free(&query);
    buf_free(&text);
    buf_free(&names);
}

static void test_headers(void **state)
{
    (void)state;
    struct http_header headers[] = {
        {STR("X-Zebra"), STR("  in   the \t wild  ")},
        {STR("Host"), STR("example.org:8443")},
        {STR("x-b"), STR("second")},
        {STR("X-A"), STR("\"kept   in quotes, too\"")},
        {STR("X-B"), STR("a first")},
        {STR("x-a-b"), STR("")},
    };
    struct sigv4_request rq = {.method = STR("POST"),
                               .path = STR("/x"),
                               .headers = headers,
                               .n_headers = sizeof(headers) / sizeof(headers[0]),
                               .body = STR("abc")};
    check_canonical(&rq,
                    "POST\n/x\n\n"
                    "host:example.org:8443\n"
                    "x-a:\"kept in quotes, too\"\n"
                    "x-a-b:\n"
                    "x-b:second,a first\n"
                    "x-zebra:in the wild\n"
                    "\n"
                    "host;x-a;x-a-b;x-b;x-zebra\n"
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                    "host;x-a;x-a-b;x-b;x-zebra");
}

/* ---- keys */

/* The example that AWS publishes for the derivation. */
static void test_key(void **state)
{
    (void)state;
    static const uint8_t expected[32] = {0xc4, 0xaf, 0xb1, 0xcc, 0x57, 0x71, 0xd8, 0x71, 0x76, 0x3a, 0x39,
                                         0x3e, 0x44, 0xb7, 0x03, 0x57, 0x1b, 0x55, 0xcc, 0x28, 0x42, 0x4d,
                                         0x1a, 0x5e, 0x86, 0xda, 0x6e, 0xd3, 0xc1, 0x54, 0xa4, 0xb9};
    uint8_t key[32];
    assert_int_equal(sigv4_key(keys.secret, "20150830", STR("us-east-1"), STR("iam"), key), 0);
    assert_memory_equal(key, expected, 32);
}

static void test_key_too_long(void **state)
{
    (void)state;
    static const char secret[1000] = "x";
    uint8_t key[32];
    assert_int_equal(sigv4_key((struct str){secret, sizeof(secret)}, "20150830", STR("r"), STR("s"), key),
                     -1);
}

/* ---- signing */

static struct str sign(struct buf *lines, const struct sigv4_keys *k, const char *region, int64_t time_s,
                       const char *body)
{
    struct http_header headers[] = {{STR("host"), STR("bedrock-runtime.eu-west-3.amazonaws.com")},
                                    {STR("content-type"), STR("application/json")}};
    struct sigv4_request rq = {.method = STR("POST"),
                               .path = STR("/model/m%3A0/converse"),
                               .headers = headers,
                               .n_headers = 2,
                               .body = str_of(body)};
    struct error err;
    buf_reset(lines);
    if (sigv4_sign(k, str_of(region), STR("bedrock"), time_s, &rq, lines, &err) != 0)
        return STR_NULL;
    return buf_str(lines);
}

/* The numbers were made with another implementation (Python's hmac and hashlib). */
static void test_sign(void **state)
{
    (void)state;
    struct buf lines;
    buf_init(&lines, 1 << 16);
    struct str got = sign(&lines, &keys, "eu-west-3", 1767323045, "{\"a\":1}");
    static const char expected[] =
        "x-amz-date: 20260102T030405Z\r\n"
        "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-3/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=cb5e88776384f9d592f71a646e0abf7f05443c2e4576bb49524fd6ab4f2e6836\r\n";
    if (!str_eq(got, str_of(expected)))
        fail_msg("got " STR_FMT, STR_ARG(got));
    buf_free(&lines);
}

static void test_sign_with_session(void **state)
{
    (void)state;
    struct sigv4_keys temporary = keys;
    struct buf lines;
    temporary.session = STR("FwoGZXIvYXdzEXAMPLE==");
    buf_init(&lines, 1 << 16);
    struct str got = sign(&lines, &temporary, "eu-west-3", 1767323045, "{\"a\":1}");
    static const char expected[] =
        "x-amz-date: 20260102T030405Z\r\n"
        "x-amz-security-token: FwoGZXIvYXdzEXAMPLE==\r\n"
        "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-3/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
        "Signature=98d608e239d9376d1f1b9a28faa649f65c04caed7796a00e7b291dcb17d803cb\r\n";
    if (!str_eq(got, str_of(expected)))
        fail_msg("got " STR_FMT, STR_ARG(got));
    buf_free(&lines);
}

/* A kept key is its own day's, region's and secret's: signing this and that in turn gives what it gives
 * alone. */
static void test_kept_keys(void **state)
{
    (void)state;
    static const char *const regions[] = {"us-east-1", "us-west-2", "eu-west-3"};
    enum { ROUNDS = 40 };
    struct sigv4_keys other = {STR("AKIDEXAMPLE"), STR("another secret of the same id"), STR_NULL};
    struct buf lines;
    char seen[12][600] = {""};
    buf_init(&lines, 1 << 16);
    for (int i = 0; i < ROUNDS; i++) {
        int which = i % 12;
        int64_t day = 1767323045 + 86400 * (which / 6);
        struct str got = sign(&lines, which % 2 ? &other : &keys, regions[which / 2 % 3], day, "{}");
        assert_true(got.n > 0 && got.n < sizeof(seen[0]));
        if (seen[which][0])
            assert_true(str_eq(got, str_of(seen[which])));
        assert_int_equal(str_copy(seen[which], sizeof(seen[which]), got), 0);
    }
    for (int i = 0; i < 12; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(seen[i], seen[k]);
    buf_free(&lines);
}

static void test_refusals(void **state)
{
    (void)state;
    struct sigv4_keys bad = keys;
    struct buf lines;
    buf_init(&lines, 1 << 16);
    bad.access = STR("A\r\nx: y");
    assert_int_equal(sign(&lines, &bad, "r", 1, "").n, 0);
    bad = keys;
    bad.session = STR("t\r\nx: y");
    assert_int_equal(sign(&lines, &bad, "r", 1, "").n, 0);
    bad = keys;
    bad.secret = STR_NULL;
    assert_int_equal(sign(&lines, &bad, "r", 1, "").n, 0);
    bad = (struct sigv4_keys){STR_NULL, keys.secret, STR_NULL};
    assert_int_equal(sign(&lines, &bad, "r", 1, "").n, 0);
    assert_int_equal(sign(&lines, &keys,
                          "a region whose name is much longer than any region's name may be, "
                          "or ever was",
                          1, "")
                         .n,
                     0);
    buf_free(&lines);

    struct http_header many[MAX_SIGNED_HEADERS + 1];
    struct sigv4_request rq = {.method = STR("GET"), .path = STR("/"), .headers = many};
    struct error err;
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
        many[i] = (struct http_header){STR("x"), STR("y")};
    rq.n_headers = MAX_SIGNED_HEADERS - 1;
    buf_init(&lines, 1 << 16);
    assert_int_equal(sigv4_sign(&keys, STR("r"), STR("s"), 1, &rq, &lines, &err), -1);
    rq.n_headers = MAX_SIGNED_HEADERS + 1;
    assert_int_equal(sigv4_sign(&keys, STR("r"), STR("s"), 1, &rq, &lines, &err), -1);
    buf_free(&lines);
    buf_init(&lines, 100); /* no room */
    rq.n_headers = 1;
    assert_int_equal(sigv4_sign(&keys, STR("r"), STR("s"), 1, &rq, &lines, &err), -1);
    buf_free(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_too_long),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_key_too_long),
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_sign_with_session),
        cmocka_unit_test(test_kept_keys),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

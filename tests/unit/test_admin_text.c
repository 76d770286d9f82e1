/* What the admin answers are made of: decimals, CSV fields, times, JSON. */
#include "csv.h"
#include "decimal.h"
#include "json_scan.h"
#include "json_values.h"
#include "reply.h"
#include "rfc3339.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_buf(struct buf *b, const char *want)
{
    buf_add_byte(b, '\0');
    assert_string_equal(b->p, want);
    buf_free(b);
}

static void decimals(void **state)
{
    (void)state;
    static const struct {
        uint64_t v;
        unsigned places;
        const char *want;
    } cases[] = {
        {0, 12, "0"},
        {1, 12, "0.000000000001"},
        {150000, 6, "0.15"},
        {1000000, 6, "1"},
        {12345600, 6, "12.3456"},
        {7, 0, "7"},
        {UINT64_MAX, 12, "18446744.073709551615"},
        {UINT64_MAX, 0, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(decimal_put(&b, cases[i].v, cases[i].places), 0);
        assert_buf(&b, cases[i].want);
    }
}

static void csv_fields(void **state)
{
    (void)state;
    static const struct {
        const char *field, *want;
    } cases[] = {
        {"", ""},
        {"blue", "blue"},
        {"a,b", "\"a,b\""},
        {"say \"x\"", "\"say \"\"x\"\"\""},
        {"two\nlines", "\"two\nlines\""},
        {"cr\r", "\"cr\r\""},
        {" padded", "\" padded\""},
        {"=1+1", "'=1+1"},
        {"+1", "'+1"},
        {"-1", "'-1"},
        {"@x", "'@x"},
        {"=HYPERLINK(\"http://x\",1)", "\"'=HYPERLINK(\"\"http://x\"\",1)\""},
        {"a=b", "a=b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(csv_put(&b, str_of(cases[i].field)), 0);
        assert_buf(&b, cases[i].want);
    }
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-22T10:53:33Z", 1795344813},
        {"2026-11-22t10:53:33z", 1795344813},
        {"2026-11-22T10:53:33.999Z", 1795344813},
        {"2026-11-22T12:53:33+02:00", 1795344813},
        {"2026-11-22T05:23:33-05:30", 1795344813},
        {"2024-02-29T00:00:00Z", 1709164800},
        {"2023-02-29T00:00:00Z", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-00-01T00:00:00Z", -1},
        {"2026-11-31T00:00:00Z", -1},
        {"2026-11-22T24:00:00Z", -1},
        {"2026-11-22T10:60:00Z", -1},
        {"2026-11-22T10:53:33", -1},
        {"2026-11-22T10:53:33.Z", -1},
        {"2026-11-22T10:53:33+2:00", -1},
        {"2026-11-22T10:53:33Zx", -1},
        {"2026-11-22", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"1970-01-01T00:00:00+01:00", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t seconds = 0;
        int r = rfc3339_parse(str_of(cases[i].text), &seconds);
        if (cases[i].seconds < 0) {
            assert_int_equal(r, -1);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(seconds, cases[i].seconds);
    }
    assert_true(rfc3339_is_date(STR("2024-02-29")));
    assert_false(rfc3339_is_date(STR("2025-02-29")));
    assert_false(rfc3339_is_date(STR("2025-2-1")));
    assert_false(rfc3339_is_date(STR("2025-02-01x")));
    char out[RFC3339_SIZE];
    rfc3339_format(out, 1795344813);
    assert_string_equal(out, "2026-11-22T10:53:33Z");
    rfc3339_format_us(out, INT64_C(1795344813000042));
    assert_string_equal(out, "2026-11-22T10:53:33.000042Z");
}

static void json(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    struct json_writer w = json_writer(&b);
    json_open(&w, '{');
    json_member_strz(&w, "a\"b", "x\n\xff");
    json_member_null(&w, "n");
    json_member_open(&w, "list", '[');
    json_u64(&w, UINT64_MAX);
    json_boolean(&w, true);
    json_open(&w, '{');
    json_close(&w, '}');
    json_open(&w, '[');
    json_close(&w, ']');
    json_close(&w, ']');
    json_member_usd(&w, "usd", 2500000);
    json_member_limit(&w, "none", 0);
    json_member_time(&w, "never", 0);
    json_close(&w, '}');
    struct error err;
    assert_int_equal(json_validate(buf_str(&b), &err), 0);
    assert_buf(&b, "{\"a\\\"b\":\"x\\n\xef\xbf\xbd\",\"n\":null,\"list\":[18446744073709551615,true,{},[]],"
                   "\"usd\":0.0000025,\"none\":null,\"never\":null}");
}

static void errors_have_one_form(void **state)
{
    (void)state;
    struct reply r;
    reply_init(&r);
    struct json_writer w = reply_json(&r, 200);
    json_open(&w, '{'); /* a half-written answer is thrown away */
    assert_int_equal(reply_error(&r, 404, "not_found", "id", "no \"%s\"", "x"), -1);
    assert_int_equal(r.status, 404);
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(reply_serialize(&r, true, false, 1795344813, &out), 0);
    assert_buf(&out, "HTTP/1.1 404 Not Found\r\ndate: Sun, 22 Nov 2026 10:53:33 GMT\r\ncontent-type: "
                     "application/json\r\ncontent-length: 89\r\ncache-control: no-store\r\n"
                     "x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
                     "{\"error\":{\"message\":\"no \\\"x\\\"\",\"type\":\"not_found_error\",\"param\":\"id\","
                     "\"code\":\"not_found\"}}");
    reply_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals), cmocka_unit_test(csv_fields),           cmocka_unit_test(times),
        cmocka_unit_test(json),     cmocka_unit_test(errors_have_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

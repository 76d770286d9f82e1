#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eventstream.h"
#include "eventstream_bytes.h"
#include "guard.h"
#include "limits.h"

#include <string.h>

/* ---- messages made here */

static void add_header(struct buf *b, const char *name, char type, struct str value)
{
    buf_add_byte(b, (char)strlen(name));
    buf_add(b, str_of(name));
    buf_add_byte(b, type);
    if (type == 6 || type == 7) {
        buf_add_byte(b, (char)(value.n >> 8));
        buf_add_byte(b, (char)value.n);
    }
    buf_add(b, value);
}

static void add_text(struct buf *b, const char *name, const char *value)
{
    add_header(b, name, 7, str_of(value));
}

/* A message whose lengths are as given, with checksums that fit. */
static void add_raw(struct buf *b, uint32_t total, uint32_t headers_n, struct str headers, struct str payload)
{
    size_t from = b->n;
    add_u32(b, total);
    add_u32(b, headers_n);
    add_u32(b, crc_of(b->p + from, 8));
    buf_add(b, headers);
    buf_add(b, payload);
    add_u32(b, crc_of(b->p + from, b->n - from));
}

static void add_message(struct buf *b, const struct buf *headers, const char *payload)
{
    struct str text = str_of(payload);
    add_raw(b, (uint32_t)(16 + headers->n + text.n), (uint32_t)headers->n, buf_str(headers), text);
}

static void add_event(struct buf *b, const char *type, const char *payload)
{
    struct buf h;
    buf_init(&h, 4096);
    add_text(&h, ":event-type", type);
    add_text(&h, ":content-type", "application/json");
    add_text(&h, ":message-type", "event");
    add_message(b, &h, payload);
    buf_free(&h);
}

/* ---- reading them */

struct reading {
    struct buf text; /* "type|name|payload\n" a message */
    size_t pending;
    bool broken;
};

static void add_reading(struct reading *out, const struct eventstream_message *m)
{
    const struct str parts[] = {m->type, m->name, m->exception ? STR("!") : STR_NULL, m->payload,
                                m->error_message};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (i > 0)
            buf_add_byte(&out->text, '|');
        buf_add(&out->text, parts[i]);
    }
    buf_add_byte(&out->text, '\n');
}

/* In pieces of `step` bytes, each lying against unreadable memory. */
static struct reading read_in_steps(struct guard *g, struct str in, size_t step)
{
    struct eventstream_reader r;
    struct eventstream_message m;
    struct reading out = {.broken = false};
    buf_init(&out.text, 1 << 20);
    eventstream_init(&r);
    for (size_t at = 0, n; at < in.n && !out.broken; at += n) {
        int got;
        n = step < in.n - at ? step : in.n - at;
        assert_int_equal(eventstream_feed(&r, guard_at_end(g, (struct str){in.p + at, n})), 0);
        while ((got = eventstream_next(&r, &m)) == 1)
            add_reading(&out, &m);
        out.broken = got < 0;
    }
    if (out.broken) { /* and stays so */
        assert_non_null(r.broken);
        assert_int_equal(eventstream_feed(&r, STR("x")), -1);
        assert_int_equal(eventstream_next(&r, &m), -1);
    }
    out.pending = eventstream_pending(&r);
    eventstream_free(&r);
    return out;
}

static void check(struct str in, const char *expected, size_t pending, bool broken)
{
    struct guard g = guard_new(1 << 20);
    for (size_t step = 1; step <= in.n; step = step < 40 ? step + 1 : step * 3) {
        struct reading r = read_in_steps(&g, in, step);
        if (!str_eq(buf_str(&r.text), str_of(expected)) || r.broken != broken)
            fail_msg("in steps of %zu: broken %d, " STR_FMT, step, r.broken, STR_ARG(buf_str(&r.text)));
        if (!broken)
            assert_int_equal(r.pending, pending);
        buf_free(&r.text);
    }
    guard_free(&g);
}

static void test_smallest_message(void **state)
{
    (void)state;
    static const char bytes[] = "\0\0\0\x10\0\0\0\0\x05\xc2\x48\xeb\x7d\x98\xc8\xff";
    check((struct str){bytes, 16}, "||||\n", 0, false);
}

static void test_events_however_cut(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    add_event(&b, "messageStart", "{\"role\":\"assistant\"}");
    add_event(&b, "contentBlockDelta", "{\"delta\":{\"text\":\"gr\xc3\xbc\xc3\x9f\"}}");
    add_event(&b, "metadata", "");
    check(buf_str(&b),
          "event|messageStart||{\"role\":\"assistant\"}|\n"
          "event|contentBlockDelta||{\"delta\":{\"text\":\"gr\xc3\xbc\xc3\x9f\"}}|\n"
          "event|metadata|||\n",
          0, false);
    buf_free(&b);
}

/* The checksum goes eight bytes a step, then byte by byte: all lengths around that. */
static void test_payloads_of_all_lengths(void **state)
{
    (void)state;
    struct guard g = guard_new(1 << 20);
    char payload[70];
    for (size_t n = 0; n < sizeof(payload) - 1; n++) {
        struct buf b, expected;
        buf_init(&b, 4096);
        buf_init(&expected, 4096);
        memset(payload, 'a' + (int)(n % 26), n);
        payload[n] = '\0';
        add_event(&b, "x", payload);
        buf_printf(&expected, "event|x||%s|\n", payload);
        struct reading r = read_in_steps(&g, buf_str(&b), b.n);
        assert_true(str_eq(buf_str(&r.text), buf_str(&expected)));
        buf_free(&r.text);
        buf_free(&b);
        buf_free(&expected);
    }
    guard_free(&g);
}

static void test_cut_stream_is_pending(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    add_event(&b, "a", "1");
    size_t first = b.n;
    add_event(&b, "b", "2");
    for (size_t n = first + 1; n < b.n; n++)
        check((struct str){b.p, n}, "event|a||1|\n", n - first, false);
    buf_free(&b);
}

static void test_header_types(void **state)
{
    (void)state;
    struct buf h, b;
    buf_init(&h, 4096);
    buf_init(&b, 4096);
    add_header(&h, "yes", 0, STR_NULL);
    add_header(&h, "no", 1, STR_NULL);
    add_header(&h, "byte", 2, STR("\x80"));
    add_header(&h, "short", 3, STR("\x01\x02"));
    add_header(&h, "int", 4, STR("\x01\x02\x03\x04"));
    add_header(&h, "long", 5, STR("12345678"));
    add_header(&h, "bytes", 6, STR("\x07\x07\x07"));
    add_header(&h, "when", 8, STR("87654321"));
    add_header(&h, "who", 9, STR("0123456789abcdef"));
    add_text(&h, ":message-type", "event");
    add_text(&h, ":event-type", "all");
    add_message(&b, &h, "body");
    check(buf_str(&b), "event|all||body|\n", 0, false);
    buf_free(&h);
    buf_free(&b);
}

/* A name of another type than a string's is no name. */
static void test_names_are_strings(void **state)
{
    (void)state;
    struct buf h, b;
    buf_init(&h, 4096);
    buf_init(&b, 4096);
    add_text(&h, ":message-type", "event");
    add_header(&h, ":event-type", 6, STR("metadata"));
    add_message(&b, &h, "");
    check(buf_str(&b), "event||||\n", 0, false);
    buf_free(&h);
    buf_free(&b);
}

static void test_failures(void **state)
{
    (void)state;
    struct buf h, b;
    buf_init(&h, 4096);
    buf_init(&b, 4096);
    add_text(&h, ":exception-type", "throttlingException");
    add_text(&h, ":event-type", "not this one");
    add_text(&h, ":message-type", "exception");
    add_message(&b, &h, "{\"message\":\"slow down\"}");
    buf_reset(&h);
    add_text(&h, ":message-type", "error");
    add_text(&h, ":error-code", "InternalError");
    add_text(&h, ":error-message", "it broke");
    add_message(&b, &h, "");
    check(buf_str(&b),
          "exception|throttlingException|!|{\"message\":\"slow down\"}|\n"
          "error|InternalError|!||it broke\n",
          0, false);
    buf_free(&h);
    buf_free(&b);
}

/* What is written is what AWS's own would be, and is read again; what does not fit is not begun. */
static void test_written_exceptions(void **state)
{
    (void)state;
    struct buf h, want, got;
    struct str payload = STR("{\"message\":\"caf\xc3\xa9\"}");
    buf_init(&h, 4096);
    buf_init(&want, 4096);
    buf_init(&got, 4096);
    add_text(&h, ":exception-type", "modelStreamErrorException");
    add_text(&h, ":content-type", "application/json");
    add_text(&h, ":message-type", "exception");
    for (int i = 0; i < 2; i++) {
        add_message(&want, &h, payload.p);
        assert_int_equal(eventstream_put_exception(&got, STR("modelStreamErrorException"), payload), 0);
    }
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, got.n);
    for (size_t room = 0; room < want.n / 2; room++) {
        char bytes[512];
        struct buf small = {.p = bytes, .cap = room, .max = room};
        assert_int_equal(eventstream_put_exception(&small, STR("modelStreamErrorException"), payload), -1);
        assert_true(small.n <= room);
    }
    buf_free(&h);
    buf_free(&want);
    buf_free(&got);
}

/* Any one bit that is wrong is seen, and what came before it is not lost. */
static void test_every_wrong_bit(void **state)
{
    (void)state;
    struct guard g = guard_new(1 << 20);
    struct buf b;
    buf_init(&b, 4096);
    add_event(&b, "a", "1");
    size_t first = b.n;
    add_event(&b, "b", "{\"two\":2}");
    for (size_t bit = 8 * first; bit < 8 * b.n; bit++) {
        b.p[bit / 8] ^= (char)(1 << bit % 8);
        struct reading r = read_in_steps(&g, buf_str(&b), 13);
        if (!r.broken || !str_eq(buf_str(&r.text), STR("event|a||1|\n")))
            fail_msg("bit %zu: broken %d, " STR_FMT, bit, r.broken, STR_ARG(buf_str(&r.text)));
        buf_free(&r.text);
        b.p[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_free(&b);
    guard_free(&g);
}

/* Checksums that fit do not make lengths right. */
static void test_wrong_lengths(void **state)
{
    (void)state;
    static const struct {
        uint32_t total, headers;
        struct str bytes; /* of the headers */
    } cases[] = {
        {15, 0, STR_NULL},
        {0, 0, STR_NULL},
        {20, 5, STR("abcd")},
        {16, UINT32_MAX, STR_NULL},
        {MAX_EVENTSTREAM_MESSAGE + 1, 0, STR_NULL},
        {UINT32_MAX, 0, STR_NULL},
        {16 + 1, 1, STR("\0")}, /* a name of no bytes, and nothing behind it */
        {16 + 3, 3,
         STR("\x02"
             "ab")}, /* no type */
        {16 + 4, 4,
         STR("\x02"
             "ab"
             "\x0a")}, /* an unknown one */
        {16 + 5, 5,
         STR("\x02"
             "ab"
             "\x07\0")}, /* half a length */
        {16 + 7, 7,
         STR("\x02"
             "ab"
             "\x07\0\x02z")}, /* a value that is longer than what is there */
        {16 + 5, 5,
         STR("\x02"
             "ab"
             "\x04z")},
        {16 + 2, 2,
         STR("\x05"
             "a")}, /* a name that is */
        {16 + 4, 4, STR("\0\0\0\0")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct guard g = guard_new(1 << 20);
        struct buf b;
        buf_init(&b, 4096);
        add_raw(&b, cases[i].total, cases[i].headers, cases[i].bytes, STR_NULL);
        struct reading r = read_in_steps(&g, buf_str(&b), b.n);
        if (!r.broken)
            fail_msg("case %zu is taken", i);
        assert_int_equal(r.text.n, 0);
        buf_free(&r.text);
        buf_free(&b);
        guard_free(&g);
    }
}

/* A length is judged as soon as it has come: what it announces is not waited for. */
static void test_wrong_prelude_is_seen_at_once(void **state)
{
    (void)state;
    struct guard g = guard_new(1 << 20);
    struct buf b;
    buf_init(&b, 4096);
    add_raw(&b, MAX_EVENTSTREAM_MESSAGE + 1, 0, STR_NULL, STR_NULL);
    struct reading r = read_in_steps(&g, (struct str){b.p, 12}, 1);
    assert_true(r.broken);
    buf_free(&r.text);
    buf_free(&b);
    guard_free(&g);
}

/* Memory goes with what has come, not with what is announced. */
static void test_announced_is_not_allocated(void **state)
{
    (void)state;
    struct eventstream_reader r;
    struct eventstream_message m;
    struct buf b;
    buf_init(&b, 4096);
    add_raw(&b, MAX_EVENTSTREAM_MESSAGE, 0, STR_NULL, STR_NULL);
    eventstream_init(&r);
    assert_int_equal(eventstream_feed(&r, buf_str(&b)), 0);
    assert_int_equal(eventstream_next(&r, &m), 0);
    assert_true(r.in.cap < 4096);
    eventstream_free(&r);
    buf_free(&b);
}

static void test_largest_message(void **state)
{
    (void)state;
    struct eventstream_reader r;
    struct eventstream_message m;
    struct buf b;
    size_t n = MAX_EVENTSTREAM_MESSAGE - 16;
    char *payload = test_malloc(n);
    memset(payload, 'p', n);
    buf_init(&b, MAX_EVENTSTREAM_MESSAGE);
    add_raw(&b, MAX_EVENTSTREAM_MESSAGE, 0, STR_NULL, (struct str){payload, n});
    eventstream_init(&r);
    assert_int_equal(eventstream_feed(&r, (struct str){b.p, 1000}), 0);
    assert_int_equal(eventstream_next(&r, &m), 0);
    assert_int_equal(eventstream_feed(&r, (struct str){b.p + 1000, b.n - 1000}), 0);
    assert_int_equal(eventstream_next(&r, &m), 1);
    assert_int_equal(m.payload.n, n);
    assert_int_equal(eventstream_next(&r, &m), 0);
    assert_int_equal(eventstream_pending(&r), 0);
    eventstream_free(&r);
    buf_free(&b);
    test_free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smallest_message),
        cmocka_unit_test(test_events_however_cut),
        cmocka_unit_test(test_payloads_of_all_lengths),
        cmocka_unit_test(test_cut_stream_is_pending),
        cmocka_unit_test(test_header_types),
        cmocka_unit_test(test_names_are_strings),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_written_exceptions),
        cmocka_unit_test(test_every_wrong_bit),
        cmocka_unit_test(test_wrong_lengths),
        cmocka_unit_test(test_wrong_prelude_is_seen_at_once),
        cmocka_unit_test(test_announced_is_not_allocated),
        cmocka_unit_test(test_largest_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"
#include "limits.h"
#include "sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What a stream amounts to: each event as "name|data\n" ("-\n" where it has no data), all raw bytes in a row,
 * and what was left. */
struct reading {
    struct buf events, raw;
    size_t pending;
};

static void drain(struct sse_reader *r, struct reading *out)
{
    struct sse_event ev;
    while (sse_next(r, &ev) == 1) {
        buf_add(&out->raw, ev.raw);
        assert_true(ev.has_data || ev.data.n == 0);
        if (ev.has_data) {
            buf_add(&out->events, ev.name);
            buf_add_byte(&out->events, '|');
            buf_add(&out->events, ev.data);
        } else
            buf_add_byte(&out->events, '-');
        buf_add_byte(&out->events, '\n');
    }
}

static struct reading read_in_steps(struct guard *g, struct str in, size_t first, size_t step)
{
    struct sse_reader r;
    struct reading out;
    buf_init(&out.events, 1 << 20);
    buf_init(&out.raw, 1 << 20);
    sse_init(&r);
    for (size_t at = 0, n = first; at < in.n; at += n, n = step) {
        if (n > in.n - at)
            n = in.n - at;
        assert_int_equal(sse_feed(&r, guard_at_end(g, (struct str){in.p + at, n})), 0);
        drain(&r, &out);
    }
    out.pending = sse_pending(&r);
    sse_free(&r);
    return out;
}

static void reading_free(struct reading *r)
{
    buf_free(&r->events);
    buf_free(&r->raw);
}

/* The events must not depend on the cuts, and the raw bytes must be the stream up to what is left. */
static void check(struct guard *g, struct str in, struct str events, size_t pending, size_t first,
                  size_t step)
{
    struct reading r = read_in_steps(g, in, first, step);
    if (!str_eq(buf_str(&r.events), events))
        fail_msg("cut at %zu, %zu: " STR_FMT, first, step, STR_ARG(buf_str(&r.events)));
    assert_int_equal(r.pending, pending);
    assert_true(str_starts(in, buf_str(&r.raw)));
    if (pending > 0)
        assert_int_equal(r.raw.n + pending, in.n);
    else /* nothing but line ends may be missing */
        for (size_t i = r.raw.n; i < in.n; i++)
            assert_true(in.p[i] == '\n' || in.p[i] == '\r');
    reading_free(&r);
}

static const struct {
    struct str in, events;
    size_t pending;
} cases[] = {
    {STR("data: a\n\n"), STR("|a\n"), 0},
    {STR("data: a\r\n\r\n"), STR("|a\n"), 0},
    {STR("data: a\r\r"), STR("|a\n"), 0},
    {STR("data: a\n\ndata: b\n\n"), STR("|a\n|b\n"), 0},
    {STR("data: a\r\n\r\ndata: b\r\n\r\n"), STR("|a\n|b\n"), 0},
    {STR("data: a\r\rdata: b\r\r"), STR("|a\n|b\n"), 0},
    {STR("data: a\n\r\ndata: b\r\n\ndata: c\r\r\ndata: d\n\n"), STR("|a\n|b\n|c\n|d\n"), 0},
    {STR("data:a\n\ndata:  b\n\ndata:\tc\n\n"), STR("|a\n| b\n|\tc\n"), 0},
    {STR("data\n\ndata:\n\ndata: \n\n"), STR("|\n|\n|\n"), 0},
    {STR("data: a\ndata: b\n\n"), STR("|a\nb\n"), 0},
    {STR("data: a\ndata\ndata:\ndata: b\n\n"), STR("|a\n\n\nb\n"), 0},
    {STR("data\ndata: b\n\n"), STR("|\nb\n"), 0},
    {STR("data: a\r\ndata: b\r\n\r\n"), STR("|a\nb\n"), 0},
    {STR("data: a\rdata: b\r\r"), STR("|a\nb\n"), 0},
    {STR("event: x\ndata: a\n\n"), STR("x|a\n"), 0},
    {STR("data: a\nevent:x\nevent: y\n\ndata: b\n\n"), STR("y|a\n|b\n"), 0},
    {STR("id: 1\nretry: 5\ndata: a\n\n"), STR("|a\n"), 0},
    {STR("Data: a\ndata : b\n data: c\ndatas: d\n\n"), STR("-\n"), 0},
    {STR(": comment\n\n"), STR("-\n"), 0},
    {STR(": comment\ndata: a\n: more\n\n"), STR("|a\n"), 0},
    {STR(":\n\n:\n\ndata: a\n\n"), STR("-\n-\n|a\n"), 0},
    {STR("event: ping\n\ndata: a\n\n"), STR("-\n|a\n"), 0},
    {STR("\n\n\ndata: a\n\n\n\ndata: b\n\n"), STR("|a\n|b\n"), 0},
    {STR("\r\n\r\ndata: a\r\n\r\n\r\n\r\ndata: b\r\n\r\n\r\n"), STR("|a\n|b\n"), 0},
    {STR("data: a:b: c\n\n"), STR("|a:b: c\n"), 0},
    {STR("data: {\"x\":\"\\n\"}\n\n"), STR("|{\"x\":\"\\n\"}\n"), 0},
    {STR("data: a\0b\n\n"), STR("|a\0b\n"), 0},
    {STR("data: \xc3\xa9\xff\n\n"), STR("|\xc3\xa9\xff\n"), 0},
    {STR("\xef\xbb\xbf"
         "data: a\n\n"),
     STR("|a\n"), 0},
    {STR("\xef\xbb\xbf"
         "data: a\n\n\xef\xbb\xbf"
         "data: b\n\n"),
     STR("|a\n-\n"), 0},
    {STR("\xef\xbb\xbf\n\ndata: a\n\n"), STR("-\n|a\n"), 0},
    {STR("data: 0123456789abcdef0123456789abcdef\r\n\r\ndata: 0123456789abc\n\n"),
     STR("|0123456789abcdef0123456789abcdef\n|0123456789abc\n"), 0},
    {STR(""), STR(""), 0},
    {STR("\n\r\n\r"), STR(""), 0},
    /* cut short */
    {STR("d"), STR(""), 1},
    {STR("data: a"), STR(""), 7},
    {STR("data: a\n"), STR(""), 8},
    {STR("data: a\r\n"), STR(""), 9},
    {STR("data: a\r\n\r"), STR(""), 10},
    {STR("data: a\n\ndata: b\n"), STR("|a\n"), 8},
    {STR("data: a\n\n: x"), STR("|a\n"), 3},
    {STR("\n\ndata"), STR(""), 6},
    {STR("data: [DONE]\n\n\n\n"), STR("|[DONE]\n"), 0},
};

static void reads_events_however_cut(void **state)
{
    (void)state;
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str in = cases[i].in;
        check(&g, in, cases[i].events, cases[i].pending, in.n ? in.n : 1, 1);
        for (size_t cut = 1; cut < in.n; cut++) {
            check(&g, in, cases[i].events, cases[i].pending, cut, in.n);
            check(&g, in, cases[i].events, cases[i].pending, cut, 1);
        }
        for (size_t step = 1; step < 6; step++)
            check(&g, in, cases[i].events, cases[i].pending, step, step);
    }
    guard_free(&g);
}

/* No event waits for bytes that need not come. */
static void delivers_at_once(void **state)
{
    (void)state;
    static const struct {
        struct str in, raw;
    } streams[] = {
        {STR("data: a\n\n"), STR("data: a\n\n")},         {STR("data: a\r\n\r\n"), STR("data: a\r\n\r\n")},
        {STR("data: a\r\r"), STR("data: a\r\r")},         {STR("\n: ping\n\n"), STR("\n: ping\n\n")},
        {STR("data: a\r\r\ndata"), STR("data: a\r\r\n")}, {STR("data: a\n\n\ndata"), STR("data: a\n\n")},
    };
    for (size_t i = 0; i < COUNT(streams); i++) {
        struct sse_reader r;
        struct sse_event ev;
        sse_init(&r);
        assert_int_equal(sse_feed(&r, streams[i].in), 0);
        assert_int_equal(sse_next(&r, &ev), 1);
        assert_true(str_eq(ev.raw, streams[i].raw));
        assert_int_equal(sse_next(&r, &ev), 0);
        sse_free(&r);
    }
}

/* A CR LF that ends a CR LF stream's event is handed out whole, so that who looks for CR LF CR LF finds it.
 */
static void keeps_crlf_together(void **state)
{
    (void)state;
    struct sse_reader r;
    struct sse_event ev;
    sse_init(&r);
    assert_int_equal(sse_feed(&r, STR("data: a\r\n\r")), 0);
    assert_int_equal(sse_next(&r, &ev), 0);
    assert_int_equal(sse_feed(&r, STR("\n")), 0);
    assert_int_equal(sse_next(&r, &ev), 1);
    assert_true(str_eq(ev.raw, STR("data: a\r\n\r\n")));
    assert_int_equal(sse_pending(&r), 0);
    /* after a lone CR the LF comes late, and makes no event */
    assert_int_equal(sse_feed(&r, STR("data: b\r\r")), 0);
    assert_int_equal(sse_next(&r, &ev), 1);
    assert_int_equal(sse_feed(&r, STR("\n")), 0);
    assert_int_equal(sse_next(&r, &ev), 0);
    assert_int_equal(sse_pending(&r), 0);
    assert_int_equal(sse_feed(&r, STR("data: c\n\n")), 0);
    assert_int_equal(sse_next(&r, &ev), 1);
    assert_true(str_eq(ev.raw, STR("\ndata: c\n\n")));
    sse_free(&r);
}

/* An event whose raw bytes are exactly n, fed in pieces; whether it came through. */
static bool passes(size_t n, size_t piece)
{
    struct sse_reader r;
    struct sse_event ev;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text, "data:", 5);
    memcpy(text + n - 2, "\n\n", 2);
    sse_init(&r);
    bool refused = false, found = false;
    for (size_t at = 0; at < n && !refused; at += piece) {
        refused = sse_feed(&r, (struct str){text + at, n - at < piece ? n - at : piece}) != 0;
        found = !refused && sse_next(&r, &ev) == 1;
    }
    if (found)
        assert_int_equal(ev.raw.n, n);
    else
        assert_true(sse_pending(&r) > 0);
    if (!found) { /* and it stays so */
        assert_int_equal(sse_next(&r, &ev), 0);
        assert_int_equal(sse_feed(&r, STR("\n\n")), -1);
        assert_int_equal(sse_next(&r, &ev), 0);
    }
    sse_free(&r);
    free(text);
    return found;
}

static void bounds_an_event(void **state)
{
    (void)state;
    static const size_t pieces[] = {1000, 16384, 65536, MAX_STREAM_READ};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        assert_true(passes(MAX_SSE_EVENT, pieces[i]));
        assert_false(passes(MAX_SSE_EVENT + 1, pieces[i]));
        assert_false(passes(3 * MAX_SSE_EVENT, pieces[i]));
    }
}

/* Many events in one piece together may be as large as a piece may be. */
static void reads_many_at_once(void **state)
{
    (void)state;
    struct sse_reader r;
    struct sse_event ev;
    static char text[MAX_STREAM_READ];
    size_t n = 0, count = 0;
    while (n + 20 < sizeof(text))
        n += (size_t)snprintf(text + n, sizeof(text) - n, "data: %06zu\n\n", count++);
    sse_init(&r);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(sse_feed(&r, (struct str){text, n}), 0);
        for (size_t i = 0; i < count; i++) {
            char expected[24];
            snprintf(expected, sizeof(expected), "%06zu", i);
            assert_int_equal(sse_next(&r, &ev), 1);
            assert_true(str_eq(ev.data, str_of(expected)));
        }
        assert_int_equal(sse_next(&r, &ev), 0);
        assert_int_equal(sse_pending(&r), 0);
    }
    sse_free(&r);
}

/* A megabyte that comes byte by byte, as long lines and as CRs only, must not be searched again and again:
 * this test would take minutes if it were. */
static void is_linear(void **state)
{
    (void)state;
    struct sse_reader r;
    struct sse_event ev;
    sse_init(&r);
    assert_int_equal(sse_feed(&r, STR("data: ")), 0);
    for (int i = 0; i < 1000000; i++) {
        assert_int_equal(sse_feed(&r, STR("x")), 0);
        if (sse_next(&r, &ev) != 0)
            fail_msg("an event in the middle of a line");
    }
    assert_int_equal(sse_feed(&r, STR("\n\n")), 0);
    assert_int_equal(sse_next(&r, &ev), 1);
    assert_int_equal(ev.data.n, 1000000);

    size_t n = MAX_STREAM_READ / 2;
    char *text = malloc(n);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 2 ? '\r' : 'x';
    assert_int_equal(sse_feed(&r, (struct str){text, n}), 0);
    assert_int_equal(sse_next(&r, &ev), 0);
    assert_int_equal(sse_feed(&r, STR("\r")), 0);
    assert_int_equal(sse_next(&r, &ev), 1);
    assert_false(ev.has_data);
    free(text);
    sse_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_events_however_cut), cmocka_unit_test(delivers_at_once),
        cmocka_unit_test(keeps_crlf_together),      cmocka_unit_test(bounds_an_event),
        cmocka_unit_test(reads_many_at_once),       cmocka_unit_test(is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "guard.h"
#include "http.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What became of a body: the decoded bytes, and how far it was read (-1: malformed). */
struct outcome {
    struct buf data;
    ssize_t consumed;
    bool done;
};

/* Reads one piece to its end; false when the body turned out malformed. */
static bool read_piece(struct http_chunked *c, struct str in, struct outcome *o)
{
    while (in.n > 0 && !c->done) {
        struct str data;
        ssize_t n = http_chunked_read(c, in, &data);
        if (n < 0)
            return false;
        assert_true(n > 0 && (size_t)n <= in.n);
        assert_true(data.n == 0 || (data.p >= in.p && data.p + data.n <= in.p + n));
        buf_add(&o->data, data);
        o->consumed += n;
        in = (struct str){in.p + n, in.n - (size_t)n};
    }
    return true;
}

/* The body fed in pieces of `first` bytes, then of `step`. */
static struct outcome feed(struct guard *g, struct str in, size_t first, size_t step)
{
    struct http_chunked c = {0};
    struct outcome o = {0};
    buf_init(&o.data, 100000);
    for (size_t at = 0, n = first; at < in.n && !c.done; at += n, n = step) {
        if (n > in.n - at)
            n = in.n - at;
        if (!read_piece(&c, guard_at_end(g, (struct str){in.p + at, n}), &o)) {
            o.consumed = -1;
            break;
        }
    }
    o.done = c.done;
    return o;
}

static void same(const struct outcome *a, struct outcome *b)
{
    assert_int_equal(a->consumed, b->consumed);
    assert_int_equal(a->done, b->done);
    assert_true(str_eq(buf_str(&a->data), buf_str(&b->data)));
    buf_free(&b->data);
}

/* Whole, byte by byte, and split in two at every place: always the same. */
static struct outcome decode(struct guard *g, struct str in)
{
    struct outcome whole = feed(g, in, in.n, in.n), other;
    for (size_t cut = 1; cut < in.n; cut++) {
        other = feed(g, in, cut, in.n);
        same(&whole, &other);
    }
    for (size_t step = 1; step < 5; step++) {
        other = feed(g, in, step, step);
        same(&whole, &other);
    }
    return whole;
}

static void decodes(void **state)
{
    (void)state;
    static const struct {
        struct str in, data;
        size_t behind; /* bytes of the next message */
    } cases[] = {
        {STR("0\r\n\r\n"), STR(""), 0},
        {STR("5\r\nhello\r\n0\r\n\r\n"), STR("hello"), 0},
        {STR("5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"), STR("hello world"), 0},
        {STR("0000000000000005\r\nhello\r\n000\r\n\r\n"), STR("hello"), 0},
        {STR("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), STR("01234567890123456789"), 0},
        {STR("19\r\n0\r\n\r\n5\r\nhello\r\n0\r\n\r\n12345\r\n0\r\n\r\n"),
         STR("0\r\n\r\n5\r\nhello\r\n0\r\n\r\n12345"), 0},
        {STR("3\r\n\0\r\n\r\n0\r\n\r\n"), STR("\0\r\n"), 0},
        {STR("5;x\r\nhello\r\n0;y=z;q=\"a b\"\r\n\r\n"), STR("hello"), 0},
        {STR("5;\r\nhello\r\n0;\t \r\n\r\n"), STR("hello"), 0},
        {STR("5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n"), STR("hello"), 0},
        {STR("0\r\nContent-Length: 9\r\n\r\n"), STR(""), 0},
        {STR("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), STR("hello"), 16},
    };
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = decode(&g, cases[i].in);
        assert_true(o.done);
        assert_int_equal(o.consumed, cases[i].in.n - cases[i].behind);
        assert_true(str_eq(buf_str(&o.data), cases[i].data));
        buf_free(&o.data);
        for (size_t n = 0; n < cases[i].in.n - cases[i].behind; n++) { /* and no earlier */
            o = feed(&g, (struct str){cases[i].in.p, n}, n ? n : 1, 1);
            assert_false(o.done);
            assert_int_equal(o.consumed, n);
            buf_free(&o.data);
        }
    }
    guard_free(&g);
}

static void refuses(void **state)
{
    (void)state;
    static const struct str cases[] = {
        /* the size */
        STR("\r\n"),
        STR("\n"),
        STR(";x\r\n"),
        STR(" 5\r\nhello\r\n"),
        STR("5 \r\nhello\r\n"),
        STR("5 ;x\r\n"),
        STR("\t5\r\n"),
        STR("+5\r\nhello\r\n"),
        STR("-5\r\n"),
        STR("-0\r\n"),
        STR("0x5\r\nhello\r\n"),
        STR("5h\r\n"),
        STR("g\r\n"),
        STR("5,\r\n"),
        STR("5.0\r\n"),
        STR("5_0\r\n"),
        STR("x\r\n"),
        STR("00000000000000005\r\nhello\r\n"),
        STR("8000000000000000\r\n"),
        STR("ffffffffffffffff\r\n"),
        STR("10000000000000000\r\n"),
        STR("\0"
            "5\r\n"),
        STR("\xef\xbc\x95\r\n"),
        STR("5\0\r\n"),
        STR("\"5\"\r\n"),
        /* line ends */
        STR("5\nhello\r\n"),
        STR("5\rhello\r\n"),
        STR("5\r\rhello"),
        STR("5\r\nhello\n"),
        STR("5\r\nhello\r\r"),
        STR("5\r\nhello0\r\n\r\n"),
        STR("5\r\nhello\r0\r\n"),
        STR("5\r\nhell\r\n0\r\n\r\n"),
        STR("5\r\nhello!\r\n"),
        STR("0\n\n"),
        STR("0\r\n\n"),
        STR("0\r\n\r\r"),
        STR("0\r\n\rX"),
        STR("5\r\nhello\r\n\r\n0\r\n\r\n"),
        /* extensions */
        STR("5;a\nhello\r\n"),
        STR("5;a\rb\r\n"),
        STR("5;a\0b\r\n"),
        STR("5;a\x01\r\n"),
        STR("5;\"a\nb\"\r\n"),
        STR("5;\x7f\r\n"),
        /* trailers */
        STR("0\r\nX: y\n\r\n"),
        STR("0\r\nX: y\rz"),
        STR("0\r\nX: a\0b\r\n"),
        STR("0\r\n X: y\r\n"),
        STR("0\r\nX y\r\n"),
        STR("0\r\nX : y\r\n"),
        STR("0\r\n: y\r\n"),
        STR("0\r\nX\r\n"),
        STR("0\r\nX: y\r\n z\r\n"),
        STR("0\r\n\0"),
        STR("0\r\n\xc3\xa9: y\r\n"),
        STR("0\r\nX: y\r\n\n"),
    };
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_chunked c = {0};
        struct outcome o = {0};
        buf_init(&o.data, 1000);
        if (read_piece(&c, cases[i], &o))
            fail_msg("case %zu was not refused: " STR_FMT, i, STR_ARG(cases[i]));
        buf_free(&o.data);
        for (size_t step = 1; step < 4; step++) {
            o = feed(&g, cases[i], step, step);
            assert_int_equal(o.consumed, -1);
            buf_free(&o.data);
        }
    }
    guard_free(&g);
}

/* `n` times the unit, then the tail, to its end: whether the body was found malformed. */
static bool repeated(struct str head, struct str unit, size_t n, struct str tail)
{
    struct http_chunked c = {0};
    struct outcome o = {0};
    buf_init(&o.data, 1 << 20);
    bool good = read_piece(&c, head, &o);
    for (size_t i = 0; i < n && good; i++)
        good = read_piece(&c, unit, &o);
    good = good && read_piece(&c, tail, &o) && c.done;
    buf_free(&o.data);
    return !good;
}

static void bounds_what_is_thrown_away(void **state)
{
    (void)state;
    struct str end = STR("0\r\n\r\n"), last = STR("\r\n\r\n");
    /* the ; is not counted, the CR is; the empty line counts two */
    assert_false(repeated(STR("0;"), STR("x"), MAX_CHUNK_OVERHEAD - 3, last));
    assert_true(repeated(STR("0;"), STR("x"), MAX_CHUNK_OVERHEAD - 2, last));
    assert_false(repeated(STR("0\r\nX:"), STR("x"), MAX_CHUNK_OVERHEAD - 10, last));
    assert_true(repeated(STR("0\r\nX:"), STR("x"), MAX_CHUNK_OVERHEAD, last));
    assert_true(repeated(STR("0\r\n"), STR("X: y\r\n"), MAX_CHUNK_OVERHEAD / 6 + 1, STR("\r\n")));
    /* extensions of many chunks add up */
    assert_true(repeated(STR(""), STR("1;0123456789\r\nx\r\n"), MAX_CHUNK_OVERHEAD / 10, end));
    /* but many small chunks are no waste */
    assert_false(repeated(STR(""), STR("1\r\nx\r\n"), 100000, end));
}

static void stays_at_the_end(void **state)
{
    (void)state;
    struct http_chunked c = {0};
    struct str data, in = STR("0\r\n\r\n0\r\n\r\n");
    assert_int_equal(http_chunked_read(&c, in, &data), 5);
    assert_true(c.done);
    assert_int_equal(http_chunked_read(&c, in, &data), 0);
    assert_int_equal(data.n, 0);
    c = (struct http_chunked){0};
    assert_int_equal(http_chunked_read(&c, STR_NULL, &data), 0);
}

/* Sizes that a 32-bit length would wrap are carried over many reads. */
static void counts_large_chunks(void **state)
{
    (void)state;
    static char block[1 << 16];
    struct http_chunked c = {0};
    struct str data;
    uint64_t total = 0;
    assert_int_equal(http_chunked_read(&c, STR("100000001\r\n"), &data), 11);
    while (c.left > 0) {
        ssize_t n = http_chunked_read(&c, (struct str){block, sizeof(block)}, &data);
        assert_true(n > 0);
        assert_int_equal(n, data.n);
        total += data.n;
    }
    assert_true(total == UINT64_C(0x100000001));
    assert_int_equal(http_chunked_read(&c, STR("\r\n0\r\n\r\n"), &data), 7);
    assert_true(c.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(stays_at_the_end),
        cmocka_unit_test(bounds_what_is_thrown_away),
        cmocka_unit_test(counts_large_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"
#include "json_out.h"
#include "json_scan.h"
#include "limits.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void puts_strings(void **state)
{
    (void)state;
    static const struct {
        struct str in, out;
    } cases[] = {
        {STR_NULL, STR("\"\"")},
        {STR("plain"), STR("\"plain\"")},
        {STR("\"\\/"), STR("\"\\\"\\\\/\"")},
        {STR("\b\t\n\f\r"), STR("\"\\b\\t\\n\\f\\r\"")},
        {STR("\0\x01\x0b\x1f\x7f"), STR("\"\\u0000\\u0001\\u000b\\u001f\x7f\"")},
        {STR("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), STR("\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"")},
        {STR("a\xff"
             "b"),
         STR("\"a\xef\xbf\xbd"
             "b\"")},
        {STR("\xc3"), STR("\"\xef\xbf\xbd\"")},
        {STR("\xed\xa0\x80"), STR("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")},
        {STR("0123456789abcdef\n0123456789abcdef"), STR("\"0123456789abcdef\\n0123456789abcdef\"")},
    };
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 1000);
        assert_int_equal(json_put_string(&b, guard_at_end(&g, cases[i].in)), 0);
        assert_true(str_eq(buf_str(&b), cases[i].out));
        buf_free(&b);
        for (size_t max = 0; max < cases[i].out.n; max++) {
            buf_init(&b, max);
            assert_int_equal(json_put_string(&b, cases[i].in), -1);
            assert_true(b.full);
            buf_free(&b);
        }
    }
    guard_free(&g);
}

/* Whatever bytes go in, what comes out is a valid text that reads back as them, if they were UTF-8. */
static void reads_back(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    for (unsigned c = 0; c < 0x110000; c = c < 0x3000 ? c + 1 : c + 97) {
        if (c >= 0xd800 && c < 0xe000)
            continue;
        char in[4];
        int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        unsigned rest = c;
        for (int i = n - 1; i > 0; i--, rest >>= 6)
            in[i] = (char)(0x80 | (rest & 0x3f));
        in[0] = (char)(lead[n] | rest);
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(json_put_string(&b, (struct str){in, (size_t)n}), 0);
        assert_int_equal(json_validate(buf_str(&b), NULL), 0);
        struct json_value v = {.type = JSON_STRING, .raw = buf_str(&b)};
        assert_true(str_eq(json_text(v, &a), (struct str){in, (size_t)n}));
        buf_free(&b);
        arena_reset(&a);
    }
    arena_fini(&a);
}

static const char *const skip[] = {"stream", "user"};

static struct str canonical(struct buf *b, struct str text)
{
    struct arena a;
    arena_init(&a);
    buf_init(b, 100000);
    assert_int_equal(json_canonical(b, text, skip, COUNT(skip), &a), 0);
    arena_fini(&a);
    return buf_str(b);
}

static void makes_the_canonical_form(void **state)
{
    (void)state;
    static const struct {
        struct str in, out;
    } cases[] = {
        {STR("{}"), STR("{}")},
        {STR(" { } "), STR("{}")},
        {STR("[ ]"), STR("[]")},
        {STR(" [ 1 , \"a\" , [ ] , { } , null,true ,false ] "), STR("[1,\"a\",[],{},null,true,false]")},
        {STR("{\"b\":1,\"a\":2}"), STR("{\"a\":2,\"b\":1}")},
        {STR("{\"b\":{\"d\":1,\"c\":[{\"z\":1,\"y\":2}]},\"a\":2}"),
         STR("{\"a\":2,\"b\":{\"c\":[{\"y\":2,\"z\":1}],\"d\":1}}")},
        {STR("{\"aa\":1,\"a\":2,\"\":3,\"B\":4}"), STR("{\"\":3,\"B\":4,\"a\":2,\"aa\":1}")},
        {STR("{\"\\u0062\":1,\"a\":\"\\u0041\\/\\u000a\"}"), STR("{\"a\":\"A/\\n\",\"b\":1}")},
        {STR("{\"k\":\"\\u00e9\"}"), STR("{\"k\":\"\xc3\xa9\"}")},
        {STR("{\"k\":1.0,\"l\":1e2,\"m\":-0}"), STR("{\"k\":1.0,\"l\":1e2,\"m\":-0}")},
        {STR("{\"stream\":true,\"a\":1}"), STR("{\"a\":1}")},
        {STR("{\"a\":1,\"user\":{\"x\":[1,\"]}\",{\"y\":2}]} , \"stream\" : false}"), STR("{\"a\":1}")},
        {STR("{\"str\\u0065am\":true}"), STR("{}")},
        {STR("{\"a\":{\"stream\":true},\"b\":[{\"user\":1}]}"),
         STR("{\"a\":{\"stream\":true},\"b\":[{\"user\":1}]}")},
        {STR("[{\"stream\":true}]"), STR("[{\"stream\":true}]")},
        {STR("{\"x\":2,\"x\":1,\"a\":0}"), STR("{\"a\":0,\"x\":2,\"x\":1}")},
        {STR(" 1.50 "), STR("1.50")},
        {STR("\"\\u0022\""), STR("\"\\\"\"")},
    };
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b, again;
        struct str out = canonical(&b, guard_at_end(&g, cases[i].in));
        if (!str_eq(out, cases[i].out))
            fail_msg("case %zu: " STR_FMT, i, STR_ARG(out));
        assert_true(str_eq(canonical(&again, out), out)); /* a fixed point */
        buf_free(&b);
        buf_free(&again);
    }
    guard_free(&g);
}

static void says_when_it_does_not_fit(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    struct str text = STR("{\"b\":[1,{\"x\":\"\\u0041\"}],\"a\":{},\"c\":[]}");
    size_t needed = sizeof("{\"a\":{},\"b\":[1,{\"x\":\"A\"}],\"c\":[]}") - 1;
    for (size_t max = 0; max <= needed; max++) {
        struct buf b;
        buf_init(&b, max);
        assert_int_equal(json_canonical(&b, text, NULL, 0, &a), max < needed ? -1 : 0);
        buf_free(&b);
    }
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(json_canonical(&b, STR("{\"a\":"), NULL, 0, &a), -1); /* and so does what is no JSON */
    assert_int_equal(json_canonical(&b, STR_NULL, NULL, 0, &a), -1);
    buf_free(&b);
    arena_fini(&a);
}

/* Many members in reverse order, and after what is in the buffer already. */
static void sorts_many(void **state)
{
    (void)state;
    static char text[20000], sorted[20000];
    size_t n = 0, m = 0;
    for (int i = 0; i < 1000; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%c\"k%03d\":%d", i ? ',' : '{', 999 - i, 999 - i);
        m += (size_t)snprintf(sorted + m, sizeof(sorted) - m, "%c\"k%03d\":%d", i ? ',' : '{', i, i);
    }
    snprintf(text + n, sizeof(text) - n, "}");
    snprintf(sorted + m, sizeof(sorted) - m, "}");
    struct arena a;
    struct buf b;
    arena_init(&a);
    buf_init(&b, 100000);
    buf_add(&b, STR("before"));
    assert_int_equal(json_canonical(&b, str_of(text), NULL, 0, &a), 0);
    assert_true(str_starts(buf_str(&b), STR("before{")));
    assert_true(str_eq((struct str){b.p + 6, b.n - 6}, str_of(sorted)));
    buf_free(&b);
    arena_fini(&a);
}

static void sets_a_member(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *value, *out;
    } cases[] = {
        {"{}", "a", "1", "{\"a\":1}"},
        {" { } ", "a", "1", " {\"a\":1 } "},
        {"{\"b\":2}", "a", "\"x\"", "{\"a\":\"x\",\"b\":2}"},
        {"{ \"b\" : 2 }", "a", "1", "{\"a\":1, \"b\" : 2 }"},
        {"{\"a\":1}", "a", "[2]", "{\"a\":[2]}"},
        {"{ \"x\" : 0, \"a\" : {\"a\":1} , \"y\":[ ] }", "a", "null",
         "{ \"x\" : 0, \"a\" : null , \"y\":[ ] }"},
        {"{\"x\":{\"a\":1},\"a\":2}", "a", "3", "{\"x\":{\"a\":1},\"a\":3}"},
        {"{\"x\":{\"a\":1}}", "a", "3", "{\"a\":3,\"x\":{\"a\":1}}"},
        {"{\"\\u0061\":1,\"b\":2}", "a", "3", "{\"\\u0061\":3,\"b\":2}"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "a", "9", "{\"a\":9,\"b\":2,\"a\":9}"},
        {"{\"aa\":1}", "a", "2", "{\"a\":2,\"aa\":1}"},
        {"{\"a\\u0000\":1}", "a", "2", "{\"a\":2,\"a\\u0000\":1}"},
        {"{\"s\":\"\\\"a\\\":1\"}", "a", "2", "{\"a\":2,\"s\":\"\\\"a\\\":1\"}"},
        {"{\"b\":1}", "q\"", "2", "{\"q\\\"\":2,\"b\":1}"},
        {"\t\r\n{\"b\":1}\n", "b", "2", "\t\r\n{\"b\":2}\n"},
    };
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        struct str text = guard_at_end(&g, str_of(cases[i].text));
        size_t needed = strlen(cases[i].out);
        for (size_t max = 0; max <= needed; max++) {
            buf_init(&b, max);
            int result = json_set_member(&b, text, cases[i].name, str_of(cases[i].value));
            assert_int_equal(result, max < needed ? -1 : 0);
            if (result == 0 && !str_eq(buf_str(&b), str_of(cases[i].out)))
                fail_msg("%s: " STR_FMT, cases[i].text, STR_ARG(buf_str(&b)));
            buf_free(&b);
        }
    }
    guard_free(&g);
    static const char *const others[] = {"[]", "[{\"a\":1}]", "1", "\"{\"", "", " "};
    for (size_t i = 0; i < COUNT(others); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(json_set_member(&b, str_of(others[i]), "a", STR("1")), -1);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_strings),
        cmocka_unit_test(reads_back),
        cmocka_unit_test(makes_the_canonical_form),
        cmocka_unit_test(sorts_many),
        cmocka_unit_test(says_when_it_does_not_fit),
        cmocka_unit_test(sets_a_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

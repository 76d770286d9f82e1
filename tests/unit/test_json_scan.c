/* The texts are grouped as RFC 8259's grammar is. Each is scanned three times: where it stands, with its last
 * byte right before unreadable memory, and with its first byte right behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"
#include "json_scan.h"
#include "limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct str valid[] = {
    /* structure */
    STR("[]"),
    STR("{}"),
    STR("[[]]"),
    STR("[{}]"),
    STR("{\"a\":[]}"),
    STR("{\"a\":{}}"),
    STR("[[],[],[[]]]"),
    STR("[1,2]"),
    STR("[\"a\",1,null,true,false]"),
    STR("{\"a\":1,\"b\":2}"),
    STR("{\"\":0}"),
    STR("{\"a\":1,\"a\":2}"),
    STR("{\"\\u0000\":1}"),
    STR("{\"a\\\"b\":1}"),
    STR("{\"long name with spaces\":[0]}"),
    STR("[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"),
    STR("{\"a\":{\"a\":{\"a\":[{\"a\":1}]}}}"),
    /* white space */
    STR(" [] "),
    STR("\t[\n]\r\n"),
    STR("[ 1 , 2 ]"),
    STR("{ \"a\" : 1 , \"b\" : [ ] }"),
    STR("\n\n\n1\n"),
    STR("[\r\n1\r\n,\r\n2\r\n]"),
    STR("\t\"x\"\t"),
    STR("{\n\t\"a\"\t:\n1\n}"),
    STR("                 []"),
    /* literals and scalars at the top */
    STR("true"),
    STR("false"),
    STR("null"),
    STR("0"),
    STR("-0"),
    STR("42"),
    STR("\"\""),
    STR("\"text\""),
    STR(" 7"),
    /* numbers */
    STR("[0]"),
    STR("[-0]"),
    STR("[-1]"),
    STR("[10]"),
    STR("[1234567890]"),
    STR("[0.0]"),
    STR("[0.5]"),
    STR("[-0.5]"),
    STR("[1.25]"),
    STR("[1e1]"),
    STR("[1E1]"),
    STR("[1e+1]"),
    STR("[1e-1]"),
    STR("[1E+01]"),
    STR("[0e0]"),
    STR("[0E+9]"),
    STR("[1.5e3]"),
    STR("[-1.5E-300]"),
    STR("[1e999]"),
    STR("[-1e-999]"),
    STR("[18446744073709551616]"),
    STR("[123456789012345678901234567890.123456789012345678901234567890]"),
    STR("[0.10]"),
    STR("[1.000]"),
    /* strings */
    STR("[\"a\"]"),
    STR("[\"\x7f\"]"),
    STR("[\"/\"]"),
    STR("[\"a/b\"]"),
    STR("[\"\\/\"]"),
    STR("[\"\\\"\"]"),
    STR("[\"\\\\\"]"),
    STR("[\"\\b\\f\\n\\r\\t\"]"),
    STR("[\"\\\\n\"]"),
    STR("[\"\\\\\\\\\"]"),
    STR("[\"\\\\\\\"\"]"),
    STR("[\"\\u0041\"]"),
    STR("[\"\\u00e9\\u00E9\"]"),
    STR("[\"\\uABCD\\uefAB\"]"),
    STR("[\"\\u0000\"]"),
    STR("[\"\\u001f\\u0020\"]"),
    STR("[\"\\ud83d\\ude00\"]"),
    STR("[\"\\uD800\\uDC00\"]"),
    STR("[\"\\udbff\\udfff\"]"),
    STR("[\"\\ud7ff\\ue000\"]"),
    STR("[\"\\uffff\\ufffe\"]"),
    STR("[\"\\u2028\\u2029\"]"),
    STR("[\"'\"]"),
    STR("[\"0123456789abcdef\"]"),
    STR("[\"0123456789abcde\\n\"]"),
    STR("[\"0123456789abcdef0123456789abcdef\\t0\"]"),
    STR("[\"// no comment\"]"),
    STR("[\"{[}]\"]"),
    STR("[\" \"]"),
    STR("[\"aa \\u0022 aa\"]"),
    /* UTF-8 */
    STR("[\"\xc3\xa9\"]"),
    STR("[\"\xe2\x82\xac\"]"),
    STR("[\"\xf0\x9f\x98\x80\"]"),
    STR("[\"\xc2\x80\"]"),
    STR("[\"\xdf\xbf\"]"),
    STR("[\"\xe0\xa0\x80\"]"),
    STR("[\"\xed\x9f\xbf\"]"),
    STR("[\"\xee\x80\x80\"]"),
    STR("[\"\xef\xbf\xbf\"]"),
    STR("[\"\xef\xbb\xbf\"]"),
    STR("[\"\xf0\x90\x80\x80\"]"),
    STR("[\"\xf4\x8f\xbf\xbf\"]"),
    STR("[\"\xe2\x80\xa8\"]"),
    STR("{\"\xc3\xa9\":\"\xc3\xa9\"}"),
    STR("[\"012345678901234\xc3\xa9\"]"),
    STR("[\"0123456789abc\xf0\x9f\x98\x80 0123456789\xe2\x82\xac\"]"),
};

static const struct str invalid[] = {
    /* nothing, or not only one value */
    STR(""),
    STR(" "),
    STR("\n\t\r "),
    STR("[]]"),
    STR("[][]"),
    STR("{}{}"),
    STR("1 2"),
    STR("1,2"),
    STR("[]x"),
    STR("{}#"),
    STR("\"a\"\"b\""),
    STR("[],"),
    STR("{},"),
    STR(",[]"),
    STR("true false"),
    STR("[1]\0"),
    STR("\0[1]"),
    STR("[1]\x1a"),
    STR("\xef\xbb\xbf[]"),
    STR("\xef\xbb\xbf"),
    STR("\xff\xfe[\0]\0"),
    STR("\0[\0]"),
    STR("[] // x"),
    STR("[]/**/"),
    STR("[]\x0b"),
    /* arrays */
    STR("["),
    STR("]"),
    STR("[1"),
    STR("[1,"),
    STR("[1,]"),
    STR("[,1]"),
    STR("[,]"),
    STR("[1,,2]"),
    STR("[1 2]"),
    STR("[\"a\" \"b\"]"),
    STR("[1}"),
    STR("[[]"),
    STR("[\"a\",\n4\n,1,"),
    STR("[1:2]"),
    STR("[\"\":1]"),
    STR("[a]"),
    STR("[*]"),
    STR("[;]"),
    STR("[1;2]"),
    STR("[[1,2]"),
    STR("[3[4]]"),
    STR("[\"x\"]]"),
    STR("[)"),
    STR("(1)"),
    STR("<1>"),
    STR("[\x0c]"),
    STR("[\xa0]"),
    STR("[\xc2\xa0]"),
    STR("[\xe2\x81\xa0]"),
    STR("[/**/]"),
    STR("[1,/*c*/2]"),
    STR("[1,\0]"),
    /* objects */
    STR("{"),
    STR("}"),
    STR("{\"a\""),
    STR("{\"a\":"),
    STR("{\"a\":1"),
    STR("{\"a\":1,"),
    STR("{\"a\":1,}"),
    STR("{,\"a\":1}"),
    STR("{\"a\"}"),
    STR("{\"a\" 1}"),
    STR("{\"a\",1}"),
    STR("{\"a\"::1}"),
    STR("{:1}"),
    STR("{1:1}"),
    STR("{a:1}"),
    STR("{'a':1}"),
    STR("{\"a\":1 \"b\":2}"),
    STR("{\"a\":1,,\"b\":2}"),
    STR("{\"a\":}"),
    STR("{\"a\":1]"),
    STR("{null:1}"),
    STR("{[]:1}"),
    STR("{\"a\":1;\"b\":2}"),
    STR("{\"a\"=1}"),
    STR("{\"a\":\"b\"}/**/"),
    STR("{\"a\":/*x*/1}"),
    STR("{\"a\":1}}"),
    STR("{{}}"),
    STR("{\"a\":a}"),
    STR("{\"a\":[}"),
    STR("{\"a\":{]}"),
    STR("{\"a\":1,\"b\"}"),
    STR("{\"a\\u00zz\":1}"),
    STR("{\"a\n\":1}"),
    STR("{\"\xff\":1}"),
    STR("{\xc3\xa9:1}"),
    /* literals */
    STR("tru"),
    STR("truth"),
    STR("True"),
    STR("TRUE"),
    STR("nul"),
    STR("NULL"),
    STR("nulll"),
    STR("fals"),
    STR("falsee"),
    STR("undefined"),
    STR("NaN"),
    STR("Infinity"),
    STR("-Infinity"),
    STR("[nan]"),
    STR("[tru\0]"),
    STR("[t]"),
    STR("[f"),
    STR("[n"),
    STR("t"),
    /* numbers */
    STR("[-]"),
    STR("-"),
    STR("[+1]"),
    STR("[--1]"),
    STR("[01]"),
    STR("[-01]"),
    STR("[00]"),
    STR("[012.5]"),
    STR("[.5]"),
    STR("[-.5]"),
    STR("[5.]"),
    STR("[5.e1]"),
    STR("[0.]"),
    STR("[0.e1]"),
    STR("[1e]"),
    STR("[1e+]"),
    STR("[1e-]"),
    STR("[1E]"),
    STR("[1ee1]"),
    STR("[1e1.5]"),
    STR("[1e1e1]"),
    STR("[1.2.3]"),
    STR("[1.2a]"),
    STR("[0x1]"),
    STR("[0x]"),
    STR("[1_000]"),
    STR("[1 000]"),
    STR("[1,000.0.]"),
    STR("[- 1]"),
    STR("[-x]"),
    STR("[1+2]"),
    STR("[0e]"),
    STR("[0e+-1]"),
    STR("[1e\xc3\xa9]"),
    STR("[\xef\xbc\x91]"),
    STR("[-2.]"),
    STR("[2.e+3]"),
    STR("[1.0e+]"),
    STR("[9.e+]"),
    STR("[-Inf]"),
    STR("[1L]"),
    STR("[1n]"),
    STR("[1.]"),
    STR("1."),
    STR("1e"),
    STR("0."),
    STR("[-0x1]"),
    STR("[0b1]"),
    /* strings */
    STR("\""),
    STR("[\""),
    STR("[\"a"),
    STR("[\"a]"),
    STR("\"a"),
    STR("['a']"),
    STR("[a\"]"),
    STR("[\"a\"b]"),
    STR("[\"\\\"]"),
    STR("[\"\\"),
    STR("\"\\"),
    STR("[\"\\x41\"]"),
    STR("[\"\\a\"]"),
    STR("[\"\\0\"]"),
    STR("[\"\\'\"]"),
    STR("[\"\\ \"]"),
    STR("[\"\\\n\"]"),
    STR("[\"\\N\"]"),
    STR("[\"\\U0041\"]"),
    STR("[\"\\u\"]"),
    STR("[\"\\u0\"]"),
    STR("[\"\\u00\"]"),
    STR("[\"\\u004\"]"),
    STR("[\"\\u004g\"]"),
    STR("[\"\\u 041\"]"),
    STR("[\"\\u-041\"]"),
    STR("[\"\\u{41}\"]"),
    STR("\"\\u"),
    STR("\"\\u004"),
    STR("\"\\u0041"),
    STR("[\"\n\"]"),
    STR("[\"\t\"]"),
    STR("[\"\r\"]"),
    STR("[\"\0\"]"),
    STR("[\"\x1f\"]"),
    STR("[\"0123456789abcdef0\x01\"]"),
    STR("[\"0123456789abcdef0123456789abcde\n\"]"),
    STR("\\u0020"),
    STR("[\\n]"),
    STR("[\\u000A\"\"]"),
    STR("[\"\\\xc3\xa9\"]"),
    STR("[`a`]"),
    STR("[\xe2\x80\x9c"
        "a\xe2\x80\x9d]"),
    /* halves of surrogate pairs: grammatical, but there is no text that they are */
    STR("[\"\\ud800\"]"),
    STR("[\"\\udc00\"]"),
    STR("[\"\\ud800\\ud800\"]"),
    STR("[\"\\udc00\\ud800\"]"),
    STR("[\"\\ud800x\"]"),
    STR("[\"\\ud800\\n\"]"),
    STR("[\"\\ud800\\u0041\"]"),
    STR("[\"\\ud800\\udc0\"]"),
    STR("[\"\\ud800\\"),
    STR("[\"\\ud800\\u"),
    STR("[\"\\udfff\"]"),
    STR("[\"\\uDBFF\\ue000\"]"),
    STR("[\"\\ud83d\\ude00\\ude00\"]"),
    /* UTF-8 */
    STR("[\"\x80\"]"),
    STR("[\"\xbf\"]"),
    STR("[\"\xc3\"]"),
    STR("[\"\xc3(\"]"),
    STR("[\"\xc0\xaf\"]"),
    STR("[\"\xc1\xbf\"]"),
    STR("[\"\xe0\x80\xaf\"]"),
    STR("[\"\xe0\x9f\xbf\"]"),
    STR("[\"\xe2\x82\"]"),
    STR("[\"\xe2\"]"),
    STR("[\"\xe2(\xa1\"]"),
    STR("[\"\xe2\x82(\"]"),
    STR("[\"\xed\xa0\x80\"]"),
    STR("[\"\xed\xbf\xbf\"]"),
    STR("[\"\xed\xa0\xbd\xed\xb8\x80\"]"),
    STR("[\"\xf0\x80\x80\xaf\"]"),
    STR("[\"\xf0\x8f\xbf\xbf\"]"),
    STR("[\"\xf0\x9f\x98\"]"),
    STR("[\"\xf4\x90\x80\x80\"]"),
    STR("[\"\xf5\x80\x80\x80\"]"),
    STR("[\"\xf8\x88\x80\x80\x80\"]"),
    STR("[\"\xfc\x84\x80\x80\x80\x80\"]"),
    STR("[\"\xfe\"]"),
    STR("[\"\xff\"]"),
    STR("[\"\xe9\"]"),
    STR("[\"\xc3"),
    STR("[\"\xe2\x82"),
    STR("[\"\xf0\x9f\x98"),
    STR("[\"0123456789abcde\xc3\"]"),
    STR("[\"\xc3\xa9\xa9\"]"),
    STR("\xc3\xa9"),
    STR("[\xff]"),
    STR("[1]\xff"),
};

static bool accepted(struct guard *g, struct str text)
{
    struct error err;
    bool plain = json_validate(text, &err) == 0;
    bool at_end = json_validate(guard_at_end(g, text), &err) == 0;
    bool at_start = json_validate(guard_at_start(g, text), &err) == 0;
    assert_int_equal(plain, at_end);
    assert_int_equal(plain, at_start);
    return plain;
}

static void accepts_valid_texts(void **state)
{
    (void)state;
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(valid); i++)
        if (!accepted(&g, valid[i]))
            fail_msg("refused: " STR_FMT, STR_ARG(valid[i]));
    guard_free(&g);
}

static void refuses_invalid_texts(void **state)
{
    (void)state;
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(invalid); i++)
        if (accepted(&g, invalid[i]))
            fail_msg("accepted number %zu: " STR_FMT, i, STR_ARG(invalid[i]));
    guard_free(&g);
}

/* No proper prefix of an array or object is a text, whatever it was cut in. */
static void refuses_every_prefix(void **state)
{
    (void)state;
    struct guard g = guard_new(4096);
    static const struct str text =
        STR("{\"a\":[1,-2.5e+10,true,false,null,\"\\ud83d\\ude00\\n\xf0\x9f\x98\x80 and more than "
            "sixteen\"],\"b\":{}}");
    assert_true(accepted(&g, text));
    for (size_t n = 0; n < text.n; n++)
        assert_false(accepted(&g, (struct str){text.p, n}));
    guard_free(&g);
}

/* Every kind of byte that ends a run, at every distance from the start of a block of sixteen. */
static void finds_bytes_at_any_offset(void **state)
{
    (void)state;
    struct guard g = guard_new(4096);
    for (size_t n = 0; n < 70; n++) {
        char text[100];
        size_t at = 0;
        text[at++] = '"';
        memset(text + at, 'x', n);
        at += n;
        text[at] = '"';
        assert_true(accepted(&g, (struct str){text, at + 1}));
        text[at] = '\x01';
        text[at + 1] = '"';
        assert_false(accepted(&g, (struct str){text, at + 2}));
        text[at] = '\x80';
        assert_false(accepted(&g, (struct str){text, at + 2}));
        memcpy(text + at, "\\n\"", 3);
        assert_true(accepted(&g, (struct str){text, at + 3}));
        memcpy(text + at, "\xc3\xa9\"", 3);
        assert_true(accepted(&g, (struct str){text, at + 3}));
        assert_false(accepted(&g, (struct str){text, at + 2}));
    }
    guard_free(&g);
}

static void bounds_the_depth(void **state)
{
    (void)state;
    struct error err;
    char text[2 * MAX_JSON_DEPTH + 4];
    for (size_t depth = 1; depth <= MAX_JSON_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_validate((struct str){text, 2 * depth}, &err),
                         depth <= MAX_JSON_DEPTH ? 0 : -1);
    }
    assert_non_null(strstr(err.text, "nested"));
    /* brackets side by side are no depth */
    struct str wide =
        STR("[[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]],[[]]]");
    assert_int_equal(json_validate(wide, &err), 0);
    size_t n = 1 << 20;
    char *deep = malloc(n);
    assert_non_null(deep);
    memset(deep, '[', n);
    assert_int_equal(json_validate((struct str){deep, n}, &err), -1);
    free(deep);
}

static const char *const paths[] = {"model", "stream",   "stream_options.include_usage",
                                    "a.b.c", "messages", "a.d"};
enum { MODEL, STREAM, USAGE, ABC, MESSAGES, AD, PATHS };

static void finds_members(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int path;
        enum json_type type;
        const char *raw;
        uint32_t count;
    } cases[] = {
        {"{}", MODEL, JSON_ABSENT, "", 0},
        {"{\"model\":\"m\"}", MODEL, JSON_STRING, "\"m\"", 0},
        {" { \"x\" : 1 , \"model\" : \"m\" } ", MODEL, JSON_STRING, "\"m\"", 0},
        {"{\"mod\\u0065l\":\"m\"}", MODEL, JSON_STRING, "\"m\"", 0},
        {"{\"\\u006d\\u006f\\u0064\\u0065\\u006c\":1}", MODEL, JSON_NUMBER, "1", 0},
        {"{\"Model\":1,\"mode\":2,\"models\":3,\"model \":4,\"\":5}", MODEL, JSON_ABSENT, "", 0},
        {"{\"model\\u0000\":1}", MODEL, JSON_ABSENT, "", 0},
        {"{\"x\":{\"model\":1}}", MODEL, JSON_ABSENT, "", 0},
        {"{\"x\":[{\"model\":1}]}", MODEL, JSON_ABSENT, "", 0},
        {"{\"x\":\"\\\"model\\\":1\"}", MODEL, JSON_ABSENT, "", 0},
        {"{\"stream\":true}", STREAM, JSON_TRUE, "true", 0},
        {"{\"stream\":false }", STREAM, JSON_FALSE, "false", 0},
        {"{\"stream\":null\n}", STREAM, JSON_NULL, "null", 0},
        {"{\"stream\":-1.5e3}", STREAM, JSON_NUMBER, "-1.5e3", 0},
        {"{\"stream_options\":{\"include_usage\":true}}", USAGE, JSON_TRUE, "true", 0},
        {"{\"stream_options\":{\"x\":1,\"include\\u005fusage\":true}}", USAGE, JSON_TRUE, "true", 0},
        {"{\"stream_options\":null}", USAGE, JSON_ABSENT, "", 0},
        {"{\"stream_options\":[{\"include_usage\":true}]}", USAGE, JSON_ABSENT, "", 0},
        {"{\"stream_options.include_usage\":true}", USAGE, JSON_ABSENT, "", 0},
        {"{\"include_usage\":true}", USAGE, JSON_ABSENT, "", 0},
        {"{\"a\":{\"b\":{\"c\":[1,2,3]}}}", ABC, JSON_ARRAY, "[1,2,3]", 3},
        {"{\"a\":{\"b\":{\"c\":[]}}}", ABC, JSON_ARRAY, "[]", 0},
        {"{\"a\":{\"b\":{\"c\":{\"x\":{},\"y\":[]}}}}", ABC, JSON_OBJECT, "{\"x\":{},\"y\":[]}", 2},
        {"{\"a\":{\"x\":{\"b\":{\"c\":1}}}}", ABC, JSON_ABSENT, "", 0},
        {"{\"a\":{\"b\":{\"x\":1},\"d\":5}}", AD, JSON_NUMBER, "5", 0},
        {"{\"a.b\":{\"c\":1},\"a\":{\"d\":2}}", ABC, JSON_ABSENT, "", 0},
        {"{\"x\":{\"a\":{\"d\":1}},\"a\":{\"d\":2}}", AD, JSON_NUMBER, "2", 0},
        {"{\"messages\":[{\"role\":\"user\"},{\"a\":[1,2]}]}", MESSAGES, JSON_ARRAY,
         "[{\"role\":\"user\"},{\"a\":[1,2]}]", 2},
    };
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_value out[PATHS];
        struct error err;
        if (json_scan(guard_at_end(&g, str_of(cases[i].text)), paths, PATHS, out, &err))
            fail_msg("%s: %s", cases[i].text, err.text);
        struct json_value v = out[cases[i].path];
        assert_int_equal(v.type, cases[i].type);
        assert_true(str_eq(v.raw, str_of(cases[i].raw)));
        assert_int_equal(v.count, cases[i].count);
    }
    guard_free(&g);
}

static void refuses_wanted_duplicates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"{\"model\":1,\"model\":1}", -1},
        {"{\"model\":1,\"x\":0,\"mod\\u0065l\":2}", -1},
        {"{\"mode\\u006c\":1,\"\\u006dodel\":2}", -1},
        {"{\"stream_options\":{\"include_usage\":1,\"include_usage\":1}}", -1},
        /* a step on the way is wanted, too: another parser might take the other object */
        {"{\"stream_options\":{\"include_usage\":1},\"stream_options\":{}}", -1},
        {"{\"stream_options\":null,\"stream_options\":{\"include_usage\":1}}", -1},
        {"{\"a\":{\"b\":{},\"b\":{\"c\":1}}}", -1},
        {"{\"a\":{\"b\":{\"c\":1,\"c\":2}}}", -1},
        {"{\"x\":1,\"x\":2}", 0},
        {"{\"x\":{\"model\":1,\"model\":2},\"model\":3}", 0},
        {"{\"messages\":[{\"model\":1},{\"model\":2,\"model\":3}]}", 0},
        {"{\"stream_options\":{\"x\":1,\"x\":2}}", 0},
        {"{\"a\":{\"b\":{\"d\":1},\"d\":2}}", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_value out[PATHS];
        struct error err;
        if (json_scan(str_of(cases[i].text), paths, PATHS, out, &err) != cases[i].result)
            fail_msg("%s", cases[i].text);
    }
}

static void wants_an_object(void **state)
{
    (void)state;
    struct json_value out[1];
    struct error err;
    static const char *const texts[] = {"[]", "1", "\"a\"", "null", "[{\"model\":1}]", "", "{", "{}x"};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(json_scan(str_of(texts[i]), paths, 1, out, &err), -1);
    assert_int_equal(json_scan(STR("{\"model\":1}"), NULL, 0, NULL, &err), 0);
    assert_int_equal(json_scan(STR_NULL, paths, 1, out, NULL), -1);
    /* the path and a path through it */
    static const char *const both[] = {"a", "a.b"};
    struct json_value v[2];
    assert_int_equal(json_scan(STR("{\"a\":{\"b\":7}}"), both, 2, v, &err), 0);
    assert_int_equal(v[0].type, JSON_OBJECT);
    assert_true(str_eq(v[1].raw, STR("7")));
}

static void follows_32_paths(void **state)
{
    (void)state;
    static char names[32][8];
    const char *wanted[32];
    struct json_value out[32];
    struct error err;
    char text[1024] = "{";
    size_t at = 1;
    for (int i = 0; i < 32; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        wanted[i] = names[i];
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"n%d\":%d", i ? "," : "", i, i * 7);
    }
    snprintf(text + at, sizeof(text) - at, "}");
    assert_int_equal(json_scan(str_of(text), wanted, 32, out, &err), 0);
    for (int i = 0; i < 32; i++) {
        int64_t v;
        assert_int_equal(json_int(out[i], &v), 0);
        assert_int_equal(v, i * 7);
    }
}

/* A name far longer than any that is wanted, written in escapes only, is none of them. */
static void passes_over_long_names(void **state)
{
    (void)state;
    static char text[8192] = "{\"";
    size_t at = 2;
    for (int i = 0; i < 1000; i++, at += 6)
        memcpy(text + at, "\\u006d", 6);
    snprintf(text + at, sizeof(text) - at, "\":1,\"model\":2}");
    struct json_value out[1];
    struct error err;
    assert_int_equal(json_scan(str_of(text), paths, 1, out, &err), 0);
    assert_true(str_eq(out[0].raw, STR("2")));
}

static void says_where_and_why(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(json_validate(STR("[1,2,x]"), &err), -1);
    assert_string_equal(err.text, "at byte 5: a value is expected");
    struct json_value out[1];
    assert_int_equal(json_scan(STR("{\"model\":1, \"model\":2}"), paths, 1, out, &err), -1);
    assert_string_equal(err.text, "at byte 12: a member that may stand only once is repeated");
    assert_int_equal(json_validate(STR("[\"a\x02\"]"), &err), -1);
    assert_string_equal(err.text, "at byte 3: a control byte in a string");
}

static void steps_through(void **state)
{
    (void)state;
    struct guard g = guard_new(4096);
    struct str text = guard_at_end(&g, STR(" [ 1, \"a,]\" ,[2,[3]] , {\"x\":[4]} ,null ] "));
    static const struct {
        enum json_type type;
        const char *raw;
        uint32_t count;
    } elements[] = {{JSON_NUMBER, "1", 0},
                    {JSON_STRING, "\"a,]\"", 0},
                    {JSON_ARRAY, "[2,[3]]", 2},
                    {JSON_OBJECT, "{\"x\":[4]}", 1},
                    {JSON_NULL, "null", 0}};
    struct json_value v;
    struct str name;
    size_t at = 0, n = 0;
    while (json_next(text, &at, NULL, &v) == 1) {
        assert_true(n < COUNT(elements));
        assert_int_equal(v.type, elements[n].type);
        assert_true(str_eq(v.raw, str_of(elements[n].raw)));
        assert_int_equal(v.count, elements[n].count);
        n++;
    }
    assert_int_equal(n, COUNT(elements));
    assert_int_equal(json_next(text, &at, NULL, &v), 0); /* and stays there */

    text = guard_at_end(&g, STR("{ \"a\" : 1 ,\"b\\n\":{\"c\":2}}"));
    at = 0;
    assert_int_equal(json_next(text, &at, &name, &v), 1);
    assert_true(str_eq(name, STR("a")));
    assert_int_equal(json_next(text, &at, &name, &v), 1);
    assert_true(str_eq(name, STR("b\\n")));
    assert_true(str_eq(v.raw, STR("{\"c\":2}")));
    assert_int_equal(json_next(text, &at, &name, &v), 0);

    static const struct str empty[] = {STR("[]"),    STR("{}"), STR(" [ ] "), STR("1"),
                                       STR("\"[\""), STR(""),   STR("null")};
    for (size_t i = 0; i < COUNT(empty); i++) {
        at = 0;
        assert_int_equal(json_next(empty[i], &at, &name, &v), 0);
    }
    guard_free(&g);
}

static struct json_value only(struct str raw, enum json_type type)
{
    return (struct json_value){.type = type, .raw = raw};
}

static void decodes_text(void **state)
{
    (void)state;
    static const struct {
        struct str raw, text;
    } cases[] = {
        {STR("\"\""), STR("")},
        {STR("\"plain\""), STR("plain")},
        {STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR("\"\\/\b\f\n\r\t")},
        {STR("\"a\\u0000b\""), STR("a\0b")},
        {STR("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\uffff\""),
         STR("A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbf")},
        {STR("\"\\ud800\\udc00\\udbff\\udfff\""), STR("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
        {STR("\"\\u007f\\u0080\\u07ff\\u0800\""), STR("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80")},
        {STR("\"x\\\\u0041\""), STR("x\\u0041")},
        {STR("\"\xc3\xa9\\n\xc3\xa9\""), STR("\xc3\xa9\n\xc3\xa9")},
    };
    struct arena a;
    arena_init(&a);
    struct guard g = guard_new(4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_value v = only(guard_at_end(&g, cases[i].raw), JSON_STRING);
        assert_true(str_eq(json_text(v, &a), cases[i].text));
    }
    struct str slice = STR("\"as it is\"");
    assert_ptr_equal(json_text(only(slice, JSON_STRING), &a).p, slice.p + 1);
    assert_int_equal(json_text(only(STR("12"), JSON_NUMBER), &a).n, 0);
    assert_int_equal(json_text((struct json_value){0}, &a).n, 0);
    guard_free(&g);
    arena_fini(&a);
}

static void reads_integers(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        int result;
        int64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"42", 0, 42},
        {"-42", 0, -42},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", -1, 0},
        {"-9223372036854775808", 0, INT64_MIN},
        {"-9223372036854775809", -1, 0},
        {"18446744073709551616", -1, 0},
        {"1.0", -1, 0},
        {"1e3", -1, 0},
        {"1E0", -1, 0},
        {"-1.5", -1, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t v = 4711;
        assert_int_equal(json_int(only(str_of(cases[i].raw), JSON_NUMBER), &v), cases[i].result);
        assert_true(v == (cases[i].result ? 4711 : cases[i].value));
    }
    int64_t v;
    assert_int_equal(json_int(only(STR("\"1\""), JSON_STRING), &v), -1);
    assert_int_equal(json_int((struct json_value){0}, &v), -1);
}

static void reads_doubles(void **state)
{
    (void)state;
    struct guard g = guard_new(4096);
    static const struct {
        const char *raw;
        double value;
    } cases[] = {{"0", 0}, {"-2", -2}, {"0.5", 0.5}, {"1e3", 1000}, {"-1.25E-2", -0.0125}, {"1e-999", 0}};
    double d;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(json_double(only(guard_at_end(&g, str_of(cases[i].raw)), JSON_NUMBER), &d), 0);
        assert_true(d == cases[i].value);
    }
    assert_int_equal(json_double(only(STR("1e999"), JSON_NUMBER), &d), -1);
    assert_int_equal(json_double(only(STR("true"), JSON_TRUE), &d), -1);
    guard_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_valid_texts),
        cmocka_unit_test(refuses_invalid_texts),
        cmocka_unit_test(refuses_every_prefix),
        cmocka_unit_test(finds_bytes_at_any_offset),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(finds_members),
        cmocka_unit_test(refuses_wanted_duplicates),
        cmocka_unit_test(wants_an_object),
        cmocka_unit_test(follows_32_paths),
        cmocka_unit_test(passes_over_long_names),
        cmocka_unit_test(says_where_and_why),
        cmocka_unit_test(steps_through),
        cmocka_unit_test(decodes_text),
        cmocka_unit_test(reads_integers),
        cmocka_unit_test(reads_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

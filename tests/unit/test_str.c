#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "str.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void equality(void **state)
{
    (void)state;
    assert_true(str_eq(STR_NULL, STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_true(str_ieq(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_ieq(STR("a\0b"), STR("a\0c")));
    assert_false(str_ieq(STR("["), STR("{"))); /* they differ by the bit that tells letters' cases apart */
    assert_false(str_ieq(STR("\xc4"), STR("\xe4")));
    assert_true(str_ieq(STR_NULL, STR_NULL));
    assert_int_equal(str_of(NULL).n, 0);
    assert_true(str_eq(str_of("xy"), STR("xy")));
}

static void ends(void **state)
{
    (void)state;
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR_NULL));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")));
    assert_true(str_ends(STR("abc"), STR_NULL));
    assert_false(str_ends(STR("c"), STR("bc")));
    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_true(str_eq(str_trim(STR(" \t ")), STR("")));
    assert_true(str_eq(str_trim(STR("\na\r")), STR("\na\r")));
}

static void splitting(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        struct str parts[4];
        size_t n;
    } cases[] = {
        {STR(""), {{0}}, 0},
        {STR("a"), {STR("a")}, 1},
        {STR("a,b"), {STR("a"), STR("b")}, 2},
        {STR(",b"), {STR(""), STR("b")}, 2},
        {STR("a,,b"), {STR("a"), STR(""), STR("b")}, 3},
        {STR("a,"), {STR("a")}, 1},
        {STR(","), {STR("")}, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str rest = cases[i].in, head;
        size_t n = 0;
        while (str_split(&rest, ',', &head)) {
            assert_true(n < cases[i].n);
            assert_true(str_eq(head, cases[i].parts[n]));
            n++;
        }
        assert_int_equal(n, cases[i].n);
    }
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        int result;
        uint64_t value;
    } cases[] = {
        {STR("0"), 0, 0},
        {STR("007"), 0, 7},
        {STR("18446744073709551615"), 0, UINT64_MAX},
        {STR("18446744073709551616"), -1, 0},
        {STR("99999999999999999999"), -1, 0},
        {STR(""), -1, 0},
        {STR("-1"), -1, 0},
        {STR("+1"), -1, 0},
        {STR(" 1"), -1, 0},
        {STR("1 "), -1, 0},
        {STR("0x1"), -1, 0},
        {STR("1\0"), -1, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t v = 4711;
        assert_int_equal(str_u64(cases[i].in, &v), cases[i].result);
        assert_int_equal(v, cases[i].result ? 4711 : cases[i].value);
    }
}

static void copies(void **state)
{
    (void)state;
    char dst[6];
    assert_int_equal(str_copy(dst, sizeof(dst), STR("12345")), 0);
    assert_string_equal(dst, "12345");
    assert_int_equal(str_copy(dst, sizeof(dst), STR("123456")), -1);
    assert_string_equal(dst, "");
    assert_int_equal(str_copy(dst, sizeof(dst), STR("1\0002")), -1);
    assert_int_equal(str_copy(dst, 0, STR("")), -1);
    str_copy_cut(dst, sizeof(dst), STR("1234567"));
    assert_string_equal(dst, "12345");
    str_copy_cut(dst, sizeof(dst), STR("123\xe2\x82\xac"));
    assert_string_equal(dst, "123"); /* half a euro sign is no text */
    str_copy_cut(dst, sizeof(dst), STR("12\xe2\x82\xac"));
    assert_string_equal(dst, "12\xe2\x82\xac");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality), cmocka_unit_test(ends),   cmocka_unit_test(splitting),
        cmocka_unit_test(numbers),  cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

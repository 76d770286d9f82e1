#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"

#include <string.h>

static void holds_up_to_its_maximum(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    assert_int_equal(buf_add(&b, STR("abc")), 0);
    assert_int_equal(buf_add(&b, STR("def")), -1);
    assert_true(b.full);
    assert_true(str_eq(buf_str(&b), STR("abc"))); /* all or nothing */
    assert_int_equal(buf_add(&b, STR("de")), 0);
    assert_int_equal(buf_add_byte(&b, 'f'), -1);
    assert_int_equal(buf_add(&b, STR_NULL), 0);
    assert_true(b.full); /* what it holds is incomplete, whatever was added later */
    buf_reset(&b);
    assert_false(b.full);
    assert_int_equal(b.n, 0);
    assert_int_equal(buf_add(&b, STR("12345")), 0);
    assert_true(str_eq(buf_str(&b), STR("12345")));
    buf_free(&b);
    assert_null(b.p);
    assert_int_equal(buf_add(&b, STR("again")), 0);
    buf_free(&b);
}

static void grows(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_add_byte(&b, (char)i), 0);
    assert_int_equal(buf_add_byte(&b, 0), -1);
    assert_int_equal(b.n, 100000);
    assert_true(b.cap <= b.max);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.p[i], (char)i);
    buf_free(&b);
}

static void reserves(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_reserve(&b, 600), 600);
    memset(b.p, 'x', 600);
    b.n = 600;
    assert_int_equal(buf_reserve(&b, 600), 400);
    b.n = 1000;
    assert_int_equal(buf_reserve(&b, 1), 0);
    buf_free(&b);
}

static void consumes(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add(&b, STR("abcdef"));
    buf_consume(&b, 2);
    assert_true(str_eq(buf_str(&b), STR("cdef")));
    buf_consume(&b, 0);
    buf_consume(&b, 4);
    assert_int_equal(b.n, 0);
    assert_int_equal(buf_add(&b, STR("0123456789")), 0);
    buf_free(&b);
}

static void prints(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 12);
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), 0);
    assert_true(str_eq(buf_str(&b), STR("42-x")));
    assert_int_equal(buf_printf(&b, "%s", "much too long"), -1);
    assert_true(b.full);
    assert_true(str_eq(buf_str(&b), STR("42-x")));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_up_to_its_maximum),
        cmocka_unit_test(grows),
        cmocka_unit_test(reserves),
        cmocka_unit_test(consumes),
        cmocka_unit_test(prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

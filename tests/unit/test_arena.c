#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arena.h"

#include <stdalign.h>
#include <string.h>

static void pieces_do_not_overlap(void **state)
{
    (void)state;
    enum { N = 2000 };
    static char *pieces[N];
    struct arena a;
    arena_init(&a);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            size_t n = (size_t)i % 97 * (i % 50 ? 1 : 400);
            pieces[i] = arena_alloc(&a, n);
            assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
            memset(pieces[i], i, n);
        }
        for (int i = 0; i < N; i++) {
            size_t n = (size_t)i % 97 * (i % 50 ? 1 : 400);
            for (size_t j = 0; j < n; j++)
                assert_int_equal(pieces[i][j], (char)i);
        }
        assert_true(a.used > 0);
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_fini(&a);
}

static void copies_end_with_nul(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    struct str s = arena_copy(&a, STR("abc"));
    assert_int_equal(s.n, 3);
    assert_string_equal(s.p, "abc");
    s = arena_copy(&a, STR_NULL);
    assert_int_equal(s.n, 0);
    assert_string_equal(s.p, "");
    s = arena_printf(&a, "%s/%05d", "x", 42);
    assert_int_equal(s.n, 7);
    assert_string_equal(s.p, "x/00042");
    arena_fini(&a);
}

static void large_ones_are_whole(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    char *small = arena_alloc(&a, 10), *large = arena_alloc(&a, 1 << 20), *after = arena_alloc(&a, 10);
    memset(small, 1, 10);
    memset(large, 2, 1 << 20);
    memset(after, 3, 10);
    assert_int_equal(small[9], 1);
    assert_int_equal(large[(1 << 20) - 1], 2);
    arena_fini(&a);
}

/* What is kept for the next request lies below what is given back, so that this goes to the system. */
static void the_oldest_block_is_kept(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    char *first = arena_alloc(&a, 100);
    for (int i = 0; i < 1000; i++)
        arena_alloc(&a, 10000);
    arena_reset(&a);
    assert_ptr_equal(arena_alloc(&a, 100), first);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(copies_end_with_nul),
        cmocka_unit_test(the_oldest_block_is_kept),
        cmocka_unit_test(large_ones_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Reading what is not there: the reading ends, the process goes on, as often as it happens. */
#include "map_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096 };

static int sum(void *arg)
{
    const volatile unsigned char *p = arg;
    int n = 0;
    for (size_t i = 0; i < (size_t)2 * PAGE; i++)
        n += p[i];
    return n;
}

static void test_a_file_that_was_cut(void **state)
{
    (void)state;
    int fd = memfd_create("cut", 0);
    assert_true(fd >= 0);
    map_guard_install();
    map_guard_install(); /* once is enough, and more does no harm */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ftruncate(fd, (off_t)2 * PAGE), 0);
        assert_int_equal(pwrite(fd, "\3", 1, PAGE), 1);
        void *map = mmap(NULL, (size_t)2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(map, MAP_FAILED);
        assert_int_equal(map_guard_run(sum, map), 3);
        assert_int_equal(ftruncate(fd, PAGE), 0);
        assert_int_equal(map_guard_run(sum, map), MAP_GUARD_FAULT);
        munmap(map, (size_t)2 * PAGE);
    }
    close(fd);
}

static void test_an_address_out_of_the_map(void **state)
{
    (void)state;
    void *map = mmap(NULL, (size_t)2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    map_guard_install();
    for (int i = 0; i < 3; i++)
        assert_int_equal(map_guard_run(sum, map), MAP_GUARD_FAULT);
    munmap(map, (size_t)2 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_file_that_was_cut),
                                       cmocka_unit_test(test_an_address_out_of_the_map)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

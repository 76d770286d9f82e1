/* A small segment in a folder of its own, for a test. */
#ifndef TESTS_UNIT_SHM_FIXTURE_H
#define TESTS_UNIT_SHM_FIXTURE_H

#include "segment.h"
#include "temp_folder.h"

enum { FIXTURE_TABLE = 1024 };

struct shm_fixture {
    char folder[64];
    struct segment s;
};

static inline int shm_fixture_setup(void **state)
{
    struct shm_fixture *f = calloc(1, sizeof *f);
    struct error err;
    *state = f;
    if (!f || !temp_folder_new(f->folder) || segment_create(&f->s, f->folder, FIXTURE_TABLE, &err) < 0)
        return -1;
    return 0;
}

static inline int shm_fixture_teardown(void **state)
{
    struct shm_fixture *f = *state;
    segment_detach(&f->s);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

#define SHM_TEST(f) cmocka_unit_test_setup_teardown(f, shm_fixture_setup, shm_fixture_teardown)

#endif

/* A folder of its own for a test, removed at its end. */
#ifndef TESTS_UNIT_TEMP_FOLDER_H
#define TESTS_UNIT_TEMP_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline char *temp_folder_new(char path[64])
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, 64, "%s/aigw-unit-XXXXXX", base);
    return mkdtemp(path);
}

static inline int temp_folder_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void temp_folder_remove(const char *path)
{
    nftw(path, temp_folder_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

#endif

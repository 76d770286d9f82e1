/* Spill files: usage rows whose ring stayed full. No locks, so that neither side can be held up by the other:
 *  - each file has one writer, the process that made it; its name, SLOT-PID-RANDOM, never comes again;
 *  - a row is one O_APPEND write of 512 bytes;
 *  - the ledger notes how far it has taken a file over in the transaction of the rows it took (a mark in the
 *    store, under the file's name), so a ledger that is killed anywhere neither loses nor doubles a row;
 *  - a file goes when all of it is in the store and it gets no more: its writer is dead, or has gone on to
 * the next one because this one holds FILE_ROWS. Against power loss they are as good as the rings, which are
 * in memory: the promise of the ring is kept, no more. */
#include "spill.h"
#include "hash.h"
#include "lmdb_env.h"
#include "usage_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROW = sizeof(struct usage_row), FILE_ROWS = 2048, BATCH_ROWS = 2048, NAME = 64, PATH = 4096 };

/* ---- the worker's side ---- */

/* This process's file; a process has one slot, so one file at a time. */
static struct {
    int fd;
    uint32_t rows;
} mine = {.fd = -1};

static int folder_path(char out[PATH], const char *state_dir, struct error *err)
{
    if ((size_t)snprintf(out, PATH, "%s/store/spill", state_dir) >= PATH)
        return error_set(err, "state_dir: the path is too long");
    return 0;
}

static int open_mine(const char *state_dir, uint32_t slot, struct error *err)
{
    char folder[PATH], path[PATH + NAME];
    uint64_t random;
    if (folder_path(folder, state_dir, err) < 0 || lmdb_make_folder(folder, err) < 0)
        return -1;
    if (random_bytes(&random, sizeof random) < 0)
        return error_errno(err, "no random bytes");
    snprintf(path, sizeof path, "%s/%u-%d-%016llx", folder, slot, getpid(), (unsigned long long)random);
    mine.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (mine.fd < 0)
        return error_errno(err, "%s: can't make it", path);
    mine.rows = 0;
    return 0;
}

int spill_append(const char *state_dir, uint32_t slot, const struct usage_row *row, struct error *err)
{
    if (mine.fd < 0 && open_mine(state_dir, slot, err) < 0)
        return -1;
    ssize_t n = write(mine.fd, row, ROW);
    if (n != ROW) {
        if (n >= 0)
            errno = ENOSPC;
        error_errno(err, "spill file: can't write");
        /* a piece of a row at the end would shift all that follow */
        if (n > 0 && ftruncate(mine.fd, (off_t)mine.rows * ROW) < 0) {
            close(mine.fd);
            mine.fd = -1;
        }
        return -1;
    }
    if (++mine.rows == FILE_ROWS) {
        close(mine.fd);
        mine.fd = -1;
    }
    return 0;
}

/* ---- the ledger's side ---- */

struct spilled {
    char name[NAME];
    int fd;
    bool closed;    /* no row will be added to it */
    uint64_t taken; /* bytes that are in the store */
    uint64_t size;  /* bytes of whole rows in the file */
};

static bool writer_is_dead(const char *name)
{
    unsigned slot;
    int pid, end = 0;
    unsigned long long random;
    if (sscanf(name, "%u-%d-%16llx%n", &slot, &pid, &random, &end) != 3 || name[end] != '\0' || pid <= 0)
        return false;
    return kill(pid, 0) < 0 && errno == ESRCH;
}

static int open_spilled(struct spilled *f, int folder, const char *name, struct usage_store *store,
                        struct error *err)
{
    struct stat st;
    if (str_copy(f->name, sizeof f->name, str_of(name)) < 0)
        return error_set(err, "spill: a file that is not ours: %s", name);
    /* the writer's end before the size: what a dead one wrote is in the size */
    f->closed = writer_is_dead(name);
    f->fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return error_errno(err, "spill file %s: can't open it", name);
    f->size = (uint64_t)st.st_size / ROW * ROW;
    if (f->size >= (uint64_t)FILE_ROWS * ROW)
        f->closed = true;
    return usage_store_mark(store, f->name, &f->taken, err) < 0 ? -1 : 0;
}

/* Rows of one batch into the store, with the mark behind them. */
static int take_batch(struct usage_store *store, struct spilled *f, bool *full, struct error *err)
{
    if (usage_store_begin(store, err) < 0)
        return -1;
    uint64_t at = f->taken;
    for (int i = 0; i < BATCH_ROWS && at < f->size; i++, at += ROW) {
        struct usage_row row;
        if (pread(f->fd, &row, ROW, (off_t)at) != ROW) {
            usage_store_abort(store);
            return error_errno(err, "spill file %s: can't read", f->name);
        }
        if (usage_store_add(store, &row, err) < 0)
            break; /* the commit fails and tells why */
    }
    usage_store_set_mark(store, f->name, at, err);
    if (usage_store_commit(store, full, err) < 0)
        return -1;
    f->taken = at;
    return 0;
}

static int take_file(struct usage_store *store, int folder, struct spilled *f, uint64_t *rows, bool *full,
                     struct error *err)
{
    uint64_t before = f->taken;
    int rc = 0;
    while (rc == 0 && f->taken < f->size)
        rc = take_batch(store, f, full, err);
    *rows += (f->taken - before) / ROW;
    if (rc < 0 || !f->closed)
        return rc;
    /* the file first: a mark without a file is harmless, a file without its mark would be taken twice */
    if (unlinkat(folder, f->name, 0) < 0)
        return error_errno(err, "spill file %s: can't remove it", f->name);
    if (usage_store_begin(store, err) < 0 || usage_store_clear_mark(store, f->name, err) < 0)
        return -1;
    return usage_store_commit(store, full, err);
}

int spill_take(struct usage_store *store, const char *state_dir, uint64_t *rows, bool *full,
               struct error *err)
{
    char path[PATH];
    *rows = 0;
    *full = false;
    if (folder_path(path, state_dir, err) < 0)
        return -1;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? 0 : error_errno(err, "%s: can't read it", path);
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        struct spilled f = {.fd = -1};
        rc = open_spilled(&f, dirfd(dir), entry->d_name, store, err);
        if (rc == 0 && (f.taken < f.size || f.closed))
            rc = take_file(store, dirfd(dir), &f, rows, full, err);
        if (f.fd >= 0)
            close(f.fd);
    }
    closedir(dir);
    return rc;
}

/* The master's making of the segment's file, and its taking over of the file of a former master.
 *
 * One lock says who is the master: flock on the very file that the path names. It is taken before the file is
 * looked at, and the path is looked up again afterwards, since another master may have replaced the file
 * between open and flock. A file that can't be used is unlinked, never shortened: whoever still has it mapped
 * keeps his pages instead of meeting SIGBUS.
 *
 * A child inherits the lock with the open file description; it closes s->fd, or the lock would live as long
 * as any child does (the mapping is its own). Nothing relies on that for correctness: a new master waits
 * until no process named in a line lives before it declares that nothing is held (takeover.c). */
#include "segment_create.h"

#include "clock.h"
#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h> /* <limits.h> would be ours */
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { RACES = 16 }; /* how often another may replace the file under us before we give up */

static int read_boot_id(char out[40], struct error *err)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, 39);

    if (fd >= 0)
        close(fd);
    if (n < 36)
        return error_errno(err, "/proc/sys/kernel/random/boot_id");
    memset(out + 36, 0, 4);
    return 0;
}

static bool on_tmpfs(const char *dir)
{
    struct statfs fs;
    return statfs(dir, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* The file's name: in run_dir itself, or in /dev/shm, named after user and run_dir. */
static int file_name(const char *run_dir, char path[PATH_MAX], struct error *err)
{
    char real[PATH_MAX];
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    if (!realpath(run_dir, real))
        return error_errno(err, "run_dir %s", run_dir);
    int n;
    if (on_tmpfs(real) || !on_tmpfs("/dev/shm")) {
        n = snprintf(path, PATH_MAX, "%s/aigw.shm", real);
    } else {
        for (const char *p = real; *p; p++)
            h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        n = snprintf(path, PATH_MAX, "/dev/shm/aigw-%u-%016llx", (unsigned)geteuid(), (unsigned long long)h);
    }
    if (n >= PATH_MAX)
        return error_set(err, "run_dir %s: too long", run_dir);
    return 0;
}

/* The user that run_dir belongs to: a master that was started as root gives the file to its unprivileged
 * children's user, who owns run_dir as well, and must find it again. */
static uid_t owner_of(const char *run_dir)
{
    struct stat st;
    return stat(run_dir, &st) == 0 ? st.st_uid : geteuid();
}

/* run_dir/aigw.shm → path, where the file is elsewhere. Replaced by rename, so that it never misses. */
static int link_name(const char *run_dir, const char *path, struct error *err)
{
    char name[PATH_MAX], fresh[PATH_MAX], now[PATH_MAX];

    if (snprintf(name, sizeof name, "%s/aigw.shm", run_dir) >= (int)sizeof name ||
        snprintf(fresh, sizeof fresh, "%s/aigw.shm.%d", run_dir, (int)getpid()) >= (int)sizeof fresh)
        return error_set(err, "run_dir %s: too long", run_dir);
    ssize_t n = readlink(name, now, sizeof now - 1);
    if (n > 0) {
        now[n] = 0;
        if (strcmp(now, path) == 0)
            return 0;
    } else {
        char real[PATH_MAX];
        if (realpath(name, real) && strcmp(real, path) == 0)
            return 0; /* the file itself stands in run_dir */
    }
    unlink(fresh);
    if (symlink(path, fresh) < 0 || rename(fresh, name) < 0)
        return error_errno(err, "%s", name);
    return 0;
}

/* 1: fd is open, ours and locked, and path names it; 0: it was replaced under us; -1. Made only where nothing
 * is: the kernel refuses O_CREAT on another user's file in a sticky folder, even to root. */
static int open_locked(const char *path, uid_t friend, int *fd, struct error *err)
{
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    struct stat st, named;

    *fd = open(path, flags);
    if (*fd < 0 && errno == ENOENT)
        *fd = open(path, flags | O_CREAT | O_EXCL, 0600);
    if (*fd < 0)
        return errno == EEXIST ? 0 : error_errno(err, "%s", path);
    int rc = 1;
    if (fstat(*fd, &st) < 0)
        rc = error_errno(err, "%s", path);
    else if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != friend) || st.st_nlink > 1)
        rc = error_set(err, "%s: not a plain file of this user", path);
    else if (flock(*fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK
                 ? error_set(err, "%s: another aigw runs on it; stop it, or give this one its own run_dir",
                             path)
                 : error_errno(err, "%s: flock", path);
    else if (fchmod(*fd, 0600) < 0)
        rc = error_errno(err, "%s: chmod", path);
    else if (lstat(path, &named) < 0 || named.st_ino != st.st_ino || named.st_dev != st.st_dev)
        rc = 0;
    if (rc != 1) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

/* Maps through a descriptor of its own: a mapping keeps its open file description alive, and with it a flock,
 * so that otherwise each child's mapping would hold the lock. */
static int map_file(struct segment *s, int fd, size_t size, struct error *err)
{
    char same[40];

    snprintf(same, sizeof same, "/proc/self/fd/%d", fd);
    int other = open(same, O_RDWR | O_CLOEXEC);
    if (other < 0)
        return error_errno(err, "%s", same);
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
    close(other);
    if (map == MAP_FAILED)
        return error_errno(err, "mmap of the segment");
    madvise(map, size, MADV_DONTDUMP);
    *s = (struct segment){.header = map, .size = size, .fd = fd};
    return 0;
}

/* 1: the file holds a segment of this build, boot and table size, now mapped; 0: it does not. */
static int map_former(struct segment *s, int fd, const char *boot_id, uint32_t table_slots)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(struct shm_header) ||
        st.st_size > (off_t)SHM_MAX_BYTES || map_file(s, fd, (size_t)st.st_size, NULL) < 0)
        return 0;
    struct shm_header *h = s->header;
    if (segment_check(h, s->size, NULL) == 0 && h->table_slots == table_slots &&
        strcmp(h->boot_id, boot_id) == 0) {
        s->table_slots = table_slots;
        return 1;
    }
    s->fd = -1; /* the caller's */
    segment_detach(s);
    return 0;
}

static int make_fresh(struct segment *s, int fd, const struct shm_header *plan, const char *boot_id,
                      struct error *err)
{
    /* allocated whole now: a tmpfs that fills up later can't take a page away from a running gateway */
    int rc = posix_fallocate(fd, 0, (off_t)plan->size);
    if (rc != 0) {
        errno = rc;
        return error_errno(err, "allocating %llu bytes for the segment", (unsigned long long)plan->size);
    }
    if (map_file(s, fd, (size_t)plan->size, err) < 0)
        return -1;
    struct shm_header *h = s->header;
    *h = *plan;
    do {
        if (random_bytes(&h->segment_id, sizeof h->segment_id) < 0 ||
            random_bytes(h->secret, sizeof h->secret) < 0)
            return error_errno(err, "random bytes for the segment");
    } while (h->segment_id == 0);
    memcpy(h->boot_id, boot_id, sizeof h->boot_id);
    h->created_wall_us = clock_wall_us();
    s->table_slots = h->table_slots;
    /* release: an attaching reader that sees READY sees all of the above */
    atomic_store_explicit(&h->state, SHM_READY, memory_order_release);
    return 0;
}

/* Opens and locks the file, and replaces it until it is either a segment to go on with or empty. */
static int settle_file(struct segment *s, const char *path, uid_t friend, const struct shm_header *plan,
                       const char *boot_id, struct error *err)
{
    for (int i = 0; i < RACES; i++) {
        int fd;
        int rc = open_locked(path, friend, &fd, err);
        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        if (map_former(s, fd, boot_id, plan->table_slots)) {
            segment_end_former(s);
            segment_take_over(s);
            return 0;
        }
        struct stat st;
        if (fstat(fd, &st) == 0 && st.st_size == 0) {
            if (make_fresh(s, fd, plan, boot_id, err) == 0)
                return 0;
            s->fd = -1;
            segment_detach(s);
            unlink(path); /* half-made, or the file system is full: leave nothing behind */
            close(fd);
            return -1;
        }
        unlink(path);
        close(fd);
    }
    return error_set(err, "%s: others keep replacing it", path);
}

int segment_create(struct segment *s, const char *run_dir, uint32_t table_slots, struct error *err)
{
    char path[PATH_MAX], boot_id[40] = "";
    struct shm_header plan = {0};

    *s = (struct segment){.fd = -1};
    if (!segment_geometry(table_slots, &plan))
        return error_set(err, "a table of %u slots: must be a power of two from 64 to %u", table_slots,
                         SHM_MAX_TABLE);
    if (read_boot_id(boot_id, err) < 0 || file_name(run_dir, path, err) < 0 ||
        settle_file(s, path, owner_of(run_dir), &plan, boot_id, err) < 0)
        return -1;
    if (link_name(run_dir, path, err) < 0) {
        segment_detach(s);
        return -1;
    }
    atomic_store(&s->header->master_pid, (uint32_t)getpid());
    return 0;
}

/* Geometry, checks and parts of the segment. Every process runs this.
 *
 * The geometry is a function of the table's size alone, computed in one place: a segment is accepted only
 * when its header says exactly what the function says, so no offset of the file is ever trusted. What a
 * reader takes from the mapping afterwards it takes as input: indexes are compared with the struct's own
 * copy. */
#include "segment.h"

#include "metrics.h"
#include "segment_create.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, LINE_ALIGN = 64, SMALLEST_TABLE = 64 };

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static uint64_t slab_stride(void)
{
    return round_up(sizeof(struct shm_metrics), LINE_ALIGN);
}

static uint32_t fnv(uint32_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    while (n-- > 0)
        h = (h ^ *p++) * UINT32_C(16777619);
    return h;
}

uint32_t segment_layout_hash(void)
{
    const uint32_t sizes[] = {
        sizeof(struct shm_header),
        sizeof(struct shm_line),
        SHM_LINE_BYTES,
        sizeof(struct shm_slot),
        sizeof(struct shm_ring),
        SHM_RING_ROWS,
        sizeof(struct shm_stage),
        SHM_STAGE_ROWS,
        sizeof(struct usage_row),
        sizeof(struct shm_metrics),
        MAX_SLOTS,
        HISTOGRAM_BUCKETS,
        LINE_PLACES,
        LINE_REFS,
        SLOT_WORKER0,
        LINE_SETTLED,
        SHM_PROBES,
        offsetof(struct shm_header, state),
        offsetof(struct shm_header, slots_used),
        offsetof(struct shm_line, held),
        offsetof(struct shm_line, model),
        offsetof(struct shm_slot, limit.places),
        offsetof(struct usage_row, request_id),
        offsetof(struct usage_row, provider),
    };
    uint32_t h = fnv(UINT32_C(2166136261), sizes, sizeof sizes);
    for (size_t i = 0; i < metric_count; i++)
        h = fnv(h, metric_list[i].name, strlen(metric_list[i].name) + 1);
    return h;
}

bool segment_geometry(uint32_t table_slots, struct shm_header *h)
{
    if (table_slots < SMALLEST_TABLE || table_slots > SHM_MAX_TABLE || (table_slots & (table_slots - 1)) != 0)
        return false;
    h->magic = SHM_MAGIC;
    h->version = SHM_VERSION;
    h->layout_hash = segment_layout_hash();
    h->slots = MAX_SLOTS;
    h->table_slots = table_slots;
    h->lines_at = round_up(sizeof *h, PAGE);
    h->slabs_at = h->lines_at + (uint64_t)MAX_SLOTS * SHM_LINE_BYTES;
    h->rings_at = h->slabs_at + MAX_SLOTS * slab_stride();
    h->stage_at = round_up(h->rings_at + MAX_SLOTS * sizeof(struct shm_ring), PAGE);
    h->table_at = round_up(h->stage_at + sizeof(struct shm_stage), PAGE);
    h->size = round_up(h->table_at + (uint64_t)table_slots * sizeof(struct shm_slot), PAGE);
    return true;
}

int segment_check(const struct shm_header *h, uint64_t file_size, struct error *err)
{
    struct shm_header want = {0};

    if (h->magic != SHM_MAGIC)
        return error_set(err, "not a segment of aigw");
    if (h->version != SHM_VERSION || h->layout_hash != segment_layout_hash())
        return error_set(err, "made by another build of aigw (layout %u/%08x, this one's is %u/%08x)",
                         h->version, h->layout_hash, SHM_VERSION, segment_layout_hash());
    if (!segment_geometry(h->table_slots, &want) || h->slots != want.slots || h->size != want.size ||
        h->size != file_size || h->lines_at != want.lines_at || h->slabs_at != want.slabs_at ||
        h->rings_at != want.rings_at || h->stage_at != want.stage_at || h->table_at != want.table_at)
        return error_set(err, "its sizes and offsets contradict each other");
    if (h->segment_id == 0 || memchr(h->boot_id, 0, sizeof h->boot_id) == NULL)
        return error_set(err, "its header is not whole");
    /* acquire: what the maker wrote before it stored READY is seen from here on */
    if (atomic_load_explicit(&h->state, memory_order_acquire) != SHM_READY)
        return error_set(err, "it is not ready");
    return 0;
}

static int open_segment(const char *path, int flags, struct stat *st, struct error *err)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK); /* non-blocking: the path may name a fifo */
    if (fd < 0)
        return error_errno(err, "%s", path);
    if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
        close(fd);
        return error_set(err, "%s: not a regular file", path);
    }
    if (st->st_size < (off_t)sizeof(struct shm_header) || st->st_size > (off_t)SHM_MAX_BYTES) {
        close(fd);
        return error_set(err, "%s: %lld bytes are no segment's size", path, (long long)st->st_size);
    }
    return fd;
}

/* Takes the mapping over when it holds a whole segment, else unmaps it. */
static int accept_mapping(struct segment *s, void *map, size_t size, const char *path, struct error *err)
{
    struct error why;
    struct shm_header *h = map;

    if (segment_check(h, size, &why) < 0) {
        munmap(map, size);
        return error_set(err, "%s: %s", path, why.text);
    }
    *s = (struct segment){.header = h, .size = size, .table_slots = h->table_slots, .fd = -1};
    return 0;
}

int segment_attach(struct segment *s, const char *path, bool writable, struct error *err)
{
    struct stat st;

    *s = (struct segment){.fd = -1};
    int fd = open_segment(path, writable ? O_RDWR : O_RDONLY, &st, err);
    if (fd < 0)
        return -1;
    void *map =
        mmap(NULL, (size_t)st.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return error_errno(err, "%s: mmap", path);
    madvise(map, (size_t)st.st_size, MADV_DONTDUMP);
    return accept_mapping(s, map, (size_t)st.st_size, path, err);
}

/* False: the file ended early. */
static bool read_whole(int fd, char *to, size_t n)
{
    size_t got = 0;

    while (got < n) {
        ssize_t k = pread(fd, to + got, n - got, (off_t)got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        got += (size_t)k;
    }
    return true;
}

int segment_snapshot(struct segment *s, const char *path, struct error *err)
{
    struct stat st;

    *s = (struct segment){.fd = -1};
    int fd = open_segment(path, O_RDONLY, &st, err);
    if (fd < 0)
        return -1;
    size_t size = (size_t)st.st_size;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        close(fd);
        return error_errno(err, "%s: mmap", path);
    }
    bool whole = read_whole(fd, map, size);
    close(fd);
    if (!whole) {
        munmap(map, size);
        return error_set(err, "%s: could not be read whole", path);
    }
    return accept_mapping(s, map, size, path, err);
}

void segment_detach(struct segment *s)
{
    if (s->header)
        munmap(s->header, s->size);
    if (s->fd >= 0)
        close(s->fd);
    *s = (struct segment){.fd = -1};
}

static char *part(const struct segment *s, uint64_t at)
{
    return (char *)s->header + at;
}

struct shm_line *segment_line(const struct segment *s, uint32_t slot)
{
    if (slot >= MAX_SLOTS)
        return NULL;
    return (struct shm_line *)(void *)part(s, s->header->lines_at + (uint64_t)slot * SHM_LINE_BYTES);
}

struct shm_stage *segment_stage(const struct segment *s)
{
    return (struct shm_stage *)(void *)part(s, s->header->stage_at);
}

struct shm_ring *segment_ring(const struct segment *s, uint32_t slot)
{
    if (slot >= MAX_SLOTS)
        return NULL;
    return (struct shm_ring *)(void *)part(s, s->header->rings_at + (uint64_t)slot * sizeof(struct shm_ring));
}

struct shm_slot *segment_slots(const struct segment *s)
{
    return (struct shm_slot *)(void *)part(s, s->header->table_at);
}

struct shm_metrics *segment_metrics(const struct segment *s, uint32_t slot)
{
    if (slot >= MAX_SLOTS)
        return NULL;
    return (struct shm_metrics *)(void *)part(s, s->header->slabs_at + slot * slab_stride());
}

uint32_t segment_slots_used(const struct segment *s)
{
    uint32_t n = atomic_load_explicit(&s->header->slots_used, memory_order_acquire);
    return n < MAX_SLOTS ? n : MAX_SLOTS;
}

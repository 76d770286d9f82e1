/* A hostile segment file: attaching refuses it, or everything that reads it (and the master, that settles
 * what it says) works on it without a crash, a hang or an unprintable byte.
 *
 * A segment has some 11 MB, nearly all zero, so an input is a list of patches of a good one:
 *   {part, index:16, offset:16, length, bytes…}     part: header, line, slab, ring, table slot, end of the
 * file */
#include "dump.h"
#include "fuzz.h"
#include "json_scan.h"
#include "metrics.h"
#include "places.h"
#include "ring.h"
#include "scoreboard.h"
#include "table.h"

#include <sys/mman.h>
#include <unistd.h>

enum { TABLE = 64, MOST_PATCHES = 64 };
enum part { PART_HEADER, PART_LINE, PART_SLAB, PART_RING, PART_SLOT, PART_END, PARTS };

static struct {
    int fd;
    char path[40];
    char *file, *good; /* the mapped file; a copy of it as it was made */
    size_t size;
    struct shm_header at; /* the good geometry */
} base;

static void fill(const struct segment *s)
{
    struct shm_line *l = segment_line(s, SLOT_WORKER0);

    scoreboard_enter(s, SLOT_MASTER, "master", 1, 1000);
    CHECK(scoreboard_claim_worker(s) == SLOT_WORKER0);
    scoreboard_enter(s, SLOT_WORKER0, "worker", 1, 1000);
    struct shm_slot *key = table_get(s, l, 0, table_id(s, TABLE_KEY, STR("k")));
    CHECK(key && places_take(s, SLOT_WORKER0, 0, key, 3) == 1);
    CHECK(table_get(s, l, 1, table_id(s, TABLE_SERIES, STR("s"))));
    CHECK(table_get(s, l, 2, table_id(s, TABLE_PROVIDER, STR("p"))));
    metric_add(&segment_metrics(s, SLOT_WORKER0)->requests_total, 5);
    CHECK(ring_entry(s, SLOT_WORKER0));
    ring_publish(s, SLOT_WORKER0);
    ring_begin(s, SLOT_WORKER0);
    l->pid = s->header->master_pid = 0; /* of no process */
}

static void make_base(void)
{
    char folder[] = "/tmp/aigw-fuzz-XXXXXX", path[64];
    struct segment s;
    struct error err;

    CHECK(mkdtemp(folder));
    CHECK(segment_create(&s, folder, TABLE, &err) == 0);
    fill(&s);
    base.size = s.size;
    base.at = *s.header;
    base.good = malloc(s.size);
    CHECK(base.good);
    memcpy(base.good, s.header, s.size);
    segment_detach(&s);
    snprintf(path, sizeof path, "%s/aigw.shm", folder);
    char target[64];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n > 0) {
        target[n] = 0;
        unlink(target);
    }
    unlink(path);
    rmdir(folder);

    base.fd = memfd_create("fuzz_segment", MFD_CLOEXEC);
    CHECK(base.fd >= 0 && ftruncate(base.fd, (off_t)base.size) == 0);
    base.file = mmap(NULL, base.size, PROT_READ | PROT_WRITE, MAP_SHARED, base.fd, 0);
    CHECK(base.file != MAP_FAILED);
    memcpy(base.file, base.good, base.size);
    snprintf(base.path, sizeof base.path, "/proc/self/fd/%d", base.fd);
}

struct patch {
    size_t at, n;
};

/* Where the patch goes, and how much of it fits there. */
static struct patch place(enum part part, uint32_t index, uint32_t offset, size_t n)
{
    const size_t slab = (base.at.rings_at - base.at.slabs_at) / MAX_SLOTS;
    const struct {
        size_t at, each, count;
    } parts[] = {
        [PART_HEADER] = {0, sizeof(struct shm_header), 1},
        [PART_LINE] = {base.at.lines_at, SHM_LINE_BYTES, MAX_SLOTS},
        [PART_SLAB] = {base.at.slabs_at, slab, MAX_SLOTS},
        [PART_RING] = {base.at.rings_at, sizeof(struct shm_ring), MAX_SLOTS},
        [PART_SLOT] = {base.at.table_at, SHM_SLOT_BYTES, TABLE},
    };
    offset %= (uint32_t)parts[part].each;
    if (n > parts[part].each - offset)
        n = parts[part].each - offset;
    return (struct patch){parts[part].at + index % parts[part].count * parts[part].each + offset, n};
}

/* A file with this header and an end elsewhere: refused, whatever the header says. */
static void read_another_size(uint64_t size)
{
    struct segment s;
    char path[40];
    int fd = memfd_create("fuzz_segment_cut", MFD_CLOEXEC);

    if (size == base.size)
        size++;
    CHECK(fd >= 0 && pwrite(fd, base.file, size < 4096 ? size : 4096, 0) >= 0 &&
          ftruncate(fd, (off_t)size) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct shm_header *h = (struct shm_header *)(void *)base.file;
    CHECK(h->size == size || segment_attach(&s, path, true, NULL) < 0);
    CHECK(h->size == size || segment_snapshot(&s, path, NULL) < 0);
    close(fd);
}

static size_t apply(const uint8_t *data, size_t size, struct patch done[MOST_PATCHES])
{
    size_t count = 0;

    while (size >= 6 && count < MOST_PATCHES) {
        enum part part = data[0] % PARTS;
        uint32_t index = data[1] | (uint32_t)data[2] << 8, offset = data[3] | (uint32_t)data[4] << 8;
        size_t n = data[5] < size - 6 ? data[5] : size - 6;
        data += 6, size -= 6;
        if (part == PART_END) {
            read_another_size((uint64_t)index << 8 | n);
            break;
        }
        done[count] = place(part, index, offset, n);
        memcpy(base.file + done[count].at, data, done[count].n);
        count++;
        data += n, size -= n;
    }
    return count;
}

/* The regions that settling may change wherever it likes are restored whole. */
static void restore(const struct patch *done, size_t count)
{
    memcpy(base.file, base.good, base.at.slabs_at);
    memcpy(base.file + base.at.table_at, base.good + base.at.table_at, TABLE * SHM_SLOT_BYTES);
    for (size_t i = 0; i < count; i++)
        memcpy(base.file + done[i].at, base.good + done[i].at, done[i].n);
    struct patch rings[] = {place(PART_RING, SLOT_WORKER0, 0, 64), place(PART_RING, SLOT_WORKER0 + 1, 0, 64),
                            place(PART_SLAB, SLOT_MASTER, 0, sizeof(struct shm_metrics))};
    for (size_t i = 0; i < 3; i++)
        memcpy(base.file + rings[i].at, base.good + rings[i].at, rings[i].n);
}

/* ---- what readers do with it ---- */

static void read_all(const struct segment *s)
{
    static char *text;
    static size_t room;
    struct error err;
    FILE *f = open_memstream(&text, &room);

    CHECK(f);
    dump_json(f, s, dump_now(s));
    CHECK(fclose(f) == 0);
    if (json_validate((struct str){text, strlen(text)}, &err) < 0)
        fprintf(stderr, "%s\n%s\n", err.text, text), abort();
    free(text);
    f = open_memstream(&text, &room);
    CHECK(f);
    dump_text(f, s, dump_now(s));
    dump_check(f, s, s);
    CHECK(fclose(f) == 0);
    for (const char *p = text; *p; p++)
        CHECK(*p == '\n' || (*p >= ' ' && *p <= '~'));
    free(text);
    for (uint32_t i = 0; i < MAX_SLOTS; i += 16) {
        const struct usage_row *row = ring_peek(s, i, ring_tail(s, i));
        CHECK(!row || (const char *)(row + 1) <= (const char *)s->header + s->size);
    }
    table_peek(s, table_id(s, TABLE_KEY, STR("k")));
}

/* ---- what the master, the ledger and a worker do with it ---- */

static void settle_all(const struct segment *s)
{
    struct usage_row row;
    uint64_t seq;

    s->header->insert_gate = 0; /* else waiting for it takes its 50 ms */
    for (uint32_t i = 0; i < MAX_SLOTS; i++)
        segment_line(s, i)->inserting = 0;
    scoreboard_reaped(s, SLOT_WORKER0);
    if (ring_open_row(s, SLOT_WORKER0, &row, &seq))
        ring_close_open(s, SLOT_WORKER0);
    table_evict_idle(s, INT64_MAX / 2, 1);
    table_recount(s);
    struct shm_line *l = segment_line(s, SLOT_WORKER0 + 1);
    scoreboard_enter(s, SLOT_WORKER0 + 1, "worker", 1, 1);
    struct shm_slot *slot = table_get(s, l, 0, table_id(s, TABLE_KEY, STR("k")));
    if (slot) {
        places_take(s, SLOT_WORKER0 + 1, 0, slot, 5);
        places_give(s, SLOT_WORKER0 + 1, 0);
    }
    table_release(l, 0);
    if (ring_entry(s, SLOT_WORKER0 + 1))
        ring_publish(s, SLOT_WORKER0 + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct patch done[MOST_PATCHES];
    struct segment s;
    struct error err;

    if (!base.file)
        make_base();
    size_t count = apply(data, size, done);
    if (size > 0 && data[0] & 0x80 && segment_snapshot(&s, base.path, &err) == 0) {
        read_all(&s);
        segment_detach(&s);
    }
    if (segment_attach(&s, base.path, true, &err) == 0) {
        read_all(&s);
        settle_all(&s);
        read_all(&s);
        segment_detach(&s);
    }
    restore(done, count);
    return 0;
}

/* Makes, attaches and names the parts of the shared segment (layout.h). */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include "error.h"
#include "layout.h"

#include <stdbool.h>

struct segment {
    struct shm_header *header; /* NULL: not attached */
    size_t size;
    uint32_t table_slots; /* header->table_slots as it was checked: indexes are compared with this copy */
    int fd;               /* the file, locked (flock) by the master while it lives; -1 in readers */
};

/* The master's: takes run_dir/aigw.shm over when it is whole, of this build, this boot and this table size
 * (counters and limits go on; places are zeroed, as no process can hold one), else makes a new one. On a
 * run_dir that is no tmpfs, aigw.shm is a link into /dev/shm. Mode 0600, fully allocated. -1 also when
 * another master holds it. */
int segment_create(struct segment *s, const char *run_dir, uint32_t table_slots, struct error *err);
/* A reader's (admin, shmdump, live or dead): checks magic, version, layout hash, sizes and offsets, so that
 * a hostile file can't crash the reader. writable: counters may be raised through it. */
int segment_attach(struct segment *s, const char *path, bool writable, struct error *err);
/* A private copy of the file, for an inspector: what is read does not change, nor vanish when the file is
 * cut.
 */
int segment_snapshot(struct segment *s, const char *path, struct error *err);
void segment_detach(struct segment *s);

struct shm_line *segment_line(const struct segment *s, uint32_t slot); /* NULL when out of range */
struct shm_ring *segment_ring(const struct segment *s, uint32_t slot);
struct shm_stage *segment_stage(const struct segment *s);
struct shm_slot *segment_slots(const struct segment *s); /* the table, header->table_slots of them */
/* Lines, rings and slabs from this number on have never been used: where a scan over all may end. */
uint32_t segment_slots_used(const struct segment *s);
struct shm_metrics *segment_metrics(const struct segment *s, uint32_t slot); /* metrics.h */

#endif

/* What segment.c and segment_create.c share: geometry and checks of a segment's header. */
#ifndef SHM_SEGMENT_CREATE_H
#define SHM_SEGMENT_CREATE_H

#include "segment.h"

/* Of the sizes, offsets and counter names that this build was made with. */
uint32_t segment_layout_hash(void);
/* Fills the fields of h that follow from the table's size; false: no such table can be. */
bool segment_geometry(uint32_t table_slots, struct shm_header *h);
/* Whether h is the header of a whole segment of this build in a file of file_size bytes. */
int segment_check(const struct shm_header *h, uint64_t file_size, struct error *err);
/* The master's, on a segment whose former master is dead: ends what its processes held, so that all that
 * stays are counters, limits, unread rows and open rows (takeover.c). */
void segment_take_over(const struct segment *s);
/* Waits until no process named in a line lives, and kills what still does after that. */
void segment_end_former(const struct segment *s);

#endif

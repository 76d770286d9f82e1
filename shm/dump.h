/* What aigw-shmdump prints and checks, of any segment that segment_attach or segment_snapshot accepted.
 * Values read are only printed or compared, never trusted: a hostile file gives strange output, not a crash.
 */
#ifndef SHM_DUMP_H
#define SHM_DUMP_H

#include "segment.h"

#include <stdio.h>

/* The monotonic "now" that ages and debts are told against: the clock's, or, for the file of another boot,
 * the latest time that a line names. */
int64_t dump_now(const struct segment *s);
/* The process that the header names is alive. */
bool dump_is_live(const struct segment *s);

void dump_text(FILE *out, const struct segment *s, int64_t now_ns);
/* One JSON document and a newline. */
void dump_json(FILE *out, const struct segment *s, int64_t now_ns);

/* Writes a line for each broken invariant and returns how many. `first` and `second` are snapshots taken one
 * after the other of a living segment, or twice the same of a dead one's file: what may be explained by a
 * change between or within them is not reported. */
unsigned dump_check(FILE *out, const struct segment *first, const struct segment *second);

/* Shared by text and JSON. */
struct dump_field {
    char text[200];
};
struct dump_field dump_printable(const char *field, size_t size); /* up to NUL or size, unprintables as '?' */
const char *dump_kind_name(unsigned kind);
bool dump_line_in_use(const struct shm_line *l);
double dump_owed_ms(uint64_t tat, int64_t now_ns);

#endif

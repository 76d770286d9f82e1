/* Writes JSON into a buf, and makes the canonical form of a valid text. */
#ifndef COMMON_JSON_OUT_H
#define COMMON_JSON_OUT_H

#include "arena.h"
#include "buf.h"
#include "str.h"

/* "…" with everything escaped that must be. Invalid UTF-8 becomes U+FFFD. -1: the buf is full. */
int json_put_string(struct buf *b, struct str s);

/* Adds the canonical form of `text`, a valid JSON text: no white space, object members sorted by their
 * decoded names (bytewise), strings with the fewest escapes, numbers as they are written. Members of the
 * outermost object named in skip[] are left out. Equal values written differently give equal bytes. -1: the
 * buf is full. */
int json_canonical(struct buf *b, struct str text, const char *const skip[], size_t nskip,
                   struct arena *scratch);

/* Adds the object `text` with the named top-level member set to the JSON text `value` (replaced where it
 * stands, else put in first), every other byte unchanged: how a request is altered without being rebuilt. */
int json_set_member(struct buf *b, struct str text, const char *name, struct str value);
/* The same of *object, which is then memory of a; -1: *object is as it was. */
int json_set_member_in(struct arena *a, struct str *object, const char *name, struct str value);

#endif

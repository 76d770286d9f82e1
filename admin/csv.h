/* Comma-separated values as RFC 4180 has them, safe to open in a spreadsheet. */
#ifndef ADMIN_CSV_H
#define ADMIN_CSV_H

#include "buf.h"

/* Adds one text field, quoted where it must be. A field that a spreadsheet would take for a formula gets an
 * apostrophe in front: names come from people, and the file is opened by somebody else. */
int csv_put(struct buf *b, struct str field);

#endif

/* Reads the members of a JSON body into a record, by a table that says what each may be.
 *
 * Strict: a member that the table does not know, a member given twice, or a wrong type is a 400 that names
 * it. null sets a field back to nothing. */
#ifndef ADMIN_FIELDS_H
#define ADMIN_FIELDS_H

#include "arena.h"
#include "json_scan.h"
#include "reply.h"

enum field_kind {
    FIELD_TEXT,    /* char[size]: no control characters */
    FIELD_LIMIT,   /* uint64_t, or uint32_t by size: 1 … 10^12 (10^6); nothing is 0, "no limit" */
    FIELD_TIME,    /* int64_t, seconds: RFC 3339 or a number; nothing is 0 */
    FIELD_LATER,   /* belongs to a later version: refused, saying so */
    FIELD_SPECIAL, /* read by parse() */
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, size; /* in the record */
    /* FIELD_SPECIAL: sets the record's field from the value (JSON_NULL: to nothing): 0, or -1, answered. */
    int (*parse)(struct json_value v, void *record, struct arena *a, struct reply *r);
};

/* 0, or -1 with a 400 answered and the record half changed: work on a copy. At most 32 fields. */
int fields_read(struct str body, const struct field table[], size_t n, void *record, struct arena *a,
                struct reply *r);

/* A member's name as json_next gives it (without quotes), decoded. */
struct str field_name(struct str raw, struct arena *a);
/* A JSON string's text, without control characters, of 1 … max bytes: 0, or -1, answered. */
int field_text(struct json_value v, const char *param, size_t max, struct arena *a, struct str *out,
               struct reply *r);

#endif

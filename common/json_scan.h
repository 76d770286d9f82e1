/* A strict validating scanner for JSON texts (RFC 8259), which builds no tree.
 *
 * It accepts exactly the valid texts: UTF-8 without surrogates or overlong forms, no BOM, depth <=
 * MAX_JSON_DEPTH, no duplicate of a member that the caller asked for (two parsers would read two different
 * requests). While it goes, it notes where the members are that the caller wants. Nothing is copied. */
#ifndef COMMON_JSON_SCAN_H
#define COMMON_JSON_SCAN_H

#include "arena.h"
#include "error.h"
#include "str.h"

enum json_type {
    JSON_ABSENT,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_value {
    enum json_type type; /* JSON_ABSENT: the text has no such member */
    struct str raw;      /* the value's bytes in the text; a string's with its quotes */
    uint32_t count;      /* members of an object or elements of an array */
};

/* Validates text, whose outermost value must be an object. paths[i] names a member, nested ones with dots
 * ("stream_options.include_usage"); out[i] receives it. Names are compared after decoding their escapes.
 * n <= 32. Returns 0, or -1 with the byte offset and the reason in err. */
int json_scan(struct str text, const char *const paths[], size_t n, struct json_value out[],
              struct error *err);

/* Validates any JSON text (an array, a number …). */
int json_validate(struct str text, struct error *err);

/* Steps through the elements of an array or the members of an object that json_scan has validated.
 * *at starts as 0. name may be NULL for arrays; it is the raw name without quotes. 1: one more, 0: no more.
 */
int json_next(struct str raw, size_t *at, struct str *name, struct json_value *value);

/* The member of that name of a validated object, the last one where there are several; JSON_ABSENT: none, or
 * v is no object. Walks over the whole object: meant for small ones. */
struct json_value json_member(struct json_value v, const char *name);
/* The value that a validated text is. */
struct json_value json_root(struct str text);

/* The decoded text of a JSON_STRING value: the slice itself when nothing is escaped, else a copy in the
 * arena. May hold NUL bytes (\u0000): the caller checks where that matters. */
struct str json_text(struct json_value v, struct arena *a);
/* 0, or -1 when v is no integer within int64 (1.0 and 1e3 are none). */
int json_int(struct json_value v, int64_t *out);
int json_double(struct json_value v, double *out);

#endif

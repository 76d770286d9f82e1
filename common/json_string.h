/* JSON strings: what the scanner and the writers share. For the folder's own use. */
#ifndef COMMON_JSON_STRING_H
#define COMMON_JSON_STRING_H

#include "str.h"

/* Validates a string from behind its opening quote. True: *p stands at the closing quote and *escaped tells
 * whether there is a backslash in it. False: *p stands where it went wrong and *why says how. */
bool json_string_scan(const char **p, const char *end, bool *escaped, const char **why);

/* Decodes the escapes of a validated string (without its quotes) into dst, which has room for raw.n bytes:
 * the decoded form is never longer. Returns its length. */
size_t json_string_decode(struct str raw, char *dst);

/* Whether a validated string (without its quotes) decodes to `text`. */
bool json_string_is(struct str raw, struct str text);

/* The first byte that is not a plain one (quote, backslash, control, non-ASCII), or end. */
const char *json_string_plain(const char *p, const char *end);

#endif

/* Google's JSON is protobuf's: members go by camelCase or snake_case, a list of one may be its element, bytes
 * are base64 of either alphabet. What its readers on both sides (dialects/google_*, providers/gemini*) share.
 */
#ifndef SERVER_GOOGLE_JSON_H
#define SERVER_GOOGLE_JSON_H

#include "arena.h"
#include "json_scan.h"
#include "json_write.h"

/* What a reader of fields is told of the members that it does not know. */
typedef void google_other(void *arg, struct str name, struct json_value value);

/* The members of a validated object by their camelCase names, written either way; null counts as absent, of
 * several the last counts. other: NULL, or called for members of other names (as written, without quotes). */
void google_fields(struct json_value object, const char *const names[], size_t n, struct json_value out[],
                   google_other *other, void *arg);
/* One of them. */
struct json_value google_field(struct json_value object, const char *name);
/* A raw name (without quotes) is `camel`, or its snake_case form. */
bool google_name_is(struct str raw, const char *camel);

/* Steps through a repeated field: the elements of an array, or the one object that stands for a list of one.
 */
int google_next(struct json_value list, size_t *at, struct json_value *element);

/* Base64 of the URL-safe alphabet, padded or not, in the standard one; what is standard already is returned
 * as it is. */
struct str google_base64(struct str data, struct arena *a);

/* A valid JSON text without the white space between its tokens. */
struct str google_compact(struct str json, struct arena *a);

/* Code that Google ran (executableCode), or what it printed (codeExecutionResult), as a fenced block; empty:
 * there is none. */
struct str google_code(struct json_value code, struct json_value result, struct arena *a);

/* An OpenAPI subset schema ("type":"STRING", nullable …) as JSON Schema, in the arena. What is JSON Schema
 * already stays what it is. */
struct str google_schema(struct json_value schema, struct arena *a);

#endif

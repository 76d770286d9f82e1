/* Looks into a multipart/form-data body (RFC 7578) without taking it apart. */
#ifndef SERVER_MULTIPART_H
#define SERVER_MULTIPART_H

#include "str.h"

/* Whether a Content-Type names multipart/form-data; *boundary is then its parameter (empty when it is missing
 * or no valid one). */
bool multipart_type(struct str content_type, struct str *boundary);
/* The value of the part named `name` (a field, not a file). 1: *value; 0: there is none; -1: there is more
 * than one, or the body is malformed. */
int multipart_field(struct str body, struct str boundary, const char *name, struct str *value);

#endif

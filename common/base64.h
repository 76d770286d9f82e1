/* Base64 (RFC 4648), both alphabets. */
#ifndef COMMON_BASE64_H
#define COMMON_BASE64_H

#include "arena.h"
#include "buf.h"

/* Adds the standard alphabet with padding. -1: the buf is full. */
int base64_put(struct buf *b, struct str bytes);
/* Adds the URL-safe alphabet without padding (JWT). */
int base64url_put(struct buf *b, struct str bytes);
/* Decodes either alphabet, padded or not; white space is refused. 0, or -1: not base64. */
int base64_decode(struct str text, struct arena *a, struct str *out);

#endif

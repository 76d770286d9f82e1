/* Dates and times as people and JSON write them (RFC 3339), always UTC when written. */
#ifndef ADMIN_RFC3339_H
#define ADMIN_RFC3339_H

#include "str.h"

enum { RFC3339_SIZE = 40 };

/* "2026-11-22T10:00:00Z", with an offset or a fraction (dropped) too, as seconds since 1970; -1: it is none.
 */
int rfc3339_parse(struct str s, int64_t *seconds);
/* "2026-11-22", a day that exists. */
bool rfc3339_is_date(struct str s);
void rfc3339_format(char out[RFC3339_SIZE], int64_t seconds);
/* With microseconds. */
void rfc3339_format_us(char out[RFC3339_SIZE], int64_t us);

#endif

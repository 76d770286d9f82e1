/* Values of the admin API's JSON that common/json_write.h does not have. */
#ifndef ADMIN_JSON_VALUES_H
#define ADMIN_JSON_VALUES_H

#include "json_write.h"

/* v / 10^places, exactly. */
void json_member_decimal(struct json_writer *w, const char *name, uint64_t v, unsigned places);
void json_member_usd(struct json_writer *w, const char *name, uint64_t pico);
/* RFC 3339; 0: null. */
void json_member_time(struct json_writer *w, const char *name, int64_t seconds);
/* null when it is 0, which is "no limit" in our records. */
void json_member_limit(struct json_writer *w, const char *name, uint64_t limit);

#endif

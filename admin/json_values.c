/* Values of the admin API's JSON. */
#include "json_values.h"

#include "decimal.h"
#include "rfc3339.h"

void json_member_decimal(struct json_writer *w, const char *name, uint64_t v, unsigned places)
{
    char text[64];
    struct buf b = {.p = text, .cap = sizeof(text), .max = sizeof(text)};
    decimal_put(&b, v, places);
    json_member_raw(w, name, buf_str(&b));
}

void json_member_usd(struct json_writer *w, const char *name, uint64_t pico)
{
    json_member_decimal(w, name, pico, 12);
}

void json_member_time(struct json_writer *w, const char *name, int64_t seconds)
{
    char text[RFC3339_SIZE];
    rfc3339_format(text, seconds);
    json_member_strz(w, name, seconds ? text : NULL);
}

void json_member_limit(struct json_writer *w, const char *name, uint64_t limit)
{
    if (limit)
        json_member_u64(w, name, limit);
    else
        json_member_null(w, name);
}

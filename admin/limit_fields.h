/* The limits that keys and teams have alike: their names, and the rules between them. */
#ifndef ADMIN_LIMIT_FIELDS_H
#define ADMIN_LIMIT_FIELDS_H

#include "fields.h"
#include "keystore.h"

/* Lines of a table of fields; `limits` is where in the record the struct key_limits stands. */
#define LIMIT_FIELD(record, limits, field)                                             \
    {                                                                                  \
        .name = #field, .kind = FIELD_LIMIT, .offset = offsetof(record, limits.field), \
        .size = sizeof(((record *)0)->limits.field)                                    \
    }
#define LIMIT_FIELDS(record, limits)                                                                      \
    LIMIT_FIELD(record, limits, rpm), LIMIT_FIELD(record, limits, tpm), LIMIT_FIELD(record, limits, rpd), \
        LIMIT_FIELD(record, limits, max_parallel), LIMIT_FIELD(record, limits, rpm_burst),                \
        LIMIT_FIELD(record, limits, tpm_burst), LIMIT_FIELD(record, limits, rpd_burst),                   \
        {.name = "tier", .kind = FIELD_LATER}, {.name = "budget_usd", .kind = FIELD_LATER},               \
    {                                                                                                     \
        .name = "budget_period", .kind = FIELD_LATER                                                      \
    }

/* A burst needs its limit: 0, or -1 with a 400 answered. */
int limit_fields_check(const struct key_limits *l, struct reply *r);
void limit_fields_write(struct json_writer *w, const struct key_limits *l);

#endif

/* Limits of keys and teams. */
#include "limit_fields.h"

static int check_burst(uint64_t limit, uint64_t burst, const char *name, struct reply *r)
{
    if (!burst || limit)
        return 0;
    return reply_error(r, 400, "invalid_value", name, "%s needs its limit, %.3s, beside it", name, name);
}

int limit_fields_check(const struct key_limits *l, struct reply *r)
{
    if (check_burst(l->rpm, l->rpm_burst, "rpm_burst", r) ||
        check_burst(l->tpm, l->tpm_burst, "tpm_burst", r) ||
        check_burst(l->rpd, l->rpd_burst, "rpd_burst", r))
        return -1;
    return 0;
}

void limit_fields_write(struct json_writer *w, const struct key_limits *l)
{
    json_member_limit(w, "rpm", l->rpm);
    json_member_limit(w, "rpm_burst", l->rpm_burst);
    json_member_limit(w, "tpm", l->tpm);
    json_member_limit(w, "tpm_burst", l->tpm_burst);
    json_member_limit(w, "rpd", l->rpd);
    json_member_limit(w, "rpd_burst", l->rpd_burst);
    json_member_limit(w, "max_parallel", l->max_parallel);
}

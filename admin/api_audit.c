/* /v1/audit: what was changed over this API, newest first. */
#include "api.h"
#include "rfc3339.h"

struct audit_listing {
    struct json_writer w;
    uint64_t limit, n;
};

static int list_one(int64_t time_us, struct str line, void *arg)
{
    struct audit_listing *l = arg;
    if (l->n++ == l->limit)
        return 1;
    char time[RFC3339_SIZE];
    rfc3339_format_us(time, time_us);
    json_open(&l->w, '{');
    json_member_strz(&l->w, "time", time);
    json_name(&l->w, "event");
    json_raw(&l->w, line); /* audit.c wrote it as JSON */
    json_close(&l->w, '}');
    return 0;
}

void audit_list(struct call *c)
{
    struct audit_listing l = {.limit = 100};
    struct error err;
    if (call_query_u64(c, "limit", 10000, &l.limit))
        return;
    l.w = reply_json(c->x->reply, 200);
    json_open(&l.w, '{');
    json_member_open(&l.w, "data", '[');
    if (keystore_each_audit(c->admin->keys, list_one, &l, &err) < 0) {
        call_failed(c, "reading the audit log", &err);
        return;
    }
    json_close(&l.w, ']');
    json_close(&l.w, '}');
}

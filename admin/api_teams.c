/* /v1/teams: limits over all keys of a team together. */
#include "api.h"
#include "audit.h"
#include "limit_fields.h"
#include "places.h"
#include "table.h"
#include "utf8.h"

static const struct field fields[] = {
    {.name = "department",
     .kind = FIELD_TEXT,
     .offset = offsetof(struct team_record, department),
     .size = sizeof(((struct team_record *)0)->department)},
    LIMIT_FIELDS(struct team_record, limits),
};

static void write_team(struct json_writer *w, const struct team_record *t, const struct admin *a)
{
    json_open(w, '{');
    json_member_strz(w, "name", t->name);
    json_member_strz(w, "department", t->department);
    limit_fields_write(w, &t->limits);
    if (a->segment.header) {
        const struct shm_slot *slot =
            table_peek(&a->segment, table_id(&a->segment, TABLE_TEAM, str_of(t->name)));
        json_member_u64(w, "in_flight", slot ? places_count(&slot->limit.places) : 0);
    }
    json_close(w, '}');
}

struct team_listing {
    struct json_writer w;
    const struct admin *admin;
};

static int list_one(const struct team_record *t, void *arg)
{
    struct team_listing *l = arg;
    write_team(&l->w, t, l->admin);
    return 0;
}

void teams_list(struct call *c)
{
    struct team_listing l = {.w = reply_json(c->x->reply, 200), .admin = c->admin};
    struct error err;
    json_open(&l.w, '{');
    json_member_open(&l.w, "data", '[');
    if (keystore_each_team(c->admin->keys, list_one, &l, &err) < 0) {
        call_failed(c, "listing the teams", &err);
        return;
    }
    json_close(&l.w, ']');
    json_close(&l.w, '}');
}

/* The name in the path must be one that a key's "team" could hold. */
static int check_name(const struct call *c, size_t max)
{
    struct str name = str_of(c->object);
    bool ok = name.n > 0 && name.n <= max;
    for (size_t i = 0, n; ok && i < name.n; i += n) {
        n = utf8_sequence(name.p + i, name.n - i);
        ok = n && (unsigned char)name.p[i] >= 0x20 && name.p[i] != 0x7f;
    }
    if (ok)
        return 0;
    return reply_error(c->x->reply, 400, "invalid_value", "name",
                       "a team's name is UTF-8 text of 1 to %zu bytes without control characters", max);
}

void teams_get(struct call *c)
{
    struct team_record t;
    struct error err;
    if (check_name(c, sizeof t.name - 1))
        return;
    int r = keystore_get_team(c->admin->keys, c->object, &t, &err);
    if (r < 0) {
        call_failed(c, "reading the team", &err);
    } else if (!r) {
        reply_error(c->x->reply, 404, "team_not_found", "name", "there is no team %s", c->object);
    } else {
        struct json_writer w = reply_json(c->x->reply, 200);
        write_team(&w, &t, c->admin);
    }
}

void teams_put(struct call *c)
{
    struct team_record t = {0};
    struct error err;
    if (check_name(c, sizeof t.name - 1) ||
        fields_read(c->x->body, fields, sizeof fields / sizeof *fields, &t, c->x->arena, c->x->reply) ||
        limit_fields_check(&t.limits, c->x->reply))
        return;
    str_copy_cut(t.name, sizeof t.name, str_of(c->object));
    if (keystore_put_team(c->admin->keys, &t, &err)) {
        reply_error(c->x->reply, 507, "team_not_stored", NULL, "the team was not stored: %s", err.text);
        return;
    }
    audit_note(c, "team.put", t.name, c->x->body);
    struct json_writer w = reply_json(c->x->reply, 200);
    write_team(&w, &t, c->admin);
}

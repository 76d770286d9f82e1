/* /v1/keys: create, list, read, change, rotate, block, delete. A change is durable, and seen by every worker,
 * when it is answered. A key's secret is in one answer only: that of its creation or rotation. */
#include "api.h"
#include "audit.h"
#include "key_fields.h"
#include "log.h"
#include "places.h"
#include "table.h"

#include <openssl/crypto.h>

static void unknown_key(const struct call *c)
{
    reply_error(c->x->reply, 404, "key_not_found", "id", "there is no key %s", c->object);
}

/* The key that the path names: 0, or -1, answered. */
static int load(const struct call *c, struct key_record *k)
{
    struct error err;
    int r = strlen(c->object) < sizeof k->id ? keystore_get(c->admin->keys, c->object, k, NULL, &err) : 0;
    if (r < 0)
        return call_failed(c, "reading the key", &err);
    if (!r)
        unknown_key(c);
    return r ? 0 : -1;
}

/* Stores the changed record: 0, or -1, answered. */
static int store(const struct call *c, struct key_record *k)
{
    struct error err;
    int r = keystore_update(c->admin->keys, k, &err);
    if (r < 0)
        return call_failed(c, "changing the key", &err);
    if (!r)
        unknown_key(c);
    return r ? 0 : -1;
}

/* What the shared table holds of the key at this moment. */
static void write_state(struct json_writer *w, const struct admin *a, const char *id)
{
    if (!a->segment.header)
        return;
    const struct shm_slot *slot = table_peek(&a->segment, table_id(&a->segment, TABLE_KEY, str_of(id)));
    json_member_u64(w, "in_flight", slot ? places_count(&slot->limit.places) : 0);
    json_member_u64(w, "refused",
                    slot ? atomic_load_explicit(&slot->limit.refused, memory_order_relaxed) : 0);
}

static void answer(const struct call *c, int status, const struct key_record *k, const char *secret)
{
    struct json_writer w = reply_json(c->x->reply, status);
    json_open(&w, '{');
    key_fields_write(&w, k);
    if (secret)
        json_member_strz(&w, "key", secret);
    else
        write_state(&w, c->admin, k->id);
    json_close(&w, '}');
}

/* A key that is taken over must not be somebody's already: 0, or -1, answered. */
static int check_given(const struct call *c, const char *given)
{
    struct key_record other;
    struct team_record team;
    struct error err;
    int r = *given ? keystore_find(c->admin->keys, str_of(given), &other, &team, &err) : 0;
    if (r < 0)
        return call_failed(c, "looking for the given key", &err);
    if (r)
        return reply_error(c->x->reply, 409, "key_exists", "key", "this key is there already, as %s",
                           other.id);
    return 0;
}

void keys_create(struct call *c)
{
    struct key_request q = {0};
    char secret[MAX_KEY];
    struct error err;
    if (key_fields_read(c->x->body, true, &q, c->x->arena, c->x->reply) || check_given(c, q.given))
        return;
    if (keystore_create(c->admin->keys, &q.record, str_of(q.given), secret, &err)) {
        log_warn("a key was not created: %s", err.text);
        reply_error(c->x->reply, 507, "key_not_created", NULL, "the key was not created: %s", err.text);
        return;
    }
    audit_note(c, "key.create", q.record.id, c->x->body);
    answer(c, 201, &q.record, secret);
    OPENSSL_cleanse(secret, sizeof secret);
    OPENSSL_cleanse(q.given, sizeof q.given);
}

void keys_get(struct call *c)
{
    struct key_record k;
    if (!load(c, &k))
        answer(c, 200, &k, NULL);
}

void keys_change(struct call *c)
{
    struct key_request q = {0};
    if (load(c, &q.record) || key_fields_read(c->x->body, false, &q, c->x->arena, c->x->reply) ||
        store(c, &q.record))
        return;
    audit_note(c, "key.change", q.record.id, c->x->body);
    if (!load(c, &q.record))
        answer(c, 200, &q.record, NULL);
}

void keys_delete(struct call *c)
{
    struct error err;
    int r = strlen(c->object) < sizeof(((struct key_record *)0)->id)
                ? keystore_delete(c->admin->keys, c->object, &err)
                : 0;
    if (r < 0) {
        call_failed(c, "deleting the key", &err);
        return;
    }
    if (!r) {
        unknown_key(c);
        return;
    }
    audit_note(c, "key.delete", c->object, STR_NULL);
    struct json_writer w = reply_json(c->x->reply, 200);
    json_open(&w, '{');
    json_member_strz(&w, "id", c->object);
    json_member_bool(&w, "deleted", true);
    json_close(&w, '}');
}

void keys_rotate(struct call *c)
{
    struct key_record k;
    char secret[MAX_KEY];
    struct error err;
    if (load(c, &k))
        return;
    int r = keystore_rotate(c->admin->keys, k.id, secret, &err);
    if (r < 0) {
        call_failed(c, "rotating the key", &err);
        return;
    }
    if (!r) {
        unknown_key(c);
        return;
    }
    audit_note(c, "key.rotate", c->object, STR_NULL);
    if (!load(c, &k))
        answer(c, 200, &k, secret);
    OPENSSL_cleanse(secret, sizeof secret);
}

static void set_blocked(struct call *c, bool blocked)
{
    struct key_record k;
    if (load(c, &k))
        return;
    k.blocked = blocked;
    if (store(c, &k))
        return;
    audit_note(c, blocked ? "key.block" : "key.unblock", k.id, STR_NULL);
    if (!load(c, &k))
        answer(c, 200, &k, NULL);
}

void keys_block(struct call *c)
{
    set_blocked(c, true);
}

void keys_unblock(struct call *c)
{
    set_blocked(c, false);
}

struct listing {
    struct json_writer w;
    const char *team; /* NULL: all */
    const char *after;
    uint64_t limit, n;
    bool more;
    char last[sizeof(((struct key_record *)0)->id)];
};

static int list_one(const struct key_record *k, void *arg)
{
    struct listing *l = arg;
    if ((l->team && strcmp(k->team, l->team)) || (l->after && strcmp(k->id, l->after) <= 0))
        return 0;
    if (l->n == l->limit) {
        l->more = true;
        return 1;
    }
    l->n++;
    str_copy_cut(l->last, sizeof l->last, str_of(k->id));
    json_open(&l->w, '{');
    key_fields_write(&l->w, k);
    json_close(&l->w, '}');
    return 0;
}

void keys_list(struct call *c)
{
    struct listing l = {.limit = 100, .team = call_query(c, "team").p, .after = call_query(c, "after").p};
    if (call_query_u64(c, "limit", 1000, &l.limit))
        return;
    struct error err;
    l.w = reply_json(c->x->reply, 200);
    json_open(&l.w, '{');
    json_member_open(&l.w, "data", '[');
    if (keystore_each_key(c->admin->keys, list_one, &l, &err) < 0) {
        call_failed(c, "listing the keys", &err);
        return;
    }
    json_close(&l.w, ']');
    json_member_bool(&l.w, "has_more", l.more);
    json_member_strz(&l.w, "next_after", l.more && l.n ? l.last : NULL);
    json_close(&l.w, '}');
}

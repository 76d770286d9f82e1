/* /v1/cache: what it holds, and its purge, which the cache process carries out. */
#include "api.h"
#include "audit.h"
#include "fields.h"
#include "response_cache.h"

enum { CACHE_SCOPE_TEXT = CACHE_SCOPE_MAX - 1 };

static int parse_scope(struct json_value v, void *record, struct arena *a, struct reply *r)
{
    struct str s;
    if (field_text(v, "scope", CACHE_SCOPE_TEXT, a, &s, r))
        return -1;
    struct str name = s, kind;
    bool named = str_starts(s, STR("team:")) || str_starts(s, STR("key:"));
    str_split(&name, ':', &kind);
    if (!str_eq(s, STR("all")) && !(named && name.n))
        return reply_error(r, 400, "invalid_value", "scope",
                           "scope must be \"all\", \"team:NAME\" or \"key:ID\"");
    return str_copy(record, CACHE_SCOPE_MAX, s);
}

static const struct field fields[] = {
    {.name = "scope", .kind = FIELD_SPECIAL, .parse = parse_scope},
};

void cache_purge_post(struct call *c)
{
    char scope[CACHE_SCOPE_MAX] = "";
    uint64_t removed = 0;
    struct error err;
    if (fields_read(c->x->body, fields, 1, scope, c->x->arena, c->x->reply))
        return;
    if (!*scope) {
        reply_error(c->x->reply, 400, "missing_field", "scope",
                    "scope is missing: \"all\", \"team:NAME\" or \"key:ID\"");
        return;
    }
    if (c->admin->cache_fd < 0) {
        reply_error(c->x->reply, 503, "no_cache", NULL, "there is no cache process");
        return;
    }
    if (cache_purge(c->admin->cache_fd, strcmp(scope, "all") ? scope : NULL, &removed, &err)) {
        reply_error(c->x->reply, 503, "cache_not_purged", NULL, "the cache was not purged: %s", err.text);
        return;
    }
    audit_note(c, "cache.purge", scope, STR_NULL);
    struct json_writer w = reply_json(c->x->reply, 200);
    json_open(&w, '{');
    json_member_strz(&w, "scope", scope);
    json_member_u64(&w, "removed", removed);
    json_close(&w, '}');
}

static uint64_t counter(const struct admin *a, size_t offset)
{
    return a->segment.header ? metrics_sum(&a->segment, offset) : 0;
}

void cache_stats_get(struct call *c)
{
    struct cache_stats s = {0};
    struct error err;
    const struct admin *a = c->admin;
    if (cache_stats(a->config->state_dir, &s, &err)) {
        call_failed(c, "counting the cache", &err);
        return;
    }
    struct json_writer w = reply_json(c->x->reply, 200);
    json_open(&w, '{');
    json_member_bool(&w, "enabled", a->config->cache.enabled);
    json_member_u64(&w, "entries", s.entries);
    json_member_u64(&w, "used_bytes", s.used_bytes);
    json_member_u64(&w, "max_bytes", s.max_bytes ? s.max_bytes : a->config->cache.max_bytes);
#define COUNTER(member, name) json_member_u64(&w, member, counter(a, offsetof(struct shm_metrics, name)))
    COUNTER("hits", cache_hits_total);
    COUNTER("misses", cache_misses_total);
    COUNTER("stores", cache_stores_total);
    COUNTER("errors", cache_errors_total);
    COUNTER("evicted", cache_evicted_total);
    COUNTER("expired", cache_expired_total);
#undef COUNTER
    json_member_usd(&w, "saved_usd", counter(a, offsetof(struct shm_metrics, cache_saved_pico_usd_total)));
    json_close(&w, '}');
}

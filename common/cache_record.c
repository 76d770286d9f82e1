#include "cache_record.h"
#include "hash.h"
#include "pack.h"

#include <string.h>

enum { VERSION_BYTES = 1, SUM = 8 };

/* Of the fields and of the body. It guards against disks, not against people. */
static uint64_t sum_of(struct str fields, struct str body)
{
    static const uint64_t key[2] = {0};
    uint64_t out[2];
    siphash128(key, fields.p, fields.n, out);
    siphash128(out, body.p, body.n, out);
    return out[0];
}

size_t cache_record_head(const struct cache_entry *e, const char *scope, uint8_t out[CACHE_RECORD_HEAD])
{
    static const uint8_t no_sum[SUM];
    struct pack k = {.p = out, .cap = CACHE_RECORD_HEAD};
    if (strlen(scope) >= CACHE_SCOPE_MAX)
        return 0;
    pack_num(&k, CACHE_LAYOUT);
    pack_bytes(&k, no_sum, SUM);
    size_t fields = k.n;
    pack_num(&k, (uint64_t)e->stored_s);
    pack_num(&k, (uint64_t)e->expires_s);
    pack_num(&k, e->tokens.input);
    pack_num(&k, e->tokens.cached);
    pack_num(&k, e->tokens.cache_write);
    pack_num(&k, e->tokens.output);
    pack_num(&k, e->tokens.reasoning);
    pack_num(&k, e->cost_pico);
    pack_str(&k, str_of(scope));
    pack_str(&k, e->provider);
    pack_str(&k, e->model);
    pack_str(&k, e->dropped);
    pack_num(&k, e->body.n);
    if (k.full)
        return 0;
    pack_be64(out + VERSION_BYTES, sum_of((struct str){(char *)out + fields, k.n - fields}, e->body));
    return k.n;
}

bool cache_record_is_whole(struct str record)
{
    struct cache_entry e;
    struct str scope;
    enum { FIELDS = VERSION_BYTES + SUM };
    if (cache_record_read(record, &e, &scope) < 0)
        return false;
    struct str fields = {record.p + FIELDS, record.n - FIELDS - e.body.n};
    return unpack_be64((const uint8_t *)record.p + VERSION_BYTES) == sum_of(fields, e.body);
}

int cache_record_read(struct str record, struct cache_entry *e, struct str *scope)
{
    struct unpack u = {.p = (const uint8_t *)record.p, .n = record.n};
    memset(e, 0, sizeof *e);
    uint8_t sum[SUM];
    if (unpack_num(&u) != CACHE_LAYOUT)
        return -1;
    unpack_bytes(&u, sum, SUM); /* cache_record_is_whole */
    e->stored_s = (int64_t)unpack_num(&u);
    e->expires_s = (int64_t)unpack_num(&u);
    e->tokens.input = unpack_num(&u);
    e->tokens.cached = unpack_num(&u);
    e->tokens.cache_write = unpack_num(&u);
    e->tokens.output = unpack_num(&u);
    e->tokens.reasoning = unpack_num(&u);
    e->cost_pico = unpack_num(&u);
    *scope = unpack_str(&u);
    e->provider = unpack_str(&u);
    e->model = unpack_str(&u);
    e->dropped = unpack_str(&u);
    e->body = unpack_str(&u);
    bool odd = u.bad || u.n != 0 || scope->n >= CACHE_SCOPE_MAX || e->expires_s < 0;
    return odd || (scope->n > 0 && memchr(scope->p, '\0', scope->n) != NULL) ? -1 : 0;
}

int cache_folder(char out[4096], const char *state_dir)
{
    return (size_t)snprintf(out, 4096, "%s/cache", state_dir) < 4096 ? 0 : -1;
}

/* Keys are decoded on every request, so their form is compact (some 150 bytes instead of the struct's 4 KB)
 * and read in one pass. The first byte is the version: a field that is added later is appended, and the
 * number raised. What is read here decides who gets in: anything odd fails the whole record. */
#include "key_record.h"
#include "pack.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

enum { VERSION = 1 };

static void pack_z(struct pack *k, const char *z, size_t size)
{
    pack_str(k, (struct str){z, strnlen(z, size)});
}

static void pack_limits(struct pack *k, const struct key_limits *l)
{
    pack_num(k, l->rpm);
    pack_num(k, l->tpm);
    pack_num(k, l->rpd);
    pack_num(k, l->rpm_burst);
    pack_num(k, l->tpm_burst);
    pack_num(k, l->rpd_burst);
    pack_num(k, l->max_parallel);
}

static void unpack_limits(struct unpack *u, struct key_limits *l)
{
    l->rpm = unpack_num(u);
    l->tpm = unpack_num(u);
    l->rpd = unpack_num(u);
    l->rpm_burst = unpack_num(u);
    l->tpm_burst = unpack_num(u);
    l->rpd_burst = unpack_num(u);
    uint64_t parallel = unpack_num(u);
    if (parallel > UINT32_MAX)
        u->bad = true;
    l->max_parallel = (uint32_t)parallel;
}

/* A count of elements that are in the record, within what the struct holds. */
static uint16_t unpack_count(struct unpack *u, uint64_t max)
{
    uint64_t n = unpack_num(u);
    if (n > max) {
        u->bad = true;
        return 0;
    }
    return (uint16_t)n;
}

#define PACK_FIELD(k, field)   pack_z((k), (field), sizeof(field))
#define UNPACK_FIELD(u, field) unpack_z((u), (field), sizeof(field))

size_t key_record_encode(const struct key_record *key, uint8_t out[KEY_RECORD_MAX])
{
    struct pack k = {.p = out, .cap = KEY_RECORD_MAX};
    pack_num(&k, VERSION);
    PACK_FIELD(&k, key->id);
    PACK_FIELD(&k, key->name);
    PACK_FIELD(&k, key->team);
    PACK_FIELD(&k, key->department);
    PACK_FIELD(&k, key->owner);
    PACK_FIELD(&k, key->hint);
    pack_num(&k, (uint64_t)key->created_s);
    pack_num(&k, (uint64_t)key->expires_s);
    pack_num(&k, key->version);
    pack_num(&k, key->blocked);
    pack_limits(&k, &key->limits);
    assert(key->n_models <= KEY_MAX_MODELS && key->n_cidrs <= KEY_MAX_CIDRS && key->n_tags <= KEY_MAX_TAGS);
    pack_num(&k, key->n_models);
    for (unsigned i = 0; i < key->n_models; i++)
        PACK_FIELD(&k, key->models[i]);
    pack_num(&k, key->n_cidrs);
    for (unsigned i = 0; i < key->n_cidrs; i++) {
        pack_num(&k, key->cidrs[i].family);
        pack_num(&k, key->cidrs[i].bits);
        pack_bytes(&k, key->cidrs[i].addr, sizeof key->cidrs[i].addr);
    }
    pack_num(&k, key->n_tags);
    for (unsigned i = 0; i < key->n_tags; i++) {
        PACK_FIELD(&k, key->tags[i].name);
        PACK_FIELD(&k, key->tags[i].value);
    }
    assert(!k.full);
    return k.n;
}

static void unpack_cidr(struct unpack *u, struct cidr *c)
{
    uint64_t family = unpack_num(u), bits = unpack_num(u);
    unpack_bytes(u, c->addr, sizeof c->addr);
    if (!(family == 4 && bits <= 32) && !(family == 6 && bits <= 128))
        u->bad = true;
    c->family = (uint8_t)family;
    c->bits = (uint8_t)bits;
}

int key_record_decode(struct str bytes, struct key_record *key)
{
    struct unpack u = {.p = (const uint8_t *)bytes.p, .n = bytes.n};
    memset(key, 0, offsetof(struct key_record, models)); /* the lists only count as far as their counts */
    if (unpack_num(&u) != VERSION)
        return -1;
    UNPACK_FIELD(&u, key->id);
    UNPACK_FIELD(&u, key->name);
    UNPACK_FIELD(&u, key->team);
    UNPACK_FIELD(&u, key->department);
    UNPACK_FIELD(&u, key->owner);
    UNPACK_FIELD(&u, key->hint);
    key->created_s = (int64_t)unpack_num(&u);
    key->expires_s = (int64_t)unpack_num(&u);
    key->version = (uint32_t)unpack_num(&u);
    key->blocked = unpack_num(&u) != 0;
    unpack_limits(&u, &key->limits);
    key->n_models = unpack_count(&u, KEY_MAX_MODELS);
    for (unsigned i = 0; i < key->n_models; i++)
        UNPACK_FIELD(&u, key->models[i]);
    key->n_cidrs = unpack_count(&u, KEY_MAX_CIDRS);
    for (unsigned i = 0; i < key->n_cidrs; i++)
        unpack_cidr(&u, &key->cidrs[i]);
    key->n_tags = unpack_count(&u, KEY_MAX_TAGS);
    for (unsigned i = 0; i < key->n_tags; i++) {
        UNPACK_FIELD(&u, key->tags[i].name);
        UNPACK_FIELD(&u, key->tags[i].value);
    }
    return u.bad || u.n != 0 || key->id[0] == '\0' ? -1 : 0;
}

size_t team_record_encode(const struct team_record *team, uint8_t out[KEY_RECORD_MAX])
{
    struct pack k = {.p = out, .cap = KEY_RECORD_MAX};
    pack_num(&k, VERSION);
    PACK_FIELD(&k, team->name);
    PACK_FIELD(&k, team->department);
    pack_limits(&k, &team->limits);
    assert(!k.full);
    return k.n;
}

int team_record_decode(struct str bytes, struct team_record *team)
{
    struct unpack u = {.p = (const uint8_t *)bytes.p, .n = bytes.n};
    memset(team, 0, sizeof *team);
    if (unpack_num(&u) != VERSION)
        return -1;
    UNPACK_FIELD(&u, team->name);
    UNPACK_FIELD(&u, team->department);
    unpack_limits(&u, &team->limits);
    return u.bad || u.n != 0 || team->name[0] == '\0' ? -1 : 0;
}

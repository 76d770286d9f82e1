/* A row takes about 200 bytes like this instead of 512: two and a half times as many fit into the store's
 * limit. The first number is the version; what is added later is appended, and the number raised. */
#include "usage_record.h"
#include "pack.h"

#include <assert.h>
#include <string.h>

enum { ROW_VERSION = 1, SUM_VERSION = 1 };

/* Rows come out of shared memory: a name that isn't terminated ends at its field's end. */
#define PACK_FIELD(k, field)   pack_str((k), (struct str){(field), strnlen((field), sizeof(field) - 1)})
#define UNPACK_FIELD(u, field) unpack_z((u), (field), sizeof(field))

static void pack_tokens(struct pack *k, const struct usage_tokens *t)
{
    pack_num(k, t->input);
    pack_num(k, t->cached);
    pack_num(k, t->cache_write);
    pack_num(k, t->output);
    pack_num(k, t->reasoning);
}

static void unpack_tokens(struct unpack *u, struct usage_tokens *t)
{
    t->input = unpack_num(u);
    t->cached = unpack_num(u);
    t->cache_write = unpack_num(u);
    t->output = unpack_num(u);
    t->reasoning = unpack_num(u);
}

size_t usage_row_encode(const struct usage_row *row, uint8_t out[USAGE_RECORD_MAX])
{
    struct pack k = {.p = out, .cap = USAGE_RECORD_MAX};
    pack_num(&k, ROW_VERSION);
    pack_num(&k, (uint64_t)row->time_us);
    pack_num(&k, row->latency_us);
    pack_num(&k, row->ttft_us);
    pack_num(&k, row->upstream_us);
    pack_num(&k, row->status);
    pack_num(&k, row->flags);
    pack_num(&k, row->attempts);
    pack_num(&k, row->endpoint);
    pack_tokens(&k, &row->tokens);
    pack_num(&k, row->cost_pico);
    pack_num(&k, row->saved_pico);
    PACK_FIELD(&k, row->request_id);
    PACK_FIELD(&k, row->key_id);
    PACK_FIELD(&k, row->team);
    PACK_FIELD(&k, row->department);
    PACK_FIELD(&k, row->model);
    PACK_FIELD(&k, row->target);
    PACK_FIELD(&k, row->provider);
    assert(!k.full);
    return k.n;
}

int usage_row_decode(struct str bytes, struct usage_row *row)
{
    struct unpack u = {.p = (const uint8_t *)bytes.p, .n = bytes.n};
    memset(row, 0, sizeof *row);
    if (unpack_num(&u) != ROW_VERSION)
        return -1;
    row->time_us = (int64_t)unpack_num(&u);
    row->latency_us = (uint32_t)unpack_num(&u);
    row->ttft_us = (uint32_t)unpack_num(&u);
    row->upstream_us = (uint32_t)unpack_num(&u);
    row->status = (uint16_t)unpack_num(&u);
    row->flags = (uint16_t)unpack_num(&u);
    row->attempts = (uint16_t)unpack_num(&u);
    row->endpoint = (uint8_t)unpack_num(&u);
    unpack_tokens(&u, &row->tokens);
    row->cost_pico = unpack_num(&u);
    row->saved_pico = unpack_num(&u);
    UNPACK_FIELD(&u, row->request_id);
    UNPACK_FIELD(&u, row->key_id);
    UNPACK_FIELD(&u, row->team);
    UNPACK_FIELD(&u, row->department);
    UNPACK_FIELD(&u, row->model);
    UNPACK_FIELD(&u, row->target);
    UNPACK_FIELD(&u, row->provider);
    return u.bad ? -1 : 0;
}

size_t usage_sum_encode(const struct usage_sum *sum, uint8_t out[USAGE_RECORD_MAX])
{
    struct pack k = {.p = out, .cap = USAGE_RECORD_MAX};
    pack_num(&k, SUM_VERSION);
    pack_num(&k, sum->requests);
    pack_num(&k, sum->errors);
    pack_num(&k, sum->cache_hits);
    pack_num(&k, sum->killed);
    pack_num(&k, sum->cost_unknown);
    pack_tokens(&k, &sum->tokens);
    pack_num(&k, sum->cost_pico);
    pack_num(&k, sum->saved_pico);
    pack_num(&k, sum->latency_us_total);
    pack_num(&k, sum->ttft_us_total);
    pack_num(&k, sum->ttft_count);
    assert(!k.full);
    return k.n;
}

int usage_sum_decode(struct str bytes, struct usage_sum *sum)
{
    struct unpack u = {.p = (const uint8_t *)bytes.p, .n = bytes.n};
    memset(sum, 0, sizeof *sum);
    if (unpack_num(&u) != SUM_VERSION)
        return -1;
    sum->requests = unpack_num(&u);
    sum->errors = unpack_num(&u);
    sum->cache_hits = unpack_num(&u);
    sum->killed = unpack_num(&u);
    sum->cost_unknown = unpack_num(&u);
    unpack_tokens(&u, &sum->tokens);
    sum->cost_pico = unpack_num(&u);
    sum->saved_pico = unpack_num(&u);
    sum->latency_us_total = unpack_num(&u);
    sum->ttft_us_total = unpack_num(&u);
    sum->ttft_count = unpack_num(&u);
    return u.bad ? -1 : 0;
}

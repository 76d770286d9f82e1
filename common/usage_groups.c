#include "usage_groups.h"
#include "hash.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(struct str name)
{
    /* group names come from callers, but through the key store and the configuration: no secret is needed */
    static const uint64_t key[2] = {1, 2};
    uint64_t h[2];
    siphash128(key, name.p, name.n, h);
    return h[0];
}

static struct str name_of(const struct usage_group *group)
{
    return (struct str){(const char *)group->name, group->name_n};
}

/* Where that name's position stands in the index, or should. */
static size_t place_of(const struct usage_groups *g, struct str name)
{
    size_t mask = 2 * g->cap - 1, at = hash_of(name) & mask;
    while (g->index[at] != 0 && !str_eq(name_of(g->list[g->index[at] - 1]), name))
        at = (at + 1) & mask;
    return at;
}

static void grow(struct usage_groups *g)
{
    g->cap = g->cap ? 2 * g->cap : 64;
    g->list = mem_resize(g->list, g->cap * sizeof(struct usage_group *));
    free(g->index);
    g->index = mem_alloc(2 * g->cap * sizeof *g->index);
    for (size_t i = 0; i < g->n; i++)
        g->index[place_of(g, name_of(g->list[i]))] = (uint32_t)i + 1;
}

struct usage_sum *usage_groups_get(struct usage_groups *g, struct str name)
{
    if (name.n > USAGE_GROUP_MAX)
        return NULL;
    if (g->n == g->cap)
        grow(g);
    size_t at = place_of(g, name);
    if (g->index[at] == 0) {
        struct usage_group *group = mem_alloc(sizeof *group);
        if (name.n > 0)
            memcpy(group->name, name.p, name.n);
        group->name_n = (uint16_t)name.n;
        g->list[g->n++] = group;
        g->index[at] = (uint32_t)g->n;
    }
    return &g->list[g->index[at] - 1]->sum;
}

static int by_name(const void *a, const void *b)
{
    const struct usage_group *x = *(struct usage_group *const *)a, *y = *(struct usage_group *const *)b;
    size_t n = x->name_n < y->name_n ? x->name_n : y->name_n;
    int c = memcmp(x->name, y->name, n);
    return c != 0 ? c : (x->name_n > y->name_n) - (x->name_n < y->name_n);
}

void usage_groups_sort(struct usage_groups *g)
{
    if (g->n > 1)
        qsort(g->list, g->n, sizeof(struct usage_group *), by_name);
}

void usage_groups_reset(struct usage_groups *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->list[i]);
    free(g->list);
    free(g->index);
    *g = (struct usage_groups){.n = 0};
}

static void add(uint64_t *sum, uint64_t n)
{
    if (__builtin_add_overflow(*sum, n, sum))
        *sum = UINT64_MAX;
}

static void add_tokens(struct usage_tokens *sum, const struct usage_tokens *t)
{
    add(&sum->input, t->input);
    add(&sum->cached, t->cached);
    add(&sum->cache_write, t->cache_write);
    add(&sum->output, t->output);
    add(&sum->reasoning, t->reasoning);
}

void usage_sum_add_row(struct usage_sum *sum, const struct usage_row *row)
{
    add(&sum->requests, 1);
    add(&sum->errors, row->status == 0 || row->status >= 400);
    add(&sum->cache_hits, (row->flags & USAGE_CACHE_HIT) != 0);
    add(&sum->killed, (row->flags & USAGE_KILLED) != 0);
    add_tokens(&sum->tokens, &row->tokens);
    if (row->flags & USAGE_COST_UNKNOWN)
        add(&sum->cost_unknown, 1);
    else
        add(&sum->cost_pico, row->cost_pico);
    add(&sum->saved_pico, row->saved_pico);
    add(&sum->latency_us_total, row->latency_us);
    add(&sum->ttft_us_total, row->ttft_us);
    add(&sum->ttft_count, row->ttft_us != 0);
}

void usage_sum_add(struct usage_sum *sum, const struct usage_sum *more)
{
    add(&sum->requests, more->requests);
    add(&sum->errors, more->errors);
    add(&sum->cache_hits, more->cache_hits);
    add(&sum->killed, more->killed);
    add(&sum->cost_unknown, more->cost_unknown);
    add_tokens(&sum->tokens, &more->tokens);
    add(&sum->cost_pico, more->cost_pico);
    add(&sum->saved_pico, more->saved_pico);
    add(&sum->latency_us_total, more->latency_us_total);
    add(&sum->ttft_us_total, more->ttft_us_total);
    add(&sum->ttft_count, more->ttft_count);
}

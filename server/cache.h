/* The response cache's two sides: workers read it (LMDB, read-only), one process writes it. Values are whole
 * JSON answers; full, broken or absent means "no cache", never an error. */
#ifndef SERVER_CACHE_H
#define SERVER_CACHE_H

#include "arena.h"
#include "config.h"
#include "error.h"
#include "heritage.h"
#include "usage.h"

struct cache_reader;

struct cache_entry {
    int64_t stored_s, expires_s; /* wall clock */
    struct usage_tokens tokens;  /* of the call that made it */
    uint64_t cost_pico;          /* … and its cost, which a hit saves; UINT64_MAX: unknown */
    struct str provider, model;  /* that answered */
    struct str body;             /* the JSON answer */
};

/* NULL when there is no cache (not an error). Opened after fork. */
struct cache_reader *cache_open(const struct config *c);
void cache_close(struct cache_reader **r);
/* 1: a live entry, copied into the arena. 0: none. -1: the cache can't be read now. */
int cache_find(struct cache_reader *r, const uint8_t key[32], int64_t now_s, struct arena *a,
               struct cache_entry *e);
/* Posts the entry to the cache process; never waits. -1: dropped (mailbox full, entry too large). scope_id:
 * whose entries it belongs to, for purges ("team:blue"). */
int cache_post(int cache_fd, const uint8_t key[32], const char *scope_id, const struct cache_entry *e,
               uint32_t max_entry);

#endif

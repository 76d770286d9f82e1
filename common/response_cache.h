/* The response cache as its users see it (state_dir/cache, LMDB). Workers read it, the admin process counts
 * it, one process writes it (server/cache.c) and takes its orders from a mailbox: a SOCK_SEQPACKET pair made
 * by the master. Values are whole JSON answers. Full, broken or absent means "no cache", never an error that
 * a caller of the gateway could see. */
#ifndef COMMON_RESPONSE_CACHE_H
#define COMMON_RESPONSE_CACHE_H

#include "arena.h"
#include "config.h"
#include "error.h"
#include "usage.h"

enum { CACHE_KEY_BYTES = 32, CACHE_SCOPE_MAX = 64 };

struct cache_entry {
    int64_t stored_s, expires_s; /* wall clock */
    struct usage_tokens tokens;  /* of the call that made it */
    uint64_t cost_pico;          /* … and its cost, which a hit saves; UINT64_MAX: unknown */
    struct str provider, model;  /* that answered */
    struct str dropped;          /* parameters that were not honoured, by name; a hit tells them again */
    struct str body;             /* the JSON answer */
};

struct cache_reader;

/* NULL when the configuration has no cache (not an error). One per process, opened after fork. The files may
 * come later: they are looked for again, at most once a second. */
struct cache_reader *cache_open(const struct config *c);
void cache_close(struct cache_reader **r);
enum { CACHE_DAMAGED = -2 };
/* 1: a live entry, copied into the arena. 0: none. -1: it can't be read now. CACHE_DAMAGED: and won't be, as
 * its files are broken: to be told to the cache process (cache_report). */
int cache_find(struct cache_reader *r, const uint8_t key[CACHE_KEY_BYTES], int64_t now_s, struct arena *a,
               struct cache_entry *e);

/* Posts the entry to the cache process; never waits. -1: dropped (mailbox full, entry larger than max_entry).
 * scope_id: whose entries it belongs to, for purges ("team:blue"). */
int cache_post(int cache_fd, const uint8_t key[CACHE_KEY_BYTES], const char *scope_id,
               const struct cache_entry *e, uint32_t max_entry);
/* Tells the cache process of it, which begins anew. Never waits. */
void cache_report(int cache_fd, const struct cache_reader *r);
/* Has the cache process remove the entries of a scope (NULL: all) and waits for it, 5 s at most. */
int cache_purge(int cache_fd, const char *scope_id, uint64_t *removed, struct error *err);

struct cache_stats {
    uint64_t entries;
    uint64_t used_bytes, max_bytes; /* pages in use of the file; its limit */
};
/* Opens the files read-only, counts, closes them. 0 with all zero when there is no cache yet. Not in a
 * process that has a cache_reader (LMDB: one environment, one handle a process). */
int cache_stats(const char *state_dir, struct cache_stats *out, struct error *err);

#endif

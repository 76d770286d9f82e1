/* The files of the response cache, in the hands of their one writer (the cache process). */
#ifndef SERVER_CACHE_STORE_H
#define SERVER_CACHE_STORE_H

#include "cache_mailbox.h"
#include "error.h"

struct cache_store;

/* Opens state_dir/cache, and wipes it first when it can't be opened, is of another layout, or may have been
 * damaged: the machine went down with it open (boot_id differs), or the last process died opening it, or of
 * what it found in it. What turns out to be damaged later is wiped, too. */
struct cache_store *cache_store_open(const char *state_dir, uint64_t max_bytes, const char *boot_id,
                                     struct error *err);
/* The file that says how the cache was left: without it the next one to open the cache begins anew. */
enum { CACHE_NOTE_PATH = 4096 + 16 };
void cache_store_note(const struct cache_store *s, char out[CACHE_NOTE_PATH]);
/* Syncs, and notes that all is well for the next boot. */
void cache_store_close(struct cache_store **s);

/* Each is one or a few transactions, durable against a kill, not against a power loss. Counts go to the
 * caller; -1: nothing was changed. */
/* Stores the STORE mails among m[n] (several with one key: the last wins). *stored counts them; *evicted what
 * had to go for them. Records that are malformed or expired are skipped. */
int cache_store_put(struct cache_store *s, const struct cache_mail *m, size_t n, int64_t now_s,
                    uint64_t *stored, uint64_t *evicted, struct error *err);
/* Removes the entries of a scope; an empty one means all. */
int cache_store_purge(struct cache_store *s, const char *scope, uint64_t *removed, struct error *err);
/* Removes what has expired, a bounded number a call. */
int cache_store_expire(struct cache_store *s, int64_t now_s, uint64_t *removed, struct error *err);
/* Removes what would expire first until no more than 85 % is used, when more than 90 % is. */
int cache_store_evict(struct cache_store *s, uint64_t *removed, struct error *err);
/* Wipes the files and opens new ones, if `file` (an inode) is still the one in use. */
int cache_store_begin_anew(struct cache_store *s, uint64_t file, struct error *err);
void cache_store_reap_readers(struct cache_store *s);

#endif

/* How an entry of the response cache is written, in the mailbox as in LMDB: a head of packed fields, the
 * first two of which are the version and a sum of all that follows, then the answer's bytes as they are.
 *   entries  key                                → record
 *   expiry   expires_s (big-endian), key        → nothing
 *   scopes   scope, NUL, key                    → nothing */
#ifndef COMMON_CACHE_RECORD_H
#define COMMON_CACHE_RECORD_H

#include "response_cache.h"

enum { CACHE_LAYOUT = 3 /* of the record and of the tables */, CACHE_RECORD_HEAD = 2048, CACHE_DBS = 3 };
#define CACHE_DB_ENTRIES "entries"
#define CACHE_DB_EXPIRY  "expiry"
#define CACHE_DB_SCOPES  "scopes"

/* The head's bytes; 0 when a name is too long to be one of ours. The body is to follow. */
size_t cache_record_head(const struct cache_entry *e, const char *scope, uint8_t out[CACHE_RECORD_HEAD]);
/* 0: *e and *scope point into the record. -1: not a record of this version, cut short, or longer than it
 * says. */
int cache_record_read(struct str record, struct cache_entry *e, struct str *scope);
/* It can be read, and is what was written: looks at each byte of it. */
bool cache_record_is_whole(struct str record);

/* state_dir/cache; -1: the path is too long. */
int cache_folder(char out[4096], const char *state_dir);

#endif

/* What keystore.c (opening, reading) and keystore_change.c (the writer's changes) share. Nobody else includes
 * it. One LMDB database (unnamed, so that a look-up walks one tree), the first byte of a key says what it is:
 *   h SHA-256(salt ‖ key)  → key record     what a request looks up, in one step
 *   i id                   → that hash      what the admin process looks up
 *   t team name            → team record
 *   a time, big-endian µs  → a line of the audit log */
#ifndef COMMON_KEYSTORE_DB_H
#define COMMON_KEYSTORE_DB_H

#include "keystore.h"
#include "lmdb_env.h"

enum { KEYSTORE_SALT = 32, KEYSTORE_HASH = 32 };

struct keystore {
    struct lmdb_env env;
    MDB_dbi db;
    uint8_t salt[KEYSTORE_SALT];
    uint64_t keys, teams, capacity; /* the writer's */
};

/* An LMDB key: the kind's letter and what follows. */
struct dbkey {
    uint8_t bytes[1 + MAX_NAME];
    size_t n;
};

struct dbkey dbkey(char kind, const void *p, size_t n);
struct dbkey dbkey_z(char kind, const char *z);
/* The 'h' key of a presented credential, at most MAX_KEY - 1 bytes. */
struct dbkey dbkey_hash(const struct keystore *ks, struct str presented);
static inline MDB_val dbkey_val(const struct dbkey *k)
{
    return lmdb_val(k->bytes, k->n);
}

/* Each: 1 found, 0 not, -1 err. The slice points into the map. */
int keystore_db_get(struct keystore *ks, MDB_txn *txn, const struct dbkey *key, struct str *out,
                    struct error *err);
int keystore_db_hash(struct keystore *ks, MDB_txn *txn, const char *id, struct dbkey *hash,
                     struct error *err);
int keystore_db_key(struct keystore *ks, MDB_txn *txn, const struct dbkey *hash, struct key_record *key,
                    struct team_record *team, struct error *err);

#endif

/* The writer's changes of the key store (the admin process's): each function is one transaction, synced to
 * disk by LMDB's commit before it returns, and seen by the next request in every worker. */
#include "clock.h"
#include "hash.h"
#include "key_record.h"
#include "keystore_db.h"
#include "pack.h"

#include <openssl/crypto.h>
#include <string.h>

enum { AUDIT_MAX = 50000, AUDIT_LINE_MAX = 2048, GIVEN_MIN = 20 };

static MDB_txn *begin(struct keystore *ks, struct error *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(ks->env.env, NULL, 0, &txn);
    if (rc != 0) {
        lmdb_error(err, "key store", rc);
        return NULL;
    }
    return txn;
}

/* Ends a transaction whose steps returned rc: commits, or drops it and tells why. */
static int finish(MDB_txn *txn, int rc, struct error *err)
{
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    return rc == 0 ? 0 : lmdb_error(err, "key store", rc);
}

static int put(struct keystore *ks, MDB_txn *txn, const struct dbkey *key, const void *p, size_t n,
               unsigned flags)
{
    MDB_val k = dbkey_val(key), v = lmdb_val(p, n);
    return mdb_put(txn, ks->db, &k, &v, flags);
}

static int put_key(struct keystore *ks, MDB_txn *txn, const struct dbkey *hash, const struct key_record *key,
                   unsigned flags)
{
    uint8_t bytes[KEY_RECORD_MAX];
    size_t n = key_record_encode(key, bytes);
    return put(ks, txn, hash, bytes, n, flags);
}

static int del(struct keystore *ks, MDB_txn *txn, const struct dbkey *key)
{
    MDB_val k = dbkey_val(key);
    return mdb_del(txn, ks->db, &k, NULL);
}

static int check_counts(const struct key_record *key, struct error *err)
{
    if (key->n_models > KEY_MAX_MODELS || key->n_cidrs > KEY_MAX_CIDRS || key->n_tags > KEY_MAX_TAGS)
        return error_set(err, "a key has at most %d models, %d address ranges and %d tags", KEY_MAX_MODELS,
                         KEY_MAX_CIDRS, KEY_MAX_TAGS);
    return 0;
}

static int check_room(const struct keystore *ks, struct error *err)
{
    if (ks->capacity != 0 && ks->keys + ks->teams >= ks->capacity)
        return error_set(err, "there are %llu keys and teams already, as many as limits.table_slots allows",
                         (unsigned long long)(ks->keys + ks->teams));
    return 0;
}

/* Letters and digits drawn uniformly: 43 of them carry 256 bits. */
static int make_secret(char secret[MAX_KEY], struct error *err)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char prefix[] = "sk-aigw-";
    enum { LETTERS = 62, LENGTH = 43, FAIR = 256 / LETTERS * LETTERS };
    memcpy(secret, prefix, sizeof prefix - 1);
    char *at = secret + sizeof prefix - 1;
    for (size_t have = 0; have < LENGTH;) {
        uint8_t r[64];
        if (random_bytes(r, sizeof r) < 0)
            return error_errno(err, "no random bytes");
        for (size_t i = 0; i < sizeof r && have < LENGTH; i++)
            if (r[i] < FAIR)
                at[have++] = alphabet[r[i] % LETTERS];
        OPENSSL_cleanse(r, sizeof r);
    }
    at[LENGTH] = '\0';
    return 0;
}

static int take_given(struct str given, char secret[MAX_KEY], struct error *err)
{
    if (given.n < GIVEN_MIN || given.n >= MAX_KEY)
        return error_set(err, "a key that is taken over has %d to %d characters", GIVEN_MIN, MAX_KEY - 1);
    for (size_t i = 0; i < given.n; i++)
        if (given.p[i] < 0x21 || given.p[i] > 0x7e)
            return error_set(err, "a key that is taken over consists of visible ASCII characters");
    return str_copy(secret, MAX_KEY, given);
}

static void set_hint(struct key_record *key, const char *secret)
{
    memset(key->hint, 0, sizeof key->hint);
    memcpy(key->hint, secret + strlen(secret) - 4, 4);
}

static int make_id(char id[32], struct error *err)
{
    uint8_t r[12];
    if (random_bytes(r, sizeof r) < 0)
        return error_errno(err, "no random bytes");
    memset(id, 0, 32);
    memcpy(id, "key_", 4);
    for (size_t i = 0; i < sizeof r; i++)
        snprintf(id + 4 + 2 * i, 3, "%02x", r[i]);
    return 0;
}

int keystore_create(struct keystore *ks, struct key_record *key, struct str given, char secret[MAX_KEY],
                    struct error *err)
{
    if (check_counts(key, err) < 0 || check_room(ks, err) < 0 || make_id(key->id, err) < 0)
        return -1;
    if ((given.n > 0 ? take_given(given, secret, err) : make_secret(secret, err)) < 0)
        return -1;
    set_hint(key, secret);
    key->version = 1;
    if (key->created_s == 0)
        key->created_s = clock_wall_us() / 1000000;

    MDB_txn *txn = begin(ks, err);
    if (txn == NULL)
        return -1;
    struct dbkey hash = dbkey_hash(ks, str_of(secret)), id = dbkey_z('i', key->id);
    int rc = put_key(ks, txn, &hash, key, MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST) {
        mdb_txn_abort(txn);
        return error_set(err, "this key exists already");
    }
    if (rc == 0)
        rc = put(ks, txn, &id, hash.bytes + 1, KEYSTORE_HASH, MDB_NOOVERWRITE);
    if (finish(txn, rc, err) < 0)
        return -1;
    ks->keys++;
    return 0;
}

/* Begins a change of an existing key: 1 with its record, its hash and the transaction; else that is dropped.
 */
static int begin_change(struct keystore *ks, const char *id, MDB_txn **txn, struct dbkey *hash,
                        struct key_record *key, struct error *err)
{
    *txn = begin(ks, err);
    if (*txn == NULL)
        return -1;
    int found = keystore_db_hash(ks, *txn, id, hash, err);
    if (found == 1)
        found = keystore_db_key(ks, *txn, hash, key, NULL, err);
    if (found != 1)
        mdb_txn_abort(*txn);
    return found;
}

int keystore_update(struct keystore *ks, const struct key_record *key, struct error *err)
{
    MDB_txn *txn;
    struct dbkey hash;
    struct key_record old, new = *key;
    if (check_counts(key, err) < 0)
        return -1;
    int found = begin_change(ks, key->id, &txn, &hash, &old, err);
    if (found != 1)
        return found;
    new.version = old.version + 1;
    new.created_s = old.created_s;
    memcpy(new.hint, old.hint, sizeof new.hint);
    return finish(txn, put_key(ks, txn, &hash, &new, 0), err) < 0 ? -1 : 1;
}

int keystore_rotate(struct keystore *ks, const char *id, char secret[MAX_KEY], struct error *err)
{
    MDB_txn *txn;
    struct dbkey old_hash;
    struct key_record key;
    if (make_secret(secret, err) < 0)
        return -1;
    int found = begin_change(ks, id, &txn, &old_hash, &key, err);
    if (found != 1)
        return found;
    key.version++;
    set_hint(&key, secret);
    struct dbkey hash = dbkey_hash(ks, str_of(secret)), at = dbkey_z('i', id);
    int rc = del(ks, txn, &old_hash);
    if (rc == 0)
        rc = put_key(ks, txn, &hash, &key, MDB_NOOVERWRITE);
    if (rc == 0)
        rc = put(ks, txn, &at, hash.bytes + 1, KEYSTORE_HASH, 0);
    return finish(txn, rc, err) < 0 ? -1 : 1;
}

int keystore_delete(struct keystore *ks, const char *id, struct error *err)
{
    MDB_txn *txn;
    struct dbkey hash, at = dbkey_z('i', id);
    struct key_record key;
    int found = begin_change(ks, id, &txn, &hash, &key, err);
    if (found != 1)
        return found;
    int rc = del(ks, txn, &hash);
    if (rc == 0)
        rc = del(ks, txn, &at);
    if (finish(txn, rc, err) < 0)
        return -1;
    ks->keys--;
    return 1;
}

int keystore_put_team(struct keystore *ks, const struct team_record *team, struct error *err)
{
    if (team->name[0] == '\0')
        return error_set(err, "a team has a name");
    MDB_txn *txn = begin(ks, err);
    if (txn == NULL)
        return -1;
    struct str bytes = STR_NULL;
    struct dbkey at = dbkey_z('t', team->name);
    int found = keystore_db_get(ks, txn, &at, &bytes, err);
    if (found < 0 || (found == 0 && check_room(ks, err) < 0)) {
        mdb_txn_abort(txn);
        return -1;
    }
    uint8_t record[KEY_RECORD_MAX];
    size_t n = team_record_encode(team, record);
    if (finish(txn, put(ks, txn, &at, record, n, 0), err) < 0)
        return -1;
    ks->teams += found == 0;
    return 0;
}

/* The oldest lines go when there are too many: an audit log must not be what fills the store. */
static int trim_audit(struct keystore *ks, MDB_txn *txn)
{
    MDB_stat st;
    MDB_cursor *c;
    int rc = mdb_stat(txn, ks->db, &st);
    if (rc != 0 || st.ms_entries <= 2 * ks->keys + ks->teams + AUDIT_MAX)
        return rc;
    rc = mdb_cursor_open(txn, ks->db, &c);
    if (rc != 0)
        return rc;
    MDB_val k, v;
    rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    if (rc == 0 && *(const char *)k.mv_data == 'a')
        rc = mdb_cursor_del(c, 0);
    mdb_cursor_close(c);
    return rc;
}

int keystore_audit(struct keystore *ks, struct str line, struct error *err)
{
    if (line.n > AUDIT_LINE_MAX)
        line.n = AUDIT_LINE_MAX;
    MDB_txn *txn = begin(ks, err);
    if (txn == NULL)
        return -1;
    int rc;
    int64_t at_us = clock_wall_us();
    do { /* two lines in one µs (or a clock that was set back onto one): the next free µs */
        uint8_t at[8];
        pack_be64(at, (uint64_t)at_us++);
        struct dbkey key = dbkey('a', at, sizeof at);
        rc = put(ks, txn, &key, line.p, line.n, MDB_NOOVERWRITE);
    } while (rc == MDB_KEYEXIST);
    if (rc == 0)
        rc = trim_audit(ks, txn);
    return finish(txn, rc, err);
}

/* Keys and teams: opening the store and reading it (its layout: keystore_db.h).
 *
 * The comparison of a presented key is LMDB's look-up of all 32 bytes of its hash. Keys of ours carry 256
 * bits from the kernel, so the hash needs no stretching; the salt keeps a taken-over key (which somebody else
 * made) from being found in a table of hashes. The salt is written last when a store is made: a reader that
 * sees it sees a whole store. */
#include "clock.h"
#include "hash.h"
#include "key_record.h"
#include "keystore_db.h"
#include "mem.h"
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAP_BYTES    ((size_t)256 << 20)
#define READER_WAITS (5 * NS_PER_SEC)

struct dbkey dbkey(char kind, const void *p, size_t n)
{
    struct dbkey k = {.bytes = {(uint8_t)kind}};
    if (n > sizeof k.bytes - 1)
        n = sizeof k.bytes - 1; /* longer than any that is stored: finds nothing */
    memcpy(k.bytes + 1, p, n);
    k.n = n + 1;
    return k;
}

struct dbkey dbkey_z(char kind, const char *z)
{
    return dbkey(kind, z, strlen(z));
}

struct dbkey dbkey_hash(const struct keystore *ks, struct str presented)
{
    uint8_t text[KEYSTORE_SALT + MAX_KEY], hash[KEYSTORE_HASH];
    memcpy(text, ks->salt, KEYSTORE_SALT);
    memcpy(text + KEYSTORE_SALT, presented.p, presented.n);
    sha256(text, KEYSTORE_SALT + presented.n, hash);
    OPENSSL_cleanse(text + KEYSTORE_SALT, presented.n);
    return dbkey('h', hash, KEYSTORE_HASH);
}

/* ---- opening ---- */

static int salt_read(struct keystore *ks, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, ks->salt, KEYSTORE_SALT);
    close(fd);
    if (n == KEYSTORE_SALT)
        return 0;
    errno = EINVAL;
    return -1;
}

/* Whole or not at all: a new file, synced, moved into place. */
static int salt_make(struct keystore *ks, const char *path, struct error *err)
{
    char tmp[4096 + 16];
    snprintf(tmp, sizeof tmp, "%s.new", path);
    unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, "%s: can't make it", tmp);
    bool ok = random_bytes(ks->salt, KEYSTORE_SALT) == 0 &&
              write(fd, ks->salt, KEYSTORE_SALT) == KEYSTORE_SALT && fsync(fd) == 0;
    close(fd);
    if (!ok || rename(tmp, path) < 0)
        return error_errno(err, "%s: can't write it", path);
    return 0;
}

/* What is in the store: for the capacity, and to tell a lost salt from a new store. */
static int count_entries(struct keystore *ks, MDB_txn *txn)
{
    MDB_cursor *c;
    int rc = mdb_cursor_open(txn, ks->db, &c);
    if (rc != 0)
        return rc;
    MDB_val k = lmdb_val("i", 1), v;
    for (rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE); rc == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))
        *(*(const char *)k.mv_data == 'i' ? &ks->keys : &ks->teams) += 1;
    mdb_cursor_close(c);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int open_writer(struct keystore *ks, const char *folder, const char *salt, struct error *err)
{
    if (lmdb_make_folder(folder, err) < 0)
        return -1;
    int rc = lmdb_env_open(&ks->env, folder, &(struct lmdb_options){.writer = true, .map_bytes = MAP_BYTES});
    MDB_txn *txn;
    if (rc == 0)
        rc = mdb_txn_begin(ks->env.env, NULL, 0, &txn);
    if (rc != 0)
        return lmdb_error(err, folder, rc);
    rc = mdb_dbi_open(txn, NULL, 0, &ks->db);
    if (rc == 0)
        rc = count_entries(ks, txn);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return lmdb_error(err, folder, rc);
    }
    rc = mdb_txn_commit(txn);
    if (rc != 0)
        return lmdb_error(err, folder, rc);
    if (salt_read(ks, salt) == 0)
        return 0;
    if (errno != ENOENT)
        return error_errno(err, "%s: can't read it", salt);
    if (ks->keys > 0)
        return error_set(err,
                         "%s: missing, and no stored key can be told without it; restore it, or remove %s",
                         salt, folder);
    return salt_make(ks, salt, err);
}

static int open_reader_once(struct keystore *ks, const char *folder, const char *salt, struct error *err)
{
    if (salt_read(ks, salt) < 0)
        return error_errno(err, "%s: can't read it", salt);
    MDB_txn *txn;
    int rc = lmdb_env_open(&ks->env, folder, &(struct lmdb_options){.writer = false});
    if (rc == 0)
        rc = lmdb_read(&ks->env, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &ks->db);
    if (rc == 0)
        lmdb_read_end(&ks->env);
    else
        lmdb_env_close(&ks->env);
    return rc == 0 ? 0 : lmdb_error(err, folder, rc);
}

/* Workers start beside the process that makes the store, and may be first. */
static int open_reader(struct keystore *ks, const char *folder, const char *salt, struct error *err)
{
    int64_t give_up = clock_mono_ns() + READER_WAITS;
    while (open_reader_once(ks, folder, salt, err) < 0) {
        if (clock_mono_ns() > give_up)
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    }
    return 0;
}

struct keystore *keystore_open(const char *state_dir, bool writer, struct error *err)
{
    char folder[4096], salt[4096 + 8];
    if ((size_t)snprintf(folder, sizeof folder, "%s/store/keys", state_dir) >= sizeof folder) {
        error_set(err, "state_dir: the path is too long");
        return NULL;
    }
    snprintf(salt, sizeof salt, "%s/salt", folder);
    struct keystore *ks = mem_alloc(sizeof *ks);
    if ((writer ? open_writer(ks, folder, salt, err) : open_reader(ks, folder, salt, err)) < 0)
        keystore_close(&ks);
    return ks;
}

void keystore_close(struct keystore **ks)
{
    if (*ks == NULL)
        return;
    lmdb_env_close(&(*ks)->env);
    free(*ks);
    *ks = NULL;
}

void keystore_set_capacity(struct keystore *ks, uint64_t keys_and_teams)
{
    ks->capacity = keys_and_teams;
}

void keystore_reap_readers(struct keystore *ks)
{
    lmdb_reap_readers(&ks->env);
}

/* ---- reading ---- */

/* 1 found, 0 not, -1 err. */
int keystore_db_get(struct keystore *ks, MDB_txn *txn, const struct dbkey *key, struct str *out,
                    struct error *err)
{
    MDB_val k = dbkey_val(key), v;
    int rc = mdb_get(txn, ks->db, &k, &v);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return lmdb_error(err, "key store", rc);
    *out = lmdb_str(&v);
    return 1;
}

static int get_team(struct keystore *ks, MDB_txn *txn, const char *name, struct team_record *team,
                    struct error *err)
{
    struct str bytes = STR_NULL;
    struct dbkey at = dbkey_z('t', name);
    int found = keystore_db_get(ks, txn, &at, &bytes, err);
    if (found != 1)
        memset(team, 0, sizeof *team);
    else if (team_record_decode(bytes, team) < 0)
        return error_set(err, "key store: the record of team %s can't be read", name);
    return found;
}

int keystore_db_key(struct keystore *ks, MDB_txn *txn, const struct dbkey *hash, struct key_record *key,
                    struct team_record *team, struct error *err)
{
    struct str bytes = STR_NULL;
    int found = keystore_db_get(ks, txn, hash, &bytes, err);
    if (found != 1)
        return found;
    if (key_record_decode(bytes, key) < 0)
        return error_set(err, "key store: a key's record can't be read");
    if (team == NULL)
        return 1;
    memset(team, 0, sizeof *team);
    return key->team[0] != '\0' && get_team(ks, txn, key->team, team, err) < 0 ? -1 : 1;
}

int keystore_db_hash(struct keystore *ks, MDB_txn *txn, const char *id, struct dbkey *hash, struct error *err)
{
    struct str bytes = STR_NULL;
    struct dbkey at = dbkey_z('i', id);
    int found = keystore_db_get(ks, txn, &at, &bytes, err);
    if (found != 1)
        return found;
    *hash = dbkey('h', bytes.p, bytes.n);
    return 1;
}

int keystore_find(struct keystore *ks, struct str presented, struct key_record *key, struct team_record *team,
                  struct error *err)
{
    if (presented.n == 0 || presented.n >= MAX_KEY)
        return 0;
    struct dbkey hash = dbkey_hash(ks, presented);
    MDB_txn *txn;
    int rc = lmdb_read(&ks->env, &txn);
    if (rc != 0)
        return lmdb_error(err, "key store", rc);
    int found = keystore_db_key(ks, txn, &hash, key, team, err);
    lmdb_read_end(&ks->env);
    return found;
}

int keystore_get(struct keystore *ks, const char *id, struct key_record *key, struct team_record *team,
                 struct error *err)
{
    MDB_txn *txn;
    int rc = lmdb_read(&ks->env, &txn);
    if (rc != 0)
        return lmdb_error(err, "key store", rc);
    struct dbkey hash;
    int found = keystore_db_hash(ks, txn, id, &hash, err);
    if (found == 1)
        found = keystore_db_key(ks, txn, &hash, key, team, err);
    lmdb_read_end(&ks->env);
    return found;
}

int keystore_get_team(struct keystore *ks, const char *name, struct team_record *team, struct error *err)
{
    MDB_txn *txn;
    int rc = lmdb_read(&ks->env, &txn);
    if (rc != 0)
        return lmdb_error(err, "key store", rc);
    int found = get_team(ks, txn, name, team, err);
    lmdb_read_end(&ks->env);
    return found;
}

/* Walks what begins with the letter `kind`, calling one() until it returns non-zero (-1: an error). */
static int walk(struct keystore *ks, char kind, bool backwards,
                int (*one)(struct keystore *ks, MDB_txn *txn, struct str key, struct str value, void *arg,
                           struct error *err),
                void *arg, struct error *err)
{
    MDB_txn *txn;
    MDB_cursor *c;
    int rc = lmdb_read(&ks->env, &txn);
    if (rc != 0)
        return lmdb_error(err, "key store", rc);
    rc = mdb_cursor_open(txn, ks->db, &c);
    if (rc != 0) {
        lmdb_read_end(&ks->env);
        return lmdb_error(err, "key store", rc);
    }
    char from = (char)(kind + (backwards ? 1 : 0));
    MDB_val k = lmdb_val(&from, 1), v;
    rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    if (backwards)
        rc = mdb_cursor_get(c, &k, &v, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
    int result = 0;
    while (rc == 0 && *(const char *)k.mv_data == kind && result == 0) {
        result =
            one(ks, txn, (struct str){(const char *)k.mv_data + 1, k.mv_size - 1}, lmdb_str(&v), arg, err);
        rc = mdb_cursor_get(c, &k, &v, backwards ? MDB_PREV : MDB_NEXT);
    }
    mdb_cursor_close(c);
    lmdb_read_end(&ks->env);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return lmdb_error(err, "key store", rc);
    return result < 0 ? -1 : 0;
}

/* What the caller of keystore_each_… gave; its non-zero ends the walk and is no error. */
struct visitor {
    int (*key)(const struct key_record *, void *);
    int (*team)(const struct team_record *, void *);
    int (*audit)(int64_t time_us, struct str line, void *);
    void *arg;
};

static int visit_key(struct keystore *ks, MDB_txn *txn, struct str id, struct str hash, void *arg,
                     struct error *err)
{
    (void)id;
    const struct visitor *v = arg;
    struct key_record key;
    struct dbkey at = dbkey('h', hash.p, hash.n);
    int found = keystore_db_key(ks, txn, &at, &key, NULL, err);
    if (found < 0)
        return -1;
    return found == 1 && v->key(&key, v->arg) != 0 ? 1 : 0;
}

static int visit_team(struct keystore *ks, MDB_txn *txn, struct str name, struct str value, void *arg,
                      struct error *err)
{
    (void)ks;
    (void)txn;
    const struct visitor *v = arg;
    struct team_record team;
    if (team_record_decode(value, &team) < 0)
        return error_set(err, "key store: the record of team " STR_FMT " can't be read", STR_ARG(name));
    return v->team(&team, v->arg) != 0;
}

static int visit_audit(struct keystore *ks, MDB_txn *txn, struct str key, struct str value, void *arg,
                       struct error *err)
{
    (void)ks;
    (void)txn;
    (void)err;
    const struct visitor *v = arg;
    if (key.n != 8)
        return 0;
    return v->audit((int64_t)unpack_be64((const uint8_t *)key.p), value, v->arg) != 0;
}

int keystore_each_key(struct keystore *ks, int (*each)(const struct key_record *, void *), void *arg,
                      struct error *err)
{
    struct visitor v = {.key = each, .arg = arg};
    return walk(ks, 'i', false, visit_key, &v, err);
}

int keystore_each_team(struct keystore *ks, int (*each)(const struct team_record *, void *), void *arg,
                       struct error *err)
{
    struct visitor v = {.team = each, .arg = arg};
    return walk(ks, 't', false, visit_team, &v, err);
}

int keystore_each_audit(struct keystore *ks, int (*each)(int64_t time_us, struct str line, void *), void *arg,
                        struct error *err)
{
    struct visitor v = {.audit = each, .arg = arg};
    return walk(ks, 'a', true, visit_audit, &v, err);
}

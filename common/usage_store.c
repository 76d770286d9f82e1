/* The usage store's writing side: one transaction a batch, synced to disk when commit returns (LMDB's
 * default: data first, then the meta page that makes it valid).
 *
 * Exactly once: the position up to which a ring (or a spill file) has been taken over is written in the
 * transaction of the rows it covers. A ledger that is killed anywhere starts again from there.
 *
 * Rows are kept in memory until the commit and written in the order of their times: nearly all go behind the
 * last row then, which fills LMDB's pages (random insertion leaves them half empty), and a roll-up is read
 * and written once a batch, however many rows it takes up. */
#include "usage_store.h"
#include "clock.h"
#include "mem.h"
#include "pack.h"
#include "usage_db.h"
#include "usage_record.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READER_WAITS (5 * NS_PER_SEC)

enum { MIN_MAP = 1 << 20, STATE_KEY_MAX = 64 };

/* ---- opening ---- */

static int open_dbs(struct usage_store *s, MDB_txn *txn, unsigned flags)
{
    int rc = mdb_dbi_open(txn, "rows", flags, &s->rows);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "sums", flags, &s->sums);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "state", flags, &s->state);
    return rc;
}

static int open_writer(struct usage_store *s, const char *folder, struct error *err)
{
    if (lmdb_make_folder(folder, err) < 0)
        return -1;
    size_t map = s->max_bytes < MIN_MAP ? MIN_MAP : (size_t)s->max_bytes & ~(size_t)4095;
    int rc =
        lmdb_env_open(&s->env, folder, &(struct lmdb_options){.writer = true, .map_bytes = map, .dbs = 3});
    MDB_txn *txn;
    if (rc == 0)
        rc = mdb_txn_begin(s->env.env, NULL, 0, &txn);
    if (rc != 0)
        return lmdb_error(err, folder, rc);
    rc = open_dbs(s, txn, MDB_CREATE);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    return rc == 0 ? 0 : lmdb_error(err, folder, rc);
}

static int open_reader_once(struct usage_store *s, const char *folder)
{
    MDB_txn *txn;
    int rc = lmdb_env_open(&s->env, folder, &(struct lmdb_options){.writer = false, .dbs = 3});
    if (rc != 0)
        return rc;
    rc = mdb_txn_begin(s->env.env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = open_dbs(s, txn, 0);
        if (rc == 0)
            rc = mdb_txn_commit(txn); /* handles opened in a transaction are kept by its commit */
        else
            mdb_txn_abort(txn);
    }
    if (rc != 0)
        lmdb_env_close(&s->env);
    return rc;
}

static int open_reader(struct usage_store *s, const char *folder, struct error *err)
{
    int64_t give_up = clock_mono_ns() + READER_WAITS;
    int rc;
    while ((rc = open_reader_once(s, folder)) != 0) {
        if (clock_mono_ns() > give_up)
            return lmdb_error(err, folder, rc);
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    }
    return 0;
}

struct usage_store *usage_store_open(const char *state_dir, bool writer, uint64_t max_bytes,
                                     struct error *err)
{
    char folder[4096];
    if ((size_t)snprintf(folder, sizeof folder, "%s/store/usage", state_dir) >= sizeof folder) {
        error_set(err, "state_dir: the path is too long");
        return NULL;
    }
    struct usage_store *s = mem_alloc(sizeof *s);
    s->max_bytes = max_bytes;
    if ((writer ? open_writer(s, folder, err) : open_reader(s, folder, err)) < 0)
        usage_store_close(&s);
    return s;
}

void usage_store_close(struct usage_store **s)
{
    if (*s == NULL)
        return;
    usage_store_abort(*s);
    lmdb_env_close(&(*s)->env);
    free((*s)->pending);
    free(*s);
    *s = NULL;
}

void usage_store_reap_readers(struct usage_store *s)
{
    lmdb_reap_readers(&s->env);
}

int usage_store_size(struct usage_store *s, uint64_t *used_bytes, uint64_t *max_bytes, struct error *err)
{
    MDB_envinfo info;
    MDB_stat st;
    int rc = mdb_env_info(s->env.env, &info);
    if (rc == 0)
        rc = mdb_env_stat(s->env.env, &st);
    if (rc != 0)
        return lmdb_error(err, "usage store", rc);
    *used_bytes = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
    *max_bytes = info.me_mapsize;
    return 0;
}

/* ---- the batch ---- */

int usage_store_begin(struct usage_store *s, struct error *err)
{
    usage_store_abort(s);
    int rc = mdb_txn_begin(s->env.env, NULL, 0, &s->txn);
    if (rc != 0) {
        s->txn = NULL;
        return lmdb_error(err, "usage store", rc);
    }
    return 0;
}

static void forget_batch(struct usage_store *s)
{
    s->txn = NULL;
    s->failed = 0;
    s->n_pending = 0;
    usage_groups_reset(&s->groups);
}

void usage_store_abort(struct usage_store *s)
{
    if (s->txn != NULL)
        mdb_txn_abort(s->txn);
    forget_batch(s);
}

static MDB_val state_key(char buf[STATE_KEY_MAX], char kind, const void *p, size_t n)
{
    if (n > STATE_KEY_MAX - 1)
        n = STATE_KEY_MAX - 1;
    buf[0] = kind;
    memcpy(buf + 1, p, n);
    return lmdb_val(buf, n + 1);
}

/* A step of the batch: its failure fails the commit, whatever the caller does. */
static int step(struct usage_store *s, int rc, struct error *err)
{
    if (rc == 0)
        return 0;
    if (s->failed == 0)
        s->failed = rc;
    return lmdb_error(err, "usage store", rc);
}

/* Numbers under a key of `state`, in the batch or in a read transaction of its own. */
static int state_get(struct usage_store *s, MDB_val key, uint64_t out[], size_t n, struct error *err)
{
    MDB_txn *txn = s->txn;
    int rc = txn != NULL ? 0 : lmdb_read(&s->env, &txn);
    if (rc != 0)
        return lmdb_error(err, "usage store", rc);
    MDB_val v;
    memset(out, 0, n * sizeof *out);
    rc = mdb_get(txn, s->state, &key, &v);
    if (rc == 0) {
        struct unpack u = {.p = v.mv_data, .n = v.mv_size};
        for (size_t i = 0; i < n; i++)
            out[i] = unpack_num(&u);
        rc = u.bad ? MDB_CORRUPTED : 0;
    }
    if (s->txn == NULL)
        lmdb_read_end(&s->env);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0 && s->txn != NULL)
        return step(s, rc, err);
    return rc == 0 ? 1 : lmdb_error(err, "usage store", rc);
}

static int state_set(struct usage_store *s, MDB_val key, const uint64_t in[], size_t n, struct error *err)
{
    if (s->txn == NULL)
        return error_set(err, "usage store: no batch has been begun");
    uint8_t bytes[32];
    struct pack k = {.p = bytes, .cap = sizeof bytes};
    for (size_t i = 0; i < n; i++)
        pack_num(&k, in[i]);
    MDB_val v = lmdb_val(bytes, k.n);
    return step(s, mdb_put(s->txn, s->state, &key, &v, 0), err);
}

int usage_store_position(struct usage_store *s, uint32_t slot, struct usage_position *out, struct error *err)
{
    char key[STATE_KEY_MAX];
    uint8_t be[4];
    uint64_t v[2];
    pack_be32(be, slot);
    int found = state_get(s, state_key(key, 'p', be, sizeof be), v, 2, err);
    *out = found == 1 ? (struct usage_position){.segment = v[0], .next = v[1]}
                      : (struct usage_position){.segment = 0};
    return found;
}

int usage_store_set_position(struct usage_store *s, uint32_t slot, struct usage_position pos,
                             struct error *err)
{
    char key[STATE_KEY_MAX];
    uint8_t be[4];
    uint64_t v[2] = {pos.segment, pos.next};
    pack_be32(be, slot);
    return state_set(s, state_key(key, 'p', be, sizeof be), v, 2, err);
}

int usage_store_mark(struct usage_store *s, const char *name, uint64_t *out, struct error *err)
{
    char key[STATE_KEY_MAX];
    return state_get(s, state_key(key, 'm', name, strlen(name)), out, 1, err);
}

int usage_store_set_mark(struct usage_store *s, const char *name, uint64_t value, struct error *err)
{
    char key[STATE_KEY_MAX];
    return state_set(s, state_key(key, 'm', name, strlen(name)), &value, 1, err);
}

int usage_store_clear_mark(struct usage_store *s, const char *name, struct error *err)
{
    if (s->txn == NULL)
        return error_set(err, "usage store: no batch has been begun");
    char key[STATE_KEY_MAX];
    MDB_val k = state_key(key, 'm', name, strlen(name));
    int rc = mdb_del(s->txn, s->state, &k, NULL);
    return step(s, rc == MDB_NOTFOUND ? 0 : rc, err);
}

static void put_field(struct pack *k, const char *field, size_t size)
{
    pack_bytes(k, field, strnlen(field, size - 1));
    pack_bytes(k, "", 1);
}

static uint32_t day_of(int64_t time_us)
{
    return time_us < 0 ? 0 : (uint32_t)(time_us / US_PER_DAY);
}

int usage_store_add(struct usage_store *s, const struct usage_row *row, struct error *err)
{
    if (s->txn == NULL)
        return error_set(err, "usage store: no batch has been begun");
    if (s->n_pending == s->cap_pending) {
        s->cap_pending = s->cap_pending ? 2 * s->cap_pending : 256;
        s->pending = mem_resize(s->pending, s->cap_pending * sizeof *s->pending);
    }
    s->pending[s->n_pending++] = *row;

    uint8_t name[USAGE_GROUP_MAX], day[4];
    struct pack k = {.p = name, .cap = sizeof name};
    pack_be32(day, day_of(row->time_us));
    pack_bytes(&k, day, sizeof day);
    put_field(&k, row->department, sizeof row->department);
    put_field(&k, row->team, sizeof row->team);
    put_field(&k, row->key_id, sizeof row->key_id);
    put_field(&k, row->model, sizeof row->model);
    put_field(&k, row->provider, sizeof row->provider);
    usage_sum_add_row(usage_groups_get(&s->groups, (struct str){(char *)name, k.n}), row);
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct usage_row *x = a, *y = b;
    return (x->time_us > y->time_us) - (x->time_us < y->time_us);
}

/* Behind the last row where it belongs there (no search, full pages), else in its place. */
static int put_row(struct usage_store *s, MDB_cursor *c, const struct usage_row *row, uint32_t number)
{
    uint8_t key[12], bytes[USAGE_RECORD_MAX];
    pack_be64(key, row->time_us < 0 ? 0 : (uint64_t)row->time_us);
    pack_be32(key + 8, number);
    size_t n = usage_row_encode(row, bytes);
    MDB_val k = lmdb_val(key, sizeof key), v = lmdb_val(bytes, n);
    int rc = mdb_cursor_put(c, &k, &v, MDB_APPEND);
    if (rc == MDB_KEYEXIST) /* not the last one */
        rc = mdb_put(s->txn, s->rows, &k, &v, MDB_NOOVERWRITE);
    return rc;
}

static int put_rows(struct usage_store *s)
{
    char key[STATE_KEY_MAX];
    uint64_t number;
    MDB_cursor *c;
    if (state_get(s, state_key(key, 'n', "", 0), &number, 1, NULL) < 0)
        return MDB_CORRUPTED;
    qsort(s->pending, s->n_pending, sizeof *s->pending, by_time);
    int rc = mdb_cursor_open(s->txn, s->rows, &c);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < s->n_pending && rc == 0; i++)
        rc = put_row(s, c, &s->pending[i], (uint32_t)(number + i));
    mdb_cursor_close(c);
    number += s->n_pending;
    if (rc == 0 && state_set(s, state_key(key, 'n', "", 0), &number, 1, NULL) < 0)
        rc = s->failed;
    return rc;
}

static int put_sum(struct usage_store *s, const struct usage_group *g)
{
    MDB_val k = lmdb_val(g->name, g->name_n), v;
    struct usage_sum sum = {.requests = 0};
    int rc = mdb_get(s->txn, s->sums, &k, &v);
    if (rc == 0 && usage_sum_decode(lmdb_str(&v), &sum) < 0)
        return MDB_CORRUPTED;
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    usage_sum_add(&sum, &g->sum);
    uint8_t bytes[USAGE_RECORD_MAX];
    size_t n = usage_sum_encode(&sum, bytes);
    v = lmdb_val(bytes, n);
    return mdb_put(s->txn, s->sums, &k, &v, 0);
}

static int put_sums(struct usage_store *s)
{
    int rc = 0;
    for (size_t i = 0; i < s->groups.n && rc == 0; i++)
        rc = put_sum(s, s->groups.list[i]);
    return rc;
}

int usage_store_commit(struct usage_store *s, bool *full, struct error *err)
{
    *full = false;
    if (s->txn == NULL)
        return error_set(err, "usage store: no batch has been begun");
    int rc = s->failed;
    if (rc == 0 && s->n_pending > 0)
        rc = put_rows(s);
    if (rc == 0)
        rc = put_sums(s);
    if (rc == 0)
        rc = mdb_txn_commit(s->txn); /* frees it in any case */
    else
        mdb_txn_abort(s->txn);
    forget_batch(s);
    *full = lmdb_is_full(rc);
    return rc == 0 ? 0 : lmdb_error(err, "usage store", rc);
}

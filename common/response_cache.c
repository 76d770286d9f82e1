/* The response cache's reading side. The files belong to the cache process, which may come later than we do,
 * may be replaced, and wipes them when in doubt. So a reader opens them when they are there, and notices when
 * its file has been removed: both at most once a second, on the way of a look-up. */
#include "response_cache.h"
#include "cache_record.h"
#include "lmdb_env.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct cache_reader {
    char folder[4096];
    struct lmdb_env env; /* env.env NULL: not open */
    MDB_dbi entries;
    int64_t looked_s; /* when we last looked whether the files are there, and still the same */
};

struct cache_reader *cache_open(const struct config *c)
{
    if (!c->cache.enabled)
        return NULL;
    struct cache_reader *r = mem_alloc(sizeof *r);
    if (cache_folder(r->folder, c->state_dir) < 0) {
        free(r);
        return NULL;
    }
    return r;
}

void cache_close(struct cache_reader **r)
{
    if (*r == NULL)
        return;
    lmdb_env_close(&(*r)->env);
    free(*r);
    *r = NULL;
}

static int open_entries(struct lmdb_env *env, const char *folder, MDB_dbi *entries)
{
    MDB_txn *txn;
    int rc = lmdb_env_open(env, folder, &(struct lmdb_options){.writer = false, .dbs = CACHE_DBS});
    if (rc != 0)
        return rc;
    rc = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, CACHE_DB_ENTRIES, 0, entries);
        if (rc == 0)
            rc = mdb_txn_commit(txn); /* keeps the handle */
        else
            mdb_txn_abort(txn);
    }
    if (rc != 0)
        lmdb_env_close(env);
    return rc;
}

static bool was_removed(struct lmdb_env *env)
{
    mdb_filehandle_t fd;
    struct stat st;
    return mdb_env_get_fd(env->env, &fd) != 0 || fstat(fd, &st) < 0 || st.st_nlink == 0;
}

/* 1: open; 0: there is nothing to open; -1: it can't be opened. */
static int ready(struct cache_reader *r, int64_t now_s)
{
    if (now_s == r->looked_s)
        return r->env.env != NULL;
    r->looked_s = now_s;
    if (r->env.env != NULL && was_removed(&r->env))
        lmdb_env_close(&r->env);
    if (r->env.env != NULL)
        return 1;
    int rc = open_entries(&r->env, r->folder, &r->entries);
    if (rc == 0)
        return 1;
    return rc == ENOENT || rc == MDB_NOTFOUND ? 0 : -1;
}

static int copy_out(struct str record, int64_t now_s, struct arena *a, struct cache_entry *e)
{
    struct str scope;
    if (cache_record_read(record, e, &scope) < 0)
        return -1;
    if (e->expires_s <= now_s)
        return 0;
    e->provider = arena_copy(a, e->provider);
    e->model = arena_copy(a, e->model);
    e->dropped = arena_copy(a, e->dropped);
    e->body = arena_copy(a, e->body);
    return 1;
}

int cache_find(struct cache_reader *r, const uint8_t key[CACHE_KEY_BYTES], int64_t now_s, struct arena *a,
               struct cache_entry *e)
{
    int open = ready(r, now_s);
    if (open != 1)
        return open;
    MDB_txn *txn;
    if (lmdb_read(&r->env, &txn) != 0)
        return -1;
    MDB_val k = lmdb_val(key, CACHE_KEY_BYTES), v;
    int rc = mdb_get(txn, r->entries, &k, &v), found = 0;
    if (rc == 0)
        found = copy_out(lmdb_str(&v), now_s, a, e);
    else if (rc != MDB_NOTFOUND)
        found = -1;
    lmdb_read_end(&r->env);
    return found;
}

/* ---- for the admin process ---- */

static uint64_t pages_of(const MDB_stat *st)
{
    return st->ms_branch_pages + st->ms_leaf_pages + st->ms_overflow_pages;
}

static int read_stats(MDB_txn *txn, struct cache_stats *out)
{
    static const char *const names[] = {CACHE_DB_ENTRIES, CACHE_DB_EXPIRY, CACHE_DB_SCOPES};
    MDB_envinfo info;
    int rc = mdb_env_info(mdb_txn_env(txn), &info);
    for (size_t i = 0; i < sizeof names / sizeof *names && rc == 0; i++) {
        MDB_dbi db;
        MDB_stat st;
        rc = mdb_dbi_open(txn, names[i], 0, &db);
        if (rc == 0)
            rc = mdb_stat(txn, db, &st);
        if (rc != 0)
            return rc;
        out->used_bytes += pages_of(&st) * st.ms_psize;
        if (i == 0)
            out->entries = st.ms_entries;
    }
    out->max_bytes = info.me_mapsize;
    return rc;
}

int cache_stats(const char *state_dir, struct cache_stats *out, struct error *err)
{
    char folder[4096];
    struct lmdb_env env;
    MDB_txn *txn;
    *out = (struct cache_stats){.entries = 0};
    if (cache_folder(folder, state_dir) < 0)
        return error_set(err, "state_dir: the path is too long");
    int rc = lmdb_env_open(&env, folder, &(struct lmdb_options){.writer = false, .dbs = CACHE_DBS});
    if (rc == 0) {
        rc = lmdb_read(&env, &txn);
        if (rc == 0)
            rc = read_stats(txn, out);
        lmdb_env_close(&env);
    }
    if (rc == ENOENT || rc == MDB_NOTFOUND) {
        *out = (struct cache_stats){.entries = 0};
        rc = 0;
    }
    return rc == 0 ? 0 : lmdb_error(err, "response cache", rc);
}

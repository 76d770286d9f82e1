/* The response cache's reading side. The files belong to the cache process, which may come later than we do,
 * may be replaced, and wipes them when in doubt. So a reader opens them when they are there, and notices when
 * its file has been removed: both at most once a second, on the way of a look-up.
 *
 * A file that was cut, or a disk that can't be read, would kill a worker with each look-up, and LMDB believes
 * what its pages say. So look-ups are guarded, and an entry counts only where its sum is right. */
#include "response_cache.h"
#include "cache_mailbox.h"
#include "cache_record.h"
#include "lmdb_env.h"
#include "map_guard.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct cache_reader {
    char folder[4096];
    struct lmdb_env env; /* env.env NULL: not open */
    MDB_dbi entries;
    int64_t looked_s; /* when we last looked whether the files are there, and still the same */
    uint64_t file;    /* the last one opened: its inode */
};

struct look_up {
    struct cache_reader *r;
    const uint8_t *key;
    int64_t now_s;
    struct arena *a;
    struct cache_entry *e;
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
    map_guard_install();
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

/* Notes which file it is. */
static bool was_removed(struct cache_reader *r)
{
    mdb_filehandle_t fd;
    struct stat st;
    if (mdb_env_get_fd(r->env.env, &fd) != 0 || fstat(fd, &st) < 0)
        return true;
    r->file = st.st_ino;
    return st.st_nlink == 0;
}

static int open_entries(struct cache_reader *r)
{
    MDB_txn *txn;
    struct lmdb_env *env = &r->env;
    int rc = lmdb_env_open(env, r->folder, &(struct lmdb_options){.writer = false, .dbs = CACHE_DBS});
    if (rc != 0)
        return rc;
    was_removed(r);
    rc = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, CACHE_DB_ENTRIES, 0, &r->entries);
        if (rc == 0)
            rc = mdb_txn_commit(txn); /* keeps the handle */
        else
            mdb_txn_abort(txn);
    }
    if (rc != 0)
        lmdb_env_close(env);
    return rc;
}

/* 1: open; 0: there is nothing to open; else it can't be opened. */
static int ready(struct cache_reader *r, int64_t now_s)
{
    if (now_s == r->looked_s)
        return r->env.env != NULL;
    r->looked_s = now_s;
    if (r->env.env != NULL && was_removed(r))
        lmdb_env_close(&r->env);
    if (r->env.env != NULL)
        return 1;
    int rc = open_entries(r);
    if (rc == 0)
        return 1;
    return rc == ENOENT || rc == MDB_NOTFOUND ? 0 : lmdb_is_damaged(rc) ? CACHE_DAMAGED : -1;
}

/* Checked in our copy: the file's bytes may be others a moment later. A sum that is wrong makes it a miss,
 * and the answer that follows takes its place. */
static int copy_out(struct str record, int64_t now_s, struct arena *a, struct cache_entry *e)
{
    struct str scope, own;
    if (cache_record_read(record, e, &scope) < 0)
        return -1;
    if (e->expires_s <= now_s)
        return 0;
    own = arena_copy(a, record);
    return cache_record_is_whole(own) && cache_record_read(own, e, &scope) == 0 ? 1 : -1;
}

static int look_up(void *arg)
{
    struct look_up *l = arg;
    struct cache_reader *r = l->r;
    int open = ready(r, l->now_s);
    if (open != 1)
        return open;
    MDB_txn *txn;
    if (lmdb_read(&r->env, &txn) != 0)
        return -1;
    MDB_val k = lmdb_val(l->key, CACHE_KEY_BYTES), v;
    int rc = mdb_get(txn, r->entries, &k, &v), found = 0;
    if (rc == 0)
        found = copy_out(lmdb_str(&v), l->now_s, l->a, l->e);
    else if (rc != MDB_NOTFOUND)
        found = lmdb_is_damaged(rc) ? CACHE_DAMAGED : -1;
    lmdb_read_end(&r->env);
    return found;
}

int cache_find(struct cache_reader *r, const uint8_t key[CACHE_KEY_BYTES], int64_t now_s, struct arena *a,
               struct cache_entry *e)
{
    struct look_up l = {.r = r, .key = key, .now_s = now_s, .a = a, .e = e};
    int found = map_guard_run(look_up, &l);
    if (found == MAP_GUARD_FAULT)
        found = CACHE_DAMAGED;
    if (found == CACHE_DAMAGED)
        lmdb_env_close(&r->env); /* opened again when the next second's look-up finds other files */
    return found;
}

void cache_report(int cache_fd, const struct cache_reader *r)
{
    cache_post_damage(cache_fd, r->file);
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

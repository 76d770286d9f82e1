/* The cache's files. Writes are not synced (MDB_NOSYNC): a killed process loses nothing, as the kernel has
 * the pages; a machine that goes down may leave pages of different times in the file, which LMDB can't tell.
 * So a note beside it (the file `state`) says how it was left: its layout, and the boot it was open in,
 * "opening", or "clean". What is not surely whole, or written another way, is wiped; it is a cache.
 *
 * Room: LMDB's file only grows, up to its map; freed pages are used again two transactions later, unless a
 * reader still sees them; and even removing needs some free pages, as nothing is changed in place. So a tenth
 * of the pages is kept free at all times, and each transaction is small against that tenth. One that finds
 * the map full all the same (a large answer needs neighbouring pages) is dropped and tried again with more
 * room; as the last resort the cache begins anew. */
#include "cache_store.h"
#include "cache_record.h"
#include "lmdb_env.h"
#include "log.h"
#include "mem.h"
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MIN_MAP = 1 << 20,
    REMOVE_BATCH = 256, /* entries a transaction removes, at most */
    EXPIRE_MOST = 2000, /* … a call of cache_store_expire */
    JAMMED = 20,
    PAGE = 4096,
    NOTE = 96,
    EXPIRY_KEY = 8 + CACHE_KEY_BYTES,
    SCOPE_KEY_MAX = CACHE_SCOPE_MAX + CACHE_KEY_BYTES,
};

struct cache_store {
    struct lmdb_env env;
    MDB_dbi entries, expiry, scopes;
    uint64_t max_bytes;
    char folder[4096];
    char boot_id[64];
    unsigned jammed; /* stores given up for want of room since the last that worked */
};

/* ---- how it was left ---- */

void cache_store_note(const struct cache_store *s, char out[CACHE_NOTE_PATH])
{
    snprintf(out, CACHE_NOTE_PATH, "%s/state", s->folder);
}

static void note_text(const char *how, char out[NOTE])
{
    snprintf(out, NOTE, "%d %s", CACHE_LAYOUT, how);
}

static void note_write(const struct cache_store *s, const char *how)
{
    char path[CACHE_NOTE_PATH], text[NOTE];
    cache_store_note(s, path);
    note_text(how, text);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        unlink(path); /* no note reads as doubt */
    if (fd >= 0)
        close(fd);
}

static bool note_trusts(const struct cache_store *s)
{
    char path[CACHE_NOTE_PATH], text[NOTE] = "", clean[NOTE], open_now[NOTE];
    cache_store_note(s, path);
    note_text("clean", clean);
    note_text(s->boot_id, open_now);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && (strcmp(text, clean) == 0 || (s->boot_id[0] && strcmp(text, open_now) == 0));
}

static void wipe(const struct cache_store *s)
{
    /* the lock file first: a reader that comes between the two pairs a new lock file with the old data, which
     * it will find removed; never the old readers' table with new data */
    static const char *const files[] = {"lock.mdb", "data.mdb"};
    char path[CACHE_NOTE_PATH];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", s->folder, files[i]);
        unlink(path);
    }
}

/* ---- opening ---- */

static int open_files(struct cache_store *s)
{
    MDB_txn *txn;
    struct lmdb_options o = {.writer = true,
                             .map_bytes =
                                 s->max_bytes < MIN_MAP ? MIN_MAP : (size_t)s->max_bytes & ~(size_t)4095,
                             .dbs = CACHE_DBS,
                             .extra_flags = MDB_NOSYNC};
    int rc = lmdb_env_open(&s->env, s->folder, &o);
    if (rc != 0)
        return rc;
    rc = mdb_txn_begin(s->env.env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, CACHE_DB_ENTRIES, MDB_CREATE, &s->entries);
        if (rc == 0)
            rc = mdb_dbi_open(txn, CACHE_DB_EXPIRY, MDB_CREATE, &s->expiry);
        if (rc == 0)
            rc = mdb_dbi_open(txn, CACHE_DB_SCOPES, MDB_CREATE, &s->scopes);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (rc != 0)
        lmdb_env_close(&s->env);
    return rc;
}

/* LMDB keeps a larger map than asked for when the file needs it; a smaller max_bytes begins anew. */
static bool larger_than_allowed(const struct cache_store *s)
{
    MDB_envinfo info;
    return mdb_env_info(s->env.env, &info) == 0 && info.me_mapsize > s->max_bytes &&
           info.me_mapsize > MIN_MAP;
}

struct cache_store *cache_store_open(const char *state_dir, uint64_t max_bytes, const char *boot_id,
                                     struct error *err)
{
    struct cache_store *s = mem_alloc(sizeof *s);
    s->max_bytes = max_bytes;
    str_copy_cut(s->boot_id, sizeof s->boot_id, str_of(boot_id));
    if (cache_folder(s->folder, state_dir) < 0 || lmdb_make_folder(s->folder, err) < 0) {
        free(s);
        return NULL;
    }
    if (!note_trusts(s))
        wipe(s);
    note_write(s, "opening");
    int rc = open_files(s);
    if (rc != 0 || larger_than_allowed(s)) {
        log_warn("the response cache is made anew: %s",
                 rc != 0 ? mdb_strerror(rc) : "it is larger than allowed");
        lmdb_env_close(&s->env);
        wipe(s);
        rc = open_files(s);
    }
    if (rc != 0) {
        lmdb_error(err, s->folder, rc);
        free(s);
        return NULL;
    }
    note_write(s, s->boot_id);
    return s;
}

void cache_store_close(struct cache_store **s)
{
    if (*s == NULL)
        return;
    bool synced = (*s)->env.env != NULL && mdb_env_sync((*s)->env.env, 1) == 0;
    lmdb_env_close(&(*s)->env);
    if (synced)
        note_write(*s, "clean");
    free(*s);
    *s = NULL;
}

void cache_store_reap_readers(struct cache_store *s)
{
    if (s->env.env != NULL)
        lmdb_reap_readers(&s->env);
}

/* ---- beginning anew ---- */

static int begin_anew(struct cache_store *s, const char *why)
{
    log_warn("the response cache is made anew: %s", why);
    lmdb_env_close(&s->env);
    wipe(s);
    return open_files(s);
}

/* What LMDB can't make sense of it won't later. */
static int heal(struct cache_store *s, int rc)
{
    return lmdb_is_damaged(rc) ? begin_anew(s, mdb_strerror(rc)) : rc;
}

int cache_store_begin_anew(struct cache_store *s, uint64_t file, struct error *err)
{
    mdb_filehandle_t fd;
    struct stat st;
    if (s->env.env != NULL && mdb_env_get_fd(s->env.env, &fd) == 0 && fstat(fd, &st) == 0 &&
        st.st_ino != file)
        return 0;
    int rc = begin_anew(s, "a reader found it damaged");
    return rc == 0 ? 0 : lmdb_error(err, "response cache", rc);
}

/* ---- one entry and its index ---- */

static MDB_val expiry_key(uint8_t out[EXPIRY_KEY], int64_t expires_s, const uint8_t key[CACHE_KEY_BYTES])
{
    pack_be64(out, (uint64_t)expires_s);
    memcpy(out + 8, key, CACHE_KEY_BYTES);
    return lmdb_val(out, EXPIRY_KEY);
}

static MDB_val scope_key(uint8_t out[SCOPE_KEY_MAX], struct str scope, const uint8_t key[CACHE_KEY_BYTES])
{
    struct pack k = {.p = out, .cap = SCOPE_KEY_MAX};
    pack_bytes(&k, scope.p, scope.n);
    pack_bytes(&k, "", 1);
    pack_bytes(&k, key, CACHE_KEY_BYTES);
    return lmdb_val(out, k.n);
}

static int ignore_missing(int rc)
{
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int del_index(struct cache_store *s, MDB_txn *txn, const uint8_t key[CACHE_KEY_BYTES],
                     int64_t expires_s, struct str scope)
{
    uint8_t e[EXPIRY_KEY], c[SCOPE_KEY_MAX];
    MDB_val k = expiry_key(e, expires_s, key);
    int rc = ignore_missing(mdb_del(txn, s->expiry, &k, NULL));
    if (rc != 0)
        return rc;
    k = scope_key(c, scope, key);
    return ignore_missing(mdb_del(txn, s->scopes, &k, NULL));
}

/* MDB_NOTFOUND: there is none. */
static int del_entry(struct cache_store *s, MDB_txn *txn, const uint8_t key[CACHE_KEY_BYTES])
{
    MDB_val k = lmdb_val(key, CACHE_KEY_BYTES), v;
    struct cache_entry e;
    struct str scope;
    int rc = mdb_get(txn, s->entries, &k, &v);
    if (rc != 0)
        return rc;
    if (cache_record_read(lmdb_str(&v), &e, &scope) == 0)
        rc = del_index(s, txn, key, e.expires_s, scope);
    return rc == 0 ? mdb_del(txn, s->entries, &k, NULL) : rc;
}

static int put_entry(struct cache_store *s, MDB_txn *txn, const struct cache_mail *m, int64_t expires_s,
                     struct str scope)
{
    uint8_t e[EXPIRY_KEY], c[SCOPE_KEY_MAX];
    int rc = ignore_missing(del_entry(s, txn, m->key));
    if (rc != 0)
        return rc;
    MDB_val k = lmdb_val(m->key, CACHE_KEY_BYTES), v = lmdb_val(m->record.p, m->record.n);
    rc = mdb_put(txn, s->entries, &k, &v, 0);
    if (rc != 0)
        return rc;
    k = expiry_key(e, expires_s, m->key);
    v = lmdb_val("", 0);
    rc = mdb_put(txn, s->expiry, &k, &v, 0);
    if (rc != 0)
        return rc;
    k = scope_key(c, scope, m->key);
    return mdb_put(txn, s->scopes, &k, &v, 0);
}

/* They are closed only where beginning anew has failed (the disk was full, say): tried again then. */
static int ensure_open(struct cache_store *s)
{
    return s->env.env != NULL ? 0 : open_files(s);
}

static int begin(struct cache_store *s, MDB_txn **txn)
{
    int rc = ensure_open(s);
    return rc == 0 ? mdb_txn_begin(s->env.env, NULL, 0, txn) : rc;
}

static int end(MDB_txn *txn, int rc)
{
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* ---- removing by expiry ---- */

/* Up to `most` entries, soonest to expire first, of those that expire up to `until_s`. */
static int remove_first(struct cache_store *s, int64_t until_s, unsigned most, uint64_t *removed)
{
    MDB_txn *txn;
    MDB_cursor *c;
    int rc = begin(s, &txn);
    if (rc != 0)
        return rc;
    uint64_t n = 0;
    rc = mdb_cursor_open(txn, s->expiry, &c);
    if (rc != 0)
        return end(txn, rc);
    while (rc == 0 && n < most) {
        MDB_val k, v;
        uint8_t key[CACHE_KEY_BYTES];
        rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
        if (rc != 0 || k.mv_size != EXPIRY_KEY || (int64_t)unpack_be64(k.mv_data) > until_s)
            break;
        memcpy(key, (const uint8_t *)k.mv_data + 8, sizeof key);
        rc = mdb_cursor_del(c, 0); /* itself, so that a stale index entry goes, too */
        if (rc == 0)
            rc = ignore_missing(del_entry(s, txn, key));
        n++;
    }
    mdb_cursor_close(c);
    rc = end(txn, ignore_missing(rc));
    if (rc == 0)
        *removed += n;
    return rc;
}

static uint64_t bytes_of(const MDB_stat *st)
{
    return (st->ms_branch_pages + st->ms_leaf_pages + st->ms_overflow_pages) * (uint64_t)st->ms_psize;
}

/* Pages that hold something, and the limit. */
static int measure(struct cache_store *s, uint64_t *used, uint64_t *limit)
{
    const MDB_dbi dbs[] = {s->entries, s->expiry, s->scopes};
    MDB_envinfo info;
    MDB_txn *txn;
    int rc = ensure_open(s);
    if (rc == 0)
        rc = mdb_env_info(s->env.env, &info);
    if (rc == 0)
        rc = lmdb_read(&s->env, &txn);
    if (rc != 0)
        return rc;
    *used = 0;
    *limit = info.me_mapsize;
    for (size_t i = 0; i < sizeof dbs / sizeof *dbs && rc == 0; i++) {
        MDB_stat st;
        rc = mdb_stat(txn, dbs[i], &st);
        *used += rc == 0 ? bytes_of(&st) : 0;
    }
    lmdb_read_end(&s->env);
    return rc;
}

/* So few that the pages they touch fit into what is kept free. */
static unsigned batch_for(uint64_t limit)
{
    uint64_t n = limit / PAGE / 100;
    return n < 4 ? 4 : n > REMOVE_BATCH ? REMOVE_BATCH : (unsigned)n;
}

/* Until at most this much is used, or nothing is left. */
static int evict_down_to(struct cache_store *s, uint64_t bytes, uint64_t *removed)
{
    for (;;) {
        uint64_t used, limit, before = *removed;
        int rc = measure(s, &used, &limit);
        if (rc != 0 || used <= bytes)
            return rc;
        rc = remove_first(s, INT64_MAX, batch_for(limit), removed);
        if (rc != 0 || *removed == before)
            return rc;
    }
}

int cache_store_evict(struct cache_store *s, uint64_t *removed, struct error *err)
{
    uint64_t used, limit;
    *removed = 0;
    int rc = measure(s, &used, &limit);
    if (rc == 0 && used > limit / 100 * 90)
        rc = evict_down_to(s, limit / 100 * 85, removed);
    rc = heal(s, rc);
    return rc == 0 ? 0 : lmdb_error(err, "response cache", rc);
}

int cache_store_expire(struct cache_store *s, int64_t now_s, uint64_t *removed, struct error *err)
{
    uint64_t used, limit, before;
    *removed = 0;
    int rc = measure(s, &used, &limit);
    do {
        before = *removed;
        if (rc == 0)
            rc = remove_first(s, now_s, batch_for(limit), removed);
    } while (rc == 0 && *removed > before && *removed < EXPIRE_MOST);
    rc = heal(s, rc);
    return rc == 0 ? 0 : lmdb_error(err, "response cache", rc);
}

/* Evicts until no more than `bytes` are used, and lets what was freed become usable: that takes two further
 * transactions. */
static int make_room(struct cache_store *s, uint64_t bytes, uint64_t *removed)
{
    cache_store_reap_readers(s);
    int rc = evict_down_to(s, bytes, removed);
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = remove_first(s, INT64_MAX, 1, removed);
    return rc;
}

/* ---- storing ---- */

static int put_all(struct cache_store *s, const struct cache_mail *m, size_t n, int64_t now_s,
                   uint64_t *stored)
{
    MDB_txn *txn;
    int rc = begin(s, &txn);
    if (rc != 0)
        return rc;
    *stored = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct cache_entry e;
        struct str scope;
        if (m[i].kind != CACHE_MAIL_STORE || cache_record_read(m[i].record, &e, &scope) < 0 ||
            e.expires_s <= now_s)
            continue;
        rc = put_entry(s, txn, &m[i], e.expires_s, scope);
        ++*stored;
    }
    return end(txn, rc);
}

/* What the mails take, roughly: their pages, and the index's. */
static uint64_t need_of(const struct cache_mail *m, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += (m[i].record.n + 2 * PAGE - 1) / PAGE * PAGE;
    return bytes;
}

/* After the map was found full: again, with more and more room. */
static int put_hard(struct cache_store *s, const struct cache_mail *m, size_t n, int64_t now_s,
                    uint64_t limit, uint64_t *stored, uint64_t *evicted)
{
    static const unsigned percents[] = {75, 50, 25};
    int rc = MDB_MAP_FULL;
    for (size_t i = 0; i < sizeof percents / sizeof *percents && lmdb_is_full(rc); i++) {
        rc = make_room(s, limit / 100 * percents[i], evicted);
        if (rc == 0)
            rc = put_all(s, m, n, now_s, stored);
    }
    if (rc != MDB_MAP_FULL || ++s->jammed < JAMMED) /* a full disk is not helped by emptying */
        return rc;
    s->jammed = 0;
    rc = begin_anew(s, "it is full and could not be emptied");
    return rc == 0 ? put_all(s, m, n, now_s, stored) : rc;
}

int cache_store_put(struct cache_store *s, const struct cache_mail *m, size_t n, int64_t now_s,
                    uint64_t *stored, uint64_t *evicted, struct error *err)
{
    uint64_t used, limit, need = need_of(m, n);
    *stored = 0;
    *evicted = 0;
    int rc = measure(s, &used, &limit);
    if (rc == 0 && need > limit / 4)
        return error_set(err, "response cache: %llu bytes are too much at once", (unsigned long long)need);
    if (rc == 0 && used + need > limit / 100 * 90)
        rc = evict_down_to(s, limit / 100 * 90 - need, evicted);
    if (rc == 0)
        rc = put_all(s, m, n, now_s, stored);
    if (lmdb_is_full(rc))
        rc = put_hard(s, m, n, now_s, limit, stored, evicted);
    if (lmdb_is_damaged(rc)) {
        rc = heal(s, rc);
        rc = rc == 0 ? put_all(s, m, n, now_s, stored) : rc;
    }
    if (rc == 0) {
        s->jammed = 0;
        return 0;
    }
    *stored = 0;
    return lmdb_error(err, "response cache", rc);
}

/* ---- purging ---- */

static int purge_all(struct cache_store *s, uint64_t *removed)
{
    MDB_txn *txn;
    MDB_stat st;
    int rc = begin(s, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_stat(txn, s->entries, &st);
    if (rc == 0)
        rc = mdb_drop(txn, s->entries, 0);
    if (rc == 0)
        rc = mdb_drop(txn, s->expiry, 0);
    if (rc == 0)
        rc = mdb_drop(txn, s->scopes, 0);
    rc = end(txn, rc);
    *removed = rc == 0 ? st.ms_entries : 0;
    return rc;
}

/* Up to `most` of the entries whose scope this is; *n tells how many. */
static int purge_some(struct cache_store *s, struct str scope, unsigned most, uint64_t *n)
{
    MDB_txn *txn;
    MDB_cursor *c;
    *n = 0;
    int rc = begin(s, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_open(txn, s->scopes, &c);
    if (rc != 0)
        return end(txn, rc);
    while (rc == 0 && *n < most) {
        uint8_t prefix[SCOPE_KEY_MAX], key[CACHE_KEY_BYTES];
        static const uint8_t first[CACHE_KEY_BYTES];
        MDB_val k = scope_key(prefix, scope, first), v;
        rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
        if (rc != 0 || k.mv_size != scope.n + 1 + CACHE_KEY_BYTES ||
            memcmp(k.mv_data, prefix, scope.n + 1) != 0)
            break;
        memcpy(key, (const uint8_t *)k.mv_data + scope.n + 1, sizeof key);
        rc = mdb_cursor_del(c, 0);
        if (rc == 0)
            rc = ignore_missing(del_entry(s, txn, key));
        ++*n;
    }
    mdb_cursor_close(c);
    return end(txn, ignore_missing(rc));
}

static int purge_scope(struct cache_store *s, struct str scope, uint64_t *removed)
{
    uint64_t used, limit, n = 0;
    int rc = measure(s, &used, &limit);
    do {
        if (rc == 0)
            rc = purge_some(s, scope, batch_for(limit), &n);
        *removed += rc == 0 ? n : 0;
    } while (rc == 0 && n > 0);
    return rc;
}

int cache_store_purge(struct cache_store *s, const char *scope, uint64_t *removed, struct error *err)
{
    *removed = 0;
    int rc = scope[0] == '\0' ? purge_all(s, removed) : purge_scope(s, str_of(scope), removed);
    rc = heal(s, rc);
    return rc == 0 ? 0 : lmdb_error(err, "response cache", rc);
}

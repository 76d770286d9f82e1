/* What LMDB asks of a server with many short-lived processes:
 *  - an environment is used only by the process that opened it, and opened once in it (its POSIX locks vanish
 *    with any close of the lock file);
 *  - a killed reader keeps its place in the reader table, and the pages it saw, until somebody clears it;
 *  - MDB_NOMEMINIT is never set (it would write heap contents, a secret among them, to the file). */
#include "lmdb_env.h"
#include "limits.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* every process may read, and admin and ledger beside them; killed ones count until they are cleared */
enum { READERS = MAX_SLOTS + 64 };

int lmdb_make_folder(const char *path, struct error *err)
{
    char part[4096];
    if (str_copy(part, sizeof part, str_of(path)) < 0)
        return error_set(err, "%.80s…: the path is too long", path);
    for (char *at = part + 1;; at++) {
        char c = *at;
        if (c != '/' && c != '\0')
            continue;
        *at = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return error_errno(err, "%s: can't make the folder", part);
        *at = c;
        if (c == '\0')
            return 0;
    }
}

int lmdb_env_open(struct lmdb_env *e, const char *folder, const struct lmdb_options *o)
{
    *e = (struct lmdb_env){.writer = o->writer};
    int rc = mdb_env_create(&e->env);
    if (rc != 0)
        return rc;
    rc = mdb_env_set_maxreaders(e->env, READERS);
    if (rc == 0 && o->dbs > 0)
        rc = mdb_env_set_maxdbs(e->env, o->dbs);
    if (rc == 0 && o->writer)
        rc = mdb_env_set_mapsize(e->env, o->map_bytes);
    if (rc == 0)
        rc = mdb_env_open(e->env, folder, MDB_NOTLS | (o->writer ? 0 : MDB_RDONLY) | o->extra_flags, 0600);
    if (rc != 0)
        lmdb_env_close(e); /* as LMDB demands after a failed open */
    return rc;
}

void lmdb_env_close(struct lmdb_env *e)
{
    if (e->env == NULL)
        return;
    if (e->reader != NULL)
        mdb_txn_abort(e->reader);
    mdb_env_close(e->env);
    *e = (struct lmdb_env){.env = NULL};
}

static int begin_or_renew(struct lmdb_env *e)
{
    if (e->reader == NULL)
        return mdb_txn_begin(e->env, NULL, MDB_RDONLY, &e->reader);
    int rc = mdb_txn_renew(e->reader);
    if (rc != 0 && rc != MDB_MAP_RESIZED) { /* lost its place in the reader table: take another */
        mdb_txn_abort(e->reader);
        e->reader = NULL;
        rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &e->reader);
    }
    return rc;
}

int lmdb_read(struct lmdb_env *e, MDB_txn **txn)
{
    int rc = begin_or_renew(e);
    if (rc == MDB_READERS_FULL && lmdb_reap_readers(e) > 0)
        rc = begin_or_renew(e);
    if (rc == MDB_MAP_RESIZED) { /* the writer was restarted with a larger limit */
        rc = mdb_env_set_mapsize(e->env, 0);
        if (rc == 0)
            rc = begin_or_renew(e);
    }
    *txn = rc == 0 ? e->reader : NULL;
    return rc;
}

void lmdb_read_end(struct lmdb_env *e)
{
    if (e->reader != NULL)
        mdb_txn_reset(e->reader);
}

int lmdb_reap_readers(struct lmdb_env *e)
{
    int dead = 0;
    return mdb_reader_check(e->env, &dead) == 0 ? dead : 0;
}

int lmdb_error(struct error *err, const char *what, int code)
{
    return error_set(err, "%s: %s", what, mdb_strerror(code));
}

bool lmdb_is_full(int code)
{
    return code == MDB_MAP_FULL || code == MDB_TXN_FULL || code == ENOSPC || code == EDQUOT || code == EFBIG;
}

bool lmdb_is_damaged(int code)
{
    static const int codes[] = {MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_PANIC,       MDB_VERSION_MISMATCH,
                                MDB_INVALID,       MDB_BAD_TXN,   MDB_CURSOR_FULL, MDB_INCOMPATIBLE};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code == codes[i])
            return true;
    return false;
}

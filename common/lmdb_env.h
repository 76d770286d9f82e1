/* One LMDB environment, opened the one way that is right in a pre-fork server: after the fork, once a
 * process, without thread-bound readers; folder 0700, files 0600. Keystore, usage store and response cache
 * stand on it. */
#ifndef COMMON_LMDB_ENV_H
#define COMMON_LMDB_ENV_H

#include "error.h"
#include "str.h"

#include <lmdb.h>

struct lmdb_env {
    MDB_env *env;    /* NULL: closed */
    MDB_txn *reader; /* kept, reset between uses: renewing it costs a tenth of a new one */
    bool writer;
};

struct lmdb_options {
    bool writer;
    size_t map_bytes;     /* the writer's: the file's largest size; readers take it from the file */
    unsigned dbs;         /* named databases; 0: only the unnamed one */
    unsigned extra_flags; /* MDB_NOSYNC … */
};

/* Makes the folder and its parents where they are missing (0700). */
int lmdb_make_folder(const char *path, struct error *err);
/* Returns 0, or LMDB's code (or errno): the callers judge it. */
int lmdb_env_open(struct lmdb_env *e, const char *folder, const struct lmdb_options *o);
void lmdb_env_close(struct lmdb_env *e);

/* Begins (renews) the read transaction; 0 or LMDB's code. Clears dead readers when the table is full, follows
 * a map that has grown. Not to be called again before lmdb_read_end, which ends it: what was read points into
 * the map and must have been copied by then. */
int lmdb_read(struct lmdb_env *e, MDB_txn **txn);
void lmdb_read_end(struct lmdb_env *e);

/* Clears readers that died: returns how many. */
int lmdb_reap_readers(struct lmdb_env *e);
/* "what: LMDB's words"; returns -1. */
int lmdb_error(struct error *err, const char *what, int code);
/* Whether this code says that there is no room: the map's limit, or the disk's. */
bool lmdb_is_full(int code);
/* What the files hold is not what LMDB wrote. */
bool lmdb_is_damaged(int code);

static inline MDB_val lmdb_val(const void *p, size_t n)
{
    /* LMDB takes what it only reads as non-const, too */
    return (MDB_val){.mv_size = n, .mv_data = (void *)(uintptr_t)p};
}
static inline struct str lmdb_str(const MDB_val *v)
{
    return (struct str){v->mv_data, v->mv_size};
}

#endif

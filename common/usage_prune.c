/* Removing old rows from the usage store. LMDB writes changed pages anew, for a removal, too; a full store
 * still has the pages that its last but one transaction freed, which do for few rows at a time. */
#include "pack.h"
#include "usage_db.h"

static int remove_rows(MDB_cursor *c, int64_t before_us, size_t most, size_t *removed)
{
    MDB_val k, v;
    int rc = 0;
    while (rc == 0 && *removed < most) {
        rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
        if (rc == 0 && (k.mv_size < 8 || (int64_t)unpack_be64(k.mv_data) >= before_us))
            return 0;
        if (rc == 0)
            rc = mdb_cursor_del(c, 0);
        *removed += rc == 0;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int usage_store_prune(struct usage_store *s, int64_t before_us, size_t most, size_t *removed, bool *full,
                      struct error *err)
{
    MDB_txn *txn;
    MDB_cursor *c;
    *removed = 0;
    *full = false;
    if (s->txn != NULL)
        return error_set(err, "usage store: a batch is under way");
    int rc = mdb_txn_begin(s->env.env, NULL, 0, &txn);
    if (rc != 0)
        return lmdb_error(err, "usage store", rc);
    rc = mdb_cursor_open(txn, s->rows, &c);
    if (rc == 0) {
        rc = remove_rows(c, before_us, most, removed);
        mdb_cursor_close(c);
    }
    if (rc == 0 && *removed > 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (rc == 0)
        return 0;
    *removed = 0;
    *full = lmdb_is_full(rc);
    return lmdb_error(err, "usage store", rc);
}

/* The usage store's reading side: sums by any dimensions, and single rows. Works on a snapshot while the
 * ledger writes on; the transaction is held while it runs, so callers collect, and send afterwards. */
#include "pack.h"
#include "usage_db.h"
#include "usage_record.h"

#include <string.h>
#include <time.h>

enum { GROUPS_MAX = 200000, DAY_TEXT = 11 };

/* ---- days ---- */

/* "YYYY-MM-DD" exactly, a day that exists. */
static int day_parse(const char *text, uint32_t *day)
{
    struct str rest = str_of(text), year, month;
    uint64_t y, m, d;
    if (rest.n != DAY_TEXT - 1 || text[4] != '-' || text[7] != '-')
        return -1;
    str_split(&rest, '-', &year);
    str_split(&rest, '-', &month);
    if (str_u64(year, &y) < 0 || str_u64(month, &m) < 0 || str_u64(rest, &d) < 0 || y < 1970)
        return -1;
    struct tm tm = {.tm_year = (int)y - 1900, .tm_mon = (int)m - 1, .tm_mday = (int)d};
    time_t t = timegm(&tm);
    if (t < 0 || tm.tm_mon != (int)m - 1 || tm.tm_mday != (int)d)
        return -1; /* timegm made another day of it */
    *day = (uint32_t)(t / 86400);
    return 0;
}

static void day_print(uint32_t day, char out[DAY_TEXT])
{
    time_t t = (time_t)day * 86400;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(out, DAY_TEXT, "%Y-%m-%d", &tm) == 0)
        memcpy(out, "0000-00-00", DAY_TEXT);
}

/* ---- sums ---- */

/* A stored sum's name taken apart: the value of each dimension. */
struct dimensions {
    char day[DAY_TEXT];
    struct str values[USAGE_DIMENSIONS];
};

static int dimensions_read(struct str name, struct dimensions *d)
{
    if (name.n < 4)
        return -1;
    day_print(unpack_be32((const uint8_t *)name.p), d->day);
    d->values[BY_DAY] = str_of(d->day);
    struct str rest = {name.p + 4, name.n - 4};
    for (int i = BY_DEPARTMENT; i < USAGE_DIMENSIONS; i++) {
        const char *end = rest.n > 0 ? memchr(rest.p, '\0', rest.n) : NULL;
        if (end == NULL)
            return -1;
        d->values[i] = (struct str){rest.p, (size_t)(end - rest.p)};
        rest = (struct str){end + 1, rest.n - (size_t)(end - rest.p) - 1};
    }
    return 0;
}

/* The values asked for, each with its NUL: sorts as they do, and gives C strings back. */
static struct usage_sum *group_of(struct usage_groups *g, const enum usage_dimension by[], size_t n,
                                  const struct dimensions *d)
{
    uint8_t name[USAGE_GROUP_MAX];
    struct pack k = {.p = name, .cap = sizeof name};
    for (size_t i = 0; i < n; i++) {
        pack_bytes(&k, d->values[by[i]].p, d->values[by[i]].n);
        pack_bytes(&k, "", 1);
    }
    return k.full ? NULL : usage_groups_get(g, (struct str){(char *)name, k.n});
}

static int collect(MDB_cursor *c, const enum usage_dimension by[], size_t n, uint32_t from, uint32_t to,
                   struct usage_groups *g, struct error *err)
{
    uint8_t start[4];
    pack_be32(start, from);
    MDB_val k = lmdb_val(start, sizeof start), v;
    int rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
        struct dimensions d;
        struct usage_sum more, *sum;
        if (dimensions_read(lmdb_str(&k), &d) < 0 || usage_sum_decode(lmdb_str(&v), &more) < 0)
            return error_set(err, "usage store: a sum can't be read");
        if (unpack_be32(k.mv_data) > to)
            return 0;
        sum = group_of(g, by, n, &d);
        if (sum == NULL || g->n > GROUPS_MAX)
            return error_set(err, "more than %d groups: ask for fewer dimensions or days", GROUPS_MAX);
        usage_sum_add(sum, &more);
    }
    return rc == MDB_NOTFOUND ? 0 : lmdb_error(err, "usage store", rc);
}

static void tell(const struct usage_groups *g, size_t n,
                 int (*each)(const char *const values[], const struct usage_sum *, void *), void *arg)
{
    for (size_t i = 0; i < g->n; i++) {
        const char *values[USAGE_DIMENSIONS], *at = (const char *)g->list[i]->name;
        for (size_t k = 0; k < n; k++) {
            values[k] = at;
            at += strlen(at) + 1;
        }
        if (each(values, &g->list[i]->sum, arg) != 0)
            return;
    }
}

int usage_store_query(struct usage_store *s, const enum usage_dimension by[], size_t n, const char *from,
                      const char *to,
                      int (*each)(const char *const values[], const struct usage_sum *, void *), void *arg,
                      struct error *err)
{
    uint32_t first = 0, last = UINT32_MAX;
    if (n > USAGE_DIMENSIONS)
        return error_set(err, "at most %d dimensions", USAGE_DIMENSIONS);
    if (from != NULL && day_parse(from, &first) < 0)
        return error_set(err, "from: not a day, YYYY-MM-DD");
    if (to != NULL && day_parse(to, &last) < 0)
        return error_set(err, "to: not a day, YYYY-MM-DD");

    MDB_txn *txn;
    MDB_cursor *c;
    int rc = lmdb_read(&s->env, &txn);
    if (rc != 0)
        return lmdb_error(err, "usage store", rc);
    rc = mdb_cursor_open(txn, s->sums, &c);
    if (rc != 0) {
        lmdb_read_end(&s->env);
        return lmdb_error(err, "usage store", rc);
    }
    struct usage_groups g = {.n = 0};
    if (n == 0)
        usage_groups_get(&g, STR_NULL); /* the total is there even when it is zero */
    int result = collect(c, by, n, first, last, &g, err);
    mdb_cursor_close(c);
    lmdb_read_end(&s->env);
    if (result == 0) {
        usage_groups_sort(&g);
        tell(&g, n, each, arg);
    }
    usage_groups_reset(&g);
    return result;
}

/* ---- rows ---- */

static int walk_rows(MDB_cursor *c, int64_t from_us, const char *key_id, size_t limit,
                     int (*each)(const struct usage_row *, void *), void *arg, struct error *err)
{
    uint8_t start[8];
    pack_be64(start, from_us < 0 ? 0 : (uint64_t)from_us);
    MDB_val k = lmdb_val(start, sizeof start), v;
    int rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    for (size_t told = 0; rc == 0 && told < limit; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
        struct usage_row row;
        if (usage_row_decode(lmdb_str(&v), &row) < 0)
            return error_set(err, "usage store: a row can't be read");
        if (key_id != NULL && strcmp(row.key_id, key_id) != 0)
            continue;
        told++;
        if (each(&row, arg) != 0)
            return 0;
    }
    return rc == 0 || rc == MDB_NOTFOUND ? 0 : lmdb_error(err, "usage store", rc);
}

int usage_store_rows(struct usage_store *s, int64_t from_us, const char *key_id, size_t limit,
                     int (*each)(const struct usage_row *, void *), void *arg, struct error *err)
{
    MDB_txn *txn;
    MDB_cursor *c;
    int rc = lmdb_read(&s->env, &txn);
    if (rc != 0)
        return lmdb_error(err, "usage store", rc);
    rc = mdb_cursor_open(txn, s->rows, &c);
    if (rc != 0) {
        lmdb_read_end(&s->env);
        return lmdb_error(err, "usage store", rc);
    }
    int result = walk_rows(c, from_us, key_id, limit, each, arg, err);
    mdb_cursor_close(c);
    lmdb_read_end(&s->env);
    return result;
}

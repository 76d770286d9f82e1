/* The usage store on real LMDB files: what is committed is there once, sums agree with the rows they came
 * from, and a failed or dropped batch leaves nothing behind. */
#include "temp_folder.h"
#include "usage_record.h"
#include "usage_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY_US INT64_C(86400000000)
#define START  (INT64_C(20000) * DAY_US) /* 2024-10-04 */

static char folder[64];
static struct error err;

static int setup(void **state)
{
    (void)state;
    return temp_folder_new(folder) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

static struct usage_store *open_store(uint64_t max_bytes)
{
    struct usage_store *s = usage_store_open(folder, true, max_bytes, &err);
    if (s == NULL)
        fail_msg("%s", err.text);
    return s;
}

static void commit(struct usage_store *s)
{
    bool full;
    if (usage_store_commit(s, &full, &err) < 0)
        fail_msg("%s", err.text);
    assert_false(full);
}

static struct usage_row make_row(int64_t time_us, const char *department, const char *key, const char *model)
{
    struct usage_row r = {
        .time_us = time_us, .latency_us = 1000, .ttft_us = 10, .status = 200, .cost_pico = 7};
    r.tokens = (struct usage_tokens){.input = 5, .cached = 1, .cache_write = 2, .output = 3, .reasoning = 1};
    snprintf(r.department, sizeof r.department, "%s", department);
    snprintf(r.team, sizeof r.team, "team of %s", department);
    snprintf(r.key_id, sizeof r.key_id, "%s", key);
    snprintf(r.model, sizeof r.model, "%s", model);
    snprintf(r.target, sizeof r.target, "%s-2024", model);
    snprintf(r.provider, sizeof r.provider, "virtual");
    snprintf(r.request_id, sizeof r.request_id, "req_%lld", (long long)time_us);
    return r;
}

struct told {
    struct usage_row rows[64];
    int n;
};

static int tell_row(const struct usage_row *row, void *arg)
{
    struct told *t = arg;
    t->rows[t->n++] = *row;
    return 0;
}

static void test_rows_in_time_order(void **state)
{
    (void)state;
    struct usage_store *s = open_store(64 << 20);
    static const int batches[3][4] = {{5, 3, 9, 3}, {4, 1, 8, 10}, {2, 6, 7, 3}};
    struct usage_row row = {.time_us = 0};
    for (int b = 0; b < 3; b++) {
        assert_int_equal(usage_store_begin(s, &err), 0);
        for (int i = 0; i < 4; i++) {
            row = make_row(START + batches[b][i], "d", batches[b][i] % 2 ? "odd" : "even", "m");
            assert_int_equal(usage_store_add(s, &row, &err), 0);
        }
        commit(s);
    }
    struct told t = {.n = 0};
    assert_int_equal(usage_store_rows(s, 0, NULL, 64, tell_row, &t, &err), 0);
    static const int order[] = {1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10};
    assert_int_equal(t.n, 12);
    for (int i = 0; i < 12; i++)
        assert_int_equal(t.rows[i].time_us, START + order[i]);
    struct usage_row same = make_row(START + 10, "d", "even", "m");
    assert_memory_equal(&t.rows[11], &same, sizeof same);

    t.n = 0;
    assert_int_equal(usage_store_rows(s, START + 4, "odd", 2, tell_row, &t, &err), 0);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.rows[0].time_us, START + 5);
    assert_int_equal(t.rows[1].time_us, START + 7);
    usage_store_close(&s);
    assert_null(s);
}

static void test_positions_and_marks(void **state)
{
    (void)state;
    struct usage_store *s = open_store(64 << 20);
    struct usage_position p;
    uint64_t mark;
    assert_int_equal(usage_store_position(s, 17, &p, &err), 0);
    assert_int_equal(p.next, 0);
    assert_int_equal(usage_store_set_position(s, 17, (struct usage_position){1, 1}, &err), -1); /* no batch */
    usage_store_abort(s);

    assert_int_equal(usage_store_begin(s, &err), 0);
    assert_int_equal(usage_store_set_position(s, 17, (struct usage_position){UINT64_MAX, 42}, &err), 0);
    assert_int_equal(usage_store_set_mark(s, "17-1-abc", 99, &err), 0);
    assert_int_equal(usage_store_position(s, 17, &p, &err), 1); /* the batch sees its own */
    commit(s);
    usage_store_close(&s);

    s = open_store(64 << 20);
    assert_int_equal(usage_store_position(s, 17, &p, &err), 1);
    assert_true(p.segment == UINT64_MAX && p.next == 42);
    assert_int_equal(usage_store_position(s, 18, &p, &err), 0);
    assert_int_equal(usage_store_mark(s, "17-1-abc", &mark, &err), 1);
    assert_int_equal(mark, 99);
    assert_int_equal(usage_store_begin(s, &err), 0);
    assert_int_equal(usage_store_clear_mark(s, "17-1-abc", &err), 0);
    assert_int_equal(usage_store_clear_mark(s, "17-1-abc", &err), 0);
    commit(s);
    assert_int_equal(usage_store_mark(s, "17-1-abc", &mark, &err), 0);
    usage_store_close(&s);
}

static int sum_total(const char *const values[], const struct usage_sum *sum, void *arg)
{
    (void)values;
    *(struct usage_sum *)arg = *sum;
    return 0;
}

static struct usage_sum total(struct usage_store *s)
{
    struct usage_sum sum = {.requests = UINT64_MAX};
    assert_int_equal(usage_store_query(s, NULL, 0, NULL, NULL, sum_total, &sum, &err), 0);
    return sum;
}

static void test_aborted_batch(void **state)
{
    (void)state;
    struct usage_store *s = open_store(64 << 20);
    struct usage_row row = make_row(START, "d", "k", "m");
    assert_int_equal(usage_store_begin(s, &err), 0);
    assert_int_equal(usage_store_add(s, &row, &err), 0);
    assert_int_equal(usage_store_set_position(s, 1, (struct usage_position){1, 1}, &err), 0);
    usage_store_abort(s);
    struct usage_position p;
    assert_int_equal(usage_store_position(s, 1, &p, &err), 0);
    assert_int_equal(total(s).requests, 0);
    assert_int_equal(usage_store_add(s, &row, &err), -1);
    assert_int_equal(usage_store_begin(s, &err), 0);
    assert_int_equal(usage_store_begin(s, &err), 0); /* drops the one before */
    assert_int_equal(usage_store_add(s, &row, &err), 0);
    commit(s);
    assert_int_equal(total(s).requests, 1);
    usage_store_close(&s);
}

static void test_what_sums_count(void **state)
{
    (void)state;
    struct usage_store *s = open_store(64 << 20);
    struct usage_row rows[] = {
        make_row(START, "d", "k", "m"), make_row(START, "d", "k", "m"), make_row(START, "d", "k", "m"),
        make_row(START, "d", "k", "m"), make_row(START, "d", "k", "m"),
    };
    rows[1].status = 429;
    rows[1].ttft_us = 0;
    rows[2].flags = USAGE_CACHE_HIT;
    rows[2].cost_pico = 0;
    rows[2].saved_pico = 11;
    rows[3].status = 0;
    rows[3].flags = USAGE_KILLED;
    rows[4].flags = USAGE_COST_UNKNOWN;
    rows[4].cost_pico = 1000000; /* meaningless: must not be counted */
    assert_int_equal(usage_store_begin(s, &err), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(usage_store_add(s, &rows[i], &err), 0);
    commit(s);
    struct usage_sum sum = total(s);
    assert_int_equal(sum.requests, 5);
    assert_int_equal(sum.errors, 2);
    assert_int_equal(sum.cache_hits, 1);
    assert_int_equal(sum.killed, 1);
    assert_int_equal(sum.cost_unknown, 1);
    assert_int_equal(sum.cost_pico, 21);
    assert_int_equal(sum.saved_pico, 11);
    assert_int_equal(sum.tokens.input, 25);
    assert_int_equal(sum.tokens.cached, 5);
    assert_int_equal(sum.tokens.cache_write, 10);
    assert_int_equal(sum.tokens.output, 15);
    assert_int_equal(sum.tokens.reasoning, 5);
    assert_int_equal(sum.latency_us_total, 5000);
    assert_int_equal(sum.ttft_us_total, 40);
    assert_int_equal(sum.ttft_count, 4);

    rows[0].cost_pico = UINT64_MAX; /* sums saturate, never wrap */
    assert_int_equal(usage_store_begin(s, &err), 0);
    assert_int_equal(usage_store_add(s, &rows[0], &err), 0);
    commit(s);
    assert_true(total(s).cost_pico == UINT64_MAX);
    usage_store_close(&s);
}

struct groups {
    char names[256][128];
    uint64_t requests[256];
    int n, stop_at;
    size_t dims;
};

static int tell_group(const char *const values[], const struct usage_sum *sum, void *arg)
{
    struct groups *g = arg;
    char *at = g->names[g->n];
    for (size_t i = 0; i < g->dims; i++)
        at += snprintf(at, 64, "%s%s", i > 0 ? "|" : "", values[i]);
    g->requests[g->n++] = sum->requests;
    return g->n == g->stop_at;
}

static void test_query_groups(void **state)
{
    (void)state;
    struct usage_store *s = open_store(64 << 20);
    static const struct {
        int day;
        const char *department, *key, *model;
    } rows[] = {
        {0, "b", "k1", "m1"}, {0, "a", "k2", "m1"}, {1, "b", "k1", "m2"},
        {1, "b", "k1", "m2"}, {2, "", "k3", "m1"},  {2, "ab", "k4", "m3"},
    };
    assert_int_equal(usage_store_begin(s, &err), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct usage_row row =
            make_row(START + rows[i].day * DAY_US, rows[i].department, rows[i].key, rows[i].model);
        assert_int_equal(usage_store_add(s, &row, &err), 0);
    }
    commit(s);

    static const struct {
        enum usage_dimension by[3];
        size_t n;
        const char *from, *to;
        int groups;
        struct {
            const char *name;
            uint64_t requests;
        } expect[5];
    } cases[] = {
        {{BY_DEPARTMENT}, 1, NULL, NULL, 4, {{"", 1}, {"a", 1}, {"ab", 1}, {"b", 3}}},
        {{BY_DAY}, 1, NULL, NULL, 3, {{"2024-10-04", 2}, {"2024-10-05", 2}, {"2024-10-06", 2}}},
        {{BY_DAY}, 1, "2024-10-05", "2024-10-05", 1, {{"2024-10-05", 2}}},
        {{BY_MODEL}, 1, "2024-10-05", NULL, 3, {{"m1", 1}, {"m2", 2}, {"m3", 1}}},
        {{BY_MODEL, BY_DAY}, 2, NULL, "2024-10-05", 2 + 0, {{"m1|2024-10-04", 2}, {"m2|2024-10-05", 2}}},
        {{BY_KEY, BY_TEAM, BY_PROVIDER},
         3,
         "2024-10-06",
         "2024-12-31",
         2,
         {{"k3|team of |virtual", 1}, {"k4|team of ab|virtual", 1}}},
        {{BY_DAY}, 1, "2025-01-01", NULL, 0, {{NULL, 0}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct groups g = {.dims = cases[i].n};
        assert_int_equal(
            usage_store_query(s, cases[i].by, cases[i].n, cases[i].from, cases[i].to, tell_group, &g, &err),
            0);
        assert_int_equal(g.n, cases[i].groups);
        for (int k = 0; k < g.n; k++) {
            assert_string_equal(g.names[k], cases[i].expect[k].name);
            assert_int_equal(g.requests[k], cases[i].expect[k].requests);
        }
    }
    struct groups g = {.dims = 1, .stop_at = 1};
    assert_int_equal(usage_store_query(s, cases[0].by, 1, NULL, NULL, tell_group, &g, &err), 0);
    assert_int_equal(g.n, 1);

    static const char *const no_days[] = {"",           "2024-13-01", "2024-02-30",
                                          "2024-1-1",   "24-10-04",   "2024-10-04x",
                                          "1969-12-31", "2024/10/04", "2024-10-4 "};
    for (size_t i = 0; i < sizeof no_days / sizeof *no_days; i++) {
        assert_int_equal(usage_store_query(s, cases[0].by, 1, no_days[i], NULL, tell_group, &g, &err), -1);
        assert_int_equal(usage_store_query(s, cases[0].by, 1, NULL, no_days[i], tell_group, &g, &err), -1);
    }
    usage_store_close(&s);
}

/* Sums over many random batches equal the sum over the stored rows. */
struct recount {
    uint64_t requests, input, cost;
};

static int recount_row(const struct usage_row *row, void *arg)
{
    struct recount *r = arg;
    r->requests++;
    r->input += row->tokens.input;
    r->cost += row->cost_pico;
    return 0;
}

static void test_sums_agree_with_rows(void **state)
{
    (void)state;
    struct usage_store *s = open_store(256 << 20);
    unsigned seed = 7;
    uint64_t requests = 0, input = 0;
    for (int b = 0; b < 40; b++) {
        assert_int_equal(usage_store_begin(s, &err), 0);
        int n = rand_r(&seed) % 300;
        for (int i = 0; i < n; i++) {
            char key[16], model[16];
            snprintf(key, sizeof key, "k%d", rand_r(&seed) % 20);
            snprintf(model, sizeof model, "m%d", rand_r(&seed) % 5);
            struct usage_row row = make_row(START + rand_r(&seed) % (3 * DAY_US), "d", key, model);
            row.tokens.input = (uint64_t)(rand_r(&seed) % 1000);
            assert_int_equal(usage_store_add(s, &row, &err), 0);
            if (b % 4 != 3) {
                requests++;
                input += row.tokens.input;
            }
        }
        if (b % 4 == 3)
            usage_store_abort(s);
        else
            commit(s);
    }
    struct recount r = {.requests = 0};
    assert_int_equal(usage_store_rows(s, 0, NULL, SIZE_MAX, recount_row, &r, &err), 0);
    struct usage_sum sum = total(s);
    assert_int_equal(r.requests, requests);
    assert_int_equal(r.input, input);
    assert_int_equal(sum.requests, requests);
    assert_int_equal(sum.tokens.input, input);
    assert_int_equal(sum.cost_pico, r.cost);
    usage_store_close(&s);
}

/* A full store refuses a batch as a whole, says why, keeps what it has, and takes rows again when it is
 * opened with more room. */
static void test_full(void **state)
{
    (void)state;
    struct usage_store *s = open_store(1 << 20);
    uint64_t stored = 0;
    bool full = false;
    for (int b = 0; b < 1000 && !full; b++) {
        assert_int_equal(usage_store_begin(s, &err), 0);
        for (int i = 0; i < 100; i++) {
            struct usage_row row = make_row(START + b * 100 + i, "d", "k", "m");
            assert_int_equal(usage_store_add(s, &row, &err), 0);
        }
        assert_int_equal(usage_store_set_position(s, 5, (struct usage_position){1, stored + 100}, &err), 0);
        if (usage_store_commit(s, &full, &err) == 0)
            stored += 100;
        else
            assert_true(full);
    }
    assert_true(full);
    assert_true(stored >= 1000);
    uint64_t used, max;
    assert_int_equal(usage_store_size(s, &used, &max, &err), 0);
    assert_true(used <= max && max == 1 << 20);
    assert_int_equal(total(s).requests, stored);
    struct usage_position p;
    assert_int_equal(usage_store_position(s, 5, &p, &err), 1);
    assert_int_equal(p.next, stored);
    usage_store_close(&s);

    s = open_store(2 << 20);
    assert_int_equal(usage_store_begin(s, &err), 0);
    struct usage_row row = make_row(START, "d", "k", "m");
    assert_int_equal(usage_store_add(s, &row, &err), 0);
    commit(s);
    assert_int_equal(total(s).requests, stored + 1);
    usage_store_close(&s);
}

/* ---- pruning ---- */

/* n rows, a minute apart, in one batch. */
static void add_minutes(struct usage_store *s, int first, int n)
{
    assert_int_equal(usage_store_begin(s, &err), 0);
    for (int i = first; i < first + n; i++) {
        struct usage_row row = make_row(START + i * INT64_C(60000000), "d", i % 2 ? "odd" : "even", "m");
        assert_int_equal(usage_store_add(s, &row, &err), 0);
    }
    commit(s);
}

static void test_prune(void **state)
{
    (void)state;
    struct usage_store *s = open_store(64 << 20);
    size_t removed;
    bool full;
    const int64_t limit = START + 25 * INT64_C(60000000);
    assert_int_equal(usage_store_prune(s, limit, 10, &removed, &full, &err), 0); /* of nothing */
    assert_int_equal(removed, 0);
    add_minutes(s, 0, 40);
    static const size_t expected[] = {10, 10, 5, 0};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(usage_store_prune(s, limit, 10, &removed, &full, &err), 0);
        assert_int_equal(removed, expected[i]);
    }
    struct told t = {.n = 0};
    assert_int_equal(usage_store_rows(s, 0, NULL, 64, tell_row, &t, &err), 0);
    assert_int_equal(t.n, 15);
    for (int i = 0; i < t.n; i++) /* what began at that very time stays */
        assert_int_equal(t.rows[i].time_us, START + (25 + i) * INT64_C(60000000));
    assert_int_equal(total(s).requests, 40);
    assert_int_equal(total(s).cost_pico, 40 * 7);

    add_minutes(s, 3, 1); /* one that comes late is counted, and goes with the next */
    assert_int_equal(total(s).requests, 41);
    assert_int_equal(usage_store_prune(s, limit, 10, &removed, &full, &err), 0);
    assert_int_equal(removed, 1);
    assert_int_equal(usage_store_prune(s, INT64_MAX, 100, &removed, &full, &err), 0);
    assert_int_equal(removed, 15); /* all of them: and it goes on from there */
    add_minutes(s, 50, 2);
    t.n = 0;
    assert_int_equal(usage_store_rows(s, 0, NULL, 64, tell_row, &t, &err), 0);
    assert_int_equal(t.n, 2);
    assert_int_equal(total(s).requests, 43);
    assert_int_equal(usage_store_begin(s, &err), 0);
    assert_int_equal(usage_store_prune(s, limit, 10, &removed, &full, &err), -1); /* inside of a batch */
    usage_store_close(&s);
}

/* n rows in one batch. */
static int add_rows(struct usage_store *s, int first, int n, bool *full)
{
    assert_int_equal(usage_store_begin(s, &err), 0);
    for (int i = first; i < first + n; i++) {
        struct usage_row row = make_row(START + i, i % 3 ? "d" : "department of a longer name", "k", "m");
        assert_int_equal(usage_store_add(s, &row, &err), 0);
    }
    return usage_store_commit(s, full, &err);
}

/* A store that takes no more takes this, and then more; again and again. */
static void prune_full_store(int batch)
{
    struct usage_store *s = open_store(1 << 20);
    int stored = 0;
    for (int round = 0; round < 4; round++) {
        bool full = false;
        int first = stored;
        while (stored < 100000 && !full)
            stored += add_rows(s, stored, batch, &full) == 0 ? batch : 0;
        assert_true(full && stored >= first + 100);
        size_t removed = 16;
        while (removed == 16)
            if (usage_store_prune(s, START + stored - 20, 16, &removed, &full, &err) != 0)
                fail_msg("batches of %d, round %d: %s", batch, round, err.text);
    }
    assert_int_equal(total(s).requests, stored);
    usage_store_close(&s);
}

static void test_prune_makes_room(void **state)
{
    static const int batches[] = {1, 2, 7, 50, 333};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        prune_full_store(batches[i]);
        teardown(state);
        assert_int_equal(setup(state), 0);
    }
}

/* Fields that fill their arrays, without a NUL, as a broken segment could hold them; values at their ends. */
static void test_records(void **state)
{
    (void)state;
    struct usage_row row, out;
    memset(&row, 'x', sizeof row);
    memset(row.reserved2, 0, sizeof row.reserved2);
    row.reserved0 = 0;
    row.reserved1 = 0;
    uint8_t bytes[USAGE_RECORD_MAX];
    size_t n = usage_row_encode(&row, bytes);
    assert_int_equal(usage_row_decode((struct str){(char *)bytes, n}, &out), 0);
    assert_int_equal(strlen(out.model), sizeof out.model - 1);
    assert_int_equal(out.time_us, row.time_us);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(usage_row_decode((struct str){(char *)bytes, cut}, &out), -1);

    struct usage_sum sum, back;
    memset(&sum, 0xff, sizeof sum);
    n = usage_sum_encode(&sum, bytes);
    assert_int_equal(usage_sum_decode((struct str){(char *)bytes, n}, &back), 0);
    assert_memory_equal(&sum, &back, sizeof sum);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(usage_sum_decode((struct str){(char *)bytes, cut}, &back), -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_prune),
        TEST(test_prune_makes_room),
        TEST(test_rows_in_time_order),
        TEST(test_positions_and_marks),
        TEST(test_aborted_batch),
        TEST(test_what_sums_count),
        TEST(test_query_groups),
        TEST(test_sums_agree_with_rows),
        TEST(test_full),
        TEST(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The inspector: what it prints, which broken invariants it finds, and that it survives nonsense. */
#include "clock.h"
#include "dump.h"
#include "metrics.h"
#include "places.h"
#include "ring.h"
#include "scoreboard.h"
#include "shm_fixture.h"
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <json-c/json.h>

enum { W = 16 };

static struct shm_slot *key_slot(const struct segment *s)
{
    return table_get(s, segment_line(s, W), 0, table_id(s, TABLE_KEY, STR("key")));
}

/* A worker in the middle of a request, and one of each kind in the table. */
static void fill(const struct segment *s)
{
    int64_t now = clock_mono_ns();
    assert_int_equal(scoreboard_claim_worker(s), W);
    scoreboard_enter(s, W, "worker", 3, now);
    struct shm_line *l = segment_line(s, W);
    memcpy(l->model, "mo\"d\\el\n", 8);
    scoreboard_state(l, LINE_BUSY, now);
    l->phase = PHASE_STREAM;
    struct shm_slot *key = key_slot(s);
    key->limit.rpm_tat = (uint64_t)now + 5 * NS_PER_SEC;
    key->limit.refused = 4;
    assert_int_equal(places_take(s, W, 1, key, 2), 1);
    struct shm_slot *series = table_get(s, l, 1, table_id(s, TABLE_SERIES, STR("s")));
    series->series.requests = 12;
    assert_non_null(table_get(s, l, 2, table_id(s, TABLE_PROVIDER, STR("p"))));
    metric_add(&segment_metrics(s, W)->requests_total, 77);
    histogram_add(&segment_metrics(s, W)->ttft, 1500);
    assert_non_null(ring_entry(s, W));
    ring_begin(s, W);
}

static char *printed(void (*dump)(FILE *, const struct segment *, int64_t), const struct segment *s)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    dump(f, s, dump_now(s));
    assert_int_equal(fclose(f), 0);
    return text;
}

static void text(void **state)
{
    const struct shm_fixture *f = *state;
    fill(&f->s);
    char *t = printed(dump_text, &f->s);
    static const char *const parts[] = {
        "alive", "worker", "busy",   "stream",    "mo\"d\\el?",       "requests_total",
        "77",    "ttft",   "series", "refused 4", "table: 3 of 1024", "yes"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(t, parts[i]))
            fail_msg("%s is not in:\n%s", parts[i], t);
    free(t);
}

static struct json_object *at(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, name, &v))
        fail_msg("no member %s", name);
    return v;
}

static void json(void **state)
{
    const struct shm_fixture *f = *state;
    fill(&f->s);
    char *t = printed(dump_json, &f->s);
    struct json_object *o = json_tokener_parse(t);
    assert_non_null(o);
    struct json_object *line = json_object_array_get_idx(at(o, "lines"), 0);
    assert_int_equal(json_object_get_int(at(line, "slot")), W);
    assert_string_equal(json_object_get_string(at(line, "model")), "mo\"d\\el?");
    assert_string_equal(json_object_get_string(at(line, "phase")), "stream");
    assert_int_equal(json_object_array_length(at(line, "held")), 1);
    assert_int_equal(json_object_array_length(at(line, "refs")), 3);
    assert_int_equal(json_object_get_int(at(at(o, "metrics"), "requests_total")), 77);
    assert_int_equal(json_object_get_int(at(at(at(o, "histograms"), "ttft"), "count")), 1);
    assert_int_equal(json_object_array_length(at(o, "table")), 3);
    int keys = 0;
    for (size_t i = 0; i < 3; i++) {
        struct json_object *slot = json_object_array_get_idx(at(o, "table"), i);
        if (strcmp(json_object_get_string(at(slot, "kind")), "key") != 0)
            continue;
        keys++;
        double owed = json_object_get_double(at(at(slot, "owed_ms"), "rpm"));
        assert_true(owed > 0 && owed <= 5000);
        assert_int_equal(json_object_get_int(at(slot, "places")), 1);
    }
    assert_int_equal(keys, 1);
    assert_true(json_object_get_boolean(at(json_object_array_get_idx(at(o, "rings"), 0), "open")));
    assert_int_equal(json_object_get_int(at(at(o, "header"), "table_used")), 3);
    json_object_put(o);
    free(t);
}

static unsigned violations(const struct segment *a, const struct segment *b, char **text)
{
    size_t n = 0;
    FILE *f = open_memstream(text, &n);
    assert_non_null(f);
    unsigned found = dump_check(f, a, b);
    fclose(f);
    return found;
}

typedef void change(const struct segment *);

static void places_leaked(const struct segment *s)
{
    key_slot(s)->limit.places++;
}
static void places_lost(const struct segment *s)
{
    key_slot(s)->limit.places--;
}
static void held_twice(const struct segment *s)
{
    segment_line(s, W)->held[3] = segment_line(s, W)->held[1];
}
static void held_out_of_range(const struct segment *s)
{
    segment_line(s, W)->held[3] = FIXTURE_TABLE + 1;
}
static void held_of_a_series(const struct segment *s)
{
    segment_line(s, W)->held[3] = segment_line(s, W)->refs[1];
}
static void ref_out_of_range(const struct segment *s)
{
    segment_line(s, W)->refs[3] = UINT32_MAX;
}
static void wrong_state(const struct segment *s)
{
    segment_line(s, 100)->state = 17;
}
static void beyond_the_last(const struct segment *s)
{
    segment_line(s, 100)->state = LINE_IDLE;
}
static void free_but_holding(const struct segment *s)
{
    segment_line(s, W)->state = LINE_FREE;
}
static void wrong_intent(const struct segment *s)
{
    segment_line(s, W)->place_intent = 1;
}
static void done_before_begun(const struct segment *s)
{
    segment_line(s, 3)->place_done = 9;
}
static void tail_beyond_head(const struct segment *s)
{
    segment_ring(s, W)->tail = 1;
}
static void ring_overfull(const struct segment *s)
{
    segment_ring(s, W)->head = SHM_RING_ROWS + 1;
}
static void open_far_ahead(const struct segment *s)
{
    segment_line(s, W)->open_row = 5;
}
static void counted_wrong(const struct segment *s)
{
    s->header->table_used++;
}
static void counted_too_few(const struct segment *s)
{
    s->header->table_used--;
}
static void same_identity_twice(const struct segment *s)
{
    struct shm_slot *key = key_slot(s);
    segment_slots(s)[(table_index(s, key) + 1) % FIXTURE_TABLE].id = key->id;
}
static void unreachable(const struct segment *s)
{
    struct shm_slot *key = key_slot(s);
    segment_slots(s)[(table_index(s, key) + FIXTURE_TABLE / 2) % FIXTURE_TABLE].id = key->id;
}
static void behind_an_empty_one(const struct segment *s)
{
    struct shm_slot *key = key_slot(s);
    segment_slots(s)[(table_index(s, key) + 5) % FIXTURE_TABLE].id = key->id;
}
static void no_such_kind(const struct segment *s)
{
    key_slot(s)->id |= 7;
}
static void half_an_identity(const struct segment *s)
{
    struct shm_slot *key = key_slot(s);
    segment_slots(s)[(table_index(s, key) + 5) % FIXTURE_TABLE].half[1] = 5;
}
static void values_without_identity(const struct segment *s)
{
    struct shm_slot *key = key_slot(s);
    segment_slots(s)[(table_index(s, key) + 5) % FIXTURE_TABLE].word[2] = 5;
}

static void broken_invariants_are_found(void **state)
{
    (void)state;
    static change *const changes[] = {
        places_leaked,       places_lost,
        held_twice,          held_out_of_range,
        held_of_a_series,    ref_out_of_range,
        wrong_state,         beyond_the_last,
        free_but_holding,    wrong_intent,
        done_before_begun,   tail_beyond_head,
        ring_overfull,       open_far_ahead,
        counted_wrong,       counted_too_few,
        same_identity_twice, unreachable,
        behind_an_empty_one, no_such_kind,
        half_an_identity,    values_without_identity,
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        void *fixture;
        char *why;
        assert_int_equal(shm_fixture_setup(&fixture), 0);
        const struct segment *s = &((struct shm_fixture *)fixture)->s;
        fill(s);
        if (violations(s, s, &why) != 0)
            fail_msg("before change %zu: %s", i, why);
        free(why);
        changes[i](s);
        if (violations(s, s, &why) == 0)
            fail_msg("change %zu is not found", i);
        assert_true(strlen(why) > 0);
        free(why);
        shm_fixture_teardown(&fixture);
    }
}

/* Operations between and within two snapshots are no violations; what no operation explains is one. */
static void a_living_segment(void **state)
{
    const struct shm_fixture *f = *state;
    char path[128], *why;
    struct segment a, b;
    struct error err;
    snprintf(path, sizeof path, "%s/aigw.shm", f->folder);
    fill(&f->s);
    assert_int_equal(segment_snapshot(&a, path, &err), 0);
    assert_true(dump_is_live(&a));
    places_give(&f->s, W, 1);
    assert_int_equal(segment_snapshot(&b, path, &err), 0);
    /* as if the lines had been read before the operation, the table after it */
    segment_line(&b, W)->held[1] = segment_line(&a, W)->held[1];
    assert_int_equal(violations(&a, &b, &why), 0);
    free(why);
    /* the same word in both: nothing happened that could explain it */
    segment_detach(&a);
    assert_int_equal(segment_snapshot(&a, path, &err), 0);
    assert_int_equal(violations(&a, &b, &why), 1);
    free(why);
    segment_line(&b, W)->place_intent =
        (uint64_t)(segment_line(&b, W)->held[1] - 1) << 44 | UINT64_C(2) << 40 | 2;
    assert_int_equal(violations(&a, &b, &why), 0);
    free(why);
    segment_detach(&a);
    segment_detach(&b);
}

static void another_boot(void **state)
{
    const struct shm_fixture *f = *state;
    fill(&f->s);
    f->s.header->boot_id[0] ^= 1;
    segment_line(&f->s, W)->since_ns = INT64_MAX / 2;
    assert_int_equal(dump_now(&f->s), INT64_MAX / 2);
    assert_false(dump_is_live(&f->s));
}

static void nonsense_is_printed_and_survived(void **state)
{
    const struct shm_fixture *f = *state;
    char *why;
    memset((char *)f->s.header + f->s.header->lines_at, 0xff, f->s.size - f->s.header->lines_at);
    f->s.header->slots_used = UINT32_MAX;
    char *t = printed(dump_text, &f->s);
    assert_non_null(strstr(t, "invalid"));
    free(t);
    t = printed(dump_json, &f->s);
    struct json_object *o = json_tokener_parse(t);
    assert_non_null(o);
    json_object_put(o);
    free(t);
    assert_true(violations(&f->s, &f->s, &why) > 1000);
    assert_true(strlen(why) < 20000); /* enough is enough */
    free(why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(text),
        SHM_TEST(json),
        cmocka_unit_test(broken_invariants_are_found),
        SHM_TEST(a_living_segment),
        SHM_TEST(another_boot),
        SHM_TEST(nonsense_is_printed_and_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

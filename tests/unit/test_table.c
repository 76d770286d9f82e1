/* The table: identities, claiming, the bounds, eviction. Concurrency is tested in tests/conc/test_table.c. */
#include "shm_fixture.h"
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define IDLE INT64_C(1000)

static unsigned __int128 id_of(const struct segment *s, enum table_kind kind, unsigned n)
{
    char name[32];
    snprintf(name, sizeof name, "name-%u", n);
    return table_id(s, kind, str_of(name));
}

/* An identity with a chosen home. */
static unsigned __int128 id_at(unsigned home, unsigned n)
{
    return (unsigned __int128)home << 64 | (uint64_t)n << 8 | TABLE_KEY;
}

static struct shm_slot *get(const struct segment *s, unsigned __int128 id)
{
    struct shm_line *l = segment_line(s, SLOT_WORKER0);
    struct shm_slot *slot = table_get(s, l, 0, id);
    table_release(l, 0);
    return slot;
}

static void identities(void **state)
{
    const struct shm_fixture *f = *state;
    unsigned __int128 key = table_id(&f->s, TABLE_KEY, STR("a"));
    assert_true(key == table_id(&f->s, TABLE_KEY, STR("a")));
    assert_false(key == table_id(&f->s, TABLE_TEAM, STR("a")));
    assert_false(key == table_id(&f->s, TABLE_KEY, STR("b")));
    assert_int_equal((uint64_t)key & TABLE_KIND_MASK, TABLE_KEY);
    /* the key and the team of one name differ in more than the kind */
    assert_false(key >> 3 == table_id(&f->s, TABLE_TEAM, STR("a")) >> 3);
    assert_int_equal((uint64_t)table_id(&f->s, TABLE_MODEL, STR_NULL) & TABLE_KIND_MASK, TABLE_MODEL);
}

static void one_slot_for_each_identity(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_slot *slots[FIXTURE_TABLE / 2];
    for (unsigned i = 0; i < FIXTURE_TABLE / 2; i++) {
        slots[i] = get(&f->s, id_of(&f->s, TABLE_KEY, i));
        assert_non_null(slots[i]);
        for (unsigned w = 0; w < 6; w++)
            assert_int_equal(slots[i]->word[w], 0);
        slots[i]->word[5] = i + 1;
    }
    for (unsigned i = 0; i < FIXTURE_TABLE / 2; i++) {
        assert_ptr_equal(get(&f->s, id_of(&f->s, TABLE_KEY, i)), slots[i]);
        assert_int_equal(slots[i]->word[5], i + 1);
        assert_ptr_equal(table_peek(&f->s, id_of(&f->s, TABLE_KEY, i)), slots[i]);
    }
    assert_int_equal(f->s.header->table_used, FIXTURE_TABLE / 2);
}

static void half_full_refuses_new_ones_only(void **state)
{
    const struct shm_fixture *f = *state;
    for (unsigned i = 0; i < FIXTURE_TABLE / 2; i++)
        assert_non_null(get(&f->s, id_of(&f->s, TABLE_KEY, i)));
    assert_null(get(&f->s, id_of(&f->s, TABLE_KEY, 999999)));
    assert_null(table_peek(&f->s, id_of(&f->s, TABLE_KEY, 999999)));
    assert_non_null(get(&f->s, id_of(&f->s, TABLE_KEY, 7)));
}

static void chains_end_after_the_probes(void **state)
{
    const struct shm_fixture *f = *state;
    const unsigned home = FIXTURE_TABLE - 3; /* the chain goes on at the table's start */
    for (unsigned i = 0; i < SHM_PROBES; i++) {
        struct shm_slot *slot = get(&f->s, id_at(home, i));
        assert_non_null(slot);
        assert_int_equal(table_index(&f->s, slot), (home + i) % FIXTURE_TABLE);
    }
    assert_null(get(&f->s, id_at(home, SHM_PROBES)));
    assert_non_null(get(&f->s, id_at(home + 1, SHM_PROBES)));
}

static void references(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_line *l = segment_line(&f->s, 20);
    struct shm_slot *a = table_get(&f->s, l, 2, id_of(&f->s, TABLE_KEY, 1));
    assert_int_equal(l->refs[2], table_index(&f->s, a) + 1);
    assert_int_equal(l->inserting, 0);
    table_release(l, 2);
    assert_int_equal(l->refs[2], 0);
    assert_ptr_equal(table_get(&f->s, l, 3, id_of(&f->s, TABLE_KEY, 1)), a);
    assert_int_equal(l->refs[3], table_index(&f->s, a) + 1);
    assert_null(table_get(&f->s, l, LINE_REFS, id_of(&f->s, TABLE_KEY, 1)));
    assert_null(table_get(&f->s, l, 0, SHM_ID_EMPTY));
    assert_null(table_get(&f->s, l, 0, SHM_ID_EVICTED));
    table_release(l, LINE_REFS);
}

static void only_idle_limiters_are_evicted(void **state)
{
    const struct shm_fixture *f = *state;
    static const struct {
        enum table_kind kind;
        unsigned word; /* set to value, 6: none */
        uint64_t value;
        unsigned refs; /* 1: referred to, 2: held, 3: in an intent */
        uint32_t evicted;
    } cases[] = {
        {TABLE_KEY, 6, 0, 0, 1},      {TABLE_TEAM, 6, 0, 0, 1},       {TABLE_MODEL, 6, 0, 0, 1},
        {TABLE_PROVIDER, 6, 0, 0, 0}, {TABLE_SERIES, 6, 0, 0, 0},     {TABLE_KEY, 0, 10001, 0, 0},
        {TABLE_KEY, 1, 10001, 0, 0},  {TABLE_KEY, 2, 10001, 0, 0},    {TABLE_KEY, 0, 10000, 0, 1},
        {TABLE_KEY, 3, 1, 0, 0},      {TABLE_KEY, 3, 0xfff000, 0, 1}, {TABLE_KEY, 4, 9001, 0, 0},
        {TABLE_KEY, 4, 9000, 0, 1},   {TABLE_KEY, 5, 1 << 20, 0, 1},  {TABLE_KEY, 6, 0, 1, 0},
        {TABLE_KEY, 6, 0, 2, 0},      {TABLE_KEY, 6, 0, 3, 0},
    };
    f->s.header->slots_used = 100;
    struct shm_line *l = segment_line(&f->s, 50);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned __int128 id = id_of(&f->s, cases[i].kind, i);
        struct shm_slot *slot = get(&f->s, id);
        if (cases[i].word < 6)
            slot->word[cases[i].word] = cases[i].value;
        l->refs[1] = cases[i].refs == 1 ? table_index(&f->s, slot) + 1 : 0;
        l->held[3] = cases[i].refs == 2 ? table_index(&f->s, slot) + 1 : 0;
        l->place_intent =
            cases[i].refs == 3 ? (uint64_t)table_index(&f->s, slot) << 44 | UINT64_C(1) << 40 : 0;
        uint32_t before = f->s.header->table_used;
        uint32_t n = table_evict_idle(&f->s, 10000, IDLE);
        if (n != cases[i].evicted)
            fail_msg("case %u: %u evicted", i, n);
        assert_int_equal(f->s.header->table_used, before - n);
        if (n == 0)
            assert_ptr_equal(table_peek(&f->s, id), slot);
        else
            assert_null(table_peek(&f->s, id));
        if (cases[i].word < 6 && n == 0)
            assert_int_equal(slot->word[cases[i].word], cases[i].value);
        /* out of the way of the next case */
        l->refs[1] = l->held[3] = 0;
        l->place_intent = 0;
        if (n == 0 && cases[i].kind <= TABLE_MODEL) {
            for (unsigned w = 0; w < 6; w++)
                slot->word[w] = 0;
            assert_int_equal(table_evict_idle(&f->s, 10000, IDLE), 1);
        }
    }
    assert_int_equal(f->s.header->insert_gate, 0);
}

static void an_evicted_slot_keeps_the_chain(void **state)
{
    const struct shm_fixture *f = *state;
    struct shm_slot *slots[5];
    for (unsigned i = 0; i < 5; i++) {
        slots[i] = get(&f->s, id_at(30, i));
        slots[i]->limit.used_ns = i == 1 || i == 4 ? 0 : 10000;
        slots[i]->limit.refused = 77;
    }
    assert_int_equal(table_evict_idle(&f->s, 10000, IDLE), 2);
    assert_true(slots[1]->id == SHM_ID_EVICTED); /* the chain goes on behind it */
    assert_true(slots[4]->id == SHM_ID_EMPTY);   /* it was the last one */
    assert_ptr_equal(get(&f->s, id_at(30, 3)), slots[3]);
    assert_int_equal(f->s.header->table_used, 3);
    /* a new identity takes the first claimable slot, with its words cleared; no identity gets a second one */
    assert_ptr_equal(get(&f->s, id_at(30, 9)), slots[1]);
    assert_int_equal(slots[1]->limit.refused, 0);
    assert_ptr_equal(get(&f->s, id_at(30, 3)), slots[3]);
    assert_ptr_equal(get(&f->s, id_at(30, 4)), slots[4]);
    assert_int_equal(f->s.header->table_used, 5);
}

static void the_gate_waits_for_nobody_forever(void **state)
{
    const struct shm_fixture *f = *state;
    f->s.header->slots_used = 100;
    get(&f->s, id_of(&f->s, TABLE_KEY, 1));
    segment_line(&f->s, 60)->inserting = 1; /* stopped in the middle of it */
    assert_int_equal(table_evict_idle(&f->s, 10000, IDLE), 0);
    assert_int_equal(f->s.header->insert_gate, 0);
    segment_line(&f->s, 60)->inserting = 0;
    f->s.header->insert_gate = 1; /* a master that evicts */
    assert_non_null(get(&f->s, id_of(&f->s, TABLE_KEY, 1)));
    assert_null(get(&f->s, id_of(&f->s, TABLE_KEY, 2)));
    f->s.header->insert_gate = 0;
    assert_non_null(get(&f->s, id_of(&f->s, TABLE_KEY, 2)));
}

static void a_wrong_count_is_put_right(void **state)
{
    const struct shm_fixture *f = *state;
    for (unsigned i = 0; i < 10; i++)
        get(&f->s, id_of(&f->s, TABLE_PROVIDER, i));
    f->s.header->table_used = 3;
    table_recount(&f->s);
    assert_int_equal(f->s.header->table_used, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(identities),
        SHM_TEST(one_slot_for_each_identity),
        SHM_TEST(half_full_refuses_new_ones_only),
        SHM_TEST(chains_end_after_the_probes),
        SHM_TEST(references),
        SHM_TEST(only_idle_limiters_are_evicted),
        SHM_TEST(an_evicted_slot_keeps_the_chain),
        SHM_TEST(the_gate_waits_for_nobody_forever),
        SHM_TEST(a_wrong_count_is_put_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

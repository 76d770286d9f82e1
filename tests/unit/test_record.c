/* Usage rows: when there is one, what stands in it, where it goes. */
#include "pipeline_fixture.h"
#include "price.h"
#include "ring.h"
#include "table.h"

static struct request r;
static struct http_head head;

static void prepare(struct fixture *f, const char *path)
{
    static char text[256];
    close(f->peer);
    fixture_peer(f);
    arena_reset(&f->worker.arena);
    int n = snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nhost: a\r\n\r\n", path);
    fixture_serve_head(f, &r, &head, (struct str){text, (size_t)n});
    str_copy(r.key.id, sizeof(r.key.id), STR("key_1"));
    str_copy(r.key.team, sizeof(r.key.team), STR("blue"));
    str_copy(r.team.department, sizeof(r.team.department), STR("research"));
    r.authenticated = true;
    r.model = STR("small");
    r.route = &f->conf.models[0];
    r.targets[0].model = STR("tiny");
    r.n_targets = 1;
}

static void called(int status, uint64_t input, uint64_t output)
{
    r.upstream_called = true;
    r.provider = 0;
    r.attempts = 1;
    r.target_model = STR("tiny");
    r.status = status;
    r.tokens = (struct usage_tokens){.input = input, .output = output};
}

static const struct usage_row *row(struct fixture *f, uint64_t n)
{
    return ring_peek(&f->worker.segment, f->worker.slot, n);
}

static void a_row_says_what_happened(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions");
    r.stream = true;
    assert_int_equal(request_record_begin(&r), STEP_NEXT);
    assert_true(atomic_load(&f->worker.line->open_row) == 1);
    assert_true(r.row->flags & USAGE_COST_UNKNOWN); /* if we died now */
    called(200, 30, 5);
    request_record_progress(&r);
    assert_int_equal(atomic_load(&f->worker.line->run_input), 30);
    assert_int_equal(atomic_load(&f->worker.line->run_output), 5);
    r.first_byte_ns = r.start_ns + 2 * NS_PER_MS;
    r.upstream_ns = NS_PER_MS;
    answer_whole(&r, 200, "application/json", STR("{}"));
    assert_non_null(strstr(peer_reads(f).p, "\r\nx-aigw-cost-usd: 0.000000008\r\n"));
    request_record(&r);
    const struct usage_row *u = row(f, 0);
    assert_non_null(u);
    assert_null(row(f, 1)); /* once */
    assert_string_equal(u->request_id, "req-1");
    assert_string_equal(u->key_id, "key_1");
    assert_string_equal(u->team, "blue");
    assert_string_equal(u->department, "research");
    assert_string_equal(u->model, "small");
    assert_string_equal(u->target, "tiny");
    assert_string_equal(u->provider, "one");
    assert_int_equal(u->status, 200);
    assert_int_equal(u->endpoint, EP_CHAT);
    assert_int_equal(u->attempts, 1);
    assert_int_equal(u->flags, USAGE_STREAMED);
    assert_int_equal(u->tokens.input, 30);
    assert_int_equal(u->tokens.output, 5);
    assert_int_equal(u->cost_pico, 30 * 100 + 5 * 1000);
    assert_int_equal(u->ttft_us, 2000);
    assert_int_equal(u->upstream_us, 1000);
    assert_int_equal(u->time_us, r.start_us);
    assert_int_equal(atomic_load(&f->worker.line->open_row), 0);
}

static void costs(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *path;
        int status;
        uint64_t input, output;
        bool priced, hit, unknown;
        uint64_t pico;
    } cases[] = {
        {"/v1/chat/completions", 200, 10, 1, true, false, false, 2000},
        {"/v1/chat/completions", 200, 10, 1, false, false, true, 0},
        {"/v1/chat/completions", 502, 0, 0, false, false, false, 0},
        {"/v1/chat/completions", 502, 0, 1, true, false, false, 1000},
        {"/v1/chat/completions", 200, 10, 1, true, true, false, 0},
        {"/v1/images/generations", 200, 0, 0, true, false, true, 0},
        {"/v1/files", 200, 0, 0, false, false, false, 0},
        {"/v1/batches", 200, 0, 0, false, false, true, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        prepare(f, cases[i].path);
        if (!cases[i].priced)
            r.route = &f->conf.models[1];
        if (cases[i].hit) {
            r.cache = CACHE_HIT;
        } else {
            assert_int_equal(request_record_begin(&r), STEP_NEXT);
            called(cases[i].status, cases[i].input, cases[i].output);
        }
        r.status = cases[i].status;
        request_record(&r);
        const struct usage_row *u = row(f, i);
        assert_non_null(u);
        if (u->cost_pico != cases[i].pico || !!(u->flags & USAGE_COST_UNKNOWN) != cases[i].unknown)
            fail_msg("case %zu: %llu, flags %x", i, (unsigned long long)u->cost_pico, u->flags);
        assert_int_equal(!!(u->flags & USAGE_CACHE_HIT), cases[i].hit);
        ring_set_tail(&f->worker.segment, f->worker.slot, i + 1);
    }
    assert_int_equal(counted(&f->worker.metrics->cost_pico_usd_total), 3000);
    assert_int_equal(counted(&f->worker.metrics->cost_unknown_total), 3);
}

static void no_row_without_a_call(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions");
    answer_error(&r, 429, NULL, "no");
    request_record(&r);
    prepare(f, "/v1/chat/completions");
    assert_int_equal(request_record_begin(&r), STEP_NEXT);
    answer_error(&r, 502, NULL, "not connected");
    request_record(&r);
    assert_null(row(f, 0));
    assert_int_equal(atomic_load(&f->worker.line->open_row), 0);
    assert_int_equal(counted(&f->worker.metrics->requests_total), 2);
    assert_int_equal(counted(&f->worker.metrics->requests_4xx_total), 1);
    assert_int_equal(counted(&f->worker.metrics->requests_5xx_total), 1);
}

static void a_full_store_refuses_by_policy(void **state)
{
    struct fixture *f = *state;
    atomic_store(&f->worker.segment.header->store_full, 1);
    prepare(f, "/v1/chat/completions");
    assert_int_equal(request_record_begin(&r), STEP_DONE);
    assert_true(str_starts(peer_reads(f), STR("HTTP/1.1 503 ")));
    assert_int_equal(counted(&f->worker.metrics->store_full_total), 1);
    f->conf.ledger.serve_when_full = true;
    prepare(f, "/v1/chat/completions");
    assert_int_equal(request_record_begin(&r), STEP_NEXT);
    called(200, 1, 1);
    request_record(&r);
    assert_non_null(row(f, 0));
}

/* Nobody empties the ring: the ninth row goes to the spill file, and none before it is touched. */
static void a_full_ring_spills(void **state)
{
    struct fixture *f = *state;
    char path[128], text[160];
    for (unsigned i = 0; i < SHM_RING_ROWS + 1; i++) {
        prepare(f, "/v1/chat/completions");
        assert_int_equal(request_record_begin(&r), STEP_NEXT);
        assert_int_equal(r.row_spills, i == SHM_RING_ROWS);
        called(200, 100 + i, 1);
        request_record(&r);
    }
    for (unsigned i = 0; i < SHM_RING_ROWS; i++)
        assert_int_equal(row(f, i)->tokens.input, 100 + i);
    assert_int_equal(ring_head(&f->worker.segment, f->worker.slot), SHM_RING_ROWS);
    snprintf(path, sizeof(path), "%s/store/spill", f->folder);
    snprintf(text, sizeof(text), "test -n \"$(ls -A %s)\"", path);
    assert_int_equal(system(text), 0);
}

static void series_are_counted(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions");
    request_record_begin(&r);
    called(500, 7, 3);
    request_record(&r);
    const struct segment *g = &f->worker.segment;
    const struct shm_slot *s = table_peek(g, table_id(g, TABLE_SERIES, STR("one\nsmall")));
    assert_non_null(s);
    assert_int_equal(atomic_load(&s->series.requests), 1);
    assert_int_equal(atomic_load(&s->series.errors), 1);
    assert_int_equal(atomic_load(&s->series.input), 7);
    assert_int_equal(atomic_load(&s->series.output), 3);
    assert_int_equal(atomic_load(&s->series.cost_pico), 3700);
    assert_int_equal(counted(&f->worker.metrics->tokens_input_total), 7);
    assert_int_equal(counted(&f->worker.metrics->tokens_output_total), 3);
    assert_int_equal(atomic_load(&f->worker.line->requests), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)
    const struct CMUnitTest tests[] = {
        CASE(a_row_says_what_happened), CASE(costs),
        CASE(no_row_without_a_call),    CASE(a_full_store_refuses_by_policy),
        CASE(a_full_ring_spills),       CASE(series_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

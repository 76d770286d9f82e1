/* What is reserved before a call and what comes back after it. Minutes are long against this test, so what
 * refills while it runs is nothing. */
#include "pipeline_fixture.h"
#include "places.h"
#include "table.h"

static struct request r;
static struct http_head head;

/* A request of a key with these limits, ready to be admitted. */
static void prepare(struct fixture *f, struct key_limits key, struct key_limits team, uint64_t prompt,
                    uint64_t output)
{
    close(f->peer);
    fixture_peer(f);
    arena_reset(&f->worker.arena);
    fixture_serve_head(f, &r, &head, STR("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n\r\n"));
    str_copy(r.key.id, sizeof(r.key.id), STR("key_1"));
    str_copy(r.key.team, sizeof(r.key.team), STR("blue"));
    r.key.limits = key;
    r.team.limits = team;
    r.prompt_estimate = prompt;
    r.output_estimate = output;
}

static const struct key_limits none = {0};

/* The provider answered so, having used so many tokens. */
static void end(int status, uint64_t used)
{
    r.upstream_called = r.upstream_answered = true;
    r.status = status;
    r.tokens.input = used;
    request_settle(&r);
}

static void without_limits_the_table_stays_empty(void **state)
{
    struct fixture *f = *state;
    prepare(f, none, none, 10, 10);
    assert_int_equal(request_admit(&r), STEP_NEXT);
    assert_null(r.by_key.slot);
    end(200, 5);
    assert_int_equal(atomic_load(&f->worker.segment.header->table_used), 0);
}

static void request_limit(void **state)
{
    struct fixture *f = *state;
    const struct key_limits two = {.rpm = 2};
    for (unsigned i = 0; i < 2; i++) {
        prepare(f, two, none, 1, 1);
        assert_int_equal(request_admit(&r), STEP_NEXT);
        assert_int_equal(r.by_key.rpm_seen.remaining, 1 - i);
        end(200, 1);
    }
    prepare(f, two, none, 1, 1);
    assert_int_equal(request_admit(&r), STEP_DONE);
    struct str got = peer_reads(f);
    assert_true(str_starts(got, STR("HTTP/1.1 429 ")));
    assert_non_null(strstr(got.p, "\"type\":\"requests\""));
    assert_non_null(strstr(got.p, "\"code\":\"rate_limit_exceeded\""));
    assert_non_null(strstr(got.p, "\r\nretry-after: 30\r\n"));
    assert_non_null(strstr(got.p, "\r\nx-ratelimit-remaining-requests: 0\r\n"));
    assert_int_equal(counted(&f->worker.metrics->limited_requests_total), 1);
    assert_int_equal(atomic_load(&f->worker.line->refs[0]), 0);
}

static void what_gives_the_request_back(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        int status;
        uint64_t used;
        bool called, hit, gone;
        uint64_t requests, tokens; /* remaining of 10 and 6000 afterwards */
    } cases[] = {
        {"no provider called", 502, 0, false, false, false, 10, 6000},
        {"provider failed", 502, 0, true, false, false, 10, 6000},
        {"provider was limited itself", 429, 0, true, false, false, 10, 6000},
        {"nothing came", 0, 0, true, false, false, 10, 6000},
        {"failed after some tokens", 502, 40, true, false, false, 9, 5960},
        {"success below the estimate", 200, 40, true, false, false, 9, 5960},
        {"success above the estimate", 200, 400, true, false, false, 9, 5600},
        {"the caller's fault", 400, 0, true, false, false, 9, 6000},
        {"cache hit", 200, 0, false, true, false, 9, 6000},
        {"client left", 200, 30, true, false, true, 9, 5970},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        prepare(f, (struct key_limits){.rpm = 10, .tpm = 6000}, none, 60, 140);
        snprintf(r.key.id, sizeof(r.key.id), "key_%zu", i);
        assert_int_equal(request_admit(&r), STEP_NEXT);
        assert_in_range(r.by_key.tpm_seen.remaining, 5800, 5801);
        struct shm_slot *s = r.by_key.slot;
        r.upstream_called = cases[i].called;
        r.cache = cases[i].hit ? CACHE_HIT : CACHE_MISS;
        r.client->gone = cases[i].gone;
        r.status = cases[i].status;
        r.tokens.output = cases[i].used;
        request_settle(&r);
        request_settle(&r); /* once only */
        int64_t now = clock_mono_ns();
        uint64_t requests = limit_check(&s->limit.rpm_tat, &r.by_key.rpm.limit, 0, now).remaining;
        uint64_t tokens = limit_check(&s->limit.tpm_tat, &r.by_key.tpm.limit, 0, now).remaining;
        /* 100 tokens refill a second: this test is given half of one a case */
        if (requests != cases[i].requests || tokens < cases[i].tokens || tokens > cases[i].tokens + 50)
            fail_msg("%s: %llu requests, %llu tokens remain", cases[i].name, (unsigned long long)requests,
                     (unsigned long long)tokens);
        r.client->gone = false;
    }
}

static void token_limit(void **state)
{
    struct fixture *f = *state;
    const struct key_limits limits = {.tpm = 600, .rpm = 1000};
    prepare(f, limits, none, 100, 400);
    assert_int_equal(request_admit(&r), STEP_NEXT);
    end(200, 500);
    prepare(f, limits, none, 100, 400);
    assert_int_equal(request_admit(&r), STEP_DONE);
    struct str got = peer_reads(f);
    assert_non_null(strstr(got.p, "HTTP/1.1 429 "));
    assert_non_null(strstr(got.p, "\"type\":\"tokens\""));
    assert_non_null(strstr(got.p, "\r\nretry-after: 40\r\n")); /* 400 more at 10 a second */
    assert_int_equal(counted(&f->worker.metrics->limited_tokens_total), 1);
    /* refused by the tokens, it cost no request */
    prepare(f, limits, none, 1, 1);
    assert_int_equal(request_admit(&r), STEP_NEXT);
    assert_int_equal(r.by_key.rpm_seen.remaining, 998);
    end(200, 2);
    /* what never fits is said so */
    prepare(f, limits, none, 1, 600);
    assert_int_equal(request_admit(&r), STEP_DONE);
    got = peer_reads(f);
    assert_non_null(strstr(got.p, "HTTP/1.1 400 "));
    assert_non_null(strstr(got.p, "request_exceeds_token_limit"));
    assert_null(strstr(got.p, "retry-after"));
    assert_int_equal(counted(&f->worker.metrics->limited_too_large_total), 1);
}

static void the_team_counts_too(void **state)
{
    struct fixture *f = *state;
    const struct key_limits key = {.rpm = 10}, team = {.rpd = 1};
    prepare(f, key, team, 1, 1);
    assert_int_equal(request_admit(&r), STEP_NEXT);
    assert_ptr_not_equal(r.by_key.slot, r.by_team.slot);
    end(200, 2);
    prepare(f, key, team, 1, 1);
    assert_int_equal(request_admit(&r), STEP_DONE);
    assert_non_null(strstr(peer_reads(f).p, "per day"));
    prepare(f, key, none, 1, 1);
    assert_int_equal(request_admit(&r), STEP_NEXT);
    assert_int_equal(r.by_key.rpm_seen.remaining, 8); /* the refused one cost the key nothing */
    assert_null(r.by_team.slot);
    end(200, 2);
}

/* Another worker's line, so that several requests are under way at once. */
static struct worker other_worker(struct fixture *f, uint32_t n)
{
    struct worker w = f->worker;
    w.slot = SLOT_WORKER0 + n;
    w.line = segment_line(&w.segment, w.slot);
    scoreboard_enter(&w.segment, w.slot, "worker", 1, clock_mono_ns());
    return w;
}

static void parallel_requests(void **state)
{
    struct fixture *f = *state;
    const struct key_limits key = {.max_parallel = 2}, team = {.max_parallel = 1};
    struct worker w2 = other_worker(f, 1), w3 = other_worker(f, 2);
    struct request a, b;
    prepare(f, key, none, 1, 1);
    assert_int_equal(request_admit(&r), STEP_NEXT);
    a = r;
    prepare(f, key, none, 1, 1);
    r.worker = &w2;
    assert_int_equal(request_admit(&r), STEP_NEXT);
    b = r;
    prepare(f, key, none, 1, 1);
    r.worker = &w3;
    assert_int_equal(request_admit(&r), STEP_DONE);
    struct str got = peer_reads(f);
    assert_non_null(strstr(got.p, "HTTP/1.1 429 "));
    assert_non_null(strstr(got.p, "max_parallel_exceeded"));
    assert_non_null(strstr(got.p, "\r\nretry-after: 1\r\n"));
    assert_int_equal(counted(&f->worker.metrics->limited_parallel_total), 1);
    request_settle(&a);
    prepare(f, key, team, 1, 1);
    r.worker = &w3;
    assert_int_equal(request_admit(&r), STEP_NEXT);
    assert_int_equal(places_count(&r.by_key.slot->limit.places), 2);
    assert_int_equal(places_count(&r.by_team.slot->limit.places), 1);
    struct shm_slot *s = r.by_key.slot;
    request_settle(&b);
    request_settle(&r);
    assert_int_equal(places_count(&s->limit.places), 0);
}

/* Refused by the team's places, the key's place and nothing else is left held. */
static void a_refusal_holds_nothing(void **state)
{
    struct fixture *f = *state;
    const struct key_limits key = {.max_parallel = 5, .rpm = 10}, team = {.max_parallel = 1};
    struct worker w2 = other_worker(f, 1);
    prepare(f, key, team, 1, 1);
    assert_int_equal(request_admit(&r), STEP_NEXT);
    struct request a = r;
    struct shm_slot *s = r.by_key.slot;
    prepare(f, key, team, 1, 1);
    r.worker = &w2;
    assert_int_equal(request_admit(&r), STEP_DONE);
    assert_int_equal(places_count(&s->limit.places), 1);
    assert_int_equal(limit_check(&s->limit.rpm_tat, &a.by_key.rpm.limit, 0, clock_mono_ns()).remaining, 9);
    assert_int_equal(atomic_load(&w2.line->held[0]), 0);
    request_settle(&a);
}

/* Two providers, 8 workers: a hanging one gets half of what the other leaves. */
static void a_provider_gets_its_share(void **state)
{
    struct fixture *f = *state;
    struct worker w[8];
    struct request q[8];
    unsigned held = 0;
    for (uint32_t i = 0; i < 8; i++) {
        w[i] = other_worker(f, i);
        prepare(f, none, none, 1, 1);
        q[i] = r;
        q[i].worker = &w[i];
    }
    for (uint32_t i = 0; i < 8; i++)
        held += admit_provider(&q[i], 0);
    assert_int_equal(held, 4);
    held = 0;
    for (uint32_t i = 4; i < 8; i++)
        held += admit_provider(&q[i], 1);
    assert_int_equal(held, 2);
    assert_int_equal(counted(&f->worker.metrics->provider_full_total), 4 + 2);
    for (uint32_t i = 0; i < 8; i++)
        admit_provider_done(&q[i]);
    f->conf.n_providers = 1; /* an only provider leaves the spare workers */
    for (uint32_t i = 0, n = 0; i < 8; i++) {
        n += admit_provider(&q[i], 0);
        assert_int_equal(n, i < 6 ? i + 1 : 6);
    }
    for (uint32_t i = 0; i < 8; i++)
        request_settle(&q[i]);
    f->conf.providers[0].max_in_flight = 1;
    assert_true(admit_provider(&q[0], 0));
    assert_false(admit_provider(&q[1], 0));
    assert_true(admit_provider(&q[0], 0)); /* another attempt takes no second place */
    request_settle(&q[0]);
    assert_true(admit_provider(&q[1], 0));
    request_settle(&q[1]);
    f->conf.providers[0].max_in_flight = 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)
    const struct CMUnitTest tests[] = {
        CASE(without_limits_the_table_stays_empty),
        CASE(request_limit),
        CASE(what_gives_the_request_back),
        CASE(token_limit),
        CASE(the_team_counts_too),
        CASE(parallel_requests),
        CASE(a_refusal_holds_nothing),
        CASE(a_provider_gets_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

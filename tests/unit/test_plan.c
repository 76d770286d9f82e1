/* Which targets a request gets, and what a restricted key may see and do. */
#include "pattern.h"
#include "pipeline_fixture.h"

static struct request r;
static struct http_head head;

static enum step plan(struct fixture *f, const char *line, const char *model, const char *allowed,
                      const char *extra)
{
    static char text[1024];
    close(f->peer);
    fixture_peer(f);
    arena_reset(&f->worker.arena);
    int n = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nhost: a\r\n%s\r\n", line, extra);
    fixture_serve_head(f, &r, &head, (struct str){text, (size_t)n});
    r.model = str_of(model);
    if (allowed) {
        str_copy(r.key.models[0], MAX_NAME, str_of(allowed));
        r.key.n_models = 1;
    }
    return request_plan(&r);
}

#define CHAT "POST /v1/chat/completions"

static void targets(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line, *model, *allowed, *target; /* target NULL: refused … */
        int provider;                                /* … with this status */
    } cases[] = {
        {CHAT, "small", NULL, "tiny", 0},
        {CHAT, "big-1", NULL, "big-1", 1},
        {CHAT, "big-1", "big-*", "big-1", 1},
        {CHAT, "small", "small", "tiny", 0},
        {CHAT, "small", "big-*", NULL, 403},
        {CHAT, "big-1", "big-2", NULL, 403},
        {CHAT, "nothing", NULL, NULL, 404},
        {CHAT, "nothing", "small", NULL, 404},
        {"POST /v1/responses", "nothing", NULL, NULL, 400},
        {"POST /v1/files", "", NULL, "", 1},
        {"GET /v1/responses/r1", "", NULL, "", 1},
        {"POST /v1/files", "", "small", NULL, 403},
        {"POST /v1/moderations", "big-9", NULL, "big-9", 1},
        {"POST /one/v1/x", "anything", NULL, "anything", 0},
        {"POST /one/v1/x", "anything", "any*", "anything", 0},
        {"POST /one/v1/x", "other", "any*", NULL, 403},
        {"GET /one/v1/x", "", "any*", NULL, 403},
        {"POST /one/v1beta/models/dear:generateContent", "any", "any", NULL, 403},
        {"POST /one/v1beta/%6dodels/dear:generateContent", "any", "any", NULL, 403},
        {"POST /one/model/maker.dear-v1:0/invoke", "any", "any", NULL, 403},
        {"POST /one/openai/Deployments/dear/chat/completions", "any", "any", NULL, 403},
        {"POST /one/v1beta/models/any:generateContent", "any", "any", "any", 0},
        {"POST /one/model/maker.cheap-v1:0/invoke", "", "maker.cheap-v1:0", "maker.cheap-v1:0", 0},
        {"POST /one/model/maker.cheap-v1%3A0/converse", "", NULL, "maker.cheap-v1:0", 0},
        {"POST /one/v1/things", "", NULL, "", 0},
        {"GET /one/v1/engines/any", "", "any", NULL, 403},
        {"GET /three/v1/x", "", NULL, NULL, 404},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum step s = plan(f, cases[i].line, cases[i].model, cases[i].allowed, "");
        if (cases[i].target) {
            if (s != STEP_NEXT || r.n_targets != 1 || r.targets[0].provider != cases[i].provider ||
                !str_eq(r.targets[0].model, str_of(cases[i].target)))
                fail_msg("case %zu: %s", i, peer_reads(f).p);
        } else if (s != STEP_DONE || r.status != cases[i].provider) {
            fail_msg("case %zu: status %d", i, r.status);
        }
    }
    assert_int_equal(counted(&f->worker.metrics->auth_forbidden_total), 10);
}

/* Whoever may name any model of a provider may not name another account's. */
static void names_do_not_lead_elsewhere(void **state)
{
    static const struct {
        const char *configured, *model;
        enum step step;
    } cases[] = {
        {"*", "gemini-2.5-pro", STEP_NEXT},
        {"*", "publishers/google/models/g", STEP_NEXT},
        {"*", "projects/x/locations/y/publishers/google/models/z", STEP_DONE},
        {"*", "arn:aws:bedrock:us-east-1:1:provisioned-model/x", STEP_DONE},
        {"projects/x/*", "projects/x/locations/y/endpoints/1", STEP_NEXT},
    };
    struct fixture *f = *state;
    const struct config *before = f->worker.config;
    struct conf_model model = {.targets = {{.provider = 1, .model = "*"}}, .n_targets = 1};
    struct config c = *before;
    c.models = &model;
    c.n_models = 1;
    f->worker.config = &c;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        model.name = cases[i].configured;
        if (plan(f, CHAT, cases[i].model, NULL, "") != cases[i].step)
            fail_msg("case %zu: status %d", i, r.status);
        assert_int_equal(r.status, cases[i].step == STEP_DONE ? 404 : 0);
    }
    f->worker.config = before;
}

static void a_name_too_long_for_its_record_is_unknown(void **state)
{
    struct fixture *f = *state;
    char name[200] = "big-";
    memset(name + 4, 'x', 150);
    assert_int_equal(plan(f, CHAT, name, NULL, ""), STEP_DONE);
    assert_int_equal(r.status, 404);
    assert_non_null(strstr(peer_reads(f).p, "\"code\":\"model_not_found\""));
    name[MAX_NAME - 1] = '\0';
    assert_int_equal(plan(f, CHAT, name, NULL, ""), STEP_NEXT);
}

static void listing(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *allowed;
        bool small, big;
    } cases[] = {
        {NULL, true, true},  {"small", true, false}, {"big-7", false, true},
        {"b*", false, true}, {"*", true, true},      {"none", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(plan(f, "GET /v1/models", "", cases[i].allowed, ""), STEP_DONE);
        struct str got = peer_reads(f);
        assert_non_null(strstr(got.p, "{\"object\":\"list\",\"data\":["));
        assert_int_equal(strstr(got.p, "{\"id\":\"small\",\"object\":\"model\",\"created\":") != NULL,
                         cases[i].small);
        assert_int_equal(strstr(got.p, "\"id\":\"big-*\"") != NULL, cases[i].big);
    }
}

static void one_model(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line, *allowed;
        int status;
    } cases[] = {
        {"GET /v1/models/small", NULL, 200},    {"GET /v1/models/sm%61ll", NULL, 200},
        {"GET /v1/models/big-1", NULL, 200},    {"GET /v1/models/big-*", NULL, 200},
        {"GET /v1/models/none", NULL, 404},     {"GET /v1/models/small", "big-*", 404},
        {"GET /v1/models/big-1", "big-2", 404}, {"GET /v1/models/big-2", "big-2", 200},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(plan(f, cases[i].line, "", cases[i].allowed, ""), STEP_DONE);
        if (r.status != cases[i].status)
            fail_msg("case %zu: %d", i, r.status);
    }
    assert_int_equal(plan(f, "GET /v1/models/big-1", "", NULL, ""), STEP_DONE);
    assert_non_null(strstr(peer_reads(f).p, "{\"id\":\"big-1\",\"object\":\"model\",\"created\":"));
}

static void timeouts(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(plan(f, CHAT, "small", NULL, "x-aigw-timeout-ms: 250\r\n"), STEP_NEXT);
    assert_int_equal(r.deadline_ns - r.start_ns, 250 * NS_PER_MS);
    assert_int_equal(plan(f, CHAT, "small", NULL, ""), STEP_NEXT);
    assert_int_equal(r.deadline_ns, 0);
    static const char *const bad[] = {"0", "-1", "1.5", "1s", "99999999999999999999", "86400001"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "x-aigw-timeout-ms: %s\r\n", bad[i]);
        assert_int_equal(plan(f, CHAT, "small", NULL, line), STEP_DONE);
        assert_int_equal(r.status, 400);
    }
}

static void a_credential_in_the_query_stays_here(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *query, *passed;
    } cases[] = {
        {"key=secret", ""},
        {"alt=sse&key=secret", "alt=sse"},
        {"key=secret&alt=sse&key=again", "alt=sse"},
        {"monkey=1&a=key=2", "monkey=1&a=key=2"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "POST /one/v1beta/x?%s", cases[i].query);
        assert_int_equal(plan(f, line, "m", NULL, ""), STEP_NEXT);
        if (!str_eq(head.query, str_of(cases[i].passed)))
            fail_msg("%s: " STR_FMT, cases[i].query, STR_ARG(head.query));
    }
}

static void patterns(void **state)
{
    (void)state;
    assert_true(pattern_match(STR("a"), STR("a")));
    assert_false(pattern_match(STR("a"), STR("ab")));
    assert_true(pattern_match(STR("a*"), STR("a")));
    assert_true(pattern_match(STR("*"), STR_NULL));
    assert_false(pattern_match(STR_NULL, STR("a")));
    assert_true(patterns_meet(STR("gpt-*"), STR("gpt-4*")));
    assert_true(patterns_meet(STR("gpt-4*"), STR("gpt-*")));
    assert_false(patterns_meet(STR("gpt-4*"), STR("gpt-3*")));
    assert_true(patterns_meet(STR("gpt-4o"), STR("gpt-*")));
    assert_false(patterns_meet(STR("gpt-4o"), STR("gpt-4")));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)
    const struct CMUnitTest tests[] = {
        CASE(targets),
        CASE(a_name_too_long_for_its_record_is_unknown),
        CASE(listing),
        CASE(one_model),
        CASE(a_credential_in_the_query_stays_here),
        CASE(timeouts),
        CASE(names_do_not_lead_elsewhere),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

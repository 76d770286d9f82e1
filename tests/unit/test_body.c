/* What is found in bodies, what is refused in them, and what they are estimated to cost. */
#include "estimate.h"
#include "multipart.h"
#include "pipeline_fixture.h"

static struct request r;
static struct http_head head;

static enum step read_body(struct fixture *f, const char *target, const char *type, const char *body)
{
    static char text[65536];
    close(f->peer);
    fixture_peer(f);
    int n = snprintf(text, sizeof(text),
                     "POST %s HTTP/1.1\r\nhost: a\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n%s",
                     target, type, strlen(body), body);
    arena_reset(&f->worker.arena);
    fixture_serve_head(f, &r, &head, (struct str){text, (size_t)n});
    return request_read_body(&r);
}

#define JSON "application/json"
#define CHAT "/v1/chat/completions"
#define MSGS "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void members_are_found(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *target, *body, *model;
        bool stream, usage;
        uint64_t output;
    } cases[] = {
        {CHAT, "{\"model\":\"small\"," MSGS "}", "small", false, false, 1000},
        {CHAT, "{\"mod\\u0065l\":\"sm\\u0061ll\"," MSGS "}", "small", false, false, 1000},
        {CHAT, "{\"model\":\"m\",\"stream\":true,\"max_tokens\":50," MSGS "}", "m", true, false, 50},
        {CHAT, "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," MSGS "}", "m",
         true, true, 1000},
        {CHAT, "{\"model\":\"m\",\"n\":3,\"max_tokens\":5,\"max_completion_tokens\":7," MSGS "}", "m", false,
         false, 21},
        {CHAT, "{\"model\":\"m\",\"n\":null,\"stream\":null,\"max_tokens\":null," MSGS "}", "m", false, false,
         1000},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":0}", "m", false, false, 0},
        {"/v1/responses", "{\"model\":\"m\",\"input\":\"x\",\"max_output_tokens\":16}", "m", false, false,
         16},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":[1,2]}", "m", false, false, 0},
        {"/v1/moderations", "{\"input\":\"x\"}", "", false, false, 0},
        {"/v1/images/generations", "{\"prompt\":\"x\",\"n\":2}", "", false, false, 0},
        {"/two/v1/messages", "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true}", "m", true, false, 9},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":9,\"best_of\":5,\"n\":2}", "m",
         false, false, 45},
        /* the largest of what bounds the answer counts, in each spelling */
        {CHAT, "{\"model\":\"m\",\"max_tokens\":900,\"max_output_tokens\":1," MSGS "}", "m", false, false,
         900},
        {"/v1beta/models/m:generateContent",
         "{\"contents\":[{}],\"generationConfig\":{\"max_output_tokens\":700,\"candidate_count\":2},"
         "\"generation_config\":{\"maxOutputTokens\":1}}",
         "m", false, false, 1400},
        {"/v1beta/models/m:generateContent",
         "{\"contents\":[{}],\"generationConfig\":{\"maxOutputTokens\":\"700\",\"candidateCount\":2.0}}", "m",
         false, false, 1400},
        {"/v1beta/models/m:generateContent",
         "{\"contents\":[{}],\"generation_config\":{\"candidateCount\":4,\"max_output_tokens\":6},"
         "\"max_tokens\":5}",
         "m", false, false, 24},
        {"/two/v1/other", "{\"model\":7,\"n\":\"many\",\"stream\":\"yes\"}", "", false, false, 1000},
        {"/two/v1/other", "[1,2,3]", "", false, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_body(f, cases[i].target, JSON, cases[i].body) != STEP_NEXT)
            fail_msg("case %zu: %s", i, peer_reads(f).p);
        if (!str_eq(r.model, str_of(cases[i].model)) || r.stream != cases[i].stream ||
            r.wants_usage != cases[i].usage || r.output_estimate != cases[i].output)
            fail_msg("case %zu: model \"" STR_FMT "\" stream %d usage %d output %llu", i, STR_ARG(r.model),
                     r.stream, r.wants_usage, (unsigned long long)r.output_estimate);
        assert_int_equal(r.prompt_estimate, (strlen(cases[i].body) + 3) / 4);
        assert_true(str_eq(r.body, str_of(cases[i].body)));
    }
}

static void faults_are_named(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *target, *body, *says; /* in the error object */
    } cases[] = {
        {CHAT, "", "JSON"},
        {CHAT, "[]", "JSON"},
        {CHAT, "{\"model\":\"m\"," MSGS "} x", "JSON"},
        {CHAT, "{\"model\":\"m\",\"model\":\"n\"," MSGS "}", "JSON"},
        {CHAT, "{\"model\":\"\xff\"," MSGS "}", "JSON"},
        {CHAT, "{" MSGS "}", "A model must be named"},
        {CHAT, "{\"model\":null," MSGS "}", "A model must be named"},
        {CHAT, "{\"model\":\"\"," MSGS "}", "\"param\":\"model\""},
        {CHAT, "{\"model\":4," MSGS "}", "\"param\":\"model\""},
        {CHAT, "{\"model\":\"a\\u0000b\"," MSGS "}", "\"param\":\"model\""},
        {CHAT, "{\"model\":\"a\\r\\nx: y\"," MSGS "}", "\"param\":\"model\""},
        {CHAT, "{\"model\":\"m\",\"stream\":\"true\"," MSGS "}", "\"param\":\"stream\""},
        {CHAT, "{\"model\":\"m\",\"stream\":1," MSGS "}", "\"param\":\"stream\""},
        {CHAT, "{\"model\":\"m\",\"stream_options\":{}," MSGS "}", "\"param\":\"stream_options\""},
        {CHAT, "{\"model\":\"m\",\"stream\":true,\"stream_options\":[]," MSGS "}",
         "\"param\":\"stream_options\""},
        {CHAT, "{\"model\":\"m\",\"n\":0," MSGS "}", "integer_below_min_value"},
        {CHAT, "{\"model\":\"m\",\"n\":129," MSGS "}", "integer_above_max_value"},
        {CHAT, "{\"model\":\"m\",\"n\":1.5," MSGS "}", "\"param\":\"n\""},
        {CHAT, "{\"model\":\"m\",\"max_tokens\":-1," MSGS "}", "integer_below_min_value"},
        {CHAT, "{\"model\":\"m\",\"max_tokens\":99999999999999999999," MSGS "}", "\"param\":\"max_tokens\""},
        {CHAT, "{\"model\":\"m\"}", "missing_required_parameter"},
        {CHAT, "{\"model\":\"m\",\"messages\":[]}", "empty_array"},
        {CHAT, "{\"model\":\"m\",\"messages\":\"x\"}", "invalid_type"},
        {"/v1/embeddings", "{\"model\":\"m\"}", "\"param\":\"input\""},
        {"/v1/responses", "{\"input\":\"m\"}", "A model must be named"},
        {"/two/v1/x", "{\"a\":}", "JSON"},
    };
    uint64_t json_faults = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_faults += strstr(cases[i].says, "JSON") != NULL;
        enum step s = read_body(f, cases[i].target, JSON, cases[i].body);
        struct str got = peer_reads(f);
        if (s != STEP_DONE || !str_starts(got, STR("HTTP/1.1 400 ")) || !strstr(got.p, cases[i].says) ||
            !strstr(got.p, "invalid_request_error"))
            fail_msg("case %zu: %s", i, got.p);
    }
    assert_int_equal(counted(&f->worker.metrics->bad_json_total), json_faults);
}

#define PART(disposition, value) "--B\r\nContent-Disposition: form-data; " disposition "\r\n\r\n" value "\r\n"

static void forms(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *type, *body, *model; /* NULL: refused */
    } cases[] = {
        {"multipart/form-data; boundary=B", PART("name=\"model\"", "whisper") "--B--\r\n", "whisper"},
        {"multipart/form-data; charset=x; boundary=\"B\"",
         PART("name=\"file\"; filename=\"a\"", "\r\n--A\r\nmodel") PART("name=model", "w") "--B--", "w"},
        {"Multipart/Form-Data;boundary=B", "preamble\r\n" PART("name=\"x\"", "y") "--B--\r\nepilogue", ""},
        {"multipart/form-data; boundary=B", PART("name=\"model\"; filename=\"f\"", "no") "--B--", ""},
        {"multipart/form-data; boundary=B", PART("name=\"model\"", "a") PART("name=\"model\"", "b") "--B--",
         NULL},
        {"multipart/form-data; boundary=B", PART("name=\"model\"", "a"), NULL},
        {"multipart/form-data; boundary=B", "--B\r\nno end of head", NULL},
        {"multipart/form-data; boundary=B", "", NULL},
        {"multipart/form-data", PART("name=\"model\"", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B; boundary=C", PART("name=\"model\"", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("name=\"model\"; name=\"x\"", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("name=\"model\"", "") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("name=\"model\"", "a\tb") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("name = \"model\" ;x", "a") "--B--", "a"},
        {"multipart/form-data; boundary=B", PART("name=\"f\"; filename=\"a\\\"; name=b\"", "x") "--B--", ""},
        {"multipart/form-data; boundary=B",
         PART("name=\"model\"\r\nContent-Transfer-Encoding: 8bit", "a") "--B--", "a"},
        /* what another parser might take for a second model */
        {"multipart/form-data; boundary=B", PART("x=y\r\n; name=\"model\"", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("x=y;\r\n name=\"model\"", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("x=y\rX: name=\"model\"", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("x=y\nX: z", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B",
         PART("x=y\r\nContent-Disposition : z; name=\"model\"", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("name=\"mod\\el\"", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("name*=utf-8''model", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B", PART("name=\"x\"y; name=model", "a") "--B--", NULL},
        {"multipart/form-data; boundary=B",
         PART("name=\"model\"\r\nContent-Transfer-Encoding: base64", "YQ==") "--B--", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum step s = read_body(f, "/v1/audio/transcriptions", cases[i].type, cases[i].body);
        if ((s == STEP_NEXT) != (cases[i].model != NULL) ||
            (cases[i].model && !str_eq(r.model, str_of(cases[i].model))))
            fail_msg("case %zu: %d \"" STR_FMT "\" %s", i, s, STR_ARG(r.model), peer_reads(f).p);
        assert_int_equal(r.prompt_estimate, 0);
    }
}

/* Every cut of a form is answered without reading beyond it (run it under ASan). */
static void cut_forms(void **state)
{
    (void)state;
    static const char whole[] =
        PART("name=\"file\"; filename=\"a\"", "x") PART("name=\"model\"", "w") "--B--\r\n";
    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        char *copy = malloc(n + 1);
        struct str value = STR_NULL;
        memcpy(copy, whole, n);
        int got = multipart_field((struct str){copy, n}, STR("B"), "model", &value);
        assert_int_equal(got, n >= sizeof(whole) - 3 ? 1 : -1);
        free(copy);
    }
}

static void estimates(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    char *p = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        p[i] = i % 7 == 6 ? ' ' : 'w';
    assert_int_equal(estimate_prompt((struct str){p, SIZE}), SIZE / 4);
    assert_int_equal(estimate_prompt(STR_NULL), 0);
    assert_int_equal(estimate_prompt(STR("12345")), 2);
    /* one picture, wherever it lies, and two */
    for (size_t at = 10; at < 30000; at += 997) {
        char *q = malloc(SIZE);
        memcpy(q, p, SIZE);
        q[at - 1] = q[at + 50000] = '"';
        memset(q + at, 'A', 50000);
        assert_int_equal(estimate_prompt((struct str){q, SIZE}), (SIZE - 50000) / 4 + 1000);
        q[at + 25000] = '"';
        assert_int_equal(estimate_prompt((struct str){q, SIZE}), (SIZE - 49999 + 3) / 4 + 2000);
        free(q);
    }
    memset(p, 'A', SIZE);
    assert_int_equal(estimate_prompt((struct str){p, SIZE}), 1000);
    assert_int_equal(estimate_prompt((struct str){p, 8191}), 2048);
    assert_int_equal(estimate_prompt((struct str){p, 8192}), 1000);
    free(p);
}

static void bodiless_calls_need_no_json(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_body(f, "/v1/batches/b1/cancel", JSON, ""), STEP_NEXT);
    assert_int_equal(read_body(f, "/v1/responses/r1/cancel", JSON, ""), STEP_NEXT);
    assert_int_equal(read_body(f, "/v1/files", "text/plain", "anything {"), STEP_NEXT);
    assert_int_equal(read_body(f, "/two/x", "application/octet-stream", "anything {"), STEP_NEXT);
    assert_int_equal(r.model.n, 0);
}

static void what_is_json_is_passed_on_as_json(void **state)
{
    struct fixture *f = *state;
    struct str type;
    assert_int_equal(read_body(f, CHAT, "application/x-www-form-urlencoded", "{\"model\":\"m\"," MSGS "}"),
                     STEP_NEXT);
    assert_true(http_find(&head, "content-type", &type) && str_eq(type, STR(JSON)));
    assert_int_equal(read_body(f, "/two/x", "text/plain", " {\"model\":\"m\"}"), STEP_NEXT);
    assert_true(str_eq(r.model, STR("m")));
    assert_true(http_find(&head, "content-type", &type) && str_eq(type, STR("text/plain")));
    assert_int_equal(read_body(f, "/two/x", "text/plain", "{\"model\":\"m\""), STEP_NEXT);
    assert_int_equal(r.model.n, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)
    const struct CMUnitTest tests[] = {
        CASE(members_are_found),
        CASE(faults_are_named),
        CASE(forms),
        cmocka_unit_test(cut_forms),
        cmocka_unit_test(estimates),
        CASE(bodiless_calls_need_no_json),
        CASE(what_is_json_is_passed_on_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a body may say of a key, and what a refusal names. */
#include "json_scan.h"
#include "key_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int read_key(const char *body, bool creating, struct key_request *q, struct reply *r)
{
    struct arena a;
    arena_init(&a);
    int result = key_fields_read(str_of(body), creating, q, &a, r);
    arena_fini(&a);
    return result;
}

/* The member of the error object that the reply holds, without quotes; "null" where it is null. */
static void error_member(const struct reply *r, const char *path, char *out, size_t size)
{
    struct json_value v;
    struct error err;
    assert_int_equal(json_scan(buf_str(&r->body), &path, 1, &v, &err), 0);
    if (v.type == JSON_STRING)
        v.raw = (struct str){v.raw.p + 1, v.raw.n - 2};
    assert_int_equal(str_copy(out, size, v.raw), 0);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *code;
    } cases[] = {
        {"", "null", "invalid_json"},
        {"[]", "null", "invalid_json"},
        {"{", "null", "invalid_json"},
        {"{\"rpm\":1,\"rpm\":2}", "null", "invalid_json"},
        {"{\"rpm\":1,\"\\u0072pm\":2}", "null", "invalid_json"},
        {"{\"colour\":1}", "colour", "unknown_field"},
        {"{\"id\":\"key_1\"}", "id", "unknown_field"},
        {"{\"blocked\":true}", "blocked", "unknown_field"},
        {"{\"budget_usd\":5}", "budget_usd", "not_in_this_version"},
        {"{\"budget_period\":\"day\"}", "budget_period", "not_in_this_version"},
        {"{\"tier\":\"gold\"}", "tier", "not_in_this_version"},
        {"{\"name\":1}", "name", "invalid_type"},
        {"{\"name\":\"a\\u0000b\"}", "name", "invalid_value"},
        {"{\"name\":\"a\\nb\"}", "name", "invalid_value"},
        {"{\"team\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}", "team", "invalid_value"},
        {"{\"rpm\":\"1\"}", "rpm", "invalid_type"},
        {"{\"rpm\":1.5}", "rpm", "invalid_type"},
        {"{\"rpm\":1e3}", "rpm", "invalid_type"},
        {"{\"rpm\":true}", "rpm", "invalid_type"},
        {"{\"rpm\":0}", "rpm", "invalid_value"},
        {"{\"rpm\":-1}", "rpm", "invalid_value"},
        {"{\"tpm\":1000000000001}", "tpm", "invalid_value"},
        {"{\"rpm\":99999999999999999999}", "rpm", "invalid_type"},
        {"{\"max_parallel\":4294967297}", "max_parallel", "invalid_value"},
        {"{\"rpm_burst\":5}", "rpm_burst", "invalid_value"},
        {"{\"tpm\":5,\"rpd_burst\":5}", "rpd_burst", "invalid_value"},
        {"{\"models\":\"m\"}", "models", "invalid_type"},
        {"{\"models\":[1]}", "models", "invalid_type"},
        {"{\"models\":[\"\"]}", "models", "invalid_value"},
        {"{\"models\":[\"a*b\"]}", "models", "invalid_value"},
        {"{\"models\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}", "models",
         "invalid_value"},
        {"{\"tags\":[]}", "tags", "invalid_type"},
        {"{\"tags\":{\"a\":1}}", "tags", "invalid_type"},
        {"{\"tags\":{\"\":\"x\"}}", "tags", "invalid_value"},
        {"{\"tags\":{\"a\":\"x\",\"a\":\"y\"}}", "tags", "invalid_value"},
        {"{\"tags\":{\"a\":\"x\",\"\\u0061\":\"y\"}}", "tags", "invalid_value"},
        {"{\"allow_cidrs\":[\"10.0.0.0/33\"]}", "allow_cidrs", "invalid_value"},
        {"{\"allow_cidrs\":[\"host\"]}", "allow_cidrs", "invalid_value"},
        {"{\"allow_cidrs\":{}}", "allow_cidrs", "invalid_type"},
        {"{\"expires_at\":\"tomorrow\"}", "expires_at", "invalid_type"},
        {"{\"expires_at\":0}", "expires_at", "invalid_type"},
        {"{\"expires_at\":1795344813000}", "expires_at", "invalid_value"},
        {"{\"key\":\"short\"}", "key", "invalid_value"},
        {"{\"key\":\"with a space in it, long enough\"}", "key", "invalid_value"},
        {"{\"key\":5}", "key", "invalid_type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct key_request q = {0};
        struct reply r;
        char text[256];
        reply_init(&r);
        if (read_key(cases[i].body, true, &q, &r) != -1)
            fail_msg("accepted: %s", cases[i].body);
        assert_int_equal(r.status, 400);
        error_member(&r, "error.code", text, sizeof text);
        if (strcmp(text, cases[i].code))
            fail_msg("%s: code %s", cases[i].body, text);
        error_member(&r, "error.param", text, sizeof text);
        if (strcmp(text, cases[i].param))
            fail_msg("%s: param %s", cases[i].body, text);
        reply_fini(&r);
    }
}

static void all_fields(void **state)
{
    (void)state;
    struct key_request q = {0};
    struct reply r;
    reply_init(&r);
    assert_int_equal(
        read_key(
            "{\"name\":\"n\\u00e9\",\"team\":\"t\",\"department\":\"d\",\"owner\":\"o\","
            "\"models\":[\"gpt-4o*\",\"m\"],\"rpm\":10,\"tpm\":1000000000000,\"rpd\":7,\"max_parallel\":3,"
            "\"rpm_burst\":20,\"tpm_burst\":30,\"rpd_burst\":40,\"expires_at\":\"2026-11-22T10:53:33Z\","
            "\"tags\":{\"a\":\"b\"},\"allow_cidrs\":[\"10.1.0.0/16\",\"::1\"],"
            "\"key\":\"sk-from-another-gateway\"}",
            true, &q, &r),
        0);
    const struct key_record *k = &q.record;
    assert_string_equal(k->name, "n\xc3\xa9");
    assert_string_equal(k->team, "t");
    assert_string_equal(k->department, "d");
    assert_string_equal(k->owner, "o");
    assert_int_equal(k->n_models, 2);
    assert_string_equal(k->models[0], "gpt-4o*");
    assert_true(k->limits.rpm == 10 && k->limits.tpm == 1000000000000 && k->limits.rpd == 7);
    assert_true(k->limits.rpm_burst == 20 && k->limits.tpm_burst == 30 && k->limits.rpd_burst == 40);
    assert_int_equal(k->limits.max_parallel, 3);
    assert_int_equal(k->expires_s, 1795344813);
    assert_int_equal(k->n_tags, 1);
    assert_string_equal(k->tags[0].value, "b");
    assert_int_equal(k->n_cidrs, 2);
    assert_int_equal(k->cidrs[0].bits, 16);
    assert_int_equal(k->cidrs[1].family, 6);
    assert_string_equal(q.given, "sk-from-another-gateway");
    reply_fini(&r);
}

static void a_change_touches_what_it_names(void **state)
{
    (void)state;
    struct key_request q = {0};
    struct reply r;
    reply_init(&r);
    assert_int_equal(
        read_key("{\"name\":\"n\",\"team\":\"t\",\"rpm\":10,\"models\":[\"m\"],\"tags\":{\"a\":\"b\"},"
                 "\"expires_at\":1795344813,\"allow_cidrs\":[\"::1\"]}",
                 true, &q, &r),
        0);
    assert_int_equal(read_key("{\"rpm\":11}", false, &q, &r), 0);
    assert_true(q.record.limits.rpm == 11 && q.record.n_models == 1 && q.record.n_tags == 1);
    assert_int_equal(read_key("{\"rpm\":null,\"models\":null,\"tags\":null,\"expires_at\":null,"
                              "\"allow_cidrs\":null,\"team\":null}",
                              false, &q, &r),
                     0);
    assert_true(q.record.limits.rpm == 0 && q.record.n_models == 0 && q.record.n_tags == 0);
    assert_true(q.record.expires_s == 0 && q.record.n_cidrs == 0);
    assert_string_equal(q.record.team, "");
    assert_string_equal(q.record.name, "n");
    /* a key can be given at creation only */
    assert_int_equal(read_key("{\"key\":\"sk-from-another-gateway\"}", false, &q, &r), -1);
    reply_fini(&r);
}

static void shown_as_valid_json(void **state)
{
    (void)state;
    struct key_request q = {0};
    struct reply r;
    struct error err;
    reply_init(&r);
    assert_int_equal(read_key("{\"name\":\"\\\"\\\\\\u2028</script>\",\"tags\":{\"a\\\"\":\"\\u00ff\"},"
                              "\"allow_cidrs\":[\"fd00::/8\"]}",
                              true, &q, &r),
                     0);
    struct json_writer w = reply_json(&r, 200);
    json_open(&w, '{');
    key_fields_write(&w, &q.record);
    json_close(&w, '}');
    static const char *const paths[] = {"name", "allow_cidrs", "rpm", "expires_at"};
    struct json_value v[4];
    assert_int_equal(json_scan(buf_str(&r.body), paths, 4, v, &err), 0);
    assert_true(str_eq(v[1].raw, STR("[\"fd00::/8\"]")));
    assert_int_equal(v[2].type, JSON_NULL);
    assert_int_equal(v[3].type, JSON_NULL);
    reply_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(all_fields),
        cmocka_unit_test(a_change_touches_what_it_names),
        cmocka_unit_test(shown_as_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

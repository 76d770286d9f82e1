/* OpenAI's embeddings dialect: what is read of a request, and vectors as numbers and as base64. */
#include "translate_test.h"

static struct embed_request in;
static const struct embed_dialect *dialect;

static int up(void **state)
{
    (void)state;
    translation_init(&t, EP_EMBEDDINGS, "cohere");
    dialect = embed_dialect_of(EP_EMBEDDINGS);
    return 0;
}

static int reads(const char *body)
{
    in = (struct embed_request){0};
    t.r.body = str_of(body);
    return dialect->read(&t.r, &in, &t.f);
}

static void inputs_are_read(void **state)
{
    (void)state;
    assert_int_equal(reads("{\"model\":\"m\",\"input\":\"one \\u00df\"}"), 0);
    assert_int_equal(in.n_texts, 1);
    assert_str(in.texts[0], "one \xc3\x9f");
    assert_false(in.base64);
    assert_int_equal(in.dimensions, 0);
    assert_int_equal(reads("{\"input\":[\"a\",\"\",\"c\"],\"encoding_format\":\"base64\",\"dimensions\":256,"
                           "\"user\":\"u\",\"seed\":1,\"other\":null}"),
                     0);
    assert_int_equal(in.n_texts, 3);
    assert_str(in.texts[2], "c");
    assert_true(in.base64);
    assert_int_equal(in.dimensions, 256);
    assert_string_equal(in.dimensions_name, "dimensions");
    assert_str(in.user, "u");
    assert_int_equal(in.n_extras, 1);
    assert_str(in.extras[0].name, "seed");
}

static void token_numbers_stay_what_they_are(void **state)
{
    (void)state;
    assert_int_equal(reads("{\"input\":[1,2, 3]}"), 0);
    assert_str(in.tokens, "[1,2, 3]");
    assert_int_equal(in.n_texts, 0);
    assert_int_equal(reads("{\"input\":[[1],[2,3]]}"), 0);
    assert_str(in.tokens, "[[1],[2,3]]");
}

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *code;
    } cases[] = {
        {"{\"model\":\"m\"}", "input", "missing_required_parameter"},
        {"{\"input\":null}", "input", "missing_required_parameter"},
        {"{\"input\":[]}", "input", "empty_array"},
        {"{\"input\":{}}", "input", "invalid_type"},
        {"{\"input\":[\"a\",1]}", "input", "invalid_type"},
        {"{\"input\":[1,\"a\"]}", "input", "invalid_type"},
        {"{\"input\":[[1],[\"a\"]]}", "input", "invalid_type"},
        {"{\"input\":[[]]}", "input", "invalid_type"},
        {"{\"input\":[1.5]}", "input", "invalid_type"},
        {"{\"input\":\"a\",\"dimensions\":\"9\"}", "dimensions", "invalid_type"},
        {"{\"input\":\"a\",\"dimensions\":0}", "dimensions", "integer_out_of_range"},
        {"{\"input\":\"a\",\"encoding_format\":\"hex\"}", "encoding_format", "invalid_value"},
        {"{\"input\":\"a\",\"encoding_format\":3}", "encoding_format", "invalid_value"},
        {"{\"input\":\"a\",\"user\":3}", "user", "invalid_type"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (reads(cases[i].body) == 0)
            fail_msg("not refused: %s", cases[i].body);
        assert_int_equal(t.f.status, 400);
        assert_string_equal(t.f.param, cases[i].param);
        assert_string_equal(t.f.code, cases[i].code);
    }
}

static int writes(bool base64, struct embed_vector v)
{
    struct embed_answer a = {
        .vectors = &v, .n_vectors = 1, .model = STR("e-1"), .input_tokens = 9, .usage_known = true};
    in = (struct embed_request){.base64 = base64};
    buf_reset(&t.text);
    return dialect->write(&t.r, &in, &a, &t.text);
}

static void vectors_are_told_as_asked_for(void **state)
{
    (void)state;
    /* 1, -0.5 and 0.1 as float32, the lowest byte first */
    static const char base64[] = "AACAPwAAAL/NzMw9";
    assert_int_equal(writes(false, (struct embed_vector){.json = STR("[1,-0.5, 1e-1]")}), 0);
    assert_str(buf_str(&t.text),
               "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
               "[1,-0.5, 1e-1]}],\"model\":\"e-1\",\"usage\":{\"prompt_tokens\":9,\"total_tokens\":9}}");
    assert_int_equal(writes(true, (struct embed_vector){.json = STR("[1,-0.5,0.1]")}), 0);
    assert_holds(buf_str(&t.text), base64);
    assert_int_equal(writes(true, (struct embed_vector){.base64 = str_of(base64)}), 0);
    assert_holds(buf_str(&t.text), base64);
    assert_int_equal(writes(false, (struct embed_vector){.base64 = str_of(base64)}), 0);
    assert_holds(buf_str(&t.text), "\"embedding\":[1,-0.5,0.100000001]}");
    assert_int_equal(json_validate(buf_str(&t.text), NULL), 0);
}

static void long_numbers_are_numbers(void **state)
{
    (void)state;
    char json[105] = "[0.";
    memset(json + 3, '5', 100);
    json[103] = ']';
    assert_int_equal(writes(true, (struct embed_vector){.json = str_of(json)}), 0);
    assert_holds(buf_str(&t.text), "\"5DgOPw==\"");
}

static void vectors_that_are_none_are_not_told(void **state)
{
    (void)state;
    assert_int_equal(writes(true, (struct embed_vector){.json = STR("[1,\"x\"]")}), -1);
    assert_int_equal(writes(true, (struct embed_vector){.json = STR("{}")}), -1);
    assert_int_equal(writes(true, (struct embed_vector){.json = STR("[1e999]")}), -1);
    assert_int_equal(writes(false, (struct embed_vector){.base64 = STR("AAA=")}), -1);
    assert_int_equal(writes(false, (struct embed_vector){.base64 = STR("!!!!")}), -1);
    assert_int_equal(writes(false, (struct embed_vector){.base64 = STR("AADAfw==")}), -1); /* not a number */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(inputs_are_read),          TEST(token_numbers_stay_what_they_are),
        TEST(what_is_wrong_is_refused), TEST(vectors_are_told_as_asked_for),
        TEST(long_numbers_are_numbers), TEST(vectors_that_are_none_are_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Google's embedding calls towards callers: one text, a batch, and their answers. */
#include "embed_dialect.h"
#include "text_asserts.h"

static struct arena arena;
static struct request r;
static struct embed_request in;
static struct failure failure;

static int up(void **state)
{
    (void)state;
    arena_init(&arena);
    r = (struct request){.arena = &arena};
    r.match.endpoint = EP_EMBED_CONTENT;
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static int read_body(const char *body, bool batch)
{
    in = (struct embed_request){0};
    r.match.batch = batch;
    r.body = str_of(body);
    return dialect_embed_content.read(&r, &in, &failure);
}

static void one_text_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_body(
            "{\"model\":\"models/m\",\"content\":{\"parts\":[{\"text\":\"one \"},{\"text\":\"input\"}]},"
            "\"taskType\":\"RETRIEVAL_QUERY\",\"title\":\"T\",\"output_dimensionality\":64,\"extra\":1}",
            false),
        0);
    assert_int_equal(in.n_texts, 1);
    assert_str(in.texts[0], "one input");
    assert_str(in.task, "search_query");
    assert_str(in.title, "T");
    assert_int_equal(in.dimensions, 64);
    assert_string_equal(in.dimensions_name, "outputDimensionality");
    assert_int_equal(in.n_extras, 1);
    assert_false(in.batch);
}

static void a_batch_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_body("{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"taskType\":\"CLUSTERING\"},"
                  "{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"embedContentConfig\":{\"taskType\":"
                  "\"CLUSTERING\"}}]}",
                  true),
        0);
    assert_int_equal(in.n_texts, 2);
    assert_str(in.texts[1], "b");
    assert_str(in.task, "clustering");
    assert_true(in.batch);
    assert_int_equal(in.dimensions, 0);
    assert_null(in.dimensions_name);
}

static void what_can_not_be_embedded_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body, *says;
        bool batch;
    } cases[] = {
        {"{}", "content", false},
        {"{\"content\":{\"parts\":[{\"inlineData\":{}}]}}", "text", false},
        {"{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"outputDimensionality\":0}", "outputDimensionality",
         false},
        {"{\"requests\":[]}", "requests", true},
        {"{}", "requests", true},
        {"{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},{\"content\":{\"parts\":[{\"text\":"
         "\"a\"}]},\"taskType\":\"CLUSTERING\"}]}",
         "requests[1]", true},
        {"[1]", "object", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_body(cases[i].body, cases[i].batch) == 0)
            fail_msg("taken: %s", cases[i].body);
        assert_int_equal(failure.status, 400);
        assert_holds(failure.message, cases[i].says);
    }
}

static void vectors_are_written(void **state)
{
    (void)state;
    /* 1.0 and -0.5 as little-endian float32 */
    struct embed_vector vectors[2] = {{.json = STR("[0.25,1]")}, {.base64 = STR("AACAPwAAAL8=")}};
    struct embed_answer answer = {.vectors = vectors, .n_vectors = 2, .input_tokens = 7, .usage_known = true};
    struct buf out;
    buf_init(&out, 4096);
    in = (struct embed_request){.batch = true};
    assert_int_equal(dialect_embed_content.write(&r, &in, &answer, &out), 0);
    assert_str(buf_str(&out), "{\"embeddings\":[{\"values\":[0.25,1]},{\"values\":[1,-0.5]}],"
                              "\"usageMetadata\":{\"promptTokenCount\":7,\"totalTokenCount\":7}}");
    buf_reset(&out);
    in.batch = false;
    answer.usage_known = false;
    assert_int_equal(dialect_embed_content.write(&r, &in, &answer, &out), 0);
    assert_str(buf_str(&out), "{\"embedding\":{\"values\":[0.25,1]}}");
    vectors[0] = (struct embed_vector){.base64 = STR("!!")};
    assert_int_equal(dialect_embed_content.write(&r, &in, &answer, &out), -1);
    buf_free(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_text_is_read),
        TEST(a_batch_is_read),
        TEST(what_can_not_be_embedded_is_refused),
        TEST(vectors_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

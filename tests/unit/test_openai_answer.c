/* OpenAI's chat towards providers: what is read of their answers, streams, embeddings and errors. */
#include "openai_translate.h"

/* ---- answers and streams */

static struct str told(const char *type, const char *stream)
{
    again(type);
    t.r.wants_usage = true;
    assert_int_equal(translate_sse(&t, str_of(stream)), 1);
    return buf_str(&t.text);
}

#define EVENT(x) "data: " x "\n\n"
#define DELTA(x)                                                                  \
    EVENT("{\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{" x \
          "},\"finish_reason\":null}]}")
#define LAST(x) EVENT("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" x "\"}]}")
#define DONE    "data: [DONE]\n\n"

static void thinking_has_many_names(void **state)
{
    (void)state;
    static const char *const deltas[] = {
        "\"reasoning_content\":\"abc\"",
        "\"reasoning\":\"abc\",\"reasoning_content\":\"abc\"",
        "\"reasoning\":\"abc\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"abc\","
        "\"signature\":\"s\","
        "\"format\":\"anthropic-claude-v1\"}]",
        "\"thinking\":\"abc\"",
        "\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"abc\"}]}]",
    };
    for (size_t i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
        char stream[1024];
        snprintf(stream, sizeof(stream), DELTA("%s") LAST("stop") DONE, deltas[i]);
        struct str out = told("openrouter", stream);
        assert_int_equal(times(out, "\"reasoning_content\":\"abc\""), 1);
        assert_int_equal(times(out, "\"signature\":\"s\""), holds(str_of(deltas[i]), "signature"));
    }
}

static void calls_come_in_many_ways(void **state)
{
    (void)state;
    static const struct {
        const char *stream;
        size_t n; /* calls f and perhaps g, whose arguments are {"a":1} */
    } cases[] = {
        {DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
               "\\\"a\\\"\"}}]") DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]")
             LAST("stop") DONE,
         1},
        /* whole, without index, id or a string */
        {DELTA("\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}},{\"function\":{"
               "\"name\":\"g\","
               "\"arguments\":{\"a\":1}}}]") LAST("stop") DONE,
         2},
        /* all with index 0 */
        {DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
               "\\\"a\\\":1}\"}}]") DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"d\",\"function\":{\"name\":"
                                          "\"g\",\"arguments\":\"\"}}]")
             DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":1}\"}}]")
                 LAST("tool_calls") DONE,
         2},
        /* the id comes late */
        {DELTA("\"tool_calls\":[{\"index\":3,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]")
             DELTA("\"tool_calls\":[{\"index\":3,\"id\":\"c\",\"function\":{\"arguments\":\":1}\"}}]")
                 LAST("stop") DONE,
         1},
        /* name and id with every piece */
        {DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
               "\\\"a\\\"\"}}]") DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":"
                                       "\"f\",\"arguments\":\":1}\"}}]") LAST("stop") DONE,
         1},
        /* the older form */
        {DELTA("\"function_call\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}")
             DELTA("\"function_call\":{\"arguments\":\":1}\"}") LAST("function_call") DONE,
         1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str out = told("openai", cases[i].stream);
        assert_int_equal(times(out, "\"type\":\"function\""), cases[i].n);
        assert_holds(out, "\"index\":0,\"id\":\"c");
        assert_holds(out, "\"name\":\"f\"");
        assert_int_equal(holds(out, "\"name\":\"g\""), cases[i].n == 2);
        assert_int_equal(times(out, "a\\\"") + times(out, "a\\\":1}"),
                         holds(out, "a\\\":1}") ? 2 * cases[i].n : cases[i].n);
        assert_int_equal(times(out, "\"finish_reason\":\"tool_calls\""), 1);
    }
}

/* Some call all of theirs 0; what comes for the second one still finds it. */
static void calls_of_one_answer_have_ids_of_their_own(void **state)
{
    (void)state;
    struct str out =
        told("openai",
             DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"0\",\"function\":{\"name\":\"f\","
                   "\"arguments\":\"{}\"}},{\"index\":1,\"id\":\"0\",\"function\":{\"name\":\"g\","
                   "\"arguments\":\"{\\\"a\\\"\"}}]")
                 DELTA("\"tool_calls\":[{\"index\":1,\"id\":\"0\",\"function\":{\"arguments\":\":1}\"}}]")
                     LAST("tool_calls") DONE);
    assert_int_equal(times(out, "\"type\":\"function\""), 2);
    assert_int_equal(times(out, "\"id\":\"0\""), 1);
    assert_int_equal(times(out, "\"id\":\"call_"), 1);
    assert_holds(out, "\"index\":1,\"function\":{\"arguments\":\":1}\"}");
}

static void a_stream_ends_once_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *reason, *finish;
    } cases[] = {
        {"stop", "stop"},
        {"eos", "stop"},
        {"length", "length"},
        {"model_length", "length"},
        {"content_filter", "content_filter"},
        {"anything", "stop"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char stream[1024], want[64];
        snprintf(stream, sizeof(stream), DELTA("\"content\":\"x\"") LAST("%s") LAST("%s") DONE,
                 cases[i].reason, cases[i].reason);
        snprintf(want, sizeof(want), "\"finish_reason\":\"%s\"", cases[i].finish);
        assert_int_equal(times(told("openai", stream), want), 1);
    }
    assert_holds(told("openai", DELTA("\"refusal\":\"no\"") LAST("stop") DONE), "\"finish_reason\":\"stop\"");
    assert_holds(told("openai", DELTA("\"content\":\"x\"") DONE), "\"finish_reason\":\"stop\"");
    /* what comes behind an early reason is not lost */
    assert_holds(told("openai", LAST("stop") DELTA("\"content\":\"late\"") DONE), "\"content\":\"late\"");
}

static void only_a_whole_stream_ends_well(void **state)
{
    (void)state;
    static const struct {
        const char *type, *stream;
        int result;
    } cases[] = {
        {"openai", DELTA("\"content\":\"x\"") LAST("stop"), 0},
        {"openai", DELTA("\"content\":\"x\""), 0},
        {"openai", "", 0},
        {"openai", DONE, -1},
        {"perplexity", DELTA("\"content\":\"x\"") LAST("stop"), 1},
        {"perplexity", DELTA("\"content\":\"x\""), 0},
        {"perplexity", "", 0},
        {"perplexity",
         EVENT(
             "{\"object\":\"chat.completion.done\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
             "\"stop\"}]}"),
         1},
        {"openai", DELTA("\"content\":\"x\"") EVENT("{\"error\":{\"message\":\"m\",\"code\":503}}"), -1},
        {"openai", EVENT("{\"error\":\"m\"}"), -1},
        {"openai", EVENT("{\"error\":[{\"message\":\"m\"}],\"choices\":[]}"), -1},
        {"groq", "event: error\ndata: {\"message\":\"m\"}\n\n", -1},
        {"openrouter",
         EVENT("{\"error\":{\"message\":\"m\",\"code\":502},\"choices\":[{\"index\":0,\"delta\":{\"content\":"
               "\"\"},"
               "\"finish_reason\":\"error\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":0}}") DONE,
         -1},
        {"deepseek", LAST("insufficient_system_resource") DONE, -1},
        {"openai", EVENT("{\"choices\":"), -1},
        {"openai", EVENT("[1]"), -1},
        {"openai", EVENT("{\"error\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}") DONE,
         1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        again(cases[i].type);
        assert_int_equal(translate_sse(&t, str_of(cases[i].stream)), cases[i].result);
        assert_int_equal(holds(buf_str(&t.text), "[DONE]"), cases[i].result == 1);
        if (cases[i].result < 0)
            assert_true(t.f.status >= 500 && t.f.message.n > 0);
    }
    assert_int_equal(t.r.tokens_known, false);
}

static void usage_is_put_right(void **state)
{
    (void)state;
    static const struct {
        const char *usage;
        struct usage_tokens want;
    } cases[] = {
        {"{\"prompt_tokens\":12,\"completion_tokens\":1,\"total_tokens\":241,\"completion_tokens_details\":"
         "{\"reasoning_tokens\":228}}",
         {.input = 12, .output = 229, .reasoning = 228}},
        {"{\"prompt_tokens\":12,\"completion_tokens\":229,\"total_tokens\":241,\"completion_tokens_details\":"
         "{\"reasoning_tokens\":228}}",
         {.input = 12, .output = 229, .reasoning = 228}},
        {"{\"prompt_tokens\":5,\"completion_tokens\":10,\"completion_tokens_details\":{\"reasoning_tokens\":"
         "11}}",
         {.input = 5, .output = 10, .reasoning = 10}},
        {"{\"prompt_tokens\":5,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":9}}",
         {.input = 5, .output = 1, .cached = 5}},
        {"{\"prompt_tokens\":5,\"completion_tokens\":1,\"prompt_cache_hit_tokens\":3}",
         {.input = 5, .output = 1, .cached = 3}},
        {"{\"prompt_tokens\":5,\"completion_tokens\":1,\"cached_tokens\":2}",
         {.input = 5, .output = 1, .cached = 2}},
        {"{\"prompt_tokens\":50,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":0},"
         "\"num_cached_tokens\":33}",
         {.input = 50, .output = 1, .cached = 33}},
        {"{\"completion_tokens\":1,\"total_tokens\":8}", {.input = 7, .output = 1}},
        {"{\"prompt_tokens\":-1,\"completion_tokens\":99999999999}", {.input = 0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct usage_tokens u = {0};
        openai_usage(json_root(str_of(cases[i].usage)), &u);
        assert_memory_equal(&u, &cases[i].want, sizeof(u));
    }
    assert_false(openai_usage(json_root(STR("{\"cost\":1}")), &(struct usage_tokens){0}));
    told("groq",
         DELTA("\"content\":\"x\"") EVENT(
             "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":"
             "{\"prompt_tokens\":3,\"completion_tokens\":4}}}") DONE);
    assert_int_equal(t.r.tokens.input, 3);
    assert_int_equal(t.r.tokens.output, 4);
}

static void whole_answers_are_read(void **state)
{
    (void)state;
    struct str out = whole(
        "openai", "{\"id\":\"chatcmpl-1\",\"created\":77,\"model\":\"mm\",\"choices\":[{\"index\":1,"
                  "\"message\":{\"content\":\"two\"},"
                  "\"finish_reason\":\"length\"},{\"index\":0,\"message\":{\"role\":\"assistant\","
                  "\"content\":\"\",\"reasoning\":\"why\","
                  "\"tool_calls\":[{\"id\":\"\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}}]},"
                  "\"finish_reason\":\"stop\","
                  "\"logprobs\":{\"content\":[]}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}");
    assert_holds(out, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":77,\"model\":\"mm\","
                      "\"choices\":[{\"index\":0");
    assert_holds(out, "\"reasoning_content\":\"why\",\"tool_calls\":[{\"id\":\"call_");
    assert_holds(out, "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]");
    assert_holds(out, "\"logprobs\":{\"content\":[]},\"finish_reason\":\"tool_calls\"},{\"index\":1,");
    assert_holds(out, "\"content\":\"two\"");
    assert_holds(out, "\"prompt_tokens\":3,\"completion_tokens\":2,");
    out = whole(
        "perplexity",
        "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x[1]\"},\"delta\":{\"content\":\"\"},"
        "\"finish_reason\":\"stop\"}],\"citations\":[\"http://a\"],\"search_results\":[{\"title\":\"T\","
        "\"url\":\"http://a\"}]}");
    assert_holds(out, "\"content\":\"x[1]\"");
    assert_holds(out, "\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":0,\"end_"
                      "index\":0,\"title\":"
                      "\"T\",\"url\":\"http://a\"}}]");
}

/* More calls than are kept would be another answer without the rest. */
static void too_many_calls_are_a_failure(void **state)
{
    enum { N = 1100 };
    struct buf b;
    (void)state;
    buf_init(&b, 1024 * 1024);
    buf_add(&b, STR("{\"choices\":[{\"message\":{\"tool_calls\":["));
    for (int i = 0; i < N; i++)
        buf_printf(&b, "%s{\"id\":\"c%d\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}", i ? "," : "",
                   i);
    buf_add(&b, STR("]},\"finish_reason\":\"tool_calls\"}]}"));
    buf_add_byte(&b, '\0');
    assert_int_equal(whole("openai", b.p).n, 0);
    assert_int_equal(t.f.status, 502);
    buf_free(&b);
}

static void bad_answers_are_failures(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"", 502},
        {"<html>", 502},
        {"[]", 502},
        {"{}", 502},
        {"{\"choices\":[]}", 502},
        {"{\"choices\":null,\"error\":{\"message\":\"m\",\"code\":429}}", 429},
        {"{\"error\":{\"message\":\"m\",\"code\":403},\"choices\":[{\"message\":{\"content\":\"x\"}}]}", 502},
        {"{\"detail\":\"m\"}", 502},
        {"{\"choices\":[{\"finish_reason\":\"error\",\"error\":{\"code\":429,\"message\":\"m\"}}]}", 429},
        {"{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"error\"}]}", 502},
        {"{\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"c\",\"function\":{\"arguments\":\"{}\"}}]}}]"
         "}",
         502},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(whole("openai", cases[i].body).n, 0);
        assert_int_equal(t.f.status, cases[i].status);
    }
}

/* What OpenRouter signed comes back to it as it came. */
static void details_survive_the_round_trip(void **state)
{
    (void)state;
    struct str out = whole(
        "openrouter",
        "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\",\"reasoning\":\"t\",\"reasoning_details\":"
        "["
        "{\"type\":\"reasoning.text\",\"text\":\"t\",\"signature\":\"sg\",\"format\":\"anthropic-claude-v1\","
        "\"index\":0},{\"type\":\"reasoning.encrypted\",\"data\":\"zz\",\"id\":\"rs_1\"}]},\"finish_reason\":"
        "\"stop\"}]}");
    assert_holds(out, "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"sg\"}");
    assert_holds(out, "\"data\":\"{\\\"type\\\":\\\"reasoning.encrypted\\\"");
    static const char back[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
                               "\"content\":\"a\",\"thinking_blocks\":["
                               "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"sg\"},{\"type\":"
                               "\"redacted_thinking\",\"data\":\"{\\\"type\\\":"
                               "\\\"reasoning.encrypted\\\",\\\"data\\\":\\\"zz\\\",\\\"id\\\":\\\"rs_1\\\"}"
                               "\"}]},{\"role\":\"user\",\"content\":\"r\"}]}";
    assert_holds(
        sent("openrouter", "m", back),
        "\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"t\",\"signature\":\"sg\",\"format\":"
        "\"anthropic-claude-v1\"},{\"type\":\"reasoning.encrypted\",\"data\":\"zz\",\"id\":\"rs_1\"}]");
    assert_false(holds(sent("openai", "m", back), "zz"));
}

/* ---- embeddings */

static void embeddings_are_sent_and_read(void **state)
{
    (void)state;
    struct str texts[] = {STR("one"), STR("two")};
    struct embed_request in = {.texts = texts, .n_texts = 2, .dimensions = 3};
    struct embed_answer out = {0};
    struct chat_reader rd = {.r = &t.r, .conf = &t.conf, .arena = &t.arena, .scratch = &t.arena, .f = &t.f};
    assert_int_equal(t.provider->write_embed(translation_call(&t, NULL, "e"), &in), 0);
    assert_str(t.out.path, "/v1/embeddings");
    assert_str(
        t.out.body,
        "{\"model\":\"e\",\"input\":[\"one\",\"two\"],\"encoding_format\":\"float\",\"dimensions\":3}");
    assert_int_equal(t.provider->read_embed(
                         &rd, &in,
                         STR("{\"data\":[{\"index\":1,\"embedding\":\"AAAA\"},{\"index\":0,\"embedding\":"
                             "[1,2]}],\"model\":\"e1\",\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}"),
                         &out),
                     0);
    assert_int_equal(out.n_vectors, 2);
    assert_str(out.vectors[0].json, "[1,2]");
    assert_str(out.vectors[1].base64, "AAAA");
    assert_int_equal(out.input_tokens, 4);
    static const char *const bad[] = {
        "{\"data\":[{\"embedding\":[1]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":7,\"embedding\":[1]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1}]}",
        "{\"error\":{\"message\":\"m\"}}",
        "none",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(t.provider->read_embed(&rd, &in, str_of(bad[i]), &out), -1);
}

/* ---- errors */

static void errors_are_read_in_all_their_shapes(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body, *message, *code;
        int told;
    } cases[] = {
        {400, "{\"error\":{\"message\":\"This model's maximum context length is 9 tokens.\",\"code\":null}}",
         "This model's maximum context length is 9 tokens.", "context_length_exceeded", 400},
        {429, "{\"object\":\"error\",\"message\":\"Slow\",\"type\":\"rate_limited\",\"code\":\"1300\"}",
         "Slow", "rate_limit_exceeded", 429},
        {422, "{\"detail\":[{\"loc\":[\"body\",\"x\"],\"msg\":\"Extra inputs\"}]}",
         "[\"body\",\"x\"]: Extra inputs", NULL, 400},
        {422, "{\"object\":\"error\",\"message\":{\"detail\":[{\"msg\":\"bad\"}]}}", "bad", NULL, 400},
        {401, "{\"detail\":\"Invalid API Key\"}", "Invalid API Key", "invalid_api_key", 401},
        {400, "{\"code\":\"Client specified an invalid argument\",\"error\":\"Model not found\"}",
         "Model not found", "Client specified an invalid argument", 400},
        {404, "[{\"error\":{\"code\":404,\"message\":\"no such model\"}}]", "no such model",
         "model_not_found", 404},
        {429,
         "{\"error\":{\"message\":\"You are "
         "out\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
         "You are out", "insufficient_quota", 429},
        {502,
         "{\"error\":{\"message\":\"Provider returned error\",\"code\":502,\"metadata\":{\"raw\":\"why\"}}}",
         "Provider returned error: why", "502", 502},
        {503, "upstream connect error\n", "upstream connect error", NULL, 503},
        {503, "<html><body>x</body></html>", "The provider answered with status 503.", NULL, 503},
    };
    struct http_head head = {.n = 0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        provider_openai.read_error(&t.r, cases[i].status, &head, str_of(cases[i].body), &t.f);
        assert_str(t.f.message, cases[i].message);
        assert_str(str_of(t.f.code), cases[i].code ? cases[i].code : "");
        assert_int_equal(t.f.status, cases[i].told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(thinking_has_many_names),
        TEST(calls_come_in_many_ways),
        TEST(calls_of_one_answer_have_ids_of_their_own),
        TEST(a_stream_ends_once_and_says_why),
        TEST(only_a_whole_stream_ends_well),
        TEST(usage_is_put_right),
        TEST(whole_answers_are_read),
        TEST(too_many_calls_are_a_failure),
        TEST(bad_answers_are_failures),
        TEST(details_survive_the_round_trip),
        TEST(embeddings_are_sent_and_read),
        TEST(errors_are_read_in_all_their_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

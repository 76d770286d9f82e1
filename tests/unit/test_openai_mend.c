/* What passes between OpenAI's callers and those who speak its dialect a little differently: what is mended
 * of it, and that the rest stays as it was. */
#include "openai_mend.h"
#include "translate_test.h"

static struct provider_call call;

static struct stream_event event(const char *data)
{
    struct sse_event ev = {.raw = str_of(data), .data = str_of(data), .has_data = true};
    return t.provider->read_event(&t.r, &ev);
}

static void begin(const char *type, bool stream, bool wants_usage)
{
    translation_init(&t, EP_CHAT, type);
    t.r.stream = stream;
    t.r.wants_usage = wants_usage;
    t.r.match.rest = STR("/chat/completions");
    t.r.body = STR("{\"model\":\"caller-model\"}");
    assert_int_equal(t.provider->build(&t.r, &t.conf, STR("m"), &call, &t.f), 0);
    if (stream) /* as most streams begin */
        assert_str(event("{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}").instead, "");
}

/* ---- events */

static void ordinary_events_stay_as_they_are(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":"
        "null}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"index\\\": [\"},\"finish_reason\":null}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":"
        "\"function\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{"
        "\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"c2\",\"type\":"
        "\"function\","
        "\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2,\"total_tokens\":6}}",
        "{\"choices\":[],\"prompt_filter_results\":[],\"id\":\"\"}",
        "[DONE]",
    };
    begin("openai", true, true);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        assert_str(event(events[i]).instead, "");
}

static void what_sdks_could_not_read_is_mended(void **state)
{
    (void)state;
    static const struct {
        const char *data, *instead;
    } cases[] = {
        /* no index */
        {"{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
         "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"},
        {"{\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}",
         "data: "
         "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}},{\"index\":1,\"delta\":{\"content\":"
         "\"b\"}}]}\n\n"},
        /* Mistral's arrays */
        {"{\"choices\":[{\"index\":0,\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":"
         "\"text\",\"text\":\"h\\u00e4\"}]},{\"type\":\"text\",\"text\":\"o\\\"k\"}]}}]}",
         "data: "
         "{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"h\\u00e4\",\"content\":\"o\\\"k\"}}]"
         "}\n\n"},
        {"{\"choices\":[{}],\"error\":null,\"finish_reason\":\"\"}",
         "data: {\"choices\":[{\"index\":0,\"delta\":{}}],\"error\":null,\"finish_reason\":\"\"}\n\n"},
        /* no delta */
        {"{\"choices\":[{\"index\":0,\"delta\":null,\"finish_reason\":\"length\"}]}",
         "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"},
        {"{\"choices\":[{\"index\":0,\"finish_reason\":null,\"content_filter_offsets\":{}}]}",
         "data: "
         "{\"choices\":[{\"delta\":{},\"index\":0,\"finish_reason\":null,\"content_filter_offsets\":{}}]}"
         "\n\n"},
        /* no choices */
        {"{\"id\":\"i\",\"choices\":null,\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":3}}",
         "data: {\"id\":\"i\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":3}}\n\n"},
        {"{\"id\":\"i\",\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":3}}",
         "data: {\"choices\":[],\"id\":\"i\",\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":3}}\n\n"},
        {"{\"id\":\"i\",\"other\":1}", ""},
        /* words that only they know */
        {"{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"eos\"}]}",
         "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"},
        {"{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"model_length\"}]}",
         "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin("mistral", true, false);
        assert_str(event(cases[i].data).instead, cases[i].instead);
        down(NULL);
    }
    begin("openai", true, false);
}

static void a_call_gets_index_id_and_type(void **state)
{
    (void)state;
    begin("openai", true, false);
    struct str first =
        event("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\","
              "\"arguments\":{\"a\":\"b\"}}}]}}]}")
            .instead;
    assert_true(json_validate((struct str){first.p + 6, first.n - 8}, NULL) == 0);
    assert_holds(first, "\"id\":\"call_");
    assert_holds(first, "\"type\":\"function\"");
    assert_holds(first, "\"index\":0,");
    assert_holds(first, "\"arguments\":\"{\\\"a\\\":\\\"b\\\"}\"");
    struct str second = event("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"x\",\"type\":"
                              "\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}}]}")
                            .instead;
    assert_holds(second, "[{\"index\":1,\"id\":\"x\"");
    /* said to have stopped */
    assert_str(event("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}").instead,
               "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n");
}

/* Some give every call the index 0, or begin to count at 1. */
static void calls_are_numbered_anew(void **state)
{
    (void)state;
    begin("openai", true, false);
#define CALL(index, id, name)                                                                 \
    "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":" index ",\"id\":\"" id \
    "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"\"}}]}}]}"
#define MORE(index)                                                           \
    "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":" index \
    ",\"function\":{\"arguments\":\"{}\"}}]}}]}"
    assert_str(event(CALL("0", "a", "f")).instead, "");
    assert_str(event(CALL("0", "b", "g")).instead, "data: " CALL("1", "b", "g") "\n\n");
    assert_str(event(MORE("0")).instead, "data: " MORE("1") "\n\n");
    down(NULL);
    begin("openai", true, false);
    assert_str(event(CALL("1", "a", "f")).instead, "data: " CALL("0", "a", "f") "\n\n");
    assert_str(event(MORE("1")).instead, "data: " MORE("0") "\n\n");
}

/* What is told twice would be joined: "ff". */
static void a_call_is_named_once(void **state)
{
    (void)state;
    begin("openai", true, false);
    assert_str(event(CALL("0", "a", "f")).instead, "");
    assert_str(
        event(CALL("0", "a", "f")).instead,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":null,\"type\":"
        "\"function\",\"function\":{\"name\":null,\"arguments\":\"\"}}]}}]}\n\n");
}

static void a_calls_type_stays(void **state)
{
    (void)state;
    begin("vllm", true, false);
    event("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c7\",\"type\":"
          "\"function\","
          "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}");
    assert_holds(
        event("{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":null,\"type\":null,"
              "\"function\":{\"name\":null,\"arguments\":\"{}\"}}]}}]}")
            .instead,
        "\"id\":null,\"type\":\"function\",");
}

static void a_choice_begins_with_its_role(void **state)
{
    (void)state;
    translation_init(&t, EP_CHAT, "mistral");
    t.r.stream = true;
    t.r.match.rest = STR("/chat/completions");
    t.r.body = STR("{}");
    assert_int_equal(t.provider->build(&t.r, &t.conf, t.r.model, &call, &t.f), 0);
    assert_str(
        event("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}").instead,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\n\n");
    assert_str(event("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}").instead, "");
}

/* The official SDK's stream helper joins arrays by index, and gives up where the second piece has none. */
static void later_annotations_get_an_index(void **state)
{
    (void)state;
#define NOTED(x) "{\"choices\":[{\"index\":0,\"delta\":{\"annotations\":[" x "]}}]}"
    begin("openrouter", true, false);
    assert_str(event(NOTED("{\"type\":\"a\"},{\"type\":\"b\"}")).instead, "");
    assert_str(event(NOTED("{\"type\":\"c\"},{\"type\":\"d\"}")).instead,
               "data: " NOTED("{\"index\":2,\"type\":\"c\"},{\"index\":3,\"type\":\"d\"}") "\n\n");
    assert_str(event(NOTED("")).instead, "");
}

/* However long the stream is: what an event was mended with goes once it is sent. */
static void mending_leaves_nothing_behind(void **state)
{
    enum { N = 20000, MOST = 64 * 1024 };
    struct arena scratch;
    (void)state;
    begin("mistral", true, false);
    arena_init(&scratch);
    t.r.scratch = &scratch;
    for (size_t n = 0; n < N; n++) {
        assert_true(event("{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}}]}")
                        .instead.n > 0);
        arena_reset(&scratch);
    }
    assert_true(t.arena.used < MOST);
    arena_fini(&scratch);
}

static void usage_is_found_where_groq_has_it(void **state)
{
    (void)state;
    static const char data[] =
        "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":"
        "{\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":12,\"total_tokens\":42}}}";
    begin("groq", true, true);
    struct stream_event e = event(data);
    assert_true(e.usage);
    assert_int_equal(t.r.tokens.input, 30);
    assert_int_equal(t.r.tokens.output, 12);
    assert_true(str_starts(e.instead, STR("data: {\"usage\":{\"prompt_tokens\":30,")));
    down(NULL);
    begin("groq", true, false); /* nobody asked */
    e = event(data);
    assert_true(e.usage);
    assert_str(e.instead, "");
}

static void errors_look_like_errors(void **state)
{
    (void)state;
    static const struct {
        const char *name, *data;
        bool mended;
        const char *message;
    } cases[] = {
        {"", "{\"error\":{\"message\":\"no\",\"code\":502}}", false, NULL},
        {"", "{\"code\":\"x\",\"error\":\"no more\"}", true, "no more"},
        {"error", "{\"message\":\"gone\"}", true, "gone"},
        {"error", "{\"error\":{\"message\":\"gone\"}}", false, NULL},
        {"", "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"insufficient_system_resource\"}]}",
         true, "status 502"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin("deepseek", true, false);
        struct sse_event ev = {
            .name = str_of(cases[i].name), .data = str_of(cases[i].data), .has_data = true};
        struct stream_event e = t.provider->read_event(&t.r, &ev);
        assert_true(e.error);
        assert_int_equal(e.instead.n > 0, cases[i].mended);
        if (cases[i].mended) {
            assert_true(str_starts(e.instead, STR("data: {\"error\":{\"message\":")));
            assert_holds(e.instead, cases[i].message);
        }
        down(NULL);
    }
    begin("openai", true, false);
    assert_false(event("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\"error\":null}").error);
}

/* OpenRouter's choices may say why they end as they do. */
static void a_choice_may_carry_the_error(void **state)
{
    (void)state;
    begin("openrouter", true, false);
    struct stream_event e =
        event("{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\",\"error\":{"
              "\"code\":503,\"message\":\"Nobody is in\"}}]}");
    assert_true(e.error);
    assert_holds(e.instead, "\"message\":\"Nobody is in\"");
    down(NULL);
    begin("openrouter", false, false);
    assert_int_equal(
        t.provider->read_answer(&t.r,
                                STR("{\"choices\":[{\"index\":0,\"message\":{\"content\":\"\"},"
                                    "\"finish_reason\":\"error\",\"error\":{\"code\":503,\"message\":"
                                    "\"Nobody is in\"}}]}"),
                                &t.f),
        -1);
    assert_str(t.f.message, "Nobody is in");
    assert_int_equal(
        t.provider->read_answer(&t.r,
                                STR("{\"choices\":[{\"index\":0,\"message\":{\"content\":\"\\\"error\\\"\"},"
                                    "\"finish_reason\":\"stop\",\"error\":null}]}"),
                                &t.f),
        0);
}

static void only_perplexity_may_end_without_a_word(void **state)
{
    (void)state;
    static const char last[] =
        "{\"object\":\"chat.completion.done\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
        "\"\"},\"finish_reason\":\"stop\"}]}";
    begin("perplexity", true, false);
    assert_false(event("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}").finished);
    assert_true(event(last).finished);
    down(NULL);
    begin("openai", true, false);
    assert_false(event(last).finished);
}

static void thinking_counts_once(void **state)
{
    (void)state;
    begin("openrouter", true, false);
    assert_int_equal(
        event("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\",\"reasoning\":\"abc\"}}]}").text_bytes,
        3);
    assert_int_equal(
        event("{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"abcd\",\"reasoning\":"
              "\"abcd\"}}]}")
            .text_bytes,
        4);
}

/* ---- whole answers */

static void whole_answers_are_mended(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* out NULL: as it is */
    } cases[] = {
        {"{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}", NULL},
        {"{\"choices\":[{\"index\":0,\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":"
         "\"function\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}",
         NULL},
        {"{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"eos\"}]}",
         "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}"},
        {"{\"choices\":[{\"index\":0,\"message\":{\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\"},{"
         "\"type\":"
         "\"text\",\"text\":\"x\"}]},\"finish_reason\":\"stop\"}]}",
         "{\"choices\":[{\"index\":0,\"message\":{\"reasoning_content\":\"t\",\"content\":\"x\"},\"finish_"
         "reason\":"
         "\"stop\"}]}"},
        {"{\"choices\":[{\"index\":0,\"message\":{\"tool_calls\":[{\"id\":\"abc123def\",\"function\":{"
         "\"name\":\"f\","
         "\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}]}",
         "{\"choices\":[{\"index\":0,\"message\":{\"tool_calls\":[{\"type\":\"function\",\"id\":"
         "\"abc123def\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}"},
        /* all of it was filtered */
        {"{\"choices\":[{\"index\":0,\"finish_reason\":\"content_filter\",\"logprobs\":null}]}",
         "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":null},\"index\":0,\"finish_reason\":"
         "\"content_filter\",\"logprobs\":null}]}"},
        {"{\"choices\":[{\"index\":0,\"message\":null,\"finish_reason\":\"content_filter\"}]}",
         "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":"
         "\"content_filter\"}]}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin("mistral", false, false);
        assert_int_equal(t.provider->read_answer(&t.r, str_of(cases[i].in), &t.f), 0);
        assert_str(t.provider->mend_answer(&t.r, str_of(cases[i].in)), cases[i].out ? cases[i].out : "");
        down(NULL);
    }
    begin("openai", false, false);
}

static void an_error_in_a_200_is_one(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int rc, status;
    } cases[] = {
        {"{\"error\":{\"message\":\"m\",\"code\":429},\"choices\":[{\"index\":0,\"finish_reason\":\"error\"}]"
         "}",
         -1, 429},
        {"{\"error\":{\"message\":\"m\",\"code\":401}}", -1, 502},
        {"{\"error\":{\"message\":\"m\",\"status\":400}}", -1, 400},
        {"{\"error\":\"m\"}", -1, 502},
        {"{\"error\":null,\"choices\":[]}", 0, 0},
        {"{\"error\":{},\"choices\":[]}", 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin("openrouter", false, false);
        assert_int_equal(t.provider->read_answer(&t.r, str_of(cases[i].body), &t.f), cases[i].rc);
        if (cases[i].rc != 0)
            assert_int_equal(t.f.status, cases[i].status);
        down(NULL);
    }
    begin("openai", false, false);
}

/* ---- requests */

static void requests_are_put_in_the_provider_s_words(void **state)
{
    (void)state;
    static const struct {
        const char *type, *in, *out, *dropped;
    } cases[] = {
        {"mistral",
         "{\"model\":\"m\",\"seed\":3,\"max_completion_tokens\":9,\"logit_bias\":{\"1\":2},\"user\":\"u\","
         "\"x\":1}",
         "{\"model\":\"m\",\"random_seed\":3,\"max_tokens\":9,\"x\":1}", "logit_bias, user"},
        {"mistral", "{\"stream_options\":{\"include_usage\":true},\"logprobs\":false,\"store\":null,\"n\":2}",
         "{\"n\":2}", ""},
        {"mistral",
         "{\"messages\":[{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"tool\",\"tool_call_id\":"
         "\"Ab3De6Gh9\"}]}",
         "{\"messages\":[{\"role\":\"system\",\"content\":\"d\"},{\"role\":\"tool\",\"tool_call_id\":"
         "\"Ab3De6Gh9\"}]}",
         ""},
        {"ollama", "{\"max_completion_tokens\":9}", "{\"max_tokens\":9}", ""},
        {"ollama", "{\"max_completion_tokens\":9,\"max_tokens\":8}", "{\"max_tokens\":8}", ""},
        {"deepseek", "{ \"messages\": [ {\"role\": \"developer\"} ] }",
         "{\"messages\":[ {\"role\": \"system\"} ]}", ""},
        {"openai", "{ \"max_completion_tokens\": 9, \"messages\": [ {\"role\": \"developer\"} ] }", NULL, ""},
        {"groq", "{ \"seed\":3, \"user\":\"u\" }", NULL, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        translation_init(&t, EP_CHAT, cases[i].type);
        t.r.match.rest = STR("/chat/completions");
        t.r.body = str_of(cases[i].in);
        assert_int_equal(t.provider->build(&t.r, &t.conf, t.r.model, &call, &t.f), 0);
        assert_str(call.body, cases[i].out ? cases[i].out : cases[i].in);
        assert_str(call.dropped, cases[i].dropped);
        down(NULL);
    }
    begin("openai", false, false);
}

/* Mistral takes ids of nine letters and digits: a call's and its result's stay the same. */
static void foreign_ids_become_mistral_s(void **state)
{
    (void)state;
    translation_init(&t, EP_CHAT, "mistral");
    t.r.match.rest = STR("/chat/completions");
    t.r.body =
        STR("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"call_1\",\"function\":{}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_1\"}]}");
    assert_int_equal(t.provider->build(&t.r, &t.conf, t.r.model, &call, &t.f), 0);
    struct str id = openai_call_id(&t.arena, STR("call_1"), true);
    assert_int_equal(id.n, 9);
    struct str want = arena_printf(&t.arena,
                                   "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"%.9s\","
                                   "\"function\":{}}]},{\"role\":\"tool\",\"tool_call_id\":\"%.9s\"}]}",
                                   id.p, id.p);
    assert_str(call.body, want.p);
}

static void usage_is_not_asked_of_those_who_refuse(void **state)
{
    (void)state;
    begin("mistral", true, false);
    assert_false(call.usage_added);
    assert_lacks(call.body, "stream_options");
    down(NULL);
    begin("openai", true, false);
    assert_true(call.usage_added);
}

static void responses_pass_where_the_preset_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum conf_responses responses;
        bool passes;
    } cases[] = {
        {"openai", RESPONSES_AUTO, true},   {"openai", RESPONSES_FALSE, false},
        {"mistral", RESPONSES_AUTO, false}, {"mistral", RESPONSES_TRUE, true},
        {"xai", RESPONSES_AUTO, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        translation_init(&t, EP_RESPONSES, cases[i].type);
        t.conf.responses = cases[i].responses;
        assert_int_equal(t.provider->passes(&t.r, &t.conf, STR("m")), cases[i].passes);
        t.r.match.endpoint = EP_MESSAGES;
        assert_false(t.provider->passes(&t.r, &t.conf, STR("m")));
        t.r.match.endpoint = EP_CHAT;
        assert_true(t.provider->passes(&t.r, &t.conf, STR("m")));
        down(NULL);
    }
    begin("openai", false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(ordinary_events_stay_as_they_are, down),
        cmocka_unit_test_teardown(what_sdks_could_not_read_is_mended, down),
        cmocka_unit_test_teardown(a_call_gets_index_id_and_type, down),
        cmocka_unit_test_teardown(calls_are_numbered_anew, down),
        cmocka_unit_test_teardown(a_call_is_named_once, down),
        cmocka_unit_test_teardown(a_calls_type_stays, down),
        cmocka_unit_test_teardown(a_choice_begins_with_its_role, down),
        cmocka_unit_test_teardown(later_annotations_get_an_index, down),
        cmocka_unit_test_teardown(mending_leaves_nothing_behind, down),
        cmocka_unit_test_teardown(usage_is_found_where_groq_has_it, down),
        cmocka_unit_test_teardown(errors_look_like_errors, down),
        cmocka_unit_test_teardown(a_choice_may_carry_the_error, down),
        cmocka_unit_test_teardown(only_perplexity_may_end_without_a_word, down),
        cmocka_unit_test_teardown(thinking_counts_once, down),
        cmocka_unit_test_teardown(whole_answers_are_mended, down),
        cmocka_unit_test_teardown(an_error_in_a_200_is_one, down),
        cmocka_unit_test_teardown(requests_are_put_in_the_provider_s_words, down),
        cmocka_unit_test_teardown(foreign_ids_become_mistral_s, down),
        cmocka_unit_test_teardown(usage_is_not_asked_of_those_who_refuse, down),
        cmocka_unit_test_teardown(responses_pass_where_the_preset_has_them, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

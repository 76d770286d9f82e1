/* OpenAI's chat towards providers: what each of those who speak it is sent. */
#include "openai_translate.h"

static const char history[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"q\"},"
    "{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"think\",\"tool_calls\":[{\"id\":\"call_"
    "0123456789\","
    "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"call_0123456789\",\"content\":\"r\"}]}";

static void a_conversation_is_sent(void **state)
{
    (void)state;
    struct str body = sent("openai", "gpt-x", history);
    assert_str(t.out.path, "/v1/chat/completions");
    assert_str(t.out.headers, "content-type: application/json\r\n");
    assert_str(
        body,
        "{\"model\":\"gpt-x\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
        "\"content\":\"q\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
        "\"call_0123456789\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"call_0123456789\",\"content\":\"r\"}]}");
    body = sent("mistral", "m", history);
    struct str id = openai_call_id(&t.arena, STR("call_0123456789"), true);
    assert_int_equal(times(body, arena_copy(&t.arena, id).p), 2);
    assert_false(holds(body, "think"));
    assert_holds(sent("deepseek", "m", history), "\"content\":null,\"reasoning_content\":\"think\"");
}

static void instructions_are_first_where_a_template_wants_them(void **state)
{
    (void)state;
    static const char body[] =
        "{\"messages\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"developer\",\"content\":\"b\"},{"
        "\"role\":\"user\",\"content\":\"c\"},{\"role\":\"system\",\"content\":\"d\"},{\"role\":"
        "\"assistant\","
        "\"content\":\"e\"},{\"role\":\"system\",\"content\":\"f\"}]}";
    assert_holds(
        sent("openai", "gpt-x", body),
        "{\"role\":\"system\",\"content\":\"d\"},{\"role\":\"assistant\",\"content\":\"e\"},{\"role\":"
        "\"system\",\"content\":\"f\"}]");
    assert_holds(
        sent("vllm", "m", body),
        "\"messages\":[{\"role\":\"system\",\"content\":\"a\\nb\"},{\"role\":\"user\",\"content\":"
        "\"c\\n<system>\\nd\\n</system>\"},{\"role\":\"assistant\",\"content\":\"e\"},{\"role\":\"user\","
        "\"content\":\"<system>\\nf\\n</system>\"}]");
    assert_holds(sent("vllm", "m", "{\"messages\":[{\"role\":\"system\",\"content\":\"a\"}]}"),
                 "[{\"role\":\"user\",\"content\":\"a\"}]");
    assert_holds(
        sent("ollama", "m",
             "{\"messages\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"c\"}]"
             ",\"response_format\":{\"type\":\"json_object\"}}"),
        "[{\"role\":\"system\",\"content\":\"Answer with a JSON object.\\n\\na\"},{\"role\":\"user\"");
}

static void streams_are_asked_for_usage(void **state)
{
    (void)state;
    static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}";
    again("openai");
    sent("openai", "m", body);
    assert_false(holds(t.out.body, "stream"));
    t.r.stream = true;
    t.r.chat->stream = true;
    buf_reset(&t.out.room);
    assert_int_equal(t.provider->write_chat(&t.call), 0);
    assert_holds(t.out.body, "\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    sent("mistral", "m", body);
    t.r.chat->stream = true;
    buf_reset(&t.out.room);
    assert_int_equal(t.provider->write_chat(&t.call), 0);
    assert_holds(t.out.body, "\"stream\":true}");
}

static void parameters_go_by_the_vendor_s_names(void **state)
{
    (void)state;
    static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"max_tokens\":2000,"
                               "\"temperature\":0.3,\"top_k\":4,\"seed\":5,"
                               "\"n\":1,\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\"],\"logit_bias\":{\"9\":1},"
                               "\"user\":\"u\",\"reasoning_effort\":\"high\","
                               "\"verbosity\":\"low\",\"parallel_tool_calls\":true}";
    struct str out = sent("openai", "gpt-4.1", body);
    assert_holds(
        out,
        "\"max_completion_tokens\":1000,\"temperature\":0.3,\"logit_bias\":{\"9\":1},\"verbosity\":\"low\","
        "\"stop\":[\"1\",\"2\",\"3\",\"4\"],\"seed\":5,\"user\":\"u\"");
    assert_false(holds(out, "top_k") || holds(out, "\"n\"") || holds(out, "effort") ||
                 holds(out, "parallel"));
    assert_true(taken(PARAM_N) && taken(PARAM_PARALLEL_TOOLS) && adjusted(PARAM_STOP) &&
                adjusted(PARAM_MAX_TOKENS));
    assert_false(taken(PARAM_TOP_K) || taken(PARAM_THINKING));
    out = sent("azure", "o3", body);
    assert_holds(out, "\"reasoning_effort\":\"high\"");
    assert_false(holds(out, "temperature") || holds(out, "logit_bias") || holds(out, "\"stop\""));
    assert_true(adjusted(PARAM_TEMPERATURE) && adjusted(PARAM_STOP));
    out = sent("mistral", "mistral-small", body);
    assert_holds(
        out,
        "\"max_tokens\":1000,\"temperature\":0.3,\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\"],\"random_seed\":5,"
        "\"reasoning_effort\":\"high\"");
    assert_false(taken(PARAM_LOGIT_BIAS) || taken(PARAM_USER));
    out = sent("vllm", "m", body);
    assert_holds(out, "\"top_k\":4");
    assert_true(taken(PARAM_TOP_K));
}

static void thinking_is_asked_for_in_many_ways(void **state)
{
    (void)state;
#define THINK(x) "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]," x "}"
#define BUDGET   THINK("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}")
#define OFF      THINK("\"reasoning_effort\":\"none\"")
#define MINIMAL  THINK("\"reasoning_effort\":\"minimal\"")
    static const struct {
        const char *type, *model, *body, *found; /* NULL: nothing of it */
        bool adjusted;
    } cases[] = {
        {"openai", "gpt-5", BUDGET, "\"reasoning_effort\":\"medium\"", false},
        {"openai", "gpt-5", OFF, "\"reasoning_effort\":\"minimal\"", true},
        {"openai", "gpt-5.2", OFF, "\"reasoning_effort\":\"none\"", false},
        {"openai", "gpt-4o", OFF, NULL, false},
        {"openai", "o4-mini", MINIMAL, "\"reasoning_effort\":\"low\"", true},
        {"openai", "gpt-5", MINIMAL, "\"reasoning_effort\":\"minimal\"", false},
        {"groq", "openai/gpt-oss-20b", MINIMAL, "\"reasoning_effort\":\"low\"", true},
        {"groq", "openai/gpt-oss-20b", OFF, NULL, true},
        {"deepseek", "m", BUDGET, "\"thinking\":{\"type\":\"enabled\"}", false},
        {"deepseek", "m", OFF, "\"thinking\":{\"type\":\"disabled\"}", false},
        {"openrouter", "m", BUDGET, "\"reasoning\":{\"max_tokens\":2048}", false},
        {"openrouter", "m", OFF, "\"reasoning\":{\"enabled\":false}", false},
        {"alibaba", "m", BUDGET, "\"enable_thinking\":true,\"thinking_budget\":2048", false},
        {"mistral", "magistral-small", OFF, NULL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str out = sent(cases[i].type, cases[i].model, cases[i].body);
        if (cases[i].found)
            assert_holds(out, cases[i].found);
        else
            assert_false(holds(out, "reasoning") || holds(out, "thinking"));
        assert_int_equal(adjusted(PARAM_THINKING), cases[i].adjusted);
    }
}

static void tools_are_sent(void **state)
{
    (void)state;
#define TOOLS(choice)                                                                                        \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"tools\":[{\"type\":\"function\",\"function\":{" \
    "\"name\":\"f\","                                                                                        \
    "\"description\":\"d\",\"parameters\":{\"type\":\"object\"},\"strict\":true}},{\"type\":\"function\","   \
    "\"function\":{\"name\":"                                                                                \
    "\"g\"}}]," choice ",\"parallel_tool_calls\":false}"
    assert_holds(
        sent("openai", "m", TOOLS("\"tool_choice\":\"required\"")),
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
        "{\"type\":"
        "\"object\"},\"strict\":true}},{\"type\":\"function\",\"function\":{\"name\":\"g\",\"parameters\":{"
        "\"type\":"
        "\"object\",\"properties\":{}}}}],\"tool_choice\":\"required\",\"parallel_tool_calls\":false");
    assert_holds(sent("mistral", "m", TOOLS("\"tool_choice\":\"required\"")), "\"tool_choice\":\"any\"");
    assert_holds(sent("openai", "m", TOOLS("\"tool_choice\":\"none\"")), "\"tool_choice\":\"none\"");
    assert_holds(
        sent("openai", "m", TOOLS("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}")),
        "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}");
    struct str out = sent(
        "openai", "m",
        TOOLS("\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":"
              "[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}}"));
    assert_holds(out, "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\"");
    assert_holds(out, "\"tool_choice\":\"auto\"");
    assert_false(holds(out, "\"f\""));
}

static void json_is_asked_for(void **state)
{
    (void)state;
#define FORMAT(text, format) \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}],\"response_format\":" format "}"
#define SCHEMA(strict, schema) \
    "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":" schema strict "}}"
#define CLOSED                                                                                          \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}," \
    "\"required\":[\"a\"],"                                                                             \
    "\"additionalProperties\":false}"
    assert_holds(sent("openai", "m", FORMAT("as JSON", "{\"type\":\"json_object\"}")),
                 "\"messages\":[{\"role\":\"user\",\"content\":\"as "
                 "JSON\"}],\"response_format\":{\"type\":\"json_object\"}");
    assert_holds(sent("openai", "m", FORMAT("q", "{\"type\":\"json_object\"}")),
                 "\"messages\":[{\"role\":\"system\",\"content\":\"Answer with a JSON object.\"},");
    assert_holds(sent("openai", "m", FORMAT("q", SCHEMA("", CLOSED))), CLOSED ",\"strict\":true}}");
    assert_holds(sent("openai", "m", FORMAT("q", SCHEMA("", "{\"type\":\"object\"}"))),
                 "\"schema\":{\"type\":\"object\"}}}");
    assert_holds(sent("openai", "m", FORMAT("q", SCHEMA(",\"strict\":false", CLOSED))),
                 CLOSED ",\"strict\":false}}");
    struct str out = sent("deepseek", "m", FORMAT("q", SCHEMA("", CLOSED)));
    assert_holds(out, "\"response_format\":{\"type\":\"json_object\"}");
    assert_holds(out,
                 "valid against this JSON schema, and with nothing else:\\n{\\\"type\\\":\\\"object\\\"");
}

static void media_goes_where_it_is_taken(void **state)
{
    (void)state;
#define PART(x) "{\"messages\":[{\"role\":\"user\",\"content\":[" x "]}]}"
#define PDF                                                                                      \
    PART("{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"data:application/" \
         "pdf;base64,JVBERi0=\"}}")
    assert_holds(sent("openai", "m", PDF), "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_"
                                           "data\":\"data:application/pdf;base64,JVBERi0=\"}}");
    assert_holds(sent("mistral", "m", PDF), "{\"type\":\"document_url\",\"document_url\":\"data:application/"
                                            "pdf;base64,JVBERi0=\",\"document_name\":");
    assert_int_equal(sent("groq", "m", PDF).n, 0);
    assert_int_equal(t.f.status, 400);
    assert_holds(
        sent("groq", "m",
             PART("{\"type\":\"file\",\"file\":{\"filename\":\"n.txt\",\"file_data\":\"data:text/plain;"
                  "base64,aGk=\"}},{\"type\":\"text\",\"text\":\"q\"}")),
        "\"content\":[{\"type\":\"text\",\"text\":\"n.txt:\\nhi\"},{\"type\":\"text\",\"text\":\"q\"}]");
    assert_holds(
        sent("openai", "m",
             PART("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"QQ==\",\"format\":\"mp3\"}}")),
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"QQ==\",\"format\":\"mp3\"}}");
}

static void long_names_are_shortened_and_come_back(void **state)
{
    (void)state;
    static const char name[] =
        "very.long/name_0123456789_0123456789_0123456789_0123456789_0123456789_0123456789";
    struct str body = arena_printf(
        &t.arena,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"tools\":[{\"type\":\"function\","
        "\"function\":{\"name\":\"%s\"}}]}",
        name);
    char copy[512];
    assert_int_equal(str_copy(copy, sizeof(copy), body), 0);
    assert_false(holds(sent("openai", "m", copy), name));
    struct str alias = openai_tool_name(&t.arena, str_of(name));
    assert_int_equal(alias.n, 64);
    assert_holds(t.out.body, arena_copy(&t.arena, alias).p);
    assert_str(openai_own_name(t.r.chat, alias, &t.arena), name);
    assert_str(openai_own_name(t.r.chat, STR("other"), &t.arena), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_conversation_is_sent),
        TEST(instructions_are_first_where_a_template_wants_them),
        TEST(streams_are_asked_for_usage),
        TEST(parameters_go_by_the_vendor_s_names),
        TEST(thinking_is_asked_for_in_many_ways),
        TEST(tools_are_sent),
        TEST(json_is_asked_for),
        TEST(media_goes_where_it_is_taken),
        TEST(long_names_are_shortened_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

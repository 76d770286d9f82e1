/* Claude's API as a provider's: what passes, what is written for whom, and what is read from answers, streams
 * and errors. */
#include "translate_test.h"

#include "anthropic_chat.h"

static void start(enum endpoint caller)
{
    translation_init(&t, caller, "anthropic");
    t.conf.base_url = "https://h.example";
    t.r.wants_usage = true;
}

static void restart(enum endpoint caller)
{
    down(NULL);
    start(caller);
}

/* A caller's body for a model of that name: t.out.body; 0 or -1. */
static int ask(enum endpoint caller, const char *model, const char *body)
{
    restart(caller);
    t.r.match.dialect = caller == EP_MESSAGES ? DIALECT_ANTHROPIC : DIALECT_OPENAI;
    t.r.body = str_of(body);
    assert_int_equal(json_validate(t.r.body, NULL), 0);
    if (chat_read(&t.r, &t.f) != 0)
        return -1;
    int rc = t.provider->write_chat(translation_call(&t, t.r.chat, model));
    if (rc == 0)
        assert_int_equal(json_validate(t.out.body, NULL), 0);
    return rc;
}

static struct str member(const char *path)
{
    const char *const paths[] = {path};
    struct json_value v[1];
    assert_int_equal(json_scan(t.out.body, paths, 1, v, NULL), 0);
    return v[0].raw;
}

#define SAYS(role, text) "{\"role\":\"" role "\",\"content\":\"" text "\"}"

/* ---- passing */

static void header(const char *name, const char *value)
{
    t.head.headers[t.head.n++] = (struct http_header){str_of(name), str_of(value)};
}

static void a_call_passes_with_nothing_changed_but_the_name(void **state)
{
    (void)state;
    restart(EP_MESSAGES);
    t.r.match.rest = STR("/messages");
    t.r.body = STR("{ \"new\": [1.0], \"model\" : \"caller-model\" }");
    t.head.query = STR("x=1&beta=true&key=k");
    header("anthropic-beta", "b-1,b-2");
    header("anthropic-version", "2030-02-03");
    header("cookie", "c");
    assert_true(t.provider->passes(&t.r, &t.conf, STR("m")));
    assert_int_equal(t.provider->build(&t.r, &t.conf, STR("claude-x"), &t.out, &t.f), 0);
    assert_str(t.out.path, "/v1/messages?beta=true");
    assert_str(t.out.body, "{ \"new\": [1.0], \"model\" : \"claude-x\" }");
    assert_str(t.out.headers, "content-type: application/json\r\nanthropic-version: 2030-02-03\r\n"
                              "anthropic-beta: b-1,b-2\r\n");
}

static void paths_are_put_together(void **state)
{
    (void)state;
    static const struct {
        enum endpoint endpoint;
        const char *base, *rest, *query, *path;
    } cases[] = {
        {EP_MESSAGES, "https://h", "/messages", "", "/v1/messages"},
        {EP_MESSAGES, "https://h/v1", "/messages", "", "/v1/messages"},
        {EP_MESSAGES, "https://h/anthropic/", "/messages", "beta=false", "/anthropic/v1/messages"},
        {EP_COUNT_TOKENS, "https://h/a/v1", "/messages/count_tokens", "", "/a/v1/messages/count_tokens"},
        {EP_NATIVE, "https://h/v1", "/v1/messages/batches", "limit=2", "/v1/messages/batches?limit=2"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        restart(cases[i].endpoint);
        t.conf.base_url = cases[i].base;
        t.r.match.rest = str_of(cases[i].rest);
        t.r.body = STR("{}");
        t.head.query = str_of(cases[i].query);
        assert_int_equal(t.provider->build(&t.r, &t.conf, STR("caller-model"), &t.out, &t.f), 0);
        assert_str(t.out.path, cases[i].path);
        assert_holds(t.out.headers, "anthropic-version: 2023-06-01\r\n");
    }
}

static void what_others_left_in_a_conversation_does_not_pass(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "{\"type\":\"tool_use\",\"extra_content\":{\"google\":{}}}",
        "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"\"}",
        "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\": \"openai:abc\"}",
        "{\"type\":\"redacted_thinking\",\"data\":\"openai:abc\"}",
    };
    restart(EP_MESSAGES);
    t.r.body =
        STR("{\"text\":\"say \\\"extra_content\\\" and \\\"signature\\\":\\\"\\\"\",\"signature\":\"Eq==\"}");
    assert_true(t.provider->passes(&t.r, &t.conf, STR("m")));
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        t.r.body = str_of(foreign[i]);
        assert_false(t.provider->passes(&t.r, &t.conf, STR("m")));
    }
    t.r.match.endpoint = EP_CHAT;
    t.r.body = STR("{}");
    assert_false(t.provider->passes(&t.r, &t.conf, STR("m")));
    t.r.match.endpoint = EP_NATIVE;
    assert_true(t.provider->passes(&t.r, &t.conf, STR("m")));
}

static struct stream_event event(const char *name, const char *data)
{
    struct sse_event ev = {.name = str_of(name), .data = str_of(data), .has_data = true};
    return t.provider->read_event(&t.r, &ev);
}

static void a_passing_stream_is_metered(void **state)
{
    (void)state;
    restart(EP_MESSAGES);
    struct stream_event e =
        event("message_start", "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7,"
                               "\"cache_read_input_tokens\":20,\"cache_creation_input_tokens\":300,"
                               "\"output_tokens\":1}}}");
    assert_false(e.usage || e.last || e.error || t.r.tokens_known);
    assert_int_equal(t.r.told.input, 327);
    e = event("content_block_delta",
              "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\\\"bc\"}}");
    assert_int_equal(e.text_bytes, 5);
    assert_int_equal(event("ping", "{\"type\": \"ping\"}").text_bytes, 0);
    e = event("message_delta", "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":55,"
                               "\"output_tokens_details\":{\"thinking_tokens\":5}}}");
    assert_true(e.usage && t.r.tokens_known);
    assert_int_equal(t.r.tokens.input, 327);
    assert_int_equal(t.r.tokens.cached, 20);
    assert_int_equal(t.r.tokens.cache_write, 300);
    assert_int_equal(t.r.tokens.output, 55);
    assert_int_equal(t.r.tokens.reasoning, 5);
    assert_true(event("message_stop", "{\"type\":\"message_stop\"}").last);
    assert_true(event("", "{\"type\":\"message_stop\"}").last);
    assert_true(event("error", "{\"type\":\"error\",\"error\":{}}").error);
}

static void a_later_count_of_the_input_counts(void **state)
{
    (void)state;
    restart(EP_MESSAGES);
    event("message_start", "{\"message\":{\"usage\":{\"input_tokens\":700,\"output_tokens\":1}}}");
    event("message_delta", "{\"usage\":{\"input_tokens\":1600,\"cache_read_input_tokens\":null,"
                           "\"output_tokens\":9}}");
    assert_int_equal(t.r.tokens.input, 1600);
    assert_int_equal(t.r.tokens.output, 9);
}

/* A relay's doings: the same start twice, or that of another message before the first has ended. */
static void a_message_starts_once(void **state)
{
    (void)state;
    restart(EP_MESSAGES);
    static const char first[] = "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_a\",\"usage\":{"
                                "\"input_tokens\":12,\"output_tokens\":2}}}";
    assert_int_equal(event("message_start", first).instead.n, 0);
    struct stream_event e = event("message_start", first);
    assert_false(e.error);
    assert_str(e.instead, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
    assert_int_equal(t.r.told.input, 12);
    e = event("message_start", "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_b\",\"usage\":{"
                               "\"input_tokens\":900}}}");
    assert_true(e.error);
    assert_true(str_starts(e.instead, STR("event: error\ndata: {\"type\":\"error\",")));
    assert_int_equal(t.r.told.input, 12);
    /* and SDKs know events by their names */
    assert_str(event("", "{\"type\":\"content_block_stop\",\"index\":0}").instead,
               "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    restart(EP_NATIVE); /* whose bytes are none of ours */
    assert_int_equal(event("", "{\"type\":\"content_block_stop\",\"index\":0}").instead.n, 0);
    event("message_start", first);
    assert_int_equal(event("message_start", first).instead.n, 0);
}

static void passing_answers_are_metered(void **state)
{
    (void)state;
    restart(EP_MESSAGES);
    assert_int_equal(t.provider->read_answer(&t.r,
                                             STR("{\"type\":\"message\",\"content\":[],\"usage\":{"
                                                 "\"input_tokens\":3,\"output_tokens\":4}}"),
                                             &t.f),
                     0);
    assert_int_equal(t.r.tokens.input, 3);
    assert_int_equal(t.provider->read_answer(&t.r, STR("<html>"), &t.f), -1);
    assert_int_equal(t.f.status, 502);
    assert_int_equal(t.provider->read_answer(
                         &t.r, STR("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}"), &t.f),
                     -1);
    assert_int_equal(t.f.status, 503);
}

/* ---- errors */

static void errors_keep_their_words_and_get_their_codes(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        int want;
        const char *code, *message;
    } cases[] = {
        {529, "{\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}", 503, NULL, "Busy"},
        {429, "{\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow\"}}", 429, "rate_limit_exceeded",
         "Slow"},
        {404, "{\"error\":{\"type\":\"not_found_error\",\"message\":\"model: x\"}}", 404, "model_not_found",
         "model: x"},
        {400,
         "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 9 tokens > 8 "
         "maximum\"}}",
         400, "context_length_exceeded", "prompt is too long: 9 tokens > 8 maximum"},
        {400,
         "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Output blocked by content filtering "
         "policy\"}}",
         400, "content_filter", "Output blocked by content filtering policy"},
        {413, "<html>too large</html>", 413, NULL, "The request is larger than the provider takes."},
        {500, "", 500, NULL, "The provider answered with status 500."},
        {400, "{\"error\":\"plain\"}", 400, NULL, "plain"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        restart(EP_CHAT);
        t.provider->read_error(&t.r, cases[i].status, &t.head, str_of(cases[i].body), &t.f);
        assert_int_equal(t.f.status, cases[i].want);
        assert_str(t.f.message, cases[i].message);
        assert_str(str_of(t.f.code), cases[i].code ? cases[i].code : "");
    }
}

/* ---- requests */

static void max_tokens_are_always_told(void **state)
{
    (void)state;
    assert_int_equal(ask(EP_CHAT, "claude-haiku-4-5", "{\"messages\":[" SAYS("user", "hi") "]}"), 0);
    assert_str(t.out.body,
               "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":4096,\"messages\":[{\"role\":\"user\","
               "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]}");
    assert_str(t.out.path, "/v1/messages");
    assert_str(t.out.headers, "content-type: application/json\r\nanthropic-version: 2023-06-01\r\n");
    assert_int_equal(
        ask(EP_CHAT, "m",
            "{\"max_completion_tokens\":77,\"stream\":true,\"messages\":[" SAYS("user", "hi") "]}"),
        0);
    assert_str(member("max_tokens"), "77");
}

static void turns_are_merged_filled_and_begin_with_the_user(void **state)
{
    (void)state;
    assert_int_equal(
        ask(EP_CHAT, "m",
            "{\"messages\":[" SAYS("system", "one") "," SAYS("developer", "two") "," SAYS(
                "assistant", "hello") "," SAYS("user", "a") "," SAYS("user",
                                                                     "  ") "," SAYS("user",
                                                                                    "b") "," SAYS("assistant",
                                                                                                  " ") "]}"),
        0);
    assert_str(member("system"),
               "[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"text\",\"text\":\"two\"}]");
    assert_str(member("messages"),
               "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\".\"}]},"
               "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]},"
               "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
               "\"text\":\"b\"}]}]");
}

static void the_beginning_of_an_answer_ends_without_spaces(void **state)
{
    (void)state;
    assert_int_equal(
        ask(EP_CHAT, "m", "{\"messages\":[" SAYS("user", "a") "," SAYS("assistant", "It is \\n") "]}"), 0);
    assert_holds(t.out.body, "\"text\":\"It is\"");
}

static void results_stand_first_and_instructions_behind_them(void **state)
{
    (void)state;
    static const char body[] = "{\"messages\":[" SAYS(
        "user",
        "go") ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
              "{\"id\":\"c.1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},"
              "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"x\\\":"
              "1}\"}}]},"
              "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"two\"}," SAYS(
                  "system", "be brief") ","
                                        "{\"role\":\"tool\",\"tool_call_id\":\"c.1\",\"content\":\"\"}," SAYS(
                                            "user", "and?") "],"
                                                            "\"tools\":[{\"type\":\"function\",\"function\":{"
                                                            "\"name\":\"f\"}}]}";
    assert_int_equal(ask(EP_CHAT, "claude-sonnet-4-5", body), 0);
    assert_holds(member("messages"), "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c_"
                                     "1_5b88af38\",\"name\":\"f\",\"input\":{}},"
                                     "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"g\",\"input\":{\"x\":1}"
                                     "}]},{\"role\":\"user\",\"content\":["
                                     "{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":\"two\"},"
                                     "{\"type\":\"tool_result\",\"tool_use_id\":\"c_1_5b88af38\"},"
                                     "{\"type\":\"text\",\"text\":\"<system>\\nbe brief\\n</system>\"},"
                                     "{\"type\":\"text\",\"text\":\"and?\"}]}]");
    assert_str(member("tools"),
               "[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]");
    assert_int_equal(ask(EP_CHAT, "claude-opus-4-8", body), 0);
    assert_holds(member("messages"),
                 "{\"type\":\"text\",\"text\":\"and?\"}]},{\"role\":\"system\",\"content\":[{"
                 "\"type\":\"text\",\"text\":\"be brief\"}]}]");
}

/* Names that differ only in what Claude does not take. */
static void no_name_becomes_another_s(void **state)
{
    (void)state;
    assert_int_equal(
        ask(EP_CHAT, "m",
            "{\"messages\":[" SAYS(
                "user", "go") "],\"tools\":["
                              "{\"type\":\"function\",\"function\":{\"name\":\"a.b\"}},"
                              "{\"type\":\"function\",\"function\":{\"name\":\"a_b\"}},"
                              "{\"type\":\"function\",\"function\":{\"name\":\"a:b\"}}],"
                              "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"a:b\"}}}"),
        0);
    struct str tools = member("tools"), chosen = member("tool_choice");
    assert_int_equal(times(tools, "\"name\":\"a_b_"), 2);
    assert_int_equal(times(tools, "\"name\":\"a_b\""), 1);
    struct str name = arena_copy(&t.arena, json_text(json_member(json_root(chosen), "name"), &t.arena));
    assert_int_equal(times(tools, name.p), 1);
    assert_str(anthropic_tool_named(t.r.chat, name, &t.arena), "a:b");
}

static void a_history_with_calls_has_tools(void **state)
{
    (void)state;
    assert_int_equal(ask(EP_CHAT, "m",
                         "{\"messages\":[" SAYS(
                             "user", "go") ",{\"role\":\"assistant\",\"tool_calls\":["
                                           "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"
                                           "\"f\",\"arguments\":\"[1]\"}},"
                                           "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":"
                                           "\"f\",\"arguments\":\"{}\"}}]},"
                                           "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r\"},"
                                           "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"r\"}]}"),
                     0);
    assert_str(member("tools"),
               "[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]");
    assert_str(member("tool_choice"), "{\"type\":\"none\"}");
    assert_holds(t.out.body, "\"input\":{\"_raw\":\"[1]\"}");
}

static void choices_of_tools(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *want;
    } cases[] = {
        {"\"tool_choice\":\"auto\"", "{\"type\":\"auto\"}"},
        {"\"tool_choice\":\"none\",\"parallel_tool_calls\":false", "{\"type\":\"none\"}"},
        {"\"tool_choice\":\"required\"", "{\"type\":\"any\"}"},
        {"\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}",
         "{\"type\":\"tool\",\"name\":\"g\"}"},
        {"\"parallel_tool_calls\":false", "{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"},
        {"\"tool_choice\":\"required\",\"parallel_tool_calls\":false",
         "{\"type\":\"any\",\"disable_parallel_tool_use\":true}"},
        {"\"parallel_tool_calls\":true", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body),
                 "{%s,\"messages\":[" SAYS(
                     "user", "a") "],\"tools\":[{\"type\":\"function\",\"function\":{"
                                  "\"name\":\"f\"}},{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}",
                 cases[i].asked);
        assert_int_equal(ask(EP_CHAT, "claude-sonnet-4-5", body), 0);
        assert_str(member("tool_choice"), cases[i].want);
    }
}

static void only_the_allowed_tools_are_listed(void **state)
{
    (void)state;
    assert_int_equal(
        ask(EP_CHAT, "m",
            "{\"messages\":[" SAYS("user",
                                   "a") "],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"
                                        "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}],\"tool_"
                                        "choice\":{\"type\":\"allowed_tools\","
                                        "\"allowed_tools\":{\"mode\":\"required\",\"tools\":[{\"type\":"
                                        "\"function\",\"function\":{\"name\":\"g\"}}]}}}"),
        0);
    assert_str(member("tools"),
               "[{\"name\":\"g\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]");
    assert_str(member("tool_choice"), "{\"type\":\"any\"}");
}

static void sampling_by_generation(void **state)
{
    (void)state;
    static const struct {
        const char *model, *asked, *temperature, *top_p;
        bool dropped, changed;
    } cases[] = {
        {"claude-3-5-haiku-20241022", "\"temperature\":0.3,\"top_p\":0.5", "0.3", "0.5", false, false},
        {"claude-3-5-haiku-20241022", "\"temperature\":1.7", "1", "", false, true},
        {"claude-sonnet-4-5-20250929", "\"temperature\":0.3,\"top_p\":0.5", "0.3", "", false, false},
        {"claude-sonnet-4-5-20250929", "\"top_p\":0.5", "", "0.5", false, false},
        {"claude-opus-4-7", "\"temperature\":0.3,\"top_p\":0.5", "", "", true, false},
        {"claude-fable-5", "\"temperature\":1", "1", "", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[256];
        snprintf(body, sizeof(body), "{%s,\"messages\":[" SAYS("user", "a") "]}", cases[i].asked);
        assert_int_equal(ask(EP_CHAT, cases[i].model, body), 0);
        assert_str(member("temperature"), cases[i].temperature);
        assert_str(member("top_p"), cases[i].top_p);
        if (t.r.chat->params[PARAM_TEMPERATURE].name)
            assert_int_equal(taken(PARAM_TEMPERATURE), !cases[i].dropped);
        assert_int_equal(adjusted(PARAM_TEMPERATURE), cases[i].changed);
    }
}

static void thinking_by_generation(void **state)
{
    (void)state;
    static const struct {
        const char *model, *asked, *thinking, *effort;
        bool changed;
    } cases[] = {
        {"claude-3-5-sonnet-20240620", "\"reasoning_effort\":\"high\"", "", "", false},
        {"claude-sonnet-4-5", "\"reasoning_effort\":\"medium\"",
         "{\"type\":\"enabled\",\"budget_tokens\":2048}", "", false},
        {"claude-sonnet-4-5", "\"reasoning_effort\":\"high\",\"max_tokens\":3000",
         "{\"type\":\"enabled\",\"budget_tokens\":2999}", "", false},
        {"claude-sonnet-4-5", "\"reasoning_effort\":\"low\",\"max_tokens\":500", "", "", true},
        {"claude-sonnet-4-5", "\"reasoning_effort\":\"none\"", "", "", false},
        {"claude-opus-4-6", "\"reasoning_effort\":\"high\"", "{\"type\":\"adaptive\"}", "\"high\"", false},
        {"claude-opus-4-6", "\"reasoning_effort\":\"xhigh\"", "{\"type\":\"adaptive\"}", "\"high\"", true},
        {"claude-opus-4-7", "\"reasoning_effort\":\"minimal\"",
         "{\"type\":\"adaptive\",\"display\":\"summarized\"}", "\"low\"", true},
        {"claude-opus-4-8", "\"reasoning_effort\":\"none\"", "{\"type\":\"disabled\"}", "", false},
        {"claude-opus-5-5", "\"reasoning_effort\":\"none\"", "", "\"low\"", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[256];
        snprintf(body, sizeof(body), "{%s,\"temperature\":0.5,\"messages\":[" SAYS("user", "a") "]}",
                 cases[i].asked);
        assert_int_equal(ask(EP_CHAT, cases[i].model, body), 0);
        assert_str(member("thinking"), cases[i].thinking);
        assert_str(member("output_config.effort"), cases[i].effort);
        assert_int_equal(adjusted(PARAM_THINKING), cases[i].changed);
        if (cases[i].thinking[0] && !holds(str_of(cases[i].thinking), "disabled"))
            assert_false(taken(PARAM_TEMPERATURE));
    }
}

static void a_forced_call_or_a_lost_block_ends_thinking_within_a_budget(void **state)
{
    (void)state;
#define TOOL_F ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]"
#define THINKS "{\"max_tokens\":5000,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}"
#define CALLED                                                                                             \
    "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{" \
    "\"type\":\"tool_result\",\"tool_use_id\":\"c\"}]}]}"
    ask(EP_MESSAGES, "claude-sonnet-4",
        THINKS TOOL_F ",\"tool_choice\":{\"type\":\"any\"},\"messages\":[" SAYS("user", "a") "]}");
    assert_str(member("thinking"), "");
    assert_true(adjusted(PARAM_THINKING));
    ask(EP_MESSAGES, "claude-sonnet-4",
        THINKS TOOL_F ",\"messages\":[" SAYS("user", "a") ",{\"role\":\"assistant\",\"content\":[" CALLED);
    assert_str(member("thinking"), "");
    ask(EP_MESSAGES, "claude-sonnet-4",
        THINKS TOOL_F ",\"messages\":[" SAYS(
            "user", "a") ",{\"role\":\"assistant\",\"content\":["
                         "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"Ab==\"}," CALLED);
    assert_str(member("thinking"), "{\"type\":\"enabled\",\"budget_tokens\":2000}");
    assert_holds(t.out.body,
                 "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"Ab==\"},{\"type\":\"tool_use\"");
    ask(EP_MESSAGES, "claude-opus-4-6", THINKS TOOL_F ",\"messages\":[" SAYS("user", "a") "]}");
    assert_str(member("thinking"), "{\"type\":\"enabled\",\"budget_tokens\":2000}");
    ask(EP_MESSAGES, "claude-opus-4-7", THINKS TOOL_F ",\"messages\":[" SAYS("user", "a") "]}");
    assert_str(member("thinking"), "{\"type\":\"adaptive\",\"display\":\"summarized\"}");
    assert_true(adjusted(PARAM_THINKING));
}

static void thinking_that_claude_cannot_check_stays_away(void **state)
{
    (void)state;
    assert_int_equal(
        ask(EP_MESSAGES, "m",
            "{\"max_tokens\":9,\"messages\":[" SAYS(
                "user", "a") ",{\"role\":\"assistant\",\"content\":["
                             "{\"type\":\"thinking\",\"thinking\":\"g\",\"signature\":\"google:x\"},"
                             "{\"type\":\"thinking\",\"thinking\":\"n\",\"signature\":\"\"},"
                             "{\"type\":\"redacted_thinking\",\"data\":\"openai:x\"},"
                             "{\"type\":\"text\",\"text\":\"said\",\"extra_content\":{\"google\":{\"thought_"
                             "signature\":\"s\"}}},"
                             "{\"type\":\"redacted_thinking\",\"data\":\"Mine\"}]}," SAYS("user", "b") "]}"),
        0);
    assert_holds(t.out.body,
                 "{\"role\":\"assistant\",\"content\":[{\"type\":\"redacted_thinking\",\"data\":\"Mine\"},"
                 "{\"type\":\"text\",\"text\":\"said\"}]}");
}

#define SCHEMA_ASKED                                                                                        \
    "{\"messages\":[" SAYS("user", "a") "],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{" \
                                        "\"name\":\"n\",\"schema\":%s}}}"

static void ask_for_schema(const char *model, const char *schema)
{
    static char body[2048]; /* the request's slices are its */
    snprintf(body, sizeof(body), SCHEMA_ASKED, schema);
    assert_int_equal(ask(EP_CHAT, model, body), 0);
}

static void schemas_are_told_as_claude_takes_them(void **state)
{
    (void)state;
    ask_for_schema(
        "claude-sonnet-4-5",
        "{\"type\":\"object\",\"$schema\":\"x\",\"required\":[\"minimum\"],\"properties\":{\"minimum\":{"
        "\"type\":\"integer\",\"description\":\"Years\",\"minimum\":0,\"maximum\":9},\"l\":{\"type\":"
        "\"array\",\"maxItems\":3,\"items\":{\"oneOf\":[{\"type\":\"string\",\"format\":\"email\"},{\"type\":"
        "\"string\",\"format\":\"zip\"}]}}}}");
    assert_str(member("output_config.format.type"), "\"json_schema\"");
    assert_str(
        member("output_config.format.schema"),
        "{\"type\":\"object\",\"required\":[\"minimum\"],\"properties\":{\"minimum\":{\"type\":\"integer\","
        "\"description\":\"Years (minimum: 0, maximum: 9)\"},\"l\":{\"type\":\"array\",\"items\":{\"anyOf\":["
        "{\"type\":\"string\",\"format\":\"email\"},{\"type\":\"string\",\"description\":\"(format: "
        "\\\"zip\\\")\"}"
        "]},\"description\":\"(maxItems: 3)\"}},\"additionalProperties\":false}");
    assert_str(member("tools"), "");
}

static void older_models_are_forced_by_a_tool_that_nobody_sees(void **state)
{
    (void)state;
    ask_for_schema("claude-sonnet-4-20250514", "{\"type\":\"object\",\"minProperties\":1}");
    assert_str(member("tools"),
               "[{\"name\":\"json_answer\",\"description\":\"Gives the answer.\",\"input_schema\":{"
               "\"type\":\"object\",\"minProperties\":1}}]");
    assert_str(member("tool_choice"),
               "{\"type\":\"tool\",\"name\":\"json_answer\",\"disable_parallel_tool_use\":true}");
    assert_int_equal(
        translate_answer(
            &t,
            STR("{\"id\":\"msg_1\",\"content\":[{\"type\":\"text\",\"text\":\"Here:\"},{\"type\":\"tool_"
                "use\","
                "\"id\":\"t\",\"name\":\"json_answer\",\"input\":{\"a\":1}}],\"stop_reason\":\"tool_use\"}")),
        0);
    assert_holds(buf_str(&t.text), "\"content\":\"{\\\"a\\\":1}\"");
    assert_holds(buf_str(&t.text), "\"finish_reason\":\"stop\"");
    assert_lacks(buf_str(&t.text), "tool_calls");
}

#define EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define BEGIN                                                                                \
    EVENT("message_start",                                                                   \
          ",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-m\",\"content\":[],\"usage\":{" \
          "\"input_tokens\":11,\"cache_read_input_tokens\":4,\"output_tokens\":1}}")
#define BLOCK(i, block) EVENT("content_block_start", ",\"index\":" i ",\"content_block\":" block)
#define DELTA(i, delta) EVENT("content_block_delta", ",\"index\":" i ",\"delta\":" delta)
#define STOP(i)         EVENT("content_block_stop", ",\"index\":" i)
#define END(why)                                                                                        \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" why "\"},\"usage\":{\"output_tokens\":42}") \
    EVENT("message_stop", "")

static void a_wrapped_answer_is_unwrapped_in_the_stream(void **state)
{
    (void)state;
    ask_for_schema("claude-3-haiku-20240307", "{\"type\":\"array\",\"items\":{}}");
    assert_holds(
        t.out.body,
        "\"input_schema\":{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"array\",\"items\":"
        "{}}},\"required\":[\"value\"]}");
    assert_int_equal(
        translate_sse(&t, STR(BEGIN BLOCK("0", "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"json_answer\","
                                               "\"input\":{}}")
                                  DELTA("0", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"val\"}")
                                      DELTA("0", "{\"type\":\"input_json_delta\",\"partial_json\":\"ue\\\":[1"
                                                 ",2]}\"}") STOP("0") END("tool_use"))),
        1);
    assert_holds(buf_str(&t.text), "{\"content\":\"[1,2]\"}");
    assert_holds(buf_str(&t.text), "\"finish_reason\":\"stop\"");
    assert_lacks(buf_str(&t.text), "tool_calls");
}

static void json_without_a_schema_is_asked_for_in_words(void **state)
{
    (void)state;
    assert_int_equal(
        ask(EP_CHAT, "m",
            "{\"messages\":[" SAYS("user", "a") "],\"response_format\":{\"type\":\"json_object\"}}"),
        0);
    assert_holds(member("system"), "JSON object");
}

static void images_and_files(void **state)
{
    (void)state;
    static const struct {
        const char *part, *want; /* want NULL: refused */
    } cases[] = {
        {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://h/i.png\"}}",
         "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://h/i.png\"}}"},
        {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpg;base64,AAAA\"}}",
         "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
         "jpeg\",\"data\":\"AAAA\"}}"},
        {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,/9j/AAAA\"}}",
         "\"media_type\":\"image/jpeg\""},
        {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/bmp;base64,QkAA\"}}", NULL},
        {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"gs://b/i.png\"}}", NULL},
        {"{\"type\":\"file\",\"file\":{\"filename\":\"f.pdf\",\"file_data\":\"data:application/"
         "pdf;base64,JVBERi0x\"}}",
         "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":"
         "\"JVBERi0x\"},\"title\":\"f.pdf\"}"},
        {"{\"type\":\"file\",\"file\":{\"filename\":\"f.txt\",\"file_data\":\"data:text/"
         "plain;base64,aGk=\"}}",
         "\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"hi\"}"},
        {"{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}", NULL},
        {"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}}", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body), "{\"messages\":[{\"role\":\"user\",\"content\":[%s]}]}", cases[i].part);
        int rc = ask(EP_CHAT, "m", body);
        assert_int_equal(rc, cases[i].want ? 0 : -1);
        if (rc == 0)
            assert_holds(member("messages"), cases[i].want);
        else
            assert_int_equal(t.f.status, 400);
    }
}

static void marks_are_at_most_four(void **state)
{
    (void)state;
#define MARKED(text) \
    "{\"type\":\"text\",\"text\":\"" text "\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}"
    assert_int_equal(
        ask(EP_MESSAGES, "m",
            "{\"max_tokens\":9,\"system\":[" MARKED("s") "],\"messages\":[{\"role\":\"user\",\"content\":"
                                                         "[" MARKED("a") "," MARKED("b") "," MARKED(
                                                             "c") "," MARKED("d") "," MARKED("e") "]}]}"),
        0);
    static const char mark[] = "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}";
    size_t n = 0;
    for (struct str rest = t.out.body; holds(rest, mark); n++) {
        const char *at = memmem(rest.p, rest.n, mark, strlen(mark));
        rest = (struct str){at + 1, rest.n - (size_t)(at + 1 - rest.p)};
    }
    assert_int_equal(n, 4);
    assert_holds(t.out.body, "\"text\":\"a\"}");
    assert_holds(t.out.body, "\"text\":\"c\",\"cache_control\"");
    assert_true(adjusted(PARAM_CACHE_CONTROL));
    assert_int_equal(ask(EP_MESSAGES, "m",
                         "{\"max_tokens\":9,\"cache_control\":{\"type\":\"ephemeral\"},\"messages\":[" SAYS(
                             "user", "a") "]}"),
                     0);
    assert_str(member("cache_control"), "{\"type\":\"ephemeral\"}");
    assert_false(adjusted(PARAM_CACHE_CONTROL));
}

static void the_rest_of_the_parameters(void **state)
{
    (void)state;
    assert_int_equal(ask(EP_CHAT, "m",
                         "{\"messages\":[" SAYS(
                             "user", "a") "],\"stop\":[\"X\",\" \\n\"],\"user\":\"u-17\",\"service_tier\":"
                                          "\"default\",\"seed\":4,\"n\":1,\"top_k\":5}"),
                     0);
    assert_str(member("stop_sequences"), "[\"X\"]");
    assert_true(adjusted(PARAM_STOP));
    assert_str(member("metadata"), "{\"user_id\":\"u-17\"}");
    assert_str(member("service_tier"), "\"standard_only\"");
    assert_false(taken(PARAM_SEED));
    assert_true(taken(PARAM_N));
    assert_int_equal(ask(EP_CHAT, "m", "{\"messages\":[" SAYS("user", "a") "],\"user\":\"a@b.example\"}"), 0);
    assert_str(member("metadata"), "");
    assert_int_equal(ask(EP_CHAT, "m", "{\"messages\":[" SAYS("user", "a") "],\"n\":2}"), -1);
    assert_str(str_of(t.f.param), "n");
}

static void counting_asks_without_what_steers(void **state)
{
    (void)state;
    assert_int_equal(
        ask(EP_MESSAGES, "claude-sonnet-4-5",
            "{\"max_tokens\":9,\"temperature\":1,\"stream\":true,\"system\":\"s\",\"messages\":[" SAYS(
                "user", "a") "]}"),
        0);
    buf_reset(&t.out.room);
    assert_int_equal(t.provider->write_count(&t.call), 0);
    assert_str(t.out.path, "/v1/messages/count_tokens");
    assert_str(t.out.body,
               "{\"model\":\"claude-sonnet-4-5\",\"system\":[{\"type\":\"text\",\"text\":\"s\"}],"
               "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}]}");
    uint64_t n;
    struct chat_reader rd = {.r = &t.r, .arena = &t.arena, .scratch = &t.arena, .f = &t.f};
    assert_int_equal(t.provider->read_count(&rd, STR("{\"input_tokens\": 15}"), &n), 0);
    assert_int_equal(n, 15);
    assert_int_equal(t.provider->read_count(&rd, STR("{\"input_tokens\":-1}"), &n), -1);
}

static void names_of_models(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned version;
    } cases[] = {
        {"claude-3-opus-20240229", 300},
        {"claude-3-5-sonnet-20240620", 305},
        {"claude-sonnet-4-20250514", 400},
        {"anthropic/claude-opus-4.6", 406},
        {"claude-sonnet-4-5@20250929", 405},
        {"us.anthropic.claude-haiku-4-5-20251001-v1:0", 405},
        {"claude-fable-5", 500},
        {"claude-opus-5-5", 505},
        {"claude-instant-1.2", 102},
        {"claude-mythos-preview", 9999},
        {"kimi-k2", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(anthropic_model(str_of(cases[i].name)).version, cases[i].version);
}

static void clouds_take_the_version_in_the_body(void **state)
{
    (void)state;
    static const struct anthropic_style style = {.version_in_body = "cloud-1", .fetches_urls = true};
    assert_int_equal(
        ask(EP_CHAT, "claude-sonnet-4-5", "{\"stream\":true,\"messages\":[" SAYS("user", "a") "]}"), 0);
    buf_reset(&t.out.room);
    assert_int_equal(anthropic_write_body(&t.call, &style), 0);
    assert_holds(t.out.body, "{\"anthropic_version\":\"cloud-1\",\"max_tokens\":4096,\"messages\":");
    assert_lacks(t.out.body, "stream");
}

/* ---- answers */

static void an_answer_is_read(void **state)
{
    (void)state;
    restart(EP_CHAT);
    assert_int_equal(
        translate_answer(
            &t, STR("{\"id\":\"msg_1\",\"model\":\"claude-m\",\"content\":[{\"type\":\"thinking\","
                    "\"thinking\":\"hm\",\"signature\":\"S==\"},"
                    "{\"type\":\"server_tool_use\",\"id\":\"x\",\"name\":\"web_search\",\"input\":{\"q\":1}},"
                    "{\"type\":\"text\",\"text\":\"Ré: "
                    "\"},{\"type\":\"text\",\"text\":\"yes\",\"citations\":[{\"type\":"
                    "\"web_search_result_location\",\"url\":\"https://"
                    "p.example\",\"title\":\"P\"},{\"type\":\"char_location\"}]},"
                    "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{\"a\":[]}}],\"stop_"
                    "reason\":\"tool_use\","
                    "\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":10,\"cache_creation_input_"
                    "tokens\":100,"
                    "\"output_tokens\":7,\"output_tokens_details\":{\"thinking_tokens\":3}}}")),
        0);
    struct str text = buf_str(&t.text);
    assert_holds(text, "\"content\":\"Ré: yes\"");
    assert_holds(text, "\"reasoning_content\":\"hm\"");
    assert_holds(text, "\"signature\":\"S==\"");
    assert_holds(text, "\"start_index\":4,\"end_index\":7,\"title\":\"P\",\"url\":\"https://p.example\"");
    assert_holds(text, "\"id\":\"toolu_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
                       "\"{\\\"a\\\":[]}\"}");
    assert_holds(text, "\"finish_reason\":\"tool_calls\"");
    assert_holds(text, "\"prompt_tokens\":115,\"completion_tokens\":7,\"total_tokens\":122");
    assert_lacks(text, "web_search");
}

static void bad_answers_are_failures(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"", 502},
        {"[]", 502},
        {"{\"id\":\"x\"}", 502},
        {"{\"content\":{}}", 502},
        {"{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}", 429},
        {"{\"error\":{\"message\":\"m\"}}", 502},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        restart(EP_CHAT);
        assert_int_equal(translate_answer(&t, str_of(cases[i].body)), -1);
        assert_int_equal(t.f.status, cases[i].status);
    }
}

static void stops_are_told_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *why, *want;
    } cases[] = {
        {"\"end_turn\"", "\"stop\""},
        {"\"stop_sequence\"", "\"stop\""},
        {"\"max_tokens\"", "\"length\""},
        {"\"model_context_window_exceeded\"", "\"length\""},
        {"\"pause_turn\"", "\"stop\""},
        {"\"refusal\"", "\"content_filter\""},
        {"null", "\"stop\""},
        {"\"news\"", "\"stop\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[256], want[64];
        restart(EP_CHAT);
        snprintf(body, sizeof(body),
                 "{\"content\":[],\"stop_reason\":%s,\"stop_details\":{\"explanation\":\"no\"}}",
                 cases[i].why);
        snprintf(want, sizeof(want), "\"finish_reason\":%s", cases[i].want);
        assert_int_equal(translate_answer(&t, str_of(body)), 0);
        assert_holds(buf_str(&t.text), want);
        assert_int_equal(holds(buf_str(&t.text), "\"refusal\":\"no\""),
                         strcmp(cases[i].why, "\"refusal\"") == 0);
    }
}

static void a_stream_is_read(void **state)
{
    (void)state;
    restart(EP_CHAT);
    assert_int_equal(
        translate_sse(
            &t,
            STR(BEGIN BLOCK("0", "{\"type\":\"thinking\",\"thinking\":\"\"}") EVENT("ping", "") DELTA(
                "0", "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}")
                    DELTA("0", "{\"type\":\"signature_delta\",\"signature\":\"S==\"}") STOP("0") BLOCK(
                        "1", "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"x\",\"input\":{}}")
                        DELTA("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"{secret\"}") STOP(
                            "1") BLOCK("2", "{\"type\":\"text\",\"text\":\"\"}") EVENT("tomorrow", ",\"x\":1")
                            DELTA("2", "{\"type\":\"text_delta\",\"text\":\"Yes\"}") STOP("2") BLOCK(
                                "3", "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}")
                                DELTA("3", "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}") STOP("3")
                                    BLOCK("4", "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\","
                                               "\"input\":{\"b\":2}}") STOP("4") END("tool_use"))),
        1);
    struct str text = buf_str(&t.text);
    assert_holds(text, "\"id\":\"chatcmpl-msg_1\"");
    assert_holds(text, "\"reasoning_content\":\"hm\"");
    assert_holds(text, "S==");
    assert_holds(text, "{\"content\":\"Yes\"}");
    assert_holds(text, "{\"index\":0,\"id\":\"t1\"");
    assert_holds(text, "{\"index\":1,\"id\":\"t2\"");
    assert_holds(text, "\"arguments\":\"{\\\"b\\\":2}\"");
    assert_lacks(text, "secret");
    assert_holds(text, "\"finish_reason\":\"tool_calls\"");
    assert_holds(text, "\"prompt_tokens\":15,\"completion_tokens\":42,\"total_tokens\":57");
}

static void streams_that_end_badly_say_so(void **state)
{
    (void)state;
    static const struct {
        const char *stream;
        int rc, status;
    } cases[] = {
        {BEGIN BLOCK("0", "{\"type\":\"text\",\"text\":\"a\"}"), 0, 0},
        {BEGIN EVENT("message_delta",
                     ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}"),
         0, 0},
        {BEGIN "event: error\ndata: "
               "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}\n\n",
         -1, 503},
        {BEGIN "data: {\"type\":\n\n", -1, 502},
        {BEGIN BLOCK("-1", "{\"type\":\"text\",\"text\":\"a\"}"), -1, 502},
        {BEGIN BLOCK("999999999", "{\"type\":\"text\",\"text\":\"a\"}"), -1, 502},
        {BEGIN EVENT("message_start", ",\"message\":{\"id\":\"msg_2\"}"), -1, 502},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        restart(EP_CHAT);
        assert_int_equal(translate_sse(&t, str_of(cases[i].stream)), cases[i].rc);
        assert_lacks(buf_str(&t.text), "[DONE]");
        if (cases[i].rc < 0)
            assert_int_equal(t.f.status, cases[i].status);
        assert_int_equal(t.r.told.input, 15);
    }
}

static void a_beginning_told_twice_counts_once(void **state)
{
    (void)state;
    restart(EP_CHAT);
    assert_int_equal(
        translate_sse(&t,
                      STR(BEGIN EVENT("message_start",
                                      ",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":99}}")
                              BLOCK("0", "{\"type\":\"text\",\"text\":\"ok\"}") STOP("0") END("end_turn"))),
        1);
    assert_int_equal(t.r.tokens.input, 15);
    assert_holds(buf_str(&t.text), "{\"content\":\"ok\"}");
}

static void content_that_is_there_from_the_start_counts(void **state)
{
    (void)state;
    restart(EP_CHAT);
    assert_int_equal(
        translate_sse(
            &t, STR(EVENT("message_start", ",\"message\":{\"id\":\"msg_1\",\"content\":[{\"type\":\"code_"
                                           "execution_tool_result\"},{\"type\":"
                                           "\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}],"
                                           "\"stop_reason\":\"tool_use\"}") EVENT("message_stop", ""))),
        1);
    assert_holds(buf_str(&t.text), "\"name\":\"f\"");
    assert_holds(buf_str(&t.text), "\"finish_reason\":\"tool_calls\"");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_call_passes_with_nothing_changed_but_the_name, down),
        cmocka_unit_test_teardown(paths_are_put_together, down),
        cmocka_unit_test_teardown(what_others_left_in_a_conversation_does_not_pass, down),
        cmocka_unit_test_teardown(a_passing_stream_is_metered, down),
        cmocka_unit_test_teardown(a_later_count_of_the_input_counts, down),
        cmocka_unit_test_teardown(a_message_starts_once, down),
        cmocka_unit_test_teardown(passing_answers_are_metered, down),
        cmocka_unit_test_teardown(errors_keep_their_words_and_get_their_codes, down),
        cmocka_unit_test_teardown(max_tokens_are_always_told, down),
        cmocka_unit_test_teardown(turns_are_merged_filled_and_begin_with_the_user, down),
        cmocka_unit_test_teardown(the_beginning_of_an_answer_ends_without_spaces, down),
        cmocka_unit_test_teardown(results_stand_first_and_instructions_behind_them, down),
        cmocka_unit_test_teardown(a_history_with_calls_has_tools, down),
        cmocka_unit_test_teardown(no_name_becomes_another_s, down),
        cmocka_unit_test_teardown(choices_of_tools, down),
        cmocka_unit_test_teardown(only_the_allowed_tools_are_listed, down),
        cmocka_unit_test_teardown(sampling_by_generation, down),
        cmocka_unit_test_teardown(thinking_by_generation, down),
        cmocka_unit_test_teardown(a_forced_call_or_a_lost_block_ends_thinking_within_a_budget, down),
        cmocka_unit_test_teardown(thinking_that_claude_cannot_check_stays_away, down),
        cmocka_unit_test_teardown(schemas_are_told_as_claude_takes_them, down),
        cmocka_unit_test_teardown(older_models_are_forced_by_a_tool_that_nobody_sees, down),
        cmocka_unit_test_teardown(a_wrapped_answer_is_unwrapped_in_the_stream, down),
        cmocka_unit_test_teardown(json_without_a_schema_is_asked_for_in_words, down),
        cmocka_unit_test_teardown(images_and_files, down),
        cmocka_unit_test_teardown(marks_are_at_most_four, down),
        cmocka_unit_test_teardown(the_rest_of_the_parameters, down),
        cmocka_unit_test_teardown(counting_asks_without_what_steers, down),
        cmocka_unit_test_teardown(names_of_models, down),
        cmocka_unit_test_teardown(clouds_take_the_version_in_the_body, down),
        cmocka_unit_test_teardown(an_answer_is_read, down),
        cmocka_unit_test_teardown(bad_answers_are_failures, down),
        cmocka_unit_test_teardown(stops_are_told_as_they_are, down),
        cmocka_unit_test_teardown(a_stream_is_read, down),
        cmocka_unit_test_teardown(streams_that_end_badly_say_so, down),
        cmocka_unit_test_teardown(a_beginning_told_twice_counts_once, down),
        cmocka_unit_test_teardown(content_that_is_there_from_the_start_counts, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

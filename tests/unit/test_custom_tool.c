/* Custom tools: as functions towards providers, and as what they are to callers, whole and streamed. */
#include <stdio.h>

#include "translate_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct translation t;
static struct translated_stream s;

static int down(void **state)
{
    (void)state;
    translation_fini(&t);
    memset(&t, 0, sizeof(t));
    return 0;
}

static void fresh(enum endpoint e, const char *type)
{
    if (t.provider)
        translation_fini(&t);
    translation_init(&t, e, type);
}

static void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_of(want)))
        fail_msg("got: %.*s\nwanted: %s", (int)got.n, got.p ? got.p : "", want);
}

static void assert_holds(struct str text, const char *what)
{
    if (text.n == 0 || !memmem(text.p, text.n, what, strlen(what)))
        fail_msg("not in it: %s\ngot: %.*s", what, (int)text.n, text.p ? text.p : "");
}

static void assert_lacks(struct str text, const char *what)
{
    if (text.n > 0 && memmem(text.p, text.n, what, strlen(what)))
        fail_msg("in it: %s\ngot: %.*s", what, (int)text.n, text.p);
}

/* ---- the input in a function's arguments */

static const struct {
    const char *arguments, *input;
} inputs[] = {
    {"{\"input\":\"\"}", ""},
    {"{\"input\":\"ls -l\"}", "ls -l"},
    {" {\n\t\"input\" : \"a\\nb\\t\\\"c\\\"\\\\ \\/ \\b\\f\\r\" }\n", "a\nb\t\"c\"\\ / \b\f\r"},
    {"{\"input\":\"\\u00e9\\u6771\\u4eac \\ud83d\\ude80!\"}", "é東京 🚀!"},
    {"{\"input\":\"é東京 🚀\"}", "é東京 🚀"},
    /* halves of pairs */
    {"{\"input\":\"<\\ud83d>\"}", "<\xef\xbf\xbd>"},
    {"{\"input\":\"<\\ud83d\\n>\"}", "<\xef\xbf\xbd\n>"},
    {"{\"input\":\"<\\ude80\\ud83d\\ud83d\\ude80>\"}", "<\xef\xbf\xbd\xef\xbf\xbd🚀>"},
    {"{\"input\":\"\\ud83d\\u0041\"}", "\xef\xbf\xbd"
                                       "A"},
    {"{\"input\":\"\\ud83d\\\\\"}", "\xef\xbf\xbd\\"},
    {"{\"input\":\"\\ud83d\"}", "\xef\xbf\xbd"},
    /* what models get wrong */
    {"{\"input\":\"two\nlines\"}", "two\nlines"},
    {"{\"input\":\"\\d+ \\u12 \\ud83d\\q \\u\\\"\"}", "\\d+ \\u12 \xef\xbf\xbd\\q \\u\""},
    {"{\"input\":\"a\",\"more\":[1]}", "a"},
    {"{\"why\":\"x\",\"input\":\"b\\u0021\"}", "b!"},
    {"{\"\\u0069nput\":\"c\"}", "c"},
    /* cut by a limit */
    {"{\"input\":\"half\\u00e", "half"},
    {"{\"input\":\"half\\ud83d\\ude", "half\xef\xbf\xbd"},
    {"{\"input\":\"half\\", "half"},
    {"{\"inp", ""},
    {"", ""},
    {" ", ""},
    /* nothing, and something else */
    {"{}", ""},
    {"{ }", ""},
    {"{\"input\":7}", "{\"input\":7}"},
    {"{\"input\":null}", "{\"input\":null}"},
    {"{\"patch\":\"*** Begin\"}", "{\"patch\":\"*** Begin\"}"},
    {"*** Begin Patch\n{", "*** Begin Patch\n{"},
    {"\"text\"", "\"text\""},
    {"[\"a\"]", "[\"a\"]"},
    {"{\"input\" \"a\"}", "{\"input\" \"a\"}"},
    {"{\"x\":1,\"input\":\"a\"", "{\"x\":1,\"input\":\"a\""},
};

static void decode(struct str arguments, size_t cut, size_t step, struct buf *out)
{
    struct custom_input c = {0};
    size_t n = cut < arguments.n ? cut : arguments.n;
    custom_input_take(&c, (struct str){arguments.p, n}, &t.arena, out, &t.arena);
    for (size_t i = n; i < arguments.n; i += step)
        custom_input_take(&c, (struct str){arguments.p + i, i + step < arguments.n ? step : arguments.n - i},
                          &t.arena, out, &t.arena);
    custom_input_end(&c, out, &t.arena);
    assert_int_equal(c.state, INPUT_ENDED);
}

static void the_input_is_the_same_wherever_the_arguments_are_cut(void **state)
{
    (void)state;
    fresh(EP_CHAT, "anthropic");
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct str arguments = str_of(inputs[i].arguments);
        assert_str(custom_tool_input(arguments, &t.arena), inputs[i].input);
        for (size_t cut = 0; cut <= arguments.n; cut++)
            for (size_t step = 1; step <= arguments.n; step += arguments.n - 1 + (arguments.n == 1)) {
                struct buf out = {0};
                decode(arguments, cut, step, &out);
                assert_str(buf_str(&out), inputs[i].input);
            }
    }
}

static void an_input_becomes_arguments_and_back(void **state)
{
    (void)state;
    fresh(EP_CHAT, "anthropic");
    struct str text = {"a\0\"\\\n🚀", 9};
    struct str arguments = custom_tool_arguments(text, &t.arena);
    assert_int_equal(json_validate(arguments, NULL), 0);
    struct str back = custom_tool_input(arguments, &t.arena);
    assert_true(str_eq(back, text));
}

static void text_is_told_as_soon_as_it_is_certain(void **state)
{
    (void)state;
    struct custom_input c = {0};
    struct buf out = {0};
    fresh(EP_CHAT, "anthropic");
    custom_input_take(&c, STR("{\"input\": \"one\\"), &t.arena, &out, &t.arena);
    assert_str(buf_str(&out), "one");
    custom_input_take(&c, STR("ntwo\\ud83d"), &t.arena, &out, &t.arena);
    assert_str(buf_str(&out), "one\ntwo");
    custom_input_take(&c, STR("\\ude80\""), &t.arena, &out, &t.arena);
    assert_str(buf_str(&out), "one\ntwo🚀");
    assert_int_equal(c.state, INPUT_ENDED); /* before the bracket */
}

/* ---- requests */

#define PATCH_TOOL                                                                                   \
    "{\"type\":\"custom\",\"name\":\"patch\",\"description\":\"Edits files.\",\"format\":{\"type\":" \
    "\"grammar\",\"syntax\":\"lark\",\"definition\":\"start: \\\"x\\\" LF\"}}"
#define HISTORY                                                                                              \
    "\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"custom_tool_call\",\"call_id\":\"c1\","    \
    "\"name\":\"patch\",\"input\":\"say \\\"hi\\\"\\n\"},{\"type\":\"custom_tool_call_output\",\"call_id\":" \
    "\"c1\",\"output\":[{\"type\":\"input_text\",\"text\":\"done\"}]}]"

static bool takes_format(void)
{
    return t.call.taken & (UINT32_C(1) << PARAM_TOOL_FORMAT);
}

static struct str body_for(const char *type, const char *model, const char *body)
{
    fresh(EP_RESPONSES, type);
    t.model = model;
    t.conf.region = "eu-central-1";
    if (translate_request(&t, body) != 0)
        fail_msg("%s: refused: %.*s", type, (int)t.f.message.n, t.f.message.p);
    assert_int_equal(json_validate(t.out.body, NULL), 0);
    return t.out.body;
}

static void every_provider_gets_a_function_with_one_text(void **state)
{
    (void)state;
    static const char *const types[] = {"anthropic", "gemini",  "bedrock", "cohere",
                                        "vllm",      "mistral", "openai"};
    static const char *const arguments[] = {"\"input\":{\"input\":\"say \\\"hi\\\"\\n\"}",
                                            "\"args\":{\"input\":\"say \\\"hi\\\"\\n\"}",
                                            "\"input\":{\"input\":\"say \\\"hi\\\"\\n\"}",
                                            "{\\\"input\\\":\\\"say \\\\\\\"hi\\\\\\\"\\\\n\\\"}",
                                            "{\\\"input\\\":\\\"say \\\\\\\"hi\\\\\\\"\\\\n\\\"}",
                                            "{\\\"input\\\":\\\"say \\\\\\\"hi\\\\\\\"\\\\n\\\"}",
                                            "{\\\"input\\\":\\\"say \\\\\\\"hi\\\\\\\"\\\\n\\\"}"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct str out = body_for(types[i], NULL, "{\"tools\":[" PATCH_TOOL "]," HISTORY "}");
        assert_holds(out, "Edits files.\\n\\n`input` must follow this Lark grammar:\\nstart: \\\"x\\\" LF");
        assert_holds(out, "\"required\":[\"input\"]");
        assert_holds(out, arguments[i]);
        assert_holds(out, "done");
        assert_lacks(out, "\"custom\"");
        assert_false(takes_format());
        assert_string_equal(t.r.chat->params[PARAM_TOOL_FORMAT].name, "tools[].format");
    }
}

static void openai_gets_it_as_it_is_where_the_model_has_them(void **state)
{
    (void)state;
    struct str out = body_for("openai", "gpt-5.1",
                              "{\"tools\":[" PATCH_TOOL "],\"tool_choice\":{\"type\":\"custom\",\"name\":"
                              "\"patch\"}," HISTORY "}");
    assert_holds(out, "{\"type\":\"custom\",\"custom\":{\"name\":\"patch\",\"description\":\"Edits files.\","
                      "\"format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":\"lark\",\"definition\":"
                      "\"start: \\\"x\\\" LF\"}}}}");
    assert_holds(out, "{\"id\":\"c1\",\"type\":\"custom\",\"custom\":{\"name\":\"patch\",\"input\":"
                      "\"say \\\"hi\\\"\\n\"}}");
    assert_holds(out, "\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"patch\"}}");
    assert_true(takes_format());
    assert_lacks(body_for("openai", "gpt-4.1", "{\"tools\":[" PATCH_TOOL "]," HISTORY "}"), "\"custom\"");
    assert_lacks(body_for("openai", "gpt-5-chat-latest", "{\"tools\":[" PATCH_TOOL "]," HISTORY "}"),
                 "\"custom\"");
    assert_lacks(body_for("vllm", "gpt-5.1", "{\"tools\":[" PATCH_TOOL "]," HISTORY "}"), "\"custom\"");
}

static void a_free_text_needs_no_word_about_its_form(void **state)
{
    (void)state;
    static const char *const formats[] = {"", ",\"format\":{\"type\":\"text\"}", ",\"format\":null"};
    for (size_t i = 0; i < 3; i++) {
        char body[512];
        snprintf(
            body, sizeof(body),
            "{\"input\":\"q\",\"tools\":[{\"type\":\"custom\",\"name\":\"n\",\"description\":\"D.\"%s}]}",
            formats[i]);
        assert_holds(body_for("anthropic", NULL, body), "\"description\":\"D.\"");
        assert_null(t.r.chat->params[PARAM_TOOL_FORMAT].name);
    }
}

static void they_are_chosen_by_their_names(void **state)
{
    (void)state;
    static const char functions[] = "{\"type\":\"function\",\"name\":\"f\"}";
    char body[1024];
    snprintf(body, sizeof(body),
             "{\"input\":\"q\",\"tools\":[" PATCH_TOOL
             ",%s],\"tool_choice\":{\"type\":\"custom\",\"name\":\"patch\"}}",
             functions);
    assert_holds(body_for("anthropic", NULL, body), "\"tool_choice\":{\"type\":\"tool\",\"name\":\"patch\"}");
    snprintf(body, sizeof(body),
             "{\"input\":\"q\",\"tools\":[" PATCH_TOOL
             ",%s],\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":"
             "\"required\",\"tools\":[{\"type\":\"custom\",\"name\":\"patch\"}]}}",
             functions);
    struct str out = body_for("gemini", NULL, body);
    assert_holds(out, "\"allowedFunctionNames\":[\"patch\"]");
}

#define CHAT_TOOL                                                                                       \
    "{\"type\":\"custom\",\"custom\":{\"name\":\"sql\",\"description\":\"Asks.\",\"format\":{\"type\":" \
    "\"grammar\",\"grammar\":{\"syntax\":\"regex\",\"definition\":\"SELECT .+\"}}}}"
#define CHAT_HISTORY                                                                                        \
    "\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":"  \
    "\"c1\",\"type\":\"custom\",\"custom\":{\"name\":\"sql\",\"input\":\"SELECT \\\"1\\\"\"}}]},{\"role\":" \
    "\"tool\",\"tool_call_id\":\"c1\",\"content\":\"1\"}]"

static void chat_s_callers_have_them_too(void **state)
{
    (void)state;
    fresh(EP_CHAT, "anthropic");
    assert_int_equal(translate_request(&t, "{\"tools\":[" CHAT_TOOL "],\"tool_choice\":{\"type\":\"custom\","
                                           "\"custom\":{\"name\":\"sql\"}}," CHAT_HISTORY "}"),
                     0);
    assert_holds(t.out.body, "Asks.\\n\\n`input` must match this regular expression:\\nSELECT .+");
    assert_holds(t.out.body, "\"input\":{\"input\":\"SELECT \\\"1\\\"\"}");
    assert_holds(t.out.body, "\"tool_choice\":{\"type\":\"tool\",\"name\":\"sql\"}");
    assert_string_equal(t.r.chat->params[PARAM_TOOL_FORMAT].name, "tools[].custom.format");
    fresh(EP_CHAT, "gemini");
    assert_int_equal(
        translate_request(
            &t, "{\"tools\":[" CHAT_TOOL ",{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
                "\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\","
                "\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"sql\"}}]}}," CHAT_HISTORY "}"),
        0);
    assert_int_equal(t.r.chat->n_allowed, 1);
    assert_str(t.r.chat->allowed[0], "sql");
}

/* ---- answers */

static const char claude[] =
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[{\"type\":"
    "\"tool_use\",\"id\":\"tu_1\",\"name\":\"patch\",\"input\":{\"input\":\"a "
    "\\\"b\\\"\\n\"}},{\"type\":\"tool_use\","
    "\"id\":\"tu_2\",\"name\":\"f\",\"input\":{}}],\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":"
    "1,"
    "\"output_tokens\":1}}";
#define BOTH_TOOLS "\"tools\":[" PATCH_TOOL ",{\"type\":\"function\",\"name\":\"f\"}]"

static void a_whole_answer_has_a_custom_call(void **state)
{
    (void)state;
    body_for("anthropic", NULL, "{\"input\":\"q\"," BOTH_TOOLS "}");
    assert_int_equal(translate_answer(&t, str_of(claude)), 0);
    assert_holds(buf_str(&t.text), "\"type\":\"custom_tool_call\",\"status\":\"completed\",\"input\":"
                                   "\"a \\\"b\\\"\\n\",\"call_id\":\"tu_1\",\"name\":\"patch\"}");
    assert_holds(buf_str(&t.text),
                 "\"type\":\"function_call\",\"status\":\"completed\",\"arguments\":\"{}\"");
    assert_holds(buf_str(&t.text), "\"id\":\"ctc_");
    assert_holds(buf_str(&t.text), "\"tools\":[{\"type\":\"function\",\"name\":\"f\"");
    assert_holds(buf_str(&t.text), PATCH_TOOL);
}

static void openai_s_own_custom_calls_are_read(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
        "\"assistant\","
        "\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"custom\",\"custom\":{\"name\":\"patch\","
        "\"input\":"
        "\"{\\\"input\\\":\\\"as it is\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}";
    body_for("openai", "gpt-5", "{\"input\":\"q\"," BOTH_TOOLS "}");
    assert_int_equal(translate_answer(&t, str_of(whole)), 0);
    assert_holds(buf_str(&t.text), "\"type\":\"custom_tool_call\",\"status\":\"completed\",\"input\":"
                                   "\"{\\\"input\\\":\\\"as it is\\\"}\"");
}

static const char chunks[] =
    "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
    "\"assistant\",\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"custom\",\"custom\":{\"name\":"
    "\"patch\","
    "\"input\":\"\"}}]}}]}\n\n"
    "data: "
    "{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":"
    "[{\"index\":0,\"custom\":{\"input\":\"one \\\"\"}}]}}]}\n\n"
    "data: "
    "{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":"
    "[{\"index\":0,\"custom\":{\"input\":\"two\"}}]}}]}\n\n"
    "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},"
    "\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";

static void openai_s_own_custom_calls_are_streamed(void **state)
{
    (void)state;
    body_for("openai", "gpt-5", "{\"stream\":true,\"input\":\"q\"," BOTH_TOOLS "}");
    assert_int_equal(translate_sse(&t, str_of(chunks)), 1);
    struct str out = buf_str(&t.text);
    assert_holds(out, "event: response.custom_tool_call_input.delta\n");
    assert_holds(out, "\"delta\":\"one \\\"\"}");
    assert_holds(out, "\"delta\":\"two\"}");
    assert_holds(out, "event: response.custom_tool_call_input.done\n");
    assert_holds(out, "\"input\":\"one \\\"two\"}");
    assert_lacks(out, "function_call_arguments");
}

/* ---- streams of functions that stand for custom tools */

static void begin(enum endpoint e, const char *body)
{
    fresh(e, "cohere");
    assert_int_equal(translate_request(&t, body), 0);
    translate_begin(&t, &s);
}

static void say(struct chat_delta d)
{
    chat_sink_take(&s.sink, &d);
    arena_reset(&t.scratch);
}

static void call(uint32_t tool, const char *name)
{
    say((struct chat_delta){.kind = DELTA_TOOL, .tool = tool, .id = STR("c"), .name = str_of(name)});
}

static void arguments(uint32_t tool, const char *text)
{
    say((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = tool, .text = str_of(text)});
}

static void finish(void)
{
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_STOP});
    t.dialect->end(&s.w, &t.text);
}

/* The events' types, without what all begin with. */
static const char *events(void)
{
    static char names[2048];
    struct sse_reader sse;
    struct sse_event ev;
    size_t n = 0;
    sse_init(&sse);
    assert_int_equal(sse_feed(&sse, buf_str(&t.text)), 0);
    for (names[0] = '\0'; sse_next(&sse, &ev) == 1;)
        n += (size_t)snprintf(names + n, sizeof(names) - n, " %.*s", (int)ev.name.n - 9, ev.name.p + 9);
    sse_free(&sse);
    return names;
}

static void a_stream_tells_the_input_as_it_comes(void **state)
{
    (void)state;
    begin(EP_RESPONSES, "{\"stream\":true,\"input\":\"q\"," BOTH_TOOLS "}");
    call(0, "patch");
    arguments(0, "{\"in");
    arguments(0, "put\":\"one\\");
    arguments(0, "n\\ud8");
    arguments(0, "3d\\ude80\"");
    arguments(0, "}");
    call(1, "f");
    arguments(1, "{\"a\":1}");
    finish();
    assert_string_equal(events(),
                        " created in_progress output_item.added custom_tool_call_input.delta"
                        " custom_tool_call_input.delta custom_tool_call_input.delta"
                        " custom_tool_call_input.done output_item.done output_item.added"
                        " function_call_arguments.delta function_call_arguments.done output_item.done"
                        " completed");
    struct str out = buf_str(&t.text);
    assert_holds(out, "\"status\":\"in_progress\",\"input\":\"\",\"call_id\":\"c\",\"name\":\"patch\"");
    assert_holds(out, "\"delta\":\"one\"}");
    assert_holds(out, "\"delta\":\"\\n\"}");
    assert_holds(out, "\"delta\":\"🚀\"}");
    assert_holds(out, "\"output_index\":0,\"input\":\"one\\n🚀\"}");
}

static void other_arguments_are_told_whole_at_the_end(void **state)
{
    (void)state;
    begin(EP_RESPONSES, "{\"stream\":true,\"input\":\"q\"," BOTH_TOOLS "}");
    call(0, "patch");
    arguments(0, "*** Be");
    call(1, "patch");
    arguments(1, "{\"why\":1,");
    arguments(0, "gin");
    arguments(1, "\"input\":\"x\"}");
    finish();
    struct str out = buf_str(&t.text);
    assert_holds(out, "\"output_index\":0,\"input\":\"*** Begin\"}");
    assert_holds(out, "\"output_index\":1,\"input\":\"x\"}");
}

static void chunks_of_chat_have_custom_calls(void **state)
{
    (void)state;
    begin(EP_CHAT,
          "{\"stream\":true,\"tools\":[" CHAT_TOOL "],\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    call(0, "sql");
    arguments(0, "{\"input\":\"SELECT");
    arguments(0, " 1\"}");
    call(1, "sql"); /* nothing */
    finish();
    struct str out = buf_str(&t.text);
    assert_holds(out,
                 "\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"custom\",\"custom\":{\"name\":\"sql\","
                 "\"input\":\"\"}}]");
    assert_holds(out, "\"tool_calls\":[{\"index\":0,\"custom\":{\"input\":\"SELECT\"}}]");
    assert_holds(out, "\"tool_calls\":[{\"index\":0,\"custom\":{\"input\":\" 1\"}}]");
    assert_holds(out, "\"finish_reason\":\"tool_calls\"");
    assert_lacks(out, "{}\"");
    assert_lacks(out, "\"function\"");
}

/* ---- namespaces, and the caller's search */

#define SPACES                                                                                             \
    "\"tools\":[{\"type\":\"namespace\",\"name\":\"agents\",\"description\":\"Helpers.\",\"tools\":[{"     \
    "\"type\":"                                                                                            \
    "\"function\",\"name\":\"spawn\",\"description\":\"Starts "                                            \
    "one.\"},{\"type\":\"custom\",\"name\":\"ask\"}]},"                                                    \
    "{\"type\":\"namespace\",\"name\":\"functions\",\"description\":\"\",\"tools\":[{\"type\":\"custom\"," \
    "\"name\":"                                                                                            \
    "\"exec\"}]}]"

static void a_namespace_s_tools_are_called_by_both_names(void **state)
{
    (void)state;
    begin(
        EP_RESPONSES,
        "{\"stream\":true," SPACES
        ",\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"function_call\","
        "\"call_id\":\"c1\",\"namespace\":\"agents\",\"name\":\"spawn\",\"arguments\":\"{}\"},{\"type\":"
        "\"function_call_output\",\"call_id\":\"c1\",\"output\":\"ok\"},{\"type\":\"custom_tool_call\","
        "\"call_id\":"
        "\"c2\",\"name\":\"ask\",\"input\":\"why\"},{\"type\":\"custom_tool_call_output\",\"call_id\":\"c2\","
        "\"output\":\"so\"}]}");
    const struct chat_request *c = t.r.chat;
    assert_int_equal(c->n_tools, 3);
    assert_str(c->tools[0].name, "agents__spawn");
    assert_str(c->tools[0].description,
               "Starts one.\n\nOf all tools whose names begin with agents: Helpers.");
    assert_str(c->tools[1].name, "agents__ask");
    assert_str(c->tools[1].description, "");
    assert_str(c->tools[2].name, "exec");
    assert_str(c->messages[1].parts[0].name, "agents__spawn");
    assert_str(c->messages[3].parts[0].name, "agents__ask");
    call(0, "agents__spawn");
    arguments(0, "{}");
    call(1, "exec");
    arguments(1, "{\"input\":\"1\"}");
    finish();
    struct str out = buf_str(&t.text);
    assert_holds(out, "\"arguments\":\"{}\",\"call_id\":\"c\",\"name\":\"spawn\",\"namespace\":\"agents\"}");
    assert_holds(out, "\"input\":\"1\",\"call_id\":\"c\",\"name\":\"exec\",\"namespace\":\"functions\"}");
}

static void the_caller_s_search_is_a_function_to_the_model(void **state)
{
    (void)state;
    begin(EP_RESPONSES, "{\"stream\":true,\"tools\":[{\"type\":\"tool_search\",\"execution\":\"client\","
                        "\"description\":\"Finds.\","
                        "\"parameters\":{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\"}}"
                        "}}],\"input\":[{\"role\":"
                        "\"user\",\"content\":\"q\"},{\"type\":\"tool_search_call\",\"call_id\":\"c1\","
                        "\"execution\":\"client\","
                        "\"arguments\":{\"query\":\"rates\"}},{\"type\":\"tool_search_output\",\"call_id\":"
                        "\"c1\",\"execution\":"
                        "\"client\",\"tools\":[{\"type\":\"function\",\"name\":\"rate\"}]},{\"type\":\"tool_"
                        "search_output\",\"call_id\":"
                        "\"c1\",\"tools\":[{\"type\":\"function\",\"name\":\"rate\"}]}]}");
    const struct chat_request *c = t.r.chat;
    assert_int_equal(c->n_tools, 2);
    assert_str(c->tools[0].name, "tool_search");
    assert_str(c->tools[1].name, "rate");
    assert_str(c->messages[1].parts[0].arguments, "{\"query\":\"rates\"}");
    assert_str(c->messages[2].parts[0].parts[0].text, "Found, and ready to be called: rate");
    assert_int_equal(c->n_extras, 0);
    call(0, "tool_search");
    arguments(0, "{\"query\":");
    arguments(0, "\"more\"}");
    finish();
    assert_string_equal(events(), " created in_progress output_item.added output_item.done completed");
    struct str out = buf_str(&t.text);
    assert_holds(out,
                 "\"status\":\"in_progress\",\"execution\":\"client\",\"call_id\":\"c\",\"arguments\":{}}");
    assert_holds(out, "\"type\":\"tool_search_call\",\"status\":\"completed\",\"execution\":\"client\","
                      "\"call_id\":\"c\",\"arguments\":{\"query\":\"more\"}}");
}

static void what_openai_runs_is_left_out_where_the_model_says_so(void **state)
{
    (void)state;
    static const char body[] = "{\"input\":\"q\",\"tools\":[{\"type\":\"web_search\"}," PATCH_TOOL "]}";
    struct conf_model route = {.name = "m", .hosted_tools = HOSTED_DROP};
    fresh(EP_RESPONSES, "anthropic");
    assert_int_equal(translate_request(&t, body), -1);
    assert_holds(t.f.message, "hosted_tools");
    fresh(EP_RESPONSES, "anthropic");
    t.r.route = &route;
    assert_int_equal(translate_request(&t, body), 0);
    assert_int_equal(t.r.chat->n_extras, 1);
    assert_str(t.r.chat->extras[0].name, "tools.web_search");
    assert_lacks(t.out.body, "web_search");
}

#define ALLOWED(tools)                                                                          \
    "\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":\"web_" \
    "search\"}" tools "]}}"

static void what_is_left_out_can_t_be_called_either(void **state)
{
    (void)state;
    static const char begins[] = "{\"input\":\"q\",\"tools\":[{\"type\":\"web_search\"}," PATCH_TOOL "],";
    struct conf_model route = {.name = "m", .hosted_tools = HOSTED_DROP};
    char body[2048];
    fresh(EP_RESPONSES, "anthropic");
    t.r.route = &route;
    snprintf(body, sizeof body, "%s" ALLOWED(",{\"type\":\"custom\",\"name\":\"patch\"}"), begins);
    assert_int_equal(translate_request(&t, body), 0);
    assert_int_equal(t.r.chat->n_allowed, 1);
    fresh(EP_RESPONSES, "anthropic");
    t.r.route = &route;
    snprintf(body, sizeof body, "%s" ALLOWED(""), begins);
    assert_int_equal(translate_request(&t, body), -1);
    assert_string_equal(t.f.param, "tool_choice.tools");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_input_is_the_same_wherever_the_arguments_are_cut, down),
        cmocka_unit_test_teardown(an_input_becomes_arguments_and_back, down),
        cmocka_unit_test_teardown(text_is_told_as_soon_as_it_is_certain, down),
        cmocka_unit_test_teardown(every_provider_gets_a_function_with_one_text, down),
        cmocka_unit_test_teardown(openai_gets_it_as_it_is_where_the_model_has_them, down),
        cmocka_unit_test_teardown(a_free_text_needs_no_word_about_its_form, down),
        cmocka_unit_test_teardown(they_are_chosen_by_their_names, down),
        cmocka_unit_test_teardown(chat_s_callers_have_them_too, down),
        cmocka_unit_test_teardown(a_whole_answer_has_a_custom_call, down),
        cmocka_unit_test_teardown(openai_s_own_custom_calls_are_read, down),
        cmocka_unit_test_teardown(openai_s_own_custom_calls_are_streamed, down),
        cmocka_unit_test_teardown(a_stream_tells_the_input_as_it_comes, down),
        cmocka_unit_test_teardown(other_arguments_are_told_whole_at_the_end, down),
        cmocka_unit_test_teardown(chunks_of_chat_have_custom_calls, down),
        cmocka_unit_test_teardown(a_namespace_s_tools_are_called_by_both_names, down),
        cmocka_unit_test_teardown(the_caller_s_search_is_a_function_to_the_model, down),
        cmocka_unit_test_teardown(what_openai_runs_is_left_out_where_the_model_says_so, down),
        cmocka_unit_test_teardown(what_is_left_out_can_t_be_called_either, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Requests through the translations: what is odd but means something arrives, what means nothing is told to
 * the caller, and no size of it costs more than it weighs. */
#include "gemini_chat.h"
#include "openai.h"
#include "text_asserts.h"
#include "translate_fixture.h"

#include <time.h>

#define PNG "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAAA="

struct case_ {
    enum endpoint endpoint;
    const char *provider, *model, *body;
    const char *expected, *absent; /* in what the provider gets, or in the failure's message */
    bool refused;
};

static int run(struct translation *t, const struct case_ *c)
{
    translation_init(t, c->endpoint, c->provider);
    t->r.body = str_of(c->body);
    if (chat_read(&t->r, &t->f) != 0)
        return -1;
    return t->provider->write_chat(translation_call(t, t->r.chat, c->model));
}

static void check(const struct case_ *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct translation t;
        const struct case_ *c = &cases[i];
        int rc = run(&t, c);
        struct str got = rc == 0 ? t.out.body : t.f.message;
        bool right = (rc != 0) == c->refused && (!c->expected || holds(got, c->expected)) &&
                     (!c->absent || !holds(got, c->absent)) &&
                     (rc == 0 ? json_validate(got, NULL) == 0 : t.f.status == 400);
        if (!right)
            fail_msg("case %zu (%s): %d " STR_FMT, i, c->provider, rc, STR_ARG(got));
        translation_fini(&t);
    }
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

/* ---- base64 */

static void base64_is_mended_or_refused(void **state)
{
    static const struct {
        const char *given, *taken; /* NULL: it is none */
    } cases[] = {
        {"QUJD", "QUJD"},
        {"QUJDRA==", "QUJDRA=="},
        {"QUJDRA", "QUJDRA=="},
        {"QU\nJD\r\n", "QUJD"},
        {"_-8=", "/+8="},
        {"_-8", "/+8="},
        {" QUJDRA = = ", "QUJDRA=="},
        {"", NULL},
        {"=", NULL},
        {"Q", NULL},
        {"QUJDR", NULL},
        {"QUJD\"", NULL},
        {"QU=JD", NULL},
        {"QUJD====", NULL},
        {"{}", NULL},
        {"caf\xc3\xa9", NULL},
    };
    struct arena a;
    (void)state;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str data = str_of(cases[i].given);
        bool taken = chat_base64(&data, &a);
        if (taken != (cases[i].taken != NULL) || (taken && !str_eq(data, str_of(cases[i].taken))))
            fail_msg("case %zu: %d " STR_FMT, i, taken, STR_ARG(data));
    }
    struct str nul = {"QU\0D", 4};
    assert_false(chat_base64(&nul, &a));
    arena_fini(&a);
}

/* What would end the string that it stands in. */
#define ESCAPE "AAAA\\\"}}]}],\\\"model\\\":\\\"other"

static void data_cannot_leave_its_place(void **state)
{
    static const struct case_ cases[] = {
        {EP_MESSAGES, "openai", "gpt-4o",
         "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{"
         "\"type\":"
         "\"base64\",\"media_type\":\"image/png\",\"data\":\"" ESCAPE "\"}}]}]}",
         "messages.0.content.0.source.data", NULL, true},
        {EP_GENERATE, "openai", "gpt-4o",
         "{\"contents\":[{\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"" ESCAPE
         "\"}}]}]}",
         "contents[0].parts[0].inlineData", NULL, true},
        {EP_RESPONSES, "mistral", "mistral-large",
         "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"data:image/"
         "png;base64," ESCAPE "\"}]}]}",
         "base64", NULL, true},
        {EP_RESPONSES, "mistral", "mistral-large",
         "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_data\":\"" ESCAPE
         "\"}]}]}",
         "base64", NULL, true},
        {EP_CHAT, "openrouter", "x",
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/"
         "png;base64," ESCAPE "\"}}]}]}",
         "messages[0].content[0].image_url", NULL, true},
        /* a type is looked at, too */
        {EP_MESSAGES, "openai", "gpt-4o",
         "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{"
         "\"type\":"
         "\"base64\",\"media_type\":\"a\\\"b\",\"data\":\"" PNG "\"}}]}]}",
         "data:image/png;base64,iVB", NULL, false},
        /* OpenRouter's own pieces of reasoning go back as they came, when they are JSON */
        {EP_MESSAGES, "openrouter", "x",
         "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
         "\"content\":[{"
         "\"type\":\"redacted_thinking\",\"data\":\"{\\\"type\\\":\\\"reasoning.x\\\"},\\\"model\\\":"
         "\\\"o\\\"\"},{"
         "\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"user\",\"content\":\"r\"}]}",
         NULL, "reasoning.x", false},
        {EP_CHAT, "gemini", "gemini-2.5-flash",
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/"
         "png;base64,iVBORw0K\\nGgoAAAAN\"}}]}]}",
         "\"data\":\"iVBORw0KGgoAAAAN\"", NULL, false},
    };
    (void)state;
    CHECK(cases);
}

/* ---- nothing is lost */

#define TURN(result)                                                                                         \
    "{\"max_tokens\":9,\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}],\"messages\":[{"  \
    "\"role\":"                                                                                              \
    "\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"call_" \
    "1\","                                                                                                   \
    "\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_"   \
    "id\":"                                                                                                  \
    "\"call_1\",\"content\":[" result "]}]}]}"
#define DOCUMENT                                                                                         \
    "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"the " \
    "words\"}}"
#define DRAWN                                                                                             \
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"draw\"}]},{\"role\":\"model\",\"parts\":[{" \
    "\"text\":"                                                                                           \
    "\"here\"},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"" PNG                               \
    "\"}}]},{\"role\":\"user\",\"parts\":[{"                                                              \
    "\"text\":\"bluer\"}]}]}"

static void nothing_is_lost(void **state)
{
    static const struct case_ cases[] = {
        {EP_MESSAGES, "gemini", "gemini-2.5-flash", TURN(DOCUMENT), "\"output\":\"the words\"", NULL, false},
        {EP_MESSAGES, "cohere", "command-a", TURN(DOCUMENT), "the words", "\"content\":[]", false},
        {EP_GENERATE, "openai", "gpt-4o", DRAWN, "assistant", NULL, true},
        {EP_GENERATE, "mistral", "mistral-large", DRAWN, "assistant", NULL, true},
        {EP_GENERATE, "anthropic", "claude-sonnet-4-5", DRAWN, "assistant", NULL, true},
        {EP_GENERATE, "openai", "gpt-4o", "{\"contents\":{\"text\":\"lost\"}}", "contents[0]", NULL, true},
        {EP_GENERATE, "openai", "gpt-4o",
         "{\"contents\":[{\"role\":[\"user\"],\"parts\":[{\"text\":\"x\"}]}]}", "role", NULL, true},
        {EP_GENERATE, "openai", "gpt-4o",
         "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}],\"tools\":[{\"functionDeclarations\":\"f\"}]}",
         "functionDeclarations", NULL, true},
        {EP_GENERATE, "openai", "gpt-4o",
         "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}],\"tools\":[{\"functionDeclarations\":[{\"name\":"
         "\"f\","
         "\"description\":7}]}]}",
         "description", NULL, true},
        {EP_GENERATE, "openai", "gpt-4o",
         "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}],\"toolConfig\":{\"functionCallingConfig\":\"ANY\"}}",
         "toolConfig.functionCallingConfig", NULL, true},
    };
    (void)state;
    CHECK(cases);
}

/* ---- what OpenAI's own tools leave in a conversation */

#define ASKED(tools, items)                                                          \
    "{\"tools\":[" tools "],\"input\":[{\"role\":\"user\",\"content\":\"q\"}," items \
    "{\"role\":\"assistant\",\"content\":\"found\"},{\"role\":\"user\",\"content\":\"and?\"}]}"
#define MORE(type)                                                                                          \
    "{\"type\":\"" type "\",\"tools\":[{\"type\":\"function\",\"name\":\"later\",\"parameters\":{\"type\":" \
    "\"object\"}}]},"
#define SEARCH "{\"type\":\"tool_search\"}"

static void hosted_tools_traces_are_passed_over(void **state)
{
    static const struct case_ cases[] = {
        {EP_RESPONSES, "anthropic", "claude-sonnet-4-5", ASKED(SEARCH, MORE("additional_tools")),
         "\"name\":\"later\"", NULL, false},
        {EP_RESPONSES, "gemini", "gemini-2.5-flash",
         ASKED(SEARCH, "{\"type\":\"tool_search_call\",\"arguments\":{}}," MORE("tool_search_output")),
         "\"name\":\"later\"", NULL, false},
        {EP_RESPONSES, "gemini", "gemini-2.5-flash",
         ASKED("", "{\"type\":\"web_search_call\",\"id\":\"ws_1\",\"status\":\"completed\"},"), "found", NULL,
         false},
        {EP_RESPONSES, "anthropic", "claude-sonnet-4-5",
         ASKED("", "{\"type\":\"additional_tools\",\"tools\":[{\"type\":\"shell\"}]},"), "shell", NULL, true},
        {EP_RESPONSES, "anthropic", "claude-sonnet-4-5",
         ASKED("{\"type\":\"tool_search\",\"execution\":\"client\"}", ""), "\"name\":\"tool_search\"", NULL,
         false},
        {EP_RESPONSES, "anthropic", "claude-sonnet-4-5", ASKED("", "{\"type\":\"computer_call\"},"),
         "computer_call", NULL, true},
    };
    (void)state;
    CHECK(cases);
}

/* SDKs that call functions by themselves leave the results in the model's turn. */
static void results_in_the_models_turn_are_the_users(void **state)
{
    static const struct case_ cases[] = {
        {EP_GENERATE, "anthropic", "claude-sonnet-4-5",
         "{\"contents\":[{\"parts\":[{\"text\":\"q\"}]},{\"role\":\"model\",\"parts\":[{\"functionCall\":{"
         "\"name\":"
         "\"f\"}},{\"functionResponse\":{\"name\":\"f\",\"response\":{\"output\":\"r\"}}},{\"text\":\"a\"}]},"
         "{"
         "\"role\":\"user\",\"parts\":[{\"text\":\"and?\"}]}]}",
         "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"call_g0\",\"content\":"
         "\"r\"}]},"
         "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}",
         NULL, false},
    };
    (void)state;
    CHECK(cases);
}

/* ---- what providers demand */

#define THOUGHT_ALONE                                                                                       \
    "{\"input\":[{\"role\":\"user\",\"content\":\"first\"},{\"type\":\"reasoning\",\"summary\":[{\"type\":" \
    "\"summary_text\",\"text\":\"hm\"}]},{\"role\":\"user\",\"content\":\"second\"}]}"
#define LOST_THINKING(more)                                                                            \
    "{\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"function_call\",\"call_id\":\"c\"," \
    "\"name\":\"f\","                                                                                  \
    "\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"r\"}],"   \
    "\"tools\":[{"                                                                                     \
    "\"type\":\"function\",\"name\":\"f\"}],\"reasoning\":{\"effort\":\"low\"},\"max_output_tokens\":" \
    "8000" more "}"
#define JSON_AND_TOOLS                                                                                      \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"response_format\":{\"type\":\"json_object\"}," \
    "\"tools\":[{"                                                                                          \
    "\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}"
#define UNTYPED                                                                                    \
    "{\"max_tokens\":9,\"tools\":[{\"name\":\"f\",\"input_schema\":{\"properties\":{\"a\":{}}}}]," \
    "\"messages\":[{"                                                                              \
    "\"role\":\"user\",\"content\":\"q\"}]}"

static void providers_get_what_they_demand(void **state)
{
    static const struct case_ cases[] = {
        /* a turn of nothing that is told is no turn */
        {EP_RESPONSES, "anthropic", "claude-3-5-haiku", THOUGHT_ALONE,
         "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"first\"},{\"type\":\"text\","
         "\"text\":\"second\"}]}]",
         NULL, false},
        {EP_RESPONSES, "bedrock", "anthropic.claude-sonnet-4-5-v1:0", LOST_THINKING(""), "toolResult",
         "\"thinking\"", false},
        {EP_RESPONSES, "anthropic", "claude-sonnet-4-5", LOST_THINKING(""), "tool_result", "\"thinking\"",
         false},
        /* ids are the third generation's */
        {EP_MESSAGES, "gemini", "gemini-2.5-flash", TURN(DOCUMENT), "functionResponse", "call_1", false},
        {EP_MESSAGES, "gemini", "gemini-3-pro", TURN(DOCUMENT), "\"id\":\"call_1\"", NULL, false},
        /* a JSON object beside tools is asked for where it can't be had otherwise */
        {EP_CHAT, "gemini", "gemini-2.5-flash", JSON_AND_TOOLS, "one JSON object", "responseMimeType", false},
        {EP_CHAT, "gemini", "gemini-3-pro", JSON_AND_TOOLS, "responseMimeType", "one JSON object", false},
        {EP_CHAT, "cohere", "command-a", JSON_AND_TOOLS, "one JSON object", "response_format", false},
        /* parameters are an object's */
        {EP_MESSAGES, "openai", "gpt-4o", UNTYPED,
         "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{}}}", NULL, false},
        {EP_MESSAGES, "bedrock", "amazon.nova-pro-v1:0", UNTYPED,
         "{\"type\":\"object\",\"properties\":{\"a\":{}}}", NULL, false},
    };
    (void)state;
    CHECK(cases);
}

/* Whose calls begin with number 0 in each turn. */
static void ids_are_one_calls_only(void **state)
{
    static const struct case_ cases[] = {
        {EP_CHAT, "anthropic", "claude-sonnet-4-5",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"tool_calls\":[{"
         "\"id\":\"c0\","
         "\"function\":{\"name\":\"f\"}},{\"id\":\"c1\",\"function\":{\"name\":\"f\"}}]},{\"role\":\"tool\","
         "\"tool_call_id\":"
         "\"c1\",\"content\":\"1\"},{\"role\":\"tool\",\"tool_call_id\":\"c0\",\"content\":\"0\"},{\"role\":"
         "\"assistant\","
         "\"tool_calls\":[{\"id\":\"c0\",\"function\":{\"name\":\"f\"}}]},{\"role\":\"tool\",\"tool_call_"
         "id\":\"c0\","
         "\"content\":\"2\"}]}",
         "[{\"type\":\"tool_result\",\"tool_use_id\":\"c0\",\"content\":\"0\"},{\"type\":\"tool_result\","
         "\"tool_use_id\":"
         "\"c1\",\"content\":\"1\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
         "\"c0_3\",\"name\":"
         "\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
         "\"c0_3\","
         "\"content\":\"2\"}]",
         NULL, false},
    };
    (void)state;
    CHECK(cases);
}

/* ---- names of tools */

/* What a provider would not take as a name goes there under another one, and comes back under its own. */
static void names_of_tools_come_back(void **state)
{
    static const char *const names[] = {
        "21st_magic_component",
        "-dashed",
        "a tool: with what nobody takes",
        "mcp__plugin_playwright-server__browser_take_screenshot_and_compare_it_with_the_last_one",
        "1cp__plugin_playwright-server__browser_take_screenshot_and_compare_it_with_the_last_one",
        "plain.name:1-2",
    };
    static const struct {
        const char *provider, *model, *answer;
    } others[] = {
        {"gemini", "gemini-2.5-flash",
         "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"%.*s\",\"args\":{}}}]},"
         "\"finishReason\":\"STOP\"}]}"},
        {"cohere", "command-a",
         "{\"id\":\"1\",\"message\":{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"i\",\"type\":"
         "\"function\","
         "\"function\":{\"name\":\"%.*s\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"TOOL_CALL\"}"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++)
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            char body[2048], answer[1024];
            snprintf(
                body, sizeof(body),
                "{\"max_tokens\":9,\"tool_choice\":{\"type\":\"tool\",\"name\":\"%s\"},\"tools\":[{\"name\":"
                "\"other\",\"input_schema\":{\"type\":\"object\"}},{\"name\":\"%s\",\"input_schema\":{"
                "\"type\":"
                "\"object\"}}],\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
                "\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"%s\",\"input\":{}}]},{\"role\":"
                "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"r\"}]}]"
                "}",
                names[i], names[i], names[i]);
            struct translation t;
            struct case_ c = {EP_MESSAGES, others[k].provider, others[k].model, body, NULL, NULL, false};
            assert_int_equal(run(&t, &c), 0);
            struct str told = k == 0 ? gemini_tool_name(str_of(names[i]), &t.arena)
                                     : openai_tool_name(&t.arena, str_of(names[i]));
            assert_true(told.n <= 64);
            assert_true(i == 5 || k == 1 || !str_eq(told, str_of(names[i])));
            size_t times = 0;
            for (size_t at = 0; at + told.n <= t.out.body.n; at++)
                times += memcmp(t.out.body.p + at, told.p, told.n) == 0 && t.out.body.p[at - 1] == '"';
            assert_int_equal(times, k == 0 ? 4 : 2); /* Cohere's has no results by name, and only one tool */
            _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wformat-nonliteral\"")
                snprintf(answer, sizeof(answer), others[k].answer, (int)told.n, told.p);
            _Pragma("GCC diagnostic pop") assert_int_equal(translate_answer(&t, str_of(answer)), 0);
            if (!holds(buf_str(&t.text), names[i]))
                fail_msg("%s: " STR_FMT, others[k].provider, STR_ARG(buf_str(&t.text)));
            translation_fini(&t);
        }
}

/* ---- betas */

static void a_budget_may_be_that_of_many_answers(void **state)
{
    static const char head[] =
        "POST / HTTP/1.1\r\nhost: a\r\nanthropic-beta: x-1,interleaved-thinking-2025-05-14\r\n\r\n";
    static const char body[] =
        "{\"max_tokens\":4000,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":9000},"
        "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}";
    struct translation t;
    struct http_refusal why;
    (void)state;
    for (int beta = 0; beta < 2; beta++) {
        translation_init(&t, EP_MESSAGES, "bedrock");
        if (beta)
            assert_int_equal(http_parse_request(STR(head), 4096, &t.head, &why), 1);
        t.r.body = str_of(body);
        assert_int_equal(chat_read(&t.r, &t.f), beta ? 0 : -1);
        translation_fini(&t);
    }
}

/* ---- size */

static void turns_grow_with_what_is_in_them(void **state)
{
    enum { N = 20000, MOST = 256 * 1024 * 1024 };
    static const char *const roles[] = {"user", "assistant", "system"};
    static const char *const providers[] = {"anthropic", "openai", "gemini", "bedrock", "cohere"};
    (void)state;
    for (size_t k = 0; k < sizeof(roles) / sizeof(roles[0]); k++)
        for (size_t p = 0; p < sizeof(providers) / sizeof(providers[0]); p++) {
            struct buf b;
            buf_init(&b, 8 * 1024 * 1024);
            buf_add(&b, STR("{\"messages\":["));
            for (size_t i = 0; i < N; i++)
                buf_printf(&b, "{\"role\":\"%s\",\"content\":\"a text\"},", roles[k]);
            buf_add(&b, STR("{\"role\":\"user\",\"content\":\"end\"}]}"));
            buf_add_byte(&b, '\0');
            struct translation t;
            struct case_ c = {EP_CHAT, providers[p], "model", b.p, NULL, NULL, false};
            assert_int_equal(run(&t, &c), 0);
            assert_true(t.arena.used < MOST);
            translation_fini(&t);
            buf_free(&b);
        }
}

/* One turn of very many calls, and the results in the opposite order. */
static struct buf calls_and_results(size_t n)
{
    struct buf b;
    buf_init(&b, 16 * 1024 * 1024);
    buf_add(&b, STR("{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"messages\":["
                    "{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"tool_calls\":["));
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s{\"id\":\"call_%zu\",\"function\":{\"name\":\"f\"}}", i ? "," : "", i);
    buf_add(&b, STR("]}"));
    for (size_t i = n; i-- > 0;)
        buf_printf(&b, ",{\"role\":\"tool\",\"tool_call_id\":\"call_%zu\",\"content\":\"r\"}", i);
    buf_add(&b, STR("]}"));
    buf_add_byte(&b, '\0');
    return b;
}

static void results_find_their_calls_quickly(void **state)
{
    enum { N = 20000 };
    static const char *const providers[] = {"anthropic", "openai", "gemini", "bedrock", "cohere"};
    struct buf b = calls_and_results(N);
    clock_t most = 2 * CLOCKS_PER_SEC;
    (void)state;
    for (size_t p = 0; p < sizeof(providers) / sizeof(providers[0]); p++) {
        struct translation t;
        struct case_ c = {EP_CHAT, providers[p], "gemini-3-pro", b.p, NULL, NULL, false};
        clock_t began = clock();
        assert_int_equal(run(&t, &c), 0);
        assert_true(clock() - began < most);
        assert_int_equal(t.r.chat->messages[2].parts[0].id.n, strlen("call_0"));
        translation_fini(&t);
    }
    buf_free(&b);
}

static void tools_have_a_maximum(void **state)
{
    enum { N = 5000 };
    struct buf b;
    struct translation t;
    (void)state;
    buf_init(&b, 1024 * 1024);
    buf_add(&b, STR("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"tools\":["));
    for (size_t i = 0; i < N; i++)
        buf_printf(&b, "%s{\"type\":\"function\",\"function\":{\"name\":\"f%zu\"}}", i ? "," : "", i);
    buf_add(&b, STR("]}"));
    buf_add_byte(&b, '\0');
    struct case_ c = {EP_CHAT, "openai", "gpt-4o", b.p, NULL, NULL, false};
    assert_int_equal(run(&t, &c), -1);
    assert_int_equal(t.f.status, 400);
    assert_true(holds(t.f.message, "too many tools"));
    translation_fini(&t);
    buf_free(&b);
}

static void results_stand_in_the_order_of_their_calls(void **state)
{
    static const char body[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"tool_calls\":["
        "{\"id\":\"a\",\"function\":{\"name\":\"f\"}},{\"id\":\"b\",\"function\":{\"name\":\"f\"}},"
        "{\"id\":\"c\",\"function\":{\"name\":\"f\"}}]},{\"role\":\"user\",\"content\":\"words\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"4\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"3\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"2\"}]}";
    struct translation t;
    struct case_ c = {EP_CHAT, "anthropic", "claude-sonnet-4-5", body, NULL, NULL, false};
    (void)state;
    assert_int_equal(run(&t, &c), 0);
    const struct chat_message *m = &t.r.chat->messages[2];
    assert_int_equal(m->n_parts, 5);
    static const char ids[] = "abcx";
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(m->parts[i].kind, PART_TOOL_RESULT);
        assert_int_equal(m->parts[i].id.p[0], ids[i]);
    }
    assert_int_equal(m->parts[4].kind, PART_TEXT);
    translation_fini(&t);
}

/* A schema of many levels is one. */
static void depth_is_taken(void **state)
{
    enum { LEVELS = 40 };
    struct buf b;
    (void)state;
    buf_init(&b, 1024 * 1024);
    buf_add(&b, STR("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"tools\":[{\"type\":\"function\","
                    "\"function\":{\"name\":\"f\",\"parameters\":"));
    for (int i = 0; i < LEVELS; i++)
        buf_add(&b, STR("{\"type\":\"object\",\"properties\":{\"a\":"));
    buf_add(&b, STR("{\"type\":\"string\",\"description\":\"deep\"}"));
    for (int i = 0; i < LEVELS; i++)
        buf_add(&b, STR("}}"));
    buf_add(&b, STR("}}]}"));
    buf_add_byte(&b, '\0');
    const struct case_ cases[] = {
        {EP_CHAT, "anthropic", "claude-sonnet-4-5", b.p, "deep", NULL, false},
        {EP_CHAT, "gemini", "gemini-2.5-flash", b.p, "deep", NULL, false},
        {EP_CHAT, "openai", "gpt-4o", b.p, "deep", NULL, false},
    };
    CHECK(cases);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_mended_or_refused),
        cmocka_unit_test(data_cannot_leave_its_place),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(hosted_tools_traces_are_passed_over),
        cmocka_unit_test(results_in_the_models_turn_are_the_users),
        cmocka_unit_test(providers_get_what_they_demand),
        cmocka_unit_test(ids_are_one_calls_only),
        cmocka_unit_test(names_of_tools_come_back),
        cmocka_unit_test(a_budget_may_be_that_of_many_answers),
        cmocka_unit_test(turns_grow_with_what_is_in_them),
        cmocka_unit_test(results_find_their_calls_quickly),
        cmocka_unit_test(tools_have_a_maximum),
        cmocka_unit_test(results_stand_in_the_order_of_their_calls),
        cmocka_unit_test(depth_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

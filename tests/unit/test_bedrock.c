/* Requests to Bedrock, as callers of OpenAI's dialect make them. */
#include "bedrock.h"
#include "text_asserts.h"
#include "translate_fixture.h"

#define CLAUDE_3   "anthropic.claude-3-haiku-20240307-v1:0"
#define CLAUDE_3_7 "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
#define CLAUDE_4_5 "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
#define CLAUDE_4_6 "anthropic.claude-opus-4-6-v1"
#define CLAUDE_4_8 "global.anthropic.claude-opus-4-8"
#define NOVA       "us.amazon.nova-pro-v1:0"
#define NOVA_2     "us.amazon.nova-2-lite-v1:0"
#define MISTRAL    "mistral.mistral-large-2402-v1:0"
#define LLAMA      "us.meta.llama3-3-70b-instruct-v1:0"
#define QWEN       "qwen.qwen3-32b-v1:0"

/* ---- what a request becomes */

struct made {
    struct translation t;
    int result;
    struct str path, body;
    char dropped[256]; /* "seed n" */
};

static void note_dropped(struct made *m)
{
    size_t n = 0;
    m->dropped[0] = '\0';
    for (unsigned p = 0; p < CHAT_PARAMS; p++) {
        const char *name = m->t.call.in->params[p].name;
        uint32_t bit = UINT32_C(1) << p;
        if (name && (!(m->t.call.taken & bit) || (m->t.call.adjusted & bit)))
            n += (size_t)snprintf(m->dropped + n, sizeof(m->dropped) - n, "%s%s", n ? " " : "", name);
    }
}

static void make(struct made *m, const char *model, const char *body, bool count)
{
    struct translation *t = &m->t;
    translation_init(t, EP_CHAT, "bedrock");
    t->conf.base_url = "https://bedrock-runtime.us-east-1.amazonaws.com";
    t->r.body = str_of(body);
    t->r.stream = strstr(body, "\"stream\":true") != NULL;
    if (chat_read(&t->r, &t->f) != 0)
        fail_msg("not read: " STR_FMT, STR_ARG(t->f.message));
    translation_call(t, t->r.chat, model);
    m->result = count ? t->provider->write_count(&t->call) : t->provider->write_chat(&t->call);
    m->path = t->out.path;
    m->body = t->out.body;
    note_dropped(m);
    if (m->result == 0 && json_validate(m->body, NULL) != 0)
        fail_msg("no JSON: " STR_FMT, STR_ARG(m->body));
}

/* `members` stand beside "model" and "messages" in the caller's body. */
static struct str with_members(struct arena *a, const char *messages, const char *members)
{
    return arena_printf(a, "{\"model\":\"m\",\"messages\":[%s]%s%s}", messages, *members ? "," : "", members);
}

#define HELLO     "{\"role\":\"user\",\"content\":\"Hello\"}"
#define HELLO_OUT "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Hello\"}]}]"

/* What follows the messages of a request that says Hello. */
static void check_members(const char *model, const char *members, const char *expected, const char *dropped)
{
    struct made m;
    struct arena a;
    arena_init(&a);
    make(&m, model, with_members(&a, HELLO, members).p, false);
    if (m.result != 0)
        fail_msg("%s: %s: refused: " STR_FMT, model, members, STR_ARG(m.t.f.message));
    size_t n = strlen(HELLO_OUT);
    assert_true(str_starts(m.body, STR(HELLO_OUT)));
    struct str rest = {m.body.p + n, m.body.n - n};
    if (!str_eq(rest, str_of(expected)) || strcmp(m.dropped, dropped) != 0)
        fail_msg("%s: %s:\ngot      " STR_FMT " (dropped %s)\nexpected %s (dropped %s)", model, members,
                 STR_ARG(rest), m.dropped, expected, dropped);
    translation_fini(&m.t);
    arena_fini(&a);
}

static void check_messages(const char *model, const char *messages, const char *members, const char *expected)
{
    struct made m;
    struct arena a;
    arena_init(&a);
    make(&m, model, with_members(&a, messages, members).p, false);
    if (m.result != 0)
        fail_msg("refused: " STR_FMT, STR_ARG(m.t.f.message));
    assert_str(m.body, expected);
    translation_fini(&m.t);
    arena_fini(&a);
}

static void check_refused(const char *model, const char *messages, const char *members, const char *why)
{
    struct made m;
    struct arena a;
    arena_init(&a);
    make(&m, model, with_members(&a, messages, members).p, false);
    assert_int_equal(m.result, -1);
    assert_int_equal(m.t.f.status, 400);
    assert_holds(m.t.f.message, why);
    translation_fini(&m.t);
    arena_fini(&a);
}

/* ---- paths */

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *model, *members, *path;
    } cases[] = {
        {NOVA, "", "/model/us.amazon.nova-pro-v1%3A0/converse"},
        {CLAUDE_4_8, "\"stream\":true", "/model/global.anthropic.claude-opus-4-8/converse-stream"},
        {"arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/x1", "",
         "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fx1/"
         "converse"},
        {"../../x?y#z", "", "/model/..%2F..%2Fx%3Fy%23z/converse"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct made m;
        struct arena a;
        arena_init(&a);
        make(&m, cases[i].model, with_members(&a, HELLO, cases[i].members).p, false);
        assert_int_equal(m.result, 0);
        assert_str(m.path, cases[i].path);
        translation_fini(&m.t);
        arena_fini(&a);
    }
}

/* ---- turns */

static void test_turns(void **state)
{
    (void)state;
    check_messages(NOVA, HELLO, "", HELLO_OUT "}");
    /* several speakers are one user; blanks are no text; instructions come together */
    check_messages(NOVA,
                   "{\"role\":\"system\",\"content\":\"Be kind.\"},"
                   "{\"role\":\"user\",\"content\":\"one\",\"name\":\"ann\"},"
                   "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\" \\n\"},"
                   "{\"type\":\"text\",\"text\":\"two\"}],\"name\":\"bob\"},"
                   "{\"role\":\"developer\",\"content\":\"Be late.\"},"
                   "{\"role\":\"assistant\",\"content\":\"three\"},"
                   "{\"role\":\"user\",\"content\":\"four\"}",
                   "",
                   "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"one\"},{\"text\":\"two\"}]},"
                   "{\"role\":\"assistant\",\"content\":[{\"text\":\"three\"}]},"
                   "{\"role\":\"user\",\"content\":[{\"text\":\"four\"}]}],"
                   "\"system\":[{\"text\":\"Be kind.\"},{\"text\":\"Be late.\"}]}");
    /* the user begins; what the model said last has no blanks behind it */
    check_messages(
        CLAUDE_3,
        "{\"role\":\"assistant\",\"content\":\"Welcome.\"},{\"role\":\"user\",\"content\":\"Thanks\"},"
        "{\"role\":\"assistant\",\"content\":\"The answer is \\n\"}",
        "",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\".\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"text\":\"Welcome.\"}]},"
        "{\"role\":\"user\",\"content\":[{\"text\":\"Thanks\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"text\":\"The answer is\"}]}]}");
    /* a user who says nothing still has his turn, a model that said nothing has none */
    check_messages(CLAUDE_3,
                   "{\"role\":\"user\",\"content\":\" \"},{\"role\":\"assistant\",\"content\":\"\\n\"},"
                   "{\"role\":\"user\",\"content\":\"so\"}",
                   "",
                   "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\".\"},{\"text\":\"so\"}]}]}");
    check_messages(NOVA, "{\"role\":\"system\",\"content\":\"Count to three.\"}", "",
                   "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Count to three.\"}]}]}");
}

/* ---- tools in the conversation */

#define CALLS                                                                                            \
    "{\"role\":\"user\",\"content\":\"go\"},"                                                            \
    "{\"role\":\"assistant\",\"content\":\"I look.\",\"tool_calls\":["                                   \
    "{\"id\":\"call_a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},"        \
    "{\"id\":\"call_b\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": " \
    "2}\"}}]},"                                                                                          \
    "{\"role\":\"tool\",\"tool_call_id\":\"call_b\",\"content\":\"two\"},"                               \
    "{\"role\":\"tool\",\"tool_call_id\":\"call_a\",\"content\":\"\"},"                                  \
    "{\"role\":\"user\",\"content\":\"and?\"}"
#define TOOL                                                                      \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"F.\"," \
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"integer\"}}}}}"
#define SPEC                                                                                               \
    "{\"toolSpec\":{\"name\":\"f\",\"description\":\"F.\",\"inputSchema\":{\"json\":{\"type\":\"object\"," \
    "\"properties\":{\"x\":{\"type\":\"integer\"}}}}}}"

static void test_tool_turns(void **state)
{
    (void)state;
    check_messages(
        CLAUDE_3, CALLS, "\"tools\":[" TOOL "]",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"go\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"text\":\"I look.\"},"
        "{\"toolUse\":{\"toolUseId\":\"call_a\",\"name\":\"f\",\"input\":{}}},"
        "{\"toolUse\":{\"toolUseId\":\"call_b\",\"name\":\"f\",\"input\":{\"x\": 2}}}]},"
        "{\"role\":\"user\",\"content\":["
        "{\"toolResult\":{\"toolUseId\":\"call_a\",\"content\":[{\"text\":\"(empty)\"}],\"status\":"
        "\"success\"}},"
        "{\"toolResult\":{\"toolUseId\":\"call_b\",\"content\":[{\"text\":\"two\"}],\"status\":\"success\"}},"
        "{\"text\":\"and?\"}]}],\"toolConfig\":{\"tools\":[" SPEC "]}}");
    /* Mistral's: ids of nine letters, nothing behind results, no status */
    struct arena a;
    arena_init(&a);
    struct str one = bedrock_tool_id(STR("call_a"), BEDROCK_MISTRAL, &a),
               two = bedrock_tool_id(STR("call_b"), BEDROCK_MISTRAL, &a);
    assert_int_equal(one.n, 9);
    assert_false(str_eq(one, two));
    check_messages(
        MISTRAL, CALLS, "\"tools\":[" TOOL "]",
        arena_printf(&a,
                     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"go\"}]},"
                     "{\"role\":\"assistant\",\"content\":[{\"text\":\"I look.\"},"
                     "{\"toolUse\":{\"toolUseId\":\"" STR_FMT "\",\"name\":\"f\",\"input\":{}}},"
                     "{\"toolUse\":{\"toolUseId\":\"" STR_FMT "\",\"name\":\"f\",\"input\":{\"x\": 2}}}]},"
                     "{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"" STR_FMT
                     "\",\"content\":[{\"text\":\"(empty)\"}]}},{\"toolResult\":{\"toolUseId\":\"" STR_FMT
                     "\",\"content\":[{\"text\":\"two\"}]}}]},"
                     "{\"role\":\"assistant\",\"content\":[{\"text\":\".\"}]},"
                     "{\"role\":\"user\",\"content\":[{\"text\":\"and?\"}]}],"
                     "\"toolConfig\":{\"tools\":[" SPEC "]}}",
                     STR_ARG(one), STR_ARG(two), STR_ARG(one), STR_ARG(two))
            .p);
    arena_fini(&a);
}

/* A history with tools and no tools now: one that is not to be called. */
static void test_history_without_tools(void **state)
{
    (void)state;
    struct made m;
    struct arena a;
    arena_init(&a);
    make(&m, NOVA, with_members(&a, CALLS, "").p, false);
    assert_int_equal(m.result, 0);
    assert_true(str_ends(m.body, STR("\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"no_tool\","
                                     "\"description\":\"There is no tool. Never call this.\",\"inputSchema\":"
                                     "{\"json\":{\"type\":\"object\",\"properties\":{}}}}}]}}")));
    translation_fini(&m.t);
    arena_fini(&a);
}

static void test_names_and_ids(void **state)
{
    (void)state;
    struct arena a;
    char text[100];
    arena_init(&a);
    memset(text, 'n', sizeof(text));
    struct str longest = {text, 64}, longer = {text, 65}, longer_still = {text, 66};
    assert_true(str_eq(bedrock_tool_name(longest, &a), longest));
    struct str one = bedrock_tool_name(longer, &a), two = bedrock_tool_name(longer_still, &a);
    assert_int_equal(one.n, 64);
    assert_int_equal(two.n, 64);
    assert_false(str_eq(one, two));
    assert_true(str_eq(one, bedrock_tool_name(longer, &a)));
    assert_true(str_starts(bedrock_tool_name(STR("files.read:all"), &a), STR("files_read_all_")));
    assert_true(str_eq(bedrock_tool_id(STR("tooluse_a-B"), BEDROCK_NOVA, &a), STR("tooluse_a-B")));
    assert_int_equal(bedrock_tool_id(STR("call.with:dots"), BEDROCK_NOVA, &a).n, 24);
    assert_int_equal(bedrock_tool_id(longer, BEDROCK_ANTHROPIC, &a).n, 24);
    assert_true(str_eq(bedrock_tool_id(STR("abcDEF123"), BEDROCK_MISTRAL, &a), STR("abcDEF123")));
    assert_int_equal(bedrock_tool_id(STR("abc-EF123"), BEDROCK_MISTRAL, &a).n, 9);
    arena_fini(&a);
}

/* ---- tools as such */

static void test_tool_choice(void **state)
{
    (void)state;
#define TOOLS(choice) "\"tools\":[" TOOL "]" choice
    check_members(NOVA, TOOLS(""), ",\"toolConfig\":{\"tools\":[" SPEC "]}}", "");
    check_members(NOVA, TOOLS(",\"tool_choice\":\"auto\""), ",\"toolConfig\":{\"tools\":[" SPEC "]}}", "");
    check_members(NOVA, TOOLS(",\"tool_choice\":\"required\""),
                  ",\"toolConfig\":{\"tools\":[" SPEC "],\"toolChoice\":{\"any\":{}}}}", "");
    check_members(NOVA, TOOLS(",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"),
                  ",\"toolConfig\":{\"tools\":[" SPEC "],\"toolChoice\":{\"tool\":{\"name\":\"f\"}}}}", "");
    check_members(NOVA, TOOLS(",\"tool_choice\":\"none\""), "}", "");
    /* where the history has tools they have to stay */
    struct made m;
    struct arena a;
    arena_init(&a);
    make(&m, NOVA, with_members(&a, CALLS, TOOLS(",\"tool_choice\":\"none\"")).p, false);
    assert_int_equal(m.result, 0);
    assert_true(str_ends(m.body, STR("\"system\":[{\"text\":\"Answer this turn without calling any tool: the "
                                     "tools are listed only because the conversation has used them "
                                     "before.\"}],\"toolConfig\":{\"tools\":[" SPEC "]}}")));
    translation_fini(&m.t);
    arena_fini(&a);
#undef TOOLS
}

static void test_tool_schemas(void **state)
{
    (void)state;
    static const char *const tools[][2] = {
        /* none, one without a type, an empty one */
        {"{\"name\":\"g\"}",
         "{\"name\":\"g\",\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties\":{}}}}"},
        {"{\"name\":\"g\",\"parameters\":{\"properties\":{\"a\":{}}}}",
         "{\"name\":\"g\",\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties\":{\"a\":{}}}}}"},
        {"{\"name\":\"g\",\"parameters\":{}}",
         "{\"name\":\"g\",\"inputSchema\":{\"json\":{\"type\":\"object\"}}}"},
    };
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        char members[512], expected[512];
        snprintf(members, sizeof(members), "\"tools\":[{\"type\":\"function\",\"function\":%s}]",
                 tools[i][0]);
        snprintf(expected, sizeof(expected), ",\"toolConfig\":{\"tools\":[{\"toolSpec\":%s}]}}", tools[i][1]);
        check_members(NOVA, members, expected, "");
    }
    /* strict where it is kept, not where it would be refused */
    check_members(
        QWEN,
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\",\"strict\":true,\"parameters\":"
        "{\"type\":\"object\",\"additionalProperties\":false}}}]",
        ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"g\",\"inputSchema\":{\"json\":{\"type\":"
        "\"object\",\"additionalProperties\":false}},\"strict\":true}}]}}",
        "");
    check_members(
        NOVA,
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\",\"strict\":true,\"parameters\":"
        "{\"type\":\"object\",\"additionalProperties\":false}}}]",
        ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"g\",\"inputSchema\":{\"json\":{\"type\":"
        "\"object\",\"additionalProperties\":false}}}}]}}",
        "");
}

/* ---- the form of the answer */

#define SCHEMA(schema)                                                                                       \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"plant\",\"description\":\"A " \
    "plant.\","                                                                                              \
    "\"schema\":" schema "}}"

static void test_schema(void **state)
{
    (void)state;
    check_members(QWEN, SCHEMA("{\"type\":\"object\",\"title\":\"a \\\"b\\\"\"}"),
                  ",\"outputConfig\":{\"textFormat\":{\"type\":\"json_schema\",\"structure\":{\"jsonSchema\":"
                  "{\"schema\":\"{\\\"type\\\":\\\"object\\\",\\\"title\\\":\\\"a \\\\\\\"b\\\\\\\"\\\"}\","
                  "\"name\":\"plant\",\"description\":\"A plant.\"}}}}}",
                  "");
    /* Claude's own: closed */
    check_members(
        CLAUDE_4_5, SCHEMA("{\"type\":\"object\",\"properties\":{}}"),
        ",\"outputConfig\":{\"textFormat\":{\"type\":\"json_schema\",\"structure\":{\"jsonSchema\":"
        "{\"schema\":\"{\\\"type\\\":\\\"object\\\",\\\"properties\\\":{},\\\"additionalProperties\\\":"
        "false}\",\"name\":\"plant\",\"description\":\"A plant.\"}}}}}",
        "");
#define ASKED                                                                                         \
    "{\"toolSpec\":{\"name\":\"json_answer\",\"description\":\"A plant.\",\"inputSchema\":{\"json\":" \
    "{\"type\":\"object\"}}}}"
    check_members(NOVA, SCHEMA("{\"type\":\"object\"}"),
                  ",\"toolConfig\":{\"tools\":[" ASKED "],\"toolChoice\":{\"any\":{}}}}", "");
    check_members(CLAUDE_3, SCHEMA("{\"type\":\"object\"}") ",\"tools\":[" TOOL "]",
                  ",\"toolConfig\":{\"tools\":[" SPEC "," ASKED "],\"toolChoice\":{\"any\":{}}}}", "");
    check_members(CLAUDE_3, SCHEMA("{\"type\":\"object\"}") ",\"tools\":[" TOOL "],\"tool_choice\":\"none\"",
                  ",\"toolConfig\":{\"tools\":[" ASKED "],\"toolChoice\":{\"any\":{}}}}", "");
    /* a tool is to be called first: the form is the answer's, which comes later */
    check_members(CLAUDE_3,
                  SCHEMA("{\"type\":\"object\"}") ",\"tools\":[" TOOL "],\"tool_choice\":\"required\"",
                  ",\"toolConfig\":{\"tools\":[" SPEC "],\"toolChoice\":{\"any\":{}}}}", "");
    check_members(
        NOVA, SCHEMA("{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"),
        ",\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"json_answer\",\"description\":\"A plant.\","
        "\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"array\","
        "\"items\":{\"type\":\"string\"}}},\"required\":[\"value\"]}}}}],\"toolChoice\":{\"any\":{}}}}",
        "");
    /* no thinking beside a forced tool */
    check_members(CLAUDE_3_7, SCHEMA("{\"type\":\"object\"}") ",\"reasoning_effort\":\"low\"",
                  ",\"toolConfig\":{\"tools\":[" ASKED "],\"toolChoice\":{\"any\":{}}}}", "reasoning_effort");
#undef ASKED
    check_members(
        NOVA, "\"response_format\":{\"type\":\"json_object\"}",
        ",\"system\":[{\"text\":\"Answer with one JSON object and nothing else: no words around it, no "
        "code fence.\"}]}",
        "");
    check_members(NOVA, "\"response_format\":{\"type\":\"text\"}", "}", "");
}

/* ---- settings */

static void test_settings(void **state)
{
    (void)state;
    check_members(LLAMA, "\"max_tokens\":7,\"temperature\":0.25,\"top_p\":0.5,\"stop\":\"END\",\"n\":1",
                  ",\"inferenceConfig\":{\"maxTokens\":7,\"temperature\":0.25,\"topP\":0.5,\"stopSequences\":"
                  "[\"END\"]}}",
                  "");
    check_members(LLAMA, "\"temperature\":1.8,\"seed\":4,\"presence_penalty\":0.5,\"n\":2,\"logprobs\":true",
                  ",\"inferenceConfig\":{\"temperature\":1}}",
                  "temperature seed n presence_penalty logprobs");
    check_members(LLAMA, "\"stop\":[\"a\",\"b\",\"c\",\"d\"],\"logprobs\":false,\"modalities\":[\"text\"]",
                  ",\"inferenceConfig\":{\"stopSequences\":[\"a\",\"b\",\"c\",\"d\"]}}", "");
    /* Claude's quirks */
    check_members(CLAUDE_3, "\"stop\":[\"\\n\\n\",\"END\"],\"temperature\":0.5,\"top_p\":0.5",
                  ",\"inferenceConfig\":{\"temperature\":0.5,\"topP\":0.5,\"stopSequences\":[\"END\"]},"
                  "\"additionalModelResponseFieldPaths\":[\"/stop_sequence\"]}",
                  "stop");
    check_members(CLAUDE_3, "\"stop\":[\"END\"],\"stream\":true",
                  ",\"inferenceConfig\":{\"stopSequences\":[\"END\"]},\"additionalModelResponseFieldPaths\":"
                  "[\"/delta/stop_sequence\"]}",
                  "");
    check_members(CLAUDE_4_5, "\"temperature\":0.5,\"top_p\":0.5",
                  ",\"inferenceConfig\":{\"temperature\":0.5}}", "top_p");
    check_members(CLAUDE_4_5, "\"top_p\":0.5", ",\"inferenceConfig\":{\"topP\":0.5}}", "");
    check_members(CLAUDE_4_8, "\"temperature\":0.5,\"top_p\":0.5,\"max_tokens\":9",
                  ",\"inferenceConfig\":{\"maxTokens\":9}}", "temperature top_p");
    check_members(CLAUDE_4_8, "\"temperature\":1", "}", "");
}

static void test_service(void **state)
{
    (void)state;
    check_members(NOVA, "\"service_tier\":\"auto\"", "}", "");
    check_members(NOVA, "\"service_tier\":\"flex\"", ",\"serviceTier\":{\"type\":\"flex\"}}", "");
    check_members(NOVA, "\"user\":\"u-7 @x\",\"metadata\":{\"team\":\"red\"}",
                  ",\"requestMetadata\":{\"user\":\"u-7 @x\",\"team\":\"red\"}}", "");
    check_members(NOVA, "\"user\":\"\xc3\xbc\"", "}", "user");
    check_members(NOVA, "\"metadata\":{\"a\":\"{}\"}", "}", "metadata");
    check_members(NOVA, "\"parallel_tool_calls\":true", "}", "");
    check_members(NOVA, "\"parallel_tool_calls\":false", "}", "parallel_tool_calls");
}

static void test_thinking(void **state)
{
    (void)state;
#define FIELDS(x) ",\"additionalModelRequestFields\":{" x "}}"
#define BUDGET(max, n)                         \
    ",\"inferenceConfig\":{\"maxTokens\":" max \
    "}" FIELDS("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":" n "}")
    static const struct {
        const char *model, *members, *expected, *dropped;
    } cases[] = {
        {CLAUDE_3, "\"reasoning_effort\":\"high\"", "}", "reasoning_effort"},
        {CLAUDE_3_7, "\"reasoning_effort\":\"low\"", BUDGET("5120", "1024"), ""},
        {CLAUDE_3_7, "\"reasoning_effort\":\"medium\"", BUDGET("6144", "2048"), ""},
        {CLAUDE_3_7, "\"reasoning_effort\":\"high\",\"temperature\":0.5,\"top_p\":1", BUDGET("8192", "4096"),
         "temperature top_p"},
        {CLAUDE_3_7, "\"reasoning_effort\":\"high\",\"max_tokens\":2000", BUDGET("2000", "1500"),
         "reasoning_effort"},
        {CLAUDE_3_7, "\"reasoning_effort\":\"high\",\"max_tokens\":1000",
         ",\"inferenceConfig\":{\"maxTokens\":1000}}", "reasoning_effort"},
        {CLAUDE_3_7, "\"reasoning_effort\":\"none\"", "}", ""},
        {CLAUDE_4_6, "\"reasoning_effort\":\"high\"",
         FIELDS("\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"high\"}"), ""},
        {CLAUDE_4_6, "\"reasoning_effort\":\"xhigh\"",
         FIELDS("\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"max\"}"), ""},
        {CLAUDE_4_8, "\"reasoning_effort\":\"xhigh\"",
         FIELDS(
             "\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},\"output_config\":{\"effort\":"
             "\"xhigh\"}"),
         ""},
        {NOVA, "\"reasoning_effort\":\"low\"", "}", "reasoning_effort"},
        {NOVA_2, "\"reasoning_effort\":\"low\",\"temperature\":0.5",
         ",\"inferenceConfig\":{\"temperature\":0.5}" FIELDS(
             "\"reasoningConfig\":{\"type\":\"enabled\",\"maxReasoningEffort\":\"low\"}"),
         ""},
        {NOVA_2, "\"reasoning_effort\":\"high\",\"temperature\":0.5",
         FIELDS("\"reasoningConfig\":{\"type\":\"enabled\",\"maxReasoningEffort\":\"high\"}"), "temperature"},
        {NOVA_2, "\"reasoning_effort\":\"high\",\"max_tokens\":5",
         ",\"inferenceConfig\":{\"maxTokens\":5}" FIELDS(
             "\"reasoningConfig\":{\"type\":\"enabled\",\"maxReasoningEffort\":\"medium\"}"),
         "reasoning_effort"},
        {"openai.gpt-oss-120b-1:0", "\"reasoning_effort\":\"minimal\"",
         FIELDS("\"reasoning_effort\":\"low\""), ""},
        {QWEN, "\"reasoning_effort\":\"low\"", "}", "reasoning_effort"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_members(cases[i].model, cases[i].members, cases[i].expected, cases[i].dropped);
#undef FIELDS
#undef BUDGET
}

/* ---- media */

#define PNG         "iVBORw0KGgoAAAANSUhEUg=="
#define USER(parts) "{\"role\":\"user\",\"content\":[" parts "]}"
#define FILE_PART(name, url) \
    "{\"type\":\"file\",\"file\":{\"filename\":\"" name "\",\"file_data\":\"" url "\"}}"
#define IMAGE_PART(url) "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}"
#define OUT(parts)      "{\"messages\":[{\"role\":\"user\",\"content\":[" parts "]}]}"

static void test_media(void **state)
{
    (void)state;
    check_messages(CLAUDE_3, USER(IMAGE_PART("data:image/jpg;base64,QUJD")), "",
                   OUT("{\"image\":{\"format\":\"jpeg\",\"source\":{\"bytes\":\"QUJD\"}}}"));
    /* what it is counts, not what it is said to be */
    check_messages(CLAUDE_3, USER(IMAGE_PART("data:image/jpeg;base64," PNG)), "",
                   OUT("{\"image\":{\"format\":\"png\",\"source\":{\"bytes\":\"" PNG "\"}}}"));
    check_messages(NOVA, USER(IMAGE_PART("s3://bucket/kitten.gif")), "",
                   OUT("{\"image\":{\"format\":\"gif\",\"source\":{\"s3Location\":{\"uri\":\"s3://bucket/"
                       "kitten.gif\"}}}}"));
    /* documents have names that differ, and a text beside them */
    check_messages(
        CLAUDE_3,
        USER(FILE_PART("my_report (v1.2).PDF", "data:application/pdf;base64,JVBERi0xLjc=") "," FILE_PART(
            "my report (v1.2).pdf",
            "data:application/pdf;base64,JVBERi0xLjc=") "," FILE_PART("\xe2\x82\xac.csv",
                                                                      "data:text/csv;base64,QSxC")),
        "",
        OUT("{\"document\":{\"format\":\"pdf\",\"name\":\"my report (v1 2)\",\"source\":{\"bytes\":"
            "\"JVBERi0xLjc=\"}}},{\"document\":{\"format\":\"pdf\",\"name\":\"my report (v1 2) (2)\","
            "\"source\":{\"bytes\":\"JVBERi0xLjc=\"}}},{\"document\":{\"format\":\"csv\",\"name\":"
            "\"Document 3\",\"source\":{\"bytes\":\"QSxC\"}}},{\"text\":\".\"}"));
    check_refused(CLAUDE_3, USER(IMAGE_PART("data:image/tiff;base64,QUJD")), "", "image/tiff");
    check_refused(CLAUDE_3, USER("{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}"), "",
                  "no uploaded files");
}

/* ---- thinking goes back to those who can check it */

static void test_thinking_back(void **state)
{
    (void)state;
#define TURNS                                                                    \
    HELLO ",{\"role\":\"assistant\",\"content\":\"4\",\"thinking_blocks\":["     \
          "{\"type\":\"thinking\",\"thinking\":\"2+2\",\"signature\":\"c2ln\"}," \
          "{\"type\":\"redacted_thinking\",\"data\":\"RW5jcnlwdGVk\"}]}," HELLO
#define AROUND(thinking)                                             \
    HELLO_OUT_2 "{\"role\":\"assistant\",\"content\":[" thinking     \
                "{\"text\":\"4\"}]},{\"role\":\"user\",\"content\":" \
                "[{\"text\":\"Hello\"}]}]}"
#define HELLO_OUT_2 "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Hello\"}]},"
    check_messages(
        CLAUDE_4_5, TURNS, "",
        AROUND("{\"reasoningContent\":{\"reasoningText\":{\"text\":\"2+2\",\"signature\":\"c2ln\"}}},"
               "{\"reasoningContent\":{\"redactedContent\":\"Ulc1amNubHdkR1Zr\"}},"));
    check_messages(NOVA, TURNS, "", AROUND(""));
    check_messages(CLAUDE_4_5,
                   HELLO
                   ",{\"role\":\"assistant\",\"content\":\"4\",\"reasoning_content\":\"unsigned\"}," HELLO,
                   "", AROUND(""));
#undef TURNS
#undef AROUND
}

/* ---- cache points */

static void test_cache_points(void **state)
{
    (void)state;
#define MARK  ",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"
#define POINT "{\"cachePoint\":{\"type\":\"default\",\"ttl\":\"1h\"}}"
    static const char messages[] =
        "{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"Rules.\"" MARK "}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Book.\"" MARK "},"
        "{\"type\":\"text\",\"text\":\"Question.\"}]}";
    check_messages(CLAUDE_4_5, messages, "",
                   "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Book.\"}," POINT
                   ",{\"text\":\"Question.\"}]}],\"system\":[{\"text\":\"Rules.\"}," POINT "]}");
    check_messages(
        NOVA, messages, "",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Book.\"},{\"cachePoint\":{\"type\":"
        "\"default\"}},{\"text\":\"Question.\"}]}],\"system\":[{\"text\":\"Rules.\"},{\"cachePoint\":"
        "{\"type\":\"default\"}}]}");
    check_messages(
        LLAMA, messages, "",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Book.\"},{\"text\":\"Question.\"}]}],"
        "\"system\":[{\"text\":\"Rules.\"}]}");
    struct made m;
    struct arena a;
    arena_init(&a);
    make(&m, LLAMA, with_members(&a, messages, "").p, false);
    assert_string_equal(m.dropped, "cache_control");
    translation_fini(&m.t);
    arena_fini(&a);
#undef MARK
#undef POINT
}

/* Built by hand, for what the chat dialect has no words for: marks behind documents and thinking are refused
 * by Bedrock, so none are sent. */
static void test_cache_points_are_not_sent_where_refused(void **state)
{
    (void)state;
    struct translation t;
    translation_init(&t, EP_CHAT, "bedrock");
    struct chat_request in = {.parallel_tools = -1, .format_strict = -1, .thinking_shown = -1};
    struct chat_message *m = chat_add_message(&in, &t.arena, CHAT_USER);
    static const char *const mimes[] = {"text/plain", "application/pdf"};
    for (int i = 0; i < 2; i++) {
        struct chat_part *p = chat_add_part(&m->parts, &m->n_parts, &t.arena, PART_FILE);
        p->data = STR("QUJD");
        p->mime = str_of(mimes[i]);
        p->cache_control = STR("{\"type\":\"ephemeral\"}");
    }
    assert_int_equal(t.provider->write_chat(translation_call(&t, &in, CLAUDE_4_5)), 0);
    assert_str(
        t.out.body,
        OUT("{\"document\":{\"format\":\"txt\",\"name\":\"Document 1\",\"source\":{\"bytes\":\"QUJD\"}}},"
            "{\"document\":{\"format\":\"pdf\",\"name\":\"Document 2\",\"source\":{\"bytes\":\"QUJD\"}}},"
            "{\"cachePoint\":{\"type\":\"default\"}},{\"text\":\".\"}"));
    translation_fini(&t);
}

/* A tool's failure, told where there is a place for it and where there is none; a picture as its result. */
static void test_results(void **state)
{
    (void)state;
    static const struct {
        const char *model, *expected;
    } cases[] = {
        {CLAUDE_4_5, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"t1\","
                     "\"content\":[{\"text\":"
                     "\"no\"},{\"image\":{\"format\":\"png\",\"source\":{\"bytes\":\"" PNG
                     "\"}}}],\"status\":\"error\"}}]}],"
                     "\"toolConfig\":"},
        {LLAMA, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"t1\","
                "\"content\":[{\"text\":"
                "\"The tool has "
                "failed:\"},{\"text\":\"no\"},{\"image\":{\"format\":\"png\",\"source\":{\"bytes\":\"" PNG
                "\"}}}]}}]}],\"toolConfig\":"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct translation t;
        translation_init(&t, EP_CHAT, "bedrock");
        struct chat_request in = {.parallel_tools = -1, .format_strict = -1, .thinking_shown = -1};
        struct chat_message *m = chat_add_message(&in, &t.arena, CHAT_USER);
        struct chat_part *p = chat_add_part(&m->parts, &m->n_parts, &t.arena, PART_TOOL_RESULT);
        p->id = STR("t1");
        p->is_error = true;
        chat_add_part(&p->parts, &p->n_parts, &t.arena, PART_TEXT)->text = STR("no");
        chat_add_part(&p->parts, &p->n_parts, &t.arena, PART_IMAGE)->data = STR(PNG);
        assert_int_equal(t.provider->write_chat(translation_call(&t, &in, cases[i].model)), 0);
        if (!str_starts(t.out.body, str_of(cases[i].expected)))
            fail_msg("got " STR_FMT, STR_ARG(t.out.body));
        translation_fini(&t);
    }
}

/* ---- counting */

static void test_count(void **state)
{
    (void)state;
    struct made m;
    struct arena a;
    arena_init(&a);
    make(&m, CLAUDE_4_5, with_members(&a, HELLO, "\"max_tokens\":5,\"tools\":[" TOOL "]").p, true);
    assert_int_equal(m.result, 0);
    assert_str(m.path, "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens");
    assert_str(m.body, "{\"input\":{\"converse\":" HELLO_OUT ",\"toolConfig\":{\"tools\":[" SPEC "]}}}}");
    struct failure f;
    struct chat_reader rd = {.r = &m.t.r, .arena = &m.t.arena, .scratch = &m.t.arena, .f = &f};
    uint64_t n = 0;
    assert_int_equal(m.t.provider->read_count(&rd, STR("{\"inputTokens\":23}"), &n), 0);
    assert_int_equal(n, 23);
    assert_int_equal(m.t.provider->read_count(&rd, STR("{\"inputTokens\":-1}"), &n), -1);
    assert_int_equal(m.t.provider->read_count(&rd, STR("{}"), &n), -1);
    assert_int_equal(m.t.provider->read_count(&rd, STR("["), &n), -1);
    assert_int_equal(f.status, 502);
    translation_fini(&m.t);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_tool_turns),
        cmocka_unit_test(test_history_without_tools),
        cmocka_unit_test(test_names_and_ids),
        cmocka_unit_test(test_tool_choice),
        cmocka_unit_test(test_tool_schemas),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_service),
        cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_media),
        cmocka_unit_test(test_thinking_back),
        cmocka_unit_test(test_cache_points),
        cmocka_unit_test(test_cache_points_are_not_sent_where_refused),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

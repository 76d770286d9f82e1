/* What Bedrock answers: whole answers, streams, errors, embeddings. */
#include "bedrock.h"
#include "text_asserts.h"
#include "translate_fixture.h"

/* ---- answers and deltas as lines of text */

static const char *const finishes[] = {
    [FINISH_NONE] = "none",       [FINISH_STOP] = "stop",
    [FINISH_LENGTH] = "length",   [FINISH_STOP_SEQUENCE] = "stop_sequence",
    [FINISH_PAUSE] = "pause",     [FINISH_TOOL_CALLS] = "tool_calls",
    [FINISH_ERROR] = "error",     [FINISH_CONTENT_FILTER] = "content_filter",
    [FINISH_REFUSAL] = "refusal",
};

static const char *signer(enum chat_signer s)
{
    return s == SIGNER_ANTHROPIC ? "!" : "";
}

static void put_delta(struct buf *b, const struct chat_delta *d)
{
    switch (d->kind) {
    case DELTA_TEXT:
        buf_printf(b, "text " STR_FMT "\n", STR_ARG(d->text));
        break;
    case DELTA_THINKING:
        buf_printf(b, "thinking " STR_FMT "|" STR_FMT "%s\n", STR_ARG(d->text), STR_ARG(d->signature),
                   signer(d->signer));
        break;
    case DELTA_REDACTED:
        buf_printf(b, "redacted " STR_FMT "%s\n", STR_ARG(d->data), signer(d->signer));
        break;
    case DELTA_TOOL:
        buf_printf(b, "tool %u " STR_FMT " " STR_FMT "\n", d->tool, STR_ARG(d->id), STR_ARG(d->name));
        break;
    case DELTA_ARGUMENTS:
        buf_printf(b, "arguments %u " STR_FMT "\n", d->tool, STR_ARG(d->text));
        break;
    case DELTA_IMAGE:
        buf_printf(b, "image " STR_FMT " " STR_FMT "\n", STR_ARG(d->mime), STR_ARG(d->data));
        break;
    case DELTA_ANNOTATIONS:
        buf_printf(b, "annotations " STR_FMT "\n", STR_ARG(d->json));
        break;
    case DELTA_FINISH:
        buf_printf(b, "finish %s" STR_FMT "\n", finishes[d->finish], STR_ARG(d->stop_sequence));
        break;
    default:
        break;
    }
}

static void spy_delta(struct chat_writer *w, const struct chat_delta *d, struct buf *out)
{
    (void)w;
    put_delta(out, d);
}

static const struct chat_dialect spy = {.name = "spy", .delta = spy_delta};

static void put_in(void *arg, const struct chat_delta *d)
{
    put_delta(arg, d);
}

static void put_usage(struct buf *b, const struct usage_tokens *u)
{
    buf_printf(b, "usage %u %u %u %u\n", (unsigned)u->input, (unsigned)u->cached, (unsigned)u->cache_write,
               (unsigned)u->output);
}

/* A test's surroundings: a request for which answers are read. */
struct reading {
    struct translation t;
    struct chat_request in;
    struct chat_sink sink;
    struct chat_writer writer;
    struct chat_reader rd;
    struct buf text;
};

static void reading_init(struct reading *s)
{
    memset(s, 0, sizeof(*s));
    translation_init(&s->t, EP_CHAT, "bedrock");
    s->in = (struct chat_request){.parallel_tools = -1, .format_strict = -1, .thinking_shown = -1};
    s->t.r.target_model = STR("amazon.nova-pro-v1:0");
    buf_init(&s->text, 1 << 24);
    s->writer = (struct chat_writer){.r = &s->t.r, .in = &s->in, .dialect = &spy};
    s->rd = (struct chat_reader){.r = &s->t.r,
                                 .conf = &s->t.conf,
                                 .in = &s->in,
                                 .arena = &s->t.arena,
                                 .scratch = &s->t.scratch,
                                 .f = &s->t.f,
                                 .sink = &s->sink};
    s->sink = (struct chat_sink){.reader = &s->rd, .writer = &s->writer, .out = &s->text};
}

static void reading_fini(struct reading *s)
{
    buf_free(&s->text);
    translation_fini(&s->t);
}

static void read_whole(struct reading *s, const char *body)
{
    struct chat_answer a = {0};
    s->rd.scratch = s->rd.arena;
    if (s->t.provider->read_chat(&s->rd, str_of(body), &a) != 0) {
        buf_printf(&s->text, "failed %d " STR_FMT "\n", s->t.f.status, STR_ARG(s->t.f.message));
        return;
    }
    chat_answer_deltas(&a, put_in, &s->text);
    if (a.usage_known)
        put_usage(&s->text, &a.usage);
}

static void check_whole(const char *body, const char *expected)
{
    struct reading s;
    reading_init(&s);
    read_whole(&s, body);
    assert_str(buf_str(&s.text), expected);
    reading_fini(&s);
}

/* "NAME {…}": a frame; "!NAME {…}": an exception. */
static enum frame_result read_frames(struct reading *s, const char *const frames[])
{
    enum frame_result last = FRAME_MORE;
    for (size_t i = 0; frames[i] && last == FRAME_MORE; i++) {
        struct str data = str_of(frames[i]), name = STR_NULL;
        bool exception = data.p[0] == '!';
        str_split(&data, ' ', &name);
        if (exception)
            name.p++, name.n--;
        struct chat_frame f = {.name = name, .data = data, .exception = exception};
        last = s->t.provider->read_frame(&s->rd, &f);
        arena_reset(&s->t.scratch);
        if (last != FRAME_MORE && frames[i + 1])
            fail_msg("frame %zu is the last: %d", i, last);
    }
    if (s->t.r.tokens_known)
        put_usage(&s->text, &s->t.r.tokens);
    if (last == FRAME_ERROR)
        buf_printf(&s->text, "failed %d %s " STR_FMT "\n", s->t.f.status, s->t.f.code ? s->t.f.code : "-",
                   STR_ARG(s->t.f.message));
    return last;
}

static void check_stream(const char *const frames[], enum frame_result result, const char *expected)
{
    struct reading s;
    reading_init(&s);
    enum frame_result got = read_frames(&s, frames);
    assert_str(buf_str(&s.text), expected);
    assert_int_equal(got, result);
    reading_fini(&s);
}

#define FRAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- whole answers */

#define WHOLE(content, rest) \
    "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[" content "]}}," rest "}"

static void test_answer(void **state)
{
    (void)state;
    check_whole(
        WHOLE(
            "{\"text\":\"a\\u00e9\"},{\"toolUse\":{\"toolUseId\":\"t1\",\"name\":\"f\",\"input\":{\"x\": "
            "1}}},"
            "{\"toolUse\":{\"toolUseId\":\"t2\",\"name\":\"g\",\"input\":{}}}",
            "\"stopReason\":\"tool_use\",\"usage\":{\"inputTokens\":5,\"outputTokens\":7,\"totalTokens\":23,"
            "\"cacheReadInputTokens\":10,\"cacheWriteInputTokens\":1},\"metrics\":{\"latencyMs\":9}"),
        "text a\xc3\xa9\n"
        "tool 0 t1 f\narguments 0 {\"x\": 1}\n"
        "tool 1 t2 g\narguments 1 {}\n"
        "finish tool_calls\n"
        "usage 16 10 1 7\n");
    check_whole(
        WHOLE("{\"reasoningContent\":{\"reasoningText\":{\"text\":\"hm\",\"signature\":\"c2ln\"}}},"
              "{\"reasoningContent\":{\"reasoningText\":{\"text\":\"unsigned\"}}},"
              "{\"reasoningContent\":{\"redactedContent\":\"RW9EKw==\"}},"
              "{\"reasoningContent\":{\"redactedContent\":\"AAEC\"}},{\"text\":\"4\"}",
              "\"stopReason\":\"end_turn\""),
        "thinking hm|c2ln!\nthinking unsigned|\nredacted EoD+!\nredacted AAEC!\ntext 4\nfinish stop\n");
    /* nothing said */
    check_whole(WHOLE("", "\"stopReason\":\"end_turn\",\"usage\":{\"inputTokens\":3,\"outputTokens\":0}"),
                "finish stop\nusage 3 0 0 0\n");
    check_whole(WHOLE("{\"image\":{\"format\":\"png\",\"source\":{\"bytes\":\"QUJD\"}}}",
                      "\"stopReason\":\"end_turn\""),
                "image image/png QUJD\nfinish stop\n");
}

static void test_finishes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"end_turn", "stop"},
        {"stop_sequence", "stop_sequence"},
        {"max_tokens", "length"},
        {"model_context_window_exceeded", "length"},
        {"guardrail_intervened", "content_filter"},
        {"content_filtered", "content_filter"},
        {"malformed_model_output", "error"},
        {"malformed_tool_use", "error"},
        {"refusal", "refusal"},
        {"something_new", "stop"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[256], frame[128], expected[128];
        snprintf(body, sizeof(body), WHOLE("{\"text\":\"x\"}", "\"stopReason\":\"%s\""), cases[i][0]);
        snprintf(frame, sizeof(frame), "messageStop {\"stopReason\":\"%s\"}", cases[i][0]);
        snprintf(expected, sizeof(expected), "text x\nfinish %s\n", cases[i][1]);
        check_whole(body, expected);
        check_stream(FRAMES("contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"x\"}}", frame),
                     FRAME_MORE, expected);
    }
    /* with calls it is one for calls, whatever is said */
    check_whole(WHOLE("{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\",\"input\":{}}}",
                      "\"stopReason\":\"end_turn\""),
                "tool 0 t f\narguments 0 {}\nfinish tool_calls\n");
    check_whole(WHOLE("{\"text\":\"x\"}",
                      "\"stopReason\":\"stop_sequence\",\"additionalModelResponseFields\":"
                      "{\"stop_sequence\":\"END\"}"),
                "text x\nfinish stop_sequenceEND\n");
    check_stream(
        FRAMES("messageStop {\"stopReason\":\"stop_sequence\",\"additionalModelResponseFields\":{\"delta\":"
               "{\"stop_sequence\":\"END\"}}}"),
        FRAME_MORE, "finish stop_sequenceEND\n");
}

/* The provider's own tools are its own business; what it read is cited. */
static void test_hosted_tools_and_citations(void **state)
{
    (void)state;
    check_whole(
        WHOLE("{\"toolUse\":{\"toolUseId\":\"s1\",\"name\":\"nova_grounding\",\"type\":\"server_tool_use\","
              "\"input\":{}}},"
              "{\"toolResult\":{\"toolUseId\":\"s1\",\"type\":\"nova_grounding_result\",\"content\":[{"
              "\"text\":\"hidden\"}]}},"
              "{\"text\":\"\xc3\x9c is \"},"
              "{\"citationsContent\":{\"content\":[{\"text\":\"a letter\"}],\"citations\":["
              "{\"location\":{\"web\":{\"url\":\"https://x.example/u\",\"domain\":\"x.example\"}}},"
              "{\"title\":\"A book\",\"location\":{\"documentPage\":{\"start\":1}}},"
              "{\"title\":\"Facts\",\"source\":\"http://y.example\"}]}},{\"text\":\".\"},"
              "{\"toolUse\":{\"toolUseId\":\"t1\",\"name\":\"f\",\"type\":\"tool_use\",\"input\":{}}}",
              "\"stopReason\":\"tool_use\""),
        "text \xc3\x9c is \ntext a letter\ntext .\ntool 0 t1 f\narguments 0 {}\n"
        "annotations "
        "[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"https://x.example/"
        "u\",\"title\":\"x.example\","
        "\"start_index\":5,\"end_index\":13}},{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"http://"
        "y.example\","
        "\"title\":\"Facts\",\"start_index\":5,\"end_index\":13}}]\n"
        "finish tool_calls\n");
}

static void test_bad_answers(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "", "[]", "{}", "{\"output\":{}}", "{\"output\":{\"message\":7},\"usage\":{}}", "{\"output\":"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct reading s;
        reading_init(&s);
        read_whole(&s, bodies[i]);
        assert_true(str_starts(buf_str(&s.text), STR("failed 502 The provider's answer ")));
        reading_fini(&s);
    }
    check_whole("{\"message\":\"not today\"}", "failed 502 not today\n");
    /* odd, but to be lived with */
    check_whole(WHOLE("7,{\"text\":8},{\"toolUse\":[]},{\"toolUse\":{\"name\":\"\"}},null",
                      "\"stopReason\":9,\"usage\":{\"inputTokens\":-1,\"outputTokens\":2147483648}"),
                "finish stop\n");
    check_whole(WHOLE("{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\",\"input\":\"{\\\"a\\\":1}\"}}",
                      "\"stopReason\":\"tool_use\",\"usage\":{\"inputTokens\":1.5,\"outputTokens\":2}"),
                "tool 0 t f\narguments 0 {\"a\":1}\nfinish tool_calls\nusage 0 0 0 2\n");
}

/* A name that Bedrock would not have taken goes back to what it was. */
static void test_names_back(void **state)
{
    (void)state;
    struct reading s;
    char body[512], expected[128];
    reading_init(&s);
    struct chat_tool *t = chat_add_tool(&s.in, &s.t.arena);
    t->name = STR("files.read");
    struct str name = bedrock_tool_name(t->name, &s.t.arena);
    snprintf(body, sizeof(body),
             WHOLE("{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"" STR_FMT "\",\"input\":{}}}",
                   "\"stopReason\":\"tool_use\""),
             STR_ARG(name));
    snprintf(expected, sizeof(expected), "tool 0 t files.read\narguments 0 {}\nfinish tool_calls\n");
    read_whole(&s, body);
    assert_str(buf_str(&s.text), expected);
    reading_fini(&s);
}

/* ---- streams */

#define DELTA(block, delta) \
    "contentBlockDelta {\"contentBlockIndex\":" #block ",\"delta\":{" delta "},\"p\":\"abc\"}"
#define TOOL(block, id, name)                                                                         \
    "contentBlockStart {\"contentBlockIndex\":" #block ",\"start\":{\"toolUse\":{\"toolUseId\":\"" id \
    "\",\"name\":\"" name "\"}}}"
#define STOP(block) "contentBlockStop {\"contentBlockIndex\":" #block "}"
#define END(reason) "messageStop {\"stopReason\":\"" reason "\",\"p\":\"ab\"}"
#define USAGE       "metadata {\"usage\":{\"inputTokens\":4,\"outputTokens\":6},\"metrics\":{\"latencyMs\":1}}"

static void test_stream(void **state)
{
    (void)state;
    check_stream(FRAMES("messageStart {\"role\":\"assistant\"}", DELTA(0, "\"text\":\"Hel\""),
                        DELTA(0, "\"text\":\"\""), DELTA(0, "\"text\":\"lo\""), STOP(0),
                        "futureEvent {\"x\":1}", END("end_turn"), USAGE),
                 FRAME_LAST, "text Hel\ntext lo\nfinish stop\nusage 4 0 0 6\n");
    check_stream(
        FRAMES(DELTA(0, "\"reasoningContent\":{\"text\":\"h\"}"),
               DELTA(0, "\"reasoningContent\":{\"text\":\"m\"}"),
               DELTA(0, "\"reasoningContent\":{\"signature\":\"c2ln\"}"), STOP(0),
               DELTA(1, "\"reasoningContent\":{\"redactedContent\":\"RW9EKw==\"}"), STOP(1),
               DELTA(2, "\"text\":\"4\""), STOP(2), END("end_turn"), USAGE),
        FRAME_LAST,
        "thinking h|\nthinking m|\nthinking |c2ln!\nredacted EoD+!\ntext 4\nfinish stop\nusage 4 0 0 6\n");
}

/* Calls are numbered by themselves, whatever blocks stand between them; one without arguments has none. */
static void test_stream_tools(void **state)
{
    (void)state;
    check_stream(
        FRAMES(
            DELTA(0, "\"text\":\"so\""), STOP(0), TOOL(1, "t1", "f"),
            DELTA(1, "\"toolUse\":{\"input\":\"\"}"), DELTA(1, "\"toolUse\":{\"input\":\"{\\\"a\"}"),
            DELTA(1, "\"toolUse\":{\"input\":\"\\\": 1}\"}"), STOP(1),
            "contentBlockStart {\"contentBlockIndex\":2,\"start\":{\"toolUse\":{\"toolUseId\":\"s\",\"name\":"
            "\"nova_grounding\",\"type\":\"server_tool_use\"}}}",
            DELTA(2, "\"toolUse\":{\"input\":\"{\\\"q\\\":1}\"}"), STOP(2),
            "contentBlockStart {\"contentBlockIndex\":3,\"start\":{\"toolResult\":{\"toolUseId\":\"s\"}}}",
            DELTA(3, "\"toolResult\":[{\"text\":\"hidden\"}]"), STOP(3), TOOL(4, "t2", "g"), STOP(4),
            END("tool_use"), USAGE),
        FRAME_LAST,
        "text so\ntool 0 t1 f\narguments 0 {\"a\narguments 0 \": 1}\ntool 1 t2 g\nfinish tool_calls\nusage 4 "
        "0 0 6\n");
    /* arguments of nothing that was announced */
    check_stream(FRAMES(DELTA(9, "\"toolUse\":{\"input\":\"{}\"}"), END("end_turn")), FRAME_MORE,
                 "finish stop\n");
}

static void test_stream_citations(void **state)
{
    (void)state;
    check_stream(
        FRAMES(
            DELTA(0, "\"text\":\"abc\""), STOP(0), DELTA(1, "\"text\":\"de\""),
            DELTA(1,
                  "\"citation\":{\"location\":{\"web\":{\"url\":\"https://x.example\",\"domain\":\"x\"}}}"),
            DELTA(1, "\"citation\":{\"location\":{\"documentChar\":{\"start\":1}},\"title\":\"no address\"}"),
            END("end_turn")),
        FRAME_MORE,
        "text abc\ntext de\nannotations "
        "[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"https://x.example\","
        "\"title\":\"x\",\"start_index\":3,\"end_index\":5}}]\nfinish stop\n");
}

/* The usage may come first, or never. */
static void test_stream_end(void **state)
{
    (void)state;
    struct reading s;
    check_stream(FRAMES(DELTA(0, "\"text\":\"x\""), USAGE, END("max_tokens")), FRAME_LAST,
                 "text x\nfinish length\nusage 4 0 0 6\n");
    check_stream(FRAMES(END("end_turn"), "metadata {}"), FRAME_LAST, "finish stop\n");
    reading_init(&s);
    assert_false(s.t.provider->whole(&s.rd));
    read_frames(&s, FRAMES(DELTA(0, "\"text\":\"x\"")));
    assert_false(s.t.provider->whole(&s.rd));
    read_frames(&s, FRAMES(END("end_turn")));
    assert_true(s.t.provider->whole(&s.rd));
    reading_fini(&s);
}

static void test_stream_failures(void **state)
{
    (void)state;
    static const struct {
        const char *frame, *failure;
    } cases[] = {
        {"!throttlingException {\"message\":\"slow\"}", "failed 429 rate_limit_exceeded slow\n"},
        {"!validationException {\"message\":\"bad\"}", "failed 400 - bad\n"},
        {"!modelStreamErrorException {\"message\":\"broke\",\"originalStatusCode\":424}",
         "failed 502 - broke\n"},
        {"!serviceUnavailableException {\"Message\":\"later\"}", "failed 503 - later\n"},
        {"!internalServerException {}", "failed 500 - The provider answered with internalServerException.\n"},
        {"!modelTimeoutException {\"message\":\"long\"}", "failed 408 - long\n"},
        {"!newException {\"message\":\"what\"}", "failed 502 - what\n"},
        {"!InternalError it is down", "failed 502 - it is down\n"},
        {"contentBlockDelta {\"delta\":",
         "failed 502 upstream_malformed An event of the provider's stream is no valid "
         "JSON object.\n"},
        {"messageStop x",
         "failed 502 upstream_malformed An event of the provider's stream is no valid JSON object.\n"},
        {"contentBlockStart {\"start\":{\"toolUse\":{\"toolUseId\":\"t\"}}}",
         "failed 502 upstream_malformed The provider's stream has a tool call without a name, or too many of "
         "them.\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[512];
        snprintf(expected, sizeof(expected), "text x\n%s", cases[i].failure);
        check_stream(FRAMES(DELTA(0, "\"text\":\"x\""), cases[i].frame), FRAME_ERROR, expected);
    }
}

/* ---- an answer that was had as a tool's arguments */

static void ask_for_json(struct reading *s, const char *schema)
{
    reading_init(s);
    s->in.format = FORMAT_SCHEMA;
    s->in.format_schema = str_of(schema);
    chat_add_tool(&s->in, &s->t.arena)->name = STR("f");
}

static void check_json(const char *schema, const char *whole, const char *const frames[],
                       const char *expected_whole, const char *expected_stream)
{
    struct reading s;
    ask_for_json(&s, schema);
    read_whole(&s, whole);
    assert_str(buf_str(&s.text), expected_whole);
    reading_fini(&s);
    ask_for_json(&s, schema);
    assert_int_equal(read_frames(&s, frames), FRAME_MORE);
    assert_str(buf_str(&s.text), expected_stream);
    reading_fini(&s);
}

static void test_unwrapped(void **state)
{
    (void)state;
    static const char object[] = "{\"type\":\"object\"}", list[] = "{\"type\":\"array\"}";
    check_json(
        object,
        WHOLE(
            "{\"text\":\"Here it is:\"},{\"toolUse\":{\"toolUseId\":\"j\",\"name\":\"json_answer\",\"input\":"
            "{\"a\": [1]}}}",
            "\"stopReason\":\"tool_use\""),
        FRAMES(DELTA(0, "\"text\":\"Here it is:\""), TOOL(1, "j", "json_answer"),
               DELTA(1, "\"toolUse\":{\"input\":\"{\\\"a\\\"\"}"),
               DELTA(1, "\"toolUse\":{\"input\":\": [1]}\"}"), DELTA(2, "\"text\":\"There.\""),
               END("tool_use")),
        "text {\"a\": [1]}\nfinish stop\n", "text {\"a\"\ntext : [1]}\nfinish stop\n");
    check_json(
        list,
        WHOLE("{\"toolUse\":{\"toolUseId\":\"j\",\"name\":\"json_answer\",\"input\":{\"value\":[1, 2]}}}",
              "\"stopReason\":\"tool_use\""),
        FRAMES(TOOL(0, "j", "json_answer"), DELTA(0, "\"toolUse\":{\"input\":\"{\\\"value\\\":[1\"}"),
               DELTA(0, "\"toolUse\":{\"input\":\", 2]}\"}"), STOP(0), END("tool_use")),
        "text [1, 2]\nfinish stop\n", "text [1, 2]\nfinish stop\n");
    /* no arguments: the object that this is */
    check_json(
        object,
        WHOLE("{\"toolUse\":{\"toolUseId\":\"j\",\"name\":\"json_answer\"}}", "\"stopReason\":\"tool_use\""),
        FRAMES(TOOL(0, "j", "json_answer"), STOP(0), END("tool_use")), "text {}\nfinish stop\n",
        "text {}\nfinish stop\n");
    /* one of the caller's was called: what was said beside it stays */
    check_json(object,
               WHOLE("{\"text\":\"I look.\"},{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\",\"input\":{}}}",
                     "\"stopReason\":\"tool_use\""),
               FRAMES(DELTA(0, "\"text\":\"I \""), DELTA(0, "\"text\":\"look.\""), TOOL(1, "t", "f"),
                      DELTA(1, "\"toolUse\":{\"input\":\"{}\"}"), END("tool_use")),
               "text I look.\ntool 0 t f\narguments 0 {}\nfinish tool_calls\n",
               "text I look.\ntool 0 t f\narguments 0 {}\nfinish tool_calls\n");
    /* none was called, though one had to be */
    check_json(object, WHOLE("{\"text\":\"No.\"}", "\"stopReason\":\"max_tokens\""),
               FRAMES(DELTA(0, "\"text\":\"N\""), DELTA(0, "\"text\":\"o.\""), END("max_tokens")),
               "text No.\nfinish length\n", "text No.\nfinish length\n");
}

/* A caller may have a tool of that name. */
static void test_a_callers_own_json_answer(void **state)
{
    (void)state;
    struct reading s;
    reading_init(&s);
    chat_add_tool(&s.in, &s.t.arena)->name = STR("json_answer");
    read_whole(&s, WHOLE("{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"json_answer\",\"input\":{}}}",
                         "\"stopReason\":\"tool_use\""));
    assert_str(buf_str(&s.text), "tool 0 t json_answer\narguments 0 {}\nfinish tool_calls\n");
    buf_reset(&s.text);
    s.in.format = FORMAT_SCHEMA;
    s.in.format_schema = STR("{\"type\":\"object\"}");
    read_whole(&s, WHOLE("{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"json_answer\",\"input\":{}}}",
                         "\"stopReason\":\"tool_use\""));
    assert_str(buf_str(&s.text), "tool 0 t json_answer\narguments 0 {}\nfinish tool_calls\n");
    reading_fini(&s);
}

/* ---- errors */

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *type, *body; /* the header; NULL: none */
        int expected;
        const char *code, *message;
    } cases[] = {
        {429, "ThrottlingException:http://internal.amazon.com/coral/x/", "{\"message\":\"Too many\"}", 429,
         "rate_limit_exceeded", "Too many"},
        {400, "ValidationException", "{\"message\":\"bad\"}", 400, NULL, "bad"},
        {400, NULL, "{\"__type\":\"com.amazon.coral.validate#ValidationException\",\"Message\":\"bad\"}", 400,
         NULL, "bad"},
        {400, "ValidationException", "{\"message\":\"Input is too long for requested model.\"}", 400,
         "context_length_exceeded", "Input is too long for requested model."},
        {400, "ValidationException", "{\"message\":\"The provided model identifier is invalid.\"}", 400,
         "model_not_found", "The provided model identifier is invalid."},
        {400, "ServiceQuotaExceededException", "{\"message\":\"quota\"}", 400, "insufficient_quota", "quota"},
        {403, "AccessDeniedException", "{\"Message\":\"no access\"}", 403, NULL, "no access"},
        {403, "UnrecognizedClientException",
         "{\"message\":\"The security token included in the request is invalid.\"}", 403, "invalid_api_key",
         "The security token included in the request is invalid."},
        {403, NULL, "{\"message\":\"The security token included in the request is invalid.\"}", 403,
         "invalid_api_key", "The security token included in the request is invalid."},
        {403, "InvalidSignatureException", "{\"message\":\"Signature expired: 1 is now earlier than 2\"}",
         403, "invalid_api_key",
         "Signature expired: 1 is now earlier than 2 (Is the gateway's clock right?)"},
        {404, "ResourceNotFoundException", "{\"message\":\"gone\"}", 404, "model_not_found", "gone"},
        {424, "ModelErrorException", "{\"message\":\"m\"}", 502, NULL, "m"},
        {424, NULL, "{\"message\":\"m\"}", 502, NULL, "m"},
        {408, "ModelTimeoutException", "{\"message\":\"m\"}", 408, NULL, "m"},
        {503, "ServiceUnavailableException", "", 503, NULL,
         "The provider answered with ServiceUnavailableException."},
        {500, NULL, "<html>", 500, NULL, "The provider answered with status 500."},
        {418, NULL, "{\"message\":7,\"code\":[]}", 418, NULL, "The provider answered with status 418."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reading s;
        struct failure f;
        reading_init(&s);
        struct http_head head = {.n = cases[i].type ? 1 : 0};
        head.headers[0] = (struct http_header){STR("x-amzn-ErrorType"), str_of(cases[i].type)};
        s.t.provider->read_error(&s.t.r, cases[i].status, &head, str_of(cases[i].body), &f);
        assert_str(f.message, cases[i].message);
        assert_int_equal(f.status, cases[i].expected);
        if (cases[i].code)
            assert_string_equal(f.code, cases[i].code);
        else
            assert_null(f.code);
        reading_fini(&s);
    }
}

/* ---- native calls */

static void test_native_usage(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        struct usage_tokens u;
    } cases[] = {
        {"{\"output\":{},\"usage\":{\"inputTokens\":2,\"outputTokens\":3,\"cacheReadInputTokens\":5}}",
         {7, 5, 0, 3, 0}},
        {"{\"usage\":{\"input_tokens\":2,\"output_tokens\":3,\"cache_read_input_tokens\":5,"
         "\"cache_creation_input_tokens\":1}}",
         {8, 5, 1, 3, 0}},
        {"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_"
         "tokens\":4}}}",
         {9, 4, 0, 3, 0}},
        {"{\"prompt_token_count\":6,\"generation_token_count\":8}", {6, 0, 0, 8, 0}},
        {"{\"inputTextTokenCount\":6,\"embedding\":[1]}", {6, 0, 0, 0, 0}},
        {"{\"inputTokens\":6}", {6, 0, 0, 0, 0}},
    };
    struct failure f;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reading s;
        reading_init(&s);
        assert_int_equal(s.t.provider->read_answer(&s.t.r, str_of(cases[i].body), &f), 0);
        assert_true(s.t.r.tokens_known);
        assert_memory_equal(&s.t.r.tokens, &cases[i].u, sizeof(cases[i].u));
        reading_fini(&s);
    }
    struct reading s;
    reading_init(&s);
    assert_int_equal(s.t.provider->read_answer(&s.t.r, STR("{\"completion\":\"x\"}"), &f), 0);
    assert_false(s.t.r.tokens_known);
    assert_int_equal(s.t.provider->read_answer(&s.t.r, STR("x"), &f), -1);
    assert_int_equal(f.status, 502);
    reading_fini(&s);
}

/* ---- embeddings */

static void embed(struct reading *s, const char *model, const struct embed_request *in, int result,
                  const char *expected)
{
    reading_init(s);
    s->t.conf.base_url = "https://b.example";
    assert_int_equal(s->t.provider->write_embed(translation_call(&s->t, NULL, model), in), result);
    assert_str(result == 0 ? s->t.out.body : s->t.f.message, expected);
}

static void test_embeddings(void **state)
{
    (void)state;
    struct str texts[] = {STR("one \"1\""), STR("two")};
    struct embed_request one = {.texts = texts, .n_texts = 1}, two = {.texts = texts, .n_texts = 2};
    struct reading s;
    struct embed_answer a = {0};
    embed(&s, "amazon.titan-embed-text-v2:0", &one, 0, "{\"inputText\":\"one \\\"1\\\"\"}");
    assert_str(s.t.out.path, "/model/amazon.titan-embed-text-v2%3A0/invoke");
    assert_int_equal(s.t.provider->read_embed(
                         &s.rd, &one, STR("{\"embedding\":[0.5,-1e-3],\"inputTextTokenCount\":4}"), &a),
                     0);
    assert_int_equal(a.n_vectors, 1);
    assert_str(a.vectors[0].json, "[0.5,-1e-3]");
    assert_true(a.usage_known);
    assert_int_equal(a.input_tokens, 4);
    reading_fini(&s);
    embed(&s, "amazon.titan-embed-text-v2:0", &two, -1,
          "This model takes at most 1 text a call, these are 2.");
    reading_fini(&s);
    one.dimensions = 256;
    one.dimensions_name = "dimensions";
    embed(&s, "amazon.titan-embed-text-v2:0", &one, 0,
          "{\"inputText\":\"one \\\"1\\\"\",\"dimensions\":256}");
    reading_fini(&s);
    embed(&s, "amazon.titan-embed-text-v1", &one, -1,
          "This model's vectors have one size only: leave dimensions out.");
    reading_fini(&s);
    embed(&s, "cohere.embed-v4:0", &one, 0,
          "{\"texts\":[\"one \\\"1\\\"\"],\"input_type\":\"search_document\",\"output_dimension\":256}");
    reading_fini(&s);
    embed(&s, "amazon.nova-2-multimodal-embeddings-v1:0", &one, 0,
          "{\"taskType\":\"SINGLE_EMBEDDING\",\"singleEmbeddingParams\":{\"embeddingPurpose\":\"GENERIC_"
          "INDEX\","
          "\"embeddingDimension\":256,\"text\":{\"truncationMode\":\"END\",\"value\":\"one \\\"1\\\"\"}}}");
    reading_fini(&s);
    two.task = STR("RETRIEVAL_QUERY");
    embed(&s, "cohere.embed-english-v3", &two, 0,
          "{\"texts\":[\"one \\\"1\\\"\",\"two\"],\"input_type\":\"search_query\"}");
    a = (struct embed_answer){0};
    assert_int_equal(
        s.t.provider->read_embed(&s.rd, &two, STR("{\"embeddings\":[[1],[2]],\"id\":\"x\"}"), &a), 0);
    assert_int_equal(a.n_vectors, 2);
    assert_str(a.vectors[1].json, "[2]");
    assert_false(a.usage_known);
    assert_int_equal(s.t.provider->read_embed(&s.rd, &two, STR("{\"embeddings\":{\"float\":[[1],[3]]}}"), &a),
                     0);
    assert_str(a.vectors[1].json, "[3]");
    assert_int_equal(s.t.provider->read_embed(
                         &s.rd, &two, STR("{\"embeddings\":[{\"embedding\":[1]},{\"embedding\":[4]}]}"), &a),
                     0);
    assert_str(a.vectors[1].json, "[4]");
    static const char *const bad[] = {"",
                                      "{}",
                                      "{\"embeddings\":[[1]]}",
                                      "{\"embeddings\":[[1],[\"2\"]]}",
                                      "{\"embeddings\":[[1],[]]}",
                                      "{\"embeddings\":[1,2]}",
                                      "{\"embedding\":[1]}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(s.t.provider->read_embed(&s.rd, &two, str_of(bad[i]), &a), -1);
    reading_fini(&s);
    struct embed_request tokens = {.tokens = STR("[1,2]")};
    embed(&s, "cohere.embed-v4:0", &tokens, -1,
          "Bedrock's embeddings are made of texts, not of token numbers.");
    reading_fini(&s);
    embed(&s, "anthropic.claude-3-haiku-20240307-v1:0", &one, -1,
          "Embeddings on Bedrock are had from the models of Amazon (Titan, Nova) and Cohere.");
    reading_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_finishes),
        cmocka_unit_test(test_hosted_tools_and_citations),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_names_back),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_stream_tools),
        cmocka_unit_test(test_stream_citations),
        cmocka_unit_test(test_stream_end),
        cmocka_unit_test(test_stream_failures),
        cmocka_unit_test(test_unwrapped),
        cmocka_unit_test(test_a_callers_own_json_answer),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_native_usage),
        cmocka_unit_test(test_embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

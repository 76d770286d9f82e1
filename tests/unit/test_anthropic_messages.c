/* The Messages dialect: what callers ask is read, or refused with the place named; answers and streams are
 * written as Anthropic's own API would. */
#include "translate_test.h"

static int up(void **state)
{
    (void)state;
    translation_init(&t, EP_MESSAGES, "anthropic");
    return 0;
}

static void again(void)
{
    down(NULL);
    up(NULL);
}

static int read_body(const char *body)
{
    again();
    t.r.body = str_of(body);
    assert_int_equal(json_validate(t.r.body, NULL), 0);
    return chat_read(&t.r, &t.f);
}

#define ASK(rest)  "{\"model\":\"m\",\"max_tokens\":100," rest "}"
#define HI         "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define SAYS(part) "\"messages\":[{\"role\":\"user\",\"content\":[" part "]}]"
#define SAID(part)                                                                                   \
    "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[" part \
    "]},{\"role\":"                                                                                  \
    "\"user\",\"content\":\"b\"}]"
#define TOOL_F "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]"

/* The parts of message i. */
static struct chat_part *parts_of(size_t i, size_t n)
{
    assert_true(i < t.r.chat->n_messages);
    assert_int_equal(t.r.chat->messages[i].n_parts, n);
    return t.r.chat->messages[i].parts;
}

/* ---- reading */

static void texts_images_and_documents_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_body(
            ASK("\"system\":[{\"type\":\"text\",\"text\":\"be\",\"cache_control\":{\"type\":\"ephemeral\"}}]"
                "," SAYS("{\"type\":\"text\",\"text\":\"look\"},"
                         "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
                         "png\",\"data\":\"AAAA\"}},"
                         "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://h/i\"}},"
                         "{\"type\":\"document\",\"title\":\"T\",\"context\":\"old\",\"source\":{\"type\":"
                         "\"base64\",\"media_type\":"
                         "\"application/pdf\",\"data\":\"BBBB\"}},"
                         "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/"
                         "plain\",\"data\":\"words\"}},"
                         "{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":"
                         "\"text\",\"text\":\"in\"},"
                         "{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}}]}},"
                         "{\"type\":\"search_result\",\"source\":\"https://"
                         "s\",\"title\":\"S\",\"content\":[{\"type\":\"text\",\"text\":"
                         "\"found\"}],\"citations\":{\"enabled\":true}}"))),
        0);
    assert_str(parts_of(0, 1)->cache_control, "{\"type\":\"ephemeral\"}");
    assert_int_equal(t.r.chat->messages[0].role, CHAT_SYSTEM);
    struct chat_part *p = parts_of(1, 9);
    assert_str(p[0].text, "look");
    assert_int_equal(p[1].kind, PART_IMAGE);
    assert_str(p[1].mime, "image/png");
    assert_str(p[1].data, "AAAA");
    assert_str(p[2].url, "https://h/i");
    assert_str(p[3].text, "About the document \"T\": old");
    assert_int_equal(p[4].kind, PART_FILE);
    assert_str(p[4].name, "T");
    assert_str(p[4].data, "BBBB");
    assert_str(p[5].text, "words");
    assert_str(p[6].text, "in");
    assert_str(p[7].file_id, "file_1");
    assert_str(p[8].text, "S\nhttps://s\n\nfound");
    assert_int_equal(t.r.chat->n_extras, 1);
    assert_str(t.r.chat->extras[0].name, "citations");
}

static void calls_results_and_thinking_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_body(
            ASK(TOOL_F
                ",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":["
                "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"Eq==\"},"
                "{\"type\":\"thinking\",\"thinking\":\"so\",\"signature\":\"google:abc\"},"
                "{\"type\":\"redacted_thinking\",\"data\":\"openai:xyz\"},"
                "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\",\"input\":{}},"
                "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"x\": "
                "1},\"extra_content\":{\"google\":{"
                "\"thought_signature\":\"sig\"}}},"
                "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"f\",\"input\":{}}]},"
                "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"here\"},"
                "{\"type\":\"tool_result\",\"tool_use_id\":\"t2\",\"content\":[{\"type\":\"text\",\"text\":"
                "\"r2\"},"
                "{\"type\":\"tool_reference\",\"tool_name\":\"n\"}],\"is_error\":true},"
                "{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":\"r1\"}]}]")),
        0);
    struct chat_part *p = parts_of(1, 5);
    assert_int_equal(p[0].signer, SIGNER_ANTHROPIC);
    assert_int_equal(p[1].signer, SIGNER_GOOGLE);
    assert_str(p[1].signature, "abc");
    assert_int_equal(p[2].signer, SIGNER_OPENAI);
    assert_str(p[2].data, "xyz");
    assert_str(p[3].arguments, "{\"x\": 1}");
    assert_str(p[3].signature, "sig");
    assert_int_equal(p[3].signer, SIGNER_GOOGLE);
    p = parts_of(2, 3);
    assert_str(p[0].id, "t1");
    assert_str(p[0].name, "f");
    assert_true(p[1].is_error && p[1].n_parts == 2);
    assert_str(p[2].text, "here");
    assert_str(t.r.chat->extras[0].name, "server_tool_use");
}

static void parameters_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_body(ASK(
            HI
            ",\"stop_sequences\":[\"X\",\"Y\"],\"temperature\":0.5,\"top_p\":1,\"top_k\":7,\"metadata\":{"
            "\"user_id\":"
            "\"u\"},\"service_tier\":\"standard_only\",\"stream\":true,\"context_management\":{\"edits\":[]},"
            "\"speed\":null," TOOL_F
            ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true},"
            "\"output_config\":{\"effort\":\"max\",\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":"
            "\"object\","
            "\"properties\":{\"a\":{}},\"required\":[\"a\"],\"additionalProperties\":false}}},\"cache_"
            "control\":{\"type\":"
            "\"ephemeral\"}")),
        0);
    const struct chat_request *c = t.r.chat;
    assert_str(c->params[PARAM_MAX_TOKENS].value, "100");
    assert_str(c->params[PARAM_TEMPERATURE].value, "0.5");
    assert_str(c->params[PARAM_TOP_K].value, "7");
    assert_str(c->params[PARAM_USER].value, "\"u\"");
    assert_str(c->params[PARAM_SERVICE_TIER].value, "\"default\"");
    assert_str(c->params[PARAM_CACHE_CONTROL].value, "{\"type\":\"ephemeral\"}");
    assert_int_equal(c->n_stop, 2);
    assert_int_equal(c->tool_choice, TOOLS_NAMED);
    assert_str(c->tool_name, "f");
    assert_int_equal(c->parallel_tools, 0);
    assert_int_equal(c->thinking, THINKING_EFFORT);
    assert_str(c->thinking_effort, "max");
    assert_int_equal(c->format, FORMAT_SCHEMA);
    assert_int_equal(c->format_strict, 1);
    assert_int_equal(c->n_extras, 1);
    assert_str(c->extras[0].name, "context_management");
}

static void thinking_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_body("{\"max_tokens\":3000,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000,"
                  "\"display\":\"omitted\"}," HI "}"),
        0);
    assert_int_equal(t.r.chat->thinking, THINKING_BUDGET);
    assert_int_equal(t.r.chat->thinking_budget, 2000);
    assert_int_equal(t.r.chat->thinking_shown, 0);
    assert_int_equal(read_body(ASK("\"thinking\":{\"type\":\"adaptive\"}," HI)), 0);
    assert_int_equal(t.r.chat->thinking, THINKING_ON);
    assert_int_equal(
        read_body(ASK("\"thinking\":{\"type\":\"disabled\"},\"output_config\":{\"effort\":\"low\"}," HI)), 0);
    assert_int_equal(t.r.chat->thinking, THINKING_OFF);
    assert_str(t.r.chat->extras[0].name, "output_config.effort");
}

static void a_schema_that_leaves_choices_is_not_strict(void **state)
{
    (void)state;
    static const char *const open[] = {
        "{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"]}",
        "{\"type\":\"object\",\"properties\":{\"a\":{}},\"additionalProperties\":false}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}},"
        "\"required\":[\"a\"],"
        "\"additionalProperties\":false}",
    };
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        static char body[512];
        snprintf(body, sizeof(body), ASK("\"output_format\":{\"type\":\"json_schema\",\"schema\":%s}," HI),
                 open[i]);
        assert_int_equal(read_body(body), 0);
        assert_int_equal(t.r.chat->format, FORMAT_SCHEMA);
        assert_int_equal(t.r.chat->format_strict, -1);
    }
}

static void a_search_among_tools_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(
        read_body(ASK(
            "\"tools\":[{\"type\":\"tool_search_tool_regex_20251119\",\"name\":\"s\"},{\"type\":\"custom\","
            "\"name\":\"f\",\"strict\":true,\"defer_loading\":true,\"input_schema\":{}}]," HI)),
        0);
    assert_int_equal(t.r.chat->n_tools, 1);
    assert_int_equal(t.r.chat->tools[0].strict, 1);
    assert_int_equal(t.r.chat->n_extras, 2);
    assert_str(t.r.chat->extras[1].name, "tools.defer_loading");
}

#define WAITING(name) "{\"name\":\"" name "\",\"defer_loading\":true,\"input_schema\":{}}"
#define PLAIN(name)   "{\"name\":\"" name "\",\"input_schema\":{}}"
#define CHANGE(type, name) \
    "{\"type\":\"" type "\",\"tool\":{\"type\":\"tool_reference\",\"name\":\"" name "\"}}"
#define CHANGES(changes) \
    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"system\",\"content\":[" changes "]}]"

static void the_model_has_the_tools_that_are_there_in_the_end(void **state)
{
    (void)state;
    assert_int_equal(read_body(ASK("\"tools\":[" PLAIN("a") "," WAITING("b") "," WAITING("c") "]," CHANGES(
                         CHANGE("tool_addition", "c") "," CHANGE("tool_removal", "a") "," CHANGE(
                             "tool_addition", "a") "," CHANGE("tool_removal", "nobody")))),
                     0);
    assert_int_equal(t.r.chat->n_tools, 2);
    assert_str(t.r.chat->tools[0].name, "a");
    assert_str(t.r.chat->tools[1].name, "c");
    assert_int_equal(t.r.chat->n_extras, 0);
    assert_int_equal(
        read_body(ASK("\"tools\":[" PLAIN("a") "]," CHANGES(
            "{\"type\":\"tool_addition\",\"tool\":{\"type\":\"tool_definition\",\"definition\":{\"name\":"
            "\"a\",\"description\":\"another\",\"input_schema\":{}}}}," CHANGE(
                "tool_removal", "a") "," CHANGE("tool_addition", "a")))),
        0);
    assert_int_equal(t.r.chat->n_tools, 1);
    assert_str(t.r.chat->tools[0].description, "another");
    assert_int_equal(read_body(ASK("\"tools\":[" PLAIN("a") "]," CHANGES(CHANGE("tool_removal", "a")))), 0);
    assert_int_equal(t.r.chat->n_tools, 0);
    assert_int_equal(read_body(ASK("\"tools\":[" PLAIN("a") "],\"tool_choice\":{\"type\":\"any\"}," CHANGES(
                         CHANGE("tool_removal", "a")))),
                     -1);
    assert_int_equal(read_body(ASK("\"tools\":[" PLAIN("a") "]," CHANGES(
                         "{\"type\":\"tool_removal\",\"tool\":{\"type\":\"mcp_toolset_reference\",\"server_"
                         "name\":\"s\"}}"))),
                     -1);
}

static void a_new_way_of_showing_thoughts_is_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *display;
        int shown;
        size_t named;
    } cases[] = {{"summarized", 1, 0}, {"omitted", 0, 0}, {"updates", 0, 1}, {"to come", -1, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[256];
        snprintf(body, sizeof(body), ASK("\"thinking\":{\"type\":\"adaptive\",\"display\":\"%s\"}," HI),
                 cases[i].display);
        assert_int_equal(read_body(body), 0);
        assert_int_equal(t.r.chat->thinking, THINKING_ON);
        assert_int_equal(t.r.chat->thinking_shown, cases[i].shown);
        assert_int_equal(t.r.chat->n_extras, cases[i].named);
    }
}

static void counting_needs_no_max_tokens(void **state)
{
    (void)state;
    assert_int_equal(read_body("{" HI "}"), -1);
    again();
    t.r.match.endpoint = EP_COUNT_TOKENS;
    t.r.body = STR("{" HI "}");
    assert_int_equal(chat_read(&t.r, &t.f), 0);
}

static void what_is_wrong_is_named_by_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *words;
    } cases[] = {
        {"{" HI "}", "max_tokens", "max_tokens: Field required"},
        {"{\"max_tokens\":0," HI "}", "max_tokens", "greater than or equal to 1"},
        {"{\"max_tokens\":1.5," HI "}", "max_tokens", "valid integer"},
        {ASK("\"messages\":{}"), "messages", "valid list"},
        {ASK("\"messages\":[]"), "messages", "at least one message"},
        {ASK("\"messages\":[{\"role\":\"user\",\"content\":\"\"}]"), "messages", "non-empty"},
        {ASK("\"messages\":[{\"role\":\"tool\",\"content\":\"a\"}]"), "messages.0.role", "'user'"},
        {ASK("\"messages\":[{\"role\":\"user\"}]"), "messages.0.content", "Field required"},
        {ASK("\"messages\":[{\"role\":\"user\",\"content\":7}]"), "messages.0.content", "string or list"},
        {ASK("\"messages\":[{\"role\":\"user\",\"role\":\"user\",\"content\":\"a\"}]"), "messages.0",
         "repeated"},
        {ASK(SAYS("{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"video\"}")), "messages.0.content.1.type",
         "'video'"},
        {ASK(SAYS("{\"type\":\"text\"}")), "messages.0.content.0.text", "Field required"},
        {ASK(SAYS("\"text\"")), "messages.0.content.0", "valid object"},
        {ASK(SAYS("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}")),
         "messages.0.content.0.type", "'tool_use'"},
        {ASK(SAID("{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":\"{}\"}")),
         "messages.1.content.0.input", "valid object"},
        {ASK(SAYS("{\"type\":\"image\",\"source\":{\"type\":\"ftp\"}}")), "messages.0.content.0.source.type",
         "'base64'"},
        {ASK(SAYS("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":\"thinking\"}]}")),
         "messages.0.content.0.content.0.type", "'thinking'"},
        {ASK(SAYS("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"type\":\"x\"}}")),
         "messages.0.content.0.cache_control.type", "'ephemeral'"},
        {ASK("\"temperature\":1.5," HI), "temperature", "between 0 and 1"},
        {ASK("\"top_k\":-1," HI), "top_k", "integer"},
        {ASK("\"stop_sequences\":[1]," HI), "stop_sequences.0", "valid string"},
        {ASK("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":5}," HI), "thinking.budget_tokens",
         "1024"},
        {ASK("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4000}," HI), "",
         "`max_tokens` must be greater"},
        {ASK("\"output_config\":{\"effort\":\"huge\"}," HI), "output_config.effort", "'low'"},
        {ASK("\"tool_choice\":{\"type\":\"any\"}," HI), "tool_choice", "while providing tools"},
        {ASK(TOOL_F ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"g\"}," HI), "tool_choice.name",
         "not among"},
        {ASK(TOOL_F ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":\"yes\"}," HI),
         "tool_choice.disable_parallel_tool_use", "valid boolean"},
        {ASK("\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]," HI), "tools.0.type",
         "'web_search_20250305'"},
        {ASK("\"tools\":[{\"name\":\"f\"}]," HI), "tools.0.input_schema", "Field required"},
        {ASK("\"container\":\"c\"," HI), "container", "no containers"},
        {ASK("\"mcp_servers\":[{}]," HI), "mcp_servers", "MCP"},
        {ASK(HI "," HI), "messages", "only once"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_body(cases[i].body) == 0)
            fail_msg("read: %s", cases[i].body);
        assert_int_equal(t.f.status, 400);
        assert_str(str_of(t.f.param), cases[i].param);
        if (!holds(t.f.message, cases[i].words))
            fail_msg("%s: %.*s", cases[i].body, (int)t.f.message.n, t.f.message.p);
    }
}

/* ---- whole answers */

static struct str written(struct chat_part *parts, size_t n, enum chat_finish finish)
{
    struct chat_choice choice = {
        .parts = parts,
        .n_parts = n,
        .finish = finish,
        .stop_sequence = STR("END"),
        .annotations = STR("[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"https://p\","
                           "\"title\":\"P\",\"start_index\":0}}]")};
    struct chat_answer answer = {.id = STR("chatcmpl-9"), .choices = &choice, .n_choices = 1};
    struct chat_writer w = translation_writer(&t);
    w.usage =
        (struct usage_tokens){.input = 100, .cached = 30, .cache_write = 20, .output = 9, .reasoning = 4};
    buf_reset(&t.text);
    t.dialect->write(&w, &answer, &t.text);
    assert_int_equal(json_validate(buf_str(&t.text), NULL), 0);
    return buf_str(&t.text);
}

static void an_answer_is_written(void **state)
{
    (void)state;
    struct chat_part parts[] = {
        {.kind = PART_THINKING, .text = STR("hm"), .signature = STR("s"), .signer = SIGNER_OPENAI},
        {.kind = PART_REDACTED, .data = STR("d"), .signer = SIGNER_ANTHROPIC},
        {.kind = PART_TEXT, .text = STR("Yes\n")},
        {.kind = PART_IMAGE, .mime = STR("image/png"), .data = STR("AAAA")},
        {.kind = PART_TOOL_CALL,
         .id = STR("c"),
         .name = STR("f"),
         .signature = STR("g"),
         .signer = SIGNER_GOOGLE},
        {.kind = PART_TOOL_CALL, .id = STR("d"), .name = STR("f"), .arguments = STR("{\"a\":1}")},
    };
    struct str got = written(parts, 6, FINISH_STOP);
    static const char rest[] =
        "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"target-model\",\"content\":["
        "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"openai:s\"},"
        "{\"type\":\"redacted_thinking\",\"data\":\"d\"},"
        "{\"type\":\"text\",\"text\":\"Yes\\n\",\"citations\":[{\"type\":\"web_search_result_location\","
        "\"url\":"
        "\"https://p\",\"title\":\"P\",\"cited_text\":\"\",\"encrypted_index\":\"\"}]},"
        "{\"type\":\"text\",\"text\":\"![image](data:image/png;base64,AAAA)\"},"
        "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{},\"extra_content\":{\"google\":{"
        "\"thought_signature\":"
        "\"g\"}}},"
        "{\"type\":\"tool_use\",\"id\":\"d\",\"name\":\"f\",\"input\":{\"a\":1}}],\"stop_reason\":\"tool_"
        "use\","
        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":50,\"cache_creation_input_tokens\":20,"
        "\"cache_read_input_tokens\":30,\"output_tokens\":9,\"output_tokens_details\":{\"thinking_tokens\":4}"
        "}}";
    assert_true(str_starts(got, STR("{\"id\":\"msg_")));
    if (!str_ends(got, str_of(rest)))
        fail_msg("got: %.*s", (int)got.n, got.p);
}

static void stop_reasons_are_anthropics(void **state)
{
    (void)state;
    static const struct {
        enum chat_finish finish;
        const char *want;
    } cases[] = {
        {FINISH_NONE, "\"end_turn\",\"stop_sequence\":null"},
        {FINISH_STOP, "\"end_turn\",\"stop_sequence\":null"},
        {FINISH_STOP_SEQUENCE, "\"stop_sequence\",\"stop_sequence\":\"END\""},
        {FINISH_LENGTH, "\"max_tokens\""},
        {FINISH_TOOL_CALLS, "\"end_turn\""}, /* none is there */
        {FINISH_CONTENT_FILTER, "\"refusal\""},
        {FINISH_REFUSAL, "\"refusal\""},
        {FINISH_PAUSE, "\"pause_turn\""},
    };
    struct chat_part no = {.kind = PART_REFUSAL, .text = STR("No.")};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[128];
        snprintf(want, sizeof(want), "\"stop_reason\":%s", cases[i].want);
        struct str got = written(&no, 1, cases[i].finish);
        assert_true(holds(got, want));
        assert_true(holds(got, "[{\"type\":\"text\",\"text\":\"No.\"}]"));
    }
}

/* ---- streams */

static struct translated_stream s;

static void begin(void)
{
    again();
    translate_begin(&t, &s);
}

static void emit(struct chat_delta d)
{
    chat_emit(&s.rd, &d);
}

static void finish(enum chat_finish f)
{
    emit((struct chat_delta){.kind = DELTA_FINISH, .finish = f});
    emit((struct chat_delta){.kind = DELTA_USAGE, .usage = {.input = 5, .output = 6}});
    translate_end(&t, &s, FRAME_LAST);
}

static void text(const char *piece)
{
    emit((struct chat_delta){.kind = DELTA_TEXT, .text = str_of(piece)});
}

static void call(uint32_t tool, const char *id)
{
    emit((struct chat_delta){.kind = DELTA_TOOL, .tool = tool, .id = str_of(id), .name = STR("f")});
}

static void arguments(uint32_t tool, const char *piece)
{
    emit((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = tool, .text = str_of(piece)});
}

/* The stream in short: "S" the start, "p" ping, "+0text" a block's start, "~piece" a delta, "-0" its stop,
 * "D" and "." the end, "!" an error. */
static void shorten(struct str in, struct buf *out)
{
    struct sse_reader sse;
    struct sse_event ev;
    sse_init(&sse);
    assert_int_equal(sse_feed(&sse, in), 0);
    while (sse_next(&sse, &ev) == 1) {
        static const char *const paths[] = {"type",
                                            "index",
                                            "content_block.type",
                                            "delta.text",
                                            "delta.partial_json",
                                            "delta.thinking",
                                            "delta.signature",
                                            "content_block.id",
                                            "content_block.data",
                                            "content_block.extra_content"};
        struct json_value v[10];
        assert_int_equal(json_scan(ev.data, paths, 10, v, NULL), 0);
        struct str type = {v[0].raw.p + 1, v[0].raw.n - 2};
        assert_true(str_eq(type, ev.name));
        if (str_eq(type, STR("message_start")))
            buf_add(out, STR("S"));
        else if (str_eq(type, STR("ping")))
            buf_add(out, STR("p"));
        else if (str_eq(type, STR("message_delta")))
            buf_add(out, STR("D"));
        else if (str_eq(type, STR("message_stop")))
            buf_add(out, STR("."));
        else if (str_eq(type, STR("error")))
            buf_add(out, STR("!"));
        else {
            buf_add(out, str_eq(type, STR("content_block_start"))   ? STR("+")
                         : str_eq(type, STR("content_block_delta")) ? STR("~")
                                                                    : STR("-"));
            for (size_t i = 1; i < 10; i++)
                if (!str_eq(type, STR("content_block_delta")) || i > 1)
                    buf_add(out, v[i].raw);
        }
    }
    sse_free(&sse);
}

static void assert_stream(const char *want)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    shorten(buf_str(&t.text), &b);
    struct str got = buf_str(&b);
    bool same = str_eq(got, str_of(want));
    if (!same)
        print_error("got:    %.*s\nwanted: %s\n", (int)got.n, got.p, want);
    buf_free(&b);
    assert_true(same);
}

static void blocks_follow_each_other(void **state)
{
    (void)state;
    begin();
    emit((struct chat_delta){.kind = DELTA_START, .id = STR("msg_7"), .model = STR("m-1")});
    emit((struct chat_delta){.kind = DELTA_THINKING, .text = STR("h")});
    emit((struct chat_delta){.kind = DELTA_THINKING, .text = STR("m")});
    emit((struct chat_delta){.kind = DELTA_THINKING, .signature = STR("Q"), .signer = SIGNER_ANTHROPIC});
    emit((struct chat_delta){.kind = DELTA_REDACTED, .data = STR("R"), .signer = SIGNER_ANTHROPIC});
    text("a");
    text("b");
    call(0, "c0");
    arguments(0, "{\"x\"");
    arguments(0, ":1}");
    call(1, "c1");
    finish(FINISH_STOP);
    assert_stream("Sp+0\"thinking\"~\"h\"~\"m\"~\"Q\"-0+1\"redacted_thinking\"\"R\"-1+2\"text\"~\"a\"~\"b\"-2"
                  "+3\"tool_use\"\"c0\"~\"{\\\"x\\\"\"~\":1}\"-3+4\"tool_use\"\"c1\"~\"{}\"-4D.");
    assert_true(holds(buf_str(&t.text),
                      "\"id\":\"msg_7\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m-1\""));
    assert_true(
        holds(buf_str(&t.text),
              "{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":5,"
              "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":6}"));
}

static void calls_that_interleave_are_told_one_by_one(void **state)
{
    (void)state;
    begin();
    call(0, "c0");
    call(1, "c1");
    arguments(1, "{\"b\":");
    arguments(0, "{\"a\":\"}\\\"");
    text("behind");
    arguments(1, "2}");
    arguments(0, "\"}");
    call(2, "c2");
    arguments(2, "{}");
    emit((struct chat_delta){.kind = DELTA_TEXT, .choice = 1, .text = STR("another choice")});
    emit((struct chat_delta){.kind = DELTA_FINISH, .choice = 1, .finish = FINISH_LENGTH});
    finish(FINISH_TOOL_CALLS);
    assert_stream("Sp+0\"tool_use\"\"c0\"~\"{\\\"a\\\":\\\"}\\\\\\\"\"~\"\\\"}\"-0+1\"tool_use\"\"c1\"~\"{"
                  "\\\"b\\\":2}\"-1"
                  "+2\"text\"~\"behind\"-2+3\"tool_use\"\"c2\"~\"{}\"-3D.");
}

static void googles_signatures_have_a_place(void **state)
{
    (void)state;
    begin();
    text("a");
    emit((struct chat_delta){
        .kind = DELTA_TEXT, .text = STR("b"), .signature = STR("T"), .signer = SIGNER_GOOGLE});
    /* but no block that holds nothing else */
    emit((struct chat_delta){.kind = DELTA_TEXT, .signature = STR("V"), .signer = SIGNER_GOOGLE});
    emit((struct chat_delta){.kind = DELTA_TOOL,
                             .id = STR("c"),
                             .name = STR("f"),
                             .signature = STR("U"),
                             .signer = SIGNER_GOOGLE});
    finish(FINISH_STOP);
    assert_stream("Sp+0\"text\"~\"a\"-0+1\"text\"{\"google\":{\"thought_signature\":\"T\"}}~\"b\"-1"
                  "+2\"tool_use\"\"c\"{\"google\":{\"thought_signature\":\"U\"}}~\"{}\"-2D.");
}

static void an_empty_answer_is_whole_too(void **state)
{
    (void)state;
    begin();
    finish(FINISH_REFUSAL);
    assert_stream("SpD.");
    assert_true(holds(buf_str(&t.text), "\"stop_reason\":\"refusal\""));
}

static void a_failure_ends_with_an_error_event(void **state)
{
    (void)state;
    begin();
    text("a");
    t.f = (struct failure){.status = 503, .message = STR("Busy")};
    translate_end(&t, &s, FRAME_ERROR);
    assert_stream("Sp+0\"text\"~\"a\"!");
    assert_true(holds(buf_str(&t.text), "{\"type\":\"overloaded_error\",\"message\":\"Busy\"}"));
}

static void citations_and_refusals_stand_in_texts(void **state)
{
    (void)state;
    begin();
    text("a");
    emit((struct chat_delta){
        .kind = DELTA_ANNOTATIONS,
        .json = STR("[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"https://p\"}},7]")});
    emit((struct chat_delta){.kind = DELTA_REFUSAL, .text = STR("no")});
    finish(FINISH_REFUSAL);
    assert_stream("Sp+0\"text\"~\"a\"~~\"no\"-0D.");
    assert_true(holds(buf_str(&t.text),
                      "{\"type\":\"citations_delta\",\"citation\":{\"type\":\"web_search_result_location\","
                      "\"url\":\"https://p\",\"title\":null,"));
}

#define CITED(n) "{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"https://p/" n "\"}}"

/* Found before the first word: they wait for the text, behind whatever comes in between. */
static void citations_wait_for_their_text(void **state)
{
    (void)state;
    begin();
    emit((struct chat_delta){.kind = DELTA_ANNOTATIONS, .json = STR("[" CITED("1") "," CITED("2") "]")});
    emit((struct chat_delta){.kind = DELTA_THINKING, .text = STR("hm")});
    emit((struct chat_delta){.kind = DELTA_ANNOTATIONS, .json = STR("[" CITED("3") "]")});
    assert_false(holds(buf_str(&t.text), "citations_delta"));
    text("a");
    text("b");
    finish(FINISH_STOP);
    assert_stream("Sp+0\"thinking\"~\"hm\"-0+1\"text\"~~~~\"a\"~\"b\"-1D.");
    for (int i = 1; i <= 3; i++) {
        char url[32];
        snprintf(url, sizeof(url), "\"url\":\"https://p/%d\"", i);
        assert_true(holds(buf_str(&t.text), url));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_images_and_documents_are_read, up, down),
        cmocka_unit_test_setup_teardown(calls_results_and_thinking_are_read, up, down),
        cmocka_unit_test_setup_teardown(parameters_are_read, up, down),
        cmocka_unit_test_setup_teardown(thinking_is_read, up, down),
        cmocka_unit_test_setup_teardown(a_schema_that_leaves_choices_is_not_strict, up, down),
        cmocka_unit_test_setup_teardown(a_search_among_tools_is_passed_over, up, down),
        cmocka_unit_test_setup_teardown(the_model_has_the_tools_that_are_there_in_the_end, up, down),
        cmocka_unit_test_setup_teardown(a_new_way_of_showing_thoughts_is_passed_over, up, down),
        cmocka_unit_test_setup_teardown(counting_needs_no_max_tokens, up, down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_named_by_its_place, up, down),
        cmocka_unit_test_setup_teardown(an_answer_is_written, up, down),
        cmocka_unit_test_setup_teardown(stop_reasons_are_anthropics, up, down),
        cmocka_unit_test_setup_teardown(blocks_follow_each_other, up, down),
        cmocka_unit_test_setup_teardown(calls_that_interleave_are_told_one_by_one, up, down),
        cmocka_unit_test_setup_teardown(googles_signatures_have_a_place, up, down),
        cmocka_unit_test_setup_teardown(an_empty_answer_is_whole_too, up, down),
        cmocka_unit_test_setup_teardown(a_failure_ends_with_an_error_event, up, down),
        cmocka_unit_test_setup_teardown(citations_and_refusals_stand_in_texts, up, down),
        cmocka_unit_test_setup_teardown(citations_wait_for_their_text, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* OpenAI's chat towards callers: what is read of a request, what answers and streams look like. */
#include "translate_test.h"

static int up(void **state)
{
    (void)state;
    translation_init(&t, EP_CHAT, "openai");
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

/* ---- a caller's request */

static const struct chat_request *read_body(const char *body)
{
    t.r.body = str_of(body);
    t.r.chat = NULL;
    if (chat_read(&t.r, &t.f) != 0)
        fail_msg("%.*s", (int)t.f.message.n, t.f.message.p);
    return t.r.chat;
}

static void messages_are_read(void **state)
{
    (void)state;
    const struct chat_request *c = read_body(
        "{\"messages\":["
        "{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"rules\",\"cache_control\":{"
        "\"type\":"
        "\"ephemeral\"}}]},"
        "{\"role\":\"user\",\"name\":\"ann\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpg;base64,/9j/"
        "AA\",\"detail\":\"low\"}},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://h/x.png\"}},"
        "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"data:application/"
        "pdf;base64,JVBERi0=\"}},"
        "{\"type\":\"file\",\"file\":{\"filename\":\"n.txt\",\"file_data\":\"data:text/"
        "plain;base64,aGkg4oKs\"}},"
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"QUJD\",\"format\":\"wav\"}}]},"
        "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"shadow\",\"thinking_blocks\":["
        "{\"type\":\"thinking\",\"thinking\":\"deep\",\"signature\":\"sig\"},"
        "{\"type\":\"redacted_thinking\",\"data\":\"xx\"}],\"tool_calls\":["
        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"},"
        "\"extra_content\":{\"google\":{\"thought_signature\":\"gs\"}}},"
        "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"two\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"one\"}]}]}");
    assert_int_equal(c->n_messages, 4);
    assert_int_equal(c->messages[0].role, CHAT_SYSTEM);
    assert_str(c->messages[0].parts[0].cache_control, "{\"type\":\"ephemeral\"}");
    assert_non_null(c->params[PARAM_CACHE_CONTROL].name);
    const struct chat_message *user = &c->messages[1];
    assert_str(user->name, "ann");
    assert_int_equal(user->n_parts, 6);
    assert_str(user->parts[1].mime, "image/jpeg");
    assert_str(user->parts[1].detail, "low");
    assert_str(user->parts[2].url, "https://h/x.png");
    assert_int_equal(user->parts[3].kind, PART_FILE);
    assert_str(user->parts[3].data, "JVBERi0=");
    assert_str(user->parts[4].text, "hi \xe2\x82\xac");
    assert_str(user->parts[5].mime, "audio/wav");
    const struct chat_message *said = &c->messages[2];
    assert_int_equal(said->n_parts, 4);
    assert_str(said->parts[0].text, "deep");
    assert_int_equal(said->parts[0].signer, SIGNER_ANTHROPIC);
    assert_int_equal(said->parts[1].kind, PART_REDACTED);
    assert_str(said->parts[2].signature, "gs");
    assert_int_equal(said->parts[2].signer, SIGNER_GOOGLE);
    const struct chat_message *results = &c->messages[3]; /* in the order of the calls */
    assert_int_equal(results->n_parts, 2);
    assert_str(results->parts[0].id, "c1");
    assert_str(results->parts[1].name, "g");
}

static void parameters_are_read(void **state)
{
    (void)state;
    const struct chat_request *c = read_body(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":5,\"max_completion_tokens\":7,"
        "\"temperature\":0.5,\"stop\":[\"a\",\"b\"],\"seed\":null,\"logprobs\":false,\"user\":\"u1\","
        "\"safety_identifier\":\"s1\",\"reasoning_effort\":\"xhigh\",\"modalities\":[\"text\"],\"store\":"
        "true,"
        "\"store2\":null,\"parallel_tool_calls\":false,\"response_format\":{\"type\":\"json_schema\",\"json_"
        "schema\":"
        "{\"name\":\"n\",\"schema\":{\"type\":\"object\"},\"strict\":true}},\"tools\":[{\"type\":"
        "\"function\",\"function\":"
        "{\"name\":\"f\",\"parameters\":{\"type\":\"object\"},\"strict\":false}},{\"type\":\"function\","
        "\"function\":"
        "{\"name\":\"g\"}}],\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":"
        "\"required\",\"tools\":"
        "[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}}}");
    assert_str(c->params[PARAM_MAX_TOKENS].value, "7");
    assert_str(c->params[PARAM_TEMPERATURE].value, "0.5");
    assert_int_equal(c->n_stop, 2);
    assert_null(c->params[PARAM_SEED].name);
    assert_null(c->params[PARAM_LOGPROBS].name);
    assert_null(c->params[PARAM_MODALITIES].name);
    assert_str(c->params[PARAM_USER].value, "\"s1\"");
    assert_int_equal(c->thinking, THINKING_EFFORT);
    assert_str(c->thinking_effort, "xhigh");
    assert_int_equal(c->n_extras, 1);
    assert_str(c->extras[0].name, "store");
    assert_int_equal(c->parallel_tools, 0);
    assert_int_equal(c->format, FORMAT_SCHEMA);
    assert_int_equal(c->format_strict, 1);
    assert_int_equal(c->n_tools, 2);
    assert_int_equal(c->tools[0].strict, 0);
    assert_int_equal(c->tools[1].strict, -1);
    assert_int_equal(c->tool_choice, TOOLS_REQUIRED);
    assert_true(chat_tool_allowed(c, STR("g")));
    assert_false(chat_tool_allowed(c, STR("f")));
}

static void the_legacy_form_is_tools_too(void **state)
{
    (void)state;
    const struct chat_request *c =
        read_body("{\"functions\":[{\"name\":\"f\",\"parameters\":{}}],\"function_call\":{\"name\":\"f\"},"
                  "\"messages\":["
                  "{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":null,\"function_"
                  "call\":{\"name\":\"f\","
                  "\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}]}");
    assert_int_equal(c->n_tools, 1);
    assert_int_equal(c->tool_choice, TOOLS_NAMED);
    assert_str(c->messages[2].parts[0].id, "call_function0");
    assert_true(str_eq(c->messages[1].parts[0].id, c->messages[2].parts[0].id));
}

static void what_can_t_be_translated_is_refused_by_name(void **state)
{
    (void)state;
#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
    static const struct {
        const char *body, *param;
    } cases[] = {
        {"{}", "messages"},
        {"{\"messages\":[]}", "messages"},
        {"{\"messages\":[7]}", "messages[0]"},
        {"{\"messages\":[{\"content\":\"x\"}]}", "messages[0].role"},
        {"{\"messages\":[{\"role\":\"king\"}]}", "messages[0].role"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"video_url\"}]}]}",
         "messages[0].content[0].type"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}",
         "messages[0].content[0].image_url"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:x,y\"}}]}]}",
         "messages[0].content[0].image_url"},
        {"{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "messages[0].tool_call_id"},
        {"{\"messages\":[{\"role\":\"function\",\"name\":\"f\",\"content\":\"x\"}]}", "messages[0]"},
        {"{\"messages\":[{\"role\":\"assistant\",\"audio\":{\"id\":\"a\"}}]}", "messages[0].audio"},
        {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"custom\","
         "\"custom\":{}}]}]}",
         "messages[0].tool_calls[0].custom.name"},
        {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"mcp\"}]}]}",
         "messages[0].tool_calls[0].type"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]}",
         "messages[0].content[0].type"},
        {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":"
         "\"f\",\"arguments\":[7]}}]}]}",
         "messages[0].tool_calls[0].function.arguments"},
        {"{\"messages\":[{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":7}}]}",
         "messages[0].function_call.arguments"},
        {"{" USER ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":7}}]}",
         "tools[0].function.description"},
        {"{" USER ",\"tools\":[{\"type\":\"custom\",\"custom\":{}}]}", "tools[0].custom.name"},
        {"{" USER ",\"tools\":[{\"type\":\"custom\"}]}", "tools[0].custom"},
        {"{" USER ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"c\",\"format\":{\"type\":"
         "\"grammar\"}}}]}",
         "tools[0].custom.format"},
        {"{" USER ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}},{\"type\":\"function\","
         "\"function\":{\"name\":\"c\"}}]}",
         "tools[1].function.name"},
        {"{" USER ",\"tools\":[{\"type\":\"web_search\"}]}", "tools[0].type"},
        {"{" USER ",\"tools\":[{\"type\":\"function\",\"function\":{}}]}", "tools[0].function.name"},
        {"{" USER ",\"tool_choice\":\"required\"}", "tool_choice"},
        {"{" USER ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"q\"}}}", "tool_choice"},
        {"{" USER ",\"web_search_options\":{}}", "web_search_options"},
        {"{" USER ",\"modalities\":[\"text\",\"audio\"]}", "modalities"},
        {"{" USER ",\"audio\":{\"voice\":\"v\"}}", "audio"},
        {"{" USER ",\"temperature\":\"hot\"}", "temperature"},
        {"{" USER ",\"max_tokens\":0}", "max_tokens"},
        {"{" USER ",\"stop\":[1]}", "stop"},
        {"{" USER ",\"response_format\":{\"type\":\"xml\"}}", "response_format.type"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t.r.body = str_of(cases[i].body);
        t.r.chat = NULL;
        assert_int_equal(chat_read(&t.r, &t.f), -1);
        assert_int_equal(t.f.status, 400);
        assert_str(str_of(t.f.param), cases[i].param);
        assert_true(t.f.message.n > 0);
    }
}

/* ---- what the caller gets */

static struct translated_stream s;

static void tell(struct chat_delta d)
{
    chat_emit(&s.rd, &d);
}

static void whole_answers_are_written(void **state)
{
    (void)state;
    struct chat_part parts[] = {
        {.kind = PART_THINKING, .text = STR("hm"), .signature = STR("sg"), .signer = SIGNER_ANTHROPIC},
        {.kind = PART_REDACTED, .data = STR("rd"), .signer = SIGNER_OPENAI},
        {.kind = PART_TEXT, .text = STR("a")},
        {.kind = PART_TEXT, .text = STR("b")},
        {.kind = PART_TOOL_CALL,
         .id = STR("c1"),
         .name = STR("f"),
         .signature = STR("gs"),
         .signer = SIGNER_GOOGLE},
    };
    struct chat_choice choice = {.parts = parts, .n_parts = 5, .finish = FINISH_TOOL_CALLS};
    struct chat_answer a = {
        .id = STR("msg_1"), .model = STR("m1"), .created = 1700000000, .choices = &choice, .n_choices = 1};
    struct chat_writer w = translation_writer(&t);
    w.usage = (struct usage_tokens){.input = 10, .cached = 4, .cache_write = 2, .output = 6, .reasoning = 5};
    dialect_chat.write(&w, &a, &t.text);
    assert_str(
        buf_str(&t.text),
        "{\"id\":\"chatcmpl-msg_1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"m1\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"ab\",\"refusal\":null,"
        "\"reasoning_content\":\"hm\",\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
        "\"signature\":\"sg\"},{\"type\":\"redacted_thinking\",\"data\":\"rd\",\"signer\":\"openai\"}],"
        "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}"
        "\"},"
        "\"extra_content\":{\"google\":{\"thought_signature\":\"gs\"}}}],\"annotations\":[]},\"logprobs\":"
        "null,"
        "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":6,"
        "\"total_tokens\":16,\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":2,"
        "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":5,\"audio_tokens\":0,"
        "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}");
}

static void nothing_said_is_null(void **state)
{
    (void)state;
    struct chat_part refusal = {.kind = PART_REFUSAL, .text = STR("no")};
    struct chat_choice choice = {.parts = &refusal, .n_parts = 1, .finish = FINISH_REFUSAL};
    struct chat_answer a = {.choices = &choice, .n_choices = 1};
    struct chat_writer w = translation_writer(&t);
    dialect_chat.write(&w, &a, &t.text);
    assert_holds(buf_str(&t.text), "\"id\":\"chatcmpl-0123456789abcdef\"");
    assert_holds(buf_str(&t.text), "\"created\":1750000000,\"model\":\"target-model\"");
    assert_holds(buf_str(&t.text), "\"content\":null,\"refusal\":\"no\",\"annotations\":[]}");
    assert_holds(buf_str(&t.text), "\"finish_reason\":\"content_filter\"");
}

#define HEAD                                                                                                 \
    "data: "                                                                                                 \
    "{\"id\":\"chatcmpl-x\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"m\",\"choices\":" \
    "["
#define CHUNK(index, delta, finish)                                                               \
    HEAD "{\"index\":" index ",\"delta\":{" delta "},\"logprobs\":null,\"finish_reason\":" finish \
         "}],\"usage\":null}\n\n"

static void streams_are_written_chunk_by_chunk(void **state)
{
    (void)state;
    t.r.wants_usage = true;
    translate_begin(&t, &s);
    tell((struct chat_delta){.kind = DELTA_START, .id = STR("x"), .model = STR("m"), .created = 9});
    assert_int_equal(t.text.n, 0);
    tell((struct chat_delta){.kind = DELTA_THINKING, .text = STR("h")});
    tell((struct chat_delta){.kind = DELTA_THINKING, .text = STR("m")});
    tell((struct chat_delta){.kind = DELTA_THINKING, .signature = STR("sg"), .signer = SIGNER_ANTHROPIC});
    tell((struct chat_delta){.kind = DELTA_TEXT, .text = STR("a\n")});
    tell((struct chat_delta){.kind = DELTA_TOOL, .tool = 0, .id = STR("c0"), .name = STR("f")});
    tell((struct chat_delta){.kind = DELTA_TOOL, .tool = 1, .id = STR("c1"), .name = STR("g")});
    tell((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 1, .text = STR("{\"a\":")});
    tell((struct chat_delta){.kind = DELTA_TOOL, .choice = 1, .id = STR("c2"), .name = STR("h")});
    tell((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_STOP});
    tell((struct chat_delta){.kind = DELTA_FINISH, .choice = 1, .finish = FINISH_LENGTH});
    tell((struct chat_delta){.kind = DELTA_USAGE, .usage = {.input = 2, .output = 3}});
    assert_int_equal(translate_end(&t, &s, FRAME_LAST), 1);
    assert_str(
        buf_str(&t.text),
        CHUNK("0", "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null") CHUNK(
            "0", "\"reasoning_content\":\"h\"",
            "null") CHUNK("0", "\"reasoning_content\":\"m\"",
                          "null") CHUNK("0",
                                        "\"thinking_blocks\":[{\"index\":0,\"type\":\"thinking\","
                                        "\"thinking\":\"hm\",\"signature\":\"sg\"}]",
                                        "null") CHUNK("0", "\"content\":\"a\\n\"", "null")
            CHUNK("0",
                  "\"tool_calls\":[{\"index\":0,\"id\":\"c0\",\"type\":\"function\",\"function\":{\"name\":"
                  "\"f\",\"arguments\":\"\"}}]",
                  "null") CHUNK("0",
                                "\"tool_calls\":[{\"index\":1,\"id\":\"c1\",\"type\":\"function\","
                                "\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]",
                                "null")
                CHUNK("0", "\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]",
                      "null") CHUNK("1", "\"role\":\"assistant\",\"content\":null,\"refusal\":null", "null")
                    CHUNK("1",
                          "\"tool_calls\":[{\"index\":0,\"id\":\"c2\",\"type\":\"function\",\"function\":{"
                          "\"name\":\"h\",\"arguments\":\"\"}}]",
                          "null")
                        CHUNK("0", "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]",
                              "null") CHUNK("0", "", "\"tool_calls\"")
                            CHUNK("1", "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]",
                                  "null") CHUNK("1", "", "\"length\"") HEAD
        "],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3,\"total_tokens\":5,\"prompt_tokens_"
        "details\":"
        "{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,"
        "\"audio_tokens\":0,"
        "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}\n\ndata: [DONE]\n\n");
}

static void an_unwanted_usage_is_not_told(void **state)
{
    (void)state;
    translate_begin(&t, &s);
    tell((struct chat_delta){.kind = DELTA_TEXT, .text = STR("a")});
    tell((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_STOP});
    assert_int_equal(translate_end(&t, &s, FRAME_LAST), 1);
    assert_false(holds(buf_str(&t.text), "usage"));
}

static void a_broken_stream_has_no_done(void **state)
{
    (void)state;
    translate_begin(&t, &s);
    tell((struct chat_delta){.kind = DELTA_TEXT, .text = STR("a")});
    t.f = (struct failure){.status = 503, .code = "c", .message = STR("over")};
    assert_int_equal(translate_end(&t, &s, FRAME_ERROR), -1);
    assert_holds(buf_str(&t.text), "data: {\"error\":{\"message\":\"over\"");
    assert_false(holds(buf_str(&t.text), "[DONE]"));
}

/* Elements of arrays are joined by their index. */
static void pieces_of_arrays_have_an_index(void **state)
{
    (void)state;
    translate_begin(&t, &s);
    tell((struct chat_delta){.kind = DELTA_REDACTED, .data = STR("r1"), .signer = SIGNER_ANTHROPIC});
    tell((struct chat_delta){.kind = DELTA_ANNOTATIONS,
                             .json = STR("[{\"type\":\"url_citation\"},{\"type\":\"x\"}]")});
    tell((struct chat_delta){.kind = DELTA_ANNOTATIONS, .json = STR("[{\"type\":\"y\"}]")});
    tell((struct chat_delta){.kind = DELTA_IMAGE, .mime = STR("image/webp"), .data = STR("QQ==")});
    tell((struct chat_delta){.kind = DELTA_LOGPROBS, .json = STR("{\"content\":[]}")});
    tell((struct chat_delta){
        .kind = DELTA_TEXT, .text = STR("z"), .signature = STR("gs"), .signer = SIGNER_GOOGLE});
    struct str out = buf_str(&t.text);
    assert_holds(out, "[{\"index\":0,\"type\":\"redacted_thinking\",\"data\":\"r1\"}]");
    assert_holds(out, "[{\"index\":0,\"type\":\"url_citation\"},{\"index\":1,\"type\":\"x\"}]");
    assert_holds(out, "[{\"index\":2,\"type\":\"y\"}]");
    assert_holds(
        out, "{\"index\":0,\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/webp;base64,QQ==\"}}");
    assert_holds(out, "\"delta\":{},\"logprobs\":{\"content\":[]},");
    assert_holds(out, "\"content\":\"z\",\"extra_content\":{\"google\":{\"thought_signature\":\"gs\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_are_read),
        TEST(parameters_are_read),
        TEST(the_legacy_form_is_tools_too),
        TEST(what_can_t_be_translated_is_refused_by_name),
        TEST(whole_answers_are_written),
        TEST(nothing_said_is_null),
        TEST(streams_are_written_chunk_by_chunk),
        TEST(an_unwanted_usage_is_not_told),
        TEST(a_broken_stream_has_no_done),
        TEST(pieces_of_arrays_have_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

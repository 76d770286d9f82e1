/* OpenAI's chat on both sides: what is read of a caller's request and written to it, what a provider is sent
 * and what is read of its answers. */
#include "translate_fixture.h"

#include "openai.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct translation t;

static void begin(const char *type)
{
    translation_init(&t, EP_CHAT, type);
}

static int down(void **state)
{
    (void)state;
    translation_fini(&t);
    return 0;
}

static int up(void **state)
{
    (void)state;
    begin("openai");
    return 0;
}

static void again(const char *type)
{
    down(NULL);
    begin(type);
}

static void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_of(want)))
        fail_msg("got: %.*s\nwanted: %s", (int)got.n, got.p ? got.p : "", want);
}

static bool holds(struct str text, const char *what)
{
    return text.n > 0 && memmem(text.p, text.n, what, strlen(what)) != NULL;
}

static void assert_holds(struct str text, const char *what)
{
    if (!holds(text, what))
        fail_msg("not in it: %s\ngot: %.*s", what, (int)text.n, text.p ? text.p : "");
}

static size_t times(struct str text, const char *what)
{
    size_t n = 0;
    for (const char *p = text.p; p && (p = memmem(p, text.n - (size_t)(p - text.p), what, strlen(what))); p++)
        n++;
    return n;
}

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
         "messages[0].tool_calls[0].type"},
        {"{" USER ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}]}", "tools[0].type"},
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

/* ---- what a provider is sent */

static struct str sent(const char *type, const char *model, const char *body)
{
    again(type);
    t.r.dialect = DIALECT_OPENAI;
    t.r.body = str_of(body);
    if (chat_read(&t.r, &t.f) != 0)
        fail_msg("%.*s", (int)t.f.message.n, t.f.message.p);
    buf_init(&t.out.room, 1024 * 1024);
    t.call = (struct chat_call){.r = &t.r,
                                .arena = &t.arena,
                                .conf = &t.conf,
                                .in = t.r.chat,
                                .model = str_of(model),
                                .max_output = 1000,
                                .call = &t.out,
                                .f = &t.f};
    return t.provider->write_chat(&t.call) == 0 ? t.out.body : STR_NULL;
}

static bool taken(enum chat_param p)
{
    return t.call.taken >> p & 1;
}

static bool adjusted(enum chat_param p)
{
    return t.call.adjusted >> p & 1;
}

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

/* ---- what a provider answers */

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
    assert_holds(told("openai", DELTA("\"refusal\":\"no\"") LAST("stop") DONE),
                 "\"finish_reason\":\"content_filter\"");
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

static struct str whole(const char *type, const char *body)
{
    again(type);
    return translate_answer(&t, str_of(body)) == 0 ? buf_str(&t.text) : STR_NULL;
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
    buf_init(&t.out.room, 4096);
    t.call = (struct chat_call){
        .r = &t.r, .arena = &t.arena, .conf = &t.conf, .model = STR("e"), .call = &t.out, .f = &t.f};
    assert_int_equal(t.provider->write_embed(&t.call, &in), 0);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

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
        TEST(a_conversation_is_sent),
        TEST(streams_are_asked_for_usage),
        TEST(parameters_go_by_the_vendor_s_names),
        TEST(thinking_is_asked_for_in_many_ways),
        TEST(tools_are_sent),
        TEST(json_is_asked_for),
        TEST(media_goes_where_it_is_taken),
        TEST(long_names_are_shortened_and_come_back),
        TEST(thinking_has_many_names),
        TEST(calls_come_in_many_ways),
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

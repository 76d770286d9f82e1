/* Cohere: what its endpoints are sent, and what is read of their answers, streams and errors. */
#include "translate_test.h"

static int up(void **state)
{
    (void)state;
    translation_init(&t, EP_RESPONSES, "cohere");
    t.conf.base_url = "https://api.example";
    return 0;
}

static void again(void)
{
    down(NULL);
    up(NULL);
}

/* ---- requests, from the neutral form */

static struct chat_request request;

static int writes(void)
{
    buf_free(&t.out.room);
    return t.provider->write_chat(translation_call(&t, &request, "command-x"));
}

static void fresh(void)
{
    again();
    request = (struct chat_request){.parallel_tools = -1, .format_strict = -1, .thinking_shown = -1};
}

static struct chat_part *turn(enum chat_role role, enum chat_part_kind kind, const char *text)
{
    struct chat_message *m = request.n_messages > 0 && request.messages[request.n_messages - 1].role == role
                                 ? &request.messages[request.n_messages - 1]
                                 : chat_add_message(&request, &t.arena, role);
    struct chat_part *p = chat_add_part(&m->parts, &m->n_parts, &t.arena, kind);
    p->text = str_of(text);
    return p;
}

static struct chat_tool *tool(const char *name)
{
    struct chat_tool *made = chat_add_tool(&request, &t.arena);
    made->name = str_of(name);
    return made;
}

static void param(enum chat_param p, const char *value)
{
    request.params[p] = (struct chat_param_value){"p", str_of(value)};
}

static bool honoured(enum chat_param p)
{
    uint32_t bit = UINT32_C(1) << p;
    return (t.call.taken & bit) && !(t.call.adjusted & bit);
}

static void a_plain_request_is_short(void **state)
{
    (void)state;
    fresh();
    turn(CHAT_SYSTEM, PART_TEXT, "Be kind.");
    turn(CHAT_USER, PART_TEXT, "Hi");
    chat_add_message(&request, &t.arena, CHAT_SYSTEM);
    turn(CHAT_SYSTEM, PART_TEXT, "And brief.");
    request.stream = true;
    assert_int_equal(writes(), 0);
    assert_str(t.out.path, "/v2/chat");
    assert_holds(t.out.headers, "content-type: application/json\r\n");
    assert_str(t.out.body,
               "{\"model\":\"command-x\",\"stream\":true,\"messages\":[{\"role\":\"system\","
               "\"content\":\"Be kind.\\n\\nAnd brief.\"},{\"role\":\"user\",\"content\":\"Hi\"}]}");
}

static void the_version_may_stand_in_the_base_url(void **state)
{
    (void)state;
    static const struct {
        const char *base, *path;
    } cases[] = {
        {"https://h.example", "/v2/chat"},
        {"https://h.example/v2", "/v2/chat"},
        {"https://h.example/v2/", "/v2/chat"},
        {"http://h.example:9/co/v2", "/co/v2/chat"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh();
        t.conf.base_url = cases[i].base;
        turn(CHAT_USER, PART_TEXT, "Hi");
        assert_int_equal(writes(), 0);
        assert_str(t.out.path, cases[i].path);
    }
}

static void pictures_and_texts_are_parts(void **state)
{
    (void)state;
    fresh();
    turn(CHAT_USER, PART_TEXT, "Look");
    struct chat_part *p = turn(CHAT_USER, PART_IMAGE, "");
    p->data = STR("iVBORw0KGgoAAA==");
    p->detail = STR("high");
    turn(CHAT_USER, PART_IMAGE, "")->url = STR("https://x.example/a.png");
    p = turn(CHAT_USER, PART_FILE, "");
    p->name = STR("n.txt");
    p->mime = STR("text/plain");
    p->data = STR("d29yZHM=");
    assert_int_equal(writes(), 0);
    assert_holds(t.out.body,
                 "\"content\":[{\"type\":\"text\",\"text\":\"Look\"},{\"type\":\"image_url\",\"image_url\":"
                 "{\"url\":\"data:image/png;base64,iVBORw0KGgoAAA==\",\"detail\":\"high\"}},"
                 "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x.example/a.png\"}},"
                 "{\"type\":\"text\",\"text\":\"n.txt:\"},{\"type\":\"text\",\"text\":\"words\"}]");
}

static void what_it_cannot_take_is_refused(void **state)
{
    (void)state;
    fresh();
    struct chat_part *p = turn(CHAT_USER, PART_FILE, "");
    p->mime = STR("application/pdf");
    p->data = STR("JVBERi0=");
    assert_int_equal(writes(), -1);
    assert_int_equal(t.f.status, 400);
    fresh();
    turn(CHAT_USER, PART_AUDIO, "")->data = STR("AAAA");
    assert_int_equal(writes(), -1);
    fresh();
    turn(CHAT_USER, PART_IMAGE, "")->file_id = STR("file-1");
    assert_int_equal(writes(), -1);
    fresh();
    turn(CHAT_ASSISTANT, PART_IMAGE, "")->data = STR("AAAA");
    assert_int_equal(writes(), -1);
    fresh();
    turn(CHAT_USER, PART_TEXT, "q");
    tool("f");
    request.format = FORMAT_SCHEMA;
    request.format_schema = STR("{\"type\":\"object\"}");
    assert_int_equal(writes(), -1);
    request.tool_choice = TOOLS_NONE;
    assert_int_equal(writes(), 0);
    assert_lacks(t.out.body, "tools");
}

static void a_tool_loop_is_told_in_its_words(void **state)
{
    (void)state;
    fresh();
    turn(CHAT_USER, PART_TEXT, "q");
    turn(CHAT_ASSISTANT, PART_THINKING, "own");
    struct chat_part *p = turn(CHAT_ASSISTANT, PART_THINKING, "another's");
    p->signature = STR("S");
    p->signer = SIGNER_ANTHROPIC;
    turn(CHAT_ASSISTANT, PART_TEXT, "I ask.");
    p = turn(CHAT_ASSISTANT, PART_TOOL_CALL, "");
    p->id = STR("c1");
    p->name = STR("f");
    p = turn(CHAT_USER, PART_TOOL_RESULT, "");
    p->id = STR("c1");
    p->is_error = true;
    chat_add_part(&p->parts, &p->n_parts, &t.arena, PART_TEXT)->text = STR("lost");
    chat_add_part(&p->parts, &p->n_parts, &t.arena, PART_IMAGE)->url = STR("https://x.example/i");
    turn(CHAT_USER, PART_TEXT, "and?");
    assert_int_equal(writes(), 0);
    assert_holds(
        t.out.body,
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"own\"}],"
        "\"tool_plan\":\"I ask.\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"Error: lost\\n\\n(A picture: see the "
        "next message.)\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
        "\"https://x.example/i\"}},{\"type\":\"text\",\"text\":\"and?\"}]}]");
}

static void turns_are_never_empty(void **state)
{
    (void)state;
    fresh();
    turn(CHAT_ASSISTANT, PART_REDACTED, "");
    turn(CHAT_USER, PART_TOOL_RESULT, "")->id = STR("c");
    assert_int_equal(writes(), 0);
    assert_holds(t.out.body,
                 "\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"(nothing)\"}]");
}

static void tools_are_chosen(void **state)
{
    (void)state;
    static const struct {
        enum chat_choice_kind kind;
        const char *holds, *lacks;
    } cases[] = {
        {TOOLS_DEFAULT, "\"name\":\"g\"", "tool_choice"},
        {TOOLS_AUTO, "\"name\":\"g\"", "tool_choice"},
        {TOOLS_NONE, "\"tool_choice\":\"NONE\"", "REQUIRED"},
        {TOOLS_REQUIRED, "\"tool_choice\":\"REQUIRED\"", "NONE"},
        {TOOLS_NAMED,
         "{\"name\":\"g\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}],"
         "\"tool_choice\":\"REQUIRED\"",
         "\"name\":\"f\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh();
        turn(CHAT_USER, PART_TEXT, "q");
        struct chat_tool *f = tool("f");
        f->schema = STR("{\"type\":\"object\"}");
        f->description = STR("d");
        tool("g");
        request.tool_choice = cases[i].kind;
        request.tool_name = STR("g");
        assert_int_equal(writes(), 0);
        assert_holds(t.out.body, cases[i].holds);
        assert_lacks(t.out.body, cases[i].lacks);
    }
    request.tool_choice = TOOLS_DEFAULT;
    chat_add_allowed(&request, &t.arena, STR("f"));
    assert_int_equal(writes(), 0);
    assert_holds(t.out.body,
                 "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
                 "\"parameters\":{\"type\":\"object\"}}}]");
}

static void formats_are_objects(void **state)
{
    (void)state;
    fresh();
    turn(CHAT_USER, PART_TEXT, "q");
    request.format = FORMAT_JSON;
    assert_int_equal(writes(), 0);
    assert_holds(t.out.body, "\"response_format\":{\"type\":\"json_object\"}");
    request.format = FORMAT_SCHEMA;
    request.format_schema = STR("{\"type\":\"object\"}");
    assert_int_equal(writes(), 0);
    assert_holds(t.out.body,
                 "\"response_format\":{\"type\":\"json_object\",\"json_schema\":{\"type\":\"object\"}}");
}

static void parameters_go_by_its_names_and_bounds(void **state)
{
    (void)state;
    static const struct {
        enum chat_param param;
        const char *value, *written; /* NULL: nothing */
        bool honoured;
    } cases[] = {
        {PARAM_MAX_TOKENS, "100", "\"max_tokens\":100", true},
        {PARAM_TEMPERATURE, "0.4", "\"temperature\":0.4", true},
        {PARAM_TEMPERATURE, "1.2", "\"temperature\":1", false},
        {PARAM_TOP_P, "0.9", "\"p\":0.9", true},
        {PARAM_TOP_P, "1", "\"p\":0.99", false},
        {PARAM_TOP_P, "0", "\"p\":0.01", false},
        {PARAM_TOP_K, "40", "\"k\":40", true},
        {PARAM_TOP_K, "4000", "\"k\":500", false},
        {PARAM_SEED, "7", "\"seed\":7", true},
        {PARAM_SEED, "-7", NULL, false},
        {PARAM_FREQUENCY_PENALTY, "0.5", "\"frequency_penalty\":0.5", true},
        {PARAM_FREQUENCY_PENALTY, "1.5", "\"frequency_penalty\":1", false},
        {PARAM_FREQUENCY_PENALTY, "0", NULL, true},
        {PARAM_PRESENCE_PENALTY, "-1", "\"presence_penalty\":0", false},
        {PARAM_LOGPROBS, "true", "\"logprobs\":true", true},
        {PARAM_LOGPROBS, "false", NULL, true},
        {PARAM_TOP_LOGPROBS, "2", NULL, false},
        {PARAM_N, "1", NULL, true},
        {PARAM_N, "2", NULL, false},
        {PARAM_USER, "\"u\"", NULL, false},
    };
    fresh();
    turn(CHAT_USER, PART_TEXT, "q");
    assert_int_equal(writes(), 0);
    size_t bare = t.out.body.n;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh();
        turn(CHAT_USER, PART_TEXT, "q");
        param(cases[i].param, cases[i].value);
        assert_int_equal(writes(), 0);
        if (cases[i].written)
            assert_holds(t.out.body, cases[i].written);
        else
            assert_int_equal(t.out.body.n, bare);
        assert_int_equal(honoured(cases[i].param), cases[i].honoured);
    }
}

static void of_two_penalties_one_goes(void **state)
{
    (void)state;
    fresh();
    turn(CHAT_USER, PART_TEXT, "q");
    param(PARAM_FREQUENCY_PENALTY, "0.2");
    param(PARAM_PRESENCE_PENALTY, "0.3");
    assert_int_equal(writes(), 0);
    assert_holds(t.out.body, "\"frequency_penalty\":0.2");
    assert_lacks(t.out.body, "presence");
    assert_false(honoured(PARAM_PRESENCE_PENALTY));
    assert_true(honoured(PARAM_FREQUENCY_PENALTY));
}

static void stops_are_five_at_most(void **state)
{
    (void)state;
    fresh();
    turn(CHAT_USER, PART_TEXT, "q");
    param(PARAM_STOP, "[]");
    for (int i = 0; i < 5; i++)
        chat_add_stop(&request, &t.arena, STR("s"));
    assert_int_equal(writes(), 0);
    assert_true(honoured(PARAM_STOP));
    chat_add_stop(&request, &t.arena, STR("x"));
    assert_int_equal(writes(), 0);
    assert_false(honoured(PARAM_STOP));
    assert_holds(t.out.body, "\"stop_sequences\":[\"s\",\"s\",\"s\",\"s\",\"s\"]");
}

static void thinking_has_a_budget(void **state)
{
    (void)state;
    static const struct {
        enum chat_thinking thinking;
        uint32_t budget;
        const char *effort, *written;
    } cases[] = {
        {THINKING_OFF, 0, "", "\"thinking\":{\"type\":\"disabled\"}"},
        {THINKING_ON, 0, "", "\"thinking\":{\"type\":\"enabled\"}"},
        {THINKING_BUDGET, 3000, "", "\"thinking\":{\"type\":\"enabled\",\"token_budget\":3000}"},
        {THINKING_BUDGET, 0, "", "\"thinking\":{\"type\":\"disabled\"}"},
        {THINKING_EFFORT, 0, "low", "\"thinking\":{\"type\":\"enabled\",\"token_budget\":1024}"},
        {THINKING_EFFORT, 0, "high", "\"thinking\":{\"type\":\"enabled\",\"token_budget\":4096}"},
        {THINKING_EFFORT, 0, "max", "\"thinking\":{\"type\":\"enabled\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh();
        turn(CHAT_USER, PART_TEXT, "q");
        param(PARAM_THINKING, "true");
        request.thinking = cases[i].thinking;
        request.thinking_budget = cases[i].budget;
        request.thinking_effort = str_of(cases[i].effort);
        assert_int_equal(writes(), 0);
        assert_holds(t.out.body, cases[i].written);
        assert_true(honoured(PARAM_THINKING));
    }
}

/* ---- whole answers */

static struct chat_answer answer;

static int reads(const char *body)
{
    struct chat_reader rd = {.r = &t.r,
                             .conf = &t.conf,
                             .in = translation_request(&t),
                             .arena = &t.arena,
                             .scratch = &t.arena,
                             .f = &t.f};
    answer = (struct chat_answer){0};
    return t.provider->read_chat(&rd, str_of(body), &answer);
}

static void an_answer_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        reads("{\"id\":\"a-1\",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
              "\"thinking\":\"hm\"},{\"type\":\"text\",\"text\":\"Paris\"}],\"citations\":[{\"start\":0,"
              "\"end\":5,"
              "\"text\":\"Paris\",\"sources\":[{\"type\":\"document\",\"id\":\"d\",\"document\":{\"url\":"
              "\"https://p.example\",\"title\":\"P\"}},{\"type\":\"tool\",\"id\":\"https://q.example\"},"
              "{\"type\":\"tool\",\"id\":\"x:0\"}]}]},\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_"
              "units\":"
              "{\"input_tokens\":3,\"output_tokens\":4},\"tokens\":{\"input_tokens\":300,\"output_tokens\":"
              "40.0,"
              "\"reasoning_tokens\":25},\"cached_tokens\":128},\"logprobs\":[{\"text\":\"Pa\",\"token_ids\":["
              "7],"
              "\"logprobs\":[-0.25]},{\"text\":\"ris\",\"logprobs\":[-0.5,-0.25]}]}"),
        0);
    assert_str(answer.id, "a-1");
    assert_int_equal(answer.n_choices, 1);
    const struct chat_choice *c = answer.choices;
    assert_int_equal(c->n_parts, 2);
    assert_int_equal(c->parts[0].kind, PART_THINKING);
    assert_str(c->parts[1].text, "Paris");
    assert_int_equal(c->finish, FINISH_STOP);
    assert_str(c->annotations,
               "[{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":0,\"end_index\":5,\"url\":"
               "\"https://p.example\",\"title\":\"P\"}},{\"type\":\"url_citation\",\"url_citation\":"
               "{\"start_index\":0,\"end_index\":5,\"url\":\"https://q.example\",\"title\":\"\"}}]");
    assert_str(c->logprobs,
               "{\"content\":[{\"token\":\"Pa\",\"logprob\":-0.25,\"bytes\":[80,97],"
               "\"top_logprobs\":[]},{\"token\":\"ris\",\"logprob\":-0.75,\"bytes\":[114,105,115],"
               "\"top_logprobs\":[]}],\"refusal\":null}");
    assert_true(answer.usage_known);
    assert_int_equal(answer.usage.input, 300);
    assert_int_equal(answer.usage.cached, 128);
    assert_int_equal(answer.usage.output, 40);
    assert_int_equal(answer.usage.reasoning, 25);
}

static void calls_are_read_beside_their_plan(void **state)
{
    (void)state;
    assert_int_equal(
        reads("{\"id\":\"a\",\"message\":{\"tool_plan\":\"I look.\",\"tool_calls\":[{\"id\":\"f_1\","
              "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},"
              "{\"function\":{\"name\":\"g\",\"arguments\":\"null\"}}]},\"finish_reason\":"
              "\"COMPLETE\",\"usage\":{\"billed_units\":{\"input_tokens\":3,\"output_tokens\":4}}}"),
        0);
    const struct chat_choice *c = answer.choices;
    assert_int_equal(c->n_parts, 3);
    assert_str(c->parts[0].text, "I look.");
    assert_str(c->parts[1].id, "f_1");
    assert_str(c->parts[1].arguments, "{\"a\":1}");
    assert_str(c->parts[2].arguments, "");
    assert_true(c->parts[2].id.n > 8);
    assert_int_equal(c->finish, FINISH_TOOL_CALLS);
    assert_int_equal(answer.usage.input, 3);
    assert_int_equal(answer.usage.output, 4);
}

static void ends_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *reason;
        enum chat_finish finish;
    } cases[] = {
        {"COMPLETE", FINISH_STOP},      {"STOP_SEQUENCE", FINISH_STOP_SEQUENCE},
        {"MAX_TOKENS", FINISH_LENGTH},  {"TOOL_CALL", FINISH_TOOL_CALLS},
        {"ERROR_LIMIT", FINISH_LENGTH}, {"ERROR_TOXIC", FINISH_CONTENT_FILTER},
        {"SOMETHING_NEW", FINISH_STOP},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[256];
        snprintf(body, sizeof(body), "{\"message\":{\"content\":\"x\"},\"finish_reason\":\"%s\"}",
                 cases[i].reason);
        assert_int_equal(reads(body), 0);
        assert_int_equal(answer.choices[0].finish, cases[i].finish);
        assert_false(answer.usage_known);
    }
    /* what came before it broke off is no answer, here as in a stream */
    assert_int_equal(reads("{\"message\":{\"content\":\"Half of\"},\"finish_reason\":\"ERROR\"}"), -1);
    assert_int_equal(t.f.status, 502);
    assert_int_equal(reads("{\"message\":{\"content\":\"Half of\"},\"finish_reason\":\"TIMEOUT\"}"), -1);
    assert_int_equal(t.f.status, 504);
}

static void answers_that_are_none_fail(void **state)
{
    (void)state;
    static const struct {
        const char *body, *word;
        int status;
    } cases[] = {
        {"<html>", "JSON", 502},
        {"[]", "JSON", 502},
        {"{}", "message", 502},
        {"{\"message\":\"model is away\"}", "model is away", 502},
        {"{\"message\":{\"content\":[]},\"finish_reason\":\"ERROR\"}", "broke off", 502},
        {"{\"message\":{},\"finish_reason\":\"TIMEOUT\"}", "too long", 504},
        {"{\"message\":{\"tool_calls\":[{\"id\":\"x\"}]}}", "without a name", 502},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(reads(cases[i].body), -1);
        assert_int_equal(t.f.status, cases[i].status);
        assert_holds(t.f.message, cases[i].word);
    }
}

/* ---- streams */

#define EVENT(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define BEGIN                                                                                               \
    EVENT("message-start", ",\"id\":\"a-1\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[]}" \
                           "}")
#define CALL(i, id, name)                                                         \
    EVENT("tool-call-start",                                                      \
          ",\"index\":" i ",\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"" id \
          "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"\"}}}}")
#define ARGS(i, text)                                                                                    \
    EVENT("tool-call-delta",                                                                             \
          ",\"index\":" i ",\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"" text \
          "\"}}}}")
#define TEXT(text) \
    EVENT("content-delta", ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"" text "\"}}}")
#define END(reason)                                                                                  \
    EVENT("message-end",                                                                             \
          ",\"delta\":{\"finish_reason\":\"" reason "\",\"usage\":{\"tokens\":{\"input_tokens\":20," \
          "\"output_tokens\":6},\"cached_tokens\":50}}")
#define DONE "data: [DONE]\n\n"

static int streams(const char *text)
{
    again();
    return translate_sse(&t, str_of(text));
}

static void a_stream_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        streams(
            BEGIN EVENT("content-start", ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":"
                                         "\"thinking\",\"thinking\":\"h\"}}}")
                EVENT("content-delta",
                      ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"thinking\":\"m\"}}}")
                    EVENT("content-end", ",\"index\":0") TEXT("Hi ") TEXT("you") EVENT(
                        "citation-start",
                        ",\"index\":0,\"delta\":{\"message\":{\"citations\":{\"start\":0,\"end\":2,"
                        "\"sources\":[{\"type\":\"document\",\"document\":{\"url\":\"https://p.example\"}}]"
                        "}}}") END("MAX_TOKENS") DONE),
        1);
    assert_holds(buf_str(&t.text), "\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}]");
    assert_holds(buf_str(&t.text), "\"text\":\"Hi you\"");
    assert_holds(buf_str(&t.text), "\"url\":\"https://p.example\"");
    assert_holds(buf_str(&t.text), "event: response.incomplete\n");
    assert_int_equal(t.r.tokens.input, 20);
    assert_int_equal(t.r.tokens.cached, 20); /* never more than there was */
    assert_int_equal(t.r.tokens.output, 6);
}

static void calls_in_a_stream_are_objects_with_numbers_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(
        streams(BEGIN EVENT("tool-plan-delta", ",\"delta\":{\"message\":{\"tool_plan\":\"I ask.\"}}") CALL(
            "1", "f_1", "f") ARGS("1", "{\\\"a\\\"") ARGS("1", ":1}") EVENT("tool-call-end", ",\"index\":1")
                    CALL("2", "g_2", "g") EVENT("tool-call-end", ",\"index\":2") CALL("3", "h_3", "h")
                        ARGS("3", "nu") ARGS("3", "ll") EVENT("tool-call-end", ",\"index\":3")
                            CALL("4", "k_4", "k") ARGS("4", "n") ARGS("4", "o") END("TOOL_CALL") DONE),
        1);
    struct str out = buf_str(&t.text);
    assert_holds(out, "\"text\":\"I ask.\"");
    assert_holds(out, "\"arguments\":\"{\\\"a\\\":1}\",\"call_id\":\"f_1\",\"name\":\"f\"");
    assert_holds(out, "\"arguments\":\"{}\",\"call_id\":\"g_2\",\"name\":\"g\"");
    assert_holds(out, "\"arguments\":\"{}\",\"call_id\":\"h_3\",\"name\":\"h\"");
    assert_holds(out, "\"arguments\":\"no\",\"call_id\":\"k_4\",\"name\":\"k\"");
    assert_holds(out, "event: response.completed\n");
}

static void the_end_of_a_message_is_enough(void **state)
{
    (void)state;
    assert_int_equal(streams(BEGIN TEXT("x") END("COMPLETE")), 1);
    assert_holds(buf_str(&t.text), "event: response.completed\n");
}

static void a_stream_without_its_end_was_cut(void **state)
{
    (void)state;
    static const struct {
        const char *stream, *word;
        int result;
    } cases[] = {
        {BEGIN TEXT("x"), "", 0},
        {BEGIN TEXT("x") DONE, "before its message has ended", -1},
        {BEGIN TEXT("x") "data: {\"message\":\"overloaded\"}\n\n", "overloaded", -1},
        {BEGIN "event: error\ndata: {\"error\":\"away\"}\n\n", "away", -1},
        {BEGIN "data: {\n\n", "no valid JSON", -1},
        {BEGIN ARGS("0", "x"), "has not begun", -1},
        {BEGIN CALL("0", "i", ""), "can't be told", -1},
        {BEGIN TEXT("x") END("ERROR"), "broke off", -1},
        {BEGIN EVENT("message-end", ",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"no GPU\"}"),
         "no GPU", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(streams(cases[i].stream), cases[i].result);
        if (cases[i].word[0])
            assert_holds(t.f.message, cases[i].word);
        assert_holds(buf_str(&t.text), "event: response.failed\n");
        assert_lacks(buf_str(&t.text), "event: response.completed\n");
    }
}

static void unknown_events_are_for_others(void **state)
{
    (void)state;
    assert_int_equal(streams(BEGIN EVENT("debug", ",\"prompt\":\"p\"")
                                 TEXT("x") "data: {}\n\n" END("COMPLETE") EVENT("later", "") DONE),
                     1);
}

/* ---- errors */

static void errors_keep_their_words(void **state)
{
    (void)state;
    static const struct {
        int status, is;
        const char *body, *code, *message;
    } cases[] = {
        {401, 401, "{\"id\":\"x\",\"message\":\"bad key\"}", NULL, "bad key"},
        {422, 400, "{\"message\":\"no such field\"}", NULL, "no such field"},
        {400, 400, "{\"message\":\"too many tokens: 9 > 8\"}", "context_length_exceeded",
         "too many tokens: 9 > 8"},
        {400, 400, "{\"message\":\"long\",\"error_type\":\"TOO_MANY_TOKENS\"}", "context_length_exceeded",
         "long"},
        {498, 400, "{\"message\":\"denied\"}", "content_filter", "denied"},
        {499, 504, "{\"message\":\"cancelled\"}", NULL, "cancelled"},
        {429, 429, "{\"message\":\"slow down\"}", NULL, "slow down"},
        {503, 503, "<html>", NULL, "The provider answered with status 503."},
        {500, 500, "{\"message\":7}", NULL, "The provider answered with status 500."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t.provider->read_error(&t.r, cases[i].status, NULL, str_of(cases[i].body), &t.f);
        assert_int_equal(t.f.status, cases[i].is);
        assert_str(t.f.message, cases[i].message);
        assert_true(cases[i].code ? t.f.code && strcmp(t.f.code, cases[i].code) == 0 : !t.f.code);
    }
}

/* ---- what passes */

static void reranking_and_native_calls_pass(void **state)
{
    (void)state;
    struct provider_call call;
    assert_false(t.provider->passes(&t.r, &t.conf, STR("m")));
    t.r.match.endpoint = EP_RERANK;
    t.r.match.rest = STR("/rerank");
    t.r.model = STR("mine");
    t.r.body = STR("{\"model\":\"mine\",\"query\":\"q\",\"documents\":[\"d\"]}");
    assert_true(t.provider->passes(&t.r, &t.conf, STR("m")));
    assert_int_equal(t.provider->build(&t.r, &t.conf, STR("rerank-v3.5"), &call, &t.f), 0);
    assert_str(call.path, "/v2/rerank");
    assert_str(call.body, "{\"model\":\"rerank-v3.5\",\"query\":\"q\",\"documents\":[\"d\"]}");
    assert_int_equal(
        t.provider->read_answer(&t.r,
                                STR("{\"results\":[],\"meta\":{\"billed_units\":{\"search_units\":1}"
                                    "}}"),
                                &t.f),
        0);
    assert_false(t.r.tokens_known);
    t.r.match.endpoint = EP_NATIVE;
    t.r.match.rest = STR("/v1/check-api-key");
    assert_true(t.provider->passes(&t.r, &t.conf, STR_NULL));
    assert_int_equal(t.provider->build(&t.r, &t.conf, STR_NULL, &call, &t.f), 0);
    assert_str(call.path, "/v1/check-api-key");
}

static struct stream_event event(const char *data)
{
    struct sse_event ev = {.data = str_of(data), .has_data = true};
    return t.provider->read_event(&t.r, &ev);
}

static void passing_streams_are_metered(void **state)
{
    (void)state;
    assert_int_equal(
        event("{\"type\":\"content-delta\",\"delta\":{\"message\":{\"content\":{\"text\":\"four\"}}}}")
            .text_bytes,
        4);
    struct stream_event e =
        event("{\"type\":\"message-end\",\"delta\":{\"usage\":{\"tokens\":{\"input_tokens\":5,"
              "\"output_tokens\":6}}}}");
    assert_true(e.finished && e.usage && !e.last);
    assert_int_equal(t.r.tokens.input, 5);
    assert_true(event("[DONE]").last);
    assert_false(event("{").error);
    assert_int_equal(t.provider->read_answer(&t.r, STR("{\"message\":\"away\"}"), &t.f), -1);
    assert_str(t.f.message, "away");
}

/* ---- embeddings */

static int embeds(const struct embed_request *in)
{
    fresh();
    return t.provider->write_embed(translation_call(&t, NULL, "embed-x"), in);
}

static void embeddings_are_asked_for(void **state)
{
    (void)state;
    struct str texts[97] = {STR("a"), STR("b")};
    assert_int_equal(embeds(&(struct embed_request){.texts = texts, .n_texts = 2}), 0);
    assert_str(t.out.path, "/v2/embed");
    assert_str(t.out.body, "{\"model\":\"embed-x\",\"input_type\":\"search_document\",\"embedding_types\":"
                           "[\"float\"],\"texts\":[\"a\",\"b\"]}");
    assert_int_equal(embeds(&(struct embed_request){
                         .texts = texts, .n_texts = 96, .dimensions = 512, .task = STR("search_query")}),
                     0);
    assert_holds(t.out.body, "\"input_type\":\"search_query\",\"embedding_types\":[\"float\"],"
                             "\"output_dimension\":512,");
    assert_int_equal(embeds(&(struct embed_request){.texts = texts, .n_texts = 97}), -1);
    assert_int_equal(t.f.status, 400);
    assert_int_equal(embeds(&(struct embed_request){.tokens = STR("[1]")}), -1);
}

static int embedded(size_t n, const char *body, struct embed_answer *out)
{
    struct embed_request in = {.n_texts = n};
    struct chat_reader rd = {.r = &t.r, .conf = &t.conf, .arena = &t.arena, .scratch = &t.arena, .f = &t.f};
    *out = (struct embed_answer){0};
    return t.provider->read_embed(&rd, &in, str_of(body), out);
}

static void embeddings_are_read(void **state)
{
    (void)state;
    struct embed_answer a;
    assert_int_equal(embedded(2,
                              "{\"embeddings\":{\"float\":[[1,2],[3, 4]]},\"meta\":{\"billed_units\":"
                              "{\"input_tokens\":7}}}",
                              &a),
                     0);
    assert_int_equal(a.n_vectors, 2);
    assert_str(a.vectors[1].json, "[3, 4]");
    assert_true(a.usage_known);
    assert_int_equal(a.input_tokens, 7);
    assert_int_equal(embedded(1, "{\"embeddings\":[[1,2]]}", &a), 0);
    assert_false(a.usage_known);
    assert_int_equal(embedded(2, "{\"embeddings\":[[1,2]]}", &a), -1);
    assert_int_equal(embedded(1, "{\"embeddings\":{\"float\":[7]}}", &a), -1);
    assert_int_equal(embedded(1, "{\"message\":\"no\"}", &a), -1);
    assert_str(t.f.message, "no");
    assert_int_equal(embedded(1, "x", &a), -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_plain_request_is_short),
        CASE(the_version_may_stand_in_the_base_url),
        CASE(pictures_and_texts_are_parts),
        CASE(what_it_cannot_take_is_refused),
        CASE(a_tool_loop_is_told_in_its_words),
        CASE(turns_are_never_empty),
        CASE(tools_are_chosen),
        CASE(formats_are_objects),
        CASE(parameters_go_by_its_names_and_bounds),
        CASE(of_two_penalties_one_goes),
        CASE(stops_are_five_at_most),
        CASE(thinking_has_a_budget),
        CASE(an_answer_is_read),
        CASE(calls_are_read_beside_their_plan),
        CASE(ends_are_told_apart),
        CASE(answers_that_are_none_fail),
        CASE(a_stream_is_read),
        CASE(calls_in_a_stream_are_objects_with_numbers_of_their_own),
        CASE(the_end_of_a_message_is_enough),
        CASE(a_stream_without_its_end_was_cut),
        CASE(unknown_events_are_for_others),
        CASE(errors_keep_their_words),
        CASE(reranking_and_native_calls_pass),
        CASE(passing_streams_are_metered),
        CASE(embeddings_are_asked_for),
        CASE(embeddings_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

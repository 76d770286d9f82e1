/* The Responses dialect: what is read of a request, and what answers and streams look like to its callers. */
#include "translate_test.h"

static struct translated_stream s;

static int up(void **state)
{
    (void)state;
    translation_init(&t, EP_RESPONSES, "cohere");
    return 0;
}

/* ---- requests */

static int read_body(const char *body)
{
    translation_fini(&t);
    translation_init(&t, EP_RESPONSES, "cohere");
    t.r.body = arena_copy(&t.arena, str_of(body));
    return chat_read(&t.r, &t.f);
}

static const struct chat_request *reads(const char *body)
{
    if (read_body(body) != 0)
        fail_msg("refused (%s): %.*s\n%s", t.f.param, (int)t.f.message.n, t.f.message.p, body);
    return t.r.chat;
}

static void plain_input_is_what_the_user_says(void **state)
{
    (void)state;
    const struct chat_request *c =
        reads("{\"model\":\"m\",\"input\":\"Wie sp\\u00e4t?\",\"instructions\":\"Be brief.\"}");
    assert_int_equal(c->n_messages, 2);
    assert_int_equal(c->messages[0].role, CHAT_SYSTEM);
    assert_str(c->messages[0].parts[0].text, "Be brief.");
    assert_int_equal(c->messages[1].role, CHAT_USER);
    assert_str(c->messages[1].parts[0].text, "Wie sp\xc3\xa4t?");
    assert_int_equal(c->n_extras, 0);
}

static void instructions_come_first_wherever_they_stand(void **state)
{
    (void)state;
    const struct chat_request *c = reads("{\"input\":[{\"role\":\"developer\",\"content\":\"two\"},"
                                         "{\"role\":\"user\",\"content\":\"q\"}],\"instructions\":\"one\"}");
    assert_int_equal(c->n_messages, 3);
    assert_str(c->messages[0].parts[0].text, "one");
    assert_int_equal(c->messages[1].role, CHAT_SYSTEM);
    assert_str(c->messages[1].parts[0].text, "two");
}

static void parts_of_content_are_read(void **state)
{
    (void)state;
    const struct chat_request *c = reads(
        "{\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":["
        "{\"type\":\"input_text\",\"text\":\"see\",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}},"
        "{\"type\":\"input_image\",\"image_url\":\"data:image/gif;base64,R0lGODlhAQ==\",\"detail\":\"low\"},"
        "{\"type\":\"input_image\",\"image_url\":\"https://x.example/a.png\"},"
        "{\"type\":\"input_image\",\"file_id\":\"file-7\"},"
        "{\"type\":\"input_file\",\"filename\":\"a.pdf\",\"file_data\":\"data:application/"
        "pdf;base64,JVBERi0=\"},"
        "{\"type\":\"input_file\",\"file_data\":\"JVBERi0x\"},"
        "{\"type\":\"input_file\",\"file_url\":\"https://x.example/b.pdf\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"ok\",\"annotations\":[]},"
        "{\"type\":\"refusal\",\"refusal\":\"no\"}]}]}");
    const struct chat_part *p = c->messages[0].parts;
    assert_int_equal(c->messages[0].n_parts, 7);
    assert_str(p[0].cache_control, "{\"type\":\"ephemeral\"}");
    assert_non_null(c->params[PARAM_CACHE_CONTROL].name);
    assert_int_equal(p[1].kind, PART_IMAGE);
    assert_str(p[1].mime, "image/gif");
    assert_str(p[1].data, "R0lGODlhAQ==");
    assert_str(p[1].detail, "low");
    assert_str(p[2].url, "https://x.example/a.png");
    assert_str(p[3].file_id, "file-7");
    assert_int_equal(p[4].kind, PART_FILE);
    assert_str(p[4].mime, "application/pdf");
    assert_str(p[4].name, "a.pdf");
    assert_str(p[5].mime, "application/pdf");
    assert_str(p[6].url, "https://x.example/b.pdf");
    assert_int_equal(c->messages[1].role, CHAT_ASSISTANT);
    assert_int_equal(c->messages[1].parts[1].kind, PART_REFUSAL);
    assert_str(c->messages[1].parts[1].text, "no");
}

static void calls_and_results_find_each_other(void **state)
{
    (void)state;
    const struct chat_request *c = reads(
        "{\"input\":[{\"role\":\"user\",\"content\":\"q\"},"
        "{\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\","
        "\"extra_content\":{\"google\":{\"thought_signature\":\"c2ln\"}}},"
        "{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"g\",\"arguments\":\"\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":\"two\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":[{\"type\":\"input_text\",\"text\":"
        "\"one\"},{\"type\":\"input_image\",\"image_url\":\"https://x.example/i\"}]}]}");
    assert_int_equal(c->n_messages, 3);
    assert_int_equal(c->messages[1].n_parts, 2);
    const struct chat_part *call = c->messages[1].parts, *result = c->messages[2].parts;
    assert_int_equal(call[0].kind, PART_TOOL_CALL);
    assert_str(call[0].signature, "c2ln");
    assert_int_equal(call[0].signer, SIGNER_GOOGLE);
    assert_int_equal(call[1].signer, SIGNER_NONE);
    assert_str(result[0].id, "c1");
    assert_str(result[0].name, "f");
    assert_int_equal(result[0].n_parts, 2);
    assert_int_equal(result[0].parts[1].kind, PART_IMAGE);
    assert_str(result[1].parts[0].text, "two");
}

static void reasoning_keeps_whose_signature_it_has(void **state)
{
    (void)state;
    static const struct {
        const char *encrypted, *data;
        enum chat_part_kind kind;
        enum chat_signer signer;
    } cases[] = {
        {"gAAAAB-x_y", "gAAAAB-x_y", PART_THINKING, SIGNER_OPENAI},
        {"anthropic:EqQB", "EqQB", PART_THINKING, SIGNER_ANTHROPIC},
        {"google:CsQ=", "CsQ=", PART_THINKING, SIGNER_GOOGLE},
        {"redacted:anthropic:Em0", "Em0", PART_REDACTED, SIGNER_ANTHROPIC},
        {"redacted:openai:Zz", "Zz", PART_REDACTED, SIGNER_OPENAI},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[512];
        snprintf(
            body, sizeof(body),
            "{\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\","
            "\"text\":\"a\"},{\"type\":\"summary_text\",\"text\":\"b\"}],\"encrypted_content\":\"%s\"},"
            "{\"role\":\"user\",\"content\":\"q\"}]}",
            cases[i].encrypted);
        const struct chat_part *p = reads(body)->messages[0].parts;
        assert_int_equal(p->kind, cases[i].kind);
        assert_int_equal(p->signer, cases[i].signer);
        assert_str(p->kind == PART_REDACTED ? p->data : p->signature, cases[i].data);
        assert_str(p->text, "a\n\nb");
    }
    const struct chat_request *c = reads(
        "{\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"content\":[{\"type\":"
        "\"reasoning_text\",\"text\":\"raw\"}]},{\"type\":\"reasoning\",\"id\":\"rs_2\",\"summary\":[]}]}");
    assert_int_equal(c->n_messages, 1);
    assert_int_equal(c->messages[0].n_parts, 1);
    assert_str(c->messages[0].parts[0].text, "raw");
    assert_int_equal(c->messages[0].parts[0].signer, SIGNER_NONE);
}

static void tools_are_flat_and_strict_where_they_can_be(void **state)
{
    (void)state;
    static const struct {
        const char *tool;
        int strict;
    } cases[] = {
        {"\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
         "\"required\":[\"a\"],\"additionalProperties\":false}",
         1},
        {"\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"]}", -1},
        {"\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{"
         "\"b\":"
         "{}},\"required\":[],\"additionalProperties\":false}},\"required\":[\"a\"],"
         "\"additionalProperties\":false}",
         -1},
        {"\"parameters\":{\"type\":\"object\",\"properties\":{}},\"strict\":true", 1},
        {"\"parameters\":{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false},\"strict\":"
         "false",
         0},
        {"\"parameters\":null,\"strict\":null", -1},
        {"\"description\":\"d\"", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body),
                 "{\"input\":\"q\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",%s}]}", cases[i].tool);
        const struct chat_request *c = reads(body);
        assert_int_equal(c->n_tools, 1);
        assert_str(c->tools[0].name, "f");
        assert_int_equal(c->tools[0].strict, cases[i].strict);
    }
}

#define TOOLS "\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"function\",\"name\":\"g\"}],"

static void a_tool_may_be_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *choice;
        enum chat_choice_kind kind;
        const char *name;
        size_t n_allowed;
    } cases[] = {
        {"\"auto\"", TOOLS_AUTO, "", 0},
        {"\"none\"", TOOLS_NONE, "", 0},
        {"\"required\"", TOOLS_REQUIRED, "", 0},
        {"null", TOOLS_DEFAULT, "", 0},
        {"{\"type\":\"function\",\"name\":\"g\"}", TOOLS_NAMED, "g", 0},
        {"{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}"
         "]}",
         TOOLS_REQUIRED, "", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body), "{\"input\":\"q\"," TOOLS "\"tool_choice\":%s}", cases[i].choice);
        const struct chat_request *c = reads(body);
        assert_int_equal(c->tool_choice, cases[i].kind);
        assert_str(c->tool_name, cases[i].name);
        assert_int_equal(c->n_allowed, cases[i].n_allowed);
    }
}

static void parameters_keep_their_names(void **state)
{
    (void)state;
    static const struct {
        enum chat_param param;
        const char *name, *value;
    } cases[] = {
        {PARAM_MAX_TOKENS, "max_output_tokens", "77"},
        {PARAM_TEMPERATURE, "temperature", "0.25"},
        {PARAM_TOP_P, "top_p", "0.5"},
        {PARAM_LOGPROBS, "top_logprobs", "true"},
        {PARAM_TOP_LOGPROBS, "top_logprobs", "3"},
        {PARAM_PARALLEL_TOOLS, "parallel_tool_calls", "false"},
        {PARAM_METADATA, "metadata", "{\"k\":\"v\"}"},
        {PARAM_USER, "safety_identifier", "\"u-9\""},
        {PARAM_CACHE_KEY, "prompt_cache_key", "\"ck\""},
        {PARAM_SERVICE_TIER, "service_tier", "\"flex\""},
        {PARAM_VERBOSITY, "text.verbosity", "\"low\""},
        {PARAM_THINKING, "reasoning.effort", "\"high\""},
    };
    const struct chat_request *c = reads(
        "{\"input\":\"q\",\"max_output_tokens\":77,\"temperature\":0.25,\"top_p\":0.5,\"top_logprobs\":3,"
        "\"parallel_tool_calls\":false,\"metadata\":{\"k\":\"v\"},\"safety_identifier\":\"u-9\","
        "\"prompt_cache_key\":\"ck\",\"service_tier\":\"flex\",\"store\":true,\"truncation\":\"auto\","
        "\"text\":{\"verbosity\":\"low\",\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"strict\":true,"
        "\"schema\":{\"type\":\"object\"}}},\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\","
        "\"context\":\"all_turns\"},\"background\":false,\"previous_response_id\":null,"
        "\"stream_options\":{\"include_obfuscation\":false},\"novel\":1,\"gone\":null,"
        "\"include\":[\"reasoning.encrypted_content\"]}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_non_null(c->params[cases[i].param].name);
        assert_string_equal(c->params[cases[i].param].name, cases[i].name);
        assert_str(c->params[cases[i].param].value, cases[i].value);
    }
    assert_int_equal(c->parallel_tools, 0);
    assert_int_equal(c->format, FORMAT_SCHEMA);
    assert_str(c->format_name, "n");
    assert_str(c->format_schema, "{\"type\":\"object\"}");
    assert_int_equal(c->format_strict, 1);
    assert_int_equal(c->thinking, THINKING_EFFORT);
    assert_str(c->thinking_effort, "high");
    assert_int_equal(c->thinking_shown, 1);
    assert_int_equal(c->n_extras, 3);
    assert_str(c->extras[0].name, "novel");
    assert_str(c->extras[1].name, "reasoning.context");
    assert_str(c->extras[2].name, "truncation");
}

static void thinking_can_be_switched_off_or_only_shown(void **state)
{
    (void)state;
    assert_int_equal(reads("{\"input\":\"q\",\"reasoning\":{\"effort\":\"none\"}}")->thinking, THINKING_OFF);
    const struct chat_request *c = reads("{\"input\":\"q\",\"reasoning\":{\"summary\":\"concise\"}}");
    assert_int_equal(c->thinking, THINKING_DEFAULT);
    assert_int_equal(c->thinking_shown, 1);
    assert_null(c->params[PARAM_THINKING].name);
}

static void what_cannot_be_done_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param, *word;
    } cases[] = {
        {"{\"model\":\"m\"}", "input", "input"},
        {"{\"input\":7}", "input", "array"},
        {"{\"input\":\"q\",\"input\":\"r\"}", "input", "twice"},
        {"{\"input\":\"q\",\"previous_response_id\":\"resp_1\"}", "previous_response_id", "stored state"},
        {"{\"input\":\"q\",\"conversation\":{\"id\":\"c\"}}", "conversation", "stored state"},
        {"{\"input\":\"q\",\"background\":true}", "background", "stored state"},
        {"{\"prompt\":{\"id\":\"p\"}}", "prompt", "stored state"},
        {"{\"input\":[{\"type\":\"item_reference\",\"id\":\"i\"}]}", "input[0].type", "stored state"},
        {"{\"input\":[{\"type\":\"computer_call\"}]}", "input[0].type", "computer_call"},
        {"{\"input\":[{\"type\":\"custom_tool_call\"}]}", "input[0].call_id", "Missing"},
        {"{\"input\":[{\"type\":\"custom_tool_call\",\"call_id\":\"c\",\"name\":\"f\"}]}", "input[0].input",
         "Missing"},
        {"{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"\","
         "\"namespace\":1}]}",
         "input[0].namespace", "string"},
        {"{\"input\":[{\"role\":\"bard\",\"content\":\"x\"}]}", "input[0].role", "bard"},
        {"{\"input\":[{\"role\":\"user\"}]}", "input[0].content", "Missing"},
        {"{\"input\":[\"x\"]}", "input[0]", "object"},
        {"{\"input\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":[{\"type\":"
         "\"input_text\",\"text\":\"b\"},{\"type\":\"input_image\",\"image_url\":{\"url\":\"u\"}}]}]}",
         "input[1].content[1].image_url", "string"},
        {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_video\"}]}]}",
         "input[0].content[0].type", "input_video"},
        {"{\"input\":[{\"role\":\"system\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"u\"}]}]}",
         "input[0].content[0].type", "input_image"},
        {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]}",
         "input[0].content[0].image_url", "Missing"},
        {"{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\"}]}", "input[0].arguments",
         "Missing"},
        {"{\"input\":[{\"type\":\"function_call_output\",\"output\":\"x\"}]}", "input[0].call_id", "Missing"},
        {"{\"input\":\"q\",\"instructions\":{}}", "instructions", "string"},
        {"{\"input\":\"q\",\"temperature\":\"hot\"}", "temperature", "number"},
        {"{\"input\":\"q\",\"max_output_tokens\":0}", "max_output_tokens", "1"},
        {"{\"input\":\"q\",\"max_output_tokens\":1.5}", "max_output_tokens", "integer"},
        {"{\"input\":\"q\",\"top_logprobs\":21}", "top_logprobs", "20"},
        {"{\"input\":\"q\",\"reasoning\":{\"effort\":\"much\"}}", "reasoning.effort", "much"},
        {"{\"input\":\"q\",\"text\":{\"format\":{\"type\":\"xml\"}}}", "text.format.type", "xml"},
        {"{\"input\":\"q\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\"}}}",
         "text.format.schema", "object"},
        {"{\"input\":\"q\",\"tools\":[{\"type\":\"web_search\"}]}", "tools[0].type", "web_search"},
        {"{\"input\":\"q\",\"tools\":[{\"type\":\"custom\"}]}", "tools[0].name", "Missing"},
        {"{\"input\":\"q\",\"tools\":[{\"type\":\"custom\",\"name\":\"c\",\"format\":{\"type\":\"xml\"}}]}",
         "tools[0].format.type", "xml"},
        {"{\"input\":\"q\",\"tools\":[{\"type\":\"custom\",\"name\":\"c\"},{\"type\":\"function\",\"name\":"
         "\"c\"}]}",
         "tools[1].name", "Two tools"},
        {"{\"input\":\"q\",\"tools\":[{\"type\":\"function\",\"name\":\"a__b\"},{\"type\":\"namespace\","
         "\"name\":\"a\",\"tools\":[{\"type\":\"function\",\"name\":\"b\"}]}]}",
         "tools[1].name", "Two tools"},
        {"{\"input\":\"q\",\"tools\":[{\"type\":\"namespace\",\"name\":\"a\",\"tools\":[{\"type\":"
         "\"namespace\",\"name\":\"b\",\"tools\":[]}]}]}",
         "tools[0].tools", "namespace"},
        {"{\"input\":\"q\",\"tools\":[{\"type\":\"function\"}]}", "tools[0].name", "Missing"},
        {"{\"input\":\"q\"," TOOLS "\"tool_choice\":{\"type\":\"function\",\"name\":\"h\"}}", "tool_choice",
         "h"},
        {"{\"input\":\"q\"," TOOLS "\"tool_choice\":{\"type\":\"file_search\"}}", "tool_choice", "function"},
        {"{\"input\":\"q\"," TOOLS "\"tool_choice\":\"maybe\"}", "tool_choice", "maybe"},
        {"{\"input\":\"q\",\"truncation\":\"some\"}", "truncation", "some"},
        {"{\"input\":\"q\",\"metadata\":[]}", "metadata", "object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_body(cases[i].body) == 0)
            fail_msg("not refused: %s", cases[i].body);
        assert_int_equal(t.f.status, 400);
        assert_string_equal(t.f.param, cases[i].param);
        assert_holds(t.f.message, cases[i].word);
    }
}

static void what_is_kept_nowhere_cannot_be_asked_for(void **state)
{
    (void)state;
    t.r.body = STR("{\"model\":\"m\",\"input\":\"q\"}");
    t.r.match.rest = STR("/responses/input_tokens");
    assert_int_equal(chat_read(&t.r, &t.f), -1);
    assert_string_equal(t.f.code, "unsupported_endpoint");
    assert_null(t.f.param);
    t.r.match.rest = STR("/responses");
    assert_int_equal(chat_read(&t.r, &t.f), 0);
}

/* ---- whole answers */

static void answer(const struct chat_answer *a)
{
    struct chat_writer w = translation_writer(&t);
    w.usage = a->usage;
    w.usage_known = a->usage_known;
    t.dialect->write(&w, a, &t.text);
    assert_int_equal(json_validate(buf_str(&t.text), NULL), 0);
}

static void an_answer_is_told_whole(void **state)
{
    (void)state;
    struct chat_part parts[] = {
        {.kind = PART_THINKING, .text = STR("hm"), .signature = STR("SIG"), .signer = SIGNER_ANTHROPIC},
        {.kind = PART_REDACTED, .data = STR("RED"), .signer = SIGNER_ANTHROPIC},
        {.kind = PART_TEXT, .text = STR("Hi \"you\"")},
        {.kind = PART_TOOL_CALL, .id = STR("c1"), .name = STR("f"), .arguments = STR("{\"a\":1}")},
        {.kind = PART_TOOL_CALL,
         .id = STR("c2"),
         .name = STR("g"),
         .signature = STR("R1M="),
         .signer = SIGNER_GOOGLE},
        {.kind = PART_IMAGE, .data = STR("AAAA"), .mime = STR("image/png")},
    };
    struct chat_choice choice = {
        .parts = parts,
        .n_parts = 6,
        .finish = FINISH_TOOL_CALLS,
        .annotations = STR("[{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":1,\"end_index\":2,"
                           "\"url\":\"https://x.example\",\"title\":\"T\"}}]"),
        .logprobs = STR("{\"content\":[{\"token\":\"Hi\",\"logprob\":-1,\"bytes\":[72,105],"
                        "\"top_logprobs\":[]}],\"refusal\":null}")};
    struct chat_answer a = {
        .id = STR("msg_x"),
        .model = STR("claude-x"),
        .choices = &choice,
        .n_choices = 1,
        .usage = {.input = 30, .cached = 10, .cache_write = 5, .output = 8, .reasoning = 3},
        .usage_known = true};
    reads("{\"input\":\"q\",\"instructions\":\"be\",\"temperature\":0.5,\"metadata\":{\"k\":\"v\"},"
          "\"reasoning\":{\"effort\":\"low\"},\"text\":{\"format\":{\"type\":\"json_object\"}}," TOOLS
          "\"tool_choice\":\"required\"}");
    answer(&a);
    struct str out = buf_str(&t.text);
    static const char *const held[] = {
        "\"object\":\"response\"",
        "\"created_at\":1750000000",
        "\"status\":\"completed\"",
        "\"error\":null",
        "\"incomplete_details\":null",
        "\"model\":\"claude-x\"",
        "\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}],"
        "\"encrypted_content\":\"anthropic:SIG\"}",
        "\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"redacted:anthropic:RED\"}",
        "\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":"
        "\"output_text\",\"annotations\":[{\"type\":\"url_citation\",\"start_index\":1,\"end_index\":2,"
        "\"url\":\"https://x.example\",\"title\":\"T\"}],\"logprobs\":[{\"token\":\"Hi\",\"logprob\":-1,"
        "\"bytes\":[72,105],\"top_logprobs\":[]}],\"text\":\"Hi \\\"you\\\"\"}]}",
        "\"type\":\"function_call\",\"status\":\"completed\",\"arguments\":\"{\\\"a\\\":1}\",\"call_id\":"
        "\"c1\","
        "\"name\":\"f\"}",
        "\"arguments\":\"{}\",\"call_id\":\"c2\",\"name\":\"g\",\"extra_content\":{\"google\":"
        "{\"thought_signature\":\"R1M=\"}}}",
        "\"type\":\"image_generation_call\",\"status\":\"completed\",\"output_format\":\"png\",\"result\":"
        "\"AAAA\"}",
        "\"usage\":{\"input_tokens\":30,\"input_tokens_details\":{\"cached_tokens\":10,\"cache_write_"
        "tokens\":5},"
        "\"output_tokens\":8,\"output_tokens_details\":{\"reasoning_tokens\":3},\"total_tokens\":38}",
        "\"instructions\":\"be\"",
        "\"temperature\":0.5",
        "\"metadata\":{\"k\":\"v\"}",
        "\"reasoning\":{\"effort\":\"low\",\"summary\":null}",
        "\"text\":{\"format\":{\"type\":\"json_object\"},\"verbosity\":\"medium\"}",
        "\"tool_choice\":\"required\"",
        "\"tools\":[{\"type\":\"function\",\"name\":\"f\"",
        "\"parallel_tool_calls\":true",
        "\"store\":false",
        "\"truncation\":\"disabled\"",
        "\"top_p\":1.0",
        "\"previous_response_id\":null"};
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
        assert_holds(out, held[i]);
}

static void the_end_of_an_answer_is_told(void **state)
{
    (void)state;
    static const struct {
        enum chat_finish finish;
        const char *status, *details;
    } cases[] = {
        {FINISH_STOP, "\"status\":\"completed\",\"error\":null", "\"incomplete_details\":null"},
        {FINISH_STOP_SEQUENCE, "\"status\":\"completed\"", "\"incomplete_details\":null"},
        {FINISH_PAUSE, "\"status\":\"completed\"", "\"incomplete_details\":null"},
        {FINISH_LENGTH, "\"status\":\"incomplete\",\"error\":null",
         "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"},
        {FINISH_CONTENT_FILTER, "\"status\":\"incomplete\"",
         "\"incomplete_details\":{\"reason\":\"content_filter\"}"},
        {FINISH_REFUSAL, "\"status\":\"incomplete\"",
         "\"incomplete_details\":{\"reason\":\"content_filter\"}"},
        {FINISH_DECLINED, "\"status\":\"completed\",\"error\":null", "\"incomplete_details\":null"},
        {FINISH_ERROR, "\"status\":\"completed\",\"error\":null", "\"incomplete_details\":null"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct chat_part part = {.kind = PART_TEXT, .text = STR("x")};
        struct chat_choice choice = {.parts = &part, .n_parts = 1, .finish = cases[i].finish};
        buf_reset(&t.text);
        answer(&(struct chat_answer){.choices = &choice, .n_choices = 1});
        assert_holds(buf_str(&t.text), cases[i].status);
        assert_holds(buf_str(&t.text), cases[i].details);
        assert_holds(buf_str(&t.text), "\"model\":\"target-model\"");
    }
    struct chat_choice nothing = {.finish = FINISH_ERROR};
    buf_reset(&t.text);
    answer(&(struct chat_answer){.choices = &nothing, .n_choices = 1});
    assert_holds(buf_str(&t.text), "\"status\":\"failed\",\"error\":{\"code\":\"server_error\"");
}

static void a_refusal_is_a_part_of_its_own(void **state)
{
    (void)state;
    struct chat_part parts[] = {{.kind = PART_TEXT, .text = STR("Well. ")},
                                {.kind = PART_REFUSAL, .text = STR("I won't.")}};
    struct chat_choice choice = {.parts = parts, .n_parts = 2, .finish = FINISH_STOP};
    answer(&(struct chat_answer){.choices = &choice, .n_choices = 1});
    assert_holds(buf_str(&t.text), "\"text\":\"Well. \"},{\"type\":\"refusal\",\"refusal\":\"I won't.\"}]}]");
    assert_holds(buf_str(&t.text), "\"status\":\"completed\",\"error\":null");
}

/* ---- streams */

static void begin(void)
{
    translate_begin(&t, &s);
}

static void say(struct chat_delta d)
{
    chat_sink_take(&s.sink, &d);
    assert_false(t.text.full);
}

/* Types of the events, each by its last words: "created in_progress …"; numbers must rise from 0. */
static const char *ladder(void)
{
    static char names[4096];
    struct sse_reader sse;
    struct sse_event ev;
    int64_t next = 0, number;
    size_t n = 0;
    sse_init(&sse);
    assert_int_equal(sse_feed(&sse, buf_str(&t.text)), 0);
    names[0] = '\0';
    while (sse_next(&sse, &ev) == 1) {
        static const char *const paths[] = {"type", "sequence_number"};
        struct json_value v[2];
        assert_int_equal(json_scan(ev.data, paths, 2, v, NULL), 0);
        assert_int_equal(json_int(v[1], &number), 0);
        assert_int_equal(number, next++);
        assert_true(v[0].raw.n == ev.name.n + 2 && memcmp(v[0].raw.p + 1, ev.name.p, ev.name.n) == 0);
        struct str name = ev.name;
        if (str_starts(name, STR("response.")))
            name.p += 9, name.n -= 9;
        n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%.*s", n ? " " : "", (int)name.n, name.p);
    }
    assert_int_equal(sse_pending(&sse), 0);
    sse_free(&sse);
    return names;
}

static void end(struct usage_tokens usage)
{
    s.w.usage = usage;
    s.w.usage_known = true;
    t.dialect->end(&s.w, &t.text);
}

static void text_climbs_the_ladder(void **state)
{
    (void)state;
    begin();
    say((struct chat_delta){.kind = DELTA_START, .id = STR("x"), .model = STR("m-1"), .created = 1700000001});
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("")});
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("Hel")});
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("lo\n")});
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_STOP});
    end((struct usage_tokens){.input = 4, .output = 2});
    assert_string_equal(ladder(),
                        "created in_progress output_item.added content_part.added output_text.delta "
                        "output_text.delta output_text.done content_part.done output_item.done "
                        "completed");
    struct str out = buf_str(&t.text);
    assert_holds(out, "\"created_at\":1700000001,\"status\":\"in_progress\"");
    assert_holds(out, "\"content_index\":0,\"delta\":\"Hel\",\"logprobs\":[]}");
    assert_holds(out, "\"content_index\":0,\"text\":\"Hello\\n\",\"logprobs\":[]}");
    assert_int_equal(times(out, "\"text\":\"Hello\\n\""), 4);
    assert_holds(out, "\"item\":{\"id\":\"msg_");
    assert_holds(out, "\"model\":\"m-1\"");
    assert_holds(out, "\"usage\":{\"input_tokens\":4,");
}

static void reasoning_and_calls_are_items(void **state)
{
    (void)state;
    begin();
    say((struct chat_delta){.kind = DELTA_THINKING, .text = STR("so ")});
    say((struct chat_delta){.kind = DELTA_THINKING, .text = STR("what")});
    say((struct chat_delta){.kind = DELTA_THINKING, .signature = STR("S1"), .signer = SIGNER_ANTHROPIC});
    say((struct chat_delta){.kind = DELTA_THINKING, .text = STR("more")});
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("I call.")});
    say((struct chat_delta){.kind = DELTA_TOOL, .tool = 0, .id = STR("c1"), .name = STR("f")});
    say((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 0, .text = STR("{\"a\"")});
    say((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 0, .text = STR(":1}")});
    say((struct chat_delta){.kind = DELTA_TOOL, .tool = 1, .id = STR("c2"), .name = STR("g")});
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_STOP});
    end((struct usage_tokens){.input = 1, .output = 1});
    assert_string_equal(
        ladder(),
        "created in_progress "
        "output_item.added reasoning_summary_part.added reasoning_summary_text.delta "
        "reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done "
        "output_item.done "
        "output_item.added reasoning_summary_part.added reasoning_summary_text.delta "
        "reasoning_summary_text.done reasoning_summary_part.done output_item.done "
        "output_item.added content_part.added output_text.delta output_text.done content_part.done "
        "output_item.done "
        "output_item.added function_call_arguments.delta function_call_arguments.delta "
        "function_call_arguments.done output_item.done "
        "output_item.added function_call_arguments.delta function_call_arguments.done output_item.done "
        "completed");
    struct str out = buf_str(&t.text);
    assert_holds(out, "\"encrypted_content\":\"anthropic:S1\"");
    assert_holds(out, "\"output_index\":3,\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}");
    assert_holds(out, "\"output_index\":4,\"delta\":\"{}\"}");
    assert_holds(out, "\"arguments\":\"{}\",\"call_id\":\"c2\"");
}

static void calls_may_interleave(void **state)
{
    (void)state;
    begin();
    say((struct chat_delta){.kind = DELTA_TOOL, .tool = 0, .id = STR("c1"), .name = STR("f")});
    say((struct chat_delta){.kind = DELTA_TOOL, .tool = 1, .id = STR("c2"), .name = STR("g")});
    say((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 0, .text = STR("{\"x\":")});
    say((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 1, .text = STR("{\"y\":")});
    say((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 0, .text = STR("1}")});
    say((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 1, .text = STR("2}")});
    say((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 7, .text = STR("nobody's")});
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_TOOL_CALLS});
    end((struct usage_tokens){.input = 1, .output = 1});
    struct str out = buf_str(&t.text);
    assert_holds(out, "\"arguments\":\"{\\\"x\\\":1}\",\"call_id\":\"c1\"");
    assert_holds(out, "\"arguments\":\"{\\\"y\\\":2}\",\"call_id\":\"c2\"");
    assert_false(holds(out, "nobody's"));
    assert_int_equal(times(out, "event: response.output_item.done\n"), 2);
}

static void refusals_images_annotations_and_logprobs_are_told(void **state)
{
    (void)state;
    begin();
    say((struct chat_delta){
        .kind = DELTA_ANNOTATIONS,
        .json = STR("[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"https://a.example\"}}]")});
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("T")});
    say((struct chat_delta){
        .kind = DELTA_LOGPROBS,
        .json =
            STR("{\"content\":[{\"token\":\"T\",\"logprob\":-0.5,\"bytes\":[84],\"top_logprobs\":[]}]}")});
    say((struct chat_delta){.kind = DELTA_REFUSAL, .text = STR("no")});
    say((struct chat_delta){.kind = DELTA_IMAGE, .data = STR("QUJD"), .mime = STR("image/webp")});
    say((struct chat_delta){.kind = DELTA_IMAGE, .url = STR("https://x.example/i.png")});
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_REFUSAL});
    end((struct usage_tokens){.input = 1, .output = 1});
    assert_string_equal(ladder(),
                        "created in_progress output_item.added content_part.added "
                        "output_text.annotation.added output_text.delta output_text.delta output_text.done "
                        "content_part.done content_part.added refusal.delta refusal.done content_part.done "
                        "output_item.done output_item.added image_generation_call.completed output_item.done "
                        "output_item.added content_part.added output_text.delta output_text.done "
                        "content_part.done output_item.done incomplete");
    struct str out = buf_str(&t.text);
    assert_holds(out, "\"annotation_index\":0,\"annotation\":{\"type\":\"url_citation\",\"start_index\":0,"
                      "\"end_index\":0,\"url\":\"https://a.example\",\"title\":\"\"}");
    assert_holds(out, "\"delta\":\"\",\"logprobs\":[{\"token\":\"T\"");
    assert_holds(out, "\"content_index\":1,\"refusal\":\"no\"}");
    assert_holds(out, "\"result\":\"QUJD\"");
    assert_holds(out, "![image](https://x.example/i.png)");
    assert_holds(out, "\"incomplete_details\":{\"reason\":\"content_filter\"}");
}

static void a_failure_ends_without_completed(void **state)
{
    (void)state;
    begin();
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("Half")});
    struct failure f = {
        .status = 529, .type = "overloaded_error", .code = "overloaded", .message = STR("Too busy")};
    (t.dialect->fail)(&s.w, &f, &t.text);
    assert_string_equal(
        ladder(), "created in_progress output_item.added content_part.added output_text.delta error failed");
    struct str out = buf_str(&t.text);
    assert_holds(out,
                 "\"code\":\"overloaded\",\"message\":\"Too busy\",\"param\":null,\"error\":{\"type\":"
                 "\"overloaded_error\",\"code\":\"overloaded\",\"message\":\"Too busy\",\"param\":null}}");
    assert_holds(out, "\"status\":\"failed\",\"error\":{\"code\":\"overloaded\",\"message\":\"Too busy\"}");
    assert_holds(out, "\"usage\":null");
    assert_false(holds(out, "completed\""));
}

static void a_failure_before_anything_came_is_told_too(void **state)
{
    (void)state;
    begin();
    (t.dialect->fail)(&s.w, &(struct failure){.status = 502, .message = STR("gone")}, &t.text);
    assert_string_equal(ladder(), "created in_progress error failed");
}

static void an_answer_that_broke_off_at_its_provider_failed(void **state)
{
    (void)state;
    begin();
    say((struct chat_delta){.kind = DELTA_THINKING, .text = STR("which tool")});
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_ERROR});
    end((struct usage_tokens){.input = 1, .output = 1});
    assert_holds(str_of(ladder()), " error failed");
    buf_reset(&t.text);
    begin(); /* a call that came with it is none to be made */
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("Let me")});
    say((struct chat_delta){.kind = DELTA_TOOL, .id = STR("i"), .name = STR("f")});
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_ERROR});
    end((struct usage_tokens){.input = 1, .output = 1});
    assert_holds(str_of(ladder()), " error failed");
    buf_reset(&t.text);
    begin(); /* text is an answer, whatever came of the rest */
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("Done.")});
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_ERROR});
    end((struct usage_tokens){.input = 1, .output = 1});
    assert_holds(str_of(ladder()), " completed");
}

static void what_was_cut_for_length_is_incomplete(void **state)
{
    (void)state;
    begin();
    say((struct chat_delta){.kind = DELTA_TEXT, .text = STR("long")});
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_LENGTH});
    end((struct usage_tokens){.input = 1, .output = 1});
    assert_holds(buf_str(&t.text), "event: response.incomplete\n");
    assert_holds(buf_str(&t.text), "\"type\":\"message\",\"status\":\"incomplete\"");
}

/* A client gives back what it got, and nothing of it is lost. */
static void an_answer_can_be_given_back(void **state)
{
    (void)state;
    struct chat_part parts[] = {
        {.kind = PART_THINKING, .text = STR("hm\n\nso"), .signature = STR("S"), .signer = SIGNER_ANTHROPIC},
        {.kind = PART_REDACTED, .data = STR("R"), .signer = SIGNER_ANTHROPIC},
        {.kind = PART_TEXT, .text = STR("text"), .signature = STR("Rw=="), .signer = SIGNER_GOOGLE},
        {.kind = PART_TOOL_CALL,
         .id = STR("c"),
         .name = STR("f"),
         .arguments = STR("{\"a\":[1]}"),
         .signature = STR("Qg=="),
         .signer = SIGNER_GOOGLE},
    };
    static const char *const paths[] = {"output"};
    struct chat_choice choice = {.parts = parts, .n_parts = 4, .finish = FINISH_TOOL_CALLS};
    struct json_value output;
    struct buf body;
    answer(&(struct chat_answer){.choices = &choice, .n_choices = 1});
    assert_int_equal(json_scan(buf_str(&t.text), paths, 1, &output, NULL), 0);
    buf_init(&body, 65536);
    buf_printf(&body, "{\"input\":%.*s}", (int)output.raw.n, output.raw.p);
    buf_add_byte(&body, '\0');
    const struct chat_request *c = reads(body.p);
    assert_int_equal(c->n_messages, 1);
    assert_int_equal(c->messages[0].n_parts, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct chat_part *p = &c->messages[0].parts[i];
        assert_int_equal(p->kind, parts[i].kind);
        assert_true(str_eq(p->text, parts[i].text));
        assert_true(str_eq(p->signature, parts[i].signature));
        assert_int_equal(p->signer, parts[i].signer);
        assert_true(str_eq(p->data, parts[i].data));
        assert_true(str_eq(p->id, parts[i].id));
        assert_true(str_eq(p->name, parts[i].name));
        assert_true(str_eq(p->arguments, parts[i].arguments));
    }
    buf_free(&body);
}

/* Only as much as a hostile provider can make us hold. */
static void too_many_items_fail_the_answer(void **state)
{
    (void)state;
    begin();
    for (uint32_t i = 0; i < 5000; i++) {
        struct chat_delta d = {.kind = i % 2 ? DELTA_TEXT : DELTA_THINKING, .text = STR("x")};
        chat_sink_take(&s.sink, &d);
        buf_reset(&t.text);
    }
    say((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_STOP});
    end((struct usage_tokens){.input = 1, .output = 1});
    assert_holds(buf_str(&t.text), "event: response.failed\n");
    assert_false(holds(buf_str(&t.text), "event: response.completed\n"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plain_input_is_what_the_user_says),
        TEST(instructions_come_first_wherever_they_stand),
        TEST(parts_of_content_are_read),
        TEST(calls_and_results_find_each_other),
        TEST(reasoning_keeps_whose_signature_it_has),
        TEST(tools_are_flat_and_strict_where_they_can_be),
        TEST(a_tool_may_be_chosen),
        TEST(parameters_keep_their_names),
        TEST(thinking_can_be_switched_off_or_only_shown),
        TEST(what_cannot_be_done_is_refused_by_name),
        TEST(what_is_kept_nowhere_cannot_be_asked_for),
        TEST(an_answer_is_told_whole),
        TEST(the_end_of_an_answer_is_told),
        TEST(a_refusal_is_a_part_of_its_own),
        TEST(text_climbs_the_ladder),
        TEST(reasoning_and_calls_are_items),
        TEST(calls_may_interleave),
        TEST(refusals_images_annotations_and_logprobs_are_told),
        TEST(a_failure_ends_without_completed),
        TEST(a_failure_before_anything_came_is_told_too),
        TEST(an_answer_that_broke_off_at_its_provider_failed),
        TEST(what_was_cut_for_length_is_incomplete),
        TEST(an_answer_can_be_given_back),
        TEST(too_many_items_fail_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

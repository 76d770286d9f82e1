/* Google's dialect towards callers: its requests read, its answers and streams written. */
#include "google_json.h"
#include "google_request.h"
#include "translate_test.h"

static struct chat_writer w;

static int up(void **state)
{
    (void)state;
    translation_init(&t, EP_GENERATE, "openai");
    t.head.query = STR("alt=sse");
    return 0;
}

static int read_body(const char *body)
{
    t.r.chat = NULL;
    t.r.body = str_of(body);
    return chat_read(&t.r, &t.f);
}

static const struct chat_request *read_ok(const char *body)
{
    if (read_body(body) != 0)
        fail_msg("not read: %.*s", STR_ARG(t.f.message));
    return t.r.chat;
}

static const struct chat_part *part(const struct chat_request *c, size_t message, size_t i)
{
    assert_true(message < c->n_messages);
    assert_true(i < c->messages[message].n_parts);
    return &c->messages[message].parts[i];
}

/* ---- requests */

static void a_conversation_is_read(void **state)
{
    (void)state;
    const struct chat_request *c = read_ok(
        "{\"systemInstruction\":{\"role\":\"user\",\"parts\":[{\"text\":\"be brief\"}]},\"contents\":["
        "{\"parts\":[{\"text\":\"what is "
        "it?\"},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"iVBO\"}},"
        "{\"inlineData\":{\"mimeType\":\"audio/"
        "mp3\",\"data\":\"AAAA\"}},{\"inlineData\":{\"mimeType\":\"application/pdf\","
        "\"data\":\"JVBE\"}},{\"fileData\":{\"fileUri\":\"https://a.example/x.png\",\"mimeType\":\"image/"
        "png\"}},"
        "{\"fileData\":{\"fileUri\":\"gs://b/y.pdf\",\"mimeType\":\"application/pdf\"}}]},"
        "{\"role\":\"model\",\"parts\":[{\"text\":\"hm\",\"thought\":true},{\"text\":\"a "
        "thing\",\"thoughtSignature\":\"c2ln\"}]},"
        "{\"role\":\"user\",\"parts\":{\"text\":\"thanks\"}}]}");
    assert_int_equal(c->n_messages, 4);
    assert_int_equal(c->messages[0].role, CHAT_SYSTEM);
    assert_str(part(c, 0, 0)->text, "be brief");
    assert_int_equal(c->messages[1].role, CHAT_USER);
    assert_int_equal(part(c, 1, 1)->kind, PART_IMAGE);
    assert_str(part(c, 1, 1)->data, "iVBO");
    assert_int_equal(part(c, 1, 2)->kind, PART_AUDIO);
    assert_int_equal(part(c, 1, 3)->kind, PART_FILE);
    assert_str(part(c, 1, 4)->url, "https://a.example/x.png");
    assert_str(part(c, 1, 5)->file_id, "gs://b/y.pdf");
    assert_int_equal(c->messages[2].role, CHAT_ASSISTANT);
    assert_int_equal(part(c, 2, 0)->kind, PART_THINKING);
    assert_str(part(c, 2, 1)->signature, "c2ln");
    assert_int_equal(part(c, 2, 1)->signer, SIGNER_GOOGLE);
    assert_str(part(c, 3, 0)->text, "thanks");
}

static void both_spellings_are_read(void **state)
{
    (void)state;
    const struct chat_request *c = read_ok(
        "{\"system_instruction\":\"s\",\"contents\":[{\"role\":\"user\",\"parts\":[{\"inline_data\":{\"mime_"
        "type\":"
        "\"image/"
        "png\",\"data\":\"_9j_4A\"}}]},{\"role\":\"model\",\"parts\":[{\"function_call\":{\"name\":\"f\","
        "\"args\":{}},"
        "\"thought_signature\":\"cw==\"}]},{\"role\":\"function\",\"parts\":[{\"function_response\":{"
        "\"name\":\"f\","
        "\"response\":{\"output\":\"ok\"}}}]}],\"tools\":{\"function_declarations\":[{\"name\":\"f\","
        "\"parameters_json_schema\":{\"type\":\"object\"}}]},\"tool_config\":{\"function_calling_config\":{"
        "\"mode\":\"any\","
        "\"allowed_function_names\":[\"f\"]}},\"generation_config\":{\"max_output_tokens\":9,\"top_k\":40.0,"
        "\"stop_sequences\":[\"x\"],\"response_mime_type\":\"application/"
        "json\",\"thinking_config\":{\"thinking_budget\":0}}}");
    assert_str(part(c, 0, 0)->text, "s");
    assert_str(part(c, 1, 0)->data, "/9j/4A==");
    assert_str(part(c, 2, 0)->signature, "cw==");
    assert_int_equal(part(c, 3, 0)->kind, PART_TOOL_RESULT);
    assert_str(c->tools[0].schema, "{\"type\":\"object\"}");
    assert_int_equal(c->tool_choice, TOOLS_NAMED);
    assert_str(c->tool_name, "f");
    assert_str(c->params[PARAM_MAX_TOKENS].value, "9");
    assert_str(c->params[PARAM_TOP_K].value, "40");
    assert_string_equal(c->params[PARAM_TOP_K].name, "generationConfig.topK");
    assert_int_equal(c->n_stop, 1);
    assert_int_equal(c->format, FORMAT_JSON);
    assert_int_equal(c->thinking, THINKING_OFF);
}

static void calls_without_ids_get_the_same_ones_each_time(void **state)
{
    (void)state;
    static const char body[] =
        "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"go\"}]},{\"role\":\"model\",\"parts\":["
        "{\"functionCall\":{\"name\":\"f\",\"args\":{\"n\":1}}},{\"functionCall\":{\"name\":\"g\",\"args\":{}"
        "}},"
        "{\"functionCall\":{\"name\":\"f\",\"args\":{\"n\":2}}}]},{\"role\":\"user\",\"parts\":["
        "{\"functionResponse\":{\"name\":\"g\",\"response\":{\"error\":\"no\"}}},"
        "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"result\":1}}},"
        "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"a\":1,\"b\":2}}}]}]}";
    char first[64];
    const struct chat_request *c = read_ok(body);
    str_copy(first, sizeof(first), part(c, 1, 0)->id);
    assert_true(*first);
    assert_false(str_eq(part(c, 1, 0)->id, part(c, 1, 2)->id));
    for (size_t i = 0; i < 3; i++) { /* results come in the order of the calls */
        assert_int_equal(part(c, 2, i)->kind, PART_TOOL_RESULT);
        assert_true(str_eq(part(c, 2, i)->id, part(c, 1, i)->id));
    }
    assert_str(part(c, 2, 0)->parts[0].text, "1");
    assert_true(part(c, 2, 1)->is_error);
    assert_str(part(c, 2, 1)->parts[0].text, "no");
    assert_str(part(c, 2, 2)->parts[0].text, "{\"a\":1,\"b\":2}");
    c = read_ok(body);
    assert_str(part(c, 1, 0)->id, first);
}

static void ids_that_are_given_stay(void **state)
{
    (void)state;
    const struct chat_request *c = read_ok("{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":{"
                                           "\"id\":\"A\",\"name\":\"f\"}},{\"functionCall\":"
                                           "{\"id\":\"B\",\"name\":\"f\"}}]},{\"role\":\"user\",\"parts\":[{"
                                           "\"functionResponse\":{\"id\":\"B\",\"name\":\"f\",\"response\":"
                                           "{\"output\":\"b\"}}},{\"functionResponse\":{\"id\":\"?\","
                                           "\"name\":\"f\",\"response\":{\"output\":\"a\"}}}]}]}");
    assert_str(part(c, 0, 0)->id, "A");
    assert_str(part(c, 1, 0)->id, "A");
    assert_str(part(c, 1, 0)->parts[0].text, "a");
    assert_str(part(c, 1, 1)->parts[0].text, "b");
}

static void a_history_of_chunks_is_one_turn(void **state)
{
    (void)state;
    const struct chat_request *c =
        read_ok("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"q\"}]},"
                "{\"role\":\"model\",\"parts\":[{\"text\":\"so \",\"thought\":true}]},"
                "{\"role\":\"model\",\"parts\":[{\"text\":\"what\",\"thought\":true}]},"
                "{\"role\":\"model\",\"parts\":[{\"text\":\"\",\"thought\":true,\"thoughtSignature\":"
                "\"YW50aHJvcGljOlhZWg==\"}]},"
                "{\"role\":\"model\",\"parts\":[{\"text\":\"it "
                "\"}]},{\"role\":\"model\",\"parts\":[{\"text\":\"is\"}]},"
                "{\"role\":\"model\",\"parts\":[{\"text\":\"\"}]},{\"role\":\"user\",\"parts\":[{\"text\":"
                "\"r\"}]}]}");
    assert_int_equal(c->n_messages, 3);
    assert_int_equal(c->messages[1].n_parts, 2);
    assert_str(part(c, 1, 0)->text, "so what");
    assert_str(part(c, 1, 0)->signature, "XYZ");
    assert_int_equal(part(c, 1, 0)->signer, SIGNER_ANTHROPIC);
    assert_str(part(c, 1, 1)->text, "it is");
}

static void foreign_signatures_survive(void **state)
{
    (void)state;
    static const struct {
        const char *signature;
        enum chat_signer signer;
        bool redacted;
    } cases[] = {
        {"c2lnbg==", SIGNER_GOOGLE, false},
        {"abc/def+", SIGNER_ANTHROPIC, false},
        {"gAAAA", SIGNER_OPENAI, false},
        {"EroB", SIGNER_ANTHROPIC, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str back, packed = google_pack_signature(str_of(cases[i].signature), cases[i].signer,
                                                        cases[i].redacted, &t.arena);
        bool redacted;
        assert_int_equal(google_unpack_signature(packed, &back, &redacted, &t.arena), cases[i].signer);
        assert_str(back, cases[i].signature);
        assert_int_equal(redacted, cases[i].redacted);
        assert_int_equal(str_eq(packed, back), cases[i].signer == SIGNER_GOOGLE);
    }
}

static void schemas_become_json_schema(void **state)
{
    (void)state;
    static const struct {
        const char *openapi, *json;
    } cases[] = {
        {"{\"type\":\"OBJECT\",\"properties\":{\"type\":{\"type\":\"STRING\",\"nullable\":true},\"n\":{"
         "\"type\":\"ARRAY\",\"items\":"
         "{\"type\":\"INTEGER\"},\"minItems\":\"2\"}},\"required\":[\"n\"],\"propertyOrdering\":[\"n\"]}",
         "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":[\"string\",\"null\"]},\"n\":{\"type\":"
         "\"array\",\"items\":"
         "{\"type\":\"integer\"},\"minItems\":2}},\"required\":[\"n\"]}"},
        {"{\"any_of\":[{\"type\":6},{\"type\":\"TYPE_UNSPECIFIED\",\"enum\":[\"a\"],\"nullable\":true}]}",
         "{\"anyOf\":[{\"type\":\"object\"},{\"enum\":[\"a\",null]}]}"},
        {"{\"type\":\"object\",\"additionalProperties\":false,\"$defs\":{\"x\":{\"type\":\"NUMBER\"}}}",
         "{\"type\":\"object\",\"additionalProperties\":false,\"$defs\":{\"x\":{\"type\":\"number\"}}}"},
        {"{}", "{}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_str(google_schema(json_root(str_of(cases[i].openapi)), &t.arena), cases[i].json);
}

static void settings_are_read(void **state)
{
    (void)state;
    const struct chat_request *c = read_ok(
        "{\"contents\":[{\"parts\":[{\"text\":\"q\"}]}],\"safetySettings\":[],\"labels\":{\"team\":\"a\"},"
        "\"other\":1,"
        "\"generationConfig\":{\"temperature\":0.5,\"topP\":1,\"candidateCount\":2,\"seed\":\"7\","
        "\"responseLogprobs\":true,"
        "\"logprobs\":3,\"responseModalities\":[\"TEXT\"],\"responseSchema\":{\"type\":\"OBJECT\"},"
        "\"speechConfig\":{},"
        "\"presencePenalty\":0.5,\"thinkingConfig\":{\"includeThoughts\":true,\"thinkingLevel\":\"HIGH\"}}}");
    assert_str(c->params[PARAM_TEMPERATURE].value, "0.5");
    assert_str(c->params[PARAM_N].value, "2");
    assert_str(c->params[PARAM_SEED].value, "7");
    assert_str(c->params[PARAM_TOP_LOGPROBS].value, "3");
    assert_null(c->params[PARAM_MODALITIES].name);
    assert_int_equal(c->format, FORMAT_SCHEMA);
    assert_str(c->format_schema, "{\"type\":\"object\"}");
    assert_int_equal(c->thinking, THINKING_EFFORT);
    assert_str(c->thinking_effort, "high");
    assert_int_equal(c->thinking_shown, 1);
    assert_string_equal(c->params[PARAM_METADATA].name, "labels");
    assert_int_equal(c->n_extras, 2);
    assert_str(c->extras[0].name, "other");
    assert_str(c->extras[1].name, "generationConfig.speechConfig");
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
#define Q "\"contents\":[{\"parts\":[{\"text\":\"q\"}]}]"
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"[]", "object"},
        {"{}", "contents"},
        {"{\"contents\":[]}", "contents"},
        {"{\"contents\":\"hi\"}", "contents"},
        {"{\"contents\":[{\"parts\":[{\"text\":\"q\"}]},{\"role\":\"system\",\"parts\":[]}]}", "contents[1]"},
        {"{\"contents\":[{\"parts\":[{\"text\":1}]}]}", "contents[0].parts[0]"},
        {"{\"contents\":[{\"parts\":[{}]}]}", "contents[0].parts[0]"},
        {"{\"contents\":[{\"parts\":[{\"text\":\"q\"},{\"inlineData\":{\"mimeType\":\"image/png\"}}]}]}",
         "parts[1].inlineData"},
        {"{\"contents\":[{\"role\":\"user\",\"parts\":[{\"functionCall\":{\"name\":\"f\"}}]}]}", "parts[0]"},
        {"{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":{}}]}]}", "functionCall"},
        {"{\"contents\":[{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{}}"
         "}]}]}",
         "functionResponse"},
        {"{\"contents\":[{\"role\":\"model\",\"parts\":[{\"toolCall\":{}}]}]}", "toolCall"},
        {"{" Q ",\"tools\":[{\"googleSearch\":{}}]}", "googleSearch"},
        {"{" Q ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\"},{}]}]}",
         "tools[0].functionDeclarations[1]"},
        {"{" Q ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"SOMETIMES\"}}}",
         "functionCallingConfig"},
        {"{" Q
         ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":\"f\"}}}",
         "allowedFunctionNames"},
        {"{\"contents\":[{\"parts\":[{\"inlineData\":{\"mimeType\":7,\"data\":\"AAAA\"}}]}]}", "mimeType"},
        {"{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":[],\"fileUri\":\"https://a.example/"
         "b\"}}]}]}",
         "mimeType"},
        {"{" Q ",\"generationConfig\":{\"responseLogprobs\":\"yes\"}}", "responseLogprobs"},
        {"{" Q ",\"generationConfig\":{\"thinkingConfig\":[]}}", "thinkingConfig"},
        {"{" Q ",\"generationConfig\":{\"thinkingConfig\":{\"includeThoughts\":1}}}", "includeThoughts"},
        {"{" Q ",\"generationConfig\":{\"temperature\":\"hot\"}}", "generationConfig.temperature"},
        {"{" Q ",\"generationConfig\":{\"maxOutputTokens\":1.5}}", "generationConfig.maxOutputTokens"},
        {"{" Q ",\"generationConfig\":{\"stopSequences\":\"x\"}}", "stopSequences"},
        {"{" Q ",\"generationConfig\":{\"responseMimeType\":\"text/x.enum\"}}", "text/x.enum"},
        {"{" Q ",\"generationConfig\":{\"thinkingConfig\":{\"thinkingBudget\":-2}}}", "thinkingBudget"},
        {"{" Q ",\"cachedContent\":\"cachedContents/1\"}", "cachedContent"},
        {"{" Q ",\"systemInstruction\":{\"parts\":[{\"inlineData\":{\"mimeType\":\"image/"
         "png\",\"data\":\"AA==\"}}]}}",
         "systemInstruction"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read_body(cases[i].body) == 0)
            fail_msg("taken: %s", cases[i].body);
        assert_int_equal(t.f.status, 400);
        assert_holds(t.f.message, cases[i].says);
    }
}

static void a_count_may_hold_a_whole_request(void **state)
{
    (void)state;
    t.r.match.endpoint = EP_COUNT_CONTENT;
    const struct chat_request *c = read_ok("{\"generateContentRequest\":{\"model\":\"models/"
                                           "m\",\"contents\":[{\"parts\":[{\"text\":\"inner\"}]}]}}");
    assert_str(part(c, 0, 0)->text, "inner");
    c = read_ok("{\"contents\":[{\"parts\":[{\"text\":\"plain\"}]}]}");
    assert_str(part(c, 0, 0)->text, "plain");
}

/* ---- answers */

static void an_answer_is_written(void **state)
{
    (void)state;
    struct chat_part parts[] = {
        {.kind = PART_THINKING, .text = STR("hm"), .signature = STR("S"), .signer = SIGNER_ANTHROPIC},
        {.kind = PART_REDACTED, .data = STR("R"), .signer = SIGNER_ANTHROPIC},
        {.kind = PART_TEXT, .text = STR("hi \"you\""), .signature = STR("Zw=="), .signer = SIGNER_GOOGLE},
        {.kind = PART_TOOL_CALL, .id = STR("call_1"), .name = STR("f"), .arguments = STR("{\"a\":1}")},
        {.kind = PART_TOOL_CALL, .id = STR("call_2"), .name = STR("g")},
        {.kind = PART_IMAGE, .data = STR("iVBO"), .mime = STR("image/png")},
    };
    struct chat_choice choices[2] = {{.parts = parts, .n_parts = 6, .finish = FINISH_TOOL_CALLS},
                                     {.finish = FINISH_REFUSAL}};
    struct chat_answer a = {.id = STR("ID"), .choices = choices, .n_choices = 2};
    w = translation_writer(&t);
    w.usage = (struct usage_tokens){.input = 20, .cached = 5, .output = 9, .reasoning = 4};
    w.usage_known = true;
    t.dialect->write(&w, &a, &t.text);
    assert_str(buf_str(&t.text),
               "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true,"
               "\"thoughtSignature\":\"YW50aHJvcGljOlM=\"},"
               "{\"text\":\"\",\"thought\":true,\"thoughtSignature\":\"YW50aHJvcGljLXJlZGFjdGVkOlI=\"},"
               "{\"text\":\"hi \\\"you\\\"\",\"thoughtSignature\":\"Zw==\"},"
               "{\"functionCall\":{\"id\":\"call_1\",\"name\":\"f\",\"args\":{\"a\":1}}},"
               "{\"functionCall\":{\"id\":\"call_2\",\"name\":\"g\",\"args\":{}}},"
               "{\"inlineData\":{\"mimeType\":\"image/"
               "png\",\"data\":\"iVBO\"}}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0},"
               "{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\"SAFETY\","
               "\"index\":1}],"
               "\"usageMetadata\":{\"promptTokenCount\":20,\"candidatesTokenCount\":5,\"totalTokenCount\":29,"
               "\"cachedContentTokenCount\":5,\"thoughtsTokenCount\":4},\"modelVersion\":\"target-model\","
               "\"responseId\":\"ID\"}");
}

/* The provider's explanation is none of the answer's text; what the model itself said is. */
static void refusals_are_told_by_their_kind(void **state)
{
    (void)state;
    struct chat_part parts[] = {{.kind = PART_TEXT, .text = STR("First, ")},
                                {.kind = PART_REFUSAL, .text = STR("not this.")}};
    struct chat_choice choice = {.parts = parts, .n_parts = 2, .finish = FINISH_REFUSAL};
    struct chat_answer a = {.choices = &choice, .n_choices = 1};
    w = translation_writer(&t);
    t.dialect->write(&w, &a, &t.text);
    assert_holds(buf_str(&t.text), "\"parts\":[{\"text\":\"First, \"}],\"role\":\"model\"},\"finishReason\":"
                                   "\"SAFETY\",\"finishMessage\":\"not this.\"");
    buf_reset(&t.text);
    choice.finish = FINISH_DECLINED;
    t.dialect->write(&w, &a, &t.text);
    assert_holds(buf_str(&t.text),
                 "{\"text\":\"not this.\"}],\"role\":\"model\"},\"finishReason\":\"SAFETY\",\"index\"");
}

static void log_probabilities_are_googles(void **state)
{
    (void)state;
    struct chat_choice choice = {
        .finish = FINISH_STOP,
        .logprobs = STR("{\"content\":[{\"token\":\"a\",\"logprob\":-1,\"bytes\":[97],\"top_logprobs\":[{"
                        "\"token\":\"b\",\"logprob\":-2}]}]}"),
        .annotations =
            STR("[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"https://a\",\"title\":\"T\"}}]")};
    struct chat_answer a = {.choices = &choice, .n_choices = 1};
    w = translation_writer(&t);
    t.dialect->write(&w, &a, &t.text);
    assert_holds(buf_str(&t.text), "\"logprobsResult\":{\"chosenCandidates\":[{\"token\":\"a\","
                                   "\"logProbability\":-1}],\"topCandidates\":[{\"candidates\":["
                                   "{\"token\":\"b\",\"logProbability\":-2}]}]},\"groundingMetadata\":{"
                                   "\"groundingChunks\":[{\"web\":{\"uri\":\"https://a\","
                                   "\"title\":\"T\"}}]}");
}

/* ---- streams */

static void tell(struct chat_delta d)
{
    t.dialect->delta(&w, &d, &t.text);
}

static void begin(void)
{
    w = translation_writer(&t);
    t.dialect->begin(&w, &t.text);
    tell((struct chat_delta){.kind = DELTA_START, .id = STR("ID"), .model = STR("M")});
}

#define TAIL "\"modelVersion\":\"M\",\"responseId\":\"ID\"}"

static void a_stream_is_written(void **state)
{
    (void)state;
    begin();
    tell((struct chat_delta){.kind = DELTA_THINKING, .text = STR("hm")});
    tell((struct chat_delta){.kind = DELTA_TEXT, .text = STR("a")});
    assert_str(
        buf_str(&t.text),
        "data: "
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true}],\"role\":\"model\"},"
        "\"index\":0}]," TAIL "\r\n\r\ndata: "
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}],\"role\":\"model\"},\"index\":0}]," TAIL
        "\r\n\r\n");
    buf_reset(&t.text);
    tell((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_LENGTH});
    w.usage = (struct usage_tokens){.input = 3, .output = 2};
    t.dialect->end(&w, &t.text);
    assert_str(buf_str(&t.text), "data: "
                                 "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":"
                                 "\"model\"},\"finishReason\":\"MAX_TOKENS\","
                                 "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":3,"
                                 "\"candidatesTokenCount\":2,\"totalTokenCount\":5}," TAIL "\r\n\r\n");
}

static void a_streams_refusal_is_told_by_its_kind(void **state)
{
    (void)state;
    begin();
    tell((struct chat_delta){.kind = DELTA_REFUSAL, .text = STR("I would rather not")});
    assert_holds(buf_str(&t.text), "{\"text\":\"I would rather not\"}");
    buf_reset(&t.text);
    tell((struct chat_delta){.kind = DELTA_REFUSAL, .text = STR("Policy 7"), .finish = FINISH_REFUSAL});
    assert_int_equal(t.text.n, 0);
    tell((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_REFUSAL});
    t.dialect->end(&w, &t.text);
    assert_holds(buf_str(&t.text), "\"finishReason\":\"SAFETY\",\"finishMessage\":\"Policy 7\",\"index\":0}");
}

static void calls_wait_for_their_arguments(void **state)
{
    (void)state;
    begin();
    tell((struct chat_delta){.kind = DELTA_TOOL, .tool = 0, .id = STR("A"), .name = STR("f")});
    tell((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 0, .text = STR("{\"x\":")});
    tell((struct chat_delta){.kind = DELTA_TOOL, .tool = 1, .id = STR("B"), .name = STR("g")});
    tell((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 0, .text = STR("1}")}); /* they interleave */
    assert_int_equal(t.text.n, 0);
    tell((struct chat_delta){.kind = DELTA_TOOL, .tool = 2, .id = STR("C"), .name = STR("h")});
    assert_holds(buf_str(&t.text), "{\"functionCall\":{\"id\":\"A\",\"name\":\"f\",\"args\":{\"x\":1}}}");
    assert_false(holds(buf_str(&t.text), "\"B\""));
    tell((struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = 2, .text = STR("{\"broken\"")});
    tell((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_TOOL_CALLS});
    assert_holds(buf_str(&t.text), "{\"id\":\"B\",\"name\":\"g\",\"args\":{}}");
    assert_holds(buf_str(&t.text), "\"args\":{\"_raw\":\"{\\\"broken\\\"\"}");
}

static void a_failure_raises(void **state)
{
    (void)state;
    struct failure f = {.status = 503, .message = STR("gone")};
    begin();
    tell((struct chat_delta){.kind = DELTA_TEXT, .text = STR("a")});
    buf_reset(&t.text);
    (t.dialect->fail)(&w, &f, &t.text);
    assert_str(buf_str(&t.text),
               "data: {\"error\":{\"code\":503,\"message\":\"gone\",\"status\":\"UNAVAILABLE\"}}\n\n");
    buf_reset(&t.text);
    t.dialect->end(&w, &t.text);
    assert_int_equal(t.text.n, 0);
}

static void without_alt_sse_a_stream_is_an_array(void **state)
{
    (void)state;
    struct failure f = {.status = 500, .message = STR("oh")};
    assert_null(t.dialect->stream_type_of(&t.r));
    t.head.query = STR("key=1&alt=json");
    assert_string_equal(t.dialect->stream_type_of(&t.r), "application/json");
    for (int failing = 0; failing < 2; failing++) {
        buf_reset(&t.text);
        begin();
        tell((struct chat_delta){.kind = DELTA_TEXT, .text = STR("a")});
        tell((struct chat_delta){.kind = DELTA_TEXT, .text = STR("b")});
        if (failing) {
            (t.dialect->fail)(&w, &f, &t.text);
        } else {
            tell((struct chat_delta){.kind = DELTA_FINISH, .finish = FINISH_STOP});
            t.dialect->end(&w, &t.text);
        }
        struct json_value list = json_root(buf_str(&t.text));
        assert_int_equal(list.type, JSON_ARRAY);
        assert_int_equal(list.count, 3);
        assert_int_equal(holds(list.raw, "\"error\""), failing);
    }
    buf_reset(&t.text);
    begin();
    (t.dialect->fail)(&w, &f, &t.text);
    assert_int_equal(json_root(buf_str(&t.text)).count, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_conversation_is_read),
        TEST(both_spellings_are_read),
        TEST(calls_without_ids_get_the_same_ones_each_time),
        TEST(ids_that_are_given_stay),
        TEST(a_history_of_chunks_is_one_turn),
        TEST(foreign_signatures_survive),
        TEST(schemas_become_json_schema),
        TEST(settings_are_read),
        TEST(what_is_wrong_is_named),
        TEST(a_count_may_hold_a_whole_request),
        TEST(an_answer_is_written),
        TEST(log_probabilities_are_googles),
        TEST(refusals_are_told_by_their_kind),
        TEST(a_streams_refusal_is_told_by_its_kind),
        TEST(a_stream_is_written),
        TEST(calls_wait_for_their_arguments),
        TEST(a_failure_raises),
        TEST(without_alt_sse_a_stream_is_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

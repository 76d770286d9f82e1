/* The Gemini API as a provider: what is sent for a translated request, what is read from its answers, streams
 * and errors, and what passes. */
#include "gemini_chat.h"
#include "google_args.h"
#include "translate_test.h"

static int up(void **state)
{
    (void)state;
    translation_init(&t, EP_CHAT, "gemini");
    t.r.wants_usage = true;
    return 0;
}

static void again(enum endpoint e)
{
    translation_fini(&t);
    translation_init(&t, e, "gemini");
    t.r.wants_usage = true;
}

/* A chat request's body for that model. */
static int make(const char *model, const char *body)
{
    t.r.body = str_of(body);
    if (chat_read(&t.r, &t.f) != 0)
        fail_msg("not read: %.*s", STR_ARG(t.f.message));
    return provider_gemini.write_chat(translation_call(&t, t.r.chat, model));
}

/* What is sent for these members of a chat request beside its model. */
static struct str sent(const char *model, const char *members)
{
    again(EP_CHAT);
    struct str body = arena_printf(&t.arena, "{\"model\":\"m\",%s}", members);
    if (make(model, body.p) != 0)
        fail_msg("not written: %.*s", STR_ARG(t.f.message));
    assert_int_equal(json_validate(t.out.body, NULL), 0);
    return t.out.body;
}

#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"
#define TOOL                                                                                              \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"," \
    "\"properties\":{\"a\":{\"type\":\"string\"}}}}}]"

/* ---- the call */

static void a_call_goes_to_the_models_method(void **state)
{
    (void)state;
    static const struct {
        const char *base, *model, *stream, *path;
    } cases[] = {
        {"https://g.example/v1beta", "gemini-2.5-flash", "",
         "/v1beta/models/gemini-2.5-flash:generateContent"},
        {"https://g.example", "gemini-2.5-flash", "", "/v1beta/models/gemini-2.5-flash:generateContent"},
        {"https://g.example/proxy", "m", ",\"stream\":true",
         "/proxy/v1beta/models/m:streamGenerateContent?alt=sse"},
        {"https://g.example/v1", "tunedModels/mine", "", "/v1/tunedModels/mine:generateContent"},
        {"https://g.example", "models/x", "", "/v1beta/models/x:generateContent"},
        {"https://g.example", "../../up?a#b", "",
         "/v1beta/models/%2E%2E%2F%2E%2E%2Fup%3Fa%23b:generateContent"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        again(EP_CHAT);
        t.conf.base_url = cases[i].base;
        t.r.stream = *cases[i].stream != '\0';
        assert_int_equal(make(cases[i].model, "{\"model\":\"m\"," HELLO "}"), 0);
        if (i != 5)
            assert_str(t.out.path, cases[i].path);
        assert_false(holds(t.out.path, ".."));
        assert_str(t.out.headers, "content-type: application/json\r\n");
    }
}

static void the_system_stands_in_front(void **state)
{
    (void)state;
    struct str b = sent("gemini-2.5-flash", "\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
                                            "{\"role\":\"developer\",\"content\":\"be kind\"},"
                                            "{\"role\":\"user\",\"content\":\"hi\"},"
                                            "{\"role\":\"system\",\"content\":\"now rhyme\"}]");
    assert_holds(b, "\"systemInstruction\":{\"parts\":[{\"text\":\"be brief\"},{\"text\":\"be kind\"}]}");
    assert_holds(b,
                 "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"},{\"text\":\"now rhyme\"}]}]");

    b = sent("gemini-2.5-flash", "\"messages\":[{\"role\":\"system\",\"content\":\"only this\"}]");
    assert_holds(b, "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"only this\"}]}]");

    b = sent("gemma-3-27b-it", "\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
                               "{\"role\":\"user\",\"content\":\"hi\"}]");
    assert_holds(b,
                 "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"be brief\"},{\"text\":\"hi\"}]}]");

    b = sent("gemini-2.5-flash", "\"messages\":[{\"role\":\"assistant\",\"content\":\"I was saying\"},"
                                 "{\"role\":\"user\",\"content\":\"go on\"}]");
    assert_holds(b, "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\".\"}]},{\"role\":\"model\"");
}

#define ASKED                                                                                          \
    "\"messages\":[{\"role\":\"user\",\"content\":\"both\"},{\"role\":\"assistant\",\"content\":null," \
    "\"tool_calls\":[{\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":\"f\","               \
    "\"arguments\":\"{\\\"a\\\":1}\"}},{\"id\":\"call_two\",\"type\":\"function\",\"function\":"       \
    "{\"name\":\"g\",\"arguments\":\"\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_two\","         \
    "\"content\":\"second\"},{\"role\":\"tool\",\"tool_call_id\":\"%s\",\"content\":\"{\\\"x\\\":2}\"}]"

static void calls_and_results_find_each_other(void **state)
{
    (void)state;
    char members[1024];
    snprintf(members, sizeof(members), ASKED, "call_abcdefghijklmnopqrstuvwx",
             "call_abcdefghijklmnopqrstuvwx");
    struct str b = sent("gemini-2.5-flash", members);
    assert_holds(b, "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}}},"
                    "{\"functionCall\":{\"name\":\"g\",\"args\":{}}}]}");
    assert_holds(
        b, "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"x\":2}}},"
           "{\"functionResponse\":{\"name\":\"g\",\"response\":{\"output\":\"second\"}}}]}");
    snprintf(members, sizeof(members), ASKED, "a1b2c3d4", "a1b2c3d4"); /* as Google makes them */
    b = sent("gemini-3-flash", members);
    assert_holds(b, "{\"functionCall\":{\"id\":\"a1b2c3d4\",\"name\":\"f\",\"args\":{\"a\":1}},"
                    "\"thoughtSignature\":\"skip_thought_signature_validator\"},"
                    "{\"functionCall\":{\"name\":\"g\",\"args\":{}}}");
    assert_holds(b, "{\"functionResponse\":{\"id\":\"a1b2c3d4\",\"name\":\"f\"");
}

static void a_signature_returns_where_it_came_from(void **state)
{
    (void)state;
    again(EP_CHAT);
    assert_int_equal(
        make("gemini-3-pro",
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
             "\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"
             "\"f\","
             "\"arguments\":\"{}\"},\"extra_content\":{\"google\":{\"thought_signature\":\"U0lH\"}}}]},"
             "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"1\"}]}"),
        0);
    assert_holds(t.out.body, "\"thoughtSignature\":\"U0lH\"");
    assert_false(holds(t.out.body, "skip_thought"));
    assert_holds(t.out.body, "\"response\":{\"output\":\"1\"}");
}

static void another_makers_signature_is_not_sent(void **state)
{
    (void)state;
    again(EP_MESSAGES);
    assert_int_equal(
        make("gemini-3-pro",
             "{\"model\":\"m\",\"max_tokens\":10,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"
             "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
             "\"ANT\"},"
             "{\"type\":\"redacted_thinking\",\"data\":\"SECRET\"},{\"type\":\"text\",\"text\":\"a\"}]},"
             "{\"role\":\"user\",\"content\":\"go on\"}]}"),
        0);
    assert_false(holds(t.out.body, "ANT"));
    assert_false(holds(t.out.body, "SECRET"));
    assert_holds(t.out.body, "{\"text\":\"hm\",\"thought\":true},{\"text\":\"a\"}");
}

static void media_go_inline(void **state)
{
    (void)state;
    struct str b = sent("gemini-2.5-flash",
                        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},"
                        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpg;base64,/9j/4AAQ\"}},"
                        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"gs://bucket/cat.png\"}}]}]");
    assert_holds(b, "{\"inlineData\":{\"mimeType\":\"image/jpeg\",\"data\":\"/9j/4AAQ\"}}");
    assert_holds(b, "{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"gs://bucket/cat.png\"}}");
    b = sent("gemini-2.5-flash",
             "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":"
             "{\"data\":\"AAAA\",\"format\":\"mp3\"}},{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
             "\"file_data\":\"data:application/pdf;base64,JVBERi0x\"}}]}]");
    assert_holds(b, "{\"inlineData\":{\"mimeType\":\"audio/mp3\",\"data\":\"AAAA\"}}");
    assert_holds(b, "{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"JVBERi0x\"}}");
    again(EP_CHAT);
    assert_int_equal(make("gemini-2.5-flash",
                          "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
                          "{\"type\":\"file\",\"file\":{\"file_id\":\"file-77\"}}]}]}"),
                     -1);
    assert_int_equal(t.f.status, 400);
}

static void tools_are_one_object_and_choices_have_modes(void **state)
{
    (void)state;
    static const struct {
        const char *more, *holds;
    } cases[] = {
        {"", "\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"parametersJsonSchema\":{\"type\":"
             "\"object\","
             "\"properties\":{\"a\":{\"type\":\"string\"}}}}]}],\"generationConfig\""},
        {",\"tool_choice\":\"auto\"", "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"AUTO\"}}"},
        {",\"tool_choice\":\"none\"", "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"NONE\"}}"},
        {",\"tool_choice\":\"required\"", "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\"}}"},
        {",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
         "{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char members[1024];
        snprintf(members, sizeof(members), HELLO "," TOOL "%s", cases[i].more);
        assert_holds(sent("gemini-2.5-flash", members), cases[i].holds);
    }
    sent("gemini-2.5-flash", HELLO "," TOOL ",\"parallel_tool_calls\":false");
    assert_false(taken(PARAM_PARALLEL_TOOLS));
    sent("gemini-2.5-flash", HELLO "," TOOL ",\"parallel_tool_calls\":true");
    assert_true(taken(PARAM_PARALLEL_TOOLS));
}

static void parameters_have_their_names(void **state)
{
    (void)state;
    struct str b = sent("gemini-2.5-flash", HELLO
                        ",\"temperature\":0.5,\"top_p\":0.9,\"max_completion_tokens\":77,\"seed\":5,\"n\":2,"
                        "\"presence_penalty\":0.1,\"frequency_penalty\":0,\"stop\":[\"a\",\"b\"],"
                        "\"logprobs\":true,\"top_logprobs\":3,\"logit_bias\":{\"5\":1}");
    static const char *const want[] = {
        "\"temperature\":0.5",
        "\"topP\":0.9",
        "\"maxOutputTokens\":77",
        "\"seed\":5",
        "\"candidateCount\":2",
        "\"presencePenalty\":0.1",
        "\"responseLogprobs\":true",
        "\"logprobs\":3",
        "\"stopSequences\":[\"a\",\"b\"]",
    };
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        assert_holds(b, want[i]);
    assert_false(holds(b, "frequencyPenalty"));
    assert_true(taken(PARAM_FREQUENCY_PENALTY));
    assert_false(taken(PARAM_LOGIT_BIAS));
    sent("gemini-2.5-flash", HELLO ",\"seed\":5000000000");
    assert_false(taken(PARAM_SEED));
}

static void schemas_are_kept_to(void **state)
{
    (void)state;
#define SCHEMA                                                                                             \
    ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":" \
    "\"object\",\"properties\":{}}}}"
    struct str b = sent("gemini-2.5-flash", HELLO SCHEMA);
    assert_holds(b, "\"responseMimeType\":\"application/json\",\"responseJsonSchema\":{\"type\":\"object\",");
    b = sent("gemini-2.5-flash", HELLO ",\"response_format\":{\"type\":\"json_object\"}");
    assert_holds(b, "{\"responseMimeType\":\"application/json\"}");
    b = sent("gemini-3-flash-preview", HELLO "," TOOL SCHEMA);
    assert_holds(b, "\"responseJsonSchema\"");
    assert_false(holds(b, GEMINI_JSON_TOOL));
    /* before that, not both: the answer is a tool, and one has to be called */
    b = sent("gemini-2.5-flash", HELLO "," TOOL SCHEMA);
    assert_false(holds(b, "responseMimeType"));
    assert_holds(b, "{\"name\":\"" GEMINI_JSON_TOOL "\"");
    assert_holds(b, "\"mode\":\"ANY\"");
    b = sent("gemini-2.5-flash", HELLO "," TOOL SCHEMA ",\"tool_choice\":\"none\"");
    assert_holds(b, "\"responseJsonSchema\"");
    assert_false(holds(b, "functionDeclarations"));
    /* an object of any form is asked for in words, but of those who take no instruction */
    b = sent("gemini-2.5-flash", HELLO "," TOOL ",\"response_format\":{\"type\":\"json_object\"}");
    assert_false(holds(b, "responseMimeType"));
    assert_holds(b, "one JSON object");
    again(EP_CHAT);
    assert_int_equal(make("gemma-3", "{\"model\":\"m\"," HELLO "," TOOL
                                     ",\"response_format\":{\"type\":\"json_object\"}}"),
                     -1);
}

static void thinking_is_asked_for_as_the_generation_wants_it(void **state)
{
    (void)state;
    static const struct {
        const char *model, *effort, *want;
        bool adjusted;
    } cases[] = {
        {"gemini-2.5-flash", "low", "{\"thinkingBudget\":1024,\"includeThoughts\":true}", false},
        {"gemini-2.5-flash", "medium", "{\"thinkingBudget\":8192,\"includeThoughts\":true}", false},
        {"gemini-2.5-flash", "high", "{\"thinkingBudget\":24576,\"includeThoughts\":true}", false},
        {"gemini-2.5-flash", "none", "{\"thinkingBudget\":0}", false},
        {"gemini-2.5-pro", "none", "{\"thinkingBudget\":128}", true},
        {"gemini-3-flash-preview", "minimal", "{\"thinkingLevel\":\"minimal\",\"includeThoughts\":true}",
         false},
        {"gemini-3-flash-preview", "xhigh", "{\"thinkingLevel\":\"high\",\"includeThoughts\":true}", true},
        {"gemini-3-pro-preview", "minimal", "{\"thinkingLevel\":\"low\",\"includeThoughts\":true}", true},
        {"gemini-3-pro-preview", "medium", "{\"thinkingLevel\":\"high\",\"includeThoughts\":true}", true},
        {"gemini-3.1-pro-preview", "medium", "{\"thinkingLevel\":\"medium\",\"includeThoughts\":true}",
         false},
        {"gemini-3-flash-preview", "none", "{\"thinkingLevel\":\"minimal\"}", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char members[256], want[128];
        snprintf(members, sizeof(members), HELLO ",\"reasoning_effort\":\"%s\"", cases[i].effort);
        snprintf(want, sizeof(want), "\"thinkingConfig\":%s", cases[i].want);
        assert_holds(sent(cases[i].model, members), want);
        assert_true(taken(PARAM_THINKING));
        assert_int_equal(adjusted(PARAM_THINKING), cases[i].adjusted);
    }
    assert_false(holds(sent("gemini-2.0-flash", HELLO ",\"reasoning_effort\":\"low\""), "thinkingConfig"));
    assert_false(taken(PARAM_THINKING));
    assert_false(holds(sent("gemini-2.5-flash", HELLO), "thinkingConfig"));
}

static void generations_are_told_by_name(void **state)
{
    (void)state;
    assert_int_equal(gemini_generation(STR("gemini-1.5-pro")), 15);
    assert_int_equal(gemini_generation(STR("gemini-2.0-flash-001")), 20);
    assert_int_equal(gemini_generation(STR("google/gemini-2.5-pro")), 25);
    assert_int_equal(gemini_generation(STR("gemini-3-pro-preview")), 30);
    assert_int_equal(gemini_generation(STR("gemini-3.1-flash")), 31);
    assert_true(gemini_generation(STR("gemini-flash-latest")) >= 30);
    assert_int_equal(gemini_generation(STR("gemma-3-27b-it")), 0);
    assert_int_equal(gemini_generation(STR("gemini-")), 0);
}

/* ---- answers */

static struct chat_answer answer;

static int read_whole(const char *body)
{
    struct chat_reader rd = {.r = &t.r,
                             .conf = &t.conf,
                             .in = translation_request(&t),
                             .arena = &t.arena,
                             .scratch = &t.arena,
                             .f = &t.f};
    answer = (struct chat_answer){0};
    return provider_gemini.read_chat(&rd, str_of(body), &answer);
}

static void an_answer_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_whole(
            "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"let "
            "me\",\"thought\":true},"
            "{\"text\":\"It "
            "\"},{\"text\":\"is.\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"f\","
            "\"args\":{ \"a\" : \"b c\" "
            "}},\"thoughtSignature\":\"dHdv\"},{\"functionCall\":{\"name\":\"g\",\"id\":\"12345678\"}}]},"
            "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":10,"
            "\"cachedContentTokenCount\":4,"
            "\"candidatesTokenCount\":5,\"thoughtsTokenCount\":7,\"toolUsePromptTokenCount\":3,"
            "\"totalTokenCount\":25},"
            "\"modelVersion\":\"gemini-x\",\"responseId\":\"R1\",\"createTime\":\"2026-04-07T16:49:58."
            "333958Z\"}"),
        0);
    assert_int_equal(answer.n_choices, 1);
    const struct chat_choice *c = &answer.choices[0];
    assert_int_equal(c->n_parts, 4);
    assert_int_equal(c->parts[0].kind, PART_THINKING);
    assert_str(c->parts[0].text, "let me");
    assert_str(c->parts[1].text, "It is.");
    assert_str(c->parts[1].signature, "c2ln");
    assert_int_equal(c->parts[1].signer, SIGNER_GOOGLE);
    assert_str(c->parts[2].name, "f");
    assert_str(c->parts[2].arguments, "{\"a\":\"b c\"}");
    assert_str(c->parts[2].signature, "dHdv");
    assert_int_equal(c->parts[2].id.n, strlen("call_") + 24);
    assert_str(c->parts[3].id, "12345678");
    assert_str(c->parts[3].arguments, "{}");
    assert_int_equal(c->finish, FINISH_TOOL_CALLS);
    assert_str(answer.id, "R1");
    assert_str(answer.model, "gemini-x");
    assert_int_equal(answer.created, 1775580598);
    assert_true(answer.usage_known);
    assert_int_equal(answer.usage.input, 13);
    assert_int_equal(answer.usage.cached, 4);
    assert_int_equal(answer.usage.output, 12);
    assert_int_equal(answer.usage.reasoning, 7);
}

static void reasons_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *reason;
        enum chat_finish finish;
    } cases[] = {
        {"\"STOP\"", FINISH_STOP},
        {"\"MAX_TOKENS\"", FINISH_LENGTH},
        {"\"SAFETY\"", FINISH_CONTENT_FILTER},
        {"\"RECITATION\"", FINISH_CONTENT_FILTER},
        {"\"IMAGE_PROHIBITED_CONTENT\"", FINISH_CONTENT_FILTER},
        {"\"MALFORMED_FUNCTION_CALL\"", FINISH_ERROR},
        {"\"OTHER\"", FINISH_ERROR},
        {"\"SOMETHING_NEW\"", FINISH_ERROR},
        {"1", FINISH_STOP},
        {"2", FINISH_LENGTH},
        {"3", FINISH_CONTENT_FILTER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"candidates\":[{\"finishReason\":%s}]}", cases[i].reason);
        assert_int_equal(read_whole(body), 0);
        assert_int_equal(answer.choices[0].finish, cases[i].finish);
        assert_int_equal(answer.choices[0].n_parts, 0);
    }
    assert_int_equal(read_whole("{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}"), 0);
    assert_int_equal(answer.choices[0].finish, FINISH_CONTENT_FILTER);
    assert_false(answer.usage_known);
    /* zeros are left out of a usage */
    assert_int_equal(read_whole("{\"promptFeedback\":{\"blockReason\":\"MODEL_ARMOR\"},\"usageMetadata\":{"
                                "\"trafficType\":\"PROVISIONED_THROUGHPUT\"}}"),
                     0);
    assert_int_equal(answer.choices[0].finish, FINISH_CONTENT_FILTER);
    assert_true(answer.usage_known);
    assert_int_equal(answer.usage.input, 0);
    /* calls that are whole are the caller's to answer */
    assert_int_equal(read_whole("{\"candidates\":[{\"finishReason\":\"UNEXPECTED_TOOL_CALL\",\"content\":{"
                                "\"parts\":[{\"functionCall\":{\"name\":\"nobodys\"}}]}}]}"),
                     0);
    assert_int_equal(answer.choices[0].finish, FINISH_TOOL_CALLS);
    assert_int_equal(read_whole("{\"candidates\":[{\"finishReason\":\"TOO_MANY_TOOL_CALLS\"}]}"), 0);
    assert_int_equal(answer.choices[0].finish, FINISH_ERROR);
}

static void an_empty_answer_is_none(void **state)
{
    (void)state;
    assert_int_equal(read_whole("{\"usageMetadata\":{\"promptTokenCount\":5}}"), -1);
    assert_int_equal(t.f.status, 502);
    assert_int_equal(read_whole("<html>"), -1);
    assert_int_equal(read_whole("\"text\""), -1);
    assert_int_equal(read_whole("{\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}"),
                     -1);
    assert_int_equal(t.f.status, 503);
    assert_str(t.f.message, "busy");
}

static void a_json_tool_is_unwrapped(void **state)
{
    (void)state;
    sent("gemini-2.5-flash", HELLO "," TOOL SCHEMA);
    assert_int_equal(
        read_whole("{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"" GEMINI_JSON_TOOL
                   "\",\"args\":{\"k\":[1, 2]}}}]},\"finishReason\":\"STOP\"}]}"),
        0);
    assert_int_equal(answer.choices[0].n_parts, 1);
    assert_int_equal(answer.choices[0].parts[0].kind, PART_TEXT);
    assert_str(answer.choices[0].parts[0].text, "{\"k\":[1,2]}");
    assert_int_equal(answer.choices[0].finish, FINISH_STOP);
}

static void citations_count_characters(void **state)
{
    (void)state;
    assert_int_equal(
        read_whole("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\xc3\xa4 is "
                   "cited\"}]},\"finishReason\":\"STOP\","
                   "\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"https://"
                   "a.example\",\"title\":\"A\"}}],"
                   "\"groundingSupports\":[{\"segment\":{\"startIndex\":3,\"endIndex\":11},"
                   "\"groundingChunkIndices\":[0,9]},"
                   "{\"segment\":{\"startIndex\":3,\"endIndex\":11},\"groundingChunkIndices\":[0]}]}}]}"),
        0);
    assert_str(answer.choices[0].annotations,
               "[{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":2,\"end_index\":10,"
               "\"url\":\"https://a.example\",\"title\":\"A\"}}]");
}

/* … in long texts, too, whatever the order they are cited in. */
static void citations_of_a_long_text(void **state)
{
    enum { LETTERS = 10000 }; /* of two bytes each */
    static const unsigned places[] = {20000, 3, 8192, 8194, 4096, 12290, 30000};
    struct buf b;
    char want[64];
    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        buf_init(&b, 1024 * 1024);
        buf_add(&b, STR("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\""));
        for (int k = 0; k < LETTERS; k++)
            buf_add(&b, STR("\xc3\xa4"));
        buf_add(&b, STR("\"}]},\"finishReason\":\"STOP\",\"citationMetadata\":{\"citations\":["));
        for (size_t k = 0; k <= i; k++)
            buf_printf(&b, "%s{\"uri\":\"http://a\",\"endIndex\":%u}", k ? "," : "", places[k]);
        buf_add(&b, STR("]}}]}"));
        buf_add_byte(&b, '\0');
        assert_int_equal(read_whole(b.p), 0);
        unsigned at = places[i] <= 2 * LETTERS ? (places[i] + 1) / 2 : places[i] - LETTERS;
        snprintf(want, sizeof(want), "\"end_index\":%u,", at);
        assert_holds(answer.choices[0].annotations, want);
        buf_free(&b);
    }
}

static void log_probabilities_are_openais(void **state)
{
    (void)state;
    assert_int_equal(
        read_whole("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]},\"finishReason\":\"STOP\","
                   "\"logprobsResult\":{\"chosenCandidates\":[{\"token\":\"Hi\",\"logProbability\":-0.25}],"
                   "\"topCandidates\":[{\"candidates\":[{\"token\":\"Hi\",\"logProbability\":-0.25}]}]}}]}"),
        0);
    assert_str(answer.choices[0].logprobs, "{\"content\":[{\"token\":\"Hi\",\"logprob\":-0.25,\"bytes\":[72,"
                                           "105],\"top_logprobs\":[{\"token\":\"Hi\","
                                           "\"logprob\":-0.25,\"bytes\":[72,105]}]}],\"refusal\":null}");
}

/* ---- streams */

static int stream(const char *events)
{
    again(EP_CHAT);
    return translate_sse(&t, str_of(events));
}

#define TEXT(s) "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" s "\"}]}}]}\r\n\r\n"
#define STOPS                                                                                        \
    "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":4," \
    "\"candidatesTokenCount\":2}}\r\n\r\n"
#define PIECE(c) "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":" c "}]}}]}\n\n"

static void a_stream_ends_with_its_connection(void **state)
{
    (void)state;
    assert_int_equal(stream(TEXT("a") TEXT("b") STOPS), 1);
    assert_holds(buf_str(&t.text), "\"finish_reason\":\"stop\"");
    assert_holds(buf_str(&t.text), "\"prompt_tokens\":4");
    assert_true(str_ends(buf_str(&t.text), STR("data: [DONE]\n\n")));
    assert_int_equal(stream(PIECE("{\"name\":\"nobodys\"}") "data: {\"candidates\":[{\"finishReason\":"
                                                            "\"UNEXPECTED_TOOL_CALL\"}]}\n\n"),
                     1);
    assert_holds(buf_str(&t.text), "\"finish_reason\":\"tool_calls\"");
    assert_int_equal(stream(TEXT("a") TEXT("b")), 0);
    assert_false(holds(buf_str(&t.text), "[DONE]"));
    assert_int_equal(stream(""), 0);
    assert_int_equal(stream("data: {\"promptFeedback\":{\"blockReason\":\"OTHER\"}}\n\n"), 1);
    assert_holds(buf_str(&t.text), "\"finish_reason\":\"content_filter\"");
}

static void what_comes_behind_a_reason_is_told(void **state)
{
    (void)state;
    assert_int_equal(stream(TEXT("first") STOPS TEXT("second") STOPS), 1);
    assert_holds(buf_str(&t.text), "second");
}

static void all_candidates_have_to_end(void **state)
{
    (void)state;
    assert_int_equal(
        stream("data: {\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"text\":\"x\"}]}},{\"index\":1,"
               "\"content\":{\"parts\":[{\"text\":\"y\"}]}}]}\n\n"
               "data: {\"candidates\":[{\"index\":1,\"finishReason\":\"STOP\"}]}\n\n"),
        0);
}

static void an_error_inside_is_one(void **state)
{
    (void)state;
    assert_int_equal(stream(TEXT("a") "data: {\"error\":{\"code\":429,\"message\":\"slow down\",\"status\":"
                                      "\"RESOURCE_EXHAUSTED\"}}\n\n"),
                     -1);
    assert_int_equal(t.f.status, 429);
    assert_holds(buf_str(&t.text), "slow down");
    assert_false(holds(buf_str(&t.text), "[DONE]"));
    assert_int_equal(stream("data: [{\"error\":{\"code\":400,\"message\":\"no\"}}]\n\n"), -1);
    assert_int_equal(t.f.status, 400);
    assert_int_equal(stream("data: {\"candidates\":[\n\n"), -1);
    assert_int_equal(t.f.status, 502);
}

static void arguments_that_come_in_pieces_are_put_together(void **state)
{
    (void)state;
    assert_int_equal(
        stream(PIECE("{\"name\":\"f\",\"willContinue\":true}") PIECE(
            "{\"partialArgs\":[{\"jsonPath\":\"$.a.list[0].n\",\"numberValue\":1.5}],\"willContinue\":true}")
                   PIECE("{\"partialArgs\":[{\"jsonPath\":\"$.s\",\"stringValue\":\"on\",\"willContinue\":"
                         "true}],\"willContinue\":true}")
                       PIECE("{\"partialArgs\":[{\"jsonPath\":\"$.s\",\"stringValue\":\"e\"},{\"jsonPath\":"
                             "\"$['b.c']\",\"boolValue\":true}],"
                             "\"willContinue\":true}") PIECE("{}") PIECE("{\"name\":\"g\"}") STOPS),
        1);
    assert_holds(buf_str(&t.text),
                 "\"arguments\":\"{\\\"a\\\":{\\\"list\\\":[{\\\"n\\\":1.5}]},\\\"s\\\":\\\"one\\\","
                 "\\\"b.c\\\":true}\"");
    assert_holds(buf_str(&t.text), "\"name\":\"g\"");
    assert_holds(buf_str(&t.text), "\"finish_reason\":\"tool_calls\"");
}

static void paths_that_lead_nowhere_are_left_out(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "{\"jsonPath\":\"$\",\"numberValue\":1}",           "{\"jsonPath\":\"a\",\"numberValue\":1}",
        "{\"jsonPath\":\"$.\",\"numberValue\":1}",          "{\"jsonPath\":\"$[\",\"numberValue\":1}",
        "{\"jsonPath\":\"$[99999999]\",\"numberValue\":1}", "{\"jsonPath\":\"$.x[5000]\",\"numberValue\":1}",
        "{\"jsonPath\":\"$.x[-1]\",\"numberValue\":1}",     "{\"numberValue\":1}",
        "{\"jsonPath\":\"$['x\",\"numberValue\":1}",
    };
    struct google_args *g = google_args_new(&t.arena);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        google_args_add(g, json_root(str_of(pieces[i])));
    assert_int_equal(json_validate(google_args_text(g), NULL), 0);
    google_args_add(g, json_root(STR("{\"jsonPath\":\"$.ok\",\"nullValue\":\"NULL_VALUE\"}")));
    assert_holds(google_args_text(g), "\"ok\":null");
}

/* ---- errors */

static void errors_have_our_status(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int told, status;
        const char *code;
        int64_t wait;
    } cases[] = {
        {"{\"error\":{\"code\":400,\"message\":\"API key not "
         "valid.\",\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":\"x\","
         "\"reason\":\"API_KEY_INVALID\"}]}}",
         400, 401, "invalid_api_key", 0},
        {"[{\"error\":{\"code\":429,\"message\":\"quota\",\"details\":[{\"@type\":\"type.googleapis.com/"
         "google.rpc.RetryInfo\","
         "\"retryDelay\":\"48.25s\"}]}}]",
         429, 429, "rate_limit_exceeded", 48250},
        {"{\"error\":{\"code\":404,\"message\":\"models/x is not found\"}}", 404, 404, "model_not_found", 0},
        {"{\"error\":{\"code\":400,\"message\":\"The input token count (9) exceeds the maximum number of "
         "tokens allowed (8).\"}}",
         400, 400, "context_length_exceeded", 0},
        {"<html>busy</html>", 503, 503, NULL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct failure f;
        provider_gemini.read_error(&t.r, cases[i].told, &t.head, str_of(cases[i].body), &f);
        assert_int_equal(f.status, cases[i].status);
        assert_str(str_of(f.code), cases[i].code ? cases[i].code : "");
        assert_int_equal(f.retry_after_ms, cases[i].wait);
        assert_true(f.message.n > 0);
    }
}

/* ---- passing */

static void native(enum endpoint e, const char *rest, const char *query, const char *body)
{
    again(e);
    t.conf.base_url = "https://g.example/v1beta";
    t.r.match.rest = str_of(rest);
    t.r.model = STR("asked");
    t.head.query = str_of(query);
    t.r.body = str_of(body);
}

static void bodies_pass_but_for_the_models_name(void **state)
{
    (void)state;
    static const char plain[] = "{ \"contents\": [{\"parts\":[{\"text\":\"hi\"}]}], \"newField\": 1 }";
    native(EP_GENERATE, "/models/asked:streamGenerateContent", "key=SECRET&alt=sse", plain);
    assert_int_equal(provider_gemini.build(&t.r, &t.conf, STR("other"), &t.out, &t.f), 0);
    assert_str(t.out.path, "/v1beta/models/other:streamGenerateContent?alt=sse");
    assert_str(t.out.body, plain);
    assert_ptr_equal(t.out.body.p, plain);

    native(EP_EMBED_CONTENT, "/models/asked:batchEmbedContents", "",
           "{\"requests\":[{\"model\":\"models/asked\",\"x\":1},{\"model\":\"models/asked\"}]}");
    assert_int_equal(provider_gemini.build(&t.r, &t.conf, STR("other"), &t.out, &t.f), 0);
    assert_str(t.out.path, "/v1beta/models/other:batchEmbedContents");
    assert_str(t.out.body,
               "{\"requests\":[{\"model\":\"models/other\",\"x\":1},{\"model\":\"models/other\"}]}");

    native(EP_COUNT_CONTENT, "/models/asked:countTokens", "",
           "{\"generateContentRequest\":{\"model\":\"models/asked\",\"contents\":[]}}");
    assert_int_equal(provider_gemini.build(&t.r, &t.conf, STR("other"), &t.out, &t.f), 0);
    assert_str(t.out.body, "{\"generateContentRequest\":{\"model\":\"models/other\",\"contents\":[]}}");

    native(EP_NATIVE, "/v1beta/cachedContents", "pageSize=2&key=K", "");
    assert_int_equal(provider_gemini.build(&t.r, &t.conf, STR_NULL, &t.out, &t.f), 0);
    assert_str(t.out.path, "/v1beta/cachedContents?pageSize=2");
}

static struct stream_event event(const char *data)
{
    struct sse_event ev = {.data = str_of(data), .has_data = true};
    return provider_gemini.read_event(&t.r, &ev);
}

static void passing_events_are_metered(void **state)
{
    (void)state;
    struct stream_event e =
        event("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"abcd\"}]}}],\"usageMetadata\":"
              "{\"promptTokenCount\":8,\"totalTokenCount\":8}}");
    assert_true(e.usage);
    assert_false(e.finished);
    assert_int_equal(e.text_bytes, 4);
    assert_int_equal(t.r.tokens.input, 8);
    e = event("{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":8,"
              "\"candidatesTokenCount\":3,\"thoughtsTokenCount\":2,\"totalTokenCount\":13}}");
    assert_true(e.finished);
    assert_int_equal(t.r.tokens.output, 5);
    assert_false(event("{\"candidates\":[{\"finishReason\":\"STOP\"},{\"index\":1}]}").finished);
    assert_true(event("{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}").finished);
    assert_true(event("{\"error\":{\"code\":500}}").error);
    /* what a model says is no usage */
    event("{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"args\":{\"usageMetadata\":{"
          "\"promptTokenCount\":0}}}}]}}]}");
    assert_int_equal(t.r.tokens.input, 8);
}

static void a_stream_that_is_an_array_is_metered_whole(void **state)
{
    (void)state;
    assert_int_equal(provider_gemini.read_answer(
                         &t.r,
                         STR("[{\"usageMetadata\":{\"promptTokenCount\":3}},\r\n{\"usageMetadata\":"
                             "{\"promptTokenCount\":3,\"candidatesTokenCount\":9}}]"),
                         &t.f),
                     0);
    assert_int_equal(t.r.tokens.output, 9);
    assert_int_equal(provider_gemini.read_answer(&t.r, STR("[{\"error\":{\"message\":\"x\"}}]"), &t.f), -1);
    assert_int_equal(provider_gemini.read_answer(&t.r, STR("nothing"), &t.f), -1);
}

/* ---- counting and embeddings */

static void tokens_are_counted(void **state)
{
    (void)state;
    again(EP_MESSAGES);
    t.r.body = STR("{\"model\":\"m\",\"max_tokens\":5,\"system\":\"s\",\"messages\":[{\"role\":\"user\","
                   "\"content\":\"q\"}]}");
    assert_int_equal(chat_read(&t.r, &t.f), 0);
    assert_int_equal(provider_gemini.write_count(translation_call(&t, t.r.chat, "gemini-3-flash")), 0);
    assert_str(t.out.path, "/v1/models/gemini-3-flash:countTokens");
    assert_str(
        t.out.body,
        "{\"generateContentRequest\":{\"model\":\"models/gemini-3-flash\",\"systemInstruction\":{\"parts\":["
        "{\"text\":\"s\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"q\"}]}]}}");
    struct chat_reader rd = {.r = &t.r, .arena = &t.arena, .scratch = &t.arena, .f = &t.f};
    uint64_t n = 0;
    assert_int_equal(provider_gemini.read_count(&rd, STR("{\"totalTokens\":31}"), &n), 0);
    assert_int_equal(n, 31);
    assert_int_equal(provider_gemini.read_count(&rd, STR("{}"), &n), -1);
}

static void texts_are_embedded_in_one_batch(void **state)
{
    (void)state;
    struct str texts[2] = {STR("one"), STR("two")};
    struct embed_request in = {.texts = texts, .n_texts = 2, .dimensions = 8, .task = STR("search_query")};
    struct embed_answer out = {0};
    assert_int_equal(provider_gemini.write_embed(translation_call(&t, NULL, "gemini-embedding-001"), &in), 0);
    assert_str(t.out.path, "/v1/models/gemini-embedding-001:batchEmbedContents");
    assert_holds(t.out.body,
                 "{\"model\":\"models/gemini-embedding-001\",\"content\":{\"parts\":[{\"text\":\"two\"}]},"
                 "\"taskType\":\"RETRIEVAL_QUERY\",\"outputDimensionality\":8}");
    struct chat_reader rd = {.r = &t.r, .arena = &t.arena, .scratch = &t.arena, .f = &t.f};
    assert_int_equal(provider_gemini.read_embed(
                         &rd, &in, STR("{\"embeddings\":[{\"values\":[1,2]},{\"values\":[3]}]}"), &out),
                     0);
    assert_int_equal(out.n_vectors, 2);
    assert_str(out.vectors[0].json, "[1,2]");
    assert_false(out.usage_known);
    out = (struct embed_answer){0};
    assert_int_equal(provider_gemini.read_embed(&rd, &in, STR("{\"embeddings\":[{\"values\":[1,2]}]}"), &out),
                     -1);
    in.tokens = STR("[1]");
    assert_int_equal(provider_gemini.write_embed(&t.call, &in), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_goes_to_the_models_method),
        TEST(the_system_stands_in_front),
        TEST(calls_and_results_find_each_other),
        TEST(a_signature_returns_where_it_came_from),
        TEST(another_makers_signature_is_not_sent),
        TEST(media_go_inline),
        TEST(tools_are_one_object_and_choices_have_modes),
        TEST(parameters_have_their_names),
        TEST(schemas_are_kept_to),
        TEST(thinking_is_asked_for_as_the_generation_wants_it),
        TEST(generations_are_told_by_name),
        TEST(an_answer_is_read),
        TEST(reasons_are_told),
        TEST(an_empty_answer_is_none),
        TEST(a_json_tool_is_unwrapped),
        TEST(citations_count_characters),
        TEST(citations_of_a_long_text),
        TEST(log_probabilities_are_openais),
        TEST(a_stream_ends_with_its_connection),
        TEST(what_comes_behind_a_reason_is_told),
        TEST(all_candidates_have_to_end),
        TEST(an_error_inside_is_one),
        TEST(arguments_that_come_in_pieces_are_put_together),
        TEST(paths_that_lead_nowhere_are_left_out),
        TEST(errors_have_our_status),
        TEST(bodies_pass_but_for_the_models_name),
        TEST(passing_events_are_metered),
        TEST(a_stream_that_is_an_array_is_metered_whole),
        TEST(tokens_are_counted),
        TEST(texts_are_embedded_in_one_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

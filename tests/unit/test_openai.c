/* OpenAI's dialect towards a provider: what is sent for a request, and what is read from answers. */
#include "provider.h"
#include "text_asserts.h"

static struct request r;
static struct http_head head;
static struct arena arena;
static struct conf_provider provider;
static struct provider_call call;
static struct failure failure;

static int up(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void request(enum endpoint e, const char *rest, const char *body)
{
    memset(&head, 0, sizeof(head));
    r = (struct request){.arena = &arena, .head = &head};
    r.match.endpoint = e;
    r.match.rest = str_of(rest);
    r.body = str_of(body);
    r.model = STR("asked");
    head.method = STR("POST");
    provider = (struct conf_provider){.name = "p", .type = "openai", .base_url = "https://h.example/v1"};
}

static void header(const char *name, const char *value)
{
    head.headers[head.n++] = (struct http_header){str_of(name), str_of(value)};
}

static int build(const char *model)
{
    return provider_openai.build(&r, &provider, str_of(model), &call, &failure);
}

/* ---- the call */

static void bodies_pass_as_they_are_but_for_what_must_change(void **state)
{
    (void)state;
    static const struct {
        const char *in, *model, *out;
        bool stream, wants_usage, usage_added;
    } cases[] = {
        {"{\"model\":\"asked\",\"x\":[1.0,{}]}", "asked", "{\"model\":\"asked\",\"x\":[1.0,{}]}", false,
         false, false},
        {"{ \"x\":1e2, \"model\" : \"asked\" }", "to\"ld", "{ \"x\":1e2, \"model\" : \"to\\\"ld\" }", false,
         false, false},
        {"{\"model\":\"asked\",\"stream\":true}", "asked",
         "{\"stream_options\":{\"include_usage\":true},\"model\":\"asked\",\"stream\":true}", true, false,
         true},
        {"{\"stream\":true,\"stream_options\":{\"include_obfuscation\":false}}", "asked",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}}", true,
         false, true},
        {"{\"stream\":true,\"stream_options\":{\"include_usage\":false}}", "asked",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}", true, false, true},
        {"{\"stream\":true,\"stream_options\":null}", "asked",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}", true, false, true},
        {"{\"stream\":true,\"stream_options\":{}}", "asked",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}", true, false, true},
        {"{\"stream\":true,\"stream_options\":{\"include_usage\":true}}", "asked",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}", true, true, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request(EP_CHAT, "/chat/completions", cases[i].in);
        r.stream = cases[i].stream;
        r.wants_usage = cases[i].wants_usage;
        assert_int_equal(build(cases[i].model), 0);
        assert_str(call.body, cases[i].out);
        assert_int_equal(call.usage_added, cases[i].usage_added);
        assert_str(call.path, "/v1/chat/completions");
        assert_str(call.headers, "content-type: application/json\r\n");
    }
}

static void only_chat_and_completions_are_asked_for_usage(void **state)
{
    (void)state;
    request(EP_RESPONSES, "/responses", "{\"stream\":true}");
    r.stream = true;
    assert_int_equal(build("asked"), 0);
    assert_str(call.body, "{\"stream\":true}");
    assert_false(call.usage_added);
}

static void a_form_is_not_renamed(void **state)
{
    (void)state;
    request(EP_AUDIO, "/audio/transcriptions", "--b\r\n…");
    assert_int_equal(build("asked"), 0);
    assert_int_equal(build("other"), -1);
    assert_int_equal(failure.status, 400);
}

static void paths_are_put_together(void **state)
{
    (void)state;
    static const struct {
        enum endpoint endpoint;
        const char *base, *rest, *query, *path; /* path NULL: refused */
    } cases[] = {
        {EP_FILES, "https://h/v1", "/files/f-1/content", "", "/v1/files/f-1/content"},
        {EP_FILES, "https://h", "/files", "limit=2&after=x", "/files?limit=2&after=x"},
        {EP_FILES, "https://h/a/b/", "/files", "", "/a/b/files"},
        {EP_NATIVE, "https://h/v1", "/v1/engines", "q", "/v1/engines?q"},
        {EP_NATIVE, "https://h/openai/v1", "/other", "", "/other"},
        {EP_CHAT, NULL, "/chat/completions", "", "/v1/chat/completions"},
        {EP_FILES, "https://h/v1", "/files/\x01", "", NULL},
        {EP_FILES, "https://h/v1", "/files", "a b", NULL},
        {EP_FILES, "https://h/v1", "/files", "a#b", NULL},
        {EP_FILES, "ftp://h/v1", "/files", "", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request(cases[i].endpoint, cases[i].rest, "");
        provider.base_url = cases[i].base;
        head.query = str_of(cases[i].query);
        assert_int_equal(build("asked"), cases[i].path ? 0 : -1);
        if (cases[i].path)
            assert_str(call.path, cases[i].path);
    }
}

static void few_headers_reach_the_provider(void **state)
{
    (void)state;
    request(EP_FILES, "/files", "--b\r\n");
    header("Authorization", "Bearer client-key");
    header("Cookie", "a=b");
    header("Content-Type", "multipart/form-data; boundary=b");
    header("OpenAI-Beta", "assistants=v2");
    header("Idempotency-Key", "k1");
    header("OpenAI-Organization", "org-x");
    header("X-Forwarded-For", "10.0.0.1");
    header("Accept", "bad\x01value");
    assert_int_equal(build(""), 0);
    assert_str(call.headers, "content-type: multipart/form-data; boundary=b\r\nidempotency-key: k1\r\n"
                             "openai-beta: assistants=v2\r\n");
}

/* ---- answers */

static void usage_is_read_however_it_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool told;
        struct usage_tokens u;
    } cases[] = {
        {"{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14}}",
         true,
         {10, 0, 0, 4, 0}},
        {"{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_"
         "tokens\":8,"
         "\"cache_write_tokens\":1},\"completion_tokens_details\":{\"reasoning_tokens\":3}}}",
         true,
         {10, 8, 1, 4, 3}},
        {"{\"usage\":{\"input_tokens\":5,\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens\":6,"
         "\"output_tokens_details\":{\"reasoning_tokens\":1}}}",
         true,
         {5, 2, 0, 6, 1}},
        {"{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1,\"prompt_cache_hit_tokens\":6}}",
         true,
         {10, 6, 0, 1, 0}},
        {"{\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}}", true, {7, 0, 0, 0, 0}},
        {"{\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":1.5}}", false, {0}},
        {"{\"usage\":{\"prompt_tokens\":99999999999999999999}}", false, {0}},
        {"{\"usage\":{\"prompt_tokens\":9223372036854775807,\"completion_tokens\":2147483648}}", false, {0}},
        {"{\"usage\":null}", false, {0}},
        {"{\"usage\":[]}", false, {0}},
        {"{}", false, {0}},
        {"{\"error\":null,\"object\":\"response\"}", false, {0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request(EP_CHAT, "/chat/completions", "{}");
        assert_int_equal(provider_openai.read_answer(&r, str_of(cases[i].answer), &failure), 0);
        assert_int_equal(r.tokens_known, cases[i].told);
        assert_memory_equal(&r.tokens, &cases[i].u, sizeof(r.tokens));
    }
}

static struct stream_event event_of(enum endpoint e, const char *name, const char *data)
{
    struct sse_event ev = {.name = str_of(name), .data = str_of(data), .has_data = true};
    request(e, "", "");
    return provider_openai.read_event(&r, &ev);
}

static void events_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        enum endpoint endpoint;
        const char *name, *data;
        bool last, usage, usage_only, error;
        uint32_t text;
    } cases[] = {
        {EP_CHAT, "", "[DONE]", true, false, false, false, 0},
        {EP_CHAT, "", "{\"choices\":[{\"delta\":{\"content\":\"he\\\"llo\"}}],\"usage\":null}", false, false,
         false, false, 7},
        {EP_CHAT, "", "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}", false, true,
         true, false, 0},
        {EP_CHAT, "", "{\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}", false, true, false,
         false, 0},
        {EP_CHAT, "", "{\"choices\":[{\"delta\":{},\"usage\":null}],\"usage\":{\"prompt_tokens\":1}}", false,
         true, false, false, 0},
        {EP_CHAT, "", "{\"choices\":[],\"prompt_filter_results\":[]}", false, false, false, false, 0},
        {EP_CHAT, "", "{\"error\":{\"message\":\"x\"}}", false, false, false, true, 0},
        {EP_CHAT, "", "{\"error\":\"x\"}", false, false, false, true, 0},
        {EP_CHAT, "error", "{\"message\":\"x\"}", false, false, false, true, 0},
        {EP_CHAT, "", "{\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\": [DONE]\"}}],\"error\":null}",
         false, false, false, false, 17},
        {EP_CHAT, "", "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]}}]}",
         false, false, false, false, 2},
        {EP_CHAT, "", "{\"content\": \"spaced\"}", false, false, false, false, 6},
        {EP_CHAT, "", "{\"content\":\"never ends", false, false, false, false, 10},
        {EP_CHAT, "", "{\"usage\":{\"prompt_tokens\":1}", false, false, false, false, 0},
        {EP_RESPONSES, "", "{\"type\":\"response.output_text.delta\",\"delta\":\"abc\"}", false, false, false,
         false, 3},
        {EP_RESPONSES, "",
         "{\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}"
         "}",
         true, true, false, false, 0},
        {EP_RESPONSES, "", "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"x\"}}}", true,
         false, false, false, 0},
        {EP_RESPONSES, "", "{\"type\":\"error\",\"message\":\"x\",\"code\":\"y\"}", false, false, false, true,
         0},
        {EP_RESPONSES, "",
         "{\"type\":\"response.output_text.delta\",\"delta\":\"\\\"response.completed\\\"\"}", false, false,
         false, false, 22},
        {EP_CHAT, "", "{\"type\":\"response.completed\"}", false, false, false, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stream_event e = event_of(cases[i].endpoint, cases[i].name, cases[i].data);
        if (e.last != cases[i].last || e.usage != cases[i].usage || e.usage_only != cases[i].usage_only ||
            e.error != cases[i].error || e.text_bytes != cases[i].text)
            fail_msg("%s: last %d usage %d only %d error %d text %u", cases[i].data, e.last, e.usage,
                     e.usage_only, e.error, e.text_bytes);
        assert_int_equal(r.tokens_known, cases[i].usage);
    }
}

/* Only the event's own, wherever it stands in it. */
static void a_null_usage_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *data, *found;
    } cases[] = {
        {"{\"choices\":[],\"usage\":null}", ",\"usage\":null"},
        {"{\"choices\":[],\"usage\":null,\"obfuscation\":\"x\"}", "\"usage\":null,"},
        {"{\"usage\": null , \"choices\":[]}", "\"usage\": null ,"},
        {"{\"choices\":[{\"usage\":null}],\"usage\":null}", ",\"usage\":null"},
        {"{\"choices\":[{\"usage\":null,\"delta\":{}}],\"usage\":null,\"x\":1}", "\"usage\":null,"},
        {"{\"choices\":[{\"index\":0,\"usage\":null}],\"x\":1}", ""},
        {"{\"choices\":[{\"usage\":null,\"index\":0}]}", ""},
        {"{\"choices\":[],\"usage\":{\"x\":1,\"usage\":null}}", ""},
        {"{\"usage\":null}", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stream_event e = event_of(EP_CHAT, "", cases[i].data);
        assert_str(e.null_usage, cases[i].found);
        if (e.null_usage.n > 0) /* the last one there */
            assert_null(strstr(e.null_usage.p + e.null_usage.n, "usage"));
    }
}

static void errors_keep_what_the_provider_said(void **state)
{
    (void)state;
    static const struct {
        const char *body, *message, *type, *code, *param;
    } cases[] = {
        {"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"c\",\"param\":\"p\"}}", "m", "t", "c", "p"},
        {"{\"error\":{\"message\":\"m\",\"type\":null,\"code\":404}}", "m", NULL, "404", NULL},
        {"{\"error\":\"plain\"}", "plain", NULL, NULL, NULL},
        {"{\"message\":\"top\"}", "top", NULL, NULL, NULL},
        {"{\"detail\":\"d\"}", "d", NULL, NULL, NULL},
        {"{\"error\":{\"message\":\"m\",\"code\":\"a\\u0000b\"}}", "m", NULL, NULL, NULL},
        {"<html>", "The provider answered with status 418.", NULL, NULL, NULL},
        {"", "The provider answered with status 418.", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct failure f;
        request(EP_CHAT, "", "");
        provider_openai.read_error(&r, 418, NULL, str_of(cases[i].body), &f);
        assert_int_equal(f.status, 418);
        assert_str(f.message, cases[i].message);
        assert_str(str_of(f.type), cases[i].type ? cases[i].type : "");
        assert_str(str_of(f.code), cases[i].code ? cases[i].code : "");
        assert_str(str_of(f.param), cases[i].param ? cases[i].param : "");
    }
}

static void types_have_their_dialect(void **state)
{
    (void)state;
    assert_ptr_equal(provider_find("openai"), &provider_openai);
    assert_ptr_equal(provider_find("virtual"), &provider_openai);
    assert_null(provider_find("none"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bodies_pass_as_they_are_but_for_what_must_change, up, down),
        cmocka_unit_test_setup_teardown(only_chat_and_completions_are_asked_for_usage, up, down),
        cmocka_unit_test_setup_teardown(a_form_is_not_renamed, up, down),
        cmocka_unit_test_setup_teardown(paths_are_put_together, up, down),
        cmocka_unit_test_setup_teardown(few_headers_reach_the_provider, up, down),
        cmocka_unit_test_setup_teardown(usage_is_read_however_it_is_named, up, down),
        cmocka_unit_test_setup_teardown(events_are_told_apart, up, down),
        cmocka_unit_test_setup_teardown(a_null_usage_is_found, up, down),
        cmocka_unit_test_setup_teardown(errors_keep_what_the_provider_said, up, down),
        cmocka_unit_test(types_have_their_dialect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

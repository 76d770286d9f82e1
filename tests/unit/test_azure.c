/* Azure OpenAI: the three ways to it, and what differs from OpenAI on them. */
#include "translate_test.h"

static struct provider_call call;

static int up(void **state)
{
    (void)state;
    translation_init(&t, EP_CHAT, "azure");
    return 0;
}

#define CLASSIC "https://res.openai.azure.com"

static int build(enum endpoint e, const char *base, const char *version, const char *rest, const char *query,
                 const char *body, const char *model)
{
    t.r.match.endpoint = e;
    t.r.match.rest = str_of(rest);
    t.r.body = str_of(body);
    t.head.query = str_of(query);
    t.conf.base_url = base;
    t.conf.api_version = version;
    return provider_azure.build(&t.r, &t.conf, str_of(model), &call, &t.f);
}

static void paths_follow_the_base_url(void **state)
{
    (void)state;
    static const struct {
        enum endpoint e;
        const char *base, *version, *rest, *query, *path;
    } cases[] = {
        {EP_CHAT, CLASSIC, NULL, "/chat/completions", "",
         "/openai/deployments/dep-1/chat/completions?api-version=2024-10-21"},
        {EP_CHAT, CLASSIC "/", "2025-04-01-preview", "/chat/completions", "",
         "/openai/deployments/dep-1/chat/completions?api-version=2025-04-01-preview"},
        {EP_EMBEDDINGS, CLASSIC "/openai", NULL, "/embeddings", "",
         "/openai/deployments/dep-1/embeddings?api-version=2024-10-21"},
        {EP_IMAGES, CLASSIC, NULL, "/images/generations", "",
         "/openai/deployments/dep-1/images/generations?api-version=2024-10-21"},
        {EP_AUDIO, CLASSIC, NULL, "/audio/speech", "",
         "/openai/deployments/dep-1/audio/speech?api-version=2024-10-21"},
        {EP_COMPLETIONS, CLASSIC, NULL, "/completions", "api-version=1&x=2",
         "/openai/deployments/dep-1/completions?api-version=1&x=2"},
        {EP_RESPONSES, CLASSIC, "2025-03-01-preview", "/responses", "",
         "/openai/responses?api-version=2025-03-01-preview"},
        {EP_FILES, CLASSIC, NULL, "/files", "limit=3", "/openai/files?api-version=2024-10-21&limit=3"},
        {EP_CHAT, CLASSIC "/openai/deployments/own", NULL, "/chat/completions", "",
         "/openai/deployments/own/chat/completions?api-version=2024-10-21"},
        {EP_CHAT, CLASSIC "/openai/v1", NULL, "/chat/completions", "", "/openai/v1/chat/completions"},
        {EP_RESPONSES, CLASSIC "/openai/v1/", NULL, "/responses", "", "/openai/v1/responses"},
        {EP_CHAT, CLASSIC "/openai/v1", "preview", "/chat/completions", "",
         "/openai/v1/chat/completions?api-version=preview"},
        {EP_CHAT, "https://r.services.ai.azure.com/models", NULL, "/chat/completions", "",
         "/models/chat/completions?api-version=2024-05-01-preview"},
        {EP_NATIVE, CLASSIC, NULL, "/openai/other", "q=1", "/openai/other?q=1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(build(cases[i].e, cases[i].base, cases[i].version, cases[i].rest, cases[i].query,
                               "{\"model\":\"caller-model\"}", "dep-1"),
                         0);
        assert_str(call.path, cases[i].path);
        assert_str(call.body, "{\"model\":\"dep-1\"}");
    }
}

static void a_deployment_s_name_is_escaped(void **state)
{
    (void)state;
    assert_int_equal(build(EP_CHAT, CLASSIC, NULL, "/chat/completions", "", "{}", "a/b?c"), 0);
    assert_str(call.path, "/openai/deployments/a%2Fb%3Fc/chat/completions?api-version=2024-10-21");
}

static void a_form_needs_no_model_where_the_path_names_it(void **state)
{
    (void)state;
    assert_int_equal(build(EP_AUDIO, CLASSIC, NULL, "/audio/transcriptions", "", "--b\r\n", "other"), 0);
    assert_int_equal(
        build(EP_AUDIO, CLASSIC "/openai/v1", NULL, "/audio/transcriptions", "", "--b\r\n", "other"), -1);
    assert_int_equal(t.f.status, 400);
}

static void endpoints_pass_where_azure_has_them(void **state)
{
    (void)state;
    static const struct {
        enum endpoint e;
        bool classic, foundry;
    } cases[] = {
        {EP_CHAT, true, true},       {EP_EMBEDDINGS, true, true},   {EP_RESPONSES, true, false},
        {EP_IMAGES, true, false},    {EP_COMPLETIONS, true, false}, {EP_MODERATIONS, false, false},
        {EP_MESSAGES, false, false}, {EP_GENERATE, false, false},   {EP_BATCHES, true, false},
        {EP_NATIVE, true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t.r.match.endpoint = cases[i].e;
        t.conf.base_url = CLASSIC;
        assert_int_equal(provider_azure.passes(&t.r, &t.conf, STR("m")), cases[i].classic);
        t.conf.base_url = "https://r.services.ai.azure.com/models";
        assert_int_equal(provider_azure.passes(&t.r, &t.conf, STR("m")), cases[i].foundry);
    }
    t.r.match.endpoint = EP_RESPONSES;
    t.conf.base_url = CLASSIC;
    t.conf.responses = RESPONSES_FALSE;
    assert_false(provider_azure.passes(&t.r, &t.conf, STR("m")));
}

static void translated_requests_go_the_same_ways(void **state)
{
    (void)state;
    static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":7}";
    t.conf.base_url = CLASSIC;
    assert_int_equal(translate_request(&t, body), 0);
    assert_str(t.out.path, "/openai/deployments/target-model/chat/completions?api-version=2024-10-21");
    assert_str(t.out.body,
               "{\"model\":\"target-model\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
               "\"max_completion_tokens\":7}");
    down(NULL);
    up(NULL);
    t.conf.base_url = "https://r.services.ai.azure.com/models";
    assert_int_equal(translate_request(&t, body), 0);
    assert_str(t.out.path, "/models/chat/completions?api-version=2024-05-01-preview");
    assert_holds(t.out.body, "\"max_tokens\":7");
}

/* The first event tells of the filters, and of nothing else. */
static void the_filters_first_event_is_no_answer(void **state)
{
    (void)state;
    assert_int_equal(
        translate_sse(&t,
                      STR("data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\","
                          "\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n"
                          "data: {\"choices\":[{\"content_filter_results\":{},\"delta\":{\"content\":\"Ja\"},"
                          "\"finish_reason\":null,\"index\":0}],\"created\":1700000001,\"id\":\"chatcmpl-7\","
                          "\"model\":\"gpt-x\"}\n\n"
                          "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"index\":0}]}\n\n"
                          "data: [DONE]\n\n")),
        1);
    assert_holds(buf_str(&t.text), "\"id\":\"chatcmpl-7\"");
    assert_holds(buf_str(&t.text), "\"created\":1700000001,\"model\":\"gpt-x\"");
    assert_lacks(buf_str(&t.text), "prompt_filter");
}

static void errors_have_openai_s_codes(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body, *code;
    } cases[] = {
        {400,
         "{\"error\":{\"message\":\"filtered\",\"code\":\"content_filter\",\"status\":400,\"innererror\":"
         "{\"code\":\"ResponsibleAIPolicyViolation\"}}}",
         "content_filter"},
        {404, "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"none\"}}", "model_not_found"},
        {429, "{\"error\":{\"code\":\"429\",\"message\":\"slow down\"}}", "rate_limit_exceeded"},
        {429, "{\"error\":{\"code\":\"RateLimitReached\",\"message\":\"slow down\"}}", "rate_limit_exceeded"},
        {401, "{\"error\":{\"code\":\"401\",\"message\":\"no key\"}}", "invalid_api_key"},
        {400, "{\"error\":{\"code\":\"500\",\"message\":\"odd\"}}", "500"},
    };
    struct http_head head = {.n = 0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        provider_azure.read_error(&t.r, cases[i].status, &head, str_of(cases[i].body), &t.f);
        assert_int_equal(t.f.status, cases[i].status);
        assert_str(str_of(t.f.code), cases[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_follow_the_base_url, up, down),
        cmocka_unit_test_setup_teardown(a_deployment_s_name_is_escaped, up, down),
        cmocka_unit_test_setup_teardown(a_form_needs_no_model_where_the_path_names_it, up, down),
        cmocka_unit_test_setup_teardown(endpoints_pass_where_azure_has_them, up, down),
        cmocka_unit_test_setup_teardown(translated_requests_go_the_same_ways, up, down),
        cmocka_unit_test_setup_teardown(the_filters_first_event_is_no_answer, up, down),
        cmocka_unit_test_setup_teardown(errors_have_openai_s_codes, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

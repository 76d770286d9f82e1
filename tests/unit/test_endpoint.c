/* What each method and path means, and which paths must never mean anything. */
#include "endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void matches(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        enum endpoint endpoint;
        const char *rest, *provider;
    } cases[] = {
        {"POST", "/v1/chat/completions", EP_CHAT, "/chat/completions", ""},
        {"POST", "/v1/completions", EP_COMPLETIONS, "/completions", ""},
        {"POST", "/v1/embeddings", EP_EMBEDDINGS, "/embeddings", ""},
        {"POST", "/v1/responses", EP_RESPONSES, "/responses", ""},
        {"GET", "/v1/responses/resp_1", EP_RESPONSES, "/responses/resp_1", ""},
        {"POST", "/v1/responses/resp_1/cancel", EP_RESPONSES, "/responses/resp_1/cancel", ""},
        {"GET", "/v1/models", EP_MODELS, "/models", ""},
        {"GET", "/v1/models/gpt-4o", EP_MODEL, "gpt-4o", ""},
        {"GET", "/v1/models/org/name", EP_MODEL, "org/name", ""},
        {"POST", "/v1/moderations", EP_MODERATIONS, "/moderations", ""},
        {"POST", "/v1/images/generations", EP_IMAGES, "/images/generations", ""},
        {"POST", "/v1/audio/speech", EP_AUDIO, "/audio/speech", ""},
        {"POST", "/v1/rerank", EP_RERANK, "/rerank", ""},
        {"GET", "/v1/files", EP_FILES, "/files", ""},
        {"DELETE", "/v1/files/file-a.b", EP_FILES, "/files/file-a.b", ""},
        {"GET", "/v1/batches/b1", EP_BATCHES, "/batches/b1", ""},
        {"GET", "/healthz", EP_HEALTHZ, "", ""},
        {"HEAD", "/readyz", EP_READYZ, "", ""},
        {"POST", "/openai/v1/chat/completions", EP_NATIVE, "/v1/chat/completions", "openai"},
        {"PATCH", "/other/x", EP_NATIVE, "/x", "other"},
        {"POST", "/v1", EP_NONE, "", ""},
        {"POST", "/v1/", EP_NONE, "", ""},
        {"POST", "/", EP_NONE, "", ""},
        {"POST", "/v1/chat/completions/", EP_CHAT, "/chat/completions", ""},
        {"POST", "/v1/v1/chat/completions", EP_CHAT, "/chat/completions", ""},
        {"POST", "/v1/v1/messages", EP_MESSAGES, "/messages", ""},
        {"POST", "/v1/v1/v1/messages/count_tokens/", EP_COUNT_TOKENS, "/messages/count_tokens", ""},
        {"POST", "/v1/v1beta/models/g:generateContent", EP_GENERATE, "/models/g:generateContent", ""},
        {"POST", "/v1beta/v1beta/models/g:countTokens", EP_COUNT_CONTENT, "/models/g:countTokens", ""},
        {"POST", "/v1alpha/models/g:generateContent", EP_GENERATE, "/models/g:generateContent", ""},
        {"POST", "/models/g:generateContent", EP_GENERATE, "/models/g:generateContent", ""},
        {"POST", "/chat/completions", EP_CHAT, "/chat/completions", ""},
        {"POST", "/messages", EP_MESSAGES, "/messages", ""},
        {"POST", "/messages/count_tokens", EP_COUNT_TOKENS, "/messages/count_tokens", ""},
        {"POST", "/embeddings", EP_EMBEDDINGS, "/embeddings", ""},
        {"GET", "/models", EP_MODELS, "/models", ""},
        {"HEAD", "/v1/models", EP_MODELS, "/models", ""},
        {"GET", "/models/x", EP_NATIVE, "/x", "models"},
        {"POST", "/v1beta/openai/chat/completions", EP_CHAT, "/chat/completions", ""},
        {"POST", "/v1beta/chat/completions", EP_NONE, "", ""},
        {"POST", "/openai/deployments/gpt/chat/completions", EP_CHAT, "/chat/completions", ""},
        {"POST", "/openai/deployments//chat/completions", EP_NONE, "", ""},
        {"GET", "/openai/deployments/gpt", EP_NATIVE, "/deployments/gpt", "openai"},
        {"GET", "/openai/files/", EP_NATIVE, "/files/", "openai"},
        {"POST", "/v1/healthz", EP_NONE, "", ""},
        {"POST", "//v1/messages", EP_MESSAGES, "/messages", ""},
        {"POST", "/v1//messages", EP_MESSAGES, "/messages", ""},
        {"DELETE", "/v1//files/x", EP_FILES, "/files/x", ""},
        {"POST", "//v1beta/models/g:countTokens", EP_COUNT_CONTENT, "/models/g:countTokens", ""},
        {"POST", "//openai/v1/x", EP_NONE, "", ""},
        {"POST", "/v1/chat/completionsx", EP_NONE, "", ""},
        {"GET", "/v1/models/", EP_MODELS, "/models", ""},
        {"POST", "/v1/images", EP_NONE, "", ""},
        {"POST", "/v1/filesystem", EP_NONE, "", ""},
        {"POST", "/v1/messages", EP_MESSAGES, "/messages", ""},
        {"POST", "/v1/messages/count_tokens", EP_COUNT_TOKENS, "/messages/count_tokens", ""},
        {"POST", "/v1/messages/x", EP_NONE, "", ""},
        {"GET", "/v1beta/models", EP_MODELS, "/models", ""},
        {"GET", "/v1beta/models/gemini-x", EP_MODEL, "gemini-x", ""},
        {"GET", "/v1/models/meta%2Fllama", EP_MODEL, "meta%2Fllama", ""},
        {"GET", "/v1/models/a%2f%2e%2e", EP_NONE, "", ""},
        {"GET", "/v1/models/a%5cb", EP_NONE, "", ""},
        {"POST", "/v1/models/meta%2Fllama", EP_NONE, "", ""},
        {"GET", "/v1/files/a%2fb", EP_NONE, "", ""},
        {"POST", "/v1beta/models/gemini-x:generateContent", EP_GENERATE, "/models/gemini-x:generateContent",
         ""},
        {"POST", "/v1/models/a:b:streamGenerateContent", EP_GENERATE, "/models/a:b:streamGenerateContent",
         ""},
        {"POST", "/v1beta/models/g:countTokens", EP_COUNT_CONTENT, "/models/g:countTokens", ""},
        {"POST", "/v1beta/models/g:batchEmbedContents", EP_EMBED_CONTENT, "/models/g:batchEmbedContents", ""},
        {"POST", "/v1beta/models/:generateContent", EP_NONE, "", ""},
        {"POST", "/v1beta/models/g:predict", EP_NONE, "", ""},
        {"POST", "/v1/models/g:predict", EP_NONE, "", ""},
        {"POST", "/openai", EP_NONE, "", ""},
        {"POST", "/openai/", EP_NONE, "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint_match m = endpoint_match(str_of(cases[i].method), str_of(cases[i].path));
        if (m.endpoint != cases[i].endpoint || !str_eq(m.rest, str_of(cases[i].rest)) ||
            !str_eq(m.provider, str_of(cases[i].provider)) || m.wrong_method)
            fail_msg("%s %s: %s rest \"" STR_FMT "\"", cases[i].method, cases[i].path,
                     endpoint_name(m.endpoint), STR_ARG(m.rest));
    }
}

static void ambiguous_paths_match_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/v1/files/../models",
        "/v1/files/..",
        "/v1/files//x",
        "/v1/files/a%2fb",
        "/v1/files/a%2Fb",
        "/v1/files/%00",
        "/v1/files/%2e%2E/x",
        "/openai/v1/../../x",
        "/openai//x",
        "/v1/files/./x",
        "/v1/files/.",
        "/v1/files/a\\b",
        "/v1/files/%5c",
        "/v1/files/%",
        "/v1/files/%2",
        "*",
        "v1/models",
        "/openai/deployments/../chat/completions",
        "/openai/deployments/a%2fb/chat/completions",
        "///v1/models",
        "/v1///models",
        "/v1/v1/../models",
        "/../healthz",
        "/openai/a%2e",
        "//",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct endpoint_match m = endpoint_match(STR("GET"), str_of(paths[i]));
        if (m.endpoint != EP_NONE || m.wrong_method)
            fail_msg("%s matched %s", paths[i], endpoint_name(m.endpoint));
    }
    assert_int_equal(endpoint_match(STR("GET"), STR_NULL).endpoint, EP_NONE);
}

static void wrong_methods(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *allow;
    } cases[] = {
        {"GET", "/v1/chat/completions", "POST"},
        {"HEAD", "/v1/files", "GET, POST, DELETE"},
        {"DELETE", "/v1/v1/models", "GET, HEAD"},
        {"POST", "/healthz", "GET, HEAD"},
        {"PUT", "/v1/files/x", "GET, POST, DELETE"},
        {"BREW", "/openai/v1/x", "GET, POST, PUT, PATCH, DELETE"},
        {"post", "/v1/embeddings", "POST"},
        {"OPTIONS", "/v1/batches", "GET, POST"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint_match m = endpoint_match(str_of(cases[i].method), str_of(cases[i].path));
        assert_int_equal(m.endpoint, EP_NONE);
        assert_true(m.wrong_method);
        assert_string_equal(m.allow, cases[i].allow);
    }
}

static void dialects(void **state)
{
    (void)state;
    assert_int_equal(endpoint_match(STR("POST"), STR("/v1/messages")).dialect, DIALECT_ANTHROPIC);
    assert_int_equal(endpoint_match(STR("POST"), STR("/v1beta/models/x")).dialect, DIALECT_GOOGLE);
    assert_int_equal(endpoint_match(STR("POST"), STR("/v1/models/x:predict")).dialect, DIALECT_GOOGLE);
    assert_true(endpoint_match(STR("POST"), STR("/v1/models/x")).wrong_method);
    assert_int_equal(endpoint_match(STR("POST"), STR("/v1/nothing")).dialect, DIALECT_OPENAI);
    assert_int_equal(endpoint_match(STR("POST"), STR("/a/v1/messages")).dialect, DIALECT_ANTHROPIC);
    assert_int_equal(endpoint_match(STR("POST"), STR("/a/v1beta/x:y")).dialect, DIALECT_GOOGLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(ambiguous_paths_match_nothing),
        cmocka_unit_test(wrong_methods),
        cmocka_unit_test(dialects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Errors in the shapes the vendors' SDKs expect. */
#include "answer.h"
#include "json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct arena arena;

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

static void shapes(void **state)
{
    (void)state;
    static const struct {
        enum dialect dialect;
        struct failure f;
        const char *text;
        int status;
    } cases[] = {
        {DIALECT_OPENAI,
         {.status = 401, .code = "invalid_api_key", .message = STR("no \"key\"")},
         "{\"error\":{\"message\":\"no \\\"key\\\"\",\"type\":\"invalid_request_error\",\"param\":null,"
         "\"code\":\"invalid_api_key\"}}",
         401},
        {DIALECT_OPENAI,
         {.status = 429, .type = "tokens", .code = "rate_limit_exceeded", .message = STR("m")},
         "{\"error\":{\"message\":\"m\",\"type\":\"tokens\",\"param\":null,\"code\":\"rate_limit_exceeded\"}"
         "}",
         429},
        {DIALECT_OPENAI,
         {.status = 400, .param = "n", .message = STR("m")},
         "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":\"n\",\"code\":null}}",
         400},
        {DIALECT_OPENAI,
         {.status = 599, .message = STR("m")},
         "{\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"param\":null,\"code\":null}}",
         599},
        {DIALECT_OPENAI,
         {.status = 418, .message = STR("m")},
         "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}",
         418},
        {DIALECT_ANTHROPIC,
         {.status = 503, .message = STR("m"), .request_id = "r"},
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"},\"request_id\":"
         "\"r\"}",
         529},
        {DIALECT_ANTHROPIC,
         {.status = 404, .message = STR("m")},
         "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"m\"}}",
         404},
        {DIALECT_GOOGLE,
         {.status = 401, .message = STR("m")},
         "{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":"
         "\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"API_KEY_INVALID\"}]}}",
         400},
        {DIALECT_GOOGLE,
         {.status = 401, .message = STR("m"), .at_provider = true},
         "{\"error\":{\"code\":401,\"message\":\"m\",\"status\":\"UNAUTHENTICATED\"}}",
         401},
        {DIALECT_GOOGLE,
         {.status = 429, .message = STR("m"), .retry_after_ms = 1001},
         "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@"
         "type\":"
         "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"2s\"}]}}",
         429},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str got = dialect_error(cases[i].dialect, &cases[i].f, &arena);
        if (!str_eq(got, str_of(cases[i].text)))
            fail_msg("case %zu: " STR_FMT, i, STR_ARG(got));
        assert_int_equal(dialect_status(cases[i].dialect, &cases[i].f), cases[i].status);
        struct error err;
        assert_int_equal(json_validate(got, &err), 0);
    }
}

static void events(void **state)
{
    (void)state;
    struct failure f = {.status = 502, .message = STR("gone")};
    assert_true(str_eq(dialect_error_event(DIALECT_OPENAI, &f, &arena),
                       STR("data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\",\"param\":null,"
                           "\"code\":null}}\n\n")));
    assert_true(str_eq(dialect_error_event(DIALECT_ANTHROPIC, &f, &arena),
                       STR("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                           "\"message\":\"gone\"}}\n\n")));
    assert_true(str_eq(dialect_error_event(DIALECT_GOOGLE, &f, &arena),
                       STR("data: {\"error\":{\"code\":502,\"message\":\"gone\",\"status\":\"UNAVAILABLE\"}}"
                           "\n\n")));
}

/* Whatever bytes a provider's message has, ours is one line of valid JSON. */
static void any_message_is_valid_json(void **state)
{
    (void)state;
    static char bytes[20000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 37 >> (i & 3));
    for (size_t n = 0; n <= sizeof(bytes); n += 997) {
        struct failure f = {
            .status = 500, .message = {bytes, n}, .code = "a\nb", .type = "\"", .param = "\x01"};
        for (int d = DIALECT_OPENAI; d <= DIALECT_GOOGLE; d++) {
            struct str got = dialect_error((enum dialect)d, &f, &arena);
            struct error err = {""};
            if (json_validate(got, &err) < 0)
                fail_msg("dialect %d, %zu bytes: %s", d, n, err.text);
            assert_null(memchr(got.p, '\n', got.n));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(events),
        cmocka_unit_test(any_message_is_valid_json),
    };
    return cmocka_run_group_tests(tests, up, down);
}

/* Streams as providers send them, put together; and what must not pass for a complete answer. */
#include "chat_assemble.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHUNK "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\","
#define TEXT  "{\"id\":\"t1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\","
#define ONE(delta, finish) \
    CHUNK "\"choices\":[{\"index\":0,\"delta\":" delta ",\"logprobs\":null,\"finish_reason\":" finish "}]}"

struct stream {
    const char *name;
    const char *events[12];
    const char *answer; /* NULL: not complete */
};

static const struct stream streams[] = {
    {"plain",
     {ONE("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null"),
      ONE("{\"content\":\"Hel\"}", "null"), ONE("{\"content\":\"lo \\u00fc\"}", "null"),
      ONE("{}", "\"stop\""),
      CHUNK "\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}",
      "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"message\":{\"role\":\"assistant\",\"content\":\"Hello ü\",\"refusal\":null},\"logprobs\":null,"
     "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}"
     "}"},
    {"tool calls, the id repeated, arguments in pieces, indexes out of order",
     {ONE("{\"role\":\"assistant\",\"content\":null}", "null"),
      ONE("{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\","
          "\"arguments\":"
          "\"\"}}]}",
          "null"),
      ONE("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
          "\"arguments\":"
          "\"\"}}]}",
          "null"),
      ONE("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"arguments\":\"{\\\"x\\\"\"}}]}",
          "null"),
      ONE("{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]}", "null"),
      ONE("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}", "null"),
      ONE("{}", "\"tool_calls\""), "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":"
     "\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}},{\"id\":\"b\",\"type\":\"function\","
     "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},\"logprobs\":null,\"finish_reason\":\"tool_"
     "calls\"}]}"},
    {"two choices, interleaved, the second one first",
     {CHUNK "\"choices\":[{\"index\":1,\"delta\":{\"role\":\"assistant\",\"content\":\"b\"},\"finish_"
            "reason\":null}]}",
      CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"},\"finish_"
            "reason\":null},"
            "{\"index\":1,\"delta\":{\"content\":\"B\"},\"finish_reason\":null}]}",
      CHUNK "\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"length\"}]}",
      CHUNK "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}", "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"message\":"
     "{\"role\":\"assistant\",\"content\":\"a\"},\"finish_reason\":\"stop\",\"logprobs\":null},{\"index\":1,"
     "\"message\":{\"role\":\"assistant\",\"content\":\"bB\"},\"finish_reason\":\"length\",\"logprobs\":null}"
     "]}"},
    {"reasoning, refusal, log probabilities, fields of tomorrow, obfuscation dropped",
     {CHUNK
      "\"system_fingerprint\":\"fp\",\"service_tier\":null,\"obfuscation\":\"abc\",\"choices\":[{\"index\":0,"
      "\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"th\",\"new\":{\"n\":1,\"t\":\"x\"}},"
      "\"logprobs\":"
      "{\"content\":[{\"token\":\"a\",\"logprob\":-0.10000000000000001}],\"refusal\":null},\"finish_reason\":"
      "null}]}",
      CHUNK "\"service_tier\":\"default\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"ink\","
            "\"refusal\":"
            "\"No\",\"new\":{\"n\":2,\"t\":\"y\"},\"list\":[1]},\"logprobs\":{\"content\":[{\"token\":\"b\","
            "\"logprob\":-2}]},"
            "\"finish_reason\":null}]}",
      ONE("{\"refusal\":\".\",\"list\":[2,3]}", "\"stop\""), "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"system_fingerprint\":"
     "\"fp\","
     "\"service_tier\":\"default\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
     "null,"
     "\"reasoning_content\":\"think\",\"refusal\":\"No.\",\"new\":{\"n\":2,\"t\":\"xy\"},\"list\":[1,2,3]},"
     "\"logprobs\":{\"content\":[{\"token\":\"a\",\"logprob\":-0.10000000000000001},{\"token\":\"b\","
     "\"logprob\":-2}],"
     "\"refusal\":null},\"finish_reason\":\"stop\"}]}"},
    {"text completion",
     {TEXT "\"choices\":[{\"index\":0,\"text\":\"on\",\"logprobs\":null,\"finish_reason\":null}]}",
      TEXT "\"choices\":[{\"index\":0,\"text\":\"ce\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}",
      " [DONE] "},
     "{\"id\":\"t1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"text\":"
     "\"once\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}"},
    {"a text that repeats itself is no repetition of a whole",
     {ONE("{\"role\":\"assistant\",\"content\":\"ha\"}", "null"), ONE("{\"content\":\"ha\"}", "null"),
      ONE("{\"content\":\"ha\"}", "\"stop\""), "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"message\":"
     "{\"role\":\"assistant\",\"content\":\"hahaha\"},\"logprobs\":null,\"finish_reason\":\"stop\"}]}"},
    {"no [DONE]", {ONE("{\"content\":\"a\"}", "\"stop\"")}, NULL},
    {"no finish_reason", {ONE("{\"content\":\"a\"}", "null"), "[DONE]"}, NULL},
    {"one of two choices unfinished",
     {ONE("{\"content\":\"a\"}", "\"stop\""),
      CHUNK "\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},\"finish_reason\":null}]}", "[DONE]"},
     NULL},
    {"no choices", {CHUNK "\"choices\":[]}", "[DONE]"}, NULL},
    {"nothing", {"[DONE]"}, NULL},
    {"an error midway",
     {ONE("{\"content\":\"a\"}", "\"stop\""), "{\"error\":{\"message\":\"x\"}}", "[DONE]"},
     NULL},
    {"error beside choices",
     {CHUNK
      "\"error\":{\"message\":\"x\"},\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
      "[DONE]"},
     NULL},
    {"no JSON", {ONE("{\"content\":\"a\"}", "\"stop\""), "{\"id\":", "[DONE]"}, NULL},
    {"a number that is none", {ONE("{\"content\":\"a\",\"x\":0.}", "\"stop\""), "[DONE]"}, NULL},
    {"two texts in one", {ONE("{\"content\":\"a\"}", "\"stop\"") "{}", "[DONE]"}, NULL},
    {"an array", {"[1]", "[DONE]"}, NULL},
    {"another kind", {"{\"object\":\"response\",\"choices\":[]}", "[DONE]"}, NULL},
    {"choices no array", {CHUNK "\"choices\":{\"index\":0}}", "[DONE]"}, NULL},
    {"choice no object", {CHUNK "\"choices\":[1]}", "[DONE]"}, NULL},
    {"delta no object",
     {CHUNK "\"choices\":[{\"index\":0,\"delta\":\"x\",\"finish_reason\":\"stop\"}]}", "[DONE]"},
     NULL},
    {"tool call no object", {ONE("{\"tool_calls\":[1]}", "\"stop\""), "[DONE]"}, NULL},
    {"a text that becomes an object",
     {ONE("{\"x\":{\"y\":\"1\"}}", "null"), ONE("{\"x\":{\"y\":\"2\"}}", "null"),
      ONE("{\"x\":\"s\"}", "\"stop\""), "[DONE]"},
     NULL},
    {"tool calls that become an array",
     {ONE("{\"tool_calls\":{\"y\":\"1\"}}", "null"), ONE("{\"tool_calls\":{\"y\":\"2\"}}", "null"),
      ONE("{\"tool_calls\":[{}]}", "\"stop\""), "[DONE]"},
     NULL},
    {"invalid UTF-8", {ONE("{\"content\":\"\xff\"}", "\"stop\""), "[DONE]"}, NULL},
};

static void test_streams(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        const struct stream *st = &streams[i];
        struct chat_assemble *a = chat_assemble_new(1 << 20);
        for (size_t k = 0; k < 12 && st->events[k] != NULL; k++)
            chat_assemble_feed(a, str_of(st->events[k]));
        struct buf out;
        buf_init(&out, 1 << 20);
        int rc = chat_assemble_finish(a, &out);
        buf_add_byte(&out, '\0');
        if (rc != (st->answer == NULL ? -1 : 0))
            fail_msg("%s: %d", st->name, rc);
        if (st->answer != NULL) {
            struct json_object *got = json_tokener_parse(out.p), *want = json_tokener_parse(st->answer);
            assert_non_null(want);
            if (got == NULL || !json_object_equal(got, want))
                fail_msg("%s:\n%s\n%s", st->name, out.p, st->answer);
            json_object_put(got);
            json_object_put(want);
        }
        assert_int_equal(chat_assemble_finish(a, &out), -1); /* only once */
        chat_assemble_free(&a);
        assert_null(a);
        buf_free(&out);
    }
}

static void test_numbers_are_kept(void **state)
{
    (void)state;
    struct chat_assemble *a = chat_assemble_new(1 << 20);
    chat_assemble_feed(
        a, STR(CHUNK "\"x\":0.30000000000000004,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a/b\"},"
                     "\"finish_reason\":\"stop\"}]}"));
    chat_assemble_feed(a, STR("[DONE]"));
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(chat_assemble_finish(a, &out), 0);
    assert_non_null(memmem(out.p, out.n, "\"x\":0.30000000000000004,", 24));
    assert_non_null(memmem(out.p, out.n, "a/b", 3));
    chat_assemble_free(&a);
    buf_free(&out);
}

/* Gives up at the bound, and not long before it: events weigh what is held of them, not what they are. */
static void test_bound(void **state)
{
    (void)state;
    for (int pieces = 4000; pieces <= 40000; pieces += 36000) {
        struct chat_assemble *a = chat_assemble_new(65536);
        int rc = chat_assemble_feed(a, STR(ONE("{\"role\":\"assistant\",\"content\":\"\"}", "null")));
        for (int i = 0; i < pieces && rc == 0; i++)
            rc = chat_assemble_feed(a, STR(ONE("{\"content\":\"1234567890\"}", "null")));
        chat_assemble_feed(a, STR(ONE("{}", "\"stop\"")));
        chat_assemble_feed(a, STR("[DONE]"));
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_int_equal(rc, pieces == 4000 ? 0 : -1);
        assert_int_equal(chat_assemble_finish(a, &out), rc);
        chat_assemble_free(&a);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_numbers_are_kept),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

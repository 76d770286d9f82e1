/* Streams as providers send them, put together; and what must not pass for a complete answer. */
#include "stream_join.h"

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
    {"reasoning in details: neighbours of a kind are one, what is encrypted stays apart",
     {ONE("{\"role\":\"assistant\",\"reasoning_details\":[]}", "null"),
      ONE("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"How\",\"format\":\"f1\",\"index\":"
          "0}]}",
          "null"),
      ONE("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\" "
          "so\",\"format\":\"f1\",\"index\":0}]}",
          "null"),
      ONE("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":\"s\",\"format\":\"f1\","
          "\"index\":"
          "0},{\"type\":\"reasoning.text\",\"text\":\"2nd\",\"index\":1}]}",
          "null"),
      ONE("{\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"d\",\"index\":1},{\"type\":"
          "\"reasoning.encrypted\",\"data\":\"e\",\"index\":1}]}",
          "null"),
      ONE("{\"content\":\"x\"}", "\"stop\""), "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"message\":{\"role\":\"assistant\",\"content\":\"x\",\"reasoning_details\":[{\"type\":\"reasoning."
     "text\","
     "\"text\":\"How "
     "so\",\"format\":\"f1\",\"signature\":\"s\",\"index\":0},{\"type\":\"reasoning.text\",\"text\":"
     "\"2nd\",\"index\":1},{\"type\":\"reasoning.encrypted\",\"data\":\"d\",\"index\":1},{\"type\":"
     "\"reasoning.encrypted\",\"data\":\"e\",\"index\":1}]},\"logprobs\":null,\"finish_reason\":\"stop\"}]}"},
    {"tools that the provider ran, told twice",
     {ONE("{\"executed_tools\":[{\"index\":0,\"type\":\"search\",\"arguments\":\"{}\",\"search_results\":{"
          "\"results\":[]}}]}",
          "null"),
      ONE("{\"executed_tools\":[{\"index\":0,\"type\":\"search\",\"arguments\":\"{}\",\"output\":\"o\","
          "\"search_results\":{\"results\":[{\"url\":\"u\"}]}}]}",
          "\"stop\""),
      "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"message\":{\"content\":null,\"executed_tools\":[{\"index\":0,\"type\":\"search\",\"arguments\":\"{}"
     "\","
     "\"output\":\"o\",\"search_results\":{\"results\":[{\"url\":\"u\"}]}}]},\"logprobs\":null,\"finish_"
     "reason\":"
     "\"stop\"}]}"},
    {"its name is what the first chunk calls it that has one, its usage the last one's",
     {"{\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\",\"choices\":[],\"usage\":{\"early\":1}}",
      ONE("{\"content\":\"x\"}", "\"stop\""),
      "{\"id\":\"stub\",\"created\":9,\"model\":\"n\",\"p\":\"abc\",\"choices\":[],\"usage\":{\"late\":2}}",
      "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"message\":{\"content\":\"x\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"late\":2}"
     "}"},
    {"a choice's index that is none",
     {CHUNK "\"choices\":[{\"index\":1e9,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}",
      "[DONE]"},
     NULL},
    {"a negative one",
     {CHUNK "\"choices\":[{\"index\":-1,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}",
      "[DONE]"},
     NULL},
    {"a call's index that leaves no room for another",
     {ONE("{\"tool_calls\":[{\"index\":9223372036854775807,\"id\":\"a\"}]}", "null"),
      ONE("{\"tool_calls\":[{\"id\":\"b\"}]}", "\"tool_calls\""), "[DONE]"},
     NULL},
    {"a text told twice in a breath",
     {ONE("{\"content\":\"a\",\"content\":\"b\"}", "\"stop\""), "[DONE]"},
     NULL},
    {"a name that has to be decoded", {ONE("{\"c\\u006fntent\":\"a\"}", "\"stop\""), "[DONE]"}, NULL},
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
    {"a text that repeats itself is no repetition of a whole",
     {ONE("{\"role\":\"assistant\",\"content\":\"ha\"}", "null"), ONE("{\"content\":\"ha\"}", "null"),
      ONE("{\"content\":\"ha\"}", "\"stop\""), "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"message\":"
     "{\"role\":\"assistant\",\"content\":\"hahaha\"},\"logprobs\":null,\"finish_reason\":\"stop\"}]}"},
    {"vendors' ways: no object, an empty one, the whole message beside the delta, a word that comes again, "
     "two "
     "signatures",
     {"{\"id\":\"\",\"object\":\"\",\"choices\":[]}",
      "{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\",\"extra_content\":{\"google\":{"
      "\"thought_signature\":\"QQ==\"}}},\"message\":{\"content\":\"a\"},\"native\":\"x\",\"finish_reason\":"
      "null}]}",
      "{\"id\":\"c1\",\"object\":\"chat.completion.done\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
      "\"b\",\"extra_content\":{\"google\":{\"thought_signature\":\"Qg==\"}}},\"message\":{\"content\":"
      "\"ab\"},"
      "\"native\":\"x\",\"finish_reason\":\"stop\"}],\"usage\":null}",
      "[DONE]"},
     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"content\":"
     "\"ab\","
     "\"extra_content\":{\"google\":{\"thought_signature\":\"Qg==\"}}},\"finish_reason\":\"stop\",\"native\":"
     "\"x\",\"logprobs\":null}]}"},
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

static const struct stream completions[] = {
    {"text completion",
     {TEXT "\"choices\":[{\"index\":0,\"text\":\"on\",\"logprobs\":null,\"finish_reason\":null}]}",
      TEXT "\"choices\":[{\"index\":0,\"text\":\"ce\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}",
      " [DONE] "},
     "{\"id\":\"t1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
     "\"text\":"
     "\"once\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}"},
    {"a chat's", {ONE("{\"content\":\"a\"}", "\"stop\""), "[DONE]"}, NULL},
};

#define START                                                                                               \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":"              \
    "\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"new\":[1]," \
    "\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":2,\"output_tokens\":1,\"service_tier\":"     \
    "\"standard\"}}}"
#define BLOCK(i, block) "{\"type\":\"content_block_start\",\"index\":" i ",\"content_block\":" block "}"
#define DELTA(i, delta) "{\"type\":\"content_block_delta\",\"index\":" i ",\"delta\":" delta "}"
#define END(i)          "{\"type\":\"content_block_stop\",\"index\":" i "}"
#define ENDS(reason)                                                   \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason \
    "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":30,\"input_tokens\":9}}"
#define STOP "{\"type\":\"message_stop\"}"
#define HEAD                                                                                                \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"new\":[1],"            \
    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":2,\"output_tokens\":" \
    "30,\"service_tier\":\"standard\"},"

static const struct stream messages[] = {
    {"thinking, its signature, and two calls",
     {START, BLOCK("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"),
      DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"so \"}"),
      DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"so\"}"),
      DELTA("0", "{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}"),
      BLOCK("1", "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}"),
      DELTA("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\\\"\\\\u00\"}"),
      DELTA("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"fc\\\"}\"}"),
      BLOCK("2", "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}"), END("2"),
      ENDS("tool_use"), STOP},
     HEAD "\"stop_reason\":\"tool_use\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"so so\","
          "\"signature\":\"c2ln\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"a\":"
          "\"ü\"}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}]}"},
    {"citations; a hosted tool's result, and a block of tomorrow, as they are",
     {START,
      BLOCK("0", "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s\",\"content\":[{\"x\":1}]}"),
      END("0"), BLOCK("1", "{\"type\":\"text\",\"text\":\"\",\"citations\":[]}"), "{\"type\":\"ping\"}",
      DELTA("1", "{\"type\":\"citations_delta\",\"citation\":{\"url\":\"u\"}}"),
      DELTA("1", "{\"type\":\"text_delta\",\"text\":\"yes\"}"),
      BLOCK("2", "{\"type\":\"new\",\"content\":null}"),
      DELTA("2", "{\"type\":\"new_delta\",\"content\":\"n\"}"),
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
      "\"container\":"
      "{\"id\":\"c\"}},\"usage\":{\"output_tokens\":30},\"context_management\":{\"applied_edits\":[]}}",
      STOP},
     HEAD
     "\"stop_reason\":\"end_turn\",\"container\":{\"id\":\"c\"},\"context_management\":{\"applied_edits\":"
     "[]},\"content\":[{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s\",\"content\":[{\"x\":1}]},"
     "{\"type\":\"text\",\"text\":\"yes\",\"citations\":[{\"url\":\"u\"}]},{\"type\":\"new\",\"content\":"
     "\"n\"}]}"},
    {"no message_stop", {START, ENDS("end_turn")}, NULL},
    {"an error", {START, "{\"type\":\"error\",\"error\":{}}", ENDS("end_turn"), STOP}, NULL},
    {"an event of tomorrow", {START, "{\"type\":\"message_more\"}", ENDS("end_turn"), STOP}, NULL},
    {"no message_start", {ENDS("end_turn"), STOP}, NULL},
    {"begun twice", {START, START, ENDS("end_turn"), STOP}, NULL},
    {"a block that never began", {START, DELTA("0", "{\"text\":\"a\"}"), ENDS("end_turn"), STOP}, NULL},
    {"a call cut short",
     {START, BLOCK("0", "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"),
      DELTA("0", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}"), ENDS("max_tokens"),
      STOP},
     NULL},
    {"an index that is none", {START, BLOCK("-1", "{\"type\":\"text\"}"), STOP}, NULL},
};

#define RESPONSE "{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"id\":\"m\"}]}"
#define ITEM     "{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"id\":\"m\"}}"

static const struct stream responses[] = {
    {"the last event says it all",
     {"{\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}", ITEM,
      "{\"type\":\"response.completed\",\"response\":" RESPONSE "}"},
     RESPONSE},
    {"incomplete, too", {"{\"type\":\"response.incomplete\",\"response\":" RESPONSE "}"}, RESPONSE},
    {"no end", {"{\"type\":\"response.created\",\"response\":" RESPONSE "}", ITEM}, NULL},
    {"failed", {"{\"type\":\"response.failed\",\"response\":" RESPONSE "}"}, NULL},
    {"an error",
     {"{\"type\":\"error\"}", "{\"type\":\"response.completed\",\"response\":" RESPONSE "}"},
     NULL},
    {"the end leaves items out",
     {ITEM, ITEM, "{\"type\":\"response.completed\",\"response\":" RESPONSE "}"},
     NULL},
    {"no JSON", {"[]", "{\"type\":\"response.completed\",\"response\":" RESPONSE "}"}, NULL},
};

#define PARTS(parts) "{\"candidates\":[{\"content\":{\"parts\":[" parts "],\"role\":\"model\"},\"index\":0}]}"

static const struct stream generated[] = {
    {"thoughts, texts, calls and their signatures",
     {PARTS("{\"text\":\"hm\",\"thought\":true}"), PARTS("{\"text\":\"m\",\"thought\":true}"),
      PARTS("{\"text\":\"Yes\"}"),
      PARTS("{\"text\":\", sir\"},{\"text\":\"!\",\"thoughtSignature\":\"QQ==\"}"),
      PARTS("{\"text\":\" b\"}"),
      PARTS("{\"functionCall\":{\"name\":\"f\",\"args\":{}},\"thoughtSignature\":\"Qg==\"}"),
      "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":"
      "\"STOP\","
      "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":4,\"totalTokenCount\":9},\"modelVersion\":"
      "\"v\"}"},
     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hmm\",\"thought\":true},{\"text\":\"Yes, sir\"},"
     "{\"text\":\"!\",\"thoughtSignature\":\"QQ==\"},{\"text\":\" b\"},{\"functionCall\":{\"name\":\"f\","
     "\"args\":{}},\"thoughtSignature\":\"Qg==\"}],\"role\":\"model\"},\"index\":0,\"finishReason\":\"STOP\"}"
     "],"
     "\"usageMetadata\":{\"promptTokenCount\":4,\"totalTokenCount\":9},\"modelVersion\":\"v\"}"},
    {"what stands beside the parts: replaced, joined, or the same again",
     {"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"logprobsResult\":{\"chosenCandidates\":"
      "[1]},"
      "\"groundingMetadata\":{\"webSearchQueries\":[\"q\"],\"groundingChunks\":[{\"c\":1}]},\"new\":\"x\"}],"
      "\"usageMetadata\":{\"promptTokensDetails\":[1],\"thoughtsTokenCount\":3}}",
      "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"logprobsResult\":{\"chosenCandidates\":"
      "[1]},"
      "\"groundingMetadata\":{\"webSearchQueries\":[\"q\",\"r\"],\"groundingChunks\":[{\"c\":2}]},\"new\":"
      "\"y\","
      "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokensDetails\":[2]}}"},
     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"ab\"}]},\"logprobsResult\":{\"chosenCandidates\":"
     "[1,1]},\"groundingMetadata\":{\"webSearchQueries\":[\"q\",\"r\"],\"groundingChunks\":[{\"c\":1},{\"c\":"
     "2}]},"
     "\"new\":\"y\",\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokensDetails\":[2]}}"},
    {"two candidates",
     {"{\"candidates\":[{\"index\":1,\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}",
      "{\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"text\":\"\"}]}}]}"},
     "{\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"text\":\"\"}]}},{\"index\":1,\"content\":{"
     "\"parts\":[{\"text\":\"b\"}]}}]}"},
    {"an error", {PARTS("{\"text\":\"a\"}"), "{\"error\":{\"code\":503}}"}, NULL},
    {"a candidate that is none", {"{\"candidates\":[7]}"}, NULL},
    {"nothing", {NULL}, NULL},
};

static void check(const struct stream *st, enum endpoint e)
{
    struct stream_join *j = stream_join_new(e, false, 1 << 20);
    struct buf out;
    for (size_t k = 0; k < 12 && st->events[k] != NULL; k++)
        stream_join_event(j, str_of(st->events[k]));
    buf_init(&out, 1 << 20);
    int rc = stream_join_finish(j, &out);
    buf_add_byte(&out, '\0');
    if (rc != (st->answer == NULL ? -1 : 0))
        fail_msg("%s: %d", st->name, rc);
    if (st->answer != NULL) {
        struct json_object *got = json_tokener_parse(out.p), *want = json_tokener_parse(st->answer);
        if (want == NULL || got == NULL || !json_object_equal(got, want))
            fail_msg("%s:\n%s\n%s", st->name, out.p, st->answer);
        json_object_put(got);
        json_object_put(want);
    }
    assert_int_equal(stream_join_finish(j, &out), -1); /* only once */
    stream_join_free(&j);
    assert_null(j);
    buf_free(&out);
}

#define CHECK(list, endpoint)                                     \
    for (size_t i = 0; i < sizeof(list) / sizeof((list)[0]); i++) \
    check(&(list)[i], endpoint)

static void test_streams(void **state)
{
    (void)state;
    CHECK(streams, EP_CHAT);
    CHECK(completions, EP_COMPLETIONS);
    CHECK(messages, EP_MESSAGES);
    CHECK(responses, EP_RESPONSES);
    CHECK(generated, EP_GENERATE);
    assert_null(stream_join_new(EP_EMBEDDINGS, false, 1000));
}

/* Objects of hundreds of members that come again and again would take their time; one that comes once is only
 * kept. */
static void test_names(void **state)
{
    (void)state;
    struct buf chunk, out;
    buf_init(&chunk, 1 << 20);
    buf_init(&out, 1 << 20);
    buf_add(&chunk,
            STR(CHUNK "\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"delta\":{\"x\":{\"a\":0"));
    for (int i = 0; i < 1000; i++)
        buf_printf(&chunk, ",\"a%d\":0", i);
    buf_add(&chunk, STR("}}}]}"));
    for (int times = 1; times <= 2; times++) {
        struct stream_join *j = stream_join_new(EP_CHAT, false, 1 << 20);
        for (int i = 0; i < times; i++)
            stream_join_event(j, buf_str(&chunk));
        stream_join_event(j, STR("[DONE]"));
        assert_int_equal(stream_join_finish(j, &out), times == 1 ? 0 : -1);
        stream_join_free(&j);
    }
    buf_free(&out);
    buf_free(&chunk);
}

/* An array's elements are events, and an event's bytes may be cut anywhere. */
static void test_bytes(void **state)
{
    (void)state;
    static const char array[] = "[" PARTS("{\"text\":\"a\"}") "\n,\r\n" PARTS("{\"text\":\"b\"}") "\n]";
    static const char events[] =
        ": ping\n\ndata: " PARTS("{\"text\":\"a\"}") "\r\n\r\ndata: " PARTS("{\"text\":\"b\"}") "\r\n\r\n";
    for (int a = 0; a < 2; a++)
        for (size_t n = 1; n < 40; n += 13) {
            struct str rest = a ? STR(array) : STR(events);
            struct stream_join *j = stream_join_new(EP_GENERATE, a, 4096);
            struct buf out;
            buf_init(&out, 4096);
            while (rest.n > 0) {
                size_t k = n < rest.n ? n : rest.n;
                stream_join_bytes(j, (struct str){rest.p, k});
                rest.p += k, rest.n -= k;
            }
            assert_int_equal(stream_join_finish(j, &out), 0);
            assert_true(str_eq(buf_str(&out), STR(PARTS("{\"text\":\"ab\"}"))));
            buf_free(&out);
            stream_join_free(&j);
        }
    struct stream_join *j = stream_join_new(EP_GENERATE, true, 4096);
    struct buf out;
    buf_init(&out, 4096);
    stream_join_bytes(j, STR("[" PARTS("{\"text\":\"a\"}") ","));
    assert_int_equal(stream_join_finish(j, &out), -1);
    stream_join_free(&j);
}

static void test_numbers_are_kept(void **state)
{
    (void)state;
    struct stream_join *a = stream_join_new(EP_CHAT, false, 1 << 20);
    stream_join_event(
        a, STR(CHUNK "\"x\":0.30000000000000004,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a/b\"},"
                     "\"finish_reason\":\"stop\"}]}"));
    stream_join_event(a, STR("[DONE]"));
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(stream_join_finish(a, &out), 0);
    assert_non_null(memmem(out.p, out.n, "\"x\":0.30000000000000004,", 24));
    assert_non_null(memmem(out.p, out.n, "a/b", 3));
    stream_join_free(&a);
    buf_free(&out);
}

/* Gives up at the bound, and not long before it: events weigh what is held of them, not what they are. */
static void test_bound(void **state)
{
    (void)state;
    for (int pieces = 4000; pieces <= 40000; pieces += 36000) {
        struct stream_join *a = stream_join_new(EP_CHAT, false, 65536);
        stream_join_event(a, STR(ONE("{\"role\":\"assistant\",\"content\":\"\"}", "null")));
        for (int i = 0; i < pieces; i++)
            stream_join_event(a, STR(ONE("{\"content\":\"1234567890\"}", "null")));
        stream_join_event(a, STR(ONE("{}", "\"stop\"")));
        stream_join_event(a, STR("[DONE]"));
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_int_equal(stream_join_finish(a, &out), pieces == 4000 ? 0 : -1);
        stream_join_free(&a);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),          cmocka_unit_test(test_names), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_numbers_are_kept), cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Told as a stream and put together again, an answer is what it was: for answers of all shapes, made at
 * random. */
#include "stream_tell.h"

#include "json_tree.h"
#include "sse.h"
#include "stream_join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned seed;

static unsigned draw(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

static json *random_text(unsigned most)
{
    static const char *const letters[] = {"a", "B", " ", "\n",   "\"", "\\",     "/",
                                          "ü", "€", "𝄞", "\x01", "{",  "data: ", "\t"};
    char text[4096];
    size_t n = 0;
    for (unsigned k = draw(most); k > 0 && n < sizeof text - 8; k--) {
        const char *l = letters[draw(sizeof letters / sizeof *letters)];
        memcpy(text + n, l, strlen(l));
        n += strlen(l);
    }
    if (draw(10) == 0)
        text[n++] = '\0';
    return json_object_new_string_len(text, (int)n);
}

static json *random_value(int depth)
{
    switch (draw(depth > 0 ? 7 : 5)) {
    case 0:
        return NULL;
    case 1:
        return json_object_new_boolean(draw(2) == 0);
    case 2:
        return json_object_new_int64((int64_t)draw(1000000) - 500000);
    case 3:
        return json_object_new_double((double)draw(1000000) / 8);
    case 4:
        return random_text(20);
    case 5: {
        json *array = json_object_new_array();
        for (unsigned n = draw(3); n > 0; n--)
            json_object_array_add(array, random_value(depth - 1));
        return array;
    }
    default: {
        json *object = json_object_new_object();
        static const char *const keys[] = {"k", "text", "index", "id", "ü"};
        for (unsigned n = draw(4); n > 0; n--)
            json_object_object_add(object, keys[draw(5)], random_value(depth - 1));
        return object;
    }
    }
}

static json *random_calls(void)
{
    json *calls = json_object_new_array();
    for (unsigned n = draw(4); n > 0; n--) {
        json *call = json_object_new_object(), *function = json_object_new_object();
        json_object_object_add(call, "id", random_text(10));
        json_object_object_add(call, "type", json_object_new_string("function"));
        json_object_object_add(function, "name", random_text(10));
        json_object_object_add(function, "arguments", random_text(300));
        if (draw(4) == 0)
            json_object_object_add(function, "more", random_value(2));
        json_object_object_add(call, "function", function);
        if (draw(4) == 0)
            json_object_object_add(call, "thought_signature", random_text(30));
        json_object_array_add(calls, call);
    }
    return calls;
}

static json *random_logprobs(void)
{
    if (draw(2) == 0)
        return NULL;
    json *l = json_object_new_object(), *content = json_object_new_array();
    for (unsigned n = draw(5); n > 0; n--)
        json_object_array_add(content, random_value(2));
    json_object_object_add(l, "content", content);
    json_object_object_add(l, "refusal", NULL);
    return l;
}

static json *random_message(void)
{
    json *m = json_object_new_object();
    json_object_object_add(m, "role", json_object_new_string("assistant"));
    json_object_object_add(m, "content", draw(4) == 0 ? NULL : random_text(600));
    if (draw(2))
        json_object_object_add(m, "refusal", draw(2) ? NULL : random_text(200));
    if (draw(3) == 0)
        json_object_object_add(m, "reasoning_content", random_text(400));
    if (draw(2))
        json_object_object_add(m, "tool_calls", random_calls());
    if (draw(4) == 0)
        json_object_object_add(m, "function_call",
                               json_tokener_parse("{\"name\":\"f\",\"arguments\":\"{}\"}"));
    if (draw(4) == 0)
        json_object_object_add(m, "annotations", random_value(3));
    if (draw(6) == 0)
        json_object_object_add(
            m,
            "a name that is longer than any real one has ever been, as nobody would write a "
            "member's name that long in earnest, would they",
            random_text(300));
    return m;
}

static json *random_choice(bool chat, int index)
{
    static const char *const reasons[] = {"stop", "length", "tool_calls", "content_filter"};
    json *c = json_object_new_object();
    json_object_object_add(c, "index", json_object_new_int(index));
    json_object_object_add(c, chat ? "message" : "text", chat ? random_message() : random_text(600));
    json_object_object_add(c, "logprobs", random_logprobs());
    if (draw(5) == 0)
        json_object_object_add(c, "content_filter_results", random_value(2));
    json_object_object_add(c, "finish_reason", json_object_new_string(reasons[draw(4)]));
    return c;
}

static json *random_answer(void)
{
    bool chat = draw(4) != 0;
    json *a = json_object_new_object(), *choices = json_object_new_array();
    json_object_object_add(a, "id", random_text(20));
    json_object_object_add(a, "object", json_object_new_string(chat ? "chat.completion" : "text_completion"));
    json_object_object_add(a, "created", json_object_new_int64(1700000000 + draw(1000)));
    json_object_object_add(a, "model", random_text(20));
    if (draw(2))
        json_object_object_add(a, "system_fingerprint", random_text(10));
    for (int i = 0, n = 1 + (int)draw(3); i < n; i++)
        json_object_array_add(choices, random_choice(chat, i));
    json_object_object_add(a, "choices", choices);
    json_object_object_add(
        a, "usage",
        json_tokener_parse("{\"prompt_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":0}}"));
    return a;
}

/* What the events must be, whatever the answer: JSON in one line each, and one end. */
static void check_events(enum endpoint e, struct str bytes, int told)
{
    struct sse_reader sse;
    struct sse_event ev;
    int n = 0, done = 0, usages = 0;
    sse_init(&sse);
    for (; bytes.n > 0; bytes.p++, bytes.n--) {
        assert_int_equal(sse_feed(&sse, (struct str){bytes.p, 1}), 0);
        while (sse_next(&sse, &ev) == 1) {
            struct error err;
            assert_int_equal(done, 0);
            if (str_eq(ev.data, STR("[DONE]"))) {
                done++;
                continue;
            }
            n++;
            if (json_validate(ev.data, &err) != 0)
                fail_msg("%s in " STR_FMT, err.text, STR_ARG(ev.data));
            assert_null(memchr(ev.data.p, '\n', ev.data.n));
            if (e == EP_CHAT || e == EP_COMPLETIONS)
                usages += json_member(json_root(ev.data), "usage").type == JSON_OBJECT;
            if (ev.name.n > 0)
                assert_true(str_eq(json_text(json_member(json_root(ev.data), "type"), NULL), ev.name));
        }
    }
    assert_int_equal(sse_pending(&sse), 0);
    assert_int_equal(n, told);
    assert_int_equal(done, e == EP_CHAT || e == EP_COMPLETIONS);
    assert_int_equal(usages, done);
    sse_free(&sse);
}

/* Told and put together again. */
static void check_round_trip(enum endpoint e, struct str text)
{
    struct stream_tell how = {.endpoint = e, .with_usage = true};
    struct arena arena;
    struct buf out, again;
    arena_init(&arena);
    buf_init(&out, 1 << 24);
    buf_init(&again, 1 << 22);
    struct stream_join *j = stream_join_new(e, false, 1 << 22);
    int n = stream_tell(&how, text, &arena, &out);
    if (n < 0)
        fail_msg("can't be told: " STR_FMT, STR_ARG(text));
    stream_join_bytes(j, buf_str(&out));
    if (stream_join_finish(j, &again) < 0)
        fail_msg("can't be put together: " STR_FMT, STR_ARG(text));
    buf_add_byte(&again, '\0');
    json *got = json_tokener_parse(again.p), *want = json_tokener_parse(text.p);
    if (got == NULL || !json_object_equal(got, want))
        fail_msg("seed %u:\n" STR_FMT "\n%s", seed, STR_ARG(text), again.p);
    json_object_put(got);
    json_object_put(want);
    check_events(e, buf_str(&out), n);
    stream_join_free(&j);
    buf_free(&out);
    buf_free(&again);
    arena_fini(&arena);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned start = 1; start < 1500; start++) {
        seed = start;
        json *want = random_answer();
        json *object = json_object_object_get(want, "object");
        bool chat = strcmp(json_object_get_string(object), "chat.completion") == 0;
        seed = start;
        check_round_trip(chat ? EP_CHAT : EP_COMPLETIONS,
                         str_of(json_object_to_json_string_ext(want, start % 2 ? JSON_C_TO_STRING_PLAIN
                                                                               : JSON_C_TO_STRING_PRETTY)));
        json_object_put(want);
    }
}

/* ---- Anthropic */

static json *random_block(void)
{
    static const char *const types[] = {"text",     "thinking",        "redacted_thinking",
                                        "tool_use", "server_tool_use", "web_search_tool_result"};
    const char *type = types[draw(6)];
    json *b = json_object_new_object();
    json_object_object_add(b, "type", json_object_new_string(type));
    if (strcmp(type, "text") == 0) {
        json_object_object_add(b, "text", random_text(500));
        if (draw(2)) {
            json *list = json_object_new_array();
            for (unsigned n = draw(3); n > 0; n--)
                json_object_array_add(list, json_tokener_parse("{\"type\":\"page_location\",\"n\":[1.0]}"));
            json_object_object_add(b, "citations", list);
        }
    } else if (strcmp(type, "thinking") == 0) {
        json_object_object_add(b, "thinking", random_text(500));
        json_object_object_add(b, "signature", random_text(90));
    } else if (strstr(type, "_use")) {
        json *input = json_object_new_object();
        json_object_object_add(b, "id", random_text(10));
        json_object_object_add(b, "name", random_text(10));
        for (unsigned n = draw(3); n > 0; n--)
            json_object_object_add(input, n == 1 ? "a" : "b\"", random_value(3));
        json_object_object_add(b, "input", input);
    } else {
        json_object_object_add(b, "data", random_text(50));
        json_object_object_add(b, "content", random_value(3));
    }
    if (draw(4) == 0)
        json_object_object_add(b, "extra_content", random_value(2));
    return b;
}

static json *random_message_answer(void)
{
    json *m = json_tokener_parse(
        "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],"
        "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,"
        "\"cache_creation\":{\"ephemeral_5m_input_tokens\":2},\"output_tokens\":7,\"service_tier\":\"x\"}}");
    for (unsigned n = draw(5); n > 0; n--)
        json_object_array_add(json_object_object_get(m, "content"), random_block());
    if (draw(3) == 0)
        json_object_object_add(m, "container", json_tokener_parse("{\"id\":\"c\"}"));
    if (draw(3) == 0)
        json_object_object_add(m, "context_management", json_tokener_parse("{\"applied_edits\":[]}"));
    if (draw(3) == 0)
        json_object_object_add(m, "new", random_value(2));
    return m;
}

static void test_messages(void **state)
{
    (void)state;
    for (unsigned start = 1; start < 1500; start++) {
        seed = start;
        json *want = random_message_answer();
        seed = start;
        check_round_trip(EP_MESSAGES,
                         str_of(json_object_to_json_string_ext(want, start % 2 ? JSON_C_TO_STRING_PLAIN
                                                                               : JSON_C_TO_STRING_PRETTY)));
        json_object_put(want);
    }
}

/* ---- what one answer becomes, so that a change of the form is seen */

static void check_form(struct stream_tell how, struct str answer, const char *want)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena);
    buf_init(&out, 1 << 16);
    assert_true(stream_tell(&how, answer, &arena, &out) > 0);
    buf_add_byte(&out, '\0');
    assert_string_equal(out.p, want);
    buf_free(&out);
    arena_fini(&arena);
}

#define ANSWER                                                                                              \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0," \
    "\"message\":{\"role\":\"assistant\",\"content\":\"Hi\",\"refusal\":null},\"logprobs\":null,"           \
    "\"finish_reason\":\"stop\"}],\"usage\":{\"total_tokens\":3}}"
#define CHUNK \
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":["
#define CHOICE CHUNK "{\"index\":0,"
#define FIRST  CHOICE "\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,"
#define TEXT   CHOICE "\"delta\":{\"content\":\"Hi\"},\"logprobs\":null,"
#define LAST   CHOICE "\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]"

static void test_form_of_chat(void **state)
{
    (void)state;
    check_form((struct stream_tell){.endpoint = EP_CHAT}, STR(ANSWER),
               FIRST "\"finish_reason\":null}]}\n\n" TEXT "\"finish_reason\":null}]}\n\n" LAST
                     "}\n\ndata: [DONE]\n\n");
    check_form((struct stream_tell){.endpoint = EP_CHAT, .with_usage = true}, STR(ANSWER),
               FIRST "\"finish_reason\":null}],\"usage\":null}\n\n" TEXT
                     "\"finish_reason\":null}],\"usage\":null}\n\n" LAST ",\"usage\":null}\n\n" CHUNK
                     "],\"usage\":{\"total_tokens\":3}}\n\ndata: [DONE]\n\n");
}

/* What is long is told with the first event and with the last one of the choices. */
static void test_long_members(void **state)
{
    (void)state;
    struct arena arena;
    struct buf answer, out;
    char sources[300], text[1000];
    arena_init(&arena);
    buf_init(&answer, 1 << 16);
    buf_init(&out, 1 << 16);
    memset(sources, 's', sizeof sources);
    memset(text, 't', sizeof text);
    buf_printf(&answer, "{\"object\":\"chat.completion\",\"sources\":[\"%.300s\"],\"choices\":[", sources);
    for (int i = 0; i < 2; i++)
        buf_printf(&answer, "%s{\"message\":{\"content\":\"%.1000s\"},\"finish_reason\":\"stop\"}",
                   i ? "," : "", text);
    buf_add(&answer, STR("],\"usage\":{}}"));
    struct stream_tell how = {.endpoint = EP_CHAT, .with_usage = true};
    assert_true(stream_tell(&how, buf_str(&answer), &arena, &out) > 10);
    struct str events = buf_str(&out), first, line;
    size_t n = 0, told = 0;
    assert_true(str_split(&events, '\n', &first));
    assert_non_null(memmem(first.p, first.n, "\"sources\"", 9));
    while (str_split(&events, '\n', &line)) {
        bool has = line.n > 0 && memmem(line.p, line.n, "\"sources\"", 9);
        bool ends = line.n > 0 && memmem(line.p, line.n, "\"finish_reason\":\"stop\"", 22);
        n += ends;
        told += has;
        assert_int_equal(has, ends && n == 2);
    }
    assert_int_equal(told, 1);
    buf_free(&out);
    buf_free(&answer);
    arena_fini(&arena);
}

static void test_form_of_google(void **state)
{
    (void)state;
    check_form((struct stream_tell){.endpoint = EP_GENERATE}, STR("{\n\"candidates\":[]}"),
               "data: { \"candidates\":[]}\r\n\r\n");
    check_form((struct stream_tell){.endpoint = EP_GENERATE, .array = true}, STR("{\"candidates\":[]}"),
               "[{\"candidates\":[]}\n]");
}

/* An event: what stands behind its type, and behind its number where there is one. */
struct told {
    const char *name, *rest;
};

static void check_told(enum endpoint e, struct str answer, const struct told *list, size_t n, bool numbered)
{
    char want[16384] = "";
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(want + at, sizeof want - at, "event: %s\ndata: {\"type\":\"%s\"", list[i].name,
                               list[i].name);
        if (numbered)
            at += (size_t)snprintf(want + at, sizeof want - at, ",\"sequence_number\":%zu", i);
        at += (size_t)snprintf(want + at, sizeof want - at, "%s}\n\n", list[i].rest);
    }
    check_form((struct stream_tell){.endpoint = e}, answer, want);
    check_round_trip(e, answer);
}

#define SUMMARY(text) "{\"type\":\"summary_text\",\"text\":\"" text "\"}"
#define CALL          "{\"id\":\"fc\",\"type\":\"function_call\",\"name\":\"f\""
#define PART          "{\"type\":\"output_text\",\"text\":\"Hi\",\"annotations\":[{\"a\":1}]}"
#define NO            "{\"type\":\"refusal\",\"refusal\":\"No\"}"
#define SEARCH        "{\"id\":\"ws\",\"type\":\"web_search_call\"}"
#define REASONING     "{\"id\":\"rs\",\"type\":\"reasoning\",\"summary\":["
#define CALLED        CALL ",\"arguments\":\"{}\",\"status\":\"completed\"}"
#define MESSAGE       "{\"id\":\"m\",\"type\":\"message\",\"content\":["
#define RESPONSE                                                                                     \
    "{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"output\":[" REASONING SUMMARY( \
        "hm") "]}," CALLED "," MESSAGE PART "," NO "]}," SEARCH "],\"usage\":{\"input_tokens\":1}}"
#define BEGUN                                                                                                \
    ",\"response\":{\"id\":\"r\",\"object\":\"response\",\"status\":\"in_progress\",\"output\":[],\"usage\"" \
    ":null}"

static void test_form_of_responses(void **state)
{
    (void)state;
    static const struct told list[] = {
        {"response.created", BEGUN},
        {"response.in_progress", BEGUN},
        {"response.output_item.added", ",\"output_index\":0,\"item\":" REASONING "]}"},
        {"response.reasoning_summary_part.added",
         ",\"item_id\":\"rs\",\"output_index\":0,\"summary_index\":0,\"part\":" SUMMARY("")},
        {"response.reasoning_summary_text.delta",
         ",\"item_id\":\"rs\",\"output_index\":0,\"summary_index\":0,\"delta\":\"hm\""},
        {"response.reasoning_summary_text.done",
         ",\"item_id\":\"rs\",\"output_index\":0,\"summary_index\":0,\"text\":\"hm\""},
        {"response.reasoning_summary_part.done",
         ",\"item_id\":\"rs\",\"output_index\":0,\"summary_index\":0,\"part\":" SUMMARY("hm")},
        {"response.output_item.done", ",\"output_index\":0,\"item\":" REASONING SUMMARY("hm") "]}"},
        {"response.output_item.added",
         ",\"output_index\":1,\"item\":" CALL ",\"status\":\"in_progress\",\"arguments\":\"\"}"},
        {"response.function_call_arguments.delta", ",\"item_id\":\"fc\",\"output_index\":1,\"delta\":\"{}\""},
        {"response.function_call_arguments.done",
         ",\"item_id\":\"fc\",\"output_index\":1,\"name\":\"f\",\"arguments\":\"{}\""},
        {"response.output_item.done", ",\"output_index\":1,\"item\":" CALLED},
        {"response.output_item.added", ",\"output_index\":2,\"item\":" MESSAGE "]}"},
        {"response.content_part.added", ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":0,\"part\":{"
                                        "\"type\":\"output_text\",\"text\":"
                                        "\"\",\"annotations\":[]}"},
        {"response.output_text.delta",
         ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":0,\"delta\":\"Hi\",\"logprobs\":[]"},
        {"response.output_text.annotation.added",
         ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":0,\"annotation_index\":0,\"annotation\":{"
         "\"a\":1}"},
        {"response.output_text.done",
         ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":0,\"text\":\"Hi\",\"logprobs\":[]"},
        {"response.content_part.done",
         ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":0,\"part\":" PART},
        {"response.content_part.added", ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":1,\"part\":{"
                                        "\"type\":\"refusal\",\"refusal\":"
                                        "\"\"}"},
        {"response.refusal.delta",
         ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":1,\"delta\":\"No\""},
        {"response.refusal.done",
         ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":1,\"refusal\":\"No\""},
        {"response.content_part.done",
         ",\"item_id\":\"m\",\"output_index\":2,\"content_index\":1,\"part\":" NO},
        {"response.output_item.done", ",\"output_index\":2,\"item\":" MESSAGE PART "," NO "]}"},
        {"response.output_item.added", ",\"output_index\":3,\"item\":" SEARCH},
        {"response.output_item.done", ",\"output_index\":3,\"item\":" SEARCH},
        {"response.completed", ",\"response\":" RESPONSE},
    };
    check_told(EP_RESPONSES, STR(RESPONSE), list, sizeof list / sizeof *list, true);
}

#define BLOCKS                                                                                               \
    "{\"type\":\"message\",\"id\":\"x\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","            \
    "\"signature\":\"c2ln\"},{\"type\":\"tool_use\",\"id\":\"t\",\"input\":{\"a\":1}},{\"type\":\"text\","   \
    "\"text\":\"Hi\",\"citations\":[{\"c\":1}]},{\"type\":\"redacted_thinking\",\"data\":\"d\"}],"           \
    "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"output_tokens\":5,\"input_tokens\":3}" \
    "}"

static void test_form_of_messages(void **state)
{
    (void)state;
    static const struct told list[] = {
        {"message_start", ",\"message\":{\"type\":\"message\",\"id\":\"x\",\"content\":[],\"stop_reason\":"
                          "null,\"stop_sequence\":"
                          "null,\"usage\":{\"input_tokens\":3,\"output_tokens\":0}}"},
        {"ping", ""},
        {"content_block_start",
         ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"},
        {"content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}"},
        {"content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}"},
        {"content_block_stop", ",\"index\":0"},
        {"content_block_start",
         ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"input\":{}}"},
        {"content_block_delta",
         ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}"},
        {"content_block_stop", ",\"index\":1"},
        {"content_block_start",
         ",\"index\":2,\"content_block\":{\"type\":\"text\",\"text\":\"\",\"citations\":[]}"},
        {"content_block_delta", ",\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}"},
        {"content_block_delta",
         ",\"index\":2,\"delta\":{\"type\":\"citations_delta\",\"citation\":{\"c\":1}}"},
        {"content_block_stop", ",\"index\":2"},
        {"content_block_start",
         ",\"index\":3,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"d\"}"},
        {"content_block_stop", ",\"index\":3"},
        {"message_delta",
         ",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5,"
         "\"input_tokens\":3}"},
        {"message_stop", ""},
    };
    check_told(EP_MESSAGES, STR(BLOCKS), list, sizeof list / sizeof *list, false);
}

/* ---- what can't be told */

static void test_not_told(void **state)
{
    (void)state;
    static const struct {
        enum endpoint endpoint;
        const char *answer;
    } others[] = {
        {EP_CHAT, ""},
        {EP_CHAT, "[]"},
        {EP_CHAT, "{}"},
        {EP_CHAT, "{\"object\":\"list\",\"data\":[]}"},
        {EP_CHAT, "{\"object\":\"chat.completion\"}"},
        {EP_CHAT, "{\"object\":\"chat.completion\",\"choices\":[]}"},
        {EP_CHAT, "{\"object\":\"chat.completion\",\"choices\":[1]}"},
        {EP_CHAT,
         "{\"object\":\"chat.completion\",\"choices\":[{\"message\":\"x\",\"finish_reason\":\"stop\"}]}"},
        {EP_CHAT, "{\"object\":\"chat.completion\",\"choices\":[{\"message\":{},\"finish_reason\":null}]}"},
        {EP_COMPLETIONS,
         "{\"object\":\"text_completion\",\"choices\":[{\"message\":{},\"finish_reason\":\"stop\"}]}"},
        {EP_CHAT,
         "{\"object\":\"chat.completion\",\"choices\":[{\"message\":{},\"finish_reason\":\"stop\"}]"},
        {EP_MESSAGES, "{\"type\":\"message\",\"content\":[1],\"stop_reason\":\"end_turn\"}"},
        {EP_MESSAGES, "{\"type\":\"message\",\"content\":[],\"stop_reason\":null}"},
        {EP_RESPONSES, "{\"object\":\"response\",\"status\":\"in_progress\",\"output\":[]}"},
        {EP_RESPONSES, "{\"object\":\"response\",\"status\":\"completed\",\"output\":[null]}"},
        {EP_GENERATE, "{\"promptFeedback\":{}}"},
        {EP_EMBEDDINGS, "{\"data\":[]}"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct stream_tell how = {.endpoint = others[i].endpoint};
        struct arena arena;
        struct buf out;
        arena_init(&arena);
        buf_init(&out, 1 << 16);
        assert_int_equal(stream_tell(&how, str_of(others[i].answer), &arena, &out), -1);
        buf_free(&out);
        buf_init(&out, 16);
        how.endpoint = EP_CHAT;
        assert_int_equal(stream_tell(&how, STR(ANSWER), &arena, &out), -1); /* there is no room */
        buf_free(&out);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_form_of_chat),      cmocka_unit_test(test_form_of_google),
        cmocka_unit_test(test_form_of_responses), cmocka_unit_test(test_form_of_messages),
        cmocka_unit_test(test_not_told),          cmocka_unit_test(test_long_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

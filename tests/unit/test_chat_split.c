/* Told as a stream and put together again, an answer is what it was: for answers of all shapes, made at
 * random. */
#include "chat_assemble.h"
#include "chat_split.h"
#include "json_tree.h"

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

struct seen {
    struct chat_assemble *assemble;
    int events, stop_at, done, usages;
};

static int see(struct str data, void *arg)
{
    struct seen *s = arg;
    struct error err;
    s->events++;
    assert_int_equal(s->done, 0);
    if (str_eq(data, STR("[DONE]")))
        s->done++;
    else if (json_validate(data, &err) < 0)
        fail_msg("%s in " STR_FMT, err.text, STR_ARG(data));
    assert_null(memchr(data.p, '\n', data.n));
    s->usages += memmem(data.p, data.n, "\"usage\":{", 9) != NULL;
    if (s->assemble != NULL)
        assert_int_equal(chat_assemble_feed(s->assemble, data), 0);
    return s->events == s->stop_at;
}

static void test_round_trip(void **state)
{
    (void)state;
    for (seed = 1; seed < 3000; seed += 1) {
        unsigned start = seed;
        json *want = random_answer();
        const char *text = json_object_to_json_string_ext(want, JSON_C_TO_STRING_PLAIN);
        struct seen s = {.assemble = chat_assemble_new(1 << 22)};
        if (chat_split(str_of(text), true, see, &s) < 0)
            fail_msg("can't be split: %s", text);
        assert_int_equal(s.done, 1);
        assert_int_equal(s.usages, 1);
        struct buf out;
        buf_init(&out, 1 << 22);
        if (chat_assemble_finish(s.assemble, &out) < 0)
            fail_msg("can't be put together: %s", text);
        buf_add_byte(&out, '\0');
        json *got = json_tokener_parse(out.p);
        if (got == NULL || !json_object_equal(got, want))
            fail_msg("seed %u:\n%s\n%s", start, text, out.p);
        json_object_put(got);
        json_object_put(want);
        buf_free(&out);
        chat_assemble_free(&s.assemble);
        seed = start;
    }
}

#define ANSWER                                                                                              \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0," \
    "\"message\":{\"role\":\"assistant\",\"content\":\"Hi\",\"refusal\":null},\"logprobs\":null,"           \
    "\"finish_reason\":\"stop\"}],\"usage\":{\"total_tokens\":3}}"

struct collected {
    char text[2048];
};

static int collect(struct str data, void *arg)
{
    struct collected *c = arg;
    size_t n = strlen(c->text);
    snprintf(c->text + n, sizeof c->text - n, STR_FMT "\n", STR_ARG(data));
    return 0;
}

/* The very bytes, so that a change of the form is seen. */
static void test_form(void **state)
{
    (void)state;
    struct collected c = {""};
    assert_int_equal(chat_split(STR(ANSWER), false, collect, &c), 0);
#define HEAD                                                                                          \
    "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{" \
    "\"index\":0,"
    assert_string_equal(
        c.text, HEAD "\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,"
                     "\"finish_reason\":null}]}\n" HEAD
                     "\"delta\":{\"content\":\"Hi\"},\"logprobs\":null,\"finish_reason\":null}]}\n" HEAD
                     "\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n[DONE]\n");
    c.text[0] = '\0';
    assert_int_equal(chat_split(STR(ANSWER), true, collect, &c), 0);
    assert_non_null(strstr(c.text,
                           "\"finish_reason\":\"stop\"}],\"usage\":null}\n{\"id\":\"c\",\"object\":"
                           "\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":"
                           "{\"total_tokens\":3}}\n[DONE]\n"));
}

static void test_not_split(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "[]",
        "{}",
        "{\"object\":\"list\",\"data\":[]}",
        "{\"object\":\"chat.completion\"}",
        "{\"object\":\"chat.completion\",\"choices\":[]}",
        "{\"object\":\"chat.completion\",\"choices\":[1]}",
        "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":\"x\",\"finish_reason\":"
        "\"stop\"}]}",
        "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{},\"finish_reason\":null}]}",
        "{\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"message\":{},\"finish_reason\":\"stop\"}"
        "]}",
        "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{},\"finish_reason\":\"stop\"}"
        "]",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct seen s = {.events = 0};
        assert_int_equal(chat_split(str_of(others[i]), true, see, &s), -1);
        assert_int_equal(s.events, 0);
    }
    for (int stop_at = 1; stop_at <= 5; stop_at++) {
        struct seen s = {.stop_at = stop_at};
        assert_int_equal(chat_split(STR(ANSWER), true, see, &s), -1);
        assert_int_equal(s.events, stop_at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_not_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

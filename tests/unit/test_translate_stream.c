/* Translated streams of any length and form: they take no memory for having been told, no more time than they
 * have bytes, and each event stays one. */
#include "text_asserts.h"
#include "translate_fixture.h"

#include <stdio.h>
#include <time.h>

#define CHUNK(delta)         "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{" delta "}}]}"
#define EVENT(type, members) "{\"type\":\"" type "\"," members "}"

struct stream {
    struct translation t;
    struct translated_stream s;
    size_t told;
};

static void begin(struct stream *s, enum endpoint endpoint, const char *provider)
{
    translation_init(&s->t, endpoint, provider);
    translate_begin(&s->t, &s->s);
    s->told = 0;
}

static enum frame_result feed(struct stream *s, const char *data)
{
    struct chat_frame frame = {.data = str_of(data)};
    s->told += s->t.text.n;
    buf_reset(&s->t.text);
    enum frame_result res = s->t.provider->read_frame(&s->s.rd, &frame);
    arena_reset(&s->t.scratch);
    return res;
}

static void long_streams_take_no_memory(void **state)
{
    enum { N = 20000, MOST = 300 * 1024 };
    static const enum endpoint endpoints[] = {EP_CHAT, EP_MESSAGES, EP_GENERATE};
    static const struct {
        const char *provider, *frames[4]; /* told again and again */
    } cases[] = {
        {"openai", {CHUNK("\"content\":\"a\"")}},
        {"openai", {CHUNK("\"content\":\"a\""), CHUNK("\"reasoning_content\":\"b\"")}},
        {"openai",
         {CHUNK("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"t\",\"signature\":\"sign\","
                "\"format\":\"anthropic-claude-v1\"}]")}},
        {"openai", {CHUNK("\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"secret\"}]")}},
        {"openai",
         {CHUNK("\"content\":\"a\",\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"url\":"
                "\"http://x/\",\"title\":\"t\",\"start_index\":0,\"end_index\":1}}]")}},
        {"anthropic",
         {EVENT("content_block_start", "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"a\"}"),
          EVENT("content_block_stop", "\"index\":0"),
          EVENT("content_block_start",
                "\"index\":1,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"d\"}"),
          EVENT("message_delta", "\"delta\":{\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"a long "
                                 "one\"},\"usage\":{\"output_tokens\":5}")}},
        {"gemini",
         {"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\",\"thoughtSignature\":\"c2ln\"}]}}]}"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t e = 0; e < sizeof(endpoints) / sizeof(endpoints[0]); e++) {
            struct stream s;
            begin(&s, endpoints[e], cases[i].provider);
            for (size_t n = 0; n < N; n++)
                for (size_t k = 0; k < 4 && cases[i].frames[k]; k++)
                    assert_int_equal(feed(&s, cases[i].frames[k]), FRAME_MORE);
            assert_true(s.told > N);
            if (s.t.arena.used > MOST)
                fail_msg("case %zu, endpoint %d: %zu bytes", i, endpoints[e], s.t.arena.used);
            translation_fini(&s.t);
        }
}

/* A call's arguments that are told piece by piece, amid text, are not read from their beginning each time. */
static void held_arguments_are_read_once(void **state)
{
    enum { N = 20000 };
    struct stream s;
    char piece[512], filler[256];
    clock_t began = clock(), most = 4 * CLOCKS_PER_SEC;
    (void)state;
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    snprintf(piece, sizeof(piece),
             CHUNK("\"content\":\"a\",\"tool_calls\":[{\"index\":0,\"function\":{"
                   "\"arguments\":\"%s\"}}]"),
             filler);
    begin(&s, EP_GENERATE, "openai");
    feed(&s, CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"function\":{\"name\":\"f\",\"arguments\":"
                   "\"{\\\"a\\\":\\\"\"}}]"));
    for (size_t n = 0; n < N; n++)
        assert_int_equal(feed(&s, piece), FRAME_MORE);
    assert_true(clock() - began < most);
    feed(&s, CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}{\\\"}\"}}]"));
    feed(&s, CHUNK("\"content\":\"b\""));
    assert_holds(buf_str(&s.t.text), "\"args\":{\"a\":\"xxx");
    assert_holds(buf_str(&s.t.text), "xxx}{\"}");
    translation_fini(&s.t);
}

/* Calls that are all under way at once. */
static void calls_have_a_maximum(void **state)
{
    enum { MOST = 1100 };
    static const char start[] =
        EVENT("content_block_start", "\"index\":1,\"content_block\":{\"type\":\"tool_use\","
                                     "\"id\":\"i\",\"name\":\"f\",\"input\":{}}");
    struct stream s;
    size_t n = 0;
    (void)state;
    begin(&s, EP_MESSAGES, "anthropic");
    while (n < MOST && feed(&s, start) == FRAME_MORE)
        n++;
    assert_in_range(n, 256, MOST - 1);
    translation_fini(&s.t);
}

/* JSON that its maker wrote over several lines. */
static void an_event_is_one_line(void **state)
{
    static const enum endpoint endpoints[] = {EP_CHAT, EP_MESSAGES, EP_RESPONSES, EP_GENERATE};
    (void)state;
    for (size_t e = 0; e < sizeof(endpoints) / sizeof(endpoints[0]); e++) {
        struct stream s;
        struct str rest, line;
        size_t lines = 0;
        begin(&s, endpoints[e], "openai");
        s.t.head.query = STR("alt=sse");
        s.t.dialect->begin(&s.s.w, &s.t.text);
        feed(&s, "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\",\"annotations\":[\n{\n"
                 "\"type\":\"url_citation\",\r\n\"url_citation\":{\n\n\"url\":\"http://x\"}}]},\"logprobs\":"
                 "{\n\n\"content\":[\n{\"token\":\"a\",\n\"logprob\":-1}]}}]}");
        struct buf all = s.t.text;
        buf_init(&s.t.text, 1024 * 1024);
        feed(&s, CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"function\":{\"name\":\"f\",\"arguments\":"
                       "\"{\\n\\n  \\\"a\\\":\\n1}\"}}]"));
        buf_add(&all, buf_str(&s.t.text));
        feed(&s, "[DONE]");
        buf_add(&all, buf_str(&s.t.text));
        buf_reset(&s.t.text);
        assert_int_equal(translate_end(&s.t, &s.s, FRAME_LAST), 1);
        buf_add(&all, buf_str(&s.t.text));
        for (rest = buf_str(&all); str_split(&rest, '\n', &line); lines++)
            if (line.n > 1 && !str_starts(line, STR("data: ")) && !str_starts(line, STR("event: ")))
                fail_msg("endpoint %d: " STR_FMT, endpoints[e], STR_ARG(line));
        assert_true(lines > 6);
        buf_free(&all);
        translation_fini(&s.t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_streams_take_no_memory),
        cmocka_unit_test(held_arguments_are_read_once),
        cmocka_unit_test(calls_have_a_maximum),
        cmocka_unit_test(an_event_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Google's answers, whole and as a stream (one chunk a line): whatever they are, they are refused, or told to
 * each kind of caller as valid JSON; and what passes is metered with counts that can be. */
#include "told.h"

static void check_usage(const struct usage_tokens *u)
{
    CHECK(u->cached <= u->input);
    CHECK(u->reasoning <= u->output);
    CHECK(u->input <= 2 * (uint64_t)INT32_MAX && u->output <= 2 * (uint64_t)INT32_MAX);
}

static void check_whole(enum endpoint e, struct str in)
{
    struct translation t;
    translation_init(&t, e, "gemini");
    check_told_answer(&t, in);
    translation_fini(&t);
}

static void check_stream(enum endpoint e, struct str in)
{
    struct translation t;
    struct translated_stream s;
    struct str line;
    enum frame_result last = FRAME_MORE;
    translation_init(&t, e, "gemini");
    t.head.query = STR("alt=sse");
    translate_begin(&t, &s);
    while (last == FRAME_MORE && str_split(&in, '\n', &line)) {
        struct chat_frame frame = {.data = line};
        last = t.provider->read_frame(&s.rd, &frame);
        arena_reset(&t.scratch);
    }
    bool ended = translate_end(&t, &s, last) == 1;
    CHECK(!ended || chat_sink_finished(&s.sink));
    check_usage(&t.r.tokens);
    check_told_stream(buf_str(&t.text), e);
    translation_fini(&t);
}

static void check_passing(struct str in)
{
    struct arena a;
    struct http_head head = {0};
    struct failure f = {0};
    struct request r = {.head = &head};
    arena_init(&a);
    r.arena = &a;
    struct sse_event ev = {.raw = in, .data = in, .has_data = true};
    struct stream_event e = provider_gemini.read_event(&r, &ev);
    CHECK(e.text_bytes <= in.n);
    CHECK(!(e.error && e.finished));
    CHECK(!e.usage || r.tokens_known);
    check_usage(&r.tokens);
    bool taken = provider_gemini.read_answer(&r, in, &f) == 0;
    CHECK(!taken || json_validate(in, NULL) == 0);
    provider_gemini.read_error(&r, 429, &head, in, &f);
    CHECK(f.message.n > 0 && f.retry_after_ms >= 0);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum endpoint callers[] = {EP_CHAT, EP_GENERATE};
    struct str in = fuzz_str(data, size);
    for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
        check_whole(callers[i], in);
        check_stream(callers[i], in);
    }
    check_passing(in);
    return 0;
}

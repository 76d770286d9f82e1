/* Claude's answers, whole and as streams, and errors: whatever the bytes are, what a caller gets of them is
 * JSON, and what metering takes from them is what a model could have used. */
#include "told.h"

static const struct chat_request schema_asked = {.format = FORMAT_SCHEMA,
                                                 .format_schema = STR("{\"type\":\"array\"}"),
                                                 .parallel_tools = -1,
                                                 .format_strict = -1,
                                                 .thinking_shown = -1};

static void check_counts(const struct usage_tokens *u)
{
    CHECK(u->cached + u->cache_write <= u->input);
    CHECK(u->reasoning <= u->output);
    CHECK(u->input <= 3 * (uint64_t)INT32_MAX && u->output <= INT32_MAX);
}

static void start(struct translation *t, bool forced)
{
    struct chat_request copy = schema_asked;
    translation_init(t, EP_MESSAGES, "anthropic");
    if (forced) {
        t->r.chat = arena_alloc(&t->arena, sizeof(copy));
        *t->r.chat = copy;
    }
}

static void whole(struct str in, bool forced)
{
    struct translation t;
    start(&t, forced);
    bool valid = json_scan(in, NULL, 0, NULL, NULL) == 0;
    if (translate_answer(&t, in) == 0)
        CHECK(valid && json_validate(buf_str(&t.text), NULL) == 0);
    else
        CHECK(t.f.status >= 400 && t.f.message.n > 0);
    translation_fini(&t);
}

static void stream(struct str in, bool forced)
{
    struct translation t;
    start(&t, forced);
    int rc = translate_sse(&t, in);
    CHECK(rc >= 0 || (t.f.status >= 400 && t.f.message.n > 0));
    check_told_stream(buf_str(&t.text), EP_MESSAGES);
    check_counts(&t.r.told);
    check_counts(&t.r.tokens);
    translation_fini(&t);
}

static void passing(struct str in)
{
    static const char *const names[] = {"",      "message_start", "content_block_delta", "message_delta",
                                        "error", "message_stop"};
    struct translation t;
    start(&t, false);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct sse_event ev = {.raw = in, .name = str_of(names[i]), .data = in, .has_data = true};
        struct stream_event e = t.provider->read_event(&t.r, &ev);
        CHECK(e.text_bytes <= in.n);
        CHECK(!e.usage || t.r.tokens_known);
        check_counts(&t.r.tokens);
    }
    bool valid = json_scan(in, NULL, 0, NULL, NULL) == 0;
    CHECK(t.provider->read_answer(&t.r, in, &t.f) != 0 || valid);
    t.provider->read_error(&t.r, 529, &t.head, in, &t.f);
    CHECK(t.f.status == 503 && t.f.message.n > 0);
    t.provider->passes(&t.r, &t.conf, STR("m"));
    translation_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    passing(in);
    for (int forced = 0; forced < 2; forced++) {
        whole(in, forced);
        stream(in, forced);
    }
    return 0;
}

/* What is read from an event of a provider's stream: whatever its bytes are, what is cut out of it lies
 * inside of it, and cutting it leaves valid JSON where there was valid JSON. */
#include "base64.h"
#include "eventstream.h"
#include "fuzz.h"
#include "provider.h"

static void check_event(enum endpoint e, struct str data, struct arena *a)
{
    struct request r = {.arena = a, .prompt_estimate = 1};
    struct sse_event ev = {.raw = data, .data = data, .has_data = true};
    r.match.endpoint = e;
    struct stream_event got = provider_openai.read_event(&r, &ev);
    bool valid = json_scan(data, NULL, 0, NULL, NULL) == 0;
    CHECK(got.text_bytes <= 7 * data.n);
    CHECK(!got.usage_only || got.usage);
    CHECK(!got.usage || (valid && r.tokens_known));
    if (got.null_usage.n == 0)
        return;
    CHECK(fuzz_within(got.null_usage, data));
    struct buf b;
    size_t before = (size_t)(got.null_usage.p - data.p), behind = before + got.null_usage.n;
    buf_init(&b, data.n);
    buf_add(&b, (struct str){data.p, before});
    buf_add(&b, (struct str){data.p + behind, data.n - behind});
    CHECK(!valid || json_scan(buf_str(&b), NULL, 0, NULL, NULL) == 0);
    buf_free(&b);
}

/* A message of AWS's, which says its kind in front: "chunk", and an event of a model's own within it. */
static void check_message(struct str name, struct str data, bool exception, struct arena *a)
{
    struct request r = {.arena = a, .prompt_estimate = 1, .provider = -1, .match.endpoint = EP_NATIVE};
    struct chat_frame m = {.name = name, .data = data, .exception = exception};
    struct failure f = {0};
    struct stream_event got = provider_bedrock.read_message(&r, &m, &f);
    CHECK(!exception || got.error);
    CHECK(!got.last && got.instead.n == 0 && got.null_usage.n == 0 && !got.usage_only);
    CHECK(!got.error || f.message.n > 0);
    CHECK(!got.usage || r.tokens_known);
    CHECK(got.text_bytes <= 7 * data.n);
    if (!got.error)
        return;
    struct eventstream_reader reader;
    struct eventstream_message told;
    eventstream_init(&reader);
    CHECK(eventstream_feed(&reader, provider_bedrock.write_exception(&r, &f)) == 0);
    CHECK(eventstream_next(&reader, &told) == 1 && told.exception);
    CHECK(json_validate(told.payload, NULL) == 0 && eventstream_pending(&reader) == 0);
    eventstream_free(&reader);
}

static void check_messages(struct str in, struct arena *a)
{
    static const struct str names[] = {STR("contentBlockDelta"), STR("metadata"), STR("chunk"), STR("other")};
    struct buf chunk;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        check_message(names[i], in, false, a);
    check_message(STR("throttlingException"), in, true, a);
    buf_init(&chunk, 2 * in.n + 64);
    buf_add(&chunk, STR("{\"bytes\":\""));
    base64_put(&chunk, in);
    buf_add(&chunk, STR("\"}"));
    check_message(STR("chunk"), buf_str(&chunk), false, a);
    buf_free(&chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    struct arena a;
    struct failure f;
    struct request r = {.arena = &a};
    arena_init(&a);
    check_event(EP_CHAT, in, &a);
    check_event(EP_RESPONSES, in, &a);
    check_messages(in, &a);
    provider_openai.read_error(&r, 500, NULL, in, &f);
    CHECK(f.message.n > 0);
    bool valid = json_scan(in, NULL, 0, NULL, NULL) == 0;
    bool taken = provider_openai.read_answer(&r, in, &f) == 0;
    CHECK(valid || !taken);
    arena_fini(&a);
    return 0;
}

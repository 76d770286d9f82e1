/* What is read from an event of a provider's stream: whatever its bytes are, what is cut out of it lies
 * inside of it, and cutting it leaves valid JSON where there was valid JSON. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    struct arena a;
    struct failure f;
    struct request r = {.arena = &a};
    arena_init(&a);
    check_event(EP_CHAT, in, &a);
    check_event(EP_RESPONSES, in, &a);
    provider_openai.read_error(&r, 500, NULL, in, &f);
    CHECK(f.message.n > 0);
    bool valid = json_scan(in, NULL, 0, NULL, NULL) == 0;
    bool taken = provider_openai.read_answer(&r, in, &f) == 0;
    CHECK(valid || !taken);
    arena_fini(&a);
    return 0;
}

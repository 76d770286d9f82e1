/* What a provider that speaks OpenAI's dialect answers to a chat request, whatever its bytes are: read whole
 * and as a stream, and mended where it passes. What comes out keeps the contract of the neutral form and is
 * valid JSON, and what is mended from valid JSON is. */
#include "chat_dialect.h"
#include "chat_stream.h"
#include "openai_mend.h"
#include "told.h"

static struct config config;
static struct conf_provider conf;
static struct worker worker = {.config = &config};
static struct chat_tool patch = {.kind = TOOL_CUSTOM, .name = STR("patch"), .strict = -1};
static const struct chat_request asked = {
    .parallel_tools = -1, .format_strict = -1, .thinking_shown = -1, .tools = &patch, .n_tools = 1};

static struct request request_for(struct arena *a, bool stream)
{
    struct request r = {.arena = a, .worker = &worker, .stream = stream, .wants_usage = true};
    r.match.endpoint = EP_CHAT;
    return r;
}

static bool is_json(struct str text)
{
    return json_scan(text, NULL, 0, NULL, NULL) == 0;
}

static void read_whole(struct str in, struct arena *a)
{
    struct request r = request_for(a, false);
    struct failure f = {0};
    struct chat_answer answer = {0};
    struct chat_reader rd = {.r = &r, .conf = &conf, .in = &asked, .arena = a, .scratch = a, .f = &f};
    struct chat_writer w = {.r = &r, .in = &asked, .dialect = &dialect_chat, .model = STR("m")};
    struct buf out;
    if (openai_read_chat(&rd, in, &answer) != 0) {
        CHECK(f.status >= 400 && f.message.n > 0);
        return;
    }
    CHECK(answer.n_choices > 0);
    custom_tool_answer(&asked, &answer, a);
    buf_init(&out, 64 * 1024 * 1024);
    dialect_chat.write(&w, &answer, &out);
    CHECK(is_json(buf_str(&out)));
    buf_free(&out);
}

static enum frame_result take_frames(struct chat_reader *rd, struct str in)
{
    struct sse_reader sse;
    struct sse_event ev;
    uint32_t seed = fuzz_seed(in);
    enum frame_result res = FRAME_MORE;
    sse_init(&sse);
    while (in.n > 0 && res == FRAME_MORE) {
        size_t n = fuzz_piece(&seed);
        n = n < in.n ? n : in.n;
        CHECK(sse_feed(&sse, (struct str){in.p, n}) == 0);
        in.p += n, in.n -= n;
        while (res == FRAME_MORE && sse_next(&sse, &ev) == 1) {
            struct chat_frame frame = {.name = ev.name, .data = ev.data};
            if (ev.has_data)
                res = openai_read_frame(rd, &frame);
            arena_reset(rd->scratch);
        }
    }
    sse_free(&sse);
    return res;
}

static void read_stream(struct str in, struct arena *a)
{
    struct request r = request_for(a, true);
    struct failure f = {.status = 502, .message = STR("cut")};
    struct arena scratch;
    struct buf out;
    struct chat_sink sink;
    struct chat_writer w = {.r = &r, .in = &asked, .dialect = &dialect_chat, .model = STR("m")};
    struct chat_reader rd = {
        .r = &r, .conf = &conf, .in = &asked, .arena = a, .scratch = &scratch, .f = &f, .sink = &sink};
    arena_init(&scratch);
    buf_init(&out, 64 * 1024 * 1024);
    sink = (struct chat_sink){.reader = &rd, .writer = &w, .out = &out};
    dialect_chat.begin(&w, &out);
    enum frame_result res = take_frames(&rd, in);
    bool whole = res == FRAME_LAST || (res == FRAME_MORE && openai_whole(&rd));
    CHECK(!whole || chat_sink_finished(&sink));
    if (whole)
        dialect_chat.end(&w, &out);
    else
        dialect_chat.fail(&w, &f, &out);
    check_told_stream(buf_str(&out), EP_CHAT);
    buf_free(&out);
    arena_fini(&scratch);
}

/* All of the input as one event, three times: what is kept of a stream must not make later ones worse. */
static void mend(struct str in, struct arena *a)
{
    struct request r = request_for(a, true);
    struct openai_pass pass = {.deviations = 0};
    struct sse_event ev = {.raw = in, .data = in, .has_data = true};
    bool valid = is_json(in);
    r.pass = &pass;
    for (int i = 0; i < 3; i++) {
        struct stream_event e = openai_read_event(&r, &ev);
        if (e.instead.n > 0 && (valid || e.error))
            check_told_stream(e.instead, EP_CHAT);
    }
    r.stream = false;
    pass = (struct openai_pass){.deviations = 0};
    struct str mended = openai_mend_answer(&r, in);
    CHECK(mended.n == 0 || (valid && is_json(mended)));
}

static void mend_request(struct str in, struct arena *a)
{
    struct request r = request_for(a, false);
    struct provider_call call = {.path = STR_NULL};
    struct conf_provider mistral = {.name = "p", .type = "mistral"};
    struct str body = in;
    if (!is_json(in))
        return; /* bodies are, by then */
    CHECK(openai_mend_request(&r, &mistral, &body, &call) == 0);
    CHECK(is_json(body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"openai", "perplexity", "mistral"};
    struct str in = fuzz_str(data, size);
    struct arena a;
    conf = (struct conf_provider){.name = "p", .type = types[fuzz_seed(in) % 3], .base_url = "http://h/v1"};
    arena_init(&a);
    read_whole(in, &a);
    read_stream(in, &a);
    mend(in, &a);
    mend_request(in, &a);
    arena_fini(&a);
    return 0;
}

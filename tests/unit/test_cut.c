/* Every provider's stream, cut at every byte, told to every caller: it never crashes, never looks whole, and
 * always ends with the caller's in-band error. With AIGW_RECORDINGS naming a folder of recorded traffic (its
 * INDEX.tsv: path, provider, endpoint, streaming …), each recorded stream as well, long ones at some hundred
 * places. */
#include "frames.h"
#include "translate_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MOST_CUTS = 240 };

/* ---- one stream, up to a cut */

struct outcome {
    int how; /* 1: ended properly, 0: cut, -1: the provider's error */
    struct buf text;
};

static enum frame_result feed(struct translation *t, struct translated_stream *s, struct frames *f,
                              struct str data, size_t step, bool *broken)
{
    struct chat_frame frame;
    enum frame_result last = FRAME_MORE;
    int got = 0;
    while (data.n > 0 && last == FRAME_MORE && got >= 0) {
        size_t n = data.n < step ? data.n : step;
        if (frames_feed(f, (struct str){data.p, n}) != 0)
            got = -1;
        data.p += n, data.n -= n;
        while (got >= 0 && last == FRAME_MORE && (got = frames_next(f, &frame)) == 1) {
            last = t->provider->read_frame(&s->rd, &frame);
            arena_reset(&t->scratch);
        }
    }
    while (got >= 0 && last == FRAME_MORE && frames_last(f, &frame) == 1)
        last = t->provider->read_frame(&s->rd, &frame);
    *broken = got < 0;
    return last;
}

static struct outcome run(enum endpoint endpoint, const char *type, struct str stream, size_t step)
{
    struct translation t;
    struct translated_stream s;
    struct frames f;
    struct outcome o;
    bool broken;
    translation_init(&t, endpoint, type);
    t.head.query = STR("alt=sse");
    translate_begin(&t, &s);
    frames_init(&f, t.provider->framing);
    enum frame_result last = feed(&t, &s, &f, stream, step, &broken);
    if (broken) {
        static const struct failure why = {.status = 502, .message = STR("broken")};
        t.f = why;
        last = FRAME_ERROR;
    }
    o.how = translate_end(&t, &s, last);
    o.text = t.text;
    buf_init(&t.text, 1);
    frames_free(&f);
    translation_fini(&t);
    return o;
}

/* ---- what may be seen at the end */

static const struct caller {
    enum endpoint endpoint;
    const char *name, *good, *bad; /* what only a proper, only an improper end has */
} callers[] = {
    {EP_CHAT, "chat", "data: [DONE]\n", "data: {\"error\":{"},
    {EP_RESPONSES, "responses", "\"type\":\"response.completed\"", "\"type\":\"response.failed\""},
    {EP_MESSAGES, "messages", "event: message_stop\n", "event: error\n"},
    {EP_GENERATE, "generate_content", "\"finishReason\":\"STOP\"", "data: {\"error\":{"},
};

static bool has(const struct buf *b, const char *what)
{
    return b->n > 0 && memmem(b->p, b->n, what, strlen(what));
}

/* Of the whole stream `whole` came; `cut` bytes of it gave o. */
static void judge(const char *stream, const struct caller *c, const struct outcome *whole, size_t cut,
                  size_t n, const struct outcome *o)
{
    if (o->how == 1 && whole->how != 1)
        fail_msg("%s to %s: %zu of %zu bytes end properly, though all of them do not", stream, c->name, cut,
                 n);
    if (o->how != 1 && !has(&o->text, c->bad))
        fail_msg("%s to %s: %zu of %zu bytes end without an error: …" STR_FMT, stream, c->name, cut, n,
                 (int)(o->text.n < 300 ? o->text.n : 300),
                 o->text.p + (o->text.n < 300 ? 0 : o->text.n - 300));
    if (o->how != 1 && c->endpoint != EP_GENERATE && has(&o->text, c->good))
        fail_msg("%s to %s: %zu of %zu bytes look whole", stream, c->name, cut, n);
    if (o->how == 1 && has(&o->text, c->bad))
        fail_msg("%s to %s: %zu of %zu bytes: a proper end and an error", stream, c->name, cut, n);
}

static void cut_everywhere(const char *name, const char *type, struct str stream, bool must_be_whole)
{
    for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
        const struct caller *c = &callers[i];
        struct outcome whole = run(c->endpoint, type, stream, 4096),
                       byte_by_byte = run(c->endpoint, type, stream, 1);
        if (must_be_whole && whole.how != 1)
            fail_msg("%s to %s: does not end properly: " STR_FMT, name, c->name,
                     STR_ARG(buf_str(&whole.text)));
        if (byte_by_byte.how != whole.how || byte_by_byte.text.n != whole.text.n)
            fail_msg("%s to %s: byte by byte it is another one", name, c->name);
        size_t step = must_be_whole ? 1 : stream.n / MOST_CUTS + 1; /* our own are short */
        for (size_t cut = 0; cut < stream.n; cut += step) {
            struct outcome o = run(c->endpoint, type, (struct str){stream.p, cut}, 64);
            judge(name, c, &whole, cut, stream.n, &o);
            buf_free(&o.text);
        }
        buf_free(&whole.text);
        buf_free(&byte_by_byte.text);
    }
}

/* ---- streams of our own */

#define D(json)       "data: " json "\n\n"
#define E(type, rest) "event: " type "\r\ndata: {\"type\":\"" type "\"" rest "}\r\n\r\n"

static const char openai_stream[] = D("{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,"
                                      "\"model\":\"m\",\"choices\":[{\"index\":0,"
                                      "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":"
                                      "null}]}") ": a comment\n\n" D("{\"id\":\"c1\",\"choices\":[{\"index\":"
                                                                     "0,\"delta\":{\"reasoning_content\":"
                                                                     "\"hm\"}}]}")
    D("{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\xc3\xbc\xc3\x9f"
      "e \\u00fc\"}}]}") D("{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
                           "\"id\":\"call_1\",\"type\":"
                           "\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"\"}}]}}]}")
        D("{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
          "\"arguments\":"
          "\"{\\\"at\\\":\"}}]}}]}") D("{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{"
                                       "\"index\":0,\"function\":{\"arguments\":"
                                       "\"7}\"}}]}}]}")
            D("{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}")
                D("{\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,"
                  "\"total_tokens\":13}}") "data: [DONE]\n\n";

static const char anthropic_stream[] =
    E("message_start",
      ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\","
      "\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":11,\"output_tokens\":1}}")
        E("content_block_start",
          ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
            E("ping", "") E("content_block_delta",
                            ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}")
                E("content_block_delta",
                  ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}")
                    E("content_block_stop",
                      ",\"index\":0") E("content_block_start",
                                        ",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}")
                        E("content_block_delta",
                          ",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"na\xc3\xafve\"}")
                            E("content_block_stop", ",\"index\":1")
                                E("content_block_start", ",\"index\":2,\"content_block\":{\"type\":\"tool_"
                                                         "use\",\"id\":\"toolu_1\",\"name\":\"look\","
                                                         "\"input\":{}}")
                                    E("content_block_delta", ",\"index\":2,\"delta\":{\"type\":\"input_json_"
                                                             "delta\",\"partial_json\":\"{\\\"at\\\":7}\"}")
                                        E("content_block_stop", ",\"index\":2")
                                            E("message_delta",
                                              ",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":"
                                              "null},\"usage\":{\"output_tokens\":20}") E("message_stop", "");

static const char gemini_stream[] =
    "data: "
    "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"hm\",\"thought\":true}]},"
    "\"index\":0}],"
    "\"usageMetadata\":{\"promptTokenCount\":5,\"totalTokenCount\":5}}\r\n\r\n"
    "data: "
    "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"ol\xc3\xa1\"}]},\"index\":0}],"
    "\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":2,\"totalTokenCount\":7}}\r\n\r\n"
    "data: "
    "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"look\","
    "\"args\":{"
    "\"at\":7}}}]},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":5,"
    "\"candidatesTokenCount\":6,\"thoughtsTokenCount\":3,\"totalTokenCount\":14}}\r\n\r\n";

static const char cohere_stream[] =
    "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"m1\",\"delta\":{\"message\":{\"role\":"
    "\"assistant\",\"content\":[]}}}\n\n"
    "event: content-start\ndata: "
    "{\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":"
    "\"text\",\"text\":\"\"}}}}\n\n"
    "event: content-delta\ndata: "
    "{\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":"
    "\"d\xc3\xa9j\xc3\xa0\"}}}}\n\n"
    "event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n"
    "event: message-end\ndata: "
    "{\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"tokens\":"
    "{\"input_tokens\":8,\"output_tokens\":2}}}}\n\n"
    "data: [DONE]\n\n";

/* AWS's frames: name and JSON of each event. */
static const char *const bedrock_events[][2] = {
    {"messageStart", "{\"role\":\"assistant\",\"p\":\"ab\"}"},
    {"contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"tsch\xc3\xbcs\"}}"},
    {"contentBlockStop", "{\"contentBlockIndex\":0}"},
    {"contentBlockStart",
     "{\"contentBlockIndex\":1,\"start\":{\"toolUse\":{\"toolUseId\":\"tooluse_1\",\"name\":\"look\"}}}"},
    {"contentBlockDelta", "{\"contentBlockIndex\":1,\"delta\":{\"toolUse\":{\"input\":\"{\\\"at\\\":7}\"}}}"},
    {"contentBlockStop", "{\"contentBlockIndex\":1}"},
    {"messageStop", "{\"stopReason\":\"tool_use\"}"},
    {"metadata",
     "{\"usage\":{\"inputTokens\":4,\"outputTokens\":3,\"totalTokens\":7},\"metrics\":{\"latencyMs\":1}}"},
};

static uint32_t crc(const char *p, size_t n)
{
    uint32_t c = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        c ^= (unsigned char)p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~c;
}

static void put_u32(struct buf *b, uint32_t v)
{
    char four[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    buf_add(b, (struct str){four, 4});
}

static void put_header(struct buf *b, const char *name, const char *value)
{
    char lengths[3] = {7, (char)(strlen(value) >> 8), (char)strlen(value)};
    buf_add_byte(b, (char)strlen(name));
    buf_add(b, str_of(name));
    buf_add(b, (struct str){lengths, 3});
    buf_add(b, str_of(value));
}

static void put_frame(struct buf *b, const char *event, const char *json)
{
    char room[512];
    struct buf headers = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    put_header(&headers, ":message-type", "event");
    put_header(&headers, ":event-type", event);
    put_header(&headers, ":content-type", "application/json");
    size_t from = b->n;
    put_u32(b, (uint32_t)(16 + headers.n + strlen(json)));
    put_u32(b, (uint32_t)headers.n);
    put_u32(b, crc(b->p + from, 8));
    buf_add(b, buf_str(&headers));
    buf_add(b, str_of(json));
    put_u32(b, crc(b->p + from, b->n - from));
}

static void own_streams(void **state)
{
    (void)state;
    cut_everywhere("openai", "openai", STR(openai_stream), true);
    cut_everywhere("anthropic", "anthropic", STR(anthropic_stream), true);
    cut_everywhere("gemini", "gemini", STR(gemini_stream), true);
    cut_everywhere("cohere", "cohere", STR(cohere_stream), true);
    struct buf b;
    buf_init(&b, 64 * 1024);
    for (size_t i = 0; i < sizeof(bedrock_events) / sizeof(bedrock_events[0]); i++)
        put_frame(&b, bedrock_events[i][0], bedrock_events[i][1]);
    cut_everywhere("bedrock", "bedrock", buf_str(&b), true);
    buf_free(&b);
}

/* ---- recorded streams */

static const char *type_of(struct str provider, struct str endpoint)
{
    static const char *const same[] = {
        "openai", "azure",      "anthropic",  "cohere",   "mistral",     "ollama",   "deepseek", "xai",
        "groq",   "perplexity", "openrouter", "together", "huggingface", "cerebras", "alibaba",  "lmstudio"};
    if (str_eq(endpoint, STR("streamGenerateContent")))
        return "gemini";
    if (str_eq(endpoint, STR("converse-stream")))
        return "bedrock";
    bool chat = str_eq(endpoint, STR("chat")) || str_eq(endpoint, STR("messages")) ||
                str_eq(endpoint, STR("chat-v2"));
    for (size_t i = 0; chat && i < sizeof(same) / sizeof(same[0]); i++)
        if (str_eq(provider, str_of(same[i])))
            return same[i];
    return chat && str_eq(provider, STR("openai-compatible")) ? "openai" : NULL;
}

static bool load(struct buf *b, const char *folder, struct str path)
{
    static const char *const names[] = {"response.sse", "response.bin"};
    buf_init(b, 16 * 1024 * 1024);
    for (size_t i = 0; i < 2; i++) {
        char name[1024];
        snprintf(name, sizeof(name), "%s/" STR_FMT "/%s", folder, STR_ARG(path), names[i]);
        FILE *f = fopen(name, "rb");
        if (!f)
            continue;
        for (size_t n; (n = fread(b->p + b->n, 1, buf_reserve(b, 65536), f)) > 0;)
            b->n += n;
        fclose(f);
        return b->n > 0;
    }
    return false;
}

static void recorded_streams(void **state)
{
    (void)state;
    const char *folder = getenv("AIGW_RECORDINGS");
    char line[4096], index[1024];
    size_t streams = 0;
    if (!folder)
        skip();
    snprintf(index, sizeof(index), "%s/INDEX.tsv", folder);
    FILE *f = fopen(index, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        struct str rest = str_of(line), path, provider, endpoint, streaming;
        struct buf b;
        if (!str_split(&rest, '\t', &path) || !str_split(&rest, '\t', &provider) ||
            !str_split(&rest, '\t', &endpoint) || !str_split(&rest, '\t', &streaming) ||
            !str_eq(streaming, STR("yes")))
            continue;
        const char *type = type_of(provider, endpoint);
        if (type && load(&b, folder, path)) {
            char name[512];
            str_copy_cut(name, sizeof(name), path);
            cut_everywhere(name, type, buf_str(&b), false);
            buf_free(&b);
            streams++;
        }
    }
    fclose(f);
    print_message("%zu recorded streams\n", streams);
    assert_true(streams > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_streams),
        cmocka_unit_test(recorded_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

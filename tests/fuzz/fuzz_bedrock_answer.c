/* What Bedrock's readers make of any bytes: answers, streams (as lines "NAME {…}", "!NAME {…}" an exception),
 * embeddings, counts and errors. Whatever comes, what a caller is told is valid. The first byte says which of
 * them, and how the answer was asked for; the second whose dialect it is told in. */
#include "bedrock.h"
#include "told.h"

static const enum endpoint callers[] = {EP_CHAT, EP_RESPONSES, EP_MESSAGES, EP_GENERATE};
static const struct str schemas[] = {STR_NULL, STR("{\"type\":\"object\"}"), STR("{\"type\":\"array\"}")};

enum { ANSWER, STREAM, EMBEDDINGS, COUNT, ERROR, KINDS };

static void ask(struct translation *t, struct str schema)
{
    struct chat_request *in = arena_alloc(&t->arena, sizeof(*in));
    *in = (struct chat_request){.parallel_tools = -1, .format_strict = -1, .thinking_shown = -1};
    in->format = schema.n > 0 ? FORMAT_SCHEMA : FORMAT_TEXT;
    in->format_schema = schema;
    chat_add_tool(in, &t->arena)->name = STR("files.read");
    t->r.chat = in;
    t->r.target_model = STR("amazon.nova-lite-v1:0");
}

static void check_stream(struct translation *t, struct str in)
{
    struct translated_stream s;
    enum frame_result last = FRAME_MORE;
    struct str line, name;
    translate_begin(t, &s);
    while (last == FRAME_MORE && str_split(&in, '\n', &line)) {
        struct chat_frame f = {.exception = line.n > 0 && line.p[0] == '!'};
        if (!str_split(&line, ' ', &name))
            continue;
        f.name = f.exception ? (struct str){name.p + 1, name.n - 1} : name;
        f.data = line;
        last = t->provider->read_frame(&s.rd, &f);
        CHECK(last != FRAME_ERROR || (t->f.message.n > 0 && t->f.status >= 400));
        CHECK(!f.exception || last == FRAME_ERROR);
        arena_reset(&t->scratch);
    }
    int ended = translate_end(t, &s, last);
    CHECK((ended == 1) == (last == FRAME_LAST || (last == FRAME_MORE && s.rd.state && bedrock_whole(&s.rd))));
    CHECK(t->r.tokens.cached + t->r.tokens.cache_write <= t->r.tokens.input);
    if (t->r.match.endpoint == EP_GENERATE && t->head.query.n == 0)
        CHECK(json_validate(buf_str(&t->text), NULL) == 0); /* one array */
    else
        check_told_stream(buf_str(&t->text), t->r.match.endpoint);
}

static void check_other(struct translation *t, unsigned kind, struct str in)
{
    struct str texts[] = {STR("a"), STR("b")};
    struct embed_request asked = {.texts = texts, .n_texts = 1 + in.n % 2};
    struct embed_answer a = {0};
    struct chat_reader rd = {
        .r = &t->r, .in = t->r.chat, .arena = &t->arena, .scratch = &t->arena, .f = &t->f};
    struct failure f;
    uint64_t count = 0;
    if (kind == COUNT)
        CHECK(t->provider->read_count(&rd, in, &count) != 0 || count <= INT32_MAX);
    else if (kind == EMBEDDINGS && t->provider->read_embed(&rd, &asked, in, &a) == 0) {
        CHECK(a.n_vectors == asked.n_texts);
        for (size_t i = 0; i < a.n_vectors; i++)
            CHECK(json_validate(a.vectors[i].json, NULL) == 0);
    }
    t->provider->read_error(&t->r, 400, NULL, in, &f);
    CHECK(f.message.n > 0 && f.status >= 400);
    t->provider->read_answer(&t->r, in, &f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct translation t;
    if (size < 2)
        return 0;
    struct str in = fuzz_str(data + 2, size - 2);
    unsigned kind = data[0] % KINDS;
    translation_init(&t, callers[data[1] % 4], "bedrock");
    if (data[1] % 8 < 4)
        t.head.query = STR("alt=sse");
    if (t.dialect->delta && t.dialect->write) {
        ask(&t, schemas[data[0] / KINDS % 3]);
        if (kind == ANSWER)
            check_told_answer(&t, in);
        else if (kind == STREAM)
            check_stream(&t, in);
        else
            check_other(&t, kind, in);
    }
    translation_fini(&t);
    return 0;
}

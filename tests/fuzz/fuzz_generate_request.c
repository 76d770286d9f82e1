/* A Google caller's request: refused with a reason, or written for Google again as valid JSON that reads the
 * same; and the requests of its embeddings. */
#include "embed_dialect.h"
#include "fuzz.h"
#include "unit/translate_fixture.h"

static int write_again(struct translation *t, struct str *out)
{
    if (provider_gemini.write_chat(translation_call(t, t->r.chat, "gemini-3-flash")) != 0)
        return -1;
    *out = t->out.body;
    return 0;
}

static void check_again(struct str body, const struct chat_request *first)
{
    struct translation t;
    translation_init(&t, EP_GENERATE, "gemini");
    t.r.body = body;
    CHECK(chat_read(&t.r, &t.f) == 0);
    CHECK(t.r.chat->n_tools == first->n_tools);
    CHECK(t.r.chat->format == first->format);
    translation_fini(&t);
}

static void check_request(enum endpoint e, struct str in)
{
    struct translation t;
    struct str out;
    translation_init(&t, e, "gemini");
    t.r.body = in;
    if (chat_read(&t.r, &t.f) != 0) {
        CHECK(t.f.status == 400 && t.f.message.n > 0);
    } else if (write_again(&t, &out) != 0) {
        CHECK(t.f.status >= 400 && t.f.message.n > 0);
    } else {
        CHECK(json_validate(out, NULL) == 0);
        check_again(out, t.r.chat);
    }
    translation_fini(&t);
}

static void check_embedding(struct str in, bool batch)
{
    struct arena a;
    struct embed_request out = {0};
    struct failure f = {0};
    struct request r = {.body = in};
    arena_init(&a);
    r.arena = &a;
    r.match.batch = batch;
    if (dialect_embed_content.read(&r, &out, &f) == 0)
        CHECK(out.n_texts > 0);
    else
        CHECK(f.status == 400 && f.message.n > 0);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    check_request(EP_GENERATE, in);
    check_request(EP_COUNT_CONTENT, in);
    check_embedding(in, false);
    check_embedding(in, true);
    return 0;
}

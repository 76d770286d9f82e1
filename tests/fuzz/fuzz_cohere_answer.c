/* What Cohere's readers make of any bytes: answers, streams in pieces, embeddings and errors. Whatever comes,
 * what a caller is told is valid, and ends the way it went. The first byte says which. */
#include "told.h"

static const enum endpoint callers[] = {EP_RESPONSES, EP_CHAT, EP_MESSAGES, EP_GENERATE};

static void check_embeddings(struct translation *t, struct str in)
{
    struct str text = STR("a");
    struct embed_request asked = {.texts = &text, .n_texts = 1, .base64 = in.n % 2 == 0};
    struct embed_answer a = {0};
    struct chat_reader rd = {
        .r = &t->r, .conf = &t->conf, .arena = &t->arena, .scratch = &t->arena, .f = &t->f};
    if (t->provider->read_embed(&rd, &asked, in, &a) != 0)
        return;
    CHECK(a.n_vectors == 1);
    const struct embed_dialect *d = embed_dialect_of(EP_EMBEDDINGS);
    if (d->write(&t->r, &asked, &a, &t->text) == 0)
        CHECK(json_validate(buf_str(&t->text), NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct translation t;
    if (size == 0)
        return 0;
    struct str in = fuzz_str(data + 1, size - 1);
    translation_init(&t, callers[data[0] >> 2 & 3], "cohere");
    if (!t.dialect || !t.dialect->write) {
        translation_fini(&t);
        return 0;
    }
    switch (data[0] & 3) {
    case 0:
        check_told_answer(&t, in);
        break;
    case 1:
        translate_sse(&t, in);
        if (t.dialect == &dialect_responses)
            check_told_stream(buf_str(&t.text), t.r.match.endpoint);
        break;
    case 2:
        check_embeddings(&t, in);
        break;
    default:
        t.provider->read_error(&t.r, 500, NULL, in, &t.f);
        CHECK(t.f.message.n > 0);
    }
    translation_fini(&t);
    return 0;
}

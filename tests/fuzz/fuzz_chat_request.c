/* An OpenAI chat caller's request of any bytes: read or refused with words; what was read can be written for
 * each kind of provider, and is then valid, and the request of OpenAI's own form reads the same. The first
 * byte chooses the provider. */
#include "fuzz.h"
#include "unit/translate_fixture.h"

static void check_again(struct str body, const struct chat_request *first)
{
    struct translation t;
    translation_init(&t, EP_CHAT, "openai");
    t.r.body = body;
    int rc = chat_read(&t.r, &t.f);
    CHECK(rc == 0 || t.f.message.n > 0); /* of messages without content none may be left */
    CHECK(rc != 0 || t.r.chat->n_tools == first->n_tools);
    CHECK(rc != 0 || t.r.chat->format == first->format);
    translation_fini(&t);
}

static void check_written(struct translation *t, bool openai)
{
    if (t->provider->write_chat(translation_call(t, t->r.chat, "gpt-5.1")) != 0) {
        CHECK(t->f.status >= 400 && t->f.message.n > 0);
        return;
    }
    CHECK(json_validate(t->out.body, NULL) == 0);
    if (openai)
        check_again(t->out.body, t->r.chat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const providers[] = {"openai", "anthropic", "gemini", "cohere", "mistral", "bedrock"};
    struct translation t;
    if (size == 0)
        return 0;
    struct str in = fuzz_str(data + 1, size - 1);
    size_t which = data[0] % (sizeof(providers) / sizeof(providers[0]));
    if (json_scan(in, NULL, 0, NULL, NULL) != 0)
        return 0; /* refused before it is read */
    translation_init(&t, EP_CHAT, providers[which]);
    t.r.body = in;
    if (chat_read(&t.r, &t.f) == 0)
        check_written(&t, which == 0);
    else
        CHECK(t.f.status == 400 && t.f.message.n > 0);
    translation_fini(&t);
    return 0;
}

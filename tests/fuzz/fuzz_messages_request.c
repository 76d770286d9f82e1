/* Requests in Anthropic's Messages dialect: any JSON is read, or refused with a status of the caller's fault;
 * what was read can be written again as JSON for Claude, of each generation, or is refused. */
#include "fuzz.h"

#include "unit/translate_fixture.h"

static void check_failure(const struct failure *f)
{
    CHECK(f->status == 400);
    CHECK(f->message.n > 0);
}

static void write_for(struct translation *t, const char *model)
{
    if (t->provider->write_chat(translation_call(t, t->r.chat, model)) == 0)
        CHECK(json_validate(t->out.body, NULL) == 0);
    else
        check_failure(&t->f);
    buf_free(&t->out.room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const models[] = {"claude-3-5-sonnet-20240620", "claude-sonnet-4-5", "claude-opus-4-8",
                                         "m"};
    struct translation t;
    struct str in = fuzz_str(data, size);
    if (json_scan(in, NULL, 0, NULL, NULL) != 0)
        return 0; /* such a body comes no further than to the scanner */
    translation_init(&t, size % 5 == 0 ? EP_COUNT_TOKENS : EP_MESSAGES, "anthropic");
    t.r.match.dialect = DIALECT_ANTHROPIC;
    t.r.body = in;
    if (chat_read(&t.r, &t.f) != 0)
        check_failure(&t.f);
    else
        for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
            write_for(&t, models[i]);
    translation_fini(&t);
    return 0;
}

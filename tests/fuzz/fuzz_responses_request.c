/* Responses requests of any bytes: read or refused with words; what was read can be written for a provider,
 * and is then valid. */
#include "unit/translate_fixture.h"

#include "fuzz.h"

static void check_written(struct translation *t)
{
    if (!t->provider->write_chat)
        return;
    if (t->provider->write_chat(translation_call(t, t->r.chat, "target-model")) == 0)
        CHECK(json_validate(t->out.body, NULL) == 0);
    else
        CHECK(t->f.status == 400 && t->f.message.n > 0);
}

/* The answer repeats parts of the request. */
static void check_echo(struct translation *t)
{
    struct chat_part part = {.kind = PART_TEXT, .text = STR("x")};
    struct chat_choice choice = {.parts = &part, .n_parts = 1, .finish = FINISH_STOP};
    struct chat_answer a = {.choices = &choice, .n_choices = 1};
    struct chat_writer w = translation_writer(t);
    t->dialect->write(&w, &a, &t->text);
    CHECK(json_validate(buf_str(&t->text), NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct translation t;
    struct str in = fuzz_str(data, size);
    if (json_scan(in, NULL, 0, NULL, NULL) != 0)
        return 0; /* refused before it is read */
    translation_init(&t, EP_RESPONSES, "cohere");
    t.r.body = in;
    if (chat_read(&t.r, &t.f) == 0) {
        check_written(&t);
        check_echo(&t);
    } else {
        CHECK(t.f.status == 400 && t.f.message.n > 0);
    }
    translation_fini(&t);
    return 0;
}

/* OpenAI's chat as a provider's: what tests of its requests and of its answers share. */
#ifndef TESTS_UNIT_OPENAI_TRANSLATE_H
#define TESTS_UNIT_OPENAI_TRANSLATE_H

#include "openai.h"
#include "translate_test.h"

static inline void begin(const char *type)
{
    translation_init(&t, EP_CHAT, type);
}

static inline int up(void **state)
{
    (void)state;
    begin("openai");
    return 0;
}

static inline void again(const char *type)
{
    down(NULL);
    begin(type);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

/* What a provider of that type is sent of a caller's body; empty: it is refused (t.f). */
static inline struct str sent(const char *type, const char *model, const char *body)
{
    again(type);
    t.r.dialect = DIALECT_OPENAI;
    t.r.body = str_of(body);
    if (chat_read(&t.r, &t.f) != 0)
        fail_msg("%.*s", (int)t.f.message.n, t.f.message.p);
    translation_call(&t, t.r.chat, model)->max_output = 1000;
    return t.provider->write_chat(&t.call) == 0 ? t.out.body : STR_NULL;
}

/* What the caller is told of such a provider's answer; empty: it is refused (t.f). */
static inline struct str whole(const char *type, const char *body)
{
    again(type);
    return translate_answer(&t, str_of(body)) == 0 ? buf_str(&t.text) : STR_NULL;
}

#endif

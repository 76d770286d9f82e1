/* What tests of one translation at a time share: the translation, and asserts about it. Each test's set-up
 * begins `t` (translation_init); `down` is the teardown. */
#ifndef TESTS_UNIT_TRANSLATE_TEST_H
#define TESTS_UNIT_TRANSLATE_TEST_H

#include "text_asserts.h"
#include "translate_fixture.h"

static struct translation t;

static inline int down(void **state)
{
    (void)state;
    if (t.provider)
        translation_fini(&t);
    t.provider = NULL;
    return 0;
}

/* What the provider made of a parameter of the request. */
static inline bool taken(enum chat_param p)
{
    return t.call.taken >> p & 1;
}

static inline bool adjusted(enum chat_param p)
{
    return t.call.adjusted >> p & 1;
}

#endif

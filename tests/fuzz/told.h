/* Whatever a provider's bytes are, what a caller is told of them is valid. */
#ifndef TESTS_FUZZ_TOLD_H
#define TESTS_FUZZ_TOLD_H

#include "fuzz.h"
#include "unit/translate_fixture.h"

/* A stream in the dialect of `caller`: whole events, whose data is JSON. */
static inline void check_told_stream(struct str stream, enum endpoint caller)
{
    struct sse_reader sse;
    struct sse_event ev;
    sse_init(&sse);
    while (stream.n > 0) {
        size_t n = stream.n < 4096 ? stream.n : 4096;
        CHECK(sse_feed(&sse, (struct str){stream.p, n}) == 0);
        stream.p += n, stream.n -= n;
        while (sse_next(&sse, &ev) == 1)
            CHECK(!ev.has_data || json_validate(ev.data, NULL) == 0 ||
                  (caller == EP_CHAT && str_eq(ev.data, STR("[DONE]"))));
    }
    CHECK(sse_pending(&sse) == 0);
    sse_free(&sse);
}

/* A whole answer of the provider's: told, or refused with words. */
static inline void check_told_answer(struct translation *t, struct str answer)
{
    if (translate_answer(t, answer) == 0)
        CHECK(json_validate(buf_str(&t->text), NULL) == 0);
    else
        CHECK(t->f.message.n > 0 && t->f.status >= 400);
}

#endif

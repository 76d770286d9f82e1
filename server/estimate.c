/* Estimates prompt tokens from a body's bytes without knowing any vendor's tokenizer.
 *
 * Text is taken as four bytes a token, JSON around it included. Embedded media would swamp that: a run of
 * MEDIA_RUN or more base64 bytes is taken as one picture instead. Such a run covers at least one checkpoint
 * (a multiple of STRIDE) with SAMPLE bytes of it behind, so prose is told from media by looking at a few
 * bytes in each STRIDE. */
#include "estimate.h"

enum { MEDIA_RUN = 8 * 1024, STRIDE = 4 * 1024, SAMPLE = 256, MEDIA_TOKENS = 1000 };

static bool base64_byte(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=' || c == '-' || c == '_' || c == '\\'; /* JSON may write \/ */
}

/* Where the run of base64 bytes from `at` on ends, looking no further than `limit`. */
static size_t run_end(struct str s, size_t at, size_t limit)
{
    while (at < s.n && at < limit && base64_byte(s.p[at]))
        at++;
    return at;
}

uint64_t estimate_prompt(struct str body)
{
    uint64_t bytes = body.n, media = 0;
    size_t done = 0; /* everything before is accounted for */
    for (size_t at = 0; at < body.n; at = (at / STRIDE + 1) * STRIDE) {
        if (run_end(body, at, at + SAMPLE) < at + SAMPLE)
            continue;
        size_t begin = at, end = run_end(body, at, body.n);
        while (begin > done && base64_byte(body.p[begin - 1]))
            begin--;
        if (end - begin >= MEDIA_RUN) {
            bytes -= end - begin;
            media++;
        }
        at = done = end;
    }
    return (bytes + 3) / 4 + media * MEDIA_TOKENS;
}

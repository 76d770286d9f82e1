/* Finding the few members that matter in an event, without parsing it. Run by workers for each event that
 * passes, so the loop is over quotes alone, sixteen bytes at a time, and most quotes are done with after one
 * look at the byte behind them. */
#include "openai_marks.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const struct str names[OPENAI_MARKS] = {
    [MARK_CONTENT] = STR("\"content\""),
    [MARK_TEXT] = STR("\"text\""),
    [MARK_ARGUMENTS] = STR("\"arguments\""),
    [MARK_REASONING] = STR("\"reasoning_content\""),
    [MARK_REASONING_SHORT] = STR("\"reasoning\""),
    [MARK_THINKING] = STR("\"thinking\""),
    [MARK_DELTA] = STR("\"delta\""),
    [MARK_USAGE] = STR("\"usage\""),
    [MARK_ERROR] = STR("\"error\""),
    [MARK_INDEX] = STR("\"index\""),
    [MARK_TOOL_CALLS] = STR("\"tool_calls\""),
    [MARK_FINISH] = STR("\"finish_reason\""),
    [MARK_NAME] = STR("\"name\""),
    [MARK_ANNOTATIONS] = STR("\"annotations\""),
    [MARK_IMAGES] = STR("\"images\""),
    [MARK_ROLE] = STR("\"role\""),
    [MARK_ID] = STR("\"id\""),
};

/* The only one that it may be, by its first letters; -1: none. At least four bytes are at p. */
static inline int candidate(const char *p, const char *end)
{
    switch (p[1]) {
    case 'c':
        return p[2] == 'o' ? MARK_CONTENT : -1;
    case 't':
        return p[2] == 'e' ? MARK_TEXT : p[2] == 'o' ? MARK_TOOL_CALLS : p[2] == 'h' ? MARK_THINKING : -1;
    case 'a':
        return p[2] == 'r' ? MARK_ARGUMENTS : p[2] == 'n' ? MARK_ANNOTATIONS : -1;
    case 'r':
        if (p[2] == 'o')
            return MARK_ROLE;
        return end - p > 10 && p[10] == '"' ? MARK_REASONING_SHORT : MARK_REASONING;
    case 'd':
        return MARK_DELTA;
    case 'u':
        return MARK_USAGE;
    case 'e':
        return MARK_ERROR;
    case 'i':
        return p[2] == 'n' ? MARK_INDEX : p[2] == 'd' ? MARK_ID : p[2] == 'm' ? MARK_IMAGES : -1;
    case 'f':
        return MARK_FINISH;
    case 'n':
        return p[2] == 'a' ? MARK_NAME : -1;
    default:
        return -1;
    }
}

static inline const char *skip_spaces(const char *p, const char *end)
{
    while (p < end && *p == ' ')
        p++;
    return p;
}

/* p stands at a quote. The first of each name is kept, but the last "usage": choices may have one of their
 * own, in front of the answer's. */
static inline void look(struct openai_marks *out, const char *p, const char *end)
{
    int m = end - p < 4 ? -1 : candidate(p, end);
    if (m < 0 || (size_t)(end - p) < names[m].n || memcmp(p, names[m].p, names[m].n) != 0)
        return;
    const char *colon = skip_spaces(p + names[m].n, end);
    if (colon == end || *colon != ':')
        return;
    if (out->count[m] == 0 || m == MARK_USAGE)
        out->value[m] = skip_spaces(colon + 1, end);
    if (m == MARK_USAGE)
        out->usage = p;
    out->count[m] += out->count[m] < UINT16_MAX;
}

void openai_find_marks(struct str data, struct openai_marks *out)
{
    const char *p = data.p, *end = data.n > 0 ? p + data.n : p;
    *out = (struct openai_marks){0};
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const void *)p);
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, quote));
        for (; mask; mask &= mask - 1)
            look(out, p + __builtin_ctz(mask), end);
    }
#endif
    for (; p < end; p++)
        if (*p == '"')
            look(out, p, end);
}

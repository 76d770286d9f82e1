/* The bytes of a JSON body are mostly string bytes, so this loop decides how fast a body is scanned: sixteen
 * bytes at a time are looked at for the four kinds that need attention (quote, backslash, control,
 * non-ASCII). Nothing is ever read at or behind `end`: a body may lie against an unmapped page. */
#include "json_string.h"
#include "utf8.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool plain(char c)
{
    return (signed char)c >= 0x20 && c != '"' && c != '\\';
}

const char *json_string_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const void *)p);
        /* compared as signed bytes, controls and everything from 0x80 up are both below the space */
        __m128i stop = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash)),
                                    _mm_cmplt_epi8(x, space));
        int mask = _mm_movemask_epi8(stop);
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && plain(*p))
        p++;
    return p;
}

static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number that the four hexadecimal digits at p make, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* The code point of the \u escape whose digits begin at *p, which is moved behind it (and behind its second
 * half); -1 when it is malformed or half of a surrogate pair, which no UTF-8 can express. */
static int32_t unicode_escape(const char **p, const char *end)
{
    int32_t code = hex4(*p, end);
    if (code < 0 || (code & 0xfc00) == 0xdc00)
        return -1;
    *p += 4;
    if ((code & 0xfc00) != 0xd800)
        return code;
    if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return -1;
    int32_t low = hex4(*p + 2, end);
    if (low < 0 || (low & 0xfc00) != 0xdc00)
        return -1;
    *p += 6;
    return 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
}

/* The byte that a one-letter escape stands for, 0 when there is no such escape. */
static inline char short_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

/* *p stands at a backslash; true: behind the escape. */
static bool skip_escape(const char **p, const char *end, const char **why)
{
    if (end - *p < 2) {
        *why = "the text ends within a string";
        return false;
    }
    const char *at = *p + 1;
    if (*at == 'u') {
        at++;
        if (unicode_escape(&at, end) < 0) {
            *why = "a malformed \\u escape, or half of a surrogate pair";
            return false;
        }
        *p = at;
        return true;
    }
    if (!short_escape(*at)) {
        *why = "an unknown escape in a string";
        return false;
    }
    *p += 2;
    return true;
}

static bool skip_non_ascii(const char **p, const char *end, const char **why)
{
    while (*p < end && (signed char)**p < 0) {
        size_t n = utf8_sequence(*p, (size_t)(end - *p));
        if (n == 0) {
            *why = "invalid UTF-8";
            return false;
        }
        *p += n;
    }
    return true;
}

bool json_string_scan(const char **p, const char *end, bool *escaped, const char **why)
{
    *escaped = false;
    for (;;) {
        *p = json_string_plain(*p, end);
        if (*p == end) {
            *why = "the text ends within a string";
            return false;
        }
        if (**p == '"')
            return true;
        if (**p == '\\') {
            *escaped = true;
            if (!skip_escape(p, end, why))
                return false;
        } else if ((signed char)**p < 0) {
            if (!skip_non_ascii(p, end, why))
                return false;
        } else {
            *why = "a control byte in a string";
            return false;
        }
    }
}

/* Decodes the validated escape at *p, which is moved behind it. Returns the bytes written, 0 for what no
 * validated string holds. */
static size_t decode_escape(const char **p, const char *end, char dst[4])
{
    const char *at = *p + 1;
    *p = end;
    if (at == end)
        return 0;
    if (*at != 'u') {
        dst[0] = short_escape(*at);
        *p = at + 1;
        return 1;
    }
    at++;
    int32_t code = unicode_escape(&at, end);
    if (code < 0)
        return 0;
    *p = at;
    return utf8_put(dst, (uint32_t)code);
}

/* How many bytes of [p, end) stand before the first backslash. */
static size_t unescaped(const char *p, const char *end)
{
    const char *backslash = memchr(p, '\\', (size_t)(end - p));
    return (size_t)((backslash ? backslash : end) - p);
}

size_t json_string_decode(struct str raw, char *dst)
{
    const char *p = raw.p, *end = raw.p + raw.n;
    size_t n = 0;
    while (p < end) {
        size_t run = unescaped(p, end);
        memcpy(dst + n, p, run);
        n += run;
        p += run;
        if (p < end)
            n += decode_escape(&p, end, dst + n);
    }
    return n;
}

bool json_string_is(struct str raw, struct str text)
{
    const char *p = raw.p, *end = raw.p + raw.n;
    while (p < end) {
        char one[4];
        struct str piece = {p, unescaped(p, end)};
        p += piece.n;
        if (piece.n == 0)
            piece = (struct str){one, decode_escape(&p, end, one)};
        if (!str_starts(text, piece))
            return false;
        text = (struct str){text.p + piece.n, text.n - piece.n};
    }
    return text.n == 0;
}

/* Base64, both alphabets. */
#include "base64.h"

static const char standard[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int put(struct buf *b, struct str s, const char alphabet[65], bool pad)
{
    const unsigned char *p = (const unsigned char *)s.p;
    char four[4];
    size_t i = 0;
    if (buf_reserve(b, (s.n + 2) / 3 * 4) < (s.n + 2) / 3 * 4 && b->cap >= b->max)
        return b->full = true, -1;
    for (; i + 3 <= s.n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
        four[0] = alphabet[v >> 18];
        four[1] = alphabet[v >> 12 & 63];
        four[2] = alphabet[v >> 6 & 63];
        four[3] = alphabet[v & 63];
        buf_add(b, (struct str){four, 4});
    }
    if (i < s.n) {
        bool two = s.n - i == 2;
        uint32_t v = (uint32_t)p[i] << 16 | (two ? (uint32_t)p[i + 1] << 8 : 0);
        four[0] = alphabet[v >> 18];
        four[1] = alphabet[v >> 12 & 63];
        four[2] = two ? alphabet[v >> 6 & 63] : '=';
        four[3] = '=';
        buf_add(b, (struct str){four, pad ? 4 : two ? 3 : 2});
    }
    return b->full ? -1 : 0;
}

int base64_put(struct buf *b, struct str bytes)
{
    return put(b, bytes, standard, true);
}

int base64url_put(struct buf *b, struct str bytes)
{
    return put(b, bytes, url_safe, false);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

int base64_decode(struct str text, struct arena *a, struct str *out)
{
    while (text.n > 0 && text.p[text.n - 1] == '=')
        text.n--;
    char *p = arena_alloc(a, text.n / 4 * 3 + 3);
    size_t n = 0;
    uint32_t v = 0;
    if (text.n % 4 == 1)
        return -1;
    for (size_t i = 0; i < text.n; i++) {
        int d = value_of(text.p[i]);
        if (d < 0)
            return -1;
        v = v << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            p[n++] = (char)(v >> 16);
            p[n++] = (char)(v >> 8);
            p[n++] = (char)v;
            v = 0;
        }
    }
    if (text.n % 4 == 2)
        p[n++] = (char)(v >> 4);
    if (text.n % 4 == 3) {
        p[n++] = (char)(v >> 10);
        p[n++] = (char)(v >> 2);
    }
    *out = (struct str){p, n};
    return 0;
}

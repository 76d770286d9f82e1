#include "str.h"

#include <string.h>

struct str str_of(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Not strncasecmp: that takes a NUL for the end. */
bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

bool str_has(struct str s, const char *what)
{
    return s.n > 0 && memmem(s.p, s.n, what, strlen(what)) != NULL;
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool str_split(struct str *s, char sep, struct str *head)
{
    if (s->n == 0)
        return false;
    const char *at = memchr(s->p, sep, s->n);
    if (!at) {
        *head = *s;
        *s = STR_NULL;
        return true;
    }
    *head = (struct str){s->p, (size_t)(at - s->p)};
    *s = (struct str){at + 1, s->n - head->n - 1};
    return true;
}

int str_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return -1;
    }
    *out = v;
    return 0;
}

int str_copy(char *dst, size_t size, struct str s)
{
    if (size == 0)
        return -1;
    dst[0] = '\0';
    if (s.n >= size || (s.n > 0 && memchr(s.p, '\0', s.n)))
        return -1;
    if (s.n > 0)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return 0;
}

void str_copy_cut(char *dst, size_t size, struct str s)
{
    if (size == 0)
        return;
    size_t n = s.n < size ? s.n : size - 1;
    if (n < s.n)
        while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
            n--;
    if (n > 0)
        memcpy(dst, s.p, n);
    dst[n] = '\0';
}

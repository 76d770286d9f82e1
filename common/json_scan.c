/* Recursive descent over bytes, at most MAX_JSON_DEPTH deep, with nothing allocated. Workers run it over
 * every body, and over every event of a stream.
 *
 * The wanted paths are followed as sets of bits: at each object, `through` says which paths lead into it, and
 * want[i] what is left of path i from here. A name that carries on a path sets its bit in `seen`, so that the
 * second such name in the same object is a duplicate, be it the path's end or a step on the way. */
#include "json_scan.h"
#include "json_string.h"
#include "limits.h"
#include "mem.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WANTED = 32, MAX_STEP = 128 };

struct wanted {
    const char *rest;
    size_t left;
};

struct scan {
    const char *p, *end;
    const char *why; /* set when something is wrong at p */
    unsigned depth;
    struct wanted *want;
    struct json_value *out;
};

static int scan_value(struct scan *s, uint32_t through, struct json_value *v);

static int fail(struct scan *s, const char *why)
{
    s->why = why;
    return -1;
}

static inline void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static inline bool next_is(const struct scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

/* s->p stands at the opening quote. *inner is what the quotes enclose. */
static int scan_string(struct scan *s, struct str *inner, bool *escaped)
{
    const char *from = ++s->p;
    if (!json_string_scan(&s->p, s->end, escaped, &s->why))
        return -1;
    *inner = (struct str){from, (size_t)(s->p - from)};
    s->p++;
    return 0;
}

static inline bool skip_digits(struct scan *s)
{
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > from;
}

static int scan_number(struct scan *s)
{
    if (*s->p == '-')
        s->p++;
    if (next_is(s, '0'))
        s->p++;
    else if (!skip_digits(s))
        return fail(s, "a malformed number");
    if (next_is(s, '.')) {
        s->p++;
        if (!skip_digits(s))
            return fail(s, "a malformed number");
    }
    if (next_is(s, 'e') || next_is(s, 'E')) {
        s->p++;
        if (next_is(s, '+') || next_is(s, '-'))
            s->p++;
        if (!skip_digits(s))
            return fail(s, "a malformed number");
    }
    return 0;
}

static int scan_literal(struct scan *s, struct str word)
{
    if ((size_t)(s->end - s->p) < word.n || memcmp(s->p, word.p, word.n) != 0)
        return fail(s, "a value is expected");
    s->p += word.n;
    return 0;
}

/* s->p stands at the bracket; true when the container is empty and has been read. */
static bool enter(struct scan *s, char closing)
{
    s->p++;
    skip_space(s);
    if (!next_is(s, closing))
        return false;
    s->p++;
    return true;
}

/* Behind an element: 1: a comma, more come; 0: the closing bracket; -1: neither. */
static int more(struct scan *s, char closing)
{
    skip_space(s);
    if (next_is(s, ',')) {
        s->p++;
        skip_space(s);
        return 1;
    }
    if (next_is(s, closing)) {
        s->p++;
        return 0;
    }
    return fail(s, closing == '}' ? "a comma or } is expected" : "a comma or ] is expected");
}

static int scan_array(struct scan *s, uint32_t *count)
{
    struct json_value element;
    if (enter(s, ']'))
        return 0;
    for (;;) {
        if (scan_value(s, 0, &element))
            return -1;
        ++*count;
        int again = more(s, ']');
        if (again <= 0)
            return again;
    }
}

/* Which of the paths in `through` the name carries on; *n is then the length of its decoded form. */
static uint32_t match(const struct scan *s, uint32_t through, struct str name, bool escaped, size_t *n)
{
    char decoded[6 * MAX_STEP];
    if (escaped) {
        if (name.n > sizeof(decoded))
            return 0; /* longer than any step written in escapes only */
        name = (struct str){decoded, json_string_decode(name, decoded)};
    }
    if (name.n == 0)
        return 0;
    uint32_t hit = 0;
    for (uint32_t set = through; set; set &= set - 1) {
        int i = __builtin_ctz(set);
        const struct wanted *w = &s->want[i];
        if (w->left >= name.n && w->rest[0] == name.p[0] && (w->left == name.n || w->rest[name.n] == '.') &&
            memcmp(w->rest, name.p, name.n) == 0)
            hit |= UINT32_C(1) << i;
    }
    if (hit && memchr(name.p, '.', name.n))
        return 0; /* one name with a dot in it is not two steps */
    *n = name.n;
    return hit;
}

/* The value of a member whose name, of n bytes, carries on the paths in `hit`. */
static int scan_wanted(struct scan *s, uint32_t hit, size_t n)
{
    uint32_t into = 0;
    for (uint32_t set = hit; set; set &= set - 1) {
        int i = __builtin_ctz(set);
        if (s->want[i].left > n) {
            into |= UINT32_C(1) << i;
            s->want[i].rest += n + 1;
            s->want[i].left -= n + 1;
        }
    }
    struct json_value v;
    if (scan_value(s, into, &v))
        return -1;
    for (uint32_t set = hit; set; set &= set - 1) {
        int i = __builtin_ctz(set);
        if (into & UINT32_C(1) << i) {
            s->want[i].rest -= n + 1;
            s->want[i].left += n + 1;
        } else
            s->out[i] = v;
    }
    return 0;
}

/* Reads a name and its colon, up to the value. */
static int scan_name(struct scan *s, struct str *name, bool *escaped)
{
    if (!next_is(s, '"'))
        return fail(s, "a member's name is expected");
    if (scan_string(s, name, escaped))
        return -1;
    skip_space(s);
    if (!next_is(s, ':'))
        return fail(s, "a colon is expected");
    s->p++;
    skip_space(s);
    return 0;
}

static int scan_object(struct scan *s, uint32_t through, uint32_t *count)
{
    uint32_t seen = 0;
    if (enter(s, '}'))
        return 0;
    for (;;) {
        struct str name;
        bool escaped;
        const char *from = s->p;
        if (scan_name(s, &name, &escaped))
            return -1;
        size_t n = 0;
        uint32_t hit = through ? match(s, through, name, escaped, &n) : 0;
        if (hit & seen) {
            s->p = from;
            return fail(s, "a member that may stand only once is repeated");
        }
        seen |= hit;
        struct json_value unwanted;
        if (hit ? scan_wanted(s, hit, n) : scan_value(s, 0, &unwanted))
            return -1;
        ++*count;
        int again = more(s, '}');
        if (again <= 0)
            return again;
    }
}

static int scan_container(struct scan *s, uint32_t through, struct json_value *v)
{
    if (s->depth == MAX_JSON_DEPTH)
        return fail(s, "nested too deeply");
    s->depth++;
    v->type = *s->p == '{' ? JSON_OBJECT : JSON_ARRAY;
    int result = v->type == JSON_OBJECT ? scan_object(s, through, &v->count) : scan_array(s, &v->count);
    s->depth--;
    return result;
}

static int scan_scalar(struct scan *s, struct json_value *v)
{
    struct str inner;
    bool escaped;
    switch (*s->p) {
    case '"':
        v->type = JSON_STRING;
        return scan_string(s, &inner, &escaped);
    case 't':
        v->type = JSON_TRUE;
        return scan_literal(s, STR("true"));
    case 'f':
        v->type = JSON_FALSE;
        return scan_literal(s, STR("false"));
    case 'n':
        v->type = JSON_NULL;
        return scan_literal(s, STR("null"));
    case '-':
    case '0' ... '9':
        v->type = JSON_NUMBER;
        return scan_number(s);
    default:
        return fail(s, "a value is expected");
    }
}

/* s->p stands at the value's first byte, if there is one. */
static int scan_value(struct scan *s, uint32_t through, struct json_value *v)
{
    const char *from = s->p;
    v->count = 0;
    if (from == s->end)
        return fail(s, "the text ends where a value is expected");
    if (*from == '{' || *from == '[' ? scan_container(s, through, v) : scan_scalar(s, v))
        return -1;
    v->raw = (struct str){from, (size_t)(s->p - from)};
    return 0;
}

static struct scan scan_of(struct str text)
{
    const char *p = text.p ? text.p : "";
    return (struct scan){.p = p, .end = p + text.n};
}

/* The whole text: one value with nothing but white space around it. */
static int scan_text(struct scan *s, uint32_t through, struct json_value *v)
{
    skip_space(s);
    if (s->p == s->end)
        return fail(s, "the text is empty");
    if (scan_value(s, through, v))
        return -1;
    skip_space(s);
    return s->p == s->end ? 0 : fail(s, "something follows the end of the text");
}

static int report(const struct scan *s, const char *start, struct error *err)
{
    return error_set(err, "at byte %zu: %s", (size_t)(s->p - start), s->why);
}

int json_scan(struct str text, const char *const paths[], size_t n, struct json_value out[],
              struct error *err)
{
    struct wanted want[MAX_WANTED];
    assert(n <= MAX_WANTED);
    for (size_t i = 0; i < n; i++) {
        want[i] = (struct wanted){paths[i], strlen(paths[i])};
        out[i] = (struct json_value){0};
    }
    struct scan s = scan_of(text);
    const char *start = s.p;
    s.want = want;
    s.out = out;
    struct json_value whole;
    if (scan_text(&s, n > 0 ? UINT32_MAX >> (32 - n) : 0, &whole))
        return report(&s, start, err);
    if (whole.type != JSON_OBJECT)
        return error_set(err, "at byte %zu: the outermost value must be an object",
                         (size_t)(whole.raw.p - start));
    return 0;
}

int json_validate(struct str text, struct error *err)
{
    struct scan s = scan_of(text);
    const char *start = s.p;
    struct json_value whole;
    return scan_text(&s, 0, &whole) ? report(&s, start, err) : 0;
}

int json_next(struct str raw, size_t *at, struct str *name, struct json_value *value)
{
    struct scan s = scan_of(raw);
    const char *start = s.p;
    skip_space(&s);
    char closing = next_is(&s, '{') ? '}' : ']';
    if (!next_is(&s, '{') && !next_is(&s, '['))
        return 0;
    if (*at == 0) {
        if (enter(&s, closing))
            return 0;
    } else {
        s.p = start + *at;
        if (more(&s, closing) != 1)
            return 0;
    }
    struct str ignored;
    bool escaped;
    if (closing == '}' && scan_name(&s, name ? name : &ignored, &escaped))
        return 0;
    if (scan_value(&s, 0, value))
        return 0;
    *at = (size_t)(s.p - start);
    return 1;
}

struct json_value json_member(struct json_value v, const char *name)
{
    struct json_value found = {.type = JSON_ABSENT}, member;
    struct str is;
    if (v.type != JSON_OBJECT)
        return found;
    for (size_t at = 0; json_next(v.raw, &at, &is, &member) == 1;)
        if (json_string_is(is, str_of(name)))
            found = member;
    return found;
}

struct json_value json_root(struct str text)
{
    struct scan s = scan_of(text);
    struct json_value v = {.type = JSON_ABSENT};
    if (scan_text(&s, 0, &v))
        v.type = JSON_ABSENT;
    return v;
}

struct str json_text(struct json_value v, struct arena *a)
{
    if (v.type != JSON_STRING || v.raw.n < 2)
        return STR_NULL;
    struct str inner = {v.raw.p + 1, v.raw.n - 2};
    if (inner.n == 0 || !memchr(inner.p, '\\', inner.n))
        return inner;
    char *decoded = arena_alloc(a, inner.n);
    return (struct str){decoded, json_string_decode(inner, decoded)};
}

int json_int(struct json_value v, int64_t *out)
{
    if (v.type != JSON_NUMBER || v.raw.n == 0)
        return -1;
    bool negative = v.raw.p[0] == '-';
    uint64_t u;
    if (str_u64((struct str){v.raw.p + negative, v.raw.n - negative}, &u))
        return -1;
    if (u > (uint64_t)INT64_MAX + negative)
        return -1;
    *out = negative ? (int64_t)(0 - u) : (int64_t)u;
    return 0;
}

int json_double(struct json_value v, double *out)
{
    if (v.type != JSON_NUMBER)
        return -1;
    char *z = mem_strdup(v.raw);
    double d = strtod(z, NULL); /* the locale is never set, so the point is a point */
    free(z);
    if (!isfinite(d))
        return -1;
    *out = d;
    return 0;
}

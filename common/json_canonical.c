/* The canonical form is what the cache hashes, so it is made in one pass: members are written in the order in
 * which they are read, and an object whose names turn out not to be sorted has its written members put in
 * order afterwards.
 *
 * The text is validated first; everything below then leans on that (a value's first byte tells its kind,
 * strings and brackets are closed, the depth is bounded). */
#include "json_out.h"
#include "json_scan.h"
#include "json_string.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct canonical {
    struct buf *b;
    const char *p, *end;
    const char *const *skip; /* names left out of the outermost object */
    size_t nskip;
    struct arena *scratch;
};

/* A member as it stands in the output, with its comma. */
struct member {
    struct str name; /* decoded */
    size_t from, n;
};

struct members {
    struct member *v;
    size_t n, cap;
};

static int put_value(struct canonical *c);

static void skip_space(struct canonical *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\r' || *c->p == '\t'))
        c->p++;
}

/* Reads a string: what its quotes enclose as it is written, and whether there are escapes in it. */
static struct str read_string(struct canonical *c, bool *escaped)
{
    const char *from = ++c->p, *why;
    json_string_scan(&c->p, c->end, escaped, &why);
    struct str inner = {from, (size_t)(c->p - from)};
    c->p++;
    return inner;
}

static struct str decode(struct canonical *c, struct str inner)
{
    char *decoded = arena_alloc(c->scratch, inner.n);
    return (struct str){decoded, json_string_decode(inner, decoded)};
}

/* What has no escapes has the fewest. */
static int put_string(struct canonical *c)
{
    bool escaped;
    struct str inner = read_string(c, &escaped);
    if (escaped)
        return json_put_string(c->b, decode(c, inner));
    return buf_add(c->b, (struct str){inner.p - 1, inner.n + 2});
}

/* A number or a literal: everything up to what can follow a value. */
static struct str read_word(struct canonical *c)
{
    const char *from = c->p;
    while (c->p < c->end && !strchr(",]} \t\n\r", *c->p))
        c->p++;
    return (struct str){from, (size_t)(c->p - from)};
}

static void skip_value(struct canonical *c)
{
    unsigned depth = 0;
    bool escaped;
    do {
        skip_space(c);
        switch (*c->p) {
        case '"':
            read_string(c, &escaped);
            break;
        case '{':
        case '[':
            depth++;
            c->p++;
            break;
        case '}':
        case ']':
            depth--;
            c->p++;
            break;
        case ',':
        case ':':
            c->p++;
            break;
        default:
            read_word(c);
        }
    } while (depth > 0);
}

static bool skipped(const struct canonical *c, struct str name)
{
    for (size_t i = 0; i < c->nskip; i++)
        if (str_eq(name, str_of(c->skip[i])))
            return true;
    return false;
}

static struct member *add_member(struct members *m)
{
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 8;
        m->v = mem_resize(m->v, m->cap * sizeof(*m->v));
    }
    return &m->v[m->n++];
}

static int put_member(struct canonical *c, struct members *m, bool outermost)
{
    bool escaped;
    const char *quote = c->p;
    struct str name = read_string(c, &escaped);
    if (escaped)
        name = decode(c, name);
    skip_space(c);
    c->p++; /* the colon */
    skip_space(c);
    if (outermost && skipped(c, name)) {
        skip_value(c);
        return 0;
    }
    struct member *one = add_member(m);
    size_t from = c->b->n;
    *one = (struct member){.name = name, .from = from};
    struct str written = {quote, name.n + 2};
    if ((escaped ? json_put_string(c->b, name) : buf_add(c->b, written)) || buf_add_byte(c->b, ':'))
        return -1;
    if (put_value(c) || buf_add_byte(c->b, ','))
        return -1;
    one->n = c->b->n - from;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int order = n > 0 ? memcmp(x->name.p, y->name.p, n) : 0;
    if (order)
        return order;
    if (x->name.n != y->name.n)
        return x->name.n < y->name.n ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from; /* repeated names keep their order */
}

static void sort_members(struct canonical *c, struct members *m)
{
    size_t i = 1;
    while (i < m->n && by_name(&m->v[i - 1], &m->v[i]) < 0)
        i++;
    if (i >= m->n)
        return;
    size_t start = m->v[0].from, n = c->b->n - start;
    char *copy = mem_resize(NULL, n), *to = c->b->p + start;
    memcpy(copy, to, n);
    qsort(m->v, m->n, sizeof(*m->v), by_name);
    for (i = 0; i < m->n; i++) {
        memcpy(to, copy + (m->v[i].from - start), m->v[i].n);
        to += m->v[i].n;
    }
    free(copy);
}

static int put_members(struct canonical *c, struct members *m, bool outermost)
{
    for (;;) {
        if (put_member(c, m, outermost))
            return -1;
        skip_space(c);
        if (*c->p++ == '}')
            return 0;
        skip_space(c);
    }
}

static int put_object(struct canonical *c, bool outermost)
{
    c->p++;
    skip_space(c);
    if (*c->p == '}') {
        c->p++;
        return buf_add(c->b, STR("{}"));
    }
    struct members m = {0};
    int result = buf_add_byte(c->b, '{') || put_members(c, &m, outermost) ? -1 : 0;
    if (result == 0) {
        sort_members(c, &m);
        if (m.n > 0)
            c->b->p[c->b->n - 1] = '}'; /* for the last comma */
        else
            result = buf_add_byte(c->b, '}');
    }
    free(m.v);
    return result;
}

static int put_array(struct canonical *c)
{
    c->p++;
    skip_space(c);
    if (*c->p == ']') {
        c->p++;
        return buf_add(c->b, STR("[]"));
    }
    if (buf_add_byte(c->b, '['))
        return -1;
    for (;;) {
        if (put_value(c))
            return -1;
        skip_space(c);
        char after = *c->p++;
        if (buf_add_byte(c->b, after))
            return -1;
        if (after == ']')
            return 0;
        skip_space(c);
    }
}

static int put_value(struct canonical *c)
{
    switch (*c->p) {
    case '{':
        return put_object(c, false);
    case '[':
        return put_array(c);
    case '"':
        return put_string(c);
    default:
        return buf_add(c->b, read_word(c));
    }
}

int json_canonical(struct buf *b, struct str text, const char *const skip[], size_t nskip,
                   struct arena *scratch)
{
    if (json_validate(text, NULL))
        return -1;
    struct canonical c = {b, text.p, text.p + text.n, skip, nskip, scratch};
    skip_space(&c);
    return *c.p == '{' ? put_object(&c, true) : put_value(&c);
}

/* Pieces of JSON becoming one value. Look-ups walk: what would make them slow (hundreds of names or thousands
 * of indices in one place) is no answer of a model, and is given up. So is a name that an object has twice,
 * of which readers take the last, and one with escapes, which would have to be decoded to be found. */
#include "json_merge.h"

#include <string.h>

enum { MAX_NAMED = 256, MAX_INDICES = 4096 };

void json_merge_init(struct json_merge *m, size_t max)
{
    *m = (struct json_merge){.max = max};
    arena_init(&m->arena);
}

void json_merge_fini(struct json_merge *m)
{
    arena_fini(&m->arena);
}

/* ---- memory */

static bool has_room(struct json_merge *m, size_t n)
{
    m->failed |= n > m->max || m->arena.used > m->max - n;
    return !m->failed;
}

void json_merge_hold(struct json_merge *m, struct buf *b, struct str text)
{
    if (b->n + text.n > b->cap) {
        size_t cap = 2 * (b->n + text.n) + 64;
        if (!has_room(m, cap))
            return;
        char *p = arena_alloc(&m->arena, cap);
        if (b->n > 0)
            memcpy(p, b->p, b->n);
        b->p = p;
        b->cap = b->max = cap;
    }
    buf_add(b, text);
}

struct json_node *json_node_new(struct json_merge *m)
{
    has_room(m, sizeof(struct json_node)); /* one more than there is room for does no harm */
    struct json_node *n = arena_alloc(&m->arena, sizeof(*n));
    *n = (struct json_node){.type = JSON_ABSENT};
    return n;
}

/* ---- the tree */

static struct buf as_buf(struct str s)
{
    return (struct buf){.p = (char *)(uintptr_t)s.p, .n = s.n, .cap = s.n, .max = s.n};
}

static struct json_node *add_child(struct json_merge *m, struct json_node *n)
{
    struct json_node *child = json_node_new(m);
    if (n->last)
        n->last->next = child;
    else
        n->first = child;
    n->last = child;
    n->n_children++;
    return child;
}

void json_node_open(struct json_merge *m, struct json_node *n)
{
    struct str raw = buf_str(&n->raw), name = STR_NULL;
    struct json_value v;
    size_t at = 0;
    if (n->open || (n->type != JSON_OBJECT && n->type != JSON_ARRAY))
        return;
    n->open = true;
    while (!m->failed && json_next(raw, &at, &name, &v) == 1) {
        m->failed |= n->type == JSON_OBJECT && n->n_children >= MAX_NAMED;
        struct json_node *child = add_child(m, n);
        if (n->type == JSON_OBJECT)
            child->name = name;
        child->type = v.type;
        child->raw = as_buf(v.raw); /* full: what makes it grow moves it */
    }
}

void json_node_set(struct json_merge *m, struct json_node *n, struct json_value v)
{
    bool fits = v.raw.n <= n->raw.cap; /* what comes again with each event takes no more memory */
    if (!fits && !has_room(m, v.raw.n + 1))
        return;
    n->type = v.type;
    n->open = false;
    n->first = n->last = NULL;
    n->n_children = 0;
    if (!fits)
        n->raw = as_buf(arena_copy(&m->arena, v.raw));
    if (v.raw.n > 0)
        memmove(n->raw.p, v.raw.p, v.raw.n);
    n->raw.n = v.raw.n;
}

/* n as an open object or array; it becomes one where it was nothing. */
static bool become(struct json_merge *m, struct json_node *n, enum json_type type)
{
    if (n->type == JSON_ABSENT || n->type == JSON_NULL) {
        n->type = type;
        n->open = true;
    }
    m->failed |= n->type != type;
    if (!m->failed)
        json_node_open(m, n);
    return !m->failed;
}

static struct json_node *find(const struct json_node *n, struct str name)
{
    for (struct json_node *child = n->first; child; child = child->next)
        if (str_eq(child->name, name))
            return child;
    return NULL;
}

struct json_node *json_node_member(struct json_merge *m, struct json_node *n, struct str name)
{
    struct json_node *child = become(m, n, JSON_OBJECT) ? find(n, name) : NULL;
    if (child)
        return child;
    m->failed |= n->n_children >= MAX_NAMED || !has_room(m, name.n + 1);
    if (m->failed)
        return json_node_new(m); /* nobody will see it */
    child = add_child(m, n);
    child->name = arena_copy(&m->arena, name);
    return child;
}

struct json_node *json_node_find(struct json_merge *m, struct json_node *n, const char *name)
{
    if (n->type != JSON_OBJECT)
        return NULL;
    json_node_open(m, n);
    struct json_node *child = find(n, str_of(name));
    return child && child->type != JSON_ABSENT ? child : NULL;
}

struct json_node *json_node_push(struct json_merge *m, struct json_node *n)
{
    return become(m, n, JSON_ARRAY) ? add_child(m, n) : json_node_new(m);
}

struct json_node *json_node_at(struct json_merge *m, struct json_node *n, int64_t index)
{
    struct json_node *before = NULL, *child;
    if (!become(m, n, JSON_ARRAY))
        return json_node_new(m);
    if (n->last && n->last->index == index)
        return n->last;
    if (n->last && n->last->index < index)
        before = n->last;
    else
        for (child = n->first; child && child->index <= index; child = child->next) {
            if (child->index == index)
                return child;
            before = child;
        }
    m->failed |= n->n_children >= MAX_INDICES;
    child = json_node_new(m);
    child->index = index;
    child->next = before ? before->next : n->first;
    *(before ? &before->next : &n->first) = child;
    if (n->last == before)
        n->last = child;
    n->n_children++;
    return child;
}

/* ---- merging */

/* Told whole each time, if more than once. */
static bool is_whole(const struct json_node *n, struct str again)
{
    static const struct str names[] = {STR("id"),     STR("type"),      STR("role"),
                                       STR("object"), STR("signature"), STR("thought_signature")};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(n->name, names[i]))
            return true;
    return str_eq(n->name, STR("name")) && str_eq(buf_str(&n->raw), again);
}

static void join_text(struct json_merge *m, struct json_node *n, struct json_value v)
{
    if (v.raw.n <= 2) /* the quotes */
        return;
    if (is_whole(n, v.raw)) {
        json_node_set(m, n, v);
        return;
    }
    n->raw.n--; /* both are valid, hence so is what their quotes enclose in one */
    json_merge_hold(m, &n->raw, (struct str){v.raw.p + 1, v.raw.n - 1});
}

/* The elements that there are, from the first one on, all come again. */
static bool repeats(const struct json_node *n, struct json_value v)
{
    const struct json_node *child = n->first;
    struct json_value e;
    size_t at = 0;
    while (child && json_next(v.raw, &at, NULL, &e) == 1 && str_eq(buf_str(&child->raw), e.raw))
        child = child->next;
    return !child;
}

static void join_arrays(struct json_merge *m, struct json_node *n, struct json_value v)
{
    struct json_value e;
    size_t at = 0;
    json_node_open(m, n);
    while (!m->failed && json_next(v.raw, &at, NULL, &e) == 1)
        json_node_set(m, add_child(m, n), e);
}

static bool is_among(struct str name, const char *const names[])
{
    for (size_t i = 0; names[i]; i++)
        if (str_eq(name, str_of(names[i])))
            return true;
    return false;
}

void json_node_merge_members(struct json_merge *m, struct json_node *n, struct json_value v,
                             enum merge_mode mode, const char *const but[])
{
    struct json_value e;
    struct str name;
    size_t at = 0;
    uint32_t turn = ++m->turns;
    while (!m->failed && json_next(v.raw, &at, &name, &e) == 1) {
        m->failed |= name.n > 0 && memchr(name.p, '\\', name.n);
        if (m->failed || is_among(name, but))
            continue;
        struct json_node *member = json_node_member(m, n, name);
        m->failed |= member->turn == turn; /* it came in v before */
        member->turn = turn;
        json_node_merge(m, member, e, mode);
    }
}

static void merge_arrays(struct json_merge *m, struct json_node *n, struct json_value v, enum merge_mode mode)
{
    if (mode == MERGE_COLLECT)
        json_node_open(m, n);
    if (mode == MERGE_REPLACE || (mode == MERGE_COLLECT && repeats(n, v)))
        json_node_set(m, n, v);
    else
        join_arrays(m, n, v);
}

static bool is_plain(enum json_type t)
{
    return t != JSON_STRING && t != JSON_ARRAY && t != JSON_OBJECT;
}

void json_node_merge(struct json_merge *m, struct json_node *n, struct json_value v, enum merge_mode mode)
{
    static const char *const none[] = {NULL};
    bool nothing = n->type == JSON_ABSENT || n->type == JSON_NULL;
    if (m->failed || (v.type == JSON_NULL && n->type != JSON_ABSENT))
        return;
    if (nothing || (is_plain(n->type) && is_plain(v.type)))
        json_node_set(m, n, v);
    else if (n->type == JSON_OBJECT && v.type == JSON_OBJECT)
        json_node_merge_members(m, n, v, mode, none);
    else if (n->type == JSON_ARRAY && v.type == JSON_ARRAY)
        merge_arrays(m, n, v, mode);
    else if (n->type == JSON_STRING && v.type == JSON_STRING && mode == MERGE_JOIN)
        join_text(m, n, v);
    else if (mode != MERGE_JOIN)
        json_node_set(m, n, v);
    else
        m->failed = true;
}

/* ---- writing */

void json_node_write(const struct json_node *n, struct json_writer *w)
{
    if (n->type == JSON_ABSENT) {
        json_null(w);
        return;
    }
    if (!n->open) {
        json_raw(w, buf_str(&n->raw));
        return;
    }
    json_open(w, n->type == JSON_OBJECT ? '{' : '[');
    for (const struct json_node *child = n->first; child; child = child->next) {
        if (child->type == JSON_ABSENT)
            continue;
        if (n->type == JSON_OBJECT)
            json_name_raw(w, child->name);
        json_node_write(child, w);
    }
    json_close(w, n->type == JSON_OBJECT ? '}' : ']');
}

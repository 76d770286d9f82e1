/* The tree is built as the paths name it: a step ".name" makes an object of a node, "[0]" an array; whatever
 * contradicts what a node already is, is left out. Run by workers only; paths and values are a provider's. */
#include "google_args.h"

#include "chat.h"
#include "google_json.h"
#include "limits.h"

#include <string.h>

enum kind { NOTHING, OBJECT, ARRAY, STRING, RAW };

struct node {
    enum kind kind;
    struct str name;           /* in its object */
    struct node *first, *next; /* children, in their order */
    struct node *last;
    size_t count;    /* of children */
    struct buf text; /* STRING: decoded so far; RAW: JSON; the arena's */
    bool whole;      /* STRING: no more pieces come */
};

struct google_args {
    struct arena *arena;
    struct node root;
    size_t nodes, bytes;
};

struct google_args *google_args_new(struct arena *a)
{
    struct google_args *g = arena_alloc(a, sizeof(*g));
    *g = (struct google_args){.arena = a, .root = {.kind = OBJECT}};
    return g;
}

static struct node *add_child(struct google_args *g, struct node *parent, struct str name)
{
    if (g->nodes >= MAX_ARGS_NODES || g->bytes + name.n > MAX_ARGS_BYTES)
        return NULL;
    struct node *child = arena_alloc(g->arena, sizeof(*child));
    g->nodes++;
    g->bytes += name.n;
    *child = (struct node){.name = arena_copy(g->arena, name)};
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
    return child;
}

static struct node *member(struct google_args *g, struct node *n, struct str name)
{
    if (n->kind == NOTHING)
        n->kind = OBJECT;
    if (n->kind != OBJECT)
        return NULL;
    if (n->last && str_eq(n->last->name, name)) /* most often it is the one that was written last */
        return n->last;
    for (struct node *c = n->first; c; c = c->next)
        if (str_eq(c->name, name))
            return c;
    return add_child(g, n, name);
}

static struct node *element(struct google_args *g, struct node *n, uint64_t index)
{
    if (n->kind == NOTHING)
        n->kind = ARRAY;
    if (n->kind != ARRAY || index > MAX_ARGS_INDEX)
        return NULL;
    if (n->last && index + 1 == n->count)
        return n->last;
    while (n->count <= index)
        if (!add_child(g, n, STR_NULL))
            return NULL;
    struct node *c = n->first;
    while (index-- > 0)
        c = c->next;
    return c;
}

/* One step of a path: ".name", "[12]", "['name']" or "[\"name\"]". */
static struct node *step(struct google_args *g, struct node *n, struct str *path)
{
    const char *p = path->p, *end = p + path->n, *to;
    if (*p == '.') {
        for (to = ++p; to < end && *to != '.' && *to != '[';)
            to++;
        *path = (struct str){to, (size_t)(end - to)};
        return to > p ? member(g, n, (struct str){p, (size_t)(to - p)}) : NULL;
    }
    if (*p != '[' || end - p < 3)
        return NULL;
    bool quoted = p[1] == '\'' || p[1] == '"';
    to = quoted ? memmem(p + 2, (size_t)(end - p) - 2, p[1] == '"' ? "\"]" : "']", 2)
                : memchr(p, ']', (size_t)(end - p));
    if (!to)
        return NULL;
    struct str inner = {p + 1 + quoted, (size_t)(to - p) - 1 - quoted};
    to += 1 + quoted;
    *path = (struct str){to, (size_t)(end - to)};
    uint64_t index;
    if (quoted)
        return member(g, n, inner);
    return str_u64(inner, &index) == 0 ? element(g, n, index) : NULL;
}

/* The node of a path; NULL: it is none, or leads through something that is no container. */
static struct node *find(struct google_args *g, struct str path)
{
    struct node *n = &g->root;
    if (path.n == 0 || path.p[0] != '$')
        return NULL;
    path.p++, path.n--;
    for (int depth = 0; n && path.n > 0; depth++)
        n = depth < MAX_JSON_DEPTH - 2 ? step(g, n, &path) : NULL;
    return n == &g->root ? NULL : n;
}

static void append(struct google_args *g, struct node *n, struct str text)
{
    if (g->bytes + text.n > MAX_ARGS_BYTES)
        return;
    chat_hold(&n->text, text, g->arena);
    g->bytes += text.n;
}

static void add_string(struct google_args *g, struct node *n, struct json_value piece, bool more)
{
    if (n->kind == STRING && n->whole) /* written anew */
        n->text.n = 0;
    n->kind = STRING;
    n->whole = !more;
    append(g, n, json_text(piece, g->arena));
}

void google_args_add(struct google_args *g, struct json_value partial)
{
    enum { PATH, STRING_VALUE, NUMBER_VALUE, BOOL_VALUE, NULL_VALUE, MORE, FIELDS };
    static const char *const names[FIELDS] = {"jsonPath",  "stringValue", "numberValue",
                                              "boolValue", "nullValue",   "willContinue"};
    struct json_value v[FIELDS];
    google_fields(partial, names, FIELDS, v, NULL, NULL);
    struct node *n = v[PATH].type == JSON_STRING ? find(g, json_text(v[PATH], g->arena)) : NULL;
    if (!n || n->kind == OBJECT || n->kind == ARRAY)
        return;
    if (v[STRING_VALUE].type == JSON_STRING) {
        add_string(g, n, v[STRING_VALUE], v[MORE].type == JSON_TRUE);
        return;
    }
    struct str raw = v[NUMBER_VALUE].type == JSON_NUMBER ? v[NUMBER_VALUE].raw
                     : v[BOOL_VALUE].type == JSON_TRUE || v[BOOL_VALUE].type == JSON_FALSE ? v[BOOL_VALUE].raw
                                                                                           : STR("null");
    n->kind = RAW;
    n->text.n = 0;
    append(g, n, raw);
    if (n->text.n == 0) /* there was no room for it */
        n->kind = NOTHING;
}

static void put(struct json_writer *w, const struct node *n)
{
    switch (n->kind) {
    case NOTHING:
        json_null(w);
        return;
    case STRING:
        json_str(w, buf_str(&n->text));
        return;
    case RAW:
        json_raw(w, buf_str(&n->text));
        return;
    case OBJECT:
    case ARRAY:
        break;
    }
    json_open(w, n->kind == OBJECT ? '{' : '[');
    for (const struct node *c = n->first; c; c = c->next) {
        if (n->kind == OBJECT)
            json_name_str(w, c->name);
        put(w, c);
    }
    json_close(w, n->kind == OBJECT ? '}' : ']');
}

struct str google_args_text(const struct google_args *g)
{
    size_t max = 6 * g->bytes + 16 * (g->nodes + 1);
    struct buf b = arena_buf(g->arena, max);
    struct json_writer w = json_writer(&b);
    put(&w, &g->root);
    return buf_str(&b);
}

size_t google_args_size(const struct google_args *g)
{
    return sizeof(*g) + 3 * g->bytes + g->nodes * sizeof(struct node);
}

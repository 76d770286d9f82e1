/* Which of a Messages request's tools the model has when it answers. Run by workers.
 *
 * Tools may wait until a search names them (defer_loading), come into the conversation and go from it. To
 * Anthropic that spares the prompt's cache; others are simply told the tools that are there in the end. A
 * tool that waits for Anthropic's own search would never be found elsewhere, so it is told from the start. */
#include "anthropic_messages_read.h"

#include <stdlib.h>
#include <string.h>

enum state { WAITS, HERE, GONE };

struct tool_change {
    struct tool_change *before;
    struct str name;
    size_t at;  /* the how-manieth of all changes */
    size_t def; /* the tool that it defined; SIZE_MAX: none */
    enum state state;
};

static void note(struct messages_reading *m, struct str name, enum state state, size_t def)
{
    struct tool_change *c = arena_alloc(m->a, sizeof(*c));
    *c = (struct tool_change){m->changes, name, m->n_changes++, def, state};
    m->changes = c;
}

void messages_tool_waits(struct messages_reading *m, struct str name)
{
    note(m, name, WAITS, SIZE_MAX);
}

void messages_found_tool(struct messages_reading *m, struct str name)
{
    note(m, name, HERE, SIZE_MAX);
}

static int define_tool(struct messages_reading *m, const struct place *at, struct json_value tool)
{
    static const char *const names[] = {"definition"};
    struct place here = {at, "definition", 0};
    struct json_value v[1];
    size_t n = m->out->n_tools;
    if (messages_members(m, at, tool, names, 1, v) != 0 || messages_read_tool(m, &here, v[0]) != 0)
        return -1;
    if (m->out->n_tools > n)
        note(m, m->out->tools[n].name, HERE, n);
    return 0;
}

int messages_change_tool(struct messages_reading *m, const struct place *at, struct json_value tool, bool add)
{
    static const char *const names[] = {"type", "name"};
    struct json_value v[2];
    if (messages_members(m, at, tool, names, 2, v) != 0)
        return -1;
    if (add && word_is(v[0], "tool_definition"))
        return define_tool(m, at, tool);
    if (!word_is(v[0], "tool_reference"))
        return messages_wrong(m, at, "type", "this model's provider knows only tools of this request");
    if (messages_need(m, at, "name", v[1], JSON_STRING) != 0)
        return -1;
    note(m, json_text(v[1], m->a), add ? HERE : GONE, SIZE_MAX);
    return 0;
}

/* ---- what is left in the end */

static int compare_names(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_name(const void *x, const void *y)
{
    const struct tool_change *a = x, *b = y;
    int order = compare_names(a->name, b->name);
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

static int has_name(const void *key, const void *element)
{
    const struct tool_change *e = element;
    return compare_names(*(const struct str *)key, e->name);
}

/* The last state of each tool, by name, with its last definition. */
static struct tool_change *outcomes(struct messages_reading *m, size_t *n)
{
    struct tool_change *list = arena_alloc(m->a, m->n_changes * sizeof(*list));
    size_t kept = 0, i = 0;
    for (const struct tool_change *c = m->changes; c; c = c->before)
        list[i++] = *c;
    qsort(list, i, sizeof(*list), by_name);
    for (size_t k = 0; k < i; k++) {
        struct tool_change *last = kept > 0 ? &list[kept - 1] : NULL;
        size_t def = last ? last->def : SIZE_MAX;
        if (last && str_eq(last->name, list[k].name)) {
            *last = list[k];
            last->def = list[k].def != SIZE_MAX ? list[k].def : def;
        } else
            list[kept++] = list[k];
    }
    *n = kept;
    return list;
}

static size_t keep(struct messages_reading *m, const struct tool_change *list, size_t n, bool waiting,
                   bool do_it)
{
    struct chat_request *c = m->out;
    size_t kept = 0;
    for (size_t i = 0; i < c->n_tools; i++) {
        const struct tool_change *now = bsearch(&c->tools[i].name, list, n, sizeof(*list), has_name);
        if (now && (now->state == GONE || (now->state == WAITS && !waiting) ||
                    (now->def != SIZE_MAX && now->def != i)))
            continue;
        if (do_it)
            c->tools[kept] = c->tools[i];
        kept++;
    }
    if (do_it)
        c->n_tools = kept;
    return kept;
}

void messages_settle_tools(struct messages_reading *m)
{
    size_t n;
    if (m->n_changes == 0)
        return;
    const struct tool_change *list = outcomes(m, &n);
    bool waiting = m->searches || keep(m, list, n, false, false) == 0;
    if (waiting)
        for (size_t i = 0; i < n; i++)
            if (list[i].state == WAITS)
                messages_pass_over(m, STR("tools.defer_loading"));
    keep(m, list, n, waiting, true);
}

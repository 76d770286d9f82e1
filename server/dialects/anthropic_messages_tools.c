/* The tools of a Messages request, and which of them the model shall use. Run by workers. */
#include "anthropic_messages_read.h"

enum { N_KNOWN = 7 };
static const char *const known[N_KNOWN] = {"type",   "name",          "description",  "input_schema",
                                           "strict", "cache_control", "defer_loading"};

/* What Anthropic alone makes of a tool's definition. */
static void pass_over_details(struct messages_reading *m, struct json_value tool)
{
    struct json_value v;
    struct str name;
    for (size_t at = 0; json_next(tool.raw, &at, &name, &v) == 1;) {
        size_t i = 0;
        while (i < N_KNOWN && !json_string_is(name, str_of(known[i])))
            i++;
        if (i == N_KNOWN && is_given(v) && v.type != JSON_FALSE)
            messages_pass_over(m, arena_printf(m->a, "tools." STR_FMT, STR_ARG(name)));
    }
}

/* A tool that has a type. Anthropic's search among the tools only spares the model their definitions, which
 * are then all told at once; everything else is run, or known, by Anthropic alone. */
static int read_typed_tool(struct messages_reading *m, const struct place *at, struct json_value type)
{
    struct str word = json_text(type, m->a);
    if (!str_starts(word, STR("tool_search_tool")))
        return messages_wrong(
            m, at, "type", "'%.*s' is a tool of Anthropic's own, which this model's provider does not have",
            (int)(word.n < 64 ? word.n : 64), word.p ? word.p : "");
    messages_pass_over(m, arena_printf(m->a, "tools." STR_FMT, STR_ARG(word)));
    m->searches = true;
    return 0;
}

int messages_read_tool(struct messages_reading *m, const struct place *at, struct json_value tool)
{
    struct json_value v[N_KNOWN];
    if (messages_members(m, at, tool, known, N_KNOWN, v) != 0 ||
        messages_may_be(m, at, "type", v[0], JSON_STRING) != 0)
        return -1;
    if (is_given(v[0]) && !word_is(v[0], "custom"))
        return read_typed_tool(m, at, v[0]);
    if (messages_need(m, at, "name", v[1], JSON_STRING) != 0 ||
        messages_may_be(m, at, "description", v[2], JSON_STRING) != 0 ||
        messages_need(m, at, "input_schema", v[3], JSON_OBJECT) != 0)
        return -1;
    struct chat_tool *t = chat_add_tool(m->out, m->a);
    t->name = json_text(v[1], m->a);
    t->description = json_text(v[2], m->a);
    t->schema = v[3].raw;
    t->strict = v[4].type == JSON_TRUE ? 1 : v[4].type == JSON_FALSE ? 0 : -1;
    if (t->name.n == 0)
        return messages_wrong(m, at, "name", "a tool's name cannot be empty");
    pass_over_details(m, tool);
    if (v[6].type == JSON_TRUE)
        messages_tool_waits(m, t->name);
    return messages_read_mark(m, at, v[5], &t->cache_control);
}

int messages_read_tools(struct messages_reading *m, struct json_value tools)
{
    struct place here = {NULL, "tools", 0}, at = {&here, NULL, 0};
    struct json_value tool;
    if (!is_given(tools))
        return 0;
    if (messages_need(m, NULL, "tools", tools, JSON_ARRAY) != 0)
        return -1;
    for (size_t step = 0; json_next(tools.raw, &step, NULL, &tool) == 1; at.index++)
        if (messages_read_tool(m, &at, tool) != 0)
            return -1;
    return 0;
}

int messages_read_tool_choice(struct messages_reading *m, struct json_value choice)
{
    static const char *const names[] = {"type", "name", "disable_parallel_tool_use"};
    struct place here = {NULL, "tool_choice", 0};
    struct chat_request *c = m->out;
    struct json_value v[3];
    if (!is_given(choice))
        return 0;
    if (messages_members(m, &here, choice, names, 3, v) != 0)
        return -1;
    if (c->n_tools == 0)
        return word_is(v[0], "none") || word_is(v[0], "auto")
                   ? 0
                   : messages_wrong(m, &here, NULL,
                                    "tool_choice may only be specified while providing tools");
    if (word_is(v[0], "auto"))
        c->tool_choice = TOOLS_AUTO;
    else if (word_is(v[0], "any"))
        c->tool_choice = TOOLS_REQUIRED;
    else if (word_is(v[0], "none"))
        c->tool_choice = TOOLS_NONE;
    else if (word_is(v[0], "tool"))
        c->tool_choice = TOOLS_NAMED;
    else
        return messages_wrong(m, &here, "type", "Input should be 'auto', 'any', 'tool' or 'none'");
    c->tool_name = c->tool_choice == TOOLS_NAMED ? json_text(v[1], m->a) : STR_NULL;
    if (c->tool_choice == TOOLS_NAMED && !chat_tool(c, c->tool_name))
        return messages_wrong(m, &here, "name", "this tool is not among the tools provided");
    if (is_given(v[2]) && v[2].type != JSON_TRUE && v[2].type != JSON_FALSE)
        return messages_wrong(m, &here, "disable_parallel_tool_use", "Input should be a valid boolean");
    if (v[2].type == JSON_TRUE) {
        c->parallel_tools = 0;
        chat_set_param(c, PARAM_PARALLEL_TOOLS, "tool_choice.disable_parallel_tool_use", v[2]);
    }
    return 0;
}

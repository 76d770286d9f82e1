/* Tools, and which of them may or must be called. Run by workers. */
#include "openai_request.h"

#include "json_out.h"

/* They must be an object's. */
static void put_parameters(struct writing *w, struct str schema)
{
    struct json_value root = json_root(schema);
    if (root.type != JSON_OBJECT)
        json_raw(&w->j, STR("{\"type\":\"object\",\"properties\":{}}"));
    else if (json_member(root, "type").type != JSON_ABSENT)
        json_raw(&w->j, schema);
    else if (json_set_member(w->j.out, root.raw, "type", STR("\"object\"")) == 0)
        w->j.comma = true;
}

static void put_custom(struct writing *w, const struct chat_tool *t)
{
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", "custom");
    json_member_open(&w->j, "custom", '{');
    json_member_str(&w->j, "name", openai_tool_name(w->c->arena, t->name));
    json_opt_str(&w->j, "description", t->own_description);
    if (t->definition.n > 0) {
        json_member_open(&w->j, "format", '{');
        json_member_strz(&w->j, "type", "grammar");
        json_member_open(&w->j, "grammar", '{');
        json_member_str(&w->j, "syntax", t->syntax);
        json_member_str(&w->j, "definition", t->definition);
        json_close(&w->j, '}');
        json_close(&w->j, '}');
    }
    json_close(&w->j, '}');
    json_close(&w->j, '}');
}

static void put_tool(struct writing *w, const struct chat_tool *t)
{
    if (t->kind == TOOL_CUSTOM && w->custom) {
        put_custom(w, t);
        return;
    }
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", "function");
    json_member_open(&w->j, "function", '{');
    json_member_str(&w->j, "name", openai_tool_name(w->c->arena, t->name));
    json_opt_str(&w->j, "description", t->description);
    json_name(&w->j, "parameters");
    put_parameters(w, t->schema);
    if (t->strict >= 0)
        json_member_bool(&w->j, "strict", t->strict);
    json_close(&w->j, '}');
    if ((w->p->flags & MARKS) && t->cache_control.n > 0) {
        json_member_raw(&w->j, "cache_control", t->cache_control);
        chat_take(w->c, PARAM_CACHE_CONTROL);
    }
    json_close(&w->j, '}');
}

static size_t n_allowed(const struct writing *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->in->n_tools; i++)
        n += chat_tool_allowed(w->in, w->in->tools[i].name);
    return n;
}

static void put_named(struct writing *w, struct str name)
{
    const struct chat_tool *t = chat_tool(w->in, name);
    const char *type = t && t->kind == TOOL_CUSTOM && w->custom ? "custom" : "function";
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", type);
    json_member_open(&w->j, type, '{');
    json_member_str(&w->j, "name", openai_tool_name(w->c->arena, name));
    json_close(&w->j, '}');
    json_close(&w->j, '}');
}

static void put_choice(struct writing *w)
{
    switch (w->in->tool_choice) {
    case TOOLS_DEFAULT:
        break;
    case TOOLS_AUTO:
        json_member_strz(&w->j, "tool_choice", "auto");
        break;
    case TOOLS_NONE:
        json_member_strz(&w->j, "tool_choice", "none");
        break;
    case TOOLS_REQUIRED:
        json_member_strz(&w->j, "tool_choice", w->deviations & PROVIDER_RANDOM_SEED ? "any" : "required");
        break;
    case TOOLS_NAMED:
        json_name(&w->j, "tool_choice");
        put_named(w, w->in->tool_name);
        break;
    }
}

/* Tools that may not be called are left out: allowed_tools is known to few models even of OpenAI's. */
void openai_put_tools(struct writing *w)
{
    bool parallel_given = chat_take(w->c, PARAM_PARALLEL_TOOLS).n > 0;
    if (w->custom)
        chat_take(w->c, PARAM_TOOL_FORMAT);
    if (w->in->n_tools == 0 || n_allowed(w) == 0)
        return;
    json_member_open(&w->j, "tools", '[');
    for (size_t i = 0; i < w->in->n_tools; i++)
        if (chat_tool_allowed(w->in, w->in->tools[i].name))
            put_tool(w, &w->in->tools[i]);
    json_close(&w->j, ']');
    put_choice(w);
    if (w->in->parallel_tools != 0) /* true is the default everywhere */
        return;
    if (w->p->params & BIT(PARALLEL_TOOLS))
        json_member_bool(&w->j, "parallel_tool_calls", false);
    else if (parallel_given)
        w->c->taken &= ~BIT(PARALLEL_TOOLS);
}

/* The neutral form written as Google's GenerateContent request, for the Gemini API and Vertex alike. Run by
 * workers. */
#include "gemini_request.h"

/* ---- tools */

static void put_declaration(struct json_writer *w, struct str name, struct str description, struct str schema)
{
    json_open(w, '{');
    json_member_str(w, "name", name);
    json_opt_str(w, "description", description);
    json_opt_raw(w, "parametersJsonSchema", schema);
    json_close(w, '}');
}

static void put_tools(struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    json_member_open(&g->w, "tools", '[');
    json_open(&g->w, '{');
    json_member_open(&g->w, "functionDeclarations", '[');
    for (size_t i = 0; i < in->n_tools; i++)
        put_declaration(&g->w, gemini_tool_name(in->tools[i].name, g->c->arena), in->tools[i].description,
                        in->tools[i].schema);
    if (g->json_tool)
        put_declaration(&g->w, STR(GEMINI_JSON_TOOL),
                        in->format_description.n > 0
                            ? in->format_description
                            : STR("Gives the final answer, when no other tool is to be called any more."),
                        in->format_schema);
    json_close(&g->w, ']');
    json_close(&g->w, '}');
    json_close(&g->w, ']');
}

static bool any_strict(const struct chat_request *in)
{
    for (size_t i = 0; i < in->n_tools; i++)
        if (in->tools[i].strict == 1)
            return true;
    return false;
}

/* Functions may be named beside ANY and VALIDATED only. */
static const char *mode_of(const struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    switch (in->tool_choice) {
    case TOOLS_NONE:
        return "NONE";
    case TOOLS_REQUIRED:
    case TOOLS_NAMED:
        return "ANY";
    case TOOLS_DEFAULT:
    case TOOLS_AUTO:
        break;
    }
    if (g->json_tool)
        return "ANY";
    if (in->n_allowed > 0 || any_strict(in))
        return "VALIDATED";
    return in->tool_choice == TOOLS_AUTO ? "AUTO" : NULL;
}

static void put_tool_config(struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    const char *mode = mode_of(g);
    if (!mode)
        return;
    json_member_open(&g->w, "toolConfig", '{');
    json_member_open(&g->w, "functionCallingConfig", '{');
    json_member_strz(&g->w, "mode", mode);
    if (in->tool_choice == TOOLS_NAMED || (in->n_allowed > 0 && in->tool_choice != TOOLS_NONE)) {
        json_member_open(&g->w, "allowedFunctionNames", '[');
        for (size_t i = 0; i < in->n_allowed && in->tool_choice != TOOLS_NAMED; i++)
            json_str(&g->w, gemini_tool_name(in->allowed[i], g->c->arena));
        if (in->tool_choice == TOOLS_NAMED)
            json_str(&g->w, gemini_tool_name(in->tool_name, g->c->arena));
        else if (g->json_tool)
            json_str(&g->w, STR(GEMINI_JSON_TOOL));
        json_close(&g->w, ']');
    }
    json_close(&g->w, '}');
    json_close(&g->w, '}');
}

/* ---- the body */

/* Schema and tools at once: the third generation takes both; before it, the answer becomes a tool, unless
 * none or only others may be called. JSON of any form is asked for in words. */
static int plan_format(struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    if (in->format == FORMAT_TEXT || in->n_tools == 0 || in->tool_choice == TOOLS_NONE || g->generation >= 30)
        return 0;
    g->json_told = in->format == FORMAT_JSON && !str_has(g->c->model, "gemma");
    if (in->format == FORMAT_JSON && !g->json_told)
        return chat_refuse(g->c, "response_format", "This model can't be held to JSON while it has tools.");
    g->json_tool = !g->json_told && (in->tool_choice == TOOLS_DEFAULT || in->tool_choice == TOOLS_AUTO);
    g->no_format = true;
    return 0;
}

static int put_members(struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    if (plan_format(g) != 0 || gemini_put_contents(g) != 0)
        return -1;
    bool offers = in->n_tools > 0 && !(in->tool_choice == TOOLS_NONE && in->format != FORMAT_TEXT);
    if (offers) {
        put_tools(g);
        put_tool_config(g);
    }
    if (in->parallel_tools != 0)
        chat_take(g->c, PARAM_PARALLEL_TOOLS);
    if (gemini_put_config(g) != 0)
        return -1;
    struct str safety = chat_take(g->c, PARAM_SAFETY_SETTINGS);
    json_opt_raw(&g->w, "safetySettings", safety);
    return 0;
}

static struct gemini_writer writer_of(struct chat_call *c, bool vertex)
{
    unsigned generation = gemini_generation(c->model);
    return (struct gemini_writer){.c = c,
                                  .w = json_writer(&c->call->room),
                                  .vertex = vertex,
                                  .generation = generation,
                                  .ids = generation == 0 || generation >= 30};
}

static int finish(struct chat_call *c)
{
    c->call->headers = STR("content-type: application/json\r\n");
    c->call->body = buf_str(&c->call->room);
    return c->call->room.full ? chat_refuse(c, NULL, "The request is too large.") : 0;
}

int gemini_write_body(struct chat_call *c, bool vertex)
{
    struct gemini_writer g = writer_of(c, vertex);
    json_open(&g.w, '{');
    if (put_members(&g) != 0)
        return -1;
    json_close(&g.w, '}');
    return finish(c);
}

/* ---- counting */

int gemini_write_count_body(struct chat_call *c, bool vertex)
{
    struct gemini_writer g = writer_of(c, vertex);
    json_open(&g.w, '{');
    if (!vertex) {
        json_member_open(&g.w, "generateContentRequest", '{');
        json_member_str(&g.w, "model", gemini_full_name(c->model, c->arena));
    }
    if (gemini_put_contents(&g) != 0)
        return -1;
    if (c->in->n_tools > 0)
        put_tools(&g);
    if (!vertex)
        json_close(&g.w, '}');
    json_close(&g.w, '}');
    return finish(c);
}

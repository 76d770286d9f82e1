/* The tools of a Responses request, and which of them may or must be called. Run by workers only.
 *
 * Functions, custom tools, a caller's own search among tools and the members of namespaces are all functions
 * to most providers (chat_tool), hence share one space of names: where two would have the same, it is
 * refused. */
#include "custom_tool.h"
#include "openai_responses.h"

#include <string.h>

/* ---- names */

/* Where a tool stands that is read. */
struct adding {
    struct str space; /* a namespace; empty: none */
    struct str about; /* what it says of itself, for its first tool */
    bool more;        /* amid the conversation */
};

/* OpenAI's models have all functions in a namespace of that name: it says nothing. */
static bool is_plain_space(struct str space)
{
    return space.n == 0 || str_eq(space, STR("functions"));
}

static struct str joined_name(struct responses_reading *rd, struct str space, struct str name)
{
    if (is_plain_space(space))
        return name;
    return arena_printf(rd->a, STR_FMT "%s" STR_FMT, STR_ARG(space), str_ends(space, STR("__")) ? "" : "__",
                        STR_ARG(name));
}

struct str responses_tool_name(struct responses_reading *rd, struct str space, struct str name)
{
    if (space.n > 0 || chat_tool(rd->c, name))
        return joined_name(rd, space, name);
    for (size_t i = 0; i < rd->c->n_tools; i++)
        if (rd->c->tools[i].space.n > 0 && str_eq(rd->c->tools[i].own_name, name))
            return rd->c->tools[i].name;
    return name;
}

static struct str described(struct responses_reading *rd, struct str text, const struct adding *to)
{
    struct buf b = {0};
    if (to->about.n == 0)
        return text;
    chat_hold(&b, text, rd->a);
    chat_hold(&b, STR("\n\nOf all tools whose names begin with "), rd->a);
    chat_hold(&b, to->space, rd->a);
    chat_hold(&b, STR(": "), rd->a);
    chat_hold(&b, to->about, rd->a);
    return buf_str(&b);
}

static int add_tool(struct responses_reading *rd, struct chat_tool t, const struct adding *to)
{
    if (to->space.n > 0) {
        t.space = to->space;
        t.own_name = t.name;
        t.name = joined_name(rd, t.space, t.own_name);
        t.description = described(rd, t.description, to);
    }
    const struct chat_tool *same = chat_tool(rd->c, t.name);
    bool functions = same && same->kind == TOOL_FUNCTION && t.kind == TOOL_FUNCTION;
    if (same && to->more)
        return 0;
    if (same && !rd->c->too_many && !(functions && str_eq(same->space, t.space)))
        return responses_wrong(rd, "invalid_value", "name", "Two tools are called '%.*s'.",
                               (int)(t.name.n < 128 ? t.name.n : 128), t.name.p);
    *chat_add_tool(rd->c, rd->a) = t;
    return 0;
}

static int read_tool(struct responses_reading *rd, struct json_value tool, const struct adding *to);

/* ---- functions */

/* Whether a schema is as strict ones must be: every object closed, and all of its properties required. Only
 * depth makes it recurse, which the scanner bounds. */
static bool fits_strict(struct json_value schema)
{
    struct json_value member;
    if (schema.type == JSON_OBJECT) {
        struct json_value properties = json_member(schema, "properties"), type = json_member(schema, "type");
        bool object = properties.type == JSON_OBJECT || str_eq(type.raw, STR("\"object\""));
        uint32_t n = properties.type == JSON_OBJECT ? properties.count : 0;
        struct json_value required = json_member(schema, "required");
        if (object && (json_member(schema, "additionalProperties").type != JSON_FALSE ||
                       (required.type == JSON_ARRAY ? required.count : 0) != n))
            return false;
    }
    if (schema.type != JSON_OBJECT && schema.type != JSON_ARRAY)
        return true;
    for (size_t at = 0; json_next(schema.raw, &at, NULL, &member) == 1;)
        if (!fits_strict(member))
            return false;
    return true;
}

/* Strictness is the default of this dialect where the schema allows it: OpenAI itself alters the others, or
 * gives up. */
static int strictness(struct json_value strict, struct json_value schema)
{
    if (given(strict))
        return strict.type == JSON_TRUE;
    return schema.type == JSON_OBJECT && schema.count > 0 && fits_strict(schema) ? 1 : -1;
}

/* The name of one, which is all that they have in common. */
static int read_name(struct responses_reading *rd, struct json_value v, struct str *name)
{
    if (v.type != JSON_STRING || v.raw.n <= 2)
        return responses_missing(rd, "name");
    *name = json_text(v, rd->a);
    return 0;
}

static int read_function(struct responses_reading *rd, struct json_value tool, const struct adding *to)
{
    static const char *const paths[] = {"name", "description", "parameters", "strict", "cache_control"};
    enum { NAME, DESCRIPTION, PARAMETERS, STRICT, CACHE, COUNT };
    struct json_value v[COUNT];
    struct chat_tool t = {.kind = TOOL_FUNCTION};
    if (json_scan(tool.raw, paths, COUNT, v, NULL) != 0)
        return responses_type(rd, NULL, "an object without duplicate members");
    if (read_name(rd, v[NAME], &t.name) != 0)
        return -1;
    if (given(v[PARAMETERS]) && v[PARAMETERS].type != JSON_OBJECT)
        return responses_type(rd, "parameters", "an object");
    if (given(v[STRICT]) && v[STRICT].type != JSON_TRUE && v[STRICT].type != JSON_FALSE)
        return responses_type(rd, "strict", "a boolean");
    t.schema = v[PARAMETERS].type == JSON_OBJECT ? v[PARAMETERS].raw : STR_NULL;
    t.strict = strictness(v[STRICT], v[PARAMETERS]);
    t.cache_control = v[CACHE].type == JSON_OBJECT ? v[CACHE].raw : STR_NULL;
    if (responses_text(rd, "description", v[DESCRIPTION], &t.description) != 0)
        return -1;
    return add_tool(rd, t, to);
}

/* ---- the others that a caller has */

/* {"type":"text"}, or {"type":"grammar","syntax","definition"}. */
static int read_grammar(struct responses_reading *rd, struct json_value format, struct chat_tool *t)
{
    struct str type = json_text(json_member(format, "type"), rd->a);
    if (!given(format) || str_eq(type, STR("text")))
        return 0;
    t->syntax = json_text(json_member(format, "syntax"), rd->a);
    t->definition = json_text(json_member(format, "definition"), rd->a);
    if (!str_eq(type, STR("grammar")))
        return responses_bad_value(rd, "format.type", type, "'text' and 'grammar'");
    if (t->definition.n == 0)
        return responses_missing(rd, "format.definition");
    chat_set_param(rd->c, PARAM_TOOL_FORMAT, "tools[].format", format);
    return 0;
}

static int read_custom(struct responses_reading *rd, struct json_value tool, const struct adding *to)
{
    static const char *const paths[] = {"name", "description", "format", "cache_control"};
    enum { NAME, DESCRIPTION, FORMAT, CACHE, COUNT };
    struct json_value v[COUNT];
    struct chat_tool t = {.kind = TOOL_CUSTOM, .strict = -1};
    if (json_scan(tool.raw, paths, COUNT, v, NULL) != 0)
        return responses_type(rd, NULL, "an object without duplicate members");
    t.cache_control = v[CACHE].type == JSON_OBJECT ? v[CACHE].raw : STR_NULL;
    if (read_name(rd, v[NAME], &t.name) != 0 ||
        responses_text(rd, "description", v[DESCRIPTION], &t.own_description) != 0 ||
        read_grammar(rd, v[FORMAT], &t) != 0)
        return -1;
    custom_tool_settle(&t, rd->a);
    return add_tool(rd, t, to);
}

/* A search among tools that the caller runs: a function with a name of its own. */
static int read_search(struct responses_reading *rd, struct json_value tool, const struct adding *to)
{
    struct json_value parameters = json_member(tool, "parameters");
    struct chat_tool t = {.kind = TOOL_SEARCH, .name = STR(RESPONSES_TOOL_SEARCH), .strict = -1};
    if (given(parameters) && parameters.type != JSON_OBJECT)
        return responses_type(rd, "parameters", "an object");
    t.schema = parameters.type == JSON_OBJECT ? parameters.raw : STR_NULL;
    if (responses_text(rd, "description", json_member(tool, "description"), &t.description) != 0)
        return -1;
    return add_tool(rd, t, to);
}

/* A namespace's tools are tools like others, with its name before their own. What it says of them stands with
 * the first one. */
static int read_namespace(struct responses_reading *rd, struct json_value space, const struct adding *to)
{
    struct json_value tools = json_member(space, "tools"), tool;
    struct adding in = {.more = to->more};
    if (read_name(rd, json_member(space, "name"), &in.space) != 0)
        return -1;
    if (to->space.n > 0 || tools.type != JSON_ARRAY)
        return responses_type(rd, "tools", "an array of tools (none of them a namespace)");
    if (responses_text(rd, "description", json_member(space, "description"), &in.about) != 0)
        return -1;
    for (size_t at = 0; json_next(tools.raw, &at, NULL, &tool) == 1; in.about = STR_NULL)
        if (read_tool(rd, tool, &in) != 0)
            return -1;
    return 0;
}

/* ---- tools */

/* What OpenAI runs itself. Its search among the tools can be done without: here all are told at once. */
static int pass_hosted(struct responses_reading *rd, struct str type)
{
    bool drop = rd->r->route && rd->r->route->hosted_tools == HOSTED_DROP;
    if (drop || str_eq(type, STR("tool_search"))) {
        responses_pass_over(rd, arena_printf(rd->a, "tools." STR_FMT, STR_ARG(type)));
        return 0;
    }
    return responses_wrong(
        rd, "unsupported_value", "type",
        "Tools of the type '%.*s' are run by OpenAI, which the provider of this model is not: "
        "leave the tool out, or have the gateway do it (the model's hosted_tools = \"drop\").",
        (int)(type.n < 64 ? type.n : 64), type.p);
}

static int read_tool(struct responses_reading *rd, struct json_value tool, const struct adding *to)
{
    if (tool.type != JSON_OBJECT)
        return responses_type(rd, NULL, "an object");
    struct str type = json_text(json_member(tool, "type"), rd->a);
    if (type.n == 0)
        return responses_missing(rd, "type");
    if (str_eq(type, STR("function")))
        return read_function(rd, tool, to);
    if (str_eq(type, STR("custom")))
        return read_custom(rd, tool, to);
    if (str_eq(type, STR("namespace")))
        return read_namespace(rd, tool, to);
    bool callers = str_eq(json_text(json_member(tool, "execution"), rd->a), STR("client"));
    if (str_eq(type, STR("tool_search")) && callers)
        return read_search(rd, tool, to);
    return pass_hosted(rd, type);
}

int responses_read_tool(struct responses_reading *rd, struct json_value tool, bool more)
{
    return read_tool(rd, tool, &(struct adding){.more = more});
}

int responses_read_tools(struct responses_reading *rd, const char *name, struct json_value v)
{
    struct json_value tool;
    int r = 0;
    if (v.type != JSON_ARRAY)
        return responses_type(rd, name, "an array of objects");
    rd->list = "tools";
    rd->at = 0;
    for (size_t at = 0; r == 0 && json_next(v.raw, &at, NULL, &tool) == 1; rd->at++)
        r = responses_read_tool(rd, tool, false);
    rd->list = NULL;
    return r;
}

/* ---- tool_choice */

static int known_tool(struct responses_reading *rd, const char *param, struct json_value choice,
                      struct str *name)
{
    struct str type = json_text(json_member(choice, "type"), rd->a);
    struct str space = json_text(json_member(choice, "namespace"), rd->a);
    if (!str_eq(type, STR("function")) && !str_eq(type, STR("custom")))
        return responses_wrong(
            rd, "unsupported_value", param,
            "Only functions and custom tools can be chosen: the provider of this model has no "
            "others.");
    *name = json_text(json_member(choice, "name"), rd->a);
    if (name->n > 0)
        *name = responses_tool_name(rd, space, *name);
    if (name->n == 0)
        return responses_wrong(rd, "missing_required_parameter", param,
                               "Missing required parameter: '%s.name'.", param);
    if (!chat_tool(rd->c, *name))
        return responses_wrong(rd, "invalid_value", param, "The tool '%.*s' of '%s' is not among 'tools'.",
                               (int)(name->n < 128 ? name->n : 128), name->p, param);
    return 0;
}

/* It was left out of the tools, too (pass_hosted). */
static bool is_left_out(const struct responses_reading *rd, struct json_value tool)
{
    struct str type = json_text(json_member(tool, "type"), rd->a);
    return rd->r->route && rd->r->route->hosted_tools == HOSTED_DROP && type.n > 0 &&
           !str_eq(type, STR("function")) && !str_eq(type, STR("custom"));
}

static int read_allowed(struct responses_reading *rd, struct json_value choice)
{
    struct json_value tools = json_member(choice, "tools"), one;
    struct str mode = json_text(json_member(choice, "mode"), rd->a), name;
    if (tools.type != JSON_ARRAY || tools.count == 0)
        return responses_type(rd, "tool_choice.tools", "a non-empty array");
    if (!str_eq(mode, STR("auto")) && !str_eq(mode, STR("required")))
        return responses_bad_value(rd, "tool_choice.mode", mode, "'auto' and 'required'");
    rd->c->tool_choice = str_eq(mode, STR("auto")) ? TOOLS_AUTO : TOOLS_REQUIRED;
    for (size_t at = 0; json_next(tools.raw, &at, NULL, &one) == 1;) {
        if (is_left_out(rd, one))
            continue;
        if (known_tool(rd, "tool_choice.tools", one, &name) != 0)
            return -1;
        chat_add_allowed(rd->c, rd->a, name);
    }
    return rd->c->n_allowed > 0 ? 0 : known_tool(rd, "tool_choice.tools", one, &name);
}

static int read_choice_word(struct responses_reading *rd, const char *name, struct str word)
{
    if (str_eq(word, STR("auto")))
        rd->c->tool_choice = TOOLS_AUTO;
    else if (str_eq(word, STR("none")))
        rd->c->tool_choice = TOOLS_NONE;
    else if (str_eq(word, STR("required")))
        rd->c->tool_choice = TOOLS_REQUIRED;
    else
        return responses_bad_value(rd, name, word, "'none', 'auto' and 'required'");
    return 0;
}

int responses_read_tool_choice(struct responses_reading *rd, const char *name, struct json_value v)
{
    if (v.type == JSON_STRING)
        return read_choice_word(rd, name, json_text(v, rd->a));
    if (v.type != JSON_OBJECT)
        return responses_type(rd, name, "a string or an object");
    if (str_eq(json_text(json_member(v, "type"), rd->a), STR("allowed_tools")))
        return read_allowed(rd, v);
    rd->c->tool_choice = TOOLS_NAMED;
    return known_tool(rd, name, v, &rd->c->tool_name);
}

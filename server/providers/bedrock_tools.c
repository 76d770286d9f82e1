/* Tools in a Converse request. Run by workers. */
#include "bedrock.h"

#include <string.h>

struct str bedrock_schema(struct bedrock_body *b, struct str schema)
{
    struct buf out;
    if (b->model.family != BEDROCK_ANTHROPIC)
        return schema;
    buf_init(&out, 2 * schema.n + 64 * 1024);
    anthropic_put_schema(&out, schema, b->c->arena);
    struct str copy = out.full ? schema : arena_copy(b->c->arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static void write_spec(struct bedrock_body *b, struct str name, struct str description, struct str schema,
                       bool strict)
{
    json_open(&b->w, '{');
    json_member_open(&b->w, "toolSpec", '{');
    json_member_str(&b->w, "name", name);
    json_opt_str(&b->w, "description", description);
    json_member_open(&b->w, "inputSchema", '{');
    json_member_raw(&b->w, "json", schema);
    json_close(&b->w, '}');
    if (strict)
        json_member_bool(&b->w, "strict", true);
    json_close(&b->w, '}');
    json_close(&b->w, '}');
}

/* What Bedrock demands of a schema: that it is an object's. */
static struct str object_schema(struct bedrock_body *b, struct str schema)
{
    struct json_value v = json_root(schema);
    if (v.type != JSON_OBJECT)
        return STR("{\"type\":\"object\",\"properties\":{}}");
    if (json_member(v, "type").type != JSON_ABSENT)
        return schema;
    const char *inner = (const char *)memchr(schema.p, '{', schema.n) + 1;
    struct str rest = {inner, schema.n - (size_t)(inner - schema.p)};
    return arena_printf(b->c->arena, "{\"type\":\"object\"%s" STR_FMT, v.count > 0 ? "," : "", STR_ARG(rest));
}

static void write_caller_tools(struct bedrock_body *b)
{
    const struct chat_request *in = b->c->in;
    for (size_t i = 0; i < in->n_tools; i++) {
        const struct chat_tool *t = &in->tools[i];
        if (!chat_tool_allowed(in, t->name))
            continue;
        bool strict = t->strict == 1 && b->model.json_schema;
        struct str schema = object_schema(b, t->schema);
        write_spec(b, bedrock_tool_name(t->name, b->c->arena), t->description,
                   strict ? bedrock_schema(b, schema) : schema, strict);
        if (t->cache_control.n > 0 && b->model.cached_tools)
            bedrock_write_cache_point(b, t->cache_control);
    }
}

static void write_json_tool(struct bedrock_body *b)
{
    const struct chat_request *in = b->c->in;
    struct str schema = in->format_schema;
    if (anthropic_json_wrapped(in))
        schema = arena_printf(b->c->arena,
                              "{\"type\":\"object\",\"properties\":{\"" BEDROCK_JSON_VALUE "\":" STR_FMT
                              "},\"required\":[\"" BEDROCK_JSON_VALUE "\"]}",
                              STR_ARG(schema));
    write_spec(b, anthropic_json_tool(in, b->c->arena),
               in->format_description.n > 0
                   ? in->format_description
                   : STR("Gives the final answer. Call it, with nothing beside it, to answer."),
               object_schema(b, schema), false);
}

static void write_choice(struct bedrock_body *b)
{
    const struct chat_request *in = b->c->in;
    if (b->plan.forced_json || (b->plan.tools && in->tool_choice == TOOLS_REQUIRED))
        json_member_raw(&b->w, "toolChoice", STR("{\"any\":{}}"));
    else if (b->plan.tools && in->tool_choice == TOOLS_NAMED) {
        json_member_open(&b->w, "toolChoice", '{');
        json_member_open(&b->w, "tool", '{');
        json_member_str(&b->w, "name", bedrock_tool_name(in->tool_name, b->c->arena));
        json_close(&b->w, '}');
        json_close(&b->w, '}');
    }
}

void bedrock_write_tools(struct bedrock_body *b)
{
    if (!b->plan.tools && !b->plan.forced_json && !b->plan.history_tools)
        return;
    json_member_open(&b->w, "toolConfig", '{');
    json_member_open(&b->w, "tools", '[');
    if (b->plan.tools)
        write_caller_tools(b);
    if (b->plan.forced_json)
        write_json_tool(b);
    if (!b->plan.tools && !b->plan.forced_json) /* a history with tools is refused where none are told */
        write_spec(b, STR("no_tool"), STR("There is no tool. Never call this."),
                   STR("{\"type\":\"object\",\"properties\":{}}"), false);
    json_close(&b->w, ']');
    write_choice(b);
    json_close(&b->w, '}');
}

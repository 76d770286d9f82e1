/* A Converse request as a whole: how a schema is to be kept to, and what is sent for an answer and for a
 * count of tokens. Run by workers. */
#include "bedrock.h"

/* ---- a schema to be kept */

static bool must_call(const struct chat_request *in)
{
    return in->n_tools > 0 && (in->tool_choice == TOOLS_REQUIRED || in->tool_choice == TOOLS_NAMED);
}

static bool has_schema(const struct chat_request *in)
{
    return in->format == FORMAT_SCHEMA && in->format_schema.n > 0;
}

bool bedrock_forces_json(const struct chat_request *in, struct str name)
{
    return has_schema(in) && !must_call(in) && !bedrock_model(name).json_schema;
}

static void make_plan(struct bedrock_body *b)
{
    const struct chat_request *in = b->c->in;
    struct bedrock_plan *p = &b->plan;
    p->history_tools = chat_request_has(in, PART_TOOL_CALL) || chat_request_has(in, PART_TOOL_RESULT);
    p->must_call = must_call(in);
    p->forced_json = bedrock_forces_json(in, b->c->model);
    p->native_json = has_schema(in) && !p->forced_json && b->model.json_schema;
    p->asked_json = in->format == FORMAT_JSON || (in->format == FORMAT_SCHEMA && !has_schema(in));
    bool none = in->tool_choice == TOOLS_NONE;
    p->tools = in->n_tools > 0 && (!none || (p->history_tools && !p->forced_json));
    p->told_no_tools = none && p->history_tools && !p->forced_json;
}

/* ---- requests */

static int finish(struct bedrock_body *b, struct str path)
{
    struct provider_call *call = b->c->call;
    if (call->room.full)
        return chat_refuse(b->c, NULL, "The request is too large for Bedrock.");
    call->body = buf_str(&call->room);
    call->path = path;
    call->headers = STR("content-type: application/json\r\n");
    return 0;
}

static void begin(struct bedrock_body *b, struct chat_call *c)
{
    *b = (struct bedrock_body){.c = c, .w = json_writer(&c->call->room), .model = bedrock_model(c->model)};
    make_plan(b);
    json_open(&b->w, '{');
}

int bedrock_write_chat(struct chat_call *c)
{
    struct bedrock_body b;
    begin(&b, c);
    if (bedrock_write_messages(&b) != 0 || bedrock_write_system(&b) != 0)
        return -1;
    bedrock_write_tools(&b);
    bedrock_write_settings(&b);
    json_close(&b.w, '}');
    return finish(&b, bedrock_path(c, c->model, c->in->stream ? "converse-stream" : "converse"));
}

/* Counting is a foundation model's, not a profile's: "us.anthropic.…" is counted as "anthropic.…". */
static struct str foundation_of(struct str name)
{
    static const struct str regions[] = {STR("us."), STR("eu."),     STR("apac."),  STR("jp."),
                                         STR("au."), STR("global."), STR("us-gov.")};
    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
        if (str_starts(name, regions[i]))
            return (struct str){name.p + regions[i].n, name.n - regions[i].n};
    return name;
}

int bedrock_write_count(struct chat_call *c)
{
    struct bedrock_body b;
    begin(&b, c);
    json_member_open(&b.w, "input", '{');
    json_member_open(&b.w, "converse", '{');
    if (bedrock_write_messages(&b) != 0 || bedrock_write_system(&b) != 0)
        return -1;
    bedrock_write_tools(&b);
    json_close(&b.w, '}');
    json_close(&b.w, '}');
    json_close(&b.w, '}');
    return finish(&b, bedrock_path(c, foundation_of(c->model), "count-tokens"));
}

/* The stream of a whole response: begun, then each item of its output added, grown and done, then the whole
 * once more. An item or a part of a kind that does not grow is told whole when it is done. Run by workers. */
#include "stream_teller.h"

struct responses {
    struct teller *t;
    int64_t sequence;
    struct str item_id; /* JSON */
    uint32_t item;
};

/* ---- events */

static struct json_writer event(struct responses *s, const char *name)
{
    struct json_writer w = tell_begin(s->t, name);
    json_member_i64(&w, "sequence_number", s->sequence++);
    return w;
}

/* An event of the item being told; index: the name of what the part within it is counted by, or NULL. */
static struct json_writer item_event(struct responses *s, const char *name, const char *index, uint32_t part)
{
    struct json_writer w = event(s, name);
    json_member_raw(&w, "item_id", s->item_id);
    json_member_i64(&w, "output_index", s->item);
    if (index)
        json_member_i64(&w, index, part);
    return w;
}

/* An item or a part with other values for some of its members. */
static void put_changed(struct json_writer *w, const char *name, struct json_value v,
                        const char *const changed[], const char *const values[])
{
    json_member_open(w, name, '{');
    tell_members(w, v, changed);
    for (size_t i = 0; changed[i]; i++)
        if (json_member(v, changed[i]).type != JSON_ABSENT)
            json_member_raw(w, changed[i], str_of(values[i]));
    json_close(w, '}');
}

static void put_response(struct responses *s, const char *name)
{
    static const char *const changed[] = {"status",       "output", "usage", "incomplete_details",
                                          "completed_at", NULL};
    static const char *const values[] = {"\"in_progress\"", "[]", "null", "null", "null"};
    struct json_writer w = event(s, name);
    put_changed(&w, "response", json_root(s->t->answer), changed, values);
    tell_end(s->t, &w);
}

/* ---- texts that grow */

/* A text in its place: all events of it are named alike, "response." NAME ".delta" and ".done". */
struct growth {
    const char *type;   /* of the item or part */
    const char *member; /* that grows */
    const char *delta, *done;
    bool logprobs; /* told beside it */
};

static const struct growth item_growths[] = {
    {"function_call", "arguments", "response.function_call_arguments.delta",
     "response.function_call_arguments.done", false},
    {"mcp_call", "arguments", "response.mcp_call_arguments.delta", "response.mcp_call_arguments.done", false},
    {"custom_tool_call", "input", "response.custom_tool_call_input.delta",
     "response.custom_tool_call_input.done", false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct growth part_growths[] = {
    {"output_text", "text", "response.output_text.delta", "response.output_text.done", true},
    {"refusal", "refusal", "response.refusal.delta", "response.refusal.done", false},
    {"reasoning_text", "text", "response.reasoning_text.delta", "response.reasoning_text.done", false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct growth summary_growths[] = {
    {"summary_text", "text", "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done",
     false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct growth *growth_of(const struct growth *list, struct json_value v)
{
    struct json_value type = json_member(v, "type");
    while (list->type && (!tell_is(type, list->type) || json_member(v, list->member).type != JSON_STRING))
        list++;
    return list->type ? list : NULL;
}

static void put_logprobs(struct json_writer *w, const struct growth *g, struct json_value logprobs)
{
    if (g->logprobs)
        json_member_raw(w, "logprobs", logprobs.type == JSON_ARRAY ? logprobs.raw : STR("[]"));
}

static void put_deltas(struct responses *s, const struct growth *g, struct json_value v, const char *index,
                       uint32_t part)
{
    struct json_value logprobs = json_member(v, "logprobs");
    struct str text = json_text(json_member(v, g->member), s->t->arena);
    while (text.n > 0) {
        struct json_writer w = item_event(s, g->delta, index, part);
        json_member_str(&w, "delta", tell_piece(&text));
        put_logprobs(&w, g, logprobs);
        logprobs.type = JSON_ABSENT; /* all of them with the first piece */
        tell_end(s->t, &w);
    }
}

static void put_done(struct responses *s, const struct growth *g, struct json_value v, const char *index,
                     uint32_t part)
{
    struct json_value name = json_member(v, "name");
    struct json_writer w = item_event(s, g->done, index, part);
    if (g == &item_growths[0] && name.type == JSON_STRING)
        json_member_raw(&w, "name", name.raw);
    json_member_raw(&w, g->member, json_member(v, g->member).raw);
    put_logprobs(&w, g, json_member(v, "logprobs"));
    tell_end(s->t, &w);
}

/* ---- parts */

static void put_annotations(struct responses *s, struct json_value list, uint32_t part)
{
    struct json_value v;
    size_t at = 0;
    for (uint32_t i = 0; list.type == JSON_ARRAY && json_next(list.raw, &at, NULL, &v) == 1; i++) {
        struct json_writer w = item_event(s, "response.output_text.annotation.added", "content_index", part);
        json_member_i64(&w, "annotation_index", i);
        json_member_raw(&w, "annotation", v.raw);
        tell_end(s->t, &w);
    }
}

static void put_part(struct responses *s, bool summary, struct json_value v, uint32_t part)
{
    static const char *const changed[] = {"text", "refusal", "annotations", "logprobs", NULL};
    static const char *const values[] = {"\"\"", "\"\"", "[]", "[]"};
    static const char *const none[] = {NULL};
    const char *index = summary ? "summary_index" : "content_index";
    const struct growth *g = growth_of(summary ? summary_growths : part_growths, v);
    struct json_writer w = item_event(
        s, summary ? "response.reasoning_summary_part.added" : "response.content_part.added", index, part);
    put_changed(&w, "part", v, g ? changed : none, values);
    tell_end(s->t, &w);
    if (g) {
        put_deltas(s, g, v, index, part);
        put_annotations(s, json_member(v, "annotations"), part);
        put_done(s, g, v, index, part);
    }
    w = item_event(s, summary ? "response.reasoning_summary_part.done" : "response.content_part.done", index,
                   part);
    json_member_raw(&w, "part", v.raw);
    tell_end(s->t, &w);
}

static void put_parts(struct responses *s, bool summary, struct json_value parts)
{
    struct json_value v;
    size_t at = 0;
    for (uint32_t i = 0; parts.type == JSON_ARRAY && json_next(parts.raw, &at, NULL, &v) == 1; i++)
        if (v.type == JSON_OBJECT)
            put_part(s, summary, v, i);
}

/* ---- items */

/* What of an item grows. */
static bool has_parts(struct json_value item)
{
    struct json_value type = json_member(item, "type");
    return tell_is(type, "message") || tell_is(type, "reasoning");
}

static void put_item_added(struct responses *s, struct json_value item, const struct growth *g)
{
    static const char *const nothing[] = {"status", NULL}, *const parts[] = {"status", "content", "summary",
                                                                             NULL};
    static const char *const values[] = {"\"in_progress\"", "[]", "[]"}, *const text[] = {"\"in_progress\"",
                                                                                          "\"\""};
    const char *const grown[] = {"status", g ? g->member : NULL, NULL};
    struct json_writer w = event(s, "response.output_item.added");
    json_member_i64(&w, "output_index", s->item);
    if (g)
        put_changed(&w, "item", item, grown, text);
    else
        put_changed(&w, "item", item, has_parts(item) ? parts : nothing, values);
    tell_end(s->t, &w);
}

static void put_item(struct responses *s, struct json_value item)
{
    struct json_value id = json_member(item, "id");
    const struct growth *g = growth_of(item_growths, item);
    s->item_id = id.type == JSON_STRING ? id.raw : STR("\"\"");
    put_item_added(s, item, g);
    if (g) {
        put_deltas(s, g, item, NULL, 0);
        put_done(s, g, item, NULL, 0);
    } else if (has_parts(item)) {
        put_parts(s, true, json_member(item, "summary"));
        put_parts(s, false, json_member(item, "content"));
    }
    struct json_writer w = event(s, "response.output_item.done");
    json_member_i64(&w, "output_index", s->item++);
    json_member_raw(&w, "item", item.raw);
    tell_end(s->t, &w);
}

int tell_responses(struct teller *t)
{
    static const char *const paths[] = {"object", "status", "output"};
    struct responses s = {.t = t};
    struct json_value v[3], item;
    size_t at = 0;
    if (json_scan(t->answer, paths, 3, v, NULL) != 0 || !tell_is(v[0], "response") ||
        v[2].type != JSON_ARRAY || (!tell_is(v[1], "completed") && !tell_is(v[1], "incomplete")))
        return -1;
    put_response(&s, "response.created");
    put_response(&s, "response.in_progress");
    while (json_next(v[2].raw, &at, NULL, &item) == 1) {
        if (item.type != JSON_OBJECT)
            return -1;
        put_item(&s, item);
    }
    struct json_writer w =
        event(&s, tell_is(v[1], "completed") ? "response.completed" : "response.incomplete");
    json_member_raw(&w, "response", t->answer);
    tell_end(t, &w);
    return 0;
}

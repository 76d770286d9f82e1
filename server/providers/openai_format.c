/* The form of the answer: JSON mode, a schema, and what stands in for them where they are missing. Run by
 * workers. */
#include "openai_request.h"

static bool schema_is_strict(struct json_value schema, int depth);

static bool all_strict(struct json_value container, int depth)
{
    struct json_value v;
    size_t next = 0;
    if (container.type != JSON_OBJECT && container.type != JSON_ARRAY)
        return true;
    while (json_next(container.raw, &next, NULL, &v) == 1)
        if (!schema_is_strict(v, depth + 1))
            return false;
    return true;
}

static bool lists(struct json_value array, struct str raw_name)
{
    struct json_value v;
    size_t next = 0;
    if (array.type == JSON_ARRAY)
        while (json_next(array.raw, &next, NULL, &v) == 1)
            if (v.type == JSON_STRING && v.raw.n == raw_name.n + 2 &&
                memcmp(v.raw.p + 1, raw_name.p, raw_name.n) == 0)
                return true;
    return false;
}

/* What OpenAI demands of a schema that it holds the model to: objects are closed and all of their members
 * required. */
static bool schema_is_strict(struct json_value schema, int depth)
{
    struct json_value v;
    struct str name;
    size_t next = 0;
    if (schema.type != JSON_OBJECT)
        return schema.type == JSON_ABSENT;
    struct json_value properties = json_member(schema, "properties"),
                      required = json_member(schema, "required");
    struct json_value type = json_member(schema, "type");
    bool object = properties.type == JSON_OBJECT || str_eq(type.raw, STR("\"object\""));
    if (object && json_member(schema, "additionalProperties").type != JSON_FALSE)
        return false;
    if (properties.type == JSON_OBJECT)
        while (json_next(properties.raw, &next, &name, &v) == 1)
            if (!lists(required, name))
                return false;
    return depth < MAX_JSON_DEPTH && all_strict(properties, depth) &&
           all_strict(json_member(schema, "anyOf"), depth) &&
           all_strict(json_member(schema, "$defs"), depth) &&
           schema_is_strict(json_member(schema, "items"), depth + 1);
}

static struct str schema_name(struct writing *w)
{
    struct str name = w->in->format_name;
    return name.n > 0 ? openai_tool_name(w->c->arena, name) : STR("response");
}

static void put_schema(struct writing *w)
{
    int strict = w->in->format_strict;
    if (strict < 0 && schema_is_strict(json_root(w->in->format_schema), 0))
        strict = 1;
    json_member_open(&w->j, "response_format", '{');
    json_member_strz(&w->j, "type", "json_schema");
    json_member_open(&w->j, "json_schema", '{');
    json_member_str(&w->j, "name", schema_name(w));
    json_opt_str(&w->j, "description", w->in->format_description);
    json_member_raw(&w->j, "schema", w->in->format_schema);
    if (strict >= 0)
        json_member_bool(&w->j, "strict", strict);
    json_close(&w->j, '}');
    json_close(&w->j, '}');
}

void openai_put_format(struct writing *w)
{
    if (w->in->format == FORMAT_TEXT)
        return;
    if (w->in->format == FORMAT_SCHEMA && !(w->deviations & PROVIDER_NO_SCHEMA)) {
        put_schema(w);
        return;
    }
    json_member_raw(&w->j, "response_format", STR("{\"type\":\"json_object\"}"));
}

static bool says_json(const struct chat_request *in)
{
    for (size_t i = 0; i < in->n_messages; i++)
        for (size_t k = 0; k < in->messages[i].n_parts; k++) {
            struct str t = in->messages[i].parts[k].text;
            for (size_t at = 0; at + 4 <= t.n; at++)
                if (str_ieq((struct str){t.p + at, 4}, STR("json")))
                    return true;
        }
    return false;
}

/* JSON mode is refused where the prompt does not speak of JSON. A schema, where only JSON mode is known, is
 * told to the model: it is then followed well, though not enforced; refusing it would help nobody. */
struct str openai_preamble_of(struct writing *w)
{
    if (w->in->format == FORMAT_SCHEMA && (w->deviations & PROVIDER_NO_SCHEMA)) {
        static const struct str words = STR(
            "Answer with one JSON object that is valid against this JSON schema, and with nothing else:\n");
        struct buf b = arena_buf(w->c->arena, words.n + w->in->format_schema.n);
        buf_add(&b, words);
        buf_add(&b, w->in->format_schema);
        return buf_str(&b);
    }
    return w->in->format == FORMAT_JSON && !says_json(w->in) ? STR("Answer with a JSON object.") : STR_NULL;
}

/* JSON schemas as Claude's structured outputs take them: objects closed, alternatives as anyOf, few formats,
 * and none of the limits on numbers, lengths and counts. What has to be left out is told in the description,
 * where the model still reads it. Run by workers only. */
#include "anthropic_chat.h"

#include "json_string.h"

#include <string.h>

enum what {
    KEEP,
    SCHEMA,  /* a schema, or true/false */
    SCHEMAS, /* an array of them */
    NAMED,   /* an object of them by name */
    TELL,    /* not taken: told in the description */
    DROP,
};

static const struct keyword {
    struct str name;
    enum what what;
} keywords[] = {
    {STR("type"), KEEP},
    {STR("title"), KEEP},
    {STR("enum"), KEEP},
    {STR("const"), KEEP},
    {STR("default"), KEEP},
    {STR("required"), KEEP},
    {STR("$ref"), KEEP},
    {STR("properties"), NAMED},
    {STR("$defs"), NAMED},
    {STR("definitions"), NAMED},
    {STR("items"), SCHEMA},
    {STR("anyOf"), SCHEMAS},
    {STR("oneOf"), SCHEMAS}, /* as anyOf */
    {STR("allOf"), SCHEMAS},
    {STR("minimum"), TELL},
    {STR("maximum"), TELL},
    {STR("exclusiveMinimum"), TELL},
    {STR("exclusiveMaximum"), TELL},
    {STR("multipleOf"), TELL},
    {STR("minLength"), TELL},
    {STR("maxLength"), TELL},
    {STR("pattern"), TELL},
    {STR("minItems"), TELL},
    {STR("maxItems"), TELL},
    {STR("uniqueItems"), TELL},
    {STR("contains"), TELL},
    {STR("minProperties"), TELL},
    {STR("maxProperties"), TELL},
    {STR("patternProperties"), TELL},
    {STR("propertyNames"), TELL},
    {STR("not"), TELL},
    {STR("format"), TELL}, /* but those below */
};

static const struct str formats[] = {
    STR("\"date-time\""), STR("\"time\""), STR("\"date\""), STR("\"duration\""), STR("\"email\""),
    STR("\"hostname\""),  STR("\"uri\""),  STR("\"ipv4\""), STR("\"ipv6\""),     STR("\"uuid\""),
};

static enum what what_is(struct str name, struct json_value value)
{
    if (json_string_is(name, STR("format")))
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
            if (str_eq(value.raw, formats[i]))
                return KEEP;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (json_string_is(name, keywords[i].name))
            return keywords[i].what;
    return DROP;
}

static void put(struct json_writer *w, struct json_value schema, struct arena *a);

/* A member's name as json_next gives it, without its escapes. */
static struct str decoded(struct str name, struct arena *a)
{
    return json_text((struct json_value){JSON_STRING, {name.p - 1, name.n + 2}, 0}, a);
}

static void put_named(struct json_writer *w, struct json_value map, struct arena *a)
{
    struct json_value v;
    struct str name;
    json_open(w, '{');
    for (size_t at = 0; map.type == JSON_OBJECT && json_next(map.raw, &at, &name, &v) == 1;) {
        json_name_str(w, decoded(name, a));
        put(w, v, a);
    }
    json_close(w, '}');
}

static void put_schemas(struct json_writer *w, struct json_value list, struct arena *a)
{
    struct json_value v;
    json_open(w, '[');
    for (size_t at = 0; list.type == JSON_ARRAY && json_next(list.raw, &at, NULL, &v) == 1;)
        put(w, v, a);
    json_close(w, ']');
}

static void put_member(struct json_writer *w, struct str name, struct json_value v, enum what what,
                       struct arena *a)
{
    json_name_str(w, json_string_is(name, STR("oneOf")) ? STR("anyOf") : decoded(name, a));
    if (what == NAMED)
        put_named(w, v, a);
    else if (what == SCHEMAS)
        put_schemas(w, v, a);
    else if (what == SCHEMA && v.type == JSON_OBJECT)
        put(w, v, a);
    else
        json_raw(w, v.raw);
}

/* The description, and in it what could not be kept: "Whole years. (minimum: 0, maximum: 150)". */
static void put_description(struct json_writer *w, struct json_value schema, struct arena *a)
{
    struct json_value v;
    struct str name, given = json_text(json_member(schema, "description"), a);
    size_t max = given.n + 3, told = 0;
    for (size_t at = 0; json_next(schema.raw, &at, &name, &v) == 1;)
        max += what_is(name, v) == TELL ? name.n + v.raw.n + 4 : 0;
    struct buf b = arena_buf(a, max);
    buf_add(&b, given);
    for (size_t at = 0; json_next(schema.raw, &at, &name, &v) == 1;) {
        if (what_is(name, v) != TELL)
            continue;
        buf_add(&b, told++ > 0 ? STR(", ") : b.n > 0 ? STR(" (") : STR("("));
        buf_add(&b, name);
        buf_add(&b, STR(": "));
        buf_add(&b, v.raw);
    }
    if (told > 0)
        buf_add_byte(&b, ')');
    json_opt_str(w, "description", buf_str(&b));
}

static bool is_object(struct json_value schema)
{
    struct json_value type = json_member(schema, "type"), one;
    if (type.type == JSON_ARRAY)
        for (size_t at = 0; json_next(type.raw, &at, NULL, &one) == 1;)
            if (str_eq(one.raw, STR("\"object\"")))
                return true;
    return str_eq(type.raw, STR("\"object\"")) || json_member(schema, "properties").type == JSON_OBJECT;
}

static void put(struct json_writer *w, struct json_value schema, struct arena *a)
{
    struct json_value v;
    struct str name;
    if (schema.type != JSON_OBJECT) { /* true: anything */
        json_raw(w, STR("{}"));
        return;
    }
    bool any = json_member(schema, "anyOf").type == JSON_ARRAY;
    json_open(w, '{');
    for (size_t at = 0; json_next(schema.raw, &at, &name, &v) == 1;) {
        enum what what = what_is(name, v);
        bool second = any && json_string_is(name, STR("oneOf"));
        if (what != TELL && what != DROP && !second)
            put_member(w, name, v, what, a);
    }
    put_description(w, schema, a);
    if (is_object(schema))
        json_member_bool(w, "additionalProperties", false);
    json_close(w, '}');
}

void anthropic_put_schema(struct buf *b, struct str schema, struct arena *a)
{
    struct json_writer w = json_writer(b);
    put(&w, json_root(schema), a);
}

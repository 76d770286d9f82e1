/* Some value that fits a JSON schema: what the built-in provider puts into tool arguments and structured
 * answers, so that a client's own validation passes. Covers what SDKs generate: types, enums, constants,
 * properties, items, anyOf; a reference or anything unknown becomes a string. */
#include "virtual.h"

#include <string.h>

enum { MAX_DEPTH = 16 };

static void put_first(struct buf *b, struct json_value list, struct arena *a, unsigned depth, bool schema)
{
    struct json_value first;
    size_t at = 0;
    if (!json_next(list.raw, &at, NULL, &first))
        buf_add(b, STR("null"));
    else if (schema && first.type == JSON_OBJECT)
        virtual_instance(b, first.raw, a, depth + 1);
    else
        buf_add(b, first.raw);
}

static void put_object(struct buf *b, struct json_value properties, struct arena *a, unsigned depth)
{
    struct str name;
    struct json_value v;
    const char *comma = "";
    buf_add_byte(b, '{');
    for (size_t at = 0; properties.type == JSON_OBJECT && json_next(properties.raw, &at, &name, &v);
         comma = ",") {
        buf_printf(b, "%s\"" STR_FMT "\":", comma, STR_ARG(name));
        if (v.type == JSON_OBJECT)
            virtual_instance(b, v.raw, a, depth + 1);
        else
            buf_add(b, STR("null"));
    }
    buf_add_byte(b, '}');
}

/* "string", or the first of ["string","null"] */
static struct str type_name(struct json_value type, struct arena *a)
{
    size_t at = 0;
    struct json_value first;
    if (type.type == JSON_ARRAY && json_next(type.raw, &at, NULL, &first))
        type = first;
    return type.type == JSON_STRING ? json_text(type, a) : STR_NULL;
}

void virtual_instance(struct buf *b, struct str schema, struct arena *a, unsigned depth)
{
    static const char *const paths[] = {"type",  "enum",  "const", "properties",
                                        "items", "anyOf", "oneOf", "minimum"};
    enum { TYPE, ENUM, CONST, PROPERTIES, ITEMS, ANY, ONE, MINIMUM, COUNT };
    struct json_value v[COUNT];
    if (depth > MAX_DEPTH || json_scan(schema, paths, COUNT, v, NULL) != 0) {
        buf_add(b, STR("null"));
        return;
    }
    struct str type = type_name(v[TYPE], a);
    if (v[CONST].type != JSON_ABSENT)
        buf_add(b, v[CONST].raw);
    else if (v[ENUM].type == JSON_ARRAY)
        put_first(b, v[ENUM], a, depth, false);
    else if (v[ANY].type == JSON_ARRAY || v[ONE].type == JSON_ARRAY)
        put_first(b, v[ANY].type == JSON_ARRAY ? v[ANY] : v[ONE], a, depth, true);
    else if (str_eq(type, STR("object")) || v[PROPERTIES].type == JSON_OBJECT)
        put_object(b, v[PROPERTIES], a, depth);
    else if (str_eq(type, STR("array"))) {
        buf_add_byte(b, '[');
        if (v[ITEMS].type == JSON_OBJECT)
            virtual_instance(b, v[ITEMS].raw, a, depth + 1);
        buf_add_byte(b, ']');
    } else if (str_eq(type, STR("integer")) || str_eq(type, STR("number")))
        buf_add(b, v[MINIMUM].type == JSON_NUMBER ? v[MINIMUM].raw : STR("1"));
    else if (str_eq(type, STR("boolean")))
        buf_add(b, STR("true"));
    else if (str_eq(type, STR("null")))
        buf_add(b, STR("null"));
    else
        buf_add(b, STR("\"example\""));
}

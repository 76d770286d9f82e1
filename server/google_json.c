/* Protobuf's JSON, as far as Google's readers here need it. Everything given is validated before. Run by
 * workers only. */
#include "google_json.h"

#include "json_string.h"

#include <ctype.h>
#include <string.h>

/* ---- members */

static bool is_snake(struct str raw, const char *camel)
{
    size_t i = 0;
    for (; *camel; camel++) {
        bool upper = *camel >= 'A' && *camel <= 'Z';
        if (upper && (i >= raw.n || raw.p[i++] != '_'))
            return false;
        if (i >= raw.n || raw.p[i++] != (upper ? *camel | 0x20 : *camel))
            return false;
    }
    return i == raw.n;
}

bool google_name_is(struct str raw, const char *camel)
{
    return json_string_is(raw, str_of(camel)) || is_snake(raw, camel);
}

void google_fields(struct json_value object, const char *const names[], size_t n, struct json_value out[],
                   google_other *other, void *arg)
{
    struct str name;
    struct json_value v;
    for (size_t i = 0; i < n; i++)
        out[i] = (struct json_value){.type = JSON_ABSENT};
    if (object.type != JSON_OBJECT)
        return;
    for (size_t at = 0; json_next(object.raw, &at, &name, &v) == 1;) {
        size_t i = 0;
        while (i < n && !google_name_is(name, names[i]))
            i++;
        if (v.type == JSON_NULL)
            v = (struct json_value){.type = JSON_ABSENT};
        if (i < n)
            out[i] = v;
        else if (other && v.type != JSON_ABSENT)
            other(arg, name, v);
    }
}

struct json_value google_field(struct json_value object, const char *name)
{
    struct json_value v;
    google_fields(object, &name, 1, &v, NULL, NULL);
    return v;
}

int google_next(struct json_value list, size_t *at, struct json_value *element)
{
    if (list.type == JSON_ARRAY)
        return json_next(list.raw, at, NULL, element);
    if (list.type != JSON_OBJECT || *at > 0)
        return 0;
    *at = 1;
    *element = list;
    return 1;
}

/* ---- bytes */

struct str google_base64(struct str data, struct arena *a)
{
    size_t significant = data.n;
    while (significant > 0 && data.p[significant - 1] == '=')
        significant--;
    bool padded = data.n % 4 == 0;
    if (padded && (data.n == 0 || (!memchr(data.p, '-', data.n) && !memchr(data.p, '_', data.n))))
        return data;
    char *p = arena_alloc(a, significant + 3);
    size_t n = significant;
    for (size_t i = 0; i < n; i++)
        p[i] = data.p[i] == '-' ? '+' : data.p[i] == '_' ? '/' : data.p[i];
    while (n % 4 != 0)
        p[n++] = '=';
    return (struct str){p, n};
}

/* ---- code */

struct str google_code(struct json_value code, struct json_value result, struct arena *a)
{
    struct str text =
        json_text(code.type == JSON_OBJECT ? google_field(code, "code") : google_field(result, "output"), a);
    bool python = str_ieq(json_text(google_field(code, "language"), a), STR("PYTHON"));
    size_t max = text.n + 64;
    struct buf b = arena_buf(a, max);
    if (text.n == 0)
        return STR_NULL;
    buf_add(&b, python ? STR("\n```python\n") : STR("\n```\n"));
    buf_add(&b, text);
    if (!str_ends(text, STR("\n")))
        buf_add_byte(&b, '\n');
    buf_add(&b, STR("```\n"));
    return buf_str(&b);
}

/* ---- values */

struct str google_compact(struct str json, struct arena *a)
{
    char *p = arena_alloc(a, json.n + 1);
    size_t n = 0;
    bool string = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (!string && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
            continue;
        p[n++] = c;
        if (string && c == '\\' && i + 1 < json.n)
            p[n++] = json.p[++i];
        else if (c == '"')
            string = !string;
    }
    return (struct str){p, n};
}

/* ---- schemas */

static void put_schema(struct json_writer *w, struct json_value schema);

/* A keyword whose value is a schema, a list of schemas, or a map of names to schemas. */
enum keyword { PLAIN, SCHEMA, SCHEMAS, NAMED_SCHEMAS, COUNT, TYPE, LEFT_OUT, REFERENCE, DEFINITIONS, ENUM };

static const struct {
    const char *name; /* camelCase */
    enum keyword kind;
} keywords[] = {
    {"type", TYPE},           {"nullable", LEFT_OUT},
    {"example", LEFT_OUT},    {"propertyOrdering", LEFT_OUT},
    {"items", SCHEMA},        {"additionalProperties", SCHEMA},
    {"not", SCHEMA},          {"properties", NAMED_SCHEMAS},
    {"$defs", NAMED_SCHEMAS}, {"definitions", NAMED_SCHEMAS},
    {"defs", DEFINITIONS},    {"ref", REFERENCE},
    {"anyOf", SCHEMAS},       {"oneOf", SCHEMAS},
    {"allOf", SCHEMAS},       {"prefixItems", SCHEMAS},
    {"enum", ENUM},           {"minItems", COUNT},
    {"maxItems", COUNT},      {"minLength", COUNT},
    {"maxLength", COUNT},     {"minProperties", COUNT},
    {"maxProperties", COUNT},
};

static void put_named(struct json_writer *w, const char *as, struct json_value map)
{
    struct str name;
    struct json_value v;
    json_member_open(w, as, '{');
    for (size_t at = 0; json_next(map.raw, &at, &name, &v) == 1;) {
        struct str quoted = {name.p - 1, name.n + 2};
        if (w->comma)
            buf_add_byte(w->out, ',');
        buf_add(w->out, quoted);
        buf_add_byte(w->out, ':');
        w->comma = false;
        put_schema(w, v);
    }
    json_close(w, '}');
}

static void put_list(struct json_writer *w, const char *as, struct json_value list)
{
    struct json_value v;
    json_member_open(w, as, '[');
    for (size_t at = 0; json_next(list.raw, &at, NULL, &v) == 1;)
        put_schema(w, v);
    json_close(w, ']');
}

/* The number that some clients write for a type. */
static struct str numbered_type(struct json_value type)
{
    static const struct str types[] = {STR("string"), STR("number"), STR("integer"), STR("boolean"),
                                       STR("array"),  STR("object"), STR("null")};
    int64_t n;
    return json_int(type, &n) == 0 && n >= 1 && n <= 7 ? types[n - 1] : STR_NULL;
}

/* "STRING" → "string"; nullable: ["string","null"]. A list of types stays. */
static void put_type(struct json_writer *w, struct json_value type, bool nullable)
{
    char word[32];
    struct str number = numbered_type(type);
    if (type.type != JSON_STRING && number.n == 0) {
        json_member_raw(w, "type", type.raw);
        return;
    }
    struct str inner = number.n > 0 ? number : (struct str){type.raw.p + 1, type.raw.n - 2};
    if (inner.n >= sizeof(word) || str_ieq(inner, STR("TYPE_UNSPECIFIED")))
        return;
    for (size_t i = 0; i < inner.n; i++)
        word[i] = (char)tolower((unsigned char)inner.p[i]);
    struct str lower = {word, inner.n};
    if (!nullable || str_eq(lower, STR("null"))) {
        json_member_str(w, "type", lower);
        return;
    }
    json_member_open(w, "type", '[');
    json_str(w, lower);
    json_str(w, STR("null"));
    json_close(w, ']');
}

/* A nullable enum allows null only where it lists it. */
static void put_enum(struct json_writer *w, struct json_value list, bool nullable)
{
    struct json_value v;
    bool has_null = false;
    json_member_open(w, "enum", '[');
    for (size_t at = 0; json_next(list.raw, &at, NULL, &v) == 1;) {
        has_null |= v.type == JSON_NULL;
        json_raw(w, v.raw);
    }
    if (nullable && !has_null)
        json_null(w);
    json_close(w, ']');
}

/* int64 members come as strings from protobuf. */
static void put_count(struct json_writer *w, const char *as, struct json_value v)
{
    struct str digits = {v.raw.p + 1, v.raw.n - 2};
    uint64_t n;
    if (v.type == JSON_STRING && str_u64(digits, &n) == 0)
        json_member_i64(w, as, n > INT32_MAX ? INT32_MAX : (int64_t)n);
    else
        json_member_raw(w, as, v.raw);
}

static void put_keyword(struct json_writer *w, struct str name, struct json_value v, bool nullable)
{
    size_t i = 0, n = sizeof(keywords) / sizeof(keywords[0]);
    while (i < n && !google_name_is(name, keywords[i].name))
        i++;
    enum keyword kind = i < n ? keywords[i].kind : PLAIN;
    const char *as = i < n ? keywords[i].name : NULL;
    bool object = v.type == JSON_OBJECT, array = v.type == JSON_ARRAY;
    if (kind == LEFT_OUT)
        return;
    if (kind == TYPE)
        put_type(w, v, nullable);
    else if (kind == ENUM && array)
        put_enum(w, v, nullable);
    else if (kind == COUNT)
        put_count(w, as, v);
    else if (kind == REFERENCE)
        json_member_raw(w, "$ref", v.raw);
    else if ((kind == NAMED_SCHEMAS || kind == DEFINITIONS) && object)
        put_named(w, kind == DEFINITIONS ? "$defs" : as, v);
    else if (kind == SCHEMAS && array)
        put_list(w, as, v);
    else if (kind == SCHEMA && object) {
        json_name(w, as);
        put_schema(w, v);
    } else {
        struct str decoded = {name.p - 1, name.n + 2};
        if (w->comma)
            buf_add_byte(w->out, ',');
        buf_add(w->out, decoded);
        buf_add_byte(w->out, ':');
        w->comma = false;
        json_raw(w, v.raw);
    }
}

static void put_schema(struct json_writer *w, struct json_value schema)
{
    struct str name;
    struct json_value v;
    if (schema.type != JSON_OBJECT) { /* true and false are schemas, too */
        json_raw(w, schema.raw);
        return;
    }
    bool nullable = google_field(schema, "nullable").type == JSON_TRUE;
    json_open(w, '{');
    for (size_t at = 0; json_next(schema.raw, &at, &name, &v) == 1;)
        put_keyword(w, name, v, nullable);
    json_close(w, '}');
}

struct str google_schema(struct json_value schema, struct arena *a)
{
    size_t max = 2 * schema.raw.n + 64; /* "type":6 grows most */
    struct buf b = arena_buf(a, max);
    struct json_writer w = json_writer(&b);
    put_schema(&w, schema);
    return b.full ? schema.raw : buf_str(&b);
}

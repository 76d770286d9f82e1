/* Fields of keys: which there are, what they may hold, how they are shown. */
#include "key_fields.h"

#include "limit_fields.h"

#include <arpa/inet.h>

enum { MIN_GIVEN = 20 };

static int wrong(struct reply *r, const char *param, const char *what)
{
    return reply_error(r, 400, "invalid_type", param, "%s must be %s", param, what);
}

static int parse_models(struct json_value v, void *record, struct arena *a, struct reply *r)
{
    struct key_record *k = &((struct key_request *)record)->record;
    k->n_models = 0;
    if (v.type == JSON_NULL)
        return 0;
    if (v.type != JSON_ARRAY)
        return wrong(r, "models", "an array of model names");
    if (v.count > KEY_MAX_MODELS)
        return reply_error(r, 400, "invalid_value", "models", "models may have %d names at most",
                           KEY_MAX_MODELS);
    size_t at = 0;
    struct json_value one;
    struct str s;
    while (json_next(v.raw, &at, NULL, &one)) {
        if (field_text(one, "models", MAX_NAME - 1, a, &s, r))
            return -1;
        const char *star = s.n ? memchr(s.p, '*', s.n) : NULL;
        if (!s.n || (star && star != s.p + s.n - 1))
            return reply_error(r, 400, "invalid_value", "models",
                               "a name in models must not be empty, and \"*\" may only be its end");
        if (str_copy(k->models[k->n_models++], MAX_NAME, s))
            return -1;
    }
    return 0;
}

static int parse_cidrs(struct json_value v, void *record, struct arena *a, struct reply *r)
{
    struct key_record *k = &((struct key_request *)record)->record;
    k->n_cidrs = 0;
    if (v.type == JSON_NULL)
        return 0;
    if (v.type != JSON_ARRAY)
        return wrong(r, "allow_cidrs", "an array of networks");
    if (v.count > KEY_MAX_CIDRS)
        return reply_error(r, 400, "invalid_value", "allow_cidrs", "allow_cidrs may have %d networks at most",
                           KEY_MAX_CIDRS);
    size_t at = 0;
    struct json_value one;
    struct str s;
    while (json_next(v.raw, &at, NULL, &one)) {
        if (field_text(one, "allow_cidrs", 64, a, &s, r))
            return -1;
        if (cidr_parse(s, &k->cidrs[k->n_cidrs++]))
            return reply_error(r, 400, "invalid_value", "allow_cidrs",
                               "\"" STR_FMT "\" is no network like 10.0.0.0/8 or fd00::/8", STR_ARG(s));
    }
    return 0;
}

static int parse_tags(struct json_value v, void *record, struct arena *a, struct reply *r)
{
    struct key_record *k = &((struct key_request *)record)->record;
    k->n_tags = 0;
    if (v.type == JSON_NULL)
        return 0;
    if (v.type != JSON_OBJECT)
        return wrong(r, "tags", "an object of strings");
    if (v.count > KEY_MAX_TAGS)
        return reply_error(r, 400, "invalid_value", "tags", "there may be %d tags at most", KEY_MAX_TAGS);
    size_t at = 0;
    struct json_value one;
    struct str raw, name, value;
    while (json_next(v.raw, &at, &raw, &one)) {
        if (one.type != JSON_STRING)
            return wrong(r, "tags", "an object of strings");
        struct json_value quoted = {.type = JSON_STRING, .raw = {raw.p - 1, raw.n + 2}};
        if (field_text(quoted, "tags", sizeof k->tags[0].name - 1, a, &name, r) ||
            field_text(one, "tags", sizeof k->tags[0].value - 1, a, &value, r))
            return -1;
        for (size_t i = 0; i < k->n_tags; i++)
            if (str_eq(name, str_of(k->tags[i].name)))
                return reply_error(r, 400, "invalid_value", "tags", "a tag comes twice");
        if (!name.n)
            return reply_error(r, 400, "invalid_value", "tags", "a tag's name must not be empty");
        if (str_copy(k->tags[k->n_tags].name, sizeof k->tags[0].name, name) ||
            str_copy(k->tags[k->n_tags].value, sizeof k->tags[0].value, value))
            return -1;
        k->n_tags++;
    }
    return 0;
}

/* It will be sent as a header's value: visible ASCII only. */
static int parse_given(struct json_value v, void *record, struct arena *a, struct reply *r)
{
    struct key_request *q = record;
    struct str s;
    if (v.type == JSON_NULL)
        return 0;
    if (field_text(v, "key", MAX_KEY - 1, a, &s, r))
        return -1;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return reply_error(r, 400, "invalid_value", "key",
                               "key may hold visible ASCII characters only, without spaces");
    if (s.n < MIN_GIVEN)
        return reply_error(r, 400, "invalid_value", "key", "key must have %d characters or more", MIN_GIVEN);
    return str_copy(q->given, sizeof q->given, s);
}

#define TEXT_FIELD(field)                                                                         \
    {                                                                                             \
        .name = #field, .kind = FIELD_TEXT, .offset = offsetof(struct key_request, record.field), \
        .size = sizeof(((struct key_record *)0)->field)                                           \
    }

/* "key" comes first, so that a table without it is the same table from its second line on. */
static const struct field fields[] = {
    {.name = "key", .kind = FIELD_SPECIAL, .parse = parse_given},
    TEXT_FIELD(name),
    TEXT_FIELD(team),
    TEXT_FIELD(department),
    TEXT_FIELD(owner),
    {.name = "models", .kind = FIELD_SPECIAL, .parse = parse_models},
    {.name = "expires_at",
     .kind = FIELD_TIME,
     .offset = offsetof(struct key_request, record.expires_s),
     .size = sizeof(int64_t)},
    {.name = "tags", .kind = FIELD_SPECIAL, .parse = parse_tags},
    {.name = "allow_cidrs", .kind = FIELD_SPECIAL, .parse = parse_cidrs},
    LIMIT_FIELDS(struct key_request, record.limits),
};

int key_fields_read(struct str body, bool creating, struct key_request *q, struct arena *a, struct reply *r)
{
    size_t skip = creating ? 0 : 1;
    if (fields_read(body, fields + skip, sizeof fields / sizeof *fields - skip, q, a, r))
        return -1;
    return limit_fields_check(&q->record.limits, r);
}

static void write_cidrs(struct json_writer *w, const struct key_record *k)
{
    json_member_open(w, "allow_cidrs", '[');
    for (size_t i = 0; i < k->n_cidrs && i < KEY_MAX_CIDRS; i++) {
        char address[INET6_ADDRSTRLEN] = "?", text[INET6_ADDRSTRLEN + 8];
        inet_ntop(k->cidrs[i].family == 4 ? AF_INET : AF_INET6, k->cidrs[i].addr, address, sizeof address);
        snprintf(text, sizeof text, "%s/%u", address, k->cidrs[i].bits);
        json_str(w, str_of(text));
    }
    json_close(w, ']');
}

static void write_lists(struct json_writer *w, const struct key_record *k)
{
    json_member_open(w, "models", '[');
    for (size_t i = 0; i < k->n_models && i < KEY_MAX_MODELS; i++)
        json_str(w, str_of(k->models[i]));
    json_close(w, ']');
    json_member_open(w, "tags", '{');
    for (size_t i = 0; i < k->n_tags && i < KEY_MAX_TAGS; i++)
        json_member_strz(w, k->tags[i].name, k->tags[i].value);
    json_close(w, '}');
    write_cidrs(w, k);
}

void key_fields_write(struct json_writer *w, const struct key_record *k)
{
    json_member_strz(w, "id", k->id);
    json_member_strz(w, "name", k->name);
    json_member_strz(w, "team", k->team);
    json_member_strz(w, "department", k->department);
    json_member_strz(w, "owner", k->owner);
    json_member_strz(w, "hint", k->hint);
    json_member_bool(w, "blocked", k->blocked);
    json_member_time(w, "created_at", k->created_s);
    json_member_time(w, "expires_at", k->expires_s);
    json_member_u64(w, "version", k->version);
    limit_fields_write(w, &k->limits);
    write_lists(w, k);
}

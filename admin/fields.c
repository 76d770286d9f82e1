/* Bodies into records. The text is validated by our scanner, and read from it: no second parser, so no
 * second opinion. */
#include "fields.h"

#include "rfc3339.h"

enum { MAX_FIELDS = 32 };
static const uint64_t max_limit = UINT64_C(1000000000000), max_limit_32 = 1000000;
static const int64_t latest_time = INT64_C(253402300799); /* 9999-12-31 */

static int wrong_type(struct reply *r, const char *param, const char *wanted)
{
    return reply_error(r, 400, "invalid_type", param, "%s must be %s", param, wanted);
}

int field_text(struct json_value v, const char *param, size_t max, struct arena *a, struct str *out,
               struct reply *r)
{
    if (v.type != JSON_STRING)
        return wrong_type(r, param, "a string");
    struct str s = json_text(v, a);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return reply_error(r, 400, "invalid_value", param, "%s must not hold control characters", param);
    if (s.n > max)
        return reply_error(r, 400, "invalid_value", param, "%s may have %zu bytes at most", param, max);
    *out = s;
    return 0;
}

struct str field_name(struct str raw, struct arena *a)
{
    return json_text((struct json_value){.type = JSON_STRING, .raw = {raw.p - 1, raw.n + 2}}, a);
}

static int set_text(struct json_value v, const struct field *f, char *to, struct arena *a, struct reply *r)
{
    struct str s = STR("");
    if (v.type != JSON_NULL && field_text(v, f->name, f->size - 1, a, &s, r))
        return -1;
    return str_copy(to, f->size, s);
}

static int set_limit(struct json_value v, const struct field *f, void *to, struct reply *r)
{
    uint64_t most = f->size == sizeof(uint32_t) ? max_limit_32 : max_limit;
    int64_t n = 0;
    if (v.type != JSON_NULL && (v.type != JSON_NUMBER || json_int(v, &n)))
        return wrong_type(r, f->name, "a whole number, or null for no limit");
    if (v.type != JSON_NULL && (n < 1 || (uint64_t)n > most))
        return reply_error(r, 400, "invalid_value", f->name,
                           "%s must be between 1 and %llu, or null for no limit", f->name,
                           (unsigned long long)most);
    if (f->size == sizeof(uint32_t))
        *(uint32_t *)to = (uint32_t)n;
    else
        *(uint64_t *)to = (uint64_t)n;
    return 0;
}

static int set_time(struct json_value v, const struct field *f, int64_t *to, struct arena *a, struct reply *r)
{
    int64_t t = 0;
    bool ok = v.type == JSON_NULL || (v.type == JSON_NUMBER && !json_int(v, &t) && t > 0) ||
              (v.type == JSON_STRING && !rfc3339_parse(json_text(v, a), &t) && t > 0);
    if (!ok)
        return wrong_type(r, f->name, "an RFC 3339 time, seconds since 1970, or null");
    if (t > latest_time)
        return reply_error(r, 400, "invalid_value", f->name,
                           "%s is later than the year 9999; is it in milliseconds? Seconds are wanted",
                           f->name);
    *to = t;
    return 0;
}

static int set(struct json_value v, const struct field *f, void *record, struct arena *a, struct reply *r)
{
    void *to = (char *)record + f->offset;
    switch (f->kind) {
    case FIELD_TEXT:
        return set_text(v, f, to, a, r);
    case FIELD_LIMIT:
        return set_limit(v, f, to, r);
    case FIELD_TIME:
        return set_time(v, f, to, a, r);
    case FIELD_SPECIAL:
        return f->parse(v, record, a, r);
    case FIELD_LATER:
        break;
    }
    return reply_error(r, 400, "not_in_this_version", f->name,
                       "%s: this version has no budgets and no tiers; leave it out", f->name);
}

/* Every member must be one that the table knows. */
static int check_names(struct str body, const struct field table[], size_t n, struct arena *a,
                       struct reply *r)
{
    size_t at = 0;
    struct str raw;
    struct json_value v;
    while (json_next(body, &at, &raw, &v)) {
        struct str name = field_name(raw, a);
        size_t i = 0;
        while (i < n && !str_eq(name, str_of(table[i].name)))
            i++;
        if (i < n)
            continue;
        const char *param = arena_copy(a, name).p;
        return reply_error(r, 400, "unknown_field", param, "there is no field \"%.*s\" here",
                           (int)(name.n > 100 ? 100 : name.n), name.p);
    }
    return 0;
}

int fields_read(struct str body, const struct field table[], size_t n, void *record, struct arena *a,
                struct reply *r)
{
    const char *paths[MAX_FIELDS];
    struct json_value values[MAX_FIELDS];
    struct error err;
    for (size_t i = 0; i < n; i++)
        paths[i] = table[i].name;
    if (!body.n)
        return reply_error(r, 400, "invalid_json", NULL, "the body must be a JSON object; it is empty");
    if (json_scan(body, paths, n, values, &err))
        return reply_error(r, 400, "invalid_json", NULL, "the body is no proper JSON object: %s", err.text);
    if (check_names(body, table, n, a, r))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (values[i].type != JSON_ABSENT && set(values[i], &table[i], record, a, r))
            return -1;
    return 0;
}

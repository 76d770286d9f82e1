/* JSON texts, member by member. */
#include "json_write.h"

#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>

static void before(struct json_writer *w)
{
    if (w->comma)
        buf_add_byte(w->out, ',');
    w->comma = true;
}

void json_open(struct json_writer *w, char bracket)
{
    before(w);
    buf_add_byte(w->out, bracket);
    w->comma = false;
}

void json_close(struct json_writer *w, char bracket)
{
    buf_add_byte(w->out, bracket);
    w->comma = true;
}

void json_name_str(struct json_writer *w, struct str name)
{
    before(w);
    json_put_string(w->out, name);
    buf_add_byte(w->out, ':');
    w->comma = false;
}

void json_name_raw(struct json_writer *w, struct str name)
{
    json_raw(w, STR("\""));
    buf_add(w->out, name);
    buf_add(w->out, STR("\":"));
    w->comma = false;
}

void json_name(struct json_writer *w, const char *name)
{
    json_name_str(w, str_of(name));
}

void json_str(struct json_writer *w, struct str text)
{
    before(w);
    json_put_string(w->out, text);
}

void json_raw(struct json_writer *w, struct str value)
{
    before(w);
    buf_add(w->out, value);
}

void json_null(struct json_writer *w)
{
    json_raw(w, STR("null"));
}

void json_strz(struct json_writer *w, const char *text)
{
    if (text)
        json_str(w, str_of(text));
    else
        json_null(w);
}

void json_i64(struct json_writer *w, int64_t n)
{
    before(w);
    buf_printf(w->out, "%" PRId64, n);
}

void json_u64(struct json_writer *w, uint64_t n)
{
    before(w);
    buf_printf(w->out, "%" PRIu64, n);
}

void json_boolean(struct json_writer *w, bool b)
{
    json_raw(w, b ? STR("true") : STR("false"));
}

void json_member_open(struct json_writer *w, const char *name, char bracket)
{
    json_name(w, name);
    json_open(w, bracket);
}

void json_member_str(struct json_writer *w, const char *name, struct str text)
{
    json_name(w, name);
    json_str(w, text);
}

void json_member_strz(struct json_writer *w, const char *name, const char *text)
{
    json_name(w, name);
    json_strz(w, text);
}

void json_member_raw(struct json_writer *w, const char *name, struct str value)
{
    json_name(w, name);
    json_raw(w, value);
}

void json_member_i64(struct json_writer *w, const char *name, int64_t n)
{
    json_name(w, name);
    json_i64(w, n);
}

void json_member_u64(struct json_writer *w, const char *name, uint64_t n)
{
    json_name(w, name);
    json_u64(w, n);
}

void json_member_bool(struct json_writer *w, const char *name, bool b)
{
    json_name(w, name);
    json_boolean(w, b);
}

void json_member_null(struct json_writer *w, const char *name)
{
    json_name(w, name);
    json_null(w);
}

void json_opt_str(struct json_writer *w, const char *name, struct str text)
{
    if (text.n > 0)
        json_member_str(w, name, text);
}

void json_opt_raw(struct json_writer *w, const char *name, struct str value)
{
    if (value.n > 0)
        json_member_raw(w, name, value);
}

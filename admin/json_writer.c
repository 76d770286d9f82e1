/* The JSON of all answers. */
#include "json_writer.h"

#include "decimal.h"
#include "json_out.h"
#include "rfc3339.h"

#include <inttypes.h>

static void next(struct json_writer *w)
{
    if (w->comma)
        buf_add_byte(w->b, ',');
    w->comma = true;
}

void jw_open(struct json_writer *w, char bracket)
{
    next(w);
    buf_add_byte(w->b, bracket);
    w->comma = false;
}

void jw_close(struct json_writer *w, char bracket)
{
    buf_add_byte(w->b, bracket);
    w->comma = true;
}

void jw_name(struct json_writer *w, const char *name)
{
    next(w);
    json_put_string(w->b, str_of(name));
    buf_add_byte(w->b, ':');
    w->comma = false;
}

void jw_str(struct json_writer *w, struct str s)
{
    next(w);
    json_put_string(w->b, s);
}

void jw_u64(struct json_writer *w, uint64_t v)
{
    next(w);
    buf_printf(w->b, "%" PRIu64, v);
}

void jw_bool(struct json_writer *w, bool v)
{
    next(w);
    buf_add(w->b, v ? STR("true") : STR("false"));
}

void jw_null(struct json_writer *w)
{
    next(w);
    buf_add(w->b, STR("null"));
}

void jw_decimal(struct json_writer *w, uint64_t v, unsigned places)
{
    next(w);
    decimal_put(w->b, v, places);
}

void jw_raw(struct json_writer *w, struct str text)
{
    next(w);
    buf_add(w->b, text);
}

void jw_open_in(struct json_writer *w, const char *name, char bracket)
{
    jw_name(w, name);
    jw_open(w, bracket);
}

void jw_text_in(struct json_writer *w, const char *name, const char *text)
{
    jw_name(w, name);
    if (text)
        jw_str(w, str_of(text));
    else
        jw_null(w);
}

void jw_u64_in(struct json_writer *w, const char *name, uint64_t v)
{
    jw_name(w, name);
    jw_u64(w, v);
}

void jw_bool_in(struct json_writer *w, const char *name, bool v)
{
    jw_name(w, name);
    jw_bool(w, v);
}

void jw_decimal_in(struct json_writer *w, const char *name, uint64_t v, unsigned places)
{
    jw_name(w, name);
    jw_decimal(w, v, places);
}

void jw_usd_in(struct json_writer *w, const char *name, uint64_t pico)
{
    jw_decimal_in(w, name, pico, 12);
}

void jw_null_in(struct json_writer *w, const char *name)
{
    jw_name(w, name);
    jw_null(w);
}

void jw_time_in(struct json_writer *w, const char *name, int64_t seconds)
{
    char text[RFC3339_SIZE];
    rfc3339_format(text, seconds);
    jw_text_in(w, name, seconds ? text : NULL);
}

void jw_limit_in(struct json_writer *w, const char *name, uint64_t limit)
{
    if (limit)
        jw_u64_in(w, name, limit);
    else
        jw_null_in(w, name);
}

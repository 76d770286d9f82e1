/* Writes a JSON text member by member; commas come by themselves. Whatever the names and texts hold, the
 * result is valid. Overrunning the buf's maximum shows in buf.full. */
#ifndef ADMIN_JSON_WRITER_H
#define ADMIN_JSON_WRITER_H

#include "buf.h"

struct json_writer {
    struct buf *b;
    bool comma; /* the next value is not the first of its container */
};

static inline struct json_writer json_writer(struct buf *b)
{
    return (struct json_writer){b, false};
}

void jw_open(struct json_writer *w, char bracket);  /* '{' or '[' */
void jw_close(struct json_writer *w, char bracket); /* '}' or ']' */
void jw_name(struct json_writer *w, const char *name);

void jw_str(struct json_writer *w, struct str s);
void jw_u64(struct json_writer *w, uint64_t v);
void jw_bool(struct json_writer *w, bool v);
void jw_null(struct json_writer *w);
/* v / 10^places, exactly. */
void jw_decimal(struct json_writer *w, uint64_t v, unsigned places);
/* A valid JSON text, as it is. */
void jw_raw(struct json_writer *w, struct str text);

/* A member: name and value. */
void jw_open_in(struct json_writer *w, const char *name, char bracket);
void jw_text_in(struct json_writer *w, const char *name, const char *text); /* NULL: null */
void jw_u64_in(struct json_writer *w, const char *name, uint64_t v);
void jw_bool_in(struct json_writer *w, const char *name, bool v);
void jw_decimal_in(struct json_writer *w, const char *name, uint64_t v, unsigned places);
void jw_usd_in(struct json_writer *w, const char *name, uint64_t pico);
void jw_null_in(struct json_writer *w, const char *name);
/* RFC 3339; 0: null. */
void jw_time_in(struct json_writer *w, const char *name, int64_t seconds);
/* null when it is 0, which is "no limit" in our records. */
void jw_limit_in(struct json_writer *w, const char *name, uint64_t limit);

#endif

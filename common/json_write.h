/* Writes JSON texts member by member into a buf; commas are its business. What does not fit makes the buf
 * `full`, which the caller looks at once, at the end. */
#ifndef COMMON_JSON_WRITE_H
#define COMMON_JSON_WRITE_H

#include "buf.h"
#include "str.h"

struct json_writer {
    struct buf *out;
    bool comma; /* something stands before the place where the next value goes */
};

static inline struct json_writer json_writer(struct buf *out)
{
    return (struct json_writer){.out = out};
}

/* '{' or '[' as a value; '}' or ']' at its end. */
void json_open(struct json_writer *w, char bracket);
void json_close(struct json_writer *w, char bracket);
/* A member's name, escaped where it must be; its value comes next. */
void json_name(struct json_writer *w, const char *name);
void json_name_str(struct json_writer *w, struct str name);
/* … as json_next gives it: written already, without its quotes. */
void json_name_raw(struct json_writer *w, struct str name);

/* Values, in arrays or behind a name. */
void json_str(struct json_writer *w, struct str text);   /* a string with what must be escaped */
void json_raw(struct json_writer *w, struct str value);  /* a valid JSON text, as it is */
void json_strz(struct json_writer *w, const char *text); /* NULL: null */
void json_i64(struct json_writer *w, int64_t n);
void json_u64(struct json_writer *w, uint64_t n);
void json_boolean(struct json_writer *w, bool b);
void json_null(struct json_writer *w);

/* Name and value in one. */
void json_member_open(struct json_writer *w, const char *name, char bracket);
void json_member_str(struct json_writer *w, const char *name, struct str text);
void json_member_strz(struct json_writer *w, const char *name, const char *text);
void json_member_raw(struct json_writer *w, const char *name, struct str value);
void json_member_i64(struct json_writer *w, const char *name, int64_t n);
void json_member_u64(struct json_writer *w, const char *name, uint64_t n);
void json_member_bool(struct json_writer *w, const char *name, bool b);
void json_member_null(struct json_writer *w, const char *name);
/* The member only where there is something: text or value of more than 0 bytes. */
void json_opt_str(struct json_writer *w, const char *name, struct str text);
void json_opt_raw(struct json_writer *w, const char *name, struct str value);

#endif

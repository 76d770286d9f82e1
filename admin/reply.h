/* An answer being made: status, type, a few header lines, body. */
#ifndef ADMIN_REPLY_H
#define ADMIN_REPLY_H

#include "json_values.h"

struct reply {
    int status; /* 0: nothing has been answered yet */
    const char *type;
    struct buf headers; /* "name: value\r\n"… beside type and length */
    struct buf body;
};

/* Empty, with maxima set; reply_fini gives its memory back. */
void reply_init(struct reply *r);
/* Empty again, with its memory given back where it was much. */
void reply_reset(struct reply *r);
void reply_fini(struct reply *r);

/* A JSON answer begins: the writer writes its body. */
struct json_writer reply_json(struct reply *r, int status);
/* {"error":{"message","type","param","code"}}, whatever was in the body before. param may be NULL. Returns
 * -1, so that `return reply_error(…)` reads well. */
int reply_error(struct reply *r, int status, const char *code, const char *param, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void reply_header(struct reply *r, const char *name, const char *value);
/* Head and body as they go over the wire. false: the body is left out (HEAD), its length is not. */
int reply_serialize(const struct reply *r, bool with_body, bool keep_alive, int64_t wall_s, struct buf *out);

#endif

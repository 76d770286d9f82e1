/* Lines of the audit log, JSON objects in the key store. */
#include "audit.h"

#include "fields.h"
#include "json_out.h"
#include "json_scan.h"
#include "log.h"

enum { MAX_LINE = 16 * 1024, MAX_VALUE = 1024 };

/* The new value in its shortest form; a credential and what is too long are only mentioned. */
static void put_value(struct json_writer *w, const struct call *c, struct str name, struct str raw)
{
    struct buf text;
    buf_init(&text, MAX_VALUE);
    if (str_eq(name, STR("key")))
        json_str(w, STR("(given)"));
    else if (json_canonical(&text, raw, NULL, 0, c->x->arena))
        json_str(w, STR("(long)"));
    else
        json_raw(w, buf_str(&text));
    buf_free(&text);
}

static void put_fields(struct json_writer *w, const struct call *c, struct str fields)
{
    size_t at = 0;
    struct str raw;
    struct json_value value;
    json_member_open(w, "fields", '{');
    while (json_next(fields, &at, &raw, &value)) {
        /* decoded: "\u006bey" is the key, too */
        struct str name = arena_copy(c->x->arena, field_name(raw, c->x->arena));
        json_name_str(w, name);
        put_value(w, c, name, value.raw);
    }
    json_close(w, '}');
}

void audit_note(const struct call *c, const char *action, const char *object, struct str fields)
{
    struct buf line;
    buf_init(&line, MAX_LINE);
    struct json_writer w = json_writer(&line);
    json_open(&w, '{');
    json_member_strz(&w, "who", "admin token");
    json_member_strz(&w, "from", c->x->peer);
    json_member_strz(&w, "action", action);
    json_member_strz(&w, "object", object);
    size_t before = line.n;
    if (fields.p)
        put_fields(&w, c, fields);
    if (line.full || line.n > MAX_LINE - 64) { /* many long values: say so rather than lose the line */
        line.n = before;
        line.full = false;
        w.comma = true;
        json_member_strz(&w, "fields", "(long)");
    }
    json_close(&w, '}');
    struct error err;
    if (keystore_audit(c->admin->keys, buf_str(&line), &err))
        log_error("the audit log took no line (%s): " STR_FMT, err.text, STR_ARG(buf_str(&line)));
    buf_free(&line);
}

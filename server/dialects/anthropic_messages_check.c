/* Types and places of a Messages request: what is wrong is named as Anthropic names it
 * ("messages.0.content.1.type: …"). Run by workers. */
#include "anthropic_messages_read.h"

#include <stdarg.h>
#include <string.h>

enum { MAX_PLACE = 160, MAX_NAMED = 64 /* kinds of things that are passed over */ };

static void name_place(const struct place *p, char *text, size_t size)
{
    size_t n = 0;
    text[0] = '\0';
    if (!p)
        return;
    name_place(p->up, text, size);
    n = strlen(text);
    if (n > 0 && n + 1 < size)
        text[n++] = '.';
    if (p->name)
        snprintf(text + n, size - n, "%s", p->name);
    else
        snprintf(text + n, size - n, "%zu", p->index);
}

int messages_wrong(struct messages_reading *m, const struct place *at, const char *member, const char *fmt,
                   ...)
{
    char where[MAX_PLACE], words[256];
    struct place last = {at, member, 0};
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    name_place(member ? &last : at, where, sizeof(where));
    struct str param = arena_copy(m->a, str_of(where));
    *m->f = (struct failure){.status = 400,
                             .param = param.p,
                             .message = param.n > 0 ? arena_printf(m->a, "%s: %s", where, words)
                                                    : arena_copy(m->a, str_of(words))};
    return -1;
}

static const char *type_name(enum json_type t)
{
    switch (t) {
    case JSON_STRING:
        return "string";
    case JSON_ARRAY:
        return "list";
    case JSON_OBJECT:
        return "object";
    case JSON_NUMBER:
        return "number";
    default:
        return "boolean";
    }
}

int messages_need(struct messages_reading *m, const struct place *at, const char *member, struct json_value v,
                  enum json_type type)
{
    if (v.type == type)
        return 0;
    if (v.type == JSON_ABSENT)
        return messages_wrong(m, at, member, "Field required");
    return messages_wrong(m, at, member, "Input should be a valid %s", type_name(type));
}

int messages_may_be(struct messages_reading *m, const struct place *at, const char *member,
                    struct json_value v, enum json_type type)
{
    return is_given(v) ? messages_need(m, at, member, v, type) : 0;
}

int messages_members(struct messages_reading *m, const struct place *at, struct json_value object,
                     const char *const names[], size_t n, struct json_value out[])
{
    struct error err;
    if (messages_need(m, at, NULL, object, JSON_OBJECT) != 0)
        return -1;
    return json_scan(object.raw, names, n, out, &err) == 0 ? 0 : messages_wrong(m, at, NULL, "%s", err.text);
}

void messages_pass_over(struct messages_reading *m, struct str name)
{
    if (m->out->n_extras >= MAX_NAMED)
        return;
    for (size_t i = 0; i < m->out->n_extras; i++)
        if (str_eq(m->out->extras[i].name, name))
            return;
    chat_add_extra(m->out, m->a, name);
}

/* The templates of many open models (Qwen, Gemma, Mistral and others) refuse a system message that isn't the
 * first, or two turns of the same role; and agents put instructions amid the conversation. Run by workers. */
#include "chat_instructions.h"

static size_t leading(const struct chat_request *in)
{
    size_t n = 0;
    while (n < in->n_messages && in->messages[n].role == CHAT_SYSTEM)
        n++;
    return n > 0 && n == in->n_messages ? n - 1 : n;
}

static bool is_needed(const struct chat_request *in, size_t lead)
{
    for (size_t i = lead; i < in->n_messages; i++)
        if (in->messages[i].role == CHAT_SYSTEM)
            return true;
    return lead > 1;
}

static void append(struct chat_message *to, const struct chat_message *from, struct arena *a)
{
    for (size_t i = 0; i < from->n_parts; i++)
        *chat_add_part(&to->parts, &to->n_parts, a, from->parts[i].kind) = from->parts[i];
}

/* As the user's; marked where it could be taken for the user's own words. */
static struct chat_message told(const struct chat_message *m, bool marked, struct arena *a)
{
    struct chat_message out = {.role = CHAT_USER};
    struct str text = chat_text(m->parts, m->n_parts, STR("\n"), a);
    struct chat_part *p = chat_add_part(&out.parts, &out.n_parts, a, PART_TEXT);
    p->text = marked ? arena_printf(a, "<system>\n" STR_FMT "\n</system>", STR_ARG(text)) : text;
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].cache_control.n > 0)
            p->cache_control = m->parts[i].cache_control;
    return out;
}

const struct chat_request *chat_instructions_first(const struct chat_request *in, struct arena *a)
{
    size_t lead = leading(in);
    bool alone = lead + 1 == in->n_messages; /* then what is behind is the only thing said */
    if (!is_needed(in, lead))
        return in;
    struct chat_request *out = arena_alloc(a, sizeof(*out));
    struct chat_message *last = NULL;
    *out = *in;
    out->messages = NULL;
    out->n_messages = 0;
    for (size_t i = 0; i < in->n_messages; i++) {
        struct chat_message m = in->messages[i];
        if (m.role == CHAT_SYSTEM && i >= lead)
            m = told(&m, !alone, a);
        bool joins = last && last->role == m.role && m.role != CHAT_ASSISTANT &&
                     (m.role == CHAT_SYSTEM || str_eq(last->name, m.name));
        if (!joins) {
            last = chat_add_message(out, a, m.role);
            *last = m;
            last->parts = NULL;
            last->n_parts = 0;
        }
        append(last, &m, a);
    }
    return out;
}

/* What is known of Google's models by their names, and what tools may be called there. Run by workers. */
#include "gemini_chat.h"

#include "openai.h"

#include <ctype.h>
#include <string.h>

unsigned gemini_generation(struct str model)
{
    enum { NEWEST = 35 };
    static const char family[] = "gemini-";
    const char *at = model.n > 0 ? memmem(model.p, model.n, family, strlen(family)) : NULL,
               *end = model.p + model.n;
    if (!at)
        return 0;
    at += strlen(family);
    if (at == end || !isdigit((unsigned char)*at)) /* gemini-flash-latest */
        return str_has(model, "-latest") ? NEWEST : 0;
    unsigned major = 0, minor = 0;
    while (at < end && isdigit((unsigned char)*at) && major < 1000)
        major = 10 * major + (unsigned)(*at++ - '0');
    if (end - at >= 2 && *at == '.' && isdigit((unsigned char)at[1]))
        minor = (unsigned)(at[1] - '0');
    return 10 * major + minor;
}

void gemini_put_name(struct buf *b, struct str model)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < model.n; i++) {
        unsigned char c = (unsigned char)model.p[i];
        bool plain = isalnum(c) || (c && strchr("-_~@", c)) || (c == '.' && i > 0 && model.p[i - 1] != '.');
        if (plain) {
            buf_add_byte(b, (char)c);
            continue;
        }
        char escaped[] = {'%', hex[c >> 4], hex[c & 15]};
        buf_add(b, (struct str){escaped, 3});
    }
}

struct str gemini_full_name(struct str model, struct arena *a)
{
    if (str_starts(model, STR("models/")) || str_starts(model, STR("tunedModels/")))
        return model;
    return arena_printf(a, "models/" STR_FMT, STR_ARG(model));
}

/* ---- names of tools */

static bool is_tool_name(struct str name)
{
    enum { MOST = 64 };
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool letter = c < 0x80 && (isalpha(c) || c == '_');
        if (!letter && (i == 0 || !c || !strchr("0123456789.:-", c)))
            return false;
    }
    return name.n > 0 && name.n <= MOST;
}

struct str gemini_tool_name(struct str name, struct arena *a)
{
    enum { MOST = 64 };
    if (is_tool_name(name))
        return name;
    struct str plain = openai_tool_name(a, name);
    if (is_tool_name(plain))
        return plain;
    if (plain.n == MOST) /* begins with a digit or a hyphen */
        plain.p++, plain.n--;
    return arena_printf(a, "_" STR_FMT, STR_ARG(plain));
}

struct str gemini_own_name(const struct chat_request *in, struct str got, struct arena *a)
{
    if (!in || chat_tool(in, got))
        return got;
    for (size_t i = 0; i < in->n_tools; i++)
        if (!is_tool_name(in->tools[i].name) && str_eq(gemini_tool_name(in->tools[i].name, a), got))
            return in->tools[i].name;
    return got;
}

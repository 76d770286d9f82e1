/* What Claude's models take, by their names, and names for what passes between them and the caller. Run by
 * workers only.
 *
 * Names come as "claude-opus-4-6", "claude-3-5-haiku-20241022", "claude-sonnet-4-5@20250929", with any
 * prefix. A name that says nothing (an alias, another vendor's model behind the same API) is taken for one of
 * the older kind, whose ways most imitations know; a family's name without a number for its newest. */
#include "anthropic_chat.h"

#include "openai.h"

#include <string.h>

enum { NEWEST = 9999 };

static bool is_digit(struct str s)
{
    return s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9';
}

static struct str behind(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

/* Up to two digits that no third one follows; more are a date. -1: none. */
static int small_number(struct str *s)
{
    size_t n = 0;
    int value = 0;
    while (is_digit(behind(*s, n)) && n < 3)
        value = 10 * value + (s->p[n++] - '0');
    if (n == 0 || n > 2)
        return -1;
    *s = behind(*s, n);
    return value;
}

/* "4-6", "3.5", "5" … → 406, 305, 500. */
static unsigned read_version(struct str s)
{
    int major = small_number(&s), minor = -1;
    if (major < 0)
        return NEWEST;
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '.')) {
        s = behind(s, 1);
        minor = small_number(&s);
    }
    return 100 * (unsigned)major + (minor > 0 ? (unsigned)minor : 0);
}

/* *family: "opus" …; empty for the old order of words ("claude-3-5-sonnet"). */
static unsigned version_of(struct str name, struct str *family)
{
    static const struct str prefix = STR("claude-");
    *family = STR_NULL;
    const char *at = name.n > 0 ? memmem(name.p, name.n, prefix.p, prefix.n) : NULL;
    if (!at)
        return 0;
    struct str rest = {at + prefix.n, name.n - (size_t)(at + prefix.n - name.p)};
    if (is_digit(rest))
        return read_version(rest);
    const char *dash = rest.n > 0 ? memchr(rest.p, '-', rest.n) : NULL;
    *family = (struct str){rest.p, dash ? (size_t)(dash - rest.p) : rest.n};
    return read_version(behind(rest, dash ? family->n + 1 : rest.n));
}

struct anthropic_model anthropic_model(struct str name)
{
    struct str family;
    unsigned v = version_of(name, &family);
    bool top = str_eq(family, STR("fable")) || str_eq(family, STR("mythos"));
    return (struct anthropic_model){
        .version = v,
        .sampling = v <= 406,
        .one_of_two = v >= 401,
        .thinks = v == 0 || v >= 307,
        .adaptive = v >= 406,
        .always_thinks = v >= 505 || top,
        .shows_thinking = v >= 407,
        .xhigh = v >= 407,
        .schema = v >= 405,
        .system_turns = v >= 408 && (top || str_eq(family, STR("opus"))),
    };
}

/* ---- names */

struct str anthropic_json_tool(const struct chat_request *in, struct arena *a)
{
    struct str name = STR("json_answer");
    while (chat_tool(in, name))
        name = arena_printf(a, STR_FMT "_", STR_ARG(name));
    return name;
}

bool anthropic_json_wrapped(const struct chat_request *in)
{
    struct json_value type = json_member(json_root(in->format_schema), "type"), one;
    if (type.type == JSON_ARRAY) { /* ["object","null"] */
        size_t at = 0;
        return type.count != 1 || json_next(type.raw, &at, NULL, &one) != 1 ||
               !str_eq(one.raw, STR("\"object\""));
    }
    return type.type == JSON_STRING && !str_eq(type.raw, STR("\"object\""));
}

/* Claude's tools and their calls are named with letters, digits, _ and - only; Google's may hold dots and
 * colons, and so do some vendors' ids. What is changed must not become another's name. */
struct str anthropic_tool_name(struct str name, struct arena *a)
{
    enum { LONGEST = 128 };
    return name.n > 0 ? openai_word_name(a, name, LONGEST) : STR("unnamed");
}

struct str anthropic_tool_named(const struct chat_request *in, struct str name, struct arena *a)
{
    if (!in || chat_tool(in, name))
        return name;
    for (size_t i = 0; i < in->n_tools; i++)
        if (str_eq(anthropic_tool_name(in->tools[i].name, a), name))
            return in->tools[i].name;
    return name;
}

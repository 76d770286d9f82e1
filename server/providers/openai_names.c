/* What tools, calls and users are called where OpenAI's dialect is spoken: names that are too long or have
 * other characters become ones that it takes, always the same ones. Run by workers. */
#include "openai_request.h"

#include "hash.h"

void openai_digest(struct str text, char *out, size_t digits, const char *alphabet, unsigned base)
{
    uint8_t hash[32];
    sha256(text.p, text.n, hash);
    for (size_t i = 0; i < digits; i++)
        out[i] = alphabet[hash[i] % base];
}

bool openai_is_word(struct str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool alnum = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        if (!alnum && (!ch || !strchr(also, ch)))
            return false;
    }
    return s.n > 0;
}

enum { MAX_TOOL_NAME = 64, DIGITS = 8, MAX_CALL_ID = 40, MISTRAL_ID = 9 };

struct str openai_word_name(struct arena *a, struct str name, size_t most)
{
    if (name.n <= most && openai_is_word(name, "_-"))
        return name;
    size_t kept = name.n < most - DIGITS - 1 ? name.n : most - DIGITS - 1;
    char *p = arena_alloc(a, most);
    for (size_t i = 0; i < kept; i++)
        p[i] = openai_is_word((struct str){name.p + i, 1}, "_-") ? name.p[i] : '_';
    p[kept] = '_';
    openai_digest(name, p + kept + 1, DIGITS, "0123456789abcdef", 16);
    return (struct str){p, kept + 1 + DIGITS};
}

struct str openai_tool_name(struct arena *a, struct str name)
{
    return openai_word_name(a, name, MAX_TOOL_NAME);
}

struct str openai_own_name(const struct chat_request *in, struct str got, struct arena *a)
{
    for (size_t i = 0; in && i < in->n_tools; i++) {
        struct str name = in->tools[i].name;
        if (name.n > MAX_TOOL_NAME || !openai_is_word(name, "_-"))
            if (str_eq(openai_tool_name(a, name), got))
                return name;
    }
    return got;
}

struct str openai_call_id(struct arena *a, struct str id, bool mistral)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (mistral ? id.n == MISTRAL_ID && openai_is_word(id, "") : id.n <= MAX_CALL_ID)
        return id;
    char *p = arena_alloc(a, 32);
    if (mistral) {
        openai_digest(id, p, MISTRAL_ID, digits, 62);
        return (struct str){p, MISTRAL_ID};
    }
    memcpy(p, "call_", 5);
    openai_digest(id, p + 5, 24, digits, 62);
    return (struct str){p, 29};
}

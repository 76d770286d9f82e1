/* Prepares a configuration's text for libconfig 1.5, which reads it well but for two things that it takes for
 * errors (a byte order mark, a comment that ends with the file instead of a line break) and three that would
 * be silent mistakes: it cuts an integer of more than 32 bits (4294967296 becomes 0) unless it ends in L, it
 * ends the text at a NUL byte, and it opens any file that an @include names, so that the text checked would
 * not be all of the text used. Lines stay where they are, so messages can name them. */
#include "config_settings.h"
#include "mem.h"

#include <ctype.h>

struct cursor {
    const char *p, *end;
    unsigned line;
    bool line_start; /* only white space since the last line break */
    char *out;
};

static void copy(struct cursor *c)
{
    if (*c->p == '\n') {
        c->line++;
        c->line_start = true;
    } else if (*c->p != ' ' && *c->p != '\t') {
        c->line_start = false;
    }
    *c->out++ = *c->p++;
}

static bool at(const struct cursor *c, const char *word)
{
    return str_starts((struct str){c->p, (size_t)(c->end - c->p)}, str_of(word));
}

static void copy_until(struct cursor *c, const char *mark)
{
    while (c->p < c->end && !at(c, mark))
        copy(c);
}

/* False: it never ends. */
static bool copy_string(struct cursor *c)
{
    copy(c);
    while (c->p < c->end && *c->p != '"') {
        if (*c->p == '\\' && c->end - c->p > 1)
            copy(c);
        copy(c);
    }
    if (c->p == c->end)
        return false;
    copy(c);
    return true;
}

/* False: it never ends. */
static bool copy_comment(struct cursor *c)
{
    if (!at(c, "/*")) {
        copy_until(c, "\n");
        if (c->p == c->end)
            *c->out++ = '\n';
        return true;
    }
    copy(c);
    copy(c);
    copy_until(c, "*/");
    if (c->p == c->end)
        return false;
    copy(c);
    copy(c);
    return true;
}

static bool is_word(char ch)
{
    return isalnum((unsigned char)ch) || ch == '_' || ch == '-' || ch == '*' || ch == '.';
}

/* Whether the digits of a whole number fit 64 bits (signed), and 32. */
static int number_width(struct str digits, int base)
{
    uint64_t v = 0;
    for (size_t i = 0; i < digits.n; i++) {
        int ch = tolower((unsigned char)digits.p[i]);
        uint64_t d = (uint64_t)(ch >= 'a' ? ch - 'a' + 10 : ch - '0');
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, d, &v) ||
            v > INT64_MAX)
            return 0;
    }
    return v > INT32_MAX ? 64 : 32;
}

/* A word that begins with a digit: a number as libconfig means it, or nonsense that it will refuse. */
static int copy_number(struct cursor *c, const char *file, struct error *err)
{
    const char *from = c->p;
    bool hex = at(c, "0x") || at(c, "0X");
    if (hex) {
        copy(c);
        copy(c);
    }
    struct str digits = {c->p, 0};
    while (c->p < c->end && (hex ? isxdigit((unsigned char)*c->p) : isdigit((unsigned char)*c->p)))
        copy(c);
    digits.n = (size_t)(c->p - digits.p);
    bool whole = c->p == c->end || !(is_word(*c->p));
    bool suffixed = c->p < c->end && (*c->p == 'L' || *c->p == 'l');
    if (digits.n > 0 && (whole || suffixed)) {
        int width = number_width(digits, hex ? 16 : 10);
        if (width == 0)
            return error_set(err, "%s:%u: " STR_FMT " is too large for any setting; write a smaller number",
                             file, c->line, (int)(c->p - from), from);
        if (width == 64 && whole)
            *c->out++ = 'L';
    }
    while (c->p < c->end && is_word(*c->p))
        copy(c);
    return 0;
}

static int copy_token(struct cursor *c, const char *file, struct error *err)
{
    unsigned line = c->line;
    if (*c->p == '"')
        return copy_string(c)
                   ? 0
                   : error_set(err, "%s:%u: a text begins here and never ends; close it with a quote", file,
                               line);
    if (*c->p == '#' || at(c, "//") || at(c, "/*"))
        return copy_comment(c)
                   ? 0
                   : error_set(err, "%s:%u: a comment begins here and never ends; close it with */", file,
                               line);
    if (c->line_start && at(c, "@include"))
        return error_set(err, "%s:%u: @include is not supported; put everything into this one file", file,
                         line);
    if (isdigit((unsigned char)*c->p))
        return copy_number(c, file, err);
    if (is_word(*c->p) && *c->p != '-')
        while (c->p < c->end && is_word(*c->p))
            copy(c);
    else
        copy(c);
    return 0;
}

char *config_prepare_text(struct str text, const char *file, struct error *err)
{
    const char *nul = text.n > 0 ? memchr(text.p, '\0', text.n) : NULL;
    if (nul) {
        unsigned line = 1;
        for (const char *p = text.p; p < nul; p++)
            line += *p == '\n';
        error_set(err, "%s:%u: a NUL byte; this is not a text file", file, line);
        return NULL;
    }
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = (struct str){text.p + 3, text.n - 3};
    /* at worst, a suffix after every number of ten digits or more (0x80000000 with its prefix is as long) */
    char *out = mem_alloc(text.n + text.n / 10 + 3);
    struct cursor c = {.p = text.p, .end = text.p + text.n, .line = 1, .line_start = true, .out = out};
    while (c.p < c.end)
        if (copy_token(&c, file, err) != 0) {
            free(out);
            return NULL;
        }
    *c.out = '\0';
    return out;
}

/* Reading a call's query. Unknown parameters are refused: a misspelt "form=" must not answer for all time. */
#include "call.h"

#include "log.h"

static int hex(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

int call_decode(struct arena *a, struct str s, bool plus, struct str *out)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        if (ch == '%') {
            int high = s.n - i > 2 ? hex(s.p[i + 1]) : -1;
            int low = s.n - i > 2 ? hex(s.p[i + 2]) : -1;
            if (high < 0 || low < 0 || high * 16 + low == 0)
                return -1;
            ch = (char)(high * 16 + low);
            i += 2;
        } else if (plus && ch == '+') {
            ch = ' ';
        }
        p[n++] = ch;
    }
    p[n] = '\0';
    *out = (struct str){p, n};
    return 0;
}

struct str call_query(const struct call *c, const char *name)
{
    struct str rest = c->x->head->query, pair, value = STR_NULL;
    while (str_split(&rest, '&', &pair)) {
        struct str key;
        str_split(&pair, '=', &key);
        if (str_eq(key, str_of(name)) && !call_decode(c->x->arena, pair, true, &value))
            return value.p ? value : STR("");
    }
    return STR_NULL;
}

int call_query_u64(const struct call *c, const char *name, uint64_t max, uint64_t *out)
{
    struct str s = call_query(c, name);
    uint64_t v;
    if (!s.p)
        return 0;
    if (str_u64(s, &v) || v > max)
        return reply_error(c->x->reply, 400, "invalid_value", name, "%s must be a whole number up to %llu",
                           name, (unsigned long long)max);
    *out = v;
    return 0;
}

static bool listed(struct str name, const char *list)
{
    struct str rest = str_of(list), one;
    while (str_split(&rest, ',', &one))
        if (str_eq(one, name))
            return true;
    return false;
}

/* How often the query names it. */
static int count(struct str query, struct str name)
{
    int n = 0;
    struct str pair;
    while (str_split(&query, '&', &pair)) {
        struct str key;
        str_split(&pair, '=', &key);
        n += str_eq(key, name);
    }
    return n;
}

int call_check_query(const struct call *c, const char *allowed)
{
    struct str rest = c->x->head->query, pair;
    while (str_split(&rest, '&', &pair)) {
        if (!pair.n)
            continue;
        struct str key, value;
        str_split(&pair, '=', &key);
        const char *name = arena_copy(c->x->arena, key).p;
        if (!listed(key, allowed))
            return reply_error(c->x->reply, 400, "unknown_parameter", name,
                               "there is no parameter " STR_FMT " here%s%s", STR_ARG(key),
                               *allowed ? "; there are: " : "", allowed);
        if (count(c->x->head->query, key) > 1)
            return reply_error(c->x->reply, 400, "repeated_parameter", name,
                               "the parameter " STR_FMT " comes more than once", STR_ARG(key));
        if (call_decode(c->x->arena, pair, true, &value))
            return reply_error(c->x->reply, 400, "invalid_value", name,
                               "the value of " STR_FMT " is not properly percent-encoded", STR_ARG(key));
    }
    return 0;
}

int call_failed(const struct call *c, const char *what, const struct error *err)
{
    log_error("%s: %s", what, err->text);
    return reply_error(c->x->reply, 500, "internal_error", NULL, "%s failed; the log says why", what);
}

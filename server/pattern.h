/* Names of models that may end in '*'. */
#ifndef SERVER_PATTERN_H
#define SERVER_PATTERN_H

#include "str.h"

/* "gpt-4o" matches itself, "gpt-*" every name that begins with "gpt-". */
static inline bool pattern_match(struct str pattern, struct str name)
{
    if (pattern.n > 0 && pattern.p[pattern.n - 1] == '*')
        return str_starts(name, (struct str){pattern.p, pattern.n - 1});
    return str_eq(pattern, name);
}

/* Whether some name matches both. */
static inline bool patterns_meet(struct str a, struct str b)
{
    bool open_a = a.n > 0 && a.p[a.n - 1] == '*', open_b = b.n > 0 && b.p[b.n - 1] == '*';
    if (!open_a || !open_b)
        return open_a ? pattern_match(a, b) : pattern_match(b, a);
    struct str pa = {a.p, a.n - 1}, pb = {b.p, b.n - 1};
    return str_starts(pa, pb) || str_starts(pb, pa);
}

#endif

/* cmocka, and asserts about texts that are not zero-terminated. */
#ifndef TESTS_UNIT_TEXT_ASSERTS_H
#define TESTS_UNIT_TEXT_ASSERTS_H

#include "str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static inline bool holds(struct str text, const char *what)
{
    return str_has(text, what);
}

/* How often it is in it. */
static inline size_t times(struct str text, const char *what)
{
    size_t n = 0;
    for (const char *p = text.p; p && (p = memmem(p, text.n - (size_t)(p - text.p), what, strlen(what))); p++)
        n++;
    return n;
}

static inline void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_of(want)))
        fail_msg("got: %.*s\nwanted: %s", (int)got.n, got.p ? got.p : "", want);
}

static inline void assert_holds(struct str text, const char *what)
{
    if (!holds(text, what))
        fail_msg("not in it: %s\ngot: %.*s", what, (int)text.n, text.p ? text.p : "");
}

static inline void assert_lacks(struct str text, const char *what)
{
    if (holds(text, what))
        fail_msg("in it: %s\ngot: %.*s", what, (int)text.n, text.p);
}

#endif

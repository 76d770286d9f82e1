/* Fields of CSV answers. */
#include "csv.h"

#include <string.h>

static bool is_formula(struct str s)
{
    return s.n > 0 && s.p[0] && strchr("=+-@\t\r", s.p[0]);
}

static bool wants_quotes(struct str s)
{
    if (s.n && (s.p[0] == ' ' || s.p[s.n - 1] == ' '))
        return true;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\r' || s.p[i] == '\n')
            return true;
    return false;
}

int csv_put(struct buf *b, struct str field)
{
    bool quotes = wants_quotes(field);
    if (quotes)
        buf_add_byte(b, '"');
    if (is_formula(field))
        buf_add_byte(b, '\'');
    for (size_t i = 0; i < field.n; i++) {
        if (field.p[i] == '"')
            buf_add_byte(b, '"');
        buf_add_byte(b, field.p[i]);
    }
    if (quotes)
        buf_add_byte(b, '"');
    return b->full ? -1 : 0;
}

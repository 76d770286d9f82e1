#include "json_array.h"

#include "limits.h"

#include <string.h>

/* What may come where no element is open. */
enum place { AT_BEGIN, AT_FIRST /* or the end */, AT_COMMA /* or the end */, AT_NEXT, AT_END };

void json_array_init(struct json_array_reader *r)
{
    *r = (struct json_array_reader){0};
    buf_init(&r->in, MAX_ARRAY_ELEMENT + MAX_STREAM_READ);
}

void json_array_free(struct json_array_reader *r)
{
    buf_free(&r->in);
    json_array_init(r);
}

int json_array_feed(struct json_array_reader *r, struct str bytes)
{
    if (r->broken)
        return -1;
    if (r->seen > 0) {
        buf_consume(&r->in, r->seen);
        r->scanned -= r->seen;
        r->value -= r->value < r->seen ? r->value : r->seen;
        r->seen = 0;
    }
    r->broken = r->in.n > MAX_ARRAY_ELEMENT || buf_add(&r->in, bytes) != 0;
    return r->broken ? -1 : 0;
}

size_t json_array_pending(const struct json_array_reader *r)
{
    return r->in.n - (r->place == AT_END && !r->broken ? r->scanned : r->seen);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int broken(struct json_array_reader *r)
{
    r->broken = true;
    return -1;
}

/* All that was scanned. */
static int give(struct json_array_reader *r, bool end, struct json_array_element *e)
{
    const char *p = r->in.p;
    *e = (struct json_array_element){.raw = {p + r->seen, r->scanned - r->seen}};
    if (!end)
        e->value = (struct str){p + r->value, r->scanned - r->value};
    r->seen = r->scanned;
    return 1;
}

/* One byte of an element. True: it was the last one. */
static bool take_inner(struct json_array_reader *r, char c)
{
    if (r->in_string) {
        r->in_string = r->escaped || c != '"';
        r->escaped = !r->escaped && c == '\\';
        return false;
    }
    r->in_string = c == '"';
    if (c == '{' || c == '[')
        r->depth++;
    else if (c == '}' || c == ']')
        r->depth--;
    return r->depth == 0;
}

/* One byte between elements. 1: the array has ended, -1: it has no place there. */
static int take_outer(struct json_array_reader *r, char c)
{
    if (is_space(c))
        return 0;
    if (c == '[' && r->place == AT_BEGIN) {
        r->place = AT_FIRST;
    } else if (c == '{' && (r->place == AT_FIRST || r->place == AT_NEXT)) {
        r->value = r->scanned - 1;
        r->depth = 1;
        r->place = AT_COMMA;
    } else if (c == ',' && r->place == AT_COMMA) {
        r->place = AT_NEXT;
    } else if (c == ']' && (r->place == AT_FIRST || r->place == AT_COMMA)) {
        r->place = AT_END;
        return 1;
    } else {
        return broken(r);
    }
    return 0;
}

int json_array_next(struct json_array_reader *r, struct json_array_element *e)
{
    while (!r->broken && r->scanned < r->in.n) {
        char c = r->in.p[r->scanned++];
        if (r->depth > 0) {
            if (take_inner(r, c))
                return give(r, false, e);
        } else if (take_outer(r, c) == 1) {
            return give(r, true, e);
        }
    }
    return r->broken ? -1 : 0;
}

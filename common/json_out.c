/* What the gateway itself says in JSON, and the one alteration it makes to a request that otherwise passes
 * through as the client wrote it. */
#include "json_out.h"
#include "json_scan.h"
#include "json_string.h"
#include "utf8.h"

#include <string.h>

/* The escape of a byte that may not stand in a string as it is. */
static int put_escape(struct buf *b, unsigned char c)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char letter = c < sizeof(letters) ? letters[c] : c >= 0x20 ? (char)c : 0;
    if (letter)
        return buf_add(b, (struct str){(char[]){'\\', letter}, 2});
    static const char hex[] = "0123456789abcdef";
    return buf_add(b, (struct str){(char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6});
}

int json_put_string(struct buf *b, struct str s)
{
    const char *p = s.n > 0 ? s.p : "", *end = p + s.n, *from = p; /* [from, p) is to be added as it is */
    if (buf_add_byte(b, '"'))
        return -1;
    while ((p = json_string_plain(p, end)) < end) {
        bool ascii = (signed char)*p >= 0;
        size_t n = ascii ? 0 : utf8_sequence(p, (size_t)(end - p));
        if (n > 0) {
            p += n;
            continue;
        }
        if (buf_add(b, (struct str){from, (size_t)(p - from)}) ||
            (ascii ? put_escape(b, (unsigned char)*p) : buf_add(b, STR("\xef\xbf\xbd"))))
            return -1;
        from = ++p;
    }
    return buf_add(b, (struct str){from, (size_t)(end - from)}) || buf_add_byte(b, '"') ? -1 : 0;
}

/* Puts the member in front of all others, of which there are some or none. */
static int insert_member(struct buf *b, struct str text, size_t brace, bool others, struct str name,
                         struct str value)
{
    struct str tail = {text.p + brace + 1, text.n - brace - 1};
    return buf_add(b, (struct str){text.p, brace + 1}) || json_put_string(b, name) || buf_add_byte(b, ':') ||
                   buf_add(b, value) || (others && buf_add_byte(b, ',')) || buf_add(b, tail)
               ? -1
               : 0;
}

/* A member that is there more than once is set everywhere, so that no reader finds another value. */
int json_set_member(struct buf *b, struct str text, const char *name, struct str value)
{
    struct str wanted = str_of(name), member;
    struct json_value v;
    size_t at = 0, copied = 0, brace = 0;
    bool found = false;
    while (brace < text.n && text.p[brace] != '{')
        if (!strchr(" \t\r\n", text.p[brace++]))
            return -1;
    if (brace == text.n)
        return -1;
    while (json_next(text, &at, &member, &v) == 1) {
        if (!json_string_is(member, wanted))
            continue;
        size_t from = (size_t)(v.raw.p - text.p);
        if (buf_add(b, (struct str){text.p + copied, from - copied}) || buf_add(b, value))
            return -1;
        copied = from + v.raw.n;
        found = true;
    }
    if (!found)
        return insert_member(b, text, brace, at > 0, wanted, value);
    return buf_add(b, (struct str){text.p + copied, text.n - copied});
}

int json_set_member_in(struct arena *a, struct str *object, const char *name, struct str value)
{
    size_t max = object->n + value.n + strlen(name) + 16;
    struct buf b = arena_buf(a, max);
    if (json_set_member(&b, *object, name, value) != 0)
        return -1;
    *object = buf_str(&b);
    return 0;
}

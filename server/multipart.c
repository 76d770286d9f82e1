/* Reads the parts' heads only as far as one field's value needs. Bounded: each byte is looked at once by
 * memmem, part heads are at most MAX_PART_HEAD long, parts at most MAX_PARTS. Whatever is not plain multipart
 * is refused, because the provider's parser might read another field than ours. */
#include "multipart.h"

#include "http.h"

#include <string.h>

enum { MAX_BOUNDARY = 70 /* RFC 2046 */, MAX_PART_HEAD = 4096, MAX_PARTS = 256 };

static struct str skip_blanks(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    return s;
}

/* Cuts a value, quoted or not, off *rest, which then stands behind it. False: its closing quote is missing.
 */
static bool parameter_value(struct str *rest, struct str *out)
{
    *rest = skip_blanks(*rest);
    *out = STR_NULL;
    if (rest->n == 0 || rest->p[0] != '"') {
        size_t n = 0;
        while (n < rest->n && rest->p[n] != ';')
            n++;
        *out = str_trim((struct str){rest->p, n});
        *rest = (struct str){rest->p + n, rest->n - n};
        return true;
    }
    for (size_t n = 1; n < rest->n; n++) {
        if (rest->p[n] == '\\') {
            n++;
        } else if (rest->p[n] == '"') {
            *out = (struct str){rest->p + 1, n - 1};
            *rest = skip_blanks((struct str){rest->p + n + 1, rest->n - n - 1});
            return rest->n == 0 || rest->p[0] == ';';
        }
    }
    return false;
}

/* The parameter `name` of a header value: 1, 0: none, -1: more than one, or one that may mean another to the
 * provider's parser: with an escape in it, or in RFC 5987's extended form. */
static int parameter(struct str value, const char *name, struct str *out)
{
    int found = 0;
    struct str want = str_of(name), rest = value, key, part;
    if (!str_split(&rest, ';', &part)) /* what stands before the first ";" */
        return 0;
    while (rest.n > 0) {
        while (rest.n > 0 && (rest.p[0] == ' ' || rest.p[0] == '\t' || rest.p[0] == ';'))
            rest.p++, rest.n--;
        if (!str_split(&rest, '=', &key))
            break;
        key = str_trim(key);
        if (!parameter_value(&rest, &part))
            return -1;
        if (key.n == want.n + 1 && key.p[want.n] == '*' && str_ieq((struct str){key.p, want.n}, want))
            return -1;
        if (!str_ieq(key, want))
            continue;
        if (part.n > 0 && memchr(part.p, '\\', part.n))
            return -1;
        *out = part;
        found++;
    }
    return found > 1 ? -1 : found;
}

bool multipart_type(struct str content_type, struct str *boundary)
{
    struct str rest = content_type, type;
    *boundary = STR_NULL;
    if (!str_split(&rest, ';', &type) || !str_ieq(str_trim(type), STR("multipart/form-data")))
        return false;
    if (parameter(content_type, "boundary", boundary) != 1 || boundary->n > MAX_BOUNDARY)
        *boundary = STR_NULL;
    return true;
}

/* Moves *body behind the next delimiter "CRLF--boundary" and gives what stood before. False: there is none.
 */
static bool next_delimiter(struct str *body, struct str delimiter, struct str *before)
{
    const char *at = memmem(body->p, body->n, delimiter.p, delimiter.n);
    if (!at)
        return false;
    *before = (struct str){body->p, (size_t)(at - body->p)};
    *body = (struct str){at + delimiter.n, body->n - before->n - delimiter.n};
    return true;
}

/* Cuts the next line off a part's head, and its name off that: 1, 0: there is none, -1: another parser might
 * read it as another line, or as none. */
static int part_line(struct str *head, struct str *name, struct str *value)
{
    if (!str_split(head, '\n', value))
        return 0;
    if (value->n == 0 || value->p[value->n - 1] != '\r')
        return -1;
    value->n--;
    return str_split(value, ':', name) && http_token_ok(*name) && http_value_ok(*value) ? 1 : -1;
}

static bool as_it_is(struct str coding)
{
    coding = str_trim(coding);
    return str_ieq(coding, STR("7bit")) || str_ieq(coding, STR("8bit")) || str_ieq(coding, STR("binary"));
}

/* Whether the part's head names it `name` and no file. */
static int part_is(struct str head, const char *name)
{
    struct str key, value, found, file;
    int hits = 0, line;
    bool coded = false;
    while ((line = part_line(&head, &key, &value)) == 1) {
        if (str_ieq(key, STR("content-transfer-encoding")))
            coded |= !as_it_is(value);
        if (!str_ieq(key, STR("content-disposition")))
            continue;
        int named = parameter(value, "name", &found);
        if (named < 0)
            return -1;
        if (named == 1 && str_eq(found, str_of(name)) && parameter(value, "filename", &file) == 0)
            hits++;
    }
    return line < 0 || hits > 1 || (hits > 0 && coded) ? -1 : hits;
}

/* One part, from behind its delimiter's line end: 1 when it is the field. */
static int look_at(struct str part, const char *name, struct str *value)
{
    struct str room = {part.p, part.n < MAX_PART_HEAD ? part.n : MAX_PART_HEAD};
    const char *end = memmem(room.p, room.n, "\r\n\r\n", 4);
    if (!end)
        return -1;
    int is = part_is((struct str){part.p, (size_t)(end - part.p) + 2}, name);
    if (is == 1)
        *value = (struct str){end + 4, part.n - (size_t)(end + 4 - part.p)};
    return is;
}

int multipart_field(struct str body, struct str boundary, const char *name, struct str *value)
{
    char text[MAX_BOUNDARY + 4] = "\r\n--";
    struct str part, delimiter = {text, boundary.n + 4};
    int found = 0;
    if (boundary.n == 0 || boundary.n > MAX_BOUNDARY)
        return -1;
    memcpy(text + 4, boundary.p, boundary.n);
    struct str first = {delimiter.p + 2, delimiter.n - 2};
    if (str_starts(body, first))
        body = (struct str){body.p + first.n, body.n - first.n};
    else if (!next_delimiter(&body, delimiter, &part)) /* a preamble */
        return -1;
    for (unsigned parts = 0; parts < MAX_PARTS; parts++) {
        if (str_starts(body, STR("--")))
            return found;
        if (!str_starts(body, STR("\r\n")) || !next_delimiter(&body, delimiter, &part))
            return -1;
        struct str content = {part.p + 2, part.n < 2 ? 0 : part.n - 2};
        int is = look_at(content, name, value);
        if (is < 0 || (found += is) > 1)
            return -1;
    }
    return -1;
}

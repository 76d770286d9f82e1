/* Reads the parts' heads only as far as one field's value needs. Bounded: each byte is looked at once by
 * memmem, part heads are at most MAX_PART_HEAD long, parts at most MAX_PARTS. Whatever is not plain multipart
 * is refused, because the provider's parser might read another field than ours. */
#include "multipart.h"

#include <string.h>

enum { MAX_BOUNDARY = 70 /* RFC 2046 */, MAX_PART_HEAD = 4096, MAX_PARTS = 256 };

/* The parameter `name` of a header value: 1, 0: none, -1: more than one. Quoted values hold no escapes. */
static int parameter(struct str value, const char *name, struct str *out)
{
    int found = 0;
    struct str want = str_of(name), rest = value, part;
    if (!str_split(&rest, ';', &part)) /* what stands before the first ";" */
        return 0;
    while (rest.n > 0) {
        struct str key;
        while (rest.n > 0 && (rest.p[0] == ' ' || rest.p[0] == '\t' || rest.p[0] == ';'))
            rest.p++, rest.n--;
        if (!str_split(&rest, '=', &key))
            break;
        bool quoted = rest.n > 0 && rest.p[0] == '"';
        if (quoted)
            rest.p++, rest.n--;
        if (quoted && !memchr(rest.p, '"', rest.n))
            return -1;
        part = STR_NULL;
        str_split(&rest, quoted ? '"' : ';', &part);
        if (!str_ieq(str_trim(key), want))
            continue;
        *out = quoted ? part : str_trim(part);
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

/* Whether the part's head names it `name` and no file. */
static int part_is(struct str head, const char *name)
{
    struct str line;
    int hits = 0;
    while (str_split(&head, '\n', &line)) {
        struct str key, value = line, found;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            value.n--;
        if (!str_split(&value, ':', &key) || !str_ieq(key, STR("content-disposition")))
            continue;
        int named = parameter(value, "name", &found);
        if (named < 0)
            return -1;
        struct str file;
        if (named == 1 && str_eq(found, str_of(name)) && parameter(value, "filename", &file) == 0)
            hits++;
    }
    return hits > 1 ? -1 : hits;
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

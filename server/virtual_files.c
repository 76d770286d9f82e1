/* The built-in provider's models and files. Nothing is stored: an upload is answered as a vendor would and
 * then forgotten. */
#include "virtual.h"

#include "json_out.h"

#include <string.h>

enum { CREATED = 1735689600 };

static void put_model(struct buf *b, struct str id)
{
    buf_add(b, STR("{\"id\":"));
    json_put_string(b, id);
    buf_printf(b, ",\"object\":\"model\",\"created\":%d,\"owned_by\":\"aigw\"}", CREATED);
}

void virtual_models(struct virtual_making *m)
{
    struct str path = m->call->path, prefix = STR("/models/");
    struct buf b;
    buf_init(&b, 64 * 1024);
    if (str_starts(path, prefix)) {
        put_model(&b, (struct str){path.p + prefix.n, path.n - prefix.n});
    } else {
        buf_add(&b, STR("{\"object\":\"list\",\"data\":["));
        put_model(&b, STR("virtual"));
        buf_add(&b, STR("]}"));
    }
    virtual_json(m, 200, buf_str(&b));
    buf_free(&b);
}

/* ---- multipart/form-data (RFC 7578), as far as an upload needs it */

struct part {
    struct str head, body;
};

static bool boundary_of(struct str content_type, struct str *boundary)
{
    const char *at = content_type.n ? memmem(content_type.p, content_type.n, "boundary=", 9) : NULL;
    if (!at || !str_starts(content_type, STR("multipart/form-data")))
        return false;
    struct str b = {at + 9, content_type.n - (size_t)(at + 9 - content_type.p)};
    if (b.n > 0 && b.p[0] == '"') {
        b.p++, b.n--;
        str_split(&b, '"', &b);
    } else {
        struct str first;
        if (str_split(&b, ';', &first))
            b = str_trim(first);
    }
    *boundary = b;
    return b.n > 0;
}

/* The next part; *rest is moved behind it. */
static bool next_part(struct str *rest, struct str delimiter, struct part *p)
{
    const char *start = rest->n ? memmem(rest->p, rest->n, delimiter.p, delimiter.n) : NULL;
    if (!start)
        return false;
    start += delimiter.n;
    size_t n = rest->n - (size_t)(start - rest->p);
    const char *head_end = memmem(start, n, "\r\n\r\n", 4);
    const char *end =
        head_end ? memmem(head_end + 4, n - (size_t)(head_end + 4 - start), delimiter.p, delimiter.n) : NULL;
    if (!end)
        return false;
    p->head = (struct str){start, (size_t)(head_end - start)};
    p->body = (struct str){head_end + 4, (size_t)(end - head_end - 4)};
    if (str_ends(p->body, STR("\r\n")))
        p->body.n -= 2;
    *rest = (struct str){end, n - (size_t)(end - start)};
    return true;
}

/* name="…" of a part's head; `attribute` with its quote: "name=\"" */
static struct str attribute_of(struct str head, struct str attribute)
{
    const char *at = head.n ? memmem(head.p, head.n, attribute.p, attribute.n) : NULL;
    if (!at)
        return STR("");
    struct str v = {at + attribute.n, head.n - (size_t)(at + attribute.n - head.p)}, value;
    return str_split(&v, '"', &value) ? value : STR("");
}

static void put_file(struct virtual_making *m, struct buf *b, struct str name, struct str purpose,
                     size_t bytes)
{
    buf_printf(b,
               "{\"id\":\"file-%016llx\",\"object\":\"file\",\"bytes\":%zu,\"created_at\":%d,\"filename\":",
               (unsigned long long)m->hash, bytes, CREATED);
    json_put_string(b, name);
    buf_add(b, STR(",\"purpose\":"));
    json_put_string(b, purpose);
    buf_add(b, STR(",\"status\":\"processed\",\"status_details\":null}"));
}

static void upload(struct virtual_making *m, struct buf *b)
{
    struct str boundary, rest = m->call->body, name = STR(""), purpose = STR("");
    struct part p;
    size_t bytes = 0;
    bool file = false;
    if (boundary_of(m->call->content_type, &boundary)) {
        struct str delimiter = arena_printf(&m->arena, "--" STR_FMT, STR_ARG(boundary));
        while (next_part(&rest, delimiter, &p)) {
            struct str field = attribute_of(p.head, STR(" name=\""));
            if (str_eq(field, STR("purpose")))
                purpose = p.body;
            if (!str_eq(field, STR("file")))
                continue;
            file = true;
            bytes = p.body.n;
            name = attribute_of(p.head, STR("filename=\""));
        }
    }
    if (file)
        put_file(m, b, name, purpose, bytes);
}

void virtual_files(struct virtual_making *m)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    if (str_eq(m->call->method, STR("GET")))
        buf_add(&b, STR("{\"object\":\"list\",\"data\":[],\"has_more\":false}"));
    else
        upload(m, &b);
    if (b.n > 0)
        virtual_json(m, 200, buf_str(&b));
    else
        virtual_error(m, 400, "invalid_request_error", "missing_required_parameter",
                      "Expected multipart/form-data with a 'file'.");
    buf_free(&b);
}

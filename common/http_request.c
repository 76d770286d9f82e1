/* The request line and what a request's header lines must agree on. Runs in the acceptor (is the head whole,
 * how long is the body) and again in the worker, which trusts nobody's parse but its own. */
#include "http.h"
#include "http_lines.h"

#include <string.h>

enum { MAX_METHOD = 32, MAX_BLANK_LINES = 4 };

/* Cuts off everything up to the next space, which must not be the first byte nor missing. */
static bool word(struct str *rest, struct str *out)
{
    const char *space = memchr(rest->p, ' ', rest->n);
    if (!space || space == rest->p)
        return false;
    *out = (struct str){rest->p, (size_t)(space - rest->p)};
    *rest = (struct str){space + 1, rest->n - out->n - 1};
    return true;
}

/* No backslash (some programs take it for a slash), and each % followed by two hexadecimal digits. */
static bool path_ok(struct str path)
{
    if (memchr(path.p, '\\', path.n))
        return false;
    struct str rest = path;
    const char *percent;
    while ((percent = memchr(rest.p, '%', rest.n))) {
        rest = (struct str){percent + 1, rest.n - (size_t)(percent - rest.p) - 1};
        if (rest.n < 2 || !http_all((struct str){rest.p, 2}, HTTP_CLASS_HEX))
            return false;
    }
    return true;
}

static int split_path(struct str s, struct http_head *head, struct http_refusal *why)
{
    const char *mark = memchr(s.p, '?', s.n);
    head->path = (struct str){s.p, mark ? (size_t)(mark - s.p) : s.n};
    head->query = mark ? (struct str){mark + 1, s.n - head->path.n - 1} : STR_NULL;
    if (!path_ok(head->path))
        return http_refuse(why, 400, "the request target is malformed");
    return 0;
}

/* "http://host/path?query": what a client that believes in a proxy sends. */
static int absolute_target(struct str target, struct http_head *head, struct http_refusal *why)
{
    size_t scheme = target.n >= 7 && str_ieq((struct str){target.p, 7}, STR("http://"))    ? 7
                    : target.n >= 8 && str_ieq((struct str){target.p, 8}, STR("https://")) ? 8
                                                                                           : 0;
    if (scheme == 0)
        return http_refuse(why, 400, "the request target is malformed");
    struct str rest = {target.p + scheme, target.n - scheme};
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    if (!http_host_ok((struct str){rest.p, n}))
        return http_refuse(why, 400, "the request target's host is malformed");
    rest = (struct str){rest.p + n, rest.n - n};
    if (rest.n > 0 && rest.p[0] == '/')
        return split_path(rest, head, why);
    head->path = STR("/");
    head->query = rest.n > 0 ? (struct str){rest.p + 1, rest.n - 1} : STR_NULL;
    return 0;
}

static int parse_target(struct http_head *head, struct http_refusal *why)
{
    struct str target = head->target;
    if (target.n > MAX_TARGET)
        return http_refuse(why, 414, "the request target is too long");
    if (!http_all(target, HTTP_CLASS_TARGET))
        return http_refuse(why, 400, "the request target holds a byte that may not be there");
    if (target.p[0] == '/')
        return split_path(target, head, why);
    if (str_eq(target, STR("*"))) {
        head->path = target;
        head->query = STR_NULL;
        return str_eq(head->method, STR("OPTIONS"))
                   ? 0
                   : http_refuse(why, 400, "the target * is for OPTIONS only");
    }
    return absolute_target(target, head, why);
}

static int parse_first_line(struct str line, struct http_head *head, struct http_refusal *why)
{
    if (!word(&line, &head->method) || head->method.n > MAX_METHOD || !http_token_ok(head->method))
        return http_refuse(why, 400, "the method is malformed");
    if (!word(&line, &head->target))
        return http_refuse(why, 400, "the request line is malformed");
    if (http_version_parse(line, &head->minor, why))
        return -1;
    if (str_eq(head->method, STR("CONNECT")))
        return http_refuse(why, 501, "CONNECT is not served");
    return parse_target(head, why);
}

/* The first byte that counts must be one that a method can begin with. That is told at once, because what
 * speaks another protocol (TLS, say) may never send the end of a head. */
static bool begins_well(struct str in)
{
    size_t i = 0, blank = 0;
    for (; in.n - i >= 2 && in.p[i] == '\r' && in.p[i + 1] == '\n'; i += 2)
        if (++blank > MAX_BLANK_LINES)
            return true; /* the line walker refuses these */
    if (i == in.n || in.p[i] == '\n')
        return true; /* as it does a bare LF */
    if (in.p[i] == '\r')
        return i + 1 == in.n;
    return http_class[(unsigned char)in.p[i]] & HTTP_CLASS_TOKEN;
}

static int check(struct http_head *head, const struct http_framing *f, struct http_refusal *why)
{
    if (head->minor == 1 && !f->has_host)
        return http_refuse(why, 400, "Host is missing");
    head->status = 0;
    head->content_length = f->length;
    head->body = f->chunked ? HTTP_BODY_CHUNKED : f->has_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    head->keep_alive = !f->close && (head->minor == 1 || f->keep_alive);
    /* RFC 9110 10.1.1: ignored in HTTP/1.0, and where no body will come */
    head->expect_continue = f->expect_continue && head->minor == 1 && (f->chunked || f->length > 0);
    return 1;
}

int http_parse_request(struct str in, size_t max_head, struct http_head *head, struct http_refusal *why)
{
    if (max_head > MAX_HEAD)
        max_head = MAX_HEAD;
    struct http_lines lines = {0};
    if (!begins_well((struct str){in.p, in.n < max_head ? in.n : max_head}))
        return http_refuse(why, 400, "this is not HTTP");
    int found = http_lines_find(in, max_head, MAX_BLANK_LINES, &lines, why);
    if (found <= 0)
        return found;
    struct http_framing framing;
    head->length = lines.length;
    if (parse_first_line(lines.first, head, why) ||
        http_fields_parse(lines.fields, true, head, &framing, why))
        return -1;
    return check(head, &framing, why);
}

/* Heads are looked at each time bytes have come, and a slow client makes that many times. So the first pass
 * only walks from LF to LF; nothing is parsed before the empty line is there. The passes are bounded by the
 * number of lines and by max_head, whatever a client sends.
 *
 * Lines end with CR LF and nothing else: what is a line to one parser and not to another is how requests are
 * smuggled. The same goes for everything that says where a message ends: one plain Content-Length or one
 * "chunked", never both, never twice. */
#include "http_lines.h"

#include <string.h>

/* Beside the target, a start line holds a method and a version. */
enum { MAX_FIRST_LINE = MAX_TARGET + 64 };

int http_refuse(struct http_refusal *why, int status, const char *reason)
{
    *why = (struct http_refusal){status, reason};
    return -1;
}

/* The bytes of `in` ran out at a line that begins at `from`. */
static int unfinished(struct str in, size_t max_head, size_t from, bool first, struct http_refusal *why)
{
    if (first && in.n - from > MAX_FIRST_LINE)
        return http_refuse(why, 414, "the request line is too long");
    if (in.n < max_head)
        return 0;
    if (first)
        return http_refuse(why, 414, "the request line is too long");
    return http_refuse(why, 431, "the header is too large");
}

int http_lines_find(struct str in, size_t max_head, unsigned max_blank, struct http_lines *out,
                    struct http_refusal *why)
{
    if (in.n > max_head)
        in.n = max_head;
    unsigned blank = 0, lines = 0;
    size_t fields = 0;
    for (size_t from = 0;;) {
        const char *lf = from < in.n ? memchr(in.p + from, '\n', in.n - from) : NULL;
        if (!lf)
            return unfinished(in, max_head, from, lines == 0, why);
        size_t end = (size_t)(lf - in.p); /* of the line with its CR */
        if (lines == 0 && end - from > MAX_FIRST_LINE)
            return http_refuse(why, 414, "the request line is too long");
        if (end == from || in.p[end - 1] != '\r')
            return http_refuse(why, 400, "a line does not end with CR LF");
        struct str line = {in.p + from, end - 1 - from};
        from = end + 1;
        if (line.n > 0 && lines++ == 0) {
            out->first = line;
            fields = from;
        } else if (line.n > 0 && lines > MAX_HEADERS + 1)
            return http_refuse(why, 431, "too many header lines");
        else if (line.n == 0 && lines > 0) {
            out->fields = (struct str){in.p + fields, (size_t)(line.p - in.p) - fields};
            out->length = from;
            return 1;
        } else if (line.n == 0 && ++blank > max_blank)
            return http_refuse(why, 400, "empty lines in front of the message");
    }
}

int http_version_parse(struct str s, int *minor, struct http_refusal *why)
{
    if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.' ||
        !http_all((struct str){s.p + 5, 1}, HTTP_CLASS_DIGIT) ||
        !http_all((struct str){s.p + 7, 1}, HTTP_CLASS_DIGIT))
        return http_refuse(why, 400, "the start line is malformed");
    if (s.p[5] != '1' || s.p[7] > '1')
        return http_refuse(why, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    *minor = s.p[7] - '0';
    return 0;
}

bool http_host_ok(struct str s)
{
    struct str port = STR_NULL;
    if (s.n > 0 && s.p[0] == '[') {
        const char *close = memchr(s.p, ']', s.n);
        if (!close)
            return false;
        struct str address = {s.p + 1, (size_t)(close - s.p) - 1};
        port = (struct str){close + 1, s.n - address.n - 2};
        for (size_t i = 0; i < address.n; i++)
            if (!(http_class[(unsigned char)address.p[i]] & HTTP_CLASS_HEX) && address.p[i] != ':' &&
                address.p[i] != '.')
                return false;
        if (address.n < 2)
            return false;
    } else {
        const char *colon = s.n > 0 ? memchr(s.p, ':', s.n) : NULL;
        struct str name = {s.p, colon ? (size_t)(colon - s.p) : s.n};
        port = (struct str){s.p + name.n, s.n - name.n};
        if (name.n == 0 || !http_all(name, HTTP_CLASS_HOST))
            return false;
    }
    if (port.n == 0)
        return true;
    uint64_t number;
    struct str digits = {port.p + 1, port.n - 1};
    return port.p[0] == ':' && (digits.n == 0 || (str_u64(digits, &number) == 0 && number <= 65535));
}

static int on_length(struct str value, struct http_framing *f, struct http_refusal *why)
{
    if (f->has_length)
        return http_refuse(why, 400, "Content-Length is repeated");
    /* half the range is kept free, so that sums with it can't wrap */
    if (str_u64(value, &f->length) || f->length > INT64_MAX)
        return http_refuse(why, 400, "Content-Length is malformed");
    f->has_length = true;
    return 0;
}

static int on_transfer_encoding(struct str value, int minor, struct http_framing *f, struct http_refusal *why)
{
    if (minor == 0)
        return http_refuse(why, 400, "Transfer-Encoding in HTTP/1.0");
    if (f->chunked || !str_ieq(value, STR("chunked")))
        return http_refuse(why, 400, "Transfer-Encoding is not exactly \"chunked\"");
    f->chunked = true;
    return 0;
}

static int on_host(struct str value, struct http_framing *f, struct http_refusal *why)
{
    if (f->has_host)
        return http_refuse(why, 400, "Host is repeated");
    if (!http_host_ok(value))
        return http_refuse(why, 400, "Host is empty or malformed");
    f->has_host = true;
    return 0;
}

static int on_expect(struct str value, struct http_framing *f, struct http_refusal *why)
{
    if (!str_ieq(value, STR("100-continue")))
        return http_refuse(why, 417, "only \"100-continue\" can be expected");
    f->expect_continue = true;
    return 0;
}

static void on_connection(struct str value, struct http_framing *f)
{
    struct str option;
    while (str_split(&value, ',', &option)) {
        option = str_trim(option);
        f->close |= str_ieq(option, STR("close"));
        f->keep_alive |= str_ieq(option, STR("keep-alive"));
    }
}

/* The lengths of the names tell most of them apart before any is compared. */
static int interpret(const struct http_header *h, bool request, int minor, struct http_framing *f,
                     struct http_refusal *why)
{
    switch (h->name.n) {
    case 4:
        return request && str_ieq(h->name, STR("host")) ? on_host(h->value, f, why) : 0;
    case 6:
        return request && str_ieq(h->name, STR("expect")) ? on_expect(h->value, f, why) : 0;
    case 10:
        if (str_ieq(h->name, STR("connection")))
            on_connection(h->value, f);
        return 0;
    case 14:
        return str_ieq(h->name, STR("content-length")) ? on_length(h->value, f, why) : 0;
    case 17:
        return str_ieq(h->name, STR("transfer-encoding")) ? on_transfer_encoding(h->value, minor, f, why) : 0;
    default:
        return 0;
    }
}

static int field_parse(struct str line, struct http_header *out, struct http_refusal *why)
{
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return http_refuse(why, 400, "a header line is folded");
    const char *colon = memchr(line.p, ':', line.n);
    if (!colon)
        return http_refuse(why, 400, "a header line has no colon");
    out->name = (struct str){line.p, (size_t)(colon - line.p)};
    out->value = str_trim((struct str){colon + 1, line.n - out->name.n - 1});
    if (!http_token_ok(out->name))
        return http_refuse(why, 400, "a header's name is malformed");
    if (!http_value_ok(out->value))
        return http_refuse(why, 400, "a header's value holds control bytes");
    return 0;
}

int http_fields_parse(struct str fields, bool request, struct http_head *head, struct http_framing *framing,
                      struct http_refusal *why)
{
    *framing = (struct http_framing){0};
    head->n = 0;
    struct str line;
    while (str_split(&fields, '\n', &line)) {
        line.n--; /* its CR; http_lines_find has seen to it that it is there, and that no line is empty */
        struct http_header *h = &head->headers[head->n];
        if (field_parse(line, h, why) || interpret(h, request, head->minor, framing, why))
            return -1;
        head->n++;
    }
    if (framing->chunked && framing->has_length)
        return http_refuse(why, 400, "both Content-Length and Transfer-Encoding");
    return 0;
}

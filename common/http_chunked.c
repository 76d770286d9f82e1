/* The chunked coding (RFC 9112 7.1), byte by byte where it frames and by runs where it is data. Strict: a
 * size is 1 to 16 hexadecimal digits followed by CR LF or by an extension, and every line ends with CR LF.
 * Extensions and trailers are checked, bounded and thrown away. */
#include "http.h"
#include "http_lines.h"

enum state {
    SIZE,          /* at or within the digits */
    EXTENSION,     /* behind the ; */
    SIZE_LF,       /* behind the CR of the size line */
    DATA,          /* left bytes to come */
    DATA_CR,       /* behind the data */
    DATA_LF,       /* … */
    TRAILER_START, /* at the start of a line behind the last chunk */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF, /* behind the CR of the empty line that ends it all */
};

enum { MAX_DIGITS = 16 };

static int hex_value(unsigned char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static int on_size(struct http_chunked *c, unsigned char b)
{
    if (http_class[b] & HTTP_CLASS_HEX) {
        if (c->digits == MAX_DIGITS)
            return -1;
        c->digits++;
        c->left = c->left << 4 | (unsigned)hex_value(b);
        return 0;
    }
    if (c->digits == 0 || c->left > INT64_MAX)
        return -1;
    if (b != ';' && b != '\r')
        return -1;
    c->state = b == ';' ? EXTENSION : SIZE_LF;
    return 0;
}

static int on_size_lf(struct http_chunked *c, unsigned char b)
{
    if (b != '\n')
        return -1;
    c->state = c->left > 0 ? DATA : TRAILER_START;
    c->digits = 0;
    return 0;
}

/* Text up to a CR, which leads to `next`. */
static int on_text(struct http_chunked *c, unsigned char b, enum state next)
{
    if (b == '\r')
        c->state = (uint8_t)next;
    else if (!(http_class[b] & HTTP_CLASS_VALUE))
        return -1;
    return 0;
}

static int on_trailer_start(struct http_chunked *c, unsigned char b)
{
    if (b == '\r')
        c->state = LAST_LF;
    else if (http_class[b] & HTTP_CLASS_TOKEN)
        c->state = TRAILER_NAME;
    else
        return -1;
    return 0;
}

static int on_trailer_name(struct http_chunked *c, unsigned char b)
{
    if (b == ':')
        c->state = TRAILER_VALUE;
    else if (!(http_class[b] & HTTP_CLASS_TOKEN))
        return -1;
    return 0;
}

static int expect(struct http_chunked *c, unsigned char b, unsigned char wanted, enum state next)
{
    c->state = (uint8_t)next;
    return b == wanted ? 0 : -1;
}

static int on_byte(struct http_chunked *c, unsigned char b)
{
    switch ((enum state)c->state) {
    case SIZE:
        return on_size(c, b);
    case EXTENSION:
        return on_text(c, b, SIZE_LF);
    case SIZE_LF:
        return on_size_lf(c, b);
    case DATA_CR:
        return expect(c, b, '\r', DATA_LF);
    case DATA_LF:
        return expect(c, b, '\n', SIZE);
    case TRAILER_START:
        return on_trailer_start(c, b);
    case TRAILER_NAME:
        return on_trailer_name(c, b);
    case TRAILER_VALUE:
        return on_text(c, b, TRAILER_LF);
    case TRAILER_LF:
        return expect(c, b, '\n', TRAILER_START);
    case LAST_LF:
        c->done = b == '\n';
        return c->done ? 0 : -1;
    case DATA:
        break;
    }
    return -1;
}

static bool counts_as_overhead(uint8_t state)
{
    return state == EXTENSION || state >= TRAILER_START;
}

ssize_t http_chunked_read(struct http_chunked *c, struct str in, struct str *data)
{
    size_t at = 0;
    *data = STR_NULL;
    while (at < in.n && !c->done) {
        if (c->state == DATA) {
            size_t run = in.n - at < c->left ? in.n - at : (size_t)c->left;
            *data = (struct str){in.p + at, run};
            c->left -= run;
            if (c->left == 0)
                c->state = DATA_CR;
            return (ssize_t)(at + run);
        }
        if (counts_as_overhead(c->state) && ++c->overhead > MAX_CHUNK_OVERHEAD)
            return -1;
        if (on_byte(c, (unsigned char)in.p[at++]))
            return -1;
    }
    return (ssize_t)at;
}

/* A message is prelude (12 bytes), headers, payload, checksum (4), all numbers big-endian:
 *
 *   total length 4 | length of headers 4 | CRC-32 of these 8 | headers … | payload … | CRC-32 of all before
 *
 * The prelude is checked as soon as it is here, so that a wrong length is never waited for, and the buffer
 * grows with the bytes that come, not with the length that is announced. A header is: length of its name 1 |
 * name | type of its value 1 | value. Of the ten types only strings (7) matter to us; the others are walked
 * over, because all of a message has to be well-formed. */
#include "eventstream.h"
#include "limits.h"

#include <string.h>

enum { PRELUDE = 12, CHECKSUM = 4, MAX_FED = 2 * MAX_EVENTSTREAM_MESSAGE };

/* ---- CRC-32 (ISO-HDLC, zlib's), eight bytes a step */

static uint32_t crc_table[8][256];

static void crc_prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? UINT32_C(0xedb88320) ^ (c >> 1) : c >> 1;
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            crc_table[t][i] = (crc_table[t - 1][i] >> 8) ^ crc_table[0][crc_table[t - 1][i] & 0xff];
}

static uint32_t little_endian(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Goes on from `crc`, which is 0 at first. */
static uint32_t crc32_of(uint32_t crc, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = crc ^ little_endian(p), b = little_endian(p + 4);
        crc = crc_table[7][a & 0xff] ^ crc_table[6][a >> 8 & 0xff] ^ crc_table[5][a >> 16 & 0xff] ^
              crc_table[4][a >> 24] ^ crc_table[3][b & 0xff] ^ crc_table[2][b >> 8 & 0xff] ^
              crc_table[1][b >> 16 & 0xff] ^ crc_table[0][b >> 24];
    }
    while (n-- > 0)
        crc = crc_table[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
    return ~crc;
}

static void crc_make_ready(void)
{
    if (crc_table[0][1] == 0)
        crc_prepare();
}

/* ---- the reader */

void eventstream_init(struct eventstream_reader *r)
{
    *r = (struct eventstream_reader){0};
    buf_init(&r->in, MAX_FED);
    crc_make_ready();
}

void eventstream_free(struct eventstream_reader *r)
{
    buf_free(&r->in);
    eventstream_init(r);
}

static int broken(struct eventstream_reader *r, const char *why)
{
    r->broken = why;
    return -1;
}

int eventstream_feed(struct eventstream_reader *r, struct str bytes)
{
    if (r->broken)
        return -1;
    if (r->seen > 0) {
        buf_consume(&r->in, r->seen);
        r->seen = 0;
    }
    return buf_add(&r->in, bytes) == 0 ? 0 : broken(r, "more bytes at once than it takes");
}

size_t eventstream_pending(const struct eventstream_reader *r)
{
    return r->in.n - r->seen;
}

static uint32_t big_endian(const char *bytes)
{
    const unsigned char *p = (const unsigned char *)bytes;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Cuts n bytes off the front of *rest. False: there are not so many. */
static bool cut(struct str *rest, size_t n, struct str *front)
{
    if (n > rest->n)
        return false;
    *front = (struct str){rest->p, n};
    *rest = (struct str){rest->p + n, rest->n - n};
    return true;
}

/* The value of that type; empty when it is another than a string. */
static bool cut_value(struct str *rest, unsigned char type, struct str *value)
{
    static const unsigned char sizes[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
    enum { BYTES = 6, STRING = 7 };
    if (type >= sizeof(sizes))
        return false;
    size_t n = sizes[type];
    if (type == BYTES || type == STRING) {
        struct str length;
        if (!cut(rest, 2, &length))
            return false;
        n = (size_t)((unsigned char)length.p[0] << 8 | (unsigned char)length.p[1]);
    }
    if (!cut(rest, n, value))
        return false;
    if (type != STRING)
        *value = STR_NULL;
    return true;
}

struct names { /* what a message may be called; which counts depends on its type, which may come later */
    struct str event, exception, error;
};

static void take_header(struct eventstream_message *m, struct names *names, struct str name, struct str value)
{
    const struct {
        struct str name;
        struct str *value;
    } known[] = {
        {STR(":message-type"), &m->type},
        {STR(":event-type"), &names->event},
        {STR(":exception-type"), &names->exception},
        {STR(":error-code"), &names->error},
        {STR(":error-message"), &m->error_message},
        {STR(":content-type"), &m->content_type},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (str_eq(name, known[i].name))
            *known[i].value = value;
}

static bool read_headers(struct eventstream_message *m, struct str rest)
{
    struct names names = {0};
    struct str one, name, value;
    while (rest.n > 0) {
        bool whole = cut(&rest, 1, &one) && cut(&rest, (unsigned char)one.p[0], &name) && name.n > 0 &&
                     cut(&rest, 1, &one) && cut_value(&rest, (unsigned char)one.p[0], &value);
        if (!whole)
            return false;
        take_header(m, &names, name, value);
    }
    bool error = str_eq(m->type, STR("error"));
    m->exception = error || str_eq(m->type, STR("exception"));
    m->name = error ? names.error : m->exception ? names.exception : names.event;
    return true;
}

int eventstream_next(struct eventstream_reader *r, struct eventstream_message *m)
{
    const char *p = r->in.p + r->seen;
    size_t n = eventstream_pending(r);
    *m = (struct eventstream_message){0};
    if (r->broken)
        return -1;
    if (n < PRELUDE)
        return 0;
    uint32_t total = big_endian(p), headers = big_endian(p + 4), crc = crc32_of(0, p, 8);
    if (crc != big_endian(p + 8))
        return broken(r, "the checksum of a message's lengths is wrong");
    if (total < PRELUDE + CHECKSUM || headers > total - PRELUDE - CHECKSUM)
        return broken(r, "a message's lengths don't fit together");
    if (total > MAX_EVENTSTREAM_MESSAGE)
        return broken(r, "a message is too large");
    if (n < total)
        return 0;
    if (crc32_of(crc, p + 8, total - 8 - CHECKSUM) != big_endian(p + total - CHECKSUM))
        return broken(r, "the checksum of a message is wrong");
    if (!read_headers(m, (struct str){p + PRELUDE, headers}))
        return broken(r, "a message's headers are malformed");
    m->payload = (struct str){p + PRELUDE + headers, total - PRELUDE - headers - CHECKSUM};
    m->raw = (struct str){p, total};
    r->seen += total;
    return 1;
}

/* ---- the writer */

static void put_be32(struct buf *b, uint32_t v)
{
    const char bytes[] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    buf_add(b, (struct str){bytes, sizeof(bytes)});
}

static void put_header(struct buf *b, struct str name, struct str value)
{
    const char length[] = {(char)(value.n >> 8), (char)value.n};
    buf_add_byte(b, (char)name.n);
    buf_add(b, name);
    buf_add_byte(b, 7); /* a string */
    buf_add(b, (struct str){length, sizeof(length)});
    buf_add(b, value);
}

int eventstream_put_exception(struct buf *b, struct str name, struct str payload)
{
    char room[512];
    struct buf headers = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    const size_t at = b->n;
    crc_make_ready();
    put_header(&headers, STR(":exception-type"), name);
    put_header(&headers, STR(":content-type"), STR("application/json"));
    put_header(&headers, STR(":message-type"), STR("exception"));
    put_be32(b, (uint32_t)(PRELUDE + headers.n + payload.n + CHECKSUM));
    put_be32(b, (uint32_t)headers.n);
    if (headers.full || b->full)
        return -1;
    put_be32(b, crc32_of(0, b->p + at, 8));
    buf_add(b, buf_str(&headers));
    buf_add(b, payload);
    if (b->full)
        return -1;
    put_be32(b, crc32_of(0, b->p + at, b->n - at));
    return b->full ? -1 : 0;
}

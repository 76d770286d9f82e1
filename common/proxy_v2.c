/* Runs in tls (builds), in the acceptor and in workers (parse). A header comes either from our own tls
 * process or from a balancer that the configuration lists, and is parsed strictly all the same: it decides
 * who a client is taken for. */
#include "proxy_v2.h"
#include "utf8.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* The protocol's own numbers. */
enum {
    PREFIX = 16, /* signature, version and command, family, length */
    COMMAND_LOCAL = 0x20,
    COMMAND_PROXY = 0x21,
    FAMILY_UNSPEC = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    FAMILY_UNIX = 0x31,
    UNIX_PATH = 108,
    TLV_CRC32C = 0x03,
    TLV_SSL = 0x20,
    TLV_SSL_CN = 0x22,
    CLIENT_SSL = 0x01,
    CLIENT_CERT_CONN = 0x02, /* a certificate on this connection */
    CLIENT_CERT_SESS = 0x04, /* … on this session */
    SSL_PREFIX = 5,          /* client byte, verify word */
};

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static size_t address_size(uint8_t family)
{
    switch (family) {
    case FAMILY_TCP4:
        return 12;
    case FAMILY_TCP6:
        return 36;
    case FAMILY_UNIX:
        return 2 * UNIX_PATH;
    default:
        return 0;
    }
}

static uint8_t family_of(const struct sockaddr_storage *src, const struct sockaddr_storage *dst)
{
    if (src->ss_family != dst->ss_family)
        return FAMILY_UNSPEC;
    switch (src->ss_family) {
    case AF_INET:
        return FAMILY_TCP4;
    case AF_INET6:
        return FAMILY_TCP6;
    case AF_UNIX:
        return FAMILY_UNIX;
    default:
        return FAMILY_UNSPEC;
    }
}

/* side 0 is the source: addresses come first, then the ports. */
static void put_address(char *at, uint8_t family, int side, const struct sockaddr_storage *a)
{
    if (family == FAMILY_TCP4) {
        const struct sockaddr_in *in = (const void *)a;
        memcpy(at + 4 * side, &in->sin_addr, 4);
        memcpy(at + 8 + 2 * side, &in->sin_port, 2);
    } else if (family == FAMILY_TCP6) {
        const struct sockaddr_in6 *in = (const void *)a;
        memcpy(at + 16 * side, &in->sin6_addr, 16);
        memcpy(at + 32 + 2 * side, &in->sin6_port, 2);
    } else if (family == FAMILY_UNIX) {
        const struct sockaddr_un *un = (const void *)a;
        memcpy(at + UNIX_PATH * side, un->sun_path, UNIX_PATH);
    }
}

static void get_address(const char *at, uint8_t family, int side, struct sockaddr_storage *a)
{
    if (family == FAMILY_TCP4) {
        struct sockaddr_in *in = (void *)a;
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, at + 4 * side, 4);
        memcpy(&in->sin_port, at + 8 + 2 * side, 2);
    } else if (family == FAMILY_TCP6) {
        struct sockaddr_in6 *in = (void *)a;
        in->sin6_family = AF_INET6;
        memcpy(&in->sin6_addr, at + 16 * side, 16);
        memcpy(&in->sin6_port, at + 32 + 2 * side, 2);
    } else if (family == FAMILY_UNIX) {
        struct sockaddr_un *un = (void *)a;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, at + UNIX_PATH * side, UNIX_PATH);
    }
}

static size_t put_record_head(char *at, uint8_t type, size_t n)
{
    at[0] = (char)type;
    at[1] = (char)(n >> 8);
    at[2] = (char)n;
    return 3;
}

static size_t get_u16(const char *p)
{
    return (size_t)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static size_t put_ssl(char *at, const char *subject, size_t n)
{
    size_t w = put_record_head(at, TLV_SSL, SSL_PREFIX + (n > 0 ? 3 + n : 0));
    uint32_t verify = htonl(n > 0 ? 0 : 1); /* 0: there is a certificate and it is good */
    at[w] = (char)(CLIENT_SSL | (n > 0 ? CLIENT_CERT_CONN | CLIENT_CERT_SESS : 0));
    memcpy(at + w + 1, &verify, 4);
    w += SSL_PREFIX;
    if (n > 0) {
        w += put_record_head(at + w, TLV_SSL_CN, n);
        memcpy(at + w, subject, n);
        w += n;
    }
    return w;
}

ssize_t proxy_v2_build(char *out, size_t size, const struct sockaddr_storage *src,
                       const struct sockaddr_storage *dst, const char *tls_subject)
{
    uint8_t family = family_of(src, dst);
    size_t subject = tls_subject ? strlen(tls_subject) : 0;
    size_t ssl = tls_subject ? 3 + SSL_PREFIX + (subject > 0 ? 3 + subject : 0) : 0;
    size_t length = address_size(family) + ssl;
    if (PREFIX + length > size || subject >= sizeof((struct proxy_v2 *)0)->tls_subject)
        return -1;
    memcpy(out, signature, sizeof(signature));
    out[12] = COMMAND_PROXY;
    out[13] = (char)family;
    out[14] = (char)(length >> 8);
    out[15] = (char)length;
    put_address(out + PREFIX, family, 0, src);
    put_address(out + PREFIX, family, 1, dst);
    if (tls_subject)
        put_ssl(out + PREFIX + address_size(family), tls_subject, subject);
    return (ssize_t)(PREFIX + length);
}

/* Cuts the next type-length-value record off *rest: 1, 0 at the end, -1 when it does not fit. */
static int next_record(struct str *rest, uint8_t *type, struct str *value)
{
    if (rest->n == 0)
        return 0;
    if (rest->n < 3 || rest->n - 3 < get_u16(rest->p + 1))
        return -1;
    *type = (uint8_t)rest->p[0];
    *value = (struct str){rest->p + 3, get_u16(rest->p + 1)};
    *rest = (struct str){value->p + value->n, rest->n - 3 - value->n};
    return 1;
}

static bool subject_ok(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = utf8_sequence(s.p + i, s.n - i);
        if (n == 0 || (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
        i += n;
    }
    return true;
}

static int parse_ssl(struct str record, struct proxy_v2 *out)
{
    if (out->has_tls || record.n < SSL_PREFIX)
        return -1;
    uint8_t client = (uint8_t)record.p[0];
    bool good = record.p[1] == 0 && record.p[2] == 0 && record.p[3] == 0 && record.p[4] == 0;
    out->has_tls = client & CLIENT_SSL;
    out->tls_verified = out->has_tls && good && (client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS));
    struct str rest = {record.p + SSL_PREFIX, record.n - SSL_PREFIX}, value;
    uint8_t type;
    int one;
    while ((one = next_record(&rest, &type, &value)) == 1) {
        if (type != TLV_SSL_CN || !out->tls_verified)
            continue;
        if (out->tls_subject[0] || !subject_ok(value) ||
            str_copy(out->tls_subject, sizeof(out->tls_subject), value))
            return -1;
    }
    return one;
}

/* CRC-32C (Castagnoli) over the whole header with the checksum's own four bytes taken as zero. */
static bool checksum_ok(struct str header, struct str field)
{
    if (field.n != 4)
        return false;
    uint32_t crc = UINT32_MAX, wanted;
    for (size_t i = 0; i < header.n; i++) {
        const char *p = header.p + i;
        crc ^= p >= field.p && p < field.p + 4 ? 0 : (unsigned char)*p;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    memcpy(&wanted, field.p, 4);
    return htonl(~crc) == wanted;
}

static int parse_records(struct str header, struct str rest, struct proxy_v2 *out)
{
    struct str value;
    uint8_t type;
    int one;
    while ((one = next_record(&rest, &type, &value)) == 1) {
        if (type == TLV_SSL && parse_ssl(value, out))
            return -1;
        if (type == TLV_CRC32C && !checksum_ok(header, value))
            return -1;
    }
    return one;
}

/* The first bytes of a header, as far as they have come. */
static bool begins_well(struct str in)
{
    size_t n = in.n < sizeof(signature) ? in.n : sizeof(signature);
    if (n > 0 && memcmp(in.p, signature, n) != 0)
        return false;
    return in.n <= 12 || in.p[12] == COMMAND_LOCAL || in.p[12] == COMMAND_PROXY;
}

int proxy_v2_parse(struct str in, struct proxy_v2 *out)
{
    *out = (struct proxy_v2){0};
    if (!begins_well(in))
        return -1;
    if (in.n < PREFIX)
        return 0;
    uint8_t family = (uint8_t)in.p[13];
    size_t addresses = address_size(family), length = get_u16(in.p + 14);
    out->local = in.p[12] == COMMAND_LOCAL;
    if (PREFIX + length > MAX_PROXY_V2)
        return -1;
    if (!out->local && ((addresses == 0 && family != FAMILY_UNSPEC) || length < addresses))
        return -1;
    if (in.n < PREFIX + length)
        return 0;
    out->length = PREFIX + length;
    if (out->local)
        return 1; /* the rest of it says nothing about a client */
    get_address(in.p + PREFIX, family, 0, &out->src);
    get_address(in.p + PREFIX, family, 1, &out->dst);
    struct str header = {in.p, out->length};
    struct str rest = {in.p + PREFIX + addresses, length - addresses};
    return parse_records(header, rest, out) ? -1 : 1;
}

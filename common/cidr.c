/* Networks: "10.0.0.0/8", "::1", "fd00::/8". An IPv4 client that came through an IPv6 socket (::ffff:a.b.c.d)
 * is matched as the IPv4 address it is. */
#include "config.h"

#include <arpa/inet.h>

int cidr_parse(struct str s, struct cidr *out)
{
    struct str address;
    bool has_bits = s.n > 0 && memchr(s.p, '/', s.n);
    if (!str_split(&s, '/', &address))
        return -1;
    char text[INET6_ADDRSTRLEN];
    if (str_copy(text, sizeof(text), address) != 0)
        return -1;
    struct cidr c = {.family = memchr(address.p, ':', address.n) ? 6 : 4};
    if (inet_pton(c.family == 6 ? AF_INET6 : AF_INET, text, c.addr) != 1)
        return -1;
    uint64_t bits = c.family == 6 ? 128 : 32;
    uint64_t given = bits;
    if (has_bits && (str_u64(s, &given) != 0 || given > bits))
        return -1;
    c.bits = (uint8_t)given;
    *out = c;
    return 0;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & (0xff << (8 - rest)) & 0xff) == 0;
}

bool cidr_match(const struct cidr *c, const struct sockaddr_storage *peer)
{
    uint8_t addr[16];
    uint8_t family;
    if (peer->ss_family == AF_INET) {
        memcpy(addr, &((const struct sockaddr_in *)peer)->sin_addr, 4);
        family = 4;
    } else if (peer->ss_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)peer)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(a);
        memcpy(addr, a->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
        family = mapped ? 4 : 6;
    } else {
        return false; /* a unix socket's peer has no address */
    }
    return family == c->family && bits_equal(c->addr, addr, c->bits);
}

bool cidr_match_any(const struct cidr list[], size_t n, const struct sockaddr_storage *peer)
{
    for (size_t i = 0; i < n; i++)
        if (cidr_match(&list[i], peer))
            return true;
    return false;
}

/* The PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt): who is really at the other end of a
 * connection. Our tls process puts such a header in front of the plaintext it hands to the acceptor; a listed
 * balancer puts one in front of what it forwards. */
#ifndef COMMON_PROXY_V2_H
#define COMMON_PROXY_V2_H

#include "str.h"

#include <sys/socket.h>
#include <sys/types.h>

enum { MAX_PROXY_V2 = 1024 /* bytes of a whole header; a longer one is refused by the parser */ };

struct proxy_v2 {
    size_t length;     /* bytes of the header: what follows it is the client's */
    bool local;        /* the sender's own connection (a health check): src and dst are not set */
    bool has_tls;      /* an SSL record says that the client's connection was TLS */
    bool tls_verified; /* … and that its certificate was checked and found good */
    struct sockaddr_storage src, dst; /* ss_family AF_UNSPEC when the sender does not tell */
    char tls_subject[128];            /* common name of the certificate; empty when there is none */
};

/* Writes a header for an AF_INET, AF_INET6 or AF_UNIX pair of addresses (any other pair: "not told") into
 * out. tls_subject NULL: the connection is not TLS; "": TLS without a client certificate; else the common
 * name of its verified certificate. Returns its length, -1 when size or the subject's length (127) do not
 * allow it. */
ssize_t proxy_v2_build(char *out, size_t size, const struct sockaddr_storage *src,
                       const struct sockaddr_storage *dst, const char *tls_subject);

/* 1: *out is filled. 0: more bytes are needed. -1: this is no valid header (told as early as the bytes show
 * it). A common name that is not verified, does not fit, or holds control bytes is not passed on: unverified
 * → left empty, the others → -1. */
int proxy_v2_parse(struct str in, struct proxy_v2 *out);

#endif

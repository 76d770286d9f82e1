/* The bytes of one connection, plain or TLS, never waiting. */
#ifndef ADMIN_TRANSPORT_H
#define ADMIN_TRANSPORT_H

#include "str.h"

#include <openssl/ssl.h>
#include <sys/types.h>

struct transport {
    int fd;
    SSL *ssl;         /* NULL: plain */
    uint32_t waiting; /* EPOLLIN or EPOLLOUT: what the last call that returned TRANSPORT_WAIT waits for */
};

enum { TRANSPORT_WAIT = -1, TRANSPORT_FAILED = -2 };

/* Takes the descriptor, which must not block; closes it and returns -1 when TLS can't begin. */
int transport_init(struct transport *t, int take_fd, SSL_CTX *tls);
void transport_fini(struct transport *t);
/* 0: done (at once when plain), TRANSPORT_WAIT, or TRANSPORT_FAILED. */
int transport_handshake(struct transport *t);
/* Bytes read, 0 at the peer's end, TRANSPORT_WAIT, or TRANSPORT_FAILED. */
ssize_t transport_read(struct transport *t, char *p, size_t n);
/* Bytes written (at least one), TRANSPORT_WAIT, or TRANSPORT_FAILED. */
ssize_t transport_write(struct transport *t, struct str s);
/* No more bytes will be sent. */
void transport_shutdown(struct transport *t);

#endif

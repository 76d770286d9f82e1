/* recv and send, or OpenSSL over them, with one set of results. */
#include "transport.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int transport_init(struct transport *t, int take_fd, SSL_CTX *tls)
{
    *t = (struct transport){.fd = take_fd, .waiting = EPOLLIN};
    if (!tls)
        return 0;
    t->ssl = SSL_new(tls);
    if (!t->ssl || SSL_set_fd(t->ssl, take_fd) != 1) {
        transport_fini(t);
        return -1;
    }
    SSL_set_accept_state(t->ssl);
    /* the answer's buffer may move between two attempts to write the same bytes */
    SSL_set_mode(t->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return 0;
}

void transport_fini(struct transport *t)
{
    SSL_free(t->ssl);
    t->ssl = NULL;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

/* What an unsuccessful OpenSSL call means; 0: the peer's orderly end. */
static int ssl_result(struct transport *t, int r)
{
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        t->waiting = EPOLLIN;
        return TRANSPORT_WAIT;
    case SSL_ERROR_WANT_WRITE:
        t->waiting = EPOLLOUT;
        return TRANSPORT_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return TRANSPORT_FAILED;
    }
}

int transport_handshake(struct transport *t)
{
    if (!t->ssl)
        return 0;
    ERR_clear_error();
    int r = SSL_accept(t->ssl);
    if (r == 1)
        return 0;
    r = ssl_result(t, r);
    return r == TRANSPORT_WAIT ? r : TRANSPORT_FAILED;
}

static int errno_result(struct transport *t, uint32_t waiting)
{
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return TRANSPORT_FAILED;
    t->waiting = waiting;
    return TRANSPORT_WAIT;
}

ssize_t transport_read(struct transport *t, char *p, size_t n)
{
    if (t->ssl) {
        ERR_clear_error();
        int r = SSL_read(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
        return r > 0 ? r : ssl_result(t, r);
    }
    ssize_t r;
    do
        r = recv(t->fd, p, n, 0);
    while (r < 0 && errno == EINTR);
    return r >= 0 ? r : errno_result(t, EPOLLIN);
}

ssize_t transport_write(struct transport *t, struct str s)
{
    if (t->ssl) {
        ERR_clear_error();
        int r = SSL_write(t->ssl, s.p, s.n > INT_MAX ? INT_MAX : (int)s.n);
        if (r > 0)
            return r;
        r = ssl_result(t, r);
        return r == TRANSPORT_WAIT ? r : TRANSPORT_FAILED;
    }
    ssize_t r;
    do
        r = send(t->fd, s.p, s.n, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r > 0 ? r : errno_result(t, EPOLLOUT);
}

void transport_shutdown(struct transport *t)
{
    if (t->ssl) {
        ERR_clear_error();
        SSL_shutdown(t->ssl);
    }
    shutdown(t->fd, SHUT_WR);
}

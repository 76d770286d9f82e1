/* A provider on a socket of this process: a thread that follows a script, step by step, over all connections
 * it is given. It notes what it was sent. Nothing in it sleeps: it waits for bytes, or for the test to let it
 * on. */
#ifndef TESTS_UNIT_FAKE_PROVIDER_H
#define TESTS_UNIT_FAKE_PROVIDER_H

#include "buf.h"
#include "http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

enum fake_kind {
    FAKE_END,
    FAKE_ACCEPT,     /* the next connection (the one before is closed) */
    FAKE_READ,       /* a whole request */
    FAKE_READ_SOME,  /* only the head of one */
    FAKE_READ_REST,  /* what that left */
    FAKE_SEND,       /* text */
    FAKE_SEND_SLOW,  /* text, each byte by itself */
    FAKE_SEND_MANY,  /* `text` n times */
    FAKE_SHUT,       /* says that no more will be sent */
    FAKE_CLOSE,      /* properly */
    FAKE_RESET,      /* by a reset */
    FAKE_UNTIL_GONE, /* waits until the other side closes */
    FAKE_TELL,       /* lets the test's fake_wait return */
    FAKE_HEAR,       /* waits for the test's fake_go */
};

struct fake_step {
    enum fake_kind kind;
    const char *text;
    unsigned n;
};

struct fake_provider {
    int listener, fd;
    uint16_t port;
    SSL_CTX *tls; /* NULL: plain */
    SSL *ssl;
    const struct fake_step *script;
    pthread_t thread;
    sem_t told, heard;
    unsigned accepted;
    bool peer_gone;  /* FAKE_UNTIL_GONE saw it */
    struct buf seen; /* all requests, one behind the other */
    size_t begun;    /* where in it the last one begins */
};

static inline ssize_t fake_recv(struct fake_provider *p, char *to, size_t n)
{
    if (p->ssl)
        return SSL_read(p->ssl, to, (int)n);
    return recv(p->fd, to, n, 0);
}

static inline void fake_send(struct fake_provider *p, const char *from, size_t n)
{
    while (n > 0) {
        ssize_t k = p->ssl ? SSL_write(p->ssl, from, (int)n) : send(p->fd, from, n, MSG_NOSIGNAL);
        if (k <= 0)
            return;
        from += k;
        n -= (size_t)k;
    }
}

static inline void fake_close(struct fake_provider *p, bool reset)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    if (p->fd < 0)
        return;
    if (reset)
        setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    if (p->ssl && !reset)
        SSL_shutdown(p->ssl);
    SSL_free(p->ssl);
    p->ssl = NULL;
    close(p->fd);
    p->fd = -1;
}

static inline void fake_accept(struct fake_provider *p)
{
    int on = 1;
    fake_close(p, false);
    p->fd = accept(p->listener, NULL, NULL);
    if (p->fd < 0)
        return;
    p->accepted++;
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (p->tls) {
        p->ssl = SSL_new(p->tls);
        SSL_set_fd(p->ssl, p->fd);
        SSL_accept(p->ssl); /* may fail: that is what some tests want */
    }
}

static inline void fake_read(struct fake_provider *p, bool body)
{
    struct http_head head;
    struct http_refusal why;
    for (;;) {
        struct str got = {p->seen.p + p->begun, p->seen.n - p->begun};
        int rc = got.n ? http_parse_request(got, MAX_HEAD, &head, &why) : 0;
        if (rc < 0 || (rc > 0 && (!body || got.n - head.length >= head.content_length)))
            return;
        if (buf_reserve(&p->seen, 65536) == 0)
            return;
        ssize_t n = fake_recv(p, p->seen.p + p->seen.n, 65536);
        if (n <= 0)
            return;
        p->seen.n += (size_t)n;
    }
}

static inline void fake_until_gone(struct fake_provider *p)
{
    char drop[4096];
    while (fake_recv(p, drop, sizeof(drop)) > 0)
        ;
    p->peer_gone = true;
}

static inline void fake_step(struct fake_provider *p, const struct fake_step *s)
{
    size_t n = s->text ? strlen(s->text) : 0;
    switch (s->kind) {
    case FAKE_ACCEPT:
        fake_accept(p);
        break;
    case FAKE_READ:
    case FAKE_READ_SOME:
        p->begun = p->seen.n;
        fake_read(p, s->kind == FAKE_READ);
        break;
    case FAKE_READ_REST:
        fake_read(p, true);
        break;
    case FAKE_SEND:
        fake_send(p, s->text, n);
        break;
    case FAKE_SEND_SLOW:
        for (size_t i = 0; i < n; i++)
            fake_send(p, s->text + i, 1);
        break;
    case FAKE_SEND_MANY:
        for (unsigned i = 0; i < s->n; i++)
            fake_send(p, s->text, n);
        break;
    case FAKE_SHUT:
        shutdown(p->fd, SHUT_WR);
        break;
    case FAKE_CLOSE:
    case FAKE_RESET:
        fake_close(p, s->kind == FAKE_RESET);
        break;
    case FAKE_UNTIL_GONE:
        fake_until_gone(p);
        break;
    case FAKE_TELL:
        sem_post(&p->told);
        break;
    case FAKE_HEAR:
        sem_wait(&p->heard);
        break;
    case FAKE_END:
        break;
    }
}

static inline void *fake_main(void *arg)
{
    struct fake_provider *p = arg;
    for (const struct fake_step *s = p->script; s->kind != FAKE_END; s++)
        fake_step(p, s);
    return NULL;
}

static inline void fake_start(struct fake_provider *p, const struct fake_step *script, SSL_CTX *tls)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    *p = (struct fake_provider){.script = script, .fd = -1, .tls = tls};
    sem_init(&p->told, 0, 0);
    sem_init(&p->heard, 0, 0);
    buf_init(&p->seen, 64 << 20);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&a, n) != 0 || listen(p->listener, 16) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&a, &n) != 0)
        abort();
    p->port = ntohs(a.sin_port);
    if (pthread_create(&p->thread, NULL, fake_main, p) != 0)
        abort();
}

static inline void fake_wait(struct fake_provider *p)
{
    sem_wait(&p->told);
}

static inline void fake_go(struct fake_provider *p)
{
    sem_post(&p->heard);
}

/* After this, what the thread noted may be read. */
static inline void fake_join(struct fake_provider *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
}

static inline void fake_free(struct fake_provider *p)
{
    fake_close(p, false);
    close(p->listener);
    sem_destroy(&p->told);
    sem_destroy(&p->heard);
    buf_free(&p->seen);
}

#endif

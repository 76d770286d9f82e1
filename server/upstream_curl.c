/* Sockets to providers. libcurl resolves, connects, does TLS and verifies (CURLOPT_CONNECT_ONLY), all without
 * blocking; the exchange is ours. Run by workers; upstream_preload by the master.
 *
 * - Connecting goes through the multi interface, whose sockets stand in one epoll descriptor, so that
 *   worker_wait can wait for them and for our client at once. CURLOPT_QUICK_EXIT leaves a name look-up that
 *   hangs to its thread instead of waiting for it.
 * - A plain connection is then used with send and recv directly: curl_easy_send costs more than the system
 *   call. A TLS one goes through curl_easy_send and curl_easy_recv, which is asked until CURLE_AGAIN, because
 *   decrypted bytes may wait in memory while the socket is silent.
 * - libcurl would parse the bundle of authorities for each fresh connection (32 ms CPU, 1.4 MB): the stores
 *   are built before the fork and shared. They are kept by file name, so that a refused configuration leaves
 *   everything as it was.
 * - The handle must stay in the multi while its connection is used (libcurl finds it there); one handle
 *   belongs to one provider for ever, so TLS sessions and connections never cross credentials. */
#include "upstream_transport.h"

#include "clock.h"
#include "mem.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- authorities */

struct ca_store {
    struct ca_store *next;
    char *file; /* NULL: the system's */
    X509_STORE *store;
    int64_t mtime_ns;
    off_t size;
};

static struct ca_store *ca_stores; /* filled before the fork, read after it */

static const char *system_bundle(void)
{
    static const char *const known[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                        "/etc/ssl/cert.pem"};
    const char *env = getenv("SSL_CERT_FILE");
    if (env && env[0])
        return env;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (access(known[i], R_OK) == 0)
            return known[i];
    return known[0];
}

static struct ca_store *ca_find(const char *file)
{
    for (struct ca_store *s = ca_stores; s; s = s->next)
        if (file ? s->file && strcmp(s->file, file) == 0 : !s->file)
            return s;
    return NULL;
}

static X509_STORE *ca_read(const char *path, struct error *err)
{
    X509_STORE *store = X509_STORE_new();
    if (!store || X509_STORE_load_file(store, path) != 1) {
        ERR_clear_error();
        X509_STORE_free(store);
        error_set(err, "certificate authorities in %s can't be read", path);
        return NULL;
    }
    /* as libcurl sets them: a pinned intermediate is enough, the shortest trusted chain wins */
    X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    return store;
}

/* Loads what is not there yet or has changed on disk. */
static struct ca_store *ca_load(const char *file, struct error *err)
{
    const char *path = file ? file : system_bundle();
    struct stat st;
    if (stat(path, &st) != 0) {
        error_errno(err, "certificate authorities in %s", path);
        return NULL;
    }
    int64_t mtime = (int64_t)st.st_mtim.tv_sec * NS_PER_SEC + st.st_mtim.tv_nsec;
    struct ca_store *s = ca_find(file);
    if (s && s->mtime_ns == mtime && s->size == st.st_size)
        return s;
    X509_STORE *store = ca_read(path, err);
    if (!store)
        return NULL;
    if (!s) {
        s = mem_alloc(sizeof(*s));
        s->file = file ? mem_strdup(str_of(file)) : NULL;
        s->next = ca_stores;
        ca_stores = s;
    }
    X509_STORE_free(s->store);
    s->store = store;
    s->mtime_ns = mtime;
    s->size = st.st_size;
    return s;
}

int upstream_preload(const struct config *c, struct error *err)
{
    static bool once;
    if (!once) {
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
            return error_set(err, "libcurl can't be set up");
        once = true;
    }
    for (size_t i = 0; i < c->n_providers; i++) {
        const struct conf_provider *p = &c->providers[i];
        if (p->base_url && str_starts(str_of(p->base_url), STR("https://")) && !ca_load(p->ca_file, err))
            return -1;
    }
    return 0;
}

/* ---- connecting */

struct curl_side {
    struct worker *worker;
    CURLM *multi;
    int epoll;
    int64_t timer_ns; /* when libcurl wants to be called; 0: it does not */
    bool done;        /* the connection being made is decided: */
    CURLcode result;
};

struct curl_transport {
    struct transport base;
    struct curl_side *side;
    CURL *easy;
    bool tls, in_multi;
    const char *ca_file;
    char error[CURL_ERROR_SIZE];
};

static struct curl_transport *self(struct transport *t)
{
    return (struct curl_transport *)(void *)((char *)t - offsetof(struct curl_transport, base));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    (void)easy;
    struct curl_side *s = arg;
    struct epoll_event ev = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd,
                  &ev); /* fails when fd is closed already: then it is gone too */
        return 0;
    }
    ev.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(s->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) != 0 && errno == EEXIST)
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &ev);
    curl_multi_assign(s->multi, fd, s);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct curl_side *s = arg;
    s->timer_ns = ms < 0 ? 0 : clock_mono_ns() + ms * NS_PER_MS;
    return 0;
}

struct curl_side *curl_side_new(struct worker *w)
{
    struct curl_side *s = mem_alloc(sizeof(*s));
    s->worker = w;
    s->epoll = -1;
    return s;
}

/* The multi handle and its epoll descriptor come with the first connection: a worker that only ever serves
 * the cache or the virtual provider has neither. */
static int side_open(struct curl_side *s, struct error *err)
{
    if (s->multi)
        return 0;
    if (s->epoll < 0)
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0)
        return error_errno(err, "epoll");
    s->multi = curl_multi_init();
    if (!s->multi)
        return error_set(err, "libcurl has no memory");
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return 0;
}

void curl_side_free(struct curl_side **s)
{
    if (!*s)
        return;
    if ((*s)->multi)
        curl_multi_cleanup((*s)->multi);
    if ((*s)->epoll >= 0)
        close((*s)->epoll);
    free(*s);
    *s = NULL;
}

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
    (void)easy;
    const char *ca_file = arg;
    struct ca_store *s = ca_find(ca_file);
    if (!s)
        s = ca_load(ca_file, NULL); /* not preloaded: only other hosts than a provider's own are spoken to by
                                       TLS, or a program that never forked */
    if (!s)
        return CURLE_SSL_CACERT_BADFILE;
    SSL_CTX_set1_cert_store(ctx, s->store);
    return CURLE_OK;
}

void upstream_trust(void *easy, const char *ca_file)
{
    CURL *e = easy;
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    /* no files of libcurl's own: on_ssl_ctx sets the shared store */
    curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, (void *)(uintptr_t)ca_file);
}

void upstream_confine(void *easy)
{
    CURL *e = easy;
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* a look-up that hangs is left to its thread */
}

static void set_options(struct curl_transport *c, const char *url)
{
    CURL *e = c->easy;
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    upstream_confine(e);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->error);
    if (c->tls)
        upstream_trust(e, c->ca_file);
}

/* Lets libcurl go on where its sockets or its timer want it to. */
static void drive(struct curl_side *s)
{
    int running;
    struct epoll_event ev[8];
    int n = epoll_wait(s->epoll, ev, 8, 0);
    for (int i = 0; i < n; i++) {
        int mask = (ev[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                   (ev[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (ev[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(s->multi, ev[i].data.fd, mask, &running);
    }
    if (n <= 0 || (s->timer_ns && s->timer_ns <= clock_mono_ns())) {
        s->timer_ns = 0;
        curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(s->multi, &left));)
        if (m->msg == CURLMSG_DONE) {
            s->done = true;
            s->result = m->data.result;
        }
}

static void curl_close(struct transport *t)
{
    struct curl_transport *c = self(t);
    if (c->in_multi)
        curl_multi_remove_handle(c->side->multi, c->easy); /* closes the connection */
    c->in_multi = false;
    t->fd = -1;
    t->eager = false;
}

static enum upstream_result connect_failed(struct curl_transport *c, CURLcode code, struct error *err)
{
    curl_close(&c->base);
    error_set(err, "connect: %s", c->error[0] ? c->error : curl_easy_strerror(code));
    return code == CURLE_OPERATION_TIMEDOUT ? UPSTREAM_CONNECT_TIMEOUT : UPSTREAM_CONNECT_FAILED;
}

/* Every other call on the socket says MSG_DONTWAIT. */
static void allow_naps(int fd)
{
    const struct timeval nap = {.tv_usec = TRANSPORT_NAP_NS / NS_PER_US};
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &nap, sizeof(nap));
}

static enum upstream_result curl_open(struct transport *t, const struct client *client, int64_t deadline_ns,
                                      struct error *err)
{
    struct curl_transport *c = self(t);
    struct curl_side *s = c->side;
    if (side_open(s, err) != 0)
        return UPSTREAM_CONNECT_FAILED;
    int64_t now = clock_mono_ns();
    c->error[0] = '\0';
    /* our deadline is the one that counts; libcurl's own would else be 300 s */
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)((deadline_ns - now) / NS_PER_MS + 1000));
    s->done = false;
    s->timer_ns = now;
    c->in_multi = curl_multi_add_handle(s->multi, c->easy) == CURLM_OK;
    if (!c->in_multi)
        return connect_failed(c, CURLE_FAILED_INIT, err);
    for (;;) {
        drive(s);
        if (s->done)
            break;
        now = clock_mono_ns();
        if (now >= deadline_ns)
            return connect_failed(c, CURLE_OPERATION_TIMEDOUT, err);
        int64_t until = s->timer_ns && s->timer_ns < deadline_ns ? s->timer_ns : deadline_ns;
        if (until > now && (worker_wait(s->worker, client, s->epoll, POLLIN, until) & WORKER_CLIENT_GONE)) {
            curl_close(t);
            return UPSTREAM_CLIENT_GONE;
        }
    }
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (s->result != CURLE_OK || curl_easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
        fd == CURL_SOCKET_BAD)
        return connect_failed(c, s->result, err);
    t->fd = fd;
    if (!c->tls)
        allow_naps(fd);
    return UPSTREAM_OK;
}

/* ---- bytes */

static ssize_t plain_send(struct transport *t, struct str head, struct str body)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)head.p, head.n}, {(void *)(uintptr_t)body.p, body.n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t n = body.n == 0 ? send(t->fd, head.p, head.n, flags) : sendmsg(t->fd, &m, flags);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? TRANSPORT_AGAIN : TRANSPORT_BROKEN;
}

static ssize_t receive(struct transport *t, char *p, size_t n, int flags)
{
    ssize_t got = recv(t->fd, p, n, flags);
    t->eager = got == (ssize_t)n; /* a full buffer: there may be more */
    if (got >= 0)
        return got;
    return errno == EAGAIN || errno == EINTR ? TRANSPORT_AGAIN : TRANSPORT_BROKEN;
}

static ssize_t plain_recv(struct transport *t, char *p, size_t n)
{
    return receive(t, p, n, MSG_DONTWAIT);
}

static ssize_t plain_recv_nap(struct transport *t, char *p, size_t n)
{
    return receive(t, p, n, 0);
}

static ssize_t tls_send(struct transport *t, struct str head, struct str body)
{
    struct str s = head.n > 0 ? head : body;
    size_t n = 0;
    CURLcode rc = curl_easy_send(self(t)->easy, s.p, s.n, &n);
    if (rc == CURLE_OK && n > 0)
        return (ssize_t)n;
    return rc == CURLE_AGAIN || rc == CURLE_OK ? TRANSPORT_AGAIN : TRANSPORT_BROKEN;
}

static ssize_t tls_recv(struct transport *t, char *p, size_t n)
{
    size_t got = 0;
    CURLcode rc = curl_easy_recv(self(t)->easy, p, n, &got);
    t->eager = rc == CURLE_OK && got > 0;
    if (rc == CURLE_OK)
        return (ssize_t)got;
    return rc == CURLE_AGAIN ? TRANSPORT_AGAIN : TRANSPORT_BROKEN;
}

static void curl_free_transport(struct transport *t)
{
    struct curl_transport *c = self(t);
    curl_close(t);
    curl_easy_cleanup(c->easy);
    free(c);
}

static const struct transport_ops plain_ops = {curl_open,      plain_send, plain_recv,
                                               plain_recv_nap, curl_close, curl_free_transport};
static const struct transport_ops tls_ops = {curl_open, tls_send,   tls_recv,
                                             NULL,      curl_close, curl_free_transport};

struct transport *curl_transport_new(struct curl_side *s, const struct conf_provider *p,
                                     const struct upstream_url *url)
{
    struct curl_transport *c = mem_alloc(sizeof(*c));
    c->base = (struct transport){.ops = url->tls ? &tls_ops : &plain_ops, .fd = -1};
    c->side = s;
    c->tls = url->tls;
    c->ca_file = p->ca_file;
    c->easy = curl_easy_init();
    if (!c->easy) {
        free(c);
        return NULL;
    }
    char text[512];
    snprintf(text, sizeof(text), "%s://" STR_FMT "/", url->tls ? "https" : "http", STR_ARG(url->authority));
    set_options(c, text);
    return &c->base;
}

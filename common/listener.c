/* Listening sockets. Run by the master, which binds for everybody, so that no other process needs the right
 * to bind a low port and a reload can keep a socket; accept is run by acceptor, tls and admin. */
#include "listener.h"
#include "str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage room;
};

static bool is_unix(const char *address, struct str *path)
{
    struct str s = str_of(address);
    if (!str_starts(s, STR("unix:")))
        return false;
    *path = (struct str){s.p + 5, s.n - 5};
    return true;
}

static int read_address(const char *address, uint16_t port, union address *a, socklen_t *n, struct error *err)
{
    struct str path;
    memset(a, 0, sizeof *a);
    if (is_unix(address, &path)) {
        a->un.sun_family = AF_UNIX;
        *n = sizeof a->un;
        if (path.n == 0 || str_copy(a->un.sun_path, sizeof a->un.sun_path, path))
            return error_set(err, "%s: the path is empty or too long for a unix socket", address);
        return 0;
    }
    if (inet_pton(AF_INET, address, &a->in.sin_addr) == 1) {
        a->in.sin_family = AF_INET;
        a->in.sin_port = htons(port);
        *n = sizeof a->in;
        return 0;
    }
    if (inet_pton(AF_INET6, address, &a->in6.sin6_addr) == 1) {
        a->in6.sin6_family = AF_INET6;
        a->in6.sin6_port = htons(port);
        *n = sizeof a->in6;
        return 0;
    }
    return error_set(err, "%s: neither an IPv4 or IPv6 address nor unix:/path", address);
}

/* A socket file nobody listens on any more stands in the way of bind; one that answers is somebody's. */
static void remove_stale(const union address *a, socklen_t n)
{
    struct stat st;
    if (lstat(a->un.sun_path, &st) || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, &a->any, n) < 0 && errno == ECONNREFUSED)
        unlink(a->un.sun_path);
    close(fd);
}

static int bind_and_listen(int fd, const union address *a, socklen_t n)
{
    int one = 1;
    mode_t old = 0;
    if (a->any.sa_family == AF_UNIX)
        old = umask(0117);
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (a->any.sa_family == AF_INET6) /* "::" means IPv6 only, as it reads; both: two listeners */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    int rc = bind(fd, &a->any, n);
    if (a->any.sa_family == AF_UNIX)
        umask(old);
    return rc ? rc : listen(fd, BACKLOG);
}

int listener_open(const char *address, uint16_t port, struct error *err)
{
    union address a;
    socklen_t n;
    if (read_address(address, port, &a, &n, err))
        return -1;
    if (a.any.sa_family == AF_UNIX)
        remove_stale(&a, n);
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(err, "%s: no socket", address);
    if (bind_and_listen(fd, &a, n)) {
        if (a.any.sa_family == AF_UNIX)
            error_errno(err, "%s: can't listen there", address);
        else
            error_errno(err, "%s, port %u: can't listen there", address, port);
        close(fd);
        return -1;
    }
    return fd;
}

int listener_accept(int fd, struct sockaddr_storage *peer, unsigned user_timeout_ms)
{
    struct sockaddr_storage from;
    socklen_t n = sizeof from;
    memset(&from, 0, sizeof from);
    int c;
    do
        c = accept4(fd, (struct sockaddr *)&from, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (c < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (c < 0)
        return -1;
    if (from.ss_family == AF_INET || from.ss_family == AF_INET6) {
        int one = 1;
        setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (user_timeout_ms)
            setsockopt(c, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
    }
    if (peer)
        *peer = from;
    return c;
}

static void write_ip(const union address *a, char *text, size_t size)
{
    text[0] = '\0';
    if (a->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &a->in.sin_addr, text, (socklen_t)size);
    else if (a->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->in6.sin6_addr, text, (socklen_t)size);
    else
        snprintf(text, size, "%s", a->any.sa_family == AF_UNIX ? "unix" : "?");
}

bool listener_is_at(int fd, const char *address, uint16_t port)
{
    union address want, have;
    socklen_t n = sizeof have, ignored;
    memset(&have, 0, sizeof have);
    if (read_address(address, port, &want, &ignored, NULL) || getsockname(fd, &have.any, &n) ||
        want.any.sa_family != have.any.sa_family)
        return false;
    if (want.any.sa_family == AF_UNIX)
        return strncmp(want.un.sun_path, have.un.sun_path, sizeof have.un.sun_path) == 0;
    if (want.any.sa_family == AF_INET)
        return want.in.sin_port == have.in.sin_port && want.in.sin_addr.s_addr == have.in.sin_addr.s_addr;
    return want.in6.sin6_port == have.in6.sin6_port &&
           memcmp(&want.in6.sin6_addr, &have.in6.sin6_addr, sizeof have.in6.sin6_addr) == 0;
}

void listener_name(int fd, char *text, size_t size)
{
    union address a;
    socklen_t n = sizeof a;
    memset(&a, 0, sizeof a);
    if (getsockname(fd, &a.any, &n)) {
        snprintf(text, size, "?");
        return;
    }
    char ip[INET6_ADDRSTRLEN];
    write_ip(&a, ip, sizeof ip);
    if (a.any.sa_family == AF_UNIX)
        snprintf(text, size, "unix:%s", a.un.sun_path);
    else if (a.any.sa_family == AF_INET6)
        snprintf(text, size, "[%s]:%u", ip, ntohs(a.in6.sin6_port));
    else
        snprintf(text, size, "%s:%u", ip, ntohs(a.in.sin_port));
}

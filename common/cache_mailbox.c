/* Mail to the cache process: one SOCK_SEQPACKET message each. A record up to INLINE_MAX is in the message, a
 * larger one in a memfd that goes with it, so that a few large answers don't fill the socket. The workers
 * share their end and never wait: what does not go is dropped, which costs a later hit and nothing else. */
#include "cache_mailbox.h"
#include "cache_record.h"
#include "mem.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { INLINE_MAX = 64 * 1024, PURGE_WAITS_MS = 5000 };

struct mail_head {
    uint8_t kind; /* enum cache_mail_kind */
    uint8_t in_memfd;
    uint8_t key[CACHE_KEY_BYTES];
    char scope[CACHE_SCOPE_MAX];
    uint64_t file;
};

static int send_mail(int sock, struct iovec *iov, size_t n, int fd, int flags)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
    if (fd >= 0) {
        msg.msg_control = control;
        msg.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t sent;
    do
        sent = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

static struct iovec part(const void *p, size_t n)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)p, .iov_len = n};
}

static int send_in_memfd(int sock, struct mail_head *head, struct iovec record[2])
{
    int fd = memfd_create("aigw-cache-entry", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t n = record[0].iov_len + record[1].iov_len;
    int rc = -1;
    head->in_memfd = 1;
    struct iovec iov = part(head, sizeof *head);
    if (writev(fd, record, 2) == (ssize_t)n)
        rc = send_mail(sock, &iov, 1, fd, MSG_DONTWAIT);
    close(fd);
    return rc;
}

int cache_post(int cache_fd, const uint8_t key[CACHE_KEY_BYTES], const char *scope_id,
               const struct cache_entry *e, uint32_t max_entry)
{
    uint8_t record_head[CACHE_RECORD_HEAD];
    if (cache_fd < 0 || e->body.n > max_entry)
        return -1;
    size_t n = cache_record_head(e, scope_id, record_head);
    if (n == 0)
        return -1;
    struct mail_head head = {.kind = CACHE_MAIL_STORE};
    memcpy(head.key, key, CACHE_KEY_BYTES);
    struct iovec iov[3] = {part(&head, sizeof head), part(record_head, n), part(e->body.p, e->body.n)};
    if (n + e->body.n > INLINE_MAX)
        return send_in_memfd(cache_fd, &head, iov + 1);
    return send_mail(cache_fd, iov, 3, -1, MSG_DONTWAIT);
}

void cache_post_damage(int cache_fd, uint64_t file)
{
    struct mail_head head = {.kind = CACHE_MAIL_DAMAGE, .file = file};
    struct iovec iov = part(&head, sizeof head);
    if (cache_fd >= 0 && send_mail(cache_fd, &iov, 1, -1, MSG_DONTWAIT) < 0)
        return; /* the next one who looks will find it, too */
}

/* ---- purging ---- */

static int send_purge(int cache_fd, const char *scope_id, int ack_fd, struct error *err)
{
    struct mail_head head = {.kind = CACHE_MAIL_PURGE};
    if (str_copy(head.scope, sizeof head.scope, str_of(scope_id)) < 0)
        return error_set(err, "the scope's name is too long");
    struct iovec iov = part(&head, sizeof head);
    struct pollfd p = {.fd = cache_fd, .events = POLLOUT};
    while (send_mail(cache_fd, &iov, 1, ack_fd, MSG_DONTWAIT) < 0)
        if (errno != EAGAIN || poll(&p, 1, PURGE_WAITS_MS) != 1)
            return error_errno(err, "the cache process takes no mail");
    return 0;
}

int cache_purge(int cache_fd, const char *scope_id, uint64_t *removed, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(err, "socketpair");
    int rc = send_purge(cache_fd, scope_id, pair[1], err);
    close(pair[1]);
    struct pollfd p = {.fd = pair[0], .events = POLLIN};
    if (rc == 0 && (poll(&p, 1, PURGE_WAITS_MS) != 1 ||
                    recv(pair[0], removed, sizeof *removed, MSG_DONTWAIT) != sizeof *removed))
        rc = error_set(err, "the cache process did not answer");
    close(pair[0]);
    return rc;
}

/* ---- receiving ---- */

static int fd_of(struct msghdr *msg)
{
    int fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* A private copy of the memfd: its sender could still change it. */
static int read_memfd(int fd, size_t max_record, struct cache_mail *m)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 || (size_t)st.st_size > max_record)
        return -1;
    m->memory = mem_alloc((size_t)st.st_size);
    ssize_t n = pread(fd, m->memory, (size_t)st.st_size, 0);
    if (n != st.st_size)
        return -1;
    m->record = (struct str){(char *)m->memory, (size_t)n};
    return 0;
}

static int take_store(const struct mail_head *head, struct str rest, int fd, size_t max_record,
                      struct cache_mail *m)
{
    memcpy(m->key, head->key, CACHE_KEY_BYTES);
    if (head->in_memfd)
        return read_memfd(fd, max_record, m);
    if (rest.n == 0 || rest.n > max_record)
        return -1;
    m->memory = mem_alloc(rest.n);
    memcpy(m->memory, rest.p, rest.n);
    m->record = (struct str){(char *)m->memory, rest.n};
    return 0;
}

static int take(const uint8_t *bytes, size_t n, int fd, size_t max_record, struct cache_mail *m)
{
    struct mail_head head;
    *m = (struct cache_mail){.ack_fd = -1};
    if (n < sizeof head)
        return -1;
    memcpy(&head, bytes, sizeof head);
    m->kind = head.kind;
    if (head.kind == CACHE_MAIL_STORE)
        return take_store(&head, (struct str){(const char *)bytes + sizeof head, n - sizeof head}, fd,
                          max_record, m);
    m->file = head.file;
    if (head.kind == CACHE_MAIL_DAMAGE)
        return 0;
    if (head.kind != CACHE_MAIL_PURGE || fd < 0 || memchr(head.scope, '\0', sizeof head.scope) == NULL)
        return -1;
    memcpy(m->scope, head.scope, sizeof head.scope);
    m->ack_fd = dup(fd);
    return m->ack_fd < 0 ? -1 : 0;
}

int cache_mail_recv(int cache_fd, size_t max_record, struct cache_mail *m, unsigned *dropped)
{
    static uint8_t bytes[sizeof(struct mail_head) + INLINE_MAX]; /* the cache process has one mailbox */
    for (;;) {
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = part(bytes, sizeof bytes);
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(cache_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && errno == EAGAIN ? 0 : -1;
        int fd = fd_of(&msg);
        int rc = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -1 : take(bytes, (size_t)n, fd, max_record, m);
        if (fd >= 0)
            close(fd);
        if (rc == 0)
            return 1;
        if (!(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
            cache_mail_free(m);
        ++*dropped;
    }
}

void cache_mail_answer(struct cache_mail *m, uint64_t removed)
{
    /* whoever asked may have stopped waiting */
    if (m->ack_fd >= 0 && send(m->ack_fd, &removed, sizeof removed, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

void cache_mail_free(struct cache_mail *m)
{
    free(m->memory);
    if (m->ack_fd >= 0)
        close(m->ack_fd);
    *m = (struct cache_mail){.ack_fd = -1};
}

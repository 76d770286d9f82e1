/* One control message is one datagram: struct control as it lies in memory (both ends are the same build, or
 * the length tells), at most one descriptor beside it. Run by the master and its children. A message never
 * leaves a descriptor behind: what comes with a malformed one is closed here. */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union room { /* aligned as CMSG_FIRSTHDR wants it; a second descriptor would be cut and closed by the kernel
              */
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

int control_send(int sock, const struct control *m)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m};
    union room room = {{0}};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (m->fd >= 0) {
        msg.msg_control = room.bytes;
        msg.msg_controllen = sizeof room.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &m->fd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

static int descriptor_of(struct msghdr *msg)
{
    int fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof fd))
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

int control_recv(int sock, struct control *m)
{
    struct iovec iov = {.iov_base = m, .iov_len = sizeof *m};
    union room room = {{0}};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t n;
    do /* ECONNRESET, once: the peer left messages unread; what it had said itself is behind that */
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n <= 0)
        return (int)n;
    int fd = descriptor_of(&msg);
    if (n != (ssize_t)sizeof *m || (msg.msg_flags & MSG_TRUNC)) {
        if (fd >= 0)
            close(fd);
        errno = EPROTO;
        return -1;
    }
    m->fd = fd;
    m->text[sizeof m->text - 1] = '\0';
    return 1;
}

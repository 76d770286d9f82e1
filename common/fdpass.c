/* Descriptors travel only here (and in control.c). What arrives is never left open by accident: a descriptor
 * that the receiver did not expect is closed before the message is refused. */
#include "fdpass.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union room { /* aligned as CMSG_FIRSTHDR wants it */
    char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
    struct cmsghdr align;
};

int fdpass_send(int sock, const void *bytes, size_t size, const int fds[], size_t n)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    union room room;
    if (n > FDPASS_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (n > 0) {
        memset(&room, 0, sizeof room);
        msg.msg_control = room.bytes;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == ECONNRESET) /* the peer died with messages unread */
        errno = EPIPE;
    return sent < 0 ? -1 : 0;
}

static void take_descriptors(struct msghdr *msg, int fds[FDPASS_MAX])
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && i < FDPASS_MAX; i++)
            memcpy(&fds[i], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
}

ssize_t fdpass_recv(int sock, void *bytes, size_t size, int fds[FDPASS_MAX], bool wait)
{
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    union room room;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes};
    msg.msg_controllen = sizeof room.bytes; /* further descriptors are closed by the kernel */
    for (size_t i = 0; i < FDPASS_MAX; i++)
        fds[i] = -1;
    ssize_t n;
    do /* ECONNRESET, once: the peer left messages unread; what it had said itself is behind that */
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0)
        return -1;
    take_descriptors(&msg, fds);
    if (msg.msg_flags & MSG_TRUNC) {
        for (size_t i = 0; i < FDPASS_MAX; i++) {
            if (fds[i] >= 0)
                close(fds[i]);
            fds[i] = -1;
        }
        errno = EMSGSIZE;
        return -1;
    }
    return n;
}

/* Datagrams with descriptors beside them (SCM_RIGHTS) on unix sockets. */
#ifndef COMMON_FDPASS_H
#define COMMON_FDPASS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { FDPASS_MAX = 2 };

/* Sends one datagram with the first n descriptors of fds; closes none of them, never waits, raises no
 * SIGPIPE. 0, or -1 with errno (EAGAIN: full; EPIPE: peer gone). */
int fdpass_send(int sock, const void *bytes, size_t size, const int fds[], size_t n);
/* Receives one datagram of at most `size` bytes; fds[] gets its descriptors (close-on-exec, the caller's), -1
 * where there is none. Returns its length; 0: peer gone; -1 with errno (EAGAIN: none now, when not `wait`;
 * EMSGSIZE: it was larger, and its descriptors are closed). */
ssize_t fdpass_recv(int sock, void *bytes, size_t size, int fds[FDPASS_MAX], bool wait);

#endif

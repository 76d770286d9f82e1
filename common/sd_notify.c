/* The two protocols are small and stable: one datagram to the socket named by NOTIFY_SOCKET, and descriptors
 * from 3 on, counted by LISTEN_FDS. Run by the master only. */
#include "sd_notify.h"
#include "str.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3, MOST_FDS = 64 };

static struct sockaddr_un where;
static socklen_t where_length; /* 0: nobody listens */

static void remember_socket(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    if (n < 2 || n >= sizeof where.sun_path || (name[0] != '/' && name[0] != '@'))
        return;
    memcpy(where.sun_path, name, n);
    if (name[0] == '@') /* the abstract name space is written with a NUL in front */
        where.sun_path[0] = '\0';
    where.sun_family = AF_UNIX;
    where_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static int passed_sockets(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    uint64_t p, n;
    if (!pid || !count || str_u64(str_of(pid), &p) || str_u64(str_of(count), &n))
        return 0;
    if (p != (uint64_t)getpid() || n > MOST_FDS)
        return 0;
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)n; fd++) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
    return (int)n;
}

int sd_take_environment(void)
{
    remember_socket(getenv("NOTIFY_SOCKET"));
    int n = passed_sockets();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return n;
}

void sd_notify_state(const char *fmt, ...)
{
    if (where_length == 0)
        return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&where, where_length);
    close(fd);
}

/* The admin process reads and writes files and answers connections that come to it. It never starts a program
 * or a process, never opens a socket and never connects to anything, so it can't: whoever finds a way to
 * make it run his code gets nowhere with it, and can send what he found to nobody. What it shares with the
 * other processes is common/syscall_filter.c's. */
#include "confine.h"

#include "log.h"
#include "syscall_filter.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* make check-valgrind sets it: valgrind doesn't know seccomp(2). */
#ifndef AIGW_WITHOUT_FILTER
#define AIGW_WITHOUT_FILTER 0
#endif

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 }; /* its leak checker looks at us from outside, from a process that it starts */
#else
enum { SANITIZED = 0 };
#endif

enum { API_KILL_PROCESS = 3 }; /* libseccomp's number for kernels that know SCMP_ACT_KILL_PROCESS */

/* beside what no process of ours may */
static const int refused[] = {SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind),
                              SCMP_SYS(listen), SCMP_SYS(fork),    SCMP_SYS(vfork)};

static int fill(scmp_filter_ctx filter)
{
    int r = syscall_filter_common(filter);
    if (!r)
        r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(ptrace), 0);
    return r ? r
             : syscall_filter_deny(filter, SCMP_ACT_ERRNO(EPERM), refused, sizeof refused / sizeof *refused);
}

int confine_early(struct error *err)
{
    struct rlimit none = {0, 0};
    umask(077);
    if (prctl(PR_SET_DUMPABLE, SANITIZED) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        setrlimit(RLIMIT_CORE, &none))
        return error_errno(err, "giving up privileges");
    return 0;
}

int confine(struct error *err)
{
    if (SANITIZED || AIGW_WITHOUT_FILTER)
        return 0;
    if (seccomp_api_get() < API_KILL_PROCESS) { /* an old kernel, or valgrind: the filter is a second wall */
        log_warn("this system can't filter system calls as wanted: going on without");
        return 0;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int r = filter ? fill(filter) : -ENOMEM;
    if (!r)
        r = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    return r ? error_set(err, "the filter of system calls can't be set: %s", strerror(-r)) : 0;
}

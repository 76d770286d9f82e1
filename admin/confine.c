/* The admin process reads and writes files and answers connections that come to it. It never starts a program
 * or a process, never opens a socket and never connects to anything, so it can't: whoever finds a way to
 * make it run his code gets nowhere with it, and can send what he found to nobody. A list of refused calls,
 * not of allowed ones, because OpenSSL, LMDB and the C library change what they call with every release. */
#include "confine.h"

#include "log.h"

#include <errno.h>
#include <seccomp.h>
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

static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(bpf),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(reboot),
};

static const int refused[] = {
    SCMP_SYS(socket),        SCMP_SYS(connect),         SCMP_SYS(bind),           SCMP_SYS(listen),
    SCMP_SYS(fork),          SCMP_SYS(vfork),           SCMP_SYS(io_uring_setup), SCMP_SYS(userfaultfd),
    SCMP_SYS(add_key),       SCMP_SYS(request_key),     SCMP_SYS(keyctl),         SCMP_SYS(perf_event_open),
    SCMP_SYS(personality),   SCMP_SYS(process_madvise), SCMP_SYS(pidfd_open),     SCMP_SYS(name_to_handle_at),
    SCMP_SYS(fanotify_init),
};

static int deny(scmp_filter_ctx filter, uint32_t action, const int calls[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = seccomp_rule_add(filter, action, calls[i], 0);
        if (r < 0 && r != -EDOM && r != -EOPNOTSUPP) /* a call that this architecture does not have */
            return r;
    }
    return 0;
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
    int r = filter ? deny(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof deadly / sizeof *deadly) : -ENOMEM;
    if (!r)
        r = deny(filter, SCMP_ACT_ERRNO(EPERM), refused, sizeof refused / sizeof *refused);
    if (!r)
        r = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    return r ? error_set(err, "the filter of system calls can't be set: %s", strerror(-r)) : 0;
}

/* What a process of ours never does, it can't do: common/syscall_filter.c has the list, and what differs by
 * role stands here.
 *
 * The master compiles one filter a profile with libseccomp and keeps the BPF program; a child installs it
 * with one system call. */
#include "sandbox.h"
#include "log.h"
#include "mem.h"
#include "syscall_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ASan's leak checker stops its own process with ptrace at exit */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif
#ifndef WITH_SANITIZER
#define WITH_SANITIZER 0
#endif

/* acceptor and tls speak only on sockets that are given to them: they reach out to nobody */
static const int refused_in_front[] = {SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen)};

enum profile { PROFILE_COMMON, PROFILE_FRONT, PROFILES };
static struct sock_fprog programs[PROFILES];

static int fill(scmp_filter_ctx ctx, enum profile p)
{
    const size_t n = sizeof(refused_in_front) / sizeof(refused_in_front)[0];
    int rc = syscall_filter_common(ctx);
    if (rc == 0 && !WITH_SANITIZER)
        rc = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(ptrace), 0);
    if (rc == 0 && p == PROFILE_FRONT)
        rc = syscall_filter_deny(ctx, SCMP_ACT_ERRNO(EPERM), refused_in_front, n);
    return rc;
}

/* libseccomp writes the program into a descriptor: a memfd, read back. */
static int export_program(scmp_filter_ctx ctx, struct sock_fprog *out)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = seccomp_export_bpf(ctx, fd);
    off_t size = rc ? 0 : lseek(fd, 0, SEEK_END);
    if (rc == 0 && size > 0) {
        out->filter = mem_alloc((size_t)size);
        out->len = (unsigned short)((size_t)size / sizeof(struct sock_filter));
        if (pread(fd, out->filter, (size_t)size, 0) != size)
            rc = -EIO;
    }
    close(fd);
    return rc;
}

/* valgrind can't load a filter: a build for it has none (make check-valgrind) */
#ifndef AIGW_WITHOUT_FILTER
#define AIGW_WITHOUT_FILTER 0
#endif

/* A kernel (or an emulation such as valgrind's) without seccomp can't be helped: we run unfiltered, and say
 * so. */
static bool is_available(void)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 || errno != ENOSYS;
}

int sandbox_prepare(struct error *err)
{
    if (AIGW_WITHOUT_FILTER)
        return 0;
    if (!is_available()) {
        log_warn("this kernel has no seccomp: system calls are not filtered");
        return 0;
    }
    for (int p = 0; p < PROFILES; p++) {
        if (programs[p].filter)
            continue;
        scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
        int rc = ctx ? fill(ctx, (enum profile)p) : -ENOMEM;
        if (rc == 0)
            rc = export_program(ctx, &programs[p]);
        if (ctx)
            seccomp_release(ctx);
        if (rc)
            return error_set(err, "the filter of system calls can't be made: %s", strerror(-rc));
    }
    return 0;
}

int sandbox_enter(const char *role, struct error *err)
{
    bool front = strcmp(role, "acceptor") == 0 || strcmp(role, "tls") == 0;
    struct sock_fprog *program = &programs[front ? PROFILE_FRONT : PROFILE_COMMON];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return error_errno(err, "no_new_privs");
    if (program->filter && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program))
        return error_errno(err, "the filter of system calls");
    return 0;
}

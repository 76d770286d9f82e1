/* What a process of ours never does, it can't do: a list of refused system calls.
 *
 * A list of allowed ones would be stricter, but libcurl, OpenSSL, LMDB and the C library change what they
 * call with every release and every kernel, and a gateway that dies of an upgrade at night protects nobody.
 * So the calls that an attacker needs next are taken away instead: starting programs, reaching into other
 * processes, changing mounts, namespaces and the kernel, and the kernel's richest sources of bugs (io_uring,
 * bpf, userfaultfd, keyctl). What nothing legitimate ever tries kills the process (the master logs SIGSYS and
 * replaces it); what a library may probe for fails with EPERM.
 *
 * The master compiles one filter a profile with libseccomp and keeps the BPF program; a child installs it
 * with one system call. */
#include "sandbox.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
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

static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(bpf),
    SCMP_SYS(ioperm),
    SCMP_SYS(iopl),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(nfsservctl),
    SCMP_SYS(vhangup),
    SCMP_SYS(pidfd_getfd),
};

static const int refused[] = {
    SCMP_SYS(add_key),         SCMP_SYS(request_key),
    SCMP_SYS(keyctl),          SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),     SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),  SCMP_SYS(io_uring_register),
    SCMP_SYS(personality),     SCMP_SYS(name_to_handle_at),
    SCMP_SYS(fanotify_init),   SCMP_SYS(lookup_dcookie),
    SCMP_SYS(syslog),          SCMP_SYS(vmsplice),
    SCMP_SYS(migrate_pages),   SCMP_SYS(move_pages),
    SCMP_SYS(process_madvise), SCMP_SYS(modify_ldt),
    SCMP_SYS(pidfd_open),
};

/* acceptor and tls speak only on sockets that are given to them: they reach out to nobody */
static const int refused_in_front[] = {SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen)};

enum profile { PROFILE_COMMON, PROFILE_FRONT, PROFILES };
static struct sock_fprog programs[PROFILES];

static int deny(scmp_filter_ctx ctx, uint32_t action, const int calls[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = seccomp_rule_add(ctx, action, calls[i], 0);
        if (rc < 0 && rc != -EDOM && rc != -EOPNOTSUPP) /* a call that this architecture does not have */
            return rc;
    }
    return 0;
}

#define DENY(ctx, action, calls) deny(ctx, action, calls, sizeof(calls) / sizeof(calls)[0])

static int fill(scmp_filter_ctx ctx, enum profile p)
{
    int rc = DENY(ctx, SCMP_ACT_KILL_PROCESS, deadly);
    if (rc == 0)
        rc = DENY(ctx, SCMP_ACT_ERRNO(EPERM), refused);
    if (rc == 0 && !WITH_SANITIZER)
        rc = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(ptrace), 0);
    if (rc == 0 && p == PROFILE_FRONT)
        rc = DENY(ctx, SCMP_ACT_ERRNO(EPERM), refused_in_front);
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

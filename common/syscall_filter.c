/* A list of refused system calls. One of allowed ones would be stricter, but libcurl, OpenSSL, LMDB and the C
 * library change what they call with every release and every kernel, and a gateway that dies of an upgrade at
 * night protects nobody. So the calls that an attacker needs next are taken away instead: starting programs,
 * reaching into other processes, changing mounts, namespaces and the kernel, and the kernel's richest sources
 * of bugs (io_uring, bpf, userfaultfd, keyctl). What nothing legitimate ever tries kills the process (the
 * master logs SIGSYS and replaces it); what a library may probe for fails with EPERM. */
#include "syscall_filter.h"

#include <errno.h>

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

int syscall_filter_deny(scmp_filter_ctx filter, uint32_t action, const int calls[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = seccomp_rule_add(filter, action, calls[i], 0);
        if (rc < 0 && rc != -EDOM && rc != -EOPNOTSUPP) /* a call that this architecture does not have */
            return rc;
    }
    return 0;
}

int syscall_filter_common(scmp_filter_ctx filter)
{
    int rc = syscall_filter_deny(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof(deadly) / sizeof(deadly)[0]);
    if (rc == 0)
        rc =
            syscall_filter_deny(filter, SCMP_ACT_ERRNO(EPERM), refused, sizeof(refused) / sizeof(refused)[0]);
    return rc;
}

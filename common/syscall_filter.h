/* What no process of ours ever does, of all that the kernel offers: the part of the filters of system calls
 * that server/sandbox.c and admin/confine.c have in common. */
#ifndef COMMON_SYSCALL_FILTER_H
#define COMMON_SYSCALL_FILTER_H

#include <seccomp.h>
#include <stddef.h>

/* Adds the common rules to a filter that allows everything. 0, or a negative errno. */
int syscall_filter_common(scmp_filter_ctx filter);
/* Adds further calls (SCMP_SYS(name)) that end so. Calls that this architecture does not have are passed
 * over.
 */
int syscall_filter_deny(scmp_filter_ctx filter, uint32_t action, const int calls[], size_t n);

#endif

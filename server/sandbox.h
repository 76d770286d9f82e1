/* The filter of system calls that a process puts on itself once it is running. */
#ifndef SERVER_SANDBOX_H
#define SERVER_SANDBOX_H

#include "error.h"

/* The master's, once: compiles the filters, so that a fork does not pay for it. 0 (also, with a warning,
 * where the kernel knows no such filters), or -1 and err. */
int sandbox_prepare(struct error *err);
/* Closes this process in for good: no new privileges, and its role's filter (none when sandbox_prepare was
 * not called: unit tests). 0, or -1 and err. */
int sandbox_enter(const char *role, struct error *err);

#endif

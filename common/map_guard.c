#include "map_guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

/* Of the thread that reads: another's fault is its own. */
static _Thread_local sigjmp_buf *volatile guard;
static struct sigaction bus_before, segv_before;

/* An access that nobody guards is tried again, and meets what was there before. */
static void on_fault(int sig)
{
    sigjmp_buf *to = guard;
    guard = NULL;
    if (to)
        siglongjmp(*to, 1);
    sigaction(sig, sig == SIGBUS ? &bus_before : &segv_before, NULL);
}

void map_guard_install(void)
{
    struct sigaction now, act = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_handler == on_fault)
        return;
    sigaction(SIGBUS, &act, &bus_before);
    sigaction(SIGSEGV, &act, &segv_before);
}

int map_guard_run(int (*read)(void *arg), void *arg)
{
    sigjmp_buf here;
    if (sigsetjmp(here, 0) != 0)
        return MAP_GUARD_FAULT;
    guard = &here;
    int rc = read(arg);
    guard = NULL;
    return rc;
}

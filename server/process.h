/* What every process of the gateway does when it begins. */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include "heritage.h"

/* The master's, first in main: remembers the area of argv and environ for titles (the environment moves to
 * the heap, so /proc/PID/environ shows nothing any more) and the master's pid. */
void process_init(int argc, char **argv);
/* Title ("aigw: worker") in ps, top and /proc. */
void process_title(const char *role);

/* Each role's main calls it first (tls: after it has read its keys). Title, log role, scoreboard line (state
 * STARTING → the role raises it), every descriptor that is not in *h closed (0, 1 and 2 stay), privileges
 * dropped when root and config->user is set, dies with the master, no core, not dumpable, secrets forgotten
 * unless role is "worker", SIGPIPE, SIGINT, SIGQUIT, SIGHUP and SIGTERM ignored (the master speaks by
 * h->control_fd; its end of file means: exit), the others default and unblocked, system calls filtered. Exits
 * when any of that fails. */
void process_enter(const struct heritage *h, const char *role);

/* Ends a process that has ended its work, without the libraries' exit handlers: they would write to, and so
 * copy, pages that it shares with the master, which costs about a millisecond. */
void process_exit(int status) __attribute__((noreturn));

/* For the program that the master starts (after fork, before exec): as above without title, scoreboard,
 * descriptors and filter. */
void process_before_exec(const struct config *config);
/* Becomes config->user where we are root and it is set: 0, or -1 and err. */
int process_drop_privileges(const struct config *config, struct error *err);

#endif

/* Starting the one child that is another program. */
#ifndef SERVER_CHILDREN_H
#define SERVER_CHILDREN_H

#include "master.h"

/* In the child: becomes aigw-admin, with a clean environment and the descriptors it needs. */
void admin_exec(const struct master *m, int channel) __attribute__((noreturn));
/* Where the program is: beside ours, else along PATH; free() it. NULL: nowhere. */
char *admin_find(void);

#endif

/* What the admin process gives up once it runs. */
#ifndef ADMIN_CONFINE_H
#define ADMIN_CONFINE_H

#include "error.h"

/* At the start: no core files, not dumpable, no new privileges. */
int confine_early(struct error *err);
/* Once everything is open: system calls that it never needs are taken away for good. */
int confine(struct error *err);

#endif

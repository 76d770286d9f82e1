/* What handlers share of the process. */
#include "admin.h"

#include "log.h"

#include <unistd.h>

struct usage_store *admin_usage(struct admin *a)
{
    char file[4096];
    struct error err;
    if (a->usage)
        return a->usage;
    /* a reader waits for the writer's first start; we don't */
    snprintf(file, sizeof file, "%s/store/usage/data.mdb", a->config->state_dir);
    if (access(file, R_OK))
        return NULL;
    a->usage = usage_store_open(a->config->state_dir, false, 0, &err);
    if (!a->usage)
        log_error("%s", err.text);
    return a->usage;
}

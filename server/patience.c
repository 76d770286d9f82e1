/* Patience for a request ends with its client. Run by workers. */
#include "patience.h"

#include "request.h"

static bool client_there(void *arg)
{
    const struct request *r = arg;
    return !r->client || !r->worker->heritage ||
           !(worker_wait(r->worker, r->client, -1, 0, 0) & WORKER_CLIENT_GONE);
}

struct patience patience_for(struct request *r, int64_t deadline_ns)
{
    return (struct patience){.deadline_ns = deadline_ns, .go_on = client_there, .arg = r};
}

bool patience_gone(const struct patience *p)
{
    return p->go_on && !p->go_on(p->arg);
}

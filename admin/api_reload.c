/* /v1/reload: the master reads and checks the configuration; its answer is ours. The client's connection is
 * parked meanwhile, so that the other clients don't wait. One reload at a time: whose file it was that got
 * loaded must not be a matter of luck. */
#include "api.h"
#include "audit.h"
#include "http_server.h"
#include "log.h"

#include <errno.h>

void reload_post(struct call *c)
{
    struct admin *a = c->admin;
    struct exchange waiting;
    if (a->control_fd < 0) {
        reply_error(c->x->reply, 503, "no_master", NULL,
                    "this process was started by hand, beside no master");
        return;
    }
    if (a->reload_waits && http_server_parked(a->server, a->reload_waits, &waiting)) {
        reply_error(c->x->reply, 409, "reload_under_way", NULL, "another reload is under way; try again");
        return;
    }
    struct control m = {.kind = CTL_RELOAD, .number = ++a->reload_number, .fd = -1};
    if (control_send(a->control_fd, &m)) {
        log_error("the master can't be asked to reload: %s", strerror(errno));
        reply_error(c->x->reply, 503, "no_master", NULL, "the master can't be reached");
        return;
    }
    audit_note(c, "config.reload", "config", STR_NULL);
    a->reload_waits = c->x->connection;
    c->park = true;
}

/* number: as in our question, or 0 from a master that does not repeat it. */
void reload_answered(struct admin *a, const struct control *m)
{
    struct exchange x;
    if (m->number && m->number != a->reload_number)
        return;
    if (!a->reload_waits || !http_server_parked(a->server, a->reload_waits, &x))
        return;
    if (*m->text) {
        reply_error(x.reply, 400, "config_refused", NULL, "%s", m->text);
    } else {
        struct json_writer w = reply_json(x.reply, 200);
        json_open(&w, '{');
        json_member_bool(&w, "reloaded", true);
        json_member_u64(&w, "generation", m->generation);
        json_close(&w, '}');
    }
    uint64_t connection = a->reload_waits;
    a->reload_waits = 0;
    http_server_answer(a->server, connection);
}

void reload_late(struct exchange *x, void *admin)
{
    struct admin *a = admin;
    a->reload_waits = 0;
    reply_error(x->reply, 504, "reload_timeout", NULL, "the master did not answer within 10 s");
}

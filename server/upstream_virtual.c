/* The built-in provider as a transport: takes in a request as it would go over the wire, and gives the
 * answer's bytes as the script (virtual.h) says they come. Its descriptor is a timer, so that waiting for it
 * is waiting like for any other provider; it is only made when something comes later than at once. */
#include "upstream_transport.h"

#include "clock.h"
#include "mem.h"
#include "virtual.h"

#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct virtual_transport {
    struct transport base;
    const struct conf_virtual *conf;
    struct buf in; /* the request so far */
    bool answered; /* the script below is being played */
    struct virtual_script script;
    int64_t began_ns;
    size_t sent, due; /* bytes of the text */
    size_t piece;     /* the first that is not due */
};

static struct virtual_transport *self(struct transport *t)
{
    return (struct virtual_transport *)(void *)((char *)t - offsetof(struct virtual_transport, base));
}

static enum upstream_result virtual_open(struct transport *t, const struct client *client,
                                         int64_t deadline_ns, struct error *err)
{
    (void)client;
    (void)deadline_ns;
    if (t->fd < 0)
        t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (t->fd < 0)
        return error_errno(err, "timer"), UPSTREAM_CONNECT_FAILED;
    return UPSTREAM_OK;
}

static void exchange_drop(struct virtual_transport *v)
{
    buf_reset(&v->in);
    virtual_script_free(&v->script);
    virtual_script_init(&v->script);
    v->answered = false;
    v->sent = v->due = v->piece = 0;
}

static struct str behind_base(struct str path)
{
    struct str base = STR("/v1/");
    if (str_starts(path, base)) {
        path.p += base.n - 1;
        path.n -= base.n - 1;
    }
    return path;
}

/* Once the request is whole: makes the answer. False: the request is not one that we could have sent. */
static bool answer_if_whole(struct virtual_transport *v)
{
    struct http_head head;
    struct http_refusal why;
    int rc = http_parse_request(buf_str(&v->in), MAX_HEAD, &head, &why);
    if (rc <= 0)
        return rc == 0;
    uint64_t length = head.body == HTTP_BODY_LENGTH ? head.content_length : 0;
    if (v->in.n - head.length < length)
        return true;
    struct virtual_call call = {.method = head.method,
                                .path = behind_base(head.path),
                                .body = {v->in.p + head.length, (size_t)length}};
    http_find(&head, "content-type", &call.content_type);
    virtual_answer(v->conf, &call, &v->script);
    v->answered = true;
    v->began_ns = clock_mono_ns();
    v->base.eager = true;
    return true;
}

static ssize_t virtual_send(struct transport *t, struct str head, struct str body)
{
    struct virtual_transport *v = self(t);
    if (v->answered)
        exchange_drop(v); /* the next request on a kept connection */
    if (buf_add(&v->in, head) != 0 || buf_add(&v->in, body) != 0 || !answer_if_whole(v))
        return TRANSPORT_BROKEN;
    return (ssize_t)(head.n + body.n);
}

static void arm(struct virtual_transport *v, uint64_t at_ms)
{
    int64_t at = v->began_ns + (int64_t)at_ms * NS_PER_MS;
    struct itimerspec ts = {.it_value = {at / NS_PER_SEC, at % NS_PER_SEC}};
    timerfd_settime(v->base.fd, TFD_TIMER_ABSTIME, &ts, NULL);
}

static ssize_t virtual_recv(struct transport *t, char *p, size_t n)
{
    struct virtual_transport *v = self(t);
    t->eager = false;
    if (!v->answered)
        return TRANSPORT_AGAIN;
    const struct virtual_piece *pieces;
    size_t count = virtual_pieces(&v->script, &pieces);
    bool at_once = v->piece < count && pieces[v->piece].at_ms == 0; /* spares the clock */
    uint64_t elapsed_ms = at_once ? 0 : (uint64_t)((clock_mono_ns() - v->began_ns) / NS_PER_MS);
    while (v->piece < count && pieces[v->piece].at_ms <= elapsed_ms)
        v->due = pieces[v->piece++].end;
    size_t take = v->due - v->sent < n ? v->due - v->sent : n;
    bool closing = v->piece == count && v->script.end == VIRTUAL_CUT;
    if (take == 0 && closing)
        return 0;
    if (take > 0)
        memcpy(p, v->script.text.p + v->sent, take);
    v->sent += take;
    t->eager = v->sent < v->due || closing;
    if (!t->eager && v->piece < count)
        arm(v, pieces[v->piece].at_ms);
    return take > 0 ? (ssize_t)take : TRANSPORT_AGAIN;
}

static void virtual_close(struct transport *t)
{
    exchange_drop(self(t));
    buf_free(&self(t)->in);
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    t->eager = false;
}

static void virtual_free(struct transport *t)
{
    virtual_close(t);
    free(self(t));
}

static const struct transport_ops virtual_ops = {virtual_open, virtual_send,  virtual_recv,
                                                 NULL,         virtual_close, virtual_free};

struct transport *virtual_transport_new(const struct conf_provider *p)
{
    struct virtual_transport *v = mem_alloc(sizeof(*v));
    v->base = (struct transport){.ops = &virtual_ops, .fd = -1};
    v->conf = &p->virt;
    buf_init(&v->in, MAX_BODY + MAX_HEAD);
    virtual_script_init(&v->script);
    return &v->base;
}

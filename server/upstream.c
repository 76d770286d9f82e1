/* A worker's providers: kept connections, and the way of one exchange over them. Run by workers.
 *
 * - A worker serves one request at a time, so one kept connection a provider is all that it needs. It is kept
 *   only after an exchange that ended cleanly, and before its next use it must hold no byte and no end:
 *   else an answer could reach the wrong caller.
 * - A kept connection that the provider closes just as it is used again, before any byte of an answer, is
 *   replaced once; a fresh one is not, since its request may have been acted upon. */
#include "upstream_exchange.h"

#include "clock.h"
#include "mem.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS (60 * NS_PER_SEC)

/* ---- a worker's providers */

struct upstreams *upstreams_new(struct worker *w)
{
    /* OpenSSL writes with write(2); a provider that closed must not kill us */
    signal(SIGPIPE, SIG_IGN);
    size_t n = w->config->n_providers;
    struct upstreams *u = mem_alloc(sizeof(*u) + n * sizeof(u->sides[0]));
    u->worker = w;
    u->curl = curl_side_new(w);
    u->n = n;
    buf_init(&u->out, 2 * MAX_HEAD);
    for (size_t i = 0; i < n; i++)
        if (upstream_url_parse(str_of(w->config->providers[i].base_url), &u->sides[i].url, NULL) != 0)
            u->sides[i].url.authority = STR_NULL; /* refused at its first use */
    return u;
}

static void connection_close(struct upstream *up)
{
    if (up->open)
        up->transport->ops->close(up->transport);
    up->open = false;
}

static void connection_free(struct upstream *up)
{
    connection_close(up);
    up->transport->ops->free(up->transport);
    buf_free(&up->in);
    buf_free(&up->more);
    free(up);
}

void upstreams_free(struct upstreams **u)
{
    if (!*u)
        return;
    for (size_t i = 0; i < (*u)->n; i++)
        if ((*u)->sides[i].kept)
            connection_free((*u)->sides[i].kept);
    curl_side_free(&(*u)->curl);
    buf_free(&(*u)->out);
    free(*u);
    *u = NULL;
}

void upstreams_tidy(struct upstreams *u, int64_t now_ns)
{
    for (size_t i = 0; i < u->n; i++) {
        struct upstream *up = u->sides[i].kept;
        if (up && up->open && !up->busy && now_ns - up->idle_since_ns > IDLE_NS)
            connection_close(up);
    }
}

static struct upstream *connection_new(struct upstreams *u, uint16_t provider)
{
    const struct conf_provider *p = &u->worker->config->providers[provider];
    struct transport *t = strcmp(p->type, "virtual") == 0
                              ? virtual_transport_new(p)
                              : curl_transport_new(u->curl, p, &u->sides[provider].url);
    if (!t)
        return NULL;
    struct upstream *up = mem_alloc(sizeof(*up));
    up->owner = u;
    up->provider = provider;
    up->transport = t;
    buf_init(&up->in, MAX_HEAD);
    buf_init(&up->more, UPSTREAM_READ_MORE);
    return up;
}

/* The provider's connection, or a further one when that one is in use. */
static struct upstream *connection_take(struct upstreams *u, uint16_t provider)
{
    struct side *s = &u->sides[provider];
    struct upstream *up = s->kept;
    if (!up || up->busy) {
        up = connection_new(u, provider);
        if (!up)
            return NULL;
        if (!s->kept)
            s->kept = up;
    }
    up->busy = true;
    return up;
}
/* ---- one exchange */

/* Whether a kept connection is still quiet: neither closed nor holding bytes that nobody asked for. Also
 * finishes a chunked answer whose end was not awaited. */
static bool still_good(struct upstream *up)
{
    if (!up->open)
        return false;
    struct error ignored;
    struct str data;
    if (clock_mono_ns() - up->idle_since_ns > IDLE_NS)
        return false;
    if (!up->ended && (upstream_poll(up, &data, &ignored) != UPSTREAM_END || !up->keep))
        return false;
    char byte;
    return up->transport->ops->recv(up->transport, &byte, 1) == TRANSPORT_AGAIN;
}

static enum upstream_result connect_to(struct upstream *up, struct error *err)
{
    struct upstreams *u = up->owner;
    int64_t began = clock_mono_ns();
    int64_t deadline = began + upstream_timeouts(u, up->provider).connect * NS_PER_MS;
    enum upstream_result late = UPSTREAM_CONNECT_TIMEOUT;
    if (up->deadline_ns && up->deadline_ns < deadline) {
        deadline = up->deadline_ns;
        late = UPSTREAM_TOTAL_TIMEOUT;
    }
    upstream_phase(u, PHASE_CONNECT);
    enum upstream_result res = up->transport->ops->open(up->transport, up->client, deadline, err);
    up->waited_ns += clock_mono_ns() - began;
    up->open = res == UPSTREAM_OK;
    if (up->open)
        METRIC_INC(u->worker->metrics, upstream_connects_total);
    return res == UPSTREAM_CONNECT_TIMEOUT ? late : res;
}

/* Sends and reads the head, on the kept connection or a new one; *stale: the kept one had been closed. */
static enum upstream_result try_once(struct upstream *up, const struct upstream_call *call, struct str body,
                                     bool *stale, struct error *err)
{
    struct upstreams *u = up->owner;
    bool reused = still_good(up);
    if (!reused)
        connection_close(up);
    exchange_reset(up);
    if (!reused) {
        enum upstream_result res = connect_to(up, err);
        if (res != UPSTREAM_OK)
            return res;
    }
    if (call->sent)
        *call->sent = true;
    upstream_phase(u, PHASE_SEND);
    enum upstream_result res = exchange_send(up, buf_str(&u->out), body);
    if (res == UPSTREAM_OK) {
        upstream_phase(u, PHASE_WAIT);
        res = exchange_read_head(up, str_eq(call->method, STR("HEAD")), err);
    }
    if (res == UPSTREAM_CUT)
        error_set(err, "connection closed %s", up->any ? "inside of the answer's head" : "before any answer");
    *stale = reused && res == UPSTREAM_CUT && !up->any;
    return res;
}

enum upstream_result upstream_start(struct upstreams *u, const struct upstream_call *call,
                                    struct client *client, struct upstream **out,
                                    const struct http_head **head, struct error *err)
{
    *out = NULL;
    err->text[0] = '\0';
    struct str body;
    if (upstream_build(u, call, &body, err) != 0)
        return UPSTREAM_CONNECT_FAILED;
    struct upstream *up = connection_take(u, call->provider);
    if (!up)
        return error_set(err, "no memory for a connection"), UPSTREAM_CONNECT_FAILED;
    up->client = client;
    up->deadline_ns = call->deadline_ns;
    up->waited_ns = 0;
    up->heard_ns = clock_mono_ns();
    bool stale = false;
    enum upstream_result res = try_once(up, call, body, &stale, err);
    if (stale) {
        connection_close(up); /* closed by the provider while it was idle, just as we used it */
        res = try_once(up, call, body, &stale, err);
    }
    if (res == UPSTREAM_OK) {
        *head = &up->head;
    } else {
        up->keep = false;
        connection_close(up);
    }
    *out = up;
    return res;
}
enum upstream_result upstream_read(struct upstream *up, struct str *data, struct error *err)
{
    enum upstream_result res = exchange_read_body(up, data, true, err);
    if (res != UPSTREAM_OK && res != UPSTREAM_END)
        up->keep = false;
    return res;
}

enum upstream_result upstream_poll(struct upstream *up, struct str *data, struct error *err)
{
    enum upstream_result res = exchange_read_body(up, data, false, err);
    if (res == UPSTREAM_IDLE_TIMEOUT)
        return UPSTREAM_OK;
    if (res != UPSTREAM_OK && res != UPSTREAM_END)
        up->keep = false;
    return res;
}

void upstream_heartbeat(struct upstream *up, uint32_t ms)
{
    up->beat_ns = ms * NS_PER_MS;
}

void upstream_last_seen(struct upstream *up)
{
    up->last_seen = true;
}

int64_t upstream_waited_ns(const struct upstream *up)
{
    return up->waited_ns;
}

int64_t upstream_end(struct upstream **upp)
{
    struct upstream *up = *upp;
    *upp = NULL;
    if (!up)
        return 0;
    int64_t waited = up->waited_ns;
    bool complete = up->ended || (up->last_seen && up->head.body == HTTP_BODY_CHUNKED);
    struct upstream *kept = up->owner->sides[up->provider].kept;
    if (!up->keep || !complete || up != kept)
        connection_close(up);
    up->busy = false;
    up->client = NULL;
    up->idle_since_ns = clock_mono_ns();
    buf_free(&up->more);
    if (up->in.cap > UPSTREAM_READ_FIRST)
        buf_free(&up->in);
    if (up != kept)
        connection_free(up);
    return waited;
}

const char *upstream_result_name(enum upstream_result r)
{
    static const char *const names[] = {
        [UPSTREAM_OK] = "ok",
        [UPSTREAM_END] = "end",
        [UPSTREAM_CLIENT_GONE] = "client_gone",
        [UPSTREAM_CONNECT_FAILED] = "connect_failed",
        [UPSTREAM_CONNECT_TIMEOUT] = "connect_timeout",
        [UPSTREAM_FIRST_BYTE_TIMEOUT] = "first_byte_timeout",
        [UPSTREAM_IDLE_TIMEOUT] = "idle_timeout",
        [UPSTREAM_TOTAL_TIMEOUT] = "total_timeout",
        [UPSTREAM_CUT] = "cut",
        [UPSTREAM_MALFORMED] = "malformed",
        [UPSTREAM_QUIET] = "quiet",
    };
    return (unsigned)r < sizeof(names) / sizeof(names[0]) ? names[r] : "unknown";
}

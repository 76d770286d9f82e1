/* The way of a request, from its head to the end of its connection's turn. Run by workers only.
 *
 * Everything made for a request is in its arena, but for a chunked body's buffer; the arena is emptied when
 * the next request begins. A request that the client keeps waiting leaves no trace here: it is served again,
 * from its start, when it is whole. */
#include "request.h"

#include "answer.h"
#include "clock.h"
#include "hash.h"
#include "scoreboard.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { EXTRA_HEADERS = 4096 };

static enum step (*const stages[])(struct request *) = {
    request_endpoint,     /* what is asked for */
    request_authenticate, /* by whom */
    request_read_body,    /* the rest of it, and what it names */
    request_plan,         /* which targets can serve it */
    request_admit,        /* within its limits: reserve */
    request_cache,        /* answered before? */
    request_attempt,      /* call the provider, relay its answer */
};

static bool id_ok(struct str s)
{
    if (s.n == 0 || s.n >= sizeof(((struct request *)0)->id))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* Unique, not secret: a counter from a random start, its bits mixed (the SplitMix64 finalizer). The start is
 * taken by the first request of a worker, hence after the last fork. */
static void make_id(char id[40])
{
    static uint64_t next;
    static bool started;
    if (!started && random_bytes(&next, sizeof(next)) < 0)
        next = (uint64_t)clock_mono_ns() << 16 ^ (uint64_t)getpid();
    started = true;
    uint64_t z = next += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    for (size_t i = 0; i < 16; i++, z >>= 4)
        id[i] = "0123456789abcdef"[z & 15];
    id[16] = '\0';
}

static void name_request(struct request *r)
{
    struct str given;
    if (r->head && http_find(r->head, "x-request-id", &given) && id_ok(given))
        str_copy(r->id, sizeof(r->id), given);
    else
        make_id(r->id);
}

/* As far as the path of a head that can't be served tells whose SDK is to understand the refusal. */
static enum dialect dialect_of_refused(struct str bytes)
{
    struct str line, method = STR_NULL, path = STR_NULL;
    str_split(&bytes, '\r', &line);
    str_split(&line, ' ', &method);
    str_split(&line, ' ', &path);
    const char *query = path.n > 0 ? memchr(path.p, '?', path.n) : NULL;
    path.n = query ? (size_t)(query - path.p) : path.n;
    return endpoint_match(method, path).dialect;
}

/* A head that can't be served: 1 answered; 0: there is nobody to answer, or nothing to answer yet. */
static int refuse_head(struct request *r, enum client_result got, const struct http_refusal *why)
{
    struct client *c = r->client;
    if (got == CLIENT_WAITS)
        c->waits = true;
    if (got == CLIENT_CLOSED)
        c->gone = true;
    if (got == CLIENT_CLOSED || got == CLIENT_WAITS)
        return 0;
    c->must_close = true;
    name_request(r);
    r->dialect = dialect_of_refused((struct str){c->in.p, c->in.n});
    if (got == CLIENT_TOO_SLOW) {
        answer_error(r, 408, NULL, "The request's head did not arrive in time.");
    } else {
        METRIC_INC(r->worker->metrics, malformed_total);
        answer_error(r, why->status, NULL, "%s", why->reason);
    }
    return 1;
}

static void run_stages(struct request *r)
{
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
        if (stages[i](r) == STEP_DONE)
            return;
}

static void begin(struct request *r)
{
    char *extra = arena_alloc(r->arena, EXTRA_HEADERS);
    r->extra = (struct buf){.p = extra, .cap = EXTRA_HEADERS, .max = EXTRA_HEADERS};
    r->start_ns = clock_mono_ns();
    r->start_us = clock_wall_us();
    r->provider = -1;
    buf_init(&r->decoded, r->worker->config->http.max_body);
    atomic_store_explicit(&r->worker->line->phase, PHASE_READ, memory_order_relaxed);
}

/* Settles and records what came of it; whether the connection may carry another request. */
static bool finish(struct request *r)
{
    struct client *c = r->client;
    if (!c->waits) {
        request_settle(r);
        request_record(r);
        client_next(c);
    }
    buf_free(&r->decoded); /* the model's name may stand in it */
    return r->status != 0 && !r->closes && !r->failed_midway && !c->must_close && !c->gone && !c->waits;
}

bool request_serve(struct worker *w, struct client *c)
{
    struct http_head head;
    struct http_refusal why = {400, "The request is malformed."};
    arena_reset(&w->arena);
    struct request r;
    memset(&r, 0, offsetof(struct request, key.models));
    r.worker = w;
    r.client = c;
    r.arena = &w->arena;

    c->waits = false;
    enum client_result got = client_read_head(c, &head, &why);
    begin(&r);
    if (got != CLIENT_OK) {
        if (refuse_head(&r, got, &why))
            finish(&r);
        return false;
    }
    r.head = &head;
    name_request(&r);
    run_stages(&r);
    if (r.status == 0 && !c->gone && !c->waits)
        answer_error(&r, 500, NULL, "The gateway found no way to answer this request.");
    return finish(&r);
}

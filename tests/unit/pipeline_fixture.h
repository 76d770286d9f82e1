/* A worker without processes: a configuration in memory, a real segment in a folder of its own, a client on a
 * socketpair. worker_wait is the test's: it runs a hook where a real worker would wait, so no test sleeps. */
#ifndef TESTS_UNIT_PIPELINE_FIXTURE_H
#define TESTS_UNIT_PIPELINE_FIXTURE_H

#include "answer.h"
#include "client.h"
#include "clock.h"
#include "request.h"
#include "scoreboard.h"
#include "segment.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

struct fixture {
    char folder[64];
    struct config conf;
    struct heritage heritage;
    struct worker worker;
    struct client client;
    int peer; /* the client's end */
    /* where worker_wait would wait; returns its events. NULL: nothing ever happens */
    unsigned (*hook)(struct fixture *f);
    unsigned waits;
    char out[1 << 20]; /* what the peer has read */
};

static struct fixture fx;

unsigned worker_wait(struct worker *w, const struct client *c, int fd, short events, int64_t deadline_ns)
{
    (void)w;
    (void)c;
    (void)fd;
    (void)events;
    (void)deadline_ns;
    fx.waits++;
    return fx.hook ? fx.hook(&fx) : WORKER_TIMEOUT;
}

/* Providers "one" and "two", models "small", "big-*"; small limits everywhere. */
static inline void fixture_config(struct config *c)
{
    static struct conf_provider providers[2] = {
        {.name = "one", .type = "virtual"},
        {.name = "two", .type = "openai"},
    };
    static struct conf_model models[2] = {
        {.name = "small",
         .targets = {{.provider = 0, .model = "tiny"}},
         .n_targets = 1,
         .price = {.input = 100, .output = 1000, .known = true}},
        {.name = "big-*", .targets = {{.provider = 1, .model = "*"}}, .n_targets = 1},
    };
    *c = (struct config){.providers = providers, .n_providers = 2, .models = models, .n_models = 2};
    c->workers.max = 8;
    c->workers.spare = 2;
    c->http.max_head = 8192;
    c->http.max_headers = 100;
    c->http.max_body = 4 << 20;
    c->http.head_timeout_ms = 10000;
    c->http.body_timeout_ms = 10000;
    c->http.write_timeout_ms = 10000;
    c->http.min_rate = 1024;
    c->limits.output_reserve = 1000;
    c->limits.table_slots = 4096;
}

static inline void fixture_peer(struct fixture *f)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct handover m = {.kind = HAND_GIVE, .fd = pair[0], .spool_fd = -1};
    client_take(&f->client, &m);
    f->peer = pair[1];
}

static inline int fixture_up(void **state)
{
    struct error err = {""};
    memset(&fx, 0, sizeof(fx));
    assert_non_null(temp_folder_new(fx.folder));
    fixture_config(&fx.conf);
    fx.conf.run_dir = fx.conf.state_dir = fx.folder;
    fx.heritage = (struct heritage){.config = &fx.conf, .slot = SLOT_WORKER0};
    struct worker *w = &fx.worker;
    *w = (struct worker){.config = &fx.conf, .heritage = &fx.heritage, .slot = SLOT_WORKER0};
    if (segment_create(&w->segment, fx.folder, fx.conf.limits.table_slots, &err) < 0)
        fail_msg("%s", err.text);
    w->line = segment_line(&w->segment, w->slot);
    w->metrics = segment_metrics(&w->segment, w->slot);
    scoreboard_enter(&w->segment, w->slot, "worker", 1, clock_mono_ns());
    arena_init(&w->arena);
    client_init(&fx.client, w);
    fixture_peer(&fx);
    *state = &fx;
    return 0;
}

static inline int fixture_down(void **state)
{
    struct fixture *f = *state;
    client_free(&f->client);
    close(f->peer);
    arena_fini(&f->worker.arena);
    segment_detach(&f->worker.segment);
    temp_folder_remove(f->folder);
    return 0;
}

static inline void peer_sends(struct fixture *f, struct str s)
{
    assert_int_equal(send(f->peer, s.p, s.n, MSG_NOSIGNAL), s.n);
}

/* All that is there for the peer now, with a NUL behind it. */
static inline struct str peer_reads(struct fixture *f)
{
    size_t n = 0;
    ssize_t got;
    while (n < sizeof(f->out) - 1 &&
           (got = recv(f->peer, f->out + n, sizeof(f->out) - 1 - n, MSG_DONTWAIT)) > 0)
        n += (size_t)got;
    f->out[n] = '\0';
    return (struct str){f->out, n};
}

/* A request whose head is read, as request_serve has it before the stages. */
static inline void fixture_request(struct fixture *f, struct request *r, struct http_head *head)
{
    static char extra[4096];
    *r = (struct request){.worker = &f->worker, .client = &f->client, .arena = &f->worker.arena};
    r->start_ns = clock_mono_ns();
    r->start_us = clock_wall_us();
    r->provider = -1;
    r->head = head;
    r->extra = (struct buf){.p = extra, .cap = sizeof(extra), .max = sizeof(extra)};
    str_copy(r->id, sizeof(r->id), STR("req-1"));
    buf_init(&r->decoded, f->conf.http.max_body);
}

/* The same, from the bytes of a request. */
static inline void fixture_serve_head(struct fixture *f, struct request *r, struct http_head *head,
                                      struct str bytes)
{
    struct http_refusal why;
    peer_sends(f, bytes);
    assert_int_equal(client_read_head(&f->client, head, &why), CLIENT_OK);
    fixture_request(f, r, head);
    r->match = endpoint_match(head->method, head->path);
    r->dialect = r->match.dialect;
}

static inline uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

#endif

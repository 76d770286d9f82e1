/* The cache process: sole writer of the response cache. It takes mail (entries from workers, purges from the
 * admin process), stores it in batches, removes what expires, and evicts when it gets full. Nothing waits for
 * it but a purge; when it dies, the master starts another, and mail waits in the socket meanwhile. */
#include "cache_store.h"
#include "clock.h"
#include "control.h"
#include "heritage.h"
#include "log.h"
#include "metrics.h"
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define TIDY_EVERY (1 * NS_PER_SEC)

enum { BATCH_MAILS = 64, BATCH_BYTES = 4 << 20, TICK_MS = 500, RECORD_EXTRA = 4096 };

struct cache {
    const struct heritage *h;
    struct shm_metrics *metrics;
    struct cache_store *store; /* NULL: caching is off, or the files can't be had: mail is dropped */
    int64_t tidied_ns, tried_ns;
    bool stop, complained;
};

struct batch {
    struct cache_mail mails[BATCH_MAILS];
    size_t n, bytes;
};

static int64_t now_s(void)
{
    return clock_wall_us() / 1000000;
}

static void failed(struct cache *c, const struct error *err)
{
    METRIC_INC(c->metrics, cache_errors_total);
    if (!c->complained)
        log_warn("%s (told once)", err->text);
    c->complained = true;
}

/* What crashes this process may lie in the files, and would do so again: the next one begins anew. A kill
 * from outside takes nothing from them. */
static char note[CACHE_NOTE_PATH];

static void on_crash(int sig)
{
    unlink(note);
    raise(sig); /* by now it does what it does to everybody (SA_RESETHAND) */
}

static void expect_crashes(const struct cache_store *store)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    struct sigaction act = {.sa_handler = on_crash, .sa_flags = SA_RESETHAND};
    cache_store_note(store, note);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &act, NULL);
}

/* Opens the files where that has not been done or failed; tried again now and then, as a disk may get room.
 */
static void open_store(struct cache *c)
{
    const struct config *config = c->h->config;
    int64_t now = clock_mono_ns();
    if (c->store != NULL || !config->cache.enabled ||
        (c->tried_ns != 0 && now - c->tried_ns < 10 * TIDY_EVERY))
        return;
    struct error err;
    c->tried_ns = now;
    c->store =
        cache_store_open(config->state_dir, config->cache.max_bytes, c->h->segment.header->boot_id, &err);
    if (c->store == NULL)
        failed(c, &err);
    else
        expect_crashes(c->store);
}

/* What has come, up to a batch. */
static void collect(struct cache *c, struct batch *b)
{
    unsigned dropped = 0;
    size_t max_record = (size_t)c->h->config->cache.max_entry + RECORD_EXTRA;
    b->n = 0;
    b->bytes = 0;
    while (b->n < BATCH_MAILS && b->bytes < BATCH_BYTES) {
        int rc = cache_mail_recv(c->h->cache_fd, max_record, &b->mails[b->n], &dropped);
        if (rc < 0)
            c->stop = true; /* no one is left who could send */
        if (rc != 1)
            break;
        b->bytes += b->mails[b->n++].record.n;
    }
    metric_add(&c->metrics->cache_errors_total, dropped);
}

static void store(struct cache *c, const struct cache_mail *m, size_t n)
{
    struct error err;
    uint64_t stored, evicted;
    if (n == 0 || c->store == NULL)
        return;
    int rc = cache_store_put(c->store, m, n, now_s(), &stored, &evicted, &err);
    metric_add(&c->metrics->cache_stores_total, stored);
    metric_add(&c->metrics->cache_evicted_total, evicted);
    if (rc < 0)
        failed(c, &err);
}

static void purge(struct cache *c, struct cache_mail *m)
{
    struct error err;
    uint64_t removed = 0;
    if (c->store != NULL && cache_store_purge(c->store, m->scope, &removed, &err) < 0) {
        failed(c, &err);
        return; /* whoever asked sees the socket close without an answer */
    }
    cache_mail_answer(m, removed);
}

/* A reader could not read what is there. One that still has older files open may say so later. */
static void begin_anew(struct cache *c, uint64_t file)
{
    struct error err;
    if (c->store != NULL && cache_store_begin_anew(c->store, file, &err) < 0)
        failed(c, &err);
}

/* In the order they came: a purge removes what was sent before it, and nothing later. */
static void apply(struct cache *c, struct batch *b)
{
    size_t from = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->mails[i].kind == CACHE_MAIL_STORE)
            continue;
        store(c, b->mails + from, i - from);
        if (b->mails[i].kind == CACHE_MAIL_PURGE)
            purge(c, &b->mails[i]);
        else
            begin_anew(c, b->mails[i].file);
        from = i + 1;
    }
    store(c, b->mails + from, b->n - from);
    for (size_t i = 0; i < b->n; i++)
        cache_mail_free(&b->mails[i]);
}

static void tidy(struct cache *c)
{
    struct error err;
    uint64_t expired = 0, evicted = 0;
    int64_t now = clock_mono_ns();
    if (c->store == NULL || now - c->tidied_ns < TIDY_EVERY)
        return;
    c->tidied_ns = now;
    cache_store_reap_readers(c->store);
    if (cache_store_expire(c->store, now_s(), &expired, &err) < 0 ||
        cache_store_evict(c->store, &evicted, &err) < 0)
        failed(c, &err);
    metric_add(&c->metrics->cache_expired_total, expired);
    metric_add(&c->metrics->cache_evicted_total, evicted);
}

static void hear(struct cache *c)
{
    struct control m;
    int rc = control_recv(c->h->control_fd, &m);
    if (rc == 1 && m.fd >= 0)
        close(m.fd);
    if ((rc == 1 && m.kind == CTL_DRAIN) || rc == 0)
        c->stop = true; /* asked to, or the master is gone */
    else if (rc < 0 && errno != EAGAIN && errno != EINTR && errno != EPROTO)
        c->stop = true;
}

void cache_main(const struct heritage *h)
{
    static struct batch batch;
    process_enter(h, "cache");
    struct cache c = {.h = h, .metrics = segment_metrics(&h->segment, h->slot)};
    struct pollfd fds[] = {{.fd = h->control_fd, .events = POLLIN}, {.fd = h->cache_fd, .events = POLLIN}};
    while (!c.stop) {
        open_store(&c);
        int n = poll(fds, 2, TICK_MS);
        if (n > 0 && fds[0].revents != 0)
            hear(&c);
        do {
            collect(&c, &batch);
            apply(&c, &batch);
            tidy(&c);
        } while (batch.n == BATCH_MAILS);
    }
    cache_store_close(&c.store);
    _exit(0);
}

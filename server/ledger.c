/* The ledger: sole writer of the usage store. Runs as one process that may be killed at any instruction
 * (ledger_drain.c says why nothing is lost or doubled by that).
 *
 * It commits in groups: a commit costs two syncs of the disk, whatever the number of rows. So after a commit
 * it lets rows gather for ledger.commit_ms, unless a ring is half full and its worker would soon have to
 * wait.
 *
 * When the store (or the disk) is full, rows stay in their rings, header.store_full tells the workers, who
 * refuse or serve by policy, and it tries again each second. It also clears dead processes from the reader
 * tables of the stores, since a dead reader would keep their pages from being reused. */
#include "clock.h"
#include "control.h"
#include "heritage.h"
#include "keystore.h"
#include "ledger_drain.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "process.h"
#include "ring.h"
#include "spill.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define REAP_EVERY   (250 * NS_PER_MS)
#define SPILL_EVERY  (1 * NS_PER_SEC)
#define RETRY_EVERY  (1 * NS_PER_SEC)
#define DRAIN_LIMIT  (5 * NS_PER_SEC)
#define LOG_EVERY    (60 * NS_PER_SEC)
#define GATHER_SLICE (NS_PER_MS)

enum { IDLE_MS = 100, FAILURES_MAX = 20 };

struct ledger {
    const struct heritage *h;
    struct shm_metrics *metrics;
    struct drain drain;
    struct keystore *keys; /* for clearing its readers; NULL until there is one */
    int64_t committed_ns, spill_ns, reaped_ns, logged_ns;
    bool reap_due, stop;
    unsigned failures; /* in a row */
};

/* ---- the master's messages ---- */

static void hear(struct ledger *l)
{
    struct pollfd p = {.fd = l->h->control_fd, .events = POLLIN};
    while (!l->stop && poll(&p, 1, 0) == 1) {
        struct control m;
        int rc = control_recv(l->h->control_fd, &m);
        if (rc == 1 && m.fd >= 0)
            close(m.fd);
        if (rc == 1 && m.kind == CTL_DIED)
            l->reap_due = true;
        else if ((rc == 1 && m.kind == CTL_DRAIN) || rc == 0)
            l->stop = true; /* asked to, or the master is gone */
        else if (rc < 0 && errno != EAGAIN && errno != EINTR && errno != EPROTO)
            l->stop = true;
    }
}

/* The key store exists when its salt does; before, opening it would wait. */
static void open_keys(struct ledger *l)
{
    char salt[4096];
    snprintf(salt, sizeof salt, "%s/store/keys/salt", l->h->config->state_dir);
    struct error err;
    if (l->keys == NULL && access(salt, R_OK) == 0 &&
        (l->keys = keystore_open(l->h->config->state_dir, false, &err)) == NULL)
        log_warn("the key store's readers can't be cleared: %s", err.text);
}

static void reap(struct ledger *l, int64_t now)
{
    if (!l->reap_due || now - l->reaped_ns < REAP_EVERY)
        return;
    l->reap_due = false;
    l->reaped_ns = now;
    usage_store_reap_readers(l->drain.store);
    open_keys(l);
    if (l->keys != NULL)
        keystore_reap_readers(l->keys);
}

/* ---- storing ---- */

static void set_full(struct ledger *l, bool full)
{
    _Atomic uint32_t *flag = &l->h->segment.header->store_full;
    if ((atomic_load(flag) != 0) == full)
        return;
    atomic_store(flag, full);
    if (full)
        log_error(
            "the usage store is full: new requests are %s until it has room (ledger.max_bytes, the disk)",
            l->h->config->ledger.serve_when_full ? "served, their usage is kept in spill files" : "refused");
    else
        log_info("the usage store has room again");
}

/* Notes how a commit (or an attempt) went: the pause before the next try, 0 when all is well. */
static int64_t judge(struct ledger *l, bool ok, bool full, const struct error *err)
{
    if (ok) {
        set_full(l, false);
        l->failures = 0;
        return 0;
    }
    METRIC_INC(l->metrics, ledger_errors_total);
    int64_t now = clock_mono_ns();
    if (l->failures++ == 0 || now - l->logged_ns > LOG_EVERY) {
        log_error("usage rows can't be stored now, they wait: %s", err->text);
        l->logged_ns = now;
    }
    if (full) {
        usage_store_reap_readers(l->drain.store); /* it may only be a dead reader that keeps pages */
        set_full(l, true);
    } else if (l->failures > FAILURES_MAX) {
        log_error("the usage store fails again and again: starting anew");
        _exit(1);
    }
    return RETRY_EVERY;
}

static int64_t drain_rings(struct ledger *l, bool *idle)
{
    struct error err = {""};
    struct drained done;
    enum drain_result r = drain_pass(&l->drain, &done, &err);
    *idle = r == DRAIN_NOTHING;
    if (r == DRAIN_NOTHING)
        return 0;
    l->committed_ns = clock_mono_ns();
    if (r == DRAIN_STORED) {
        METRIC_INC(l->metrics, ledger_commits_total);
        metric_add(&l->metrics->ledger_rows_total, done.rows);
        metric_add(&l->metrics->ledger_killed_total, done.killed);
    }
    return judge(l, r == DRAIN_STORED, r == DRAIN_FULL, &err);
}

static int64_t take_spilled(struct ledger *l)
{
    struct error err = {""};
    uint64_t rows;
    bool full;
    int rc = spill_take(l->drain.store, l->h->config->state_dir, &rows, &full, &err);
    l->spill_ns = clock_mono_ns();
    metric_add(&l->metrics->ledger_rows_total, rows);
    metric_add(&l->metrics->ledger_spilled_total, rows);
    if (rc == 0 && rows == 0)
        return 0; /* says nothing about the store */
    return judge(l, rc == 0, full, &err);
}

/* Lets rows gather since the last commit, while no worker comes near waiting. */
static void gather(struct ledger *l)
{
    int64_t until = l->committed_ns + (int64_t)l->h->config->ledger.commit_ms * NS_PER_MS;
    while (!l->stop && clock_mono_ns() < until && drain_fullest(&l->drain) < SHM_RING_ROWS / 2) {
        nanosleep(&(struct timespec){.tv_nsec = GATHER_SLICE}, NULL);
        hear(l);
    }
}

static void pause_for(struct ledger *l, int64_t ns)
{
    int64_t until = clock_mono_ns() + ns;
    while (!l->stop && clock_mono_ns() < until) {
        nanosleep(&(struct timespec){.tv_nsec = 20 * NS_PER_MS}, NULL);
        hear(l);
        reap(l, clock_mono_ns());
    }
}

static void run(struct ledger *l)
{
    take_spilled(l);
    while (!l->stop) {
        bool idle;
        ring_ledger_sleep(&l->h->segment, l->reap_due ? (int)(REAP_EVERY / NS_PER_MS) : IDLE_MS);
        hear(l);
        reap(l, clock_mono_ns());
        gather(l);
        int64_t pause = drain_rings(l, &idle);
        if (pause == 0 && clock_mono_ns() - l->spill_ns > SPILL_EVERY)
            pause = take_spilled(l);
        if (pause > 0)
            pause_for(l, pause);
    }
}

/* The last words of the workers that the master has waited for. */
static void finish(struct ledger *l)
{
    int64_t give_up = clock_mono_ns() + DRAIN_LIMIT;
    bool idle = false;
    while (!idle && clock_mono_ns() < give_up)
        if (drain_rings(l, &idle) > 0)
            nanosleep(&(struct timespec){.tv_nsec = 100 * NS_PER_MS}, NULL);
    take_spilled(l);
    usage_store_close(&l->drain.store);
    keystore_close(&l->keys);
}

void ledger_main(const struct heritage *h)
{
    process_enter(h, "ledger");
    struct error err = {""};
    struct ledger *l = mem_alloc(sizeof *l);
    l->h = h;
    l->metrics = segment_metrics(&h->segment, h->slot);
    l->drain.segment = &h->segment;
    l->drain.store = usage_store_open(h->config->state_dir, true, h->config->ledger.max_bytes, &err);
    if (l->drain.store == NULL) {
        log_error("the usage store can't be opened: %s", err.text);
        _exit(1);
    }
    run(l);
    finish(l);
    _exit(0);
}

/* The ledger: sole writer of the usage store. One process of two threads, which may be killed at any
 * instruction (ledger_collect.c and ledger_commit.c say why nothing is lost or doubled by that):
 *
 *   rings --collect--> stage --commit--> store
 *
 * The main thread collects: it follows the rings closely, so that no worker waits for room, and does nothing
 * that could wait for a disk. The committing thread is the only one that touches LMDB. It commits in groups:
 * a commit costs two syncs of the disk whatever the number of rows, so after one it lets rows gather for
 * ledger.commit_ms.
 *
 * When the store (or the disk) is full, rows stay where they are, header.store_full tells the workers, who
 * refuse or serve by policy, and it is tried again each second. The committing thread also clears dead
 * processes from the reader tables of the stores (a dead reader keeps pages from being used again), and takes
 * over what workers have spilled, and removes what has been kept long enough (ledger_prune.c). */
#include "clock.h"
#include "control.h"
#include "heritage.h"
#include "keystore.h"
#include "ledger_collect.h"
#include "ledger_commit.h"
#include "ledger_prune.h"
#include "log.h"
#include "metrics.h"
#include "process.h"
#include "ring.h"
#include "spill.h"
#include "stage.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define REAP_EVERY  (250 * NS_PER_MS)
#define SPILL_EVERY (1 * NS_PER_SEC)
#define RETRY_EVERY (1 * NS_PER_SEC)
#define LOG_EVERY   (60 * NS_PER_SEC)
#define NAP_MIN     (NS_PER_MS / 10) /* between two passes over the rings */
#define NAP_MAX     (4 * NS_PER_MS)
#define IDLE_TICK   (250 * NS_PER_MS) /* of the committing thread, when nothing is staged */

enum { IDLE_MS = 100, DRAIN_S = 10, FAILURES_MAX = 20 };

struct ledger {
    const struct heritage *h;
    struct shm_metrics *metrics; /* each counter has one thread that adds to it */
    struct collector collector;  /* the main thread's */
    bool stop;                   /* … the master wants us to end, or is gone */
    bool died;                   /* … somebody's death has not been told to the other thread */

    struct committer committer; /* the committing thread's, as all below */
    struct pruner pruner;
    struct keystore *keys; /* for clearing its readers; NULL until there is one */
    int64_t committed_ns, spill_ns, reaped_ns, logged_ns;
    unsigned failures; /* in a row */

    pthread_mutex_t mutex; /* guards what follows; never held while something is done */
    pthread_cond_t news;
    bool wanted, reap_due, finishing;
};

/* ---- the committing thread ---- */

/* Waits until something is wanted of it, or the time is over. True: it is to finish. */
static bool wait_news(struct ledger *l, int64_t ns)
{
    struct timespec until;
    int64_t at = clock_mono_ns() + ns;
    until = (struct timespec){.tv_sec = at / NS_PER_SEC, .tv_nsec = at % NS_PER_SEC};
    pthread_mutex_lock(&l->mutex);
    int rc = 0;
    while (!l->wanted && !l->finishing && rc == 0)
        rc = pthread_cond_timedwait(&l->news, &l->mutex, &until);
    l->wanted = false;
    bool finishing = l->finishing;
    pthread_mutex_unlock(&l->mutex);
    return finishing;
}

static bool take_reap_due(struct ledger *l)
{
    pthread_mutex_lock(&l->mutex);
    bool due = l->reap_due;
    l->reap_due = false;
    pthread_mutex_unlock(&l->mutex);
    return due;
}

/* The key store exists when its salt does; before, opening it would wait. */
static void open_keys(struct ledger *l)
{
    char salt[4096];
    struct error err;
    snprintf(salt, sizeof salt, "%s/store/keys/salt", l->h->config->state_dir);
    if (l->keys == NULL && access(salt, R_OK) == 0 &&
        (l->keys = keystore_open(l->h->config->state_dir, false, &err)) == NULL)
        log_warn("the key store's readers can't be cleared: %s", err.text);
}

static void reap(struct ledger *l)
{
    int64_t now = clock_mono_ns();
    if (now - l->reaped_ns < REAP_EVERY || !take_reap_due(l))
        return;
    l->reaped_ns = now;
    usage_store_reap_readers(l->committer.store);
    open_keys(l);
    if (l->keys != NULL)
        keystore_reap_readers(l->keys);
}

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

/* Notes how a commit went. False: it is to be tried again after a pause. */
static bool judge(struct ledger *l, bool ok, bool full, const struct error *err)
{
    if (ok) {
        set_full(l, false);
        l->failures = 0;
        return true;
    }
    METRIC_INC(l->metrics, ledger_errors_total);
    int64_t now = clock_mono_ns();
    if (l->failures++ == 0 || now - l->logged_ns > LOG_EVERY) {
        log_error("usage rows can't be stored now, they wait: %s", err->text);
        l->logged_ns = now;
    }
    if (full) {
        usage_store_reap_readers(l->committer.store); /* it may only be a dead reader that keeps pages */
        set_full(l, true);
    } else if (l->failures > FAILURES_MAX) {
        log_error("the usage store fails again and again: starting anew");
        _exit(1);
    }
    return false;
}

static bool commit_staged(struct ledger *l)
{
    struct error err = {""};
    uint64_t rows;
    enum commit_result r = committer_pass(&l->committer, &rows, &err);
    if (r == COMMIT_NOTHING)
        return true;
    l->committed_ns = clock_mono_ns();
    if (r == COMMIT_STORED) {
        METRIC_INC(l->metrics, ledger_commits_total);
        metric_add(&l->metrics->ledger_rows_total, rows);
    }
    return judge(l, r == COMMIT_STORED, r == COMMIT_FULL, &err);
}

static bool take_spilled(struct ledger *l)
{
    struct error err = {""};
    uint64_t rows;
    bool full;
    int rc = spill_take(l->committer.store, l->h->config->state_dir, &rows, &full, &err);
    l->spill_ns = clock_mono_ns();
    metric_add(&l->metrics->ledger_rows_total, rows);
    metric_add(&l->metrics->ledger_spilled_total, rows);
    if (rc == 0 && rows == 0) { /* says nothing about the store; but where nothing waits, nobody is refused */
        if (stage_waiting(&l->h->segment) == 0)
            set_full(l, false);
        return true;
    }
    return judge(l, rc == 0, full, &err);
}

/* A failure says nothing about new rows: what keeps them out shows when they are committed. */
static void prune(struct ledger *l)
{
    struct error err = {""};
    uint64_t rows;
    if (pruner_pass(&l->pruner, clock_mono_ns(), clock_wall_us(), &rows, &err) < 0) {
        METRIC_INC(l->metrics, ledger_errors_total);
        log_warn("old usage rows can't be removed now: %s", err.text);
    }
    metric_add(&l->metrics->ledger_pruned_total, rows);
}

static int64_t idle_for(const struct ledger *l)
{
    int64_t due = pruner_due_in(&l->pruner, clock_mono_ns());
    return due < IDLE_TICK ? due : IDLE_TICK;
}

/* Lets rows gather since the last commit, while there is room enough. */
static bool gather(struct ledger *l)
{
    int64_t left = l->committed_ns + (int64_t)l->h->config->ledger.commit_ms * NS_PER_MS - clock_mono_ns();
    while (left > 0 && stage_waiting(&l->h->segment) < SHM_STAGE_ROWS / 2) {
        if (wait_news(l, left))
            return true;
        left = l->committed_ns + (int64_t)l->h->config->ledger.commit_ms * NS_PER_MS - clock_mono_ns();
    }
    return false;
}

static void *commit_main(void *arg)
{
    struct ledger *l = arg;
    bool finishing = false, ok = take_spilled(l);
    while (!finishing) {
        if (!ok)
            finishing = wait_news(l, RETRY_EVERY);
        else if (stage_waiting(&l->h->segment) == 0)
            finishing = wait_news(l, idle_for(l));
        if (ok && !finishing)
            finishing = gather(l);
        ok = commit_staged(l);
        if (ok && clock_mono_ns() - l->spill_ns > SPILL_EVERY)
            ok = take_spilled(l);
        if (!finishing)
            prune(l);
        reap(l);
    }
    if (commit_staged(l))
        take_spilled(l);
    usage_store_close(&l->committer.store);
    keystore_close(&l->keys);
    return NULL;
}

/* ---- the main thread ---- */

static void tell(struct ledger *l, bool finishing)
{
    pthread_mutex_lock(&l->mutex);
    l->wanted = true;
    l->reap_due = l->reap_due || l->died;
    l->finishing = l->finishing || finishing;
    pthread_cond_signal(&l->news);
    pthread_mutex_unlock(&l->mutex);
    l->died = false;
}

static void hear(struct ledger *l)
{
    struct pollfd p = {.fd = l->h->control_fd, .events = POLLIN};
    while (!l->stop && poll(&p, 1, 0) == 1) {
        struct control m;
        int rc = control_recv(l->h->control_fd, &m);
        if (rc == 1 && m.fd >= 0)
            close(m.fd);
        if (rc == 1 && m.kind == CTL_DIED)
            l->died = true;
        else if ((rc == 1 && m.kind == CTL_DRAIN) || rc == 0)
            l->stop = true; /* asked to, or the master is gone */
        else if (rc < 0 && errno != EAGAIN && errno != EINTR && errno != EPROTO)
            l->stop = true;
    }
}

static struct collected collect(struct ledger *l)
{
    bool was_empty = stage_waiting(&l->h->segment) == 0;
    struct collected done = collector_pass(&l->collector);
    metric_add(&l->metrics->ledger_killed_total, done.killed);
    bool much = stage_waiting(&l->h->segment) >= SHM_STAGE_ROWS / 2;
    if (l->died || (done.rows > 0 && (was_empty || much)))
        tell(l, false);
    return done;
}

/* Each row that is published wakes us; a nap after a pass lets rows come together. It is as long as the
 * busiest worker allows, so that no ring gets full meanwhile. */
static int64_t next_nap(int64_t nap, uint64_t most)
{
    if (most >= SHM_RING_ROWS / 2)
        return nap / 2 > NAP_MIN ? nap / 2 : NAP_MIN;
    if (most <= 1)
        return nap * 2 < NAP_MAX ? nap * 2 : NAP_MAX;
    return nap;
}

static void collect_main(struct ledger *l)
{
    int64_t nap = NAP_MAX;
    while (!l->stop) {
        ring_ledger_sleep(&l->h->segment, IDLE_MS);
        hear(l);
        struct collected done = collect(l);
        if (done.rows == 0 && !done.full)
            continue;
        nap = next_nap(nap, done.most);
        nanosleep(&(struct timespec){.tv_nsec = done.full ? NAP_MAX : nap}, NULL);
    }
}

/* The last rows of the workers, whom the master has waited for. What can't be stored in time stays in the
 * segment for the next ledger. */
static void finish(struct ledger *l, pthread_t committing)
{
    struct timespec until;
    while (collect(l).rows > 0)
        ;
    tell(l, true);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DRAIN_S;
    if (pthread_timedjoin_np(committing, NULL, &until) != 0)
        log_error("the usage store is too slow to take the last rows; they wait in the segment");
}

static void die(const char *what, const char *why)
{
    log_error("%s: %s", what, why);
    _exit(1);
}

void ledger_main(const struct heritage *h)
{
    process_enter(h, "ledger");
    struct error err = {""};
    static struct ledger ledger; /* outlives this stack frame: the other thread may be busy when we end */
    struct ledger *l = &ledger;
    pthread_condattr_t attr;
    pthread_t committing;
    l->h = h;
    l->metrics = segment_metrics(&h->segment, h->slot);
    l->died = true; /* whoever died while there was no ledger to be told */
    l->committer.segment = &h->segment;
    l->committer.store = usage_store_open(h->config->state_dir, true, h->config->ledger.max_bytes, &err);
    l->pruner = (struct pruner){.store = l->committer.store, .keep_days = h->config->ledger.keep_days};
    if (l->committer.store == NULL ||
        collector_init(&l->collector, &h->segment, l->committer.store, &err) < 0)
        die("the usage store can't be opened", err.text);
    pthread_mutex_init(&l->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->news, &attr);
    int rc = pthread_create(&committing, NULL, commit_main, l);
    if (rc != 0)
        die("the committing thread can't be started", strerror(rc));
    collect_main(l);
    finish(l, committing);
    _exit(0);
}

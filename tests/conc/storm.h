/* Two drivers for one list of operations: threads, and forked processes under random SIGKILL.
 *
 * An actor has a line of the scoreboard and does one random operation after the other. The driver of
 * processes is their master: it kills one after the other at random instants, tells the test (`died`),
 * settles the dead one's line as the real master does, and forks the next one. Under ThreadSanitizer only the
 * threads run. */
#ifndef TESTS_CONC_STORM_H
#define TESTS_CONC_STORM_H

#include "clock.h"
#include "mem.h"
#include "scoreboard.h"
#include "segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STORM_ACTORS = 8, STORM_THREADS_MS = 1500, STORM_KILLS = 1200, STORM_MAX_MS = 6000 };

#if defined(__SANITIZE_THREAD__)
#define STORM_FORKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STORM_FORKS 0
#endif
#endif
#ifndef STORM_FORKS
#define STORM_FORKS 1
#endif

struct actor {
    const struct segment *s;
    uint32_t slot;   /* its line */
    unsigned number; /* 0 .. STORM_ACTORS - 1 */
    uint64_t rnd;
    void *shared; /* the test's own, seen by all */
    _Atomic int *stop;
    void (*op)(struct actor *);
};

struct storm {
    struct segment s;
    char folder[64];
    void *shared;
    size_t shared_size;
    unsigned kills;
    /* the test's */
    void (*op)(struct actor *);
    void (*died)(struct storm *, unsigned number,
                 uint32_t slot);                   /* before the line is settled; may be NULL */
    void (*master)(struct storm *, uint64_t *rnd); /* now and then, by the master; may be NULL */
};

static inline uint64_t storm_random(uint64_t *rnd)
{
    *rnd ^= *rnd << 13;
    *rnd ^= *rnd >> 7;
    *rnd ^= *rnd << 17;
    return *rnd;
}

static inline uint64_t actor_random(struct actor *a, uint64_t below)
{
    return storm_random(&a->rnd) % below;
}

static inline int storm_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void storm_open(struct storm *t, uint32_t table_slots, size_t shared_size)
{
    struct error err;

    snprintf(t->folder, sizeof t->folder, "%s/aigw-conc-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(t->folder));
    if (segment_create(&t->s, t->folder, table_slots, &err) < 0)
        fail_msg("%s", err.text);
    scoreboard_enter(&t->s, SLOT_MASTER, "master", 1, clock_mono_ns());
    t->shared_size = shared_size;
    t->shared = mmap(NULL, shared_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(t->shared, MAP_FAILED);
}

static inline void storm_close(struct storm *t)
{
    munmap(t->shared, t->shared_size);
    segment_detach(&t->s);
    nftw(t->folder, storm_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void storm_nap(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};
    nanosleep(&t, NULL);
}

static inline uint64_t storm_seed(void)
{
    const char *given = getenv("STORM_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)clock_mono_ns();
    printf("STORM_SEED=%llu\n", (unsigned long long)seed);
    return seed | 1;
}

/* ---- threads ---- */

static inline void *storm_thread(void *arg)
{
    struct actor *a = arg;
    while (!atomic_load_explicit(a->stop, memory_order_relaxed))
        a->op(a);
    return NULL;
}

static inline void storm_threads(struct storm *t)
{
    struct actor actors[STORM_ACTORS];
    pthread_t threads[STORM_ACTORS];
    _Atomic int stop = 0;
    uint64_t rnd = storm_seed();

    for (unsigned i = 0; i < STORM_ACTORS; i++) {
        int slot = scoreboard_claim_worker(&t->s);
        assert_true(slot >= 0);
        scoreboard_enter(&t->s, (uint32_t)slot, "actor", 1, clock_mono_ns());
        actors[i] = (struct actor){.s = &t->s,
                                   .slot = (uint32_t)slot,
                                   .number = i,
                                   .rnd = storm_random(&rnd),
                                   .shared = t->shared,
                                   .stop = &stop,
                                   .op = t->op};
        assert_int_equal(pthread_create(&threads[i], NULL, storm_thread, &actors[i]), 0);
    }
    for (int64_t end = clock_mono_ns() + STORM_THREADS_MS * NS_PER_MS; clock_mono_ns() < end;) {
        if (t->master)
            t->master(t, &rnd);
        storm_nap(NS_PER_MS);
    }
    atomic_store(&stop, 1);
    for (unsigned i = 0; i < STORM_ACTORS; i++) {
        pthread_join(threads[i], NULL);
        if (t->died)
            t->died(t, i, actors[i].slot);
        scoreboard_reaped(&t->s, actors[i].slot);
    }
}

/* ---- processes ---- */

static inline pid_t storm_fork(struct storm *t, unsigned number, uint32_t slot, uint64_t rnd)
{
    pid_t parent = getpid(), pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    _Atomic int stop = 0;
    struct actor a = {.s = &t->s,
                      .slot = slot,
                      .number = number,
                      .rnd = rnd | 1,
                      .shared = t->shared,
                      .stop = &stop,
                      .op = t->op};
    scoreboard_enter(&t->s, slot, "actor", 1, clock_mono_ns());
    for (;;) {
        for (uint64_t n = actor_random(&a, 1000); n > 0; n--)
            a.op(&a);
        /* a process dies only when it next runs: leave the processors some room, or each kill takes 20 ms */
        storm_nap((int64_t)actor_random(&a, 500 * NS_PER_US));
    }
}

/* A line for the next actor; waits while the ledger still has to store the rows of the dead ones. */
static inline uint32_t storm_claim(struct storm *t, uint64_t *rnd)
{
    for (;;) {
        int slot = scoreboard_claim_worker(&t->s);
        if (slot >= 0 && slot < SLOT_WORKER0 + 4 * STORM_ACTORS)
            return (uint32_t)slot;
        if (slot >= 0)
            scoreboard_free(&t->s, (uint32_t)slot);
        if (t->master)
            t->master(t, rnd);
        storm_nap(NS_PER_MS);
    }
}

struct storm_child {
    pid_t pid;
    uint32_t slot;
};

/* An actor that ends by itself found something broken and said so. */
static inline void storm_kill(struct storm *t, unsigned i, const struct storm_child *c)
{
    int status = 0;

    kill(c->pid, SIGKILL);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("actor %u ended with status %x", i, (unsigned)status);
    t->kills++;
    if (t->died)
        t->died(t, i, c->slot);
    scoreboard_reaped(&t->s, c->slot);
}

static inline void storm_forks(struct storm *t)
{
    struct storm_child children[STORM_ACTORS];
    uint64_t rnd = storm_seed();

    for (unsigned i = 0; i < STORM_ACTORS; i++) {
        children[i].slot = storm_claim(t, &rnd);
        children[i].pid = storm_fork(t, i, children[i].slot, storm_random(&rnd));
    }
    for (int64_t end = clock_mono_ns() + STORM_MAX_MS * NS_PER_MS;
         t->kills < STORM_KILLS && clock_mono_ns() < end;) {
        storm_nap((int64_t)(storm_random(&rnd) % (1500 * NS_PER_US)));
        if (t->master)
            t->master(t, &rnd);
        unsigned i = storm_random(&rnd) % STORM_ACTORS;
        storm_kill(t, i, &children[i]);
        children[i].slot = storm_claim(t, &rnd);
        children[i].pid = storm_fork(t, i, children[i].slot, storm_random(&rnd));
    }
    for (unsigned i = 0; i < STORM_ACTORS; i++)
        storm_kill(t, i, &children[i]);
    printf("%u kills\n", t->kills);
}

/* What an actor must find true. A thread or a process that doesn't aborts, which fails the test. */
#define ACTOR_ASSERT(cond)                                                       \
    do {                                                                         \
        if (!(cond)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                             \
        }                                                                        \
    } while (0)

#endif

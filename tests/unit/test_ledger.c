/* The ledger's promise: each published row is in the store exactly once, also when the ledger is killed at
 * any point and again and again, and when workers are. */
#include "clock.h"
#include "ledger_collect.h"
#include "ledger_commit.h"
#include "ledger_prune.h"
#include "ring.h"
#include "scoreboard.h"
#include "spill.h"
#include "stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "shm_fixture.h"

static struct error err;

/* Both steps of the ledger. */
struct drain {
    struct usage_store *store;
    struct collector collector;
    struct committer committer;
};

static struct drain *drain_new(struct shm_fixture *f, uint64_t max_bytes)
{
    struct drain *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->store = usage_store_open(f->folder, true, max_bytes, &err);
    if (d->store == NULL || collector_init(&d->collector, &f->s, d->store, &err) < 0)
        fail_msg("%s", err.text);
    d->committer.segment = &f->s;
    d->committer.store = d->store;
    return d;
}

static void drain_free(struct drain *d)
{
    usage_store_close(&d->store);
    free(d);
}

/* One step after the other; *rows is how many have newly come into the store. */
static enum commit_result drain_pass(struct drain *d, uint64_t *rows)
{
    collector_pass(&d->collector);
    return committer_pass(&d->committer, rows, &err);
}

static uint32_t claim(struct shm_fixture *f)
{
    int slot = scoreboard_claim_worker(&f->s);
    assert_true(slot >= SLOT_WORKER0);
    scoreboard_enter(&f->s, (uint32_t)slot, "worker", 1, clock_mono_ns());
    return (uint32_t)slot;
}

static void fill_row(struct usage_row *row, uint32_t slot, uint64_t number)
{
    *row = (struct usage_row){.time_us = clock_wall_us(), .status = 200};
    row->tokens.input = number;
    snprintf(row->request_id, sizeof row->request_id, "%u-%llu", slot, (unsigned long long)number);
    snprintf(row->key_id, sizeof row->key_id, "key_%u", slot);
}

static bool publish(const struct segment *s, uint32_t slot, uint64_t number)
{
    struct usage_row *row = ring_entry(s, slot);
    if (row == NULL)
        return false;
    fill_row(row, slot, number);
    ring_publish(s, slot);
    return true;
}

/* How often each (slot, number) is in the store. */
enum { SLOTS = 8, NUMBERS = 64 * 1024 };
struct census {
    uint8_t times[SLOTS][NUMBERS];
    uint64_t rows, killed;
};

static int count_row(const struct usage_row *row, void *arg)
{
    struct census *c = arg;
    unsigned slot;
    unsigned long long number;
    assert_int_equal(sscanf(row->request_id, "%u-%llu", &slot, &number), 2);
    slot -= SLOT_WORKER0;
    assert_true(slot < SLOTS && number < NUMBERS);
    assert_int_equal(row->tokens.input, number);
    c->times[slot][number]++;
    c->rows++;
    c->killed += (row->flags & USAGE_KILLED) != 0;
    return 0;
}

static int take_total(const char *const values[], const struct usage_sum *sum, void *arg)
{
    (void)values;
    *(struct usage_sum *)arg = *sum;
    return 0;
}

static struct census *census(struct usage_store *store)
{
    struct census *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(usage_store_rows(store, 0, NULL, SIZE_MAX, count_row, c, &err), 0);
    struct usage_sum sum;
    assert_int_equal(usage_store_query(store, NULL, 0, NULL, NULL, take_total, &sum, &err), 0);
    assert_int_equal(sum.requests, c->rows); /* roll-ups agree with rows */
    assert_int_equal(sum.killed, c->killed);
    return c;
}

static void test_moves_rows(void **state)
{
    struct shm_fixture *f = *state;
    struct drain *d = drain_new(f, 64 << 20);
    uint64_t rows;
    uint32_t a = claim(f), b = claim(f);
    assert_int_equal(drain_pass(d, &rows), COMMIT_NOTHING);
    for (uint64_t i = 0; i < SHM_RING_ROWS; i++)
        assert_true(publish(&f->s, a, i));
    assert_false(publish(&f->s, a, SHM_RING_ROWS)); /* full */
    assert_true(publish(&f->s, b, 0));
    struct collected done = collector_pass(&d->collector);
    assert_int_equal(done.rows, SHM_RING_ROWS + 1);
    assert_int_equal(done.most, SHM_RING_ROWS);
    assert_int_equal(stage_waiting(&f->s), SHM_RING_ROWS + 1);
    assert_true(publish(&f->s, a, SHM_RING_ROWS)); /* room again, without any commit */
    assert_int_equal(drain_pass(d, &rows), COMMIT_STORED);
    assert_int_equal(rows, SHM_RING_ROWS + 2);
    assert_int_equal(stage_waiting(&f->s), 0);
    assert_int_equal(drain_pass(d, &rows), COMMIT_NOTHING);
    struct census *c = census(d->store);
    assert_int_equal(c->rows, SHM_RING_ROWS + 2);
    for (uint64_t i = 0; i <= SHM_RING_ROWS; i++)
        assert_int_equal(c->times[a - SLOT_WORKER0][i], 1);
    free(c);
    drain_free(d);
}

/* The segment's memory as it was, to be put back: what a ledger that died in between leaves. */
static void *remember(const struct shm_fixture *f)
{
    void *copy = malloc(f->s.size);
    assert_non_null(copy);
    memcpy(copy, f->s.header, f->s.size);
    return copy;
}

static void put_back(struct shm_fixture *f, const void *copy, bool keep_stage)
{
    struct shm_stage *stage = malloc(sizeof *stage);
    assert_non_null(stage);
    memcpy(stage, segment_stage(&f->s), sizeof *stage);
    memcpy(f->s.header, copy, f->s.size);
    if (keep_stage)
        memcpy(segment_stage(&f->s), stage, sizeof *stage);
    free(stage);
}

/* Between any two of its steps: staged and the rings not released; committed and the stage not released;
 * both. */
static void test_killed_between(void **state)
{
    struct shm_fixture *f = *state;
    struct drain *d = drain_new(f, 64 << 20);
    uint64_t rows, n = 0;
    uint32_t live = claim(f), dead = claim(f);
    for (int round = 0; round < 4; round++) {
        publish(&f->s, live, n);
        publish(&f->s, live, n + 1);
        publish(&f->s, dead, n);
        fill_row(ring_entry(&f->s, dead), dead, n + 1);
        ring_begin(&f->s, dead);
        scoreboard_reaped(&f->s, dead);
        assert_int_equal(atomic_load(&segment_line(&f->s, dead)->state), LINE_SETTLED);

        void *before = remember(f);
        struct collected done = collector_pass(&d->collector);
        assert_int_equal(done.rows, 4);
        assert_int_equal(done.killed, 1);
        assert_int_equal(atomic_load(&segment_line(&f->s, dead)->state), LINE_FREE);
        void *staged = remember(f);
        if (round == 0) {
            put_back(f, before, true);
        } else {
            assert_int_equal(committer_pass(&d->committer, &rows, &err), COMMIT_STORED);
            assert_int_equal(rows, 4);
            if (round < 3)
                put_back(f, round == 1 ? staged : before, false);
        }
        free(staged);
        if (round == 3) { /* committed, and the rings not released */
            put_back(f, before, true);
        }
        free(before);
        drain_free(d);

        d = drain_new(f, 64 << 20);
        assert_int_equal(collector_pass(&d->collector).rows, 0);
        assert_int_equal(ring_tail(&f->s, live), n + 2);
        assert_int_equal(ring_head(&f->s, dead), n + 2);
        assert_int_equal(ring_tail(&f->s, dead), n + 2);
        assert_int_equal(atomic_load(&segment_line(&f->s, dead)->state), LINE_FREE);
        enum commit_result again = committer_pass(&d->committer, &rows, &err);
        assert_int_equal(again, round < 2 ? COMMIT_STORED : COMMIT_NOTHING);
        assert_int_equal(rows, round == 0 ? 4 : 0);
        assert_int_equal(stage_waiting(&f->s), 0);
        assert_int_equal(claim(f), dead); /* its next owner goes on behind */
        n += 2;
    }
    struct census *c = census(d->store);
    for (uint64_t i = 0; i < n; i++) {
        assert_int_equal(c->times[live - SLOT_WORKER0][i], 1);
        assert_int_equal(c->times[dead - SLOT_WORKER0][i], 1);
    }
    assert_int_equal(c->killed, 4);
    free(c);
    drain_free(d);
}

/* A new segment (after a reboot) begins at 0 again; the old positions must not hide its rows. */
static void test_another_segment(void **state)
{
    struct shm_fixture *f = *state;
    struct drain *d = drain_new(f, 64 << 20);
    uint64_t rows;
    uint32_t slot = claim(f);
    for (uint64_t i = 0; i < 3; i++)
        publish(&f->s, slot, i);
    assert_int_equal(drain_pass(d, &rows), COMMIT_STORED);
    drain_free(d);

    struct segment second;
    char folder[64];
    assert_non_null(temp_folder_new(folder));
    assert_int_equal(segment_create(&second, folder, FIXTURE_TABLE, &err), 0);
    struct segment first = f->s;
    f->s = second;
    d = drain_new(f, 64 << 20);
    assert_int_equal(claim(f), slot);
    for (uint64_t i = 3; i < 5; i++)
        publish(&f->s, slot, i);
    assert_int_equal(drain_pass(d, &rows), COMMIT_STORED);
    assert_int_equal(rows, 2);
    struct census *c = census(d->store);
    assert_int_equal(c->rows, 5);
    free(c);
    drain_free(d);
    f->s = first;
    segment_detach(&second);
    temp_folder_remove(folder);
}

/* A store that was removed while the segment lives on: what is still in the rings is stored. */
static void test_lost_store(void **state)
{
    struct shm_fixture *f = *state;
    struct drain *d = drain_new(f, 64 << 20);
    uint64_t rows;
    uint32_t slot = claim(f);
    for (uint64_t i = 0; i < 20; i++) {
        publish(&f->s, slot, i);
        assert_int_equal(drain_pass(d, &rows), COMMIT_STORED);
    }
    drain_free(d);
    char path[128];
    snprintf(path, sizeof path, "%s/store", f->folder);
    temp_folder_remove(path);
    publish(&f->s, slot, 20);
    d = drain_new(f, 64 << 20);
    assert_int_equal(drain_pass(d, &rows), COMMIT_STORED);
    assert_int_equal(rows, 1);
    drain_free(d);
}

/* What a full store does not take stays staged; what does not fit there, in its ring; and nothing is lost. */
static void test_full_store(void **state)
{
    struct shm_fixture *f = *state;
    struct drain *d = drain_new(f, 1 << 20);
    uint64_t rows, published = 0;
    uint32_t slot = claim(f);
    enum commit_result r = COMMIT_STORED;
    while (r == COMMIT_STORED) {
        for (int i = 0; i < 50; i++) {
            while (published < NUMBERS && publish(&f->s, slot, published))
                published++;
            collector_pass(&d->collector);
        }
        r = committer_pass(&d->committer, &rows, &err);
    }
    assert_int_equal(r, COMMIT_FULL);
    uint64_t before;
    do {
        before = published;
        while (published < NUMBERS && publish(&f->s, slot, published))
            published++;
        collector_pass(&d->collector);
    } while (published > before);
    assert_int_equal(stage_waiting(&f->s), SHM_STAGE_ROWS);
    assert_true(collector_pass(&d->collector).full);
    assert_int_equal(ring_head(&f->s, slot) - ring_tail(&f->s, slot), SHM_RING_ROWS);
    assert_int_equal(committer_pass(&d->committer, &rows, &err), COMMIT_FULL);
    drain_free(d);

    d = drain_new(f, 16 << 20);
    assert_int_equal(committer_pass(&d->committer, &rows, &err), COMMIT_STORED);
    assert_int_equal(rows, SHM_STAGE_ROWS);
    assert_int_equal(drain_pass(d, &rows), COMMIT_STORED);
    assert_int_equal(rows, SHM_RING_ROWS);
    struct census *c = census(d->store);
    assert_int_equal(c->rows, published);
    free(c);
    drain_free(d);
}

/* ---- kill storms ---- */

static void pause_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

struct committing {
    struct shm_fixture *f;
    struct drain *d;
};

static void *commit_loop(void *arg)
{
    struct committing *c = arg;
    for (;;) {
        uint64_t rows;
        bool full;
        if (committer_pass(&c->d->committer, &rows, NULL) > COMMIT_STORED)
            _exit(1);
        if (spill_take(c->d->store, c->f->folder, &rows, &full, NULL) < 0)
            _exit(2);
        pause_us(200);
    }
    return NULL;
}

/* With its two threads, as the real one. */
static pid_t start_ledger(struct shm_fixture *f)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct committing c = {f, drain_new(f, 256 << 20)};
    pthread_t thread;
    if (pthread_create(&thread, NULL, commit_loop, &c) != 0)
        _exit(3);
    for (;;) {
        ring_ledger_sleep(&f->s, 1);
        collector_pass(&c.d->collector);
    }
}

/* A worker: rows from `first` on, every eighth one spilled; tells how far it is. */
static void produce(struct shm_fixture *f, uint32_t slot, uint64_t first, _Atomic uint64_t *published)
{
    for (uint64_t n = first; n < NUMBERS; n++) {
        struct usage_row row;
        fill_row(&row, slot, n);
        if (n % 8 == 7) {
            if (spill_append(f->folder, slot, &row, NULL) < 0)
                _exit(1);
        } else {
            struct usage_row *entry;
            while ((entry = ring_entry(&f->s, slot)) == NULL)
                ring_wait(&f->s, slot, 1000);
            *entry = row;
            ring_begin(&f->s, slot);
            pause_us(20); /* the call of a provider: kills find begun rows */
            ring_publish(&f->s, slot);
        }
        atomic_store(published, n + 1);
    }
    for (;;)
        pause();
}

static void kill_and_reap(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status))
        fail_msg("exited by itself with status %x", (unsigned)status);
}

struct storm {
    _Atomic uint64_t *published; /* shared: rows of each slot that its workers are sure of */
    uint32_t slots[SLOTS];
    pid_t workers[SLOTS], ledger;
    bool maybe[SLOTS][NUMBERS]; /* under way when its worker was killed: stored once, or not */
};

static void start_worker(struct shm_fixture *f, struct storm *st, int i)
{
    uint64_t first = atomic_load(&st->published[i]);
    st->workers[i] = fork();
    if (st->workers[i] == 0)
        produce(f, st->slots[i], first, &st->published[i]);
}

/* As the master does it: settles the line, and forks the next worker when the ledger has freed it. */
static void kill_worker(struct shm_fixture *f, struct storm *st, int i, bool replace)
{
    kill_and_reap(st->workers[i]);
    uint64_t n = atomic_load(&st->published[i]);
    if (n < NUMBERS) {
        st->maybe[i][n] = true;
        atomic_store(&st->published[i], n + 1);
    }
    scoreboard_reaped(&f->s, st->slots[i]);
    if (!replace)
        return;
    while (atomic_load(&segment_line(&f->s, st->slots[i])->state) != LINE_FREE)
        sched_yield();
    scoreboard_enter(&f->s, st->slots[i], "worker", 1, clock_mono_ns());
    start_worker(f, st, i);
}

static void check_storm(const struct storm *st, const struct census *c)
{
    for (int i = 0; i < SLOTS; i++) {
        uint64_t n = atomic_load(&st->published[i]);
        for (uint64_t k = 0; k < NUMBERS; k++) {
            unsigned most = k < n, least = k < n && !st->maybe[i][k];
            if (c->times[i][k] < least || c->times[i][k] > most)
                fail_msg("row %d-%llu is stored %d times", i, (unsigned long long)k, c->times[i][k]);
        }
    }
}

static void test_kill_storm(void **state)
{
    struct shm_fixture *f = *state;
    struct storm *st = calloc(1, sizeof *st);
    assert_non_null(st);
    st->published = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(st->published, MAP_FAILED);
    st->ledger = start_ledger(f);
    for (int i = 0; i < SLOTS; i++) {
        st->slots[i] = claim(f);
        start_worker(f, st, i);
    }
    unsigned seed = (unsigned)getpid();
    int64_t until = clock_mono_ns() + 2 * NS_PER_SEC;
    int kills = 0;
    for (; clock_mono_ns() < until; kills++) {
        pause_us((unsigned)rand_r(&seed) % 6000);
        kill_and_reap(st->ledger);
        st->ledger = start_ledger(f);
        kill_worker(f, st, rand_r(&seed) % SLOTS, true);
    }
    for (int i = 0; i < SLOTS; i++)
        kill_worker(f, st, i, false);
    kill_and_reap(st->ledger);

    struct drain *d = drain_new(f, 256 << 20);
    uint64_t rows;
    bool full;
    assert_true(drain_pass(d, &rows) <= COMMIT_STORED);
    assert_int_equal(spill_take(d->store, f->folder, &rows, &full, &err), 0);
    assert_int_equal(drain_pass(d, &rows), COMMIT_NOTHING);
    for (int i = 0; i < SLOTS; i++)
        assert_int_equal(atomic_load(&segment_line(&f->s, st->slots[i])->state), LINE_FREE);
    struct census *c = census(d->store);
    check_storm(st, c);
    assert_true(kills > 20 && c->rows > 1000 && c->killed > 0);
    print_message("%d kills of the ledger and of workers, %llu rows, %llu marked killed\n", kills,
                  (unsigned long long)c->rows, (unsigned long long)c->killed);
    free(c);
    drain_free(d);
    munmap(st->published, 4096);
    free(st);
}

/* ---- spill files ---- */

static int files_in_spill(const struct shm_fixture *f)
{
    char path[160];
    snprintf(path, sizeof path, "%s/store/spill", f->folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int n = 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void test_spill(void **state)
{
    struct shm_fixture *f = *state;
    struct drain *d = drain_new(f, 64 << 20);
    uint64_t rows;
    bool full;
    assert_int_equal(spill_take(d->store, f->folder, &rows, &full, &err), 0); /* no folder yet */
    assert_int_equal(rows, 0);
    struct usage_row row;
    uint64_t n = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) {
            fill_row(&row, SLOT_WORKER0, n++);
            assert_int_equal(spill_append(f->folder, SLOT_WORKER0, &row, &err), 0);
        }
        assert_int_equal(spill_take(d->store, f->folder, &rows, &full, &err), 0);
        assert_int_equal(rows, 5);
        assert_int_equal(spill_take(d->store, f->folder, &rows, &full, &err), 0);
        assert_int_equal(rows, 0);
    }
    assert_int_equal(files_in_spill(f), 1); /* its writer, this process, lives */
    while (n < 2048 + 7) {
        fill_row(&row, SLOT_WORKER0, n++);
        assert_int_equal(spill_append(f->folder, SLOT_WORKER0, &row, &err), 0);
    }
    assert_int_equal(files_in_spill(f), 2);
    assert_int_equal(spill_take(d->store, f->folder, &rows, &full, &err), 0);
    assert_int_equal(rows, 2048 + 7 - 15);
    assert_int_equal(files_in_spill(f), 1); /* the full one is gone */
    struct census *c = census(d->store);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(c->times[0][i], 1);
    free(c);
    drain_free(d);
}

/* The file of a dead writer goes; half a row at its end, which a full disk can leave, is no row. */
static void test_spill_of_the_dead(void **state)
{
    struct shm_fixture *f = *state;
    struct drain *d = drain_new(f, 64 << 20);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    char path[160];
    struct usage_row rows[3];
    for (uint64_t i = 0; i < 3; i++)
        fill_row(&rows[i], SLOT_WORKER0, i);
    snprintf(path, sizeof path, "mkdir -p %s/store/spill", f->folder);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/store/spill/16-%d-0123456789abcdef", f->folder, pid);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, rows, sizeof rows - 100), sizeof rows - 100);
    close(fd);
    uint64_t taken;
    bool full;
    assert_int_equal(spill_take(d->store, f->folder, &taken, &full, &err), 0);
    assert_int_equal(taken, 2);
    assert_int_equal(files_in_spill(f), 0);
    uint64_t mark;
    assert_int_equal(usage_store_mark(d->store, "16-1-0123456789abcdef", &mark, &err), 0);
    drain_free(d);
}

/* ---- what has been kept long enough ---- */

#define DAY_US INT64_C(86400000000)

enum { OLD_ROWS = 30000, NEW_ROWS = 300 };

/* Old rows, one a second, and new ones behind them. */
static void fill_store(struct usage_store *store, int64_t now_us)
{
    bool full;
    assert_int_equal(usage_store_begin(store, &err), 0);
    for (uint64_t i = 0; i < OLD_ROWS + NEW_ROWS; i++) {
        struct usage_row row;
        fill_row(&row, SLOT_WORKER0, i);
        row.time_us = i < OLD_ROWS ? now_us - 30 * DAY_US + (int64_t)i * 1000000 : now_us + (int64_t)i;
        assert_int_equal(usage_store_add(store, &row, &err), 0);
    }
    assert_int_equal(usage_store_commit(store, &full, &err), 0);
}

static void test_prunes_in_steps(void **state)
{
    struct shm_fixture *f = *state;
    struct drain *d = drain_new(f, 64 << 20);
    const int64_t now_us = INT64_C(1800000000000000);
    struct pruner p = {.store = d->store, .keep_days = 30};
    int64_t now = 5 * NS_PER_SEC;
    uint64_t rows, gone = 0;
    fill_store(d->store, now_us);
    assert_int_equal(pruner_pass(&p, now, now_us, &rows, &err),
                     0); /* the first one is 30 days old, no more */
    assert_int_equal(rows, 0);
    assert_int_equal(pruner_pass(&p, now + NS_PER_SEC, now_us + DAY_US, &rows, &err), 0); /* not yet again */
    assert_int_equal(rows, 0);
    while (pruner_due_in(&p, now) <= 60 * NS_PER_SEC && gone < OLD_ROWS) {
        now += pruner_due_in(&p, now);
        assert_int_equal(pruner_pass(&p, now, now_us + DAY_US, &rows, &err), 0);
        assert_in_range(rows, 1, 1000);
        gone += rows;
    }
    now += pruner_due_in(&p, now);
    assert_int_equal(pruner_pass(&p, now, now_us + DAY_US, &rows, &err), 0);
    assert_int_equal(rows, 0);
    assert_true(pruner_due_in(&p, now) >= NS_PER_SEC);

    p = (struct pruner){.store = d->store, .keep_days = 0}; /* for ever */
    assert_true(pruner_due_in(&p, now) > 0);
    assert_int_equal(pruner_pass(&p, now, now_us + 1000 * DAY_US, &rows, &err), 0);
    assert_int_equal(rows, 0);
    drain_free(d);
}

/* Prunes without a pause; tells how many steps it has done. */
static pid_t start_pruner(const struct shm_fixture *f, int64_t now_us, _Atomic uint64_t *steps)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct pruner p = {.keep_days = 10, .store = usage_store_open(f->folder, true, 64 << 20, &err)};
    for (uint64_t rows = 1; p.store && rows > 0;) {
        if (pruner_pass(&p, 0, now_us, &rows, &err) < 0)
            _exit(2);
        p.due_ns = 0;
        atomic_fetch_add(steps, 1);
    }
    _exit(p.store ? 0 : 3);
}

/* Rows went from the front, all others are there once; the totals are what they were. */
static uint64_t check_pruned(const struct shm_fixture *f)
{
    struct usage_store *store = usage_store_open(f->folder, true, 64 << 20, &err);
    struct census *c = calloc(1, sizeof *c);
    struct usage_sum sum;
    assert_true(store != NULL && c != NULL);
    assert_int_equal(usage_store_rows(store, 0, NULL, SIZE_MAX, count_row, c, &err), 0);
    assert_true(c->rows >= NEW_ROWS && c->rows <= OLD_ROWS + NEW_ROWS);
    for (uint64_t i = 0; i < OLD_ROWS + NEW_ROWS; i++)
        assert_int_equal(c->times[0][i], i >= OLD_ROWS + NEW_ROWS - c->rows);
    assert_int_equal(usage_store_query(store, NULL, 0, NULL, NULL, take_total, &sum, &err), 0);
    assert_int_equal(sum.requests, OLD_ROWS + NEW_ROWS);
    assert_int_equal(sum.tokens.input, (uint64_t)(OLD_ROWS + NEW_ROWS) * (OLD_ROWS + NEW_ROWS - 1) / 2);
    uint64_t rows = c->rows;
    free(c);
    usage_store_close(&store);
    return rows;
}

static void test_killed_while_it_prunes(void **state)
{
    struct shm_fixture *f = *state;
    const int64_t now_us = INT64_C(1800000000000000);
    _Atomic uint64_t *steps = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(steps, MAP_FAILED);
    struct drain *d = drain_new(f, 64 << 20);
    fill_store(d->store, now_us);
    drain_free(d);
    unsigned seed = (unsigned)getpid();
    int kills = 0, status = -1;
    while (!WIFEXITED(status)) {
        uint64_t wanted = atomic_load(steps) + (unsigned)rand_r(&seed) % 2;
        pid_t pid = start_pruner(f, now_us, steps);
        pid_t ended = 0;
        while (atomic_load(steps) < wanted && (ended = waitpid(pid, &status, WNOHANG)) == 0)
            sched_yield();
        pause_us((unsigned)rand_r(&seed) % 800);
        if (ended == 0) {
            kill(pid, SIGKILL);
            assert_int_equal(waitpid(pid, &status, 0), pid);
        }
        kills += WIFSIGNALED(status);
        check_pruned(f);
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(check_pruned(f), NEW_ROWS);
    print_message("%d kills while %d rows were removed\n", kills, OLD_ROWS);
    munmap(steps, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(test_moves_rows),      SHM_TEST(test_killed_between),
        SHM_TEST(test_another_segment), SHM_TEST(test_lost_store),
        SHM_TEST(test_full_store),      SHM_TEST(test_spill_of_the_dead),
        SHM_TEST(test_kill_storm),      SHM_TEST(test_spill),
        SHM_TEST(test_prunes_in_steps), SHM_TEST(test_killed_while_it_prunes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Expiring credentials while those who fetch and read them are killed: never a torn text or another
 * provider's, never two fetches for one provider at a time, always progress. And by one process: refreshing
 * ahead, failures that are remembered, refusals.
 *
 * A fetched text is a number and as many bytes as the number says, all of which follow from it. Most of them
 * are over as soon as they are fetched, so that there is always something to fetch. */
#include "credential.h"
#include "log.h"
#include "storm.h"

#include <errno.h>

enum { FEW = 3, MANY = 300 };

struct shared {
    _Atomic uint64_t numbers;        /* handed out */
    _Atomic uint64_t fetching[MANY]; /* process and actor; 0: nobody */
    _Atomic uint64_t fetches, readings;
};

static struct conf_provider providers[MANY];
static char names[MANY][16];
static struct shared *shared; /* the running storm's */
static _Thread_local struct actor *myself;
static bool crowded; /* entries change hands: two may fetch for one provider */

static char byte_at(uint64_t n, size_t i)
{
    return (char)('!' + (n * 31 + i * (n % 7 + 1)) % 90);
}

static size_t length_of(uint64_t n)
{
    return 24 + n * 2654435761U % (MAX_CREDENTIAL - 24);
}

static void write_text(struct buf *b, unsigned provider, uint64_t n)
{
    buf_printf(b, "%03u %019llu ", provider, (unsigned long long)n);
    while (b->n < length_of(n))
        buf_add_byte(b, byte_at(n, b->n));
}

static void check_text(struct str s, unsigned provider)
{
    uint64_t n, of;
    ACTOR_ASSERT(s.n >= 24 && s.p[3] == ' ' && s.p[23] == ' ');
    ACTOR_ASSERT(str_u64((struct str){s.p, 3}, &of) == 0 && of == provider);
    ACTOR_ASSERT(str_u64((struct str){s.p + 4, 19}, &n) == 0 && s.n == length_of(n));
    for (size_t i = 24; i < s.n; i++)
        ACTOR_ASSERT(s.p[i] == byte_at(n, i));
}

static unsigned index_of(const struct conf_provider *p)
{
    return (unsigned)(p - providers);
}

/* Whoever else is in here for this provider must be dead. */
static void enter(_Atomic uint64_t *fetching)
{
    uint64_t mine = (uint64_t)getpid() << 8 | (myself->number + 1), other = atomic_exchange(fetching, mine);
    ACTOR_ASSERT(crowded || other == 0 || (kill((pid_t)(other >> 8), 0) != 0 && errno == ESRCH));
}

static int slow_fetch(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                      int64_t *expires_s, struct error *err)
{
    unsigned i = index_of(p);
    (void)patience, (void)err;
    enter(&shared->fetching[i]);
    storm_nap((int64_t)actor_random(myself, 300 * NS_PER_US));
    write_text(text, i, atomic_fetch_add(&shared->numbers, 1));
    *expires_s = clock_wall_us() / 1000000 + (actor_random(myself, 64) == 0);
    atomic_fetch_add(&shared->fetches, 1);
    atomic_store(&shared->fetching[i], 0);
    return 0;
}

static void get_one(struct actor *a, unsigned n_providers)
{
    unsigned i = (unsigned)actor_random(a, n_providers);
    struct arena arena;
    struct str text;
    struct error err;
    int64_t began = clock_mono_ns();
    myself = a;
    arena_init(&arena);
    ACTOR_ASSERT(credential_get(&providers[i], slow_fetch,
                                &(struct patience){.deadline_ns = began + 60 * NS_PER_SEC}, &arena, &text,
                                &err) == 0);
    ACTOR_ASSERT(clock_mono_ns() - began < 10 * NS_PER_SEC); /* less than a lease: the dead are noticed */
    check_text(text, i);
    atomic_fetch_add(&shared->readings, 1);
    arena_fini(&arena);
}

static void get_of_few(struct actor *a)
{
    get_one(a, FEW);
}

static void get_of_many(struct actor *a)
{
    get_one(a, MANY);
}

static void storm_of(void (*op)(struct actor *), void (*driver)(struct storm *))
{
    struct storm t = {.op = op};
    struct error err;
    credential_forget();
    assert_int_equal(credential_init(&err), 0);
    storm_open(&t, 1024, sizeof(struct shared));
    crowded = op == get_of_many;
    shared = t.shared;
    driver(&t);
    struct shared *sh = t.shared;
    printf("%llu readings, %llu fetches\n", (unsigned long long)sh->readings,
           (unsigned long long)sh->fetches);
    assert_true(sh->fetches > 10 && sh->readings > sh->fetches);
    storm_close(&t);
}

static void threads_share(void **state)
{
    (void)state;
    storm_of(get_of_few, storm_threads);
}

static void threads_crowd(void **state)
{
    (void)state;
    storm_of(get_of_many, storm_threads);
}

static void killed_processes_share(void **state)
{
    (void)state;
    if (STORM_FORKS)
        storm_of(get_of_few, storm_forks);
}

static void killed_processes_crowd(void **state)
{
    (void)state;
    if (STORM_FORKS)
        storm_of(get_of_many, storm_forks);
}

/* ---- one process */

static struct {
    unsigned calls;
    int life_s;
    bool fails;
} plain;

static int plain_fetch(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                       int64_t *expires_s, struct error *err)
{
    (void)p;
    ACTOR_ASSERT(patience->deadline_ns > clock_mono_ns());
    plain.calls++;
    if (plain.fails)
        return error_set(err, "the token endpoint answered with status 503");
    buf_printf(text, "token %u", plain.calls);
    *expires_s = clock_wall_us() / 1000000 + plain.life_s;
    return 0;
}

struct single {
    struct arena arena;
    struct error err;
    struct str text;
};

static int get(struct single *s, const struct conf_provider *p)
{
    arena_reset(&s->arena);
    struct patience patience = {.deadline_ns = clock_mono_ns() + 5 * NS_PER_SEC};
    return credential_get(p, plain_fetch, &patience, &s->arena, &s->text, &s->err);
}

static int begin(void **state)
{
    static struct single s;
    struct error err;
    credential_forget();
    plain.calls = 0;
    plain.fails = false;
    plain.life_s = 3600;
    arena_init(&s.arena);
    *state = &s;
    return credential_init(&err);
}

static int end(void **state)
{
    struct single *s = *state;
    arena_fini(&s->arena);
    return 0;
}

#define ASSERT_TEXT(s, text_) assert_true(str_eq((s)->text, STR(text_)))

static void fetched_once(void **state)
{
    struct single *s = *state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(get(s, &providers[0]), 0);
        ASSERT_TEXT(s, "token 1");
    }
    assert_int_equal(get(s, &providers[1]), 0);
    ASSERT_TEXT(s, "token 2");
    assert_int_equal(plain.calls, 2);
}

/* A child fetches; the parent has its text. */
static void shared_by_processes(void **state)
{
    struct single *s = *state;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(get(s, &providers[0]) == 0 && plain.calls == 1 ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    plain.calls = 70;
    assert_int_equal(get(s, &providers[0]), 0);
    ASSERT_TEXT(s, "token 1");
    assert_int_equal(plain.calls, 70);
}

/* One that is killed inside of its fetch holds nobody up. */
static int deadly_fetch(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                        int64_t *expires_s, struct error *err)
{
    (void)p, (void)patience, (void)text, (void)expires_s, (void)err;
    kill(getpid(), SIGKILL);
    return -1;
}

static void dead_holder(void **state)
{
    struct single *s = *state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct patience patience = {.deadline_ns = clock_mono_ns() + NS_PER_SEC};
        credential_get(&providers[0], deadly_fetch, &patience, &s->arena, &s->text, &s->err);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    int64_t began = clock_mono_ns();
    assert_int_equal(get(s, &providers[0]), 0);
    assert_true(clock_mono_ns() - began < NS_PER_SEC);
}

/* The new one is there before the end of the old one (unless this process was not let run then: once more).
 */
static bool refreshes_in_time(struct single *s, const struct conf_provider *p)
{
    plain.calls = 0;
    plain.life_s = 2;
    int64_t ends_us = (clock_wall_us() / 1000000 + 2) * 1000000;
    do {
        assert_int_equal(get(s, p), 0);
        storm_nap(5 * NS_PER_MS);
    } while (plain.calls == 1);
    ASSERT_TEXT(s, "token 2");
    return clock_wall_us() < ends_us;
}

static void refreshed_ahead(void **state)
{
    unsigned i = 0;
    while (!refreshes_in_time(*state, &providers[i]))
        assert_true(++i < 6);
}

static void old_one_goes_on(void **state)
{
    struct single *s = *state;
    plain.life_s = 2;
    assert_int_equal(get(s, &providers[0]), 0);
    plain.fails = true;
    while (plain.calls == 1) {
        assert_int_equal(get(s, &providers[0]), 0);
        ASSERT_TEXT(s, "token 1");
        storm_nap(5 * NS_PER_MS);
    }
    assert_int_equal(get(s, &providers[0]), 0); /* though the fetch has failed */
    ASSERT_TEXT(s, "token 1");
    assert_int_equal(plain.calls, 2);
}

static void failures_are_remembered(void **state)
{
    struct single *s = *state;
    plain.fails = true;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(get(s, &providers[0]), -1);
        assert_string_equal(s->err.text, "the token endpoint answered with status 503");
    }
    assert_int_equal(plain.calls, 1);
    plain.fails = false;
    assert_int_equal(get(s, &providers[1]), 0); /* another provider's failure is not ours */
    int64_t began = clock_mono_ns();
    while (get(s, &providers[0]) != 0)
        storm_nap(20 * NS_PER_MS);
    assert_in_range(clock_mono_ns() - began, NS_PER_SEC, 4 * NS_PER_SEC);
}

/* A fetch that goes on while it is wanted, and is not any more at its third look. */
static bool thrice(void *arg)
{
    return ++*(int *)arg < 3;
}

static int endless_fetch(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                         int64_t *expires_s, struct error *err)
{
    (void)p, (void)text, (void)expires_s;
    while (!patience_gone(patience))
        assert_true(clock_mono_ns() < patience->deadline_ns);
    return error_set(err, "it was broken off");
}

static _Atomic bool *sleeping; /* shared */

static int sleeping_fetch(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                          int64_t *expires_s, struct error *err)
{
    (void)p, (void)patience, (void)text, (void)expires_s, (void)err;
    atomic_store(sleeping, true);
    while (atomic_load(sleeping))
        pause();
    return -1;
}

/* Whose client leaves while it fetches, or while it waits for another's fetch: that is no failure of the
 * endpoint's, and the next one fetches at once. */
static void broken_off(void **state)
{
    struct single *s = *state;
    int looks = 0;
    struct patience patience = {
        .deadline_ns = clock_mono_ns() + 60 * NS_PER_SEC, .go_on = thrice, .arg = &looks};
    assert_int_equal(credential_get(&providers[0], endless_fetch, &patience, &s->arena, &s->text, &s->err),
                     -1);
    assert_in_range(looks, 3, 5);
    assert_int_equal(get(s, &providers[0]), 0);
    ASSERT_TEXT(s, "token 1");

    sleeping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(sleeping, MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0) { /* holds the lease until it is killed */
        struct patience endless = {.deadline_ns = INT64_MAX};
        struct error err;
        credential_get(&providers[1], sleeping_fetch, &endless, &s->arena, &s->text, &err);
        _exit(0);
    }
    while (!atomic_load(sleeping))
        storm_nap(NS_PER_MS);
    looks = 0;
    assert_int_equal(credential_get(&providers[1], plain_fetch, &patience, &s->arena, &s->text, &s->err), -1);
    assert_int_equal(looks, 3);
    assert_int_equal(plain.calls, 1); /* providers[0]'s */
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(get(s, &providers[1]), 0);
    munmap(sleeping, 4096);
}

static void refused_ones_are_replaced(void **state)
{
    struct single *s = *state;
    credential_refused(&providers[2]); /* never had one */
    assert_int_equal(get(s, &providers[2]), 0);
    ASSERT_TEXT(s, "token 1");
    credential_refused(&providers[2]);
    assert_int_equal(get(s, &providers[2]), 0);
    ASSERT_TEXT(s, "token 2");
    credential_refused(&providers[2]); /* too soon: this provider refuses every one */
    assert_int_equal(get(s, &providers[2]), 0);
    ASSERT_TEXT(s, "token 2");
}

static void no_place(void **state)
{
    struct single *s = *state;
    credential_forget();
    assert_int_equal(get(s, &providers[0]), -1);
    assert_int_equal(plain.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fetched_once, begin, end),
        cmocka_unit_test_setup_teardown(shared_by_processes, begin, end),
        cmocka_unit_test_setup_teardown(dead_holder, begin, end),
        cmocka_unit_test_setup_teardown(refreshed_ahead, begin, end),
        cmocka_unit_test_setup_teardown(old_one_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(failures_are_remembered, begin, end),
        cmocka_unit_test_setup_teardown(broken_off, begin, end),
        cmocka_unit_test_setup_teardown(refused_ones_are_replaced, begin, end),
        cmocka_unit_test_setup_teardown(no_place, begin, end),
        cmocka_unit_test(threads_share),
        cmocka_unit_test(threads_crowd),
        cmocka_unit_test(killed_processes_share),
        cmocka_unit_test(killed_processes_crowd),
    };
    log_set_level(LOG_LEVEL_ERROR);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "p%u", i);
        providers[i] = (struct conf_provider){.name = names[i], .type = "vertex"};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

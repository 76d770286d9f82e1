/* The response cache on real files: reader and mailbox of the workers, the writer's store. The reader runs in
 * processes of its own, as it does in the gateway. */
#include "cache_mailbox.h"
#include "cache_record.h"
#include "cache_store.h"
#include "clock.h"
#include "temp_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

enum { NOW = 1000000, MAX_ENTRY = 1 << 20 };

static char folder[64];
static struct error err;
static struct config config;

static int setup(void **state)
{
    (void)state;
    if (temp_folder_new(folder) == NULL)
        return -1;
    config = (struct config){.state_dir = folder};
    config.cache.enabled = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

static struct cache_store *open_store(uint64_t max_bytes, const char *boot_id)
{
    struct cache_store *s = cache_store_open(folder, max_bytes, boot_id, &err);
    if (s == NULL)
        fail_msg("%s", err.text);
    return s;
}

static void make_key(uint8_t key[CACHE_KEY_BYTES], uint32_t number)
{
    memset(key, 0, CACHE_KEY_BYTES);
    memcpy(key, &number, sizeof number);
}

/* The mail of an entry whose body tells its number throughout. */
static struct cache_mail make_mail(uint32_t number, const char *scope, int64_t expires_s, size_t body_n)
{
    struct cache_mail m = {.kind = CACHE_MAIL_STORE, .ack_fd = -1};
    uint8_t head[CACHE_RECORD_HEAD];
    make_key(m.key, number);
    char *body = malloc(body_n + 1);
    memset(body, 'a' + (int)(number % 26), body_n);
    struct cache_entry e = {
        .stored_s = NOW,
        .expires_s = expires_s,
        .cost_pico = number,
        .tokens = {.input = 1, .cached = 2, .cache_write = 3, .output = 4, .reasoning = 5},
        .provider = STR("virtual"),
        .model = STR("m-2024"),
        .body = {body, body_n}};
    size_t n = cache_record_head(&e, scope, head);
    assert_true(n > 0);
    m.memory = malloc(n + body_n);
    memcpy(m.memory, head, n);
    memcpy(m.memory + n, body, body_n);
    m.record = (struct str){(char *)m.memory, n + body_n};
    free(body);
    return m;
}

static uint64_t put(struct cache_store *s, uint32_t number, const char *scope, int64_t expires_s,
                    size_t body_n)
{
    struct cache_mail m = make_mail(number, scope, expires_s, body_n);
    uint64_t stored, evicted;
    if (cache_store_put(s, &m, 1, NOW, &stored, &evicted, &err) < 0)
        fail_msg("%s", err.text);
    cache_mail_free(&m);
    return stored;
}

/* What a reader found: its body's length when the entry is whole and right, -1 none, -2 not readable, -3 a
 * wrong one. */
static int64_t look(struct cache_reader *r, uint32_t number, int64_t now_s)
{
    struct arena a;
    arena_init(&a);
    uint8_t key[CACHE_KEY_BYTES];
    struct cache_entry e;
    make_key(key, number);
    int found = cache_find(r, key, now_s, &a, &e);
    int64_t result = found == 1 ? (int64_t)e.body.n : found - 1;
    if (found == 1) {
        for (size_t i = 0; i < e.body.n; i++)
            if (e.body.p[i] != 'a' + (int)(number % 26))
                result = -3;
        if (e.cost_pico != number || e.tokens.reasoning != 5 || e.tokens.input != 1 ||
            !str_eq(e.provider, STR("virtual")) || !str_eq(e.model, STR("m-2024")))
            result = -3;
    }
    arena_fini(&a);
    return result;
}

/* A reader process that answers look-ups; `now_s` 0 ends it. */
struct reader {
    pid_t pid;
    int to, from;
};

struct question {
    uint32_t number;
    int64_t now_s;
};

static struct reader start_reader(void)
{
    int to[2], from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    struct reader r = {.pid = fork(), .to = to[1], .from = from[0]};
    if (r.pid == 0) {
        close(to[1]);
        struct cache_reader *c = cache_open(&config);
        struct question q;
        while (read(to[0], &q, sizeof q) == sizeof q) {
            int64_t answer = look(c, q.number, q.now_s);
            if (write(from[1], &answer, sizeof answer) != sizeof answer)
                break;
        }
        cache_close(&c);
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    return r;
}

static int64_t ask(struct reader *r, uint32_t number, int64_t now_s)
{
    struct question q = {number, now_s};
    int64_t answer = -9;
    assert_int_equal(write(r->to, &q, sizeof q), sizeof q);
    assert_int_equal(read(r->from, &answer, sizeof answer), sizeof answer);
    return answer;
}

static void stop_reader(struct reader *r)
{
    close(r->to);
    close(r->from);
    waitpid(r->pid, NULL, 0);
}

static void test_store_and_find(void **state)
{
    (void)state;
    struct reader r = start_reader();
    assert_int_equal(ask(&r, 1, NOW), -1); /* no files yet */
    struct cache_store *s = open_store(16 << 20, "boot");
    assert_int_equal(put(s, 1, "team:a", NOW + 60, 100), 1);
    assert_int_equal(ask(&r, 1, NOW), -1); /* the files are looked for once a second */
    assert_int_equal(ask(&r, 1, NOW + 1), 100);
    assert_int_equal(ask(&r, 2, NOW + 1), -1);
    assert_int_equal(put(s, 1, "team:a", NOW + 60, 5000), 1); /* replaced */
    assert_int_equal(ask(&r, 1, NOW + 1), 5000);
    assert_int_equal(ask(&r, 1, NOW + 59), 5000);
    assert_int_equal(ask(&r, 1, NOW + 60), -1); /* over, though not removed yet */
    assert_int_equal(put(s, 3, "team:a", NOW, 10), 0);
    assert_int_equal(put(s, 4, "team:a", NOW + 60, 0), 1);
    assert_int_equal(ask(&r, 4, NOW + 1), 0);
    stop_reader(&r);
    cache_store_close(&s);
    assert_null(s);
}

static uint64_t entries(void)
{
    /* in a process of its own: this one has the store open */
    int p[2];
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cache_stats st = {.entries = 12345};
        if (cache_stats(folder, &st, NULL) < 0 || st.used_bytes > st.max_bytes)
            st.entries = 54321;
        _exit(write(p[1], &st.entries, sizeof st.entries) != sizeof st.entries);
    }
    uint64_t n = 0;
    assert_int_equal(read(p[0], &n, sizeof n), sizeof n);
    waitpid(pid, NULL, 0);
    close(p[0]);
    close(p[1]);
    return n;
}

static void test_expire_and_purge(void **state)
{
    (void)state;
    uint64_t removed;
    assert_int_equal(entries(), 0); /* no cache yet */
    struct cache_store *s = open_store(16 << 20, "boot");
    for (uint32_t i = 0; i < 30; i++)
        put(s, i, i % 3 == 0 ? "team:a" : i % 3 == 1 ? "team:ab" : "key:k", NOW + 1 + i, 3000);
    assert_int_equal(entries(), 30);
    assert_int_equal(cache_store_expire(s, NOW + 10, &removed, &err), 0);
    assert_int_equal(removed, 10);
    assert_int_equal(cache_store_expire(s, NOW + 10, &removed, &err), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(cache_store_purge(s, "team:a", &removed, &err), 0);
    assert_int_equal(removed, 6); /* 12, 15, … 27; not those of team:ab */
    assert_int_equal(entries(), 14);
    assert_int_equal(cache_store_purge(s, "team:a", &removed, &err), 0);
    assert_int_equal(removed, 0);
    assert_int_equal(cache_store_purge(s, "team", &removed, &err), 0);
    assert_int_equal(removed, 0);
    struct reader r = start_reader();
    assert_int_equal(ask(&r, 27, NOW), -1);
    assert_int_equal(ask(&r, 28, NOW), 3000);
    assert_int_equal(cache_store_purge(s, "", &removed, &err), 0);
    assert_int_equal(removed, 14);
    assert_int_equal(ask(&r, 28, NOW), -1);
    assert_int_equal(entries(), 0);
    put(s, 28, "team:a", NOW + 9, 3000);
    assert_int_equal(ask(&r, 28, NOW), 3000);
    stop_reader(&r);
    cache_store_close(&s);
}

static void test_eviction(void **state)
{
    (void)state;
    struct cache_store *s = open_store(2 << 20, "boot");
    struct reader r = start_reader();
    unsigned seed = 3;
    uint64_t all_evicted = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        size_t n = (size_t)(rand_r(&seed) % (i % 50 == 0 ? 60000 : 6000));
        struct cache_mail m = make_mail(i, "team:a", NOW + 100 + i, n);
        uint64_t stored, evicted;
        if (cache_store_put(s, &m, 1, NOW, &stored, &evicted, &err) < 0)
            fail_msg("entry %u: %s", i, err.text);
        cache_mail_free(&m);
        assert_int_equal(stored, 1);
        all_evicted += evicted;
        if (i % 20 == 0) {
            assert_int_equal(cache_store_evict(s, &evicted, &err), 0);
            all_evicted += evicted;
            assert_int_equal(ask(&r, i, NOW + i), n); /* the newest is there */
        }
    }
    assert_true(all_evicted > 1500);
    assert_int_equal(ask(&r, 0, NOW + 50), -1);
    assert_true(entries() > 100 && entries() <= 3000 - all_evicted);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/cache/data.mdb", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= 2 << 20);
    stop_reader(&r);
    cache_store_close(&s);
}

static void test_survival(void **state)
{
    (void)state;
    struct cache_store *s = open_store(4 << 20, "boot 1");
    put(s, 1, "team:a", NOW + 60, 100);
    cache_store_close(&s);
    assert_int_equal(entries(), 1);
    s = open_store(4 << 20, "boot 2"); /* closed well: another boot keeps it */
    assert_int_equal(entries(), 1);
    cache_store_close(&s);

    /* killed: the same boot keeps it, another one does not */
    for (int other_boot = 0; other_boot < 2; other_boot++) {
        pid_t pid = fork();
        if (pid == 0) {
            s = cache_store_open(folder, 4 << 20, "boot 2", NULL);
            put(s, 2, "team:a", NOW + 60, 100);
            kill(getpid(), SIGKILL);
        }
        waitpid(pid, NULL, 0);
        s = open_store(4 << 20, other_boot ? "boot 3" : "boot 2");
        assert_int_equal(entries(), other_boot ? 0 : 2);
        cache_store_close(&s);
    }
}

static void test_damaged_file(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/cache/data.mdb", folder);
    struct cache_store *s = open_store(4 << 20, "boot");
    put(s, 1, "team:a", NOW + 60, 100);
    struct reader r = start_reader();
    assert_int_equal(ask(&r, 1, NOW), 100);
    cache_store_close(&s);
    int fd = open(path, O_WRONLY);
    static const char junk[8192] = "not a database";
    assert_int_equal(write(fd, junk, sizeof junk), sizeof junk);
    close(fd);
    s = open_store(4 << 20, "boot");
    assert_int_equal(entries(), 0);
    put(s, 2, "team:a", NOW + 60, 200);
    assert_int_equal(ask(&r, 2, NOW + 1), 200); /* the reader has found its file removed */
    cache_store_close(&s);

    s = open_store(2 << 20, "boot");
    for (uint32_t i = 0; i < 200; i++)
        put(s, i, "team:a", NOW + 60, 8000);
    cache_store_close(&s);
    s = open_store(1 << 20, "boot"); /* max_bytes lowered below what it has */
    assert_int_equal(entries(), 0);
    put(s, 3, "team:a", NOW + 60, 300);
    assert_int_equal(ask(&r, 3, NOW + 2), 300);
    cache_store_close(&s);
    stop_reader(&r);
}

/* ---- mailbox ---- */

static int post(int fd, uint32_t number, size_t body_n)
{
    uint8_t key[CACHE_KEY_BYTES];
    make_key(key, number);
    char *body = malloc(body_n + 1);
    memset(body, 'a' + (int)(number % 26), body_n);
    struct cache_entry e = {.stored_s = NOW, .expires_s = NOW + 60, .body = {body, body_n}};
    int rc = cache_post(fd, key, "team:a", &e, MAX_ENTRY);
    free(body);
    return rc;
}

static void test_mailbox(void **state)
{
    (void)state;
    int pair[2];
    unsigned dropped = 0;
    struct cache_mail m;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(cache_mail_recv(pair[1], MAX_ENTRY, &m, &dropped), 0);
    static const size_t sizes[] = {0, 1, 1000, 65000, 65536, 70000, MAX_ENTRY - 1000};
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(post(pair[0], i, sizes[i]), 0);
        assert_int_equal(cache_mail_recv(pair[1], MAX_ENTRY, &m, &dropped), 1);
        struct cache_entry e;
        struct str scope;
        assert_int_equal(m.kind, CACHE_MAIL_STORE);
        assert_int_equal(cache_record_read(m.record, &e, &scope), 0);
        assert_int_equal(e.body.n, sizes[i]);
        assert_true(str_eq(scope, STR("team:a")));
        for (size_t k = 0; k < e.body.n; k += 997)
            assert_int_equal(e.body.p[k], 'a' + i % 26);
        cache_mail_free(&m);
    }
    assert_int_equal(post(pair[0], 1, MAX_ENTRY + 1), -1);
    assert_int_equal(post(-1, 1, 1), -1);
    assert_int_equal(dropped, 0);
    assert_int_equal(post(pair[0], 1, 5000), 0); /* larger than the receiver takes */
    assert_int_equal(post(pair[0], 1, 500000), 0);
    assert_int_equal(write(pair[0], "\1junk", 5), 5);
    assert_int_equal(write(pair[0], "", 1), 1);
    assert_int_equal(cache_mail_recv(pair[1], 4000, &m, &dropped), 0);
    assert_int_equal(dropped, 4);

    int sent = 0; /* nobody reads: the sender is told at once, and never waits */
    while (sent < 100000 && post(pair[0], 1, 2000) == 0)
        sent++;
    assert_true(sent > 0 && sent < 100000);
    int received = 0;
    while (cache_mail_recv(pair[1], MAX_ENTRY, &m, &dropped) == 1) {
        cache_mail_free(&m);
        received++;
    }
    assert_int_equal(received, sent);
    close(pair[0]);
    assert_int_equal(cache_mail_recv(pair[1], MAX_ENTRY, &m, &dropped), -1);
    close(pair[1]);
}

static void test_purge_is_answered(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned dropped = 0;
        struct cache_mail m;
        int rc;
        for (int i = 0; i < 2; i++) {
            while ((rc = cache_mail_recv(pair[1], MAX_ENTRY, &m, &dropped)) == 0)
                nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
            if (rc == 1 && m.kind == CACHE_MAIL_PURGE)
                cache_mail_answer(&m, strcmp(m.scope, "team:a") == 0 ? 7 : m.scope[0] == '\0' ? 9 : 0);
            cache_mail_free(&m);
        }
        _exit(0);
    }
    uint64_t removed;
    assert_int_equal(cache_purge(pair[0], "team:a", &removed, &err), 0);
    assert_int_equal(removed, 7);
    assert_int_equal(cache_purge(pair[0], NULL, &removed, &err), 0);
    assert_int_equal(removed, 9);
    waitpid(pid, NULL, 0);
    close(pair[1]);
    assert_int_equal(cache_purge(pair[0], NULL, &removed, &err), -1); /* nobody there: told at once */
    char too_long[CACHE_SCOPE_MAX + 1];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    assert_int_equal(cache_purge(pair[0], too_long, &removed, &err), -1);
    close(pair[0]);
}

/* The writer is killed again and again; a reader that goes on meanwhile never sees a wrong entry, and the
 * next writer goes on with what is there. */
static void test_kill_storm(void **state)
{
    (void)state;
    struct reader r = start_reader();
    unsigned seed = (unsigned)getpid();
    int64_t found = 0, now = NOW;
    int kills = 0;
    for (int64_t until = clock_mono_ns() + NS_PER_SEC; clock_mono_ns() < until; kills++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct cache_store *s = cache_store_open(folder, 2 << 20, "boot", NULL);
            unsigned mine = (unsigned)getpid();
            while (s != NULL) {
                struct cache_mail m =
                    make_mail((uint32_t)rand_r(&mine) % 300, "team:a", NOW + 1000000 + rand_r(&mine) % 100,
                              (size_t)(rand_r(&mine) % 9000));
                uint64_t stored, evicted; /* may be refused for want of room: a reader keeps pages */
                cache_store_put(s, &m, 1, NOW, &stored, &evicted, &err);
                cache_mail_free(&m);
            }
            _exit(1);
        }
        int64_t end = clock_mono_ns() + rand_r(&seed) % (10 * NS_PER_MS);
        do {
            int64_t answer = ask(&r, (uint32_t)rand_r(&seed) % 300, ++now);
            assert_int_not_equal(answer, -3);
            found += answer >= 0;
        } while (clock_mono_ns() < end);
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
    }
    print_message("%d kills, %lld entries found\n", kills, (long long)found);
    assert_true(found > 0);
    stop_reader(&r);
    struct cache_store *s = open_store(2 << 20, "boot");
    assert_true(put(s, 1, "team:a", NOW + 1000, 10) == 1);
    cache_store_close(&s);
}

static void test_hostile_records(void **state)
{
    (void)state;
    struct cache_mail m = make_mail(5, "team:a", NOW + 5, 300);
    struct cache_entry e;
    struct str scope;
    assert_int_equal(cache_record_read(m.record, &e, &scope), 0);
    for (size_t cut = 0; cut < m.record.n; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, m.record.p, cut);
        assert_int_equal(cache_record_read((struct str){copy, cut}, &e, &scope), -1);
        free(copy);
    }
    assert_true(cache_record_is_whole(m.record));
    for (size_t i = 0; i < m.record.n; i++) {
        m.memory[i] ^= 4;
        assert_false(cache_record_is_whole(m.record));
        m.memory[i] ^= 4;
    }
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        uint8_t *copy = malloc(m.record.n);
        memcpy(copy, m.record.p, m.record.n);
        for (int k = 0; k < 3; k++)
            copy[rand_r(&seed) % 40] = (uint8_t)rand_r(&seed);
        if (cache_record_read((struct str){(char *)copy, m.record.n}, &e, &scope) == 0)
            assert_true(e.body.n <= m.record.n && scope.n < CACHE_SCOPE_MAX);
        free(copy);
    }
    cache_mail_free(&m);
}

static void test_off(void **state)
{
    (void)state;
    config.cache.enabled = false;
    assert_null(cache_open(&config));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_store_and_find),  TEST(test_expire_and_purge),
        TEST(test_eviction),        TEST(test_survival),
        TEST(test_damaged_file),    TEST(test_mailbox),
        TEST(test_kill_storm),      TEST(test_purge_is_answered),
        TEST(test_hostile_records), TEST(test_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The key store on real LMDB files. The writer and the readers are different processes, as in the gateway: a
 * process must not open one environment twice. */
#include "clock.h"
#include "key_record.h"
#include "keystore.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[64];

static int setup(void **state)
{
    (void)state;
    return temp_folder_new(folder) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

static struct keystore *open_writer(void)
{
    struct error err = {""};
    struct keystore *ks = keystore_open(folder, true, &err);
    if (ks == NULL)
        fail_msg("%s", err.text);
    return ks;
}

/* A record with something in every field. */
static struct key_record full_record(void)
{
    struct key_record k = {.name = "ci",
                           .team = "blue",
                           .department = "r&d",
                           .owner = "Ünal",
                           .expires_s = 4102444800,
                           .blocked = true};
    k.limits = (struct key_limits){.rpm = 60,
                                   .tpm = UINT64_MAX,
                                   .rpd = 1000,
                                   .rpm_burst = 1,
                                   .tpm_burst = 2,
                                   .rpd_burst = 3,
                                   .max_parallel = UINT32_MAX};
    k.n_models = KEY_MAX_MODELS;
    for (int i = 0; i < KEY_MAX_MODELS; i++)
        snprintf(k.models[i], sizeof k.models[i], "model-%02d*", i);
    k.n_cidrs = 2;
    k.cidrs[0] = (struct cidr){.family = 4, .bits = 8, .addr = {10}};
    k.cidrs[1] = (struct cidr){.family = 6, .bits = 128, .addr = {0xfd, [15] = 1}};
    k.n_tags = 1;
    snprintf(k.tags[0].name, sizeof k.tags[0].name, "env");
    snprintf(k.tags[0].value, sizeof k.tags[0].value, "prod");
    return k;
}

static void test_create_find(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    struct error err;
    char secret[MAX_KEY];
    struct key_record key = full_record(), found = {0};
    struct team_record team = {.name = "blue", .department = "r&d", .limits = {.rpm = 7}}, t;
    assert_int_equal(keystore_put_team(ks, &team, &err), 0);
    assert_int_equal(keystore_create(ks, &key, STR_NULL, secret, &err), 0);
    assert_int_equal(strlen(secret), 8 + 43);
    assert_memory_equal(secret, "sk-aigw-", 8);
    assert_int_equal(strlen(key.id), 28);
    assert_memory_equal(key.id, "key_", 4);
    assert_string_equal(key.hint, secret + strlen(secret) - 4);
    assert_int_equal(key.version, 1);

    assert_int_equal(keystore_find(ks, str_of(secret), &found, &t, &err), 1);
    assert_memory_equal(&found, &key, sizeof key);
    assert_memory_equal(&t, &team, sizeof team);
    assert_int_equal(keystore_get(ks, key.id, &found, NULL, &err), 1);
    assert_memory_equal(&found, &key, sizeof key);

    struct str prefix = {secret, strlen(secret) - 1};
    char longest[MAX_KEY + 1];
    memset(longest, 'x', sizeof longest);
    longest[MAX_KEY] = '\0';
    assert_int_equal(keystore_find(ks, prefix, &found, &t, &err), 0);
    assert_int_equal(keystore_find(ks, STR_NULL, &found, &t, &err), 0);
    assert_int_equal(keystore_find(ks, (struct str){longest, MAX_KEY}, &found, &t, &err), 0);
    assert_int_equal(keystore_find(ks, (struct str){longest, MAX_KEY - 1}, &found, &t, &err), 0);
    assert_int_equal(keystore_get(ks, "key_none", &found, &t, &err), 0);
    assert_int_equal(keystore_get(ks, longest, &found, &t, &err), 0);
    keystore_close(&ks);
    assert_null(ks);
}

static void test_update_rotate_delete(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    struct error err;
    char first[MAX_KEY], second[MAX_KEY];
    struct key_record key = {.name = "a"}, found;
    struct team_record team;
    assert_int_equal(keystore_create(ks, &key, STR_NULL, first, &err), 0);
    key.blocked = true;
    memset(key.hint, 'z', 3);
    assert_int_equal(keystore_update(ks, &key, &err), 1);
    assert_int_equal(keystore_find(ks, str_of(first), &found, &team, &err), 1);
    assert_true(found.blocked);
    assert_int_equal(found.version, 2);
    assert_string_equal(found.hint, first + strlen(first) - 4);
    assert_string_equal(team.name, "");

    assert_int_equal(keystore_rotate(ks, key.id, second, &err), 1);
    assert_string_not_equal(first, second);
    assert_int_equal(keystore_find(ks, str_of(first), &found, &team, &err), 0);
    assert_int_equal(keystore_find(ks, str_of(second), &found, &team, &err), 1);
    assert_string_equal(found.id, key.id);
    assert_int_equal(found.version, 3);
    assert_string_equal(found.hint, second + strlen(second) - 4);

    assert_int_equal(keystore_delete(ks, key.id, &err), 1);
    assert_int_equal(keystore_find(ks, str_of(second), &found, &team, &err), 0);
    assert_int_equal(keystore_delete(ks, key.id, &err), 0);
    assert_int_equal(keystore_update(ks, &key, &err), 0);
    assert_int_equal(keystore_rotate(ks, key.id, second, &err), 0);
    keystore_close(&ks);
}

static void test_given(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    static const struct {
        const char *given;
        int rc;
    } cases[] = {
        {"sk-taken-over-0123456789", 0},  {"sk-taken-over-0123456789", -1}, /* again */
        {"short-19-characters", -1},      {"has a space in it, which no header carries", -1},
        {"tab\tin the middle of it", -1}, {"not ascii: \xc3\xa4\xc3\xb6\xc3\xbc 0123456789", -1},
        {"exactly-20-chars-123", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err;
        char secret[MAX_KEY];
        struct key_record key = {.name = "g"}, found;
        struct team_record team;
        assert_int_equal(keystore_create(ks, &key, str_of(cases[i].given), secret, &err), cases[i].rc);
        if (cases[i].rc < 0)
            continue;
        assert_string_equal(secret, cases[i].given);
        assert_int_equal(keystore_find(ks, str_of(cases[i].given), &found, &team, &err), 1);
        assert_string_equal(found.id, key.id);
    }
    keystore_close(&ks);
}

static void test_capacity(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    struct error err;
    char secret[MAX_KEY];
    struct key_record key = {.name = "c"};
    struct team_record blue = {.name = "blue"}, red = {.name = "red"};
    keystore_set_capacity(ks, 2);
    assert_int_equal(keystore_create(ks, &key, STR_NULL, secret, &err), 0);
    assert_int_equal(keystore_put_team(ks, &blue, &err), 0);
    assert_int_equal(keystore_put_team(ks, &red, &err), -1);
    assert_int_equal(keystore_put_team(ks, &blue, &err), 0); /* a change is no new one */
    struct key_record other = {.name = "d"};
    assert_int_equal(keystore_create(ks, &other, STR_NULL, secret, &err), -1);
    keystore_close(&ks);

    ks = open_writer(); /* counted anew */
    keystore_set_capacity(ks, 2);
    assert_int_equal(keystore_create(ks, &other, STR_NULL, secret, &err), -1);
    assert_int_equal(keystore_delete(ks, key.id, &err), 1);
    assert_int_equal(keystore_create(ks, &other, STR_NULL, secret, &err), 0);
    other.n_models = KEY_MAX_MODELS + 1;
    assert_int_equal(keystore_update(ks, &other, &err), -1);
    keystore_close(&ks);
}

struct seen {
    char names[8][MAX_NAME];
    int n, stop_at;
};

static int see_key(const struct key_record *k, void *arg)
{
    struct seen *s = arg;
    snprintf(s->names[s->n++], MAX_NAME, "%s", k->id);
    return s->n == s->stop_at;
}

static int see_team(const struct team_record *t, void *arg)
{
    struct seen *s = arg;
    snprintf(s->names[s->n++], MAX_NAME, "%s", t->name);
    return s->n == s->stop_at;
}

static int see_audit(int64_t time_us, struct str line, void *arg)
{
    struct seen *s = arg;
    assert_true(time_us > 0);
    snprintf(s->names[s->n++], MAX_NAME, STR_FMT, STR_ARG(line));
    return s->n == s->stop_at;
}

static void test_lists(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    struct error err;
    char secret[MAX_KEY];
    struct seen s = {.n = 0};
    assert_int_equal(keystore_each_key(ks, see_key, &s, &err), 0);
    assert_int_equal(keystore_each_audit(ks, see_audit, &s, &err), 0);
    assert_int_equal(s.n, 0);
    for (int i = 0; i < 5; i++) {
        struct key_record key = {.name = "k"};
        assert_int_equal(keystore_create(ks, &key, STR_NULL, secret, &err), 0);
    }
    assert_int_equal(keystore_each_key(ks, see_key, &s, &err), 0);
    assert_int_equal(s.n, 5);
    for (int i = 1; i < 5; i++)
        assert_true(strcmp(s.names[i - 1], s.names[i]) < 0);
    s = (struct seen){.stop_at = 2};
    assert_int_equal(keystore_each_key(ks, see_key, &s, &err), 0);
    assert_int_equal(s.n, 2);

    static const char *const teams[] = {"red", "blue", "green"};
    for (int i = 0; i < 3; i++) {
        struct team_record t = {.name = ""};
        snprintf(t.name, sizeof t.name, "%s", teams[i]);
        assert_int_equal(keystore_put_team(ks, &t, &err), 0);
        assert_int_equal(keystore_audit(ks, str_of(teams[i]), &err), 0);
    }
    s = (struct seen){.n = 0};
    assert_int_equal(keystore_each_team(ks, see_team, &s, &err), 0);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.names[0], "blue");
    assert_string_equal(s.names[2], "red");
    s = (struct seen){.n = 0};
    assert_int_equal(keystore_each_audit(ks, see_audit, &s, &err), 0);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.names[0], "green"); /* newest first */
    assert_string_equal(s.names[2], "red");
    keystore_close(&ks);
}

/* No byte string makes decoding leave the record, and no shortened record is taken for a whole one. */
static void test_hostile_records(void **state)
{
    (void)state;
    struct key_record key = full_record(), out = {0};
    snprintf(key.id, sizeof key.id, "key_1");
    uint8_t bytes[KEY_RECORD_MAX];
    size_t n = key_record_encode(&key, bytes);
    assert_int_equal(key_record_decode((struct str){(char *)bytes, n}, &out), 0);
    assert_memory_equal(&key, &out, sizeof key);
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *copy = malloc(cut + 1); /* so that the sanitizers see a read behind it */
        memcpy(copy, bytes, cut);
        assert_int_equal(key_record_decode((struct str){(char *)copy, cut}, &out), -1);
        free(copy);
    }
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        uint8_t mutant[KEY_RECORD_MAX];
        memcpy(mutant, bytes, n);
        for (int i = 0; i < 3; i++)
            mutant[(size_t)rand_r(&seed) % n] = (uint8_t)rand_r(&seed);
        if (key_record_decode((struct str){(char *)mutant, n}, &out) == 0) {
            assert_true(out.n_models <= KEY_MAX_MODELS && out.n_cidrs <= KEY_MAX_CIDRS);
            assert_non_null(memchr(out.team, '\0', sizeof out.team));
        }
        struct team_record team;
        team_record_decode((struct str){(char *)mutant, n}, &team);
    }
}

static void test_files_are_private(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    char path[256];
    static const char *const files[] = {"salt", "data.mdb", "lock.mdb"};
    struct stat st;
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/store/keys/%s", folder, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    snprintf(path, sizeof path, "%s/store/keys", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    keystore_close(&ks);
}

static bool file_has(const char *path, const char *needle)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *text = malloc((size_t)st.st_size);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    close(fd);
    bool has = n > 0 && memmem(text, (size_t)n, needle, strlen(needle)) != NULL;
    free(text);
    return has;
}

static void test_secret_is_not_stored(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    struct error err;
    char secret[MAX_KEY], path[256];
    struct key_record key = {.name = "canary"};
    assert_int_equal(keystore_create(ks, &key, STR_NULL, secret, &err), 0);
    keystore_close(&ks);
    snprintf(path, sizeof path, "%s/store/keys/data.mdb", folder);
    assert_true(file_has(path, "canary"));
    assert_false(file_has(path, secret + 8));
}

static void test_lost_salt(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    struct error err;
    char secret[MAX_KEY], path[256];
    struct key_record key = {.name = "k"};
    assert_int_equal(keystore_create(ks, &key, STR_NULL, secret, &err), 0);
    keystore_close(&ks);
    snprintf(path, sizeof path, "%s/store/keys/salt", folder);
    assert_int_equal(unlink(path), 0);
    assert_null(keystore_open(folder, true, &err));
    assert_non_null(strstr(err.text, "salt"));
}

/* A reader that starts before there is a store, and then sees each change at once; one that is killed with
 * its transaction open leaves a place that can be cleared. */
static void test_reader_process(void **state)
{
    (void)state;
    int to[2], from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct keystore *ks = keystore_open(folder, false, NULL);
        if (ks == NULL)
            _exit(1);
        char presented[MAX_KEY];
        static struct key_record key;
        struct team_record team;
        while (read(to[0], presented, sizeof presented) == sizeof presented) {
            signed char found = (signed char)keystore_find(ks, str_of(presented), &key, &team, NULL);
            if (write(from[1], &found, 1) != 1)
                _exit(2);
        }
        _exit(0);
    }
    close(to[0]);
    struct keystore *ks = open_writer();
    struct error err;
    struct key_record key = {.name = "k"};
    char secret[MAX_KEY] = "nothing here yet, no key at all", old[MAX_KEY];
    signed char found;
    for (int round = 0; round < 200; round++) {
        assert_int_equal(write(to[1], secret, sizeof secret), sizeof secret);
        assert_int_equal(read(from[0], &found, 1), 1);
        assert_int_equal(found, round > 0);
        memcpy(old, secret, sizeof old);
        if (round == 0)
            assert_int_equal(keystore_create(ks, &key, STR_NULL, secret, &err), 0);
        else
            assert_int_equal(keystore_rotate(ks, key.id, secret, &err), 1);
        assert_int_equal(write(to[1], old, sizeof old), sizeof old);
        assert_int_equal(read(from[0], &found, 1), 1);
        assert_int_equal(found, 0); /* the old one is dead on the very next look-up */
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(to[1]);
    close(from[0]);
    close(from[1]);
    keystore_reap_readers(ks);
    keystore_close(&ks);
}

/* Not a bar (machines differ), a figure for the log. */
static void test_speed(void **state)
{
    (void)state;
    struct keystore *ks = open_writer();
    struct error err;
    char secret[MAX_KEY];
    struct team_record team = {.name = "blue"};
    struct key_record key = {.name = "k"};
    assert_int_equal(keystore_put_team(ks, &team, &err), 0);
    for (int i = 0; i < 300; i++) {
        key = (struct key_record){.name = "k", .team = "blue"};
        assert_int_equal(keystore_create(ks, &key, STR_NULL, secret, &err), 0);
    }
    enum { N = 20000 };
    int64_t start = clock_mono_ns();
    for (int i = 0; i < N; i++)
        assert_int_equal(keystore_find(ks, str_of(secret), &key, &team, &err), 1);
    print_message("keystore_find: %lld ns\n", (long long)((clock_mono_ns() - start) / N));
    keystore_close(&ks);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_create_find),
        TEST(test_update_rotate_delete),
        TEST(test_given),
        TEST(test_capacity),
        TEST(test_lists),
        TEST(test_hostile_records),
        TEST(test_files_are_private),
        TEST(test_secret_is_not_stored),
        TEST(test_lost_salt),
        TEST(test_reader_process),
        TEST(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

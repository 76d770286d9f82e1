/* The secrets region: what is taken, what is refused, and that nothing stays where it was. */
#include "secret.h"
#include "temp_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char folder[64], file[96];

static void write_file(const char *text, mode_t mode)
{
    unlink(file);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void assert_secret(const char *name, const char *value)
{
    struct str s = secret_get(name);
    if (!str_eq(s, str_of(value)))
        fail_msg("%s is \"" STR_FMT "\", not \"%s\"", name, STR_ARG(s), value);
}

/* Whether the bytes stand anywhere in what the kernel shows as this process's first environment. */
static bool in_environ(const char *needle)
{
    int fd = open("/proc/self/environ", O_RDONLY);
    assert_true(fd >= 0);
    static char all[256 * 1024];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof(all) && (got = read(fd, all + n, sizeof(all) - n)) > 0)
        n += (size_t)got;
    close(fd);
    return memmem(all, n, needle, strlen(needle)) != NULL;
}

/* main starts itself again with TEST_SECRET_KEY=sk-from-environment in its environment. */
static void variable_is_wiped(void **state)
{
    (void)state;
    struct error err;
    assert_true(in_environ("sk-from-environment"));
    assert_int_equal(secret_from_env("openai", "TEST_SECRET_KEY", &err), 0);
    assert_secret("openai", "sk-from-environment");
    assert_null(getenv("TEST_SECRET_KEY"));
    assert_false(in_environ("sk-from-environment"));
    assert_false(in_environ("sk-from"));
    /* a reload, under the same or another name: the value taken then */
    assert_int_equal(secret_from_env("openai", "TEST_SECRET_KEY", &err), 0);
    assert_int_equal(secret_from_env("other", "TEST_SECRET_KEY", &err), 0);
    assert_secret("other", "sk-from-environment");
}

static void missing_variables(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(secret_from_env("x", "TEST_SECRET_NOT_SET", &err), -1);
    assert_non_null(strstr(err.text, "TEST_SECRET_NOT_SET is not set"));
    assert_int_equal(setenv("TEST_SECRET_EMPTY", "", 1), 0);
    assert_int_equal(secret_from_env("x", "TEST_SECRET_EMPTY", &err), -1);
    assert_non_null(strstr(err.text, "empty"));
    assert_int_equal(setenv("TEST_SECRET_BAD", "sk-a\r\nx: y", 1), 0);
    assert_int_equal(secret_from_env("x", "TEST_SECRET_BAD", &err), -1);
    assert_null(strstr(err.text, "sk-a"));
    assert_int_equal(secret_get("x").n, 0);
}

static void files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mode_t mode;
        const char *value, *message;
    } cases[] = {
        {"sk-1\n", 0600, "sk-1", NULL},
        {"sk-2", 0400, "sk-2", NULL},
        {"sk-3\r\nsecond line\n", 0600, "sk-3", NULL},
        {"  sk-4 \t\n", 0600, "sk-4", NULL},
        {"sk-5\n", 0640, NULL, "chmod 600"},
        {"sk-5\n", 0604, NULL, "chmod 600"},
        {"sk-5\n", 0620, NULL, "chmod 600"},
        {"", 0600, NULL, "empty"},
        {"\nsk-6\n", 0600, NULL, "empty"},
        {"sk-7 and more\n", 0600, NULL, "space"},
        {"sk-\xc3\xa9\n", 0600, NULL, "not ASCII"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {{0}};
        write_file(cases[i].text, cases[i].mode);
        int result = secret_from_file("file", file, &err);
        if (result != (cases[i].value ? 0 : -1))
            fail_msg("case %zu: %d %s", i, result, err.text);
        if (cases[i].value)
            assert_secret("file", cases[i].value);
        else if (!strstr(err.text, cases[i].message) || strstr(err.text, "sk-"))
            fail_msg("case %zu: %s", i, err.text);
    }
    assert_secret("file", "sk-4"); /* a refused one replaces nothing */
}

static void odd_files(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(secret_from_file("odd", folder, &err), -1);
    assert_non_null(strstr(err.text, "regular"));
    assert_int_equal(secret_from_file("odd", "/nonexistent/key", &err), -1);
    char fifo[96];
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(secret_from_file("odd", fifo, &err), -1);
    char long_line[6000];
    memset(long_line, 'x', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';
    write_file(long_line, 0600);
    assert_int_equal(secret_from_file("odd", file, &err), -1);
    assert_non_null(strstr(err.text, "too long"));
    assert_int_equal(secret_get("odd").n, 0);
}

/* systemd's credentials have an ACL, which makes their mode look like a group's. */
static void credentials(void **state)
{
    (void)state;
    struct error err;
    write_file("sk-credential\n", 0440);
    assert_int_equal(secret_from_file("credential", file, &err), -1);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_int_equal(secret_from_file("credential", file, &err), 0);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_secret("credential", "sk-credential");
}

static void all_or_nothing(void **state)
{
    (void)state;
    struct error err;
    write_file("sk-old\n", 0600);
    assert_int_equal(secret_from_file("a", file, &err), 0);
    assert_int_equal(secret_from_file("b", file, &err), 0);

    write_file("sk-new\n", 0600);
    secret_begin();
    assert_int_equal(secret_from_file("a", file, &err), 0);
    assert_secret("a", "sk-old");
    secret_abort();
    assert_secret("a", "sk-old");
    assert_secret("b", "sk-old");

    secret_begin();
    assert_int_equal(secret_from_file("a", file, &err), 0);
    secret_commit();
    assert_secret("a", "sk-new");
    assert_int_equal(secret_get("b").n, 0); /* no longer asked for: gone */
}

static void many_reloads(void **state)
{
    (void)state;
    struct error err;
    write_file("sk-again\n", 0600);
    for (int i = 0; i < 1000; i++) {
        secret_begin();
        for (int k = 0; k < 64; k++) {
            char name[64];
            snprintf(name, sizeof(name), "provider-%d-%d", i, k);
            if (secret_from_file(name, file, &err) != 0)
                fail_msg("round %d: %s", i, err.text);
        }
        secret_commit();
    }
    assert_secret("provider-999-63", "sk-again");
    assert_int_equal(secret_get("provider-998-63").n, 0);
}

static void forgotten_in_a_child(void **state)
{
    (void)state;
    struct error err;
    write_file("sk-parent\n", 0600);
    assert_int_equal(secret_from_file("parent", file, &err), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool had = secret_get("parent").n > 0;
        secret_forget();
        bool gone = secret_get("parent").n == 0 && secret_from_file("parent", file, &err) == -1;
        _exit(had && gone ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_secret("parent", "sk-parent");
}

static int setup(void **state)
{
    (void)state;
    struct error err;
    if (!temp_folder_new(folder) || secret_init(&err) != 0)
        return -1;
    snprintf(file, sizeof(file), "%s/key", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    if (!getenv("TEST_SECRET_KEY")) {
        setenv("TEST_SECRET_KEY", "sk-from-environment", 1);
        execv("/proc/self/exe", argv);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variable_is_wiped),
        cmocka_unit_test(missing_variables),
        cmocka_unit_test(files),
        cmocka_unit_test(odd_files),
        cmocka_unit_test(credentials),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(many_reloads),
        cmocka_unit_test(forgotten_in_a_child),
    };
    return cmocka_run_group_tests_name("secret", tests, setup, teardown);
}

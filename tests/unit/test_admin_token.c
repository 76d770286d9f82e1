/* The admin token: made once, for its owner alone, and told from every other. */
#include "token.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/aigw-token-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/token", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when something else was left behind */
}

static void write_token(const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void made_at_the_first_start(void **state)
{
    (void)state;
    struct token t, again;
    struct error err;
    struct stat st;
    bool made;
    assert_int_equal(token_load(path, &t, &made, &err), 0);
    assert_true(made);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 44);
    assert_int_equal(token_load(path, &again, &made, &err), 0);
    assert_false(made);
    assert_memory_equal(&t, &again, sizeof t);

    char header[64] = "Bearer ";
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, header + 7, 43), 43);
    close(fd);
    assert_true(token_matches(&t, str_of(header)));
    for (const char *p = header + 7; *p; p++)
        assert_true((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                    *p == '-' || *p == '_');
}

static void two_are_different(void **state)
{
    (void)state;
    struct token a, b;
    struct error err;
    bool made;
    assert_int_equal(token_load(path, &a, &made, &err), 0);
    unlink(path);
    assert_int_equal(token_load(path, &b, &made, &err), 0);
    assert_memory_not_equal(&a, &b, sizeof a);
}

static void refuses_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mode_t mode;
        const char *says;
    } cases[] = {
        {"a-token-of-twenty-characters\n", 0640, "chmod 600"},
        {"a-token-of-twenty-characters\n", 0604, "chmod 600"},
        {"a-token-of-twenty-characters\n", 0660, "chmod 600"},
        {"", 0600, "20 characters"},
        {"\n", 0600, "20 characters"},
        {"short\n", 0600, "20 characters"},
        {"   \n", 0600, "20 characters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token t;
        struct error err;
        bool made;
        write_token(cases[i].text, cases[i].mode);
        assert_int_equal(token_load(path, &t, &made, &err), -1);
        assert_non_null(strstr(err.text, cases[i].says));
    }
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    struct token t;
    struct error err;
    bool made;
    assert_int_equal(token_load(path, &t, &made, &err), -1);
    rmdir(path);
}

static void matches_only_itself(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool ok;
    } cases[] = {
        {"Bearer a-token-of-twenty-characters", true},
        {"bearer a-token-of-twenty-characters", true},
        {"BEARER   a-token-of-twenty-characters ", true},
        {"Bearer a-token-of-twenty-character", false},
        {"Bearer a-token-of-twenty-charactersx", false},
        {"Bearer A-token-of-twenty-characters", false},
        {"a-token-of-twenty-characters", false},
        {"Basic a-token-of-twenty-characters", false},
        {"Bearer", false},
        {"Bearer ", false},
        {"", false},
    };
    struct token t;
    struct error err;
    bool made;
    write_token("a-token-of-twenty-characters\nand a second line\n", 0600);
    assert_int_equal(token_load(path, &t, &made, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(token_matches(&t, str_of(cases[i].header)), cases[i].ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_at_the_first_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_are_different, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_bad_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(matches_only_itself, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

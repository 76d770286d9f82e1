/* What a process has, and can still do, after it has begun. Each case is a child of the test. */
#include "process.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct config config = {.file = "test"};

static struct heritage bare(void)
{
    struct heritage h = {.config = &config, .slot = 20, .control_fd = -1, .cache_fd = -1, .acceptor_fd = -1};
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        h.listen_fds[i] = -1;
    return h;
}

/* Runs f in a child that has entered the role; its wait status. */
static int in_child(const char *role, int (*f)(const struct heritage *), const struct heritage *h)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        process_enter(h, role);
        _exit(f(h));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_passed(int status)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int only_its_own(const struct heritage *h)
{
    for (int fd = 3; fd < 200; fd++) {
        bool own = fd == h->control_fd || fd == h->cache_fd || fd == h->listen_fds[0];
        if (is_open(fd) != own)
            return 1;
    }
    return !(is_open(0) && is_open(1) && is_open(2));
}

static void test_descriptors(void **state)
{
    (void)state;
    struct heritage h = bare();
    int fds[60];
    for (int i = 0; i < 60; i++)
        assert_true((fds[i] = dup(1)) > 2);
    h.control_fd = fds[50];
    h.cache_fd = fds[3];
    h.listen_fds[0] = fds[4];
    assert_passed(in_child("worker", only_its_own, &h));
    for (int i = 0; i < 60; i++)
        close(fds[i]);
    h = bare();
    assert_passed(in_child("ledger", only_its_own, &h));
}

static int closed_in(const struct heritage *h)
{
    struct rlimit core;
    struct sigaction term;
    char name[16];
    int death = 0;
    (void)h;
    getrlimit(RLIMIT_CORE, &core);
    sigaction(SIGTERM, NULL, &term);
    prctl(PR_GET_NAME, name);
    prctl(PR_GET_PDEATHSIG, &death);
    if (core.rlim_cur != 0 || core.rlim_max != 0 || term.sa_handler != SIG_IGN)
        return 1;
    if (death != SIGKILL || strcmp(name, "aigw: worker") != 0)
        return 2;
#ifndef __SANITIZE_ADDRESS__
    if (prctl(PR_GET_DUMPABLE) != 0)
        return 3;
#endif
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 4;
}

static void test_closed_in(void **state)
{
    (void)state;
    struct heritage h = bare();
    assert_passed(in_child("worker", closed_in, &h));
}

static int start_a_program(const struct heritage *h)
{
    (void)h;
    char *args[] = {(char[]){"true"}, NULL}, *env[] = {NULL};
    execve("/bin/true", args, env);
    return 1;
}

static int do_mount(const struct heritage *h)
{
    (void)h;
    mount("none", "/nowhere", "tmpfs", 0, NULL);
    return 1;
}

static void test_deadly_calls(void **state)
{
    (void)state;
    struct heritage h = bare();
    int (*const cases[])(const struct heritage *) = {start_a_program, do_mount};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = in_child("worker", cases[i], &h);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

static int refused(const struct heritage *h)
{
    (void)h;
    if (syscall(SYS_keyctl, 0, 0, 0, 0, 0) != -1 || errno != EPERM)
        return 1;
    return syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == EPERM ? 0 : 2;
}

/* A socket of the acceptor's reaches nobody; a worker's may. */
static int reaches_out(const struct heritage *h)
{
    struct sockaddr sa = {.sa_family = AF_UNSPEC};
    (void)h;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return connect(fd, &sa, sizeof sa) == 0 ? 0 : errno;
}

static void test_refused_calls(void **state)
{
    (void)state;
    struct heritage h = bare();
    assert_passed(in_child("worker", refused, &h));
    assert_passed(in_child("worker", reaches_out, &h));
    int status = in_child("acceptor", reaches_out, &h);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EPERM);
}

static int drops(const struct heritage *h)
{
    (void)h;
    if (geteuid() != 0 && getegid() != 0 && setuid(0) != 0)
        return 0;
    return 1;
}

static void test_privileges(void **state)
{
    (void)state;
    struct config other = config;
    struct heritage h = bare();
    struct error err;
    if (geteuid() != 0)
        skip();
    other.user = "nobody";
    h.config = &other;
    assert_passed(in_child("worker", drops, &h));
    other.user = "no-such-user-here";
    assert_int_equal(process_drop_privileges(&other, &err), -1);
    assert_non_null(strstr(err.text, "no-such-user-here"));
}

int main(int argc, char **argv)
{
    struct error err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors),  cmocka_unit_test(test_closed_in),
        cmocka_unit_test(test_deadly_calls), cmocka_unit_test(test_refused_calls),
        cmocka_unit_test(test_privileges),
    };
    process_init(argc, argv);
    if (sandbox_prepare(&err))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

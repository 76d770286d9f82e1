/* Descriptors beside datagrams: what arrives, and what is never left open. */
#include "fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int open_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static ino_t inode(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static void test_bytes_and_descriptors(void **state)
{
    (void)state;
    int pair[2], pipes[2], got[FDPASS_MAX];
    char text[16];
    make_pair(pair);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    for (size_t n = 0; n <= FDPASS_MAX; n++) {
        assert_int_equal(fdpass_send(pair[0], "hello", 5, pipes, n), 0);
        assert_int_equal(fdpass_recv(pair[1], text, sizeof text, got, true), 5);
        assert_memory_equal(text, "hello", 5);
        for (size_t i = 0; i < FDPASS_MAX; i++) {
            if (i >= n) {
                assert_int_equal(got[i], -1);
                continue;
            }
            assert_int_equal(inode(got[i]), inode(pipes[i]));
            assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
            close(got[i]);
        }
    }
    close(pair[0]);
    close(pair[1]);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_nothing_now_and_gone(void **state)
{
    (void)state;
    int pair[2], got[FDPASS_MAX];
    char text[16];
    make_pair(pair);
    assert_int_equal(fdpass_recv(pair[1], text, sizeof text, got, false), -1);
    assert_int_equal(errno, EAGAIN);
    close(pair[0]);
    assert_int_equal(fdpass_recv(pair[1], text, sizeof text, got, false), 0);
    assert_int_equal(fdpass_send(pair[1], "x", 1, NULL, 0), -1);
    assert_int_equal(errno, EPIPE);
    close(pair[1]);
}

/* A peer that ends with messages unread: what it said before comes first, then its end. */
static void test_last_words_are_heard(void **state)
{
    (void)state;
    int pair[2], got[FDPASS_MAX];
    char text[16];
    make_pair(pair);
    assert_int_equal(fdpass_send(pair[1], "unread", 6, NULL, 0), 0);
    assert_int_equal(fdpass_send(pair[0], "back", 4, &pair[0], 1), 0);
    assert_int_equal(fdpass_send(pair[0], "bye", 3, NULL, 0), 0);
    close(pair[0]);
    assert_int_equal(fdpass_recv(pair[1], text, sizeof text, got, false), 4);
    assert_true(got[0] >= 0);
    close(got[0]);
    assert_int_equal(fdpass_recv(pair[1], text, sizeof text, got, false), 3);
    assert_int_equal(fdpass_recv(pair[1], text, sizeof text, got, false), 0);
    close(pair[1]);
}

static void test_full_says_so(void **state)
{
    (void)state;
    int pair[2], rc, n = 0;
    char piece[512] = {0};
    make_pair(pair);
    while ((rc = fdpass_send(pair[0], piece, sizeof piece, NULL, 0)) == 0 && n < 100000)
        n++;
    assert_int_equal(rc, -1);
    assert_int_equal(errno, EAGAIN);
    close(pair[0]);
    close(pair[1]);
}

static void test_a_larger_message_leaves_no_descriptor(void **state)
{
    (void)state;
    int pair[2], got[FDPASS_MAX], before;
    char small[4];
    make_pair(pair);
    before = open_fds();
    int fds[2] = {pair[0], pair[1]};
    assert_int_equal(fdpass_send(pair[0], "too large", 9, fds, 2), 0);
    assert_int_equal(fdpass_recv(pair[1], small, sizeof small, got, true), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(open_fds(), before);
    assert_int_equal(fdpass_send(pair[0], "x", 1, fds, FDPASS_MAX + 1), -1);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_and_descriptors),
        cmocka_unit_test(test_nothing_now_and_gone),
        cmocka_unit_test(test_last_words_are_heard),
        cmocka_unit_test(test_full_says_so),
        cmocka_unit_test(test_a_larger_message_leaves_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

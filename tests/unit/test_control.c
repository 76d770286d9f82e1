/* The master's conversation with its children. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void test_there_and_back(void **state)
{
    (void)state;
    int pair[2];
    struct control got, m = {.kind = CTL_WORKER, .slot = 20, .generation = 4, .number = 1, .fd = 0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    strncpy(m.text, "aigw.conf:3: why", sizeof m.text);
    assert_int_equal(control_send(pair[0], &m), 0);
    assert_int_equal(control_recv(pair[1], &got), 1);
    assert_int_equal(got.kind, CTL_WORKER);
    assert_int_equal(got.slot, 20);
    assert_int_equal(got.generation, 4);
    assert_int_equal(got.number, 1);
    assert_string_equal(got.text, "aigw.conf:3: why");
    assert_true(got.fd > 2);
    assert_true(fcntl(got.fd, F_GETFD) & FD_CLOEXEC);
    close(got.fd);

    assert_int_equal(control_recv(pair[1], &got), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(send(pair[0], "not a message", 13, 0), 13);
    assert_int_equal(control_recv(pair[1], &got), -1);
    assert_int_equal(errno, EPROTO);
    m.fd = -1;
    memset(m.text, 'x', sizeof m.text); /* a text without an end gets one */
    assert_int_equal(control_send(pair[0], &m), 0);
    assert_int_equal(control_recv(pair[1], &got), 1);
    assert_int_equal(got.fd, -1);
    assert_int_equal(strlen(got.text), sizeof got.text - 1);
    close(pair[0]);
    assert_int_equal(control_recv(pair[1], &got), 0);
    assert_int_equal(control_send(pair[1], &m), -1);
    assert_int_equal(errno, EPIPE);
    close(pair[1]);
}

/* A peer that ends with messages unread: what it said before comes first, then its end. */
static void test_last_words_are_heard(void **state)
{
    (void)state;
    int pair[2];
    struct control got, m = {.kind = CTL_DRAIN, .fd = -1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(control_send(pair[1], &m), 0);
    m.kind = CTL_READY;
    assert_int_equal(control_send(pair[0], &m), 0);
    close(pair[0]);
    assert_int_equal(control_recv(pair[1], &got), 1);
    assert_int_equal(got.kind, CTL_READY);
    assert_int_equal(control_recv(pair[1], &got), 0);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_last_words_are_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Connections on their way between acceptor and worker. */
#include "fdpass.h"
#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int pair[2];

static int set_up(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int tear_down(void **state)
{
    (void)state;
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static struct handover full(void)
{
    struct handover m = {.kind = HAND_GIVE, .fd = 0, .spool_fd = 1};
    m.conn.id = 77;
    m.conn.listener = 3;
    m.conn.tls = true;
    m.conn.wait = WAIT_BODY;
    m.conn.peer.ss_family = AF_INET6;
    strncpy(m.conn.tls_subject, "alice", sizeof m.conn.tls_subject);
    m.conn.accepted_ns = 5;
    m.conn.request_ns = 6;
    m.conn.want = UINT64_MAX;
    m.conn.requests = 9;
    return m;
}

static void test_a_connection_arrives_whole(void **state)
{
    (void)state;
    struct handover m = full(), got;
    assert_int_equal(handover_send(pair[0], &m), 0);
    assert_int_equal(handover_recv(pair[1], &got), 1);
    assert_int_equal(got.kind, HAND_GIVE);
    assert_int_equal(got.conn.id, 77);
    assert_int_equal(got.conn.listener, 3);
    assert_true(got.conn.tls);
    assert_int_equal(got.conn.peer.ss_family, AF_INET6);
    assert_string_equal(got.conn.tls_subject, "alice");
    assert_true(got.conn.want == UINT64_MAX);
    assert_int_equal(got.conn.requests, 9);
    assert_true(got.fd > 2 && got.spool_fd > 2 && got.fd != got.spool_fd);
    close(got.fd);
    close(got.spool_fd);
}

static void test_words(void **state)
{
    (void)state;
    static const enum handover_kind words[] = {HAND_STOP_LINGERING, HAND_DRAIN, HAND_ASK,
                                               HAND_TAKEN,          HAND_FREE,  HAND_BUSY};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct handover m = {.kind = (uint8_t)words[i], .fd = 0, .spool_fd = 0}, got;
        assert_int_equal(handover_send(pair[0], &m), 0);
        assert_int_equal(handover_wait(pair[1], &got), 1);
        assert_int_equal(got.kind, words[i]);
        assert_int_equal(got.fd, -1); /* a word carries no descriptor, whatever its sender left there */
        assert_int_equal(got.spool_fd, -1);
    }
}

static void test_none_now_and_gone(void **state)
{
    (void)state;
    struct handover m;
    assert_int_equal(handover_recv(pair[1], &m), -1);
    assert_int_equal(errno, EAGAIN);
    shutdown(pair[0], SHUT_RDWR);
    assert_int_equal(handover_recv(pair[1], &m), 0);
}

/* What a worker that went astray might send: refused, and its descriptors closed. */
static void test_unsound_messages(void **state)
{
    (void)state;
    static const struct {
        unsigned char bytes[8];
        size_t size, fds;
    } cases[] = {
        {{0, 0}, 8, 0},         /* no such kind */
        {{99, 0}, 8, 0},        /* nor this one */
        {{HAND_FREE, 0}, 1, 0}, /* cut */
        {{HAND_GIVE, 1}, 8, 1}, /* a connection that is not there */
        {{HAND_FREE, 0}, 8, 1}, /* a descriptor nobody asked for */
        {{HAND_FREE, 1}, 8, 0}, /* … or one that did not come */
    };
    struct handover m;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int lowest = dup(0);
        close(lowest);
        assert_int_equal(fdpass_send(pair[0], cases[i].bytes, cases[i].size, (int[]){0}, cases[i].fds), 0);
        assert_int_equal(handover_recv(pair[1], &m), -1);
        assert_int_equal(errno, EPROTO);
        int now = dup(0);
        assert_int_equal(now, lowest);
        close(now);
    }
}

static void test_values_out_of_range(void **state)
{
    (void)state;
    struct handover m = full(), got;
    m.conn.wait = WAIT_CLOSE + 1;
    assert_int_equal(handover_send(pair[0], &m), 0);
    assert_int_equal(handover_recv(pair[1], &got), -1);
    m = full();
    m.conn.listener = 999;
    assert_int_equal(handover_send(pair[0], &m), 0);
    assert_int_equal(handover_recv(pair[1], &got), -1);
    m = full();
    memset(m.conn.tls_subject, 'x', sizeof m.conn.tls_subject);
    assert_int_equal(handover_send(pair[0], &m), 0);
    assert_int_equal(handover_recv(pair[1], &got), 1);
    assert_int_equal(strlen(got.conn.tls_subject), sizeof got.conn.tls_subject - 1);
    close(got.fd);
    close(got.spool_fd);
}

/* The order of what one end says is the order in which the other hears it, also when the first is gone by
 * then. */
static void test_last_words_are_heard(void **state)
{
    (void)state;
    struct handover taken = {.kind = HAND_TAKEN, .fd = -1, .spool_fd = -1}, back = full(), got;
    back.kind = HAND_BACK;
    assert_int_equal(handover_send(pair[0], &taken), 0);
    assert_int_equal(handover_send(pair[0], &back), 0);
    close(pair[0]);
    pair[0] = -1;
    assert_int_equal(handover_recv(pair[1], &got), 1);
    assert_int_equal(got.kind, HAND_TAKEN);
    assert_int_equal(handover_recv(pair[1], &got), 1);
    assert_int_equal(got.kind, HAND_BACK);
    close(got.fd);
    close(got.spool_fd);
    assert_int_equal(handover_recv(pair[1], &got), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_connection_arrives_whole), TEST(test_words),
        TEST(test_none_now_and_gone),          TEST(test_unsound_messages),
        TEST(test_values_out_of_range),        TEST(test_last_words_are_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The client's side of a worker: heads and bodies however they are cut, hand-backs, slow clients. */
#include "pipeline_fixture.h"

#include <errno.h>
#include <fcntl.h>

#define HEAD "POST /v1/x HTTP/1.1\r\nhost: a\r\n"

/* The pieces that the peer sends one by one, each when the worker would wait. */
static const struct str *script;
static size_t script_left;

static unsigned send_next(struct fixture *f)
{
    if (script_left == 0)
        return WORKER_TIMEOUT;
    peer_sends(f, *script++);
    script_left--;
    return WORKER_READY;
}

static enum client_result read_request(struct fixture *f, struct http_head *head, struct buf *decoded,
                                       struct str *body, struct http_refusal *why)
{
    enum client_result r = client_read_head(&f->client, head, why);
    return r == CLIENT_OK ? client_read_body(&f->client, head, decoded, body, why) : r;
}

static void requests_however_they_are_cut(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *bytes, *body;
    } cases[] = {
        {"no body", HEAD "\r\n", ""},
        {"length", HEAD "content-length: 5\r\n\r\nhello", "hello"},
        {"empty", HEAD "content-length: 0\r\n\r\n", ""},
        {"chunked", HEAD "transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: 1\r\n\r\n",
         "hello"},
    };
    size_t served = 0;
    f->hook = send_next;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str all = str_of(cases[i].bytes);
        for (size_t cut = 1; cut <= all.n; cut++, served++) {
            struct http_head head;
            struct http_refusal why;
            struct buf decoded;
            struct str body, rest = {all.p + cut, all.n - cut};
            buf_init(&decoded, 1000);
            peer_sends(f, (struct str){all.p, cut});
            script = &rest;
            script_left = rest.n > 0;
            enum client_result r = read_request(f, &head, &decoded, &body, &why);
            if (r != CLIENT_OK || !str_eq(body, str_of(cases[i].body)) || f->client.body_left != 0 ||
                !str_eq(head.path, STR("/v1/x")))
                fail_msg("%s cut at %zu: %d", cases[i].name, cut, r);
            client_next(&f->client);
            assert_false(client_has_more(&f->client));
            buf_free(&decoded);
        }
    }
    assert_int_equal(f->client.conn.requests, served);
}

static void pipelined_requests(void **state)
{
    struct fixture *f = *state;
    struct http_head head;
    struct http_refusal why;
    struct buf decoded;
    struct str body;
    buf_init(&decoded, 1000);
    peer_sends(f, STR(HEAD "content-length: 3\r\n\r\none" HEAD
                           "transfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n" HEAD "\r\nGET"));
    assert_int_equal(read_request(f, &head, &decoded, &body, &why), CLIENT_OK);
    assert_true(str_eq(body, STR("one")));
    client_next(&f->client);
    assert_true(client_has_more(&f->client));
    assert_int_equal(read_request(f, &head, &decoded, &body, &why), CLIENT_OK);
    assert_true(str_eq(body, STR("two")));
    client_next(&f->client);
    assert_int_equal(read_request(f, &head, &decoded, &body, &why), CLIENT_OK);
    client_next(&f->client);
    assert_true(client_has_more(&f->client));
    assert_int_equal(f->client.in.n, 3);
    buf_free(&decoded);
}

static char *big_body(size_t n)
{
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + i * 7919 % 26);
    return p;
}

static struct {
    char *p;
    size_t n, at;
} feed;

static unsigned send_feed(struct fixture *f)
{
    ssize_t n = send(f->peer, feed.p + feed.at, feed.n - feed.at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        feed.at += (size_t)n;
    f->client.wait_ns = 0; /* however slow this machine is */
    return WORKER_READY;
}

/* The buffer moves when it grows; the head's slices must follow. */
static void a_large_body_is_contiguous(void **state)
{
    struct fixture *f = *state;
    struct http_head head;
    struct http_refusal why;
    struct str body, value;
    feed.n = 1 << 20;
    feed.at = 0;
    feed.p = big_body(feed.n);
    f->hook = send_feed;
    peer_sends(f, STR(HEAD "x-one: two\r\ncontent-length: 1048576\r\n\r\n"));
    assert_int_equal(read_request(f, &head, NULL, &body, &why), CLIENT_OK);
    assert_int_equal(body.n, feed.n);
    assert_memory_equal(body.p, feed.p, feed.n);
    assert_true(http_find(&head, "x-one", &value) && str_eq(value, STR("two")));
    assert_true(value.p > f->client.in.p && value.p < f->client.in.p + head.length);
    client_next(&f->client);
    assert_int_equal(f->client.in.cap, 0);
    free(feed.p);
}

static void refusals(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bytes;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400}, /* no Host */
        {HEAD "content-length: 1\r\ncontent-length: 2\r\n\r\n", 400},
        {HEAD "content-length: 99999999\r\n\r\n", 413},
        {HEAD "transfer-encoding: chunked\r\n\r\nzz\r\n", 400},
        {HEAD "transfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n", 413}, /* decoded holds 10 */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_head head;
        struct http_refusal why = {0};
        struct buf decoded;
        struct str body;
        buf_init(&decoded, 10);
        close(f->peer);
        fixture_peer(f);
        peer_sends(f, str_of(cases[i].bytes));
        enum client_result r = read_request(f, &head, &decoded, &body, &why);
        if (r != CLIENT_REFUSED || why.status != cases[i].status)
            fail_msg("case %zu: result %d status %d", i, r, why.status);
        buf_free(&decoded);
    }
}

static void expect_is_answered_once(void **state)
{
    struct fixture *f = *state;
    struct http_head head;
    struct http_refusal why;
    struct str body, late = STR("hello");
    script = &late;
    script_left = 1;
    f->hook = send_next;
    peer_sends(f, STR(HEAD "expect: 100-continue\r\ncontent-length: 5\r\n\r\n"));
    assert_int_equal(read_request(f, &head, NULL, &body, &why), CLIENT_OK);
    assert_true(str_eq(body, STR("hello")));
    assert_string_equal(peer_reads(f).p, "HTTP/1.1 100 Continue\r\n\r\n");
    client_next(&f->client);
    peer_sends(f, STR(HEAD "expect: 100-continue\r\ncontent-length: 5\r\n\r\nhello"));
    assert_int_equal(read_request(f, &head, NULL, &body, &why), CLIENT_OK);
    assert_string_equal(peer_reads(f).p, ""); /* the body was here already */
}

static unsigned time_passes(struct fixture *f)
{
    f->client.wait_ns += NS_PER_SEC;
    return WORKER_TIMEOUT;
}

/* Handed back with what has come, given again with all of it. */
static void a_waiting_body_travels_in_a_spool(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *first, *rest, *body;
        uint64_t want;
    } cases[] = {
        {HEAD "content-length: 5\r\n\r\nhe", "llo", "hello", 56},
        {HEAD "transfer-encoding: chunked\r\n\r\n5\r\nhe", "llo\r\n0\r\n\r\n", "hello", UINT64_MAX},
    };
    f->hook = time_passes;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_head head;
        struct http_refusal why;
        struct buf decoded;
        struct str body;
        struct error err;
        buf_init(&decoded, 100);
        peer_sends(f, str_of(cases[i].first));
        assert_int_equal(read_request(f, &head, &decoded, &body, &why), CLIENT_WAITS);
        assert_int_equal(f->client.conn.want, cases[i].want);
        assert_int_equal(client_spool(&f->client, &err), 0);
        assert_int_equal(f->client.conn.wait, WAIT_BODY);
        assert_int_equal(f->client.in.n, 0);

        struct handover m = {
            .conn = f->client.conn, .fd = dup(f->client.fd), .spool_fd = dup(f->client.spool_fd)};
        struct str rest = str_of(cases[i].rest);
        assert_int_equal(write(m.spool_fd, rest.p, rest.n), rest.n);
        client_take(&f->client, &m);
        assert_int_equal(read_request(f, &head, &decoded, &body, &why), CLIENT_OK);
        assert_true(str_eq(body, str_of(cases[i].body)));
        client_next(&f->client);
        assert_false(client_has_more(&f->client));
        assert_int_equal(f->client.spool_fd, -1);
        buf_free(&decoded);
    }
}

static void waiting_heads(void **state)
{
    struct fixture *f = *state;
    struct http_head head;
    struct http_refusal why;
    struct error err;
    /* nothing came at all: back as it is */
    assert_int_equal(client_read_head(&f->client, &head, &why), CLIENT_WAITS);
    assert_int_equal(client_spool(&f->client, &err), 0);
    assert_int_equal(f->client.conn.wait, WAIT_REQUEST);
    assert_int_equal(f->client.spool_fd, -1);
    /* half a head that has been kept waiting for long enough */
    peer_sends(f, STR("GET / HT"));
    f->client.conn.request_ns = clock_mono_ns() - 200 * NS_PER_MS;
    assert_int_equal(client_read_head(&f->client, &head, &why), CLIENT_WAITS);
    assert_int_equal(client_spool(&f->client, &err), 0);
    assert_int_equal(f->client.conn.wait, WAIT_BODY);
    assert_int_equal(f->client.conn.want, 9);
}

static void slow_clients_are_given_up(void **state)
{
    struct fixture *f = *state;
    struct http_head head;
    struct http_refusal why;
    struct str body;
    peer_sends(f, STR("GET / HT"));
    f->client.conn.request_ns = clock_mono_ns() - 11 * NS_PER_SEC;
    assert_int_equal(client_read_head(&f->client, &head, &why), CLIENT_TOO_SLOW);
    assert_int_equal(counted(&f->worker.metrics->deadline_head_total), 1);

    close(f->peer);
    fixture_peer(f);
    peer_sends(f, STR(HEAD "content-length: 99\r\n\r\nhe"));
    assert_int_equal(client_read_head(&f->client, &head, &why), CLIENT_OK);
    f->client.conn.request_ns = clock_mono_ns() - 11 * NS_PER_SEC;
    assert_int_equal(client_read_body(&f->client, &head, NULL, &body, &why), CLIENT_TOO_SLOW);
    assert_int_equal(counted(&f->worker.metrics->deadline_body_total), 1);
}

static void clients_that_leave(void **state)
{
    struct fixture *f = *state;
    struct http_head head;
    struct http_refusal why;
    struct str body;
    peer_sends(f, STR(HEAD "content-length: 99\r\n\r\nhe"));
    assert_int_equal(client_read_head(&f->client, &head, &why), CLIENT_OK);
    close(f->peer);
    assert_int_equal(client_read_body(&f->client, &head, NULL, &body, &why), CLIENT_CLOSED);
    assert_int_equal(client_write(&f->client, STR("x"), STR_NULL), -1);
    assert_true(f->client.gone);
    fixture_peer(f);
    shutdown(f->peer, SHUT_WR);
    assert_int_equal(client_read_head(&f->client, &head, &why), CLIENT_CLOSED);
}

static size_t drained;

static unsigned drain(struct fixture *f)
{
    struct str got = peer_reads(f);
    for (size_t i = 0; i < got.n; i++, drained++)
        if (got.p[i] != (char)('a' + drained * 7919 % 26))
            fail_msg("byte %zu is wrong", drained);
    return WORKER_READY;
}

static void a_large_answer_is_written_whole(void **state)
{
    struct fixture *f = *state;
    size_t n = 3 << 20;
    char *p = big_body(n);
    drained = 0;
    f->hook = drain;
    assert_int_equal(client_write(&f->client, (struct str){p, 100}, (struct str){p + 100, n - 100}), 0);
    drain(f);
    assert_int_equal(drained, n);
    assert_true(f->waits > 0);
    free(p);
}

static unsigned lose_patience(struct fixture *f)
{
    f->client.blocked_ns = 100 * NS_PER_MS;
    return WORKER_READY; /* looked again, and nothing went out */
}

/* What a slow reader does not take keeps nobody waiting, and goes out later, in order. */
static void a_slow_readers_answer_is_kept(void **state)
{
    struct fixture *f = *state;
    size_t n = 900 << 10;
    char *p = big_body(n);
    drained = 0;
    f->hook = lose_patience;
    assert_int_equal(client_write(&f->client, (struct str){p, n - 9}, STR_NULL), 0);
    assert_true(f->client.backlog_fd >= 0);
    unsigned waits = f->waits;
    assert_int_equal(client_write(&f->client, (struct str){p + n - 9, 9}, STR_NULL), 0);
    assert_int_equal(f->waits, waits);
    assert_true(f->client.backlog_at < f->client.backlog_end);
    f->hook = drain;
    assert_int_equal(client_flush(&f->client), 0);
    assert_int_equal(f->client.backlog_fd, -1);
    drain(f);
    assert_int_equal(drained, n);
    free(p);
}

/* A client that takes nothing at all for the write deadline is given up, with a backlog, too. */
static void a_backlog_does_not_wait_for_ever(void **state)
{
    struct fixture *f = *state;
    size_t n = 900 << 10;
    char *p = big_body(n);
    f->hook = lose_patience;
    assert_int_equal(client_write(&f->client, (struct str){p, n}, STR_NULL), 0);
    f->client.taken_ns -= 21 * NS_PER_SEC;
    assert_int_equal(client_write(&f->client, STR("more"), STR_NULL), -1);
    assert_true(f->client.gone);
    assert_int_equal(counted(&f->worker.metrics->deadline_write_total), 1);
    free(p);
}

static unsigned stall(struct fixture *f)
{
    f->client.blocked_ns += 20 * NS_PER_SEC;
    return WORKER_READY; /* writable, yet nothing goes out */
}

static void a_slow_reader_is_dropped(void **state)
{
    struct fixture *f = *state;
    size_t n = 3 << 20;
    char *p = big_body(n);
    f->hook = stall;
    assert_int_equal(client_write(&f->client, (struct str){p, n}, STR_NULL), -1);
    assert_true(f->client.gone);
    assert_int_equal(counted(&f->worker.metrics->deadline_write_total), 1);
    assert_int_equal(client_write(&f->client, STR("x"), STR_NULL), -1);
    free(p);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)
    const struct CMUnitTest tests[] = {
        CASE(requests_however_they_are_cut),
        CASE(pipelined_requests),
        CASE(a_large_body_is_contiguous),
        CASE(refusals),
        CASE(expect_is_answered_once),
        CASE(a_waiting_body_travels_in_a_spool),
        CASE(waiting_heads),
        CASE(slow_clients_are_given_up),
        CASE(clients_that_leave),
        CASE(a_large_answer_is_written_whole),
        CASE(a_slow_reader_is_dropped),
        CASE(a_slow_readers_answer_is_kept),
        CASE(a_backlog_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

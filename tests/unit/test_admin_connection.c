/* One connection over a socket pair, its time a parameter. */
#include "clock.h"
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t start_ns = 1000 * NS_PER_SEC;

struct fixture {
    int client;
    struct connection *c;
    struct handler h;
    int served;
};

/* Paths: /refused is not admitted; /parked is answered later; all others echo their body. */
static bool admit(struct exchange *x, void *arg)
{
    (void)arg;
    if (!str_eq(x->head->path, STR("/refused")))
        return true;
    reply_error(x->reply, 401, "no", NULL, "no");
    return false;
}

static bool serve(struct exchange *x, void *arg)
{
    struct fixture *f = arg;
    f->served++;
    if (str_eq(x->head->path, STR("/parked")))
        return false;
    x->reply->status = 200;
    x->reply->type = "text/plain";
    buf_printf(&x->reply->body, "[" STR_FMT "]", STR_ARG(x->body));
    return true;
}

static void late(struct exchange *x, void *arg)
{
    (void)arg;
    reply_error(x->reply, 504, "late", NULL, "late");
}

static int set_up(void **state)
{
    static struct fixture f;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
        return -1;
    f = (struct fixture){.client = pair[0], .h = {.admit = admit, .serve = serve, .late = late, .arg = &f}};
    f.c = connection_new(1, pair[1], NULL, "test", start_ns);
    *state = &f;
    return f.c ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    connection_free(&f->c);
    if (f->client >= 0)
        close(f->client);
    return 0;
}

static void send_text(struct fixture *f, struct str s)
{
    assert_int_equal(send(f->client, s.p, s.n, 0), (ssize_t)s.n);
}

static void run_at(struct fixture *f, int64_t now_ns)
{
    do
        connection_run(f->c, &f->h, now_ns);
    while (f->c->again && f->c->state != CONN_CLOSED);
}

static void run(struct fixture *f)
{
    run_at(f, start_ns);
}

/* What the client got by now, NUL-terminated; valid until the next call. */
static const char *received(struct fixture *f)
{
    static char text[256 * 1024];
    size_t n = 0;
    ssize_t r;
    while (n < sizeof text - 1 && (r = recv(f->client, text + n, sizeof text - 1 - n, 0)) > 0)
        n += (size_t)r;
    text[n] = '\0';
    return text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void byte_by_byte(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        assert_int_equal(f->served, 0);
        send_text(f, (struct str){text + i, 1});
        run(f);
    }
    const char *answer = received(f);
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(answer, "\r\n\r\n[hello]"));
    assert_int_equal(f->c->state, CONN_HEAD);
    assert_int_equal(connection_events(f->c), EPOLLIN);
}

static void one_after_the_other(void **state)
{
    struct fixture *f = *state;
    send_text(f, STR("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
                     "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nHEAD /3 HTTP/1.1\r\nhost: a\r\n\r\n"
                     "GET /4 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
    run(f);
    const char *answer = received(f);
    assert_int_equal(f->served, 4);
    assert_int_equal(count(answer, "HTTP/1.1 200 OK\r\n"), 4);
    assert_int_equal(count(answer, "\r\n\r\n[]"), 2); /* the HEAD's has no body */
    assert_int_equal(count(answer, "[abcde]"), 1);
    assert_int_equal(count(answer, "connection: close\r\n"), 1);
    assert_int_equal(f->c->state, CONN_CLOSED);
}

static void refusals(void **state)
{
    static const struct {
        const char *text, *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"nonsense\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\nhost: a\r\n\r\n", "505"},
        {"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1048577\r\n\r\n", "413"},
        {"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", "400"},
        {"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "400"},
        {"POST /refused HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n", "401"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i) {
            tear_down(state);
            assert_int_equal(set_up(state), 0);
        }
        struct fixture *f = *state;
        send_text(f, str_of(cases[i].text));
        run(f);
        const char *answer = received(f);
        if (strncmp(answer, "HTTP/1.1 ", 9) || strncmp(answer + 9, cases[i].status, 3))
            fail_msg("%s answers %.40s", cases[i].text, answer);
        assert_non_null(strstr(answer, "connection: close\r\n"));
        assert_int_equal(f->served, 0);
        /* what still comes is dropped for a while, so that the answer can be read */
        assert_int_equal(f->c->state, CONN_LINGER);
        connection_timeout(f->c, &f->h, f->c->deadline_ns);
        assert_int_equal(f->c->state, CONN_CLOSED);
    }
}

static void a_refused_request_without_a_body_keeps_the_connection(void **state)
{
    struct fixture *f = *state;
    send_text(f, STR("GET /refused HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    run(f);
    const char *answer = received(f);
    assert_int_equal(count(answer, "HTTP/1.1 401 "), 1);
    assert_int_equal(count(answer, "HTTP/1.1 200 "), 1);
}

static void too_large_a_head(void **state)
{
    struct fixture *f = *state;
    char line[1024];
    memset(line, 'x', sizeof line);
    send_text(f, STR("GET / HTTP/1.1\r\nhost: a\r\nx: "));
    for (int i = 0; i < 17; i++)
        send_text(f, (struct str){line, sizeof line});
    run(f);
    assert_int_equal(strncmp(received(f), "HTTP/1.1 431", 12), 0);
}

static void chunks_beyond_the_maximum(void **state)
{
    struct fixture *f = *state;
    static char chunk[65536];
    memset(chunk, 'x', sizeof chunk);
    send_text(f, STR("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 17 && f->c->state != CONN_LINGER; i++) {
        send_text(f, STR("10000\r\n"));
        send_text(f, (struct str){chunk, sizeof chunk});
        send_text(f, STR("\r\n"));
        run(f);
    }
    assert_int_equal(strncmp(received(f), "HTTP/1.1 413", 12), 0);
    assert_int_equal(f->served, 0);
}

static void a_body_of_the_maximum(void **state)
{
    struct fixture *f = *state;
    static char part[65536];
    memset(part, 'x', sizeof part);
    send_text(f, STR("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n"));
    for (int i = 0; i < 16; i++) {
        run(f);
        send_text(f, (struct str){part, sizeof part});
    }
    run(f);
    assert_int_equal(f->served, 1);
}

static void expect_100(void **state)
{
    struct fixture *f = *state;
    send_text(f, STR("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"));
    run(f);
    assert_string_equal(received(f), "HTTP/1.1 100 Continue\r\n\r\n");
    send_text(f, STR("ab"));
    run(f);
    assert_non_null(strstr(received(f), "[ab]"));
}

/* A byte a second does not move a deadline. */
static void deadlines(void **state)
{
    struct fixture *f = *state;
    int64_t now_ns = start_ns;
    run_at(f, now_ns);
    send_text(f, STR("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n"));
    run_at(f, now_ns += NS_PER_SEC);
    int64_t deadline_ns = f->c->deadline_ns;
    assert_true(deadline_ns == now_ns + 10 * NS_PER_SEC);
    send_text(f, STR("\r\n"));
    for (; now_ns < deadline_ns; now_ns += NS_PER_SEC) {
        send_text(f, STR("x"));
        run_at(f, now_ns);
        assert_true(f->c->deadline_ns == deadline_ns);
    }
    connection_timeout(f->c, &f->h, now_ns);
    assert_int_equal(strncmp(received(f), "HTTP/1.1 408", 12), 0);
    assert_int_equal(f->c->state, CONN_LINGER);
}

static void idle_ones_go_silently(void **state)
{
    struct fixture *f = *state;
    send_text(f, STR("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    run(f);
    received(f);
    assert_true(f->c->deadline_ns == start_ns + 30 * NS_PER_SEC);
    connection_timeout(f->c, &f->h, f->c->deadline_ns);
    assert_int_equal(f->c->state, CONN_CLOSED);
    assert_string_equal(received(f), "");
}

static void parked(void **state)
{
    struct fixture *f = *state;
    send_text(f, STR("POST /parked HTTP/1.1\r\nhost: a\r\n\r\nGET /next HTTP/1.1\r\nhost: a\r\n\r\n"));
    run(f);
    assert_int_equal(f->c->state, CONN_PARKED);
    assert_int_equal(connection_events(f->c), 0);
    assert_string_equal(received(f), "");
    reply_error(&f->c->reply, 400, "refused", NULL, "line 5");
    connection_answered(f->c, &f->h, start_ns);
    run(f);
    const char *answer = received(f);
    assert_int_equal(count(answer, "line 5"), 1);
    assert_int_equal(count(answer, "HTTP/1.1 200 "), 1);
    assert_int_equal(f->served, 2);
}

static void parked_too_long(void **state)
{
    struct fixture *f = *state;
    send_text(f, STR("POST /parked HTTP/1.1\r\nhost: a\r\n\r\n"));
    run(f);
    connection_timeout(f->c, &f->h, f->c->deadline_ns);
    assert_int_equal(strncmp(received(f), "HTTP/1.1 504", 12), 0);
    assert_int_equal(f->c->state, CONN_HEAD);
}

static void draining_finishes_what_has_begun(void **state)
{
    struct fixture *f = *state;
    send_text(f, STR("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na"));
    run(f);
    connection_drain(f->c);
    assert_int_equal(f->c->state, CONN_BODY);
    send_text(f, STR("b"));
    run(f);
    const char *answer = received(f);
    assert_non_null(strstr(answer, "[ab]"));
    assert_non_null(strstr(answer, "connection: close\r\n"));
    assert_int_not_equal(f->c->state, CONN_HEAD);
}

static void draining_closes_an_idle_one(void **state)
{
    struct fixture *f = *state;
    run(f);
    connection_drain(f->c);
    assert_int_equal(f->c->state, CONN_CLOSED);
}

static void the_client_leaves(void **state)
{
    struct fixture *f = *state;
    send_text(f, STR("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na"));
    close(f->client);
    f->client = -1;
    run(f);
    assert_int_equal(f->c->state, CONN_CLOSED);
    assert_int_equal(f->served, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(byte_by_byte),
        TEST(one_after_the_other),
        TEST(refusals),
        TEST(a_refused_request_without_a_body_keeps_the_connection),
        TEST(too_large_a_head),
        TEST(chunks_beyond_the_maximum),
        TEST(a_body_of_the_maximum),
        TEST(expect_100),
        TEST(deadlines),
        TEST(idle_ones_go_silently),
        TEST(parked),
        TEST(parked_too_long),
        TEST(draining_finishes_what_has_begun),
        TEST(draining_closes_an_idle_one),
        TEST(the_client_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

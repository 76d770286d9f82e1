/* Every case is parsed whole and byte by byte as it would arrive, each time with its last byte in front of
 * unreadable memory: the verdict must be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"
#include "http.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define H        "Host: a\r\n"
#define GET      "GET / HTTP/1.1\r\n"
#define POST     "POST / HTTP/1.1\r\nHost: a\r\n"

enum { ROOM = 80 * 1024 };

/* The verdict on the bytes as they come one by one; *at is how many it took. */
static int drip(struct guard *g, struct str in, size_t max_head, struct http_head *head,
                struct http_refusal *why, size_t *at)
{
    for (size_t n = 0; n <= in.n; n++) {
        *at = n;
        int verdict = http_parse_request(guard_at_end(g, (struct str){in.p, n}), max_head, head, why);
        if (verdict)
            return verdict;
    }
    return 0;
}

static int parse(struct guard *g, struct str in, size_t max_head, struct http_head *head,
                 struct http_refusal *why)
{
    struct http_refusal slow_why = {0};
    size_t at;
    *why = (struct http_refusal){0};
    int slow = drip(g, in, max_head, head, &slow_why, &at);
    int fast = http_parse_request(guard_at_end(g, in), max_head, head, why);
    assert_int_equal(slow, fast);
    assert_int_equal(slow_why.status, why->status);
    if (why->reason)
        assert_string_equal(slow_why.reason, why->reason);
    if (fast == 1)
        assert_int_equal(at, head->length); /* not a byte earlier than it is whole */
    return fast;
}

static const struct {
    struct str in;
    const char *target, *path, *query;
    enum http_body body;
    uint64_t length;
    bool keep_alive;
} accepted[] = {
    {STR(GET H "\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR("\r\n" GET H "\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR("\r\n\r\n\r\n\r\n" GET H "\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR("GET / HTTP/1.0\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, false},
    {STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, false},
    {STR(GET H "Connection: close\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, false},
    {STR(GET H "Connection: x , CLOSE\t,y\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, false},
    {STR(GET H "Connection: x\r\nconnection: close\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, false},
    {STR(GET H "Connection: closed\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR(GET H "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR("GET /a/b?c=d&e?f HTTP/1.1\r\n" H "\r\n"), "/a/b?c=d&e?f", "/a/b", "c=d&e?f", HTTP_BODY_NONE, 0,
     true},
    {STR("GET /a? HTTP/1.1\r\n" H "\r\n"), "/a?", "/a", "", HTTP_BODY_NONE, 0, true},
    {STR("GET //x/../%2e%2E/ HTTP/1.1\r\n" H "\r\n"), "//x/../%2e%2E/", "//x/../%2e%2E/", "", HTTP_BODY_NONE,
     0, true},
    {STR("POST /v1beta/models/m-1.5:streamGenerateContent?alt=sse HTTP/1.1\r\n" H "\r\n"),
     "/v1beta/models/m-1.5:streamGenerateContent?alt=sse", "/v1beta/models/m-1.5:streamGenerateContent",
     "alt=sse", HTTP_BODY_NONE, 0, true},
    {STR("GET /?a=\\%&b={|}[^`] HTTP/1.1\r\n" H "\r\n"), "/?a=\\%&b={|}[^`]", "/", "a=\\%&b={|}[^`]",
     HTTP_BODY_NONE, 0, true},
    {STR("GET http://a.b:80/c?d HTTP/1.1\r\n" H "\r\n"), "http://a.b:80/c?d", "/c", "d", HTTP_BODY_NONE, 0,
     true},
    {STR("GET HTTPS://[::1]/c HTTP/1.1\r\n" H "\r\n"), "HTTPS://[::1]/c", "/c", "", HTTP_BODY_NONE, 0, true},
    {STR("GET http://a HTTP/1.1\r\n" H "\r\n"), "http://a", "/", "", HTTP_BODY_NONE, 0, true},
    {STR("GET http://a?b=/ HTTP/1.1\r\n" H "\r\n"), "http://a?b=/", "/", "b=/", HTTP_BODY_NONE, 0, true},
    {STR("OPTIONS * HTTP/1.1\r\n" H "\r\n"), "*", "*", "", HTTP_BODY_NONE, 0, true},
    {STR("m!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n" H "\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR(POST "Content-Length: 0\r\n\r\n"), "/", "/", "", HTTP_BODY_LENGTH, 0, true},
    {STR(POST "content-length:5\r\n\r\nhello"), "/", "/", "", HTTP_BODY_LENGTH, 5, true},
    {STR(POST "Content-Length: \t 007 \t\r\n\r\n"), "/", "/", "", HTTP_BODY_LENGTH, 7, true},
    {STR(POST "Content-Length: 9223372036854775807\r\n\r\n"), "/", "/", "", HTTP_BODY_LENGTH, INT64_MAX,
     true},
    {STR(POST "Transfer-Encoding: chunked\r\n\r\n"), "/", "/", "", HTTP_BODY_CHUNKED, 0, true},
    {STR(POST "TRANSFER-ENCODING:CHUNKED\r\n\r\n"), "/", "/", "", HTTP_BODY_CHUNKED, 0, true},
    {STR("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n"), "/", "/", "", HTTP_BODY_LENGTH, 3, false},
    {STR(GET "Host: a.example:8080\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR(GET "Host: [2001:db8::1]:443\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR(GET "Host: a_b-c~.x:\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    {STR(GET H "X-Empty:\r\nX-Spaces: \t \r\nX-Bytes: \x80\xff\tx\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0,
     true},
    {STR(GET H "X: a:b:c\r\n\r\n"), "/", "/", "", HTTP_BODY_NONE, 0, true},
    /* what follows is the next request's business */
    {STR(GET H "\r\n\x01\nnonsense"), "/", "/", "", HTTP_BODY_NONE, 0, true},
};

static void accepts(void **state)
{
    (void)state;
    struct guard g = guard_new(ROOM);
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct http_head head;
        struct http_refusal why;
        if (parse(&g, accepted[i].in, MAX_HEAD, &head, &why) != 1)
            fail_msg("case %zu: %s", i, why.reason ? why.reason : "incomplete");
        assert_true(str_eq(head.target, str_of(accepted[i].target)));
        assert_true(str_eq(head.path, str_of(accepted[i].path)));
        assert_true(str_eq(head.query, str_of(accepted[i].query)));
        assert_int_equal(head.body, accepted[i].body);
        assert_true(head.content_length == accepted[i].length);
        assert_int_equal(head.keep_alive, accepted[i].keep_alive);
    }
    guard_free(&g);
}

static const struct {
    int status;
    struct str in;
} refused[] = {
    /* the request line */
    {400, STR("GET /\r\n\r\n")},
    {400, STR("GET\r\n\r\n")},
    {400, STR("GET / \r\n\r\n")},
    {400, STR("GET  / HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /  HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET / HTTP/1.1 \r\n" H "\r\n")},
    {400, STR("GET\t/\tHTTP/1.1\r\n" H "\r\n")},
    {400, STR(" GET / HTTP/1.1\r\n" H "\r\n")},
    {400, STR("G(T / HTTP/1.1\r\n" H "\r\n")},
    {400, STR("G\xc3\x89T / HTTP/1.1\r\n" H "\r\n")},
    {400, STR("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET / http/1.1\r\n" H "\r\n")},
    {400, STR("GET / HTTP/1.10\r\n" H "\r\n")},
    {400, STR("GET / HTTP/01.1\r\n" H "\r\n")},
    {400, STR("GET / HTTP/1\r\n" H "\r\n")},
    {400, STR("GET / HTTP/1,1\r\n" H "\r\n")},
    {400, STR("GET / HTTP/x.1\r\n" H "\r\n")},
    {400, STR("GET / HTTP /1.1\r\n" H "\r\n")},
    {400, STR("GET / HTTPS/1.1\r\n" H "\r\n")},
    {505, STR("GET / HTTP/1.2\r\n" H "\r\n")},
    {505, STR("GET / HTTP/2.0\r\n" H "\r\n")},
    {505, STR("GET / HTTP/0.9\r\n" H "\r\n")},
    {505, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
    {501, STR("CONNECT a:443 HTTP/1.1\r\n" H "\r\n")},
    {400, STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
    {400, STR("\r\n\x16\x03\x01")},
    {400, STR("\r\n\r\n\r\n\r\n\r\n" GET H "\r\n")},
    {400, STR("\n" GET H "\r\n")},
    {400, STR("\r\r\n" GET H "\r\n")},
    {400, STR("\rGET / HTTP/1.1\r\n" H "\r\n")},
    /* the target */
    {400, STR("GET a HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET * HTTP/1.1\r\n" H "\r\n")},
    {400, STR("OPTIONS *x HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /a#b HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /a\tb HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /a\0b HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /a\x7f HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /a\rb HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /a\\b HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /\"<> HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /%2 HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /%zz HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET /% HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET ftp://a/ HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET http:/a/ HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET http:///x HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET http://u@a/x HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET http://a:b/x HTTP/1.1\r\n" H "\r\n")},
    {400, STR("GET ://a/x HTTP/1.1\r\n" H "\r\n")},
    /* line ends */
    {400, STR("GET / HTTP/1.1\nHost: a\n\n")},
    {400, STR("GET / HTTP/1.1\r\nHost: a\n\r\n")},
    {400, STR("GET / HTTP/1.1\r\nHost: a\r\n\n")},
    {400, STR("GET / HTTP/1.1\nHost: a\r\n\r\n")},
    {400, STR("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n")},
    {400, STR("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n")},
    {400, STR("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n")},
    {400, STR(GET H "X: a\r\n\r \r\n\r\n")},
    /* header lines */
    {400, STR(GET H "X: a\r\n b\r\n\r\n")},
    {400, STR(GET H "X: a\r\n\tb\r\n\r\n")},
    {400, STR(GET " " H "\r\n")},
    {400, STR(GET H " \r\n\r\n")},
    {400, STR(GET H "X : a\r\n\r\n")},
    {400, STR(GET H "X\t: a\r\n\r\n")},
    {400, STR(GET H ": a\r\n\r\n")},
    {400, STR(GET H "X\r\n\r\n")},
    {400, STR(GET H "X Y: a\r\n\r\n")},
    {400, STR(GET H "X(: a\r\n\r\n")},
    {400, STR(GET H "\xc3\xa9: a\r\n\r\n")},
    {400, STR(GET H "X\0: a\r\n\r\n")},
    {400, STR(GET H "X: a\0b\r\n\r\n")},
    {400, STR(GET H "X: a\x01\r\n\r\n")},
    {400, STR(GET H "X: a\x0b\r\n\r\n")},
    {400, STR(GET H "X: a\x7f\r\n\r\n")},
    /* Host */
    {400, STR(GET "\r\n")},
    {400, STR(GET "Hosts: a\r\n\r\n")},
    {400, STR(GET "Host:\r\n\r\n")},
    {400, STR(GET "Host: \t\r\n\r\n")},
    {400, STR(GET H H "\r\n")},
    {400, STR(GET H "host: b\r\n\r\n")},
    {400, STR("GET / HTTP/1.0\r\n" H H "\r\n")},
    {400, STR(GET "Host: a b\r\n\r\n")},
    {400, STR(GET "Host: a,b\r\n\r\n")},
    {400, STR(GET "Host: a/b\r\n\r\n")},
    {400, STR(GET "Host: u@a\r\n\r\n")},
    {400, STR(GET "Host: a?b\r\n\r\n")},
    {400, STR(GET "Host: a#b\r\n\r\n")},
    {400, STR(GET "Host: a\\b\r\n\r\n")},
    {400, STR(GET "Host: \xc3\xa9\r\n\r\n")},
    {400, STR(GET "Host: :80\r\n\r\n")},
    {400, STR(GET "Host: a:b\r\n\r\n")},
    {400, STR(GET "Host: a:80:81\r\n\r\n")},
    {400, STR(GET "Host: a:65536\r\n\r\n")},
    {400, STR(GET "Host: a:-1\r\n\r\n")},
    {400, STR(GET "Host: ::1\r\n\r\n")},
    {400, STR(GET "Host: [::1\r\n\r\n")},
    {400, STR(GET "Host: []\r\n\r\n")},
    {400, STR(GET "Host: [::1]x\r\n\r\n")},
    {400, STR(GET "Host: [::g]\r\n\r\n")},
    {400, STR(GET "Host: [\r\n\r\n")},
    /* the message's length */
    {400, STR(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n")},
    {400, STR(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n")},
    {400, STR(POST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n")},
    {400, STR(POST "Content-Length: 5, 5\r\n\r\n")},
    {400, STR(POST "Content-Length: +5\r\n\r\n")},
    {400, STR(POST "Content-Length: -5\r\n\r\n")},
    {400, STR(POST "Content-Length: 0x5\r\n\r\n")},
    {400, STR(POST "Content-Length: 5 5\r\n\r\n")},
    {400, STR(POST "Content-Length: 5.0\r\n\r\n")},
    {400, STR(POST "Content-Length: 5e1\r\n\r\n")},
    {400, STR(POST "Content-Length: \"5\"\r\n\r\n")},
    {400, STR(POST "Content-Length:\r\n\r\n")},
    {400, STR(POST "Content-Length: five\r\n\r\n")},
    {400, STR(POST "Content-Length: 9223372036854775808\r\n\r\n")},
    {400, STR(POST "Content-Length: 18446744073709551616\r\n\r\n")},
    {400, STR(POST "Content-Length: 99999999999999999999999999\r\n\r\n")},
    {400, STR(POST "Content-Length: \xef\xbc\x95\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: chunked, chunked\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: gzip, chunked\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: chunked, gzip\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: identity\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: xchunked\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: \"chunked\"\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: chunked;q=1\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: ,chunked\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: chunked,\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding:\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding: \x0b"
                   "chunked\r\n\r\n")},
    {400, STR(POST "Transfer-Encoding : chunked\r\n\r\n")},
    {400, STR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")},
    /* expectations */
    {417, STR(POST "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n")},
    {417, STR(POST "Expect:\r\n\r\n")},
    {417, STR(POST "Expect: 100-continue, x\r\n\r\n")},
};

static void refuses(void **state)
{
    (void)state;
    struct guard g = guard_new(ROOM);
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct http_head head;
        struct http_refusal why;
        if (parse(&g, refused[i].in, MAX_HEAD, &head, &why) != -1)
            fail_msg("case %zu was not refused: " STR_FMT, i, STR_ARG(refused[i].in));
        if (why.status != refused[i].status)
            fail_msg("case %zu: %d instead of %d", i, why.status, refused[i].status);
    }
    guard_free(&g);
}

static void expects_continue(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        bool expect;
    } cases[] = {
        {STR(POST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"), true},
        {STR(POST "EXPECT: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n"), true},
        {STR(POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"), false},
        {STR(POST "Expect: 100-continue\r\n\r\n"), false},
        {STR(POST "Content-Length: 5\r\n\r\n"), false},
        {STR("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"), false},
    };
    struct guard g = guard_new(ROOM);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_head head;
        struct http_refusal why;
        assert_int_equal(parse(&g, cases[i].in, MAX_HEAD, &head, &why), 1);
        assert_int_equal(head.expect_continue, cases[i].expect);
    }
    guard_free(&g);
}

/* A request whose target, single header line or number of header lines is of the given size. */
static struct str request_of(char *at, size_t target, size_t line, size_t lines)
{
    size_t n = (size_t)snprintf(at, ROOM, "GET /");
    memset(at + n, 'x', target - 1);
    n += target - 1;
    n += (size_t)snprintf(at + n, ROOM - n, " HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 0; i < lines; i++)
        n += (size_t)snprintf(at + n, ROOM - n, "X-%zu: y\r\n", i);
    if (line > 0) {
        n += (size_t)snprintf(at + n, ROOM - n, "Z: ");
        memset(at + n, 'z', line);
        n += line;
        n += (size_t)snprintf(at + n, ROOM - n, "\r\n");
    }
    n += (size_t)snprintf(at + n, ROOM - n, "\r\n");
    return (struct str){at, n};
}

static void bounds_sizes(void **state)
{
    (void)state;
    static const struct {
        size_t target, line, lines, max_head;
        int status; /* 0: accepted */
    } cases[] = {
        {MAX_TARGET, 0, 0, MAX_HEAD, 0},
        {MAX_TARGET + 1, 0, 0, MAX_HEAD, 414},
        {MAX_TARGET + 64, 0, 0, MAX_HEAD, 414},
        {60000, 0, 0, MAX_HEAD, 414},
        {70000, 0, 0, MAX_HEAD, 414},
        {2000, 0, 0, 1000, 414},
        {1, 30000, 0, MAX_HEAD, 0},
        {1, 66000, 0, MAX_HEAD, 431},
        {1, 66000, 0, 2 * MAX_HEAD, 431},
        {1, 2000, 0, 1000, 431},
        {1, 0, MAX_HEADERS - 1, MAX_HEAD, 0},
        {1, 0, MAX_HEADERS, MAX_HEAD, 431},
        {1, 0, 5000, MAX_HEAD, 431},
    };
    static char text[ROOM];
    struct guard g = guard_new(ROOM);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str in = request_of(text, cases[i].target, cases[i].line, cases[i].lines);
        struct http_head head;
        struct http_refusal why = {0}, slow_why = {0};
        int verdict = http_parse_request(guard_at_end(&g, in), cases[i].max_head, &head, &why), slow = 0;
        assert_int_equal(why.status, cases[i].status);
        assert_int_equal(verdict, cases[i].status ? -1 : 1);
        for (size_t n = 0; n <= in.n && !slow; n++)
            slow = http_parse_request((struct str){text, n}, cases[i].max_head, &head, &slow_why);
        assert_int_equal(slow_why.status, cases[i].status);
    }
    guard_free(&g);
}

/* The bound is exact: a head of just max_head bytes passes, one byte more does not, nor does one that goes
 * on. */
static void bounds_the_head_exactly(void **state)
{
    (void)state;
    struct str in = STR(GET H "X: 0123456789\r\n\r\n");
    struct http_head head;
    struct http_refusal why;
    assert_int_equal(http_parse_request(in, in.n, &head, &why), 1);
    assert_int_equal(http_parse_request(in, in.n - 1, &head, &why), -1);
    assert_int_equal(why.status, 431);
    assert_int_equal(http_parse_request((struct str){in.p, in.n - 1}, in.n, &head, &why), 0);
    assert_int_equal(http_parse_request((struct str){in.p, in.n - 1}, in.n - 1, &head, &why), -1);
    assert_int_equal(http_parse_request(STR_NULL, MAX_HEAD, &head, &why), 0);
}

static void finds_headers(void **state)
{
    (void)state;
    struct http_head head;
    struct http_refusal why;
    struct str v;
    struct str in = STR("POST /x HTTP/1.1\r\nHost:h\r\nX-One:  a b \r\nX-Two:\r\nx-one: second\r\n\r\nBODY");
    assert_int_equal(http_parse_request(in, MAX_HEAD, &head, &why), 1);
    assert_int_equal(head.length, in.n - 4);
    assert_int_equal(head.n, 4);
    assert_int_equal(head.minor, 1);
    assert_true(str_eq(head.method, STR("POST")));
    assert_true(http_find(&head, "x-ONE", &v));
    assert_true(str_eq(v, STR("a b")));
    assert_true(http_find(&head, "x-two", &v));
    assert_int_equal(v.n, 0);
    assert_false(http_find(&head, "x-three", &v));
    assert_false(http_find(&head, "x-on", &v));
    assert_true(str_eq(head.headers[3].name, STR("x-one")));
}

static const struct {
    struct str in;
    bool was_head;
    int status; /* 0: refused */
    enum http_body body;
    uint64_t length;
    bool keep_alive;
} responses[] = {
    {STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), false, 200, HTTP_BODY_LENGTH, 5, true},
    {STR("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), false, 200, HTTP_BODY_LENGTH, 0, true},
    {STR("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), false, 200, HTTP_BODY_LENGTH, 0, true},
    {STR("HTTP/1.1 200 Alles in Ordnung \xc3\xa4\r\n\r\n"), false, 200, HTTP_BODY_UNTIL_CLOSE, 0, false},
    {STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"), false, 200, HTTP_BODY_CHUNKED, 0, true},
    {STR("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"), false, 200, HTTP_BODY_LENGTH,
     1, false},
    {STR("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), false, 200, HTTP_BODY_LENGTH, 1, false},
    {STR("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n"), false, 200,
     HTTP_BODY_LENGTH, 1, true},
    {STR("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), false, 200, HTTP_BODY_UNTIL_CLOSE, 0, false},
    {STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), true, 200, HTTP_BODY_NONE, 5, true},
    {STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), true, 200, HTTP_BODY_NONE, 0, true},
    {STR("HTTP/1.1 204 No Content\r\n\r\n"), false, 204, HTTP_BODY_NONE, 0, true},
    {STR("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), false, 304, HTTP_BODY_NONE, 9, true},
    {STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), false, 100, HTTP_BODY_NONE, 0, true},
    {STR("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), false, 103, HTTP_BODY_NONE, 0, true},
    {STR("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}"), false, 429,
     HTTP_BODY_LENGTH, 2, true},
    {STR("HTTP/1.1 599 \r\nContent-Length: 2\r\n\r\n{}"), false, 599, HTTP_BODY_LENGTH, 2, true},
    /* two Hosts or an Expect mean nothing in an answer */
    {STR("HTTP/1.1 200 OK\r\nHost:\r\nHost: ,\r\nExpect: x\r\nContent-Length: 2\r\n\r\n"), false, 200,
     HTTP_BODY_LENGTH, 2, true},
    {STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/2 200 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/2.0 200 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("http/1.1 200 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1  200 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 20 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 2000 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 099 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 600 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 -20 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 200 O\x01K\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("ICY 200 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("\r\nHTTP/1.1 200 OK\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 200 OK\n\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 200 OK\r\nA: b\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), false, 0,
     HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 204 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), false, 0,
     HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0,
     false},
    {STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0,
     false},
    {STR("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), true, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
    {STR("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), false, 0, HTTP_BODY_NONE, 0, false},
};

static void reads_responses(void **state)
{
    (void)state;
    struct guard g = guard_new(ROOM);
    for (size_t i = 0; i < COUNT(responses); i++) {
        struct http_head head;
        struct http_refusal why = {0};
        int verdict = 0;
        for (size_t n = 0; n <= responses[i].in.n && !verdict; n++)
            verdict = http_parse_response(guard_at_end(&g, (struct str){responses[i].in.p, n}),
                                          responses[i].was_head, &head, &why);
        int whole = http_parse_response(responses[i].in, responses[i].was_head, &head, &why);
        assert_int_equal(verdict, whole);
        if (whole != (responses[i].status ? 1 : -1))
            fail_msg("case %zu: %d %s", i, whole, why.reason ? why.reason : "");
        if (whole < 0) {
            assert_non_null(why.reason);
            continue;
        }
        assert_int_equal(head.status, responses[i].status);
        assert_int_equal(head.body, responses[i].body);
        assert_true(head.content_length == responses[i].length);
        assert_int_equal(head.keep_alive, responses[i].keep_alive);
    }
    guard_free(&g);
}

static void bounds_responses(void **state)
{
    (void)state;
    static char text[ROOM];
    struct http_head head;
    struct http_refusal why;
    size_t n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nX: ");
    memset(text + n, 'x', sizeof(text) - n);
    assert_int_equal(http_parse_response((struct str){text, MAX_HEAD - 1}, false, &head, &why), 0);
    assert_int_equal(http_parse_response((struct str){text, MAX_HEAD}, false, &head, &why), -1);
    n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i <= MAX_HEADERS; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "A: b\r\n");
    assert_int_equal(http_parse_response((struct str){text, n - 6}, false, &head, &why), 0);
    assert_int_equal(http_parse_response((struct str){text, n}, false, &head, &why), -1);
}

static void knows_its_alphabets(void **state)
{
    (void)state;
    assert_true(http_value_ok(STR("a b\tc \x80\xff~")));
    assert_true(http_value_ok(STR_NULL));
    assert_false(http_value_ok(STR("a\r\nb")));
    assert_false(http_value_ok(STR("a\n")));
    assert_false(http_value_ok(STR("\0")));
    assert_false(http_value_ok(STR("\x7f")));
    assert_true(http_token_ok(STR("x-Request_id.1~!#$%&'*+^`|")));
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
        assert_int_equal(http_token_ok((struct str){&byte, 1}), token);
        assert_int_equal(http_value_ok((struct str){&byte, 1}), c == '\t' || (c >= 0x20 && c != 0x7f));
    }
    assert_false(http_token_ok(STR("")));
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(429), "Too Many Requests");
    assert_string_equal(http_reason(299), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(expects_continue),
        cmocka_unit_test(bounds_sizes),
        cmocka_unit_test(bounds_the_head_exactly),
        cmocka_unit_test(finds_headers),
        cmocka_unit_test(reads_responses),
        cmocka_unit_test(bounds_responses),
        cmocka_unit_test(knows_its_alphabets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

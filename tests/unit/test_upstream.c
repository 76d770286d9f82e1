/* One exchange with a provider, over real sockets: framing, reuse, failures, timeouts, TLS. */
#include "upstream.h"

#include "clock.h"
#include "fake_provider.h"
#include "secret.h"
#include "temp_folder.h"
#include "test_certificate.h"
#include "upstream_url.h"

#include <setjmp.h>

#include <cmocka.h>

static struct config conf;
static struct conf_provider provider;
static struct worker worker;
static struct shm_line line;
static struct shm_metrics metrics;
static struct fake_provider fake;
static char url[128];
static bool client_leaves; /* at the next wait */

/* A worker's wait without a worker around it. */
unsigned worker_wait(struct worker *w, const struct client *c, int fd, short events, int64_t deadline_ns)
{
    (void)w;
    (void)c;
    if (client_leaves)
        return WORKER_CLIENT_GONE;
    int64_t left = deadline_ns - clock_mono_ns();
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, left > 0 ? (int)(left / NS_PER_MS + 1) : 0) > 0 ? WORKER_READY : WORKER_TIMEOUT;
}

static void begin_at(const struct fake_step *script, SSL_CTX *tls, const char *host)
{
    fake_start(&fake, script, tls);
    snprintf(url, sizeof(url), "%s://%s:%u/v1", tls ? "https" : "http", host, fake.port);
    provider = (struct conf_provider){.name = "p", .type = "openai", .base_url = url};
    conf = (struct config){.providers = &provider, .n_providers = 1};
    conf.timeouts = (struct conf_timeouts){.connect = 5000, .first_byte = 5000, .idle = 5000, .total = 5000};
    memset(&metrics, 0, sizeof(metrics));
    client_leaves = false;
    worker = (struct worker){.config = &conf, .line = &line, .metrics = &metrics};
    worker.upstreams = upstreams_new(&worker);
}

static void begin(const struct fake_step *script)
{
    begin_at(script, NULL, "127.0.0.1");
}

static void finish(void)
{
    upstreams_free(&worker.upstreams);
    fake_join(&fake);
}

struct got {
    enum upstream_result start, end;
    int status;
    struct error err;
    char body[4096];
    size_t n;
};

static struct upstream_call post(struct str body)
{
    return (struct upstream_call){.method = STR("POST"),
                                  .path = STR("/v1/chat/completions?x=1"),
                                  .headers = STR("content-type: application/json\r\n"),
                                  .body = body};
}

/* A whole exchange. */
static struct got exchange(const struct upstream_call *call)
{
    struct got g = {.end = UPSTREAM_OK};
    struct upstream *up;
    const struct http_head *head;
    struct str data;
    g.start = upstream_start(worker.upstreams, call, NULL, &up, &head, &g.err);
    if (g.start == UPSTREAM_OK) {
        g.status = head->status;
        while ((g.end = upstream_read(up, &data, &g.err)) == UPSTREAM_OK) {
            size_t n = data.n < sizeof(g.body) - g.n ? data.n : sizeof(g.body) - g.n;
            memcpy(g.body + g.n, data.p, n);
            g.n += n;
        }
    }
    upstream_end(&up);
    return g;
}

static struct got simple(void)
{
    struct upstream_call call = post(STR("{}"));
    return exchange(&call);
}

static void assert_body(const struct got *g, const char *text)
{
    assert_int_equal(g->start, UPSTREAM_OK);
    assert_int_equal(g->end, UPSTREAM_END);
    assert_int_equal(g->n, strlen(text));
    assert_memory_equal(g->body, text, g->n);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

/* ---- framing */

static void answers_are_read_however_they_come(void **state)
{
    (void)state;
    static const char *const answers[] = {
        OK_HELLO,
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" OK_HELLO),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nt: v\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        for (int slow = 0; slow < 2; slow++) {
            struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                         {.kind = FAKE_READ},
                                         {slow ? FAKE_SEND_SLOW : FAKE_SEND, answers[i], 0},
                                         {.kind = FAKE_CLOSE},
                                         {.kind = FAKE_END}};
            begin(script);
            struct got g = simple();
            assert_body(&g, "hello");
            assert_int_equal(g.status, 200);
            finish();
            fake_free(&fake);
        }
}

static void the_request_is_ours(void **state)
{
    (void)state;
    struct fake_step script[] = {
        {.kind = FAKE_ACCEPT}, {.kind = FAKE_READ}, {FAKE_SEND, OK_HELLO, 0}, {.kind = FAKE_END}};
    setenv("FAKE_KEY", "sk-secret", 1);
    assert_int_equal(secret_init(NULL), 0);
    assert_int_equal(secret_from_env("p", "FAKE_KEY", NULL), 0);
    begin(script);
    provider.headers[0].name = "x-org";
    provider.headers[0].value = "we";
    provider.n_headers = 1;
    struct got g = simple();
    assert_body(&g, "hello");
    finish();
    char want[512];
    snprintf(want, sizeof(want),
             "POST /v1/chat/completions?x=1 HTTP/1.1\r\nhost: 127.0.0.1:%u\r\nx-org: we\r\n"
             "authorization: Bearer sk-secret\r\ncontent-type: application/json\r\n"
             "accept-encoding: identity\r\nuser-agent: aigw/" AIGW_VERSION "\r\ncontent-length: 2\r\n\r\n{}",
             fake.port);
    assert_int_equal(fake.seen.n, strlen(want));
    assert_memory_equal(fake.seen.p, want, fake.seen.n);
    fake_free(&fake);
}

static void bytes_that_may_not_be_sent_are_not(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *headers;
    } bad[] = {
        {"POST", "/a b", ""},          {"POST", "/a\r\nx: y", ""},  {"POST", "a", ""},
        {"PO ST", "/a", ""},           {"POST", "/a", "x: y"},      {"POST", "/a", "x y\r\n"},
        {"POST", "/a", "x: y\nz\r\n"}, {"POST", "/a", "x : y\r\n"}, {"POST", "/a", "x: y\r\n\r\n"},
        {"POST", "/a#b", ""},          {"POST", "/a\xc3\xa9", ""},
    };
    struct fake_step script[] = {{.kind = FAKE_ACCEPT}, {.kind = FAKE_END}};
    begin(script);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bool sent = false;
        struct upstream_call call = {.method = str_of(bad[i].method),
                                     .path = str_of(bad[i].path),
                                     .headers = str_of(bad[i].headers),
                                     .sent = &sent};
        struct got g = exchange(&call);
        assert_int_equal(g.start, UPSTREAM_CONNECT_FAILED);
        assert_false(sent);
    }
    finish();
    assert_int_equal(fake.accepted, 0);
    fake_free(&fake);
}

static void a_head_that_does_not_fit_is_not_sent(void **state)
{
    (void)state;
    static char header[2 * MAX_HEAD], body[16 * 1024];
    struct fake_step script[] = {{.kind = FAKE_ACCEPT}, {.kind = FAKE_END}};
    begin(script);
    memset(header, 'a', sizeof(header));
    memcpy(header, "x: ", 3);
    memcpy(header + sizeof(header) - 2, "\r\n", 2);
    memset(body, '1', sizeof(body));
    for (size_t n = 0; n <= sizeof(body); n += sizeof(body)) {
        struct upstream_call call = {
            .method = STR("POST"), .path = STR("/a"), .headers = {header, sizeof(header)}, .body = {body, n}};
        struct got g = exchange(&call);
        assert_int_equal(g.start, UPSTREAM_CONNECT_FAILED);
    }
    finish();
    assert_int_equal(fake.accepted, 0);
    fake_free(&fake);
}

static void malformed_answers_are_refused(void **state)
{
    (void)state;
    static char large[MAX_HEAD + 4096];
    memset(large, 'a', sizeof(large) - 1);
    memcpy(large, "HTTP/1.1 200 OK\r\nx: ", 20);
    static char flood[26 * 32 + 1];
    for (int i = 0; i < 32; i++)
        memcpy(flood + i * 25, "HTTP/1.1 100 Continue\r\n\r\n", 26);
    const char *const answers[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        large,
        flood,
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                     {.kind = FAKE_READ},
                                     {FAKE_SEND, answers[i], 0},
                                     {.kind = FAKE_UNTIL_GONE},
                                     {.kind = FAKE_END}};
        begin(script);
        struct got g = simple();
        assert_int_equal(g.start, UPSTREAM_MALFORMED);
        assert_true(g.err.text[0] != '\0');
        finish();
        assert_true(fake.peer_gone);
        fake_free(&fake);
    }
}

static void bodies_that_break_off_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum upstream_result start, end;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", UPSTREAM_OK, UPSTREAM_CUT},
        {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", UPSTREAM_OK, UPSTREAM_CUT},
        {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", UPSTREAM_OK,
         UPSTREAM_CUT},
        {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloX", UPSTREAM_OK, UPSTREAM_MALFORMED},
        {"HTTP/1.1 200 OK\r\nconte", UPSTREAM_CUT, UPSTREAM_OK},
        {"", UPSTREAM_CUT, UPSTREAM_OK},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                     {.kind = FAKE_READ},
                                     {FAKE_SEND, cases[i].answer, 0},
                                     {.kind = FAKE_CLOSE},
                                     {.kind = FAKE_END}};
        begin(script);
        struct got g = simple();
        assert_int_equal(g.start, cases[i].start);
        assert_int_equal(g.end, cases[i].end);
        finish();
        assert_int_equal(fake.accepted, 1); /* a fresh connection is not tried again */
        fake_free(&fake);
    }
}

static void head_answers_have_no_body(void **state)
{
    (void)state;
    struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                 {.kind = FAKE_READ},
                                 {FAKE_SEND, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 0},
                                 {.kind = FAKE_READ},
                                 {FAKE_SEND, OK_HELLO, 0},
                                 {.kind = FAKE_END}};
    begin(script);
    struct upstream_call call = {.method = STR("HEAD"), .path = STR("/v1/x")};
    struct got g = exchange(&call);
    assert_body(&g, "");
    g = simple();
    assert_body(&g, "hello");
    finish();
    assert_int_equal(fake.accepted, 1);
    fake_free(&fake);
}

/* ---- reuse */

static void a_connection_is_kept(void **state)
{
    (void)state;
    struct fake_step script[] = {
        {.kind = FAKE_ACCEPT},
        {.kind = FAKE_READ},
        {FAKE_SEND, OK_HELLO, 0},
        {.kind = FAKE_READ},
        {FAKE_SEND, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 0},
        {.kind = FAKE_READ},
        {FAKE_SEND, OK_HELLO, 0},
        {.kind = FAKE_END}};
    begin(script);
    struct got g = simple();
    assert_body(&g, "hello");
    g = simple();
    assert_body(&g, "hi");
    g = simple();
    assert_body(&g, "hello");
    finish();
    assert_int_equal(fake.accepted, 1);
    assert_int_equal(atomic_load(&metrics.upstream_connects_total), 1);
    fake_free(&fake);
}

/* Each script's first exchange leaves a connection that must not, or can't, serve the second one. */
static void a_connection_in_doubt_is_not_used_again(void **state)
{
    (void)state;
    static const struct fake_step scripts[][10] = {
        /* closed while idle, seen before use */
        {{.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_CLOSE},
         {.kind = FAKE_TELL},
         {.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_END}},
        /* closed just as we use it: the request is sent again */
        {{.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_TELL},
         {.kind = FAKE_READ},
         {.kind = FAKE_CLOSE},
         {.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_END}},
        {{.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_TELL},
         {.kind = FAKE_READ},
         {.kind = FAKE_RESET},
         {.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_END}},
        /* an answer that nobody asked for, with the first one and behind it */
        {{.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO OK_HELLO, 0},
         {.kind = FAKE_TELL},
         {.kind = FAKE_UNTIL_GONE},
         {.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_END}},
        {{.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_TELL},
         {.kind = FAKE_UNTIL_GONE},
         {.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_END}},
        /* it said so */
        {{.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello", 0},
         {.kind = FAKE_TELL},
         {.kind = FAKE_UNTIL_GONE},
         {.kind = FAKE_ACCEPT},
         {.kind = FAKE_READ},
         {FAKE_SEND, OK_HELLO, 0},
         {.kind = FAKE_END}},
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        begin(scripts[i]);
        struct got g = simple();
        assert_body(&g, "hello");
        fake_wait(&fake);
        g = simple();
        assert_body(&g, "hello");
        finish();
        assert_int_equal(fake.accepted, 2);
        fake_free(&fake);
    }
}

static void an_answer_begun_is_not_asked_for_again(void **state)
{
    (void)state;
    struct fake_step script[] = {{.kind = FAKE_ACCEPT}, {.kind = FAKE_READ}, {FAKE_SEND, OK_HELLO, 0},
                                 {.kind = FAKE_READ},   {FAKE_SEND, "H", 0}, {.kind = FAKE_CLOSE},
                                 {.kind = FAKE_END}};
    begin(script);
    struct got g = simple();
    assert_body(&g, "hello");
    g = simple();
    assert_int_equal(g.start, UPSTREAM_CUT);
    finish();
    assert_int_equal(fake.accepted, 1);
    fake_free(&fake);
}

#define STREAM_HEAD "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

/* A stream whose terminal event was seen: its end comes later, and is only framing, or is not. */
static void a_stream_is_kept_though_its_end_was_not_awaited(void **state)
{
    (void)state;
    static const struct {
        const char *rest;
        unsigned connections;
    } cases[] = {{"0\r\n\r\n", 1}, {"3\r\nabc\r\n0\r\n\r\n", 2}, {"0\r\n\r\nHTTP/1.1", 2}, {"0\r\n", 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                     {.kind = FAKE_READ},
                                     {FAKE_SEND, STREAM_HEAD "4\r\nlast\r\n", 0},
                                     {.kind = FAKE_HEAR},
                                     {FAKE_SEND, cases[i].rest, 0},
                                     {.kind = FAKE_TELL},
                                     {.kind = cases[i].connections == 1 ? FAKE_READ : FAKE_UNTIL_GONE},
                                     {cases[i].connections == 1 ? FAKE_SEND : FAKE_ACCEPT, OK_HELLO, 0},
                                     {.kind = cases[i].connections == 1 ? FAKE_END : FAKE_READ},
                                     {FAKE_SEND, OK_HELLO, 0},
                                     {.kind = FAKE_END}};
        struct upstream *up;
        const struct http_head *head;
        struct error err;
        struct str data;
        struct upstream_call call = post(STR("{}"));
        begin(script);
        assert_int_equal(upstream_start(worker.upstreams, &call, NULL, &up, &head, &err), UPSTREAM_OK);
        assert_int_equal(upstream_read(up, &data, &err), UPSTREAM_OK);
        upstream_last_seen(up);
        upstream_end(&up);
        fake_go(&fake);
        fake_wait(&fake);
        struct got g = simple();
        assert_body(&g, "hello");
        finish();
        assert_int_equal(fake.accepted, cases[i].connections);
        fake_free(&fake);
    }
}

static void an_exchange_left_early_is_closed(void **state)
{
    (void)state;
    struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                 {.kind = FAKE_READ},
                                 {FAKE_SEND, STREAM_HEAD "4\r\nlast\r\n", 0},
                                 {.kind = FAKE_UNTIL_GONE},
                                 {.kind = FAKE_END}};
    struct upstream *up;
    const struct http_head *head;
    struct error err;
    struct str data;
    struct upstream_call call = post(STR("{}"));
    begin(script);
    assert_int_equal(upstream_start(worker.upstreams, &call, NULL, &up, &head, &err), UPSTREAM_OK);
    assert_int_equal(upstream_read(up, &data, &err), UPSTREAM_OK);
    assert_int_equal(upstream_poll(up, &data, &err), UPSTREAM_OK);
    assert_int_equal(data.n, 0);
    upstream_end(&up);
    fake_join(&fake); /* the provider has seen it, though our pool still lives */
    assert_true(fake.peer_gone);
    upstreams_free(&worker.upstreams);
    fake_free(&fake);
}

/* ---- waiting */

static void each_wait_has_its_own_timeout(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        uint32_t first_byte, idle, total;
        enum upstream_result start, end;
    } cases[] = {
        {"", 20, 5000, 0, UPSTREAM_FIRST_BYTE_TIMEOUT, UPSTREAM_OK},
        {"", 5000, 5000, 20, UPSTREAM_TOTAL_TIMEOUT, UPSTREAM_OK},
        {"HTTP/1.1 200", 5000, 20, 0, UPSTREAM_IDLE_TIMEOUT, UPSTREAM_OK},
        {STREAM_HEAD "2\r\nhe\r\n", 5000, 20, 0, UPSTREAM_OK, UPSTREAM_IDLE_TIMEOUT},
        {STREAM_HEAD "2\r\nhe\r\n", 5000, 5000, 20, UPSTREAM_OK, UPSTREAM_TOTAL_TIMEOUT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                     {.kind = FAKE_READ},
                                     {FAKE_SEND, cases[i].answer, 0},
                                     {.kind = FAKE_UNTIL_GONE},
                                     {.kind = FAKE_END}};
        begin(script);
        provider.timeouts = (struct conf_timeouts){.first_byte = cases[i].first_byte, .idle = cases[i].idle};
        struct upstream_call call = post(STR("{}"));
        bool sent = false;
        call.sent = &sent;
        if (cases[i].total)
            call.deadline_ns = clock_mono_ns() + cases[i].total * NS_PER_MS;
        struct got g = exchange(&call);
        assert_int_equal(g.start, cases[i].start);
        assert_int_equal(g.end, cases[i].end);
        assert_true(sent);
        finish();
        assert_true(fake.peer_gone);
        fake_free(&fake);
    }
}

static void connecting_has_a_timeout_and_can_fail(void **state)
{
    (void)state;
    struct fake_step script[] = {{.kind = FAKE_END}};
    begin(script);
    provider.timeouts.connect = 50;
    /* a queue of one connection, filled: the next one is not answered */
    int fill[4];
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(fake.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(listen(fake.listener, 0), 0);
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fill[i], (struct sockaddr *)&a, sizeof(a));
    }
    bool sent = false;
    struct upstream_call call = post(STR("{}"));
    call.sent = &sent;
    struct got g = exchange(&call);
    assert_int_equal(g.start, UPSTREAM_CONNECT_TIMEOUT);
    client_leaves = true;
    g = exchange(&call);
    assert_int_equal(g.start, UPSTREAM_CLIENT_GONE);
    client_leaves = false;
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(fake.listener);
    g = exchange(&call);
    assert_int_equal(g.start, UPSTREAM_CONNECT_FAILED);
    assert_false(sent);
    finish();
    fake_free(&fake);
}

static void a_client_that_leaves_cancels(void **state)
{
    (void)state;
    struct fake_step script[] = {
        {.kind = FAKE_ACCEPT}, {.kind = FAKE_READ},       {FAKE_SEND, STREAM_HEAD "2\r\nhe\r\n", 0},
        {.kind = FAKE_TELL},   {.kind = FAKE_UNTIL_GONE}, {.kind = FAKE_END}};
    struct upstream *up;
    const struct http_head *head;
    struct error err;
    struct str data;
    struct upstream_call call = post(STR("{}"));
    begin(script);
    assert_int_equal(upstream_start(worker.upstreams, &call, NULL, &up, &head, &err), UPSTREAM_OK);
    assert_int_equal(upstream_read(up, &data, &err), UPSTREAM_OK);
    client_leaves = true;
    assert_int_equal(upstream_read(up, &data, &err), UPSTREAM_CLIENT_GONE);
    assert_true(upstream_end(&up) >= 0);
    fake_join(&fake);
    assert_true(fake.peer_gone);
    upstreams_free(&worker.upstreams);
    fake_free(&fake);
}

/* A body larger than the socket takes, to a provider that answers without reading it. */
static void an_early_answer_is_heard(void **state)
{
    (void)state;
    static char body[16 << 20];
    memset(body, ' ', sizeof(body));
    struct fake_step script[] = {
        {.kind = FAKE_ACCEPT},
        {.kind = FAKE_READ_SOME},
        {FAKE_SEND, "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno", 0},
        {.kind = FAKE_TELL},
        {.kind = FAKE_UNTIL_GONE},
        {.kind = FAKE_END}};
    begin(script);
    struct upstream_call call = post((struct str){body, sizeof(body)});
    struct got g = exchange(&call);
    assert_body(&g, "no");
    assert_int_equal(g.status, 413);
    finish();
    fake_free(&fake);
}

/* What a provider says while it still reads: interim answers don't keep it from the rest of the body. */
static void interim_answers_do_not_end_the_sending(void **state)
{
    (void)state;
    static char body[16 << 20];
    memset(body, ' ', sizeof(body));
    struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                 {.kind = FAKE_READ_SOME},
                                 {FAKE_SEND, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nx", 0},
                                 {FAKE_SEND, ": y\r\n\r\n", 0},
                                 {.kind = FAKE_READ_REST},
                                 {FAKE_SEND, OK_HELLO, 0},
                                 {.kind = FAKE_READ},
                                 {FAKE_SEND, OK_HELLO, 0},
                                 {.kind = FAKE_END}};
    begin(script);
    struct upstream_call call = post((struct str){body, sizeof(body)});
    struct got g = exchange(&call);
    assert_body(&g, "hello");
    g = simple(); /* over the same connection */
    assert_body(&g, "hello");
    finish();
    assert_int_equal(fake.accepted, 1);
    fake_free(&fake);
}

/* A provider that will not answer any more is not sent the rest, nor waited for. */
static void an_end_without_an_answer_ends_the_sending(void **state)
{
    (void)state;
    static char body[16 << 20];
    struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                 {.kind = FAKE_READ_SOME},
                                 {.kind = FAKE_SHUT},
                                 {.kind = FAKE_HEAR},
                                 {.kind = FAKE_END}};
    begin(script);
    struct upstream_call call = post((struct str){body, sizeof(body)});
    struct got g = exchange(&call);
    assert_int_equal(g.start, UPSTREAM_CUT);
    fake_go(&fake);
    finish();
    fake_free(&fake);
}

static void large_bodies_pass_both_ways(void **state)
{
    (void)state;
    static char body[4 << 20];
    memset(body, 'x', sizeof(body));
    struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                 {.kind = FAKE_READ},
                                 {FAKE_SEND, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", 0},
                                 {FAKE_SEND_MANY, "0123456789", 100000},
                                 {.kind = FAKE_END}};
    struct upstream *up;
    const struct http_head *head;
    struct error err;
    struct str data;
    begin(script);
    struct upstream_call call = post((struct str){body, sizeof(body)});
    assert_int_equal(upstream_start(worker.upstreams, &call, NULL, &up, &head, &err), UPSTREAM_OK);
    size_t n = 0;
    while (upstream_read(up, &data, &err) == UPSTREAM_OK)
        for (size_t i = 0; i < data.n; i++)
            assert_int_equal(data.p[i], '0' + (int)(n++ % 10));
    assert_int_equal(n, 1000000);
    upstream_end(&up);
    finish();
    assert_true(fake.seen.n > sizeof(body));
    assert_memory_equal(fake.seen.p + fake.seen.n - sizeof(body), body, sizeof(body));
    fake_free(&fake);
}

/* ---- TLS */

static SSL_CTX *tls_server(const char *folder, const char *name)
{
    char crt[128], key[128];
    snprintf(crt, sizeof(crt), "%s/%s.crt", folder, name);
    snprintf(key, sizeof(key), "%s/%s.key", folder, name);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, crt), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM), 1);
    return ctx;
}

static void tls_is_verified(void **state)
{
    (void)state;
    static const struct {
        const char *host, *ca;
        enum upstream_result start;
    } cases[] = {
        {"localhost", "localhost", UPSTREAM_OK},
        {"localhost", "other", UPSTREAM_CONNECT_FAILED},     /* of another authority */
        {"127.0.0.1", "localhost", UPSTREAM_CONNECT_FAILED}, /* of another name */
    };
    char folder[64], ca[128];
    assert_non_null(temp_folder_new(folder));
    test_certificate(folder, "localhost");
    test_certificate(folder, "other");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SSL_CTX *ctx = tls_server(folder, "localhost");
        struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                     {.kind = FAKE_READ},
                                     {FAKE_SEND, OK_HELLO, 0},
                                     {.kind = FAKE_READ},
                                     {FAKE_SEND_SLOW, STREAM_HEAD "2\r\nhi\r\n0\r\n\r\n", 0},
                                     {.kind = FAKE_UNTIL_GONE},
                                     {.kind = FAKE_END}};
        begin_at(script, ctx, cases[i].host);
        snprintf(ca, sizeof(ca), "%s/%s.crt", folder, cases[i].ca);
        provider.ca_file = ca;
        struct error err;
        assert_int_equal(upstream_preload(&conf, &err), 0);
        struct got g = simple();
        assert_int_equal(g.start, cases[i].start);
        if (g.start == UPSTREAM_OK) {
            assert_body(&g, "hello");
            g = simple();
            assert_body(&g, "hi");
        }
        finish();
        assert_int_equal(fake.accepted, 1);
        fake_free(&fake);
        SSL_CTX_free(ctx);
    }
    temp_folder_remove(folder);
}

static void large_bodies_pass_through_tls(void **state)
{
    (void)state;
    static char body[1 << 20];
    char folder[64], ca[128];
    memset(body, 'x', sizeof(body));
    assert_non_null(temp_folder_new(folder));
    test_certificate(folder, "localhost");
    SSL_CTX *ctx = tls_server(folder, "localhost");
    struct fake_step script[] = {{.kind = FAKE_ACCEPT},
                                 {.kind = FAKE_READ},
                                 {FAKE_SEND, "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n", 0},
                                 {FAKE_SEND_MANY, "01234567890123456789", 10000},
                                 {.kind = FAKE_UNTIL_GONE},
                                 {.kind = FAKE_END}};
    begin_at(script, ctx, "localhost");
    snprintf(ca, sizeof(ca), "%s/localhost.crt", folder);
    provider.ca_file = ca;
    struct upstream_call call = post((struct str){body, sizeof(body)});
    struct upstream *up;
    const struct http_head *head;
    struct error err;
    struct str data;
    assert_int_equal(upstream_start(worker.upstreams, &call, NULL, &up, &head, &err), UPSTREAM_OK);
    size_t n = 0;
    while (upstream_read(up, &data, &err) == UPSTREAM_OK)
        n += data.n;
    assert_int_equal(n, 200000);
    upstream_end(&up);
    finish();
    assert_memory_equal(fake.seen.p + fake.seen.n - sizeof(body), body, sizeof(body));
    fake_free(&fake);
    SSL_CTX_free(ctx);
    temp_folder_remove(folder);
}

static void a_missing_bundle_is_told(void **state)
{
    (void)state;
    struct conf_provider p = {
        .name = "p", .type = "openai", .base_url = "https://x/v1", .ca_file = "/nonexistent/ca.pem"};
    struct config c = {.providers = &p, .n_providers = 1};
    struct error err = {""};
    assert_int_equal(upstream_preload(&c, &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
}

/* ---- addresses */

static void paths(void **state)
{
    (void)state;
    static const char *const good[] = {"/",           "/a/b",   "/a...b/...", "/a?x=/../y",
                                       "/v1.0/.well", "/a%2fb", "/%2e%2e%2e"};
    static const char *const bad[] = {"",     "a",    "/a b",      "/a#b",      "/..",     "/a/../b",
                                      "/./a", "/a/.", "/%2e%2E/a", "/a/.%2e/b", "/a/..?x", "/a\x7f"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!upstream_path_ok(str_of(good[i])))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (upstream_path_ok(str_of(bad[i])))
            fail_msg("%s", bad[i]);
}

static void base_urls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *authority, *path;
        bool ok, tls;
    } cases[] = {
        {"https://api.openai.com/v1", "api.openai.com", "/v1", true, true},
        {"http://[::1]:8080/a/b//", "[::1]:8080", "/a/b", true, false},
        {"http://h", "h", "", true, false},
        {"", "virtual", "/v1", true, false},
        {"ftp://h/", NULL, NULL, false, false},
        {"https://user:pw@h/", NULL, NULL, false, false},
        {"https:///v1", NULL, NULL, false, false},
        {"https://h%2f/v1", NULL, NULL, false, false},
        {"https://h/v1?x=1", NULL, NULL, false, false},
        {"https://h/v 1", NULL, NULL, false, false},
        {"https://h\r\n/v1", NULL, NULL, false, false},
        {"https://h/a/../v1", NULL, NULL, false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct upstream_url u;
        struct error err;
        assert_int_equal(upstream_url_parse(str_of(cases[i].text), &u, &err) == 0, cases[i].ok);
        if (!cases[i].ok)
            continue;
        assert_true(str_eq(u.authority, str_of(cases[i].authority)));
        assert_true(str_eq(u.path, str_of(cases[i].path)));
        assert_int_equal(u.tls, cases[i].tls);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_however_they_come),
        cmocka_unit_test(bytes_that_may_not_be_sent_are_not),
        cmocka_unit_test(a_head_that_does_not_fit_is_not_sent),
        cmocka_unit_test(malformed_answers_are_refused),
        cmocka_unit_test(bodies_that_break_off_are_cut),
        cmocka_unit_test(head_answers_have_no_body),
        cmocka_unit_test(a_connection_is_kept),
        cmocka_unit_test(a_connection_in_doubt_is_not_used_again),
        cmocka_unit_test(an_answer_begun_is_not_asked_for_again),
        cmocka_unit_test(a_stream_is_kept_though_its_end_was_not_awaited),
        cmocka_unit_test(an_exchange_left_early_is_closed),
        cmocka_unit_test(each_wait_has_its_own_timeout),
        cmocka_unit_test(connecting_has_a_timeout_and_can_fail),
        cmocka_unit_test(a_client_that_leaves_cancels),
        cmocka_unit_test(an_early_answer_is_heard),
        cmocka_unit_test(interim_answers_do_not_end_the_sending),
        cmocka_unit_test(an_end_without_an_answer_ends_the_sending),
        cmocka_unit_test(large_bodies_pass_both_ways),
        cmocka_unit_test(tls_is_verified),
        cmocka_unit_test(large_bodies_pass_through_tls),
        cmocka_unit_test(a_missing_bundle_is_told),
        cmocka_unit_test(paths),
        cmocka_unit_test(base_urls),
        cmocka_unit_test(the_request_is_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

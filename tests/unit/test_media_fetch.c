/* Fetching what a request names by URL: from a small server of our own on this machine, whose answer the path
 * chooses; and which addresses are never fetched from. */
#include "media_fetch.h"

#include "base64.h"
#include "clock.h"
#include "fetch.h"
#include "mem.h"
#include "text_asserts.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the server */

static const unsigned char png[] = "\x89PNG\r\n\x1a\n and so on";
static uint16_t server_port;
static _Atomic unsigned asked;
static char last_request[8192];

struct page {
    const char *path, *head;
    const void *body;
    size_t n;
};

#define BODY(text) (text), sizeof(text) - 1
static const struct page pages[] = {
    {"/a.png", "200 OK\r\ncontent-type: image/png", BODY(png)},
    {"/wrong.jpg", "200 OK\r\ncontent-type: image/jpeg", BODY(png)},
    {"/untold", "200 OK\r\nx-y: z", BODY("%PDF-1.7 rest")},
    {"/note.txt", "200 OK\r\ncontent-type: Text/Plain; charset=utf-8", BODY("two words")},
    {"/octets", "200 OK\r\ncontent-type: application/octet-stream", BODY("who knows")},
    {"/odd", "200 OK\r\ncontent-type: image/\"<svg>\"", BODY("who knows")},
    {"/empty", "200 OK\r\ncontent-type: image/png", BODY("")},
    {"/gone", "404 Not Found\r\ncontent-type: text/plain", BODY("a secret of the inner network")},
    {"/moved", "302 Found\r\nlocation: http://169.254.169.254/", BODY("")},
};

static void answer(int fd, const char *path)
{
    char head[512];
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        const struct page *p = &pages[i];
        if (strcmp(p->path, path) != 0)
            continue;
        int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\ncontent-length: %zu\r\n\r\n", p->head, p->n);
        send(fd, head, (size_t)n, MSG_NOSIGNAL);
        send(fd, p->body, p->n, MSG_NOSIGNAL);
        return;
    }
    if (strcmp(path, "/large") == 0 || strcmp(path, "/endless") == 0) {
        static const char chunk[] = "400\r\n", zeros[1024] = {0};
        const char *framing = path[1] == 'l' ? "content-length: 5000000" : "transfer-encoding: chunked";
        int n =
            snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n%s\r\n\r\n", framing);
        ssize_t sent = send(fd, head, (size_t)n, MSG_NOSIGNAL);
        while (sent > 0 && (path[1] == 'l' || send(fd, chunk, 5, MSG_NOSIGNAL) > 0)) {
            sent = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL);
            if (sent > 0 && path[1] == 'e')
                sent = send(fd, "\r\n", 2, MSG_NOSIGNAL);
        }
        return;
    }
    if (strcmp(path, "/heads") == 0) {
        static const char line[] = "x-a: 0123456789012345678901234567890123456789\r\n";
        ssize_t sent = send(fd, "HTTP/1.1 200 OK\r\n", 17, MSG_NOSIGNAL);
        while (sent > 0)
            sent = send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL);
        return;
    }
    struct pollfd p = {.fd = fd, .events = POLLIN}; /* "/silent": until the other side has enough */
    poll(&p, 1, 20000);
}

static void *serve(void *arg)
{
    int listener = *(int *)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        char path[128] = "";
        size_t n = 0;
        ssize_t got;
        while (n + 1 < sizeof(last_request) && !memmem(last_request, n, "\r\n\r\n", 4) &&
               (got = recv(fd, last_request + n, sizeof(last_request) - 1 - n, 0)) > 0)
            n += (size_t)got;
        last_request[n] = '\0';
        atomic_fetch_add(&asked, 1);
        sscanf(last_request, "GET %127[^ ?]", path);
        answer(fd, path);
        close(fd);
    }
    return NULL;
}

static void server_start(void)
{
    static int listener;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    pthread_t thread;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listener, 64), 0);
    getsockname(listener, (struct sockaddr *)&a, &n);
    server_port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&thread, NULL, serve, &listener), 0);
    pthread_detach(thread);
}

/* ---- a request */

struct fetching {
    struct arena arena;
    struct config config;
    struct worker worker;
    struct request r;
    struct failure f;
    struct str mime, data;
};

static int begin(void **state)
{
    struct fetching *x = mem_alloc(sizeof(*x));
    arena_init(&x->arena);
    x->config.media.fetch = x->config.media.allow_private = true;
    x->config.media.max_bytes = 100000;
    x->config.media.timeout_ms = 10000;
    x->config.timeouts.total = 600000;
    x->r.start_ns = clock_mono_ns();
    x->worker.config = &x->config;
    x->r.worker = &x->worker;
    x->r.arena = &x->arena;
    *state = x;
    return 0;
}

static int end(void **state)
{
    struct fetching *x = *state;
    arena_fini(&x->arena);
    free(x);
    return 0;
}

static int get(struct fetching *x, const char *path)
{
    char url[256];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server_port, path);
    return media_fetch(&x->r, str_of(url), &x->mime, &x->data, &x->f);
}

static void assert_refused(struct fetching *x, int rc, const char *words)
{
    assert_int_equal(rc, -1);
    assert_int_equal(x->f.status, 400);
    assert_string_equal(x->f.code, "invalid_image_url");
    assert_holds(x->f.message, words);
}

static void assert_got(struct fetching *x, const char *path, const char *mime, const void *bytes, size_t n)
{
    struct str decoded;
    if (get(x, path) != 0)
        fail_msg("%s: %s", path, x->f.message.p);
    assert_true(str_eq(x->mime, str_of(mime)));
    assert_int_equal(base64_decode(x->data, &x->arena, &decoded), 0);
    assert_true(str_eq(decoded, (struct str){bytes, n}));
}

static void types(void **state)
{
    struct fetching *x = *state;
    assert_got(x, "/a.png", "image/png", BODY(png));
    assert_got(x, "/wrong.jpg", "image/png", BODY(png)); /* its bytes say what it is */
    assert_got(x, "/untold", "application/pdf", BODY("%PDF-1.7 rest"));
    assert_got(x, "/note.txt", "text/plain", BODY("two words"));
    assert_refused(x, get(x, "/octets"), "application/octet-stream");
    assert_refused(x, get(x, "/odd"), "not told");
}

static void asked_plainly(void **state)
{
    struct fetching *x = *state;
    assert_got(x, "/a.png?x=y#part", "image/png", BODY(png));
    assert_non_null(strstr(last_request, "GET /a.png?x=y HTTP/1.1\r\n"));
    assert_non_null(strcasestr(last_request, "\r\nuser-agent: aigw/"));
    assert_null(strcasestr(last_request, "authorization"));
    assert_null(strcasestr(last_request, "cookie"));
    assert_null(strcasestr(last_request, "referer"));
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/a.png?q=\xc3\xa9", server_port);
    assert_int_equal(media_fetch(&x->r, str_of(url), &x->mime, &x->data, &x->f), 0);
    assert_non_null(strcasestr(last_request, "GET /a.png?q=%c3%a9 "));
}

static void fetched_once(void **state)
{
    struct fetching *x = *state;
    unsigned before = asked;
    for (int i = 0; i < 5; i++)
        assert_got(x, "/a.png", "image/png", BODY(png));
    assert_int_equal(asked - before, 1);
    assert_got(x, "/a.png?2", "image/png", BODY(png));
    assert_int_equal(asked - before, 2);
}

static void failures(void **state)
{
    struct fetching *x = *state;
    assert_refused(x, get(x, "/gone?token=hidden"),
                   "at 127.0.0.1 could not be fetched: the host answered with status 404");
    assert_lacks(x->f.message, "hidden");
    assert_lacks(x->f.message, "inner");
    assert_refused(x, get(x, "/moved"), "redirects are not followed");
    assert_refused(x, get(x, "/empty"), "is empty");
    uint16_t port = server_port;
    server_port = 1;
    assert_refused(x, get(x, "/a.png"), "could not be fetched: Couldn't connect");
    server_port = port;
    unsigned before = asked; /* the next provider gets the same answer */
    assert_refused(x, get(x, "/moved"), "redirects are not followed");
    assert_int_equal(asked, before);
}

static void bounds(void **state)
{
    struct fetching *x = *state;
    unsigned before = asked;
    assert_refused(x, get(x, "/large"), "more than 100000 bytes");
    assert_refused(x, get(x, "/endless"), "more than 100000 bytes");
    int64_t began = clock_mono_ns();
    x->config.media.timeout_ms = 150;
    assert_refused(x, get(x, "/silent"), "in time");
    x->config.media.timeout_ms = 100000;
    x->r.deadline_ns = clock_mono_ns() + 150 * NS_PER_MS;
    assert_refused(x, get(x, "/silent?2"), "in time");
    assert_true(clock_mono_ns() - began < 8 * NS_PER_SEC);
    x->r.deadline_ns = 0;
    x->config.timeouts.total = 1; /* however many there are */
    assert_refused(x, get(x, "/silent?3"), "in time");
    assert_true(clock_mono_ns() - began < 8 * NS_PER_SEC);
    x->config.timeouts.total = 600000;
    assert_refused(x, get(x, "/heads"), "head has more than");
    assert_true(asked - before <= 6);
    for (int i = 6; i < 32; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/a.png?%d", i);
        assert_int_equal(get(x, path), 0);
    }
    assert_refused(x, get(x, "/a.png?more"), "More than 32");
}

static void not_fetched(void **state)
{
    static const struct {
        const char *url, *words;
    } cases[] = {
        {"file:///etc/passwd", "http and https URLs only"},
        {"ftp://example.com/a.png", "http and https URLs only"},
        {"gs://bucket/a.png", "http and https URLs only"},
        {"data:image/png,abc", "neither a URL nor"},
        {"", "neither a URL nor"},
        {"https://user:secret@example.com/", "holds a user"},
        {"https://user@example.com/", "holds a user"},
        {"http://exa mple.com/", "a space or a control"},
        {"http://example.com/\r\nx: y", "a space or a control"},
        {"http://example.com:22/", "a port that is not the web's"},
        {"https://example.com:6379/", "a port that is not the web's"},
        {"http://127.0.0.1/", "not on the public internet"},
        {"http://localhost:8080/", "not on the public internet"},
        {"http://2130706433/", "not on the public internet"},
        {"http://0x7f.1/", "not on the public internet"},
        {"http://0177.0.0.1/", "not on the public internet"},
        {"http://[::1]/", "not on the public internet"},
        {"http://[::ffff:127.0.0.1]/", "not on the public internet"},
        {"http://[::ffff:7f00:1]/", "not on the public internet"},
        {"https://10.1.2.3/", "not on the public internet"},
        {"http://169.254.169.254/latest/meta-data/", "not on the public internet"},
        {"http://0.0.0.0/", "not on the public internet"},
    };
    struct fetching *x = *state;
    unsigned before = asked;
    x->config.media.allow_private = false;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(x, media_fetch(&x->r, str_of(cases[i].url), &x->mime, &x->data, &x->f),
                       cases[i].words);
        assert_lacks(x->f.message, "secret");
    }
    assert_refused(x, get(x, "/a.png"), "a port that is not the web's");
    x->config.media.fetch = false;
    assert_refused(x, get(x, "/a.png?off"), "switched off");
    assert_int_equal(asked, before);
}

static void addresses(void **state)
{
    static const struct {
        const char *address;
        bool is_public;
    } cases[] = {
        {"8.8.8.8", true},
        {"1.1.1.1", true},
        {"9.255.255.255", true},
        {"11.0.0.0", true},
        {"100.63.255.255", true},
        {"100.128.0.0", true},
        {"172.15.255.255", true},
        {"172.32.0.0", true},
        {"192.0.1.1", true},
        {"192.167.255.255", true},
        {"192.169.0.0", true},
        {"198.17.255.255", true},
        {"198.20.0.0", true},
        {"223.255.255.255", true},
        {"168.63.129.15", true},
        {"0.0.0.0", false},
        {"0.1.2.3", false},
        {"10.0.0.0", false},
        {"10.255.255.255", false},
        {"100.64.0.0", false},
        {"100.100.100.200", false},
        {"100.127.255.255", false},
        {"127.0.0.1", false},
        {"127.255.255.255", false},
        {"168.63.129.16", false},
        {"169.254.169.254", false},
        {"172.16.0.0", false},
        {"172.31.255.255", false},
        {"192.0.0.192", false},
        {"192.0.2.1", false},
        {"192.88.99.1", false},
        {"192.168.0.1", false},
        {"198.18.0.0", false},
        {"198.19.255.255", false},
        {"198.51.100.7", false},
        {"203.0.113.7", false},
        {"224.0.0.1", false},
        {"239.255.255.255", false},
        {"240.0.0.1", false},
        {"255.255.255.255", false},
        {"2606:4700:4700::1111", true},
        {"2a00:1450:4001:80b::200e", true},
        {"2001:4860:4860::8888", true},
        {"::ffff:8.8.8.8", true},
        {"64:ff9b::808:808", true},
        {"::", false},
        {"::1", false},
        {"::8.8.8.8", false},
        {"::ffff:10.0.0.1", false},
        {"::ffff:169.254.169.254", false},
        {"::ffff:0:127.0.0.1", false},
        {"64:ff9b::a00:1", false},
        {"64:ff9b::7f00:1", false},
        {"64:ff9b:1::808:808", false},
        {"100::1", false},
        {"2001::1", false},
        {"2001:20::1", false},
        {"2001:db8::1", false},
        {"2002:a00:1::1", false},
        {"2002:808:808::1", false},
        {"3fff:fff::1", false},
        {"fc00::1", false},
        {"fd00:ec2::254", false},
        {"fe80::1", false},
        {"fec0::1", false},
        {"ff02::1", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sockaddr_storage a = {.ss_family = strchr(cases[i].address, ':') ? AF_INET6 : AF_INET};
        void *at = a.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&a)->sin_addr
                                          : (void *)&((struct sockaddr_in6 *)&a)->sin6_addr;
        assert_int_equal(inet_pton(a.ss_family, cases[i].address, at), 1);
        if (fetch_address_public((struct sockaddr *)&a) != cases[i].is_public)
            fail_msg("%s is %sa public address", cases[i].address, cases[i].is_public ? "" : "not ");
    }
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(fetch_address_public(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(types, begin, end),
        cmocka_unit_test_setup_teardown(asked_plainly, begin, end),
        cmocka_unit_test_setup_teardown(fetched_once, begin, end),
        cmocka_unit_test_setup_teardown(failures, begin, end),
        cmocka_unit_test_setup_teardown(bounds, begin, end),
        cmocka_unit_test_setup_teardown(not_fetched, begin, end),
        cmocka_unit_test(addresses),
    };
    server_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Bedrock's credentials: which of them a request is sent with, and where an instance's or a container's role
 * gets its keys (an endpoint of our own, which checks what it is asked). */
#include "bedrock.h"
#include "clock.h"
#include "credential.h"
#include "log.h"
#include "secret.h"
#include "text_asserts.h"
#include "translate_fixture.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- an endpoint for roles */

#define KEYS                                                                                        \
    "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIAROLE\",\"SecretAccessKey\":" \
    "\"role/secret+x\",\"Token\":\"role-token==\",\"Expiration\":\"2099-01-02T03:04:05Z\"}"

static uint16_t port;
static _Atomic unsigned asked;
static char log_of_requests[4096]; /* "METHOD PATH|its token\n" */
static const char *role_answer;    /* NULL: "the-role" */
static const char *keys_answer;    /* NULL: KEYS */

static const char *answer_of(const char *request, int *status)
{
    *status = 200;
    if (strncmp(request, "PUT /latest/api/token ", 22) == 0 &&
        strcasestr(request, "\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"))
        return "imds-token";
    bool token = strcasestr(request, "\r\nX-aws-ec2-metadata-token: imds-token\r\n") != NULL;
    if (token && strncmp(request, "GET /latest/meta-data/iam/security-credentials/ ", 48) == 0)
        return role_answer ? role_answer : "the-role\n";
    if (token && strncmp(request, "GET /latest/meta-data/iam/security-credentials/the-role ", 56) == 0)
        return keys_answer ? keys_answer : KEYS;
    if (strncmp(request, "GET /v2/credentials/abc?x=1 ", 27) == 0 ||
        strncmp(request, "GET /v2/credentials/abc ", 24) == 0)
        return keys_answer ? keys_answer : KEYS;
    *status = 404;
    return "";
}

static void serve_one(int fd)
{
    char request[4096] = "", answer[2048];
    size_t n = 0;
    int status;
    for (ssize_t got; !strstr(request, "\r\n\r\n") && n + 1 < sizeof(request) &&
                      (got = recv(fd, request + n, sizeof(request) - 1 - n, 0)) > 0;)
        request[n += (size_t)got] = '\0';
    const char *body = answer_of(request, &status);
    size_t line = strcspn(request, "\r"), logged = strlen(log_of_requests);
    snprintf(log_of_requests + logged, sizeof(log_of_requests) - logged, "%.*s\n", (int)line, request);
    asked++;
    int size = snprintf(answer, sizeof(answer), "HTTP/1.1 %d X\r\ncontent-length: %zu\r\n\r\n%s", status,
                        strlen(body), body);
    send(fd, answer, (size_t)size, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
    int listener = *(int *)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd))
        serve_one(fd);
    return NULL;
}

static int start(void **state)
{
    static int listener;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    pthread_t thread;
    struct error err;
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(listener, 16) != 0)
        return -1;
    getsockname(listener, (struct sockaddr *)&a, &n);
    port = ntohs(a.sin_port);
    if (pthread_create(&thread, NULL, serve, &listener) != 0)
        return -1;
    pthread_detach(thread);
    return secret_init(&err);
}

static int fresh(void **state)
{
    struct error err;
    (void)state;
    asked = 0;
    log_of_requests[0] = '\0';
    role_answer = keys_answer = NULL;
    credential_forget();
    return credential_init(&err);
}

/* ---- */

static void set_secret(const char *provider, const char *part, const char *value)
{
    char name[64], variable[96]; /* which is read once: each secret has one of its own */
    struct error err;
    secret_name(name, sizeof(name), provider, part);
    snprintf(variable, sizeof(variable), "TEST_%s_%s", provider, part);
    setenv(variable, value, 1);
    assert_int_equal(secret_from_env(*part ? name : provider, variable, &err), 0);
}

static int authorize(const struct conf_provider *p, struct buf *head, struct error *err)
{
    struct signing s = {.method = STR("POST"),
                        .path = STR("/model/m%3A0/converse?x=1"),
                        .host = STR("bedrock-runtime.eu-west-3.amazonaws.com"),
                        .headers = STR("accept: */*\r\ncontent-type: application/json\r\n"),
                        .body = STR("{}")};
    buf_init(head, 1 << 16);
    return provider_bedrock.authorize(p, &s, head, err);
}

static int prepare(const struct conf_provider *p, struct error *err)
{
    struct arena a;
    struct request r = {.arena = &a};
    arena_init(&a);
    struct patience patience = {.deadline_ns = clock_mono_ns() + 5 * NS_PER_SEC};
    int result = provider_bedrock.prepare(&r, p, &patience, err);
    arena_fini(&a);
    return result;
}

static void test_api_key(void **state)
{
    (void)state;
    struct conf_provider p = {.name = "bearer", .type = "bedrock", .region = "eu-west-3", .has_key = true};
    struct buf head;
    struct error err;
    set_secret("bearer", "", "ABSK-key");
    assert_int_equal(prepare(&p, &err), 0);
    assert_int_equal(authorize(&p, &head, &err), 0);
    assert_true(str_eq(buf_str(&head), STR("authorization: Bearer ABSK-key\r\n")));
    assert_int_equal(asked, 0);
    buf_free(&head);
}

static void test_access_key(void **state)
{
    (void)state;
    struct conf_provider p = {.name = "keyed", .type = "bedrock", .region = "eu-west-3"};
    struct buf head;
    struct error err;
    set_secret("keyed", "access", "AKIDOWN");
    set_secret("keyed", "secret", "own-secret");
    assert_int_equal(prepare(&p, &err), 0);
    assert_int_equal(authorize(&p, &head, &err), 0);
    assert_holds(buf_str(&head), "authorization: AWS4-HMAC-SHA256 Credential=AKIDOWN/");
    assert_holds(buf_str(&head),
                 "/eu-west-3/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=");
    assert_lacks(buf_str(&head), "x-amz-security-token");
    buf_free(&head);
    set_secret("keyed", "session", "own-token");
    assert_int_equal(authorize(&p, &head, &err), 0);
    assert_holds(buf_str(&head), "x-amz-security-token: own-token\r\n");
    assert_holds(buf_str(&head), "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, ");
    assert_int_equal(asked, 0);
    buf_free(&head);
}

static void check_role(const char *url, unsigned questions, const char *requests)
{
    struct conf_provider p = {.name = "role", .type = "bedrock", .region = "eu-west-3", .role_url = url};
    struct buf head;
    struct error err = {""};
    if (prepare(&p, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(asked, questions);
    assert_string_equal(log_of_requests, requests);
    assert_int_equal(authorize(&p, &head, &err), 0);
    assert_holds(buf_str(&head), "Credential=ASIAROLE/");
    assert_holds(buf_str(&head), "x-amz-security-token: role-token==\r\n");
    buf_free(&head);
    /* kept until they end */
    assert_int_equal(prepare(&p, &err), 0);
    assert_int_equal(asked, questions);
}

static void test_instance_role(void **state)
{
    (void)state;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    check_role(url, 3,
               "PUT /latest/api/token HTTP/1.1\n"
               "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\n"
               "GET /latest/meta-data/iam/security-credentials/the-role HTTP/1.1\n");
}

static void test_container_role(void **state)
{
    (void)state;
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/v2/credentials/abc", port);
    check_role(url, 1, "GET /v2/credentials/abc HTTP/1.1\n");
}

/* No answer makes a credential that is none, and no message tells one. */
static void test_bad_roles(void **state)
{
    static const struct {
        const char *role, *keys;
    } cases[] = {
        {"", NULL},
        {"../../other", NULL},
        {"two words", NULL},
        {NULL, ""},
        {NULL, "{\"Code\":\"Failed\"}"},
        {NULL,
         "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hidden\",\"Expiration\":\"2099-01-02T03:04:05Z\"}"},
        {NULL, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hidden\",\"Token\":\"hidden\",\"Expiration\":"
               "\"soon\"}"},
        {NULL, "{\"AccessKeyId\":\"A\\n\",\"SecretAccessKey\":\"hidden\",\"Token\":\"hidden\",\"Expiration\":"
               "\"2099-01-02T03:04:05Z\"}"},
    };
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conf_provider p = {.name = "role", .type = "bedrock", .region = "eu-west-3", .role_url = url};
        struct error err = {""};
        fresh(state);
        role_answer = cases[i].role;
        keys_answer = cases[i].keys;
        if (prepare(&p, &err) == 0)
            fail_msg("case %zu is taken", i);
        assert_null(strstr(err.text, "hidden"));
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_api_key, fresh),       cmocka_unit_test_setup(test_access_key, fresh),
        cmocka_unit_test_setup(test_instance_role, fresh), cmocka_unit_test_setup(test_container_role, fresh),
        cmocka_unit_test_setup(test_bad_roles, fresh),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}

/* Vertex AI: tokens for a service account (from an endpoint of our own, which checks what it is asked),
 * paths, what passes and what is translated, embeddings, the credential's header line. What the languages
 * themselves say is tested with their own providers. */
#include "translate_fixture.h"

#include "base64.h"
#include "clock.h"
#include "credential.h"
#include "json_write.h"
#include "log.h"
#include "secret.h"
#include "temp_folder.h"
#include "text_asserts.h"
#include "vertex.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static char folder[64], key_file[96];
static EVP_PKEY *key;

/* ---- a token endpoint */

static uint16_t endpoint_port;
static _Atomic unsigned asked;
static char last_request[16384];
static const char *endpoint_status = "200 OK", *endpoint_body; /* NULL: a numbered token */

static void *serve(void *arg)
{
    int listener = *(int *)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        size_t n = 0, length = 0;
        char *body = NULL, answer[1024], token[128];
        for (ssize_t got; n + 1 < sizeof(last_request) &&
                          (got = recv(fd, last_request + n, sizeof(last_request) - 1 - n, 0)) > 0;) {
            n += (size_t)got;
            last_request[n] = '\0';
            char *told = strcasestr(last_request, "content-length:");
            body = strstr(last_request, "\r\n\r\n");
            length = told ? strtoul(told + 15, NULL, 10) : 0;
            if (body && n - (size_t)(body + 4 - last_request) >= length)
                break;
        }
        unsigned number = ++asked;
        snprintf(token, sizeof(token),
                 "{\"access_token\":\"ya29.token-%u\",\"expires_in\":3599,\"token_type\":\"Bearer\"}",
                 number);
        const char *text = endpoint_body ? endpoint_body : token;
        int size = snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\ncontent-length: %zu\r\n\r\n%s",
                            endpoint_status, strlen(text), text);
        send(fd, answer, (size_t)size, MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

static void endpoint_start(void)
{
    static int listener;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    pthread_t thread;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listener, 16), 0);
    getsockname(listener, (struct sockaddr *)&a, &n);
    endpoint_port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&thread, NULL, serve, &listener), 0);
    pthread_detach(thread);
}

/* ---- a service account */

static struct conf_provider account = {
    .name = "google", .type = "vertex", .base_url = "http://127.0.0.1:1", .credentials_file = "x"};
static struct conf_provider express = {
    .name = "express", .type = "vertex", .base_url = "http://127.0.0.1:1", .has_key = true};

static void write_key_file(const char *token_uri, const char *private_key)
{
    struct buf b;
    struct error err;
    char name[64];
    buf_init(&b, 16384);
    struct json_writer w = json_writer(&b);
    json_open(&w, '{');
    json_member_strz(&w, "type", "service_account");
    json_member_strz(&w, "project_id", "orchard-7");
    json_member_strz(&w, "private_key_id", "kid-1");
    json_member_strz(&w, "private_key", private_key);
    json_member_strz(&w, "client_email", "gateway@orchard-7.example");
    json_member_strz(&w, "token_uri", token_uri);
    json_close(&w, '}');
    int fd = open(key_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, b.p, b.n), (ssize_t)b.n);
    close(fd);
    buf_free(&b);
    secret_name(name, sizeof(name), "google", "file");
    assert_int_equal(secret_from_whole_file(name, key_file, &err), 0);
}

static char *pem_of_key(void)
{
    static char pem[8192];
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    int n = BIO_read(bio, pem, sizeof(pem) - 1);
    assert_true(n > 0);
    pem[n] = '\0';
    BIO_free(bio);
    return pem;
}

static int make_account(void **state)
{
    char uri[64];
    struct error err;
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/token", endpoint_port);
    write_key_file(uri, pem_of_key());
    endpoint_status = "200 OK";
    endpoint_body = NULL;
    asked = 0;
    credential_forget();
    return credential_init(&err);
}

/* ---- tokens */

static struct str part_of(struct str *jwt, struct arena *a)
{
    struct str part, bytes;
    assert_true(str_split(jwt, '.', &part));
    assert_int_equal(base64_decode(part, a, &bytes), 0);
    return bytes;
}

static void assert_member(struct str json, const char *name, const char *value)
{
    struct json_value v;
    struct arena a;
    arena_init(&a);
    assert_int_equal(json_scan(json, &name, 1, &v, NULL), 0);
    if (v.type != JSON_STRING || !str_eq(json_text(v, &a), str_of(value)))
        fail_msg("%s is " STR_FMT ", not %s", name, STR_ARG(v.raw), value);
    arena_fini(&a);
}

static int64_t number_of(struct str json, const char *name)
{
    struct json_value v;
    int64_t n = 0;
    assert_int_equal(json_scan(json, &name, 1, &v, NULL), 0);
    assert_int_equal(json_int(v, &n), 0);
    return n;
}

static const struct patience *soon(void)
{
    static struct patience p;
    p.deadline_ns = clock_mono_ns() + 5 * NS_PER_SEC;
    return &p;
}

static void assertion(void **state)
{
    (void)state;
    struct arena a;
    struct buf text;
    struct error err = {""};
    int64_t expires, now = clock_wall_us() / 1000000;
    arena_init(&a);
    buf_init(&text, MAX_CREDENTIAL);
    assert_int_equal(vertex_fetch_token(&account, soon(), &text, &expires, &err), 0);
    assert_true(str_eq(buf_str(&text), STR("ya29.token-1")));
    assert_in_range(expires - now, 3598, 3604);
    assert_non_null(strstr(last_request, "POST /token HTTP/1.1\r\n"));
    assert_non_null(strcasestr(last_request, "content-type: application/x-www-form-urlencoded\r\n"));
    const char *form = strstr(last_request, "\r\n\r\n") + 4;
    static const char front[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    assert_int_equal(strncmp(form, front, strlen(front)), 0);
    struct str jwt = str_of(form + strlen(front)), whole = jwt;
    struct str header = part_of(&jwt, &a), claims = part_of(&jwt, &a);
    size_t n_signed = (size_t)(jwt.p - whole.p) - 1;
    struct str signature = part_of(&jwt, &a);
    assert_member(header, "alg", "RS256");
    assert_member(header, "kid", "kid-1");
    assert_member(claims, "iss", "gateway@orchard-7.example");
    assert_member(claims, "scope", "https://www.googleapis.com/auth/cloud-platform");
    char uri[64];
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/token", endpoint_port);
    assert_member(claims, "aud", uri);
    assert_in_range(number_of(claims, "iat") - now, 0, 5);
    assert_int_equal(number_of(claims, "exp") - number_of(claims, "iat"), 3600);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n,
                                      (const unsigned char *)whole.p, n_signed),
                     1);
    EVP_MD_CTX_free(ctx);
    buf_free(&text);
    arena_fini(&a);
}

static void no_token(void **state)
{
    static const struct {
        const char *status, *body, *words;
    } cases[] = {
        {"400 Bad Request", "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT Signature.\"}",
         "status 400: invalid_grant: Invalid JWT Signature."},
        {"503 Service Unavailable", "<html>", "status 503"},
        {"400 Bad", "{\"error\":\"x\",\"error_description\":\"this: eyJhbGciOi\"}", "status 400: x"},
        {"200 OK", "[]", "no access_token"},
        {"200 OK", "{\"access_token\":7}", "no access_token"},
        {"200 OK", "{\"access_token\":\"\"}", "may not be sent"},
        {"200 OK", "{\"access_token\":\"a\\r\\nx: y\"}", "may not be sent"},
        {"200 OK", "{\"access_token\":\"a b\"}", "may not be sent"},
        {"200 OK", "{\"access_token\":\"a\",\"expires_in\":-5}", "makes no sense"},
        {"200 OK", "{\"access_token\":\"a\",\"expires_in\":99999999999}", "makes no sense"},
        {"302 Found", "", "status 302"},
    };
    struct buf text;
    struct error err;
    int64_t expires;
    (void)state;
    buf_init(&text, MAX_CREDENTIAL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        endpoint_status = cases[i].status;
        endpoint_body = cases[i].body;
        assert_int_equal(vertex_fetch_token(&account, soon(), &text, &expires, &err), -1);
        if (!strstr(err.text, cases[i].words) || strstr(err.text, "eyJ"))
            fail_msg("%zu: %s", i, err.text);
    }
    write_key_file("http://127.0.0.1:1/token", pem_of_key());
    assert_int_equal(vertex_fetch_token(&account, soon(), &text, &expires, &err), -1);
    assert_non_null(strstr(err.text, "can't be reached"));
    write_key_file("http://127.0.0.1:1/token",
                   "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert_int_equal(vertex_fetch_token(&account, soon(), &text, &expires, &err), -1);
    assert_non_null(strstr(err.text, "no RSA key"));
    write_key_file("file:///etc/passwd", pem_of_key());
    assert_int_equal(vertex_fetch_token(&account, soon(), &text, &expires, &err), -1);
    buf_free(&text);
}

/* ---- a call's credential */

static void call_of(struct translation *t, enum endpoint endpoint, const struct conf_provider *p,
                    const char *model)
{
    translation_init(t, endpoint, "vertex");
    t->conf = *p;
    t->r.target_model = str_of(model);
    translation_call(t, NULL, model);
}

static void assert_line(struct translation *t, const struct conf_provider *p, const char *line)
{
    struct signing s = {0};
    struct error err = {""};
    struct buf head;
    buf_init(&head, 8192);
    struct patience patience = {.deadline_ns = clock_mono_ns() + 5 * NS_PER_SEC};
    if (t->provider->prepare(&t->r, p, &patience, &err) != 0 ||
        t->provider->authorize(p, &s, &head, &err) != 0)
        fail_msg("%s", err.text);
    if (!str_eq(buf_str(&head), str_of(line)))
        fail_msg(STR_FMT " is not %s", STR_ARG(buf_str(&head)), line);
    buf_free(&head);
}

static void credential_lines(void **state)
{
    static const struct http_head head;
    struct translation t;
    struct failure f;
    struct error err;
    (void)state;
    call_of(&t, EP_CHAT, &account, "gemini-2.5-pro");
    t.config.providers = &account;
    assert_line(&t, &account, "authorization: Bearer ya29.token-1\r\n");
    assert_line(&t, &account, "authorization: Bearer ya29.token-1\r\n");
    t.provider->read_error(&t.r, 403, &head, STR("{}"), &f);
    assert_line(&t, &account, "authorization: Bearer ya29.token-1\r\n");
    t.provider->read_error(&t.r, 401, &head, STR("{\"error\":{\"code\":401,\"message\":\"expired\"}}"), &f);
    assert_line(&t, &account, "authorization: Bearer ya29.token-2\r\n");
    assert_int_equal(asked, 2);
    setenv("TEST_EXPRESS_KEY", "AIza-express", 1);
    assert_int_equal(secret_from_env("express", "TEST_EXPRESS_KEY", &err), 0);
    assert_line(&t, &express, "x-goog-api-key: AIza-express\r\n");
    translation_fini(&t);
}

/* ---- paths */

static void paths(void **state)
{
    static const struct {
        const char *base, *location, *model, *path;
        bool key;
    } cases[] = {
        {"https://h", NULL, "gemini-2.5-pro",
         "/v1/projects/orchard-7/locations/global/publishers/google/models/gemini-2.5-pro:do", false},
        {"https://h/v1beta1", "europe-west4", "google/gemini-2.5-pro",
         "/v1beta1/projects/orchard-7/locations/europe-west4/publishers/google/models/gemini-2.5-pro:do",
         false},
        {"https://h/gate", "eu", "models/gemini-2.5-pro",
         "/gate/v1/projects/orchard-7/locations/eu/publishers/google/models/gemini-2.5-pro:do", false},
        {"https://h", "us-east5", "claude-sonnet-4-5@20250929",
         "/v1/projects/orchard-7/locations/us-east5/publishers/anthropic/models/"
         "claude-sonnet-4-5@20250929:do",
         false},
        {"https://h", NULL, "anthropic/claude-opus-4-6",
         "/v1/projects/orchard-7/locations/global/publishers/anthropic/models/claude-opus-4-6:do", false},
        {"https://h", NULL, "endpoints/778899", "/v1/projects/orchard-7/locations/global/endpoints/778899:do",
         false},
        {"https://h", NULL, "projects/p2/locations/us/endpoints/5",
         "/v1/projects/p2/locations/us/endpoints/5:do", false},
        {"https://h", NULL, "publishers/google/models/gemini-2.0-flash",
         "/v1/projects/orchard-7/locations/global/publishers/google/models/gemini-2.0-flash:do", false},
        {"https://h", NULL, "meta/llama-3.3-70b-instruct-maas",
         "/v1/projects/orchard-7/locations/global/endpoints/openapi/chat/completions", false},
        {"https://h", NULL, "gemini-2.5-pro", "/v1/publishers/google/models/gemini-2.5-pro:do", true},
        {"https://h", NULL, "meta/llama-3.3-70b-instruct-maas", NULL, true},
        {"https://h", NULL, "projects/../../etc", NULL, false},
        {"https://h", NULL, "endpoints/1?x=y", NULL, false},
        {"https://h", NULL, "publishers//models", NULL, false},
        {"nonsense", NULL, "gemini-2.5-pro", NULL, false},
    };
    struct arena a;
    (void)state;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conf_provider p = {.name = cases[i].key ? "express" : "google",
                                  .base_url = cases[i].base,
                                  .location = cases[i].location,
                                  .has_key = cases[i].key};
        struct failure f = {0};
        struct str path = STR_NULL;
        int rc = vertex_path(&p, str_of(cases[i].model), STR("do"), &a, &path, &f);
        if (rc != (cases[i].path ? 0 : -1) || (cases[i].path && !str_eq(path, str_of(cases[i].path))))
            fail_msg("%s: %d " STR_FMT, cases[i].model, rc, STR_ARG(path));
        assert_int_equal(f.status, rc == 0 ? 0 : 500);
    }
    struct conf_provider other = {.name = "google", .base_url = "https://h", .project = "mine"};
    struct failure f;
    struct str path;
    assert_int_equal(vertex_path(&other, STR("m"), STR("x"), &a, &path, &f), 0);
    assert_true(str_starts(path, STR("/v1/projects/mine/locations/global/")));
    other.project = "../other";
    assert_int_equal(vertex_path(&other, STR("m"), STR("x"), &a, &path, &f), -1);
    arena_fini(&a);
}

/* ---- what passes */

static bool passes(enum endpoint endpoint, const char *model, const char *body)
{
    struct translation t;
    call_of(&t, endpoint, &account, model);
    t.r.body = str_of(body);
    t.r.dialect = endpoint == EP_MESSAGES || endpoint == EP_COUNT_TOKENS ? DIALECT_ANTHROPIC
                  : endpoint == EP_CHAT                                  ? DIALECT_OPENAI
                                                                         : DIALECT_GOOGLE;
    bool yes = t.provider->passes(&t.r, &t.conf, str_of(model));
    translation_fini(&t);
    return yes;
}

#define TURN "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define IMAGE(source)                                                                                        \
    "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":" source \
    "}]}]}"

static void who_passes(void **state)
{
    (void)state;
    assert_true(passes(EP_MESSAGES, "claude-sonnet-4-5", TURN));
    assert_true(passes(EP_COUNT_TOKENS, "claude-sonnet-4-5", TURN));
    assert_true(passes(EP_MESSAGES, "claude-sonnet-4-5",
                       IMAGE("{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"url\"}")));
    assert_false(
        passes(EP_MESSAGES, "claude-sonnet-4-5", IMAGE("{\"type\":\"url\",\"url\":\"https://x/y\"}")));
    assert_false(passes(EP_MESSAGES, "gemini-2.5-pro", TURN));
    assert_false(passes(EP_CHAT, "claude-sonnet-4-5", TURN));
    assert_false(passes(EP_CHAT, "gemini-2.5-pro", TURN));
    assert_false(passes(EP_CHAT, "meta/llama-3", TURN));
    assert_true(passes(EP_GENERATE, "gemini-2.5-pro", "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}"));
    assert_false(
        passes(EP_GENERATE, "claude-sonnet-4-5", "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}"));
    assert_true(
        passes(EP_COUNT_CONTENT, "gemini-2.5-pro", "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}"));
    assert_false(passes(EP_COUNT_CONTENT, "gemini-2.5-pro",
                        "{\"generateContentRequest\":{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}}"));
    assert_false(passes(EP_EMBED_CONTENT, "gemini-embedding-001", "{}"));
}

static void claude_built(void **state)
{
    struct translation t;
    (void)state;
    call_of(&t, EP_MESSAGES, &account, "claude-sonnet-4-5@20250929");
    t.head.headers[t.head.n++] = (struct http_header){STR("anthropic-beta"), STR("context-1m-2025-08-07")};
    t.r.model = STR("mine");
    t.r.body = STR("{\"model\" : \"mine\",\"new_thing\":[1,  2],\"max_tokens\":5}");
    buf_free(&t.out.room);
    assert_int_equal(t.provider->build(&t.r, &t.conf, t.r.target_model, &t.out, &t.f), 0);
    assert_true(str_eq(t.out.body, STR("{\"anthropic_version\":\"vertex-2023-10-16\",\"new_thing\":[1,  2],"
                                       "\"max_tokens\":5}")));
    assert_true(
        str_ends(t.out.path, STR("/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict")));
    assert_true(str_eq(t.out.headers, STR("content-type: application/json\r\n"
                                          "anthropic-beta: context-1m-2025-08-07\r\n")));
    buf_free(&t.out.room);
    t.r.stream = true;
    t.r.body = STR("{\"stream\":true,\"model\":\"mine\",\"anthropic_version\":\"later\"}");
    assert_int_equal(t.provider->build(&t.r, &t.conf, t.r.target_model, &t.out, &t.f), 0);
    assert_true(str_eq(t.out.body, STR("{\"anthropic_version\":\"later\",\"stream\":true}")));
    assert_true(str_ends(t.out.path, STR(":streamRawPredict")));
    buf_free(&t.out.room);
    t.r.match.endpoint = EP_COUNT_TOKENS;
    t.r.body = STR("{\"messages\":[]}");
    assert_int_equal(t.provider->build(&t.r, &t.conf, t.r.target_model, &t.out, &t.f), 0);
    assert_true(str_eq(t.out.body, STR("{\"anthropic_version\":\"vertex-2023-10-16\","
                                       "\"model\":\"claude-sonnet-4-5@20250929\",\"messages\":[]}")));
    assert_true(str_ends(t.out.path, STR("/publishers/anthropic/models/count-tokens:rawPredict")));
    translation_fini(&t);
}

static void gemini_built(void **state)
{
    struct translation t;
    (void)state;
    call_of(&t, EP_GENERATE, &account, "gemini-2.5-pro");
    t.r.model = STR("mine");
    t.r.dialect = DIALECT_GOOGLE;
    t.r.body = STR("{\"contents\":[], \"newThing\":{}}");
    t.r.match.stream = t.r.stream = true;
    t.head.query = STR("key=secret&alt=sse");
    assert_int_equal(t.provider->build(&t.r, &t.conf, t.r.target_model, &t.out, &t.f), 0);
    assert_true(str_eq(t.out.body, t.r.body));
    assert_true(
        str_ends(t.out.path, STR("/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse")));
    assert_true(str_eq(t.out.headers, STR("content-type: application/json\r\n")));
    translation_fini(&t);
}

/* ---- what is translated */

static struct json_value member_of(struct str body, const char *path)
{
    struct json_value v;
    if (json_scan(body, &path, 1, &v, NULL) != 0)
        fail_msg("no JSON: " STR_FMT, STR_ARG(body));
    return v;
}

static int translate(struct translation *t, const char *model, const char *body)
{
    call_of(t, EP_CHAT, &account, model);
    t->r.body = str_of(body);
    t->r.stream = strstr(body, "\"stream\":true") != NULL;
    if (chat_read(&t->r, &t->f) != 0)
        fail_msg(STR_FMT, STR_ARG(t->f.message));
    t->call.in = t->r.chat;
    return t->provider->write_chat(&t->call);
}

static void gemini_translated(void **state)
{
    struct translation t;
    (void)state;
    assert_int_equal(translate(&t, "gemini-2.5-pro",
                               "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"),
                     0);
    assert_true(str_ends(t.out.path, STR("/publishers/google/models/gemini-2.5-pro:generateContent")));
    assert_int_equal(member_of(t.out.body, "contents").type, JSON_ARRAY);
    assert_int_equal(
        translate_answer(
            &t, STR("{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"ho\"}]},"
                    "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3,"
                    "\"candidatesTokenCount\":1,\"totalTokenCount\":4}}")),
        0);
    assert_holds(buf_str(&t.text), "\"content\":\"ho\"");
    translation_fini(&t);
    assert_int_equal(
        translate(&t, "gemini-2.5-pro",
                  "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"),
        0);
    assert_true(str_ends(t.out.path, STR(":streamGenerateContent?alt=sse")));
    translation_fini(&t);
}

static void claude_translated(void **state)
{
    struct translation t;
    (void)state;
    assert_int_equal(translate(&t, "claude-sonnet-4-5",
                               "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,"
                               "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"),
                     0);
    assert_true(str_ends(t.out.path, STR("/publishers/anthropic/models/claude-sonnet-4-5:streamRawPredict")));
    assert_int_equal(member_of(t.out.body, "model").type, JSON_ABSENT);
    assert_int_equal(member_of(t.out.body, "stream").type, JSON_TRUE);
    assert_member(t.out.body, "anthropic_version", "vertex-2023-10-16");
    assert_int_equal(
        translate_answer(&t, STR("{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
                                 "\"model\":\"claude\",\"content\":[{\"type\":\"text\",\"text\":\"ho\"}],"
                                 "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":3,"
                                 "\"output_tokens\":1}}")),
        0);
    assert_holds(buf_str(&t.text), "\"content\":\"ho\"");
    translation_fini(&t);
}

static void open_translated(void **state)
{
    struct translation t;
    (void)state;
    assert_int_equal(
        translate(&t, "meta/llama-3.3-70b-instruct-maas",
                  "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"),
        0);
    assert_true(str_eq(t.out.path,
                       STR("/v1/projects/orchard-7/locations/global/endpoints/openapi/chat/completions")));
    assert_member(t.out.body, "model", "meta/llama-3.3-70b-instruct-maas");
    assert_int_equal(number_of(t.out.body, "max_tokens"), 9);
    assert_int_equal(
        translate_answer(
            &t, STR("{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"l\",\"choices\":[{\"index\":0,"
                    "\"message\":{\"role\":\"assistant\",\"content\":\"ho\"},\"finish_reason\":\"stop\"}],"
                    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}")),
        0);
    assert_holds(buf_str(&t.text), "\"content\":\"ho\"");
    translation_fini(&t);
}

static void counted(void **state)
{
    struct translation t;
    struct chat_reader rd;
    uint64_t tokens = 0;
    (void)state;
    static const char *const models[] = {"claude-sonnet-4-5", "gemini-2.5-pro"};
    static const struct str answers[] = {STR("{\"input_tokens\":41}"), STR("{\"totalTokens\":41}")};
    for (int i = 0; i < 2; i++) {
        call_of(&t, EP_CHAT, &account, models[i]);
        t.r.body = STR("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
        assert_int_equal(chat_read(&t.r, &t.f), 0);
        t.call.in = t.r.chat;
        assert_int_equal(t.provider->write_count(&t.call), 0);
        assert_true(str_ends(t.out.path, i == 0 ? STR("/publishers/anthropic/models/count-tokens:rawPredict")
                                                : STR("/gemini-2.5-pro:countTokens")));
        if (i == 0)
            assert_member(t.out.body, "model", "claude-sonnet-4-5");
        rd = (struct chat_reader){
            .r = &t.r, .conf = &t.conf, .in = t.r.chat, .arena = &t.arena, .scratch = &t.arena, .f = &t.f};
        assert_int_equal(t.provider->read_count(&rd, answers[i], &tokens), 0);
        assert_int_equal(tokens, 41);
        tokens = 0;
        translation_fini(&t);
    }
}

static void errors(void **state)
{
    static const struct http_head head;
    struct translation t;
    (void)state;
    call_of(&t, EP_CHAT, &account, "claude-sonnet-4-5");
    t.provider->read_error(
        &t.r, 529, &head,
        STR("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Too much\"}}"), &t.f);
    assert_true(str_eq(t.f.message, STR("Too much")));
    t.provider->read_error(
        &t.r, 403, &head,
        STR("[{\"error\":{\"code\":403,\"message\":\"Not enabled\",\"status\":\"PERMISSION_DENIED\"}}]"),
        &t.f);
    assert_true(str_eq(t.f.message, STR("Not enabled")));
    translation_fini(&t);
}

/* ---- embeddings */

static struct str texts[] = {STR("one \"two\""), STR("three")};

static void embedded(void **state)
{
    struct embed_request in = {.texts = texts, .n_texts = 2, .dimensions = 3, .task = STR("search_query")};
    struct embed_answer out = {0};
    struct translation t;
    (void)state;
    call_of(&t, EP_EMBEDDINGS, &account, "text-embedding-005");
    struct chat_reader rd = {.r = &t.r, .arena = &t.arena, .scratch = &t.arena, .f = &t.f};
    assert_int_equal(t.provider->write_embed(&t.call, &in), 0);
    assert_true(str_eq(t.out.body,
                       STR("{\"instances\":[{\"content\":\"one \\\"two\\\"\",\"task_type\":"
                           "\"RETRIEVAL_QUERY\"},{\"content\":\"three\",\"task_type\":\"RETRIEVAL_QUERY\"}],"
                           "\"parameters\":{\"outputDimensionality\":3}}")));
    assert_true(str_ends(t.out.path, STR("/publishers/google/models/text-embedding-005:predict")));
    assert_int_equal(
        t.provider->read_embed(&rd, &in,
                               STR("{\"predictions\":[{\"embeddings\":{\"statistics\":{\"token_count\":4},"
                                   "\"values\":[1,2,3]}},{\"embeddings\":{\"values\":[4,5,6],\"statistics\":"
                                   "{\"truncated\":false,\"token_count\":2}}}],\"metadata\":{}}"),
                               &out),
        0);
    assert_int_equal(out.n_vectors, 2);
    assert_true(str_eq(out.vectors[1].json, STR("[4,5,6]")));
    assert_true(out.usage_known && out.input_tokens == 6);
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"predictions\":[]}",
        "{\"predictions\":[{\"embeddings\":7},{}]}",
        "{\"predictions\":[{\"embeddings\":{\"values\":[1]}}]}",
        ("{\"predictions\":[{\"embeddings\":{\"values\":[1]}},{\"embeddings\":{\"values\":[1]}},"
         "{\"embeddings\":{\"values\":[1]}}]}")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        out = (struct embed_answer){0};
        assert_int_equal(t.provider->read_embed(&rd, &in, str_of(bad[i]), &out), -1);
        assert_int_equal(t.f.status, 502);
    }
    translation_fini(&t);
}

static void embedded_by_content(void **state)
{
    struct embed_request in = {.texts = texts, .n_texts = 1};
    struct embed_answer out = {0};
    struct translation t;
    (void)state;
    call_of(&t, EP_EMBEDDINGS, &account, "gemini-embedding-2");
    struct chat_reader rd = {.r = &t.r, .arena = &t.arena, .scratch = &t.arena, .f = &t.f};
    assert_int_equal(t.provider->write_embed(&t.call, &in), 0);
    assert_true(str_eq(t.out.body, STR("{\"content\":{\"parts\":[{\"text\":\"one \\\"two\\\"\"}]}}")));
    assert_true(str_ends(t.out.path, STR("/gemini-embedding-2:embedContent")));
    assert_int_equal(t.provider->read_embed(&rd, &in,
                                            STR("{\"embedding\":{\"values\":[0.5]},\"usageMetadata\":"
                                                "{\"promptTokenCount\":11}}"),
                                            &out),
                     0);
    assert_true(out.n_vectors == 1 && out.usage_known && out.input_tokens == 11);
    in.n_texts = 2;
    assert_int_equal(t.provider->write_embed(&t.call, &in), -1);
    assert_int_equal(t.f.status, 400);
    in = (struct embed_request){.tokens = STR("[1,2]")};
    assert_int_equal(t.provider->write_embed(&t.call, &in), -1);
    translation_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(assertion, make_account),
        cmocka_unit_test_setup(no_token, make_account),
        cmocka_unit_test_setup(credential_lines, make_account),
        cmocka_unit_test_setup(paths, make_account),
        cmocka_unit_test_setup(who_passes, make_account),
        cmocka_unit_test_setup(claude_built, make_account),
        cmocka_unit_test_setup(gemini_built, make_account),
        cmocka_unit_test_setup(gemini_translated, make_account),
        cmocka_unit_test_setup(claude_translated, make_account),
        cmocka_unit_test_setup(open_translated, make_account),
        cmocka_unit_test_setup(counted, make_account),
        cmocka_unit_test_setup(errors, make_account),
        cmocka_unit_test_setup(embedded, make_account),
        cmocka_unit_test_setup(embedded_by_content, make_account),
    };
    if (!temp_folder_new(folder))
        return 1;
    snprintf(key_file, sizeof(key_file), "%s/account.json", folder);
    key = EVP_RSA_gen(2048);
    endpoint_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    temp_folder_remove(folder);
    EVP_PKEY_free(key);
    return failed;
}

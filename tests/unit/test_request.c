/* The way of a request through the stages, over a real key store. The last two stages are the test's own: a
 * provider that answers at once. */
#include "pipeline_fixture.h"

static char secret[MAX_KEY];
static char key_id[32];
static unsigned calls;
static bool cuts;

enum step request_cache(struct request *r)
{
    (void)r;
    return STEP_NEXT;
}

enum step request_attempt(struct request *r)
{
    calls++;
    if (request_record_begin(r) == STEP_DONE)
        return STEP_DONE;
    r->upstream_called = true;
    r->provider = r->targets[0].provider;
    r->attempts = 1;
    r->target_model = r->targets[0].model;
    r->tokens = (struct usage_tokens){.input = 3, .output = 2};
    if (!cuts)
        return answer_whole(r, 200, "application/json", STR("{\"ok\":true}"));
    struct failure f = {.status = 502, .message = STR("cut")};
    answer_begin(r, 200, STR("text/event-stream"));
    answer_piece(r, STR("data: 1\n\n"));
    answer_break(r, &f, answer_error_event(r, &f));
    return STEP_DONE;
}

static void change_key(struct fixture *f, void (*change)(struct key_record *))
{
    struct error err = {""};
    struct key_record k;
    assert_int_equal(keystore_get(f->worker.keys, key_id, &k, NULL, &err), 1);
    change(&k);
    if (keystore_update(f->worker.keys, &k, &err) != 1)
        fail_msg("%s", err.text);
}

static int up(void **state)
{
    struct error err = {""};
    static struct key_record key;
    fixture_up(state);
    struct fixture *f = *state;
    f->worker.keys = keystore_open(f->folder, true, &err);
    if (!f->worker.keys)
        fail_msg("%s", err.text);
    memset(&key, 0, sizeof(key));
    str_copy(key.name, sizeof(key.name), STR("test"));
    if (keystore_create(f->worker.keys, &key, STR_NULL, secret, &err) < 0)
        fail_msg("%s", err.text);
    str_copy(key_id, sizeof(key_id), str_of(key.id));
    calls = 0;
    cuts = false;
    return 0;
}

static int down(void **state)
{
    struct fixture *f = *state;
    keystore_close(&f->worker.keys);
    return fixture_down(state);
}

#define BODY "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

/* One request on a new connection; what the client gets. $K in the header lines is the key. */
static struct str ask(struct fixture *f, const char *line, const char *headers, const char *body, bool *keeps)
{
    static char text[4096];
    const char *k = strstr(headers, "$K");
    close(f->peer);
    fixture_peer(f);
    int before = k ? (int)(k - headers) : (int)strlen(headers);
    int n = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nhost: a\r\n%.*s%s%s%scontent-length: %zu\r\n\r\n%s",
                     line, before, headers, k ? secret : "", k ? k + 2 : "", headers[0] ? "\r\n" : "",
                     strlen(body), body);
    peer_sends(f, (struct str){text, (size_t)n});
    *keeps = request_serve(&f->worker, &f->client);
    return peer_reads(f);
}

static void served(void **state)
{
    struct fixture *f = *state;
    static const char *const ways[] = {
        "authorization: Bearer $K", "Authorization: bearer $K", "x-api-key: $K", "api-key: $K",
        "x-goog-api-key: $K",
    };
    bool keeps;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct str got = ask(f, "POST /v1/chat/completions", ways[i], BODY, &keeps);
        if (!str_starts(got, STR("HTTP/1.1 200 OK\r\n")) || !keeps)
            fail_msg("%s: %s", ways[i], got.p);
        assert_non_null(strstr(got.p, "\r\nx-aigw-provider: one\r\n"));
        assert_non_null(strstr(got.p, "\r\nx-aigw-model: tiny\r\n"));
        assert_non_null(strstr(got.p, "\r\nx-aigw-attempts: 1\r\n"));
        assert_non_null(strstr(got.p, "\r\n\r\n{\"ok\":true}"));
    }
    assert_int_equal(calls, 5);
    assert_int_equal(counted(&f->worker.metrics->requests_2xx_total), 5);
}

static void refused_by_authentication(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *headers;
        int status;
        const char *says;
    } cases[] = {
        {"", 401, "\"code\":null"},
        {"authorization: Bearer", 401, "\"code\":null"},
        {"authorization: Basic abc", 401, "\"code\":null"},
        {"authorization: Bearer sk-wrong-and-long-wxyz", 401, "****wxyz"},
        {"authorization: Bearer short", 401, "****."},
        {"x-api-key: $Kx", 401, "\"code\":\"invalid_api_key\""},
        {"authorization: Bearer $K\r\nx-api-key: other", 400, "conflicting_credentials"},
        {"x-api-key: a\r\nx-api-key: b", 400, "conflicting_credentials"},
    };
    bool keeps;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char status[32];
        snprintf(status, sizeof(status), "HTTP/1.1 %d ", cases[i].status);
        struct str got = ask(f, "POST /v1/chat/completions", cases[i].headers, BODY, &keeps);
        if (!str_starts(got, str_of(status)) || !strstr(got.p, cases[i].says))
            fail_msg("case %zu: %s", i, got.p);
        assert_null(strstr(got.p, "sk-wrong"));
        assert_true(keeps); /* its body was here */
    }
    assert_int_equal(calls, 0);
    assert_int_equal(counted(&f->worker.metrics->auth_missing_total), 3);
    assert_int_equal(counted(&f->worker.metrics->auth_failed_total), 3);
}

static void block(struct key_record *k)
{
    k->blocked = true;
}

static void expire(struct key_record *k)
{
    k->blocked = false;
    k->expires_s = 1;
}

static void from_elsewhere(struct key_record *k)
{
    k->expires_s = 0;
    k->n_cidrs = 1;
    cidr_parse(STR("192.0.2.0/24"), &k->cidrs[0]);
}

/* A change acts on the very next request. */
static void a_key_that_changes(void **state)
{
    struct fixture *f = *state;
    static const struct {
        void (*change)(struct key_record *);
        const char *status, *says;
    } cases[] = {
        {block, "HTTP/1.1 401 ", "api_key_blocked"},
        {expire, "HTTP/1.1 401 ", "api_key_expired"},
        {from_elsewhere, "HTTP/1.1 403 ", "address_not_allowed"},
    };
    bool keeps;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        change_key(f, cases[i].change);
        struct str got = ask(f, "POST /v1/chat/completions", "x-api-key: $K", BODY, &keeps);
        if (!str_starts(got, str_of(cases[i].status)) || !strstr(got.p, cases[i].says))
            fail_msg("case %zu: %s", i, got.p);
    }
    struct error err;
    keystore_delete(f->worker.keys, key_id, &err);
    assert_true(str_starts(ask(f, "GET /v1/models", "x-api-key: $K", "", &keeps), STR("HTTP/1.1 401 ")));
}

static void refused_before_the_body(void **state)
{
    struct fixture *f = *state;
    close(f->peer);
    fixture_peer(f);
    peer_sends(f, STR("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf"));
    assert_false(request_serve(&f->worker, &f->client));
    struct str got = peer_reads(f);
    assert_true(str_starts(got, STR("HTTP/1.1 401 ")));
    assert_non_null(strstr(got.p, "\r\nconnection: close\r\n"));
    assert_int_equal(f->client.body_left, 96);
    assert_false(f->client.waits);
}

static void malformed(void **state)
{
    struct fixture *f = *state;
    close(f->peer);
    fixture_peer(f);
    peer_sends(f,
               STR("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"));
    assert_false(request_serve(&f->worker, &f->client));
    struct str got = peer_reads(f);
    assert_true(str_starts(got, STR("HTTP/1.1 400 ")));
    assert_non_null(strstr(got.p, "\r\nx-request-id: "));
    assert_non_null(strstr(got.p, "invalid_request_error"));
    assert_true(f->client.must_close);
    assert_int_equal(counted(&f->worker.metrics->malformed_total), 1);
}

static void open_endpoints(void **state)
{
    struct fixture *f = *state;
    bool keeps;
    assert_non_null(strstr(ask(f, "GET /healthz", "", "", &keeps).p, "{\"status\":\"ok\"}"));
    assert_true(str_starts(ask(f, "GET /readyz", "", "", &keeps), STR("HTTP/1.1 200 ")));
    atomic_store(&f->worker.segment.header->store_full, 1);
    assert_true(str_starts(ask(f, "GET /readyz", "", "", &keeps), STR("HTTP/1.1 503 ")));
    assert_true(str_starts(ask(f, "GET /healthz", "", "", &keeps), STR("HTTP/1.1 200 ")));
    assert_true(str_starts(ask(f, "GET /nothing", "", "", &keeps), STR("HTTP/1.1 404 ")));
    struct str got = ask(f, "PUT /v1/models", "", "", &keeps);
    assert_true(str_starts(got, STR("HTTP/1.1 405 ")));
    assert_non_null(strstr(got.p, "\r\nallow: GET, HEAD\r\n"));
}

static void request_ids(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header;
        bool kept;
    } cases[] = {
        {"x-request-id: a.B-c_9", true},
        {"x-request-id: 012345678901234567890123456789012345678", true},
        {"x-request-id: 0123456789012345678901234567890123456789", false},
        {"x-request-id: a b", false},
        {"x-request-id: ", false},
    };
    bool keeps;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str got = ask(f, "GET /healthz", cases[i].header, "", &keeps);
        char line[80];
        snprintf(line, sizeof(line), "\r\n%s\r\n", cases[i].header);
        assert_int_equal(strstr(got.p, line) != NULL, cases[i].kept);
        const char *id = strstr(got.p, "\r\nx-request-id: ");
        assert_non_null(id);
        if (!cases[i].kept)
            assert_int_equal(strcspn(id + 16, "\r"), 16);
    }
}

static void pipelined_requests_are_served_in_turn(void **state)
{
    struct fixture *f = *state;
    char text[512];
    int n = snprintf(text, sizeof(text),
                     "GET /healthz HTTP/1.1\r\nhost: a\r\nx-request-id: r1\r\n\r\n"
                     "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-request-id: r2\r\nx-api-key: %s\r\n"
                     "content-length: %zu\r\n\r\n%s"
                     "GET /readyz HTTP/1.1\r\nhost: a\r\nx-request-id: r3\r\nconnection: close\r\n\r\n",
                     secret, strlen(BODY), BODY);
    peer_sends(f, (struct str){text, (size_t)n});
    assert_true(request_serve(&f->worker, &f->client));
    assert_true(client_has_more(&f->client));
    assert_true(request_serve(&f->worker, &f->client));
    assert_true(client_has_more(&f->client));
    assert_false(request_serve(&f->worker, &f->client));
    struct str got = peer_reads(f);
    const char *a = strstr(got.p, "x-request-id: r1"), *b = strstr(got.p, "x-request-id: r2"),
               *c = strstr(got.p, "x-request-id: r3");
    assert_true(a && b && c && a < b && b < c);
    assert_int_equal(f->client.body_left, 0);
    assert_false(f->client.must_close);
}

static unsigned impatient(struct fixture *f)
{
    f->client.wait_ns = NS_PER_SEC;
    return WORKER_TIMEOUT;
}

/* Leaves no trace: neither counted nor answered nor reserved. */
static void a_waiting_request_is_served_later(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char text[512];
    int n = snprintf(text, sizeof(text),
                     "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-api-key: %s\r\n"
                     "content-length: %zu\r\n\r\n",
                     secret, strlen(BODY));
    peer_sends(f, (struct str){text, (size_t)n});
    f->hook = impatient;
    assert_false(request_serve(&f->worker, &f->client));
    assert_true(f->client.waits);
    assert_string_equal(peer_reads(f).p, "");
    assert_int_equal(counted(&f->worker.metrics->requests_total), 0);
    assert_int_equal(client_spool(&f->client, &err), 0);
    struct handover m = {
        .conn = f->client.conn, .fd = dup(f->client.fd), .spool_fd = dup(f->client.spool_fd)};
    assert_int_equal(write(m.spool_fd, BODY, strlen(BODY)), strlen(BODY));
    client_take(&f->client, &m);
    assert_true(request_serve(&f->worker, &f->client));
    assert_true(str_starts(peer_reads(f), STR("HTTP/1.1 200 ")));
    assert_int_equal(calls, 1);
}

static void a_cut_answer_ends_its_connection(void **state)
{
    struct fixture *f = *state;
    bool keeps;
    cuts = true;
    struct str got = ask(f, "POST /v1/chat/completions", "x-api-key: $K", BODY, &keeps);
    assert_false(keeps);
    assert_non_null(strstr(got.p, "data: {\"error\""));
    assert_null(strstr(got.p, "\r\n0\r\n\r\n"));
}

static void nobody_there(void **state)
{
    struct fixture *f = *state;
    close(f->peer);
    assert_false(request_serve(&f->worker, &f->client));
    assert_true(f->client.gone);
    assert_int_equal(counted(&f->worker.metrics->requests_total), 0);
    fixture_peer(f);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        CASE(served),
        CASE(refused_by_authentication),
        CASE(a_key_that_changes),
        CASE(refused_before_the_body),
        CASE(malformed),
        CASE(open_endpoints),
        CASE(request_ids),
        CASE(pipelined_requests_are_served_in_turn),
        CASE(a_waiting_request_is_served_later),
        CASE(a_cut_answer_ends_its_connection),
        CASE(nobody_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Answers as the client sees them, byte by byte. */
#include "answer_head.h"
#include "pipeline_fixture.h"

#define GET "GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n"

static struct request r;
static struct http_head head;

/* The value of an answer's header line; empty when there is none. */
static struct str header_of(struct str answer, const char *name)
{
    static char value[256];
    char line[64];
    snprintf(line, sizeof(line), "\r\n%s: ", name);
    const char *at = strstr(answer.p, line), *end = strstr(answer.p, "\r\n\r\n");
    value[0] = '\0';
    if (at && at < end)
        snprintf(value, sizeof(value), "%.*s", (int)(strstr(at + 2, "\r\n") - at - (long)strlen(line)),
                 at + strlen(line));
    return str_of(value);
}

static const char *body_of(struct str answer)
{
    return strstr(answer.p, "\r\n\r\n") + 4;
}

static void a_whole_answer(void **state)
{
    struct fixture *f = *state;
    fixture_serve_head(f, &r, &head, STR(GET));
    answer_header(&r, "x-one", STR("two"));
    answer_whole(&r, 200, "application/json", STR("{}"));
    struct str got = peer_reads(f);
    assert_true(str_starts(got, STR("HTTP/1.1 200 OK\r\n")));
    assert_string_equal(header_of(got, "content-type").p, "application/json");
    assert_string_equal(header_of(got, "content-length").p, "2");
    assert_string_equal(header_of(got, "x-request-id").p, "req-1");
    assert_string_equal(header_of(got, "x-one").p, "two");
    assert_int_equal(header_of(got, "date").n, 29);
    assert_string_equal(header_of(got, "connection").p, "");
    assert_string_equal(header_of(got, "server").p, "");
    assert_string_equal(body_of(got), "{}");
    assert_false(r.closes);
    assert_int_equal(r.status, 200);
}

static void headers_cannot_be_split(void **state)
{
    struct fixture *f = *state;
    fixture_serve_head(f, &r, &head, STR(GET));
    answer_header(&r, "x-bad", STR("a\r\nx-evil: 1"));
    answer_header(&r, "x bad", STR("a"));
    r.target_model = STR("a\nb");
    answer_begin(&r, 200, STR("text/html\r\nx-evil: 1"));
    answer_end(&r, STR("x"));
    struct str got = peer_reads(f);
    assert_null(strstr(got.p, "evil"));
    assert_null(strstr(got.p, "x bad"));
    assert_string_equal(header_of(got, "content-type").p, "application/octet-stream");
}

static void what_closes_the_connection(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *connection;
    } cases[] = {
        {GET, ""},
        {"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "close"},
        {"GET / HTTP/1.0\r\nhost: a\r\n\r\n", "close"},
        {"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n", "keep-alive"},
        {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nshort", "close"},
        {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nwhole", ""},
        {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", "close"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        close(f->peer);
        fixture_peer(f);
        fixture_serve_head(f, &r, &head, str_of(cases[i].request));
        answer_error(&r, 401, NULL, "no");
        struct str got = peer_reads(f);
        if (!str_eq(header_of(got, "connection"), str_of(cases[i].connection)))
            fail_msg("case %zu: \"%s\"", i, header_of(got, "connection").p);
        assert_int_equal(r.closes, str_eq(str_of(cases[i].connection), STR("close")));
    }
    f->worker.draining = true;
    close(f->peer);
    fixture_peer(f);
    fixture_serve_head(f, &r, &head, STR(GET));
    answer_whole(&r, 200, "text/plain", STR(""));
    assert_string_equal(header_of(peer_reads(f), "connection").p, "close");
}

static void pieces(void **state)
{
    struct fixture *f = *state;
    fixture_serve_head(f, &r, &head, STR(GET));
    answer_begin(&r, 200, STR("text/event-stream"));
    assert_string_equal(peer_reads(f).p, ""); /* the head goes with the first piece */
    assert_int_equal(answer_piece(&r, STR("data: 1\n\n")), 0);
    struct str got = peer_reads(f);
    assert_string_equal(header_of(got, "content-type").p, "text/event-stream; charset=utf-8");
    assert_string_equal(header_of(got, "cache-control").p, "no-cache");
    assert_string_equal(header_of(got, "x-accel-buffering").p, "no");
    assert_string_equal(header_of(got, "transfer-encoding").p, "chunked");
    assert_string_equal(body_of(got), "9\r\ndata: 1\n\n\r\n");
    assert_int_equal(answer_piece(&r, STR_NULL), 0);
    assert_string_equal(peer_reads(f).p, "");
    assert_int_equal(answer_end(&r, STR("data: [DONE]\n\nxxxx")), 0);
    assert_string_equal(peer_reads(f).p, "12\r\ndata: [DONE]\n\nxxxx\r\n0\r\n\r\n");
    assert_false(r.closes);
}

static void an_old_client_reads_until_the_end(void **state)
{
    struct fixture *f = *state;
    fixture_serve_head(f, &r, &head, STR("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n"));
    answer_begin(&r, 200, STR("text/plain"));
    answer_piece(&r, STR("one"));
    answer_end(&r, STR("two"));
    struct str got = peer_reads(f);
    assert_string_equal(header_of(got, "transfer-encoding").p, "");
    assert_string_equal(header_of(got, "connection").p, "close");
    assert_string_equal(body_of(got), "onetwo");
    assert_true(r.closes);
}

static void answers_without_a_body(void **state)
{
    struct fixture *f = *state;
    fixture_serve_head(f, &r, &head, STR("HEAD /healthz HTTP/1.1\r\nhost: a\r\n\r\n"));
    answer_whole(&r, 200, "text/plain", STR("hello"));
    struct str got = peer_reads(f);
    assert_string_equal(header_of(got, "content-length").p, "5");
    assert_string_equal(body_of(got), "");
    client_next(&f->client);
    fixture_serve_head(f, &r, &head, STR(GET));
    answer_begin(&r, 204, STR("text/plain"));
    answer_end(&r, STR("stray"));
    got = peer_reads(f);
    assert_null(strstr(got.p, "chunked"));
    assert_null(strstr(got.p, "content-"));
    assert_string_equal(body_of(got), "");
}

static void a_cut_answer_never_ends_properly(void **state)
{
    struct fixture *f = *state;
    struct failure fail = {.status = 502, .message = STR("cut")};
    fixture_serve_head(f, &r, &head, STR(GET));
    answer_begin(&r, 200, STR("text/event-stream"));
    answer_piece(&r, STR("data: 1\n\n"));
    peer_reads(f);
    answer_break(&r, &fail, answer_error_event(&r, &fail));
    struct str got = peer_reads(f);
    assert_non_null(strstr(got.p, "data: {\"error\":{\"message\":\"cut\""));
    assert_null(strstr(got.p, "0\r\n\r\n"));
    assert_true(r.failed_midway && r.closes && (r.flags & USAGE_CUT));
    /* an error after the head is never a second answer */
    answer_error(&r, 500, NULL, "again");
    assert_string_equal(peer_reads(f).p, "");
}

static void a_break_before_the_first_byte_is_a_proper_error(void **state)
{
    struct fixture *f = *state;
    struct failure fail = {.status = 504, .message = STR("late")};
    fixture_serve_head(f, &r, &head, STR(GET));
    answer_begin(&r, 200, STR("text/event-stream"));
    answer_break(&r, &fail, answer_error_event(&r, &fail));
    struct str got = peer_reads(f);
    assert_true(str_starts(got, STR("HTTP/1.1 504 ")));
    assert_string_equal(header_of(got, "content-type").p, "application/json");
    assert_string_equal(header_of(got, "cache-control").p, "");
    assert_false(r.closes);
}

static void retry_after(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int status;
        int64_t ms;
        const char *seconds, *millis;
    } cases[] = {
        {429, 1500, "2", "1500"},
        {429, 1, "1", "1"},
        {503, 0, "1", "1000"},
        {500, 900, "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct failure fail = {.status = cases[i].status, .retry_after_ms = cases[i].ms, .message = STR("m")};
        fixture_serve_head(f, &r, &head, STR(GET));
        answer_failure(&r, &fail);
        struct str got = peer_reads(f);
        assert_string_equal(header_of(got, "retry-after").p, cases[i].seconds);
        assert_string_equal(header_of(got, "retry-after-ms").p, cases[i].millis);
        client_next(&f->client);
    }
}

/* Of key and team the one that will stop the caller first. */
static void limit_headers(void **state)
{
    struct fixture *f = *state;
    fixture_serve_head(f, &r, &head, STR(GET));
    struct shm_slot slot;
    r.by_key.slot = r.by_team.slot = &slot;
    r.key.limits = (struct key_limits){.rpm = 100, .tpm = 5000};
    r.team.limits = (struct key_limits){.rpd = 9000, .tpm = 900};
    r.by_key.rpm_seen = (struct limit_result){.remaining = 99, .reset_ns = 600 * NS_PER_MS};
    r.by_key.tpm_seen = (struct limit_result){.remaining = 4000, .reset_ns = 12 * NS_PER_SEC};
    r.by_team.rpd_seen = (struct limit_result){.remaining = 8000, .reset_ns = 86399 * NS_PER_SEC};
    r.by_team.tpm_seen = (struct limit_result){.remaining = 7, .reset_ns = 59999 * NS_PER_MS};
    answer_whole(&r, 200, "text/plain", STR(""));
    struct str got = peer_reads(f);
    assert_string_equal(header_of(got, "x-ratelimit-limit-requests").p, "100");
    assert_string_equal(header_of(got, "x-ratelimit-remaining-requests").p, "99");
    assert_string_equal(header_of(got, "x-ratelimit-reset-requests").p, "600ms");
    assert_string_equal(header_of(got, "x-ratelimit-limit-tokens").p, "900");
    assert_string_equal(header_of(got, "x-ratelimit-remaining-tokens").p, "7");
    assert_string_equal(header_of(got, "x-ratelimit-reset-tokens").p, "1m0s");
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } durations[] = {
        {0, "0s"},
        {-5, "0s"},
        {1, "1ms"},
        {120 * NS_PER_MS, "120ms"},
        {999 * NS_PER_MS + 1, "1s"},
        {NS_PER_SEC, "1s"},
        {59 * NS_PER_SEC, "59s"},
        {360 * NS_PER_SEC, "6m0s"},
        {3600 * NS_PER_SEC, "1h0m0s"},
        {86399 * NS_PER_SEC, "23h59m59s"},
    };
    static const struct {
        uint64_t pico;
        const char *text;
    } prices[] = {
        {0, "0"},
        {1, "0.000000000001"},
        {UINT64_C(1500000000000), "1.5"},
        {UINT64_C(42000000), "0.000042"},
        {UINT64_C(7000000000000), "7"},
        {UINT64_MAX, "18446744.073709551615"},
    };
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        char room[64];
        struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
        answer_put_duration(&b, durations[i].ns);
        if (!str_eq(buf_str(&b), str_of(durations[i].text)))
            fail_msg("duration %zu: " STR_FMT, i, STR_ARG(buf_str(&b)));
    }
    for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++) {
        char room[64];
        struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
        answer_put_usd(&b, prices[i].pico);
        if (!str_eq(buf_str(&b), str_of(prices[i].text)))
            fail_msg("price %zu: " STR_FMT, i, STR_ARG(buf_str(&b)));
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)
    const struct CMUnitTest tests[] = {
        CASE(a_whole_answer),
        CASE(headers_cannot_be_split),
        CASE(what_closes_the_connection),
        CASE(pieces),
        CASE(an_old_client_reads_until_the_end),
        CASE(answers_without_a_body),
        CASE(a_cut_answer_never_ends_properly),
        CASE(a_break_before_the_first_byte_is_a_proper_error),
        CASE(retry_after),
        CASE(limit_headers),
        CASE(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

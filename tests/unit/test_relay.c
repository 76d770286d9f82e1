/* From a provider's answer to the client's: what passes, what is kept back, what is told when it breaks off,
 * and what is metered. The provider is the built-in one, which plays recorded answers. */
#include "log.h"
#include "pipeline_fixture.h"
#include "ring.h"
#include "secret.h"
#include "upstream.h"

static struct request r;
static struct http_head head;
static struct conf_provider *virtual_one, *openai_two;
static char stored[65536]; /* what was handed to the cache */
static size_t stored_n;

void request_cache_store(struct request *req, struct str answer)
{
    (void)req;
    stored_n = answer.n < sizeof(stored) ? answer.n : sizeof(stored);
    memcpy(stored, answer.p, stored_n);
}

static unsigned ready(struct fixture *f)
{
    (void)f;
    return WORKER_READY;
}

static unsigned gone(struct fixture *f)
{
    (void)f;
    return WORKER_CLIENT_GONE;
}

static void prepare(struct fixture *f, const char *path, const char *body)
{
    static char text[256];
    close(f->peer);
    fixture_peer(f);
    arena_reset(&f->worker.arena);
    f->conf.timeouts =
        (struct conf_timeouts){.connect = 1000, .first_byte = 1000, .idle = 1000, .total = 10000};
    f->conf.cache.max_entry = 65536;
    f->hook = ready;
    stored_n = 0;
    virtual_one = &f->conf.providers[0];
    openai_two = &f->conf.providers[1];
    virtual_one->virt = (struct conf_virtual){.chunks = 4, .chunk_bytes = 8, .replay = f->folder};
    virtual_one->timeouts = (struct conf_timeouts){0};
    upstreams_free(&f->worker.upstreams);
    f->worker.upstreams = upstreams_new(&f->worker);
    int n = snprintf(text, sizeof(text),
                     "POST %s HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\r\n", path);
    fixture_serve_head(f, &r, &head, (struct str){text, (size_t)n});
    r.body = str_of(body);
    r.model = STR("small");
    r.route = &f->conf.models[0];
    r.targets[0].provider = 0;
    r.targets[0].model = STR("tiny");
    r.n_targets = 1;
    r.prompt_estimate = 7;
}

static void record(struct fixture *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* What the client got. */
struct seen {
    struct http_head head;
    char body[65536];
    size_t n;
    bool ended; /* properly */
};

static void look(struct fixture *f, struct seen *s)
{
    struct str out = peer_reads(f), data;
    struct http_refusal why;
    *s = (struct seen){.n = 0};
    assert_int_equal(http_parse_response(out, false, &s->head, &why), 1);
    out = (struct str){out.p + s->head.length, out.n - s->head.length};
    if (s->head.body != HTTP_BODY_CHUNKED) {
        memcpy(s->body, out.p, out.n);
        s->n = out.n;
        s->ended = out.n == s->head.content_length;
        return;
    }
    struct http_chunked c = {0};
    while (out.n > 0 && !c.done) {
        ssize_t k = http_chunked_read(&c, out, &data);
        assert_true(k > 0);
        if (data.n > 0)
            memcpy(s->body + s->n, data.p, data.n);
        s->n += data.n;
        out = (struct str){out.p + k, out.n - (size_t)k};
    }
    s->ended = c.done;
}

static bool has_header(const struct seen *s, const char *name, const char *value)
{
    struct str v;
    return http_find(&s->head, name, &v) && str_eq(v, str_of(value));
}

static struct seen attempt(struct fixture *f)
{
    struct seen s;
    assert_int_equal(request_attempt(&r), STEP_DONE);
    request_settle(&r);
    request_record(&r);
    look(f, &s);
    return s;
}

static const struct usage_row *last_row(struct fixture *f)
{
    uint64_t n = ring_head(&f->worker.segment, f->worker.slot);
    assert_true(n > 0);
    ring_set_tail(&f->worker.segment, f->worker.slot, n - 1);
    return ring_peek(&f->worker.segment, f->worker.slot, n - 1);
}

#define CHUNK(delta, rest) "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta "}]" rest "}\n\n"
#define USAGE_CHUNK                                                                                          \
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":5,"            \
    "\"prompt_tokens_details\":{\"cached_tokens\":3},\"completion_tokens_details\":{\"reasoning_tokens\":2}" \
    "}}\n\n"
#define DONE "data: [DONE]\n\n"
#define CHAT "{\"model\":\"small\",\"stream\":true,\"messages\":[]}"

static void assert_body(const struct seen *s, const char *text)
{
    if (s->n != strlen(text) || memcmp(s->body, text, s->n) != 0)
        fail_msg("got: %.*s\nwanted: %s", (int)s->n, s->body, text);
}

/* ---- streams */

static void a_stream_passes_as_it_is(void **state)
{
    struct fixture *f = *state;
    const char *text = ": hello\n\n" CHUNK(
        "{\"role\":\"assistant\",\"content\":\"a\"}",
        ",\"usage\":null") "event: x\r\nid: 7\r\ndata: {\"y\":1}\r\n\r\n" USAGE_CHUNK DONE;
    prepare(f, "/v1/chat/completions", CHAT);
    record(f, "tiny.sse", text);
    r.stream = r.wants_usage = true;
    struct seen s = attempt(f);
    assert_body(&s, text);
    assert_true(s.ended);
    assert_true(has_header(&s, "content-type", "text/event-stream; charset=utf-8"));
    assert_true(has_header(&s, "x-aigw-provider", "one"));
    const struct usage_row *u = last_row(f);
    assert_int_equal(u->status, 200);
    assert_int_equal(u->tokens.input, 11);
    assert_int_equal(u->tokens.cached, 3);
    assert_int_equal(u->tokens.output, 5);
    assert_int_equal(u->tokens.reasoning, 2);
    assert_int_equal(u->flags, USAGE_STREAMED);
    assert_true(u->cost_pico > 0);
    assert_string_equal(u->target, "tiny");
}

/* Usage that we asked for and the client did not. */
static void usage_not_asked_for_is_kept_back(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}", ",\"usage\":null"),
         CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}", "")},
        {"data: {\"usage\":null,\"choices\":[]}\n\n", "data: {\"choices\":[]}\n\n"},
        {"data: {\"choices\": [], \"usage\": null}\n\n", "data: {\"choices\": []}\n\n"},
        {"data: {\"usage\" : null , \"choices\":[]}\n\n", "data: { \"choices\":[]}\n\n"},
        {"data: {\"usage\":null}\n\n", "data: {\"usage\":null}\n\n"},
        {CHUNK("{\"role\":\"assistant\",\"content\":\",\\\"usage\\\":null\"}", ""),
         CHUNK("{\"role\":\"assistant\",\"content\":\",\\\"usage\\\":null\"}", "")},
        {"data: {\"choices\":[],\"usage\":\"x\"}\n\n", "data: {\"choices\":[],\"usage\":\"x\"}\n\n"},
        /* usage beside a choice is part of the answer of those who send it so */
        {CHUNK("{\"role\":\"assistant\"}", ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}"),
         CHUNK("{\"role\":\"assistant\"}", ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}")},
        {": ping\n\n", ": ping\n\n"},
    };
    char in[2048], want[2048];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        prepare(f, "/v1/chat/completions", CHAT);
        snprintf(in, sizeof(in), "%s%s%s", cases[i][0],
                 CHUNK("{\"role\":\"assistant\",\"content\":\"b\"}", ",\"usage\":null"), USAGE_CHUNK DONE);
        snprintf(want, sizeof(want), "%s%s%s", cases[i][1],
                 CHUNK("{\"role\":\"assistant\",\"content\":\"b\"}", ""), DONE);
        record(f, "tiny.sse", in);
        r.stream = true;
        struct seen s = attempt(f);
        assert_body(&s, want);
        assert_true(s.ended);
        assert_int_equal(last_row(f)->tokens.output, 5);
    }
}

static void a_stream_that_breaks_off_says_so(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions", CHAT);
    record(f, "tiny.sse",
           CHUNK("{\"role\":\"assistant\",\"content\":\"12345678\"}", "")
               CHUNK("{\"role\":\"assistant\",\"content\":\"1234\"}", ""));
    r.stream = r.wants_usage = true;
    struct seen s = attempt(f);
    assert_false(s.ended);
    assert_true(str_starts((struct str){s.body, s.n},
                           STR(CHUNK("{\"role\":\"assistant\",\"content\":\"12345678\"}", ""))));
    s.body[s.n] = '\0';
    assert_non_null(strstr(s.body, "\"code\":\"upstream_cut\""));
    assert_null(strstr(s.body, "[DONE]"));
    assert_true(r.failed_midway);
    const struct usage_row *u = last_row(f);
    assert_int_equal(u->flags, USAGE_STREAMED | USAGE_CUT | USAGE_ESTIMATED);
    assert_int_equal(u->tokens.input, 7);
    assert_int_equal(u->tokens.output, 3);
}

/* Nothing is missing behind "[DONE]" but an empty line. */
static void a_last_event_needs_no_empty_line(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *end;
        bool whole;
    } cases[] = {{"data: [DONE]\n", true}, {"data: [DONE]", true},   {"data:[DONE]\r\n", true},
                 {"data: [DONE", false},   {"data: [DONE]x", false}, {": x\ndata: [DON", false}};
    char in[1024];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        prepare(f, "/v1/chat/completions", CHAT);
        snprintf(in, sizeof(in), "%s%s", CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}", "") USAGE_CHUNK,
                 cases[i].end);
        record(f, "tiny.sse", in);
        r.stream = r.wants_usage = true;
        struct seen s = attempt(f);
        s.body[s.n] = '\0';
        assert_int_equal(s.ended, cases[i].whole);
        assert_int_equal(strstr(s.body, "[DONE]") != NULL, cases[i].whole);
        assert_int_equal(str_ends((struct str){s.body, s.n}, STR("\n\n")), true);
        assert_int_equal(last_row(f)->flags, cases[i].whole ? USAGE_STREAMED : USAGE_STREAMED | USAGE_CUT);
    }
}

static void a_stream_cut_inside_an_event_sends_none_of_it(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions", CHAT);
    record(f, "tiny.sse", CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}", "") "data: {\"id\":\"half");
    r.stream = r.wants_usage = true;
    struct seen s = attempt(f);
    s.body[s.n] = '\0';
    assert_false(s.ended);
    assert_null(strstr(s.body, "half"));
    assert_non_null(strstr(s.body, "upstream_cut"));
}

static void a_stream_without_any_event_is_an_error(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions", CHAT);
    record(f, "tiny.sse", "\n");
    r.stream = true;
    struct seen s = attempt(f);
    s.body[s.n] = '\0';
    assert_int_equal(s.head.status, 502);
    assert_true(s.ended);
    assert_non_null(strstr(s.body, "\"code\":\"upstream_cut\""));
    assert_int_equal(last_row(f)->tokens.input, 0);
}

static void an_error_event_ends_a_stream(void **state)
{
    struct fixture *f = *state;
    const char *error =
        "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":\"busy\"}}\n\n";
    char text[1024];
    prepare(f, "/v1/chat/completions", CHAT);
    record(f, "tiny.sse", error);
    r.stream = true;
    struct seen s = attempt(f);
    s.body[s.n] = '\0';
    assert_int_equal(s.head.status, 502); /* nothing had been sent */
    assert_non_null(strstr(s.body, "\"message\":\"overloaded\""));
    assert_non_null(strstr(s.body, "\"code\":\"busy\""));

    prepare(f, "/v1/chat/completions", CHAT);
    virtual_one->virt.chunk_ms = 1; /* so that the first event is sent before the error comes */
    snprintf(text, sizeof(text), "%s%s%s", CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}", ""), error,
             DONE);
    record(f, "tiny.sse", text);
    r.stream = true;
    s = attempt(f);
    snprintf(text, sizeof(text), "%s%s", CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}", ""), error);
    assert_body(&s, text);
    assert_false(s.ended);
    assert_true(last_row(f)->flags & USAGE_CUT);
}

/* A stream whose provider, whose credential is `key`, tells of an error. */
static struct seen error_event_of(struct fixture *f, const char *key, const char *message)
{
    struct error err;
    char text[1024];
    setenv("TEST_RELAY_KEY", key, 1);
    assert_int_equal(secret_init(&err), 0);
    secret_begin();
    assert_int_equal(secret_from_env("one", "TEST_RELAY_KEY", &err), 0);
    secret_commit();
    prepare(f, "/v1/chat/completions", CHAT);
    virtual_one->virt.chunk_ms = 1;
    snprintf(text, sizeof(text), "%sdata: {\"error\":{\"message\":\"%s\",\"type\":\"t\"}}\n\n",
             CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}", ""), message);
    record(f, "tiny.sse", text);
    r.stream = true;
    struct seen s = attempt(f);
    s.body[s.n] = '\0';
    secret_begin();
    secret_commit();
    return s;
}

static void an_error_event_does_not_tell_the_credential(void **state)
{
    struct seen s = error_event_of(*state, "sk-0123456789abcdef", "bad key sk-0123456789abcdef, sorry");
    assert_int_equal(s.head.status, 200);
    assert_null(strstr(s.body, "0123456789"));
    assert_non_null(strstr(s.body, "bad key [redacted], sorry"));
    assert_false(s.ended);
}

/* What a test's provider takes for a key is a part of many words. */
static void what_is_too_short_for_a_credential_is_a_word(void **state)
{
    struct seen s = error_event_of(*state, "token", "more than 77 tokens");
    assert_non_null(strstr(s.body, "more than 77 tokens"));
}

static void a_client_that_leaves_pays_for_what_came(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions", CHAT);
    virtual_one->virt.chunk_ms = 60000;
    record(f, "tiny.sse", CHUNK("{\"role\":\"assistant\",\"content\":\"12345678\"}", "") DONE);
    r.stream = true;
    f->hook = gone;
    assert_int_equal(request_attempt(&r), STEP_DONE);
    request_settle(&r);
    request_record(&r);
    const struct usage_row *u = last_row(f);
    assert_int_equal(u->flags, USAGE_STREAMED | USAGE_CLIENT_GONE | USAGE_ESTIMATED);
    assert_int_equal(u->tokens.input, 7);
    assert_int_equal(u->tokens.output, 2);
    assert_true(f->client.gone);
}

static void responses_end_with_their_own_event(void **state)
{
    struct fixture *f = *state;
    const char *text =
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\n"
        "event: response.output_text.delta\ndata: "
        "{\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n"
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":"
        "{\"input_tokens\":9,\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":1}}}}\n\n";
    prepare(f, "/v1/responses", "{\"model\":\"small\",\"stream\":true,\"input\":\"x\"}");
    record(f, "tiny.sse", text);
    r.stream = true;
    struct seen s = attempt(f);
    assert_body(&s, text);
    assert_true(s.ended);
    const struct usage_row *u = last_row(f);
    assert_int_equal(u->tokens.input, 9);
    assert_int_equal(u->tokens.output, 4);
    assert_int_equal(u->tokens.reasoning, 1);
}

/* ---- whole answers */

#define WHOLE                                                                                          \
    "{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"hi\"}}],\"new_member\":[1.0]," \
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"

static void a_whole_answer_passes_as_it_is(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions", "{\"model\":\"small\",\"messages\":[]}");
    record(f, "tiny.json", WHOLE);
    r.cache_store = true;
    struct seen s = attempt(f);
    assert_body(&s, WHOLE);
    assert_true(has_header(&s, "content-type", "application/json"));
    assert_true(has_header(&s, "x-aigw-cost-usd", "0.000000012"));
    const struct usage_row *u = last_row(f);
    assert_int_equal(u->tokens.input, 20);
    assert_int_equal(u->tokens.output, 10);
    assert_int_equal(u->flags, 0);
    assert_int_equal(stored_n, strlen(WHOLE));
    assert_memory_equal(stored, WHOLE, stored_n);
}

static void a_success_that_is_none_is_told(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *message, *code;
    } cases[] = {
        {"<html>Bad gateway</html>", "no valid JSON", "upstream_malformed"},
        {"{\"choices\":[}", "no valid JSON", "upstream_malformed"},
        {"", "no valid JSON", "upstream_malformed"},
        {"{\"error\":{\"message\":\"out of stock\",\"code\":\"empty\"}}", "out of stock", "empty"},
        {"{\"error\":\"no such model\"}", "no such model", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        prepare(f, "/v1/chat/completions", "{\"model\":\"small\",\"messages\":[]}");
        record(f, "tiny.json", cases[i].body);
        r.cache_store = true;
        struct seen s = attempt(f);
        s.body[s.n] = '\0';
        assert_int_equal(s.head.status, 502);
        assert_non_null(strstr(s.body, cases[i].message));
        assert_non_null(strstr(s.body, cases[i].code ? cases[i].code : "\"code\":null"));
        assert_int_equal(stored_n, 0);
    }
}

static void an_answer_that_tells_no_usage_is_estimated(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions", "{\"model\":\"small\",\"messages\":[]}");
    record(f, "tiny.json", "{\"choices\":[]}");
    attempt(f);
    const struct usage_row *u = last_row(f);
    assert_int_equal(u->flags, USAGE_ESTIMATED);
    assert_int_equal(u->tokens.input, 7);
    assert_int_equal(u->tokens.output, 4);
}

/* ---- errors */

static void error_statuses_are_passed_on_or_made_ours(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t provider;
        int client;
        const char *code;
    } cases[] = {
        {400, 400, "virtual_failure"},     {404, 404, "virtual_failure"}, {422, 422, "virtual_failure"},
        {429, 429, "rate_limit_exceeded"}, {500, 500, "virtual_failure"}, {503, 503, "virtual_failure"},
        {529, 503, "virtual_failure"},     {599, 502, "virtual_failure"}, {401, 401, "virtual_failure"},
        {402, 402, "virtual_failure"},     {403, 403, "virtual_failure"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        prepare(f, "/v1/chat/completions", "{\"model\":\"small\",\"messages\":[]}");
        virtual_one->virt.error_permille = 1000;
        virtual_one->virt.error_status = cases[i].provider;
        struct seen s = attempt(f);
        s.body[s.n] = '\0';
        assert_int_equal(s.head.status, cases[i].client);
        assert_non_null(strstr(s.body, cases[i].code));
        assert_int_equal(strstr(s.body, "told to fail") != NULL, cases[i].code[0] != 'u');
        struct str v;
        assert_int_equal(http_find(&s.head, "retry-after", &v),
                         cases[i].client == 429 || cases[i].client == 503);
        assert_true(http_find(&s.head, "x-aigw-upstream-request-id", &v));
        assert_int_equal(last_row(f)->tokens.input, 0);
        assert_int_equal(last_row(f)->cost_pico, 0);
    }
}

static void each_timeout_has_its_own_error(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions", "{\"model\":\"small\",\"messages\":[]}");
    virtual_one->virt.hang_permille = 1000;
    virtual_one->timeouts.first_byte = 5;
    f->hook = NULL;
    struct seen s = attempt(f);
    s.body[s.n] = '\0';
    assert_int_equal(s.head.status, 504);
    assert_non_null(strstr(s.body, "upstream_first_byte_timeout"));

    prepare(f, "/v1/chat/completions", "{\"model\":\"small\",\"messages\":[]}");
    virtual_one->virt.hang_permille = 1000;
    r.deadline_ns = clock_mono_ns() + 5 * NS_PER_MS; /* x-aigw-timeout-ms */
    f->hook = NULL;
    s = attempt(f);
    s.body[s.n] = '\0';
    assert_int_equal(s.head.status, 504);
    assert_non_null(strstr(s.body, "upstream_total_timeout"));

    prepare(f, "/v1/chat/completions", CHAT);
    virtual_one->virt.chunk_ms = 60000;
    virtual_one->timeouts.idle = 5;
    record(f, "tiny.sse", CHUNK("{\"role\":\"assistant\",\"content\":\"12345678\"}", "") DONE);
    r.stream = true;
    f->hook = NULL;
    s = attempt(f);
    s.body[s.n] = '\0';
    assert_int_equal(s.head.status, 200);
    assert_false(s.ended);
    assert_non_null(strstr(s.body, "upstream_idle_timeout"));
    assert_true(last_row(f)->flags & USAGE_CUT);
}

static int closed_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* A provider that can't be reached has done nothing: the next one is asked, and a caller pays nothing. */
static void the_next_target_is_tried_when_nothing_was_sent(void **state)
{
    struct fixture *f = *state;
    static char base[64];
    prepare(f, "/v1/chat/completions", "{\"model\":\"small\",\"messages\":[]}");
    snprintf(base, sizeof(base), "http://127.0.0.1:%d/v1", closed_port());
    openai_two->base_url = base;
    upstreams_free(&f->worker.upstreams);
    f->worker.upstreams = upstreams_new(&f->worker);
    record(f, "tiny.json", WHOLE);
    r.targets[0].provider = 1;
    r.targets[1] = r.targets[0];
    r.targets[1].provider = 0;
    r.n_targets = 2;
    struct seen s = attempt(f);
    assert_body(&s, WHOLE);
    assert_true(has_header(&s, "x-aigw-attempts", "2"));
    assert_string_equal(last_row(f)->provider, "one");
    assert_int_equal(last_row(f)->attempts, 2);

    uint64_t rows = ring_head(&f->worker.segment, f->worker.slot);
    close(f->peer);
    fixture_peer(f);
    fixture_serve_head(f, &r, &head, STR("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n\r\n"));
    r.body = STR("{}");
    r.targets[0].provider = 1;
    r.n_targets = 1;
    s = attempt(f);
    s.body[s.n] = '\0';
    assert_int_equal(s.head.status, 502);
    assert_non_null(strstr(s.body, "upstream_connect_failed"));
    assert_false(r.upstream_called);
    assert_int_equal(ring_head(&f->worker.segment, f->worker.slot), rows);
}

static void a_full_provider_is_told(void **state)
{
    struct fixture *f = *state;
    prepare(f, "/v1/chat/completions", "{\"model\":\"small\",\"messages\":[]}");
    r.n_targets = 0;
    struct seen s = attempt(f);
    assert_int_equal(s.head.status, 503);
}

static int down(void **state)
{
    upstreams_free(&fx.worker.upstreams);
    return fixture_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stream_passes_as_it_is, fixture_up, down),
        cmocka_unit_test_setup_teardown(usage_not_asked_for_is_kept_back, fixture_up, down),
        cmocka_unit_test_setup_teardown(a_stream_that_breaks_off_says_so, fixture_up, down),
        cmocka_unit_test_setup_teardown(a_last_event_needs_no_empty_line, fixture_up, down),
        cmocka_unit_test_setup_teardown(a_stream_cut_inside_an_event_sends_none_of_it, fixture_up, down),
        cmocka_unit_test_setup_teardown(a_stream_without_any_event_is_an_error, fixture_up, down),
        cmocka_unit_test_setup_teardown(an_error_event_ends_a_stream, fixture_up, down),
        cmocka_unit_test_setup_teardown(an_error_event_does_not_tell_the_credential, fixture_up, down),
        cmocka_unit_test_setup_teardown(what_is_too_short_for_a_credential_is_a_word, fixture_up, down),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_pays_for_what_came, fixture_up, down),
        cmocka_unit_test_setup_teardown(responses_end_with_their_own_event, fixture_up, down),
        cmocka_unit_test_setup_teardown(a_whole_answer_passes_as_it_is, fixture_up, down),
        cmocka_unit_test_setup_teardown(a_success_that_is_none_is_told, fixture_up, down),
        cmocka_unit_test_setup_teardown(an_answer_that_tells_no_usage_is_estimated, fixture_up, down),
        cmocka_unit_test_setup_teardown(error_statuses_are_passed_on_or_made_ours, fixture_up, down),
        cmocka_unit_test_setup_teardown(each_timeout_has_its_own_error, fixture_up, down),
        cmocka_unit_test_setup_teardown(the_next_target_is_tried_when_nothing_was_sent, fixture_up, down),
        cmocka_unit_test_setup_teardown(a_full_provider_is_told, fixture_up, down),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

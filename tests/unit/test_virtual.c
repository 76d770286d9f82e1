/* The built-in provider: valid answers on every endpoint, deterministic, as its settings say. */
#include "virtual.h"

#include "http.h"
#include "sse.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct conf_virtual conf;
static struct virtual_script script;

struct answer {
    struct http_head head;
    char body[1 << 18];
    size_t n;
    bool whole;
};

static struct answer a;

static int up(void **state)
{
    (void)state;
    conf = (struct conf_virtual){.chunks = 4, .chunk_bytes = 16};
    virtual_script_init(&script);
    return 0;
}

static int down(void **state)
{
    (void)state;
    virtual_script_free(&script);
    return 0;
}

static void read_body(struct str text)
{
    struct http_chunked c = {0};
    struct str data;
    if (a.head.body != HTTP_BODY_CHUNKED) {
        assert_true(text.n <= sizeof(a.body));
        memcpy(a.body, text.p, text.n);
        a.n = text.n;
        a.whole = a.n == a.head.content_length;
        return;
    }
    while (text.n > 0 && !c.done) {
        ssize_t k = http_chunked_read(&c, text, &data);
        assert_true(k > 0);
        if (data.n > 0)
            memcpy(a.body + a.n, data.p, data.n);
        a.n += data.n;
        text = (struct str){text.p + k, text.n - (size_t)k};
    }
    a.whole = c.done && text.n == 0;
}

static void ask_as(const char *method, const char *path, const char *type, const char *body)
{
    struct http_refusal why;
    struct virtual_call call = {
        .method = str_of(method), .path = str_of(path), .content_type = str_of(type), .body = str_of(body)};
    virtual_script_free(&script);
    virtual_script_init(&script);
    virtual_answer(&conf, &call, &script);
    a.n = 0;
    a.whole = false;
    if (script.text.n == 0)
        return;
    assert_int_equal(http_parse_response(buf_str(&script.text), false, &a.head, &why), 1);
    read_body((struct str){script.text.p + a.head.length, script.text.n - a.head.length});
    a.body[a.n] = '\0';
}

static void ask(const char *path, const char *body)
{
    ask_as("POST", path, "application/json", body);
}

/* A member of the whole JSON answer; the text must be valid. */
static struct json_value member(const char *path)
{
    struct json_value v;
    struct error err;
    const char *const paths[] = {path};
    if (json_scan((struct str){a.body, a.n}, paths, 1, &v, &err) != 0)
        fail_msg("%s in %.*s", err.text, (int)a.n, a.body);
    return v;
}

static int64_t number(const char *path)
{
    int64_t n;
    assert_int_equal(json_int(member(path), &n), 0);
    return n;
}

#define PROMPT                                                                                              \
    "\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":" \
    "\"Hi \\u00e9!\"}]"

static void chat_answers(void **state)
{
    (void)state;
    ask("/chat/completions", "{" PROMPT "}");
    assert_int_equal(a.head.status, 200);
    assert_true(a.whole);
    assert_true(str_eq(member("object").raw, STR("\"chat.completion\"")));
    assert_true(str_eq(member("model").raw, STR("\"m\"")));
    assert_non_null(strstr(a.body, "You said: Hi \xc3\xa9!."));
    assert_int_equal(number("usage.completion_tokens"), 16);
    assert_int_equal(number("usage.total_tokens"), number("usage.prompt_tokens") + 16);
    assert_non_null(strstr(a.body, "\"finish_reason\":\"stop\""));
    ask("/chat/completions", "{" PROMPT ",\"max_tokens\":3,\"n\":2}");
    assert_int_equal(member("choices").count, 2);
    assert_int_equal(number("usage.completion_tokens"), 6);
    assert_non_null(strstr(a.body, "\"finish_reason\":\"length\""));
    ask("/chat/completions", "{\"model\":\"m\",\"messages\":[]}");
    assert_int_equal(a.head.status, 400);
    assert_int_equal(member("error").type, JSON_OBJECT);
    ask("/chat/completions", "{");
    assert_int_equal(a.head.status, 400);
}

static void equal_requests_get_equal_bytes(void **state)
{
    (void)state;
    static char first[8192];
    ask("/chat/completions", "{" PROMPT ",\"stream\":true}");
    size_t n = script.text.n;
    assert_true(n < sizeof(first));
    memcpy(first, script.text.p, n);
    ask("/chat/completions", "{" PROMPT ",\"stream\":true,\"seed\":1}");
    assert_true(script.text.n != n || memcmp(first, script.text.p, n) != 0);
    ask("/chat/completions", "{" PROMPT ",\"stream\":true}");
    assert_int_equal(script.text.n, n);
    assert_memory_equal(first, script.text.p, n);
}

/* The content of all deltas, joined, in `to`; how many events had usage (not null). */
static unsigned stream_text(char *to, size_t size, bool *done)
{
    static const char *const paths[] = {"choices", "usage"};
    struct sse_reader r;
    struct sse_event ev;
    struct json_value v[2];
    struct buf out = {.p = to, .cap = size, .max = size};
    struct arena arena;
    unsigned usages = 0;
    *done = false;
    arena_init(&arena);
    sse_init(&r);
    assert_int_equal(sse_feed(&r, (struct str){a.body, a.n}), 0);
    while (sse_next(&r, &ev) == 1) {
        *done = str_eq(ev.data, STR("[DONE]"));
        if (*done)
            break;
        assert_int_equal(json_scan(ev.data, paths, 2, v, NULL), 0);
        usages += v[1].type == JSON_OBJECT;
        static const char *const delta[] = {"delta.content", "text"};
        struct json_value choice, text[2];
        for (size_t at = 0; json_next(v[0].raw, &at, NULL, &choice);)
            if (json_scan(choice.raw, delta, 2, text, NULL) == 0)
                for (int i = 0; i < 2; i++)
                    if (text[i].type == JSON_STRING)
                        buf_add(&out, json_text(text[i], &arena));
    }
    assert_int_equal(sse_pending(&r), 0);
    to[out.n] = '\0';
    sse_free(&r);
    arena_fini(&arena);
    return usages;
}

static void a_stream_says_what_a_whole_answer_says(void **state)
{
    (void)state;
    char text[1024];
    bool done;
    static const char *const paths[] = {"/chat/completions", "/completions"};
    for (size_t i = 0; i < 2; i++) {
        ask(paths[i], "{" PROMPT ",\"prompt\":\"Hi there\",\"stream\":true}");
        assert_true(a.whole);
        assert_int_equal(stream_text(text, sizeof(text), &done), 0);
        assert_true(done);
        assert_int_equal(strlen(text), 64);
        assert_true(strncmp(text, "You said: Hi ", 13) == 0);
        assert_null(strstr(a.body, "usage"));
        ask(paths[i],
            "{" PROMPT
            ",\"prompt\":\"Hi there\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
        assert_int_equal(stream_text(text, sizeof(text), &done), 1);
        assert_non_null(strstr(a.body, "\"usage\":null"));
    }
}

static void pieces_come_at_the_set_pace(void **state)
{
    (void)state;
    const struct virtual_piece *p;
    conf.latency_ms = 100;
    conf.chunk_ms = 10;
    ask("/chat/completions", "{" PROMPT ",\"stream\":true}");
    size_t n = virtual_pieces(&script, &p);
    assert_int_equal(n, 1 + 1 + 4 + 1 + 1); /* head, role, text, finish, [DONE] */
    assert_int_equal(p[0].at_ms, 100);
    for (size_t i = 1; i < n; i++) {
        assert_int_equal(p[i].at_ms, 100 + (i - 1) * 10);
        assert_true(p[i].end > p[i - 1].end);
    }
    assert_int_equal(p[n - 1].end, script.text.n);
    ask("/chat/completions", "{" PROMPT "}");
    assert_int_equal(virtual_pieces(&script, &p), 1);
    assert_int_equal(p[0].at_ms, 100);
}

static void a_chunk_never_splits_a_character(void **state)
{
    (void)state;
    char text[1024];
    bool done;
    conf.chunk_bytes = 1;
    conf.chunks = 60;
    ask("/chat/completions", "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                             "\"\\u00e9\\ud83d\\ude00\"}]}");
    stream_text(text, sizeof(text), &done); /* scans each event: split ones would be invalid UTF-8 */
    assert_non_null(strstr(text, "\xc3\xa9\xf0\x9f\x98\x80"));
}

static void tools_are_called_when_they_must_be(void **state)
{
    (void)state;
#define TOOLS                                                                                                \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":\"function\",\"function\":{" \
    "\"name\":"                                                                                              \
    "\"g\",\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{"    \
    "\"type\":"                                                                                              \
    "\"integer\",\"minimum\":2},\"unit\":{\"enum\":[\"c\",\"f\"]},\"list\":{\"type\":\"array\",\"items\":{"  \
    "\"type\":"                                                                                              \
    "[\"boolean\",\"null\"]}}}}}}]"
    ask("/chat/completions", "{" PROMPT "," TOOLS "}");
    assert_null(strstr(a.body, "tool_calls"));
    ask("/chat/completions", "{" PROMPT "," TOOLS ",\"tool_choice\":\"required\"}");
    assert_non_null(strstr(a.body, "\"name\":\"f\",\"arguments\":\"{}\""));
    assert_non_null(strstr(a.body, "\"finish_reason\":\"tool_calls\""));
    member("id");
    ask("/chat/completions",
        "{" PROMPT "," TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}");
    assert_non_null(
        strstr(a.body, "\"arguments\":\"{\\\"city\\\":\\\"example\\\",\\\"days\\\":2,\\\"unit\\\":\\\"c\\\","
                       "\\\"list\\\":[true]}\""));
    ask("/chat/completions",
        "{" PROMPT "," TOOLS
        ",\"stream\":true,\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}");
    assert_true(a.whole);
    assert_non_null(
        strstr(a.body, "\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"city"));
}

static void structured_answers_fit_their_schema(void **state)
{
    (void)state;
    ask("/chat/completions",
        "{" PROMPT ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\","
        "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[{\"type\":\"number\"},"
        "{\"type\":\"null\"}]}}}}}}");
    assert_non_null(strstr(a.body, "\"content\":\"{\\\"a\\\":1}\""));
    ask("/chat/completions", "{" PROMPT ",\"response_format\":{\"type\":\"json_object\"}}");
    assert_non_null(strstr(a.body, "\"content\":\"{\\\"answer\\\":\\\"You said"));
}

static void embeddings_are_unit_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint32_t vectors;
    } cases[] = {{"{\"model\":\"e\",\"dimensions\":8,\"input\":\"a\"}", 1},
                 {"{\"model\":\"e\",\"dimensions\":8,\"input\":[\"a\",\"b\",\"a\"]}", 3},
                 {"{\"model\":\"e\",\"dimensions\":8,\"input\":[1,2,3]}", 1},
                 {"{\"model\":\"e\",\"dimensions\":8,\"input\":[[1,2],[3]]}", 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask("/embeddings", cases[i].body);
        struct json_value data = member("data"), one, v, x;
        static const char *const paths[] = {"embedding"};
        assert_int_equal(data.count, cases[i].vectors);
        for (size_t at = 0; json_next(data.raw, &at, NULL, &one);) {
            double square = 0, d;
            assert_int_equal(json_scan(one.raw, paths, 1, &v, NULL), 0);
            assert_int_equal(v.count, 8);
            for (size_t k = 0; json_next(v.raw, &k, NULL, &x);) {
                assert_int_equal(json_double(x, &d), 0);
                square += d * d;
            }
            assert_true(square > 0.9999 && square < 1.0001);
        }
        assert_true(number("usage.prompt_tokens") > 0);
    }
    ask("/embeddings", "{\"model\":\"e\",\"input\":\"a\",\"encoding_format\":\"base64\"}");
    assert_non_null(strstr(a.body, "\"embedding\":\""));
    assert_int_equal(member("data").raw.n,
                     strlen("[{\"object\":\"embedding\",\"index\":0,\"embedding\":\"\"}]") + 8192);
    ask("/embeddings", "{\"model\":\"e\",\"input\":\"a\",\"dimensions\":0}");
    assert_int_equal(a.head.status, 400);
    ask("/embeddings", "{\"model\":\"e\",\"input\":[]}");
    assert_int_equal(a.head.status, 400);
    ask("/embeddings", "{\"model\":\"e\",\"input\":[\"a\",1]}");
    assert_int_equal(a.head.status, 400);
}

static void the_other_endpoints_answer(void **state)
{
    (void)state;
    ask("/responses", "{\"model\":\"m\",\"input\":\"Hi\",\"max_output_tokens\":2}");
    assert_true(str_eq(member("status").raw, STR("\"incomplete\"")));
    assert_int_equal(number("usage.output_tokens"), 2);
    ask("/responses", "{\"model\":\"m\",\"input\":\"Hi\",\"stream\":true}");
    assert_true(a.whole);
    assert_non_null(strstr(a.body, "event: response.completed\n"));
    assert_null(strstr(a.body, "[DONE]"));
    ask("/moderations", "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}");
    assert_int_equal(member("results").count, 2);
    ask_as("GET", "/models", "", "");
    assert_int_equal(member("data").count, 1);
    ask_as("GET", "/models/x%22", "", "");
    assert_int_equal(member("id").type, JSON_STRING);
    ask_as("GET", "/files", "", "");
    assert_int_equal(member("data").count, 0);
    ask("/images/generations", "{\"model\":\"m\"}");
    assert_int_equal(a.head.status, 404);
    ask_as("DELETE", "/chat/completions", "", "");
    assert_int_equal(a.head.status, 404);
}

static void an_upload_becomes_a_file(void **state)
{
    (void)state;
    ask_as("POST", "/files", "multipart/form-data; boundary=\"b1\"",
           "--b1\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
           "--b1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n"
           "Content-Type: application/octet-stream\r\n\r\n12345\r\n7\r\n--b1--\r\n");
    assert_int_equal(a.head.status, 200);
    assert_int_equal(number("bytes"), 8);
    assert_true(str_eq(member("filename").raw, STR("\"a.jsonl\"")));
    assert_true(str_eq(member("purpose").raw, STR("\"batch\"")));
    static const char *const bad[] = {"", "--b1", "--b1\r\n\r\n", "--b1\r\nx: y\r\n\r\nz"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ask_as("POST", "/files", "multipart/form-data; boundary=b1", bad[i]);
        assert_int_equal(a.head.status, 400);
    }
}

static void failures_come_as_often_as_set(void **state)
{
    (void)state;
    unsigned errors = 0, cuts = 0, hangs = 0, n = 2000;
    char body[128];
    conf.error_permille = 100;
    conf.error_status = 429;
    conf.cut_permille = 200;
    conf.hang_permille = 50;
    for (unsigned i = 0; i < n; i++) {
        snprintf(body, sizeof(body), "{" PROMPT ",\"seed\":%u%s}", i, i % 2 ? ",\"stream\":true" : "");
        ask("/chat/completions", body);
        hangs += script.end == VIRTUAL_HANG;
        if (script.end == VIRTUAL_HANG) {
            assert_int_equal(script.text.n, 0);
            continue;
        }
        errors += a.head.status == 429;
        cuts += script.end == VIRTUAL_CUT;
        assert_int_equal(a.whole, script.end == VIRTUAL_KEEP);
    }
    assert_in_range(hangs, n * 30 / 1000, n * 70 / 1000);
    assert_in_range(errors, n * 70 / 1000, n * 130 / 1000);
    assert_in_range(cuts, n * 140 / 1000, n * 230 / 1000);
}

static void recorded_answers_are_given_again(void **state)
{
    (void)state;
    char folder[64], path[128];
    assert_non_null(temp_folder_new(folder));
    conf.replay = folder;
    snprintf(path, sizeof(path), "%s/m.json", folder);
    FILE *f = fopen(path, "w");
    fputs("{\"recorded\":true}", f);
    fclose(f);
    snprintf(path, sizeof(path), "%s/_.._m.sse", folder);
    f = fopen(path, "w");
    fputs("data: 1\n\ndata: 2\r\n\r\ndata: 3", f);
    fclose(f);
    ask("/chat/completions", "{" PROMPT "}");
    assert_string_equal(a.body, "{\"recorded\":true}");
    ask("/chat/completions", "{\"model\":\"/../m\",\"stream\":true}");
    assert_string_equal(a.body, "data: 1\n\ndata: 2\r\n\r\ndata: 3");
    const struct virtual_piece *p;
    assert_int_equal(virtual_pieces(&script, &p), 1 + 3);
    ask("/chat/completions", "{" PROMPT ",\"stream\":true}"); /* none recorded */
    assert_non_null(strstr(a.body, "chat.completion.chunk"));
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chat_answers, up, down),
        cmocka_unit_test_setup_teardown(equal_requests_get_equal_bytes, up, down),
        cmocka_unit_test_setup_teardown(a_stream_says_what_a_whole_answer_says, up, down),
        cmocka_unit_test_setup_teardown(pieces_come_at_the_set_pace, up, down),
        cmocka_unit_test_setup_teardown(a_chunk_never_splits_a_character, up, down),
        cmocka_unit_test_setup_teardown(tools_are_called_when_they_must_be, up, down),
        cmocka_unit_test_setup_teardown(structured_answers_fit_their_schema, up, down),
        cmocka_unit_test_setup_teardown(embeddings_are_unit_vectors, up, down),
        cmocka_unit_test_setup_teardown(the_other_endpoints_answer, up, down),
        cmocka_unit_test_setup_teardown(an_upload_becomes_a_file, up, down),
        cmocka_unit_test_setup_teardown(failures_come_as_often_as_set, up, down),
        cmocka_unit_test_setup_teardown(recorded_answers_are_given_again, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

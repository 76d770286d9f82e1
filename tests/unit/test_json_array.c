/* An array read element by element: the same elements however its bytes are cut, all of its bytes again, and
 * what is no such array is known as soon as it shows. */
#include "json_array.h"
#include "limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    char values[512]; /* each with a bar behind it; the end is a dot */
    char raw[512];
    size_t n_values, n_raw;
    int result; /* of the last call */
};

static void look(struct json_array_reader *r, struct seen *s)
{
    struct json_array_element e;
    while ((s->result = json_array_next(r, &e)) == 1) {
        s->n_values += (size_t)snprintf(s->values + s->n_values, sizeof s->values - s->n_values, STR_FMT "%c",
                                        STR_ARG(e.value), e.value.n ? '|' : '.');
        memcpy(s->raw + s->n_raw, e.raw.p, e.raw.n);
        s->n_raw += e.raw.n;
    }
}

/* Fed in pieces of `step` bytes, the first of `first`. Returns what was pending at the end. */
static size_t feed(const char *text, size_t first, size_t step, struct seen *s)
{
    struct json_array_reader r;
    size_t n = strlen(text), at = 0;
    *s = (struct seen){.result = 0};
    json_array_init(&r);
    for (size_t piece = first; at < n && s->result == 0; piece = step) {
        piece = piece < n - at ? piece : n - at;
        assert_int_equal(json_array_feed(&r, (struct str){text + at, piece}), 0);
        at += piece;
        look(&r, s);
    }
    size_t pending = json_array_pending(&r);
    json_array_free(&r);
    return pending;
}

#define WHOLE \
    " [{\"a\": \"]}\\\"[\"}\r\n,\n  {\"b\": [{}, [1]], \"c\\\\\": \"\\\\\"}, {\"\xc3\xa9\": null}\n]"

static void cut_anywhere(void **state)
{
    (void)state;
    struct seen s;
    for (size_t step = 1; step < sizeof(WHOLE); step++)
        for (size_t first = 1; first < sizeof(WHOLE); first++) {
            assert_int_equal(feed(WHOLE, first, step, &s), 0);
            assert_string_equal(
                s.values,
                "{\"a\": \"]}\\\"[\"}|{\"b\": [{}, [1]], \"c\\\\\": \"\\\\\"}|{\"\xc3\xa9\": null}|.");
            assert_int_equal(s.n_raw, sizeof(WHOLE) - 1);
            assert_memory_equal(s.raw, WHOLE, s.n_raw);
        }
}

static void not_an_array_of_objects(void **state)
{
    (void)state;
    static const struct {
        const char *text, *values;
    } cases[] = {
        {"{}", ""},        {"x", ""},           {"[1]", ""},        {"[\"a\"]", ""},
        {"[[]]", ""},      {"[,{}]", ""},       {"[{},]", "{}|"},   {"[{} {}]", "{}|"},
        {"[{}]]", "{}|."}, {"[{}] {}", "{}|."}, {"[{}]x", "{}|."},  {"]", ""},
        {"[}", ""},        {"[{},,{}]", "{}|"}, {"[{}:{}]", "{}|"}, {"\xef\xbb\xbf[", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step < 9; step++) {
            struct seen s;
            size_t pending = feed(cases[i].text, step, step, &s);
            if (s.result != -1 || strcmp(s.values, cases[i].values) != 0 || pending == 0)
                fail_msg("%s: %d, %s, %zu pending", cases[i].text, s.result, s.values, pending);
        }
}

static void unfinished(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t pending;
    } cases[] = {{"[", 1},  {"[{}", 0},     {"[{},", 1}, {"[{}, {\"a", 5},
                 {"[]", 0}, {"[{}] \n", 0}, {"[{}\n", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen s;
        assert_int_equal(feed(cases[i].text, 1, 1, &s), cases[i].pending);
        assert_int_equal(s.result, 0);
    }
}

static void too_large(void **state)
{
    (void)state;
    struct json_array_reader r;
    struct json_array_element e;
    const size_t piece = MAX_STREAM_READ;
    char *filler = malloc(piece);
    assert_non_null(filler);
    memset(filler, 'x', piece);
    json_array_init(&r);
    assert_int_equal(json_array_feed(&r, STR("[{\"a\":\"")), 0);
    size_t fed = 0;
    while (fed <= (size_t)2 * MAX_ARRAY_ELEMENT && json_array_next(&r, &e) == 0 &&
           json_array_feed(&r, (struct str){filler, piece}) == 0)
        fed += piece;
    assert_in_range(fed, MAX_ARRAY_ELEMENT - piece, MAX_ARRAY_ELEMENT + piece);
    assert_int_equal(json_array_next(&r, &e), -1);
    assert_int_equal(json_array_feed(&r, STR("\"}]")), -1);
    json_array_free(&r);
    free(filler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(not_an_array_of_objects),
        cmocka_unit_test(unfinished),
        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

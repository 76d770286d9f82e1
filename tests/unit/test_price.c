/* Prices: the list's form, look-ups, and costs that are exact, saturate, and are never 0 by mistake. */
#include "price.h"
#include "temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char folder[64], list[96];

static struct price_table *load(const char *text, struct error *err)
{
    FILE *f = fopen(list, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return price_load(list, err);
}

static void decimals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        uint64_t pico;
    } cases[] = {
        {"0", 0, 0},          {"15", 0, 15000000}, {"0.15", 0, 150000},  {"0.0375", 0, 37500},
        {"0.000001", 0, 1},   {"0.0000010", 0, 1}, {"2.50", 0, 2500000}, {"9999999.999999", 0, 9999999999999},
        {"0.0000001", -1, 0}, {"", -1, 0},         {".", -1, 0},         {".5", -1, 0},
        {"5.", -1, 0},        {"-1", -1, 0},       {"+1", -1, 0},        {"1e3", -1, 0},
        {"1.2.3", -1, 0},     {"10000000", -1, 0}, {" 1", -1, 0},        {"0x1", -1, 0},
        {"1,5", -1, 0},       {"0.15\t", -1, 0},   {"NaN", -1, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t pico = 77;
        int result = price_parse(str_of(cases[i].text), &pico);
        if (result != cases[i].result || (result == 0 && pico != cases[i].pico))
            fail_msg("\"%s\": %d, %llu", cases[i].text, result, (unsigned long long)pico);
    }
}

static void looks_up(void **state)
{
    (void)state;
    struct error err;
    struct price_table *t = load("# a comment\n"
                                 "\n"
                                 "gpt-x\tazure\t9\t\t\t9\t\t\n"
                                 "gpt-x\topenai\t0.15\t0.075\t\t0.6\t128000\t16384\n"
                                 "gpt-x-2024-08-06\topenai\t1\t\t\t2\n"
                                 "free\topenai\t0\t\t\t0\r\n"
                                 "claude\tanthropic\t3\t0.3\t3.75\t15\t200000\t64000\n",
                                 &err);
    assert_non_null(t);
    static const struct {
        const char *type, *model;
        bool known;
        uint64_t input, cached, cache_write, output;
    } cases[] = {
        {"openai", "gpt-x", true, 150000, 75000, 150000, 600000},
        {"azure", "gpt-x", true, 9000000, 9000000, 9000000, 9000000},
        {"virtual", "gpt-x", true, 9000000, 9000000, 9000000, 9000000}, /* the first row */
        {"openai", "gpt-x-2024-08-06", true, 1000000, 1000000, 1000000, 2000000},
        {"openai", "gpt-x-2025-01-01", true, 150000, 75000, 150000, 600000},
        {"openai", "gpt-x-20250101", true, 150000, 75000, 150000, 600000},
        {"openai", "gpt-x-latest", true, 150000, 75000, 150000, 600000},
        {"vertex", "claude@20250929", true, 3000000, 300000, 3750000, 15000000},
        {"openai", "gpt-x-2025-1-01", false, 0, 0, 0, 0},
        {"openai", "gpt-", false, 0, 0, 0, 0},
        {"openai", "gpt-xx", false, 0, 0, 0, 0},
        {"openai", "-latest", false, 0, 0, 0, 0},
        {"openai", "", false, 0, 0, 0, 0},
        {"openai", "free", true, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct price p = price_find(t, str_of(cases[i].type), str_of(cases[i].model));
        if (p.known != cases[i].known || p.input != cases[i].input || p.cached != cases[i].cached ||
            p.cache_write != cases[i].cache_write || p.output != cases[i].output)
            fail_msg("%s of %s: %d %llu", cases[i].model, cases[i].type, p.known,
                     (unsigned long long)p.input);
    }
    struct price p = price_find(t, STR("openai"), STR("gpt-x"));
    assert_int_equal(p.context_window, 128000);
    assert_int_equal(p.max_output, 16384);
    price_free(&t);
    assert_null(t);
    assert_false(price_find(NULL, STR("openai"), STR("gpt-x")).known);
}

static void refused_lists(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a\tb\t1\t\t\t\n", ":1:"},                        /* no output price */
        {"a\tb\t\t\t\t1\n", ":1:"},                        /* no input price */
        {"# x\na\tb\t1\t1\n", ":2: the line has to have"}, /* columns */
        {"a b 1 1 1 1\n", ":1:"},                          /* spaces */
        {"\tb\t1\t\t\t1\n", "no model"},
        {"a\t\t1\t\t\t1\n", "no provider"},
        {"a\tb\t1\tx\t\t1\n", "cached input"},
        {"a\tb\t1\t\t-1\t1\n", "cache writes"},
        {"a\tb\t1\t\t\t1\t1e6\n", "tokens"},
        {"a\tb\t1\t\t\t1\t\t\tx\t1\t\t1\n", "long"},
        {"a\tb\t1\t\t\t1\t\t\t5\t1\t\t\n", "long"},
        {"a\tb\t1\t\t\t1\t\t\t\t\t\t\textra\n", "columns"},
        {"a\tb\t1\t\t\t1\n\nc\tb\t1\t\t\t1\na\tb\t2\t\t\t2\n", ":4: a of b stands in line 1 already"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {{0}};
        struct price_table *t = load(cases[i].text, &err);
        if (t || !strstr(err.text, cases[i].message))
            fail_msg("case %zu: %s", i, t ? "was taken" : err.text);
    }
    struct error err;
    assert_null(price_load("/nonexistent/prices", &err));
    assert_non_null(strstr(err.text, "/nonexistent/prices"));
}

static void costs(void **state)
{
    (void)state;
    struct price p = {
        .input = 150000, .cached = 75000, .cache_write = 187500, .output = 600000, .known = true};
    struct price step = p;
    step.long_above = 1000;
    step.long_rates = (struct price_rates){300000, 150000, 375000, 900000};
    const struct {
        const struct price *price;
        struct usage_tokens u;
        uint64_t cost;
    } cases[] = {
        {&p, {0, 0, 0, 0, 0}, 0},
        {&p, {1000, 0, 0, 0, 0}, 150000000},
        {&p, {1000, 400, 0, 10, 0}, 600 * 150000 + 400 * 75000 + 10 * 600000},
        {&p, {1000, 400, 100, 10, 5}, 500 * 150000 + 400 * 75000 + 100 * 187500 + 10 * 600000},
        {&p, {100, 400, 0, 0, 0}, 400 * 75000}, /* told beside the input: no negative rest */
        {&p, {UINT64_MAX, 0, 0, 0, 0}, UINT64_MAX},
        {&p, {1, 0, 0, UINT64_MAX / 2, 0}, UINT64_MAX},
        {&p, {0, UINT64_MAX, UINT64_MAX, 0, 0}, UINT64_MAX},
        {&step, {1000, 0, 0, 1, 0}, 1000 * 150000 + 600000},
        {&step, {1001, 1, 0, 1, 0}, 1000 * 300000 + 150000 + 900000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (price_cost_pico(cases[i].price, &cases[i].u) != cases[i].cost)
            fail_msg("case %zu: %llu", i, (unsigned long long)price_cost_pico(cases[i].price, &cases[i].u));
}

static void long_prompts(void **state)
{
    (void)state;
    struct error err;
    struct price_table *t = load("claude\tanthropic\t3\t0.3\t3.75\t15\t\t\t200000\t6\t0.6\t22.5\n", &err);
    assert_non_null(t);
    struct price p = price_find(t, STR("anthropic"), STR("claude"));
    assert_int_equal(p.long_above, 200000);
    assert_int_equal(p.long_rates.cached, 600000);
    assert_int_equal(p.long_rates.cache_write, 7500000);
    assert_int_equal(p.long_rates.output, 22500000);
    price_free(&t);
}

/* The list that is installed. */
static void our_own_list(void **state)
{
    (void)state;
    struct error err;
    struct price_table *t = price_load("conf/prices", &err);
    if (!t)
        fail_msg("%s", err.text);
    struct price p = price_find(t, STR("openai"), STR("gpt-4o-mini"));
    assert_true(p.known);
    assert_int_equal(p.input, 150000);
    assert_int_equal(p.cached, 75000);
    assert_int_equal(p.output, 600000);
    assert_int_equal(price_find(t, STR("anthropic"), STR("claude-sonnet-4-5")).cache_write, 3750000);
    assert_false(price_find(t, STR("openai"), STR("no-such-model")).known);
    price_free(&t);
}

static int setup(void **state)
{
    (void)state;
    if (!temp_folder_new(folder))
        return -1;
    snprintf(list, sizeof(list), "%s/prices", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals), cmocka_unit_test(looks_up),     cmocka_unit_test(refused_lists),
        cmocka_unit_test(costs),    cmocka_unit_test(long_prompts), cmocka_unit_test(our_own_list),
    };
    return cmocka_run_group_tests_name("price", tests, setup, teardown);
}

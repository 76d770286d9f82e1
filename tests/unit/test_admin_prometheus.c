/* /metrics of a segment whose numbers are known. */
#include "metrics.h"
#include "prometheus.h"
#include "scoreboard.h"
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/aigw-prometheus-XXXXXX";
static struct conf_provider providers[] = {{.name = "one"}, {.name = "t\"w\\o"}};
static struct conf_model models[] = {
    {.name = "m*", .targets = {{0, "*"}, {1, "x"}, {0, "y"}}, .n_targets = 3},
    {.name = "unused", .targets = {{0, "z"}}, .n_targets = 1},
};
static struct config config = {.providers = providers, .n_providers = 2, .models = models, .n_models = 2};
static struct admin admin = {.config = &config};

static int set_up(void **state)
{
    struct error err;
    (void)state;
    if (!mkdtemp(folder) || segment_create(&admin.segment, folder, 1024, &err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

/* run_dir/aigw.shm may be a link to where the segment is. */
static int tear_down(void **state)
{
    char path[64], target[128];
    (void)state;
    segment_detach(&admin.segment);
    snprintf(path, sizeof path, "%s/aigw.shm", folder);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n > 0) {
        target[n] = '\0';
        unlink(target);
    }
    unlink(path);
    rmdir(folder);
    return 0;
}

static void fill(void)
{
    const struct segment *s = &admin.segment;
    struct shm_metrics *a = segment_metrics(s, SLOT_WORKER0), *b = segment_metrics(s, SLOT_ACCEPTOR);
    scoreboard_enter(s, SLOT_MASTER, "master", 1, 1000);
    scoreboard_enter(s, SLOT_ACCEPTOR, "acceptor", 1, 1000);
    scoreboard_enter(s, SLOT_WORKER0, "worker", 1, 1000);
    metric_add(&a->requests_total, 5);
    metric_add(&b->requests_total, 2);
    metric_add(&a->cost_pico_usd_total, 2500001);
    histogram_add(&a->duration, 50);
    histogram_add(&a->duration, 150);
    histogram_add(&b->duration, 150);
    histogram_add(&a->duration, INT64_C(100) << 30);
    struct shm_slot *slot =
        table_get(s, segment_line(s, SLOT_WORKER0), 0, table_id(s, TABLE_SERIES, STR("t\"w\\o\nm*")));
    assert_non_null(slot);
    atomic_store(&slot->series.requests, 3);
    atomic_store(&slot->series.output, 44);
    atomic_store(&slot->series.cost_pico, UINT64_C(1500000000000));
    atomic_store(&slot->series.latency_us, 1250000);
}

static void expect(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("missing: %s", line);
}

static void known_numbers(void **state)
{
    (void)state;
    struct buf b;
    fill();
    buf_init(&b, 1 << 20);
    prometheus_write(&b, &admin, 2001000, 0);
    assert_false(b.full);
    assert_int_equal(b.p[b.n - 1], '\n');
    buf_add_byte(&b, '\0');
    expect(b.p, "\n# TYPE aigw_requests_total counter\naigw_requests_total 7\n");
    expect(b.p, "\naigw_cost_usd_total 0.000002500001\n");
    expect(b.p, "\naigw_request_duration_seconds_bucket{le=\"0.0001\"} 1\n");
    expect(b.p, "\naigw_request_duration_seconds_bucket{le=\"0.0002\"} 3\n");
    expect(b.p, "\naigw_request_duration_seconds_bucket{le=\"838.8608\"} 3\n");
    expect(b.p, "\naigw_request_duration_seconds_bucket{le=\"+Inf\"} 4\n");
    expect(b.p, "\naigw_request_duration_seconds_sum 107374.18275\n");
    expect(b.p, "\naigw_request_duration_seconds_count 4\n");
    expect(b.p, "\naigw_workers{state=\"idle\"} 1\n");
    expect(b.p, "\naigw_processes 3\n");
    expect(b.p, "\naigw_uptime_seconds 0.002\n");
    expect(b.p, "\naigw_provider_in_flight{provider=\"one\"} 0\n");
    expect(b.p, "\naigw_model_requests_total{provider=\"t\\\"w\\\\o\",model=\"m*\"} 3\n");
    expect(b.p, "\naigw_model_tokens_total{provider=\"t\\\"w\\\\o\",model=\"m*\",class=\"output\"} 44\n");
    expect(b.p, "\naigw_model_cost_usd_total{provider=\"t\\\"w\\\\o\",model=\"m*\"} 1.5\n");
    expect(b.p, "\naigw_model_latency_seconds_total{provider=\"t\\\"w\\\\o\",model=\"m*\"} 1.25\n");
    assert_null(strstr(b.p, "unused"));
    buf_free(&b);
}

/* Each sample's metric has had its HELP and TYPE before; none has them twice. */
static void every_metric_is_introduced_once(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    prometheus_write(&b, &admin, 2001000, 0);
    struct str rest = buf_str(&b), line, current = STR_NULL;
    size_t types = 0;
    while (str_split(&rest, '\n', &line)) {
        if (str_starts(line, STR("# HELP ")))
            continue;
        if (str_starts(line, STR("# TYPE "))) {
            line.p += 7, line.n -= 7;
            str_split(&line, ' ', &current);
            char needle[160];
            snprintf(needle, sizeof needle, "# TYPE " STR_FMT " ", STR_ARG(current));
            const char *first = memmem(b.p, b.n, needle, strlen(needle));
            assert_non_null(first);
            assert_ptr_equal(first + 7, current.p);
            types++;
            continue;
        }
        assert_true(current.n && str_starts(line, current));
    }
    assert_true(types > metric_count);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_numbers),
        cmocka_unit_test(every_metric_is_introduced_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* /v1/stats: the numbers of /metrics as JSON, and what each process does at this moment. */
#include "api.h"
#include "clock.h"
#include "scoreboard.h"
#include "snapshot.h"

static uint64_t ms_since(int64_t then_ns, int64_t now_ns)
{
    return then_ns > 0 && now_ns > then_ns ? (uint64_t)((now_ns - then_ns) / NS_PER_MS) : 0;
}

static void write_workers(struct json_writer *w, const struct snapshot *n)
{
    jw_open_in(w, "workers", '{');
    for (uint32_t i = LINE_STARTING; i <= LINE_SETTLED; i++)
        jw_u64_in(w, line_state_name(i), n->workers[i]);
    jw_u64_in(w, "free", n->free_workers);
    jw_u64_in(w, "max", n->workers_max);
    jw_close(w, '}');
}

static void write_counters(struct json_writer *w, const struct segment *s)
{
    jw_open_in(w, "counters", '{');
    for (size_t i = 0; i < metric_count; i++)
        jw_u64_in(w, metric_list[i].name, metrics_sum(s, metric_list[i].offset));
    jw_close(w, '}');
    jw_usd_in(w, "cost_usd", metrics_sum(s, offsetof(struct shm_metrics, cost_pico_usd_total)));
    jw_usd_in(w, "cache_saved_usd", metrics_sum(s, offsetof(struct shm_metrics, cache_saved_pico_usd_total)));
}

/* The bound of the bucket that holds the permille-th of 1000 values, in ms; null above the last one. */
static void write_quantile(struct json_writer *w, const char *name, const uint64_t bucket[HISTOGRAM_BUCKETS],
                           uint64_t count, unsigned permille)
{
    uint64_t below = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && count; i++) {
        below += bucket[i];
        if (below * 1000 >= count * permille) {
            jw_decimal_in(w, name, (uint64_t)(histogram_bound_s(i) * 10000 + 0.5), 1);
            return;
        }
    }
    jw_null_in(w, name);
}

static void write_histogram(struct json_writer *w, const struct segment *s, const char *name, size_t offset)
{
    uint64_t bucket[HISTOGRAM_BUCKETS], count, sum_us;
    metrics_sum_histogram(s, offset, bucket, &count, &sum_us);
    jw_open_in(w, name, '{');
    jw_u64_in(w, "count", count);
    if (count)
        jw_decimal_in(w, "avg_ms", sum_us / count, 3);
    else
        jw_null_in(w, "avg_ms");
    write_quantile(w, "p50_ms_at_most", bucket, count, 500);
    write_quantile(w, "p95_ms_at_most", bucket, count, 950);
    write_quantile(w, "p99_ms_at_most", bucket, count, 990);
    jw_close(w, '}');
}

static void write_line(struct json_writer *w, const struct shm_line *l, uint32_t slot, int64_t now_ns)
{
    char role[sizeof l->role], model[sizeof l->model];
    /* the owner may be writing these: a torn text is cut and escaped, nothing worse */
    str_copy_cut(role, sizeof role, (struct str){l->role, strnlen(l->role, sizeof l->role)});
    str_copy_cut(model, sizeof model, (struct str){l->model, strnlen(l->model, sizeof l->model)});
    jw_open(w, '{');
    jw_u64_in(w, "slot", slot);
    jw_text_in(w, "role", role);
    jw_u64_in(w, "pid", atomic_load_explicit(&l->pid, memory_order_relaxed));
    uint32_t state = atomic_load_explicit(&l->state, memory_order_acquire);
    jw_text_in(w, "state", line_state_name(state));
    jw_u64_in(w, "state_ms", ms_since(atomic_load_explicit(&l->since_ns, memory_order_relaxed), now_ns));
    jw_u64_in(w, "age_ms", ms_since(atomic_load_explicit(&l->started_ns, memory_order_relaxed), now_ns));
    jw_u64_in(w, "generation", l->generation);
    jw_u64_in(w, "requests", snapshot_word(&l->requests));
    if (state == LINE_BUSY || state == LINE_DRAINING) {
        jw_text_in(w, "phase", request_phase_name(atomic_load_explicit(&l->phase, memory_order_relaxed)));
        jw_text_in(w, "model", model);
    }
    jw_close(w, '}');
}

static void write_lines(struct json_writer *w, const struct segment *s, int64_t now_ns)
{
    jw_open_in(w, "processes", '[');
    for (uint32_t i = 0; i < segment_slots_used(s); i++) {
        const struct shm_line *l = segment_line(s, i);
        if (l && atomic_load_explicit(&l->state, memory_order_acquire) != LINE_FREE)
            write_line(w, l, i, now_ns);
    }
    jw_close(w, ']');
}

static void write_snapshot(struct json_writer *w, const struct snapshot *n)
{
    jw_text_in(w, "version", AIGW_VERSION);
    jw_u64_in(w, "generation", n->generation);
    jw_decimal_in(w, "uptime_s", n->uptime_ns / 1000000, 3);
    write_workers(w, n);
    jw_u64_in(w, "connections", n->connections);
    jw_u64_in(w, "waiting", n->waiting);
    jw_u64_in(w, "table_used", n->table_used);
    jw_u64_in(w, "table_slots", n->table_slots);
    jw_u64_in(w, "ledger_lag_rows", n->lag_rows);
    jw_bool_in(w, "store_full", n->store_full);
    jw_u64_in(w, "reloads", n->reloads);
    jw_u64_in(w, "reloads_refused", n->reloads_refused);
}

void stats_get(struct call *c)
{
    const struct segment *s = &c->admin->segment;
    if (!s->header) {
        reply_error(c->x->reply, 503, "no_gateway", NULL,
                    "this process was started by hand, beside no gateway");
        return;
    }
    int64_t now_ns = clock_mono_ns();
    struct snapshot n;
    snapshot_take(s, now_ns, &n);
    struct json_writer w = reply_json(c->x->reply, 200);
    jw_open(&w, '{');
    write_snapshot(&w, &n);
    write_counters(&w, s);
    write_histogram(&w, s, "duration", offsetof(struct shm_metrics, duration));
    write_histogram(&w, s, "ttft", offsetof(struct shm_metrics, ttft));
    write_histogram(&w, s, "overhead", offsetof(struct shm_metrics, overhead));
    write_lines(&w, s, now_ns);
    jw_close(&w, '}');
}

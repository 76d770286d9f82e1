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
    json_member_open(w, "workers", '{');
    for (uint32_t i = LINE_STARTING; i <= LINE_SETTLED; i++)
        json_member_u64(w, line_state_name(i), n->workers[i]);
    json_member_u64(w, "free", n->free_workers);
    json_member_u64(w, "max", n->workers_max);
    json_close(w, '}');
}

static void write_counters(struct json_writer *w, const struct segment *s)
{
    json_member_open(w, "counters", '{');
    for (size_t i = 0; i < metric_count; i++)
        json_member_u64(w, metric_list[i].name, metrics_sum(s, metric_list[i].offset));
    json_close(w, '}');
    json_member_usd(w, "cost_usd", metrics_sum(s, offsetof(struct shm_metrics, cost_pico_usd_total)));
    json_member_usd(w, "cache_saved_usd",
                    metrics_sum(s, offsetof(struct shm_metrics, cache_saved_pico_usd_total)));
}

/* The bound of the bucket that holds the permille-th of 1000 values, in ms; null above the last one. */
static void write_quantile(struct json_writer *w, const char *name, const uint64_t bucket[HISTOGRAM_BUCKETS],
                           uint64_t count, unsigned permille)
{
    uint64_t below = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && count; i++) {
        below += bucket[i];
        if (below * 1000 >= count * permille) {
            json_member_decimal(w, name, (uint64_t)(histogram_bound_s(i) * 10000 + 0.5), 1);
            return;
        }
    }
    json_member_null(w, name);
}

static void write_histogram(struct json_writer *w, const struct segment *s, const char *name, size_t offset)
{
    uint64_t bucket[HISTOGRAM_BUCKETS], count, sum_us;
    metrics_sum_histogram(s, offset, bucket, &count, &sum_us);
    json_member_open(w, name, '{');
    json_member_u64(w, "count", count);
    if (count)
        json_member_decimal(w, "avg_ms", sum_us / count, 3);
    else
        json_member_null(w, "avg_ms");
    write_quantile(w, "p50_ms_at_most", bucket, count, 500);
    write_quantile(w, "p95_ms_at_most", bucket, count, 950);
    write_quantile(w, "p99_ms_at_most", bucket, count, 990);
    json_close(w, '}');
}

static void write_line(struct json_writer *w, const struct shm_line *l, uint32_t slot, int64_t now_ns)
{
    char role[sizeof l->role], model[sizeof l->model];
    /* the owner may be writing these: a torn text is cut and escaped, nothing worse */
    str_copy_cut(role, sizeof role, (struct str){l->role, strnlen(l->role, sizeof l->role)});
    str_copy_cut(model, sizeof model, (struct str){l->model, strnlen(l->model, sizeof l->model)});
    json_open(w, '{');
    json_member_u64(w, "slot", slot);
    json_member_strz(w, "role", role);
    json_member_u64(w, "pid", atomic_load_explicit(&l->pid, memory_order_relaxed));
    uint32_t state = atomic_load_explicit(&l->state, memory_order_acquire);
    json_member_strz(w, "state", line_state_name(state));
    json_member_u64(w, "state_ms",
                    ms_since(atomic_load_explicit(&l->since_ns, memory_order_relaxed), now_ns));
    json_member_u64(w, "age_ms",
                    ms_since(atomic_load_explicit(&l->started_ns, memory_order_relaxed), now_ns));
    json_member_u64(w, "generation", l->generation);
    json_member_u64(w, "requests", snapshot_word(&l->requests));
    if (state == LINE_BUSY || state == LINE_DRAINING) {
        json_member_strz(w, "phase",
                         request_phase_name(atomic_load_explicit(&l->phase, memory_order_relaxed)));
        json_member_strz(w, "model", model);
    }
    json_close(w, '}');
}

static void write_lines(struct json_writer *w, const struct segment *s, int64_t now_ns)
{
    json_member_open(w, "processes", '[');
    for (uint32_t i = 0; i < segment_slots_used(s); i++) {
        const struct shm_line *l = segment_line(s, i);
        if (l && atomic_load_explicit(&l->state, memory_order_acquire) != LINE_FREE)
            write_line(w, l, i, now_ns);
    }
    json_close(w, ']');
}

static void write_snapshot(struct json_writer *w, const struct snapshot *n)
{
    json_member_strz(w, "version", AIGW_VERSION);
    json_member_u64(w, "generation", n->generation);
    json_member_decimal(w, "uptime_s", n->uptime_ns / 1000000, 3);
    write_workers(w, n);
    json_member_u64(w, "connections", n->connections);
    json_member_u64(w, "waiting", n->waiting);
    json_member_u64(w, "table_used", n->table_used);
    json_member_u64(w, "table_slots", n->table_slots);
    json_member_u64(w, "ledger_lag_rows", n->lag_rows);
    json_member_bool(w, "store_full", n->store_full);
    json_member_u64(w, "reloads", n->reloads);
    json_member_u64(w, "reloads_refused", n->reloads_refused);
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
    json_open(&w, '{');
    write_snapshot(&w, &n);
    write_counters(&w, s);
    write_histogram(&w, s, "duration", offsetof(struct shm_metrics, duration));
    write_histogram(&w, s, "ttft", offsetof(struct shm_metrics, ttft));
    write_histogram(&w, s, "overhead", offsetof(struct shm_metrics, overhead));
    write_lines(&w, s, now_ns);
    json_close(&w, '}');
}

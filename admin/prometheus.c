/* /metrics. The counters come from metrics.def, so that a counter can't exist without being shown. Money is
 * shown exactly, in USD beside the stored 1e-12 USD. */
#include "prometheus.h"

#include "api.h"
#include "clock.h"
#include "decimal.h"
#include "metrics.h"
#include "places.h"
#include "scoreboard.h"
#include "snapshot.h"

#include <inttypes.h>

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP aigw_%s %s\n# TYPE aigw_%s %s\n", name, help, name, type);
}

static void label(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n')
            buf_add(b, STR("\\n"));
        else if (*value == '"' || *value == '\\')
            buf_printf(b, "\\%c", *value);
        else
            buf_add_byte(b, *value);
    }
    buf_add_byte(b, '"');
}

static void single(struct buf *b, const char *name, const char *type, uint64_t v, unsigned places,
                   const char *help)
{
    head(b, name, type, help);
    buf_printf(b, "aigw_%s ", name);
    decimal_put(b, v, places);
    buf_add_byte(b, '\n');
}

static void counters(struct buf *b, const struct segment *s)
{
    for (size_t i = 0; i < metric_count; i++)
        single(b, metric_list[i].name, metric_list[i].type, metrics_sum(s, metric_list[i].offset), 0,
               metric_list[i].help);
    single(b, "cost_usd_total", "counter", metrics_sum(s, offsetof(struct shm_metrics, cost_pico_usd_total)),
           12, "Cost in USD, of the requests whose price is known");
    single(b, "cache_saved_usd_total", "counter",
           metrics_sum(s, offsetof(struct shm_metrics, cache_saved_pico_usd_total)), 12,
           "What cache hits would have cost, USD");
}

static void histogram(struct buf *b, const struct segment *s, size_t offset, const char *name,
                      const char *help)
{
    uint64_t bucket[HISTOGRAM_BUCKETS], count, sum_us, below = 0;
    metrics_sum_histogram(s, offset, bucket, &count, &sum_us);
    head(b, name, "histogram", help);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += bucket[i];
        buf_printf(b, "aigw_%s_bucket{le=\"%.10g\"} %" PRIu64 "\n", name, histogram_bound_s(i), below);
    }
    /* the count is added last by a worker: what is summed here may be a moment behind the buckets */
    if (count < below)
        count = below;
    buf_printf(b, "aigw_%s_bucket{le=\"+Inf\"} %" PRIu64 "\naigw_%s_sum ", name, count, name);
    decimal_put(b, sum_us, 6);
    buf_printf(b, "\naigw_%s_count %" PRIu64 "\n", name, count);
}

static void histograms(struct buf *b, const struct segment *s)
{
    histogram(b, s, offsetof(struct shm_metrics, duration), "request_duration_seconds",
              "From a request's head to the last byte of its answer");
    histogram(b, s, offsetof(struct shm_metrics, ttft), "ttft_seconds",
              "From a request's head to the first byte of its answer");
    histogram(b, s, offsetof(struct shm_metrics, overhead), "overhead_seconds",
              "The gateway's own part of a request's time: without the waiting for providers");
}

static void gauges(struct buf *b, const struct snapshot *n)
{
    head(b, "workers", "gauge", "Worker processes by state");
    for (uint32_t i = LINE_STARTING; i <= LINE_SETTLED; i++)
        buf_printf(b, "aigw_workers{state=\"%s\"} %u\n", line_state_name(i), n->workers[i]);
    single(b, "workers_free", "gauge", n->free_workers, 0, "Workers waiting for a connection");
    single(b, "workers_limit", "gauge", n->workers_max, 0, "The setting workers.max");
    single(b, "connections_waiting", "gauge", n->waiting, 0, "Ready connections without a worker");
    single(b, "connections_open", "gauge", n->connections, 0, "Client connections held by the acceptor");
    single(b, "processes", "gauge", n->processes, 0, "Processes of all roles");
    single(b, "table_slots_used", "gauge", n->table_used, 0, "Claimed slots of the shared table");
    single(b, "table_slots", "gauge", n->table_slots, 0, "Slots of the shared table; half may be used");
    single(b, "config_generation", "gauge", n->generation, 0, "Generation of the configuration");
    single(b, "reloads_total", "counter", n->reloads, 0, "Reloads of the configuration");
    single(b, "reloads_refused_total", "counter", n->reloads_refused, 0,
           "Reloads refused because of the configuration");
    single(b, "uptime_seconds", "gauge", n->uptime_ns / 1000000, 3, "Since the master's start");
    single(b, "ledger_lag_rows", "gauge", n->lag_rows, 0, "Usage rows not yet in the store");
    single(b, "store_full", "gauge", n->store_full, 0, "1 while the usage store takes no rows");
    single(b, "spooled_bytes", "gauge", (uint64_t)n->spooled_kb * 1024, 0,
           "Slow bodies and unread answers held in memory");
}

/* One metric over all providers: places is the number's decimal places. */
static void per_provider(struct buf *b, const struct admin *a, const char *name, const char *type,
                         const char *help, unsigned places,
                         uint64_t (*value)(const struct shm_slot *slot, int64_t wall_minus_mono_ns),
                         int64_t wall_minus_mono_ns)
{
    head(b, name, type, help);
    for (size_t i = 0; i < a->config->n_providers; i++) {
        const char *provider = a->config->providers[i].name;
        const struct shm_slot *slot = snapshot_provider(&a->segment, provider);
        buf_printf(b, "aigw_%s{", name);
        label(b, "provider", provider);
        buf_add(b, STR("} "));
        decimal_put(b, slot ? value(slot, wall_minus_mono_ns) : 0, places);
        buf_add_byte(b, '\n');
    }
}

static uint64_t in_flight(const struct shm_slot *slot, int64_t unused)
{
    (void)unused;
    return places_count(&slot->health.places);
}

static uint64_t failures(const struct shm_slot *slot, int64_t unused)
{
    (void)unused;
    return snapshot_word(&slot->health.failures);
}

static uint64_t last_success_ms(const struct shm_slot *slot, int64_t wall_minus_mono_ns)
{
    int64_t ns = (int64_t)snapshot_word(&slot->health.last_ok_ns);
    return ns ? (uint64_t)((ns + wall_minus_mono_ns) / NS_PER_MS) : 0;
}

static uint64_t latency_us(const struct shm_slot *slot, int64_t unused)
{
    (void)unused;
    return snapshot_word(&slot->health.latency_ewma_us);
}

static void providers(struct buf *b, const struct admin *a, int64_t wall_minus_mono_ns)
{
    if (!a->config->n_providers)
        return;
    per_provider(b, a, "provider_in_flight", "gauge", "Calls under way", 0, in_flight, 0);
    per_provider(b, a, "provider_failures", "gauge", "Failures as the provider's health counts them", 0,
                 failures, 0);
    per_provider(b, a, "provider_last_success_timestamp_seconds", "gauge",
                 "When a call last succeeded; 0: not yet", 3, last_success_ms, wall_minus_mono_ns);
    per_provider(b, a, "provider_latency_seconds", "gauge", "Latency, exponentially smoothed", 6, latency_us,
                 0);
}

/* A metric over all (provider, model) series. */
struct series_metric {
    const char *name, *help;
    size_t word[2];       /* offsets in struct shm_slot; the second is used with classes */
    const char *class[2]; /* label "class" of the two; NULL: one word without it */
    unsigned places;
};

#define WORD(name) offsetof(struct shm_slot, series.name)
static const struct series_metric series_list[] = {
    {"model_requests_total", "Requests by provider and model", {WORD(requests)}, {NULL}, 0},
    {"model_errors_total", "Requests that failed, by provider and model", {WORD(errors)}, {NULL}, 0},
    {"model_tokens_total", "Tokens by class", {WORD(input), WORD(output)}, {"input", "output"}, 0},
    {"model_cost_usd_total",
     "Cost in USD, of the requests whose price is known",
     {WORD(cost_pico)},
     {NULL},
     12},
    {"model_latency_seconds_total", "Latencies of all requests, added up", {WORD(latency_us)}, {NULL}, 6},
};
#undef WORD

static void series_line(struct buf *b, const struct series_metric *m, unsigned k, const char *provider,
                        const char *model, const struct shm_slot *slot)
{
    const _Atomic uint64_t *word = (const void *)((const char *)slot + m->word[k]);
    buf_printf(b, "aigw_%s{", m->name);
    label(b, "provider", provider);
    buf_add_byte(b, ',');
    label(b, "model", model);
    if (m->class[k]) {
        buf_add_byte(b, ',');
        label(b, "class", m->class[k]);
    }
    buf_add(b, STR("} "));
    decimal_put(b, snapshot_word(word), m->places);
    buf_add_byte(b, '\n');
}

/* Whether an earlier target of the model has the same provider, and so the same series. */
static bool seen(const struct conf_model *m, size_t target)
{
    for (size_t i = 0; i < target; i++)
        if (m->targets[i].provider == m->targets[target].provider)
            return true;
    return false;
}

static void series(struct buf *b, const struct admin *a, const struct series_metric *metric)
{
    bool any = false;
    for (size_t i = 0; i < a->config->n_models; i++) {
        const struct conf_model *m = &a->config->models[i];
        for (size_t t = 0; t < m->n_targets; t++) {
            const char *provider = a->config->providers[m->targets[t].provider].name;
            const struct shm_slot *slot = seen(m, t) ? NULL : snapshot_series(&a->segment, provider, m->name);
            if (!slot)
                continue;
            if (!any)
                head(b, metric->name, "counter", metric->help);
            any = true;
            for (unsigned k = 0; k < 2 && (k == 0 || metric->class[k]); k++)
                series_line(b, metric, k, provider, m->name, slot);
        }
    }
}

void prometheus_write(struct buf *b, const struct admin *a, int64_t mono_ns, int64_t wall_us)
{
    struct snapshot n;
    snapshot_take(&a->segment, mono_ns, &n);
    head(b, "build_info", "gauge", "The version, as a label");
    buf_add(b, STR("aigw_build_info{version=\"" AIGW_VERSION "\"} 1\n"));
    counters(b, &a->segment);
    histograms(b, &a->segment);
    gauges(b, &n);
    providers(b, a, wall_us * NS_PER_US - mono_ns);
    for (size_t i = 0; i < sizeof series_list / sizeof *series_list; i++)
        series(b, a, &series_list[i]);
}

void metrics_get(struct call *c)
{
    if (!c->admin->segment.header) {
        reply_error(c->x->reply, 503, "no_gateway", NULL,
                    "this process was started by hand, beside no gateway");
        return;
    }
    c->x->reply->status = 200;
    c->x->reply->type = "text/plain; version=0.0.4; charset=utf-8";
    prometheus_write(&c->x->reply->body, c->admin, clock_mono_ns(), clock_wall_us());
}

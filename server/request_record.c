/* What a request was, did and cost: its usage row, the metrics, the access log. Run by workers only.
 *
 * A row is written for each request that called a provider or was a cache hit; refusals are counted in the
 * metrics only. The row is begun before the provider is called (a death of this worker then leaves a row
 * marked killed) and published before the client can see the end of its answer. A full ring is waited for,
 * bounded; then the row goes to the spill file, and only the protection against our own death is lost. */
#include "answer.h"
#include "clock.h"
#include "log.h"
#include "price.h"
#include "ring.h"
#include "scoreboard.h"
#include "spill.h"
#include "table.h"

enum { RING_PATIENCE_MS = 200, REF_SERIES = 3 };

static uint32_t saturated_us(int64_t ns)
{
    int64_t us = ns / NS_PER_US;
    if (us < 0)
        return 0;
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* ---- the row ---- */

static const char *provider_name(const struct request *r)
{
    int p = r->provider >= 0 ? r->provider : r->n_targets > 0 ? r->targets[0].provider : -1;
    return p >= 0 ? r->worker->config->providers[p].name : "";
}

static struct str target_name(const struct request *r)
{
    if (r->target_model.n > 0)
        return r->target_model;
    return r->n_targets > 0 ? r->targets[0].model : STR_NULL;
}

static void fill_target(const struct request *r, struct usage_row *row)
{
    str_copy_cut(row->target, sizeof(row->target), target_name(r));
    str_copy_cut(row->provider, sizeof(row->provider), str_of(provider_name(r)));
}

static void fill_static(const struct request *r, struct usage_row *row)
{
    const char *department = r->key.department[0] ? r->key.department : r->team.department;
    *row = (struct usage_row){.time_us = r->start_us, .endpoint = (uint8_t)r->match.endpoint};
    row->flags = r->flags | USAGE_COST_UNKNOWN; /* until fill_result: what a killed call cost nobody knows */
    str_copy_cut(row->request_id, sizeof(row->request_id), str_of(r->id));
    str_copy_cut(row->key_id, sizeof(row->key_id), str_of(r->key.id));
    str_copy_cut(row->team, sizeof(row->team), str_of(r->key.team));
    str_copy_cut(row->department, sizeof(row->department), str_of(department));
    str_copy_cut(row->model, sizeof(row->model), r->model);
    fill_target(r, row);
}

/* An entry of the ring, or, when that stays full, memory of the request that will be spilled. */
static void take_row(struct request *r)
{
    struct worker *w = r->worker;
    struct usage_row *row = ring_entry(&w->segment, w->slot);
    if (!row && ring_wait(&w->segment, w->slot, RING_PATIENCE_MS))
        row = ring_entry(&w->segment, w->slot);
    r->row_spills = row == NULL;
    r->row = row ? row : arena_alloc(r->arena, sizeof(*row));
    if (r->stream)
        r->flags |= USAGE_STREAMED;
    if (!endpoint_is_metered(r->match.endpoint))
        r->flags |= USAGE_NATIVE;
    fill_static(r, r->row);
}

static bool store_refuses(const struct request *r)
{
    const struct worker *w = r->worker;
    return !w->config->ledger.serve_when_full &&
           atomic_load_explicit(&w->segment.header->store_full, memory_order_relaxed) != 0;
}

enum step request_record_begin(struct request *r)
{
    struct worker *w = r->worker;
    if (r->row) { /* another attempt of the same request */
        fill_target(r, r->row);
        return STEP_NEXT;
    }
    if (store_refuses(r)) {
        METRIC_INC(w->metrics, store_full_total);
        return answer_error(r, 503, "usage_store_full", "Usage can't be recorded at the moment.");
    }
    take_row(r);
    if (!r->row_spills)
        ring_begin(&w->segment, w->slot);
    return STEP_NEXT;
}

void request_record_progress(struct request *r)
{
    struct shm_line *l = r->worker->line;
    atomic_store_explicit(&l->run_input, r->tokens.input, memory_order_relaxed);
    atomic_store_explicit(&l->run_output, r->tokens.output, memory_order_relaxed);
}

/* ---- its cost ---- */

static struct price price_of(const struct request *r)
{
    const struct config *conf = r->worker->config;
    if (r->route && r->route->price.known)
        return r->route->price;
    if (r->provider < 0 || !conf->prices)
        return (struct price){.known = false};
    return price_find(conf->prices, str_of(conf->providers[r->provider].type), target_name(r));
}

/* Known: a hit and a refused call cost nothing, tokens cost their price. What is metered in another way
 * (images, audio, batches) has a cost that we don't know. */
static void find_cost(struct request *r)
{
    bool tokens = r->tokens.input + r->tokens.output > 0;
    r->cost_pico = 0;
    bool free_of_charge = r->match.endpoint == EP_FILES || endpoint_counts_tokens(r->match.endpoint);
    if (r->cache == CACHE_HIT || (!tokens && (r->status >= 400 || free_of_charge)))
        return;
    r->price = price_of(r);
    if (tokens && r->price.known)
        r->cost_pico = price_cost_pico(&r->price, &r->tokens);
    else
        r->flags |= USAGE_COST_UNKNOWN;
}

static void fill_result(const struct request *r, struct usage_row *row)
{
    int64_t now = clock_mono_ns();
    fill_target(r, row);
    bool got_none = r->client->gone && !r->head_sent; /* left before anything was sent */
    row->status = got_none ? 0 : (uint16_t)r->status;
    row->flags = r->flags;
    row->attempts = r->attempts;
    row->latency_us = saturated_us(now - r->start_ns);
    row->ttft_us = r->first_byte_ns ? saturated_us(r->first_byte_ns - r->start_ns) : 0;
    row->upstream_us = saturated_us(r->upstream_ns);
    row->tokens = r->tokens;
    row->cost_pico = r->cost_pico;
    row->saved_pico = r->saved_pico;
}

static void spill(struct request *r)
{
    struct worker *w = r->worker;
    struct error err;
    if (spill_append(w->config->state_dir, w->slot, r->row, &err) < 0)
        log_error("usage row of request %s is lost: %s", r->id, err.text);
}

void request_record_publish(struct request *r)
{
    struct worker *w = r->worker;
    bool hit = r->cache == CACHE_HIT;
    if (r->recorded || (!r->row && !hit))
        return;
    r->recorded = true;
    if (!hit && !r->upstream_called) { /* begun, but nothing reached the provider */
        if (!r->row_spills)
            ring_cancel(&w->segment, w->slot);
        r->row = NULL;
        return;
    }
    if (!r->row)
        take_row(r);
    if (hit)
        r->flags |= USAGE_CACHE_HIT;
    if (r->client->gone)
        r->flags |= USAGE_CLIENT_GONE;
    find_cost(r);
    fill_result(r, r->row);
    if (r->row_spills)
        spill(r);
    else
        ring_publish(&w->segment, w->slot);
}

/* ---- metrics and log ---- */

static void count_series(const struct request *r)
{
    struct worker *w = r->worker;
    char name[2 * MAX_NAME + 64];
    const char *provider = provider_name(r), *model = r->route ? r->route->name : "";
    size_t np = str_of(provider).n, nm = str_of(model).n;
    if (np + 1 + nm > sizeof(name))
        return;
    memcpy(name, provider, np);
    name[np] = '\n'; /* as layout.h names it */
    memcpy(name + np + 1, model, nm);
    unsigned __int128 id = table_id(&w->segment, TABLE_SERIES, (struct str){name, np + 1 + nm});
    struct shm_slot *s = table_get(&w->segment, w->line, REF_SERIES, id);
    if (!s)
        return;
    const memory_order free_order = memory_order_relaxed; /* counts only, read by themselves */
    uint64_t us = saturated_us(clock_mono_ns() - r->start_ns);
    atomic_fetch_add_explicit(&s->series.requests, 1, free_order);
    if (r->status == 0 || r->status >= 400)
        atomic_fetch_add_explicit(&s->series.errors, 1, free_order);
    atomic_fetch_add_explicit(&s->series.input, r->tokens.input, free_order);
    atomic_fetch_add_explicit(&s->series.output, r->tokens.output, free_order);
    atomic_fetch_add_explicit(&s->series.cost_pico, r->cost_pico, free_order);
    atomic_fetch_add_explicit(&s->series.latency_us, us, free_order);
    table_release(w->line, REF_SERIES);
}

static void count_usage(const struct request *r)
{
    struct shm_metrics *m = r->worker->metrics;
    metric_add(&m->tokens_input_total, r->tokens.input);
    metric_add(&m->tokens_cached_total, r->tokens.cached);
    metric_add(&m->tokens_cache_write_total, r->tokens.cache_write);
    metric_add(&m->tokens_output_total, r->tokens.output);
    metric_add(&m->tokens_reasoning_total, r->tokens.reasoning);
    metric_add(&m->cost_pico_usd_total, r->cost_pico);
    if (r->flags & USAGE_COST_UNKNOWN)
        METRIC_INC(m, cost_unknown_total);
}

static void count_answer(const struct request *r)
{
    struct shm_metrics *m = r->worker->metrics;
    int64_t now = clock_mono_ns();
    METRIC_INC(m, requests_total);
    if (r->status >= 500)
        METRIC_INC(m, requests_5xx_total);
    else if (r->status >= 400)
        METRIC_INC(m, requests_4xx_total);
    else if (r->status >= 200)
        METRIC_INC(m, requests_2xx_total);
    if (r->client->gone)
        METRIC_INC(m, client_gone_total);
    histogram_add(&m->duration, (now - r->start_ns) / NS_PER_US);
    if (r->first_byte_ns)
        histogram_add(&m->ttft, (r->first_byte_ns - r->start_ns) / NS_PER_US);
    histogram_add(&m->overhead, (now - r->start_ns - r->upstream_ns) / NS_PER_US);
}

static void log_access(const struct request *r)
{
    static const char *const verdicts[] = {"-", "hit", "miss", "bypass"};
    const char *called = r->upstream_called || r->cache == CACHE_HIT ? provider_name(r) : "-";
    log_info("request %s " STR_FMT " " STR_FMT " status=%d ms=%.1f upstream_ms=%.1f key=%s model=\"" STR_FMT
             "\" provider=%s in=%llu out=%llu cache=%s%s",
             r->id, STR_ARG(r->head->method), STR_ARG(r->head->path), r->status,
             (double)(clock_mono_ns() - r->start_ns) / 1e6, (double)r->upstream_ns / 1e6,
             r->authenticated ? r->key.id : "-", STR_ARG(r->model), called,
             (unsigned long long)r->tokens.input, (unsigned long long)r->tokens.output, verdicts[r->cache],
             r->client->gone    ? " client-gone"
             : r->failed_midway ? " cut"
                                : "");
}

void request_record(struct request *r)
{
    struct shm_line *l = r->worker->line;
    request_record_publish(r);
    count_answer(r);
    if (r->row && r->cache != CACHE_HIT) {
        count_usage(r);
        count_series(r);
    }
    atomic_store_explicit(&l->requests, atomic_load_explicit(&l->requests, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&l->phase, PHASE_NONE, memory_order_relaxed);
    if (r->worker->config->log.access && r->head)
        log_access(r);
}

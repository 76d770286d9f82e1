/* The segment as one JSON document for programs. aigw-shmdump only. Strings are made of printable ASCII by
 * dump_printable, so only '"' and '\' need an escape. */
#include "dump.h"

#include "metrics.h"
#include "places.h"
#include "scoreboard.h"

#include <inttypes.h>

static void put_string(FILE *out, const char *name, const char *field, size_t size)
{
    struct dump_field t = dump_printable(field, size);

    fprintf(out, "\"%s\":\"", name);
    for (const char *p = t.text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fputc('\\', out);
        fputc(*p, out);
    }
    fputc('"', out);
}

static void put_header(FILE *out, const struct segment *s)
{
    const struct shm_header *h = s->header;

    fprintf(out,
            "\"header\":{\"segment_id\":\"%016" PRIx64
            "\",\"version\":%u,\"layout_hash\":\"%08x\",\"size\":%zu,"
            "\"created_wall_us\":%" PRId64 ",\"table_slots\":%u,\"table_used\":%u,\"slots_used\":%u,",
            h->segment_id, h->version, h->layout_hash, s->size, h->created_wall_us, s->table_slots,
            atomic_load(&h->table_used), segment_slots_used(s));
    put_string(out, "boot_id", h->boot_id, sizeof h->boot_id);
    fprintf(out,
            ",\"master_pid\":%u,\"live\":%s,\"generation\":%u,\"reloads\":%u,\"reloads_refused\":%u,"
            "\"workers_max\":%u,\"free_workers\":%u,\"waiting\":%u,\"connections\":%u,\"spooled_kb\":%u,"
            "\"insert_gate\":%u,\"ledger_asleep\":%u,\"store_full\":%u}",
            atomic_load(&h->master_pid), dump_is_live(s) ? "true" : "false", atomic_load(&h->generation),
            atomic_load(&h->reloads), atomic_load(&h->reloads_refused), atomic_load(&h->workers_max),
            atomic_load(&h->free_workers), atomic_load(&h->waiting), atomic_load(&h->connections),
            atomic_load(&h->spooled_kb), atomic_load(&h->insert_gate), atomic_load(&h->ledger_asleep),
            atomic_load(&h->store_full));
}

static void put_indexes(FILE *out, const char *name, const _Atomic uint32_t *plus_one, unsigned n)
{
    const char *comma = "";

    fprintf(out, ",\"%s\":[", name);
    for (unsigned k = 0; k < n; k++) {
        uint32_t v = atomic_load(&plus_one[k]);
        if (v == 0)
            continue;
        fprintf(out, "%s%u", comma, v - 1);
        comma = ",";
    }
    fputc(']', out);
}

static void put_line(FILE *out, uint32_t slot, const struct shm_line *l, int64_t now_ns)
{
    fprintf(out, "{\"slot\":%u,", slot);
    put_string(out, "role", l->role, sizeof l->role);
    fprintf(
        out,
        ",\"pid\":%u,\"generation\":%u,\"state\":\"%s\",\"phase\":\"%s\",\"since_s\":%.3f,\"age_s\":%.3f,",
        atomic_load(&l->pid), l->generation, line_state_name(atomic_load(&l->state)),
        request_phase_name(atomic_load(&l->phase)),
        ((double)now_ns - (double)atomic_load(&l->since_ns)) / 1e9,
        ((double)now_ns - (double)atomic_load(&l->started_ns)) / 1e9);
    put_string(out, "model", l->model, sizeof l->model);
    fprintf(out,
            ",\"requests\":%" PRIu64 ",\"provider\":%u,\"run_input\":%" PRIu64 ",\"run_output\":%" PRIu64,
            atomic_load(&l->requests), atomic_load(&l->provider), atomic_load(&l->run_input),
            atomic_load(&l->run_output));
    fprintf(out,
            ",\"open_row\":%" PRIu64 ",\"place_seq\":%" PRIu64 ",\"place_done\":%" PRIu64 ",\"inserting\":%u",
            atomic_load(&l->open_row), l->place_seq, atomic_load(&l->place_done), atomic_load(&l->inserting));
    put_indexes(out, "held", l->held, LINE_PLACES);
    put_indexes(out, "refs", l->refs, LINE_REFS);
    fputc('}', out);
}

static void put_lines(FILE *out, const struct segment *s, int64_t now_ns)
{
    const char *comma = "";

    fputs(",\"lines\":[", out);
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        if (!dump_line_in_use(segment_line(s, i)))
            continue;
        fputs(comma, out);
        put_line(out, i, segment_line(s, i), now_ns);
        comma = ",\n";
    }
    fputc(']', out);
}

static void put_histogram(FILE *out, const struct segment *s, const char *name, size_t offset)
{
    uint64_t bucket[HISTOGRAM_BUCKETS], count, sum_us;

    metrics_sum_histogram(s, offset, bucket, &count, &sum_us);
    fprintf(out, "\"%s\":{\"count\":%" PRIu64 ",\"sum_us\":%" PRIu64 ",\"buckets\":[", name, count, sum_us);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        fprintf(out, "%s{\"le_s\":%.4f,\"count\":%" PRIu64 "}", i ? "," : "", histogram_bound_s(i),
                bucket[i]);
    fputs("]}", out);
}

static void put_metrics(FILE *out, const struct segment *s)
{
    fputs(",\"metrics\":{", out);
    for (size_t i = 0; i < metric_count; i++)
        fprintf(out, "%s\"%s\":%" PRIu64, i ? "," : "", metric_list[i].name,
                metrics_sum(s, metric_list[i].offset));
    fputs("},\"histograms\":{", out);
    put_histogram(out, s, "duration", offsetof(struct shm_metrics, duration));
    fputc(',', out);
    put_histogram(out, s, "ttft", offsetof(struct shm_metrics, ttft));
    fputc(',', out);
    put_histogram(out, s, "overhead", offsetof(struct shm_metrics, overhead));
    fputc('}', out);
}

static void put_slot(FILE *out, uint32_t i, const struct shm_slot *slot, int64_t now_ns)
{
    unsigned kind = atomic_load(&slot->half[0]) & TABLE_KIND_MASK;

    fprintf(out, "{\"slot\":%u,\"id\":\"%016" PRIx64 "%016" PRIx64 "\",\"kind\":\"%s\"", i,
            atomic_load(&slot->half[1]), atomic_load(&slot->half[0]), dump_kind_name(kind));
    if (kind == TABLE_SERIES)
        fprintf(out,
                ",\"requests\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"input\":%" PRIu64 ",\"output\":%" PRIu64
                ",\"cost_pico\":%" PRIu64 ",\"latency_us\":%" PRIu64,
                atomic_load(&slot->series.requests), atomic_load(&slot->series.errors),
                atomic_load(&slot->series.input), atomic_load(&slot->series.output),
                atomic_load(&slot->series.cost_pico), atomic_load(&slot->series.latency_us));
    else if (kind == TABLE_PROVIDER)
        fprintf(out, ",\"places\":%u,\"failures\":%" PRIu64 ",\"latency_ewma_us\":%" PRIu64,
                places_count(&slot->health.places), atomic_load(&slot->health.failures),
                atomic_load(&slot->health.latency_ewma_us));
    else
        fprintf(out,
                ",\"places\":%u,\"owed_ms\":{\"rpm\":%.3f,\"tpm\":%.3f,\"rpd\":%.3f},\"used_ns\":%" PRIu64
                ",\"refused\":%" PRIu64,
                places_count(&slot->limit.places), dump_owed_ms(atomic_load(&slot->limit.rpm_tat), now_ns),
                dump_owed_ms(atomic_load(&slot->limit.tpm_tat), now_ns),
                dump_owed_ms(atomic_load(&slot->limit.rpd_tat), now_ns), atomic_load(&slot->limit.used_ns),
                atomic_load(&slot->limit.refused));
    fputc('}', out);
}

static void put_table(FILE *out, const struct segment *s, int64_t now_ns)
{
    const struct shm_slot *slots = segment_slots(s);
    const char *comma = "";

    fputs(",\"table\":[", out);
    for (uint32_t i = 0; i < s->table_slots; i++) {
        if ((atomic_load(&slots[i].half[0]) & TABLE_KIND_MASK) == 0)
            continue;
        fputs(comma, out);
        put_slot(out, i, &slots[i], now_ns);
        comma = ",\n";
    }
    fputc(']', out);
}

static void put_rings(FILE *out, const struct segment *s)
{
    const char *comma = "";

    fputs(",\"rings\":[", out);
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        const struct shm_ring *r = segment_ring(s, i);
        uint64_t head = atomic_load(&r->head), tail = atomic_load(&r->tail);
        uint64_t open = atomic_load(&segment_line(s, i)->open_row);
        if (head == 0 && tail == 0 && open == 0)
            continue;
        fprintf(out,
                "%s{\"slot\":%u,\"head\":%" PRIu64 ",\"tail\":%" PRIu64 ",\"lag\":%" PRId64 ",\"open\":%s}",
                comma, i, head, tail, (int64_t)(head - tail), open == head + 1 ? "true" : "false");
        comma = ",\n";
    }
    fputc(']', out);
}

static void put_stage(FILE *out, const struct segment *s)
{
    fprintf(out, ",\"stage\":{\"head\":%" PRIu64 ",\"tail\":%" PRIu64 "}",
            atomic_load(&segment_stage(s)->head), atomic_load(&segment_stage(s)->tail));
}

void dump_json(FILE *out, const struct segment *s, int64_t now_ns)
{
    fputc('{', out);
    put_header(out, s);
    put_lines(out, s, now_ns);
    put_metrics(out, s);
    put_table(out, s, now_ns);
    put_rings(out, s);
    put_stage(out, s);
    fputs("}\n", out);
}

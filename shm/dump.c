/* The segment as text for people. aigw-shmdump only; knows the layout and nothing else. */
#include "dump.h"

#include "clock.h"
#include "metrics.h"
#include "places.h"
#include "scoreboard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static bool same_boot(const struct segment *s)
{
    char id[40] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, id, 36);

    if (fd >= 0)
        close(fd);
    return n == 36 && strncmp(id, s->header->boot_id, sizeof id) == 0;
}

int64_t dump_now(const struct segment *s)
{
    int64_t latest = 0;

    if (same_boot(s))
        return clock_mono_ns();
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        int64_t since = atomic_load(&segment_line(s, i)->since_ns);
        latest = since > latest ? since : latest;
    }
    return latest;
}

bool dump_is_live(const struct segment *s)
{
    uint32_t pid = atomic_load(&s->header->master_pid);
    return pid > 0 && pid <= INT32_MAX && same_boot(s) && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

struct dump_field dump_printable(const char *field, size_t size)
{
    struct dump_field t;
    size_t n = 0;

    for (; n < size && n < sizeof t.text - 1 && field[n]; n++)
        t.text[n] = field[n] >= ' ' && field[n] <= '~' ? field[n] : '?';
    t.text[n] = 0;
    return t;
}

const char *dump_kind_name(unsigned kind)
{
    static const char *const names[] = {
        [TABLE_KEY] = "key",           [TABLE_TEAM] = "team",     [TABLE_MODEL] = "model",
        [TABLE_PROVIDER] = "provider", [TABLE_SERIES] = "series",
    };
    return kind < sizeof names / sizeof names[0] && names[kind] ? names[kind] : "invalid";
}

bool dump_line_in_use(const struct shm_line *l)
{
    return atomic_load(&l->state) != LINE_FREE;
}

double dump_owed_ms(uint64_t tat, int64_t now_ns)
{
    uint64_t now = now_ns > 0 ? (uint64_t)now_ns : 0;
    return tat > now ? (double)(tat - now) / 1e6 : 0;
}

static double age_s(int64_t since_ns, int64_t now_ns)
{
    return ((double)now_ns - (double)since_ns) / 1e9;
}

static void text_header(FILE *out, const struct segment *s)
{
    const struct shm_header *h = s->header;
    time_t made = (time_t)(h->created_wall_us / 1000000);
    struct tm tm;
    char when[32] = "?";

    if (gmtime_r(&made, &tm))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    fprintf(out, "segment %016" PRIx64 "  layout %u/%08x  %.1f MB  made %s  boot %s\n", h->segment_id,
            h->version, h->layout_hash, (double)s->size / 1048576, when,
            dump_printable(h->boot_id, sizeof h->boot_id).text);
    fprintf(out, "master %u (%s)  generation %u  reloads %u  refused %u\n", atomic_load(&h->master_pid),
            dump_is_live(s) ? "alive" : "gone", atomic_load(&h->generation), atomic_load(&h->reloads),
            atomic_load(&h->reloads_refused));
    fprintf(out, "connections %u  spooled %u KB  waiting %u  free workers %u of at most %u  lines used %u\n",
            atomic_load(&h->connections), atomic_load(&h->spooled_kb), atomic_load(&h->waiting),
            atomic_load(&h->free_workers), atomic_load(&h->workers_max), segment_slots_used(s));
    fprintf(out, "ledger %s  store %s  insert gate %s\n", atomic_load(&h->ledger_asleep) ? "waits" : "works",
            atomic_load(&h->store_full) ? "FULL" : "takes rows",
            atomic_load(&h->insert_gate) ? "closed" : "open");
}

static void text_line(FILE *out, uint32_t slot, const struct shm_line *l, int64_t now_ns)
{
    fprintf(out, "%5u %-10s %8u %4u  %-9s %-8s %9.1f %9" PRIu64 "  ", slot,
            dump_printable(l->role, sizeof l->role).text, atomic_load(&l->pid), l->generation,
            line_state_name(atomic_load(&l->state)), request_phase_name(atomic_load(&l->phase)),
            age_s(atomic_load(&l->since_ns), now_ns), atomic_load(&l->requests));
    for (unsigned k = 0; k < LINE_PLACES; k++)
        if (atomic_load(&l->held[k]) != 0)
            fprintf(out, "%u:%u ", k, atomic_load(&l->held[k]) - 1);
    fprintf(out, " %s\n", dump_printable(l->model, sizeof l->model).text);
}

static void text_lines(FILE *out, const struct segment *s, int64_t now_ns)
{
    fprintf(out, "\nlines in use\n slot role            pid  gen  state     phase     since s  requests  "
                 "places  model\n");
    for (uint32_t i = 0; i < MAX_SLOTS; i++)
        if (dump_line_in_use(segment_line(s, i)))
            text_line(out, i, segment_line(s, i), now_ns);
}

static void text_histogram(FILE *out, const struct segment *s, const char *name, size_t offset)
{
    uint64_t bucket[HISTOGRAM_BUCKETS], count, sum_us;

    metrics_sum_histogram(s, offset, bucket, &count, &sum_us);
    if (count == 0)
        return;
    fprintf(out, "  %-32s %" PRIu64 " values, mean %.1f ms", name, count,
            (double)sum_us / (double)count / 1e3);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (bucket[i] > 0)
            fprintf(out, "  <=%.1fms %" PRIu64, histogram_bound_s(i) * 1e3, bucket[i]);
    fputc('\n', out);
}

static void text_metrics(FILE *out, const struct segment *s)
{
    fprintf(out, "\ncounters that are not 0\n");
    for (size_t i = 0; i < metric_count; i++) {
        uint64_t sum = metrics_sum(s, metric_list[i].offset);
        if (sum != 0)
            fprintf(out, "  %-32s %" PRIu64 "\n", metric_list[i].name, sum);
    }
    text_histogram(out, s, "duration", offsetof(struct shm_metrics, duration));
    text_histogram(out, s, "ttft", offsetof(struct shm_metrics, ttft));
    text_histogram(out, s, "overhead", offsetof(struct shm_metrics, overhead));
}

static void text_slot(FILE *out, uint32_t i, const struct shm_slot *slot, int64_t now_ns)
{
    unsigned kind = atomic_load(&slot->half[0]) & TABLE_KIND_MASK;

    fprintf(out, "%7u %016" PRIx64 "%016" PRIx64 " %-8s", i, atomic_load(&slot->half[1]),
            atomic_load(&slot->half[0]), dump_kind_name(kind));
    if (kind == TABLE_SERIES)
        fprintf(out, " requests %" PRIu64 " errors %" PRIu64 " input %" PRIu64 " output %" PRIu64,
                atomic_load(&slot->series.requests), atomic_load(&slot->series.errors),
                atomic_load(&slot->series.input), atomic_load(&slot->series.output));
    else if (kind == TABLE_PROVIDER)
        fprintf(out, " places %u failures %" PRIu64 " latency %.1f ms", places_count(&slot->health.places),
                atomic_load(&slot->health.failures),
                (double)atomic_load(&slot->health.latency_ewma_us) / 1e3);
    else
        fprintf(out, " places %u owed ms: rpm %.1f tpm %.1f rpd %.1f  refused %" PRIu64,
                places_count(&slot->limit.places), dump_owed_ms(atomic_load(&slot->limit.rpm_tat), now_ns),
                dump_owed_ms(atomic_load(&slot->limit.tpm_tat), now_ns),
                dump_owed_ms(atomic_load(&slot->limit.rpd_tat), now_ns), atomic_load(&slot->limit.refused));
    fputc('\n', out);
}

static void text_table(FILE *out, const struct segment *s, int64_t now_ns)
{
    const struct shm_slot *slots = segment_slots(s);

    fprintf(out, "\ntable: %u of %u slots used (%.1f %%)\n", atomic_load(&s->header->table_used),
            s->table_slots, 100.0 * atomic_load(&s->header->table_used) / s->table_slots);
    for (uint32_t i = 0; i < s->table_slots; i++)
        if ((atomic_load(&slots[i].half[0]) & TABLE_KIND_MASK) != 0)
            text_slot(out, i, &slots[i], now_ns);
}

static void text_stage(FILE *out, const struct segment *s)
{
    uint64_t head = atomic_load(&segment_stage(s)->head), tail = atomic_load(&segment_stage(s)->tail);
    fprintf(out, "\nusage rows staged for the store: %" PRIu64 " (%" PRIu64 " to %" PRIu64 ")\n", head - tail,
            tail, head);
}

static void text_rings(FILE *out, const struct segment *s)
{
    fprintf(out, "\nrings that were used\n slot       head       tail  lag  open row\n");
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        const struct shm_ring *r = segment_ring(s, i);
        uint64_t head = atomic_load(&r->head), tail = atomic_load(&r->tail);
        uint64_t open = atomic_load(&segment_line(s, i)->open_row);
        if (head != 0 || tail != 0 || open != 0)
            fprintf(out, "%5u %10" PRIu64 " %10" PRIu64 " %4" PRId64 "  %s\n", i, head, tail,
                    (int64_t)(head - tail), open == head + 1 ? "yes" : "no");
    }
}

void dump_text(FILE *out, const struct segment *s, int64_t now_ns)
{
    text_header(out, s);
    text_lines(out, s, now_ns);
    text_metrics(out, s);
    text_table(out, s, now_ns);
    text_rings(out, s);
    text_stage(out, s);
}

/* /v1/providers: the configured providers and how they fare. Never a credential: this process has none. */
#include "api.h"
#include "clock.h"
#include "places.h"
#include "snapshot.h"

/* A monotonic time of the segment as wall time; 0: null. */
static void write_when(struct json_writer *w, const char *name, uint64_t ns, int64_t wall_minus_mono_ns)
{
    json_member_time(w, name, ns ? ((int64_t)ns + wall_minus_mono_ns) / NS_PER_SEC : 0);
}

static void write_health(struct json_writer *w, const struct shm_slot *slot, int64_t wall_minus_mono_ns)
{
    json_member_u64(w, "in_flight", slot ? places_count(&slot->health.places) : 0);
    json_member_u64(w, "failures", slot ? snapshot_word(&slot->health.failures) : 0);
    write_when(w, "last_ok_at", slot ? snapshot_word(&slot->health.last_ok_ns) : 0, wall_minus_mono_ns);
    write_when(w, "last_failure_at", slot ? snapshot_word(&slot->health.last_fail_ns) : 0,
               wall_minus_mono_ns);
    uint64_t latency = slot ? snapshot_word(&slot->health.latency_ewma_us) : 0;
    if (latency)
        json_member_decimal(w, "latency_ms", latency, 3);
    else
        json_member_null(w, "latency_ms");
}

void providers_list(struct call *c)
{
    const struct admin *a = c->admin;
    int64_t difference = clock_wall_us() * NS_PER_US - clock_mono_ns();
    struct json_writer w = reply_json(c->x->reply, 200);
    json_open(&w, '{');
    json_member_open(&w, "data", '[');
    for (size_t i = 0; i < a->config->n_providers; i++) {
        const struct conf_provider *p = &a->config->providers[i];
        json_open(&w, '{');
        json_member_strz(&w, "name", p->name);
        json_member_strz(&w, "type", p->type);
        json_member_strz(&w, "base_url", p->base_url);
        json_member_limit(&w, "max_in_flight", p->max_in_flight);
        write_health(&w, a->segment.header ? snapshot_provider(&a->segment, p->name) : NULL, difference);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
}

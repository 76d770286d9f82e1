/* Limits and places: reserved before the call, settled after it. Run by workers only.
 *
 * Order: all limits of key and team are looked at first, so that a refusal changes nothing; then the places
 * are taken, then the limits, one CAS each; whoever loses a race in between gives back what he took, by the
 * rule of a settlement. Tokens are reserved by estimate; when they are settled, `tat` (what our CAS wrote)
 * bounds the refund. Keys and teams without limits take no part in the table at all.
 *
 * What comes back: everything when no provider was called (but for a cache hit, which keeps its request) and
 * when the provider failed; else the unused tokens. A client that left pays for what was metered. */
#include "answer.h"
#include "clock.h"
#include "limiter.h"
#include "places.h"
#include "scoreboard.h"
#include "table.h"

enum { PLACE_KEY, PLACE_TEAM, PLACE_PROVIDER };
enum { REF_KEY, REF_TEAM, REF_PROVIDER };

#define MINUTE_NS (60 * NS_PER_SEC)
#define DAY_NS    (86400 * NS_PER_SEC)

/* The three buckets of a principal, for loops over them. */
struct bucket {
    struct reservation *res;
    struct limit_result *seen;
    const char *kind; /* of the 429's type */
};

static bool limited(const struct key_limits *l)
{
    return l->rpm || l->tpm || l->rpd || l->max_parallel;
}

static uint64_t tokens_of(const struct request *r)
{
    return r->prompt_estimate + r->output_estimate;
}

/* Finds the principal's slot and says what is to be taken from its words. -1: the table is full. */
static int join(struct request *r, struct admission *a, unsigned ref, enum table_kind kind, const char *name,
                const struct key_limits *l)
{
    struct worker *w = r->worker;
    if (!limited(l))
        return 0;
    a->slot = table_get(&w->segment, w->line, ref, table_id(&w->segment, kind, str_of(name)));
    if (!a->slot)
        return -1;
    struct shm_slot *s = a->slot;
    atomic_store_explicit(&s->limit.used_ns, (uint64_t)r->start_ns, memory_order_relaxed);
    a->rpm = (struct reservation){&s->limit.rpm_tat, {l->rpm, l->rpm_burst, MINUTE_NS}, 1, 0};
    a->tpm = (struct reservation){&s->limit.tpm_tat, {l->tpm, l->tpm_burst, MINUTE_NS}, tokens_of(r), 0};
    a->rpd = (struct reservation){&s->limit.rpd_tat, {l->rpd, l->rpd_burst, DAY_NS}, 1, 0};
    return 0;
}

static size_t buckets_of(struct admission *a, struct bucket out[3])
{
    if (!a->slot)
        return 0;
    out[0] = (struct bucket){&a->rpm, &a->rpm_seen, "requests"};
    out[1] = (struct bucket){&a->rpd, &a->rpd_seen, "requests"};
    out[2] = (struct bucket){&a->tpm, &a->tpm_seen, "tokens"};
    return 3;
}

static size_t all_buckets(struct request *r, struct bucket out[6])
{
    size_t n = buckets_of(&r->by_key, out);
    return n + buckets_of(&r->by_team, out + n);
}

/* ---- refusals ---- */

static void count_refusal(struct request *r, const struct bucket *b)
{
    struct shm_slot *s =
        b->seen == &r->by_key.rpm_seen || b->seen == &r->by_key.rpd_seen || b->seen == &r->by_key.tpm_seen
            ? r->by_key.slot
            : r->by_team.slot;
    if (s) /* shared by all workers: a read-modify-write */
        atomic_fetch_add_explicit(&s->limit.refused, 1, memory_order_relaxed);
}

static enum step refuse_too_large(struct request *r, const struct bucket *b)
{
    METRIC_INC(r->worker->metrics, limited_too_large_total);
    count_refusal(r, b);
    return answer_error(
        r, 400, "request_exceeds_token_limit",
        "This request may use %llu tokens (prompt and the most it may answer), more than your "
        "token limit ever allows at once. Ask for less, for example with max_tokens.",
        (unsigned long long)b->res->amount);
}

static enum step refuse_limit(struct request *r, const struct bucket *b)
{
    bool tokens = b->res == &r->by_key.tpm || b->res == &r->by_team.tpm;
    bool day = b->res->limit.period_ns == DAY_NS;
    if (b->seen->never)
        return refuse_too_large(r, b);
    if (tokens)
        METRIC_INC(r->worker->metrics, limited_tokens_total);
    else
        METRIC_INC(r->worker->metrics, limited_requests_total);
    count_refusal(r, b);
    int64_t ms = (b->seen->retry_ns + NS_PER_MS - 1) / NS_PER_MS;
    struct failure f = {
        .status = 429,
        .type = b->kind,
        .code = "rate_limit_exceeded",
        .retry_after_ms = ms > 0 ? ms : 1,
        .message = arena_printf(r->arena,
                                "Rate limit reached for %s per %s (limit %llu, needed %llu). "
                                "Try again in %lld ms.",
                                b->kind, day ? "day" : "minute", (unsigned long long)b->res->limit.limit,
                                (unsigned long long)b->res->amount, (long long)ms),
    };
    return answer_failure(r, &f);
}

static enum step refuse_parallel(struct request *r, const struct admission *a, uint32_t most)
{
    METRIC_INC(r->worker->metrics, limited_parallel_total);
    atomic_fetch_add_explicit(&a->slot->limit.refused, 1, memory_order_relaxed);
    struct failure f = {
        .status = 429,
        .type = "requests",
        .code = "max_parallel_exceeded",
        .retry_after_ms = 1000,
        .message = arena_printf(r->arena, "%u requests are under way already, the most allowed.", most)};
    return answer_failure(r, &f);
}

static enum step refuse_full_table(struct request *r)
{
    METRIC_INC(r->worker->metrics, table_full_total);
    return answer_error(r, 503, "limits_unavailable", "Limits can't be checked at the moment.");
}

/* ---- taking ---- */

/* The refusal that would hold the longest, if any: a caller told to wait should not be refused again by
 * another limit that was already known. */
static const struct bucket *first_look(struct bucket *b, size_t n, int64_t now)
{
    const struct bucket *worst = NULL;
    for (size_t i = 0; i < n; i++) {
        *b[i].seen = limit_check(b[i].res->word, &b[i].res->limit, b[i].res->amount, now);
        if (b[i].seen->ok)
            continue;
        if (!worst || b[i].seen->never ||
            (!worst->seen->never && b[i].seen->retry_ns > worst->seen->retry_ns))
            worst = &b[i];
    }
    return worst;
}

/* By the rule of a settlement: never more than is still owed. */
static void give_back(const struct reservation *res, uint64_t amount, int64_t now)
{
    if (res->word && res->tat != 0)
        limit_refund(res->word, &res->limit, amount, res->tat, now);
}

static const struct bucket *take_all(struct bucket *b, size_t n, int64_t now)
{
    for (size_t i = 0; i < n; i++) {
        *b[i].seen = limit_take(b[i].res->word, &b[i].res->limit, b[i].res->amount, now);
        if (b[i].seen->ok) {
            b[i].res->tat = b[i].seen->tat;
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            give_back(b[k].res, b[k].res->amount, now);
            b[k].res->tat = 0;
        }
        return &b[i];
    }
    return NULL;
}

/* 1: taken, or there is no such limit. */
static int take_place(struct request *r, struct admission *a, unsigned place, uint32_t most)
{
    struct worker *w = r->worker;
    return !a->slot || most == 0 || places_take(&w->segment, w->slot, place, a->slot, most);
}

static void leave(struct request *r)
{
    struct worker *w = r->worker;
    if (r->by_key.slot) {
        places_give(&w->segment, w->slot, PLACE_KEY);
        table_release(w->line, REF_KEY);
    }
    if (r->by_team.slot) {
        places_give(&w->segment, w->slot, PLACE_TEAM);
        table_release(w->line, REF_TEAM);
    }
}

static enum step admit(struct request *r)
{
    struct bucket b[6];
    size_t n = all_buckets(r, b);
    int64_t now = clock_mono_ns();
    const struct bucket *refused = first_look(b, n, now);
    if (refused)
        return refuse_limit(r, refused);
    if (!take_place(r, &r->by_key, PLACE_KEY, r->key.limits.max_parallel))
        return refuse_parallel(r, &r->by_key, r->key.limits.max_parallel);
    if (!take_place(r, &r->by_team, PLACE_TEAM, r->team.limits.max_parallel))
        return refuse_parallel(r, &r->by_team, r->team.limits.max_parallel);
    refused = take_all(b, n, now);
    return refused ? refuse_limit(r, refused) : STEP_NEXT;
}

enum step request_admit(struct request *r)
{
    atomic_store_explicit(&r->worker->line->phase, PHASE_ADMIT, memory_order_relaxed);
    r->admitted = true; /* from here on there may be something to settle */
    if (join(r, &r->by_key, REF_KEY, TABLE_KEY, r->key.id, &r->key.limits) < 0)
        return refuse_full_table(r);
    if (r->key.team[0] && join(r, &r->by_team, REF_TEAM, TABLE_TEAM, r->key.team, &r->team.limits) < 0)
        return refuse_full_table(r);
    return r->by_key.slot || r->by_team.slot ? admit(r) : STEP_NEXT;
}

/* ---- settling ---- */

static uint64_t used_tokens(const struct request *r)
{
    return r->tokens.input + r->tokens.output;
}

/* The provider failed us, and did nothing that counts. A client that left is no provider's failure. */
static bool provider_failed(const struct request *r)
{
    if (used_tokens(r) > 0 || r->client->gone || (r->flags & USAGE_CLIENT_GONE))
        return false;
    return r->status == 0 || r->status >= 500 || r->status == 429 || r->failed_midway;
}

static void settle_one(struct request *r, struct admission *a, bool all_back, int64_t now)
{
    if (!a->slot)
        return;
    if (all_back) {
        give_back(&a->rpm, a->rpm.amount, now);
        give_back(&a->rpd, a->rpd.amount, now);
        give_back(&a->tpm, a->tpm.amount, now);
    } else {
        uint64_t used = r->cache == CACHE_HIT ? 0 : used_tokens(r);
        if (used < a->tpm.amount)
            give_back(&a->tpm, a->tpm.amount - used, now);
        else if (used > a->tpm.amount)
            limit_debit(a->tpm.word, &a->tpm.limit, used - a->tpm.amount, now);
    }
    /* what x-ratelimit-remaining-tokens tells is the settled state */
    if (a->tpm.tat != 0)
        a->tpm_seen = limit_check(a->tpm.word, &a->tpm.limit, 0, now);
}

void request_settle(struct request *r)
{
    admit_provider_done(r);
    if (!r->admitted)
        return;
    r->admitted = false;
    if (!r->by_key.slot && !r->by_team.slot)
        return;
    int64_t now = clock_mono_ns();
    bool all_back = r->cache != CACHE_HIT && (!r->upstream_called || provider_failed(r));
    settle_one(r, &r->by_key, all_back, now);
    settle_one(r, &r->by_team, all_back, now);
    leave(r);
}

/* ---- providers' share of the workers ---- */

/* Identities are fixed for the life of a segment and of a generation's configuration, hence of a worker. */
static unsigned __int128 provider_id(const struct worker *w, size_t provider)
{
    static unsigned __int128 ids[MAX_PROVIDERS];
    if (ids[provider] == 0)
        ids[provider] = table_id(&w->segment, TABLE_PROVIDER, str_of(w->config->providers[provider].name));
    return ids[provider];
}

static uint32_t in_flight_elsewhere(const struct worker *w, size_t except)
{
    uint32_t n = 0;
    for (size_t i = 0; i < w->config->n_providers && i < MAX_PROVIDERS; i++) {
        const struct shm_slot *s = i == except ? NULL : table_peek(&w->segment, provider_id(w, i));
        if (s)
            n += places_count(&s->health.places);
    }
    return n;
}

static uint32_t most_in_flight(const struct worker *w, size_t provider)
{
    const struct config *conf = w->config;
    uint32_t most;
    if (conf->providers[provider].max_in_flight > 0)
        return conf->providers[provider].max_in_flight;
    if (conf->n_providers < 2) {
        most = conf->workers.max > conf->workers.spare ? conf->workers.max - conf->workers.spare : 0;
    } else {
        uint32_t elsewhere = in_flight_elsewhere(w, provider);
        most = conf->workers.max > elsewhere ? (conf->workers.max - elsewhere) / 2 : 0;
    }
    return most > 0 ? most : 1;
}

bool admit_provider(struct request *r, uint16_t provider)
{
    struct worker *w = r->worker;
    admit_provider_done(r);
    struct shm_slot *s = table_get(&w->segment, w->line, REF_PROVIDER, provider_id(w, provider));
    if (!s) {
        METRIC_INC(w->metrics, table_full_total);
        return false;
    }
    r->holds_provider = true;
    r->provider_slot = s;
    atomic_store_explicit(&s->health.used_ns, (uint64_t)r->start_ns, memory_order_relaxed);
    if (places_take(&w->segment, w->slot, PLACE_PROVIDER, s, most_in_flight(w, provider)))
        return true;
    METRIC_INC(w->metrics, provider_full_total);
    admit_provider_done(r);
    return false;
}

void admit_provider_done(struct request *r)
{
    struct worker *w = r->worker;
    if (!r->holds_provider)
        return;
    r->holds_provider = false;
    places_give(&w->segment, w->slot, PLACE_PROVIDER);
    table_release(w->line, REF_PROVIDER);
}

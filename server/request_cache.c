/* Answers a request from the response cache, and hands complete answers to it. Run by workers only.
 *
 * What is the same request: the same endpoint, the same targets (so two names of one route share, and a
 * changed route, or a provider that is another one now, does not hit), the same of what else alters an answer
 * (the route's own settings, betas, the query), and the same body, whatever its white space, its members'
 * order, the caller's name for the model, and whether the answer is to be streamed. All of it goes into one
 * SHA-256, together with whose it is (cache.scope): that a cached answer never crosses tenants needs no
 * further check.
 *
 * An entry is a whole answer in the caller's dialect (stream_join.h says how streams become one), and is told
 * whole or as a stream, as it is asked for.
 *
 * A temperature above 0, or n above 1, is no reason not to answer from the cache: whoever wants another draw
 * says `cache-control: no-cache`. */
#include "answer.h"
#include "clock.h"
#include "hash.h"
#include "json_out.h"
#include "response_cache.h"
#include "scoreboard.h"
#include "stream_tell.h"
#include "translate.h"

enum { MAX_TTL_S = 365 * 24 * 3600, KEY_EXTRA = 64 * 1024 };

/* It goes on with something that the provider keeps and that the call changes, or goes on when it has been
 * answered: no two such calls are the same. */
static bool has_state(const struct request *r)
{
    enum { CONVERSATION, BACKGROUND, CONTAINER, COUNT };
    static const char *const paths[COUNT] = {"conversation", "background", "container"};
    struct json_value v[COUNT];
    return json_scan(r->body, paths, COUNT, v, NULL) != 0 || v[CONVERSATION].type == JSON_STRING ||
           v[CONVERSATION].type == JSON_OBJECT || v[BACKGROUND].type == JSON_TRUE ||
           v[CONTAINER].type == JSON_STRING || json_member(v[CONTAINER], "id").type == JSON_STRING;
}

static bool cacheable(const struct request *r)
{
    if (!r->worker->config->cache.enabled || r->n_targets == 0)
        return false;
    switch (r->match.endpoint) {
    case EP_CHAT:
    case EP_COMPLETIONS:
    case EP_EMBEDDINGS:
    case EP_GENERATE:
    case EP_EMBED_CONTENT:
        return true;
    case EP_MESSAGES:
        return !has_state(r);
    case EP_RESPONSES: /* not one that is retrieved, or cancelled */
        return str_eq(r->head->method, STR("POST")) && str_eq(r->match.rest, STR("/responses")) &&
               !has_state(r);
    default:
        return false;
    }
}

/* ---- what the caller asks for ---- */

struct controls {
    bool read, store;
};

/* Each header line of that name, each of its comma-separated words. */
static void take_cache_control(const struct http_head *head, struct controls *c)
{
    for (size_t i = 0; i < head->n; i++) {
        struct str list = head->headers[i].value, word;
        if (!str_ieq(head->headers[i].name, STR("cache-control")))
            continue;
        while (str_split(&list, ',', &word)) {
            word = str_trim(word);
            if (str_ieq(word, STR("no-cache")))
                c->read = false;
            else if (str_ieq(word, STR("no-store")))
                c->read = c->store = false;
        }
    }
}

static enum step take_controls(struct request *r, struct controls *c)
{
    struct str value;
    uint64_t ttl = r->worker->config->cache.ttl_s;
    *c = (struct controls){.read = true, .store = true};
    take_cache_control(r->head, c);
    if (http_find(r->head, "x-aigw-cache-ttl", &value) && (str_u64(value, &ttl) < 0 || ttl > MAX_TTL_S))
        return answer_error(r, 400, "invalid_value",
                            "x-aigw-cache-ttl takes a number of seconds from 0 (not cached) to %d.",
                            MAX_TTL_S);
    if (ttl == 0)
        c->read = c->store = false;
    r->cache_ttl_s = (int64_t)ttl;
    return STEP_NEXT;
}

/* ---- whose, and which ---- */

static void set_scope(struct request *r)
{
    enum cache_scope scope = r->worker->config->cache.scope;
    if (scope == CACHE_SCOPE_GLOBAL)
        snprintf(r->cache_scope, sizeof r->cache_scope, "global");
    else if (scope == CACHE_SCOPE_TEAM && r->key.team[0] != '\0')
        snprintf(r->cache_scope, sizeof r->cache_scope, "team:%s", r->key.team);
    else
        snprintf(r->cache_scope, sizeof r->cache_scope, "key:%s", r->key.id);
}

static void spell_text(struct buf *b, struct str text)
{
    buf_printf(b, "%zu:", text.n);
    buf_add(b, text);
    buf_add_byte(b, '\n');
}

/* Of the header lines those that reach a provider and that its answer may depend on. */
static void spell_headers(const struct request *r, struct buf *b)
{
    static const char *const names[][2] = {[DIALECT_OPENAI] = {"openai-beta", NULL},
                                           [DIALECT_ANTHROPIC] = {"anthropic-beta", "anthropic-version"},
                                           [DIALECT_GOOGLE] = {NULL, NULL}};
    for (size_t i = 0; i < 2; i++) {
        const char *name = names[r->dialect][i];
        struct str value = STR_NULL;
        if (name)
            http_find(r->head, name, &value);
        spell_text(b, value);
    }
}

/* Of Anthropic's query only beta has a meaning; of Google's, "alt" is the answer's framing, and others are
 * the caller's credential. */
static bool alters_answer(const struct request *r, struct str parameter)
{
    static const struct str nothing[] = {STR("alt="), STR("key="), STR("access_token=")};
    if (r->dialect == DIALECT_ANTHROPIC)
        return str_eq(parameter, STR("beta=true"));
    if (str_starts(parameter, STR("%24")))
        parameter = (struct str){parameter.p + 3, parameter.n - 3};
    else if (str_starts(parameter, STR("$")))
        parameter = (struct str){parameter.p + 1, parameter.n - 1};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        if (str_starts(parameter, nothing[i]))
            return false;
    return parameter.n > 0;
}

static void spell_query(const struct request *r, struct buf *b)
{
    struct str query = r->head->query, one;
    while (str_split(&query, '&', &one))
        if (alters_answer(r, one))
            spell_text(b, one);
    buf_add_byte(b, '\n');
}

static void spell_word(struct buf *b, const char *word)
{
    spell_text(b, word ? str_of(word) : STR_NULL);
}

/* Who answers: a name that stands for another account, place or version after a reload is another provider.
 */
static void spell_provider(const struct conf_provider *p, struct buf *b)
{
    const char *const words[] = {p->name,    p->type,     p->base_url, p->api_version,
                                 p->project, p->location, p->region};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        spell_word(b, words[i]);
    buf_printf(b, "%d\n%zu\n", (int)p->responses, p->n_headers);
    for (size_t i = 0; i < p->n_headers; i++) {
        spell_word(b, p->headers[i].name);
        spell_word(b, p->headers[i].value);
    }
}

static void spell_targets(const struct request *r, struct buf *b)
{
    buf_printf(b, "%zu\n", r->n_targets);
    for (size_t i = 0; i < r->n_targets; i++) {
        spell_provider(&r->worker->config->providers[r->targets[i].provider], b);
        spell_text(b, r->targets[i].model);
    }
}

/* What of a route decides about an answer: what is refused, what is left out, how long it may be. */
static void spell_route(const struct conf_model *route, struct buf *b)
{
    if (route)
        buf_printf(b, "%d %d %u\n", (int)route->strict, (int)route->hosted_tools,
                   (unsigned)route->max_output);
}

/* Each part has its length before it or is JSON, so no two requests are spelled alike. */
static int spell(struct request *r, struct buf *b)
{
    static const char *const skip[] = {"stream", "stream_options", "model"};
    buf_add(b, STR("aigw response 3\n"));
    spell_text(b, str_of(r->cache_scope));
    buf_printf(b, "%d\n%d\n", (int)r->match.endpoint, r->match.batch);
    spell_route(r->route, b);
    spell_targets(r, b);
    spell_headers(r, b);
    spell_query(r, b);
    return json_canonical(b, r->body, skip, sizeof skip / sizeof *skip, r->arena) < 0 || b->full ? -1 : 0;
}

static int make_key(struct request *r)
{
    struct buf b;
    buf_init(&b, r->body.n + KEY_EXTRA);
    set_scope(r);
    int rc = spell(r, &b);
    if (rc == 0)
        sha256(b.p, b.n, r->cache_key);
    buf_free(&b);
    return rc;
}

/* ---- a hit ---- */

/* From here on it is one: costs nothing, draws no token limit (request_settle), counts what it saved. */
static void note_hit(struct request *r, const struct cache_entry *e)
{
    struct shm_metrics *m = r->worker->metrics;
    const struct config *conf = r->worker->config;
    const struct conf_provider *p = config_provider(conf, e->provider);
    r->cache = CACHE_HIT;
    r->cache_store = false;
    r->flags |= USAGE_CACHE_HIT;
    r->tokens = e->tokens;
    r->tokens_known = true;
    r->cost_pico = 0;
    r->saved_pico = e->cost_pico == UINT64_MAX ? 0 : e->cost_pico;
    r->provider = p != NULL ? (int)(p - conf->providers) : -1;
    r->target_model = e->model;
    METRIC_INC(m, cache_hits_total);
    metric_add(&m->cache_saved_pico_usd_total, r->saved_pico);
}

/* Told anew: it was called without them, too. */
static void tell_dropped(struct request *r, const struct cache_entry *e)
{
    if (e->dropped.n > 0)
        answer_header(r, "x-aigw-dropped-params", e->dropped);
}

/* STEP_NEXT: the entry can't be told as a stream, and nothing has been sent. */
static enum step replay_stream(struct request *r, const struct cache_entry *e)
{
    struct stream_tell how = {
        .endpoint = r->match.endpoint, .with_usage = r->wants_usage, .array = translate_array(r)};
    struct buf out;
    buf_init(&out, (size_t)4 * MAX_ANSWER);
    int events = stream_tell(&how, e->body, r->arena, &out);
    if (events >= 0) {
        note_hit(r, e);
        tell_dropped(r, e);
        metric_add(&r->worker->metrics->stream_events_total, (uint64_t)events);
        answer_at_once(r, 200, how.array ? STR("application/json") : STR("text/event-stream"), buf_str(&out));
    }
    buf_free(&out);
    return events >= 0 ? STEP_DONE : STEP_NEXT;
}

static enum step answer_hit(struct request *r, const struct cache_entry *e)
{
    if (r->stream && endpoint_generates(r->match.endpoint))
        return replay_stream(r, e);
    note_hit(r, e);
    tell_dropped(r, e);
    return answer_whole(r, 200, "application/json", e->body);
}

static enum step look_up(struct request *r)
{
    struct shm_metrics *m = r->worker->metrics;
    struct cache_entry e;
    int found = r->worker->cache == NULL
                    ? 0
                    : cache_find(r->worker->cache, r->cache_key, clock_wall_us() / 1000000, r->arena, &e);
    if (found == 1 && answer_hit(r, &e) == STEP_DONE)
        return STEP_DONE;
    if (found < 0)
        METRIC_INC(m, cache_errors_total);
    if (found == CACHE_DAMAGED)
        cache_report(r->worker->heritage->cache_fd, r->worker->cache);
    METRIC_INC(m, cache_misses_total);
    return STEP_NEXT;
}

enum step request_cache(struct request *r)
{
    struct controls c;
    if (!cacheable(r))
        return STEP_NEXT;
    atomic_store_explicit(&r->worker->line->phase, PHASE_CACHE, memory_order_relaxed);
    if (take_controls(r, &c) == STEP_DONE)
        return STEP_DONE;
    r->cache = c.read ? CACHE_MISS : CACHE_BYPASS;
    if (!c.store || make_key(r) < 0) {
        r->cache = CACHE_BYPASS;
        return STEP_NEXT;
    }
    r->cache_store = true;
    return c.read ? look_up(r) : STEP_NEXT;
}

/* ---- a miss that has been answered ---- */

/* Words of OpenAI and its relatives for an end that is none: cut by a filter, or broken off. */
static bool is_bad_end(struct str reason)
{
    static const struct str words[] = {
        STR(""),        STR("content_filter"), STR("safety"),
        STR("refusal"), STR("sensitive"),      STR("error"),
        STR("abort"),   STR("cancelled"),      STR("insufficient_system_resource")};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(reason, words[i]))
            return true;
    return false;
}

/* Each choice has come to its own end. */
static bool choices_complete(struct json_value choices, struct arena *a)
{
    static const char *const paths[] = {"finish_reason"};
    struct json_value choice, reason;
    if (choices.type != JSON_ARRAY || choices.count == 0)
        return false;
    for (size_t at = 0; json_next(choices.raw, &at, NULL, &choice) == 1;) {
        if (choice.type != JSON_OBJECT || json_scan(choice.raw, paths, 1, &reason, NULL) < 0 ||
            reason.type != JSON_STRING || is_bad_end(json_text(reason, a)))
            return false;
    }
    return true;
}

/* The same of Google's candidates. */
static bool candidates_complete(struct json_value candidates, struct arena *a)
{
    struct json_value candidate;
    if (candidates.type != JSON_ARRAY || candidates.count == 0)
        return false;
    for (size_t at = 0; json_next(candidates.raw, &at, NULL, &candidate) == 1;) {
        struct str reason = json_text(json_member(candidate, "finishReason"), a);
        if (!str_eq(reason, STR("STOP")) && !str_eq(reason, STR("MAX_TOKENS")))
            return false;
    }
    return true;
}

/* Anthropic's word for a proper end. */
static bool stop_complete(struct json_value reason, struct arena *a)
{
    struct str s = json_text(reason, a);
    return s.n > 0 && !str_eq(s, STR("refusal")) && !str_eq(s, STR("pause_turn")) &&
           !str_eq(s, STR("compaction"));
}

/* What OpenAI calls incomplete has come to its end where it reached its maximum. */
static bool response_complete(struct str answer, struct arena *a)
{
    static const char *const paths[] = {"status", "output", "incomplete_details.reason"};
    struct json_value v[3];
    if (json_scan(answer, paths, 3, v, NULL) < 0 || v[1].type != JSON_ARRAY)
        return false;
    struct str status = json_text(v[0], a);
    return str_eq(status, STR("completed")) ||
           (str_eq(status, STR("incomplete")) && str_eq(json_text(v[2], a), STR("max_output_tokens")));
}

static bool is_complete(const struct request *r, struct str answer)
{
    static const char *const paths[] = {"error",      "choices",   "data",      "stop_reason",
                                        "candidates", "embedding", "embeddings"};
    enum { V_ERROR, V_CHOICES, V_DATA, V_STOP, V_CANDIDATES, V_ONE, V_MANY, COUNT };
    struct json_value v[COUNT];
    if (json_scan(answer, paths, COUNT, v, NULL) < 0)
        return false;
    if (v[V_ERROR].type != JSON_ABSENT && v[V_ERROR].type != JSON_NULL)
        return false;
    switch (r->match.endpoint) {
    case EP_EMBEDDINGS:
        return v[V_DATA].type == JSON_ARRAY && v[V_DATA].count > 0;
    case EP_EMBED_CONTENT:
        return v[V_ONE].type == JSON_OBJECT || (v[V_MANY].type == JSON_ARRAY && v[V_MANY].count > 0);
    case EP_MESSAGES:
        return stop_complete(v[V_STOP], r->arena);
    case EP_RESPONSES:
        return response_complete(answer, r->arena);
    case EP_GENERATE:
        return candidates_complete(v[V_CANDIDATES], r->arena);
    default:
        return choices_complete(v[V_CHOICES], r->arena);
    }
}

void request_cache_store(struct request *r, struct str answer)
{
    const struct worker *w = r->worker;
    if (!r->cache_store || r->status != 200 || r->failed_midway || (r->flags & USAGE_CUT) ||
        answer.n > w->config->cache.max_entry || !is_complete(r, answer))
        return;
    int64_t now_s = clock_wall_us() / 1000000;
    struct cache_entry e = {
        .stored_s = now_s,
        .expires_s = now_s + r->cache_ttl_s,
        .tokens = r->tokens,
        .cost_pico = r->flags & USAGE_COST_UNKNOWN ? UINT64_MAX : r->cost_pico,
        .provider = r->provider >= 0 ? str_of(w->config->providers[r->provider].name) : STR_NULL,
        .model = r->target_model.n < MAX_NAME ? r->target_model : STR_NULL,
        .dropped = r->dropped,
        .body = answer,
    };
    if (cache_post(w->heritage->cache_fd, r->cache_key, r->cache_scope, &e, w->config->cache.max_entry) < 0)
        METRIC_INC(w->metrics, cache_errors_total);
}

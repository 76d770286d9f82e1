/* Calls the providers that can serve a request, one after another until one answers, and has its answer
 * relayed. Run by workers.
 *
 * The next target is tried only where the last one can't have done any work: it was full, or no connection
 * came about. Whatever was sent is settled as spent by the later stages (r->upstream_called), and the row of
 * the ledger is begun before anything is sent, so that a worker's death in between is recorded, too. */
#include "answer.h"
#include "clock.h"
#include "credential.h"
#include "health.h"
#include "log.h"
#include "relay.h"
#include "scoreboard.h"
#include "translate.h"

#include <string.h>

/* The caller's own bound (r->deadline_ns) may be less than what the configuration grants, never more. */
static int64_t deadline_of(const struct request *r, const struct conf_provider *p)
{
    uint32_t ms = p->timeouts.total ? p->timeouts.total : r->worker->config->timeouts.total;
    int64_t deadline = r->start_ns + ms * NS_PER_MS;
    return r->deadline_ns && r->deadline_ns < deadline ? r->deadline_ns : deadline;
}

static void show(struct request *r, uint16_t provider)
{
    struct shm_line *l = r->worker->line;
    atomic_store_explicit(&l->provider, provider + 1u, memory_order_relaxed); /* for people */
    str_copy_cut(l->model, sizeof(l->model), r->target_model);
}

/* Names the target in the request and in the row that a crash would leave. */
static enum step begin(struct request *r, uint16_t provider, struct str model)
{
    r->provider = provider;
    r->target_model = model;
    r->attempts++;
    show(r, provider);
    log_debug("request %s: attempt %u: %s to provider %s, model " STR_FMT, r->id, r->attempts,
              endpoint_name(r->match.endpoint), r->worker->config->providers[provider].name, STR_ARG(model));
    return request_record_begin(r);
}

static enum upstream_result call(struct attempt *a, int64_t deadline_ns, struct error *err)
{
    struct request *r = a->r;
    struct upstream_call c = {
        .provider = (uint16_t)r->provider,
        .method = r->head->method,
        .path = a->call.path,
        .headers = a->call.headers,
        .body = a->call.body,
        .deadline_ns = deadline_ns,
        .authorize = a->dialect->authorize,
        .sent = &r->upstream_called,
    };
    enum upstream_result res = upstream_start(r->worker->upstreams, &c, r->client, &a->up, &a->head, err);
    if (r->upstream_called)
        METRIC_INC(r->worker->metrics, upstream_requests_total);
    relay_note_wait(a);
    return res;
}

/* Each vendor calls it otherwise. */
static void tell_request_id(struct attempt *a)
{
    static const char *const names[] = {
        "x-request-id",           "request-id",       "x-amzn-requestid",  "apim-request-id",
        "mistral-correlation-id", "x-debug-trace-id", "x-goog-request-id", "cf-ray"};
    struct str id;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (http_find(a->head, names[i], &id) && id.n > 0 && id.n <= 200) {
            answer_header(a->r, "x-aigw-upstream-request-id", id);
            return;
        }
}

static enum step relay(struct attempt *a)
{
    struct request *r = a->r;
    r->upstream_answered = true;
    tell_request_id(a);
    r->dropped = a->dropped;
    if (a->dropped.n > 0)
        answer_header(r, "x-aigw-dropped-params", a->dropped);
    if (a->head->status >= 200 && a->head->status < 300) {
        if (a->avoids_responses)
            translate_note_no_responses(a);
        return relay_answer(a);
    }
    return relay_error(a);
}

/* A caller's own mistake, or his leaving, says nothing bad of the provider. */
static void note_health(const struct request *r, enum upstream_result res, int status)
{
    int64_t now = clock_mono_ns();
    if (!r->provider_slot || res == UPSTREAM_CLIENT_GONE)
        return;
    if (res == UPSTREAM_OK && status < 500 && status != 429 && !(r->flags & USAGE_CUT))
        health_ok(r->provider_slot, now, r->first_byte_ns ? (r->first_byte_ns - r->start_ns) / NS_PER_US : 0);
    else
        health_failed(r->provider_slot, now);
}

static bool worth_another(const struct request *r, enum upstream_result res)
{
    return !r->upstream_called && (res == UPSTREAM_CONNECT_FAILED || res == UPSTREAM_CONNECT_TIMEOUT);
}

/* The credential that has to be fetched first, the call, its answer. */
static enum upstream_result prepare_and_call(struct attempt *a, struct error *err)
{
    struct request *r = a->r;
    int64_t deadline = deadline_of(r, a->conf);
    struct patience patience = patience_for(r, deadline);
    if (a->dialect->prepare && a->dialect->prepare(r, a->conf, &patience, err) != 0)
        return patience_gone(&patience) ? UPSTREAM_CLIENT_GONE : UPSTREAM_CONNECT_FAILED;
    return call(a, deadline, err);
}

/* The same request once more, translated; -1: it can't be, so the answer that came is told. */
static int make_again(struct attempt *a)
{
    struct request *r = a->r;
    struct failure ignored;
    struct provider_call before = a->call;
    a->avoids_responses = true;
    if (translate_call(a, a->target, &ignored) != 0) {
        buf_free(&a->call.room);
        a->call = before;
        a->translates = a->avoids_responses = false;
        return -1;
    }
    upstream_end(&a->up);
    r->attempts++;
    return 0;
}

/* A fetched credential (a token, a role's keys) was refused, though it should have held longer: once more
 * with a fresh one. Nothing was done for the first call. */
static bool renewed(struct attempt *a)
{
    if (a->head->status != 401 || !a->dialect->prepare || a->conf->has_key || a->conf->access_key_env)
        return false;
    credential_refused(a->conf);
    upstream_end(&a->up);
    a->r->attempts++;
    return true;
}

static enum step exchange(struct attempt *a, struct failure *f)
{
    struct request *r = a->r;
    struct error err = {""};
    enum upstream_result res = prepare_and_call(a, &err);
    if (res == UPSTREAM_OK && translate_no_responses(a) && make_again(a) == 0)
        res = prepare_and_call(a, &err);
    if (res == UPSTREAM_OK && renewed(a))
        res = prepare_and_call(a, &err);
    enum step step = STEP_DONE;
    if (res == UPSTREAM_OK) {
        step = relay(a);
    } else if (res == UPSTREAM_CLIENT_GONE) {
        step = relay_client_gone(a, 0);
    } else {
        relay_failure_of(a, res, &err, f);
        step = worth_another(r, res) ? STEP_NEXT : answer_failure(r, f);
    }
    note_health(r, res, a->head ? a->head->status : 0);
    upstream_end(&a->up);
    return step;
}

/* The provider's request: the caller's own bytes, or a translation. -1: it can't be expressed there. */
static int make(struct attempt *a, struct failure *f)
{
    struct request *r = a->r;
    struct str model = r->targets[a->target].model;
    if (!translate_passes(a, model))
        return translate_call(a, a->target, f);
    if (a->dialect->build) {
        int rc = a->dialect->build(r, a->conf, model, &a->call, f);
        return rc == 0 ? translate_settle_dropped(a, a->call.dropped, f) : rc;
    }
    *f = (struct failure){
        .status = 400, .code = "unsupported_endpoint", .message = STR("This provider has no such endpoint.")};
    return -1;
}

static enum step begin_and_exchange(struct attempt *a, struct failure *f)
{
    struct request *r = a->r;
    const struct str model = r->targets[a->target].model;
    return begin(r, r->targets[a->target].provider, model) == STEP_NEXT ? exchange(a, f) : STEP_DONE;
}

/* One target. STEP_NEXT: another one may be tried, *f says why this one can't. */
static enum step attempt(struct request *r, size_t target, struct failure *f)
{
    const struct config *c = r->worker->config;
    uint16_t provider = r->targets[target].provider;
    struct attempt a = {
        .r = r, .target = target, .conf = &c->providers[provider], .waited_before_ns = r->upstream_ns};
    a.dialect = provider_find(a.conf->type);
    if (!a.dialect)
        return answer_error(r, 500, "gateway_misconfigured", "Provider %s has an unknown type.",
                            a.conf->name);
    enum step step = STEP_NEXT; /* another target may be able to express it */
    if (make(&a, f) == 0)
        step = a.counted ? translate_counted(&a) : begin_and_exchange(&a, f);
    buf_free(&a.call.room);
    return step;
}

enum step request_attempt(struct request *r)
{
    struct failure f = {
        .status = 503, .code = "no_provider", .message = STR("No provider serves this request.")};
    for (size_t i = 0; i < r->n_targets; i++) {
        if (!admit_provider(r, r->targets[i].provider)) {
            f = (struct failure){.status = 503,
                                 .code = "provider_overloaded",
                                 .message =
                                     STR("The provider has as many requests under way as it may have."),
                                 .retry_after_ms = 1000};
            continue;
        }
        enum step step = attempt(r, i, &f);
        admit_provider_done(r);
        if (step == STEP_DONE)
            return STEP_DONE;
    }
    return answer_failure(r, &f);
}

/* Which targets can serve a request, in which order. The models endpoints answer here, with what this key may
 * use. Run by workers only.
 *
 * An endpoint that names no model (files, batches, a retrieved response) goes to the first provider of type
 * "openai", or, where there is none, to the first one. A key that is restricted to certain models may only
 * make calls that name one of them. */
#include "answer.h"
#include "clock.h"
#include "json_out.h"
#include "pattern.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_TIMEOUT_MS = 24 * 3600 * 1000 };

/* ---- what the key may use ---- */

static bool key_allows(const struct key_record *k, struct str model)
{
    for (size_t i = 0; i < k->n_models && i < KEY_MAX_MODELS; i++)
        if (pattern_match(str_of(k->models[i]), model))
            return true;
    return k->n_models == 0;
}

/* A configured name may be a pattern itself: it is listed when the key may use some name of it. */
static bool key_lists(const struct key_record *k, struct str configured)
{
    for (size_t i = 0; i < k->n_models && i < KEY_MAX_MODELS; i++)
        if (patterns_meet(str_of(k->models[i]), configured))
            return true;
    return k->n_models == 0;
}

static enum step forbidden(struct request *r)
{
    METRIC_INC(r->worker->metrics, auth_forbidden_total);
    if (r->model.n == 0)
        return answer_error(r, 403, "model_not_allowed",
                            "This API key is restricted to certain models, and this call names none.");
    struct failure f = {.status = 403,
                        .code = "model_not_allowed",
                        .param = "model",
                        .message = arena_printf(r->arena, "This API key may not use the model `" STR_FMT "`.",
                                                STR_ARG(r->model))};
    return answer_failure(r, &f);
}

/* 404, but for the Responses endpoint, whose vendor answers 400. */
static enum step no_such_model(struct request *r, struct str model)
{
    size_t most = 128;
    if (model.n > most)
        model.n = most;
    struct failure f = {.status = r->match.endpoint == EP_RESPONSES ? 400 : 404,
                        .code = "model_not_found",
                        .message = arena_printf(r->arena,
                                                "The model `" STR_FMT
                                                "` does not exist or you do not have access to it.",
                                                STR_ARG(model))};
    return answer_failure(r, &f);
}

/* ---- the models endpoints ---- */

static void put_model(struct buf *b, const struct request *r, const struct conf_model *m, struct str id)
{
    const struct config *conf = r->worker->config;
    const char *owner = m->n_targets > 0 ? conf->providers[m->targets[0].provider].name : "aigw";
    buf_add(b, STR("{\"id\":"));
    json_put_string(b, id);
    buf_printf(b, ",\"object\":\"model\",\"created\":%" PRId64 ",\"owned_by\":",
               r->worker->segment.header->created_wall_us / 1000000);
    json_put_string(b, str_of(owner));
    buf_add_byte(b, '}');
}

static enum step list_models(struct request *r)
{
    const struct config *conf = r->worker->config;
    struct buf b;
    bool first = true;
    buf_init(&b, (size_t)512 * (conf->n_models + 1));
    buf_add(&b, STR("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < conf->n_models; i++) {
        const struct conf_model *m = &conf->models[i];
        if (!key_lists(&r->key, str_of(m->name)))
            continue;
        if (!first)
            buf_add_byte(&b, ',');
        first = false;
        put_model(&b, r, m, str_of(m->name));
    }
    buf_add(&b, STR("]}"));
    enum step s = answer_whole(r, 200, "application/json", buf_str(&b));
    buf_free(&b);
    return s;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%3A" → ":". A path that endpoint_match took has no escape that would change its segments. */
static struct str percent_decoded(struct str s, struct arena *a)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int hi = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1, lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
        if (s.p[i] != '%' || hi < 0 || lo < 0) {
            p[n++] = s.p[i];
            continue;
        }
        p[n++] = (char)(hi << 4 | lo);
        i += 2;
    }
    return (struct str){p, n};
}

static enum step show_model(struct request *r)
{
    struct str id = percent_decoded(r->match.rest, r->arena);
    const struct conf_model *m = config_model(r->worker->config, id);
    if (!m && id.n > 0 && id.p[id.n - 1] == '*') /* as it is listed */
        for (size_t i = 0; i < r->worker->config->n_models && !m; i++)
            if (str_eq(str_of(r->worker->config->models[i].name), id))
                m = &r->worker->config->models[i];
    if (!m || id.n >= MAX_NAME || !key_lists(&r->key, id))
        return no_such_model(r, id);
    char room[1024];
    struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    put_model(&b, r, m, id);
    return answer_whole(r, 200, "application/json", buf_str(&b));
}

/* ---- targets ---- */

/* Google's SDKs may send the caller's credential as the parameter "key": it is never passed on. */
static void hide_key(struct request *r)
{
    struct str rest = r->head->query, part;
    if (rest.n < 4 || !memmem(rest.p, rest.n, "key=", 4))
        return;
    struct buf b = {.p = arena_alloc(r->arena, rest.n), .cap = rest.n, .max = rest.n};
    while (str_split(&rest, '&', &part)) {
        if (str_starts(part, STR("key=")))
            continue;
        if (b.n > 0)
            buf_add_byte(&b, '&');
        buf_add(&b, part);
    }
    r->head->query = buf_str(&b);
}

static void only_target(struct request *r, size_t provider)
{
    r->targets[0].provider = (uint16_t)provider;
    r->targets[0].model = r->model;
    r->n_targets = 1;
}

static enum step plan_native(struct request *r)
{
    const struct config *conf = r->worker->config;
    const struct conf_provider *p = config_provider(conf, r->match.provider);
    if (!p)
        return answer_error(r, 404, "unknown_url", "There is no provider named " STR_FMT ".",
                            STR_ARG(r->match.provider));
    if (r->key.n_models > 0 && (r->model.n == 0 || !key_allows(&r->key, r->model)))
        return forbidden(r);
    only_target(r, (size_t)(p - conf->providers));
    return STEP_NEXT;
}

static enum step plan_without_model(struct request *r)
{
    const struct config *conf = r->worker->config;
    size_t chosen = 0;
    if (conf->n_providers == 0)
        return answer_error(r, 503, NULL, "No provider is configured.");
    if (r->key.n_models > 0)
        return forbidden(r);
    while (chosen < conf->n_providers && !str_eq(str_of(conf->providers[chosen].type), STR("openai")))
        chosen++;
    only_target(r, chosen < conf->n_providers ? chosen : 0);
    return STEP_NEXT;
}

static enum step plan_model(struct request *r)
{
    const struct conf_model *m = config_model(r->worker->config, r->model);
    if (!m || r->model.n >= MAX_NAME)
        return no_such_model(r, r->model);
    if (!key_allows(&r->key, r->model))
        return forbidden(r);
    r->route = m;
    for (size_t i = 0; i < m->n_targets && i < MAX_TARGETS; i++) {
        struct str name = str_of(m->targets[i].model);
        r->targets[i].provider = m->targets[i].provider;
        r->targets[i].model = str_eq(name, STR("*")) ? r->model : name;
        r->n_targets++;
    }
    return STEP_NEXT;
}

/* x-aigw-timeout-ms: the caller's own bound on the whole request. */
static enum step take_timeout(struct request *r)
{
    struct str value;
    uint64_t ms;
    if (!http_find(r->head, "x-aigw-timeout-ms", &value))
        return STEP_NEXT;
    if (str_u64(value, &ms) < 0 || ms == 0 || ms > MAX_TIMEOUT_MS)
        return answer_error(r, 400, "invalid_value",
                            "x-aigw-timeout-ms takes a number of milliseconds from 1 to %d.", MAX_TIMEOUT_MS);
    r->deadline_ns = r->start_ns + (int64_t)ms * NS_PER_MS;
    return STEP_NEXT;
}

enum step request_plan(struct request *r)
{
    str_copy_cut(r->worker->line->model, sizeof(r->worker->line->model), r->model); /* for people only */
    if (r->match.endpoint == EP_MODELS)
        return list_models(r);
    if (r->match.endpoint == EP_MODEL)
        return show_model(r);
    if (take_timeout(r) == STEP_DONE)
        return STEP_DONE;
    hide_key(r);
    if (r->match.endpoint == EP_NATIVE)
        return plan_native(r);
    return r->model.n > 0 ? plan_model(r) : plan_without_model(r);
}

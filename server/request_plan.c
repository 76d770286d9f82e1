/* Which targets can serve a request, in which order; the models endpoints have no targets and are answered
 * (models.c). Run by workers only.
 *
 * An endpoint that names no model (files, batches, a retrieved response) goes to the first provider of type
 * "openai", or, where there is none, to the first one. A key that is restricted to certain models may only
 * make calls that name one of them. */
#include "answer.h"
#include "clock.h"
#include "models.h"
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

/* ---- targets ---- */

/* Google's SDKs may send the caller's credential as the parameter "key": it is never passed on. */
static void hide_key(struct request *r)
{
    struct str rest = r->head->query, part;
    if (rest.n < 4 || !memmem(rest.p, rest.n, "key=", 4))
        return;
    struct buf b = arena_buf(r->arena, rest.n);
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

/* The model that a native call's path names, as vendors do whose bodies don't: "/v1beta/models/NAME:method",
 * "/model/NAME/invoke", "/openai/deployments/NAME/…". Empty: none. */
static struct str model_in_path(const struct request *r)
{
    static const struct str names[] = {STR("models"),      STR("tunedModels"), STR("model"),
                                       STR("deployments"), STR("engines"),     STR("endpoints")};
    struct str path = percent_decoded(r->match.rest, r->arena), step, model;
    while (str_split(&path, '/', &step)) {
        size_t i = 0;
        while (i < sizeof(names) / sizeof(names[0]) && !str_ieq(step, names[i]))
            i++;
        while (path.n > 0 && path.p[0] == '/')
            path.p++, path.n--;
        struct str rest = path;
        if (i == sizeof(names) / sizeof(names[0]) || !str_split(&rest, '/', &model))
            continue;
        const char *colon = memrchr(model.p, ':', model.n);
        if (colon && !str_ieq(step, STR("model"))) /* Bedrock's names have some of their own */
            model.n = (size_t)(colon - model.p);
        if (!str_eq(model, STR("openapi"))) /* Vertex's door for models that the body names */
            return model;
    }
    return STR_NULL;
}

/* All names that a restricted key's native call bears must be its own. */
static bool allows_native(struct request *r)
{
    struct str in_path = model_in_path(r);
    if (r->model.n > 0 && !key_allows(&r->key, r->model))
        return false;
    if (in_path.n > 0 && !key_allows(&r->key, in_path))
        return false;
    return r->model.n > 0 || (in_path.n > 0 && str_eq(r->head->method, STR("POST")));
}

static enum step plan_native(struct request *r)
{
    const struct config *conf = r->worker->config;
    const struct conf_provider *p = config_provider(conf, r->match.provider);
    if (!p)
        return answer_error(r, 404, "unknown_url",
                            "There is nothing at %.*s, and no provider named " STR_FMT ".",
                            (int)(r->head->path.n < 200 ? r->head->path.n : 200), r->head->path.p,
                            STR_ARG(r->match.provider));
    if (r->key.n_models > 0 && !allows_native(r))
        return forbidden(r);
    if (r->model.n == 0) /* for the record, and its price */
        r->model = model_in_path(r);
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

/* A name that leads to an account or project, which may be another one than the configured: only where the
 * configuration spells that out. */
static bool leads_elsewhere(struct str model, struct str configured)
{
    static const struct str fronts[] = {STR("projects/"), STR("arn:")};
    for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++)
        if (str_starts(model, fronts[i]))
            return !str_starts(configured, fronts[i]);
    return false;
}

static enum step plan_model(struct request *r)
{
    const struct conf_model *m = config_model(r->worker->config, r->model);
    if (!m || r->model.n >= MAX_NAME || leads_elsewhere(r->model, str_of(m->name)))
        return answer_no_such_model(r, r->model);
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
        return models_list(r);
    if (r->match.endpoint == EP_MODEL)
        return models_show(r);
    if (take_timeout(r) == STEP_DONE)
        return STEP_DONE;
    hide_key(r);
    if (r->match.endpoint == EP_NATIVE)
        return plan_native(r);
    return r->model.n > 0 ? plan_model(r) : plan_without_model(r);
}

/* Lists the configured models that a key may use, in the caller's dialect, with context window and price
 * where they are known. Run by workers only. */
#include "models.h"

#include "answer.h"
#include "answer_head.h"
#include "json_write.h"
#include "pattern.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct listing {
    struct request *r;
    struct json_writer w;
    struct str first, last; /* ids, for Anthropic's paging */
};

/* A configured name may be a pattern itself: it is listed when the key may use some name of it. */
static bool key_lists(const struct key_record *k, struct str configured)
{
    for (size_t i = 0; i < k->n_models && i < KEY_MAX_MODELS; i++)
        if (patterns_meet(str_of(k->models[i]), configured))
            return true;
    return k->n_models == 0;
}

struct price model_price(const struct config *conf, const struct conf_model *m, size_t target, struct str id)
{
    struct price p = m->price;
    const struct conf_target *t = &m->targets[target];
    struct str name = strcmp(t->model, "*") == 0 ? id : str_of(t->model);
    struct price listed = {0};
    if (conf->prices)
        listed = price_find(conf->prices, str_of(conf->providers[t->provider].type), name);
    if (!p.known)
        p = listed;
    p.context_window = m->context_window ? m->context_window : listed.context_window;
    p.max_output = m->max_output ? m->max_output : listed.max_output;
    return p;
}

/* ---- one model ---- */

static void put_rate(struct json_writer *w, const char *name, uint64_t pico)
{
    char room[40];
    struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    answer_put_usd(&b, pico * 1000000);
    json_member_raw(w, name, buf_str(&b));
}

/* USD per million tokens. */
static void put_prices(struct json_writer *w, const struct price *p)
{
    if (!p->known)
        return;
    json_member_open(w, "pricing", '{');
    json_member_strz(w, "unit", "USD per million tokens");
    put_rate(w, "input", p->input);
    put_rate(w, "cached_input", p->cached);
    put_rate(w, "cache_write", p->cache_write);
    put_rate(w, "output", p->output);
    json_close(w, '}');
}

static void put_openai(struct listing *l, const struct conf_model *m, struct str id, const struct price *p)
{
    const struct config *conf = l->r->worker->config;
    json_member_str(&l->w, "id", id);
    json_member_strz(&l->w, "object", "model");
    json_member_i64(&l->w, "created", l->r->worker->segment.header->created_wall_us / 1000000);
    json_member_strz(&l->w, "owned_by",
                     m->n_targets > 0 ? conf->providers[m->targets[0].provider].name : "aigw");
    if (p->context_window)
        json_member_i64(&l->w, "context_window", p->context_window);
    if (p->max_output)
        json_member_i64(&l->w, "max_output_tokens", p->max_output);
    put_prices(&l->w, p);
}

static void put_anthropic(struct listing *l, struct str id, const struct price *p)
{
    char when[32];
    struct tm tm;
    time_t created = (time_t)(l->r->worker->segment.header->created_wall_us / 1000000);
    gmtime_r(&created, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_member_strz(&l->w, "type", "model");
    json_member_str(&l->w, "id", id);
    json_member_str(&l->w, "display_name", id);
    json_member_strz(&l->w, "created_at", when);
    if (p->context_window)
        json_member_i64(&l->w, "max_input_tokens", p->context_window);
    if (p->max_output)
        json_member_i64(&l->w, "max_tokens", p->max_output);
    put_prices(&l->w, p);
}

static void put_google(struct listing *l, struct str id, const struct price *p)
{
    static const char *const methods[] = {"generateContent", "streamGenerateContent", "countTokens",
                                          "embedContent", "batchEmbedContents"};
    json_member_str(&l->w, "name", arena_printf(l->r->arena, "models/" STR_FMT, STR_ARG(id)));
    json_member_str(&l->w, "displayName", id);
    if (p->context_window)
        json_member_i64(&l->w, "inputTokenLimit", p->context_window);
    if (p->max_output)
        json_member_i64(&l->w, "outputTokenLimit", p->max_output);
    json_member_open(&l->w, "supportedGenerationMethods", '[');
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        json_strz(&l->w, methods[i]);
    json_close(&l->w, ']');
    put_prices(&l->w, p);
}

static void put_model(struct listing *l, const struct conf_model *m, struct str id)
{
    struct price p = {0};
    if (m->n_targets > 0)
        p = model_price(l->r->worker->config, m, 0, id);
    json_open(&l->w, '{');
    if (l->r->dialect == DIALECT_ANTHROPIC)
        put_anthropic(l, id, &p);
    else if (l->r->dialect == DIALECT_GOOGLE)
        put_google(l, id, &p);
    else
        put_openai(l, m, id, &p);
    json_close(&l->w, '}');
    l->first = l->first.n ? l->first : id;
    l->last = id;
}

/* ---- the endpoints ---- */

static void open_list(struct listing *l)
{
    json_open(&l->w, '{');
    if (l->r->dialect == DIALECT_OPENAI)
        json_member_strz(&l->w, "object", "list");
    json_member_open(&l->w, l->r->dialect == DIALECT_GOOGLE ? "models" : "data", '[');
}

/* An empty id is null to Anthropic's paging. */
static void put_id(struct json_writer *w, const char *name, struct str id)
{
    json_name(w, name);
    if (id.n > 0)
        json_str(w, id);
    else
        json_null(w);
}

static void close_list(struct listing *l)
{
    json_close(&l->w, ']');
    if (l->r->dialect == DIALECT_ANTHROPIC) {
        json_member_bool(&l->w, "has_more", false);
        put_id(&l->w, "first_id", l->first);
        put_id(&l->w, "last_id", l->last);
    }
    json_close(&l->w, '}');
}

enum step models_list(struct request *r)
{
    const struct config *conf = r->worker->config;
    struct buf b;
    buf_init(&b, (size_t)2048 * (conf->n_models + 1));
    struct listing l = {.r = r, .w = json_writer(&b)};
    open_list(&l);
    for (size_t i = 0; i < conf->n_models; i++)
        if (key_lists(&r->key, str_of(conf->models[i].name)))
            put_model(&l, &conf->models[i], str_of(conf->models[i].name));
    close_list(&l);
    enum step s = answer_whole(r, 200, "application/json", buf_str(&b));
    buf_free(&b);
    return s;
}

/* 404, but for the Responses endpoint, whose vendor answers 400. */
enum step answer_no_such_model(struct request *r, struct str model)
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

enum step models_show(struct request *r)
{
    struct str id = percent_decoded(r->match.rest, r->arena);
    const struct config *conf = r->worker->config;
    const struct conf_model *m = config_model(conf, id);
    if (!m && id.n > 0 && id.p[id.n - 1] == '*') /* as it is listed */
        for (size_t i = 0; i < conf->n_models && !m; i++)
            if (str_eq(str_of(conf->models[i].name), id))
                m = &conf->models[i];
    if (!m || id.n >= MAX_NAME || !key_lists(&r->key, id))
        return answer_no_such_model(r, id);
    char room[2048];
    struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    struct listing l = {.r = r, .w = json_writer(&b)};
    put_model(&l, m, id);
    return answer_whole(r, 200, "application/json", buf_str(&b));
}

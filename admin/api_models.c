/* /v1/models: what the configuration offers, where it goes, and what it costs where that is known. */
#include "api.h"

static void write_price(struct json_writer *w, const struct price *p)
{
    json_member_bool(w, "price_known", p->known);
    if (!p->known) {
        json_member_null(w, "usd_per_million_tokens");
        return;
    }
    json_member_open(w, "usd_per_million_tokens",
                     '{'); /* a pico-USD a token is a micro-USD a million of them */
    json_member_decimal(w, "input", p->input, 6);
    json_member_decimal(w, "cached", p->cached, 6);
    json_member_decimal(w, "cache_write", p->cache_write, 6);
    json_member_decimal(w, "output", p->output, 6);
    json_close(w, '}');
}

static void write_target(struct json_writer *w, const struct config *c, const struct conf_model *m,
                         const struct conf_target *t)
{
    const struct conf_provider *p = &c->providers[t->provider];
    const char *model = strcmp(t->model, "*") ? t->model : m->name;
    struct price price = m->price;
    if (!price.known && c->prices)
        price = price_find(c->prices, str_of(p->type), str_of(model));
    json_open(w, '{');
    json_member_strz(w, "provider", p->name);
    json_member_strz(w, "model", t->model);
    write_price(w, &price);
    json_close(w, '}');
}

void models_list(struct call *c)
{
    const struct config *config = c->admin->config;
    struct json_writer w = reply_json(c->x->reply, 200);
    json_open(&w, '{');
    json_member_open(&w, "data", '[');
    for (size_t i = 0; i < config->n_models; i++) {
        const struct conf_model *m = &config->models[i];
        json_open(&w, '{');
        json_member_strz(&w, "name", m->name);
        json_member_limit(&w, "context_window", m->context_window);
        json_member_limit(&w, "max_output", m->max_output);
        json_member_open(&w, "targets", '[');
        for (size_t t = 0; t < m->n_targets; t++)
            write_target(&w, config, m, &m->targets[t]);
        json_close(&w, ']');
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
}

/* /v1/models: what the configuration offers, where it goes, and what it costs where that is known. */
#include "api.h"

static void write_price(struct json_writer *w, const struct price *p)
{
    jw_bool_in(w, "price_known", p->known);
    if (!p->known) {
        jw_null_in(w, "usd_per_million_tokens");
        return;
    }
    jw_open_in(w, "usd_per_million_tokens", '{'); /* a pico-USD a token is a micro-USD a million of them */
    jw_decimal_in(w, "input", p->input, 6);
    jw_decimal_in(w, "cached", p->cached, 6);
    jw_decimal_in(w, "cache_write", p->cache_write, 6);
    jw_decimal_in(w, "output", p->output, 6);
    jw_close(w, '}');
}

static void write_target(struct json_writer *w, const struct config *c, const struct conf_model *m,
                         const struct conf_target *t)
{
    const struct conf_provider *p = &c->providers[t->provider];
    const char *model = strcmp(t->model, "*") ? t->model : m->name;
    struct price price = m->price;
    if (!price.known && c->prices)
        price = price_find(c->prices, str_of(p->type), str_of(model));
    jw_open(w, '{');
    jw_text_in(w, "provider", p->name);
    jw_text_in(w, "model", t->model);
    write_price(w, &price);
    jw_close(w, '}');
}

void models_list(struct call *c)
{
    const struct config *config = c->admin->config;
    struct json_writer w = reply_json(c->x->reply, 200);
    jw_open(&w, '{');
    jw_open_in(&w, "data", '[');
    for (size_t i = 0; i < config->n_models; i++) {
        const struct conf_model *m = &config->models[i];
        jw_open(&w, '{');
        jw_text_in(&w, "name", m->name);
        jw_limit_in(&w, "context_window", m->context_window);
        jw_limit_in(&w, "max_output", m->max_output);
        jw_open_in(&w, "targets", '[');
        for (size_t t = 0; t < m->n_targets; t++)
            write_target(&w, config, m, &m->targets[t]);
        jw_close(&w, ']');
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
}

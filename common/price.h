/* What models cost. Prices are read from conf/prices (tab-separated: model, provider, USD per million tokens
 * of input, cached input, cache write, output) and overridden per model by the configuration. */
#ifndef COMMON_PRICE_H
#define COMMON_PRICE_H

#include "error.h"
#include "str.h"
#include "usage.h"

/* 1e-12 USD per token: $0.15 a million tokens is 150,000. */
struct price_rates {
    uint64_t input, cached, cache_write, output;
};

struct price {
    uint64_t input, cached, cache_write, output;
    uint32_t long_above;                 /* a request with more input tokens costs, as a whole, … */
    struct price_rates long_rates;       /* … this; 0: there is no such step */
    uint32_t context_window, max_output; /* tokens; 0: not known */
    bool known;
};

struct price_table;

/* NULL and err (with file and line) when the file can't be read or has a malformed line. */
struct price_table *price_load(const char *path, struct error *err);
void price_free(struct price_table **t);
/* The price of a provider type's model, falling back to any row of that model's name; known = false: none. A
 * dated name ("gpt-4o-2024-08-06") that has no row takes that of its undated one. */
struct price price_find(const struct price_table *t, struct str provider_type, struct str model);
/* Saturating. */
uint64_t price_cost_pico(const struct price *p, const struct usage_tokens *u);
/* "15" or "0.0375" USD per million tokens, as pico-USD per token; -1: not a plain decimal. */
int price_parse(struct str usd_per_million, uint64_t *pico);

#endif

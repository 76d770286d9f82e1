/* The types that a provider may have in the configuration, with what each vendor's own servers are called:
 * the vendors with a dialect of their own, and presets of those who speak OpenAI's with known deviations. */
#ifndef COMMON_PROVIDER_TYPES_H
#define COMMON_PROVIDER_TYPES_H

#include <stdbool.h>

enum provider_deviation {
    /* what it has */
    PROVIDER_RESPONSES = 1 << 0,    /* OpenAI's Responses endpoint */
    PROVIDER_CUSTOM_TOOLS = 1 << 9, /* its custom tools in chat, or who knows: a gateway to others */
    /* requests */
    PROVIDER_MAX_TOKENS = 1 << 1, /* takes max_tokens, not max_completion_tokens */
    /* Mistral: random_seed, tool_choice "any", 9-character call ids, no unknown members */
    PROVIDER_RANDOM_SEED = 1 << 2,
    PROVIDER_NO_STREAM_OPTIONS = 1 << 3, /* refuses them; tells its usage unasked */
    PROVIDER_REASONING_BACK = 1 << 4,    /* wants an assistant turn's reasoning_content back (DeepSeek) */
    PROVIDER_TOP_K = 1 << 5,             /* takes top_k */
    /* answers */
    PROVIDER_NO_DONE = 1 << 6,           /* streams end without [DONE] */
    PROVIDER_REASONING_OUTSIDE = 1 << 7, /* completion_tokens is without the reasoning (xAI) */
    PROVIDER_NO_SCHEMA = 1 << 8,         /* response_format json_schema is not known: json_object only */
};

struct provider_type {
    const char *name;
    const char *base_url; /* NULL: has to be given */
    const char *key_env;  /* the vendor's usual variable, for messages; NULL: none */
    bool keyless;         /* works without a credential */
    bool openai;          /* a preset: speaks OpenAI's dialect */
    unsigned deviations;
};

/* NULL: no such type. */
const struct provider_type *provider_type(const char *name);

#endif

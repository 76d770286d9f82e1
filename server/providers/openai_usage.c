/* Token counts as OpenAI and those who speak its dialect tell them. Run by workers. */
#include "openai.h"

enum member {
    PROMPT,
    INPUT,
    COMPLETION,
    OUTPUT,
    TOTAL,
    PROMPT_CACHED,
    INPUT_CACHED,
    HIT,        /* DeepSeek */
    CACHED,     /* Moonshot */
    NUM_CACHED, /* Mistral */
    PROMPT_WRITE,
    INPUT_WRITE,
    PROMPT_CREATION, /* LiteLLM */
    COMPLETION_REASONING,
    OUTPUT_REASONING,
    REASONING, /* Perplexity */
    MEMBERS
};

static const char *const paths[MEMBERS] = {
    [PROMPT] = "prompt_tokens",
    [INPUT] = "input_tokens",
    [COMPLETION] = "completion_tokens",
    [OUTPUT] = "output_tokens",
    [TOTAL] = "total_tokens",
    [PROMPT_CACHED] = "prompt_tokens_details.cached_tokens",
    [INPUT_CACHED] = "input_tokens_details.cached_tokens",
    [HIT] = "prompt_cache_hit_tokens",
    [CACHED] = "cached_tokens",
    [NUM_CACHED] = "num_cached_tokens",
    [PROMPT_WRITE] = "prompt_tokens_details.cache_write_tokens",
    [INPUT_WRITE] = "input_tokens_details.cache_write_tokens",
    [PROMPT_CREATION] = "prompt_tokens_details.cache_creation_tokens",
    [COMPLETION_REASONING] = "completion_tokens_details.reasoning_tokens",
    [OUTPUT_REASONING] = "output_tokens_details.reasoning_tokens",
    [REASONING] = "reasoning_tokens",
};

/* The first of them that is a count. What no model can have used is no count: it would spoil every sum that
 * it enters. */
static bool count_of(const struct json_value v[], const enum member names[], size_t n, uint64_t *out)
{
    int64_t count;
    for (size_t i = 0; i < n; i++)
        if (v[names[i]].type == JSON_NUMBER && json_int(v[names[i]], &count) == 0 && count >= 0 &&
            count <= INT32_MAX) {
            *out = (uint64_t)count;
            return true;
        }
    return false;
}

#define COUNT_OF(v, out, ...)                       \
    count_of(v, (const enum member[]){__VA_ARGS__}, \
             sizeof((const enum member[]){__VA_ARGS__}) / sizeof(enum member), out)

/* Some tell a zero in OpenAI's place, and the count in their own. */
static uint64_t largest_of(const struct json_value v[], const enum member names[], size_t n)
{
    uint64_t most = 0, one;
    for (size_t i = 0; i < n; i++)
        if (count_of(v, &names[i], 1, &one) && one > most)
            most = one;
    return most;
}

/* xAI leaves the reasoning out of completion_tokens, which only the total shows; some count more cached
 * tokens than there were, or more reasoning than output. */
static void put_right(struct usage_tokens *u, uint64_t total)
{
    if (u->reasoning > 0 && total == u->input + u->output + u->reasoning)
        u->output += u->reasoning;
    if (u->reasoning > u->output)
        u->reasoning = u->output;
    if (u->cached > u->input)
        u->cached = u->input;
    if (u->cache_write > u->input - u->cached)
        u->cache_write = u->input - u->cached;
}

bool openai_usage(struct json_value usage, struct usage_tokens *out)
{
    struct json_value v[MEMBERS];
    struct usage_tokens u = {0};
    uint64_t total = 0;
    if (usage.type != JSON_OBJECT || json_scan(usage.raw, paths, MEMBERS, v, NULL) != 0)
        return false;
    bool input = COUNT_OF(v, &u.input, PROMPT, INPUT), output = COUNT_OF(v, &u.output, COMPLETION, OUTPUT);
    if (!input && !output)
        return false;
    if (COUNT_OF(v, &total, TOTAL) && !input && total >= u.output)
        u.input = total - u.output;
    u.cached = largest_of(v, (const enum member[]){PROMPT_CACHED, INPUT_CACHED, HIT, CACHED, NUM_CACHED}, 5);
    COUNT_OF(v, &u.cache_write, PROMPT_WRITE, INPUT_WRITE, PROMPT_CREATION);
    COUNT_OF(v, &u.reasoning, COMPLETION_REASONING, OUTPUT_REASONING, REASONING);
    put_right(&u, total);
    *out = u;
    return true;
}

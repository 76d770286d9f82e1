/* Parameters: taken as they stand, under another name or value, or left out where a vendor would refuse them.
 * Run by workers. */
#include "openai_request.h"

static const struct {
    enum chat_param param;
    const char *name;
} plain[] = {
    {PARAM_TEMPERATURE, "temperature"},
    {PARAM_TOP_P, "top_p"},
    {PARAM_PRESENCE_PENALTY, "presence_penalty"},
    {PARAM_FREQUENCY_PENALTY, "frequency_penalty"},
    {PARAM_LOGPROBS, "logprobs"},
    {PARAM_TOP_LOGPROBS, "top_logprobs"},
    {PARAM_LOGIT_BIAS, "logit_bias"},
    {PARAM_METADATA, "metadata"},
    {PARAM_VERBOSITY, "verbosity"},
    {PARAM_CACHE_KEY, "prompt_cache_key"},
    {PARAM_PREDICTION, "prediction"},
};

/* OpenAI's reasoning models refuse these, but for the values that they have anyway. */
static bool refused_by_reasoning(enum chat_param p, struct str value)
{
    switch (p) {
    case PARAM_TEMPERATURE:
    case PARAM_TOP_P:
        return !is(value, "1") && !is(value, "1.0");
    case PARAM_PRESENCE_PENALTY:
    case PARAM_FREQUENCY_PENALTY:
        return !is(value, "0") && !is(value, "0.0");
    case PARAM_LOGPROBS:
    case PARAM_TOP_LOGPROBS:
    case PARAM_LOGIT_BIAS:
    case PARAM_STOP:
        return true;
    default:
        return false;
    }
}

static bool takes(const struct writing *w, enum chat_param p)
{
    return chat_given(w->c, p) && (w->p->params & (UINT32_C(1) << p));
}

static void put_plain(struct writing *w)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        enum chat_param p = plain[i].param;
        if (!takes(w, p))
            continue;
        if (w->reasons && refused_by_reasoning(p, w->in->params[p].value)) {
            chat_adjust(w->c, p);
            continue;
        }
        json_member_raw(&w->j, plain[i].name, chat_take(w->c, p));
    }
    if (takes(w, PARAM_TOP_LOGPROBS) && !chat_given(w->c, PARAM_LOGPROBS) && !w->reasons)
        json_member_bool(&w->j, "logprobs", true);
    if ((w->deviations & PROVIDER_TOP_K) && chat_given(w->c, PARAM_TOP_K))
        json_member_raw(&w->j, "top_k", chat_take(w->c, PARAM_TOP_K));
}

static void put_max_tokens(struct writing *w)
{
    struct str value = chat_take(w->c, PARAM_MAX_TOKENS);
    uint64_t n;
    if (value.n == 0)
        return;
    json_name(&w->j, w->deviations & PROVIDER_MAX_TOKENS ? "max_tokens" : "max_completion_tokens");
    if (w->c->max_output > 0 && str_u64(value, &n) == 0 && n > w->c->max_output) {
        json_i64(&w->j, w->c->max_output); /* more than the model has is refused, not cut */
        chat_adjust(w->c, PARAM_MAX_TOKENS);
    } else {
        json_raw(&w->j, value);
    }
}

static void put_stop(struct writing *w)
{
    enum { MOST = 4 };
    size_t n = w->in->n_stop;
    if (!takes(w, PARAM_STOP) || n == 0)
        return;
    chat_take(w->c, PARAM_STOP);
    if (w->reasons) {
        chat_adjust(w->c, PARAM_STOP);
        return;
    }
    if (n > MOST && (w->p->flags & OFFICIAL)) {
        n = MOST;
        chat_adjust(w->c, PARAM_STOP);
    }
    json_member_open(&w->j, "stop", '[');
    for (size_t i = 0; i < n; i++)
        json_str(&w->j, w->in->stop[i]);
    json_close(&w->j, ']');
}

static void put_n_and_seed(struct writing *w)
{
    if (chat_given(w->c, PARAM_N)) {
        struct str n = w->in->params[PARAM_N].value;
        if (is(n, "1"))
            chat_take(w->c, PARAM_N);
        else if (takes(w, PARAM_N))
            json_member_raw(&w->j, "n", chat_take(w->c, PARAM_N));
    }
    if (takes(w, PARAM_SEED))
        json_member_raw(&w->j, w->deviations & PROVIDER_RANDOM_SEED ? "random_seed" : "seed",
                        chat_take(w->c, PARAM_SEED));
}

/* OpenAI takes at most 64 characters; longer ones tell users apart as well when they are hashed. */
static void put_user_id(struct writing *w)
{
    enum { MOST = 64 };
    struct json_value v = {.type = JSON_STRING};
    if (!takes(w, PARAM_USER))
        return;
    v.raw = chat_take(w->c, PARAM_USER);
    if (v.raw.n < 2 || v.raw.p[0] != '"')
        return;
    struct str id = json_text(v, w->c->arena);
    if (id.n > MOST) {
        char *hex = arena_alloc(w->c->arena, 32);
        openai_digest(id, hex, 32, "0123456789abcdef", 16);
        id = (struct str){hex, 32};
    }
    json_member_str(&w->j, "user", id);
}

static void put_tier(struct writing *w)
{
    static const char *const known[] = {"\"auto\"",  "\"default\"", "\"flex\"",      "\"priority\"",
                                        "\"scale\"", "\"fast\"",    "\"on_demand\"", "\"performance\""};
    if (!takes(w, PARAM_SERVICE_TIER))
        return;
    struct str tier = w->in->params[PARAM_SERVICE_TIER].value;
    if (is(tier, "\"standard_only\"")) /* Anthropic's */
        tier = STR("\"default\"");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (is(tier, known[i])) {
            chat_take(w->c, PARAM_SERVICE_TIER);
            json_member_raw(&w->j, "service_tier", tier);
            return;
        }
}

/* Asked for pictures, an answer without them is another one. */
static int put_modalities(struct writing *w)
{
    if (!chat_given(w->c, PARAM_MODALITIES))
        return 0;
    if (!(w->p->flags & PICTURES))
        return chat_refuse(w->c, w->in->params[PARAM_MODALITIES].name,
                           "Of %s, only text can be asked for through this endpoint.", w->c->conf->name);
    chat_take(w->c, PARAM_MODALITIES);
    json_member_raw(&w->j, "modalities", STR("[\"image\",\"text\"]"));
    return 0;
}

int openai_put_params(struct writing *w)
{
    put_max_tokens(w);
    put_plain(w);
    put_stop(w);
    put_n_and_seed(w);
    put_user_id(w);
    put_tier(w);
    openai_put_thinking(w);
    return put_modalities(w);
}

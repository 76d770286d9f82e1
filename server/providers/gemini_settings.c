/* generationConfig of Google's GenerateContent request: thinking, the answer's form, parameters. Run by
 * workers. */
#include "gemini_request.h"

#include <ctype.h>

enum {
    MAX_STOPS = 5,
    BUDGET_LOW = 1024,
    BUDGET_MEDIUM = 8192,
    BUDGET_HIGH = 24576,
    BUDGET_LEAST_PRO = 128,
    BUDGET_LEAST_LITE = 512
};

/* ---- thinking */

static void put_budget(struct gemini_writer *g, int64_t budget)
{
    json_member_i64(&g->w, "thinkingBudget", budget);
}

/* Within what the model takes. */
static void put_asked_budget(struct gemini_writer *g, int64_t asked)
{
    bool pro = str_has(g->c->model, "-pro");
    int64_t most = pro ? 32768 : BUDGET_HIGH, budget = asked;
    int64_t least = pro ? BUDGET_LEAST_PRO : str_has(g->c->model, "-lite") ? BUDGET_LEAST_LITE : 0;
    if (g->generation < 30 && budget > most)
        budget = most;
    if (budget < least)
        budget = least;
    if (budget != asked)
        chat_adjust(g->c, PARAM_THINKING);
    put_budget(g, budget);
}

static int64_t budget_of(struct str effort, bool pro)
{
    if (str_eq(effort, STR("minimal")) || str_eq(effort, STR("low")))
        return BUDGET_LOW;
    if (str_eq(effort, STR("medium")))
        return BUDGET_MEDIUM;
    return pro && !str_eq(effort, STR("high")) ? 32768 : BUDGET_HIGH;
}

/* minimal … high; Pro models know no minimal, the first of them no medium. */
static void put_level(struct gemini_writer *g, struct str effort)
{
    struct str level = effort;
    bool pro = str_has(g->c->model, "-pro");
    if (str_eq(level, STR("xhigh")) || str_eq(level, STR("max")))
        level = STR("high");
    if (pro && str_eq(level, STR("minimal")))
        level = STR("low");
    if (pro && g->generation == 30 && str_eq(level, STR("medium")))
        level = STR("high");
    if (!str_eq(level, effort))
        chat_adjust(g->c, PARAM_THINKING);
    json_member_str(&g->w, "thinkingLevel", level);
}

static void put_thinking_off(struct gemini_writer *g)
{
    bool pro = str_has(g->c->model, "-pro");
    if (pro)
        chat_adjust(g->c, PARAM_THINKING); /* it always thinks: as little as can be */
    if (g->generation < 30)
        put_budget(g, pro ? BUDGET_LEAST_PRO : 0);
    else
        json_member_strz(&g->w, "thinkingLevel", pro ? "low" : "minimal");
}

static bool thinks(const struct gemini_writer *g)
{
    if (g->generation >= 30)
        return true;
    return g->generation >= 25 && !str_has(g->c->model, "-image") && !str_has(g->c->model, "-tts");
}

static void put_thinking(struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    bool off = in->thinking == THINKING_OFF || (in->thinking == THINKING_BUDGET && in->thinking_budget == 0);
    if (!thinks(g)) {
        if (off)
            chat_take(g->c, PARAM_THINKING);
        return;
    }
    if (in->thinking == THINKING_DEFAULT && in->thinking_shown != 1)
        return;
    chat_take(g->c, PARAM_THINKING);
    json_member_open(&g->w, "thinkingConfig", '{');
    if (off)
        put_thinking_off(g);
    else if (in->thinking == THINKING_BUDGET)
        put_asked_budget(g, in->thinking_budget);
    else if (in->thinking == THINKING_EFFORT && g->generation < 30)
        put_budget(g, budget_of(in->thinking_effort, str_has(g->c->model, "-pro")));
    else if (in->thinking == THINKING_EFFORT)
        put_level(g, in->thinking_effort);
    else if (in->thinking == THINKING_ON && g->generation < 30)
        put_budget(g, -1);
    if (!off && in->thinking_shown != 0)
        json_member_bool(&g->w, "includeThoughts", true);
    json_close(&g->w, '}');
}

/* ---- generationConfig */

static struct str number_of(struct chat_call *c, enum chat_param p)
{
    struct str value = chat_take(c, p);
    return value.n > 0 && (value.p[0] == '-' || isdigit((unsigned char)value.p[0])) ? value : STR_NULL;
}

/* A penalty of nothing is left out: several models take none at all. */
static void put_penalty(struct gemini_writer *g, enum chat_param p, const char *name)
{
    struct str value = number_of(g->c, p);
    double d;
    if (value.n > 0 && json_double((struct json_value){JSON_NUMBER, value, 0}, &d) == 0 && d != 0)
        json_member_raw(&g->w, name, value);
}

static void put_seed(struct gemini_writer *g)
{
    int64_t seed;
    if (!chat_given(g->c, PARAM_SEED) ||
        json_int((struct json_value){JSON_NUMBER, g->c->in->params[PARAM_SEED].value, 0}, &seed) != 0 ||
        seed < INT32_MIN || seed > INT32_MAX)
        return;
    json_member_raw(&g->w, "seed", chat_take(g->c, PARAM_SEED));
}

static void put_stops(struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    chat_take(g->c, PARAM_STOP);
    if (in->n_stop == 0)
        return;
    if (in->n_stop > MAX_STOPS)
        chat_adjust(g->c, PARAM_STOP);
    json_member_open(&g->w, "stopSequences", '[');
    for (size_t i = 0; i < in->n_stop && i < MAX_STOPS; i++)
        json_str(&g->w, in->stop[i]);
    json_close(&g->w, ']');
}

static void put_logprobs(struct gemini_writer *g)
{
    struct str wanted = chat_take(g->c, PARAM_LOGPROBS), top = number_of(g->c, PARAM_TOP_LOGPROBS);
    if (!str_eq(wanted, STR("true")) && top.n == 0)
        return;
    json_member_bool(&g->w, "responseLogprobs", true);
    if (top.n > 0 && !str_eq(top, STR("0")))
        json_member_raw(&g->w, "logprobs", top);
}

/* ["text","image"] → ["TEXT","IMAGE"] */
static int put_modalities(struct gemini_writer *g)
{
    struct str value = chat_take(g->c, PARAM_MODALITIES);
    struct json_value v;
    if (value.n == 0 || value.p[0] != '[')
        return 0;
    json_member_open(&g->w, "responseModalities", '[');
    for (size_t at = 0; json_next(value, &at, NULL, &v) == 1;) {
        struct str word = json_text(v, g->c->arena);
        if (str_ieq(word, STR("audio")))
            return chat_refuse(g->c, g->c->in->params[PARAM_MODALITIES].name,
                               "Spoken answers can't be translated from this provider.");
        char upper[16] = "";
        for (size_t i = 0; i < word.n && i < sizeof(upper) - 1; i++)
            upper[i] = (char)toupper((unsigned char)word.p[i]);
        json_strz(&g->w, upper);
    }
    json_close(&g->w, ']');
    return 0;
}

static void put_format(struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    if (in->format == FORMAT_TEXT || g->no_format)
        return;
    json_member_strz(&g->w, "responseMimeType", "application/json");
    if (in->format == FORMAT_SCHEMA)
        json_opt_raw(&g->w, "responseJsonSchema", in->format_schema);
}

static void put_candidate_count(struct gemini_writer *g)
{
    struct str n = number_of(g->c, PARAM_N);
    if (n.n > 0 && !str_eq(n, STR("1")))
        json_member_raw(&g->w, "candidateCount", n);
}

int gemini_put_config(struct gemini_writer *g)
{
    static const struct {
        enum chat_param param;
        const char *name;
    } plain[] = {
        {PARAM_TEMPERATURE, "temperature"},
        {PARAM_TOP_P, "topP"},
        {PARAM_TOP_K, "topK"},
        {PARAM_MAX_TOKENS, "maxOutputTokens"},
    };
    json_member_open(&g->w, "generationConfig", '{');
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        json_opt_raw(&g->w, plain[i].name, number_of(g->c, plain[i].param));
    put_candidate_count(g);
    put_stops(g);
    put_seed(g);
    put_penalty(g, PARAM_PRESENCE_PENALTY, "presencePenalty");
    put_penalty(g, PARAM_FREQUENCY_PENALTY, "frequencyPenalty");
    put_logprobs(g);
    if (put_modalities(g) != 0)
        return -1;
    put_format(g);
    put_thinking(g);
    json_close(&g->w, '}');
    return 0;
}

/* What else stands beside the conversation in a Converse request: thinking, inference settings, the form of
 * the answer, and the fields that are one model family's own. Run by workers. */
#include "bedrock.h"

#include <string.h>

/* ---- thinking */

enum thinking_way {
    WAY_NONE,
    WAY_BUDGET,   /* thinking.budget_tokens */
    WAY_ADAPTIVE, /* thinking adaptive, output_config.effort */
    WAY_NOVA,     /* reasoningConfig.maxReasoningEffort */
    WAY_EFFORT,   /* reasoning_effort */
};

static enum thinking_way way_of(const struct bedrock_model *m)
{
    if (m->family == BEDROCK_ANTHROPIC)
        return m->claude.adaptive ? WAY_ADAPTIVE : m->claude.thinks ? WAY_BUDGET : WAY_NONE;
    if (m->nova_2)
        return WAY_NOVA;
    return m->family == BEDROCK_GPT_OSS ? WAY_EFFORT : WAY_NONE;
}

struct thinking {
    enum thinking_way way; /* WAY_NONE: it does not think, or nothing is said of it */
    const char *effort;
    uint32_t budget;
    bool shown;
};

static const struct {
    const char *word, *three; /* of low, medium, high */
    uint32_t budget;
} efforts[] = {
    {"minimal", "low", 1024}, {"low", "low", 1024},    {"medium", "medium", 2048},
    {"high", "high", 4096},   {"xhigh", "high", 8192}, {"max", "high", 16384},
};

static int effort_of(const struct chat_request *in)
{
    enum { LOW = 1, MEDIUM, HIGH };
    if (in->thinking == THINKING_BUDGET)
        return in->thinking_budget <= 1024 ? LOW : in->thinking_budget <= 2048 ? MEDIUM : HIGH;
    for (size_t i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++)
        if (in->thinking == THINKING_EFFORT && str_eq(in->thinking_effort, str_of(efforts[i].word)))
            return (int)i;
    return MEDIUM;
}

static int64_t max_tokens(const struct bedrock_body *b)
{
    int64_t n;
    const struct chat_param_value *p = &b->c->in->params[PARAM_MAX_TOKENS];
    return p->name && json_int(json_root(p->value), &n) == 0 ? n : INT64_MAX;
}

/* Anthropic wants at least 1024 tokens of thinking, and room for an answer beside it; and not at every point
 * of a conversation. */
static bool set_budget(struct bedrock_body *b, struct thinking *t)
{
    enum { LEAST = 1024 };
    int64_t max = max_tokens(b), most = max == INT64_MAX ? max : max - max / 4;
    if (most < LEAST || !anthropic_may_begin_thinking(b->c->in))
        return false;
    if (t->budget > most || t->budget < LEAST) {
        t->budget = t->budget < LEAST ? LEAST : (uint32_t)most;
        chat_adjust(b->c, PARAM_THINKING);
    }
    return true;
}

static const char *adaptive_effort(const struct chat_request *in, const struct bedrock_model *m, int effort)
{
    if (in->thinking == THINKING_ON)
        return NULL;
    if (effort == 4)
        return m->claude.xhigh ? "xhigh" : "max";
    return effort == 5 ? "max" : efforts[effort].three;
}

static struct thinking thinking_of(struct bedrock_body *b)
{
    const struct chat_request *in = b->c->in;
    struct thinking t = {.way = way_of(&b->model), .shown = in->thinking_shown != 0};
    bool wanted = in->thinking != THINKING_DEFAULT && in->thinking != THINKING_OFF;
    bool forced = b->plan.forced_json || b->plan.must_call;
    int effort = effort_of(in);
    if (in->thinking == THINKING_OFF && t.way != WAY_EFFORT && !b->model.claude.always_thinks)
        chat_take(b->c, PARAM_THINKING);
    if (!wanted || t.way == WAY_NONE || (forced && (t.way == WAY_BUDGET || t.way == WAY_ADAPTIVE))) {
        t.way = WAY_NONE;
        return t;
    }
    t.effort = t.way == WAY_ADAPTIVE ? adaptive_effort(in, &b->model, effort) : efforts[effort].three;
    t.budget = in->thinking == THINKING_BUDGET ? in->thinking_budget : efforts[effort].budget;
    chat_take(b->c, PARAM_THINKING);
    if (t.way == WAY_NOVA && effort >= 3 && max_tokens(b) != INT64_MAX) {
        t.effort = "medium"; /* "high" goes with no maximum */
        chat_adjust(b->c, PARAM_THINKING);
    }
    if (t.way == WAY_BUDGET && !set_budget(b, &t)) {
        chat_adjust(b->c, PARAM_THINKING);
        t.way = WAY_NONE;
    }
    return t;
}

static void write_thinking(struct bedrock_body *b, const struct thinking *t)
{
    switch (t->way) {
    case WAY_BUDGET:
        json_member_open(&b->w, "thinking", '{');
        json_member_str(&b->w, "type", STR("enabled"));
        json_member_i64(&b->w, "budget_tokens", t->budget);
        json_close(&b->w, '}');
        break;
    case WAY_ADAPTIVE:
        json_member_open(&b->w, "thinking", '{');
        json_member_str(&b->w, "type", STR("adaptive"));
        if (b->model.claude.shows_thinking && t->shown) /* these show nothing unasked */
            json_member_str(&b->w, "display", STR("summarized"));
        json_close(&b->w, '}');
        if (t->effort) {
            json_member_open(&b->w, "output_config", '{');
            json_member_strz(&b->w, "effort", t->effort);
            json_close(&b->w, '}');
        }
        break;
    case WAY_NOVA:
        json_member_open(&b->w, "reasoningConfig", '{');
        json_member_str(&b->w, "type", STR("enabled"));
        json_member_strz(&b->w, "maxReasoningEffort", t->effort);
        json_close(&b->w, '}');
        break;
    case WAY_EFFORT:
        json_member_strz(&b->w, "reasoning_effort", t->effort);
        break;
    case WAY_NONE:
        break;
    }
}

/* ---- inference settings */

enum { ANSWER_BESIDE_THINKING = 4096 };

struct settings {
    struct str max_tokens, temperature, top_p, top_k;
};

/* Converse takes temperatures from 0 to 1. */
static struct str take_temperature(struct bedrock_body *b)
{
    double t;
    struct str value = chat_take(b->c, PARAM_TEMPERATURE);
    if (value.n == 0 || json_double(json_root(value), &t) != 0 || t <= 1)
        return value;
    chat_adjust(b->c, PARAM_TEMPERATURE);
    return STR("1");
}

static bool is_one(const struct bedrock_body *b, enum chat_param p)
{
    double t;
    return json_double(json_root(b->c->in->params[p].value), &t) == 0 && t == 1;
}

/* Anthropic's models have their quirks: none of the three beside thinking, none at all from 4.7 on, not both
 * of the first two from 4.1 on. Nova's has none of them at its highest effort. */
static struct settings take_settings(struct bedrock_body *b, const struct thinking *t)
{
    struct settings s = {.max_tokens = chat_take(b->c, PARAM_MAX_TOKENS)};
    const struct bedrock_model *m = &b->model;
    bool anthropic = m->family == BEDROCK_ANTHROPIC;
    bool fixed = (anthropic && (!m->claude.sampling || t->way == WAY_BUDGET || t->way == WAY_ADAPTIVE)) ||
                 (t->way == WAY_NOVA && strcmp(t->effort, "high") == 0);
    if (max_tokens(b) < 1) {
        chat_adjust(b->c, PARAM_MAX_TOKENS);
        s.max_tokens = STR("1");
    }
    if (t->way == WAY_BUDGET && s.max_tokens.n == 0) /* more than the budget, whatever the model's default */
        s.max_tokens = arena_printf(b->c->arena, "%u",
                                    b->c->max_output > t->budget ? b->c->max_output
                                                                 : t->budget + ANSWER_BESIDE_THINKING);
    if (fixed && anthropic && chat_given(b->c, PARAM_TEMPERATURE) && is_one(b, PARAM_TEMPERATURE))
        chat_take(b->c, PARAM_TEMPERATURE); /* which it is anyway */
    if (fixed)
        return s;
    s.temperature = take_temperature(b);
    if (!(m->claude.one_of_two && s.temperature.n > 0))
        s.top_p = chat_take(b->c, PARAM_TOP_P);
    if (anthropic || m->family == BEDROCK_NOVA)
        s.top_k = chat_take(b->c, PARAM_TOP_K);
    return s;
}

static bool stops_with_something(struct str stop)
{
    for (size_t i = 0; i < stop.n; i++)
        if (!strchr(" \t\r\n", stop.p[i]) || !stop.p[i])
            return true;
    return false;
}

/* Anthropic's models take many, but none of nothing but blanks; the others take four. */
static void write_stops(struct bedrock_body *b)
{
    enum { MOST = 4 };
    const struct chat_request *in = b->c->in;
    bool anthropic = b->model.family == BEDROCK_ANTHROPIC;
    size_t n = 0;
    chat_take(b->c, PARAM_STOP);
    for (size_t i = 0; i < in->n_stop; i++) {
        if (anthropic ? !stops_with_something(in->stop[i]) : n == MOST) {
            chat_adjust(b->c, PARAM_STOP);
            continue;
        }
        if (n++ == 0)
            json_member_open(&b->w, "stopSequences", '[');
        json_str(&b->w, in->stop[i]);
    }
    if (n > 0)
        json_close(&b->w, ']');
}

static void write_inference(struct bedrock_body *b, const struct settings *s)
{
    if (s->max_tokens.n + s->temperature.n + s->top_p.n + b->c->in->n_stop == 0)
        return;
    json_member_open(&b->w, "inferenceConfig", '{');
    json_opt_raw(&b->w, "maxTokens", s->max_tokens);
    json_opt_raw(&b->w, "temperature", s->temperature);
    json_opt_raw(&b->w, "topP", s->top_p);
    write_stops(b);
    json_close(&b->w, '}');
}

static void write_additional(struct bedrock_body *b, const struct thinking *t, struct str top_k)
{
    if (t->way == WAY_NONE && top_k.n == 0)
        return;
    json_member_open(&b->w, "additionalModelRequestFields", '{');
    write_thinking(b, t);
    if (b->model.family == BEDROCK_NOVA && top_k.n > 0) {
        json_member_open(&b->w, "inferenceConfig", '{');
        json_member_raw(&b->w, "topK", top_k);
        json_close(&b->w, '}');
    } else
        json_opt_raw(&b->w, "top_k", top_k);
    json_close(&b->w, '}');
}

static void write_output(struct bedrock_body *b)
{
    const struct chat_request *in = b->c->in;
    if (!b->plan.native_json)
        return;
    json_member_open(&b->w, "outputConfig", '{');
    json_member_open(&b->w, "textFormat", '{');
    json_member_str(&b->w, "type", STR("json_schema"));
    json_member_open(&b->w, "structure", '{');
    json_member_open(&b->w, "jsonSchema", '{');
    json_member_str(&b->w, "schema", bedrock_schema(b, in->format_schema)); /* as a text, quotes and all */
    json_opt_str(&b->w, "name", in->format_name);
    json_opt_str(&b->w, "description", in->format_description);
    json_close(&b->w, '}');
    json_close(&b->w, '}');
    json_close(&b->w, '}');
    json_close(&b->w, '}');
}

/* Which of the sequences it was that ended an answer is told only when it is asked for. */
static void write_wanted_fields(struct bedrock_body *b)
{
    if (b->model.family != BEDROCK_ANTHROPIC || b->c->in->n_stop == 0)
        return;
    json_member_raw(&b->w, "additionalModelResponseFieldPaths",
                    b->c->in->stream ? STR("[\"/delta/stop_sequence\"]") : STR("[\"/stop_sequence\"]"));
}

/* ---- what else Bedrock has a place for */

static void write_tier(struct bedrock_body *b)
{
    static const struct {
        const char *caller, *bedrock; /* NULL: as it is without one */
    } tiers[] = {{"auto", NULL},
                 {"default", "default"},
                 {"standard_only", "default"},
                 {"flex", "flex"},
                 {"priority", "priority"}};
    const struct chat_param_value *p = &b->c->in->params[PARAM_SERVICE_TIER];
    if (!p->name)
        return;
    struct str tier = json_text(json_root(p->value), b->c->arena);
    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        if (!str_eq(tier, str_of(tiers[i].caller)))
            continue;
        chat_take(b->c, PARAM_SERVICE_TIER);
        if (tiers[i].bedrock) {
            json_member_open(&b->w, "serviceTier", '{');
            json_member_strz(&b->w, "type", tiers[i].bedrock);
            json_close(&b->w, '}');
        }
    }
}

/* What requestMetadata may hold. */
static bool is_label(struct json_value v, struct arena *a)
{
    static const char marks[] = ":_@$#=/+,-. ";
    if (v.type != JSON_STRING)
        return false;
    struct str s = json_text(v, a);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && (!c || !strchr(marks, c)))
            return false;
    }
    return s.n > 0 && s.n <= 256;
}

static bool are_labels(struct json_value map, struct arena *a)
{
    enum { MOST = 15 };
    struct json_value value;
    struct str name;
    size_t at = 0;
    if (map.type != JSON_OBJECT || map.count == 0 || map.count > MOST)
        return false;
    while (json_next(map.raw, &at, &name, &value) == 1)
        if (!is_label(value, a) || name.n == 0 || name.n > 256 || memchr(name.p, '\\', name.n) ||
            !is_label((struct json_value){JSON_STRING, {name.p - 1, name.n + 2}, 0}, a) ||
            str_eq(name, STR("user")))
            return false;
    return true;
}

static void write_metadata(struct bedrock_body *b)
{
    struct arena *a = b->c->arena;
    const struct chat_param_value *params = b->c->in->params;
    struct json_value user = json_root(params[PARAM_USER].value),
                      map = json_root(params[PARAM_METADATA].value), value;
    struct str name;
    size_t at = 0;
    bool has_user = params[PARAM_USER].name && is_label(user, a);
    bool has_map = params[PARAM_METADATA].name && are_labels(map, a);
    if (!has_user && !has_map)
        return;
    json_member_open(&b->w, "requestMetadata", '{');
    if (has_user)
        json_member_raw(&b->w, "user", chat_take(b->c, PARAM_USER));
    if (has_map)
        chat_take(b->c, PARAM_METADATA);
    while (has_map && json_next(map.raw, &at, &name, &value) == 1) {
        json_name_str(&b->w, name);
        json_raw(&b->w, value.raw);
    }
    json_close(&b->w, '}');
}

/* What asks for no more than Bedrock does anyway. */
static void take_the_usual(struct bedrock_body *b)
{
    const struct chat_param_value *params = b->c->in->params;
    if (b->model.cache_points)
        chat_take(b->c, PARAM_CACHE_CONTROL);
    if (b->c->in->parallel_tools != 0)
        chat_take(b->c, PARAM_PARALLEL_TOOLS);
    if (params[PARAM_N].name && is_one(b, PARAM_N))
        chat_take(b->c, PARAM_N);
    if (params[PARAM_LOGPROBS].name && str_eq(params[PARAM_LOGPROBS].value, STR("false")))
        chat_take(b->c, PARAM_LOGPROBS);
    if (params[PARAM_MODALITIES].name && str_eq(params[PARAM_MODALITIES].value, STR("[\"text\"]")))
        chat_take(b->c, PARAM_MODALITIES);
}

void bedrock_write_settings(struct bedrock_body *b)
{
    struct thinking t = thinking_of(b);
    struct settings s = take_settings(b, &t);
    write_inference(b, &s);
    write_additional(b, &t, s.top_k);
    write_wanted_fields(b);
    write_output(b);
    write_tier(b);
    write_metadata(b);
    take_the_usual(b);
}

/* generationConfig of a caller's GenerateContentRequest. Run by workers. */
#include "google_reading.h"

#include "google_json.h"

/* Protobuf's numbers may be texts, and whole ones 40.0. */
static int read_number(struct google_reading *g, enum chat_param p, const char *name, struct json_value v,
                       bool whole)
{
    double d;
    if (v.type == JSON_ABSENT)
        return 0;
    if (v.type == JSON_STRING && v.raw.n > 2)
        v = json_root((struct str){v.raw.p + 1, v.raw.n - 2});
    int64_t n;
    if (json_double(v, &d) != 0)
        return google_wrong(g, name, "it must be a number.");
    if (whole && json_int(v, &n) != 0) {
        if (d < INT32_MIN || d > INT32_MAX || d != (double)(int64_t)d)
            return google_wrong(g, name, "it must be a whole number.");
        v.raw = arena_printf(g->a, "%lld", (long long)d);
    }
    chat_set_param(g->out, p, name, v);
    return 0;
}

static int read_stops(struct google_reading *g, struct json_value v)
{
    static const char place[] = "generationConfig.stopSequences";
    struct json_value stop;
    if (v.type == JSON_ABSENT)
        return 0;
    if (v.type != JSON_ARRAY)
        return google_wrong(g, place, "it must be a list of texts.");
    for (size_t i = 0; json_next(v.raw, &i, NULL, &stop) == 1;) {
        if (stop.type != JSON_STRING)
            return google_wrong(g, place, "it must be a list of texts.");
        chat_add_stop(g->out, g->a, json_text(stop, g->a));
    }
    if (v.count > 0)
        chat_set_param(g->out, PARAM_STOP, place, v);
    return 0;
}

static int read_format(struct google_reading *g, struct json_value mime, struct json_value schema,
                       struct json_value json_schema)
{
    static const char place[] = "generationConfig.responseMimeType";
    struct str type = json_text(mime, g->a);
    bool has_schema = schema.type == JSON_OBJECT || json_schema.type == JSON_OBJECT;
    if (type.n > 0 && !str_eq(type, STR("application/json")) && !str_eq(type, STR("text/plain")))
        return google_refuse(g, place, type);
    if (has_schema) {
        g->out->format = FORMAT_SCHEMA;
        g->out->format_name = STR("response");
        g->out->format_schema =
            json_schema.type == JSON_OBJECT ? json_schema.raw : google_schema(schema, g->a);
    } else if (str_eq(type, STR("application/json")))
        g->out->format = FORMAT_JSON;
    return 0;
}

static int read_level(struct google_reading *g, const char *place, struct str level)
{
    static const struct str levels[] = {STR("minimal"), STR("low"), STR("medium"), STR("high")};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (str_ieq(level, levels[i])) {
            g->out->thinking = THINKING_EFFORT;
            g->out->thinking_effort = levels[i];
            return 0;
        }
    if (str_ieq(level, STR("THINKING_LEVEL_UNSPECIFIED")))
        return 0;
    return google_wrong(g, place, "the level must be MINIMAL, LOW, MEDIUM or HIGH.");
}

static int check_flag(struct google_reading *g, const char *place, const char *name, struct json_value v)
{
    if (v.type == JSON_ABSENT || v.type == JSON_TRUE || v.type == JSON_FALSE)
        return 0;
    return google_wrong(g, place, "'%s' must be true or false.", name);
}

static int read_thinking(struct google_reading *g, struct json_value config)
{
    enum { SHOWN, BUDGET, LEVEL, FIELDS };
    static const char place[] = "generationConfig.thinkingConfig";
    static const char *const names[FIELDS] = {"includeThoughts", "thinkingBudget", "thinkingLevel"};
    struct json_value v[FIELDS];
    int64_t budget;
    if (config.type != JSON_ABSENT && config.type != JSON_OBJECT)
        return google_wrong(g, place, "it must be an object.");
    google_fields(config, names, FIELDS, v, NULL, NULL);
    if (check_flag(g, place, "includeThoughts", v[SHOWN]) != 0)
        return -1;
    if (v[SHOWN].type == JSON_TRUE || v[SHOWN].type == JSON_FALSE)
        g->out->thinking_shown = v[SHOWN].type == JSON_TRUE;
    if (v[LEVEL].type != JSON_ABSENT && read_level(g, place, json_text(v[LEVEL], g->a)) != 0)
        return -1;
    if (v[BUDGET].type != JSON_ABSENT) {
        if (json_int(v[BUDGET], &budget) != 0 || budget < -1 || budget > INT32_MAX)
            return google_wrong(g, place, "'thinkingBudget' must be a number of tokens, 0 or -1.");
        g->out->thinking = budget == 0 ? THINKING_OFF : budget < 0 ? THINKING_ON : THINKING_BUDGET;
        g->out->thinking_budget = budget > 0 ? (uint32_t)budget : 0;
    }
    if (g->out->thinking != THINKING_DEFAULT)
        chat_set_param(g->out, PARAM_THINKING, place, config);
    return 0;
}

static bool only_text(struct json_value modalities, struct arena *a)
{
    struct json_value v;
    for (size_t i = 0; json_next(modalities.raw, &i, NULL, &v) == 1;)
        if (!str_ieq(json_text(v, a), STR("TEXT")))
            return false;
    return true;
}

static const struct {
    const char *name, *full;
    enum chat_param param;
    bool whole;
} numbers[] = {
    {"temperature", "generationConfig.temperature", PARAM_TEMPERATURE, false},
    {"topP", "generationConfig.topP", PARAM_TOP_P, false},
    {"topK", "generationConfig.topK", PARAM_TOP_K, true},
    {"candidateCount", "generationConfig.candidateCount", PARAM_N, true},
    {"maxOutputTokens", "generationConfig.maxOutputTokens", PARAM_MAX_TOKENS, true},
    {"seed", "generationConfig.seed", PARAM_SEED, true},
    {"presencePenalty", "generationConfig.presencePenalty", PARAM_PRESENCE_PENALTY, false},
    {"frequencyPenalty", "generationConfig.frequencyPenalty", PARAM_FREQUENCY_PENALTY, false},
    {"logprobs", "generationConfig.logprobs", PARAM_TOP_LOGPROBS, true},
};
enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

int google_read_config(struct google_reading *g, struct json_value config)
{
    enum { STOPS = NUMBERS, MIME, SCHEMA, JSON_SCHEMA, LOGPROBS, MODALITIES, THINKING, FIELDS };
    const char *names[FIELDS] = {[STOPS] = "stopSequences",       [MIME] = "responseMimeType",
                                 [SCHEMA] = "responseSchema",     [JSON_SCHEMA] = "responseJsonSchema",
                                 [LOGPROBS] = "responseLogprobs", [MODALITIES] = "responseModalities",
                                 [THINKING] = "thinkingConfig"};
    struct json_value v[FIELDS];
    struct google_extras extras = {g, "generationConfig"};
    if (config.type != JSON_ABSENT && config.type != JSON_OBJECT)
        return google_wrong(g, "generationConfig", "it must be an object.");
    for (size_t i = 0; i < NUMBERS; i++)
        names[i] = numbers[i].name;
    google_fields(config, names, FIELDS, v, google_note_extra, &extras);
    for (size_t i = 0; i < NUMBERS; i++)
        if (read_number(g, numbers[i].param, numbers[i].full, v[i], numbers[i].whole) != 0)
            return -1;
    if (check_flag(g, "generationConfig", "responseLogprobs", v[LOGPROBS]) != 0)
        return -1;
    chat_set_param(g->out, PARAM_LOGPROBS, "generationConfig.responseLogprobs", v[LOGPROBS]);
    if (v[MODALITIES].type == JSON_ARRAY && !only_text(v[MODALITIES], g->a))
        chat_set_param(g->out, PARAM_MODALITIES, "generationConfig.responseModalities", v[MODALITIES]);
    if (read_stops(g, v[STOPS]) != 0 || read_format(g, v[MIME], v[SCHEMA], v[JSON_SCHEMA]) != 0)
        return -1;
    return read_thinking(g, v[THINKING]);
}

/* The settings of a Messages request: thinking, the answer's form, and parameters. Run by workers. */
#include "anthropic_messages_read.h"

#include <string.h>

/* ---- thinking and the answer's form */

/* The beta in which a budget is that of all turns between two of the user's, and so may be more than an
 * answer's maximum. */
static bool thinks_between_calls(const struct messages_reading *m)
{
    struct str betas;
    return http_find(m->r->head, "anthropic-beta", &betas) && str_has(betas, "interleaved-thinking");
}

static int read_budget(struct messages_reading *m, const struct place *at, struct json_value budget,
                       int64_t max_tokens)
{
    int64_t n;
    if (messages_need(m, at, "budget_tokens", budget, JSON_NUMBER) != 0)
        return -1;
    if (json_int(budget, &n) != 0)
        return messages_wrong(m, at, "budget_tokens", "Input should be a valid integer");
    if (n < 1024)
        return messages_wrong(m, at, "budget_tokens", "Input should be greater than or equal to 1024");
    if ((n >= max_tokens && !thinks_between_calls(m)) || n > INT32_MAX)
        return messages_wrong(m, NULL, NULL, "`max_tokens` must be greater than `thinking.budget_tokens`");
    m->out->thinking = THINKING_BUDGET;
    m->out->thinking_budget = (uint32_t)n;
    return 0;
}

/* What of the thinking is shown changes nothing of the answer: a way of showing it that is Anthropic's alone,
 * or new, refuses no request. With "updates" the thinking itself stays hidden. */
static void read_display(struct messages_reading *m, struct json_value display)
{
    if (word_is(display, "summarized"))
        m->out->thinking_shown = 1;
    else if (word_is(display, "omitted") || word_is(display, "updates"))
        m->out->thinking_shown = 0;
    if (is_given(display) && !word_is(display, "summarized") && !word_is(display, "omitted"))
        messages_pass_over(m, STR("thinking.display"));
}

static int read_thinking_mode(struct messages_reading *m, struct json_value thinking, int64_t max_tokens)
{
    static const char *const names[] = {"type", "budget_tokens", "display"};
    struct place here = {NULL, "thinking", 0};
    struct json_value v[3];
    if (!is_given(thinking))
        return 0;
    if (messages_members(m, &here, thinking, names, 3, v) != 0)
        return -1;
    chat_set_param(m->out, PARAM_THINKING, "thinking", thinking);
    read_display(m, v[2]);
    if (word_is(v[0], "enabled"))
        return read_budget(m, &here, v[1], max_tokens);
    if (word_is(v[0], "adaptive"))
        m->out->thinking = THINKING_ON;
    else if (word_is(v[0], "disabled"))
        m->out->thinking = THINKING_OFF;
    else if (word_is(v[0], "between_tools")) /* only there: nobody else can be told */
        messages_pass_over(m, STR("thinking.type"));
    else
        return messages_wrong(m, &here, "type", "Input should be 'enabled', 'adaptive' or 'disabled'");
    return 0;
}

static int read_effort(struct messages_reading *m, const struct place *at, struct json_value effort)
{
    static const char *const words[] = {"low", "medium", "high", "xhigh", "max"};
    size_t i = 0;
    if (!is_given(effort))
        return 0;
    while (i < 5 && !word_is(effort, words[i]))
        i++;
    if (i == 5)
        return messages_wrong(m, at, "effort", "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'");
    if (m->out->thinking == THINKING_OFF || m->out->thinking == THINKING_BUDGET) {
        messages_pass_over(m, STR("output_config.effort"));
        return 0;
    }
    if (m->out->thinking == THINKING_DEFAULT)
        chat_set_param(m->out, PARAM_THINKING, "output_config.effort", effort);
    m->out->thinking = THINKING_EFFORT;
    m->out->thinking_effort = str_of(words[i]);
    return 0;
}

static bool is_closed(struct json_value schema);

/* Every schema in an object or array of them is closed. */
static bool all_closed(struct json_value list)
{
    struct json_value v;
    for (size_t at = 0;
         (list.type == JSON_OBJECT || list.type == JSON_ARRAY) && json_next(list.raw, &at, NULL, &v) == 1;)
        if (!is_closed(v))
            return false;
    return true;
}

/* Every object in it lists all its properties as required and takes no others: what OpenAI calls strict. */
static bool is_closed(struct json_value schema)
{
    struct json_value properties = json_member(schema, "properties");
    if (schema.type != JSON_OBJECT)
        return schema.type == JSON_ABSENT;
    if (json_member(schema, "additionalProperties").type != JSON_FALSE &&
        (properties.type == JSON_OBJECT || word_is(json_member(schema, "type"), "object")))
        return false;
    if (properties.type == JSON_OBJECT && json_member(schema, "required").count != properties.count)
        return false;
    return is_closed(json_member(schema, "items")) && all_closed(properties) &&
           all_closed(json_member(schema, "anyOf")) && all_closed(json_member(schema, "$defs"));
}

static int read_format(struct messages_reading *m, const struct place *at, struct json_value format)
{
    static const char *const names[] = {"type", "schema"};
    struct json_value v[2];
    if (!is_given(format))
        return 0;
    if (messages_members(m, at, format, names, 2, v) != 0)
        return -1;
    if (!word_is(v[0], "json_schema"))
        return messages_wrong(m, at, "type", "Input should be 'json_schema'");
    if (messages_need(m, at, "schema", v[1], JSON_OBJECT) != 0)
        return -1;
    m->out->format = FORMAT_SCHEMA;
    m->out->format_name = STR("structured_output");
    m->out->format_schema = v[1].raw;
    m->out->format_strict = is_closed(v[1]) ? 1 : -1;
    return 0;
}

static int read_output_config(struct messages_reading *m, struct json_value config)
{
    static const char *const names[] = {"effort", "format", "task_budget"};
    struct place here = {NULL, "output_config", 0}, format = {&here, "format", 0};
    struct json_value v[3];
    if (!is_given(config))
        return 0;
    if (messages_members(m, &here, config, names, 3, v) != 0)
        return -1;
    if (is_given(v[2]))
        messages_pass_over(m, STR("output_config.task_budget"));
    return read_effort(m, &here, v[0]) != 0 ? -1 : read_format(m, &format, v[1]);
}

/* ---- parameters */

static int read_max_tokens(struct messages_reading *m, struct json_value v, int64_t *out)
{
    *out = INT64_MAX;
    if (m->r->match.endpoint == EP_COUNT_TOKENS && !is_given(v))
        return 0;
    if (messages_need(m, NULL, "max_tokens", v, JSON_NUMBER) != 0)
        return -1;
    if (json_int(v, out) != 0)
        return messages_wrong(m, NULL, "max_tokens", "Input should be a valid integer");
    if (*out < 1)
        return messages_wrong(m, NULL, "max_tokens", "Input should be greater than or equal to 1");
    chat_set_param(m->out, PARAM_MAX_TOKENS, "max_tokens", v);
    return 0;
}

static int read_fraction(struct messages_reading *m, enum chat_param p, const char *name, struct json_value v)
{
    double d;
    if (!is_given(v))
        return 0;
    if (json_double(v, &d) != 0)
        return messages_wrong(m, NULL, name, "Input should be a valid number");
    if (d < 0 || d > 1)
        return messages_wrong(m, NULL, name, "Input should be between 0 and 1");
    chat_set_param(m->out, p, name, v);
    return 0;
}

static int read_top_k(struct messages_reading *m, struct json_value v)
{
    int64_t n;
    if (!is_given(v))
        return 0;
    if (json_int(v, &n) != 0 || n < 0)
        return messages_wrong(m, NULL, "top_k", "Input should be a valid integer, 0 or greater");
    chat_set_param(m->out, PARAM_TOP_K, "top_k", v);
    return 0;
}

static int read_stop(struct messages_reading *m, struct json_value stop)
{
    struct place here = {NULL, "stop_sequences", 0}, at = {&here, NULL, 0};
    struct json_value v;
    if (!is_given(stop))
        return 0;
    if (messages_need(m, NULL, "stop_sequences", stop, JSON_ARRAY) != 0)
        return -1;
    for (size_t step = 0; json_next(stop.raw, &step, NULL, &v) == 1; at.index++) {
        if (messages_need(m, &at, NULL, v, JSON_STRING) != 0)
            return -1;
        chat_add_stop(m->out, m->a, json_text(v, m->a));
    }
    if (m->out->n_stop > 0)
        chat_set_param(m->out, PARAM_STOP, "stop_sequences", stop);
    return 0;
}

static int read_metadata(struct messages_reading *m, struct json_value metadata)
{
    static const char *const names[] = {"user_id"};
    struct place here = {NULL, "metadata", 0};
    struct json_value v[1];
    if (!is_given(metadata))
        return 0;
    if (messages_members(m, &here, metadata, names, 1, v) != 0 ||
        messages_may_be(m, &here, "user_id", v[0], JSON_STRING) != 0)
        return -1;
    chat_set_param(m->out, PARAM_USER, "metadata.user_id", v[0]);
    return 0;
}

static int read_service_tier(struct messages_reading *m, struct json_value v)
{
    if (!is_given(v))
        return 0;
    if (word_is(v, "standard_only"))
        v.raw = STR("\"default\""); /* as the others call it */
    else if (!word_is(v, "auto"))
        return messages_wrong(m, NULL, "service_tier", "Input should be 'auto' or 'standard_only'");
    chat_set_param(m->out, PARAM_SERVICE_TIER, "service_tier", v);
    return 0;
}

/* A mark on the whole request: on its last block that may have one. */
static int read_top_mark(struct messages_reading *m, struct json_value v)
{
    struct str mark = STR_NULL;
    if (messages_read_mark(m, NULL, v, &mark) != 0)
        return -1;
    if (mark.n > 0)
        chat_set_param(m->out, PARAM_CACHE_CONTROL, "cache_control", v);
    return 0;
}

int messages_read_settings(struct messages_reading *m, const struct json_value v[N_MEMBERS])
{
    int64_t max_tokens;
    struct place format = {NULL, "output_format", 0};
    return read_max_tokens(m, v[MEMBER_MAX_TOKENS], &max_tokens) != 0 ||
                   read_thinking_mode(m, v[MEMBER_THINKING], max_tokens) != 0 ||
                   read_output_config(m, v[MEMBER_OUTPUT_CONFIG]) != 0 ||
                   read_format(m, &format, v[MEMBER_OUTPUT_FORMAT]) != 0 ||
                   read_stop(m, v[MEMBER_STOP_SEQUENCES]) != 0 ||
                   read_fraction(m, PARAM_TEMPERATURE, "temperature", v[MEMBER_TEMPERATURE]) != 0 ||
                   read_fraction(m, PARAM_TOP_P, "top_p", v[MEMBER_TOP_P]) != 0 ||
                   read_top_k(m, v[MEMBER_TOP_K]) != 0 || read_metadata(m, v[MEMBER_METADATA]) != 0 ||
                   read_service_tier(m, v[MEMBER_SERVICE_TIER]) != 0 ||
                   read_top_mark(m, v[MEMBER_CACHE_CONTROL]) != 0
               ? -1
               : 0;
}

/* Reads requests to OpenAI's Chat Completions into the neutral form. Run by workers.
 *
 * Members are dispatched by name, once each, in the order they stand: what depends on two of them (the legacy
 * function_call and its result) is settled behind the walk. What only OpenAI itself could serve (its web
 * search, speech, stored audio) is refused with the member's path in `param`; a member without
 * a place in the neutral form is noted by name.
 *
 * Read beside OpenAI's own: cache_control on parts, messages and tools; reasoning_content and thinking_blocks
 * of assistant turns; extra_content.google.thought_signature; thinking and reasoning objects, top_k. */
#include "openai_chat_dialect.h"

#include "custom_tool.h"

#include <stdarg.h>
#include <string.h>

/* ---- small things */

const char *reading_at(struct openai_reading *d, const char *fmt, ...)
{
    char text[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return arena_copy(d->a, str_of(text)).p;
}

int reading_bad(struct openai_reading *d, const char *param, const char *code, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *d->f = (struct failure){
        .status = 400, .code = code, .param = param, .message = arena_copy(d->a, str_of(text))};
    return -1;
}

int reading_bad_type(struct openai_reading *d, const char *param, const char *want)
{
    return reading_bad(d, param, "invalid_type", "Invalid type for '%s': expected %s.", param, want);
}

int reading_missing(struct openai_reading *d, const char *at, const char *member)
{
    const char *param = reading_at(d, "%s.%s", at, member);
    return reading_bad(d, param, "missing_required_parameter", "Missing required parameter: '%s'.", param);
}

int reading_unsupported(struct openai_reading *d, const char *param, const char *what)
{
    return reading_bad(
        d, param, "unsupported_parameter",
        "%s can't be had from this model's provider through Chat Completions: '%s' is not supported.", what,
        param);
}

int reading_look(struct openai_reading *d, struct json_value v, const char *const paths[], size_t n,
                 struct json_value out[], const char *at)
{
    struct error err;
    if (v.type != JSON_OBJECT)
        return reading_bad_type(d, at, "an object");
    if (json_scan(v.raw, paths, n, out, &err) != 0)
        return reading_bad(d, at, "invalid_value", "Invalid '%s': %s.", at, err.text);
    return 0;
}

/* ---- tools */

static int truth(struct json_value v)
{
    return v.type == JSON_TRUE ? 1 : v.type == JSON_FALSE ? 0 : -1;
}

/* Functions and custom tools share one space of names: who calls one says no more than its name. */
static int add_tool(struct openai_reading *d, struct chat_tool t, const char *at)
{
    const struct chat_tool *same = chat_tool(d->out, t.name);
    if (same && !d->out->too_many && (same->kind == TOOL_CUSTOM || t.kind == TOOL_CUSTOM))
        return reading_bad(d, reading_at(d, "%s.name", at), "invalid_value",
                           "Invalid '%s.name': two tools have that name.", at);
    *chat_add_tool(d->out, d->a) = t;
    return 0;
}

static int take_function(struct openai_reading *d, struct json_value function, struct str mark,
                         const char *at)
{
    static const char *const paths[] = {"name", "description", "parameters", "strict", "cache_control"};
    enum { NAME, DESCRIPTION, PARAMETERS, STRICT, MARK };
    struct json_value v[5];
    if (LOOK(d, function, paths, v, at) != 0)
        return -1;
    struct str name = text_of(d, v[NAME]);
    if (name.n == 0)
        return reading_missing(d, at, "name");
    if (given(v[PARAMETERS]) && v[PARAMETERS].type != JSON_OBJECT)
        return reading_bad_type(d, reading_at(d, "%s.parameters", at), "a JSON schema (an object)");
    if (given(v[DESCRIPTION]) && v[DESCRIPTION].type != JSON_STRING)
        return reading_bad_type(d, reading_at(d, "%s.description", at), "a string");
    struct chat_tool t = {.name = name,
                          .description = text_of(d, v[DESCRIPTION]),
                          .schema = given(v[PARAMETERS]) ? v[PARAMETERS].raw : STR_NULL,
                          .strict = truth(v[STRICT])};
    t.cache_control = mark.n > 0 ? mark : cache_mark(v[MARK], (struct json_value){0});
    return add_tool(d, t, at);
}

/* {"type":"text"}, or {"type":"grammar","grammar":{"syntax","definition"}}. */
static int take_grammar(struct openai_reading *d, struct chat_tool *t, struct json_value format,
                        const char *at)
{
    struct str type = member_text(d, format, "type");
    struct json_value grammar = json_member(format, "grammar");
    if (!given(format) || is(type, "text"))
        return 0;
    t->syntax = member_text(d, grammar, "syntax");
    t->definition = member_text(d, grammar, "definition");
    if (!is(type, "grammar") || t->definition.n == 0)
        return reading_bad(d, at, "invalid_value",
                           "Invalid '%s': expected the type 'text', or 'grammar' and its definition.", at);
    chat_set_param(d->out, PARAM_TOOL_FORMAT, "tools[].custom.format", format);
    return 0;
}

static int take_custom(struct openai_reading *d, struct json_value custom, struct str mark, const char *at)
{
    static const char *const paths[] = {"name", "description", "format"};
    enum { NAME, DESCRIPTION, FORMAT };
    struct json_value v[3];
    if (LOOK(d, custom, paths, v, at) != 0)
        return -1;
    struct chat_tool t = {.name = text_of(d, v[NAME]),
                          .own_description = text_of(d, v[DESCRIPTION]),
                          .strict = -1,
                          .cache_control = mark};
    if (t.name.n == 0)
        return reading_missing(d, at, "name");
    if (take_grammar(d, &t, v[FORMAT], reading_at(d, "%s.format", at)) != 0)
        return -1;
    custom_tool_settle(&t, d->a);
    return add_tool(d, t, at);
}

static int take_tool(struct openai_reading *d, struct json_value tool, const char *at)
{
    static const char *const paths[] = {"type", "function", "custom", "cache_control"};
    enum { TYPE, FUNCTION, CUSTOM, MARK };
    struct json_value v[4];
    if (LOOK(d, tool, paths, v, at) != 0)
        return -1;
    struct str mark = cache_mark(v[MARK], (struct json_value){0});
    if (is(text_of(d, v[TYPE]), "custom"))
        return take_custom(d, v[CUSTOM], mark, reading_at(d, "%s.custom", at));
    if (!is(text_of(d, v[TYPE]), "function") && (given(v[TYPE]) || !given(v[FUNCTION])))
        return reading_unsupported(d, reading_at(d, "%s.type", at), "A tool that is not the caller's own");
    return take_function(d, v[FUNCTION], mark, reading_at(d, "%s.function", at));
}

static int take_tools(struct openai_reading *d, struct json_value tools)
{
    struct json_value v;
    size_t next = 0;
    if (tools.type != JSON_ARRAY)
        return reading_bad_type(d, "tools", "an array of tools");
    for (unsigned i = 0; json_next(tools.raw, &next, NULL, &v); i++)
        if (take_tool(d, v, reading_at(d, "tools[%u]", i)) != 0)
            return -1;
    return 0;
}

static int take_functions(struct openai_reading *d, struct json_value functions)
{
    struct json_value v;
    size_t next = 0;
    if (!given(functions) || d->out->n_tools > 0)
        return 0;
    if (functions.type != JSON_ARRAY)
        return reading_bad_type(d, "functions", "an array of functions");
    for (unsigned i = 0; json_next(functions.raw, &next, NULL, &v); i++)
        if (take_function(d, v, STR_NULL, reading_at(d, "functions[%u]", i)) != 0)
            return -1;
    return 0;
}

static int take_choice_word(struct openai_reading *d, struct str word, const char *at)
{
    if (is(word, "none"))
        d->out->tool_choice = TOOLS_NONE;
    else if (is(word, "auto"))
        d->out->tool_choice = TOOLS_AUTO;
    else if (is(word, "required") || is(word, "any"))
        d->out->tool_choice = TOOLS_REQUIRED;
    else
        return reading_bad(d, at, "invalid_value", "Invalid value: '" STR_FMT "' in '%s'.", STR_ARG(word),
                           at);
    return 0;
}

static int take_choice_name(struct openai_reading *d, struct str name, const char *at)
{
    if (!chat_tool(d->out, name))
        return reading_bad(d, at, "invalid_value",
                           "Invalid '%s': no tool of that name is among the request's.", at);
    d->out->tool_choice = TOOLS_NAMED;
    d->out->tool_name = name;
    return 0;
}

/* {"type":"function","function":{"name":…}}, the same of a custom tool, and, as it once was, {"name":…}. */
static struct str chosen_name(struct openai_reading *d, struct json_value v)
{
    struct json_value custom = json_member(v, "custom"), function = json_member(v, "function");
    return member_text(d, given(custom) ? custom : given(function) ? function : v, "name");
}

static int take_allowed(struct openai_reading *d, struct json_value allowed)
{
    static const char at[] = "tool_choice.allowed_tools";
    struct json_value tools = json_member(allowed, "tools"), v;
    size_t next = 0;
    if (tools.type != JSON_ARRAY || take_choice_word(d, member_text(d, allowed, "mode"), at) != 0)
        return reading_bad_type(d, at, "an object with 'mode' and 'tools'");
    while (json_next(tools.raw, &next, NULL, &v)) {
        struct str name = chosen_name(d, v);
        if (!chat_tool(d->out, name))
            return reading_bad(d, at, "invalid_value",
                               "Invalid '%s': it names what is no tool of the request.", at);
        chat_add_allowed(d->out, d->a, name);
    }
    return 0;
}

/* Behind the tools, which it names. */
static int take_tool_choice(struct openai_reading *d)
{
    struct json_value v = d->tool_choice;
    const char *at = "tool_choice";
    int rc = 0;
    if (!given(v) && given(d->function_call)) {
        v = d->function_call;
        at = "function_call";
    }
    if (!given(v))
        return 0;
    struct str type = member_text(d, v, "type");
    if (v.type == JSON_STRING)
        rc = take_choice_word(d, json_text(v, d->a), at);
    else if (v.type != JSON_OBJECT)
        rc = reading_bad_type(d, at, "a string or an object");
    else if (is(type, "allowed_tools"))
        rc = take_allowed(d, json_member(v, "allowed_tools"));
    else
        rc = take_choice_name(d, chosen_name(d, v), at);
    if (rc == 0 && d->out->n_tools == 0 && d->out->tool_choice == TOOLS_REQUIRED)
        rc = reading_bad(d, at, "invalid_value", "'%s' is only allowed where the request has tools.", at);
    return rc;
}

/* ---- other members */

static int take_format(struct openai_reading *d, struct json_value v)
{
    struct str type = member_text(d, v, "type");
    struct json_value schema = json_member(v, "json_schema");
    if (is(type, "text"))
        return 0;
    if (is(type, "json_object")) {
        d->out->format = FORMAT_JSON;
        return 0;
    }
    if (!is(type, "json_schema"))
        return reading_bad(d, "response_format.type", "invalid_value",
                           "Invalid value in 'response_format.type'.");
    struct json_value text = json_member(schema, "schema");
    if (schema.type != JSON_OBJECT || (given(text) && text.type != JSON_OBJECT))
        return reading_bad_type(d, "response_format.json_schema", "an object with 'name' and 'schema'");
    d->out->format = given(text) ? FORMAT_SCHEMA : FORMAT_JSON;
    d->out->format_name = member_text(d, schema, "name");
    d->out->format_description = member_text(d, schema, "description");
    d->out->format_schema = given(text) ? text.raw : STR_NULL;
    d->out->format_strict = truth(json_member(schema, "strict"));
    return 0;
}

static int take_stop(struct openai_reading *d, struct json_value v)
{
    struct json_value s;
    size_t next = 0;
    if (v.type == JSON_STRING)
        chat_add_stop(d->out, d->a, json_text(v, d->a));
    else if (v.type != JSON_ARRAY)
        return reading_bad_type(d, "stop", "a string or an array of strings");
    else
        while (json_next(v.raw, &next, NULL, &s)) {
            if (s.type != JSON_STRING)
                return reading_bad_type(d, "stop", "a string or an array of strings");
            chat_add_stop(d->out, d->a, json_text(s, d->a));
        }
    if (d->out->n_stop > 0)
        chat_set_param(d->out, PARAM_STOP, "stop", v);
    return 0;
}

static void take_effort(struct openai_reading *d, const char *name, struct json_value v)
{
    struct str effort = text_of(d, v);
    chat_set_param(d->out, PARAM_THINKING, name, v);
    d->out->thinking = is(effort, "none") ? THINKING_OFF : THINKING_EFFORT;
    d->out->thinking_effort = is(effort, "none") ? STR_NULL : effort;
}

static bool take_budget(struct openai_reading *d, struct json_value budget)
{
    int64_t n;
    if (budget.type != JSON_NUMBER || json_int(budget, &n) != 0 || n < 0 || n > INT32_MAX)
        return false;
    d->out->thinking = n > 0 ? THINKING_BUDGET : THINKING_OFF;
    d->out->thinking_budget = (uint32_t)n;
    return true;
}

/* Anthropic's and DeepSeek's {"type":…,"budget_tokens":…}. */
static int take_thinking_object(struct openai_reading *d, struct json_value v)
{
    struct str type = member_text(d, v, "type");
    if (v.type != JSON_OBJECT)
        return reading_bad_type(d, "thinking", "an object");
    if (!take_budget(d, json_member(v, "budget_tokens")))
        d->out->thinking = THINKING_ON;
    if (is(type, "disabled"))
        d->out->thinking = THINKING_OFF;
    chat_set_param(d->out, PARAM_THINKING, "thinking", v);
    return 0;
}

/* OpenRouter's {"effort":…,"max_tokens":…,"enabled":…,"exclude":…}. */
static int take_reasoning_object(struct openai_reading *d, struct json_value v)
{
    struct json_value effort = json_member(v, "effort");
    if (v.type != JSON_OBJECT)
        return reading_bad_type(d, "reasoning", "an object");
    if (effort.type == JSON_STRING)
        take_effort(d, "reasoning", effort);
    else if (!take_budget(d, json_member(v, "max_tokens")))
        d->out->thinking = json_member(v, "enabled").type == JSON_FALSE ? THINKING_OFF : THINKING_ON;
    if (json_member(v, "exclude").type == JSON_TRUE)
        d->out->thinking_shown = 0;
    chat_set_param(d->out, PARAM_THINKING, "reasoning", v);
    return 0;
}

static int take_modalities(struct openai_reading *d, struct json_value v)
{
    struct json_value s;
    size_t next = 0;
    bool others = false;
    if (v.type != JSON_ARRAY)
        return reading_bad_type(d, "modalities", "an array of strings");
    while (json_next(v.raw, &next, NULL, &s)) {
        struct str name = text_of(d, s);
        if (is(name, "audio"))
            return reading_unsupported(d, "modalities", "Spoken output");
        others |= !is(name, "text");
    }
    if (others)
        chat_set_param(d->out, PARAM_MODALITIES, "modalities", v);
    return 0;
}

/* Parameters whose value is taken as it stands, when it has the right type. */
static const struct {
    const char *name;
    enum chat_param param;
    enum json_type type; /* JSON_TRUE: either truth value */
    const char *want;
} plain[] = {
    {"temperature", PARAM_TEMPERATURE, JSON_NUMBER, "a number"},
    {"top_p", PARAM_TOP_P, JSON_NUMBER, "a number"},
    {"top_k", PARAM_TOP_K, JSON_NUMBER, "an integer"},
    {"n", PARAM_N, JSON_NUMBER, "an integer"},
    {"seed", PARAM_SEED, JSON_NUMBER, "an integer"},
    {"presence_penalty", PARAM_PRESENCE_PENALTY, JSON_NUMBER, "a number"},
    {"frequency_penalty", PARAM_FREQUENCY_PENALTY, JSON_NUMBER, "a number"},
    {"logprobs", PARAM_LOGPROBS, JSON_TRUE, "a boolean"},
    {"top_logprobs", PARAM_TOP_LOGPROBS, JSON_NUMBER, "an integer"},
    {"logit_bias", PARAM_LOGIT_BIAS, JSON_OBJECT, "an object"},
    {"safety_identifier", PARAM_USER, JSON_STRING, "a string"},
    {"user", PARAM_USER, JSON_STRING, "a string"},
    {"metadata", PARAM_METADATA, JSON_OBJECT, "an object"},
    {"service_tier", PARAM_SERVICE_TIER, JSON_STRING, "a string"},
    {"verbosity", PARAM_VERBOSITY, JSON_STRING, "a string"},
    {"prompt_cache_key", PARAM_CACHE_KEY, JSON_STRING, "a string"},
    {"prediction", PARAM_PREDICTION, JSON_OBJECT, "an object"},
};

/* 1: it was one of them, 0: it wasn't, -1: *f. */
static int take_plain(struct openai_reading *d, struct str name, struct json_value v)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (!is(name, plain[i].name))
            continue;
        bool truth = plain[i].type == JSON_TRUE && v.type == JSON_FALSE;
        if (v.type != plain[i].type && !truth)
            return reading_bad_type(d, plain[i].name, plain[i].want);
        bool kept = plain[i].param == PARAM_USER && d->out->params[PARAM_USER].name && is(name, "user");
        bool empty = (v.type == JSON_OBJECT && v.count == 0) || truth; /* asks for nothing */
        if (!kept && !empty)
            chat_set_param(d->out, plain[i].param, plain[i].name, v);
        return 1;
    }
    return 0;
}

static int take_max_tokens(struct openai_reading *d, const char *name, struct json_value v)
{
    int64_t n;
    if (v.type != JSON_NUMBER || json_int(v, &n) != 0)
        return reading_bad_type(d, name, "an integer");
    if (n < 1)
        return reading_bad(d, name, "integer_below_min_value", "Invalid '%s': it must be at least 1.", name);
    chat_set_param(d->out, PARAM_MAX_TOKENS, name, v);
    return 0;
}

static int take_parallel(struct openai_reading *d, struct json_value v)
{
    if (v.type != JSON_TRUE && v.type != JSON_FALSE)
        return reading_bad_type(d, "parallel_tool_calls", "a boolean");
    d->out->parallel_tools = v.type == JSON_TRUE;
    chat_set_param(d->out, PARAM_PARALLEL_TOOLS, "parallel_tool_calls", v);
    return 0;
}

/* Members that are read when all of them are known. */
static bool keep(struct openai_reading *d, struct str name, struct json_value v)
{
    const struct {
        const char *name;
        struct json_value *at;
    } kept[] = {
        {"functions", &d->functions},
        {"function_call", &d->function_call},
        {"max_tokens", &d->max_tokens},
        {"tool_choice", &d->tool_choice},
        {"reasoning_effort", &d->reasoning_effort},
    };
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (is(name, kept[i].name)) {
            *kept[i].at = v;
            return true;
        }
    return false;
}

/* What others see to, or what asks for the default. */
static bool is_nothing(struct str name, struct json_value v)
{
    return is(name, "model") || is(name, "stream") || is(name, "stream_options") || !given(v) ||
           (is(name, "store") && v.type == JSON_FALSE);
}

static int take_member(struct openai_reading *d, struct str name, struct json_value v)
{
    if (is(name, "messages"))
        return openai_read_messages(d, v);
    if (is_nothing(name, v) || keep(d, name, v))
        return 0;
    if (is(name, "tools"))
        return take_tools(d, v);
    if (is(name, "response_format"))
        return take_format(d, v);
    if (is(name, "stop"))
        return take_stop(d, v);
    if (is(name, "max_completion_tokens"))
        return take_max_tokens(d, "max_completion_tokens", v);
    if (is(name, "parallel_tool_calls"))
        return take_parallel(d, v);
    if (is(name, "modalities"))
        return take_modalities(d, v);
    if (is(name, "thinking"))
        return take_thinking_object(d, v);
    if (is(name, "reasoning"))
        return take_reasoning_object(d, v);
    if (is(name, "web_search_options"))
        return reading_unsupported(d, "web_search_options", "OpenAI's web search");
    if (is(name, "audio"))
        return reading_unsupported(d, "audio", "Spoken output");
    int rc = take_plain(d, name, v);
    if (rc == 0)
        chat_add_extra(d->out, d->a, arena_copy(d->a, name));
    return rc < 0 ? -1 : 0;
}

static int finish(struct openai_reading *d)
{
    const struct chat_param_value *max = &d->out->params[PARAM_MAX_TOKENS];
    if (given(d->max_tokens) && !max->name && take_max_tokens(d, "max_tokens", d->max_tokens) != 0)
        return -1;
    if (given(d->reasoning_effort)) {
        if (d->reasoning_effort.type != JSON_STRING)
            return reading_bad_type(d, "reasoning_effort", "a string");
        take_effort(d, "reasoning_effort", d->reasoning_effort);
    }
    return take_functions(d, d->functions) != 0 ? -1 : take_tool_choice(d);
}

static int read_request(struct request *r, struct chat_request *out, struct failure *f)
{
    struct openai_reading d = {.r = r, .a = r->arena, .out = out, .f = f};
    struct str name;
    struct json_value v;
    size_t next = 0;
    bool messages = false;
    while (json_next(r->body, &next, &name, &v)) {
        messages |= is(name, "messages");
        if (take_member(&d, name, v) != 0)
            return -1;
    }
    if (!messages)
        return openai_read_messages(&d, (struct json_value){.type = JSON_ABSENT});
    return finish(&d);
}

const struct chat_dialect dialect_chat = {
    .name = "chat",
    .read = read_request,
    .write = openai_chat_write,
    .begin = openai_chat_begin,
    .delta = openai_chat_delta,
    .end = openai_chat_end,
    .fail = openai_chat_fail,
    .usage = openai_chat_usage,
};

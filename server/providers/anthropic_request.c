/* A request as Claude takes it. What it cannot be told at all is refused, what only steers it is left out and
 * named; what its models take differs by generation (anthropic_model.c). Run by workers only. */
#include "anthropic_chat.h"

#include "json_out.h"

#include <string.h>

enum { DEFAULT_MAX_TOKENS = 4096, MIN_BUDGET = 1024, MAX_MARKS = 4, MAX_USER_ID = 256, MAX_CALLED = 64 };

/* ---- marks of the prompt cache */

static bool is_mark(struct str mark)
{
    return mark.n > 0 && str_eq(json_member(json_root(mark), "type").raw, STR("\"ephemeral\""));
}

static uint32_t count_part_marks(const struct chat_part *p)
{
    uint32_t n = is_mark(p->cache_control);
    for (size_t i = 0; p->kind == PART_TOOL_RESULT && n == 0 && i < p->n_parts; i++)
        n = is_mark(p->parts[i].cache_control);
    return n;
}

static struct str top_mark(const struct chat_request *in)
{
    struct str value = in->params[PARAM_CACHE_CONTROL].value;
    return value.n > 0 && value.p[0] == '{' && is_mark(value) ? value : STR_NULL;
}

static uint32_t count_marks(const struct chat_request *in)
{
    uint32_t n = top_mark(in).n > 0;
    for (size_t i = 0; i < in->n_tools; i++)
        n += is_mark(in->tools[i].cache_control);
    for (size_t i = 0; i < in->n_messages; i++)
        for (size_t k = 0; k < in->messages[i].n_parts; k++)
            n += count_part_marks(&in->messages[i].parts[k]);
    return n;
}

/* Of more than four, the first (tools or instructions, as a rule) and the last three: what lies behind the
 * last one is read anew with every call, and the others are for calls that branch off before. */
void anthropic_put_mark(struct anthropic_body *b, struct str mark)
{
    if (!is_mark(mark))
        return;
    uint32_t nth = b->marks_seen++;
    if (b->marks > MAX_MARKS && nth > 0 && nth + MAX_MARKS - 1 < b->marks) {
        chat_adjust(b->c, PARAM_CACHE_CONTROL);
        return;
    }
    json_member_raw(&b->w, "cache_control", mark);
    chat_take(b->c, PARAM_CACHE_CONTROL);
}

/* ---- what is decided before anything is written */

enum thinking_mode { UNSAID, OFF, ADAPTIVE, BUDGET };

struct plan {
    uint32_t max_tokens;
    enum thinking_mode thinking;
    uint32_t budget;
    const char *effort; /* NULL: the model's own */
    bool json_tool;     /* the answer's form is forced by a tool */
    bool forced;        /* a tool must be called */
    bool no_calls;      /* tools are only there because the history has calls */
    bool temperature;   /* was written */
};

static void take_max_tokens(struct chat_call *c, struct plan *p)
{
    int64_t n;
    struct json_value v = {.type = JSON_NUMBER, .raw = chat_take(c, PARAM_MAX_TOKENS)};
    p->max_tokens = c->max_output ? c->max_output : DEFAULT_MAX_TOKENS;
    if (v.raw.n == 0 || json_int(v, &n) != 0 || n < 1 || n > INT32_MAX)
        return;
    if (c->max_output && n > c->max_output)
        chat_adjust(c, PARAM_MAX_TOKENS);
    else
        p->max_tokens = (uint32_t)n;
}

static uint32_t budget_of(struct str effort)
{
    static const struct {
        struct str effort;
        uint32_t budget;
    } table[] = {
        {STR("minimal"), 1024}, {STR("low"), 1024},    {STR("medium"), 2048},
        {STR("high"), 4096},    {STR("xhigh"), 16384}, {STR("max"), 32768},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (str_eq(effort, table[i].effort))
            return table[i].budget;
    return 4096;
}

static const char *effort_of(const struct chat_request *in)
{
    if (in->thinking == THINKING_BUDGET)
        return in->thinking_budget <= 1024 ? "low" : in->thinking_budget <= 2048 ? "medium" : "high";
    static const char *const words[] = {"low", "medium", "high", "xhigh", "max"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq(in->thinking_effort, str_of(words[i])))
            return words[i];
    return str_eq(in->thinking_effort, STR("minimal")) ? "low" : NULL;
}

static void plan_adaptive(struct anthropic_body *b, struct plan *p)
{
    const struct chat_request *in = b->c->in;
    p->thinking = ADAPTIVE;
    chat_take(b->c, PARAM_THINKING);
    if (in->thinking == THINKING_ON)
        return;
    p->effort = effort_of(in);
    if (p->effort && strcmp(p->effort, "xhigh") == 0 && !b->model.xhigh)
        p->effort = "high";
    if (in->thinking == THINKING_BUDGET || !p->effort || !str_eq(in->thinking_effort, str_of(p->effort)))
        chat_adjust(b->c, PARAM_THINKING);
}

/* An assistant's turn with calls whose results come now has to show its signed thinking. */
static bool loop_lost_thinking(const struct chat_request *in)
{
    size_t n = in->n_messages;
    while (n > 0 && in->messages[n - 1].role != CHAT_ASSISTANT)
        n--;
    if (n == 0 || !chat_has(in->messages[n - 1].parts, in->messages[n - 1].n_parts, PART_TOOL_CALL))
        return false;
    const struct chat_message *m = &in->messages[n - 1];
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].signer == SIGNER_ANTHROPIC &&
            (m->parts[i].kind == PART_THINKING || m->parts[i].kind == PART_REDACTED))
            return false;
    return true;
}

static bool ends_with_assistant(const struct chat_request *in)
{
    return in->n_messages > 0 && in->messages[in->n_messages - 1].role == CHAT_ASSISTANT;
}

bool anthropic_may_begin_thinking(const struct chat_request *in)
{
    return !ends_with_assistant(in) && !loop_lost_thinking(in);
}

/* Thinking within a budget: less than max_tokens, and not together with a forced call, nor with the beginning
 * of an answer. */
static void plan_budget(struct anthropic_body *b, struct plan *p)
{
    const struct chat_request *in = b->c->in;
    bool given = chat_given(b->c, PARAM_MAX_TOKENS);
    uint32_t wanted = in->thinking == THINKING_BUDGET   ? in->thinking_budget
                      : in->thinking == THINKING_EFFORT ? budget_of(in->thinking_effort)
                                                        : budget_of(STR("high"));
    p->budget = wanted < MIN_BUDGET ? MIN_BUDGET : wanted;
    if (!given && !b->c->max_output)
        p->max_tokens = p->budget + DEFAULT_MAX_TOKENS;
    if (p->budget >= p->max_tokens)
        p->budget = p->max_tokens - 1;
    bool possible = p->budget >= MIN_BUDGET && !p->forced && anthropic_may_begin_thinking(in);
    chat_take(b->c, PARAM_THINKING);
    if (!possible || (in->thinking == THINKING_BUDGET && p->budget != wanted))
        chat_adjust(b->c, PARAM_THINKING);
    p->thinking = possible ? BUDGET : UNSAID;
}

static void plan_off(struct anthropic_body *b, struct plan *p)
{
    chat_take(b->c, PARAM_THINKING);
    if (b->model.always_thinks) {
        p->effort = "low";
        chat_adjust(b->c, PARAM_THINKING);
    } else if (b->model.shows_thinking) {
        p->thinking = OFF; /* older ones don't think unless they are told to */
    }
}

static void plan_thinking(struct anthropic_body *b, struct plan *p)
{
    const struct chat_request *in = b->c->in;
    if (in->thinking == THINKING_DEFAULT)
        return;
    if (in->thinking == THINKING_OFF)
        plan_off(b, p);
    else if (!b->model.thinks)
        return;
    else if (b->model.adaptive && (in->thinking != THINKING_BUDGET || b->model.shows_thinking))
        plan_adaptive(b, p);
    else
        plan_budget(b, p);
}

static size_t count_listed(const struct chat_request *in)
{
    size_t n = 0;
    for (size_t i = 0; i < in->n_tools; i++)
        n += chat_tool_allowed(in, in->tools[i].name);
    return n;
}

static void make_plan(struct anthropic_body *b, struct plan *p)
{
    const struct chat_request *in = b->c->in;
    *p = (struct plan){0};
    take_max_tokens(b->c, p);
    p->json_tool = in->format == FORMAT_SCHEMA && in->format_schema.n > 0 && !b->model.schema;
    p->no_calls = !p->json_tool && count_listed(in) == 0;
    p->forced = p->json_tool || (count_listed(in) > 0 &&
                                 (in->tool_choice == TOOLS_REQUIRED || in->tool_choice == TOOLS_NAMED));
    plan_thinking(b, p);
}

/* ---- what is refused */

static int check_modalities(struct chat_call *c)
{
    struct json_value list = json_root(chat_take(c, PARAM_MODALITIES)), one;
    for (size_t at = 0; list.type == JSON_ARRAY && json_next(list.raw, &at, NULL, &one) == 1;)
        if (!str_ieq(one.raw, STR("\"text\"")))
            return chat_refuse(c, c->in->params[PARAM_MODALITIES].name, "Claude answers with text only.");
    return 0;
}

static int check(struct chat_call *c)
{
    int64_t n;
    struct json_value v = {.type = JSON_NUMBER, .raw = chat_take(c, PARAM_N)};
    if (v.raw.n > 0 && json_int(v, &n) == 0 && n > 1)
        return chat_refuse(c, c->in->params[PARAM_N].name, "Claude gives one answer at a time.");
    return check_modalities(c);
}

/* ---- tools */

/* The schema of a tool's input must be that of an object. */
static void put_input_schema(struct anthropic_body *b, struct str schema)
{
    struct json_value root = json_root(schema);
    json_name(&b->w, "input_schema");
    if (root.type != JSON_OBJECT)
        json_raw(&b->w, STR("{\"type\":\"object\",\"properties\":{}}"));
    else if (str_eq(json_member(root, "type").raw, STR("\"object\"")))
        json_raw(&b->w, root.raw);
    else if (json_set_member(b->w.out, root.raw, "type", STR("\"object\"")) == 0)
        b->w.comma = true;
}

static void put_tool(struct anthropic_body *b, const struct chat_tool *t)
{
    json_open(&b->w, '{');
    json_member_str(&b->w, "name", anthropic_tool_name(t->name, b->c->arena));
    json_opt_str(&b->w, "description", t->description);
    bool strict = t->strict == 1 && b->model.schema && json_root(t->schema).type == JSON_OBJECT;
    if (strict) {
        json_name(&b->w, "input_schema");
        anthropic_put_schema(b->w.out, t->schema, b->c->arena);
        b->w.comma = true;
        json_member_bool(&b->w, "strict", true);
    } else {
        put_input_schema(b, t->schema);
    }
    anthropic_put_mark(b, t->cache_control);
    json_close(&b->w, '}');
}

static void put_json_tool(struct anthropic_body *b)
{
    const struct chat_request *in = b->c->in;
    struct str description = in->format_description.n > 0 ? in->format_description : STR("Gives the answer.");
    json_open(&b->w, '{');
    json_member_str(&b->w, "name", anthropic_json_tool(in, b->c->arena));
    json_member_str(&b->w, "description", description);
    if (anthropic_json_wrapped(in)) {
        json_member_open(&b->w, "input_schema", '{');
        json_member_strz(&b->w, "type", "object");
        json_member_open(&b->w, "properties", '{');
        json_member_raw(&b->w, "value", in->format_schema);
        json_close(&b->w, '}');
        json_member_raw(&b->w, "required", STR("[\"value\"]"));
        json_close(&b->w, '}');
    } else {
        put_input_schema(b, in->format_schema);
    }
    json_close(&b->w, '}');
}

/* Puts a name into names[] unless it is there, or no more fit. */
static size_t note_name(struct str names[], size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return n;
    if (n < MAX_CALLED)
        names[n++] = name;
    return n;
}

/* A history with calls is only taken together with tools: those that were called, whatever they took. */
static void put_called_tools(struct anthropic_body *b)
{
    const struct chat_request *in = b->c->in;
    struct str names[MAX_CALLED];
    size_t n = 0;
    for (size_t i = 0; i < in->n_messages; i++)
        for (size_t k = 0; k < in->messages[i].n_parts; k++)
            if (in->messages[i].parts[k].kind == PART_TOOL_CALL)
                n = note_name(names, n, in->messages[i].parts[k].name);
    if (n == 0) /* results only */
        names[n++] = STR("unavailable");
    json_member_open(&b->w, "tools", '[');
    for (size_t i = 0; i < n; i++)
        put_tool(b, &(struct chat_tool){.name = names[i], .strict = -1});
    json_close(&b->w, ']');
    json_member_raw(&b->w, "tool_choice", STR("{\"type\":\"none\"}"));
}

static void put_choice(struct anthropic_body *b, const struct plan *p)
{
    const struct chat_request *in = b->c->in;
    bool others = count_listed(in) > 0 && in->tool_choice != TOOLS_NONE, single = in->parallel_tools == 0;
    struct str name = STR_NULL;
    const char *type = NULL;
    if (others && in->tool_choice == TOOLS_NAMED)
        type = "tool", name = in->tool_name;
    else if (p->json_tool && !others)
        type = "tool", name = anthropic_json_tool(in, b->c->arena);
    else if (p->json_tool || in->tool_choice == TOOLS_REQUIRED)
        type = "any";
    else if (in->tool_choice == TOOLS_NONE)
        type = "none", single = false;
    else if (in->tool_choice == TOOLS_AUTO || single)
        type = "auto";
    if (!type)
        return;
    json_member_open(&b->w, "tool_choice", '{');
    json_member_strz(&b->w, "type", type);
    if (name.n > 0)
        json_member_str(&b->w, "name", anthropic_tool_name(name, b->c->arena));
    if (single || (p->json_tool && !others))
        json_member_bool(&b->w, "disable_parallel_tool_use", true);
    json_close(&b->w, '}');
}

static void put_tools(struct anthropic_body *b, const struct plan *p)
{
    const struct chat_request *in = b->c->in;
    chat_take(b->c, PARAM_PARALLEL_TOOLS);
    if (p->no_calls) {
        if (chat_request_has(in, PART_TOOL_CALL) || chat_request_has(in, PART_TOOL_RESULT))
            put_called_tools(b);
        return;
    }
    json_member_open(&b->w, "tools", '[');
    for (size_t i = 0; i < in->n_tools; i++)
        if (chat_tool_allowed(in, in->tools[i].name) && !(p->json_tool && in->tool_choice == TOOLS_NONE))
            put_tool(b, &in->tools[i]);
    if (p->json_tool)
        put_json_tool(b);
    json_close(&b->w, ']');
    put_choice(b, p);
}

/* ---- steering */

static void put_thinking(struct anthropic_body *b, const struct plan *p)
{
    int shown = b->c->in->thinking_shown;
    if (p->thinking == UNSAID)
        return;
    json_member_open(&b->w, "thinking", '{');
    json_member_strz(&b->w, "type",
                     p->thinking == OFF        ? "disabled"
                     : p->thinking == ADAPTIVE ? "adaptive"
                                               : "enabled");
    if (p->thinking == BUDGET)
        json_member_i64(&b->w, "budget_tokens", p->budget);
    if (p->thinking != OFF && b->model.schema && (shown >= 0 || b->model.shows_thinking))
        json_member_strz(&b->w, "display", shown == 0 ? "omitted" : "summarized");
    json_close(&b->w, '}');
}

static void put_output_config(struct anthropic_body *b, const struct plan *p)
{
    const struct chat_request *in = b->c->in;
    bool schema = in->format == FORMAT_SCHEMA && in->format_schema.n > 0 && b->model.schema;
    if (!schema && !p->effort)
        return;
    json_member_open(&b->w, "output_config", '{');
    if (p->effort)
        json_member_strz(&b->w, "effort", p->effort);
    if (schema) {
        json_member_open(&b->w, "format", '{');
        json_member_strz(&b->w, "type", "json_schema");
        json_name(&b->w, "schema");
        anthropic_put_schema(b->w.out, in->format_schema, b->c->arena);
        b->w.comma = true;
        json_close(&b->w, '}');
    }
    json_close(&b->w, '}');
}

static bool number_of(struct chat_call *c, enum chat_param param, double *out)
{
    struct json_value v = {.type = JSON_NUMBER, .raw = c->in->params[param].value};
    return chat_given(c, param) && json_double(v, out) == 0;
}

/* Claude's goes from 0 to 1, other vendors' to 2. */
static void put_temperature(struct anthropic_body *b, struct plan *p)
{
    double t;
    if (!number_of(b->c, PARAM_TEMPERATURE, &t))
        return;
    bool thinks = p->thinking == BUDGET || p->thinking == ADAPTIVE;
    if ((!b->model.sampling || thinks) && t != 1.0)
        return;
    p->temperature = true;
    struct str value = chat_take(b->c, PARAM_TEMPERATURE);
    if (t < 0 || t > 1)
        chat_adjust(b->c, PARAM_TEMPERATURE);
    json_member_raw(&b->w, "temperature", t < 0 ? STR("0") : t > 1 ? STR("1") : value);
}

static void put_sampling(struct anthropic_body *b, struct plan *p)
{
    double top_p, top_k;
    bool thinks = p->thinking == BUDGET || p->thinking == ADAPTIVE;
    put_temperature(b, p);
    if (number_of(b->c, PARAM_TOP_P, &top_p)) {
        double least = !b->model.sampling ? 0.99 : thinks ? 0.95 : 0;
        if (top_p >= least && top_p <= 1 && !(p->temperature && b->model.one_of_two))
            json_member_raw(&b->w, "top_p", chat_take(b->c, PARAM_TOP_P));
    }
    if (number_of(b->c, PARAM_TOP_K, &top_k) && b->model.sampling && !thinks && top_k >= 1)
        json_member_raw(&b->w, "top_k", chat_take(b->c, PARAM_TOP_K));
}

static bool is_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!s.p[i] || !strchr(" \t\r\n\v\f", s.p[i]))
            return false;
    return true;
}

static void put_stop(struct anthropic_body *b)
{
    const struct chat_request *in = b->c->in;
    size_t kept = 0;
    for (size_t i = 0; i < in->n_stop; i++)
        kept += !is_blank(in->stop[i]);
    chat_take(b->c, PARAM_STOP);
    if (kept < in->n_stop)
        chat_adjust(b->c, PARAM_STOP);
    if (kept == 0)
        return;
    json_member_open(&b->w, "stop_sequences", '[');
    for (size_t i = 0; i < in->n_stop; i++)
        if (!is_blank(in->stop[i]))
            json_str(&b->w, in->stop[i]);
    json_close(&b->w, ']');
}

/* E-mail addresses and telephone numbers are refused there. */
static bool is_personal(struct str id)
{
    size_t digits = 0, others = 0;
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] == '@')
            return true;
        digits += id.p[i] >= '0' && id.p[i] <= '9';
        others += !(id.p[i] >= '0' && id.p[i] <= '9') && (!id.p[i] || !strchr("+-(). ", id.p[i]));
    }
    return others == 0 && digits >= 7;
}

static void put_user(struct anthropic_body *b)
{
    struct json_value v = {.type = JSON_STRING, .raw = b->c->in->params[PARAM_USER].value};
    struct str id = chat_given(b->c, PARAM_USER) ? json_text(v, b->c->arena) : STR_NULL;
    if (id.n == 0 || id.n > MAX_USER_ID || is_personal(id))
        return;
    chat_take(b->c, PARAM_USER);
    json_member_open(&b->w, "metadata", '{');
    json_member_str(&b->w, "user_id", id);
    json_close(&b->w, '}');
}

static void put_service_tier(struct anthropic_body *b)
{
    struct str tier = b->c->in->params[PARAM_SERVICE_TIER].value;
    const char *ours = str_eq(tier, STR("\"auto\"")) || str_eq(tier, STR("\"priority\"")) ? "auto"
                       : str_eq(tier, STR("\"default\"")) || str_eq(tier, STR("\"standard_only\""))
                           ? "standard_only"
                           : NULL;
    if (!ours)
        return;
    chat_take(b->c, PARAM_SERVICE_TIER);
    json_member_strz(&b->w, "service_tier", ours);
}

/* ---- all of it */

static void put_head(struct anthropic_body *b, const struct plan *p)
{
    if (b->style->version_in_body)
        json_member_strz(&b->w, "anthropic_version", b->style->version_in_body);
    else
        json_member_str(&b->w, "model", b->c->model);
    if (b->style->counts)
        return;
    json_member_i64(&b->w, "max_tokens", p->max_tokens);
    if (b->c->in->stream && !b->style->version_in_body)
        json_member_bool(&b->w, "stream", true);
}

static void put_rest(struct anthropic_body *b, struct plan *p)
{
    put_tools(b, p);
    put_thinking(b, p);
    put_output_config(b, p);
    if (b->style->counts)
        return;
    put_sampling(b, p);
    put_stop(b);
    put_user(b);
    put_service_tier(b);
    anthropic_put_mark(b, top_mark(b->c->in));
}

int anthropic_write_body(struct chat_call *c, const struct anthropic_style *style)
{
    struct plan p;
    struct anthropic_body b = {.c = c,
                               .style = style,
                               .model = anthropic_model(c->model),
                               .w = json_writer(&c->call->room),
                               .marks = count_marks(c->in)};
    if (check(c) != 0)
        return -1;
    make_plan(&b, &p);
    json_open(&b.w, '{');
    put_head(&b, &p);
    if (anthropic_put_turns(&b) != 0)
        return -1;
    put_rest(&b, &p);
    json_close(&b.w, '}');
    if (c->call->room.full)
        return chat_refuse(c, NULL, "The request grows too large for its provider.");
    c->call->body = buf_str(&c->call->room);
    return 0;
}

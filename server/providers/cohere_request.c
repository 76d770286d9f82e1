/* A conversation as the body of Cohere's /v2/chat. Run by workers.
 *
 * The system's turn must be the first and only one, tool results are turns of their own behind the calls, and
 * what an assistant says beside its calls is its "tool_plan". */
#include "cohere.h"

#include "base64.h"
#include "json_write.h"
#include "openai.h"

#include <stdio.h>

enum { MAX_STOPS = 5, MAX_TOP_K = 500 };

/* ---- parts */

/* The words of a document that is text; 0: it is none. */
static bool file_text(struct chat_call *c, const struct chat_part *p, struct str *text)
{
    *text = p->text;
    if (p->text.n > 0)
        return true;
    return p->data.n > 0 && str_starts(p->mime, STR("text/")) && base64_decode(p->data, c->arena, text) == 0;
}

static void put_text_part(struct json_writer *j, struct str text)
{
    json_open(j, '{');
    json_member_strz(j, "type", "text");
    json_member_str(j, "text", text);
    json_close(j, '}');
}

static int put_image(struct chat_call *c, struct json_writer *j, const struct chat_part *p)
{
    if (p->data.n == 0 && p->url.n == 0)
        return chat_refuse(c, NULL, "A picture that is stored at another provider can't be given to Cohere.");
    json_open(j, '{');
    json_member_strz(j, "type", "image_url");
    json_member_open(j, "image_url", '{');
    if (p->data.n > 0) {
        struct str mime = p->mime.n > 0 ? p->mime : chat_media_type(p->data);
        json_member_str(j, "url",
                        arena_printf(c->arena, "data:" STR_FMT ";base64," STR_FMT,
                                     STR_ARG(mime.n > 0 ? mime : STR("image/png")), STR_ARG(p->data)));
    } else {
        json_member_str(j, "url", p->url);
    }
    json_opt_str(j, "detail", p->detail);
    json_close(j, '}');
    json_close(j, '}');
    return 0;
}

static int put_file(struct chat_call *c, struct json_writer *j, const struct chat_part *p)
{
    struct str text;
    if (!file_text(c, p, &text))
        return chat_refuse(c, NULL, "Cohere's chat takes text and pictures, no files of other kinds.");
    if (p->name.n > 0)
        put_text_part(j, arena_printf(c->arena, STR_FMT ":", STR_ARG(p->name)));
    put_text_part(j, text);
    return 0;
}

static int put_user_part(struct chat_call *c, struct json_writer *j, const struct chat_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        put_text_part(j, p->text);
        return 0;
    case PART_IMAGE:
        return put_image(c, j, p);
    case PART_FILE:
        return put_file(c, j, p);
    case PART_AUDIO:
        return chat_refuse(c, NULL, "Cohere's chat takes text and pictures, no sound.");
    default:
        return 0;
    }
}

/* ---- turns */

/* Texts of many places, to be one: in an array that grows. */
struct texts {
    struct chat_part *p;
    size_t n;
};

static void add_text(struct chat_call *c, struct texts *t, struct str text)
{
    if (text.n > 0)
        chat_add_part(&t->p, &t->n, c->arena, PART_TEXT)->text = text;
}

static struct str joined(struct chat_call *c, const struct texts *t)
{
    return chat_text(t->p, t->n, STR("\n\n"), c->arena);
}

/* Tools may be called, which exclude a format there. */
static bool may_call(const struct chat_request *in)
{
    return in->n_tools > 0 && in->tool_choice != TOOLS_NONE;
}

static void put_system(struct chat_call *c, struct json_writer *j)
{
    struct texts texts = {0};
    for (size_t i = 0; i < c->in->n_messages; i++) {
        const struct chat_message *m = &c->in->messages[i];
        for (size_t k = 0; m->role == CHAT_SYSTEM && k < m->n_parts; k++)
            if (m->parts[k].kind == PART_TEXT)
                add_text(c, &texts, m->parts[k].text);
    }
    if (c->in->format == FORMAT_JSON && may_call(c->in))
        add_text(
            c, &texts,
            STR("When you answer instead of calling a tool, answer with one JSON object and nothing else."));
    struct str text = joined(c, &texts);
    if (text.n == 0)
        return;
    json_open(j, '{');
    json_member_strz(j, "role", "system");
    json_member_str(j, "content", text);
    json_close(j, '}');
}

/* What a tool gave, as text; empty turns are refused there. */
static struct str result_text(struct chat_call *c, const struct chat_part *p)
{
    struct texts texts = {0};
    struct str one;
    for (size_t i = 0; i < p->n_parts; i++) {
        const struct chat_part *part = &p->parts[i];
        if (part->kind == PART_TEXT)
            add_text(c, &texts, part->text);
        else if (part->kind == PART_FILE && file_text(c, part, &one))
            add_text(c, &texts, one);
        else if (part->kind == PART_IMAGE)
            add_text(c, &texts, STR("(A picture: see the next message.)"));
    }
    struct str text = texts.n > 0 ? joined(c, &texts) : STR("(nothing)");
    if (!p->is_error)
        return text;
    const struct chat_part error[] = {{.kind = PART_TEXT, .text = STR("Error")},
                                      {.kind = PART_TEXT, .text = text}};
    return chat_text(error, 2, STR(": "), c->arena);
}

static void put_result(struct chat_call *c, struct json_writer *j, const struct chat_part *p)
{
    json_open(j, '{');
    json_member_strz(j, "role", "tool");
    json_member_str(j, "tool_call_id", p->id);
    json_member_str(j, "content", result_text(c, p));
    json_close(j, '}');
}

/* A part of a result that its text does not tell. */
static bool is_apart(struct chat_call *c, const struct chat_part *part)
{
    struct str text;
    return part->kind != PART_TEXT && !(part->kind == PART_FILE && file_text(c, part, &text));
}

/* Pictures can't stand in a tool's turn: they follow in the user's. */
static int put_result_media(struct chat_call *c, struct json_writer *j, const struct chat_part *p)
{
    for (size_t i = 0; i < p->n_parts; i++)
        if (is_apart(c, &p->parts[i]) && put_user_part(c, j, &p->parts[i]) != 0)
            return -1;
    return 0;
}

static bool has_media(struct chat_call *c, const struct chat_part *p)
{
    for (size_t i = 0; p->kind == PART_TOOL_RESULT && i < p->n_parts; i++)
        if (is_apart(c, &p->parts[i]))
            return true;
    return false;
}

/* Of a user's turn: whether there is more than tool results, and more than one text. */
static bool has_own(struct chat_call *c, const struct chat_message *m, bool *plain)
{
    size_t texts = 0, others = 0;
    for (size_t i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind == PART_TEXT)
            texts++;
        else if (m->parts[i].kind != PART_TOOL_RESULT || has_media(c, &m->parts[i]))
            others++;
    }
    *plain = texts == 1 && others == 0;
    return texts + others > 0;
}

static int put_user(struct chat_call *c, struct json_writer *j, const struct chat_message *m)
{
    bool plain;
    int rc = 0;
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == PART_TOOL_RESULT)
            put_result(c, j, &m->parts[i]);
    if (!has_own(c, m, &plain))
        return 0;
    json_open(j, '{');
    json_member_strz(j, "role", "user");
    if (plain) {
        json_member_str(j, "content", chat_text(m->parts, m->n_parts, STR(""), c->arena));
    } else {
        json_member_open(j, "content", '[');
        for (size_t i = 0; rc == 0 && i < m->n_parts; i++)
            rc = m->parts[i].kind == PART_TOOL_RESULT ? put_result_media(c, j, &m->parts[i])
                                                      : put_user_part(c, j, &m->parts[i]);
        json_close(j, ']');
    }
    json_close(j, '}');
    return rc;
}

/* Thinking that another vendor signed is not for Cohere to read. */
static bool own_thinking(const struct chat_part *p)
{
    return p->kind == PART_THINKING && p->signer == SIGNER_NONE && p->text.n > 0;
}

static bool spoken(const struct chat_part *p)
{
    return (p->kind == PART_TEXT || p->kind == PART_REFUSAL) && p->text.n > 0;
}

static void put_assistant_content(struct json_writer *j, const struct chat_message *m, bool calls)
{
    bool any = false;
    for (size_t i = 0; i < m->n_parts; i++)
        any |= own_thinking(&m->parts[i]) || (!calls && spoken(&m->parts[i]));
    if (!any)
        return;
    json_member_open(j, "content", '[');
    for (size_t i = 0; i < m->n_parts; i++) {
        const struct chat_part *p = &m->parts[i];
        if (own_thinking(p)) {
            json_open(j, '{');
            json_member_strz(j, "type", "thinking");
            json_member_str(j, "thinking", p->text);
            json_close(j, '}');
        } else if (!calls && spoken(p)) {
            put_text_part(j, p->text);
        }
    }
    json_close(j, ']');
}

static void put_calls(struct chat_call *c, struct json_writer *j, const struct chat_message *m)
{
    struct texts plan = {0};
    for (size_t i = 0; i < m->n_parts; i++)
        if (spoken(&m->parts[i]))
            add_text(c, &plan, m->parts[i].text);
    json_opt_str(j, "tool_plan", joined(c, &plan));
    json_member_open(j, "tool_calls", '[');
    for (size_t i = 0; i < m->n_parts; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != PART_TOOL_CALL)
            continue;
        json_open(j, '{');
        json_member_str(j, "id", p->id);
        json_member_strz(j, "type", "function");
        json_member_open(j, "function", '{');
        json_member_str(j, "name", openai_tool_name(c->arena, p->name));
        json_member_str(j, "arguments", chat_arguments(p->arguments, c->arena));
        json_close(j, '}');
        json_close(j, '}');
    }
    json_close(j, ']');
}

static int put_assistant(struct chat_call *c, struct json_writer *j, const struct chat_message *m)
{
    bool calls = chat_has(m->parts, m->n_parts, PART_TOOL_CALL), any = calls;
    if (chat_has(m->parts, m->n_parts, PART_IMAGE) || chat_has(m->parts, m->n_parts, PART_AUDIO))
        return chat_refuse(c, NULL, "Cohere's chat takes no pictures or sound in an assistant's turn.");
    for (size_t i = 0; i < m->n_parts; i++)
        any |= own_thinking(&m->parts[i]) || spoken(&m->parts[i]);
    if (!any)
        return 0; /* only what others can read */
    json_open(j, '{');
    json_member_strz(j, "role", "assistant");
    put_assistant_content(j, m, calls);
    if (calls)
        put_calls(c, j, m);
    json_close(j, '}');
    return 0;
}

static int put_messages(struct chat_call *c, struct json_writer *j)
{
    int rc = 0;
    json_member_open(j, "messages", '[');
    put_system(c, j);
    for (size_t i = 0; rc == 0 && i < c->in->n_messages; i++) {
        const struct chat_message *m = &c->in->messages[i];
        if (m->role == CHAT_USER)
            rc = put_user(c, j, m);
        else if (m->role == CHAT_ASSISTANT)
            rc = put_assistant(c, j, m);
    }
    json_close(j, ']');
    return rc;
}

/* ---- tools */

/* A named choice is the only tool there is, and required. */
static bool offered(const struct chat_request *in, const struct chat_tool *t)
{
    if (in->tool_choice == TOOLS_NAMED)
        return str_eq(t->name, in->tool_name);
    return chat_tool_allowed(in, t->name);
}

static void put_tools(struct chat_call *c, struct json_writer *j)
{
    const struct chat_request *in = c->in;
    json_member_open(j, "tools", '[');
    for (size_t i = 0; i < in->n_tools; i++) {
        const struct chat_tool *t = &in->tools[i];
        if (!offered(in, t))
            continue;
        json_open(j, '{');
        json_member_strz(j, "type", "function");
        json_member_open(j, "function", '{');
        json_member_str(j, "name", openai_tool_name(c->arena, t->name));
        json_opt_str(j, "description", t->description);
        json_member_raw(j, "parameters",
                        t->schema.n > 0 ? t->schema : STR("{\"type\":\"object\",\"properties\":{}}"));
        json_close(j, '}');
        json_close(j, '}');
    }
    json_close(j, ']');
    if (in->tool_choice == TOOLS_REQUIRED || in->tool_choice == TOOLS_NAMED)
        json_member_strz(j, "tool_choice", "REQUIRED");
    else if (in->tool_choice == TOOLS_NONE)
        json_member_strz(j, "tool_choice", "NONE");
}

/* Cohere has either tools or a format; tools that must not be called give way. */
static int put_tools_and_format(struct chat_call *c, struct json_writer *j)
{
    const struct chat_request *in = c->in;
    bool told = in->format == FORMAT_JSON && may_call(in); /* by put_system */
    bool format = in->format != FORMAT_TEXT && !told, tools = in->n_tools > 0;
    if (in->tool_choice == TOOLS_NAMED && !chat_tool(in, in->tool_name))
        return chat_refuse(c, "tool_choice", "The tool that is to be called is not among the tools.");
    if (format && may_call(in))
        return chat_refuse(c, NULL,
                           "Cohere can't keep an answer to a JSON format while there are tools to call.");
    if (tools && !format)
        put_tools(c, j);
    if (!format)
        return 0;
    json_member_open(j, "response_format", '{');
    json_member_strz(j, "type", "json_object");
    if (in->format == FORMAT_SCHEMA)
        json_opt_raw(j, "json_schema", in->format_schema);
    json_close(j, '}');
    return 0;
}

/* ---- parameters */

static void put_number(struct chat_call *c, struct json_writer *j, enum chat_param p, const char *name)
{
    struct str value = chat_take(c, p);
    if (value.n > 0)
        json_member_raw(j, name, value);
}

/* Within what Cohere takes; what lies beyond becomes the bound. */
static void put_clamped(struct chat_call *c, struct json_writer *j, enum chat_param p, const char *name,
                        double low, double high)
{
    double d;
    char text[32];
    struct str value = chat_take(c, p);
    if (value.n == 0 || json_double(json_root(value), &d) != 0)
        return;
    if (d >= low && d <= high) {
        json_member_raw(j, name, value);
        return;
    }
    chat_adjust(c, p);
    snprintf(text, sizeof(text), "%g", d < low ? low : high);
    json_member_raw(j, name, str_of(text));
}

static bool is_zero(struct str number)
{
    double d;
    return number.n > 0 && json_double(json_root(number), &d) == 0 && d == 0;
}

/* Only one of them may be given; 0 is the default of both. */
static void put_penalties(struct chat_call *c, struct json_writer *j)
{
    bool frequency =
        chat_given(c, PARAM_FREQUENCY_PENALTY) && !is_zero(c->in->params[PARAM_FREQUENCY_PENALTY].value);
    if (frequency)
        put_clamped(c, j, PARAM_FREQUENCY_PENALTY, "frequency_penalty", 0, 1);
    else
        chat_take(c, PARAM_FREQUENCY_PENALTY);
    if (chat_given(c, PARAM_PRESENCE_PENALTY) && is_zero(c->in->params[PARAM_PRESENCE_PENALTY].value))
        chat_take(c, PARAM_PRESENCE_PENALTY);
    else if (!frequency)
        put_clamped(c, j, PARAM_PRESENCE_PENALTY, "presence_penalty", 0, 1);
}

static void put_stops(struct chat_call *c, struct json_writer *j)
{
    const struct chat_request *in = c->in;
    chat_take(c, PARAM_STOP);
    if (in->n_stop == 0)
        return;
    if (in->n_stop > MAX_STOPS)
        chat_adjust(c, PARAM_STOP);
    json_member_open(j, "stop_sequences", '[');
    for (size_t i = 0; i < in->n_stop && i < MAX_STOPS; i++)
        json_str(j, in->stop[i]);
    json_close(j, ']');
}

/* Tokens to think with; 0: as many as it takes. */
static uint32_t budget(const struct chat_request *in)
{
    static const struct {
        struct str effort;
        uint32_t tokens;
    } efforts[] = {
        {STR("minimal"), 1024}, {STR("low"), 1024},   {STR("medium"), 2048},
        {STR("high"), 4096},    {STR("xhigh"), 8192},
    };
    if (in->thinking == THINKING_BUDGET)
        return in->thinking_budget;
    for (size_t i = 0; in->thinking == THINKING_EFFORT && i < sizeof(efforts) / sizeof(efforts[0]); i++)
        if (str_eq(in->thinking_effort, efforts[i].effort))
            return efforts[i].tokens;
    return 0;
}

static void put_thinking(struct chat_call *c, struct json_writer *j)
{
    const struct chat_request *in = c->in;
    chat_take(c, PARAM_THINKING);
    if (in->thinking == THINKING_DEFAULT)
        return;
    bool off = in->thinking == THINKING_OFF || (in->thinking == THINKING_BUDGET && in->thinking_budget == 0);
    json_member_open(j, "thinking", '{');
    json_member_strz(j, "type", off ? "disabled" : "enabled");
    if (!off && budget(in) > 0)
        json_member_i64(j, "token_budget", budget(in));
    json_close(j, '}');
}

/* Seeds are not negative there. */
static void put_seed(struct chat_call *c, struct json_writer *j)
{
    int64_t n;
    if (chat_given(c, PARAM_SEED) && json_int(json_root(c->in->params[PARAM_SEED].value), &n) == 0 && n >= 0)
        put_number(c, j, PARAM_SEED, "seed");
}

/* Honoured where what is asked for is what happens anyway. */
static void take_if(struct chat_call *c, enum chat_param p, const char *value)
{
    if (chat_given(c, p) && str_eq(c->in->params[p].value, str_of(value)))
        chat_take(c, p);
}

static void put_parameters(struct chat_call *c, struct json_writer *j)
{
    put_number(c, j, PARAM_MAX_TOKENS, "max_tokens");
    put_clamped(c, j, PARAM_TEMPERATURE, "temperature", 0, 1);
    put_clamped(c, j, PARAM_TOP_P, "p", 0.01, 0.99);
    put_clamped(c, j, PARAM_TOP_K, "k", 0, MAX_TOP_K);
    put_seed(c, j);
    put_stops(c, j);
    put_penalties(c, j);
    put_thinking(c, j);
    if (str_eq(chat_take(c, PARAM_LOGPROBS), STR("true")))
        json_member_bool(j, "logprobs", true);
    take_if(c, PARAM_TOP_LOGPROBS, "0");
    take_if(c, PARAM_N, "1");
    if (c->in->parallel_tools == 1)
        chat_take(c, PARAM_PARALLEL_TOOLS);
}

int cohere_write_chat(struct chat_call *c)
{
    struct json_writer j = json_writer(&c->call->room);
    json_open(&j, '{');
    json_member_str(&j, "model", c->model);
    json_member_bool(&j, "stream", c->in->stream);
    if (put_messages(c, &j) != 0 || put_tools_and_format(c, &j) != 0)
        return -1;
    put_parameters(c, &j);
    json_close(&j, '}');
    return cohere_settle_call(c, "chat");
}

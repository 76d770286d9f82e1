/* A Responses request into the neutral form: everything but its input items (openai_responses_items.c) and
 * tools (openai_responses_tools.c). Run by workers only. */
#include "openai_responses.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- what is wrong, and where */

const char *responses_place(struct responses_reading *rd, const char *member)
{
    const char *dot = member ? "." : "";
    member = member ? member : "";
    if (!rd->list)
        return member;
    if (!rd->sublist)
        return arena_printf(rd->a, "%s[%zu]%s%s", rd->list, rd->at, dot, member).p;
    return arena_printf(rd->a, "%s[%zu].%s[%zu]%s%s", rd->list, rd->at, rd->sublist, rd->sub_at, dot, member)
        .p;
}

int responses_wrong(struct responses_reading *rd, const char *code, const char *member, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *rd->f = (struct failure){.status = 400,
                              .type = "invalid_request_error",
                              .code = code,
                              .param = member || rd->list ? responses_place(rd, member) : NULL,
                              .message = arena_copy(rd->a, str_of(text))};
    return -1;
}

int responses_type(struct responses_reading *rd, const char *member, const char *expected)
{
    return responses_wrong(rd, "invalid_type", member, "Invalid type for '%s': expected %s.",
                           responses_place(rd, member), expected);
}

int responses_missing(struct responses_reading *rd, const char *member)
{
    responses_wrong(rd, "missing_required_parameter", member, "Missing required parameter.");
    rd->f->message = arena_printf(rd->a, "Missing required parameter: '%s'.", rd->f->param);
    return -1;
}

int responses_bad_value(struct responses_reading *rd, const char *member, struct str got,
                        const char *supported)
{
    return responses_wrong(rd, "invalid_value", member, "Invalid value for '%s': '%.*s'. Supported are: %s.",
                           responses_place(rd, member), (int)(got.n < 64 ? got.n : 64), got.p ? got.p : "",
                           supported);
}

int responses_text(struct responses_reading *rd, const char *member, struct json_value v, struct str *out)
{
    *out = STR_NULL;
    if (given(v) && v.type != JSON_STRING)
        return responses_type(rd, member, "a string");
    *out = json_text(v, rd->a);
    return 0;
}

/* A member's name, decoded: json_next gives it raw, and its quotes stand around it. */
static struct str name_text(struct responses_reading *rd, struct str raw)
{
    struct json_value v = {.type = JSON_STRING, .raw = {raw.p - 1, raw.n + 2}};
    return json_text(v, rd->a);
}

void responses_pass_over(struct responses_reading *rd, struct str name)
{
    for (size_t i = 0; i < rd->c->n_extras; i++)
        if (str_eq(rd->c->extras[i].name, name))
            return;
    chat_add_extra(rd->c, rd->a, name);
}

/* ---- members, each by a function of its own; none is called for null */

typedef int member_reader(struct responses_reading *rd, const char *name, struct json_value v);

static int read_instructions(struct responses_reading *rd, const char *name, struct json_value v)
{
    struct str text;
    if (responses_text(rd, name, v, &text) != 0)
        return -1;
    struct chat_message *m = chat_add_message(rd->c, rd->a, CHAT_SYSTEM);
    chat_add_part(&m->parts, &m->n_parts, rd->a, PART_TEXT)->text = text;
    return 0;
}

static int read_input(struct responses_reading *rd, const char *name, struct json_value v)
{
    (void)name;
    return responses_read_input(rd, v);
}

static int needs_state(struct responses_reading *rd, const char *name, struct json_value v)
{
    if (v.type == JSON_FALSE)
        return 0;
    return responses_wrong(
        rd, "unsupported_parameter", name,
        "'%s' needs stored state, which the provider of this model does not keep: send the "
        "whole conversation as 'input'.",
        name);
}

static int ignored(struct responses_reading *rd, const char *name, struct json_value v)
{
    (void)rd, (void)name, (void)v;
    return 0;
}

static int read_bool(struct responses_reading *rd, const char *name, struct json_value v)
{
    return v.type == JSON_TRUE || v.type == JSON_FALSE ? 0 : responses_type(rd, name, "a boolean");
}

static int read_number(struct responses_reading *rd, const char *name, struct json_value v, enum chat_param p)
{
    if (v.type != JSON_NUMBER)
        return responses_type(rd, name, "a number");
    chat_set_param(rd->c, p, name, v);
    return 0;
}

static int read_temperature(struct responses_reading *rd, const char *name, struct json_value v)
{
    return read_number(rd, name, v, PARAM_TEMPERATURE);
}

static int read_top_p(struct responses_reading *rd, const char *name, struct json_value v)
{
    return read_number(rd, name, v, PARAM_TOP_P);
}

static int count_of(struct responses_reading *rd, const char *name, struct json_value v, int64_t low,
                    int64_t high)
{
    int64_t n;
    if (json_int(v, &n) != 0)
        return responses_type(rd, name, "an integer");
    if (n < low || n > high)
        return responses_wrong(rd, "integer_out_of_range", name, "Invalid '%s': expected %lld to %lld.", name,
                               (long long)low, (long long)high);
    return 0;
}

static int read_max_output(struct responses_reading *rd, const char *name, struct json_value v)
{
    if (count_of(rd, name, v, 1, INT32_MAX) != 0)
        return -1;
    chat_set_param(rd->c, PARAM_MAX_TOKENS, name, v);
    return 0;
}

static void want_logprobs(struct responses_reading *rd, const char *name)
{
    static const struct json_value yes = {.type = JSON_TRUE, .raw = {"true", 4}};
    chat_set_param(rd->c, PARAM_LOGPROBS, name, yes);
}

static int read_top_logprobs(struct responses_reading *rd, const char *name, struct json_value v)
{
    int64_t n = 0;
    if (count_of(rd, name, v, 0, 20) != 0)
        return -1;
    if (json_int(v, &n) == 0 && n > 0) {
        chat_set_param(rd->c, PARAM_TOP_LOGPROBS, name, v);
        want_logprobs(rd, name);
    }
    return 0;
}

/* More of hosted tools' results than they give unasked means nothing where there are none of them, and
 * encrypted reasoning is given anyway. */
static int read_include(struct responses_reading *rd, const char *name, struct json_value v)
{
    struct json_value one;
    if (v.type != JSON_ARRAY)
        return responses_type(rd, name, "an array of strings");
    for (size_t at = 0; json_next(v.raw, &at, NULL, &one) == 1;) {
        if (one.type != JSON_STRING)
            return responses_type(rd, name, "an array of strings");
        if (str_eq(json_text(one, rd->a), STR("message.output_text.logprobs")))
            want_logprobs(rd, name);
    }
    return 0;
}

static int read_parallel(struct responses_reading *rd, const char *name, struct json_value v)
{
    if (read_bool(rd, name, v) != 0)
        return -1;
    rd->c->parallel_tools = v.type == JSON_TRUE;
    chat_set_param(rd->c, PARAM_PARALLEL_TOOLS, name, v);
    return 0;
}

static int read_string_param(struct responses_reading *rd, const char *name, struct json_value v,
                             enum chat_param p)
{
    if (v.type != JSON_STRING)
        return responses_type(rd, name, "a string");
    chat_set_param(rd->c, p, name, v);
    return 0;
}

/* "user" and its successor; who gives both means the same by them */
static int read_user(struct responses_reading *rd, const char *name, struct json_value v)
{
    return read_string_param(rd, name, v, PARAM_USER);
}

static int read_cache_key(struct responses_reading *rd, const char *name, struct json_value v)
{
    return read_string_param(rd, name, v, PARAM_CACHE_KEY);
}

static int read_tier(struct responses_reading *rd, const char *name, struct json_value v)
{
    return read_string_param(rd, name, v, PARAM_SERVICE_TIER);
}

static int read_metadata(struct responses_reading *rd, const char *name, struct json_value v)
{
    if (v.type != JSON_OBJECT)
        return responses_type(rd, name, "an object");
    if (v.count > 0)
        chat_set_param(rd->c, PARAM_METADATA, name, v);
    return 0;
}

static int read_truncation(struct responses_reading *rd, const char *name, struct json_value v)
{
    struct str text;
    if (responses_text(rd, name, v, &text) != 0)
        return -1;
    if (str_eq(text, STR("auto")))
        chat_add_extra(rd->c, rd->a, str_of(name));
    else if (!str_eq(text, STR("disabled")))
        return responses_bad_value(rd, name, text, "'auto' and 'disabled'");
    return 0;
}

/* ---- reasoning */

static int read_effort(struct responses_reading *rd, struct json_value v)
{
    static const char *const efforts[] = {"minimal", "low", "medium", "high", "xhigh", "max"};
    struct str text;
    if (!given(v))
        return 0;
    if (responses_text(rd, "reasoning.effort", v, &text) != 0)
        return -1;
    chat_set_param(rd->c, PARAM_THINKING, "reasoning.effort", v);
    rd->c->thinking = THINKING_EFFORT;
    rd->c->thinking_effort = text;
    if (str_eq(text, STR("none"))) {
        rd->c->thinking = THINKING_OFF;
        return 0;
    }
    for (size_t i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++)
        if (str_eq(text, str_of(efforts[i])))
            return 0;
    return responses_bad_value(rd, "reasoning.effort", text,
                               "'none', 'minimal', 'low', 'medium', 'high', 'xhigh' and 'max'");
}

static int read_reasoning(struct responses_reading *rd, const char *name, struct json_value v)
{
    struct str member;
    struct json_value value;
    if (v.type != JSON_OBJECT)
        return responses_type(rd, name, "an object");
    for (size_t at = 0; json_next(v.raw, &at, &member, &value) == 1;) {
        if (!given(value))
            continue;
        member = name_text(rd, member);
        if (str_eq(member, STR("effort"))) {
            if (read_effort(rd, value) != 0)
                return -1;
        } else if (str_eq(member, STR("summary")) || str_eq(member, STR("generate_summary"))) {
            if (value.type != JSON_STRING)
                return responses_type(rd, "reasoning.summary", "a string");
            rd->c->thinking_shown = 1;
        } else {
            chat_add_extra(rd->c, rd->a, arena_printf(rd->a, "reasoning." STR_FMT, STR_ARG(member)));
        }
    }
    return 0;
}

/* ---- text: format and verbosity */

static int read_schema_format(struct responses_reading *rd, struct json_value format)
{
    static const char *const paths[] = {"name", "description", "schema", "strict"};
    enum { NAME, DESCRIPTION, SCHEMA, STRICT, COUNT };
    struct json_value v[COUNT];
    struct chat_request *c = rd->c;
    if (json_scan(format.raw, paths, COUNT, v, NULL) != 0)
        return responses_type(rd, "text.format", "an object without duplicate members");
    if (v[NAME].type != JSON_STRING)
        return responses_wrong(rd, "missing_required_parameter", "text.format.name",
                               "Missing required parameter: 'text.format.name'.");
    if (v[SCHEMA].type != JSON_OBJECT)
        return responses_type(rd, "text.format.schema", "an object");
    if (given(v[STRICT]) && read_bool(rd, "text.format.strict", v[STRICT]) != 0)
        return -1;
    c->format = FORMAT_SCHEMA;
    c->format_schema = v[SCHEMA].raw;
    c->format_name = json_text(v[NAME], rd->a);
    c->format_strict = given(v[STRICT]) ? v[STRICT].type == JSON_TRUE : -1;
    return responses_text(rd, "text.format.description", v[DESCRIPTION], &c->format_description);
}

static int read_format(struct responses_reading *rd, struct json_value format)
{
    if (!given(format))
        return 0;
    if (format.type != JSON_OBJECT)
        return responses_type(rd, "text.format", "an object");
    struct str type = json_text(json_member(format, "type"), rd->a);
    if (str_eq(type, STR("json_schema")))
        return read_schema_format(rd, format);
    if (str_eq(type, STR("json_object")))
        rd->c->format = FORMAT_JSON;
    else if (!str_eq(type, STR("text")))
        return responses_bad_value(rd, "text.format.type", type, "'text', 'json_object' and 'json_schema'");
    return 0;
}

static int read_text_member(struct responses_reading *rd, const char *name, struct json_value v)
{
    struct str member;
    struct json_value value;
    if (v.type != JSON_OBJECT)
        return responses_type(rd, name, "an object");
    for (size_t at = 0; json_next(v.raw, &at, &member, &value) == 1;) {
        int r = 0;
        member = name_text(rd, member);
        if (str_eq(member, STR("format")))
            r = read_format(rd, value);
        else if (str_eq(member, STR("verbosity")) && given(value))
            r = read_string_param(rd, "text.verbosity", value, PARAM_VERBOSITY);
        else if (given(value))
            chat_add_extra(rd->c, rd->a, arena_printf(rd->a, "text." STR_FMT, STR_ARG(member)));
        if (r != 0)
            return -1;
    }
    return 0;
}

/* ---- all of it */

/* In the order in which they are read. */
static const struct {
    const char *name;
    member_reader *read;
} members[] = {
    {"previous_response_id", needs_state},
    {"conversation", needs_state},
    {"prompt", needs_state},
    {"background", needs_state},
    {"instructions", read_instructions},
    {"tools", responses_read_tools},
    {"input", read_input},
    {"tool_choice", responses_read_tool_choice},
    {"parallel_tool_calls", read_parallel},
    {"text", read_text_member},
    {"reasoning", read_reasoning},
    {"max_output_tokens", read_max_output},
    {"temperature", read_temperature},
    {"top_p", read_top_p},
    {"include", read_include},
    {"top_logprobs", read_top_logprobs},
    {"metadata", read_metadata},
    {"user", read_user},
    {"safety_identifier", read_user},
    {"prompt_cache_key", read_cache_key},
    {"service_tier", read_tier},
    {"truncation", read_truncation},
    {"store", read_bool},
    {"model", ignored}, /* read before */
    {"stream", ignored},
    {"stream_options", ignored}, /* only says how to pad a stream */
};
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

static int member_of(struct str name)
{
    for (int i = 0; i < MEMBERS; i++)
        if (str_eq(name, str_of(members[i].name)))
            return i;
    return -1;
}

/* Finds the members; those without a place are noted. */
static int find_members(struct responses_reading *rd, struct json_value v[MEMBERS])
{
    struct json_value value;
    struct str name;
    for (size_t at = 0; json_next(rd->r->body, &at, &name, &value) == 1;) {
        name = name_text(rd, name);
        int i = member_of(name);
        if (i < 0 && given(value))
            chat_add_extra(rd->c, rd->a, name);
        if (i < 0)
            continue;
        if (v[i].type != JSON_ABSENT)
            return responses_wrong(rd, "invalid_json", members[i].name, "'%s' is given twice.",
                                   members[i].name);
        v[i] = value;
    }
    return 0;
}

int responses_read(struct request *r, struct chat_request *out, struct failure *f)
{
    struct responses_reading rd = {.r = r, .c = out, .a = r->arena, .f = f};
    struct json_value v[MEMBERS] = {0};
    if (r->match.rest.n > 0 && !str_eq(r->match.rest, STR("/responses")))
        return responses_wrong(&rd, "unsupported_endpoint", NULL,
                               "Of the Responses API only POST /v1/responses is there for this model: its "
                               "provider keeps no responses.");
    if (find_members(&rd, v) != 0)
        return -1;
    for (int i = 0; i < MEMBERS; i++) {
        if (members[i].read == read_input && !given(v[i]))
            return responses_wrong(&rd, "missing_required_parameter", "input",
                                   "Missing required parameter: 'input'.");
        if (given(v[i]) && members[i].read(&rd, members[i].name, v[i]) != 0)
            return -1;
    }
    return 0;
}

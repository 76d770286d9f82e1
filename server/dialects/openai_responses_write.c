/* The response object, as a whole answer and within a stream's events. Run by workers only. */
#include "openai_responses.h"

#include <string.h>

/* ---- items */

static void put_google_signature(struct json_writer *j, struct str signature)
{
    if (signature.n == 0)
        return;
    json_member_open(j, "extra_content", '{');
    json_member_open(j, "google", '{');
    json_member_str(j, "thought_signature", signature);
    json_close(j, '}');
    json_close(j, '}');
}

static void put_list(struct json_writer *j, const char *name, const struct grown *elements)
{
    json_member_open(j, name, '[');
    if (elements->n > 0)
        json_raw(j, (struct str){elements->p, elements->n});
    json_close(j, ']');
}

void responses_put_part(struct json_writer *j, const struct responses_part *p)
{
    struct str text = {p->text.p, p->text.n};
    json_open(j, '{');
    json_member_strz(j, "type", p->refusal ? "refusal" : "output_text");
    if (!p->refusal) {
        put_list(j, "annotations", &p->annotations);
        put_list(j, "logprobs", &p->logprobs);
    }
    json_member_str(j, p->refusal ? "refusal" : "text", text);
    put_google_signature(j, p->signature);
    json_close(j, '}');
}

/* A part that is still open counts as nothing yet: its events tell it. */
static void put_message(struct json_writer *j, const struct responses_item *i)
{
    json_member_strz(j, "type", "message");
    json_member_strz(j, "status", i->status);
    json_member_strz(j, "role", "assistant");
    json_member_open(j, "content", '[');
    for (size_t k = 0; k < i->n_parts; k++)
        responses_put_part(j, &i->parts[k]);
    json_close(j, ']');
}

static void put_reasoning(struct json_writer *j, const struct responses_item *i)
{
    json_member_strz(j, "type", "reasoning");
    json_member_open(j, "summary", '[');
    if (i->text.n > 0) {
        json_open(j, '{');
        json_member_strz(j, "type", "summary_text");
        json_member_str(j, "text", (struct str){i->text.p, i->text.n});
        json_close(j, '}');
    }
    json_close(j, ']');
    json_opt_str(j, "encrypted_content", i->encrypted);
}

static void put_call(struct json_writer *j, const struct responses_item *i)
{
    bool custom = i->kind == ITEM_CUSTOM_CALL;
    json_member_strz(j, "type", custom ? "custom_tool_call" : "function_call");
    json_member_strz(j, "status", i->status);
    json_member_str(j, custom ? "input" : "arguments", (struct str){i->text.p, i->text.n});
    json_member_str(j, "call_id", i->call_id);
    json_member_str(j, "name", i->name);
    json_opt_str(j, "namespace", i->space);
    put_google_signature(j, i->signature);
}

/* Its arguments are an object: none until they are whole. */
static void put_search_call(struct json_writer *j, const struct responses_item *i)
{
    struct str arguments = {i->text.p, i->text.n};
    bool whole = !i->open && json_scan(arguments, NULL, 0, NULL, NULL) == 0;
    json_member_strz(j, "type", "tool_search_call");
    json_member_strz(j, "status", i->status);
    json_member_strz(j, "execution", "client");
    json_member_str(j, "call_id", i->call_id);
    json_member_raw(j, "arguments", whole ? arguments : STR("{}"));
    put_google_signature(j, i->signature);
}

static void put_image(struct json_writer *j, const struct responses_item *i)
{
    struct str format =
        str_starts(i->mime, STR("image/")) ? (struct str){i->mime.p + 6, i->mime.n - 6} : STR_NULL;
    json_member_strz(j, "type", "image_generation_call");
    json_member_strz(j, "status", i->status);
    json_opt_str(j, "output_format", format);
    if (i->data.n > 0)
        json_member_str(j, "result", i->data);
    else
        json_member_null(j, "result");
}

void responses_put_item(struct json_writer *j, const struct responses_item *i)
{
    static void (*const put[])(struct json_writer *, const struct responses_item *) = {
        [ITEM_MESSAGE] = put_message,  [ITEM_REASONING] = put_reasoning,     [ITEM_CALL] = put_call,
        [ITEM_CUSTOM_CALL] = put_call, [ITEM_SEARCH_CALL] = put_search_call, [ITEM_IMAGE] = put_image,
    };
    json_open(j, '{');
    json_member_str(j, "id", i->id);
    put[i->kind](j, i);
    json_close(j, '}');
}

/* ---- what repeats the request */

enum echoed {
    E_INSTRUCTIONS,
    E_MAX_OUTPUT,
    E_MAX_CALLS,
    E_PARALLEL,
    E_CACHE_KEY,
    E_EFFORT,
    E_SUMMARY,
    E_SAFETY,
    E_TIER,
    E_TEMPERATURE,
    E_FORMAT,
    E_VERBOSITY,
    E_TOOLS,
    E_CHOICE,
    E_TOP_LOGPROBS,
    E_TOP_P,
    E_TRUNCATION,
    E_USER,
    E_METADATA,
    ECHOED
};

static const char *const echo_paths[ECHOED] = {
    [E_INSTRUCTIONS] = "instructions",
    [E_MAX_OUTPUT] = "max_output_tokens",
    [E_MAX_CALLS] = "max_tool_calls",
    [E_PARALLEL] = "parallel_tool_calls",
    [E_CACHE_KEY] = "prompt_cache_key",
    [E_EFFORT] = "reasoning.effort",
    [E_SUMMARY] = "reasoning.summary",
    [E_SAFETY] = "safety_identifier",
    [E_TIER] = "service_tier",
    [E_TEMPERATURE] = "temperature",
    [E_FORMAT] = "text.format",
    [E_VERBOSITY] = "text.verbosity",
    [E_TOOLS] = "tools",
    [E_CHOICE] = "tool_choice",
    [E_TOP_LOGPROBS] = "top_logprobs",
    [E_TOP_P] = "top_p",
    [E_TRUNCATION] = "truncation",
    [E_USER] = "user",
    [E_METADATA] = "metadata",
};

/* What was given, else what OpenAI says where nothing was. */
static void echo(struct json_writer *j, const char *name, struct json_value v, const char *otherwise)
{
    bool given = v.type != JSON_ABSENT && v.type != JSON_NULL;
    json_member_raw(j, name, given ? v.raw : str_of(otherwise));
}

static void echo_function(struct json_writer *j, const struct chat_tool *t)
{
    json_open(j, '{');
    json_member_strz(j, "type", "function");
    json_member_str(j, "name", t->name);
    if (t->description.n > 0)
        json_member_str(j, "description", t->description);
    else
        json_member_null(j, "description");
    json_member_raw(j, "parameters", t->schema.n > 0 ? t->schema : STR("null"));
    json_member_bool(j, "strict", t->strict != 0);
    json_close(j, '}');
}

/* Functions, and, as they were given, the others that are used. */
static void echo_tools(struct json_writer *j, struct json_value tools, const struct chat_request *in)
{
    struct json_value tool;
    json_member_open(j, "tools", '[');
    for (size_t i = 0; i < in->n_tools; i++)
        if (in->tools[i].kind == TOOL_FUNCTION && in->tools[i].space.n == 0)
            echo_function(j, &in->tools[i]);
    for (size_t at = 0; tools.type == JSON_ARRAY && json_next(tools.raw, &at, NULL, &tool) == 1;) {
        struct str type = json_member(tool, "type").raw;
        bool searches = str_eq(type, STR("\"tool_search\"")) && chat_tool(in, STR(RESPONSES_TOOL_SEARCH));
        if (str_eq(type, STR("\"custom\"")) || str_eq(type, STR("\"namespace\"")) || searches)
            json_raw(j, tool.raw);
    }
    json_close(j, ']');
}

static void echo_members(struct json_writer *j, const struct json_value v[], const struct chat_request *in)
{
    json_member_bool(j, "background", false);
    echo(j, "instructions", v[E_INSTRUCTIONS], "null");
    echo(j, "max_output_tokens", v[E_MAX_OUTPUT], "null");
    echo(j, "max_tool_calls", v[E_MAX_CALLS], "null");
    echo(j, "parallel_tool_calls", v[E_PARALLEL], "true");
    json_member_null(j, "previous_response_id");
    echo(j, "prompt_cache_key", v[E_CACHE_KEY], "null");
    json_member_open(j, "reasoning", '{');
    echo(j, "effort", v[E_EFFORT], "null");
    echo(j, "summary", v[E_SUMMARY], "null");
    json_close(j, '}');
    echo(j, "safety_identifier", v[E_SAFETY], "null");
    echo(j, "service_tier", v[E_TIER], "\"default\"");
    json_member_bool(j, "store", false); /* whatever was asked for: nothing is */
    echo(j, "temperature", v[E_TEMPERATURE], "1.0");
    json_member_open(j, "text", '{');
    echo(j, "format", v[E_FORMAT], "{\"type\":\"text\"}");
    echo(j, "verbosity", v[E_VERBOSITY], "\"medium\"");
    json_close(j, '}');
    echo(j, "tool_choice", v[E_CHOICE], "\"auto\"");
    echo_tools(j, v[E_TOOLS], in);
    echo(j, "top_logprobs", v[E_TOP_LOGPROBS], "0");
    echo(j, "top_p", v[E_TOP_P], "1.0");
    echo(j, "truncation", v[E_TRUNCATION], "\"disabled\"");
    echo(j, "user", v[E_USER], "null");
    echo(j, "metadata", v[E_METADATA], "{}");
}

/* Once an answer: a stream tells it three times. */
struct str responses_echo(struct chat_writer *w)
{
    struct json_value v[ECHOED] = {0};
    struct buf b;
    struct str text;
    if (w->r->body.n == 0 || json_scan(w->r->body, echo_paths, ECHOED, v, NULL) != 0)
        memset(v, 0, sizeof(v));
    buf_init(&b, 2 * (w->r->body.n + 4096));
    struct json_writer j = json_writer(&b);
    echo_members(&j, v, w->in);
    /* the body's own line ends would end an event */
    text = chat_one_line(arena_copy(w->r->arena, b.full ? STR("\"store\":false") : buf_str(&b)), w->r->arena);
    buf_free(&b);
    return text;
}

/* ---- the response */

/* Text, and no call: one that came with an error is none to be made. */
static bool has_answer(const struct responses_state *s)
{
    bool any = false;
    for (size_t i = 0; i < s->n_items; i++) {
        if (s->items[i]->kind == ITEM_CALL)
            return false;
        any |= s->items[i]->kind == ITEM_MESSAGE || s->items[i]->kind == ITEM_IMAGE;
    }
    return any;
}

const char *responses_status(const struct responses_state *s)
{
    if (s->overflow)
        return "failed";
    switch (s->finish) {
    case FINISH_LENGTH:
    case FINISH_CONTENT_FILTER:
    case FINISH_REFUSAL:
        return "incomplete";
    case FINISH_ERROR: /* where there is an answer all the same, it is as whole as any that stopped */
        return has_answer(s) ? "completed" : "failed";
    default:
        return "completed";
    }
}

struct failure responses_own_failure(const struct responses_state *s)
{
    static const struct str broken = STR("The provider broke off its answer."),
                            large = STR("The provider's answer is larger than can be held.");
    return (struct failure){.status = 502,
                            .type = "server_error",
                            .code = "server_error",
                            .message = s->overflow ? large : broken};
}

static void put_usage(struct json_writer *j, const struct usage_tokens *u)
{
    json_member_open(j, "usage", '{');
    json_member_i64(j, "input_tokens", (int64_t)u->input);
    json_member_open(j, "input_tokens_details", '{');
    json_member_i64(j, "cached_tokens", (int64_t)u->cached);
    json_member_i64(j, "cache_write_tokens", (int64_t)u->cache_write);
    json_close(j, '}');
    json_member_i64(j, "output_tokens", (int64_t)u->output);
    json_member_open(j, "output_tokens_details", '{');
    json_member_i64(j, "reasoning_tokens", (int64_t)u->reasoning);
    json_close(j, '}');
    json_member_i64(j, "total_tokens", (int64_t)(u->input + u->output));
    json_close(j, '}');
}

static void put_failure(struct json_writer *j, const struct failure *f)
{
    if (!f) {
        json_member_null(j, "error");
        return;
    }
    json_member_open(j, "error", '{');
    json_member_strz(j, "code",
                     f->code            ? f->code
                     : f->status == 429 ? "rate_limit_exceeded"
                                        : "server_error");
    json_member_str(j, "message", f->message);
    json_close(j, '}');
}

static void put_incomplete(struct json_writer *j, const struct responses_state *s, const char *status)
{
    if (strcmp(status, "incomplete") != 0) {
        json_member_null(j, "incomplete_details");
        return;
    }
    json_member_open(j, "incomplete_details", '{');
    json_member_strz(j, "reason", s->finish == FINISH_LENGTH ? "max_output_tokens" : "content_filter");
    json_close(j, '}');
}

static void put_output(struct json_writer *j, const struct responses_state *s)
{
    json_member_open(j, "output", '[');
    for (size_t i = 0; i < s->n_items; i++)
        responses_put_item(j, s->items[i]);
    json_close(j, ']');
}

void responses_put(struct responses_state *s, enum responses_stage stage, const struct failure *failure,
                   struct json_writer *j)
{
    bool ended = stage == STAGE_ENDED;
    const char *status = !ended ? "in_progress" : failure ? "failed" : responses_status(s);
    json_open(j, '{');
    json_member_str(j, "id", s->id);
    json_member_strz(j, "object", "response");
    json_member_i64(j, "created_at", s->created);
    json_member_strz(j, "status", status);
    put_failure(j, ended ? failure : NULL);
    put_incomplete(j, s, status);
    json_member_str(j, "model", s->model);
    put_output(j, s);
    if (ended && (!failure || s->w->usage_known))
        put_usage(j, &s->w->usage);
    else
        json_member_null(j, "usage");
    buf_add_byte(j->out, ',');
    buf_add(j->out, s->echo);
    json_close(j, '}');
}

static void take(void *arg, const struct chat_delta *d)
{
    responses_take(arg, d);
}

void responses_write(struct chat_writer *w, const struct chat_answer *a, struct buf *out)
{
    struct responses_state *s = responses_state_new(w);
    struct json_writer j = json_writer(out);
    struct failure f;
    chat_answer_deltas(a, take, s);
    responses_close(s);
    bool failed = strcmp(responses_status(s), "failed") == 0;
    if (failed)
        f = responses_own_failure(s);
    responses_put(s, STAGE_ENDED, failed ? &f : NULL, &j);
}

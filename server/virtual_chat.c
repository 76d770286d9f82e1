/* The built-in provider's chat completions and (legacy) completions, streamed and whole. */
#include "virtual.h"

#include "json_out.h"

#include <string.h>

enum { CREATED = 1735689600, MAX_CHOICES = 16 };

struct chat {
    bool legacy; /* /completions */
    struct str prompt, text;
    struct str tool; /* name of the tool to be called; empty: none */
    struct str arguments;
    bool cut, usage_asked;
    uint64_t input, output;
    int64_t n;
};

/* A message's text: a string, or the last text part. */
static struct str content_text(struct json_value content, struct arena *a)
{
    static const char *const paths[] = {"text"};
    struct str text = STR("");
    struct json_value part, v;
    if (content.type == JSON_STRING)
        return json_text(content, a);
    for (size_t at = 0; content.type == JSON_ARRAY && json_next(content.raw, &at, NULL, &part);)
        if (part.type == JSON_OBJECT && json_scan(part.raw, paths, 1, &v, NULL) == 0 && v.type == JSON_STRING)
            text = json_text(v, a);
    return text;
}

/* The last user message. */
static struct str chat_prompt(struct json_value messages, struct arena *a)
{
    static const char *const paths[] = {"role", "content"};
    struct str prompt = STR("");
    struct json_value message, v[2];
    for (size_t at = 0; messages.type == JSON_ARRAY && json_next(messages.raw, &at, NULL, &message);)
        if (message.type == JSON_OBJECT && json_scan(message.raw, paths, 2, v, NULL) == 0 &&
            str_eq(v[0].raw, STR("\"user\"")))
            prompt = content_text(v[1], a);
    return prompt;
}

/* The tool that must be called: the one that is named, or the first. */
static void choose_tool(struct chat *c, struct json_value tools, struct json_value choice,
                        struct json_value named, struct arena *a)
{
    static const char *const paths[] = {"function.name", "function.parameters"};
    if (tools.type != JSON_ARRAY || (named.type != JSON_STRING && !str_eq(choice.raw, STR("\"required\""))))
        return;
    struct json_value tool, v[2];
    for (size_t at = 0; json_next(tools.raw, &at, NULL, &tool);) {
        if (tool.type != JSON_OBJECT || json_scan(tool.raw, paths, 2, v, NULL) != 0 ||
            v[0].type != JSON_STRING)
            continue;
        struct str name = json_text(v[0], a);
        if (named.type == JSON_STRING && !str_eq(name, json_text(named, a)))
            continue;
        struct buf b;
        buf_init(&b, 64 * 1024);
        if (v[1].type == JSON_OBJECT)
            virtual_instance(&b, v[1].raw, a, 0);
        else
            buf_add(&b, STR("{}"));
        c->tool = name;
        c->arguments = arena_copy(a, buf_str(&b));
        buf_free(&b);
        return;
    }
}

static uint64_t token_limit(struct json_value v)
{
    int64_t n;
    return json_int(v, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

/* The text as the request wants it formed. */
static struct str formed(struct virtual_making *m, struct str text, struct json_value format,
                         struct json_value schema)
{
    struct buf b;
    buf_init(&b, MAX_ANSWER / 4);
    if (str_eq(format.raw, STR("\"json_schema\"")) && schema.type == JSON_OBJECT) {
        virtual_instance(&b, schema.raw, &m->arena, 0);
    } else if (str_eq(format.raw, STR("\"json_object\""))) {
        buf_add(&b, STR("{\"answer\":"));
        json_put_string(&b, text);
        buf_add_byte(&b, '}');
    } else {
        return text;
    }
    struct str s = arena_copy(&m->arena, buf_str(&b));
    buf_free(&b);
    return s;
}

/* -1: answered with an error. */
static int chat_read(struct virtual_making *m, struct chat *c)
{
    static const char *const paths[] = {"messages",
                                        "prompt",
                                        "max_tokens",
                                        "max_completion_tokens",
                                        "tools",
                                        "tool_choice",
                                        "tool_choice.function.name",
                                        "stream_options.include_usage",
                                        "n",
                                        "response_format.type",
                                        "response_format.json_schema.schema"};
    enum { MESSAGES, PROMPT, MAX, MAX_NEW, TOOLS, CHOICE, NAMED, USAGE, N, FORMAT, SCHEMA, COUNT };
    struct json_value v[COUNT];
    if (json_scan(m->call->body, paths, COUNT, v, NULL) != 0) {
        virtual_error(m, 400, "invalid_request_error", "invalid_json", "The body is no JSON object.");
        return -1;
    }
    struct json_value asked = v[c->legacy ? PROMPT : MESSAGES];
    if (c->legacy ? asked.type == JSON_ABSENT : asked.type != JSON_ARRAY || asked.count == 0) {
        virtual_error(m, 400, "invalid_request_error", "missing_required_parameter",
                      c->legacy ? "Missing required parameter: 'prompt'."
                                : "'messages' must be a filled array.");
        return -1;
    }
    c->prompt = c->legacy ? content_text(asked, &m->arena) : chat_prompt(asked, &m->arena);
    c->input = virtual_tokens(asked.raw.n);
    c->usage_asked = v[USAGE].type == JSON_TRUE;
    if (json_int(v[N], &c->n) != 0 || c->n < 1 || c->n > MAX_CHOICES)
        c->n = 1;
    choose_tool(c, v[TOOLS], v[CHOICE], v[NAMED], &m->arena);
    uint64_t max = v[MAX_NEW].type == JSON_NUMBER ? token_limit(v[MAX_NEW]) : token_limit(v[MAX]);
    if (c->tool.n == 0)
        c->text = formed(m, virtual_text(m, c->prompt, max, &c->cut), v[FORMAT], v[SCHEMA]);
    c->output = virtual_tokens(c->tool.n + c->arguments.n + c->text.n) * (uint64_t)c->n;
    return 0;
}

static void put_usage(struct buf *b, const struct chat *c)
{
    buf_printf(b,
               "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,"
               "\"prompt_tokens_details\":{\"cached_tokens\":0},"
               "\"completion_tokens_details\":{\"reasoning_tokens\":0}}",
               (unsigned long long)c->input, (unsigned long long)c->output,
               (unsigned long long)(c->input + c->output));
}

static void put_start(struct virtual_making *m, const struct chat *c, struct buf *b, const char *object)
{
    buf_printf(b, "{\"id\":\"%s-%016llx\",\"object\":\"%s\",\"created\":%d,\"model\":",
               c->legacy ? "cmpl" : "chatcmpl", (unsigned long long)m->hash, object, CREATED);
    json_put_string(b, m->model);
    buf_add(b, STR(",\"system_fingerprint\":\"fp_virtual\""));
}

static const char *finish_reason(const struct chat *c)
{
    return c->tool.n > 0 ? "tool_calls" : c->cut ? "length" : "stop";
}

static void put_tool_call(struct virtual_making *m, const struct chat *c, struct buf *b, struct str arguments)
{
    buf_printf(b, "\"id\":\"call_%016llx\",\"type\":\"function\",\"function\":{\"name\":",
               (unsigned long long)m->hash);
    json_put_string(b, c->tool);
    buf_add(b, STR(",\"arguments\":"));
    json_put_string(b, arguments);
    buf_add_byte(b, '}');
}

static void put_choice(struct virtual_making *m, const struct chat *c, struct buf *b, int64_t index)
{
    buf_printf(b, "%s{\"index\":%lld,", index ? "," : "", (long long)index);
    if (c->legacy) {
        buf_add(b, STR("\"text\":"));
        json_put_string(b, c->text);
    } else if (c->tool.n > 0) {
        buf_add(
            b,
            STR("\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":null,\"tool_calls\":[{"));
        put_tool_call(m, c, b, c->arguments);
        buf_add(b, STR("}]}"));
    } else {
        buf_add(b, STR("\"message\":{\"role\":\"assistant\",\"content\":"));
        json_put_string(b, c->text);
        buf_add(b, STR(",\"refusal\":null,\"annotations\":[]}"));
    }
    buf_printf(b, ",\"logprobs\":null,\"finish_reason\":\"%s\"}", finish_reason(c));
}

static void whole(struct virtual_making *m, const struct chat *c)
{
    struct buf b;
    buf_init(&b, MAX_ANSWER / 2);
    put_start(m, c, &b, c->legacy ? "text_completion" : "chat.completion");
    buf_add(&b, STR(",\"choices\":["));
    for (int64_t i = 0; i < c->n; i++)
        put_choice(m, c, &b, i);
    buf_add(&b, STR("],\"usage\":"));
    put_usage(&b, c);
    buf_add_byte(&b, '}');
    virtual_json(m, 200, buf_str(&b));
    buf_free(&b);
}

/* ---- streamed */

/* One chunk: delta is the JSON of "delta" (or, legacy, of "text"). finish NULL: not the last. */
static void event(struct virtual_making *m, const struct chat *c, int64_t index, struct str delta,
                  const char *finish)
{
    struct buf b;
    buf_init(&b, MAX_SSE_EVENT);
    put_start(m, c, &b, c->legacy ? "text_completion" : "chat.completion.chunk");
    buf_printf(&b, ",\"choices\":[{\"index\":%lld,\"%s\":", (long long)index, c->legacy ? "text" : "delta");
    buf_add(&b, delta);
    buf_printf(&b, ",\"logprobs\":null,\"finish_reason\":%s%s%s}]%s}", finish ? "\"" : "",
               finish ? finish : "null", finish ? "\"" : "", c->usage_asked ? ",\"usage\":null" : "");
    virtual_stream_event(m, NULL, buf_str(&b));
    buf_free(&b);
}

static void usage_event(struct virtual_making *m, const struct chat *c)
{
    struct buf b;
    buf_init(&b, 4096);
    put_start(m, c, &b, c->legacy ? "text_completion" : "chat.completion.chunk");
    buf_add(&b, STR(",\"choices\":[],\"usage\":"));
    put_usage(&b, c);
    buf_add_byte(&b, '}');
    virtual_stream_event(m, NULL, buf_str(&b));
    buf_free(&b);
}

static void stream_tool(struct virtual_making *m, const struct chat *c, int64_t index)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    buf_add(&b,
            STR("{\"role\":\"assistant\",\"content\":null,\"refusal\":null,\"tool_calls\":[{\"index\":0,"));
    put_tool_call(m, c, &b, STR(""));
    buf_add(&b, STR("}]}"));
    event(m, c, index, buf_str(&b), NULL);
    for (struct str left = c->arguments; left.n > 0;) {
        size_t n = virtual_chunk(m, left);
        buf_reset(&b);
        buf_add(&b, STR("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"));
        json_put_string(&b, (struct str){left.p, n});
        buf_add(&b, STR("}}]}"));
        event(m, c, index, buf_str(&b), NULL);
        left.p += n;
        left.n -= n;
    }
    buf_free(&b);
}

static void stream_text(struct virtual_making *m, const struct chat *c, int64_t index)
{
    struct buf b;
    buf_init(&b, MAX_SSE_EVENT / 2);
    if (!c->legacy)
        event(m, c, index, STR("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"), NULL);
    for (struct str left = c->text; left.n > 0;) {
        size_t n = virtual_chunk(m, left);
        buf_reset(&b);
        if (!c->legacy)
            buf_add(&b, STR("{\"content\":"));
        json_put_string(&b, (struct str){left.p, n});
        if (!c->legacy)
            buf_add_byte(&b, '}');
        event(m, c, index, buf_str(&b), NULL);
        left.p += n;
        left.n -= n;
    }
    buf_free(&b);
}

static void streamed(struct virtual_making *m, const struct chat *c)
{
    virtual_stream_begin(m);
    for (int64_t i = 0; i < c->n; i++) {
        if (c->tool.n > 0)
            stream_tool(m, c, i);
        else
            stream_text(m, c, i);
        event(m, c, i, c->legacy ? STR("\"\"") : STR("{}"), finish_reason(c));
    }
    if (c->usage_asked)
        usage_event(m, c);
    virtual_stream_event(m, NULL, STR("[DONE]"));
    virtual_stream_end(m);
}

static void answer(struct virtual_making *m, bool legacy)
{
    struct chat c = {.legacy = legacy};
    if (chat_read(m, &c) != 0)
        return;
    if (m->stream)
        streamed(m, &c);
    else
        whole(m, &c);
}

void virtual_chat(struct virtual_making *m)
{
    answer(m, false);
}

void virtual_completions(struct virtual_making *m)
{
    answer(m, true);
}

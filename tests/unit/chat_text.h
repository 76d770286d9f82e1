/* Conversations in the neutral form as text, for comparing and reading. */
#ifndef TESTS_UNIT_CHAT_TEXT_H
#define TESTS_UNIT_CHAT_TEXT_H

#include "chat.h"
#include "json_out.h"
#include "json_write.h"

struct dump {
    struct buf *out;
    struct arena *arena;
};

static inline void dump_line(struct dump *d, int depth, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    buf_printf(d->out, "%*s%s: ", 2 * depth, "", name);
    json_put_string(d->out, value);
    buf_add_byte(d->out, '\n');
}

static inline void dump_json(struct dump *d, int depth, const char *name, struct str json)
{
    struct error err;
    if (json.n == 0)
        return;
    buf_printf(d->out, "%*s%s = ", 2 * depth, "", name);
    if (json_validate(json, &err) == 0)
        json_canonical(d->out, json, NULL, 0, d->arena);
    else
        buf_printf(d->out, "NO JSON: %s", err.text);
    buf_add_byte(d->out, '\n');
}

static const char *const part_names[] = {
    [PART_TEXT] = "text",         [PART_IMAGE] = "image",       [PART_FILE] = "file",
    [PART_AUDIO] = "audio",       [PART_TOOL_CALL] = "call",    [PART_TOOL_RESULT] = "result",
    [PART_THINKING] = "thinking", [PART_REDACTED] = "redacted", [PART_REFUSAL] = "refusal",
};
static const char *const signer_names[] = {"nobody", "anthropic", "google", "openai"};

static inline void dump_part(struct dump *d, int depth, const struct chat_part *p)
{
    buf_printf(d->out, "%*s- %s%s\n", 2 * depth, "", part_names[p->kind], p->is_error ? " (error)" : "");
    dump_line(d, depth + 1, "id", p->id);
    dump_line(d, depth + 1, "name", p->name);
    dump_line(d, depth + 1, "text", p->text);
    if (p->kind == PART_TOOL_CALL)
        dump_json(d, depth + 1, "arguments", chat_arguments(p->arguments, d->arena));
    dump_line(d, depth + 1, "mime", p->mime);
    dump_line(d, depth + 1, "data", p->data);
    dump_line(d, depth + 1, "url", p->url);
    dump_line(d, depth + 1, "file_id", p->file_id);
    dump_line(d, depth + 1, "detail", p->detail);
    dump_line(d, depth + 1, "signature", p->signature);
    if (p->signature.n > 0)
        buf_printf(d->out, "%*ssigned by %s\n", 2 * depth + 2, "", signer_names[p->signer]);
    dump_json(d, depth + 1, "cache_control", p->cache_control);
    for (size_t i = 0; i < p->n_parts; i++)
        dump_part(d, depth + 1, &p->parts[i]);
}

static inline void dump_messages(struct dump *d, const struct chat_request *c)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    for (size_t i = 0; i < c->n_messages; i++) {
        buf_printf(d->out, "%s\n", roles[c->messages[i].role]);
        dump_line(d, 1, "name", c->messages[i].name);
        for (size_t k = 0; k < c->messages[i].n_parts; k++)
            dump_part(d, 0, &c->messages[i].parts[k]);
    }
}

static inline void dump_tools(struct dump *d, const struct chat_request *c)
{
    static const char *const choices[] = {"default", "auto", "none", "required", "named"};
    for (size_t i = 0; i < c->n_tools; i++) {
        const struct chat_tool *t = &c->tools[i];
        buf_printf(d->out, "tool\n");
        dump_line(d, 1, "name", t->name);
        dump_line(d, 1, "description", t->description);
        dump_json(d, 1, "schema", t->schema);
        if (t->strict >= 0)
            buf_printf(d->out, "  strict %d\n", t->strict);
        dump_json(d, 1, "cache_control", t->cache_control);
    }
    buf_printf(d->out, "choice %s\n", choices[c->tool_choice]);
    dump_line(d, 0, "chosen", c->tool_name);
    for (size_t i = 0; i < c->n_allowed; i++)
        dump_line(d, 0, "allowed", c->allowed[i]);
}

static inline void dump_format(struct dump *d, const struct chat_request *c)
{
    static const char *const formats[] = {"text", "json", "schema"};
    buf_printf(d->out, "format %s\n", formats[c->format]);
    dump_line(d, 1, "name", c->format_name);
    dump_line(d, 1, "description", c->format_description);
    dump_json(d, 1, "schema", c->format_schema);
    if (c->format_strict >= 0)
        buf_printf(d->out, "  strict %d\n", c->format_strict);
}

static inline void dump_params(struct dump *d, const struct chat_request *c, uint32_t without)
{
    static const struct {
        enum chat_param param;
        const char *name;
    } plain[] = {
        {PARAM_MAX_TOKENS, "max_tokens"},
        {PARAM_TEMPERATURE, "temperature"},
        {PARAM_TOP_P, "top_p"},
        {PARAM_TOP_K, "top_k"},
        {PARAM_SEED, "seed"},
        {PARAM_PRESENCE_PENALTY, "presence_penalty"},
        {PARAM_USER, "user"},
        {PARAM_FREQUENCY_PENALTY, "frequency_penalty"},
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (!(without & UINT32_C(1) << plain[i].param) && c->params[plain[i].param].name)
            dump_json(d, 0, plain[i].name, c->params[plain[i].param].value);
    for (size_t i = 0; i < c->n_stop && !(without & 1 << PARAM_STOP); i++)
        dump_line(d, 0, "stop", c->stop[i]);
    if (c->parallel_tools >= 0 && !(without & 1 << PARAM_PARALLEL_TOOLS))
        buf_printf(d->out, "parallel_tools %d\n", c->parallel_tools);
    if (c->thinking != THINKING_DEFAULT && !(without & 1 << PARAM_THINKING)) {
        static const char *const kinds[] = {"", "off", "on", "budget", "effort"};
        buf_printf(d->out, "thinking %s %u\n", kinds[c->thinking], c->thinking_budget);
        dump_line(d, 1, "effort", c->thinking_effort);
    }
    for (size_t i = 0; i < c->n_extras; i++)
        dump_line(d, 0, "extra", c->extras[i].name);
}

static inline struct str text_of_request(const struct chat_request *c, uint32_t without, struct arena *a)
{
    struct buf b;
    struct dump d = {&b, a};
    buf_init(&b, 1 << 22);
    dump_messages(&d, c);
    dump_tools(&d, c);
    dump_format(&d, c);
    dump_params(&d, c, without);
    struct str text = arena_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

#endif

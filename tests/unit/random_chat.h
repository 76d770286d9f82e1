/* Random conversations in the neutral form, of a seed each. */
#ifndef TESTS_UNIT_RANDOM_CHAT_H
#define TESTS_UNIT_RANDOM_CHAT_H

#include "base64.h"
#include "chat.h"
#include "json_write.h"

#include <string.h>

/* ---- chance */

struct dice {
    uint64_t state;
    struct arena *arena;
    unsigned size; /* 1 … 8: of what is made */
};

static inline uint64_t roll(struct dice *d, uint64_t below)
{
    d->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = d->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static inline bool once_in(struct dice *d, unsigned n)
{
    return roll(d, n) == 0;
}

static inline struct str random_word(struct dice *d, const char *front, size_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    char *p = arena_alloc(d->arena, strlen(front) + n);
    memcpy(p, front, strlen(front));
    for (size_t i = 0; i < n; i++)
        p[strlen(front) + i] = letters[roll(d, sizeof(letters) - 1)];
    return (struct str){p, strlen(front) + n};
}

/* Text with what breaks careless writers; it begins and ends with a letter. */
static inline struct str random_text(struct dice *d)
{
    static const char *const pieces[] = {
        "plain",
        " ",
        "\n",
        "\"quoted\"",
        "back\\slash",
        "\t",
        "\xc3\xa9",
        "\xe2\x82\xac",
        "\xf0\x9f\x8d\x90",
        "\x01",
        "\x7f",
        "</script>",
        "{\"a\":1}",
        "data: x",
        "\r\n\r\n",
        "null",
        "\\u0041",
        "[DONE]",
        "%s%n",
        "event: y",
        "\xe2\x80\xa8",
        "'",
        "a, b",
        ":",
    };
    size_t n = 1 + roll(d, 4 + d->size), max = 16 * n + 8;
    struct buf b = arena_buf(d->arena, max);
    buf_add_byte(&b, (char)('a' + roll(d, 26)));
    for (size_t i = 0; i < n; i++)
        buf_add(&b, str_of(pieces[roll(d, sizeof(pieces) / sizeof(pieces[0]))]));
    buf_add_byte(&b, (char)('A' + roll(d, 26)));
    return buf_str(&b);
}

static inline void random_value(struct dice *d, struct json_writer *w, unsigned depth)
{
    static const char *const numbers[] = {"0", "-1", "42", "1.5", "1e3", "-0.25", "9007199254740993"};
    switch (roll(d, depth > 0 ? 7 : 5)) {
    case 0:
        json_raw(w, str_of(numbers[roll(d, sizeof(numbers) / sizeof(numbers[0]))]));
        return;
    case 1:
        json_boolean(w, once_in(d, 2));
        return;
    case 2:
        json_null(w);
        return;
    case 3:
    case 4:
        json_str(w, random_text(d));
        return;
    case 5:
        json_open(w, '[');
        for (uint64_t n = roll(d, 3); n > 0; n--)
            random_value(d, w, depth - 1);
        json_close(w, ']');
        return;
    default:
        json_open(w, '{');
        for (uint64_t n = roll(d, 3); n > 0; n--) {
            json_name_str(w, random_word(d, "k", 3));
            random_value(d, w, depth - 1);
        }
        json_close(w, '}');
    }
}

static inline struct str random_object(struct dice *d)
{
    enum { ROOM = 16384 };
    struct buf b = arena_buf(d->arena, ROOM);
    struct json_writer w = json_writer(&b);
    json_open(&w, '{');
    for (uint64_t n = roll(d, 1 + d->size); n > 0; n--) {
        json_name_str(&w, random_word(d, "m", 3));
        random_value(d, &w, 2);
    }
    json_close(&w, '}');
    return buf_str(&b);
}

static inline struct str random_bytes64(struct dice *d, const char *front, size_t n_front)
{
    size_t n = 12 + roll(d, 60);
    struct buf raw = arena_buf(d->arena, n + n_front);
    buf_add(&raw, (struct str){front, n_front});
    while (raw.n < raw.max)
        buf_add_byte(&raw, (char)roll(d, 256));
    size_t max = (raw.n + 2) / 3 * 4;
    struct buf b = arena_buf(d->arena, max);
    base64_put(&b, buf_str(&raw));
    return buf_str(&b);
}

/* ---- requests */

static inline void add_media(struct dice *d, struct chat_part **parts, size_t *n)
{
    static const char png[] = "\x89PNG\r\n\x1a\n", pdf[] = "%PDF-1.7";
    bool image = !once_in(d, 3);
    struct chat_part *p = chat_add_part(parts, n, d->arena, image ? PART_IMAGE : PART_FILE);
    p->mime = image ? STR("image/png") : STR("application/pdf");
    p->data = random_bytes64(d, image ? png : pdf, strlen(image ? png : pdf));
    if (!image && !once_in(d, 4))
        p->name = STR("paper.pdf");
    if (image && once_in(d, 5))
        p->detail = once_in(d, 2) ? STR("low") : STR("high");
}

static inline void add_text(struct dice *d, struct chat_part **parts, size_t *n)
{
    struct str text = random_text(d);
    chat_add_part(parts, n, d->arena, PART_TEXT)->text = text;
}

static inline void add_result(struct dice *d, struct chat_message *m, const struct chat_part *call)
{
    struct chat_part *p = chat_add_part(&m->parts, &m->n_parts, d->arena, PART_TOOL_RESULT);
    p->id = call->id;
    p->name = call->name;
    p->is_error = once_in(d, 5);
    struct chat_part *parts = NULL;
    size_t n = 0;
    add_text(d, &parts, &n);
    if (once_in(d, 6))
        add_text(d, &parts, &n);
    if (once_in(d, 6))
        add_media(d, &parts, &n);
    p = &m->parts[m->n_parts - 1];
    p->parts = parts;
    p->n_parts = n;
}

static inline void make_user(struct dice *d, struct chat_request *c, const struct chat_message *before)
{
    struct chat_message *m = chat_add_message(c, d->arena, CHAT_USER);
    bool results = false;
    for (size_t i = 0; before && i < before->n_parts; i++)
        if (before->parts[i].kind == PART_TOOL_CALL) {
            add_result(d, m, &before->parts[i]);
            results = true;
        }
    for (uint64_t n = results ? roll(d, 2) : 1 + roll(d, 1 + d->size / 2); n > 0; n--) {
        if (once_in(d, 3))
            add_media(d, &m->parts, &m->n_parts);
        else
            add_text(d, &m->parts, &m->n_parts);
    }
}

static inline void add_calls(struct dice *d, const struct chat_request *c, struct chat_part **parts,
                             size_t *n, enum chat_signer signer)
{
    bool first = true;
    for (uint64_t k = 1 + roll(d, 3); k > 0; k--) {
        struct str id = random_word(d, "call_", 24), arguments = once_in(d, 5) ? STR_NULL : random_object(d);
        struct chat_part *p = chat_add_part(parts, n, d->arena, PART_TOOL_CALL);
        p->id = id;
        p->name = c->tools[roll(d, c->n_tools)].name;
        p->arguments = arguments;
        if (signer == SIGNER_GOOGLE && first) {
            p->signature = random_bytes64(d, "", 0);
            p->signer = signer;
        }
        first = false;
    }
}

static inline void add_thinking(struct dice *d, struct chat_part **parts, size_t *n, enum chat_signer signer)
{
    struct chat_part *p = chat_add_part(parts, n, d->arena, PART_THINKING);
    p->text = random_text(d);
    if (signer == SIGNER_ANTHROPIC || signer == SIGNER_OPENAI) {
        p->signature = random_bytes64(d, "", 0);
        p->signer = signer;
    }
    if (signer == SIGNER_ANTHROPIC && once_in(d, 4)) {
        p = chat_add_part(parts, n, d->arena, PART_REDACTED);
        p->data = random_bytes64(d, "", 0);
        p->signer = signer;
    }
}

/* What an assistant says: thinking, text, calls. */
static inline void add_said(struct dice *d, const struct chat_request *c, struct chat_part **parts, size_t *n,
                            enum chat_signer signer)
{
    bool calls = c->n_tools > 0 && once_in(d, 2);
    if (signer != SIGNER_NONE && once_in(d, 2))
        add_thinking(d, parts, n, signer);
    if (signer == SIGNER_ANTHROPIC && *n > 0 && once_in(d, 4))
        add_thinking(d, parts, n, signer);
    if (!calls || once_in(d, 2)) {
        add_text(d, parts, n);
        if (signer == SIGNER_GOOGLE && !calls && once_in(d, 3)) {
            (*parts)[*n - 1].signature = random_bytes64(d, "", 0);
            (*parts)[*n - 1].signer = signer;
        }
    }
    if (calls)
        add_calls(d, c, parts, n, signer);
}

static inline void make_tools(struct dice *d, struct chat_request *c)
{
    for (uint64_t n = roll(d, 1 + d->size / 2); n > 0; n--) {
        struct str name = random_word(d, "tool_", 1 + roll(d, 20));
        struct str property = random_word(d, "p", 3), description = random_text(d);
        struct chat_tool *t = chat_add_tool(c, d->arena);
        t->name = name;
        t->description = once_in(d, 3) ? STR_NULL : description;
        t->strict = (int)roll(d, 3) - 1;
        if (!once_in(d, 5))
            t->schema =
                arena_printf(d->arena,
                             "{\"type\":\"object\",\"properties\":{\"" STR_FMT
                             "\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}},\"required\":[\"" STR_FMT
                             "\"],\"additionalProperties\":false}",
                             STR_ARG(property), STR_ARG(property));
    }
    if (c->n_tools == 0)
        return;
    c->tool_choice = (enum chat_choice_kind)roll(d, 5);
    if (c->tool_choice == TOOLS_NAMED)
        c->tool_name = c->tools[roll(d, c->n_tools)].name;
    else if (c->tool_choice != TOOLS_NONE && c->n_tools > 1 && once_in(d, 5))
        chat_add_allowed(c, d->arena, c->tools[roll(d, c->n_tools)].name);
    if (c->tool_choice != TOOLS_NONE && once_in(d, 4)) { /* else there is nothing to be parallel */
        c->parallel_tools = once_in(d, 2);
        chat_set_param(c, PARAM_PARALLEL_TOOLS, "p",
                       json_root(c->parallel_tools ? STR("true") : STR("false")));
    }
}

static inline void make_params(struct dice *d, struct chat_request *c, unsigned without)
{
    static const struct {
        enum chat_param param;
        const char *values[3];
    } numbers[] = {
        {PARAM_MAX_TOKENS, {"16", "1000", "4096"}},
        {PARAM_TEMPERATURE, {"0", "0.5", "1"}},
        {PARAM_TOP_P, {"0.1", "0.95", "1"}},
        {PARAM_TOP_K, {"1", "40", "5"}},
        {PARAM_SEED, {"0", "7", "123456"}},
        {PARAM_PRESENCE_PENALTY, {"-1", "0.5", "2"}},
        {PARAM_FREQUENCY_PENALTY, {"-1", "0.5", "2"}},
        {PARAM_N, {"2", "3", "4"}},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (once_in(d, 4) && !(without & 1U << numbers[i].param))
            chat_set_param(c, numbers[i].param, "p", json_root(str_of(numbers[i].values[roll(d, 3)])));
    if (once_in(d, 4)) {
        for (uint64_t n = 1 + roll(d, 3); n > 0; n--)
            chat_add_stop(c, d->arena, random_word(d, "S", 4));
        chat_set_param(c, PARAM_STOP, "stop", json_root(STR("[]")));
    }
    if (once_in(d, 8)) {
        chat_set_param(c, PARAM_LOGPROBS, "p", json_root(STR("true")));
        chat_set_param(c, PARAM_TOP_LOGPROBS, "p", json_root(STR("3")));
    }
    if (once_in(d, 6))
        chat_set_param(c, PARAM_USER, "user", json_root(STR("\"someone-7\"")));
}

static inline void make_thinking(struct dice *d, struct chat_request *c, unsigned without)
{
    static const char *const efforts[] = {"low", "medium", "high"};
    if (!once_in(d, 4))
        return;
    chat_set_param(c, PARAM_THINKING, "p", json_root(STR("true")));
    c->thinking = (enum chat_thinking)(THINKING_OFF + roll(d, 4));
    if (c->thinking <= THINKING_ON && (without & 1 << PARAM_THINKING))
        c->thinking = THINKING_EFFORT;
    if (c->thinking == THINKING_BUDGET)
        c->thinking_budget = (uint32_t)(1024 + roll(d, 4) * 512);
    if (c->thinking == THINKING_EFFORT)
        c->thinking_effort = str_of(efforts[roll(d, 3)]);
}

static inline void make_format(struct dice *d, struct chat_request *c)
{
    if (c->n_tools > 0 || !once_in(d, 4))
        return;
    c->format = once_in(d, 3) ? FORMAT_JSON : FORMAT_SCHEMA;
    if (c->format == FORMAT_JSON)
        return;
    c->format_name = STR("answer_form");
    c->format_schema = STR("{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},"
                           "\"required\":[\"n\"],\"additionalProperties\":false}");
    c->format_strict = (int)roll(d, 3) - 1;
    if (once_in(d, 2))
        c->format_description = random_text(d);
}

static inline struct chat_request *make_request(struct dice *d, enum chat_signer signer, unsigned without)
{
    struct chat_request *c = arena_alloc(d->arena, sizeof(*c));
    *c = (struct chat_request){
        .model = STR("caller-model"), .parallel_tools = -1, .format_strict = -1, .thinking_shown = -1};
    make_tools(d, c);
    for (uint64_t n = roll(d, 3); n > 0; n--) {
        struct chat_message *m = chat_add_message(c, d->arena, CHAT_SYSTEM);
        add_text(d, &m->parts, &m->n_parts);
    }
    make_user(d, c, NULL);
    if (once_in(d, 8))
        c->messages[c->n_messages - 1].name = STR("robin");
    for (uint64_t n = roll(d, d->size); n > 0; n--) {
        struct chat_message *m = chat_add_message(c, d->arena, CHAT_ASSISTANT);
        add_said(d, c, &m->parts, &m->n_parts, signer);
        make_user(d, c, m);
    }
    make_params(d, c, without);
    make_thinking(d, c, without);
    make_format(d, c);
    chat_settle(c, d->arena);
    return c;
}

#endif

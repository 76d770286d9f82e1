/* Random conversations and answers in the neutral form, and their text for comparing and reading. */
#ifndef TESTS_UNIT_ROUND_TRIP_H
#define TESTS_UNIT_ROUND_TRIP_H

#include "base64.h"
#include "chat.h"
#include "json_out.h"
#include "json_write.h"

#include <stdarg.h>
#include <stdio.h>
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
    struct buf b = {.p = arena_alloc(d->arena, max), .cap = max, .max = max};
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
    struct buf b = {.p = arena_alloc(d->arena, ROOM), .cap = ROOM, .max = ROOM};
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
    struct buf raw = {.p = arena_alloc(d->arena, n + n_front), .cap = n + n_front, .max = n + n_front};
    buf_add(&raw, (struct str){front, n_front});
    while (raw.n < raw.max)
        buf_add_byte(&raw, (char)roll(d, 256));
    size_t max = (raw.n + 2) / 3 * 4;
    struct buf b = {.p = arena_alloc(d->arena, max), .cap = max, .max = max};
    base64_put(&b, buf_str(&raw));
    return buf_str(&b);
}

/* ---- as text */

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

#endif

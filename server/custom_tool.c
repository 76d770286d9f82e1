/* Custom tools as functions, and the way back.
 *
 * The input is told while it comes: a patch of a hundred lines is shown line by line. So its JSON string is
 * decoded as a stream, whose pieces end wherever the provider's do: between a backslash and its letter, or
 * amid the two halves of a pair of surrogates. What a model writes is not always JSON: a line end that is not
 * escaped is taken as it is, and so is an escape that there is none of. */
#include "custom_tool.h"

#include "json_write.h"
#include "utf8.h"

#include <string.h>

/* ---- towards the provider */

static const struct str input_schema = STR(
    "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\",\"description\":\"All of the input "
    "of this tool, as plain text.\"}},\"required\":[\"input\"],\"additionalProperties\":false}");

static struct str grammar_words(struct str syntax)
{
    if (str_eq(syntax, STR("regex")))
        return STR("`input` must match this regular expression:\n");
    return str_eq(syntax, STR("lark")) ? STR("`input` must follow this Lark grammar:\n")
                                       : STR("`input` must follow this grammar:\n");
}

void custom_tool_settle(struct chat_tool *t, struct arena *a)
{
    struct str words = grammar_words(t->syntax);
    struct buf b = {0};
    t->kind = TOOL_CUSTOM;
    t->schema = input_schema;
    t->description = t->own_description;
    if (t->definition.n == 0)
        return;
    chat_hold(&b, t->own_description, a);
    chat_hold(&b, b.n > 0 ? STR("\n\n") : STR(""), a);
    chat_hold(&b, words, a);
    chat_hold(&b, t->definition, a);
    t->description = buf_str(&b);
}

struct str custom_tool_arguments(struct str input, struct arena *a)
{
    struct buf b = arena_buf(a, 6 * input.n + 16);
    struct json_writer w = json_writer(&b);
    json_open(&w, '{');
    json_member_str(&w, "input", input);
    json_close(&w, '}');
    return buf_str(&b);
}

/* ---- the way back: the string's characters */

static void put(struct buf *out, struct str text, struct arena *scratch)
{
    chat_hold(out, text, scratch);
}

static void put_code(struct buf *out, uint32_t code, struct arena *scratch)
{
    char text[4];
    put(out, (struct str){text, utf8_put(text, code)}, scratch);
}

static bool is_high(uint32_t code)
{
    return code >= 0xD800 && code < 0xDC00;
}

static bool is_low(uint32_t code)
{
    return code >= 0xDC00 && code < 0xE000;
}

/* Half of a pair without the other is no character. */
static void put_half(struct custom_input *c, struct buf *out, struct arena *scratch)
{
    enum { REPLACEMENT = 0xFFFD };
    if (c->high)
        put_code(out, REPLACEMENT, scratch);
    c->high = 0;
}

static int hex(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

/* \uXXXX has come whole. */
static void take_code(struct custom_input *c, struct buf *out, struct arena *scratch)
{
    uint32_t code = 0;
    for (size_t i = 2; i < 6; i++)
        code = 16 * code + (uint32_t)hex(c->escape[i]);
    c->n_escape = 0;
    if (c->high && is_low(code)) {
        put_code(out, 0x10000 + ((c->high - 0xD800) << 10) + (code - 0xDC00), scratch);
        c->high = 0;
        return;
    }
    put_half(c, out, scratch);
    if (is_high(code) || is_low(code))
        c->high = code;
    else
        put_code(out, code, scratch);
    if (is_low(code))
        put_half(c, out, scratch);
}

/* The letter behind a backslash. */
static void take_letter(struct custom_input *c, char ch, struct buf *out, struct arena *scratch)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *at = ch ? strchr(letters, ch) : NULL;
    if (ch == 'u') {
        c->escape[c->n_escape++] = ch;
        return;
    }
    c->n_escape = 0;
    put_half(c, out, scratch);
    if (at)
        put(out, (struct str){&meant[at - letters], 1}, scratch);
    else
        put(out, (struct str){(char[]){'\\', ch}, 2}, scratch);
}

/* One character outside of a run of plain ones. */
static void take_char(struct custom_input *c, char ch, struct buf *out, struct arena *scratch)
{
    if (c->n_escape == 1) {
        take_letter(c, ch, out, scratch);
        return;
    }
    if (c->n_escape > 1 && hex(ch) >= 0) {
        c->escape[c->n_escape++] = ch;
        if (c->n_escape == sizeof(c->escape))
            take_code(c, out, scratch);
        return;
    }
    if (c->n_escape > 1 || ch != '\\')
        put_half(c, out, scratch);
    put(out, (struct str){c->escape, c->n_escape}, scratch); /* \u and what is no number */
    c->n_escape = 0;
    if (ch == '"')
        c->state = INPUT_ENDED;
    else if (ch == '\\')
        c->escape[c->n_escape++] = ch;
    else
        put(out, (struct str){&ch, 1}, scratch);
}

static void take_text(struct custom_input *c, struct str text, struct buf *out, struct arena *scratch)
{
    for (size_t i = 0; i < text.n && c->state == INPUT_TEXT;) {
        size_t run = i;
        while (c->n_escape == 0 && !c->high && run < text.n && text.p[run] != '\\' && text.p[run] != '"')
            run++;
        put(out, (struct str){text.p + i, run - i}, scratch);
        i = run;
        if (i < text.n)
            take_char(c, text.p[i++], out, scratch);
    }
}

/* ---- the way back: what stands around the string */

static bool is_space(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

/* Goes on while it is {"input":" with spaces between; returns how much of text that is. */
static size_t take_beginning(struct custom_input *c, struct str text)
{
    static const struct str beginning = STR("{\"input\":\"");
    size_t i = 0;
    for (; i < text.n && c->state == INPUT_BEGINS; i++) {
        bool between = c->begun <= 1 || c->begun == beginning.n - 2 || c->begun == beginning.n - 1;
        if (text.p[i] == beginning.p[c->begun])
            c->state = ++c->begun == beginning.n ? INPUT_TEXT : INPUT_BEGINS;
        else if (!between || !is_space(text.p[i]))
            c->state = INPUT_OTHER;
    }
    return i;
}

void custom_input_take(struct custom_input *c, struct str arguments, struct arena *a, struct buf *out,
                       struct arena *scratch)
{
    if (arguments.n == 0)
        return;
    size_t n = c->state == INPUT_BEGINS ? take_beginning(c, arguments) : 0;
    struct str rest = {arguments.p + n, arguments.n - n};
    if (c->state == INPUT_TEXT)
        take_text(c, rest, out, scratch);
    else if (c->state != INPUT_ENDED)
        chat_hold(&c->held, arguments, a);
}

/* Where `input` is not the first member, or what has come is something else. */
static struct str other_input(struct str text, struct arena *a)
{
    static const char *const paths[] = {"input"};
    struct json_value v;
    if (json_scan(text, paths, 1, &v, NULL) != 0)
        return text;
    if (v.type == JSON_STRING)
        return json_text(v, a);
    return json_root(text).count == 0 ? STR_NULL : text;
}

void custom_input_end(struct custom_input *c, struct buf *out, struct arena *scratch)
{
    if (c->state == INPUT_OTHER)
        put(out, other_input(buf_str(&c->held), scratch), scratch);
    if (c->state == INPUT_TEXT)
        put_half(c, out, scratch);
    c->state = INPUT_ENDED;
}

/* ---- whole answers */

struct str custom_tool_input(struct str arguments, struct arena *a)
{
    struct custom_input c = {0};
    struct buf out = {0};
    custom_input_take(&c, arguments, a, &out, a);
    custom_input_end(&c, &out, a);
    return buf_str(&out);
}

void custom_tool_answer(const struct chat_request *in, struct chat_answer *answer, struct arena *a)
{
    for (size_t i = 0; i < answer->n_choices; i++)
        for (size_t k = 0; k < answer->choices[i].n_parts; k++) {
            struct chat_part *p = &answer->choices[i].parts[k];
            const struct chat_tool *t =
                p->kind == PART_TOOL_CALL && !p->custom ? chat_tool(in, p->name) : NULL;
            if (!t || t->kind != TOOL_CUSTOM)
                continue;
            p->custom = true;
            p->text = custom_tool_input(p->arguments, a);
            p->arguments = STR_NULL;
        }
}

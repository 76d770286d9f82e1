/* A conversation as Claude takes it: instructions apart, turns that alternate and begin with the user's, the
 * results of tools in front of theirs, signed thinking in front of the assistant's, no empty texts. Run by
 * workers only. */
#include "anthropic_chat.h"

#include "base64.h"
#include "media_fetch.h"

#include <string.h>

#define FILLER "." /* stands where a turn must be and nothing is to be said */
#define JSON_LINE \
    "Answer with a single valid JSON object and nothing else: no words and no code fence around it."

static bool is_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\n' && s.p[i] != '\r' && s.p[i] != '\t')
            return false;
    return true;
}

static struct str without_end(struct str s)
{
    while (s.n > 0 && is_blank((struct str){s.p + s.n - 1, 1}))
        s.n--;
    return s;
}

static void put_text(struct anthropic_body *b, struct str text, struct str mark)
{
    if (is_blank(text))
        return;
    json_open(&b->w, '{');
    json_member_strz(&b->w, "type", "text");
    json_member_str(&b->w, "text", text);
    anthropic_put_mark(b, mark);
    json_close(&b->w, '}');
}

/* ---- images and documents */

/* "image/jpg; x=y" → "image/jpeg". What the bytes look like counts for more than what they are called. */
static struct str media_type(const struct chat_part *p)
{
    struct str mime = p->mime, seen = chat_media_type(p->data);
    const char *end = mime.n > 0 ? memchr(mime.p, ';', mime.n) : NULL;
    if (end)
        mime.n = (size_t)(end - mime.p);
    mime = str_trim(mime);
    if (seen.n > 0 &&
        (mime.n == 0 || str_starts(mime, STR("image/")) || str_eq(mime, STR("application/octet-stream"))))
        mime = seen;
    return str_ieq(mime, STR("image/jpg")) ? STR("image/jpeg") : mime;
}

/* The part with its bytes at hand where its URL holds them, or must not be left to the provider. */
static int at_hand(struct anthropic_body *b, struct chat_part *p)
{
    if (p->url.n == 0 || chat_data_url(p->url, &p->mime, &p->data)) {
        p->url = p->data.n > 0 ? STR_NULL : p->url;
        return 0;
    }
    if (!b->style->fetches_urls)
        return 0;
    if (media_fetch(b->c->r, p->url, &p->mime, &p->data, b->c->f) != 0)
        return -1;
    p->url = STR_NULL;
    return 0;
}

static bool is_image(struct str mime)
{
    return str_eq(mime, STR("image/png")) || str_eq(mime, STR("image/jpeg")) ||
           str_eq(mime, STR("image/gif")) || str_eq(mime, STR("image/webp"));
}

static bool is_text(struct str mime)
{
    static const struct str others[] = {STR("application/json"), STR("application/xml"),
                                        STR("application/yaml"), STR("application/x-yaml"),
                                        STR("application/javascript")};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (str_ieq(mime, others[i]))
            return true;
    return str_starts(mime, STR("text/"));
}

static void put_source(struct anthropic_body *b, const char *type, const char *member, struct str mime,
                       struct str value)
{
    json_member_open(&b->w, "source", '{');
    json_member_strz(&b->w, "type", type);
    json_opt_str(&b->w, "media_type", mime);
    json_member_str(&b->w, member, value);
    json_close(&b->w, '}');
}

static void put_media(struct anthropic_body *b, const struct chat_part *p, const char *block,
                      const char *type, const char *member, struct str mime, struct str value)
{
    json_open(&b->w, '{');
    json_member_strz(&b->w, "type", block);
    put_source(b, type, member, mime, value);
    if (str_eq(str_of(block), STR("document")))
        json_opt_str(&b->w, "title", p->name);
    anthropic_put_mark(b, p->cache_control);
    json_close(&b->w, '}');
}

/* Base64 of a text, which documents take as a text. */
static int put_encoded_text(struct anthropic_body *b, const struct chat_part *p)
{
    struct str text;
    if (base64_decode(p->data, b->c->arena, &text) != 0)
        return chat_refuse(b->c, "messages", "A file's data is no base64.");
    if (!is_blank(text))
        put_media(b, p, "document", "text", "data", STR("text/plain"), text);
    return 0;
}

/* Files that another provider keeps are unknown to this one. */
static int put_kept_file(struct anthropic_body *b, const struct chat_part *p, const char *block)
{
    if (b->c->r->match.dialect != DIALECT_ANTHROPIC || b->style->fetches_urls)
        return chat_refuse(b->c, "messages",
                           "A file that was uploaded elsewhere (" STR_FMT ") can't be read by this provider: "
                           "send its data.",
                           STR_ARG(p->file_id));
    put_media(b, p, block, "file", "file_id", STR_NULL, p->file_id);
    return 0;
}

static int put_bytes(struct anthropic_body *b, const struct chat_part *p)
{
    struct str mime = media_type(p);
    if (is_image(mime))
        put_media(b, p, "image", "base64", "data", mime, p->data);
    else if (str_eq(mime, STR("application/pdf")))
        put_media(b, p, "document", "base64", "data", mime, p->data);
    else if (is_text(mime))
        return put_encoded_text(b, p);
    else
        return chat_refuse(
            b->c, "messages",
            "Claude takes images (PNG, JPEG, GIF, WebP), PDF and text, but nothing of type \"" STR_FMT "\".",
            STR_ARG(mime));
    return 0;
}

static int put_image_or_file(struct anthropic_body *b, const struct chat_part *given)
{
    struct chat_part p = *given;
    const char *block = p.kind == PART_IMAGE ? "image" : "document";
    if (p.kind == PART_FILE && p.text.n > 0) {
        if (!is_blank(p.text))
            put_media(b, &p, block, "text", "data", STR("text/plain"), p.text);
        return 0;
    }
    if (at_hand(b, &p) != 0)
        return -1;
    if (p.data.n > 0)
        return put_bytes(b, &p);
    if (p.file_id.n > 0)
        return put_kept_file(b, &p, block);
    if (str_starts(p.url, STR("https://")) || str_starts(p.url, STR("http://"))) {
        put_media(b, &p, block, "url", "url", STR_NULL, p.url);
        return 0;
    }
    return chat_refuse(b->c, "messages", "An image or file is neither data nor an http(s) URL.");
}

/* ---- the user's turn */

static int put_result_content(struct anthropic_body *b, const struct chat_part *p)
{
    bool only_text = p->n_parts == 1 && p->parts[0].kind == PART_TEXT;
    if (p->n_parts == 0 || (only_text && is_blank(p->parts[0].text))) {
        if (p->is_error) /* which must not be without words */
            json_member_strz(&b->w, "content", "error");
        return 0;
    }
    if (only_text) {
        json_member_str(&b->w, "content", p->parts[0].text);
        return 0;
    }
    json_member_open(&b->w, "content", '[');
    for (size_t i = 0; i < p->n_parts; i++) {
        struct chat_part inner = p->parts[i];
        inner.cache_control = STR_NULL; /* the whole result carries it */
        if (inner.kind == PART_TEXT)
            put_text(b, inner.text, STR_NULL);
        else if (inner.kind != PART_IMAGE && inner.kind != PART_FILE)
            return chat_refuse(b->c, "messages", "A tool's result may hold text, images and documents only.");
        else if (put_image_or_file(b, &inner) != 0)
            return -1;
    }
    json_close(&b->w, ']');
    return 0;
}

static struct str mark_of(const struct chat_part *p)
{
    struct str mark = p->cache_control;
    for (size_t i = 0; p->kind == PART_TOOL_RESULT && mark.n == 0 && i < p->n_parts; i++)
        mark = p->parts[i].cache_control;
    return mark;
}

static int put_result(struct anthropic_body *b, const struct chat_part *p)
{
    json_open(&b->w, '{');
    json_member_strz(&b->w, "type", "tool_result");
    json_member_str(&b->w, "tool_use_id", anthropic_tool_name(p->id, b->c->arena));
    if (put_result_content(b, p) != 0)
        return -1;
    if (p->is_error)
        json_member_bool(&b->w, "is_error", true);
    anthropic_put_mark(b, mark_of(p));
    json_close(&b->w, '}');
    return 0;
}

static int put_user_part(struct anthropic_body *b, const struct chat_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
        put_text(b, p->text, p->cache_control);
        return 0;
    case PART_IMAGE:
    case PART_FILE:
        return put_image_or_file(b, p);
    case PART_AUDIO:
        return chat_refuse(b->c, "messages", "Claude takes no audio.");
    default:
        return 0; /* results stand in front already */
    }
}

/* Instructions amid the conversation, for models that take none there. */
static void put_instruction(struct anthropic_body *b, const struct chat_message *m)
{
    struct arena *a = b->c->arena;
    struct str text = chat_text(m->parts, m->n_parts, STR("\n"), a);
    if (!is_blank(text))
        put_text(b, arena_printf(a, "<system>\n" STR_FMT "\n</system>", STR_ARG(text)), STR_NULL);
}

static int put_user_content(struct anthropic_body *b, const struct chat_message *m, size_t n,
                            bool instructions)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; m[i].role == CHAT_USER && k < m[i].n_parts; k++)
            if (m[i].parts[k].kind == PART_TOOL_RESULT && put_result(b, &m[i].parts[k]) != 0)
                return -1;
    for (size_t i = 0; i < n; i++) {
        if (m[i].role == CHAT_SYSTEM && instructions)
            put_instruction(b, &m[i]);
        for (size_t k = 0; m[i].role == CHAT_USER && k < m[i].n_parts; k++)
            if (put_user_part(b, &m[i].parts[k]) != 0)
                return -1;
    }
    if (!b->w.comma)
        put_text(b, STR(FILLER), STR_NULL);
    return 0;
}

static void open_turn(struct anthropic_body *b, const char *role)
{
    json_open(&b->w, '{');
    json_member_strz(&b->w, "role", role);
    json_member_open(&b->w, "content", '[');
}

static void close_turn(struct anthropic_body *b)
{
    json_close(&b->w, ']');
    json_close(&b->w, '}');
}

static void put_system_turn(struct anthropic_body *b, const struct chat_message *m, size_t n)
{
    open_turn(b, "system");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; m[i].role == CHAT_SYSTEM && k < m[i].n_parts; k++)
            put_text(b, m[i].parts[k].text, STR_NULL);
    close_turn(b);
}

/* The messages m[0..n), all of them the user's or instructions. */
static int put_user(struct anthropic_body *b, const struct chat_message *m, size_t n)
{
    bool user = false, instructions = false;
    for (size_t i = 0; i < n; i++) {
        user |= m[i].role == CHAT_USER;
        instructions |= m[i].role == CHAT_SYSTEM &&
                        !is_blank(chat_text(m[i].parts, m[i].n_parts, STR("\n"), b->c->arena));
    }
    bool apart =
        b->model.system_turns && user && instructions; /* such a turn must follow one of the user's */
    open_turn(b, "user");
    if (put_user_content(b, m, n, !apart) != 0)
        return -1;
    close_turn(b);
    if (apart)
        put_system_turn(b, m, n);
    return 0;
}

/* ---- the assistant's turn */

/* Thinking that Claude can check. */
static bool is_signed(const struct chat_part *p)
{
    if (p->signer != SIGNER_ANTHROPIC)
        return false;
    return (p->kind == PART_THINKING && p->signature.n > 0) || (p->kind == PART_REDACTED && p->data.n > 0);
}

static bool is_said(const struct chat_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        return !is_blank(p->text);
    case PART_THINKING:
    case PART_REDACTED:
        return is_signed(p);
    default:
        return true;
    }
}

static void put_thinking(struct anthropic_body *b, const struct chat_part *p)
{
    json_open(&b->w, '{');
    if (p->kind == PART_REDACTED) {
        json_member_strz(&b->w, "type", "redacted_thinking");
        json_member_str(&b->w, "data", p->data);
    } else {
        json_member_strz(&b->w, "type", "thinking");
        json_member_str(&b->w, "thinking", p->text);
        json_member_str(&b->w, "signature", p->signature);
    }
    json_close(&b->w, '}');
}

static void put_call(struct anthropic_body *b, const struct chat_part *p)
{
    struct arena *a = b->c->arena;
    json_open(&b->w, '{');
    json_member_strz(&b->w, "type", "tool_use");
    json_member_str(&b->w, "id", anthropic_tool_name(p->id, a));
    json_member_str(&b->w, "name", anthropic_tool_name(p->name, a));
    json_member_raw(&b->w, "input", chat_arguments(p->arguments, a));
    anthropic_put_mark(b, p->cache_control);
    json_close(&b->w, '}');
}

static int put_assistant_part(struct anthropic_body *b, const struct chat_part *p, bool last)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        put_text(b, last ? without_end(p->text) : p->text, p->cache_control);
        return 0;
    case PART_TOOL_CALL:
        put_call(b, p);
        return 0;
    case PART_THINKING:
    case PART_REDACTED:
        put_thinking(b, p);
        return 0;
    default:
        return chat_refuse(b->c, "messages",
                           "Claude takes no images, files or audio in an assistant's turn.");
    }
}

/* What is to be written of m[0..n), thinking in front where none of it stands there already: gathered in *p.
 * Returns how many. */
static size_t gather(struct anthropic_body *b, const struct chat_message *m, size_t n,
                     const struct chat_part ***p)
{
    size_t total = 0, kept = 0;
    const struct chat_part *first = NULL;
    for (size_t i = 0; i < n; i++)
        total += m[i].n_parts;
    *p = arena_alloc(b->c->arena, (total + 1) * sizeof(**p));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m[i].n_parts && !first; k++)
            if (is_said(&m[i].parts[k]))
                first = &m[i].parts[k];
    bool sort = first && !is_signed(first);
    for (int pass = sort ? 0 : 1; pass < 2; pass++)
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < m[i].n_parts; k++) {
                const struct chat_part *part = &m[i].parts[k];
                bool now = !sort || is_signed(part) == (pass == 0);
                if (is_said(part) && now)
                    (*p)[kept++] = part;
            }
    return kept;
}

/* last: nothing follows, so that the model goes on from here. */
static int put_assistant(struct anthropic_body *b, const struct chat_message *m, size_t n, bool last)
{
    const struct chat_part **p;
    size_t kept = gather(b, m, n, &p);
    if (kept == 0)
        return 0;
    open_turn(b, "assistant");
    for (size_t i = 0; i < kept; i++)
        if (put_assistant_part(b, p[i], last && i + 1 == kept) != 0)
            return -1;
    close_turn(b);
    return 0;
}

/* ---- all of it */

static size_t leading_instructions(const struct chat_request *in)
{
    size_t n = 0;
    while (n < in->n_messages && in->messages[n].role == CHAT_SYSTEM)
        n++;
    return n;
}

static int put_system(struct anthropic_body *b, size_t n)
{
    const struct chat_request *in = b->c->in;
    bool some = in->format == FORMAT_JSON;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < in->messages[i].n_parts; k++) {
            if (in->messages[i].parts[k].kind != PART_TEXT)
                return chat_refuse(b->c, "messages", "Claude takes text only as instructions.");
            some |= !is_blank(in->messages[i].parts[k].text);
        }
    if (!some)
        return 0;
    json_member_open(&b->w, "system", '[');
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < in->messages[i].n_parts; k++)
            put_text(b, in->messages[i].parts[k].text, in->messages[i].parts[k].cache_control);
    if (in->format == FORMAT_JSON)
        put_text(b, STR(JSON_LINE), STR_NULL);
    json_close(&b->w, ']');
    return 0;
}

static void put_filler(struct anthropic_body *b)
{
    open_turn(b, "user");
    put_text(b, STR(FILLER), STR_NULL);
    close_turn(b);
}

/* The assistant's, with something in it that is told. A turn of unsigned thinking alone is none. */
static bool is_assistants(const struct chat_message *m)
{
    for (size_t i = 0; m->role == CHAT_ASSISTANT && i < m->n_parts; i++)
        if (is_said(&m->parts[i]))
            return true;
    return false;
}

int anthropic_put_turns(struct anthropic_body *b)
{
    const struct chat_request *in = b->c->in;
    size_t at = leading_instructions(in), end;
    if (put_system(b, at) != 0)
        return -1;
    json_member_open(&b->w, "messages", '[');
    if (at == in->n_messages || is_assistants(&in->messages[at]))
        put_filler(b);
    for (; at < in->n_messages; at = end) {
        const struct chat_message *m = &in->messages[at];
        bool assistant = is_assistants(m);
        for (end = at + 1; end < in->n_messages && is_assistants(&in->messages[end]) == assistant;)
            end++;
        int rc = assistant ? put_assistant(b, m, end - at, end == in->n_messages) : put_user(b, m, end - at);
        if (rc != 0)
            return -1;
    }
    json_close(&b->w, ']');
    return 0;
}

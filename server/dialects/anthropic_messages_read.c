/* A request in Anthropic's Messages dialect, in the neutral form. Run by workers.
 *
 * It is checked as Anthropic would check it, and what is wrong is named by its place
 * ("messages.0.content.1.type: …"). Tools that Anthropic runs itself, containers and MCP servers exist
 * nowhere else: refused. What such tools left in the conversation is passed over and named. */
#include "anthropic_messages.h"

#include "json_string.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

struct reading {
    struct request *r;
    struct arena *a;
    struct chat_request *out;
    struct failure *f;
};

/* ---- where something is wrong */

/* A step on the way to a value; on the stack of who reads it. */
struct place {
    const struct place *up; /* NULL: the body */
    const char *name;       /* NULL: an element */
    size_t index;
};

enum { MAX_PLACE = 160, MAX_NAMED = 64 /* kinds of things that are passed over */ };

static void name_place(const struct place *p, char *text, size_t size)
{
    size_t n = 0;
    text[0] = '\0';
    if (!p)
        return;
    name_place(p->up, text, size);
    n = strlen(text);
    if (n > 0 && n + 1 < size)
        text[n++] = '.';
    if (p->name)
        snprintf(text + n, size - n, "%s", p->name);
    else
        snprintf(text + n, size - n, "%zu", p->index);
}

/* -1, with "place.member: words" as the message. member may be NULL. */
__attribute__((format(printf, 4, 5))) static int wrong(struct reading *m, const struct place *at,
                                                       const char *member, const char *fmt, ...)
{
    char where[MAX_PLACE], words[256];
    struct place last = {at, member, 0};
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    name_place(member ? &last : at, where, sizeof(where));
    struct str param = arena_copy(m->a, str_of(where));
    *m->f = (struct failure){.status = 400,
                             .param = param.p,
                             .message = param.n > 0 ? arena_printf(m->a, "%s: %s", where, words)
                                                    : arena_copy(m->a, str_of(words))};
    return -1;
}

static const char *type_name(enum json_type t)
{
    switch (t) {
    case JSON_STRING:
        return "string";
    case JSON_ARRAY:
        return "list";
    case JSON_OBJECT:
        return "object";
    case JSON_NUMBER:
        return "number";
    default:
        return "boolean";
    }
}

static bool is_given(struct json_value v)
{
    return v.type != JSON_ABSENT && v.type != JSON_NULL;
}

/* 0: it is of that type. */
static int need(struct reading *m, const struct place *at, const char *member, struct json_value v,
                enum json_type type)
{
    if (v.type == type)
        return 0;
    if (v.type == JSON_ABSENT)
        return wrong(m, at, member, "Field required");
    return wrong(m, at, member, "Input should be a valid %s", type_name(type));
}

/* 0: of that type, or not given. */
static int may_be(struct reading *m, const struct place *at, const char *member, struct json_value v,
                  enum json_type type)
{
    return is_given(v) ? need(m, at, member, v, type) : 0;
}

/* An object's members by name. */
static int members(struct reading *m, const struct place *at, struct json_value object,
                   const char *const names[], size_t n, struct json_value out[])
{
    struct error err;
    if (need(m, at, NULL, object, JSON_OBJECT) != 0)
        return -1;
    return json_scan(object.raw, names, n, out, &err) == 0 ? 0 : wrong(m, at, NULL, "%s", err.text);
}

static bool word_is(struct json_value v, const char *word)
{
    return v.type == JSON_STRING && json_string_is((struct str){v.raw.p + 1, v.raw.n - 2}, str_of(word));
}

/* Names a kind of thing that is passed over, once. */
static void pass_over(struct reading *m, struct str name)
{
    if (m->out->n_extras >= MAX_NAMED)
        return;
    for (size_t i = 0; i < m->out->n_extras; i++)
        if (str_eq(m->out->extras[i].name, name))
            return;
    chat_add_extra(m->out, m->a, name);
}

/* ---- what blocks have in common */

struct parts {
    struct chat_part *p;
    size_t n;
};

static struct chat_part *add(struct reading *m, struct parts *to, enum chat_part_kind kind)
{
    return chat_add_part(&to->p, &to->n, m->a, kind);
}

static int read_mark(struct reading *m, const struct place *at, struct json_value mark, struct str *out)
{
    static const char *const names[] = {"type"};
    struct place here = {at, "cache_control", 0};
    struct json_value v[1];
    if (!is_given(mark))
        return 0;
    if (members(m, &here, mark, names, 1, v) != 0)
        return -1;
    if (!word_is(v[0], "ephemeral"))
        return wrong(m, &here, "type", "Input should be 'ephemeral'");
    *out = mark.raw;
    return 0;
}

/* Google's signature of a text or a call, in Google's own way of carrying it. */
static void take_google(struct reading *m, struct chat_part *p, struct json_value signature)
{
    p->signature = json_text(signature, m->a);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
}

#define GOOGLE_SIGNATURE "extra_content.google.thought_signature"

static int read_text(struct reading *m, const struct place *at, struct json_value block, struct parts *to)
{
    static const char *const names[] = {"text", "cache_control", GOOGLE_SIGNATURE};
    struct json_value v[3];
    if (members(m, at, block, names, 3, v) != 0 || need(m, at, "text", v[0], JSON_STRING) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_TEXT);
    p->text = json_text(v[0], m->a);
    take_google(m, p, v[2]);
    return read_mark(m, at, v[1], &p->cache_control);
}

/* ---- images and documents */

enum source_member { S_TYPE, S_MEDIA, S_DATA, S_URL, S_FILE, S_CONTENT, S_COUNT };

static int read_source(struct reading *m, const struct place *at, struct json_value source,
                       struct json_value v[S_COUNT])
{
    static const char *const names[] = {"type", "media_type", "data", "url", "file_id", "content"};
    return members(m, at, source, names, S_COUNT, v);
}

/* base64, url and file, which images and documents share. 1: none of them. */
static int read_common_source(struct reading *m, const struct place *at, struct json_value v[S_COUNT],
                              struct chat_part *p)
{
    if (word_is(v[S_TYPE], "base64")) {
        if (need(m, at, "data", v[S_DATA], JSON_STRING) != 0 ||
            need(m, at, "media_type", v[S_MEDIA], JSON_STRING) != 0)
            return -1;
        p->data = json_text(v[S_DATA], m->a);
        p->mime = json_text(v[S_MEDIA], m->a);
        return chat_base64(&p->data, m->a) ? 0 : wrong(m, at, "data", "Input should be valid base64");
    }
    if (word_is(v[S_TYPE], "url")) {
        if (need(m, at, "url", v[S_URL], JSON_STRING) != 0)
            return -1;
        p->url = json_text(v[S_URL], m->a);
        return p->url.n > 0 ? 0 : wrong(m, at, "url", "a URL cannot be empty");
    }
    if (word_is(v[S_TYPE], "file")) {
        p->file_id = json_text(v[S_FILE], m->a);
        return need(m, at, "file_id", v[S_FILE], JSON_STRING);
    }
    return 1;
}

static int read_image(struct reading *m, const struct place *at, struct json_value block, struct parts *to)
{
    static const char *const names[] = {"source", "cache_control"};
    struct place here = {at, "source", 0};
    struct json_value v[2], s[S_COUNT];
    if (members(m, at, block, names, 2, v) != 0 || need(m, at, "source", v[0], JSON_OBJECT) != 0 ||
        read_source(m, &here, v[0], s) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_IMAGE);
    int rc = read_common_source(m, &here, s, p);
    if (rc > 0)
        return wrong(m, &here, "type", "Input should be 'base64', 'url' or 'file'");
    return rc != 0 ? rc : read_mark(m, at, v[1], &p->cache_control);
}

static int read_blocks(struct reading *m, const struct place *at, struct json_value content, unsigned where,
                       struct parts *to);

enum where { IN_USER = 1, IN_ASSISTANT = 2, IN_SYSTEM = 4, IN_RESULT = 8, IN_DOCUMENT = 16 };

/* A document made of blocks: its texts as one, its images behind it. */
static int read_content_source(struct reading *m, const struct place *at, struct json_value content,
                               struct chat_part *p, struct parts *images)
{
    struct place here = {at, "content", 0};
    struct parts inner = {0};
    if (content.type == JSON_STRING) {
        p->text = json_text(content, m->a);
        return 0;
    }
    if (need(m, at, "content", content, JSON_ARRAY) != 0 ||
        read_blocks(m, &here, content, IN_DOCUMENT, &inner) != 0)
        return -1;
    p->text = chat_text(inner.p, inner.n, STR("\n"), m->a);
    for (size_t i = 0; i < inner.n; i++)
        if (inner.p[i].kind == PART_IMAGE)
            *add(m, images, PART_IMAGE) = inner.p[i];
    return 0;
}

static int read_document_source(struct reading *m, const struct place *at, struct json_value source,
                                struct chat_part *p, struct parts *images)
{
    struct json_value s[S_COUNT];
    if (read_source(m, at, source, s) != 0)
        return -1;
    if (word_is(s[S_TYPE], "text")) {
        p->mime = STR("text/plain");
        p->text = json_text(s[S_DATA], m->a);
        return need(m, at, "data", s[S_DATA], JSON_STRING);
    }
    if (word_is(s[S_TYPE], "content"))
        return read_content_source(m, at, s[S_CONTENT], p, images);
    int rc = read_common_source(m, at, s, p);
    return rc > 0 ? wrong(m, at, "type", "Input should be 'base64', 'text', 'content', 'url' or 'file'") : rc;
}

/* What says about the document what is not in it, as a text before it. */
static void add_context(struct reading *m, struct str title, struct str context, struct parts *to)
{
    if (context.n == 0)
        return;
    add(m, to, PART_TEXT)->text =
        title.n > 0 ? arena_printf(m->a, "About the document \"" STR_FMT "\": " STR_FMT, STR_ARG(title),
                                   STR_ARG(context))
                    : arena_printf(m->a, "About the document that follows: " STR_FMT, STR_ARG(context));
}

static int read_document(struct reading *m, const struct place *at, struct json_value block, struct parts *to)
{
    static const char *const names[] = {"source", "cache_control", "title", "context", "citations.enabled"};
    struct place here = {at, "source", 0};
    struct json_value v[5];
    struct chat_part p = {.kind = PART_FILE};
    struct parts images = {0};
    if (members(m, at, block, names, 5, v) != 0 || need(m, at, "source", v[0], JSON_OBJECT) != 0 ||
        may_be(m, at, "title", v[2], JSON_STRING) != 0 || may_be(m, at, "context", v[3], JSON_STRING) != 0 ||
        read_document_source(m, &here, v[0], &p, &images) != 0 ||
        read_mark(m, at, v[1], &p.cache_control) != 0)
        return -1;
    p.name = json_text(v[2], m->a);
    if (v[4].type == JSON_TRUE)
        pass_over(m, STR("citations"));
    add_context(m, p.name, json_text(v[3], m->a), to);
    if (p.text.n > 0 || p.data.n > 0 || p.url.n > 0 || p.file_id.n > 0)
        *add(m, to, PART_FILE) = p;
    for (size_t i = 0; i < images.n; i++)
        *add(m, to, PART_IMAGE) = images.p[i];
    return 0;
}

/* A piece of somebody's search: a text with its source in front. */
static int read_search_result(struct reading *m, const struct place *at, struct json_value block,
                              struct parts *to)
{
    static const char *const names[] = {"source", "title", "content", "cache_control", "citations.enabled"};
    struct place here = {at, "content", 0};
    struct json_value v[5];
    struct parts inner = {0};
    if (members(m, at, block, names, 5, v) != 0 || need(m, at, "source", v[0], JSON_STRING) != 0 ||
        need(m, at, "title", v[1], JSON_STRING) != 0 || need(m, at, "content", v[2], JSON_ARRAY) != 0 ||
        read_blocks(m, &here, v[2], IN_DOCUMENT, &inner) != 0)
        return -1;
    struct str title = json_text(v[1], m->a), source = json_text(v[0], m->a);
    struct str text = chat_text(inner.p, inner.n, STR("\n"), m->a);
    size_t max = title.n + source.n + text.n + 4;
    struct buf b = {.p = arena_alloc(m->a, max), .cap = max, .max = max};
    buf_add(&b, title);
    buf_add(&b, STR("\n"));
    buf_add(&b, source);
    buf_add(&b, STR("\n\n"));
    buf_add(&b, text);
    struct chat_part *p = add(m, to, PART_TEXT);
    p->text = buf_str(&b);
    if (v[4].type == JSON_TRUE)
        pass_over(m, STR("citations"));
    return read_mark(m, at, v[3], &p->cache_control);
}

/* ---- calls and their results */

static int read_tool_use(struct reading *m, const struct place *at, struct json_value block, struct parts *to)
{
    static const char *const names[] = {"id", "name", "input", "cache_control", GOOGLE_SIGNATURE};
    struct json_value v[5];
    if (members(m, at, block, names, 5, v) != 0 || need(m, at, "id", v[0], JSON_STRING) != 0 ||
        need(m, at, "name", v[1], JSON_STRING) != 0 || need(m, at, "input", v[2], JSON_OBJECT) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_TOOL_CALL);
    p->id = json_text(v[0], m->a);
    p->name = json_text(v[1], m->a);
    p->arguments = v[2].raw;
    take_google(m, p, v[4]);
    return read_mark(m, at, v[3], &p->cache_control);
}

static int read_tool_result(struct reading *m, const struct place *at, struct json_value block,
                            struct parts *to)
{
    static const char *const names[] = {"tool_use_id", "content", "is_error", "cache_control"};
    struct place here = {at, "content", 0};
    struct json_value v[4];
    struct parts inner = {0};
    if (members(m, at, block, names, 4, v) != 0 || need(m, at, "tool_use_id", v[0], JSON_STRING) != 0)
        return -1;
    if (is_given(v[2]) && v[2].type != JSON_TRUE && v[2].type != JSON_FALSE)
        return wrong(m, at, "is_error", "Input should be a valid boolean");
    if (v[1].type == JSON_STRING)
        add(m, &inner, PART_TEXT)->text = json_text(v[1], m->a);
    else if (may_be(m, at, "content", v[1], JSON_ARRAY) != 0 ||
             (v[1].type == JSON_ARRAY && read_blocks(m, &here, v[1], IN_RESULT, &inner) != 0))
        return -1;
    struct chat_part *p = add(m, to, PART_TOOL_RESULT);
    p->id = json_text(v[0], m->a);
    p->is_error = v[2].type == JSON_TRUE;
    p->parts = inner.p;
    p->n_parts = inner.n;
    return read_mark(m, at, v[3], &p->cache_control);
}

static int read_tool_reference(struct reading *m, const struct place *at, struct json_value block,
                               struct parts *to)
{
    static const char *const names[] = {"tool_name"};
    struct json_value v[1];
    if (members(m, at, block, names, 1, v) != 0 || need(m, at, "tool_name", v[0], JSON_STRING) != 0)
        return -1;
    add(m, to, PART_TEXT)->text = json_text(v[0], m->a);
    return 0;
}

/* ---- thinking, and what is only Anthropic's */

static int read_thinking(struct reading *m, const struct place *at, struct json_value block, struct parts *to)
{
    static const char *const names[] = {"thinking", "signature"};
    struct json_value v[2];
    if (members(m, at, block, names, 2, v) != 0 || need(m, at, "thinking", v[0], JSON_STRING) != 0 ||
        may_be(m, at, "signature", v[1], JSON_STRING) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_THINKING);
    p->text = json_text(v[0], m->a);
    p->signature = json_text(v[1], m->a);
    p->signer = anthropic_messages_signer(&p->signature);
    return 0;
}

static int read_redacted(struct reading *m, const struct place *at, struct json_value block, struct parts *to)
{
    static const char *const names[] = {"data"};
    struct json_value v[1];
    if (members(m, at, block, names, 1, v) != 0 || need(m, at, "data", v[0], JSON_STRING) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_REDACTED);
    p->data = json_text(v[0], m->a);
    p->signer = anthropic_messages_signer(&p->data);
    return 0;
}

/* A summary that stands for what was said before. */
static int read_compaction(struct reading *m, const struct place *at, struct json_value block,
                           struct parts *to)
{
    static const char *const names[] = {"content"};
    struct json_value v[1];
    if (members(m, at, block, names, 1, v) != 0)
        return -1;
    if (v[0].type == JSON_STRING)
        add(m, to, PART_TEXT)->text = json_text(v[0], m->a);
    else
        pass_over(m, STR("compaction"));
    return 0;
}

static int refuse_upload(struct reading *m, const struct place *at, struct json_value block, struct parts *to)
{
    (void)block;
    (void)to;
    return wrong(m, at, NULL, "a file in Anthropic's container can't be read by this model's provider");
}

static int refuse_tool_removal(struct reading *m, const struct place *at, struct json_value block,
                               struct parts *to)
{
    (void)block;
    (void)to;
    return wrong(m, at, NULL, "tools can't be taken away amid the conversation at this model's provider");
}

/* ---- blocks */

static const struct block_type {
    const char *type;
    unsigned where;
    int (*read)(struct reading *m, const struct place *at, struct json_value block, struct parts *to);
    /* NULL: passed over, and named */
} block_types[] = {
    {"text", IN_USER | IN_ASSISTANT | IN_SYSTEM | IN_RESULT | IN_DOCUMENT, read_text},
    {"image", IN_USER | IN_RESULT | IN_DOCUMENT, read_image},
    {"document", IN_USER | IN_RESULT, read_document},
    {"search_result", IN_USER | IN_RESULT, read_search_result},
    {"tool_use", IN_ASSISTANT, read_tool_use},
    {"tool_result", IN_USER, read_tool_result},
    {"tool_reference", IN_RESULT, read_tool_reference},
    {"thinking", IN_ASSISTANT, read_thinking},
    {"redacted_thinking", IN_ASSISTANT, read_redacted},
    {"compaction", IN_ASSISTANT, read_compaction},
    {"container_upload", IN_USER, refuse_upload},
    {"tool_addition", IN_SYSTEM, NULL}, /* of one of `tools`, which are all told from the start */
    {"tool_removal", IN_SYSTEM, refuse_tool_removal},
    {"server_tool_use", IN_ASSISTANT, NULL},
    {"web_search_tool_result", IN_ASSISTANT | IN_USER, NULL},
    {"web_fetch_tool_result", IN_ASSISTANT | IN_USER, NULL},
    {"code_execution_tool_result", IN_ASSISTANT | IN_USER, NULL},
    {"bash_code_execution_tool_result", IN_ASSISTANT | IN_USER, NULL},
    {"text_editor_code_execution_tool_result", IN_ASSISTANT | IN_USER, NULL},
    {"tool_search_tool_result", IN_ASSISTANT | IN_USER, NULL},
    {"advisor_tool_result", IN_ASSISTANT | IN_USER, NULL},
    {"mcp_tool_use", IN_ASSISTANT, NULL},
    {"mcp_tool_result", IN_ASSISTANT | IN_USER, NULL},
    {"fallback", IN_ASSISTANT, NULL},
};

static int read_block(struct reading *m, const struct place *at, struct json_value block, unsigned where,
                      struct parts *to)
{
    static const char *const names[] = {"type"};
    struct json_value type;
    if (members(m, at, block, names, 1, &type) != 0 || need(m, at, "type", type, JSON_STRING) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(block_types) / sizeof(block_types[0]); i++) {
        const struct block_type *t = &block_types[i];
        if (!(t->where & where) || !word_is(type, t->type))
            continue;
        if (t->read)
            return t->read(m, at, block, to);
        pass_over(m, str_of(t->type));
        return 0;
    }
    struct str word = json_text(type, m->a);
    return wrong(m, at, "type", "Input tag '%.*s' is not one that may stand here",
                 (int)(word.n < 64 ? word.n : 64), word.p ? word.p : "");
}

static int read_blocks(struct reading *m, const struct place *at, struct json_value content, unsigned where,
                       struct parts *to)
{
    struct json_value block;
    struct place here = {at, NULL, 0};
    for (size_t step = 0; json_next(content.raw, &step, NULL, &block) == 1; here.index++)
        if (read_block(m, &here, block, where, to) != 0)
            return -1;
    return 0;
}

/* A string, or blocks. */
static int read_content(struct reading *m, const struct place *at, struct json_value content, unsigned where,
                        struct parts *to)
{
    if (content.type == JSON_STRING) {
        add(m, to, PART_TEXT)->text = json_text(content, m->a);
        return 0;
    }
    if (content.type == JSON_ABSENT)
        return wrong(m, at, NULL, "Field required");
    if (content.type != JSON_ARRAY)
        return wrong(m, at, NULL, "Input should be a valid string or list");
    return read_blocks(m, at, content, where, to);
}

/* ---- messages and instructions */

static int read_message(struct reading *m, const struct place *at, struct json_value message)
{
    static const char *const names[] = {"role", "content"};
    static const struct {
        const char *word;
        enum chat_role role;
        unsigned where;
    } roles[] = {{"user", CHAT_USER, IN_USER},
                 {"assistant", CHAT_ASSISTANT, IN_ASSISTANT},
                 {"system", CHAT_SYSTEM, IN_SYSTEM}};
    struct place here = {at, "content", 0};
    struct json_value v[2];
    struct parts parts = {0};
    size_t i = 0;
    if (members(m, at, message, names, 2, v) != 0 || need(m, at, "role", v[0], JSON_STRING) != 0)
        return -1;
    while (i < 3 && !word_is(v[0], roles[i].word))
        i++;
    if (i == 3)
        return wrong(m, at, "role", "Input should be 'user', 'assistant' or 'system'");
    if (read_content(m, &here, v[1], roles[i].where, &parts) != 0)
        return -1;
    struct chat_message *to = chat_add_message(m->out, m->a, roles[i].role);
    to->parts = parts.p;
    to->n_parts = parts.n;
    return 0;
}

static bool says_something(const struct chat_request *c)
{
    for (size_t i = 0; i < c->n_messages; i++)
        for (size_t k = 0; c->messages[i].role != CHAT_SYSTEM && k < c->messages[i].n_parts; k++)
            if (c->messages[i].parts[k].kind != PART_TEXT || c->messages[i].parts[k].text.n > 0)
                return true;
    return false;
}

static int read_messages(struct reading *m, struct json_value messages)
{
    struct place here = {NULL, "messages", 0}, at = {&here, NULL, 0};
    struct json_value message;
    if (need(m, NULL, "messages", messages, JSON_ARRAY) != 0)
        return -1;
    if (messages.count == 0)
        return wrong(m, &here, NULL, "at least one message is required");
    for (size_t step = 0; json_next(messages.raw, &step, NULL, &message) == 1; at.index++)
        if (read_message(m, &at, message) != 0)
            return -1;
    return says_something(m->out) ? 0 : wrong(m, &here, NULL, "messages must have non-empty content");
}

static int read_system(struct reading *m, struct json_value system)
{
    struct place here = {NULL, "system", 0};
    struct parts parts = {0};
    if (!is_given(system))
        return 0;
    if (read_content(m, &here, system, IN_SYSTEM, &parts) != 0)
        return -1;
    struct chat_message *to = chat_add_message(m->out, m->a, CHAT_SYSTEM);
    to->parts = parts.p;
    to->n_parts = parts.n;
    return 0;
}

/* ---- tools */

/* What Anthropic alone makes of a tool's definition. */
static void pass_over_details(struct reading *m, struct json_value tool)
{
    static const char *const known[] = {"type",         "name",   "description",
                                        "input_schema", "strict", "cache_control"};
    struct json_value v;
    struct str name;
    for (size_t at = 0; json_next(tool.raw, &at, &name, &v) == 1;) {
        size_t i = 0;
        while (i < 6 && !json_string_is(name, str_of(known[i])))
            i++;
        if (i == 6 && is_given(v) && v.type != JSON_FALSE)
            pass_over(m, arena_printf(m->a, "tools." STR_FMT, STR_ARG(name)));
    }
}

/* A tool that has a type. Anthropic's search among the tools only spares the model their definitions, which
 * here all are told at once; everything else is run, or known, by Anthropic alone. */
static int read_typed_tool(struct reading *m, const struct place *at, struct json_value type)
{
    struct str word = json_text(type, m->a);
    if (!str_starts(word, STR("tool_search_tool")))
        return wrong(m, at, "type",
                     "'%.*s' is a tool of Anthropic's own, which this model's provider does not have",
                     (int)(word.n < 64 ? word.n : 64), word.p ? word.p : "");
    pass_over(m, arena_printf(m->a, "tools." STR_FMT, STR_ARG(word)));
    return 0;
}

static int read_tool(struct reading *m, const struct place *at, struct json_value tool)
{
    static const char *const names[] = {"type",         "name",   "description",
                                        "input_schema", "strict", "cache_control"};
    struct json_value v[6];
    if (members(m, at, tool, names, 6, v) != 0 || may_be(m, at, "type", v[0], JSON_STRING) != 0)
        return -1;
    if (is_given(v[0]) && !word_is(v[0], "custom"))
        return read_typed_tool(m, at, v[0]);
    if (need(m, at, "name", v[1], JSON_STRING) != 0 || may_be(m, at, "description", v[2], JSON_STRING) != 0 ||
        need(m, at, "input_schema", v[3], JSON_OBJECT) != 0)
        return -1;
    struct chat_tool *t = chat_add_tool(m->out, m->a);
    t->name = json_text(v[1], m->a);
    t->description = json_text(v[2], m->a);
    t->schema = v[3].raw;
    t->strict = v[4].type == JSON_TRUE ? 1 : v[4].type == JSON_FALSE ? 0 : -1;
    if (t->name.n == 0)
        return wrong(m, at, "name", "a tool's name cannot be empty");
    pass_over_details(m, tool);
    return read_mark(m, at, v[5], &t->cache_control);
}

static int read_tools(struct reading *m, struct json_value tools)
{
    struct place here = {NULL, "tools", 0}, at = {&here, NULL, 0};
    struct json_value tool;
    if (!is_given(tools))
        return 0;
    if (need(m, NULL, "tools", tools, JSON_ARRAY) != 0)
        return -1;
    for (size_t step = 0; json_next(tools.raw, &step, NULL, &tool) == 1; at.index++)
        if (read_tool(m, &at, tool) != 0)
            return -1;
    return 0;
}

static int read_tool_choice(struct reading *m, struct json_value choice)
{
    static const char *const names[] = {"type", "name", "disable_parallel_tool_use"};
    struct place here = {NULL, "tool_choice", 0};
    struct chat_request *c = m->out;
    struct json_value v[3];
    if (!is_given(choice))
        return 0;
    if (members(m, &here, choice, names, 3, v) != 0)
        return -1;
    if (c->n_tools == 0)
        return word_is(v[0], "none") || word_is(v[0], "auto")
                   ? 0
                   : wrong(m, &here, NULL, "tool_choice may only be specified while providing tools");
    if (word_is(v[0], "auto"))
        c->tool_choice = TOOLS_AUTO;
    else if (word_is(v[0], "any"))
        c->tool_choice = TOOLS_REQUIRED;
    else if (word_is(v[0], "none"))
        c->tool_choice = TOOLS_NONE;
    else if (word_is(v[0], "tool"))
        c->tool_choice = TOOLS_NAMED;
    else
        return wrong(m, &here, "type", "Input should be 'auto', 'any', 'tool' or 'none'");
    c->tool_name = c->tool_choice == TOOLS_NAMED ? json_text(v[1], m->a) : STR_NULL;
    if (c->tool_choice == TOOLS_NAMED && !chat_tool(c, c->tool_name))
        return wrong(m, &here, "name", "this tool is not among the tools provided");
    if (v[2].type == JSON_TRUE) {
        c->parallel_tools = 0;
        chat_set_param(c, PARAM_PARALLEL_TOOLS, "tool_choice.disable_parallel_tool_use", v[2]);
    }
    return 0;
}

/* ---- thinking and the answer's form */

/* The beta in which a budget is that of all turns between two of the user's, and so may be more than an
 * answer's maximum. */
static bool thinks_between_calls(const struct reading *m)
{
    struct str betas;
    return http_find(m->r->head, "anthropic-beta", &betas) && betas.n > 0 &&
           memmem(betas.p, betas.n, "interleaved-thinking", strlen("interleaved-thinking"));
}

static int read_budget(struct reading *m, const struct place *at, struct json_value budget,
                       int64_t max_tokens)
{
    int64_t n;
    if (need(m, at, "budget_tokens", budget, JSON_NUMBER) != 0)
        return -1;
    if (json_int(budget, &n) != 0)
        return wrong(m, at, "budget_tokens", "Input should be a valid integer");
    if (n < 1024)
        return wrong(m, at, "budget_tokens", "Input should be greater than or equal to 1024");
    if ((n >= max_tokens && !thinks_between_calls(m)) || n > INT32_MAX)
        return wrong(m, NULL, NULL, "`max_tokens` must be greater than `thinking.budget_tokens`");
    m->out->thinking = THINKING_BUDGET;
    m->out->thinking_budget = (uint32_t)n;
    return 0;
}

static int read_thinking_mode(struct reading *m, struct json_value thinking, int64_t max_tokens)
{
    static const char *const names[] = {"type", "budget_tokens", "display"};
    struct place here = {NULL, "thinking", 0};
    struct json_value v[3];
    if (!is_given(thinking))
        return 0;
    if (members(m, &here, thinking, names, 3, v) != 0)
        return -1;
    chat_set_param(m->out, PARAM_THINKING, "thinking", thinking);
    if (word_is(v[2], "summarized"))
        m->out->thinking_shown = 1;
    else if (word_is(v[2], "omitted"))
        m->out->thinking_shown = 0;
    else if (is_given(v[2]))
        return wrong(m, &here, "display", "Input should be 'summarized' or 'omitted'");
    if (word_is(v[0], "enabled"))
        return read_budget(m, &here, v[1], max_tokens);
    if (word_is(v[0], "adaptive"))
        m->out->thinking = THINKING_ON;
    else if (word_is(v[0], "disabled"))
        m->out->thinking = THINKING_OFF;
    else
        return wrong(m, &here, "type", "Input should be 'enabled', 'adaptive' or 'disabled'");
    return 0;
}

static int read_effort(struct reading *m, const struct place *at, struct json_value effort)
{
    static const char *const words[] = {"low", "medium", "high", "xhigh", "max"};
    size_t i = 0;
    if (!is_given(effort))
        return 0;
    while (i < 5 && !word_is(effort, words[i]))
        i++;
    if (i == 5)
        return wrong(m, at, "effort", "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'");
    if (m->out->thinking == THINKING_OFF || m->out->thinking == THINKING_BUDGET) {
        pass_over(m, STR("output_config.effort"));
        return 0;
    }
    if (m->out->thinking == THINKING_DEFAULT)
        chat_set_param(m->out, PARAM_THINKING, "output_config.effort", effort);
    m->out->thinking = THINKING_EFFORT;
    m->out->thinking_effort = str_of(words[i]);
    return 0;
}

static bool is_closed(struct json_value schema);

/* Every schema in an object or array of them is closed. */
static bool all_closed(struct json_value list)
{
    struct json_value v;
    for (size_t at = 0;
         (list.type == JSON_OBJECT || list.type == JSON_ARRAY) && json_next(list.raw, &at, NULL, &v) == 1;)
        if (!is_closed(v))
            return false;
    return true;
}

/* Every object in it lists all its properties as required and takes no others: what OpenAI calls strict. */
static bool is_closed(struct json_value schema)
{
    struct json_value properties = json_member(schema, "properties");
    if (schema.type != JSON_OBJECT)
        return schema.type == JSON_ABSENT;
    if (json_member(schema, "additionalProperties").type != JSON_FALSE &&
        (properties.type == JSON_OBJECT || word_is(json_member(schema, "type"), "object")))
        return false;
    if (properties.type == JSON_OBJECT && json_member(schema, "required").count != properties.count)
        return false;
    return is_closed(json_member(schema, "items")) && all_closed(properties) &&
           all_closed(json_member(schema, "anyOf")) && all_closed(json_member(schema, "$defs"));
}

static int read_format(struct reading *m, const struct place *at, struct json_value format)
{
    static const char *const names[] = {"type", "schema"};
    struct json_value v[2];
    if (!is_given(format))
        return 0;
    if (members(m, at, format, names, 2, v) != 0)
        return -1;
    if (!word_is(v[0], "json_schema"))
        return wrong(m, at, "type", "Input should be 'json_schema'");
    if (need(m, at, "schema", v[1], JSON_OBJECT) != 0)
        return -1;
    m->out->format = FORMAT_SCHEMA;
    m->out->format_name = STR("structured_output");
    m->out->format_schema = v[1].raw;
    m->out->format_strict = is_closed(v[1]) ? 1 : -1;
    return 0;
}

static int read_output_config(struct reading *m, struct json_value config)
{
    static const char *const names[] = {"effort", "format", "task_budget"};
    struct place here = {NULL, "output_config", 0}, format = {&here, "format", 0};
    struct json_value v[3];
    if (!is_given(config))
        return 0;
    if (members(m, &here, config, names, 3, v) != 0)
        return -1;
    if (is_given(v[2]))
        pass_over(m, STR("output_config.task_budget"));
    return read_effort(m, &here, v[0]) != 0 ? -1 : read_format(m, &format, v[1]);
}

/* ---- parameters */

static int read_max_tokens(struct reading *m, struct json_value v, int64_t *out)
{
    *out = INT64_MAX;
    if (m->r->match.endpoint == EP_COUNT_TOKENS && !is_given(v))
        return 0;
    if (need(m, NULL, "max_tokens", v, JSON_NUMBER) != 0)
        return -1;
    if (json_int(v, out) != 0)
        return wrong(m, NULL, "max_tokens", "Input should be a valid integer");
    if (*out < 1)
        return wrong(m, NULL, "max_tokens", "Input should be greater than or equal to 1");
    chat_set_param(m->out, PARAM_MAX_TOKENS, "max_tokens", v);
    return 0;
}

static int read_fraction(struct reading *m, enum chat_param p, const char *name, struct json_value v)
{
    double d;
    if (!is_given(v))
        return 0;
    if (json_double(v, &d) != 0)
        return wrong(m, NULL, name, "Input should be a valid number");
    if (d < 0 || d > 1)
        return wrong(m, NULL, name, "Input should be between 0 and 1");
    chat_set_param(m->out, p, name, v);
    return 0;
}

static int read_top_k(struct reading *m, struct json_value v)
{
    int64_t n;
    if (!is_given(v))
        return 0;
    if (json_int(v, &n) != 0 || n < 0)
        return wrong(m, NULL, "top_k", "Input should be a valid integer, 0 or greater");
    chat_set_param(m->out, PARAM_TOP_K, "top_k", v);
    return 0;
}

static int read_stop(struct reading *m, struct json_value stop)
{
    struct place here = {NULL, "stop_sequences", 0}, at = {&here, NULL, 0};
    struct json_value v;
    if (!is_given(stop))
        return 0;
    if (need(m, NULL, "stop_sequences", stop, JSON_ARRAY) != 0)
        return -1;
    for (size_t step = 0; json_next(stop.raw, &step, NULL, &v) == 1; at.index++) {
        if (need(m, &at, NULL, v, JSON_STRING) != 0)
            return -1;
        chat_add_stop(m->out, m->a, json_text(v, m->a));
    }
    if (m->out->n_stop > 0)
        chat_set_param(m->out, PARAM_STOP, "stop_sequences", stop);
    return 0;
}

static int read_metadata(struct reading *m, struct json_value metadata)
{
    static const char *const names[] = {"user_id"};
    struct place here = {NULL, "metadata", 0};
    struct json_value v[1];
    if (!is_given(metadata))
        return 0;
    if (members(m, &here, metadata, names, 1, v) != 0 || may_be(m, &here, "user_id", v[0], JSON_STRING) != 0)
        return -1;
    chat_set_param(m->out, PARAM_USER, "metadata.user_id", v[0]);
    return 0;
}

static int read_service_tier(struct reading *m, struct json_value v)
{
    if (!is_given(v))
        return 0;
    if (word_is(v, "standard_only"))
        v.raw = STR("\"default\""); /* as the others call it */
    else if (!word_is(v, "auto"))
        return wrong(m, NULL, "service_tier", "Input should be 'auto' or 'standard_only'");
    chat_set_param(m->out, PARAM_SERVICE_TIER, "service_tier", v);
    return 0;
}

/* A mark on the whole request: on its last block that may have one. */
static int read_top_mark(struct reading *m, struct json_value v)
{
    struct str mark = STR_NULL;
    if (read_mark(m, NULL, v, &mark) != 0)
        return -1;
    if (mark.n > 0)
        chat_set_param(m->out, PARAM_CACHE_CONTROL, "cache_control", v);
    return 0;
}

/* What lives at Anthropic's only. */
static int refuse_hosted(struct reading *m, struct json_value container, struct json_value mcp_servers)
{
    if (is_given(container))
        return wrong(m, NULL, "container", "this model's provider has no containers");
    if (is_given(mcp_servers) && (mcp_servers.type != JSON_ARRAY || mcp_servers.count > 0))
        return wrong(m, NULL, "mcp_servers", "this model's provider does not connect to MCP servers");
    return 0;
}

/* A conversation kept at Anthropic's. Told in the way that SDKs understand: they go on without, and send the
 * whole conversation from then on. */
static int refuse_thread(struct reading *m, struct json_value thread)
{
    if (!is_given(thread))
        return 0;
    wrong(m, NULL, "thread", "this model's provider keeps no threads; send the full conversation without it");
    m->f->code = "thread_unsupported_request";
    return -1;
}

/* ---- all of it */

enum member {
    MODEL,
    STREAM,
    MESSAGES,
    SYSTEM,
    MAX_TOKENS,
    STOP_SEQUENCES,
    TEMPERATURE,
    TOP_P,
    TOP_K,
    METADATA,
    TOOLS,
    TOOL_CHOICE,
    THINKING,
    OUTPUT_CONFIG,
    OUTPUT_FORMAT,
    SERVICE_TIER,
    CACHE_CONTROL,
    CONTAINER,
    MCP_SERVERS,
    THREAD,
    MEMBERS
};

static const char *const member_names[MEMBERS] = {
    [MODEL] = "model",
    [STREAM] = "stream",
    [MESSAGES] = "messages",
    [SYSTEM] = "system",
    [MAX_TOKENS] = "max_tokens",
    [STOP_SEQUENCES] = "stop_sequences",
    [TEMPERATURE] = "temperature",
    [TOP_P] = "top_p",
    [TOP_K] = "top_k",
    [METADATA] = "metadata",
    [TOOLS] = "tools",
    [TOOL_CHOICE] = "tool_choice",
    [THINKING] = "thinking",
    [OUTPUT_CONFIG] = "output_config",
    [OUTPUT_FORMAT] = "output_format",
    [SERVICE_TIER] = "service_tier",
    [CACHE_CONTROL] = "cache_control",
    [CONTAINER] = "container",
    [MCP_SERVERS] = "mcp_servers",
    [THREAD] = "thread",
};

/* The body's members; those that are not known are named as such. */
static int split(struct reading *m, struct json_value v[MEMBERS])
{
    struct json_value value;
    struct str name;
    memset(v, 0, MEMBERS * sizeof(v[0]));
    for (size_t at = 0; json_next(m->r->body, &at, &name, &value) == 1;) {
        size_t i = 0;
        while (i < MEMBERS && !json_string_is(name, str_of(member_names[i])))
            i++;
        if (i < MEMBERS && v[i].type != JSON_ABSENT)
            return wrong(m, NULL, member_names[i], "may stand only once");
        if (i < MEMBERS)
            v[i] = value;
        else if (is_given(value))
            pass_over(m, arena_copy(m->a, name));
    }
    return 0;
}

static int read_parameters(struct reading *m, struct json_value v[MEMBERS])
{
    int64_t max_tokens;
    struct place format = {NULL, "output_format", 0};
    return read_max_tokens(m, v[MAX_TOKENS], &max_tokens) != 0 ||
                   read_thinking_mode(m, v[THINKING], max_tokens) != 0 ||
                   read_output_config(m, v[OUTPUT_CONFIG]) != 0 ||
                   read_format(m, &format, v[OUTPUT_FORMAT]) != 0 || read_stop(m, v[STOP_SEQUENCES]) != 0 ||
                   read_fraction(m, PARAM_TEMPERATURE, "temperature", v[TEMPERATURE]) != 0 ||
                   read_fraction(m, PARAM_TOP_P, "top_p", v[TOP_P]) != 0 || read_top_k(m, v[TOP_K]) != 0 ||
                   read_metadata(m, v[METADATA]) != 0 || read_service_tier(m, v[SERVICE_TIER]) != 0 ||
                   read_top_mark(m, v[CACHE_CONTROL]) != 0
               ? -1
               : 0;
}

int anthropic_messages_read(struct request *r, struct chat_request *out, struct failure *f)
{
    struct reading m = {.r = r, .a = r->arena, .out = out, .f = f};
    struct json_value v[MEMBERS];
    if (split(&m, v) != 0 || refuse_hosted(&m, v[CONTAINER], v[MCP_SERVERS]) != 0 ||
        refuse_thread(&m, v[THREAD]) != 0 || read_parameters(&m, v) != 0 || read_tools(&m, v[TOOLS]) != 0 ||
        read_tool_choice(&m, v[TOOL_CHOICE]) != 0 || read_system(&m, v[SYSTEM]) != 0 ||
        read_messages(&m, v[MESSAGES]) != 0)
        return -1;
    return 0;
}

/* What a message of the Messages dialect is made of: blocks, each kind by a function of its own
 * (block_types). Run by workers.
 *
 * What Anthropic's own tools left in the conversation is passed over and named. */
#include "anthropic_messages_read.h"

static struct chat_part *add(struct messages_reading *m, struct parts *to, enum chat_part_kind kind)
{
    return chat_add_part(&to->p, &to->n, m->a, kind);
}

int messages_read_mark(struct messages_reading *m, const struct place *at, struct json_value mark,
                       struct str *out)
{
    static const char *const names[] = {"type"};
    struct place here = {at, "cache_control", 0};
    struct json_value v[1];
    if (!is_given(mark))
        return 0;
    if (messages_members(m, &here, mark, names, 1, v) != 0)
        return -1;
    if (!word_is(v[0], "ephemeral"))
        return messages_wrong(m, &here, "type", "Input should be 'ephemeral'");
    *out = mark.raw;
    return 0;
}

/* Google's signature of a text or a call, in Google's own way of carrying it. */
static void take_google(struct messages_reading *m, struct chat_part *p, struct json_value signature)
{
    p->signature = json_text(signature, m->a);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
}

#define GOOGLE_SIGNATURE "extra_content.google.thought_signature"

static int read_text(struct messages_reading *m, const struct place *at, struct json_value block,
                     struct parts *to)
{
    static const char *const names[] = {"text", "cache_control", GOOGLE_SIGNATURE};
    struct json_value v[3];
    if (messages_members(m, at, block, names, 3, v) != 0 ||
        messages_need(m, at, "text", v[0], JSON_STRING) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_TEXT);
    p->text = json_text(v[0], m->a);
    take_google(m, p, v[2]);
    return messages_read_mark(m, at, v[1], &p->cache_control);
}

/* ---- images and documents */

enum source_member { S_TYPE, S_MEDIA, S_DATA, S_URL, S_FILE, S_CONTENT, S_COUNT };

static int read_source(struct messages_reading *m, const struct place *at, struct json_value source,
                       struct json_value v[S_COUNT])
{
    static const char *const names[] = {"type", "media_type", "data", "url", "file_id", "content"};
    return messages_members(m, at, source, names, S_COUNT, v);
}

/* base64, url and file, which images and documents share. 1: none of them. */
static int read_common_source(struct messages_reading *m, const struct place *at,
                              struct json_value v[S_COUNT], struct chat_part *p)
{
    if (word_is(v[S_TYPE], "base64")) {
        if (messages_need(m, at, "data", v[S_DATA], JSON_STRING) != 0 ||
            messages_need(m, at, "media_type", v[S_MEDIA], JSON_STRING) != 0)
            return -1;
        p->data = json_text(v[S_DATA], m->a);
        p->mime = json_text(v[S_MEDIA], m->a);
        return chat_base64(&p->data, m->a) ? 0
                                           : messages_wrong(m, at, "data", "Input should be valid base64");
    }
    if (word_is(v[S_TYPE], "url")) {
        if (messages_need(m, at, "url", v[S_URL], JSON_STRING) != 0)
            return -1;
        p->url = json_text(v[S_URL], m->a);
        return p->url.n > 0 ? 0 : messages_wrong(m, at, "url", "a URL cannot be empty");
    }
    if (word_is(v[S_TYPE], "file")) {
        p->file_id = json_text(v[S_FILE], m->a);
        return messages_need(m, at, "file_id", v[S_FILE], JSON_STRING);
    }
    return 1;
}

static int read_image(struct messages_reading *m, const struct place *at, struct json_value block,
                      struct parts *to)
{
    static const char *const names[] = {"source", "cache_control"};
    struct place here = {at, "source", 0};
    struct json_value v[2], s[S_COUNT];
    if (messages_members(m, at, block, names, 2, v) != 0 ||
        messages_need(m, at, "source", v[0], JSON_OBJECT) != 0 || read_source(m, &here, v[0], s) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_IMAGE);
    int rc = read_common_source(m, &here, s, p);
    if (rc > 0)
        return messages_wrong(m, &here, "type", "Input should be 'base64', 'url' or 'file'");
    return rc != 0 ? rc : messages_read_mark(m, at, v[1], &p->cache_control);
}

static int read_blocks(struct messages_reading *m, const struct place *at, struct json_value content,
                       unsigned where, struct parts *to);

/* A document made of blocks: its texts as one, its images behind it. */
static int read_content_source(struct messages_reading *m, const struct place *at, struct json_value content,
                               struct chat_part *p, struct parts *images)
{
    struct place here = {at, "content", 0};
    struct parts inner = {0};
    if (content.type == JSON_STRING) {
        p->text = json_text(content, m->a);
        return 0;
    }
    if (messages_need(m, at, "content", content, JSON_ARRAY) != 0 ||
        read_blocks(m, &here, content, IN_DOCUMENT, &inner) != 0)
        return -1;
    p->text = chat_text(inner.p, inner.n, STR("\n"), m->a);
    for (size_t i = 0; i < inner.n; i++)
        if (inner.p[i].kind == PART_IMAGE)
            *add(m, images, PART_IMAGE) = inner.p[i];
    return 0;
}

static int read_document_source(struct messages_reading *m, const struct place *at, struct json_value source,
                                struct chat_part *p, struct parts *images)
{
    struct json_value s[S_COUNT];
    if (read_source(m, at, source, s) != 0)
        return -1;
    if (word_is(s[S_TYPE], "text")) {
        p->mime = STR("text/plain");
        p->text = json_text(s[S_DATA], m->a);
        return messages_need(m, at, "data", s[S_DATA], JSON_STRING);
    }
    if (word_is(s[S_TYPE], "content"))
        return read_content_source(m, at, s[S_CONTENT], p, images);
    int rc = read_common_source(m, at, s, p);
    return rc > 0
               ? messages_wrong(m, at, "type", "Input should be 'base64', 'text', 'content', 'url' or 'file'")
               : rc;
}

/* What says about the document what is not in it, as a text before it. */
static void add_context(struct messages_reading *m, struct str title, struct str context, struct parts *to)
{
    if (context.n == 0)
        return;
    add(m, to, PART_TEXT)->text =
        title.n > 0 ? arena_printf(m->a, "About the document \"" STR_FMT "\": " STR_FMT, STR_ARG(title),
                                   STR_ARG(context))
                    : arena_printf(m->a, "About the document that follows: " STR_FMT, STR_ARG(context));
}

static int read_document(struct messages_reading *m, const struct place *at, struct json_value block,
                         struct parts *to)
{
    static const char *const names[] = {"source", "cache_control", "title", "context", "citations.enabled"};
    struct place here = {at, "source", 0};
    struct json_value v[5];
    struct chat_part p = {.kind = PART_FILE};
    struct parts images = {0};
    if (messages_members(m, at, block, names, 5, v) != 0 ||
        messages_need(m, at, "source", v[0], JSON_OBJECT) != 0 ||
        messages_may_be(m, at, "title", v[2], JSON_STRING) != 0 ||
        messages_may_be(m, at, "context", v[3], JSON_STRING) != 0 ||
        read_document_source(m, &here, v[0], &p, &images) != 0 ||
        messages_read_mark(m, at, v[1], &p.cache_control) != 0)
        return -1;
    p.name = json_text(v[2], m->a);
    if (v[4].type == JSON_TRUE)
        messages_pass_over(m, STR("citations"));
    add_context(m, p.name, json_text(v[3], m->a), to);
    if (p.text.n > 0 || p.data.n > 0 || p.url.n > 0 || p.file_id.n > 0)
        *add(m, to, PART_FILE) = p;
    for (size_t i = 0; i < images.n; i++)
        *add(m, to, PART_IMAGE) = images.p[i];
    return 0;
}

/* A piece of somebody's search: a text with its source in front. */
static int read_search_result(struct messages_reading *m, const struct place *at, struct json_value block,
                              struct parts *to)
{
    static const char *const names[] = {"source", "title", "content", "cache_control", "citations.enabled"};
    struct place here = {at, "content", 0};
    struct json_value v[5];
    struct parts inner = {0};
    if (messages_members(m, at, block, names, 5, v) != 0 ||
        messages_need(m, at, "source", v[0], JSON_STRING) != 0 ||
        messages_need(m, at, "title", v[1], JSON_STRING) != 0 ||
        messages_need(m, at, "content", v[2], JSON_ARRAY) != 0 ||
        read_blocks(m, &here, v[2], IN_DOCUMENT, &inner) != 0)
        return -1;
    struct str title = json_text(v[1], m->a), source = json_text(v[0], m->a);
    struct str text = chat_text(inner.p, inner.n, STR("\n"), m->a);
    size_t max = title.n + source.n + text.n + 4;
    struct buf b = arena_buf(m->a, max);
    buf_add(&b, title);
    buf_add(&b, STR("\n"));
    buf_add(&b, source);
    buf_add(&b, STR("\n\n"));
    buf_add(&b, text);
    struct chat_part *p = add(m, to, PART_TEXT);
    p->text = buf_str(&b);
    if (v[4].type == JSON_TRUE)
        messages_pass_over(m, STR("citations"));
    return messages_read_mark(m, at, v[3], &p->cache_control);
}

/* ---- calls and their results */

static int read_tool_use(struct messages_reading *m, const struct place *at, struct json_value block,
                         struct parts *to)
{
    static const char *const names[] = {"id", "name", "input", "cache_control", GOOGLE_SIGNATURE};
    struct json_value v[5];
    if (messages_members(m, at, block, names, 5, v) != 0 ||
        messages_need(m, at, "id", v[0], JSON_STRING) != 0 ||
        messages_need(m, at, "name", v[1], JSON_STRING) != 0 ||
        messages_need(m, at, "input", v[2], JSON_OBJECT) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_TOOL_CALL);
    p->id = json_text(v[0], m->a);
    p->name = json_text(v[1], m->a);
    p->arguments = v[2].raw;
    take_google(m, p, v[4]);
    return messages_read_mark(m, at, v[3], &p->cache_control);
}

static int read_tool_result(struct messages_reading *m, const struct place *at, struct json_value block,
                            struct parts *to)
{
    static const char *const names[] = {"tool_use_id", "content", "is_error", "cache_control"};
    struct place here = {at, "content", 0};
    struct json_value v[4];
    struct parts inner = {0};
    if (messages_members(m, at, block, names, 4, v) != 0 ||
        messages_need(m, at, "tool_use_id", v[0], JSON_STRING) != 0)
        return -1;
    if (is_given(v[2]) && v[2].type != JSON_TRUE && v[2].type != JSON_FALSE)
        return messages_wrong(m, at, "is_error", "Input should be a valid boolean");
    if (v[1].type == JSON_STRING)
        add(m, &inner, PART_TEXT)->text = json_text(v[1], m->a);
    else if (messages_may_be(m, at, "content", v[1], JSON_ARRAY) != 0 ||
             (v[1].type == JSON_ARRAY && read_blocks(m, &here, v[1], IN_RESULT, &inner) != 0))
        return -1;
    struct chat_part *p = add(m, to, PART_TOOL_RESULT);
    p->id = json_text(v[0], m->a);
    p->is_error = v[2].type == JSON_TRUE;
    p->parts = inner.p;
    p->n_parts = inner.n;
    return messages_read_mark(m, at, v[3], &p->cache_control);
}

static int read_tool_reference(struct messages_reading *m, const struct place *at, struct json_value block,
                               struct parts *to)
{
    static const char *const names[] = {"tool_name"};
    struct json_value v[1];
    if (messages_members(m, at, block, names, 1, v) != 0 ||
        messages_need(m, at, "tool_name", v[0], JSON_STRING) != 0)
        return -1;
    add(m, to, PART_TEXT)->text = json_text(v[0], m->a);
    messages_found_tool(m, json_text(v[0], m->a));
    return 0;
}

/* ---- thinking, and what is only Anthropic's */

static int read_thinking(struct messages_reading *m, const struct place *at, struct json_value block,
                         struct parts *to)
{
    static const char *const names[] = {"thinking", "signature"};
    struct json_value v[2];
    if (messages_members(m, at, block, names, 2, v) != 0 ||
        messages_need(m, at, "thinking", v[0], JSON_STRING) != 0 ||
        messages_may_be(m, at, "signature", v[1], JSON_STRING) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_THINKING);
    p->text = json_text(v[0], m->a);
    p->signature = json_text(v[1], m->a);
    p->signer = anthropic_messages_signer(&p->signature);
    return 0;
}

static int read_redacted(struct messages_reading *m, const struct place *at, struct json_value block,
                         struct parts *to)
{
    static const char *const names[] = {"data"};
    struct json_value v[1];
    if (messages_members(m, at, block, names, 1, v) != 0 ||
        messages_need(m, at, "data", v[0], JSON_STRING) != 0)
        return -1;
    struct chat_part *p = add(m, to, PART_REDACTED);
    p->data = json_text(v[0], m->a);
    p->signer = anthropic_messages_signer(&p->data);
    return 0;
}

/* A summary that stands for what was said before. */
static int read_compaction(struct messages_reading *m, const struct place *at, struct json_value block,
                           struct parts *to)
{
    static const char *const names[] = {"content"};
    struct json_value v[1];
    if (messages_members(m, at, block, names, 1, v) != 0)
        return -1;
    if (v[0].type == JSON_STRING)
        add(m, to, PART_TEXT)->text = json_text(v[0], m->a);
    else
        messages_pass_over(m, STR("compaction"));
    return 0;
}

static int refuse_upload(struct messages_reading *m, const struct place *at, struct json_value block,
                         struct parts *to)
{
    (void)block;
    (void)to;
    return messages_wrong(m, at, NULL,
                          "a file in Anthropic's container can't be read by this model's provider");
}

static int change_tool(struct messages_reading *m, const struct place *at, struct json_value block, bool add)
{
    static const char *const names[] = {"tool"};
    struct place here = {at, "tool", 0};
    struct json_value v[1];
    if (messages_members(m, at, block, names, 1, v) != 0 ||
        messages_need(m, at, "tool", v[0], JSON_OBJECT) != 0)
        return -1;
    return messages_change_tool(m, &here, v[0], add);
}

static int read_tool_addition(struct messages_reading *m, const struct place *at, struct json_value block,
                              struct parts *to)
{
    (void)to;
    return change_tool(m, at, block, true);
}

static int read_tool_removal(struct messages_reading *m, const struct place *at, struct json_value block,
                             struct parts *to)
{
    (void)to;
    return change_tool(m, at, block, false);
}

/* ---- blocks */

static const struct block_type {
    const char *type;
    unsigned where;
    int (*read)(struct messages_reading *m, const struct place *at, struct json_value block,
                struct parts *to);
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
    {"tool_addition", IN_SYSTEM, read_tool_addition},
    {"tool_removal", IN_SYSTEM, read_tool_removal},
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

static int read_block(struct messages_reading *m, const struct place *at, struct json_value block,
                      unsigned where, struct parts *to)
{
    static const char *const names[] = {"type"};
    struct json_value type;
    if (messages_members(m, at, block, names, 1, &type) != 0 ||
        messages_need(m, at, "type", type, JSON_STRING) != 0)
        return -1;
    for (size_t i = 0; i < sizeof(block_types) / sizeof(block_types[0]); i++) {
        const struct block_type *t = &block_types[i];
        if (!(t->where & where) || !word_is(type, t->type))
            continue;
        if (t->read)
            return t->read(m, at, block, to);
        messages_pass_over(m, str_of(t->type));
        return 0;
    }
    struct str word = json_text(type, m->a);
    return messages_wrong(m, at, "type", "Input tag '%.*s' is not one that may stand here",
                          (int)(word.n < 64 ? word.n : 64), word.p ? word.p : "");
}

static int read_blocks(struct messages_reading *m, const struct place *at, struct json_value content,
                       unsigned where, struct parts *to)
{
    struct json_value block;
    struct place here = {at, NULL, 0};
    for (size_t step = 0; json_next(content.raw, &step, NULL, &block) == 1; here.index++)
        if (read_block(m, &here, block, where, to) != 0)
            return -1;
    return 0;
}

/* A string, or blocks. */
int messages_read_content(struct messages_reading *m, const struct place *at, struct json_value content,
                          unsigned where, struct parts *to)
{
    if (content.type == JSON_STRING) {
        add(m, to, PART_TEXT)->text = json_text(content, m->a);
        return 0;
    }
    if (content.type == JSON_ABSENT)
        return messages_wrong(m, at, NULL, "Field required");
    if (content.type != JSON_ARRAY)
        return messages_wrong(m, at, NULL, "Input should be a valid string or list");
    return read_blocks(m, at, content, where, to);
}

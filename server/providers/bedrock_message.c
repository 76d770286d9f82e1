/* The conversation in Converse's form. Its blocks are told apart by their only member's name; turns alternate
 * and begin with the user; a text of nothing but blanks is refused there, so none is sent; a document needs a
 * text beside it and a name that no other one has. Run by workers.
 *
 * A turn is opened by its first block and closed by the first one of another role, so that a message of which
 * nothing is left makes none. */
#include "bedrock.h"

#include "base64.h"
#include "media_fetch.h"

#include <ctype.h>
#include <string.h>

/* Stands where Bedrock demands a text and the caller gave none. */
#define EMPTY_TEXT "."

static bool is_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr(" \t\r\n\v\f", s.p[i]) || !s.p[i])
            return false;
    return true;
}

/* ---- turns */

static void write_text(struct bedrock_body *b, struct str text)
{
    json_open(&b->w, '{');
    json_member_str(&b->w, "text", text);
    json_close(&b->w, '}');
    b->text = true;
    b->cacheable = true;
}

static void close_turn(struct bedrock_body *b)
{
    if (!b->open)
        return;
    if (b->document && !b->text)
        write_text(b, STR(EMPTY_TEXT));
    json_close(&b->w, ']');
    json_close(&b->w, '}');
    b->open = false;
}

static void begin_turn(struct bedrock_body *b, enum chat_role role)
{
    json_open(&b->w, '{');
    json_member_str(&b->w, "role", role == CHAT_USER ? STR("user") : STR("assistant"));
    json_member_open(&b->w, "content", '[');
    b->open = true;
    b->role = role;
    b->text = b->document = b->cacheable = false;
}

/* Sees to it that the next block stands in a turn of that role. */
static void in_turn(struct bedrock_body *b, enum chat_role role)
{
    if (b->open && b->role == role)
        return;
    bool first = !b->open;
    close_turn(b);
    if (first && role == CHAT_ASSISTANT) {
        begin_turn(b, CHAT_USER);
        write_text(b, STR(EMPTY_TEXT));
        close_turn(b);
    }
    begin_turn(b, role);
}

/* ---- cache points */

void bedrock_write_cache_point(struct bedrock_body *b, struct str cache_control)
{
    struct json_value ttl = json_member(json_root(cache_control), "ttl");
    json_open(&b->w, '{');
    json_member_open(&b->w, "cachePoint", '{');
    json_member_str(&b->w, "type", STR("default"));
    if (ttl.type == JSON_STRING && b->model.family == BEDROCK_ANTHROPIC)
        json_member_raw(&b->w, "ttl", ttl.raw);
    json_close(&b->w, '}');
    json_close(&b->w, '}');
}

/* Not behind thinking, nor behind a document that Bedrock reads itself: both are refused. */
static void mark(struct bedrock_body *b, struct str cache_control)
{
    if (cache_control.n > 0 && b->model.cache_points && b->cacheable)
        bedrock_write_cache_point(b, cache_control);
}

/* ---- media */

struct media {
    struct str kind;   /* image, document, video, audio */
    struct str format; /* Bedrock's word */
};

static const struct {
    struct str mime, ending, kind, format;
} media_types[] = {
    {STR("image/png"), STR(".png"), STR("image"), STR("png")},
    {STR("image/jpeg"), STR(".jpeg"), STR("image"), STR("jpeg")},
    {STR("image/jpg"), STR(".jpg"), STR("image"), STR("jpeg")},
    {STR("image/gif"), STR(".gif"), STR("image"), STR("gif")},
    {STR("image/webp"), STR(".webp"), STR("image"), STR("webp")},
    {STR("application/pdf"), STR(".pdf"), STR("document"), STR("pdf")},
    {STR("text/csv"), STR(".csv"), STR("document"), STR("csv")},
    {STR("application/msword"), STR(".doc"), STR("document"), STR("doc")},
    {STR("application/vnd.openxmlformats-officedocument.wordprocessingml.document"), STR(".docx"),
     STR("document"), STR("docx")},
    {STR("application/vnd.ms-excel"), STR(".xls"), STR("document"), STR("xls")},
    {STR("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), STR(".xlsx"), STR("document"),
     STR("xlsx")},
    {STR("text/html"), STR(".html"), STR("document"), STR("html")},
    {STR("text/markdown"), STR(".md"), STR("document"), STR("md")},
    {STR("text/plain"), STR(".txt"), STR("document"), STR("txt")},
    {STR("video/mp4"), STR(".mp4"), STR("video"), STR("mp4")},
    {STR("video/quicktime"), STR(".mov"), STR("video"), STR("mov")},
    {STR("video/x-matroska"), STR(".mkv"), STR("video"), STR("mkv")},
    {STR("video/webm"), STR(".webm"), STR("video"), STR("webm")},
    {STR("video/mpeg"), STR(".mpeg"), STR("video"), STR("mpeg")},
    {STR("audio/mpeg"), STR(".mp3"), STR("audio"), STR("mp3")},
    {STR("audio/mp3"), STR(".mp3"), STR("audio"), STR("mp3")},
    {STR("audio/wav"), STR(".wav"), STR("audio"), STR("wav")},
    {STR("audio/x-wav"), STR(".wav"), STR("audio"), STR("wav")},
    {STR("audio/ogg"), STR(".ogg"), STR("audio"), STR("ogg")},
    {STR("audio/flac"), STR(".flac"), STR("audio"), STR("flac")},
};

/* "image/png; charset=x" without its parameters. */
static struct str plain_mime(struct str mime)
{
    struct str head = mime;
    return str_split(&mime, ';', &head) ? str_trim(head) : head;
}

static bool ends_with(struct str name, struct str ending)
{
    return name.n >= ending.n && str_ieq((struct str){name.p + name.n - ending.n, ending.n}, ending);
}

static bool media_of(struct str mime, struct str name, struct media *m)
{
    mime = plain_mime(mime);
    for (int by_name = 0; by_name < 2; by_name++)
        for (size_t i = 0; i < sizeof(media_types) / sizeof(media_types[0]); i++)
            if (by_name ? ends_with(name, media_types[i].ending) : str_ieq(mime, media_types[i].mime)) {
                *m = (struct media){media_types[i].kind, media_types[i].format};
                return true;
            }
    if (!str_starts(mime, STR("text/")))
        return false;
    *m = (struct media){STR("document"), STR("txt")};
    return true;
}

/* What the bytes are tells better than what they are said to be. */
static bool media_of_data(struct str data, struct str mime, struct str name, struct media *m)
{
    struct str seen = chat_media_type(data);
    bool image = str_starts(seen, STR("image/")) || str_eq(seen, STR("application/pdf"));
    return (image && media_of(seen, STR_NULL, m)) || media_of(mime, name, m);
}

/* Letters, digits, single blanks, hyphens, brackets; without the ending; other than those before it. */
static void write_document_name(struct bedrock_body *b, struct str name)
{
    enum { KEPT = 100 };
    char kept[KEPT];
    size_t n = 0;
    for (size_t dot = name.n; dot-- > 1;)
        if (name.p[dot] == '.' && name.n - dot <= 6) {
            name.n = dot;
            break;
        }
    for (size_t i = 0; i < name.n && n < KEPT; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool takes = c < 0x80 && (isalnum(c) || strchr("-()[]", c)) && c;
        if (takes)
            kept[n++] = (char)c;
        else if (n > 0 && kept[n - 1] != ' ')
            kept[n++] = ' ';
    }
    while (n > 0 && kept[n - 1] == ' ')
        n--;
    unsigned number = ++b->documents;
    json_member_str(&b->w, "name",
                    n == 0        ? arena_printf(b->c->arena, "Document %u", number)
                    : number == 1 ? (struct str){kept, n}
                                  : arena_printf(b->c->arena, "%.*s (%u)", (int)n, kept, number));
}

static void write_media(struct bedrock_body *b, const struct media *m, struct str name, struct str data,
                        struct str s3)
{
    bool document = str_eq(m->kind, STR("document"));
    json_open(&b->w, '{');
    json_name_str(&b->w, m->kind);
    json_open(&b->w, '{');
    json_member_str(&b->w, "format", m->format);
    if (document)
        write_document_name(b, name);
    json_member_open(&b->w, "source", '{');
    if (s3.n > 0) {
        json_member_open(&b->w, "s3Location", '{');
        json_member_str(&b->w, "uri", s3);
        json_close(&b->w, '}');
    } else
        json_member_str(&b->w, "bytes", data);
    json_close(&b->w, '}');
    json_close(&b->w, '}');
    json_close(&b->w, '}');
    b->document |= document;
    b->cacheable = !document || str_eq(m->format, STR("pdf"));
}

static struct str base64_of(struct bedrock_body *b, struct str text)
{
    size_t max = (text.n + 2) / 3 * 4;
    struct buf out = {.p = arena_alloc(b->c->arena, max), .cap = max, .max = max};
    base64_put(&out, text);
    return buf_str(&out);
}

static const char *word_of(const struct chat_part *p)
{
    return p->kind == PART_IMAGE ? "image" : p->kind == PART_AUDIO ? "audio" : "file";
}

static int write_media_part(struct bedrock_body *b, const struct chat_part *p)
{
    struct media m;
    struct str data = p->data, mime = p->mime, name = p->name, s3 = STR_NULL;
    if (p->file_id.n > 0 && data.n == 0 && p->url.n == 0)
        return chat_refuse(b->c, NULL,
                           "Bedrock has no uploaded files: send the %s itself, or an s3:// address of it.",
                           word_of(p));
    if (p->text.n > 0 && data.n == 0) {
        data = base64_of(b, p->text);
        mime = mime.n > 0 ? mime : STR("text/plain");
    }
    if (data.n == 0 && str_starts(p->url, STR("s3://"))) {
        s3 = p->url;
        name = name.n > 0 || mime.n > 0 ? name : s3;
    } else if (data.n == 0 && media_fetch(b->c->r, p->url, &mime, &data, b->c->f) != 0)
        return -1;
    if (!media_of_data(data, mime, name.n > 0 ? name : p->url, &m))
        return chat_refuse(b->c, NULL, "Bedrock takes no %s of type \"" STR_FMT "\".", word_of(p),
                           STR_ARG(mime));
    write_media(b, &m, s3.n > 0 && str_eq(name, s3) ? STR_NULL : name, data, s3);
    return 0;
}

/* ---- thinking: only what Anthropic's models have signed goes back to them */

static void write_thinking(struct bedrock_body *b, const struct chat_part *p)
{
    bool reads = b->model.family == BEDROCK_ANTHROPIC || b->model.family == BEDROCK_UNKNOWN;
    bool redacted = p->kind == PART_REDACTED;
    if (!reads || p->signer != SIGNER_ANTHROPIC || (redacted ? p->data.n : p->signature.n) == 0)
        return;
    in_turn(b, CHAT_ASSISTANT);
    json_open(&b->w, '{');
    json_member_open(&b->w, "reasoningContent", '{');
    if (redacted)
        json_member_str(&b->w, "redactedContent", base64_of(b, p->data));
    else {
        json_member_open(&b->w, "reasoningText", '{');
        json_member_str(&b->w, "text", p->text);
        json_member_str(&b->w, "signature", p->signature);
        json_close(&b->w, '}');
    }
    json_close(&b->w, '}');
    json_close(&b->w, '}');
    b->cacheable = false;
}

/* ---- tools */

static void write_call(struct bedrock_body *b, const struct chat_part *p)
{
    struct arena *a = b->c->arena;
    in_turn(b, CHAT_ASSISTANT);
    json_open(&b->w, '{');
    json_member_open(&b->w, "toolUse", '{');
    json_member_str(&b->w, "toolUseId", bedrock_tool_id(p->id, b->model.family, a));
    json_member_str(&b->w, "name", bedrock_tool_name(p->name, a));
    json_member_raw(&b->w, "input", chat_arguments(p->arguments, a));
    json_close(&b->w, '}');
    json_close(&b->w, '}');
    b->cacheable = true;
}

static int write_result_content(struct bedrock_body *b, const struct chat_part *p)
{
    bool any = false;
    if (p->is_error && !b->model.result_status)
        write_text(b, STR("The tool has failed:"));
    for (size_t i = 0; i < p->n_parts; i++) {
        const struct chat_part *part = &p->parts[i];
        if (part->kind == PART_TEXT) {
            if (is_blank(part->text))
                continue;
            write_text(b, part->text);
        } else if (write_media_part(b, part) != 0)
            return -1;
        any = true;
    }
    if (!any)
        write_text(b, STR("(empty)"));
    return 0;
}

static int write_result(struct bedrock_body *b, const struct chat_part *p)
{
    in_turn(b, CHAT_USER);
    bool text = b->text, document = b->document; /* of the turn itself */
    json_open(&b->w, '{');
    json_member_open(&b->w, "toolResult", '{');
    json_member_str(&b->w, "toolUseId", bedrock_tool_id(p->id, b->model.family, b->c->arena));
    json_member_open(&b->w, "content", '[');
    if (write_result_content(b, p) != 0)
        return -1;
    json_close(&b->w, ']');
    if (b->model.result_status)
        json_member_str(&b->w, "status", p->is_error ? STR("error") : STR("success"));
    json_close(&b->w, '}');
    json_close(&b->w, '}');
    b->text = text;
    b->document = document;
    b->cacheable = true;
    return 0;
}

/* ---- messages */

static struct str without_end_blanks(struct str s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) && s.p[s.n - 1])
        s.n--;
    return s;
}

static int write_part(struct bedrock_body *b, enum chat_role role, const struct chat_part *p, bool last)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        if (is_blank(p->text))
            break;
        in_turn(b, role);
        write_text(b, last && role == CHAT_ASSISTANT ? without_end_blanks(p->text) : p->text);
        break;
    case PART_THINKING:
    case PART_REDACTED:
        write_thinking(b, p);
        return 0; /* no mark may stand behind it */
    case PART_TOOL_CALL:
        write_call(b, p);
        break;
    case PART_TOOL_RESULT:
        if (write_result(b, p) != 0)
            return -1;
        break;
    case PART_IMAGE:
    case PART_FILE:
    case PART_AUDIO:
        in_turn(b, role);
        if (write_media_part(b, p) != 0)
            return -1;
        break;
    }
    if (b->open && b->role == role)
        mark(b, p->cache_control);
    return 0;
}

/* Mistral's models take nothing behind results in the same turn. */
static void part_results(struct bedrock_body *b, const struct chat_message *m, size_t i)
{
    if (b->model.family != BEDROCK_MISTRAL || i == 0 || m->parts[i - 1].kind != PART_TOOL_RESULT ||
        m->parts[i].kind == PART_TOOL_RESULT || m->role != CHAT_USER)
        return;
    in_turn(b, CHAT_ASSISTANT);
    write_text(b, STR(EMPTY_TEXT));
}

static int write_message(struct bedrock_body *b, const struct chat_message *m, bool last)
{
    enum chat_role role = m->role == CHAT_ASSISTANT ? CHAT_ASSISTANT : CHAT_USER;
    struct str held = STR_NULL; /* a result's mark: nothing may stand between results */
    for (size_t i = 0; i < m->n_parts; i++) {
        struct chat_part p = m->parts[i];
        bool more = p.kind == PART_TOOL_RESULT && i + 1 < m->n_parts && p.kind == m->parts[i + 1].kind;
        if (p.cache_control.n == 0)
            p.cache_control = held;
        held = more ? p.cache_control : STR_NULL;
        if (more)
            p.cache_control = STR_NULL;
        part_results(b, m, i);
        if (write_part(b, role, &p, last && i + 1 == m->n_parts) != 0)
            return -1;
    }
    /* what the user left empty stays his turn; the model's is left out */
    if (role == CHAT_USER && !(b->open && b->role == CHAT_USER)) {
        in_turn(b, CHAT_USER);
        write_text(b, STR(EMPTY_TEXT));
    }
    return 0;
}

/* A conversation of nothing but instructions: they are what is asked. */
static bool only_system(const struct chat_request *in)
{
    for (size_t i = 0; i < in->n_messages; i++)
        if (in->messages[i].role != CHAT_SYSTEM)
            return false;
    return true;
}

int bedrock_write_messages(struct bedrock_body *b)
{
    const struct chat_request *in = b->c->in;
    bool all = only_system(in);
    json_member_open(&b->w, "messages", '[');
    for (size_t i = 0; i < in->n_messages; i++)
        if ((all || in->messages[i].role != CHAT_SYSTEM) &&
            write_message(b, &in->messages[i], i + 1 == in->n_messages) != 0)
            return -1;
    close_turn(b);
    json_close(&b->w, ']');
    return 0;
}

/* ---- system */

/* "system":[ before its first block. */
static void open_system(struct bedrock_body *b, bool *open)
{
    if (!*open)
        json_member_open(&b->w, "system", '[');
    *open = true;
}

static int write_system_message(struct bedrock_body *b, const struct chat_message *m, bool *open)
{
    for (size_t i = 0; i < m->n_parts; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != PART_TEXT)
            return chat_refuse(b->c, NULL, "Bedrock takes only text in system messages.");
        if (is_blank(p->text))
            continue;
        open_system(b, open);
        write_text(b, p->text);
        mark(b, p->cache_control);
    }
    return 0;
}

int bedrock_write_system(struct bedrock_body *b)
{
    const struct chat_request *in = b->c->in;
    bool open = false, all = only_system(in);
    for (size_t i = 0; i < in->n_messages && !all; i++)
        if (in->messages[i].role == CHAT_SYSTEM && write_system_message(b, &in->messages[i], &open) != 0)
            return -1;
    if (b->plan.asked_json) {
        open_system(b, &open);
        write_text(b,
                   STR("Answer with one JSON object and nothing else: no words around it, no code fence."));
    }
    if (b->plan.told_no_tools) {
        open_system(b, &open);
        write_text(b, STR("Answer this turn without calling any tool: the tools are listed only because the "
                          "conversation has used them before."));
    }
    if (open)
        json_close(&b->w, ']');
    return 0;
}

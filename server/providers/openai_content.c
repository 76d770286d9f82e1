/* The parts of a message's content: texts, images, audio and documents, as each vendor takes them. Run by
 * workers. */
#include "openai_request.h"

#include "media_fetch.h"

/* Without parameters; what is none at all is looked for in the bytes. */
static struct str mime_of(const struct chat_part *p, const char *otherwise)
{
    struct str mime = p->mime;
    const char *end = mime.n > 0 ? memchr(mime.p, ';', mime.n) : NULL;
    if (end)
        mime.n = (size_t)(end - mime.p);
    mime = str_trim(mime);
    if (openai_is_word(mime, "/.+-"))
        return mime;
    struct str found = chat_media_type(p->data);
    if (found.n > 0)
        return found;
    return p->mime.n > 0 ? STR("application/octet-stream") : str_of(otherwise);
}

/* "data:…;base64,…" as a value. Every reader has made sure that data is base64, which needs no escapes. */
static void put_data_url(struct writing *w, struct str mime, struct str data)
{
    json_raw(&w->j, STR("\"data:"));
    struct buf *out = w->j.out;
    buf_add(out, mime);
    buf_add(out, STR(";base64,"));
    buf_add(out, data);
    buf_add_byte(out, '"');
}

static void put_mark(struct writing *w, const struct chat_part *p)
{
    if ((w->p->flags & MARKS) && p->cache_control.n > 0) {
        json_member_raw(&w->j, "cache_control", p->cache_control);
        chat_take(w->c, PARAM_CACHE_CONTROL);
    }
}

void openai_put_text_part(struct writing *w, struct str text, const struct chat_part *marked)
{
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", "text");
    json_member_str(&w->j, "text", text);
    if (marked)
        put_mark(w, marked);
    json_close(&w->j, '}');
}

/* Bytes where the provider does not fetch. */
static int fetch(struct writing *w, struct chat_part *p)
{
    if (p->url.n == 0 || media_fetch(w->c->r, p->url, &p->mime, &p->data, w->c->f) == 0) {
        p->url = p->data.n > 0 ? STR_NULL : p->url;
        return 0;
    }
    return -1;
}

static int put_image(struct writing *w, const struct chat_part *part)
{
    struct chat_part p = *part;
    if (p.url.n == 0 && p.data.n == 0)
        return chat_refuse(w->c, NULL, "An image that is stored with another vendor can't be sent to %s.",
                           w->c->conf->name);
    if ((w->p->flags & NO_URLS) && fetch(w, &p) != 0)
        return -1;
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", "image_url");
    json_member_open(&w->j, "image_url", '{');
    json_name(&w->j, "url");
    if (p.data.n > 0)
        put_data_url(w, mime_of(&p, "image/png"), p.data);
    else
        json_str(&w->j, p.url);
    json_opt_str(&w->j, "detail", p.detail);
    json_close(&w->j, '}');
    put_mark(w, part);
    json_close(&w->j, '}');
    return 0;
}

static int put_audio(struct writing *w, const struct chat_part *part)
{
    struct chat_part p = *part;
    if (fetch(w, &p) != 0)
        return -1;
    bool wav = str_has(p.mime, "wav"), mp3 = str_has(p.mime, "mp3") || str_has(p.mime, "mpeg");
    if (p.data.n == 0 || (!wav && !mp3))
        return chat_refuse(w->c, NULL, "Audio for %s must be wav or mp3.", w->c->conf->name);
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", "input_audio");
    json_member_open(&w->j, "input_audio", '{');
    json_member_str(&w->j, "data", p.data);
    json_member_strz(&w->j, "format", wav ? "wav" : "mp3");
    json_close(&w->j, '}');
    json_close(&w->j, '}');
    return 0;
}

/* A plain text is told as one, under its name. */
static void put_text_file(struct writing *w, const struct chat_part *p)
{
    struct str text = p->text;
    if (p->name.n > 0)
        text = arena_printf(w->c->arena, STR_FMT ":\n", STR_ARG(p->name));
    if (p->name.n > 0 && p->text.n > 0) {
        struct buf b = arena_buf(w->c->arena, text.n + p->text.n);
        buf_add(&b, text);
        buf_add(&b, p->text);
        text = buf_str(&b);
    }
    openai_put_text_part(w, text, p);
}

static void put_openai_file(struct writing *w, const struct chat_part *p)
{
    struct str mime = mime_of(p, "application/pdf");
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", "file");
    json_member_open(&w->j, "file", '{');
    if (p->file_id.n > 0) {
        json_member_str(&w->j, "file_id", p->file_id);
    } else {
        json_member_str(&w->j, "filename",
                        p->name.n > 0                 ? p->name
                        : is(mime, "application/pdf") ? STR("document.pdf")
                                                      : STR("document"));
        json_name(&w->j, "file_data");
        put_data_url(w, mime, p->data);
    }
    json_close(&w->j, '}');
    put_mark(w, p);
    json_close(&w->j, '}');
}

/* Mistral: {"type":"document_url","document_url":URL}; Perplexity: {"type":"file_url","file_url":{"url":URL
 * or base64}}. */
static void put_url_file(struct writing *w, const struct chat_part *p)
{
    bool perplexity = w->p->documents == FILE_URL;
    const char *name = perplexity ? "file_url" : "document_url";
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", name);
    if (perplexity)
        json_member_open(&w->j, name, '{');
    json_name(&w->j, perplexity ? "url" : name);
    if (p->url.n > 0)
        json_str(&w->j, p->url);
    else if (perplexity)
        json_str(&w->j, p->data);
    else
        put_data_url(w, mime_of(p, "application/pdf"), p->data);
    if (perplexity)
        json_close(&w->j, '}');
    if (p->name.n > 0)
        json_member_str(&w->j, perplexity ? "file_name" : "document_name", p->name);
    json_close(&w->j, '}');
}

static int put_file(struct writing *w, const struct chat_part *part)
{
    struct chat_part p = *part;
    bool own_id = (w->p->flags & OFFICIAL) && w->c->r->dialect == DIALECT_OPENAI;
    if (p.text.n > 0 && p.data.n == 0)
        return put_text_file(w, &p), 0;
    if (w->p->documents == NO_FILES)
        return chat_refuse(w->c, NULL, "Documents can't be sent to %s.", w->c->conf->name);
    if (p.file_id.n > 0 && p.data.n == 0 && p.url.n == 0 && !own_id)
        return chat_refuse(w->c, NULL, "A file that is stored with another vendor can't be sent to %s.",
                           w->c->conf->name);
    if (w->p->documents != FILES) {
        put_url_file(w, &p);
        return 0;
    }
    if (fetch(w, &p) != 0)
        return -1;
    put_openai_file(w, &p);
    return 0;
}

int openai_put_part(struct writing *w, const struct chat_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
        if (p->text.n > 0)
            openai_put_text_part(w, p->text, p);
        return 0;
    case PART_IMAGE:
        return put_image(w, p);
    case PART_AUDIO:
        return put_audio(w, p);
    case PART_FILE:
        return put_file(w, p);
    default:
        return 0; /* told elsewhere */
    }
}

bool openai_is_content(const struct chat_part *p)
{
    return p->kind == PART_IMAGE || p->kind == PART_AUDIO || p->kind == PART_FILE ||
           (p->kind == PART_TEXT && p->text.n > 0);
}

/* All of the content is text that may as well be one string. */
static bool is_plain(const struct writing *w, const struct chat_part *parts, size_t n)
{
    size_t texts = 0;
    for (size_t i = 0; i < n; i++) {
        if (!openai_is_content(&parts[i]))
            continue;
        if (parts[i].kind != PART_TEXT || ((w->p->flags & MARKS) && parts[i].cache_control.n > 0))
            return false;
        texts++;
    }
    return texts <= 1 || !(w->p->flags & PARTS);
}

int openai_put_content(struct writing *w, const struct chat_part *parts, size_t n)
{
    json_name(&w->j, "content");
    if (is_plain(w, parts, n)) {
        json_str(&w->j, chat_text(parts, n, STR("\n"), w->c->arena));
        return 0;
    }
    json_open(&w->j, '[');
    for (size_t i = 0; i < n; i++)
        if (openai_put_part(w, &parts[i]) != 0)
            return -1;
    json_close(&w->j, ']');
    return 0;
}

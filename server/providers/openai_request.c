/* Makes an OpenAI-shaped chat request of the neutral form, for OpenAI and for everybody who speaks its
 * dialect. Run by workers.
 *
 * Who takes what is one line a vendor (profiles). A parameter that a vendor is known to refuse or to ignore
 * is not sent, and so named to the caller; what has another name or value there is translated; what would
 * change the meaning of the request (a document for somebody who reads none) is refused. */
#include "openai.h"

#include "hash.h"
#include "json_out.h"
#include "json_write.h"
#include "media_fetch.h"

#include <string.h>

/* ---- who takes what */

#define BIT(p) (UINT32_C(1) << PARAM_##p)

enum {
    BASIC = BIT(MAX_TOKENS) | BIT(TEMPERATURE) | BIT(TOP_P) | BIT(STOP) | BIT(PARALLEL_TOOLS) | BIT(THINKING),
    PENALTIES = BIT(PRESENCE_PENALTY) | BIT(FREQUENCY_PENALTY),
    LOGPROBS = BIT(LOGPROBS) | BIT(TOP_LOGPROBS),
    COMMON = BASIC | PENALTIES | LOGPROBS | BIT(SEED) | BIT(N) | BIT(LOGIT_BIAS) | BIT(USER),
    OPENAI = COMMON | BIT(METADATA) | BIT(SERVICE_TIER) | BIT(VERBOSITY) | BIT(CACHE_KEY) | BIT(PREDICTION),
};

enum thinking_style {
    THINK_EFFORT, /* reasoning_effort */
    THINK_HIGH,   /* reasoning_effort, but "high" and "none" are all there is (Mistral) */
    THINK_TYPE,   /* thinking: {"type":"enabled"|"disabled"} (DeepSeek, Moonshot) */
    THINK_OBJECT, /* reasoning: {"effort"|"max_tokens"|"enabled"} (OpenRouter) */
    THINK_ENABLE, /* enable_thinking, thinking_budget (Alibaba) */
};

enum documents { NO_FILES, FILES, DOCUMENT_URL /* Mistral */, FILE_URL /* Perplexity */ };

enum {
    OFFICIAL = 1 << 0, /* OpenAI's own models and servers, or who may stand for them */
    PARTS = 1 << 1,    /* several texts of a message may stay several */
    MARKS = 1 << 2,    /* cache_control */
    DETAILS = 1 << 3,  /* reasoning_details go back */
    PICTURES = 1 << 4, /* may be asked for pictures: modalities */
    NO_URLS = 1 << 5,  /* images as bytes only */
};

struct profile {
    const char *type;
    uint32_t params;
    enum thinking_style thinking;
    enum documents documents;
    unsigned flags;
};

static const struct profile profiles[] = {
    {"openai", OPENAI, THINK_EFFORT, FILES, OFFICIAL | PARTS},
    {"azure", OPENAI, THINK_EFFORT, FILES, OFFICIAL | PARTS},
    {"virtual", OPENAI, THINK_EFFORT, FILES, OFFICIAL | PARTS},
    {"mistral", BASIC | PENALTIES | BIT(SEED) | BIT(N) | BIT(PREDICTION) | BIT(CACHE_KEY), THINK_HIGH,
     DOCUMENT_URL, PARTS},
    {"ollama", BASIC | PENALTIES | LOGPROBS | BIT(SEED), THINK_EFFORT, NO_FILES, NO_URLS},
    {"deepseek", BASIC | PENALTIES | LOGPROBS, THINK_TYPE, NO_FILES, 0},
    {"xai", COMMON & ~BIT(LOGIT_BIAS), THINK_EFFORT, NO_FILES, 0},
    {"groq", BASIC | PENALTIES | BIT(SEED) | BIT(USER) | BIT(SERVICE_TIER), THINK_EFFORT, NO_FILES, 0},
    {"openrouter", COMMON | BIT(VERBOSITY), THINK_OBJECT, FILES, PARTS | MARKS | DETAILS | PICTURES},
    {"perplexity", (BASIC & ~BIT(PARALLEL_TOOLS)) | PENALTIES, THINK_EFFORT, FILE_URL, 0},
    {"cerebras", BASIC | LOGPROBS | BIT(SEED) | BIT(USER), THINK_EFFORT, NO_FILES, 0},
    {"moonshot", BASIC | PENALTIES | BIT(N) | BIT(CACHE_KEY), THINK_TYPE, NO_FILES, 0},
    {"alibaba", COMMON & ~BIT(LOGIT_BIAS), THINK_ENABLE, NO_FILES, PARTS | MARKS},
    {"github", COMMON, THINK_EFFORT, NO_FILES, PARTS},
    {NULL, COMMON, THINK_EFFORT, NO_FILES, 0}, /* everybody else */
};

struct writing {
    struct chat_call *c;
    const struct chat_request *in;
    const struct profile *p;
    unsigned deviations;
    bool reasons;        /* one of OpenAI's reasoning models */
    bool google;         /* Google's OpenAI-compatible door: it wants its signatures back */
    struct str preamble; /* a system message of ours; empty: none */
    const char *role;    /* of the last message written */
    struct json_writer j;
};

static const struct profile *profile_of(const char *type)
{
    const struct profile *p = profiles;
    while (p->type && strcmp(p->type, type) != 0)
        p++;
    return p;
}

/* ---- small things */

static bool is(struct str s, const char *z)
{
    return str_eq(s, str_of(z));
}

static bool contains(struct str text, const char *what)
{
    return text.n > 0 && memmem(text.p, text.n, what, strlen(what)) != NULL;
}

static struct buf arena_buf(struct arena *a, size_t max)
{
    return (struct buf){.p = arena_alloc(a, max), .cap = max, .max = max};
}

/* The first `digits` characters of a hash over text, of `alphabet`'s `base` ones. */
static void digest(struct str text, char *out, size_t digits, const char *alphabet, unsigned base)
{
    uint8_t hash[32];
    sha256(text.p, text.n, hash);
    for (size_t i = 0; i < digits; i++)
        out[i] = alphabet[hash[i] % base];
}

static bool is_word(struct str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool alnum = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
        if (!alnum && (!ch || !strchr(also, ch)))
            return false;
    }
    return s.n > 0;
}

enum { MAX_TOOL_NAME = 64, KEPT_OF_NAME = 55, MAX_CALL_ID = 40, MISTRAL_ID = 9 };

struct str openai_tool_name(struct arena *a, struct str name)
{
    if (name.n <= MAX_TOOL_NAME && is_word(name, "_-"))
        return name;
    size_t kept = name.n < KEPT_OF_NAME ? name.n : KEPT_OF_NAME;
    char *p = arena_alloc(a, MAX_TOOL_NAME);
    for (size_t i = 0; i < kept; i++)
        p[i] = is_word((struct str){name.p + i, 1}, "_-") ? name.p[i] : '_';
    p[kept] = '_';
    digest(name, p + kept + 1, 8, "0123456789abcdef", 16);
    return (struct str){p, kept + 9};
}

struct str openai_own_name(const struct chat_request *in, struct str got, struct arena *a)
{
    for (size_t i = 0; in && i < in->n_tools; i++) {
        struct str name = in->tools[i].name;
        if (name.n > MAX_TOOL_NAME || !is_word(name, "_-"))
            if (str_eq(openai_tool_name(a, name), got))
                return name;
    }
    return got;
}

struct str openai_call_id(struct arena *a, struct str id, bool mistral)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (mistral ? id.n == MISTRAL_ID && is_word(id, "") : id.n <= MAX_CALL_ID)
        return id;
    char *p = arena_alloc(a, 32);
    if (mistral) {
        digest(id, p, MISTRAL_ID, digits, 62);
        return (struct str){p, MISTRAL_ID};
    }
    memcpy(p, "call_", 5);
    digest(id, p + 5, 24, digits, 62);
    return (struct str){p, 29};
}

static struct str call_id(struct writing *w, struct str id)
{
    return openai_call_id(w->c->arena, id, w->deviations & PROVIDER_RANDOM_SEED);
}

/* ---- content */

/* Without parameters; what is none at all is looked for in the bytes. */
static struct str mime_of(const struct chat_part *p, const char *otherwise)
{
    struct str mime = p->mime;
    const char *end = mime.n > 0 ? memchr(mime.p, ';', mime.n) : NULL;
    if (end)
        mime.n = (size_t)(end - mime.p);
    mime = str_trim(mime);
    if (is_word(mime, "/.+-"))
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

static void put_text_part(struct writing *w, struct str text, const struct chat_part *marked)
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
    bool wav = contains(p.mime, "wav"), mp3 = contains(p.mime, "mp3") || contains(p.mime, "mpeg");
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
    put_text_part(w, text, p);
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

static int put_part(struct writing *w, const struct chat_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
        if (p->text.n > 0)
            put_text_part(w, p->text, p);
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

static bool is_content(const struct chat_part *p)
{
    return p->kind == PART_IMAGE || p->kind == PART_AUDIO || p->kind == PART_FILE ||
           (p->kind == PART_TEXT && p->text.n > 0);
}

/* All of the content is text that may as well be one string. */
static bool is_plain(const struct writing *w, const struct chat_part *parts, size_t n)
{
    size_t texts = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_content(&parts[i]))
            continue;
        if (parts[i].kind != PART_TEXT || ((w->p->flags & MARKS) && parts[i].cache_control.n > 0))
            return false;
        texts++;
    }
    return texts <= 1 || !(w->p->flags & PARTS);
}

static int put_content(struct writing *w, const struct chat_part *parts, size_t n)
{
    json_name(&w->j, "content");
    if (is_plain(w, parts, n)) {
        json_str(&w->j, chat_text(parts, n, STR("\n"), w->c->arena));
        return 0;
    }
    json_open(&w->j, '[');
    for (size_t i = 0; i < n; i++)
        if (put_part(w, &parts[i]) != 0)
            return -1;
    json_close(&w->j, ']');
    return 0;
}

/* ---- messages */

static void open_message(struct writing *w, const char *role)
{
    /* Mistral wants an assistant's word between a tool's result and a user's */
    if ((w->deviations & PROVIDER_RANDOM_SEED) && w->role && strcmp(w->role, "tool") == 0 &&
        strcmp(role, "user") == 0) {
        json_open(&w->j, '{');
        json_member_strz(&w->j, "role", "assistant");
        json_member_strz(&w->j, "content", "Understood.");
        json_close(&w->j, '}');
    }
    json_open(&w->j, '{');
    json_member_strz(&w->j, "role", role);
    w->role = role;
}

static void close_message(struct writing *w, const struct chat_message *m)
{
    if (m && (w->p->flags & OFFICIAL) && m->name.n > 0)
        json_member_str(&w->j, "name", m->name);
    json_close(&w->j, '}');
}

/* A tool's message is text; what else there is in it follows as a user's. */
static void put_result(struct writing *w, const struct chat_part *p)
{
    struct str text = chat_text(p->parts, p->n_parts, STR("\n"), w->c->arena);
    struct str prefix = p->is_error ? STR("Error: ") : STR("");
    bool more = false;
    for (size_t i = 0; i < p->n_parts; i++) {
        more |= p->parts[i].kind == PART_IMAGE || p->parts[i].kind == PART_AUDIO;
        if (p->parts[i].kind == PART_FILE)
            more = true;
    }
    struct str note = !more        ? STR("")
                      : text.n > 0 ? STR("\n(See what is attached below.)")
                                   : STR("(See what is attached below.)");
    struct buf b = arena_buf(w->c->arena, prefix.n + text.n + note.n + 1);
    buf_add(&b, prefix);
    buf_add(&b, text);
    buf_add(&b, note);
    open_message(w, "tool");
    json_member_str(&w->j, "tool_call_id", call_id(w, p->id));
    if (w->google && p->name.n > 0)
        json_member_str(&w->j, "name", p->name);
    json_member_str(&w->j, "content", buf_str(&b));
    close_message(w, NULL);
}

/* Images and files of results, each under its tool's name. */
static int put_attached(struct writing *w, const struct chat_part *result)
{
    bool named = false;
    for (size_t i = 0; i < result->n_parts; i++) {
        const struct chat_part *p = &result->parts[i];
        if (!is_content(p) || p->kind == PART_TEXT)
            continue;
        if (!named)
            put_text_part(w,
                          arena_printf(w->c->arena, "Attached to the result of " STR_FMT ":",
                                       STR_ARG(result->name.n > 0 ? result->name : STR("the tool"))),
                          NULL);
        named = true;
        if (put_part(w, p) != 0)
            return -1;
    }
    return 0;
}

static bool has_attached(const struct chat_message *m)
{
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == PART_TOOL_RESULT)
            for (size_t k = 0; k < m->parts[i].n_parts; k++)
                if (m->parts[i].parts[k].kind != PART_TEXT && is_content(&m->parts[i].parts[k]))
                    return true;
    return false;
}

static bool has_content(const struct chat_message *m)
{
    for (size_t i = 0; i < m->n_parts; i++)
        if (is_content(&m->parts[i]))
            return true;
    return false;
}

static int put_user_with_attached(struct writing *w, const struct chat_message *m)
{
    open_message(w, "user");
    json_member_open(&w->j, "content", '[');
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == PART_TOOL_RESULT ? put_attached(w, &m->parts[i]) != 0
                                                 : put_part(w, &m->parts[i]) != 0)
            return -1;
    json_close(&w->j, ']');
    close_message(w, m);
    return 0;
}

static int put_user(struct writing *w, const struct chat_message *m)
{
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == PART_TOOL_RESULT)
            put_result(w, &m->parts[i]);
    if (has_attached(m))
        return put_user_with_attached(w, m);
    if (!has_content(m))
        return 0;
    open_message(w, "user");
    if (put_content(w, m->parts, m->n_parts) != 0)
        return -1;
    close_message(w, m);
    return 0;
}

static void put_calls(struct writing *w, const struct chat_message *m)
{
    json_member_open(&w->j, "tool_calls", '[');
    for (size_t i = 0; i < m->n_parts; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != PART_TOOL_CALL)
            continue;
        json_open(&w->j, '{');
        json_member_str(&w->j, "id", call_id(w, p->id));
        json_member_strz(&w->j, "type", "function");
        json_member_open(&w->j, "function", '{');
        json_member_str(&w->j, "name", openai_tool_name(w->c->arena, p->name));
        json_member_str(&w->j, "arguments", chat_arguments(p->arguments, w->c->arena));
        json_close(&w->j, '}');
        if (w->google && p->signer == SIGNER_GOOGLE && p->signature.n > 0) {
            json_member_open(&w->j, "extra_content", '{');
            json_member_open(&w->j, "google", '{');
            json_member_str(&w->j, "thought_signature", p->signature);
            json_close(&w->j, '}');
            json_close(&w->j, '}');
        }
        json_close(&w->j, '}');
    }
    json_close(&w->j, ']');
}

static bool in_tool_loop(const struct writing *w, size_t at)
{
    for (size_t i = at + 1; i < w->in->n_messages; i++)
        if (w->in->messages[i].role == CHAT_USER && has_content(&w->in->messages[i]))
            return false;
    return true;
}

/* Plain thinking: DeepSeek wants it within a loop of tool calls, and refused it elsewhere for a time. */
static void put_reasoning(struct writing *w, const struct chat_message *m, size_t at)
{
    if (!(w->deviations & PROVIDER_REASONING_BACK) || !in_tool_loop(w, at))
        return;
    struct chat_part *texts = arena_alloc(w->c->arena, m->n_parts * sizeof(*texts) + 1);
    size_t n = 0;
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == PART_THINKING) {
            texts[n] = m->parts[i];
            texts[n++].kind = PART_TEXT;
        }
    json_opt_str(&w->j, "reasoning_content", chat_text(texts, n, STR(""), w->c->arena));
}

/* A piece of OpenRouter's that went to the client as redacted thinking, as it came. */
static bool is_detail(const struct chat_part *p)
{
    if (p->kind != PART_REDACTED || p->data.n == 0 || p->data.p[0] != '{' ||
        json_validate(p->data, NULL) != 0)
        return false;
    return str_starts(json_member(json_root(p->data), "type").raw, STR("\"reasoning."));
}

static void put_details(struct writing *w, const struct chat_message *m)
{
    bool any = false;
    for (size_t i = 0; i < m->n_parts && (w->p->flags & DETAILS); i++) {
        const struct chat_part *p = &m->parts[i];
        bool signed_text = p->kind == PART_THINKING && p->signer == SIGNER_ANTHROPIC && p->signature.n > 0;
        if (!signed_text && !is_detail(p))
            continue;
        if (!any)
            json_member_open(&w->j, "reasoning_details", '[');
        any = true;
        if (!signed_text) {
            json_raw(&w->j, p->data);
            continue;
        }
        json_open(&w->j, '{');
        json_member_strz(&w->j, "type", "reasoning.text");
        json_member_str(&w->j, "text", p->text);
        json_member_str(&w->j, "signature", p->signature);
        json_member_strz(&w->j, "format", "anthropic-claude-v1");
        json_close(&w->j, '}');
    }
    if (any)
        json_close(&w->j, ']');
}

/* OpenAI has a place for a refusal; to others it is what the assistant said. */
static void put_said(struct writing *w, const struct chat_message *m, bool calls)
{
    struct chat_part *texts = arena_alloc(w->c->arena, m->n_parts * sizeof(*texts) + 1);
    size_t n = 0;
    bool refused = false;
    for (size_t i = 0; i < m->n_parts; i++) {
        const struct chat_part *p = &m->parts[i];
        if (p->kind != PART_TEXT && p->kind != PART_REFUSAL)
            continue;
        if (p->kind == PART_REFUSAL && (w->p->flags & OFFICIAL)) {
            refused = true;
            continue;
        }
        texts[n] = *p;
        texts[n++].kind = PART_TEXT;
    }
    struct chat_message said = {.parts = texts, .n_parts = n};
    if (has_content(&said) || (!calls && !refused))
        put_content(w, texts, n);
    else
        json_member_null(&w->j, "content");
    for (size_t i = 0; refused && i < m->n_parts; i++)
        if (m->parts[i].kind == PART_REFUSAL) {
            json_member_str(&w->j, "refusal", m->parts[i].text);
            break;
        }
}

static bool shows_media(const struct chat_message *m)
{
    return chat_has(m->parts, m->n_parts, PART_IMAGE) || chat_has(m->parts, m->n_parts, PART_FILE) ||
           chat_has(m->parts, m->n_parts, PART_AUDIO);
}

static int put_assistant(struct writing *w, const struct chat_message *m, size_t at)
{
    bool calls = chat_has(m->parts, m->n_parts, PART_TOOL_CALL);
    bool said = false;
    if (shows_media(m))
        return chat_refuse(w->c, NULL, "%s takes no pictures, files or sound in an assistant's turn.",
                           w->c->conf->name);
    for (size_t i = 0; i < m->n_parts; i++)
        said |= m->parts[i].kind != PART_THINKING && m->parts[i].kind != PART_REDACTED;
    if (!said) /* nothing but thinking: no turn to others */
        return 0;
    open_message(w, "assistant");
    put_said(w, m, calls);
    put_reasoning(w, m, at);
    put_details(w, m);
    if (calls)
        put_calls(w, m);
    else if ((w->deviations & PROVIDER_RANDOM_SEED) && at + 1 == w->in->n_messages)
        json_member_bool(&w->j, "prefix", true); /* Mistral: to be gone on with */
    close_message(w, m);
    return 0;
}

static int put_message(struct writing *w, const struct chat_message *m, size_t at)
{
    if (m->role == CHAT_ASSISTANT)
        return put_assistant(w, m, at);
    if (m->role == CHAT_USER)
        return put_user(w, m);
    if (!has_content(m))
        return 0;
    open_message(w, "system");
    if (put_content(w, m->parts, m->n_parts) != 0)
        return -1;
    close_message(w, m);
    return 0;
}

static int put_messages(struct writing *w)
{
    json_member_open(&w->j, "messages", '[');
    if (w->preamble.n > 0) {
        open_message(w, "system");
        json_member_str(&w->j, "content", w->preamble);
        close_message(w, NULL);
    }
    for (size_t i = 0; i < w->in->n_messages; i++)
        if (put_message(w, &w->in->messages[i], i) != 0)
            return -1;
    json_close(&w->j, ']');
    return 0;
}

/* ---- tools */

/* They must be an object's. */
static void put_parameters(struct writing *w, struct str schema)
{
    struct json_value root = json_root(schema);
    if (root.type != JSON_OBJECT)
        json_raw(&w->j, STR("{\"type\":\"object\",\"properties\":{}}"));
    else if (json_member(root, "type").type != JSON_ABSENT)
        json_raw(&w->j, schema);
    else if (json_set_member(w->j.out, root.raw, "type", STR("\"object\"")) == 0)
        w->j.comma = true;
}

static void put_tool(struct writing *w, const struct chat_tool *t)
{
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", "function");
    json_member_open(&w->j, "function", '{');
    json_member_str(&w->j, "name", openai_tool_name(w->c->arena, t->name));
    json_opt_str(&w->j, "description", t->description);
    json_name(&w->j, "parameters");
    put_parameters(w, t->schema);
    if (t->strict >= 0)
        json_member_bool(&w->j, "strict", t->strict);
    json_close(&w->j, '}');
    if ((w->p->flags & MARKS) && t->cache_control.n > 0) {
        json_member_raw(&w->j, "cache_control", t->cache_control);
        chat_take(w->c, PARAM_CACHE_CONTROL);
    }
    json_close(&w->j, '}');
}

static size_t n_allowed(const struct writing *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->in->n_tools; i++)
        n += chat_tool_allowed(w->in, w->in->tools[i].name);
    return n;
}

static void put_named(struct writing *w, struct str name)
{
    json_open(&w->j, '{');
    json_member_strz(&w->j, "type", "function");
    json_member_open(&w->j, "function", '{');
    json_member_str(&w->j, "name", openai_tool_name(w->c->arena, name));
    json_close(&w->j, '}');
    json_close(&w->j, '}');
}

static void put_choice(struct writing *w)
{
    switch (w->in->tool_choice) {
    case TOOLS_DEFAULT:
        break;
    case TOOLS_AUTO:
        json_member_strz(&w->j, "tool_choice", "auto");
        break;
    case TOOLS_NONE:
        json_member_strz(&w->j, "tool_choice", "none");
        break;
    case TOOLS_REQUIRED:
        json_member_strz(&w->j, "tool_choice", w->deviations & PROVIDER_RANDOM_SEED ? "any" : "required");
        break;
    case TOOLS_NAMED:
        json_name(&w->j, "tool_choice");
        put_named(w, w->in->tool_name);
        break;
    }
}

/* Tools that may not be called are left out: allowed_tools is known to few models even of OpenAI's. */
static void put_tools(struct writing *w)
{
    bool parallel_given = chat_take(w->c, PARAM_PARALLEL_TOOLS).n > 0;
    if (w->in->n_tools == 0 || n_allowed(w) == 0)
        return;
    json_member_open(&w->j, "tools", '[');
    for (size_t i = 0; i < w->in->n_tools; i++)
        if (chat_tool_allowed(w->in, w->in->tools[i].name))
            put_tool(w, &w->in->tools[i]);
    json_close(&w->j, ']');
    put_choice(w);
    if (w->in->parallel_tools != 0) /* true is the default everywhere */
        return;
    if (w->p->params & BIT(PARALLEL_TOOLS))
        json_member_bool(&w->j, "parallel_tool_calls", false);
    else if (parallel_given)
        w->c->taken &= ~BIT(PARALLEL_TOOLS);
}

/* ---- the answer's form */

static bool schema_is_strict(struct json_value schema, int depth);

static bool all_strict(struct json_value container, int depth)
{
    struct json_value v;
    size_t next = 0;
    if (container.type != JSON_OBJECT && container.type != JSON_ARRAY)
        return true;
    while (json_next(container.raw, &next, NULL, &v) == 1)
        if (!schema_is_strict(v, depth + 1))
            return false;
    return true;
}

static bool lists(struct json_value array, struct str raw_name)
{
    struct json_value v;
    size_t next = 0;
    if (array.type == JSON_ARRAY)
        while (json_next(array.raw, &next, NULL, &v) == 1)
            if (v.type == JSON_STRING && v.raw.n == raw_name.n + 2 &&
                memcmp(v.raw.p + 1, raw_name.p, raw_name.n) == 0)
                return true;
    return false;
}

/* What OpenAI demands of a schema that it holds the model to: objects are closed and all of their members
 * required. */
static bool schema_is_strict(struct json_value schema, int depth)
{
    struct json_value v;
    struct str name;
    size_t next = 0;
    if (schema.type != JSON_OBJECT)
        return schema.type == JSON_ABSENT;
    struct json_value properties = json_member(schema, "properties"),
                      required = json_member(schema, "required");
    struct json_value type = json_member(schema, "type");
    bool object = properties.type == JSON_OBJECT || str_eq(type.raw, STR("\"object\""));
    if (object && json_member(schema, "additionalProperties").type != JSON_FALSE)
        return false;
    if (properties.type == JSON_OBJECT)
        while (json_next(properties.raw, &next, &name, &v) == 1)
            if (!lists(required, name))
                return false;
    return depth < MAX_JSON_DEPTH && all_strict(properties, depth) &&
           all_strict(json_member(schema, "anyOf"), depth) &&
           all_strict(json_member(schema, "$defs"), depth) &&
           schema_is_strict(json_member(schema, "items"), depth + 1);
}

static struct str schema_name(struct writing *w)
{
    struct str name = w->in->format_name;
    return name.n > 0 ? openai_tool_name(w->c->arena, name) : STR("response");
}

static void put_schema(struct writing *w)
{
    int strict = w->in->format_strict;
    if (strict < 0 && schema_is_strict(json_root(w->in->format_schema), 0))
        strict = 1;
    json_member_open(&w->j, "response_format", '{');
    json_member_strz(&w->j, "type", "json_schema");
    json_member_open(&w->j, "json_schema", '{');
    json_member_str(&w->j, "name", schema_name(w));
    json_opt_str(&w->j, "description", w->in->format_description);
    json_member_raw(&w->j, "schema", w->in->format_schema);
    if (strict >= 0)
        json_member_bool(&w->j, "strict", strict);
    json_close(&w->j, '}');
    json_close(&w->j, '}');
}

static void put_format(struct writing *w)
{
    if (w->in->format == FORMAT_TEXT)
        return;
    if (w->in->format == FORMAT_SCHEMA && !(w->deviations & PROVIDER_NO_SCHEMA)) {
        put_schema(w);
        return;
    }
    json_member_raw(&w->j, "response_format", STR("{\"type\":\"json_object\"}"));
}

static bool says_json(const struct chat_request *in)
{
    for (size_t i = 0; i < in->n_messages; i++)
        for (size_t k = 0; k < in->messages[i].n_parts; k++) {
            struct str t = in->messages[i].parts[k].text;
            for (size_t at = 0; at + 4 <= t.n; at++)
                if (str_ieq((struct str){t.p + at, 4}, STR("json")))
                    return true;
        }
    return false;
}

/* JSON mode is refused where the prompt does not speak of JSON. A schema, where only JSON mode is known, is
 * told to the model: it is then followed well, though not enforced; refusing it would help nobody. */
static struct str preamble_of(struct writing *w)
{
    if (w->in->format == FORMAT_SCHEMA && (w->deviations & PROVIDER_NO_SCHEMA)) {
        static const struct str words = STR(
            "Answer with one JSON object that is valid against this JSON schema, and with nothing else:\n");
        struct buf b = arena_buf(w->c->arena, words.n + w->in->format_schema.n);
        buf_add(&b, words);
        buf_add(&b, w->in->format_schema);
        return buf_str(&b);
    }
    return w->in->format == FORMAT_JSON && !says_json(w->in) ? STR("Answer with a JSON object.") : STR_NULL;
}

/* ---- parameters */

static const struct {
    enum chat_param param;
    const char *name;
} plain[] = {
    {PARAM_TEMPERATURE, "temperature"},
    {PARAM_TOP_P, "top_p"},
    {PARAM_PRESENCE_PENALTY, "presence_penalty"},
    {PARAM_FREQUENCY_PENALTY, "frequency_penalty"},
    {PARAM_LOGPROBS, "logprobs"},
    {PARAM_TOP_LOGPROBS, "top_logprobs"},
    {PARAM_LOGIT_BIAS, "logit_bias"},
    {PARAM_METADATA, "metadata"},
    {PARAM_VERBOSITY, "verbosity"},
    {PARAM_CACHE_KEY, "prompt_cache_key"},
    {PARAM_PREDICTION, "prediction"},
};

/* OpenAI's reasoning models refuse these, but for the values that they have anyway. */
static bool refused_by_reasoning(enum chat_param p, struct str value)
{
    switch (p) {
    case PARAM_TEMPERATURE:
    case PARAM_TOP_P:
        return !is(value, "1") && !is(value, "1.0");
    case PARAM_PRESENCE_PENALTY:
    case PARAM_FREQUENCY_PENALTY:
        return !is(value, "0") && !is(value, "0.0");
    case PARAM_LOGPROBS:
    case PARAM_TOP_LOGPROBS:
    case PARAM_LOGIT_BIAS:
    case PARAM_STOP:
        return true;
    default:
        return false;
    }
}

static bool takes(const struct writing *w, enum chat_param p)
{
    return chat_given(w->c, p) && (w->p->params & (UINT32_C(1) << p));
}

static void put_plain(struct writing *w)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        enum chat_param p = plain[i].param;
        if (!takes(w, p))
            continue;
        if (w->reasons && refused_by_reasoning(p, w->in->params[p].value)) {
            chat_adjust(w->c, p);
            continue;
        }
        json_member_raw(&w->j, plain[i].name, chat_take(w->c, p));
    }
    if (takes(w, PARAM_TOP_LOGPROBS) && !chat_given(w->c, PARAM_LOGPROBS) && !w->reasons)
        json_member_bool(&w->j, "logprobs", true);
    if ((w->deviations & PROVIDER_TOP_K) && chat_given(w->c, PARAM_TOP_K))
        json_member_raw(&w->j, "top_k", chat_take(w->c, PARAM_TOP_K));
}

static void put_max_tokens(struct writing *w)
{
    struct str value = chat_take(w->c, PARAM_MAX_TOKENS);
    uint64_t n;
    if (value.n == 0)
        return;
    json_name(&w->j, w->deviations & PROVIDER_MAX_TOKENS ? "max_tokens" : "max_completion_tokens");
    if (w->c->max_output > 0 && str_u64(value, &n) == 0 && n > w->c->max_output) {
        json_i64(&w->j, w->c->max_output); /* more than the model has is refused, not cut */
        chat_adjust(w->c, PARAM_MAX_TOKENS);
    } else {
        json_raw(&w->j, value);
    }
}

static void put_stop(struct writing *w)
{
    enum { MOST = 4 };
    size_t n = w->in->n_stop;
    if (!takes(w, PARAM_STOP) || n == 0)
        return;
    chat_take(w->c, PARAM_STOP);
    if (w->reasons) {
        chat_adjust(w->c, PARAM_STOP);
        return;
    }
    if (n > MOST && (w->p->flags & OFFICIAL)) {
        n = MOST;
        chat_adjust(w->c, PARAM_STOP);
    }
    json_member_open(&w->j, "stop", '[');
    for (size_t i = 0; i < n; i++)
        json_str(&w->j, w->in->stop[i]);
    json_close(&w->j, ']');
}

static void put_n_and_seed(struct writing *w)
{
    if (chat_given(w->c, PARAM_N)) {
        struct str n = w->in->params[PARAM_N].value;
        if (is(n, "1"))
            chat_take(w->c, PARAM_N);
        else if (takes(w, PARAM_N))
            json_member_raw(&w->j, "n", chat_take(w->c, PARAM_N));
    }
    if (takes(w, PARAM_SEED))
        json_member_raw(&w->j, w->deviations & PROVIDER_RANDOM_SEED ? "random_seed" : "seed",
                        chat_take(w->c, PARAM_SEED));
}

/* OpenAI takes at most 64 characters; longer ones tell users apart as well when they are hashed. */
static void put_user_id(struct writing *w)
{
    enum { MOST = 64 };
    struct json_value v = {.type = JSON_STRING};
    if (!takes(w, PARAM_USER))
        return;
    v.raw = chat_take(w->c, PARAM_USER);
    if (v.raw.n < 2 || v.raw.p[0] != '"')
        return;
    struct str id = json_text(v, w->c->arena);
    if (id.n > MOST) {
        char *hex = arena_alloc(w->c->arena, 32);
        digest(id, hex, 32, "0123456789abcdef", 16);
        id = (struct str){hex, 32};
    }
    json_member_str(&w->j, "user", id);
}

static void put_tier(struct writing *w)
{
    static const char *const known[] = {"\"auto\"",  "\"default\"", "\"flex\"",      "\"priority\"",
                                        "\"scale\"", "\"fast\"",    "\"on_demand\"", "\"performance\""};
    if (!takes(w, PARAM_SERVICE_TIER))
        return;
    struct str tier = w->in->params[PARAM_SERVICE_TIER].value;
    if (is(tier, "\"standard_only\"")) /* Anthropic's */
        tier = STR("\"default\"");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (is(tier, known[i])) {
            chat_take(w->c, PARAM_SERVICE_TIER);
            json_member_raw(&w->j, "service_tier", tier);
            return;
        }
}

/* Asked for pictures, an answer without them is another one. */
static int put_modalities(struct writing *w)
{
    if (!chat_given(w->c, PARAM_MODALITIES))
        return 0;
    if (!(w->p->flags & PICTURES))
        return chat_refuse(w->c, w->in->params[PARAM_MODALITIES].name,
                           "Of %s, only text can be asked for through this endpoint.", w->c->conf->name);
    chat_take(w->c, PARAM_MODALITIES);
    json_member_raw(&w->j, "modalities", STR("[\"image\",\"text\"]"));
    return 0;
}

/* ---- thinking */

static struct str model_base(struct str model)
{
    for (size_t i = model.n; i > 0; i--)
        if (model.p[i - 1] == '/')
            return (struct str){model.p + i, model.n - i};
    return model;
}

/* o1, o3, o4-mini, gpt-5 … */
static bool is_reasoning_model(struct str model)
{
    struct str m = model_base(model);
    if (contains(m, "chat-latest"))
        return false;
    return str_starts(m, STR("gpt-5")) ||
           (m.n >= 2 && m.p[0] == 'o' && m.p[1] >= '1' && m.p[1] <= '9' && (m.n == 2 || m.p[2] == '-'));
}

static bool is_plain_model(struct str model)
{
    struct str m = model_base(model);
    return str_starts(m, STR("gpt-4")) || str_starts(m, STR("gpt-3.5")) || str_starts(m, STR("chatgpt-")) ||
           contains(m, "chat-latest");
}

static struct str effort_of(const struct chat_request *in)
{
    switch (in->thinking) {
    case THINKING_EFFORT:
        return in->thinking_effort;
    case THINKING_BUDGET:
        return in->thinking_budget <= 1024   ? STR("low")
               : in->thinking_budget <= 2048 ? STR("medium")
                                             : STR("high");
    default:
        return STR("medium");
    }
}

/* Efforts below and above what a model has. gpt-5 and its like have all of them. */
static struct str bounded_effort(struct writing *w, struct str effort)
{
    bool five = (w->p->flags & OFFICIAL) && !str_starts(model_base(w->c->model), STR("o"));
    bool low = is(effort, "minimal"), high = is(effort, "xhigh") || is(effort, "max");
    if (five || (!low && !high))
        return effort;
    chat_adjust(w->c, PARAM_THINKING);
    return low ? STR("low") : STR("high");
}

/* Not at all: gpt-5.1 and later, Ollama and Groq's Qwen have a word for it, gpt-5 next to none; others are
 * left at their own. */
static void put_no_effort(struct writing *w)
{
    struct str m = model_base(w->c->model);
    const char *type = w->c->conf->type;
    if (str_starts(m, STR("gpt-5.")) || strcmp(type, "ollama") == 0 ||
        (strcmp(type, "groq") == 0 && str_starts(m, STR("qwen")))) {
        json_member_strz(&w->j, "reasoning_effort", "none");
    } else if (str_starts(m, STR("gpt-5"))) {
        json_member_strz(&w->j, "reasoning_effort", "minimal");
        chat_adjust(w->c, PARAM_THINKING);
    } else if (!is_plain_model(m)) {
        chat_adjust(w->c, PARAM_THINKING);
    }
}

static void put_effort(struct writing *w, bool off)
{
    if ((w->p->flags & OFFICIAL) && is_plain_model(w->c->model) && !off) {
        w->c->taken &= ~BIT(THINKING); /* it does not think */
        return;
    }
    if (off)
        put_no_effort(w);
    else
        json_member_str(&w->j, "reasoning_effort", bounded_effort(w, effort_of(w->in)));
}

static void put_thinking_object(struct writing *w, bool off)
{
    json_member_open(&w->j, "reasoning", '{');
    if (off)
        json_member_bool(&w->j, "enabled", false);
    else if (w->in->thinking == THINKING_BUDGET)
        json_member_i64(&w->j, "max_tokens", w->in->thinking_budget);
    else if (w->in->thinking == THINKING_EFFORT)
        json_member_str(&w->j, "effort", bounded_effort(w, w->in->thinking_effort));
    else
        json_member_bool(&w->j, "enabled", true);
    json_close(&w->j, '}');
}

/* Mistral: its small and medium models can do both; Magistral always thinks and takes no word of it, others
 * never do. */
static void put_high_or_none(struct writing *w, bool off)
{
    bool always = contains(w->c->model, "magistral");
    if (!always && (contains(w->c->model, "small") || contains(w->c->model, "medium")))
        json_member_strz(&w->j, "reasoning_effort", off ? "none" : "high");
    else if (always == off)
        w->c->taken &= ~BIT(THINKING);
}

static void put_thinking(struct writing *w)
{
    bool off = w->in->thinking == THINKING_OFF;
    if (w->in->thinking == THINKING_DEFAULT || !(w->p->params & BIT(THINKING)))
        return;
    chat_take(w->c, PARAM_THINKING);
    switch (w->p->thinking) {
    case THINK_EFFORT:
        put_effort(w, off);
        break;
    case THINK_HIGH:
        put_high_or_none(w, off);
        break;
    case THINK_TYPE:
        json_member_open(&w->j, "thinking", '{');
        json_member_strz(&w->j, "type", off ? "disabled" : "enabled");
        json_close(&w->j, '}');
        break;
    case THINK_OBJECT:
        put_thinking_object(w, off);
        break;
    case THINK_ENABLE:
        json_member_bool(&w->j, "enable_thinking", !off);
        if (w->in->thinking == THINKING_BUDGET)
            json_member_i64(&w->j, "thinking_budget", w->in->thinking_budget);
        break;
    }
}

/* ---- all of it */

static int put_params(struct writing *w)
{
    put_max_tokens(w);
    put_plain(w);
    put_stop(w);
    put_n_and_seed(w);
    put_user_id(w);
    put_tier(w);
    put_thinking(w);
    return put_modalities(w);
}

static void put_stream(struct writing *w)
{
    if (!w->in->stream)
        return;
    json_member_bool(&w->j, "stream", true);
    if (!(w->deviations & PROVIDER_NO_STREAM_OPTIONS))
        json_member_raw(&w->j, "stream_options", STR("{\"include_usage\":true}"));
}

int openai_write_body(struct chat_call *c, unsigned deviations)
{
    struct writing w = {.c = c,
                        .in = c->in,
                        .p = profile_of(c->conf->type),
                        .deviations = deviations,
                        .google = contains(str_of(c->conf->base_url), "googleapis.com"),
                        .j = json_writer(&c->call->room)};
    w.reasons = (w.p->flags & OFFICIAL) && is_reasoning_model(c->model);
    w.preamble = preamble_of(&w);
    json_open(&w.j, '{');
    json_member_str(&w.j, "model", c->model);
    if (put_messages(&w) != 0)
        return -1;
    put_tools(&w);
    put_format(&w);
    if (put_params(&w) != 0)
        return -1;
    put_stream(&w);
    json_close(&w.j, '}');
    c->call->body = buf_str(&c->call->room);
    c->call->headers = STR("content-type: application/json\r\n");
    return 0;
}

int openai_write_chat(struct chat_call *c)
{
    if (openai_path(c->arena, c->conf, STR("/chat/completions"), &c->call->path) != 0)
        return chat_refuse(c, NULL, "The provider's base URL makes no path.");
    return openai_write_body(c, openai_deviations(c->conf));
}

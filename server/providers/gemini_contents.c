/* The conversation of Google's GenerateContent request. Run by workers.
 *
 * What Google wants otherwise than others: contents alternate between user and model and begin with user;
 * there is one system instruction, in front; a tool's result names the tool, is an object, and all of a turn
 * stand in one content; media come as bytes; a third-generation model refuses a turn's first call without the
 * signature that it came with. */
#include "gemini_request.h"

#include "media_fetch.h"

#include <ctype.h>
#include <string.h>

/* ---- media */

static struct str mime_by_name(struct str name)
{
    static const struct {
        struct str end, mime;
    } kinds[] = {
        {STR(".png"), STR("image/png")},       {STR(".jpg"), STR("image/jpeg")},
        {STR(".jpeg"), STR("image/jpeg")},     {STR(".webp"), STR("image/webp")},
        {STR(".gif"), STR("image/gif")},       {STR(".heic"), STR("image/heic")},
        {STR(".pdf"), STR("application/pdf")}, {STR(".txt"), STR("text/plain")},
        {STR(".md"), STR("text/markdown")},    {STR(".csv"), STR("text/csv")},
        {STR(".html"), STR("text/html")},      {STR(".json"), STR("application/json")},
        {STR(".mp3"), STR("audio/mp3")},       {STR(".wav"), STR("audio/wav")},
        {STR(".mp4"), STR("video/mp4")},       {STR(".mov"), STR("video/quicktime")},
        {STR(".webm"), STR("video/webm")},     {STR(".flac"), STR("audio/flac")},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (name.n >= kinds[i].end.n &&
            str_ieq((struct str){name.p + name.n - kinds[i].end.n, kinds[i].end.n}, kinds[i].end))
            return kinds[i].mime;
    return STR_NULL;
}

static struct str mime_of(const struct chat_part *p, struct str data, struct str mime, struct arena *a)
{
    if (mime.n == 0)
        mime = chat_media_type(data);
    if (mime.n == 0)
        mime = mime_by_name(p->name);
    if (mime.n == 0)
        mime = mime_by_name(p->url);
    if (str_eq(mime, STR("image/jpg")))
        return STR("image/jpeg");
    if (mime.n > 0 && !memchr(mime.p, '/', mime.n)) /* OpenAI's format of audio: "wav" */
        return arena_printf(a, "audio/" STR_FMT, STR_ARG(mime));
    return mime;
}

/* What Google reads itself: its own storage, the Files API, and YouTube. */
static bool is_googles(struct str url)
{
    static const struct str ours[] = {
        STR("gs://"),
        STR("https://generativelanguage.googleapis.com/"),
        STR("https://www.youtube.com/"),
        STR("https://youtube.com/"),
        STR("https://youtu.be/"),
    };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (str_starts(url, ours[i]))
            return true;
    return false;
}

static void put_file_data(struct json_writer *w, struct str uri, struct str mime)
{
    json_member_open(w, "fileData", '{');
    json_opt_str(w, "mimeType", mime);
    json_member_str(w, "fileUri", uri);
    json_close(w, '}');
}

static int put_inline_data(struct gemini_writer *g, const struct chat_part *p, struct str data,
                           struct str mime)
{
    mime = mime_of(p, data, mime, g->c->arena);
    if (mime.n == 0)
        return chat_refuse(g->c, NULL,
                           "What kind of media a part holds is not told, and can't be seen from it.");
    json_member_open(&g->w, "inlineData", '{');
    json_member_str(&g->w, "mimeType", mime);
    json_member_str(&g->w, "data", data);
    json_close(&g->w, '}');
    return 0;
}

/* An id at Google: a URI of the Files API, or "files/abc". */
static int put_file_id(struct gemini_writer *g, const struct chat_part *p)
{
    if (is_googles(p->file_id))
        put_file_data(&g->w, p->file_id, p->mime);
    else if (str_starts(p->file_id, STR("files/")) && !g->vertex)
        put_file_data(&g->w,
                      arena_printf(g->c->arena, "https://generativelanguage.googleapis.com/v1beta/" STR_FMT,
                                   STR_ARG(p->file_id)),
                      p->mime);
    else
        return chat_refuse(g->c, NULL, "The file '" STR_FMT "' is another provider's: Google can't read it.",
                           p->file_id.n > 100 ? 100 : STR_ARG(p->file_id));
    return 0;
}

/* The member of a part that holds an image, a file or sound. */
static int put_media(struct gemini_writer *g, const struct chat_part *p)
{
    struct str mime = p->mime, data = p->data;
    if (data.n == 0 && chat_data_url(p->url, &mime, &data))
        return put_inline_data(g, p, data, mime);
    if (data.n > 0)
        return put_inline_data(g, p, data, mime);
    if (p->url.n == 0)
        return put_file_id(g, p);
    if (is_googles(p->url)) {
        put_file_data(&g->w, p->url, mime.n > 0 ? mime : mime_by_name(p->url));
        return 0;
    }
    if (media_fetch(g->c->r, p->url, &mime, &data, g->c->f) != 0)
        return -1;
    return put_inline_data(g, p, data, p->mime.n > 0 ? p->mime : mime);
}

/* ---- calls and their results */

/* Ids that Google didn't make are left out, and all of them before the third generation, which knows none:
 * calls and results then belong together by name and order. Ours
 * are "call_" and 24 characters (as OpenAI's are), or "call_g" and a number (google_generate.c); Google's are
 * eight characters, or "call_" and digits; of whatever form in a turn that has a signature of Google's. */
static bool is_googles_id(struct str id, bool signed_turn)
{
    static const struct str front = STR("call_");
    size_t digits = 0, plain = 0;
    for (size_t i = 0; i < id.n; i++) {
        digits += i >= front.n && isdigit((unsigned char)id.p[i]);
        plain += isalnum((unsigned char)id.p[i]) != 0;
    }
    if (str_starts(id, front)) {
        if (id.n == front.n + 24 || (id.n > front.n && id.p[front.n] == 'g'))
            return false;
        return signed_turn || digits == id.n - front.n;
    }
    return signed_turn || (id.n == 8 && plain == 8);
}

static bool is_signed(const struct chat_part *p)
{
    return p->signature.n > 0 && p->signer == SIGNER_GOOGLE;
}

/* The id of a result is told where its call's was. */
static bool result_has_id(const struct gemini_writer *g, const struct chat_part *p)
{
    return g->ids && p->called_in && is_googles_id(p->id, p->called_in->google_signed);
}

static void put_signature(struct gemini_writer *g, const struct chat_part *p)
{
    if (is_signed(p))
        json_member_str(&g->w, "thoughtSignature", p->signature);
}

static void put_call(struct gemini_writer *g, const struct chat_part *p, bool with_id, bool first)
{
    json_open(&g->w, '{');
    json_member_open(&g->w, "functionCall", '{');
    if (with_id)
        json_member_str(&g->w, "id", p->id);
    json_member_str(&g->w, "name", gemini_tool_name(p->name, g->c->arena));
    json_member_raw(&g->w, "args", chat_arguments(p->arguments, g->c->arena));
    json_close(&g->w, '}');
    put_signature(g, p);
    if (first && !is_signed(p) && g->generation >= 30)
        json_member_strz(&g->w, "thoughtSignature", "skip_thought_signature_validator");
    json_close(&g->w, '}');
}

static bool is_object(struct str text)
{
    text = str_trim(text);
    return text.n > 0 && text.p[0] == '{' && json_validate(text, NULL) == 0;
}

/* All words of a result: a document that is plain text, too. */
static struct str result_text(struct gemini_writer *g, const struct chat_part *p)
{
    struct chat_part *texts = arena_alloc(g->c->arena, p->n_parts * sizeof(*texts) + 1);
    size_t n = 0;
    for (size_t i = 0; i < p->n_parts; i++)
        if (p->parts[i].kind == PART_TEXT || (p->parts[i].kind == PART_FILE && p->parts[i].text.n > 0))
            texts[n++] = (struct chat_part){.kind = PART_TEXT, .text = p->parts[i].text};
    return chat_text(texts, n, STR("\n"), g->c->arena);
}

static void put_response(struct gemini_writer *g, const struct chat_part *p)
{
    struct str text = result_text(g, p);
    json_name(&g->w, "response");
    if (!p->is_error && is_object(text)) {
        json_raw(&g->w, text);
        return;
    }
    json_open(&g->w, '{');
    json_member_str(&g->w, p->is_error ? "error" : "output", text);
    json_close(&g->w, '}');
}

static bool is_media(const struct chat_part *p)
{
    return p->kind == PART_IMAGE || p->kind == PART_AUDIO || (p->kind == PART_FILE && p->text.n == 0);
}

/* Media of a result: within it since the third generation, behind the turn's results before. */
static int put_result_media(struct gemini_writer *g, const struct chat_part *result)
{
    for (size_t i = 0; i < result->n_parts; i++) {
        if (!is_media(&result->parts[i]))
            continue;
        json_open(&g->w, '{');
        if (put_media(g, &result->parts[i]) != 0)
            return -1;
        json_close(&g->w, '}');
    }
    return 0;
}

static int put_result(struct gemini_writer *g, const struct chat_part *p)
{
    bool media = false;
    if (p->name.n == 0)
        return chat_refuse(g->c, NULL, "There is a tool result without the call that it belongs to.");
    for (size_t i = 0; i < p->n_parts; i++)
        media |= is_media(&p->parts[i]);
    json_open(&g->w, '{');
    json_member_open(&g->w, "functionResponse", '{');
    if (result_has_id(g, p))
        json_member_str(&g->w, "id", p->id);
    json_member_str(&g->w, "name", gemini_tool_name(p->name, g->c->arena));
    put_response(g, p);
    if (media && g->generation >= 30) {
        json_member_open(&g->w, "parts", '[');
        if (put_result_media(g, p) != 0)
            return -1;
        json_close(&g->w, ']');
    }
    json_close(&g->w, '}');
    json_close(&g->w, '}');
    return 0;
}

/* ---- contents */

/* Something of the part is to be written. */
static bool has_form(const struct chat_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_THINKING:
        return p->text.n > 0 || is_signed(p);
    case PART_REFUSAL:
        return p->text.n > 0;
    case PART_REDACTED: /* another's */
        return false;
    default:
        return true;
    }
}

static void open_content(struct gemini_writer *g, const char *role)
{
    if (g->role && strcmp(g->role, role) == 0)
        return;
    if (g->role) {
        json_close(&g->w, ']');
        json_close(&g->w, '}');
    }
    json_open(&g->w, '{');
    json_member_strz(&g->w, "role", role);
    json_member_open(&g->w, "parts", '[');
    g->role = role;
}

static void put_text(struct gemini_writer *g, struct str text)
{
    json_open(&g->w, '{');
    json_member_str(&g->w, "text", text);
    json_close(&g->w, '}');
}

static int put_part(struct gemini_writer *g, const struct chat_part *p)
{
    bool text = p->kind == PART_TEXT || p->kind == PART_THINKING || p->kind == PART_REFUSAL ||
                (p->kind == PART_FILE && p->text.n > 0);
    json_open(&g->w, '{');
    if (text)
        json_member_str(&g->w, "text", p->text);
    else if (put_media(g, p) != 0)
        return -1;
    if (p->kind == PART_THINKING)
        json_member_bool(&g->w, "thought", true);
    put_signature(g, p);
    json_close(&g->w, '}');
    return 0;
}

static int put_turn(struct gemini_writer *g, size_t turn)
{
    const struct chat_message *m = &g->c->in->messages[turn];
    bool first = true;
    for (size_t i = 0; i < m->n_parts; i++) {
        const struct chat_part *p = &m->parts[i];
        if (!has_form(p))
            continue;
        if (!g->role && m->role == CHAT_ASSISTANT) { /* it has to begin with the user */
            open_content(g, "user");
            put_text(g, STR("."));
        }
        open_content(g, m->role == CHAT_ASSISTANT ? "model" : "user");
        if (p->kind == PART_TOOL_CALL) {
            put_call(g, p, g->ids && is_googles_id(p->id, m->google_signed), first);
            first = false;
        } else if (p->kind == PART_TOOL_RESULT ? put_result(g, p) != 0 : put_part(g, p) != 0)
            return -1;
    }
    for (size_t i = 0; i < m->n_parts && g->generation < 30; i++)
        if (m->parts[i].kind == PART_TOOL_RESULT && put_result_media(g, &m->parts[i]) != 0)
            return -1;
    return 0;
}

/* How many leading system messages make the instruction: all, but for the last where nothing else would be
 * left to say. */
static size_t instructions(const struct gemini_writer *g)
{
    const struct chat_request *in = g->c->in;
    size_t n = 0;
    if (str_has(g->c->model, "gemma")) /* knows none */
        return 0;
    while (n < in->n_messages && in->messages[n].role == CHAT_SYSTEM)
        n++;
    return n > 0 && n == in->n_messages ? n - 1 : n;
}

static int put_instructions(struct gemini_writer *g, size_t n)
{
    if (n == 0 && !g->json_told)
        return 0;
    json_member_open(&g->w, "systemInstruction", '{');
    json_member_open(&g->w, "parts", '[');
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < g->c->in->messages[i].n_parts; k++) {
            const struct chat_part *p = &g->c->in->messages[i].parts[k];
            if (has_form(p) && put_part(g, p) != 0)
                return -1;
        }
    if (g->json_told)
        put_text(
            g,
            STR("When you answer instead of calling a tool, answer with one JSON object and nothing else."));
    json_close(&g->w, ']');
    json_close(&g->w, '}');
    return 0;
}

int gemini_put_contents(struct gemini_writer *g)
{
    size_t leading = instructions(g);
    if (put_instructions(g, leading) != 0)
        return -1;
    json_member_open(&g->w, "contents", '[');
    for (size_t i = leading; i < g->c->in->n_messages; i++)
        if (put_turn(g, i) != 0)
            return -1;
    if (!g->role)
        return chat_refuse(g->c, NULL, "There is nothing to answer: the conversation is empty.");
    json_close(&g->w, ']');
    json_close(&g->w, '}');
    json_close(&g->w, ']');
    g->role = NULL;
    return 0;
}

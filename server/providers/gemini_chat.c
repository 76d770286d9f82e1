/* The neutral form written as Google's GenerateContent request, for the Gemini API and Vertex alike. Run by
 * workers.
 *
 * What Google wants otherwise than others: contents alternate between user and model and begin with user;
 * there is one system instruction, in front; a tool's result names the tool, is an object, and all of a turn
 * stand in one content; media come as bytes; a third-generation model refuses a turn's first call without the
 * signature that it came with. */
#include "gemini_chat.h"

#include "google_json.h"
#include "media_fetch.h"
#include "openai.h"

#include <ctype.h>
#include <string.h>

enum {
    MAX_STOPS = 5,
    BUDGET_LOW = 1024,
    BUDGET_MEDIUM = 8192,
    BUDGET_HIGH = 24576,
    BUDGET_LEAST_PRO = 128,
    BUDGET_LEAST_LITE = 512
};

struct writer {
    struct chat_call *c;
    struct json_writer w;
    bool vertex;
    unsigned generation;
    const char *role; /* of the content that is open; NULL: none */
    bool json_tool;   /* the schema is a tool's (GEMINI_JSON_TOOL) */
    bool no_format;   /* … or nobody's: another tool has to be called */
    bool json_told;   /* … or a JSON object is asked for in words */
    bool ids;         /* the model tells calls apart by ids */
};

/* ---- models */

static const char *find(struct str s, const char *what)
{
    return s.n > 0 ? memmem(s.p, s.n, what, strlen(what)) : NULL;
}

unsigned gemini_generation(struct str model)
{
    enum { NEWEST = 35 };
    const char *at = find(model, "gemini-"), *end = model.p + model.n;
    if (!at)
        return 0;
    at += strlen("gemini-");
    if (at == end || !isdigit((unsigned char)*at)) /* gemini-flash-latest */
        return find(model, "-latest") ? NEWEST : 0;
    unsigned major = 0, minor = 0;
    while (at < end && isdigit((unsigned char)*at) && major < 1000)
        major = 10 * major + (unsigned)(*at++ - '0');
    if (end - at >= 2 && *at == '.' && isdigit((unsigned char)at[1]))
        minor = (unsigned)(at[1] - '0');
    return 10 * major + minor;
}

static bool is_pro(struct str model)
{
    return find(model, "-pro") != NULL;
}

/* Gemma knows neither a system instruction nor thinking. */
static bool is_gemma(struct str model)
{
    return find(model, "gemma") != NULL;
}

void gemini_put_name(struct buf *b, struct str model)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < model.n; i++) {
        unsigned char c = (unsigned char)model.p[i];
        bool plain = isalnum(c) || (c && strchr("-_~@", c)) || (c == '.' && i > 0 && model.p[i - 1] != '.');
        if (plain) {
            buf_add_byte(b, (char)c);
            continue;
        }
        char escaped[] = {'%', hex[c >> 4], hex[c & 15]};
        buf_add(b, (struct str){escaped, 3});
    }
}

struct str gemini_full_name(struct str model, struct arena *a)
{
    if (str_starts(model, STR("models/")) || str_starts(model, STR("tunedModels/")))
        return model;
    return arena_printf(a, "models/" STR_FMT, STR_ARG(model));
}

/* ---- names of tools */

static bool is_tool_name(struct str name)
{
    enum { MOST = 64 };
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool letter = c < 0x80 && (isalpha(c) || c == '_');
        if (!letter && (i == 0 || !c || !strchr("0123456789.:-", c)))
            return false;
    }
    return name.n > 0 && name.n <= MOST;
}

struct str gemini_tool_name(struct str name, struct arena *a)
{
    enum { MOST = 64 };
    if (is_tool_name(name))
        return name;
    struct str plain = openai_tool_name(a, name);
    if (is_tool_name(plain))
        return plain;
    if (plain.n == MOST) /* begins with a digit or a hyphen */
        plain.p++, plain.n--;
    return arena_printf(a, "_" STR_FMT, STR_ARG(plain));
}

struct str gemini_own_name(const struct chat_request *in, struct str got, struct arena *a)
{
    if (!in || chat_tool(in, got))
        return got;
    for (size_t i = 0; i < in->n_tools; i++)
        if (!is_tool_name(in->tools[i].name) && str_eq(gemini_tool_name(in->tools[i].name, a), got))
            return in->tools[i].name;
    return got;
}

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

static int put_inline_data(struct writer *g, const struct chat_part *p, struct str data, struct str mime)
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
static int put_file_id(struct writer *g, const struct chat_part *p)
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
static int put_media(struct writer *g, const struct chat_part *p)
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
static bool result_has_id(const struct writer *g, const struct chat_part *p)
{
    return g->ids && p->called_in && is_googles_id(p->id, p->called_in->google_signed);
}

static void put_signature(struct writer *g, const struct chat_part *p)
{
    if (is_signed(p))
        json_member_str(&g->w, "thoughtSignature", p->signature);
}

static void put_call(struct writer *g, const struct chat_part *p, bool with_id, bool first)
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
static struct str result_text(struct writer *g, const struct chat_part *p)
{
    struct chat_part *texts = arena_alloc(g->c->arena, p->n_parts * sizeof(*texts) + 1);
    size_t n = 0;
    for (size_t i = 0; i < p->n_parts; i++)
        if (p->parts[i].kind == PART_TEXT || (p->parts[i].kind == PART_FILE && p->parts[i].text.n > 0))
            texts[n++] = (struct chat_part){.kind = PART_TEXT, .text = p->parts[i].text};
    return chat_text(texts, n, STR("\n"), g->c->arena);
}

static void put_response(struct writer *g, const struct chat_part *p)
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
static int put_result_media(struct writer *g, const struct chat_part *result)
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

static int put_result(struct writer *g, const struct chat_part *p)
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

static void open_content(struct writer *g, const char *role)
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

static void put_text(struct writer *g, struct str text)
{
    json_open(&g->w, '{');
    json_member_str(&g->w, "text", text);
    json_close(&g->w, '}');
}

static int put_part(struct writer *g, const struct chat_part *p)
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

static int put_turn(struct writer *g, size_t turn)
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
static size_t instructions(const struct writer *g)
{
    const struct chat_request *in = g->c->in;
    size_t n = 0;
    if (is_gemma(g->c->model))
        return 0;
    while (n < in->n_messages && in->messages[n].role == CHAT_SYSTEM)
        n++;
    return n > 0 && n == in->n_messages ? n - 1 : n;
}

static int put_instructions(struct writer *g, size_t n)
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

static int put_contents(struct writer *g)
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

/* ---- tools */

static void put_declaration(struct json_writer *w, struct str name, struct str description, struct str schema)
{
    json_open(w, '{');
    json_member_str(w, "name", name);
    json_opt_str(w, "description", description);
    json_opt_raw(w, "parametersJsonSchema", schema);
    json_close(w, '}');
}

static void put_tools(struct writer *g)
{
    const struct chat_request *in = g->c->in;
    json_member_open(&g->w, "tools", '[');
    json_open(&g->w, '{');
    json_member_open(&g->w, "functionDeclarations", '[');
    for (size_t i = 0; i < in->n_tools; i++)
        put_declaration(&g->w, gemini_tool_name(in->tools[i].name, g->c->arena), in->tools[i].description,
                        in->tools[i].schema);
    if (g->json_tool)
        put_declaration(&g->w, STR(GEMINI_JSON_TOOL),
                        in->format_description.n > 0
                            ? in->format_description
                            : STR("Gives the final answer, when no other tool is to be called any more."),
                        in->format_schema);
    json_close(&g->w, ']');
    json_close(&g->w, '}');
    json_close(&g->w, ']');
}

static bool any_strict(const struct chat_request *in)
{
    for (size_t i = 0; i < in->n_tools; i++)
        if (in->tools[i].strict == 1)
            return true;
    return false;
}

/* Functions may be named beside ANY and VALIDATED only. */
static const char *mode_of(const struct writer *g)
{
    const struct chat_request *in = g->c->in;
    switch (in->tool_choice) {
    case TOOLS_NONE:
        return "NONE";
    case TOOLS_REQUIRED:
    case TOOLS_NAMED:
        return "ANY";
    case TOOLS_DEFAULT:
    case TOOLS_AUTO:
        break;
    }
    if (g->json_tool)
        return "ANY";
    if (in->n_allowed > 0 || any_strict(in))
        return "VALIDATED";
    return in->tool_choice == TOOLS_AUTO ? "AUTO" : NULL;
}

static void put_tool_config(struct writer *g)
{
    const struct chat_request *in = g->c->in;
    const char *mode = mode_of(g);
    if (!mode)
        return;
    json_member_open(&g->w, "toolConfig", '{');
    json_member_open(&g->w, "functionCallingConfig", '{');
    json_member_strz(&g->w, "mode", mode);
    if (in->tool_choice == TOOLS_NAMED || (in->n_allowed > 0 && in->tool_choice != TOOLS_NONE)) {
        json_member_open(&g->w, "allowedFunctionNames", '[');
        for (size_t i = 0; i < in->n_allowed && in->tool_choice != TOOLS_NAMED; i++)
            json_str(&g->w, gemini_tool_name(in->allowed[i], g->c->arena));
        if (in->tool_choice == TOOLS_NAMED)
            json_str(&g->w, gemini_tool_name(in->tool_name, g->c->arena));
        else if (g->json_tool)
            json_str(&g->w, STR(GEMINI_JSON_TOOL));
        json_close(&g->w, ']');
    }
    json_close(&g->w, '}');
    json_close(&g->w, '}');
}

/* ---- thinking */

static void put_budget(struct writer *g, int64_t budget)
{
    json_member_i64(&g->w, "thinkingBudget", budget);
}

/* Within what the model takes. */
static void put_asked_budget(struct writer *g, int64_t asked)
{
    bool pro = is_pro(g->c->model);
    int64_t most = pro ? 32768 : BUDGET_HIGH, budget = asked;
    int64_t least = pro ? BUDGET_LEAST_PRO : find(g->c->model, "-lite") ? BUDGET_LEAST_LITE : 0;
    if (g->generation < 30 && budget > most)
        budget = most;
    if (budget < least)
        budget = least;
    if (budget != asked)
        chat_adjust(g->c, PARAM_THINKING);
    put_budget(g, budget);
}

static int64_t budget_of(struct str effort, bool pro)
{
    if (str_eq(effort, STR("minimal")) || str_eq(effort, STR("low")))
        return BUDGET_LOW;
    if (str_eq(effort, STR("medium")))
        return BUDGET_MEDIUM;
    return pro && !str_eq(effort, STR("high")) ? 32768 : BUDGET_HIGH;
}

/* minimal … high; Pro models know no minimal, the first of them no medium. */
static void put_level(struct writer *g, struct str effort)
{
    struct str level = effort;
    bool pro = is_pro(g->c->model);
    if (str_eq(level, STR("xhigh")) || str_eq(level, STR("max")))
        level = STR("high");
    if (pro && str_eq(level, STR("minimal")))
        level = STR("low");
    if (pro && g->generation == 30 && str_eq(level, STR("medium")))
        level = STR("high");
    if (!str_eq(level, effort))
        chat_adjust(g->c, PARAM_THINKING);
    json_member_str(&g->w, "thinkingLevel", level);
}

static void put_thinking_off(struct writer *g)
{
    bool pro = is_pro(g->c->model);
    if (pro)
        chat_adjust(g->c, PARAM_THINKING); /* it always thinks: as little as can be */
    if (g->generation < 30)
        put_budget(g, pro ? BUDGET_LEAST_PRO : 0);
    else
        json_member_strz(&g->w, "thinkingLevel", pro ? "low" : "minimal");
}

static bool thinks(const struct writer *g)
{
    if (g->generation >= 30)
        return true;
    return g->generation >= 25 && !find(g->c->model, "-image") && !find(g->c->model, "-tts");
}

static void put_thinking(struct writer *g)
{
    const struct chat_request *in = g->c->in;
    bool off = in->thinking == THINKING_OFF || (in->thinking == THINKING_BUDGET && in->thinking_budget == 0);
    if (!thinks(g)) {
        if (off)
            chat_take(g->c, PARAM_THINKING);
        return;
    }
    if (in->thinking == THINKING_DEFAULT && in->thinking_shown != 1)
        return;
    chat_take(g->c, PARAM_THINKING);
    json_member_open(&g->w, "thinkingConfig", '{');
    if (off)
        put_thinking_off(g);
    else if (in->thinking == THINKING_BUDGET)
        put_asked_budget(g, in->thinking_budget);
    else if (in->thinking == THINKING_EFFORT && g->generation < 30)
        put_budget(g, budget_of(in->thinking_effort, is_pro(g->c->model)));
    else if (in->thinking == THINKING_EFFORT)
        put_level(g, in->thinking_effort);
    else if (in->thinking == THINKING_ON && g->generation < 30)
        put_budget(g, -1);
    if (!off && in->thinking_shown != 0)
        json_member_bool(&g->w, "includeThoughts", true);
    json_close(&g->w, '}');
}

/* ---- generationConfig */

static struct str number_of(struct chat_call *c, enum chat_param p)
{
    struct str value = chat_take(c, p);
    return value.n > 0 && (value.p[0] == '-' || isdigit((unsigned char)value.p[0])) ? value : STR_NULL;
}

/* A penalty of nothing is left out: several models take none at all. */
static void put_penalty(struct writer *g, enum chat_param p, const char *name)
{
    struct str value = number_of(g->c, p);
    double d;
    if (value.n > 0 && json_double((struct json_value){JSON_NUMBER, value, 0}, &d) == 0 && d != 0)
        json_member_raw(&g->w, name, value);
}

static void put_seed(struct writer *g)
{
    int64_t seed;
    if (!chat_given(g->c, PARAM_SEED) ||
        json_int((struct json_value){JSON_NUMBER, g->c->in->params[PARAM_SEED].value, 0}, &seed) != 0 ||
        seed < INT32_MIN || seed > INT32_MAX)
        return;
    json_member_raw(&g->w, "seed", chat_take(g->c, PARAM_SEED));
}

static void put_stops(struct writer *g)
{
    const struct chat_request *in = g->c->in;
    chat_take(g->c, PARAM_STOP);
    if (in->n_stop == 0)
        return;
    if (in->n_stop > MAX_STOPS)
        chat_adjust(g->c, PARAM_STOP);
    json_member_open(&g->w, "stopSequences", '[');
    for (size_t i = 0; i < in->n_stop && i < MAX_STOPS; i++)
        json_str(&g->w, in->stop[i]);
    json_close(&g->w, ']');
}

static void put_logprobs(struct writer *g)
{
    struct str wanted = chat_take(g->c, PARAM_LOGPROBS), top = number_of(g->c, PARAM_TOP_LOGPROBS);
    if (!str_eq(wanted, STR("true")) && top.n == 0)
        return;
    json_member_bool(&g->w, "responseLogprobs", true);
    if (top.n > 0 && !str_eq(top, STR("0")))
        json_member_raw(&g->w, "logprobs", top);
}

/* ["text","image"] → ["TEXT","IMAGE"] */
static int put_modalities(struct writer *g)
{
    struct str value = chat_take(g->c, PARAM_MODALITIES);
    struct json_value v;
    if (value.n == 0 || value.p[0] != '[')
        return 0;
    json_member_open(&g->w, "responseModalities", '[');
    for (size_t at = 0; json_next(value, &at, NULL, &v) == 1;) {
        struct str word = json_text(v, g->c->arena);
        if (str_ieq(word, STR("audio")))
            return chat_refuse(g->c, g->c->in->params[PARAM_MODALITIES].name,
                               "Spoken answers can't be translated from this provider.");
        char upper[16] = "";
        for (size_t i = 0; i < word.n && i < sizeof(upper) - 1; i++)
            upper[i] = (char)toupper((unsigned char)word.p[i]);
        json_strz(&g->w, upper);
    }
    json_close(&g->w, ']');
    return 0;
}

static void put_format(struct writer *g)
{
    const struct chat_request *in = g->c->in;
    if (in->format == FORMAT_TEXT || g->no_format)
        return;
    json_member_strz(&g->w, "responseMimeType", "application/json");
    if (in->format == FORMAT_SCHEMA)
        json_opt_raw(&g->w, "responseJsonSchema", in->format_schema);
}

static void put_candidate_count(struct writer *g)
{
    struct str n = number_of(g->c, PARAM_N);
    if (n.n > 0 && !str_eq(n, STR("1")))
        json_member_raw(&g->w, "candidateCount", n);
}

static int put_config(struct writer *g)
{
    static const struct {
        enum chat_param param;
        const char *name;
    } plain[] = {
        {PARAM_TEMPERATURE, "temperature"},
        {PARAM_TOP_P, "topP"},
        {PARAM_TOP_K, "topK"},
        {PARAM_MAX_TOKENS, "maxOutputTokens"},
    };
    json_member_open(&g->w, "generationConfig", '{');
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        json_opt_raw(&g->w, plain[i].name, number_of(g->c, plain[i].param));
    put_candidate_count(g);
    put_stops(g);
    put_seed(g);
    put_penalty(g, PARAM_PRESENCE_PENALTY, "presencePenalty");
    put_penalty(g, PARAM_FREQUENCY_PENALTY, "frequencyPenalty");
    put_logprobs(g);
    if (put_modalities(g) != 0)
        return -1;
    put_format(g);
    put_thinking(g);
    json_close(&g->w, '}');
    return 0;
}

/* ---- the body */

/* Schema and tools at once: the third generation takes both; before it, the answer becomes a tool, unless
 * none or only others may be called. JSON of any form is asked for in words. */
static int plan_format(struct writer *g)
{
    const struct chat_request *in = g->c->in;
    if (in->format == FORMAT_TEXT || in->n_tools == 0 || in->tool_choice == TOOLS_NONE || g->generation >= 30)
        return 0;
    g->json_told = in->format == FORMAT_JSON && !is_gemma(g->c->model);
    if (in->format == FORMAT_JSON && !g->json_told)
        return chat_refuse(g->c, "response_format", "This model can't be held to JSON while it has tools.");
    g->json_tool = !g->json_told && (in->tool_choice == TOOLS_DEFAULT || in->tool_choice == TOOLS_AUTO);
    g->no_format = true;
    return 0;
}

static int put_members(struct writer *g)
{
    const struct chat_request *in = g->c->in;
    if (plan_format(g) != 0 || put_contents(g) != 0)
        return -1;
    bool offers = in->n_tools > 0 && !(in->tool_choice == TOOLS_NONE && in->format != FORMAT_TEXT);
    if (offers) {
        put_tools(g);
        put_tool_config(g);
    }
    if (in->parallel_tools != 0)
        chat_take(g->c, PARAM_PARALLEL_TOOLS);
    if (put_config(g) != 0)
        return -1;
    struct str safety = chat_take(g->c, PARAM_SAFETY_SETTINGS);
    json_opt_raw(&g->w, "safetySettings", safety);
    return 0;
}

static struct writer writer_of(struct chat_call *c, bool vertex)
{
    unsigned generation = gemini_generation(c->model);
    return (struct writer){.c = c,
                           .w = json_writer(&c->call->room),
                           .vertex = vertex,
                           .generation = generation,
                           .ids = generation == 0 || generation >= 30};
}

static int finish(struct chat_call *c)
{
    c->call->headers = STR("content-type: application/json\r\n");
    c->call->body = buf_str(&c->call->room);
    return c->call->room.full ? chat_refuse(c, NULL, "The request is too large.") : 0;
}

int gemini_write_body(struct chat_call *c, bool vertex)
{
    struct writer g = writer_of(c, vertex);
    json_open(&g.w, '{');
    if (put_members(&g) != 0)
        return -1;
    json_close(&g.w, '}');
    return finish(c);
}

/* ---- counting */

int gemini_write_count_body(struct chat_call *c, bool vertex)
{
    struct writer g = writer_of(c, vertex);
    json_open(&g.w, '{');
    if (!vertex) {
        json_member_open(&g.w, "generateContentRequest", '{');
        json_member_str(&g.w, "model", gemini_full_name(c->model, c->arena));
    }
    if (put_contents(&g) != 0)
        return -1;
    if (c->in->n_tools > 0)
        put_tools(&g);
    if (!vertex)
        json_close(&g.w, '}');
    json_close(&g.w, '}');
    return finish(c);
}

int gemini_read_count(struct chat_reader *rd, struct str body, uint64_t *tokens)
{
    struct json_value root = json_root(body), total = google_field(root, "totalTokens");
    int64_t n;
    if (google_field(root, "error").type != JSON_ABSENT) {
        gemini_read_error(rd->r, 502, NULL, body, rd->f);
        return -1;
    }
    if (json_int(total, &n) != 0 || n < 0 || n > INT32_MAX) {
        *rd->f = (struct failure){.status = 502,
                                  .type = "server_error",
                                  .code = "upstream_malformed",
                                  .message = STR("The provider's answer tells no count.")};
        return -1;
    }
    *tokens = (uint64_t)n;
    return 0;
}

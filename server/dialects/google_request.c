/* A caller's GenerateContentRequest, member by member. Run by workers.
 *
 * Calls without an id get one by their number, so that the same conversation reads the same each time (which
 * providers' prompt caches like); results find their calls by id, else by name, else by order. */
#include "google_request.h"

#include "base64.h"
#include "google_args.h"
#include "google_json.h"
#include "json_string.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum { MAX_OPEN_CALLS = 1024, MAX_PLACE = 160 };

struct call {
    struct str google_id, id, name; /* google_id: as the caller has it; may be empty */
    bool answered;
};

struct reader {
    struct request *r;
    struct arena *a;
    struct chat_request *out;
    struct failure *f;
    struct call calls[MAX_OPEN_CALLS]; /* the latest ones */
    size_t n_calls;                    /* all there were */
};

/* -1, with a 400 that begins with the place. */
static int wrong(struct reader *g, const char *place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int wrong(struct reader *g, const char *place, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *g->f = (struct failure){.status = 400,
                             .param = arena_copy(g->a, str_of(place)).p,
                             .message = arena_printf(g->a, "%s%s%s", place, *place ? ": " : "", text)};
    return -1;
}

static int refuse_feature(struct reader *g, const char *place, struct str name)
{
    return wrong(g, place, "'" STR_FMT "' can't be translated to the provider of this model.",
                 name.n > 100 ? 100 : STR_ARG(name));
}

struct place {
    char text[MAX_PLACE];
};

static struct place at(const char *within, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static struct place at(const char *within, const char *fmt, ...)
{
    struct place p;
    char more[MAX_PLACE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(more, sizeof(more), fmt, args);
    va_end(args);
    snprintf(p.text, sizeof(p.text), "%.*s%s%.*s", MAX_PLACE / 2, within, *within ? "." : "",
             MAX_PLACE / 2 - 2, more);
    return p;
}

/* ---- signatures */

static const struct {
    struct str prefix;
    enum chat_signer signer;
    bool redacted;
} packings[] = {
    {STR("anthropic:"), SIGNER_ANTHROPIC, false},
    {STR("openai:"), SIGNER_OPENAI, false},
    {STR("anthropic-redacted:"), SIGNER_ANTHROPIC, true},
    {STR("openai-redacted:"), SIGNER_OPENAI, true},
};

struct str google_pack_signature(struct str signature, enum chat_signer signer, bool redacted,
                                 struct arena *a)
{
    struct str prefix = STR_NULL;
    for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++)
        if (packings[i].signer == signer && packings[i].redacted == redacted)
            prefix = packings[i].prefix;
    if (signature.n == 0 || prefix.n == 0)
        return signature;
    size_t max = (prefix.n + signature.n + 2) / 3 * 4 + 4;
    struct buf b = {.p = arena_alloc(a, max), .cap = max, .max = max};
    char *plain = arena_alloc(a, prefix.n + signature.n);
    memcpy(plain, prefix.p, prefix.n);
    memcpy(plain + prefix.n, signature.p, signature.n);
    base64_put(&b, (struct str){plain, prefix.n + signature.n});
    return buf_str(&b);
}

enum chat_signer google_unpack_signature(struct str packed, struct str *signature, bool *redacted,
                                         struct arena *a)
{
    struct str plain;
    *signature = packed;
    *redacted = false;
    if (packed.n == 0)
        return SIGNER_NONE;
    bool ours = str_starts(packed, STR("YW50aHJvcGlj")) || str_starts(packed, STR("b3BlbmFp"));
    if (!ours || base64_decode(packed, a, &plain) != 0)
        return SIGNER_GOOGLE;
    for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++)
        if (str_starts(plain, packings[i].prefix)) {
            *signature = (struct str){plain.p + packings[i].prefix.n, plain.n - packings[i].prefix.n};
            *redacted = packings[i].redacted;
            return packings[i].signer;
        }
    return SIGNER_GOOGLE;
}

/* ---- media */

static bool mime_is(struct str mime, const char *kind)
{
    struct str front = {mime.p, strlen(kind)};
    return mime.n > front.n && str_ieq(front, str_of(kind));
}

static enum chat_part_kind kind_of(struct str mime)
{
    return mime_is(mime, "image/") ? PART_IMAGE : mime_is(mime, "audio/") ? PART_AUDIO : PART_FILE;
}

/* Only Google can read these. */
static bool is_googles(struct str uri)
{
    return !str_starts(uri, STR("https://")) || str_starts(uri, STR("https://generativelanguage.")) ||
           str_starts(uri, STR("https://www.youtube.com/")) || str_starts(uri, STR("https://youtube.com/")) ||
           str_starts(uri, STR("https://youtu.be/"));
}

static int read_inline(struct reader *g, const char *place, struct json_value v, struct chat_part *p)
{
    enum { MIME, DATA, NAME, FIELDS };
    static const char *const names[FIELDS] = {"mimeType", "data", "displayName"};
    struct json_value m[FIELDS];
    google_fields(v, names, FIELDS, m, NULL, NULL);
    if (m[DATA].type != JSON_STRING)
        return wrong(g, place, "'data' must be a text of base64.");
    p->data = json_text(m[DATA], g->a);
    if (!chat_base64(&p->data, g->a))
        return wrong(g, place, "'data' must be a text of base64.");
    p->mime = json_text(m[MIME], g->a);
    p->name = json_text(m[NAME], g->a);
    if (p->mime.n == 0)
        p->mime = chat_media_type(p->data);
    if (p->mime.n == 0)
        return wrong(g, place, "'mimeType' is missing.");
    p->kind = kind_of(p->mime);
    return 0;
}

static int read_file(struct reader *g, const char *place, struct json_value v, struct chat_part *p)
{
    enum { MIME, URI, NAME, FIELDS };
    static const char *const names[FIELDS] = {"mimeType", "fileUri", "displayName"};
    struct json_value m[FIELDS];
    google_fields(v, names, FIELDS, m, NULL, NULL);
    struct str uri = json_text(m[URI], g->a);
    if (uri.n == 0)
        return wrong(g, place, "'fileUri' is missing.");
    p->mime = json_text(m[MIME], g->a);
    p->name = json_text(m[NAME], g->a);
    p->kind = kind_of(p->mime);
    if (is_googles(uri))
        p->file_id = uri;
    else
        p->url = uri;
    return 0;
}

/* ---- calls and results */

static struct call *recent(struct reader *g, size_t i)
{
    return &g->calls[i % MAX_OPEN_CALLS];
}

static size_t oldest(const struct reader *g)
{
    return g->n_calls > MAX_OPEN_CALLS ? g->n_calls - MAX_OPEN_CALLS : 0;
}

static bool id_taken(struct reader *g, struct str id)
{
    for (size_t i = oldest(g); i < g->n_calls; i++)
        if (str_eq(recent(g, i)->id, id))
            return true;
    return false;
}

static struct str args_of(struct reader *g, struct json_value args, struct json_value pieces)
{
    struct json_value piece;
    if (args.type == JSON_OBJECT)
        return args.raw;
    if (pieces.type == JSON_ABSENT)
        return STR("{}");
    struct google_args *all = google_args_new(g->a);
    for (size_t i = 0; google_next(pieces, &i, &piece) == 1;)
        google_args_add(all, piece);
    return google_args_text(all);
}

static int read_call(struct reader *g, const char *place, struct json_value v, struct chat_part *p)
{
    enum { NAME, ARGS, ID, PIECES, FIELDS };
    static const char *const names[FIELDS] = {"name", "args", "id", "partialArgs"};
    struct json_value m[FIELDS];
    google_fields(v, names, FIELDS, m, NULL, NULL);
    struct str id = json_text(m[ID], g->a);
    p->kind = PART_TOOL_CALL;
    p->name = json_text(m[NAME], g->a);
    if (p->name.n == 0)
        return wrong(g, place, "the name of the function is missing.");
    if (m[ARGS].type != JSON_ABSENT && m[ARGS].type != JSON_OBJECT)
        return wrong(g, place, "'args' must be an object.");
    p->arguments = args_of(g, m[ARGS], m[PIECES]);
    p->id = id;
    if (id.n == 0 || id_taken(g, id))
        p->id = arena_printf(g->a, "call_g%zu", g->n_calls);
    *recent(g, g->n_calls++) = (struct call){.google_id = id, .id = p->id, .name = p->name};
    return 0;
}

enum match { BY_ID, BY_NAME, BY_ORDER };

static bool matches(const struct call *c, enum match how, struct str id, struct str name)
{
    if (c->answered)
        return false;
    return how == BY_ID     ? id.n > 0 && str_eq(c->google_id, id)
           : how == BY_NAME ? str_eq(c->name, name)
                            : true;
}

static struct call *call_of(struct reader *g, struct str id, struct str name)
{
    for (enum match how = BY_ID; how <= BY_ORDER; how++)
        for (size_t i = oldest(g); i < g->n_calls; i++)
            if (matches(recent(g, i), how, id, name))
                return recent(g, i);
    return NULL;
}

static void add_text(struct chat_part *p, struct str text, struct arena *a)
{
    chat_add_part(&p->parts, &p->n_parts, a, PART_TEXT)->text = text;
}

/* {"output":…}, {"result":…} and {"error":…} are what SDKs wrap a plain result in. */
static void read_response(struct reader *g, struct json_value response, struct chat_part *p)
{
    struct str name;
    struct json_value v;
    size_t i = 0;
    if (response.type != JSON_OBJECT) {
        add_text(p, response.type == JSON_ABSENT ? STR("{}") : google_compact(response.raw, g->a), g->a);
        return;
    }
    if (response.count != 1 || json_next(response.raw, &i, &name, &v) != 1) {
        add_text(p, google_compact(response.raw, g->a), g->a);
        return;
    }
    bool error = json_string_is(name, STR("error"));
    if (!error && !json_string_is(name, STR("output")) && !json_string_is(name, STR("result"))) {
        add_text(p, google_compact(response.raw, g->a), g->a);
        return;
    }
    p->is_error = error;
    add_text(p, v.type == JSON_STRING ? json_text(v, g->a) : google_compact(v.raw, g->a), g->a);
}

static int read_result_part(struct reader *g, const char *place, struct json_value v, struct chat_part *p)
{
    struct json_value data = google_field(v, "inlineData"), file = google_field(v, "fileData");
    struct chat_part *media = chat_add_part(&p->parts, &p->n_parts, g->a, PART_FILE);
    if (data.type == JSON_OBJECT)
        return read_inline(g, place, data, media);
    if (file.type == JSON_OBJECT)
        return read_file(g, place, file, media);
    return wrong(g, place, "a result's part must hold 'inlineData' or 'fileData'.");
}

static int read_result(struct reader *g, const char *place, struct json_value v, struct chat_part *p)
{
    enum { NAME, RESPONSE, ID, PARTS, FIELDS };
    static const char *const names[FIELDS] = {"name", "response", "id", "parts"};
    struct json_value m[FIELDS], part;
    google_fields(v, names, FIELDS, m, NULL, NULL);
    struct call *call = call_of(g, json_text(m[ID], g->a), json_text(m[NAME], g->a));
    if (!call)
        return wrong(g, place, "there is no function call before it that it could answer.");
    call->answered = true;
    p->kind = PART_TOOL_RESULT;
    p->id = call->id;
    p->name = call->name;
    read_response(g, m[RESPONSE], p);
    for (size_t i = 0; google_next(m[PARTS], &i, &part) == 1;)
        if (read_result_part(g, place, part, p) != 0)
            return -1;
    return 0;
}

/* ---- parts */

static void read_text(struct reader *g, struct json_value text, bool thought, struct str packed,
                      struct chat_part *p)
{
    bool redacted;
    struct str signature;
    enum chat_signer signer = google_unpack_signature(packed, &signature, &redacted, g->a);
    p->kind = thought ? PART_THINKING : PART_TEXT;
    if (redacted) {
        p->kind = PART_REDACTED;
        p->data = signature;
        p->signer = signer;
        return;
    }
    p->text = json_text(text, g->a);
    p->signature = signature;
    p->signer = signer;
}

static int read_part(struct reader *g, const char *place, struct json_value part, bool model,
                     struct chat_part *p)
{
    enum { TEXT, THOUGHT, SIGNATURE, CALL, RESULT, DATA, FILE_DATA, CODE, CODE_RESULT, FIELDS };
    static const char *const names[FIELDS] = {"text",         "thought",          "thoughtSignature",
                                              "functionCall", "functionResponse", "inlineData",
                                              "fileData",     "executableCode",   "codeExecutionResult"};
    static const char *const hosted[] = {"toolCall", "toolResponse"};
    struct json_value v[FIELDS], h[2];
    google_fields(part, names, FIELDS, v, NULL, NULL);
    struct str packed = json_text(v[SIGNATURE], g->a);
    if (part.type != JSON_OBJECT)
        return wrong(g, place, "a part must be an object.");
    if (v[CALL].type == JSON_OBJECT) {
        bool redacted;
        if (!model)
            return wrong(g, place, "only the model calls functions.");
        p->signer = google_unpack_signature(packed, &p->signature, &redacted, g->a);
        return read_call(g, at(place, "functionCall").text, v[CALL], p);
    }
    if (v[RESULT].type == JSON_OBJECT)
        return read_result(g, at(place, "functionResponse").text, v[RESULT], p);
    if (v[DATA].type == JSON_OBJECT)
        return read_inline(g, at(place, "inlineData").text, v[DATA], p);
    if (v[FILE_DATA].type == JSON_OBJECT)
        return read_file(g, at(place, "fileData").text, v[FILE_DATA], p);
    google_fields(part, hosted, 2, h, NULL, NULL);
    for (size_t i = 0; i < 2; i++)
        if (h[i].type != JSON_ABSENT)
            return refuse_feature(g, place, str_of(hosted[i]));
    if (v[CODE].type == JSON_OBJECT || v[CODE_RESULT].type == JSON_OBJECT)
        p->text = google_code(v[CODE], v[CODE_RESULT], g->a);
    else if (v[TEXT].type == JSON_STRING || packed.n > 0)
        read_text(g, v[TEXT], v[THOUGHT].type == JSON_TRUE, packed, p);
    else
        return wrong(g, place,
                     v[TEXT].type == JSON_ABSENT ? "the part holds nothing that is known."
                                                 : "'text' must be a text.");
    return 0;
}

/* The message that is under way, or a new one. */
static struct chat_message *message_of(struct reader *g, enum chat_role role)
{
    size_t n = g->out->n_messages;
    if (n > 0 && g->out->messages[n - 1].role == role)
        return &g->out->messages[n - 1];
    return chat_add_message(g->out, g->a, role);
}

/* Results stand in a turn of the user; SDKs that call functions themselves leave them in the model's. */
static enum chat_role role_of(enum chat_role role, struct json_value part)
{
    return role == CHAT_ASSISTANT && google_field(part, "functionResponse").type == JSON_OBJECT ? CHAT_USER
                                                                                                : role;
}

static int read_turn(struct reader *g, const char *place, struct json_value parts, enum chat_role role)
{
    struct json_value part;
    size_t n = 0;
    for (size_t i = 0; google_next(parts, &i, &part) == 1; n++) {
        struct place here = at(place, "parts[%zu]", n);
        struct chat_message *m = message_of(g, role_of(role, part));
        struct chat_part *p = chat_add_part(&m->parts, &m->n_parts, g->a, PART_TEXT);
        if (read_part(g, here.text, part, m->role == CHAT_ASSISTANT, p) != 0)
            return -1;
    }
    return 0;
}

static int read_content(struct reader *g, size_t n, struct json_value content)
{
    struct place here = at("", "contents[%zu]", n);
    struct json_value role = google_field(content, "role"), parts = google_field(content, "parts");
    struct str name = json_text(role, g->a);
    if (content.type != JSON_OBJECT)
        return wrong(g, here.text, "a content must be an object.");
    bool model = str_eq(name, STR("model"));
    if (name.n > 0 && !model && !str_eq(name, STR("user")) && !str_eq(name, STR("function")))
        return wrong(g, here.text, "the role must be 'user' or 'model', not '" STR_FMT "'.",
                     name.n > 40 ? 40 : STR_ARG(name));
    if (role.type != JSON_ABSENT && role.type != JSON_STRING)
        return wrong(g, here.text, "'role' must be a text.");
    if (parts.type != JSON_ABSENT && parts.type != JSON_ARRAY && parts.type != JSON_OBJECT)
        return wrong(g, here.text, "'parts' must be a list.");
    if (parts.type == JSON_ABSENT && content.count > (role.type == JSON_STRING))
        return wrong(g, here.text, "'parts' is missing: what is said stands in it.");
    return read_turn(g, here.text, parts, model ? CHAT_ASSISTANT : CHAT_USER);
}

static bool goes_on(const struct chat_part *p, const struct chat_part *next)
{
    return (p->kind == PART_TEXT || p->kind == PART_THINKING) && p->kind == next->kind && p->signature.n == 0;
}

/* The texts of parts[from] to parts[to] in the first of them, the signature of the last. */
static void join(struct reader *g, struct chat_part *parts, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t i = from; i <= to; i++)
        n += parts[i].text.n;
    char *p = arena_alloc(g->a, n + 1), *end = p;
    for (size_t i = from; i <= to; i++)
        if (parts[i].text.n > 0)
            end = mempcpy(end, parts[i].text.p, parts[i].text.n);
    parts[from] = parts[to];
    parts[from].text = (struct str){p, n};
}

/* What the model said in pieces (SDKs keep a stream's chunks as the history) is one text again, and one
 * thought with its signature. */
static void join_pieces(struct reader *g, struct chat_message *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n_parts; i++) {
        size_t last = i;
        while (last + 1 < m->n_parts && goes_on(&m->parts[last], &m->parts[last + 1]))
            last++;
        if (last > i)
            join(g, m->parts, i, last);
        m->parts[kept++] = m->parts[i];
        i = last;
    }
    m->n_parts = kept;
}

static int read_contents(struct reader *g, struct json_value contents)
{
    struct json_value content;
    size_t n = 0;
    if (contents.type != JSON_ARRAY && contents.type != JSON_OBJECT)
        return wrong(g, "contents",
                     contents.type == JSON_ABSENT ? "contents are missing." : "it must be a list.");
    for (size_t i = 0; google_next(contents, &i, &content) == 1; n++)
        if (read_content(g, n, content) != 0)
            return -1;
    for (size_t i = 0; i < g->out->n_messages; i++)
        if (g->out->messages[i].role == CHAT_ASSISTANT)
            join_pieces(g, &g->out->messages[i]);
    return n > 0 ? 0 : wrong(g, "contents", "there is nothing in it.");
}

/* A text, parts, or a content. */
static int read_instruction(struct reader *g, struct json_value v)
{
    static const char place[] = "systemInstruction";
    if (v.type == JSON_ABSENT)
        return 0;
    struct chat_message *m = chat_add_message(g->out, g->a, CHAT_SYSTEM);
    if (v.type == JSON_STRING) {
        chat_add_part(&m->parts, &m->n_parts, g->a, PART_TEXT)->text = json_text(v, g->a);
        return 0;
    }
    struct json_value parts = v.type == JSON_OBJECT ? google_field(v, "parts") : v;
    if (v.type == JSON_OBJECT && parts.type == JSON_ABSENT)
        parts = v; /* a part that stands for the list of one */
    if (parts.type != JSON_ARRAY && parts.type != JSON_OBJECT)
        return wrong(g, place, "it must be a content.");
    if (read_turn(g, place, parts, CHAT_SYSTEM) != 0)
        return -1;
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind != PART_TEXT)
            return wrong(g, place, "only text may stand in it.");
    return 0;
}

/* ---- tools */

static int read_declaration(struct reader *g, const char *place, struct json_value v)
{
    enum { NAME, DESCRIPTION, PARAMETERS, SCHEMA, FIELDS };
    static const char *const names[FIELDS] = {"name", "description", "parameters", "parametersJsonSchema"};
    struct json_value m[FIELDS];
    google_fields(v, names, FIELDS, m, NULL, NULL);
    struct chat_tool *t = chat_add_tool(g->out, g->a);
    t->name = json_text(m[NAME], g->a);
    t->description = json_text(m[DESCRIPTION], g->a);
    if (t->name.n == 0)
        return wrong(g, place, "the name of the function is missing.");
    if (m[DESCRIPTION].type != JSON_ABSENT && m[DESCRIPTION].type != JSON_STRING)
        return wrong(g, place, "'description' must be a text.");
    if ((m[PARAMETERS].type != JSON_ABSENT && m[PARAMETERS].type != JSON_OBJECT) ||
        (m[SCHEMA].type != JSON_ABSENT && m[SCHEMA].type != JSON_OBJECT))
        return wrong(g, place, "the parameters must be a schema.");
    if (m[SCHEMA].type == JSON_OBJECT)
        t->schema = m[SCHEMA].raw;
    else if (m[PARAMETERS].type == JSON_OBJECT)
        t->schema = google_schema(m[PARAMETERS], g->a);
    return 0;
}

static int read_tool(struct reader *g, size_t n, struct json_value tool)
{
    struct place here = at("", "tools[%zu]", n);
    struct str name;
    struct json_value v, declaration;
    if (tool.type != JSON_OBJECT)
        return wrong(g, here.text, "a tool must be an object.");
    for (size_t i = 0; json_next(tool.raw, &i, &name, &v) == 1;) {
        if (v.type == JSON_NULL)
            continue;
        if (!google_name_is(name, "functionDeclarations"))
            return refuse_feature(g, here.text, name);
        if (v.type != JSON_ARRAY && v.type != JSON_OBJECT)
            return wrong(g, here.text, "'functionDeclarations' must be a list.");
        size_t k = 0;
        for (size_t in = 0; google_next(v, &in, &declaration) == 1; k++)
            if (read_declaration(g, at(here.text, "functionDeclarations[%zu]", k).text, declaration) != 0)
                return -1;
    }
    return 0;
}

static int read_tools(struct reader *g, struct json_value tools)
{
    struct json_value tool;
    size_t n = 0;
    if (tools.type != JSON_ABSENT && tools.type != JSON_ARRAY && tools.type != JSON_OBJECT)
        return wrong(g, "tools", "it must be a list.");
    for (size_t i = 0; google_next(tools, &i, &tool) == 1; n++)
        if (read_tool(g, n, tool) != 0)
            return -1;
    return 0;
}

static int read_mode(struct reader *g, const char *place, struct json_value mode)
{
    static const struct {
        struct str name;
        enum chat_choice_kind kind;
    } modes[] = {
        {STR("MODE_UNSPECIFIED"), TOOLS_DEFAULT},
        {STR("AUTO"), TOOLS_AUTO},
        {STR("VALIDATED"), TOOLS_AUTO},
        {STR("ANY"), TOOLS_REQUIRED},
        {STR("NONE"), TOOLS_NONE},
    };
    static const enum chat_choice_kind numbered[] = {TOOLS_DEFAULT, TOOLS_AUTO, TOOLS_REQUIRED, TOOLS_NONE,
                                                     TOOLS_AUTO};
    struct str name = json_text(mode, g->a);
    int64_t n;
    if (mode.type == JSON_ABSENT)
        return 0;
    if (json_int(mode, &n) == 0 && n >= 0 && n < (int64_t)(sizeof(numbered) / sizeof(numbered[0]))) {
        g->out->tool_choice = numbered[n];
        return 0;
    }
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (str_ieq(name, modes[i].name)) {
            g->out->tool_choice = modes[i].kind;
            return 0;
        }
    return wrong(g, place, "the mode must be AUTO, ANY, NONE or VALIDATED.");
}

static int read_tool_config(struct reader *g, struct json_value config)
{
    static const char place[] = "toolConfig.functionCallingConfig";
    struct json_value calling = google_field(config, "functionCallingConfig"),
                      names = google_field(calling, "allowedFunctionNames"), name;
    if ((config.type != JSON_ABSENT && config.type != JSON_OBJECT) ||
        (calling.type != JSON_ABSENT && calling.type != JSON_OBJECT))
        return wrong(g, place, "it must be an object.");
    if (read_mode(g, place, google_field(calling, "mode")) != 0)
        return -1;
    for (size_t i = 0; json_next(names.raw, &i, NULL, &name) == 1;) {
        if (names.type != JSON_ARRAY || name.type != JSON_STRING)
            return wrong(g, place, "'allowedFunctionNames' must be a list of names.");
        chat_add_allowed(g->out, g->a, json_text(name, g->a));
    }
    if (g->out->tool_choice == TOOLS_REQUIRED && g->out->n_allowed == 1) {
        g->out->tool_choice = TOOLS_NAMED;
        g->out->tool_name = g->out->allowed[0];
        g->out->n_allowed = 0;
        g->out->allowed = NULL;
    }
    return 0;
}

/* ---- generationConfig */

/* Protobuf's numbers may be texts, and whole ones 40.0. */
static int read_number(struct reader *g, enum chat_param p, const char *name, struct json_value v, bool whole)
{
    double d;
    if (v.type == JSON_ABSENT)
        return 0;
    if (v.type == JSON_STRING && v.raw.n > 2)
        v = json_root((struct str){v.raw.p + 1, v.raw.n - 2});
    int64_t n;
    if (json_double(v, &d) != 0)
        return wrong(g, name, "it must be a number.");
    if (whole && json_int(v, &n) != 0) {
        if (d < INT32_MIN || d > INT32_MAX || d != (double)(int64_t)d)
            return wrong(g, name, "it must be a whole number.");
        v.raw = arena_printf(g->a, "%lld", (long long)d);
    }
    chat_set_param(g->out, p, name, v);
    return 0;
}

static int read_stops(struct reader *g, struct json_value v)
{
    static const char place[] = "generationConfig.stopSequences";
    struct json_value stop;
    if (v.type == JSON_ABSENT)
        return 0;
    if (v.type != JSON_ARRAY)
        return wrong(g, place, "it must be a list of texts.");
    for (size_t i = 0; json_next(v.raw, &i, NULL, &stop) == 1;) {
        if (stop.type != JSON_STRING)
            return wrong(g, place, "it must be a list of texts.");
        chat_add_stop(g->out, g->a, json_text(stop, g->a));
    }
    if (v.count > 0)
        chat_set_param(g->out, PARAM_STOP, place, v);
    return 0;
}

static int read_format(struct reader *g, struct json_value mime, struct json_value schema,
                       struct json_value json_schema)
{
    static const char place[] = "generationConfig.responseMimeType";
    struct str type = json_text(mime, g->a);
    bool has_schema = schema.type == JSON_OBJECT || json_schema.type == JSON_OBJECT;
    if (type.n > 0 && !str_eq(type, STR("application/json")) && !str_eq(type, STR("text/plain")))
        return refuse_feature(g, place, type);
    if (has_schema) {
        g->out->format = FORMAT_SCHEMA;
        g->out->format_name = STR("response");
        g->out->format_schema =
            json_schema.type == JSON_OBJECT ? json_schema.raw : google_schema(schema, g->a);
    } else if (str_eq(type, STR("application/json")))
        g->out->format = FORMAT_JSON;
    return 0;
}

static int read_level(struct reader *g, const char *place, struct str level)
{
    static const struct str levels[] = {STR("minimal"), STR("low"), STR("medium"), STR("high")};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (str_ieq(level, levels[i])) {
            g->out->thinking = THINKING_EFFORT;
            g->out->thinking_effort = levels[i];
            return 0;
        }
    if (str_ieq(level, STR("THINKING_LEVEL_UNSPECIFIED")))
        return 0;
    return wrong(g, place, "the level must be MINIMAL, LOW, MEDIUM or HIGH.");
}

static int read_thinking(struct reader *g, struct json_value config)
{
    enum { SHOWN, BUDGET, LEVEL, FIELDS };
    static const char place[] = "generationConfig.thinkingConfig";
    static const char *const names[FIELDS] = {"includeThoughts", "thinkingBudget", "thinkingLevel"};
    struct json_value v[FIELDS];
    int64_t budget;
    google_fields(config, names, FIELDS, v, NULL, NULL);
    if (v[SHOWN].type == JSON_TRUE || v[SHOWN].type == JSON_FALSE)
        g->out->thinking_shown = v[SHOWN].type == JSON_TRUE;
    if (v[LEVEL].type != JSON_ABSENT && read_level(g, place, json_text(v[LEVEL], g->a)) != 0)
        return -1;
    if (v[BUDGET].type != JSON_ABSENT) {
        if (json_int(v[BUDGET], &budget) != 0 || budget < -1 || budget > INT32_MAX)
            return wrong(g, place, "'thinkingBudget' must be a number of tokens, 0 or -1.");
        g->out->thinking = budget == 0 ? THINKING_OFF : budget < 0 ? THINKING_ON : THINKING_BUDGET;
        g->out->thinking_budget = budget > 0 ? (uint32_t)budget : 0;
    }
    if (g->out->thinking != THINKING_DEFAULT)
        chat_set_param(g->out, PARAM_THINKING, place, config);
    return 0;
}

static bool only_text(struct json_value modalities, struct arena *a)
{
    struct json_value v;
    for (size_t i = 0; json_next(modalities.raw, &i, NULL, &v) == 1;)
        if (!str_ieq(json_text(v, a), STR("TEXT")))
            return false;
    return true;
}

struct extras {
    struct reader *g;
    const char *within;
};

static void note_extra(void *arg, struct str name, struct json_value value)
{
    struct extras *e = arg;
    (void)value;
    chat_add_extra(e->g->out, e->g->a,
                   *e->within
                       ? arena_printf(e->g->a, "%s." STR_FMT, e->within, name.n > 100 ? 100 : STR_ARG(name))
                       : name);
}

static const struct {
    const char *name, *full;
    enum chat_param param;
    bool whole;
} numbers[] = {
    {"temperature", "generationConfig.temperature", PARAM_TEMPERATURE, false},
    {"topP", "generationConfig.topP", PARAM_TOP_P, false},
    {"topK", "generationConfig.topK", PARAM_TOP_K, true},
    {"candidateCount", "generationConfig.candidateCount", PARAM_N, true},
    {"maxOutputTokens", "generationConfig.maxOutputTokens", PARAM_MAX_TOKENS, true},
    {"seed", "generationConfig.seed", PARAM_SEED, true},
    {"presencePenalty", "generationConfig.presencePenalty", PARAM_PRESENCE_PENALTY, false},
    {"frequencyPenalty", "generationConfig.frequencyPenalty", PARAM_FREQUENCY_PENALTY, false},
    {"logprobs", "generationConfig.logprobs", PARAM_TOP_LOGPROBS, true},
};
enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static int read_config(struct reader *g, struct json_value config)
{
    enum { STOPS = NUMBERS, MIME, SCHEMA, JSON_SCHEMA, LOGPROBS, MODALITIES, THINKING, FIELDS };
    const char *names[FIELDS] = {[STOPS] = "stopSequences",       [MIME] = "responseMimeType",
                                 [SCHEMA] = "responseSchema",     [JSON_SCHEMA] = "responseJsonSchema",
                                 [LOGPROBS] = "responseLogprobs", [MODALITIES] = "responseModalities",
                                 [THINKING] = "thinkingConfig"};
    struct json_value v[FIELDS];
    struct extras extras = {g, "generationConfig"};
    if (config.type != JSON_ABSENT && config.type != JSON_OBJECT)
        return wrong(g, "generationConfig", "it must be an object.");
    for (size_t i = 0; i < NUMBERS; i++)
        names[i] = numbers[i].name;
    google_fields(config, names, FIELDS, v, note_extra, &extras);
    for (size_t i = 0; i < NUMBERS; i++)
        if (read_number(g, numbers[i].param, numbers[i].full, v[i], numbers[i].whole) != 0)
            return -1;
    chat_set_param(g->out, PARAM_LOGPROBS, "generationConfig.responseLogprobs", v[LOGPROBS]);
    if (v[MODALITIES].type == JSON_ARRAY && !only_text(v[MODALITIES], g->a))
        chat_set_param(g->out, PARAM_MODALITIES, "generationConfig.responseModalities", v[MODALITIES]);
    if (read_stops(g, v[STOPS]) != 0 || read_format(g, v[MIME], v[SCHEMA], v[JSON_SCHEMA]) != 0)
        return -1;
    return read_thinking(g, v[THINKING]);
}

/* ---- the request */

static int read_body(struct reader *g, struct json_value body)
{
    enum { MODEL, CONTENTS, INSTRUCTION, TOOLS, TOOL_CONFIG, CONFIG, SAFETY, CACHED, LABELS, FIELDS };
    static const char *const names[FIELDS] = {"model",          "contents",      "systemInstruction",
                                              "tools",          "toolConfig",    "generationConfig",
                                              "safetySettings", "cachedContent", "labels"};
    struct json_value v[FIELDS];
    struct extras extras = {g, ""};
    if (body.type != JSON_OBJECT)
        return wrong(g, "", "The body must be a JSON object.");
    google_fields(body, names, FIELDS, v, note_extra, &extras);
    if (v[CACHED].type != JSON_ABSENT)
        return wrong(g, "cachedContent",
                     "it is stored at Google, where the provider of this model can't read it.");
    chat_set_param(g->out, PARAM_SAFETY_SETTINGS, "safetySettings", v[SAFETY]);
    chat_set_param(g->out, PARAM_METADATA, "labels", v[LABELS]);
    if (read_instruction(g, v[INSTRUCTION]) != 0 || read_contents(g, v[CONTENTS]) != 0 ||
        read_tools(g, v[TOOLS]) != 0 || read_tool_config(g, v[TOOL_CONFIG]) != 0)
        return -1;
    return read_config(g, v[CONFIG]);
}

int google_read_request(struct request *r, struct chat_request *out, struct failure *f)
{
    struct reader *g = arena_alloc(r->arena, sizeof(*g));
    g->r = r;
    g->a = r->arena;
    g->out = out;
    g->f = f;
    g->n_calls = 0;
    struct json_value body = json_root(r->body);
    if (r->match.endpoint == EP_COUNT_CONTENT) {
        struct json_value inner = google_field(body, "generateContentRequest");
        if (inner.type == JSON_OBJECT)
            body = inner;
    }
    return read_body(g, body);
}

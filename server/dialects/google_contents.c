/* The conversation of a caller's GenerateContentRequest. Run by workers.
 *
 * Calls without an id get one by their number, so that the same conversation reads the same each time (which
 * providers' prompt caches like); results find their calls by id, else by name, else by order. */
#include "google_reading.h"

#include "google_args.h"
#include "google_json.h"
#include "json_string.h"

#include <string.h>

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

static int check_mime(struct google_reading *g, const char *place, struct json_value v)
{
    return v.type == JSON_ABSENT || v.type == JSON_STRING
               ? 0
               : google_wrong(g, place, "'mimeType' must be a text.");
}

static int read_inline(struct google_reading *g, const char *place, struct json_value v, struct chat_part *p)
{
    enum { MIME, DATA, NAME, FIELDS };
    static const char *const names[FIELDS] = {"mimeType", "data", "displayName"};
    struct json_value m[FIELDS];
    google_fields(v, names, FIELDS, m, NULL, NULL);
    if (m[DATA].type != JSON_STRING)
        return google_wrong(g, place, "'data' must be a text of base64.");
    if (check_mime(g, place, m[MIME]) != 0)
        return -1;
    p->data = json_text(m[DATA], g->a);
    if (!chat_base64(&p->data, g->a))
        return google_wrong(g, place, "'data' must be a text of base64.");
    p->mime = json_text(m[MIME], g->a);
    p->name = json_text(m[NAME], g->a);
    if (p->mime.n == 0)
        p->mime = chat_media_type(p->data);
    if (p->mime.n == 0)
        return google_wrong(g, place, "'mimeType' is missing.");
    p->kind = kind_of(p->mime);
    return 0;
}

static int read_file(struct google_reading *g, const char *place, struct json_value v, struct chat_part *p)
{
    enum { MIME, URI, NAME, FIELDS };
    static const char *const names[FIELDS] = {"mimeType", "fileUri", "displayName"};
    struct json_value m[FIELDS];
    google_fields(v, names, FIELDS, m, NULL, NULL);
    struct str uri = json_text(m[URI], g->a);
    if (uri.n == 0)
        return google_wrong(g, place, "'fileUri' is missing.");
    if (check_mime(g, place, m[MIME]) != 0)
        return -1;
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

static struct google_call *recent(struct google_reading *g, size_t i)
{
    return &g->calls[i % GOOGLE_MAX_CALLS];
}

static size_t oldest(const struct google_reading *g)
{
    return g->n_calls > GOOGLE_MAX_CALLS ? g->n_calls - GOOGLE_MAX_CALLS : 0;
}

static bool id_taken(struct google_reading *g, struct str id)
{
    for (size_t i = oldest(g); i < g->n_calls; i++)
        if (str_eq(recent(g, i)->id, id))
            return true;
    return false;
}

static struct str args_of(struct google_reading *g, struct json_value args, struct json_value pieces)
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

static int read_call(struct google_reading *g, const char *place, struct json_value v, struct chat_part *p)
{
    enum { NAME, ARGS, ID, PIECES, FIELDS };
    static const char *const names[FIELDS] = {"name", "args", "id", "partialArgs"};
    struct json_value m[FIELDS];
    google_fields(v, names, FIELDS, m, NULL, NULL);
    struct str id = json_text(m[ID], g->a);
    p->kind = PART_TOOL_CALL;
    p->name = json_text(m[NAME], g->a);
    if (p->name.n == 0)
        return google_wrong(g, place, "the name of the function is missing.");
    if (m[ARGS].type != JSON_ABSENT && m[ARGS].type != JSON_OBJECT)
        return google_wrong(g, place, "'args' must be an object.");
    p->arguments = args_of(g, m[ARGS], m[PIECES]);
    p->id = id;
    if (id.n == 0 || id_taken(g, id))
        p->id = arena_printf(g->a, "call_g%zu", g->n_calls);
    *recent(g, g->n_calls++) = (struct google_call){.google_id = id, .id = p->id, .name = p->name};
    return 0;
}

enum match { BY_ID, BY_NAME, BY_ORDER };

static bool matches(const struct google_call *c, enum match how, struct str id, struct str name)
{
    if (c->answered)
        return false;
    return how == BY_ID     ? id.n > 0 && str_eq(c->google_id, id)
           : how == BY_NAME ? str_eq(c->name, name)
                            : true;
}

static struct google_call *call_of(struct google_reading *g, struct str id, struct str name)
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
static void read_response(struct google_reading *g, struct json_value response, struct chat_part *p)
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

static int read_result_part(struct google_reading *g, const char *place, struct json_value v,
                            struct chat_part *p)
{
    struct json_value data = google_field(v, "inlineData"), file = google_field(v, "fileData");
    struct chat_part *media = chat_add_part(&p->parts, &p->n_parts, g->a, PART_FILE);
    if (data.type == JSON_OBJECT)
        return read_inline(g, place, data, media);
    if (file.type == JSON_OBJECT)
        return read_file(g, place, file, media);
    return google_wrong(g, place, "a result's part must hold 'inlineData' or 'fileData'.");
}

static int read_result(struct google_reading *g, const char *place, struct json_value v, struct chat_part *p)
{
    enum { NAME, RESPONSE, ID, PARTS, FIELDS };
    static const char *const names[FIELDS] = {"name", "response", "id", "parts"};
    struct json_value m[FIELDS], part;
    google_fields(v, names, FIELDS, m, NULL, NULL);
    struct google_call *call = call_of(g, json_text(m[ID], g->a), json_text(m[NAME], g->a));
    if (!call)
        return google_wrong(g, place, "there is no function call before it that it could answer.");
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

static void read_text(struct google_reading *g, struct json_value text, bool thought, struct str packed,
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

static int read_part(struct google_reading *g, const char *place, struct json_value part, bool model,
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
        return google_wrong(g, place, "a part must be an object.");
    if (v[CALL].type == JSON_OBJECT) {
        bool redacted;
        if (!model)
            return google_wrong(g, place, "only the model calls functions.");
        p->signer = google_unpack_signature(packed, &p->signature, &redacted, g->a);
        return read_call(g, google_at(place, "functionCall").text, v[CALL], p);
    }
    if (v[RESULT].type == JSON_OBJECT)
        return read_result(g, google_at(place, "functionResponse").text, v[RESULT], p);
    if (v[DATA].type == JSON_OBJECT)
        return read_inline(g, google_at(place, "inlineData").text, v[DATA], p);
    if (v[FILE_DATA].type == JSON_OBJECT)
        return read_file(g, google_at(place, "fileData").text, v[FILE_DATA], p);
    google_fields(part, hosted, 2, h, NULL, NULL);
    for (size_t i = 0; i < 2; i++)
        if (h[i].type != JSON_ABSENT)
            return google_refuse(g, place, str_of(hosted[i]));
    if (v[CODE].type == JSON_OBJECT || v[CODE_RESULT].type == JSON_OBJECT)
        p->text = google_code(v[CODE], v[CODE_RESULT], g->a);
    else if (v[TEXT].type == JSON_STRING || packed.n > 0)
        read_text(g, v[TEXT], v[THOUGHT].type == JSON_TRUE, packed, p);
    else
        return google_wrong(g, place,
                            v[TEXT].type == JSON_ABSENT ? "the part holds nothing that is known."
                                                        : "'text' must be a text.");
    return 0;
}

/* The message that is under way, or a new one. */
static struct chat_message *message_of(struct google_reading *g, enum chat_role role)
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

static int read_turn(struct google_reading *g, const char *place, struct json_value parts,
                     enum chat_role role)
{
    struct json_value part;
    size_t n = 0;
    for (size_t i = 0; google_next(parts, &i, &part) == 1; n++) {
        struct google_place here = google_at(place, "parts[%zu]", n);
        struct chat_message *m = message_of(g, role_of(role, part));
        struct chat_part *p = chat_add_part(&m->parts, &m->n_parts, g->a, PART_TEXT);
        if (read_part(g, here.text, part, m->role == CHAT_ASSISTANT, p) != 0)
            return -1;
    }
    return 0;
}

static int read_content(struct google_reading *g, size_t n, struct json_value content)
{
    struct google_place here = google_at("", "contents[%zu]", n);
    struct json_value role = google_field(content, "role"), parts = google_field(content, "parts");
    struct str name = json_text(role, g->a);
    if (content.type != JSON_OBJECT)
        return google_wrong(g, here.text, "a content must be an object.");
    bool model = str_eq(name, STR("model"));
    if (name.n > 0 && !model && !str_eq(name, STR("user")) && !str_eq(name, STR("function")))
        return google_wrong(g, here.text, "the role must be 'user' or 'model', not '" STR_FMT "'.",
                            name.n > 40 ? 40 : STR_ARG(name));
    if (role.type != JSON_ABSENT && role.type != JSON_STRING)
        return google_wrong(g, here.text, "'role' must be a text.");
    if (parts.type != JSON_ABSENT && parts.type != JSON_ARRAY && parts.type != JSON_OBJECT)
        return google_wrong(g, here.text, "'parts' must be a list.");
    if (parts.type == JSON_ABSENT && content.count > (role.type == JSON_STRING))
        return google_wrong(g, here.text, "'parts' is missing: what is said stands in it.");
    return read_turn(g, here.text, parts, model ? CHAT_ASSISTANT : CHAT_USER);
}

static bool goes_on(const struct chat_part *p, const struct chat_part *next)
{
    return (p->kind == PART_TEXT || p->kind == PART_THINKING) && p->kind == next->kind && p->signature.n == 0;
}

/* The texts of parts[from] to parts[to] in the first of them, the signature of the last. */
static void join(struct google_reading *g, struct chat_part *parts, size_t from, size_t to)
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
static void join_pieces(struct google_reading *g, struct chat_message *m)
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

int google_read_contents(struct google_reading *g, struct json_value contents)
{
    struct json_value content;
    size_t n = 0;
    if (contents.type != JSON_ARRAY && contents.type != JSON_OBJECT)
        return google_wrong(g, "contents",
                            contents.type == JSON_ABSENT ? "contents are missing." : "it must be a list.");
    for (size_t i = 0; google_next(contents, &i, &content) == 1; n++)
        if (read_content(g, n, content) != 0)
            return -1;
    for (size_t i = 0; i < g->out->n_messages; i++)
        if (g->out->messages[i].role == CHAT_ASSISTANT)
            join_pieces(g, &g->out->messages[i]);
    return n > 0 ? 0 : google_wrong(g, "contents", "there is nothing in it.");
}

/* A text, parts, or a content. */
int google_read_instruction(struct google_reading *g, struct json_value v)
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
        return google_wrong(g, place, "it must be a content.");
    if (read_turn(g, place, parts, CHAT_SYSTEM) != 0)
        return -1;
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind != PART_TEXT)
            return google_wrong(g, place, "only text may stand in it.");
    return 0;
}

/* Reads requests to OpenAI's Chat Completions into the neutral form. Run by workers.
 *
 * Members are dispatched by name, once each, in the order they stand: what depends on two of them (the legacy
 * function_call and its result) is settled behind the walk. What only OpenAI itself could serve (custom
 * tools, its web search, speech, stored audio) is refused with the member's path in `param`; a member without
 * a place in the neutral form is noted by name.
 *
 * Read beside OpenAI's own: cache_control on parts, messages and tools; reasoning_content and thinking_blocks
 * of assistant turns; extra_content.google.thought_signature; thinking and reasoning objects, top_k. */
#include "openai_chat_dialect.h"

#include "base64.h"
#include "utf8.h"

#include <stdarg.h>
#include <string.h>

struct reading {
    struct request *r;
    struct arena *a;
    struct chat_request *out;
    struct failure *f;
    struct json_value functions, function_call, max_tokens, tool_choice, reasoning_effort;
    struct str last_call; /* id made up for the last legacy function_call */
    unsigned n_calls;     /* legacy ones so far */
};

/* ---- small things */

/* "messages[3].content" … */
static const char *where(struct reading *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static const char *where(struct reading *d, const char *fmt, ...)
{
    char text[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return arena_copy(d->a, str_of(text)).p;
}

static int bad(struct reading *d, const char *param, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int bad(struct reading *d, const char *param, const char *code, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *d->f = (struct failure){
        .status = 400, .code = code, .param = param, .message = arena_copy(d->a, str_of(text))};
    return -1;
}

static int bad_type(struct reading *d, const char *param, const char *want)
{
    return bad(d, param, "invalid_type", "Invalid type for '%s': expected %s.", param, want);
}

static int unsupported(struct reading *d, const char *param, const char *what)
{
    return bad(d, param, "unsupported_parameter",
               "%s can't be had from this model's provider through Chat Completions: '%s' is not supported.",
               what, param);
}

static bool given(struct json_value v)
{
    return v.type != JSON_ABSENT && v.type != JSON_NULL;
}

static bool is(struct str s, const char *z)
{
    return str_eq(s, str_of(z));
}

/* Empty where it is none. */
static struct str text_of(struct reading *d, struct json_value v)
{
    return v.type == JSON_STRING ? json_text(v, d->a) : STR_NULL;
}

static struct str member_text(struct reading *d, struct json_value v, const char *name)
{
    return text_of(d, json_member(v, name));
}

/* Members of an object in one walk over it: it may hold megabytes of base64. */
static int look(struct reading *d, struct json_value v, const char *const paths[], size_t n,
                struct json_value out[], const char *at)
{
    struct error err;
    if (v.type != JSON_OBJECT)
        return bad_type(d, at, "an object");
    if (json_scan(v.raw, paths, n, out, &err) != 0)
        return bad(d, at, "invalid_value", "Invalid '%s': %s.", at, err.text);
    return 0;
}

#define LOOK(d, v, paths, out, at) look(d, v, paths, sizeof(paths) / sizeof(paths[0]), out, at)

/* A mark for the provider's prompt cache: the extension, or OpenAI's own explicit breakpoint. */
static struct str cache_mark(struct json_value mark, struct json_value breakpoint)
{
    if (mark.type == JSON_OBJECT)
        return mark.raw;
    return breakpoint.type == JSON_OBJECT ? STR("{\"type\":\"ephemeral\"}") : STR_NULL;
}

/* Google's signature stands where its own OpenAI-compatible door has it. */
#define SIGNATURE_PATH "extra_content.google.thought_signature"

const char *openai_chat_signer_name(enum chat_signer s)
{
    static const char *const names[] = {
        [SIGNER_NONE] = NULL,
        [SIGNER_ANTHROPIC] = "anthropic",
        [SIGNER_GOOGLE] = "google",
        [SIGNER_OPENAI] = "openai",
    };
    return names[s];
}

static enum chat_signer signer_of(struct str name)
{
    return is(name, "google") ? SIGNER_GOOGLE : is(name, "openai") ? SIGNER_OPENAI : SIGNER_ANTHROPIC;
}

static struct chat_part *add(struct reading *d, struct chat_message *m, enum chat_part_kind kind)
{
    return chat_add_part(&m->parts, &m->n_parts, d->a, kind);
}

/* ---- parts of a user's message */

static bool is_utf8(struct str s)
{
    for (size_t at = 0, n; at < s.n; at += n)
        if ((n = utf8_sequence(s.p + at, s.n - at)) == 0)
            return false;
    return true;
}

/* A text file is text to everybody, whatever they think of documents. */
static void decode_text_file(struct reading *d, struct chat_part *p)
{
    struct str text;
    if (!str_starts(p->mime, STR("text/")) || base64_decode(p->data, d->a, &text) != 0 || !is_utf8(text))
        return;
    p->text = text;
    p->data = STR_NULL;
}

static struct str media_type(struct str mime, struct str data)
{
    if (mime.n == 0 || is(mime, "application/octet-stream"))
        return chat_media_type(data);
    return is(mime, "image/jpg") ? STR("image/jpeg") : mime;
}

/* url: https, or a data URL, which may as well hold a PDF. */
static int take_url(struct reading *d, struct chat_part *p, struct str url, const char *at)
{
    struct str mime;
    if (!str_starts(url, STR("data:"))) {
        p->url = url;
        return url.n > 0 ? 0 : bad(d, at, "invalid_value", "Invalid '%s': the URL is empty.", at);
    }
    if (!chat_data_url(url, &mime, &p->data))
        return bad(d, at, "invalid_value", "Invalid '%s': a data URL must hold base64.", at);
    p->mime = media_type(mime, p->data);
    if (str_starts(p->mime, STR("application/pdf")) || str_starts(p->mime, STR("text/")))
        p->kind = PART_FILE;
    if (p->kind == PART_FILE)
        decode_text_file(d, p);
    return 0;
}

static int take_image(struct reading *d, struct chat_part *p, struct json_value image, const char *at)
{
    p->kind = PART_IMAGE;
    if (image.type == JSON_STRING) /* Mistral's callers */
        return take_url(d, p, json_text(image, d->a), at);
    static const char *const paths[] = {"url", "detail"};
    struct json_value v[2];
    if (LOOK(d, image, paths, v, at) != 0)
        return -1;
    if (v[0].type != JSON_STRING)
        return bad_type(d, at, "an object with a string in 'url'");
    p->detail = text_of(d, v[1]);
    return take_url(d, p, json_text(v[0], d->a), at);
}

static int take_audio(struct reading *d, struct chat_part *p, struct json_value audio, const char *at)
{
    static const char *const paths[] = {"data", "format"};
    struct json_value v[2];
    if (LOOK(d, audio, paths, v, at) != 0)
        return -1;
    p->kind = PART_AUDIO;
    p->data = text_of(d, v[0]);
    struct str format = text_of(d, v[1]);
    if (p->data.n == 0 || format.n == 0 || format.n > 32)
        return bad_type(d, at, "an object with 'data' (base64) and 'format'");
    p->mime = arena_printf(d->a, "audio/" STR_FMT, STR_ARG(format));
    return 0;
}

static int take_file(struct reading *d, struct chat_part *p, struct json_value file, const char *at)
{
    static const char *const paths[] = {"filename", "file_id", "file_data"};
    struct json_value v[3];
    if (LOOK(d, file, paths, v, at) != 0)
        return -1;
    p->kind = PART_FILE;
    p->name = text_of(d, v[0]);
    p->file_id = text_of(d, v[1]);
    struct str data = text_of(d, v[2]);
    if (data.n == 0 && p->file_id.n == 0)
        return bad_type(d, at, "an object with 'file_data' or 'file_id'");
    if (data.n == 0)
        return 0;
    p->file_id = STR_NULL;
    if (str_starts(data, STR("data:")) || str_starts(data, STR("https:")) || str_starts(data, STR("http:"))) {
        if (take_url(d, p, data, at) != 0)
            return -1;
        p->kind = str_starts(p->mime, STR("image/")) ? PART_IMAGE : PART_FILE;
        return 0;
    }
    p->data = data;
    p->mime = chat_media_type(data);
    return 0;
}

enum { P_TYPE, P_TEXT, P_IMAGE, P_AUDIO, P_FILE, P_REFUSAL, P_MARK, P_BREAKPOINT, P_SIGNATURE, PART_MEMBERS };

static const char *const part_paths[PART_MEMBERS] = {
    [P_TYPE] = "type",
    [P_TEXT] = "text",
    [P_IMAGE] = "image_url",
    [P_AUDIO] = "input_audio",
    [P_FILE] = "file",
    [P_REFUSAL] = "refusal",
    [P_MARK] = "cache_control",
    [P_BREAKPOINT] = "prompt_cache_breakpoint",
    [P_SIGNATURE] = SIGNATURE_PATH,
};

static int take_text(struct reading *d, struct chat_part *p, const struct json_value v[], const char *at)
{
    if (v[P_TEXT].type != JSON_STRING)
        return bad_type(d, where(d, "%s.text", at), "a string");
    p->text = json_text(v[P_TEXT], d->a);
    p->signature = text_of(d, v[P_SIGNATURE]);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
    return 0;
}

static int take_part(struct reading *d, struct chat_message *m, struct json_value part, const char *at)
{
    struct json_value v[PART_MEMBERS];
    if (LOOK(d, part, part_paths, v, at) != 0)
        return -1;
    struct str kind = text_of(d, v[P_TYPE]);
    struct chat_part *p = add(d, m, PART_TEXT);
    p->cache_control = cache_mark(v[P_MARK], v[P_BREAKPOINT]);
    if (is(kind, "text") || is(kind, "input_text") || is(kind, "output_text"))
        return take_text(d, p, v, at);
    if (is(kind, "image_url"))
        return take_image(d, p, v[P_IMAGE], where(d, "%s.image_url", at));
    if (is(kind, "input_audio"))
        return take_audio(d, p, v[P_AUDIO], where(d, "%s.input_audio", at));
    if (is(kind, "file"))
        return take_file(d, p, v[P_FILE], where(d, "%s.file", at));
    if (is(kind, "refusal")) {
        p->kind = PART_REFUSAL;
        p->text = text_of(d, v[P_REFUSAL]);
        return 0;
    }
    return bad(d, where(d, "%s.type", at), "invalid_value", "Invalid value: '" STR_FMT "' in '%s.type'.",
               STR_ARG(kind), at);
}

static int take_content(struct reading *d, struct chat_message *m, struct json_value content, const char *at)
{
    struct json_value v;
    size_t next = 0;
    if (content.type == JSON_STRING) {
        add(d, m, PART_TEXT)->text = json_text(content, d->a);
        return 0;
    }
    if (content.type != JSON_ARRAY)
        return given(content) ? bad_type(d, at, "a string or an array of parts") : 0;
    for (unsigned i = 0; json_next(content.raw, &next, NULL, &v); i++)
        if (take_part(d, m, v, where(d, "%s[%u]", at, i)) != 0)
            return -1;
    return 0;
}

/* ---- messages */

enum {
    M_ROLE,
    M_CONTENT,
    M_NAME,
    M_TOOL_CALLS,
    M_FUNCTION_CALL,
    M_TOOL_CALL_ID,
    M_REFUSAL,
    M_AUDIO,
    M_REASONING_CONTENT,
    M_REASONING,
    M_THINKING_BLOCKS,
    M_MARK,
    M_BREAKPOINT,
    M_SIGNATURE,
    MESSAGE_MEMBERS
};

static const char *const message_paths[MESSAGE_MEMBERS] = {
    [M_ROLE] = "role",
    [M_CONTENT] = "content",
    [M_NAME] = "name",
    [M_TOOL_CALLS] = "tool_calls",
    [M_FUNCTION_CALL] = "function_call",
    [M_TOOL_CALL_ID] = "tool_call_id",
    [M_REFUSAL] = "refusal",
    [M_AUDIO] = "audio",
    [M_REASONING_CONTENT] = "reasoning_content",
    [M_REASONING] = "reasoning",
    [M_THINKING_BLOCKS] = "thinking_blocks",
    [M_MARK] = "cache_control",
    [M_BREAKPOINT] = "prompt_cache_breakpoint",
    [M_SIGNATURE] = SIGNATURE_PATH,
};

static void take_thinking_block(struct reading *d, struct chat_message *m, struct json_value v)
{
    struct str type = member_text(d, v, "type");
    if (is(type, "redacted_thinking")) {
        struct chat_part *p = add(d, m, PART_REDACTED);
        p->data = member_text(d, v, "data");
        p->signer = signer_of(member_text(d, v, "signer"));
    } else if (is(type, "thinking")) {
        struct chat_part *p = add(d, m, PART_THINKING);
        p->text = member_text(d, v, "thinking");
        p->signature = member_text(d, v, "signature");
        p->signer = p->signature.n > 0 ? signer_of(member_text(d, v, "signer")) : SIGNER_NONE;
    }
}

/* The blocks hold all of the thinking, with signatures; else there is its text alone. */
static void take_thinking(struct reading *d, struct chat_message *m, const struct json_value v[])
{
    struct json_value block;
    size_t next = 0;
    if (v[M_THINKING_BLOCKS].type == JSON_ARRAY)
        while (json_next(v[M_THINKING_BLOCKS].raw, &next, NULL, &block))
            take_thinking_block(d, m, block);
    if (m->n_parts > 0)
        return;
    struct str text = text_of(d, v[M_REASONING_CONTENT]);
    if (text.n == 0)
        text = text_of(d, v[M_REASONING]);
    if (text.n > 0)
        add(d, m, PART_THINKING)->text = text;
}

static struct str arguments_of(struct reading *d, struct json_value v)
{
    return v.type == JSON_STRING ? json_text(v, d->a) : given(v) ? v.raw : STR_NULL;
}

static int missing(struct reading *d, const char *at, const char *member)
{
    const char *param = where(d, "%s.%s", at, member);
    return bad(d, param, "missing_required_parameter", "Missing required parameter: '%s'.", param);
}

static int take_tool_call(struct reading *d, struct chat_message *m, struct json_value call, const char *at)
{
    static const char *const paths[] = {"type", "id", "function.name", "function.arguments", SIGNATURE_PATH};
    enum { TYPE, ID, NAME, ARGUMENTS, SIGNATURE };
    struct json_value v[5];
    if (LOOK(d, call, paths, v, at) != 0)
        return -1;
    if (given(v[TYPE]) && !is(text_of(d, v[TYPE]), "function"))
        return unsupported(d, where(d, "%s.type", at), "A call of a custom tool");
    struct chat_part *p = add(d, m, PART_TOOL_CALL);
    p->id = text_of(d, v[ID]);
    p->name = text_of(d, v[NAME]);
    p->arguments = arguments_of(d, v[ARGUMENTS]);
    p->signature = text_of(d, v[SIGNATURE]);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
    if (p->id.n == 0)
        return missing(d, at, "id");
    return p->name.n > 0 ? 0 : missing(d, at, "function.name");
}

static int take_tool_calls(struct reading *d, struct chat_message *m, struct json_value calls, const char *at)
{
    struct json_value v;
    size_t next = 0;
    if (!given(calls))
        return 0;
    if (calls.type != JSON_ARRAY)
        return bad_type(d, where(d, "%s.tool_calls", at), "an array of tool calls");
    for (unsigned i = 0; json_next(calls.raw, &next, NULL, &v); i++)
        if (take_tool_call(d, m, v, where(d, "%s.tool_calls[%u]", at, i)) != 0)
            return -1;
    return 0;
}

/* The legacy form has no id: its result is the next function message. */
static int take_function_call(struct reading *d, struct chat_message *m, struct json_value call,
                              const char *at)
{
    if (!given(call))
        return 0;
    struct chat_part *p = add(d, m, PART_TOOL_CALL);
    p->name = member_text(d, call, "name");
    p->arguments = arguments_of(d, json_member(call, "arguments"));
    p->id = d->last_call = arena_printf(d->a, "call_function%u", d->n_calls++);
    return p->name.n > 0 ? 0 : missing(d, at, "function_call.name");
}

/* Google's signature of a whole message stands on its text, or, where there is none, on a text of nothing. */
static void take_text_signature(struct reading *d, struct chat_message *m, struct str signature)
{
    struct chat_part *text = NULL;
    if (signature.n == 0 || chat_has(m->parts, m->n_parts, PART_TOOL_CALL))
        return;
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == PART_TEXT)
            text = &m->parts[i];
    if (!text)
        text = add(d, m, PART_TEXT);
    text->signature = signature;
    text->signer = SIGNER_GOOGLE;
}

static int take_assistant(struct reading *d, const struct json_value v[], const char *at)
{
    struct chat_message *m = chat_add_message(d->out, d->a, CHAT_ASSISTANT);
    struct str refusal = text_of(d, v[M_REFUSAL]);
    if (given(v[M_AUDIO]))
        return unsupported(d, where(d, "%s.audio", at), "Audio that OpenAI keeps");
    take_thinking(d, m, v);
    if (take_content(d, m, v[M_CONTENT], where(d, "%s.content", at)) != 0)
        return -1;
    if (refusal.n > 0)
        add(d, m, PART_REFUSAL)->text = refusal;
    if (take_tool_calls(d, m, v[M_TOOL_CALLS], at) != 0 ||
        take_function_call(d, m, v[M_FUNCTION_CALL], at) != 0)
        return -1;
    take_text_signature(d, m, text_of(d, v[M_SIGNATURE]));
    return 0;
}

static int take_result(struct reading *d, const struct json_value v[], bool legacy, const char *at)
{
    struct chat_message *m = chat_add_message(d->out, d->a, CHAT_USER), content = {0};
    struct chat_part *p = add(d, m, PART_TOOL_RESULT);
    p->id = legacy ? d->last_call : text_of(d, v[M_TOOL_CALL_ID]);
    p->name = legacy ? text_of(d, v[M_NAME]) : STR_NULL;
    if (p->id.n == 0 && legacy)
        return bad(d, at, "invalid_value", "Invalid '%s': no 'function_call' stands before this result.", at);
    if (p->id.n == 0)
        return missing(d, at, "tool_call_id");
    if (take_content(d, &content, v[M_CONTENT], where(d, "%s.content", at)) != 0)
        return -1;
    p->parts = content.parts;
    p->n_parts = content.n_parts;
    for (size_t i = 0; i < p->n_parts; i++)
        if (p->parts[i].cache_control.n > 0)
            p->cache_control = p->parts[i].cache_control;
    return 0;
}

/* A mark on the message as a whole is one on its last part. */
static void take_message_mark(struct reading *d, const struct json_value v[])
{
    struct chat_message *m = &d->out->messages[d->out->n_messages - 1];
    struct str mark = cache_mark(v[M_MARK], v[M_BREAKPOINT]);
    if (m->n_parts > 0 && mark.n > 0)
        m->parts[m->n_parts - 1].cache_control = mark;
}

static int take_role(struct reading *d, const struct json_value v[], const char *at)
{
    struct str role = text_of(d, v[M_ROLE]);
    bool user = is(role, "user");
    if (user || is(role, "system") || is(role, "developer"))
        return take_content(d, chat_add_message(d->out, d->a, user ? CHAT_USER : CHAT_SYSTEM), v[M_CONTENT],
                            where(d, "%s.content", at));
    if (is(role, "assistant"))
        return take_assistant(d, v, at);
    if (is(role, "tool") || is(role, "function"))
        return take_result(d, v, is(role, "function"), at);
    if (role.n == 0)
        return missing(d, at, "role");
    return bad(d, where(d, "%s.role", at), "invalid_value", "Invalid value: '" STR_FMT "' in '%s.role'.",
               STR_ARG(role), at);
}

static int take_message(struct reading *d, struct json_value message, const char *at)
{
    struct json_value v[MESSAGE_MEMBERS];
    if (LOOK(d, message, message_paths, v, at) != 0 || take_role(d, v, at) != 0)
        return -1;
    struct chat_message *m = &d->out->messages[d->out->n_messages - 1];
    if (!chat_has(m->parts, m->n_parts, PART_TOOL_RESULT)) /* there it is the function's */
        m->name = text_of(d, v[M_NAME]);
    take_message_mark(d, v);
    return 0;
}

static int take_messages(struct reading *d, struct json_value messages)
{
    struct json_value v;
    size_t next = 0;
    if (messages.type != JSON_ARRAY)
        return given(messages) ? bad_type(d, "messages", "an array of messages")
                               : bad(d, "messages", "missing_required_parameter",
                                     "Missing required parameter: 'messages'.");
    if (messages.count == 0)
        return bad(d, "messages", "empty_array", "Invalid 'messages': it must hold at least one message.");
    for (unsigned i = 0; json_next(messages.raw, &next, NULL, &v); i++)
        if (take_message(d, v, where(d, "messages[%u]", i)) != 0)
            return -1;
    return 0;
}

/* ---- tools */

static int truth(struct json_value v)
{
    return v.type == JSON_TRUE ? 1 : v.type == JSON_FALSE ? 0 : -1;
}

static int take_function(struct reading *d, struct json_value function, struct str mark, const char *at)
{
    static const char *const paths[] = {"name", "description", "parameters", "strict", "cache_control"};
    enum { NAME, DESCRIPTION, PARAMETERS, STRICT, MARK };
    struct json_value v[5];
    if (LOOK(d, function, paths, v, at) != 0)
        return -1;
    struct str name = text_of(d, v[NAME]);
    if (name.n == 0)
        return missing(d, at, "name");
    if (given(v[PARAMETERS]) && v[PARAMETERS].type != JSON_OBJECT)
        return bad_type(d, where(d, "%s.parameters", at), "a JSON schema (an object)");
    struct chat_tool *t = chat_add_tool(d->out, d->a);
    t->name = name;
    t->description = text_of(d, v[DESCRIPTION]);
    t->schema = given(v[PARAMETERS]) ? v[PARAMETERS].raw : STR_NULL;
    t->strict = truth(v[STRICT]);
    t->cache_control = mark.n > 0 ? mark : cache_mark(v[MARK], (struct json_value){0});
    return 0;
}

static int take_tool(struct reading *d, struct json_value tool, const char *at)
{
    static const char *const paths[] = {"type", "function", "cache_control"};
    struct json_value v[3];
    if (LOOK(d, tool, paths, v, at) != 0)
        return -1;
    if (!is(text_of(d, v[0]), "function"))
        return unsupported(d, where(d, "%s.type", at), "A tool that is no function of the caller's own");
    return take_function(d, v[1], cache_mark(v[2], (struct json_value){0}), where(d, "%s.function", at));
}

static int take_tools(struct reading *d, struct json_value tools)
{
    struct json_value v;
    size_t next = 0;
    if (tools.type != JSON_ARRAY)
        return bad_type(d, "tools", "an array of tools");
    for (unsigned i = 0; json_next(tools.raw, &next, NULL, &v); i++)
        if (take_tool(d, v, where(d, "tools[%u]", i)) != 0)
            return -1;
    return 0;
}

static int take_functions(struct reading *d, struct json_value functions)
{
    struct json_value v;
    size_t next = 0;
    if (!given(functions) || d->out->n_tools > 0)
        return 0;
    if (functions.type != JSON_ARRAY)
        return bad_type(d, "functions", "an array of functions");
    for (unsigned i = 0; json_next(functions.raw, &next, NULL, &v); i++)
        if (take_function(d, v, STR_NULL, where(d, "functions[%u]", i)) != 0)
            return -1;
    return 0;
}

static int take_choice_word(struct reading *d, struct str word, const char *at)
{
    if (is(word, "none"))
        d->out->tool_choice = TOOLS_NONE;
    else if (is(word, "auto"))
        d->out->tool_choice = TOOLS_AUTO;
    else if (is(word, "required") || is(word, "any"))
        d->out->tool_choice = TOOLS_REQUIRED;
    else
        return bad(d, at, "invalid_value", "Invalid value: '" STR_FMT "' in '%s'.", STR_ARG(word), at);
    return 0;
}

static int take_choice_name(struct reading *d, struct str name, const char *at)
{
    if (!chat_tool(d->out, name))
        return bad(d, at, "invalid_value", "Invalid '%s': no tool of that name is among the request's.", at);
    d->out->tool_choice = TOOLS_NAMED;
    d->out->tool_name = name;
    return 0;
}

static int take_allowed(struct reading *d, struct json_value allowed)
{
    static const char at[] = "tool_choice.allowed_tools";
    struct json_value tools = json_member(allowed, "tools"), v;
    size_t next = 0;
    if (tools.type != JSON_ARRAY || take_choice_word(d, member_text(d, allowed, "mode"), at) != 0)
        return bad_type(d, at, "an object with 'mode' and 'tools'");
    while (json_next(tools.raw, &next, NULL, &v)) {
        struct str name = member_text(d, json_member(v, "function"), "name");
        if (!chat_tool(d->out, name))
            return bad(d, at, "invalid_value", "Invalid '%s': it names what is no tool of the request.", at);
        chat_add_allowed(d->out, d->a, name);
    }
    return 0;
}

/* Behind the tools, which it names. */
static int take_tool_choice(struct reading *d)
{
    struct json_value v = d->tool_choice;
    const char *at = "tool_choice";
    int rc = 0;
    if (!given(v) && given(d->function_call)) {
        v = d->function_call;
        at = "function_call";
    }
    if (!given(v))
        return 0;
    struct str type = member_text(d, v, "type");
    if (v.type == JSON_STRING)
        rc = take_choice_word(d, json_text(v, d->a), at);
    else if (v.type != JSON_OBJECT)
        rc = bad_type(d, at, "a string or an object");
    else if (is(type, "allowed_tools"))
        rc = take_allowed(d, json_member(v, "allowed_tools"));
    else if (is(type, "custom"))
        rc = unsupported(d, at, "A custom tool");
    else if (given(json_member(v, "function")))
        rc = take_choice_name(d, member_text(d, json_member(v, "function"), "name"), at);
    else
        rc = take_choice_name(d, member_text(d, v, "name"), at);
    if (rc == 0 && d->out->n_tools == 0 && d->out->tool_choice == TOOLS_REQUIRED)
        rc = bad(d, at, "invalid_value", "'%s' is only allowed where the request has tools.", at);
    return rc;
}

/* ---- other members */

static int take_format(struct reading *d, struct json_value v)
{
    struct str type = member_text(d, v, "type");
    struct json_value schema = json_member(v, "json_schema");
    if (is(type, "text"))
        return 0;
    if (is(type, "json_object")) {
        d->out->format = FORMAT_JSON;
        return 0;
    }
    if (!is(type, "json_schema"))
        return bad(d, "response_format.type", "invalid_value", "Invalid value in 'response_format.type'.");
    struct json_value text = json_member(schema, "schema");
    if (schema.type != JSON_OBJECT || (given(text) && text.type != JSON_OBJECT))
        return bad_type(d, "response_format.json_schema", "an object with 'name' and 'schema'");
    d->out->format = given(text) ? FORMAT_SCHEMA : FORMAT_JSON;
    d->out->format_name = member_text(d, schema, "name");
    d->out->format_description = member_text(d, schema, "description");
    d->out->format_schema = given(text) ? text.raw : STR_NULL;
    d->out->format_strict = truth(json_member(schema, "strict"));
    return 0;
}

static int take_stop(struct reading *d, struct json_value v)
{
    struct json_value s;
    size_t next = 0;
    if (v.type == JSON_STRING)
        chat_add_stop(d->out, d->a, json_text(v, d->a));
    else if (v.type != JSON_ARRAY)
        return bad_type(d, "stop", "a string or an array of strings");
    else
        while (json_next(v.raw, &next, NULL, &s)) {
            if (s.type != JSON_STRING)
                return bad_type(d, "stop", "a string or an array of strings");
            chat_add_stop(d->out, d->a, json_text(s, d->a));
        }
    if (d->out->n_stop > 0)
        chat_set_param(d->out, PARAM_STOP, "stop", v);
    return 0;
}

static void take_effort(struct reading *d, const char *name, struct json_value v)
{
    struct str effort = text_of(d, v);
    chat_set_param(d->out, PARAM_THINKING, name, v);
    d->out->thinking = is(effort, "none") ? THINKING_OFF : THINKING_EFFORT;
    d->out->thinking_effort = is(effort, "none") ? STR_NULL : effort;
}

static bool take_budget(struct reading *d, struct json_value budget)
{
    int64_t n;
    if (budget.type != JSON_NUMBER || json_int(budget, &n) != 0 || n < 0 || n > INT32_MAX)
        return false;
    d->out->thinking = n > 0 ? THINKING_BUDGET : THINKING_OFF;
    d->out->thinking_budget = (uint32_t)n;
    return true;
}

/* Anthropic's and DeepSeek's {"type":…,"budget_tokens":…}. */
static int take_thinking_object(struct reading *d, struct json_value v)
{
    struct str type = member_text(d, v, "type");
    if (v.type != JSON_OBJECT)
        return bad_type(d, "thinking", "an object");
    if (!take_budget(d, json_member(v, "budget_tokens")))
        d->out->thinking = THINKING_ON;
    if (is(type, "disabled"))
        d->out->thinking = THINKING_OFF;
    chat_set_param(d->out, PARAM_THINKING, "thinking", v);
    return 0;
}

/* OpenRouter's {"effort":…,"max_tokens":…,"enabled":…,"exclude":…}. */
static int take_reasoning_object(struct reading *d, struct json_value v)
{
    struct json_value effort = json_member(v, "effort");
    if (v.type != JSON_OBJECT)
        return bad_type(d, "reasoning", "an object");
    if (effort.type == JSON_STRING)
        take_effort(d, "reasoning", effort);
    else if (!take_budget(d, json_member(v, "max_tokens")))
        d->out->thinking = json_member(v, "enabled").type == JSON_FALSE ? THINKING_OFF : THINKING_ON;
    if (json_member(v, "exclude").type == JSON_TRUE)
        d->out->thinking_shown = 0;
    chat_set_param(d->out, PARAM_THINKING, "reasoning", v);
    return 0;
}

static int take_modalities(struct reading *d, struct json_value v)
{
    struct json_value s;
    size_t next = 0;
    bool others = false;
    if (v.type != JSON_ARRAY)
        return bad_type(d, "modalities", "an array of strings");
    while (json_next(v.raw, &next, NULL, &s)) {
        struct str name = text_of(d, s);
        if (is(name, "audio"))
            return unsupported(d, "modalities", "Spoken output");
        others |= !is(name, "text");
    }
    if (others)
        chat_set_param(d->out, PARAM_MODALITIES, "modalities", v);
    return 0;
}

/* Parameters whose value is taken as it stands, when it has the right type. */
static const struct {
    const char *name;
    enum chat_param param;
    enum json_type type; /* JSON_TRUE: either truth value */
    const char *want;
} plain[] = {
    {"temperature", PARAM_TEMPERATURE, JSON_NUMBER, "a number"},
    {"top_p", PARAM_TOP_P, JSON_NUMBER, "a number"},
    {"top_k", PARAM_TOP_K, JSON_NUMBER, "an integer"},
    {"n", PARAM_N, JSON_NUMBER, "an integer"},
    {"seed", PARAM_SEED, JSON_NUMBER, "an integer"},
    {"presence_penalty", PARAM_PRESENCE_PENALTY, JSON_NUMBER, "a number"},
    {"frequency_penalty", PARAM_FREQUENCY_PENALTY, JSON_NUMBER, "a number"},
    {"logprobs", PARAM_LOGPROBS, JSON_TRUE, "a boolean"},
    {"top_logprobs", PARAM_TOP_LOGPROBS, JSON_NUMBER, "an integer"},
    {"logit_bias", PARAM_LOGIT_BIAS, JSON_OBJECT, "an object"},
    {"safety_identifier", PARAM_USER, JSON_STRING, "a string"},
    {"user", PARAM_USER, JSON_STRING, "a string"},
    {"metadata", PARAM_METADATA, JSON_OBJECT, "an object"},
    {"service_tier", PARAM_SERVICE_TIER, JSON_STRING, "a string"},
    {"verbosity", PARAM_VERBOSITY, JSON_STRING, "a string"},
    {"prompt_cache_key", PARAM_CACHE_KEY, JSON_STRING, "a string"},
    {"prediction", PARAM_PREDICTION, JSON_OBJECT, "an object"},
};

/* 1: it was one of them, 0: it wasn't, -1: *f. */
static int take_plain(struct reading *d, struct str name, struct json_value v)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (!is(name, plain[i].name))
            continue;
        bool truth = plain[i].type == JSON_TRUE && v.type == JSON_FALSE;
        if (v.type != plain[i].type && !truth)
            return bad_type(d, plain[i].name, plain[i].want);
        bool kept = plain[i].param == PARAM_USER && d->out->params[PARAM_USER].name && is(name, "user");
        bool empty = (v.type == JSON_OBJECT && v.count == 0) || truth; /* asks for nothing */
        if (!kept && !empty)
            chat_set_param(d->out, plain[i].param, plain[i].name, v);
        return 1;
    }
    return 0;
}

static int take_max_tokens(struct reading *d, const char *name, struct json_value v)
{
    int64_t n;
    if (v.type != JSON_NUMBER || json_int(v, &n) != 0)
        return bad_type(d, name, "an integer");
    if (n < 1)
        return bad(d, name, "integer_below_min_value", "Invalid '%s': it must be at least 1.", name);
    chat_set_param(d->out, PARAM_MAX_TOKENS, name, v);
    return 0;
}

static int take_parallel(struct reading *d, struct json_value v)
{
    if (v.type != JSON_TRUE && v.type != JSON_FALSE)
        return bad_type(d, "parallel_tool_calls", "a boolean");
    d->out->parallel_tools = v.type == JSON_TRUE;
    chat_set_param(d->out, PARAM_PARALLEL_TOOLS, "parallel_tool_calls", v);
    return 0;
}

/* Members that are read when all of them are known. */
static bool keep(struct reading *d, struct str name, struct json_value v)
{
    const struct {
        const char *name;
        struct json_value *at;
    } kept[] = {
        {"functions", &d->functions},
        {"function_call", &d->function_call},
        {"max_tokens", &d->max_tokens},
        {"tool_choice", &d->tool_choice},
        {"reasoning_effort", &d->reasoning_effort},
    };
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (is(name, kept[i].name)) {
            *kept[i].at = v;
            return true;
        }
    return false;
}

/* What others see to, or what asks for the default. */
static bool is_nothing(struct str name, struct json_value v)
{
    return is(name, "model") || is(name, "stream") || is(name, "stream_options") || !given(v) ||
           (is(name, "store") && v.type == JSON_FALSE);
}

static int take_member(struct reading *d, struct str name, struct json_value v)
{
    if (is(name, "messages"))
        return take_messages(d, v);
    if (is_nothing(name, v) || keep(d, name, v))
        return 0;
    if (is(name, "tools"))
        return take_tools(d, v);
    if (is(name, "response_format"))
        return take_format(d, v);
    if (is(name, "stop"))
        return take_stop(d, v);
    if (is(name, "max_completion_tokens"))
        return take_max_tokens(d, "max_completion_tokens", v);
    if (is(name, "parallel_tool_calls"))
        return take_parallel(d, v);
    if (is(name, "modalities"))
        return take_modalities(d, v);
    if (is(name, "thinking"))
        return take_thinking_object(d, v);
    if (is(name, "reasoning"))
        return take_reasoning_object(d, v);
    if (is(name, "web_search_options"))
        return unsupported(d, "web_search_options", "OpenAI's web search");
    if (is(name, "audio"))
        return unsupported(d, "audio", "Spoken output");
    int rc = take_plain(d, name, v);
    if (rc == 0)
        chat_add_extra(d->out, d->a, arena_copy(d->a, name));
    return rc < 0 ? -1 : 0;
}

static int finish(struct reading *d)
{
    const struct chat_param_value *max = &d->out->params[PARAM_MAX_TOKENS];
    if (given(d->max_tokens) && !max->name && take_max_tokens(d, "max_tokens", d->max_tokens) != 0)
        return -1;
    if (given(d->reasoning_effort)) {
        if (d->reasoning_effort.type != JSON_STRING)
            return bad_type(d, "reasoning_effort", "a string");
        take_effort(d, "reasoning_effort", d->reasoning_effort);
    }
    return take_functions(d, d->functions) != 0 ? -1 : take_tool_choice(d);
}

static int read_request(struct request *r, struct chat_request *out, struct failure *f)
{
    struct reading d = {.r = r, .a = r->arena, .out = out, .f = f};
    struct str name;
    struct json_value v;
    size_t next = 0;
    bool messages = false;
    while (json_next(r->body, &next, &name, &v)) {
        messages |= is(name, "messages");
        if (take_member(&d, name, v) != 0)
            return -1;
    }
    if (!messages)
        return take_messages(&d, (struct json_value){.type = JSON_ABSENT});
    return finish(&d);
}

const struct chat_dialect dialect_chat = {
    .name = "chat",
    .read = read_request,
    .write = openai_chat_write,
    .begin = openai_chat_begin,
    .delta = openai_chat_delta,
    .end = openai_chat_end,
    .fail = openai_chat_fail,
};

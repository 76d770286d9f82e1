/* Reads the conversation of a request to OpenAI's Chat Completions. Run by workers. */
#include "openai_chat_dialect.h"

#include "base64.h"
#include "custom_tool.h"
#include "utf8.h"

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

static struct chat_part *add(struct openai_reading *d, struct chat_message *m, enum chat_part_kind kind)
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
static void decode_text_file(struct openai_reading *d, struct chat_part *p)
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

/* Base64 that was given: as every provider takes it, or *f. */
static int take_data(struct openai_reading *d, struct chat_part *p, struct str data, const char *at)
{
    p->data = data;
    if (!chat_base64(&p->data, d->a))
        return reading_bad(d, at, "invalid_value", "Invalid '%s': its data is no base64.", at);
    return 0;
}

/* url: https, or a data URL, which may as well hold a PDF. */
static int take_url(struct openai_reading *d, struct chat_part *p, struct str url, const char *at)
{
    struct str mime, data;
    if (!str_starts(url, STR("data:"))) {
        p->url = url;
        return url.n > 0 ? 0 : reading_bad(d, at, "invalid_value", "Invalid '%s': the URL is empty.", at);
    }
    if (!chat_data_url(url, &mime, &data))
        return reading_bad(d, at, "invalid_value", "Invalid '%s': a data URL must hold base64.", at);
    if (take_data(d, p, data, at) != 0)
        return -1;
    p->mime = media_type(mime, p->data);
    if (str_starts(p->mime, STR("application/pdf")) || str_starts(p->mime, STR("text/")))
        p->kind = PART_FILE;
    if (p->kind == PART_FILE)
        decode_text_file(d, p);
    return 0;
}

static int take_image(struct openai_reading *d, struct chat_part *p, struct json_value image, const char *at)
{
    p->kind = PART_IMAGE;
    if (image.type == JSON_STRING) /* Mistral's callers */
        return take_url(d, p, json_text(image, d->a), at);
    static const char *const paths[] = {"url", "detail"};
    struct json_value v[2];
    if (LOOK(d, image, paths, v, at) != 0)
        return -1;
    if (v[0].type != JSON_STRING)
        return reading_bad_type(d, at, "an object with a string in 'url'");
    p->detail = text_of(d, v[1]);
    return take_url(d, p, json_text(v[0], d->a), at);
}

static int take_audio(struct openai_reading *d, struct chat_part *p, struct json_value audio, const char *at)
{
    static const char *const paths[] = {"data", "format"};
    struct json_value v[2];
    if (LOOK(d, audio, paths, v, at) != 0)
        return -1;
    p->kind = PART_AUDIO;
    struct str data = text_of(d, v[0]), format = text_of(d, v[1]);
    if (data.n == 0 || format.n == 0 || format.n > 32)
        return reading_bad_type(d, at, "an object with 'data' (base64) and 'format'");
    p->mime = arena_printf(d->a, "audio/" STR_FMT, STR_ARG(format));
    return take_data(d, p, data, at);
}

static int take_file(struct openai_reading *d, struct chat_part *p, struct json_value file, const char *at)
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
        return reading_bad_type(d, at, "an object with 'file_data' or 'file_id'");
    if (data.n == 0)
        return 0;
    p->file_id = STR_NULL;
    if (str_starts(data, STR("data:")) || str_starts(data, STR("https:")) || str_starts(data, STR("http:"))) {
        if (take_url(d, p, data, at) != 0)
            return -1;
        p->kind = str_starts(p->mime, STR("image/")) ? PART_IMAGE : PART_FILE;
        return 0;
    }
    if (take_data(d, p, data, at) != 0)
        return -1;
    p->mime = chat_media_type(p->data);
    return 0;
}

enum {
    P_TYPE,
    P_TEXT,
    P_IMAGE,
    P_AUDIO,
    P_FILE,
    P_DOCUMENT,
    P_REFUSAL,
    P_MARK,
    P_BREAKPOINT,
    P_SIGNATURE,
    PART_MEMBERS
};

static const char *const part_paths[PART_MEMBERS] = {
    [P_TYPE] = "type",
    [P_TEXT] = "text",
    [P_IMAGE] = "image_url",
    [P_AUDIO] = "input_audio",
    [P_FILE] = "file",
    [P_DOCUMENT] = "document_url", /* Mistral's callers */
    [P_REFUSAL] = "refusal",
    [P_MARK] = "cache_control",
    [P_BREAKPOINT] = "prompt_cache_breakpoint",
    [P_SIGNATURE] = SIGNATURE_PATH,
};

static int take_text(struct openai_reading *d, struct chat_part *p, const struct json_value v[],
                     const char *at)
{
    if (v[P_TEXT].type != JSON_STRING)
        return reading_bad_type(d, reading_at(d, "%s.text", at), "a string");
    p->text = json_text(v[P_TEXT], d->a);
    p->signature = text_of(d, v[P_SIGNATURE]);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
    return 0;
}

static int take_part(struct openai_reading *d, struct chat_message *m, struct json_value part, const char *at)
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
        return take_image(d, p, v[P_IMAGE], reading_at(d, "%s.image_url", at));
    if (is(kind, "input_audio"))
        return take_audio(d, p, v[P_AUDIO], reading_at(d, "%s.input_audio", at));
    if (is(kind, "file"))
        return take_file(d, p, v[P_FILE], reading_at(d, "%s.file", at));
    if (is(kind, "document_url") && v[P_DOCUMENT].type == JSON_STRING) {
        p->kind = PART_FILE;
        return take_url(d, p, json_text(v[P_DOCUMENT], d->a), reading_at(d, "%s.document_url", at));
    }
    if (is(kind, "refusal")) {
        p->kind = PART_REFUSAL;
        p->text = text_of(d, v[P_REFUSAL]);
        return 0;
    }
    if (kind.n == 0)
        return reading_missing(d, at, "type");
    return reading_bad(d, reading_at(d, "%s.type", at), "invalid_value",
                       "Invalid value: '" STR_FMT "' in '%s.type'.", STR_ARG(kind), at);
}

static int take_content(struct openai_reading *d, struct chat_message *m, struct json_value content,
                        const char *at)
{
    struct json_value v;
    size_t next = 0;
    if (content.type == JSON_STRING) {
        add(d, m, PART_TEXT)->text = json_text(content, d->a);
        return 0;
    }
    if (content.type != JSON_ARRAY)
        return given(content) ? reading_bad_type(d, at, "a string or an array of parts") : 0;
    for (unsigned i = 0; json_next(content.raw, &next, NULL, &v); i++)
        if (take_part(d, m, v, reading_at(d, "%s[%u]", at, i)) != 0)
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

static void take_thinking_block(struct openai_reading *d, struct chat_message *m, struct json_value v)
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
static void take_thinking(struct openai_reading *d, struct chat_message *m, const struct json_value v[])
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

/* A text of JSON; many write the object itself. */
static int take_arguments(struct openai_reading *d, struct chat_part *p, struct json_value v, const char *at)
{
    if (given(v) && v.type != JSON_STRING && v.type != JSON_OBJECT)
        return reading_bad_type(d, at, "a string of JSON");
    p->arguments = v.type == JSON_STRING ? json_text(v, d->a) : given(v) ? v.raw : STR_NULL;
    return 0;
}

static int take_tool_call(struct openai_reading *d, struct chat_message *m, struct json_value call,
                          const char *at)
{
    static const char *const paths[] = {"type",        "id",           "function.name", "function.arguments",
                                        "custom.name", "custom.input", SIGNATURE_PATH};
    enum { TYPE, ID, NAME, ARGUMENTS, CUSTOM_NAME, INPUT, SIGNATURE };
    struct json_value v[7];
    if (LOOK(d, call, paths, v, at) != 0)
        return -1;
    bool custom = is(text_of(d, v[TYPE]), "custom");
    if (given(v[TYPE]) && !custom && !is(text_of(d, v[TYPE]), "function"))
        return reading_unsupported(d, reading_at(d, "%s.type", at), "A call of what is not the caller's own");
    struct chat_part *p = add(d, m, PART_TOOL_CALL);
    p->id = text_of(d, v[ID]);
    p->custom = custom;
    p->name = text_of(d, v[custom ? CUSTOM_NAME : NAME]);
    p->text = custom ? text_of(d, v[INPUT]) : STR_NULL;
    if (custom)
        p->arguments = custom_tool_arguments(p->text, d->a);
    else if (take_arguments(d, p, v[ARGUMENTS], reading_at(d, "%s.function.arguments", at)) != 0)
        return -1;
    p->signature = text_of(d, v[SIGNATURE]);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
    if (p->id.n == 0)
        return reading_missing(d, at, "id");
    return p->name.n > 0 ? 0 : reading_missing(d, at, custom ? "custom.name" : "function.name");
}

static int take_tool_calls(struct openai_reading *d, struct chat_message *m, struct json_value calls,
                           const char *at)
{
    struct json_value v;
    size_t next = 0;
    if (!given(calls))
        return 0;
    if (calls.type != JSON_ARRAY)
        return reading_bad_type(d, reading_at(d, "%s.tool_calls", at), "an array of tool calls");
    for (unsigned i = 0; json_next(calls.raw, &next, NULL, &v); i++)
        if (take_tool_call(d, m, v, reading_at(d, "%s.tool_calls[%u]", at, i)) != 0)
            return -1;
    return 0;
}

/* The legacy form has no id: its result is the next function message. */
static int take_function_call(struct openai_reading *d, struct chat_message *m, struct json_value call,
                              const char *at)
{
    if (!given(call))
        return 0;
    struct chat_part *p = add(d, m, PART_TOOL_CALL);
    p->name = member_text(d, call, "name");
    if (take_arguments(d, p, json_member(call, "arguments"),
                       reading_at(d, "%s.function_call.arguments", at)) != 0)
        return -1;
    p->id = d->last_call = arena_printf(d->a, "call_function%u", d->n_calls++);
    return p->name.n > 0 ? 0 : reading_missing(d, at, "function_call.name");
}

/* Google's signature of a whole message stands on its text, or, where there is none, on a text of nothing. */
static void take_text_signature(struct openai_reading *d, struct chat_message *m, struct str signature)
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

static int take_assistant(struct openai_reading *d, const struct json_value v[], const char *at)
{
    struct chat_message *m = chat_add_message(d->out, d->a, CHAT_ASSISTANT);
    struct str refusal = text_of(d, v[M_REFUSAL]);
    if (given(v[M_AUDIO]))
        return reading_unsupported(d, reading_at(d, "%s.audio", at), "Audio that OpenAI keeps");
    take_thinking(d, m, v);
    if (take_content(d, m, v[M_CONTENT], reading_at(d, "%s.content", at)) != 0)
        return -1;
    if (refusal.n > 0)
        add(d, m, PART_REFUSAL)->text = refusal;
    if (take_tool_calls(d, m, v[M_TOOL_CALLS], at) != 0 ||
        take_function_call(d, m, v[M_FUNCTION_CALL], at) != 0)
        return -1;
    take_text_signature(d, m, text_of(d, v[M_SIGNATURE]));
    return 0;
}

static int take_result(struct openai_reading *d, const struct json_value v[], bool legacy, const char *at)
{
    struct chat_message *m = chat_add_message(d->out, d->a, CHAT_USER), content = {0};
    struct chat_part *p = add(d, m, PART_TOOL_RESULT);
    p->id = legacy ? d->last_call : text_of(d, v[M_TOOL_CALL_ID]);
    p->name = legacy ? text_of(d, v[M_NAME]) : STR_NULL;
    if (p->id.n == 0 && legacy)
        return reading_bad(d, at, "invalid_value",
                           "Invalid '%s': no 'function_call' stands before this result.", at);
    if (p->id.n == 0)
        return reading_missing(d, at, "tool_call_id");
    if (take_content(d, &content, v[M_CONTENT], reading_at(d, "%s.content", at)) != 0)
        return -1;
    p->parts = content.parts;
    p->n_parts = content.n_parts;
    for (size_t i = 0; i < p->n_parts; i++)
        if (p->parts[i].cache_control.n > 0)
            p->cache_control = p->parts[i].cache_control;
    return 0;
}

/* A mark on the message as a whole is one on its last part. */
static void take_message_mark(struct openai_reading *d, const struct json_value v[])
{
    struct chat_message *m = &d->out->messages[d->out->n_messages - 1];
    struct str mark = cache_mark(v[M_MARK], v[M_BREAKPOINT]);
    if (m->n_parts > 0 && mark.n > 0)
        m->parts[m->n_parts - 1].cache_control = mark;
}

static int take_role(struct openai_reading *d, const struct json_value v[], const char *at)
{
    struct str role = text_of(d, v[M_ROLE]);
    bool user = is(role, "user");
    if (user || is(role, "system") || is(role, "developer"))
        return take_content(d, chat_add_message(d->out, d->a, user ? CHAT_USER : CHAT_SYSTEM), v[M_CONTENT],
                            reading_at(d, "%s.content", at));
    if (is(role, "assistant"))
        return take_assistant(d, v, at);
    if (is(role, "tool") || is(role, "function"))
        return take_result(d, v, is(role, "function"), at);
    if (role.n == 0)
        return reading_missing(d, at, "role");
    return reading_bad(d, reading_at(d, "%s.role", at), "invalid_value",
                       "Invalid value: '" STR_FMT "' in '%s.role'.", STR_ARG(role), at);
}

static int take_message(struct openai_reading *d, struct json_value message, const char *at)
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

int openai_read_messages(struct openai_reading *d, struct json_value messages)
{
    struct json_value v;
    size_t next = 0;
    if (messages.type != JSON_ARRAY)
        return given(messages) ? reading_bad_type(d, "messages", "an array of messages")
                               : reading_bad(d, "messages", "missing_required_parameter",
                                             "Missing required parameter: 'messages'.");
    if (messages.count == 0)
        return reading_bad(d, "messages", "empty_array",
                           "Invalid 'messages': it must hold at least one message.");
    for (unsigned i = 0; json_next(messages.raw, &next, NULL, &v); i++)
        if (take_message(d, v, reading_at(d, "messages[%u]", i)) != 0)
            return -1;
    return 0;
}

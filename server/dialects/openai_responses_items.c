/* The input of a Responses request: messages, calls and what came of them, reasoning. Run by workers only. */
#include "openai_responses.h"

#include "custom_tool.h"

#include <string.h>

/* ---- parts of content */

enum part_member {
    P_TYPE,
    P_TEXT,
    P_REFUSAL,
    P_IMAGE_URL,
    P_FILE_ID,
    P_DETAIL,
    P_FILE_DATA,
    P_FILE_URL,
    P_FILENAME,
    P_AUDIO_DATA,
    P_AUDIO_FORMAT,
    P_BREAKPOINT,
    P_CACHE_CONTROL,
    P_SIGNATURE,
    PART_MEMBERS
};

static const char *const part_paths[PART_MEMBERS] = {
    [P_TYPE] = "type",
    [P_TEXT] = "text",
    [P_REFUSAL] = "refusal",
    [P_IMAGE_URL] = "image_url",
    [P_FILE_ID] = "file_id",
    [P_DETAIL] = "detail",
    [P_FILE_DATA] = "file_data",
    [P_FILE_URL] = "file_url",
    [P_FILENAME] = "filename",
    [P_AUDIO_DATA] = "input_audio.data",
    [P_AUDIO_FORMAT] = "input_audio.format",
    [P_BREAKPOINT] = "prompt_cache_breakpoint",
    [P_CACHE_CONTROL] = "cache_control",
    [P_SIGNATURE] = "extra_content.google.thought_signature",
};

/* What the parts of a content are added to, and what they may be. */
struct content {
    struct chat_part **parts;
    size_t *n;
    bool media; /* a user's, or a tool's result */
};

static struct chat_part *add(struct responses_reading *rd, struct content *to, enum chat_part_kind kind)
{
    return chat_add_part(to->parts, to->n, rd->a, kind);
}

static int read_text_part(struct responses_reading *rd, struct content *to, const struct json_value v[])
{
    if (v[P_TEXT].type != JSON_STRING)
        return responses_type(rd, "text", "a string");
    struct chat_part *p = add(rd, to, PART_TEXT);
    p->text = json_text(v[P_TEXT], rd->a);
    p->signature = json_text(v[P_SIGNATURE], rd->a);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
    return 0;
}

static int read_refusal(struct responses_reading *rd, struct content *to, const struct json_value v[])
{
    struct json_value text = v[P_REFUSAL].type == JSON_ABSENT ? v[P_TEXT] : v[P_REFUSAL];
    if (text.type != JSON_STRING)
        return responses_type(rd, "refusal", "a string");
    add(rd, to, PART_REFUSAL)->text = json_text(text, rd->a);
    return 0;
}

/* Base64, as every provider takes it. */
static int check_data(struct responses_reading *rd, const char *member, struct chat_part *p)
{
    if (p->data.n > 0 && !chat_base64(&p->data, rd->a))
        return responses_wrong(rd, "invalid_value", member, "The data is no base64.");
    if (p->mime.n == 0)
        p->mime = chat_media_type(p->data);
    return 0;
}

/* A URL, or the data in it. */
static int set_source(struct responses_reading *rd, struct chat_part *p, struct str url)
{
    if (!chat_data_url(url, &p->mime, &p->data))
        p->url = url;
    return check_data(rd, "image_url", p);
}

static int read_image(struct responses_reading *rd, struct content *to, const struct json_value v[])
{
    struct chat_part *p = add(rd, to, PART_IMAGE);
    struct str url;
    if (responses_text(rd, "image_url", v[P_IMAGE_URL], &url) != 0 ||
        responses_text(rd, "file_id", v[P_FILE_ID], &p->file_id) != 0 ||
        responses_text(rd, "detail", v[P_DETAIL], &p->detail) != 0)
        return -1;
    if (url.n == 0 && p->file_id.n == 0)
        return responses_missing(rd, "image_url");
    if (url.n > 0 && set_source(rd, p, url) != 0)
        return -1;
    if (url.n > 0 && p->data.n == 0 && str_starts(url, STR("data:")))
        return responses_wrong(rd, "invalid_image_url", "image_url",
                               "The image is neither a URL nor a data URL with base64 in it.");
    return 0;
}

static int read_file(struct responses_reading *rd, struct content *to, const struct json_value v[])
{
    struct chat_part *p = add(rd, to, PART_FILE);
    struct str data;
    if (responses_text(rd, "file_data", v[P_FILE_DATA], &data) != 0 ||
        responses_text(rd, "file_url", v[P_FILE_URL], &p->url) != 0 ||
        responses_text(rd, "file_id", v[P_FILE_ID], &p->file_id) != 0 ||
        responses_text(rd, "filename", v[P_FILENAME], &p->name) != 0)
        return -1;
    if (data.n == 0 && p->url.n == 0 && p->file_id.n == 0)
        return responses_missing(rd, "file_data");
    if (data.n > 0 && !chat_data_url(data, &p->mime, &p->data))
        p->data = data; /* plain base64 is taken, too */
    return check_data(rd, "file_data", p);
}

static int read_audio(struct responses_reading *rd, struct content *to, const struct json_value v[])
{
    struct str format = json_text(v[P_AUDIO_FORMAT], rd->a);
    if (v[P_AUDIO_DATA].type != JSON_STRING)
        return responses_type(rd, "input_audio.data", "a string");
    struct chat_part *p = add(rd, to, PART_AUDIO);
    p->data = json_text(v[P_AUDIO_DATA], rd->a);
    p->mime = str_eq(format, STR("mp3")) ? STR("audio/mp3") : STR("audio/wav");
    return check_data(rd, "input_audio.data", p);
}

static const struct {
    const char *type;
    int (*read)(struct responses_reading *rd, struct content *to, const struct json_value v[]);
    bool media;
} part_kinds[] = {
    {"input_text", read_text_part, false}, {"output_text", read_text_part, false},
    {"text", read_text_part, false},       {"refusal", read_refusal, false},
    {"input_image", read_image, true},     {"input_file", read_file, true},
    {"input_audio", read_audio, true},
};

static int unknown_part(struct responses_reading *rd, struct str type)
{
    return responses_wrong(rd, "invalid_value", "type", "A part of the type '%.*s' can't stand here.",
                           (int)(type.n < 64 ? type.n : 64), type.p ? type.p : "");
}

static int read_part(struct responses_reading *rd, struct content *to, struct json_value part)
{
    struct json_value v[PART_MEMBERS];
    if (part.type != JSON_OBJECT || json_scan(part.raw, part_paths, PART_MEMBERS, v, NULL) != 0)
        return responses_type(rd, NULL, "an object without duplicate members");
    struct str type = json_text(v[P_TYPE], rd->a);
    for (size_t i = 0; i < sizeof(part_kinds) / sizeof(part_kinds[0]); i++) {
        if (!str_eq(type, str_of(part_kinds[i].type)))
            continue;
        if (part_kinds[i].media && !to->media)
            return unknown_part(rd, type);
        if (part_kinds[i].read(rd, to, v) != 0)
            return -1;
        struct chat_part *p = &(*to->parts)[*to->n - 1];
        if (v[P_CACHE_CONTROL].type == JSON_OBJECT)
            p->cache_control = v[P_CACHE_CONTROL].raw;
        else if (v[P_BREAKPOINT].type == JSON_OBJECT)
            p->cache_control = STR("{\"type\":\"ephemeral\"}");
        return 0;
    }
    return unknown_part(rd, type);
}

/* A string, or parts. */
static int read_content(struct responses_reading *rd, const char *member, struct json_value content,
                        struct content *to)
{
    struct json_value part;
    int r = 0;
    if (content.type == JSON_STRING) {
        add(rd, to, PART_TEXT)->text = json_text(content, rd->a);
        return 0;
    }
    if (content.type != JSON_ARRAY)
        return responses_type(rd, member, "a string or an array of objects");
    rd->sublist = member;
    rd->sub_at = 0;
    for (size_t at = 0; r == 0 && json_next(content.raw, &at, NULL, &part) == 1; rd->sub_at++)
        r = read_part(rd, to, part);
    rd->sublist = NULL;
    return r;
}

/* ---- items */

enum item_member {
    I_TYPE,
    I_ROLE,
    I_CONTENT,
    I_CALL_ID,
    I_NAME,
    I_NAMESPACE,
    I_ARGUMENTS,
    I_INPUT,
    I_OUTPUT,
    I_SUMMARY,
    I_ENCRYPTED,
    I_RESULT,
    I_SIGNATURE,
    I_TOOLS,
    ITEM_MEMBERS
};

static const char *const item_paths[ITEM_MEMBERS] = {
    [I_TYPE] = "type",
    [I_ROLE] = "role",
    [I_CONTENT] = "content",
    [I_CALL_ID] = "call_id",
    [I_NAME] = "name",
    [I_NAMESPACE] = "namespace",
    [I_ARGUMENTS] = "arguments",
    [I_INPUT] = "input",
    [I_OUTPUT] = "output",
    [I_SUMMARY] = "summary",
    [I_ENCRYPTED] = "encrypted_content",
    [I_RESULT] = "result",
    [I_SIGNATURE] = "extra_content.google.thought_signature",
    [I_TOOLS] = "tools",
};

static int read_message(struct responses_reading *rd, const struct json_value v[])
{
    struct str role = json_text(v[I_ROLE], rd->a);
    enum chat_role is = CHAT_USER;
    if (v[I_ROLE].type != JSON_STRING)
        return v[I_ROLE].type == JSON_ABSENT ? responses_missing(rd, "role")
                                             : responses_type(rd, "role", "a string");
    if (str_eq(role, STR("system")) || str_eq(role, STR("developer")))
        is = CHAT_SYSTEM;
    else if (str_eq(role, STR("assistant")))
        is = CHAT_ASSISTANT;
    else if (!str_eq(role, STR("user")))
        return responses_wrong(
            rd, "invalid_value", "role",
            "Invalid role '%.*s'. Supported are: 'assistant', 'system', 'developer' and 'user'.",
            (int)(role.n < 64 ? role.n : 64), role.p);
    if (!given(v[I_CONTENT]))
        return responses_missing(rd, "content");
    struct chat_message *m = chat_add_message(rd->c, rd->a, is);
    struct content to = {&m->parts, &m->n_parts, is == CHAT_USER};
    return read_content(rd, "content", v[I_CONTENT], &to);
}

static struct chat_part *add_turn(struct responses_reading *rd, enum chat_role role, enum chat_part_kind kind)
{
    struct chat_message *m = chat_add_message(rd->c, rd->a, role);
    return chat_add_part(&m->parts, &m->n_parts, rd->a, kind);
}

/* What every call has, and its text: arguments, or input. */
static int check_call(struct responses_reading *rd, const struct json_value v[], enum item_member text)
{
    const enum item_member needed[] = {I_CALL_ID, I_NAME, text};
    for (size_t i = 0; i < 3; i++) {
        if (v[needed[i]].type == JSON_ABSENT)
            return responses_missing(rd, item_paths[needed[i]]);
        if (v[needed[i]].type != JSON_STRING)
            return responses_type(rd, item_paths[needed[i]], "a string");
        if (needed[i] != text && v[needed[i]].raw.n <= 2)
            return responses_missing(rd, item_paths[needed[i]]);
    }
    return given(v[I_NAMESPACE]) && v[I_NAMESPACE].type != JSON_STRING
               ? responses_type(rd, "namespace", "a string")
               : 0;
}

static struct chat_part *add_call(struct responses_reading *rd, const struct json_value v[])
{
    struct chat_part *p = add_turn(rd, CHAT_ASSISTANT, PART_TOOL_CALL);
    p->id = json_text(v[I_CALL_ID], rd->a);
    p->name = responses_tool_name(rd, json_text(v[I_NAMESPACE], rd->a), json_text(v[I_NAME], rd->a));
    p->signature = json_text(v[I_SIGNATURE], rd->a);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
    return p;
}

static int read_call(struct responses_reading *rd, const struct json_value v[])
{
    if (check_call(rd, v, I_ARGUMENTS) != 0)
        return -1;
    add_call(rd, v)->arguments = json_text(v[I_ARGUMENTS], rd->a);
    return 0;
}

static int read_custom_call(struct responses_reading *rd, const struct json_value v[])
{
    if (check_call(rd, v, I_INPUT) != 0)
        return -1;
    struct chat_part *p = add_call(rd, v);
    p->custom = true;
    p->text = json_text(v[I_INPUT], rd->a);
    p->arguments = custom_tool_arguments(p->text, rd->a);
    return 0;
}

static int read_result(struct responses_reading *rd, const struct json_value v[])
{
    if (v[I_CALL_ID].type == JSON_ABSENT)
        return responses_missing(rd, "call_id");
    if (v[I_CALL_ID].type != JSON_STRING)
        return responses_type(rd, "call_id", "a string");
    if (v[I_OUTPUT].type == JSON_ABSENT)
        return responses_missing(rd, "output");
    struct chat_part *p = add_turn(rd, CHAT_USER, PART_TOOL_RESULT);
    p->id = json_text(v[I_CALL_ID], rd->a);
    struct content to = {&p->parts, &p->n_parts, true};
    return read_content(rd, "output", v[I_OUTPUT], &to);
}

/* Texts of a reasoning item's summary or content, a blank line between. */
static struct str joined(struct responses_reading *rd, struct json_value list)
{
    struct chat_part *parts = NULL;
    struct json_value one;
    size_t n = 0;
    for (size_t at = 0; list.type == JSON_ARRAY && json_next(list.raw, &at, NULL, &one) == 1;)
        chat_add_part(&parts, &n, rd->a, PART_TEXT)->text = json_text(json_member(one, "text"), rd->a);
    return chat_text(parts, n, STR("\n\n"), rd->a);
}

/* "anthropic:…" and "google:…" as our own answers carry other vendors' signatures; all else is OpenAI's. */
static void read_signature(struct chat_part *p, struct str encrypted)
{
    static const struct {
        struct str prefix;
        enum chat_signer signer;
    } signers[] = {{STR("anthropic:"), SIGNER_ANTHROPIC},
                   {STR("google:"), SIGNER_GOOGLE},
                   {STR("openai:"), SIGNER_OPENAI}};
    static const struct str redacted = STR("redacted:");
    bool whole = str_starts(encrypted, redacted);
    if (whole)
        encrypted.p += redacted.n, encrypted.n -= redacted.n;
    p->signer = SIGNER_OPENAI;
    for (size_t i = 0; i < sizeof(signers) / sizeof(signers[0]); i++)
        if (str_starts(encrypted, signers[i].prefix)) {
            p->signer = signers[i].signer;
            encrypted.p += signers[i].prefix.n, encrypted.n -= signers[i].prefix.n;
            break;
        }
    if (whole) {
        p->kind = PART_REDACTED;
        p->data = encrypted;
    } else {
        p->signature = encrypted;
    }
}

static int read_reasoning(struct responses_reading *rd, const struct json_value v[])
{
    struct str encrypted, text = joined(rd, v[I_SUMMARY]);
    if (given(v[I_SUMMARY]) && v[I_SUMMARY].type != JSON_ARRAY)
        return responses_type(rd, "summary", "an array of objects");
    if (responses_text(rd, "encrypted_content", v[I_ENCRYPTED], &encrypted) != 0)
        return -1;
    if (text.n == 0)
        text = joined(rd, v[I_CONTENT]);
    if (text.n == 0 && encrypted.n == 0)
        return 0; /* says nothing without what its id stands for */
    struct chat_part *p = add_turn(rd, CHAT_ASSISTANT, PART_THINKING);
    p->text = text;
    if (encrypted.n > 0)
        read_signature(p, encrypted);
    return 0;
}

/* An image that a model made, as our own answers tell it. */
static int read_made_image(struct responses_reading *rd, const struct json_value v[])
{
    struct str data;
    if (responses_text(rd, "result", v[I_RESULT], &data) != 0)
        return -1;
    if (data.n == 0)
        return 0;
    struct chat_part *p = add_turn(rd, CHAT_ASSISTANT, PART_IMAGE);
    p->data = data;
    return check_data(rd, "result", p);
}

/* Tools that are added amid a conversation are there from the start. */
static int read_more_tools(struct responses_reading *rd, const struct json_value v[])
{
    struct json_value tool;
    int r = 0;
    if (v[I_TOOLS].type != JSON_ARRAY)
        return responses_type(rd, "tools", "an array of objects");
    rd->sublist = "tools";
    rd->sub_at = 0;
    for (size_t at = 0; r == 0 && json_next(v[I_TOOLS].raw, &at, NULL, &tool) == 1; rd->sub_at++)
        r = responses_read_tool(rd, tool, true);
    rd->sublist = NULL;
    return r;
}

/* What OpenAI's own tools left in the conversation: what the model made of it stands behind. */
static int pass_over(struct responses_reading *rd, const struct json_value v[])
{
    responses_pass_over(rd, arena_printf(rd->a, "input." STR_FMT, STR_ARG(json_text(v[I_TYPE], rd->a))));
    return 0;
}

/* The caller's own search, which is a function to the model. */
static bool is_callers_search(const struct responses_reading *rd, const struct json_value v[])
{
    const struct chat_tool *t = chat_tool(rd->c, STR(RESPONSES_TOOL_SEARCH));
    return t && t->kind == TOOL_SEARCH && v[I_CALL_ID].type == JSON_STRING && v[I_CALL_ID].raw.n > 2;
}

static int read_search(struct responses_reading *rd, const struct json_value v[])
{
    if (!is_callers_search(rd, v))
        return pass_over(rd, v);
    struct chat_part *p = add_turn(rd, CHAT_ASSISTANT, PART_TOOL_CALL);
    p->id = json_text(v[I_CALL_ID], rd->a);
    p->name = STR(RESPONSES_TOOL_SEARCH);
    p->arguments = v[I_ARGUMENTS].type == JSON_STRING ? json_text(v[I_ARGUMENTS], rd->a)
                   : given(v[I_ARGUMENTS])            ? v[I_ARGUMENTS].raw
                                                      : STR_NULL;
    p->signature = json_text(v[I_SIGNATURE], rd->a);
    p->signer = p->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
    return 0;
}

static void add_found(struct responses_reading *rd, struct buf *b, struct str space, struct json_value tools)
{
    struct json_value tool;
    for (size_t at = 0; tools.type == JSON_ARRAY && json_next(tools.raw, &at, NULL, &tool) == 1;) {
        struct str name = json_text(json_member(tool, "name"), rd->a);
        struct json_value members = json_member(tool, "tools");
        if (space.n == 0 && members.type == JSON_ARRAY) {
            add_found(rd, b, name, members);
            continue;
        }
        chat_hold(b, b->n > 0 ? STR(", ") : STR("Found, and ready to be called: "), rd->a);
        chat_hold(b, responses_tool_name(rd, space, name), rd->a);
    }
}

/* Which tools the search found: they can be called from now on. */
static struct str found(struct responses_reading *rd, struct json_value tools)
{
    struct buf b = {0};
    add_found(rd, &b, STR_NULL, tools);
    return b.n > 0 ? buf_str(&b) : STR("Nothing was found.");
}

static int read_found_tools(struct responses_reading *rd, const struct json_value v[])
{
    if (read_more_tools(rd, v) != 0)
        return -1;
    if (!is_callers_search(rd, v))
        return pass_over(rd, v);
    struct chat_part *p = add_turn(rd, CHAT_USER, PART_TOOL_RESULT);
    p->id = json_text(v[I_CALL_ID], rd->a);
    chat_add_part(&p->parts, &p->n_parts, rd->a, PART_TEXT)->text = found(rd, v[I_TOOLS]);
    return 0;
}

static int refuse_item(struct responses_reading *rd, struct str type)
{
    if (str_eq(type, STR("item_reference")))
        return responses_wrong(
            rd, "unsupported_value", "type",
            "An item_reference needs stored state, which the provider of this model does "
            "not keep: send the item itself (SDKs do where the request has store: false).");
    return responses_wrong(rd, "unsupported_value", "type",
                           "Items of the type '%.*s' can't be given to the provider of this model.",
                           (int)(type.n < 64 ? type.n : 64), type.p);
}

static const struct {
    const char *type;
    int (*read)(struct responses_reading *rd, const struct json_value v[]);
} item_kinds[] = {
    {"message", read_message},
    {"function_call", read_call},
    {"function_call_output", read_result},
    {"custom_tool_call", read_custom_call},
    {"custom_tool_call_output", read_result},
    {"reasoning", read_reasoning},
    {"image_generation_call", read_made_image},
    {"additional_tools", read_more_tools},
    {"tool_search_output", read_found_tools},
    {"tool_search_call", read_search},
    {"web_search_call", pass_over},
    {"file_search_call", pass_over},
    {"code_interpreter_call", pass_over},
    {"mcp_list_tools", pass_over},
    {"mcp_call", pass_over},
};

static int read_item(struct responses_reading *rd, struct json_value item)
{
    struct json_value v[ITEM_MEMBERS];
    struct str type;
    if (item.type != JSON_OBJECT || json_scan(item.raw, item_paths, ITEM_MEMBERS, v, NULL) != 0)
        return responses_type(rd, NULL, "an object without duplicate members");
    if (responses_text(rd, "type", v[I_TYPE], &type) != 0)
        return -1;
    if (type.n == 0)
        type = STR("message"); /* may be left out */
    for (size_t i = 0; i < sizeof(item_kinds) / sizeof(item_kinds[0]); i++)
        if (str_eq(type, str_of(item_kinds[i].type)))
            return item_kinds[i].read(rd, v);
    return refuse_item(rd, type);
}

int responses_read_input(struct responses_reading *rd, struct json_value input)
{
    struct json_value item;
    int r = 0;
    if (input.type == JSON_STRING) {
        add_turn(rd, CHAT_USER, PART_TEXT)->text = json_text(input, rd->a);
        return 0;
    }
    if (input.type != JSON_ARRAY)
        return responses_type(rd, "input", "a string or an array of objects");
    rd->list = "input";
    rd->at = 0;
    for (size_t at = 0; r == 0 && json_next(input.raw, &at, NULL, &item) == 1; rd->at++)
        r = read_item(rd, item);
    rd->list = NULL;
    return r;
}

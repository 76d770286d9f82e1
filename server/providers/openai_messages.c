/* The conversation as OpenAI's messages. Run by workers. */
#include "openai_request.h"

static struct str call_id(struct writing *w, struct str id)
{
    return openai_call_id(w->c->arena, id, w->deviations & PROVIDER_RANDOM_SEED);
}

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
        if (!openai_is_content(p) || p->kind == PART_TEXT)
            continue;
        if (!named)
            openai_put_text_part(w,
                                 arena_printf(w->c->arena, "Attached to the result of " STR_FMT ":",
                                              STR_ARG(result->name.n > 0 ? result->name : STR("the tool"))),
                                 NULL);
        named = true;
        if (openai_put_part(w, p) != 0)
            return -1;
    }
    return 0;
}

static bool has_attached(const struct chat_message *m)
{
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == PART_TOOL_RESULT)
            for (size_t k = 0; k < m->parts[i].n_parts; k++)
                if (m->parts[i].parts[k].kind != PART_TEXT && openai_is_content(&m->parts[i].parts[k]))
                    return true;
    return false;
}

static bool has_content(const struct chat_message *m)
{
    for (size_t i = 0; i < m->n_parts; i++)
        if (openai_is_content(&m->parts[i]))
            return true;
    return false;
}

static int put_user_with_attached(struct writing *w, const struct chat_message *m)
{
    open_message(w, "user");
    json_member_open(&w->j, "content", '[');
    for (size_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == PART_TOOL_RESULT ? put_attached(w, &m->parts[i]) != 0
                                                 : openai_put_part(w, &m->parts[i]) != 0)
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
    if (openai_put_content(w, m->parts, m->n_parts) != 0)
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
        bool custom = p->custom && w->custom;
        json_member_strz(&w->j, "type", custom ? "custom" : "function");
        json_member_open(&w->j, custom ? "custom" : "function", '{');
        json_member_str(&w->j, "name", openai_tool_name(w->c->arena, p->name));
        if (custom)
            json_member_str(&w->j, "input", p->text);
        else
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
        openai_put_content(w, texts, n);
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
    if (openai_put_content(w, m->parts, m->n_parts) != 0)
        return -1;
    close_message(w, m);
    return 0;
}

/* Ours, and what follows of the caller's instructions. */
static void put_preamble(struct writing *w, const struct chat_message *first)
{
    struct str more = first ? chat_text(first->parts, first->n_parts, STR("\n"), w->c->arena) : STR_NULL;
    open_message(w, "system");
    json_member_str(
        &w->j, "content",
        more.n > 0 ? arena_printf(w->c->arena, STR_FMT "\n\n" STR_FMT, STR_ARG(w->preamble), STR_ARG(more))
                   : w->preamble);
    close_message(w, NULL);
}

int openai_put_messages(struct writing *w)
{
    const struct chat_message *m = w->in->messages;
    size_t i = 0;
    json_member_open(&w->j, "messages", '[');
    if (w->preamble.n > 0) {
        bool one = !(w->p->flags & ANYWHERE) && w->in->n_messages > 0 && m[0].role == CHAT_SYSTEM;
        put_preamble(w, one ? &m[0] : NULL);
        i += one;
    }
    for (; i < w->in->n_messages; i++)
        if (put_message(w, &m[i], i) != 0)
            return -1;
    json_close(&w->j, ']');
    return 0;
}

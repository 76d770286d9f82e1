/* Anthropic's Messages dialect towards a caller: whole answers, and the words that they share with streams
 * (anthropic_messages_stream.c). Run by workers. */
#include "anthropic_messages.h"

#include "json_write.h"

#include <string.h>

/* ---- signatures */

static const struct {
    enum chat_signer signer;
    struct str prefix;
} signers[] = {{SIGNER_GOOGLE, STR("google:")}, {SIGNER_OPENAI, STR("openai:")}};

struct str anthropic_messages_sign(struct str signature, enum chat_signer signer, struct arena *a)
{
    for (size_t i = 0; signature.n > 0 && i < sizeof(signers) / sizeof(signers[0]); i++)
        if (signers[i].signer == signer) {
            struct str prefix = signers[i].prefix;
            char *p = arena_alloc(a, prefix.n + signature.n);
            memcpy(p, prefix.p, prefix.n);
            memcpy(p + prefix.n, signature.p, signature.n);
            return (struct str){p, prefix.n + signature.n};
        }
    return signature;
}

enum chat_signer anthropic_messages_signer(struct str *signature)
{
    for (size_t i = 0; i < sizeof(signers) / sizeof(signers[0]); i++) {
        struct str prefix = signers[i].prefix;
        if (!str_starts(*signature, prefix))
            continue;
        signature->p += prefix.n;
        signature->n -= prefix.n;
        return signature->n > 0 ? signers[i].signer : SIGNER_NONE;
    }
    return signature->n > 0 ? SIGNER_ANTHROPIC : SIGNER_NONE;
}

/* ---- words */

const char *anthropic_messages_stop_reason(enum chat_finish finish, bool calls)
{
    switch (finish) {
    case FINISH_LENGTH:
        return "max_tokens";
    case FINISH_CONTENT_FILTER:
    case FINISH_REFUSAL:
    case FINISH_DECLINED:
        return "refusal";
    case FINISH_PAUSE:
        return "pause_turn";
    case FINISH_STOP_SEQUENCE:
        return calls ? "tool_use" : "stop_sequence";
    case FINISH_ERROR: /* a call that may be there is none to be made */
        return "end_turn";
    case FINISH_NONE:
    case FINISH_STOP:
    case FINISH_TOOL_CALLS:
        break;
    }
    return calls ? "tool_use" : "end_turn";
}

/* Anthropic's input is what was neither read from the prompt cache nor written to it. */
void anthropic_messages_usage(struct json_writer *w, const struct usage_tokens *u)
{
    uint64_t apart = u->cached + u->cache_write;
    json_open(w, '{');
    json_member_i64(w, "input_tokens", (int64_t)(u->input > apart ? u->input - apart : 0));
    json_member_i64(w, "cache_creation_input_tokens", (int64_t)u->cache_write);
    json_member_i64(w, "cache_read_input_tokens", (int64_t)u->cached);
    json_member_i64(w, "output_tokens", (int64_t)u->output);
    if (u->reasoning > 0) {
        json_member_open(w, "output_tokens_details", '{');
        json_member_i64(w, "thinking_tokens", (int64_t)u->reasoning);
        json_close(w, '}');
    }
    json_close(w, '}');
}

struct str anthropic_messages_id(struct str given, struct arena *a)
{
    return str_starts(given, STR("msg_")) ? given : chat_make_id(a, "msg_");
}

struct str anthropic_messages_image(struct str url, struct str mime, struct str data, struct arena *a)
{
    static const struct str front = STR("![image](");
    size_t max = front.n + url.n + mime.n + data.n + 32;
    struct buf b = arena_buf(a, max);
    buf_add(&b, front);
    if (data.n > 0) {
        buf_add(&b, STR("data:"));
        buf_add(&b, mime.n > 0 ? mime : STR("image/png"));
        buf_add(&b, STR(";base64,"));
        buf_add(&b, data);
    } else {
        buf_add(&b, url);
    }
    buf_add(&b, STR(")"));
    return buf_str(&b);
}

/* What Anthropic's own search leaves with a text; the parts that only it could fill are empty. */
struct str anthropic_messages_citation(struct str annotations, size_t *at, struct arena *a)
{
    static const char *const names[] = {"url_citation.url", "url_citation.title"};
    struct json_value v, u[2];
    while (json_next(annotations, at, NULL, &v) == 1) {
        if (v.type != JSON_OBJECT || json_scan(v.raw, names, 2, u, NULL) != 0 || u[0].type != JSON_STRING)
            continue;
        size_t max = u[0].raw.n + u[1].raw.n + 160;
        struct buf b = arena_buf(a, max);
        struct json_writer w = json_writer(&b);
        json_open(&w, '{');
        json_member_strz(&w, "type", "web_search_result_location");
        json_member_raw(&w, "url", u[0].raw);
        json_member_raw(&w, "title", u[1].type == JSON_STRING ? u[1].raw : STR("null"));
        json_member_strz(&w, "cited_text", "");
        json_member_strz(&w, "encrypted_index", "");
        json_close(&w, '}');
        return buf_str(&b);
    }
    return STR_NULL;
}

/* ---- whole answers */

static void put_google(struct json_writer *w, const struct chat_part *p)
{
    if (p->signer != SIGNER_GOOGLE || p->signature.n == 0)
        return;
    json_member_open(w, "extra_content", '{');
    json_member_open(w, "google", '{');
    json_member_str(w, "thought_signature", p->signature);
    json_close(w, '}');
    json_close(w, '}');
}

static void put_citations(struct json_writer *w, struct str annotations, struct arena *a)
{
    struct str citation;
    size_t at = 0;
    if (annotations.n == 0 || (citation = anthropic_messages_citation(annotations, &at, a)).n == 0)
        return;
    json_member_open(w, "citations", '[');
    for (; citation.n > 0; citation = anthropic_messages_citation(annotations, &at, a))
        json_raw(w, citation);
    json_close(w, ']');
}

static void put_text(struct json_writer *w, const struct chat_part *p, struct str text,
                     struct str annotations, struct arena *a)
{
    json_open(w, '{');
    json_member_strz(w, "type", "text");
    json_member_str(w, "text", text);
    put_citations(w, annotations, a);
    put_google(w, p);
    json_close(w, '}');
}

static void put_thinking(struct json_writer *w, const struct chat_part *p, struct arena *a)
{
    json_open(w, '{');
    if (p->kind == PART_REDACTED) {
        json_member_strz(w, "type", "redacted_thinking");
        json_member_str(w, "data", anthropic_messages_sign(p->data, p->signer, a));
    } else {
        json_member_strz(w, "type", "thinking");
        json_member_str(w, "thinking", p->text);
        json_member_str(w, "signature", anthropic_messages_sign(p->signature, p->signer, a));
    }
    json_close(w, '}');
}

static void put_call(struct json_writer *w, const struct chat_part *p, struct arena *a)
{
    json_open(w, '{');
    json_member_strz(w, "type", "tool_use");
    json_member_str(w, "id", p->id.n > 0 ? p->id : chat_make_id(a, "toolu_"));
    json_member_str(w, "name", p->name);
    json_member_raw(w, "input", chat_arguments(p->arguments, a));
    put_google(w, p);
    json_close(w, '}');
}

/* annotations: the answer's, where this is the text that they stand with. */
static void put_part(struct json_writer *w, const struct chat_part *p, struct str annotations,
                     struct arena *a)
{
    switch (p->kind) {
    case PART_TEXT:
        if (p->text.n > 0)
            put_text(w, p, p->text, annotations, a);
        break;
    case PART_REFUSAL:
        if (p->text.n > 0)
            put_text(w, p, p->text, STR_NULL, a);
        break;
    case PART_IMAGE:
        put_text(w, p, anthropic_messages_image(p->url, p->mime, p->data, a), STR_NULL, a);
        break;
    case PART_THINKING:
    case PART_REDACTED:
        put_thinking(w, p, a);
        break;
    case PART_TOOL_CALL:
        put_call(w, p, a);
        break;
    default: /* no answer has any */
        break;
    }
}

static void put_content(struct json_writer *w, const struct chat_choice *c, struct arena *a)
{
    size_t last = c->n_parts;
    for (size_t i = 0; i < c->n_parts; i++)
        last = c->parts[i].kind == PART_TEXT && c->parts[i].text.n > 0 ? i : last;
    json_member_open(w, "content", '[');
    for (size_t i = 0; i < c->n_parts; i++)
        put_part(w, &c->parts[i], i == last ? c->annotations : STR_NULL, a);
    json_close(w, ']');
}

static void write_answer(struct chat_writer *cw, const struct chat_answer *answer, struct buf *out)
{
    static const struct chat_choice nothing = {.finish = FINISH_STOP};
    const struct chat_choice *c = answer->n_choices > 0 ? &answer->choices[0] : &nothing;
    struct arena *a = cw->r->arena;
    struct json_writer w = json_writer(out);
    const char *why =
        anthropic_messages_stop_reason(c->finish, chat_has(c->parts, c->n_parts, PART_TOOL_CALL));
    json_open(&w, '{');
    json_member_str(&w, "id", anthropic_messages_id(answer->id, a));
    json_member_strz(&w, "type", "message");
    json_member_strz(&w, "role", "assistant");
    json_member_str(&w, "model", answer->model.n > 0 ? answer->model : cw->model);
    put_content(&w, c, a);
    json_member_strz(&w, "stop_reason", why);
    if (strcmp(why, "stop_sequence") == 0 && c->stop_sequence.n > 0)
        json_member_str(&w, "stop_sequence", c->stop_sequence);
    else
        json_member_null(&w, "stop_sequence");
    json_name(&w, "usage");
    anthropic_messages_usage(&w, &cw->usage);
    json_close(&w, '}');
}

const struct chat_dialect dialect_messages = {
    .name = "messages",
    .read = anthropic_messages_read,
    .write = write_answer,
    .begin = anthropic_messages_begin,
    .delta = anthropic_messages_delta,
    .end = anthropic_messages_end,
    .fail = anthropic_messages_fail,
};

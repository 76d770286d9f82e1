/* Writes answers and streams as OpenAI's Chat Completions does. Run by workers.
 *
 * What OpenAI itself has no member for goes where most clients look for it: thinking in reasoning_content,
 * and, where a provider signed it, once more whole in thinking_blocks, which a client sends back unseen;
 * Google's signatures in extra_content; generated pictures in images. In a stream a signed block comes whole,
 * with its signature, so that neither a client that joins deltas nor one that keeps the last gets half of it;
 * elements of arrays have an index, without which the official SDKs can't join them. */
#include "openai_chat_dialect.h"

#include "answer.h"
#include "json_write.h"

#include <string.h>

enum { MAX_ECHO = 4 * 1024 * 1024 /* of a thinking block kept until its signature comes */ };

/* What has been told of a choice. */
struct choice {
    bool begun;      /* its role */
    bool *arguments; /* of call i: some have come, or there need be none */
    uint32_t n_calls, cap_calls;
    uint32_t n_blocks, n_images, n_annotations;
    struct buf thinking; /* of the open block; memory of the arena */
    bool thinking_lost;  /* more than is kept */
};

struct stream {
    struct str head; /* everything of a chunk before its choices */
    struct choice *choices;
    uint32_t n;
};

/* ---- what whole answers and streams share */

/* "chatcmpl-…", the provider's own id in it where it has one. */
static struct str make_id(struct chat_writer *w, struct str id)
{
    if (str_starts(id, STR("chatcmpl-")))
        return id;
    if (id.n == 0)
        id = str_of(w->r->id);
    return arena_printf(w->r->arena, "chatcmpl-" STR_FMT, STR_ARG(id));
}

static void put_head(struct json_writer *j, struct chat_writer *w, const char *object, struct str id,
                     struct str model, int64_t created)
{
    json_member_str(j, "id", make_id(w, id));
    json_member_strz(j, "object", object);
    json_member_i64(j, "created", created > 0 ? created : w->r->start_us / 1000000);
    json_member_str(j, "model", model.n > 0 ? model : w->model);
}

static void put_usage(struct json_writer *j, const struct usage_tokens *u)
{
    json_open(j, '{');
    json_member_i64(j, "prompt_tokens", (int64_t)u->input);
    json_member_i64(j, "completion_tokens", (int64_t)u->output);
    json_member_i64(j, "total_tokens", (int64_t)(u->input + u->output));
    json_member_open(j, "prompt_tokens_details", '{');
    json_member_i64(j, "cached_tokens", (int64_t)u->cached);
    if (u->cache_write > 0)
        json_member_i64(j, "cache_write_tokens", (int64_t)u->cache_write);
    json_member_i64(j, "audio_tokens", 0);
    json_close(j, '}');
    json_member_open(j, "completion_tokens_details", '{');
    json_member_i64(j, "reasoning_tokens", (int64_t)u->reasoning);
    json_member_i64(j, "audio_tokens", 0);
    json_member_i64(j, "accepted_prediction_tokens", 0);
    json_member_i64(j, "rejected_prediction_tokens", 0);
    json_close(j, '}');
    json_close(j, '}');
}

static void put_google_signature(struct json_writer *j, struct str signature)
{
    if (signature.n == 0)
        return;
    json_member_open(j, "extra_content", '{');
    json_member_open(j, "google", '{');
    json_member_str(j, "thought_signature", signature);
    json_close(j, '}');
    json_close(j, '}');
}

/* index < 0: in a whole answer. */
static void put_block(struct json_writer *j, int64_t index, bool redacted, struct str content,
                      struct str signature, enum chat_signer signer)
{
    json_open(j, '{');
    if (index >= 0)
        json_member_i64(j, "index", index);
    json_member_strz(j, "type", redacted ? "redacted_thinking" : "thinking");
    json_member_str(j, redacted ? "data" : "thinking", content);
    if (!redacted)
        json_member_str(j, "signature", signature);
    if (signer != SIGNER_NONE && signer != SIGNER_ANTHROPIC)
        json_member_strz(j, "signer", openai_chat_signer_name(signer));
    json_close(j, '}');
}

/* May stand in a JSON string as it is. */
static bool is_plain(struct str text)
{
    bool plain = true;
    for (size_t i = 0; i < text.n; i++)
        plain &= text.p[i] > ' ' && text.p[i] != '"' && text.p[i] != '\\' && text.p[i] != 0x7f;
    return plain;
}

static void put_image(struct json_writer *j, int64_t index, struct str mime, struct str data, struct str url)
{
    json_open(j, '{');
    if (index >= 0)
        json_member_i64(j, "index", index);
    json_member_strz(j, "type", "image_url");
    json_member_open(j, "image_url", '{');
    json_name(j, "url");
    if (data.n > 0 && is_plain(data)) { /* base64 needs no escapes; megabytes of it */
        json_raw(j, STR("\"data:"));
        buf_add(j->out, mime.n > 0 && is_plain(mime) ? mime : STR("image/png"));
        buf_add(j->out, STR(";base64,"));
        buf_add(j->out, data);
        buf_add_byte(j->out, '"');
    } else {
        json_str(j, url);
    }
    json_close(j, '}');
    json_close(j, '}');
}

/* ---- whole answers */

/* All texts of a kind as one string; null where there is none. */
static void put_texts(struct json_writer *j, const char *name, const struct chat_choice *c,
                      enum chat_part_kind kind, struct arena *a)
{
    struct chat_part *same = arena_alloc(a, c->n_parts * sizeof(*same) + 1);
    size_t n = 0;
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].kind == kind) {
            same[n] = c->parts[i];
            same[n++].kind = PART_TEXT;
        }
    struct str text = chat_text(same, n, STR(""), a);
    if (text.n > 0 || (n > 0 && kind == PART_TEXT))
        json_member_str(j, name, text);
    else if (kind != PART_THINKING)
        json_member_null(j, name);
}

static void put_blocks(struct json_writer *j, const struct chat_choice *c)
{
    bool worth = false; /* without a signature there is nothing that the text alone does not say */
    for (size_t i = 0; i < c->n_parts; i++)
        worth |= c->parts[i].kind == PART_REDACTED ||
                 (c->parts[i].kind == PART_THINKING && c->parts[i].signature.n > 0);
    if (!worth)
        return;
    json_member_open(j, "thinking_blocks", '[');
    for (size_t i = 0; i < c->n_parts; i++) {
        const struct chat_part *p = &c->parts[i];
        if (p->kind == PART_THINKING || p->kind == PART_REDACTED)
            put_block(j, -1, p->kind == PART_REDACTED, p->kind == PART_REDACTED ? p->data : p->text,
                      p->signature, p->signer);
    }
    json_close(j, ']');
}

/* What is called, and with what. */
static void put_called(struct json_writer *j, bool custom, struct str name, struct str arguments)
{
    json_member_strz(j, "type", custom ? "custom" : "function");
    json_member_open(j, custom ? "custom" : "function", '{');
    json_member_str(j, "name", name);
    json_member_str(j, custom ? "input" : "arguments", arguments);
    json_close(j, '}');
}

static void put_calls(struct json_writer *j, const struct chat_choice *c)
{
    if (!chat_has(c->parts, c->n_parts, PART_TOOL_CALL))
        return;
    json_member_open(j, "tool_calls", '[');
    for (size_t i = 0; i < c->n_parts; i++) {
        const struct chat_part *p = &c->parts[i];
        if (p->kind != PART_TOOL_CALL)
            continue;
        json_open(j, '{');
        json_member_str(j, "id", p->id);
        put_called(j, p->custom, p->name,
                   p->custom            ? p->text
                   : p->arguments.n > 0 ? p->arguments
                                        : STR("{}"));
        put_google_signature(j, p->signer == SIGNER_GOOGLE ? p->signature : STR_NULL);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void put_images(struct json_writer *j, const struct chat_choice *c)
{
    if (!chat_has(c->parts, c->n_parts, PART_IMAGE))
        return;
    json_member_open(j, "images", '[');
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].kind == PART_IMAGE)
            put_image(j, -1, c->parts[i].mime, c->parts[i].data, c->parts[i].url);
    json_close(j, ']');
}

static struct str text_signature(const struct chat_choice *c)
{
    struct str last = STR_NULL;
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].kind == PART_TEXT && c->parts[i].signer == SIGNER_GOOGLE &&
            c->parts[i].signature.n > 0)
            last = c->parts[i].signature;
    return last;
}

static void put_choice(struct json_writer *j, size_t index, const struct chat_choice *c, struct arena *a)
{
    json_open(j, '{');
    json_member_i64(j, "index", (int64_t)index);
    json_member_open(j, "message", '{');
    json_member_strz(j, "role", "assistant");
    put_texts(j, "content", c, PART_TEXT, a);
    put_texts(j, "refusal", c, PART_REFUSAL, a);
    put_texts(j, "reasoning_content", c, PART_THINKING, a);
    put_blocks(j, c);
    put_calls(j, c);
    put_images(j, c);
    json_member_raw(j, "annotations", c->annotations.n > 0 ? c->annotations : STR("[]"));
    put_google_signature(j, text_signature(c));
    json_close(j, '}');
    json_member_raw(j, "logprobs", c->logprobs.n > 0 ? c->logprobs : STR("null"));
    json_member_strz(j, "finish_reason",
                     chat_finish_name(c->finish != FINISH_NONE ? c->finish : FINISH_STOP));
    json_close(j, '}');
}

void openai_chat_write(struct chat_writer *w, const struct chat_answer *a, struct buf *out)
{
    struct json_writer j = json_writer(out);
    json_open(&j, '{');
    put_head(&j, w, "chat.completion", a->id, a->model, a->created);
    json_member_open(&j, "choices", '[');
    for (size_t i = 0; i < a->n_choices; i++)
        put_choice(&j, i, &a->choices[i], w->r->arena);
    json_close(&j, ']');
    json_name(&j, "usage");
    put_usage(&j, &w->usage);
    json_close(&j, '}');
}

/* ---- streams: chunks */

void openai_chat_begin(struct chat_writer *w, struct buf *out)
{
    struct stream *s = arena_alloc(w->r->arena, sizeof(*s));
    (void)out; /* a choice begins with its first delta */
    *s = (struct stream){.head = STR_NULL};
    w->state = s;
}

static void start(struct chat_writer *w, struct stream *s, const struct chat_delta *d)
{
    size_t max = 6 * (d->id.n + d->model.n + w->model.n + sizeof(w->r->id)) + 256;
    struct buf b = arena_buf(w->r->arena, max);
    struct json_writer j = json_writer(&b);
    buf_add(&b, STR("data: "));
    json_open(&j, '{');
    put_head(&j, w, "chat.completion.chunk", d->id, d->model, d->created);
    json_member_open(&j, "choices", '[');
    s->head = buf_str(&b);
}

/* Opens a chunk up to the inside of its delta. */
static struct json_writer open_chunk(const struct stream *s, uint32_t choice, struct buf *out)
{
    struct json_writer j = json_writer(out);
    buf_add(out, s->head);
    json_open(&j, '{');
    json_member_i64(&j, "index", choice);
    json_member_open(&j, "delta", '{');
    return j;
}

/* While usage is asked for, every chunk but the last has the member, with nothing in it. */
static void end_chunk(struct json_writer *j, const struct chat_writer *w)
{
    json_close(j, ']');
    if (w->r->wants_usage)
        json_member_null(j, "usage");
    json_close(j, '}');
    buf_add(j->out, STR("\n\n"));
}

static void close_chunk(struct json_writer *j, const struct chat_writer *w, struct str logprobs,
                        const char *finish)
{
    json_close(j, '}');
    json_member_raw(j, "logprobs", logprobs.n > 0 ? logprobs : STR("null"));
    json_member_strz(j, "finish_reason", finish);
    json_close(j, '}');
    end_chunk(j, w);
}

static void close_plain(struct json_writer *j, const struct chat_writer *w)
{
    close_chunk(j, w, STR_NULL, NULL);
}

static struct choice *choice_of(struct chat_writer *w, struct stream *s, uint32_t index)
{
    if (index >= s->n) {
        uint32_t n = index + 1 > 2 * s->n ? index + 1 : 2 * s->n;
        struct choice *more = arena_alloc(w->r->arena, n * sizeof(*more));
        if (s->n > 0)
            memcpy(more, s->choices, s->n * sizeof(*more));
        memset(more + s->n, 0, (n - s->n) * sizeof(*more));
        s->choices = more;
        s->n = n;
    }
    return &s->choices[index];
}

/* The chunk that names the role: content is null where the choice begins with a tool call. */
static void begin_choice(struct chat_writer *w, struct stream *s, struct choice *c,
                         const struct chat_delta *d, struct buf *out)
{
    if (c->begun)
        return;
    c->begun = true;
    struct json_writer j = open_chunk(s, d->choice, out);
    json_member_strz(&j, "role", "assistant");
    json_member_raw(&j, "content", d->kind == DELTA_TOOL ? STR("null") : STR("\"\""));
    json_member_null(&j, "refusal");
    close_plain(&j, w);
}

/* ---- streams: thinking */

/* Adds to a buffer that lies in the arena. */
static void keep(struct chat_writer *w, struct choice *c, struct str text)
{
    struct buf *b = &c->thinking;
    if (b->n + text.n > MAX_ECHO)
        c->thinking_lost = true;
    if (!c->thinking_lost)
        chat_hold(b, text, w->r->arena);
}

static void put_thinking(struct chat_writer *w, struct stream *s, struct choice *c,
                         const struct chat_delta *d, struct buf *out)
{
    keep(w, c, d->text);
    bool block = d->signature.n > 0 && !c->thinking_lost;
    if (d->text.n == 0 && !block)
        return;
    struct json_writer j = open_chunk(s, d->choice, out);
    json_opt_str(&j, "reasoning_content", d->text);
    if (block) {
        json_member_open(&j, "thinking_blocks", '[');
        put_block(&j, c->n_blocks++, false, buf_str(&c->thinking), d->signature, d->signer);
        json_close(&j, ']');
    }
    close_plain(&j, w);
    if (d->signature.n > 0) {
        c->thinking.n = 0;
        c->thinking_lost = false;
    }
}

static void put_redacted(struct chat_writer *w, struct stream *s, struct choice *c,
                         const struct chat_delta *d, struct buf *out)
{
    struct json_writer j = open_chunk(s, d->choice, out);
    json_member_open(&j, "thinking_blocks", '[');
    put_block(&j, c->n_blocks++, true, d->data, STR_NULL, d->signer);
    json_close(&j, ']');
    close_plain(&j, w);
}

/* ---- streams: tool calls */

static void note_call(struct chat_writer *w, struct choice *c, uint32_t tool)
{
    if (tool < c->n_calls)
        return;
    if (tool >= c->cap_calls) {
        uint32_t cap = 2 * tool + 8;
        bool *more = arena_alloc(w->r->arena, cap);
        memset(more, 0, cap);
        if (c->n_calls > 0)
            memcpy(more, c->arguments, c->n_calls);
        c->arguments = more;
        c->cap_calls = cap;
    }
    c->n_calls = tool + 1;
}

static void put_call(struct chat_writer *w, struct stream *s, struct choice *c, const struct chat_delta *d,
                     struct buf *out)
{
    note_call(w, c, d->tool);
    c->arguments[d->tool] |= d->custom; /* an empty text is one */
    struct json_writer j = open_chunk(s, d->choice, out);
    json_member_open(&j, "tool_calls", '[');
    json_open(&j, '{');
    json_member_i64(&j, "index", d->tool);
    json_member_str(&j, "id", d->id);
    put_called(&j, d->custom, d->name, STR(""));
    put_google_signature(&j, d->signer == SIGNER_GOOGLE ? d->signature : STR_NULL);
    json_close(&j, '}');
    json_close(&j, ']');
    close_plain(&j, w);
}

static void put_arguments(struct chat_writer *w, struct stream *s, struct choice *c,
                          const struct chat_delta *d, struct buf *out)
{
    if (d->text.n == 0 || d->tool >= c->n_calls)
        return;
    c->arguments[d->tool] = true;
    struct json_writer j = open_chunk(s, d->choice, out);
    json_member_open(&j, "tool_calls", '[');
    json_open(&j, '{');
    json_member_i64(&j, "index", d->tool);
    json_member_open(&j, d->custom ? "custom" : "function", '{');
    json_member_str(&j, d->custom ? "input" : "arguments", d->text);
    json_close(&j, '}');
    json_close(&j, '}');
    json_close(&j, ']');
    close_plain(&j, w);
}

/* Clients parse what they have joined: nothing at all is no JSON. */
static void fill_arguments(struct chat_writer *w, struct stream *s, struct choice *c, uint32_t choice,
                           struct buf *out)
{
    for (uint32_t i = 0; i < c->n_calls; i++)
        if (!c->arguments[i])
            put_arguments(w, s, c, &(struct chat_delta){.choice = choice, .tool = i, .text = STR("{}")}, out);
}

/* ---- streams: the rest */

static void put_text(struct chat_writer *w, struct stream *s, const struct chat_delta *d, struct buf *out)
{
    struct str signature = d->signer == SIGNER_GOOGLE ? d->signature : STR_NULL;
    if (d->text.n == 0 && signature.n == 0)
        return;
    struct json_writer j = open_chunk(s, d->choice, out);
    json_member_str(&j, d->kind == DELTA_REFUSAL ? "refusal" : "content", d->text);
    put_google_signature(&j, signature);
    close_plain(&j, w);
}

static void put_picture(struct chat_writer *w, struct stream *s, struct choice *c, const struct chat_delta *d,
                        struct buf *out)
{
    struct json_writer j = open_chunk(s, d->choice, out);
    json_member_open(&j, "images", '[');
    put_image(&j, c->n_images++, d->mime, d->data, d->url);
    json_close(&j, ']');
    close_plain(&j, w);
}

static void put_annotations(struct chat_writer *w, struct stream *s, struct choice *c,
                            const struct chat_delta *d, struct buf *out)
{
    struct json_value v;
    size_t next = 0;
    struct json_writer j = open_chunk(s, d->choice, out);
    json_member_open(&j, "annotations", '[');
    while (json_next(d->json, &next, NULL, &v)) {
        if (v.type != JSON_OBJECT || v.count == 0)
            continue;
        json_open(&j, '{');
        json_member_i64(&j, "index", c->n_annotations++);
        buf_add_byte(out, ',');
        buf_add(out, (struct str){v.raw.p + 1, v.raw.n - 1});
        j.comma = true;
    }
    json_close(&j, ']');
    close_plain(&j, w);
}

static void put_logprobs(struct chat_writer *w, struct stream *s, const struct chat_delta *d, struct buf *out)
{
    struct json_writer j = open_chunk(s, d->choice, out);
    close_chunk(&j, w, d->json, NULL);
}

static void put_finish(struct chat_writer *w, struct stream *s, struct choice *c, const struct chat_delta *d,
                       struct buf *out)
{
    fill_arguments(w, s, c, d->choice, out);
    struct json_writer j = open_chunk(s, d->choice, out);
    close_chunk(&j, w, STR_NULL, chat_finish_name(d->finish != FINISH_NONE ? d->finish : FINISH_STOP));
}

void openai_chat_delta(struct chat_writer *w, const struct chat_delta *d, struct buf *out)
{
    struct stream *s = w->state;
    if (d->kind == DELTA_START) {
        start(w, s, d);
        return;
    }
    if (d->kind == DELTA_USAGE)
        return; /* told at the end */
    struct choice *c = choice_of(w, s, d->choice);
    begin_choice(w, s, c, d, out);
    switch (d->kind) {
    case DELTA_TEXT:
    case DELTA_REFUSAL:
        put_text(w, s, d, out);
        break;
    case DELTA_THINKING:
        put_thinking(w, s, c, d, out);
        break;
    case DELTA_REDACTED:
        put_redacted(w, s, c, d, out);
        break;
    case DELTA_TOOL:
        put_call(w, s, c, d, out);
        break;
    case DELTA_ARGUMENTS:
        put_arguments(w, s, c, d, out);
        break;
    case DELTA_IMAGE:
        put_picture(w, s, c, d, out);
        break;
    case DELTA_ANNOTATIONS:
        put_annotations(w, s, c, d, out);
        break;
    case DELTA_LOGPROBS:
        put_logprobs(w, s, d, out);
        break;
    case DELTA_FINISH:
        put_finish(w, s, c, d, out);
        break;
    case DELTA_START:
    case DELTA_USAGE:
        break;
    }
}

void openai_chat_end(struct chat_writer *w, struct buf *out)
{
    struct stream *s = w->state;
    if (w->r->wants_usage) {
        if (s->head.n == 0)
            start(w, s, &(struct chat_delta){.kind = DELTA_START});
        struct json_writer j = {.out = out};
        buf_add(out, s->head);
        json_close(&j, ']');
        json_name(&j, "usage");
        put_usage(&j, &w->usage);
        json_close(&j, '}');
        buf_add(out, STR("\n\n"));
    }
    buf_add(out, STR("data: [DONE]\n\n"));
}

void openai_chat_usage(const struct chat_writer *w, struct buf *out)
{
    struct json_writer j = json_writer(out);
    if (!w->r->wants_usage)
        put_usage(&j, &w->usage);
}

void openai_chat_fail(struct chat_writer *w, const struct failure *f, struct buf *out)
{
    buf_add(out, dialect_error_event(w->r->dialect, f, w->r->arena));
}

/* A stream in Anthropic's Messages dialect. Run by workers.
 *
 * Its blocks are told one after the other, while other vendors' calls may interleave. One block is open at a
 * time and told as it comes; what belongs elsewhere waits behind it, in the order it began. A call's block
 * stays open until its arguments are a whole JSON text, or the answer is finished: then it is known that
 * nothing more belongs to it. All other blocks end where something else begins. */
#include "anthropic_messages.h"

#include "answer.h"
#include "json_out.h"
#include "json_write.h"
#include "limits.h"

#include <string.h>

enum block_kind { NO_BLOCK, TEXT, THINKING, REDACTED, CALL };

/* Follows a JSON text piece by piece, as far as is needed to see its end. */
struct json_end {
    unsigned depth;
    bool begun, in_string, escaped;
};

struct block {
    enum block_kind kind;
    uint32_t tool;
    struct str id, name, signature, data; /* what waits to be told; data: redacted */
    struct buf text;                      /* that came while it waited; the arena's */
    enum chat_signer signer;
    bool told; /* arguments: some were */
    struct json_end end;
    struct block *next;
};

struct early {
    struct str annotations;
    struct early *next;
};

struct stream {
    bool started, overflow, finished;
    uint32_t index;             /* of the open block, or of the next one */
    struct block *open;         /* told as it comes; NULL: none */
    struct block *first, *last; /* those that wait */
    struct block *spare;        /* of those that have ended, to be used again */
    size_t waiting;             /* bytes */
    bool calls;
    enum chat_finish finish;
    struct str stop_sequence;
    struct early *early, *last_early; /* annotations that came before the text that they are about */
    size_t early_bytes;
};

static struct stream *stream_of(struct chat_writer *w)
{
    return w->state;
}

static void event_begin(struct buf *out, const char *name, struct json_writer *w)
{
    buf_add(out, STR("event: "));
    buf_add(out, str_of(name));
    buf_add(out, STR("\ndata: "));
    *w = json_writer(out);
    json_open(w, '{');
    json_member_strz(w, "type", name);
}

static void event_end(struct buf *out, struct json_writer *w)
{
    json_close(w, '}');
    buf_add(out, STR("\n\n"));
}

/* ---- the message around the blocks */

static void start(struct chat_writer *cw, struct str id, struct str model, struct buf *out)
{
    struct stream *s = stream_of(cw);
    struct request *r = cw->r;
    struct json_writer w;
    struct usage_tokens so_far = {.input = r->told.input > 0 ? r->told.input : r->prompt_estimate,
                                  .cached = r->told.cached,
                                  .cache_write = r->told.cache_write};
    s->started = true;
    event_begin(out, "message_start", &w);
    json_member_open(&w, "message", '{');
    json_member_str(&w, "id", anthropic_messages_id(id, r->arena));
    json_member_strz(&w, "type", "message");
    json_member_strz(&w, "role", "assistant");
    json_member_str(&w, "model", model.n > 0 ? model : cw->model);
    json_member_raw(&w, "content", STR("[]"));
    json_member_null(&w, "stop_reason");
    json_member_null(&w, "stop_sequence");
    json_name(&w, "usage");
    anthropic_messages_usage(&w, &so_far);
    json_close(&w, '}');
    event_end(out, &w);
    buf_add(out, STR("event: ping\ndata: {\"type\":\"ping\"}\n\n"));
}

void anthropic_messages_begin(struct chat_writer *w, struct buf *out)
{
    (void)out;
    w->state = arena_alloc(w->r->arena, sizeof(struct stream));
    memset(w->state, 0, sizeof(struct stream));
}

/* ---- a block's events */

static void put_google(struct json_writer *w, const struct block *b)
{
    if (b->signer != SIGNER_GOOGLE || b->signature.n == 0)
        return;
    json_member_open(w, "extra_content", '{');
    json_member_open(w, "google", '{');
    json_member_str(w, "thought_signature", b->signature);
    json_close(w, '}');
    json_close(w, '}');
}

static void tell_start(struct chat_writer *cw, const struct block *b, struct buf *out)
{
    struct json_writer w;
    event_begin(out, "content_block_start", &w);
    json_member_i64(&w, "index", stream_of(cw)->index);
    json_member_open(&w, "content_block", '{');
    switch (b->kind) {
    case THINKING:
        json_member_strz(&w, "type", "thinking");
        json_member_strz(&w, "thinking", "");
        json_member_strz(&w, "signature", "");
        break;
    case REDACTED:
        json_member_strz(&w, "type", "redacted_thinking");
        json_member_str(&w, "data", anthropic_messages_sign(b->data, b->signer, chat_scratch(cw)));
        break;
    case CALL:
        json_member_strz(&w, "type", "tool_use");
        json_member_str(&w, "id", b->id);
        json_member_str(&w, "name", b->name);
        json_member_raw(&w, "input", STR("{}"));
        put_google(&w, b);
        break;
    default:
        json_member_strz(&w, "type", "text");
        json_member_strz(&w, "text", "");
        put_google(&w, b);
    }
    json_close(&w, '}');
    event_end(out, &w);
}

/* By far the most frequent event: its fixed parts are written in one piece. */
static void tell_delta(struct chat_writer *cw, struct str type_and_member, struct str text, struct buf *out)
{
    char digits[10];
    size_t at = sizeof(digits);
    uint32_t index = stream_of(cw)->index;
    do
        digits[--at] = (char)('0' + index % 10);
    while ((index /= 10) > 0);
    buf_add(out, STR("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"));
    buf_add(out, (struct str){digits + at, sizeof(digits) - at});
    buf_add(out, STR(",\"delta\":{\"type\":"));
    buf_add(out, type_and_member);
    json_put_string(out, text);
    buf_add(out, STR("}}\n\n"));
}

static void tell_text(struct chat_writer *cw, struct block *b, struct str text, struct buf *out)
{
    if (text.n == 0 || b->kind == REDACTED)
        return;
    b->told = true;
    if (b->kind == CALL)
        tell_delta(cw, STR("\"input_json_delta\",\"partial_json\":"), text, out);
    else if (b->kind == THINKING)
        tell_delta(cw, STR("\"thinking_delta\",\"thinking\":"), text, out);
    else
        tell_delta(cw, STR("\"text_delta\",\"text\":"), text, out);
}

static void tell_stop(struct chat_writer *cw, struct block *b, struct buf *out)
{
    struct json_writer w;
    if (b->kind == CALL && !b->told) /* takes nothing */
        tell_text(cw, b, STR("{}"), out);
    if (b->kind == THINKING && b->signature.n > 0)
        tell_delta(cw, STR("\"signature_delta\",\"signature\":"),
                   anthropic_messages_sign(b->signature, b->signer, chat_scratch(cw)), out);
    event_begin(out, "content_block_stop", &w);
    json_member_i64(&w, "index", stream_of(cw)->index);
    event_end(out, &w);
    stream_of(cw)->index++;
}

/* ---- which block is open, and which wait */

/* True: the text has ended with these bytes, or before. */
static bool follow(struct json_end *e, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (e->in_string) {
            if (e->escaped)
                e->escaped = false;
            else if (c == '\\')
                e->escaped = true;
            else if (c == '"')
                e->in_string = false;
        } else if (c == '"') {
            e->in_string = true;
        } else if (c == '{' || c == '[') {
            e->begun = true;
            e->depth++;
        } else if ((c == '}' || c == ']') && e->depth > 0) {
            e->depth--;
        }
    }
    return e->begun && e->depth == 0 && !e->in_string;
}

static bool is_whole(const struct block *b)
{
    return b->kind != CALL || (b->end.begun && b->end.depth == 0 && !b->end.in_string);
}

static void close_open(struct chat_writer *cw, struct buf *out)
{
    struct stream *s = stream_of(cw);
    if (s->open) {
        tell_stop(cw, s->open, out);
        s->open->next = s->spare;
        s->spare = s->open;
    }
    s->open = NULL;
}

static void tell_citations(struct chat_writer *cw, struct str annotations, struct buf *out)
{
    struct json_writer w;
    struct str citation;
    for (size_t at = 0; (citation = anthropic_messages_citation(annotations, &at, chat_scratch(cw))).n > 0;) {
        event_begin(out, "content_block_delta", &w);
        json_member_i64(&w, "index", stream_of(cw)->index);
        json_member_open(&w, "delta", '{');
        json_member_strz(&w, "type", "citations_delta");
        json_member_raw(&w, "citation", citation);
        json_close(&w, '}');
        event_end(out, &w);
    }
}

static void tell_early(struct chat_writer *cw, struct buf *out)
{
    struct stream *s = stream_of(cw);
    for (; s->early; s->early = s->early->next)
        tell_citations(cw, s->early->annotations, out);
    s->last_early = NULL;
    s->early_bytes = 0;
}

static void open_block(struct chat_writer *cw, struct block *b, struct buf *out)
{
    stream_of(cw)->open = b;
    tell_start(cw, b, out);
    if (b->kind == TEXT)
        tell_early(cw, out);
    tell_text(cw, b, buf_str(&b->text), out);
    b->text = (struct buf){0};
}

/* Opens what waits, as far as nothing more can belong to what stands before it. all: nothing more comes. */
static void go_on(struct chat_writer *cw, bool all, struct buf *out)
{
    struct stream *s = stream_of(cw);
    while (s->first && (all || !s->open || is_whole(s->open))) {
        struct block *b = s->first;
        close_open(cw, out);
        s->first = b->next;
        if (!s->first)
            s->last = NULL;
        s->waiting -= b->text.n + b->data.n;
        open_block(cw, b, out);
    }
}

static struct block *new_block(struct chat_writer *cw, enum block_kind kind)
{
    struct stream *s = stream_of(cw);
    struct block *b = s->spare ? s->spare : arena_alloc(cw->r->arena, sizeof(*b));
    s->spare = b == s->spare ? b->next : s->spare;
    *b = (struct block){.kind = kind};
    return b;
}

static struct str copy(struct chat_writer *cw, struct str s)
{
    return s.n > 0 ? arena_copy(cw->r->arena, s) : STR_NULL;
}

/* Begins a block, now or once those before it have ended: only what waits is kept. */
static void begin_block(struct chat_writer *cw, struct block *b, struct buf *out)
{
    struct stream *s = stream_of(cw);
    if (s->last)
        s->last->next = b;
    else
        s->first = b;
    s->last = b;
    go_on(cw, false, out);
    if (s->open == b)
        return;
    b->id = copy(cw, b->id);
    b->name = copy(cw, b->name);
    b->signature = copy(cw, b->signature);
    b->data = copy(cw, b->data);
}

/* The youngest block, open or waiting: where a delta that begins nothing new belongs. */
static struct block *youngest(struct stream *s)
{
    return s->last ? s->last : s->open;
}

static void keep(struct chat_writer *cw, struct block *b, struct str text)
{
    struct stream *s = stream_of(cw);
    if (text.n > MAX_ANSWER / 4 || s->waiting > MAX_ANSWER / 4 - text.n) {
        s->overflow = true;
        return;
    }
    chat_hold(&b->text, text, cw->r->arena);
    s->waiting += text.n;
}

static void add_text(struct chat_writer *cw, struct block *b, struct str text, struct buf *out)
{
    struct stream *s = stream_of(cw);
    if (text.n == 0)
        return;
    if (b == s->open)
        tell_text(cw, b, text, out);
    else
        keep(cw, b, text);
}

/* ---- deltas */

/* A signature behind its text (Gemini 3 sends it at the end, beside an empty one) has no place: the block has
 * begun, and a block without text is what programs take for the answer, and Anthropic refuses in a history.
 */
static void take_text(struct chat_writer *cw, struct str text, struct str signature, struct buf *out)
{
    struct block *b = youngest(stream_of(cw));
    if (text.n == 0)
        return;
    /* a signature has to be told with the block's start: it gets one of its own */
    if (!b || b->kind != TEXT || signature.n > 0 || b->signature.n > 0) {
        b = new_block(cw, TEXT);
        b->signature = signature;
        b->signer = signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE;
        begin_block(cw, b, out);
    }
    add_text(cw, b, text, out);
}

static void take_thinking(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct block *b = youngest(stream_of(cw));
    if (d->text.n == 0 && d->signature.n == 0)
        return;
    if (!b || b->kind != THINKING || b->signature.n > 0) {
        b = new_block(cw, THINKING);
        begin_block(cw, b, out);
    }
    add_text(cw, b, d->text, out);
    if (d->signature.n == 0)
        return;
    b->signer = d->signer;
    b->signature = d->signature;
    if (b == stream_of(cw)->open)
        close_open(cw, out);
    else
        b->signature = copy(cw, d->signature);
}

static void take_redacted(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct block *b = new_block(cw, REDACTED);
    b->data = d->data;
    b->signer = d->signer;
    stream_of(cw)->waiting += b->data.n;
    begin_block(cw, b, out);
}

static void take_call(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct block *b = new_block(cw, CALL);
    b->tool = d->tool;
    b->id = d->id;
    b->name = d->name;
    b->signature = d->signature;
    b->signer = d->signer;
    stream_of(cw)->calls = true;
    begin_block(cw, b, out);
}

static struct block *call_of(struct stream *s, uint32_t tool)
{
    if (s->open && s->open->kind == CALL && s->open->tool == tool)
        return s->open;
    for (struct block *b = s->first; b; b = b->next)
        if (b->kind == CALL && b->tool == tool)
            return b;
    return NULL;
}

static void take_arguments(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct stream *s = stream_of(cw);
    struct block *b = call_of(s, d->tool);
    if (!b)
        return; /* behind the end of a text that was whole: nothing that means anything */
    bool whole = follow(&b->end, d->text);
    add_text(cw, b, d->text, out);
    if (whole && b == s->open)
        go_on(cw, false, out);
}

/* OpenRouter tells what it has found before the first word. */
static void keep_early(struct chat_writer *cw, struct str annotations)
{
    enum { MOST = 256 * 1024 };
    struct stream *s = stream_of(cw);
    if (annotations.n > MOST - s->early_bytes)
        return;
    struct early *e = arena_alloc(cw->r->arena, sizeof(*e));
    *e = (struct early){.annotations = arena_copy(cw->r->arena, annotations)};
    if (s->last_early)
        s->last_early->next = e;
    else
        s->early = e;
    s->last_early = e;
    s->early_bytes += annotations.n;
}

static void take_citations(struct chat_writer *cw, struct str annotations, struct buf *out)
{
    struct stream *s = stream_of(cw);
    if (s->open && s->open->kind == TEXT)
        tell_citations(cw, annotations, out);
    else
        keep_early(cw, annotations);
}

static void take_finish(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct stream *s = stream_of(cw);
    s->finish = d->finish;
    s->stop_sequence = copy(cw, d->stop_sequence);
    s->finished = true;
    go_on(cw, true, out);
    close_open(cw, out);
}

void anthropic_messages_delta(struct chat_writer *w, const struct chat_delta *d, struct buf *out)
{
    struct arena *a = chat_scratch(w);
    if (d->kind == DELTA_START) {
        start(w, d->id, d->model, out);
        return;
    }
    if (d->choice != 0 || stream_of(w)->finished)
        return; /* a message is one answer */
    switch (d->kind) {
    case DELTA_TEXT:
        take_text(w, d->text, d->signer == SIGNER_GOOGLE ? d->signature : STR_NULL, out);
        break;
    case DELTA_REFUSAL:
        take_text(w, d->text, STR_NULL, out);
        break;
    case DELTA_IMAGE:
        take_text(w, anthropic_messages_image(d->url, d->mime, d->data, a), STR_NULL, out);
        break;
    case DELTA_THINKING:
        take_thinking(w, d, out);
        break;
    case DELTA_REDACTED:
        take_redacted(w, d, out);
        break;
    case DELTA_TOOL:
        take_call(w, d, out);
        break;
    case DELTA_ARGUMENTS:
        take_arguments(w, d, out);
        break;
    case DELTA_ANNOTATIONS:
        take_citations(w, d->json, out);
        break;
    case DELTA_FINISH:
        take_finish(w, d, out);
        break;
    default:
        break;
    }
}

/* ---- how it ends */

static const struct failure too_much = {.status = 502,
                                        .code = "upstream_malformed",
                                        .message =
                                            STR("The provider's calls interleave too widely to be told.")};

void anthropic_messages_end(struct chat_writer *cw, struct buf *out)
{
    struct stream *s = stream_of(cw);
    struct json_writer w;
    if (s->overflow) {
        anthropic_messages_fail(cw, &too_much, out);
        return;
    }
    if (!s->started)
        start(cw, STR_NULL, STR_NULL, out);
    go_on(cw, true, out);
    close_open(cw, out);
    const char *why = anthropic_messages_stop_reason(s->finish, s->calls);
    event_begin(out, "message_delta", &w);
    json_member_open(&w, "delta", '{');
    json_member_strz(&w, "stop_reason", why);
    if (strcmp(why, "stop_sequence") == 0 && s->stop_sequence.n > 0)
        json_member_str(&w, "stop_sequence", s->stop_sequence);
    else
        json_member_null(&w, "stop_sequence");
    json_close(&w, '}');
    json_name(&w, "usage");
    anthropic_messages_usage(&w, &cw->usage);
    event_end(out, &w);
    buf_add(out, STR("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

void anthropic_messages_fail(struct chat_writer *w, const struct failure *f, struct buf *out)
{
    buf_add(out, dialect_error_event(DIALECT_ANTHROPIC, f, w->r->arena));
}

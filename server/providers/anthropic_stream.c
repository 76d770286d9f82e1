/* Claude's stream in the neutral form. Run by workers only.
 *
 * It is a row of blocks, told by index. Usage: message_start tells the input, message_delta the output,
 * cumulative, and in newer streams the input again, which then counts. Citations come before the text that
 * they belong to has ended, and are told with its end, where their place is known. */
#include "anthropic_answer.h"
#include "limits.h"

#include <string.h>

enum block_kind { SKIPPED, TEXT, THINKING, CALL, JSON_CALL };

enum { MAX_BLOCKS = 4096, MAX_CALLS = 1024, MAX_WRAPPED = MAX_ANSWER / 4, MAX_CITATIONS = 256 };

struct block {
    enum block_kind kind;
    uint32_t tool;
    bool given; /* its arguments came whole, with its start */
};

struct stream_reader {
    bool started;
    struct str id;
    struct anthropic_told told;
    enum chat_finish finish;
    struct str stop_sequence, explanation;
    struct block *blocks; /* by index */
    uint32_t n_blocks, room;
    uint32_t tools;
    bool json;            /* the forced tool was called */
    bool wraps;           /* … and the answer is but a part of its input */
    struct buf wrapped;   /* its input so far, where the answer is but a part of it; the arena's */
    uint64_t chars, from; /* of text in all, and where the open block begins */
    struct str citations[MAX_CITATIONS]; /* of the open block */
    uint32_t n_citations;
};

static struct stream_reader *state_of(struct chat_reader *rd)
{
    if (!rd->state) {
        rd->state = arena_alloc(rd->arena, sizeof(struct stream_reader));
        memset(rd->state, 0, sizeof(struct stream_reader));
    }
    return rd->state;
}

/* A new block; NULL: a number that no answer reaches. */
static struct block *open_block(struct chat_reader *rd, struct stream_reader *s, int64_t index)
{
    if (index < 0 || index >= MAX_BLOCKS)
        return NULL;
    if (index >= s->room) {
        uint32_t room = s->room ? 2 * s->room : 16;
        while (room <= index)
            room *= 2;
        struct block *more = arena_alloc(rd->arena, room * sizeof(*more));
        memset(more, 0, room * sizeof(*more));
        if (s->n_blocks > 0)
            memcpy(more, s->blocks, s->n_blocks * sizeof(*more));
        s->blocks = more;
        s->room = room;
    }
    if (index >= s->n_blocks)
        s->n_blocks = (uint32_t)index + 1;
    s->blocks[index] = (struct block){0};
    return &s->blocks[index];
}

static struct block *block_at(struct stream_reader *s, int64_t index)
{
    return index >= 0 && index < s->n_blocks ? &s->blocks[index] : NULL;
}

static void emit_text(struct chat_reader *rd, struct stream_reader *s, struct str text)
{
    if (text.n == 0)
        return;
    s->chars += anthropic_count_chars(text);
    chat_emit(rd, &(struct chat_delta){.kind = DELTA_TEXT, .text = text});
}

static void emit_thinking(struct chat_reader *rd, struct str text, struct str signature)
{
    if (text.n > 0 || signature.n > 0)
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_THINKING,
                                           .text = text,
                                           .signature = signature,
                                           .signer = signature.n > 0 ? SIGNER_ANTHROPIC : SIGNER_NONE});
}

static void emit_arguments(struct chat_reader *rd, const struct block *b, struct str text)
{
    if (text.n > 0)
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = b->tool, .text = text});
}

/* Keeps a piece of the wrapped answer; what passes the maximum is not kept, and will not be JSON. */
static void keep_wrapped(struct chat_reader *rd, struct stream_reader *s, struct str text)
{
    if (text.n > MAX_WRAPPED - s->wrapped.n)
        return;
    chat_hold(&s->wrapped, text, rd->arena);
}

static void emit_json(struct chat_reader *rd, struct stream_reader *s, struct str text)
{
    if (s->wraps)
        keep_wrapped(rd, s, text);
    else
        emit_text(rd, s, text);
}

static void begin_call(struct chat_reader *rd, struct stream_reader *s, struct block *b,
                       struct json_value v[ANTHROPIC_BLOCK_MEMBERS])
{
    struct str name = json_text(v[B_NAME], rd->scratch), id = json_text(v[B_ID], rd->scratch);
    b->given = v[B_INPUT].type == JSON_OBJECT && v[B_INPUT].count > 0;
    if (anthropic_is_json_tool(rd, name)) {
        b->kind = JSON_CALL;
        s->json = true;
        s->wraps = anthropic_json_wrapped(rd->in);
        if (b->given)
            emit_json(rd, s, v[B_INPUT].raw);
        return;
    }
    b->kind = CALL;
    b->tool = s->tools++;
    chat_emit(rd, &(struct chat_delta){
                      .kind = DELTA_TOOL,
                      .tool = b->tool,
                      .id = id.n > 0 ? id : chat_make_id(rd->scratch, "toolu_"),
                      .name = anthropic_tool_named(rd->in, name.n > 0 ? name : STR("unnamed"), rd->scratch)});
    if (b->given)
        emit_arguments(rd, b, v[B_INPUT].raw);
}

static void keep_citation(struct chat_reader *rd, struct stream_reader *s, struct json_value citation)
{
    if (citation.type == JSON_OBJECT && s->n_citations < MAX_CITATIONS)
        s->citations[s->n_citations++] = arena_copy(rd->arena, citation.raw);
}

static void begin_text(struct chat_reader *rd, struct stream_reader *s,
                       struct json_value v[ANTHROPIC_BLOCK_MEMBERS])
{
    struct json_value citation;
    s->from = s->chars;
    s->n_citations = 0;
    emit_text(rd, s, json_text(v[B_TEXT], rd->scratch));
    for (size_t at = 0;
         v[B_CITATIONS].type == JSON_ARRAY && json_next(v[B_CITATIONS].raw, &at, NULL, &citation) == 1;)
        keep_citation(rd, s, citation);
}

static void begin_block(struct chat_reader *rd, struct stream_reader *s, struct block *b,
                        struct json_value content)
{
    struct json_value v[ANTHROPIC_BLOCK_MEMBERS];
    if (anthropic_read_block(content, v) != 0)
        return;
    if (anthropic_word_is(v[B_TYPE], "text")) {
        b->kind = TEXT;
        begin_text(rd, s, v);
    } else if (anthropic_word_is(v[B_TYPE], "tool_use")) {
        begin_call(rd, s, b, v);
    } else if (anthropic_word_is(v[B_TYPE], "thinking")) {
        b->kind = THINKING;
        emit_thinking(rd, json_text(v[B_THINKING], rd->scratch), json_text(v[B_SIGNATURE], rd->scratch));
    } else if (anthropic_word_is(v[B_TYPE], "redacted_thinking")) {
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_REDACTED,
                                           .data = json_text(v[B_DATA], rd->scratch),
                                           .signer = SIGNER_ANTHROPIC});
    }
}

static void emit_annotations(struct chat_reader *rd, struct stream_reader *s)
{
    size_t max = 16;
    for (uint32_t i = 0; i < s->n_citations; i++)
        max += 6 * s->citations[i].n + ANTHROPIC_CITATION_ROOM;
    struct buf b = arena_buf(rd->scratch, max);
    struct json_writer w = json_writer(&b);
    json_open(&w, '[');
    for (uint32_t i = 0; i < s->n_citations; i++)
        anthropic_put_citation(&w, json_root(s->citations[i]), s->from, s->chars, rd->scratch);
    json_close(&w, ']');
    s->n_citations = 0;
    if (b.n > 2 && !b.full)
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_ANNOTATIONS, .json = buf_str(&b)});
}

static void end_block(struct chat_reader *rd, struct stream_reader *s, const struct block *b)
{
    if (b->kind == TEXT && s->n_citations > 0)
        emit_annotations(rd, s);
    if (b->kind == JSON_CALL && s->wrapped.n > 0) {
        struct str whole = buf_str(&s->wrapped);
        s->wrapped = (struct buf){0};
        emit_text(rd, s, anthropic_json_answer(rd, whole));
    }
}

/* ---- events */

enum event_member {
    E_TYPE,
    E_INDEX,
    E_TEXT,
    E_JSON,
    E_THINKING,
    E_SIGNATURE,
    E_CITATION,
    E_BLOCK,
    E_MESSAGE,
    E_STOP,
    E_SEQUENCE,
    E_EXPLANATION,
    E_USAGE,
    E_ERROR,
    E_COUNT
};

static const char *const event_paths[E_COUNT] = {
    [E_TYPE] = "type",
    [E_INDEX] = "index",
    [E_TEXT] = "delta.text",
    [E_JSON] = "delta.partial_json",
    [E_THINKING] = "delta.thinking",
    [E_SIGNATURE] = "delta.signature",
    [E_CITATION] = "delta.citation",
    [E_BLOCK] = "content_block",
    [E_MESSAGE] = "message",
    [E_STOP] = "delta.stop_reason",
    [E_SEQUENCE] = "delta.stop_sequence",
    [E_EXPLANATION] = "delta.stop_details.explanation",
    [E_USAGE] = "usage",
    [E_ERROR] = "error",
};

static int64_t index_of(struct json_value v)
{
    int64_t n;
    return json_int(v, &n) == 0 ? n : -1;
}

/* It may be told again and again. */
static void keep(struct chat_reader *rd, struct str *kept, struct json_value v)
{
    struct str text = json_text(v, rd->scratch);
    if (v.type == JSON_STRING && !str_eq(text, *kept))
        *kept = arena_copy(rd->arena, text);
}

static void take_stop(struct chat_reader *rd, struct stream_reader *s, struct json_value stop,
                      struct json_value sequence, struct json_value explanation)
{
    if (stop.type == JSON_STRING)
        s->finish = anthropic_finish(stop);
    keep(rd, &s->stop_sequence, sequence);
    keep(rd, &s->explanation, explanation);
}

/* Each may still be under way: what comes is looked up among them. */
static enum frame_result not_too_many(struct chat_reader *rd, const struct stream_reader *s)
{
    if (s->tools <= MAX_CALLS)
        return FRAME_MORE;
    anthropic_malformed(rd->f, "The provider's stream has too many tool calls.");
    return FRAME_ERROR;
}

/* Content that is there from the start: calls that came up while a program of the model's ran. */
static void take_ready_content(struct chat_reader *rd, struct stream_reader *s, struct json_value content)
{
    struct json_value block;
    int64_t index = 0;
    for (size_t at = 0; content.type == JSON_ARRAY && json_next(content.raw, &at, NULL, &block) == 1;
         index++) {
        struct block *b = open_block(rd, s, index);
        if (!b)
            return;
        begin_block(rd, s, b, block);
        end_block(rd, s, b);
    }
}

/* Relays may send it twice for one message; of another message it can only mean that two answers were mixed.
 */
static enum frame_result again(struct chat_reader *rd, const struct stream_reader *s, struct str id)
{
    if (str_eq(id, s->id))
        return FRAME_MORE;
    anthropic_malformed(rd->f, "The provider began another answer in the middle of this one.");
    return FRAME_ERROR;
}

static enum frame_result take_start(struct chat_reader *rd, struct stream_reader *s,
                                    struct json_value message)
{
    static const char *const paths[] = {
        "id", "model", "content", "usage", "stop_reason", "stop_sequence", "stop_details.explanation"};
    struct json_value v[7];
    if (message.type != JSON_OBJECT || json_scan(message.raw, paths, 7, v, NULL) != 0)
        return FRAME_MORE;
    struct str id = json_text(v[0], rd->scratch);
    if (s->started)
        return again(rd, s, id);
    s->started = true;
    s->id = arena_copy(rd->arena, id);
    anthropic_take_usage(&s->told, v[3]);
    if (s->told.any)
        rd->r->told = anthropic_tokens(&s->told);
    chat_emit(rd,
              &(struct chat_delta){.kind = DELTA_START, .id = s->id, .model = json_text(v[1], rd->scratch)});
    take_stop(rd, s, v[4], v[5], v[6]);
    take_ready_content(rd, s, v[2]);
    return not_too_many(rd, s);
}

static enum frame_result take_block(struct chat_reader *rd, struct stream_reader *s,
                                    struct json_value v[E_COUNT])
{
    struct block *b = open_block(rd, s, index_of(v[E_INDEX]));
    if (!b) {
        anthropic_malformed(rd->f,
                            "The provider's stream numbers its blocks in a way that can't be followed.");
        return FRAME_ERROR;
    }
    begin_block(rd, s, b, v[E_BLOCK]);
    return not_too_many(rd, s);
}

static void take_delta(struct chat_reader *rd, struct stream_reader *s, struct json_value v[E_COUNT])
{
    const struct block *b = block_at(s, index_of(v[E_INDEX]));
    if (!b)
        return;
    switch (b->kind) {
    case TEXT:
        emit_text(rd, s, json_text(v[E_TEXT], rd->scratch));
        keep_citation(rd, s, v[E_CITATION]);
        break;
    case THINKING:
        emit_thinking(rd, json_text(v[E_THINKING], rd->scratch), json_text(v[E_SIGNATURE], rd->scratch));
        break;
    case CALL:
        if (!b->given)
            emit_arguments(rd, b, json_text(v[E_JSON], rd->scratch));
        break;
    case JSON_CALL:
        if (!b->given)
            emit_json(rd, s, json_text(v[E_JSON], rd->scratch));
        break;
    case SKIPPED:
        break;
    }
}

static enum frame_result take_stop_event(struct chat_reader *rd, struct stream_reader *s)
{
    if (s->finish == FINISH_NONE || (s->json && s->tools == 0 && s->finish == FINISH_TOOL_CALLS))
        s->finish = FINISH_STOP;
    if (s->finish == FINISH_REFUSAL && s->explanation.n > 0)
        chat_emit(rd, &(struct chat_delta){
                          .kind = DELTA_REFUSAL, .text = s->explanation, .finish = FINISH_REFUSAL});
    chat_emit(rd, &(struct chat_delta){
                      .kind = DELTA_FINISH, .finish = s->finish, .stop_sequence = s->stop_sequence});
    if (s->told.any) {
        struct usage_tokens u = anthropic_tokens(&s->told);
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_USAGE, .usage = u});
    }
    return FRAME_LAST;
}

static enum frame_result take_event(struct chat_reader *rd, struct stream_reader *s,
                                    struct json_value v[E_COUNT])
{
    struct json_value type = v[E_TYPE];
    if (anthropic_word_is(type, "content_block_delta")) {
        take_delta(rd, s, v);
    } else if (anthropic_word_is(type, "content_block_start")) {
        return take_block(rd, s, v);
    } else if (anthropic_word_is(type, "content_block_stop")) {
        const struct block *b = block_at(s, index_of(v[E_INDEX]));
        if (b)
            end_block(rd, s, b);
    } else if (anthropic_word_is(type, "message_start")) {
        return take_start(rd, s, v[E_MESSAGE]);
    } else if (anthropic_word_is(type, "message_delta")) {
        take_stop(rd, s, v[E_STOP], v[E_SEQUENCE], v[E_EXPLANATION]);
        anthropic_take_usage(&s->told, v[E_USAGE]);
    } else if (anthropic_word_is(type, "message_stop")) {
        return take_stop_event(rd, s);
    }
    return FRAME_MORE; /* ping, and what is yet to come */
}

enum frame_result anthropic_read_frame(struct chat_reader *rd, const struct chat_frame *frame)
{
    struct json_value v[E_COUNT];
    struct stream_reader *s = state_of(rd);
    if (json_scan(frame->data, event_paths, E_COUNT, v, NULL) != 0) {
        anthropic_malformed(rd->f, "The provider's stream holds an event that is no valid JSON object.");
        return FRAME_ERROR;
    }
    if (frame->exception || anthropic_word_is(v[E_TYPE], "error") || str_eq(frame->name, STR("error")) ||
        (v[E_TYPE].type == JSON_ABSENT && v[E_ERROR].type > JSON_NULL)) {
        anthropic_read_error(rd->r, 502, NULL, frame->data, rd->f);
        return FRAME_ERROR;
    }
    return take_event(rd, s, v);
}

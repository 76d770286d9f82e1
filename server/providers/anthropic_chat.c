/* What Claude answers, whole and as a stream, in the neutral form. Run by workers only.
 *
 * A stream is a row of blocks, told by index; only text, thinking and calls of the caller's own tools are the
 * caller's business: what Anthropic's tools have done (server_tool_use, …_tool_result), compactions and
 * blocks of kinds to come are passed over. Usage: message_start tells the input, message_delta the output,
 * cumulative, and in newer streams the input again, which then counts. */
#include "anthropic_chat.h"

#include "json_write.h"
#include "limits.h"

#include <string.h>

/* ---- usage */

/* As told; what a text does not tell stays. */
struct told {
    uint64_t input, cache_write, cache_read, output, thinking;
    bool any;
};

static bool take_count(struct json_value v, uint64_t *out)
{
    int64_t n;
    if (v.type != JSON_NUMBER || json_int(v, &n) != 0 || n < 0 || n > INT32_MAX)
        return false;
    *out = (uint64_t)n;
    return true;
}

static void take_usage(struct told *t, struct json_value usage)
{
    static const char *const paths[] = {"input_tokens", "cache_creation_input_tokens",
                                        "cache_read_input_tokens", "output_tokens",
                                        "output_tokens_details.thinking_tokens"};
    struct json_value v[5];
    if (usage.type != JSON_OBJECT || json_scan(usage.raw, paths, 5, v, NULL) != 0)
        return;
    t->any |= take_count(v[0], &t->input);
    take_count(v[1], &t->cache_write);
    take_count(v[2], &t->cache_read);
    t->any |= take_count(v[3], &t->output);
    take_count(v[4], &t->thinking);
}

static struct usage_tokens tokens_of(const struct told *t)
{
    return (struct usage_tokens){.input = t->input + t->cache_write + t->cache_read,
                                 .cached = t->cache_read,
                                 .cache_write = t->cache_write,
                                 .output = t->output,
                                 .reasoning = t->thinking < t->output ? t->thinking : t->output};
}

/* The other way: of what was kept from message_start. */
static struct told told_of(const struct usage_tokens *u)
{
    return (struct told){.input = u->input - u->cached - u->cache_write,
                         .cache_write = u->cache_write,
                         .cache_read = u->cached,
                         .output = u->output,
                         .thinking = u->reasoning};
}

/* ---- words */

static enum chat_finish finish_of(struct json_value stop_reason)
{
    static const struct {
        struct str word;
        enum chat_finish finish;
    } words[] = {
        {STR("\"end_turn\""), FINISH_STOP},       {STR("\"stop_sequence\""), FINISH_STOP_SEQUENCE},
        {STR("\"max_tokens\""), FINISH_LENGTH},   {STR("\"model_context_window_exceeded\""), FINISH_LENGTH},
        {STR("\"tool_use\""), FINISH_TOOL_CALLS}, {STR("\"refusal\""), FINISH_REFUSAL},
        {STR("\"pause_turn\""), FINISH_PAUSE},    {STR("\"compaction\""), FINISH_PAUSE},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq(stop_reason.raw, words[i].word))
            return words[i].finish;
    return FINISH_STOP;
}

static bool word_is(struct json_value v, const char *word)
{
    return v.type == JSON_STRING && v.raw.n == strlen(word) + 2 &&
           memcmp(v.raw.p + 1, word, v.raw.n - 2) == 0;
}

static bool is_json_tool(const struct chat_reader *rd, struct str name)
{
    return rd->in && rd->in->format == FORMAT_SCHEMA &&
           str_eq(name, anthropic_json_tool(rd->in, rd->scratch));
}

/* What a forced tool was given is the answer: its input, or of a wrapped one the member "value". */
static struct str json_answer(const struct chat_reader *rd, struct str input)
{
    if (!anthropic_json_wrapped(rd->in))
        return input;
    struct json_value value = json_member(json_root(input), "value");
    return value.type == JSON_ABSENT ? input : value.raw;
}

static int malformed(struct failure *f, const char *what)
{
    *f = (struct failure){
        .status = 502, .type = "server_error", .code = "upstream_malformed", .message = str_of(what)};
    return -1;
}

/* ---- citations */

/* Code points, which is what places in a text are counted in. */
static uint64_t count_chars(struct str s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* As OpenAI's annotation of the characters [from, to), where the citation names a page on the web. */
static void put_citation(struct json_writer *w, struct json_value citation, uint64_t from, uint64_t to,
                         struct arena *a)
{
    static const char *const paths[] = {"url", "title", "source"};
    struct json_value v[3];
    if (citation.type != JSON_OBJECT || json_scan(citation.raw, paths, 3, v, NULL) != 0)
        return;
    struct str url = json_text(v[0], a);
    if (url.n == 0)
        url = json_text(v[2], a);
    if (!str_starts(url, STR("http://")) && !str_starts(url, STR("https://")))
        return;
    json_open(w, '{');
    json_member_strz(w, "type", "url_citation");
    json_member_open(w, "url_citation", '{');
    json_member_i64(w, "start_index", (int64_t)from);
    json_member_i64(w, "end_index", (int64_t)to);
    json_member_str(w, "title", json_text(v[1], a));
    json_member_str(w, "url", url);
    json_close(w, '}');
    json_close(w, '}');
}

enum { CITATION_ROOM = 192 }; /* of an annotation, beside what it takes from the citation */

/* ---- whole answers */

enum block_member {
    B_TYPE,
    B_TEXT,
    B_THINKING,
    B_SIGNATURE,
    B_DATA,
    B_ID,
    B_NAME,
    B_INPUT,
    B_CITATIONS,
    B_COUNT
};

static const char *const block_paths[B_COUNT] = {"type", "text", "thinking", "signature", "data",
                                                 "id",   "name", "input",    "citations"};

static int read_block(struct json_value block, struct json_value v[B_COUNT])
{
    return block.type == JSON_OBJECT ? json_scan(block.raw, block_paths, B_COUNT, v, NULL) : -1;
}

/* The state of reading one answer. */
struct answer_reader {
    struct chat_reader *rd;
    struct chat_choice *choice;
    struct buf notes; /* annotations */
    struct json_writer w;
    uint64_t chars;
    bool json; /* the forced tool was called */
};

static struct chat_part *add_part(struct answer_reader *ar, enum chat_part_kind kind)
{
    return chat_add_part(&ar->choice->parts, &ar->choice->n_parts, ar->rd->arena, kind);
}

static void add_text(struct answer_reader *ar, struct json_value v[B_COUNT])
{
    struct arena *a = ar->rd->arena;
    struct chat_part *p = add_part(ar, PART_TEXT);
    struct json_value citation;
    p->text = json_text(v[B_TEXT], a);
    uint64_t from = ar->chars;
    ar->chars += count_chars(p->text);
    for (size_t at = 0;
         v[B_CITATIONS].type == JSON_ARRAY && json_next(v[B_CITATIONS].raw, &at, NULL, &citation) == 1;)
        put_citation(&ar->w, citation, from, ar->chars, a);
}

static void add_call(struct answer_reader *ar, struct json_value v[B_COUNT])
{
    struct arena *a = ar->rd->arena;
    struct str name = json_text(v[B_NAME], a),
               input = v[B_INPUT].type == JSON_OBJECT ? v[B_INPUT].raw : STR("{}");
    if (is_json_tool(ar->rd, name)) {
        ar->json = true;
        add_part(ar, PART_TEXT)->text = json_answer(ar->rd, input);
        return;
    }
    struct chat_part *p = add_part(ar, PART_TOOL_CALL);
    p->name = anthropic_tool_named(ar->rd->in, name.n > 0 ? name : STR("unnamed"), a);
    p->id = json_text(v[B_ID], a);
    if (p->id.n == 0)
        p->id = chat_make_id(a, "toolu_");
    p->arguments = input;
}

static void add_block(struct answer_reader *ar, struct json_value block)
{
    struct json_value v[B_COUNT];
    struct arena *a = ar->rd->arena;
    if (read_block(block, v) != 0)
        return;
    if (word_is(v[B_TYPE], "text"))
        add_text(ar, v);
    else if (word_is(v[B_TYPE], "tool_use"))
        add_call(ar, v);
    else if (word_is(v[B_TYPE], "thinking")) {
        struct chat_part *p = add_part(ar, PART_THINKING);
        p->text = json_text(v[B_THINKING], a);
        p->signature = json_text(v[B_SIGNATURE], a);
        p->signer = p->signature.n > 0 ? SIGNER_ANTHROPIC : SIGNER_NONE;
    } else if (word_is(v[B_TYPE], "redacted_thinking")) {
        struct chat_part *p = add_part(ar, PART_REDACTED);
        p->data = json_text(v[B_DATA], a);
        p->signer = SIGNER_ANTHROPIC;
    }
}

/* Where the forced tool was called, its answer is the only text. */
static void keep_json_only(struct chat_choice *c)
{
    size_t kept = 0;
    struct chat_part *last = NULL;
    for (size_t i = 0; i < c->n_parts; i++)
        last = c->parts[i].kind == PART_TEXT ? &c->parts[i] : last;
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].kind != PART_TEXT || &c->parts[i] == last)
            c->parts[kept++] = c->parts[i];
    c->n_parts = kept;
    c->annotations = STR_NULL;
}

static void read_content(struct answer_reader *ar, struct json_value content)
{
    struct json_value block;
    size_t max = content.raw.n + CITATION_ROOM * (content.raw.n / 16 + 1);
    buf_init(&ar->notes, max);
    ar->w = json_writer(&ar->notes);
    json_open(&ar->w, '[');
    for (size_t at = 0; json_next(content.raw, &at, NULL, &block) == 1;)
        add_block(ar, block);
    json_close(&ar->w, ']');
    if (ar->notes.n > 2 && !ar->notes.full)
        ar->choice->annotations = arena_copy(ar->rd->arena, buf_str(&ar->notes));
    buf_free(&ar->notes);
    if (ar->json)
        keep_json_only(ar->choice);
}

int anthropic_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out)
{
    static const char *const paths[] = {
        "type",  "id",   "model", "content", "stop_reason", "stop_sequence", "stop_details.explanation",
        "usage", "error"};
    enum { TYPE, ID, MODEL, CONTENT, STOP, SEQUENCE, EXPLANATION, USAGE, ERROR, COUNT };
    struct json_value v[COUNT];
    struct told told = {0};
    if (json_scan(body, paths, COUNT, v, NULL) != 0)
        return malformed(rd->f, "The provider's answer is no valid JSON object.");
    if (word_is(v[TYPE], "error") || (v[ERROR].type > JSON_NULL && v[CONTENT].type != JSON_ARRAY)) {
        anthropic_read_error(rd->r, 502, NULL, body, rd->f);
        return -1;
    }
    if (v[CONTENT].type != JSON_ARRAY)
        return malformed(rd->f, "The provider's answer has no content.");
    out->id = json_text(v[ID], rd->arena);
    out->model = json_text(v[MODEL], rd->arena);
    struct answer_reader ar = {.rd = rd, .choice = chat_add_choice(out, rd->arena)};
    read_content(&ar, v[CONTENT]);
    ar.choice->finish = finish_of(v[STOP]);
    ar.choice->stop_sequence = json_text(v[SEQUENCE], rd->arena);
    if (ar.json && !chat_has(ar.choice->parts, ar.choice->n_parts, PART_TOOL_CALL) &&
        ar.choice->finish == FINISH_TOOL_CALLS)
        ar.choice->finish = FINISH_STOP;
    if (ar.choice->finish == FINISH_REFUSAL && v[EXPLANATION].type == JSON_STRING)
        add_part(&ar, PART_REFUSAL)->text = json_text(v[EXPLANATION], rd->arena);
    take_usage(&told, v[USAGE]);
    out->usage = tokens_of(&told);
    out->usage_known = told.any;
    return 0;
}

int anthropic_read_count(struct chat_reader *rd, struct str body, uint64_t *tokens)
{
    static const char *const paths[] = {"input_tokens"};
    struct json_value v[1];
    if (json_scan(body, paths, 1, v, NULL) != 0 || !take_count(v[0], tokens))
        return malformed(rd->f, "The provider's answer tells no number of tokens.");
    return 0;
}

/* ---- streams */

enum block_kind { SKIPPED, TEXT, THINKING, CALL, JSON_CALL };

enum { MAX_BLOCKS = 4096, MAX_WRAPPED = 4 * 1024 * 1024, MAX_CITATIONS = 256 };

struct block {
    enum block_kind kind;
    uint32_t tool;
    bool given; /* its arguments came whole, with its start */
};

struct stream_reader {
    bool started;
    struct str id;
    struct told told;
    enum chat_finish finish;
    struct str stop_sequence, explanation;
    struct block *blocks; /* by index */
    uint32_t n_blocks, room;
    uint32_t tools;
    bool json;          /* the forced tool was called */
    struct str wrapped; /* its input so far, where the answer is but a part of it */
    size_t wrapped_room;
    uint64_t chars, from;                /* of text in all, and where the open block begins */
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
    s->chars += count_chars(text);
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
    if (s->wrapped.n + text.n > s->wrapped_room) {
        s->wrapped_room = 2 * (s->wrapped.n + text.n) + 256;
        char *more = arena_alloc(rd->arena, s->wrapped_room);
        if (s->wrapped.n > 0)
            memcpy(more, s->wrapped.p, s->wrapped.n);
        s->wrapped.p = more;
    }
    char *end = (char *)(uintptr_t)s->wrapped.p + s->wrapped.n;
    if (text.n > 0)
        memcpy(end, text.p, text.n);
    s->wrapped.n += text.n;
}

static void emit_json(struct chat_reader *rd, struct stream_reader *s, struct str text)
{
    if (anthropic_json_wrapped(rd->in))
        keep_wrapped(rd, s, text);
    else
        emit_text(rd, s, text);
}

static void begin_call(struct chat_reader *rd, struct stream_reader *s, struct block *b,
                       struct json_value v[B_COUNT])
{
    struct str name = json_text(v[B_NAME], rd->scratch), id = json_text(v[B_ID], rd->scratch);
    b->given = v[B_INPUT].type == JSON_OBJECT && v[B_INPUT].count > 0;
    if (is_json_tool(rd, name)) {
        b->kind = JSON_CALL;
        s->json = true;
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

static void begin_text(struct chat_reader *rd, struct stream_reader *s, struct json_value v[B_COUNT])
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
    struct json_value v[B_COUNT];
    if (read_block(content, v) != 0)
        return;
    if (word_is(v[B_TYPE], "text")) {
        b->kind = TEXT;
        begin_text(rd, s, v);
    } else if (word_is(v[B_TYPE], "tool_use")) {
        begin_call(rd, s, b, v);
    } else if (word_is(v[B_TYPE], "thinking")) {
        b->kind = THINKING;
        emit_thinking(rd, json_text(v[B_THINKING], rd->scratch), json_text(v[B_SIGNATURE], rd->scratch));
    } else if (word_is(v[B_TYPE], "redacted_thinking")) {
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_REDACTED,
                                           .data = json_text(v[B_DATA], rd->scratch),
                                           .signer = SIGNER_ANTHROPIC});
    }
}

static void emit_annotations(struct chat_reader *rd, struct stream_reader *s)
{
    size_t max = 16;
    for (uint32_t i = 0; i < s->n_citations; i++)
        max += 6 * s->citations[i].n + CITATION_ROOM;
    struct buf b = {.p = arena_alloc(rd->scratch, max), .cap = max, .max = max};
    struct json_writer w = json_writer(&b);
    json_open(&w, '[');
    for (uint32_t i = 0; i < s->n_citations; i++)
        put_citation(&w, json_root(s->citations[i]), s->from, s->chars, rd->scratch);
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
        struct str whole = s->wrapped;
        s->wrapped = STR_NULL;
        s->wrapped_room = 0;
        emit_text(rd, s, json_answer(rd, whole));
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

static void take_stop(struct chat_reader *rd, struct stream_reader *s, struct json_value stop,
                      struct json_value sequence, struct json_value explanation)
{
    if (stop.type == JSON_STRING)
        s->finish = finish_of(stop);
    if (sequence.type == JSON_STRING)
        s->stop_sequence = arena_copy(rd->arena, json_text(sequence, rd->scratch));
    if (explanation.type == JSON_STRING)
        s->explanation = arena_copy(rd->arena, json_text(explanation, rd->scratch));
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
    malformed(rd->f, "The provider began another answer in the middle of this one.");
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
    take_usage(&s->told, v[3]);
    if (s->told.any)
        rd->r->told = tokens_of(&s->told);
    chat_emit(rd,
              &(struct chat_delta){.kind = DELTA_START, .id = s->id, .model = json_text(v[1], rd->scratch)});
    take_stop(rd, s, v[4], v[5], v[6]);
    take_ready_content(rd, s, v[2]);
    return FRAME_MORE;
}

static enum frame_result take_block(struct chat_reader *rd, struct stream_reader *s,
                                    struct json_value v[E_COUNT])
{
    struct block *b = open_block(rd, s, index_of(v[E_INDEX]));
    if (!b) {
        malformed(rd->f, "The provider's stream numbers its blocks in a way that can't be followed.");
        return FRAME_ERROR;
    }
    begin_block(rd, s, b, v[E_BLOCK]);
    return FRAME_MORE;
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
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_REFUSAL, .text = s->explanation});
    chat_emit(rd, &(struct chat_delta){
                      .kind = DELTA_FINISH, .finish = s->finish, .stop_sequence = s->stop_sequence});
    if (s->told.any) {
        struct usage_tokens u = tokens_of(&s->told);
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_USAGE, .usage = u});
    }
    return FRAME_LAST;
}

static enum frame_result take_event(struct chat_reader *rd, struct stream_reader *s,
                                    struct json_value v[E_COUNT])
{
    struct json_value type = v[E_TYPE];
    if (word_is(type, "content_block_delta")) {
        take_delta(rd, s, v);
    } else if (word_is(type, "content_block_start")) {
        return take_block(rd, s, v);
    } else if (word_is(type, "content_block_stop")) {
        const struct block *b = block_at(s, index_of(v[E_INDEX]));
        if (b)
            end_block(rd, s, b);
    } else if (word_is(type, "message_start")) {
        return take_start(rd, s, v[E_MESSAGE]);
    } else if (word_is(type, "message_delta")) {
        take_stop(rd, s, v[E_STOP], v[E_SEQUENCE], v[E_EXPLANATION]);
        take_usage(&s->told, v[E_USAGE]);
    } else if (word_is(type, "message_stop")) {
        return take_stop_event(rd, s);
    }
    return FRAME_MORE; /* ping, and what is yet to come */
}

enum frame_result anthropic_read_frame(struct chat_reader *rd, const struct chat_frame *frame)
{
    struct json_value v[E_COUNT];
    struct stream_reader *s = state_of(rd);
    if (json_scan(frame->data, event_paths, E_COUNT, v, NULL) != 0) {
        malformed(rd->f, "The provider's stream holds an event that is no valid JSON object.");
        return FRAME_ERROR;
    }
    if (frame->exception || word_is(v[E_TYPE], "error") || str_eq(frame->name, STR("error")) ||
        (v[E_TYPE].type == JSON_ABSENT && v[E_ERROR].type > JSON_NULL)) {
        anthropic_read_error(rd->r, 502, NULL, frame->data, rd->f);
        return FRAME_ERROR;
    }
    return take_event(rd, s, v);
}

/* ---- errors */

static const struct error_kind {
    const char *type;
    int status;
    const char *code; /* OpenAI's */
} error_kinds[] = {
    {"invalid_request_error", 400, NULL},
    {"authentication_error", 401, "invalid_api_key"},
    {"billing_error", 402, "insufficient_quota"},
    {"permission_error", 403, NULL},
    {"not_found_error", 404, NULL},
    {"request_too_large", 413, NULL},
    {"rate_limit_error", 429, "rate_limit_exceeded"},
    {"api_error", 500, NULL},
    {"overloaded_error", 503, NULL},
    {"timeout_error", 504, NULL},
};

static bool holds(struct str text, const char *what)
{
    return text.n > 0 && memmem(text.p, text.n, what, strlen(what)) != NULL;
}

/* What OpenAI has a code for, by its words. */
static const char *code_of(int status, struct str message)
{
    if (status == 404 && str_starts(message, STR("model")))
        return "model_not_found";
    if (status != 400 && status != 413)
        return NULL;
    if (holds(message, "prompt is too long") || holds(message, "context limit") ||
        holds(message, "context window"))
        return "context_length_exceeded";
    return holds(message, "content filtering policy") ? "content_filter" : NULL;
}

static void put_kind(struct failure *f, struct json_value type, bool by_type)
{
    for (size_t i = 0; i < sizeof(error_kinds) / sizeof(error_kinds[0]); i++)
        if (word_is(type, error_kinds[i].type)) {
            if (by_type)
                f->status = error_kinds[i].status;
            f->code = error_kinds[i].code;
        }
    if (f->status == 529)
        f->status = 503; /* Anthropic's callers get their 529 again (dialect.c) */
    const char *code = code_of(f->status, f->message);
    if (code)
        f->code = code;
}

void anthropic_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                          struct failure *f)
{
    static const char *const paths[] = {"error.type", "error.message", "error", "message", "detail"};
    struct json_value v[5] = {{.type = JSON_ABSENT}};
    *f = (struct failure){.status = status};
    if (json_scan(body, paths, 5, v, NULL) == 0)
        for (size_t i = 1; i < 5 && f->message.n == 0; i++)
            f->message = json_text(v[i], r->arena);
    else
        v[0].type = JSON_ABSENT;
    if (f->message.n > 0)
        f->message = arena_copy(r->arena, f->message);
    else if (status == 413) /* a page of HTML, from the proxy in front of the API */
        f->message = STR("The request is larger than the provider takes.");
    else
        f->message = arena_printf(r->arena, "The provider answered with status %d.", status);
    put_kind(f, v[0], !headers);
}

/* ---- passing: what metering needs */

int anthropic_read_answer(struct request *r, struct str answer, struct failure *f)
{
    static const char *const paths[] = {"type", "usage", "error", "input_tokens"};
    struct json_value v[4];
    struct told told = {0};
    if (json_scan(answer, paths, 4, v, NULL) != 0)
        return malformed(f, "The provider's answer is no valid JSON object.");
    if (word_is(v[0], "error") || (v[0].type == JSON_ABSENT && v[2].type == JSON_OBJECT)) {
        anthropic_read_error(r, 502, NULL, answer, f);
        return -1;
    }
    take_usage(&told, v[1]);
    if (told.any) {
        r->tokens = tokens_of(&told);
        r->tokens_known = true;
    }
    return 0;
}

/* Bytes of the string that a delta carries. */
static uint32_t delta_bytes(struct str data)
{
    static const struct str names[] = {STR("\"text\":"), STR("\"partial_json\":"), STR("\"thinking\":")};
    const char *end = data.p + data.n;
    for (size_t i = 0; data.n > 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        const char *p = memmem(data.p, data.n, names[i].p, names[i].n);
        for (p = p ? p + names[i].n : end; p < end && *p == ' ';)
            p++;
        if (p == end || *p != '"')
            continue;
        const char *at = ++p;
        while (at < end && *at != '"')
            at += *at == '\\' ? 2 : 1;
        return (uint32_t)((at < end ? at : end) - p);
    }
    return 0;
}

static void meter_start(struct request *r, struct str data)
{
    static const char *const paths[] = {"message.usage"};
    struct json_value v[1];
    struct told told = {0};
    if (r->told.input > 0 || json_scan(data, paths, 1, v, NULL) != 0)
        return;
    take_usage(&told, v[0]);
    if (told.any)
        r->told = tokens_of(&told);
}

static bool meter_end(struct request *r, struct str data)
{
    static const char *const paths[] = {"usage"};
    struct json_value v[1];
    struct told told = told_of(&r->told);
    if (json_scan(data, paths, 1, v, NULL) != 0)
        return false;
    take_usage(&told, v[0]);
    if (!told.any)
        return false;
    r->tokens = tokens_of(&told);
    r->tokens_known = true;
    return true;
}

/* The event's name, or where a relay has left it out, what its data says: a slice without quotes. */
static struct str event_type(const struct sse_event *ev)
{
    static const char *const paths[] = {"type"};
    struct json_value v[1];
    if (ev->name.n > 0)
        return ev->name;
    if (json_scan(ev->data, paths, 1, v, NULL) != 0 || v[0].type != JSON_STRING)
        return STR_NULL;
    return (struct str){v[0].raw.p + 1, v[0].raw.n - 2};
}

struct stream_event anthropic_read_event(struct request *r, const struct sse_event *ev)
{
    struct stream_event e = {0};
    if (!ev->has_data)
        return e;
    struct str type = event_type(ev);
    if (str_eq(type, STR("content_block_delta")) || str_eq(type, STR("content_block_start")))
        e.text_bytes = delta_bytes(ev->data);
    else if (str_eq(type, STR("message_start")))
        meter_start(r, ev->data);
    else if (str_eq(type, STR("message_delta")))
        e.usage = meter_end(r, ev->data);
    else if (str_eq(type, STR("message_stop")))
        e.last = true;
    else
        e.error = str_eq(type, STR("error"));
    return e;
}

bool anthropic_body_passes(struct str body)
{
    static const char *const foreign[] = {
        "\"extra_content\"",        "\"signature\":\"\"",       "\"signature\": \"\"",
        "\"signature\":\"openai:",  "\"signature\": \"openai:", "\"signature\":\"google:",
        "\"signature\": \"google:", "\"data\":\"openai:",       "\"data\": \"openai:",
    };
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if (holds(body, foreign[i]))
            return false;
    return true;
}

/* Reads what OpenAI, and everybody who speaks its dialect, answers to a chat request: whole answers and
 * streams, by one reader, since a message and a delta have the same members. Run by workers.
 *
 * Vendors deviate in small things, none of which may lose anything: thinking under five names, content as an
 * array, indices, ids or names of tool calls that come late, twice or never, whole calls in one piece,
 * arguments as an object, finish reasons of their own, said early, twice, or "stop" for a tool call. So
 * nothing is trusted to come in order: a call is told once its id and name are known, and a choice is
 * finished only where its stream ends. */
#include "openai.h"

#include "json_write.h"

#include <string.h>

enum {
    MAX_CHOICES = 128,
    MAX_CALLS = 1024,     /* of one choice */
    MAX_HELD = 64 * 1024, /* of a call's arguments, while its id is waited for */
    MAX_CITATIONS = 256 * 1024,
};

struct call {
    int64_t index; /* as the provider counts; -1: not told */
    struct str id, name, signature;
    struct buf held; /* arguments from before the call is told; memory of the arena */
    bool told;
    bool custom;   /* of a custom tool: what is held is its input */
    uint32_t tool; /* our index, once told */
};

struct choice {
    bool seen, refused;
    enum chat_finish finish;
    struct str stop; /* the sequence that ended it, where told (vLLM) */
    struct call *calls;
    uint32_t n_calls, n_told;
};

struct reading {
    struct chat_reader *rd;
    struct choice *choices;
    uint32_t n;
    bool started;
    bool too_much;        /* calls, or of one's arguments: without them it would be another answer */
    struct str citations; /* annotations made of Perplexity's list */
    void (*emit)(struct reading *s, const struct chat_delta *d);
    struct chat_answer *answer; /* whole answers: where emit puts it */
};

/* ---- small things */

static struct str text_of(const struct reading *s, struct json_value v)
{
    return v.type == JSON_STRING ? json_text(v, s->rd->scratch) : STR_NULL;
}

static bool is(struct str s, const char *z)
{
    return str_eq(s, str_of(z));
}

static struct str kept(const struct reading *s, struct str text)
{
    return text.n > 0 ? arena_copy(s->rd->arena, text) : STR_NULL;
}

static int broken(const struct reading *s, const char *message)
{
    openai_bad_answer(s->rd->r, s->rd->f, message);
    return -1;
}

static struct choice *choice_at(struct reading *s, uint32_t index)
{
    if (index >= s->n) {
        uint32_t n = index + 1 > 2 * s->n ? index + 1 : 2 * s->n;
        struct choice *more = arena_alloc(s->rd->arena, n * sizeof(*more));
        if (s->n > 0)
            memcpy(more, s->choices, s->n * sizeof(*more));
        memset(more + s->n, 0, (n - s->n) * sizeof(*more));
        s->choices = more;
        s->n = n;
    }
    return &s->choices[index];
}

/* ---- text and thinking */

static void say(struct reading *s, uint32_t choice, enum chat_delta_kind kind, struct str text)
{
    if (text.n > 0)
        s->emit(s, &(struct chat_delta){.kind = kind, .choice = choice, .text = text});
}

static void say_signature(struct reading *s, uint32_t choice, enum chat_delta_kind kind, struct str signature,
                          enum chat_signer signer)
{
    if (signature.n > 0)
        s->emit(s, &(struct chat_delta){
                       .kind = kind, .choice = choice, .signature = signature, .signer = signer});
}

static void say_image(struct reading *s, uint32_t choice, struct json_value image)
{
    struct chat_delta d = {.kind = DELTA_IMAGE, .choice = choice};
    struct json_value url = json_member(image, "image_url");
    struct str where = text_of(s, url.type == JSON_OBJECT ? json_member(url, "url") : url);
    if (where.n == 0)
        return;
    if (!chat_data_url(where, &d.mime, &d.data) || !chat_base64(&d.data, s->rd->scratch)) {
        d.data = STR_NULL;
        d.url = where;
    }
    s->emit(s, &d);
}

/* Mistral: {"type":"thinking","thinking":[{"type":"text","text":…}]}, or a text. */
static void take_thinking_piece(struct reading *s, uint32_t choice, struct json_value thinking)
{
    struct json_value v;
    size_t next = 0;
    say(s, choice, DELTA_THINKING, text_of(s, thinking));
    if (thinking.type == JSON_ARRAY)
        while (json_next(thinking.raw, &next, NULL, &v) == 1)
            say(s, choice, DELTA_THINKING, text_of(s, v.type == JSON_STRING ? v : json_member(v, "text")));
}

static void take_content(struct reading *s, uint32_t choice, struct json_value content)
{
    struct json_value v;
    size_t next = 0;
    say(s, choice, DELTA_TEXT, text_of(s, content));
    if (content.type != JSON_ARRAY)
        return;
    while (json_next(content.raw, &next, NULL, &v) == 1) {
        if (is(text_of(s, json_member(v, "type")), "thinking"))
            take_thinking_piece(s, choice, json_member(v, "thinking"));
        else if (json_member(v, "image_url").type != JSON_ABSENT)
            say_image(s, choice, v);
        else
            say(s, choice, DELTA_TEXT, text_of(s, v.type == JSON_STRING ? v : json_member(v, "text")));
    }
}

static enum chat_signer signer_of(struct str format)
{
    if (str_starts(format, STR("google")))
        return SIGNER_GOOGLE;
    return str_starts(format, STR("openai")) || str_starts(format, STR("xai")) ? SIGNER_OPENAI
                                                                               : SIGNER_ANTHROPIC;
}

/* OpenRouter's pieces. What only its provider can read goes through the client as it is and comes back so. */
static bool take_detail(struct reading *s, uint32_t choice, struct json_value detail)
{
    static const char *const paths[] = {"type", "text", "summary", "signature", "format"};
    enum { TYPE, TEXT, SUMMARY, SIGNATURE, FORMAT };
    struct json_value v[5];
    if (detail.type != JSON_OBJECT || json_scan(detail.raw, paths, 5, v, NULL) != 0)
        return false;
    struct str text = text_of(s, v[v[TEXT].type == JSON_STRING ? TEXT : SUMMARY]);
    enum chat_signer signer = signer_of(text_of(s, v[FORMAT]));
    if (is(text_of(s, v[TYPE]), "reasoning.encrypted")) {
        s->emit(s, &(struct chat_delta){
                       .kind = DELTA_REDACTED, .choice = choice, .data = detail.raw, .signer = signer});
        return false;
    }
    say(s, choice, DELTA_THINKING, text);
    say_signature(s, choice, DELTA_THINKING, text_of(s, v[SIGNATURE]), signer);
    return text.n > 0;
}

/* LiteLLM's: the text stands in reasoning_content, too. */
static void take_block(struct reading *s, uint32_t choice, struct json_value block)
{
    struct str data = text_of(s, json_member(block, "data"));
    say_signature(s, choice, DELTA_THINKING, text_of(s, json_member(block, "signature")), SIGNER_ANTHROPIC);
    if (data.n > 0)
        s->emit(s, &(struct chat_delta){
                       .kind = DELTA_REDACTED, .choice = choice, .data = data, .signer = SIGNER_ANTHROPIC});
}

/* ---- a message, or a delta */

enum {
    D_CONTENT,
    D_REFUSAL,
    D_REASONING_CONTENT,
    D_REASONING,
    D_THINKING,
    D_DETAILS,
    D_BLOCKS,
    D_TOOL_CALLS,
    D_FUNCTION_CALL,
    D_ANNOTATIONS,
    D_IMAGES,
    D_SIGNATURE,
    D_MEMBERS
};

static const char *const delta_paths[D_MEMBERS] = {
    [D_CONTENT] = "content",
    [D_REFUSAL] = "refusal",
    [D_REASONING_CONTENT] = "reasoning_content",
    [D_REASONING] = "reasoning",
    [D_THINKING] = "thinking",
    [D_DETAILS] = "reasoning_details",
    [D_BLOCKS] = "thinking_blocks",
    [D_TOOL_CALLS] = "tool_calls",
    [D_FUNCTION_CALL] = "function_call",
    [D_ANNOTATIONS] = "annotations",
    [D_IMAGES] = "images",
    [D_SIGNATURE] = "extra_content.google.thought_signature",
};

/* The same thinking often stands under several names: the details, which have the signatures, count, else the
 * first name that has any. */
static void take_thinking(struct reading *s, uint32_t choice, const struct json_value v[])
{
    struct json_value piece;
    size_t next = 0;
    bool told = false;
    if (v[D_DETAILS].type == JSON_ARRAY)
        while (json_next(v[D_DETAILS].raw, &next, NULL, &piece) == 1)
            told |= take_detail(s, choice, piece);
    for (int i = D_REASONING_CONTENT; i <= D_THINKING && !told; i++) {
        struct str text = text_of(s, v[i]);
        say(s, choice, DELTA_THINKING, text);
        told = text.n > 0;
    }
    next = 0;
    if (v[D_BLOCKS].type == JSON_ARRAY)
        while (json_next(v[D_BLOCKS].raw, &next, NULL, &piece) == 1)
            take_block(s, choice, piece);
}

static void take_images(struct reading *s, uint32_t choice, struct json_value images)
{
    struct json_value v;
    size_t next = 0;
    if (images.type == JSON_ARRAY)
        while (json_next(images.raw, &next, NULL, &v) == 1)
            say_image(s, choice, v);
}

/* ---- tool calls */

static void hold(struct reading *s, struct call *c, struct str text)
{
    struct buf *b = &c->held;
    s->too_much |= b->n + text.n > MAX_SSE_EVENT + MAX_HELD;
    if (!s->too_much)
        chat_hold(b, text, s->rd->arena);
}

/* Its own, unless there is none, or it is another call's, too (some number all of them 0): the caller answers
 * calls by their ids. */
static struct str id_of(const struct reading *s, const struct choice *c, const struct call *call)
{
    for (uint32_t i = 0; i < c->n_calls; i++)
        if (c->calls[i].told && str_eq(c->calls[i].id, call->id))
            return chat_make_id(s->rd->arena, "call_");
    return call->id.n > 0 ? call->id : chat_make_id(s->rd->arena, "call_");
}

/* Tells of the call, and what has come of its arguments. Without a name there is nothing to call. */
static void tell_call(struct reading *s, uint32_t choice, struct choice *c, struct call *call)
{
    if (call->told || call->name.n == 0)
        return;
    struct str id = id_of(s, c, call);
    call->told = true;
    call->tool = c->n_told++;
    s->emit(s, &(struct chat_delta){.kind = DELTA_TOOL,
                                    .choice = choice,
                                    .tool = call->tool,
                                    .id = id,
                                    .name = openai_own_name(s->rd->in, call->name, s->rd->arena),
                                    .custom = call->custom,
                                    .signature = call->signature,
                                    .signer = call->signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE});
    if (call->held.n > 0)
        s->emit(s, &(struct chat_delta){.kind = DELTA_ARGUMENTS,
                                        .choice = choice,
                                        .tool = call->tool,
                                        .text = buf_str(&call->held),
                                        .custom = call->custom});
}

static void tell_held_calls(struct reading *s, uint32_t choice, struct choice *c)
{
    for (uint32_t i = 0; i < c->n_calls; i++)
        tell_call(s, choice, c, &c->calls[i]);
}

static struct call *add_call(struct reading *s, uint32_t choice, struct choice *c, int64_t index)
{
    s->too_much |= c->n_calls >= MAX_CALLS;
    if (s->too_much)
        return NULL;
    tell_held_calls(s, choice, c); /* what they still lack won't come any more */
    if ((c->n_calls & (c->n_calls - 1)) == 0) {
        struct call *more = arena_alloc(s->rd->arena, (c->n_calls ? 2 * c->n_calls : 1) * sizeof(*more));
        if (c->n_calls > 0)
            memcpy(more, c->calls, c->n_calls * sizeof(*more));
        c->calls = more;
    }
    struct call *call = &c->calls[c->n_calls++];
    *call = (struct call){.index = index};
    return call;
}

/* The call that a piece belongs to. Its index says so, unless its id is another's (some give all calls the
 * index 0); without an index its id does; without either, a name begins a call, and what has none goes on
 * with the last. */
static struct call *call_of(struct reading *s, uint32_t choice, struct choice *c, int64_t index,
                            struct str id, bool named)
{
    for (uint32_t i = c->n_calls; i-- > 0;) {
        struct call *call = &c->calls[i];
        bool other = id.n > 0 && call->id.n > 0 && !str_eq(id, call->id);
        if (index >= 0 ? call->index == index && !other : id.n > 0 && str_eq(id, call->id))
            return call;
        if (index >= 0 && call->index == index)
            break; /* the same index under another id: a new one */
    }
    if (index < 0 && id.n == 0 && !named && c->n_calls > 0)
        return &c->calls[c->n_calls - 1];
    return add_call(s, choice, c, index);
}

static void take_arguments(struct reading *s, uint32_t choice, struct choice *c, struct call *call,
                           struct json_value arguments)
{
    struct str text = text_of(s, arguments);
    if (arguments.type == JSON_OBJECT)
        text = arguments.raw;
    if (!call->told) {
        hold(s, call, text);
        if (call->held.n > MAX_HELD)
            tell_call(s, choice, c, call);
    } else if (text.n > 0) {
        s->emit(s, &(struct chat_delta){.kind = DELTA_ARGUMENTS,
                                        .choice = choice,
                                        .tool = call->tool,
                                        .text = text,
                                        .custom = call->custom});
    }
}

static void take_call(struct reading *s, uint32_t choice, struct choice *c, struct json_value piece,
                      bool whole)
{
    static const char *const paths[] = {"index",
                                        "id",
                                        "function.name",
                                        "function.arguments",
                                        "custom.name",
                                        "custom.input",
                                        "extra_content.google.thought_signature"};
    enum { INDEX, ID, NAME, ARGUMENTS, CUSTOM_NAME, INPUT, SIGNATURE };
    struct json_value v[7];
    int64_t index = -1;
    if (piece.type != JSON_OBJECT || json_scan(piece.raw, paths, 7, v, NULL) != 0)
        return;
    bool custom = v[CUSTOM_NAME].type == JSON_STRING;
    if (custom)
        v[NAME] = v[CUSTOM_NAME];
    if (v[INDEX].type != JSON_NUMBER || json_int(v[INDEX], &index) != 0 || index < 0 || index > INT32_MAX)
        index = -1;
    struct str id = text_of(s, v[ID]), name = text_of(s, v[NAME]);
    if (is(id, "null")) /* Mistral's, at a time */
        id = STR_NULL;
    struct call *call = whole ? add_call(s, choice, c, index) : call_of(s, choice, c, index, id, name.n > 0);
    if (!call)
        return;
    if (call->id.n == 0)
        call->id = kept(s, id);
    if (call->name.n == 0 && name.n > 0) {
        call->name = kept(s, name);
        call->custom = custom;
    }
    if (call->signature.n == 0)
        call->signature = kept(s, text_of(s, v[SIGNATURE]));
    if (call->id.n > 0 || whole)
        tell_call(s, choice, c, call);
    take_arguments(s, choice, c, call, v[call->custom ? INPUT : ARGUMENTS]);
}

static void take_calls(struct reading *s, uint32_t choice, struct choice *c, const struct json_value v[],
                       bool whole)
{
    struct json_value piece;
    size_t next = 0;
    if (v[D_TOOL_CALLS].type == JSON_ARRAY)
        while (json_next(v[D_TOOL_CALLS].raw, &next, NULL, &piece) == 1)
            take_call(s, choice, c, piece, whole);
    struct json_value legacy = v[D_FUNCTION_CALL];
    if (legacy.type != JSON_OBJECT)
        return;
    struct call *call = c->n_calls > 0 ? &c->calls[0] : add_call(s, choice, c, 0);
    if (!call)
        return;
    if (call->name.n == 0)
        call->name = kept(s, text_of(s, json_member(legacy, "name")));
    tell_call(s, choice, c, call);
    take_arguments(s, choice, c, call, json_member(legacy, "arguments"));
}

/* A message or a delta. -1: *f. */
static int take_delta(struct reading *s, uint32_t choice, struct json_value delta, bool whole)
{
    struct json_value v[D_MEMBERS];
    if (delta.type != JSON_OBJECT)
        return 0;
    if (json_scan(delta.raw, delta_paths, D_MEMBERS, v, NULL) != 0)
        return broken(s, "The provider's answer has a member twice.");
    take_thinking(s, choice, v);
    take_content(s, choice, v[D_CONTENT]);
    struct str refusal = text_of(s, v[D_REFUSAL]);
    s->choices[choice].refused |= refusal.n > 0;
    say(s, choice, DELTA_REFUSAL, refusal);
    take_images(s, choice, v[D_IMAGES]);
    take_calls(s, choice, &s->choices[choice], v, whole);
    if (s->too_much)
        return broken(s, "The provider's answer has too many tool calls, or too large ones.");
    if (s->choices[choice].n_calls == 0)
        say_signature(s, choice, DELTA_TEXT, text_of(s, v[D_SIGNATURE]), SIGNER_GOOGLE);
    if (v[D_ANNOTATIONS].type == JSON_ARRAY && v[D_ANNOTATIONS].count > 0)
        s->emit(s, &(struct chat_delta){
                       .kind = DELTA_ANNOTATIONS, .choice = choice, .json = v[D_ANNOTATIONS].raw});
    return 0;
}

/* ---- choices */

/* FINISH_NONE: none is told; FINISH_ERROR: it broke off there. */
static enum chat_finish finish_of(struct str reason)
{
    static const struct {
        const char *name;
        enum chat_finish finish;
    } known[] = {
        {"", FINISH_NONE},
        {"null", FINISH_NONE},
        {"length", FINISH_LENGTH},
        {"model_length", FINISH_LENGTH},
        {"max_tokens", FINISH_LENGTH},
        {"tool_calls", FINISH_TOOL_CALLS},
        {"function_call", FINISH_TOOL_CALLS},
        {"tool_use", FINISH_TOOL_CALLS},
        {"content_filter", FINISH_CONTENT_FILTER},
        {"safety", FINISH_CONTENT_FILTER},
        {"sensitive", FINISH_CONTENT_FILTER},
        {"refusal", FINISH_REFUSAL},
        {"stop_sequence", FINISH_STOP_SEQUENCE},
        {"error", FINISH_ERROR},
        {"insufficient_system_resource", FINISH_ERROR},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (is(reason, known[i].name))
            return known[i].finish;
    return FINISH_STOP;
}

static int broke_off(const struct reading *s, struct json_value choice, struct str reason)
{
    if (openai_is_error(json_member(choice, "error"))) { /* OpenRouter's say why */
        openai_read_error(s->rd->r, 502, NULL, choice.raw, s->rd->f);
        return -1;
    }
    *s->rd->f = (struct failure){.status = is(reason, "insufficient_system_resource") ? 503 : 502,
                                 .type = "server_error",
                                 .code = "upstream_error",
                                 .message = arena_printf(s->rd->r->arena,
                                                         "The provider broke off its answer: " STR_FMT ".",
                                                         STR_ARG(reason))};
    return -1;
}

/* Others tell other things there. */
static void take_stop(struct reading *s, struct choice *c, struct str sequence)
{
    for (size_t i = 0; sequence.n > 0 && s->rd->in && i < s->rd->in->n_stop; i++)
        if (str_eq(s->rd->in->stop[i], sequence))
            c->stop = s->rd->in->stop[i];
}

static int take_choice(struct reading *s, struct json_value value, uint32_t place, uint32_t n)
{
    static const char *const paths[] = {"index",         "delta",    "message",
                                        "finish_reason", "logprobs", "stop_reason"};
    enum { INDEX, DELTA, MESSAGE, FINISH, LOGPROBS, STOP };
    struct json_value v[6];
    int64_t index = place;
    if (value.type != JSON_OBJECT)
        return 0;
    if (json_scan(value.raw, paths, 6, v, NULL) != 0)
        return broken(s, "The provider's answer has a member twice.");
    if (v[INDEX].type == JSON_NUMBER && (json_int(v[INDEX], &index) != 0 || index < 0))
        index = place;
    if (s->answer && index >= n)
        index = place; /* whole answers have no gaps */
    if (index >= MAX_CHOICES)
        return 0;
    uint32_t choice = (uint32_t)index;
    choice_at(s, choice);
    for (uint32_t i = choice + 1; i-- > 0 && !s->choices[i].seen;)
        s->choices[i].seen = true; /* those before it, too: all of them get their end */
    bool whole = s->answer || v[DELTA].type != JSON_OBJECT;
    struct json_value message = s->answer && v[MESSAGE].type == JSON_OBJECT ? v[MESSAGE]
                                : v[DELTA].type == JSON_OBJECT              ? v[DELTA]
                                                                            : v[MESSAGE];
    if (take_delta(s, choice, message, whole) != 0)
        return -1;
    if (v[LOGPROBS].type == JSON_OBJECT)
        s->emit(s, &(struct chat_delta){.kind = DELTA_LOGPROBS, .choice = choice, .json = v[LOGPROBS].raw});
    struct str reason = text_of(s, v[FINISH]);
    enum chat_finish finish = finish_of(reason);
    if (finish == FINISH_ERROR)
        return broke_off(s, value, reason);
    if (finish != FINISH_NONE)
        s->choices[choice].finish = finish;
    take_stop(s, &s->choices[choice], text_of(s, v[STOP]));
    return 0;
}

static int take_choices(struct reading *s, struct json_value choices)
{
    struct json_value v;
    size_t next = 0;
    if (choices.type != JSON_ARRAY)
        return 0;
    for (uint32_t i = 0; json_next(choices.raw, &next, NULL, &v) == 1; i++)
        if (take_choice(s, v, i, choices.count) != 0)
            return -1;
    return 0;
}

/* What the provider says, and what it means beside what it gave. */
static enum chat_finish meant(const struct choice *c)
{
    if (c->finish == FINISH_NONE || c->finish == FINISH_STOP)
        return c->n_told > 0   ? FINISH_TOOL_CALLS
               : c->refused    ? FINISH_DECLINED
               : c->stop.n > 0 ? FINISH_STOP_SEQUENCE
                               : FINISH_STOP;
    return c->finish;
}

/* A call that never got a name can't be told, and an answer without it would be another one. */
static bool lost_call(const struct choice *c)
{
    for (uint32_t i = 0; i < c->n_calls; i++)
        if (!c->calls[i].told && c->calls[i].held.n > 0)
            return true;
    return false;
}

static int finish_choices(struct reading *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct choice *c = &s->choices[i];
        if (!c->seen)
            continue;
        tell_held_calls(s, i, c);
        if (lost_call(c))
            return broken(s, "The provider's answer has a tool call without a name.");
        if (i == 0 && s->citations.n > 0)
            s->emit(s, &(struct chat_delta){.kind = DELTA_ANNOTATIONS, .json = s->citations});
        s->emit(s, &(struct chat_delta){
                       .kind = DELTA_FINISH, .choice = i, .finish = meant(c), .stop_sequence = c->stop});
    }
    return 0;
}

/* ---- an answer, or a chunk */

enum {
    T_ERROR,
    T_CHOICES,
    T_USAGE,
    T_GROQ_USAGE,
    T_GROQ_ERROR,
    T_ID,
    T_MODEL,
    T_CREATED,
    T_OBJECT,
    T_CITATIONS,
    T_RESULTS,
    T_MEMBERS
};

static const char *const top_paths[T_MEMBERS] = {
    [T_ERROR] = "error",
    [T_CHOICES] = "choices",
    [T_USAGE] = "usage",
    [T_GROQ_USAGE] = "x_groq.usage",
    [T_GROQ_ERROR] = "x_groq.error",
    [T_ID] = "id",
    [T_MODEL] = "model",
    [T_CREATED] = "created",
    [T_OBJECT] = "object",
    [T_CITATIONS] = "citations",
    [T_RESULTS] = "search_results",
};

static void put_citation(struct json_writer *j, struct str url, struct str title)
{
    json_open(j, '{');
    json_member_strz(j, "type", "url_citation");
    json_member_open(j, "url_citation", '{');
    json_member_i64(j, "start_index", 0);
    json_member_i64(j, "end_index", 0);
    json_member_str(j, "title", title.n > 0 ? title : url);
    json_member_str(j, "url", url);
    json_close(j, '}');
    json_close(j, '}');
}

/* Perplexity lists its sources, on every chunk the same. */
static void take_citations(struct reading *s, const struct json_value v[])
{
    struct json_value list =
        v[v[T_RESULTS].type == JSON_ARRAY && v[T_RESULTS].count > 0 ? T_RESULTS : T_CITATIONS];
    struct json_value item;
    size_t next = 0;
    if (s->citations.n > 0 || list.type != JSON_ARRAY || list.count == 0 || list.raw.n > MAX_CITATIONS)
        return;
    size_t max = 7 * list.raw.n + 160 * (size_t)list.count;
    struct buf b = arena_buf(s->rd->arena, max);
    struct json_writer j = json_writer(&b);
    json_open(&j, '[');
    while (json_next(list.raw, &next, NULL, &item) == 1) {
        struct str url = text_of(s, item.type == JSON_STRING ? item : json_member(item, "url"));
        if (url.n > 0)
            put_citation(&j, url, text_of(s, json_member(item, "title")));
    }
    json_close(&j, ']');
    if (!b.full && b.n > 2)
        s->citations = buf_str(&b);
}

static void take_usage(struct reading *s, const struct json_value v[])
{
    struct usage_tokens u;
    if (openai_usage(v[T_USAGE], &u) || openai_usage(v[T_GROQ_USAGE], &u))
        s->emit(s, &(struct chat_delta){.kind = DELTA_USAGE, .usage = u});
}

/* Azure's first chunk has neither. */
static void take_head(struct reading *s, const struct json_value v[])
{
    struct chat_delta d = {.kind = DELTA_START, .id = text_of(s, v[T_ID]), .model = text_of(s, v[T_MODEL])};
    if (s->started || (d.id.n == 0 && d.model.n == 0))
        return;
    if (json_int(v[T_CREATED], &d.created) != 0 || d.created < 0)
        d.created = 0;
    s->started = true;
    s->emit(s, &d);
}

static bool is_failure(const struct reading *s, const struct json_value v[])
{
    return openai_is_error(v[T_ERROR]) || is(text_of(s, v[T_OBJECT]), "error") ||
           (openai_is_error(v[T_GROQ_ERROR]) && v[T_CHOICES].count == 0);
}

static int take_top(struct reading *s, struct str text, const struct json_value v[])
{
    take_usage(s, v); /* first: what failed has cost, too */
    if (is_failure(s, v)) {
        openai_read_error(s->rd->r, 502, NULL, text, s->rd->f);
        return -1;
    }
    take_head(s, v);
    take_citations(s, v);
    return take_choices(s, v[T_CHOICES]);
}

/* ---- streams */

static void emit_on(struct reading *s, const struct chat_delta *d)
{
    chat_emit(s->rd, d);
}

static struct reading *state_of(struct chat_reader *rd)
{
    if (!rd->state) {
        struct reading *s = arena_alloc(rd->arena, sizeof(*s));
        *s = (struct reading){.rd = rd, .emit = emit_on};
        rd->state = s;
    }
    return rd->state;
}

static enum frame_result end_of_stream(struct reading *s)
{
    bool any = false;
    for (uint32_t i = 0; i < s->n; i++)
        any |= s->choices[i].seen;
    if (!any)
        return broken(s, "The provider ended its answer before it had begun."), FRAME_ERROR;
    return finish_choices(s) == 0 ? FRAME_LAST : FRAME_ERROR;
}

enum frame_result openai_read_frame(struct chat_reader *rd, const struct chat_frame *frame)
{
    struct reading *s = state_of(rd);
    struct json_value v[T_MEMBERS];
    struct str data = str_trim(frame->data);
    if (is(data, "[DONE]"))
        return end_of_stream(s);
    if (data.n == 0)
        return FRAME_MORE;
    if (is(frame->name, "error")) {
        openai_read_error(rd->r, 502, NULL, data, rd->f);
        return FRAME_ERROR;
    }
    if (json_scan(data, top_paths, T_MEMBERS, v, NULL) != 0)
        return broken(s, "The provider's stream has an event that is no JSON object."), FRAME_ERROR;
    if (take_top(s, data, v) != 0)
        return FRAME_ERROR;
    return is(text_of(s, v[T_OBJECT]), "chat.completion.done") ? end_of_stream(s) : FRAME_MORE;
}

bool openai_whole(struct chat_reader *rd)
{
    struct reading *s = rd->state;
    bool any = false;
    if (!s || !(openai_deviations(rd->conf) & PROVIDER_NO_DONE))
        return false;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->choices[i].seen && s->choices[i].finish == FINISH_NONE)
            return false;
        any |= s->choices[i].seen;
    }
    return any && end_of_stream(s) == FRAME_LAST;
}

/* ---- whole answers */

static struct chat_part *add_part(struct reading *s, const struct chat_delta *d, enum chat_part_kind kind)
{
    struct chat_choice *c = &s->answer->choices[d->choice];
    struct chat_part *p = chat_add_part(&c->parts, &c->n_parts, s->rd->arena, kind);
    p->text = d->text;
    p->signature = d->signature;
    p->signer = d->signer;
    p->data = d->data;
    p->mime = d->mime;
    p->url = d->url;
    p->id = d->id;
    p->name = d->name;
    p->custom = d->custom;
    return p;
}

/* A signature belongs to what came before it. */
static void add_text(struct reading *s, const struct chat_delta *d, enum chat_part_kind kind)
{
    struct chat_choice *c = &s->answer->choices[d->choice];
    struct chat_part *last = c->n_parts > 0 ? &c->parts[c->n_parts - 1] : NULL;
    if (d->text.n == 0 && last && last->kind == kind && last->signature.n == 0) {
        last->signature = d->signature;
        last->signer = d->signer;
        return;
    }
    add_part(s, d, kind);
}

static void emit_whole(struct reading *s, const struct chat_delta *d)
{
    struct chat_answer *a = s->answer;
    struct chat_choice *c = d->choice < a->n_choices ? &a->choices[d->choice] : NULL;
    switch (d->kind) {
    case DELTA_START:
        a->id = d->id;
        a->model = d->model;
        a->created = d->created;
        break;
    case DELTA_TEXT:
        add_text(s, d, PART_TEXT);
        break;
    case DELTA_THINKING:
        add_text(s, d, PART_THINKING);
        break;
    case DELTA_REDACTED:
        add_part(s, d, PART_REDACTED);
        break;
    case DELTA_REFUSAL:
        add_part(s, d, PART_REFUSAL);
        break;
    case DELTA_IMAGE:
        add_part(s, d, PART_IMAGE);
        break;
    case DELTA_TOOL:
        add_part(s, d, PART_TOOL_CALL);
        break;
    case DELTA_ARGUMENTS:
        *(d->custom ? &c->parts[c->n_parts - 1].text : &c->parts[c->n_parts - 1].arguments) =
            d->text; /* a whole call's are whole */
        break;
    case DELTA_LOGPROBS:
        c->logprobs = d->json;
        break;
    case DELTA_ANNOTATIONS:
        c->annotations = d->json;
        break;
    case DELTA_FINISH:
        c->finish = d->finish;
        c->stop_sequence = d->stop_sequence;
        break;
    case DELTA_USAGE:
        a->usage = d->usage;
        a->usage_known = true;
        break;
    }
}

int openai_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out)
{
    struct reading s = {.rd = rd, .emit = emit_whole, .answer = out};
    struct json_value v[T_MEMBERS];
    if (json_scan(body, top_paths, T_MEMBERS, v, NULL) != 0)
        return broken(&s, "The provider's answer is no valid JSON object.");
    uint32_t n = v[T_CHOICES].type == JSON_ARRAY ? v[T_CHOICES].count : 0;
    if (!is_failure(&s, v) && n == 0) {
        if (json_member(json_root(body), "message").type == JSON_STRING ||
            json_member(json_root(body), "detail").type != JSON_ABSENT)
            return openai_read_error(rd->r, 502, NULL, body, rd->f), -1;
        return broken(&s, "The provider's answer has no choices.");
    }
    for (uint32_t i = 0; i < n && i < MAX_CHOICES; i++)
        chat_add_choice(out, rd->arena);
    if (take_top(&s, body, v) != 0)
        return -1;
    return finish_choices(&s);
}

/* Cohere's /v2/chat answers, whole and streamed. Run by workers. */
#include "cohere.h"

#include "json_write.h"
#include "openai.h"

#include <string.h>

enum { MAX_CALLS = 1024, MAX_LIST = 1024 * 1024 };

/* ---- how it ended */

static enum chat_finish finish_of(struct json_value reason)
{
    static const struct {
        struct str name;
        enum chat_finish finish;
    } reasons[] = {
        {STR("\"COMPLETE\""), FINISH_STOP},      {STR("\"STOP_SEQUENCE\""), FINISH_STOP_SEQUENCE},
        {STR("\"MAX_TOKENS\""), FINISH_LENGTH},  {STR("\"TOOL_CALL\""), FINISH_TOOL_CALLS},
        {STR("\"ERROR\""), FINISH_ERROR},        {STR("\"TIMEOUT\""), FINISH_ERROR},
        {STR("\"ERROR_LIMIT\""), FINISH_LENGTH}, {STR("\"ERROR_TOXIC\""), FINISH_CONTENT_FILTER},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (str_eq(reason.raw, reasons[i].name))
            return reasons[i].finish;
    return FINISH_STOP;
}

/* -1: a failure that the answer itself tells. */
static int broke_off(struct chat_reader *rd, struct json_value reason, struct json_value error)
{
    bool late = str_eq(reason.raw, STR("\"TIMEOUT\""));
    struct str words = json_text(error, rd->arena);
    *rd->f = (struct failure){.status = late ? 504 : 502,
                              .type = "server_error",
                              .code = late ? "upstream_timeout" : "upstream_error"};
    if (words.n > 0)
        rd->f->message = arena_copy(rd->arena, words);
    else
        rd->f->message = late ? STR("The provider took too long and broke off its answer.")
                              : STR("The provider broke off its answer.");
    return -1;
}

/* ---- citations, of which those of pages are told */

static struct json_value source_member(struct json_value source, const char *name)
{
    struct json_value v = json_member(json_member(source, "document"), name);
    return v.type == JSON_STRING ? v : json_member(json_member(source, "tool_output"), name);
}

static void put_citation(struct json_writer *j, struct json_value citation, struct json_value source)
{
    struct json_value url = source_member(source, "url"), title = source_member(source, "title");
    uint64_t start = 0, end = 0;
    if (url.type != JSON_STRING)
        url = json_member(source, "id");
    if (url.type != JSON_STRING || !str_starts(url.raw, STR("\"http")))
        return;
    cohere_count(json_member(citation, "start"), &start);
    cohere_count(json_member(citation, "end"), &end);
    json_open(j, '{');
    json_member_strz(j, "type", "url_citation");
    json_member_open(j, "url_citation", '{');
    json_member_i64(j, "start_index", (int64_t)start);
    json_member_i64(j, "end_index", (int64_t)end);
    json_member_raw(j, "url", url.raw);
    json_member_raw(j, "title", title.type == JSON_STRING ? title.raw : STR("\"\""));
    json_close(j, '}');
    json_close(j, '}');
}

/* A stream tells one at a time, as an object. */
static void put_citations(struct json_writer *j, struct json_value citations)
{
    struct json_value one, source;
    if (citations.type == JSON_OBJECT) {
        struct json_value sources = json_member(citations, "sources");
        for (size_t at = 0; sources.type == JSON_ARRAY && json_next(sources.raw, &at, NULL, &source) == 1;)
            put_citation(j, citations, source);
    }
    for (size_t at = 0; citations.type == JSON_ARRAY && json_next(citations.raw, &at, NULL, &one) == 1;)
        if (one.type == JSON_OBJECT)
            put_citations(j, one);
}

/* What `put` makes of v, in the arena; empty where it is more than can be. */
static struct str made(struct arena *a, void (*put)(struct json_writer *, struct json_value),
                       struct json_value v, struct str open, struct str close)
{
    struct buf b;
    struct str text = STR_NULL;
    buf_init(&b, MAX_LIST);
    buf_add(&b, open);
    struct json_writer j = json_writer(&b);
    put(&j, v);
    if (b.n > open.n && buf_add(&b, close) == 0 && !b.full)
        text = arena_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

static struct str annotations_of(struct arena *a, struct json_value citations)
{
    return made(a, put_citations, citations, STR("["), STR("]"));
}

/* ---- log probabilities: of pieces of text, each of one token or of a few */

static void put_bytes(struct json_writer *j, struct str text)
{
    json_member_open(j, "bytes", '[');
    for (size_t i = 0; i < text.n; i++)
        json_i64(j, (unsigned char)text.p[i]);
    json_close(j, ']');
}

/* Probabilities of tokens that are one piece multiply. */
static double sum_of(struct json_value logprobs)
{
    double sum = 0, one;
    struct json_value v;
    for (size_t at = 0; json_next(logprobs.raw, &at, NULL, &v) == 1;)
        if (json_double(v, &one) == 0)
            sum += one;
    return sum;
}

static void put_logprob(struct json_writer *j, struct json_value piece)
{
    struct json_value text = json_member(piece, "text"), logprobs = json_member(piece, "logprobs");
    struct arena a;
    char number[40];
    if (text.type != JSON_STRING || logprobs.type != JSON_ARRAY || logprobs.count == 0)
        return;
    arena_init(&a);
    snprintf(number, sizeof(number), "%.17g", sum_of(logprobs));
    json_open(j, '{');
    json_member_raw(j, "token", text.raw);
    json_member_raw(j, "logprob", str_of(number));
    put_bytes(j, json_text(text, &a));
    json_member_open(j, "top_logprobs", '[');
    json_close(j, ']');
    json_close(j, '}');
    arena_fini(&a);
}

static void put_logprobs(struct json_writer *j, struct json_value v)
{
    struct json_value one;
    if (v.type == JSON_OBJECT)
        put_logprob(j, v);
    for (size_t at = 0; v.type == JSON_ARRAY && json_next(v.raw, &at, NULL, &one) == 1;)
        put_logprob(j, one);
}

static struct str logprobs_of(struct arena *a, struct json_value v)
{
    return made(a, put_logprobs, v, STR("{\"content\":["), STR("],\"refusal\":null}"));
}

/* ---- whole answers */

static void add_text(struct chat_reader *rd, struct chat_choice *choice, enum chat_part_kind kind,
                     struct json_value text)
{
    if (text.type == JSON_STRING && text.raw.n > 2)
        chat_add_part(&choice->parts, &choice->n_parts, rd->arena, kind)->text = json_text(text, rd->arena);
}

static void read_contents(struct chat_reader *rd, struct chat_choice *choice, struct json_value content,
                          enum chat_part_kind kind)
{
    struct json_value one;
    if (content.type == JSON_STRING && kind == PART_TEXT)
        add_text(rd, choice, kind, content);
    for (size_t at = 0; content.type == JSON_ARRAY && json_next(content.raw, &at, NULL, &one) == 1;)
        add_text(rd, choice, kind, json_member(one, kind == PART_TEXT ? "text" : "thinking"));
}

/* "null" is how Cohere calls a tool without arguments. */
static struct str arguments_of(struct json_value v, struct arena *a)
{
    struct str text = v.type == JSON_OBJECT ? v.raw : json_text(v, a);
    return str_eq(text, STR("null")) ? STR_NULL : text;
}

static int read_call(struct chat_reader *rd, struct chat_choice *choice, struct json_value call)
{
    struct json_value function = json_member(call, "function");
    struct str name = json_text(json_member(function, "name"), rd->arena);
    if (name.n == 0)
        return cohere_malformed(rd, "The provider's answer has a tool call without a name.");
    struct chat_part *p = chat_add_part(&choice->parts, &choice->n_parts, rd->arena, PART_TOOL_CALL);
    p->name = openai_own_name(rd->in, name, rd->arena);
    p->id = json_text(json_member(call, "id"), rd->arena);
    if (p->id.n == 0)
        p->id = chat_make_id(rd->arena, "call_");
    p->arguments = arguments_of(json_member(function, "arguments"), rd->arena);
    return 0;
}

/* Thinking, what is said, calls: in this order. */
static int read_message(struct chat_reader *rd, struct chat_choice *choice, struct json_value message)
{
    struct json_value content = json_member(message, "content"), calls = json_member(message, "tool_calls"),
                      one;
    read_contents(rd, choice, content, PART_THINKING);
    add_text(rd, choice, PART_TEXT, json_member(message, "tool_plan"));
    read_contents(rd, choice, content, PART_TEXT);
    for (size_t at = 0; calls.type == JSON_ARRAY && json_next(calls.raw, &at, NULL, &one) == 1;)
        if (read_call(rd, choice, one) != 0)
            return -1;
    choice->annotations = annotations_of(rd->arena, json_member(message, "citations"));
    return 0;
}

int cohere_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out)
{
    static const char *const paths[] = {"id", "message", "finish_reason", "usage", "logprobs", "error"};
    enum { ID, MESSAGE, REASON, USAGE, LOGPROBS, ERROR, COUNT };
    struct json_value v[COUNT];
    if (json_scan(body, paths, COUNT, v, NULL) != 0)
        return cohere_malformed(rd, "The provider's answer is no valid JSON object.");
    out->usage_known = cohere_usage(v[USAGE], &out->usage);
    if (v[MESSAGE].type != JSON_OBJECT && (v[MESSAGE].type == JSON_STRING || v[ERROR].type != JSON_ABSENT)) {
        cohere_read_error(rd->r, 502, NULL, body, rd->f);
        return -1;
    }
    if (v[MESSAGE].type != JSON_OBJECT)
        return cohere_malformed(rd, "The provider's answer has no message.");
    out->id = json_text(v[ID], rd->arena);
    struct chat_choice *choice = chat_add_choice(out, rd->arena);
    if (read_message(rd, choice, v[MESSAGE]) != 0)
        return -1;
    choice->logprobs = logprobs_of(rd->arena, v[LOGPROBS]);
    choice->finish = finish_of(v[REASON]);
    if (choice->finish == FINISH_ERROR)
        return broke_off(rd, v[REASON], v[ERROR]);
    if ((choice->finish == FINISH_STOP || choice->finish == FINISH_STOP_SEQUENCE) &&
        chat_has(choice->parts, choice->n_parts, PART_TOOL_CALL))
        choice->finish = FINISH_TOOL_CALLS;
    return 0;
}

/* ---- streams */

struct call { /* Cohere numbers its calls as it likes */
    uint64_t index;
    uint32_t tool;
    size_t held; /* bytes of "null" that the arguments may turn out to be */
    bool begun;  /* arguments have been told */
};

struct state {
    bool ended;
    struct call *calls;
    size_t n_calls;
};

enum frame_member {
    F_TYPE,
    F_INDEX,
    F_ID,
    F_TEXT,
    F_THINKING,
    F_PLAN,
    F_CALL,
    F_CITATIONS,
    F_REASON,
    F_USAGE,
    F_ERROR,
    F_LOGPROBS,
    F_MESSAGE,
    FRAME_MEMBERS
};

static const char *const frame_paths[FRAME_MEMBERS] = {
    [F_TYPE] = "type",
    [F_INDEX] = "index",
    [F_ID] = "id",
    [F_TEXT] = "delta.message.content.text",
    [F_THINKING] = "delta.message.content.thinking",
    [F_PLAN] = "delta.message.tool_plan",
    [F_CALL] = "delta.message.tool_calls",
    [F_CITATIONS] = "delta.message.citations",
    [F_REASON] = "delta.finish_reason",
    [F_USAGE] = "delta.usage",
    [F_ERROR] = "delta.error",
    [F_LOGPROBS] = "logprobs",
    [F_MESSAGE] = "message",
};

static struct state *state_of(struct chat_reader *rd)
{
    if (!rd->state) {
        rd->state = arena_alloc(rd->arena, sizeof(struct state));
        *(struct state *)rd->state = (struct state){0};
    }
    return rd->state;
}

static void emit_text(struct chat_reader *rd, enum chat_delta_kind kind, struct json_value v)
{
    struct chat_delta d = {.kind = kind, .text = json_text(v, rd->scratch)};
    if (d.text.n > 0)
        chat_emit(rd, &d);
}

static void emit_arguments(struct chat_reader *rd, struct call *call, struct str text)
{
    struct chat_delta d = {.kind = DELTA_ARGUMENTS, .tool = call->tool, .text = text};
    call->begun = true;
    if (text.n > 0)
        chat_emit(rd, &d);
}

/* Holds back what may become "null", which means none. */
static void take_arguments(struct chat_reader *rd, struct call *call, struct str text)
{
    static const struct str none = STR("null");
    if (call->begun || text.n == 0) {
        if (text.n > 0)
            emit_arguments(rd, call, text);
        return;
    }
    if (call->held + text.n <= none.n && memcmp(none.p + call->held, text.p, text.n) == 0) {
        call->held += text.n;
        return;
    }
    emit_arguments(rd, call, (struct str){none.p, call->held});
    emit_arguments(rd, call, text);
}

/* "nul" at a call's end is no "null". */
static void end_call(struct chat_reader *rd, struct call *call)
{
    if (!call->begun && call->held > 0 && call->held < 4)
        emit_arguments(rd, call, (struct str){"null", call->held});
}

/* The latest call of that number. */
static struct call *find_call(struct state *s, struct json_value index)
{
    uint64_t n = 0;
    cohere_count(index, &n);
    for (size_t i = s->n_calls; i-- > 0;)
        if (s->calls[i].index == n)
            return &s->calls[i];
    return NULL;
}

static struct call *add_call(struct chat_reader *rd, struct state *s, struct json_value index)
{
    if ((s->n_calls & (s->n_calls - 1)) == 0) { /* a power of two, or 0: full */
        struct call *more = arena_alloc(rd->arena, (s->n_calls ? 2 * s->n_calls : 1) * sizeof(*more));
        if (s->n_calls > 0)
            memcpy(more, s->calls, s->n_calls * sizeof(*more));
        s->calls = more;
    }
    struct call *call = &s->calls[s->n_calls];
    *call = (struct call){.tool = (uint32_t)s->n_calls++};
    cohere_count(index, &call->index);
    return call;
}

/* An object in events; an array, as in answers, is understood too. */
static struct json_value call_of(struct json_value v)
{
    struct json_value first;
    size_t at = 0;
    return v.type == JSON_ARRAY && json_next(v.raw, &at, NULL, &first) == 1 ? first : v;
}

static enum frame_result start_call(struct chat_reader *rd, struct state *s, const struct json_value v[])
{
    struct json_value call = call_of(v[F_CALL]), function = json_member(call, "function");
    struct chat_delta d = {.kind = DELTA_TOOL,
                           .id = json_text(json_member(call, "id"), rd->scratch),
                           .name = json_text(json_member(function, "name"), rd->scratch)};
    d.name = openai_own_name(rd->in, d.name, rd->scratch);
    if (d.name.n == 0 || s->n_calls >= MAX_CALLS)
        return cohere_malformed(rd, "The provider's stream has a tool call that can't be told.");
    if (d.id.n == 0)
        d.id = chat_make_id(rd->arena, "call_");
    struct call *added = add_call(rd, s, v[F_INDEX]);
    d.tool = added->tool;
    chat_emit(rd, &d);
    take_arguments(rd, added, json_text(json_member(function, "arguments"), rd->scratch));
    return FRAME_MORE;
}

static enum frame_result more_of_call(struct chat_reader *rd, struct state *s, const struct json_value v[])
{
    struct call *call = find_call(s, v[F_INDEX]);
    struct json_value function = json_member(call_of(v[F_CALL]), "function");
    if (!call)
        return cohere_malformed(rd, "The provider's stream goes on with a tool call that has not begun.");
    take_arguments(rd, call, json_text(json_member(function, "arguments"), rd->scratch));
    return FRAME_MORE;
}

static enum frame_result ended_call(struct chat_reader *rd, struct state *s, const struct json_value v[])
{
    struct call *call = find_call(s, v[F_INDEX]);
    if (call)
        end_call(rd, call);
    return FRAME_MORE;
}

static enum frame_result started(struct chat_reader *rd, struct state *s, const struct json_value v[])
{
    struct chat_delta d = {.kind = DELTA_START, .id = json_text(v[F_ID], rd->scratch)};
    (void)s;
    chat_emit(rd, &d);
    return FRAME_MORE;
}

static enum frame_result content(struct chat_reader *rd, struct state *s, const struct json_value v[])
{
    (void)s;
    emit_text(rd, DELTA_THINKING, v[F_THINKING]);
    emit_text(rd, DELTA_TEXT, v[F_TEXT]);
    struct chat_delta d = {.kind = DELTA_LOGPROBS, .json = logprobs_of(rd->scratch, v[F_LOGPROBS])};
    if (d.json.n > 0)
        chat_emit(rd, &d);
    return FRAME_MORE;
}

static enum frame_result plan(struct chat_reader *rd, struct state *s, const struct json_value v[])
{
    (void)s;
    emit_text(rd, DELTA_TEXT, v[F_PLAN]);
    return FRAME_MORE;
}

static enum frame_result citation(struct chat_reader *rd, struct state *s, const struct json_value v[])
{
    struct chat_delta d = {.kind = DELTA_ANNOTATIONS, .json = annotations_of(rd->scratch, v[F_CITATIONS])};
    (void)s;
    if (d.json.n > 0)
        chat_emit(rd, &d);
    return FRAME_MORE;
}

static enum frame_result ended(struct chat_reader *rd, struct state *s, const struct json_value v[])
{
    struct chat_delta usage = {.kind = DELTA_USAGE},
                      finish = {.kind = DELTA_FINISH, .finish = finish_of(v[F_REASON])};
    if (cohere_usage(v[F_USAGE], &usage.usage))
        chat_emit(rd, &usage);
    if (finish.finish == FINISH_ERROR)
        return broke_off(rd, v[F_REASON], v[F_ERROR]);
    for (size_t i = 0; i < s->n_calls; i++)
        end_call(rd, &s->calls[i]);
    s->ended = true;
    chat_emit(rd, &finish);
    return FRAME_MORE;
}

static const struct {
    struct str type;
    enum frame_result (*read)(struct chat_reader *rd, struct state *s, const struct json_value v[]);
} frames[] = {
    {STR("\"content-delta\""), content},    {STR("\"tool-call-delta\""), more_of_call},
    {STR("\"tool-plan-delta\""), plan},     {STR("\"message-start\""), started},
    {STR("\"content-start\""), content},    {STR("\"tool-call-start\""), start_call},
    {STR("\"tool-call-end\""), ended_call}, {STR("\"citation-start\""), citation},
    {STR("\"message-end\""), ended},
};

enum frame_result cohere_read_frame(struct chat_reader *rd, const struct chat_frame *frame)
{
    struct state *s = state_of(rd);
    struct json_value v[FRAME_MEMBERS];
    if (str_eq(frame->data, STR("[DONE]")))
        return s->ended ? FRAME_LAST
                        : cohere_malformed(rd, "The provider's stream is over before its message has ended.");
    if (json_scan(frame->data, frame_paths, FRAME_MEMBERS, v, NULL) != 0)
        return cohere_malformed(rd, "The provider's stream has an event that is no valid JSON object.");
    if (s->ended)
        return FRAME_MORE;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
        if (str_eq(v[F_TYPE].raw, frames[i].type))
            return frames[i].read(rd, s, v);
    /* {"message":"…"} stands for itself; events of unknown types are for others */
    if (v[F_MESSAGE].type == JSON_STRING || str_eq(v[F_TYPE].raw, STR("\"error\"")) ||
        str_eq(frame->name, STR("error"))) {
        cohere_read_error(rd->r, 502, NULL, frame->data, rd->f);
        rd->f->message = arena_copy(rd->arena, rd->f->message);
        return FRAME_ERROR;
    }
    return FRAME_MORE;
}

bool cohere_whole(struct chat_reader *rd)
{
    return state_of(rd)->ended;
}

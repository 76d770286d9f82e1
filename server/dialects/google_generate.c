/* Google's generateContent and streamGenerateContent towards callers: answers and streams as its API would
 * write them. Requests are google_request.c's. Run by workers.
 *
 * A chunk is a small answer. Google's SDKs keep a chat's history from them, and drop a turn in which one
 * chunk has no content: so each has a part, if an empty one. A call can't be told in pieces: its arguments
 * are held until they are complete. How it ended and what it took come last.
 *
 * Without alt=sse a stream is one JSON array, an element at a time. */
#include "answer.h"
#include "google_json.h"
#include "google_request.h"

#include <string.h>

enum { MAX_HELD = 64 * 1024 * 1024 /* arguments of calls under way, of a stream */, MAX_CALLS = 4096 };

/* A call whose arguments are still coming. */
struct held_call {
    uint32_t choice, tool;
    struct str id, name, signature;
    struct buf arguments; /* the arena's */
    unsigned depth;       /* of what has come of them */
    bool in_string, escaped;
    bool ended; /* the outermost bracket was closed */
    bool told;
};

struct end {
    bool ended;
    enum chat_finish finish;
    struct str message; /* why, in words */
};

struct state {
    bool array, begun, failed;
    struct str id, model;
    struct held_call *calls;
    size_t n_calls, calls_room, held;
    struct end *ends; /* by choice */
    uint32_t n_ends;
};

static const char *finish_name(enum chat_finish f)
{
    switch (f) {
    case FINISH_STOP:
    case FINISH_STOP_SEQUENCE:
    case FINISH_TOOL_CALLS:
    case FINISH_PAUSE:
        return "STOP";
    case FINISH_LENGTH:
        return "MAX_TOKENS";
    case FINISH_CONTENT_FILTER:
    case FINISH_REFUSAL:
    case FINISH_DECLINED:
        return "SAFETY";
    case FINISH_ERROR:
    case FINISH_NONE:
        break;
    }
    return "OTHER";
}

/* ---- parts */

static void put_signature(struct json_writer *w, struct str signature, enum chat_signer signer,
                          struct arena *a)
{
    json_opt_str(w, "thoughtSignature", google_pack_signature(signature, signer, false, a));
}

static void put_text(struct json_writer *w, struct str text, bool thought, struct str signature,
                     enum chat_signer signer, struct arena *a)
{
    json_open(w, '{');
    json_member_str(w, "text", text);
    if (thought)
        json_member_bool(w, "thought", true);
    put_signature(w, signature, signer, a);
    json_close(w, '}');
}

static void put_redacted(struct json_writer *w, struct str data, enum chat_signer signer, struct arena *a)
{
    json_open(w, '{');
    json_member_strz(w, "text", "");
    json_member_bool(w, "thought", true);
    json_opt_str(w, "thoughtSignature",
                 google_pack_signature(data, signer == SIGNER_NONE ? SIGNER_ANTHROPIC : signer, true, a));
    json_close(w, '}');
}

static void put_call(struct json_writer *w, struct str id, struct str name, struct str arguments,
                     struct str signature, enum chat_signer signer, struct arena *a)
{
    json_open(w, '{');
    json_member_open(w, "functionCall", '{');
    json_opt_str(w, "id", id);
    json_member_str(w, "name", name);
    json_member_raw(w, "args", chat_one_line(chat_arguments(arguments, a), a));
    json_close(w, '}');
    put_signature(w, signature, signer, a);
    json_close(w, '}');
}

static void put_media(struct json_writer *w, struct str data, struct str mime, struct str url)
{
    if (data.n == 0 && url.n > 0)
        chat_data_url(url, &mime, &data);
    if (mime.n == 0)
        mime = chat_media_type(data);
    json_open(w, '{');
    json_member_open(w, data.n > 0 ? "inlineData" : "fileData", '{');
    json_opt_str(w, "mimeType", mime);
    json_member_str(w, data.n > 0 ? "data" : "fileUri", data.n > 0 ? data : url);
    json_close(w, '}');
    json_close(w, '}');
}

/* Returns false for what an answer can't hold. */
static bool put_part(struct json_writer *w, const struct chat_part *p, struct arena *a)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        if (p->text.n == 0 && p->signature.n == 0)
            return false;
        put_text(w, p->text, false, p->signature, p->signer, a);
        return true;
    case PART_THINKING:
        put_text(w, p->text, true, p->signature, p->signer, a);
        return true;
    case PART_REDACTED:
        put_redacted(w, p->data, p->signer, a);
        return true;
    case PART_TOOL_CALL:
        put_call(w, p->id, p->name, p->arguments, p->signature, p->signer, a);
        return true;
    case PART_IMAGE:
        put_media(w, p->data, p->mime, p->url);
        return true;
    default:
        return false;
    }
}

static void put_nothing(struct json_writer *w)
{
    json_open(w, '{');
    json_member_strz(w, "text", "");
    json_close(w, '}');
}

static void open_content(struct json_writer *w)
{
    json_member_open(w, "content", '{');
    json_member_open(w, "parts", '[');
}

static void close_content(struct json_writer *w)
{
    json_close(w, ']');
    json_member_strz(w, "role", "model");
    json_close(w, '}');
}

/* ---- what stands beside them */

static void put_chosen(struct json_writer *w, struct json_value token)
{
    struct json_value text = json_member(token, "token"), logprob = json_member(token, "logprob");
    json_open(w, '{');
    json_member_raw(w, "token", text.type == JSON_STRING ? text.raw : STR("\"\""));
    json_member_raw(w, "logProbability", logprob.type == JSON_NUMBER ? logprob.raw : STR("0"));
    json_close(w, '}');
}

/* OpenAI's {"content":[{token,logprob,top_logprobs}]} → logprobsResult. */
static void put_logprobs(struct json_writer *w, struct str logprobs)
{
    struct json_value content = json_member(json_root(logprobs), "content"), token, top;
    if (content.type != JSON_ARRAY)
        return;
    json_member_open(w, "logprobsResult", '{');
    json_member_open(w, "chosenCandidates", '[');
    for (size_t i = 0; json_next(content.raw, &i, NULL, &token) == 1;)
        put_chosen(w, token);
    json_close(w, ']');
    json_member_open(w, "topCandidates", '[');
    for (size_t i = 0; json_next(content.raw, &i, NULL, &token) == 1;) {
        struct json_value tops = json_member(token, "top_logprobs");
        json_open(w, '{');
        json_member_open(w, "candidates", '[');
        for (size_t k = 0; json_next(tops.raw, &k, NULL, &top) == 1;)
            put_chosen(w, top);
        json_close(w, ']');
        json_close(w, '}');
    }
    json_close(w, ']');
    json_close(w, '}');
}

static struct json_value url_citation(struct json_value annotation)
{
    struct json_value inner = json_member(annotation, "url_citation");
    return inner.type == JSON_OBJECT ? inner : annotation;
}

/* Annotations → groundingMetadata: where each comes from. */
static void put_annotations(struct json_writer *w, struct str annotations)
{
    struct json_value list = json_root(annotations), v;
    if (list.type != JSON_ARRAY || list.count == 0)
        return;
    json_member_open(w, "groundingMetadata", '{');
    json_member_open(w, "groundingChunks", '[');
    for (size_t i = 0; json_next(list.raw, &i, NULL, &v) == 1;) {
        struct json_value url = json_member(url_citation(v), "url"),
                          title = json_member(url_citation(v), "title");
        if (url.type != JSON_STRING)
            continue;
        json_open(w, '{');
        json_member_open(w, "web", '{');
        json_member_raw(w, "uri", url.raw);
        if (title.type == JSON_STRING)
            json_member_raw(w, "title", title.raw);
        json_close(w, '}');
        json_close(w, '}');
    }
    json_close(w, ']');
    json_close(w, '}');
}

static void put_usage(struct json_writer *w, const struct usage_tokens *u)
{
    uint64_t reasoning = u->reasoning < u->output ? u->reasoning : u->output;
    json_member_open(w, "usageMetadata", '{');
    json_member_i64(w, "promptTokenCount", (int64_t)u->input);
    json_member_i64(w, "candidatesTokenCount", (int64_t)(u->output - reasoning));
    json_member_i64(w, "totalTokenCount", (int64_t)(u->input + u->output));
    if (u->cached > 0)
        json_member_i64(w, "cachedContentTokenCount", (int64_t)u->cached);
    if (reasoning > 0)
        json_member_i64(w, "thoughtsTokenCount", (int64_t)reasoning);
    json_close(w, '}');
}

static void put_tail(struct json_writer *w, struct str model, struct str id)
{
    json_member_str(w, "modelVersion", model);
    json_member_str(w, "responseId", id);
}

/* ---- a whole answer */

/* An explanation of the end is no part of the answer. */
static bool explains(const struct chat_choice *c, const struct chat_part *p)
{
    return c->finish == FINISH_REFUSAL && p->kind == PART_REFUSAL;
}

static struct str finish_message(const struct chat_choice *c, struct arena *a)
{
    struct str message = STR_NULL;
    for (size_t i = 0; i < c->n_parts; i++)
        if (explains(c, &c->parts[i]))
            message = message.n > 0
                          ? arena_printf(a, STR_FMT "\n" STR_FMT, STR_ARG(message), STR_ARG(c->parts[i].text))
                          : c->parts[i].text;
    return message;
}

static void put_choice(struct json_writer *w, const struct chat_choice *c, size_t index, struct arena *a)
{
    bool any = false;
    json_open(w, '{');
    open_content(w);
    for (size_t i = 0; i < c->n_parts; i++)
        any |= !explains(c, &c->parts[i]) && put_part(w, &c->parts[i], a);
    if (!any)
        put_nothing(w);
    close_content(w);
    json_member_strz(w, "finishReason", finish_name(c->finish));
    json_opt_str(w, "finishMessage", finish_message(c, a));
    json_member_i64(w, "index", (int64_t)index);
    if (c->logprobs.n > 0)
        put_logprobs(w, c->logprobs);
    if (c->annotations.n > 0)
        put_annotations(w, c->annotations);
    json_close(w, '}');
}

static void write_answer(struct chat_writer *cw, const struct chat_answer *answer, struct buf *out)
{
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_member_open(&w, "candidates", '[');
    for (size_t i = 0; i < answer->n_choices; i++)
        put_choice(&w, &answer->choices[i], i, cw->r->arena);
    json_close(&w, ']');
    if (cw->usage_known || cw->usage.input > 0)
        put_usage(&w, &cw->usage);
    put_tail(&w, answer->model.n > 0 ? answer->model : cw->model,
             answer->id.n > 0 ? answer->id : str_of(cw->r->id));
    json_close(&w, '}');
}

/* ---- the stream */

static bool wants_array(const struct request *r)
{
    struct str query = r->head ? r->head->query : STR_NULL, one;
    while (str_split(&query, '&', &one))
        if (str_eq(one, STR("alt=sse")) || str_eq(one, STR("$alt=sse")) || str_eq(one, STR("%24alt=sse")))
            return false;
    return true;
}

static const char *stream_type_of(const struct request *r)
{
    return wants_array(r) ? "application/json" : NULL;
}

static void begin(struct chat_writer *cw, struct buf *out)
{
    struct state *s = arena_alloc(cw->r->arena, sizeof(*s));
    (void)out;
    *s = (struct state){.array = wants_array(cw->r), .id = str_of(cw->r->id), .model = cw->model};
    cw->state = s;
}

/* A chunk with the candidates that the caller of this puts into it. */
static struct json_writer open_chunk(struct state *s, struct buf *out)
{
    struct json_writer w = json_writer(out);
    buf_add(out, !s->array ? STR("data: ") : s->begun ? STR(",\r\n") : STR("["));
    s->begun = true;
    json_open(&w, '{');
    json_member_open(&w, "candidates", '[');
    return w;
}

static void close_chunk(struct state *s, struct json_writer *w, const struct usage_tokens *usage)
{
    json_close(w, ']');
    if (usage)
        put_usage(w, usage);
    put_tail(w, s->model, s->id);
    json_close(w, '}');
    buf_add(w->out, s->array ? STR("\n") : STR("\r\n\r\n"));
}

static struct json_writer open_candidate(struct state *s, struct buf *out)
{
    struct json_writer w = open_chunk(s, out);
    json_open(&w, '{');
    open_content(&w);
    return w;
}

static void close_candidate(struct state *s, struct json_writer *w, uint32_t choice)
{
    json_member_i64(w, "index", choice);
    json_close(w, '}');
    close_chunk(s, w, NULL);
}

static struct end *end_of(struct state *s, uint32_t choice, struct arena *a)
{
    if (choice >= s->n_ends) {
        struct end *more = arena_alloc(a, (choice + 1) * sizeof(*more));
        memset(more, 0, (choice + 1) * sizeof(*more));
        if (s->n_ends > 0)
            memcpy(more, s->ends, s->n_ends * sizeof(*more));
        s->ends = more;
        s->n_ends = choice + 1;
    }
    return &s->ends[choice];
}

static void take_start(struct state *s, const struct chat_delta *d, struct arena *a)
{
    if (d->id.n > 0)
        s->id = arena_copy(a, d->id);
    if (d->model.n > 0)
        s->model = arena_copy(a, d->model);
}

/* ---- calls under way */

static void fail(struct chat_writer *cw, const struct failure *f, struct buf *out);

static void too_much(struct chat_writer *cw, struct buf *out)
{
    static const struct failure f = {.status = 502, .message = STR("The calls of functions are too large.")};
    fail(cw, &f, out);
}

static void hold_call(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct state *s = cw->state;
    struct arena *a = cw->r->arena;
    if (s->n_calls == MAX_CALLS) {
        too_much(cw, out);
        return;
    }
    if (s->n_calls == s->calls_room) {
        size_t room = s->calls_room ? 2 * s->calls_room : 8;
        struct held_call *more = arena_alloc(a, room * sizeof(*more));
        if (s->n_calls > 0)
            memcpy(more, s->calls, s->n_calls * sizeof(*more));
        s->calls = more;
        s->calls_room = room;
    }
    s->calls[s->n_calls++] = (struct held_call){
        .choice = d->choice,
        .tool = d->tool,
        .id = arena_copy(a, d->id),
        .name = arena_copy(a, d->name),
        .signature = arena_copy(a, google_pack_signature(d->signature, d->signer, false, chat_scratch(cw)))};
}

/* Sees the end of the arguments as they come. */
static void follow(struct held_call *c, struct str text)
{
    for (size_t i = 0; i < text.n && !c->ended; i++) {
        char byte = text.p[i];
        if (c->escaped)
            c->escaped = false;
        else if (c->in_string && byte == '\\')
            c->escaped = true;
        else if (byte == '"')
            c->in_string = !c->in_string;
        else if (!c->in_string && (byte == '{' || byte == '['))
            c->depth++;
        else if (!c->in_string && (byte == '}' || byte == ']'))
            c->ended = c->depth == 0 || --c->depth == 0;
    }
}

static void hold_arguments(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct state *s = cw->state;
    struct held_call *c = s->calls + s->n_calls;
    while (c > s->calls && (c[-1].choice != d->choice || c[-1].tool != d->tool))
        c--;
    if (c == s->calls || c[-1].told || d->text.n == 0)
        return;
    c--;
    s->held += d->text.n;
    if (s->held > MAX_HELD) {
        too_much(cw, out);
        return;
    }
    chat_hold(&c->arguments, d->text, cw->r->arena);
    follow(c, d->text);
}

/* Not more may be looked at each time than is new. */
static bool is_complete(const struct held_call *c)
{
    return c->ended;
}

/* The held calls of a choice in their order, up to the first that may go on; all: its end has come. */
static void tell_calls(struct chat_writer *cw, uint32_t choice, bool all, struct buf *out)
{
    struct state *s = cw->state;
    for (size_t i = 0; i < s->n_calls; i++) {
        struct held_call *c = &s->calls[i];
        if (c->choice != choice || c->told)
            continue;
        if (!all && !is_complete(c))
            return;
        struct json_writer w = open_candidate(s, out);
        put_call(&w, c->id, c->name, buf_str(&c->arguments), c->signature, SIGNER_GOOGLE, chat_scratch(cw));
        close_content(&w);
        close_candidate(s, &w, choice);
        c->told = true;
    }
}

/* ---- deltas */

static void tell_part(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct state *s = cw->state;
    struct arena *a = chat_scratch(cw);
    tell_calls(cw, d->choice, false, out);
    struct json_writer w = open_candidate(s, out);
    if (d->kind == DELTA_IMAGE)
        put_media(&w, d->data, d->mime, d->url);
    else if (d->kind == DELTA_REDACTED)
        put_redacted(&w, d->data, d->signer, a);
    else
        put_text(&w, d->text, d->kind == DELTA_THINKING, d->signature, d->signer, a);
    close_content(&w);
    close_candidate(s, &w, d->choice);
}

static void tell_aside(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct state *s = cw->state;
    struct json_writer w = open_candidate(s, out);
    put_nothing(&w);
    close_content(&w);
    if (d->kind == DELTA_LOGPROBS)
        put_logprobs(&w, d->json);
    else
        put_annotations(&w, d->json);
    close_candidate(s, &w, d->choice);
}

static void delta(struct chat_writer *cw, const struct chat_delta *d, struct buf *out)
{
    struct state *s = cw->state;
    struct arena *a = cw->r->arena;
    if (s->failed)
        return;
    switch (d->kind) {
    case DELTA_START:
        take_start(s, d, a);
        break;
    case DELTA_TEXT:
    case DELTA_THINKING:
        if (d->text.n > 0 || d->signature.n > 0)
            tell_part(cw, d, out);
        break;
    case DELTA_REFUSAL:
        if (d->finish == FINISH_REFUSAL)
            end_of(s, d->choice, a)->message = arena_copy(a, d->text);
        else if (d->text.n > 0)
            tell_part(cw, d, out);
        break;
    case DELTA_REDACTED:
    case DELTA_IMAGE:
        tell_part(cw, d, out);
        break;
    case DELTA_TOOL:
        tell_calls(cw, d->choice, false, out);
        hold_call(cw, d, out);
        break;
    case DELTA_ARGUMENTS:
        hold_arguments(cw, d, out);
        break;
    case DELTA_LOGPROBS:
    case DELTA_ANNOTATIONS:
        tell_aside(cw, d, out);
        break;
    case DELTA_FINISH:
        tell_calls(cw, d->choice, true, out);
        end_of(s, d->choice, a)->ended = true;
        end_of(s, d->choice, a)->finish = d->finish;
        break;
    case DELTA_USAGE:
        break;
    }
}

/* ---- ends */

static void end(struct chat_writer *cw, struct buf *out)
{
    struct state *s = cw->state;
    if (s->failed)
        return;
    struct json_writer w = open_chunk(s, out);
    for (uint32_t i = 0; i < s->n_ends; i++) {
        if (!s->ends[i].ended)
            continue;
        json_open(&w, '{');
        open_content(&w);
        put_nothing(&w);
        close_content(&w);
        json_member_strz(&w, "finishReason", finish_name(s->ends[i].finish));
        json_opt_str(&w, "finishMessage", s->ends[i].message);
        json_member_i64(&w, "index", i);
        json_close(&w, '}');
    }
    close_chunk(s, &w, &cw->usage);
    if (s->array)
        buf_add(out, STR("]"));
}

static void fail(struct chat_writer *cw, const struct failure *f, struct buf *out)
{
    struct state *s = cw->state;
    if (s->failed)
        return;
    s->failed = true;
    if (!s->array) {
        buf_add(out, dialect_error_event(DIALECT_GOOGLE, f, cw->r->arena));
        return;
    }
    buf_add(out, s->begun ? STR(",\r\n") : STR("["));
    buf_add(out, dialect_error(DIALECT_GOOGLE, f, cw->r->arena));
    buf_add(out, STR("\n]"));
}

const struct chat_dialect dialect_generate_content = {
    .name = "generate_content",
    .read = google_read_request,
    .write = write_answer,
    .begin = begin,
    .delta = delta,
    .end = end,
    .fail = fail,
    .stream_type_of = stream_type_of,
};

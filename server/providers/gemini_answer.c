/* Google's answers and streams read into the neutral form, for the Gemini API and Vertex alike. Run by
 * workers; all of it is a provider's bytes.
 *
 * A stream's chunk has the shape of a whole answer, so one reader serves both: it tells what it finds as
 * deltas, which go on to the caller's stream, or are collected into an answer.
 *
 * Nothing marks a stream's end. A candidate's finishReason usually comes with its last chunk, but not where
 * Google ran a tool of its own in between: so it is held back until the connection ends (gemini_whole). */
#include "chat_stream.h"
#include "gemini_chat.h"
#include "gemini_citations.h"
#include "google_args.h"
#include "google_json.h"

#include <string.h>
#include <time.h>

enum {
    MAX_CALLS = 1024,             /* of a candidate */
    MAX_STATE = 32 * 1024 * 1024, /* of a stream: arguments that come piece by piece */
    MAX_LOGPROBS_SIZE = 32 * 1024 * 1024,
};

struct candidate {
    uint32_t calls;
    struct google_args *open; /* the last call's arguments are still coming */
    bool as_text;             /* … and are no tool's, but the answer's text (GEMINI_JSON_TOOL) */
    enum chat_finish finish;
    bool off_limits; /* its calls are whole, but more than it should have made, or of no tool that it has */
    struct gemini_said said; /* so far */
    struct buf part;         /* collecting: the text of the last part */
};

struct reader {
    struct chat_reader *rd;
    struct chat_answer *answer; /* whole: deltas are collected here; NULL: they are handed on */
    struct candidate *candidates[MAX_CHAT_CHOICES];
    uint32_t n; /* the highest index seen, + 1 */
    size_t state, text_kept;
    bool started, blocked;
    bool metered, counted; /* there was a usage; it held counts */
};

static int malformed(struct chat_reader *rd, const char *message)
{
    *rd->f = (struct failure){.status = 502,
                              .type = "server_error",
                              .code = "upstream_malformed",
                              .message = arena_copy(rd->r->arena, str_of(message))};
    return -1;
}

/* ---- deltas: handed on, or collected */

static struct chat_choice *choice_of(struct reader *g, uint32_t i)
{
    while (g->answer->n_choices <= i)
        chat_add_choice(g->answer, g->rd->arena);
    return &g->answer->choices[i];
}

static struct chat_part *last_part(struct chat_choice *c, enum chat_part_kind kind)
{
    struct chat_part *last = c->n_parts > 0 ? &c->parts[c->n_parts - 1] : NULL;
    return last && last->kind == kind ? last : NULL;
}

/* Text goes on in the part before it; a signature ends a part. */
static void collect_text(struct reader *g, struct chat_choice *c, const struct chat_delta *d,
                         enum chat_part_kind kind)
{
    struct buf *text = &g->candidates[d->choice]->part;
    struct chat_part *p = last_part(c, kind);
    if (p && p->signature.n == 0) {
        if (text->n == 0)
            chat_hold(text, p->text, g->rd->arena);
        chat_hold(text, d->text, g->rd->arena);
        p->text = buf_str(text);
    } else {
        p = chat_add_part(&c->parts, &c->n_parts, g->rd->arena, kind);
        p->text = d->text;
        *text = (struct buf){0};
    }
    p->signature = d->signature;
    p->signer = d->signer;
}

static void collect(struct reader *g, const struct chat_delta *d)
{
    struct arena *a = g->rd->arena;
    struct chat_choice *c = choice_of(g, d->choice);
    struct chat_part *p;
    switch (d->kind) {
    case DELTA_TEXT:
        collect_text(g, c, d, PART_TEXT);
        break;
    case DELTA_THINKING:
        collect_text(g, c, d, PART_THINKING);
        break;
    case DELTA_TOOL:
        p = chat_add_part(&c->parts, &c->n_parts, a, PART_TOOL_CALL);
        p->id = d->id;
        p->name = d->name;
        p->signature = d->signature;
        p->signer = d->signer;
        break;
    case DELTA_ARGUMENTS:
        if ((p = last_part(c, PART_TOOL_CALL)) != NULL)
            p->arguments = d->text;
        break;
    case DELTA_IMAGE:
        p = chat_add_part(&c->parts, &c->n_parts, a, PART_IMAGE);
        p->data = d->data;
        p->mime = d->mime;
        p->url = d->url;
        break;
    case DELTA_LOGPROBS:
        c->logprobs = d->json;
        break;
    case DELTA_ANNOTATIONS:
        c->annotations = d->json;
        break;
    default:
        break;
    }
}

static void tell(struct reader *g, const struct chat_delta *d)
{
    if (g->answer)
        collect(g, d);
    else
        chat_emit(g->rd, d);
}

/* ---- a candidate's parts */

static struct candidate *candidate_at(struct reader *g, uint32_t i)
{
    if (!g->candidates[i]) {
        g->candidates[i] = arena_alloc(g->rd->arena, sizeof(struct candidate));
        memset(g->candidates[i], 0, sizeof(struct candidate));
    }
    if (i >= g->n)
        g->n = i + 1;
    return g->candidates[i];
}

static void tell_text(struct reader *g, uint32_t i, struct str text, struct str signature)
{
    struct candidate *c = g->candidates[i];
    if (text.n == 0 && signature.n == 0)
        return;
    if (g->text_kept + text.n <= GEMINI_MAX_SAID) {
        g->text_kept += text.n;
        chat_hold(&c->said.text, text, g->rd->arena);
    }
    tell(g, &(struct chat_delta){.kind = DELTA_TEXT,
                                 .choice = i,
                                 .text = text,
                                 .signature = signature,
                                 .signer = signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE});
}

static void tell_arguments(struct reader *g, uint32_t i, struct str json)
{
    struct candidate *c = g->candidates[i];
    if (c->as_text)
        tell_text(g, i, json, STR_NULL);
    else
        tell(g,
             &(struct chat_delta){.kind = DELTA_ARGUMENTS, .choice = i, .tool = c->calls - 1, .text = json});
}

static void close_call(struct reader *g, uint32_t i)
{
    struct candidate *c = g->candidates[i];
    if (!c->open)
        return;
    struct str text = google_args_text(c->open);
    c->open = NULL;
    tell_arguments(g, i, text);
}

static bool is_json_tool(const struct reader *g, struct str name)
{
    return g->rd->in && g->rd->in->format == FORMAT_SCHEMA && str_eq(name, STR(GEMINI_JSON_TOOL));
}

static int begin_call(struct reader *g, uint32_t i, struct str name, struct json_value id,
                      struct str signature)
{
    struct candidate *c = g->candidates[i];
    struct str told = json_text(id, g->rd->scratch);
    close_call(g, i);
    c->as_text = is_json_tool(g, name);
    if (c->as_text)
        return 0;
    if (c->calls >= MAX_CALLS)
        return malformed(g->rd, "The provider's answer has too many function calls.");
    tell(g, &(struct chat_delta){.kind = DELTA_TOOL,
                                 .choice = i,
                                 .tool = c->calls++,
                                 .id = told.n > 0 ? told : chat_make_id(g->rd->scratch, "call_"),
                                 .name = gemini_own_name(g->rd->in, name, g->rd->scratch),
                                 .signature = signature,
                                 .signer = signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE});
    return 0;
}

static int add_pieces(struct reader *g, struct candidate *c, struct json_value pieces)
{
    struct json_value piece;
    size_t before = google_args_size(c->open);
    for (size_t at = 0; google_next(pieces, &at, &piece) == 1;)
        google_args_add(c->open, piece);
    g->state += google_args_size(c->open) - before;
    return g->state <= MAX_STATE ? 0 : malformed(g->rd, "The provider's function calls are too large.");
}

/* Whole ({name,args}), or a piece: {name,willContinue}, {partialArgs,willContinue} …, {} at the end. */
static int take_call(struct reader *g, uint32_t i, struct json_value call, struct str signature)
{
    enum { NAME, ARGS, ID, PIECES, MORE, FIELDS };
    static const char *const names[FIELDS] = {"name", "args", "id", "partialArgs", "willContinue"};
    struct json_value v[FIELDS];
    struct candidate *c = g->candidates[i];
    google_fields(call, names, FIELDS, v, NULL, NULL);
    struct str name = json_text(v[NAME], g->rd->scratch);
    bool more = v[MORE].type == JSON_TRUE;
    if (name.n > 0) {
        if (begin_call(g, i, name, v[ID], signature) != 0)
            return -1;
        if (!more && v[PIECES].type == JSON_ABSENT) {
            tell_arguments(
                g, i, v[ARGS].type == JSON_OBJECT ? google_compact(v[ARGS].raw, g->rd->scratch) : STR("{}"));
            return 0;
        }
        c->open = google_args_new(g->rd->arena);
    }
    if (c->open && add_pieces(g, c, v[PIECES]) != 0)
        return -1;
    if (!more)
        close_call(g, i);
    return 0;
}

/* Pictures. Sound is never asked for (gemini_chat.c): no caller's dialect here could hold it. */
static void take_media(struct reader *g, uint32_t i, struct json_value data, struct json_value file)
{
    struct arena *a = g->rd->scratch;
    struct json_value of = data.type == JSON_OBJECT ? data : file;
    struct chat_delta d = {.kind = DELTA_IMAGE, .choice = i};
    d.mime = json_text(google_field(of, "mimeType"), a);
    d.data = google_base64(json_text(google_field(data, "data"), a), a);
    d.url = json_text(google_field(file, "fileUri"), a);
    if ((d.data.n > 0 || d.url.n > 0) && !str_starts(d.mime, STR("audio/")))
        tell(g, &d);
}

static int take_part(struct reader *g, uint32_t i, struct json_value part)
{
    enum { TEXT, THOUGHT, SIGNATURE, CALL, DATA, FILE_DATA, FIELDS };
    static const char *const names[FIELDS] = {"text",         "thought",    "thoughtSignature",
                                              "functionCall", "inlineData", "fileData"};
    struct json_value v[FIELDS];
    google_fields(part, names, FIELDS, v, NULL, NULL);
    struct str signature = json_text(v[SIGNATURE], g->rd->scratch);
    struct str text = json_text(v[TEXT], g->rd->scratch);
    if (v[CALL].type == JSON_OBJECT)
        return take_call(g, i, v[CALL], signature);
    if (v[THOUGHT].type == JSON_TRUE) {
        if (text.n > 0 || signature.n > 0)
            tell(g, &(struct chat_delta){.kind = DELTA_THINKING,
                                         .choice = i,
                                         .text = text,
                                         .signature = signature,
                                         .signer = signature.n > 0 ? SIGNER_GOOGLE : SIGNER_NONE});
    } else if (v[TEXT].type == JSON_STRING || (signature.n > 0 && part.count == 1))
        tell_text(g, i, text, signature);
    else if (v[DATA].type == JSON_OBJECT || v[FILE_DATA].type == JSON_OBJECT)
        take_media(g, i, v[DATA], v[FILE_DATA]);
    return 0; /* what Google's own tools did (code that it ran, too) is no text of the answer */
}

/* ---- how it ended */

static enum chat_finish finish_of(struct json_value reason, struct arena *a)
{
    static const struct {
        const char *name;
        enum chat_finish finish;
    } reasons[] = {
        {"STOP", FINISH_STOP},
        {"MAX_TOKENS", FINISH_LENGTH},
        {"SAFETY", FINISH_CONTENT_FILTER},
        {"RECITATION", FINISH_CONTENT_FILTER},
        {"LANGUAGE", FINISH_CONTENT_FILTER},
        {"BLOCKLIST", FINISH_CONTENT_FILTER},
        {"PROHIBITED_CONTENT", FINISH_CONTENT_FILTER},
        {"SPII", FINISH_CONTENT_FILTER},
        {"MODEL_ARMOR", FINISH_CONTENT_FILTER},
        {"JAILBREAK", FINISH_CONTENT_FILTER},
        {"CONTINUATION", FINISH_PAUSE},
        {"FINISH_REASON_UNSPECIFIED", FINISH_NONE},
    };
    /* as numbers, which some clients of the protocol write: only what both APIs mean by them */
    static const enum chat_finish numbered[] = {
        FINISH_NONE,           FINISH_STOP,           FINISH_LENGTH,
        FINISH_CONTENT_FILTER, FINISH_CONTENT_FILTER, FINISH_ERROR,
        FINISH_CONTENT_FILTER, FINISH_CONTENT_FILTER, FINISH_CONTENT_FILTER};
    int64_t n;
    if (json_int(reason, &n) == 0)
        return n >= 0 && n < (int64_t)(sizeof(numbered) / sizeof(numbered[0])) ? numbered[n] : FINISH_ERROR;
    struct str name = json_text(reason, a);
    if (name.n == 0)
        return FINISH_NONE;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (str_eq(name, str_of(reasons[i].name)))
            return reasons[i].finish;
    return str_starts(name, STR("IMAGE_")) ? FINISH_CONTENT_FILTER : FINISH_ERROR;
}

/* What the model has called is the caller's to answer, if only with "there is no such tool". */
static bool is_off_limits(struct json_value reason, struct arena *a)
{
    struct str name = json_text(reason, a);
    return str_eq(name, STR("UNEXPECTED_TOOL_CALL")) || str_eq(name, STR("TOO_MANY_TOOL_CALLS"));
}

static enum chat_finish meant(const struct candidate *c)
{
    return c->calls > 0 && (c->finish == FINISH_STOP || c->off_limits) ? FINISH_TOOL_CALLS : c->finish;
}

static bool read_count_of(struct json_value v, uint64_t *out)
{
    int64_t n;
    if (json_int(v, &n) != 0 || n < 0 || n > INT32_MAX)
        return false;
    *out = (uint64_t)n;
    return true;
}

bool gemini_read_usage(struct json_value usage, struct usage_tokens *out)
{
    enum { PROMPT, CACHED, CANDIDATES, THOUGHTS, TOOL_USE, TOTAL, FIELDS };
    static const char *const names[FIELDS] = {"promptTokenCount",        "cachedContentTokenCount",
                                              "candidatesTokenCount",    "thoughtsTokenCount",
                                              "toolUsePromptTokenCount", "totalTokenCount"};
    struct json_value v[FIELDS];
    uint64_t prompt = 0, answer = 0, thoughts = 0, tools = 0, cached = 0, total = 0;
    google_fields(usage, names, FIELDS, v, NULL, NULL);
    bool told = read_count_of(v[PROMPT], &prompt);
    told |= read_count_of(v[CANDIDATES], &answer);
    told |= read_count_of(v[TOTAL], &total);
    read_count_of(v[THOUGHTS], &thoughts);
    read_count_of(v[TOOL_USE], &tools);
    read_count_of(v[CACHED], &cached);
    if (!told)
        return false; /* Vertex's "trafficType" alone */
    out->input = prompt + tools;
    out->output = answer + thoughts;
    out->reasoning = thoughts;
    out->cached = cached < out->input ? cached : out->input;
    out->cache_write = 0;
    return true;
}

/* ---- log probabilities */

static void put_token(struct json_writer *w, struct json_value token, struct arena *a)
{
    struct str text = json_text(google_field(token, "token"), a);
    struct json_value logprob = google_field(token, "logProbability");
    json_member_str(w, "token", text);
    json_member_raw(w, "logprob", logprob.type == JSON_NUMBER ? logprob.raw : STR("0"));
    json_member_open(w, "bytes", '[');
    for (size_t i = 0; i < text.n; i++)
        json_i64(w, (unsigned char)text.p[i]);
    json_close(w, ']');
}

static void put_top(struct json_writer *w, struct json_value candidates, struct arena *a)
{
    struct json_value v;
    json_member_open(w, "top_logprobs", '[');
    for (size_t at = 0; google_next(candidates, &at, &v) == 1;) {
        json_open(w, '{');
        put_token(w, v, a);
        json_close(w, '}');
    }
    json_close(w, ']');
}

/* {"chosenCandidates":[{token,logProbability}],"topCandidates":[{"candidates":[…]}]} → OpenAI's form. */
static void take_logprobs(struct reader *g, uint32_t i, struct json_value result)
{
    struct arena *a = g->rd->scratch;
    struct json_value chosen = google_field(result, "chosenCandidates"),
                      top = google_field(result, "topCandidates"), token, tops;
    struct buf b;
    buf_init(&b, MAX_LOGPROBS_SIZE);
    struct json_writer w = json_writer(&b);
    json_open(&w, '{');
    json_member_open(&w, "content", '[');
    for (size_t at = 0, top_at = 0; google_next(chosen, &at, &token) == 1 && !b.full;) {
        if (google_next(top, &top_at, &tops) != 1)
            tops = (struct json_value){.type = JSON_ABSENT};
        json_open(&w, '{');
        put_token(&w, token, a);
        put_top(&w, google_field(tops, "candidates"), a);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_member_null(&w, "refusal");
    json_close(&w, '}');
    if (!b.full && chosen.count > 0)
        tell(g,
             &(struct chat_delta){.kind = DELTA_LOGPROBS, .choice = i, .json = arena_copy(a, buf_str(&b))});
    buf_free(&b);
}

/* ---- citations */

static void take_citations(struct reader *g, uint32_t i, struct json_value grounding,
                           struct json_value citations)
{
    struct str new = gemini_new_citations(&g->candidates[i]->said, grounding, citations, g->rd->scratch);
    if (new.n > 0)
        tell(g, &(struct chat_delta){.kind = DELTA_ANNOTATIONS, .choice = i, .json = new});
}

/* ---- a chunk, or a whole answer */

static int take_candidate(struct reader *g, uint32_t place, struct json_value candidate)
{
    enum { INDEX, CONTENT, REASON, LOGPROBS, GROUNDING, CITATIONS, FIELDS };
    static const char *const names[FIELDS] = {"index",          "content",           "finishReason",
                                              "logprobsResult", "groundingMetadata", "citationMetadata"};
    struct json_value v[FIELDS], part;
    int64_t index;
    google_fields(candidate, names, FIELDS, v, NULL, NULL);
    uint32_t i =
        json_int(v[INDEX], &index) == 0 && index >= 0 && index < MAX_CHAT_CHOICES ? (uint32_t)index : place;
    if (i >= MAX_CHAT_CHOICES)
        return 0;
    struct candidate *c = candidate_at(g, i);
    struct json_value parts = google_field(v[CONTENT], "parts");
    for (size_t at = 0; google_next(parts, &at, &part) == 1;)
        if (take_part(g, i, part) != 0)
            return -1;
    if (v[LOGPROBS].type == JSON_OBJECT)
        take_logprobs(g, i, v[LOGPROBS]);
    if (v[GROUNDING].type == JSON_OBJECT || v[CITATIONS].type == JSON_OBJECT)
        take_citations(g, i, v[GROUNDING], v[CITATIONS]);
    enum chat_finish finish = finish_of(v[REASON], g->rd->scratch);
    if (finish != FINISH_NONE) {
        close_call(g, i);
        c->finish = finish;
        c->off_limits = is_off_limits(v[REASON], g->rd->scratch);
    }
    return 0;
}

/* "2026-04-07T16:49:58.333958Z"; 0: it is none. */
static int64_t seconds_of(struct str time)
{
    char text[20];
    struct tm tm = {0};
    if (time.n < 19 || str_copy(text, sizeof(text), (struct str){time.p, 19}) != 0)
        return 0;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    return end && *end == '\0' ? timegm(&tm) : 0;
}

static void take_head(struct reader *g, struct json_value id, struct json_value model, struct json_value time)
{
    struct arena *a = g->rd->scratch;
    if (g->started)
        return;
    g->started = true;
    struct chat_delta d = {.kind = DELTA_START,
                           .id = json_text(id, a),
                           .model = json_text(model, a),
                           .created = seconds_of(json_text(time, a))};
    if (!g->answer) {
        chat_emit(g->rd, &d);
        return;
    }
    g->answer->id = d.id;
    g->answer->model = d.model;
    g->answer->created = d.created;
}

static void tell_usage(struct reader *g, struct usage_tokens u)
{
    if (g->answer) {
        g->answer->usage = u;
        g->answer->usage_known = true;
    } else
        chat_emit(g->rd, &(struct chat_delta){.kind = DELTA_USAGE, .usage = u});
}

static void take_usage(struct reader *g, struct json_value usage)
{
    struct usage_tokens u;
    if (usage.type != JSON_OBJECT)
        return;
    g->metered = true;
    if (!gemini_read_usage(usage, &u))
        return;
    g->counted = true;
    tell_usage(g, u);
}

/* The prompt was blocked. Counts that are zero are left out of its usage, which then may say nothing. */
static void take_blocked(struct reader *g)
{
    candidate_at(g, 0)->finish = FINISH_CONTENT_FILTER;
    if (g->metered && !g->counted)
        tell_usage(g, (struct usage_tokens){0});
}

static int take_response(struct reader *g, struct json_value response)
{
    enum { CANDIDATES, USAGE, ID, MODEL, TIME, FEEDBACK, ERROR, FIELDS };
    static const char *const names[FIELDS] = {"candidates", "usageMetadata",  "responseId", "modelVersion",
                                              "createTime", "promptFeedback", "error"};
    struct json_value v[FIELDS], candidate;
    if (response.type != JSON_OBJECT)
        return malformed(g->rd, "The provider's answer is no JSON object.");
    google_fields(response, names, FIELDS, v, NULL, NULL);
    if (v[ERROR].type == JSON_OBJECT || v[ERROR].type == JSON_STRING) {
        gemini_read_error(g->rd->r, 502, NULL, response.raw, g->rd->f);
        return -1;
    }
    take_head(g, v[ID], v[MODEL], v[TIME]);
    uint32_t place = 0;
    for (size_t at = 0; google_next(v[CANDIDATES], &at, &candidate) == 1;)
        if (take_candidate(g, place++, candidate) != 0)
            return -1;
    struct str blocked = json_text(google_field(v[FEEDBACK], "blockReason"), g->rd->scratch);
    g->blocked |= blocked.n > 0;
    take_usage(g, v[USAGE]);
    return 0;
}

/* One answer or chunk, or an array of them: a stream that is no event stream. */
static int take_text(struct reader *g, struct str text)
{
    struct json_value root = json_root(text), one;
    if (root.type == JSON_ABSENT)
        return malformed(g->rd, "The provider's answer is no valid JSON.");
    if (root.type != JSON_ARRAY)
        return take_response(g, root);
    for (size_t at = 0; json_next(root.raw, &at, NULL, &one) == 1;)
        if (take_response(g, one) != 0)
            return -1;
    return 0;
}

int gemini_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out)
{
    struct reader *g = arena_alloc(rd->arena, sizeof(*g));
    *g = (struct reader){.rd = rd, .answer = out};
    if (take_text(g, body) != 0)
        return -1;
    if (g->n == 0 && !g->blocked)
        return malformed(rd, "The provider's answer has no candidates.");
    if (g->n == 0)
        take_blocked(g);
    for (uint32_t i = 0; i < g->n; i++) {
        struct chat_choice *choice = choice_of(g, i);
        struct candidate *c = candidate_at(g, i);
        close_call(g, i);
        choice->finish = meant(c);
    }
    return 0;
}

enum frame_result gemini_read_frame(struct chat_reader *rd, const struct chat_frame *frame)
{
    struct reader *g = rd->state;
    if (!g) {
        rd->state = g = arena_alloc(rd->arena, sizeof(*g));
        *g = (struct reader){.rd = rd};
    }
    if (frame->data.n == 0 || str_eq(frame->data, STR("[DONE]"))) /* some relay's */
        return FRAME_MORE;
    return take_text(g, frame->data) == 0 ? FRAME_MORE : FRAME_ERROR;
}

bool gemini_whole(struct chat_reader *rd)
{
    struct reader *g = rd->state;
    if (!g || (g->n == 0 && !g->blocked))
        return false;
    if (g->n == 0)
        take_blocked(g);
    for (uint32_t i = 0; i < g->n; i++)
        if (!g->candidates[i] || g->candidates[i]->finish == FINISH_NONE)
            return false;
    for (uint32_t i = 0; i < g->n; i++) {
        close_call(g, i);
        chat_emit(rd,
                  &(struct chat_delta){.kind = DELTA_FINISH, .choice = i, .finish = meant(g->candidates[i])});
    }
    return true;
}

/* ---- counting */

int gemini_read_count(struct chat_reader *rd, struct str body, uint64_t *tokens)
{
    struct json_value root = json_root(body), total = google_field(root, "totalTokens");
    int64_t n;
    if (google_field(root, "error").type != JSON_ABSENT) {
        gemini_read_error(rd->r, 502, NULL, body, rd->f);
        return -1;
    }
    if (json_int(total, &n) != 0 || n < 0 || n > INT32_MAX)
        return malformed(rd, "The provider's answer tells no count.");
    *tokens = (uint64_t)n;
    return 0;
}

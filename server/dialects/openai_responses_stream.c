/* The stream of the Responses dialect: deltas become the items of an answer, and each step is told as the
 * event that OpenAI has for it, numbered from 0. The events of an item's end repeat its whole text, and the
 * last one the whole answer, hence everything is held until then, up to MAX_ANSWER.
 *
 * One message or reasoning item is open at a time. Calls may interleave: one stays open until the answer
 * ends, or until another item begins while its arguments are complete. A whole answer
 * (openai_responses_write.c) takes the same way without telling events. Run by workers only. */
#include "openai_responses.h"

#include <string.h>

enum { MAX_ITEMS = 4096 };

/* ---- texts that grow */

static void grow(struct responses_state *s, struct grown *g, struct str more)
{
    if (s->kept + more.n > MAX_ANSWER) {
        s->overflow = true;
        return;
    }
    if (g->n + more.n > g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 256;
        while (cap < g->n + more.n)
            cap *= 2;
        char *p = arena_alloc(s->w->r->arena, cap);
        if (g->n > 0)
            memcpy(p, g->p, g->n);
        g->p = p;
        g->cap = cap;
    }
    if (more.n > 0)
        memcpy(g->p + g->n, more.p, more.n);
    g->n += more.n;
    s->kept += more.n;
}

static struct str grown_str(const struct grown *g)
{
    return (struct str){g->p, g->n};
}

static struct str keep(struct responses_state *s, struct str text)
{
    s->kept += text.n;
    s->overflow |= s->kept > MAX_ANSWER;
    return text.n > 0 && !s->overflow ? arena_copy(s->w->r->arena, text) : STR_NULL;
}

/* ---- events */

static struct json_writer event(struct responses_state *s, const char *type)
{
    struct json_writer j = json_writer(s->out);
    buf_add(s->out, STR("event: "));
    buf_add(s->out, str_of(type));
    buf_add(s->out, STR("\ndata: "));
    json_open(&j, '{');
    json_member_strz(&j, "type", type);
    json_member_i64(&j, "sequence_number", (int64_t)s->sequence++);
    return j;
}

static void event_end(struct responses_state *s, struct json_writer *j)
{
    json_close(j, '}');
    buf_add(s->out, STR("\n\n"));
}

/* An event of an item: with its id, and its index. */
static struct json_writer item_event(struct responses_state *s, const char *type,
                                     const struct responses_item *i)
{
    struct json_writer j = event(s, type);
    json_member_str(&j, "item_id", i->id);
    json_member_i64(&j, "output_index", (int64_t)i->index);
    return j;
}

/* response.output_item.added, .done */
static void tell_item(struct responses_state *s, const char *type, const struct responses_item *i)
{
    if (!s->out)
        return;
    struct json_writer j = event(s, type);
    json_member_i64(&j, "output_index", (int64_t)i->index);
    json_name(&j, "item");
    responses_put_item(&j, i);
    event_end(s, &j);
}

static void tell_response(struct responses_state *s, const char *type, enum responses_stage stage,
                          const struct failure *failure)
{
    struct json_writer j = event(s, type);
    json_name(&j, "response");
    responses_put(s, stage, failure, &j);
    event_end(s, &j);
}

/* An event of a message's part. */
static struct json_writer part_event(struct responses_state *s, const char *type,
                                     const struct responses_item *i)
{
    struct json_writer j = item_event(s, type, i);
    json_member_i64(&j, "content_index", (int64_t)i->n_parts - 1);
    return j;
}

/* An event of reasoning's only summary. */
static struct json_writer summary_event(struct responses_state *s, const char *type,
                                        const struct responses_item *i)
{
    struct json_writer j = item_event(s, type, i);
    json_member_i64(&j, "summary_index", 0);
    return j;
}

static void put_summary(struct json_writer *j, struct str text)
{
    json_member_open(j, "part", '{');
    json_member_strz(j, "type", "summary_text");
    json_member_str(j, "text", text);
    json_close(j, '}');
}

/* ---- the ends of items */

static struct responses_part *last_part(const struct responses_item *i)
{
    return i->n_parts > 0 ? &i->parts[i->n_parts - 1] : NULL;
}

static void put_logprobs(struct json_writer *j, struct str elements)
{
    json_member_open(j, "logprobs", '[');
    if (elements.n > 0)
        json_raw(j, elements);
    json_close(j, ']');
}

static void close_part(struct responses_state *s, struct responses_item *i)
{
    struct responses_part *p = last_part(i);
    if (!p || !s->out)
        return;
    struct json_writer j =
        part_event(s, p->refusal ? "response.refusal.done" : "response.output_text.done", i);
    json_member_str(&j, p->refusal ? "refusal" : "text", grown_str(&p->text));
    if (!p->refusal)
        put_logprobs(&j, grown_str(&p->logprobs));
    event_end(s, &j);
    j = part_event(s, "response.content_part.done", i);
    json_name(&j, "part");
    responses_put_part(&j, p);
    event_end(s, &j);
}

static void close_reasoning(struct responses_state *s, const struct responses_item *i)
{
    if (!i->told || !s->out)
        return;
    struct json_writer j = summary_event(s, "response.reasoning_summary_text.done", i);
    json_member_str(&j, "text", grown_str(&i->text));
    event_end(s, &j);
    j = summary_event(s, "response.reasoning_summary_part.done", i);
    put_summary(&j, grown_str(&i->text));
    event_end(s, &j);
}

static void add_arguments(struct responses_state *s, struct responses_item *i, struct str text)
{
    grow(s, &i->text, text);
    if (!s->out || text.n == 0 || i->kind == ITEM_SEARCH_CALL)
        return;
    struct json_writer j = item_event(s,
                                      i->kind == ITEM_CALL ? "response.function_call_arguments.delta"
                                                           : "response.custom_tool_call_input.delta",
                                      i);
    json_member_str(&j, "delta", text);
    event_end(s, &j);
}

/* Clients parse the arguments: none are {} */
static void close_call(struct responses_state *s, struct responses_item *i)
{
    if (i->text.n == 0)
        add_arguments(s, i, STR("{}"));
    if (!s->out)
        return;
    struct json_writer j = item_event(s, "response.function_call_arguments.done", i);
    json_member_str(&j, "name", i->name);
    json_member_str(&j, "arguments", grown_str(&i->text));
    event_end(s, &j);
}

static void close_custom_call(struct responses_state *s, const struct responses_item *i)
{
    if (!s->out)
        return;
    struct json_writer j = item_event(s, "response.custom_tool_call_input.done", i);
    json_member_str(&j, "input", grown_str(&i->text));
    event_end(s, &j);
}

static void close_item(struct responses_state *s, struct responses_item *i)
{
    if (!i->open)
        return;
    if (i->kind == ITEM_MESSAGE)
        close_part(s, i);
    else if (i->kind == ITEM_REASONING)
        close_reasoning(s, i);
    else if (i->kind == ITEM_CALL)
        close_call(s, i);
    else if (i->kind == ITEM_CUSTOM_CALL)
        close_custom_call(s, i);
    i->open = false;
    i->status = "completed";
    if (i == s->items[s->n_items - 1] && strcmp(responses_status(s), "incomplete") == 0)
        i->status = "incomplete";
    tell_item(s, "response.output_item.done", i);
}

void responses_close(struct responses_state *s)
{
    for (size_t i = 0; i < s->n_items; i++)
        close_item(s, s->items[i]);
}

static bool is_call(const struct responses_item *i)
{
    return i->kind == ITEM_CALL || i->kind == ITEM_CUSTOM_CALL || i->kind == ITEM_SEARCH_CALL;
}

/* Nothing more of it can come. Of a custom tool's input only its reader knows. */
static bool is_whole(const struct responses_item *i)
{
    return !is_call(i) || i->whole ||
           (i->kind != ITEM_CUSTOM_CALL && json_scan(grown_str(&i->text), NULL, 0, NULL, NULL) == 0);
}

/* Before another item begins. Calls before the last one have been looked at before. */
static void close_last(struct responses_state *s)
{
    struct responses_item *i = s->n_items > 0 ? s->items[s->n_items - 1] : NULL;
    if (i && is_whole(i))
        close_item(s, i);
}

/* ---- their beginnings */

static struct responses_item *open_item(struct responses_state *s, enum responses_kind kind)
{
    static const char *const prefixes[] = {
        [ITEM_MESSAGE] = "msg",     [ITEM_REASONING] = "rs",    [ITEM_CALL] = "fc",
        [ITEM_CUSTOM_CALL] = "ctc", [ITEM_SEARCH_CALL] = "tsc", [ITEM_IMAGE] = "ig"};
    struct arena *a = s->w->r->arena;
    close_last(s);
    if (s->n_items >= MAX_ITEMS) {
        s->overflow = true;
        return NULL;
    }
    if (s->n_items == s->room) {
        size_t room = s->room ? 2 * s->room : 8;
        struct responses_item **more = arena_alloc(a, room * sizeof(struct responses_item *));
        if (s->n_items > 0)
            memcpy(more, s->items, s->n_items * sizeof(struct responses_item *));
        s->items = more;
        s->room = room;
    }
    struct responses_item *i = arena_alloc(a, sizeof(*i));
    *i = (struct responses_item){.kind = kind, .index = s->n_items, .open = true, .status = "in_progress"};
    i->id = arena_printf(a, "%s_" STR_FMT "%04zx", prefixes[kind], STR_ARG(s->seed), i->index);
    s->items[s->n_items++] = i;
    return i;
}

static struct responses_item *open_one(const struct responses_state *s, enum responses_kind kind)
{
    struct responses_item *i = s->n_items > 0 ? s->items[s->n_items - 1] : NULL;
    return i && i->open && i->kind == kind ? i : NULL;
}

static void add_annotations(struct responses_state *s, struct responses_item *i, struct str json);

static void open_part(struct responses_state *s, struct responses_item *i, bool refusal)
{
    close_part(s, i);
    if ((i->n_parts & (i->n_parts - 1)) == 0) { /* a power of two, or 0: full */
        struct responses_part *more =
            arena_alloc(s->w->r->arena, (i->n_parts ? 2 * i->n_parts : 1) * sizeof(*more));
        if (i->n_parts > 0)
            memcpy(more, i->parts, i->n_parts * sizeof(*more));
        i->parts = more;
    }
    i->parts[i->n_parts++] = (struct responses_part){.refusal = refusal};
    if (!s->out)
        return;
    struct json_writer j = part_event(s, "response.content_part.added", i);
    json_name(&j, "part");
    responses_put_part(&j, last_part(i));
    event_end(s, &j);
}

/* The open message with an open part of that kind. NULL: there are too many items. */
static struct responses_item *message(struct responses_state *s, bool refusal)
{
    struct responses_item *i = open_one(s, ITEM_MESSAGE);
    if (!i) {
        i = open_item(s, ITEM_MESSAGE);
        if (i)
            tell_item(s, "response.output_item.added", i);
    }
    if (!i)
        return NULL;
    if (i->n_parts >= MAX_ITEMS) {
        s->overflow = true;
        return NULL;
    }
    if (!last_part(i) || last_part(i)->refusal != refusal)
        open_part(s, i, refusal);
    if (!refusal && s->early_annotations.n > 0) {
        struct str early = grown_str(&s->early_annotations);
        s->early_annotations = (struct grown){0};
        add_annotations(s, i, early);
    }
    return i;
}

/* The last message with a text in it, open or not. */
static struct responses_item *last_text(const struct responses_state *s)
{
    for (size_t i = s->n_items; i-- > 0;)
        if (s->items[i]->kind == ITEM_MESSAGE && last_part(s->items[i]) && !last_part(s->items[i])->refusal)
            return s->items[i];
    return NULL;
}

/* ---- deltas */

static void take_text(struct responses_state *s, const struct chat_delta *d)
{
    bool refusal = d->kind == DELTA_REFUSAL;
    struct responses_item *i = NULL;
    if (d->text.n > 0) {
        i = message(s, refusal);
        if (!i)
            return;
        grow(s, &last_part(i)->text, d->text);
    }
    if (i && s->out) {
        struct json_writer j =
            part_event(s, refusal ? "response.refusal.delta" : "response.output_text.delta", i);
        json_member_str(&j, "delta", d->text);
        if (!refusal)
            put_logprobs(&j, STR_NULL);
        event_end(s, &j);
    }
    if (d->signature.n > 0 && d->signer == SIGNER_GOOGLE && (i = last_text(s)) != NULL)
        last_part(i)->signature = keep(s, d->signature);
}

/* How a signature travels to the client and back (openai_responses_items.c reads it): OpenAI's own as it is,
 * others with their maker's name in front. */
static struct str encrypted(struct responses_state *s, const char *how, struct str signature,
                            enum chat_signer signer)
{
    const char *maker = signer == SIGNER_GOOGLE                     ? "google:"
                        : signer == SIGNER_ANTHROPIC                ? "anthropic:"
                        : signer == SIGNER_OPENAI && how[0] != '\0' ? "openai:"
                                                                    : "";
    struct grown g = {0};
    grow(s, &g, str_of(how));
    grow(s, &g, str_of(maker));
    grow(s, &g, signature);
    return grown_str(&g);
}

static struct responses_item *reasoning(struct responses_state *s)
{
    struct responses_item *i = open_one(s, ITEM_REASONING);
    if (i)
        return i;
    i = open_item(s, ITEM_REASONING);
    if (i)
        tell_item(s, "response.output_item.added", i);
    return i;
}

static void add_summary(struct responses_state *s, struct responses_item *i, struct str text)
{
    struct json_writer j;
    grow(s, &i->text, text);
    if (s->out && !i->told) {
        j = summary_event(s, "response.reasoning_summary_part.added", i);
        put_summary(&j, STR_NULL);
        event_end(s, &j);
    }
    i->told = true;
    if (s->out) {
        j = summary_event(s, "response.reasoning_summary_text.delta", i);
        json_member_str(&j, "delta", text);
        event_end(s, &j);
    }
}

/* A signature ends the item. */
static void take_thinking(struct responses_state *s, const struct chat_delta *d)
{
    if (d->text.n == 0 && d->signature.n == 0)
        return;
    struct responses_item *i = reasoning(s);
    if (!i)
        return;
    if (d->text.n > 0)
        add_summary(s, i, d->text);
    if (d->signature.n > 0) {
        i->encrypted = encrypted(s, "", d->signature, d->signer);
        close_item(s, i);
    }
}

static void take_redacted(struct responses_state *s, const struct chat_delta *d)
{
    struct responses_item *i = open_item(s, ITEM_REASONING);
    if (!i)
        return;
    i->encrypted = encrypted(s, "redacted:", d->data, d->signer);
    tell_item(s, "response.output_item.added", i);
    close_item(s, i);
}

static void take_tool(struct responses_state *s, const struct chat_delta *d)
{
    const struct chat_tool *t = chat_tool(s->w->in, d->name);
    struct responses_item *i = open_item(s, d->custom                     ? ITEM_CUSTOM_CALL
                                            : t && t->kind == TOOL_SEARCH ? ITEM_SEARCH_CALL
                                                                          : ITEM_CALL);
    if (!i)
        return;
    i->tool = d->tool;
    i->call_id = keep(s, d->id);
    i->name = t && t->space.n > 0 ? t->own_name : keep(s, d->name);
    i->space = t ? t->space : STR_NULL;
    if (d->signer == SIGNER_GOOGLE)
        i->signature = keep(s, d->signature);
    s->last_call = i;
    tell_item(s, "response.output_item.added", i);
}

/* What comes behind a call's end is white space, or nobody's. */
static void take_arguments(struct responses_state *s, const struct chat_delta *d)
{
    struct responses_item *call = s->last_call;
    for (size_t i = s->n_items; call && call->tool != d->tool;)
        call = i-- > 0 ? (is_call(s->items[i]) ? s->items[i] : call) : NULL;
    if (!call || !call->open)
        return;
    add_arguments(s, call, d->text);
    call->whole |= d->whole;
}

/* Images that models make are told as OpenAI tells its own tool's. */
static void take_image(struct responses_state *s, const struct chat_delta *d)
{
    if (d->data.n == 0 && d->url.n > 0) {
        struct arena *a = s->w->r->arena;
        struct chat_delta text = {.kind = DELTA_TEXT,
                                  .text = arena_printf(a, "![image](" STR_FMT ")", STR_ARG(d->url))};
        take_text(s, &text);
        return;
    }
    struct responses_item *i = open_item(s, ITEM_IMAGE);
    if (!i)
        return;
    i->mime = keep(s, d->mime);
    tell_item(s, "response.output_item.added", i);
    i->data = keep(s, d->data);
    if (s->out) {
        struct json_writer j = item_event(s, "response.image_generation_call.completed", i);
        event_end(s, &j);
    }
    close_item(s, i);
}

/* The elements of a JSON array, without its brackets. */
static struct str elements(struct json_value array)
{
    if (array.type != JSON_ARRAY || array.count == 0)
        return STR_NULL;
    return (struct str){array.raw.p + 1, array.raw.n - 2};
}

static void grow_list(struct responses_state *s, struct grown *list, struct str more)
{
    if (more.n == 0)
        return;
    if (list->n > 0)
        grow(s, list, STR(","));
    grow(s, list, more);
}

/* They come behind the text that they are about: told with an empty piece of it. */
static void take_logprobs(struct responses_state *s, const struct chat_delta *d)
{
    struct str list = elements(json_member(json_root(d->json), "content"));
    struct responses_item *i = last_text(s);
    struct responses_part *p = i ? last_part(i) : NULL;
    if (!p || list.n == 0)
        return;
    grow_list(s, &p->logprobs, list);
    if (!s->out || !i->open)
        return;
    struct json_writer j = part_event(s, "response.output_text.delta", i);
    json_member_str(&j, "delta", STR_NULL);
    put_logprobs(&j, list);
    event_end(s, &j);
}

/* ---- annotations: flat here, nested in the neutral form */

static void put_annotation(struct json_writer *j, struct json_value one)
{
    static const char *const numbers[] = {"start_index", "end_index"}, *const texts[] = {"url", "title"};
    struct json_value in = json_member(one, "url_citation"), v;
    if (in.type != JSON_OBJECT) {
        json_raw(j, one.raw);
        return;
    }
    json_open(j, '{');
    json_member_strz(j, "type", "url_citation");
    for (size_t i = 0; i < 2; i++) {
        v = json_member(in, numbers[i]);
        json_member_raw(j, numbers[i], v.type == JSON_NUMBER ? v.raw : STR("0"));
    }
    for (size_t i = 0; i < 2; i++) {
        v = json_member(in, texts[i]);
        json_member_raw(j, texts[i], v.type == JSON_STRING ? v.raw : STR("\"\""));
    }
    json_close(j, '}');
}

static void add_annotation(struct responses_state *s, struct responses_item *i, struct json_value one)
{
    struct responses_part *p = last_part(i);
    if (!p)
        return;
    size_t max = one.raw.n + 128;
    struct buf b = arena_buf(s->w->r->arena, max);
    struct json_writer j = json_writer(&b);
    put_annotation(&j, one);
    if (b.full)
        return;
    grow_list(s, &p->annotations, buf_str(&b));
    p->n_annotations++;
    if (!s->out || !i->open)
        return;
    j = part_event(s, "response.output_text.annotation.added", i);
    json_member_i64(&j, "annotation_index", (int64_t)p->n_annotations - 1);
    json_member_raw(&j, "annotation", buf_str(&b));
    event_end(s, &j);
}

/* json: the elements of an array. */
static void add_annotations(struct responses_state *s, struct responses_item *i, struct str json)
{
    struct str array = arena_printf(s->w->r->arena, "[" STR_FMT "]", STR_ARG(json));
    struct json_value one;
    for (size_t at = 0; json_next(array, &at, NULL, &one) == 1;)
        if (one.type == JSON_OBJECT)
            add_annotation(s, i, one);
}

static void take_annotations(struct responses_state *s, const struct chat_delta *d)
{
    struct responses_item *i = last_text(s);
    struct str list = elements(json_root(d->json));
    if (list.n == 0)
        return;
    if (i)
        add_annotations(s, i, list);
    else
        grow_list(s, &s->early_annotations, list);
}

/* ---- the whole */

static void take_start(struct responses_state *s, const struct chat_delta *d)
{
    struct chat_writer *w = s->w;
    s->started = true;
    s->model = d->model.n > 0 ? arena_copy(w->r->arena, d->model) : w->model;
    s->created = d->created > 0 ? d->created : w->r->start_us / 1000000;
    if (!s->out)
        return;
    tell_response(s, "response.created", STAGE_RUNNING, NULL);
    tell_response(s, "response.in_progress", STAGE_RUNNING, NULL);
}

void responses_take(struct responses_state *s, const struct chat_delta *d)
{
    static void (*const take[])(struct responses_state *, const struct chat_delta *) = {
        [DELTA_START] = take_start,         [DELTA_TEXT] = take_text,
        [DELTA_THINKING] = take_thinking,   [DELTA_REDACTED] = take_redacted,
        [DELTA_REFUSAL] = take_text,        [DELTA_TOOL] = take_tool,
        [DELTA_ARGUMENTS] = take_arguments, [DELTA_IMAGE] = take_image,
        [DELTA_LOGPROBS] = take_logprobs,   [DELTA_ANNOTATIONS] = take_annotations,
    };
    if (d->choice != 0 || s->overflow)
        return; /* this dialect asks for one answer, never for several */
    if (d->kind == DELTA_FINISH)
        s->finish = d->finish;
    else if (d->kind < DELTA_FINISH && (d->kind == DELTA_START) != s->started)
        take[d->kind](s, d);
}

struct responses_state *responses_state_new(struct chat_writer *w)
{
    struct responses_state *s = arena_alloc(w->r->arena, sizeof(*s));
    *s = (struct responses_state){.w = w, .seed = chat_make_id(w->r->arena, "")};
    s->id = arena_printf(w->r->arena, "resp_" STR_FMT, STR_ARG(s->seed));
    s->echo = responses_echo(w);
    return s;
}

void responses_begin(struct chat_writer *w, struct buf *out)
{
    (void)out; /* the first event names the model, which the first delta tells */
    w->state = responses_state_new(w);
}

void responses_delta(struct chat_writer *w, const struct chat_delta *d, struct buf *out)
{
    struct responses_state *s = w->state;
    s->out = out;
    responses_take(s, d);
}

static void start(struct responses_state *s)
{
    static const struct chat_delta nothing = {.kind = DELTA_START};
    if (!s->started)
        take_start(s, &nothing);
}

/* Both forms of the event that there are: its members at the top, as it is documented, and within "error", as
 * it is really sent and as SDKs raise it. */
static void tell_error(struct responses_state *s, const struct failure *f)
{
    const char *type = f->type ? f->type : f->status == 429 ? "rate_limit_error" : "server_error";
    struct json_writer j = event(s, "error");
    json_member_strz(&j, "code", f->code ? f->code : type);
    json_member_str(&j, "message", f->message);
    json_member_strz(&j, "param", f->param);
    json_member_open(&j, "error", '{');
    json_member_strz(&j, "type", type);
    json_member_strz(&j, "code", f->code ? f->code : type);
    json_member_str(&j, "message", f->message);
    json_member_strz(&j, "param", f->param);
    json_close(&j, '}');
    event_end(s, &j);
}

void responses_fail(struct chat_writer *w, const struct failure *f, struct buf *out)
{
    struct responses_state *s = w->state;
    s->out = out;
    start(s);
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i]->open)
            s->items[i]->status = "incomplete";
    tell_error(s, f);
    tell_response(s, "response.failed", STAGE_ENDED, f);
}

void responses_end(struct chat_writer *w, struct buf *out)
{
    struct responses_state *s = w->state;
    s->out = out;
    start(s);
    if (strcmp(responses_status(s), "failed") == 0) {
        struct failure f = responses_own_failure(s);
        responses_fail(w, &f, out);
        return;
    }
    responses_close(s);
    tell_response(
        s, strcmp(responses_status(s), "completed") == 0 ? "response.completed" : "response.incomplete",
        STAGE_ENDED, NULL);
}

/* The order of a translated stream, whatever its provider's. Run by workers only. */
#include "chat_stream.h"

#include "custom_tool.h"

struct custom_call {
    struct custom_call *next;
    uint32_t choice, tool;
    struct custom_input input;
};

static void start(struct chat_sink *s, const struct chat_delta *d)
{
    static const struct chat_delta nothing = {.kind = DELTA_START};
    s->started = true;
    s->writer->dialect->delta(s->writer, d->kind == DELTA_START ? d : &nothing, s->out);
}

static void note_usage(struct chat_sink *s, const struct usage_tokens *u)
{
    struct request *r = s->reader->r;
    r->tokens = *u;
    r->tokens_known = true;
}

/* ---- custom tools */

static void put_input(struct chat_sink *s, struct custom_call *c, struct str text)
{
    bool whole = c->input.state == INPUT_ENDED;
    if (text.n > 0 || whole)
        s->writer->dialect->delta(s->writer,
                                  &(struct chat_delta){.kind = DELTA_ARGUMENTS,
                                                       .choice = c->choice,
                                                       .tool = c->tool,
                                                       .text = text,
                                                       .custom = true,
                                                       .whole = whole},
                                  s->out);
}

/* Notes a call of such a function. */
static bool is_custom(struct chat_sink *s, const struct chat_delta *d)
{
    const struct chat_request *in = s->reader->in;
    const struct chat_tool *t = d->kind == DELTA_TOOL && !d->custom && in ? chat_tool(in, d->name) : NULL;
    if (!t || t->kind != TOOL_CUSTOM)
        return d->custom;
    struct custom_call *c = arena_alloc(s->reader->arena, sizeof(*c));
    *c = (struct custom_call){.next = s->customs, .choice = d->choice, .tool = d->tool};
    s->customs = c;
    return true;
}

/* False: the arguments are those of another call. */
static bool took_input(struct chat_sink *s, const struct chat_delta *d)
{
    struct custom_call *c = d->kind == DELTA_ARGUMENTS && !d->custom ? s->customs : NULL;
    while (c && (c->choice != d->choice || c->tool != d->tool))
        c = c->next;
    if (!c)
        return false;
    struct buf out = {0};
    bool ended = c->input.state == INPUT_ENDED;
    custom_input_take(&c->input, d->text, s->reader->arena, &out, s->reader->scratch);
    if (!ended)
        put_input(s, c, buf_str(&out));
    return true;
}

/* Before a choice's FINISH: what was held back. In the order in which the calls began. */
static void end_inputs(struct chat_sink *s, struct custom_call *c, uint32_t choice)
{
    struct custom_call *order = NULL;
    for (; c; c = c->next) {
        if (c->choice != choice || c->input.state == INPUT_ENDED)
            continue;
        struct custom_call *copy = arena_alloc(s->reader->scratch, sizeof(*copy));
        *copy = *c;
        copy->next = order;
        order = copy;
        c->input.state = INPUT_ENDED;
    }
    for (; order; order = order->next) {
        struct buf out = {0};
        custom_input_end(&order->input, &out, s->reader->scratch);
        put_input(s, order, buf_str(&out));
    }
}

/* ---- all of it */

static void finish(struct chat_sink *s, const struct chat_delta *d)
{
    struct chat_delta f = *d;
    if (s->finished[d->choice])
        return;
    s->finished[d->choice] = true;
    s->improper |= !chat_finish_is_proper(d->finish);
    end_inputs(s, s->customs, d->choice);
    if (s->tools[d->choice] && (f.finish == FINISH_STOP || f.finish == FINISH_STOP_SEQUENCE))
        f.finish = FINISH_TOOL_CALLS;
    s->writer->dialect->delta(s->writer, &f, s->out);
}

/* Bytes of what was generated. */
static size_t generated(const struct chat_delta *d)
{
    switch (d->kind) {
    case DELTA_TEXT:
    case DELTA_THINKING:
    case DELTA_REFUSAL:
    case DELTA_ARGUMENTS:
        return d->text.n;
    case DELTA_TOOL:
        return d->name.n;
    case DELTA_REDACTED:
    case DELTA_IMAGE:
        return 1;
    default:
        return 0;
    }
}

void chat_sink_take(struct chat_sink *s, const struct chat_delta *d)
{
    if (d->kind == DELTA_START && s->started)
        return;
    if (d->kind == DELTA_USAGE) {
        note_usage(s, &d->usage);
        return;
    }
    if (d->choice >= MAX_CHAT_CHOICES)
        return;
    if (!s->started)
        start(s, d);
    if (d->kind == DELTA_START)
        return;
    if (d->choice >= s->n_choices)
        s->n_choices = d->choice + 1;
    if (d->kind == DELTA_FINISH) {
        finish(s, d);
        return;
    }
    if (s->finished[d->choice] && d->kind != DELTA_LOGPROBS && d->kind != DELTA_ANNOTATIONS)
        return;
    size_t n = generated(d);
    s->text_bytes += n;
    s->content |= n > 0;
    s->tools[d->choice] |= d->kind == DELTA_TOOL;
    if (took_input(s, d))
        return;
    struct chat_delta line = *d;
    line.custom = is_custom(s, d);
    line.json = chat_one_line(d->json, s->reader->scratch);
    s->writer->dialect->delta(s->writer, &line, s->out);
}

bool chat_sink_finished(const struct chat_sink *s)
{
    for (uint32_t i = 0; i < s->n_choices; i++)
        if (!s->finished[i])
            return false;
    return s->n_choices > 0;
}

void chat_emit(struct chat_reader *rd, const struct chat_delta *d)
{
    chat_sink_take(rd->sink, d);
}

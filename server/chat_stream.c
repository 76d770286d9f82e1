/* The order of a translated stream, whatever its provider's. Run by workers only. */
#include "chat_stream.h"

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

static void finish(struct chat_sink *s, const struct chat_delta *d)
{
    struct chat_delta f = *d;
    if (s->finished[d->choice])
        return;
    s->finished[d->choice] = true;
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
    struct chat_delta line = *d;
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

bool chat_finished(const struct chat_reader *rd)
{
    return chat_sink_finished(rd->sink);
}

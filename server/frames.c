/* Frames of a provider's stream. Run by workers only. */
#include "frames.h"

void frames_init(struct frames *f, enum framing_kind kind)
{
    f->kind = kind;
    sse_init(&f->sse);
    eventstream_init(&f->messages);
}

void frames_free(struct frames *f)
{
    sse_free(&f->sse);
    eventstream_free(&f->messages);
}

int frames_feed(struct frames *f, struct str bytes)
{
    return f->kind == FRAMES_SSE ? sse_feed(&f->sse, bytes) : eventstream_feed(&f->messages, bytes);
}

/* What only the message's head tells of an error has its place in the data, too. */
static int next_message(struct frames *f, struct chat_frame *out)
{
    struct eventstream_message m;
    int got = eventstream_next(&f->messages, &m);
    if (got == 1)
        *out = (struct chat_frame){
            .name = m.name, .data = m.payload.n > 0 ? m.payload : m.error_message, .exception = m.exception};
    return got;
}

static int next_event(struct frames *f, struct chat_frame *out)
{
    struct sse_event ev;
    while (sse_next(&f->sse, &ev) == 1)
        if (ev.has_data) {
            *out = (struct chat_frame){.name = ev.name, .data = ev.data};
            return 1;
        }
    return f->sse.too_large ? -1 : 0;
}

int frames_next(struct frames *f, struct chat_frame *out)
{
    return f->kind == FRAMES_SSE ? next_event(f, out) : next_message(f, out);
}

int frames_last(struct frames *f, struct chat_frame *out)
{
    if (f->kind != FRAMES_SSE || sse_pending(&f->sse) == 0 || sse_feed(&f->sse, STR("\n\n")) != 0)
        return 0;
    return next_event(f, out) == 1;
}

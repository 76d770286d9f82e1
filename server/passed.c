/* Run by workers only. */
#include "passed.h"

void passed_init(struct passed *p, enum passed_kind kind)
{
    p->kind = kind;
    sse_init(&p->sse);
    json_array_init(&p->array);
    eventstream_init(&p->messages);
}

void passed_free(struct passed *p)
{
    sse_free(&p->sse);
    json_array_free(&p->array);
    eventstream_free(&p->messages);
}

int passed_feed(struct passed *p, struct str bytes)
{
    switch (p->kind) {
    case PASSED_ARRAY:
        return json_array_feed(&p->array, bytes);
    case PASSED_MESSAGES:
        return eventstream_feed(&p->messages, bytes);
    case PASSED_SSE:
        break;
    }
    return sse_feed(&p->sse, bytes);
}

static int next_element(struct passed *p, struct passed_event *e)
{
    struct json_array_element one;
    int got = json_array_next(&p->array, &one);
    if (got == 1)
        *e = (struct passed_event){.sse = {.raw = one.raw, .data = one.value, .has_data = one.value.n > 0},
                                   .closes = one.value.n == 0};
    return got;
}

static int next_message(struct passed *p, struct passed_event *e)
{
    struct eventstream_message m;
    int got = eventstream_next(&p->messages, &m);
    if (got == 1)
        *e = (struct passed_event){.sse = {.raw = m.raw,
                                           .name = m.name,
                                           .data = m.payload.n > 0 ? m.payload : m.error_message,
                                           .has_data = true},
                                   .exception = m.exception};
    return got;
}

int passed_next(struct passed *p, struct passed_event *e)
{
    switch (p->kind) {
    case PASSED_ARRAY:
        return next_element(p, e);
    case PASSED_MESSAGES:
        return next_message(p, e);
    case PASSED_SSE:
        break;
    }
    int got = sse_next(&p->sse, &e->sse);
    e->exception = e->closes = false;
    return got == 0 && p->sse.too_large ? -1 : got;
}

size_t passed_pending(const struct passed *p)
{
    switch (p->kind) {
    case PASSED_ARRAY:
        return json_array_pending(&p->array);
    case PASSED_MESSAGES:
        return eventstream_pending(&p->messages);
    case PASSED_SSE:
        break;
    }
    return sse_pending(&p->sse);
}

const char *passed_broken(const struct passed *p)
{
    switch (p->kind) {
    case PASSED_ARRAY:
        return "malformed or oversized element of an array";
    case PASSED_MESSAGES:
        return p->messages.broken ? p->messages.broken : "malformed message";
    case PASSED_SSE:
        break;
    }
    return "oversized event";
}

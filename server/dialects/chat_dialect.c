/* Which dialect an endpoint's callers speak, and reading what they say. Run by workers only. */
#include "chat_dialect.h"

const struct chat_dialect *chat_dialect_of(enum endpoint e)
{
    switch (e) {
    case EP_CHAT:
        return &dialect_chat;
    case EP_RESPONSES:
        return &dialect_responses;
    case EP_MESSAGES:
    case EP_COUNT_TOKENS:
        return &dialect_messages;
    case EP_GENERATE:
    case EP_COUNT_CONTENT:
        return &dialect_generate_content;
    default:
        return NULL;
    }
}

int chat_read(struct request *r, struct failure *f)
{
    const struct chat_dialect *d = chat_dialect_of(r->match.endpoint);
    if (r->chat)
        return 0;
    struct chat_request *c = arena_alloc(r->arena, sizeof(*c));
    *c = (struct chat_request){.model = r->model,
                               .stream = r->stream,
                               .parallel_tools = -1,
                               .format_strict = -1,
                               .thinking_shown = -1};
    if (!d || d->read(r, c, f) != 0)
        return -1;
    if (c->too_many) {
        *f = (struct failure){.status = 400, .param = "tools", .message = STR("There are too many tools.")};
        return -1;
    }
    chat_settle(c, r->arena);
    r->chat = c;
    return 0;
}

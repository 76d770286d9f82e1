/* A translated request in the making: which of its parameters were honoured. */
#include "provider.h"

#include <stdarg.h>

struct str chat_take(struct chat_call *c, enum chat_param p)
{
    if (!chat_given(c, p))
        return STR_NULL;
    c->taken |= UINT32_C(1) << p;
    return c->in->params[p].value;
}

bool chat_given(const struct chat_call *c, enum chat_param p)
{
    return c->in && c->in->params[p].name;
}

void chat_adjust(struct chat_call *c, enum chat_param p)
{
    c->taken |= UINT32_C(1) << p;
    c->adjusted |= UINT32_C(1) << p;
}

int chat_refuse(struct chat_call *c, const char *param, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *c->f = (struct failure){.status = 400,
                             .code = "unsupported_by_provider",
                             .param = param,
                             .message = arena_copy(c->arena, str_of(text))};
    return -1;
}

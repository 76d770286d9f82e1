/* Anthropic's own API. Run by workers.
 *
 * A caller who speaks it passes: only the model's name is set anew where the provider calls it otherwise, and
 * of the headers go on those that choose the API's version and its betas. Unknown members survive both ways.
 * But a conversation that another vendor's model has left its marks in (anthropic_body_passes) is translated,
 * because Claude would refuse them. */
#include "anthropic_chat.h"

#include "json_out.h"
#include "secret.h"
#include "upstream_url.h"

#include <string.h>

#define DEFAULT_VERSION "2023-06-01"

/* ---- passing */

static bool passes(const struct request *r, const struct conf_provider *p, struct str model)
{
    (void)p;
    (void)model;
    switch (r->match.endpoint) {
    case EP_NATIVE:
        return true;
    case EP_MESSAGES:
    case EP_COUNT_TOKENS:
        return anthropic_body_passes(r->body);
    default:
        return false;
    }
}

/* Of the client's query only this has a meaning of its own. */
static bool asks_for_beta(struct str query)
{
    struct str one;
    while (str_split(&query, '&', &one))
        if (str_eq(one, STR("beta=true")))
            return true;
    return false;
}

/* What stands behind the host: the base URL may or may not end in /v1. A native call's path stands alone. */
static int build_path(struct request *r, const struct conf_provider *p, struct str rest, struct str *path)
{
    struct upstream_url url;
    bool native = r->match.endpoint == EP_NATIVE;
    if (upstream_url_parse(str_of(p->base_url), &url, NULL) != 0)
        return -1;
    struct str base = native ? STR_NULL : url.path, query = STR_NULL;
    size_t max = base.n + rest.n + r->head->query.n + 16;
    struct buf b = arena_buf(r->arena, max);
    buf_add(&b, base);
    if (!native && !str_ends(base, STR("/v1")))
        buf_add(&b, STR("/v1"));
    buf_add(&b, rest);
    if (native)
        query = r->head->query;
    else if (asks_for_beta(r->head->query))
        query = STR("beta=true");
    if (query.n > 0) {
        buf_add_byte(&b, '?');
        buf_add(&b, query);
    }
    *path = buf_str(&b);
    return upstream_path_ok(*path) ? 0 : -1;
}

static void add_line(struct buf *b, struct str name, struct str value)
{
    if (value.n == 0 || !http_value_ok(value))
        return;
    buf_add(b, name);
    buf_add(b, STR(": "));
    buf_add(b, value);
    buf_add(b, STR("\r\n"));
}

/* Passing: the caller's version and betas; else what is configured. */
static struct str build_headers(struct request *r, const struct conf_provider *p, bool passing)
{
    enum { ROOM = 4096 };
    struct buf b = arena_buf(r->arena, ROOM);
    struct str value, version = str_of(p->api_version ? p->api_version : DEFAULT_VERSION);
    if (passing && http_find(r->head, "anthropic-version", &value) && value.n > 0 && value.n <= 64)
        version = value;
    if (passing && http_find(r->head, "content-type", &value) && value.n <= 256)
        add_line(&b, STR("content-type"), value);
    else if (!passing || r->body.n > 0)
        add_line(&b, STR("content-type"), STR("application/json"));
    add_line(&b, STR("anthropic-version"), version);
    if (passing && http_find(r->head, "anthropic-beta", &value) && value.n <= 2048)
        add_line(&b, STR("anthropic-beta"), value);
    if (passing && http_find(r->head, "accept", &value) && value.n <= 512)
        add_line(&b, STR("accept"), value);
    return buf_str(&b);
}

static int refuse(struct request *r, struct failure *f, const char *code, const char *message)
{
    *f = (struct failure){.status = 400, .code = code, .message = arena_copy(r->arena, str_of(message))};
    return -1;
}

static bool is_object(struct str body)
{
    while (body.n > 0 && body.p[0] && strchr(" \t\r\n", body.p[0]))
        body.p++, body.n--;
    return body.n > 0 && body.p[0] == '{';
}

/* The body with another name of the model. */
static int rename_model(struct request *r, struct str model, struct str *body)
{
    size_t max = 6 * model.n + 2;
    struct buf name = arena_buf(r->arena, max);
    if (!is_object(*body) || json_put_string(&name, model) != 0)
        return -1;
    max = body->n + name.n + 32;
    struct buf b = arena_buf(r->arena, max);
    if (json_set_member(&b, *body, "model", buf_str(&name)) != 0)
        return -1;
    *body = buf_str(&b);
    return 0;
}

static int build(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f)
{
    *call = (struct provider_call){.body = r->body};
    if (build_path(r, p, r->match.rest, &call->path) != 0)
        return refuse(r, f, "invalid_path", "The request's path can't be passed on.");
    bool rename = model.n > 0 && r->model.n > 0 && !str_eq(model, r->model);
    if (rename && rename_model(r, model, &call->body) != 0)
        return refuse(r, f, "invalid_body",
                      "The model goes by another name at its provider, and can't be "
                      "renamed in a body like this.");
    call->headers = build_headers(r, p, true);
    return 0;
}

/* ---- translating */

static int write_call(struct chat_call *c, struct str rest, const struct anthropic_style *style)
{
    if (build_path(c->r, c->conf, rest, &c->call->path) != 0)
        return chat_refuse(c, NULL, "The provider's base URL can't be used.");
    c->call->headers = build_headers(c->r, c->conf, false);
    return anthropic_write_body(c, style);
}

static int write_chat(struct chat_call *c)
{
    static const struct anthropic_style style = {0};
    return write_call(c, STR("/messages"), &style);
}

static int write_count(struct chat_call *c)
{
    static const struct anthropic_style style = {.counts = true};
    return write_call(c, STR("/messages/count_tokens"), &style);
}

static int authorize(const struct conf_provider *p, const struct signing *s, struct buf *head,
                     struct error *err)
{
    (void)s;
    struct str key = secret_get(p->name);
    if (key.n == 0)
        return 0;
    buf_add(head, STR("x-api-key: "));
    buf_add(head, key);
    return buf_add(head, STR("\r\n")) == 0 ? 0
                                           : error_set(err, "provider %s: the head is too large", p->name);
}

const struct provider provider_anthropic = {
    .type = "anthropic",
    .passes = passes,
    .build = build,
    .read_answer = anthropic_read_answer,
    .read_event = anthropic_read_event,
    .read_error = anthropic_read_error,
    .write_chat = write_chat,
    .read_chat = anthropic_read_chat,
    .framing = FRAMES_SSE,
    .read_frame = anthropic_read_frame,
    .write_count = write_count,
    .read_count = anthropic_read_count,
    .authorize = authorize,
};

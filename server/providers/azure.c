/* Azure OpenAI. Run by workers.
 *
 * What is spoken is OpenAI's dialect, passed and translated as there; what differs is the way to it, of which
 * there are three, told apart by the base URL:
 *   https://RESOURCE.openai.azure.com            /openai/deployments/MODEL/chat/completions?api-version=V
 *   https://RESOURCE.openai.azure.com/openai/v1  /openai/v1/chat/completions, the model in the body
 *   https://RESOURCE.services.ai.azure.com/models  /models/chat/completions?api-version=V, the same (Foundry)
 * A base URL that names its deployment keeps it. The model of our configuration is the deployment's name. */
#include "openai.h"

#include "secret.h"
#include "upstream_url.h"

#include <string.h>

enum form { CLASSIC, DEPLOYMENT /* named in the base URL */, V1, FOUNDRY };

/* path: the base URL's, without a slash at its end. */
static enum form form_of(struct str path)
{
    if (str_has(path, "/openai/deployments/"))
        return DEPLOYMENT;
    if (str_ends(path, STR("/openai/v1")))
        return V1;
    return str_ends(path, STR("/models")) ? FOUNDRY : CLASSIC;
}

static enum form form_of_provider(const struct conf_provider *p)
{
    struct upstream_url url;
    return upstream_url_parse(str_of(p->base_url), &url, NULL) == 0 ? form_of(url.path) : CLASSIC;
}

/* ---- paths */

static void put_escaped(struct buf *b, struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '_' || c == '.' || c == '~';
        if (plain)
            buf_add_byte(b, c);
        else
            buf_printf(b, "%%%02X", (unsigned char)c);
    }
}

/* Endpoints of a deployment; the others are the resource's. */
static bool of_deployment(enum endpoint e)
{
    return e == EP_CHAT || e == EP_COMPLETIONS || e == EP_EMBEDDINGS || e == EP_IMAGES || e == EP_AUDIO;
}

static const char *version_of(const struct conf_provider *p, enum form form)
{
    if (p->api_version)
        return p->api_version;
    return form == V1 ? NULL : form == FOUNDRY ? "2024-05-01-preview" : "2024-10-21";
}

static void put_path(struct buf *b, enum form form, struct str base, enum endpoint endpoint, struct str rest,
                     struct str model)
{
    if (form == CLASSIC) {
        if (str_ends(base, STR("/openai")))
            base.n -= strlen("/openai");
        buf_add(b, base);
        buf_add(b, STR("/openai"));
        if (of_deployment(endpoint)) {
            buf_add(b, STR("/deployments/"));
            put_escaped(b, model);
        }
    } else {
        buf_add(b, base);
    }
    buf_add(b, rest);
}

static void put_query(struct buf *b, const char *version, struct str query)
{
    if (version && !str_has(query, "api-version=")) {
        buf_add(b, STR("?api-version="));
        put_escaped(b, str_of(version));
    }
    if (query.n > 0) {
        buf_add_byte(b, str_has(buf_str(b), "?") ? '&' : '?');
        buf_add(b, query);
    }
}

static int make_path(struct arena *a, const struct conf_provider *p, enum endpoint endpoint, struct str rest,
                     struct str model, struct str query, struct str *path)
{
    struct upstream_url url;
    if (upstream_url_parse(str_of(p->base_url), &url, NULL) != 0)
        return -1;
    enum form form = form_of(url.path);
    size_t max = url.path.n + 3 * model.n + rest.n + query.n + 512;
    struct buf b = arena_buf(a, max);
    if (endpoint == EP_NATIVE)
        buf_add(&b, rest);
    else
        put_path(&b, form, url.path, endpoint, rest, model);
    put_query(&b, endpoint == EP_NATIVE ? NULL : version_of(p, form), query);
    *path = buf_str(&b);
    return !b.full && upstream_path_ok(*path) ? 0 : -1;
}

/* ---- passing */

static bool passes(const struct request *r, const struct conf_provider *p, struct str model)
{
    bool foundry = form_of_provider(p) == FOUNDRY;
    (void)model;
    switch (r->match.endpoint) {
    case EP_NATIVE:
    case EP_CHAT:
    case EP_EMBEDDINGS:
        return true;
    case EP_COMPLETIONS:
    case EP_IMAGES:
    case EP_AUDIO:
    case EP_FILES:
    case EP_BATCHES:
        return !foundry;
    case EP_RESPONSES:
        return p->responses == RESPONSES_TRUE || (p->responses == RESPONSES_AUTO && !foundry);
    default:
        return false;
    }
}

static int build(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f)
{
    struct str path, query = r->head->query;
    enum form form = form_of_provider(p);
    bool in_path = (form == CLASSIC && of_deployment(r->match.endpoint)) || form == DEPLOYMENT;
    if (make_path(r->arena, p, r->match.endpoint, r->match.rest, model, query, &path) != 0) {
        *f = (struct failure){
            .status = 400, .code = "invalid_path", .message = STR("The request's path can't be passed on.")};
        return -1;
    }
    return openai_build(r, p, model, path, in_path, call, f);
}

/* ---- translating */

static int own_path(struct chat_call *c, enum endpoint endpoint, struct str rest)
{
    if (make_path(c->arena, c->conf, endpoint, rest, c->model, STR_NULL, &c->call->path) == 0)
        return 0;
    return chat_refuse(c, NULL, "The provider's base URL makes no path.");
}

/* Foundry's models are others than OpenAI's, and know the older name. */
static unsigned deviations_of(const struct conf_provider *p)
{
    return openai_deviations(p) | (form_of_provider(p) == FOUNDRY ? PROVIDER_MAX_TOKENS : 0);
}

static int write_chat(struct chat_call *c)
{
    return own_path(c, EP_CHAT, STR("/chat/completions")) == 0 ? openai_write_body(c, deviations_of(c->conf))
                                                               : -1;
}

static int write_embed(struct chat_call *c, const struct embed_request *in)
{
    return own_path(c, EP_EMBEDDINGS, STR("/embeddings")) == 0 ? openai_write_embed_body(c, in) : -1;
}

/* A key, or a token of Entra's, which is a JWT. */
static int authorize(const struct conf_provider *p, const struct signing *s, struct buf *head,
                     struct error *err)
{
    struct str secret = secret_get(p->name);
    (void)s;
    (void)err;
    if (secret.n == 0)
        return 0;
    buf_add(head, str_starts(secret, STR("eyJ")) ? STR("authorization: Bearer ") : STR("api-key: "));
    buf_add(head, secret);
    buf_add(head, STR("\r\n"));
    return 0;
}

const struct provider provider_azure = {
    .type = "azure",
    .passes = passes,
    .build = build,
    .read_answer = openai_read_answer,
    .mend_answer = openai_mend_answer,
    .read_event = openai_read_event,
    .read_error = openai_read_error,
    .write_chat = write_chat,
    .read_chat = openai_read_chat,
    .framing = FRAMES_SSE,
    .read_frame = openai_read_frame,
    .whole = openai_whole,
    .write_embed = write_embed,
    .read_embed = openai_read_embed,
    .authorize = authorize,
};

/* Google Cloud's Vertex AI, which serves Gemini (in Google's language), Claude (in Anthropic's, with small
 * differences) and other vendors' models (in OpenAI's). Run by workers.
 *
 * Which language a call is in follows from the model's name (vertex_family); the languages themselves are
 * gemini_chat.h's, anthropic_chat.h's and openai.c's. The credential is an API key (express mode), or a token
 * of a service account, fetched before the call and shared by all workers (credential.h). */
#include "vertex.h"

#include "anthropic_chat.h"
#include "gemini_chat.h"
#include "json_out.h"
#include "json_write.h"
#include "secret.h"

#include <string.h>

#define ANTHROPIC_VERSION "vertex-2023-10-16"

/* The language that an answer is in. */
static enum vertex_family family_of(const struct request *r)
{
    if (r->match.endpoint == EP_NATIVE)
        return memmem(r->match.rest.p ? r->match.rest.p : "", r->match.rest.n, "publishers/anthropic/", 21)
                   ? VERTEX_CLAUDE
                   : VERTEX_GEMINI;
    return vertex_family(r->target_model);
}

#define CONTENT_TYPE_JSON "content-type: application/json\r\n"

/* ---- passing */

static bool is_url_source(struct json_value block)
{
    struct json_value type = json_member(json_member(block, "source"), "type");
    return type.type == JSON_STRING && str_eq(type.raw, STR("\"url\""));
}

static bool has_url_source(struct json_value content, int depth)
{
    struct json_value block;
    if (content.type != JSON_ARRAY)
        return false;
    for (size_t at = 0; json_next(content.raw, &at, NULL, &block) == 1;)
        if (is_url_source(block) || (depth > 0 && has_url_source(json_member(block, "content"), depth - 1)))
            return true;
    return false;
}

/* Pictures by URL, which Claude takes at Anthropic but not here: the translation fetches them. */
static bool names_urls(struct str body)
{
    struct json_value messages = json_member(json_root(body), "messages"), m;
    if (!memmem(body.p, body.n, "url", 3) || messages.type != JSON_ARRAY)
        return false;
    for (size_t at = 0; json_next(messages.raw, &at, NULL, &m) == 1;)
        if (has_url_source(json_member(m, "content"), 1))
            return true;
    return false;
}

static bool claude_passes(const struct request *r)
{
    return (r->match.endpoint == EP_MESSAGES || r->match.endpoint == EP_COUNT_TOKENS) &&
           anthropic_body_passes(r->body) && !names_urls(r->body) &&
           json_member(json_root(r->body), "thread").type == JSON_ABSENT; /* kept at Anthropic's only */
}

/* Vertex embeds otherwise than the Gemini API, and counts a bare request only. */
static bool google_passes(const struct request *r, const struct conf_provider *p, struct str model)
{
    if (r->match.endpoint == EP_COUNT_CONTENT)
        return json_member(json_root(r->body), "generateContentRequest").type == JSON_ABSENT &&
               gemini_passes(r, p, model);
    return r->match.endpoint == EP_GENERATE && gemini_passes(r, p, model);
}

static bool passes(const struct request *r, const struct conf_provider *p, struct str model)
{
    if (r->match.endpoint == EP_NATIVE)
        return true;
    switch (vertex_family(model)) {
    case VERTEX_CLAUDE:
        return claude_passes(r);
    case VERTEX_GEMINI:
        return google_passes(r, p, model);
    case VERTEX_OPEN:
        break;
    }
    return false;
}

static int cannot(struct request *r, struct failure *f, const char *words)
{
    *f = (struct failure){
        .status = 400, .code = "invalid_body", .message = arena_copy(r->arena, str_of(words))};
    return -1;
}

/* The members but those that stand elsewhere, or in front already. */
static void put_others(struct buf *b, struct json_value body)
{
    struct str name;
    struct json_value value;
    for (size_t at = 0; json_next(body.raw, &at, &name, &value) == 1;) {
        if (str_eq(name, STR("model")) || str_eq(name, STR("anthropic_version")))
            continue;
        buf_add(b, STR(",\""));
        buf_add(b, name); /* raw: with the escapes that it may have */
        buf_add(b, STR("\":"));
        buf_add(b, value.raw);
    }
}

/* The caller's body, with the model's name in the path instead of in it (but for counting, where a path of
 * its own stands for all models), and the version in it instead of in a header. */
static int claude_body(struct request *r, struct str model, struct provider_call *call, struct failure *f)
{
    struct json_value body = json_root(r->body), version = json_member(body, "anthropic_version");
    struct json_writer w = json_writer(&call->room);
    if (body.type != JSON_OBJECT)
        return cannot(r, f, "The body is no JSON object.");
    buf_init(&call->room, r->body.n + 6 * model.n + 256);
    json_open(&w, '{');
    json_member_raw(&w, "anthropic_version",
                    version.type == JSON_STRING ? version.raw : STR("\"" ANTHROPIC_VERSION "\""));
    if (r->match.endpoint == EP_COUNT_TOKENS)
        json_member_str(&w, "model", model);
    put_others(&call->room, body);
    json_close(&w, '}');
    call->body = buf_str(&call->room);
    return call->room.full ? cannot(r, f, "The body is too large.") : 0;
}

/* The betas that Vertex knows, and its own name of one; it refuses requests that ask for any other, and
 * agents ask for whatever Anthropic's own servers know. As of 2026-09. */
static const struct {
    const char *beta, *here;
} betas_here[] = {
    {"advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19"},
    {"compact-2026-01-12", NULL},
    {"compact-2026-09-04", NULL},
    {"computer-use-2025-01-24", NULL},
    {"computer-use-2025-11-24", NULL},
    {"context-1m-2025-08-07", NULL},
    {"context-management-2025-06-27", NULL},
    {"dangerous-tool-use-2026-09-03", NULL},
    {"inline-tools-2026-09-15", NULL},
    {"interleaved-thinking-2025-05-14", NULL},
    {"per-turn-control-2026-07-01", NULL},
    {"thinking-binding-controls-2026-08-01", NULL},
    {"thinking-display-updates-2026-08-18", NULL},
    {"tool-search-tool-2025-10-19", NULL},
    {"web-search-2025-03-05", NULL},
};

/* The next of a header's list at *at, which begins at 0. */
static bool next_of_list(struct str list, size_t *at, struct str *out)
{
    while (*at < list.n && strchr(", \t", list.p[*at]))
        (*at)++;
    size_t from = *at;
    while (*at < list.n && !strchr(", \t", list.p[*at]))
        (*at)++;
    *out = (struct str){list.p + from, *at - from};
    return out->n > 0;
}

static struct str beta_here(struct str beta)
{
    for (size_t i = 0; i < sizeof(betas_here) / sizeof(betas_here[0]); i++)
        if (str_eq(beta, str_of(betas_here[i].beta)))
            return str_of(betas_here[i].here ? betas_here[i].here : betas_here[i].beta);
    return STR_NULL;
}

static void add_listed(struct buf *list, const char *before, struct str name)
{
    if (list->n > 0)
        buf_add(list, STR(", "));
    buf_add(list, str_of(before));
    buf_add(list, name);
}

/* The caller's betas, as far as Vertex knows them; of the others the names are left in call->dropped. The
 * place where tokens are counted knows none, and a count has no use for them. */
static struct str keep_betas(struct request *r, struct str betas, struct provider_call *call)
{
    enum { MOST = 64 }; /* each may come back under a longer name, or is told in call->dropped */
    size_t max = betas.n + MOST * 32;
    struct buf kept = arena_buf(r->arena, max);
    struct buf gone = arena_buf(r->arena, max);
    struct str beta;
    for (size_t at = 0, n = 0; n < MOST && next_of_list(betas, &at, &beta); n++) {
        struct str here = r->match.endpoint == EP_COUNT_TOKENS ? STR_NULL : beta_here(beta);
        if (here.n > 0)
            add_listed(&kept, "", here);
        else if (r->match.endpoint != EP_COUNT_TOKENS)
            add_listed(&gone, "anthropic-beta.", beta);
    }
    call->dropped = buf_str(&gone);
    return buf_str(&kept);
}

static struct str claude_headers(struct request *r, struct provider_call *call)
{
    struct str betas, json = STR(CONTENT_TYPE_JSON);
    if (!http_find(r->head, "anthropic-beta", &betas) || betas.n == 0 || betas.n > 2048 ||
        !http_value_ok(betas))
        return json;
    betas = keep_betas(r, betas, call);
    if (betas.n == 0)
        return json;
    return arena_printf(r->arena, STR_FMT "anthropic-beta: " STR_FMT "\r\n", STR_ARG(json), STR_ARG(betas));
}

/* All models are counted for at one place, whose body names the model. */
static int claude_count_path(const struct conf_provider *p, struct arena *a, struct str *path,
                             struct failure *f)
{
    return vertex_path(p, STR("publishers/anthropic/models/count-tokens"), STR("rawPredict"), a, path, f);
}

static struct str bare_name(struct str model)
{
    const char *slash = model.n > 0 ? memrchr(model.p, '/', model.n) : NULL;
    return slash ? (struct str){slash + 1, model.n - (size_t)(slash + 1 - model.p)} : model;
}

static int build_claude(struct request *r, const struct conf_provider *p, struct str model,
                        struct provider_call *call, struct failure *f)
{
    bool counts = r->match.endpoint == EP_COUNT_TOKENS;
    call->headers = claude_headers(r, call);
    if (claude_body(r, bare_name(model), call, f) != 0)
        return -1;
    if (counts)
        return claude_count_path(p, r->arena, &call->path, f);
    return vertex_path(p, model, r->stream ? STR("streamRawPredict") : STR("rawPredict"), r->arena,
                       &call->path, f);
}

static int build_gemini(struct request *r, const struct conf_provider *p, struct str model,
                        struct provider_call *call, struct failure *f)
{
    size_t max = r->head->query.n + 64;
    struct buf method = arena_buf(r->arena, max);
    bool counts = r->match.endpoint == EP_COUNT_CONTENT;
    buf_add(&method, counts            ? STR("countTokens")
                     : r->match.stream ? STR("streamGenerateContent")
                                       : STR("generateContent"));
    gemini_put_query(&method, r);
    if (gemini_pass_body(r, model, &call->body) != 0)
        return cannot(r, f, "The body can't be passed on.");
    call->headers = gemini_pass_headers(r);
    return vertex_path(p, model, buf_str(&method), r->arena, &call->path, f);
}

static int build(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f)
{
    *call = (struct provider_call){0};
    if (r->match.endpoint == EP_NATIVE) /* path and body as they are: nothing of a vendor's is in it */
        return provider_openai.build(r, p, model, call, f);
    return vertex_family(model) == VERTEX_CLAUDE ? build_claude(r, p, model, call, f)
                                                 : build_gemini(r, p, model, call, f);
}

static int read_answer(struct request *r, struct str answer, struct failure *f)
{
    return family_of(r) == VERTEX_CLAUDE ? anthropic_read_answer(r, answer, f)
                                         : gemini_read_answer(r, answer, f);
}

static struct stream_event read_event(struct request *r, const struct sse_event *ev)
{
    return family_of(r) == VERTEX_CLAUDE ? anthropic_read_event(r, ev) : gemini_read_event(r, ev);
}

/* ---- errors */

/* Google answers for all models where it refuses a call itself; Claude's own errors have a type beside. */
static void read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f)
{
    static const char *const paths[] = {"type", "error.type"};
    struct json_value v[2];
    bool claudes = json_scan(body, paths, 2, v, NULL) == 0 && v[0].type == JSON_STRING &&
                   v[1].type == JSON_STRING && str_eq(v[0].raw, STR("\"error\""));
    if (status == 401 && headers && r->provider >= 0)
        credential_refused(&r->worker->config->providers[r->provider]);
    if (claudes)
        anthropic_read_error(r, status, headers, body, f);
    else
        gemini_read_error(r, status, headers, body, f);
}

/* ---- translating */

static int write_gemini(struct chat_call *c)
{
    struct str method = c->in->stream ? STR("streamGenerateContent?alt=sse") : STR("generateContent");
    if (vertex_path(c->conf, c->model, method, c->arena, &c->call->path, c->f) != 0)
        return -1;
    return gemini_write_body(c, true);
}

/* A member in front of all others of the body just written. */
static void insert_member(struct chat_call *c, struct str member)
{
    struct buf *b = &c->call->room;
    if (b->n < 2 || b->full || buf_add(b, member) != 0)
        return;
    memmove(b->p + 1 + member.n, b->p + 1, b->n - 1 - member.n);
    memcpy(b->p + 1, member.p, member.n);
    c->call->body = buf_str(b);
}

static int write_claude(struct chat_call *c)
{
    static const struct anthropic_style style = {.version_in_body = ANTHROPIC_VERSION, .fetches_urls = true};
    struct str method = c->in->stream ? STR("streamRawPredict") : STR("rawPredict");
    if (vertex_path(c->conf, c->model, method, c->arena, &c->call->path, c->f) != 0)
        return -1;
    c->call->headers = STR(CONTENT_TYPE_JSON);
    if (anthropic_write_body(c, &style) != 0)
        return -1;
    if (c->in->stream)
        insert_member(c, STR("\"stream\":true,"));
    return 0;
}

/* The door takes the name in the body, so only path and model are Vertex's. */
static int write_open(struct chat_call *c)
{
    if (!provider_openai.write_chat)
        return chat_refuse(c, "model", "Models of this vendor can't be used at Vertex AI.");
    if (provider_openai.write_chat(c) != 0)
        return -1;
    return vertex_path(c->conf, c->model, STR_NULL, c->arena, &c->call->path, c->f);
}

static int write_chat(struct chat_call *c)
{
    switch (vertex_family(c->model)) {
    case VERTEX_CLAUDE:
        return write_claude(c);
    case VERTEX_OPEN:
        return write_open(c);
    case VERTEX_GEMINI:
        break;
    }
    return write_gemini(c);
}

static int read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out)
{
    switch (family_of(rd->r)) {
    case VERTEX_CLAUDE:
        return anthropic_read_chat(rd, body, out);
    case VERTEX_OPEN:
        return provider_openai.read_chat(rd, body, out);
    case VERTEX_GEMINI:
        break;
    }
    return gemini_read_chat(rd, body, out);
}

static enum frame_result read_frame(struct chat_reader *rd, const struct chat_frame *frame)
{
    switch (family_of(rd->r)) {
    case VERTEX_CLAUDE:
        return anthropic_read_frame(rd, frame);
    case VERTEX_OPEN:
        return provider_openai.read_frame(rd, frame);
    case VERTEX_GEMINI:
        break;
    }
    return gemini_read_frame(rd, frame);
}

static bool whole(struct chat_reader *rd)
{
    switch (family_of(rd->r)) {
    case VERTEX_CLAUDE:
        return false; /* it always says so */
    case VERTEX_OPEN:
        return provider_openai.whole && provider_openai.whole(rd);
    case VERTEX_GEMINI:
        break;
    }
    return gemini_whole(rd);
}

/* ---- counting */

static int count_claude(struct chat_call *c)
{
    static const struct anthropic_style style = {
        .version_in_body = ANTHROPIC_VERSION, .fetches_urls = true, .counts = true};
    struct str model = bare_name(c->model);
    size_t max = 6 * model.n + 16;
    struct buf b = arena_buf(c->arena, max);
    buf_add(&b, STR("\"model\":"));
    json_put_string(&b, model);
    buf_add_byte(&b, ',');
    if (claude_count_path(c->conf, c->arena, &c->call->path, c->f) != 0)
        return -1;
    c->call->headers = STR(CONTENT_TYPE_JSON);
    if (anthropic_write_body(c, &style) != 0)
        return -1;
    insert_member(c, buf_str(&b));
    return 0;
}

static int write_count(struct chat_call *c)
{
    enum vertex_family family = vertex_family(c->model);
    if (family == VERTEX_CLAUDE)
        return count_claude(c);
    if (family == VERTEX_OPEN)
        return chat_refuse(c, "model", "Tokens of this vendor's models can't be counted at Vertex AI.");
    if (vertex_path(c->conf, c->model, STR("countTokens"), c->arena, &c->call->path, c->f) != 0)
        return -1;
    return gemini_write_count_body(c, true);
}

static int read_count(struct chat_reader *rd, struct str body, uint64_t *tokens)
{
    return family_of(rd->r) == VERTEX_CLAUDE ? anthropic_read_count(rd, body, tokens)
                                             : gemini_read_count(rd, body, tokens);
}

/* ---- the credential */

/* Between prepare and authorize of one call: a worker does one at a time. */
static struct {
    const struct conf_provider *of;
    struct str text; /* memory of the request's arena */
} token;

static int prepare(struct request *r, const struct conf_provider *p, const struct patience *patience,
                   struct error *err)
{
    token.of = NULL;
    if (p->has_key)
        return 0;
    if (credential_get(p, vertex_fetch_token, patience, r->arena, &token.text, err) != 0)
        return -1;
    token.of = p;
    return 0;
}

static int authorize(const struct conf_provider *p, const struct signing *s, struct buf *head,
                     struct error *err)
{
    (void)s;
    struct str value = p->has_key ? secret_get(p->name) : token.of == p ? token.text : STR_NULL;
    if (value.n == 0)
        return error_set(err, "provider %s: there is no credential", p->name);
    buf_add(head, p->has_key ? STR("x-goog-api-key: ") : STR("authorization: Bearer "));
    buf_add(head, value);
    return buf_add(head, STR("\r\n")) == 0 ? 0
                                           : error_set(err, "provider %s: the head is too large", p->name);
}

const struct provider provider_vertex = {
    .type = "vertex",
    .passes = passes,
    .build = build,
    .read_answer = read_answer,
    .read_event = read_event,
    .read_error = read_error,
    .write_chat = write_chat,
    .read_chat = read_chat,
    .framing = FRAMES_SSE,
    .read_frame = read_frame,
    .whole = whole,
    .write_embed = vertex_write_embed,
    .read_embed = vertex_read_embed,
    .write_count = write_count,
    .read_count = read_count,
    .prepare = prepare,
    .authorize = authorize,
};

/* Google's Gemini API (AI Studio): passing its own callers' bytes, and where a translated call goes. The
 * bodies are gemini_chat.c's and gemini_answer.c's. Run by workers. */
#include "gemini_chat.h"

#include "google_json.h"
#include "json_out.h"
#include "secret.h"
#include "upstream_url.h"

#include <ctype.h>
#include <string.h>

enum { MAX_BATCH = 100, MAX_METHOD = 64 };

static int refuse(struct request *r, struct failure *f, const char *code, const char *message)
{
    *f = (struct failure){.status = 400, .code = code, .message = arena_copy(r->arena, str_of(message))};
    return -1;
}

/* ---- paths */

/* The base URL's path, which may end with the API's version or leave that to us. */
static void put_base(struct buf *b, struct str path)
{
    const char *slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL;
    struct str last = {slash ? slash + 1 : NULL, slash ? path.n - (size_t)(slash + 1 - path.p) : 0};
    buf_add(b, path);
    if (last.n < 2 || last.p[0] != 'v' || !isdigit((unsigned char)last.p[1]))
        buf_add(b, STR("/v1beta"));
}

/* "models/NAME", or the name as it is where it says what it is of. */
static void put_resource(struct buf *b, struct str model)
{
    static const struct str kinds[] = {STR("models/"), STR("tunedModels/")};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_starts(model, kinds[i])) {
            buf_add(b, kinds[i]);
            model.p += kinds[i].n;
            model.n -= kinds[i].n;
            gemini_put_name(b, model);
            return;
        }
    buf_add(b, kinds[0]);
    gemini_put_name(b, model);
}

void gemini_put_query(struct buf *b, const struct request *r)
{
    struct str query = r->head->query, one;
    char before = '?';
    while (str_split(&query, '&', &one)) {
        if (one.n == 0 || str_starts(one, STR("key=")) || str_starts(one, STR("access_token=")) ||
            str_starts(one, STR("%24key=")) || str_starts(one, STR("$key=")))
            continue;
        buf_add_byte(b, before);
        buf_add(b, one);
        before = '&';
    }
}

static struct buf room_for_path(struct request *r, const struct upstream_url *url, size_t more)
{
    size_t max = url->path.n + MAX_METHOD + r->head->query.n + more;
    return arena_buf(r->arena, max);
}

static int path_done(const struct buf *b, struct str *path)
{
    *path = buf_str(b);
    return b->full || !upstream_path_ok(*path) ? -1 : 0;
}

/* …/models/NAME:method, with a query of ours. */
static int set_path(struct chat_call *c, struct str method)
{
    struct upstream_url url;
    if (c->model.n == 0 || upstream_url_parse(str_of(c->conf->base_url), &url, NULL) != 0)
        return chat_refuse(c, NULL, "The model's name can't be sent to its provider.");
    struct buf b = room_for_path(c->r, &url, 3 * c->model.n);
    put_base(&b, url.path);
    buf_add_byte(&b, '/');
    put_resource(&b, c->model);
    buf_add_byte(&b, ':');
    buf_add(&b, method);
    if (path_done(&b, &c->call->path) != 0)
        return chat_refuse(c, NULL, "The model's name can't be sent to its provider.");
    return 0;
}

/* ---- passing */

bool gemini_passes(const struct request *r, const struct conf_provider *p, struct str model)
{
    enum endpoint e = r->match.endpoint;
    (void)p, (void)model;
    return e == EP_NATIVE || e == EP_GENERATE || e == EP_COUNT_CONTENT || e == EP_EMBED_CONTENT;
}

static int rename_model(struct request *r, struct str *object, struct str name)
{
    struct json_value root = json_root(*object);
    return json_member(root, "model").type == JSON_STRING
               ? json_set_member_in(r->arena, object, "model", name)
               : 0;
}

/* Each request of a batch names the model anew. */
static int rename_requests(struct request *r, struct str *body, struct json_value list, struct str name)
{
    size_t max = list.raw.n + (size_t)list.count * (name.n + 16) + 16;
    struct buf b = arena_buf(r->arena, max);
    struct json_value v;
    struct json_writer w = json_writer(&b);
    json_open(&w, '[');
    for (size_t at = 0; json_next(list.raw, &at, NULL, &v) == 1;) {
        struct str one = v.raw;
        if (v.type == JSON_OBJECT && rename_model(r, &one, name) != 0)
            return -1;
        json_raw(&w, one);
    }
    json_close(&w, ']');
    return b.full ? -1 : json_set_member_in(r->arena, body, "requests", buf_str(&b));
}

static bool names_models(struct str body)
{
    return str_has(body, "\"model\"");
}

int gemini_pass_body(struct request *r, struct str model, struct str *body)
{
    *body = r->body;
    if (model.n == 0 || str_eq(model, r->model) || !names_models(r->body))
        return 0;
    size_t max = 6 * model.n + 16;
    struct buf name = arena_buf(r->arena, max);
    struct str full = gemini_full_name(model, r->arena);
    if (json_put_string(&name, full) != 0 || rename_model(r, body, buf_str(&name)) != 0)
        return -1;
    static const char *const counted[] = {"generateContentRequest", "generate_content_request"};
    for (size_t i = 0; i < 2; i++) {
        struct json_value inner = json_member(json_root(*body), counted[i]);
        if (inner.type != JSON_OBJECT)
            continue;
        struct str object = inner.raw;
        if (rename_model(r, &object, buf_str(&name)) != 0 ||
            json_set_member_in(r->arena, body, counted[i], object) != 0)
            return -1;
    }
    struct json_value requests = json_member(json_root(*body), "requests");
    return requests.type == JSON_ARRAY ? rename_requests(r, body, requests, buf_str(&name)) : 0;
}

static void add_line(struct buf *b, struct str name, struct str value)
{
    if (!http_value_ok(value))
        return;
    buf_add(b, name);
    buf_add(b, STR(": "));
    buf_add(b, value);
    buf_add(b, STR("\r\n"));
}

struct str gemini_pass_headers(struct request *r)
{
    static const char *const passed_on[] = {"content-type", "accept", "x-server-timeout"};
    enum { ROOM = 2048 };
    struct buf b = arena_buf(r->arena, ROOM);
    struct str value;
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        if (http_find(r->head, passed_on[i], &value) && value.n <= 512)
            add_line(&b, str_of(passed_on[i]), value);
        else if (i == 0 && r->body.n > 0)
            add_line(&b, STR("content-type"), STR("application/json"));
    return buf_str(&b);
}

/* A native call's path stands behind the host; ours are the method of a model, whose name is the target's. */
static int pass_path(struct request *r, const struct upstream_url *url, struct str model, struct str *path)
{
    struct str rest = r->match.rest;
    struct buf b = room_for_path(r, url, rest.n + 3 * model.n);
    if (r->match.endpoint == EP_NATIVE) {
        buf_add(&b, rest);
    } else {
        const char *colon = rest.n > 0 ? memrchr(rest.p, ':', rest.n) : NULL;
        if (!colon)
            return -1;
        put_base(&b, url->path);
        buf_add_byte(&b, '/');
        put_resource(&b, model.n > 0 ? model : r->model);
        buf_add(&b, (struct str){colon, rest.n - (size_t)(colon - rest.p)});
    }
    gemini_put_query(&b, r);
    return path_done(&b, path);
}

static int build(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f)
{
    struct upstream_url url;
    *call = (struct provider_call){0};
    if (upstream_url_parse(str_of(p->base_url), &url, NULL) != 0 ||
        pass_path(r, &url, model, &call->path) != 0)
        return refuse(r, f, "invalid_path", "The request's path can't be passed on.");
    if (gemini_pass_body(r, r->match.endpoint == EP_NATIVE ? STR_NULL : model, &call->body) != 0)
        return refuse(r, f, "invalid_body", "The model can't be renamed in a body like this.");
    call->headers = gemini_pass_headers(r);
    return 0;
}

/* ---- metering what passes */

static void bad_answer(struct request *r, struct failure *f, const char *message)
{
    *f = (struct failure){.status = 502,
                          .type = "server_error",
                          .code = "upstream_malformed",
                          .message = arena_copy(r->arena, str_of(message))};
}

static bool note_usage(struct request *r, struct json_value usage)
{
    struct usage_tokens u;
    if (usage.type != JSON_OBJECT || !gemini_read_usage(usage, &u))
        return false;
    r->tokens = u;
    r->tokens_known = true;
    return true;
}

static int read_object(struct request *r, struct json_value v, struct failure *f)
{
    static const char *const names[] = {"usageMetadata", "error"};
    struct json_value out[2];
    google_fields(v, names, 2, out, NULL, NULL);
    if (out[1].type == JSON_OBJECT || out[1].type == JSON_STRING) {
        gemini_read_error(r, 502, NULL, v.raw, f);
        return -1;
    }
    note_usage(r, out[0]);
    return 0;
}

int gemini_read_answer(struct request *r, struct str answer, struct failure *f)
{
    struct json_value root = json_root(answer), one;
    if (root.type == JSON_OBJECT)
        return read_object(r, root, f);
    if (root.type != JSON_ARRAY) {
        bad_answer(r, f, "The provider's answer is no valid JSON object.");
        return -1;
    }
    for (size_t at = 0; json_next(root.raw, &at, NULL, &one) == 1;)
        if (read_object(r, one, f) != 0)
            return -1;
    return 0;
}

/* Generated text, about: strings in members named "text" and in "args". */
static uint32_t text_bytes(struct str data)
{
    static const struct str name = STR("\"text\"");
    const char *p = data.p, *end = data.p + data.n;
    size_t n = 0;
    while (end - p > (ptrdiff_t)name.n && (p = memmem(p, (size_t)(end - p), name.p, name.n)) != NULL) {
        p += name.n;
        while (p < end && (*p == ' ' || *p == ':'))
            p++;
        if (p == end || *p != '"')
            continue;
        const char *from = ++p;
        while (p < end && *p != '"')
            p += *p == '\\' ? 2 : 1;
        n += (size_t)((p < end ? p : end) - from);
    }
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* Every candidate that is there has ended. */
static bool all_ended(struct json_value candidates)
{
    struct json_value v;
    size_t n = 0;
    for (size_t at = 0; google_next(candidates, &at, &v) == 1; n++) {
        struct json_value reason = google_field(v, "finishReason");
        if (reason.type != JSON_STRING && reason.type != JSON_NUMBER)
            return false;
    }
    return n > 0;
}

/* Chunks tell their usage as it grows, each of them: the last one counts. */
struct stream_event gemini_read_event(struct request *r, const struct sse_event *ev)
{
    static const char *const paths[] = {"usageMetadata", "error", "candidates", "promptFeedback.blockReason"};
    enum { USAGE, ERROR, CANDIDATES, BLOCKED };
    struct json_value v[4];
    struct stream_event e = {0};
    if (!ev->has_data || ev->data.n == 0)
        return e;
    e.text_bytes = text_bytes(ev->data);
    e.begun = e.text_bytes > 0;
    bool ends = str_has(ev->data, "\"finishReason\"") || str_has(ev->data, "\"promptFeedback\"");
    if (!ends && !str_has(ev->data, "\"usageMetadata\"") && !str_has(ev->data, "\"error\""))
        return e;
    if (json_scan(ev->data, paths, 4, v, NULL) != 0) {
        e.error = ev->data.p[0] == '['; /* [{"error":…}] */
        return e;
    }
    e.error = v[ERROR].type == JSON_OBJECT || v[ERROR].type == JSON_STRING;
    e.usage = note_usage(r, v[USAGE]);
    e.finished = !e.error && ends && (all_ended(v[CANDIDATES]) || v[BLOCKED].type == JSON_STRING);
    return e;
}

/* ---- translating */

static int write_chat(struct chat_call *c)
{
    if (set_path(c, c->in->stream ? STR("streamGenerateContent?alt=sse") : STR("generateContent")) != 0)
        return -1;
    return gemini_write_body(c, false);
}

static int write_count(struct chat_call *c)
{
    return set_path(c, STR("countTokens")) != 0 ? -1 : gemini_write_count_body(c, false);
}

/* ---- embeddings */

/* The neutral name of what the vectors are for, as Google calls it. */
struct str gemini_task(struct str task, struct arena *a)
{
    static const struct {
        struct str neutral, google;
    } tasks[] = {
        {STR("search_document"), STR("RETRIEVAL_DOCUMENT")},
        {STR("search_query"), STR("RETRIEVAL_QUERY")},
    };
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
        if (str_eq(task, tasks[i].neutral))
            return tasks[i].google;
    char *upper = arena_alloc(a, task.n + 1);
    for (size_t i = 0; i < task.n; i++)
        upper[i] = (char)toupper((unsigned char)task.p[i]);
    return (struct str){upper, task.n};
}

void gemini_put_embed(struct json_writer *w, const struct embed_request *in, struct str text, struct arena *a)
{
    json_member_open(w, "content", '{');
    json_member_open(w, "parts", '[');
    json_open(w, '{');
    json_member_str(w, "text", text);
    json_close(w, '}');
    json_close(w, ']');
    json_close(w, '}');
    if (in->task.n > 0)
        json_member_str(w, "taskType", gemini_task(in->task, a));
    json_opt_str(w, "title", in->title);
    if (in->dimensions > 0)
        json_member_i64(w, "outputDimensionality", in->dimensions);
}

static int write_embed(struct chat_call *c, const struct embed_request *in)
{
    if (in->tokens.n > 0)
        return chat_refuse(c, "input", "This provider embeds texts, not token numbers.");
    if (in->n_texts == 0 || in->n_texts > MAX_BATCH)
        return chat_refuse(c, "input", "This provider takes 1 to %d inputs at a time.", MAX_BATCH);
    if (set_path(c, STR("batchEmbedContents")) != 0)
        return -1;
    struct str model = gemini_full_name(c->model, c->arena);
    struct json_writer w = json_writer(&c->call->room);
    json_open(&w, '{');
    json_member_open(&w, "requests", '[');
    for (size_t i = 0; i < in->n_texts; i++) {
        json_open(&w, '{');
        json_member_str(&w, "model", model);
        gemini_put_embed(&w, in, in->texts[i], c->arena);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    c->call->headers = STR("content-type: application/json\r\n");
    c->call->body = buf_str(&c->call->room);
    return c->call->room.full ? chat_refuse(c, NULL, "The request is too large.") : 0;
}

static int malformed(struct chat_reader *rd, const char *message)
{
    bad_answer(rd->r, rd->f, message);
    return -1;
}

static bool is_vector(struct json_value values)
{
    struct json_value v;
    if (values.type != JSON_ARRAY || values.count == 0)
        return false;
    for (size_t at = 0; json_next(values.raw, &at, NULL, &v) == 1;)
        if (v.type != JSON_NUMBER)
            return false;
    return true;
}

int gemini_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out)
{
    enum { MANY, ONE, USAGE, ERROR, FIELDS };
    static const char *const names[FIELDS] = {"embeddings", "embedding", "usageMetadata", "error"};
    struct json_value root = json_root(body), v[FIELDS], one;
    struct usage_tokens usage;
    google_fields(root, names, FIELDS, v, NULL, NULL);
    if (v[ERROR].type == JSON_OBJECT) {
        gemini_read_error(rd->r, 502, NULL, body, rd->f);
        return -1;
    }
    struct json_value list = v[MANY].type != JSON_ABSENT ? v[MANY] : v[ONE];
    out->vectors = arena_alloc(rd->arena, (in->n_texts + 1) * sizeof(*out->vectors));
    for (size_t at = 0; google_next(list, &at, &one) == 1; out->n_vectors++) {
        struct json_value values = google_field(one, "values");
        if (out->n_vectors == in->n_texts || !is_vector(values))
            return malformed(rd, "The provider's answer holds something else than the vectors asked for.");
        out->vectors[out->n_vectors] = (struct embed_vector){.json = values.raw};
    }
    if (out->n_vectors != in->n_texts)
        return malformed(rd, "The provider's answer has fewer vectors than were asked for.");
    if (gemini_read_usage(v[USAGE], &usage)) {
        out->input_tokens = usage.input;
        out->usage_known = true;
    }
    return 0;
}

/* ---- credential */

static int authorize(const struct conf_provider *p, const struct signing *s, struct buf *head,
                     struct error *err)
{
    struct str key = secret_get(p->name);
    (void)s;
    if (key.n == 0)
        return 0;
    if (!http_value_ok(key))
        return error_set(err, "the key of provider %s can't stand in a header", p->name);
    buf_add(head, STR("x-goog-api-key: "));
    buf_add(head, key);
    return buf_add(head, STR("\r\n"));
}

const struct provider provider_gemini = {
    .type = "gemini",
    .passes = gemini_passes,
    .build = build,
    .read_answer = gemini_read_answer,
    .read_event = gemini_read_event,
    .read_error = gemini_read_error,
    .write_chat = write_chat,
    .read_chat = gemini_read_chat,
    .framing = FRAMES_SSE,
    .read_frame = gemini_read_frame,
    .whole = gemini_whole,
    .write_embed = write_embed,
    .read_embed = gemini_read_embed,
    .write_count = write_count,
    .read_count = gemini_read_count,
    .authorize = authorize,
};

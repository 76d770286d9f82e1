/* Google's :embedContent and :batchEmbedContents towards callers. Run by workers. */
#include "embed_dialect.h"

#include "base64.h"
#include "google_json.h"

#include <stdarg.h>
#include <string.h>

static int wrong(struct request *r, struct failure *f, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int wrong(struct request *r, struct failure *f, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *f = (struct failure){.status = 400, .message = arena_copy(r->arena, str_of(text))};
    return -1;
}

/* ---- the request */

struct one {
    struct str text, task, title;
    uint32_t dimensions;
};

/* Google's taskType in neutral words (embed_request.task). */
static struct str task_of(struct str type, struct arena *a)
{
    if (str_ieq(type, STR("TASK_TYPE_UNSPECIFIED")))
        return STR_NULL;
    if (str_ieq(type, STR("RETRIEVAL_DOCUMENT")))
        return STR("search_document");
    if (str_ieq(type, STR("RETRIEVAL_QUERY")))
        return STR("search_query");
    char *lower = arena_alloc(a, type.n + 1);
    for (size_t i = 0; i < type.n; i++)
        lower[i] = type.p[i] >= 'A' && type.p[i] <= 'Z' ? (char)(type.p[i] | 0x20) : type.p[i];
    return (struct str){lower, type.n};
}

/* The texts of all parts, one behind the other: one input. */
static int read_text(struct request *r, struct json_value content, const char *place, struct str *out,
                     struct failure *f)
{
    struct json_value parts = google_field(content, "parts"), part;
    struct buf b = {.max = content.raw.n + 1};
    if (content.type == JSON_STRING) {
        *out = json_text(content, r->arena);
        return 0;
    }
    if (content.type != JSON_OBJECT || (parts.type != JSON_ARRAY && parts.type != JSON_OBJECT))
        return wrong(r, f, "%s: it must be a content with parts.", place);
    b.p = arena_alloc(r->arena, b.max);
    b.cap = b.max;
    for (size_t at = 0; google_next(parts, &at, &part) == 1;) {
        struct json_value text = google_field(part, "text");
        if (text.type != JSON_STRING)
            return wrong(r, f, "%s.parts: only text can be embedded by the provider of this model.", place);
        buf_add(&b, json_text(text, r->arena));
    }
    *out = buf_str(&b);
    return 0;
}

static int read_dimensions(struct request *r, struct json_value v, const char *place, uint32_t *out,
                           struct failure *f)
{
    int64_t n;
    if (v.type == JSON_ABSENT)
        return 0;
    if (json_int(v, &n) != 0 || n < 1 || n > INT32_MAX)
        return wrong(r, f, "%s: 'outputDimensionality' must be a number of at least 1.", place);
    *out = (uint32_t)n;
    return 0;
}

struct extras {
    struct request *r;
    struct embed_request *out;
};

static void note_extra(void *arg, struct str name, struct json_value value)
{
    struct extras *e = arg;
    struct chat_request list = {.extras = e->out->extras, .n_extras = e->out->n_extras};
    (void)value;
    if (list.n_extras >= 16)
        return;
    chat_add_extra(&list, e->r->arena, name);
    e->out->extras = list.extras;
    e->out->n_extras = list.n_extras;
}

/* One EmbedContentRequest. Newer SDKs put the settings into an embedContentConfig. */
static int read_one(struct request *r, struct json_value v, const char *place, struct embed_request *out,
                    struct one *one, struct failure *f)
{
    enum { MODEL, CONTENT, TASK, TITLE, DIMENSIONS, CONFIG, FIELDS };
    static const char *const names[FIELDS] = {
        "model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"};
    struct json_value m[FIELDS], c[FIELDS];
    struct extras extras = {r, out};
    *one = (struct one){0};
    if (v.type != JSON_OBJECT)
        return wrong(r, f, "%s: it must be an object.", place);
    google_fields(v, names, FIELDS, m, note_extra, &extras);
    google_fields(m[CONFIG], names, FIELDS, c, note_extra, &extras);
    for (size_t i = TASK; i <= DIMENSIONS; i++)
        if (m[i].type == JSON_ABSENT)
            m[i] = c[i];
    one->task = task_of(json_text(m[TASK], r->arena), r->arena);
    one->title = json_text(m[TITLE], r->arena);
    if (read_dimensions(r, m[DIMENSIONS], place, &one->dimensions, f) != 0)
        return -1;
    return read_text(r, m[CONTENT], place, &one->text, f);
}

static bool same_settings(const struct one *a, const struct one *b)
{
    return str_eq(a->task, b->task) && str_eq(a->title, b->title) && a->dimensions == b->dimensions;
}

static void take_settings(struct embed_request *out, const struct one *one)
{
    out->task = one->task;
    out->title = one->title;
    out->dimensions = one->dimensions;
    out->dimensions_name = one->dimensions > 0 ? "outputDimensionality" : NULL;
}

static int read_batch(struct request *r, struct json_value list, struct embed_request *out, struct failure *f)
{
    struct json_value v;
    struct one first = {0}, one;
    char place[40];
    size_t most = list.type == JSON_ARRAY ? list.count : 1;
    if (list.type != JSON_ARRAY && list.type != JSON_OBJECT)
        return wrong(r, f, "requests: it must be a list.");
    out->texts = arena_alloc(r->arena, (most + 1) * sizeof(*out->texts));
    for (size_t at = 0; google_next(list, &at, &v) == 1;) {
        snprintf(place, sizeof(place), "requests[%zu]", out->n_texts);
        if (read_one(r, v, place, out, &one, f) != 0)
            return -1;
        if (out->n_texts == 0)
            first = one;
        else if (!same_settings(&first, &one))
            return wrong(r, f, "%s: the requests of a batch must have the same settings here.", place);
        out->texts[out->n_texts++] = one.text;
    }
    take_settings(out, &first);
    return out->n_texts > 0 ? 0 : wrong(r, f, "requests: there is nothing in it.");
}

static int read(struct request *r, struct embed_request *out, struct failure *f)
{
    struct json_value root = json_root(r->body), requests = google_field(root, "requests");
    struct one one;
    if (root.type != JSON_OBJECT)
        return wrong(r, f, "The body must be a JSON object.");
    out->batch = r->match.batch || requests.type != JSON_ABSENT;
    if (out->batch)
        return read_batch(r, requests, out, f);
    if (read_one(r, root, "content", out, &one, f) != 0)
        return -1;
    out->texts = arena_alloc(r->arena, sizeof(*out->texts));
    out->texts[0] = one.text;
    out->n_texts = 1;
    take_settings(out, &one);
    return 0;
}

/* ---- the answer */

/* Base64 of little-endian float32 as numbers. */
static int put_floats(struct json_writer *w, struct str base64, struct arena *a)
{
    struct str bytes;
    char text[32];
    if (base64_decode(base64, a, &bytes) != 0 || bytes.n % sizeof(float) != 0)
        return -1;
    json_open(w, '[');
    for (size_t i = 0; i + sizeof(float) <= bytes.n; i += sizeof(float)) {
        float x;
        memcpy(&x, bytes.p + i, sizeof(x)); /* x86-64 is little-endian, too */
        int n = snprintf(text, sizeof(text), "%.9g", (double)x);
        bool number = text[n - 1] >= '0' && text[n - 1] <= '9'; /* no inf, no nan */
        json_raw(w, number ? (struct str){text, (size_t)n} : STR("0"));
    }
    json_close(w, ']');
    return 0;
}

static int put_vector(struct json_writer *w, const struct embed_vector *v, struct arena *a)
{
    json_open(w, '{');
    json_name(w, "values");
    if (v->json.n > 0)
        json_raw(w, v->json);
    else if (put_floats(w, v->base64, a) != 0)
        return -1;
    json_close(w, '}');
    return 0;
}

static int write(struct request *r, const struct embed_request *in, const struct embed_answer *answer,
                 struct buf *out)
{
    struct json_writer w = json_writer(out);
    if (answer->n_vectors == 0)
        return -1;
    json_open(&w, '{');
    json_name(&w, in->batch ? "embeddings" : "embedding");
    if (in->batch)
        json_open(&w, '[');
    for (size_t i = 0; i < (in->batch ? answer->n_vectors : 1); i++)
        if (put_vector(&w, &answer->vectors[i], r->arena) != 0)
            return -1;
    if (in->batch)
        json_close(&w, ']');
    if (answer->usage_known) {
        json_member_open(&w, "usageMetadata", '{');
        json_member_i64(&w, "promptTokenCount", (int64_t)answer->input_tokens);
        json_member_i64(&w, "totalTokenCount", (int64_t)answer->input_tokens);
        json_close(&w, '}');
    }
    json_close(&w, '}');
    return out->full ? -1 : 0;
}

const struct embed_dialect dialect_embed_content = {.read = read, .write = write};

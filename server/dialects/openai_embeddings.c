/* OpenAI's /v1/embeddings for callers whose provider has another form of it. Vectors go out as the numbers
 * that the provider wrote, or as base64 of little-endian float32, which the vendor's SDKs ask for by default.
 * Run by workers only. */
#include "embed_dialect.h"

#include "base64.h"
#include "json_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INPUTS = 2048, MAX_DIMENSIONS = 65536 };

/* ---- reading */

static int wrong(struct failure *f, const char *code, const char *param, const char *message)
{
    *f = (struct failure){.status = 400,
                          .type = "invalid_request_error",
                          .code = code,
                          .param = param,
                          .message = str_of(message)};
    return -1;
}

static bool given(struct json_value v)
{
    return v.type != JSON_ABSENT && v.type != JSON_NULL;
}

/* Numbers only, and at least one. */
static bool is_tokens(struct json_value list)
{
    struct json_value v;
    int64_t n;
    if (list.type != JSON_ARRAY || list.count == 0)
        return false;
    for (size_t at = 0; json_next(list.raw, &at, NULL, &v) == 1;)
        if (json_int(v, &n) != 0 || n < 0)
            return false;
    return true;
}

static bool is_token_lists(struct json_value list)
{
    struct json_value v;
    for (size_t at = 0; json_next(list.raw, &at, NULL, &v) == 1;)
        if (!is_tokens(v))
            return false;
    return true;
}

static int read_list(struct request *r, struct json_value input, struct embed_request *out, struct failure *f)
{
    static const char text[] =
        "Invalid type for 'input': expected a string, or an array of strings or of token numbers.";
    struct json_value v;
    if (input.count == 0)
        return wrong(f, "empty_array", "input", "Invalid 'input': the array is empty.");
    if (is_tokens(input) || is_token_lists(input)) {
        out->tokens = input.raw;
        return 0;
    }
    if (input.count > MAX_INPUTS)
        return wrong(f, "array_above_max_length", "input", "Invalid 'input': more than 2048 texts.");
    out->texts = arena_alloc(r->arena, input.count * sizeof(*out->texts));
    for (size_t at = 0; json_next(input.raw, &at, NULL, &v) == 1;) {
        if (v.type != JSON_STRING)
            return wrong(f, "invalid_type", "input", text);
        out->texts[out->n_texts++] = json_text(v, r->arena);
    }
    return 0;
}

static int read_input(struct request *r, struct json_value input, struct embed_request *out,
                      struct failure *f)
{
    if (!given(input))
        return wrong(f, "missing_required_parameter", "input", "Missing required parameter: 'input'.");
    if (input.type == JSON_ARRAY)
        return read_list(r, input, out, f);
    if (input.type != JSON_STRING)
        return wrong(
            f, "invalid_type", "input",
            "Invalid type for 'input': expected a string, or an array of strings or of token numbers.");
    out->texts = arena_alloc(r->arena, sizeof(*out->texts));
    out->texts[0] = json_text(input, r->arena);
    out->n_texts = 1;
    return 0;
}

static int read_options(struct request *r, const struct json_value v[], struct embed_request *out,
                        struct failure *f)
{
    enum { DIMENSIONS, ENCODING, USER };
    struct str encoding = json_text(v[ENCODING], r->arena);
    int64_t n = 0;
    if (given(v[DIMENSIONS]) && json_int(v[DIMENSIONS], &n) != 0)
        return wrong(f, "invalid_type", "dimensions", "Invalid type for 'dimensions': expected an integer.");
    if (given(v[DIMENSIONS]) && (n < 1 || n > MAX_DIMENSIONS))
        return wrong(f, "integer_out_of_range", "dimensions", "Invalid 'dimensions': expected 1 or more.");
    if (given(v[ENCODING]) && !str_eq(encoding, STR("float")) && !str_eq(encoding, STR("base64")))
        return wrong(f, "invalid_value", "encoding_format",
                     "Invalid value for 'encoding_format'. Supported are: 'float' and 'base64'.");
    if (given(v[USER]) && v[USER].type != JSON_STRING)
        return wrong(f, "invalid_type", "user", "Invalid type for 'user': expected a string.");
    out->dimensions = (uint32_t)n;
    out->dimensions_name = n > 0 ? "dimensions" : NULL;
    out->base64 = str_eq(encoding, STR("base64"));
    out->user = json_text(v[USER], r->arena);
    return 0;
}

/* Members that nothing is made of; "model" is read before. */
static void read_extras(struct request *r, struct embed_request *out)
{
    static const char *const known[] = {"model", "input", "dimensions", "encoding_format", "user"};
    struct chat_request c = {0};
    struct json_value v;
    struct str name;
    for (size_t at = 0; json_next(r->body, &at, &name, &v) == 1;) {
        bool is_known = !given(v);
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            is_known |= str_eq(name, str_of(known[i]));
        if (!is_known)
            chat_add_extra(&c, r->arena, name);
    }
    out->extras = c.extras;
    out->n_extras = c.n_extras;
}

static int read_request(struct request *r, struct embed_request *out, struct failure *f)
{
    static const char *const paths[] = {"dimensions", "encoding_format", "user", "input"};
    struct json_value v[4];
    if (json_scan(r->body, paths, 4, v, NULL) != 0)
        return wrong(f, "invalid_json", NULL, "The body is no valid JSON object.");
    if (read_input(r, v[3], out, f) != 0 || read_options(r, v, out, f) != 0)
        return -1;
    read_extras(r, out);
    return 0;
}

/* ---- vectors */

static int float_of(struct json_value v, float *out)
{
    char text[64];
    double d;
    if (v.type != JSON_NUMBER)
        return -1;
    if (v.raw.n >= sizeof(text)) {
        if (json_double(v, &d) != 0)
            return -1;
    } else {
        memcpy(text, v.raw.p, v.raw.n);
        text[v.raw.n] = '\0';
        d = strtod(text, NULL); /* the locale is never set, so the point is a point */
    }
    *out = (float)d;
    return isfinite(*out) ? 0 : -1;
}

static void put_little_endian(unsigned char four[4], float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof(bits));
    for (int i = 0; i < 4; i++)
        four[i] = (unsigned char)(bits >> 8 * i);
}

/* -1: it is no array of numbers. */
static int put_base64(struct arena *a, struct str json, struct buf *out)
{
    struct json_value list = json_root(json), v;
    size_t n = 0;
    float number;
    if (list.type != JSON_ARRAY)
        return -1;
    unsigned char *bytes = arena_alloc(a, (size_t)list.count * 4 + 1);
    for (size_t at = 0; json_next(list.raw, &at, NULL, &v) == 1; n++) {
        if (n >= list.count || float_of(v, &number) != 0)
            return -1;
        put_little_endian(bytes + 4 * n, number);
    }
    buf_add_byte(out, '"');
    base64_put(out, (struct str){(const char *)bytes, 4 * n});
    return buf_add_byte(out, '"');
}

static int put_numbers(struct arena *a, struct str base64, struct buf *out)
{
    struct str bytes;
    if (base64_decode(base64, a, &bytes) != 0 || bytes.n % 4 != 0)
        return -1;
    buf_add_byte(out, '[');
    for (size_t i = 0; i < bytes.n; i += 4) {
        uint32_t bits = 0;
        float number;
        for (int k = 3; k >= 0; k--)
            bits = bits << 8 | (unsigned char)bytes.p[i + (size_t)k];
        memcpy(&number, &bits, sizeof(number));
        if (!isfinite(number))
            return -1;
        buf_printf(out, "%s%.9g", i > 0 ? "," : "", (double)number);
    }
    return buf_add_byte(out, ']');
}

static int put_vector(struct request *r, const struct embed_request *in, const struct embed_vector *v,
                      struct json_writer *j)
{
    json_name(j, "embedding");
    j->comma = true; /* what follows is written around the writer */
    if (in->base64 && v->base64.n == 0)
        return put_base64(r->arena, v->json, j->out);
    if (!in->base64 && v->json.n == 0)
        return put_numbers(r->arena, v->base64, j->out);
    if (!in->base64)
        return buf_add(j->out, v->json);
    buf_add_byte(j->out, '"');
    buf_add(j->out, v->base64);
    return buf_add_byte(j->out, '"');
}

static int write_answer(struct request *r, const struct embed_request *in, const struct embed_answer *a,
                        struct buf *out)
{
    struct json_writer j = json_writer(out);
    struct str model = a->model.n > 0 ? a->model : r->target_model.n > 0 ? r->target_model : r->model;
    json_open(&j, '{');
    json_member_strz(&j, "object", "list");
    json_member_open(&j, "data", '[');
    for (size_t i = 0; i < a->n_vectors; i++) {
        json_open(&j, '{');
        json_member_strz(&j, "object", "embedding");
        json_member_i64(&j, "index", (int64_t)i);
        if (put_vector(r, in, &a->vectors[i], &j) != 0)
            return -1;
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_member_str(&j, "model", model);
    json_member_open(&j, "usage", '{');
    json_member_i64(&j, "prompt_tokens", (int64_t)a->input_tokens);
    json_member_i64(&j, "total_tokens", (int64_t)a->input_tokens);
    json_close(&j, '}');
    json_close(&j, '}');
    return 0;
}

const struct embed_dialect dialect_openai_embeddings = {.read = read_request, .write = write_answer};

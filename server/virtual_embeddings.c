/* The built-in provider's embeddings (unit vectors that depend on the input alone) and moderations (nothing
 * is ever flagged). */
#include "virtual.h"

#include "json_out.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_DIMENSIONS = 1536, MAX_DIMENSIONS = 4096, MAX_INPUTS = 2048 };

/* Newton's method, so that the program needs no libm for this one root. */
static double square_root(double x)
{
    double root = 1 + x / 2;
    for (int i = 0; i < 40; i++)
        root = (root + x / root) / 2;
    return root;
}

/* splitmix64 over the input's bytes; a direction spread evenly enough, made one long. */
static void fill_vector(struct str input, float *v, size_t n)
{
    uint64_t state = input.n;
    for (size_t i = 0; i < input.n; i++)
        state = (state ^ (unsigned char)input.p[i]) * UINT64_C(0x100000001b3);
    double square = 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = (float)((double)(virtual_random(&state) >> 11) / 4503599627370496.0 - 1.0);
        square += (double)v[i] * v[i];
    }
    double length = square > 0 ? square_root(square) : 1;
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(v[i] / length);
}

static void put_base64(struct buf *b, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v =
            (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        char out[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
                       i + 2 < n ? digits[v & 63] : '='};
        buf_add(b, (struct str){out, 4});
    }
}

static void put_embedding(struct buf *b, struct str input, size_t index, size_t dimensions, bool base64)
{
    float v[MAX_DIMENSIONS];
    fill_vector(input, v, dimensions);
    buf_printf(b, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", index ? "," : "", index);
    if (base64) {
        buf_add_byte(b, '"');
        put_base64(b, (const uint8_t *)v, dimensions * sizeof(v[0])); /* little-endian, as our machines are */
        buf_add(b, STR("\"}"));
        return;
    }
    for (size_t i = 0; i < dimensions; i++)
        buf_printf(b, "%c%.9g", i ? ',' : '[', (double)v[i]);
    buf_add(b, STR("]}"));
}

/* How many inputs the value stands for: a string or a list of token numbers is one. 0: none, or a mixture. */
static size_t input_count(struct json_value input)
{
    size_t at = 0;
    struct json_value first, next;
    if (input.type == JSON_STRING)
        return 1;
    if (input.type != JSON_ARRAY || !json_next(input.raw, &at, NULL, &first))
        return 0;
    while (json_next(input.raw, &at, NULL, &next))
        if (next.type != first.type)
            return 0;
    return first.type == JSON_NUMBER ? 1 : input.count;
}

static void put_embeddings(struct buf *b, struct json_value input, size_t dimensions, bool base64)
{
    struct json_value one;
    size_t index = 0;
    if (input_count(input) == 1 && input.type == JSON_STRING) {
        put_embedding(b, input.raw, 0, dimensions, base64);
        return;
    }
    for (size_t at = 0; json_next(input.raw, &at, NULL, &one) && !b->full; index++) {
        if (one.type == JSON_NUMBER) {
            put_embedding(b, input.raw, 0, dimensions, base64);
            return;
        }
        put_embedding(b, one.raw, index, dimensions, base64);
    }
}

void virtual_embeddings(struct virtual_making *m)
{
    static const char *const paths[] = {"input", "dimensions", "encoding_format"};
    struct json_value v[3];
    int64_t dimensions = DEFAULT_DIMENSIONS;
    bool ok = json_scan(m->call->body, paths, 3, v, NULL) == 0;
    size_t n = ok ? input_count(v[0]) : 0;
    if (ok && v[1].type != JSON_ABSENT)
        ok = json_int(v[1], &dimensions) == 0 && dimensions >= 1 && dimensions <= MAX_DIMENSIONS;
    if (!ok || n == 0 || n > MAX_INPUTS) {
        virtual_error(m, 400, "invalid_request_error", "invalid_value",
                      "'input' must be a text or a list of up to 2048, 'dimensions' from 1 to 4096.");
        return;
    }
    struct buf b;
    buf_init(&b, MAX_ANSWER / 2);
    buf_add(&b, STR("{\"object\":\"list\",\"data\":["));
    put_embeddings(&b, v[0], (size_t)dimensions, str_eq(v[2].raw, STR("\"base64\"")));
    buf_add(&b, STR("],\"model\":"));
    json_put_string(&b, m->model);
    unsigned long long tokens = virtual_tokens(v[0].raw.n);
    buf_printf(&b, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}", tokens, tokens);
    if (b.full)
        virtual_error(m, 400, "invalid_request_error", "too_large", "The answer would be too large.");
    else
        virtual_json(m, 200, buf_str(&b));
    buf_free(&b);
}

/* ---- moderations */

static const char *const categories[] = {
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
};

static void put_categories(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, ",\"%s\":{", name);
    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
        buf_printf(b, "%s\"%s\":%s", i ? "," : "", categories[i], value);
    buf_add_byte(b, '}');
}

void virtual_moderations(struct virtual_making *m)
{
    static const char *const paths[] = {"input"};
    struct json_value v;
    size_t n = json_scan(m->call->body, paths, 1, &v, NULL) == 0 ? input_count(v) : 0;
    if (n == 0 || n > MAX_INPUTS) {
        virtual_error(m, 400, "invalid_request_error", "missing_required_parameter", "'input' is missing.");
        return;
    }
    struct buf b;
    buf_init(&b, MAX_ANSWER / 2);
    buf_printf(&b, "{\"id\":\"modr-%016llx\",\"model\":", (unsigned long long)m->hash);
    json_put_string(&b, m->model);
    buf_add(&b, STR(",\"results\":["));
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%s{\"flagged\":false", i ? "," : "");
        put_categories(&b, "categories", "false");
        put_categories(&b, "category_scores", "0.0001");
        buf_add_byte(&b, '}');
    }
    buf_add(&b, STR("]}"));
    virtual_json(m, 200, buf_str(&b));
    buf_free(&b);
}

/* A text that we accept is also one to json-c, has a canonical form that is accepted and stays as it is, can
 * be walked, and can be altered; any bytes at all can be made a string that is accepted. */
#include "fuzz.h"
#include "json_out.h"
#include "json_scan.h"
#include "limits.h"

#define json_type json_c_type /* both have an enum of that name */
#include <json-c/json.h>
#undef json_type
#include <string.h>

static const char *const paths[] = {"model",    "stream", "stream_options.include_usage",
                                    "messages", "a.b.c",  "max_tokens"};
enum { PATHS = sizeof(paths) / sizeof(paths[0]) };

static void walk(struct json_value v, struct arena *a, unsigned depth)
{
    CHECK(depth <= MAX_JSON_DEPTH);
    CHECK(json_validate(v.raw, NULL) == 0);
    int64_t integer;
    double number;
    json_int(v, &integer);
    json_double(v, &number);
    json_text(v, a);
    struct str name;
    struct json_value inner;
    size_t at = 0;
    uint32_t n = 0;
    while (json_next(v.raw, &at, &name, &inner) == 1) {
        CHECK(fuzz_within(inner.raw, v.raw));
        walk(inner, a, depth + 1);
        n++;
    }
    CHECK(n == v.count);
}

/* json-c reads a trailing NUL or nothing as the end; it has no own idea of the end of a slice. */
static void json_c_accepts(struct str text)
{
    json_tokener *t = json_tokener_new_ex(MAX_JSON_DEPTH + 2);
    CHECK(t);
    json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *o = json_tokener_parse_ex(t, text.p, (int)text.n);
    enum json_tokener_error e = json_tokener_get_error(t);
    /* a number at the very end could go on, for it */
    CHECK(e == json_tokener_success || e == json_tokener_continue);
    json_object_put(o);
    json_tokener_free(t);
}

static void check_canonical(struct str text, struct arena *a)
{
    static const char *const skip[] = {"stream"};
    struct buf once, twice;
    buf_init(&once, 1 << 24);
    buf_init(&twice, 1 << 24);
    CHECK(json_canonical(&once, text, skip, 1, a) == 0);
    CHECK(once.n <= text.n);
    CHECK(json_validate(buf_str(&once), NULL) == 0);
    CHECK(json_canonical(&twice, buf_str(&once), skip, 1, a) == 0);
    CHECK(str_eq(buf_str(&once), buf_str(&twice)));
    buf_free(&once);
    buf_free(&twice);
}

static void check_set_member(struct str text)
{
    struct buf b;
    struct json_value model;
    struct error err;
    buf_init(&b, 1 << 24);
    CHECK(json_set_member(&b, text, "model", STR("\"set\"")) == 0);
    CHECK(json_scan(buf_str(&b), paths, 1, &model, &err) == 0);
    CHECK(str_eq(model.raw, STR("\"set\"")));
    buf_free(&b);
}

static void check_string(struct str bytes, struct arena *a)
{
    struct buf b;
    buf_init(&b, 1 << 24);
    CHECK(json_put_string(&b, bytes) == 0);
    CHECK(json_validate(buf_str(&b), NULL) == 0);
    struct str text = json_text((struct json_value){.type = JSON_STRING, .raw = buf_str(&b)}, a);
    struct buf again;
    buf_init(&again, 1 << 24);
    CHECK(json_put_string(&again, text) == 0);
    CHECK(str_eq(buf_str(&b), buf_str(&again)));
    buf_free(&b);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = fuzz_str(data, size);
    struct json_value out[PATHS];
    struct error err;
    struct arena a;
    arena_init(&a);
    bool valid = json_validate(text, &err) == 0;
    if (json_scan(text, paths, PATHS, out, &err) == 0) {
        CHECK(valid);
        for (int i = 0; i < PATHS; i++)
            if (out[i].type != JSON_ABSENT) {
                CHECK(fuzz_within(out[i].raw, text));
                walk(out[i], &a, 1);
            }
        check_set_member(text);
    }
    if (valid) {
        json_c_accepts(text);
        check_canonical(text, &a);
    }
    check_string(text, &a);
    arena_fini(&a);
    return 0;
}

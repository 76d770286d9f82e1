/* A streamed JSON array is the same however it is cut; what is told of it lies within it, and all of its
 * bytes are told. What is valid JSON and an array of objects is read as such. */
#include "fuzz.h"

#include "json_array.h"
#include "json_scan.h"

#include <string.h>

struct reading {
    struct buf values, raw;
    size_t pending, n;
    bool broken, ended;
};

static void take(struct reading *out, const struct json_array_element *e, struct str all)
{
    CHECK(fuzz_within(e->raw, all) && fuzz_within(e->value, e->raw));
    CHECK(!out->ended);
    buf_add(&out->raw, e->raw);
    buf_add(&out->values, e->value);
    buf_add_byte(&out->values, '|');
    out->ended = e->value.n == 0;
    out->n += e->value.n > 0;
}

static void read_pieces(struct str in, size_t piece, struct reading *out)
{
    struct json_array_reader r;
    struct json_array_element e;
    uint32_t seed = fuzz_seed(in);
    int got = 0;
    *out = (struct reading){.broken = false};
    buf_init(&out->values, 4 * in.n + 64);
    buf_init(&out->raw, in.n + 64);
    json_array_init(&r);
    for (size_t at = 0, n; at < in.n && got >= 0; at += n) {
        n = piece ? piece : fuzz_piece(&seed);
        n = n < in.n - at ? n : in.n - at;
        CHECK(json_array_feed(&r, (struct str){in.p + at, n}) == 0);
        while ((got = json_array_next(&r, &e)) == 1)
            take(out, &e, buf_str(&r.in));
    }
    out->broken = got < 0;
    CHECK(!out->broken || (json_array_next(&r, &e) == -1 && json_array_feed(&r, STR(" ")) == -1));
    out->pending = json_array_pending(&r);
    json_array_free(&r);
    CHECK(!out->values.full && !out->raw.full);
    CHECK(out->raw.n <= in.n && (out->raw.n == 0 || memcmp(out->raw.p, in.p, out->raw.n) == 0));
}

/* How many objects a valid array holds; -1: it is none, or holds others. */
static int64_t objects_in(struct str in)
{
    struct json_value one, root;
    int64_t n = 0;
    if (json_validate(in, NULL) != 0 || (root = json_root(in)).type != JSON_ARRAY)
        return -1;
    for (size_t at = 0; json_next(root.raw, &at, NULL, &one) == 1; n++)
        if (one.type != JSON_OBJECT)
            return -1;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    size_t pieces[] = {in.n ? in.n : 1, 1, 0};
    struct reading r[3];
    for (int i = 0; i < 3; i++) {
        read_pieces(in, pieces[i], &r[i]);
        CHECK(str_eq(buf_str(&r[i].values), buf_str(&r[0].values)));
        CHECK(r[i].broken == r[0].broken && (r[i].broken || r[i].pending == r[0].pending));
    }
    int64_t n = objects_in(in);
    CHECK(n < 0 || (!r[0].broken && r[0].ended && r[0].pending == 0 && r[0].n == (size_t)n));
    for (int i = 0; i < 3; i++) {
        buf_free(&r[i].values);
        buf_free(&r[i].raw);
    }
    return 0;
}

/* A stream has the same events however it is cut, and their raw bytes in a row are the stream. */
#include "fuzz.h"
#include "sse.h"

#include <string.h>

struct reading {
    struct buf events, raw;
    size_t pending;
};

static void read_pieces(struct str in, size_t piece, struct reading *out)
{
    struct sse_reader r;
    struct sse_event ev;
    uint32_t seed = fuzz_seed(in);
    buf_init(&out->events, 4 * in.n + 16);
    buf_init(&out->raw, in.n);
    sse_init(&r);
    for (size_t at = 0, n; at < in.n; at += n) {
        n = piece ? piece : fuzz_piece(&seed);
        n = n < in.n - at ? n : in.n - at;
        CHECK(sse_feed(&r, (struct str){in.p + at, n}) == 0);
        while (sse_next(&r, &ev) == 1) {
            CHECK(ev.raw.n > 0 && ev.raw.n <= in.n);
            CHECK(fuzz_within(ev.name, ev.raw));
            CHECK(buf_add(&out->raw, ev.raw) == 0);
            CHECK(buf_add_byte(&out->events, ev.has_data ? '+' : '-') == 0);
            CHECK(buf_add(&out->events, ev.name) == 0 && buf_add_byte(&out->events, '\r') == 0);
            CHECK(buf_add(&out->events, ev.data) == 0 && buf_add_byte(&out->events, '\r') == 0);
        }
    }
    out->pending = sse_pending(&r);
    sse_free(&r);
}

static void check_raw(struct str in, const struct reading *r)
{
    CHECK(str_starts(in, buf_str(&r->raw)));
    if (r->pending > 0)
        CHECK(r->raw.n + r->pending == in.n);
    for (size_t i = r->raw.n; r->pending == 0 && i < in.n; i++)
        CHECK(in.p[i] == '\r' || in.p[i] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    size_t pieces[] = {in.n ? in.n : 1, 1, 0};
    struct reading r[3];
    for (int i = 0; i < 3; i++) {
        read_pieces(in, pieces[i], &r[i]);
        check_raw(in, &r[i]);
        CHECK(str_eq(buf_str(&r[i].events), buf_str(&r[0].events)));
        /* not the same number: an LF that comes late after a CR may count to what follows */
        CHECK((r[i].pending == 0) == (r[0].pending == 0));
    }
    for (int i = 0; i < 3; i++) {
        buf_free(&r[i].events);
        buf_free(&r[i].raw);
    }
    return 0;
}

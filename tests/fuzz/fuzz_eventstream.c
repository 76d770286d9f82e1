/* A stream of AWS's messages is the same however it is cut, and what is told of a message lies within it. As
 * no engine guesses checksums, inputs that begin with an odd byte are made into messages first: sizes of
 * headers and payload (a byte each), then both. */
#include "fuzz.h"

#include "eventstream.h"
#include "limits.h"
#include "unit/eventstream_bytes.h"

#include <string.h>

static void frame(struct str in, struct buf *out)
{
    while (in.n >= 2) {
        size_t headers = (unsigned char)in.p[0], payload = (unsigned char)in.p[1], from = out->n;
        in.p += 2, in.n -= 2;
        headers = headers < in.n ? headers : in.n;
        payload = payload < in.n - headers ? payload : in.n - headers;
        add_u32(out, (uint32_t)(16 + headers + payload));
        add_u32(out, (uint32_t)headers);
        add_u32(out, crc_of(out->p + from, 8));
        buf_add(out, (struct str){in.p, headers + payload});
        add_u32(out, crc_of(out->p + from, out->n - from));
        in.p += headers + payload, in.n -= headers + payload;
    }
}

struct reading {
    struct buf text;
    size_t pending;
    bool broken;
};

static void note(struct reading *out, const struct eventstream_message *m, struct str all)
{
    const struct str parts[] = {m->type, m->name, m->error_message, m->content_type, m->payload};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        CHECK(fuzz_within(parts[i], all));
        CHECK(buf_add(&out->text, parts[i]) == 0 && buf_add_byte(&out->text, '|') == 0);
    }
    CHECK(fuzz_within(m->raw, all) && fuzz_within(m->payload, m->raw) && m->raw.n >= 16);
    CHECK(m->exception == (str_eq(m->type, STR("exception")) || str_eq(m->type, STR("error"))));
}

static void read_pieces(struct str in, size_t piece, struct reading *out)
{
    struct eventstream_reader r;
    struct eventstream_message m;
    uint32_t seed = fuzz_seed(in);
    int got = 0;
    *out = (struct reading){.broken = false};
    buf_init(&out->text, 8 * in.n + 64);
    eventstream_init(&r);
    for (size_t at = 0, n; at < in.n && got >= 0; at += n) {
        n = piece ? piece : fuzz_piece(&seed);
        n = n < in.n - at ? n : in.n - at;
        CHECK(eventstream_feed(&r, (struct str){in.p + at, n}) == 0);
        while ((got = eventstream_next(&r, &m)) == 1)
            note(out, &m, buf_str(&r.in));
    }
    out->broken = got < 0;
    CHECK(out->broken == (r.broken != NULL));
    CHECK(!out->broken || (eventstream_next(&r, &m) == -1 && eventstream_feed(&r, STR("x")) == -1));
    out->pending = eventstream_pending(&r);
    CHECK(out->broken || out->pending < MAX_EVENTSTREAM_MESSAGE);
    eventstream_free(&r);
}

static void check(struct str in, bool framed)
{
    size_t pieces[] = {in.n ? in.n : 1, 1, 0};
    struct reading r[3];
    for (int i = 0; i < 3; i++) {
        read_pieces(in, pieces[i], &r[i]);
        CHECK(str_eq(buf_str(&r[i].text), buf_str(&r[0].text)));
        CHECK(r[i].broken == r[0].broken && (r[i].broken || r[i].pending == r[0].pending));
    }
    CHECK(!framed || r[0].broken || r[0].pending == 0);
    for (int i = 0; i < 3; i++)
        buf_free(&r[i].text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    if (size == 0 || data[0] % 2 == 0) {
        check(in, false);
        return 0;
    }
    struct buf b;
    buf_init(&b, 16 * in.n + 64);
    frame((struct str){in.p + 1, in.n - 1}, &b);
    check(buf_str(&b), true);
    buf_free(&b);
    return 0;
}

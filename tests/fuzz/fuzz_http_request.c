/* A request's head has one verdict however it arrives, and what it says lies within its own bytes; a chunked
 * body decodes to the same bytes however it is cut. */
#include "buf.h"
#include "fuzz.h"
#include "http.h"

#include <string.h>

static void check_head(struct str in, const struct http_head *h)
{
    CHECK(h->length <= in.n && h->length <= MAX_HEAD);
    struct str head = {in.p, h->length};
    CHECK(h->length >= 4 && memcmp(in.p + h->length - 4, "\r\n\r\n", 4) == 0);
    CHECK(fuzz_within(h->method, head) && http_token_ok(h->method));
    CHECK(fuzz_within(h->target, head) && h->target.n > 0 && h->target.n <= MAX_TARGET);
    CHECK(h->path.n > 0 && (h->path.p[0] == '/' || str_eq(h->path, STR("*"))));
    CHECK(fuzz_within(h->query, head));
    CHECK(h->n <= MAX_HEADERS);
    size_t lengths = 0, codings = 0;
    for (size_t i = 0; i < h->n; i++) {
        CHECK(fuzz_within(h->headers[i].name, head) && http_token_ok(h->headers[i].name));
        CHECK(fuzz_within(h->headers[i].value, head) && http_value_ok(h->headers[i].value));
        lengths += str_ieq(h->headers[i].name, STR("content-length"));
        codings += str_ieq(h->headers[i].name, STR("transfer-encoding"));
    }
    CHECK(lengths + codings <= 1);
    CHECK(h->body == (lengths ? HTTP_BODY_LENGTH : codings ? HTTP_BODY_CHUNKED : HTTP_BODY_NONE));
}

/* Decodes it in pieces; -1: malformed, else how many bytes it took. */
static ssize_t decode(struct str in, size_t piece, uint32_t seed, struct buf *out, bool *done)
{
    struct http_chunked c = {0};
    size_t at = 0;
    *done = false;
    while (at < in.n && !c.done) {
        size_t n = piece ? piece : fuzz_piece(&seed);
        struct str part = {in.p + at, n < in.n - at ? n : in.n - at}, data;
        while (part.n > 0 && !c.done) {
            ssize_t used = http_chunked_read(&c, part, &data);
            if (used < 0)
                return -1;
            CHECK(used > 0 && (size_t)used <= part.n && fuzz_within(data, part));
            buf_add(out, data);
            at += (size_t)used;
            part = (struct str){part.p + used, part.n - (size_t)used};
        }
    }
    *done = c.done;
    return (ssize_t)at;
}

static void check_body(struct str in)
{
    struct buf whole, pieces;
    bool whole_done, pieces_done;
    buf_init(&whole, in.n);
    buf_init(&pieces, in.n);
    ssize_t a = decode(in, in.n, 0, &whole, &whole_done);
    ssize_t b = decode(in, 0, fuzz_seed(in), &pieces, &pieces_done);
    CHECK(a == b);
    CHECK(whole_done == pieces_done);
    if (a >= 0)
        CHECK(str_eq(buf_str(&whole), buf_str(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    struct http_head head, again;
    struct http_refusal why = {0}, slow_why = {0};
    int verdict = http_parse_request(in, MAX_HEAD, &head, &why), slow = 0;
    uint32_t seed = fuzz_seed(in);
    size_t n = 0;
    while (!slow && n < in.n) {
        n += fuzz_piece(&seed);
        n = n < in.n ? n : in.n;
        slow = http_parse_request((struct str){in.p, n}, MAX_HEAD, &again, &slow_why);
    }
    CHECK(slow == verdict);
    if (verdict < 0) {
        CHECK(why.status == slow_why.status && why.reason == slow_why.reason);
        CHECK(why.status >= 400 && why.status <= 505);
    }
    if (verdict == 1) {
        CHECK(head.length == again.length);
        check_head(in, &head);
        struct str rest = {in.p + head.length, in.n - head.length};
        if (head.body == HTTP_BODY_CHUNKED)
            check_body(rest);
    }
    return 0;
}

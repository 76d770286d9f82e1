/* A provider's answer, head and chunked body, in one piece and in many. */
#include "buf.h"
#include "fuzz.h"
#include "http.h"

#include <string.h>

static void check_head(struct str in, bool was_head, const struct http_head *h)
{
    struct str head = {in.p, h->length};
    CHECK(h->length <= in.n && h->length <= MAX_HEAD);
    CHECK(h->status >= 100 && h->status <= 599 && h->n <= MAX_HEADERS);
    for (size_t i = 0; i < h->n; i++)
        CHECK(fuzz_within(h->headers[i].name, head) && fuzz_within(h->headers[i].value, head));
    bool bodiless = was_head || h->status < 200 || h->status == 204 || h->status == 304;
    CHECK(bodiless == (h->body == HTTP_BODY_NONE));
    CHECK(!(h->keep_alive && h->body == HTTP_BODY_UNTIL_CLOSE));
}

/* The chunks one byte at a time against all at once: the same number of data bytes, the same end. */
static void check_body(struct str in)
{
    struct http_chunked whole = {0}, slow = {0};
    struct str data;
    size_t taken = 0, slow_taken = 0, bytes = 0, slow_bytes = 0;
    ssize_t n = 0, slow_n = 0;
    while (taken < in.n && !whole.done) {
        n = http_chunked_read(&whole, (struct str){in.p + taken, in.n - taken}, &data);
        if (n < 0)
            break;
        CHECK(n > 0);
        taken += (size_t)n;
        bytes += data.n;
    }
    while (slow_taken < in.n && !slow.done) {
        slow_n = http_chunked_read(&slow, (struct str){in.p + slow_taken, 1}, &data);
        if (slow_n < 0)
            break;
        CHECK(slow_n == 1 && data.n <= 1);
        slow_taken++;
        slow_bytes += data.n;
    }
    CHECK((n < 0) == (slow_n < 0));
    CHECK(whole.done == slow.done);
    CHECK(bytes == slow_bytes);
    CHECK(n < 0 || taken == slow_taken);
    CHECK(whole.overhead <= MAX_CHUNK_OVERHEAD + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    struct http_head head, again;
    struct http_refusal why = {0}, slow_why = {0};
    bool was_head = size > 0 && data[size - 1] == 'H';
    int verdict = http_parse_response(in, was_head, &head, &why), slow = 0;
    uint32_t seed = fuzz_seed(in);
    size_t n = 0;
    while (!slow && n < in.n) {
        n += fuzz_piece(&seed);
        n = n < in.n ? n : in.n;
        slow = http_parse_response((struct str){in.p, n}, was_head, &again, &slow_why);
    }
    CHECK(slow == verdict);
    CHECK(why.reason == slow_why.reason);
    if (verdict == 1) {
        CHECK(head.length == again.length && head.body == again.body);
        check_head(in, was_head, &head);
        if (head.body == HTTP_BODY_CHUNKED)
            check_body((struct str){in.p + head.length, in.n - head.length});
    }
    return 0;
}

/* The built-in provider's answer to any request is a whole HTTP message, and its JSON is valid. The first
 * byte of the input chooses the endpoint, the rest is the body. */
#include "fuzz.h"
#include "http.h"
#include "sse.h"
#include "virtual.h"

#include <string.h>

static void check_stream(struct str body)
{
    struct http_chunked c = {0};
    struct sse_reader r;
    struct sse_event ev;
    struct str data;
    sse_init(&r);
    while (body.n > 0) {
        ssize_t k = http_chunked_read(&c, body, &data);
        CHECK(k > 0);
        CHECK(sse_feed(&r, data) == 0);
        while (sse_next(&r, &ev) == 1)
            CHECK(str_eq(ev.data, STR("[DONE]")) || json_validate(ev.data, NULL) == 0);
        body = (struct str){body.p + k, body.n - (size_t)k};
    }
    CHECK(c.done && sse_pending(&r) == 0);
    sse_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const char *method, *path, *type;
    } endpoints[] = {
        {"POST", "/chat/completions", "application/json"},
        {"POST", "/completions", "application/json"},
        {"POST", "/embeddings", "application/json"},
        {"POST", "/moderations", "application/json"},
        {"POST", "/responses", "application/json"},
        {"GET", "/models/x", ""},
        {"POST", "/files", "multipart/form-data; boundary=b"},
    };
    struct str in = fuzz_str(data, size);
    if (in.n < 1)
        return 0;
    size_t i = (unsigned char)in.p[0] % (sizeof(endpoints) / sizeof(endpoints[0]));
    struct conf_virtual conf = {.chunks = 3, .chunk_bytes = 5};
    struct virtual_call call = {.method = str_of(endpoints[i].method),
                                .path = str_of(endpoints[i].path),
                                .content_type = str_of(endpoints[i].type),
                                .body = {in.p + 1, in.n - 1}};
    struct virtual_script s;
    struct http_head head;
    struct http_refusal why;
    virtual_script_init(&s);
    virtual_answer(&conf, &call, &s);
    CHECK(http_parse_response(buf_str(&s.text), false, &head, &why) == 1);
    struct str body = {s.text.p + head.length, s.text.n - head.length};
    if (head.body == HTTP_BODY_CHUNKED) {
        check_stream(body);
    } else {
        CHECK(head.content_length == body.n);
        CHECK(json_validate(body, NULL) == 0);
    }
    virtual_script_free(&s);
    return 0;
}

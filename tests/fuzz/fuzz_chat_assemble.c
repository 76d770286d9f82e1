/* A provider's stream, put together for the cache: whatever the events are (one a line), it gives up or makes
 * a valid answer, which can be told as a stream again. */
#include "chat_assemble.h"
#include "chat_split.h"
#include "fuzz.h"
#include "json_scan.h"

enum { MOST = 64 * 1024 };

static int feed(struct str data, void *arg)
{
    chat_assemble_feed(arg, data);
    return 0;
}

static bool assembled(struct chat_assemble **a, struct buf *out)
{
    buf_init(out, MOST);
    bool ok = chat_assemble_finish(*a, out) == 0;
    chat_assemble_free(a);
    return ok;
}

static void check_answer(struct str answer)
{
    struct error err;
    struct buf again;
    struct chat_assemble *a = chat_assemble_new((size_t)4 * MOST);
    CHECK(json_validate(answer, &err) == 0);
    chat_split(answer, true, feed, a);
    if (assembled(&a, &again))
        CHECK(json_validate(buf_str(&again), &err) == 0);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chat_assemble *a = chat_assemble_new(MOST);
    struct str in = fuzz_str(data, size), line;
    struct buf out;
    while (str_split(&in, '\n', &line))
        chat_assemble_feed(a, line);
    if (assembled(&a, &out))
        check_answer(buf_str(&out));
    buf_free(&out);
    return 0;
}

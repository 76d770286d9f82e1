/* A provider's stream, put together for the cache: whatever the events are (one a line, behind a byte that
 * names the dialect), it gives up or makes a valid answer, which, where it can be told as a stream again,
 * comes back as it was. */
#include "fuzz.h"
#include "json_scan.h"
#include "stream_join.h"
#include "stream_tell.h"

enum { MOST = 64 * 1024 };

static bool joined(struct stream_join **j, struct buf *out)
{
    buf_init(out, 4 * MOST);
    bool ok = stream_join_finish(*j, out) == 0;
    stream_join_free(j);
    return ok;
}

static void check_answer(enum endpoint e, struct str answer)
{
    struct stream_tell how = {.endpoint = e, .with_usage = true};
    struct stream_join *j = stream_join_new(e, false, (size_t)4 * MOST);
    struct arena arena;
    struct error err;
    struct buf events, again;
    arena_init(&arena);
    buf_init(&events, 64 * MOST);
    CHECK(json_validate(answer, &err) == 0);
    if (stream_tell(&how, answer, &arena, &events) >= 0)
        stream_join_bytes(j, buf_str(&events));
    if (joined(&j, &again))
        CHECK(json_validate(buf_str(&again), &err) == 0);
    buf_free(&again);
    buf_free(&events);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum endpoint endpoints[] = {EP_CHAT, EP_COMPLETIONS, EP_MESSAGES, EP_RESPONSES,
                                              EP_GENERATE};
    if (size == 0)
        return 0;
    enum endpoint e = endpoints[data[0] % 5];
    struct stream_join *j = stream_join_new(e, false, MOST);
    struct str in = fuzz_str(data + 1, size - 1), line;
    struct buf out;
    while (str_split(&in, '\n', &line))
        stream_join_event(j, line);
    if (joined(&j, &out))
        check_answer(e, buf_str(&out));
    buf_free(&out);
    return 0;
}

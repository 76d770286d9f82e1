/* The reader walks each byte once, however a stream is cut: `scanned` says how far it has come and `place`
 * what it was in the middle of. Bytes of finished events are dropped by the next feed, in one move.
 *
 * An event is handed out when its empty line is whole. A CR at the very end of the bytes may be the first
 * half of CR LF; where the event's other lines ended with CR LF it is waited for (it is on its way), where
 * they ended with a lone CR it is not (it may never come, and a late LF then counts to the next event). So
 * the `raw` of all events in a row are the stream, and a reader behind us that looks for CR LF CR LF finds
 * it. */
#include "sse.h"
#include "limits.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum place {
    BETWEEN,    /* before an event's first line: empty lines are skipped (into its raw) */
    LINE_START, /* behind a line of it */
    IN_LINE,
};

/* `in` also holds what was fed behind the event that is being read. */
enum { MAX_FED = MAX_SSE_EVENT + MAX_STREAM_READ };

void sse_init(struct sse_reader *r)
{
    *r = (struct sse_reader){.place = BETWEEN};
    buf_init(&r->in, MAX_FED);
    buf_init(&r->data, MAX_SSE_EVENT);
}

void sse_free(struct sse_reader *r)
{
    buf_free(&r->in);
    buf_free(&r->data);
    sse_init(r);
}

int sse_feed(struct sse_reader *r, struct str bytes)
{
    if (r->seen > 0) {
        buf_consume(&r->in, r->seen);
        r->scanned -= r->seen;
        r->seen = 0;
    }
    if (r->too_large || buf_add(&r->in, bytes)) {
        r->too_large = true;
        return -1;
    }
    return 0;
}

/* How many bytes of s stand before its first CR or LF. (Two memchr would each run to the end of what has
 * come, for each line of a stream that uses only one of them.) */
static size_t line_length(struct str s)
{
    size_t n = 0;
#ifdef __SSE2__
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
    for (; s.n - n >= 16; n += 16) {
        __m128i x = _mm_loadu_si128((const void *)(s.p + n));
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, cr), _mm_cmpeq_epi8(x, lf)));
        if (mask)
            return n + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n')
        n++;
    return n;
}

/* Moves on to behind the end of the present line. False: it has not come yet. */
static bool walk_line(struct sse_reader *r)
{
    size_t at = r->scanned + line_length((struct str){r->in.p + r->scanned, r->in.n - r->scanned});
    r->scanned = at;
    if (at == r->in.n || (r->in.p[at] == '\r' && at + 1 == r->in.n))
        return false;
    bool cr = r->in.p[at] == '\r';
    r->lone_cr = cr && r->in.p[at + 1] != '\n';
    r->scanned += cr && !r->lone_cr ? 2 : 1;
    r->place = LINE_START;
    return true;
}

/* At a CR or LF that makes an empty line. False: its second half is still to come. */
static bool walk_empty_line(struct sse_reader *r)
{
    if (r->in.p[r->scanned] == '\r') {
        if (r->scanned + 1 == r->in.n && !r->lone_cr)
            return false;
        if (r->scanned + 1 < r->in.n && r->in.p[r->scanned + 1] == '\n')
            r->scanned++;
    }
    r->scanned++;
    return true;
}

/* True when r->scanned stands behind a whole event. */
static bool walk(struct sse_reader *r)
{
    while (r->scanned < r->in.n) {
        char c = r->in.p[r->scanned];
        if (r->place == IN_LINE) {
            if (!walk_line(r))
                return false;
        } else if (c != '\r' && c != '\n')
            r->place = IN_LINE;
        else if (r->place == BETWEEN)
            r->scanned++;
        else
            return walk_empty_line(r);
    }
    return false;
}

/* Cuts the next line off *rest. */
static struct str next_line(struct str *rest)
{
    struct str line = {rest->p, line_length(*rest)};
    size_t end = line.n;
    if (end < rest->n)
        end += rest->n - end >= 2 && rest->p[end] == '\r' && rest->p[end + 1] == '\n' ? 2 : 1;
    *rest = (struct str){rest->p + end, rest->n - end};
    return line;
}

static void add_data(struct sse_reader *r, struct sse_event *ev, struct str value)
{
    if (!ev->has_data) { /* most events have one line of data: it stays where it is */
        ev->data = value;
        ev->has_data = true;
        return;
    }
    /* they fit: what they were cut from is no larger than an event may be */
    if (r->data.n == 0)
        buf_add(&r->data, ev->data);
    buf_add_byte(&r->data, '\n');
    buf_add(&r->data, value);
    ev->data = buf_str(&r->data);
}

static void parse(struct sse_reader *r, struct sse_event *ev)
{
    struct str rest = ev->raw;
    if (!r->begun && str_starts(rest, STR("\xef\xbb\xbf")))
        rest = (struct str){rest.p + 3, rest.n - 3};
    r->begun = true;
    buf_reset(&r->data);
    while (rest.n > 0) {
        struct str value = next_line(&rest), field = value;
        if (!str_split(&value, ':', &field))
            continue;
        if (value.n > 0 && value.p[0] == ' ')
            value = (struct str){value.p + 1, value.n - 1};
        if (str_eq(field, STR("data")))
            add_data(r, ev, value);
        else if (str_eq(field, STR("event")))
            ev->name = value;
    }
}

int sse_next(struct sse_reader *r, struct sse_event *ev)
{
    bool whole = !r->too_large && walk(r);
    if (r->scanned - r->seen > MAX_SSE_EVENT)
        r->too_large = true;
    if (!whole || r->too_large)
        return 0;
    *ev = (struct sse_event){.raw = {r->in.p + r->seen, r->scanned - r->seen}};
    r->seen = r->scanned;
    r->place = BETWEEN;
    r->lone_cr = false;
    parse(r, ev);
    return 1;
}

size_t sse_pending(const struct sse_reader *r)
{
    bool blank = r->place == BETWEEN && r->scanned == r->in.n;
    return blank && !r->too_large ? 0 : r->in.n - r->seen;
}

struct str sse_rest(const struct sse_reader *r)
{
    size_t n = sse_pending(r);
    return n > 0 ? (struct str){r->in.p + r->seen, n} : STR_NULL;
}

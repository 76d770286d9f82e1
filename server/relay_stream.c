/* Relays a stream of events as its bytes arrive, and meters it on the way. Run by workers.
 *
 * Events come as SSE, as elements of a JSON array (Google's), or as messages of AWS's framing (passed.h).
 * Whole events are sent on, as the bytes they came in, all that one read brought in one write. Two things are
 * kept from a client that did not ask for usage although we did: the chunk that holds nothing else, and the
 * "usage":null of the others. The stream ends properly only after its terminal event, whose bytes go out
 * after the row is published; a stream that breaks off is told so in the stream and never ended. */
#include "relay.h"

#include "answer.h"
#include "clock.h"
#include "json_scan.h"
#include "log.h"
#include "translate.h"

#include <string.h>

struct stream {
    struct attempt *a;
    struct passed in;
    struct str run; /* events to be sent, lying one behind the other in the reader's memory … */
    struct buf out; /* … or copied, once something between them was left out */
    uint64_t text_bytes;
    bool content, last, error;
    bool finished;   /* the answer is whole, though no terminal event has come */
    bool keep_usage; /* the client asked for it */
    bool needs_last; /* without its terminal event this stream is cut */
    bool early;      /* an array that ended before its last element */
    bool elements;   /* of an array some were passed on */
    struct str error_data;
    struct failure failure; /* … of a message: what it says */
    bool hidden;            /* the error's own words hold our credential */
    struct arena scratch;   /* of mended events, until they are sent */
    bool looked;            /* at the first event, whether it is of the endpoint's kind */
    bool chat; /* … and it is a chat completion's, which the Responses endpoint's callers don't read */
    struct stream_join *join; /* for the cache; NULL: it is not to be stored */
};

/* ---- what goes out */

static void add(struct stream *s, struct str raw)
{
    if (s->out.n == 0 && (s->run.n == 0 || s->run.p + s->run.n == raw.p)) {
        s->run = (struct str){s->run.n ? s->run.p : raw.p, s->run.n + raw.n};
        return;
    }
    if (s->out.n == 0)
        buf_add(&s->out, s->run);
    buf_add(&s->out, raw);
}

static struct str gathered(const struct stream *s)
{
    return s->out.n > 0 ? buf_str(&s->out) : s->run;
}

static void forget(struct stream *s)
{
    buf_reset(&s->out);
    s->run = STR_NULL;
}

/* `member` is left out. (Data of several lines was put together elsewhere: then it stays.) */
static void add_without(struct stream *s, struct str raw, struct str member)
{
    if (member.n == 0 || member.p < raw.p || member.p + member.n > raw.p + raw.n) {
        add(s, raw);
        return;
    }
    size_t before = (size_t)(member.p - raw.p), behind = before + member.n;
    add(s, (struct str){raw.p, before});
    add(s, (struct str){raw.p + behind, raw.n - behind});
}

/* ---- what comes in */

/* Of an event that was made here: one line "data: …". */
static struct str data_of(struct str event)
{
    struct str data = event;
    if (str_starts(event, STR("data: ")))
        data = (struct str){event.p + 6, event.n - 6};
    while (data.n > 0 && data.p[data.n - 1] == '\n')
        data.n--;
    return data;
}

static void pass_on(struct stream *s, const struct stream_event *e, const struct sse_event *ev)
{
    if (e->instead.n > 0)
        add(s, e->instead);
    else if (s->keep_usage)
        add(s, ev->raw);
    else if (!e->usage_only)
        add_without(s, ev->raw, e->null_usage);
}

static void read_event(struct stream *s, const struct passed_event *ev, struct stream_event *out)
{
    const struct provider *d = s->a->dialect;
    struct chat_frame m = {.name = ev->sse.name, .data = ev->sse.data, .exception = ev->exception};
    if (s->in.kind == PASSED_MESSAGES)
        *out = d->read_message(s->a->r, &m, &s->failure);
    else
        *out = d->read_event(s->a->r, &ev->sse);
}

/* The end of an array says that it is whole as little as the end of a connection does. */
static void take_close(struct stream *s, const struct passed_event *ev)
{
    s->early = s->needs_last && !s->finished;
    s->last = !s->early;
    if (s->last)
        add(s, ev->sse.raw);
}

static void look_first(struct stream *s, const struct sse_event *ev)
{
    if (s->looked || !ev->has_data)
        return;
    s->looked = true;
    s->chat = s->a->r->match.endpoint == EP_RESPONSES && translate_is_chat(ev->data);
}

static void take_error(struct stream *s, const struct stream_event *e, const struct sse_event *ev)
{
    s->error = e->error;
    if (!e->error)
        return;
    s->error_data = arena_copy(s->a->r->arena, ev->data);
    s->hidden = relay_shows_secret(s->a, e->instead.n > 0 ? e->instead : ev->data);
}

static void take_event(struct stream *s, const struct passed_event *p)
{
    struct request *r = s->a->r;
    const struct sse_event *ev = &p->sse;
    struct stream_event e;
    read_event(s, p, &e);
    s->text_bytes += e.text_bytes;
    if (e.text_bytes > 0 && !s->content) {
        s->content = true;
        r->first_byte_ns =
            clock_mono_ns(); /* of the answer proper: a chunk that only names the role is none */
    }
    if (s->join && ev->has_data)
        stream_join_event(s->join, e.instead.n > 0 ? data_of(e.instead) : ev->data);
    look_first(s, ev);
    s->last = e.last;
    s->needs_last |= e.begun;
    s->finished |= e.finished;
    take_error(s, &e, ev);
    if (!s->hidden) { /* else it is told in words of ours */
        pass_on(s, &e, ev);
        s->elements = true;
    }
    r->stream_events += ev->has_data;
    METRIC_INC(r->worker->metrics, stream_events_total);
}

/* All events that the bytes complete, up to the terminal one or an error. -1: they are no such stream. */
static int take(struct stream *s, struct str data)
{
    struct passed_event ev;
    int got = 0;
    forget(s);
    if (passed_feed(&s->in, data) != 0)
        return -1;
    while (!s->last && !s->error && !s->early && (got = passed_next(&s->in, &ev)) == 1)
        if (ev.closes)
            take_close(s, &ev);
        else
            take_event(s, &ev);
    return got < 0 ? -1 : 0;
}

/* Some providers close right behind their last event, without the empty line that makes it one. What is whole
 * all the same, and says that it is the last one, is believed, and gets its empty line. */
static bool take_unended_last(struct stream *s)
{
    struct str rest = s->in.kind == PASSED_SSE ? sse_rest(&s->in.sse) : STR_NULL, line = STR_NULL;
    while (str_split(&rest, '\n', &line))
        if (str_starts(line, STR("data:")))
            break;
    struct str data =
        str_starts(line, STR("data:")) ? str_trim((struct str){line.p + 5, line.n - 5}) : STR_NULL;
    while (data.n > 0 && data.p[data.n - 1] == '\r')
        data.n--;
    if (!str_eq(data, STR("[DONE]")) && json_validate(data, NULL) != 0)
        return false;
    return take(s, STR("\n\n")) == 0 && (s->last || s->finished);
}

static void show_progress(struct stream *s)
{
    struct request *r = s->a->r;
    r->tokens = relay_tokens_so_far(r, s->text_bytes);
    request_record_progress(r);
}

/* ---- how it ends */

static enum step end(struct stream *s)
{
    struct request *r = s->a->r;
    relay_estimate(r, s->text_bytes);
    relay_note_wait(s->a);
    upstream_last_seen(s->a->up);
    if (answer_end(r, gathered(s)) != 0)
        return relay_client_gone(s->a, s->text_bytes);
    if (s->join)
        relay_store_stream(r, s->join);
    return STEP_DONE;
}

/* What a stream that failed has cost: nothing when nothing of it reached anybody. */
static void meter_failed(struct stream *s)
{
    if (s->a->r->head_sent || s->text_bytes > 0)
        relay_estimate(s->a->r, s->text_bytes);
    else if (!s->a->r->tokens_known)
        s->a->r->tokens = (struct usage_tokens){0};
    relay_note_wait(s->a);
}

/* What a stream of this framing says where it breaks: its own error, behind which an array is closed. */
static struct str own_error(struct stream *s, const struct failure *f)
{
    struct request *r = s->a->r;
    switch (s->in.kind) {
    case PASSED_ARRAY:
        return arena_printf(r->arena, "%s" STR_FMT "\n]", s->elements ? ",\r\n" : "[",
                            STR_ARG(dialect_error(DIALECT_GOOGLE, f, r->arena)));
    case PASSED_MESSAGES:
        return s->a->dialect->write_exception(r, f);
    case PASSED_SSE:
        break;
    }
    return answer_error_event(r, f);
}

/* The provider told of an error midway. Nothing sent yet: a proper error; else its event goes out as the
 * last. */
static enum step end_with_error(struct stream *s)
{
    struct request *r = s->a->r;
    struct failure f = s->failure;
    meter_failed(s);
    METRIC_INC(r->worker->metrics, upstream_error_total);
    log_warn("request %s: provider %s: error inside of a stream", r->id, s->a->conf->name);
    if (s->in.kind != PASSED_MESSAGES)
        s->a->dialect->read_error(r, 502, NULL, s->error_data, &f);
    relay_mask(s->a, &f);
    r->flags |= USAGE_CUT;
    if (r->head_sent && answer_piece(r, gathered(s)) != 0)
        return relay_client_gone(s->a, s->text_bytes);
    struct str close = s->in.kind == PASSED_ARRAY ? STR("\n]") : STR_NULL;
    answer_break(r, &f, s->hidden ? own_error(s, &f) : close);
    return STEP_DONE;
}

static enum step cut(struct stream *s, enum upstream_result res, const struct error *err)
{
    struct request *r = s->a->r;
    struct failure f;
    meter_failed(s);
    relay_failure_of(s->a, res, err, &f);
    r->flags |= USAGE_CUT;
    if (r->head_sent && answer_piece(r, gathered(s)) != 0) /* what came before it broke */
        return relay_client_gone(s->a, s->text_bytes);
    answer_break(r, &f, own_error(s, &f));
    return STEP_DONE;
}

/* Whole without a terminal event, as it is with vendors who send none. */
static bool may_end(const struct stream *s)
{
    if (passed_pending(&s->in) > 0)
        return false;
    if (s->finished)
        return true;
    bool begun = s->in.kind == PASSED_SSE || (s->in.kind == PASSED_MESSAGES && s->a->r->stream_events > 0);
    return !s->needs_last && begun;
}

/* OpenAI's callers get their terminal event, an array is closed. */
static enum step end_without_last(struct stream *s)
{
    enum endpoint e = s->a->r->match.endpoint;
    forget(s);
    if (s->in.kind == PASSED_ARRAY)
        add(s, STR("\n]"));
    if (s->finished && (e == EP_CHAT || e == EP_COMPLETIONS)) {
        add(s, STR("data: [DONE]\n\n"));
        if (s->join)
            stream_join_event(s->join, STR("[DONE]"));
    }
    return end(s);
}

struct str relay_heartbeat(const struct request *r)
{
    if (r->dialect == DIALECT_ANTHROPIC && r->match.endpoint != EP_NATIVE)
        return STR("event: ping\ndata: {\"type\": \"ping\"}\n\n");
    if (translate_array(r))
        return STR("\n"); /* between the elements */
    if (r->dialect == DIALECT_GOOGLE && r->match.endpoint != EP_NATIVE)
        return STR("\n\n"); /* google-genai takes a comment for an answer that it can't read */
    return STR(": ping\n\n");
}

static int heartbeat(struct stream *s)
{
    struct request *r = s->a->r;
    return answer_piece(r, relay_heartbeat(r));
}

/* A chat completion's stream under the Responses endpoint: told as what was asked for. */
static enum step as_chat(struct stream *s)
{
    struct request *r = s->a->r;
    struct str events = gathered(s), rest = sse_rest(&s->in.sse);
    struct buf held = {
        .p = arena_alloc(r->arena, events.n + rest.n), .cap = events.n + rest.n, .max = events.n + rest.n};
    buf_add(&held, events);
    buf_add(&held, rest);
    r->tokens = (struct usage_tokens){0};
    r->tokens_known = false;
    if (translate_passed_stream(s->a, buf_str(&held)) == STEP_DONE)
        return STEP_DONE;
    struct error err = {""};
    error_set(&err, "a chat completion in answer to a call of the Responses endpoint");
    return cut(s, UPSTREAM_MALFORMED, &err);
}

static enum step run(struct stream *s, struct str held)
{
    struct request *r = s->a->r;
    struct error err = {""};
    struct str data = held;
    for (bool first = held.n > 0;; first = false) {
        enum upstream_result res = first ? UPSTREAM_OK : upstream_read(s->a->up, &data, &err);
        if (res == UPSTREAM_QUIET) {
            if (heartbeat(s) != 0)
                return relay_client_gone(s->a, s->text_bytes);
            continue;
        }
        if (res == UPSTREAM_END && passed_pending(&s->in) > 0 && take_unended_last(s))
            return end(s);
        if (res == UPSTREAM_END && may_end(s))
            return end_without_last(s);
        if (res == UPSTREAM_END)
            return error_set(&err, "stream ended before its terminal event"), cut(s, UPSTREAM_CUT, &err);
        if (res == UPSTREAM_CLIENT_GONE)
            return relay_client_gone(s->a, s->text_bytes);
        if (res != UPSTREAM_OK)
            return cut(s, res, &err);
        if (take(s, data) != 0)
            return error_set(&err, "%s", passed_broken(&s->in)), cut(s, UPSTREAM_MALFORMED, &err);
        if (s->chat && !r->head_sent)
            return as_chat(s);
        if (s->error)
            return end_with_error(s);
        if (s->last)
            return end(s);
        if (s->early)
            return error_set(&err, "stream ended before its last element"), cut(s, UPSTREAM_CUT, &err);
        show_progress(s);
        if (answer_piece(r, gathered(s)) != 0)
            return relay_client_gone(s->a, s->text_bytes);
        forget(s);
        arena_reset(&s->scratch);
    }
}

static struct str type_of(const struct attempt *a, enum passed_kind kind)
{
    struct str type;
    if (kind == PASSED_SSE)
        return STR("text/event-stream");
    return http_find(a->head, "content-type", &type) && type.n > 0 ? type : STR("application/json");
}

enum step relay_stream_of(struct attempt *a, enum passed_kind kind, struct str held)
{
    struct request *r = a->r;
    enum endpoint e = r->match.endpoint;
    struct stream s = {
        .a = a,
        .keep_usage = !a->call.usage_added,
        .needs_last = endpoint_generates(e),
    };
    passed_init(&s.in, kind);
    buf_init(&s.out, 2 * MAX_SSE_EVENT);
    if (r->cache_store)
        s.join = stream_join_new(e, false, r->worker->config->cache.max_entry);
    r->flags |= USAGE_STREAMED;
    answer_begin(r, a->head->status, type_of(a, kind));
    if (e != EP_NATIVE) /* a native stream's silence is its own */
        upstream_heartbeat(a->up, r->worker->config->http.heartbeat_ms);
    arena_init(&s.scratch);
    r->scratch = &s.scratch;
    enum step step = run(&s, held);
    r->scratch = NULL;
    arena_fini(&s.scratch);
    stream_join_free(&s.join);
    buf_free(&s.out);
    passed_free(&s.in);
    return step;
}

enum step relay_stream(struct attempt *a)
{
    return relay_stream_of(a, PASSED_SSE, STR_NULL);
}

/* Tells a provider's successful answer in the caller's dialect, whole or as a stream. Run by workers only.
 *
 * A stream ends properly only where the provider's did: its terminal frame, or, for those who send none, all
 * choices finished. Everything else is told as the caller's in-band error, and recorded as cut. Nothing is
 * sent before something was generated, so that a provider that fails at once is still answered with a status.
 */
#include "translate.h"

#include "answer.h"
#include "chat_stream.h"
#include "clock.h"
#include "custom_tool.h"
#include "frames.h"
#include "log.h"
#include "scoreboard.h"

#include <string.h>

struct translated {
    struct attempt *a;
    struct chat_writer writer;
    struct chat_sink sink;
    struct chat_reader reader;
    struct arena scratch;
    struct buf out;
    struct failure f;
    struct frames frames;
    struct stream_join *join; /* for the cache, of what was written; NULL: it is not to be stored */
    size_t arena_before;      /* of the request's arena, before the answer */
};

enum {
    MAX_UNSENT = 64 * 1024,    /* of events in which nothing generated has come yet */
    MAX_STATE = 4 * MAX_ANSWER /* of memory that a stream's reader and writer take for good */
};

static const struct failure too_large_failure = {.status = 502,
                                                 .type = "server_error",
                                                 .code = "upstream_malformed",
                                                 .message =
                                                     STR("The provider's answer is too large to be told.")};

/* ---- before and after */

static void begin(struct translated *t, struct attempt *a)
{
    struct request *r = a->r;
    memset(t, 0, sizeof(*t));
    t->a = a;
    t->writer = (struct chat_writer){
        .r = r, .in = r->chat, .dialect = chat_dialect_of(r->match.endpoint), .model = r->target_model};
    t->reader = (struct chat_reader){.r = r,
                                     .conf = a->conf,
                                     .in = r->chat,
                                     .arena = r->arena,
                                     .scratch = &t->scratch,
                                     .f = &t->f,
                                     .sink = &t->sink};
    t->sink = (struct chat_sink){.reader = &t->reader, .writer = &t->writer, .out = &t->out};
    t->writer.scratch = &t->scratch;
    t->arena_before = r->arena->used;
    arena_init(&t->scratch);
    buf_init(&t->out, (size_t)4 * MAX_ANSWER);
}

static void end(struct translated *t)
{
    buf_free(&t->out);
    arena_fini(&t->scratch);
}

static const char *stream_type(const struct translated *t)
{
    const struct chat_dialect *d = t->writer.dialect;
    const char *type = d->stream_type_of ? d->stream_type_of(t->a->r) : NULL;
    type = type ? type : d->stream_type;
    return type ? type : "text/event-stream";
}

bool translate_array(const struct request *r)
{
    const struct chat_dialect *d = chat_dialect_of(r->match.endpoint);
    return r->stream && d && d->stream_type_of && d->stream_type_of(r);
}

/* ---- whole answers */

static uint64_t bytes_of(const struct chat_answer *answer)
{
    uint64_t n = 0;
    for (size_t i = 0; i < answer->n_choices; i++)
        for (size_t k = 0; k < answer->choices[i].n_parts; k++)
            n += answer->choices[i].parts[k].text.n + answer->choices[i].parts[k].arguments.n;
    return n;
}

static void take_usage(struct translated *t, const struct chat_answer *answer)
{
    struct request *r = t->a->r;
    relay_note_wait(t->a);
    if (answer->usage_known) {
        r->tokens = answer->usage;
        r->tokens_known = true;
    }
    relay_estimate(r, bytes_of(answer));
    t->writer.usage = r->tokens;
    t->writer.usage_known = answer->usage_known;
}

/* Providers that say "stop" beside a tool call. */
static void mend_finish(struct chat_answer *answer)
{
    for (size_t i = 0; i < answer->n_choices; i++) {
        struct chat_choice *c = &answer->choices[i];
        if ((c->finish == FINISH_STOP || c->finish == FINISH_STOP_SEQUENCE) &&
            chat_has(c->parts, c->n_parts, PART_TOOL_CALL))
            c->finish = FINISH_TOOL_CALLS;
    }
}

/* Dialects without a word for it tell an answer that broke off like a whole one. */
static bool is_proper(const struct chat_answer *answer)
{
    for (size_t i = 0; i < answer->n_choices; i++)
        if (!chat_finish_is_proper(answer->choices[i].finish))
            return false;
    return true;
}

static void write_delta(void *arg, const struct chat_delta *d)
{
    chat_sink_take(arg, d);
}

/* What was written did not fit: it is cut somewhere. */
static enum step too_large(struct translated *t)
{
    METRIC_INC(t->a->r->worker->metrics, upstream_malformed_total);
    return answer_failure(t->a->r, &too_large_failure);
}

static enum step tell_as_stream(struct translated *t, const struct chat_answer *answer)
{
    struct request *r = t->a->r;
    t->writer.dialect->begin(&t->writer, &t->out);
    chat_answer_deltas(answer, write_delta, &t->sink);
    t->writer.dialect->end(&t->writer, &t->out);
    if (t->out.full)
        return too_large(t);
    if (answer_at_once(r, 200, str_of(stream_type(t)), buf_str(&t->out)) != 0)
        return relay_client_gone(t->a, bytes_of(answer));
    buf_reset(&t->out);
    if (r->cache_store) {
        t->writer.dialect->write(&t->writer, answer, &t->out);
        request_cache_store(r, buf_str(&t->out));
    }
    return STEP_DONE;
}

static enum step tell_whole(struct translated *t, const struct chat_answer *answer)
{
    struct request *r = t->a->r;
    t->writer.dialect->write(&t->writer, answer, &t->out);
    if (t->out.full)
        return too_large(t);
    answer_whole(r, 200, "application/json", buf_str(&t->out));
    request_cache_store(r, buf_str(&t->out));
    return STEP_DONE;
}

static enum step refused_answer(struct translated *t)
{
    struct request *r = t->a->r;
    METRIC_INC(r->worker->metrics, upstream_malformed_total);
    log_warn("request %s: provider %s: a successful status with an answer that is none", r->id,
             t->a->conf->name);
    relay_note_wait(t->a);
    return relay_tell_failure(t->a, &t->f);
}

static enum step tell(struct translated *t, struct str body)
{
    struct request *r = t->a->r;
    struct chat_answer answer = {0};
    t->reader.scratch = r->arena;
    if (t->a->dialect->read_chat(&t->reader, body, &answer) != 0)
        return refused_answer(t);
    mend_finish(&answer);
    r->cache_store &= is_proper(&answer);
    custom_tool_answer(r->chat, &answer, r->arena);
    take_usage(t, &answer);
    return r->stream ? tell_as_stream(t, &answer) : tell_whole(t, &answer);
}

static enum step whole(struct attempt *a, struct str body)
{
    struct translated t;
    begin(&t, a);
    enum step step = tell(&t, body);
    end(&t);
    return step;
}

/* What passed may be more than we would have understood. */
static bool understood(struct attempt *a)
{
    struct failure f;
    const struct chat_dialect *d = chat_dialect_of(a->r->match.endpoint);
    return d && d->read && a->dialect->read_chat && chat_read(a->r, &f) == 0;
}

enum step translate_passed_whole(struct attempt *a, struct str body)
{
    return understood(a) ? whole(a, body) : STEP_NEXT;
}

bool translate_is_chat(struct str json)
{
    static const char *const paths[] = {"object"};
    struct json_value v;
    return json_scan(json, paths, 1, &v, NULL) == 0 && v.type == JSON_STRING &&
           str_starts(v.raw, STR("\"chat.completion"));
}

/* ---- embeddings, counts */

static enum step embeddings(struct attempt *a, struct str body)
{
    struct request *r = a->r;
    struct failure f;
    struct chat_reader rd = {.r = r, .conf = a->conf, .arena = r->arena, .scratch = r->arena, .f = &f};
    struct embed_answer answer = {0};
    struct buf out;
    relay_note_wait(a);
    if (a->dialect->read_embed(&rd, a->embed, body, &answer) != 0)
        return relay_tell_failure(a, &f);
    if (answer.usage_known) {
        r->tokens = (struct usage_tokens){.input = answer.input_tokens};
        r->tokens_known = true;
    }
    relay_estimate(r, 0);
    answer.input_tokens = r->tokens.input;
    buf_init(&out, (size_t)4 * MAX_ANSWER);
    enum step step =
        embed_dialect_of(r->match.endpoint)->write(r, a->embed, &answer, &out) == 0 && !out.full
            ? answer_whole(r, 200, "application/json", buf_str(&out))
            : answer_error(r, 502, "upstream_malformed", "The provider's embeddings can't be told.");
    request_cache_store(r, buf_str(&out));
    buf_free(&out);
    return step;
}

/* The first vector is an array. */
static bool has_numbers(struct str body)
{
    static const struct str name = STR("\"embedding\"");
    const char *p = body.n > 0 ? memmem(body.p, body.n, name.p, name.n) : NULL, *end = body.p + body.n;
    p = p ? p + name.n : end;
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t' || *p == ':'))
        p++;
    return p < end && *p == '[';
}

enum step translate_passed_embeddings(struct attempt *a, struct str body)
{
    struct request *r = a->r;
    struct failure f;
    const struct embed_dialect *d = embed_dialect_of(r->match.endpoint);
    if (!d || !a->dialect->read_embed || !has_numbers(body))
        return STEP_NEXT;
    struct json_value asked = json_member(json_root(r->body), "encoding_format");
    if (!str_eq(json_text(asked, r->arena), STR("base64")))
        return STEP_NEXT;
    struct embed_request *in = arena_alloc(r->arena, sizeof(*in));
    *in = (struct embed_request){0};
    if (d->read(r, in, &f) != 0)
        return STEP_NEXT;
    a->embed = in;
    return embeddings(a, body);
}

static enum step count(struct attempt *a, struct str body)
{
    struct request *r = a->r;
    struct failure f;
    struct chat_reader rd = {
        .r = r, .conf = a->conf, .in = r->chat, .arena = r->arena, .scratch = r->arena, .f = &f};
    uint64_t tokens = 0;
    relay_note_wait(a);
    r->tokens_known = true; /* costs nothing */
    if (a->dialect->read_count(&rd, body, &tokens) != 0)
        return relay_tell_failure(a, &f);
    return translate_tell_count(a, tokens);
}

/* ---- streams */

/* Everything written so far, in one write. -1: the client is gone. */
static int flush(struct translated *t)
{
    struct request *r = t->a->r;
    if (t->out.n == 0)
        return 0;
    METRIC_INC(r->worker->metrics, stream_events_total);
    if (t->join)
        stream_join_bytes(t->join, buf_str(&t->out));
    int rc = answer_piece(r, buf_str(&t->out));
    buf_reset(&t->out);
    return rc;
}

static void note_first_content(struct translated *t)
{
    struct request *r = t->a->r;
    if (t->sink.content && r->first_byte_ns == 0)
        r->first_byte_ns = clock_mono_ns();
}

static void show_progress(struct translated *t)
{
    struct request *r = t->a->r;
    r->tokens = relay_tokens_so_far(r, t->sink.text_bytes);
    request_record_progress(r);
}

static void meter(struct translated *t, bool failed)
{
    struct request *r = t->a->r;
    bool nothing = failed && !r->head_sent && t->sink.text_bytes == 0;
    if (nothing && !r->tokens_known)
        r->tokens = (struct usage_tokens){0};
    else
        relay_estimate(r, t->sink.text_bytes);
    relay_note_wait(t->a);
}

static enum step end_improperly(struct translated *t, const struct failure *f);

/* What is stored tells the usage, whether or not this caller asked for it. */
static void store(struct translated *t)
{
    stream_join_bytes(t->join, buf_str(&t->out));
    buf_reset(&t->out);
    if (t->writer.dialect->usage)
        t->writer.dialect->usage(&t->writer, &t->out);
    if (t->out.n > 0)
        stream_join_member(t->join, "usage", buf_str(&t->out));
    relay_store_stream(t->a->r, t->join);
}

static enum step end_properly(struct translated *t)
{
    struct request *r = t->a->r;
    meter(t, false);
    t->writer.usage = r->tokens;
    t->writer.usage_known = r->tokens_known;
    t->writer.dialect->end(&t->writer, &t->out);
    if (t->out.full)
        return end_improperly(t, &too_large_failure);
    upstream_last_seen(t->a->up);
    if (answer_end(r, buf_str(&t->out)) != 0)
        return relay_client_gone(t->a, t->sink.text_bytes);
    if (t->join && !t->sink.improper)
        store(t);
    return STEP_DONE;
}

static enum step end_improperly(struct translated *t, const struct failure *f)
{
    struct request *r = t->a->r;
    struct failure g = *f;
    meter(t, true);
    r->flags |= USAGE_CUT;
    g.request_id = r->id;
    if (t->out.full) /* it ends in the middle of an event */
        buf_reset(&t->out);
    if (r->head_sent) {
        t->writer.dialect->fail(&t->writer, &g, &t->out);
        if (flush(t) != 0)
            return relay_client_gone(t->a, t->sink.text_bytes);
    }
    answer_break(r, &g, STR_NULL);
    return STEP_DONE;
}

static enum step cut(struct translated *t, enum upstream_result res, const struct error *err)
{
    struct failure f;
    relay_failure_of(t->a, res, err, &f);
    return end_improperly(t, &f);
}

static enum step failed(struct translated *t)
{
    struct request *r = t->a->r;
    METRIC_INC(r->worker->metrics, upstream_error_total);
    log_warn("request %s: provider %s: error inside of a stream", r->id, t->a->conf->name);
    relay_mask(t->a, &t->f);
    return end_improperly(t, &t->f);
}

static enum frame_result take_frame(struct translated *t, const struct chat_frame *frame)
{
    enum frame_result res = t->a->dialect->read_frame(&t->reader, frame);
    arena_reset(&t->scratch);
    note_first_content(t);
    if (res != FRAME_ERROR && (t->out.full || t->a->r->arena->used - t->arena_before > MAX_STATE)) {
        t->f = too_large_failure;
        return FRAME_ERROR;
    }
    return res;
}

/* FRAME_MORE with *broken: the bytes are no frames. */
static enum frame_result take(struct translated *t, struct str data, bool *broken)
{
    struct chat_frame frame;
    enum frame_result res = FRAME_MORE;
    int got = 0;
    while (data.n > 0 && res == FRAME_MORE && got >= 0) {
        size_t n = data.n < MAX_STREAM_READ ? data.n : MAX_STREAM_READ;
        if (frames_feed(&t->frames, (struct str){data.p, n}) != 0)
            got = -1;
        data.p += n, data.n -= n;
        while (got >= 0 && res == FRAME_MORE && (got = frames_next(&t->frames, &frame)) == 1)
            res = take_frame(t, &frame);
    }
    *broken = got < 0;
    return res;
}

/* The provider has ended its answer without a terminal frame. */
static enum step take_end(struct translated *t)
{
    struct chat_frame frame;
    struct error err = {""};
    enum frame_result res = FRAME_MORE;
    while (res == FRAME_MORE && frames_last(&t->frames, &frame) == 1)
        res = take_frame(t, &frame);
    if (res == FRAME_ERROR)
        return failed(t);
    if (res == FRAME_LAST || (t->a->dialect->whole && t->a->dialect->whole(&t->reader)))
        return end_properly(t);
    error_set(&err, "stream ended before its terminal event");
    return cut(t, UPSTREAM_CUT, &err);
}

static int heartbeat(struct translated *t)
{
    buf_add(&t->out, relay_heartbeat(t->a->r));
    return flush(t);
}

static enum step run(struct translated *t, struct str held)
{
    struct error err = {""};
    struct str data = held;
    for (bool first = held.n > 0;; first = false) {
        bool broken = false;
        enum upstream_result res = first ? UPSTREAM_OK : upstream_read(t->a->up, &data, &err);
        if (res == UPSTREAM_CLIENT_GONE)
            return relay_client_gone(t->a, t->sink.text_bytes);
        if (res == UPSTREAM_END)
            return take_end(t);
        if (res == UPSTREAM_QUIET) {
            if (heartbeat(t) != 0)
                return relay_client_gone(t->a, t->sink.text_bytes);
            continue;
        }
        if (res != UPSTREAM_OK)
            return cut(t, res, &err);
        enum frame_result got = take(t, data, &broken);
        if (broken)
            return error_set(&err, "malformed or oversized event"), cut(t, UPSTREAM_MALFORMED, &err);
        if (got == FRAME_ERROR)
            return failed(t);
        if (got == FRAME_LAST)
            return end_properly(t);
        show_progress(t);
        if ((t->sink.content || chat_sink_finished(&t->sink) || t->out.n > MAX_UNSENT) && flush(t) != 0)
            return relay_client_gone(t->a, t->sink.text_bytes);
    }
}

static enum step stream(struct attempt *a, struct str held)
{
    struct request *r = a->r;
    struct translated t;
    begin(&t, a);
    frames_init(&t.frames, a->dialect->framing);
    if (r->cache_store)
        t.join = stream_join_new(r->match.endpoint, translate_array(r), r->worker->config->cache.max_entry);
    r->flags |= USAGE_STREAMED;
    answer_begin(r, 200, str_of(stream_type(&t)));
    upstream_heartbeat(a->up, r->worker->config->http.heartbeat_ms);
    t.writer.dialect->begin(&t.writer, &t.out);
    enum step step = run(&t, held);
    stream_join_free(&t.join);
    frames_free(&t.frames);
    end(&t);
    return step;
}

enum step translate_passed_stream(struct attempt *a, struct str held)
{
    if (!understood(a))
        return STEP_NEXT;
    a->r->head_out = STR_NULL; /* begun anew */
    a->r->extra.n = a->r->extra_before;
    return stream(a, held);
}

/* ---- which of them */

enum step translate_answer(struct attempt *a)
{
    struct request *r = a->r;
    struct str type = STR_NULL, body;
    struct buf b;
    http_find(a->head, "content-type", &type);
    atomic_store_explicit(&r->worker->line->phase, PHASE_STREAM, memory_order_relaxed);
    if (r->stream && !http_is_json(type))
        return stream(a, STR_NULL);
    enum step step = relay_gather_whole(a, &b, STR_NULL, &body);
    if (step == STEP_NEXT)
        step = a->embed                                    ? embeddings(a, body)
               : endpoint_counts_tokens(r->match.endpoint) ? count(a, body)
                                                           : whole(a, body);
    buf_free(&b);
    return step;
}

/* Relays a provider's answer that is no event stream: whole where it must be looked at (JSON that tells its
 * usage), else in the pieces in which it comes. Run by workers.
 *
 * An answer that claims success is believed only when it is one: a known endpoint's must be a JSON object and
 * no error in disguise. */
#include "relay.h"

#include "answer.h"
#include "clock.h"
#include "json_scan.h"
#include "log.h"
#include "scoreboard.h"
#include "translate.h"

#include <inttypes.h>
#include <string.h>

enum {
    MAX_LOOK = 1024 * 1024, /* an answer of an endpoint that we don't know is looked at up to this size */
};

/* ---- what happened */

static const struct {
    int status;
    const char *code, *message;
} results[] = {
    [UPSTREAM_CONNECT_FAILED] = {502, "upstream_connect_failed", "could not be reached"},
    [UPSTREAM_CONNECT_TIMEOUT] = {504, "upstream_connect_timeout", "could not be connected to in time"},
    [UPSTREAM_FIRST_BYTE_TIMEOUT] = {504, "upstream_first_byte_timeout", "did not begin to answer in time"},
    [UPSTREAM_IDLE_TIMEOUT] = {504, "upstream_idle_timeout", "stopped answering midway"},
    [UPSTREAM_TOTAL_TIMEOUT] = {504, "upstream_total_timeout", "did not finish within the request's time"},
    [UPSTREAM_CUT] = {502, "upstream_cut", "closed the connection before the end of its answer"},
    [UPSTREAM_MALFORMED] = {502, "upstream_malformed", "sent an answer that breaks the protocol"},
};

static void count(struct shm_metrics *m, enum upstream_result res)
{
    if (res == UPSTREAM_CONNECT_FAILED)
        METRIC_INC(m, upstream_connect_failed_total);
    else if (res == UPSTREAM_CUT)
        METRIC_INC(m, upstream_cut_total);
    else if (res == UPSTREAM_MALFORMED)
        METRIC_INC(m, upstream_malformed_total);
    else
        METRIC_INC(m, upstream_timeout_total);
}

void relay_failure_of(struct attempt *a, enum upstream_result res, const struct error *err, struct failure *f)
{
    struct request *r = a->r;
    if ((unsigned)res >= sizeof(results) / sizeof(results[0]) || !results[res].code)
        res = UPSTREAM_MALFORMED;
    count(r->worker->metrics, res);
    log_warn("request %s: provider %s: %s%s%s", r->id, a->conf->name, upstream_result_name(res),
             err && err->text[0] ? ": " : "", err ? err->text : "");
    *f = (struct failure){
        .status = results[res].status,
        .type = results[res].status == 504 ? "timeout" : "server_error",
        .code = results[res].code,
        .message = arena_printf(r->arena, "The provider %s %s.", a->conf->name, results[res].message)};
}

void relay_note_wait(struct attempt *a)
{
    a->r->upstream_ns = a->waited_before_ns + (a->up ? upstream_waited_ns(a->up) : 0);
}

struct usage_tokens relay_tokens_so_far(const struct request *r, uint64_t text_bytes)
{
    struct usage_tokens u = r->told; /* the part of it that some tell at the beginning */
    uint64_t output = (text_bytes + 3) / 4;
    if (r->tokens_known)
        return r->tokens;
    if (u.input == 0)
        u.input = r->prompt_estimate;
    u.output = u.output > output ? u.output : output;
    return u;
}

void relay_estimate(struct request *r, uint64_t text_bytes)
{
    if (r->tokens_known)
        return;
    r->tokens = relay_tokens_so_far(r, text_bytes);
    r->flags |= USAGE_ESTIMATED;
}

enum step relay_client_gone(struct attempt *a, uint64_t text_bytes)
{
    struct request *r = a->r;
    relay_note_wait(a);
    r->client->gone = true;
    r->failed_midway = r->head_sent;
    r->flags |= USAGE_CLIENT_GONE;
    if (r->upstream_called)
        relay_estimate(r, text_bytes);
    return STEP_DONE;
}

/* ---- reading */

enum upstream_result relay_gather(struct attempt *a, struct buf *b, struct str held, size_t most,
                                  struct str *body, struct error *err)
{
    struct str data;
    const struct http_head *h = a->head;
    buf_init(b, most + 64 * 1024);
    buf_add(b, held);
    *body = held.n > 0 ? buf_str(b) : STR("");
    for (;;) {
        enum upstream_result res = upstream_read(a->up, &data, err);
        if (res != UPSTREAM_OK)
            return res;
        bool all = h->body == HTTP_BODY_LENGTH && data.n == h->content_length;
        if (b->n == 0 && all) {
            *body = data; /* stays where it is: the next read finds the end without reading */
            continue;
        }
        if (b->n == 0 && h->body == HTTP_BODY_LENGTH && h->content_length <= most)
            buf_reserve(b, (size_t)h->content_length);
        if (buf_add(b, data) != 0)
            return error_set(err, "answer larger than %zu bytes", most), UPSTREAM_MALFORMED;
        *body = buf_str(b);
        if (b->n > most)
            return UPSTREAM_OK;
    }
}

/* ---- successful answers */

/* Answers that are JSON objects and nothing else. */
static bool always_json(enum endpoint e)
{
    return endpoint_is_metered(e) || endpoint_counts_tokens(e) || e == EP_MODERATIONS || e == EP_RERANK;
}

static struct str content_type(const struct attempt *a, const char *otherwise)
{
    struct str type;
    return http_find(a->head, "content-type", &type) && type.n > 0 ? type : str_of(otherwise);
}

/* Estimates what was not told; an endpoint that is not metered by token has none. */
static void note_usage(struct attempt *a, struct str body)
{
    struct request *r = a->r;
    relay_note_wait(a);
    if (r->tokens_known)
        return;
    if (endpoint_is_metered(r->match.endpoint))
        relay_estimate(r, r->match.endpoint == EP_EMBEDDINGS ? 0 : body.n);
}

static enum step broken(struct attempt *a, enum upstream_result res, const struct error *err)
{
    struct failure f;
    struct request *r = a->r;
    relay_note_wait(a);
    if (res == UPSTREAM_CLIENT_GONE)
        return relay_client_gone(a, 0);
    relay_failure_of(a, res, err, &f);
    r->flags |= USAGE_CUT;
    if (r->head_sent || r->head_out.n > 0)
        return answer_break(r, &f, STR_NULL), STEP_DONE;
    return answer_failure(r, &f);
}

static enum step answer_body(struct attempt *a, struct str body)
{
    struct request *r = a->r;
    char type[256];
    note_usage(a, body);
    str_copy_cut(type, sizeof(type),
                 content_type(a, always_json(r->match.endpoint) ? "application/json" : ""));
    return answer_whole(r, a->head->status, type, body);
}

/* A status without a body (204) answers no POST: there is always something to tell. */
static bool has_answer(const struct attempt *a)
{
    return a->head->body != HTTP_BODY_NONE || str_eq(a->r->head->method, STR("POST"));
}

enum step relay_gather_whole(struct attempt *a, struct buf *b, struct str held, struct str *body)
{
    struct error err = {""};
    enum upstream_result res = relay_gather(a, b, held, MAX_ANSWER, body, &err);
    if (res == UPSTREAM_OK) {
        error_set(&err, "answer larger than %d bytes", MAX_ANSWER);
        res = UPSTREAM_MALFORMED;
    }
    return res == UPSTREAM_END ? STEP_NEXT : broken(a, res, &err);
}

void relay_store_stream(struct request *r, struct stream_join *join)
{
    struct buf answer;
    buf_init(&answer, r->worker->config->cache.max_entry);
    if (stream_join_finish(join, &answer) == 0)
        request_cache_store(r, buf_str(&answer));
    buf_free(&answer);
}

static enum step relay_json_body(struct attempt *a, struct str body)
{
    struct request *r = a->r;
    struct failure f;
    if (r->match.endpoint == EP_EMBEDDINGS && translate_passed_embeddings(a, body) == STEP_DONE)
        return STEP_DONE;
    bool unstreamed = r->stream && endpoint_generates(r->match.endpoint);
    if (unstreamed || (r->match.endpoint == EP_RESPONSES && translate_is_chat(body)))
        if (translate_passed_whole(a, body) == STEP_DONE)
            return STEP_DONE;
    if (has_answer(a) && a->dialect->read_answer(r, body, &f) != 0) {
        METRIC_INC(r->worker->metrics, upstream_malformed_total);
        log_warn("request %s: provider %s: status %d with an answer that is none", r->id, a->conf->name,
                 a->head->status);
        relay_note_wait(a);
        return relay_tell_failure(a, &f);
    }
    struct str mended = a->dialect->mend_answer ? a->dialect->mend_answer(r, body) : STR_NULL;
    if (mended.n > 0)
        body = mended;
    enum step step = answer_body(a, body);
    if (r->cache_store && a->head->status == 200)
        request_cache_store(r, body);
    return step;
}

static enum step relay_json(struct attempt *a, struct str held)
{
    struct buf b;
    struct str body;
    enum step step = relay_gather_whole(a, &b, held, &body);
    if (step == STEP_NEXT)
        step = relay_json_body(a, body);
    buf_free(&b);
    return step;
}

/* The rest of an answer whose first bytes are held, as it comes. */
static enum step relay_pieces(struct attempt *a, struct str first)
{
    struct request *r = a->r;
    struct error err = {""};
    struct str data = first;
    if (endpoint_is_metered(r->match.endpoint))
        relay_estimate(r, 0);
    answer_begin(r, a->head->status, content_type(a, ""));
    for (;;) {
        if (data.n > 0 && answer_piece(r, data) != 0)
            return relay_client_gone(a, 0);
        enum upstream_result res = upstream_read(a->up, &data, &err);
        if (res == UPSTREAM_END)
            break;
        if (res != UPSTREAM_OK)
            return broken(a, res, &err);
    }
    relay_note_wait(a);
    if (answer_end(r, STR_NULL) != 0)
        return relay_client_gone(a, 0);
    return STEP_DONE;
}

/* An endpoint that we only pass through: looked at when it is JSON and small. */
static enum step relay_through(struct attempt *a, struct str held)
{
    struct request *r = a->r;
    struct buf b;
    struct str body;
    struct error err = {""};
    struct failure ignored;
    if (!http_is_json(content_type(a, "")) && a->head->body != HTTP_BODY_NONE)
        return relay_pieces(a, STR_NULL);
    size_t most = r->match.endpoint == EP_IMAGES ? MAX_ANSWER : MAX_LOOK;
    enum upstream_result res = relay_gather(a, &b, held, most, &body, &err);
    enum step step;
    if (res == UPSTREAM_OK)
        step = relay_pieces(a, body);
    else if (res != UPSTREAM_END)
        step = broken(a, res, &err);
    else {
        if (body.n > 0)
            a->dialect->read_answer(r, body,
                                    &ignored); /* for its usage; what it is otherwise is not ours to say */
        if (a->dialect->read_head)
            a->dialect->read_head(r, a->head);
        step = answer_body(a, body);
    }
    buf_free(&b);
    return step;
}

/* ---- what is a stream though its type does not say so */

/* A native call whose answer is Google's array. */
static bool native_array(const struct request *r)
{
    struct str query = r->head->query, one;
    if (r->match.endpoint != EP_NATIVE || !str_ends(r->match.rest, STR(":streamGenerateContent")))
        return false;
    while (str_split(&query, '&', &one))
        if (str_ends(one, STR("alt=sse")))
            return false;
    return true;
}

static bool first_byte(struct str s, char *c)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\r' || s.p[i] == '\n'))
        i++;
    if (i < s.n)
        *c = s.p[i];
    return i < s.n;
}

/* Where the answer to a call that asks for a stream has no, or another, type: as events begin. */
static bool begins_events(const struct request *r, char first)
{
    return r->stream && always_json(r->match.endpoint) && (first == ':' || (first >= 'a' && first <= 'z'));
}

/* An array, and events, are passed on as they come; anything else (an error, an answer that is not streamed)
 * is neither. */
static enum step relay_by_its_beginning(struct attempt *a, bool array)
{
    struct buf held;
    struct str data;
    struct error err = {""};
    char first = 0;
    enum step step;
    enum upstream_result res;
    buf_init(&held, MAX_STREAM_READ);
    while ((res = upstream_read(a->up, &data, &err)) == UPSTREAM_OK && buf_add(&held, data) == 0)
        if (first_byte(data, &first))
            break;
    if (held.full)
        res = UPSTREAM_MALFORMED;
    if (res != UPSTREAM_OK && res != UPSTREAM_END)
        step = broken(a, res, &err);
    else if (array && first == '[')
        step = relay_stream_of(a, PASSED_ARRAY, buf_str(&held));
    else if (begins_events(a->r, first))
        step = relay_stream_of(a, PASSED_SSE, buf_str(&held));
    else if (always_json(a->r->match.endpoint))
        step = relay_json(a, buf_str(&held));
    else
        step = relay_through(a, buf_str(&held));
    buf_free(&held);
    return step;
}

static bool type_is(struct str type, struct str what)
{
    return type.n >= what.n && str_ieq((struct str){type.p, what.n}, what);
}

enum step relay_answer(struct attempt *a)
{
    if (a->translates)
        return translate_answer(a);
    atomic_store_explicit(&a->r->worker->line->phase, PHASE_STREAM, memory_order_relaxed);
    static const char *const names[] = {"content-disposition", "openai-processing-ms"};
    struct str value;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (http_find(a->head, names[i], &value) && value.n <= 512)
            answer_header(a->r, names[i], value);
    struct str type = content_type(a, "");
    if (type_is(type, STR("text/event-stream")))
        return relay_stream(a);
    if (type_is(type, STR("application/vnd.amazon.eventstream")) && a->dialect->read_message)
        return relay_stream_of(a, PASSED_MESSAGES, STR_NULL);
    if (translate_array(a->r) || (native_array(a->r) && http_is_json(type)))
        return relay_by_its_beginning(a, true);
    if (a->r->stream && always_json(a->r->match.endpoint))
        return relay_by_its_beginning(a, false);
    if (always_json(a->r->match.endpoint))
        return relay_json(a, STR_NULL);
    return relay_through(a, STR_NULL);
}

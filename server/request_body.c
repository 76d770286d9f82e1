/* Reads the body and finds in it what the pipeline needs: model, stream, token maxima. Run by workers only.
 *
 * A JSON body passes the strict scanner whole, before anything in it is believed; members that decide
 * something are refused when they stand there twice or have another type than the vendor's. A multipart body
 * is only searched for its "model" field. Everything else is passed on as bytes. */
#include "answer.h"
#include "estimate.h"
#include "multipart.h"

enum member {
    MODEL,
    STREAM,
    STREAM_OPTIONS,
    INCLUDE_USAGE,
    MAX_TOKENS,
    MAX_COMPLETION_TOKENS,
    MAX_OUTPUT_TOKENS,
    N,
    BEST_OF,
    MESSAGES,
    INPUT,
    COMMON_MEMBERS,
    CONTENTS = COMMON_MEMBERS, /* from here on Google's */
    OUTPUT_MAXIMUM,
    OUTPUT_MAXIMUM_SNAKE,
    OUTPUT_MAXIMUM_INNER_SNAKE,
    OUTPUT_MAXIMUM_OUTER_SNAKE,
    CANDIDATES,
    CANDIDATES_SNAKE,
    CANDIDATES_INNER_SNAKE,
    CANDIDATES_OUTER_SNAKE,
    MEMBERS
};

static const char *const members[MEMBERS] = {
    [MODEL] = "model",
    [STREAM] = "stream",
    [STREAM_OPTIONS] = "stream_options",
    [INCLUDE_USAGE] = "stream_options.include_usage",
    [MAX_TOKENS] = "max_tokens",
    [MAX_COMPLETION_TOKENS] = "max_completion_tokens",
    [MAX_OUTPUT_TOKENS] = "max_output_tokens",
    [N] = "n",
    [BEST_OF] = "best_of",
    [MESSAGES] = "messages",
    [INPUT] = "input",
    [CONTENTS] = "contents",
    [OUTPUT_MAXIMUM] = "generationConfig.maxOutputTokens",
    [OUTPUT_MAXIMUM_SNAKE] = "generation_config.max_output_tokens",
    [OUTPUT_MAXIMUM_INNER_SNAKE] =
        "generationConfig.max_output_tokens", /* Google takes either, at each step */
    [OUTPUT_MAXIMUM_OUTER_SNAKE] = "generation_config.maxOutputTokens",
    [CANDIDATES] = "generationConfig.candidateCount",
    [CANDIDATES_SNAKE] = "generation_config.candidate_count",
    [CANDIDATES_INNER_SNAKE] = "generationConfig.candidate_count",
    [CANDIDATES_OUTER_SNAKE] = "generation_config.candidateCount",
};

enum { MAX_N = 128 };

/* What bounds an answer. A caller may give several of them, of which its provider knows some: the largest
 * counts. */
static const enum member maxima[] = {
    MAX_TOKENS,           MAX_COMPLETION_TOKENS,      MAX_OUTPUT_TOKENS,         OUTPUT_MAXIMUM,
    OUTPUT_MAXIMUM_SNAKE, OUTPUT_MAXIMUM_INNER_SNAKE, OUTPUT_MAXIMUM_OUTER_SNAKE};
static const enum member counts[] = {
    N, BEST_OF, CANDIDATES, CANDIDATES_SNAKE, CANDIDATES_INNER_SNAKE, CANDIDATES_OUTER_SNAKE};

/* What an endpoint's body is. */
enum body_kind {
    BODY_IGNORED, /* passed on as it is */
    BODY_JSON,
    BODY_JSON_IF_SO /* JSON where the content type says so, or where it turns out to be an object */
};

static enum step bad(struct request *r, const char *param, const char *code, const char *message)
{
    struct failure f = {.status = 400, .code = code, .param = param, .message = str_of(message)};
    return answer_failure(r, &f);
}

static bool present(const struct json_value *v)
{
    return v->type != JSON_ABSENT && v->type != JSON_NULL;
}

static bool is_bool(const struct json_value *v)
{
    return v->type == JSON_TRUE || v->type == JSON_FALSE;
}

static enum step wrong_type(struct request *r, enum member m, const char *wanted)
{
    return bad(r, members[m], "invalid_type",
               arena_printf(r->arena, "Invalid type for '%s': %s is expected.", members[m], wanted).p);
}

/* ---- the members ---- */

/* The name goes into header lines, log lines and records: text without control bytes. */
static enum step take_model(struct request *r, struct str model)
{
    for (size_t i = 0; i < model.n; i++)
        if ((unsigned char)model.p[i] < 0x20 || model.p[i] == 0x7f)
            return bad(r, "model", "invalid_value", "'model' holds a control character.");
    if (model.n == 0)
        return bad(r, "model", NULL, "'model' is empty: name the model to be used.");
    r->model = model;
    return STEP_NEXT;
}

static bool model_required(const struct request *r)
{
    switch (r->match.endpoint) {
    case EP_CHAT:
    case EP_COMPLETIONS:
    case EP_EMBEDDINGS:
    case EP_MESSAGES:
    case EP_COUNT_TOKENS:
        return true;
    case EP_RESPONSES:
        return str_eq(r->match.rest, STR("/responses"));
    default:
        return false;
    }
}

/* Google names model and method in the path. A "model" in the body must not be another one. */
static bool in_path(const struct request *r)
{
    return r->match.model.n > 0;
}

static enum step check_path_model(struct request *r, const struct json_value *v)
{
    struct str model = percent_decoded(r->match.model, r->arena), told;
    if (v->type == JSON_STRING) {
        told = json_text(*v, r->arena);
        if (str_starts(told, STR("models/")))
            told = (struct str){told.p + 7, told.n - 7};
        if (!str_eq(told, model))
            return bad(r, "model", "invalid_value", "'model' is another one than the path names.");
    }
    return take_model(r, model);
}

static enum step check_model(struct request *r, const struct json_value *v)
{
    if (in_path(r))
        return check_path_model(r, v);
    if (!present(v)) {
        if (model_required(r))
            return bad(r, NULL, NULL, "A model must be named: 'model' is missing.");
        return STEP_NEXT;
    }
    if (v->type != JSON_STRING)
        return wrong_type(r, MODEL, "a string");
    return take_model(r, json_text(*v, r->arena));
}

static enum step check_stream(struct request *r, const struct json_value v[MEMBERS])
{
    if (present(&v[STREAM]) && !is_bool(&v[STREAM]))
        return wrong_type(r, STREAM, "a boolean");
    if (present(&v[STREAM_OPTIONS]) && v[STREAM_OPTIONS].type != JSON_OBJECT)
        return wrong_type(r, STREAM_OPTIONS, "an object");
    if (present(&v[INCLUDE_USAGE]) && !is_bool(&v[INCLUDE_USAGE]))
        return wrong_type(r, INCLUDE_USAGE, "a boolean");
    r->stream = v[STREAM].type == JSON_TRUE;
    if (in_path(r))
        r->stream = r->match.stream;
    if (v[STREAM_OPTIONS].type == JSON_OBJECT && !r->stream && r->match.endpoint == EP_CHAT)
        return bad(r, "stream_options", NULL, "'stream_options' goes with 'stream': true only.");
    r->wants_usage = v[INCLUDE_USAGE].type == JSON_TRUE;
    return STEP_NEXT;
}

static void forget_others(struct json_value v[MEMBERS], const enum member list[], size_t n, int64_t most)
{
    for (size_t i = 0; i < n; i++) {
        struct json_value *w = &v[list[i]];
        int64_t value;
        if (w->type != JSON_NUMBER || json_int(*w, &value) < 0 || value < 1 || value > most)
            w->type = JSON_ABSENT;
    }
}

/* A native call speaks its vendor's language: a member of another type than ours means something else there.
 */
static void forget_foreign(struct json_value v[MEMBERS])
{
    if (v[MODEL].type != JSON_STRING)
        v[MODEL].type = JSON_ABSENT;
    if (!is_bool(&v[STREAM]))
        v[STREAM].type = JSON_ABSENT;
    if (v[STREAM_OPTIONS].type != JSON_OBJECT || !is_bool(&v[INCLUDE_USAGE]))
        v[STREAM_OPTIONS].type = v[INCLUDE_USAGE].type = JSON_ABSENT;
    forget_others(v, maxima, sizeof(maxima) / sizeof(maxima[0]), INT32_MAX);
    forget_others(v, counts, sizeof(counts) / sizeof(counts[0]), MAX_N);
}

/* 0: *n is v's whole number. Google's, which are protobuf's, may be texts and may be written 40.0. */
static int take_whole(const struct request *r, struct json_value v, int64_t *n)
{
    double d;
    bool google = r->match.dialect == DIALECT_GOOGLE;
    if (google && v.type == JSON_STRING && v.raw.n > 2)
        v = json_root((struct str){v.raw.p + 1, v.raw.n - 2});
    if (v.type == JSON_NUMBER && json_int(v, n) == 0)
        return 0;
    if (!google || v.type != JSON_NUMBER || json_double(v, &d) != 0 || d < INT32_MIN || d > INT32_MAX ||
        d != (double)(int64_t)d)
        return -1;
    *n = (int64_t)d;
    return 0;
}

/* An optional positive integer up to `most`; *out becomes it where it is more. */
static enum step check_count(struct request *r, const struct json_value v[MEMBERS], enum member m,
                             int64_t most, uint64_t *out)
{
    int64_t n;
    if (!present(&v[m]))
        return STEP_NEXT;
    if (take_whole(r, v[m], &n) != 0)
        return wrong_type(r, m, "an integer");
    bool zero =
        r->match.endpoint == EP_COMPLETIONS || r->match.endpoint == EP_MESSAGES; /* echo; warm the cache */
    int64_t least = m == MAX_TOKENS && zero ? 0 : 1;
    if (n < least)
        return bad(r, members[m], "integer_below_min_value",
                   arena_printf(r->arena, "'%s' must be at least %lld.", members[m], (long long)least).p);
    if (n > most)
        return bad(r, members[m], "integer_above_max_value",
                   arena_printf(r->arena, "'%s' must be at most %lld.", members[m], (long long)most).p);
    if ((uint64_t)n > *out)
        *out = (uint64_t)n;
    return STEP_NEXT;
}

static enum step check_output(struct request *r, const struct json_value v[MEMBERS])
{
    uint64_t most = 0, n = 1;
    bool told = false;
    if (!endpoint_generates(r->match.endpoint) && r->match.endpoint != EP_NATIVE)
        return STEP_NEXT;
    for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        if (check_count(r, v, maxima[i], INT32_MAX, &most) == STEP_DONE)
            return STEP_DONE;
        told |= present(&v[maxima[i]]);
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (check_count(r, v, counts[i], MAX_N, &n) == STEP_DONE)
            return STEP_DONE;
    if (!told)
        most = r->worker->config->limits.output_reserve;
    r->output_estimate = most * n; /* below 2^31 * 2^7 */
    r->several = n > 1;
    return STEP_NEXT;
}

static enum step check_content(struct request *r, const struct json_value v[MEMBERS])
{
    enum endpoint e = r->match.endpoint;
    if (e == EP_CHAT || e == EP_MESSAGES || e == EP_COUNT_TOKENS) {
        if (!present(&v[MESSAGES]))
            return bad(r, "messages", "missing_required_parameter",
                       "Missing required parameter: 'messages'.");
        if (v[MESSAGES].type != JSON_ARRAY)
            return wrong_type(r, MESSAGES, "an array");
        if (v[MESSAGES].count == 0)
            return bad(r, "messages", "empty_array", "'messages' is empty: at least one is needed.");
    }
    if (e == EP_GENERATE && present(&v[CONTENTS]) && v[CONTENTS].type != JSON_ARRAY &&
        v[CONTENTS].type != JSON_OBJECT)
        return wrong_type(r, CONTENTS, "an array");
    if (e == EP_GENERATE && (!present(&v[CONTENTS]) || v[CONTENTS].count == 0))
        return bad(r, "contents", NULL, "'contents' is missing or empty: at least one is needed.");
    if (e == EP_EMBEDDINGS && !present(&v[INPUT]))
        return bad(r, "input", "missing_required_parameter", "Missing required parameter: 'input'.");
    return STEP_NEXT;
}

/* ---- the forms ---- */

static enum step bad_json(struct request *r, const struct error *err)
{
    METRIC_INC(r->worker->metrics, bad_json_total);
    if (str_starts(r->body, STR("\xef\xbb\xbf")))
        return bad(r, NULL, NULL,
                   "The body begins with a byte order mark, which JSON does not have: leave it out.");
    return bad(
        r, NULL, NULL,
        arena_printf(r->arena, "The body of the request is not valid JSON for this endpoint (%s).", err->text)
            .p);
}

static bool starts_object(struct str s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\r'))
        i++;
    return i < s.n && s.p[i] == '{';
}

static enum step scan_json(struct request *r)
{
    struct json_value v[MEMBERS];
    struct error err = {""};
    bool all = r->match.dialect == DIALECT_GOOGLE || r->match.endpoint == EP_NATIVE;
    for (size_t i = COMMON_MEMBERS; i < MEMBERS; i++)
        v[i] = (struct json_value){.type = JSON_ABSENT};
    r->prompt_estimate = estimate_prompt(r->body);
    if (r->match.endpoint == EP_NATIVE && !starts_object(r->body))
        return json_validate(r->body, &err) < 0 ? bad_json(r, &err) : STEP_NEXT;
    if (json_scan(r->body, members, all ? MEMBERS : COMMON_MEMBERS, v, &err) < 0)
        return bad_json(r, &err);
    if (r->match.endpoint == EP_NATIVE)
        forget_foreign(v);
    if (check_model(r, &v[MODEL]) == STEP_DONE || check_stream(r, v) == STEP_DONE ||
        check_output(r, v) == STEP_DONE)
        return STEP_DONE;
    return check_content(r, v);
}

static enum step scan_multipart(struct request *r, struct str boundary)
{
    struct str model = STR_NULL;
    int found = multipart_field(r->body, boundary, "model", &model);
    if (found < 0)
        return bad(r, NULL, NULL, "The multipart body is malformed, or names more than one model.");
    return found == 0 ? STEP_NEXT : take_model(r, arena_copy(r->arena, model));
}

static enum body_kind body_kind(const struct request *r)
{
    bool post = str_eq(r->head->method, STR("POST"));
    switch (r->match.endpoint) {
    case EP_CHAT:
    case EP_COMPLETIONS:
    case EP_EMBEDDINGS:
    case EP_MODERATIONS:
    case EP_RERANK:
    case EP_IMAGES:
    case EP_AUDIO:
    case EP_MESSAGES:
    case EP_COUNT_TOKENS:
    case EP_GENERATE:
    case EP_COUNT_CONTENT:
    case EP_EMBED_CONTENT:
        return BODY_JSON;
    case EP_RESPONSES:
    case EP_BATCHES: /* …/cancel takes no body */
        return post && (r->body.n > 0 || model_required(r)) ? BODY_JSON : BODY_IGNORED;
    case EP_NATIVE:
    case EP_FILES:
        return r->body.n > 0 ? BODY_JSON_IF_SO : BODY_IGNORED;
    default:
        return BODY_IGNORED;
    }
}

/* Endpoints that take forms as well as JSON. */
static bool takes_form(enum endpoint e)
{
    return e == EP_IMAGES || e == EP_AUDIO || e == EP_FILES || e == EP_NATIVE;
}

static enum step refuse_form(struct request *r, struct str type)
{
    METRIC_INC(r->worker->metrics, bad_json_total);
    return answer_error(r, 400, NULL,
                        "This endpoint takes JSON, and the body is not: its content-type is %.*s.",
                        (int)(type.n < 80 ? type.n : 80), type.p);
}

/* True: it is packed in some way, which neither we nor a provider would unpack. */
static bool is_encoded(const struct http_head *head, struct str *coding)
{
    for (size_t i = 0; i < head->n; i++) {
        *coding = head->headers[i].value;
        if (str_ieq(head->headers[i].name, STR("content-encoding")) && coding->n > 0 &&
            !str_ieq(*coding, STR("identity")))
            return true;
    }
    return false;
}

static enum step refuse_encoded(struct request *r, struct str coding)
{
    answer_header(r, "accept-encoding", STR("identity"));
    return answer_error(
        r, 415, "unsupported_content_encoding",
        "The body is packed (content-encoding: %.*s), which is not supported: send it as it is.",
        (int)(coding.n < 40 ? coding.n : 40), coding.p);
}

/* What was read as JSON is passed on as JSON, whatever curl's -d calls it. */
static void call_it_json(struct request *r)
{
    for (size_t i = 0; i < r->head->n; i++)
        if (str_ieq(r->head->headers[i].name, STR("content-type")))
            r->head->headers[i].value = STR("application/json");
}

/* A native body of another or of no content type: JSON if it is, else bytes that are passed on. */
static enum step scan_unnamed(struct request *r)
{
    struct json_value none;
    if (!starts_object(r->body) || json_scan(r->body, NULL, 0, &none, NULL) < 0)
        return STEP_NEXT;
    return scan_json(r);
}

static enum step scan(struct request *r)
{
    struct str type = STR_NULL, boundary, coding;
    enum body_kind kind = body_kind(r);
    if (r->body.n > 0 && is_encoded(r->head, &coding))
        return refuse_encoded(r, coding);
    http_find(r->head, "content-type", &type);
    if (kind != BODY_IGNORED && takes_form(r->match.endpoint) && multipart_type(type, &boundary))
        return scan_multipart(r, boundary);
    if (kind == BODY_IGNORED)
        return STEP_NEXT;
    if (kind == BODY_JSON_IF_SO)
        return http_is_json(type) ? scan_json(r) : scan_unnamed(r);
    if (!http_is_json(type)) {
        if (type.n > 0 && !starts_object(r->body))
            return refuse_form(r, type);
        call_it_json(r);
    }
    return scan_json(r);
}

/* ---- reading it ---- */

static enum step refuse_body(struct request *r, enum client_result got, const struct http_refusal *why)
{
    struct client *c = r->client;
    switch (got) {
    case CLIENT_WAITS:
        c->waits = true;
        return STEP_DONE;
    case CLIENT_TOO_SLOW:
        c->must_close = true;
        return answer_error(r, 408, NULL, "The request's body did not arrive in time.");
    case CLIENT_REFUSED:
        c->must_close = true;
        if (why->status == 400)
            METRIC_INC(r->worker->metrics, malformed_total);
        return answer_error(r, why->status, why->status == 413 ? "request_too_large" : NULL, "%s",
                            why->reason);
    default:
        c->must_close = true; /* it left midway: nobody is left to answer */
        c->gone = true;
        return STEP_DONE;
    }
}

enum step request_read_body(struct request *r)
{
    struct http_refusal why = {400, "The request's body is malformed."};
    const char *before = r->client->in.p;
    enum client_result got = client_read_body(r->client, r->head, &r->decoded, &r->body, &why);
    if (got != CLIENT_OK)
        return refuse_body(r, got, &why);
    if (r->client->in.p != before) /* the head's bytes moved, and with them what was matched in them */
        r->match = endpoint_match(r->head->method, r->head->path);
    return scan(r);
}

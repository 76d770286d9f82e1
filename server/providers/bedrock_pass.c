/* Metering native calls, which pass as they are: Converse and its stream, and invoke, whose answers and
 * streams are in their model's own language. Run by workers.
 *
 * A stream's messages have been checked (common/eventstream.c) before they come here, and go on unaltered.
 * ConverseStream is whole with its messageStop, behind which its usage comes; the stream of invoke with its
 * model's last event, or with the metrics that AWS adds to it. */
#include "bedrock.h"

#include "anthropic_answer.h"
#include "base64.h"
#include "eventstream.h"
#include "json_out.h"

#include <string.h>

/* ---- whole answers */

/* The first of them that is a count, and was told at all. */
static bool count_of(const struct json_value v[], const int at[], size_t n, uint64_t *out)
{
    int64_t count;
    for (size_t i = 0; i < n; i++)
        if (v[at[i]].type == JSON_NUMBER && json_int(v[at[i]], &count) == 0 && count >= 0 &&
            count <= INT32_MAX) {
            *out = (uint64_t)count;
            return true;
        }
    return false;
}

/* A model's own answer (invoke): its maker's form. What only headers tell can't be seen from here. */
static bool read_invoked(struct request *r, struct str answer)
{
    enum {
        INPUT,
        READ,
        WRITTEN,
        OUTPUT,
        PROMPT,
        COMPLETION,
        CACHED,
        LLAMA_IN,
        LLAMA_OUT,
        TITAN_IN,
        COUNTED,
        COUNT
    };
    static const char *const paths[COUNT] = {
        "usage.input_tokens",
        "usage.cache_read_input_tokens",
        "usage.cache_creation_input_tokens",
        "usage.output_tokens",
        "usage.prompt_tokens",
        "usage.completion_tokens",
        "usage.prompt_tokens_details.cached_tokens",
        "prompt_token_count",
        "generation_token_count",
        "inputTextTokenCount",
        "inputTokens",
    };
    struct json_value v[COUNT];
    struct usage_tokens u = {0};
    uint64_t more = 0;
    if (json_scan(answer, paths, COUNT, v, NULL) != 0)
        return false;
    bool told = count_of(v, (const int[]){INPUT, PROMPT, LLAMA_IN, TITAN_IN, COUNTED}, 5, &u.input);
    told |= count_of(v, (const int[]){OUTPUT, COMPLETION, LLAMA_OUT}, 3, &u.output);
    if (count_of(v, (const int[]){CACHED}, 1, &u.cached))
        u.cached = u.cached < u.input ? u.cached : u.input;
    if (v[INPUT].type == JSON_NUMBER) { /* Anthropic's, told without what was cached */
        if (count_of(v, (const int[]){READ}, 1, &more))
            u.cached = more, u.input += more;
        if (count_of(v, (const int[]){WRITTEN}, 1, &more))
            u.cache_write = more, u.input += more;
    }
    if (told) {
        r->tokens = u;
        r->tokens_known = true;
    }
    return told;
}

int bedrock_read_answer(struct request *r, struct str answer, struct failure *f)
{
    static const char *const paths[] = {"usage"};
    struct json_value usage;
    if (json_scan(answer, paths, 1, &usage, NULL) != 0) {
        *f = (struct failure){.status = 502,
                              .type = "server_error",
                              .code = "upstream_malformed",
                              .message = STR("The provider's answer is no valid JSON object.")};
        return -1;
    }
    if (bedrock_read_usage(usage, &r->tokens))
        r->tokens_known = true;
    else
        read_invoked(r, answer);
    return 0;
}

/* ---- what only the head tells */

static bool count_in(const struct http_head *head, const char *name, uint64_t *out)
{
    struct str value;
    uint64_t n;
    if (!http_find(head, name, &value) || str_u64(value, &n) != 0 || n > INT32_MAX)
        return false;
    *out = n;
    return true;
}

void bedrock_read_head(struct request *r, const struct http_head *head)
{
    struct usage_tokens u = {0};
    bool told = count_in(head, "x-amzn-bedrock-input-token-count", &u.input);
    told |= count_in(head, "x-amzn-bedrock-output-token-count", &u.output);
    count_in(head, "x-amzn-bedrock-cache-read-input-token-count", &u.cached);
    count_in(head, "x-amzn-bedrock-cache-write-input-token-count", &u.cache_write);
    u.input += u.cached + u.cache_write; /* which it is told without */
    if (!told || (r->tokens_known && (r->tokens.output > 0 || u.output == 0)))
        return; /* the body says more, unless it told the prompt's only */
    r->tokens = u;
    r->tokens_known = true;
}

/* ---- streams */

/* Of a string, without its quotes. */
static uint32_t length_of(struct json_value v)
{
    return v.type == JSON_STRING && v.raw.n >= 2 ? (uint32_t)(v.raw.n - 2) : 0;
}

static bool note_usage(struct request *r, struct json_value usage)
{
    struct usage_tokens u;
    if (usage.type != JSON_OBJECT || !bedrock_read_usage(usage, &u))
        return false;
    r->tokens = u;
    r->tokens_known = true;
    return true;
}

/* Converse's events, bare as its stream has them, or as members of one object as Nova's own language has. */
static void read_delta(struct json_value delta, struct stream_event *e)
{
    static const char *const paths[] = {"delta.text", "delta.toolUse.input", "delta.reasoningContent.text"};
    struct json_value v[3];
    if (delta.type != JSON_OBJECT || json_scan(delta.raw, paths, 3, v, NULL) != 0)
        return;
    for (size_t i = 0; i < 3; i++)
        e->text_bytes += length_of(v[i]);
}

/* What AWS adds to the last event of any model's stream: the same counts under names of their own. */
static bool read_metrics(struct request *r, struct json_value metrics)
{
    static const char *const names[] = {"inputTokenCount", "outputTokenCount", "cacheReadInputTokenCount",
                                        "cacheWriteInputTokenCount"};
    struct usage_tokens u = {0};
    uint64_t *const to[] = {&u.input, &u.output, &u.cached, &u.cache_write};
    bool told = false;
    for (size_t i = 0; i < 4; i++) {
        struct json_value v = json_member(metrics, names[i]);
        told |= count_of(&v, (const int[]){0}, 1, to[i]);
    }
    if (!told || r->tokens_known) /* the model's own were better: they know reasoning */
        return false;
    u.input += u.cached + u.cache_write;
    r->tokens = u;
    r->tokens_known = true;
    return true;
}

/* The languages of models that have none of Anthropic's or OpenAI's: text, and why it ended, at the top. */
static void read_other(struct request *r, struct str event, struct stream_event *e)
{
    enum { DELTA, STOP, USAGE, OUTPUT_TEXT, GENERATION, TEXT, COMPLETION, REASON, FINISH, COUNT };
    static const char *const paths[COUNT] = {"contentBlockDelta", "messageStop", "metadata.usage",
                                             "outputText",        "generation",  "text",
                                             "completionReason",  "stop_reason", "finish_reason"};
    struct json_value v[COUNT];
    if (json_scan(event, paths, COUNT, v, NULL) != 0)
        return;
    read_delta(v[DELTA], e);
    for (int i = OUTPUT_TEXT; i <= TEXT; i++)
        e->text_bytes += length_of(v[i]);
    e->usage = note_usage(r, v[USAGE]);
    e->finished = v[STOP].type == JSON_OBJECT;
    for (int i = COMPLETION; i <= FINISH; i++)
        e->finished |= v[i].type == JSON_STRING;
}

static void read_anthropic(struct request *r, struct str event, struct stream_event *e, struct failure *f)
{
    *e = anthropic_read_event(r, &(struct sse_event){.raw = event, .data = event, .has_data = true});
    e->finished |= e->last;
    if (e->error)
        anthropic_read_error(r, 502, NULL, event, f);
}

static void read_openai(struct request *r, struct str event, struct stream_event *e, struct failure *f)
{
    struct stream_event seen =
        provider_openai.read_event(r, &(struct sse_event){.raw = event, .data = event, .has_data = true});
    *e = (struct stream_event){.usage = seen.usage, .error = seen.error, .text_bytes = seen.text_bytes};
    if (e->error)
        provider_openai.read_error(r, 502, NULL, event, f);
}

/* A model's own event, in base64. */
static struct stream_event read_chunk(struct request *r, struct str payload, struct failure *f)
{
    enum { TYPE, CHOICES, METRICS, COUNT };
    static const char *const outer[] = {"bytes"};
    static const char *const inner[COUNT] = {"type", "choices", "amazon-bedrock-invocationMetrics"};
    struct stream_event e = {0};
    struct json_value bytes, v[COUNT];
    struct str event;
    if (json_scan(payload, outer, 1, &bytes, NULL) == 0 && bytes.type == JSON_STRING &&
        base64_decode(json_text(bytes, request_scratch(r)), request_scratch(r), &event) == 0 &&
        json_scan(event, inner, COUNT, v, NULL) == 0) {
        if (v[TYPE].type == JSON_STRING)
            read_anthropic(r, event, &e, f);
        else if (v[CHOICES].type == JSON_ARRAY)
            read_openai(r, event, &e, f);
        else
            read_other(r, event, &e);
        e.finished |= v[METRICS].type == JSON_OBJECT;
        e.usage |= read_metrics(r, v[METRICS]);
    }
    e.begun = true;
    e.last = false; /* the stream's own end is the end */
    e.instead = STR_NULL;
    return e;
}

struct stream_event bedrock_read_message(struct request *r, const struct chat_frame *m, struct failure *f)
{
    struct stream_event e = {0};
    if (m->exception) {
        bedrock_read_exception(r, m->name, m->data, f);
        e.error = true;
        return e;
    }
    if (str_eq(m->name, STR("chunk")))
        return read_chunk(r, m->data, f);
    e.begun = str_eq(m->name, STR("messageStart")) || str_starts(m->name, STR("contentBlock"));
    e.finished = str_eq(m->name, STR("messageStop"));
    if (str_eq(m->name, STR("contentBlockDelta")))
        read_delta(json_root(m->data), &e);
    else if (str_eq(m->name, STR("metadata")))
        e.usage = note_usage(r, json_member(json_root(m->data), "usage"));
    return e;
}

/* ---- a stream that breaks here */

struct str bedrock_write_exception(struct request *r, const struct failure *f)
{
    enum { MAX_WORDS = 4096, FRAME = 512 };
    struct str words = {f->message.p, f->message.n < MAX_WORDS ? f->message.n : MAX_WORDS};
    size_t max = 12 + 6 * words.n + 64;
    struct buf payload = {.p = arena_alloc(r->arena, max), .cap = max, .max = max};
    struct buf frame = {.p = arena_alloc(r->arena, max + FRAME), .cap = max + FRAME, .max = max + FRAME};
    struct str kind = f->status == 429   ? STR("throttlingException")
                      : f->status == 503 ? STR("serviceUnavailableException")
                      : f->status == 500 ? STR("internalServerException")
                                         : STR("modelStreamErrorException");
    buf_add(&payload, STR("{\"message\":"));
    json_put_string(&payload, words);
    buf_add(&payload, STR("}"));
    return eventstream_put_exception(&frame, kind, buf_str(&payload)) == 0 ? buf_str(&frame) : STR_NULL;
}

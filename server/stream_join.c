/* Streams put together as the vendors' own SDKs do it, a set of rules for each dialect:
 *   OpenAI chat, completions: deltas of strings are joined, objects merged, arrays joined, tool calls matched
 *     by their index; what comes again whole (ids, types, roles) replaces.
 *   OpenAI Responses: the last event repeats the whole answer.
 *   Anthropic: blocks by their index, each begun whole and grown by its deltas; message_delta replaces.
 *   Google: each chunk is an answer of its own; neighbouring texts without a signature are one part, the
 *     other parts stay as they are, what stands beside them replaces what came before.
 * Run by workers. */
#include "stream_join.h"

#include "json_merge.h"
#include "limits.h"
#include "mem.h"
#include "sse.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 64 * 1024 };

struct stream_join {
    enum endpoint endpoint;
    bool array, done, failed;
    size_t max;
    struct json_merge m;
    struct json_node *answer;
    uint32_t items;        /* Responses: told of before the end */
    struct sse_reader sse; /* of stream_join_bytes */
    struct buf text;       /* array: its bytes so far */
};

static bool known(enum endpoint e)
{
    return endpoint_generates(e);
}

struct stream_join *stream_join_new(enum endpoint e, bool array, size_t max_bytes)
{
    if (!known(e))
        return NULL;
    struct stream_join *j = mem_alloc(sizeof(*j));
    *j = (struct stream_join){.endpoint = e, .array = array, .max = max_bytes};
    json_merge_init(&j->m, 4 * max_bytes + ROOM); /* texts grow by doubling */
    sse_init(&j->sse);
    buf_init(&j->text, 4 * max_bytes + ROOM);
    j->answer = json_node_new(&j->m);
    return j;
}

static void give_up(struct stream_join *j)
{
    j->failed = true;
    json_merge_fini(&j->m);
    sse_free(&j->sse);
    buf_free(&j->text);
}

void stream_join_free(struct stream_join **j)
{
    if (!*j)
        return;
    give_up(*j);
    free(*j);
    *j = NULL;
}

static bool present(struct json_value v)
{
    return v.type != JSON_ABSENT && v.type != JSON_NULL;
}

static bool is(struct json_value v, const char *text)
{
    return v.type == JSON_STRING && str_eq((struct str){v.raw.p + 1, v.raw.n - 2}, str_of(text));
}

static struct json_value literal(struct str json)
{
    return json_root(json);
}

static void merge_members(struct stream_join *j, struct json_node *into, struct json_value v,
                          enum merge_mode mode, const char *const but[])
{
    json_node_merge_members(&j->m, into, v, mode, but);
}

/* Where it is told, it must be one: readers differ in what they make of others. */
static int64_t index_of(struct stream_join *j, struct json_value told, int64_t otherwise)
{
    struct json_value v = json_member(told, "index");
    int64_t index = otherwise;
    if (present(v))
        j->m.failed |= json_int(v, &index) != 0 || index < 0 || index > INT32_MAX;
    return index;
}

/* ---- OpenAI chat, completions */

static void join_calls(struct stream_join *j, struct json_node *calls, struct json_value more)
{
    static const char *const but[] = {"index", NULL};
    struct json_value call;
    size_t at = 0;
    json_node_merge(&j->m, calls, literal(STR("[]")), MERGE_JOIN);
    while (!j->m.failed && json_next(more.raw, &at, NULL, &call) == 1) {
        if (call.type != JSON_OBJECT) {
            j->m.failed = true;
            return;
        }
        int64_t index = index_of(j, call, calls->last ? calls->last->index + 1 : 0);
        struct json_node *known_call = json_node_at(&j->m, calls, index);
        if (known_call->type == JSON_ABSENT)
            json_node_set(&j->m, known_call, literal(STR("{}")));
        merge_members(j, known_call, call, MERGE_JOIN, but);
    }
}

static bool same_member(struct stream_join *j, struct json_node *n, struct json_value v, const char *name)
{
    struct json_node *member = json_node_find(&j->m, n, name);
    return member && str_eq(buf_str(&member->raw), json_member(v, name).raw);
}

/* OpenRouter's reasoning: neighbours of one kind are pieces of one, others (encrypted ones) stay apart. */
static void join_detail(struct stream_join *j, struct json_node *details, struct json_value more)
{
    static const char *const texts[] = {"text", "summary", NULL};
    struct json_value type = json_member(more, "type");
    struct json_node *last = details->last;
    bool grows = last && (is(type, "reasoning.text") || is(type, "reasoning.summary")) &&
                 same_member(j, last, more, "type") && same_member(j, last, more, "index");
    if (!grows) {
        json_node_set(&j->m, json_node_push(&j->m, details), more);
        return;
    }
    merge_members(j, last, more, MERGE_REPLACE, texts);
    for (size_t i = 0; texts[i]; i++) {
        struct json_value text = json_member(more, texts[i]);
        if (text.type != JSON_ABSENT)
            json_node_merge(&j->m, json_node_member(&j->m, last, str_of(texts[i])), text, MERGE_JOIN);
    }
}

/* Groq's own tools: told when they begin, and again, whole, when they have come back. */
static void join_executed(struct stream_join *j, struct json_node *tools, struct json_value more)
{
    static const char *const none[] = {NULL};
    struct json_node *tool = json_node_at(&j->m, tools, index_of(j, more, tools->n_children));
    merge_members(j, tool, more, MERGE_REPLACE, none);
}

static void join_calls_of(struct stream_join *j, struct json_node *message, struct json_value delta)
{
    struct json_value calls = json_member(delta, "tool_calls");
    if (calls.type == JSON_ARRAY)
        join_calls(j, json_node_member(&j->m, message, STR("tool_calls")), calls);
    else if (present(calls))
        j->m.failed = true;
}

/* Lists whose elements come in pieces. */
static void join_lists(struct stream_join *j, struct json_node *message, struct json_value delta)
{
    static const struct {
        const char *name;
        void (*join)(struct stream_join *j, struct json_node *list, struct json_value more);
    } lists[] = {{"reasoning_details", join_detail}, {"executed_tools", join_executed}};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct json_value list = json_member(delta, lists[i].name), e;
        if (!present(list))
            continue;
        struct json_node *known_list = json_node_member(&j->m, message, str_of(lists[i].name));
        j->m.failed |= list.type != JSON_ARRAY;
        json_node_merge(&j->m, known_list, literal(STR("[]")), MERGE_JOIN);
        for (size_t at = 0; !j->m.failed && json_next(list.raw, &at, NULL, &e) == 1;) {
            j->m.failed |= e.type != JSON_OBJECT;
            lists[i].join(j, known_list, e);
        }
    }
}

static void join_delta(struct stream_join *j, struct json_node *message, struct json_value delta)
{
    static const char *const but[] = {"tool_calls", "reasoning_details", "executed_tools", NULL};
    merge_members(j, message, delta, MERGE_JOIN, but);
    join_calls_of(j, message, delta);
    join_lists(j, message, delta);
}

static void begin_choice(struct stream_join *j, struct json_node *choice, int64_t index)
{
    json_node_set(&j->m, choice, literal(STR("{}")));
    struct json_value number = {.type = JSON_NUMBER,
                                .raw = arena_printf(&j->m.arena, "%lld", (long long)index)};
    json_node_set(&j->m, json_node_member(&j->m, choice, STR("index")), number);
    if (j->endpoint == EP_CHAT)
        json_node_set(&j->m, json_node_member(&j->m, choice, STR("message")), literal(STR("{}")));
}

static void join_choice(struct stream_join *j, struct json_node *choices, struct json_value told)
{
    static const char *const but[] = {"index", "delta", "message", "finish_reason", "logprobs", "text", NULL};
    if (told.type != JSON_OBJECT) {
        j->m.failed = true;
        return;
    }
    int64_t index = index_of(j, told, 0);
    struct json_node *choice = json_node_at(&j->m, choices, index);
    if (choice->type == JSON_ABSENT)
        begin_choice(j, choice, index);
    struct json_value delta = json_member(told, "delta"), finish = json_member(told, "finish_reason");
    if (delta.type == JSON_OBJECT && j->endpoint == EP_CHAT)
        join_delta(j, json_node_member(&j->m, choice, STR("message")), delta);
    else if (present(delta))
        j->m.failed = true;
    for (size_t i = 4; i < 6; i++) {
        struct json_value v = json_member(told, but[i]);
        if (v.type != JSON_ABSENT)
            json_node_merge(&j->m, json_node_member(&j->m, choice, str_of(but[i])), v, MERGE_JOIN);
    }
    json_node_merge(&j->m, json_node_member(&j->m, choice, STR("finish_reason")), finish, MERGE_REPLACE);
    merge_members(j, choice, told, MERGE_COLLECT, but);
}

/* Azure's first chunk has an empty one, some have none, or one that names the last. */
static bool is_chunk(const struct stream_join *j, struct json_value object)
{
    struct str name = j->endpoint == EP_CHAT ? STR("\"chat.completion") : STR("\"text_completion");
    return !present(object) || is(object, "") || str_starts(object.raw, name);
}

/* What the first chunk tells of it counts; Azure's first one leaves it empty. */
static void join_head(struct stream_join *j, const char *name, struct json_value told)
{
    struct json_node *known_one = json_node_member(&j->m, j->answer, str_of(name));
    struct str raw = buf_str(&known_one->raw);
    bool empty = known_one->type == JSON_ABSENT || known_one->type == JSON_NULL || str_eq(raw, STR("\"\"")) ||
                 str_eq(raw, STR("0"));
    if (empty && told.type != JSON_ABSENT)
        json_node_merge(&j->m, known_one, told, MERGE_REPLACE);
}

/* Obfuscation, Mistral's "p", is padding of the stream. */
static void join_chunk(struct stream_join *j, struct str data)
{
    enum { ID, CREATED, MODEL, CHOICES, OBJECT, USAGE, ERROR, COUNT };
    static const char *const paths[COUNT] = {"id", "created", "model", "choices", "object", "usage", "error"};
    static const char *const but[] = {"id",    "created",     "model", "choices", "object",
                                      "usage", "obfuscation", "p",     NULL};
    struct json_value v[COUNT], told;
    size_t at = 0;
    if (str_eq(str_trim(data), STR("[DONE]"))) {
        j->done = true;
        return;
    }
    j->m.failed |= json_scan(data, paths, COUNT, v, NULL) != 0 || present(v[ERROR]) ||
                   !is_chunk(j, v[OBJECT]) || (present(v[CHOICES]) && v[CHOICES].type != JSON_ARRAY);
    if (j->m.failed)
        return;
    json_node_set(&j->m, json_node_member(&j->m, j->answer, STR("object")),
                  literal(j->endpoint == EP_CHAT ? STR("\"chat.completion\"") : STR("\"text_completion\"")));
    for (size_t i = ID; i <= MODEL; i++)
        join_head(j, paths[i], v[i]);
    if (present(v[USAGE])) /* the last one counts, whatever earlier ones had */
        json_node_set(&j->m, json_node_member(&j->m, j->answer, STR("usage")), v[USAGE]);
    merge_members(j, j->answer, (struct json_value){.raw = data}, MERGE_REPLACE, but);
    struct json_node *choices = json_node_member(&j->m, j->answer, STR("choices"));
    if (choices->type == JSON_ABSENT)
        json_node_set(&j->m, choices, literal(STR("[]")));
    while (!j->m.failed && present(v[CHOICES]) && json_next(v[CHOICES].raw, &at, NULL, &told) == 1)
        join_choice(j, choices, told);
}

/* An array's elements need an index only where it comes in pieces. */
static void forget_indices(struct stream_join *j, struct json_node *message, const char *name)
{
    struct json_node *list = json_node_find(&j->m, message, name), *index;
    if (!list || list->type != JSON_ARRAY)
        return;
    json_node_open(&j->m, list);
    int64_t place = 0, told;
    for (struct json_node *e = list->first; e; e = e->next, place++)
        if ((index = json_node_find(&j->m, e, "index")) != NULL &&
            json_int(json_root(buf_str(&index->raw)), &told) == 0 && told == place)
            index->type = JSON_ABSENT;
}

static void otherwise_null(struct stream_join *j, struct json_node *n, const char *name)
{
    struct json_node *member = json_node_member(&j->m, n, str_of(name));
    if (member->type == JSON_ABSENT)
        json_node_set(&j->m, member, literal(STR("null")));
}

static bool finish_choices(struct stream_join *j)
{
    struct json_node *choices = json_node_find(&j->m, j->answer, "choices");
    if (!j->done || !choices || !choices->first)
        return false;
    for (struct json_node *c = choices->first; c; c = c->next) {
        struct json_node *finish = json_node_find(&j->m, c, "finish_reason"), *message;
        if (!finish || finish->type != JSON_STRING)
            return false;
        otherwise_null(j, c, "logprobs");
        if (j->endpoint != EP_CHAT)
            continue;
        message = json_node_member(&j->m, c, STR("message"));
        otherwise_null(j, message, "content");
        forget_indices(j, message, "thinking_blocks");
        forget_indices(j, message, "annotations");
        forget_indices(j, message, "images");
    }
    return true;
}

/* ---- OpenAI Responses */

static void join_response(struct stream_join *j, struct str data)
{
    static const char *const paths[] = {"type", "response"};
    struct json_value v[2];
    if (str_eq(str_trim(data), STR("[DONE]")))
        return;
    j->m.failed |= json_scan(data, paths, 2, v, NULL) != 0 || v[0].type != JSON_STRING || is(v[0], "error") ||
                   is(v[0], "response.failed");
    if (j->m.failed)
        return;
    j->items += is(v[0], "response.output_item.done");
    if (!is(v[0], "response.completed") && !is(v[0], "response.incomplete"))
        return;
    json_node_set(&j->m, j->answer, v[1]);
    j->done = true;
}

/* A last event that leaves out what was told before it is not the whole answer. */
static bool finish_response(struct stream_join *j)
{
    struct json_node *output = j->done ? json_node_find(&j->m, j->answer, "output") : NULL;
    if (!output || output->type != JSON_ARRAY)
        return false;
    json_node_open(&j->m, output);
    return output->n_children >= j->items;
}

/* ---- Anthropic */

static void start_message(struct stream_join *j, struct json_value message)
{
    if (message.type != JSON_OBJECT || j->answer->type != JSON_ABSENT ||
        json_member(message, "content").count > 0) {
        j->m.failed = true;
        return;
    }
    json_node_set(&j->m, j->answer, message);
    json_node_set(&j->m, json_node_member(&j->m, j->answer, STR("content")), literal(STR("[]")));
}

/* NULL: there is none. */
static struct json_node *block_at(struct stream_join *j, struct json_value index, bool begins)
{
    int64_t i;
    struct json_node *content = json_node_find(&j->m, j->answer, "content");
    if (!content || json_int(index, &i) != 0 || i < 0)
        return NULL;
    struct json_node *block = json_node_at(&j->m, content, i);
    return (block->type == JSON_ABSENT) == begins ? block : NULL;
}

static void join_block_delta(struct stream_join *j, struct json_node *block, struct json_value delta)
{
    static const char *const but[] = {"type", NULL};
    struct json_value type = json_member(delta, "type");
    if (!block || delta.type != JSON_OBJECT) {
        j->m.failed = true;
    } else if (is(type, "input_json_delta")) {
        struct str more = json_text(json_member(delta, "partial_json"), &j->m.arena);
        json_merge_hold(&j->m, &block->held, more);
    } else if (is(type, "citations_delta")) {
        struct json_node *list = json_node_member(&j->m, block, STR("citations"));
        json_node_set(&j->m, json_node_push(&j->m, list), json_member(delta, "citation"));
    } else {
        merge_members(j, block, delta, MERGE_JOIN, but);
    }
}

static void join_message_delta(struct stream_join *j, struct str data, struct json_value delta)
{
    static const char *const but[] = {"type", "delta", NULL}, *const none[] = {NULL};
    if (delta.type == JSON_OBJECT)
        merge_members(j, j->answer, delta, MERGE_REPLACE, none);
    merge_members(j, j->answer, json_root(data), MERGE_REPLACE, but);
}

static void join_message_event(struct stream_join *j, struct str data)
{
    static const char *const paths[] = {"type", "message", "index", "content_block", "delta"};
    enum { TYPE, MESSAGE, INDEX, BLOCK, DELTA };
    struct json_value v[5];
    if (json_scan(data, paths, 5, v, NULL) != 0) {
        j->m.failed = true;
    } else if (is(v[TYPE], "message_start")) {
        start_message(j, v[MESSAGE]);
    } else if (is(v[TYPE], "content_block_start")) {
        struct json_node *block = v[BLOCK].type == JSON_OBJECT ? block_at(j, v[INDEX], true) : NULL;
        if (block)
            json_node_set(&j->m, block, v[BLOCK]);
        j->m.failed |= !block;
    } else if (is(v[TYPE], "content_block_delta")) {
        join_block_delta(j, block_at(j, v[INDEX], false), v[DELTA]);
    } else if (is(v[TYPE], "message_delta")) {
        join_message_delta(j, data, v[DELTA]);
    } else if (is(v[TYPE], "message_stop")) {
        j->done = true;
    } else if (!is(v[TYPE], "content_block_stop") && !is(v[TYPE], "ping")) {
        j->m.failed = true; /* an error, or something new */
    }
}

/* A call that was cut short has no input that could be told. */
static bool finish_message(struct stream_join *j)
{
    struct json_node *content = j->done ? json_node_find(&j->m, j->answer, "content") : NULL;
    for (struct json_node *b = content ? content->first : NULL; b; b = b->next) {
        struct str input = buf_str(&b->held);
        if (input.n == 0)
            continue;
        if (json_validate(input, NULL) != 0)
            return false;
        json_node_set(&j->m, json_node_member(&j->m, b, STR("input")), json_root(input));
    }
    return content != NULL;
}

/* ---- Google */

enum piece { PIECE_OTHER, PIECE_TEXT, PIECE_THOUGHT };

/* A signature belongs to the very part that it came with. */
static enum piece piece_of(struct json_value part)
{
    struct json_value text = json_member(part, "text"), thought = json_member(part, "thought");
    if (text.type != JSON_STRING || part.count != 1u + (thought.type != JSON_ABSENT))
        return PIECE_OTHER;
    return thought.type == JSON_TRUE ? PIECE_THOUGHT : PIECE_TEXT;
}

static void join_parts(struct stream_join *j, struct json_node *parts, struct json_value more)
{
    struct json_value part;
    size_t at = 0;
    while (!j->m.failed && json_next(more.raw, &at, NULL, &part) == 1) {
        enum piece piece = piece_of(part);
        struct json_node *last = parts->last;
        if (last && piece != PIECE_OTHER && last->index == (int64_t)piece) {
            json_node_merge(&j->m, json_node_member(&j->m, last, STR("text")), json_member(part, "text"),
                            MERGE_JOIN);
            continue;
        }
        last = json_node_push(&j->m, parts);
        last->index = piece;
        json_node_set(&j->m, last, part);
    }
}

static void join_content(struct stream_join *j, struct json_node *content, struct json_value more)
{
    static const char *const but[] = {"parts", NULL};
    struct json_value parts = json_member(more, "parts");
    if (parts.type == JSON_ARRAY)
        join_parts(j, json_node_member(&j->m, content, STR("parts")), parts);
    merge_members(j, content, more, MERGE_REPLACE, but);
}

static void join_candidate(struct stream_join *j, struct json_node *candidates, struct json_value told)
{
    static const char *const but[] = {"content",           "logprobsResult",     "citationMetadata",
                                      "groundingMetadata", "urlContextMetadata", NULL};
    if (told.type != JSON_OBJECT) {
        j->m.failed = true;
        return;
    }
    struct json_node *c = json_node_at(&j->m, candidates, index_of(j, told, 0));
    for (size_t i = 0; but[i]; i++) {
        struct json_value v = json_member(told, but[i]);
        if (i == 0 && v.type == JSON_OBJECT)
            join_content(j, json_node_member(&j->m, c, str_of(but[i])), v);
        else if (i > 0 && v.type == JSON_OBJECT)
            json_node_merge(&j->m, json_node_member(&j->m, c, str_of(but[i])), v,
                            i == 1 ? MERGE_JOIN : MERGE_COLLECT);
    }
    merge_members(j, c, told, MERGE_REPLACE, but);
}

static void join_generated(struct stream_join *j, struct str data)
{
    static const char *const paths[] = {"error", "candidates", "usageMetadata"};
    static const char *const but[] = {"candidates", "usageMetadata", NULL};
    struct json_value v[3], told;
    size_t at = 0;
    j->m.failed |= json_scan(data, paths, 3, v, NULL) != 0 || present(v[0]) ||
                   (present(v[1]) && v[1].type != JSON_ARRAY);
    if (j->m.failed)
        return;
    if (present(v[2]))
        json_node_set(&j->m, json_node_member(&j->m, j->answer, STR("usageMetadata")), v[2]);
    struct json_node *candidates = json_node_member(&j->m, j->answer, STR("candidates"));
    while (present(v[1]) && !j->m.failed && json_next(v[1].raw, &at, NULL, &told) == 1)
        join_candidate(j, candidates, told);
    merge_members(j, j->answer, json_root(data), MERGE_REPLACE, but);
}

/* Parts that say nothing are of the stream: a chunk can't be without one. */
static bool finish_generated(struct stream_join *j)
{
    struct json_node *candidates = json_node_find(&j->m, j->answer, "candidates");
    for (struct json_node *c = candidates ? candidates->first : NULL; c; c = c->next) {
        struct json_node *content = json_node_find(&j->m, c, "content"), *text;
        struct json_node *parts = content ? json_node_find(&j->m, content, "parts") : NULL;
        for (struct json_node *p = parts && parts->n_children > 1 ? parts->first : NULL; p; p = p->next)
            if (p->index != PIECE_OTHER && (text = json_node_find(&j->m, p, "text")) != NULL &&
                str_eq(buf_str(&text->raw), STR("\"\"")))
                p->type = JSON_ABSENT;
    }
    return candidates != NULL;
}

/* ---- all of them */

static void join(struct stream_join *j, struct str data)
{
    switch (j->endpoint) {
    case EP_RESPONSES:
        join_response(j, data);
        break;
    case EP_MESSAGES:
        join_message_event(j, data);
        break;
    case EP_GENERATE:
        join_generated(j, data);
        break;
    default:
        join_chunk(j, data);
    }
}

void stream_join_event(struct stream_join *j, struct str data)
{
    if (j->failed || j->done)
        return;
    join(j, data);
    if (j->m.failed)
        give_up(j);
}

void stream_join_member(struct stream_join *j, const char *name, struct str value)
{
    if (!j->failed)
        json_node_set(&j->m, json_node_member(&j->m, j->answer, str_of(name)), json_root(value));
}

static void take_bytes(struct stream_join *j, struct str bytes)
{
    struct sse_event ev;
    while (bytes.n > 0 && !j->failed) {
        size_t n = bytes.n < MAX_STREAM_READ ? bytes.n : MAX_STREAM_READ;
        if (sse_feed(&j->sse, (struct str){bytes.p, n}) != 0)
            give_up(j);
        bytes.p += n, bytes.n -= n;
        while (!j->failed && sse_next(&j->sse, &ev) == 1)
            if (ev.has_data)
                stream_join_event(j, ev.data);
    }
}

void stream_join_bytes(struct stream_join *j, struct str bytes)
{
    if (!j->array)
        take_bytes(j, bytes);
    else if (!j->failed && buf_add(&j->text, bytes) != 0)
        give_up(j);
}

static void take_array(struct stream_join *j)
{
    struct str text = buf_str(&j->text);
    struct json_value e;
    size_t at = 0;
    if (text.n == 0 || json_validate(text, NULL) != 0 || json_root(text).type != JSON_ARRAY)
        give_up(j);
    while (!j->failed && json_next(text, &at, NULL, &e) == 1)
        stream_join_event(j, e.raw);
}

static bool is_whole(struct stream_join *j)
{
    switch (j->endpoint) {
    case EP_RESPONSES:
        return finish_response(j);
    case EP_MESSAGES:
        return finish_message(j);
    case EP_GENERATE:
        return finish_generated(j);
    default:
        return finish_choices(j);
    }
}

int stream_join_finish(struct stream_join *j, struct buf *out)
{
    struct json_writer w = json_writer(out);
    if (j->array && !j->failed)
        take_array(j);
    if (j->failed || !is_whole(j) || j->m.failed) {
        give_up(j);
        return -1;
    }
    size_t before = out->n;
    json_node_write(j->answer, &w);
    give_up(j);
    return out->full || out->n - before > j->max ? -1 : 0;
}

/* A complete answer told as a stream, in the order of a real one. OpenAI chat and completions: for each
 * choice its role, its texts piece by piece, its tool calls (name first, then the arguments piece by piece),
 * whatever else its message has, then the finish_reason; the usage behind all choices. Log probabilities go
 * with the first piece, whole: a reader joins them all the same. Google's chunks are answers of their own, so
 * one is enough. Run by workers. */
#include "stream_teller.h"

#include "chat.h"
#include "limits.h"

#include <string.h>

enum { PIECE = 160 /* bytes of text in an event */ };

/* ---- what the dialects have in common */

struct str tell_piece(struct str *text)
{
    size_t n = text->n < PIECE ? text->n : PIECE;
    while (n < text->n && n > 1 && ((unsigned char)text->p[n] & 0xc0) == 0x80)
        n--;
    struct str piece = {text->p, n};
    text->p += n;
    text->n -= n;
    return piece;
}

struct json_writer tell_begin(struct teller *t, const char *name)
{
    struct json_writer w = json_writer(t->out);
    buf_add(t->out, STR("event: "));
    buf_add(t->out, str_of(name));
    buf_add(t->out, STR("\ndata: "));
    json_open(&w, '{');
    json_member_strz(&w, "type", name);
    return w;
}

void tell_end(struct teller *t, struct json_writer *w)
{
    json_close(w, '}');
    buf_add(t->out, STR("\n\n"));
    t->events++;
}

bool tell_named(struct str name, const char *const names[])
{
    for (size_t i = 0; names[i]; i++)
        if (str_eq(name, str_of(names[i])))
            return true;
    return false;
}

void tell_members(struct json_writer *w, struct json_value object, const char *const but[])
{
    struct json_value v;
    struct str name;
    size_t at = 0;
    while (object.type == JSON_OBJECT && json_next(object.raw, &at, &name, &v) == 1)
        if (!tell_named(name, but)) {
            json_name_raw(w, name);
            json_raw(w, v.raw);
        }
}

bool tell_is(struct json_value v, const char *text)
{
    return v.type == JSON_STRING && str_eq((struct str){v.raw.p + 1, v.raw.n - 2}, str_of(text));
}

/* ---- OpenAI chat, completions */

struct chat {
    struct teller *t;
    bool messages;       /* not texts */
    struct str head;     /* of an event, up to its choices */
    struct str full;     /* … with what only the first and the last event of choices tell */
    bool whole;          /* the next event begins with that */
    int64_t index;       /* of the choice being told */
    struct str logprobs; /* of it, not told yet */
};

/* Opens an event up to the inside of its choice. */
static struct json_writer open_chunk(struct chat *c)
{
    struct json_writer w = json_writer(c->t->out);
    buf_add(c->t->out, c->whole ? c->full : c->head);
    c->whole = false;
    json_open(&w, '{');
    json_member_i64(&w, "index", c->index);
    return w;
}

/* finish: JSON. rest: the choice whose further members belong here. */
static void close_chunk(struct chat *c, struct json_writer *w, struct str finish, struct json_value rest)
{
    static const char *const told[] = {"index", "message", "text", "logprobs", "finish_reason", NULL};
    json_member_raw(w, "logprobs", c->logprobs.n > 0 ? c->logprobs : STR("null"));
    json_member_raw(w, "finish_reason", finish);
    tell_members(w, rest, told);
    json_close(w, '}');
    json_close(w, ']');
    if (c->t->how->with_usage)
        json_member_null(w, "usage");
    c->logprobs = STR_NULL;
    tell_end(c->t, w);
}

static void close_plain(struct chat *c, struct json_writer *w)
{
    close_chunk(c, w, STR("null"), (struct json_value){.type = JSON_ABSENT});
}

/* An event whose delta is the one member. */
static void put_value(struct chat *c, struct str name, struct str value)
{
    struct json_writer w = open_chunk(c);
    json_member_open(&w, "delta", '{');
    json_name_raw(&w, name);
    json_raw(&w, value);
    json_close(&w, '}');
    close_plain(c, &w);
}

static void put_text(struct chat *c, struct str name, struct json_value v)
{
    struct str text = json_text(v, c->t->arena);
    while (text.n > 0) {
        struct json_writer w = open_chunk(c);
        if (c->messages)
            json_member_open(&w, "delta", '{');
        json_name_raw(&w, name);
        json_str(&w, tell_piece(&text));
        if (c->messages)
            json_close(&w, '}');
        close_plain(c, &w);
    }
}

/* Members that a reader takes as they come last, and does not join. */
static const char *const wholes[] = {"role", "id", "type", "object", NULL};

/* Its role; texts as empty ones and nulls, so that a reader knows which there are. */
static void put_role(struct chat *c, struct json_value message)
{
    struct json_value v;
    struct str name, logprobs = c->logprobs;
    size_t at = 0;
    struct json_writer w = open_chunk(c);
    json_member_open(&w, "delta", '{');
    while (json_next(message.raw, &at, &name, &v) == 1) {
        bool whole = v.type == JSON_NULL || tell_named(name, wholes);
        if (!whole && v.type != JSON_STRING)
            continue;
        json_name_raw(&w, name);
        json_raw(&w, whole ? v.raw : STR("\"\""));
    }
    json_close(&w, '}');
    c->logprobs = STR_NULL;
    close_plain(c, &w);
    c->logprobs = logprobs; /* go with the first text */
}

static struct json_writer open_call(struct chat *c, uint32_t i)
{
    struct json_writer w = open_chunk(c);
    json_member_open(&w, "delta", '{');
    json_member_open(&w, "tool_calls", '[');
    json_open(&w, '{');
    json_member_i64(&w, "index", i);
    return w;
}

static void close_call(struct chat *c, struct json_writer *w)
{
    json_close(w, '}');
    json_close(w, ']');
    json_close(w, '}');
    close_plain(c, w);
}

/* A tool call without its arguments, then those in pieces. */
static void put_call(struct chat *c, uint32_t i, struct json_value call)
{
    static const char *const function[] = {"index", "function", NULL}, *const arguments[] = {"arguments",
                                                                                             NULL};
    static const char *const index[] = {"index", NULL};
    struct json_value f = json_member(call, "function"), text = json_member(f, "arguments");
    bool pieces = text.type == JSON_STRING;
    struct json_writer w = open_call(c, i);
    tell_members(&w, call, pieces ? function : index);
    if (pieces) {
        json_member_open(&w, "function", '{');
        tell_members(&w, f, arguments);
        json_member_strz(&w, "arguments", "");
        json_close(&w, '}');
    }
    close_call(c, &w);
    for (struct str rest = pieces ? json_text(text, c->t->arena) : STR_NULL; rest.n > 0;) {
        w = open_call(c, i);
        json_member_open(&w, "function", '{');
        json_member_str(&w, "arguments", tell_piece(&rest));
        json_close(&w, '}');
        close_call(c, &w);
    }
}

static bool are_calls(struct str name, struct json_value v)
{
    struct json_value call;
    size_t at = 0;
    if (!str_eq(name, STR("tool_calls")) || v.type != JSON_ARRAY || v.count == 0)
        return false;
    while (json_next(v.raw, &at, NULL, &call) == 1)
        if (call.type != JSON_OBJECT)
            return false;
    return true;
}

static void put_calls(struct chat *c, struct json_value calls)
{
    struct json_value call;
    size_t at = 0;
    for (uint32_t i = 0; json_next(calls.raw, &at, NULL, &call) == 1; i++)
        put_call(c, i, call);
}

static void put_message(struct chat *c, struct json_value message)
{
    struct json_value v;
    struct str name;
    size_t at = 0;
    put_role(c, message);
    while (json_next(message.raw, &at, &name, &v) == 1) {
        if (v.type == JSON_NULL || tell_named(name, wholes))
            continue;
        if (v.type == JSON_STRING)
            put_text(c, name, v);
        else if (are_calls(name, v))
            put_calls(c, v);
        else
            put_value(c, name, v.raw);
    }
}

static void put_choice(struct chat *c, struct json_value choice, uint32_t place, bool is_last)
{
    struct json_value logprobs = json_member(choice, "logprobs");
    if (json_int(json_member(choice, "index"), &c->index) != 0)
        c->index = place;
    c->logprobs = logprobs.type == JSON_ABSENT ? STR_NULL : logprobs.raw;
    if (c->messages)
        put_message(c, json_member(choice, "message"));
    else
        put_text(c, STR("text"), json_member(choice, "text"));
    c->whole |= is_last;
    struct json_writer w = open_chunk(c);
    if (c->messages)
        json_member_raw(&w, "delta", STR("{}"));
    else
        json_member_strz(&w, "text", "");
    close_chunk(c, &w, json_member(choice, "finish_reason").raw, choice);
}

/* Whether each can be told so. */
static bool are_choices(const struct chat *c, struct json_value choices)
{
    struct json_value choice;
    size_t at = 0;
    if (choices.type != JSON_ARRAY || choices.count == 0)
        return false;
    while (json_next(choices.raw, &at, NULL, &choice) == 1) {
        enum json_type type = json_member(choice, c->messages ? "message" : "text").type;
        if (type != (c->messages ? JSON_OBJECT : JSON_STRING) ||
            json_member(choice, "finish_reason").type != JSON_STRING)
            return false;
    }
    return true;
}

/* Members longer than any that vendors repeat with each event: sources, say, which would make a stream of a
 * short answer with many of them hundreds of times as long. */
static bool is_long(struct str name, struct json_value v)
{
    enum { LONG = 256 };
    return v.raw.n > LONG && !tell_named(name, (const char *const[]){"id", "model", NULL});
}

static struct str make_head(const struct chat *c, bool full)
{
    static const char *const but[] = {"choices", "usage", NULL};
    struct json_value v;
    struct str name;
    size_t at = 0;
    size_t max = c->t->answer.n + 256;
    struct buf b = arena_buf(c->t->arena, max);
    struct json_writer w = json_writer(&b);
    buf_add(&b, STR("data: "));
    json_open(&w, '{');
    while (json_next(c->t->answer, &at, &name, &v) == 1) {
        if (tell_named(name, but) || (!full && is_long(name, v)))
            continue;
        json_name_raw(&w, name);
        json_raw(&w, str_eq(name, STR("object")) && c->messages ? STR("\"chat.completion.chunk\"") : v.raw);
    }
    json_member_open(&w, "choices", '[');
    return buf_str(&b);
}

static int tell_chat(struct teller *t)
{
    static const char *const paths[] = {"object", "choices", "usage"};
    struct json_value v[3], choice;
    struct chat c = {.t = t, .messages = t->how->endpoint == EP_CHAT};
    size_t at = 0;
    if (json_scan(t->answer, paths, 3, v, NULL) != 0 ||
        !tell_is(v[0], c.messages ? "chat.completion" : "text_completion") || !are_choices(&c, v[1]))
        return -1;
    c.head = make_head(&c, false);
    c.full = make_head(&c, true);
    c.whole = true;
    for (uint32_t i = 0; json_next(v[1].raw, &at, NULL, &choice) == 1; i++)
        put_choice(&c, choice, i, i + 1 == v[1].count);
    if (t->how->with_usage && v[2].type == JSON_OBJECT) {
        struct json_writer w = json_writer(t->out);
        buf_add(t->out, c.head);
        json_close(&w, ']');
        json_member_raw(&w, "usage", v[2].raw);
        tell_end(t, &w);
    }
    buf_add(t->out, STR("data: [DONE]\n\n"));
    return 0;
}

/* ---- Google */

static int tell_generated(struct teller *t)
{
    if (json_member(json_root(t->answer), "candidates").type != JSON_ARRAY)
        return -1;
    buf_add(t->out, t->how->array ? STR("[") : STR("data: "));
    buf_add(t->out, t->answer);
    buf_add(t->out, t->how->array ? STR("\n]") : STR("\r\n\r\n"));
    t->events++;
    return 0;
}

/* ---- all of them */

static int tell(struct teller *t)
{
    switch (t->how->endpoint) {
    case EP_CHAT:
    case EP_COMPLETIONS:
        return tell_chat(t);
    case EP_RESPONSES:
        return tell_responses(t);
    case EP_MESSAGES:
        return tell_messages(t);
    case EP_GENERATE:
        return tell_generated(t);
    default:
        return -1;
    }
}

int stream_tell(const struct stream_tell *how, struct str answer, struct arena *a, struct buf *out)
{
    if (json_scan(answer, NULL, 0, NULL, NULL) != 0)
        return -1;
    struct teller t = {.how = how, .answer = chat_one_line(answer, a), .arena = a, .out = out};
    return tell(&t) != 0 || out->full ? -1 : t.events;
}

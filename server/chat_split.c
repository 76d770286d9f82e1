/* A complete answer told as a stream. The order is a real stream's: for each choice its role, its texts piece
 * by piece, its tool calls (name first, then the arguments piece by piece), whatever else its message has,
 * then the finish_reason; the usage behind all choices. Log probabilities go with the first piece, whole: a
 * reader joins them all the same. */
#include "chat_split.h"
#include "json_out.h"
#include "json_tree.h"
#include "limits.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 160 /* bytes of text in an event, about what a vendor sends in a few tokens */ };

struct split {
    int (*emit)(struct str data, void *arg);
    void *arg;
    json *answer;
    bool chat, with_usage;
    struct buf head; /* {"id":…, up to the choices */
    struct buf out;
    struct buf delta; /* the choice's own part of the event being made */
    int64_t index;    /* of the choice being told */
    json *logprobs;   /* of it, not told yet */
};

static const char *plain(json *v)
{
    return json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

static struct str text_of(json *v)
{
    return (struct str){json_object_get_string(v), (size_t)json_object_get_string_len(v)};
}

static bool is(json *v, enum json_tree_type type)
{
    return json_object_is_type(v, type);
}

/* With the comma before it where one is needed: a value never ends with these bytes. */
static void put_member(struct buf *b, const char *key, json *v)
{
    if (b->n > 0 && strchr("{[,", b->p[b->n - 1]) == NULL)
        buf_add_byte(b, ',');
    json_put_string(b, str_of(key));
    buf_add_byte(b, ':');
    buf_add(b, str_of(plain(v)));
}

/* ---- one event ---- */

/* s->delta holds the choice's part; finish is JSON; rest: the choice's further members, or NULL. */
static int emit_choice(struct split *s, const char *finish, json *rest)
{
    struct buf *o = &s->out;
    buf_reset(o);
    buf_add(o, buf_str(&s->head));
    buf_printf(o, "\"choices\":[{\"index\":%lld,", (long long)s->index);
    buf_add(o, buf_str(&s->delta));
    buf_add(o, STR(",\"logprobs\":"));
    buf_add(o, str_of(s->logprobs != NULL ? plain(s->logprobs) : "null"));
    buf_add(o, STR(",\"finish_reason\":"));
    buf_add(o, str_of(finish));
    if (rest != NULL) {
        json_object_object_foreach(rest, key, v)
        {
            put_member(o, key, v);
        }
    }
    buf_add(o, str_of(s->with_usage ? "}],\"usage\":null}" : "}]}"));
    s->logprobs = NULL;
    return o->full || s->delta.full ? -1 : s->emit(buf_str(o), s->arg);
}

/* An event whose delta is the member `key` with this JSON value. */
static int emit_value(struct split *s, const char *key, json *v)
{
    buf_reset(&s->delta);
    buf_add(&s->delta, STR("\"delta\":{"));
    put_member(&s->delta, key, v);
    buf_add_byte(&s->delta, '}');
    return emit_choice(s, "null", NULL);
}

/* ---- texts ---- */

/* The next piece of a text, cut between characters. */
static struct str next_piece(struct str *text)
{
    size_t n = text->n < PIECE ? text->n : PIECE;
    while (n < text->n && n > 1 && ((unsigned char)text->p[n] & 0xc0) == 0x80)
        n--;
    struct str piece = {text->p, n};
    text->p += n;
    text->n -= n;
    return piece;
}

/* before PIECE after, for each piece of the text */
static int emit_text(struct split *s, const char *before, struct str text, const char *after)
{
    while (text.n > 0) {
        buf_reset(&s->delta);
        buf_add(&s->delta, str_of(before));
        json_put_string(&s->delta, next_piece(&text));
        buf_add(&s->delta, str_of(after));
        if (emit_choice(s, "null", NULL) != 0)
            return -1;
    }
    return 0;
}

static int emit_member_text(struct split *s, const char *key, json *v)
{
    char before[128];
    struct buf name = {.p = before, .cap = sizeof before, .max = sizeof before};
    buf_add(&name, STR("\"delta\":{"));
    json_put_string(&name, str_of(key));
    if (name.full || name.n + 2 > sizeof before) /* a name like this is told with its value at once */
        return emit_value(s, key, v);
    before[name.n] = ':';
    before[name.n + 1] = '\0';
    return emit_text(s, before, text_of(v), "}");
}

/* ---- a message ---- */

/* Members that a reader takes as they come last, and does not join. */
static bool is_whole(const char *key)
{
    static const char *const keys[] = {"role", "id", "type", "object"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* Its role; texts as empty ones and nulls, so that a reader knows which there are. */
static int emit_role(struct split *s, json *message)
{
    json *empty = json_object_new_string("");
    buf_reset(&s->delta);
    buf_add(&s->delta, STR("\"delta\":{"));
    json_object_object_foreach(message, key, v)
    {
        if (is_whole(key) || v == NULL)
            put_member(&s->delta, key, v);
        else if (is(v, json_type_string))
            put_member(&s->delta, key, empty);
    }
    buf_add_byte(&s->delta, '}');
    json_object_put(empty);
    json *logprobs = s->logprobs; /* go with the first text */
    s->logprobs = NULL;
    int rc = emit_choice(s, "null", NULL);
    s->logprobs = logprobs;
    return rc;
}

/* A tool call without its arguments, which follow in pieces. */
static int emit_call_head(struct split *s, size_t i, json *call, bool pieces)
{
    buf_reset(&s->delta);
    buf_printf(&s->delta, "\"delta\":{\"tool_calls\":[{\"index\":%zu", i);
    json_object_object_foreach(call, key, v)
    {
        if (strcmp(key, "function") != 0 || !pieces) {
            put_member(&s->delta, key, v);
            continue;
        }
        buf_add(&s->delta, STR(",\"function\":{"));
        json_object_object_foreach(v, name, member)
        {
            if (strcmp(name, "arguments") == 0)
                continue;
            put_member(&s->delta, name, member);
            buf_add_byte(&s->delta, ',');
        }
        buf_add(&s->delta, STR("\"arguments\":\"\"}"));
    }
    buf_add(&s->delta, STR("}]}"));
    return emit_choice(s, "null", NULL);
}

static int emit_call(struct split *s, size_t i, json *call)
{
    json *function, *arguments = NULL;
    char before[96];
    bool pieces = json_object_object_get_ex(call, "function", &function) && is(function, json_type_object) &&
                  json_object_object_get_ex(function, "arguments", &arguments) &&
                  is(arguments, json_type_string);
    if (emit_call_head(s, i, call, pieces) != 0)
        return -1;
    if (!pieces)
        return 0;
    snprintf(before, sizeof before,
             "\"delta\":{\"tool_calls\":[{\"index\":%zu,\"function\":{\"arguments\":", i);
    return emit_text(s, before, text_of(arguments), "}}]}");
}

static bool are_calls(const char *key, json *v)
{
    if (strcmp(key, "tool_calls") != 0 || !is(v, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(v); i++)
        if (!is(json_object_array_get_idx(v, i), json_type_object))
            return false;
    return true;
}

static int emit_calls(struct split *s, json *calls)
{
    size_t n = json_object_array_length(calls);
    if (n == 0)
        return emit_value(s, "tool_calls", calls);
    for (size_t i = 0; i < n; i++)
        if (emit_call(s, i, json_object_array_get_idx(calls, i)) != 0)
            return -1;
    return 0;
}

static int emit_message(struct split *s, json *message)
{
    int rc = emit_role(s, message);
    json_object_object_foreach(message, key, v)
    {
        if (rc != 0 || v == NULL || is_whole(key))
            continue;
        if (is(v, json_type_string))
            rc = emit_member_text(s, key, v);
        else if (are_calls(key, v))
            rc = emit_calls(s, v);
        else
            rc = emit_value(s, key, v);
    }
    return rc;
}

/* ---- a choice ---- */

/* What a choice has beside the members that each event tells. */
static json *rest_of(json *choice)
{
    static const char *const told[] = {"index", "message", "text", "logprobs", "finish_reason"};
    json *rest = json_object_new_object();
    json_object_object_foreach(choice, key, v)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof told / sizeof *told; i++)
            known = known || strcmp(key, told[i]) == 0;
        if (!known)
            json_object_object_add(rest, key, json_object_get(v));
    }
    return rest;
}

static int emit_whole_choice(struct split *s, json *choice, size_t place)
{
    json *v, *index;
    s->index =
        json_object_object_get_ex(choice, "index", &index) ? json_object_get_int64(index) : (int64_t)place;
    s->logprobs = json_object_object_get(choice, "logprobs");
    json_object_object_get_ex(choice, s->chat ? "message" : "text", &v);
    int rc = s->chat ? emit_message(s, v) : emit_text(s, "\"text\":", text_of(v), "");
    if (rc != 0)
        return rc;
    json *rest = rest_of(choice);
    buf_reset(&s->delta);
    buf_add(&s->delta, s->chat ? STR("\"delta\":{}") : STR("\"text\":\"\""));
    rc = emit_choice(s, plain(json_object_object_get(choice, "finish_reason")), rest);
    json_object_put(rest);
    return rc;
}

static int emit_usage(struct split *s, json *usage)
{
    struct buf *o = &s->out;
    buf_reset(o);
    buf_add(o, buf_str(&s->head));
    buf_add(o, STR("\"choices\":[],\"usage\":"));
    buf_add(o, str_of(plain(usage)));
    buf_add_byte(o, '}');
    return o->full ? -1 : s->emit(buf_str(o), s->arg);
}

/* ---- the answer ---- */

/* Whether it is an answer that can be told so, and of which kind. */
static bool understood(struct split *s, json **choices)
{
    json *v;
    if (!is(s->answer, json_type_object) || !json_object_object_get_ex(s->answer, "object", &v) ||
        !is(v, json_type_string))
        return false;
    s->chat = str_eq(text_of(v), STR("chat.completion"));
    if ((!s->chat && !str_eq(text_of(v), STR("text_completion"))) ||
        !json_object_object_get_ex(s->answer, "choices", choices) || !is(*choices, json_type_array))
        return false;
    size_t n = json_object_array_length(*choices);
    for (size_t i = 0; i < n; i++) {
        json *c = json_object_array_get_idx(*choices, i), *what;
        if (!is(c, json_type_object) || !json_object_object_get_ex(c, s->chat ? "message" : "text", &what) ||
            !is(what, s->chat ? json_type_object : json_type_string) ||
            !is(json_object_object_get(c, "finish_reason"), json_type_string))
            return false;
    }
    return n > 0;
}

static void make_head(struct split *s)
{
    buf_add_byte(&s->head, '{');
    json_object_object_foreach(s->answer, key, v)
    {
        if (strcmp(key, "choices") == 0 || strcmp(key, "usage") == 0)
            continue;
        if (strcmp(key, "object") == 0 && s->chat)
            buf_add(&s->head, STR("\"object\":\"chat.completion.chunk\""));
        else
            put_member(&s->head, key, v);
        buf_add_byte(&s->head, ',');
    }
}

static int tell(struct split *s, json *choices)
{
    json *usage;
    make_head(s);
    for (size_t i = 0; i < json_object_array_length(choices); i++)
        if (emit_whole_choice(s, json_object_array_get_idx(choices, i), i) != 0)
            return -1;
    if (s->with_usage && json_object_object_get_ex(s->answer, "usage", &usage) && usage != NULL &&
        emit_usage(s, usage) != 0)
        return -1;
    return s->emit(STR("[DONE]"), s->arg) != 0 ? -1 : 0;
}

int chat_split(struct str answer, bool with_usage, int (*emit)(struct str data, void *arg), void *arg)
{
    struct split s = {.emit = emit, .arg = arg, .with_usage = with_usage};
    struct json_tokener *tokener = json_tokener_new();
    json *choices;
    int rc = -1;
    buf_init(&s.head, MAX_ANSWER);
    buf_init(&s.out, MAX_ANSWER);
    buf_init(&s.delta, MAX_ANSWER);
    if (tokener != NULL && answer.n <= MAX_ANSWER)
        s.answer = json_tokener_parse_ex(tokener, answer.p, (int)answer.n);
    if (s.answer != NULL && understood(&s, &choices))
        rc = tell(&s, choices);
    json_object_put(s.answer);
    if (tokener != NULL)
        json_tokener_free(tokener);
    buf_free(&s.head);
    buf_free(&s.out);
    buf_free(&s.delta);
    return rc;
}

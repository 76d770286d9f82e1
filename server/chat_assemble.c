/* Puts the events of a streamed answer together, as an SDK would: deltas of strings are joined, objects
 * merged, arrays joined, tool calls matched by their index; what comes again whole (ids, types, roles)
 * replaces. Fields that nobody has told us of are treated the same way, so that nothing of an answer is lost.
 *
 * A string that grows is kept in a buffer beside the tree (struct growing) and put into it at the end: a
 * json-c string is copied whole each time it changes. */
#include "chat_assemble.h"
#include "json_tree.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CHOICES = 128, MAX_TOOLS = 1024, NODE = 16 /* what a value costs beside its text, about */ };

struct growing {
    json *owner; /* an object of the tree; its member `key` is this text */
    char *key;
    struct buf text;
};

struct chat_assemble {
    size_t max, held; /* bytes, about */
    bool failed, done;
    struct json_tokener *tokener;
    json *top;     /* members beside the choices */
    json *choices; /* array, in the order they came */
    bool chat;
    struct growing *growing;
    size_t n_growing, cap_growing;
};

struct chat_assemble *chat_assemble_new(size_t max_bytes)
{
    struct chat_assemble *a = mem_alloc(sizeof *a);
    a->max = max_bytes;
    a->tokener = json_tokener_new();
    a->top = json_object_new_object();
    a->choices = json_object_new_array();
    if (a->tokener == NULL || a->top == NULL || a->choices == NULL)
        abort();
    json_tokener_set_flags(a->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    return a;
}

static void forget(struct chat_assemble *a)
{
    for (size_t i = 0; i < a->n_growing; i++) {
        free(a->growing[i].key);
        buf_free(&a->growing[i].text);
    }
    free(a->growing);
    a->growing = NULL;
    a->n_growing = 0;
    a->cap_growing = 0;
    json_object_put(a->top);
    json_object_put(a->choices);
    a->top = NULL;
    a->choices = NULL;
}

void chat_assemble_free(struct chat_assemble **a)
{
    if (*a == NULL)
        return;
    forget(*a);
    json_tokener_free((*a)->tokener);
    free(*a);
    *a = NULL;
}

static int give_up(struct chat_assemble *a)
{
    a->failed = true;
    forget(a);
    return -1;
}

static struct str text_of(json *v)
{
    return (struct str){json_object_get_string(v), (size_t)json_object_get_string_len(v)};
}

static bool is(json *v, enum json_tree_type type)
{
    return json_object_is_type(v, type);
}

/* What a value weighs. */
static size_t weight(json *v)
{
    size_t n = NODE;
    if (is(v, json_type_string)) {
        n += text_of(v).n;
    } else if (is(v, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(v); i++)
            n += weight(json_object_array_get_idx(v, i));
    } else if (is(v, json_type_object)) {
        json_object_object_foreach(v, key, member)
        {
            n += strlen(key) + weight(member);
        }
    }
    return n;
}

/* ---- merging ---- */

static struct growing *find_growing(struct chat_assemble *a, const json *owner, const char *key)
{
    /* the newest first: it is the one that grows, nearly always */
    for (size_t i = a->n_growing; i-- > 0;)
        if (a->growing[i].owner == owner && strcmp(a->growing[i].key, key) == 0)
            return &a->growing[i];
    return NULL;
}

/* A text that was whole so far begins to grow. */
static struct growing *start_growing(struct chat_assemble *a, json *owner, const char *key, json *so_far)
{
    if (a->n_growing == a->cap_growing) {
        a->cap_growing = a->cap_growing ? 2 * a->cap_growing : 8;
        a->growing = mem_resize(a->growing, a->cap_growing * sizeof *a->growing);
    }
    struct growing *g = &a->growing[a->n_growing++];
    g->owner = owner;
    g->key = mem_strdup(str_of(key));
    buf_init(&g->text, a->max);
    buf_add(&g->text, text_of(so_far));
    return g;
}

/* Told whole each time, if more than once. */
static bool is_whole(const char *key)
{
    static const char *const keys[] = {"id", "type", "role", "object"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static void set(struct chat_assemble *a, json *into, const char *key, json *v)
{
    json *old = NULL;
    if (json_object_object_get_ex(into, key, &old)) {
        size_t freed = weight(old);
        a->held -= freed < a->held ? freed : a->held;
    } else {
        a->held += strlen(key);
    }
    a->held += weight(v);
    json_object_object_add(into, key, json_object_get(v));
}

static void join_text(struct chat_assemble *a, json *into, const char *key, json *so_far, json *more)
{
    struct str text = text_of(more);
    struct growing *g = find_growing(a, into, key);
    if (text.n == 0)
        return;
    if (is_whole(key) || (strcmp(key, "name") == 0 && g == NULL && str_eq(text_of(so_far), text))) {
        set(a, into, key, more);
        return;
    }
    if (g == NULL)
        g = start_growing(a, into, key, so_far);
    a->held += text.n;
    buf_add(&g->text, text); /* what does not fit is above max, too, and is given up */
}

static void merge(struct chat_assemble *a, json *into, json *more);

static json *find_index(json *array, int64_t index)
{
    for (size_t i = json_object_array_length(array); i-- > 0;) {
        json *element = json_object_array_get_idx(array, i), *v;
        if (json_object_object_get_ex(element, "index", &v) && json_object_get_int64(v) == index)
            return element;
    }
    return NULL;
}

/* Elements that carry an index are matched by it; one without is new. */
static void merge_tools(struct chat_assemble *a, json *into, json *more)
{
    for (size_t i = 0; i < json_object_array_length(more); i++) {
        json *call = json_object_array_get_idx(more, i), *v, *known = NULL;
        if (!is(call, json_type_object) || json_object_array_length(into) >= MAX_TOOLS) {
            a->failed = true;
            return;
        }
        if (json_object_object_get_ex(call, "index", &v))
            known = find_index(into, json_object_get_int64(v));
        if (known == NULL) {
            known = json_object_new_object();
            json_object_array_add(into, known);
        }
        merge(a, known, call);
    }
}

static void join_arrays(struct chat_assemble *a, json *into, json *more)
{
    for (size_t i = 0; i < json_object_array_length(more); i++) {
        json *v = json_object_array_get_idx(more, i);
        a->held += weight(v);
        json_object_array_add(into, json_object_get(v));
    }
}

/* A number, a truth value: the last one counts. What is put together from pieces stays of one type. */
static bool is_plain(json *v)
{
    return !is(v, json_type_string) && !is(v, json_type_object) && !is(v, json_type_array);
}

static void merge_member(struct chat_assemble *a, json *into, const char *key, json *v)
{
    json *old = NULL;
    bool known = json_object_object_get_ex(into, key, &old);
    if (strcmp(key, "tool_calls") == 0 && is(v, json_type_array) &&
        (old == NULL || is(old, json_type_array))) {
        if (old == NULL) {
            old = json_object_new_array();
            json_object_object_add(into, key, old);
        }
        merge_tools(a, old, v);
    } else if (!known || (old == NULL && v != NULL)) {
        set(a, into, key, v);
    } else if (v == NULL) {
        return;
    } else if (is(old, json_type_string) && is(v, json_type_string)) {
        join_text(a, into, key, old, v);
    } else if (is(old, json_type_object) && is(v, json_type_object)) {
        merge(a, old, v);
    } else if (is(old, json_type_array) && is(v, json_type_array)) {
        join_arrays(a, old, v);
    } else if (is_plain(old) && is_plain(v)) {
        set(a, into, key, v);
    } else {
        a->failed = true; /* struct growing may refer to the old one */
    }
}

static void merge(struct chat_assemble *a, json *into, json *more)
{
    json_object_object_foreach(more, key, v)
    {
        merge_member(a, into, key, v);
    }
}

/* ---- events ---- */

static json *choice_of(struct chat_assemble *a, json *told)
{
    json *v;
    int64_t index = json_object_object_get_ex(told, "index", &v) ? json_object_get_int64(v) : 0;
    json *choice = find_index(a->choices, index);
    if (choice != NULL || json_object_array_length(a->choices) >= MAX_CHOICES)
        return choice;
    choice = json_object_new_object();
    json_object_object_add(choice, "index", json_object_new_int64(index));
    if (a->chat)
        json_object_object_add(choice, "message", json_object_new_object());
    json_object_array_add(a->choices, choice);
    return choice;
}

static int feed_choice(struct chat_assemble *a, json *told)
{
    json *choice = is(told, json_type_object) ? choice_of(a, told) : NULL, *message;
    if (choice == NULL)
        return -1;
    json_object_object_foreach(told, key, v)
    {
        if (strcmp(key, "index") == 0)
            continue;
        if (strcmp(key, "finish_reason") == 0) {
            if (v != NULL || !json_object_object_get_ex(choice, key, NULL))
                set(a, choice, key, v);
        } else if (strcmp(key, "delta") != 0) {
            merge_member(a, choice, key, v);
        } else if (is(v, json_type_object) && json_object_object_get_ex(choice, "message", &message)) {
            merge(a, message, v);
        } else if (v != NULL) {
            return -1;
        }
    }
    return 0;
}

static int feed_choices(struct chat_assemble *a, json *choices)
{
    if (!is(choices, json_type_array))
        return choices == NULL ? 0 : -1;
    for (size_t i = 0; i < json_object_array_length(choices); i++)
        if (feed_choice(a, json_object_array_get_idx(choices, i)) < 0)
            return -1;
    return 0;
}

static int take_object(struct chat_assemble *a, json *v)
{
    struct str name = is(v, json_type_string) ? text_of(v) : STR_NULL;
    a->chat = str_eq(name, STR("chat.completion.chunk"));
    if (!a->chat && !str_eq(name, STR("text_completion")))
        return -1;
    json_object_object_add(a->top, "object",
                           json_object_new_string(a->chat ? "chat.completion" : "text_completion"));
    return 0;
}

static int feed_event(struct chat_assemble *a, json *event)
{
    json *choices = NULL, *v;
    if (!is(event, json_type_object) || json_object_object_get_ex(event, "error", NULL))
        return -1;
    if (!json_object_object_get_ex(event, "object", &v) || take_object(a, v) < 0)
        return -1;
    json_object_object_foreach(event, key, member)
    {
        if (strcmp(key, "choices") == 0)
            choices = member;
        else if (strcmp(key, "object") != 0 && strcmp(key, "obfuscation") != 0 && member != NULL)
            set(a, a->top, key, member); /* obfuscation is padding of the stream */
    }
    return feed_choices(a, choices);
}

int chat_assemble_feed(struct chat_assemble *a, struct str data)
{
    if (a->failed || a->done)
        return a->failed ? -1 : 0;
    if (str_eq(str_trim(data), STR("[DONE]"))) {
        a->done = true;
        return 0;
    }
    if (data.n > INT32_MAX || json_validate(data, NULL) < 0) /* json-c takes what is no JSON */
        return give_up(a);
    json_tokener_reset(a->tokener);
    json *event = json_tokener_parse_ex(a->tokener, data.p, (int)data.n);
    bool whole = json_tokener_get_error(a->tokener) == json_tokener_success;
    int rc = whole ? feed_event(a, event) : -1;
    json_object_put(event);
    return rc < 0 || a->failed || a->held > a->max ? give_up(a) : 0;
}

/* ---- the end ---- */

static int by_index(const void *x, const void *y)
{
    json *const *p = x, *const *q = y;
    json *i = json_object_object_get(*p, "index"), *k = json_object_object_get(*q, "index");
    int64_t a = json_object_get_int64(i), b = json_object_get_int64(k);
    return (a > b) - (a < b);
}

static void put_texts(struct chat_assemble *a)
{
    for (size_t i = 0; i < a->n_growing; i++) {
        struct growing *g = &a->growing[i];
        json_object_object_add(g->owner, g->key, json_object_new_string_len(g->text.p, (int)g->text.n));
    }
}

/* A whole answer's tool calls have no index, and its message has a content, if null. */
static void finish_message(json *message)
{
    json *calls;
    if (!json_object_object_get_ex(message, "content", NULL))
        json_object_object_add(message, "content", NULL);
    if (!json_object_object_get_ex(message, "tool_calls", &calls) || !is(calls, json_type_array))
        return;
    json_object_array_sort(calls, by_index);
    for (size_t i = 0; i < json_object_array_length(calls); i++)
        json_object_object_del(json_object_array_get_idx(calls, i), "index");
}

static bool choices_complete(struct chat_assemble *a)
{
    size_t n = json_object_array_length(a->choices);
    for (size_t i = 0; i < n; i++) {
        json *choice = json_object_array_get_idx(a->choices, i), *v;
        if (!json_object_object_get_ex(choice, "finish_reason", &v) || !is(v, json_type_string))
            return false;
    }
    return n > 0;
}

int chat_assemble_finish(struct chat_assemble *a, struct buf *out)
{
    if (a->failed || !a->done || !choices_complete(a))
        return -1;
    put_texts(a);
    json_object_array_sort(a->choices, by_index);
    for (size_t i = 0; i < json_object_array_length(a->choices); i++) {
        json *choice = json_object_array_get_idx(a->choices, i), *message;
        if (!json_object_object_get_ex(choice, "logprobs", NULL))
            json_object_object_add(choice, "logprobs", NULL);
        if (json_object_object_get_ex(choice, "message", &message) && is(message, json_type_object))
            finish_message(message);
    }
    json_object_object_add(a->top, "choices", json_object_get(a->choices));
    size_t n;
    const char *text = json_object_to_json_string_length(
        a->top, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
    int rc = text == NULL || n > a->max ? -1 : buf_add(out, (struct str){text, n});
    give_up(a); /* it can be had once */
    return rc;
}

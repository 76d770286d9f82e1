/* Mending of passing chat calls. Run by workers.
 *
 * A closer look is taken only where a few bytes make it worth one (openai_is_suspicious), so that an ordinary
 * event costs the one pass that it always did. Mending is a list of edits, each a slice of the text and what
 * takes its place; whatever is not edited stays as it was. */
#include "openai_mend.h"

#include "hash.h"
#include "json_out.h"
#include "json_write.h"

#include <string.h>

/* ---- edits */

struct edit {
    struct str old; /* a slice of the text; of no bytes: an insertion */
    struct str new;
};

struct edits {
    struct request *r;
    struct arena *arena; /* of the edits and of what comes of them */
    struct edit *list;
    size_t n;
};

static void edit(struct edits *e, struct str old, struct str new)
{
    if ((e->n & (e->n - 1)) == 0) {
        struct edit *more = arena_alloc(e->arena, (e->n ? 2 * e->n : 1) * sizeof(*more));
        if (e->n > 0)
            memcpy(more, e->list, e->n * sizeof(*more));
        e->list = more;
    }
    size_t at = e->n++;
    for (; at > 0 && e->list[at - 1].old.p > old.p; at--)
        e->list[at] = e->list[at - 1];
    e->list[at] = (struct edit){old, new};
}

static bool inserted_at(const struct edits *e, const char *place)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->list[i].old.p == place && e->list[i].old.n == 0)
            return true;
    return false;
}

/* A new member at an object's front, behind those that were put there before. */
static void insert_member(struct edits *e, struct json_value object, const char *name, struct str value)
{
    const char *place = object.raw.p + 1;
    size_t max = strlen(name) + value.n + 8;
    struct buf b = arena_buf(e->arena, max);
    if (object.count == 0 && inserted_at(e, place))
        buf_add_byte(&b, ',');
    buf_add_byte(&b, '"');
    buf_add(&b, str_of(name));
    buf_add(&b, STR("\":"));
    buf_add(&b, value);
    if (object.count > 0)
        buf_add_byte(&b, ',');
    edit(e, (struct str){place, 0}, buf_str(&b));
}

static struct str apply(const struct edits *e, struct str text)
{
    size_t max = text.n;
    for (size_t i = 0; i < e->n; i++)
        max += e->list[i].new.n;
    struct buf b = arena_buf(e->arena, max);
    const char *at = text.p;
    for (size_t i = 0; i < e->n; i++) {
        const struct edit *x = &e->list[i];
        if (x->old.p < at)
            continue; /* inside of what was replaced */
        buf_add(&b, (struct str){at, (size_t)(x->old.p - at)});
        buf_add(&b, x->new);
        at = x->old.p + x->old.n;
    }
    buf_add(&b, (struct str){at, (size_t)(text.p + text.n - at)});
    return buf_str(&b);
}

static struct str quoted(struct arena *a, struct str text)
{
    size_t max = 6 * text.n + 2;
    struct buf b = arena_buf(a, max);
    json_put_string(&b, text);
    return buf_str(&b);
}

static bool is(struct str s, const char *z)
{
    return str_eq(s, str_of(z));
}

/* ---- is it worth a look */

static bool value_is(const char *value, const char *end, const char *what)
{
    size_t n = strlen(what);
    return value && (size_t)(end - value) >= n && memcmp(value, what, n) == 0;
}

/* A finish reason of OpenAI's own, that means what it says. */
static bool is_plain_finish(const struct openai_pass *p, const char *value, const char *end)
{
    if (value_is(value, end, "null") || value_is(value, end, "\"tool_calls\"") ||
        value_is(value, end, "\"length\"") || value_is(value, end, "\"content_filter\"") ||
        value_is(value, end, "\"function_call\""))
        return true;
    return value_is(value, end, "\"stop\"") && !p->any_call;
}

/* An array with something in it. */
static bool has_list(const struct openai_marks *m, enum openai_mark mark, const char *end)
{
    const char *at = m->value[mark];
    if (!at || at >= end || *at != '[')
        return false;
    do
        at++;
    while (at < end && *at == ' ');
    return at < end && *at != ']';
}

bool openai_is_suspicious(struct openai_pass *p, const struct openai_marks *m, bool whole, const char *end)
{
    const char *content = m->value[MARK_CONTENT], *arguments = m->value[MARK_ARGUMENTS];
    bool calls = has_list(m, MARK_TOOL_CALLS, end),
         chunk = m->count[MARK_DELTA] || m->count[MARK_FINISH] || content || calls;
    p->any_call |= calls;
    p->any_role |= m->count[MARK_ROLE] > 0;
    p->no_roles |= chunk && !p->any_role;
    if (p->no_roles && chunk && (p->many || p->begun == 0))
        return true;
    if (m->count[MARK_INDEX] == 0 && chunk)
        return true;
    if (content && content < end && *content == '[')
        return true;
    if (calls && (p->renumbers || m->count[MARK_NAME] || m->count[MARK_ID] > 1 ||
                  m->count[MARK_INDEX] <= m->count[MARK_ARGUMENTS] ||
                  (arguments && arguments < end && *arguments != '"')))
        return true;
    if (has_list(m, MARK_ANNOTATIONS, end) || has_list(m, MARK_IMAGES, end))
        return true;
    const char *finish = m->value[MARK_FINISH];
    if (finish && !is_plain_finish(p, finish, end))
        return true;
    /* without a delta: the usage at the end (once a stream), or what should have one */
    return !whole && (!m->value[MARK_DELTA] || value_is(m->value[MARK_DELTA], end, "null"));
}

/* ---- content */

struct split {
    struct buf text, thinking; /* JSON strings, without their quotes */
};

/* The inside of a JSON string goes on as it is. */
static void join(struct buf *b, struct json_value v)
{
    if (v.type == JSON_STRING && v.raw.n > 2)
        buf_add(b, (struct str){v.raw.p + 1, v.raw.n - 2});
}

static void split_thinking(struct split *s, struct json_value thinking)
{
    struct json_value v;
    size_t next = 0;
    join(&s->thinking, thinking);
    if (thinking.type == JSON_ARRAY)
        while (json_next(thinking.raw, &next, NULL, &v) == 1)
            join(&s->thinking, v.type == JSON_STRING ? v : json_member(v, "text"));
}

static struct buf string_buf(struct arena *a, size_t n)
{
    struct buf b = arena_buf(a, n + 2);
    buf_add_byte(&b, '"');
    return b;
}

/* Mistral's array of thinking and text → content and reasoning_content. */
static void mend_content(struct edits *e, struct json_value message, struct json_value content)
{
    struct split s = {.text = string_buf(e->arena, content.raw.n),
                      .thinking = string_buf(e->arena, content.raw.n)};
    struct json_value v;
    size_t next = 0;
    if (content.type != JSON_ARRAY)
        return;
    while (json_next(content.raw, &next, NULL, &v) == 1) {
        struct json_value thinking = json_member(v, "thinking");
        if (thinking.type != JSON_ABSENT)
            split_thinking(&s, thinking);
        else
            join(&s.text, v.type == JSON_STRING ? v : json_member(v, "text"));
    }
    buf_add_byte(&s.text, '"');
    buf_add_byte(&s.thinking, '"');
    edit(e, content.raw, buf_str(&s.text));
    if (s.thinking.n > 2 && json_member(message, "reasoning_content").type == JSON_ABSENT)
        insert_member(e, message, "reasoning_content", buf_str(&s.thinking));
}

/* ---- tool calls */

static struct passed_call *find_call(struct openai_pass *p, uint32_t choice, int64_t told, struct str id,
                                     bool named)
{
    struct passed_call *last = NULL;
    for (uint32_t i = p->n_calls; i-- > 0;) {
        struct passed_call *c = &p->calls[i];
        if (c->choice != choice)
            continue;
        last = last ? last : c;
        bool other = id.n > 0 && c->id.n > 0 && !str_eq(id, c->id);
        if (told >= 0 ? c->told == told && !other : id.n > 0 && str_eq(id, c->id))
            return c;
        if (told >= 0 && c->told == told)
            return NULL; /* the same index for another call */
    }
    return told < 0 && id.n == 0 && !named ? last : NULL;
}

static struct passed_call *add_call(struct request *r, struct openai_pass *p, uint32_t choice, int64_t told,
                                    struct str id)
{
    enum { MOST = 1024 };
    uint32_t index = 0;
    if (p->n_calls >= MOST)
        return NULL;
    for (uint32_t i = 0; i < p->n_calls; i++)
        index += p->calls[i].choice == choice;
    if ((p->n_calls & (p->n_calls - 1)) == 0) {
        struct passed_call *more = arena_alloc(r->arena, (p->n_calls ? 2 * p->n_calls : 1) * sizeof(*more));
        if (p->n_calls > 0)
            memcpy(more, p->calls, p->n_calls * sizeof(*more));
        p->calls = more;
    }
    struct passed_call *c = &p->calls[p->n_calls++];
    *c = (struct passed_call){.choice = choice, .index = index, .told = told};
    if (id.n > 0)
        c->id = arena_copy(r->arena, id);
    p->renumbers |= told != (int64_t)index;
    return c;
}

/* What a call must have when it is first told of. */
static void mend_new_call(struct edits *e, struct json_value call, struct passed_call *known,
                          struct json_value id)
{
    if (known->id.n == 0) {
        known->id = chat_make_id(e->r->arena, "call_");
        if (id.type == JSON_ABSENT)
            insert_member(e, call, "id", quoted(e->arena, known->id));
        else
            edit(e, id.raw, quoted(e->arena, known->id));
    }
    struct json_value type = json_member(call, "type");
    if (type.type == JSON_ABSENT)
        insert_member(e, call, "type", STR("\"function\""));
    else if (type.type != JSON_STRING)
        edit(e, type.raw, STR("\"function\""));
}

/* Joined with what was told before, an id or name that is told again would be another one. */
static void mend_known_call(struct edits *e, const struct passed_call *known, struct json_value call,
                            struct json_value id, struct json_value name)
{
    struct json_value type = json_member(call, "type");
    if (type.type == JSON_NULL) /* what was told before would be forgotten */
        edit(e, type.raw, STR("\"function\""));

    if (known->id.n > 0 && id.type == JSON_STRING && id.raw.n > 2)
        edit(e, id.raw, STR("null"));
    if (known->named && name.type == JSON_STRING && name.raw.n > 2)
        edit(e, name.raw, STR("null"));
}

static void mend_call(struct edits *e, struct openai_pass *p, uint32_t choice, struct json_value call,
                      bool whole)
{
    static const char *const paths[] = {"index", "id", "function.name", "function.arguments"};
    enum { INDEX, ID, NAME, ARGUMENTS };
    struct json_value v[4];
    int64_t told = -1;
    if (call.type != JSON_OBJECT || json_scan(call.raw, paths, 4, v, NULL) != 0)
        return;
    if (v[INDEX].type == JSON_NUMBER && (json_int(v[INDEX], &told) != 0 || told < 0 || told > INT32_MAX))
        told = -1;
    struct str id = json_text(v[ID], e->arena);
    if (is(id, "null"))
        id = STR_NULL;
    struct passed_call *known = whole ? NULL : find_call(p, choice, told, id, v[NAME].type == JSON_STRING);
    if (!known && (known = add_call(e->r, p, choice, told, id)) != NULL)
        mend_new_call(e, call, known, v[ID]);
    else if (known)
        mend_known_call(e, known, call, v[ID], v[NAME]);
    if (!known)
        return;
    known->named |= v[NAME].type == JSON_STRING && v[NAME].raw.n > 2;
    struct str index = arena_printf(e->arena, "%u", known->index);
    if (!whole && v[INDEX].type == JSON_ABSENT)
        insert_member(e, call, "index", index);
    else if (!whole && told != (int64_t)known->index)
        edit(e, v[INDEX].raw, index);
    if (v[ARGUMENTS].type == JSON_OBJECT)
        edit(e, v[ARGUMENTS].raw, quoted(e->arena, v[ARGUMENTS].raw));
}

static bool mend_calls(struct edits *e, struct openai_pass *p, uint32_t choice, struct json_value calls,
                       bool whole)
{
    struct json_value v;
    size_t next = 0;
    if (calls.type != JSON_ARRAY)
        return false;
    while (json_next(calls.raw, &next, NULL, &v) == 1)
        mend_call(e, p, choice, v, whole);
    return calls.count > 0;
}

static bool called_before(const struct openai_pass *p, uint32_t choice)
{
    for (uint32_t i = 0; i < p->n_calls; i++)
        if (p->calls[i].choice == choice)
            return true;
    return false;
}

/* ---- finish reasons */

static void mend_finish(struct edits *e, bool called, struct json_value reason, bool *broke_off)
{
    static const struct {
        const char *theirs, *ours;
    } names[] = {
        {"eos", "stop"},
        {"end_turn", "stop"},
        {"model_length", "length"},
        {"max_tokens", "length"},
        {"tool_use", "tool_calls"},
        {"safety", "content_filter"},
        {"sensitive", "content_filter"},
    };
    struct str name = json_text(reason, e->arena);
    const char *ours = NULL;
    if (is(name, "error") || is(name, "insufficient_system_resource"))
        *broke_off = true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is(name, names[i].theirs))
            ours = names[i].ours;
    if (called && (is(name, "stop") || (ours && strcmp(ours, "stop") == 0)))
        ours = "tool_calls";
    if (ours)
        edit(e, reason.raw, quoted(e->arena, str_of(ours)));
}

/* ---- choices */

/* What comes in several pieces is joined by its index: the elements of the second piece need one, and of
 * those behind it. */
static void mend_list(struct edits *e, uint32_t *listed, struct json_value list)
{
    struct json_value v;
    size_t next = 0;
    bool first = *listed == 0;
    if (list.type != JSON_ARRAY)
        return;
    while (json_next(list.raw, &next, NULL, &v) == 1) {
        if (!first && v.type == JSON_OBJECT && json_member(v, "index").type == JSON_ABSENT)
            insert_member(e, v, "index", arena_printf(e->arena, "%u", *listed));
        (*listed)++;
    }
}

static void mend_message(struct edits *e, struct openai_pass *p, uint32_t choice, struct json_value message,
                         bool whole, bool *called)
{
    static const char *const paths[] = {"content", "tool_calls", "annotations", "images"};
    struct json_value v[4];
    if (message.type != JSON_OBJECT || json_scan(message.raw, paths, 4, v, NULL) != 0)
        return;
    mend_content(e, message, v[0]);
    *called |= mend_calls(e, p, choice, v[1], whole);
    for (int i = 0; i < 2 && !whole && choice < sizeof(p->listed[0]) / sizeof(p->listed[0][0]); i++)
        mend_list(e, &p->listed[i][choice], v[2 + i]);
}

static void mend_delta(struct edits *e, struct json_value choice, struct json_value delta,
                       struct json_value message)
{
    struct str instead = message.type == JSON_OBJECT ? message.raw : STR("{}");
    if (delta.type == JSON_NULL)
        edit(e, delta.raw, instead);
    else if (delta.type == JSON_ABSENT)
        insert_member(e, choice, "delta", instead);
}

/* A filter has taken all of it. */
static void mend_missing(struct edits *e, struct json_value choice, struct json_value delta,
                         struct json_value message)
{
    struct str instead =
        delta.type == JSON_OBJECT ? delta.raw : STR("{\"role\":\"assistant\",\"content\":null}");
    if (message.type == JSON_NULL)
        edit(e, message.raw, instead);
    else if (message.type == JSON_ABSENT)
        insert_member(e, choice, "message", instead);
}

/* A choice's first chunk names the role. */
static void mend_role(struct edits *e, struct openai_pass *p, uint32_t choice, struct json_value delta)
{
    uint64_t bit = choice < 64 ? UINT64_C(1) << choice : 0;
    if (!p->no_roles || delta.type != JSON_OBJECT || !bit || (p->begun & bit))
        return;
    p->begun |= bit;
    if (json_member(delta, "role").type == JSON_ABSENT)
        insert_member(e, delta, "role", STR("\"assistant\""));
}

static void mend_choice(struct edits *e, struct openai_pass *p, struct json_value choice, uint32_t place,
                        bool whole, bool *broke_off)
{
    static const char *const paths[] = {"index", "delta", "message", "finish_reason"};
    enum { INDEX, DELTA, MESSAGE, FINISH };
    struct json_value v[4];
    int64_t index = place;
    if (choice.type != JSON_OBJECT || json_scan(choice.raw, paths, 4, v, NULL) != 0)
        return;
    if (v[INDEX].type == JSON_ABSENT)
        insert_member(e, choice, "index", arena_printf(e->arena, "%u", place));
    else if (json_int(v[INDEX], &index) != 0 || index < 0 || index > INT32_MAX)
        index = place;
    bool called = called_before(p, (uint32_t)index);
    mend_message(e, p, (uint32_t)index, v[whole ? MESSAGE : DELTA], whole, &called);
    if (whole) {
        mend_missing(e, choice, v[DELTA], v[MESSAGE]);
    } else {
        mend_role(e, p, (uint32_t)index, v[DELTA]);
        mend_delta(e, choice, v[DELTA], v[MESSAGE]);
    }
    if (v[FINISH].type == JSON_STRING)
        mend_finish(e, called, v[FINISH], broke_off);
}

/* Groq, unless asked, tells its usage where nobody looks. */
static void mend_usage(struct edits *e, struct json_value top, struct json_value usage,
                       struct json_value groq)
{
    struct usage_tokens u;
    if ((e->r->stream && !e->r->wants_usage) || !openai_usage(groq, &u))
        return;
    if (usage.type == JSON_NULL)
        edit(e, usage.raw, groq.raw);
    else if (usage.type == JSON_ABSENT)
        insert_member(e, top, "usage", groq.raw);
}

/* Programs walk over the choices of each chunk, the last one's with the usage, too. */
static void mend_choices(struct edits *e, struct json_value top, struct json_value choices,
                         struct json_value usage)
{
    if (choices.type == JSON_NULL)
        edit(e, choices.raw, STR("[]"));
    else if (choices.type == JSON_ABSENT && usage.type == JSON_OBJECT)
        insert_member(e, top, "choices", STR("[]"));
}

struct str openai_mend(struct request *r, struct openai_pass *p, struct str text, bool whole, bool *broke_off)
{
    static const char *const paths[] = {"choices", "usage", "x_groq.usage"};
    enum { CHOICES, USAGE, GROQ };
    struct json_value v[3], choice;
    struct edits e = {.r = r, .arena = request_scratch(r)};
    size_t next = 0;
    *broke_off = false;
    if (json_scan(text, paths, 3, v, NULL) != 0)
        return STR_NULL;
    mend_usage(&e, json_root(text), v[USAGE], v[GROQ]);
    if (!whole)
        mend_choices(&e, json_root(text), v[CHOICES], v[USAGE]);
    if (v[CHOICES].type == JSON_ARRAY)
        for (uint32_t i = 0; json_next(v[CHOICES].raw, &next, NULL, &choice) == 1; i++)
            mend_choice(&e, p, choice, i, whole, broke_off);
    return e.n > 0 ? apply(&e, text) : STR_NULL;
}

struct str openai_event(struct request *r, struct str data)
{
    struct buf b = arena_buf(request_scratch(r), data.n + 8);
    buf_add(&b, STR("data: "));
    buf_add(&b, data);
    for (size_t i = 6; i < b.n; i++)
        if (b.p[i] == '\n' || b.p[i] == '\r')
            b.p[i] = ' '; /* between tokens: inside of strings they are escaped */
    buf_add(&b, STR("\n\n"));
    return buf_str(&b);
}

/* ---- requests */

enum fate { KEPT, RENAMED, LEFT_OUT, REPORTED };

/* What Mistral, strict about unknown members, would refuse. */
static bool refused_by_mistral(struct str name)
{
    static const char *const names[] = {"logit_bias",        "logprobs", "top_logprobs", "user",
                                        "safety_identifier", "store",    "verbosity"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is(name, names[i]))
            return true;
    return false;
}

static enum fate fate_of(unsigned deviations, struct str name, struct json_value v, bool has_max_tokens,
                         const char **new_name)
{
    if ((deviations & PROVIDER_MAX_TOKENS) && is(name, "max_completion_tokens")) {
        *new_name = "max_tokens";
        return has_max_tokens ? LEFT_OUT : RENAMED;
    }
    if ((deviations & PROVIDER_NO_STREAM_OPTIONS) && is(name, "stream_options"))
        return LEFT_OUT; /* what they ask for comes unasked */
    if (!(deviations & PROVIDER_RANDOM_SEED))
        return KEPT;
    *new_name = "random_seed";
    if (is(name, "seed"))
        return v.type == JSON_NULL ? LEFT_OUT : RENAMED;
    if (!refused_by_mistral(name))
        return KEPT;
    return v.type == JSON_NULL || v.type == JSON_FALSE ? LEFT_OUT : REPORTED;
}

/* Names may stand there more than once, and are told so often that it is seen. */
static void report(struct request *r, struct provider_call *call, struct str name)
{
    enum { MOST = 512 };
    if (call->dropped.n > MOST)
        return;
    call->dropped = call->dropped.n > 0
                        ? arena_printf(r->arena, STR_FMT ", " STR_FMT, STR_ARG(call->dropped), STR_ARG(name))
                        : arena_copy(r->arena, name);
}

enum { MISTRAL_ID = 9 };

static bool is_mistral_id(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!((id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'a' && id.p[i] <= 'z') ||
              (id.p[i] >= 'A' && id.p[i] <= 'Z')))
            return false;
    return id.n == MISTRAL_ID;
}

static void mend_id(struct edits *e, struct json_value id)
{
    struct str text = json_text(id, e->arena);
    if (id.type == JSON_STRING && !is_mistral_id(text))
        edit(e, id.raw, quoted(e->arena, openai_call_id(e->arena, text, true)));
}

static void mend_turn(struct edits *e, unsigned deviations, bool developer, struct json_value message)
{
    static const char *const paths[] = {"role", "tool_call_id", "tool_calls"};
    enum { ROLE, RESULT, CALLS };
    struct json_value v[3], call;
    size_t next = 0;
    if (message.type != JSON_OBJECT || json_scan(message.raw, paths, 3, v, NULL) != 0)
        return;
    if (developer && str_eq(v[ROLE].raw, STR("\"developer\"")))
        edit(e, v[ROLE].raw, STR("\"system\""));
    if (!(deviations & PROVIDER_RANDOM_SEED))
        return;
    mend_id(e, v[RESULT]);
    if (v[CALLS].type == JSON_ARRAY)
        while (json_next(v[CALLS].raw, &next, NULL, &call) == 1)
            mend_id(e, json_member(call, "id"));
}

bool openai_knows_developers(const struct conf_provider *conf)
{
    static const char *const types[] = {"openai", "azure", "virtual", "openrouter", "xai"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(conf->type, types[i]) == 0)
            return true;
    return false;
}

/* Roles and ids that this provider does not take. */
static struct str mended_messages(struct request *r, const struct conf_provider *conf, unsigned deviations,
                                  struct json_value messages)
{
    struct edits e = {.r = r, .arena = r->arena};
    struct json_value v;
    size_t next = 0;
    bool developer = !openai_knows_developers(conf) && str_has(messages.raw, "\"developer\"");
    bool ids = (deviations & PROVIDER_RANDOM_SEED) && str_has(messages.raw, "\"tool_call");
    if (messages.type != JSON_ARRAY || (!developer && !ids))
        return messages.raw;
    while (json_next(messages.raw, &next, NULL, &v) == 1)
        mend_turn(&e, deviations, developer, v);
    return e.n > 0 ? apply(&e, messages.raw) : messages.raw;
}

int openai_mend_request(struct request *r, const struct conf_provider *conf, struct str *body,
                        struct provider_call *call)
{
    unsigned deviations = openai_deviations(conf);
    bool has_max_tokens = str_has(*body, "\"max_tokens\""), changed = false;
    size_t max = 2 * body->n + 256, next = 0;
    struct str name;
    struct json_value v;
    if (json_root(*body).type != JSON_OBJECT)
        return -1;
    struct buf b = arena_buf(r->arena, max);
    struct json_writer j = json_writer(&b);
    json_open(&j, '{');
    while (json_next(*body, &next, &name, &v) == 1) {
        const char *new_name = NULL;
        enum fate fate = fate_of(deviations, name, v, has_max_tokens, &new_name);
        struct str value = is(name, "messages") ? mended_messages(r, conf, deviations, v) : v.raw;
        changed |= fate != KEPT || value.p != v.raw.p;
        if (fate == REPORTED)
            report(r, call, name);
        if (fate == REPORTED || fate == LEFT_OUT)
            continue;
        json_raw(&j, arena_printf(r->arena,
                                  "\"" STR_FMT "\":", STR_ARG(fate == RENAMED ? str_of(new_name) : name)));
        buf_add(&b, value);
    }
    json_close(&j, '}');
    if (changed && !b.full)
        *body = buf_str(&b);
    return 0;
}

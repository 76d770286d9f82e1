/* Round trips of random conversations: which vendors there are, what may be lost on the way through each, how
 * a conversation looks without it, and trials by the thousand.
 *
 * ROUND_TRIP_SEED and ROUND_TRIP_CASES choose others. A failure is looked for again in smaller conversations,
 * and the smallest one found is printed with all bodies. */
#ifndef TESTS_UNIT_ROUND_TRIP_H
#define TESTS_UNIT_ROUND_TRIP_H

#include "chat_text.h"
#include "random_chat.h"
#include "text_asserts.h"
#include "translate_fixture.h"

#include "clock.h"

/* ---- what may be lost */

enum loss {
    NO_LOSS = 0,
    /* of requests */
    IDS = 1 << 0,                /* calls get other ids; which result is whose stays */
    ERROR_FLAG = 1 << 1,         /* that a result is an error is told in words */
    ALL_THINKING = 1 << 2,       /* thinking is not sent to this vendor at all */
    FOREIGN_THINKING = 1 << 3,   /* … nor what it did not sign itself */
    FOREIGN_SIGNATURES = 1 << 4, /* thinking that others made goes without its signature */
    THINKING_JOINED = 1 << 5,    /* … and is then one with its neighbour */
    SYSTEM_JOINED = 1 << 6,      /* several system messages are one */
    RESULT_JOINED = 1 << 7,      /* a result's texts are one */
    RESULT_MEDIA = 1 << 8,       /* a result's pictures and files stand behind it, in the turn */
    FILE_NAME = 1 << 9,
    UNNAMED_FILE = 1 << 10,     /* a file without a name gets one */
    STRICT_FALSE = 1 << 11,     /* "not strict" said or not said is the same */
    AUTHOR_NAME = 1 << 12,      /* which of several people said it */
    THINKING_FORM = 1 << 13,    /* how much to think is a budget, an effort or neither; "minimal" is none */
    DETAIL = 1 << 14,           /* how closely a picture is to be looked at */
    STRICT_TOOLS = 1 << 15,     /* whether a tool's schema is to be kept to strictly */
    EMPTY_SCHEMA = 1 << 16,     /* a tool without parameters has the schema of an empty object */
    CHOICE_AUTO = 1 << 17,      /* "auto" said or not said is the same */
    ALLOWED = 1 << 18,          /* tools that may not be called are not there */
    PARALLEL_ALLOWED = 1 << 19, /* that calls may be parallel, which they may unasked */
    FORMAT_NAME = 1 << 20,      /* name, description and strictness of the answer's schema */
    FORMAT_STRICT = 1 << 21,    /* its strictness, where it was not told */
    JSON_TOLD = 1 << 22,        /* "any JSON" is asked for in words, too … */
    JSON_ONLY_TOLD = 1 << 23,   /* … or only */
    /* of answers */
    SIGNATURES = 1 << 24,     /* this vendor's own have none */
    STOP_SEQUENCE_ = 1 << 25, /* which stop sequence it was, and that it was one */
    WRITTEN_TOKENS = 1 << 26, /* tokens written to the cache are counted as plain input */
    REFUSALS = 1 << 27,       /* the model's refusal and the provider's filter are one */
};

struct vendor {
    const char *name, *type, *model, *id_front;
    enum endpoint endpoint; /* of its callers' */
    enum chat_signer signer;
    unsigned request_losses, answer_losses;
    unsigned refused; /* bits of parameters that it refuses */
    unsigned added;   /* bits of parameters that it demands, hence gets unasked */
};

static const struct vendor vendors[] = {
    {.name = "anthropic",
     .type = "anthropic",
     .model = "claude-sonnet-4-5",
     .id_front = "msg_",
     .endpoint = EP_MESSAGES,
     .signer = SIGNER_ANTHROPIC,
     .request_losses = AUTHOR_NAME | THINKING_FORM | FOREIGN_THINKING | SYSTEM_JOINED | FORMAT_NAME |
                       CHOICE_AUTO | DETAIL | EMPTY_SCHEMA | ALLOWED | STRICT_FALSE | JSON_TOLD |
                       JSON_ONLY_TOLD | PARALLEL_ALLOWED,
     .answer_losses = REFUSALS,
     .refused = 1 << PARAM_N, /* several answers mean something */
     .added = 1 << PARAM_MAX_TOKENS},
    {.name = "google",
     .type = "gemini",
     .model = "gemini-3-flash-preview",
     .id_front = "r",
     .endpoint = EP_GENERATE,
     .signer = SIGNER_GOOGLE,
     .request_losses = AUTHOR_NAME | THINKING_FORM | IDS | FOREIGN_SIGNATURES | THINKING_JOINED |
                       SYSTEM_JOINED | RESULT_JOINED | FILE_NAME | STRICT_TOOLS | FORMAT_NAME | CHOICE_AUTO |
                       DETAIL | PARALLEL_ALLOWED,
     .answer_losses = STOP_SEQUENCE_ | WRITTEN_TOKENS | REFUSALS},
    {.name = "openai",
     .type = "openai",
     .model = "gpt-4.1",
     .id_front = "chatcmpl-",
     .endpoint = EP_CHAT,
     .signer = SIGNER_OPENAI,
     .request_losses = THINKING_FORM | ERROR_FLAG | ALL_THINKING | RESULT_JOINED | RESULT_MEDIA |
                       EMPTY_SCHEMA | ALLOWED | JSON_TOLD | PARALLEL_ALLOWED | FORMAT_STRICT | UNNAMED_FILE,
     .answer_losses = STOP_SEQUENCE_ | SIGNATURES | REFUSALS},
};
enum { VENDORS = sizeof(vendors) / sizeof(vendors[0]) };

static inline bool speaks(const struct vendor *v)
{
    const struct provider *p = provider_find(v->type);
    const struct chat_dialect *d = chat_dialect_of(v->endpoint);
    return p && p->write_chat && p->read_chat && d && d->read && d->write;
}

/* ---- what is not compared */

static inline void copy_parts(struct chat_part **parts, size_t n, struct arena *a)
{
    struct chat_part *copy = arena_alloc(a, n * sizeof(*copy) + 1);
    if (n > 0)
        memcpy(copy, *parts, n * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy_parts(&copy[i].parts, copy[i].n_parts, a);
    *parts = copy;
}

static inline struct chat_request *copy_request(const struct chat_request *c, struct arena *a)
{
    struct chat_request *copy = arena_alloc(a, sizeof(*copy));
    *copy = *c;
    copy->messages = arena_alloc(a, c->n_messages * sizeof(*copy->messages) + 1);
    if (c->n_messages > 0)
        memcpy(copy->messages, c->messages, c->n_messages * sizeof(*copy->messages));
    for (size_t i = 0; i < c->n_messages; i++)
        copy_parts(&copy->messages[i].parts, copy->messages[i].n_parts, a);
    copy->tools = arena_alloc(a, c->n_tools * sizeof(*copy->tools) + 1);
    if (c->n_tools > 0)
        memcpy(copy->tools, c->tools, c->n_tools * sizeof(*copy->tools));
    return copy;
}

static inline void remove_part(struct chat_part *parts, size_t *n, size_t i)
{
    memmove(&parts[i], &parts[i + 1], (*n - i - 1) * sizeof(*parts));
    --*n;
}

/* Neighbours of a kind as one: what a stream tells piece by piece, and some vendors whole. */
static inline void join_neighbours(struct chat_message *m, enum chat_part_kind kind, struct arena *a)
{
    for (size_t k = 1; k < m->n_parts; k++) {
        struct chat_part *to = &m->parts[k - 1], *from = &m->parts[k];
        if (to->kind != kind || from->kind != kind || to->signature.n > 0)
            continue;
        to->text = arena_printf(a, STR_FMT STR_FMT, STR_ARG(to->text), STR_ARG(from->text));
        to->signature = from->signature;
        to->signer = from->signer;
        remove_part(m->parts, &m->n_parts, k--);
    }
}

/* Ids by the order of the calls; a result has its call's. */
static inline void forget_ids(struct chat_message *messages, size_t n_messages, struct arena *a)
{
    enum { MOST = 512 };
    static struct str old[MOST], new[MOST];
    size_t n = 0;
    for (size_t i = 0; i < n_messages; i++)
        for (size_t k = 0; k < messages[i].n_parts; k++) {
            struct chat_part *p = &messages[i].parts[k];
            if (p->kind == PART_TOOL_CALL && n < MOST) {
                old[n] = p->id;
                p->id = new[n] = arena_printf(a, "#%zu", n);
                n++;
            }
            for (size_t at = n; p->kind == PART_TOOL_RESULT && at-- > 0;)
                if (str_eq(old[at], p->id)) {
                    p->id = new[at];
                    break;
                }
        }
}

static inline bool is_thinking(const struct chat_part *p)
{
    return p->kind == PART_THINKING || p->kind == PART_REDACTED;
}

/* What this vendor can make nothing of. */
static inline bool is_lost_thinking(const struct chat_part *p, unsigned losses, bool foreign)
{
    if (!is_thinking(p))
        return false;
    return (losses & ALL_THINKING) || ((losses & FOREIGN_THINKING) && foreign) ||
           ((losses & FOREIGN_SIGNATURES) && foreign && p->kind == PART_REDACTED);
}

static inline void forget_thinking(struct chat_message *m, unsigned losses, enum chat_signer own)
{
    for (size_t k = m->n_parts; k-- > 0;) {
        struct chat_part *p = &m->parts[k];
        bool foreign = p->signer != own,
             placeholder = str_eq(p->signature, STR("skip_thought_signature_validator"));
        if (is_lost_thinking(p, losses, foreign)) {
            remove_part(m->parts, &m->n_parts, k);
        } else if ((losses & ALL_THINKING) || foreign || placeholder) {
            p->signature = STR_NULL;
            p->signer = SIGNER_NONE;
        }
    }
}

/* What our writers say in words where a vendor has no other way. */
static inline void forget_told(struct chat_request *c, unsigned losses)
{
    for (size_t i = 0; i < c->n_messages && c->messages[i].role == CHAT_SYSTEM; i++) {
        struct chat_message *m = &c->messages[i];
        for (size_t k = m->n_parts; k-- > 0;)
            if (str_starts(m->parts[k].text, STR("Answer with a ")))
                remove_part(m->parts, &m->n_parts, k);
    }
    if ((losses & JSON_ONLY_TOLD) && c->format == FORMAT_JSON)
        c->format = FORMAT_TEXT;
}

static inline void forget_error(struct chat_part *p)
{
    static const struct str told = STR("Error: ");
    p->is_error = false;
    if (p->kind == PART_TOOL_RESULT && p->n_parts > 0 && str_starts(p->parts[0].text, told)) {
        p->parts[0].text.p += told.n;
        p->parts[0].text.n -= told.n;
    }
}

static inline void forget_in_part(struct chat_part *p, unsigned losses, struct arena *a)
{
    if (losses & ERROR_FLAG)
        forget_error(p);
    if (losses & FILE_NAME && p->kind == PART_FILE)
        p->name = STR_NULL;
    if (losses & UNNAMED_FILE && str_eq(p->name, STR("document.pdf")))
        p->name = STR_NULL;
    if (losses & DETAIL)
        p->detail = STR_NULL;
    for (size_t i = 0; i < p->n_parts; i++)
        forget_in_part(&p->parts[i], losses, a);
    if (losses & RESULT_JOINED && p->kind == PART_TOOL_RESULT) {
        struct str text = chat_text(p->parts, p->n_parts, STR("\n"), a);
        struct chat_part *parts = NULL;
        size_t n = 0;
        chat_add_part(&parts, &n, a, PART_TEXT)->text = text;
        for (size_t i = 0; i < p->n_parts; i++)
            if (p->parts[i].kind != PART_TEXT)
                *chat_add_part(&parts, &n, a, PART_TEXT) = p->parts[i];
        p->parts = parts;
        p->n_parts = n;
    }
}

/* What our writer says where it moves something. */
static inline void forget_pointers(struct chat_message *m)
{
    static const struct str below = STR("(See what is attached below.)");
    for (size_t k = m->n_parts; k-- > 0;) {
        struct chat_part *p = &m->parts[k];
        if (p->kind == PART_TEXT && str_starts(p->text, STR("Attached to the result of ")))
            remove_part(m->parts, &m->n_parts, k);
        else if (p->kind == PART_TOOL_RESULT && p->n_parts > 0 && str_ends(p->parts[0].text, below))
            p->parts[0].text = str_trim((struct str){p->parts[0].text.p, p->parts[0].text.n - below.n - 1});
    }
}

/* Pictures of results to behind the last result. */
static inline void move_result_media(struct chat_message *m, struct arena *a)
{
    forget_pointers(m);
    struct chat_part *parts = NULL;
    size_t n = 0;
    for (size_t k = 0; k < m->n_parts; k++)
        if (m->parts[k].kind == PART_TOOL_RESULT)
            *chat_add_part(&parts, &n, a, PART_TEXT) = m->parts[k];
    for (size_t k = 0, results = n; k < results; k++)
        for (size_t i = 0; i < parts[k].n_parts; i++)
            if (parts[k].parts[i].kind != PART_TEXT) {
                struct chat_part media = parts[k].parts[i];
                *chat_add_part(&parts, &n, a, PART_TEXT) = media;
                remove_part(parts[k].parts, &parts[k].n_parts, i--);
            }
    for (size_t k = 0; k < m->n_parts; k++)
        if (m->parts[k].kind != PART_TOOL_RESULT)
            *chat_add_part(&parts, &n, a, PART_TEXT) = m->parts[k];
    m->parts = parts;
    m->n_parts = n;
}

static inline void join_system(struct chat_request *c, struct arena *a)
{
    while (c->n_messages > 1 && c->messages[0].role == CHAT_SYSTEM && c->messages[1].role == CHAT_SYSTEM) {
        struct chat_message *to = &c->messages[0], *from = &c->messages[1];
        for (size_t k = 0; k < from->n_parts; k++)
            *chat_add_part(&to->parts, &to->n_parts, a, PART_TEXT) = from->parts[k];
        memmove(from, from + 1, (c->n_messages - 2) * sizeof(*from));
        c->n_messages--;
    }
}

static inline void forget_thinking_form(struct chat_request *c)
{
    bool least = c->thinking == THINKING_EFFORT && str_eq(c->thinking_effort, STR("minimal"));
    bool off = c->thinking == THINKING_OFF || (c->thinking == THINKING_DEFAULT && c->thinking_shown != 1);
    c->thinking = off || least ? THINKING_DEFAULT : THINKING_ON;
    c->thinking_budget = 0;
    c->thinking_effort = STR_NULL;
}

static inline void forget_disallowed(struct chat_request *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n_tools; i++)
        if (chat_tool_allowed(c, c->tools[i].name))
            c->tools[kept++] = c->tools[i];
    c->n_tools = kept;
    c->n_allowed = 0;
}

static inline void forget_of_tools(struct chat_request *c, unsigned losses)
{
    for (size_t i = 0; i < c->n_tools; i++) {
        if ((losses & STRICT_TOOLS) || ((losses & STRICT_FALSE) && c->tools[i].strict == 0))
            c->tools[i].strict = -1;
        if ((losses & EMPTY_SCHEMA) && c->tools[i].schema.n > 0) {
            struct json_value p = json_member(json_root(c->tools[i].schema), "properties");
            if (p.count == 0)
                c->tools[i].schema = STR_NULL;
        }
        if ((losses & EMPTY_SCHEMA) && c->tools[i].schema.n == 0)
            c->tools[i].strict = -1; /* there is nothing to be strict about */
    }
    if ((losses & CHOICE_AUTO) && c->tool_choice == TOOLS_DEFAULT && c->n_tools > 0)
        c->tool_choice = TOOLS_AUTO;
    if ((losses & ALLOWED) && c->n_allowed > 0)
        forget_disallowed(c);
    bool only = c->n_allowed == 1 || ((losses & ALLOWED) && c->n_tools == 1);
    if (c->tool_choice == TOOLS_REQUIRED && only) { /* two ways to say it */
        c->tool_choice = TOOLS_NAMED;
        c->tool_name = c->n_allowed == 1 ? c->allowed[0] : c->tools[0].name;
        c->n_allowed = 0;
    }
    if ((losses & PARALLEL_ALLOWED) && c->parallel_tools == 1)
        c->parallel_tools = -1;
    if ((losses & FORMAT_STRICT) && c->format == FORMAT_SCHEMA && c->format_strict < 0)
        c->format_strict = 1;
    if (losses & FORMAT_NAME) {
        c->format_name = c->format_description = STR_NULL;
        c->format_strict = -1;
    }
}

/* A copy of c in which what may be lost is not there. */
static inline struct chat_request *forget(const struct chat_request *original, unsigned losses,
                                          enum chat_signer own, struct arena *a)
{
    struct chat_request *c = copy_request(original, a);
    for (size_t i = 0; i < c->n_messages; i++) {
        struct chat_message *m = &c->messages[i];
        forget_thinking(m, losses, own);
        if (losses & AUTHOR_NAME)
            m->name = STR_NULL;
        if (losses & THINKING_JOINED)
            join_neighbours(m, PART_THINKING, a);
        for (size_t k = 0; k < m->n_parts; k++)
            forget_in_part(&m->parts[k], losses, a);
        if (losses & RESULT_MEDIA)
            move_result_media(m, a);
    }
    if (losses & IDS)
        forget_ids(c->messages, c->n_messages, a);
    if (losses & SYSTEM_JOINED)
        join_system(c, a);
    if (losses & JSON_TOLD)
        forget_told(c, losses);
    if (losses & THINKING_FORM)
        forget_thinking_form(c);
    forget_of_tools(c, losses);
    chat_settle(c, a);
    return c;
}

/* ---- trials */

struct report {
    struct buf text;
    bool wanted;
};

static inline void tell(struct report *r, const char *title, struct str text)
{
    if (r->wanted)
        buf_printf(&r->text, "---- %s\n" STR_FMT "\n", title, STR_ARG(text));
}

/* One random case; false: something was lost, which the report tells. */
typedef bool trial(uint64_t seed, unsigned size, const void *arg, struct report *r);

static inline void fail_trial(const char *name, trial *t, uint64_t seed, unsigned size, const void *arg)
{
    struct report quiet = {.wanted = false}, r = {.wanted = true};
    for (unsigned s = 1; s <= size; s++)
        for (uint64_t k = 0; k < 400; k++)
            if (!t(seed + k, s, arg, &quiet)) {
                seed += k;
                size = s;
                goto found;
            }
found:
    buf_init(&r.text, 1 << 24);
    t(seed, size, arg, &r);
    buf_add_byte(&r.text, '\0');
    printf("%s: seed %llu, size %u\n%s\n", name, (unsigned long long)seed, size, r.text.p);
    fflush(stdout);
    buf_free(&r.text);
    fail_msg("%s", name);
}

static inline uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *given = getenv(variable);
    return given ? strtoull(given, NULL, 0) : otherwise;
}

static inline void run_trials(const char *name, trial *t, const void *arg, unsigned cases)
{
    struct report quiet = {.wanted = false};
    static uint64_t seed;
    if (seed == 0)
        seed = number_from("ROUND_TRIP_SEED", (uint64_t)clock_wall_us());
    cases = (unsigned)number_from("ROUND_TRIP_CASES", cases);
    print_message("%s: ROUND_TRIP_SEED=%llu, %u cases\n", name, (unsigned long long)seed, cases);
    for (unsigned i = 0; i < cases; i++) {
        unsigned size = 1 + i * 8 / cases;
        if (!t(seed + i * UINT64_C(1000003), size, arg, &quiet))
            fail_trial(name, t, seed + i * UINT64_C(1000003), size, arg);
    }
}

static inline bool same(struct report *r, struct str before, struct str after)
{
    if (str_eq(before, after))
        return true;
    tell(r, "sent (without what may be lost)", before);
    tell(r, "read", after);
    size_t at = 0, from = 0;
    while (at < before.n && at < after.n && before.p[at] == after.p[at])
        if (before.p[at++] == '\n')
            from = at;
    tell(r, "where they begin to differ, sent", (struct str){before.p + from, before.n - from});
    tell(r, "where they begin to differ, read", (struct str){after.p + from, after.n - from});
    return false;
}

static inline bool ever_fails(trial *t, const void *arg)
{
    struct report quiet = {.wanted = false};
    for (unsigned i = 0; i < 4000; i++)
        if (!t(i * UINT64_C(7919), 1 + i % 8, arg, &quiet))
            return true;
    return false;
}

#endif

/* Round trips of random conversations: what one vendor's writer says, the same vendor's reader understands,
 * and nothing is lost on the way but what stands in the tables here.
 *
 *   requests        neutral → A's body (provider) → neutral (A's callers' dialect)
 *   two vendors     the same through A, B and A again
 *   answers         neutral → A's answer, whole and streamed (dialect) → neutral (A's provider)
 *   coming back     an answer in each dialect, sent back by its client as history, with every signature in it
 *
 * ROUND_TRIP_SEED and ROUND_TRIP_CASES choose others. A failure is looked for again in smaller conversations,
 * and the smallest one found is printed with all bodies. */
#include "round_trip.h"
#include "translate_fixture.h"

#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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
    UNNAMED_FILE = 1 << 24,     /* a file without a name gets one */
    STRICT_FALSE = 1 << 25,     /* "not strict" said or not said is the same */
    AUTHOR_NAME = 1 << 26,      /* which of several people said it */
    THINKING_FORM = 1 << 27,    /* how much to think is a budget, an effort or neither; "minimal" is none */
    DETAIL = 1 << 10,           /* how closely a picture is to be looked at */
    STRICT_TOOLS = 1 << 11,     /* whether a tool's schema is to be kept to strictly */
    EMPTY_SCHEMA = 1 << 12,     /* a tool without parameters has the schema of an empty object */
    CHOICE_AUTO = 1 << 13,      /* "auto" said or not said is the same */
    ALLOWED = 1 << 14,          /* tools that may not be called are not there */
    PARALLEL_ALLOWED = 1 << 15, /* that calls may be parallel, which they may unasked */
    FORMAT_NAME = 1 << 16,      /* name, description and strictness of the answer's schema */
    FORMAT_STRICT = 1 << 17,    /* its strictness, where it was not told */
    JSON_TOLD = 1 << 18,        /* "any JSON" is asked for in words, too … */
    JSON_ONLY_TOLD = 1 << 19,   /* … or only */
    /* of answers */
    SIGNATURES = 1 << 20,     /* this vendor's own have none */
    STOP_SEQUENCE_ = 1 << 21, /* which stop sequence it was, and that it was one */
    WRITTEN_TOKENS = 1 << 22, /* tokens written to the cache are counted as plain input */
    REFUSALS = 1 << 23,       /* the model's refusal and the provider's filter are one */
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

/* ---- random requests */

static void add_media(struct dice *d, struct chat_part **parts, size_t *n)
{
    static const char png[] = "\x89PNG\r\n\x1a\n", pdf[] = "%PDF-1.7";
    bool image = !once_in(d, 3);
    struct chat_part *p = chat_add_part(parts, n, d->arena, image ? PART_IMAGE : PART_FILE);
    p->mime = image ? STR("image/png") : STR("application/pdf");
    p->data = random_bytes64(d, image ? png : pdf, strlen(image ? png : pdf));
    if (!image && !once_in(d, 4))
        p->name = STR("paper.pdf");
    if (image && once_in(d, 5))
        p->detail = once_in(d, 2) ? STR("low") : STR("high");
}

static void add_text(struct dice *d, struct chat_part **parts, size_t *n)
{
    struct str text = random_text(d);
    chat_add_part(parts, n, d->arena, PART_TEXT)->text = text;
}

static void add_result(struct dice *d, struct chat_message *m, const struct chat_part *call)
{
    struct chat_part *p = chat_add_part(&m->parts, &m->n_parts, d->arena, PART_TOOL_RESULT);
    p->id = call->id;
    p->name = call->name;
    p->is_error = once_in(d, 5);
    struct chat_part *parts = NULL;
    size_t n = 0;
    add_text(d, &parts, &n);
    if (once_in(d, 6))
        add_text(d, &parts, &n);
    if (once_in(d, 6))
        add_media(d, &parts, &n);
    p = &m->parts[m->n_parts - 1];
    p->parts = parts;
    p->n_parts = n;
}

static void make_user(struct dice *d, struct chat_request *c, const struct chat_message *before)
{
    struct chat_message *m = chat_add_message(c, d->arena, CHAT_USER);
    bool results = false;
    for (size_t i = 0; before && i < before->n_parts; i++)
        if (before->parts[i].kind == PART_TOOL_CALL) {
            add_result(d, m, &before->parts[i]);
            results = true;
        }
    for (uint64_t n = results ? roll(d, 2) : 1 + roll(d, 1 + d->size / 2); n > 0; n--) {
        if (once_in(d, 3))
            add_media(d, &m->parts, &m->n_parts);
        else
            add_text(d, &m->parts, &m->n_parts);
    }
}

static void add_calls(struct dice *d, const struct chat_request *c, struct chat_part **parts, size_t *n,
                      enum chat_signer signer)
{
    bool first = true;
    for (uint64_t k = 1 + roll(d, 3); k > 0; k--) {
        struct str id = random_word(d, "call_", 24), arguments = once_in(d, 5) ? STR_NULL : random_object(d);
        struct chat_part *p = chat_add_part(parts, n, d->arena, PART_TOOL_CALL);
        p->id = id;
        p->name = c->tools[roll(d, c->n_tools)].name;
        p->arguments = arguments;
        if (signer == SIGNER_GOOGLE && first) {
            p->signature = random_bytes64(d, "", 0);
            p->signer = signer;
        }
        first = false;
    }
}

static void add_thinking(struct dice *d, struct chat_part **parts, size_t *n, enum chat_signer signer)
{
    struct chat_part *p = chat_add_part(parts, n, d->arena, PART_THINKING);
    p->text = random_text(d);
    if (signer == SIGNER_ANTHROPIC || signer == SIGNER_OPENAI) {
        p->signature = random_bytes64(d, "", 0);
        p->signer = signer;
    }
    if (signer == SIGNER_ANTHROPIC && once_in(d, 4)) {
        p = chat_add_part(parts, n, d->arena, PART_REDACTED);
        p->data = random_bytes64(d, "", 0);
        p->signer = signer;
    }
}

/* What an assistant says: thinking, text, calls. */
static void add_said(struct dice *d, const struct chat_request *c, struct chat_part **parts, size_t *n,
                     enum chat_signer signer)
{
    bool calls = c->n_tools > 0 && once_in(d, 2);
    if (signer != SIGNER_NONE && once_in(d, 2))
        add_thinking(d, parts, n, signer);
    if (signer == SIGNER_ANTHROPIC && *n > 0 && once_in(d, 4))
        add_thinking(d, parts, n, signer);
    if (!calls || once_in(d, 2)) {
        add_text(d, parts, n);
        if (signer == SIGNER_GOOGLE && !calls && once_in(d, 3)) {
            (*parts)[*n - 1].signature = random_bytes64(d, "", 0);
            (*parts)[*n - 1].signer = signer;
        }
    }
    if (calls)
        add_calls(d, c, parts, n, signer);
}

static void make_tools(struct dice *d, struct chat_request *c)
{
    for (uint64_t n = roll(d, 1 + d->size / 2); n > 0; n--) {
        struct str name = random_word(d, "tool_", 1 + roll(d, 20));
        struct str property = random_word(d, "p", 3), description = random_text(d);
        struct chat_tool *t = chat_add_tool(c, d->arena);
        t->name = name;
        t->description = once_in(d, 3) ? STR_NULL : description;
        t->strict = (int)roll(d, 3) - 1;
        if (!once_in(d, 5))
            t->schema =
                arena_printf(d->arena,
                             "{\"type\":\"object\",\"properties\":{\"" STR_FMT
                             "\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}},\"required\":[\"" STR_FMT
                             "\"],\"additionalProperties\":false}",
                             STR_ARG(property), STR_ARG(property));
    }
    if (c->n_tools == 0)
        return;
    c->tool_choice = (enum chat_choice_kind)roll(d, 5);
    if (c->tool_choice == TOOLS_NAMED)
        c->tool_name = c->tools[roll(d, c->n_tools)].name;
    else if (c->tool_choice != TOOLS_NONE && c->n_tools > 1 && once_in(d, 5))
        chat_add_allowed(c, d->arena, c->tools[roll(d, c->n_tools)].name);
    if (c->tool_choice != TOOLS_NONE && once_in(d, 4)) { /* else there is nothing to be parallel */
        c->parallel_tools = once_in(d, 2);
        chat_set_param(c, PARAM_PARALLEL_TOOLS, "p",
                       json_root(c->parallel_tools ? STR("true") : STR("false")));
    }
}

static void make_params(struct dice *d, struct chat_request *c, unsigned without)
{
    static const struct {
        enum chat_param param;
        const char *values[3];
    } numbers[] = {
        {PARAM_MAX_TOKENS, {"16", "1000", "4096"}},
        {PARAM_TEMPERATURE, {"0", "0.5", "1"}},
        {PARAM_TOP_P, {"0.1", "0.95", "1"}},
        {PARAM_TOP_K, {"1", "40", "5"}},
        {PARAM_SEED, {"0", "7", "123456"}},
        {PARAM_PRESENCE_PENALTY, {"-1", "0.5", "2"}},
        {PARAM_FREQUENCY_PENALTY, {"-1", "0.5", "2"}},
        {PARAM_N, {"2", "3", "4"}},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (once_in(d, 4) && !(without & 1U << numbers[i].param))
            chat_set_param(c, numbers[i].param, "p", json_root(str_of(numbers[i].values[roll(d, 3)])));
    if (once_in(d, 4)) {
        for (uint64_t n = 1 + roll(d, 3); n > 0; n--)
            chat_add_stop(c, d->arena, random_word(d, "S", 4));
        chat_set_param(c, PARAM_STOP, "stop", json_root(STR("[]")));
    }
    if (once_in(d, 8)) {
        chat_set_param(c, PARAM_LOGPROBS, "p", json_root(STR("true")));
        chat_set_param(c, PARAM_TOP_LOGPROBS, "p", json_root(STR("3")));
    }
    if (once_in(d, 6))
        chat_set_param(c, PARAM_USER, "user", json_root(STR("\"someone-7\"")));
}

static void make_thinking(struct dice *d, struct chat_request *c, unsigned without)
{
    static const char *const efforts[] = {"low", "medium", "high"};
    if (!once_in(d, 4))
        return;
    chat_set_param(c, PARAM_THINKING, "p", json_root(STR("true")));
    c->thinking = (enum chat_thinking)(THINKING_OFF + roll(d, 4));
    if (c->thinking <= THINKING_ON && (without & 1 << PARAM_THINKING))
        c->thinking = THINKING_EFFORT;
    if (c->thinking == THINKING_BUDGET)
        c->thinking_budget = (uint32_t)(1024 + roll(d, 4) * 512);
    if (c->thinking == THINKING_EFFORT)
        c->thinking_effort = str_of(efforts[roll(d, 3)]);
}

static void make_format(struct dice *d, struct chat_request *c)
{
    if (c->n_tools > 0 || !once_in(d, 4))
        return;
    c->format = once_in(d, 3) ? FORMAT_JSON : FORMAT_SCHEMA;
    if (c->format == FORMAT_JSON)
        return;
    c->format_name = STR("answer_form");
    c->format_schema = STR("{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},"
                           "\"required\":[\"n\"],\"additionalProperties\":false}");
    c->format_strict = (int)roll(d, 3) - 1;
    if (once_in(d, 2))
        c->format_description = random_text(d);
}

static struct chat_request *make_request(struct dice *d, enum chat_signer signer, unsigned without)
{
    struct chat_request *c = arena_alloc(d->arena, sizeof(*c));
    *c = (struct chat_request){
        .model = STR("caller-model"), .parallel_tools = -1, .format_strict = -1, .thinking_shown = -1};
    make_tools(d, c);
    for (uint64_t n = roll(d, 3); n > 0; n--) {
        struct chat_message *m = chat_add_message(c, d->arena, CHAT_SYSTEM);
        add_text(d, &m->parts, &m->n_parts);
    }
    make_user(d, c, NULL);
    if (once_in(d, 8))
        c->messages[c->n_messages - 1].name = STR("robin");
    for (uint64_t n = roll(d, d->size); n > 0; n--) {
        struct chat_message *m = chat_add_message(c, d->arena, CHAT_ASSISTANT);
        add_said(d, c, &m->parts, &m->n_parts, signer);
        make_user(d, c, m);
    }
    make_params(d, c, without);
    make_thinking(d, c, without);
    make_format(d, c);
    chat_settle(c, d->arena);
    return c;
}

/* ---- what is not compared */

static void copy_parts(struct chat_part **parts, size_t n, struct arena *a)
{
    struct chat_part *copy = arena_alloc(a, n * sizeof(*copy) + 1);
    if (n > 0)
        memcpy(copy, *parts, n * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy_parts(&copy[i].parts, copy[i].n_parts, a);
    *parts = copy;
}

static struct chat_request *copy_request(const struct chat_request *c, struct arena *a)
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

static void remove_part(struct chat_part *parts, size_t *n, size_t i)
{
    memmove(&parts[i], &parts[i + 1], (*n - i - 1) * sizeof(*parts));
    --*n;
}

/* Neighbours of a kind as one: what a stream tells piece by piece, and some vendors whole. */
static void join_neighbours(struct chat_message *m, enum chat_part_kind kind, struct arena *a)
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
static void forget_ids(struct chat_message *messages, size_t n_messages, struct arena *a)
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

static bool is_thinking(const struct chat_part *p)
{
    return p->kind == PART_THINKING || p->kind == PART_REDACTED;
}

/* What this vendor can make nothing of. */
static bool is_lost_thinking(const struct chat_part *p, unsigned losses, bool foreign)
{
    if (!is_thinking(p))
        return false;
    return (losses & ALL_THINKING) || ((losses & FOREIGN_THINKING) && foreign) ||
           ((losses & FOREIGN_SIGNATURES) && foreign && p->kind == PART_REDACTED);
}

static void forget_thinking(struct chat_message *m, unsigned losses, enum chat_signer own)
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
static void forget_told(struct chat_request *c, unsigned losses)
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

static void forget_error(struct chat_part *p)
{
    static const struct str told = STR("Error: ");
    p->is_error = false;
    if (p->kind == PART_TOOL_RESULT && p->n_parts > 0 && str_starts(p->parts[0].text, told)) {
        p->parts[0].text.p += told.n;
        p->parts[0].text.n -= told.n;
    }
}

static void forget_in_part(struct chat_part *p, unsigned losses, struct arena *a)
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
static void forget_pointers(struct chat_message *m)
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
static void move_result_media(struct chat_message *m, struct arena *a)
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

static void join_system(struct chat_request *c, struct arena *a)
{
    while (c->n_messages > 1 && c->messages[0].role == CHAT_SYSTEM && c->messages[1].role == CHAT_SYSTEM) {
        struct chat_message *to = &c->messages[0], *from = &c->messages[1];
        for (size_t k = 0; k < from->n_parts; k++)
            *chat_add_part(&to->parts, &to->n_parts, a, PART_TEXT) = from->parts[k];
        memmove(from, from + 1, (c->n_messages - 2) * sizeof(*from));
        c->n_messages--;
    }
}

static void forget_thinking_form(struct chat_request *c)
{
    bool least = c->thinking == THINKING_EFFORT && str_eq(c->thinking_effort, STR("minimal"));
    bool off = c->thinking == THINKING_OFF || (c->thinking == THINKING_DEFAULT && c->thinking_shown != 1);
    c->thinking = off || least ? THINKING_DEFAULT : THINKING_ON;
    c->thinking_budget = 0;
    c->thinking_effort = STR_NULL;
}

static void forget_disallowed(struct chat_request *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n_tools; i++)
        if (chat_tool_allowed(c, c->tools[i].name))
            c->tools[kept++] = c->tools[i];
    c->n_tools = kept;
    c->n_allowed = 0;
}

static void forget_of_tools(struct chat_request *c, unsigned losses)
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
static struct chat_request *forget(const struct chat_request *original, unsigned losses, enum chat_signer own,
                                   struct arena *a)
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

/* ---- requests as text */

static void dump_params(struct dump *d, const struct chat_request *c, uint32_t without)
{
    static const struct {
        enum chat_param param;
        const char *name;
    } plain[] = {
        {PARAM_MAX_TOKENS, "max_tokens"},
        {PARAM_TEMPERATURE, "temperature"},
        {PARAM_TOP_P, "top_p"},
        {PARAM_TOP_K, "top_k"},
        {PARAM_SEED, "seed"},
        {PARAM_PRESENCE_PENALTY, "presence_penalty"},
        {PARAM_USER, "user"},
        {PARAM_FREQUENCY_PENALTY, "frequency_penalty"},
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (!(without & UINT32_C(1) << plain[i].param) && c->params[plain[i].param].name)
            dump_json(d, 0, plain[i].name, c->params[plain[i].param].value);
    for (size_t i = 0; i < c->n_stop && !(without & 1 << PARAM_STOP); i++)
        dump_line(d, 0, "stop", c->stop[i]);
    if (c->parallel_tools >= 0 && !(without & 1 << PARAM_PARALLEL_TOOLS))
        buf_printf(d->out, "parallel_tools %d\n", c->parallel_tools);
    if (c->thinking != THINKING_DEFAULT && !(without & 1 << PARAM_THINKING)) {
        static const char *const kinds[] = {"", "off", "on", "budget", "effort"};
        buf_printf(d->out, "thinking %s %u\n", kinds[c->thinking], c->thinking_budget);
        dump_line(d, 1, "effort", c->thinking_effort);
    }
    for (size_t i = 0; i < c->n_extras; i++)
        dump_line(d, 0, "extra", c->extras[i].name);
}

static struct str text_of_request(const struct chat_request *c, uint32_t without, struct arena *a)
{
    struct buf b;
    struct dump d = {&b, a};
    buf_init(&b, 1 << 22);
    dump_messages(&d, c);
    dump_tools(&d, c);
    dump_format(&d, c);
    dump_params(&d, c, without);
    struct str text = arena_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

/* ---- passages */

/* From the neutral form to a vendor's body and back. */
struct passage {
    struct translation out, in;
    uint32_t lost; /* bits of parameters that were not honoured, or otherwise */
};

static bool speaks(const struct vendor *v)
{
    const struct provider *p = provider_find(v->type);
    const struct chat_dialect *d = chat_dialect_of(v->endpoint);
    return p && p->write_chat && p->read_chat && d && d->read && d->write;
}

/* NULL: refused, *why. */
static const struct chat_request *pass(struct passage *p, const struct vendor *v,
                                       const struct chat_request *c, struct str *why)
{
    struct error err;
    translation_init(&p->out, EP_CHAT, v->type);
    translation_init(&p->in, v->endpoint, v->type);
    p->out.r.target_model = p->in.r.model = str_of(v->model);
    if (p->out.provider->write_chat(translation_call(&p->out, c, v->model)) != 0)
        return *why = p->out.f.message, NULL;
    uint32_t given = 0;
    for (unsigned i = 0; i < CHAT_PARAMS; i++)
        given |= c->params[i].name ? UINT32_C(1) << i : 0;
    p->lost = (given & ~p->out.call.taken) | p->out.call.adjusted | (v->added & ~given);
    p->in.r.body = p->out.out.body;
    if (json_validate(p->in.r.body, &err) != 0)
        return *why = arena_printf(&p->out.arena, "the body is no JSON: %s", err.text), NULL;
    if (chat_read(&p->in.r, &p->in.f) != 0)
        return *why = p->in.f.message, NULL;
    return p->in.r.chat;
}

static void passage_fini(struct passage *p)
{
    translation_fini(&p->out);
    translation_fini(&p->in);
}

/* ---- trials */

struct report {
    struct buf text;
    bool wanted;
};

static void tell(struct report *r, const char *title, struct str text)
{
    if (r->wanted)
        buf_printf(&r->text, "---- %s\n" STR_FMT "\n", title, STR_ARG(text));
}

/* One random case; false: something was lost, which the report tells. */
typedef bool trial(uint64_t seed, unsigned size, const void *arg, struct report *r);

static void fail_trial(const char *name, trial *t, uint64_t seed, unsigned size, const void *arg)
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

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *given = getenv(variable);
    return given ? strtoull(given, NULL, 0) : otherwise;
}

static void run_trials(const char *name, trial *t, const void *arg, unsigned cases)
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

static bool same(struct report *r, struct str before, struct str after)
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

/* ---- requests */

static const enum chat_signer signers[] = {SIGNER_NONE, SIGNER_ANTHROPIC, SIGNER_GOOGLE};

static bool request_trial(uint64_t seed, unsigned size, const void *arg, struct report *r)
{
    const struct vendor *v = arg;
    struct arena a;
    struct passage p;
    struct str why = STR_NULL;
    arena_init(&a);
    struct dice d = {seed, &a, size};
    const struct chat_request *c = make_request(&d, signers[roll(&d, 3)], v->refused),
                              *back = pass(&p, v, c, &why);
    tell(r, v->name, p.out.out.body);
    bool ok = back != NULL;
    if (!ok)
        tell(r, "refused", why);
    else
        ok = same(r, text_of_request(forget(c, v->request_losses, v->signer, &a), p.lost, &a),
                  text_of_request(forget(back, v->request_losses, v->signer, &a), p.lost, &a));
    passage_fini(&p);
    arena_fini(&a);
    return ok;
}

static void requests(void **state)
{
    const struct vendor *v = *state;
    if (!speaks(v))
        skip();
    run_trials(v->name, request_trial, v, 1500);
}

/* ---- through two vendors */

struct pair {
    const struct vendor *a, *b;
};

static bool chain_trial(uint64_t seed, unsigned size, const void *arg, struct report *r)
{
    const struct pair *pair = arg;
    const struct vendor *way[3] = {pair->a, pair->b, pair->a};
    struct arena a;
    struct passage p[3];
    struct str why = STR_NULL;
    const struct chat_request *first = NULL;
    unsigned n = 0;
    uint32_t lost = 0;
    unsigned losses = pair->a->request_losses | pair->b->request_losses;
    arena_init(&a);
    struct dice d = {seed, &a, size};
    /* not thinking at all is "minimal" at Google, which the next one takes for a little; thinking as the
     * model sees fit is what Google's models do unasked, and others don't */
    const struct chat_request *c =
        make_request(&d, pair->a->signer, pair->a->refused | pair->b->refused | 1 << PARAM_THINKING);
    for (; n < 3 && c; n++) {
        c = pass(&p[n], way[n], c, &why);
        lost |= p[n].lost;
        first = n == 0 ? c : first;
        tell(r, way[n]->name, p[n].out.out.body);
    }
    bool ok = c != NULL;
    if (!ok)
        tell(r, "refused", why);
    else
        ok = same(r, text_of_request(forget(first, losses, pair->b->signer, &a), lost, &a),
                  text_of_request(forget(c, losses, pair->b->signer, &a), lost, &a));
    while (n > 0)
        passage_fini(&p[--n]);
    arena_fini(&a);
    return ok;
}

static void through_two(void **state)
{
    (void)state;
    for (size_t i = 0; i < VENDORS; i++)
        for (size_t k = 0; k < VENDORS; k++) {
            struct pair pair = {&vendors[i], &vendors[k]};
            char name[64];
            if (i == k || !speaks(pair.a) || !speaks(pair.b))
                continue;
            snprintf(name, sizeof(name), "%s, %s, %s", pair.a->name, pair.b->name, pair.a->name);
            run_trials(name, chain_trial, &pair, 500);
        }
}

/* ---- answers */

static struct usage_tokens random_usage(struct dice *d, unsigned losses)
{
    struct usage_tokens u = {.input = 1 + roll(d, 5000), .output = 1 + roll(d, 900)};
    if (once_in(d, 2))
        u.cached = roll(d, u.input);
    if (once_in(d, 3) && !(losses & WRITTEN_TOKENS))
        u.cache_write = roll(d, u.input - u.cached);
    if (once_in(d, 2))
        u.reasoning = roll(d, u.output);
    return u;
}

static void make_finish(struct dice *d, struct chat_choice *c, bool calls, unsigned losses)
{
    static const enum chat_finish ends[] = {FINISH_STOP, FINISH_LENGTH, FINISH_STOP_SEQUENCE,
                                            FINISH_CONTENT_FILTER, FINISH_REFUSAL};
    c->finish = calls ? FINISH_TOOL_CALLS : ends[roll(d, sizeof(ends) / sizeof(ends[0]))];
    if (c->finish == FINISH_STOP_SEQUENCE)
        c->stop_sequence = random_word(d, "S", 4);
    if ((losses & STOP_SEQUENCE_) && c->finish == FINISH_STOP_SEQUENCE)
        c->finish = FINISH_STOP;
    if (losses & STOP_SEQUENCE_)
        c->stop_sequence = STR_NULL;
}

static struct chat_answer *make_answer(struct dice *d, const struct chat_request *in, const struct vendor *v)
{
    unsigned losses = v->answer_losses;
    struct chat_answer *answer = arena_alloc(d->arena, sizeof(*answer));
    *answer = (struct chat_answer){
        .id = random_word(d, v->id_front, 20), .model = STR("model-7"), .created = 1760000000};
    struct chat_choice *c = chat_add_choice(answer, d->arena);
    add_said(d, in, &c->parts, &c->n_parts, v->signer);
    make_finish(d, c, chat_has(c->parts, c->n_parts, PART_TOOL_CALL), losses);
    answer->usage = random_usage(d, losses);
    answer->usage_known = true;
    return answer;
}

static struct chat_message message_of(const struct chat_choice *c, struct arena *a)
{
    struct chat_message m = {.role = CHAT_ASSISTANT, .parts = c->parts, .n_parts = c->n_parts};
    copy_parts(&m.parts, m.n_parts, a);
    return m;
}

static void drop_silent(struct chat_message *m)
{
    for (size_t k = m->n_parts; k-- > 0;) {
        struct chat_part *p = &m->parts[k];
        if ((p->kind == PART_TEXT || p->kind == PART_THINKING) && p->text.n == 0 && p->signature.n == 0)
            remove_part(m->parts, &m->n_parts, k);
    }
}

static const char *const finish_words[] = {
    "none", "stop", "stop sequence", "length", "tool calls", "content filter", "refusal", "pause", "error"};

static struct str text_of_answer(const struct chat_answer *answer, unsigned losses, struct arena *a)
{
    struct buf b;
    struct dump d = {&b, a};
    buf_init(&b, 1 << 22);
    dump_line(&d, 0, "id", answer->id);
    dump_line(&d, 0, "model", answer->model);
    for (size_t i = 0; i < answer->n_choices; i++) {
        const struct chat_choice *c = &answer->choices[i];
        struct chat_message m = message_of(c, a);
        if (losses & IDS)
            forget_ids(&m, 1, a);
        for (size_t k = m.n_parts; k-- > 0;) {
            if ((losses & SIGNATURES) && m.parts[k].kind == PART_REDACTED)
                remove_part(m.parts, &m.n_parts, k);
            else if (losses & SIGNATURES)
                m.parts[k].signature = STR_NULL, m.parts[k].signer = SIGNER_NONE;
        }
        drop_silent(&m);
        join_neighbours(&m, PART_TEXT, a);
        join_neighbours(&m, PART_THINKING, a);
        for (size_t k = 0; k < m.n_parts; k++)
            dump_part(&d, 0, &m.parts[k]);
        enum chat_finish f =
            (losses & REFUSALS) && c->finish == FINISH_REFUSAL ? FINISH_CONTENT_FILTER : c->finish;
        buf_printf(&b, "finish: %s\n", finish_words[f]);
        dump_line(&d, 0, "stop sequence", c->stop_sequence);
    }
    const struct usage_tokens *u = &answer->usage;
    buf_printf(&b, "usage%s: input %llu, cached %llu, written %llu, output %llu, reasoning %llu\n",
               answer->usage_known ? "" : " (not known)", (unsigned long long)u->input,
               (unsigned long long)u->cached, (unsigned long long)u->cache_write,
               (unsigned long long)u->output, (unsigned long long)u->reasoning);
    struct str text = arena_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

/* The vendor as a caller's dialect writes it, and as its provider is read again. */
static void writer_side(struct translation *t, const struct vendor *v, struct chat_request *in,
                        struct chat_writer *w, const struct chat_answer *answer)
{
    translation_init(t, v->endpoint, v->type);
    t->r.chat = in;
    t->head.query = STR("alt=sse"); /* Google's: events, not an array */
    t->r.model = STR("model-7");
    *w = (struct chat_writer){.r = &t->r,
                              .in = in,
                              .dialect = t->dialect,
                              .model = STR("model-7"),
                              .usage = answer->usage,
                              .usage_known = true};
}

static struct chat_reader reader_side(struct translation *t, struct chat_request *in, struct chat_sink *sink)
{
    return (struct chat_reader){.r = &t->r,
                                .conf = &t->conf,
                                .in = in,
                                .arena = &t->arena,
                                .scratch = sink ? &t->scratch : &t->arena,
                                .f = &t->f,
                                .sink = sink};
}

static bool whole_trial(uint64_t seed, unsigned size, const void *arg, struct report *r)
{
    const struct vendor *v = arg;
    struct arena a;
    struct translation t;
    struct chat_writer w;
    struct chat_answer back = {0};
    arena_init(&a);
    struct dice d = {seed, &a, size};
    struct chat_request *in = make_request(&d, SIGNER_NONE, 0);
    const struct chat_answer *answer = make_answer(&d, in, v);
    writer_side(&t, v, in, &w, answer);
    t.dialect->write(&w, answer, &t.text);
    tell(r, v->name, buf_str(&t.text));
    struct chat_reader rd = reader_side(&t, in, NULL);
    bool ok = t.provider->read_chat(&rd, buf_str(&t.text), &back) == 0;
    if (!ok)
        tell(r, "refused", t.f.message);
    ok = ok &&
         same(r, text_of_answer(answer, v->answer_losses, &a), text_of_answer(&back, v->answer_losses, &a));
    translation_fini(&t);
    arena_fini(&a);
    return ok;
}

/* ---- streams */

/* A dialect that gathers what it is told: an answer again. */
struct gathered {
    struct arena *arena;
    struct chat_answer answer;
    size_t call[16]; /* part of each call, + 1 */
};

static struct str joined(struct arena *a, struct str x, struct str y)
{
    return x.n == 0 ? arena_copy(a, y) : arena_printf(a, STR_FMT STR_FMT, STR_ARG(x), STR_ARG(y));
}

/* Text goes on in the last part where that is of the same kind and not ended by a signature. */
static void gather_text(struct gathered *g, struct chat_choice *c, const struct chat_delta *d)
{
    enum chat_part_kind kind = d->kind == DELTA_TEXT       ? PART_TEXT
                               : d->kind == DELTA_THINKING ? PART_THINKING
                                                           : PART_REFUSAL;
    struct chat_part *p = c->n_parts > 0 ? &c->parts[c->n_parts - 1] : NULL;
    if (!p || p->kind != kind || p->signature.n > 0)
        p = chat_add_part(&c->parts, &c->n_parts, g->arena, kind);
    p->text = joined(g->arena, p->text, d->text);
    p->signature = arena_copy(g->arena, d->signature);
    p->signer = d->signer;
}

static void gather_tool(struct gathered *g, struct chat_choice *c, const struct chat_delta *d)
{
    struct chat_part *p = chat_add_part(&c->parts, &c->n_parts, g->arena, PART_TOOL_CALL);
    p->id = arena_copy(g->arena, d->id);
    p->name = arena_copy(g->arena, d->name);
    p->signature = arena_copy(g->arena, d->signature);
    p->signer = d->signer;
    if (d->tool < 16)
        g->call[d->tool] = c->n_parts;
}

static void gather(struct chat_writer *w, const struct chat_delta *d, struct buf *out)
{
    struct gathered *g = w->state;
    (void)out;
    if (d->kind == DELTA_START) {
        g->answer.id = arena_copy(g->arena, d->id);
        g->answer.model = arena_copy(g->arena, d->model);
        return;
    }
    while (g->answer.n_choices <= d->choice)
        chat_add_choice(&g->answer, g->arena);
    struct chat_choice *c = &g->answer.choices[d->choice];
    if (d->kind == DELTA_TEXT || d->kind == DELTA_THINKING || d->kind == DELTA_REFUSAL) {
        gather_text(g, c, d);
    } else if (d->kind == DELTA_REDACTED) {
        struct chat_part *p = chat_add_part(&c->parts, &c->n_parts, g->arena, PART_REDACTED);
        p->data = arena_copy(g->arena, d->data);
        p->signer = d->signer;
    } else if (d->kind == DELTA_TOOL) {
        gather_tool(g, c, d);
    } else if (d->kind == DELTA_ARGUMENTS && d->tool < 16 && g->call[d->tool] > 0) {
        struct chat_part *p = &c->parts[g->call[d->tool] - 1];
        p->arguments = joined(g->arena, p->arguments, d->text);
    } else if (d->kind == DELTA_FINISH) {
        c->finish = d->finish;
        c->stop_sequence = arena_copy(g->arena, d->stop_sequence);
    }
}

static void write_delta(void *arg, const struct chat_delta *d)
{
    chat_sink_take(arg, d);
}

/* The stream in pieces of any size; -1: failed. */
static enum frame_result read_stream(struct translation *t, struct chat_reader *rd, struct str stream,
                                     struct dice *d)
{
    struct sse_reader sse;
    struct sse_event ev;
    enum frame_result last = FRAME_MORE;
    sse_init(&sse);
    while (stream.n > 0 && last == FRAME_MORE) {
        size_t n = 1 + roll(d, 200);
        n = n < stream.n ? n : stream.n;
        sse_feed(&sse, (struct str){stream.p, n});
        stream.p += n, stream.n -= n;
        while (last == FRAME_MORE && sse_next(&sse, &ev) == 1) {
            struct chat_frame frame = {.name = ev.name, .data = ev.data};
            if (ev.has_data)
                last = t->provider->read_frame(rd, &frame);
            arena_reset(&t->scratch);
        }
    }
    sse_free(&sse);
    return last == FRAME_MORE && t->provider->whole && t->provider->whole(rd) ? FRAME_LAST : last;
}

static void write_stream(struct translation *t, struct chat_writer *w, const struct chat_answer *answer)
{
    struct chat_reader none = {.r = &t->r};
    struct chat_sink sink = {.reader = &none, .writer = w, .out = &t->text};
    t->r.stream = t->r.wants_usage = true;
    t->dialect->begin(w, &t->text);
    chat_answer_deltas(answer, write_delta, &sink);
    t->dialect->end(w, &t->text);
}

static bool stream_trial(uint64_t seed, unsigned size, const void *arg, struct report *r)
{
    static const struct chat_dialect gatherer = {.name = "gatherer", .delta = gather};
    const struct vendor *v = arg;
    struct arena a;
    struct translation t;
    struct chat_writer w;
    arena_init(&a);
    struct dice d = {seed, &a, size};
    struct chat_request *in = make_request(&d, SIGNER_NONE, 0);
    in->stream = true;
    const struct chat_answer *answer = make_answer(&d, in, v);
    struct gathered g = {.arena = &a};
    writer_side(&t, v, in, &w, answer);
    write_stream(&t, &w, answer);
    tell(r, v->name, buf_str(&t.text));
    struct chat_writer gw = {.r = &t.r, .in = in, .dialect = &gatherer, .state = &g};
    struct chat_sink sink = {.writer = &gw, .out = &t.text};
    struct chat_reader rd = reader_side(&t, in, &sink);
    sink.reader = &rd;
    t.r.tokens_known = false;
    bool ok = read_stream(&t, &rd, buf_str(&t.text), &d) == FRAME_LAST;
    if (!ok)
        tell(r, "not whole", t.f.message);
    g.answer.usage = t.r.tokens;
    g.answer.usage_known = t.r.tokens_known;
    ok = ok && same(r, text_of_answer(answer, v->answer_losses, &a),
                    text_of_answer(&g.answer, v->answer_losses, &a));
    translation_fini(&t);
    arena_fini(&a);
    return ok;
}

static void answers(void **state)
{
    char name[64];
    (void)state;
    for (size_t i = 0; i < VENDORS; i++) {
        if (!speaks(&vendors[i]))
            continue;
        snprintf(name, sizeof(name), "answers: %s", vendors[i].name);
        run_trials(name, whole_trial, &vendors[i], 1500);
        snprintf(name, sizeof(name), "streams: %s", vendors[i].name);
        run_trials(name, stream_trial, &vendors[i], 1500);
    }
}

/* ---- coming back */

struct sender {
    const char *name;
    enum endpoint endpoint;
    unsigned losses;
};

static const struct sender senders[] = {
    {"chat", EP_CHAT, NO_LOSS},
    {"responses", EP_RESPONSES, NO_LOSS},
    {"messages", EP_MESSAGES, NO_LOSS},
    {"google", EP_GENERATE, NO_LOSS},
};

static struct json_value first_of(struct json_value list)
{
    struct json_value v = {0};
    size_t at = 0;
    json_next(list.raw, &at, NULL, &v);
    return v;
}

static void put_question(struct json_writer *w, enum endpoint e)
{
    json_raw(w, e == EP_GENERATE ? STR("{\"role\":\"user\",\"parts\":[{\"text\":\"q\"}]}")
                                 : STR("{\"role\":\"user\",\"content\":\"q\"}"));
}

/* The client's results: one for each call, as its vendor wants them. */
static void put_results(struct json_writer *w, enum endpoint e, const struct chat_choice *c)
{
    bool one_turn = e == EP_MESSAGES || e == EP_GENERATE;
    if (one_turn) {
        json_open(w, '{');
        json_member_strz(w, "role", "user");
        json_member_open(w, e == EP_MESSAGES ? "content" : "parts", '[');
    }
    for (size_t i = 0; i < c->n_parts; i++) {
        const struct chat_part *p = &c->parts[i];
        if (p->kind != PART_TOOL_CALL)
            continue;
        json_open(w, '{');
        if (e == EP_GENERATE) {
            json_member_open(w, "functionResponse", '{');
            json_member_str(w, "name", p->name);
            json_member_raw(w, "response", STR("{\"output\":\"r\"}"));
            json_close(w, '}');
        } else {
            json_member_strz(w, e == EP_CHAT ? "role" : "type",
                             e == EP_CHAT        ? "tool"
                             : e == EP_RESPONSES ? "function_call_output"
                                                 : "tool_result");
            json_member_str(w,
                            e == EP_CHAT        ? "tool_call_id"
                            : e == EP_RESPONSES ? "call_id"
                                                : "tool_use_id",
                            p->id);
            json_member_strz(w, e == EP_RESPONSES ? "output" : "content", "r");
        }
        json_close(w, '}');
    }
    if (one_turn) {
        json_close(w, ']');
        json_close(w, '}');
    }
}

/* What the vendor's SDK makes of an answer when it is asked to go on. */
static void put_answer(struct json_writer *w, enum endpoint e, struct str answer)
{
    struct json_value root = json_root(answer), item;
    if (e == EP_CHAT) {
        json_raw(w, json_member(first_of(json_member(root, "choices")), "message").raw);
    } else if (e == EP_GENERATE) {
        json_raw(w, json_member(first_of(json_member(root, "candidates")), "content").raw);
    } else if (e == EP_MESSAGES) {
        json_open(w, '{');
        json_member_strz(w, "role", "assistant");
        json_member_raw(w, "content", json_member(root, "content").raw);
        json_close(w, '}');
    } else {
        for (size_t at = 0; json_next(json_member(root, "output").raw, &at, NULL, &item) == 1;)
            json_raw(w, item.raw);
    }
}

static struct str history(enum endpoint e, struct str answer, const struct chat_choice *c, struct arena *a)
{
    size_t max = answer.n + 65536;
    struct buf b = {.p = arena_alloc(a, max), .cap = max, .max = max};
    struct json_writer w = json_writer(&b);
    json_open(&w, '{');
    json_member_strz(&w, "model", "m");
    if (e == EP_MESSAGES)
        json_member_i64(&w, "max_tokens", 100);
    json_member_open(&w, e == EP_RESPONSES ? "input" : e == EP_GENERATE ? "contents" : "messages", '[');
    put_question(&w, e);
    put_answer(&w, e, answer);
    if (chat_has(c->parts, c->n_parts, PART_TOOL_CALL))
        put_results(&w, e, c);
    else
        put_question(&w, e);
    json_close(&w, ']');
    json_close(&w, '}');
    return b.full ? STR_NULL : buf_str(&b);
}

static struct str text_of_message(const struct chat_part *parts, size_t n, unsigned losses, struct arena *a)
{
    struct chat_message m = {
        .role = CHAT_ASSISTANT, .parts = arena_alloc(a, n * sizeof(*parts) + 1), .n_parts = n};
    struct chat_request c = {.messages = &m, .n_messages = 1};
    struct buf b;
    struct dump d = {&b, a};
    if (n > 0)
        memcpy(m.parts, parts, n * sizeof(*parts));
    if (losses & IDS)
        forget_ids(&m, 1, a);
    drop_silent(&m);
    join_neighbours(&m, PART_TEXT, a);
    buf_init(&b, 1 << 20);
    dump_messages(&d, &c);
    struct str text = arena_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

struct coming {
    const struct sender *sender;
    enum chat_signer signer;
};

static bool coming_trial(uint64_t seed, unsigned size, const void *arg, struct report *r)
{
    const struct coming *x = arg;
    static const struct vendor any = {.id_front = "x"};
    struct vendor v = any;
    struct arena a;
    struct translation out, in;
    arena_init(&a);
    v.signer = x->signer;
    struct dice d = {seed, &a, size};
    struct chat_request *asked = make_request(&d, SIGNER_NONE, 0);
    const struct chat_answer *answer = make_answer(&d, asked, &v);
    const struct chat_choice *c = &answer->choices[0];
    translation_init(&out, x->sender->endpoint, "openai");
    out.r.chat = asked;
    struct chat_writer w = {.r = &out.r,
                            .in = asked,
                            .dialect = out.dialect,
                            .model = STR("m"),
                            .usage = answer->usage,
                            .usage_known = true};
    out.dialect->write(&w, answer, &out.text);
    translation_init(&in, x->sender->endpoint, "openai");
    in.r.body = history(x->sender->endpoint, buf_str(&out.text), c, &a);
    tell(r, "history", in.r.body);
    bool ok = json_validate(in.r.body, NULL) == 0 && chat_read(&in.r, &in.f) == 0;
    if (!ok)
        tell(r, "refused", in.f.message);
    ok = ok && in.r.chat->n_messages >= 2;
    ok = ok && same(r, text_of_message(c->parts, c->n_parts, x->sender->losses, &a),
                    text_of_message(in.r.chat->messages[1].parts, in.r.chat->messages[1].n_parts,
                                    x->sender->losses, &a));
    translation_fini(&in);
    translation_fini(&out);
    arena_fini(&a);
    return ok;
}

static void coming_back(void **state)
{
    static const enum chat_signer all[] = {SIGNER_NONE, SIGNER_ANTHROPIC, SIGNER_GOOGLE, SIGNER_OPENAI};
    char name[64];
    (void)state;
    for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++)
        for (size_t k = 0; k < 4; k++) {
            struct coming x = {&senders[i], all[k]};
            snprintf(name, sizeof(name), "%s, signed by %s", senders[i].name, signer_names[all[k]]);
            run_trials(name, coming_trial, &x, 500);
        }
}

/* ---- the tables themselves */

static bool ever_fails(trial *t, const void *arg)
{
    struct report quiet = {.wanted = false};
    for (unsigned i = 0; i < 4000; i++)
        if (!t(i * UINT64_C(7919), 1 + i % 8, arg, &quiet))
            return true;
    return false;
}

/* Nothing is permitted that does not happen; and these tests see what is lost. */
static void permitted_losses_happen(void **state)
{
    (void)state;
    for (size_t i = 0; i < VENDORS; i++)
        for (unsigned bit = 0; bit < 31; bit++) {
            struct vendor strict = vendors[i];
            bool asked = strict.request_losses & 1U << bit, answered = strict.answer_losses & 1U << bit;
            strict.request_losses &= ~(1U << bit);
            if (asked && speaks(&strict) && !ever_fails(request_trial, &strict))
                fail_msg("%s: requests lose nothing of kind %u", strict.name, bit);
            strict.answer_losses &= ~(1U << bit);
            if (answered && speaks(&strict) && !ever_fails(whole_trial, &strict))
                fail_msg("%s: answers lose nothing of kind %u", strict.name, bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"requests: anthropic", requests, NULL, NULL, (void *)(uintptr_t)&vendors[0]},
        {"requests: google", requests, NULL, NULL, (void *)(uintptr_t)&vendors[1]},
        {"requests: openai", requests, NULL, NULL, (void *)(uintptr_t)&vendors[2]},
        cmocka_unit_test(through_two),
        cmocka_unit_test(answers),
        cmocka_unit_test(coming_back),
        cmocka_unit_test(permitted_losses_happen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

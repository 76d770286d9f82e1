/* The neutral form's own business: arrays in the arena, what a request means once it is read, and the small
 * conversions that several dialects share. Run by workers only. */
#include "chat.h"

#include "base64.h"
#include "hash.h"
#include "json_write.h"

#include <stdlib.h>
#include <string.h>

/* Far more than any vendor takes. Each may be compared with each: allowed ones with those that there are. */
enum { MAX_TOOLS = 4096 };

/* ---- building */

void chat_hold(struct buf *b, struct str text, struct arena *a)
{
    if (text.n == 0)
        return;
    if (b->n + text.n > b->cap) {
        size_t cap = 2 * (b->n + text.n) + 64;
        char *p = arena_alloc(a, cap);
        if (b->n > 0)
            memcpy(p, b->p, b->n);
        b->p = p;
        b->cap = b->max = cap;
    }
    memcpy(b->p + b->n, text.p, text.n);
    b->n += text.n;
}

void chat_set_param(struct chat_request *c, enum chat_param p, const char *name, struct json_value value)
{
    if (value.type != JSON_ABSENT && value.type != JSON_NULL)
        c->params[p] = (struct chat_param_value){name, value.raw};
}

/* Room for one more of `size` bytes: arrays grow by doubling, at 1, 2, 4 …; zeroed. */
static void *grow(void **p, size_t n, size_t size, struct arena *a)
{
    if ((n & (n - 1)) == 0) { /* a power of two, or 0: full */
        char *more = arena_alloc(a, (n ? 2 * n : 1) * size);
        if (n > 0)
            memcpy(more, *p, n * size);
        *p = more;
    }
    void *element = (char *)*p + n * size;
    memset(element, 0, size);
    return element;
}

#define GROW(array, n, a)                                                       \
    ({                                                                          \
        void *grown_ = (array);                                                 \
        __typeof__(array) element_ = grow(&grown_, (n), sizeof(*(array)), (a)); \
        (array) = grown_;                                                       \
        (n)++;                                                                  \
        element_;                                                               \
    })

void chat_add_extra(struct chat_request *c, struct arena *a, struct str name)
{
    GROW(c->extras, c->n_extras, a)->name = name;
}

struct chat_message *chat_add_message(struct chat_request *c, struct arena *a, enum chat_role role)
{
    struct chat_message *m = GROW(c->messages, c->n_messages, a);
    m->role = role;
    return m;
}

struct chat_part *chat_add_part(struct chat_part **p, size_t *n, struct arena *a, enum chat_part_kind kind)
{
    struct chat_part *part = GROW(*p, *n, a);
    part->kind = kind;
    return part;
}

struct chat_tool *chat_add_tool(struct chat_request *c, struct arena *a)
{
    c->too_many |= c->n_tools >= MAX_TOOLS;
    struct chat_tool *t = c->too_many ? arena_alloc(a, sizeof(*t)) : GROW(c->tools, c->n_tools, a);
    *t = (struct chat_tool){.strict = -1};
    return t;
}

struct chat_choice *chat_add_choice(struct chat_answer *answer, struct arena *a)
{
    return GROW(answer->choices, answer->n_choices, a);
}

void chat_add_stop(struct chat_request *c, struct arena *a, struct str text)
{
    *GROW(c->stop, c->n_stop, a) = text;
}

void chat_add_allowed(struct chat_request *c, struct arena *a, struct str name)
{
    c->too_many |= c->n_allowed >= MAX_TOOLS;
    if (!c->too_many)
        *GROW(c->allowed, c->n_allowed, a) = name;
}

/* ---- what a request means once it is read */

static bool is_empty(const struct chat_part *p)
{
    return p->kind == PART_TEXT && p->text.n == 0 && p->signature.n == 0;
}

static void drop_empty_parts(struct chat_message *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->n_parts; i++)
        if (!is_empty(&m->parts[i]))
            m->parts[kept++] = m->parts[i];
    m->n_parts = kept;
}

static void append_parts(struct chat_message *to, const struct chat_message *from, struct arena *a)
{
    for (size_t i = 0; i < from->n_parts; i++)
        *chat_add_part(&to->parts, &to->n_parts, a, from->parts[i].kind) = from->parts[i];
}

/* Neighbours of the same role are one turn, but for participants with different names. System messages stay
 * apart: where they stand may matter to nobody, that they are several may. */
static void merge(struct chat_request *c, struct arena *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n_messages; i++) {
        struct chat_message *m = &c->messages[i], *last = kept > 0 ? &c->messages[kept - 1] : NULL;
        drop_empty_parts(m);
        if (m->n_parts == 0)
            continue;
        if (last && last->role == m->role && m->role != CHAT_SYSTEM && str_eq(last->name, m->name))
            append_parts(last, m, a);
        else
            c->messages[kept++] = *m;
    }
    c->n_messages = kept;
}

/* The calls of all turns, in the order of their ids: a turn may have as many calls and results as fit into a
 * body, and each result looks for its call. */
struct call_at {
    struct str id;
    size_t turn, place;
};

struct calls {
    struct call_at *list;
    size_t n;
};

static int compare(size_t a, size_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_ids(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order ? order : compare(a.n, b.n);
}

static int by_id(const void *x, const void *y)
{
    const struct call_at *a = x, *b = y;
    int order = compare_ids(a->id, b->id);
    order = order ? order : compare(a->turn, b->turn);
    return order ? order : compare(a->place, b->place);
}

static struct calls find_calls(const struct chat_request *c, struct arena *a)
{
    struct calls calls = {0};
    for (size_t t = 0; t < c->n_messages; t++)
        for (size_t i = 0; i < c->messages[t].n_parts; i++) {
            const struct chat_part *p = &c->messages[t].parts[i];
            if (p->kind != PART_TOOL_CALL)
                continue;
            *GROW(calls.list, calls.n, a) = (struct call_at){p->id, t, i};
            c->messages[t].google_signed |= p->signature.n > 0 && p->signer == SIGNER_GOOGLE;
        }
    if (calls.n > 1)
        qsort(calls.list, calls.n, sizeof(*calls.list), by_id);
    return calls;
}

/* How many calls stand before that id's calls of that turn. */
static size_t calls_before(const struct calls *calls, struct str id, size_t turn)
{
    struct call_at wanted = {.id = id, .turn = turn};
    size_t from = 0, to = calls->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (by_id(&calls->list[middle], &wanted) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* Place of the call with that id in a turn; SIZE_MAX: it is not there. */
static size_t call_place(const struct calls *calls, struct str id, size_t turn)
{
    size_t i = calls_before(calls, id, turn);
    const struct call_at *at = i < calls->n ? &calls->list[i] : NULL;
    return at && at->turn == turn && str_eq(at->id, id) ? at->place : SIZE_MAX;
}

struct ranked {
    size_t rank, at;
};

static int by_rank(const void *x, const void *y)
{
    const struct ranked *a = x, *b = y;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Results first, in the order of their calls, those without one behind; then everything else, in its own
 * order. */
static void results_first(struct chat_request *c, size_t turn, const struct calls *all, struct arena *a)
{
    enum { BEHIND_CALLS = 1, BEHIND_RESULTS = 2 };
    struct chat_message *m = &c->messages[turn];
    size_t calls = turn > 0 ? c->messages[turn - 1].n_parts : 0, n = m->n_parts;
    bool sorted = true;
    struct ranked *order = arena_alloc(a, n * sizeof(*order) + 1);
    for (size_t i = 0; i < n; i++) {
        bool result = m->parts[i].kind == PART_TOOL_RESULT;
        size_t place = result && turn > 0 ? call_place(all, m->parts[i].id, turn - 1) : SIZE_MAX;
        order[i].rank = place != SIZE_MAX ? place : calls + (result ? BEHIND_CALLS : BEHIND_RESULTS);
        order[i].at = i;
        sorted &= i == 0 || order[i - 1].rank <= order[i].rank;
    }
    if (sorted)
        return;
    struct chat_part *parts = arena_alloc(a, n * sizeof(*parts));
    memcpy(parts, m->parts, n * sizeof(*parts));
    qsort(order, n, sizeof(*order), by_rank);
    for (size_t i = 0; i < n; i++) {
        m->parts[i] = parts[order[i].at];
        m->parts[i].cache_control = parts[i].cache_control; /* a mark means all up to its place */
    }
}

/* Callers may count their calls anew in each turn; most providers want an id only once. The first keeps its
 * own, a later turn's has the turn's number behind it. */
static struct str unique_id(const struct calls *all, struct str id, size_t turn, struct arena *a)
{
    size_t before = calls_before(all, id, turn);
    bool repeated = before > 0 && str_eq(all->list[before - 1].id, id);
    return repeated ? arena_printf(a, STR_FMT "_%zu", STR_ARG(id), turn) : id;
}

static void name_calls(struct chat_request *c, const struct calls *all, struct arena *a)
{
    for (size_t i = 1; i < all->n; i++) {
        const struct call_at *at = &all->list[i];
        if (str_eq(at->id, at[-1].id))
            c->messages[at->turn].parts[at->place].id = unique_id(all, at->id, at->turn, a);
    }
}

/* A result belongs to the nearest earlier call of its id, and is named after it. */
static void name_results(struct chat_request *c, size_t turn, const struct calls *all, struct arena *a)
{
    struct chat_message *m = &c->messages[turn];
    for (size_t i = 0; i < m->n_parts; i++) {
        struct chat_part *p = &m->parts[i];
        if (p->kind != PART_TOOL_RESULT)
            continue;
        size_t before = calls_before(all, p->id, turn);
        if (before == 0 || !str_eq(all->list[before - 1].id, p->id))
            continue;
        size_t nearest = all->list[before - 1].turn;
        p->called_in = &c->messages[nearest];
        if (p->name.n == 0)
            p->name = p->called_in->parts[call_place(all, p->id, nearest)].name;
        p->id = unique_id(all, p->id, nearest, a);
    }
}

static bool has_marks(const struct chat_request *c)
{
    for (size_t i = 0; i < c->n_tools; i++)
        if (c->tools[i].cache_control.n > 0)
            return true;
    for (size_t i = 0; i < c->n_messages; i++)
        for (size_t k = 0; k < c->messages[i].n_parts; k++)
            if (c->messages[i].parts[k].cache_control.n > 0)
                return true;
    return false;
}

void chat_settle(struct chat_request *c, struct arena *a)
{
    merge(c, a);
    struct calls calls = find_calls(c, a);
    for (size_t i = 0; i < c->n_messages; i++) {
        if (c->messages[i].role != CHAT_USER)
            continue;
        results_first(c, i, &calls, a);
        name_results(c, i, &calls, a);
    }
    name_calls(c, &calls, a);
    if (!c->params[PARAM_CACHE_CONTROL].name && has_marks(c))
        c->params[PARAM_CACHE_CONTROL] = (struct chat_param_value){"cache_control", STR("true")};
}

/* ---- what several dialects share */

struct str chat_arguments(struct str arguments, struct arena *a)
{
    while (arguments.n > 0 && strchr(" \t\r\n", arguments.p[0]) && arguments.p[0])
        arguments.p++, arguments.n--;
    if (arguments.n == 0)
        return STR("{}");
    if (arguments.p[0] == '{' && json_validate(arguments, NULL) == 0)
        return arguments;
    size_t max = 6 * arguments.n + 16;
    struct buf b = {.p = arena_alloc(a, max), .cap = max, .max = max};
    struct json_writer w = json_writer(&b);
    json_open(&w, '{');
    json_member_str(&w, "_raw", arguments);
    json_close(&w, '}');
    return buf_str(&b);
}

bool chat_data_url(struct str url, struct str *mime, struct str *data)
{
    static const struct str marker = STR(";base64");
    if (!str_starts(url, STR("data:")))
        return false;
    const char *comma = memchr(url.p, ',', url.n);
    if (!comma)
        return false;
    struct str head = {url.p + 5, (size_t)(comma - url.p) - 5};
    if (!str_ends(head, marker))
        return false;
    head.n -= marker.n;
    const char *semicolon = head.n > 0 ? memchr(head.p, ';', head.n) : NULL;
    *mime = (struct str){head.p, semicolon ? (size_t)(semicolon - head.p) : head.n};
    *data = (struct str){comma + 1, url.n - (size_t)(comma + 1 - url.p)};
    return true;
}

/* What of s is of base64's two alphabets; *as_it_stands: it is the standard one's, padded. */
static bool scan_base64(struct str s, bool *as_it_stands)
{
    size_t n = 0, others = 0, padding = 0;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        if ((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '+' ||
            ch == '/' || ch == '-' || ch == '_') {
            if (padding > 0)
                return false;
            others += ch == '-' || ch == '_';
            n++;
        } else if (ch == '=')
            padding++;
        else if (ch == '\n' || ch == '\r' || ch == ' ' || ch == '\t')
            others++;
        else
            return false;
    }
    *as_it_stands = others == 0 && (n + padding) % 4 == 0;
    return n > 0 && n % 4 != 1 && padding <= 2;
}

bool chat_base64(struct str *data, struct arena *a)
{
    bool as_it_stands;
    if (!scan_base64(*data, &as_it_stands))
        return false;
    if (as_it_stands)
        return true;
    char *p = arena_alloc(a, data->n + 3);
    size_t n = 0;
    for (size_t i = 0; i < data->n; i++) {
        char ch = data->p[i];
        if (!strchr("=\n\r \t", ch))
            p[n++] = ch == '-' ? '+' : ch == '_' ? '/' : ch;
    }
    while (n % 4 != 0)
        p[n++] = '=';
    *data = (struct str){p, n};
    return true;
}

struct str chat_media_type(struct str data)
{
    static const struct {
        struct str base64, mime;
    } kinds[] = {
        {STR("iVBORw0KGgo"), STR("image/png")},   {STR("/9j/"), STR("image/jpeg")},
        {STR("R0lGODlh"), STR("image/gif")},      {STR("R0lGODdh"), STR("image/gif")},
        {STR("JVBERi0"), STR("application/pdf")}, {STR("Qk"), STR("image/bmp")},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_starts(data, kinds[i].base64))
            return kinds[i].mime;
    if (str_starts(data, STR("UklGR")) && data.n > 16) /* RIFF: what kind is told at byte 8 */
        return memcmp(data.p + 11, "XRUJQ", 5) == 0 || memcmp(data.p + 10, "XRUJQ", 5) == 0 ||
                       memmem(data.p, 16, "XRUJQ", 5) || memmem(data.p, 16, "V0VCU", 5)
                   ? STR("image/webp")
                   : STR("audio/wav");
    return STR_NULL;
}

struct str chat_make_id(struct arena *a, const char *prefix)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t noise[24];
    char id[25] = "";
    static uint64_t fallback;
    if (random_bytes(noise, sizeof(noise)) < 0)
        memset(noise, (int)++fallback, sizeof(noise));
    for (size_t i = 0; i < sizeof(noise); i++)
        id[i] = digits[noise[i] % (sizeof(digits) - 1)];
    return arena_printf(a, "%s%s", prefix, id);
}

struct str chat_one_line(struct str json, struct arena *a)
{
    if (json.n == 0 || (!memchr(json.p, '\n', json.n) && !memchr(json.p, '\r', json.n)))
        return json;
    char *p = arena_alloc(a, json.n);
    for (size_t i = 0; i < json.n; i++) /* inside of strings they are escaped */
        p[i] = json.p[i] == '\n' || json.p[i] == '\r' ? ' ' : json.p[i];
    return (struct str){p, json.n};
}

struct str chat_text(const struct chat_part *parts, size_t n, struct str between, struct arena *a)
{
    size_t total = 0, texts = 0;
    const struct chat_part *only = NULL;
    for (size_t i = 0; i < n; i++)
        if (parts[i].kind == PART_TEXT) {
            total += parts[i].text.n + between.n;
            texts++;
            only = &parts[i];
        }
    if (texts == 0)
        return STR_NULL;
    if (texts == 1)
        return only->text;
    struct buf b = {.p = arena_alloc(a, total), .cap = total, .max = total};
    for (size_t i = 0; i < n; i++)
        if (parts[i].kind == PART_TEXT) {
            if (b.n > 0)
                buf_add(&b, between);
            buf_add(&b, parts[i].text);
        }
    return buf_str(&b);
}

bool chat_has(const struct chat_part *parts, size_t n, enum chat_part_kind kind)
{
    for (size_t i = 0; i < n; i++)
        if (parts[i].kind == kind)
            return true;
    return false;
}

bool chat_request_has(const struct chat_request *c, enum chat_part_kind kind)
{
    for (size_t i = 0; i < c->n_messages; i++)
        for (size_t k = 0; k < c->messages[i].n_parts; k++) {
            const struct chat_part *p = &c->messages[i].parts[k];
            if (p->kind == kind || (p->kind == PART_TOOL_RESULT && chat_has(p->parts, p->n_parts, kind)))
                return true;
        }
    return false;
}

const struct chat_tool *chat_tool(const struct chat_request *c, struct str name)
{
    if (c->too_many) /* it goes nowhere: not worth a look */
        return c->tools;
    for (size_t i = 0; i < c->n_tools; i++)
        if (str_eq(c->tools[i].name, name))
            return &c->tools[i];
    return NULL;
}

bool chat_tool_allowed(const struct chat_request *c, struct str name)
{
    for (size_t i = 0; i < c->n_allowed; i++)
        if (str_eq(c->allowed[i], name))
            return true;
    return c->n_allowed == 0;
}

bool chat_finish_is_proper(enum chat_finish f)
{
    return f == FINISH_STOP || f == FINISH_STOP_SEQUENCE || f == FINISH_LENGTH || f == FINISH_TOOL_CALLS ||
           f == FINISH_DECLINED;
}

const char *chat_finish_name(enum chat_finish f)
{
    switch (f) {
    case FINISH_NONE:
        return NULL;
    case FINISH_LENGTH:
        return "length";
    case FINISH_TOOL_CALLS:
        return "tool_calls";
    case FINISH_CONTENT_FILTER:
    case FINISH_REFUSAL:
        return "content_filter";
    case FINISH_STOP:
    case FINISH_STOP_SEQUENCE:
    case FINISH_DECLINED:
    case FINISH_PAUSE:
    case FINISH_ERROR:
        break;
    }
    return "stop";
}

/* ---- an answer told as a stream */

static void emit_part(const struct chat_part *p, uint32_t choice, enum chat_finish finish, uint32_t *tool,
                      void (*emit)(void *arg, const struct chat_delta *d), void *arg)
{
    struct chat_delta d = {.choice = choice, .signature = p->signature, .signer = p->signer};
    switch (p->kind) {
    case PART_TEXT:
        d.kind = DELTA_TEXT;
        d.text = p->text;
        break;
    case PART_THINKING:
        d.kind = DELTA_THINKING;
        d.text = p->text;
        break;
    case PART_REDACTED:
        d.kind = DELTA_REDACTED;
        d.data = p->data;
        break;
    case PART_REFUSAL:
        d.kind = DELTA_REFUSAL;
        d.text = p->text;
        d.finish = finish == FINISH_REFUSAL ? finish : FINISH_NONE;
        break;
    case PART_IMAGE:
        d.kind = DELTA_IMAGE;
        d.data = p->data;
        d.mime = p->mime;
        d.url = p->url;
        break;
    case PART_TOOL_CALL:
        d.kind = DELTA_TOOL;
        d.tool = *tool;
        d.id = p->id;
        d.name = p->name;
        d.custom = p->custom;
        emit(arg, &d);
        d = (struct chat_delta){.kind = DELTA_ARGUMENTS,
                                .choice = choice,
                                .tool = (*tool)++,
                                .text = p->custom ? p->text : p->arguments,
                                .custom = p->custom,
                                .whole = true};
        break;
    default: /* no answer has any */
        return;
    }
    emit(arg, &d);
}

void chat_answer_deltas(const struct chat_answer *answer, void (*emit)(void *arg, const struct chat_delta *d),
                        void *arg)
{
    struct chat_delta d = {
        .kind = DELTA_START, .id = answer->id, .model = answer->model, .created = answer->created};
    emit(arg, &d);
    for (size_t i = 0; i < answer->n_choices; i++) {
        const struct chat_choice *c = &answer->choices[i];
        uint32_t choice = (uint32_t)i, tool = 0;
        for (size_t k = 0; k < c->n_parts; k++)
            emit_part(&c->parts[k], choice, c->finish, &tool, emit, arg);
        if (c->logprobs.n > 0)
            emit(arg, &(struct chat_delta){.kind = DELTA_LOGPROBS, .choice = choice, .json = c->logprobs});
        if (c->annotations.n > 0)
            emit(arg,
                 &(struct chat_delta){.kind = DELTA_ANNOTATIONS, .choice = choice, .json = c->annotations});
        emit(arg, &(struct chat_delta){.kind = DELTA_FINISH,
                                       .choice = choice,
                                       .finish = c->finish,
                                       .stop_sequence = c->stop_sequence});
    }
    if (answer->usage_known)
        emit(arg, &(struct chat_delta){.kind = DELTA_USAGE, .usage = answer->usage});
}

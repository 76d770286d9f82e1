/* Makes a provider's request of a caller's in another dialect. Run by workers only.
 *
 * What a provider's writer did not take of the parameters is named to the caller, or refused where the model
 * is strict: no parameter is lost without a word. */
#include "translate.h"

#include "answer.h"
#include "chat_dialect.h"
#include "clock.h"
#include "json_write.h"
#include "models.h"

#include <string.h>

enum { MAX_NAMED = 32, MAX_DROPPED_TEXT = 1024, MEDIA_TOKENS = 1000 };

/* ---- who has a Responses endpoint */

#define ABSENT_NS (600 * NS_PER_SEC)

/* When each provider's was found to be missing; a worker's own knowledge, and one configuration's. */
static int64_t absent_since[MAX_PROVIDERS];

static size_t index_of(const struct attempt *a)
{
    return (size_t)(a->conf - a->r->worker->config->providers);
}

static bool known_absent(const struct attempt *a)
{
    int64_t since = absent_since[index_of(a)];
    return since != 0 && clock_mono_ns() - since < ABSENT_NS;
}

bool translate_no_responses(const struct attempt *a)
{
    const struct request *r = a->r;
    return !a->translates && r->match.endpoint == EP_RESPONSES && str_eq(r->match.rest, STR("/responses")) &&
           a->conf->responses == RESPONSES_AUTO && a->dialect->write_chat && a->head &&
           (a->head->status == 404 || a->head->status == 405);
}

void translate_note_no_responses(const struct attempt *a)
{
    absent_since[index_of(a)] = clock_mono_ns();
}

bool translate_passes(const struct attempt *a, struct str model)
{
    const struct request *r = a->r;
    if (r->match.endpoint == EP_NATIVE)
        return true;
    if (a->avoids_responses || (r->match.endpoint == EP_RESPONSES && a->conf->responses == RESPONSES_AUTO &&
                                str_eq(r->match.rest, STR("/responses")) && known_absent(a)))
        return false;
    if (a->dialect->passes)
        return a->dialect->passes(r, a->conf, model);
    return r->dialect == DIALECT_OPENAI;
}

/* ---- what is left out */

static bool may_stand_in_header(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("_.-[]", c)) ||
            !c)
            return false;
    }
    return name.n > 0 && name.n <= 64;
}

static void put_name(struct buf *b, struct str name)
{
    if (b->n > 0)
        buf_add(b, STR(", "));
    buf_add(b, may_stand_in_header(name) ? name : STR("(unprintable)"));
}

/* The names, as the caller's dialect has them, of what was not honoured as it stands. */
static struct str dropped(const struct chat_call *c, const struct chat_extra *extras, size_t n_extras)
{
    struct buf b = {
        .p = arena_alloc(c->arena, MAX_DROPPED_TEXT), .cap = MAX_DROPPED_TEXT, .max = MAX_DROPPED_TEXT};
    for (unsigned p = 0; c->in && p < CHAT_PARAMS; p++) {
        uint32_t bit = UINT32_C(1) << p;
        if (c->in->params[p].name && (!(c->taken & bit) || (c->adjusted & bit)))
            put_name(&b, str_of(c->in->params[p].name));
    }
    for (size_t i = 0; i < n_extras && i < MAX_NAMED; i++)
        put_name(&b, extras[i].name);
    return buf_str(&b);
}

int translate_settle_dropped(struct attempt *a, struct str names, struct failure *f)
{
    const struct request *r = a->r;
    a->dropped = names;
    if (a->dropped.n == 0 || !r->route || !r->route->strict)
        return 0;
    *f = (struct failure){.status = 400,
                          .code = "unsupported_parameter",
                          .message =
                              arena_printf(r->arena,
                                           "The provider %s can't honour: " STR_FMT
                                           ". (The model is configured to refuse what would be left out.)",
                                           a->conf->name, STR_ARG(a->dropped))};
    return -1;
}

/* ---- kinds of calls */

static int no_such_endpoint(struct attempt *a, struct failure *f)
{
    *f = (struct failure){
        .status = 400,
        .code = "unsupported_endpoint",
        .message =
            arena_printf(a->r->arena, "The provider %s (%s) can't serve this endpoint (%s) for this model.",
                         a->conf->name, a->conf->type, endpoint_name(a->r->match.endpoint))};
    return -1;
}

static int make_embed(struct attempt *a, struct chat_call *c)
{
    struct request *r = a->r;
    const struct embed_dialect *d = embed_dialect_of(r->match.endpoint);
    if (!a->dialect->write_embed || !a->dialect->read_embed)
        return no_such_endpoint(a, c->f);
    struct embed_request *in = arena_alloc(r->arena, sizeof(*in));
    *in = (struct embed_request){0};
    if (d->read(r, in, c->f) != 0 || a->dialect->write_embed(c, in) != 0)
        return -1;
    a->embed = in;
    return translate_settle_dropped(a, dropped(c, in->extras, in->n_extras), c->f);
}

/* About four bytes a token, of text only. */
static uint64_t estimate_parts(const struct chat_part *parts, size_t n)
{
    uint64_t tokens = 0;
    for (size_t i = 0; i < n; i++) {
        const struct chat_part *p = &parts[i];
        tokens += (p->text.n + p->arguments.n + p->name.n + 3) / 4 + estimate_parts(p->parts, p->n_parts);
        if (p->data.n + p->url.n + p->file_id.n > 0)
            tokens += MEDIA_TOKENS;
    }
    return tokens;
}

static uint64_t estimate_request(const struct chat_request *c)
{
    uint64_t tokens = 0;
    for (size_t i = 0; i < c->n_messages; i++)
        tokens += 3 + estimate_parts(c->messages[i].parts, c->messages[i].n_parts);
    for (size_t i = 0; i < c->n_tools; i++)
        tokens += (c->tools[i].name.n + c->tools[i].description.n + c->tools[i].schema.n + 3) / 4;
    return tokens;
}

static int make_count(struct attempt *a, struct chat_call *c)
{
    if (a->dialect->write_count && a->dialect->read_count)
        return a->dialect->write_count(c);
    a->counted = true;
    a->count = estimate_request(c->in);
    return 0;
}

static int make_chat(struct attempt *a, struct chat_call *c)
{
    struct request *r = a->r;
    const struct chat_dialect *d = chat_dialect_of(r->match.endpoint);
    if (!d || !d->read || !d->write || !a->dialect->write_chat || !a->dialect->read_chat)
        return no_such_endpoint(a, c->f);
    if (chat_read(r, c->f) != 0)
        return -1;
    c->in = r->chat;
    if (endpoint_counts_tokens(r->match.endpoint))
        return make_count(a, c);
    if (a->dialect->write_chat(c) != 0)
        return -1;
    return translate_settle_dropped(a, dropped(c, c->in->extras, c->in->n_extras), c->f);
}

int translate_call(struct attempt *a, size_t target, struct failure *f)
{
    struct request *r = a->r;
    struct str model = r->targets[target].model;
    struct chat_call c = {
        .r = r, .arena = r->arena, .conf = a->conf, .model = model, .call = &a->call, .f = f};
    if (r->route)
        c.max_output = model_price(r->worker->config, r->route, target, model).max_output;
    buf_init(&a->call.room, (size_t)4 * MAX_BODY);
    a->translates = true;
    int rc = embed_dialect_of(r->match.endpoint) ? make_embed(a, &c) : make_chat(a, &c);
    if (rc == 0 && a->call.room.full)
        return *f = (struct failure){.status = 413, .message = STR("The translated request is too large.")},
               -1;
    return rc;
}

/* ---- counting */

enum step translate_tell_count(struct attempt *a, uint64_t tokens)
{
    char room[64];
    struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    struct json_writer w = json_writer(&b);
    json_open(&w, '{');
    json_member_i64(&w, a->r->dialect == DIALECT_GOOGLE ? "totalTokens" : "input_tokens", (int64_t)tokens);
    json_close(&w, '}');
    return answer_whole(a->r, 200, "application/json", buf_str(&b));
}

enum step translate_counted(struct attempt *a)
{
    return translate_tell_count(a, a->count);
}

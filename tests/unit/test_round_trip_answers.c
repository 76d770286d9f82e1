/* Round trips of random answers: what callers are told of an answer holds it, but for what stands in the
 * tables of round_trip.h.
 *
 *   answers         neutral → A's answer, whole and streamed (dialect) → neutral (A's provider)
 *   coming back     an answer in each dialect, sent back by its client as history, with every signature in it
 */
#include "round_trip.h"

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

/* Nothing is permitted that does not happen; and these tests see what is lost. */
static void permitted_losses_happen(void **state)
{
    (void)state;
    for (size_t i = 0; i < VENDORS; i++)
        for (unsigned bit = 0; bit < 31; bit++) {
            struct vendor strict = vendors[i];
            bool permitted = strict.answer_losses & 1U << bit;
            strict.answer_losses &= ~(1U << bit);
            if (permitted && speaks(&strict) && !ever_fails(whole_trial, &strict))
                fail_msg("%s: answers lose nothing of kind %u", strict.name, bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(coming_back),
        cmocka_unit_test(permitted_losses_happen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

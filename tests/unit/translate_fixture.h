/* One request's way through a translation, without a gateway around it: a caller's body to a provider's, a
 * provider's answer or stream to a caller's. */
#ifndef TESTS_TRANSLATE_FIXTURE_H
#define TESTS_TRANSLATE_FIXTURE_H

#include "chat_dialect.h"
#include "chat_stream.h"
#include "custom_tool.h"
#include "provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct translation {
    struct arena arena, scratch;
    struct config config;
    struct conf_provider conf;
    struct worker worker;
    struct http_head head;
    struct request r;
    struct failure f;
    const struct provider *provider;
    const struct chat_dialect *dialect;
    const char *model; /* as the provider calls it; NULL: "target-model" */
    struct chat_call call;
    struct provider_call out;
    struct buf text; /* what the caller gets */
};

/* A caller of `endpoint` and a provider of `type`. free with translation_fini. */
static inline void translation_init(struct translation *t, enum endpoint endpoint, const char *type)
{
    memset(t, 0, sizeof(*t));
    arena_init(&t->arena);
    arena_init(&t->scratch);
    t->conf = (struct conf_provider){.name = "p", .type = type, .base_url = "http://127.0.0.1:1/v1"};
    t->config.providers = &t->conf;
    t->config.n_providers = 1;
    t->worker.config = &t->config;
    t->r.worker = &t->worker;
    t->r.arena = &t->arena;
    t->r.head = &t->head;
    t->r.start_us = INT64_C(1750000000000000);
    t->r.match.endpoint = endpoint;
    t->r.model = STR("caller-model");
    snprintf(t->r.id, sizeof(t->r.id), "%s", "0123456789abcdef");
    t->provider = provider_find(type);
    t->dialect = chat_dialect_of(endpoint);
    buf_init(&t->text, 64 * 1024 * 1024);
}

static inline void translation_fini(struct translation *t)
{
    buf_free(&t->text);
    buf_free(&t->out.room);
    arena_fini(&t->arena);
    arena_fini(&t->scratch);
}

/* A call of the provider's `model`, to be written: what is written stands in t->out, which has to be empty.
 * in: what is asked; NULL: nothing to be said in words, such as embeddings. */
static inline struct chat_call *translation_call(struct translation *t, const struct chat_request *in,
                                                 const char *model)
{
    buf_init(&t->out.room, 64 * 1024 * 1024);
    t->call = (struct chat_call){.r = &t->r,
                                 .arena = &t->arena,
                                 .conf = &t->conf,
                                 .in = in,
                                 .model = str_of(model),
                                 .call = &t->out,
                                 .f = &t->f};
    return &t->call;
}

/* The caller's body into the provider's: t->out; 0, or -1 with t->f. */
static inline int translate_request(struct translation *t, const char *body)
{
    t->r.body = str_of(body);
    if (chat_read(&t->r, &t->f) != 0)
        return -1;
    return t->provider->write_chat(translation_call(t, t->r.chat, t->model ? t->model : "target-model"));
}

/* What an answer is read and written for where no request was translated before. */
static inline const struct chat_request *translation_request(struct translation *t)
{
    static struct chat_request empty = {.parallel_tools = -1, .format_strict = -1, .thinking_shown = -1};
    return t->r.chat ? t->r.chat : &empty;
}

static inline struct chat_writer translation_writer(struct translation *t)
{
    return (struct chat_writer){.r = &t->r,
                                .in = translation_request(t),
                                .dialect = t->dialect,
                                .model = STR("target-model"),
                                .scratch = &t->scratch};
}

/* The provider's whole answer as the caller's: t->text; 0, or -1 with t->f. */
static inline int translate_answer(struct translation *t, struct str body)
{
    struct chat_reader rd = {.r = &t->r,
                             .conf = &t->conf,
                             .in = translation_request(t),
                             .arena = &t->arena,
                             .scratch = &t->arena,
                             .f = &t->f};
    struct chat_writer w = translation_writer(t);
    struct chat_answer a = {0};
    if (t->provider->read_chat(&rd, body, &a) != 0)
        return -1;
    custom_tool_answer(rd.in, &a, &t->arena);
    w.usage = a.usage;
    w.usage_known = a.usage_known;
    t->dialect->write(&w, &a, &t->text);
    return 0;
}

/* Frames of the provider's stream as the caller's: t->text. 1: ended properly, 0: cut, -1: failed (t->f); the
 * text then ends with the dialect's in-band error. */
struct translated_stream {
    struct chat_sink sink;
    struct chat_reader rd;
    struct chat_writer w;
};

static inline void translate_begin(struct translation *t, struct translated_stream *s)
{
    memset(s, 0, sizeof(*s));
    t->r.stream = true;
    s->w = translation_writer(t);
    s->rd = (struct chat_reader){.r = &t->r,
                                 .conf = &t->conf,
                                 .in = translation_request(t),
                                 .arena = &t->arena,
                                 .scratch = &t->scratch,
                                 .f = &t->f,
                                 .sink = &s->sink};
    s->sink = (struct chat_sink){.reader = &s->rd, .writer = &s->w, .out = &t->text};
    t->dialect->begin(&s->w, &t->text);
}

static inline int translate_end(struct translation *t, struct translated_stream *s, enum frame_result last)
{
    static const struct failure cut = {.status = 502, .code = "upstream_cut", .message = STR("cut")};
    s->w.usage = t->r.tokens;
    s->w.usage_known = t->r.tokens_known;
    bool whole =
        last == FRAME_LAST || (last == FRAME_MORE && t->provider->whole && t->provider->whole(&s->rd));
    /* in brackets: cmocka has a macro of that name */
    if (whole)
        t->dialect->end(&s->w, &t->text);
    else
        (t->dialect->fail)(&s->w, last == FRAME_ERROR ? &t->f : &cut, &t->text);
    return whole ? 1 : last == FRAME_ERROR ? -1 : 0;
}

/* For providers that stream SSE. */
static inline int translate_sse(struct translation *t, struct str stream)
{
    struct translated_stream s;
    struct sse_reader sse;
    struct sse_event ev;
    enum frame_result last = FRAME_MORE;
    translate_begin(t, &s);
    sse_init(&sse);
    while (stream.n > 0 && last == FRAME_MORE) {
        size_t n = stream.n < 512 ? stream.n : 512;
        sse_feed(&sse, (struct str){stream.p, n});
        stream.p += n, stream.n -= n;
        while (last == FRAME_MORE && sse_next(&sse, &ev) == 1) {
            struct chat_frame frame = {.name = ev.name, .data = ev.data};
            if (ev.has_data)
                last = t->provider->read_frame(&s.rd, &frame);
            arena_reset(&t->scratch);
        }
    }
    sse_free(&sse);
    return translate_end(t, &s, last);
}

#endif

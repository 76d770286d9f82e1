/* OpenAI's Chat Completions as a caller's dialect: openai_chat.c reads requests, openai_chat_messages.c the
 * conversation in them, openai_chat_write.c writes answers and streams. For these only. */
#ifndef SERVER_DIALECTS_OPENAI_CHAT_DIALECT_H
#define SERVER_DIALECTS_OPENAI_CHAT_DIALECT_H

#include "chat_dialect.h"

/* ---- reading */

struct openai_reading {
    struct request *r;
    struct arena *a;
    struct chat_request *out;
    struct failure *f;
    struct json_value functions, function_call, max_tokens, tool_choice, reasoning_effort;
    struct str last_call; /* id made up for the last legacy function_call */
    unsigned n_calls;     /* legacy ones so far */
};

/* "messages[3].content" … */
const char *reading_at(struct openai_reading *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* All -1, *d->f set. param, at: the member's path. */
int reading_bad(struct openai_reading *d, const char *param, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int reading_bad_type(struct openai_reading *d, const char *param, const char *want);
int reading_missing(struct openai_reading *d, const char *at, const char *member);
int reading_unsupported(struct openai_reading *d, const char *param, const char *what);
/* Members of an object in one walk over it: it may hold megabytes of base64. 0, or -1: it is no object. */
int reading_look(struct openai_reading *d, struct json_value v, const char *const paths[], size_t n,
                 struct json_value out[], const char *at);

#define LOOK(d, v, paths, out, at) reading_look(d, v, paths, sizeof(paths) / sizeof(paths[0]), out, at)

int openai_read_messages(struct openai_reading *d, struct json_value messages);

static inline bool given(struct json_value v)
{
    return v.type != JSON_ABSENT && v.type != JSON_NULL;
}

static inline bool is(struct str s, const char *z)
{
    return str_eq(s, str_of(z));
}

/* Empty where it is none. */
static inline struct str text_of(struct openai_reading *d, struct json_value v)
{
    return v.type == JSON_STRING ? json_text(v, d->a) : STR_NULL;
}

static inline struct str member_text(struct openai_reading *d, struct json_value v, const char *name)
{
    return text_of(d, json_member(v, name));
}

/* A mark for the provider's prompt cache: the extension, or OpenAI's own explicit breakpoint. */
static inline struct str cache_mark(struct json_value mark, struct json_value breakpoint)
{
    if (mark.type == JSON_OBJECT)
        return mark.raw;
    return breakpoint.type == JSON_OBJECT ? STR("{\"type\":\"ephemeral\"}") : STR_NULL;
}

/* ---- writing */

/* The table's functions, see chat_dialect.h. */
void openai_chat_write(struct chat_writer *w, const struct chat_answer *a, struct buf *out);
void openai_chat_begin(struct chat_writer *w, struct buf *out);
void openai_chat_delta(struct chat_writer *w, const struct chat_delta *d, struct buf *out);
void openai_chat_end(struct chat_writer *w, struct buf *out);
void openai_chat_usage(const struct chat_writer *w, struct buf *out);
void openai_chat_fail(struct chat_writer *w, const struct failure *f, struct buf *out);

/* Signatures of thinking stand bare where Anthropic made them (as LiteLLM and others have it), else with
 * their maker's name beside them. "anthropic", "google", "openai"; NULL for SIGNER_NONE. */
const char *openai_chat_signer_name(enum chat_signer s);

#endif

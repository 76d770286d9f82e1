/* What the files share that make an OpenAI-shaped chat request of the neutral form: openai_request.c (who
 * takes what, and the body as a whole), _messages.c, _content.c (a message's parts), _tools.c, _format.c (the
 * answer's form), _params.c, _thinking.c; openai_names.c has what tools, calls and users are called there.
 * For these only. */
#ifndef SERVER_PROVIDERS_OPENAI_REQUEST_H
#define SERVER_PROVIDERS_OPENAI_REQUEST_H

#include "json_write.h"
#include "openai.h"

#include <string.h>

/* ---- who takes what */

#define BIT(p) (UINT32_C(1) << PARAM_##p)

enum thinking_style {
    THINK_EFFORT, /* reasoning_effort */
    THINK_HIGH,   /* reasoning_effort, but "high" and "none" are all there is (Mistral) */
    THINK_TYPE,   /* thinking: {"type":"enabled"|"disabled"} (DeepSeek, Moonshot) */
    THINK_OBJECT, /* reasoning: {"effort"|"max_tokens"|"enabled"} (OpenRouter) */
    THINK_ENABLE, /* enable_thinking, thinking_budget (Alibaba) */
};

enum documents { NO_FILES, FILES, DOCUMENT_URL /* Mistral */, FILE_URL /* Perplexity */ };

enum {
    OFFICIAL = 1 << 0, /* OpenAI's own models and servers, or who may stand for them */
    PARTS = 1 << 1,    /* several texts of a message may stay several */
    MARKS = 1 << 2,    /* cache_control */
    DETAILS = 1 << 3,  /* reasoning_details go back */
    PICTURES = 1 << 4, /* may be asked for pictures: modalities */
    NO_URLS = 1 << 5,  /* images as bytes only */
    ANYWHERE = 1 << 6, /* system messages may stand amid the conversation; open models' templates and
                          Mistral's servers refuse such */
    CUSTOM = 1 << 7,   /* custom tools, from gpt-5 on */
};

struct profile {
    const char *type;
    uint32_t params;
    enum thinking_style thinking;
    enum documents documents;
    unsigned flags;
};

struct writing {
    struct chat_call *c;
    const struct chat_request *in;
    const struct profile *p;
    unsigned deviations;
    bool reasons;        /* one of OpenAI's reasoning models */
    bool custom;         /* … and one that has custom tools: to others they are functions */
    bool google;         /* Google's OpenAI-compatible door: it wants its signatures back */
    struct str preamble; /* a system message of ours; empty: none */
    const char *role;    /* of the last message written */
    struct json_writer j;
};

/* ---- the parts of a body, each in the order in which they stand in it. -1: *f says what can't be told. */

/* The system message of ours that the answer's form needs; empty: none. */
struct str openai_preamble_of(struct writing *w);
int openai_put_messages(struct writing *w);
void openai_put_tools(struct writing *w);
void openai_put_format(struct writing *w);
int openai_put_params(struct writing *w);
void openai_put_thinking(struct writing *w);

/* o1, o3, o4-mini, gpt-5 … */
bool openai_is_reasoning_model(struct str model);
/* gpt-5 and later. */
bool openai_has_custom_tools(struct str model);

/* Is told as content (a call, a result or thinking is told elsewhere). */
bool openai_is_content(const struct chat_part *p);
/* One element of an array of content; nothing for what is none. */
int openai_put_part(struct writing *w, const struct chat_part *p);
/* marked: the part that may have a mark for the prompt cache; NULL: none. */
void openai_put_text_part(struct writing *w, struct str text, const struct chat_part *marked);
/* The member "content": a string where that does, else an array. */
int openai_put_content(struct writing *w, const struct chat_part *parts, size_t n);

/* ---- small things */

/* Some characters of a hash over text: `digits` of `alphabet`'s `base` ones. */
void openai_digest(struct str text, char *out, size_t digits, const char *alphabet, unsigned base);
/* Only letters, digits and what is in `also`, and not empty. */
bool openai_is_word(struct str s, const char *also);

static inline bool is(struct str s, const char *z)
{
    return str_eq(s, str_of(z));
}

#endif

/* Claude's own language, the Messages API, for everybody who serves it: Anthropic itself (anthropic.c) and
 * clouds that take the same body with small differences (Vertex). Facts about the models, which decide what
 * may be said to them, are in anthropic_model.c. */
#ifndef SERVER_PROVIDERS_ANTHROPIC_CHAT_H
#define SERVER_PROVIDERS_ANTHROPIC_CHAT_H

#include "buf.h"
#include "json_write.h"
#include "provider.h"

/* How a server's Messages API differs from Anthropic's own. */
struct anthropic_style {
    const char *version_in_body; /* the value of a member "anthropic_version"; there is then no "model" and no
                                    "stream". NULL: Anthropic's own way */
    bool fetches_urls;           /* images and documents are not taken by URL: we fetch them */
    bool counts; /* the body is for counting tokens: without max_tokens, stream and what steers generation */
};

/* The request's body, in c->call->room and c->call->body. 0, or -1 with *c->f. */
int anthropic_write_body(struct chat_call *c, const struct anthropic_style *style);

/* provider.h's functions for this language. */
int anthropic_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out);
enum frame_result anthropic_read_frame(struct chat_reader *rd, const struct chat_frame *frame);
int anthropic_read_count(struct chat_reader *rd, struct str body, uint64_t *tokens);
int anthropic_read_answer(struct request *r, struct str answer, struct failure *f);
struct stream_event anthropic_read_event(struct request *r, const struct sse_event *ev);
void anthropic_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                          struct failure *f);

/* The caller's body can go on to Claude as it is: it carries nothing that other vendors' models have left in
 * the conversation (signatures that Claude could not check, extra_content). */
bool anthropic_body_passes(struct str body);

/* ---- for the files of this language only */

/* What a model takes, by its name. */
struct anthropic_model {
    unsigned version; /* 3.5: 305; 0: no name of Claude's */
    bool sampling;    /* temperature, top_p and top_k may be set */
    bool one_of_two;  /* … but not both of the first two */
    bool thinks;
    bool adaptive;       /* thinks as it sees fit, steered by an effort, not by a budget */
    bool always_thinks;  /* refuses to have it turned off */
    bool shows_thinking; /* only when asked to (display) */
    bool xhigh;          /* knows that effort */
    bool schema;         /* takes output_config.format, and strict tools */
    bool system_turns;   /* takes role system amid the conversation */
};

struct anthropic_model anthropic_model(struct str name);

/* What the tool is called by which an answer of a given form is forced where a model has no such thing
 * itself. None of the caller's tools has this name. */
struct str anthropic_json_tool(const struct chat_request *in, struct arena *a);
/* The schema's outermost type is another than an object's: the tool then takes it as its member "value". */
bool anthropic_json_wrapped(const struct chat_request *in);
/* A tool's name as Claude takes it, and the caller's name for it again. */
struct str anthropic_tool_name(struct str name, struct arena *a);
struct str anthropic_tool_named(const struct chat_request *in, struct str name, struct arena *a);

/* The conversation is at a point where Claude, given a budget, may think: it neither has to go on from an
 * answer's beginning, nor is it amid calls whose signed thinking was lost. */
bool anthropic_may_begin_thinking(const struct chat_request *in);

/* A JSON schema as output_config.format and strict tools take it: every object closed, the limits that are
 * not known there told in words. schema: a valid JSON text. */
void anthropic_put_schema(struct buf *b, struct str schema, struct arena *a);

/* A body in the making. */
struct anthropic_body {
    struct chat_call *c;
    const struct anthropic_style *style;
    struct anthropic_model model;
    struct json_writer w;
    uint32_t marks, marks_seen; /* cache_control in all, and written or left out so far */
};

/* "system" and "messages" as members. 0, or -1 with *c->f. */
int anthropic_put_turns(struct anthropic_body *b);
/* "cache_control" as a member, where there is one and it is not one too many (four are taken). */
void anthropic_put_mark(struct anthropic_body *b, struct str mark);

#endif

/* What the files of the Responses dialect share: openai_responses_read.c (the request), _tools.c, _items.c
 * (its input), _stream.c (the items of an answer and the events that tell them), _write.c (the response
 * object). */
#ifndef SERVER_OPENAI_RESPONSES_H
#define SERVER_OPENAI_RESPONSES_H

#include "chat_dialect.h"
#include "json_write.h"

/* ---- reading */

struct responses_reading {
    struct request *r;
    struct chat_request *c;
    struct arena *a;
    struct failure *f;
    /* where it is, for messages: input[at].content[sub_at]; NULL: not in one */
    const char *list, *sublist;
    size_t at, sub_at;
};

/* What the search among tools is called that the caller runs (its tools have names of their own). */
#define RESPONSES_TOOL_SEARCH "tool_search"

/* -1, with a 400. member: its name within the place where the reading is; NULL: the place itself. */
int responses_wrong(struct responses_reading *rd, const char *code, const char *member, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for a member of another type than it must have. */
int responses_type(struct responses_reading *rd, const char *member, const char *expected);
/* A value that is none of those that are supported. */
int responses_bad_value(struct responses_reading *rd, const char *member, struct str got,
                        const char *supported);
/* Where it is, as a path. */
const char *responses_place(struct responses_reading *rd, const char *member);
/* Decoded text of an optional string (null: none). -1: it is something else. */
int responses_text(struct responses_reading *rd, const char *member, struct json_value v, struct str *out);
int responses_missing(struct responses_reading *rd, const char *member);

/* ---- openai_responses_tools.c */

/* One of the request's tools. more: it came amid the conversation, and one that is there already is it. */
int responses_read_tool(struct responses_reading *rd, struct json_value tool, bool more);
int responses_read_tools(struct responses_reading *rd, const char *name, struct json_value v);
int responses_read_tool_choice(struct responses_reading *rd, const char *name, struct json_value v);
/* What the neutral form calls the tool of that namespace (empty: none, or not said) and name. */
struct str responses_tool_name(struct responses_reading *rd, struct str space, struct str name);
/* Notes, once, what is left out because the target can do without. name: memory of the arena. */
void responses_pass_over(struct responses_reading *rd, struct str name);
int responses_read_input(struct responses_reading *rd, struct json_value input);
int responses_read(struct request *r, struct chat_request *out, struct failure *f);

static inline bool given(struct json_value v)
{
    return v.type != JSON_ABSENT && v.type != JSON_NULL;
}

/* ---- writing: an answer as the items of its output */

enum responses_kind {
    ITEM_MESSAGE,
    ITEM_REASONING,
    ITEM_CALL,        /* of a function */
    ITEM_CUSTOM_CALL, /* of a custom tool */
    ITEM_SEARCH_CALL, /* of the caller's search among tools */
    ITEM_IMAGE
};

/* Text that grows in the request's arena. */
struct grown {
    char *p;
    size_t n, cap;
};

struct responses_part { /* of a message */
    bool refusal;
    struct grown text;
    struct grown logprobs, annotations; /* JSON elements, with commas between */
    size_t n_annotations;
    struct str signature; /* Google's */
};

struct responses_item {
    enum responses_kind kind;
    struct str id;
    size_t index;
    bool open;
    const char *status; /* "in_progress" while it is open */
    struct responses_part *parts;
    size_t n_parts;
    struct grown text;               /* reasoning: its summary; call: its arguments, or input */
    bool told;                       /* reasoning: the summary part was begun */
    struct str encrypted;            /* reasoning: encrypted_content */
    uint32_t tool;                   /* call: chat_delta.tool */
    struct str call_id, space, name; /* call: space: the tool's namespace */
    bool whole;                      /* call: no more of its arguments will come */
    struct str signature;            /* call: Google's */
    struct str data, mime;           /* image */
};

struct responses_state {
    struct chat_writer *w;
    struct buf *out; /* where events go; NULL: none are told */
    bool started;
    bool overflow; /* more than is held of one answer */
    uint64_t sequence;
    struct str id, model, seed; /* seed: what the ids of items begin with */
    int64_t created;
    struct str echo; /* the members that repeat the request, JSON */
    struct responses_item **items;
    size_t n_items, room;
    struct responses_item *last_call;
    struct grown early_annotations; /* came before the text that they are about */
    size_t kept;                    /* bytes held of all texts */
    enum chat_finish finish;
};

struct responses_state *responses_state_new(struct chat_writer *w);
void responses_take(struct responses_state *s, const struct chat_delta *d);
/* Ends what is open. */
void responses_close(struct responses_state *s);

/* The item, or a message's part, as it is now. */
void responses_put_part(struct json_writer *j, const struct responses_part *p);
void responses_put_item(struct json_writer *j, const struct responses_item *i);
/* The response object. failure: what it failed of, NULL: nothing. */
enum responses_stage { STAGE_RUNNING, STAGE_ENDED };
void responses_put(struct responses_state *s, enum responses_stage stage, const struct failure *failure,
                   struct json_writer *j);
struct str responses_echo(struct chat_writer *w);
/* How the answer ended: "completed", "incomplete" or "failed". */
const char *responses_status(const struct responses_state *s);
/* Says what the answer itself failed of, where responses_status is "failed". */
struct failure responses_own_failure(const struct responses_state *s);

void responses_write(struct chat_writer *w, const struct chat_answer *a, struct buf *out);
void responses_begin(struct chat_writer *w, struct buf *out);
void responses_delta(struct chat_writer *w, const struct chat_delta *d, struct buf *out);
void responses_end(struct chat_writer *w, struct buf *out);
void responses_fail(struct chat_writer *w, const struct failure *f, struct buf *out);

#endif

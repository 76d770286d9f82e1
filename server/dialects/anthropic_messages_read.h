/* What the files share that read a request of the Messages dialect: anthropic_messages_read.c (the body and
 * its conversation), _blocks.c (what a message is made of), _tools.c, _offer.c (which tools the model has),
 * _settings.c (all that shapes the answer) and _check.c (types, and where something is wrong). For these
 * only. */
#ifndef SERVER_DIALECTS_ANTHROPIC_MESSAGES_READ_H
#define SERVER_DIALECTS_ANTHROPIC_MESSAGES_READ_H

#include "anthropic_messages.h"
#include "json_string.h"

struct messages_reading {
    struct request *r;
    struct arena *a;
    struct chat_request *out;
    struct failure *f;
    struct tool_change *changes; /* the last one first */
    size_t n_changes;
    bool searches; /* Anthropic's own search finds the tools that wait */
};

/* The body's members, in the order of their values in an array. */
enum messages_member {
    MEMBER_MODEL,
    MEMBER_STREAM,
    MEMBER_MESSAGES,
    MEMBER_SYSTEM,
    MEMBER_MAX_TOKENS,
    MEMBER_STOP_SEQUENCES,
    MEMBER_TEMPERATURE,
    MEMBER_TOP_P,
    MEMBER_TOP_K,
    MEMBER_METADATA,
    MEMBER_TOOLS,
    MEMBER_TOOL_CHOICE,
    MEMBER_THINKING,
    MEMBER_OUTPUT_CONFIG,
    MEMBER_OUTPUT_FORMAT,
    MEMBER_SERVICE_TIER,
    MEMBER_CACHE_CONTROL,
    MEMBER_CONTAINER,
    MEMBER_MCP_SERVERS,
    MEMBER_THREAD,
    MEMBER_COMPACTION,
    N_MEMBERS
};

/* ---- types, and where something is wrong */

/* A step on the way to a value; on the stack of who reads it. */
struct place {
    const struct place *up; /* NULL: the body */
    const char *name;       /* NULL: an element */
    size_t index;
};

/* All of them: at is the place of the object or list, NULL the body; member its member, NULL the place
 * itself. 0, or -1 with a 400 in *m->f that names the place. */

/* Always -1: "place.member: words". */
int messages_wrong(struct messages_reading *m, const struct place *at, const char *member, const char *fmt,
                   ...) __attribute__((format(printf, 4, 5)));
/* It is of that type. */
int messages_need(struct messages_reading *m, const struct place *at, const char *member, struct json_value v,
                  enum json_type type);
/* Of that type, null, or not given. */
int messages_may_be(struct messages_reading *m, const struct place *at, const char *member,
                    struct json_value v, enum json_type type);
/* An object's members by name, n of each. */
int messages_members(struct messages_reading *m, const struct place *at, struct json_value object,
                     const char *const names[], size_t n, struct json_value out[]);

/* Names a kind of thing that is passed over, once. name: memory of the arena. */
void messages_pass_over(struct messages_reading *m, struct str name);

static inline bool is_given(struct json_value v)
{
    return v.type != JSON_ABSENT && v.type != JSON_NULL;
}

static inline bool word_is(struct json_value v, const char *word)
{
    return v.type == JSON_STRING && json_string_is((struct str){v.raw.p + 1, v.raw.n - 2}, str_of(word));
}

/* ---- blocks */

/* Where a block stands: not every kind may stand everywhere. */
enum messages_where { IN_USER = 1, IN_ASSISTANT = 2, IN_SYSTEM = 4, IN_RESULT = 8, IN_DOCUMENT = 16 };

/* A list that grows in the arena. */
struct parts {
    struct chat_part *p;
    size_t n;
};

/* content: a string, or blocks. where: of messages_where. */
int messages_read_content(struct messages_reading *m, const struct place *at, struct json_value content,
                          unsigned where, struct parts *to);
/* cache_control of what stands at at; *out is left as it is where there is none. */
int messages_read_mark(struct messages_reading *m, const struct place *at, struct json_value mark,
                       struct str *out);

/* ---- the rest */

int messages_read_tools(struct messages_reading *m, struct json_value tools);
/* One of `tools`, or a definition in the conversation. */
int messages_read_tool(struct messages_reading *m, const struct place *at, struct json_value tool);
/* The model does not have that tool yet (defer_loading). */
void messages_tool_waits(struct messages_reading *m, struct str name);
/* From here on the model has a tool that waited (defer_loading) or was taken away. */
void messages_found_tool(struct messages_reading *m, struct str name);
/* The same for a tool_addition's or tool_removal's `tool`, which may also define one. */
int messages_change_tool(struct messages_reading *m, const struct place *at, struct json_value tool,
                         bool add);
/* After the conversation: leaves only the tools that the model has at its end. */
void messages_settle_tools(struct messages_reading *m);
/* After messages_settle_tools: what is chosen must be among them. */
int messages_read_tool_choice(struct messages_reading *m, struct json_value choice);
/* Everything but conversation and tools. v: the body's members. */
int messages_read_settings(struct messages_reading *m, const struct json_value v[N_MEMBERS]);

#endif

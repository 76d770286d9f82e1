/* A request in Anthropic's Messages dialect, in the neutral form. Run by workers.
 *
 * It is checked as Anthropic would check it, and what is wrong is named by its place. Tools that Anthropic
 * runs itself, containers and MCP servers exist nowhere else: refused. */
#include "anthropic_messages_read.h"

#include <string.h>

/* ---- messages and instructions */

static int read_message(struct messages_reading *m, const struct place *at, struct json_value message)
{
    static const char *const names[] = {"role", "content"};
    static const struct {
        const char *word;
        enum chat_role role;
        unsigned where;
    } roles[] = {{"user", CHAT_USER, IN_USER},
                 {"assistant", CHAT_ASSISTANT, IN_ASSISTANT},
                 {"system", CHAT_SYSTEM, IN_SYSTEM}};
    struct place here = {at, "content", 0};
    struct json_value v[2];
    struct parts parts = {0};
    size_t i = 0;
    if (messages_members(m, at, message, names, 2, v) != 0 ||
        messages_need(m, at, "role", v[0], JSON_STRING) != 0)
        return -1;
    while (i < 3 && !word_is(v[0], roles[i].word))
        i++;
    if (i == 3)
        return messages_wrong(m, at, "role", "Input should be 'user', 'assistant' or 'system'");
    if (messages_read_content(m, &here, v[1], roles[i].where, &parts) != 0)
        return -1;
    struct chat_message *to = chat_add_message(m->out, m->a, roles[i].role);
    to->parts = parts.p;
    to->n_parts = parts.n;
    return 0;
}

static bool says_something(const struct chat_request *c)
{
    for (size_t i = 0; i < c->n_messages; i++)
        for (size_t k = 0; c->messages[i].role != CHAT_SYSTEM && k < c->messages[i].n_parts; k++)
            if (c->messages[i].parts[k].kind != PART_TEXT || c->messages[i].parts[k].text.n > 0)
                return true;
    return false;
}

static int read_messages(struct messages_reading *m, struct json_value messages)
{
    struct place here = {NULL, "messages", 0}, at = {&here, NULL, 0};
    struct json_value message;
    if (messages_need(m, NULL, "messages", messages, JSON_ARRAY) != 0)
        return -1;
    if (messages.count == 0)
        return messages_wrong(m, &here, NULL, "at least one message is required");
    for (size_t step = 0; json_next(messages.raw, &step, NULL, &message) == 1; at.index++)
        if (read_message(m, &at, message) != 0)
            return -1;
    return says_something(m->out) ? 0
                                  : messages_wrong(m, &here, NULL, "messages must have non-empty content");
}

static int read_system(struct messages_reading *m, struct json_value system)
{
    struct place here = {NULL, "system", 0};
    struct parts parts = {0};
    if (!is_given(system))
        return 0;
    if (messages_read_content(m, &here, system, IN_SYSTEM, &parts) != 0)
        return -1;
    struct chat_message *to = chat_add_message(m->out, m->a, CHAT_SYSTEM);
    to->parts = parts.p;
    to->n_parts = parts.n;
    return 0;
}

/* ---- what lives at Anthropic's only */

static int refuse_hosted(struct messages_reading *m, struct json_value container,
                         struct json_value mcp_servers)
{
    if (is_given(container))
        return messages_wrong(m, NULL, "container", "this model's provider has no containers");
    if (is_given(mcp_servers) && (mcp_servers.type != JSON_ARRAY || mcp_servers.count > 0))
        return messages_wrong(m, NULL, "mcp_servers",
                              "this model's provider does not connect to MCP servers");
    return 0;
}

/* Asks for a summary that is signed, and for no answer. */
static int refuse_compaction(struct messages_reading *m, struct json_value compaction)
{
    return is_given(compaction) ? messages_wrong(m, NULL, "compaction",
                                                 "this model's provider makes no summaries; ask for one in a "
                                                 "message")
                                : 0;
}

/* A conversation kept at Anthropic's. Told in the way that SDKs understand: they go on without, and send the
 * whole conversation from then on. */
static int refuse_thread(struct messages_reading *m, struct json_value thread)
{
    if (!is_given(thread))
        return 0;
    messages_wrong(m, NULL, "thread",
                   "this model's provider keeps no threads; send the full conversation without it");
    m->f->code = "thread_unsupported_request";
    return -1;
}

/* ---- all of it */

static const char *const member_names[N_MEMBERS] = {
    [MEMBER_MODEL] = "model",
    [MEMBER_STREAM] = "stream",
    [MEMBER_MESSAGES] = "messages",
    [MEMBER_SYSTEM] = "system",
    [MEMBER_MAX_TOKENS] = "max_tokens",
    [MEMBER_STOP_SEQUENCES] = "stop_sequences",
    [MEMBER_TEMPERATURE] = "temperature",
    [MEMBER_TOP_P] = "top_p",
    [MEMBER_TOP_K] = "top_k",
    [MEMBER_METADATA] = "metadata",
    [MEMBER_TOOLS] = "tools",
    [MEMBER_TOOL_CHOICE] = "tool_choice",
    [MEMBER_THINKING] = "thinking",
    [MEMBER_OUTPUT_CONFIG] = "output_config",
    [MEMBER_OUTPUT_FORMAT] = "output_format",
    [MEMBER_SERVICE_TIER] = "service_tier",
    [MEMBER_CACHE_CONTROL] = "cache_control",
    [MEMBER_CONTAINER] = "container",
    [MEMBER_MCP_SERVERS] = "mcp_servers",
    [MEMBER_THREAD] = "thread",
    [MEMBER_COMPACTION] = "compaction",
};

/* The body's members; those that are not known are named as such. */
static int split(struct messages_reading *m, struct json_value v[N_MEMBERS])
{
    struct json_value value;
    struct str name;
    memset(v, 0, N_MEMBERS * sizeof(v[0]));
    for (size_t at = 0; json_next(m->r->body, &at, &name, &value) == 1;) {
        size_t i = 0;
        while (i < N_MEMBERS && !json_string_is(name, str_of(member_names[i])))
            i++;
        if (i < N_MEMBERS && v[i].type != JSON_ABSENT)
            return messages_wrong(m, NULL, member_names[i], "may stand only once");
        if (i < N_MEMBERS)
            v[i] = value;
        else if (is_given(value))
            messages_pass_over(m, arena_copy(m->a, name));
    }
    return 0;
}

int anthropic_messages_read(struct request *r, struct chat_request *out, struct failure *f)
{
    struct messages_reading m = {.r = r, .a = r->arena, .out = out, .f = f};
    struct json_value v[N_MEMBERS];
    if (split(&m, v) != 0 || refuse_hosted(&m, v[MEMBER_CONTAINER], v[MEMBER_MCP_SERVERS]) != 0 ||
        refuse_thread(&m, v[MEMBER_THREAD]) != 0 || refuse_compaction(&m, v[MEMBER_COMPACTION]) != 0 ||
        messages_read_settings(&m, v) != 0 || messages_read_tools(&m, v[MEMBER_TOOLS]) != 0 ||
        read_system(&m, v[MEMBER_SYSTEM]) != 0 || read_messages(&m, v[MEMBER_MESSAGES]) != 0)
        return -1;
    messages_settle_tools(&m);
    return messages_read_tool_choice(&m, v[MEMBER_TOOL_CHOICE]);
}

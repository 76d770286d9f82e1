/* Anthropic's stream of a whole message: its head, each block begun, grown and ended, then why it ended and
 * what it took. A block of a kind that does not grow is told whole with its beginning. Run by workers. */
#include "stream_teller.h"

/* What becomes known only at the end. */
static const char *const last[] = {"stop_reason", "stop_sequence", "stop_details", "container", NULL};

/* ---- the head */

static void put_first_usage(struct json_writer *w, struct json_value usage)
{
    static const char *const but[] = {"output_tokens", NULL};
    if (usage.type != JSON_OBJECT)
        return;
    json_member_open(w, "usage", '{');
    tell_members(w, usage, but);
    json_member_i64(w, "output_tokens", 0);
    json_close(w, '}');
}

static void put_start(struct teller *t, struct json_value message)
{
    static const char *const but[] = {"content",   "stop_reason", "stop_sequence",      "stop_details",
                                      "container", "usage",       "context_management", NULL};
    struct json_writer w = tell_begin(t, "message_start");
    json_member_open(&w, "message", '{');
    tell_members(&w, message, but);
    json_member_raw(&w, "content", STR("[]"));
    json_member_null(&w, "stop_reason");
    json_member_null(&w, "stop_sequence");
    put_first_usage(&w, json_member(message, "usage"));
    json_close(&w, '}');
    tell_end(t, &w);
    w = tell_begin(t, "ping");
    tell_end(t, &w);
}

/* ---- blocks */

static struct json_writer open_delta(struct teller *t, uint32_t index, const char *type)
{
    struct json_writer w = tell_begin(t, "content_block_delta");
    json_member_i64(&w, "index", index);
    json_member_open(&w, "delta", '{');
    json_member_strz(&w, "type", type);
    return w;
}

static void close_delta(struct teller *t, struct json_writer *w)
{
    json_close(w, '}');
    tell_end(t, w);
}

static void put_texts(struct teller *t, uint32_t index, const char *type, const char *name, struct str text)
{
    while (text.n > 0) {
        struct json_writer w = open_delta(t, index, type);
        json_member_str(&w, name, tell_piece(&text));
        close_delta(t, &w);
    }
}

static void put_citations(struct teller *t, uint32_t index, struct json_value list)
{
    struct json_value v;
    size_t at = 0;
    while (json_next(list.raw, &at, NULL, &v) == 1) {
        struct json_writer w = open_delta(t, index, "citations_delta");
        json_member_raw(&w, "citation", v.raw);
        close_delta(t, &w);
    }
}

/* The members that grow, and what they are when a block begins. */
static const struct grows {
    const char *block; /* its type; NULL: any */
    const char *member;
    enum json_type type;
    struct str begins;
} grows[] = {
    {"text", "text", JSON_STRING, STR("\"\"")},
    {"text", "citations", JSON_ARRAY, STR("[]")},
    {"thinking", "thinking", JSON_STRING, STR("\"\"")},
    {"thinking", "signature", JSON_STRING, STR("\"\"")},
    {NULL, "input", JSON_OBJECT, STR("{}")},
};

static const struct grows *growing(struct json_value type, struct str name, struct json_value v)
{
    for (size_t i = 0; i < sizeof(grows) / sizeof(grows[0]); i++)
        if (str_eq(name, str_of(grows[i].member)) && v.type == grows[i].type &&
            (!grows[i].block || tell_is(type, grows[i].block)))
            return &grows[i];
    return NULL;
}

static void put_block_start(struct teller *t, uint32_t index, struct json_value block, struct json_value type)
{
    struct json_value v;
    struct str name;
    size_t at = 0;
    struct json_writer w = tell_begin(t, "content_block_start");
    json_member_i64(&w, "index", index);
    json_member_open(&w, "content_block", '{');
    while (json_next(block.raw, &at, &name, &v) == 1) {
        const struct grows *g = growing(type, name, v);
        json_name_raw(&w, name);
        json_raw(&w, g ? g->begins : v.raw);
    }
    json_close(&w, '}');
    tell_end(t, &w);
}

static void put_growth(struct teller *t, uint32_t index, const struct grows *g, struct json_value v)
{
    switch (g - grows) {
    case 0:
        put_texts(t, index, "text_delta", "text", json_text(v, t->arena));
        break;
    case 1:
        put_citations(t, index, v);
        break;
    case 2:
        put_texts(t, index, "thinking_delta", "thinking", json_text(v, t->arena));
        break;
    case 3:
        if (v.raw.n > 2) {
            struct json_writer w = open_delta(t, index, "signature_delta");
            json_member_raw(&w, "signature", v.raw);
            close_delta(t, &w);
        }
        break;
    default:
        put_texts(t, index, "input_json_delta", "partial_json", v.raw);
    }
}

static void put_block(struct teller *t, uint32_t index, struct json_value block)
{
    struct json_value type = json_member(block, "type");
    put_block_start(t, index, block, type);
    for (size_t i = 0; i < sizeof(grows) / sizeof(grows[0]); i++) {
        struct json_value v = json_member(block, grows[i].member);
        if (growing(type, str_of(grows[i].member), v) == &grows[i])
            put_growth(t, index, &grows[i], v);
    }
    struct json_writer w = tell_begin(t, "content_block_stop");
    json_member_i64(&w, "index", index);
    tell_end(t, &w);
}

/* ---- the end */

static void put_end(struct teller *t, struct json_value message)
{
    struct json_value usage = json_member(message, "usage"),
                      context = json_member(message, "context_management");
    struct json_writer w = tell_begin(t, "message_delta");
    json_member_open(&w, "delta", '{');
    for (size_t i = 0; last[i]; i++) {
        struct json_value v = json_member(message, last[i]);
        if (v.type != JSON_ABSENT)
            json_member_raw(&w, last[i], v.raw);
    }
    json_close(&w, '}');
    if (usage.type == JSON_OBJECT)
        json_member_raw(&w, "usage", usage.raw);
    if (context.type != JSON_ABSENT)
        json_member_raw(&w, "context_management", context.raw);
    tell_end(t, &w);
    w = tell_begin(t, "message_stop");
    tell_end(t, &w);
}

int tell_messages(struct teller *t)
{
    static const char *const paths[] = {"type", "content", "stop_reason"};
    struct json_value v[3], block, message = json_root(t->answer);
    size_t at = 0;
    if (json_scan(t->answer, paths, 3, v, NULL) != 0 || !tell_is(v[0], "message") ||
        v[1].type != JSON_ARRAY || v[2].type != JSON_STRING)
        return -1;
    put_start(t, message);
    for (uint32_t i = 0; json_next(v[1].raw, &at, NULL, &block) == 1; i++) {
        if (block.type != JSON_OBJECT)
            return -1;
        put_block(t, i, block);
    }
    put_end(t, message);
    return 0;
}

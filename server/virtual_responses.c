/* The built-in provider's Responses endpoint: one message item with one text part, streamed with the full
 * ladder of events or whole. */
#include "virtual.h"

#include "json_out.h"

enum { CREATED = 1735689600 };

struct responses {
    struct str text;
    uint64_t input, output;
    bool cut;
    uint32_t sequence;
};

static void put_part(struct buf *b, struct str text)
{
    buf_add(b, STR("{\"type\":\"output_text\",\"text\":"));
    json_put_string(b, text);
    buf_add(b, STR(",\"annotations\":[]}"));
}

static void put_item(struct virtual_making *m, struct buf *b, struct str text, const char *status)
{
    buf_printf(
        b,
        "{\"id\":\"msg_%016llx\",\"type\":\"message\",\"role\":\"assistant\",\"status\":\"%s\",\"content\":[",
        (unsigned long long)m->hash, status);
    if (text.n > 0)
        put_part(b, text);
    buf_add(b, STR("]}"));
}

/* `done`: with its output and usage. */
static void put_response(struct virtual_making *m, const struct responses *r, struct buf *b, bool done)
{
    const char *status = !done ? "in_progress" : r->cut ? "incomplete" : "completed";
    buf_printf(b,
               "{\"id\":\"resp_%016llx\",\"object\":\"response\",\"created_at\":%d,\"status\":\"%s\","
               "\"error\":null,",
               (unsigned long long)m->hash, CREATED, status);
    buf_printf(b, "\"incomplete_details\":%s,\"model\":",
               done && r->cut ? "{\"reason\":\"max_output_tokens\"}" : "null");
    json_put_string(b, m->model);
    buf_add(
        b, STR(",\"instructions\":null,\"metadata\":{},\"parallel_tool_calls\":true,\"tool_choice\":\"auto\","
               "\"tools\":[],\"output\":["));
    if (!done) {
        buf_add(b, STR("],\"usage\":null}"));
        return;
    }
    put_item(m, b, r->text, r->cut ? "incomplete" : "completed");
    buf_printf(
        b,
        "],\"usage\":{\"input_tokens\":%llu,\"input_tokens_details\":{\"cached_tokens\":0},"
        "\"output_tokens\":%llu,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%llu}}",
        (unsigned long long)r->input, (unsigned long long)r->output,
        (unsigned long long)(r->input + r->output));
}

/* ---- streamed */

static struct buf *begin(struct responses *r, struct buf *b, const char *type)
{
    buf_reset(b);
    buf_printf(b, "{\"type\":\"%s\",\"sequence_number\":%u", type, r->sequence++);
    return b;
}

static void end(struct virtual_making *m, struct buf *b, const char *type)
{
    buf_add_byte(b, '}');
    virtual_stream_event(m, type, buf_str(b));
}

static void response_event(struct virtual_making *m, struct responses *r, struct buf *b, const char *type,
                           bool done)
{
    begin(r, b, type);
    buf_add(b, STR(",\"response\":"));
    put_response(m, r, b, done);
    end(m, b, type);
}

static void item_event(struct virtual_making *m, struct responses *r, struct buf *b, const char *type,
                       bool done)
{
    begin(r, b, type);
    buf_add(b, STR(",\"output_index\":0,\"item\":"));
    put_item(m, b, done ? r->text : STR_NULL, done ? (r->cut ? "incomplete" : "completed") : "in_progress");
    end(m, b, type);
}

/* Events about the text part: `member` with the text as a string, or as a part. */
static void part_event(struct virtual_making *m, struct responses *r, struct buf *b, const char *type,
                       const char *member, struct str text, bool part)
{
    begin(r, b, type);
    buf_printf(b, ",\"item_id\":\"msg_%016llx\",\"output_index\":0,\"content_index\":0,\"%s\":",
               (unsigned long long)m->hash, member);
    if (part)
        put_part(b, text);
    else
        json_put_string(b, text);
    end(m, b, type);
}

static void streamed(struct virtual_making *m, struct responses *r)
{
    struct buf b;
    buf_init(&b, MAX_SSE_EVENT);
    virtual_stream_begin(m);
    response_event(m, r, &b, "response.created", false);
    response_event(m, r, &b, "response.in_progress", false);
    item_event(m, r, &b, "response.output_item.added", false);
    part_event(m, r, &b, "response.content_part.added", "part", STR(""), true);
    for (struct str left = r->text; left.n > 0;) {
        size_t n = virtual_chunk(m, left);
        part_event(m, r, &b, "response.output_text.delta", "delta", (struct str){left.p, n}, false);
        left.p += n;
        left.n -= n;
    }
    part_event(m, r, &b, "response.output_text.done", "text", r->text, false);
    part_event(m, r, &b, "response.content_part.done", "part", r->text, true);
    item_event(m, r, &b, "response.output_item.done", true);
    response_event(m, r, &b, r->cut ? "response.incomplete" : "response.completed", true);
    virtual_stream_end(m);
    buf_free(&b);
}

void virtual_responses(struct virtual_making *m)
{
    static const char *const paths[] = {"input", "max_output_tokens"};
    struct json_value v[2];
    if (json_scan(m->call->body, paths, 2, v, NULL) != 0 || v[0].type == JSON_ABSENT) {
        virtual_error(m, 400, "invalid_request_error", "missing_required_parameter",
                      "Missing required parameter: 'input'.");
        return;
    }
    int64_t max = 0;
    if (json_int(v[1], &max) != 0 || max < 0)
        max = 0;
    struct responses r = {.input = virtual_tokens(v[0].raw.n)};
    r.text = virtual_text(m, v[0].type == JSON_STRING ? json_text(v[0], &m->arena) : STR_NULL, (uint64_t)max,
                          &r.cut);
    r.output = virtual_tokens(r.text.n);
    if (m->stream) {
        streamed(m, &r);
        return;
    }
    struct buf b;
    buf_init(&b, MAX_ANSWER / 2);
    put_response(m, &r, &b, true);
    virtual_json(m, 200, buf_str(&b));
    buf_free(&b);
}

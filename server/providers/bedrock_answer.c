/* Converse's answers, whole and streamed. Run by workers.
 *
 * A stream's blocks are numbered; text and thinking come without a beginning, only tools are announced. What
 * the provider's own tools did (type "server_tool_use" and their results) is its own business: their outcome
 * is in the text. The usage comes behind the end: messageStop, then metadata.
 *
 * Where the answer was asked for as the arguments of a tool of ours, it is given back as the text that it is;
 * what the model said beside it is held back until it is known that the tool was not called. */
#include "bedrock.h"

#include "base64.h"

#include <string.h>

/* ---- what both have in common */

static void malformed(struct chat_reader *rd, const char *what)
{
    *rd->f = (struct failure){.status = 502,
                              .type = "server_error",
                              .code = "upstream_malformed",
                              .message = arena_copy(rd->arena, str_of(what))};
}

static bool count_of(struct json_value usage, const char *name, uint64_t *out)
{
    int64_t n;
    struct json_value v = json_member(usage, name);
    if (v.type != JSON_NUMBER || json_int(v, &n) != 0 || n < 0 || n > INT32_MAX)
        return false;
    *out = (uint64_t)n;
    return true;
}

bool bedrock_read_usage(struct json_value usage, struct usage_tokens *out)
{
    struct usage_tokens u = {0};
    bool told = count_of(usage, "inputTokens", &u.input);
    told |= count_of(usage, "outputTokens", &u.output);
    if (!count_of(usage, "cacheReadInputTokens", &u.cached))
        count_of(usage, "cacheReadInputTokenCount", &u.cached);
    if (!count_of(usage, "cacheWriteInputTokens", &u.cache_write))
        count_of(usage, "cacheWriteInputTokenCount", &u.cache_write);
    u.input += u.cached + u.cache_write; /* which it is told without */
    if (told)
        *out = u;
    return told;
}

static enum chat_finish finish_of(struct str reason)
{
    static const struct {
        struct str reason;
        enum chat_finish finish;
    } list[] = {
        {STR("end_turn"), FINISH_STOP},
        {STR("stop_sequence"), FINISH_STOP_SEQUENCE},
        {STR("tool_use"), FINISH_TOOL_CALLS},
        {STR("max_tokens"), FINISH_LENGTH},
        {STR("model_context_window_exceeded"), FINISH_LENGTH},
        {STR("guardrail_intervened"), FINISH_CONTENT_FILTER},
        {STR("content_filtered"), FINISH_CONTENT_FILTER},
        {STR("malformed_model_output"), FINISH_ERROR},
        {STR("malformed_tool_use"), FINISH_ERROR},
        {STR("refusal"), FINISH_REFUSAL},
        {STR("pause_turn"), FINISH_PAUSE},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (str_eq(reason, list[i].reason))
            return list[i].finish;
    return FINISH_STOP;
}

/* With tool calls it is one for tools, with nothing but our own tool's it is none. */
static enum chat_finish finish_with(enum chat_finish f, bool calls, bool json)
{
    if (calls && (f == FINISH_STOP || f == FINISH_STOP_SEQUENCE))
        return FINISH_TOOL_CALLS;
    return json && !calls && f == FINISH_TOOL_CALLS ? FINISH_STOP : f;
}

static struct str text_of(struct json_value v, struct arena *a)
{
    return v.type == JSON_STRING ? json_text(v, a) : STR_NULL;
}

/* Only where additionalModelResponseFieldPaths asked for it. */
static struct str stop_sequence_of(struct json_value fields, struct arena *a)
{
    struct json_value v = json_member(fields, "stop_sequence");
    if (v.type != JSON_STRING)
        v = json_member(json_member(fields, "delta"), "stop_sequence");
    return text_of(v, a);
}

/* The caller's name of a tool that went by another one. */
static struct str tool_name(const struct chat_reader *rd, struct str name, struct arena *a)
{
    for (size_t i = 0; i < rd->in->n_tools; i++)
        if (!str_eq(rd->in->tools[i].name, name) && str_eq(bedrock_tool_name(rd->in->tools[i].name, a), name))
            return rd->in->tools[i].name;
    return name;
}

static bool is_hosted(struct json_value tool_use)
{
    struct json_value type = json_member(tool_use, "type");
    return type.type == JSON_STRING && !str_eq(type.raw, STR("\"tool_use\""));
}

static bool forces_json(const struct chat_reader *rd)
{
    return rd->in->format == FORMAT_SCHEMA && bedrock_forces_json(rd->in, rd->r->target_model);
}

static bool is_json_tool(const struct chat_reader *rd, struct str name, struct arena *a)
{
    return rd->in->format == FORMAT_SCHEMA && str_eq(name, anthropic_json_tool(rd->in, a));
}

/* Anthropic's redacted thinking is a text, which Bedrock packs into base64 once more. What is none stays as
 * it is. */
static struct str redacted_of(struct str packed, struct arena *a)
{
    struct str data;
    if (base64_decode(packed, a, &data) != 0 || data.n == 0)
        return packed;
    for (size_t i = 0; i < data.n; i++)
        if (data.p[i] <= ' ' || data.p[i] > '~')
            return packed;
    return data;
}

static uint64_t characters(struct str s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* One citation as OpenAI's annotation; what has no address has no place there. */
static bool write_citation(struct json_writer *w, struct json_value citation, uint64_t from, uint64_t to,
                           struct arena *a)
{
    struct json_value web = json_member(json_member(citation, "location"), "web");
    struct str url = text_of(json_member(web, "url"), a), title = text_of(json_member(citation, "title"), a);
    if (url.n == 0)
        url = text_of(json_member(citation, "source"), a);
    if (!str_starts(url, STR("http")))
        return false;
    if (title.n == 0)
        title = text_of(json_member(web, "domain"), a);
    json_open(w, '{');
    json_member_str(w, "type", STR("url_citation"));
    json_member_open(w, "url_citation", '{');
    json_member_str(w, "url", url);
    json_member_str(w, "title", title);
    json_member_i64(w, "start_index", (int64_t)from);
    json_member_i64(w, "end_index", (int64_t)to);
    json_close(w, '}');
    json_close(w, '}');
    return true;
}

/* ---- whole answers */

struct whole {
    struct chat_reader *rd;
    struct chat_choice *choice;
    bool forced, json, calls;
    uint64_t written; /* characters of text */
    uint64_t block;   /* … before the last block of it */
    struct buf citations;
    struct json_writer citation_writer;
};

static struct chat_part *add(struct whole *s, enum chat_part_kind kind)
{
    return chat_add_part(&s->choice->parts, &s->choice->n_parts, s->rd->arena, kind);
}

static void add_text(struct whole *s, struct str text)
{
    if (text.n == 0)
        return;
    add(s, PART_TEXT)->text = text;
    s->block = s->written;
    s->written += characters(text);
}

static void add_thinking(struct whole *s, struct json_value v)
{
    struct arena *a = s->rd->arena;
    struct json_value inner = json_member(v, "reasoningText");
    struct str redacted = text_of(json_member(v, "redactedContent"), a);
    if (redacted.n > 0) {
        struct chat_part *p = add(s, PART_REDACTED);
        p->data = redacted_of(redacted, a);
        p->signer = SIGNER_ANTHROPIC;
    }
    if (inner.type != JSON_OBJECT)
        return;
    struct chat_part *p = add(s, PART_THINKING);
    p->text = text_of(json_member(inner, "text"), a);
    p->signature = text_of(json_member(inner, "signature"), a);
    p->signer = p->signature.n > 0 ? SIGNER_ANTHROPIC : SIGNER_NONE;
}

static struct str arguments_of(struct json_value input, struct arena *a)
{
    if (input.type == JSON_STRING)
        return json_text(input, a);
    return input.type == JSON_ABSENT || input.type == JSON_NULL ? STR_NULL : input.raw;
}

/* The answer that stands in the arguments of our own tool. */
static struct str answer_of(const struct chat_reader *rd, struct str arguments)
{
    struct str object = chat_arguments(arguments, rd->arena);
    if (!anthropic_json_wrapped(rd->in))
        return object;
    struct json_value v = json_member(json_root(object), BEDROCK_JSON_VALUE);
    return v.type == JSON_ABSENT ? object : v.raw;
}

static void add_call(struct whole *s, struct json_value v)
{
    struct arena *a = s->rd->arena;
    struct str name = text_of(json_member(v, "name"), a), id = text_of(json_member(v, "toolUseId"), a);
    struct str arguments = arguments_of(json_member(v, "input"), a);
    if (is_hosted(v) || name.n == 0)
        return;
    if (is_json_tool(s->rd, name, a)) {
        add_text(s, answer_of(s->rd, arguments));
        s->json = true;
        return;
    }
    struct chat_part *p = add(s, PART_TOOL_CALL);
    p->id = id.n > 0 ? id : chat_make_id(a, "tooluse_");
    p->name = tool_name(s->rd, name, a);
    p->arguments = arguments;
    s->calls = true;
}

static void add_cited(struct whole *s, struct json_value v)
{
    struct arena *a = s->rd->arena;
    struct json_value content = json_member(v, "content"), citations = json_member(v, "citations"), one;
    size_t at = 0;
    while (content.type == JSON_ARRAY && json_next(content.raw, &at, NULL, &one) == 1)
        add_text(s, text_of(json_member(one, "text"), a));
    at = 0;
    while (citations.type == JSON_ARRAY && json_next(citations.raw, &at, NULL, &one) == 1)
        write_citation(&s->citation_writer, one, s->block, s->written, a);
}

static void add_image(struct whole *s, struct json_value v)
{
    struct arena *a = s->rd->arena;
    struct str bytes = text_of(json_member(json_member(v, "source"), "bytes"), a),
               format = text_of(json_member(v, "format"), a);
    if (bytes.n == 0)
        return;
    struct chat_part *p = add(s, PART_IMAGE);
    p->data = bytes;
    p->mime = arena_printf(a, "image/" STR_FMT, STR_ARG(format));
}

static void add_block(struct whole *s, struct json_value block)
{
    static const struct {
        const char *name;
        void (*add)(struct whole *s, struct json_value v);
    } kinds[] = {
        {"reasoningContent", add_thinking},
        {"toolUse", add_call},
        {"citationsContent", add_cited},
        {"image", add_image},
    };
    add_text(s, text_of(json_member(block, "text"), s->rd->arena));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct json_value v = json_member(block, kinds[i].name);
        if (v.type == JSON_OBJECT)
            kinds[i].add(s, v);
    }
}

/* Whether our own tool was called is known before the texts beside it are taken. */
static bool calls_json_tool(const struct chat_reader *rd, struct json_value content)
{
    struct json_value block;
    size_t at = 0;
    while (json_next(content.raw, &at, NULL, &block) == 1) {
        struct str name = text_of(json_member(json_member(block, "toolUse"), "name"), rd->arena);
        if (name.n > 0 && is_json_tool(rd, name, rd->arena))
            return true;
    }
    return false;
}

static void read_content(struct whole *s, struct json_value content)
{
    struct json_value block;
    size_t at = 0;
    bool json = s->forced && calls_json_tool(s->rd, content);
    buf_init(&s->citations, MAX_SSE_EVENT);
    s->citation_writer = json_writer(&s->citations);
    json_open(&s->citation_writer, '[');
    while (json_next(content.raw, &at, NULL, &block) == 1)
        if (!json || json_member(block, "text").type == JSON_ABSENT)
            add_block(s, block);
    json_close(&s->citation_writer, ']');
    if (s->citations.n > 2 && !s->citations.full)
        s->choice->annotations = arena_copy(s->rd->arena, buf_str(&s->citations));
    buf_free(&s->citations);
}

int bedrock_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out)
{
    static const char *const paths[] = {
        "output.message.content",       "stopReason", "usage", "message", "Message", "__type",
        "additionalModelResponseFields"};
    enum { CONTENT, REASON, USAGE, MESSAGE, MESSAGE_2, TYPE, FIELDS, COUNT };
    struct json_value v[COUNT];
    if (json_scan(body, paths, COUNT, v, NULL) != 0) {
        malformed(rd, "The provider's answer is no valid JSON object.");
        return -1;
    }
    if (v[CONTENT].type != JSON_ARRAY && v[REASON].type != JSON_STRING) {
        if (v[MESSAGE].type == JSON_STRING || v[MESSAGE_2].type == JSON_STRING || v[TYPE].type == JSON_STRING)
            bedrock_read_error(rd->r, 502, NULL, body, rd->f);
        else
            malformed(rd, "The provider's answer has no content.");
        return -1;
    }
    struct whole s = {.rd = rd, .choice = chat_add_choice(out, rd->arena), .forced = forces_json(rd)};
    if (v[CONTENT].type == JSON_ARRAY)
        read_content(&s, v[CONTENT]);
    s.choice->finish = finish_with(finish_of(text_of(v[REASON], rd->arena)), s.calls, s.json);
    if (s.choice->finish == FINISH_STOP_SEQUENCE)
        s.choice->stop_sequence = stop_sequence_of(v[FIELDS], rd->arena);
    out->usage_known = bedrock_read_usage(v[USAGE], &out->usage);
    return 0;
}

/* ---- streams */

enum { MAX_STREAM_TOOLS = 512, MAX_HELD = 4 * 1024 * 1024 };

enum tool_kind { TOOL_OF_CALLER, TOOL_OF_OURS, TOOL_OF_PROVIDER };

struct stream {
    struct {
        int64_t block; /* its contentBlockIndex */
        enum tool_kind kind;
        uint32_t number; /* of the caller's */
    } tools[MAX_STREAM_TOOLS];
    size_t n_tools;
    uint32_t calls; /* the caller's among them */
    bool forced, wrapped, json;
    bool answered; /* something of our own tool's arguments was given on */
    bool stopped, metered;
    uint64_t written, block_start; /* characters of text */
    int64_t block;
    struct buf texts;     /* beside our own tool; the arena's */
    struct buf arguments; /* its own, where they have to be whole; the arena's */
};

static struct stream *stream_of(struct chat_reader *rd)
{
    if (!rd->state) {
        struct stream *s = arena_alloc(rd->arena, sizeof(*s));
        memset(s, 0, sizeof(*s));
        s->forced = forces_json(rd);
        s->wrapped = rd->in->format == FORMAT_SCHEMA && anthropic_json_wrapped(rd->in);
        rd->state = s;
    }
    return rd->state;
}

static bool hold(struct chat_reader *rd, struct buf *h, struct str text)
{
    if (text.n > MAX_HELD - h->n) {
        malformed(rd, "The provider's answer is too long to be unwrapped.");
        return false;
    }
    chat_hold(h, text, rd->arena);
    return true;
}

static void emit_text(struct chat_reader *rd, struct stream *s, struct str text)
{
    if (text.n == 0)
        return;
    s->written += characters(text);
    chat_emit(rd, &(struct chat_delta){.kind = DELTA_TEXT, .text = text});
}

static void emit_held(struct chat_reader *rd, struct stream *s)
{
    emit_text(rd, s, buf_str(&s->texts));
    s->texts.n = 0;
}

static int64_t index_of(struct json_value v)
{
    int64_t n;
    return json_int(v, &n) == 0 && n >= 0 ? n : -1;
}

static enum frame_result read_start(struct chat_reader *rd, struct stream *s, struct str data)
{
    static const char *const paths[] = {"contentBlockIndex", "start.toolUse", "start.image"};
    enum { INDEX, TOOL, IMAGE, COUNT };
    struct json_value v[COUNT];
    if (json_scan(data, paths, COUNT, v, NULL) != 0)
        return malformed(rd, "An event of the provider's stream is no valid JSON object."), FRAME_ERROR;
    if (v[TOOL].type != JSON_OBJECT)
        return FRAME_MORE;
    struct str name = text_of(json_member(v[TOOL], "name"), rd->scratch),
               id = text_of(json_member(v[TOOL], "toolUseId"), rd->scratch);
    if (s->n_tools == MAX_STREAM_TOOLS || (name.n == 0 && !is_hosted(v[TOOL])))
        return malformed(rd, "The provider's stream has a tool call without a name, or too many of them."),
               FRAME_ERROR;
    enum tool_kind kind = is_hosted(v[TOOL])                    ? TOOL_OF_PROVIDER
                          : is_json_tool(rd, name, rd->scratch) ? TOOL_OF_OURS
                                                                : TOOL_OF_CALLER;
    s->tools[s->n_tools].block = index_of(v[INDEX]);
    s->tools[s->n_tools].kind = kind;
    s->tools[s->n_tools++].number = s->calls;
    if (kind == TOOL_OF_OURS) {
        s->json = true;
        s->texts.n = 0;
    }
    if (kind != TOOL_OF_CALLER)
        return FRAME_MORE;
    emit_held(rd, s);
    chat_emit(rd, &(struct chat_delta){.kind = DELTA_TOOL,
                                       .tool = s->calls++,
                                       .id = id.n > 0 ? id : chat_make_id(rd->scratch, "tooluse_"),
                                       .name = tool_name(rd, name, rd->scratch)});
    return FRAME_MORE;
}

/* The latest of that number: they never interleave, but numbers might come again. */
static int tool_at(const struct stream *s, int64_t block)
{
    for (size_t i = s->n_tools; i-- > 0;)
        if (s->tools[i].block == block)
            return (int)i;
    return -1;
}

static enum frame_result read_arguments(struct chat_reader *rd, struct stream *s, int64_t block,
                                        struct json_value input)
{
    int i = tool_at(s, block);
    struct str text = arguments_of(input, rd->scratch);
    if (i < 0 || text.n == 0 || s->tools[i].kind == TOOL_OF_PROVIDER)
        return FRAME_MORE;
    if (s->tools[i].kind == TOOL_OF_CALLER) {
        chat_emit(rd,
                  &(struct chat_delta){.kind = DELTA_ARGUMENTS, .tool = s->tools[i].number, .text = text});
        return FRAME_MORE;
    }
    if (s->wrapped)
        return hold(rd, &s->arguments, text) ? FRAME_MORE : FRAME_ERROR;
    s->answered = true;
    emit_text(rd, s, text);
    return FRAME_MORE;
}

static void read_thinking(struct chat_reader *rd, struct json_value v)
{
    struct str text = text_of(json_member(v, "text"), rd->scratch),
               signature = text_of(json_member(v, "signature"), rd->scratch),
               redacted = text_of(json_member(v, "redactedContent"), rd->scratch);
    if (text.n + signature.n > 0)
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_THINKING,
                                           .text = text,
                                           .signature = signature,
                                           .signer = signature.n > 0 ? SIGNER_ANTHROPIC : SIGNER_NONE});
    if (redacted.n > 0)
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_REDACTED,
                                           .data = redacted_of(redacted, rd->scratch),
                                           .signer = SIGNER_ANTHROPIC});
}

static void read_citation(struct chat_reader *rd, const struct stream *s, struct json_value v)
{
    struct buf b;
    buf_init(&b, MAX_SSE_EVENT);
    struct json_writer w = json_writer(&b);
    json_open(&w, '[');
    bool any = write_citation(&w, v, s->block_start, s->written, rd->scratch);
    json_close(&w, ']');
    if (any && !b.full)
        chat_emit(rd, &(struct chat_delta){.kind = DELTA_ANNOTATIONS, .json = buf_str(&b)});
    buf_free(&b);
}

static void read_image(struct chat_reader *rd, struct json_value v)
{
    struct str bytes = text_of(json_member(json_member(v, "source"), "bytes"), rd->scratch);
    struct str mime = chat_media_type(bytes);
    if (bytes.n > 0)
        chat_emit(rd, &(struct chat_delta){
                          .kind = DELTA_IMAGE, .data = bytes, .mime = mime.n > 0 ? mime : STR("image/png")});
}

static enum frame_result read_delta(struct chat_reader *rd, struct stream *s, struct str data)
{
    static const char *const paths[] = {"contentBlockIndex",      "delta.text",     "delta.toolUse.input",
                                        "delta.reasoningContent", "delta.citation", "delta.image"};
    enum { INDEX, TEXT, INPUT, THINKING, CITATION, IMAGE, COUNT };
    struct json_value v[COUNT];
    if (json_scan(data, paths, COUNT, v, NULL) != 0)
        return malformed(rd, "An event of the provider's stream is no valid JSON object."), FRAME_ERROR;
    int64_t block = index_of(v[INDEX]);
    struct str text = text_of(v[TEXT], rd->scratch);
    if (text.n > 0 && block != s->block) {
        s->block = block;
        s->block_start = s->written;
    }
    if (s->forced && text.n > 0) {
        if (!s->json && !hold(rd, &s->texts, text))
            return FRAME_ERROR;
    } else
        emit_text(rd, s, text);
    if (v[THINKING].type == JSON_OBJECT)
        read_thinking(rd, v[THINKING]);
    if (v[CITATION].type == JSON_OBJECT)
        read_citation(rd, s, v[CITATION]);
    if (v[IMAGE].type == JSON_OBJECT)
        read_image(rd, v[IMAGE]);
    return read_arguments(rd, s, block, v[INPUT]);
}

/* What was held back is given out, now that nothing more can come. */
static void finish_json(struct chat_reader *rd, struct stream *s)
{
    emit_held(rd, s);
    if (s->json && s->wrapped)
        emit_text(rd, s, answer_of(rd, buf_str(&s->arguments)));
    else if (s->json && !s->answered)
        emit_text(rd, s, STR("{}"));
}

static enum frame_result read_stop(struct chat_reader *rd, struct stream *s, struct str data)
{
    static const char *const paths[] = {"stopReason", "additionalModelResponseFields"};
    enum { REASON, FIELDS, COUNT };
    struct json_value v[COUNT];
    if (json_scan(data, paths, COUNT, v, NULL) != 0)
        return malformed(rd, "An event of the provider's stream is no valid JSON object."), FRAME_ERROR;
    struct chat_delta d = {
        .kind = DELTA_FINISH,
        .finish = finish_with(finish_of(text_of(v[REASON], rd->scratch)), s->calls > 0, s->json)};
    if (d.finish == FINISH_STOP_SEQUENCE)
        d.stop_sequence = stop_sequence_of(v[FIELDS], rd->scratch);
    finish_json(rd, s);
    chat_emit(rd, &d);
    s->stopped = true;
    return s->metered ? FRAME_LAST : FRAME_MORE;
}

static enum frame_result read_metadata(struct chat_reader *rd, struct stream *s, struct str data)
{
    static const char *const paths[] = {"usage"};
    struct json_value usage;
    struct chat_delta d = {.kind = DELTA_USAGE};
    if (json_scan(data, paths, 1, &usage, NULL) != 0)
        return malformed(rd, "An event of the provider's stream is no valid JSON object."), FRAME_ERROR;
    if (bedrock_read_usage(usage, &d.usage))
        chat_emit(rd, &d);
    s->metered = true;
    return s->stopped ? FRAME_LAST : FRAME_MORE;
}

enum frame_result bedrock_read_frame(struct chat_reader *rd, const struct chat_frame *frame)
{
    static const struct {
        struct str name;
        enum frame_result (*read)(struct chat_reader *rd, struct stream *s, struct str data);
    } events[] = {
        {STR("contentBlockDelta"), read_delta},
        {STR("contentBlockStart"), read_start},
        {STR("messageStop"), read_stop},
        {STR("metadata"), read_metadata},
    };
    struct stream *s = stream_of(rd);
    if (frame->exception) {
        bedrock_read_exception(rd->r, frame->name, frame->data, rd->f);
        return FRAME_ERROR;
    }
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (str_eq(frame->name, events[i].name))
            return events[i].read(rd, s, frame->data);
    return FRAME_MORE;
}

bool bedrock_whole(struct chat_reader *rd)
{
    return stream_of(rd)->stopped;
}

/* What Claude answers, in the neutral form, and what its answers and streams have in common. Run by workers
 * only.
 *
 * Only text, thinking and calls of the caller's own tools are the caller's business: what Anthropic's tools
 * have done (server_tool_use, …_tool_result), compactions and blocks of kinds to come are passed over. */
#include "anthropic_answer.h"

#include <string.h>

/* ---- usage */

bool anthropic_take_count(struct json_value v, uint64_t *out)
{
    int64_t n;
    if (v.type != JSON_NUMBER || json_int(v, &n) != 0 || n < 0 || n > INT32_MAX)
        return false;
    *out = (uint64_t)n;
    return true;
}

void anthropic_take_usage(struct anthropic_told *t, struct json_value usage)
{
    static const char *const paths[] = {"input_tokens", "cache_creation_input_tokens",
                                        "cache_read_input_tokens", "output_tokens",
                                        "output_tokens_details.thinking_tokens"};
    struct json_value v[5];
    if (usage.type != JSON_OBJECT || json_scan(usage.raw, paths, 5, v, NULL) != 0)
        return;
    t->any |= anthropic_take_count(v[0], &t->input);
    anthropic_take_count(v[1], &t->cache_write);
    anthropic_take_count(v[2], &t->cache_read);
    t->any |= anthropic_take_count(v[3], &t->output);
    anthropic_take_count(v[4], &t->thinking);
}

struct usage_tokens anthropic_tokens(const struct anthropic_told *t)
{
    return (struct usage_tokens){.input = t->input + t->cache_write + t->cache_read,
                                 .cached = t->cache_read,
                                 .cache_write = t->cache_write,
                                 .output = t->output,
                                 .reasoning = t->thinking < t->output ? t->thinking : t->output};
}

/* ---- words */

enum chat_finish anthropic_finish(struct json_value stop_reason)
{
    static const struct {
        struct str word;
        enum chat_finish finish;
    } words[] = {
        {STR("\"end_turn\""), FINISH_STOP},       {STR("\"stop_sequence\""), FINISH_STOP_SEQUENCE},
        {STR("\"max_tokens\""), FINISH_LENGTH},   {STR("\"model_context_window_exceeded\""), FINISH_LENGTH},
        {STR("\"tool_use\""), FINISH_TOOL_CALLS}, {STR("\"refusal\""), FINISH_REFUSAL},
        {STR("\"pause_turn\""), FINISH_PAUSE},    {STR("\"compaction\""), FINISH_PAUSE},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq(stop_reason.raw, words[i].word))
            return words[i].finish;
    return FINISH_STOP;
}

bool anthropic_word_is(struct json_value v, const char *word)
{
    return v.type == JSON_STRING && v.raw.n == strlen(word) + 2 &&
           memcmp(v.raw.p + 1, word, v.raw.n - 2) == 0;
}

bool anthropic_is_json_tool(const struct chat_reader *rd, struct str name)
{
    return rd->in && rd->in->format == FORMAT_SCHEMA &&
           str_eq(name, anthropic_json_tool(rd->in, rd->scratch));
}

struct str anthropic_json_answer(const struct chat_reader *rd, struct str input)
{
    if (!anthropic_json_wrapped(rd->in))
        return input;
    struct json_value value = json_member(json_root(input), "value");
    return value.type == JSON_ABSENT ? input : value.raw;
}

int anthropic_malformed(struct failure *f, const char *what)
{
    *f = (struct failure){
        .status = 502, .type = "server_error", .code = "upstream_malformed", .message = str_of(what)};
    return -1;
}

/* ---- citations */

uint64_t anthropic_count_chars(struct str s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

void anthropic_put_citation(struct json_writer *w, struct json_value citation, uint64_t from, uint64_t to,
                            struct arena *a)
{
    static const char *const paths[] = {"url", "title", "source"};
    struct json_value v[3];
    if (citation.type != JSON_OBJECT || json_scan(citation.raw, paths, 3, v, NULL) != 0)
        return;
    struct str url = json_text(v[0], a);
    if (url.n == 0)
        url = json_text(v[2], a);
    if (!str_starts(url, STR("http://")) && !str_starts(url, STR("https://")))
        return;
    json_open(w, '{');
    json_member_strz(w, "type", "url_citation");
    json_member_open(w, "url_citation", '{');
    json_member_i64(w, "start_index", (int64_t)from);
    json_member_i64(w, "end_index", (int64_t)to);
    json_member_str(w, "title", json_text(v[1], a));
    json_member_str(w, "url", url);
    json_close(w, '}');
    json_close(w, '}');
}

/* ---- whole answers */

static const char *const block_paths[ANTHROPIC_BLOCK_MEMBERS] = {
    "type", "text", "thinking", "signature", "data", "id", "name", "input", "citations"};

int anthropic_read_block(struct json_value block, struct json_value v[ANTHROPIC_BLOCK_MEMBERS])
{
    return block.type == JSON_OBJECT ? json_scan(block.raw, block_paths, ANTHROPIC_BLOCK_MEMBERS, v, NULL)
                                     : -1;
}

/* The state of reading one answer. */
struct answer_reader {
    struct chat_reader *rd;
    struct chat_choice *choice;
    struct buf notes; /* annotations */
    struct json_writer w;
    uint64_t chars;
    bool json; /* the forced tool was called */
};

static struct chat_part *add_part(struct answer_reader *ar, enum chat_part_kind kind)
{
    return chat_add_part(&ar->choice->parts, &ar->choice->n_parts, ar->rd->arena, kind);
}

static void add_text(struct answer_reader *ar, struct json_value v[ANTHROPIC_BLOCK_MEMBERS])
{
    struct arena *a = ar->rd->arena;
    struct chat_part *p = add_part(ar, PART_TEXT);
    struct json_value citation;
    p->text = json_text(v[B_TEXT], a);
    uint64_t from = ar->chars;
    ar->chars += anthropic_count_chars(p->text);
    for (size_t at = 0;
         v[B_CITATIONS].type == JSON_ARRAY && json_next(v[B_CITATIONS].raw, &at, NULL, &citation) == 1;)
        anthropic_put_citation(&ar->w, citation, from, ar->chars, a);
}

static void add_call(struct answer_reader *ar, struct json_value v[ANTHROPIC_BLOCK_MEMBERS])
{
    struct arena *a = ar->rd->arena;
    struct str name = json_text(v[B_NAME], a),
               input = v[B_INPUT].type == JSON_OBJECT ? v[B_INPUT].raw : STR("{}");
    if (anthropic_is_json_tool(ar->rd, name)) {
        ar->json = true;
        add_part(ar, PART_TEXT)->text = anthropic_json_answer(ar->rd, input);
        return;
    }
    struct chat_part *p = add_part(ar, PART_TOOL_CALL);
    p->name = anthropic_tool_named(ar->rd->in, name.n > 0 ? name : STR("unnamed"), a);
    p->id = json_text(v[B_ID], a);
    if (p->id.n == 0)
        p->id = chat_make_id(a, "toolu_");
    p->arguments = input;
}

static void add_block(struct answer_reader *ar, struct json_value block)
{
    struct json_value v[ANTHROPIC_BLOCK_MEMBERS];
    struct arena *a = ar->rd->arena;
    if (anthropic_read_block(block, v) != 0)
        return;
    if (anthropic_word_is(v[B_TYPE], "text"))
        add_text(ar, v);
    else if (anthropic_word_is(v[B_TYPE], "tool_use"))
        add_call(ar, v);
    else if (anthropic_word_is(v[B_TYPE], "thinking")) {
        struct chat_part *p = add_part(ar, PART_THINKING);
        p->text = json_text(v[B_THINKING], a);
        p->signature = json_text(v[B_SIGNATURE], a);
        p->signer = p->signature.n > 0 ? SIGNER_ANTHROPIC : SIGNER_NONE;
    } else if (anthropic_word_is(v[B_TYPE], "redacted_thinking")) {
        struct chat_part *p = add_part(ar, PART_REDACTED);
        p->data = json_text(v[B_DATA], a);
        p->signer = SIGNER_ANTHROPIC;
    }
}

/* Where the forced tool was called, its answer is the only text. */
static void keep_json_only(struct chat_choice *c)
{
    size_t kept = 0;
    struct chat_part *last = NULL;
    for (size_t i = 0; i < c->n_parts; i++)
        last = c->parts[i].kind == PART_TEXT ? &c->parts[i] : last;
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].kind != PART_TEXT || &c->parts[i] == last)
            c->parts[kept++] = c->parts[i];
    c->n_parts = kept;
    c->annotations = STR_NULL;
}

static void read_content(struct answer_reader *ar, struct json_value content)
{
    struct json_value block;
    size_t max = content.raw.n + ANTHROPIC_CITATION_ROOM * (content.raw.n / 16 + 1);
    buf_init(&ar->notes, max);
    ar->w = json_writer(&ar->notes);
    json_open(&ar->w, '[');
    for (size_t at = 0; json_next(content.raw, &at, NULL, &block) == 1;)
        add_block(ar, block);
    json_close(&ar->w, ']');
    if (ar->notes.n > 2 && !ar->notes.full)
        ar->choice->annotations = arena_copy(ar->rd->arena, buf_str(&ar->notes));
    buf_free(&ar->notes);
    if (ar->json)
        keep_json_only(ar->choice);
}

int anthropic_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out)
{
    static const char *const paths[] = {
        "type",  "id",   "model", "content", "stop_reason", "stop_sequence", "stop_details.explanation",
        "usage", "error"};
    enum { TYPE, ID, MODEL, CONTENT, STOP, SEQUENCE, EXPLANATION, USAGE, ERROR, COUNT };
    struct json_value v[COUNT];
    struct anthropic_told told = {0};
    if (json_scan(body, paths, COUNT, v, NULL) != 0)
        return anthropic_malformed(rd->f, "The provider's answer is no valid JSON object.");
    if (anthropic_word_is(v[TYPE], "error") || (v[ERROR].type > JSON_NULL && v[CONTENT].type != JSON_ARRAY)) {
        anthropic_read_error(rd->r, 502, NULL, body, rd->f);
        return -1;
    }
    if (v[CONTENT].type != JSON_ARRAY)
        return anthropic_malformed(rd->f, "The provider's answer has no content.");
    out->id = json_text(v[ID], rd->arena);
    out->model = json_text(v[MODEL], rd->arena);
    struct answer_reader ar = {.rd = rd, .choice = chat_add_choice(out, rd->arena)};
    read_content(&ar, v[CONTENT]);
    ar.choice->finish = anthropic_finish(v[STOP]);
    ar.choice->stop_sequence = json_text(v[SEQUENCE], rd->arena);
    if (ar.json && !chat_has(ar.choice->parts, ar.choice->n_parts, PART_TOOL_CALL) &&
        ar.choice->finish == FINISH_TOOL_CALLS)
        ar.choice->finish = FINISH_STOP;
    if (ar.choice->finish == FINISH_REFUSAL && v[EXPLANATION].type == JSON_STRING)
        add_part(&ar, PART_REFUSAL)->text = json_text(v[EXPLANATION], rd->arena);
    anthropic_take_usage(&told, v[USAGE]);
    out->usage = anthropic_tokens(&told);
    out->usage_known = told.any;
    return 0;
}

int anthropic_read_count(struct chat_reader *rd, struct str body, uint64_t *tokens)
{
    static const char *const paths[] = {"input_tokens"};
    struct json_value v[1];
    if (json_scan(body, paths, 1, v, NULL) != 0 || !anthropic_take_count(v[0], tokens))
        return anthropic_malformed(rd->f, "The provider's answer tells no number of tokens.");
    return 0;
}

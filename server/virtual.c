/* Dispatch, failures, timing and framing of the built-in provider (virtual.h). Run by workers. */
#include "virtual.h"

#include "http.h"
#include "json_out.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_PIECES = 200 * 1000 };

void virtual_script_init(struct virtual_script *s)
{
    *s = (struct virtual_script){0};
    buf_init(&s->text, MAX_ANSWER);
    buf_init(&s->pieces, MAX_PIECES * sizeof(struct virtual_piece));
}

void virtual_script_free(struct virtual_script *s)
{
    buf_free(&s->text);
    buf_free(&s->pieces);
}

size_t virtual_pieces(const struct virtual_script *s, const struct virtual_piece **out)
{
    *out = (const struct virtual_piece *)(const void *)s->pieces.p;
    return s->pieces.n / sizeof(struct virtual_piece);
}

/* What was added to the text since the last piece comes at m->at_ms. */
static void piece(struct virtual_making *m)
{
    struct virtual_piece p = {m->script->text.n, m->at_ms};
    buf_add(&m->script->pieces, (struct str){(const char *)&p, sizeof(p)});
}

/* ---- numbers and words */

/* splitmix64 */
uint64_t virtual_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t mix(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return virtual_random(&h);
}

uint64_t virtual_tokens(size_t bytes)
{
    return (bytes + 3) / 4;
}

static const char *const words[] = {
    "the",   "river",   "carries", "a",     "quiet",   "light", "over",    "stones", "and",
    "every", "window",  "keeps",   "some",  "weather", "in",    "it",      "while",  "morning",
    "walks", "slow",    "along",   "paper", "fields",  "where", "numbers", "rest",   "between",
    "two",   "answers", "of",      "equal", "weight",  "so",    "that",    "nobody", "counts",
    "twice", "what",    "is",      "given", "once",    "to",    "each",    "asker",
};

static size_t whole_utf8(struct str s, size_t n)
{
    if (n >= s.n)
        return s.n;
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

struct str virtual_text(struct virtual_making *m, struct str prompt, uint64_t max_tokens, bool *cut)
{
    size_t want = (size_t)m->v->chunks * m->v->chunk_bytes;
    if (want == 0 || want > MAX_ANSWER / 8)
        want = want ? MAX_ANSWER / 8 : 1;
    *cut = max_tokens > 0 && max_tokens < virtual_tokens(want);
    if (*cut)
        want = (size_t)max_tokens * 4;
    struct buf b;
    buf_init(&b, want + 256);
    struct str told = {prompt.p, whole_utf8(prompt, 64)};
    buf_add(&b, STR("You said: "));
    buf_add(&b, told);
    uint64_t state = m->hash;
    for (buf_add_byte(&b, '.'); b.n < want; buf_add(&b, str_of(words[virtual_random(&state) % 44])))
        buf_add_byte(&b, ' ');
    struct str text = arena_copy(&m->arena, buf_str(&b));
    buf_free(&b);
    text.n = whole_utf8(text, want);
    return text;
}

size_t virtual_chunk(const struct virtual_making *m, struct str text)
{
    size_t n = whole_utf8(text, m->v->chunk_bytes ? m->v->chunk_bytes : 16);
    while (n < text.n && (n == 0 || ((unsigned char)text.p[n] & 0xc0) == 0x80))
        n++; /* a sequence longer than a chunk goes whole */
    return n;
}

/* ---- framing */

static void head(struct virtual_making *m, int status, const char *content_type)
{
    buf_printf(&m->script->text, "HTTP/1.1 %d %s\r\ncontent-type: %s\r\nx-request-id: req_%016llx\r\n",
               status, http_reason(status), content_type, (unsigned long long)m->hash);
    if (status == 429 || status == 503)
        buf_add(&m->script->text, STR("retry-after: 1\r\n"));
}

void virtual_json(struct virtual_making *m, int status, struct str body)
{
    struct buf *b = &m->script->text;
    head(m, status, "application/json");
    buf_printf(b, "content-length: %zu\r\n\r\n", body.n);
    size_t start = b->n;
    buf_add(b, body);
    if (m->script->end == VIRTUAL_CUT)
        b->n = start + body.n / 2;
    piece(m);
}

void virtual_error(struct virtual_making *m, int status, const char *type, const char *code,
                   const char *message)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_add(&b, STR("{\"error\":{\"message\":"));
    json_put_string(&b, str_of(message));
    buf_printf(&b, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}", type, code);
    virtual_json(m, status, buf_str(&b));
    buf_free(&b);
}

void virtual_stream_begin(struct virtual_making *m)
{
    head(m, 200, "text/event-stream; charset=utf-8");
    buf_add(&m->script->text, STR("cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"));
    piece(m);
}

static void chunk(struct virtual_making *m, struct str a, struct str b, struct str c, struct str d)
{
    struct buf *t = &m->script->text;
    buf_printf(t, "%zx\r\n", a.n + b.n + c.n + d.n);
    buf_add(t, a);
    buf_add(t, b);
    buf_add(t, c);
    buf_add(t, d);
    buf_add(t, STR("\r\n"));
    piece(m);
    m->at_ms += m->v->chunk_ms;
}

void virtual_stream_event(struct virtual_making *m, const char *name, struct str data)
{
    struct str line = name ? arena_printf(&m->arena, "event: %s\n", name) : STR_NULL;
    chunk(m, line, STR("data: "), data, STR("\n\n"));
}

void virtual_stream_end(struct virtual_making *m)
{
    struct virtual_script *s = m->script;
    if (s->end == VIRTUAL_CUT) {
        size_t keep = (s->pieces.n / sizeof(struct virtual_piece) + 1) / 2;
        struct virtual_piece *p = (struct virtual_piece *)(void *)s->pieces.p;
        s->pieces.n = keep * sizeof(*p);
        s->text.n = p[keep - 1].end;
        return;
    }
    buf_add(&s->text, STR("0\r\n\r\n"));
    /* comes with the last event: a provider does not wait to end its answer */
    if (s->pieces.n >= sizeof(struct virtual_piece)) {
        struct virtual_piece *p = (struct virtual_piece *)(void *)(s->pieces.p + s->pieces.n) - 1;
        p->end = s->text.n;
    }
}

void virtual_stream_raw(struct virtual_making *m, struct str events)
{
    virtual_stream_begin(m);
    while (events.n > 0) {
        size_t n = events.n;
        const char *lf = memmem(events.p, events.n, "\n\n", 2),
                   *crlf = memmem(events.p, events.n, "\r\n\r\n", 4);
        if (lf)
            n = (size_t)(lf - events.p) + 2;
        if (crlf && (size_t)(crlf - events.p) + 4 < n)
            n = (size_t)(crlf - events.p) + 4;
        chunk(m, (struct str){events.p, n}, STR_NULL, STR_NULL, STR_NULL);
        events.p += n;
        events.n -= n;
    }
    virtual_stream_end(m);
}

/* ---- recorded answers */

static bool read_file(const char *path, struct buf *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= MAX_ANSWER;
    for (ssize_t n = 1; ok && n > 0;) {
        size_t room = buf_reserve(b, 64 * 1024);
        n = room > 0 ? read(fd, b->p + b->n, room) : 0;
        ok = n >= 0;
        b->n += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return ok;
}

/* MODEL.json or MODEL.sse from the folder; false when there is none. */
static bool replay(struct virtual_making *m)
{
    char name[MAX_NAME];
    str_copy_cut(name, sizeof(name), m->model);
    for (char *c = name; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c) ||
            (*c == '.' && c == name))
            *c = '_';
    struct str path = arena_printf(&m->arena, "%s/%s.%s", m->v->replay, name, m->stream ? "sse" : "json");
    struct buf b;
    buf_init(&b, MAX_ANSWER);
    bool found = read_file(path.p, &b);
    if (found && m->stream)
        virtual_stream_raw(m, buf_str(&b));
    else if (found)
        virtual_json(m, 200, buf_str(&b));
    buf_free(&b);
    return found;
}

/* ---- dispatch */

static const struct {
    const char *method, *path;
    bool below; /* paths below it, too */
    void (*make)(struct virtual_making *m);
} endpoints[] = {
    {"POST", "/chat/completions", false, virtual_chat},
    {"POST", "/completions", false, virtual_completions},
    {"POST", "/responses", false, virtual_responses},
    {"POST", "/embeddings", false, virtual_embeddings},
    {"POST", "/moderations", false, virtual_moderations},
    {"GET", "/models", true, virtual_models},
    {"POST", "/files", false, virtual_files},
    {"GET", "/files", false, virtual_files},
};

static void dispatch(struct virtual_making *m)
{
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        struct str path = m->call->path, want = str_of(endpoints[i].path);
        bool fits =
            str_eq(path, want) || (endpoints[i].below && str_starts(path, want) && path.p[want.n] == '/');
        if (fits && str_eq(m->call->method, str_of(endpoints[i].method))) {
            endpoints[i].make(m);
            return;
        }
    }
    m->script->end = VIRTUAL_KEEP;
    virtual_error(m, 404, "invalid_request_error", "unknown_url",
                  "The virtual provider has no such endpoint.");
}

/* What the request is for, where its body says so; false: a body that is no JSON object. */
static bool read_body(struct virtual_making *m)
{
    static const char *const paths[] = {"model", "stream"};
    struct json_value v[2];
    m->model = STR("virtual");
    if (m->call->body.n == 0 || !str_starts(m->call->content_type, STR("application/json")))
        return true;
    if (json_scan(m->call->body, paths, 2, v, NULL) != 0)
        return false;
    if (v[0].type == JSON_STRING)
        m->model = json_text(v[0], &m->arena);
    m->stream = v[1].type == JSON_TRUE;
    return true;
}

/* So many of 1,000, each kind drawn independently. */
static bool drawn(uint64_t hash, uint64_t kind, uint32_t permille)
{
    uint64_t state = hash ^ (kind << 32);
    return permille > 0 && virtual_random(&state) % 1000 < permille;
}

static void fail_as_set(struct virtual_making *m)
{
    int status = (int)m->v->error_status;
    const char *type = status == 429 ? "requests" : status >= 500 ? "server_error" : "invalid_request_error";
    virtual_error(m, status, type, status == 429 ? "rate_limit_exceeded" : "virtual_failure",
                  "The virtual provider was told to fail this request.");
}

void virtual_answer(const struct conf_virtual *v, const struct virtual_call *call, struct virtual_script *out)
{
    struct virtual_making m = {.v = v, .call = call, .script = out, .at_ms = v->latency_ms};
    m.hash = mix(mix(mix(UINT64_C(0xcbf29ce484222325), call->method), call->path), call->body);
    arena_init(&m.arena);
    if (drawn(m.hash, 1, v->hang_permille)) {
        out->end = VIRTUAL_HANG;
    } else if (drawn(m.hash, 2, v->error_permille)) {
        fail_as_set(&m);
    } else if (!read_body(&m)) {
        virtual_error(&m, 400, "invalid_request_error", "invalid_json", "The body is no JSON object.");
    } else {
        if (drawn(m.hash, 3, v->cut_permille))
            out->end = VIRTUAL_CUT;
        if (!v->replay || !replay(&m))
            dispatch(&m);
    }
    arena_fini(&m.arena);
}

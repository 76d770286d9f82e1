/* Google tells its sources beside the text, by bytes of it, and again in each chunk of a stream. Run by
 * workers. */
#include "gemini_citations.h"

#include "google_json.h"
#include "json_write.h"

enum { MAX_SIZE = 1024 * 1024 /* of a chunk's citations */ };

struct source {
    struct str url, title;
};

static uint32_t characters(const char *p, size_t n)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (p[i] & 0xC0) != 0x80;
    return count;
}

/* Google counts bytes, OpenAI characters. Each citation may be anywhere in a long text: how many characters
 * stand before a place is counted once for every GEMINI_STRIDE bytes. */
static int64_t character(struct gemini_said *c, struct json_value bytes)
{
    const struct buf *text = &c->text;
    int64_t n;
    if (json_int(bytes, &n) != 0 || n < 0)
        return 0;
    if (text->n == 0)
        return n;
    size_t to = (size_t)n < text->n ? (size_t)n : text->n;
    for (; (c->n_before + 1) * GEMINI_STRIDE <= to; c->n_before++)
        c->before[c->n_before + 1] =
            c->before[c->n_before] + characters(text->p + c->n_before * GEMINI_STRIDE, GEMINI_STRIDE);
    size_t known = to / GEMINI_STRIDE;
    return c->before[known] + characters(text->p + known * GEMINI_STRIDE, to - known * GEMINI_STRIDE) +
           (n - (int64_t)to);
}

/* Once each: chunks repeat what earlier ones told. */
static bool is_new(struct gemini_said *c, struct str citation)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < citation.n; i++)
        h = (h ^ (unsigned char)citation.p[i]) * UINT64_C(1099511628211);
    for (size_t i = 0; i < c->n_cited; i++)
        if (c->cited[i] == h)
            return false;
    if (c->n_cited == GEMINI_MAX_CITATIONS)
        return false;
    c->cited[c->n_cited++] = h;
    return true;
}

static void put_citation(struct json_writer *w, struct gemini_said *c, const struct source *s, int64_t from,
                         int64_t to)
{
    size_t before = w->out->n;
    bool comma = w->comma;
    json_open(w, '{');
    json_member_strz(w, "type", "url_citation");
    json_member_open(w, "url_citation", '{');
    json_member_i64(w, "start_index", from);
    json_member_i64(w, "end_index", to);
    json_member_str(w, "url", s->url);
    json_member_str(w, "title", s->title);
    json_close(w, '}');
    json_close(w, '}');
    size_t front = comma ? before + 1 : before;
    if (!w->out->full && is_new(c, (struct str){w->out->p + front, w->out->n - front}))
        return;
    w->out->n = before;
    w->comma = comma;
}

static size_t read_sources(struct json_value chunks, struct source out[GEMINI_MAX_CITATIONS], struct arena *a)
{
    static const char *const kinds[] = {"web", "retrievedContext", "maps", "image"};
    struct json_value chunk, v[4];
    size_t n = 0;
    for (size_t at = 0; n < GEMINI_MAX_CITATIONS && google_next(chunks, &at, &chunk) == 1; n++) {
        google_fields(chunk, kinds, 4, v, NULL, NULL);
        const struct json_value *of = v;
        while (of < v + 3 && of->type != JSON_OBJECT)
            of++;
        out[n].url = json_text(google_field(*of, "uri"), a);
        out[n].title = json_text(google_field(*of, "title"), a);
    }
    return n;
}

static void put_supports(struct json_writer *w, struct gemini_said *c, struct json_value supports,
                         const struct source sources[], size_t n)
{
    struct json_value support, index;
    for (size_t at = 0; google_next(supports, &at, &support) == 1 && !w->out->full;) {
        struct json_value segment = google_field(support, "segment"),
                          indices = google_field(support, "groundingChunkIndices");
        int64_t from = character(c, google_field(segment, "startIndex")),
                to = character(c, google_field(segment, "endIndex")), k;
        for (size_t in = 0; json_next(indices.raw, &in, NULL, &index) == 1;)
            if (json_int(index, &k) == 0 && k >= 0 && (size_t)k < n && sources[k].url.n > 0)
                put_citation(w, c, &sources[k], from, to);
    }
}

static void put_grounding(struct json_writer *w, struct gemini_said *c, struct json_value metadata,
                          struct arena *a)
{
    struct source *sources = arena_alloc(a, GEMINI_MAX_CITATIONS * sizeof(*sources));
    size_t n = read_sources(google_field(metadata, "groundingChunks"), sources, a);
    struct json_value supports = google_field(metadata, "groundingSupports");
    put_supports(w, c, supports, sources, n);
    for (size_t i = 0; i < n && supports.count == 0; i++)
        if (sources[i].url.n > 0)
            put_citation(w, c, &sources[i], 0, 0);
}

static void put_cited(struct json_writer *w, struct gemini_said *c, struct json_value metadata,
                      struct arena *a)
{
    struct json_value list = google_field(metadata, "citations"), v;
    if (list.type == JSON_ABSENT)
        list = google_field(metadata, "citationSources");
    for (size_t at = 0; google_next(list, &at, &v) == 1 && !w->out->full;) {
        struct source s = {json_text(google_field(v, "uri"), a), json_text(google_field(v, "title"), a)};
        if (s.url.n > 0)
            put_citation(w, c, &s, character(c, google_field(v, "startIndex")),
                         character(c, google_field(v, "endIndex")));
    }
}

struct str gemini_new_citations(struct gemini_said *s, struct json_value grounding,
                                struct json_value citations, struct arena *a)
{
    size_t known = s->n_cited;
    struct str new = STR_NULL;
    struct buf b;
    buf_init(&b, MAX_SIZE);
    struct json_writer w = json_writer(&b);
    json_open(&w, '[');
    put_grounding(&w, s, grounding, a);
    put_cited(&w, s, citations, a);
    json_close(&w, ']');
    if (!b.full && s->n_cited > known)
        new = arena_copy(a, buf_str(&b));
    buf_free(&b);
    return new;
}

/* Embeddings at Vertex AI, in two ways: the older models by :predict, with counts of their tokens beside each
 * vector; newer ones by :embedContent, one text a call. Run by workers. */
#include "vertex.h"

#include "gemini_chat.h"
#include "json_write.h"

/* As Google's own SDK tells them apart. */
static bool by_content(struct str model)
{
    const char *slash = model.n > 0 ? memrchr(model.p, '/', model.n) : NULL;
    struct str name = slash ? (struct str){slash + 1, model.n - (size_t)(slash + 1 - model.p)} : model;
    return (str_starts(name, STR("gemini-embedding")) && !str_starts(name, STR("gemini-embedding-001"))) ||
           str_has(name, "maas");
}

static void put_predict(struct json_writer *w, const struct embed_request *in, struct arena *a)
{
    json_member_open(w, "instances", '[');
    for (size_t i = 0; i < in->n_texts; i++) {
        json_open(w, '{');
        json_member_str(w, "content", in->texts[i]);
        if (in->task.n > 0)
            json_member_str(w, "task_type", gemini_task(in->task, a));
        json_opt_str(w, "title", in->title);
        json_close(w, '}');
    }
    json_close(w, ']');
    if (in->dimensions > 0) {
        json_member_open(w, "parameters", '{');
        json_member_i64(w, "outputDimensionality", in->dimensions);
        json_close(w, '}');
    }
}

int vertex_write_embed(struct chat_call *c, const struct embed_request *in)
{
    bool content = by_content(c->model);
    struct buf *b = &c->call->room;
    struct json_writer w = json_writer(b);
    if (in->n_texts == 0)
        return chat_refuse(c, "input", "This provider takes texts to embed, not token numbers.");
    if (content && in->n_texts > 1)
        return chat_refuse(c, "input", "This model takes one text a call.");
    if (vertex_path(c->conf, c->model, content ? STR("embedContent") : STR("predict"), c->arena,
                    &c->call->path, c->f) != 0)
        return -1;
    json_open(&w, '{');
    if (content)
        gemini_put_embed(&w, in, in->texts[0], c->arena);
    else
        put_predict(&w, in, c->arena);
    json_close(&w, '}');
    c->call->body = buf_str(b);
    c->call->headers = STR("content-type: application/json\r\n");
    return 0;
}

/* ---- answers */

static int bad(struct chat_reader *rd)
{
    *rd->f = (struct failure){.status = 502,
                              .type = "server_error",
                              .code = "upstream_malformed",
                              .message = STR("The provider's embeddings can't be read.")};
    return -1;
}

static uint64_t count_of(struct json_value v)
{
    int64_t n;
    return v.type == JSON_NUMBER && json_int(v, &n) == 0 && n > 0 && n <= INT32_MAX ? (uint64_t)n : 0;
}

static int take_vector(struct chat_reader *rd, struct json_value values, size_t most,
                       struct embed_answer *out)
{
    if (values.type != JSON_ARRAY || out->n_vectors == most)
        return bad(rd);
    out->vectors[out->n_vectors++] = (struct embed_vector){.json = values.raw};
    return 0;
}

static int read_predictions(struct chat_reader *rd, struct json_value list, size_t most,
                            struct embed_answer *out)
{
    struct json_value one;
    for (size_t at = 0; json_next(list.raw, &at, NULL, &one) == 1;) {
        struct json_value e = json_member(one, "embeddings"), statistics = json_member(e, "statistics");
        struct json_value tokens = json_member(statistics, "token_count");
        if (take_vector(rd, json_member(e, "values"), most, out) != 0)
            return -1;
        out->input_tokens += count_of(tokens);
        out->usage_known |= tokens.type == JSON_NUMBER;
    }
    return 0;
}

int vertex_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out)
{
    static const char *const paths[] = {"predictions", "embedding.values", "usageMetadata.promptTokenCount"};
    enum { PREDICTIONS, VALUES, TOKENS };
    struct json_value v[3];
    if (json_scan(body, paths, 3, v, NULL) != 0)
        return bad(rd);
    out->vectors = arena_alloc(rd->arena, (in->n_texts + 1) * sizeof(*out->vectors));
    out->input_tokens = count_of(v[TOKENS]);
    out->usage_known = v[TOKENS].type == JSON_NUMBER;
    if (v[PREDICTIONS].type == JSON_ARRAY) {
        if (read_predictions(rd, v[PREDICTIONS], in->n_texts, out) != 0)
            return -1;
    } else if (take_vector(rd, v[VALUES], 1, out) != 0) {
        return -1;
    }
    return out->n_vectors == in->n_texts ? 0 : bad(rd);
}

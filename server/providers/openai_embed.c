/* Embeddings of OpenAI and of those who speak its dialect, for callers of another one, or of another model's.
 * Run by workers. */
#include "openai.h"

#include "json_write.h"

#include <string.h>

static void put_input(struct json_writer *j, const struct embed_request *in)
{
    if (in->tokens.n > 0) {
        json_member_raw(j, "input", in->tokens);
        return;
    }
    json_member_open(j, "input", '[');
    for (size_t i = 0; i < in->n_texts; i++)
        json_str(j, in->texts[i]);
    json_close(j, ']');
}

int openai_write_embed_body(struct chat_call *c, const struct embed_request *in)
{
    bool mistral = openai_deviations(c->conf) & PROVIDER_RANDOM_SEED;
    struct json_writer j = json_writer(&c->call->room);
    if (in->tokens.n > 0 && mistral)
        return chat_refuse(c, "input", "%s takes texts to embed, not tokens.", c->conf->name);
    json_open(&j, '{');
    json_member_str(&j, "model", c->model);
    put_input(&j, in);
    json_member_strz(&j, "encoding_format", in->base64 ? "base64" : "float");
    if (in->dimensions > 0)
        json_member_i64(&j, mistral ? "output_dimension" : "dimensions", in->dimensions);
    if (!mistral)
        json_opt_str(&j, "user", in->user);
    json_close(&j, '}');
    c->call->body = buf_str(&c->call->room);
    c->call->headers = STR("content-type: application/json\r\n");
    return 0;
}

int openai_write_embed(struct chat_call *c, const struct embed_request *in)
{
    if (openai_path(c->arena, c->conf, STR("/embeddings"), &c->call->path) != 0)
        return chat_refuse(c, NULL, "The provider's base URL makes no path.");
    return openai_write_embed_body(c, in);
}

/* One element of data; -1: it has no vector, or its index is none. */
static int take_vector(struct chat_reader *rd, struct json_value v, uint32_t place, struct embed_answer *out)
{
    struct json_value vector = json_member(v, "embedding");
    int64_t index = place;
    if (json_int(json_member(v, "index"), &index) != 0)
        index = place;
    if (index < 0 || (uint64_t)index >= out->n_vectors)
        return -1;
    struct embed_vector *to = &out->vectors[index];
    if (to->json.n > 0 || to->base64.n > 0)
        return -1; /* twice */
    if (vector.type == JSON_ARRAY)
        to->json = vector.raw;
    else if (vector.type == JSON_STRING)
        to->base64 = json_text(vector, rd->arena);
    return to->json.n > 0 || to->base64.n > 0 ? 0 : -1;
}

int openai_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out)
{
    static const char *const paths[] = {"data", "model", "usage", "error"};
    enum { DATA, MODEL, USAGE, ERROR };
    struct json_value v[4], item;
    struct usage_tokens u;
    size_t next = 0;
    bool valid = json_scan(body, paths, 4, v, NULL) == 0;
    if (valid && openai_is_error(v[ERROR]))
        return openai_read_error(rd->r, 502, NULL, body, rd->f), -1;
    if (!valid || v[DATA].type != JSON_ARRAY || v[DATA].count == 0 ||
        (in->tokens.n == 0 && v[DATA].count != in->n_texts))
        return openai_bad_answer(rd->r, rd->f,
                                 "The provider's answer holds other embeddings than were asked for."),
               -1;
    out->n_vectors = v[DATA].count;
    out->vectors = arena_alloc(rd->arena, out->n_vectors * sizeof(*out->vectors));
    memset(out->vectors, 0, out->n_vectors * sizeof(*out->vectors));
    for (uint32_t i = 0; json_next(v[DATA].raw, &next, NULL, &item) == 1; i++)
        if (take_vector(rd, item, i, out) != 0)
            return openai_bad_answer(rd->r, rd->f, "The provider's answer has an embedding that is none."),
                   -1;
    out->model = json_text(v[MODEL], rd->arena);
    out->usage_known = openai_usage(v[USAGE], &u);
    out->input_tokens = out->usage_known ? u.input : 0;
    return 0;
}

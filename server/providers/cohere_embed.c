/* Cohere's /v2/embed. Run by workers. */
#include "cohere.h"

#include "json_write.h"

enum { MAX_TEXTS = 96 };

/* What the texts are for; Cohere wants to know, other vendors don't say. */
static const char *input_type(struct str task)
{
    static const char *const types[] = {"search_document", "search_query", "classification", "clustering"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (str_eq(task, str_of(types[i])))
            return types[i];
    return types[0];
}

int cohere_write_embed(struct chat_call *c, const struct embed_request *in)
{
    struct json_writer j = json_writer(&c->call->room);
    if (in->tokens.n > 0)
        return chat_refuse(c, "input", "Cohere's embeddings are made of texts, not of token numbers.");
    if (in->n_texts > MAX_TEXTS)
        return chat_refuse(c, "input", "Cohere embeds at most %d texts in one call, not %zu.", MAX_TEXTS,
                           in->n_texts);
    json_open(&j, '{');
    json_member_str(&j, "model", c->model);
    json_member_strz(&j, "input_type", input_type(in->task));
    json_member_raw(&j, "embedding_types", STR("[\"float\"]"));
    if (in->dimensions > 0)
        json_member_i64(&j, "output_dimension", in->dimensions);
    json_member_open(&j, "texts", '[');
    for (size_t i = 0; i < in->n_texts; i++)
        json_str(&j, in->texts[i]);
    json_close(&j, ']');
    json_close(&j, '}');
    return cohere_settle_call(c, "embed");
}

/* Older ones are an array themselves. */
static struct json_value floats_of(struct json_value embeddings)
{
    return embeddings.type == JSON_ARRAY ? embeddings : json_member(embeddings, "float");
}

int cohere_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out)
{
    static const char *const paths[] = {"embeddings", "meta", "message"};
    enum { EMBEDDINGS, META, MESSAGE, COUNT };
    struct json_value v[COUNT], one;
    struct usage_tokens u = {0};
    size_t n = 0;
    if (json_scan(body, paths, COUNT, v, NULL) != 0)
        return cohere_malformed(rd, "The provider's answer is no valid JSON object.");
    if (v[MESSAGE].type == JSON_STRING) {
        cohere_read_error(rd->r, 502, NULL, body, rd->f);
        return -1;
    }
    struct json_value list = floats_of(v[EMBEDDINGS]);
    if (list.type != JSON_ARRAY || list.count != in->n_texts)
        return cohere_malformed(rd, "The provider's answer has not as many embeddings as there are texts.");
    out->vectors = arena_alloc(rd->arena, list.count * sizeof(*out->vectors) + 1);
    for (size_t at = 0; json_next(list.raw, &at, NULL, &one) == 1;) {
        if (one.type != JSON_ARRAY || n >= list.count)
            return cohere_malformed(rd, "The provider's answer has an embedding that is no array.");
        out->vectors[n++] = (struct embed_vector){.json = one.raw};
    }
    out->n_vectors = n;
    out->usage_known = cohere_usage(v[META], &u);
    out->input_tokens = u.input;
    return 0;
}

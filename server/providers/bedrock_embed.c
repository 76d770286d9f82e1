/* Embeddings by Bedrock's invoke endpoint, in each maker's own words: Amazon's Titan and Nova take one text a
 * call, Cohere's models many. Run by workers. */
#include "bedrock.h"

enum { COHERE_MOST = 96 };

/* ---- requests */

/* The caller's word for what the vectors are for, as Cohere says it. */
static struct str cohere_task(struct str task)
{
    static const struct {
        struct str caller, cohere;
    } list[] = {
        {STR("RETRIEVAL_QUERY"), STR("search_query")},   {STR("QUESTION_ANSWERING"), STR("search_query")},
        {STR("FACT_VERIFICATION"), STR("search_query")}, {STR("CODE_RETRIEVAL_QUERY"), STR("search_query")},
        {STR("search_query"), STR("search_query")},      {STR("CLASSIFICATION"), STR("classification")},
        {STR("CLUSTERING"), STR("clustering")},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (str_ieq(task, list[i].caller))
            return list[i].cohere;
    return STR("search_document");
}

static int write_titan(struct chat_call *c, const struct embed_request *in, struct json_writer *w)
{
    bool sized = !str_has(c->model, "embed-text-v1") && !str_has(c->model, "g1-text");
    if (in->dimensions > 0 && !sized)
        return chat_refuse(c, in->dimensions_name, "This model's vectors have one size only: leave %s out.",
                           in->dimensions_name ? in->dimensions_name : "the dimensions");
    json_member_str(w, "inputText", in->texts[0]);
    if (in->dimensions > 0)
        json_member_i64(w, "dimensions", in->dimensions);
    return 0;
}

static int write_nova(struct chat_call *c, const struct embed_request *in, struct json_writer *w)
{
    (void)c;
    bool query = str_eq(cohere_task(in->task), STR("search_query"));
    json_member_str(w, "taskType", STR("SINGLE_EMBEDDING"));
    json_member_open(w, "singleEmbeddingParams", '{');
    json_member_str(w, "embeddingPurpose", query ? STR("TEXT_RETRIEVAL") : STR("GENERIC_INDEX"));
    if (in->dimensions > 0)
        json_member_i64(w, "embeddingDimension", in->dimensions);
    json_member_open(w, "text", '{');
    json_member_str(w, "truncationMode", STR("END"));
    json_member_str(w, "value", in->texts[0]);
    json_close(w, '}');
    json_close(w, '}');
    return 0;
}

static int write_cohere(struct chat_call *c, const struct embed_request *in, struct json_writer *w)
{
    bool sized = str_has(c->model, "embed-v4");
    if (in->dimensions > 0 && !sized)
        return chat_refuse(c, in->dimensions_name, "This model's vectors have one size only: leave %s out.",
                           in->dimensions_name ? in->dimensions_name : "the dimensions");
    json_member_open(w, "texts", '[');
    for (size_t i = 0; i < in->n_texts; i++)
        json_str(w, in->texts[i]);
    json_close(w, ']');
    json_member_str(w, "input_type", cohere_task(in->task));
    if (in->dimensions > 0)
        json_member_i64(w, "output_dimension", in->dimensions);
    return 0;
}

int bedrock_write_embed(struct chat_call *c, const struct embed_request *in)
{
    struct json_writer w = json_writer(&c->call->room);
    struct bedrock_model m = bedrock_model(c->model);
    bool cohere = m.family == BEDROCK_COHERE;
    size_t most = cohere ? COHERE_MOST : 1;
    if (in->tokens.n > 0 || in->n_texts == 0)
        return chat_refuse(c, "input", "Bedrock's embeddings are made of texts, not of token numbers.");
    if (!cohere && m.family != BEDROCK_TITAN && m.family != BEDROCK_NOVA)
        return chat_refuse(
            c, "model", "Embeddings on Bedrock are had from the models of Amazon (Titan, Nova) and Cohere.");
    if (in->n_texts > most)
        return chat_refuse(c, "input", "This model takes at most %zu text%s a call, these are %zu.", most,
                           most == 1 ? "" : "s", in->n_texts);
    json_open(&w, '{');
    if ((cohere ? write_cohere : m.family == BEDROCK_TITAN ? write_titan : write_nova)(c, in, &w) != 0)
        return -1;
    json_close(&w, '}');
    if (c->call->room.full)
        return chat_refuse(c, NULL, "The request is too large for Bedrock.");
    c->call->body = buf_str(&c->call->room);
    c->call->path = bedrock_path(c, c->model, "invoke");
    c->call->headers = STR("content-type: application/json\r\naccept: application/json\r\n");
    return 0;
}

/* ---- answers */

static int bad_answer(struct chat_reader *rd)
{
    *rd->f = (struct failure){.status = 502,
                              .type = "server_error",
                              .code = "upstream_malformed",
                              .message = STR("The provider's answer holds no embeddings.")};
    return -1;
}

static bool is_vector(struct json_value v)
{
    struct json_value n;
    size_t at = 0;
    if (v.type != JSON_ARRAY || v.count == 0)
        return false;
    while (json_next(v.raw, &at, NULL, &n) == 1)
        if (n.type != JSON_NUMBER)
            return false;
    return true;
}

/* [[…],…] of Cohere, [{"embedding":[…]},…] of Nova. */
static bool take_vectors(struct chat_reader *rd, struct json_value list, struct embed_answer *out)
{
    struct json_value v;
    size_t at = 0, n = 0;
    if (list.type != JSON_ARRAY || list.count == 0)
        return false;
    out->vectors = arena_alloc(rd->arena, list.count * sizeof(*out->vectors));
    while (json_next(list.raw, &at, NULL, &v) == 1 && n < list.count) {
        struct json_value vector = v.type == JSON_OBJECT ? json_member(v, "embedding") : v;
        if (!is_vector(vector))
            return false;
        out->vectors[n++] = (struct embed_vector){.json = vector.raw};
    }
    out->n_vectors = n;
    return n > 0;
}

int bedrock_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                       struct embed_answer *out)
{
    static const char *const paths[] = {"embedding", "embeddings", "embeddings.float", "inputTextTokenCount",
                                        "inputTokenCount"};
    enum { ONE, MANY, FLOATS, TOKENS, TOKENS_2, COUNT };
    struct json_value v[COUNT];
    int64_t n;
    if (json_scan(body, paths, COUNT, v, NULL) != 0)
        return bad_answer(rd);
    if (is_vector(v[ONE])) {
        out->vectors = arena_alloc(rd->arena, sizeof(*out->vectors));
        out->vectors[0] = (struct embed_vector){.json = v[ONE].raw};
        out->n_vectors = 1;
    } else if (!take_vectors(rd, v[MANY].type == JSON_ARRAY ? v[MANY] : v[FLOATS], out))
        return bad_answer(rd);
    if (out->n_vectors != in->n_texts)
        return bad_answer(rd);
    if (json_int(v[v[TOKENS].type == JSON_NUMBER ? TOKENS : TOKENS_2], &n) == 0 && n >= 0 && n <= INT32_MAX) {
        out->input_tokens = (uint64_t)n;
        out->usage_known = true;
    }
    return 0;
}

/* Embeddings in neutral form: OpenAI's /v1/embeddings and Google's :embedContent, :batchEmbedContents. */
#ifndef SERVER_EMBED_DIALECT_H
#define SERVER_EMBED_DIALECT_H

#include "buf.h"
#include "chat.h"
#include "request.h"

struct embed_request {
    struct str *texts; /* decoded */
    size_t n_texts;
    struct str
        tokens; /* JSON: input of token numbers ([1,2] or [[1],[2]]): only OpenAI's own can take them */
    uint32_t dimensions;         /* 0: not given */
    const char *dimensions_name; /* as the caller calls it */
    bool base64;                 /* the caller wants base64 of little-endian float32 */
    bool batch;                  /* Google: :batchEmbedContents */
    struct str task;             /* Google's taskType, Cohere's input_type as search_document | search_query |
                                    classification | clustering | …; empty: not given */
    struct str user, title;
    struct chat_extra *extras;
    size_t n_extras;
};

struct embed_vector {
    struct str json;   /* array of numbers, as the provider wrote it; or … */
    struct str base64; /* … base64 of little-endian float32 */
};

struct embed_answer {
    struct embed_vector *vectors; /* in the order of the inputs */
    size_t n_vectors;
    struct str model;
    uint64_t input_tokens;
    bool usage_known;
};

struct embed_dialect {
    /* r->body (validated JSON) → *out (zeroed before), memory of the request's arena. -1: *f, as the vendor
     * would say it. */
    int (*read)(struct request *r, struct embed_request *out, struct failure *f);
    /* The answer as JSON, added to *out. -1: a provider's vector is none. */
    int (*write)(struct request *r, const struct embed_request *in, const struct embed_answer *a,
                 struct buf *out);
};

extern const struct embed_dialect dialect_openai_embeddings;
extern const struct embed_dialect dialect_embed_content;

/* NULL: no endpoint of embeddings. */
const struct embed_dialect *embed_dialect_of(enum endpoint e);

#endif

/* Which dialect an embeddings endpoint's callers speak. Run by workers only. */
#include "embed_dialect.h"

const struct embed_dialect *embed_dialect_of(enum endpoint e)
{
    switch (e) {
    case EP_EMBEDDINGS:
        return &dialect_openai_embeddings;
    case EP_EMBED_CONTENT:
        return &dialect_embed_content;
    default:
        return NULL;
    }
}

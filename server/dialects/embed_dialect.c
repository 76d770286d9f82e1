/* Which dialect an embeddings endpoint's callers speak. */
#include "embed_dialect.h"

const struct embed_dialect *embed_dialect_of(enum endpoint e)
{
    (void)e;
    return NULL;
}

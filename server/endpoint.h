/* The data plane's endpoints: what a method and path mean. */
#ifndef SERVER_ENDPOINT_H
#define SERVER_ENDPOINT_H

#include "str.h"

/* Numbers are stored in usage rows: append only. */
enum endpoint {
    EP_NONE,
    EP_CHAT,
    EP_COMPLETIONS,
    EP_EMBEDDINGS,
    EP_MODELS,
    EP_MODEL,
    EP_RESPONSES,
    EP_MODERATIONS,
    EP_IMAGES,
    EP_AUDIO,
    EP_RERANK,
    EP_FILES,
    EP_BATCHES,
    EP_NATIVE, /* /{provider}/… */
    EP_HEALTHZ,
    EP_READYZ,
    EP_MESSAGES,      /* Anthropic's */
    EP_COUNT_TOKENS,  /* Anthropic's /v1/messages/count_tokens */
    EP_GENERATE,      /* Google's :generateContent and :streamGenerateContent */
    EP_COUNT_CONTENT, /* Google's :countTokens */
    EP_EMBED_CONTENT, /* Google's :embedContent and :batchEmbedContents */
};

enum dialect { DIALECT_OPENAI, DIALECT_ANTHROPIC, DIALECT_GOOGLE };

struct endpoint_match {
    enum endpoint endpoint;
    enum dialect dialect; /* of errors too, also where nothing matched (by path prefix) */
    struct str rest; /* path behind the provider's base URL for passing through ("/files/abc"); EP_MODEL: the
                        id; EP_NATIVE: what follows /{provider} */
    struct str provider; /* EP_NATIVE: its name */
    bool wrong_method;   /* the path exists, not with this method: 405 */
    const char *allow;   /* … but with these ("GET, POST") */
};

/* EP_NONE: 404 (or 405 with wrong_method). Paths with "..", "//", "%2f" or "%00" never match. */
struct endpoint_match endpoint_match(struct str method, struct str path);
/* Its answers tell token counts. */
bool endpoint_is_metered(enum endpoint e);
const char *endpoint_name(enum endpoint e);

#endif

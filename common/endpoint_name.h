/* The data plane's endpoints, as usage rows hold them and as people are told them. What leads to which is
 * server/endpoint.h's. */
#ifndef COMMON_ENDPOINT_NAME_H
#define COMMON_ENDPOINT_NAME_H

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

/* "chat", "native" …; admin/openapi.json lists those that rows can have. "unknown" for a number that is none.
 */
const char *endpoint_name(enum endpoint e);

#endif

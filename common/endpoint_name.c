#include "endpoint_name.h"

#include <stddef.h>

const char *endpoint_name(enum endpoint e)
{
    static const char *const names[] = {
        [EP_NONE] = "none",
        [EP_CHAT] = "chat",
        [EP_COMPLETIONS] = "completions",
        [EP_EMBEDDINGS] = "embeddings",
        [EP_MODELS] = "models",
        [EP_MODEL] = "model",
        [EP_RESPONSES] = "responses",
        [EP_MODERATIONS] = "moderations",
        [EP_IMAGES] = "images",
        [EP_AUDIO] = "audio",
        [EP_RERANK] = "rerank",
        [EP_FILES] = "files",
        [EP_BATCHES] = "batches",
        [EP_NATIVE] = "native",
        [EP_HEALTHZ] = "healthz",
        [EP_READYZ] = "readyz",
        [EP_MESSAGES] = "messages",
        [EP_COUNT_TOKENS] = "count_tokens",
        [EP_GENERATE] = "generate_content",
        [EP_COUNT_CONTENT] = "count_content",
        [EP_EMBED_CONTENT] = "embed_content",
    };
    return (size_t)e < sizeof(names) / sizeof(names[0]) ? names[e] : "unknown";
}

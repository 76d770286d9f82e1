/* The dialects by the type that a provider has in the configuration: vendors with a dialect of their own are
 * listed here, whoever speaks OpenAI's is a line in common/provider_types.c. */
#include "provider.h"

#include "provider_types.h"

const struct provider *provider_find(const char *type)
{
    static const struct {
        const char *type;
        const struct provider *dialect;
    } list[] = {
        {"azure", &provider_azure},   {"anthropic", &provider_anthropic}, {"gemini", &provider_gemini},
        {"vertex", &provider_vertex}, {"bedrock", &provider_bedrock},     {"cohere", &provider_cohere},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (strcmp(type, list[i].type) == 0)
            return list[i].dialect;
    const struct provider_type *t = provider_type(type);
    return t && t->openai ? &provider_openai : NULL; /* the built-in virtual one speaks it, too */
}

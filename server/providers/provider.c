/* The dialects by the type that a provider has in the configuration. */
#include "provider.h"

const struct provider *provider_find(const char *type)
{
    static const struct {
        const char *type;
        const struct provider *dialect;
    } list[] = {
        {"openai", &provider_openai}, {"virtual", &provider_openai}, /* the built-in one speaks it, too */
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (strcmp(type, list[i].type) == 0)
            return list[i].dialect;
    return NULL;
}

/* Comes with its own commit. */
#include "provider.h"

const struct provider provider_anthropic = {.type = "anthropic"};

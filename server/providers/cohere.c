/* Comes with its own commit. */
#include "provider.h"

const struct provider provider_cohere = {.type = "cohere"};

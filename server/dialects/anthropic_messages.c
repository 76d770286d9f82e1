/* Comes with its own commit. */
#include "chat_dialect.h"

const struct chat_dialect dialect_messages = {.name = "messages"};

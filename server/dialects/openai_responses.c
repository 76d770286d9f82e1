/* OpenAI's Responses dialect for callers of /v1/responses whose provider has no such endpoint. Stateless:
 * what would need something stored is refused. Run by workers only. */
#include "openai_responses.h"

const struct chat_dialect dialect_responses = {
    .name = "responses",
    .read = responses_read,
    .write = responses_write,
    .begin = responses_begin,
    .delta = responses_delta,
    .end = responses_end,
    .fail = responses_fail,
};

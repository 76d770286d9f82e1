/* Token estimates of what a request will cost, for reservations: settled by what it did cost. */
#ifndef SERVER_ESTIMATE_H
#define SERVER_ESTIMATE_H

#include "str.h"

/* Four bytes a token; a run of at least 8 KB of base64 (an image, audio, a file) counts as a flat 1,000
 * tokens instead of its bytes. */
uint64_t estimate_prompt(struct str body);

#endif

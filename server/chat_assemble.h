/* Makes one complete JSON answer from the events of a streamed one (chat.completion.chunk, text_completion),
 * so that a streamed answer can be cached and answer an unstreamed request. Costs a JSON tree an event:
 * used only where the answer is to be cached (request.h: cache_store). */
#ifndef SERVER_CHAT_ASSEMBLE_H
#define SERVER_CHAT_ASSEMBLE_H

#include "buf.h"
#include "str.h"

struct chat_assemble;

/* Gives up (and frees what it holds) once the answer would be larger than max_bytes. */
struct chat_assemble *chat_assemble_new(size_t max_bytes);
void chat_assemble_free(struct chat_assemble **a);
/* The data of one event, "[DONE]" included. 0, or -1: given up (too large, an error event, not understood);
 * further calls do nothing. */
int chat_assemble_feed(struct chat_assemble *a, struct str data);
/* Adds the JSON answer to out. -1 unless it is complete: every choice has its finish_reason and [DONE] came.
 */
int chat_assemble_finish(struct chat_assemble *a, struct buf *out);

#endif

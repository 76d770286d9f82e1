/* OpenAI's Chat Completions as a caller's dialect: openai_chat.c reads requests, openai_chat_write.c writes
 * answers and streams. For these two only. */
#ifndef SERVER_DIALECTS_OPENAI_CHAT_DIALECT_H
#define SERVER_DIALECTS_OPENAI_CHAT_DIALECT_H

#include "chat_dialect.h"

/* The table's functions, see chat_dialect.h. */
void openai_chat_write(struct chat_writer *w, const struct chat_answer *a, struct buf *out);
void openai_chat_begin(struct chat_writer *w, struct buf *out);
void openai_chat_delta(struct chat_writer *w, const struct chat_delta *d, struct buf *out);
void openai_chat_end(struct chat_writer *w, struct buf *out);
void openai_chat_fail(struct chat_writer *w, const struct failure *f, struct buf *out);

/* Signatures of thinking stand bare where Anthropic made them (as LiteLLM and others have it), else with
 * their maker's name beside them. "anthropic", "google", "openai"; NULL for SIGNER_NONE. */
const char *openai_chat_signer_name(enum chat_signer s);

#endif

/* For the files of the Messages dialect only. */
#ifndef SERVER_DIALECTS_ANTHROPIC_MESSAGES_H
#define SERVER_DIALECTS_ANTHROPIC_MESSAGES_H

#include "chat_dialect.h"

/* dialect_messages's functions. */
int anthropic_messages_read(struct request *r, struct chat_request *out, struct failure *f);
void anthropic_messages_begin(struct chat_writer *w, struct buf *out);
void anthropic_messages_delta(struct chat_writer *w, const struct chat_delta *d, struct buf *out);
void anthropic_messages_end(struct chat_writer *w, struct buf *out);
void anthropic_messages_fail(struct chat_writer *w, const struct failure *f, struct buf *out);

/* A signature in a block whose maker is not Anthropic is carried behind its maker's name: "google:…",
 * "openai:…"; Anthropic's own, being base64, has no colon. */
struct str anthropic_messages_sign(struct str signature, enum chat_signer signer, struct arena *a);
/* The other way: *signature loses the name. */
enum chat_signer anthropic_messages_signer(struct str *signature);

/* What an answer and a stream's end have in common. */
struct json_writer;
const char *anthropic_messages_stop_reason(enum chat_finish finish, bool calls);
/* The object of a message's usage. */
void anthropic_messages_usage(struct json_writer *w, const struct usage_tokens *u);
/* "msg_…": the provider's, where it is one, else made up. */
struct str anthropic_messages_id(struct str given, struct arena *a);
/* A generated image as Markdown, which is what an answer's text can hold. */
struct str anthropic_messages_image(struct str url, struct str mime, struct str data, struct arena *a);
/* Annotations (OpenAI's form) as citations: of the first page named from *at on, which goes on behind it;
 * empty: no more. JSON. */
struct str anthropic_messages_citation(struct str annotations, size_t *at, struct arena *a);

#endif

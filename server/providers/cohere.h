/* What the files of Cohere's dialect share: cohere.c (the table, passing calls, errors), cohere_request.c and
 * cohere_answer.c (chat), cohere_embed.c. */
#ifndef SERVER_COHERE_H
#define SERVER_COHERE_H

#include "provider.h"

/* "/v2/chat" behind the base URL, which may have the "/v2" at its end already. -1: it can't be sent. */
int cohere_path(struct arena *a, const struct conf_provider *p, const char *method, struct str *path);
/* The call's path, headers and body, once call->room holds the body. */
int cohere_settle_call(struct chat_call *c, const char *method);

/* An answer's "usage": the tokens of the model; where it does not tell them, the billed ones. False: neither.
 */
bool cohere_usage(struct json_value usage, struct usage_tokens *out);
/* A number that is a count: whole, 0 to INT32_MAX. */
bool cohere_count(struct json_value v, uint64_t *out);
/* provider.read_error. */
void cohere_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f);
/* -1, with *rd->f. */
int cohere_malformed(struct chat_reader *rd, const char *message);

/* provider's functions of those names. */
int cohere_write_chat(struct chat_call *c);
int cohere_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out);
enum frame_result cohere_read_frame(struct chat_reader *rd, const struct chat_frame *frame);
bool cohere_whole(struct chat_reader *rd);

int cohere_write_embed(struct chat_call *c, const struct embed_request *in);
int cohere_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out);

#endif

/* Google's GenerateContent bodies, which the Gemini API and Vertex share: writing requests, reading answers,
 * streams and errors. Paths and credentials are gemini.c's and vertex.c's business. */
#ifndef SERVER_PROVIDERS_GEMINI_CHAT_H
#define SERVER_PROVIDERS_GEMINI_CHAT_H

#include "provider.h"

struct json_writer;

/* Before its third generation Gemini has no schema beside tools: there the answer is a tool of this name,
 * whose arguments are its text. */
#define GEMINI_JSON_TOOL "answer_in_json"

/* ---- writing (gemini_request.c) */

/* The neutral request as a GenerateContentRequest: call->body (in call->room) and its content-type line. 0,
 * or -1 with *c->f. The path is the caller's. */
int gemini_write_body(struct chat_call *c, bool vertex);
/* The same for :countTokens, which Vertex takes bare and the Gemini API inside of a generateContentRequest.
 */
int gemini_write_count_body(struct chat_call *c, bool vertex);

/* ---- models and names (gemini_model.c) */

/* The model's generation by its name: 20, 25, 30, 31 …; 0: no Gemini. "…-latest" is taken for the newest. */
unsigned gemini_generation(struct str model);

/* A tool's name as Google takes it (64 of a-z, A-Z, 0-9, _ . : and -, the first a letter or _), and the
 * caller's name for it again. */
struct str gemini_tool_name(struct str name, struct arena *a);
struct str gemini_own_name(const struct chat_request *in, struct str got, struct arena *a);

/* "models/NAME", as bodies name it. */
struct str gemini_full_name(struct str model, struct arena *a);
/* Adds a model's name as one segment of a path, what may not stand there percent-encoded. */
void gemini_put_name(struct buf *b, struct str model);

/* ---- reading (gemini_answer.c; gemini_error.c) */

/* provider.read_chat, .read_frame, .whole, .read_count and .read_error. */
int gemini_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out);
enum frame_result gemini_read_frame(struct chat_reader *rd, const struct chat_frame *frame);
/* True when every candidate has told why it ended; hands on those ends, which are held back until here since
 * a stream may go on behind one (tools that Google runs itself). */
bool gemini_whole(struct chat_reader *rd);
/* The answer to gemini_write_count_body. */
int gemini_read_count(struct chat_reader *rd, struct str body, uint64_t *tokens);
/* usageMetadata; false: it tells no counts. */
bool gemini_read_usage(struct json_value usage, struct usage_tokens *out);
void gemini_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f);

/* ---- embeddings (gemini.c) */

/* Google's taskType of embed_request.task. */
struct str gemini_task(struct str task, struct arena *a);
/* The members of one text's embedContent request, but for its model. */
void gemini_put_embed(struct json_writer *w, const struct embed_request *in, struct str text,
                      struct arena *a);
/* {"embeddings":[{"values":…}]} or {"embedding":{"values":…}}. */
int gemini_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out);

/* ---- passing (gemini.c) */

bool gemini_passes(const struct request *r, const struct conf_provider *p, struct str model);
/* The caller's body with the names of models in it ("model", generateContentRequest.model, requests[].model)
 * changed to this one's where they are another's; unchanged (r->body itself) where nothing is to change. -1:
 * it can't be done. */
int gemini_pass_body(struct request *r, struct str model, struct str *body);
/* Adds "?…": the caller's query, without a credential in it. */
void gemini_put_query(struct buf *b, const struct request *r);
/* The header lines of a call that passes. */
struct str gemini_pass_headers(struct request *r);
/* Also of a stream that is one JSON array (no alt=sse), when it is whole. */
int gemini_read_answer(struct request *r, struct str answer, struct failure *f);
struct stream_event gemini_read_event(struct request *r, const struct sse_event *ev);

#endif

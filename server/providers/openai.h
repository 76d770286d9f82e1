/* What OpenAI's dialect towards a provider is made of. For openai*.c and azure.c; its names of tools also for
 * others. */
#ifndef SERVER_PROVIDERS_OPENAI_H
#define SERVER_PROVIDERS_OPENAI_H

#include "provider.h"
#include "provider_types.h"

/* enum provider_deviation of this provider. */
unsigned openai_deviations(const struct conf_provider *p);
/* base URL and `rest` as a path. -1: they make none. */
int openai_path(struct arena *a, const struct conf_provider *p, struct str rest, struct str *path);

/* A usage object's counts, all vendors' names and their sums put right. False: it tells none. */
bool openai_usage(struct json_value usage, struct usage_tokens *out);

/* The member "error" tells of one: vendors have texts, objects and arrays there, or null and empty ones. */
bool openai_is_error(struct json_value v);
void openai_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                       struct failure *f);
/* A 502: the answer is not what it should be. */
void openai_bad_answer(struct request *r, struct failure *f, const char *message);

/* ---- passing (openai.c, openai_mend.c) */

/* build() with a path that is made already; the model is named in the body, or, with `in_path`, there. */
int openai_build(struct request *r, const struct conf_provider *p, struct str model, struct str path,
                 bool in_path, struct provider_call *call, struct failure *f);
int openai_read_answer(struct request *r, struct str answer, struct failure *f);
struct str openai_mend_answer(struct request *r, struct str answer);
struct stream_event openai_read_event(struct request *r, const struct sse_event *ev);

/* ---- translating (openai_request.c and what stands in its header, openai_answer.c, openai_embed.c) */

/* c->call's body and headers; the path is the caller's business. */
int openai_write_body(struct chat_call *c, unsigned deviations);
int openai_write_chat(struct chat_call *c);
int openai_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out);
enum frame_result openai_read_frame(struct chat_reader *rd, const struct chat_frame *frame);
bool openai_whole(struct chat_reader *rd);
int openai_write_embed_body(struct chat_call *c, const struct embed_request *in);
int openai_write_embed(struct chat_call *c, const struct embed_request *in);
int openai_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out);

/* A tool call's id as it is taken: at most 40 characters, for Mistral exactly 9 letters and digits. The same
 * id always becomes the same one. */
struct str openai_call_id(struct arena *a, struct str id, bool mistral);
/* A tool's name as OpenAI takes it: at most 64 of a-z, A-Z, 0-9, _ and -. */
struct str openai_tool_name(struct arena *a, struct str name);
/* The same for who takes names of up to `most` characters (64 or more). */
struct str openai_word_name(struct arena *a, struct str name, size_t most);
/* … and back: the request's own name for what the model calls. */
struct str openai_own_name(const struct chat_request *in, struct str got, struct arena *a);

#endif

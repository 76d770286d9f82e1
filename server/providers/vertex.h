/* Google Cloud's Vertex AI: its paths, and tokens for its service accounts. Shared by vertex*.c only. */
#ifndef SERVER_PROVIDERS_VERTEX_H
#define SERVER_PROVIDERS_VERTEX_H

#include "credential.h"
#include "provider.h"

/* ---- vertex_token.c */

/* credential_fetch: a token for the provider's service account (RFC 7523: a signed assertion for a token). */
int vertex_fetch_token(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                       int64_t *expires_s, struct error *err);
/* The project of the settings, or of the service account; empty: neither names one that may stand in a path.
 */
struct str vertex_project(const struct conf_provider *p, struct arena *a);

/* ---- vertex_path.c */

/* Who made a model, hence which language it speaks. */
enum vertex_family { VERTEX_GEMINI, VERTEX_CLAUDE, VERTEX_OPEN /* others, by an OpenAI-compatible door */ };

enum vertex_family vertex_family(struct str model);
/* "/v1/projects/…/models/{model}:{method}" (method with a query, if any). model: "gemini-2.5-pro",
 * "publishers/…/models/…", "endpoints/123" or a whole "projects/…"; for VERTEX_OPEN the door's path, where
 * method does not count. -1: *f (memory of a). */
int vertex_path(const struct conf_provider *p, struct str model, struct str method, struct arena *a,
                struct str *path, struct failure *f);

/* ---- vertex_embed.c */

int vertex_write_embed(struct chat_call *c, const struct embed_request *in);
int vertex_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                      struct embed_answer *out);

#endif

/* Reading Google's GenerateContentRequest into the neutral form, and what its answers' writer must know of
 * how foreign signatures travel. For the folder's own use. */
#ifndef SERVER_DIALECTS_GOOGLE_REQUEST_H
#define SERVER_DIALECTS_GOOGLE_REQUEST_H

#include "chat_dialect.h"

/* chat_dialect.read of dialect_generate_content. */
int google_read_request(struct request *r, struct chat_request *out, struct failure *f);

/* (google_signature.c) A signature as thoughtSignature: Google's own as it is, another's as base64 of
 * "anthropic:" or "openai:" and it; redacted thinking, of "anthropic-redacted:" and its data. */
struct str google_pack_signature(struct str signature, enum chat_signer signer, bool redacted,
                                 struct arena *a);
/* The way back. *redacted: what came was redacted thinking's data. */
enum chat_signer google_unpack_signature(struct str packed, struct str *signature, bool *redacted,
                                         struct arena *a);

#endif

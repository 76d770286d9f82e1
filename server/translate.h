/* Calls that have to be translated, inside of request_attempt.c and relay*.c: making the provider's request,
 * and telling its answer in the caller's dialect. */
#ifndef SERVER_TRANSLATE_H
#define SERVER_TRANSLATE_H

#include "relay.h"

/* Whether this target gets the caller's bytes as they are. */
bool translate_passes(const struct attempt *a, struct str model);
/* Makes a->call of the request. -1: *f says why it can't be expressed. */
int translate_call(struct attempt *a, size_t target, struct failure *f);
/* Parameters that were left out: told with the answer, or (-1, *f) refused where the model is strict. */
int translate_settle_dropped(struct attempt *a, struct str names, struct failure *f);
/* A call that is answered here, since the provider has no way to (a->counted is set by translate_call). */
enum step translate_counted(struct attempt *a);

enum step translate_tell_count(struct attempt *a, uint64_t tokens);

/* The provider's successful answer, told in the caller's dialect. */
enum step translate_answer(struct attempt *a);
/* A call that passed, answered in another form than was asked for: whole JSON to a caller who waits for a
 * stream, or a chat completion to one of the Responses endpoint. STEP_NEXT: not understood, pass it as it is.
 */
enum step translate_passed_whole(struct attempt *a, struct str body);
/* Numbers to a caller who asked for base64 (as OpenAI's SDKs do by themselves). STEP_NEXT: it is as asked. */
enum step translate_passed_embeddings(struct attempt *a, struct str body);
/* The same of a stream, of which `held` has come. */
enum step translate_passed_stream(struct attempt *a, struct str held);
/* Whether this JSON (an answer, or the data of a stream's first event) is a chat completion. */
bool translate_is_chat(struct str json);
/* The caller wants a stream that is one JSON array (Google's, without alt=sse). */
bool translate_array(const struct request *r);

/* The provider says that it has no Responses endpoint where we took it to have one: the call is worth another
 * try, translated. */
bool translate_no_responses(const struct attempt *a);
/* That try was answered: it is remembered for a while. */
void translate_note_no_responses(const struct attempt *a);

#endif

/* Calls that have to be translated, inside of request_attempt.c and relay*.c: making the provider's request,
 * and telling its answer in the caller's dialect. */
#ifndef SERVER_TRANSLATE_H
#define SERVER_TRANSLATE_H

#include "relay.h"

/* Whether this target gets the caller's bytes as they are. */
bool translate_passes(const struct attempt *a, struct str model);
/* Makes a->call of the request. -1: *f says why it can't be expressed. */
int translate_call(struct attempt *a, size_t target, struct failure *f);
/* A call that is answered here, since the provider has no way to (a->counted is set by translate_call). */
enum step translate_counted(struct attempt *a);

enum step translate_tell_count(struct attempt *a, uint64_t tokens);

/* The provider's successful answer, told in the caller's dialect. */
enum step translate_answer(struct attempt *a);
/* Whole JSON to a caller of a call that passed, who waits for a stream. */
enum step translate_passed_whole(struct attempt *a, struct str body);

#endif

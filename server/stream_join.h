/* Makes one whole answer of a stream's events, as the caller was told them, so that a streamed answer can be
 * cached and answer any later request, streamed or not (stream_tell.h is the way back).
 *
 * How streams are cached. An entry is always the whole answer in the caller's dialect, as its vendor's
 * unstreamed endpoint would give it. A whole answer is stored as it went out, byte for byte. Of a stream,
 * what goes out is read here event by event, whether it passed or was translated, and put together by the
 * rules of its dialect. That is done on the level of JSON, not of the neutral form (chat.h): a stream that
 * passes may hold what the neutral form has no place for (a hosted tool's results, citations, a vendor's own
 * members), and a hit must not be poorer than the answer that it repeats; nor has the neutral form a reader
 * for Responses' answers, or for text completions. So neither side of the cache knows of providers: there is
 * one set of rules for each of the callers' dialects.
 *
 * Only where the request may be stored does any of this run (request.h: cache_store); memory is bounded by a
 * few times the largest entry. What is not understood, or has not come to its proper end, is not stored. */
#ifndef SERVER_STREAM_JOIN_H
#define SERVER_STREAM_JOIN_H

#include "buf.h"
#include "endpoint.h"
#include "str.h"

struct stream_join;

/* array: the stream is one JSON array (Google's, without alt=sse). NULL: streams of that endpoint are not put
 * together. Gives up (and frees what it holds) once the answer would be larger than max_bytes. */
struct stream_join *stream_join_new(enum endpoint e, bool array, size_t max_bytes);
/* Of NULL, too. */
void stream_join_free(struct stream_join **j);
/* The data of one event, or (array) one element. Nothing happens once it has given up: the stream was too
 * large, carried an error, or was not understood. */
void stream_join_event(struct stream_join *j, struct str data);
/* A member of the answer that this stream was not asked to tell. value: valid JSON. */
void stream_join_member(struct stream_join *j, const char *name, struct str value);
/* The stream's own bytes, cut anywhere: events, or (array) the text of the array. */
void stream_join_bytes(struct stream_join *j, struct str bytes);
/* To be called where the stream has ended properly. Adds the answer to out: 0, or -1 where it is not whole.
 * Whether it is one that may be stored is seen from the answer (request_cache_store). It can be had once. */
int stream_join_finish(struct stream_join *j, struct buf *out);

#endif

/* Writing the answer of a request: status line, our header lines, framing, errors in the caller's dialect. */
#ifndef SERVER_ANSWER_H
#define SERVER_ANSWER_H

#include "request.h"

/* Adds a header line to the coming answer; the value is byte-checked and dropped (and logged) when it may not
 * be sent. */
void answer_header(struct request *r, const char *name, struct str value);
void answer_header_u64(struct request *r, const char *name, uint64_t value);

/* A whole answer: head and body in one write. Publishes the usage row first. */
enum step answer_whole(struct request *r, int status, const char *content_type, struct str body);
/* An error in the caller's dialect; counted. When the body has not been read whole, the connection will be
 * closed. */
enum step answer_failure(struct request *r, const struct failure *f);
/* Shorthand: a formatted message, status, OpenAI code (or NULL). */
enum step answer_error(struct request *r, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* An answer in pieces (chunked; until close for HTTP/1.0). The head goes out with the first piece. */
void answer_begin(struct request *r, int status, struct str content_type);
/* 0, or -1 when the client is gone. */
int answer_piece(struct request *r, struct str bytes);
/* `last` and the final chunk in one write; publishes the usage row before. */
int answer_end(struct request *r, struct str last);
/* A stream of which everything is known: all of these with one write, and with the cost in its head. */
int answer_at_once(struct request *r, int status, struct str content_type, struct str bytes);
/* The answer broke midway: `last` (what tells so in the stream; may be empty) is sent, it is never ended
 * properly, and the connection will be closed. Nothing sent yet: it is answered as answer_failure does. */
void answer_break(struct request *r, const struct failure *f, struct str last);
/* The caller's dialect's own event that tells of an error in a stream of events. */
struct str answer_error_event(struct request *r, const struct failure *f);

/* dialect.c: the error object as the dialect writes it (without HTTP). */
struct str dialect_error(enum dialect d, const struct failure *f, struct arena *a);
/* The same as an event of a stream that was under way. */
struct str dialect_error_event(enum dialect d, const struct failure *f, struct arena *a);
/* … of OpenAI's Responses endpoint, whose events have a form of their own. events: how many went before. */
struct str dialect_responses_error_event(const struct failure *f, uint32_t events, struct arena *a);
/* The HTTP status which that dialect's vendor uses where OpenAI uses `status`. */
int dialect_status(enum dialect d, const struct failure *f);

#endif

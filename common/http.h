/* The HTTP/1.1 message syntax (RFC 9110, RFC 9112), both sides, no I/O.
 *
 * Strict: whatever could be read in two ways by two parsers is refused (both length headers, repeated or
 * signed lengths, any transfer coding but one "chunked", obs-fold, bare CR or LF, space before a colon, NUL,
 * an empty or repeated Host, control bytes in a value, absolute targets of another form than http(s)://).
 * Slices point into the caller's bytes. */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include "buf.h"
#include "error.h"
#include "limits.h"
#include "str.h"

#include <sys/types.h>

struct http_header {
    struct str name, value; /* value is trimmed */
};

enum http_body {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE /* responses only */
};

struct http_head {
    size_t length;             /* bytes of the head, with its empty line */
    int minor;                 /* HTTP/1.x */
    struct str method, target; /* requests: the target as sent, … */
    struct str path, query;    /* … its path (not decoded), and what follows "?" */
    int status;                /* responses */
    enum http_body body;
    uint64_t content_length;
    bool keep_alive;      /* by version and Connection */
    bool expect_continue; /* requests: Expect: 100-continue */
    size_t n;
    struct http_header headers[MAX_HEADERS];
};

struct http_refusal {
    int status;         /* to answer with: 400, 414, 417, 431, 501 or 505 */
    const char *reason; /* static text */
};

/* 1: *head is filled. 0: the head is not complete yet. -1: *why is filled; answer and close. Empty lines
 * before a request line are skipped (RFC 9112 2.2) and counted in length. max_head <= MAX_HEAD. */
int http_parse_request(struct str in, size_t max_head, struct http_head *head, struct http_refusal *why);

/* As above for a response; `request_was_head`: no body follows whatever the head says. 1xx heads are returned
 * like others (the caller skips them). *why->reason only. */
int http_parse_response(struct str in, bool request_was_head, struct http_head *head,
                        struct http_refusal *why);

/* The value of the first header of that name (without case); false when there is none. */
bool http_find(const struct http_head *head, const char *name, struct str *value);

/* Decodes a chunked body piece by piece; all zero is the start. */
struct http_chunked {
    uint64_t left;     /* bytes of the present chunk still to come */
    uint32_t overhead; /* bytes spent on extensions and trailers */
    uint8_t state;
    uint8_t digits;
    bool done; /* the last chunk and the trailers have been read */
};

/* Reads from in; *data is the next run of body bytes (may be empty). Returns how many bytes were consumed, -1
 * on a malformed body. Call until it consumes nothing or `done`. */
ssize_t http_chunked_read(struct http_chunked *c, struct str in, struct str *data);

/* True when s may be sent as a header value: no control bytes but tab. */
bool http_value_ok(struct str s);
bool http_token_ok(struct str s);
/* Whether a content type is JSON's: "application/json" or "…+json", whatever its parameters. */
bool http_is_json(struct str content_type);
/* The standard reason phrase, "Unknown" for a status without one. */
const char *http_reason(int status);

#endif

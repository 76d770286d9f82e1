/* The lines of a message head: what the request and the response parser share. For the folder's own use. */
#ifndef COMMON_HTTP_LINES_H
#define COMMON_HTTP_LINES_H

#include "http.h"

/* Where a head lies in the bytes that have come so far. */
struct http_lines {
    struct str first;  /* the start line, without its CR LF */
    struct str fields; /* the header lines, each with its CR LF; without the empty line */
    size_t length;     /* all of the head */
};

/* Looks whether a whole head is there, skipping up to max_blank empty lines in front. Every rule is about the
 * first byte that breaks it, so that the verdict does not depend on how the bytes arrive. 1, 0 or -1 as in
 * http.h. */
int http_lines_find(struct str in, size_t max_head, unsigned max_blank, struct http_lines *out,
                    struct http_refusal *why);

/* What the header lines say about the message itself. */
struct http_framing {
    bool has_length, chunked;
    uint64_t length;
    bool close, keep_alive; /* named in Connection */
    bool has_host, expect_continue;
};

/* Fills head->headers and *framing from the lines. -1 with *why. */
int http_fields_parse(struct str fields, bool request, struct http_head *head, struct http_framing *framing,
                      struct http_refusal *why);

/* *why = …; -1. */
int http_refuse(struct http_refusal *why, int status, const char *reason);

/* host [":" port], as in Host and in an absolute target. */
bool http_host_ok(struct str s);

/* "HTTP/1.1" or "HTTP/1.0": *minor is set; 505 for another version of the same form, 400 for anything else.
 */
int http_version_parse(struct str s, int *minor, struct http_refusal *why);

/* Classes of bytes, combined with |. */
enum {
    HTTP_CLASS_TOKEN = 1,  /* RFC 9110 5.6.2 */
    HTTP_CLASS_VALUE = 2,  /* of a header's value: tab, visible ASCII, space, 0x80 to 0xff */
    HTTP_CLASS_TARGET = 4, /* of a request target */
    HTTP_CLASS_HOST = 8,   /* of a name or IPv4 address */
    HTTP_CLASS_DIGIT = 16,
    HTTP_CLASS_HEX = 32,
};
extern const uint8_t http_class[256];

/* Whether every byte of s is of the class. */
static inline bool http_all(struct str s, uint8_t class)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(http_class[(unsigned char)s.p[i]] & class))
            return false;
    return true;
}

#endif

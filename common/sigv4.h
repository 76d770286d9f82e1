/* Signs requests as AWS demands it: Signature Version 4, with the signature in header lines. */
#ifndef COMMON_SIGV4_H
#define COMMON_SIGV4_H

#include "buf.h"
#include "error.h"
#include "http.h"
#include "str.h"

struct sigv4_keys {
    struct str access, secret;
    struct str session; /* temporary keys have one; empty: none */
};

struct sigv4_request {
    struct str method;
    struct str path;  /* as it is sent: what is percent-encoded in it is signed encoded once more */
    struct str query; /* as it is sent, without "?" */
    const struct http_header *headers; /* those to be signed: host at least; x-amz-date and the session token
                                          are added by sigv4_sign */
    size_t n_headers;
    struct str body;
    bool path_as_is; /* "." and ".." and "//" in it are not resolved before it is signed */
};

enum { MAX_SIGNED_HEADERS = 64, MAX_SIGNED_PARAMETERS = 256 };

/* Adds the lines x-amz-date, x-amz-security-token (where there is one) and authorization. time_s: Unix time,
 * which AWS wants within some minutes of its own. Keeps the derived key of a day, region and secret. -1: the
 * request can't be signed (too many headers or parameters, a key that no header line can hold). */
int sigv4_sign(const struct sigv4_keys *keys, struct str region, struct str service, int64_t time_s,
               const struct sigv4_request *rq, struct buf *lines, struct error *err);

/* The parts of it, for tests. The canonical request (with the headers given, none added) and the names of its
 * headers ("host;x-amz-date"). */
int sigv4_canonical_request(const struct sigv4_request *rq, struct buf *canonical, struct buf *names,
                            struct error *err);
/* amz_date: "YYYYMMDDTHHMMSSZ". */
int sigv4_string_to_sign(struct str canonical, const char *amz_date, struct str region, struct str service,
                         struct buf *out);
/* The signing key of that day (the first 8 characters of amz_date). */
int sigv4_key(struct str secret, const char *amz_date, struct str region, struct str service,
              uint8_t out[32]);

#endif

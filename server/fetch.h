/* One small HTTP(S) exchange outside of the request path, with libcurl: a token, keys of an instance's role,
 * a picture that a request names by URL. Connects anew each time, follows no redirect, uses no proxy, cookie
 * or netrc. Blocks its process until it is done, so its time and the size of its answer are bounded. Run by
 * workers (and tests). */
#ifndef SERVER_FETCH_H
#define SERVER_FETCH_H

#include "buf.h"
#include "error.h"
#include "patience.h"

#include <sys/socket.h>

struct fetch {
    const char *method;         /* a GET where body is empty and this NULL */
    const char *url;            /* http or https, without user and password */
    const char *const *headers; /* "name: value" …, NULL; or NULL */
    struct str body;
    const char *ca_file; /* NULL: the system's */
    bool public_only;    /* only to addresses that fetch_address_public likes */
    struct patience patience;
};

enum fetch_result {
    FETCH_OK,
    FETCH_BAD_URL,
    FETCH_PRIVATE, /* none of the host's addresses is public */
    FETCH_TOO_LARGE,
    FETCH_TIMEOUT,
    FETCH_STOPPED, /* nobody wants it any more */
    FETCH_FAILED   /* name, connection, TLS, protocol */
};

struct fetch_answer {
    int status;
    char content_type[128]; /* empty: not told, or longer than any of use */
    struct buf *body;       /* the caller's, with its maximum */
};

/* *err: what went wrong, in words that hold neither path nor query of the URL. */
enum fetch_result fetch_run(const struct fetch *f, struct fetch_answer *answer, struct error *err);

/* Whether an address is one of the public internet: not private, local, shared, multicast, reserved or for
 * documentation, nor a form that stands for such an IPv4 address, nor a cloud's door to its own machines. */
bool fetch_address_public(const struct sockaddr *addr);

#endif

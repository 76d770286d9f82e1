/* A provider's base URL, taken apart. Only what may stand there is accepted: http(s), a host of plain
 * characters, no user, no query: so nothing in it can steer a request elsewhere. */
#ifndef SERVER_UPSTREAM_URL_H
#define SERVER_UPSTREAM_URL_H

#include "error.h"
#include "str.h"

struct upstream_url {
    bool tls;
    struct str authority; /* host[:port], as the Host header wants it */
    struct str path;      /* without a slash at its end; empty for the root */
};

/* Slices of base_url. An empty text stands for a provider without a network (host "virtual", path "/v1"). */
int upstream_url_parse(struct str base_url, struct upstream_url *out, struct error *err);
/* True when every byte may stand in a request-target: visible ASCII but '#', beginning with '/', and
 * no step of the path is "." or "..". */
bool upstream_path_ok(struct str path);

#endif

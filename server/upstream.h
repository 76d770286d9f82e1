/* The provider's side of a worker: one HTTP/1.1 exchange on a kept-alive connection.
 *
 * libcurl (CURLOPT_CONNECT_ONLY) resolves, connects, does TLS and verifies; the exchange is ours: it costs
 * about half the CPU of curl_easy_perform. The virtual provider has the same face and no socket. A connection
 * whose exchange did not end cleanly is closed, never reused; connections are pooled per provider, so never
 * across credentials. */
#ifndef SERVER_UPSTREAM_H
#define SERVER_UPSTREAM_H

#include "http.h"
#include "worker.h"

struct upstream; /* one exchange */
struct signing;

/* The master's, before it forks workers and after each new configuration: sets libcurl and OpenSSL up and
 * reads the certificate authorities of all https providers (32 ms for the system's bundle), so that the
 * workers share those pages. -1: a bundle can't be read; what was loaded before stays. */
int upstream_preload(const struct config *c, struct error *err);

/* A worker's, after the fork. */
struct upstreams *upstreams_new(struct worker *w);
void upstreams_free(struct upstreams **u);
/* Closes provider connections that nobody used for a while; for a worker that is about to wait. */
void upstreams_tidy(struct upstreams *u, int64_t now_ns);

enum upstream_result {
    UPSTREAM_OK,
    UPSTREAM_END,            /* the answer's body is complete */
    UPSTREAM_CLIENT_GONE,    /* our client left; the exchange was cancelled */
    UPSTREAM_CONNECT_FAILED, /* nothing was sent */
    UPSTREAM_CONNECT_TIMEOUT,
    UPSTREAM_FIRST_BYTE_TIMEOUT,
    UPSTREAM_IDLE_TIMEOUT,
    UPSTREAM_TOTAL_TIMEOUT,
    UPSTREAM_CUT, /* it closed before the end */
    UPSTREAM_MALFORMED,
    UPSTREAM_QUIET, /* nothing has come for a heartbeat's time; read on */
};

struct upstream_call {
    uint16_t provider;       /* index in the configuration */
    struct str method, path; /* path with query, behind the host ("/v1/chat/completions"); byte-checked */
    struct str headers; /* lines "name: value\r\n" beside host, length, credential and the provider's own */
    struct str body;
    int64_t deadline_ns; /* total, of the request */
    /* Adds the credential's lines (provider.h); NULL: Bearer and the provider's key */
    int (*authorize)(const struct conf_provider *p, const struct signing *s, struct buf *head,
                     struct error *err);
    bool *sent; /* becomes true right before the first byte goes out; may be NULL */
};

/* Connects (or takes an idle connection), sends the request, and reads the answer's head. A reused connection
 * that turns out closed before any byte of an answer came is replaced once. *head is valid until
 * upstream_end, which is to be called whatever the result (*out may be NULL). *err says more for the log
 * (never a credential). */
enum upstream_result upstream_start(struct upstreams *u, const struct upstream_call *call,
                                    struct client *client, struct upstream **out,
                                    const struct http_head **head, struct error *err);
/* The next run of decoded body bytes: what has arrived, waiting when nothing has; valid until the next call.
 */
enum upstream_result upstream_read(struct upstream *up, struct str *data, struct error *err);
/* From now on upstream_read returns UPSTREAM_QUIET each time that nothing has come for so long; 0: never. */
void upstream_heartbeat(struct upstream *up, uint32_t ms);
/* Reads on only as far as bytes are here already: UPSTREAM_OK with an empty slice: nothing now. */
enum upstream_result upstream_poll(struct upstream *up, struct str *data, struct error *err);
/* All that matters has come (a stream's terminal event): what is still to come can only be framing. The
 * connection is kept though its end was not awaited; before its next use it is checked that nothing else
 * came. */
void upstream_last_seen(struct upstream *up);
/* The header lines that the last request's credential was sent in; valid until the next one. */
struct str upstream_credential(const struct upstreams *u);
/* ns spent waiting for the provider so far. */
int64_t upstream_waited_ns(const struct upstream *up);
/* Ends the exchange: the connection is kept when it ended cleanly, else closed. Nulls *up. Returns the ns
 * spent waiting for the provider. */
int64_t upstream_end(struct upstream **up);
const char *upstream_result_name(enum upstream_result r);

#endif

/* What carries the bytes of an exchange, inside of the upstream_*.c files: a socket under libcurl's care
 * (upstream_curl.c), or the built-in provider (upstream_virtual.c). All are non-blocking but for a nap; who
 * has to wait longer does so with worker_wait on fd, so that a leaving client and the acceptor are always
 * heard. */
#ifndef SERVER_UPSTREAM_TRANSPORT_H
#define SERVER_UPSTREAM_TRANSPORT_H

#include "clock.h"
#include "upstream.h"
#include "upstream_url.h"

enum { TRANSPORT_BROKEN = -1, TRANSPORT_AGAIN = -2 };
/* how long nobody else is heard, at most: a leaver is noticed within 100 ms */
#define TRANSPORT_NAP_NS (40 * NS_PER_MS)

struct transport {
    const struct transport_ops *ops;
    int fd;     /* readable (or writable) when it is worth trying again; -1: not open */
    bool eager; /* bytes may be here without fd being readable: try before waiting */
};

struct transport_ops {
    /* Connects. UPSTREAM_OK, or why not. */
    enum upstream_result (*open)(struct transport *t, const struct client *client, int64_t deadline_ns,
                                 struct error *err);
    /* Bytes taken, from `head` first and then `body`; TRANSPORT_AGAIN or TRANSPORT_BROKEN. After AGAIN it is
     * called again with the same bytes. */
    ssize_t (*send)(struct transport *t, struct str head, struct str body);
    /* Bytes read; 0: properly ended by the peer; TRANSPORT_AGAIN or TRANSPORT_BROKEN. */
    ssize_t (*recv)(struct transport *t, char *p, size_t n);
    /* As recv, but may sleep in the kernel for up to TRANSPORT_NAP_NS: one system call instead of two where
     * an answer is near. NULL: it can't. */
    ssize_t (*recv_nap)(struct transport *t, char *p, size_t n);
    /* May be opened again afterwards. */
    void (*close)(struct transport *t);
    void (*free)(struct transport *t); /* after close */
};

/* upstream_curl.c: what all of a worker's sockets share. */
struct curl_side;
struct curl_side *curl_side_new(struct worker *w);
void curl_side_free(struct curl_side **s);
struct transport *curl_transport_new(struct curl_side *s, const struct conf_provider *p,
                                     const struct upstream_url *url);

/* … and what fetch.c shares with it: sets a libcurl handle to verify its peer by these authorities (a file
 * name that outlives the handle; NULL: the system's), with the stores that upstream_preload made. */
void upstream_trust(void *easy, const char *ca_file);
/* Lets a libcurl handle do nothing but HTTP/1.1 with the host that it is told: no redirects, no proxy or
 * netrc of the environment, no signals. */
void upstream_confine(void *easy);

/* upstream_virtual.c */
struct transport *virtual_transport_new(const struct conf_provider *p);

#endif

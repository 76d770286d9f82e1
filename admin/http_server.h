/* The admin process's loop: accepts, watches, keeps deadlines. One process, nothing waits. */
#ifndef ADMIN_HTTP_SERVER_H
#define ADMIN_HTTP_SERVER_H

#include "connection.h"
#include "error.h"

struct http_server;

/* listen_fd: a listening socket of any family, which stays the caller's. tls NULL: plain. */
struct http_server *http_server_new(int listen_fd, SSL_CTX *tls, const struct handler *h, struct error *err);
void http_server_free(struct http_server **s);
/* Connections accepted from now on use this one; takes a reference. */
void http_server_set_tls(struct http_server *s, SSL_CTX *tls);
/* Calls ready(arg) whenever fd can be read. Two descriptors at most. */
int http_server_watch(struct http_server *s, int fd, void (*ready)(void *arg), void *arg, struct error *err);
/* Runs until a drain has ended. */
void http_server_run(struct http_server *s);
/* No new connection, no new request; what has begun may take this long. */
void http_server_drain(struct http_server *s, int64_t at_most_ns);
/* The exchange of a parked connection, whose reply the caller fills before http_server_answer; false: the
 * client is gone. */
bool http_server_parked(struct http_server *s, uint64_t connection, struct exchange *x);
void http_server_answer(struct http_server *s, uint64_t connection);

#endif

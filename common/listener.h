/* Listening sockets, for the data listeners and the admin's: TCP ("127.0.0.1", "::1", "0.0.0.0") or a unix
 * socket ("unix:/path", the port is then ignored). */
#ifndef COMMON_LISTENER_H
#define COMMON_LISTENER_H

#include "error.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Binds and listens: non-blocking, close-on-exec, SO_REUSEADDR, backlog 4096. A unix socket's stale file (one
 * nobody listens on) is replaced; the new one has mode 0660. Returns the descriptor; -1 and err. */
int listener_open(const char *address, uint16_t port, struct error *err);
/* The next connection, non-blocking and close-on-exec, with TCP_NODELAY and TCP_USER_TIMEOUT
 * (user_timeout_ms; 0: the system's) where it is TCP. -1 with errno (EAGAIN: none waits). peer may be NULL.
 */
int listener_accept(int fd, struct sockaddr_storage *peer, unsigned user_timeout_ms);
/* Whether fd is bound there, as address and port stand in the configuration. */
bool listener_is_at(int fd, const char *address, uint16_t port);
/* "127.0.0.1:8080", "[::1]:8080" or "unix:/path" as bound (a port 0 has become a real one). */
void listener_name(int fd, char *text, size_t size);

#endif

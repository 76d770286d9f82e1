/* The server's side of TLS as configured: TLS 1.2 and 1.3, ALPN http/1.1, client certificates where asked
 * for. Used by the tls processes and by the admin process; no other process holds a private key. */
#ifndef COMMON_TLS_SERVER_H
#define COMMON_TLS_SERVER_H

#include "config.h"

#include <openssl/ssl.h>

/* Reads certificate, key and client CA now; SSL_CTX_free it. NULL and err (the file, OpenSSL's reason). */
SSL_CTX *tls_server_new(const struct conf_tls *c, struct error *err);
/* The common name of a verified client certificate; "" where there is none (or it holds control bytes). */
void tls_server_subject(const SSL *ssl, char *text, size_t size);
/* The queue of OpenSSL's errors, emptied, as one line. */
void tls_server_reason(char *text, size_t size);

#endif

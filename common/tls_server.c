/* One SSL_CTX a listener. Run by the tls processes and the admin process. Session tickets are left on: their
 * keys are OpenSSL's own, made anew with each context, so they live no longer than the process. Renegotiation
 * and compression are off (the library's default for the second). */
#include "tls_server.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

void tls_server_reason(char *text, size_t size)
{
    unsigned long code = ERR_get_error(), next;
    if (code)
        ERR_error_string_n(code, text, size);
    else
        snprintf(text, size, "no reason given");
    while ((next = ERR_get_error()) != 0)
        (void)next;
}

static int refuse(struct error *err, const char *what, const char *file)
{
    char reason[256];
    tls_server_reason(reason, sizeof reason);
    return error_set(err, "%s %s: %s", what, file, reason);
}

/* Clients that offer ALPN without http/1.1 (h2 only) are told so by the handshake's own alert. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
                           unsigned int in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, n, ours, sizeof ours - 1, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int ask_for_certificates(SSL_CTX *ctx, const struct conf_tls *c, struct error *err)
{
    if (!c->client_ca)
        return 0;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(c->client_ca);
    if (!names || SSL_CTX_load_verify_file(ctx, c->client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return refuse(err, "client_ca", c->client_ca);
    }
    SSL_CTX_set_client_CA_list(ctx, names); /* takes it over */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (c->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    static const unsigned char id[] = "aigw"; /* resumption with client certificates needs one */
    SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
    return 0;
}

static int set_up(SSL_CTX *ctx, const struct conf_tls *c, struct error *err)
{
    bool only_13 = c->min_version && strcmp(c->min_version, "1.3") == 0;
    SSL_CTX_set_min_proto_version(ctx, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_PRIORITIZE_CHACHA);
    /* idle connections keep no record buffers; what a full socket did not take may be offered again from
     * another address */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (SSL_CTX_use_certificate_chain_file(ctx, c->certificate) != 1)
        return refuse(err, "certificate", c->certificate);
    if (SSL_CTX_use_PrivateKey_file(ctx, c->key, SSL_FILETYPE_PEM) != 1)
        return refuse(err, "key", c->key);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return refuse(err, "key does not fit its certificate:", c->key);
    return ask_for_certificates(ctx, c, err);
}

SSL_CTX *tls_server_new(const struct conf_tls *c, struct error *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx) {
        refuse(err, "TLS", "");
        return NULL;
    }
    if (set_up(ctx, c, err)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

void tls_server_subject(const SSL *ssl, char *text, size_t size)
{
    text[0] = '\0';
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
        return;
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, (int)size);
    for (int i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            text[0] = '\0';
            return;
        }
    if (n < 0 || (size_t)n >= size - 1)
        text[0] = '\0';
}

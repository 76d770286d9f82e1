/* A self-signed certificate for tests: FOLDER/NAME.crt and FOLDER/NAME.key (PEM), valid for an hour. */
#ifndef TESTS_UNIT_TEST_CERTIFICATE_H
#define TESTS_UNIT_TEST_CERTIFICATE_H

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

static inline void test_certificate(const char *folder, const char *name)
{
    char path[256];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    if (!key || !x)
        abort();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME *subject = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    if (X509_sign(x, key, EVP_sha256()) == 0)
        abort();
    snprintf(path, sizeof(path), "%s/%s.crt", folder, name);
    FILE *f = fopen(path, "w");
    if (!f || PEM_write_X509(f, x) != 1 || fclose(f) != 0)
        abort();
    snprintf(path, sizeof(path), "%s/%s.key", folder, name);
    f = fopen(path, "w");
    if (!f || PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(f) != 0)
        abort();
    X509_free(x);
    EVP_PKEY_free(key);
}

#endif

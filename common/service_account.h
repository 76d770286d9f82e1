/* A Google service account's key file (JSON), as the cloud console hands it out: read and checked. */
#ifndef COMMON_SERVICE_ACCOUNT_H
#define COMMON_SERVICE_ACCOUNT_H

#include "arena.h"
#include "error.h"
#include "str.h"

#include <openssl/types.h>

struct service_account {
    struct str email, key_id, private_key, token_uri, project; /* empty: the file has none */
};

/* Slices of file, or memory of a (where a text had escapes, as the private key always has: whoever is done
 * with that wipes it). -1: it is no JSON object, or of another type of credential. */
int service_account_read(struct str file, struct arena *a, struct service_account *out, struct error *err);
/* Its RSA key, to be freed with EVP_PKEY_free; NULL and err. */
EVP_PKEY *service_account_key(struct str pem, struct error *err);
/* Wipes the private key's copy, if it is one of what stands in file. */
void service_account_wipe(struct service_account *account, struct str file);
/* 0: all that a token can be asked for with is there. *project: whether the file names one. */
int service_account_check(struct str file, bool *project, struct error *err);

#endif

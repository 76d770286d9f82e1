/* Read by the master, which refuses a configuration whose file would never get a token, and by the workers
 * that ask for one. */
#include "service_account.h"

#include "json_scan.h"
#include "json_string.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

static struct str text_of(struct json_value v, struct arena *a)
{
    return v.type == JSON_STRING ? json_text(v, a) : STR_NULL;
}

int service_account_read(struct str file, struct arena *a, struct service_account *out, struct error *err)
{
    static const char *const paths[] = {"type",        "client_email", "private_key_id",
                                        "private_key", "token_uri",    "project_id"};
    struct json_value v[6];
    *out = (struct service_account){0};
    if (json_scan(file, paths, 6, v, NULL) != 0)
        return error_set(err, "it is no JSON object; give a service account's key in JSON");
    if (v[0].type != JSON_ABSENT && !str_eq(text_of(v[0], a), STR("service_account")))
        return error_set(err, "it is a credential of the type " STR_FMT "; give a service account's key",
                         (int)(v[0].raw.n < 40 ? v[0].raw.n : 40), v[0].raw.p);
    *out = (struct service_account){.email = text_of(v[1], a),
                                    .key_id = text_of(v[2], a),
                                    .private_key = text_of(v[3], a),
                                    .token_uri = text_of(v[4], a),
                                    .project = text_of(v[5], a)};
    return 0;
}

/* A key that wants a password is none of a service account's. */
static int no_password(char *p, int size, int writes, void *arg)
{
    (void)p, (void)size, (void)writes, (void)arg;
    return -1;
}

EVP_PKEY *service_account_key(struct str pem, struct error *err)
{
    BIO *bio = pem.n > 0 && pem.n < 64 * 1024 ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        return key;
    EVP_PKEY_free(key);
    error_set(err, "its private_key is no RSA key; give the file as the cloud console made it");
    return NULL;
}

void service_account_wipe(struct service_account *account, struct str file)
{
    struct str key = account->private_key;
    bool is_copy = key.n > 0 && (key.p < file.p || key.p >= file.p + file.n);
    if (is_copy)
        OPENSSL_cleanse((void *)(uintptr_t)key.p, key.n);
    account->private_key = STR_NULL;
}

static int check(const struct service_account *account, struct error *err)
{
    if (account->email.n == 0 || account->private_key.n == 0 || account->token_uri.n == 0)
        return error_set(err, "it has no %s; give a service account's key in JSON",
                         account->email.n == 0         ? "client_email"
                         : account->private_key.n == 0 ? "private_key"
                                                       : "token_uri");
    EVP_PKEY *key = service_account_key(account->private_key, err);
    EVP_PKEY_free(key);
    return key ? 0 : -1;
}

int service_account_check(struct str file, bool *project, struct error *err)
{
    struct service_account account;
    struct arena a;
    arena_init(&a);
    int rc = service_account_read(file, &a, &account, err);
    if (rc == 0)
        rc = check(&account, err);
    *project = account.project.n > 0;
    service_account_wipe(&account, file);
    arena_fini(&a);
    return rc;
}

/* A service account's token: an assertion signed with the account's own key (RS256), sent to the token_uri
 * that its file names, answered with an access token that is good for an hour. Run by workers.
 *
 * Everything secret that is made on the way (the decoded key, the assertion, the answer) is wiped. */
#include "vertex.h"

#include "base64.h"
#include "clock.h"
#include "json_write.h"
#include "secret.h"
#include "service_account.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

enum { LIFE_S = 3600, MAX_ASSERTION = 16 * 1024, MAX_TOKEN_ANSWER = 16 * 1024, MIN_LIFE_S = 1 };

static const char scope[] = "https://www.googleapis.com/auth/cloud-platform";

static struct str secret_file(const struct conf_provider *p)
{
    char name[160];
    secret_name(name, sizeof(name), p->name, "file");
    return secret_get(name);
}

static struct str text_of(struct json_value v, struct arena *a)
{
    return v.type == JSON_STRING ? json_text(v, a) : STR_NULL;
}

static int read_account(const struct conf_provider *p, struct arena *a, struct service_account *out,
                        struct error *err)
{
    struct error why;
    struct str file = secret_file(p);
    if (file.n == 0)
        return error_set(err, "there is no credentials_file");
    if (service_account_read(file, a, out, &why) != 0)
        return error_set(err, "credentials_file: %s", why.text);
    return 0;
}

/* ---- the assertion */

static void put_encoded(struct buf *b, const struct buf *json)
{
    base64url_put(b, buf_str(json));
}

static void put_header(struct buf *b, const struct service_account *account)
{
    char room[512];
    struct buf json = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    struct json_writer w = json_writer(&json);
    json_open(&w, '{');
    json_member_strz(&w, "alg", "RS256");
    json_member_strz(&w, "typ", "JWT");
    json_opt_str(&w, "kid", account->key_id);
    json_close(&w, '}');
    put_encoded(b, &json);
    b->full |= json.full;
}

static void put_claims(struct buf *b, const struct service_account *account, int64_t now_s)
{
    char room[4096];
    struct buf json = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    struct json_writer w = json_writer(&json);
    json_open(&w, '{');
    json_member_str(&w, "iss", account->email);
    json_member_strz(&w, "scope", scope);
    json_member_str(&w, "aud", account->token_uri);
    json_member_i64(&w, "iat", now_s);
    json_member_i64(&w, "exp", now_s + LIFE_S);
    json_close(&w, '}');
    put_encoded(b, &json);
    b->full |= json.full;
}

static int put_signature(struct buf *b, EVP_PKEY *key, struct str text, struct error *err)
{
    unsigned char signature[1024];
    size_t n = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text.p, text.n) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    if (!ok)
        return error_set(err, "the assertion for a token can't be signed");
    base64url_put(b, (struct str){(const char *)signature, n});
    return 0;
}

/* header.claims.signature (RFC 7515) */
static int put_assertion(struct buf *b, const struct service_account *account, struct error *err)
{
    struct error why;
    EVP_PKEY *key = service_account_key(account->private_key, &why);
    if (!key)
        return error_set(err, "credentials_file: %s", why.text);
    size_t from = b->n;
    put_header(b, account);
    buf_add_byte(b, '.');
    put_claims(b, account, clock_wall_us() / 1000000);
    struct str signed_part = {b->p + from, b->n - from}; /* b has its room already and does not move */
    buf_add_byte(b, '.');
    int rc = b->full ? error_set(err, "the credentials_file holds something too long")
                     : put_signature(b, key, signed_part, err);
    EVP_PKEY_free(key);
    return rc;
}

/* ---- the exchange */

static int refused(int status, struct str answer, struct error *err)
{
    static const char *const paths[] = {"error", "error_description"};
    struct json_value v[2];
    struct arena a;
    arena_init(&a);
    struct str code = STR_NULL, words = STR_NULL;
    if (json_scan(answer, paths, 2, v, NULL) == 0) {
        code = text_of(v[0], &a);
        words = text_of(v[1], &a);
    }
    if (memmem(words.p ? words.p : "", words.n, "eyJ", 3)) /* what every JWT begins with */
        words = STR_NULL;
    error_set(err, "the token endpoint answered with status %d%s%.64s%s%.200s", status, code.n ? ": " : "",
              code.n ? arena_copy(&a, code).p : "", words.n ? ": " : "",
              words.n ? arena_copy(&a, words).p : "");
    arena_fini(&a);
    return -1;
}

static bool token_ok(struct str token)
{
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] >= 0x7f)
            return false;
    return token.n > 0;
}

static int read_token(struct str answer, struct buf *text, int64_t *expires_s, struct error *err)
{
    static const char *const paths[] = {"access_token", "expires_in"};
    struct json_value v[2];
    int64_t life = LIFE_S;
    if (json_scan(answer, paths, 2, v, NULL) != 0 || v[0].type != JSON_STRING)
        return error_set(err, "the token endpoint's answer has no access_token");
    if (v[1].type == JSON_NUMBER && (json_int(v[1], &life) != 0 || life < MIN_LIFE_S || life > 366 * 86400))
        return error_set(err, "the token endpoint's answer has an expires_in that makes no sense");
    struct str token = {v[0].raw.p + 1, v[0].raw.n - 2}; /* with an escape in it, it is none */
    if (!token_ok(token) || memchr(token.p, '\\', token.n))
        return error_set(err, "the token endpoint's access_token holds bytes that may not be sent");
    *expires_s = clock_wall_us() / 1000000 + life;
    return buf_add(text, token) == 0 ? 0 : error_set(err, "the token endpoint's access_token is too long");
}

static int ask(const struct conf_provider *p, const struct service_account *account, struct str form,
               const struct patience *patience, struct buf *answer, struct error *err)
{
    static const char *const headers[] = {"content-type: application/x-www-form-urlencoded",
                                          "accept: application/json", NULL};
    char uri[1024];
    struct error why = {""};
    if (account->email.n == 0 || str_copy(uri, sizeof(uri), account->token_uri) != 0 || !uri[0])
        return error_set(err, "the credentials_file has no client_email or no token_uri");
    int status = credential_http(p, "POST", uri, headers, form, patience, answer, &why);
    if (status < 0)
        return error_set(err, "the token endpoint can't be reached: %s", why.text);
    return status == 200 ? 0 : refused(status, buf_str(answer), err);
}

static void wipe_buf(struct buf *b)
{
    if (b->p)
        OPENSSL_cleanse(b->p, b->cap);
    buf_free(b);
}

int vertex_fetch_token(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                       int64_t *expires_s, struct error *err)
{
    struct arena a;
    struct service_account account = {0};
    struct buf form, answer;
    arena_init(&a);
    buf_init(&form, MAX_ASSERTION);
    buf_init(&answer, MAX_TOKEN_ANSWER);
    buf_reserve(&form, MAX_ASSERTION); /* so that it does not move, leaving copies behind */
    buf_reserve(&answer, MAX_TOKEN_ANSWER);
    int rc = read_account(p, &a, &account, err);
    if (rc == 0) {
        buf_add(&form, STR("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="));
        rc = put_assertion(&form, &account, err);
    }
    if (rc == 0)
        rc = ask(p, &account, buf_str(&form), patience, &answer, err);
    if (rc == 0)
        rc = read_token(buf_str(&answer), text, expires_s, err);
    service_account_wipe(&account, secret_file(p));
    wipe_buf(&form);
    wipe_buf(&answer);
    arena_fini(&a);
    return rc;
}

/* ---- the project */

static bool name_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '_' || c == '.' || c == ':'))
            return false;
    }
    return s.n > 0 && s.n <= 128;
}

struct str vertex_project(const struct conf_provider *p, struct arena *a)
{
    static const char *const paths[] = {"project_id"};
    struct json_value v;
    struct str project = str_of(p->project);
    if (project.n == 0 && json_scan(secret_file(p), paths, 1, &v, NULL) == 0)
        project = text_of(v, a);
    return name_ok(project) ? project : STR_NULL;
}

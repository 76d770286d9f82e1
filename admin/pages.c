/* What is served as it is: the health check, the dashboard's page, the API's description.
 *
 * The dashboard is one page with its script and style inside. Its content security policy allows these two by
 * their hashes, and connections to this server; nothing else can be run or reached from it. */
#include "api.h"
#include "assets.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

void health_get(struct call *c)
{
    struct json_writer w = reply_json(c->x->reply, 200);
    json_open(&w, '{');
    json_member_strz(&w, "status", "ok");
    json_close(&w, '}');
}

void openapi_get(struct call *c)
{
    c->x->reply->status = 200;
    buf_add(&c->x->reply->body, asset_openapi());
}

/* The base64 of the SHA-256 of what stands between <tag> and </tag>; "" when there is none. */
static void hash_of(struct str page, const char *open_tag, const char *close_tag, char out[48])
{
    const char *p = memmem(page.p, page.n, open_tag, strlen(open_tag));
    out[0] = '\0';
    if (!p)
        return;
    p += strlen(open_tag);
    const char *end = memmem(p, (size_t)(page.p + page.n - p), close_tag, strlen(close_tag));
    if (!end)
        return;
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)p, (size_t)(end - p), sha256);
    EVP_EncodeBlock((uint8_t *)out, sha256, sizeof sha256);
}

void dashboard_page(struct call *c)
{
    struct reply *r = c->x->reply;
    struct str page = asset_dashboard();
    char script[48], style[48], policy[512];
    hash_of(page, "<script>", "</script>", script);
    hash_of(page, "<style>", "</style>", style);
    snprintf(policy, sizeof policy,
             "default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; connect-src 'self'; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             script, style);
    r->status = 200;
    r->type = "text/html; charset=utf-8";
    reply_header(r, "content-security-policy", policy);
    reply_header(r, "referrer-policy", "no-referrer");
    buf_add(&r->body, page);
}

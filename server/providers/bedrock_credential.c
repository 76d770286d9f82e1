/* Bedrock's credentials: an API key of its own (Bearer), an access key that signs each request, or the keys
 * of the role that the machine or container has, fetched where it finds them and shared until they end. Run
 * by workers. */
#include "bedrock.h"

#include "clock.h"
#include "credential.h"
#include "secret.h"
#include "sigv4.h"
#include "upstream_url.h"

#include <openssl/crypto.h>
#include <string.h>
#include <time.h>

#define INSTANCE_URL "http://169.254.169.254"
#define ROLES        "/latest/meta-data/iam/security-credentials/"

/* ---- the role's keys */

enum { MAX_ROLE_ANSWER = 16 * 1024, MAX_URL = 1024 };

/* One line; the same bytes that a header may hold. */
static bool first_line(struct str text, struct str *line)
{
    while (text.n > 0 && strchr(" \t\r\n", text.p[text.n - 1]) && text.p[text.n - 1])
        text.n--;
    const char *end = text.n > 0 ? memchr(text.p, '\n', text.n) : NULL;
    *line = str_trim((struct str){text.p, end ? (size_t)(end - text.p) : text.n});
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    return line->n > 0 && http_value_ok(*line);
}

static bool is_role_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && (!c || !strchr("+=,.@_-", c)))
            return false;
    }
    return s.n > 0 && s.n <= 64;
}

static int get(const struct conf_provider *p, const char *method, const char *url, const char *header,
               const struct patience *patience, struct buf *answer, struct error *err)
{
    const char *headers[] = {header, NULL};
    buf_reset(answer);
    int status = credential_http(p, method, url, headers, STR_NULL, patience, answer, err);
    if (status < 0)
        return -1;
    return status == 200 ? 0 : error_set(err, "the role's endpoint answered with status %d", status);
}

/* "2026-08-21T10:00:00Z" */
static int read_expiry(struct str text, int64_t *expires_s)
{
    char z[32];
    struct tm tm = {0};
    if (str_copy(z, sizeof(z), text) != 0 || !strptime(z, "%Y-%m-%dT%H:%M:%S", &tm))
        return -1;
    *expires_s = (int64_t)timegm(&tm);
    return 0;
}

/* {"AccessKeyId","SecretAccessKey","Token","Expiration"} → a line each, what authorize will read. */
static int read_keys(struct str body, struct buf *text, int64_t *expires_s, struct error *err)
{
    static const char *const paths[] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"};
    enum { EXPIRATION = 3, COUNT };
    struct json_value v[COUNT];
    struct arena a;
    bool good = json_scan(body, paths, COUNT, v, NULL) == 0 && v[EXPIRATION].type == JSON_STRING;
    arena_init(&a);
    for (int i = 0; i < EXPIRATION && good; i++) {
        struct str value = v[i].type == JSON_STRING ? json_text(v[i], &a) : STR_NULL;
        good = value.n > 0 && http_value_ok(value);
        buf_add(text, value);
        buf_add_byte(text, '\n');
    }
    good = good && !text->full && read_expiry(json_text(v[EXPIRATION], &a), expires_s) == 0;
    arena_fini(&a);
    return good ? 0 : error_set(err, "the role's endpoint told no usable keys");
}

/* The instance metadata service, version 2: a token first, then the role's name, then its keys. */
static int ask_instance(const struct conf_provider *p, struct str host, const struct patience *patience,
                        struct buf *answer, struct error *err)
{
    char url[MAX_URL], header[512];
    struct str line;
    snprintf(url, sizeof(url), STR_FMT "/latest/api/token", STR_ARG(host));
    if (get(p, "PUT", url, "X-aws-ec2-metadata-token-ttl-seconds: 21600", patience, answer, err) != 0)
        return -1;
    if (!first_line(buf_str(answer), &line) || line.n > 256)
        return error_set(err, "the instance's metadata service gave no token");
    snprintf(header, sizeof(header), "X-aws-ec2-metadata-token: " STR_FMT, STR_ARG(line));
    snprintf(url, sizeof(url), STR_FMT ROLES, STR_ARG(host));
    if (get(p, "GET", url, header, patience, answer, err) != 0)
        return -1;
    if (!first_line(buf_str(answer), &line) || !is_role_name(line))
        return error_set(err, "the instance has no role");
    snprintf(url, sizeof(url), STR_FMT ROLES STR_FMT, STR_ARG(host), STR_ARG(line));
    int result = get(p, "GET", url, header, patience, answer, err);
    OPENSSL_cleanse(header, sizeof(header));
    return result;
}

static int fetch_keys(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                      int64_t *expires_s, struct error *err)
{
    struct str where = str_of(p->role_url ? p->role_url : INSTANCE_URL);
    struct upstream_url url;
    struct buf answer;
    if (upstream_url_parse(where, &url, err) != 0)
        return -1;
    if (where.n > MAX_URL / 2)
        return error_set(err, "role_url is too long");
    while (url.path.n == 0 && where.n > 0 && where.p[where.n - 1] == '/')
        where.n--;
    buf_init(&answer, MAX_ROLE_ANSWER);
    int result = url.path.n > 0 ? get(p, "GET", p->role_url, NULL, patience, &answer, err) /* a container's */
                                : ask_instance(p, where, patience, &answer, err);
    if (result == 0)
        result = read_keys(buf_str(&answer), text, expires_s, err);
    if (answer.cap > 0)
        OPENSSL_cleanse(answer.p, answer.cap);
    buf_free(&answer);
    return result;
}

/* ---- what authorize needs */

static struct str own(const struct conf_provider *p, const char *part)
{
    char name[128];
    secret_name(name, sizeof(name), p->name, part);
    return secret_get(name);
}

static bool has_role_only(const struct conf_provider *p)
{
    return secret_get(p->name).n == 0 && own(p, "access").n == 0;
}

int bedrock_prepare(struct request *r, const struct conf_provider *p, const struct patience *patience,
                    struct error *err)
{
    struct str keys;
    return has_role_only(p) ? credential_get(p, fetch_keys, patience, r->arena, &keys, err) : 0;
}

static int put_bearer(struct str key, struct buf *head, struct error *err)
{
    if (!http_value_ok(key))
        return error_set(err, "the API key holds bytes that may not be sent");
    buf_add(head, STR("authorization: Bearer "));
    buf_add(head, key);
    buf_add(head, STR("\r\n"));
    return head->full ? error_set(err, "the request's head is too large") : 0;
}

/* The value of a line among those that go with the request. */
static struct str line_of(struct str lines, const char *name)
{
    struct str line, head;
    while (str_split(&lines, '\n', &line)) {
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (str_split(&line, ':', &head) && str_ieq(head, str_of(name)))
            return str_trim(line);
    }
    return STR_NULL;
}

static int sign(const struct conf_provider *p, const struct sigv4_keys *keys, const struct signing *s,
                struct buf *head, struct error *err)
{
    struct http_header headers[2] = {{STR("host"), s->host}};
    struct str type = line_of(s->headers, "content-type"), query = s->path, path = s->path;
    if (type.n > 0)
        headers[1] = (struct http_header){STR("content-type"), type};
    if (!str_split(&query, '?', &path))
        return error_set(err, "the request has no path");
    struct sigv4_request rq = {.method = s->method,
                               .path = path,
                               .query = query,
                               .headers = headers,
                               .n_headers = type.n > 0 ? 2 : 1,
                               .body = s->body};
    return sigv4_sign(keys, str_of(p->region), STR("bedrock"), clock_wall_us() / 1000000, &rq, head, err);
}

static int sign_as_role(const struct conf_provider *p, const struct signing *s, struct buf *head,
                        struct error *err)
{
    struct arena a;
    struct str text = STR_NULL;
    struct sigv4_keys keys;
    struct patience patience = {.deadline_ns = clock_mono_ns() + NS_PER_SEC};
    arena_init(&a);
    int result = credential_get(p, fetch_keys, &patience, &a, &text, err);
    struct str whole = text;
    if (result == 0) {
        bool all = str_split(&text, '\n', &keys.access) && str_split(&text, '\n', &keys.secret) &&
                   str_split(&text, '\n', &keys.session);
        result = all ? sign(p, &keys, s, head, err) : error_set(err, "the role's keys are malformed");
    }
    if (whole.n > 0) /* the arena's memory is used again by others */
        OPENSSL_cleanse((void *)(uintptr_t)whole.p, whole.n);
    arena_fini(&a);
    return result;
}

int bedrock_authorize(const struct conf_provider *p, const struct signing *s, struct buf *head,
                      struct error *err)
{
    struct str key = secret_get(p->name);
    struct sigv4_keys keys = {
        .access = own(p, "access"), .secret = own(p, "secret"), .session = own(p, "session")};
    if (key.n > 0)
        return put_bearer(key, head, err);
    if (!p->region)
        return error_set(err, "provider %s has no region", p->name);
    return keys.access.n > 0 ? sign(p, &keys, s, head, err) : sign_as_role(p, s, head, err);
}

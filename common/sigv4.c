/* The signature covers a canonical form of the request: method, path, query, headers and the hash of the
 * body, each brought into the one form that both sides can make of it. Two traps: the path is encoded as it
 * is sent, so an escape in it is encoded a second time ("%3A" signs as "%253A"); a query's parts are decoded
 * first, so they are encoded once.
 *
 * The signing key depends on day, region, service and secret only, so a few of them are kept; which secret a
 * kept one belongs to is known by its hash. Run by workers, which have one thread. */
#include "sigv4.h"

#include "hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

enum { MAX_CANONICAL = 1024 * 1024, AMZ_DATE = 17, DATE = 8 };

static void add_hex(struct buf *b, const uint8_t digest[32])
{
    static const char digits[] = "0123456789abcdef";
    char text[64];
    for (int i = 0; i < 32; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    buf_add(b, (struct str){text, sizeof(text)});
}

static void add_hash(struct buf *b, struct str bytes)
{
    uint8_t digest[32];
    sha256(bytes.p, bytes.n, digest);
    add_hex(b, digest);
}

/* ---- the path */

static void add_encoded(struct buf *b, unsigned char c, bool slash)
{
    bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                 c == '_' || c == '.' || c == '~' || (slash && c == '/');
    if (plain)
        buf_add_byte(b, (char)c);
    else
        buf_printf(b, "%%%02X", c);
}

/* The path without "." and ".." and empty segments (RFC 3986, 5.2.4; a slash at its end stays). */
static void add_normalised(struct buf *b, struct str path)
{
    struct str segment;
    bool dots = false;
    while (str_split(&path, '/', &segment)) {
        dots = str_eq(segment, STR(".")) || str_eq(segment, STR(".."));
        if (segment.n == 2 && dots)
            while (b->n > 0 && b->p[--b->n] != '/')
                ;
        if (segment.n == 0 || dots)
            continue;
        buf_add_byte(b, '/');
        buf_add(b, segment);
    }
    if (b->n == 0 || dots)
        buf_add_byte(b, '/');
}

static void add_path(struct buf *b, const struct sigv4_request *rq)
{
    struct buf resolved;
    struct str path = rq->path.n > 0 ? rq->path : STR("/");
    buf_init(&resolved, MAX_CANONICAL);
    if (!rq->path_as_is) {
        add_normalised(&resolved, path);
        if (path.p[path.n - 1] == '/' && resolved.p && resolved.p[resolved.n - 1] != '/')
            buf_add_byte(&resolved, '/');
        path = buf_str(&resolved);
    }
    for (size_t i = 0; i < path.n; i++)
        add_encoded(b, (unsigned char)path.p[i], true);
    buf_free(&resolved);
}

/* ---- the query */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decoded, and encoded as it is to be signed. */
static void add_parameter_part(struct buf *b, struct str part)
{
    for (size_t i = 0; i < part.n; i++) {
        int high = -1, low = -1;
        if (part.p[i] == '%' && i + 2 < part.n) {
            high = hex_digit(part.p[i + 1]);
            low = hex_digit(part.p[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            add_encoded(b, (unsigned char)(high << 4 | low), false);
            i += 2;
        } else
            add_encoded(b, (unsigned char)part.p[i], false);
    }
}

struct parameter {
    size_t name, name_n, value_n; /* places in a buf: name, then value */
    const struct buf *in;
};

static int compare_bytes(const char *a, size_t a_n, const char *b, size_t b_n)
{
    int order = memcmp(a, b, a_n < b_n ? a_n : b_n);
    return order ? order : (a_n > b_n) - (a_n < b_n);
}

static int compare_parameters(const void *left, const void *right)
{
    const struct parameter *a = left, *b = right;
    const char *p = a->in->p + a->name, *q = b->in->p + b->name;
    int order = compare_bytes(p, a->name_n, q, b->name_n);
    return order ? order : compare_bytes(p + a->name_n, a->value_n, q + b->name_n, b->value_n);
}

static int add_query(struct buf *b, struct str query, struct error *err)
{
    struct parameter list[MAX_SIGNED_PARAMETERS];
    struct buf parts;
    struct str pair, name;
    size_t n = 0;
    buf_init(&parts, MAX_CANONICAL);
    while (str_split(&query, '&', &pair)) {
        if (pair.n == 0)
            continue;
        if (n == MAX_SIGNED_PARAMETERS) {
            buf_free(&parts);
            return error_set(err, "a request with more than %d parameters can't be signed", (int)n);
        }
        list[n] = (struct parameter){.name = parts.n, .in = &parts};
        str_split(&pair, '=', &name);
        add_parameter_part(&parts, name);
        list[n].name_n = parts.n - list[n].name;
        add_parameter_part(&parts, pair);
        list[n].value_n = parts.n - list[n].name - list[n].name_n;
        n++;
    }
    bool full = parts.full;
    if (n > 1 && !full)
        qsort(list, n, sizeof(*list), compare_parameters);
    for (size_t i = 0; i < n && !full; i++) {
        if (i > 0)
            buf_add_byte(b, '&');
        buf_add(b, (struct str){parts.p + list[i].name, list[i].name_n});
        buf_add_byte(b, '=');
        buf_add(b, (struct str){parts.p + list[i].name + list[i].name_n, list[i].value_n});
    }
    buf_free(&parts);
    return full ? error_set(err, "the request's query is too long to be signed") : 0;
}

/* ---- the headers */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static int compare_names(struct str a, struct str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return (unsigned char)lower(a.p[i]) - (unsigned char)lower(b.p[i]);
    return (a.n > b.n) - (a.n < b.n);
}

/* Runs of white space as one space, none at the ends. */
static void add_folded(struct buf *b, struct str value)
{
    bool gap = false, begun = false;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            gap = begun;
            continue;
        }
        if (gap)
            buf_add_byte(b, ' ');
        buf_add_byte(b, c);
        gap = false;
        begun = true;
    }
}

static void add_lower(struct buf *b, struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        buf_add_byte(b, lower(name.p[i]));
}

/* By name; those of the same name in their own order, as one line. */
static void add_headers(struct buf *b, struct buf *names, const struct sigv4_request *rq)
{
    const struct http_header *sorted[MAX_SIGNED_HEADERS];
    size_t n = 0;
    for (; n < rq->n_headers; n++) {
        size_t at = n;
        for (; at > 0 && compare_names(rq->headers[n].name, sorted[at - 1]->name) < 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &rq->headers[n];
    }
    for (size_t i = 0; i < n; i++) {
        bool again = i > 0 && compare_names(sorted[i]->name, sorted[i - 1]->name) == 0;
        if (again)
            buf_add_byte(b, ',');
        else {
            if (i > 0) {
                buf_add_byte(b, '\n');
                buf_add_byte(names, ';');
            }
            add_lower(b, sorted[i]->name);
            add_lower(names, sorted[i]->name);
            buf_add_byte(b, ':');
        }
        add_folded(b, sorted[i]->value);
    }
    buf_add_byte(b, '\n');
}

/* ---- what is signed */

int sigv4_canonical_request(const struct sigv4_request *rq, struct buf *canonical, struct buf *names,
                            struct error *err)
{
    if (rq->n_headers > MAX_SIGNED_HEADERS)
        return error_set(err, "a request with more than %d headers can't be signed", MAX_SIGNED_HEADERS);
    buf_add(canonical, rq->method);
    buf_add_byte(canonical, '\n');
    add_path(canonical, rq);
    buf_add_byte(canonical, '\n');
    if (add_query(canonical, rq->query, err) != 0)
        return -1;
    buf_add_byte(canonical, '\n');
    add_headers(canonical, names, rq);
    buf_add_byte(canonical, '\n');
    buf_add(canonical, buf_str(names));
    buf_add_byte(canonical, '\n');
    add_hash(canonical, rq->body);
    if (canonical->full || names->full)
        return error_set(err, "the request is too long to be signed");
    return 0;
}

static void add_scope(struct buf *b, const char *amz_date, struct str region, struct str service)
{
    buf_add(b, (struct str){amz_date, DATE});
    buf_add_byte(b, '/');
    buf_add(b, region);
    buf_add_byte(b, '/');
    buf_add(b, service);
    buf_add(b, STR("/aws4_request"));
}

int sigv4_string_to_sign(struct str canonical, const char *amz_date, struct str region, struct str service,
                         struct buf *out)
{
    buf_add(out, STR(ALGORITHM "\n"));
    buf_add(out, str_of(amz_date));
    buf_add_byte(out, '\n');
    add_scope(out, amz_date, region, service);
    buf_add_byte(out, '\n');
    add_hash(out, canonical);
    return out->full ? -1 : 0;
}

/* ---- keys */

static int hmac(const void *key, size_t key_n, struct str text, uint8_t out[32])
{
    unsigned n = 32;
    return HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)(text.p ? text.p : ""), text.n, out,
                &n) &&
                   n == 32
               ? 0
               : -1;
}

int sigv4_key(struct str secret, const char *amz_date, struct str region, struct str service, uint8_t out[32])
{
    char first[4 + 512] = "AWS4";
    if (secret.n > sizeof(first) - 4)
        return -1;
    memcpy(first + 4, secret.p, secret.n);
    int result = hmac(first, 4 + secret.n, (struct str){amz_date, DATE}, out) == 0 &&
                         hmac(out, 32, region, out) == 0 && hmac(out, 32, service, out) == 0 &&
                         hmac(out, 32, STR("aws4_request"), out) == 0
                     ? 0
                     : -1;
    OPENSSL_cleanse(first, sizeof(first));
    return result;
}

struct kept_key {
    uint8_t secret[32]; /* its hash */
    char day[DATE], region[64], service[32];
    uint8_t key[32];
    bool used;
};

static bool is_of(const struct kept_key *k, const uint8_t secret[32], const char *amz_date, struct str region,
                  struct str service)
{
    return k->used && memcmp(k->secret, secret, 32) == 0 && memcmp(k->day, amz_date, DATE) == 0 &&
           str_eq(str_of(k->region), region) && str_eq(str_of(k->service), service);
}

/* The kept one, or a new one in the place of the longest kept. */
static const uint8_t *key_of(struct str secret, const char *amz_date, struct str region, struct str service,
                             struct error *err)
{
    enum { KEPT = 8 };
    static struct kept_key kept[KEPT];
    static unsigned next;
    uint8_t hash[32];
    sha256(secret.p, secret.n, hash);
    for (int i = 0; i < KEPT; i++)
        if (is_of(&kept[i], hash, amz_date, region, service))
            return kept[i].key;
    struct kept_key *k = &kept[next++ % KEPT];
    OPENSSL_cleanse(k, sizeof(*k));
    if (str_copy(k->region, sizeof(k->region), region) != 0 ||
        str_copy(k->service, sizeof(k->service), service) != 0 ||
        sigv4_key(secret, amz_date, region, service, k->key) != 0) {
        error_set(err, "the signing key can't be derived");
        return NULL;
    }
    memcpy(k->secret, hash, 32);
    memcpy(k->day, amz_date, DATE);
    k->used = true;
    return k->key;
}

/* ---- signing */

static int add_authorization(const struct sigv4_keys *keys, struct str region, struct str service,
                             const char *amz_date, const struct sigv4_request *rq, struct buf *lines,
                             struct error *err)
{
    struct buf canonical, names, text;
    uint8_t signature[32];
    buf_init(&canonical, MAX_CANONICAL);
    buf_init(&names, MAX_CANONICAL);
    buf_init(&text, MAX_CANONICAL);
    const uint8_t *key = key_of(keys->secret, amz_date, region, service, err);
    int result = key ? sigv4_canonical_request(rq, &canonical, &names, err) : -1;
    if (result == 0 && (sigv4_string_to_sign(buf_str(&canonical), amz_date, region, service, &text) != 0 ||
                        hmac(key, 32, buf_str(&text), signature) != 0))
        result = error_set(err, "the request can't be signed");
    if (result == 0) {
        buf_add(lines, STR("authorization: " ALGORITHM " Credential="));
        buf_add(lines, keys->access);
        buf_add_byte(lines, '/');
        add_scope(lines, amz_date, region, service);
        buf_add(lines, STR(", SignedHeaders="));
        buf_add(lines, buf_str(&names));
        buf_add(lines, STR(", Signature="));
        add_hex(lines, signature);
        buf_add(lines, STR("\r\n"));
    }
    buf_free(&canonical);
    buf_free(&names);
    buf_free(&text);
    return result;
}

static void add_line(struct buf *b, const char *name, struct str value)
{
    buf_add(b, str_of(name));
    buf_add(b, STR(": "));
    buf_add(b, value);
    buf_add(b, STR("\r\n"));
}

int sigv4_sign(const struct sigv4_keys *keys, struct str region, struct str service, int64_t time_s,
               const struct sigv4_request *rq, struct buf *lines, struct error *err)
{
    struct http_header headers[MAX_SIGNED_HEADERS];
    char amz_date[AMZ_DATE] = "";
    struct tm tm;
    time_t t = (time_t)time_s;
    size_t n = rq->n_headers;
    if (keys->access.n == 0 || keys->secret.n == 0 || !http_value_ok(keys->access) ||
        !http_value_ok(keys->session))
        return error_set(err, "the access key is missing, or holds bytes that may not be sent");
    if (n + 2 > MAX_SIGNED_HEADERS)
        return error_set(err, "a request with %zu headers can't be signed", n);
    if (!gmtime_r(&t, &tm) || strftime(amz_date, sizeof(amz_date), "%Y%m%dT%H%M%SZ", &tm) != AMZ_DATE - 1)
        return error_set(err, "the clock is wrong");
    if (n > 0)
        memcpy(headers, rq->headers, n * sizeof(*headers));
    headers[n++] = (struct http_header){STR("x-amz-date"), str_of(amz_date)};
    add_line(lines, "x-amz-date", str_of(amz_date));
    if (keys->session.n > 0) {
        headers[n++] = (struct http_header){STR("x-amz-security-token"), keys->session};
        add_line(lines, "x-amz-security-token", keys->session);
    }
    struct sigv4_request all = *rq;
    all.headers = headers;
    all.n_headers = n;
    if (add_authorization(keys, region, service, amz_date, &all, lines, err) != 0)
        return -1;
    return lines->full ? error_set(err, "the request's head is too large") : 0;
}

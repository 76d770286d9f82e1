/* The text of a request to a provider. Only bytes that were checked go into it: method, path and header lines
 * are checked here once more, whoever built them, because everything behind this point is one text. The
 * client's own lines never get here, and the credential comes from the secrets region. Run by workers. */
#include "upstream_exchange.h"

#include "provider.h"
#include "secret.h"

#include <string.h>

enum { SEND_TOGETHER = 8 * 1024 /* a body up to this is copied behind its head */ };

static bool lines_ok(struct str lines)
{
    while (lines.n > 0) {
        const char *end = memmem(lines.p, lines.n, "\r\n", 2);
        if (!end)
            return false;
        struct str line = {lines.p, (size_t)(end - lines.p)}, name;
        lines.p = end + 2;
        lines.n -= line.n + 2;
        bool colon = line.n > 0 && memchr(line.p, ':', line.n);
        if (!colon || !str_split(&line, ':', &name) || !http_token_ok(name) || !http_value_ok(line))
            return false;
    }
    return true;
}

static void put_line(struct buf *b, const char *name, struct str value)
{
    buf_add(b, str_of(name));
    buf_add(b, STR(": "));
    buf_add(b, value);
    buf_add(b, STR("\r\n"));
}

/* "Bearer KEY", what most providers take. */
static int put_bearer(struct buf *b, const struct conf_provider *p, struct error *err)
{
    struct str secret = secret_get(p->name);
    if (secret.n == 0)
        return 0;
    if (!http_value_ok(secret))
        return error_set(err, "provider %s: its credential holds bytes that may not be sent", p->name);
    buf_add(b, STR("authorization: Bearer "));
    buf_add(b, secret);
    return buf_add(b, STR("\r\n"));
}

static int put_lines(struct upstreams *u, const struct upstream_call *call, const struct conf_provider *p,
                     struct error *err)
{
    if (!call->authorize)
        return put_bearer(&u->out, p, err);
    size_t before = u->out.n;
    struct signing s = {.method = call->method,
                        .path = call->path,
                        .host = u->sides[call->provider].url.authority,
                        .headers = call->headers,
                        .body = call->body};
    if (call->authorize(p, &s, &u->out, err) != 0)
        return -1;
    struct str lines = {u->out.p + before, u->out.n - before};
    return lines_ok(lines)
               ? 0
               : error_set(err, "provider %s: its credential holds bytes that may not be sent", p->name);
}

static int put_credential(struct upstreams *u, const struct upstream_call *call,
                          const struct conf_provider *p, struct error *err)
{
    u->credential_at = u->out.n;
    int rc = put_lines(u, call, p, err);
    u->credential_n = u->out.n - u->credential_at;
    return rc;
}

struct str upstream_credential(const struct upstreams *u)
{
    if (u->credential_at + u->credential_n > u->out.n)
        return STR_NULL;
    return (struct str){u->out.p + u->credential_at, u->credential_n};
}

static int put_configured(struct buf *b, const struct conf_provider *p, struct error *err)
{
    for (size_t i = 0; i < p->n_headers; i++) {
        struct str value = str_of(p->headers[i].value);
        if (!http_token_ok(str_of(p->headers[i].name)) || !http_value_ok(value))
            return error_set(err, "provider %s: header %zu holds bytes that may not be sent", p->name, i + 1);
        put_line(b, p->headers[i].name, value);
    }
    return 0;
}

static bool takes_body(struct str method)
{
    return str_eq(method, STR("POST")) || str_eq(method, STR("PUT")) || str_eq(method, STR("PATCH"));
}

int upstream_build(struct upstreams *u, const struct upstream_call *call, struct str *body, struct error *err)
{
    struct buf *b = &u->out;
    const struct conf_provider *p = &u->worker->config->providers[call->provider];
    if (u->sides[call->provider].url.authority.n == 0)
        return error_set(err, "provider %s: base_url can't be used", p->name);
    if (!http_token_ok(call->method) || !upstream_path_ok(call->path) || !lines_ok(call->headers))
        return error_set(err, "provider %s: request line or header lines hold bytes that may not be sent",
                         p->name);
    buf_reset(b);
    u->credential_n = 0;
    buf_add(b, call->method);
    buf_add_byte(b, ' ');
    buf_add(b, call->path);
    buf_add(b, STR(" HTTP/1.1\r\n"));
    put_line(b, "host", u->sides[call->provider].url.authority);
    if (put_configured(b, p, err) != 0 || put_credential(u, call, p, err) != 0)
        return -1;
    buf_add(b, call->headers);
    buf_add(b, STR("accept-encoding: identity\r\nuser-agent: aigw/" AIGW_VERSION "\r\n"));
    if (call->body.n > 0 || takes_body(call->method)) {
        char digits[20];
        size_t at = sizeof(digits), n = call->body.n;
        do
            digits[--at] = (char)('0' + n % 10);
        while ((n /= 10) > 0);
        put_line(b, "content-length", (struct str){digits + at, sizeof(digits) - at});
    }
    buf_add(b, STR("\r\n"));
    if (b->full)
        return error_set(err, "provider %s: the request's head is too large", p->name);
    *body = call->body;
    if (body->n > 0 && body->n <= SEND_TOGETHER && buf_add(b, *body) == 0)
        *body = STR_NULL;
    return 0;
}

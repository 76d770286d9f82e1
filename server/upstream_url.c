/* Reads base URLs. The configuration was checked when it was loaded; this is the second look of the one who
 * acts on it, and it is stricter than libcurl's own parser, which would take a user or an encoded host. */
#include "upstream_url.h"

#include <string.h>

enum { MAX_AUTHORITY = 300 }; /* a DNS name has 253 bytes at most */

static bool host_byte_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
}

/* "." or "..", in whatever spelling: a server may resolve it before it looks at the path. */
static bool is_dots(struct str step)
{
    static const struct str dots[] = {STR("."), STR("%2e")};
    size_t n = 0;
    while (step.n > 0) {
        size_t i = 0;
        while (i < 2 && !(step.n >= dots[i].n && str_ieq((struct str){step.p, dots[i].n}, dots[i])))
            i++;
        if (i == 2)
            return false;
        step.p += dots[i].n, step.n -= dots[i].n, n++;
    }
    return n == 1 || n == 2;
}

static bool has_dots(struct str path)
{
    const char *query = memchr(path.p, '?', path.n);
    struct str step;
    if (query)
        path.n = (size_t)(query - path.p);
    while (str_split(&path, '/', &step))
        if (is_dots(step))
            return true;
    return false;
}

bool upstream_path_ok(struct str path)
{
    if (path.n == 0 || path.p[0] != '/' || has_dots(path))
        return false;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] <= ' ' || path.p[i] >= 0x7f || path.p[i] == '#')
            return false;
    return true;
}

int upstream_url_parse(struct str base_url, struct upstream_url *out, struct error *err)
{
    if (base_url.n == 0) {
        *out = (struct upstream_url){.authority = STR("virtual"), .path = STR("/v1")};
        return 0;
    }
    struct str rest = base_url;
    bool tls = str_starts(rest, STR("https://"));
    if (!tls && !str_starts(rest, STR("http://")))
        return error_set(err, "base URL does not begin with https:// or http://");
    rest.p += tls ? 8 : 7;
    rest.n -= tls ? 8 : 7;
    const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
    size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
    struct str authority = {rest.p, n}, path = {rest.p + n, rest.n - n};
    if (authority.n == 0 || authority.n > MAX_AUTHORITY)
        return error_set(err, "base URL has no host, or one that is too long");
    for (size_t i = 0; i < n; i++)
        if (!host_byte_ok(authority.p[i]))
            return error_set(err, "base URL has a host with other bytes than a name, an address and a port");
    while (path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    if (path.n > 0 && (!upstream_path_ok(path) || memchr(path.p, '?', path.n)))
        return error_set(err, "base URL has a path with a query or with bytes that may not be sent");
    *out = (struct upstream_url){.tls = tls, .authority = authority, .path = path};
    return 0;
}

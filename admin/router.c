/* Which call does what: this table is what /openapi.json describes (a test compares them).
 *
 * Authorisation comes on the head, before a body is read, and before it is said whether a path exists. */
#include "router.h"

#include "api.h"
#include "clock.h"
#include "log.h"

const struct route admin_routes[] = {
    {"GET", "/", dashboard_page, "", true},
    {"GET", "/healthz", health_get, "", true},
    {"GET", "/metrics", metrics_get, "", false},
    {"GET", "/openapi.json", openapi_get, "", false},
    {"GET", "/v1/stats", stats_get, "", false},
    {"GET", "/v1/keys", keys_list, "team,limit,after", false},
    {"POST", "/v1/keys", keys_create, "", false},
    {"GET", "/v1/keys/{id}", keys_get, "", false},
    {"PATCH", "/v1/keys/{id}", keys_change, "", false},
    {"DELETE", "/v1/keys/{id}", keys_delete, "", false},
    {"POST", "/v1/keys/{id}/rotate", keys_rotate, "", false},
    {"POST", "/v1/keys/{id}/block", keys_block, "", false},
    {"POST", "/v1/keys/{id}/unblock", keys_unblock, "", false},
    {"GET", "/v1/teams", teams_list, "", false},
    {"GET", "/v1/teams/{name}", teams_get, "", false},
    {"PUT", "/v1/teams/{name}", teams_put, "", false},
    {"GET", "/v1/usage", usage_get, "group_by,from,to,format", false},
    {"GET", "/v1/usage/rows", usage_rows, "from_us,key,limit", false},
    {"GET", "/v1/models", models_list, "", false},
    {"GET", "/v1/providers", providers_list, "", false},
    {"POST", "/v1/cache/purge", cache_purge_post, "", false},
    {"GET", "/v1/cache/stats", cache_stats_get, "", false},
    {"POST", "/v1/reload", reload_post, "", false},
    {"GET", "/v1/audit", audit_list, "limit", false},
};
const size_t admin_route_count = sizeof admin_routes / sizeof *admin_routes;

/* Segment by segment; *object becomes what stands for {…}, still encoded. */
static bool matches(const char *pattern, struct str path, struct str *object)
{
    struct str want = str_of(pattern), a, b;
    *object = STR_NULL;
    for (;;) {
        bool more = str_split(&want, '/', &a);
        if (more != str_split(&path, '/', &b))
            return false;
        if (!more)
            return true;
        if (a.n && a.p[0] == '{') {
            if (!b.n)
                return false;
            *object = b;
        } else if (!str_eq(a, b)) {
            return false;
        }
    }
}

/* A trailing slash would vanish in the splitting: "/v1/keys/" is not "/v1/keys". */
static bool path_matches(const char *pattern, struct str path, struct str *object)
{
    bool slash = path.n > 1 && path.p[path.n - 1] == '/';
    return !slash && matches(pattern, path, object);
}

static struct str method_of(const struct http_head *head)
{
    return str_eq(head->method, STR("HEAD")) ? STR("GET") : head->method;
}

static const struct route *find(const struct http_head *head, struct str *object)
{
    for (size_t i = 0; i < admin_route_count; i++)
        if (str_eq(method_of(head), str_of(admin_routes[i].method)) &&
            path_matches(admin_routes[i].path, head->path, object))
            return &admin_routes[i];
    return NULL;
}

/* No route for this method: 405 when the path has others, else 404. */
static void refuse(const struct exchange *x)
{
    struct buf allow;
    struct str object;
    buf_init(&allow, 128);
    for (size_t i = 0; i < admin_route_count; i++)
        if (path_matches(admin_routes[i].path, x->head->path, &object)) {
            bool get = !strcmp(admin_routes[i].method, "GET");
            buf_printf(&allow, "%s%s%s", allow.n ? ", " : "", admin_routes[i].method, get ? ", HEAD" : "");
        }
    if (allow.n) {
        reply_error(x->reply, 405, "method_not_allowed", NULL, "this path does not take " STR_FMT,
                    STR_ARG(x->head->method));
        reply_header(x->reply, "allow", arena_copy(x->arena, buf_str(&allow)).p);
    } else {
        reply_error(x->reply, 404, "not_found", NULL, "there is nothing at " STR_FMT, STR_ARG(x->head->path));
    }
    buf_free(&allow);
}

/* A page of somebody else whose name was bent to our loopback address (DNS rebinding) sends its own name. */
static bool host_is_ours(const struct admin *a, const struct http_head *head)
{
    struct str host;
    if (!*a->host || !http_find(head, "host", &host))
        return true;
    size_t n = host.n;
    while (n && host.p[n - 1] >= '0' && host.p[n - 1] <= '9')
        n--;
    if (n && n < host.n && host.p[n - 1] == ':')
        host.n = n - 1;
    return str_ieq(host, STR("localhost")) || str_eq(host, STR("127.0.0.1")) || str_eq(host, STR("[::1]")) ||
           str_eq(host, str_of(a->host));
}

static bool authorised(const struct admin *a, const struct http_head *head)
{
    struct str value;
    return http_find(head, "authorization", &value) && token_matches(&a->token, value);
}

/* At most a line a second: the log's disk is not the guesser's. */
static void log_refused(struct admin *a, const char *peer)
{
    int64_t now_ns = clock_mono_ns();
    if (a->refused_log_ns && now_ns - a->refused_log_ns < NS_PER_SEC) {
        a->refused_unlogged++;
        return;
    }
    log_warn("no or a wrong admin token from %s (and %llu more before)", peer,
             (unsigned long long)a->refused_unlogged);
    a->refused_log_ns = now_ns;
    a->refused_unlogged = 0;
}

static bool admit(struct exchange *x, void *arg)
{
    struct admin *a = arg;
    struct str object;
    const struct route *route = find(x->head, &object);
    if (a->metrics)
        METRIC_INC(a->metrics, admin_requests_total);
    if (!host_is_ours(a, x->head)) {
        reply_error(x->reply, 403, "host_not_allowed", NULL, "the Host header names none of our addresses");
        return false;
    }
    if (!(route && route->open) && !authorised(a, x->head)) {
        if (a->metrics)
            METRIC_INC(a->metrics, admin_auth_failed_total);
        log_refused(a, x->peer);
        reply_error(x->reply, 401, "invalid_token", NULL,
                    "this needs the admin token: authorization: Bearer TOKEN");
        reply_header(x->reply, "www-authenticate", "Bearer realm=\"aigw-admin\"");
        return false;
    }
    if (!route) {
        refuse(x);
        return false;
    }
    return true;
}

static bool serve(struct exchange *x, void *arg)
{
    struct str encoded, object = STR("");
    const struct route *route = find(x->head, &encoded);
    struct call c = {.admin = arg, .x = x};
    if (!route)
        refuse(x);
    else if (encoded.p && call_decode(x->arena, encoded, false, &object))
        reply_error(x->reply, 400, "invalid_value", NULL, "the path is not properly percent-encoded");
    else if (!call_check_query(&c, route->query)) {
        c.object = object.p;
        route->handle(&c);
    }
    if (!c.park && !x->reply->status)
        reply_error(x->reply, 500, "internal_error", NULL, "no answer was made");
    return !c.park;
}

struct handler router_handler(struct admin *a)
{
    return (struct handler){.admit = admit, .serve = serve, .late = reload_late, .arg = a};
}

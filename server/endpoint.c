/* Which endpoint a method and path mean: one table of exact paths and prefixes.
 *
 * SDKs disagree on whether a base URL ends with the version, and people give it either way, or with a slash
 * at its end: a version that stands there twice, or not at all, is understood all the same.
 *
 * The path is compared as it was sent. What could be read as another path by another parser (dot segments,
 * empty segments, encoded slashes, dots, backslashes or NULs) never matches, so that the part which is passed
 * through to a provider names exactly what was checked here. Run by workers only. */
#include "endpoint.h"

#include <string.h>

enum {
    M_GET = 1 << 0,
    M_POST = 1 << 1,
    M_DELETE = 1 << 2,
    M_HEAD = 1 << 3,
    M_PUT = 1 << 4,
    M_PATCH = 1 << 5,
};

enum shape { EXACT, BELOW /* the prefix itself, or more segments */, UNDER /* at least one more segment */ };

static const struct route {
    struct str path; /* behind the version */
    enum shape shape;
    unsigned methods;
    enum endpoint endpoint;
    const char *allow;
} routes[] = {
    {STR("/chat/completions"), EXACT, M_POST, EP_CHAT, "POST"},
    {STR("/completions"), EXACT, M_POST, EP_COMPLETIONS, "POST"},
    {STR("/embeddings"), EXACT, M_POST, EP_EMBEDDINGS, "POST"},
    {STR("/responses"), EXACT, M_POST, EP_RESPONSES, "POST"},
    {STR("/responses"), UNDER, M_GET | M_POST | M_DELETE, EP_RESPONSES, "GET, POST, DELETE"},
    {STR("/messages"), EXACT, M_POST, EP_MESSAGES, "POST"},
    {STR("/messages/count_tokens"), EXACT, M_POST, EP_COUNT_TOKENS, "POST"},
    {STR("/models"), EXACT, M_GET | M_HEAD, EP_MODELS, "GET, HEAD"},
    {STR("/models"), UNDER, M_GET | M_HEAD, EP_MODEL, "GET, HEAD"},
    {STR("/moderations"), EXACT, M_POST, EP_MODERATIONS, "POST"},
    {STR("/images"), UNDER, M_POST, EP_IMAGES, "POST"},
    {STR("/audio"), UNDER, M_POST, EP_AUDIO, "POST"},
    {STR("/rerank"), EXACT, M_POST, EP_RERANK, "POST"},
    {STR("/files"), BELOW, M_GET | M_POST | M_DELETE, EP_FILES, "GET, POST, DELETE"},
    {STR("/batches"), BELOW, M_GET | M_POST, EP_BATCHES, "GET, POST"},
};

static const struct route open_routes[] = {
    {STR("/healthz"), EXACT, M_GET | M_HEAD, EP_HEALTHZ, "GET, HEAD"},
    {STR("/readyz"), EXACT, M_GET | M_HEAD, EP_READYZ, "GET, HEAD"},
};

static unsigned method_bit(struct str m)
{
    static const struct {
        struct str name;
        unsigned bit;
    } methods[] = {
        {STR("GET"), M_GET},   {STR("POST"), M_POST}, {STR("DELETE"), M_DELETE},
        {STR("HEAD"), M_HEAD}, {STR("PUT"), M_PUT},   {STR("PATCH"), M_PATCH},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (str_eq(m, methods[i].name))
            return methods[i].bit;
    return 0;
}

/* "%" and two hex digits that stand for something which would change the path's segments. */
static bool escape_ambiguous(struct str s, bool slash_ok)
{
    static const struct str bad[] = {STR("%2f"), STR("%5c"), STR("%00"), STR("%2e")};
    struct str three = {s.p, 3};
    if (s.n < 3)
        return true;
    for (size_t i = slash_ok; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (str_ieq(three, bad[i]))
            return true;
    return false;
}

static bool ambiguous(struct str path, bool slash_ok)
{
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i], next = i + 1 < path.n ? path.p[i + 1] : '\0';
        if (c == '\\' || (c == '%' && escape_ambiguous((struct str){path.p + i, path.n - i}, slash_ok)))
            return true;
        if ((c == '/' && next == '/') || (c == '.' && next == '.'))
            return true;
        bool segment_end = i + 2 >= path.n || path.p[i + 2] == '/';
        if (c == '/' && next == '.' && segment_end)
            return true;
    }
    return path.n == 0 || path.p[0] != '/';
}

static bool path_ambiguous(struct str path)
{
    return ambiguous(path, false);
}

/* Google's methods stand behind the model's name: /v1beta/models/NAME:method. */
static const struct method {
    struct str name;
    enum endpoint endpoint;
    bool stream, batch;
} methods_of_google[] = {
    {STR("generateContent"), EP_GENERATE, false, false},
    {STR("streamGenerateContent"), EP_GENERATE, true, false},
    {STR("countTokens"), EP_COUNT_CONTENT, false, false},
    {STR("embedContent"), EP_EMBED_CONTENT, false, false},
    {STR("batchEmbedContents"), EP_EMBED_CONTENT, false, true},
};

/* Nobody but Google posts to what is below /models. */
static bool is_unknown_call(struct endpoint_match *m, struct str path)
{
    static const struct str prefixes[] = {STR("/v1beta/models/"), STR("/v1/models/"),
                                          STR("/v1alpha/models/")};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (!str_starts(path, prefixes[i]))
            continue;
        bool call = i != 1 || memchr(path.p + prefixes[i].n, ':', path.n - prefixes[i].n);
        if (call)
            m->dialect = DIALECT_GOOGLE;
        return call;
    }
    return false;
}

/* True: the path is one of them, known or not. */
static bool match_google(struct endpoint_match *m, unsigned method, struct str path)
{
    static const struct str prefixes[] = {STR("/v1beta/models/"), STR("/v1/models/"), STR("/v1alpha/models/"),
                                          STR("/models/")};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        const char *colon = str_starts(path, prefixes[i]) ? memrchr(path.p, ':', path.n) : NULL;
        struct str verb = {colon ? colon + 1 : NULL, colon ? path.n - (size_t)(colon + 1 - path.p) : 0};
        size_t from = prefixes[i].n;
        for (size_t k = 0; colon && k < sizeof(methods_of_google) / sizeof(methods_of_google[0]); k++) {
            const struct method *g = &methods_of_google[k];
            if (!str_eq(verb, g->name) || colon == path.p + from)
                continue;
            *m = (struct endpoint_match){
                .endpoint = g->endpoint,
                .dialect = DIALECT_GOOGLE,
                .rest = {path.p + from - 8, path.n - from + 8}, /* from "/models/" on */
                .model = {path.p + from, (size_t)(colon - path.p) - from},
                .stream = g->stream,
                .batch = g->batch};
            if (method != M_POST)
                *m =
                    (struct endpoint_match){.dialect = DIALECT_GOOGLE, .wrong_method = true, .allow = "POST"};
            return true;
        }
    }
    return method == M_POST && is_unknown_call(m, path); /* a method that we don't know */
}

static bool route_matches(const struct route *t, struct str path)
{
    if (!str_starts(path, t->path))
        return false;
    size_t more = path.n - t->path.n;
    if (more == 0)
        return t->shape != UNDER;
    return t->shape != EXACT && path.p[t->path.n] == '/' && more > 1;
}

/* ---- versions */

enum family { BARE, V1, GOOGLE_S };

static const struct door {
    struct str prefix;
    enum family family;
} doors[] = {
    {STR("/v1beta/openai"), V1}, /* Google's own for OpenAI's SDKs */
    {STR("/v1beta"), GOOGLE_S},
    {STR("/v1alpha"), GOOGLE_S},
    {STR("/v1"), V1},
};

static struct str behind(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

/* NULL: there is no version in front. */
static const struct door *door_of(struct str path)
{
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++)
        if (str_starts(path, doors[i].prefix) && path.n > doors[i].prefix.n &&
            path.p[doors[i].prefix.n] == '/')
            return &doors[i];
    return NULL;
}

/* "//x" is "/x": somebody's base URL ends with a slash. Only where a path of ours begins. */
static struct str one_slash(struct str path)
{
    return str_starts(path, STR("//")) ? behind(path, 1) : path;
}

/* Without a slash at its end, and with the last of several versions only: an SDK's own stands behind the base
 * URL's. */
static struct str plain(struct str path)
{
    const struct door *first;
    path = one_slash(path);
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    while ((first = door_of(path)) && door_of(behind(path, first->prefix.n)))
        path = behind(path, first->prefix.n);
    return path;
}

/* "/openai/deployments/NAME" in front, as Azure's SDKs have it: its length. The body names the model, too. */
static size_t azure_prefix(struct str path)
{
    static const struct str fixed = STR("/openai/deployments/");
    const char *end = str_starts(path, fixed) ? memchr(path.p + fixed.n, '/', path.n - fixed.n) : NULL;
    size_t n = end ? (size_t)(end - path.p) : 0;
    return n > fixed.n && !path_ambiguous((struct str){path.p, n}) ? n : 0;
}

/* Where it stands among the routes, and which of them it may mean. */
static struct str versionless(struct str path, enum family *family)
{
    const struct door *d = door_of(path);
    *family = d ? d->family : BARE;
    return d ? one_slash(behind(path, d->prefix.n)) : behind(path, azure_prefix(path));
}

static bool is_among(const struct route *t, enum family family)
{
    if (family == GOOGLE_S)
        return t->endpoint == EP_MODELS || t->endpoint == EP_MODEL;
    return family == V1 || t->shape == EXACT; /* what is not exact could be a provider's name */
}

static enum dialect dialect_of(struct str path)
{
    enum family family;
    struct str tail = versionless(path, &family);
    if (family == GOOGLE_S)
        return DIALECT_GOOGLE;
    return str_starts(tail, STR("/messages")) ? DIALECT_ANTHROPIC : DIALECT_OPENAI;
}

/* "/{provider}/rest", the first segment being none of ours. Whether that provider exists is the plan's
 * question. */
static void match_native(struct endpoint_match *m, unsigned method, struct str path)
{
    struct str rest = {path.p + 1, path.n - 1}, name;
    if (!str_split(&rest, '/', &name) || name.n == 0 || rest.n == 0 || str_eq(name, STR("v1")) ||
        str_eq(name, STR("v1beta")) || str_eq(name, STR("v1alpha")))
        return;
    m->allow = "GET, POST, PUT, PATCH, DELETE";
    m->wrong_method = !(method & (M_GET | M_POST | M_PUT | M_PATCH | M_DELETE));
    if (m->wrong_method)
        return;
    m->endpoint = EP_NATIVE;
    m->provider = name;
    m->rest = (struct str){rest.p - 1, rest.n + 1};
    m->dialect = dialect_of(m->rest);
}

/* True: it is the route's path; the method may be wrong. */
static bool take_route(struct endpoint_match *m, const struct route *t, unsigned method, struct str tail)
{
    if (!route_matches(t, tail))
        return false;
    m->wrong_method = !(method & t->methods);
    if (m->wrong_method)
        m->allow = t->allow;
    else {
        m->endpoint = t->endpoint;
        m->rest = t->endpoint == EP_MODEL ? behind(tail, t->path.n + 1) : tail;
    }
    return true;
}

struct endpoint_match endpoint_match(struct str method, struct str path)
{
    struct str known = plain(path);
    struct endpoint_match m = {.endpoint = EP_NONE, .dialect = dialect_of(known)};
    enum family family;
    struct str tail = versionless(known, &family);
    unsigned bit = method_bit(method);
    /* a model's id may hold a slash, which SDKs encode; that one is only looked up here */
    bool lookup = (bit & (M_GET | M_HEAD)) && str_starts(tail, STR("/models/"));
    if (ambiguous(tail, lookup))
        return m;
    if (!path_ambiguous(known) && match_google(&m, bit, known))
        return m;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (is_among(&routes[i], family) && take_route(&m, &routes[i], bit, tail))
            return m;
    for (size_t i = 0; i < sizeof(open_routes) / sizeof(open_routes[0]); i++)
        if (take_route(&m, &open_routes[i], bit, path)) {
            m.rest = STR_NULL;
            return m;
        }
    if (!path_ambiguous(path))
        match_native(&m, bit, path);
    return m;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct str percent_decoded(struct str s, struct arena *a)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int hi = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1, lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
        if (s.p[i] != '%' || hi < 0 || lo < 0) {
            p[n++] = s.p[i];
            continue;
        }
        p[n++] = (char)(hi << 4 | lo);
        i += 2;
    }
    return (struct str){p, n};
}

bool endpoint_is_metered(enum endpoint e)
{
    return endpoint_generates(e) || e == EP_EMBEDDINGS || e == EP_EMBED_CONTENT;
}

bool endpoint_generates(enum endpoint e)
{
    return e == EP_CHAT || e == EP_COMPLETIONS || e == EP_RESPONSES || e == EP_MESSAGES || e == EP_GENERATE;
}

bool endpoint_counts_tokens(enum endpoint e)
{
    return e == EP_COUNT_TOKENS || e == EP_COUNT_CONTENT;
}

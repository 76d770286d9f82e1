/* Which endpoint a method and path mean: one table of exact paths and prefixes.
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
    struct str path;
    enum shape shape;
    unsigned methods;
    enum endpoint endpoint;
    const char *allow;
} routes[] = {
    {STR("/v1/chat/completions"), EXACT, M_POST, EP_CHAT, "POST"},
    {STR("/v1/completions"), EXACT, M_POST, EP_COMPLETIONS, "POST"},
    {STR("/v1/embeddings"), EXACT, M_POST, EP_EMBEDDINGS, "POST"},
    {STR("/v1/responses"), EXACT, M_POST, EP_RESPONSES, "POST"},
    {STR("/v1/responses"), UNDER, M_GET | M_POST | M_DELETE, EP_RESPONSES, "GET, POST, DELETE"},
    {STR("/v1/messages"), EXACT, M_POST, EP_MESSAGES, "POST"},
    {STR("/v1/messages/count_tokens"), EXACT, M_POST, EP_COUNT_TOKENS, "POST"},
    {STR("/v1beta/models"), EXACT, M_GET, EP_MODELS, "GET"},
    {STR("/v1beta/models"), UNDER, M_GET, EP_MODEL, "GET"},
    {STR("/v1/models"), EXACT, M_GET, EP_MODELS, "GET"},
    {STR("/v1/models"), UNDER, M_GET, EP_MODEL, "GET"},
    {STR("/v1/moderations"), EXACT, M_POST, EP_MODERATIONS, "POST"},
    {STR("/v1/images"), UNDER, M_POST, EP_IMAGES, "POST"},
    {STR("/v1/audio"), UNDER, M_POST, EP_AUDIO, "POST"},
    {STR("/v1/rerank"), EXACT, M_POST, EP_RERANK, "POST"},
    {STR("/v1/files"), BELOW, M_GET | M_POST | M_DELETE, EP_FILES, "GET, POST, DELETE"},
    {STR("/v1/batches"), BELOW, M_GET | M_POST, EP_BATCHES, "GET, POST"},
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
static bool escape_ambiguous(struct str s)
{
    static const struct str bad[] = {STR("%2f"), STR("%5c"), STR("%00"), STR("%2e")};
    struct str three = {s.p, 3};
    if (s.n < 3)
        return true;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (str_ieq(three, bad[i]))
            return true;
    return false;
}

static bool path_ambiguous(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i], next = i + 1 < path.n ? path.p[i + 1] : '\0';
        if (c == '\\' || (c == '%' && escape_ambiguous((struct str){path.p + i, path.n - i})))
            return true;
        if ((c == '/' && next == '/') || (c == '.' && next == '.'))
            return true;
        bool segment_end = i + 2 >= path.n || path.p[i + 2] == '/';
        if (c == '/' && next == '.' && segment_end)
            return true;
    }
    return path.n == 0 || path.p[0] != '/';
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

/* True: the path is one of them, known or not. */
static bool match_google(struct endpoint_match *m, unsigned method, struct str path)
{
    static const struct str prefixes[] = {STR("/v1beta/models/"), STR("/v1/models/")};
    for (size_t i = 0; i < 2; i++) {
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
    return method == M_POST && str_starts(path, prefixes[0]); /* a method that we don't know */
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

static enum dialect dialect_of(struct str path)
{
    if (str_starts(path, STR("/v1/messages")))
        return DIALECT_ANTHROPIC;
    if (str_starts(path, STR("/v1beta/")))
        return DIALECT_GOOGLE;
    return DIALECT_OPENAI;
}

/* "/{provider}/rest", the first segment being none of ours. Whether that provider exists is the plan's
 * question. */
static void match_native(struct endpoint_match *m, unsigned method, struct str path)
{
    struct str rest = {path.p + 1, path.n - 1}, name;
    if (!str_split(&rest, '/', &name) || name.n == 0 || rest.n == 0 || str_eq(name, STR("v1")) ||
        str_eq(name, STR("v1beta")))
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

struct endpoint_match endpoint_match(struct str method, struct str path)
{
    struct endpoint_match m = {.endpoint = EP_NONE, .dialect = dialect_of(path)};
    if (path_ambiguous(path))
        return m;
    unsigned bit = method_bit(method);
    if (match_google(&m, bit, path))
        return m;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct route *t = &routes[i];
        if (!route_matches(t, path))
            continue;
        if (!(bit & t->methods)) {
            m.wrong_method = true;
            m.allow = t->allow;
            return m;
        }
        m.endpoint = t->endpoint;
        size_t skip = t->endpoint == EP_MODEL            ? t->path.n + 1
                      : str_starts(path, STR("/v1beta")) ? strlen("/v1beta")
                                                         : strlen("/v1");
        if (t->endpoint != EP_HEALTHZ && t->endpoint != EP_READYZ)
            m.rest = (struct str){path.p + skip, path.n - skip};
        return m;
    }
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

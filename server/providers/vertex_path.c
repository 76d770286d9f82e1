/* Where a model is found at Vertex AI. Run by workers.
 *
 * Gemini and Claude stand under their publishers, models that were tuned or deployed under endpoints, all of
 * them in a project and a location; with an API key (express mode) there is no project in the path. Models of
 * other vendors ("meta/llama-…") are reached by one OpenAI-compatible door, which takes the name in the body.
 */
#include "vertex.h"

#include "gemini_chat.h"
#include "upstream_url.h"

static struct str behind(struct str s, struct str prefix)
{
    return str_starts(s, prefix) ? (struct str){s.p + prefix.n, s.n - prefix.n} : s;
}

static bool is_resource(struct str model)
{
    return str_starts(model, STR("projects/")) || str_starts(model, STR("publishers/")) ||
           str_starts(model, STR("endpoints/"));
}

enum vertex_family vertex_family(struct str model)
{
    if (str_has(model, "anthropic/") || str_starts(model, STR("claude")))
        return VERTEX_CLAUDE;
    if (is_resource(model) || str_starts(model, STR("google/")) || str_starts(model, STR("models/")))
        return VERTEX_GEMINI;
    return str_has(model, "/") ? VERTEX_OPEN : VERTEX_GEMINI;
}

/* Bytes that a resource's name may have; ".." and "//" lead elsewhere. */
static bool resource_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  (c && strchr("-_.@:/", c));
        if (!ok || (i > 0 && (c == '.' || c == '/') && s.p[i - 1] == c))
            return false;
    }
    return s.n > 0 && s.n <= 512;
}

/* The base URL's own path; "/v1" behind it unless it names a version itself. */
static int put_base(struct buf *b, const struct conf_provider *p)
{
    struct upstream_url url;
    if (upstream_url_parse(str_of(p->base_url), &url, NULL) != 0)
        return -1;
    const char *last = url.path.n > 0 ? memrchr(url.path.p, '/', url.path.n) : NULL;
    size_t n = last ? (size_t)(url.path.p + url.path.n - last) : 0;
    bool versioned = n > 2 && last[1] == 'v' && last[2] >= '0' && last[2] <= '9';
    buf_add(b, url.path);
    return buf_add(b, versioned ? STR("/") : STR("/v1/"));
}

static int misconfigured(struct arena *a, struct failure *f, const char *provider, const char *words)
{
    *f = (struct failure){.status = 500,
                          .type = "server_error",
                          .code = "gateway_misconfigured",
                          .message = arena_printf(a, "The provider %s %s.", provider, words)};
    return -1;
}

/* "projects/…/locations/…/", where paths have it. */
static int put_project(struct buf *b, const struct conf_provider *p, struct arena *a, struct failure *f)
{
    if (p->has_key)
        return 0;
    struct str project = vertex_project(p, a), location = str_of(p->location);
    if (project.n == 0)
        return misconfigured(a, f, p->name, "has no project");
    buf_add(b, STR("projects/"));
    buf_add(b, project);
    buf_add(b, STR("/locations/"));
    buf_add(b, location.n > 0 ? location : STR("global"));
    return buf_add(b, STR("/"));
}

static void put_model(struct buf *b, struct str model, enum vertex_family family)
{
    if (is_resource(model)) {
        buf_add(b, model);
        return;
    }
    bool claude = family == VERTEX_CLAUDE;
    buf_add(b, claude ? STR("publishers/anthropic/models/") : STR("publishers/google/models/"));
    gemini_put_name(b, behind(behind(model, STR("models/")), claude ? STR("anthropic/") : STR("google/")));
}

int vertex_path(const struct conf_provider *p, struct str model, struct str method, struct arena *a,
                struct str *path, struct failure *f)
{
    enum vertex_family family = vertex_family(model);
    size_t max = 2048 + 3 * model.n + method.n;
    struct buf b = arena_buf(a, max);
    if (put_base(&b, p) != 0)
        return misconfigured(a, f, p->name, "has a base_url that can't be used");
    if (is_resource(model) && !resource_ok(model))
        return misconfigured(a, f, p->name, "has no model of that name");
    if (!str_starts(model, STR("projects/")) && put_project(&b, p, a, f) != 0)
        return -1;
    if (family == VERTEX_OPEN && p->has_key)
        return misconfigured(a, f, p->name, "has an API key, with which only Google's models can be used");
    if (family == VERTEX_OPEN) {
        buf_add(&b, STR("endpoints/openapi/chat/completions"));
    } else {
        put_model(&b, model, family);
        buf_add_byte(&b, ':');
        buf_add(&b, method);
    }
    *path = buf_str(&b);
    return !b.full && upstream_path_ok(*path) ? 0 : misconfigured(a, f, p->name, "has no model of that name");
}

/* Fetching what a request names by URL. Run by workers, in the middle of making a provider's request.
 *
 * The caller steers where we connect to, so this is the place where he could reach what only we can reach:
 * hence plain http and https on the web's ports, an address of the public internet (judged at the connection,
 * fetch.c), no redirect, which could lead elsewhere, and nothing of ours in the request. What comes back goes
 * on only when it is a picture, a document or a sound, by its own first bytes or by the type that is told.
 * What failed is told with the host's name alone: the rest of the URL may hold the caller's credentials, and
 * what the host said may be meant for us. */
#include "media_fetch.h"

#include "base64.h"
#include "clock.h"
#include "fetch.h"

#include <curl/curl.h>
#include <stdarg.h>

enum {
    MAX_MEDIA = 32,                     /* fetched for one request … */
    MAX_MEDIA_BYTES = 64 * 1024 * 1024, /* … and as base64 together */
    MAX_URL = 8192,
};

/* What was fetched for this request, by an earlier attempt or for another part of it. */
struct fetched_media {
    struct fetched_media *next;
    struct str url, mime, data;
    bool failed; /* it is not asked for again for the next provider … */
    struct failure why;
};

static int refuse(struct request *r, struct failure *f, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct request *r, struct failure *f, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *f =
        (struct failure){.status = 400,
                         .type = "invalid_request_error",
                         .code = "invalid_image_url", /* OpenAI's code for this, whatever was to be fetched */
                         .message = arena_copy(r->arena, str_of(text))};
    if (r->worker->metrics)
        METRIC_INC(r->worker->metrics, media_failed_total);
    return -1;
}

/* ---- the URL */

struct target {
    char host[128]; /* as it is shown */
    char url[MAX_URL + 256];
};

static bool get_part(CURLU *u, CURLUPart what, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    out[0] = '\0';
    bool found = curl_url_get(u, what, &text, flags) == CURLUE_OK;
    bool fits = found && str_copy(out, size, str_of(text)) == 0;
    curl_free(text);
    return fits;
}

static bool has_part(CURLU *u, CURLUPart what)
{
    char *text = NULL;
    bool found = curl_url_get(u, what, &text, 0) == CURLUE_OK;
    curl_free(text);
    return found;
}

static bool port_ok(const char *port)
{
    static const char *const ports[] = {"80", "443", "8080", "8443"};
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        if (strcmp(port, ports[i]) == 0)
            return true;
    return false;
}

/* Read by the parser that will act upon it, and taken apart and put together by it once. */
static int read_url(struct request *r, const char *url, CURLU *u, struct target *t, struct failure *f)
{
    char scheme[16], port[8];
    if (curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) != CURLUE_OK)
        return refuse(r, f, "What is given as a picture or file is neither a URL nor base64 data.");
    get_part(u, CURLUPART_SCHEME, 0, scheme, sizeof(scheme));
    if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        return refuse(r, f,
                      "This provider takes only the bytes of a picture or file, and those are fetched "
                      "from http and https URLs only.");
    if (!get_part(u, CURLUPART_HOST, 0, t->host, sizeof(t->host)))
        return refuse(r, f, "The URL of a picture or file has no host, or one with too long a name.");
    if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
        return refuse(r, f, "The URL of the picture or file at %s holds a user or a password.", t->host);
    get_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port));
    if (!r->worker->config->media.allow_private && !port_ok(port))
        return refuse(r, f, "The URL of the picture or file at %s names a port that is not the web's.",
                      t->host);
    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    if (!get_part(u, CURLUPART_URL, 0, t->url, sizeof(t->url)))
        return refuse(r, f, "The URL of the picture or file at %s is too long.", t->host);
    return 0;
}

static int check_url(struct request *r, struct str url, struct target *t, struct failure *f)
{
    char text[MAX_URL];
    if (str_copy(text, sizeof(text), str_trim(url)) != 0)
        return refuse(r, f, "The URL of a picture or file is too long, or holds a NUL byte.");
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return refuse(r, f, "The URL of a picture or file holds a space or a control character.");
    CURLU *u = curl_url();
    if (!u)
        return refuse(r, f, "There is no memory to fetch a picture or file.");
    int rc = read_url(r, text, u, t, f);
    curl_url_cleanup(u);
    return rc;
}

/* ---- what it is */

/* By its first bytes; empty: not known. */
static struct str sniff(struct str s)
{
    static const struct {
        size_t at;
        struct str bytes, mime;
    } kinds[] = {
        {0, STR("\x89PNG\r\n\x1a\n"), STR("image/png")},
        {0, STR("\xff\xd8\xff"), STR("image/jpeg")},
        {0, STR("GIF87a"), STR("image/gif")},
        {0, STR("GIF89a"), STR("image/gif")},
        {8, STR("WEBP"), STR("image/webp")},
        {8, STR("WAVE"), STR("audio/wav")},
        {0, STR("%PDF-"), STR("application/pdf")},
        {0, STR("ID3"), STR("audio/mpeg")},
        {0, STR("\xff\xfb"), STR("audio/mpeg")},
        {0, STR("fLaC"), STR("audio/flac")},
        {0, STR("OggS"), STR("audio/ogg")},
        {4, STR("ftypheic"), STR("image/heic")},
        {4, STR("ftypavif"), STR("image/avif")},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (s.n >= kinds[i].at + kinds[i].bytes.n &&
            memcmp(s.p + kinds[i].at, kinds[i].bytes.p, kinds[i].bytes.n) == 0)
            return kinds[i].mime;
    return STR_NULL;
}

/* The type without its parameters, in small letters; empty when it is none. */
static struct str plain_type(struct request *r, const char *told)
{
    struct str type = str_trim((struct str){told, strcspn(told, ";")});
    char *out = arena_alloc(r->arena, type.n + 1);
    for (size_t i = 0; i < type.n; i++) {
        char c = type.p[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        bool ok = (out[i] >= 'a' && out[i] <= 'z') || (c >= '0' && c <= '9') || (c && strchr("/.+-_", c));
        if (!ok)
            return STR_NULL;
    }
    return (struct str){out, type.n};
}

static bool is_media(struct str type)
{
    static const struct str families[] = {STR("image/"), STR("audio/"), STR("video/"), STR("text/")};
    static const struct str others[] = {STR("application/pdf"), STR("application/json"),
                                        STR("application/xml"), STR("application/msword")};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (str_starts(type, families[i]))
            return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (str_eq(type, others[i]))
            return true;
    return str_starts(type, STR("application/vnd.openxmlformats-officedocument.")) ||
           str_starts(type, STR("application/vnd.ms-"));
}

/* ---- fetching */

static size_t most_bytes(const struct request *r)
{
    size_t left = MAX_MEDIA_BYTES;
    for (const struct fetched_media *m = r->media; m; m = m->next)
        left -= m->data.n < left ? m->data.n : left;
    left = left / 4 * 3;
    return left < r->worker->config->media.max_bytes ? left : r->worker->config->media.max_bytes;
}

static int refuse_answer(struct request *r, const struct fetch_answer *a, const struct target *t,
                         struct failure *f)
{
    if (a->status >= 300 && a->status < 400)
        return refuse(
            r, f,
            "The picture or file at %s is somewhere else (status %d), and redirects are not followed: "
            "give the URL that it leads to.",
            t->host, a->status);
    if (a->status != 200)
        return refuse(r, f,
                      "The picture or file at %s could not be fetched: the host answered with status %d.",
                      t->host, a->status);
    return refuse(r, f, "The picture or file at %s is empty.", t->host);
}

static int refuse_result(struct request *r, enum fetch_result result, const struct target *t,
                         const struct error *err, struct failure *f)
{
    if (result == FETCH_TOO_LARGE)
        return refuse(r, f, "The picture or file at %s has more than %zu bytes, which is the most here.",
                      t->host, most_bytes(r));
    if (result == FETCH_TIMEOUT)
        return refuse(r, f, "The picture or file at %s did not come in time.", t->host);
    if (result == FETCH_PRIVATE)
        return refuse(r, f,
                      "The picture or file at %s is not on the public internet; nothing else is fetched.",
                      t->host);
    return refuse(r, f, "The picture or file at %s could not be fetched: %s.", t->host, err->text);
}

/* Of what has come: its type, and the whole as base64. */
static int take(struct request *r, const struct fetch_answer *a, const struct target *t,
                struct fetched_media *m, struct failure *f)
{
    struct str bytes = buf_str(a->body);
    if (a->status != 200 || bytes.n == 0)
        return refuse_answer(r, a, t, f);
    m->mime = sniff(bytes);
    if (m->mime.n == 0)
        m->mime = plain_type(r, a->content_type);
    if (!is_media(m->mime))
        return refuse(
            r, f, "What is at %s is neither a picture nor a document nor a sound: its type is " STR_FMT ".",
            t->host, STR_ARG(m->mime.n > 0 ? m->mime : STR("not told")));
    size_t max = (bytes.n + 2) / 3 * 4;
    struct buf b = arena_buf(r->arena, max);
    base64_put(&b, bytes);
    m->data = buf_str(&b);
    return 0;
}

static int fetch(struct request *r, const struct target *t, struct fetched_media *m, struct failure *f)
{
    const struct config *c = r->worker->config;
    int64_t deadline = clock_mono_ns() + c->media.timeout_ms * NS_PER_MS,
            all = r->start_ns + c->timeouts.total * NS_PER_MS; /* however many there are */
    if (r->deadline_ns && r->deadline_ns < all)
        all = r->deadline_ns;
    struct buf body;
    struct error err = {""};
    struct fetch_answer a = {.body = &body};
    struct fetch what = {.url = t->url,
                         .public_only = !c->media.allow_private,
                         .patience = patience_for(r, all < deadline ? all : deadline)};
    buf_init(&body, most_bytes(r));
    enum fetch_result result = fetch_run(&what, &a, &err);
    int rc = result == FETCH_OK ? take(r, &a, t, m, f) : refuse_result(r, result, t, &err, f);
    buf_free(&body);
    return rc;
}

static const struct fetched_media *find(const struct request *r, struct str url, size_t *n)
{
    *n = 0;
    for (const struct fetched_media *m = r->media; m; m = m->next, ++*n)
        if (str_eq(m->url, url))
            return m;
    return NULL;
}

static struct fetched_media *fetch_new(struct request *r, struct str url, size_t n_before, struct failure *f)
{
    struct target t;
    if (!r->worker->config->media.fetch) {
        refuse(r, f,
               "This provider takes only the bytes of a picture or file, and fetching them from a URL is "
               "switched off here: give them as base64 data.");
        return NULL;
    }
    if (n_before >= MAX_MEDIA) {
        refuse(r, f, "More than %d pictures and files would have to be fetched for one request.", MAX_MEDIA);
        return NULL;
    }
    struct fetched_media *m = arena_alloc(r->arena, sizeof(*m));
    *m = (struct fetched_media){.next = r->media, .url = arena_copy(r->arena, url)};
    r->media = m;
    m->failed = check_url(r, url, &t, f) != 0 || fetch(r, &t, m, f) != 0;
    if (m->failed)
        m->why = *f;
    else if (r->worker->metrics)
        METRIC_INC(r->worker->metrics, media_fetched_total);
    return m;
}

int media_fetch(struct request *r, struct str url, struct str *mime, struct str *data, struct failure *f)
{
    size_t n;
    const struct fetched_media *m = find(r, url, &n);
    if (!m)
        m = fetch_new(r, url, n, f);
    if (!m)
        return -1;
    if (m->failed)
        return *f = m->why, -1;
    *mime = m->mime;
    *data = m->data;
    return 0;
}

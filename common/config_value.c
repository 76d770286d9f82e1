/* Settings with a form of their own: addresses, URLs, names, networks, header lines, prices. All of them end
 * up in requests, paths or log lines, so every byte is checked here, once. */
#include "config_settings.h"
#include "http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_PATH_TEXT = 900 };

static bool all_of(const char *text, const char *more, bool upper)
{
    for (const char *p = text; *p; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) &&
            !(upper && isupper((unsigned char)*p)) && !strchr(more, *p))
            return false;
    return true;
}

/* ---- files */

/* A relative path is meant from where the configuration file is, not from where the program was started. */
static const char *beside_config(struct reader *r, const char *path)
{
    const char *slash = strrchr(r->config->file, '/');
    if (*path == '/' || !slash)
        return path;
    int folder = (int)(slash - r->config->file);
    return arena_printf(&r->config->arena, "%.*s/%s", folder, r->config->file, path).p;
}

static const char *credential(struct reader *r, const char *name)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder || strchr(name, '/'))
        return NULL;
    const char *path = arena_printf(&r->config->arena, "%s/%s", folder, name).p;
    return access(path, F_OK) == 0 ? path : NULL;
}

static int check_path(struct reader *r, bool may_be_credential, const char **text, const char *path)
{
    if (**text == '\0')
        return config_complain(r, path, "is empty; name a file or folder, or leave the setting out");
    for (const char *p = *text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return config_complain(r, path, "holds a control character; take it out");
    const char *found = may_be_credential ? credential(r, *text) : NULL;
    *text = found ? found : beside_config(r, *text);
    if (strlen(*text) > MAX_PATH_TEXT)
        return config_complain(r, path, "is longer than %d bytes; choose a shorter path", MAX_PATH_TEXT);
    return 0;
}

/* ---- addresses */

static bool is_ip(const char *text)
{
    uint8_t addr[16];
    return inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1;
}

static int check_ip(struct reader *r, const char *text, const char *path)
{
    if (is_ip(text))
        return 0;
    return config_complain(r, path,
                           "\"%.64s\" is not an IP address; give one such as \"127.0.0.1\" or \"::1\"", text);
}

static int check_admin(struct reader *r, const char *text, const char *path)
{
    static const char unix_prefix[] = "unix:";
    if (strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) != 0)
        return check_ip(r, text, path);
    const char *file = text + sizeof(unix_prefix) - 1;
    if (*file != '/' || strlen(file) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return config_complain(r, path, "\"unix:\" needs an absolute path of at most %zu bytes behind it",
                               sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
    return 0;
}

/* Cuts "host", "host:port", "[v6]" or "[v6]:port". port->p is NULL where there is none. */
static bool split_authority(struct str a, struct str *host, struct str *port)
{
    const char *end = a.n > 0 ? memchr(a.p, *a.p == '[' ? ']' : ':', a.n) : NULL;
    size_t n = end ? (size_t)(end - a.p) + (*a.p == '[') : a.n;
    *host = (struct str){a.p, n};
    *port = STR_NULL;
    if (n < a.n)
        *port = (struct str){a.p + n + 1, a.n - n - 1};
    return n == a.n || a.p[n] == ':';
}

static bool host_ok(struct str host)
{
    if (host.n == 0 || host.n > 253)
        return false;
    if (host.p[0] == '[') {
        char literal[INET6_ADDRSTRLEN];
        uint8_t addr[16];
        return host.n > 2 && host.p[host.n - 1] == ']' &&
               str_copy(literal, sizeof(literal), (struct str){host.p + 1, host.n - 2}) == 0 &&
               inet_pton(AF_INET6, literal, addr) == 1;
    }
    for (size_t i = 0; i < host.n; i++)
        if (!isalnum((unsigned char)host.p[i]) && !strchr("-._", host.p[i]))
            return false;
    return true;
}

/* What is wrong with the host and port of a URL; NULL: nothing. */
static const char *authority_fault(struct str a)
{
    struct str host, port;
    uint64_t number;
    if (a.n > 0 && memchr(a.p, '@', a.n))
        return "holds a user name or password; give the credential with api_key_env or api_key_file";
    if (!split_authority(a, &host, &port) || !host_ok(host))
        return "has no host, or a malformed one";
    if (port.p && (str_u64(port, &number) != 0 || number == 0 || number > 65535))
        return "has a port that is not 1 to 65535";
    return NULL;
}

/* The gateway adds these itself. */
static bool names_endpoint(struct str path)
{
    static const struct str ends[] = {STR("/chat/completions"), STR("/completions"), STR("/embeddings"),
                                      STR("/responses"), STR("/messages")};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (str_ends(path, ends[i]))
            return true;
    return false;
}

static const char *url_fault(struct str url)
{
    struct str rest = url;
    if (str_starts(url, STR("https://")))
        rest = (struct str){url.p + 8, url.n - 8};
    else if (str_starts(url, STR("http://")))
        rest = (struct str){url.p + 7, url.n - 7};
    else
        return "has to begin with https:// or http://";
    const char *slash = rest.n > 0 ? memchr(rest.p, '/', rest.n) : NULL;
    struct str authority = {rest.p, slash ? (size_t)(slash - rest.p) : rest.n};
    struct str path = {slash, slash ? rest.n - authority.n : 0};
    if (rest.n > 0 && (memchr(rest.p, '?', rest.n) || memchr(rest.p, '#', rest.n)))
        return "holds a query or fragment; give only scheme, host, port and path";
    for (size_t i = 0; i < path.n; i++)
        if (!isalnum((unsigned char)path.p[i]) && !strchr("/-._~!$&'()*+,;=:@%", path.p[i]))
            return "has a path with a character that has to be percent-encoded";
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '%' && (i + 2 >= path.n || !isxdigit((unsigned char)path.p[i + 1]) ||
                                 !isxdigit((unsigned char)path.p[i + 2])))
            return "has a '%' in its path without two hexadecimal digits";
    if (names_endpoint(path))
        return "names an endpoint; give only what stands before it";
    for (size_t i = 0; i + 1 < path.n; i++)
        if (path.p[i] == '/' && (path.p[i + 1] == '/' || path.p[i + 1] == '.'))
            return "has an empty or dotted segment in its path";
    return authority_fault(authority);
}

static int check_url(struct reader *r, const char **text, const char *path)
{
    struct str url = str_of(*text);
    while (url.n > 0 && url.p[url.n - 1] == '/' && !str_ends(url, STR("://")))
        url.n--;
    const char *fault = url.n > 1024 ? "is longer than 1024 bytes" : url_fault(url);
    if (fault)
        return config_complain(r, path, "\"%.80s\" %s (it should look like \"https://api.example.com/v1\")",
                               *text, fault);
    *text = arena_copy(&r->config->arena, url).p;
    return 0;
}

/* ---- names */

static int check_provider(struct reader *r, const char *text, const char *path)
{
    /* the first segments of our own paths: /{provider}/… would hide behind them, or hide them */
    static const char *const reserved[] = {"v1",     "v1alpha", "v1beta", "chat",   "messages",
                                           "models", "healthz", "readyz", "metrics"};
    if (*text == '\0' || strlen(text) >= 32 || !all_of(text, "._-", false) || *text == '.' || *text == '-')
        return config_complain(
            r, path,
            "\"%.64s\" does not do; use 1 to 31 of a-z, 0-9, '.', '_' and '-', the first of "
            "them a letter or digit",
            text);
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(text, reserved[i]) == 0)
            return config_complain(
                r, path, "\"%s\" is the start of a path of the gateway's own; choose another name", text);
    return 0;
}

static int check_model(struct reader *r, const char *text, bool pattern, const char *path)
{
    size_t n = strlen(text);
    if (n == 0 || n >= MAX_NAME)
        return config_complain(r, path, "has to have 1 to %d bytes", MAX_NAME - 1);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '"' || *p == '\\')
            return config_complain(r, path, "holds a byte that no model's name has; use printable ASCII");
    const char *star = strchr(text, '*');
    if (pattern && star && star[1])
        return config_complain(r, path, "has a '*' before its end; only the last character may be one");
    if (!pattern && star && n > 1)
        return config_complain(r, path, "may be \"*\" as a whole (the client's name), but can't hold a '*'");
    return 0;
}

static int check_variable(struct reader *r, const char *text, const char *path)
{
    if (*text == '\0' || isdigit((unsigned char)*text) || !all_of(text, "_", true) || strlen(text) >= 80)
        return config_complain(r, path,
                               "\"%.64s\" is not the name of an environment variable; the credential "
                               "itself does not belong into this file",
                               text);
    return 0;
}

int config_check_text(struct reader *r, enum text_check check, const char **text, const char *path)
{
    switch (check) {
    case TEXT_PATH:
        return check_path(r, false, text, path);
    case TEXT_FILE:
        return check_path(r, true, text, path);
    case TEXT_IP:
        return check_ip(r, *text, path);
    case TEXT_ADMIN:
        return check_admin(r, *text, path);
    case TEXT_USER:
        if (**text && strlen(*text) < 33 && all_of(*text, "_.-", true))
            return 0;
        return config_complain(r, path, "\"%.64s\" is not a user's name", *text);
    case TEXT_VARIABLE:
        return check_variable(r, *text, path);
    case TEXT_URL:
        return check_url(r, text, path);
    case TEXT_PROVIDER:
        return check_provider(r, *text, path);
    case TEXT_WORD:
        if (**text && strlen(*text) < 128 && all_of(*text, "._-:", true))
            return 0;
        return config_complain(r, path, "\"%.64s\" does not do; use letters, digits, '.', '_', ':' and '-'",
                               *text);
    case TEXT_MODEL:
    case TEXT_PATTERN:
        return check_model(r, *text, check == TEXT_PATTERN, path);
    }
    return 0;
}

/* ---- settings with readers of their own */

int config_read_cidrs(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                      const char *path)
{
    (void)s;
    struct conf_listen *listen = (struct conf_listen *)(void *)base;
    if (!config_setting_is_aggregate(value) || config_setting_is_group(value))
        return config_complain(r, path, "has to be a list [ \"…\", \"…\" ] of addresses or networks");
    size_t n = (size_t)config_setting_length(value);
    listen->proxy_from = arena_alloc(&r->config->arena, n * sizeof(struct cidr));
    for (size_t i = 0; i < n; i++) {
        const char *text = config_setting_get_string_elem(value, (int)i);
        if (!text || cidr_parse(str_of(text), &listen->proxy_from[i]) != 0)
            return config_complain(r, path,
                                   "%s is not a network; write it like \"10.0.0.0/8\" or \"fd00::1\"",
                                   text ? text : "an entry");
        listen->n_proxy_from = i + 1;
    }
    return 0;
}

/* What the gateway itself has to say to a provider, and what frames a message. */
static bool header_is_ours(struct str name)
{
    static const char *const ours[] = {
        "authorization", "x-api-key",      "x-goog-api-key", "api-key",           "host",
        "expect",        "content-length", "content-type",   "transfer-encoding", "te",
        "trailer",       "connection",     "keep-alive",     "upgrade",           "proxy-authorization"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (str_ieq(name, str_of(ours[i])))
            return true;
    return false;
}

int config_read_headers(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                        const char *path)
{
    (void)s;
    struct conf_provider *p = (struct conf_provider *)(void *)base;
    enum { ROOM = sizeof(p->headers) / sizeof(p->headers[0]) };
    if (!config_setting_is_group(value))
        return config_complain(r, path, "has to be a group { Name = \"value\"; … }");
    int n = config_setting_length(value);
    if (n > ROOM)
        return config_complain(r, path, "%d header lines; at most %d are possible", n, ROOM);
    for (int i = 0; i < n; i++) {
        const config_setting_t *line = config_setting_get_elem(value, (unsigned)i);
        struct str name = str_of(config_setting_name(line));
        const char *text = config_setting_get_string(line);
        if (!http_token_ok(name) || header_is_ours(name))
            return config_complain(r, path, "the gateway itself sets \"" STR_FMT "\"; take it out",
                                   STR_ARG(name));
        for (int k = 0; k < i; k++)
            if (str_ieq(name, str_of(p->headers[k].name)))
                return config_complain(r, path, "\"" STR_FMT "\" is given twice; keep one of the two",
                                       STR_ARG(name));
        if (!text || !http_value_ok(str_of(text)))
            return config_complain(r, path,
                                   "the value of \"" STR_FMT "\" has to be a text without control characters",
                                   STR_ARG(name));
        p->headers[i].name = arena_copy(&r->config->arena, name).p;
        p->headers[i].value = arena_copy(&r->config->arena, str_of(text)).p;
        p->n_headers = (size_t)i + 1;
    }
    return 0;
}

int config_read_reference(struct reader *r, const struct setting *s, const config_setting_t *value,
                          char *base, const char *path)
{
    (void)s;
    struct conf_target *target = (struct conf_target *)(void *)base;
    const char *name = config_setting_get_string(value);
    if (!name)
        return config_complain(r, path, "has to be a provider's name in double quotes");
    const struct conf_provider *p = config_provider(r->config, str_of(name));
    if (!p)
        return config_complain(
            r, path, "there is no provider \"%.64s\"; add it to providers or correct the name", name);
    target->provider = (uint16_t)(p - r->config->providers);
    return 0;
}

/* Whole, with a fraction, or in quotes; USD per million tokens. */
static int read_usd(const config_setting_t *value, uint64_t *out)
{
    double usd;
    switch (config_setting_type(value)) {
    case CONFIG_TYPE_STRING:
        return price_parse(str_of(config_setting_get_string(value)), out);
    case CONFIG_TYPE_INT:
        usd = config_setting_get_int(value);
        break;
    case CONFIG_TYPE_FLOAT:
        usd = config_setting_get_float(value);
        break;
    default:
        return -1;
    }
    if (!(usd >= 0 && usd <= 1e6))
        return -1;
    /* a double holds more digits than the six that count here, so rounding finds the number that was written
     */
    *out = (uint64_t)(usd * 1e6 + 0.5);
    return 0;
}

int config_read_price(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                      const char *path)
{
    uint64_t usd;
    if (read_usd(value, &usd) != 0)
        return config_complain(r, path, "has to be USD per million tokens, 0 to 1000000, such as 0.15");
    *(uint64_t *)(void *)(base + s->offset) = usd;
    struct price *p = (struct price *)(void *)base;
    if (s->offset == offsetof(struct price, input))
        p->cached = p->cache_write = usd; /* until they are given themselves, which is read later */
    return 0;
}

/* Reading a configuration: text → libconfig's tree → structs, by the table of settings → checks →
 * credentials. The result is one arena with the prices beside it; libconfig's tree lives only as long as the
 * reading, for the messages' line numbers. Run by the master at start and reload, by `aigw -t`, and by the
 * admin program on the text that the master hands it. */
#include "config.h"
#include "buf.h"
#include "config_settings.h"
#include "mem.h"
#include "provider_types.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_CONFIG = 4 * 1024 * 1024 };

char *config_file_text(const char *file, size_t *n, struct error *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        error_errno(err, "%s", file);
        return NULL;
    }
    struct buf text;
    buf_init(&text, MAX_CONFIG);
    ssize_t got = 1;
    while (got > 0 && buf_reserve(&text, 64 * 1024) > 0) {
        got = read(fd, text.p + text.n, text.cap - text.n);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            text.n += (size_t)got;
    }
    if (got < 0)
        error_errno(err, "%s", file);
    else if (got > 0)
        error_set(err, "%s: is larger than %d bytes; this is not a configuration", file, MAX_CONFIG);
    close(fd);
    if (got != 0) {
        buf_free(&text);
        return NULL;
    }
    *n = text.n;
    return text.p;
}

/* What follows the host; NULL: nothing. */
static const char *path_of(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? strchr(host + 3, '/') : NULL;
}

/* A server named without a path ("http://10.0.0.5:11434"): its API begins where the vendor's does. A plain
 * "openai" elsewhere than at OpenAI may be anything, and is taken at its word. */
static void complete_path(struct config *c, struct conf_provider *p, const struct provider_type *type)
{
    const char *path = type->base_url ? path_of(type->base_url) : NULL;
    if (!type->openai || !path || path_of(p->base_url))
        return;
    size_t host = (size_t)(path - type->base_url);
    bool vendors = strlen(p->base_url) == host && memcmp(p->base_url, type->base_url, host) == 0;
    if (vendors || strcmp(type->name, "openai") != 0)
        p->base_url = arena_printf(&c->arena, "%s%s", p->base_url, path).p;
}

/* Where the vendor's own API begins. */
static void complete_base_url(struct config *c, struct conf_provider *p)
{
    const struct provider_type *type = provider_type(p->type);
    if (!type)
        return;
    if (p->base_url) {
        complete_path(c, p, type);
        return;
    }
    p->base_url = type->base_url;
    if (strcmp(p->type, "bedrock") == 0 && p->region)
        p->base_url = arena_printf(&c->arena, "https://bedrock-runtime.%s.amazonaws.com", p->region).p;
    if (strcmp(p->type, "vertex") == 0)
        p->base_url = !p->location || strcmp(p->location, "global") == 0 ? "https://aiplatform.googleapis.com"
                      : strcmp(p->location, "us") == 0 || strcmp(p->location, "eu") == 0
                          ? arena_printf(&c->arena, "https://aiplatform.%s.rep.googleapis.com", p->location).p
                          : arena_printf(&c->arena, "https://%s-aiplatform.googleapis.com", p->location).p;
}

/* What the file leaves out as a whole, and what follows from other settings. */
static void complete(struct config *c)
{
    if (c->n_listen == 0)
        c->n_listen = 1; /* listen[0] holds the defaults */
    if (!c->admin.token_file)
        c->admin.token_file = arena_printf(&c->arena, "%s/admin.token", c->state_dir).p;
    for (size_t i = 0; i < c->n_providers; i++) {
        struct conf_provider *p = &c->providers[i];
        p->has_key = strcmp(p->type, "virtual") != 0 && (p->api_key_env || p->api_key_file);
        complete_base_url(c, p);
        p->timeouts.connect = p->timeouts.connect ? p->timeouts.connect : c->timeouts.connect;
        p->timeouts.first_byte = p->timeouts.first_byte ? p->timeouts.first_byte : c->timeouts.first_byte;
        p->timeouts.idle = p->timeouts.idle ? p->timeouts.idle : c->timeouts.idle;
        p->timeouts.total = p->timeouts.total ? p->timeouts.total : c->timeouts.total;
    }
    for (size_t i = 0; i < c->n_models; i++) {
        struct price *p = &c->models[i].price;
        p->context_window = c->models[i].context_window;
        p->max_output = c->models[i].max_output;
    }
}

static int load_prices(struct reader *r)
{
    static const char installed[] = AIGW_DATADIR "/prices";
    struct config *c = r->config;
    struct error why;
    if (!c->prices_file && access(installed, R_OK) == 0)
        c->prices_file = installed;
    if (!c->prices_file)
        return 0;
    c->prices = price_load(c->prices_file, &why);
    return c->prices ? 0 : config_complain(r, "prices", "%s", why.text);
}

static int read_tree(struct reader *r, struct str text)
{
    char *prepared = config_prepare_text(text, r->config->file, r->err);
    if (!prepared)
        return -1;
    int parsed = config_read_string(&r->lib, prepared);
    free(prepared);
    if (parsed == CONFIG_TRUE)
        return 0;
    const char *what = config_error_text(&r->lib);
    bool duplicate = what && strstr(what, "duplicate");
    return error_set(
        r->err, "%s:%d: %s; %s", r->config->file, config_error_line(&r->lib), what ? what : "syntax error",
        duplicate ? "keep one of the two"
                  : "look for a missing or misplaced ';', quote or bracket here or one line above");
}

static int read_all(struct reader *r, struct str text, bool with_secrets)
{
    struct config *c = r->config;
    config_defaults(r, ROOT, (char *)c);
    config_defaults(r, LISTEN, (char *)&c->listen[0]);
    if (read_tree(r, text) != 0) {
        if (r->tell && r->err)
            r->tell(r->tell_to, r->err->text);
        return -1;
    }
    if (config_read_section(r, ROOT, config_root_setting(&r->lib), (char *)c, "") != 0)
        return -1;
    complete(c);
    int result = config_check(r, with_secrets);
    if (load_prices(r) != 0 || result != 0)
        return -1;
    return with_secrets ? config_load_secrets(r) : 0;
}

/* Who is told only the first had better know that it is not alone. */
static void tell_of_more(const struct reader *r)
{
    struct error first;
    if (r->tell || r->mistakes < 2 || !r->err)
        return;
    first = *r->err;
    error_set(r->err, "%s (and %u more, see aigw -t)", first.text, r->mistakes - 1);
}

struct config *config_parse(struct str text, const char *file, bool with_secrets, struct error *err)
{
    return config_parse_all(text, file, with_secrets, NULL, NULL, err);
}

struct config *config_parse_all(struct str text, const char *file, bool with_secrets, config_tell *tell,
                                void *to, struct error *err)
{
    struct config *c = mem_alloc(sizeof(*c));
    arena_init(&c->arena);
    c->file = arena_copy(&c->arena, str_of(file)).p;
    struct reader r = {.config = c, .err = err, .tell = tell, .tell_to = to};
    config_init(&r.lib);
    if (read_all(&r, text, with_secrets) != 0) {
        config_free(&c);
        tell_of_more(&r);
    }
    config_destroy(&r.lib);
    return c;
}

void config_free(struct config **c)
{
    if (!*c)
        return;
    price_free(&(*c)->prices);
    arena_fini(&(*c)->arena);
    free(*c);
    *c = NULL;
}

const struct conf_provider *config_provider(const struct config *c, struct str name)
{
    for (size_t i = 0; i < c->n_providers; i++)
        if (str_eq(str_of(c->providers[i].name), name))
            return &c->providers[i];
    return NULL;
}

const struct conf_model *config_model(const struct config *c, struct str name)
{
    const struct conf_model *best = NULL;
    size_t best_length = 0;
    for (size_t i = 0; i < c->n_models; i++) {
        struct str pattern = str_of(c->models[i].name);
        if (str_eq(pattern, name) && !str_ends(pattern, STR("*")))
            return &c->models[i];
        if (!str_ends(pattern, STR("*")) || (best && pattern.n <= best_length))
            continue;
        if (str_starts(name, (struct str){pattern.p, pattern.n - 1})) {
            best = &c->models[i];
            best_length = pattern.n;
        }
    }
    return best;
}

/* The checks that need more than one setting, or the file system: what each setting alone must be is
 * settings.def's matter. Nothing is changed here, and nothing read is kept, so that `aigw -t` may ask the
 * same questions beside a running gateway. */
#include "config_settings.h"
#include "provider_types.h"
#include "secret.h"
#include "service_account.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_TEXT = 256 };

/* ---- files */

static int check_readable(struct reader *r, const char *path, const char *file)
{
    if (access(file, R_OK) == 0)
        return 0;
    return config_complain(r, path, "%s can't be read: %s; correct the path, or let this user read it", file,
                           strerror(errno));
}

static int complain_openssl(struct reader *r, const char *path, const char *file, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    int result = config_complain(r, path, "%s %s (%s)", file, what, reason ? reason : "no reason known");
    ERR_clear_error();
    return result;
}

/* Keeps OpenSSL from asking at the terminal. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
    (void)buf, (void)size, (void)rw, (void)arg;
    return 0;
}

static int check_authorities(struct reader *r, const char *path, const char *file)
{
    if (check_readable(r, path, file) != 0)
        return -1;
    X509_STORE *store = X509_STORE_new();
    int loaded = store ? X509_STORE_load_file(store, file) : 0;
    X509_STORE_free(store);
    return loaded == 1 ? 0 : complain_openssl(r, path, file, "holds no certificates in PEM form; replace it");
}

static int check_pair(struct reader *r, const struct conf_tls *tls, const char *certificate, const char *key,
                      SSL_CTX *ctx)
{
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, tls->certificate) != 1)
        return complain_openssl(r, certificate, tls->certificate,
                                "is not a certificate in PEM form; replace it");
    if (check_readable(r, key, tls->key) != 0)
        return -1;
    if (SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) == 1)
        return SSL_CTX_check_private_key(ctx) == 1
                   ? 0
                   : complain_openssl(r, key, tls->key,
                                      "does not belong to the certificate; give its own key");
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
        return complain_openssl(r, key, tls->key, "does not belong to the certificate; give its own key");
    return complain_openssl(r, key, tls->key,
                            "is not a private key in PEM form without a passphrase; replace it");
}

static int check_tls(struct reader *r, const struct conf_tls *tls, const char *path)
{
    char certificate[PATH_TEXT], key[PATH_TEXT], client_ca[PATH_TEXT];
    snprintf(certificate, sizeof(certificate), "%s.tls.certificate", path);
    snprintf(key, sizeof(key), "%s.tls.key", path);
    snprintf(client_ca, sizeof(client_ca), "%s.tls.client_ca", path);
    if (!tls->on)
        return 0;
    if (check_readable(r, certificate, tls->certificate) != 0)
        return -1;
    if (tls->client_ca && check_authorities(r, client_ca, tls->client_ca) != 0)
        return -1;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return complain_openssl(r, certificate, tls->certificate, "can't be checked");
    int result = check_pair(r, tls, certificate, key, ctx);
    SSL_CTX_free(ctx);
    return result;
}

/* ---- listeners */

static bool is_loopback(const char *address)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    struct in6_addr v6;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_any(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

/* Whether one socket would be in the other's way. ("::" is IPv6 alone.) */
static bool same_place(const char *a, unsigned a_port, const char *b, unsigned b_port)
{
    bool same_family = !strchr(a, ':') == !strchr(b, ':');
    return a_port == b_port && (strcmp(a, b) == 0 || (same_family && (is_any(a) || is_any(b))));
}

static void check_listeners(struct reader *r, bool full)
{
    const struct config *c = r->config;
    for (size_t i = 0; i < c->n_listen; i++) {
        char path[PATH_TEXT];
        snprintf(path, sizeof(path), "listen[%zu]", i);
        for (size_t k = 0; k < i; k++)
            if (same_place(c->listen[k].address, c->listen[k].port, c->listen[i].address, c->listen[i].port))
                config_complain(r, path, "%s port %u is listened on already by listen[%zu]; remove one",
                                c->listen[i].address, c->listen[i].port, k);
        if (full)
            check_tls(r, &c->listen[i].tls, path);
    }
}

/* Whether that user may read the file, asked as that user: the only way that knows groups and folders, too.
 */
static bool user_can_read(const struct passwd *pw, const char *file)
{
    gid_t groups[NGROUPS_MAX];
    int n = getgroups(NGROUPS_MAX, groups);
    bool can = n >= 0 && initgroups(pw->pw_name, pw->pw_gid) == 0 && setegid(pw->pw_gid) == 0 &&
               seteuid(pw->pw_uid) == 0 && faccessat(AT_FDCWD, file, R_OK, AT_EACCESS) == 0;
    if (seteuid(0) || setegid(0) || (n >= 0 && setgroups((size_t)n, groups)))
        abort(); /* half somebody else: nobody to go on as */
    return can;
}

/* The other files are read before a process of ours becomes the user; aigw-admin is started as him. */
static int check_admin_user(struct reader *r)
{
    const struct config *c = r->config;
    const struct conf_tls *tls = &c->admin.tls;
    const struct passwd *pw = c->user && tls->on && geteuid() == 0 ? getpwnam(c->user) : NULL;
    if (!pw)
        return 0;
    if (!user_can_read(pw, tls->key))
        return config_complain(r, "admin.tls.key", "the user \"%s\" can't read %s; chown it to that user",
                               c->user, tls->key);
    if (!user_can_read(pw, tls->certificate))
        return config_complain(r, "admin.tls.certificate",
                               "the user \"%s\" can't read %s; let everybody read it", c->user,
                               tls->certificate);
    if (tls->client_ca && !user_can_read(pw, tls->client_ca))
        return config_complain(r, "admin.tls.client_ca",
                               "the user \"%s\" can't read %s; let everybody read it", c->user,
                               tls->client_ca);
    return 0;
}

/* The folder of a file that is to be made; run_dir and state_dir are made at the start. */
static void check_folder(struct reader *r, const char *setting, const char *file)
{
    const struct config *c = r->config;
    const char *slash = strrchr(file, '/');
    struct str folder = {file, slash && slash > file ? (size_t)(slash - file) : 0};
    char path[PATH_MAX];
    struct stat st;
    if (folder.n == 0 || str_eq(folder, str_of(c->run_dir)) || str_eq(folder, str_of(c->state_dir)) ||
        str_copy(path, sizeof(path), folder) != 0)
        return;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        config_complain(r, setting, "there is no folder %s; create it, or correct the path", path);
}

static void check_admin(struct reader *r, bool full)
{
    const struct config *c = r->config;
    bool is_unix = strncmp(c->admin.address, "unix:", 5) == 0;
    if (!is_unix && !is_loopback(c->admin.address) && !c->admin.tls.on)
        config_complain(r, "admin.address",
                        "%s can be reached from outside; give a loopback address, \"unix:/path\", or tls",
                        c->admin.address);
    for (size_t i = 0; !is_unix && i < c->n_listen; i++)
        if (same_place(c->listen[i].address, c->listen[i].port, c->admin.address, c->admin.port))
            config_complain(r, "admin.port", "%s port %u is clients' already (listen[%zu]); choose another",
                            c->admin.address, c->admin.port, i);
    if (!full)
        return;
    if (is_unix)
        check_folder(r, "admin.address", c->admin.address + strlen("unix:"));
    check_folder(r, "admin.token_file", c->admin.token_file);
    if (check_tls(r, &c->admin.tls, "admin") == 0)
        check_admin_user(r);
}

/* ---- numbers that depend on each other */

static void check_numbers(struct reader *r)
{
    const struct config *c = r->config;
    if (c->workers.min > c->workers.max)
        config_complain(r, "workers.min", "%u is more than workers.max, %u; lower it or raise max",
                        c->workers.min, c->workers.max);
    if (c->workers.spare > c->workers.max)
        config_complain(r, "workers.spare", "%u is more than workers.max, %u; lower it or raise max",
                        c->workers.spare, c->workers.max);
    if (c->limits.table_slots & (c->limits.table_slots - 1))
        config_complain(r, "limits.table_slots", "%u is not a power of two; give one such as 65536",
                        c->limits.table_slots);
    if (c->cache.max_entry > c->cache.max_bytes / 4)
        config_complain(r, "cache.max_entry", "%u is more than a quarter of cache.max_bytes, %llu; lower it",
                        c->cache.max_entry, (unsigned long long)c->cache.max_bytes);
}

static void check_user(struct reader *r)
{
    if (r->config->user && !getpwnam(r->config->user))
        config_complain(r, "user", "there is no user \"%s\"; create it or name another", r->config->user);
}

/* ---- providers and models */

static const config_setting_t *given(const struct reader *r, size_t i, const char *setting)
{
    const config_setting_t *p = config_setting_get_elem(config_lookup(&r->lib, "providers"), (unsigned)i);
    return config_setting_get_member(p, setting);
}

static bool is_type(const struct conf_provider *p, const char *type)
{
    return strcmp(p->type, type) == 0;
}

/* Settings that only some types have. */
static void check_belongs(struct reader *r, size_t i, const char *path)
{
    static const struct {
        const char *setting, *types;
    } own[] = {
        {"api_version", "azure anthropic"},
        {"project", "vertex"},
        {"location", "vertex"},
        {"credentials_file", "vertex"},
        {"region", "bedrock"},
        {"role_url", "bedrock"},
        {"access_key_env", "bedrock"},
        {"secret_key_env", "bedrock"},
        {"session_token_env", "bedrock"},
        {"virtual", "virtual"},
    };
    const struct conf_provider *p = &r->config->providers[i];
    const struct provider_type *type = provider_type(p->type);
    char below[PATH_TEXT];
    for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++) {
        snprintf(below, sizeof(below), "%s.%s", path, own[k].setting);
        if (given(r, i, own[k].setting) && !strstr(own[k].types, p->type))
            config_complain(r, below, "a provider of type \"%s\" has no such setting; take it out", p->type);
    }
    snprintf(below, sizeof(below), "%s.responses", path);
    if (given(r, i, "responses") && type && !type->openai && !is_type(p, "azure"))
        config_complain(r, below, "a provider of type \"%s\" does not speak OpenAI's API; take it out",
                        p->type);
}

/* The vendor's own servers let nobody in without a credential. (Elsewhere something in between may add it,
 * and an instance's role may be Bedrock's.) */
static void check_credential(struct reader *r, size_t i, const char *path)
{
    const struct conf_provider *p = &r->config->providers[i];
    const struct provider_type *type = provider_type(p->type);
    if (p->has_key || p->credentials_file || given(r, i, "base_url") || !type || type->keyless ||
        is_type(p, "bedrock"))
        return;
    if (is_type(p, "vertex"))
        config_complain(r, path, "has no credential; add credentials_file = \"…\"; (or api_key_file)");
    else
        config_complain(r, path, "has no credential; add api_key_file = \"…\"; (or api_key_env = \"%s\";)",
                        type->key_env ? type->key_env : "…");
}

/* Settings that go together, or not. */
static void check_pairs(struct reader *r, const struct conf_provider *p, const char *path)
{
    bool key = p->api_key_env || p->api_key_file;
    if (!p->access_key_env != !p->secret_key_env)
        config_complain(r, path, "access_key_env and secret_key_env go together; give both, or none");
    else if (p->session_token_env && !p->access_key_env)
        config_complain(r, path, "session_token_env goes with access_key_env and secret_key_env; add them");
    if (key && p->access_key_env)
        config_complain(r, path, "both an API key and an access key are given; keep one of them");
    if (key && p->credentials_file)
        config_complain(r, path, "both an API key and credentials_file are given; keep one of them");
    if (p->api_key_env && p->api_key_file)
        config_complain(r, path, "both api_key_env and api_key_file are given; keep one of them");
}

static void check_files(struct reader *r, const struct conf_provider *p, const char *path)
{
    char below[PATH_TEXT];
    struct stat st;
    snprintf(below, sizeof(below), "%s.ca_file", path);
    if (p->ca_file)
        check_authorities(r, below, p->ca_file);
    snprintf(below, sizeof(below), "%s.virtual.replay", path);
    if (p->virt.replay && (stat(p->virt.replay, &st) != 0 || !S_ISDIR(st.st_mode)))
        config_complain(r, below, "%s is not a folder; create it or correct the path", p->virt.replay);
}

static void check_provider(struct reader *r, size_t i, bool full)
{
    const struct conf_provider *p = &r->config->providers[i];
    char path[64];
    snprintf(path, sizeof(path), "providers[%zu]", i);
    for (size_t k = 0; k < i; k++)
        if (strcmp(r->config->providers[k].name, p->name) == 0)
            config_complain(r, path, "the name \"%s\" is providers[%zu]'s already; choose another", p->name,
                            k);
    if (is_type(p, "bedrock") && !p->region)
        config_complain(r, path, "region is missing; add region = \"us-east-1\"; (or another)");
    else if (!is_type(p, "virtual") && !p->base_url)
        config_complain(r, path, "base_url is missing; add base_url = \"https://…\";");
    check_belongs(r, i, path);
    check_pairs(r, p, path);
    check_credential(r, i, path);
    if (full)
        check_files(r, p, path);
}

static void check_model(struct reader *r, size_t i)
{
    const struct conf_model *m = &r->config->models[i];
    char path[PATH_TEXT];
    snprintf(path, sizeof(path), "models[%zu]", i);
    for (size_t k = 0; k < i; k++)
        if (strcmp(r->config->models[k].name, m->name) == 0)
            config_complain(r, path, "the name \"%s\" is models[%zu]'s already; remove one", m->name, k);
    if (m->n_targets == 0)
        config_complain(r, path, "has no target; add targets = ( { provider = \"…\"; } );");
}

int config_check(struct reader *r, bool full)
{
    check_listeners(r, full);
    check_admin(r, full);
    check_numbers(r);
    if (full)
        check_user(r);
    for (size_t i = 0; i < r->config->n_providers; i++)
        check_provider(r, i, full);
    for (size_t i = 0; i < r->config->n_models; i++)
        check_model(r, i);
    return r->mistakes == 0 ? 0 : -1;
}

/* ---- credentials */

/* A provider's further secrets; `setting` names where it comes from. */
static int load_further(struct reader *r, size_t i, const char *part, const char *setting,
                        const char *variable, const char *file)
{
    struct error why;
    char path[PATH_TEXT], name[PATH_TEXT];
    if (!variable && !file)
        return 0;
    secret_name(name, sizeof(name), r->config->providers[i].name, part);
    int result = variable ? secret_from_env(name, variable, &why) : secret_from_whole_file(name, file, &why);
    snprintf(path, sizeof(path), "providers[%zu].%s", i, setting);
    return result == 0 ? 0 : config_complain(r, path, "%s", why.text);
}

/* A file that can't ever get a token is better known now than at the first request. */
static void load_account(struct reader *r, size_t i)
{
    const struct conf_provider *p = &r->config->providers[i];
    struct error why;
    bool project;
    char path[PATH_TEXT], name[PATH_TEXT];
    if (!p->credentials_file ||
        load_further(r, i, "file", "credentials_file", NULL, p->credentials_file) != 0)
        return;
    secret_name(name, sizeof(name), p->name, "file");
    snprintf(path, sizeof(path), "providers[%zu].credentials_file", i);
    if (service_account_check(secret_waiting(name), &project, &why) != 0)
        config_complain(r, path, "%s: %s", p->credentials_file, why.text);
    else if (!project && !p->project)
        config_complain(r, path, "%s names no project_id; add project = \"…\";", p->credentials_file);
}

static void load_secrets(struct reader *r, size_t i)
{
    const struct conf_provider *p = &r->config->providers[i];
    struct error why;
    char path[PATH_TEXT];
    load_account(r, i);
    load_further(r, i, "access", "access_key_env", p->access_key_env, NULL);
    load_further(r, i, "secret", "secret_key_env", p->secret_key_env, NULL);
    load_further(r, i, "session", "session_token_env", p->session_token_env, NULL);
    if (!p->has_key)
        return;
    snprintf(path, sizeof(path), "providers[%zu].%s", i, p->api_key_env ? "api_key_env" : "api_key_file");
    if (p->api_key_env && secret_from_env(p->name, p->api_key_env, &why) != 0)
        config_complain(r, path, "%s, or use api_key_file", why.text);
    if (!p->api_key_env && secret_from_file(p->name, p->api_key_file, &why) != 0)
        config_complain(r, path, "%s", why.text);
}

int config_load_secrets(struct reader *r)
{
    secret_begin();
    for (size_t i = 0; i < r->config->n_providers; i++)
        load_secrets(r, i);
    if (r->mistakes == 0)
        return 0;
    secret_abort();
    return -1;
}

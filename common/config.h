/* The configuration: one libconfig file, checked as a whole before anything uses it.
 *
 * Every setting is one line of common/settings.def, from which come the parser, the defaults, the checks, the
 * sample file and the man page. An unknown setting, a wrong type or a dangling reference is an error that
 * names file, line, setting and remedy. Credentials are not in it: a provider's key comes from a file or an
 * environment variable and lives in the secrets region (secret.h), which only master and workers keep. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include "arena.h"
#include "error.h"
#include "limits.h"
#include "price.h"
#include "str.h"

#include <netinet/in.h>

struct cidr {
    uint8_t family; /* 4 or 6 */
    uint8_t bits;
    uint8_t addr[16];
};

struct conf_tls {
    bool on;
    const char *certificate, *key; /* PEM files */
    const char *client_ca;         /* NULL: client certificates are not asked for */
    bool client_required;          /* client_cert = "required" | "optional" */
    const char *min_version;       /* "1.2" | "1.3" */
};

struct conf_listen {
    const char *address;
    uint16_t port;
    struct conf_tls tls;
    struct cidr *proxy_from; /* balancers whose PROXY v2 header is believed (and demanded) */
    size_t n_proxy_from;
};

struct conf_timeouts { /* ms; a provider's are filled in from the file's own where it names none */
    uint32_t connect, first_byte, idle, total;
};

struct conf_virtual { /* provider type "virtual": how it behaves; everything deterministic in the request */
    uint32_t latency_ms, chunk_ms, chunks, chunk_bytes;
    uint32_t error_permille, error_status; /* so many of 1,000 requests get that status */
    uint32_t cut_permille;                 /* … are cut midway */
    uint32_t hang_permille;                /* … are never answered */
    const char *replay;                    /* folder of recorded answers: MODEL.json, MODEL.sse */
};

enum conf_hosted { HOSTED_REFUSE, HOSTED_DROP }; /* tools that only their own vendor runs */
enum conf_responses { RESPONSES_AUTO, RESPONSES_TRUE, RESPONSES_FALSE };

struct conf_provider {
    const char *name;
    const char *type;     /* provider_types.h */
    const char *base_url; /* given, or the vendor's own; NULL: virtual */
    bool has_key;         /* a credential is in the secrets region under this provider's name */
    const char *api_key_env, *api_key_file;
    const char *api_version;        /* azure, anthropic */
    const char *project, *location; /* vertex */
    const char *credentials_file;   /* vertex; its content is the provider's secret (secret_name) "file" */
    const char *region, *role_url;  /* bedrock */
    const char *access_key_env, *secret_key_env, *session_token_env; /* … "access", "secret", "session" */
    enum conf_responses responses;
    const char *ca_file; /* NULL: the system's */
    struct conf_timeouts timeouts;
    uint32_t max_in_flight; /* 0: half of the workers that others leave (all but the spare ones for an only
                               provider) */
    struct {
        const char *name, *value;
    } headers[16];
    size_t n_headers;
    struct conf_virtual virt;
};

struct conf_target {
    uint16_t provider; /* index */
    const char *model; /* "*": the caller's */
};

struct conf_model {
    const char *name; /* may end in '*' */
    struct conf_target targets[MAX_TARGETS];
    size_t n_targets;
    struct price price; /* known: overrides the table */
    uint32_t context_window, max_output;
    bool strict; /* a parameter that the target can't honour is refused */
    enum conf_hosted hosted_tools;
};

enum cache_scope { CACHE_SCOPE_KEY, CACHE_SCOPE_TEAM, CACHE_SCOPE_GLOBAL };

struct config {
    const char *file; /* for messages */
    struct conf_listen listen[MAX_LISTENERS];
    size_t n_listen;
    struct {
        const char *address; /* loopback, "unix:/path", or anything with tls */
        uint16_t port;
        const char *token_file;
        struct conf_tls tls;
    } admin;
    const char *run_dir, *state_dir;
    const char *user; /* NULL: stay who we are */
    struct {
        uint32_t min, max, spare;
    } workers;
    uint32_t tls_processes;
    struct {
        uint32_t max_head, max_headers, max_body;
        uint32_t head_timeout_ms;  /* first byte of a head → its end */
        uint32_t body_timeout_ms;  /* grace of a body before min_rate counts */
        uint32_t min_rate;         /* bytes/s, of a body read and of an answer written */
        uint32_t idle_timeout_ms;  /* keep-alive */
        uint32_t write_timeout_ms; /* without any progress of an answer */
        uint32_t max_connections;
        uint32_t spool_bytes;  /* all slow large bodies together */
        uint32_t heartbeat_ms; /* a silent stream gets a comment; 0: never */
    } http;
    struct conf_timeouts timeouts; /* default of providers */
    uint32_t drain_timeout_ms;
    struct {
        bool fetch, allow_private;
        uint32_t max_bytes, timeout_ms;
    } media;
    struct {
        bool enabled;
        enum cache_scope scope;
        uint32_t ttl_s;
        uint64_t max_bytes;
        uint32_t max_entry;
    } cache;
    struct {
        uint32_t output_reserve; /* tokens reserved for the answer of a request that names no maximum */
        uint32_t table_slots;    /* power of two */
    } limits;
    struct {
        bool serve_when_full; /* usage store full: false: refuse requests; true: serve and alert */
        uint64_t max_bytes;
        uint32_t keep_days; /* 0: for ever */
        uint32_t commit_ms;
    } ledger;
    struct {
        const char *level, *format;
        bool access;
    } log;
    const char *prices_file;
    struct price_table *prices;
    struct conf_provider *providers;
    size_t n_providers;
    struct conf_model *models;
    size_t n_models;
    struct arena arena; /* holds everything that is pointed to from here */
};

/* Reads and checks everything that can be checked without changing anything: syntax, settings, references,
 * numbers, that named files exist and certificates fit their keys. `text` is the file's content (so that one
 * snapshot serves all processes), `file` its name. with_secrets: provider credentials are read too (master
 * only) and wait in the secrets region for the caller's secret_commit or secret_abort; false leaves has_key
 * as configured and looks at no file but the list of prices: for a process that is handed what the master has
 * checked. NULL and err ("FILE:LINE: setting: what, remedy"). */
struct config *config_parse(struct str text, const char *file, bool with_secrets, struct error *err);
/* The same, and tell (NULL: nobody) hears of each mistake that can be found before another is mended: all of
 * form; where there are none, all of sense; then all of credentials. err: the first. */
typedef void config_tell(void *to, const char *mistake);
struct config *config_parse_all(struct str text, const char *file, bool with_secrets, config_tell *tell,
                                void *to, struct error *err);
/* Reads a whole file (at most 4 MB) for config_parse; free() it. (libconfig itself has a config_read_file.)
 */
char *config_file_text(const char *file, size_t *n, struct error *err);
void config_free(struct config **c);

/* The model that serves this name: exact, else the longest prefix pattern; NULL when there is none. */
const struct conf_model *config_model(const struct config *c, struct str name);
const struct conf_provider *config_provider(const struct config *c, struct str name);

/* 0/-1: "10.0.0.0/8", "::1", "fd00::/8". */
int cidr_parse(struct str s, struct cidr *out);
bool cidr_match(const struct cidr *c, const struct sockaddr_storage *peer);
bool cidr_match_any(const struct cidr list[], size_t n, const struct sockaddr_storage *peer);

/* The annotated sample file and the man page's settings section, both from settings.def. */
void config_print_sample(void);
void config_print_man(void);

#endif

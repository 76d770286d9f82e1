/* aigw-admin: the administration API, a program of its own.
 *
 * The master starts it (fork and exec, so that nothing of the master's memory comes along) with a descriptor
 * of the configuration's text, one of the listening socket, its control channel and the cache's mailbox. It
 * is the only writer of keys, teams and audit lines; it reads the usage store and the shared segment, of
 * which it writes its own line and its own counters. It never holds a provider's credential: the
 * configuration it parses has none, and its environment is empty. It ends with the master. */
#include "admin.h"
#include "api.h"
#include "clock.h"
#include "confine.h"
#include "http_server.h"
#include "listener.h"
#include "log.h"
#include "mem.h"
#include "options.h"
#include "router.h"
#include "scoreboard.h"
#include "tls_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { CONFIG_MAX = 4 * 1024 * 1024, DRAIN_S = 2 };

/* The text behind a descriptor that others may be reading too: pread leaves its offset alone. */
static char *read_text(int fd, size_t *n, struct error *err)
{
    char *text = mem_alloc(CONFIG_MAX);
    ssize_t got;
    *n = 0;
    while (*n < CONFIG_MAX && (got = pread(fd, text + *n, CONFIG_MAX - *n, (off_t)*n)) > 0)
        *n += (size_t)got;
    if (*n && *n < CONFIG_MAX)
        return text;
    free(text);
    error_set(err, "the configuration can't be read from descriptor %d", fd);
    return NULL;
}

static struct config *read_config(int fd, const char *name, struct error *err)
{
    size_t n;
    char *text = fd >= 0 ? read_text(fd, &n, err) : config_file_text(name, &n, err);
    if (!text)
        return NULL;
    struct config *c = config_parse((struct str){text, n}, name, false, err);
    free(text);
    return c;
}

static void set_log(const struct config *c)
{
    enum log_level level;
    if (c->log.level && !log_level_of(c->log.level, &level))
        log_set_level(level);
    log_set_json(c->log.format && !strcmp(c->log.format, "json"));
}

static bool is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* The listening socket, and in a->host what clients of a loopback address must call us. */
static int open_listener(struct admin *a, const struct options *o, struct error *err)
{
    const char *address = *o->listen_address ? o->listen_address : a->config->admin.address;
    uint16_t port = *o->listen_address ? o->listen_port : a->config->admin.port;
    bool local = !strncmp(address, "unix:", 5), loopback = is_loopback(address);
    if (!local && !loopback && !a->config->admin.tls.on)
        return error_set(err, "admin: %s is no loopback address, and admin.tls is not set", address);
    if (loopback)
        str_copy_cut(a->host, sizeof a->host, str_of(address));
    return o->listen_fd >= 0 ? o->listen_fd : listener_open(address, port, err);
}

static int attach_segment(struct admin *a, const struct options *o, struct error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/aigw.shm", a->config->run_dir);
    bool ours = a->control_fd >= 0; /* the slot's line and counters have one writer: the master's child */
    if (segment_attach(&a->segment, o->segment ? o->segment : path, ours, err)) {
        a->segment.header = NULL;
        return o->segment ? -1 : 0; /* by hand it may well be missing */
    }
    a->metrics = ours ? segment_metrics(&a->segment, SLOT_ADMIN) : NULL;
    a->generation = atomic_load(&a->segment.header->generation);
    return 0;
}

/* Everything but the listener. Keys first: at a first start the workers wait for the store. */
static int open_all(struct admin *a, const struct options *o, struct error *err)
{
    bool made;
    a->config = read_config(o->config_fd, o->config_name, err);
    if (!a->config)
        return -1;
    set_log(a->config);
    a->keys = keystore_open(a->config->state_dir, true, err);
    if (!a->keys || attach_segment(a, o, err))
        return -1;
    /* half of the table may be used; series and providers need some of that half */
    uint32_t slots = a->segment.header ? a->segment.header->table_slots : a->config->limits.table_slots;
    keystore_set_capacity(a->keys, slots / 8 * 3);
    if (token_load(a->config->admin.token_file, &a->token, &made, err))
        return -1;
    if (made)
        log_info("admin token: %s (new)", a->config->admin.token_file);
    else
        log_info("admin token: %s", a->config->admin.token_file);
    return 0;
}

static void stop(struct admin *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    http_server_drain(a->server, DRAIN_S * NS_PER_SEC);
}

/* A new configuration that the master has accepted. (Where address or token file changed, the master starts
 * another process in our stead, and tells this one to end.) */
static void take_config(struct admin *a, const struct control *m)
{
    struct error err;
    if (m->fd < 0)
        return;
    struct config *c = read_config(m->fd, *m->text ? m->text : a->config->file, &err);
    if (!c) {
        log_error("the new configuration is not used here: %s", err.text);
        return;
    }
    if (c->admin.tls.on && a->config->admin.tls.on) {
        SSL_CTX *tls = tls_server_new(&c->admin.tls, &err);
        if (tls)
            http_server_set_tls(a->server, tls);
        else
            log_error("the admin API keeps its old certificate: %s", err.text);
        SSL_CTX_free(tls);
    }
    config_free(&a->config);
    a->config = c;
    a->generation = m->generation;
    set_log(c);
}

static void control_ready(void *arg)
{
    struct admin *a = arg;
    struct control m;
    int r = control_recv(a->control_fd, &m);
    if (r < 0 && (errno == EAGAIN || errno == EPROTO))
        return;
    if (r <= 0) {
        stop(a);
        /* at its end it would be ready for ever */
        close(a->control_fd);
        a->control_fd = -1;
        return;
    }
    if (m.kind == CTL_RELOADED)
        reload_answered(a, &m);
    else if (m.kind == CTL_CONFIG)
        take_config(a, &m);
    else if (m.kind == CTL_DRAIN)
        stop(a);
    if (m.fd >= 0)
        close(m.fd);
}

struct signals {
    int fd;
    struct admin *admin;
};

static void signal_ready(void *arg)
{
    struct signals *s = arg;
    struct signalfd_siginfo info;
    if (read(s->fd, &info, sizeof info) == sizeof info)
        stop(s->admin);
}

static int open_signals(struct signals *s, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* of a terminal, for the whole group; reloading is the master's */
    if (sigprocmask(SIG_SETMASK, &set, NULL))
        return error_errno(err, "sigprocmask");
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->fd < 0 ? error_errno(err, "signalfd") : 0;
}

static int start(struct admin *a, const struct options *o, struct signals *signals, struct error *err)
{
    int listen_fd = open_listener(a, o, err);
    if (listen_fd < 0)
        return -1;
    fcntl(listen_fd, F_SETFL, fcntl(listen_fd, F_GETFL) | O_NONBLOCK);
    SSL_CTX *tls = a->config->admin.tls.on ? tls_server_new(&a->config->admin.tls, err) : NULL;
    if (a->config->admin.tls.on && !tls)
        return -1;
    struct handler handler = router_handler(a);
    a->server = http_server_new(listen_fd, tls, &handler, err);
    SSL_CTX_free(tls);
    if (!a->server || open_signals(signals, err) ||
        http_server_watch(a->server, signals->fd, signal_ready, signals, err))
        return -1;
    if (a->control_fd >= 0) {
        fcntl(a->control_fd, F_SETFL, fcntl(a->control_fd, F_GETFL) | O_NONBLOCK);
        if (http_server_watch(a->server, a->control_fd, control_ready, a, err))
            return -1;
    }
    char name[128];
    listener_name(listen_fd, name, sizeof name);
    log_info("the admin API listens on %s%s", name, a->config->admin.tls.on ? " (TLS)" : "");
    return 0;
}

static void leave(struct admin *a)
{
    http_server_free(&a->server);
    usage_store_close(&a->usage);
    keystore_close(&a->keys);
    if (a->segment.header)
        segment_detach(&a->segment);
    config_free(&a->config);
}

int main(int argc, char **argv)
{
    struct options o;
    struct error err;
    struct signals signals = {.fd = -1};
    log_role("admin");
    if (options_read(argc, argv, &o, &err)) {
        log_error("%s", err.text);
        return 2;
    }
    if (o.help || o.version) {
        printf("%s", o.help ? options_usage : "aigw-admin " AIGW_VERSION "\n");
        return 0;
    }
    struct admin a = {.control_fd = o.control_fd, .cache_fd = o.cache_fd};
    signals.admin = &a;
    if (confine_early(&err) || open_all(&a, &o, &err) || start(&a, &o, &signals, &err) || confine(&err)) {
        log_error("%s", err.text);
        leave(&a);
        return 1;
    }
    if (a.segment.header && o.control_fd >= 0)
        scoreboard_enter(&a.segment, SLOT_ADMIN, "admin", a.generation, clock_mono_ns());
    http_server_run(a.server);
    leave(&a);
    return 0;
}

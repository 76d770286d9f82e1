/* A new configuration while the gateway serves. Everything that can fail is done first, on the side; only
 * then does anything change, and nothing of that can fail. Old workers and tls processes finish what they
 * hold; the acceptor and its connections go on; the writers (cache, ledger) are replaced only when their
 * settings changed, while their mailbox and rings hold what comes. */
#include "clock.h"
#include "log.h"
#include "master.h"
#include "sd_notify.h"
#include "secret.h"
#include "str.h"
#include "upstream.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int config_snapshot(struct str text, struct error *err)
{
    int fd = memfd_create("aigw.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_errno(err, "memfd");
    if (write(fd, text.p, text.n) != (ssize_t)text.n) {
        error_errno(err, "memfd");
        close(fd);
        return -1;
    }
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    return fd;
}

/* ---- what a reload can't change ---- */

/* The line where a setting is given, for people; 1 when it is not given (its default changed under us). */
static size_t line_of(struct str text, const char *setting)
{
    struct str line;
    for (size_t number = 1; str_split(&text, '\n', &line); number++) {
        line = str_trim(line);
        size_t n = strlen(setting);
        for (size_t i = 0; i + n < line.n && line.p[i] != '#'; i++)
            if (memcmp(line.p + i, setting, n) == 0 && strchr(" =:\t", line.p[i + n]) &&
                (i == 0 || strchr(" ;,{\t", line.p[i - 1])))
                return number;
    }
    return 1;
}

static bool differs(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

static int refuse_fixed(const struct master *m, const struct config *c, struct str text, struct error *err)
{
    const struct config *old = m->config;
    const char *setting = NULL, *group = "";
    if (differs(old->run_dir, c->run_dir))
        setting = "run_dir";
    else if (differs(old->state_dir, c->state_dir))
        setting = "state_dir";
    else if (differs(old->user, c->user))
        setting = "user";
    else if (old->limits.table_slots != c->limits.table_slots)
        setting = "table_slots", group = "limits.";
    if (!setting)
        return 0;
    return error_set(err, "%s:%zu: %s%s: can't change while the gateway runs; restart it", m->file,
                     line_of(text, setting), group, setting);
}

/* ---- what takes effect ---- */

static bool same_ledger(const struct config *a, const struct config *b)
{
    return a->ledger.serve_when_full == b->ledger.serve_when_full &&
           a->ledger.max_bytes == b->ledger.max_bytes && a->ledger.commit_ms == b->ledger.commit_ms;
}

static bool same_cache(const struct config *a, const struct config *b)
{
    return a->cache.enabled == b->cache.enabled && a->cache.max_bytes == b->cache.max_bytes &&
           a->cache.max_entry == b->cache.max_entry && a->cache.ttl_s == b->cache.ttl_s;
}

static bool same_log(const struct config *a, const struct config *b)
{
    return !differs(a->log.level, b->log.level) && !differs(a->log.format, b->log.format);
}

static void replace_writers(struct master *m, const struct config *old)
{
    int64_t within = (int64_t)m->config->drain_timeout_ms * NS_PER_MS;
    struct child *ledger = child_of(m, ROLE_LEDGER), *cache = child_of(m, ROLE_CACHE);
    bool log_changed = !same_log(old, m->config);
    if (ledger && (log_changed || !same_ledger(old, m->config)))
        child_leave(m, ledger, within);
    if (cache && (log_changed || !same_cache(old, m->config)))
        child_leave(m, cache, within);
}

/* The admin process reads the new text itself; where its address changed, another one takes over. */
static void renew_admin(struct master *m, const struct config *old)
{
    struct child *admin = child_of(m, ROLE_ADMIN);
    if (!admin)
        return;
    const struct config *c = m->config;
    bool moved = differs(old->admin.address, c->admin.address) || old->admin.port != c->admin.port ||
                 old->admin.tls.on != c->admin.tls.on ||
                 differs(old->admin.token_file, c->admin.token_file) ||
                 old->cache.enabled != c->cache.enabled;
    struct control m1 = {.kind = CTL_CONFIG, .generation = m->generation, .fd = m->config_fd};
    str_copy_cut(m1.text, sizeof m1.text, str_of(m->file));
    control_send(admin->channel, &m1);
    admin->generation = m->generation;
    if (moved) {
        admin->kill_ns = m->now + 5 * NS_PER_SEC;
        admin->leaving = true;
        m->admin_moved = true; /* it is told to end after its answer to whoever asked for this */
    }
}

static void renew_acceptor(struct master *m)
{
    struct control c = {.kind = CTL_CONFIG, .fd = m->config_fd};
    str_copy_cut(c.text, sizeof c.text, str_of(m->file));
    outbox_send(m, &c);
    for (uint32_t i = 0; i < m->config->n_listen; i++) {
        struct control l = {.kind = CTL_LISTENER, .number = i, .fd = m->listen_fds[i]};
        if (!m->config->listen[i].tls.on)
            outbox_send(m, &l);
    }
}

/* New workers are there before the old ones are told to go; the acceptor decides when. */
static void change_generation(struct master *m)
{
    int64_t within = (int64_t)m->config->drain_timeout_ms * NS_PER_MS;
    children_tend(m);
    struct control g = {.kind = CTL_GENERATION, .generation = m->generation, .fd = -1};
    outbox_send(m, &g);
    for (size_t i = 0; i < m->n_children; i++) {
        struct child *c = &m->children[i];
        if (c->generation == m->generation)
            continue;
        if (c->role == ROLE_TLS)
            child_leave(m, c, within);
        else if (c->role == ROLE_WORKER && c->kill_ns == 0)
            c->kill_ns = m->now + within + 3 * NS_PER_SEC;
    }
}

static void commit(struct master *m, struct config *c, int config_fd, const int fds[MAX_LISTENERS],
                   int admin_fd)
{
    struct config *old = m->config;
    struct shm_header *h = m->segment.header;
    secret_commit(); /* before anything is forked for the new configuration, and never for a refused one */
    listeners_replace(m, fds, admin_fd);
    close(m->config_fd);
    m->config_fd = config_fd;
    m->config = c;
    m->generation++;
    m->wanted = 0;
    atomic_store(&h->workers_max, c->workers.max);
    atomic_store(&h->generation, m->generation);
    atomic_fetch_add(&h->reloads, 1);
    master_set_log(c);
    renew_acceptor(m);
    replace_writers(m, old);
    renew_admin(m, old);
    change_generation(m);
    config_free(&old);
}

static int try_reload(struct master *m, struct str text, struct error *err)
{
    int fds[MAX_LISTENERS], admin_fd;
    struct config *c = config_parse(text, m->file, true, err);
    if (!c)
        return -1;
    int config_fd = -1;
    if (refuse_fixed(m, c, text, err) || upstream_preload(c, err) ||
        (config_fd = config_snapshot(text, err)) < 0 || listeners_open(m, c, fds, &admin_fd, err)) {
        if (config_fd >= 0)
            close(config_fd);
        config_free(&c);
        secret_abort();
        return -1;
    }
    commit(m, c, config_fd, fds, admin_fd);
    return 0;
}

int master_reload(struct master *m, struct error *err)
{
    size_t n;
    if (m->stop != STOP_NOT)
        return error_set(err, "the gateway is stopping");
    sd_notify_state("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_mono_ns() / NS_PER_US));
    char *text = config_file_text(m->file, &n, err);
    int rc = text ? try_reload(m, (struct str){text, n}, err) : -1;
    free(text);
    if (rc) {
        atomic_fetch_add(&m->segment.header->reloads_refused, 1);
        log_error("the new configuration is refused, the old one goes on: %s", err->text);
    } else {
        log_info("configuration %s is in force, generation %u", m->file, m->generation);
    }
    sd_notify_state("READY=1");
    return rc;
}

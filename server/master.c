/* The master: makes the segment, opens the listening sockets, forks and supervises everything else. It opens
 * no database and touches no request, so no request can take it down. Its loop waits for signals (as a
 * descriptor) and for the few messages of its children; everything it does is short and waits for nobody. */
#include "master.h"
#include "children.h"
#include "clock.h"
#include "credential.h"
#include "listener.h"
#include "log.h"
#include "mem.h"
#include "process.h"
#include "sandbox.h"
#include "scoreboard.h"
#include "sd_notify.h"
#include "secret.h"
#include "table.h"
#include "upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORING_NS    (10 * NS_PER_SEC) /* for the last rows */
#define EVICT_NS      (30 * NS_PER_SEC)
#define EVICT_IDLE_NS (15 * 60 * NS_PER_SEC) /* a limiter unused so long may be forgotten */

enum { EVENTS = 32, TICK_MS = 10000 };

/* ---- stopping ---- */

static void stop_serving(struct master *m)
{
    m->stop = STOP_SERVING;
    m->stop_ns = m->now + (int64_t)m->config->drain_timeout_ms * NS_PER_MS;
    log_info("stopping: no new connections, open requests have %u ms", m->config->drain_timeout_ms);
    sd_notify_state("STOPPING=1");
    listeners_close(m);
    for (size_t i = 0; i < m->n_children; i++)
        if (m->children[i].role == ROLE_ACCEPTOR || m->children[i].role == ROLE_TLS)
            child_leave(m, &m->children[i], m->stop_ns - m->now);
}

static void stop_storing(struct master *m)
{
    m->stop = STOP_STORING;
    m->stop_ns = m->now + STORING_NS;
    for (size_t i = 0; i < m->n_children; i++) {
        m->children[i].leaving = false; /* also one that a reload had told to end: once more does no harm */
        child_leave(m, &m->children[i], STORING_NS);
    }
}

static size_t serving(const struct master *m)
{
    return children_count(m, ROLE_ACCEPTOR) + children_count(m, ROLE_TLS) + children_count(m, ROLE_WORKER);
}

static void kill_serving(struct master *m)
{
    for (size_t i = 0; i < m->n_children; i++)
        if (m->children[i].role == ROLE_WORKER || m->children[i].role == ROLE_ACCEPTOR ||
            m->children[i].role == ROLE_TLS)
            child_kill(&m->children[i]);
}

/* Without an acceptor the workers are told by us; what they hand back then is closed. */
static void stop_orphans(struct master *m)
{
    if (children_count(m, ROLE_ACCEPTOR) > 0)
        return;
    for (size_t i = 0; i < m->n_children; i++)
        if (m->children[i].role == ROLE_WORKER)
            child_leave(m, &m->children[i], m->stop_ns > m->now ? m->stop_ns - m->now : 0);
}

/* True: everything has ended. */
static bool go_on_stopping(struct master *m)
{
    if (m->stop == STOP_SERVING) {
        stop_orphans(m);
        if (m->now >= m->stop_ns)
            kill_serving(m);
        if (serving(m) == 0)
            stop_storing(m);
    }
    return m->stop == STOP_STORING && m->n_children == 0;
}

/* ---- signals ---- */

static void reload_asked(struct master *m, struct child *by, uint32_t number)
{
    struct error err = {""};
    pid_t asker = by ? by->pid : 0; /* children move in their list */
    int rc = master_reload(m, &err);
    for (size_t i = 0; i < m->n_children; i++) {
        struct child *c = &m->children[i];
        if (c->pid == asker) {
            struct control answer = {.kind = CTL_RELOADED, .generation = m->generation, .fd = -1};
            answer.number = number;
            if (rc)
                str_copy_cut(answer.text, sizeof answer.text, str_of(err.text));
            control_send(c->channel, &answer);
        }
        if (m->admin_moved && c->role == ROLE_ADMIN && c->leaving)
            child_tell(c, CTL_DRAIN);
    }
    m->admin_moved = false;
}

static void read_signals(struct master *m)
{
    struct signalfd_siginfo s;
    while (read(m->signal_fd, &s, sizeof s) == (ssize_t)sizeof s) {
        if (s.ssi_signo == SIGHUP)
            reload_asked(m, NULL, 0);
        else if (s.ssi_signo == SIGCHLD)
            continue; /* reaped each round */
        else if (m->stop == STOP_NOT)
            stop_serving(m);
        else
            kill_serving(m); /* asked again: at once */
    }
}

/* ---- messages ---- */

static struct child *child_at(const struct master *m, int channel)
{
    for (size_t i = 0; i < m->n_children; i++)
        if (m->children[i].channel == channel)
            return &m->children[i];
    return NULL;
}

static void became_ready(struct master *m)
{
    if (m->ready)
        return;
    m->ready = true;
    log_info("ready");
    sd_notify_state("READY=1\nSTATUS=serving");
}

static void read_messages(struct master *m, int channel)
{
    struct control c;
    for (;;) {
        struct child *from = child_at(m, channel);
        if (!from)
            return;
        int rc = control_recv(channel, &c);
        if (rc == 0 || (rc < 0 && errno != EAGAIN && errno != EPROTO)) {
            epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, channel, NULL); /* it is about to be reaped */
            return;
        }
        if (rc < 0)
            return;
        if (c.fd >= 0)
            close(c.fd);
        if (c.kind == CTL_WANT_WORKERS && from->role == ROLE_ACCEPTOR)
            m->wanted += c.number < MAX_WORKERS ? c.number : MAX_WORKERS;
        else if (c.kind == CTL_READY && from->role == ROLE_ACCEPTOR)
            became_ready(m);
        else if (c.kind == CTL_RELOAD && from->role == ROLE_ADMIN)
            reload_asked(m, from, c.number);
    }
}

/* ---- the loop ---- */

void master_watch(struct master *m, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
        log_error("epoll: %s", strerror(errno));
}

static void evict(struct master *m)
{
    const struct shm_header *h = m->segment.header;
    if (m->now - m->evicted_ns < EVICT_NS)
        return;
    m->evicted_ns = m->now;
    if (atomic_load(&h->table_used) > h->table_slots / 4)
        table_evict_idle(&m->segment, m->now, EVICT_IDLE_NS);
}

static int wait_ms(const struct master *m)
{
    int64_t due = children_due(m), most = m->now + TICK_MS * NS_PER_MS;
    if (m->stop == STOP_SERVING && m->stop_ns < due)
        due = m->stop_ns;
    if (m->outbox.n > 0)
        due = m->now + NS_PER_MS;
    if (due > most)
        due = most;
    return due <= m->now ? 0 : (int)((due - m->now + NS_PER_MS - 1) / NS_PER_MS);
}

static void run(struct master *m)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        m->now = clock_mono_ns();
        children_reap(m);
        children_expire(m);
        if (m->stop != STOP_NOT && go_on_stopping(m))
            return;
        children_tend(m);
        outbox_flush(m);
        evict(m);
        int n = epoll_wait(m->epoll_fd, events, EVENTS, wait_ms(m));
        m->now = clock_mono_ns();
        for (int i = 0; i < n; i++)
            if (events[i].data.fd == m->signal_fd)
                read_signals(m);
            else
                read_messages(m, events[i].data.fd);
    }
}

/* ---- starting ---- */

void master_set_log(const struct config *c)
{
    enum log_level level;
    if (log_level_of(c->log.level, &level) == 0)
        log_set_level(level);
    log_set_json(strcmp(c->log.format, "json") == 0);
}

static void raise_limits(void)
{
    struct rlimit r;
    const struct rlimit no_core = {0, 0};
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    setrlimit(RLIMIT_CORE, &no_core);
#ifndef __SANITIZE_ADDRESS__
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* Where we are root and shall become somebody else, the folders have to be his. */
static int make_folder(const struct config *c, const char *setting, const char *path, struct error *err)
{
    struct stat st;
    if (mkdir(path, 0700) && errno != EEXIST)
        return error_errno(err, "%s: %s: can't be made", setting, path);
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return error_set(err, "%s: %s: is not a folder; name one, or a place where one can be made", setting,
                         path);
    const struct passwd *pw = geteuid() == 0 && c->user ? getpwnam(c->user) : NULL;
    if (pw && chown(path, pw->pw_uid, pw->pw_gid))
        return error_errno(err, "%s: %s: can't be given to %s", setting, path, c->user);
    if (!pw && access(path, R_OK | W_OK | X_OK))
        return error_errno(err, "%s: %s: this user (%u) can't work in it", setting, path,
                           (unsigned)geteuid());
    return 0;
}

/* Two gateways on the same stores would both write what has one writer. Held as long as the master lives: its
 * children close what they don't need. */
static int lock_state(struct master *m, struct error *err)
{
    const char *path = m->config->state_dir;
    m->state_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->state_fd < 0)
        return error_errno(err, "%s", path);
    if (flock(m->state_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK
               ? error_set(err, "%s: another aigw works with it; stop it, or give this one its own state_dir",
                           path)
               : error_errno(err, "%s: flock", path);
}

static int make_segment(struct master *m, struct error *err)
{
    const struct config *c = m->config;
    if (make_folder(c, "run_dir", c->run_dir, err) || make_folder(c, "state_dir", c->state_dir, err) ||
        lock_state(m, err) || segment_create(&m->segment, c->run_dir, c->limits.table_slots, err))
        return -1;
    const struct passwd *pw = geteuid() == 0 && c->user ? getpwnam(c->user) : NULL;
    if (pw && fchown(m->segment.fd, pw->pw_uid, pw->pw_gid))
        return error_errno(err, "the segment can't be given to %s", c->user);
    struct shm_header *h = m->segment.header;
    m->metrics = segment_metrics(&m->segment, SLOT_MASTER);
    m->generation = 1;
    atomic_store(&h->workers_max, c->workers.max);
    atomic_store(&h->generation, m->generation);
    scoreboard_enter(&m->segment, SLOT_MASTER, "master", m->generation, clock_mono_ns());
    scoreboard_state(segment_line(&m->segment, SLOT_MASTER), LINE_BUSY, clock_mono_ns());
    return 0;
}

static int make_channels(struct master *m, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
        return error_errno(err, "socketpair");
    m->tls_write = pair[0];
    m->tls_read = pair[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return error_errno(err, "socketpair");
    m->cache_write = pair[0];
    m->cache_read = pair[1];
    return 0;
}

static int make_loop(struct master *m, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &set, NULL);
    m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (m->signal_fd < 0 || m->epoll_fd < 0)
        return error_errno(err, "signalfd or epoll");
    master_watch(m, m->signal_fd);
    return 0;
}

static int read_config(struct master *m, struct error *err)
{
    size_t n;
    char *text = config_file_text(m->file, &n, err);
    if (!text)
        return -1;
    m->config = config_parse((struct str){text, n}, m->file, true, err);
    if (m->config)
        m->config_fd = config_snapshot((struct str){text, n}, err);
    free(text);
    secret_commit();
    return m->config && m->config_fd >= 0 ? 0 : -1;
}

static int open_listeners(struct master *m, int n_passed, struct error *err)
{
    int fds[MAX_LISTENERS], admin_fd;
    if (listeners_adopt(m, n_passed, err) || listeners_open(m, m->config, fds, &admin_fd, err))
        return -1;
    listeners_replace(m, fds, admin_fd);
    return 0;
}

static void say_where(const struct master *m)
{
    char names[1024] = "", name[160];
    size_t at = 0;
    for (size_t i = 0; i < m->config->n_listen && at < sizeof names; i++) {
        listener_name(m->listen_fds[i], name, sizeof name);
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s%s", i ? ", " : "", name,
                               m->config->listen[i].tls.on ? " (TLS)" : "");
    }
    listener_name(m->admin_fd, name, sizeof name);
    log_info("aigw " AIGW_VERSION ": %s: clients at %s; admin at %s", m->file, names, name);
}

static int start(struct master *m, struct error *err)
{
    int n_passed = sd_take_environment();
    m->admin_program = admin_find();
    if (!m->admin_program)
        return error_set(err, "aigw-admin is neither beside this program nor in PATH");
    if (secret_init(err) || credential_init(err) || read_config(m, err))
        return -1;
    master_set_log(m->config);
    raise_limits();
    return make_loop(m, err) || make_segment(m, err) || open_listeners(m, n_passed, err) ||
                   make_channels(m, err) || sandbox_prepare(err) || upstream_preload(m->config, err)
               ? -1
               : 0;
}

static void finish(struct master *m)
{
    scoreboard_reaped(&m->segment, SLOT_MASTER);
    segment_detach(&m->segment);
    config_free(&m->config);
    outbox_clear(m);
    free(m->outbox.messages);
    free(m->children);
    free(m->admin_program);
}

int master_run(const char *file)
{
    static struct master m;
    struct error err = {""};
    m.file = file;
    m.admin_fd = m.config_fd = -1;
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        m.listen_fds[i] = -1;
    log_role("master");
    if (start(&m, &err)) {
        log_error("%s", err.text);
        return 1;
    }
    process_title("master");
    say_where(&m);
    run(&m);
    log_info("stopped");
    finish(&m);
    return 0;
}

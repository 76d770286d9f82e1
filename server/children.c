/* The master's children: what should run, starting it, noticing its end.
 *
 * children_tend compares what runs with what should run and starts the difference, whatever the reason for
 * it: the first start, a death, a reload, a rush. A child that dies by itself as soon as it is born is
 * started again at most five times in a second, then after 1 s, 2 s, … 30 s. One that somebody killed, or
 * that had worked for a while, is replaced at once. */
#include "children.h"
#include "clock.h"
#include "handover.h"
#include "log.h"
#include "master.h"
#include "mem.h"
#include "process.h"
#include "scoreboard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define YOUNG_NS     NS_PER_SEC
#define DELAY_MIN_NS NS_PER_SEC
#define DELAY_MAX_NS (30 * NS_PER_SEC)
#define CALM_NS      (10 * NS_PER_SEC)
#define RETRY_NS     (100 * NS_PER_MS)

static const struct {
    const char *name;
    void (*main)(const struct heritage *);
    uint32_t slot;
} roles[ROLES] = {
    [ROLE_ACCEPTOR] = {"acceptor", acceptor_main, SLOT_ACCEPTOR},
    [ROLE_TLS] = {"tls", tls_main, SLOT_TLS0},
    [ROLE_CACHE] = {"cache", cache_main, SLOT_CACHE},
    [ROLE_LEDGER] = {"ledger", ledger_main, SLOT_LEDGER},
    [ROLE_ADMIN] = {"admin", NULL, SLOT_ADMIN},
    [ROLE_WORKER] = {"worker", worker_main, 0},
};

/* ---- the list ---- */

struct child *child_of(const struct master *m, enum role role)
{
    for (size_t i = m->n_children; i > 0; i--) /* the newest, where an old one is still leaving */
        if (m->children[i - 1].role == role && !m->children[i - 1].leaving)
            return &m->children[i - 1];
    return NULL;
}

size_t children_count(const struct master *m, enum role role)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_children; i++)
        n += m->children[i].role == role;
    return n;
}

/* Of the present generation, not on their way out. */
static size_t count_present(const struct master *m, enum role role)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_children; i++) {
        const struct child *c = &m->children[i];
        n += c->role == role && !c->leaving && c->generation == m->generation;
    }
    return n;
}

static bool slot_in_use(const struct master *m, uint32_t slot)
{
    for (size_t i = 0; i < m->n_children; i++)
        if (m->children[i].slot == slot)
            return true;
    return false;
}

static struct child *add(struct master *m)
{
    if (m->n_children == m->room) {
        m->room = m->room ? 2 * m->room : 64;
        m->children = mem_resize(m->children, m->room * sizeof m->children[0]);
    }
    return &m->children[m->n_children++];
}

/* ---- starting ---- */

/* A tls process has one of few slots of its own, so that it is told apart easily; while old generations still
 * have them all, one of the workers' range. */
static int slot_for(struct master *m, enum role role)
{
    if (role == ROLE_TLS)
        for (uint32_t s = SLOT_TLS0; s < SLOT_WORKER0; s++)
            if (!slot_in_use(m, s))
                return (int)s;
    if (role == ROLE_WORKER || role == ROLE_TLS)
        return scoreboard_claim_worker(&m->segment);
    return (int)roles[role].slot;
}

static void bequeath(const struct master *m, enum role role, int slot, int channel, struct heritage *h)
{
    *h = (struct heritage){.config = m->config, .segment = m->segment, .generation = m->generation};
    h->slot = (uint32_t)slot;
    h->control_fd = channel;
    h->cache_fd = role == ROLE_WORKER ? m->cache_write : role == ROLE_CACHE ? m->cache_read : -1;
    h->acceptor_fd = role == ROLE_TLS ? m->tls_write : role == ROLE_ACCEPTOR ? m->tls_read : -1;
    for (size_t i = 0; i < MAX_LISTENERS; i++) {
        bool tls = i < m->config->n_listen && m->config->listen[i].tls.on;
        bool wants = tls ? role == ROLE_TLS : role == ROLE_ACCEPTOR;
        h->listen_fds[i] = wants ? m->listen_fds[i] : -1;
    }
}

static void announce(struct master *m, const struct child *c, bool to_new_acceptor)
{
    struct control w = {.kind = CTL_WORKER, .slot = c->slot, .generation = c->generation, .fd = c->channel};
    w.number = to_new_acceptor;
    outbox_send(m, &w);
}

static void introduce(struct master *m, const struct child *c)
{
    if (c->role == ROLE_WORKER) {
        announce(m, c, false);
        return;
    }
    master_watch(m, c->channel);
    if (c->role != ROLE_ACCEPTOR)
        return;
    outbox_clear(m);
    for (size_t i = 0; i < m->n_children; i++)
        if (m->children[i].role == ROLE_WORKER)
            announce(m, &m->children[i], true);
}

static void become(struct master *m, enum role role, int slot, int channel)
{
    static struct heritage h; /* outlives this frame in the child */
    if (role == ROLE_ADMIN)
        admin_exec(m, channel);
    bequeath(m, role, slot, channel, &h);
    roles[role].main(&h);
}

static void failed(struct master *m, enum role role, const char *what)
{
    log_error("can't start %s: %s: %s", roles[role].name, what, strerror(errno));
    m->retry_ns = m->now + RETRY_NS;
}

void child_start(struct master *m, enum role role)
{
    int pair[2], slot = slot_for(m, role);
    if (slot < 0) { /* settled lines wait for the ledger */
        m->retry_ns = m->now + RETRY_NS;
        return;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        failed(m, role, "socketpair");
        scoreboard_reaped(&m->segment, (uint32_t)slot);
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(m, role, slot, pair[1]);
    close(pair[1]);
    if (pid < 0) {
        failed(m, role, "fork");
        close(pair[0]);
        scoreboard_reaped(&m->segment, (uint32_t)slot);
        return;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    METRIC_INC(m->metrics, children_started_total);
    struct child *c = add(m);
    *c = (struct child){.pid = pid, .role = role, .slot = (uint32_t)slot, .channel = pair[0]};
    c->generation = m->generation;
    c->started_ns = clock_mono_ns();
    introduce(m, c);
}

/* ---- what should run ---- */

static bool has_tls(const struct config *c)
{
    for (size_t i = 0; i < c->n_listen; i++)
        if (c->listen[i].tls.on)
            return true;
    return false;
}

static size_t should_run(const struct master *m, enum role role)
{
    const struct config *c = m->config;
    bool serving = m->stop == STOP_NOT;
    switch (role) {
    case ROLE_ACCEPTOR:
        return serving;
    case ROLE_TLS:
        return serving && has_tls(c) ? c->tls_processes : 0;
    case ROLE_CACHE:
        return serving && c->cache.enabled;
    case ROLE_LEDGER:
        return m->stop != STOP_STORING;
    case ROLE_ADMIN:
        return serving;
    case ROLE_WORKER:
        return serving ? c->workers.min : 0;
    case ROLES:
        break;
    }
    return 0;
}

/* The sole writers have one slot, hence one process: the new one starts when the old one has ended. */
static bool is_single(enum role role)
{
    return role == ROLE_ACCEPTOR || role == ROLE_CACHE || role == ROLE_LEDGER;
}

static size_t running(const struct master *m, enum role role)
{
    if (is_single(role))
        return children_count(m, role);
    if (role == ROLE_ADMIN)
        return child_of(m, role) ? 1 : 0;
    return count_present(m, role);
}

static bool may_start(const struct master *m, enum role role)
{
    return m->now >= m->throttle[role].not_before_ns && m->now >= m->retry_ns;
}

static void tend_role(struct master *m, enum role role, size_t want)
{
    for (size_t have = running(m, role); have < want && may_start(m, role); have++)
        child_start(m, role);
}

static size_t workers_wanted(struct master *m)
{
    size_t have = count_present(m, ROLE_WORKER), want = have + m->wanted;
    if (want > m->config->workers.max)
        want = m->config->workers.max > have ? m->config->workers.max : have;
    if (want < should_run(m, ROLE_WORKER))
        want = should_run(m, ROLE_WORKER);
    return want;
}

void children_tend(struct master *m)
{
    static const enum role order[] = {ROLE_ADMIN, ROLE_ACCEPTOR, ROLE_LEDGER, ROLE_CACHE, ROLE_TLS};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        tend_role(m, order[i], should_run(m, order[i]));
    tend_role(m, ROLE_WORKER, workers_wanted(m));
    if (may_start(m, ROLE_WORKER))
        m->wanted = 0;
}

int64_t children_due(const struct master *m)
{
    int64_t due = m->retry_ns > m->now ? m->retry_ns : INT64_MAX;
    for (int r = 0; r < ROLES; r++)
        if (m->throttle[r].not_before_ns > m->now && m->throttle[r].not_before_ns < due)
            due = m->throttle[r].not_before_ns;
    for (size_t i = 0; i < m->n_children; i++)
        if (m->children[i].kill_ns && m->children[i].kill_ns < due)
            due = m->children[i].kill_ns;
    return due;
}

/* ---- ending ---- */

void child_tell(struct child *c, enum control_kind kind)
{
    struct control m = {.kind = (uint8_t)kind, .fd = -1};
    control_send(c->channel, &m);
}

static void say_drain(struct master *m, struct child *c)
{
    if (c->role == ROLE_ACCEPTOR) {
        struct control last = {.kind = CTL_DRAIN, .fd = -1};
        outbox_send(m, &last); /* behind what it has not been told yet */
    } else if (c->role == ROLE_WORKER) {
        struct handover h = {.kind = HAND_DRAIN, .fd = -1, .spool_fd = -1};
        handover_send(c->channel, &h);
    } else {
        child_tell(c, CTL_DRAIN);
    }
}

void child_leave(struct master *m, struct child *c, int64_t within_ns)
{
    if (c->leaving)
        return;
    c->leaving = true;
    c->kill_ns = m->now + within_ns;
    say_drain(m, c);
}

void child_kill(struct child *c)
{
    kill(c->pid, SIGKILL);
    c->kill_ns = 0;
}

void children_expire(struct master *m)
{
    for (size_t i = 0; i < m->n_children; i++) {
        struct child *c = &m->children[i];
        if (c->kill_ns == 0 || m->now < c->kill_ns)
            continue;
        log_warn("%s %d did not end in time: it is killed", roles[c->role].name, (int)c->pid);
        child_kill(c);
    }
}

static void slow_down(struct master *m, enum role role)
{
    struct throttle *t = &m->throttle[role];
    const unsigned n = sizeof t->young / sizeof t->young[0];
    int64_t last = t->young[(t->next + n - 1) % n], oldest = t->young[t->next];
    t->young[t->next] = m->now;
    t->next = (t->next + 1) % n;
    if (m->now - last > t->delay_ns + CALM_NS)
        t->delay_ns = 0;
    if (t->delay_ns == 0 && (oldest == 0 || m->now - oldest > NS_PER_SEC))
        return;
    t->delay_ns = t->delay_ns ? 2 * t->delay_ns : DELAY_MIN_NS;
    if (t->delay_ns > DELAY_MAX_NS)
        t->delay_ns = DELAY_MAX_NS;
    t->not_before_ns = m->now + t->delay_ns;
    log_error("%s dies as soon as it starts: tried again in %d s", roles[role].name,
              (int)(t->delay_ns / NS_PER_SEC));
}

/* A worker that the acceptor sent home, or anything that we did, ends well. */
static bool ended_well(const struct child *c, int status)
{
    return c->leaving || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void mourn(struct master *m, const struct child *c, int status)
{
    const struct shm_line *line = segment_line(&m->segment, c->slot);
    bool worked = c->role == ROLE_WORKER && atomic_load(&line->requests) > 0;
    METRIC_INC(m->metrics, children_died_total);
    if (WIFSIGNALED(status))
        log_warn("%s %d was killed by signal %d (%s)", roles[c->role].name, (int)c->pid, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        log_warn("%s %d ended with status %d", roles[c->role].name, (int)c->pid, WEXITSTATUS(status));
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return;
    if (m->now - c->started_ns < YOUNG_NS && !worked)
        slow_down(m, c->role);
}

/* Places are given back before anybody is told; then the ledger takes over the row that was open. */
static void settle(struct master *m, const struct child *c)
{
    if (!slot_in_use(m, c->slot))
        scoreboard_reaped(&m->segment, c->slot);
    if (c->role == ROLE_WORKER) {
        struct control gone = {.kind = CTL_WORKER_GONE, .slot = c->slot, .fd = -1};
        outbox_send(m, &gone);
    }
    struct child *ledger = child_of(m, ROLE_LEDGER);
    if (ledger) {
        struct control died = {.kind = CTL_DIED, .number = c->slot, .fd = -1};
        control_send(ledger->channel, &died); /* a full channel: it has others to reap for already */
    }
}

static void bury(struct master *m, size_t i, int status)
{
    struct child c = m->children[i];
    memmove(&m->children[i], &m->children[i + 1], (m->n_children - i - 1) * sizeof c);
    m->n_children--;
    epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, c.channel, NULL); /* a fork under way may still have a copy */
    close(c.channel);
    if (!ended_well(&c, status))
        mourn(m, &c, status);
    if (c.role == ROLE_ACCEPTOR)
        outbox_clear(m);
    settle(m, &c);
}

void children_reap(struct master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < m->n_children; i++)
            if (m->children[i].pid == pid) {
                bury(m, i, status);
                break;
            }
}

/* The master's parts: what they share. Private to server/master.c and its children.c, listeners.c, outbox.c,
 * reload.c. */
#ifndef SERVER_MASTER_H
#define SERVER_MASTER_H

#include "control.h"
#include "heritage.h"
#include "metrics.h"

#include <sys/types.h>

enum role { ROLE_ACCEPTOR, ROLE_TLS, ROLE_CACHE, ROLE_LEDGER, ROLE_ADMIN, ROLE_WORKER, ROLES };

struct child {
    pid_t pid;
    enum role role;
    uint32_t slot, generation;
    int channel; /* our end; a worker's: a copy of the acceptor's end, so that a new acceptor can be given it
                  */
    int64_t started_ns;
    int64_t kill_ns; /* SIGKILL then; 0: never */
    bool leaving;    /* was told to end */
};

/* Slows down what dies as soon as it is born. */
struct throttle {
    int64_t young[5]; /* when the last ones died */
    unsigned next;
    int64_t delay_ns, not_before_ns;
};

/* Messages for the acceptor that its channel has no room for. */
struct outbox {
    struct control *messages;
    size_t n, room;
};

enum stop { STOP_NOT, STOP_SERVING /* until the last answer */, STOP_STORING /* until the last row */ };

struct master {
    const char *file;
    char *admin_program;
    struct config *config;
    int config_fd; /* memfd: its text */
    int state_fd;  /* state_dir, locked */
    struct segment segment;
    struct shm_metrics *metrics;
    uint32_t generation;
    int listen_fds[MAX_LISTENERS]; /* by index of config->listen */
    int admin_fd;
    int cache_write, cache_read; /* the mailbox */
    int tls_write, tls_read;     /* from tls processes to the acceptor */
    int epoll_fd, signal_fd;
    struct child *children;
    size_t n_children, room;
    struct throttle throttle[ROLES];
    struct outbox outbox;
    uint32_t wanted; /* workers that the acceptor asked for and that are not forked yet */
    enum stop stop;
    int64_t stop_ns;  /* SIGKILL then */
    int64_t retry_ns; /* a fork failed: not before */
    int64_t evicted_ns;
    bool ready, admin_moved;
    int64_t now;
};

/* children.c */
/* Starts whatever should run and does not. */
void children_tend(struct master *m);
/* Forgets those that ended, and settles what they held. */
void children_reap(struct master *m);
/* SIGKILL to those whose time is over. */
void children_expire(struct master *m);
/* When tend or expire have something to do next (monotonic ns); INT64_MAX: only when something happens. */
int64_t children_due(const struct master *m);
struct child *child_of(const struct master *m, enum role role);
size_t children_count(const struct master *m, enum role role);
void child_tell(struct child *c, enum control_kind kind);
void child_start(struct master *m, enum role role);
/* Told to end; SIGKILL when it has not after that long. */
void child_leave(struct master *m, struct child *c, int64_t within_ns);
void child_kill(struct child *c);

/* outbox.c: to the acceptor, in order, whatever its channel takes now. */
void outbox_send(struct master *m, const struct control *message);
void outbox_flush(struct master *m);
void outbox_clear(struct master *m);

/* listeners.c */
/* Binds what c wants into fds[] and *admin_fd, taking what m has already. -1 and err: nothing has changed. */
int listeners_open(const struct master *m, const struct config *c, int fds[MAX_LISTENERS], int *admin_fd,
                   struct error *err);
/* Puts them in the place of the old ones, of which those that are not among the new are closed. */
void listeners_replace(struct master *m, const int fds[MAX_LISTENERS], int admin_fd);
/* Takes the sockets that systemd opened, each for the listener (or the admin API) whose address it has. */
int listeners_adopt(struct master *m, int n_passed, struct error *err);
void listeners_close(struct master *m);

/* reload.c */
int master_reload(struct master *m, struct error *err);
/* A memfd with the configuration's text, sealed. */
int config_snapshot(struct str text, struct error *err);

/* master.c */
/* Runs until it is told to stop; the program's exit status. */
int master_run(const char *file);
void master_watch(struct master *m, int fd);
void master_set_log(const struct config *c);

#endif

/* What every process does when it begins: it takes off everything it was born with and does not need. Run
 * once by the master (process_init) and by each child right after its fork.
 *
 * Order matters in process_enter: descriptors first (so nothing below can leak one), then privileges, then
 * what a change of user resets (the death signal, dumpable), then secrets, and the filter last. */
#include "process.h"
#include "clock.h"
#include "credential.h"
#include "log.h"
#include "mem.h"
#include "sandbox.h"
#include "scoreboard.h"
#include "secret.h"

#include <errno.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
enum { DUMPABLE = 1 }; /* its leak checker reads /proc/self as another thread */
#else
enum { DUMPABLE = 0 };
#endif

extern char **environ;
static char *title_area;
static size_t title_size;
static pid_t master;

/* The environment's strings, out of the area that /proc shows; kept by these two for as long as we live. */
static char **variables, *variables_text;

static void move_environment(void)
{
    size_t n = 0, size = 1, at = 0;
    while (environ && environ[n])
        size += strlen(environ[n++]) + 1;
    variables = mem_alloc((n + 1) * sizeof *variables);
    variables_text = mem_alloc(size);
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(environ[i]) + 1;
        variables[i] = memcpy(variables_text + at, environ[i], length);
        at += length;
    }
    environ = variables;
}

/* argv and environ lie one behind the other on the initial stack: one area, which becomes the title's. */
void process_init(int argc, char **argv)
{
    char **old = environ, *end = argv[0];
    master = getpid();
    move_environment();
    for (int i = 0; i < argc; i++)
        if (argv[i] == end)
            end += strlen(argv[i]) + 1;
    for (size_t i = 0; old && old[i]; i++) {
        size_t length = strlen(old[i]) + 1;
        if (old[i] == end)
            end += length;
        explicit_bzero(old[i], length - 1);
    }
    title_area = argv[0];
    title_size = (size_t)(end - argv[0]);
}

void process_title(const char *role)
{
    char name[32];
    snprintf(name, sizeof name, "aigw: %s", role);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    if (title_size == 0)
        return;
    memset(title_area, 0, title_size);
    snprintf(title_area, title_size, "%s", name);
}

static void die(const char *role, const struct error *err)
{
    log_error("%s can't start: %s", role, err->text);
    _exit(1);
}

static int by_number(const void *a, const void *b)
{
    const int *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Closes every descriptor above 2 that the role does not own. */
static void close_others(const struct heritage *h)
{
    int keep[MAX_LISTENERS + 3];
    size_t n = 0;
    keep[n++] = h->control_fd;
    keep[n++] = h->cache_fd;
    keep[n++] = h->acceptor_fd;
    for (size_t i = 0; i < MAX_LISTENERS; i++)
        keep[n++] = h->listen_fds[i];
    qsort(keep, n, sizeof keep[0], by_number);
    unsigned from = 3;
    for (size_t i = 0; i < n; i++) {
        if (keep[i] < (int)from)
            continue;
        if (keep[i] > (int)from)
            close_range(from, (unsigned)keep[i] - 1, 0);
        from = (unsigned)keep[i] + 1;
    }
    close_range(from, ~0U, 0);
}

int process_drop_privileges(const struct config *config, struct error *err)
{
    if (geteuid() != 0 || !config->user)
        return 0;
    struct passwd *pw = getpwnam(config->user);
    if (!pw)
        return error_set(err, "user \"%s\" does not exist", config->user);
    if (initgroups(pw->pw_name, pw->pw_gid) || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid))
        return error_errno(err, "can't become user \"%s\"", config->user);
    if (pw->pw_uid != 0 && setuid(0) == 0)
        return error_set(err, "privileges came back after becoming user \"%s\"", config->user);
    return 0;
}

/* A change of user clears the death signal, so this comes after it. The master may have died before it was
 * set. */
static void die_with_master(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != master)
        _exit(0);
}

static void no_cores(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, DUMPABLE, 0, 0, 0);
}

static void reset_signals(bool ignore_stops)
{
    static const int stops[] = {SIGPIPE, SIGINT, SIGQUIT, SIGHUP, SIGTERM};
    struct sigaction act = {.sa_handler = SIG_DFL};
    for (int s = 1; s < SIGRTMIN; s++)
        if (s != SIGKILL && s != SIGSTOP)
            sigaction(s, &act, NULL);
    act.sa_handler = SIG_IGN;
    for (size_t i = 0; i < (ignore_stops ? sizeof stops / sizeof stops[0] : 1); i++)
        sigaction(stops[i], &act, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void name_it(const struct heritage *h, const char *role)
{
    char name[32];
    process_title(role);
    if (h->slot >= SLOT_WORKER0)
        snprintf(name, sizeof name, "%s %u", role, h->slot - SLOT_WORKER0);
    else
        snprintf(name, sizeof name, "%s", role);
    log_role(name);
}

void process_enter(const struct heritage *h, const char *role)
{
    struct error err = {""};
    name_it(h, role);
    reset_signals(true);
    close_others(h);
    if (process_drop_privileges(h->config, &err))
        die(role, &err);
    die_with_master();
    no_cores();
    if (strcmp(role, "worker") != 0) {
        secret_forget();
        credential_forget();
    }
    if (h->segment.header)
        scoreboard_enter(&h->segment, h->slot, role, h->generation, clock_mono_ns());
    if (sandbox_enter(role, &err))
        die(role, &err);
}

void process_before_exec(const struct config *config)
{
    struct error err = {""};
    reset_signals(false);
    if (process_drop_privileges(config, &err))
        die("aigw-admin", &err);
    die_with_master();
    no_cores(); /* exec makes it dumpable again: the program repeats that */
}

void process_exit(int status)
{
#ifdef __SANITIZE_ADDRESS__
    exit(status); /* the leak checker is an exit handler */
#else
    _exit(status);
#endif
}

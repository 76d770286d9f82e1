/* The admin process is a program of its own, so that nothing of the master's memory (provider credentials
 * first of all) is in it: fork and exec, an environment of a few harmless variables, and descriptors for what
 * it needs. */
#include "children.h"
#include "log.h"
#include "mem.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "aigw-admin"

static char *beside_us(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof PROGRAM);
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n <= 0)
        return NULL;
    memcpy(path + n, PROGRAM, sizeof PROGRAM);
    return access(path, X_OK) == 0 ? mem_strdup(str_of(path)) : NULL;
}

static char *along_path(void)
{
    const char *list = getenv("PATH");
    struct str rest = str_of(list ? list : "/usr/local/bin:/usr/bin:/bin"), dir;
    while (str_split(&rest, ':', &dir)) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, STR_FMT "/" PROGRAM, STR_ARG(dir));
        if (dir.n > 0 && access(path, X_OK) == 0)
            return mem_strdup(str_of(path));
    }
    return NULL;
}

char *admin_find(void)
{
    char *path = beside_us();
    return path ? path : along_path();
}

enum { MOST_VARIABLES = 8 };

static void clean_environment(char *env[MOST_VARIABLES + 1])
{
    static const char *const harmless[] = {"PATH", "TZ", "LANG", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        const char *value = getenv(harmless[i]);
        char line[4096];
        if (!value || snprintf(line, sizeof line, "%s=%s", harmless[i], value) >= (int)sizeof line)
            continue;
        env[n++] = mem_strdup(str_of(line));
    }
    env[n] = NULL;
}

/* Each start has an offset of its own: the descriptor is opened anew. */
static int own_config(const struct master *m)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", m->config_fd);
    int fd = open(path, O_RDONLY);
    return fd >= 0 ? fd : dup(m->config_fd);
}

static char *number(int fd)
{
    char text[16];
    if (fd >= 0)
        fcntl(fd, F_SETFD, 0);
    snprintf(text, sizeof text, "%d", fd);
    return mem_strdup(str_of(text));
}

static char *flag(const char *text)
{
    return mem_strdup(str_of(text));
}

void admin_exec(const struct master *m, int channel)
{
    char segment[PATH_MAX], *env[MOST_VARIABLES + 1];
    process_title("admin");
    log_role("admin");
    process_before_exec(m->config);
    snprintf(segment, sizeof segment, "%s/aigw.shm", m->config->run_dir);
    char *args[] = {
        flag(PROGRAM),
        flag("--config-fd"),
        number(own_config(m)),
        flag("--config-name"),
        flag(m->file),
        flag("--control-fd"),
        number(channel),
        flag("--cache-fd"),
        number(m->config->cache.enabled ? m->cache_write : -1),
        flag("--listen-fd"),
        number(m->admin_fd),
        flag("--segment"),
        flag(segment),
        NULL,
    };
    clean_environment(env);
    execve(m->admin_program, args, env);
    log_error("%s: %s", m->admin_program, strerror(errno));
    _exit(1);
}

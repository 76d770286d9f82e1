#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static char role_name[32] = "aigw";
static enum log_level lowest_level = LOG_LEVEL_INFO;
static int as_json;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_role(const char *role)
{
    snprintf(role_name, sizeof(role_name), "%s", role);
}

void log_set_level(enum log_level lowest)
{
    lowest_level = lowest;
}

void log_set_json(int on)
{
    as_json = on;
}

int log_level_of(const char *name, enum log_level *out)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    return -1;
}

/* Copies text with control bytes, quotes and backslashes escaped; bytes above 0x7e are escaped as \u00XX,
 * which is lossy for UTF-8 and safe for any reader. Returns the bytes written. */
static size_t escape(char *dst, size_t room, const char *text)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && n + 7 < room; p++) {
        if (*p < 0x20 || *p > 0x7e)
            n += (size_t)snprintf(dst + n, room - n, "\\u%04x", *p);
        else if (as_json && (*p == '"' || *p == '\\'))
            n += (size_t)snprintf(dst + n, room - n, "\\%c", *p);
        else
            dst[n++] = (char)*p;
    }
    dst[n] = '\0';
    return n;
}

__attribute__((format(printf, 2, 0))) static void write_line(enum log_level level, const char *fmt,
                                                             va_list ap)
{
    if (level < lowest_level)
        return;
    char text[LINE_MAX_BYTES / 2], safe[LINE_MAX_BYTES - 256], line[LINE_MAX_BYTES], when[40];
    vsnprintf(text, sizeof(text), fmt, ap);
    escape(safe, sizeof(safe), text);

    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t w = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + w, sizeof(when) - w, ".%03dZ", (int)(ts.tv_nsec / 1000000));

    int n;
    if (as_json)
        n = snprintf(line, sizeof(line),
                     "{\"time\":\"%s\",\"level\":\"%s\",\"role\":\"%s\",\"pid\":%d,\"text\":\"%s\"}\n", when,
                     level_names[level], role_name, (int)getpid(), safe);
    else
        n = snprintf(line, sizeof(line), "%s %s %s[%d]: %s\n", when, level_names[level], role_name,
                     (int)getpid(), safe);
    if (n < 0)
        return;
    size_t len = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
    /* one write a line: lines of several processes on one pipe do not mix (below PIPE_BUF) */
    ssize_t unused = write(STDERR_FILENO, line, len);
    (void)unused; /* nowhere to report that the log can't be written */
}

#define LOG_AT(name, level)         \
    void name(const char *fmt, ...) \
    {                               \
        va_list ap;                 \
        va_start(ap, fmt);          \
        write_line(level, fmt, ap); \
        va_end(ap);                 \
    }

LOG_AT(log_debug, LOG_LEVEL_DEBUG)
LOG_AT(log_info, LOG_LEVEL_INFO)
LOG_AT(log_warn, LOG_LEVEL_WARN)
LOG_AT(log_error, LOG_LEVEL_ERROR)

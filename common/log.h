/* One line an event on standard error: time, level, role[pid], text. Control bytes and non-UTF-8 are escaped,
 * so that nothing a client sends can forge a line. Programs log at the boundary; libraries return errors. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Role named in each line ("master", "worker 12"); copied. Call again after each fork. */
void log_role(const char *role);
void log_set_level(enum log_level lowest);
/* "debug" | "info" | "warn" | "error": 0, or -1 when it is none of them. */
int log_level_of(const char *name, enum log_level *out);
/* Whether lines are written as JSON objects (log = { format = "json"; }). */
void log_set_json(int on);

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

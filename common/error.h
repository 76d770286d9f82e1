/* What went wrong, in words for a person, in a buffer on the caller's stack, so that nobody owns it. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include <stddef.h>

struct error {
    char text[512];
};

/* Formats into err->text (cut when too long) and returns -1, so that `return error_set(err, …)` reads well.
 * err may be NULL. */
int error_set(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As error_set, with ": " and errno's text appended. Keeps errno. */
int error_errno(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

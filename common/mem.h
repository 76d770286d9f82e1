/* Memory that is never NULL. What a request may ask for is bounded before it is asked for, so running out is
 * the machine's state, not the request's: the process aborts, the master replaces it, the others go on. */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include "str.h"

void *mem_alloc(size_t n) __attribute__((returns_nonnull, malloc)); /* zeroed */
void *mem_resize(void *p, size_t n) __attribute__((returns_nonnull));
char *mem_strdup(struct str s) __attribute__((returns_nonnull)); /* adds the NUL; free() it */

#endif

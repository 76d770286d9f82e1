/* A slice of bytes somebody else owns: the argument type of everything that reads text. */
#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p; /* not NUL-terminated; may be NULL when n is 0 */
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NULL     ((struct str){NULL, 0})
#define STR_FMT      "%.*s" /* printf a slice: printf(STR_FMT, STR_ARG(s)) */
#define STR_ARG(s)   (int)(s).n, (s).p ? (s).p : ""

/* The bytes of a C string, without its NUL; a NULL pointer gives an empty slice. */
struct str str_of(const char *z);

bool str_eq(struct str a, struct str b);
/* As str_eq, ASCII letters compared without case. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* what stands somewhere in s. */
bool str_has(struct str s, const char *what);
/* s without the spaces and tabs at both ends (HTTP's OWS). */
struct str str_trim(struct str s);
/* Everything before the first `sep` into *head, the rest (without sep) stays in *s; false when *s was empty.
 */
bool str_split(struct str *s, char sep, struct str *head);

/* Decimal digits only, no sign, no space, no overflow: 0, or -1 and *out untouched. */
int str_u64(struct str s, uint64_t *out);

/* Copies s and a NUL into dst[size]; -1 when it does not fit (dst is then empty) or holds a NUL byte. */
int str_copy(char *dst, size_t size, struct str s);
/* As str_copy, but cuts what does not fit, never inside a UTF-8 sequence. */
void str_copy_cut(char *dst, size_t size, struct str s);

#endif

/* The admin token: the one credential of the admin API. */
#ifndef ADMIN_TOKEN_H
#define ADMIN_TOKEN_H

#include "error.h"
#include "str.h"

/* What is kept of a token: enough to recognise it, not to tell it. */
struct token {
    uint8_t sha256[32];
};

/* Reads the token file, which only its owner may be able to read. *made: there was none, and a new one was
 * written (32 random bytes). -1 also for an empty file. */
int token_load(const char *path, struct token *out, bool *made, struct error *err);
/* Whether an Authorization header's value presents the token; takes the same time for any wrong one. */
bool token_matches(const struct token *t, struct str authorization);

#endif

/* Credentials that are fetched and expire (an OAuth token of a service account, keys of an instance's role).
 * One process fetches, all share: they lie in an anonymous mapping, shared by master and workers and kept out
 * of dumps, that the master makes before it forks. No locks: see credential.c for its invariant. */
#ifndef SERVER_CREDENTIAL_H
#define SERVER_CREDENTIAL_H

#include "arena.h"
#include "buf.h"
#include "config.h"
#include "error.h"
#include "patience.h"

enum { MAX_CREDENTIAL = 3072 };

/* The master's, before its first fork. */
int credential_init(struct error *err);
/* A process that has no use for them, at its start. */
void credential_forget(void);

/* Fetches a fresh one: its text (whatever authorize will need) and when it expires (Unix time). -1: *err,
 * never with the credential in it. */
typedef int credential_fetch(const struct conf_provider *p, const struct patience *patience, struct buf *text,
                             int64_t *expires_s, struct error *err);

/* The provider's present one, in *out (memory of a). Fetched when there is none, ahead of its end by one of
 * the processes while the others go on with the old one. -1: there is none, and none could be had,
 * or it is not wanted any more (then the next one who needs it fetches). */
int credential_get(const struct conf_provider *p, credential_fetch *fetch, const struct patience *patience,
                   struct arena *a, struct str *out, struct error *err);
/* The provider has refused it: fetched anew at the next call. */
void credential_refused(const struct conf_provider *p);

/* One small HTTP(S) exchange outside of the request path: GET without a body, else method and body. Follows
 * no redirect; the provider's ca_file counts. Returns the status, or -1 with *err. */
int credential_http(const struct conf_provider *p, const char *method, const char *url,
                    const char *const headers[], struct str body, const struct patience *patience,
                    struct buf *answer, struct error *err);

#endif

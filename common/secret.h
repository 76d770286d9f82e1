/* The secrets region: one private anonymous mapping (kept out of dumps and of swap where allowed) that holds
 * provider credentials by name. Filled by the master before it forks; a process that has no use for them
 * calls secret_forget at its start, which wipes and unmaps its copy. Environment variables that were read are
 * wiped. */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include "error.h"
#include "str.h"

/* Makes the region: once, before anything is taken. */
int secret_init(struct error *err);
/* Takes the value of an environment variable into the region under `name` and wipes it from the environment,
 * or, when it was wiped before, keeps the one taken then. -1: it is not set, or empty. */
int secret_from_env(const char *name, const char *variable, struct error *err);
/* The first line of a file that only its owner can read. */
int secret_from_file(const char *name, const char *path, struct error *err);
/* The whole file, which may have several lines (a service account's key). */
int secret_from_whole_file(const char *name, const char *path, struct error *err);
/* The name of a provider's further secret ("access", "file" …), for the functions here. */
void secret_name(char *name, size_t size, const char *provider, const char *part);
/* What was taken since secret_begin, for a check of it. Empty when there is none. */
struct str secret_waiting(const char *name);
/* Empty when there is none (or after secret_forget). Never log it. */
struct str secret_get(const char *name);
void secret_forget(void);

/* What is taken between begin and commit takes effect at the commit, all of it together, and what was in use
 * before is wiped; abort wipes what was taken instead. (config_parse begins, and aborts where it fails;
 * whoever puts the configuration in force commits.) Without a begin, neither does anything. */
void secret_begin(void);
void secret_commit(void);
void secret_abort(void);

#endif

/* Virtual keys and teams in LMDB (state_dir/store/keys). Written by the admin process only; read by every
 * worker on every request, so that a change acts on the very next one. Only a salted SHA-256 of a key is
 * stored. */
#ifndef COMMON_KEYSTORE_H
#define COMMON_KEYSTORE_H

#include "config.h"
#include "error.h"
#include "limits.h"
#include "str.h"

/* 0 everywhere: no limit. A burst of 0 is the limit itself (one full period's allowance). */
struct key_limits {
    uint64_t rpm, tpm, rpd;
    uint64_t rpm_burst, tpm_burst, rpd_burst;
    uint32_t max_parallel;
    uint32_t reserved;
};

enum { KEY_MAX_MODELS = 32, KEY_MAX_CIDRS = 16, KEY_MAX_TAGS = 16 };

struct key_record {
    char id[32]; /* "key_" and 24 hex digits */
    char name[MAX_NAME], team[48], department[48], owner[MAX_NAME];
    char hint[16];                /* the key's last 4 characters, for people: "…a1b2" */
    int64_t created_s, expires_s; /* wall clock; expires 0: never */
    uint32_t version;             /* raised by each change */
    bool blocked;
    struct key_limits limits;
    uint16_t n_models, n_cidrs, n_tags;
    char models[KEY_MAX_MODELS][MAX_NAME]; /* may end in '*'; none: all */
    struct cidr cidrs[KEY_MAX_CIDRS];      /* none: from anywhere */
    struct {
        char name[32], value[MAX_NAME];
    } tags[KEY_MAX_TAGS];
};

struct team_record {
    char name[48], department[48];
    struct key_limits limits;
};

struct keystore;

/* Opens state_dir/store/keys; the writer makes what is missing (folder, salt file 0600). One per process,
 * opened after fork. A reader waits up to 5 s for the writer's first start. NULL and err. */
struct keystore *keystore_open(const char *state_dir, bool writer, struct error *err);
void keystore_close(struct keystore **ks);

/* What a request is checked with: the whole record, and its team's limits (zero when it has none). Ends its
 * read transaction before it returns. 1 found, 0 no such key, -1 the store can't be read (refuse: auth fails
 * closed). Blocked and expired keys are found; the caller refuses them. */
int keystore_find(struct keystore *ks, struct str presented, struct key_record *key, struct team_record *team,
                  struct error *err);
/* The same by id; team may be NULL. */
int keystore_get(struct keystore *ks, const char *id, struct key_record *key, struct team_record *team,
                 struct error *err);

/* The rest is the writer's. Each is one transaction, durable when it returns. */
/* Makes the id and, unless `given` is not empty (a key taken over, >= 20 characters), the key: "sk-aigw-" and
 * 43 characters. secret[] receives it. -1 also when `given` exists already. */
int keystore_create(struct keystore *ks, struct key_record *key, struct str given, char secret[MAX_KEY],
                    struct error *err);
int keystore_update(struct keystore *ks, const struct key_record *key,
                    struct error *err); /* 1, or 0: no such id */
/* A new secret for the key; the old one is dead from the same instant. 1, or 0: no such id. */
int keystore_rotate(struct keystore *ks, const char *id, char secret[MAX_KEY], struct error *err);
int keystore_delete(struct keystore *ks, const char *id, struct error *err); /* 1, or 0: no such id */
int keystore_put_team(struct keystore *ks, const struct team_record *team, struct error *err);
int keystore_get_team(struct keystore *ks, const char *name, struct team_record *team, struct error *err);
/* Calls each() for every record until it returns non-zero; ordered by id / by name. Not inside another call.
 */
int keystore_each_key(struct keystore *ks, int (*each)(const struct key_record *, void *), void *arg,
                      struct error *err);
int keystore_each_team(struct keystore *ks, int (*each)(const struct team_record *, void *), void *arg,
                       struct error *err);
/* How many keys and teams there may be together, at most (the shared table has a slot for each): creating one
 * more is refused. 0: no bound. Set by the writer after opening. */
void keystore_set_capacity(struct keystore *ks, uint64_t keys_and_teams);
/* One line of the audit log, same transaction discipline; list newest first. */
int keystore_audit(struct keystore *ks, struct str line, struct error *err);
int keystore_each_audit(struct keystore *ks, int (*each)(int64_t time_us, struct str line, void *), void *arg,
                        struct error *err);
/* Clears readers that died (mdb_reader_check); called by the ledger after deaths. */
void keystore_reap_readers(struct keystore *ks);

#endif

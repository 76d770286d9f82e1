/* The mailbox of the cache process: the receiving side. Sending is cache_post and cache_purge
 * (response_cache.h). */
#ifndef COMMON_CACHE_MAILBOX_H
#define COMMON_CACHE_MAILBOX_H

#include "response_cache.h"

enum cache_mail_kind { CACHE_MAIL_STORE = 1, CACHE_MAIL_PURGE, CACHE_MAIL_DAMAGE };

struct cache_mail {
    enum cache_mail_kind kind;
    uint8_t key[CACHE_KEY_BYTES]; /* STORE */
    struct str record;            /* STORE: cache_record.h; not checked yet */
    char scope[CACHE_SCOPE_MAX];  /* PURGE; empty: all */
    uint64_t file;                /* DAMAGE: the inode of data.mdb */
    int ack_fd;                   /* PURGE: where cache_mail_answer goes */
    uint8_t *memory;              /* backs record; cache_mail_free */
};

/* Never waits. 1: *m is filled. 0: no mail now. -1: the mailbox is closed for good. Mail that is malformed,
 * or whose record is larger than max_record, is dropped and counted in *dropped. */
int cache_mail_recv(int cache_fd, size_t max_record, struct cache_mail *m, unsigned *dropped);
/* A reader's word that this file is broken (cache_report). */
void cache_post_damage(int cache_fd, uint64_t file);
void cache_mail_answer(struct cache_mail *m, uint64_t removed);
void cache_mail_free(struct cache_mail *m);

#endif

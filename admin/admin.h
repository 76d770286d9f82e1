/* What the admin process holds. Made by aigw_admin.c; the API's handlers get it with every call. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "config.h"
#include "keystore.h"
#include "metrics.h"
#include "segment.h"
#include "token.h"
#include "usage_store.h"

struct http_server;

struct admin {
    struct config *config;
    uint32_t generation;         /* of config */
    struct segment segment;      /* header NULL: started by hand, beside no gateway */
    struct shm_metrics *metrics; /* our slab; NULL without a segment */
    struct keystore *keys;       /* this process is their only writer */
    struct usage_store *usage;   /* NULL until the ledger has made it: admin_usage */
    int control_fd, cache_fd;    /* -1: started by hand */
    struct token token;
    char host[64]; /* the loopback address we listen on, which Host must name; empty: any Host will do */
    struct http_server *server;
    uint64_t reload_waits; /* the connection that a reload's answer goes to; 0: none */
    uint32_t reload_number;
    int64_t refused_log_ns;    /* when a refused token was last logged … */
    uint64_t refused_unlogged; /* … and how many were not, since */
    bool stopping;
};

/* The usage store, opened at its first use; NULL while there is none. */
struct usage_store *admin_usage(struct admin *a);

#endif

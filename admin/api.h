/* The handlers of the API, one file an area. Each fills the call's reply, or parks it. */
#ifndef ADMIN_API_H
#define ADMIN_API_H

#include "call.h"
#include "control.h"

/* pages.c: open, static */
void dashboard_page(struct call *c);
void health_get(struct call *c);
void openapi_get(struct call *c);

void metrics_get(struct call *c); /* prometheus.c */
void stats_get(struct call *c);   /* api_stats.c */

/* api_keys.c */
void keys_list(struct call *c);
void keys_create(struct call *c);
void keys_get(struct call *c);
void keys_change(struct call *c);
void keys_delete(struct call *c);
void keys_rotate(struct call *c);
void keys_block(struct call *c);
void keys_unblock(struct call *c);

/* api_teams.c */
void teams_list(struct call *c);
void teams_get(struct call *c);
void teams_put(struct call *c);

/* api_usage.c, api_usage_rows.c */
void usage_get(struct call *c);
void usage_rows(struct call *c);

void models_list(struct call *c);    /* api_models.c */
void providers_list(struct call *c); /* api_providers.c */

/* api_cache.c */
void cache_purge_post(struct call *c);
void cache_stats_get(struct call *c);

/* api_reload.c: asks the master; the answer comes with its message, or not in time. */
void reload_post(struct call *c);
void reload_answered(struct admin *a, const struct control *m);
void reload_late(struct exchange *x, void *admin);

void audit_list(struct call *c); /* api_audit.c */

#endif

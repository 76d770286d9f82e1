/* /v1/usage/rows: the ledger's rows themselves, oldest first. */
#include "api.h"
#include "rfc3339.h"

enum { MAX_ROWS = 100000, BODY_ENOUGH = 48 * 1024 * 1024 };

static const struct {
    enum usage_flag flag;
    const char *name;
} flags[] = {
    {USAGE_STREAMED, "streamed"},
    {USAGE_CACHE_HIT, "cache_hit"},
    {USAGE_KILLED, "killed"},
    {USAGE_CLIENT_GONE, "client_gone"},
    {USAGE_CUT, "cut"},
    {USAGE_ESTIMATED, "estimated"},
    {USAGE_COST_UNKNOWN, "cost_unknown"},
    {USAGE_NATIVE, "native"},
};

struct rows_answer {
    struct json_writer w;
    struct buf *body;
    uint64_t limit, n;
    bool more;
};

/* A row's text fields are NUL-terminated where the ledger is sound; a row is bytes from a file all the same.
 */
#define ROW_TEXT(w, name, field)                                      \
    do {                                                              \
        jw_name(w, name);                                             \
        jw_str(w, (struct str){field, strnlen(field, sizeof field)}); \
    } while (0)

static void write_names(struct json_writer *w, const struct usage_row *r)
{
    ROW_TEXT(w, "request_id", r->request_id);
    ROW_TEXT(w, "key_id", r->key_id);
    ROW_TEXT(w, "team", r->team);
    ROW_TEXT(w, "department", r->department);
    ROW_TEXT(w, "model", r->model);
    ROW_TEXT(w, "target", r->target);
    ROW_TEXT(w, "provider", r->provider);
}

static void write_tokens(struct json_writer *w, const struct usage_tokens *t)
{
    jw_open_in(w, "tokens", '{');
    jw_u64_in(w, "input", t->input);
    jw_u64_in(w, "cached", t->cached);
    jw_u64_in(w, "cache_write", t->cache_write);
    jw_u64_in(w, "output", t->output);
    jw_u64_in(w, "reasoning", t->reasoning);
    jw_close(w, '}');
}

static void write_flags(struct json_writer *w, uint16_t set)
{
    jw_open_in(w, "flags", '[');
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (set & flags[i].flag)
            jw_str(w, str_of(flags[i].name));
    jw_close(w, ']');
}

static void write_row(struct json_writer *w, const struct usage_row *r)
{
    char time[RFC3339_SIZE];
    rfc3339_format_us(time, r->time_us);
    jw_open(w, '{');
    jw_u64_in(w, "time_us", r->time_us > 0 ? (uint64_t)r->time_us : 0);
    jw_text_in(w, "time", time);
    write_names(w, r);
    jw_u64_in(w, "endpoint", r->endpoint);
    jw_u64_in(w, "status", r->status);
    jw_u64_in(w, "attempts", r->attempts);
    jw_u64_in(w, "latency_us", r->latency_us);
    jw_limit_in(w, "ttft_us", r->ttft_us); /* 0: there was no first byte */
    jw_u64_in(w, "upstream_us", r->upstream_us);
    write_tokens(w, &r->tokens);
    if (r->flags & USAGE_COST_UNKNOWN)
        jw_null_in(w, "cost_usd");
    else
        jw_usd_in(w, "cost_usd", r->cost_pico);
    jw_usd_in(w, "saved_usd", r->saved_pico);
    write_flags(w, r->flags);
    jw_close(w, '}');
}

static int each_row(const struct usage_row *r, void *arg)
{
    struct rows_answer *a = arg;
    if (a->n == a->limit || a->body->n > BODY_ENOUGH) {
        a->more = true;
        return 1;
    }
    a->n++;
    write_row(&a->w, r);
    return 0;
}

void usage_rows(struct call *c)
{
    struct rows_answer a = {.limit = 1000, .body = &c->x->reply->body};
    uint64_t from_us = 0;
    struct error err;
    const char *key = call_query(c, "key").p;
    if (call_query_u64(c, "limit", MAX_ROWS, &a.limit) || call_query_u64(c, "from_us", INT64_MAX, &from_us))
        return;
    a.w = reply_json(c->x->reply, 200);
    jw_open(&a.w, '{');
    jw_open_in(&a.w, "data", '[');
    struct usage_store *s = admin_usage(c->admin);
    if (s &&
        usage_store_rows(s, (int64_t)from_us, key && *key ? key : NULL, a.limit + 1, each_row, &a, &err)) {
        call_failed(c, "reading the usage rows", &err);
        return;
    }
    jw_close(&a.w, ']');
    jw_bool_in(&a.w, "has_more", a.more);
    jw_close(&a.w, '}');
}

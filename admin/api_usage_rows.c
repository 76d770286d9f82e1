/* /v1/usage/rows: the ledger's rows themselves, oldest first. */
#include "api.h"
#include "endpoint_name.h"
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
#define ROW_TEXT(w, name, field)                                        \
    do {                                                                \
        json_name(w, name);                                             \
        json_str(w, (struct str){field, strnlen(field, sizeof field)}); \
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
    json_member_open(w, "tokens", '{');
    json_member_u64(w, "input", t->input);
    json_member_u64(w, "cached", t->cached);
    json_member_u64(w, "cache_write", t->cache_write);
    json_member_u64(w, "output", t->output);
    json_member_u64(w, "reasoning", t->reasoning);
    json_close(w, '}');
}

static void write_flags(struct json_writer *w, uint16_t set)
{
    json_member_open(w, "flags", '[');
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (set & flags[i].flag)
            json_str(w, str_of(flags[i].name));
    json_close(w, ']');
}

static void write_row(struct json_writer *w, const struct usage_row *r)
{
    char time[RFC3339_SIZE];
    rfc3339_format_us(time, r->time_us);
    json_open(w, '{');
    json_member_u64(w, "time_us", r->time_us > 0 ? (uint64_t)r->time_us : 0);
    json_member_strz(w, "time", time);
    write_names(w, r);
    json_member_strz(w, "endpoint", endpoint_name((enum endpoint)r->endpoint));
    json_member_u64(w, "status", r->status);
    json_member_u64(w, "attempts", r->attempts);
    json_member_u64(w, "latency_us", r->latency_us);
    json_member_limit(w, "ttft_us", r->ttft_us); /* 0: there was no first byte */
    json_member_u64(w, "upstream_us", r->upstream_us);
    write_tokens(w, &r->tokens);
    if (r->flags & USAGE_COST_UNKNOWN)
        json_member_null(w, "cost_usd");
    else
        json_member_usd(w, "cost_usd", r->cost_pico);
    json_member_usd(w, "saved_usd", r->saved_pico);
    write_flags(w, r->flags);
    json_close(w, '}');
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
    json_open(&a.w, '{');
    json_member_open(&a.w, "data", '[');
    struct usage_store *s = admin_usage(c->admin);
    if (s &&
        usage_store_rows(s, (int64_t)from_us, key && *key ? key : NULL, a.limit + 1, each_row, &a, &err)) {
        call_failed(c, "reading the usage rows", &err);
        return;
    }
    json_close(&a.w, ']');
    json_member_bool(&a.w, "has_more", a.more);
    json_close(&a.w, '}');
}

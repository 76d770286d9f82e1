/* /v1/usage: requests, tokens and money by day, department, team, key, model and provider, as JSON and CSV.
 *
 * Money is exact. What is not known is not 0: a group none of whose requests has a known cost shows null
 * (CSV: "unknown"), and a group with some of them says how many. */
#include "api.h"
#include "csv.h"
#include "decimal.h"
#include "rfc3339.h"

#include <inttypes.h>

static const char *const dimension_names[USAGE_DIMENSIONS] = {
    [BY_DAY] = "day", [BY_DEPARTMENT] = "department", [BY_TEAM] = "team",
    [BY_KEY] = "key", [BY_MODEL] = "model",           [BY_PROVIDER] = "provider"};

struct usage_question {
    enum usage_dimension by[USAGE_DIMENSIONS];
    size_t n;
    const char *from, *to;
    bool csv;
};

static int add_dimension(const struct call *c, struct usage_question *q, struct str name)
{
    if (str_starts(name, STR("tag:")))
        return reply_error(c->x->reply, 400, "not_in_this_version", "group_by",
                           "grouping by a tag is not in this version");
    size_t d = 0;
    while (d < USAGE_DIMENSIONS && !str_eq(name, str_of(dimension_names[d])))
        d++;
    if (d == USAGE_DIMENSIONS)
        return reply_error(c->x->reply, 400, "invalid_value", "group_by",
                           "group_by takes day, department, team, key, model and provider, with commas");
    for (size_t i = 0; i < q->n; i++)
        if (q->by[i] == d)
            return reply_error(c->x->reply, 400, "invalid_value", "group_by", "group_by names %s twice",
                               dimension_names[d]);
    q->by[q->n++] = (enum usage_dimension)d;
    return 0;
}

static int read_day(const struct call *c, const char *name, const char **out)
{
    struct str s = call_query(c, name);
    *out = s.n ? s.p : NULL;
    if (s.n && !rfc3339_is_date(s))
        return reply_error(c->x->reply, 400, "invalid_value", name, "%s must be a day like 2026-11-22 (UTC)",
                           name);
    return 0;
}

static int read_question(const struct call *c, struct usage_question *q)
{
    struct str by = call_query(c, "group_by"), one, format = call_query(c, "format");
    while (str_split(&by, ',', &one))
        if (add_dimension(c, q, one))
            return -1;
    if (read_day(c, "from", &q->from) || read_day(c, "to", &q->to))
        return -1;
    if (q->from && q->to && strcmp(q->from, q->to) > 0)
        return reply_error(c->x->reply, 400, "invalid_value", "to", "to lies before from");
    q->csv = str_eq(format, STR("csv"));
    if (format.n && !q->csv && !str_eq(format, STR("json")))
        return reply_error(c->x->reply, 400, "invalid_value", "format", "format must be json or csv");
    return 0;
}

static bool cost_known(const struct usage_sum *s)
{
    return !s->requests || s->cost_unknown < s->requests;
}

static void average_in(struct json_writer *w, const char *name, uint64_t total_us, uint64_t n)
{
    if (n)
        json_member_decimal(w, name, total_us / n, 3);
    else
        json_member_null(w, name);
}

static void write_sum(struct json_writer *w, const struct usage_sum *s)
{
    json_member_u64(w, "requests", s->requests);
    json_member_u64(w, "errors", s->errors);
    json_member_u64(w, "cache_hits", s->cache_hits);
    json_member_u64(w, "killed", s->killed);
    json_member_open(w, "tokens", '{');
    json_member_u64(w, "input", s->tokens.input);
    json_member_u64(w, "cached", s->tokens.cached);
    json_member_u64(w, "cache_write", s->tokens.cache_write);
    json_member_u64(w, "output", s->tokens.output);
    json_member_u64(w, "reasoning", s->tokens.reasoning);
    json_close(w, '}');
    if (cost_known(s))
        json_member_usd(w, "cost_usd", s->cost_pico);
    else
        json_member_null(w, "cost_usd");
    json_member_u64(w, "cost_unknown", s->cost_unknown);
    json_member_usd(w, "saved_usd", s->saved_pico);
    average_in(w, "latency_avg_ms", s->latency_us_total, s->requests);
    average_in(w, "ttft_avg_ms", s->ttft_us_total, s->ttft_count);
}

struct usage_answer {
    const struct usage_question *q;
    struct json_writer w;
    struct buf *body;
};

static int json_group(const char *const values[], const struct usage_sum *s, void *arg)
{
    struct usage_answer *a = arg;
    json_open(&a->w, '{');
    for (size_t i = 0; i < a->q->n; i++)
        json_member_strz(&a->w, dimension_names[a->q->by[i]], values[i]);
    write_sum(&a->w, s);
    json_close(&a->w, '}');
    return a->body->full;
}

static void csv_average(struct buf *b, uint64_t total_us, uint64_t n)
{
    buf_add_byte(b, ',');
    if (n)
        decimal_put(b, total_us / n, 3);
}

static int csv_group(const char *const values[], const struct usage_sum *s, void *arg)
{
    struct usage_answer *a = arg;
    struct buf *b = a->body;
    for (size_t i = 0; i < a->q->n; i++) {
        csv_put(b, str_of(values[i]));
        buf_add_byte(b, ',');
    }
    buf_printf(b,
               "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
               ",%" PRIu64 ",",
               s->requests, s->errors, s->cache_hits, s->killed, s->tokens.input, s->tokens.cached,
               s->tokens.cache_write, s->tokens.output, s->tokens.reasoning);
    if (cost_known(s))
        decimal_put_usd(b, s->cost_pico);
    else
        buf_add(b, STR("unknown"));
    buf_printf(b, ",%" PRIu64 ",", s->cost_unknown);
    decimal_put_usd(b, s->saved_pico);
    csv_average(b, s->latency_us_total, s->requests);
    csv_average(b, s->ttft_us_total, s->ttft_count);
    buf_add(b, STR("\r\n"));
    return b->full;
}

/* Asks the store; while there is none there is no usage. */
static int query(const struct call *c, const struct usage_question *q, const enum usage_dimension by[],
                 size_t n, int (*each)(const char *const values[], const struct usage_sum *, void *),
                 struct usage_answer *a)
{
    struct error err;
    struct usage_store *s = admin_usage(c->admin);
    if (s && usage_store_query(s, by, n, q->from, q->to, each, a, &err))
        return call_failed(c, "reading the usage", &err);
    return 0;
}

static int json_total(const char *const values[], const struct usage_sum *s, void *arg)
{
    (void)values;
    *(struct usage_sum *)arg = *s;
    return 0;
}

static int total_of(const struct call *c, const struct usage_question *q, struct usage_sum *total)
{
    struct error err;
    struct usage_store *s = admin_usage(c->admin);
    if (s && usage_store_query(s, NULL, 0, q->from, q->to, json_total, total, &err))
        return call_failed(c, "reading the usage", &err);
    return 0;
}

static void answer_json(const struct call *c, const struct usage_question *q)
{
    struct usage_answer a = {.q = q, .w = reply_json(c->x->reply, 200), .body = &c->x->reply->body};
    struct usage_sum total = {0};
    if (total_of(c, q, &total))
        return;
    json_open(&a.w, '{');
    json_member_strz(&a.w, "from", q->from);
    json_member_strz(&a.w, "to", q->to);
    json_member_open(&a.w, "group_by", '[');
    for (size_t i = 0; i < q->n; i++)
        json_str(&a.w, str_of(dimension_names[q->by[i]]));
    json_close(&a.w, ']');
    json_member_open(&a.w, "total", '{');
    write_sum(&a.w, &total);
    json_close(&a.w, '}');
    json_member_open(&a.w, "data", '[');
    static const char *const no_values[USAGE_DIMENSIONS];
    if (q->n == 0)
        json_group(no_values, &total, &a);
    else if (query(c, q, q->by, q->n, json_group, &a))
        return;
    json_close(&a.w, ']');
    json_close(&a.w, '}');
}

static void answer_csv(const struct call *c, const struct usage_question *q)
{
    struct reply *r = c->x->reply;
    struct usage_answer a = {.q = q, .body = &r->body};
    r->status = 200;
    r->type = "text/csv; charset=utf-8; header=present";
    reply_header(r, "content-disposition", "attachment; filename=\"usage.csv\"");
    for (size_t i = 0; i < q->n; i++)
        buf_printf(&r->body, "%s,", dimension_names[q->by[i]]);
    buf_add(&r->body, STR("requests,errors,cache_hits,killed,input_tokens,cached_tokens,cache_write_tokens,"
                          "output_tokens,reasoning_tokens,cost_usd,cost_unknown,saved_usd,latency_avg_ms,"
                          "ttft_avg_ms\r\n"));
    query(c, q, q->by, q->n, csv_group, &a);
}

void usage_get(struct call *c)
{
    struct usage_question q = {0};
    if (read_question(c, &q))
        return;
    if (q.csv)
        answer_csv(c, &q);
    else
        answer_json(c, &q);
}

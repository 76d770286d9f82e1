/* Key → principal, on every request, before its body is read. Fails closed: a store that can't be read lets
 * nobody in. Run by workers only. */
#include "answer.h"
#include "log.h"

/* What was presented. The same credential in two places is fine, two different ones are a contradiction that
 * another program might resolve in another way. */
struct presented {
    struct str key;
    bool conflict;
};

static void present(struct presented *p, struct str key)
{
    if (key.n == 0)
        return;
    if (p->key.n > 0 && !str_eq(p->key, key))
        p->conflict = true;
    p->key = key;
}

/* "Bearer KEY"; another scheme presents nothing. */
static struct str bearer(struct str value)
{
    struct str scheme;
    if (!str_split(&value, ' ', &scheme) || !str_ieq(scheme, STR("bearer")))
        return STR_NULL;
    return str_trim(value);
}

/* Google's SDKs may put the key into the query; only that dialect's endpoints look there. */
static void present_query(struct presented *p, struct str query)
{
    struct str part;
    while (str_split(&query, '&', &part))
        if (str_starts(part, STR("key=")))
            present(p, (struct str){part.p + 4, part.n - 4});
}

static struct presented presented_key(const struct request *r)
{
    struct presented p = {0};
    for (size_t i = 0; i < r->head->n; i++) {
        struct str name = r->head->headers[i].name, value = r->head->headers[i].value;
        if (name.n == 13 && str_ieq(name, STR("authorization")))
            present(&p, bearer(value));
        else if ((name.n == 9 && str_ieq(name, STR("x-api-key"))) ||
                 (name.n == 14 && str_ieq(name, STR("x-goog-api-key"))) ||
                 (name.n == 7 && str_ieq(name, STR("api-key"))))
            present(&p, value);
    }
    if (r->dialect == DIALECT_GOOGLE)
        present_query(&p, r->head->query);
    return p;
}

static enum step missing(struct request *r)
{
    static const char *const where[] = {
        [DIALECT_OPENAI] = "in the Authorization header, as \"Bearer KEY\"",
        [DIALECT_ANTHROPIC] = "in the x-api-key header",
        [DIALECT_GOOGLE] = "in the x-goog-api-key header",
    };
    METRIC_INC(r->worker->metrics, auth_missing_total);
    return answer_error(r, 401, NULL, "No API key was given. Send yours %s.", where[r->dialect]);
}

/* Of the key itself at most the last four characters are told, and only of one long enough to hide. */
static enum step unknown(struct request *r, struct str key)
{
    struct str tail = {key.p + (key.n - (key.n > 12 ? 4 : 0)), key.n > 12 ? 4 : 0};
    for (size_t i = 0; i < tail.n; i++)
        if (tail.p[i] <= ' ' || tail.p[i] > '~')
            tail.n = 0;
    METRIC_INC(r->worker->metrics, auth_failed_total);
    return answer_error(r, 401, "invalid_api_key", "Incorrect API key: ****" STR_FMT ".", STR_ARG(tail));
}

static enum step dead(struct request *r, const char *code, const char *what)
{
    METRIC_INC(r->worker->metrics, auth_failed_total);
    return answer_error(r, 401, code, "This API key %s.", what);
}

static bool address_allowed(const struct request *r)
{
    const struct key_record *k = &r->key;
    size_t n = k->n_cidrs < KEY_MAX_CIDRS ? k->n_cidrs : KEY_MAX_CIDRS;
    return n == 0 || cidr_match_any(k->cidrs, n, &r->client->conn.peer);
}

/* A known key: may it be used now, from here? */
static enum step check_principal(struct request *r)
{
    if (r->key.blocked)
        return dead(r, "api_key_blocked", "is blocked");
    if (r->key.expires_s != 0 && r->start_us / 1000000 >= r->key.expires_s)
        return dead(r, "api_key_expired", "has expired");
    if (!address_allowed(r)) {
        METRIC_INC(r->worker->metrics, auth_forbidden_total);
        return answer_error(r, 403, "address_not_allowed", "This API key may not be used from your address.");
    }
    r->authenticated = true;
    return STEP_NEXT;
}

enum step request_authenticate(struct request *r)
{
    struct presented p = presented_key(r);
    struct error err;
    if (p.conflict)
        return answer_error(r, 400, "conflicting_credentials",
                            "The request carries two different API keys; send one.");
    if (p.key.n == 0)
        return missing(r);
    if (p.key.n >= MAX_KEY)
        return unknown(r, p.key);
    int found = keystore_find(r->worker->keys, p.key, &r->key, &r->team, &err);
    if (found < 0) {
        log_error("key store: %s", err.text);
        return answer_error(r, 503, "key_store_unavailable", "API keys can't be checked at the moment.");
    }
    if (found == 0)
        return unknown(r, p.key);
    return check_principal(r);
}

/* The list of prices: read once by whoever loads a configuration, then only read.
 *
 * Rows lie sorted by model, those of one model in the file's order, so that a look-up is one binary search
 * and the first row of a model is the one that stands for "any provider". A price that the file leaves empty
 * is not 0: cached input and cache writes then cost what input costs, and a row without a price of input or
 * output is refused. */
#include "price.h"
#include "mem.h"

#include <ctype.h>
#include <sys/stat.h>

struct row {
    char model[MAX_NAME * 2]; /* names of some clouds are long */
    char provider[32];
    struct price price;
    size_t line;
};

struct price_table {
    struct row *rows;
    size_t n;
};

enum column {
    MODEL,
    PROVIDER,
    INPUT,
    CACHED,
    CACHE_WRITE,
    OUTPUT,
    CONTEXT,
    MAX_OUTPUT,
    LONG_ABOVE,
    LONG_INPUT,
    LONG_CACHED,
    LONG_OUTPUT,
    COLUMNS
};

int price_parse(struct str text, uint64_t *pico)
{
    struct str whole, fraction = text;
    uint64_t units, part = 0;
    bool dotted = text.n > 0 && memchr(text.p, '.', text.n);
    if (!str_split(&fraction, '.', &whole) || whole.n > 7 || str_u64(whole, &units) != 0)
        return -1;
    while (fraction.n > 0 && fraction.p[fraction.n - 1] == '0' && fraction.n > 6)
        fraction.n--; /* more digits than count, none of which says anything */
    if (dotted && (fraction.n > 6 || str_u64(fraction, &part) != 0))
        return -1;
    for (size_t i = fraction.n; i < 6; i++)
        part *= 10;
    *pico = units * 1000000 + part;
    return 0;
}

/* ---- reading */

static int parse_count(struct str text, uint32_t *out)
{
    uint64_t v = 0;
    if (text.n > 0 && (str_u64(text, &v) != 0 || v > UINT32_MAX))
        return -1;
    *out = (uint32_t)v;
    return 0;
}

/* The dearer rates of long prompts. Vendors name no cache write price for them; it rises as input's does. */
static const char *parse_long(const struct str column[COLUMNS], struct price *p)
{
    struct price_rates *l = &p->long_rates;
    if (column[LONG_ABOVE].n == 0)
        return NULL;
    if (parse_count(column[LONG_ABOVE], &p->long_above) != 0 || p->long_above == 0)
        return "has a malformed number of tokens from which long prompts are dearer";
    if (price_parse(column[LONG_INPUT], &l->input) != 0 || price_parse(column[LONG_OUTPUT], &l->output) != 0)
        return "needs prices of input and output of long prompts";
    l->cached = l->input;
    if (column[LONG_CACHED].n > 0 && price_parse(column[LONG_CACHED], &l->cached) != 0)
        return "has a malformed price of long prompts' cached input";
    /* below 2^64: no price is above 10^13 */
    l->cache_write =
        p->input > 0 ? (uint64_t)((unsigned __int128)p->cache_write * l->input / p->input) : l->input;
    return NULL;
}

/* Returns what is wrong with the line; NULL: nothing. */
static const char *parse_row(struct str text, struct row *row)
{
    struct str column[COLUMNS] = {0};
    size_t n = 0;
    for (; n < COLUMNS && str_split(&text, '\t', &column[n]); n++)
        column[n] = str_trim(column[n]);
    struct price *p = &row->price;
    if (n <= OUTPUT || text.n > 0)
        return "has to have 6 to 12 columns with a tab between them";
    if (column[MODEL].n == 0 || str_copy(row->model, sizeof(row->model), column[MODEL]) != 0)
        return "has no model, or too long a one";
    if (column[PROVIDER].n == 0 || str_copy(row->provider, sizeof(row->provider), column[PROVIDER]) != 0)
        return "has no provider, or too long a one";
    if (price_parse(column[INPUT], &p->input) != 0 || price_parse(column[OUTPUT], &p->output) != 0)
        return "needs prices of input and output, such as 0.15";
    p->cached = p->cache_write = p->input;
    if (column[CACHED].n > 0 && price_parse(column[CACHED], &p->cached) != 0)
        return "has a malformed price of cached input";
    if (column[CACHE_WRITE].n > 0 && price_parse(column[CACHE_WRITE], &p->cache_write) != 0)
        return "has a malformed price of cache writes";
    if (parse_count(column[CONTEXT], &p->context_window) != 0 ||
        parse_count(column[MAX_OUTPUT], &p->max_output) != 0)
        return "has a malformed number of tokens";
    p->known = true;
    return parse_long(column, p);
}

static int compare(const void *va, const void *vb)
{
    const struct row *a = va, *b = vb;
    int by_model = strcmp(a->model, b->model);
    return by_model ? by_model : (a->line > b->line) - (a->line < b->line);
}

static int read_rows(struct price_table *t, FILE *f, const char *path, struct error *err)
{
    char *line = NULL;
    size_t cap = 0, room = 0, number = 0;
    ssize_t n;
    const char *fault = NULL;
    while (!fault && (n = getline(&line, &cap, f)) >= 0) {
        number++;
        struct str text = {line, (size_t)n};
        while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
            text.n--;
        if (str_trim(text).n == 0 || text.p[0] == '#')
            continue;
        if (t->n == room) {
            room = room ? room * 2 : 64;
            t->rows = mem_resize(t->rows, room * sizeof(*t->rows));
        }
        t->rows[t->n] = (struct row){.line = number};
        fault = parse_row(text, &t->rows[t->n]);
        t->n++;
    }
    free(line);
    if (fault)
        return error_set(err, "%s:%zu: the line %s", path, number, fault);
    return ferror(f) ? error_errno(err, "%s", path) : 0;
}

static int sort_rows(struct price_table *t, const char *path, struct error *err)
{
    if (t->n > 0)
        qsort(t->rows, t->n, sizeof(*t->rows), compare);
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = i + 1; k < t->n && strcmp(t->rows[i].model, t->rows[k].model) == 0; k++)
            if (strcmp(t->rows[i].provider, t->rows[k].provider) == 0)
                return error_set(err, "%s:%zu: %s of %s stands in line %zu already; remove one of them", path,
                                 t->rows[k].line, t->rows[k].model, t->rows[k].provider, t->rows[i].line);
    return 0;
}

struct price_table *price_load(const char *path, struct error *err)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        error_errno(err, "%s", path);
        return NULL;
    }
    struct stat st;
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        error_set(err, "%s: is not a regular file", path);
        fclose(f);
        return NULL;
    }
    struct price_table *t = mem_alloc(sizeof(*t));
    int failed = read_rows(t, f, path, err) != 0 || sort_rows(t, path, err) != 0;
    fclose(f);
    if (failed)
        price_free(&t);
    return t;
}

void price_free(struct price_table **t)
{
    if (*t)
        free((*t)->rows);
    free(*t);
    *t = NULL;
}

/* ---- finding */

static int compare_name(const char *model, struct str name)
{
    size_t n = strlen(model);
    int c = memcmp(model, name.p, n < name.n ? n : name.n);
    return c ? c : (n > name.n) - (n < name.n);
}

static const struct row *find(const struct price_table *t, struct str provider, struct str model)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_name(t->rows[middle].model, model) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    const struct row *any = NULL;
    for (; low < t->n && compare_name(t->rows[low].model, model) == 0; low++) {
        if (str_eq(str_of(t->rows[low].provider), provider))
            return &t->rows[low];
        if (!any)
            any = &t->rows[low];
    }
    return any;
}

/* Whether name ends as `shape` does, in which 9 stands for a digit. */
static bool ends_in_shape(struct str name, struct str shape)
{
    if (name.n <= shape.n)
        return false;
    const char *end = name.p + name.n - shape.n;
    for (size_t i = 0; i < shape.n; i++)
        if (shape.p[i] == '9' ? !isdigit((unsigned char)end[i]) : end[i] != shape.p[i])
            return false;
    return true;
}

/* "gpt-4o" of "gpt-4o-2024-08-06", "-20240806", "@20240806" or "-latest"; the name itself when it has none of
 * these. */
static struct str undated(struct str name)
{
    static const struct str shapes[] = {
        {"-9999-99-99", 11},
        {"-99999999", 9},
        {"@99999999", 9},
        {"-latest", 7},
    };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (ends_in_shape(name, shapes[i]))
            return (struct str){name.p, name.n - shapes[i].n};
    return name;
}

struct price price_find(const struct price_table *t, struct str provider_type, struct str model)
{
    if (!t || model.n == 0)
        return (struct price){0};
    const struct row *row = find(t, provider_type, model);
    struct str base = undated(model);
    if (!row && base.n < model.n)
        row = find(t, provider_type, base);
    return row ? row->price : (struct price){0};
}

/* ---- counting */

static uint64_t add(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t times(uint64_t tokens, uint64_t price)
{
    uint64_t product;
    return __builtin_mul_overflow(tokens, price, &product) ? UINT64_MAX : product;
}

uint64_t price_cost_pico(const struct price *p, const struct usage_tokens *u)
{
    struct price_rates r = {p->input, p->cached, p->cache_write, p->output};
    if (p->long_above > 0 && u->input > p->long_above)
        r = p->long_rates;
    /* a provider that counts its cached tokens beside the input and not in it must not make a negative rest
     */
    uint64_t special = add(u->cached, u->cache_write);
    uint64_t plain = u->input > special ? u->input - special : 0;
    uint64_t in =
        add(times(plain, r.input), add(times(u->cached, r.cached), times(u->cache_write, r.cache_write)));
    return add(in, times(u->output, r.output));
}

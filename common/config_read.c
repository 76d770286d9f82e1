/* Reads groups of the configuration into their structs, as the table of settings says. Every setting found
 * must be in the table, have its type and lie in its range: nothing is ignored, nothing is converted. Run by
 * whichever process reads a configuration. */
#include "config_settings.h"

#include <stdarg.h>

enum { PATH_TEXT = 256 };

/* ---- where a message points to */

/* The line of the longest leading part of `path` that the file has, 0 when it has none of it. */
static unsigned line_of(const config_t *lib, const char *path)
{
    const config_setting_t *s = config_root_setting(lib);
    unsigned line = 0;
    while (s && *path) {
        char part[PATH_TEXT];
        size_t n = strcspn(path, ".[]");
        if (str_copy(part, sizeof(part), (struct str){path, n}) != 0)
            break;
        uint64_t index;
        if (config_setting_is_group(s))
            s = config_setting_get_member(s, part);
        else if (config_setting_is_aggregate(s) && str_u64(str_of(part), &index) == 0)
            s = config_setting_get_elem(s, (unsigned)index);
        else
            break;
        if (s)
            line = config_setting_source_line(s);
        path += n;
        path += strspn(path, ".[]");
    }
    return line;
}

int config_complain(struct reader *r, const char *path, const char *fmt, ...)
{
    char what[sizeof(((struct error *)0)->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    unsigned line = line_of(&r->lib, path);
    struct error one;
    error_set(&one, "%s:%u: %s: %s", r->config->file, line ? line : 1, path, what);
    if (r->mistakes++ == 0 && r->err)
        *r->err = one;
    if (r->tell)
        r->tell(r->tell_to, one.text);
    return -1;
}

static void path_of(char out[PATH_TEXT], const char *path, const char *name)
{
    snprintf(out, PATH_TEXT, "%s%s%s", path, *path ? "." : "", name);
}

/* ---- unknown settings */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance; names are short. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t na = strlen(a), nb = strlen(b);
    size_t row[LONGEST + 1];
    if (na > LONGEST || nb > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t above = row[j];
            row[j] = min3(row[j - 1] + 1, above + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[nb];
}

static bool begins_other(const char *a, const char *b)
{
    size_t n = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    return n >= 3 && strncmp(a, b, n) == 0;
}

/* The setting of this section whose name is so near that it may be meant; NULL: none is. */
static const char *nearest(enum section section, const char *name)
{
    const char *best = NULL;
    size_t best_distance =
        strlen(name) < 6 ? 3 : strlen(name) / 2; /* less than that many letters are others */
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct setting *s = &config_settings[i];
        if (s->section != section)
            continue;
        size_t d = begins_other(s->name, name) ? 1 : distance(s->name, name);
        if (d < best_distance) {
            best_distance = d;
            best = s->name;
        }
    }
    return best;
}

/* The group or list in which such a setting stands; NULL: none. */
static const char *home_of(const char *name)
{
    for (size_t i = 0; i < config_n_settings; i++)
        for (size_t k = 0; k < config_n_settings; k++) {
            const struct setting *group = &config_settings[k];
            bool has_child = group->kind == SETTING_GROUP || group->kind == SETTING_LIST;
            if (has_child && group->child == config_settings[i].section &&
                strcmp(config_settings[i].name, name) == 0)
                return group->name;
        }
    return NULL;
}

static const struct setting *find(enum section section, const char *name)
{
    for (size_t i = 0; i < config_n_settings; i++)
        if (config_settings[i].section == section && strcmp(config_settings[i].name, name) == 0)
            return &config_settings[i];
    return NULL;
}

static int complain_unknown(struct reader *r, enum section section, const char *full, const char *name)
{
    const char *near = nearest(section, name), *home = home_of(name);
    if (near)
        return config_complain(r, full, "unknown setting; the nearest known one here is \"%s\"", near);
    if (home)
        return config_complain(r, full, "unknown setting here; it belongs into \"%s\"", home);
    return config_complain(r, full,
                           "unknown setting; correct it or take it out (aigw --print-sample shows all)");
}

static int check_names(struct reader *r, enum section section, const config_setting_t *from, const char *path)
{
    int result = 0;
    for (int i = 0; i < config_setting_length(from); i++) {
        const char *name = config_setting_name(config_setting_get_elem(from, (unsigned)i));
        if (find(section, name))
            continue;
        char full[PATH_TEXT];
        path_of(full, path, name);
        result = complain_unknown(r, section, full, name);
    }
    return result;
}

/* ---- values */

static const char *type_name(const config_setting_t *value)
{
    switch (config_setting_type(value)) {
    case CONFIG_TYPE_GROUP:
        return "a group { … }";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a whole number";
    case CONFIG_TYPE_FLOAT:
        return "a number with a fraction";
    case CONFIG_TYPE_STRING:
        return "a text";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    default:
        return "a list";
    }
}

static void store(char *field, size_t size, uint64_t v)
{
    if (size == sizeof(uint64_t))
        *(uint64_t *)(void *)field = v;
    else if (size == sizeof(uint32_t))
        *(uint32_t *)(void *)field = (uint32_t)v;
    else if (size == sizeof(uint16_t))
        *(uint16_t *)(void *)field = (uint16_t)v;
    else
        *(bool *)(void *)field = v != 0;
}

static void store_text(char *field, const char *text)
{
    *(const char **)(void *)field = text;
}

static int read_number(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                       const char *path)
{
    int type = config_setting_type(value);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
        return config_complain(r, path,
                               "has to be a whole number, not %s; write it without quotes or fraction",
                               type_name(value));
    long long v = type == CONFIG_TYPE_INT ? config_setting_get_int(value) : config_setting_get_int64(value);
    if (v < 0 || (uint64_t)v < s->min || (uint64_t)v > s->max)
        return config_complain(r, path, "%lld is out of range; give %llu to %llu%s%s", v,
                               (unsigned long long)s->min, (unsigned long long)s->max, *s->unit ? " " : "",
                               s->unit);
    store(base + s->offset, s->size, (uint64_t)v);
    return 0;
}

static int read_flag(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                     const char *path)
{
    if (config_setting_type(value) != CONFIG_TYPE_BOOL)
        return config_complain(r, path, "has to be true or false, not %s", type_name(value));
    store(base + s->offset, s->size, config_setting_get_bool(value) != 0);
    return 0;
}

static int read_text(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                     const char *path)
{
    if (config_setting_type(value) != CONFIG_TYPE_STRING)
        return config_complain(r, path, "has to be a text, not %s; write it in double quotes",
                               type_name(value));
    const char *text = config_setting_get_string(value);
    if (config_check_text(r, s->check, &text, path) != 0)
        return -1;
    store_text(base + s->offset, arena_copy(&r->config->arena, str_of(text)).p);
    return 0;
}

/* The place of `word` in "a|b|c", and the word as the table holds it; -1. */
static int choice_index(struct reader *r, const char *choices, struct str word, const char **out)
{
    struct str rest = str_of(choices), one;
    for (int i = 0; str_split(&rest, '|', &one); i++)
        if (str_eq(one, word)) {
            *out = arena_copy(&r->config->arena, one).p;
            return i;
        }
    return -1;
}

static const char *nearest_choice(struct reader *r, const char *choices, const char *word)
{
    struct str rest = str_of(choices), one;
    const char *best = NULL;
    size_t best_distance = strlen(word) < 4 ? 2 : 3; /* less than that many letters are others */
    while (str_split(&rest, '|', &one)) {
        const char *choice = arena_copy(&r->config->arena, one).p;
        size_t d = str_ieq(one, str_of(word)) ? 0 : distance(choice, word);
        if (d < best_distance) {
            best_distance = d;
            best = choice;
        }
    }
    return best;
}

static void store_choice(const struct setting *s, char *base, int index, const char *word)
{
    if (s->kind == SETTING_INDEX)
        store(base + s->offset, s->size, (uint64_t)index);
    else
        store_text(base + s->offset, word);
}

static int read_choice(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                       const char *path)
{
    if (config_setting_type(value) != CONFIG_TYPE_STRING)
        return config_complain(r, path, "has to be one of %s in double quotes, not %s", s->choices,
                               type_name(value));
    const char *word;
    const char *given = config_setting_get_string(value);
    int index = choice_index(r, s->choices, str_of(given), &word);
    const char *near = index < 0 ? nearest_choice(r, s->choices, given) : NULL;
    if (near)
        return config_complain(r, path, "\"%.64s\" is not known (is \"%s\" meant?); give one of %s", given,
                               near, s->choices);
    if (index < 0)
        return config_complain(r, path, "\"%.64s\" is not known; give one of %s", given, s->choices);
    store_choice(s, base, index, word);
    return 0;
}

static int read_group(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                      const char *path)
{
    if (!config_setting_is_group(value))
        return config_complain(r, path, "has to be a group { … }, not %s", type_name(value));
    char *child = base + s->offset;
    if (s->on_offset >= 0)
        *(bool *)(void *)(child + s->on_offset) = true;
    return config_read_section(r, s->child, value, child, path);
}

static int read_list(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                     const char *path)
{
    if (!config_setting_is_list(value))
        return config_complain(r, path, "has to be a list of groups ( { … }, { … } ), not %s",
                               type_name(value));
    size_t n = (size_t)config_setting_length(value);
    if (n > s->max)
        return config_complain(r, path, "%zu entries; at most %llu are possible", n,
                               (unsigned long long)s->max);
    char *elements = base + s->offset;
    if (s->allocated) {
        elements = arena_alloc(&r->config->arena, n * s->stride + 1);
        memset(elements, 0, n * s->stride + 1);
        *(char **)(void *)(base + s->offset) = elements;
    }
    int result = 0;
    for (size_t i = 0; i < n; i++) {
        const config_setting_t *element = config_setting_get_elem(value, (unsigned)i);
        char full[PATH_TEXT];
        snprintf(full, sizeof(full), "%.200s[%zu]", path, i);
        config_defaults(r, s->child, elements + i * s->stride);
        if (!config_setting_is_group(element))
            result = config_complain(r, full, "has to be a group { … }, not %s", type_name(element));
        /* counted afterwards, so that what its own settings refer to is what stands before it */
        else if (config_read_section(r, s->child, element, elements + i * s->stride, full) != 0)
            result = -1;
        *(size_t *)(void *)(base + s->count_offset) = i + 1;
    }
    return result;
}

static int read_setting(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                        const char *path)
{
    switch (s->kind) {
    case SETTING_NUM:
        return read_number(r, s, value, base, path);
    case SETTING_FLAG:
        return read_flag(r, s, value, base, path);
    case SETTING_TEXT:
        return read_text(r, s, value, base, path);
    case SETTING_CHOICE:
    case SETTING_INDEX:
        return read_choice(r, s, value, base, path);
    case SETTING_GROUP:
        return read_group(r, s, value, base, path);
    case SETTING_LIST:
        return read_list(r, s, value, base, path);
    case SETTING_SPECIAL:
        return s->special(r, s, value, base, path);
    }
    return 0;
}

static void set_default(struct reader *r, const struct setting *s, char *base)
{
    uint64_t v = 0;
    const char *word = NULL;
    if (s->kind == SETTING_GROUP) {
        config_defaults(r, s->child, base + s->offset);
        return;
    }
    if (!s->def || s->def == config_must)
        return;
    switch (s->kind) {
    case SETTING_NUM:
        str_u64(str_of(s->def), &v);
        store(base + s->offset, s->size, v);
        break;
    case SETTING_FLAG:
        store(base + s->offset, s->size, strcmp(s->def, "true") == 0);
        break;
    case SETTING_CHOICE:
    case SETTING_INDEX: {
        int index = choice_index(r, s->choices, str_of(s->def), &word);
        store_choice(s, base, index, word);
        break;
    }
    default:
        store_text(base + s->offset, s->def);
    }
}

void config_defaults(struct reader *r, enum section section, char *base)
{
    for (size_t i = 0; i < config_n_settings; i++)
        if (config_settings[i].section == section)
            set_default(r, &config_settings[i], base);
}

int config_read_section(struct reader *r, enum section section, const config_setting_t *from, char *base,
                        const char *path)
{
    int result = check_names(r, section, from, path);
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct setting *s = &config_settings[i];
        if (s->section != section)
            continue;
        char full[PATH_TEXT];
        path_of(full, path, s->name);
        const config_setting_t *value = config_setting_get_member(from, s->name);
        if (!value && s->def == config_must)
            result = config_complain(r, full, "is missing; add %s = %s;", s->name,
                                     s->example ? s->example : "\"…\"");
        if (value && read_setting(r, s, value, base, full) != 0)
            result = -1;
    }
    return result;
}
